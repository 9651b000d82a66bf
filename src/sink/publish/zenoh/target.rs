//! Parses and formats `zenoh://[ROUTER][:PORT][/HOST]`.

use std::fmt;

use crate::net::host_name::host_name;
use crate::net::zenoh::{ZenohRouter, keys};

/// Name of a machine that has none.
const UNNAMED: &str = "oaktap";

/// A Zenoh router, and the name of this machine on it. Parsing its text form returns the same value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZenohTarget {
    /// The router.
    pub router: ZenohRouter,
    /// Name of this machine in keys; `None`: its own name.
    pub host: Option<String>,
}

impl ZenohTarget {
    /// Parses the text after `zenoh://`.
    ///
    /// # Errors
    /// The reason for which it is not valid.
    pub(in crate::sink::publish) fn parse(text: &str) -> Result<Self, String> {
        let (router, host) = text.split_once('/').unwrap_or((text, ""));
        let router = ZenohRouter::parse(router)?;
        if keys::part(host) != host && !host.is_empty() {
            return Err(format!(
                "invalid name `{}` of this machine; expected at most 128 characters without / * $ ? # and control characters, and \
                 without @ at the beginning",
                host.escape_debug()
            ));
        }
        Ok(Self { router, host: (!host.is_empty()).then(|| host.to_owned()) })
    }

    /// Returns the name of this machine as a part of keys.
    pub(super) fn host(&self) -> String {
        let own = || Some(host_name()).filter(|name| !name.is_empty()).unwrap_or_else(|| UNNAMED.to_owned());
        keys::part(&self.host.clone().unwrap_or_else(own))
    }
}

impl fmt::Display for ZenohTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "zenoh://{}", self.router)?;
        self.host.as_ref().map_or(Ok(()), |host| write!(f, "/{host}"))
    }
}

#[cfg(test)]
mod tests {
    use crate::sink::publish::PublishTarget;

    #[test]
    fn targets_are_parsed_and_shown() {
        for (text, shown, host) in [
            ("zenoh", "zenoh://localhost", None),
            ("zenoh://", "zenoh://localhost", None),
            ("zenoh://:7448", "zenoh://localhost:7448", None),
            ("zenoh://10.0.0.5:7447", "zenoh://10.0.0.5", None),
            ("zenoh://10.0.0.5/rack-3", "zenoh://10.0.0.5/rack-3", Some("rack-3")),
            ("zenoh:///rack 3", "zenoh://localhost/rack 3", Some("rack 3")),
            ("zenoh://[::1]:7448/", "zenoh://[::1]:7448", None),
        ] {
            let target: PublishTarget = text.parse().expect(text);
            assert_eq!(target.to_string(), shown);
            assert_eq!(shown.parse(), Ok(target.clone()));
            let PublishTarget::Zenoh(target) = target else { panic!("{target:?}") };
            assert_eq!(target.host.as_deref(), host);
            assert!(host.is_none_or(|host| target.host() == host) && !target.host().is_empty());
        }
    }

    #[test]
    fn invalid_targets_are_explained() {
        for (text, why) in [
            ("zenoh://a/b/c", "invalid name `b/c` of this machine; expected"),
            ("zenoh://a/*", "invalid name `*` of this machine"),
            ("zenoh://a/@x", "invalid name `@x` of this machine"),
            ("zenoh://a:x", "expected a port from 1 to 65535, found `x`"),
            ("zenoh://me:pw@a", "an address has no user name"),
        ] {
            let error = text.parse::<PublishTarget>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
