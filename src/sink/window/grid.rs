//! Places and scales the pictures of several cameras in one window. Aspect ratios are kept.

use crate::overlay::Rect;

/// Pixels between two tiles.
const GAP_PX: usize = 2;

fn rect(x: usize, y: usize, width: usize, height: usize) -> Rect {
    let pixels = |side| i32::try_from(side).unwrap_or(i32::MAX);
    Rect::new(pixels(x), pixels(y), pixels(width), pixels(height))
}

/// Width and height of a rectangle.
fn sides(rect: Rect) -> (usize, usize) {
    (usize::try_from(rect.width).unwrap_or(0), usize::try_from(rect.height).unwrap_or(0))
}

/// Returns the size of a picture that is scaled to fit into `(width, height)`.
fn fitted(picture: (usize, usize), (width, height): (usize, usize)) -> (usize, usize) {
    if picture.0 == 0 || picture.1 == 0 {
        return (0, 0);
    }
    if width * picture.1 <= height * picture.0 {
        (width, (width * picture.1 / picture.0).max(1).min(height))
    } else {
        ((height * picture.0 / picture.1).max(1).min(width), height)
    }
}

/// Returns the columns and rows of `count` tiles that show pictures of this size as large as possible.
pub(super) fn columns_and_rows(count: usize, window: (usize, usize), picture: (usize, usize)) -> (usize, usize) {
    let shape = |columns: usize| (columns, count.div_ceil(columns));
    // Equal areas: prefers the layout that is closest to a square.
    let score = |&(columns, rows): &(usize, usize)| {
        let (width, height) = fitted(picture, (window.0 / columns, window.1 / rows));
        (width * height, usize::MAX - columns.abs_diff(rows))
    };
    (1..=count.max(1)).map(shape).max_by_key(score).unwrap_or((1, 1))
}

/// Returns the places of `count` tiles in a window, row by row.
pub(super) fn tiles(count: usize, window: (usize, usize), picture: (usize, usize)) -> Vec<Rect> {
    let (columns, rows) = columns_and_rows(count, window, picture);
    let part = |at: usize, of: usize, side: usize| {
        let from = at * (side + GAP_PX) / of;
        let to = ((at + 1) * (side + GAP_PX) / of).saturating_sub(GAP_PX);
        (from.min(side), to.min(side).saturating_sub(from))
    };
    let tile = |at: usize| {
        let (x, width) = part(at % columns, columns, window.0);
        let (y, height) = part(at / columns, rows, window.1);
        rect(x, y, width, height)
    };
    (0..count).map(tile).collect()
}

/// Largest width and height of a new window. It fits on common screens beside their bars.
const OPENING_SIZE_MAX: (usize, usize) = (1300, 740);

/// Smallest width of a new window: narrower ones have no room for text.
const OPENING_WIDTH_MIN: usize = 480;

/// Returns the size of a new window for `count` pictures of this size: the original size, unless that is too large or too
/// small.
pub(super) fn opening_size(count: usize, picture: (usize, usize)) -> (usize, usize) {
    let (columns, rows) = columns_and_rows(count, OPENING_SIZE_MAX, picture);
    let whole = (columns * (picture.0 + GAP_PX) - GAP_PX, rows * (picture.1 + GAP_PX) - GAP_PX);
    if whole.0 > OPENING_SIZE_MAX.0 || whole.1 > OPENING_SIZE_MAX.1 {
        fitted(whole, OPENING_SIZE_MAX)
    } else {
        let times = OPENING_WIDTH_MIN.div_ceil(whole.0.max(1));
        (whole.0 * times, whole.1 * times)
    }
}

/// Size of a picture in its tile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Zoom {
    /// Scaled to fit into the tile.
    #[default]
    Fit,
    /// Original size. Cropped around the center if it does not fit.
    OriginalSize,
}

/// The visible part of a picture and its place in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// Upper left corner of the visible part, in pixels of the picture.
    pub(super) from: (usize, usize),
    /// Size of the visible part, in pixels of the picture.
    pub(super) visible: (usize, usize),
    /// Place in the window.
    pub(super) at: Rect,
}

