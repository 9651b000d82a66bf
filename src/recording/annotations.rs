//! The boxes and labels that Foxglove draws, in pixels: encoded from detections, compared with them, and read one by one.
//!
//! There may be 10,000 boxes in a frame, and files may claim millions in few bytes. So no list of annotations is held: one
//! annotation at a time is filled and encoded, or decoded.

use std::fmt::Write as _;

use foxglove::messages::points_annotation::Type;
use foxglove::messages::{Color, ImageAnnotations, KeyValuePair, Point2, PointsAnnotation, TextAnnotation, Timestamp};
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::frame::{BBox, Detection, LabelMap, Position};
use crate::overlay;

/// Longest annotation that is decoded, in bytes: an outline of about 3,000 points. Decoded, it takes up to 24 times as much.
const ANNOTATION_BYTES_MAX: usize = 64 << 10;

/// Fields of one message that are read: there are two for each of 10,000 boxes. Bounds the time for a message of many
/// empty fields.
const FIELDS_MAX: usize = 100_000;

/// Pairs of metadata that every box has: name of the class, its number, and the confidence. A position follows.
const FIXED_PAIRS: usize = 3;

/// Keys of the coordinates of a position, in millimeters.
pub(super) const POSITION_KEYS: [&str; 3] = ["x_mm", "y_mm", "z_mm"];

/// Numbers of the fields in `foxglove.ImageAnnotations`.
const POINTS: u32 = 2;
const TEXTS: u32 = 3;
const TIMESTAMP: u32 = 5;

/// Appends the annotations of a picture of `size` (width, height) to `into`. Leaves out boxes with a coordinate that is not
/// finite; the wire message has all of them. Has no boxes if the size is unknown.
pub(super) fn encode(
    into: &mut Vec<u8>,
    time: Timestamp,
    detections: &[Detection],
    names: &LabelMap,
    size: Option<(u32, u32)>,
) {
    // Messages that follow each other are one message with all of their elements.
    // Writing into a `Vec` cannot fail.
    let _ = ImageAnnotations { timestamp: Some(time), ..ImageAnnotations::default() }.encode(into);
    let Some(size) = size else { return };
    let mut drawn = DrawnBox::new(Some(time));
    for detection in detections {
        if drawn.set(detection, names, size) {
            let _ = drawn.0.encode(into);
        }
    }
}

/// Compares the annotations in a file with the detections of the frame. Label names are not compared, since they may have
/// been given by the user of the recorder.
///
/// # Errors
/// The first box that differs: the expected and the found value.
pub(super) fn compare(
    message: &[u8],
    detections: &[Detection],
    size: Option<(u32, u32)>,
) -> Result<(), (String, String)> {
    let names = LabelMap::unnamed();
    let mut drawn = DrawnBox::new(None);
    let mut found = points(message);
    let count = count_drawn(detections, size);
    for (number, detection) in detections.iter().filter(|detection| is_drawn(&detection.bbox)).enumerate().take(count) {
        drawn.set(detection, &names, size.unwrap_or_default());
        let about = |text: String| format!("box {number} of {count}: {text}");
        let expected = &drawn.0.points[0];
        let found = match found.next() {
            Some(Ok(found)) => found,
            Some(Err(error)) => return Err((about(describe(expected)), error)),
            None => return Err((format!("{count} boxes"), format!("{number} boxes"))),
        };
        if found.points != expected.points || !agree(&expected.metadata, &found.metadata) {
            let (expected, found) = (describe(expected), describe(&found));
            if expected != found {
                return Err((about(expected), found));
            }
        }
    }
    match found.next() {
        None => Ok(()),
        Some(Ok(_)) => Err((format!("{count} boxes"), format!("{} boxes", count + 1 + found.count()))),
        Some(Err(error)) => Err((format!("{count} boxes"), error)),
    }
}

/// Returns whether class, confidence and position are the same. Earlier versions wrote no position.
fn agree(expected: &[KeyValuePair], found: &[KeyValuePair]) -> bool {
    let (Some(expected), Some(found)) = (expected.get(1..), found.get(1..)) else { return false };
    expected == found || expected.get(..FIXED_PAIRS - 1) == Some(found)
}

