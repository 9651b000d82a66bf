//! A picture and its detections -> the picture with boxes and their names.
//!
//! Also what a window writes over a picture: [`Canvas`] to draw on, [`Text`] to write with.
//! A steady stream allocates nothing here: glyphs and plates are drawn once and copied ever after.

mod font;
mod palette;
mod plate;
mod raster;
mod text;

use std::fmt::Write;

pub use palette::{colour, ink_on};
use plate::Plates;
pub use raster::{Canvas, Rect};
pub use text::Text;

use crate::frame::{Detection, LabelMap, Picture};

/// Names may come from the network: longer ones are cut.
const TITLE_CHARACTERS: usize = 48;

/// What is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Style {
    /// Draw the boxes.
    pub boxes: bool,
    /// Draw name and confidence.
    pub labels: bool,
    /// Least confidence, 0..=1. With any above 0, detections without a usable one are left out.
    pub threshold: f32,
    /// Names (in any case) or numbers of the classes to draw; all of them when empty.
    pub only: Vec<String>,
    /// Names that the user gave. Without them, those of the stream are used, or else COCO's.
    pub names: Option<LabelMap>,
}

impl Default for Style {
    fn default() -> Self {
        Self { boxes: true, labels: true, threshold: 0.0, only: Vec::new(), names: None }
    }
}

impl Style {
    /// The names that hold for a stream which gave these.
    #[must_use]
    pub fn names<'a>(&'a self, stream_names: Option<&'a LabelMap>) -> &'a LabelMap {
        let given = stream_names.filter(|names| !names.may_be_guessed());
        self.names.as_ref().or(given).unwrap_or_else(|| LabelMap::coco())
    }

    /// Whether a detection passes the threshold and the choice of classes.
    #[must_use]
    pub fn shows(&self, detection: &Detection, names: &LabelMap) -> bool {
        let sure = self.threshold <= 0.0 || detection.confidence >= self.threshold;
        sure && (self.only.is_empty() || self.only.iter().any(|wanted| names.matches(detection.label, wanted)))
    }
}

/// A box that is going to be drawn.
#[derive(Clone, Copy, Debug)]
struct Shown {
    rect: Rect,
    label: u32,
    confidence: f32,
}

/// Draws detections. One for each view: it keeps the glyphs and plates that it has drawn.
#[derive(Debug, Default)]
pub struct Overlay {
    style: Style,
    text: Text,
    plates: Plates,
    shown: Vec<Shown>,
    title: String,
}

impl Overlay {
    /// Nothing is rasterised before it is needed.
    #[must_use]
    pub fn new(style: Style) -> Self {
        Self { style, ..Self::default() }
    }

    /// What is drawn.
    #[must_use]
    pub fn style(&self) -> &Style {
        &self.style
    }

    /// What is drawn from the next picture on.
    pub fn style_mut(&mut self) -> &mut Style {
        &mut self.style
    }

    /// Draws the boxes that pass the style, then their titles over all of them.
    ///
    /// Boxes are cut to the picture; those outside of it and those with a `NaN` are left out.
    /// The cost is linear in boxes, and for each of them bounded by the size of the picture.
    pub fn draw(&mut self, picture: &mut Picture, detections: &[Detection], stream_names: Option<&LabelMap>) {
        let Self { style, text, plates, shown, title } = self;
        let names = style.names(stream_names);
        let mut canvas = Canvas::of(picture);
        let (width, height) = (canvas.width(), canvas.height());
        let side = width.min(height);
        shown.clear();
        shown.extend(detections.iter().filter(|detection| style.shows(detection, names)).filter_map(|detection| {
            let rect = Rect::of_box(&detection.bbox, width, height)?;
            Some(Shown { rect, label: detection.label, confidence: detection.confidence })
        }));
        if style.boxes {
            let thickness = thickness(side);
            shown.iter().for_each(|each| canvas.outline(each.rect, thickness, colour(each.label)));
        }
        if style.labels {
            let px_height = text_height(side);
            let room = (width - 2 * text::margin(px_height)) / text.advance(px_height);
            let room = usize::try_from(room).unwrap_or(0).min(TITLE_CHARACTERS);
            for each in shown.iter() {
                write_title(title, each, names, room);
                let plate = plates.get(text, px_height, colour(each.label), title);
                let (x, y) = plate.place(&each.rect, width, height);
                plate.draw(&mut canvas, x, y);
            }
        }
    }
}

/// Width of a box's line on a picture whose shorter side has so many pixels: 2 at 640x352, 5 at 1920x1080.
fn thickness(side: i32) -> i32 {
    (side + 100) / 200
}

