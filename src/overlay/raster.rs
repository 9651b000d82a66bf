//! Drawing on a picture, clipped to its area.
//!
//! Fills horizontal and vertical edges row by row: a box costs about a fifth of drawing it pixel by pixel
//! (`benches/overlay.rs` compares both). imageproc draws the slanted lines, through its own canvas trait.

use image::Rgb;
use imageproc::drawing::draw_line_segment_mut;

use crate::frame::{BBox, Part, Picture};

/// An axis-aligned rectangle in pixels. Empty if a side is not positive; may be partly or completely outside a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rect {
    /// Leftmost column.
    pub x: i32,
    /// Topmost row.
    pub y: i32,
    /// Number of columns.
    pub width: i32,
    /// Number of rows.
    pub height: i32,
}

impl Rect {
    /// Makes a rectangle from its top left corner and size.
    #[must_use]
    pub const fn new(x: i32, y: i32, width: i32, height: i32) -> Self {
        Self { x, y, width, height }
    }

    /// Converts a detection's box to pixels of a picture, clipped to it and at least one pixel large.
    ///
    /// Returns `None` if the box is outside the picture or a coordinate is `NaN`. Swaps corners that are in the wrong
    /// order.
    #[must_use]
    pub fn of_box(bbox: &BBox, width: i32, height: i32) -> Option<Self> {
        let (x, width) = span(bbox.xmin, bbox.xmax, width)?;
        let (y, height) = span(bbox.ymin, bbox.ymax, height)?;
        Some(Self { x, y, width, height })
    }

    /// Converts a detection's box to pixels of a picture that shows a part of its frame. The box may extend beyond the
    /// picture, where its edges are not visible.
    ///
    /// Returns `None` if the box is outside the part, or as [`Self::of_box`].
    #[must_use]
    pub fn on_part(bbox: &BBox, part: &Part, width: i32, height: i32) -> Option<Self> {
        if part.is_whole() {
            return Self::of_box(bbox, width, height);
        }
        let (x, width) = span_on_part(bbox.xmin, bbox.xmax, (part.of.0, part.x, part.width), width)?;
        let (y, height) = span_on_part(bbox.ymin, bbox.ymax, (part.of.1, part.y, part.height), height)?;
        Some(Self { x, y, width, height })
    }

    /// Returns the first column to the right of the rectangle.
    #[must_use]
    pub const fn right(&self) -> i32 {
        self.x.saturating_add(self.width)
    }

    /// Returns the first row below the rectangle.
    #[must_use]
    pub const fn bottom(&self) -> i32 {
        self.y.saturating_add(self.height)
    }

    /// Returns the common area, possibly empty.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let width = self.right().min(other.right()).saturating_sub(x).max(0);
        let height = self.bottom().min(other.bottom()).saturating_sub(y).max(0);
        Self { x, y, width, height }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.width <= 0 || self.height <= 0
    }
}

/// Converts relative coordinates to start and length in pixels, clipped to `0..pixels`.
fn span(one: f32, other: f32, pixels: i32) -> Option<(i32, i32)> {
    let (low, high) = (one.min(other), one.max(other));
    if one.is_nan() || other.is_nan() || high < 0.0 || low > 1.0 || pixels < 1 {
        return None;
    }
    // Clamp before multiplying, so that any received value fits.
    let at = |part: f32| (part.clamp(0.0, 1.0) * pixels as f32).round() as i32;
    let start = at(low).min(pixels - 1);
    Some((start, at(high).clamp(start + 1, pixels) - start))
}

/// Converts relative coordinates of a side of `of` pixels to start and length in the `pixels` that show `len` of them.
fn span_on_part(one: f32, other: f32, (of, from, len): (usize, f64, f64), pixels: i32) -> Option<(i32, i32)> {
    // Also rejects coordinates that are `NaN` or outside of the frame.
    span(one, other, i32::try_from(of).unwrap_or(i32::MAX))?;
    let at = |part: f32| ((f64::from(part.clamp(0.0, 1.0)) * of as f64 - from) * f64::from(pixels) / len).round();
    let (low, high) = (at(one.min(other)), at(one.max(other)));
    if high < 0.0 || low >= f64::from(pixels) {
        return None;
    }
    // Saturates.
    Some((low as i32, ((high - low) as i32).max(1)))
}

