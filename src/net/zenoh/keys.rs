//! Key expressions: builds them and parses them back.

/// First part of all keys.
const ROOT: &str = "oaktap";

/// Last part of the liveliness tokens.
const ALIVE: &str = "alive";

/// Longest name in a key, in characters. Names that users give have at most 64.
const PART_CHARS_MAX: usize = 128;

/// Any receiver, or any camera, in the key of a subscriber.
pub(crate) const ANY: &str = "*";

/// Last part of a key of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    /// Image message of each frame.
    Frame,
    /// Annotations of each frame.
    Detections,
    /// State, rates and losses.
    State,
    /// All counts.
    Ledger,
    /// Sets the camera.
    Control,
    /// The recording of the camera.
    Recording,
}

impl Topic {
    pub(crate) const ALL: [Self; 6] =
        [Self::Frame, Self::Detections, Self::State, Self::Ledger, Self::Control, Self::Recording];

    /// Returns its text in keys.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Detections => "detections",
            Self::State => "state",
            Self::Ledger => "ledger",
            Self::Control => "control",
            Self::Recording => "recording",
        }
    }
}

/// A key that was parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    /// Liveliness token of a receiver.
    HostAlive { host: &'a str },
    /// Liveliness token of a camera.
    CameraAlive { host: &'a str, camera: &'a str },
    /// A key of a camera.
    Camera { host: &'a str, camera: &'a str, topic: Topic },
}

impl<'a> Key<'a> {
    /// Parses a key that the functions of this module built; `None` for others.
    pub(crate) fn parse(key: &'a str) -> Option<Self> {
        let rest = key.strip_prefix(ROOT)?.strip_prefix('/')?;
        let (host, rest) = rest.split_once('/')?;
        let Some((camera, last)) = rest.split_once('/') else {
            return (rest == ALIVE).then_some(Self::HostAlive { host });
        };
        if last == ALIVE {
            return Some(Self::CameraAlive { host, camera });
        }
        let topic = Topic::ALL.into_iter().find(|topic| topic.name() == last)?;
        Some(Self::Camera { host, camera, topic })
    }
}

/// Returns the name of a host or a camera as one part of a key: the characters that Zenoh does not allow or gives a meaning
/// (`/`, `*`, `$`, `?`, `#`, and `@` at the beginning) and control characters become `-`, and so does an empty name.
pub(crate) fn part(name: &str) -> String {
    let allowed = |(at, c): (usize, char)| {
        let is_special = matches!(c, '/' | '*' | '$' | '?' | '#') || (at == 0 && c == '@') || c.is_control();
        if is_special { '-' } else { c }
    };
    let part: String = name.chars().take(PART_CHARS_MAX).enumerate().map(allowed).collect();
    if part.is_empty() { "-".to_owned() } else { part }
}

/// As [`part`], with a number at the end while `is_taken` returns that another one has this part.
pub(crate) fn free_part(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let part = part(name);
    let numbered = (2..).map(|number| format!("{part}-{number}"));
    std::iter::once(part.clone()).chain(numbered).find(|part| !is_taken(part)).unwrap_or(part)
}

/// Returns a key of a camera. `host` and `camera` are [parts](part) or [`ANY`].
pub(crate) fn of_camera(host: &str, camera: &str, topic: Topic) -> String {
    format!("{ROOT}/{host}/{camera}/{}", topic.name())
}

/// Returns the key of the liveliness token of a receiver. `host` is a [part](part) or [`ANY`].
pub(crate) fn host_alive(host: &str) -> String {
    format!("{ROOT}/{host}/{ALIVE}")
}

/// Returns the key of the liveliness token of a camera. `host` and `camera` are [parts](part) or [`ANY`].
pub(crate) fn camera_alive(host: &str, camera: &str) -> String {
    format!("{ROOT}/{host}/{camera}/{ALIVE}")
}

#[cfg(test)]
mod tests {
    use zenoh::key_expr::KeyExpr;

    use super::*;

    #[test]
    fn keys_are_parsed_back() {
        let (host, camera) = ("rack 3", "10.0.0.5:9876");
        let host_key = host_alive(host);
        assert_eq!((host_key.as_str(), Key::parse(&host_key)), ("oaktap/rack 3/alive", Some(Key::HostAlive { host })));
        let camera_key = camera_alive(host, camera);
        assert_eq!(Key::parse(&camera_key), Some(Key::CameraAlive { host, camera }));
        for topic in Topic::ALL {
            let key = of_camera(host, camera, topic);
            assert_eq!(Key::parse(&key), Some(Key::Camera { host, camera, topic }), "{key}");
        }
        // A camera with the name of a topic or of the token.
        let key = of_camera("alive", "alive", Topic::Frame);
        assert_eq!(Key::parse(&key), Some(Key::Camera { host: "alive", camera: "alive", topic: Topic::Frame }));
        for other in
            ["", "oaktap", "oaktap/", "oaktap/a", "oaktap/a/b", "oaktap/a/b/c", "oaktap/a/b/frame/x", "x/a/b/frame"]
        {
            assert_eq!(Key::parse(other), None, "{other}");
        }
    }

    #[test]
    fn every_name_is_one_valid_part_of_a_key() {
        for (name, expected) in [
            ("front", "front"),
            ("", "-"),
            ("a/b*c$d?e#f", "a-b-c-d-e-f"),
            ("@x@y", "-x@y"),
            ("Küche 2", "Küche 2"),
            ("**", "--"),
            ("a\nb\0", "a-b-"),
        ] {
            assert_eq!(part(name), expected);
            for key in [of_camera(&part(name), &part(name), Topic::Frame), host_alive(&part(name))] {
                let parsed = KeyExpr::try_from(key.clone()).expect("a key");
                assert!(!parsed.is_wild() && Key::parse(&key).is_some(), "{key}");
                let any = KeyExpr::try_from("oaktap/**").expect("a key");
                assert!(any.includes(&parsed), "{key} matches wildcards");
            }
        }
        assert_eq!(part(&"ä".repeat(1000)).chars().count(), PART_CHARS_MAX);
    }

    #[test]
    fn two_names_have_two_parts() {
        let taken = ["a-b".to_owned(), "a-b-2".to_owned()];
        assert_eq!(free_part("a/b", |part| taken.iter().any(|known| known == part)), "a-b-3");
        assert_eq!(free_part("c", |part| taken.iter().any(|known| known == part)), "c");
    }

    #[test]
    fn wildcards_match_the_keys_of_all() {
        let all = KeyExpr::try_from(of_camera(ANY, ANY, Topic::Frame)).expect("a key");
        let one = KeyExpr::try_from(of_camera("a", "b", Topic::Frame)).expect("a key");
        let other = KeyExpr::try_from(of_camera("a", "b", Topic::State)).expect("a key");
        assert!(all.includes(&one) && !all.intersects(&other));
    }
}