/// Height of a line of text on such a picture: 16 at 640x352, 49 at 1920x1080.
fn text_height(side: i32) -> u32 {
    (side / 22).clamp(12, 200) as u32
}

/// Name and percentage in at most `room` characters. The name is cut first; without room for both, the percentage goes.
fn write_title(title: &mut String, shown: &Shown, names: &LabelMap, room: usize) {
    title.clear();
    match names.name(shown.label) {
        Some(name) => title.extend(name.chars().take(room + 1).map(text::visible)),
        None => write!(title, "#{}", shown.label).expect("a string takes everything"),
    }
    let percent = (shown.confidence * 100.0).round();
    let known = (0.0..=100.0).contains(&percent);
    let digits = match percent {
        _ if !known => 1,
        100.0 => 3,
        10.0.. => 2,
        _ => 1,
    };
    let (room, with_percent) = match room.checked_sub(digits + 2) {
        Some(left) if left >= 2 => (left, true),
        _ => (room, false),
    };
    if title.chars().count() > room {
        let end = title.char_indices().nth(room.saturating_sub(1)).map_or(0, |(at, _)| at);
        title.truncate(end);
        if room > 0 {
            title.push('…');
        }
    }
    match (with_percent, known) {
        (false, _) => {}
        (true, true) => write!(title, " {percent}%").expect("a string takes everything"),
        (true, false) => title.push_str(" ?%"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::BBox;

    const PERSON: u32 = 0x00_FF7F;
    const BICYCLE: u32 = 0x66_00EE;

    fn detection(label: u32, confidence: f32, [xmin, ymin, xmax, ymax]: [f32; 4]) -> Detection {
        Detection { label, confidence, bbox: BBox { xmin, ymin, xmax, ymax } }
    }

    fn picture(width: usize, height: usize) -> Picture {
        let mut picture = Picture::default();
        picture.resize(width, height);
        picture.words_mut().fill(0x40_4040);
        picture
    }

    fn drawn(style: Style, detections: &[Detection]) -> Picture {
        let mut picture = picture(640, 352);
        Overlay::new(style).draw(&mut picture, detections, None);
        picture
    }

    fn boxes() -> Style {
        Style { labels: false, ..Style::default() }
    }

    fn title(shown: &Detection, names: &LabelMap, room: usize) -> String {
        let mut title = String::from("of the last one");
        let shown = Shown { rect: Rect::default(), label: shown.label, confidence: shown.confidence };
        write_title(&mut title, &shown, names, room);
        title
    }

    #[test]
    fn a_box_is_where_it_was_sent() {
        let boxed =
            drawn(boxes(), &[detection(0, 0.9, [0.25, 0.25, 0.5, 0.75]), detection(1, 0.9, [0.75, 0.5, 1.5, 2.0])]);
        for (at, word) in boxed.words().iter().enumerate() {
            let (x, y) = (at % 640, at / 640);
            let within = |left: usize, top: usize, right: usize, bottom: usize| {
                (left..right).contains(&x) && (top..bottom).contains(&y)
            };
            let expected = if within(160, 88, 320, 264) && !within(162, 90, 318, 262) {
                PERSON
            } else if within(480, 176, 640, 352) && !within(482, 178, 638, 350) {
                BICYCLE
            } else {
                0x40_4040
            };
            assert_eq!(*word, expected, "{x},{y}");
        }
    }

    #[test]
    fn a_title_is_inside_of_the_picture_wherever_its_box_is() {
        for corner in [[0.0, 0.0, 0.02, 0.02], [0.98, 0.0, 1.0, 0.02], [0.0, 0.98, 0.02, 1.0], [0.98, 0.98, 1.0, 1.0]] {
            let words = drawn(Style { boxes: false, ..Style::default() }, &[detection(0, 0.87, corner)]);
            let plate = words.words().iter().filter(|word| **word != 0x40_4040).count();
            // `person 87%` with its margins: the same number of pixels in every corner.
            let advance = Text::new().advance(16);
            assert_eq!(plate as i32, (10 * advance + 8) * 18, "{corner:?}");
        }
    }

    #[test]
    fn titles_say_who_and_how_sure() {
        let coco = LabelMap::coco();
        let named = |label, confidence| title(&detection(label, confidence, [0.0; 4]), coco, 40);
        assert_eq!(named(0, 0.876), "person 88%");
        assert_eq!(named(0, 1.0), "person 100%");
        assert_eq!(named(0, 0.0), "person 0%");
        assert_eq!(named(0, 0.099), "person 10%");
        assert_eq!(named(57_000, 0.5), "#57000 50%");
        for odd in [f32::NAN, f32::INFINITY, -0.2, 50.0] {
            assert_eq!(named(0, odd), "person ?%");
        }
    }

    #[test]
    fn titles_are_cut_to_the_room_there_is() {
        let fridge = detection(72, 0.5, [0.0; 4]);
        let cut = |room| title(&fridge, LabelMap::coco(), room);
        assert_eq!(cut(16), "refrigerator 50%");
        assert_eq!(cut(15), "refrigerat… 50%");
        assert_eq!(cut(6), "r… 50%");
        assert_eq!(cut(5), "refr…");
        assert_eq!(cut(1), "…");
        assert_eq!(cut(0), "");
    }

    #[test]
    fn names_from_the_wire_are_harmless() {
        let names = ["\u{1b}[2J\u{202e}x\n"].into_iter().collect();
        assert_eq!(title(&detection(0, 0.5, [0.0; 4]), &names, 40), "\u{FFFD}[2J\u{FFFD}x\u{FFFD} 50%");
        let endless = "ä".repeat(1 << 20);
        let names = [&*endless].into_iter().collect();
        assert_eq!(title(&detection(0, 0.5, [0.0; 4]), &names, TITLE_CHARACTERS).chars().count(), TITLE_CHARACTERS);
    }

    #[test]
    fn names_come_from_the_user_then_the_stream_then_coco() {
        let [user, stream]: [LabelMap; 2] = [["helmet"].into_iter().collect(), ["vest"].into_iter().collect()];
        let mut style = Style::default();
        assert_eq!(style.names(None).name(0), Some("person"));
        assert_eq!(style.names(Some(&LabelMap::default())).name(0), Some("person"));
        assert_eq!(style.names(Some(&stream)).name(0), Some("vest"));
        assert_eq!(style.names(Some(&LabelMap::unnamed())).name(0), None, "the camera's names came damaged");
        style.names = Some(user);
        assert_eq!(style.names(Some(&stream)).name(0), Some("helmet"));
    }

    #[test]
    fn threshold_and_choice_leave_boxes_out() {
        let coco = LabelMap::coco();
        let shows = |threshold, only: &[&str], label, confidence| {
            let only = only.iter().map(|name| name.to_string()).collect();
            Style { threshold, only, ..Style::default() }.shows(&detection(label, confidence, [0.0; 4]), coco)
        };
        assert!(shows(0.0, &[], 0, f32::NAN));
        assert!(!shows(0.1, &[], 0, f32::NAN));
        assert!(shows(0.5, &[], 0, 0.5));
        assert!(!shows(0.5, &[], 0, 0.49));
        assert!(shows(0.0, &["dog", "Car"], 2, 0.1));
        assert!(shows(0.0, &["dog", "2"], 2, 0.1));
        assert!(!shows(0.0, &["dog", "2"], 3, 0.1));
    }

    #[test]
    fn a_style_without_boxes_and_labels_changes_nothing() {
        let all = [detection(0, 0.9, [0.1, 0.1, 0.9, 0.9])];
        let style = Style { boxes: false, labels: false, ..Style::default() };
        assert!(drawn(style, &all).words().iter().all(|word| *word == 0x40_4040));
    }

    #[test]
    fn lines_and_text_grow_with_the_picture() {
        assert_eq!([100, 352, 720, 1080, 2160].map(thickness), [1, 2, 4, 5, 11]);
        assert_eq!([100, 352, 720, 1080, 2160].map(text_height), [12, 16, 32, 49, 98]);
    }

    #[test]
    fn ten_thousand_boxes_are_drawn() {
        let many: Vec<_> =
            (0..10_000).map(|n| detection(n, (n % 101) as f32 / 100.0, [-1e30, -1.0, 1e30, 2.0])).collect();
        let last = *many.last().expect("there are many");
        let all = drawn(boxes(), &many);
        assert_eq!(all.words(), drawn(boxes(), &[last]).words(), "each covers the one before");
        let titled = drawn(Style::default(), &many);
        assert_eq!(titled.words()[640 * 200], colour(9999));
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_drawn_or_left_out(
            width in 0usize..90, height in 0usize..90, label: u32, confidence: f32, corners: [f32; 4], name: String,
        ) {
            let mut names = LabelMap::default();
            names.insert(label, &name);
            let mut picture = picture(width, height);
            Overlay::default().draw(&mut picture, &[detection(label, confidence, corners)], Some(&names));
        }
    }
}
