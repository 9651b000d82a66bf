//! 32-byte records between messages: our extension of the protocol, which other receivers skip (wire.md section 7).

use std::fmt;

use memchr::memmem;
use nom::bytes::complete::{tag, take_while_m_n};
use nom::character::complete::{char, i32 as edge, i64 as signed, u32 as decimal, u64 as long};
use nom::combinator::{all_consuming, map_opt, opt, rest};
use nom::sequence::{pair, preceded, terminated};
use nom::{IResult, Parser};

use super::header::MAGICS;
use super::text::{Excerpt, LINE, float, word};
use crate::frame::pixel::UnknownPixelFormat;
use crate::frame::{BBox, Detection, DeviceTime, Geometry, GeometryError, PayloadKind, PixelFormat, Size};

/// A parsed record.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // Each variant shows its line; the fields are named after the columns.
pub enum Record {
    /// `@V <version> <app>`: version of the extension and name of the application.
    Version { version: u32, app: String },
    /// `@I <device id>`.
    DeviceId(String),
    /// `@D W H TYPE [stride]`: size in pixels and format of the payloads that follow; stride in bytes.
    Dimensions { width: u32, height: u32, format: String, stride: Option<u32> },
    /// `@A <build>`: identifies the content of the application's package.
    Build(String),
    /// `@R <fps>`: configured frame rate.
    FrameRate(f32),
    /// `@L <id> <name>`: name of a class. A name that starts with `+` continues the one in the previous record.
    Label { label: u32, name: String },
    /// `@C <crc32 hex> <count>`: number of named classes, and CRC-32 of the names joined by line feeds.
    Labels { crc32: u32, count: u32 },
    /// `@S <stream>`: name of the stream.
    Stream(String),
    /// `@F <seq> <ts_us>`: sequence number and capture time, in microseconds, of the next frame.
    Frame { seq: u64, device_time: DeviceTime },
    /// `@E <seq> <crc32 hex>`: payload checksum of the previous frame.
    Checksum { seq: u64, crc32: u32 },
    /// `@B <label> <confidence, per mille> <xmin> <ymin> <xmax> <ymax>`, edges in ten-thousandths: a box of the next
    /// frame.
    Box(Detection),
    /// `@T t=67.8 css=97 mss=13`: chip temperature in degrees Celsius, loads of the two processors in percent.
    Health { celsius: Option<f32>, css: Option<f32>, mss: Option<f32> },
    /// `@Q drop=12`: frames dropped by the camera since the first one that it sent on this connection.
    Dropped(u64),
    /// `@N <text>`: the camera's answer to a control record.
    Note(String),
    /// A line that starts as a record but is of an unknown kind or does not have its form. Costs itself only.
    Unreadable(Unreadable),
    /// 32 printable bytes of another kind: skipped, as Luxonis' host program does (wire.md 4.8).
    Foreign(String),
}

impl Record {
    /// Returns the memory layout of the payloads that `@D` announces; `None` for other records and for video.
    ///
    /// # Errors
    /// If `@D` names an unknown format, or a size or stride that the format cannot have.
    pub fn geometry(&self) -> Result<Option<Geometry>, UnusableLayout> {
        let Self::Dimensions { width, height, format, stride } = self else { return Ok(None) };
        let (width, height) = (*width, *height);
        let unusable = |why| UnusableLayout { width, height, format: format.clone(), stride: *stride, why };
        // Video has no pixel format, but a size.
        let known = match coding(format) {
            Some(_) => PixelFormat::Jpeg,
            None => format.parse().map_err(|why| unusable(Unusable::Format(why)))?,
        };
        let tight = Geometry::tight(known, width, height).map_err(|why| unusable(Unusable::Layout(why)))?;
        match (known, stride) {
            (PixelFormat::Jpeg, _) => Ok(format.parse().ok().map(|_: PixelFormat| tight)),
            (_, Some(stride)) => tight.with_stride(*stride).map(Some).map_err(|why| unusable(Unusable::Layout(why))),
            (_, None) => Ok(Some(tight)),
        }
    }

    /// Returns the coding and the size of the video that `@D` announces; `None` for other records, and without a size that video
    /// can have.
    #[must_use]
    pub fn video(&self) -> Option<(PayloadKind, Size)> {
        let Self::Dimensions { width, height, format, .. } = self else { return None };
        let kind = coding(format).filter(|kind| kind.is_video())?;
        self.geometry().is_ok().then(|| (kind, Size::new(*width, *height)))
    }