/// A drawing surface of 0RGB words. Drawing is clipped to its [`area`](Self::area).
#[derive(Debug)]
pub struct Canvas<'a> {
    words: &'a mut [u32],
    width: i32,
    height: i32,
    area: Rect,
}

impl<'a> Canvas<'a> {
    /// Uses `words` as rows of `width` without padding. The height is less than `height` if there are too few words.
    pub fn new(words: &'a mut [u32], width: usize, height: usize) -> Self {
        let columns = i32::try_from(width).unwrap_or(0);
        let rows = i32::try_from(words.len().checked_div(width).unwrap_or(0).min(height)).unwrap_or(0);
        Self { words, width: columns, height: rows, area: Rect::new(0, 0, columns, rows) }
    }

    /// Draws on a picture in place.
    pub fn of(picture: &'a mut Picture) -> Self {
        let (width, height) = (picture.width, picture.height);
        Self::new(picture.words_mut(), width, height)
    }

    /// Returns the width of the whole canvas in pixels.
    #[must_use]
    pub fn width(&self) -> i32 {
        self.width
    }

    /// Returns the height of the whole canvas in pixels.
    #[must_use]
    pub fn height(&self) -> i32 {
        self.height
    }

    /// Returns the clipping area: the whole canvas, or less after [`part`](Self::part).
    #[must_use]
    pub fn area(&self) -> Rect {
        self.area
    }

