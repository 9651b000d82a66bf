//! Parses and formats the addresses to publish to.

use std::fmt;
#[cfg(feature = "foxglove")]
use std::net::SocketAddr;
use std::str::FromStr;

#[cfg(feature = "foxglove")]
use super::foxglove;
#[cfg(feature = "zenoh")]
use super::ros2::Ros2Target;
#[cfg(feature = "zenoh")]
use super::zenoh::ZenohTarget;
use crate::source::MqttSpec;

/// A target of MQTT, for errors.
const EXPECTED_MQTT: &str =
    "expected mqtt://BROKER/PREFIX or mqtts://BROKER/PREFIX, such as mqtt://192.168.1.10/oaktap";

/// The error of targets that need the feature `zenoh`.
#[cfg(not(feature = "zenoh"))]
const NO_ZENOH: &str =
    "this oaktap was built without Zenoh\nhelp: build it with `cargo install --path . --features zenoh`";

/// Longest prefix in bytes. A topic of MQTT has at most 65,535, with the name of the camera and what follows it.
const PREFIX_MAX_BYTES: usize = 1024;

/// Where to publish. Parsing its text form returns the same value, except for a password, which the text form hides.
#[derive(Clone, Debug, PartialEq)]
pub enum PublishTarget {
    /// `mqtt://[USER:PASSWORD@]BROKER[:PORT]/PREFIX` and `mqtts://`: a broker, and the topic above all others.
    Mqtt(MqttSpec),
    /// `foxglove://[ADDR][:PORT]`: the address on which the Foxglove app connects.
    #[cfg(feature = "foxglove")]
    Foxglove(SocketAddr),
    /// `zenoh` and `zenoh://[ROUTER][:PORT][/HOST]`: a Zenoh router, and the name of this machine on it.
    #[cfg(feature = "zenoh")]
    Zenoh(ZenohTarget),
    /// `ros2` and `ros2://[ROUTER][:PORT][/NAMESPACE]`: the router of ROS 2, and the namespace of the topics.
    #[cfg(feature = "zenoh")]
    Ros2(Ros2Target),
}

/// Reason why a text is not a valid target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PublishTargetError(String);

impl FromStr for PublishTarget {
    type Err = PublishTargetError;

    fn from_str(text: &str) -> Result<Self, PublishTargetError> {
        let text = text.trim();
        match text.split_once("://") {
            #[cfg(feature = "zenoh")]
            Some(("zenoh", rest)) => ZenohTarget::parse(rest).map(Self::Zenoh).map_err(PublishTargetError),
            #[cfg(feature = "zenoh")]
            None if text == "zenoh" => Ok(Self::Zenoh(ZenohTarget::default())),
            #[cfg(feature = "zenoh")]
            scheme if scheme.map_or(text, |(scheme, _)| scheme) == "ros2" => {
                Ros2Target::parse(scheme.map_or("", |(_, rest)| rest)).map(Self::Ros2).map_err(PublishTargetError)
            }
            #[cfg(not(feature = "zenoh"))]
            scheme if matches!(scheme.map_or(text, |(scheme, _)| scheme), "zenoh" | "ros2") => {
                Err(PublishTargetError(NO_ZENOH.to_owned()))
            }
            Some((scheme @ ("mqtt" | "mqtts"), rest)) => {
                mqtt(scheme == "mqtts", rest).map(Self::Mqtt).map_err(PublishTargetError)
            }
            #[cfg(feature = "foxglove")]
            Some(("foxglove", rest)) => foxglove::parse(rest).map(Self::Foxglove).map_err(PublishTargetError),
            Some((scheme, _)) => Err(PublishTargetError(format!("`{scheme}://` is not supported; {}", expected()))),
            None => Err(PublishTargetError(expected())),
        }
    }
}

/// Returns the targets of this program, for errors.
fn expected() -> String {
    let foxglove = if cfg!(feature = "foxglove") { ", foxglove://" } else { "" };
    let zenoh = if cfg!(feature = "zenoh") { ", zenoh:// or ros2://" } else { "" };
    format!("{EXPECTED_MQTT}{foxglove}{zenoh}")
}