    /// Returns whether any text is valid in this kind of record. Pixels can look like one by chance: a gradient of half
    /// floats does.
    pub(super) const fn is_free_text(&self) -> bool {
        matches!(
            self,
            Self::DeviceId(_)
                | Self::Build(_)
                | Self::Stream(_)
                | Self::Note(_)
                | Self::Unreadable(_)
                | Self::Foreign(_)
        )
    }
}

/// Returns the coding of this name; `None` for pixel formats.
fn coding(name: &str) -> Option<PayloadKind> {
    let is_named = |kind: &PayloadKind| *kind != PayloadKind::Raw && kind.name().eq_ignore_ascii_case(name);
    PayloadKind::ALL.into_iter().find(is_named)
}

/// A layout in a `@D` record that no payload can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableLayout {
    width: u32,
    height: u32,
    format: String,
    stride: Option<u32>,
    why: Unusable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Unusable {
    Format(UnknownPixelFormat),
    Layout(GeometryError),
}

impl std::error::Error for UnusableLayout {}

impl fmt::Display for UnusableLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, format, stride, why } = self;
        let stride = stride.map_or_else(String::new, |stride| format!(" {stride}"));
        write!(f, "record `@D {width} {height} {format}{stride}` is ignored: ")?;
        match why {
            Unusable::Format(why) => {
                let video = PayloadKind::ALL.map(PayloadKind::name)[2..].join(" and ");
                write!(f, "{why}, or {video} for video")
            }
            Unusable::Layout(why) => why.fmt(f),
        }
    }
}

/// A record that was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    line: [u8; LINE],
}

impl Unreadable {
    /// Returns the line if it may be meant as a record: text, a letter after the `@`, then a space. Text in other encodings
    /// only in kinds that have text, and without the start of another line: a record that is cut short may be followed by
    /// any bytes.
    fn new(line: &[u8; LINE]) -> Option<Self> {
        let is_record = matches!(line, [b'@', b'A'..=b'Z' | b'a'..=b'z', b' ', ..]) && !has_control_bytes(line);
        let may_be_text = || {
            matches!(line[1], b'V' | b'L' | b'S' | b'N')
                && MAGICS.iter().all(|(magic, _)| memmem::find(&line[1..], magic).is_none())
        };
        (is_record && (line.is_ascii() || may_be_text())).then_some(Self { line: *line })
    }

    /// Returns whether it was meant as a box.
    #[must_use]
    pub const fn is_box(&self) -> bool {
        self.line[1] == b'B'
    }

    /// Returns the form of its kind, as in docs/stream.md; `None` for an unknown kind.
    fn form(&self) -> Option<&'static str> {
        Some(match self.line[1].to_ascii_uppercase() {
            b'V' => "@V 1 NAME",
            b'I' => "@I ID",
            b'A' => "@A BUILD",
            b'D' => "@D WIDTH HEIGHT FORMAT [STRIDE]",
            b'R' => "@R FPS",
            b'L' => "@L LABEL NAME",
            b'C' => "@C CRC32 COUNT",
            b'S' => "@S NAME",
            b'F' => "@F NUMBER MICROSECONDS",
            b'E' => "@E NUMBER CRC32",
            b'B' => "@B LABEL CONFIDENCE XMIN YMIN XMAX YMAX` in whole numbers, such as `@B 0 875 1000 2000 4000 9000",
            b'T' => "@T t=67.8 css=97 mss=13",
            b'Q' => "@Q drop=12",
            b'N' => "@N TEXT",
            _ => return None,
        })
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} not understood: ", Excerpt::new(&self.line))?;
        if let Err(error) = std::str::from_utf8(&self.line) {
            let at = error.valid_up_to();
            return match error.error_len() {
                Some(_) => write!(f, "byte {at} is not UTF-8"),
                None => write!(
                    f,
                    "it ends inside a character, at byte {at}: longer names continue in a record `@L LABEL +MORE`"
                ),
            };
        }
        f.write_str("expected ")?;
        match self.form() {
            Some(form) => write!(f, "`{form}`"),
            None => f.write_str("one of @V @I @D @A @R @L @C @S @F @B @E @T @Q @N"),
        }
    }
}

