//! Messages -> bytes, exactly as the official programs print them: the inverse of the parsers.
//!
//! The programs on the camera are Python, so numbers look as Python writes them (wire.md section 2).

use std::fmt::Write as _;

use crate::frame::{Detection, DeviceTime, Dialect, Frame};

/// Length of a header and of a record in bytes, unless it overflows.
pub const LINE: usize = 32;

/// Length of an `ABCDE-256` header in bytes, unless it overflows.
pub const LINE_256: usize = 256;

/// `str(timedelta.total_seconds())`: `12.42`, `13.0`, `5e-05`, `-0.25`.
#[must_use]
pub fn seconds(time: DeviceTime) -> String {
    let micros = time.0.unsigned_abs();
    let sign = if time.0 < 0 { "-" } else { "" };
    // Reading the decimal number rounds once, as Python's division of two integers does; `as f64 / 1e6` rounds twice.
    let value: f64 = format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
        .parse()
        .expect("digits with a point are a number");
    repr(value)
}

/// Python's `repr` of a finite float.
fn repr(value: f64) -> String {
    // Rust and Python agree on the shortest digits and on where an exponent begins; they write it differently.
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
    }
}

/// The header of the `IMG` dialect: at least 32 bytes, more when the numbers do not fit.
#[must_use]
pub fn img(time: DeviceTime, payload_len: usize, detections_len: usize) -> Vec<u8> {
    let text = format!("IMG {} {payload_len} {detections_len}", seconds(time));
    format!("{text:LINE$}").into_bytes()
}

/// The detections of the `IMG` dialect: percent with one decimal, edges with four. Empty when there are none.
#[must_use]
pub fn detections(detections: &[Detection]) -> Vec<u8> {
    let mut text = String::with_capacity(40 * detections.len());
    for (i, Detection { label, confidence, bbox }) in detections.iter().enumerate() {
        let separator = if i == 0 { "" } else { "|" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{label};{}", decimals(f64::from(*confidence) * 100.0, 1));
        for edge in [bbox.xmin, bbox.ymin, bbox.xmax, bbox.ymax] {
            let _ = write!(text, ";{}", decimals(f64::from(edge), 4));
        }
    }
    text.into_bytes()
}

/// Python's `format(value, ".<places>f")`.
fn decimals(value: f64, places: usize) -> String {
    if value.is_nan() { "nan".to_owned() } else { format!("{value:.places$}") }
}

/// The header of the `ABCDE` dialect.
#[must_use]
pub fn abcde(time: DeviceTime, payload_len: usize) -> Vec<u8> {
    format!("ABCDE {:18}{payload_len:<8}", seconds(time)).into_bytes()
}

/// What the counting example follows through the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// Its number.
    pub id: u32,
    /// Its centre in pixels, in a picture of 300 x 300.
    pub centre: (i32, i32),
}

/// The header of the `ABCDE-256` dialect: 256 bytes, more when the tracks do not fit. `counters` are those who went
/// left, right, up and down.
#[must_use]
pub fn abcde256(time: DeviceTime, payload_len: usize, counters: [u32; 4], tracks: &[Track]) -> Vec<u8> {
    let mut list = String::from("[");
    for (i, Track { id, centre: (x, y) }) in tracks.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        let _ = write!(list, "{separator}['ID {id}', {x}, {y}]");
    }
    list.push(']');
    let mut header = abcde(time, payload_len);
    header.extend_from_slice(format!("{:16}{list:208}", format!("{counters:?}")).as_bytes());
    header
}

/// The header of a picture in the `FRAME` dialect.
#[must_use]
pub fn frame(time: DeviceTime, payload_len: usize) -> Vec<u8> {
    centred("FRAME ", time, payload_len)
}

/// The header and the text of detections in the `FRAME` dialect; nothing at all when there are none.
#[must_use]
pub fn detect(time: DeviceTime, detections: &[Detection]) -> Vec<u8> {
    if detections.is_empty() {
        return Vec::new();
    }
    let number = |value: f32| match f64::from(value) {
        value if value.is_nan() => "NaN".to_owned(),
        value if value.is_infinite() => (if value > 0.0 { "Infinity" } else { "-Infinity" }).to_owned(),
        value => repr(value),
    };
    let mut text = String::from("[");
    for (i, Detection { label, confidence, bbox }) in detections.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        let _ = write!(
            text,
            "{separator}{{\"label\": {label}, \"confidence\": {}, \"xmin\": {}, \"ymin\": {}, \"xmax\": {}, \"ymax\": {}}}",
            number(*confidence),
            number(bbox.xmin),
            number(bbox.ymin),
            number(bbox.xmax),
            number(bbox.ymax),
        );
    }
    text.push(']');
    let mut message = centred("DETECT", time, text.len());
    message.extend_from_slice(text.as_bytes());
    message
}

fn centred(magic: &str, time: DeviceTime, len: usize) -> Vec<u8> {
    // CPython's `str.center` puts the odd space to the left only when the width is odd; these widths are even, and so
    // does Rust's `^`.
    format!("{magic}{:^18}{len:^8}", seconds(time)).into_bytes()
}

/// A record of 32 bytes between messages; `None` when the text is longer, or not printable ASCII.
#[must_use]
pub fn line(text: &str) -> Option<[u8; LINE]> {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    printable.then(|| format!("{text:LINE$}")).and_then(|padded| padded.into_bytes().try_into().ok())
}

