//! One camera's tile in the window.

use std::sync::Arc;

use super::grid::centered;
use super::status::CameraStatus;
use crate::convert::{Placement, ScaledFrom, Scaler};
use crate::frame::Picture;
use crate::overlay::Rect;
use crate::view::{Showing, Zoom};

/// One camera's place on the screen.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) picture: Option<Arc<Picture>>,
    /// The picture is not yet counted as shown.
    pub(super) fresh: bool,
    pub(super) status: CameraStatus,
    pub(super) zoom: Zoom,
    /// What the view was told to make. Pictures that were made before are scaled until the next one.
    pub(super) showing: Option<Showing>,
    /// Place in the window; empty while the tile is hidden.
    pub(super) at: Rect,
    /// The frame of the picture proved to be damaged.
    pub(super) damaged: bool,
    scaler: Scaler,
}

impl Tile {
    pub(super) fn new(status: CameraStatus) -> Self {
        let (zoom, scaler) = (Zoom::default(), Scaler::default());
        Self { picture: None, fresh: false, status, zoom, showing: None, at: Rect::default(), damaged: false, scaler }
    }

    /// Returns what the tile shows of its camera's frames, and how large.
    pub(super) fn placement(&self) -> Option<Placement> {
        Some(self.showing?.place(self.picture.as_ref()?.part.of))
    }

    /// Draws the picture in the middle of the tile, and returns the covered area. A picture that was made for another size
    /// or part is scaled, until the view has made the next one.
    pub(super) fn draw_picture(&mut self, words: &mut [u32], stride: usize) -> Rect {
        let (Some(placement), Some(picture)) = (self.placement(), &self.picture) else { return self.at };
        let size = placement.size;
        let covered = centered(size, self.at);
        let (left, top) = (covered.x.max(0) as usize, covered.y.max(0) as usize);
        let Some(into) = words.get_mut(top * stride + left..) else { return covered };
        if (Placement { part: picture.part, size: (picture.width, picture.height) }) == placement {
            let rows = into.chunks_mut(stride.max(1)).zip(picture.words().chunks_exact(size.0.max(1)));
            rows.for_each(|(row, source)| row[..size.0].copy_from_slice(source));
            return covered;
        }
        let (had, wants) = (picture.part, placement.part);
        let across = picture.width as f64 / had.width;
        let down = picture.height as f64 / had.height;
        let from = ScaledFrom {
            words: picture.words(),
            stride: picture.width,
            across: ((wants.x - had.x) * across, wants.width * across),
            down: ((wants.y - had.y) * down, wants.height * down),
        };
        self.scaler.scale(from, size, into, stride);
        covered
    }
}
