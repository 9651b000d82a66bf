//! Titles of boxes, drawn once and copied afterwards.

use std::collections::HashMap;

use super::palette::text_color_on;
use super::raster::{Canvas, Rect};
use super::text::{Text, margin};

/// Limit of the cache in words (16 MiB). Enough for every percentage of all 80 classes of COCO at 640x352.
const TITLE_CACHE_WORDS: usize = 4 << 20;

/// A drawn title: text on a background of the box's color.
#[derive(Debug)]
pub(super) struct Title {
    pub(super) width: i32,
    pub(super) height: i32,
    words: Vec<u32>,
}

impl Title {
    /// Copies the title to the canvas.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, x: i32, y: i32) {
        canvas.blit(x, y, &self.words, self.width as usize);
    }

    /// Returns the position above a box, or inside it if there is no room above. Stays inside the picture if it fits.
    pub(super) fn place(&self, rect: &Rect, width: i32, height: i32) -> (i32, i32) {
        let x = rect.x.min(width - self.width).max(0);
        let above = rect.y - self.height;
        (x, if above >= 0 { above } else { rect.y.min(height - self.height).max(0) })
    }
}

/// Titles drawn so far, by line height and color, then by text.
#[derive(Debug)]
pub(super) struct TitleCache {
    drawn: HashMap<(u32, u32), HashMap<Box<str>, Title>>,
    cached_words: usize,
    words_max: usize,
}

impl Default for TitleCache {
    fn default() -> Self {
        Self::bounded(TITLE_CACHE_WORDS)
    }
}

impl TitleCache {
    /// Creates a cache that is emptied when it has more words than this.
    pub(super) fn bounded(words_max: usize) -> Self {
        Self { drawn: HashMap::new(), cached_words: 0, words_max }
    }

    /// Returns the title for a short text in lines `px_height` pixels high, and draws it if it is new.
    pub(super) fn get(&mut self, text: &mut Text, px_height: u32, background: u32, label: &str) -> &Title {
        if self.cached_words > self.words_max {
            self.drawn.clear();
            self.cached_words = 0;
        }
        let titles = self.drawn.entry((px_height, background)).or_default();
        // Two lookups, because the entry API would need the text as a `Box` for every frame.
        if !titles.contains_key(label) {
            let title = draw(text, px_height, background, label);
            self.cached_words += title.words.len() + label.len() + size_of::<Title>();
            titles.insert(label.into(), title);
        }
        &titles[label]
    }
}

fn draw(text: &mut Text, px_height: u32, background: u32, label: &str) -> Title {
    let margin = margin(px_height);
    let (width, height) = (text.width(px_height, label) + 2 * margin, px_height as i32 + margin / 2);
    let mut words = vec![background; (width * height) as usize];
    let mut canvas = Canvas::new(&mut words, width as usize, height as usize);
    text.write(&mut canvas, margin, margin / 4, px_height, text_color_on(background), label);
    Title { width, height, words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_have_the_background_and_a_legible_text_color() {
        let mut text = Text::new();
        let mut titles = TitleCache::default();
        for (background, text_color) in [(0xFF_BB00, 0), (0x66_00EE, 0xFF_FFFF)] {
            let title = titles.get(&mut text, 18, background, "person 87%");
            assert_eq!(title.words[0], background);
            assert!(title.words.contains(&text_color), "opaque text on {background:06X}");
        }
    }

    #[test]
    fn titles_are_above_their_box_or_inside() {
        let title = Title { width: 40, height: 10, words: vec![0; 400] };
        assert_eq!(title.place(&Rect::new(5, 30, 50, 50), 100, 100), (5, 20));
        assert_eq!(title.place(&Rect::new(5, 4, 50, 50), 100, 100), (5, 4), "no room above");
        assert_eq!(title.place(&Rect::new(90, 30, 10, 10), 100, 100), (60, 20), "no room on the right");
        assert_eq!(title.place(&Rect::new(0, 8, 5, 1), 20, 12), (0, 2), "too wide for the picture");
    }

    #[test]
    fn titles_are_drawn_once_and_the_cache_is_bounded() {
        let mut text = Text::new();
        for (mut titles, words_max) in
            [(TitleCache::default(), TITLE_CACHE_WORDS), (TitleCache::bounded(300_000), 300_000)]
        {
            let first = titles.get(&mut text, 18, 1, "cat 1%").words.as_ptr();
            assert_eq!(titles.get(&mut text, 18, 1, "cat 1%").words.as_ptr(), first);
            for number in 0..2000 {
                titles.get(&mut text, 60, 1, &format!("something else {number}"));
                let cached: usize =
                    titles.drawn.values().flat_map(HashMap::values).map(|title| title.words.len()).sum();
                assert!(cached < words_max + 100_000, "{cached}");
            }
            assert!(titles.drawn.values().map(HashMap::len).sum::<usize>() < 2000);
        }
    }
}