/// Returns the number of boxes in the annotations of a frame.
pub(super) fn count_drawn(detections: &[Detection], size: Option<(u32, u32)>) -> usize {
    if size.is_none() { 0 } else { detections.iter().filter(|detection| is_drawn(&detection.bbox)).count() }
}

/// Decodes the outlines of a `foxglove.ImageAnnotations` one by one. Ends after an error.
pub(super) fn points(message: &[u8]) -> impl Iterator<Item = Result<PointsAnnotation, String>> {
    Elements::new(message, POINTS).map(|element| decode(element?))
}

/// Decodes the texts of a `foxglove.ImageAnnotations` one by one. Ends after an error.
pub(super) fn texts(message: &[u8]) -> impl Iterator<Item = Result<TextAnnotation, String>> {
    Elements::new(message, TEXTS).map(|element| decode(element?))
}

/// Returns the time of a `foxglove.ImageAnnotations`, if it has one.
pub(super) fn timestamp(message: &[u8]) -> Option<Timestamp> {
    decode(Elements::new(message, TIMESTAMP).last()?.ok()?).ok()
}

fn decode<M: prost::Message + Default>(element: &[u8]) -> Result<M, String> {
    if element.len() > ANNOTATION_BYTES_MAX {
        return Err(format!("an annotation of {} bytes, at most {ANNOTATION_BYTES_MAX} are read", element.len()));
    }
    M::decode(element).map_err(|error| error.to_string())
}

/// The elements of one field of a message, undecoded.
struct Elements<'a> {
    message: &'a [u8],
    field: u32,
    /// Fields that may still be read.
    left: usize,
}

impl<'a> Elements<'a> {
    const fn new(message: &'a [u8], field: u32) -> Self {
        Self { message, field, left: FIELDS_MAX }
    }

    fn read(&mut self) -> Result<Option<&'a [u8]>, String> {
        while !self.message.is_empty() {
            self.left = self.left.checked_sub(1).ok_or_else(|| format!("more than {FIELDS_MAX} fields"))?;
            let (field, kind) = decode_key(&mut self.message).map_err(|error| error.to_string())?;
            if field != self.field || kind != WireType::LengthDelimited {
                skip_field(kind, field, &mut self.message, DecodeContext::default())
                    .map_err(|error| error.to_string())?;
                continue;
            }
            let len = decode_varint(&mut self.message).map_err(|error| error.to_string())?;
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let Some((element, rest)) = self.message.split_at_checked(len) else {
                return Err(format!("an annotation of {len} bytes in a message with {} left", self.message.len()));
            };
            self.message = rest;
            return Ok(Some(element));
        }
        Ok(None)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], String>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            self.message = &[];
        }
        read.transpose()
    }
}

/// One box and its text, filled again for each detection.
struct DrawnBox(ImageAnnotations);

impl DrawnBox {
    fn new(time: Option<Timestamp>) -> Self {
        let pair = |key: &str| KeyValuePair { key: key.to_owned(), value: String::new() };
        let points = PointsAnnotation {
            timestamp: time,
            r#type: Type::LineLoop.into(),
            points: vec![Point2::default(); 4],
            thickness: 2.0,
            metadata: vec![pair("label"), pair("class"), pair("confidence")],
            ..PointsAnnotation::default()
        };
        let text = TextAnnotation {
            timestamp: time,
            font_size: 12.0,
            text_color: Some(Color { r: 1.0, g: 1.0, b: 1.0, a: 1.0 }),
            ..TextAnnotation::default()
        };
        Self(ImageAnnotations { points: vec![points], texts: vec![text], ..ImageAnnotations::default() })
    }

