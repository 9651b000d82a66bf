//! Parses and formats `ros2://[ROUTER][:PORT][/NAMESPACE]`.

use std::fmt;

use super::graph;
use super::names;
use crate::net::zenoh::ZenohRouter;

/// The router of ROS 2, and the names of our topics. Parsing its text form returns the same value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ros2Target {
    /// The router, such as `rmw_zenohd`.
    pub router: ZenohRouter,
    /// Namespace of the topics, without slashes around it; may be empty.
    pub namespace: String,
    /// Domain of ROS.
    pub domain: u32,
}

impl Ros2Target {
    /// Parses the text after `ros2://`. The domain is that of the environment.
    ///
    /// # Errors
    /// The reason for which it, or the domain, is not valid.
    pub(in crate::sink::publish) fn parse(text: &str) -> Result<Self, String> {
        let (router, namespace) = text.split_once('/').unwrap_or((text, ""));
        let router = ZenohRouter::parse(router)?;
        let namespace = namespace.strip_suffix('/').unwrap_or(namespace);
        if !namespace.is_empty() {
            names::check_namespace(namespace)?;
        }
        Ok(Self { router, namespace: namespace.to_owned(), domain: graph::domain_of_environment()? })
    }
}

impl fmt::Display for Ros2Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ros2://{}", self.router)?;
        if self.namespace.is_empty() { Ok(()) } else { write!(f, "/{}", self.namespace) }
    }
}

#[cfg(test)]
mod tests {
    use crate::sink::publish::PublishTarget;

    #[test]
    fn targets_are_parsed_and_shown() {
        for (text, shown, namespace) in [
            ("ros2", "ros2://localhost", ""),
            ("ros2://", "ros2://localhost", ""),
            ("ros2://:7448", "ros2://localhost:7448", ""),
            ("ros2://10.0.0.5:7447/", "ros2://10.0.0.5", ""),
            ("ros2://10.0.0.5/site/hall_3", "ros2://10.0.0.5/site/hall_3", "site/hall_3"),
            ("ros2:///robot/", "ros2://localhost/robot", "robot"),
        ] {
            let target: PublishTarget = text.parse().expect(text);
            assert_eq!(target.to_string(), shown);
            assert_eq!(shown.parse(), Ok(target.clone()));
            let PublishTarget::Ros2(target) = target else { panic!("{target:?}") };
            assert_eq!(target.namespace, namespace);
        }
    }

    #[test]
    fn invalid_targets_are_explained() {
        for (text, why) in [
            ("ros2://a/3d", "invalid namespace `3d`: found `3d`; expected letters, digits and single `_`"),
            ("ros2://a//b", "invalid namespace `/b`"),
            ("ros2://a:x", "expected a port from 1 to 65535, found `x`"),
            ("ros2://me:pw@a", "an address has no user name"),
        ] {
            let error = text.parse::<PublishTarget>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
