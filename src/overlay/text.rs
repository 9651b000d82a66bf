//! Text and a height -> pixels on a canvas, each glyph rasterised once.

use std::collections::HashMap;

use super::font::{Face, Glyph};
use super::raster::{Canvas, Rect};

/// Lower than that nothing can be read; higher than that nobody needs it.
const HEIGHTS: std::ops::RangeInclusive<u32> = 4..=256;
/// Bytes of coverage kept. At 50 pixels that is every glyph of the font.
const KEPT: usize = 4 << 20;
/// Lays the ground of a panel over the picture.
const GROUND_ALPHA: u8 = 160;

/// Writes with the bundled font, in which all characters have the same width.
#[derive(Debug)]
pub struct Text {
    face: Face,
    glyphs: HashMap<(char, u16), Glyph>,
    kept: usize,
    /// Of the height that was asked for last.
    advance: (u16, i32),
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

impl Text {
    /// Nothing is rasterised before it is written.
    #[must_use]
    pub fn new() -> Self {
        Self { face: Face::bundled(), glyphs: HashMap::new(), kept: 0, advance: (0, 0) }
    }

    /// Width of one character in lines `px_height` pixels high.
    pub fn advance(&mut self, px_height: u32) -> i32 {
        let px = height(px_height);
        if self.advance.0 != px {
            self.advance = (px, self.face.advance(px));
        }
        self.advance.1
    }

    /// Width in pixels that `text` takes in lines `px_height` pixels high.
    pub fn width(&mut self, px_height: u32, text: &str) -> i32 {
        i32::try_from(text.chars().count()).unwrap_or(i32::MAX).saturating_mul(self.advance(px_height))
    }

    /// Writes one line, its upper left corner at (`x`, `y`), and gives its width in pixels.
    ///
    /// `px_height` is the height of the line from the highest to the lowest stroke (4 to 256, others are taken as those).
    /// Characters that are not meant to be seen (line ends, escapes, changes of direction) are drawn as `�`.
    pub fn write(&mut self, canvas: &mut Canvas<'_>, x: i32, y: i32, px_height: u32, colour: u32, text: &str) -> i32 {
        let (px, advance) = (height(px_height), self.advance(px_height));
        let mut at = x;
        for character in text.chars() {
            if at >= canvas.area().right() {
                break;
            }
            let glyph = self.glyph(visible(character), px);
            let (left, top) = (at.saturating_add(glyph.left), y.saturating_add(glyph.top));
            canvas.stencil(left, top, &glyph.coverage, glyph.width, colour);
            at = at.saturating_add(advance);
        }
        self.width(px_height, text)
    }

    /// Writes lines on a translucent dark ground, its upper left corner at (`x`, `y`), and gives what it covers.
    pub fn panel(
        &mut self,
        canvas: &mut Canvas<'_>,
        x: i32,
        y: i32,
        px_height: u32,
        colour: u32,
        lines: &[impl AsRef<str>],
    ) -> Rect {
        let panel = self.panel_size(px_height, lines);
        let panel = Rect { x, y, ..panel };
        canvas.shade(panel, 0, GROUND_ALPHA);
        let (line, margin) = (i32::from(height(px_height)), margin(px_height));
        let mut inside = canvas.part(panel);
        let mut top = y.saturating_add(margin);
        for text in lines {
            if top >= inside.area().bottom() {
                break;
            }
            self.write(&mut inside, x.saturating_add(margin), top, px_height, colour, text.as_ref());
            top = top.saturating_add(line);
        }
        panel
    }

    /// How large [`panel`](Self::panel) makes it; `x` and `y` are 0.
    pub fn panel_size(&mut self, px_height: u32, lines: &[impl AsRef<str>]) -> Rect {
        let margins = 2 * margin(px_height);
        let widest = lines.iter().map(|line| self.width(px_height, line.as_ref())).max().unwrap_or(0);
        let lines = i32::try_from(lines.len()).unwrap_or(i32::MAX);
        let tall = lines.saturating_mul(i32::from(height(px_height)));
        Rect::new(0, 0, widest.saturating_add(margins), tall.saturating_add(margins))
    }