    /// Returns `false` for a box that cannot be drawn.
    fn set(&mut self, detection: &Detection, names: &LabelMap, (width, height): (u32, u32)) -> bool {
        let Detection { label, confidence, bbox, position } = detection;
        if !is_drawn(bbox) {
            return false;
        }
        let [left, top, right, bottom] =
            [bbox.xmin, bbox.ymin, bbox.xmax, bbox.ymax].map(|edge| f64::from(edge.clamp(0.0, 1.0)));
        let corner = |across, down| Point2 { x: across * f64::from(width), y: down * f64::from(height) };
        let colour = colour(*label);
        let name = names.title(*label);
        let (points, text) = (&mut self.0.points[0], &mut self.0.texts[0]);
        points.points.copy_from_slice(&[
            corner(left, top),
            corner(right, top),
            corner(right, bottom),
            corner(left, bottom),
        ]);
        points.outline_color = Some(colour);
        points.metadata.truncate(FIXED_PAIRS);
        points.metadata.iter_mut().for_each(|pair| pair.value.clear());
        let [label_value, class_value, confidence_value] = &mut points.metadata[..] else { return false };
        label_value.value.push_str(&name);
        // Writing to a string cannot fail.
        let _ = write!(class_value.value, "{label}");
        let _ = write!(confidence_value.value, "{confidence}");
        for (key, mm) in POSITION_KEYS.iter().zip(position.iter().flat_map(Position::mm)) {
            points.metadata.push(KeyValuePair { key: (*key).to_owned(), value: mm.to_string() });
        }
        text.position = Some(corner(left, top));
        text.background_color = Some(Color { a: 0.6, ..colour });
        text.text.clear();
        let _ = write!(text.text, "{name} {:.0}%", confidence * 100.0);
        if let Some(depth) = position.as_ref().and_then(Position::depth) {
            let _ = write!(text.text, " {depth}");
        }
        true
    }
}

fn is_drawn(bbox: &BBox) -> bool {
    [bbox.xmin, bbox.ymin, bbox.xmax, bbox.ymax].iter().all(|edge| edge.is_finite())
}

fn describe(points: &PointsAnnotation) -> String {
    let corners: Vec<_> = points.points.iter().take(8).map(|point| format!("{:.3},{:.3}", point.x, point.y)).collect();
    let value = |key| points.metadata.iter().find(|pair| pair.key == key).map_or("?", |pair| &pair.value[..]);
    let short = |key| value(key).chars().take(40).collect::<String>();
    let position = POSITION_KEYS.map(short).join(" ");
    let position = if position == "? ? ?" { String::new() } else { format!(", position {position} mm") };
    format!("class {} ({}) at {}{position}", short("class"), short("confidence"), corners.join(" "))
}