    /// Returns the same canvas, with the same coordinates, clipped to `area`.
    pub fn part(&mut self, area: Rect) -> Canvas<'_> {
        let area = self.area.intersection(&area);
        Canvas { words: &mut *self.words, width: self.width, height: self.height, area }
    }

    fn rows(&mut self, rect: &Rect) -> impl Iterator<Item = &mut [u32]> {
        let inside = self.area.intersection(rect);
        let (from, to) = (inside.x as usize, inside.right() as usize);
        let rows = if inside.is_empty() { 0 } else { inside.height as usize };
        // The area is inside the canvas, so the clipped rectangle has no negative coordinate.
        let rest = self.words.chunks_exact_mut(self.width.max(1) as usize).skip(inside.y.max(0) as usize);
        rest.take(rows).map(move |row| &mut row[from..to])
    }

    /// Fills a rectangle with a color `0x00RRGGBB`.
    pub fn fill(&mut self, rect: Rect, color: u32) {
        self.rows(&rect).for_each(|row| row.fill(color));
    }

    /// Blends a color over a rectangle: `alpha` 0 is transparent, 255 opaque.
    pub fn shade(&mut self, rect: Rect, color: u32, alpha: u8) {
        for row in self.rows(&rect) {
            row.iter_mut().for_each(|word| *word = blend(*word, color, alpha));
        }
    }

    /// Draws the border inside a rectangle, `thickness` pixels wide or as wide as fits.
    pub fn outline(&mut self, rect: Rect, thickness: i32, color: u32) {
        if rect.is_empty() || thickness < 1 {
            return;
        }
        let Rect { x, y, width, height } = rect;
        let (across, down) = (thickness.min(width), thickness.min(height));
        self.fill(Rect::new(x, y, width, down), color);
        self.fill(Rect::new(x, rect.bottom() - down, width, down), color);
        self.fill(Rect::new(x, y, across, height), color);
        self.fill(Rect::new(rect.right() - across, y, across, height), color);
    }

    /// Draws a line one pixel wide, including both ends. Moves ends that are far outside the canvas closer, which
    /// bounds the cost by three times the length of the canvas. Draws nothing if a coordinate is `NaN`.
    pub fn line(&mut self, from: (f32, f32), to: (f32, f32), color: u32) {
        let (width, height) = (self.width as f32, self.height as f32);
        let near = |(x, y): (f32, f32)| (x.clamp(-width, 2.0 * width), y.clamp(-height, 2.0 * height));
        if [from.0, from.1, to.0, to.1].iter().all(|at| !at.is_nan()) {
            draw_line_segment_mut(self, near(from), near(to), rgb(color));
        }
    }

    /// Copies rows of `width` words, with the top left one at (`x`, `y`).
    pub fn blit(&mut self, x: i32, y: i32, words: &[u32], width: usize) {
        let height = words.len().checked_div(width).unwrap_or(0);
        let clamped = |side: usize| i32::try_from(side).unwrap_or(i32::MAX);
        let whole = Rect::new(x, y, clamped(width), clamped(height));
        let inside = self.area.intersection(&whole);
        if inside.is_empty() {
            return;
        }
        let (left, above) = ((inside.x - x) as usize, (inside.y - y) as usize);
        let source = words.chunks_exact(width).skip(above);
        for (row, source) in self.rows(&whole).zip(source) {
            row.copy_from_slice(&source[left..left + row.len()]);
        }
    }

    /// Blends a color over the canvas with an opacity per pixel, in rows of `width`.
    pub(super) fn stencil(&mut self, x: i32, y: i32, coverage: &[u8], width: usize, color: u32) {
        let height = coverage.len().checked_div(width).unwrap_or(0);
        let whole = Rect::new(x, y, width as i32, height as i32);
        let inside = self.area.intersection(&whole);
        if inside.is_empty() {
            return;
        }
        let (left, above) = ((inside.x - x) as usize, (inside.y - y) as usize);
        let source = coverage.chunks_exact(width).skip(above);
        for (row, source) in self.rows(&whole).zip(source) {
            for (word, alpha) in row.iter_mut().zip(&source[left..]) {
                *word = blend(*word, color, *alpha);
            }
        }
    }

    /// Removes the color and halves the brightness, to mark a picture that is not live.
    pub fn gray_out(&mut self) {
        let area = self.area;
        for row in self.rows(&area) {
            for word in row {
                // Luma of BT.601 in 256ths, halved.
                let luma = ((*word >> 16 & 255) * 77 + (*word >> 8 & 255) * 150 + (*word & 255) * 29) >> 9;
                *word = luma << 16 | luma << 8 | luma;
            }
        }
    }

    /// Draws values as a curve over the width of `rect`.
    ///
    /// The bottom edge is 0, the top edge the greatest value. Values that are not finite leave a gap.
    pub fn sparkline(&mut self, rect: Rect, values: &[f32], color: u32) {
        let finite = || values.iter().filter(|value| value.is_finite());
        let greatest = finite().fold(0.0f32, |most, value| most.max(*value));
        if rect.is_empty() || values.len() < 2 || greatest <= 0.0 {
            return;
        }
        let step = (rect.width - 1) as f32 / (values.len() - 1) as f32;
        let point = |index: usize, value: f32| {
            let up = (value / greatest).clamp(0.0, 1.0) * (rect.height - 1) as f32;
            ((rect.x as f32 + index as f32 * step).round(), (rect.bottom() as f32 - 1.0 - up).round())
        };
        for (index, pair) in values.windows(2).enumerate() {
            if pair[0].is_finite() && pair[1].is_finite() {
                self.line(point(index, pair[0]), point(index + 1, pair[1]), color);
            }
        }
    }
}

impl imageproc::drawing::Canvas for Canvas<'_> {
    type Pixel = Rgb<u8>;

    fn dimensions(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    fn get_pixel(&self, x: u32, y: u32) -> Rgb<u8> {
        rgb(self.words[y as usize * self.width as usize + x as usize])
    }

    fn draw_pixel(&mut self, x: u32, y: u32, Rgb([red, green, blue]): Rgb<u8>) {
        let area = self.area;
        let inside = |at: u32, from: i32, to: i32| (i64::from(from)..i64::from(to)).contains(&i64::from(at));
        if inside(x, area.x, area.right()) && inside(y, area.y, area.bottom()) {
            self.words[y as usize * self.width as usize + x as usize] = u32::from_be_bytes([0, red, green, blue]);
        }
    }
}

