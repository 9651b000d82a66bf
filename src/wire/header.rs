//! Headers: one parser per dialect (wire.md sections 2, 5 and 7).
//!
//! [`parse`] reads the line at a message boundary. [`is_plausible`] checks a candidate anywhere else, when the decoder
//! searches for the next boundary.
//!
//! A new dialect takes a variant of [`Dialect`] with its row in [`Dialect::grammar`], its magic in [`MAGICS`] with an
//! arm in the functions that match on [`Opening`], and an arm in [`encode::header`](super::encode::header).

use std::fmt;
use std::str::FromStr;

use nom::Parser;
use nom::bytes::complete::tag;
use nom::character::complete::char;
use nom::sequence::{preceded, terminated};

use super::detections;
use super::limits::Limits;
use super::record::{self, Record};
use super::text::{LINE, number, seconds};
use crate::frame::DeviceTime;

/// Length of the header of [`Dialect::Abcde256`] in bytes, unless its lists overflow.
const ABCDE_256_LEN: usize = 256;

/// Longest `IMG` header in bytes: `IMG `, a time of 20 characters, 9 and 7 digits, two spaces.
const MAX_IMG_LEN: usize = 43;

/// Longest `ABCDE-256` header in bytes that is accepted; fourteen tracks make 326 bytes.
const MAX_ABCDE_256_LEN: usize = 8192;

/// Grammar of the messages of a stream (wire.md section 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `IMG <ts> <imglen> <detlen>`, 32 bytes or more (F1): the program on Luxonis' page about standalone mode.
    #[default]
    Img,
    /// `ABCDE ` with fixed columns, 32 bytes (F2, F3): the encoded-video examples.
    Abcde,
    /// `ABCDE ` with counters and tracks, 256 bytes or more (F4): the counting example.
    Abcde256,
    /// `FRAME ` and `DETECT`, 32 bytes each (V1): a third party's program.
    Frame,
}

/// Form in which a dialect sends detections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectionSyntax {
    /// The dialect has no place for them. Cameras with the extension send `@B` records instead.
    None,
    /// `label;conf;xmin;ymin;xmax;ymax|...` between header and payload.
    Text,
    /// A JSON list in a `DETECT` message before the frame's header.
    Json,
}