fn colour(label: u32) -> Color {
    let [_, r, g, b] = overlay::class_color(label).to_be_bytes().map(|part| f64::from(part) / 255.0);
    Color { r, g, b, a: 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detections(count: u32) -> Vec<Detection> {
        let bbox = BBox { xmin: 0.25, ymin: 0.5, xmax: 0.75, ymax: 1.5 };
        (0..count).map(|label| Detection { label, confidence: 0.893, bbox, ..Detection::default() }).collect()
    }

    fn encoded(detections: &[Detection]) -> Vec<u8> {
        let mut message = Vec::new();
        encode(&mut message, Timestamp::new(5, 6), detections, LabelMap::coco(), Some((640, 352)));
        message
    }

    #[test]
    fn boxes_are_drawn_in_pixels() {
        let mut sent = detections(2);
        sent.push(Detection { bbox: BBox { xmin: f32::NAN, ..BBox::default() }, ..sent[0] });
        let all = ImageAnnotations::decode(&encoded(&sent)[..]).expect("a message");
        assert_eq!(all.timestamp, Some(Timestamp::new(5, 6)));
        assert_eq!((all.points.len(), all.texts.len()), (2, 2), "without the box that is not a number");
        let corners: Vec<_> = all.points[0].points.iter().map(|point| (point.x, point.y)).collect();
        assert_eq!(corners, [(160.0, 176.0), (480.0, 176.0), (480.0, 352.0), (160.0, 352.0)]);
        let texts: Vec<_> = all.texts.iter().map(|text| text.text.as_str()).collect();
        assert_eq!(texts, ["person 89%", "bicycle 89%"]);
        let values: Vec<_> = all.points[1].metadata.iter().map(|pair| pair.value.as_str()).collect();
        assert_eq!(values, ["bicycle", "1", "0.893"]);
        assert_eq!(compare(&encoded(&sent), &sent, Some((640, 352))), Ok(()));
    }

    #[test]
    fn the_first_difference_is_reported() {
        let sent = detections(10_000);
        let message = encoded(&sent);
        let mut other = sent.clone();
        other[7000].confidence = 0.5;
        let (expected, found) = compare(&message, &other, Some((640, 352))).expect_err("a difference");
        assert!(expected.starts_with("box 7000 of 10000: class 7000 (0.5) at 160.000"), "{expected}");
        assert!(found.starts_with("class 7000 (0.893)"), "{found}");
        let counts = |found: &[Detection]| compare(&message, found, Some((640, 352))).expect_err("another count");
        assert_eq!(counts(&sent[..9000]), ("9000 boxes".to_owned(), "10000 boxes".to_owned()));
        let longer = detections(10_001);
        assert_eq!(counts(&longer), ("10001 boxes".to_owned(), "10000 boxes".to_owned()));
        // The last text is cut: boxes before it agree, and the rest cannot be read.
        assert!(compare(&message[..message.len() - 1], &sent, Some((640, 352))).is_err());
    }

    #[test]
    fn positions_are_kept_and_compared() {
        let size = Some((640, 352));
        let mut sent = detections(2);
        sent[0].position = Some(Position::from_mm([-120.5, f32::NAN, 1237.0]));
        let message = encoded(&sent);
        let all = ImageAnnotations::decode(&message[..]).expect("a message");
        let texts: Vec<_> = all.texts.iter().map(|text| text.text.as_str()).collect();
        assert_eq!(texts, ["person 89% 1.24 m", "bicycle 89%"]);
        let pairs: Vec<_> =
            all.points[0].metadata[3..].iter().map(|pair| (pair.key.as_str(), pair.value.as_str())).collect();
        assert_eq!(pairs, [("x_mm", "-120.5"), ("y_mm", "NaN"), ("z_mm", "1237")]);
        assert_eq!(all.points[1].metadata.len(), 3, "that of the box before is forgotten");
        assert_eq!(compare(&message, &sent, size), Ok(()));
        let farther = [Detection { position: Some(Position::from_mm([-120.5, f32::NAN, 1238.0])), ..sent[0] }, sent[1]];
        let (expected, found) = compare(&message, &farther, size).expect_err("another distance");
        assert!(expected.ends_with("position -120.5 NaN 1238 mm") && found.ends_with("1237 mm"), "{expected}, {found}");
        // Files of earlier versions have no positions beside their boxes.
        assert_eq!(compare(&encoded(&detections(2)), &sent, size), Ok(()));
        assert!(compare(&message, &detections(2), size).is_err(), "a position that the camera did not send");
    }

    /// Two bytes a box in a file must not become 200 in memory.
    #[test]
    fn empty_annotations_are_read_one_by_one() {
        let empty = [(POINTS << 3 | 2) as u8, 0].repeat(1_000_000);
        let (expected, _) = compare(&empty, &detections(1), Some((640, 352))).expect_err("an empty box");
        assert!(expected.starts_with("box 0 of 1"), "{expected}");
        assert_eq!(points(&empty).count(), FIELDS_MAX + 1);
        assert!(points(&empty).last().is_some_and(|read| read.is_err_and(|why| why.contains("100000 fields"))));
        let mut long = vec![(POINTS << 3 | 2) as u8, 0x80, 0x80, 0x08];
        long.resize(4 + (1 << 17), 0x1A);
        assert!(points(&long).next().is_some_and(|read| read.is_err_and(|why| why.contains("131072 bytes"))));
        assert!(points(&[(POINTS << 3 | 2) as u8, 100, 1]).next().is_some_and(|read| read.is_err()));
    }
}
