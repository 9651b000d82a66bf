//! Finds places for titles at which none covers another.

use super::raster::Rect;
use super::title::Title;

/// Titles for which a place is looked for. Bounds the comparisons: there may be 10,000 boxes.
const TITLES_MAX: usize = 256;

/// The places that the titles of a picture take.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Vec<Rect>,
    /// Titles for which a place was looked for.
    titles: usize,
}

impl Places {
    /// Begins with the next picture. `room`: the boxes that pictures have had; as long as none has more, nothing is allocated.
    pub(super) fn clear(&mut self, room: usize) {
        self.taken.clear();
        self.taken.reserve(room.min(TITLES_MAX) + 1);
        self.titles = 0;
    }

    /// Returns whether no further title gets a place.
    pub(super) const fn is_full(&self) -> bool {
        self.titles >= TITLES_MAX
    }

    /// Keeps titles away from this place.
    pub(super) fn take(&mut self, place: Rect) {
        self.taken.push(place);
    }

    /// Takes a place for the title of a box: the [usual](Title::place) one, below the box, or inside it at its upper or lower edge.
    /// Returns `None` if another title is at each of them.
    pub(super) fn find(&mut self, title: &Title, rect: &Rect, width: i32, height: i32) -> Option<(i32, i32)> {
        if self.is_full() {
            return None;
        }
        self.titles += 1;
        let (x, usual) = title.place(rect, width, height);
        let lowest = height.saturating_sub(title.height);
        let inside = |y: i32| y.min(lowest).max(0);
        let rows = [usual, inside(rect.bottom()), inside(rect.y), inside(rect.bottom().saturating_sub(title.height))];
        let places = rows.map(|y| Rect::new(x, y, title.width, title.height));
        let is_free = |place: &Rect| self.taken.iter().all(|other| place.intersection(other).is_empty());
        let place = places.into_iter().find(is_free)?;
        self.taken.push(place);
        Some((place.x, place.y))
    }
}
