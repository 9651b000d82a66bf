//! Encoders: the inverse of the parsers, byte for byte as Luxonis' programs print.
//!
//! Those programs are Python, so numbers are formatted as in Python (wire.md section 2).

use std::fmt::Write as _;

use super::header::{self, Dialect};
use super::text::LINE;
use super::tracks::SIDE;
use crate::frame::{Counters, Detection, DeviceTime, Frame, Position, Track};

/// Formats a time as `str(timedelta.total_seconds())` does: `12.42`, `13.0`, `5e-05`, `-0.25`.
#[must_use]
pub fn seconds(time: DeviceTime) -> String {
    let micros = time.0.unsigned_abs();
    let sign = if time.0 < 0 { "-" } else { "" };
    // Parsing the decimal number rounds once, as Python's division of two integers does; `as f64 / 1e6` rounds twice.
    let value: f64 = format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
        .parse()
        .expect("digits with a point are a number");
    repr(value)
}

/// Formats a finite float as Python's `repr` does.
fn repr(value: f64) -> String {
    // Rust and Python agree on the shortest digits and on when to use an exponent, but not on its form.
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
    }
}

/// Values of a message header. Each dialect ignores those that its header has no place for.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderFields<'a> {
    /// Capture time.
    pub device_time: DeviceTime,
    /// Bytes of payload.
    pub payload_len: usize,
    /// Bytes of detections between header and payload (`IMG`).
    pub detections_len: usize,
    /// Counted objects (`ABCDE-256`).
    pub counters: Counters,
    /// Objects being tracked (`ABCDE-256`).
    pub tracks: &'a [Track],
}

/// Encodes the header of a message.
#[must_use]
pub fn header(dialect: Dialect, fields: &HeaderFields<'_>) -> Vec<u8> {
    let HeaderFields { device_time, payload_len, detections_len, counters, tracks } = *fields;
    match dialect {
        Dialect::Img => img(device_time, payload_len, detections_len),
        Dialect::Abcde => abcde(device_time, payload_len),
        Dialect::Abcde256 => abcde256(device_time, payload_len, counters, tracks),
        Dialect::Frame => frame(device_time, payload_len),
    }
}

/// Encodes the header of a frame again, for a payload of another length; `None` if the frame has no header of a camera.
#[must_use]
pub fn with_payload_len(frame: &Frame, payload_len: usize) -> Option<Vec<u8>> {
    let time = frame.device_time;
    let mut header = frame.header.clone();
    match frame.dialect.parse().ok()? {
        Dialect::Img => return Some(img(time, payload_len, frame.detection_text.len())),
        Dialect::Abcde | Dialect::Abcde256 => {
            *header.first_chunk_mut::<LINE>()? = abcde(time, payload_len).try_into().ok()?;
        }
        // A `DETECT` header may be before it.
        Dialect::Frame => {
            *header.last_chunk_mut::<LINE>()? = self::frame(time, payload_len).try_into().ok()?;
        }
    }
    Some(header)
}

/// Encodes an `IMG` header: 32 bytes, more if the numbers need them.
#[must_use]
pub fn img(time: DeviceTime, payload_len: usize, detections_len: usize) -> Vec<u8> {
    let text = format!("IMG {} {payload_len} {detections_len}", seconds(time));
    format!("{text:LINE$}").into_bytes()
}

