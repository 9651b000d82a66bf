//! Boxes, tracks, counters and records of a simulated camera, in the form in which it sends them.

use super::config::{Coding, SimConfig};
use crate::frame::{BBox, Counters, Detection, DeviceTime, Position, Track};
use crate::wire::LINE;
use crate::wire::encode;

/// The records that name a stream and describe its pictures.
pub(super) fn stream_records(config: &SimConfig, name: &str, format: Coding) -> Vec<u8> {
    let (width, height) = config.size;
    let lines = [format!("@S {name}"), format!("@D {width} {height} {format}")];
    lines.iter().filter_map(|text| encode::line(text)).flatten().collect()
}

/// The counters of a camera that sees an object move left every 50 frames and right every 70 frames.
pub(super) fn counters(index: u64) -> Counters {
    Counters { left: (index / 50) as u32, right: (index / 70) as u32, ..Counters::default() }
}

/// Repeats boxes until the header for this time and payload is longer than 32 bytes.
pub(super) fn overflowing_detections(time: DeviceTime, payload_len: usize, detections: &mut Vec<Detection>) {
    if detections.is_empty() {
        detections.push(Detection { confidence: 0.5, ..Detection::default() });
    }
    let digits_wanted = LINE + 1 - "IMG   ".len() - encode::seconds(time).len() - payload_len.to_string().len();
    let text_wanted = 10_usize.pow(digits_wanted.saturating_sub(1) as u32);
    let original = detections.len();
    // A box is at least 32 characters long with its separator.
    while detections.len() * 32 < text_wanted {
        detections.push(detections[detections.len() % original]);
    }
}

/// A detection after the rounding of its text form: percent with one decimal, edges with four, positions in whole millimeters.
pub(super) fn as_printed(detection: &Detection) -> Detection {
    let number = |text: String| -> f64 { text.parse().expect("printed from a number") };
    let edge = |value: f32| number(format!("{value:.4}")) as f32;
    let percent = number(format!("{:.1}", f64::from(detection.confidence) * 100.0));
    let BBox { xmin, ymin, xmax, ymax } = detection.bbox;
    let whole = |mm: f32| number(format!("{mm:.0}")) as f32;
    Detection {
        label: detection.label,
        confidence: (percent / 100.0) as f32,
        bbox: BBox { xmin: edge(xmin), ymin: edge(ymin), xmax: edge(xmax), ymax: edge(ymax) },
        position: detection.position.map(|position| Position::from_mm(position.mm().map(whole))),
    }
}

/// The `@B` record of a box, and the box after the rounding of that record.
pub(super) fn box_record(detection: &Detection) -> Option<([u8; LINE], Detection)> {
    let detection = as_printed(detection);
    let parts = |value: f32, of: f64| (f64::from(value) * of).round().max(0.0) as u32;
    let edge = |value| parts(value, 1e4);
    let BBox { xmin, ymin, xmax, ymax } = detection.bbox;
    let line = encode::line(&format!(
        "@B {} {} {:04} {:04} {:04} {:04}",
        detection.label,
        parts(detection.confidence, 1e3),
        edge(xmin),
        edge(ymin),
        edge(xmax),
        edge(ymax)
    ))?;
    Some((line, detection))
}

/// The tracked objects of the counting example; with `overflow`, more than its header can hold.
pub(super) fn tracks(detections: &[Detection], overflow: bool) -> Vec<Track> {
    // The header holds 6 to 9 of them: ids have one digit, coordinates one to three.
    let count = if overflow { 14 } else { detections.len().min(6) };
    // As the camera rounds them: to pixels of a picture of 300x300.
    let place = |low: f32, high: f32| ((low + high) / 2.0 * 300.0).trunc() / 300.0;
    let center = |bbox: &BBox| (place(bbox.xmin, bbox.xmax), place(bbox.ymin, bbox.ymax));
    let centers = detections.iter().map(|detection| center(&detection.bbox)).chain([(0.5, 0.5)]);
    (0..count as u32).zip(centers.cycle()).map(|(id, (x, y))| Track { id, x, y }).collect()
}
