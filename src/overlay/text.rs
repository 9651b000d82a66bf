//! Writes text on a canvas. Rasterizes each glyph once.

use std::collections::HashMap;

use super::font::{Face, Glyph};
use super::raster::Canvas;

/// Supported line heights: smaller text is not legible, larger text has no use.
const LINE_HEIGHTS_PX: std::ops::RangeInclusive<u32> = 4..=256;
/// Limit of the glyph cache. Enough for every glyph of the font at 50 pixels.
const GLYPH_CACHE_BYTES: usize = 4 << 20;

/// Writes text in the bundled font, in which all characters have the same width.
#[derive(Debug)]
pub struct Text {
    face: Face,
    glyphs: HashMap<(char, u16), Glyph>,
    cached_bytes: usize,
    /// Character width of the line height used last.
    advance: (u16, i32),
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

impl Text {
    /// Makes an empty glyph cache.
    #[must_use]
    pub fn new() -> Self {
        Self { face: Face::bundled(), glyphs: HashMap::new(), cached_bytes: 0, advance: (0, 0) }
    }

    /// Returns the width of one character in pixels, in lines `px_height` pixels high.
    pub fn advance(&mut self, px_height: u32) -> i32 {
        let px = height(px_height);
        if self.advance.0 != px {
            self.advance = (px, self.face.advance(px));
        }
        self.advance.1
    }

    /// Returns the width of `text` in pixels, in lines `px_height` pixels high.
    pub fn width(&mut self, px_height: u32, text: &str) -> i32 {
        i32::try_from(text.chars().count()).unwrap_or(i32::MAX).saturating_mul(self.advance(px_height))
    }

    /// Writes one line with its top left corner at (`x`, `y`), and returns its width in pixels.
    ///
    /// `px_height` is the distance from the highest to the lowest stroke, clamped to 4..=256. Control and formatting
    /// characters are drawn as `�`.
    pub fn write(&mut self, canvas: &mut Canvas<'_>, x: i32, y: i32, px_height: u32, color: u32, text: &str) -> i32 {
        let (px, advance) = (height(px_height), self.advance(px_height));
        let mut at = x;
        for character in text.chars() {
            if at >= canvas.area().right() {
                break;
            }
            let glyph = self.glyph(printable(character), px);
            let (left, top) = (at.saturating_add(glyph.left), y.saturating_add(glyph.top));
            canvas.stencil(left, top, &glyph.coverage, glyph.width, color);
            at = at.saturating_add(advance);
        }
        self.width(px_height, text)
    }

    fn glyph(&mut self, character: char, px: u16) -> &Glyph {
        if self.cached_bytes > GLYPH_CACHE_BYTES {
            self.glyphs.clear();
            self.cached_bytes = 0;
        }
        let Self { face, glyphs, cached_bytes, .. } = self;
        glyphs.entry((character, px)).or_insert_with(|| {
            let glyph = face.glyph(character, px);
            *cached_bytes += glyph.coverage.len() + size_of::<Glyph>();
            glyph
        })
    }
}

fn height(px_height: u32) -> u16 {
    px_height.clamp(*LINE_HEIGHTS_PX.start(), *LINE_HEIGHTS_PX.end()) as u16
}

/// Returns the distance in pixels between the edge of a panel or title and its text.
pub(super) fn margin(px_height: u32) -> i32 {
    i32::from(height(px_height) / 4).max(2)
}

/// Replaces control and formatting characters by `�`, so that text from the network cannot hide or reorder characters.
pub(super) fn printable(character: char) -> char {
    match character {
        // Zero-width characters, line and paragraph separators, changes of direction, byte order mark.
        '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' => {
            '\u{FFFD}'
        }
        _ if character.is_control() => '\u{FFFD}',
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, px_height: u32) -> (Vec<u32>, i32) {
        let mut words = vec![0; 200 * 40];
        let width = Text::new().write(&mut Canvas::new(&mut words, 200, 40), 10, 5, px_height, 0xFF_FFFF, text);
        (words, width)
    }

    #[test]
    fn text_stays_within_its_width_and_height() {
        let (words, width) = written("Agh|gy_W", 20);
        assert_eq!(width, Text::new().width(20, "Agh|gy_W"));
        let inked: Vec<_> = (0..words.len()).filter(|at| words[*at] != 0).map(|at| (at % 200, at / 200)).collect();
        assert!(inked.len() > 200);
        assert!(inked.iter().all(|(x, y)| (9..11 + width as usize).contains(x) && (5..26).contains(y)));
    }

    #[test]
    fn control_and_formatting_characters_are_replaced() {
        for hidden in ["\n", "\u{1b}", "\u{202e}", "\u{9b}", "\u{feff}", "\0"] {
            assert_eq!(written(hidden, 20).0, written("\u{FFFD}", 20).0, "{hidden:?}");
        }
        assert_ne!(written("a", 20).0, written("\u{FFFD}", 20).0);
    }

    #[test]
    fn text_at_any_position_and_height_does_not_panic() {
        let mut words = vec![0; 40 * 20];
        let mut canvas = Canvas::new(&mut words, 40, 20);
        let mut text = Text::new();
        for at in [i32::MIN, -30, 0, 39, i32::MAX] {
            for px_height in [0, 1, 15, 300, u32::MAX] {
                text.write(&mut canvas, at, at, px_height, 1, "much too long for this canvas");
            }
        }
    }

    #[test]
    fn glyph_cache_is_bounded() {
        let mut words = vec![0; 300 * 300];
        let mut text = Text::new();
        for px_height in 200..256 {
            text.write(&mut Canvas::new(&mut words, 300, 300), 0, 0, px_height, 1, "Wm");
            for character in 'A'..='Z' {
                let _ = text.glyph(character, px_height as u16);
            }
        }
        let cached: usize = text.glyphs.values().map(|glyph| glyph.coverage.len()).sum();
        assert!(cached <= GLYPH_CACHE_BYTES + (256 * 256), "{cached}");
    }
}