/// Properties of a dialect, apart from the layout of its header.
struct Grammar {
    name: &'static str,
    detections: DetectionSyntax,
    raw_pixels: bool,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 4] = [Self::Img, Self::Abcde, Self::Abcde256, Self::Frame];

    const fn grammar(self) -> Grammar {
        use DetectionSyntax::{Json, None, Text};
        match self {
            Self::Img => Grammar { name: "IMG", detections: Text, raw_pixels: true },
            Self::Abcde => Grammar { name: "ABCDE", detections: None, raw_pixels: false },
            Self::Abcde256 => Grammar { name: "ABCDE-256", detections: None, raw_pixels: false },
            Self::Frame => Grammar { name: "FRAME", detections: Json, raw_pixels: false },
        }
    }

    /// Its name in recordings, JSON and command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.grammar().name
    }

    /// The form of its detections.
    #[must_use]
    pub const fn detections(self) -> DetectionSyntax {
        self.grammar().detections
    }

    /// Returns whether payloads may be raw pixels, whose length does not vary. Otherwise they are encoded.
    #[must_use]
    pub const fn carries_raw_pixels(self) -> bool {
        self.grammar().raw_pixels
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no dialect has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown dialect `{0}`: expected one of {known}", known = Dialect::ALL.map(Dialect::name).join(", "))]
pub struct UnknownDialect(pub String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    /// Parses a [name](Self::name), in any case.
    fn from_str(name: &str) -> Result<Self, UnknownDialect> {
        let known = Self::ALL.into_iter().find(|dialect| dialect.name().eq_ignore_ascii_case(name));
        known.ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}

/// Kinds of lines that can start at a message boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Img,
    Abcde,
    Frame,
    Detect,
    Record,
}

const DETECT: &[u8] = b"DETECT";

/// First bytes of each kind of line. The only list of them: for parsing, for the search of the next header, and for the
/// check whether a server is a camera at all.
pub(super) const MAGICS: [(&[u8], Opening); 5] = [
    (b"IMG ", Opening::Img),
    (b"ABCDE ", Opening::Abcde),
    (b"FRAME ", Opening::Frame),
    (DETECT, Opening::Detect),
    (b"@", Opening::Record),
];

/// Length of the longest of [`MAGICS`] in bytes.
pub(super) const LONGEST_MAGIC: usize = {
    let (mut longest, mut i) = (0, 0);
    while i < MAGICS.len() {
        if MAGICS[i].0.len() > longest {
            longest = MAGICS[i].0.len();
        }
        i += 1;
    }
    longest
};

pub(super) fn opening(line: &[u8; LINE]) -> Option<Opening> {
    MAGICS.iter().find(|(magic, _)| line.starts_with(magic)).map(|(_, opening)| *opening)
}

/// Returns whether a message of a stream can start with `bytes`. One byte may be enough to rule that out, and six are
/// not enough to be sure.
pub(crate) fn can_start_message(bytes: &[u8]) -> bool {
    MAGICS.iter().any(|(magic, _)| {
        let n = magic.len().min(bytes.len());
        magic[..n] == bytes[..n]
    })
}

/// Returns whether the stored header of a frame contains that of a `DETECT` message, before its own.
pub(super) fn has_detect(header: &[u8]) -> bool {
    header.len() > LINE && header.starts_with(DETECT)
}

/// A message header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) dialect: Dialect,
    /// Its own length in bytes.
    pub(super) len: usize,
    /// Capture time.
    pub(super) device_time: DeviceTime,
    /// Bytes of detections between header and payload.
    pub(super) detections_len: usize,
    /// Bytes of payload.
    pub(super) payload_len: usize,
}

/// Result of parsing the bytes at a message boundary.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parsed {
    /// A header; detections and payload follow.
    Message(Header),
    /// The header of a `DETECT` message; this many bytes of JSON follow, which belong to the next `FRAME`.
    Detect { json_len: usize },
    /// A record of 32 bytes.
    Record(Record),
    /// A valid header whose lengths exceed the limits.
    TooLarge { claimed: u64 },
    /// Neither a header nor a record.
    Unrecognized,
    /// Undecided: parsing needs at least this many bytes.
    NeedBytes(usize),
}

/// Parses the header or record at the start of `bytes`, which is a message boundary.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Parsed {
    let Some(start) = bytes.first_chunk::<LINE>() else { return Parsed::NeedBytes(LINE) };
    match opening(start) {
        Some(Opening::Img) => img(bytes, limits),
        Some(Opening::Abcde) => abcde(bytes, limits),
        Some(Opening::Frame) => match columns(start) {
            Some((device_time, len)) => message(
                Header { dialect: Dialect::Frame, len: LINE, device_time, detections_len: 0, payload_len: 0 },
                len,
                limits,
            ),
            None => Parsed::Unrecognized,
        },
        Some(Opening::Detect) => match columns(start) {
            Some((_, len)) if len > limits.detections as u64 => Parsed::TooLarge { claimed: len },
            Some((_, len)) => Parsed::Detect { json_len: len as usize },
            None => Parsed::Unrecognized,
        },
        Some(Opening::Record) => record::parse_any(start).map_or(Parsed::Unrecognized, Parsed::Record),
        None => Parsed::Unrecognized,
    }
}

