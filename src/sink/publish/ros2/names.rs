//! Names of ROS 2: of topics, namespaces and frames.
//!
//! A topic is a path of tokens with ASCII letters, digits and `_`, none of which begins with a digit or has two `_` in a row
//! (design.ros2.org, "Topic and Service name mapping to DDS"). A token that begins with `_` is hidden from `ros2 topic list`.

/// Before names of cameras that begin with a digit.
pub(super) const CAMERA: &str = "camera";

/// The same for names of streams.
pub(super) const STREAM: &str = "stream";

/// The same for names of hosts.
pub(super) const HOST: &str = "host";

/// Longest name of a camera or stream in a topic. Names that users give have at most 64 characters.
const NAME_CHARS_MAX: usize = 64;

/// Longest namespace in bytes. A topic of ROS has at most 247 bytes, with the name of the camera and what follows it.
const NAMESPACE_MAX_BYTES: usize = 64;

/// Returns the name of a camera or stream as a token of a topic: `front-left` becomes `front_left`, and `10.0.0.5` becomes
/// `camera_10_0_0_5` with that prefix. `is_taken` returns whether another one has a name.
pub(super) fn token(name: &str, prefix: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut token = String::new();
    for c in name.chars().take(NAME_CHARS_MAX) {
        match c {
            c if c.is_ascii_alphanumeric() => token.push(c),
            _ if token.ends_with('_') || token.is_empty() => {}
            _ => token.push('_'),
        }
    }
    let token = token.trim_end_matches('_');
    let token = match token.chars().next() {
        None => prefix.to_owned(),
        Some(first) if first.is_ascii_digit() => format!("{prefix}_{token}"),
        Some(_) => token.to_owned(),
    };
    let numbered = (2..).map(|number| format!("{token}_{number}"));
    std::iter::once(token.clone()).chain(numbered).find(|token| !is_taken(token)).unwrap_or(token)
}

/// Returns the name of the frame of coordinates of a camera: x to the right in the picture, y down, z into it (REP 103).
pub(super) fn frame_id(token: &str) -> String {
    format!("{token}_optical_frame")
}

/// Returns a topic with these parts, of which some may be empty.
pub(super) fn topic(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.is_empty()).flat_map(|part| ["/", *part]).collect()
}

/// Checks a namespace that a user gave, without slashes around it.
///
/// # Errors
/// It is not valid in ROS. The error says why.
pub(super) fn check_namespace(namespace: &str) -> Result<(), String> {
    let is_token = |token: &str| {
        token.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && token.chars().next().is_some_and(|first| !first.is_ascii_digit())
            && !token.contains("__")
    };
    if namespace.len() > NAMESPACE_MAX_BYTES {
        return Err(format!("the namespace has {} bytes; expected at most {NAMESPACE_MAX_BYTES}", namespace.len()));
    }
    match namespace.split('/').find(|token| !is_token(token)) {
        Some(token) => Err(format!(
            "invalid namespace `{namespace}`: found `{token}`; expected letters, digits and single `_` between slashes, \
             and no digit first"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cameras_become_tokens() {
        for (name, expected) in [
            ("front", "front"),
            ("front-left", "front_left"),
            ("Front_1", "Front_1"),
            ("192.168.1.50", "camera_192_168_1_50"),
            ("10.0.0.5:9876", "camera_10_0_0_5_9876"),
            ("a/+#\u{1}b", "a_b"),
            ("__x__", "x"),
            ("T\u{fc}r", "T_r"),
            ("\u{9580}", "camera"),
            ("", "camera"),
        ] {
            let token = token(name, CAMERA, |_| false);
            assert_eq!(token, expected);
            assert_eq!(check_namespace(&token), Ok(()));
        }
        assert_eq!(token(&"x".repeat(70_000), CAMERA, |_| false).len(), NAME_CHARS_MAX);
    }

    #[test]
    fn two_cameras_have_two_tokens() {
        let taken = ["a_b", "a_b_2"];
        assert_eq!(token("a-b", CAMERA, |token| taken.contains(&token)), "a_b_3");
    }

    #[test]
    fn topics_and_frames() {
        assert_eq!(topic(&["", "front_left", "", "image"]), "/front_left/image");
        assert_eq!(topic(&["site/a", "front", "depth", "image"]), "/site/a/front/depth/image");
        assert_eq!(frame_id("front_left"), "front_left_optical_frame");
        let longest = ["n".repeat(NAMESPACE_MAX_BYTES), "c".repeat(NAME_CHARS_MAX), "s".repeat(NAME_CHARS_MAX)];
        let [namespace, camera, stream] = longest.each_ref().map(String::as_str);
        let longest = topic(&[namespace, camera, stream, "image/compressed"]);
        assert!(longest.len() <= 247, "{}", longest.len());
    }

    #[test]
    fn invalid_namespaces_are_explained() {
        assert_eq!(check_namespace("site/hall_3"), Ok(()));
        for (namespace, found) in [
            ("", "found ``"),
            ("a//b", "found ``"),
            ("3d", "found `3d`"),
            ("hall-3", "found `hall-3`"),
            ("a__b", "found `a__b`"),
            ("t\u{fc}r", "found `t\u{fc}r`"),
        ] {
            let error = check_namespace(namespace).unwrap_err();
            assert!(error.contains(found) && error.contains("no digit first"), "{error}");
        }
        assert!(check_namespace(&"n".repeat(65)).unwrap_err().contains("has 65 bytes; expected at most 64"));
    }
}
