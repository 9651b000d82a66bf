//! The part of the window that is still free: texts are placed in the order of their importance, and never over each other.

use crate::overlay::Rect;

/// An area, and the parts of it that are taken.
#[derive(Clone, Debug)]
pub(super) struct Free {
    area: Rect,
    taken: Vec<Rect>,
}

pub(super) fn overlap(a: Rect, b: Rect) -> bool {
    a.x < b.right() && b.x < a.right() && a.y < b.bottom() && b.y < a.bottom()
}

fn contains(outer: Rect, inner: Rect) -> bool {
    outer.x <= inner.x && inner.right() <= outer.right() && outer.y <= inner.y && inner.bottom() <= outer.bottom()
}

impl Free {
    pub(super) const fn new(area: Rect) -> Self {
        Self { area, taken: Vec::new() }
    }

    /// Takes a part, also one that is not free.
    pub(super) fn take(&mut self, rect: Rect) {
        if rect.width > 0 && rect.height > 0 {
            self.taken.push(rect);
        }
    }

    /// Returns whether a part is within the area and not taken.
    pub(super) fn is_free(&self, rect: Rect) -> bool {
        contains(self.area, rect) && !self.taken.iter().any(|taken| overlap(*taken, rect))
    }

    /// Takes the free place of this size in a part of the area that is next to `wanted`: there, or `gap` pixels beside what
    /// is taken. Returns `None` if there is none.
    pub(super) fn place(
        &mut self,
        (width, height): (i32, i32),
        part: Rect,
        wanted: (i32, i32),
        gap: i32,
    ) -> Option<Rect> {
        let near: Vec<Rect> = self.taken.iter().copied().filter(|taken| overlap(*taken, part)).collect();
        let beside = |from: i32, to: i32, len: i32| [from - gap - len, to + gap];
        let columns = near.iter().flat_map(|taken| beside(taken.x, taken.right(), width)).chain([wanted.0]);
        let rows: Vec<i32> =
            near.iter().flat_map(|taken| beside(taken.y, taken.bottom(), height)).chain([wanted.1]).collect();
        let places = columns.flat_map(|x| rows.iter().map(move |y| Rect::new(x, *y, width, height)));
        // Up or down rather than aside.
        let distance = |rect: &Rect| 2 * rect.x.abs_diff(wanted.0) + rect.y.abs_diff(wanted.1);
        let found = places.filter(|rect| contains(part, *rect) && self.is_free(*rect)).min_by_key(distance)?;
        self.take(found);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_free_and_near() {
        let area = Rect::new(0, 0, 100, 80);
        let mut free = Free::new(area);
        assert_eq!(free.place((40, 20), area, (30, 0), 4), Some(Rect::new(30, 0, 40, 20)));
        assert_eq!(free.place((40, 20), area, (30, 0), 4), Some(Rect::new(30, 24, 40, 20)), "below");
        assert_eq!(free.place((20, 70), area, (35, 4), 4), Some(Rect::new(6, 4, 20, 70)), "beside");
        assert_eq!(free.place((40, 40), area, (30, 60), 4), None);
        assert_eq!(free.place((101, 1), area, (0, 0), 4), None, "wider than the area");
        assert!(!free.is_free(Rect::new(90, 0, 20, 2)) && free.is_free(Rect::new(74, 0, 26, 20)));
    }

    #[test]
    fn nothing_overlaps_whatever_is_placed() {
        let area = Rect::new(5, 7, 320, 180);
        let mut free = Free::new(area);
        let mut placed: Vec<Rect> = Vec::new();
        for n in 0..60 {
            let size = (10 + n * 37 % 90, 8 + n * 23 % 40);
            let Some(rect) = free.place(size, area, (n * 53 % 300, n * 31 % 170), 2) else { continue };
            assert!(contains(area, rect) && placed.iter().all(|other| !overlap(*other, rect)), "{rect:?} {placed:?}");
            placed.push(rect);
        }
        assert!(placed.len() > 10, "{}", placed.len());
    }
}