/// Returns whether a header, a `DETECT` message or a record seems to start here, from 32 bytes alone. Pixels do not
/// pass by chance: digits, single spaces and padding have to be in their places.
pub(super) fn is_plausible(bytes: &[u8], limits: &Limits) -> bool {
    let Some(start) = bytes.first_chunk::<LINE>() else { return false };
    match opening(start) {
        // Byte 32 and those after it decide where such a header ends, not whether it is one.
        Some(Opening::Abcde) => columns(start).is_some_and(|(_, len)| len <= limits.payload as u64 && len > 0),
        Some(Opening::Img) => match img_tokens(bytes) {
            Some(tokens) => {
                tokens.payload_len <= limits.payload as u64
                    && tokens.payload_len > 0
                    && tokens.ends(bytes).next().is_some()
            }
            None => false,
        },
        Some(Opening::Frame | Opening::Detect | Opening::Record) => match parse(start, limits) {
            Parsed::Message(_) | Parsed::Detect { .. } => true,
            Parsed::Record(record) => !record.is_free_text(),
            Parsed::NeedBytes(_) | Parsed::TooLarge { .. } | Parsed::Unrecognized => false,
        },
        None => false,
    }
}

/// Returns the payload length in the header that starts here, read from 32 bytes alone; `None` for a record.
pub(crate) fn payload_len(bytes: &[u8]) -> Option<usize> {
    let start = bytes.first_chunk::<LINE>()?;
    let len = match opening(start)? {
        Opening::Img => img_tokens(start)?.payload_len,
        Opening::Abcde | Opening::Frame => columns(start)?.1,
        Opening::Detect | Opening::Record => return None,
    };
    usize::try_from(len).ok()
}

fn message(header: Header, payload_len: u64, limits: &Limits) -> Parsed {
    match usize::try_from(payload_len) {
        Ok(0) => Parsed::Unrecognized,
        Ok(len) if len <= limits.payload => Parsed::Message(Header { payload_len: len, ..header }),
        _ => Parsed::TooLarge { claimed: payload_len },
    }
}

/// Tokens of `IMG <ts> <imglen> <detlen>`. The digits of the last one are at `detlen_at..digits_end`.
struct ImgTokens {
    device_time: DeviceTime,
    payload_len: u64,
    detlen_at: usize,
    digits_end: usize,
}

fn img_tokens(bytes: &[u8]) -> Option<ImgTokens> {
    let head = &bytes[..bytes.len().min(MAX_IMG_LEN + 1)];
    let (rest, (device_time, payload_len)) =
        (preceded(tag(&b"IMG "[..]), seconds), preceded(char(' '), terminated(number, char(' ')))).parse(head).ok()?;
    let detlen_at = head.len() - rest.len();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then_some(ImgTokens { device_time, payload_len, detlen_at, digits_end: detlen_at + digits })
}

impl ImgTokens {
    /// Returns the possible lengths of this header in bytes. There is one, unless the header overflows: then the
    /// digits of its last number and those of the first detection's label run together (wire.md section 5.2).
    fn ends<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = usize> + use<'a> {
        let (at, end) = (self.detlen_at, self.digits_end);
        let padded = end <= LINE && bytes[end..LINE.min(bytes.len())].iter().all(|byte| *byte == b' ');
        let overflowed = end > LINE || (end == LINE && bytes.len() > LINE);
        let candidates = if padded {
            LINE..=LINE
        } else if overflowed {
            LINE.max(at + 1)..=end.min(MAX_IMG_LEN)
        } else {
            #[allow(clippy::reversed_empty_ranges)] // An empty range: no length is possible.
            {
                1..=0
            }
        };
        let zero = bytes[at] == b'0';
        candidates.filter(move |n| {
            let digits = (*n).min(end) - at;
            // Python prints no leading zeros: a `0` is a whole number.
            digits <= 7 && (!zero || digits == 1)
        })
    }
}

