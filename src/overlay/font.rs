//! Rasterizes characters of the bundled font. The only module that uses rusttype.

use rusttype::{Font, Scale, point};

/// JetBrains Mono 2.242 (`fonts/README.md`).
const BUNDLED_FONT: &[u8] = include_bytes!("../../fonts/JetBrainsMono-Regular.ttf");

/// A rasterized character.
#[derive(Debug, Default)]
pub(super) struct Glyph {
    /// Offset of the coverage from the left of the character cell, in pixels.
    pub(super) left: i32,
    /// Offset of the coverage from the top of the line, in pixels.
    pub(super) top: i32,
    /// Width of the coverage in pixels.
    pub(super) width: usize,
    /// Opacity of each pixel, 0..=255, in rows of `width`.
    pub(super) coverage: Vec<u8>,
}

/// The bundled font, in which all characters have the same width.
#[derive(Debug)]
pub(super) struct Face(Font<'static>);

impl Face {
    pub(super) fn bundled() -> Self {
        Self(Font::try_from_bytes(BUNDLED_FONT).expect("the bundled file is a TrueType font"))
    }

    /// Returns the width of a character in pixels, in lines `px` pixels high.
    pub(super) fn advance(&self, px: u16) -> i32 {
        let metrics = self.0.glyph('0').scaled(Scale::uniform(f32::from(px))).h_metrics();
        (metrics.advance_width.round() as i32).max(1)
    }

    /// Rasterizes a character, or the sign for a missing one.
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
    fn font_has_all_characters_in_use() {
        let face = Face::bundled();
        for character in (' '..='~').chain("…·µ×°\u{FFFD}".chars()) {
            assert_ne!(face.0.glyph(character).id().0, 0, "{character:?}");
            assert_eq!(face.glyph(character, 20).coverage.iter().any(|pixel| *pixel > 128), character != ' ');
        }
    }

    #[test]
    fn any_character_can_be_rasterized_at_any_height() {
        let face = Face::bundled();
        let characters = (0..0x3000u32).step_by(7).chain([0x4E2D, 0x1F600, 0x10FFFF]).filter_map(char::from_u32);
        for (index, character) in characters.enumerate() {
            let px = [4, 13, 16, 49][index % 4];
            let glyph = face.glyph(character, px);
            assert!(glyph.coverage.len() <= 4 * usize::from(px) * usize::from(px), "{character:?} at {px}");
        }
    }

    #[test]
    fn glyphs_fit_the_line_height() {
        // Rounding may add a pixel at both ends.
        let face = Face::bundled();
        for px in [8u16, 16, 33, 256] {
            let glyphs = "Åpgj|".chars().map(|character| face.glyph(character, px));
            for glyph in glyphs {
                let bottom = glyph.top + (glyph.coverage.len() / glyph.width.max(1)) as i32;
                assert!(glyph.top >= -1 && bottom <= i32::from(px) + 1, "{} {bottom} in {px}", glyph.top);
            }
        }
    }
}