/// Parses a record of a known kind.
pub(super) fn parse(line: &[u8; LINE]) -> Option<Record> {
    if has_control_bytes(line) {
        return None;
    }
    let [b'@', kind, b' ', body @ ..] = line.trim_ascii_end() else { return None };
    let body = match kind {
        b'V' => all_consuming(version).parse(body),
        b'I' => all_consuming(word.map(|id| Record::DeviceId(id.into()))).parse(body),
        b'A' => all_consuming(word.map(|build| Record::Build(build.into()))).parse(body),
        b'D' => all_consuming(dimensions).parse(body),
        b'R' => all_consuming(float.map(Record::FrameRate)).parse(body),
        b'L' => all_consuming(label).parse(body),
        b'C' => all_consuming(labels).parse(body),
        b'S' => all_consuming(text.map(Record::Stream)).parse(body),
        b'F' => all_consuming(frame).parse(body),
        b'E' => all_consuming(checksum).parse(body),
        b'B' => all_consuming(bounding_box).parse(body),
        b'T' => all_consuming(health).parse(body),
        b'Q' => all_consuming(preceded(tag(&b"drop="[..]), long).map(Record::Dropped)).parse(body),
        b'N' => all_consuming(text.map(Record::Note)).parse(body),
        _ => return None,
    };
    body.ok().map(|(_, record)| record)
}

/// Parses a record, or returns that it was not understood.
pub(super) fn parse_any(line: &[u8; LINE]) -> Option<Record> {
    parse(line).or_else(|| Unreadable::new(line).map(Record::Unreadable))
}

/// Parses the known records among raw lines, such as [`Frame::records`](crate::frame::Frame::records).
pub fn records(lines: &[u8]) -> impl Iterator<Item = Record> {
    lines.as_chunks().0.iter().filter_map(parse)
}

/// Returns the lines of `bytes` if they consist of whole printable lines of 32 bytes.
pub(super) fn foreign(bytes: &[u8]) -> Option<impl Iterator<Item = Record>> {
    let printable = bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    (printable && !bytes.is_empty() && bytes.len().is_multiple_of(LINE)).then(|| {
        bytes.chunks_exact(LINE).map(|line| Record::Foreign(String::from_utf8_lossy(line).trim_end().to_owned()))
    })
}

/// Returns whether a line has bytes that no text has, whatever its encoding.
fn has_control_bytes(line: &[u8]) -> bool {
    line.iter().any(u8::is_ascii_control)
}

/// Parses UTF-8 without control characters.
fn text(input: &[u8]) -> IResult<&[u8], String> {
    map_opt(rest, |text| {
        let text = std::str::from_utf8(text).ok()?;
        (!text.contains(char::is_control)).then(|| text.to_owned())
    })
    .parse(input)
}

fn version(input: &[u8]) -> IResult<&[u8], Record> {
    pair(decimal, opt(preceded(char(' '), text)))
        .map(|(version, app)| Record::Version { version, app: app.unwrap_or_default() })
        .parse(input)
}

fn dimensions(input: &[u8]) -> IResult<&[u8], Record> {
    (terminated(decimal, char(' ')), terminated(decimal, char(' ')), word, opt(preceded(char(' '), decimal)))
        .map(|(width, height, format, stride)| Record::Dimensions { width, height, format: format.into(), stride })
        .parse(input)
}

fn label(input: &[u8]) -> IResult<&[u8], Record> {
    pair(terminated(decimal, char(' ')), text).map(|(label, name)| Record::Label { label, name }).parse(input)
}

fn frame(input: &[u8]) -> IResult<&[u8], Record> {
    pair(terminated(long, char(' ')), signed)
        .map(|(seq, micros)| Record::Frame { seq, device_time: DeviceTime(micros) })
        .parse(input)
}

fn hex(input: &[u8]) -> IResult<&[u8], u32> {
    map_opt(take_while_m_n(1, 8, |byte: u8| byte.is_ascii_hexdigit()), |digits: &[u8]| {
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    })
    .parse(input)
}

fn labels(input: &[u8]) -> IResult<&[u8], Record> {
    pair(terminated(hex, char(' ')), decimal).map(|(crc32, count)| Record::Labels { crc32, count }).parse(input)
}

fn checksum(input: &[u8]) -> IResult<&[u8], Record> {
    pair(terminated(long, char(' ')), hex).map(|(seq, crc32)| Record::Checksum { seq, crc32 }).parse(input)
}

