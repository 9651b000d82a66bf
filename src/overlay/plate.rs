//! The title of a box -> an opaque plate that is drawn once and copied ever after.

use std::collections::HashMap;

use super::palette::ink_on;
use super::raster::{Canvas, Rect};
use super::text::{Text, margin};

/// Words kept (16 MiB). At 640x352 that is every percentage of all 80 classes of COCO.
const KEPT: usize = 4 << 20;

/// Text on a ground of the box's colour.
#[derive(Debug)]
pub(super) struct Plate {
    pub(super) width: i32,
    pub(super) height: i32,
    words: Vec<u32>,
}

impl Plate {
    /// Copies it to the canvas.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, x: i32, y: i32) {
        canvas.blit(x, y, &self.words, self.width as usize);
    }

    /// Above the box; inside of it where there is no room above; and never beyond the picture where it fits at all.
    pub(super) fn place(&self, rect: &Rect, width: i32, height: i32) -> (i32, i32) {
        let x = rect.x.min(width - self.width).max(0);
        let above = rect.y - self.height;
        (x, if above >= 0 { above } else { rect.y.min(height - self.height).max(0) })
    }
}

/// Those that were drawn, by height and colour, then by title.
#[derive(Debug, Default)]
pub(super) struct Plates {
    drawn: HashMap<(u32, u32), HashMap<Box<str>, Plate>>,
    kept: usize,
}

impl Plates {
    /// The plate for a title in lines `px_height` pixels high. The title is short: at most the width of a picture.
    pub(super) fn get(&mut self, text: &mut Text, px_height: u32, ground: u32, title: &str) -> &Plate {
        if self.kept > KEPT {
            self.drawn.clear();
            self.kept = 0;
        }
        let titles = self.drawn.entry((px_height, ground)).or_default();
        // Looked up twice, because an entry would need the title as a `Box` on every frame.
        if !titles.contains_key(title) {
            let plate = draw(text, px_height, ground, title);
            self.kept += plate.words.len() + title.len() + size_of::<Plate>();
            titles.insert(title.into(), plate);
        }
        &titles[title]
    }
}

fn draw(text: &mut Text, px_height: u32, ground: u32, title: &str) -> Plate {
    let margin = margin(px_height);
    let (width, height) = (text.width(px_height, title) + 2 * margin, px_height as i32 + margin / 2);
    let mut words = vec![ground; (width * height) as usize];
    let mut canvas = Canvas::new(&mut words, width as usize, height as usize);
    text.write(&mut canvas, margin, margin / 4, px_height, ink_on(ground), title);
    Plate { width, height, words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plate_is_its_colour_with_ink() {
        let mut text = Text::new();
        let mut plates = Plates::default();
        for (ground, ink) in [(0xFF_BB00, 0), (0x66_00EE, 0xFF_FFFF)] {
            let plate = plates.get(&mut text, 18, ground, "person 87%");
            assert_eq!(plate.words[0], ground);
            assert!(plate.words.contains(&ink), "ink of full strength on {ground:06X}");
        }
    }

    #[test]
    fn a_plate_is_above_its_box_or_inside() {
        let plate = Plate { width: 40, height: 10, words: vec![0; 400] };
        assert_eq!(plate.place(&Rect::new(5, 30, 50, 50), 100, 100), (5, 20));
        assert_eq!(plate.place(&Rect::new(5, 4, 50, 50), 100, 100), (5, 4), "touches the upper edge");
        assert_eq!(plate.place(&Rect::new(90, 30, 10, 10), 100, 100), (60, 20), "touches the right edge");
        assert_eq!(plate.place(&Rect::new(0, 8, 5, 1), 20, 12), (0, 2), "too wide for the picture");
    }

    #[test]
    fn drawn_once_and_bounded() {
        let mut text = Text::new();
        let mut plates = Plates::default();
        let first = plates.get(&mut text, 18, 1, "cat 1%").words.as_ptr();
        assert_eq!(plates.get(&mut text, 18, 1, "cat 1%").words.as_ptr(), first);
        for number in 0..2000 {
            plates.get(&mut text, 60, 1, &format!("something else {number}"));
            let kept: usize = plates.drawn.values().flat_map(HashMap::values).map(|plate| plate.words.len()).sum();
            assert!(kept < KEPT + 100_000, "{kept}");
        }
        assert!(plates.drawn.values().map(HashMap::len).sum::<usize>() < 2000);
    }
}