fn rgb(word: u32) -> Rgb<u8> {
    let [_, red, green, blue] = word.to_be_bytes();
    Rgb([red, green, blue])
}

/// Blends `over` on `under`. Multiplies red and blue at once.
pub(super) fn blend(under: u32, over: u32, alpha: u8) -> u32 {
    // Map to 0..=256, so that 255 is opaque and the division is a shift.
    let alpha = u32::from(alpha) + u32::from(alpha >> 7);
    let mix = |mask: u32| (((under & mask) * (256 - alpha) + (over & mask) * alpha) >> 8) & mask;
    mix(0x00FF_00FF) | (((under >> 8 & 255) * (256 - alpha) + (over >> 8 & 255) * alpha) & 0xFF00)
}

#[cfg(test)]
mod tests {
    use imageproc::drawing::draw_hollow_rect_mut;
    use proptest::prelude::*;

    use super::*;

    fn drawn(width: usize, height: usize, draw: impl FnOnce(&mut Canvas<'_>)) -> Vec<String> {
        let mut words = vec![0; width * height];
        draw(&mut Canvas::new(&mut words, width, height));
        let letter = |word: &u32| match word {
            0 => '.',
            1 => '#',
            _ => '?',
        };
        words.chunks(width).map(|row| row.iter().map(letter).collect()).collect()
    }

    #[test]
    fn border_is_inside_its_rectangle() {
        let lines = drawn(8, 6, |canvas| canvas.outline(Rect::new(1, 1, 6, 5), 2, 1));
        assert_eq!(lines, ["........", ".######.", ".######.", ".##..##.", ".######.", ".######."]);
    }

    #[test]
    fn border_is_clipped_and_not_wider_than_its_rectangle() {
        let lines = drawn(4, 4, |canvas| canvas.outline(Rect::new(2, -2, 9, 5), 1, 1));
        assert_eq!(lines, ["..#.", "..#.", "..##", "...."]);
        let lines = drawn(4, 3, |canvas| canvas.outline(Rect::new(1, 1, 2, 1), 9, 1));
        assert_eq!(lines, ["....", ".##.", "...."]);
    }

    #[test]
    fn a_part_keeps_the_coordinates_and_its_neighbors() {
        let lines = drawn(5, 3, |canvas| {
            let mut tile = canvas.part(Rect::new(2, 1, 2, 9));
            tile.fill(Rect::new(0, 0, 9, 9), 1);
            tile.line((0.0, 0.0), (4.0, 0.0), 7);
        });
        assert_eq!(lines, [".....", "..##.", "..##."]);
    }

    #[test]
    fn blits_are_clipped_on_every_side() {
        let source = [1; 9];
        for (x, y, expected) in [
            (-2, -2, ["#..", "...", "..."]),
            (2, 1, ["...", "..#", "..#"]),
            (0, 0, ["###", "###", "###"]),
            (i32::MIN, 0, ["...", "...", "..."]),
            (i32::MAX, i32::MAX, ["...", "...", "..."]),
        ] {
            assert_eq!(drawn(3, 3, |canvas| canvas.blit(x, y, &source, 3)), expected, "at {x},{y}");
        }
    }

    #[test]
    fn blending_is_exact_at_0_and_255() {
        assert_eq!(blend(0x12_3456, 0xFE_DCBA, 0), 0x12_3456);
        assert_eq!(blend(0x12_3456, 0xFE_DCBA, 255), 0xFE_DCBA);
        assert_eq!(blend(0, 0xFF_FFFF, 128), 0x80_8080);
    }

    #[test]
    fn graying_out_removes_color_and_brightness() {
        let mut words = [0xFF_FFFF, 0xFF_0000, 0x00_FF00, 0x00_00FF];
        Canvas::new(&mut words, 4, 1).gray_out();
        assert_eq!(words, [0x7F_7F7F, 0x26_2626, 0x4A_4A4A, 0x0E_0E0E]);
    }

    #[test]
    fn sparkline_spans_the_rectangle() {
        let lines = drawn(5, 3, |canvas| canvas.sparkline(Rect::new(0, 0, 5, 3), &[0.0, 2.0, 0.0], 1));
        assert_eq!(lines, ["..#..", ".#.#.", "#...#"].map(str::to_owned));
        let lines = drawn(5, 1, |canvas| canvas.sparkline(Rect::new(0, 0, 5, 1), &[f32::NAN, 1.0, f32::INFINITY], 1));
        assert_eq!(lines, ["....."]);
    }

    #[test]
    fn canvas_with_too_few_words_has_fewer_rows() {
        let mut words = [0; 7];
        let mut canvas = Canvas::new(&mut words, 3, 5);
        assert_eq!(canvas.height(), 2);
        canvas.fill(Rect::new(0, 0, 9, 9), 1);
        assert_eq!(words, [1, 1, 1, 1, 1, 1, 0]);
        Canvas::new(&mut [], 0, 9).fill(Rect::new(0, 0, 9, 9), 1);
    }

    #[test]
    fn boxes_are_converted_to_pixels_and_clipped() {
        let place = |xmin, ymin, xmax, ymax| Rect::of_box(&BBox { xmin, ymin, xmax, ymax }, 640, 352);
        assert_eq!(place(0.0, 0.0, 1.0, 1.0), Some(Rect::new(0, 0, 640, 352)));
        assert_eq!(place(0.25, 0.5, 0.5, 0.75), Some(Rect::new(160, 176, 160, 88)));
        assert_eq!(place(0.5, 0.75, 0.25, 0.5), Some(Rect::new(160, 176, 160, 88)), "corners in the wrong order");
        assert_eq!(place(-0.01, 0.9, 0.25, 1.5), Some(Rect::new(0, 317, 160, 35)));
        assert_eq!(place(1.0, 1.0, 1.0, 1.0), Some(Rect::new(639, 351, 1, 1)));
        assert_eq!(place(f32::NEG_INFINITY, -1e30, f32::INFINITY, 1e30), Some(Rect::new(0, 0, 640, 352)));
        assert_eq!(place(f32::NAN, 0.0, 1.0, 1.0), None);
        assert_eq!(place(0.0, 0.0, 1.0, f32::NAN), None);
        assert_eq!(place(1.1, 0.0, 1.2, 1.0), None);
        assert_eq!(place(0.0, -2.0, 1.0, -0.5), None);
        assert_eq!(Rect::of_box(&BBox::default(), 0, 0), None);
    }

    proptest! {
        #[test]
        fn borders_match_imageproc(
            x in -20i32..40, y in -20i32..40, width in 1i32..40, height in 1i32..40, thickness in 1i32..5,
        ) {
            let (mut ours, mut theirs) = (vec![0; 24 * 20], vec![0; 24 * 20]);
            Canvas::new(&mut ours, 24, 20).outline(Rect::new(x, y, width, height), thickness, 9);
            let mut canvas = Canvas::new(&mut theirs, 24, 20);
            for inset in 0..thickness {
                let (width, height) = (width - 2 * inset, height - 2 * inset);
                if width > 0 && height > 0 {
                    let rect = imageproc::rect::Rect::at(x + inset, y + inset).of_size(width as u32, height as u32);
                    draw_hollow_rect_mut(&mut canvas, rect, rgb(9));
                }
            }
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn arbitrary_coordinates_do_not_panic(x: i32, y: i32, width: i32, height: i32, thickness: i32, ends: [f32; 4]) {
            let mut words = vec![0; 24 * 20];
            let mut canvas = Canvas::new(&mut words, 24, 20);
            let rect = Rect::new(x, y, width, height);
            canvas.outline(rect, thickness, 1);
            canvas.shade(rect, 1, 9);
            canvas.sparkline(rect, &ends, 1);
            canvas.blit(x, y, &[3; 12], 4);
            canvas.line((ends[0], ends[1]), (ends[2], ends[3]), 1);
            canvas.part(rect).gray_out();
            let _ = Rect::of_box(&BBox { xmin: ends[0], ymin: ends[1], xmax: ends[2], ymax: ends[3] }, 24, 20);
        }
    }
}