/// Encodes detections for the `IMG` dialect: percent with one decimal, edges with four, positions in whole millimeters. Empty
/// without detections.
#[must_use]
pub fn detections(detections: &[Detection]) -> Vec<u8> {
    let mut text = String::with_capacity(40 * detections.len());
    for (i, Detection { label, confidence, bbox, position }) in detections.iter().enumerate() {
        let separator = if i == 0 { "" } else { "|" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{label};{}", decimals(f64::from(*confidence) * 100.0, 1));
        for edge in [bbox.xmin, bbox.ymin, bbox.xmax, bbox.ymax] {
            let _ = write!(text, ";{}", decimals(f64::from(edge), 4));
        }
        for coordinate in position.iter().flat_map(Position::mm) {
            let _ = write!(text, ";{}", decimals(f64::from(coordinate), 0));
        }
    }
    text.into_bytes()
}

/// Formats as Python's `format(value, ".<places>f")` does.
fn decimals(value: f64, places: usize) -> String {
    if value.is_nan() { "nan".to_owned() } else { format!("{value:.places$}") }
}

/// Encodes an `ABCDE` header of 32 bytes.
#[must_use]
pub fn abcde(time: DeviceTime, payload_len: usize) -> Vec<u8> {
    format!("ABCDE {:18}{payload_len:<8}", seconds(time)).into_bytes()
}

/// Encodes an `ABCDE-256` header: 256 bytes, more if the tracks need them. See [`HeaderFields`] for the arguments.
#[must_use]
pub fn abcde256(time: DeviceTime, payload_len: usize, counters: Counters, tracks: &[Track]) -> Vec<u8> {
    let mut list = String::from("[");
    for (i, Track { id, x, y }) in tracks.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        let [x, y] = [x, y].map(|center| (center * SIDE).round() as i32);
        let _ = write!(list, "{separator}['ID {id}', {x}, {y}]");
    }
    list.push(']');
    let Counters { left, right, up, down } = counters;
    let mut header = abcde(time, payload_len);
    header.extend_from_slice(format!("{:16}{list:208}", format!("{:?}", [left, right, up, down])).as_bytes());
    header
}

/// Encodes a `FRAME` header of 32 bytes.
#[must_use]
pub fn frame(time: DeviceTime, payload_len: usize) -> Vec<u8> {
    centered("FRAME ", time, payload_len)
}

/// Encodes a `DETECT` message for the `FRAME` dialect. Empty without detections.
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
    for (i, Detection { label, confidence, bbox, position }) in detections.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        let _ = write!(
            text,
            "{separator}{{\"label\": {label}, \"confidence\": {}, \"xmin\": {}, \"ymin\": {}, \"xmax\": {}, \"ymax\": {}",
            number(*confidence),
            number(bbox.xmin),
            number(bbox.ymin),
            number(bbox.xmax),
            number(bbox.ymax),
        );
        for (name, coordinate) in ["x", "y", "z"].iter().zip(position.iter().flat_map(Position::mm)) {
            let _ = write!(text, ", \"{name}\": {}", number(coordinate));
        }
        text.push('}');
    }
    text.push(']');
    let mut message = detect_head(time, text.len());
    message.extend_from_slice(text.as_bytes());
    message
}

/// Encodes the header of a `DETECT` message with this many bytes of JSON.
#[must_use]
pub fn detect_head(time: DeviceTime, json_len: usize) -> Vec<u8> {
    centered("DETECT", time, json_len)
}

fn centered(magic: &str, time: DeviceTime, len: usize) -> Vec<u8> {
    // CPython's `str.center` puts an odd space on the left only if the width is odd. These widths are even, and Rust's
    // `^` always puts it on the right.
    format!("{magic}{:^18}{len:^8}", seconds(time)).into_bytes()
}

/// Encodes a record, padded to 32 bytes. `None` if the text is longer or has control characters.
#[must_use]
pub fn line(text: &str) -> Option<[u8; LINE]> {
    let mut line = [b' '; LINE];
    line.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    (!text.contains(char::is_control)).then_some(line)
}

/// The bytes of a message before its payload.
#[derive(Clone, Copy, Debug)]
pub struct MessageHead<'a> {
    /// See [`Frame::records`].
    pub records: &'a [u8],
    /// See [`Frame::detect_at`].
    pub detect_at: usize,
    /// See [`Frame::header`].
    pub header: &'a [u8],
    /// See [`Frame::detection_text`].
    pub detection_text: &'a [u8],
}

impl<'a> MessageHead<'a> {
    /// Returns the head of a frame.
    #[must_use]
    pub fn of(frame: &'a Frame) -> Self {
        let Frame { records, detect_at, header, detection_text, .. } = frame;
        Self { records, detect_at: *detect_at, header, detection_text }
    }

    /// Returns its parts in wire order. A `DETECT` message has its own header and precedes that of the frame, with
    /// records in between if the camera sent some.
    #[must_use]
    pub fn parts(&self) -> [&'a [u8]; 5] {
        let Self { records, detect_at, header, detection_text } = *self;
        let detect = if header::has_detect(header) { LINE } else { 0 };
        let (before, after) = records.split_at(if detect > 0 { detect_at.min(records.len()) } else { records.len() });
        let (detect, header) = header.split_at(detect);
        if detect.is_empty() {
            [before, header, detection_text, after, &[]]
        } else {
            [before, detect, detection_text, after, header]
        }
    }
}