fn mqtt(tls: bool, text: &str) -> Result<MqttSpec, String> {
    if text.split_once('/').is_none_or(|(_, prefix)| prefix.is_empty() || prefix == "#insecure") {
        return Err(format!("missing prefix; {EXPECTED_MQTT}"));
    }
    let spec = MqttSpec::parse(tls, text)?;
    let prefix = &spec.topic;
    if prefix.contains(['+', '#']) {
        return Err(format!("the prefix `{prefix}` has a wildcard; expected one without + and #"));
    }
    if prefix.starts_with('$') || prefix.split('/').any(str::is_empty) {
        return Err(format!(
            "invalid prefix `{prefix}`; expected levels with / between them, and none that begins with $"
        ));
    }
    if prefix.len() > PREFIX_MAX_BYTES {
        return Err(format!("the prefix has {} bytes; expected at most {PREFIX_MAX_BYTES}", prefix.len()));
    }
    Ok(spec)
}

impl fmt::Display for PublishTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mqtt(spec) => spec.fmt(f),
            #[cfg(feature = "foxglove")]
            Self::Foxglove(address) => write!(f, "foxglove://{address}"),
            #[cfg(feature = "zenoh")]
            Self::Zenoh(target) => target.fmt(f),
            #[cfg(feature = "zenoh")]
            Self::Ros2(target) => target.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_parsed_and_shown() {
        for (text, shown, prefix) in [
            ("mqtt://broker/oaktap", "mqtt://broker/oaktap", "oaktap"),
            ("mqtt://broker:1883/site/a", "mqtt://broker/site/a", "site/a"),
            ("mqtts://broker/oaktap#insecure", "mqtts://broker/oaktap#insecure", "oaktap"),
            ("mqtt://me:se%3Acret@broker:2883/o", "mqtt://me:***@broker:2883/o", "o"),
        ] {
            let target: PublishTarget = text.parse().expect(text);
            #[allow(irrefutable_let_patterns)] // Without further features, there is one variant only.
            let PublishTarget::Mqtt(spec) = &target else { panic!("{target}") };
            assert_eq!((target.to_string().as_str(), spec.topic.as_str()), (shown, prefix));
            assert!(!format!("{target:?}").contains("cret"), "{target:?}");
        }
    }

    #[cfg(not(feature = "zenoh"))]
    #[test]
    fn targets_that_need_zenoh_name_the_feature() {
        for text in ["zenoh", "zenoh://10.0.0.5", "ros2", "ros2://10.0.0.5/site"] {
            let error = text.parse::<PublishTarget>().unwrap_err().to_string();
            assert!(error.starts_with("this oaktap was built without Zenoh\nhelp: "), "{text}: {error}");
        }
    }

    #[test]
    fn invalid_targets_are_explained() {
        for (text, why) in [
            ("kafka://broker/x", "`kafka://` is not supported; expected mqtt://BROKER/PREFIX or mqtts://"),
            ("broker", "expected mqtt://BROKER/PREFIX"),
            ("mqtt://broker", "missing prefix; expected mqtt://BROKER/PREFIX"),
            ("mqtt://broker/", "missing prefix"),
            ("mqtts://broker/#insecure", "missing prefix"),
            ("mqtt://broker/a/+", "the prefix `a/+` has a wildcard"),
            ("mqtt://broker/a/#", "the prefix `a/#` has a wildcard"),
            ("mqtt://broker/a/", "invalid prefix `a/`"),
            ("mqtt://broker//a", "invalid prefix `/a`"),
            ("mqtt://broker/$SYS", "invalid prefix `$SYS`"),
            ("mqtt://broker/a#insecure", "`#insecure` is for mqtts://"),
            ("mqtt:///a", "missing host"),
        ] {
            let error = text.parse::<PublishTarget>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
