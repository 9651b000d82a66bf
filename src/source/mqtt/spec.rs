//! Parses and formats `mqtt://[USER:PASSWORD@]BROKER[:PORT]/TOPIC` and `mqtts://`.

use std::fmt;

use rumqttc::Login;

use crate::source::credentials::{CUT, Credentials, decode, encode};
use crate::source::spec::{host_and_port, is_cut};

/// Longest topic of MQTT, in bytes.
const MAX_TOPIC_BYTES: usize = 65_535;

/// Option after the topic. `#` is also the last level of a topic, so an option has its whole text.
const INSECURE: &str = "#insecure";

/// The topic below that of the pictures on which their detections are published.
pub(super) const DETECTIONS_LEVEL: &str = "/detections";

/// A topic at an MQTT broker. Parsing its text form returns the same value, except for a password, which the text form
/// hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttSpec {
    /// `mqtts`.
    pub tls: bool,
    /// User name and password.
    pub credentials: Option<Credentials>,
    /// Host name or address of the broker, without the brackets of IPv6.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Topic filter: `+` is one level, `#` at the end is all levels from there.
    pub topic: String,
    /// Accepts any certificate.
    pub insecure: bool,
}

impl MqttSpec {
    /// Parses the text after `mqtt://` or `mqtts://`. The topic is the text after the first `/`, with `#` as a wildcard,
    /// except for [`INSECURE`] at the end.
    ///
    /// # Errors
    /// A message with the invalid part and the expected one.
    pub(crate) fn parse(tls: bool, text: &str) -> Result<Self, String> {
        let (text, insecure) = text.strip_suffix(INSECURE).map_or((text, false), |text| (text, true));
        if insecure && !tls {
            return Err("`#insecure` is for mqtts://, whose certificates it accepts".to_owned());
        }
        let (authority, topic) = text.split_once('/').unwrap_or((text, ""));
        // With two `@`, what looks like the broker may be a part of the password.
        if is_cut(authority, topic) || (authority.contains('@') && topic.contains('@')) {
            return Err(CUT.to_owned());
        }
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let (host, port) = host_and_port(address, default_port(tls))?;
        let topic = decode(topic);
        check(&topic)?;
        let credentials = user.map(Credentials::parse);
        Ok(Self { tls, credentials, host: host.to_owned(), port, topic, insecure })
    }

    /// Returns the topic filters to subscribe to: the topic, and that of its detections unless it includes it.
    pub(super) fn filters(&self) -> Vec<String> {
        let mut filters = vec![self.topic.clone()];
        if !is_open(&self.topic) && !self.topic.ends_with(DETECTIONS_LEVEL) {
            filters.push(self.topic.clone() + DETECTIONS_LEVEL);
        }
        filters
    }

    /// Returns the user name and the password for the broker.
    pub(crate) fn login(&self) -> Option<Login> {
        let login =
            |found: &Credentials| Login { username: found.user.clone(), password: found.password.reveal().to_owned() };
        self.credentials.as_ref().map(login)
    }

    /// Returns the levels of the topic without wildcards; the broker if there is none.
    pub(in crate::source) fn name(&self) -> String {
        let levels: Vec<&str> = self.topic.split('/').filter(|level| !["", "+", "#"].contains(level)).collect();
        if levels.is_empty() { self.authority() } else { levels.join("-") }
    }

    /// Returns the broker as it is written in a URL, with the port unless it is the default.
    fn authority(&self) -> String {
        let Self { tls, host, port, .. } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if *port == default_port(*tls) { host } else { format!("{host}:{port}") }
    }
}

const fn default_port(tls: bool) -> u16 {
    if tls { 8883 } else { 1883 }
}

/// Returns whether a filter ends with the wildcard for all levels.
fn is_open(filter: &str) -> bool {
    filter == "#" || filter.ends_with("/#")
}

fn check(topic: &str) -> Result<(), String> {
    if topic.is_empty() {
        return Err("missing topic; expected mqtt://BROKER/TOPIC, such as mqtt://192.168.1.10/cameras/front".to_owned());
    }
    if topic.len() > MAX_TOPIC_BYTES {
        return Err(format!("the topic has {} bytes; expected at most {MAX_TOPIC_BYTES}", topic.len()));
    }
    if let Some(invalid) = topic.chars().find(|c| c.is_control()) {
        return Err(format!("the topic cannot contain `{}`", invalid.escape_default()));
    }
    let inner = if is_open(topic) { &topic[..topic.len() - 1] } else { topic };
    if let Some((_, rest)) = inner.split_once('#') {
        return Err(format!(
            "`#{rest}`: in a topic, `#` is the last level, as in cameras/#; the only option is #insecure, for mqtts://"
        ));
    }
    match inner.split('/').find(|level| level.contains('+') && *level != "+") {
        Some(level) => Err(format!("`{level}`: in a topic, `+` is a whole level, as in cameras/+/image")),
        None => Ok(()),
    }
}

