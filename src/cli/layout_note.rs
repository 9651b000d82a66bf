//! Says how the payloads of a camera are interpreted.

use oaktap::frame::{Frame, Geometry};

use super::present;

/// Prints how the payloads of a stream are interpreted when that changes.
#[derive(Debug, Default)]
pub(crate) struct Explained {
    camera: String,
    last: Option<Option<Geometry>>,
}

impl Explained {
    /// Explains the frames of a camera.
    pub(crate) fn new(camera: &str) -> Self {
        Self { camera: camera.to_owned(), last: None }
    }

    /// Prints the interpretation of a frame if its layout differs from that of the last frame.
    pub(crate) fn frame(&mut self, frame: &Frame) {
        if self.last == Some(frame.geometry) {
            return;
        }
        self.last = Some(frame.geometry);
        if let Some(note) = frame.layout_note() {
            present::say(&format!("{}: {note}", self.camera));
        }
    }
}
