//! Topics of a camera in recordings. Clients of Foxglove see the same live.

use foxglove::messages::ImageAnnotations;
use foxglove::{Encode as _, Schema};

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