fn img(bytes: &[u8], limits: &Limits) -> Parsed {
    let Some(tokens) = img_tokens(bytes) else {
        // The tokens of an overflowing header may continue after these bytes.
        let overflows = bytes.len() < MAX_IMG_LEN && bytes[4..].iter().all(|byte| is_header_char(*byte));
        return if overflows && !bytes[4..].contains(&b' ') {
            Parsed::NeedBytes(MAX_IMG_LEN)
        } else {
            Parsed::Unrecognized
        };
    };
    // Python prints no leading zeros, so that no digit can follow a `0`.
    let complete = bytes[tokens.detlen_at] == b'0' && tokens.detlen_at + 1 >= LINE;
    if tokens.digits_end == bytes.len() && bytes.len() < MAX_IMG_LEN && !complete {
        return Parsed::NeedBytes(MAX_IMG_LEN);
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
                return Parsed::TooLarge { claimed: detections_len as u64 };
            }
            continue;
        }
        if tokens.digits_end < LINE || detections_len == 0 {
            return header(len, detections_len);
        }
        // The number may end here or later. Only after its true end does a complete list of detections follow.
        let (Some(text), Some(after)) = (bytes.get(len..len + detections_len), bytes.get(len + detections_len)) else {
            return Parsed::NeedBytes(len + detections_len + 1);
        };
        if detections::is_list(text) {
            if *after != b'|' && !text.ends_with(b"|") {
                return header(len, detections_len);
            }
            // Either the list continues, or it ends with a `|`, or the first pixel happens to be one.
            possible = Some((len, detections_len));
        }
    }
    possible.map_or(Parsed::Unrecognized, |(len, detections_len)| header(len, detections_len))
}

const fn is_header_char(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b' ' | b'.' | b'-' | b'+' | b'e')
}

fn abcde(bytes: &[u8], limits: &Limits) -> Parsed {
    let Some((device_time, payload_len)) = bytes.first_chunk::<LINE>().and_then(columns) else {
        return Parsed::Unrecognized;
    };
    let header = |dialect, len| {
        let header = Header { dialect, len, device_time, detections_len: 0, payload_len: 0 };
        message(header, payload_len, limits)
    };
    match bytes.get(LINE) {
        None if payload_len > 0 => Parsed::NeedBytes(LINE + 1),
        Some(b'[') => match end_of_256(bytes, payload_len) {
            Ok(Some(len)) => header(Dialect::Abcde256, len),
            Ok(None) => header(Dialect::Abcde, LINE),
            Err(more) => Parsed::NeedBytes(more),
        },
        _ => header(Dialect::Abcde, LINE),
    }
}

/// Returns the end of an `ABCDE-256` header: printable text up to the JPEG, at least 256 bytes, more when its lists
/// overflow. `Ok(None)` if the header is not of this dialect, `Err` with the bytes needed to decide.
fn end_of_256(bytes: &[u8], payload_len: u64) -> Result<Option<usize>, usize> {
    let text = bytes[LINE..].iter().take(MAX_ABCDE_256_LEN).take_while(|byte| (b' '..=b'~').contains(byte)).count();
    let end = LINE + text;
    if end == bytes.len() {
        // A JPEG has 125 bytes and more. Waiting for an eighth of the header bounds how often it is read again.
        let step = (end / 8).max(3);
        let is_possible = end < MAX_ABCDE_256_LEN && (step as u64) < payload_len.max(4);
        return if is_possible { Err((end + step).max(ABCDE_256_LEN + 3)) } else { Ok(None) };
    }
    let closed = bytes[LINE..end].trim_ascii_end().ends_with(b"]");
    match bytes.get(end..end + 2) {
        None => Err(end + 2),
        Some([0xff, 0xd8]) if closed && end >= ABCDE_256_LEN => Ok(Some(end)),
        Some(_) => Ok(None),
    }
}

