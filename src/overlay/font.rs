//! A character and a height -> how much of each pixel it covers.
//!
//! The only place that knows rusttype, and the only font it is given is the one in `fonts/`.

use rusttype::{Font, Scale, point};

/// JetBrains Mono 2.242: see `fonts/README.md`.
const BUNDLED: &[u8] = include_bytes!("../../fonts/JetBrainsMono-Regular.ttf");

/// One character, rasterised.
#[derive(Debug, Default)]
pub(super) struct Glyph {
    /// From the left of its column to the left of the coverage, in pixels.
    pub(super) left: i32,
    /// From the top of its line to the top of the coverage, in pixels.
    pub(super) top: i32,
    /// Columns of the coverage.
    pub(super) width: usize,
    /// 0 is the ground, 255 is ink; rows of `width`.
    pub(super) coverage: Vec<u8>,
}

/// The bundled font. Every character of it is as wide as every other.
#[derive(Debug)]
pub(super) struct Face(Font<'static>);

impl Face {
    pub(super) fn bundled() -> Self {
        Self(Font::try_from_bytes(BUNDLED).expect("the bundled file is a TrueType font"))
    }

    /// Columns of pixels from one character to the next, in lines `px` pixels high.
    pub(super) fn advance(&self, px: u16) -> i32 {
        let metrics = self.0.glyph('0').scaled(Scale::uniform(f32::from(px))).h_metrics();
        (metrics.advance_width.round() as i32).max(1)
    }

    /// What the font has for a character, or its sign for a missing one.
    pub(super) fn glyph(&self, character: char, px: u16) -> Glyph {
        let scale = Scale::uniform(f32::from(px));
        let baseline = self.0.v_metrics(scale).ascent.round();
        let placed = self.0.glyph(character).scaled(scale).positioned(point(0.0, baseline));
        let Some(bounds) = placed.pixel_bounding_box() else { return Glyph::default() };
        let (width, height) = (bounds.width().max(0) as usize, bounds.height().max(0) as usize);
        let mut coverage = vec![0; width * height];
        placed.draw(|x, y, covered| {
            if let Some(pixel) = coverage.get_mut(y as usize * width + x as usize) {
                *pixel = (covered * 255.0).round() as u8;
            }
        });
        Glyph { left: bounds.min.x, top: bounds.min.y, width, coverage }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_is_written_here() {
        let face = Face::bundled();
        for character in (' '..='~').chain("…·µ×°\u{FFFD}".chars()) {
            assert_ne!(face.0.glyph(character).id().0, 0, "{character:?}");
            assert_eq!(face.glyph(character, 20).coverage.iter().any(|pixel| *pixel > 128), character != ' ');
        }
    }

    #[test]
    fn every_character_can_be_drawn_at_any_height() {
        let face = Face::bundled();
        let some = (0..0x3000u32).step_by(7).chain([0x4E2D, 0x1F600, 0x10FFFF]).filter_map(char::from_u32);
        for (index, character) in some.enumerate() {
            let px = [4, 13, 16, 49][index % 4];
            let glyph = face.glyph(character, px);
            assert!(glyph.coverage.len() <= 4 * usize::from(px) * usize::from(px), "{character:?} at {px}");
        }
    }

    #[test]
    fn lines_are_as_high_as_asked() {
        // A pixel of rounding either way.
        let face = Face::bundled();
        for px in [8u16, 16, 33, 256] {
            let inked = "Åpgj|".chars().map(|character| face.glyph(character, px));
            for glyph in inked {
                let bottom = glyph.top + (glyph.coverage.len() / glyph.width.max(1)) as i32;
                assert!(glyph.top >= -1 && bottom <= i32::from(px) + 1, "{} {bottom} in {px}", glyph.top);
            }
        }
    }
}
