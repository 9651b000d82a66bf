//! The line before a message: one function per dialect (wire.md sections 2, 5 and 7).
//!
//! [`line`] is asked at a place where a header should be; `begins` is asked everywhere else, to find one.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{char, digit1, one_of};
use nom::combinator::{map_opt, opt, recognize};
use nom::sequence::{pair, preceded, terminated};
use nom::{IResult, Parser};

use super::detections;
use super::event::Limits;
use super::record::{self, Record};
use crate::frame::{DeviceTime, Dialect};

/// Length of a header and of a record, in bytes, unless it overflows.
pub const LINE: usize = 32;

/// Length of the header of [`Dialect::Abcde256`].
const LINE_256: usize = 256;

/// Longest `IMG` header: `IMG `, a time of 20 characters, 9 and 7 digits, two spaces.
const LONGEST_IMG: usize = 43;

/// An `ABCDE-256` header whose tracks overflow ends here at the latest; fourteen tracks make 326 bytes.
const LONGEST_256: usize = 8192;

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The grammar that it was written in.
    pub dialect: Dialect,
    /// Its own length in bytes.
    pub len: usize,
    /// When the picture was taken.
    pub device_time: DeviceTime,
    /// Bytes of detections between header and payload.
    pub detections_len: usize,
    /// Bytes of payload.
    pub payload_len: usize,
}

/// What the bytes at a boundary are.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    /// A header; detections and payload follow.
    Message(Header),
    /// `DETECT`: this many bytes of JSON follow, which belong to the next `FRAME`.
    Detect { json_len: usize },
    /// A record of 32 bytes.
    Record(Record),
    /// A header by its grammar, that asks for more than the limits allow.
    TooLarge { claimed: u64 },
    /// No header of any dialect.
    Nothing,
    /// Cannot be told with fewer bytes than this.
    More(usize),
}

/// What stands at the beginning of `bytes`, where a header should be.
pub(super) fn line(bytes: &[u8], limits: &Limits) -> Line {
    let Some(start) = bytes.first_chunk::<LINE>() else { return Line::More(LINE) };
    match start {
        [b'I', b'M', b'G', b' ', ..] => img(bytes, limits),
        [b'A', b'B', b'C', b'D', b'E', b' ', ..] => abcde(bytes, limits),
        [b'F', b'R', b'A', b'M', b'E', b' ', ..] => match columns(start) {
            Some((device_time, len)) => message(
                Header { dialect: Dialect::Frame, len: LINE, device_time, detections_len: 0, payload_len: 0 },
                len,
                limits,
            ),
            None => Line::Nothing,
        },
        [b'D', b'E', b'T', b'E', b'C', b'T', ..] => match columns(start) {
            Some((_, len)) if len > limits.detections as u64 => Line::TooLarge { claimed: len },
            Some((_, len)) => Line::Detect { json_len: len as usize },
            None => Line::Nothing,
        },
        [b'@', ..] => record::parse(start).map_or(Line::Nothing, Line::Record),
        _ => Line::Nothing,
    }
}

/// Whether a header, a `DETECT` or a record begins here, judged by its first 32 bytes alone. Pixels do not look like
/// that by chance: digits, single spaces and padding have to stand where they belong.
pub(super) fn begins(bytes: &[u8], limits: &Limits) -> bool {
    let Some(start) = bytes.first_chunk::<LINE>() else { return false };
    match start {
        // Byte 32 and what follows decide only where such a header ends, not whether it is one.
        [b'A', b'B', b'C', b'D', b'E', b' ', ..] => {
            columns(start).is_some_and(|(_, len)| len <= limits.payload as u64 && len > 0)
        }
        [b'I', b'M', b'G', b' ', ..] => match img_tokens(bytes) {
            Some(tokens) => {
                tokens.payload_len <= limits.payload as u64
                    && tokens.payload_len > 0
                    && tokens.ends(bytes).next().is_some()
            }
            None => false,
        },
        _ => match line(start, limits) {
            Line::Message(_) | Line::Detect { .. } => true,
            Line::Record(record) => !record.is_words_only(),
            Line::More(_) | Line::TooLarge { .. } | Line::Nothing => false,
        },
    }
}

/// Bytes of payload that the header which begins here promises, by its first 32 bytes alone; `None` for a record.
pub(super) fn promised(bytes: &[u8]) -> Option<usize> {
    let start = bytes.first_chunk::<LINE>()?;
    let len = match start {
        [b'I', b'M', b'G', b' ', ..] => img_tokens(start)?.payload_len,
        [b'A', b'B', b'C', b'D', b'E', b' ', ..] | [b'F', b'R', b'A', b'M', b'E', b' ', ..] => columns(start)?.1,
        _ => return None,
    };
    usize::try_from(len).ok()
}

