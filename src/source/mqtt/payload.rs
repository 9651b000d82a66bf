//! Kind of a published message, by its first bytes: MQTT 3.1.1 has no content type.

use crate::source::png;
use crate::wire::{LINE, header};

/// Longest number, in bytes. Python prints at most 24.
const MAX_NUMBER_BYTES: usize = 32;

/// Kind of a published message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Payload {
    /// Nothing: the publisher clears a retained message.
    Empty,
    /// A picture without a header: JPEG, PNG, video or raw pixels.
    Picture,
    /// A message as over TCP.
    Message,
    /// The detections of the next picture: a JSON list.
    Detections,
    /// A decimal number, as the official example sends it.
    Number(f64),
    /// Text with another meaning, such as the state of a device.
    Text,
}

impl Payload {
    pub(super) fn of(payload: &[u8]) -> Self {
        if payload.is_empty() {
            return Self::Empty;
        }
        if payload.starts_with(&[0xff, 0xd8, 0xff]) || png::is_png(payload) {
            return Self::Picture;
        }
        if payload.len() >= LINE && header::can_start_message(payload) {
            return Self::Message;
        }
        // Pixels are text only by chance, and never for long.
        let Ok(text) = std::str::from_utf8(payload) else { return Self::Picture };
        if text.bytes().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) {
            return Self::Picture;
        }
        let text = text.trim();
        match number(text) {
            Some(number) => Self::Number(number),
            None if text.starts_with('[') => Self::Detections,
            None => Self::Text,
        }
    }
}

/// Parses a finite decimal number. Words such as `nan` are none.
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
    fn payloads_are_recognized() {
        for (payload, kind) in [
            (&b""[..], Payload::Empty),
            (b"\xff\xd8\xff\xe0", Payload::Picture),
            (b"\x89PNG\r\n\x1a\n", Payload::Picture),
            (b"\0\0\0\x01\x67", Payload::Picture),
            (&[7; 100], Payload::Picture),
            (b"\x00", Payload::Picture),
            (b"IMG 1.0 3 0                     BGR", Payload::Message),
            (b"IMG 1.0", Payload::Text),
            (b" [] ", Payload::Detections),
            (b"[{\"label\":\"T\xc3\xbcr\"}]", Payload::Detections),
            (b"2.1", Payload::Number(2.1)),
            (b"1.97\n", Payload::Number(1.97)),
            (b"-1e-05", Payload::Number(-1e-5)),
            (b"nan", Payload::Text),
            (b"1e999", Payload::Text),
            (b"1.2.3", Payload::Text),
            (b"12,5", Payload::Text),
            (b"-", Payload::Text),
            (b"{\"state\":1}", Payload::Text),
            (b"online", Payload::Text),
        ] {
            assert_eq!(Payload::of(payload), kind, "{}", payload.escape_ascii());
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
            let expected = if value.is_finite() { Payload::Number(value) } else { Payload::Text };
            prop_assert_eq!(Payload::of(format!("{value:e}").as_bytes()), expected);
            if let Payload::Number(found) = Payload::of(text.as_bytes()) {
                prop_assert_eq!(text.trim().parse::<f64>(), Ok(found));
            }
        }

        #[test]
        fn pictures_are_recognized_whatever_follows(rest in prop::collection::vec(any::<u8>(), 0..100)) {
            for start in [&b"\xff\xd8\xff"[..], b"\x89PNG\r\n\x1a\n"] {
                prop_assert_eq!(Payload::of(&[start, &rest].concat()), Payload::Picture);
            }
            let of_any = Payload::of(&rest);
            prop_assert_eq!(of_any == Payload::Empty, rest.is_empty());
        }
    }
}