    fn glyph(&mut self, character: char, px: u16) -> &Glyph {
        if self.kept > KEPT {
            self.glyphs.clear();
            self.kept = 0;
        }
        let Self { face, glyphs, kept, .. } = self;
        glyphs.entry((character, px)).or_insert_with(|| {
            let glyph = face.glyph(character, px);
            *kept += glyph.coverage.len() + size_of::<Glyph>();
            glyph
        })
    }
}

fn height(px_height: u32) -> u16 {
    px_height.clamp(*HEIGHTS.start(), *HEIGHTS.end()) as u16
}

/// Between the edge of a panel or plate and its text.
pub(super) fn margin(px_height: u32) -> i32 {
    i32::from(height(px_height) / 4).max(2)
}

/// The character itself, or a sign that there was one which is not for people's eyes.
pub(super) fn visible(character: char) -> char {
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
    fn text_is_as_wide_and_high_as_it_says() {
        let (words, width) = written("Agh|gy_W", 20);
        assert_eq!(width, Text::new().width(20, "Agh|gy_W"));
        let inked: Vec<_> = (0..words.len()).filter(|at| words[*at] != 0).map(|at| (at % 200, at / 200)).collect();
        assert!(inked.len() > 200);
        assert!(inked.iter().all(|(x, y)| (9..11 + width as usize).contains(x) && (5..26).contains(y)));
    }

    #[test]
    fn what_is_not_for_the_eyes_is_replaced() {
        for hidden in ["\n", "\u{1b}", "\u{202e}", "\u{9b}", "\u{feff}", "\0"] {
            assert_eq!(written(hidden, 20).0, written("\u{FFFD}", 20).0, "{hidden:?}");
        }
        assert_ne!(written("a", 20).0, written("\u{FFFD}", 20).0);
    }

    #[test]
    fn text_may_lie_anywhere_and_be_of_any_height() {
        let mut words = vec![0; 40 * 20];
        let mut canvas = Canvas::new(&mut words, 40, 20);
        let mut text = Text::new();
        for at in [i32::MIN, -30, 0, 39, i32::MAX] {
            for px_height in [0, 1, 15, 300, u32::MAX] {
                text.write(&mut canvas, at, at, px_height, 1, "much too long for this canvas");
                text.panel(&mut canvas, at, at, px_height, 1, &["one", "two \u{7} three"]);
            }
        }
    }

    #[test]
    fn glyphs_kept_are_bounded() {
        let mut words = vec![0; 300 * 300];
        let mut text = Text::new();
        for px_height in 200..256 {
            text.write(&mut Canvas::new(&mut words, 300, 300), 0, 0, px_height, 1, "Wm");
            for character in 'A'..='Z' {
                let _ = text.glyph(character, px_height as u16);
            }
        }
        let held: usize = text.glyphs.values().map(|glyph| glyph.coverage.len()).sum();
        assert!(held <= KEPT + (256 * 256), "{held}");
    }

    #[test]
    fn a_panel_darkens_what_it_covers_and_nothing_else() {
        let mut words = vec![0xFF_FFFF; 100 * 60];
        let mut text = Text::new();
        let lines = ["fps 40", "lost 0"];
        let covered = text.panel(&mut Canvas::new(&mut words, 100, 60), 5, 6, 16, 0x00_FF00, &lines);
        assert_eq!(covered, Rect { x: 5, y: 6, ..text.panel_size(16, &lines) });
        assert_eq!((covered.width, covered.height), (6 * text.advance(16) + 8, 2 * 16 + 8));
        for (at, word) in words.iter().enumerate() {
            let (x, y) = ((at % 100) as i32, (at / 100) as i32);
            let inside = (covered.x..covered.right()).contains(&x) && (covered.y..covered.bottom()).contains(&y);
            assert_eq!(*word == 0xFF_FFFF, !inside, "{x},{y}");
        }
    }
}