/// Whether these few bytes (fewer than a line) could be the beginning of a header.
pub(super) fn could_begin(bytes: &[u8]) -> bool {
    [&b"IMG "[..], b"ABCDE ", b"FRAME ", b"DETECT", b"@"].iter().any(|magic| {
        let n = magic.len().min(bytes.len());
        magic[..n] == bytes[..n]
    })
}

fn message(header: Header, payload_len: u64, limits: &Limits) -> Line {
    match usize::try_from(payload_len) {
        Ok(0) => Line::Nothing,
        Ok(len) if len <= limits.payload => Line::Message(Header { payload_len: len, ..header }),
        _ => Line::TooLarge { claimed: payload_len },
    }
}

/// `IMG <ts> <imglen> <detlen>`: the tokens, and where the run of digits of the last one begins and ends.
struct ImgTokens {
    device_time: DeviceTime,
    payload_len: u64,
    detlen_at: usize,
    digits_end: usize,
}

fn img_tokens(bytes: &[u8]) -> Option<ImgTokens> {
    let head = &bytes[..bytes.len().min(LONGEST_IMG + 1)];
    let (rest, (device_time, payload_len)) =
        (preceded(tag(&b"IMG "[..]), seconds), preceded(char(' '), terminated(number, char(' ')))).parse(head).ok()?;
    let detlen_at = head.len() - rest.len();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then_some(ImgTokens { device_time, payload_len, detlen_at, digits_end: detlen_at + digits })
}

impl ImgTokens {
    /// The lengths that this header can have. One, unless it overflows: then the digits of the last number and those
    /// of the first detection's label run together (wire.md section 5.2).
    fn ends<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = usize> + use<'a> {
        let (at, end) = (self.detlen_at, self.digits_end);
        let padded = end <= LINE && bytes[end..LINE.min(bytes.len())].iter().all(|byte| *byte == b' ');
        let overflowed = end > LINE || (end == LINE && bytes.len() > LINE);
        let candidates = if padded {
            LINE..=LINE
        } else if overflowed {
            LINE.max(at + 1)..=end.min(LONGEST_IMG)
        } else {
            #[allow(clippy::reversed_empty_ranges)] // No length is possible.
            {
                1..=0
            }
        };
        let zero = bytes[at] == b'0';
        candidates.filter(move |n| {
            let digits = (*n).min(end) - at;
            // A `0` stands alone.
            digits <= 7 && (!zero || digits == 1)
        })
    }
}

fn img(bytes: &[u8], limits: &Limits) -> Line {
    let Some(tokens) = img_tokens(bytes) else {
        // The tokens of an overflowing header may go on behind what is here.
        let overflows = bytes.len() < LONGEST_IMG && bytes[4..].iter().all(|byte| is_header_char(*byte));
        return if overflows && !bytes[4..].contains(&b' ') { Line::More(LONGEST_IMG) } else { Line::Nothing };
    };
    // Python writes no leading zeros, so behind a `0` there is no further digit to wait for.
    let complete = bytes[tokens.detlen_at] == b'0' && tokens.detlen_at + 1 >= LINE;
    if tokens.digits_end == bytes.len() && bytes.len() < LONGEST_IMG && !complete {
        return Line::More(LONGEST_IMG);
    }
    let header = |len: usize, detections_len: usize| {
        let header =
            Header { dialect: Dialect::Img, len, device_time: tokens.device_time, detections_len, payload_len: 0 };
        message(header, tokens.payload_len, limits)
    };
    let mut possible = None;
    for len in tokens.ends(bytes) {
        let digits = &bytes[tokens.detlen_at..len.min(tokens.digits_end)];
        let detections_len = digits.iter().fold(0, |n, digit| n * 10 + usize::from(digit - b'0'));
        if detections_len > limits.detections {
            if tokens.digits_end <= LINE {
                return Line::TooLarge { claimed: detections_len as u64 };
            }
            continue;
        }
        if tokens.digits_end < LINE || detections_len == 0 {
            return header(len, detections_len);
        }
        // The number may end here or further on: only the right end is followed by exactly a list of detections.
        let (Some(text), Some(behind)) = (bytes.get(len..len + detections_len), bytes.get(len + detections_len)) else {
            return Line::More(len + detections_len + 1);
        };
        if detections::is_list(text) {
            if *behind != b'|' {
                return header(len, detections_len);
            }
            // The list seems to go on, or the first pixel looks like it.
            possible = Some((len, detections_len));
        }
    }
    possible.map_or(Line::Nothing, |(len, detections_len)| header(len, detections_len))
}