/// Parses time and length in the fixed columns 6..24 and 24..32, padded on either side.
fn columns(line: &[u8; LINE]) -> Option<(DeviceTime, u64)> {
    let (rest, time) = seconds(line[6..24].trim_ascii()).ok()?;
    let (more, len) = number(line[24..].trim_ascii()).ok()?;
    (rest.is_empty() && more.is_empty()).then_some((time, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Parsed {
        parse(text, &Limits::default())
    }

    fn message_of(text: &[u8]) -> Header {
        match read(text) {
            Parsed::Message(header) => header,
            other => panic!("{other:?} from {:?}", String::from_utf8_lossy(text)),
        }
    }

    #[test]
    fn img_header_of_luxonis_program_is_parsed() {
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
    fn malformed_headers_are_rejected() {
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
            assert_eq!(read(text.as_bytes()), Parsed::Unrecognized, "{text}");
            assert!(!is_plausible(text.as_bytes(), &Limits::default()), "{text}");
        }
    }

    #[test]
    fn lengths_beyond_limits_are_too_large() {
        assert_eq!(read(b"IMG 1.5 999999999 0             "), Parsed::TooLarge { claimed: 999_999_999 });
        assert_eq!(read(b"IMG 1.5 9216 9999999            "), Parsed::TooLarge { claimed: 9_999_999 });
        assert_eq!(read(b"DETECT       1.5        99999999"), Parsed::TooLarge { claimed: 99_999_999 });
    }

    #[test]
    fn img_headers_without_padding_are_parsed() {
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
            assert_eq!(read(&stream.as_bytes()[..LINE]), Parsed::NeedBytes(MAX_IMG_LEN), "{header}");
        }
        // Loops in Scripts end a list with its separator.
        let ended = format!("{list}|");
        let stream = format!("IMG 1234567890.123456 921600 {}{ended}PIXELS{}", ended.len(), "x".repeat(200_000));
        assert_eq!(message_of(stream.as_bytes()).detections_len, ended.len());
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
    fn abcde_256_is_distinguished_from_abcde() {
        let short = *b"ABCDE 12.345678         958     ";
        let stream = [&short[..], &[0xff, 0xd8, 0xff]].concat();
        assert_eq!(message_of(&stream).dialect, Dialect::Abcde);
        assert_eq!(read(&short), Parsed::NeedBytes(33));
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
                assert!(matches!(read(&stream[..cut]), Parsed::NeedBytes(n) if n > cut), "cut at {cut}");
            }
        }
        // A payload that starts with a bracket but is not a list.
        let stream = [&short[..], b"[\x00\x01\x02"].concat();
        assert_eq!(message_of(&stream).dialect, Dialect::Abcde);
    }

    #[test]
    fn centered_columns_are_parsed() {
        let header = message_of(b"FRAME     12.345678      94211  ");
        assert_eq!((header.dialect, header.payload_len, header.device_time.0), (Dialect::Frame, 94_211, 12_345_678));
        assert_eq!(read(b"DETECT    12.345678       183   "), Parsed::Detect { json_len: 183 });
    }

    #[test]
    fn short_input_needs_more_bytes() {
        assert_eq!(read(b"IMG 12.5"), Parsed::NeedBytes(32));
    }

    #[test]
    fn only_prefixes_of_a_stream_can_start_a_message() {
        for yes in [&b""[..], b"I", b"IMG", b"IMG 12.5", b"A", b"ABCDE 1", b"D", b"DETECT", b"FRAME ", b"@V 1"] {
            assert!(can_start_message(yes), "{}", yes.escape_ascii());
        }
        for no in [&b"H"[..], b"HTTP/1.0", b"IMAGE", b"SSH-2.0", b"\x16\x03\x01", b"\0", b"XIM"] {
            assert!(!can_start_message(no), "{}", no.escape_ascii());
        }
    }

    #[test]
    fn dialect_names_round_trip_in_any_case() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.name().to_ascii_lowercase().parse(), Ok(dialect));
        }
        let error = "mjpeg".parse::<Dialect>().expect_err("not a dialect").to_string();
        assert_eq!(error, "unknown dialect `mjpeg`: expected one of IMG, ABCDE, ABCDE-256, FRAME");
    }
}
