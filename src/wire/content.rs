//! Recognizes what a message holds whose transport marks its beginning and its end: HTTP, MQTT and UDP have no common type
//! for it.

use super::header;
use super::text::LINE;

/// First bytes of a PNG file.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Longest number, in bytes. Python prints at most 24.
const MAX_NUMBER_BYTES: usize = 32;

/// Content of a message, by its bytes. Each transport decides which contents it accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Content {
    /// No byte.
    Empty,
    /// A JPEG.
    Jpeg,
    /// A PNG.
    Png,
    /// A message as over TCP, which begins with its header.
    Message,
    /// Records as over TCP, alone or before a message.
    Records,
    /// Text that begins like a JSON list.
    List,
    /// Text that begins like a JSON object.
    Object,
    /// A finite decimal number.
    Number(f64),
    /// Other text.
    Text,
    /// Anything else, such as pixels.
    Binary,
}

impl Content {
    /// Recognizes the content of a message.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            return Self::Jpeg;
        }
        if is_png(bytes) {
            return Self::Png;
        }
        if bytes.len() >= LINE && bytes[0] == b'@' {
            return Self::Records;
        }
        if bytes.len() >= LINE && header::can_start_message(bytes) {
            return Self::Message;
        }
        // Pixels are text only by chance, and never for long.
        let Ok(text) = std::str::from_utf8(bytes) else { return Self::Binary };
        if text.bytes().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) {
            return Self::Binary;
        }
        let text = text.trim();
        match (number(text), text.as_bytes().first()) {
            (Some(number), _) => Self::Number(number),
            (None, Some(b'[')) => Self::List,
            (None, Some(b'{')) => Self::Object,
            (None, _) => Self::Text,
        }
    }
}

/// Returns whether a payload is a PNG file.
pub(crate) fn is_png(payload: &[u8]) -> bool {
    payload.starts_with(PNG)
}

/// Parses a finite decimal number. Words such as `nan` are not numbers.
fn number(text: &str) -> Option<f64> {
    let is_decimal = text.len() <= MAX_NUMBER_BYTES
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if is_decimal { text.parse().ok().filter(|number: &f64| number.is_finite()) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn contents_are_recognized() {
        for (bytes, content) in [
            (&b""[..], Content::Empty),
            (b"\xff\xd8\xff\xe0", Content::Jpeg),
            (b"\x89PNG\r\n\x1a\n", Content::Png),
            (b"\0\0\0\x01\x67", Content::Binary),
            (&[7; 100], Content::Binary),
            (b"\x00", Content::Binary),
            (b"[\xff\xff", Content::Binary),
            (b"IMG 1.0 3 0                     BGR", Content::Message),
            (b"@F 1 2                          ", Content::Records),
            (b"@F 1 2", Content::Text),
            (b"IMG 1.0", Content::Text),
            (b" [] ", Content::List),
            (b"[{\"label\":\"T\xc3\xbcr\"}]", Content::List),
            (b"{\"state\":1}", Content::Object),
            (b"2.1", Content::Number(2.1)),
            (b"1.97\n", Content::Number(1.97)),
            (b"-1e-05", Content::Number(-1e-5)),
            (b"nan", Content::Text),
            (b"1e999", Content::Text),
            (b"1.2.3", Content::Text),
            (b"12,5", Content::Text),
            (b"-", Content::Text),
            (b"online", Content::Text),
            (b"  ", Content::Text),
        ] {
            assert_eq!(Content::of(bytes), content, "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn every_finite_number_is_recognized_and_nothing_else(value in any::<f64>(), text in "[-+.eE0-9naif x]{0,12}") {
            // `{:e}` has at most 24 bytes, as Python's repr.
            let expected = if value.is_finite() { Content::Number(value) } else { Content::Text };
            prop_assert_eq!(Content::of(format!("{value:e}").as_bytes()), expected);
            if let Content::Number(found) = Content::of(text.as_bytes()) {
                prop_assert_eq!(text.trim().parse::<f64>(), Ok(found));
            }
        }

        #[test]
        fn pictures_are_recognized_whatever_follows(rest in prop::collection::vec(any::<u8>(), 0..100)) {
            for (start, content) in [(&b"\xff\xd8\xff"[..], Content::Jpeg), (PNG, Content::Png)] {
                prop_assert_eq!(Content::of(&[start, &rest].concat()), content);
            }
            prop_assert_eq!(Content::of(&rest) == Content::Empty, rest.is_empty());
        }
    }
}
