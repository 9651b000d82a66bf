//! Where and how large a frame is shown.

use crate::convert::Placement;
use crate::frame::Part;
use crate::overlay::Strokes;

/// Enlargement of a frame in its tile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Zoom {
    /// Scaled to fit into the tile.
    #[default]
    Fit,
    /// Cropped if it does not fit.
    Times {
        /// Pixels of the window per pixel of the frame.
        times: f64,
        /// Point of the frame in the middle of the tile, as shares of its width and height. The edges of the frame stay
        /// outside of the tile as long as it is larger.
        center: (f64, f64),
    },
}

impl Zoom {
    /// One pixel of the window per pixel of the frame, around the center.
    pub const ORIGINAL_SIZE: Self = Self::Times { times: 1.0, center: (0.5, 0.5) };
}

/// Room for a frame in a window, and the sizes of what is drawn on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Showing {
    /// Width and height of the tile in pixels.
    pub room: (usize, usize),
    /// Enlargement of the frame.
    pub zoom: Zoom,
    /// Sizes of boxes and labels.
    pub strokes: Strokes,
    /// Rows at the lower edge of the tile that the window covers with text.
    pub covered: usize,
    /// Draws the detections of the frame: not on a picture of an earlier time.
    pub detections: bool,
}

impl Showing {
    /// Returns how many rows of a picture of this height, in the middle of the tile, are covered.
    pub(super) fn covered_of(&self, height: usize) -> usize {
        let below = self.room.1.saturating_sub(height).div_ceil(2);
        self.covered.saturating_sub(below).min(height)
    }

    /// Returns the part of a frame of this size that is shown, and its size in the window.
    #[must_use]
    pub fn place(&self, frame: (usize, usize)) -> Placement {
        let whole = Part::whole(frame.0, frame.1);
        match self.zoom {
            Zoom::Fit => Placement { part: whole, size: fitted(frame, self.room) },
            Zoom::Times { times, center } => {
                let times = if times.is_finite() { times.max(1e-3) } else { 1.0 };
                let (x, width, across) = crop(frame.0, self.room.0, times, center.0);
                let (y, height, down) = crop(frame.1, self.room.1, times, center.1);
                Placement { part: Part { of: frame, x, y, width, height }, size: (across, down) }
            }
        }
    }
}

/// Returns start and length of the visible part of a side, and its length in the window.
fn crop(side: usize, room: usize, times: f64, center: f64) -> (f64, f64, usize) {
    let all = side as f64;
    let shown = (all * times).round().max(1.0);
    if shown <= room as f64 {
        return (0.0, all, shown as usize);
    }
    let visible = (room as f64 / times).min(all);
    let start = (center * all - visible / 2.0).clamp(0.0, all - visible);
    // On a pixel of the window, so that the picture does not tremble while it is moved.
    ((start * times).round() / times, visible, room)
}

/// Returns the size of a picture that is scaled to fit into `(width, height)`.
#[must_use]
pub(crate) fn fitted(picture: (usize, usize), (width, height): (usize, usize)) -> (usize, usize) {
    if picture.0 == 0 || picture.1 == 0 {
        return (0, 0);
    }
    if width * picture.1 <= height * picture.0 {
        (width, (width * picture.1 / picture.0).max(1).min(height))
    } else {
        ((height * picture.0 / picture.1).max(1).min(width), height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(frame: (usize, usize), room: (usize, usize), zoom: Zoom) -> Placement {
        Showing { room, zoom, strokes: Strokes { line: 2, text: 16 }, covered: 0, detections: true }.place(frame)
    }

    #[test]
    fn fitting_keeps_the_aspect() {
        assert_eq!(
            place((400, 200), (800, 800), Zoom::Fit),
            Placement { part: Part::whole(400, 200), size: (800, 400) }
        );
        assert_eq!(place((200, 400), (800, 800), Zoom::Fit).size, (400, 800));
        assert_eq!(place((1920, 1080), (240, 135), Zoom::Fit).size, (240, 135));
        assert_eq!(place((640, 352), (0, 0), Zoom::Fit).size, (0, 0));
    }

    #[test]
    fn the_original_size_is_cropped_around_the_center() {
        let placed = place((400, 200), (300, 800), Zoom::ORIGINAL_SIZE);
        assert_eq!(placed.size, (300, 200));
        assert_eq!(placed.part, Part { of: (400, 200), x: 50.0, y: 0.0, width: 300.0, height: 200.0 });
    }

    #[test]
    fn an_enlarged_frame_fills_its_tile() {
        let at = |center| place((400, 200), (400, 200), Zoom::Times { times: 4.0, center }).part;
        assert_eq!(at((0.5, 0.5)), Part { of: (400, 200), x: 150.0, y: 75.0, width: 100.0, height: 50.0 });
        assert_eq!(at((-9.0, 9.0)), Part { of: (400, 200), x: 0.0, y: 150.0, width: 100.0, height: 50.0 });
        for times in [0.0, f64::NAN, f64::INFINITY, 1e9, -1.0] {
            let placed = place((400, 200), (300, 300), Zoom::Times { times, center: (f64::NAN, 0.5) });
            assert!(placed.size.0 <= 300 && placed.size.1 <= 300, "{placed:?}");
        }
    }

    #[test]
    fn a_picture_that_is_lower_than_its_tile_is_covered_less() {
        let strokes = Strokes { line: 2, text: 16 };
        let showing = Showing { room: (640, 400), zoom: Zoom::Fit, strokes, covered: 24, detections: true };
        assert_eq!([400, 390, 361, 353, 352, 0].map(|height| showing.covered_of(height)), [24, 19, 4, 0, 0, 0]);
        assert_eq!(Showing { covered: 500, ..showing }.covered_of(400), 400);
    }
}
