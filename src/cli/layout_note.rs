//! Says how the payloads of a camera are interpreted.

use oaktap::frame::{Frame, LayoutNotes};

use super::present;

/// Prints how the payloads of a camera are interpreted, for each layout of each stream once.
#[derive(Debug, Default)]
pub(crate) struct Explained {
    camera: String,
    notes: LayoutNotes,
}

impl Explained {
    /// Explains the frames of a camera.
    pub(crate) fn new(camera: &str) -> Self {
        Self { camera: camera.to_owned(), notes: LayoutNotes::default() }
    }

    /// Prints the interpretation of a frame if no frame of its stream had its layout before.
    pub(crate) fn frame(&mut self, frame: &Frame) {
        let Some(note) = self.notes.of(frame) else { return };
        match &frame.stream {
            Some(stream) => present::say(&format!("{}_{stream}: {note}", self.camera)),
            None => present::say(&format!("{}: {note}", self.camera)),
        }
    }
}