fn bounding_box(input: &[u8]) -> IResult<&[u8], Record> {
    // Edges outside of the picture are below 0 or above 10,000.
    let mut part = preceded(char(' '), edge);
    #[allow(clippy::cast_possible_truncation)] // Rounding to the nearest f32 is intended.
    let share = |parts: f64, of: f64| (parts / of) as f32;
    let (input, label) = decimal(input)?;
    let (input, confidence) = preceded(char(' '), decimal).parse(input)?;
    let (input, xmin) = part.parse(input)?;
    let (input, ymin) = part.parse(input)?;
    let (input, xmax) = part.parse(input)?;
    let (input, ymax) = part.parse(input)?;
    let of_side = |parts| share(f64::from(parts), 10_000.0);
    let bbox = BBox { xmin: of_side(xmin), ymin: of_side(ymin), xmax: of_side(xmax), ymax: of_side(ymax) };
    Ok((
        input,
        Record::Box(Detection { label, confidence: share(f64::from(confidence), 1000.0), bbox, position: None }),
    ))
}

fn health(input: &[u8]) -> IResult<&[u8], Record> {
    let field = |name: &'static str| {
        move |input| {
            opt(preceded(pair(opt(char(' ')), tag(name.as_bytes())), float)).parse(input) as IResult<&[u8], Option<f32>>
        }
    };
    let (input, celsius) = field("t=").parse(input)?;
    let (input, css) = field("css=").parse(input)?;
    let (input, mss) = field("mss=").parse(input)?;
    Ok((input, Record::Health { celsius, css, mss }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Record> {
        parse(&line_of(line.as_bytes()))
    }

    fn line_of(text: &[u8]) -> [u8; LINE] {
        let mut line = [b' '; LINE];
        line[..text.len()].copy_from_slice(text);
        line
    }

    #[test]
    fn every_record_kind_is_parsed() {
        let app = "demo".to_owned();
        let format = "BGR888p".to_owned();
        for (line, expected) in [
            ("@V 1 demo", Record::Version { version: 1, app }),
            ("@I 14442C10D13EABCE00", Record::DeviceId("14442C10D13EABCE00".into())),
            ("@D 640 352 BGR888p", Record::Dimensions { width: 640, height: 352, format, stride: None }),
            (
                "@D 640 352 NV12 704",
                Record::Dimensions { width: 640, height: 352, format: "NV12".into(), stride: Some(704) },
            ),
            ("@A 0123456789abcdef0123456789ab", Record::Build("0123456789abcdef0123456789ab".into())),
            ("@R 40.0", Record::FrameRate(40.0)),
            ("@L 9 traffic light", Record::Label { label: 9, name: "traffic light".into() }),
            ("@C abda5f13 2", Record::Labels { crc32: 0xabda_5f13, count: 2 }),
            ("@S preview", Record::Stream("preview".into())),
            ("@F 123 12345678", Record::Frame { seq: 123, device_time: DeviceTime(12_345_678) }),
            ("@F 1 -5", Record::Frame { seq: 1, device_time: DeviceTime(-5) }),
            ("@E 123 deadBEEF", Record::Checksum { seq: 123, crc32: 0xdead_beef }),
            ("@T t=67.8 css=97 mss=13", Record::Health { celsius: Some(67.8), css: Some(97.0), mss: Some(13.0) }),
            ("@T css=97", Record::Health { celsius: None, css: Some(97.0), mss: None }),
            ("@Q drop=12", Record::Dropped(12)),
            ("@N bad record", Record::Note("bad record".into())),
            ("@L 3 Bäcker", Record::Label { label: 3, name: "Bäcker".into() }),
            ("@L 4 \u{4eba}\u{1f600}", Record::Label { label: 4, name: "\u{4eba}\u{1f600}".into() }),
            ("@V 1 Tür", Record::Version { version: 1, app: "Tür".into() }),
            ("@S Eingang Süd", Record::Stream("Eingang Süd".into())),
        ] {
            assert_eq!(read(line), Some(expected), "{line}");
        }
        let Some(Record::Box(found)) = read("@B 57 893 0123 0456 0789 0999") else { panic!("a box") };
        assert_eq!((found.label, found.confidence.to_string()), (57, "0.893".into()));
        assert_eq!(found.bbox, BBox { xmin: 0.0123, ymin: 0.0456, xmax: 0.0789, ymax: 0.0999 });
        let Some(Record::Box(found)) = read("@B 1 875 -100 2000 10400 9000") else { panic!("edges outside") };
        assert_eq!(found.bbox, BBox { xmin: -0.01, ymin: 0.2, xmax: 1.04, ymax: 0.9 });
    }

    #[test]
    fn malformed_records_are_rejected() {
        for line in [
            "@",
            "@F",
            "@F 1",
            "@F x 1",
            "@F 1 2 3",
            "@D 640 352",
            "@C 2",
            "@C 123456789 2",
            "@C abda5f13 -2",
            "@X 1",
            "@Q 12",
            "F 1 2",
            "@E 1 123456789",
            "@N\x07 x",
            "@L 0 C1\u{9b}31m",
            "@I Bäcker",
            "@D 640 352 Bäcker",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn records_in_other_encodings_are_unreadable() {
        let shown = |text: &[u8]| match parse_any(&line_of(text)) {
            Some(Record::Unreadable(line)) => line.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(shown(b"@L 0 B\xe4cker"), "record `@L 0 B\\xe4cker` not understood: byte 6 is not UTF-8");
        let cut = &"@L 0 aaaaaaaaaaaaaaaaaaaaaaaaaaä".as_bytes()[..32];
        assert_eq!(
            shown(cut),
            "record `@L 0 aaaaaaaaaaaaaaaaaaaaaaaaaa\\xc3` not understood: it ends inside a character, at byte 31: longer \
             names continue in a record `@L LABEL +MORE`"
        );
        let form = "expected `@D WIDTH HEIGHT FORMAT [STRIDE]`";
        assert_eq!(shown(b"@d 640 352 BGR888p"), format!("record `@d 640 352 BGR888p` not understood: {form}"));
        assert_eq!(shown("@L x Bäcker".as_bytes()), "record `@L x Bäcker` not understood: expected `@L LABEL NAME`");
    }

    #[test]
    fn parts_of_records_before_other_bytes_are_not_records() {
        for text in [
            &b"@F 1\xffIMG 12.5 9216 0"[..],
            b"@L 1\xffIMG 12.5 9216 0",
            b"@N a\xff@F 1 2",
            b"@D 640 \xff",
            b"@I B\xe4",
        ] {
            assert_eq!(parse_any(&line_of(text)), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn layouts_that_no_payload_can_have_are_errors() {
        let layout = |line: &str| read(line).expect(line).geometry();
        for (line, format) in [
            ("@D 640 352 bgr888P", Some("BGR888p")),
            ("@D 640 352 NV12 704", Some("NV12")),
            ("@D 640 352 JPEG", Some("JPEG")),
            ("@D 640 352 H264", None),
            ("@D 640 352 H265", None),
        ] {
            let found = layout(line).expect(line);
            assert_eq!(found.map(|geometry| geometry.format.name()), format, "{line}");
        }
        for (line, why) in [
            ("@D 160 96 BGR8", "unknown pixel format `BGR8`; expected one of BGR888p, BGR888i, "),
            ("@D 160 96 BGR", "ambiguous pixel format `BGR`; expected BGR888i "),
            ("@D 160 96 H.264", "unknown pixel format `H.264`; "),
            ("@D 0 0 BGR888p", "invalid size 0x0: width and height must be at least 1"),
            ("@D 0 352 H264", "invalid size 0x352: "),
            ("@D 640 352 NV12 320", "stride of 320 bytes is too short: a row of 640 NV12 pixels has 640 bytes"),
            ("@D 4294967295 4294967295 RGB888p", "4294967295x4294967295 RGB888p is too large"),
        ] {
            let error = layout(line).expect_err(line).to_string();
            let (record, reason) = error.split_once(" is ignored: ").expect(&error);
            assert!(record == format!("record `{line}`") && reason.starts_with(why), "{error}");
        }
        let error = layout("@D 9 9 h263").unwrap_err().to_string();
        assert!(error.ends_with(", or H264 and H265 for video"), "{error}");
    }

    #[test]
    fn only_whole_printable_lines_are_foreign_records() {
        let two = format!("{:32}{:32}", "HELLO 1", "WORLD");
        let found: Vec<_> = foreign(two.as_bytes()).expect("two lines").collect();
        assert_eq!(found, [Record::Foreign("HELLO 1".into()), Record::Foreign("WORLD".into())]);
        assert!(foreign(&two.as_bytes()[1..]).is_none());
        assert!(foreign(&[0; 32]).is_none());
        assert!(foreign(b"").is_none());
    }
}
