//! Notes about layouts that may be wrong, each one once.

use std::sync::Arc;

use super::{Frame, Geometry};

/// Layouts that are remembered. A damaged stream can have any number of them.
const LAYOUTS_MAX: usize = 16;

/// The layouts of a camera that were explained. Its streams may alternate with every frame.
#[derive(Debug, Default)]
pub struct LayoutNotes {
    explained: Vec<(Option<Arc<str>>, Option<Geometry>)>,
}

impl LayoutNotes {
    /// Returns [`Frame::layout_note`] for the first frame of each layout of each stream.
    pub fn of(&mut self, frame: &Frame) -> Option<String> {
        let is_known = |(stream, geometry): &(_, _)| *stream == frame.stream && *geometry == frame.geometry;
        if self.explained.len() == LAYOUTS_MAX || self.explained.iter().any(is_known) {
            return None;
        }
        self.explained.push((frame.stream.clone(), frame.geometry));
        frame.layout_note()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Guess, PixelFormat};

    fn frame(stream: Option<&str>, width: u32) -> Frame {
        Frame {
            stream: stream.map(Arc::from),
            geometry: Geometry::tight(PixelFormat::Raw16, width, 48).ok(),
            guess: Some(Guess::ByLength),
            ..Frame::default()
        }
    }

    #[test]
    fn each_layout_of_each_stream_is_explained_once() {
        let mut notes = LayoutNotes::default();
        let due = [(None, 64), (Some("depth"), 64), (None, 64), (Some("depth"), 64), (None, 80), (None, 64)]
            .map(|(stream, width)| notes.of(&frame(stream, width)).is_some());
        assert_eq!(due, [true, true, false, false, true, false]);
    }

    #[test]
    fn a_damaged_stream_causes_a_bounded_number_of_notes() {
        let mut notes = LayoutNotes::default();
        assert_eq!((1..100).filter_map(|width| notes.of(&frame(None, width))).count(), LAYOUTS_MAX);
    }
}
