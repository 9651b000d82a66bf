//! Topics and messages of a camera in recordings. Clients of Foxglove receive the same bytes live.

use foxglove::messages::{ImageAnnotations, Timestamp};
use foxglove::{Encode as _, Schema};

use super::annotations;
use crate::frame::{Detection, Frame, LabelMap};

/// Returns the name of a camera in topics.
pub(crate) fn topic_name(camera: &str) -> String {
    camera.replace('/', "_")
}

/// Returns the topic of the pictures of a camera. `name`: its name in topics.
pub(crate) fn image_topic(name: &str) -> String {
    format!("/{name}/image")
}

/// Returns the topic of the boxes of a camera. `name`: its name in topics.
pub(crate) fn detections_topic(name: &str) -> String {
    format!("/{name}/detections")
}

/// Returns the topic of the numbers that a camera publishes on `topic`. `name`: its name in topics.
pub(crate) fn number_topic(name: &str, topic: &str) -> String {
    format!("/{name}/measurement/{}", topic.trim_start_matches('/'))
}

/// Returns the schema of the boxes.
pub(crate) fn detections_schema() -> Schema {
    ImageAnnotations::get_schema().expect("foxglove has a schema for each of its messages")
}

/// Appends the boxes of a frame to `into`. `unix_ns`: capture time in nanoseconds since 1970, UTC.
pub(crate) fn write_detections(
    into: &mut Vec<u8>,
    frame: &Frame,
    detections: &[Detection],
    names: &LabelMap,
    unix_ns: i64,
) {
    let size = frame.size().map(|size| (size.width, size.height));
    annotations::encode(into, timestamp(unix_ns), detections, names, size);
}

/// Times of recordings are unsigned: times before 1970 become 0.
pub(crate) fn nanoseconds(unix_ns: i64) -> u64 {
    u64::try_from(unix_ns).unwrap_or(0)
}

/// Returns nanoseconds since 1970, UTC, as a time in messages.
pub(crate) fn timestamp(unix_ns: i64) -> Timestamp {
    let ns = nanoseconds(unix_ns);
    let sec = u32::try_from(ns / 1_000_000_000).unwrap_or(u32::MAX);
    // Less than 10^9.
    Timestamp::new(sec, (ns % 1_000_000_000) as u32)
}