const fn is_header_char(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b' ' | b'.' | b'-' | b'+' | b'e')
}

fn abcde(bytes: &[u8], limits: &Limits) -> Line {
    let Some((device_time, payload_len)) = bytes.first_chunk::<LINE>().and_then(columns) else { return Line::Nothing };
    let header = |dialect, len| {
        let header = Header { dialect, len, device_time, detections_len: 0, payload_len: 0 };
        message(header, payload_len, limits)
    };
    match bytes.get(LINE) {
        None if payload_len > 0 => Line::More(LINE + 1),
        Some(b'[') => match end_of_256(bytes) {
            Ok(Some(len)) => header(Dialect::Abcde256, len),
            Ok(None) => header(Dialect::Abcde, LINE),
            Err(more) => Line::More(more),
        },
        _ => header(Dialect::Abcde, LINE),
    }
}

/// Where a header of 256 bytes ends: it is text up to the JPEG that follows. Longer when its lists overflowed.
/// `None` when it is no such header after all.
fn end_of_256(bytes: &[u8]) -> Result<Option<usize>, usize> {
    let text = bytes[LINE..].iter().take(LONGEST_256).take_while(|byte| (b' '..=b'~').contains(byte)).count();
    let end = LINE + text;
    if end == bytes.len() {
        return if end < LONGEST_256 { Err(end.max(LINE_256) + 3) } else { Ok(None) };
    }
    let closed = bytes[LINE..end].trim_ascii_end().ends_with(b"]");
    match bytes.get(end..end + 2) {
        None => Err(end + 2),
        Some([0xff, 0xd8]) if closed && end >= LINE_256 => Ok(Some(end)),
        Some(_) => Ok(None),
    }
}

/// Time and length out of the fixed columns 6..24 and 24..32, whichever way they are padded.
fn columns(line: &[u8; LINE]) -> Option<(DeviceTime, u64)> {
    let (rest, time) = seconds(line[6..24].trim_ascii()).ok()?;
    let (more, len) = number(line[24..].trim_ascii()).ok()?;
    (rest.is_empty() && more.is_empty()).then_some((time, len))
}