/// Centers a picture in its tile.
pub(super) fn place(picture: (usize, usize), tile: Rect, zoom: Zoom) -> Placed {
    let room = sides(tile);
    let visible = match zoom {
        Zoom::Fit => picture,
        Zoom::OriginalSize => (picture.0.min(room.0), picture.1.min(room.1)),
    };
    let (width, height) = match zoom {
        Zoom::Fit => fitted(picture, room),
        Zoom::OriginalSize => visible,
    };
    let at = rect(0, 0, width, height);
    let at = Rect { x: tile.x + (tile.width - at.width) / 2, y: tile.y + (tile.height - at.height) / 2, ..at };
    Placed { from: ((picture.0 - visible.0) / 2, (picture.1 - visible.1) / 2), visible, at }
}

/// Two source pixels to blend, with the share of the second in 1/256.
#[derive(Clone, Copy, Debug)]
struct Tap {
    first: usize,
    second: usize,
    share: u32,
}

/// Copies and scales pictures into windows. Keeps its tables while the sizes stay the same.
#[derive(Debug, Default)]
pub(super) struct Scaler {
    key: (Option<Placed>, usize),
    across: Vec<Tap>,
    down: Vec<Tap>,
    row: Vec<u32>,
}

impl Scaler {
    /// Copies the visible part of a picture that is `stride` pixels wide into a window that is `into_stride` wide.
    ///
    /// Enlarges by linear interpolation. Reduces by averaging two points per axis of each pixel's area, so the cost depends
    /// on the size in the window, not on the size of the picture.
    pub(super) fn copy(&mut self, words: &[u32], stride: usize, placed: Placed, into: &mut [u32], into_stride: usize) {
        let Placed { from, visible, at } = placed;
        let (width, height) = sides(at);
        if width == 0 || height == 0 || visible.0 == 0 || visible.1 == 0 {
            return;
        }
        let (left, top) = (at.x.max(0) as usize, at.y.max(0) as usize);
        let source = |y: usize| &words[(from.1 + y) * stride + from.0..][..visible.0];
        let rows = into.chunks_exact_mut(into_stride).skip(top).take(height).map(|row| &mut row[left..][..width]);
        if visible == (width, height) {
            for (y, row) in rows.enumerate() {
                row.copy_from_slice(source(y));
            }
            return;
        }
        if self.key != (Some(placed), stride) {
            taps(&mut self.across, visible.0, width);
            taps(&mut self.down, visible.1, height);
            self.row.resize(visible.0, 0);
            self.key = (Some(placed), stride);
        }
        for (row, tap) in rows.zip(&self.down) {
            for ((mixed, a), b) in self.row.iter_mut().zip(source(tap.first)).zip(source(tap.second)) {
                *mixed = mix(*a, *b, tap.share);
            }
            for (pixel, tap) in row.iter_mut().zip(&self.across) {
                *pixel = mix(self.row[tap.first], self.row[tap.second], tap.share);
            }
        }
    }
}

/// Computes the taps that scale `from` pixels to `to` pixels.
fn taps(taps: &mut Vec<Tap>, from: usize, to: usize) {
    taps.clear();
    let ratio = from as f64 / to as f64;
    taps.extend((0..to).map(|at| {
        let last = from - 1;
        if ratio > 1.0 {
            let point = |part: f64| (((at as f64 + part) * ratio) as usize).min(last);
            Tap { first: point(0.25), second: point(0.75), share: 128 }
        } else {
            let middle = ((at as f64 + 0.5) * ratio - 0.5).max(0.0);
            let first = (middle as usize).min(last);
            Tap { first, second: (first + 1).min(last), share: ((middle - first as f64) * 256.0) as u32 }
        }
    }));
}

