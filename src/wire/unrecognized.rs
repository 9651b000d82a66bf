//! Explains the first line of a connection that is in the place of a header but is not one, for people who write senders.

use std::fmt;

use super::header::{Opening, opening};
use super::limits::Limits;
use super::text::{Excerpt, LINE, number, seconds};

/// A line in the place of a header that cannot be used as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unrecognized {
    /// Position in bytes since the connection was opened.
    pub at: u64,
    line: [u8; LINE],
    len: usize,
}

/// Reason why a line that begins like a header is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// A field has another form.
    Field {
        /// The field, for the sentence "expected ...".
        expected: &'static str,
        /// Position of the field in bytes since the connection was opened.
        at: u64,
        /// The bytes in its place.
        found: Excerpt,
    },
    /// The payload would be empty.
    NoPayload,
    /// The payload is longer than allowed.
    Payload {
        /// Bytes announced.
        claimed: u64,
        /// Bytes allowed.
        max: usize,
    },
    /// The text of the detections is longer than allowed.
    Detections {
        /// Bytes announced.
        claimed: u64,
        /// Bytes allowed.
        max: usize,
    },
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { expected, at, found } => write!(f, "expected {expected}, found {found} at byte {at}"),
            Self::NoPayload => f.write_str("the header announces a payload of 0 bytes, so the frame has no picture"),
            Self::Payload { claimed, max } => {
                write!(f, "the header announces a payload of {claimed} bytes: expected at most {max}")
            }
            Self::Detections { claimed, max } => {
                write!(f, "the header announces detections of {claimed} bytes: expected at most {max}")
            }
        }
    }
}

impl Unrecognized {
    /// Keeps the first line of `bytes`, which are at this position.
    pub(crate) fn new(at: u64, bytes: &[u8]) -> Self {
        let len = bytes.len().min(LINE);
        let mut line = [0; LINE];
        line[..len].copy_from_slice(&bytes[..len]);
        Self { at, line, len }
    }

    /// Returns the bytes of the line.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.line[..self.len]
    }

    /// Returns why the line is not a header; `None` if it does not begin like one.
    #[must_use]
    pub fn fault(&self, limits: &Limits) -> Option<HeaderFault> {
        let line: &[u8; LINE] = self.bytes().try_into().ok()?;
        let field = |expected, from: &[u8]| {
            let at = self.at + (LINE - from.len()) as u64;
            HeaderFault::Field { expected, at, found: Excerpt::new(from) }
        };
        let (payload_len, detections_len) = match opening(line)? {
            Opening::Img => match img(line) {
                Ok(lengths) => lengths,
                Err((expected, from)) => return Some(field(expected, from)),
            },
            Opening::Record => {
                return Some(field("a record of 32 bytes of text, such as `@D 640 352 BGR888p` and spaces", line));
            }
            Opening::Abcde | Opening::Frame | Opening::Detect => {
                if !seconds(line[6..24].trim_ascii()).is_ok_and(|(rest, _)| rest.is_empty()) {
                    return Some(field("the capture time in seconds in bytes 6 to 23 of the header", &line[6..]));
                }
                match number(line[24..].trim_ascii()) {
                    Ok(([], len)) if opening(line) == Some(Opening::Detect) => (1, len),
                    Ok(([], len)) => (len, 0),
                    _ => {
                        return Some(field(
                            "a length of at most 9 digits in bytes 24 to 31 of the header",
                            &line[24..],
                        ));
                    }
                }
            }
        };
        if payload_len == 0 {
            Some(HeaderFault::NoPayload)
        } else if payload_len > limits.payload as u64 {
            Some(HeaderFault::Payload { claimed: payload_len, max: limits.payload })
        } else {
            let max = limits.detections;
            (detections_len > max as u64).then_some(HeaderFault::Detections { claimed: detections_len, max })
        }
    }
}