/// Appends the bytes of a frame before its payload: records, headers and detections.
pub fn head(frame: &Frame, out: &mut Vec<u8>) {
    MessageHead::of(frame).parts().iter().for_each(|part| out.extend_from_slice(part));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::BBox;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).expect("ASCII")
    }

    #[test]
    fn seconds_are_formatted_as_in_python() {
        // Printed by CPython: `str(timedelta(microseconds=us).total_seconds())`.
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
    fn headers_equal_those_of_the_captures() {
        let at = DeviceTime(12_345_678);
        assert_eq!(text(&img(at, 9216, 0)), "IMG 12.345678 9216 0            ");
        assert_eq!(text(&img(DeviceTime(1_234_567_890_123_456), 9216, 10764)), "IMG 1234567890.123456 9216 10764");
        assert_eq!(img(DeviceTime(1_234_567_890_123_456), 675_840, 1076).len(), 33);
        assert_eq!(text(&abcde(at, 958)), "ABCDE 12.345678         958     ");
        let tracks = [(30.0, 105.0), (70.0, 105.0), (110.0, 105.0)];
        let track = |id: u32, (x, y): (f32, f32)| Track { id, x: x / 300.0, y: y / 300.0 };
        let tracks: Vec<_> = (0..).zip(tracks).map(|(id, center)| track(id, center)).collect();
        let header = abcde256(at, 958, Counters::default(), &tracks);
        assert_eq!(header.len(), 256);
        assert_eq!(text(&header[32..96]), "[0, 0, 0, 0]    [['ID 0', 30, 105], ['ID 1', 70, 105], ['ID 2', ");
        let many: Vec<_> = (0..14).map(|id| track(id, (100.0, 100.0))).collect();
        assert!(abcde256(at, 958, Counters::default(), &many).len() > 256);
        assert_eq!(text(&frame(DeviceTime(12_420_000), 4687)), "FRAME       12.42         4687  ");
        assert_eq!(text(&frame(DeviceTime(12_340_000), 958)), "FRAME       12.34         958   ");
    }

    #[test]
    fn detections_are_rounded_as_in_python() {
        let edges = |xmin, ymin, xmax, ymax| BBox { xmin, ymin, xmax, ymax };
        let boxes = [
            Detection {
                label: 12,
                confidence: 0.999_999,
                bbox: edges(-0.012_345_6, -4e-5, 1.0203, 1.5),
                position: Some(Position::from_mm([-120.4, f32::NAN, 1237.6])),
            },
            Detection {
                label: 0,
                confidence: 0.5,
                bbox: edges(0.031_25, f32::NAN, f32::INFINITY, 0.0),
                position: None,
            },
        ];
        assert_eq!(
            text(&detections(&boxes)),
            "12;100.0;-0.0123;-0.0000;1.0203;1.5000;-120;nan;1238|0;50.0;0.0312;nan;inf;0.0000"
        );
        assert!(detections(&[]).is_empty());
        assert!(detect(DeviceTime(0), &[]).is_empty());
        let json = detect(DeviceTime(13_000_000), &boxes[..1]);
        let json_text = text(&json[32..]).replace("NaN", "null");
        let body: serde_json::Value = serde_json::from_str(&json_text).expect("JSON");
        assert_eq!(body[0]["label"], 12);
        assert!(
            json_text.ends_with("\"ymax\": 1.5, \"x\": -120.4000015258789, \"y\": null, \"z\": 1237.5999755859375}]"),
            "{json_text}"
        );
        assert_eq!(text(&json[..32]), format!("DETECT       13.0       {:^8}", json.len() - 32));
    }

    #[test]
    fn records_of_other_lengths_are_rejected() {
        assert_eq!(line("@F 1 2"), Some(*b"@F 1 2                          "));
        assert_eq!(line(&"x".repeat(33)), None);
        assert_eq!(line("caf\u{e9}"), Some(*b"caf\xc3\xa9                           "));
        assert_eq!(line(&"\u{e9}".repeat(17)), None, "34 bytes");
        assert_eq!(line("a\tb"), None);
    }
}
