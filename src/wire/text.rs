//! The 32-byte line and the text fields shared by headers, records and detections.

use std::fmt;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{char, digit1, one_of};
use nom::combinator::{map_opt, opt, recognize};
use nom::sequence::{pair, preceded};
use nom::{IResult, Parser};

use crate::frame::DeviceTime;

/// Length of a record, and of a header that does not overflow, in bytes.
pub const LINE: usize = 32;

/// The first bytes of a text that was not understood, for errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excerpt {
    bytes: [u8; LINE],
    len: u8,
    is_cut: bool,
}

impl Excerpt {
    /// Returns the first bytes of `text`, at most 32, without the spaces at its end.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        let end = text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        let text = &text[..end];
        let mut len = text.len().min(LINE);
        // Not in the middle of a character.
        while len > LINE - 4 && text.get(len).is_some_and(|byte| byte & 0xc0 == 0x80) {
            len -= 1;
        }
        let mut bytes = [0; LINE];
        bytes[..len].copy_from_slice(&text[..len]);
        Self { bytes, len: len as u8, is_cut: len < text.len() }
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for Excerpt {
    /// Formats it in backticks. Bytes that are not text are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.len == 0 {
            return f.write_str("nothing");
        }
        f.write_str("`")?;
        for chunk in self.bytes().utf8_chunks() {
            for c in chunk.valid().chars() {
                match u8::try_from(c) {
                    Ok(byte) if byte.is_ascii_control() => write!(f, "{}", byte.escape_ascii())?,
                    _ if c.is_control() => write!(f, "{}", c.escape_default())?,
                    _ => write!(f, "{c}")?,
                }
            }
            write!(f, "{}", chunk.invalid().escape_ascii())?;
        }
        f.write_str(if self.is_cut { "...`" } else { "`" })
    }
}

/// Parses an unsigned decimal of at most 9 digits (wire.md section 4).
pub(super) fn number(input: &[u8]) -> IResult<&[u8], u64> {
    map_opt(digit1, |digits: &[u8]| {
        (digits.len() <= 9).then(|| digits.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
    })
    .parse(input)
}

/// Parses seconds as Python prints a float (`12.42`, `0.0`, `5e-05`, `-3.25`), rounded to the nearest microsecond.
///
/// Works on the decimal digits, so that no binary rounding occurs.
pub(super) fn seconds(input: &[u8]) -> IResult<&[u8], DeviceTime> {
    let exponent = preceded(one_of("eE"), recognize(pair(opt(one_of("+-")), digit1)));
    let fraction = opt(preceded(char('.'), digit1));
    map_opt((opt(char('-')), digit1, fraction, opt(exponent)), |(minus, whole, fraction, exponent)| {
        let fraction: &[u8] = fraction.unwrap_or_default();
        let exponent: i32 = exponent.map_or(Some(0), |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok())?;
        // Power of ten, in microseconds, just above the first digit.
        let mut power = i32::try_from(whole.len()).ok()?.checked_add(exponent)?.checked_add(6)?;
        let mut micros: i64 = 0;
        let mut round_up = false;
        for digit in whole.iter().chain(fraction) {
            power = power.checked_sub(1)?;
            let digit = i64::from(digit - b'0');
            if power >= 0 {
                micros = micros.checked_mul(10)?.checked_add(digit)?;
            } else if power == -1 {
                round_up = digit >= 5;
            }
        }
        for _ in 0..power.clamp(0, 19) {
            micros = micros.checked_mul(10)?;
        }
        micros = micros.checked_add(i64::from(round_up))?;
        Some(DeviceTime(if minus.is_some() { -micros } else { micros }))
    })
    .parse(input)
}

/// Parses printable ASCII up to the next space.
pub(super) fn word(input: &[u8]) -> IResult<&[u8], &str> {
    map_opt(take_while1(|byte: u8| byte.is_ascii_graphic()), |word| std::str::from_utf8(word).ok()).parse(input)
}

/// Parses a decimal with optional sign, fraction and exponent, or `nan`, `inf`, `-nan`, `-inf`.
pub(super) fn float(input: &[u8]) -> IResult<&[u8], f32> {
    let digits = recognize((
        opt(one_of("+-")),
        digit1,
        opt(pair(char('.'), opt(digit1))),
        opt((one_of("eE"), opt(one_of("+-")), digit1)),
    ));
    let words = recognize(pair(opt(char('-')), alt((tag(&b"nan"[..]), tag(&b"inf"[..])))));
    map_opt(alt((digits, words)), |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok()).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_show_text_and_escape_other_bytes() {
        let long = [b'x'; 40];
        for (text, shown) in [
            (&b"0;50;0.1  "[..], "`0;50;0.1`"),
            ("Bäcker".as_bytes(), "`Bäcker`"),
            (b"B\xe4cker\0\n.", "`B\\xe4cker\\x00\\n.`"),
            (b"", "nothing"),
            (&long[..32], "`xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`"),
            (&long[..33], "`xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...`"),
            (format!("{}ä.", "x".repeat(31)).as_bytes(), "`xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...`"),
        ] {
            assert_eq!(Excerpt::new(text).to_string(), shown);
        }
        for start in 0..32 {
            let text = format!("{}{}", "x".repeat(start), "\u{1f98a}".repeat(16));
            assert!(std::str::from_utf8(Excerpt::new(text.as_bytes()).bytes()).is_ok(), "cut at {start}");
        }
    }

    fn micros(text: &str) -> Option<i64> {
        match seconds(text.as_bytes()) {
            Ok(([], time)) => Some(time.0),
            _ => None,
        }
    }

    #[test]
    fn seconds_parse_to_exact_microseconds() {
        for (text, expected) in [
            ("12.345678", Some(12_345_678)),
            ("13.0", Some(13_000_000)),
            ("0.0", Some(0)),
            ("5e-05", Some(50)),
            ("1e-06", Some(1)),
            ("1.5e-05", Some(15)),
            ("-3.25", Some(-3_250_000)),
            ("12.420677999999999", Some(12_420_678)),
            ("9223372036854.775807", Some(i64::MAX)),
            ("9223372036854.775808", None),
            ("1e+16", None),
            ("1e12", Some(1_000_000_000_000_000_000)),
            ("1e-999999999", Some(0)),
            ("1e999999999", None),
            ("1e99999999999", None),
            ("nan", None),
            ("", None),
        ] {
            assert_eq!(micros(text), expected, "{text}");
        }
    }
}