/// Blends two pixels. Multiplies two channels at once.
fn mix(a: u32, b: u32, share: u32) -> u32 {
    const RED_BLUE: u32 = 0x00ff_00ff;
    let mixed = |a: u32, b: u32| (a & RED_BLUE) * (256 - share) + (b & RED_BLUE) * share;
    ((mixed(a, b) >> 8) & RED_BLUE) | (mixed(a >> 8, b >> 8) & 0x0000_ff00)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_shows_pictures_as_large_as_possible() {
        let hd = (1920, 1080);
        assert_eq!(columns_and_rows(1, (1280, 720), hd), (1, 1));
        assert_eq!(columns_and_rows(4, (1280, 720), hd), (2, 2));
        assert_eq!(columns_and_rows(2, (1280, 360), hd), (2, 1));
        assert_eq!(columns_and_rows(2, (640, 720), hd), (1, 2));
        assert_eq!(columns_and_rows(5, (1500, 720), hd), (3, 2));
        assert_eq!(columns_and_rows(9, (900, 900), (300, 300)), (3, 3));
        assert_eq!(columns_and_rows(40, (1600, 900), hd), (7, 6));
    }

    #[test]
    fn tiles_fill_the_window_and_do_not_touch() {
        for count in 1..=17 {
            for window in [(1280, 720), (641, 353), (100, 900), (3, 2), (0, 0)] {
                let tiles = tiles(count, window, (640, 352));
                assert_eq!(tiles.len(), count);
                for (i, a) in tiles.iter().enumerate() {
                    assert!(
                        a.right() as usize <= window.0 && a.bottom() as usize <= window.1,
                        "{count} {window:?} {a:?}"
                    );
                    for b in &tiles[..i] {
                        let apart = a.right() <= b.x || b.right() <= a.x || a.bottom() <= b.y || b.bottom() <= a.y;
                        assert!(apart, "{count} {window:?} {a:?} {b:?}");
                    }
                }
            }
        }
        assert_eq!(tiles(1, (640, 352), (640, 352)), [Rect { x: 0, y: 0, width: 640, height: 352 }]);
        let four = tiles(4, (1282, 706), (640, 352));
        assert_eq!(four[3], Rect { x: 642, y: 354, width: 640, height: 352 });
    }

    #[test]
    fn a_new_window_has_the_original_size_if_sensible() {
        assert_eq!(opening_size(1, (640, 352)), (640, 352));
        assert_eq!(opening_size(4, (640, 352)), (1282, 706));
        assert_eq!(opening_size(1, (1920, 1080)), (1300, 731));
        assert_eq!(opening_size(1, (300, 300)), (600, 600));
        assert_eq!(opening_size(2, (640, 352)), (640, 706));
    }

    #[test]
    fn aspect_is_kept() {
        let tile = Rect { x: 10, y: 20, width: 800, height: 800 };
        let placed = place((400, 200), tile, Zoom::Fit);
        assert_eq!(placed.at, Rect { x: 10, y: 220, width: 800, height: 400 });
        assert_eq!((placed.from, placed.visible), ((0, 0), (400, 200)));
        let placed = place((200, 400), tile, Zoom::Fit);
        assert_eq!(placed.at, Rect { x: 210, y: 20, width: 400, height: 800 });
    }

    #[test]
    fn the_original_size_is_cropped_around_the_center() {
        let tile = Rect { x: 0, y: 0, width: 300, height: 800 };
        let placed = place((400, 200), tile, Zoom::OriginalSize);
        assert_eq!(placed.at, Rect { x: 0, y: 300, width: 300, height: 200 });
        assert_eq!((placed.from, placed.visible), ((50, 0), (300, 200)));
    }

    fn scaled(words: &[u32], size: (usize, usize), to: (usize, usize)) -> Vec<u32> {
        let tile = rect(1, 1, to.0, to.1);
        let placed = Placed { from: (0, 0), visible: size, at: tile };
        let stride = to.0 + 2;
        let mut window = vec![0xdead; stride * (to.1 + 2)];
        Scaler::default().copy(words, size.0, placed, &mut window, stride);
        let outside = window.iter().filter(|word| **word == 0xdead).count();
        assert_eq!(outside, window.len() - to.0 * to.1, "pixels outside of its place do not change");
        window.chunks_exact(stride).skip(1).take(to.1).flat_map(|row| row[1..=to.0].to_vec()).collect()
    }

    #[test]
    fn the_original_size_is_a_copy() {
        let words: Vec<u32> = (0..12).collect();
        assert_eq!(scaled(&words, (4, 3), (4, 3)), words);
    }

    #[test]
    fn reducing_averages_and_enlarging_interpolates() {
        assert_eq!(scaled(&[0, 0x00ff_ff00, 0x0000_00ff, 0], (2, 2), (1, 1)), [0x003f_3f3f]);
        let larger = scaled(&[0, 0x0080_8080], (2, 1), (4, 1));
        assert_eq!(larger, [0, 0x0020_2020, 0x0060_6060, 0x0080_8080]);
    }

    #[test]
    fn scaling_stays_inside_for_any_sizes() {
        for size in [(1, 1), (3, 2), (64, 48), (5, 300)] {
            let words = vec![0x0012_3456; size.0 * size.1];
            for to in [(1, 1), (2, 7), (63, 47), (65, 49), (200, 3)] {
                assert!(scaled(&words, size, to).iter().all(|word| *word == 0x0012_3456), "{size:?} {to:?}");
            }
        }
    }
}
