//! Places the pictures of several cameras in one window.

use crate::overlay::Rect;
use crate::view::fitted;

/// Pixels between two tiles.
const GAP_PX: usize = 2;

fn rect(x: usize, y: usize, width: usize, height: usize) -> Rect {
    let pixels = |side| i32::try_from(side).unwrap_or(i32::MAX);
    Rect::new(pixels(x), pixels(y), pixels(width), pixels(height))
}

/// Width and height of a rectangle.
pub(super) fn sides(rect: Rect) -> (usize, usize) {
    (usize::try_from(rect.width).unwrap_or(0), usize::try_from(rect.height).unwrap_or(0))
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

/// Room for a new window where the size of the screen is not known. It fits on common screens beside their bars.
pub(super) const OPENING_ROOM: (usize, usize) = (1300, 740);

/// Smallest width of a new window: narrower ones have no room for text.
const OPENING_WIDTH_MIN: usize = 480;

/// Returns the size of a new window for `count` pictures of this size: the original size, unless that is larger than the
/// room or too small.
pub(super) fn opening_size(count: usize, picture: (usize, usize), room: (usize, usize)) -> (usize, usize) {
    let (columns, rows) = columns_and_rows(count, room, picture);
    let whole = (columns * (picture.0 + GAP_PX) - GAP_PX, rows * (picture.1 + GAP_PX) - GAP_PX);
    let times = OPENING_WIDTH_MIN.div_ceil(whole.0.max(1));
    let enlarged = (whole.0 * times, whole.1 * times);
    if enlarged.0 > room.0 || enlarged.1 > room.1 { fitted(whole, room) } else { enlarged }
}

/// Returns the place of a picture of this size in the middle of a tile.
pub(super) fn centered((width, height): (usize, usize), tile: Rect) -> Rect {
    let at = rect(0, 0, width, height);
    Rect { x: tile.x + (tile.width - at.width) / 2, y: tile.y + (tile.height - at.height) / 2, ..at }
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
        let size = |count, picture| opening_size(count, picture, OPENING_ROOM);
        assert_eq!(size(1, (640, 352)), (640, 352));
        assert_eq!(size(4, (640, 352)), (1282, 706));
        assert_eq!(size(1, (1920, 1080)), (1300, 731));
        assert_eq!(size(1, (300, 300)), (600, 600));
        assert_eq!(size(2, (640, 352)), (640, 706));
        assert_eq!(size(1, (240, 400)), (444, 740), "a narrow picture does not grow beyond the room");
        assert_eq!(opening_size(1, (3840, 2160), (3800, 2000)), (3555, 2000));
    }

    #[test]
    fn pictures_are_centered_in_their_tiles() {
        let tile = Rect::new(10, 20, 800, 800);
        assert_eq!(centered((800, 400), tile), Rect::new(10, 220, 800, 400));
        assert_eq!(centered((400, 800), tile), Rect::new(210, 20, 400, 800));
    }
}