/// What stood on the wire before a payload, in its parts.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Grammar of the header.
    pub dialect: Dialect,
    /// As [`Frame::records`].
    pub records: &'a [u8],
    /// As [`Frame::detect_at`].
    pub detect_at: usize,
    /// As [`Frame::header`].
    pub header: &'a [u8],
    /// As [`Frame::detection_text`].
    pub detection_text: &'a [u8],
}

impl<'a> Head<'a> {
    /// That of a frame.
    #[must_use]
    pub fn of(frame: &'a Frame) -> Self {
        let Frame { dialect, records, detect_at, header, detection_text, .. } = frame;
        Self { dialect: *dialect, records, detect_at: *detect_at, header, detection_text }
    }

    /// Its parts in the order of the wire. The `DETECT` message has a header of its own and stands before that of the
    /// picture, maybe with records in between.
    #[must_use]
    pub fn parts(&self) -> [&'a [u8]; 5] {
        let Self { dialect, records, detect_at, header, detection_text } = *self;
        let detect = if dialect == Dialect::Frame && header.len() > LINE { LINE } else { 0 };
        let (before, behind) = records.split_at(if detect > 0 { detect_at.min(records.len()) } else { records.len() });
        let (detect, header) = header.split_at(detect);
        if detect.is_empty() {
            [before, header, detection_text, behind, &[]]
        } else {
            [before, detect, detection_text, behind, header]
        }
    }
}

/// Appends everything that stood on the wire before the payload of a frame: records, headers and detections.
pub fn head(frame: &Frame, out: &mut Vec<u8>) {
    Head::of(frame).parts().iter().for_each(|part| out.extend_from_slice(part));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::BBox;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).expect("ASCII")
    }

    #[test]
    fn seconds_look_as_python_writes_them() {
        // Each pair was printed by CPython: `str(timedelta(microseconds=us).total_seconds())`.
        for (micros, expected) in [
            (0, "0.0"),
            (12_420_000, "12.42"),
            (13_000_000, "13.0"),
            (12_345_678, "12.345678"),
            (50, "5e-05"),
            (1, "1e-06"),
            (99, "9.9e-05"),
            (100, "0.0001"),
            (-50, "-5e-05"),
            (-250_000, "-0.25"),
            (1_234_567_890_123_456, "1234567890.123456"),
            (98_765_432_109_876_543, "98765432109.87654"),
        ] {
            assert_eq!(seconds(DeviceTime(micros)), expected, "{micros} us");
        }
    }

    #[test]
    fn headers_of_the_captures() {
        let at = DeviceTime(12_345_678);
        assert_eq!(text(&img(at, 9216, 0)), "IMG 12.345678 9216 0            ");
        assert_eq!(text(&img(DeviceTime(1_234_567_890_123_456), 9216, 10764)), "IMG 1234567890.123456 9216 10764");
        assert_eq!(img(DeviceTime(1_234_567_890_123_456), 675_840, 1076).len(), 33);
        assert_eq!(text(&abcde(at, 958)), "ABCDE 12.345678         958     ");
        let tracks = [(30, 105), (70, 105), (110, 105)];
        let tracks: Vec<_> = (0..).zip(tracks).map(|(id, centre)| Track { id, centre }).collect();
        let header = abcde256(at, 958, [0; 4], &tracks);
        assert_eq!(header.len(), 256);
        assert_eq!(text(&header[32..96]), "[0, 0, 0, 0]    [['ID 0', 30, 105], ['ID 1', 70, 105], ['ID 2', ");
        let many: Vec<_> = (0..14).map(|id| Track { id, centre: (100, 100) }).collect();
        assert!(abcde256(at, 958, [0; 4], &many).len() > 256);
        assert_eq!(text(&frame(DeviceTime(12_420_000), 4687)), "FRAME       12.42         4687  ");
        assert_eq!(text(&frame(DeviceTime(12_340_000), 958)), "FRAME       12.34         958   ");
    }

    #[test]
    fn detections_are_rounded_as_python_rounds() {
        let edges = |xmin, ymin, xmax, ymax| BBox { xmin, ymin, xmax, ymax };
        let boxes = [
            Detection { label: 12, confidence: 0.999_999, bbox: edges(-0.012_345_6, -4e-5, 1.0203, 1.5) },
            Detection { label: 0, confidence: 0.5, bbox: edges(0.031_25, f32::NAN, f32::INFINITY, 0.0) },
        ];
        assert_eq!(text(&detections(&boxes)), "12;100.0;-0.0123;-0.0000;1.0203;1.5000|0;50.0;0.0312;nan;inf;0.0000");
        assert!(detections(&[]).is_empty());
        assert!(detect(DeviceTime(0), &[]).is_empty());
        let json = detect(DeviceTime(13_000_000), &boxes[..1]);
        let body: serde_json::Value = serde_json::from_slice(&json[32..]).expect("JSON");
        assert_eq!(body[0]["label"], 12);
        assert_eq!(text(&json[..32]), format!("DETECT       13.0       {:^8}", json.len() - 32));
    }

    #[test]
    fn a_line_is_32_bytes_or_none() {
        assert_eq!(line("@F 1 2"), Some(*b"@F 1 2                          "));
        assert_eq!(line(&"x".repeat(33)), None);
        assert_eq!(line("caf\u{e9}"), None);
    }
}
