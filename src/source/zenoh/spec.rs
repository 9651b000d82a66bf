//! Parses and formats `zenoh://ROUTER[:PORT]/HOST/CAMERA`.

use std::fmt;

use crate::net::zenoh::ZenohRouter;
use crate::net::zenoh::keys::{self, ANY};
use crate::source::credentials::{decode, encode};

/// The form, for errors.
const EXPECTED: &str =
    "expected zenoh://ROUTER[:PORT]/HOST/CAMERA, such as zenoh://192.168.1.10/desk/front, or * for all";

/// A camera that another oaktap receives and publishes with a router. Parsing its text form returns the same value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZenohSpec {
    /// The router.
    pub router: ZenohRouter,
    /// Name of the far receiver, or `*` for all.
    pub host: String,
    /// Name of the camera there, or `*` for all.
    pub camera: String,
}

impl ZenohSpec {
    /// Parses the text after `zenoh://`.
    ///
    /// # Errors
    /// A message with the invalid part and the expected one.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (router, path) = text.split_once('/').unwrap_or((text, ""));
        let router = ZenohRouter::parse(router)?;
        let parts: Vec<_> = path.trim_end_matches('/').split('/').map(decode).collect();
        let [host, camera] = <[String; 2]>::try_from(parts).map_err(|parts| match &*parts {
            [only] if only.is_empty() => format!("missing host and camera; {EXPECTED}"),
            [host] => format!("missing camera of the host `{host}`; {EXPECTED}"),
            parts => format!("`{}` has {} parts; {EXPECTED}", path, parts.len()),
        })?;
        check(&host)?;
        check(&camera)?;
        Ok(Self { router, host, camera })
    }

    /// Returns whether it stands for all cameras that match, and not for one.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.host == ANY || self.camera == ANY
    }

    /// Returns the name of the camera.
    pub(in crate::source) fn name(&self) -> String {
        self.camera.clone()
    }

    /// Returns the camera and its receiver, for people.
    pub(super) fn place(&self) -> String {
        format!("{} at {}", self.camera, self.host)
    }
}

/// Checks a part of a key.
fn check(part: &str) -> Result<(), String> {
    if part == ANY {
        return Ok(());
    }
    if part.is_empty() {
        return Err(format!("missing host or camera; {EXPECTED}"));
    }
    if part.contains('*') {
        return Err(format!("`{part}`: `*` is a whole host or camera, as in zenoh://ROUTER/*/front"));
    }
    if keys::part(part) != part {
        return Err(format!("`{}` cannot be the name of a host or a camera there; {EXPECTED}", part.escape_debug()));
    }
    Ok(())
}

impl fmt::Display for ZenohSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |text: &str| encode(text, |c| c.is_ascii_graphic() && !"%/".contains(c));
        write!(f, "zenoh://{}/{}/{}", self.router, part(&self.host), part(&self.camera))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceSpec;

    fn spec(text: &str) -> ZenohSpec {
        match text.parse() {
            Ok(SourceSpec::Zenoh(spec)) => spec,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn urls_are_parsed_and_shown() {
        for (text, shown, host, camera) in [
            ("zenoh://10.0.0.5/desk/front", "zenoh://10.0.0.5/desk/front", "desk", "front"),
            ("zenoh:///desk/front/", "zenoh://localhost/desk/front", "desk", "front"),
            ("zenoh://bus.lan:7448/*/*", "zenoh://bus.lan:7448/*/*", "*", "*"),
            (
                "zenoh://[fe80::1]/rack%203/10.0.0.5:9876",
                "zenoh://[fe80::1]/rack%203/10.0.0.5:9876",
                "rack 3",
                "10.0.0.5:9876",
            ),
            ("zenoh://bus/desk/T\u{fc}r", "zenoh://bus/desk/T%C3%BCr", "desk", "T\u{fc}r"),
        ] {
            let parsed = spec(text);
            assert_eq!((parsed.to_string().as_str(), &*parsed.host, &*parsed.camera), (shown, host, camera));
            assert_eq!(spec(shown), parsed);
            assert_eq!(parsed.is_pattern(), text.contains('*'));
            assert_eq!(SourceSpec::Zenoh(parsed).name(), camera);
        }
    }

    #[test]
    fn invalid_urls_are_explained() {
        for (text, why) in [
            ("zenoh://bus", "missing host and camera; expected zenoh://ROUTER[:PORT]/HOST/CAMERA"),
            ("zenoh://bus/desk", "missing camera of the host `desk`"),
            ("zenoh://bus/desk/front/frame", "`desk/front/frame` has 3 parts"),
            ("zenoh://bus//front", "missing host or camera"),
            ("zenoh://bus/**/front", "`**`: `*` is a whole host or camera"),
            ("zenoh://bus/desk/fr*", "`fr*`: `*` is a whole host or camera"),
            ("zenoh://bus/de%2Fsk/front", "`de/sk` cannot be the name of a host"),
            ("zenoh://bus/de%00sk/front", "`de\\0sk` cannot be the name of a host"),
            ("zenoh://bus:x/desk/front", "expected a port from 1 to 65535, found `x`"),
            ("zenoh://me@bus/desk/front", "an address has no user name"),
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
        fn any_url_is_rejected_or_round_trips(text in "zenoh://[a-z.]{0,9}(:[0-9]{1,4})?/(\\PC{0,10}|[*])/(\\PC{1,10}|[*])") {
            if let Ok(spec) = text.parse::<SourceSpec>() {
                proptest::prop_assert_eq!(spec.to_string().parse(), Ok(spec));
            }
        }
    }
}