/// Returns the lengths of the payload and of the detections, or the field that is not as expected and the bytes from there.
fn img(line: &[u8; LINE]) -> Result<(u64, u64), (&'static str, &[u8])> {
    let rest = &line[4..];
    let (rest, _) = seconds(rest).map_err(|_| ("the capture time in seconds", rest))?;
    let rest = rest.strip_prefix(b" ").ok_or(("one space after the capture time", rest))?;
    let (rest, payload_len) = number(rest).map_err(|_| ("the length of the payload, at most 9 digits", rest))?;
    let rest = rest.strip_prefix(b" ").ok_or(("one space after the length of the payload", rest))?;
    let (rest, detections_len) =
        number(rest).map_err(|_| ("the length of the detections, 0 without detections", rest))?;
    match rest.iter().position(|byte| *byte != b' ') {
        Some(other) => Err(("spaces up to the 32nd byte of the header", &rest[other..])),
        None => Ok((payload_len, detections_len)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Interpreter, Pool, Received};
    use crate::wire::Decoder;

    fn fault(line: &[u8]) -> Option<String> {
        let limits = Limits { payload: 1000, detections: 100, boxes: 10 };
        Unrecognized::new(64, line).fault(&limits).map(|fault| fault.to_string())
    }

    fn padded(text: &str) -> Vec<u8> {
        format!("{text:32}").into_bytes()
    }

    #[test]
    fn faults_of_headers_name_the_field_and_its_bytes() {
        for (text, explained) in [
            ("IMG x 900 0", "expected the capture time in seconds, found `x 900 0` at byte 68"),
            ("IMG  1.5 900 0", "expected the capture time in seconds, found ` 1.5 900 0` at byte 68"),
            ("IMG 1,5 900 0", "expected one space after the capture time, found `,5 900 0` at byte 69"),
            ("IMG 1.5  900 0", "expected the length of the payload, at most 9 digits, found ` 900 0` at byte 72"),
            ("IMG 1.5 900", "expected the length of the detections, 0 without detections, found nothing at byte 76"),
            ("IMG 1.5 900 0\n", "expected spaces up to the 32nd byte of the header, found `\\n` at byte 77"),
            ("IMG 1.5 900 0 7", "expected spaces up to the 32nd byte of the header, found `7` at byte 78"),
            (
                "IMG 1.5 1234567890 0",
                "expected the length of the payload, at most 9 digits, found `1234567890 0` at byte 72",
            ),
            ("IMG 1.5 1001 0", "the header announces a payload of 1001 bytes: expected at most 1000"),
            ("IMG 1.5 0 0", "the header announces a payload of 0 bytes, so the frame has no picture"),
            ("IMG 1.5 900 101", "the header announces detections of 101 bytes: expected at most 100"),
            (
                "ABCDE 1.5 900",
                "expected the capture time in seconds in bytes 6 to 23 of the header, found `1.5 900` at byte 70",
            ),
            (
                "FRAME 1.5                9e3",
                "expected a length of at most 9 digits in bytes 24 to 31 of the header, found ` 9e3` at byte 88",
            ),
            ("DETECT1.5               101", "the header announces detections of 101 bytes: expected at most 100"),
            (
                "@D 640 352\tBGR888p",
                "expected a record of 32 bytes of text, such as `@D 640 352 BGR888p` and spaces, found `@D 640 352\\tBGR888p` at byte 64",
            ),
        ] {
            assert_eq!(fault(&padded(text)).as_deref(), Some(explained), "{text:?}");
        }
        for other in [&b"HTTP/1.0 200 OK\r\n\r\n           "[..], b"IMG 1.5 900 0"] {
            assert_eq!(fault(other), None, "not a header, or not 32 bytes");
        }
    }

    #[test]
    fn the_first_line_that_is_not_a_header_is_kept_with_its_position() {
        let bytes = [padded("@D 160 96 BGR888p"), padded("@R 10"), padded("IMG 1.5 abc 0"), vec![7; 100]].concat();
        for step in [1, 7, 32, bytes.len()] {
            let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
            for part in bytes.chunks(step) {
                decoder.feed(part, Received::default());
                while decoder.poll().is_some() {}
            }
            let found = decoder.unrecognized().expect("a line");
            assert_eq!((found.at, found.bytes()), (64, &padded("IMG 1.5 abc 0")[..]), "in parts of {step} bytes");
            decoder.restart();
            assert_eq!(decoder.unrecognized(), None);
        }
    }
}