/// An unsigned decimal of at most 9 digits (wire.md section 4).
pub(super) fn number(input: &[u8]) -> IResult<&[u8], u64> {
    map_opt(digit1, |digits: &[u8]| {
        (digits.len() <= 9).then(|| digits.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
    })
    .parse(input)
}

/// Seconds as Python writes a float (`12.42`, `0.0`, `5e-05`, `-3.25`) -> microseconds, rounded to the nearest.
///
/// Exact: a float of 64 bits would lose microseconds past 285 years only, but text is what the camera sent.
pub(super) fn seconds(input: &[u8]) -> IResult<&[u8], DeviceTime> {
    let exponent = preceded(one_of("eE"), recognize(pair(opt(one_of("+-")), digit1)));
    let fraction = opt(preceded(char('.'), digit1));
    map_opt((opt(char('-')), digit1, fraction, opt(exponent)), |(minus, whole, fraction, exponent)| {
        let fraction: &[u8] = fraction.unwrap_or_default();
        let exponent: i32 = exponent.map_or(Some(0), |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok())?;
        // Digits count down from this power of ten, in units of a microsecond.
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

/// A word without spaces.
pub(super) fn word(input: &[u8]) -> IResult<&[u8], &str> {
    map_opt(take_while1(|byte: u8| byte.is_ascii_graphic()), |word| std::str::from_utf8(word).ok()).parse(input)
}

/// A decimal that may carry a sign, a fraction and an exponent, or be `nan` or `inf`.
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

    fn parse(text: &[u8]) -> Line {
        line(text, &Limits::default())
    }

    fn micros(text: &str) -> Option<i64> {
        match seconds(text.as_bytes()) {
            Ok(([], time)) => Some(time.0),
            _ => None,
        }
    }

    fn message_of(text: &[u8]) -> Header {
        match parse(text) {
            Line::Message(header) => header,
            other => panic!("{other:?} from {:?}", String::from_utf8_lossy(text)),
        }
    }

    #[test]
    fn seconds_are_exact_microseconds() {
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

    #[test]
    fn the_seeds_header() {
        let header = message_of(b"IMG 12.345678 675840 109        ");
        assert_eq!(
            header,
            Header {
                dialect: Dialect::Img,
                len: 32,
                device_time: DeviceTime(12_345_678),
                detections_len: 109,
                payload_len: 675_840
            }
        );
    }

    #[test]
    fn what_is_no_header() {
        for text in [
            "IMG 12.345678 675840 109       x",
            "IMG 12.345678 675840  109       ",
            "IMG 12.345678 675840 1 9        ",
            "IMG 12.345678 675840            ",
            "IMG 12.345678 0 0               ",
            "IMG nan 675840 0                ",
            "IMG  12.345678 675840 0         ",
            "ABCDE 12.5              12 4    ",
            "ABCDE                   1234    ",
            "FRAME 12.5                      ",
            "DETECT                          ",
            "@                               ",
        ] {
            assert_eq!(parse(text.as_bytes()), Line::Nothing, "{text}");
            assert!(!begins(text.as_bytes(), &Limits::default()), "{text}");
        }
    }

    #[test]
    fn too_much_is_said_to_be_too_much() {
        assert_eq!(parse(b"IMG 1.5 999999999 0             "), Line::TooLarge { claimed: 999_999_999 });
        assert_eq!(parse(b"IMG 1.5 9216 9999999            "), Line::TooLarge { claimed: 9_999_999 });
        assert_eq!(parse(b"DETECT       1.5        99999999"), Line::TooLarge { claimed: 99_999_999 });
    }

    #[test]
    fn a_header_of_exactly_32_and_one_of_33_bytes() {
        let boxes = |n: usize| {
            let one = "0;50.0;0.1000;0.1000;0.2000;0.2000";
            vec![one; n].join("|")
        };
        // wire.md section 2.1: legal, no padding left.
        let text = boxes(10_764 / 35);
        let list = format!("{text}|{}", "7;100.0;-0.0123;-0.0000;1.5000;0.2000");
        for (ts, expected) in [("123456789.12345", 32), ("1234567890.12345", 33), ("1234567890.123456", 34)] {
            let header = format!("IMG {ts} 921600 {}", list.len());
            assert_eq!(header.len(), expected);
            let stream = format!("{header}{list}PIXELS");
            let found = message_of(stream.as_bytes());
            assert_eq!((found.len, found.detections_len), (expected, list.len()), "{header}");
            assert_eq!(parse(&stream.as_bytes()[..LINE]), Line::More(LONGEST_IMG), "{header}");
        }
        let bare = "IMG 1234567890.1234567 9216000 0";
        assert_eq!(bare.len(), 32);
        for pixel in [b'0', b'7', b' ', 0xff] {
            let mut stream = bare.as_bytes().to_vec();
            stream.push(pixel);
            assert_eq!(message_of(&stream).detections_len, 0, "pixel {pixel}");
        }
        assert_eq!(message_of(bare.as_bytes()).len, 32);
    }

    #[test]
    fn abcde_and_its_long_brother() {
        let short = *b"ABCDE 12.345678         958     ";
        let stream = [&short[..], &[0xff, 0xd8, 0xff]].concat();
        assert_eq!(message_of(&stream).dialect, Dialect::Abcde);
        assert_eq!(parse(&short), Line::More(33));
        for (counters, tracks, expected) in
            [("[0, 0, 0, 0]", 3, 256), ("[1000, 100, 0, 0]", 3, 257), ("[0, 0, 0, 0]", 14, 326)]
        {
            let tracks: Vec<_> = (0..tracks).map(|n| format!("['ID {n}', {n:2}, 105]")).collect();
            let text = format!("{counters:16}{:208}", format!("[{}]", tracks.join(", ")));
            let stream = [&short[..], text.as_bytes(), &[0xff, 0xd8, 0xff, 0xe0]].concat();
            let header = message_of(&stream);
            assert_eq!((header.dialect, header.len), (Dialect::Abcde256, 32 + text.len()));
            assert!(header.len >= expected - 30 && header.len <= expected + 30, "{}", header.len);
            for cut in LINE + 1..header.len {
                assert!(matches!(parse(&stream[..cut]), Line::More(n) if n > cut), "cut at {cut}");
            }
        }
        // A payload that begins with a bracket and is no list.
        let stream = [&short[..], b"[\x00\x01\x02"].concat();
        assert_eq!(message_of(&stream).dialect, Dialect::Abcde);
    }

    #[test]
    fn third_party_columns_are_centred() {
        let header = message_of(b"FRAME     12.345678      94211  ");
        assert_eq!((header.dialect, header.payload_len, header.device_time.0), (Dialect::Frame, 94_211, 12_345_678));
        assert_eq!(parse(b"DETECT    12.345678       183   "), Line::Detect { json_len: 183 });
    }

    #[test]
    fn nothing_is_judged_on_fewer_bytes_than_a_line() {
        assert_eq!(parse(b"IMG 12.5"), Line::More(32));
        assert!(could_begin(b"IM") && could_begin(b"ABCDE 1") && could_begin(b"@") && !could_begin(b"XIM"));
    }
}
