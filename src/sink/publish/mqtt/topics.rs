//! Names of topics.

/// The end of the topic on which a client requests a picture; the topic of the camera is before it.
const PICTURE_REQUEST: &str = "/picture/get";

/// Longest name of a camera in a topic, in characters. Names that users give have at most 64.
const LEVEL_CHARS_MAX: usize = 128;

/// The topics below a prefix.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    prefix: String,
}

impl Topics {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Returns the topic on which this program is `online` or `offline`.
    pub(super) fn available(&self) -> String {
        format!("{}/available", self.prefix)
    }

    /// Returns the topic above those of a camera. `level`: its name in topics.
    pub(super) fn of_camera(&self, level: &str) -> String {
        format!("{}/{level}", self.prefix)
    }

    /// Returns a topic of a camera. `level`: its name in topics.
    pub(super) fn of(&self, level: &str, last: &str) -> String {
        format!("{}/{level}/{last}", self.prefix)
    }

    /// Returns the filter of requests for pictures of all cameras.
    pub(super) fn requests(&self) -> String {
        format!("{}/+{PICTURE_REQUEST}", self.prefix)
    }

    /// Returns the topic of requests for pictures of a camera.
    pub(super) fn request(&self, level: &str) -> String {
        format!("{}/{level}{PICTURE_REQUEST}", self.prefix)
    }

    /// Returns the name in topics of the camera whose picture is requested on this topic.
    pub(super) fn requested<'a>(&self, topic: &'a str) -> Option<&'a str> {
        topic.strip_prefix(self.prefix.as_str())?.strip_prefix('/')?.strip_suffix(PICTURE_REQUEST)
    }
}

/// Returns the name of a camera as one level of a topic: `/`, `+`, `#` and control characters become `-`. `is_taken` returns
/// whether another camera has a name.
pub(super) fn level(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let allowed = |c: char| if matches!(c, '/' | '+' | '#') || c.is_control() { '-' } else { c };
    let level: String = name.chars().take(LEVEL_CHARS_MAX).map(allowed).collect();
    let numbered = (2..).map(|number| format!("{level}-{number}"));
    std::iter::once(level.clone()).chain(numbered).find(|level| !is_taken(level)).unwrap_or(level)
}

/// Returns the name of something as an identifier of Home Assistant: letters, digits, `_` and `-`. A name with other characters
/// gets a checksum of it, so that two names have two identifiers.
pub(super) fn identifier(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.chars().all(allowed) {
        return name.to_owned();
    }
    let replaced: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    format!("{replaced}_{:08x}", crc32fast::hash(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_of_topics() {
        let topics = Topics::new("site/a");
        assert_eq!(topics.available(), "site/a/available");
        assert_eq!(topics.of("front", "detections"), "site/a/front/detections");
        assert_eq!(topics.requests(), "site/a/+/picture/get");
        assert_eq!(topics.request("front"), "site/a/front/picture/get");
        for (topic, camera) in [
            ("site/a/front/picture/get", Some("front")),
            ("site/a/192.168.1.50/picture/get", Some("192.168.1.50")),
            ("site/a/front/picture", None),
            ("site/b/front/picture/get", None),
            ("site/ab/front/picture/get", None),
        ] {
            assert_eq!(topics.requested(topic), camera, "{topic}");
        }
    }

    #[test]
    fn names_are_one_level_and_unique() {
        for (name, expected) in [("front", "front"), ("10.0.0.5:9876", "10.0.0.5:9876"), ("a/+#\u{1}b", "a----b")] {
            assert_eq!(level(name, |_| false), expected);
        }
        let taken = ["a-b", "a-b-2"];
        assert_eq!(level("a/b", |level| taken.contains(&level)), "a-b-3");
        assert_eq!(level(&"x".repeat(70_000), |_| false).len(), LEVEL_CHARS_MAX);
    }

    #[test]
    fn identifiers_have_letters_and_digits_and_are_unique() {
        assert_eq!(identifier("front-1_a"), "front-1_a");
        let [first, second] = ["10.0.0.5", "10_0.0.5"].map(identifier);
        assert!(first.starts_with("10_0_0_5_") && second.starts_with("10_0_0_5_") && first != second);
        assert!(identifier("T\u{fc}r/1").bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    }
}