impl fmt::Display for MqttSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mqtt{}://", if self.tls { "s" } else { "" })?;
        if let Some(credentials) = &self.credentials {
            write!(f, "{credentials}@")?;
        }
        let topic = encode(&self.topic, |c| c.is_ascii_graphic() && !"%@".contains(c));
        write!(f, "{}/{topic}{}", self.authority(), if self.insecure { INSECURE } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceSpec;
    use crate::source::credentials::HIDDEN;

    fn spec(text: &str) -> MqttSpec {
        match text.parse() {
            Ok(SourceSpec::Mqtt(spec)) => spec,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn urls_are_parsed_and_shown() {
        for (text, shown, topic, name) in [
            ("mqtt://broker/cam", "mqtt://broker/cam", "cam", "cam"),
            ("mqtt://broker:1883/cameras/#", "mqtt://broker/cameras/#", "cameras/#", "cameras"),
            ("mqtt://broker:2883/#", "mqtt://broker:2883/#", "#", "broker:2883"),
            ("mqtts://[fe80::1%eth0]/a/+/b#insecure", "mqtts://[fe80::1%eth0]/a/+/b#insecure", "a/+/b", "a-b"),
            ("mqtts://broker:8883/a/##insecure", "mqtts://broker/a/##insecure", "a/#", "a"),
            ("mqtts://broker/a/#insecure", "mqtts://broker/a/#insecure", "a/", "a"),
            (
                "mqtt://broker//front door?x=%25",
                "mqtt://broker//front%20door?x=%25",
                "/front door?x=%",
                "front door?x=%",
            ),
            ("mqtt://broker/T\u{fc}r", "mqtt://broker/T%C3%BCr", "T\u{fc}r", "T\u{fc}r"),
            ("mqtt://broker/a@b", "mqtt://broker/a%40b", "a@b", "a@b"),
        ] {
            let parsed = spec(text);
            assert_eq!((parsed.to_string().as_str(), parsed.topic.as_str()), (shown, topic), "{text}");
            assert_eq!((spec(shown), SourceSpec::Mqtt(parsed.clone()).name().as_str()), (parsed, name), "{text}");
        }
    }

    #[test]
    fn detections_are_subscribed_beside_the_pictures() {
        for (topic, filters) in [
            ("cam", &["cam", "cam/detections"][..]),
            ("cam/+", &["cam/+", "cam/+/detections"]),
            ("cam/#", &["cam/#"]),
            ("#", &["#"]),
            ("test_topic/detections", &["test_topic/detections"]),
        ] {
            assert_eq!(spec(&format!("mqtt://broker/{topic}")).filters(), filters);
        }
    }

    #[test]
    fn passwords_are_in_no_output() {
        let parsed = spec("mqtt://me:se%3Acret@broker/cam");
        assert_eq!(parsed.credentials.as_ref().map(|found| found.password.reveal()), Some("se:cret"));
        assert_eq!(parsed.to_string(), "mqtt://me:***@broker/cam");
        for text in [
            "mqtt://me:secret@broker",
            "mqtts://me:secret@:1/x",
            "front=mqtt://me:secret@broker/a#b",
            "mqtt://me:secret/cret@broker/cam",
            "mqtt://me:p@secret/cret@broker/cam",
            "me:secret@broker/cam",
            "me:secret/cret@broker/cam",
        ] {
            let error = text.parse::<crate::source::NamedSource>().unwrap_err();
            assert!(!format!("{error} {error:?} {parsed:?}").contains("cret"), "{error}");
        }
    }

    #[test]
    fn invalid_urls_are_explained() {
        for (text, why) in [
            ("mqtt://broker", "missing topic; expected mqtt://BROKER/TOPIC"),
            ("mqtt:///cam", "missing host"),
            ("mqtt://broker/cam#insecure", "`#insecure` is for mqtts://"),
            ("mqtt://broker/cam#", "in a topic, `#` is the last level"),
            ("mqtt://broker/a/#/b", "`#/b`: in a topic, `#` is the last level"),
            ("mqtt://broker/cam+/x", "`cam+`: in a topic, `+` is a whole level"),
            ("mqtt://broker/a%00b", "the topic cannot contain `\\u{0}`"),
        ] {
            let error = text.parse::<SourceSpec>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            failure_persistence: None,
            ..proptest::prelude::ProptestConfig::default()
        })]

        #[test]
        fn any_url_is_rejected_or_round_trips(text in "mqtts?://([a-z:%]{0,5}@)?[a-z.]{1,9}(:[0-9]{1,4})?/\\PC{0,20}(/[+#]{0,2}|#insecure){0,3}") {
            if let Ok(spec) = text.parse::<SourceSpec>() {
                let shown = spec.to_string();
                let again = shown.parse::<SourceSpec>();
                proptest::prop_assert_eq!(again.as_ref().map(ToString::to_string), Ok(shown.clone()));
                if !shown.contains(HIDDEN) {
                    proptest::prop_assert_eq!(again, Ok(spec));
                }
            }
        }
    }
}
