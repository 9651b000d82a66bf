//! One camera's tile in the window.

use std::sync::Arc;

use super::camera::CameraInput;
use super::grid::centered;
use super::status::CameraStatus;
use super::tile_message::Advised;
use crate::convert::{Placement, ScaledFrom, Scaler};
use crate::frame::Picture;
use crate::overlay::Rect;
use crate::view::{Showing, View, Zoom};

/// Time for which a camera counts as troubled after damage or a reconnect.
const TROUBLE_NS: u64 = 5_000_000_000;

/// Notices that a camera's counts of damage and of reconnects have grown.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    damage: u64,
    reconnects: u64,
    word: &'static str,
    until_ns: u64,
}

impl Trouble {
    /// Takes the newest counts. Returns a word for the one that has grown within the last seconds.
    pub(super) fn counted(&mut self, damage: u64, reconnects: u64, now_ns: u64) -> Option<&'static str> {
        let has_damage = std::mem::replace(&mut self.damage, damage) < damage;
        let has_reconnected = std::mem::replace(&mut self.reconnects, reconnects) < reconnects;
        if has_damage || has_reconnected {
            // A connection that breaks off inside a frame damages it: the new connection says more.
            self.word = if has_reconnected { "reconnected" } else { "damage" };
            self.until_ns = now_ns + TROUBLE_NS;
        }
        (now_ns < self.until_ns).then_some(self.word)
    }
}

/// One camera's place on the screen.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) picture: Option<Arc<Picture>>,
    /// The picture is not yet counted as shown.
    pub(super) fresh: bool,
    /// Frame and arrival of the last picture that was counted as shown.
    pub(super) counted: Option<(u64, u64)>,
    pub(super) status: CameraStatus,
    pub(super) zoom: Zoom,
    /// What the view was told to make. Pictures that were made before are scaled until the next one.
    pub(super) showing: Option<Showing>,
    /// Place in the window; empty while the tile is hidden.
    pub(super) at: Rect,
    /// The frame of the picture proved to be damaged.
    pub(super) damaged: bool,
    pub(super) trouble: Trouble,
    pub(super) advised: Advised,
    scaler: Scaler,
}

impl Tile {
    /// Creates the tile of a camera or of one of its streams, without a picture.
    pub(super) fn of(camera: &CameraInput, view: &View) -> Self {
        Self::new(CameraStatus {
            name: camera.name.clone(),
            state: camera.state(),
            held: false,
            stats: camera.ledger.snapshot(),
            health: view.health(),
            help: None,
            age_ns: None,
            threshold: 0.0,
            recording: None,
            trouble: None,
        })
    }

    fn new(status: CameraStatus) -> Self {
        Self {
            picture: None,
            fresh: false,
            counted: None,
            status,
            zoom: Zoom::default(),
            showing: None,
            at: Rect::default(),
            damaged: false,
            trouble: Trouble::default(),
            advised: Advised::default(),
            scaler: Scaler::default(),
        }
    }

    /// Returns what the tile shows of its camera's frames, and how large.
    pub(super) fn placement(&self) -> Option<Placement> {
        Some(self.showing?.place(self.picture.as_ref()?.part.of))
    }

    /// Returns the area that the picture covers; the tile without a picture.
    pub(super) fn covered(&self) -> Rect {
        self.placement().map_or(self.at, |placement| centered(placement.size, self.at))
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

#[cfg(test)]
mod tests {
    use super::super::design::Design;
    use super::super::grid::{sides, tiles};
    use super::*;
    use crate::frame::{BBox, Detection};
    use crate::overlay::{Overlay, Style, class_color};

    /// Returns the number of rows of a title, and the width of the left edge of its box, in the first of `count` tiles.
    fn sizes(count: usize, frame: (usize, usize), scale: f32) -> (usize, usize) {
        let strokes = Design::default().scaled(scale).strokes();
        let room = sides(tiles(count, (2600, 1460), frame)[0]);
        let placement = Showing { room, zoom: Zoom::Fit, strokes, covered: 0, detections: true }.place(frame);
        let mut picture = Picture::default();
        picture.resize(placement.size.0, placement.size.1);
        picture.part = placement.part;
        let bbox = BBox { xmin: 0.25, ymin: 0.5, xmax: 0.75, ymax: 0.9 };
        let mut overlay = Overlay::new(Style::default());
        overlay.set_strokes(Some(strokes));
        overlay.draw(&mut picture, &[Detection { label: 0, confidence: 0.5, bbox, ..Detection::default() }], None);
        let (color, width) = (class_color(0), picture.width);
        let top = (picture.height as f64 / 2.0).round() as usize;
        let is = |x: usize, y: usize| picture.words()[y * width + x] == color;
        // The margin of the title, which is above the box and may begin to the left of it.
        let margin = (0..width).find(|x| (0..top).any(|y| is(*x, y))).expect("a title");
        let rows = (0..top).filter(|y| is(margin, *y)).count();
        let edge = (0..width / 2).filter(|x| is(*x, picture.height * 7 / 10)).count();
        (rows, edge)
    }

    #[test]
    fn trouble_passes() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.counted(0, 0, 10), None);
        assert_eq!(trouble.counted(2, 0, 20), Some("damage"));
        assert_eq!(trouble.counted(2, 0, 19 + TROUBLE_NS), Some("damage"));
        assert_eq!(trouble.counted(2, 0, 20 + TROUBLE_NS), None);
        assert_eq!(trouble.counted(3, 1, 3 * TROUBLE_NS), Some("reconnected"));
        assert_eq!(trouble.counted(3, 1, 4 * TROUBLE_NS), None);
    }

    #[test]
    fn text_and_lines_have_one_size_in_any_grid() {
        for frame in [(640, 352), (1920, 1080), (3840, 2160), (720, 1280)] {
            for scale in [1.0, 1.5, 2.0] {
                let one = sizes(1, frame, scale);
                assert_eq!(one.1, (2.0 * scale) as usize, "{frame:?}");
                assert!((16.0 * scale..20.0 * scale).contains(&(one.0 as f32)), "{one:?} {frame:?}");
                for count in [4, 9, 40] {
                    assert_eq!(sizes(count, frame, scale), one, "{count} cameras of {frame:?} at {scale}");
                }
            }
        }
    }
}
