//! Draws detections on a picture: boxes, names, confidences and distances.
//!
//! Also provides [`Canvas`] and [`Text`] for other overlays, such as those of a window. A steady stream allocates
//! nothing: glyphs and titles are drawn once and then copied.

mod font;
mod palette;
mod places;
mod raster;
mod text;
mod title;
mod trails;

use std::fmt::Write;

pub use palette::class_color;
use places::Places;
pub use raster::{Canvas, Rect};
pub use text::Text;
use title::TitleCache;
use trails::Trails;

use crate::frame::{Counters, Detection, Frame, LabelMap, Millimeters, Picture, Position, Track};

/// Longer titles are truncated. Names can come from the network, so their length is not limited.
const MAX_TITLE_CHARS: usize = 48;

/// Background of the counters.
const COUNTERS_COLOR: u32 = 0x10_1828;

/// Selects the detections to draw, and the parts of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Style {
    /// Draws the boxes.
    pub boxes: bool,
    /// Draws the titles: name, confidence, and the distance if the camera sends it.
    pub labels: bool,
    /// Draws the paths of tracked objects over the last seconds.
    pub trails: bool,
    /// Minimum confidence, 0..=1. A threshold above 0 also excludes confidences that are `NaN`.
    pub threshold: f32,
    /// Names or numbers of the classes to draw, ignoring case; empty for all classes.
    pub only: Vec<String>,
    /// Label names given by the user. `None`: those of the stream, or else those of COCO.
    pub names: Option<LabelMap>,
}

impl Default for Style {
    fn default() -> Self {
        Self { boxes: true, labels: true, trails: false, threshold: 0.0, only: Vec::new(), names: None }
    }
}

impl Style {
    /// Returns the label names to use for a stream that sent `stream_names`.
    #[must_use]
    pub fn names<'a>(&'a self, stream_names: Option<&'a LabelMap>) -> &'a LabelMap {
        let given = stream_names.filter(|names| !names.may_be_guessed());
        self.names.as_ref().or(given).unwrap_or_else(|| LabelMap::coco())
    }

    /// Returns whether a detection passes the threshold and the selection of classes.
    #[must_use]
    pub fn shows(&self, detection: &Detection, names: &LabelMap) -> bool {
        let confident = self.threshold <= 0.0 || detection.confidence >= self.threshold;
        confident && (self.only.is_empty() || self.only.iter().any(|wanted| names.matches(detection.label, wanted)))
    }
}

/// Sizes of what is drawn, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strokes {
    /// Width of the lines of a box.
    pub line: i32,
    /// Height of a line of text.
    pub text: u32,
}

impl Strokes {
    /// Returns the sizes for a picture that is kept: they grow with its shorter side, so that it can be read at any size.
    /// 2 and 16 at 640x352, 5 and 49 at 1920x1080.
    #[must_use]
    pub fn of_picture(width: i32, height: i32) -> Self {
        let side = width.min(height);
        Self { line: (side + 100) / 200, text: (side / 22).clamp(12, 200) as u32 }
    }
}

/// A detection to draw, in pixels.
#[derive(Clone, Copy, Debug)]
struct VisibleBox {
    rect: Rect,
    label: u32,
    confidence: f32,
    depth: Option<Millimeters>,
    track: Option<u32>,
}

/// Draws detections. Use one per view, because it caches glyphs and titles.
#[derive(Debug, Default)]
pub struct Overlay {
    style: Style,
    strokes: Option<Strokes>,
    text: Text,
    titles: TitleCache,
    visible: Vec<VisibleBox>,
    /// Indices in `visible`, the highest confidence first.
    by_confidence: Vec<usize>,
    places: Places,
    trails: Trails,
    counters: Option<Counters>,
    covered: i32,
    label: String,
}

impl Overlay {
    /// Makes an overlay with empty caches.
    #[must_use]
    pub fn new(style: Style) -> Self {
        Self { style, ..Self::default() }
    }

    /// Makes an overlay that caches titles of at most about this many pixels, instead of 16 MiB. For many overlays that seldom
    /// draw.
    #[cfg(feature = "serve")]
    pub(crate) fn with_title_cache(style: Style, pixels_max: usize) -> Self {
        Self { style, titles: TitleCache::bounded(pixels_max), ..Self::default() }
    }

    /// Returns the style.
    #[must_use]
    pub fn style(&self) -> &Style {
        &self.style
    }

    /// Returns the style for changing it.
    pub fn style_mut(&mut self) -> &mut Style {
        &mut self.style
    }

    /// Draws in these sizes whatever the size of the picture, or with `None` in those [of the picture](Strokes::of_picture).
    pub fn set_strokes(&mut self, strokes: Option<Strokes>) {
        self.strokes = strokes;
    }

    /// Draws the counters above this number of rows at the lower edge of the picture, which something else covers.
    pub fn set_covered(&mut self, rows: usize) {
        self.covered = i32::try_from(rows).unwrap_or(i32::MAX);
    }

    /// Takes over the tracks and counters of the frame that is drawn next. Frames without tracks end those of the frame before.
    pub fn follow(&mut self, frame: &Frame) {
        self.trails.follow(frame.device_time, &frame.tracks);
        self.counters = frame.counters;
    }

    /// Draws the detections selected by the style: first the trails, then all boxes, then all titles. Tracked objects have
    /// the number of their track in the title; those without a box have a mark. Counters are in the lower left corner, above the
    /// [covered](Self::set_covered) rows. No title covers another: the box with the lower confidence has its title elsewhere, or
    /// none.
    ///
    /// Places boxes on the [part](Picture::part) of the frame that the picture shows. Clips them to the picture, and omits
    /// boxes outside it or with a `NaN`. The cost is about linear in the number of boxes, and bounded for each box by the size
    /// of the picture. The 256 boxes with the highest confidence can have a title.
    pub fn draw(&mut self, picture: &mut Picture, detections: &[Detection], stream_names: Option<&LabelMap>) {
        let Self { style, strokes, text, titles, visible, by_confidence, places, trails, counters, covered, label } =
            self;
        let names = style.names(stream_names);
        let part = picture.part;
        let mut canvas = Canvas::of(picture);
        let (width, height) = (canvas.width(), canvas.height());
        let Strokes { line, text: px_height } = strokes.unwrap_or_else(|| Strokes::of_picture(width, height));
        visible.clear();
        trails.forget_boxes();
        visible.extend(detections.iter().filter_map(|detection| {
            let shown = style.shows(detection, names);
            let track = trails.join(detection, shown);
            let rect = Rect::on_part(&detection.bbox, &part, width, height).filter(|_| shown)?;
            let Detection { label, confidence, position, .. } = *detection;
            let depth = position.as_ref().and_then(Position::depth);
            Some(VisibleBox { rect, label, confidence, depth, track })
        }));
        if style.trails {
            trails.draw(&mut canvas, &part, line);
        }
        if style.boxes {
            visible.iter().for_each(|each| canvas.outline(each.rect, line, class_color(each.label)));
            for (Track { id, .. }, at) in trails.marks(&part, width, height) {
                canvas.outline(mark(at, line), line, class_color(*id));
            }
        }
        if !style.labels {
            return;
        }
        places.clear(visible.capacity());
        if let Some(counters) = counters {
            label.clear();
            write!(label, "{counters}").expect("writing to a string cannot fail");
            let title = titles.get(text, px_height, COUNTERS_COLOR, label);
            let y = height.saturating_sub(title.height).saturating_sub(*covered).max(0);
            title.draw(&mut canvas, 0, y);
            places.take(Rect::new(0, y, title.width, title.height));
        }
        by_confidence.clear();
        by_confidence.reserve(visible.capacity());
        by_confidence.extend(0..visible.len());
        let confidence = |index: usize| visible[index].confidence.max(-1.0); // Not `NaN`.
        by_confidence.sort_unstable_by(|a, b| confidence(*b).total_cmp(&confidence(*a)).then(a.cmp(b)));
        let room = (width - 2 * text::margin(px_height)) / text.advance(px_height);
        let room = usize::try_from(room).unwrap_or(0).min(MAX_TITLE_CHARS);
        for each in by_confidence.iter().map(|index| &visible[*index]) {
            if places.is_full() {
                break;
            }
            write_label(label, each, names, room);
            let title = titles.get(text, px_height, class_color(each.label), label);
            if let Some((x, y)) = places.find(title, &each.rect, width, height) {
                title.draw(&mut canvas, x, y);
            }
        }
        if style.boxes {
            for (Track { id, .. }, at) in trails.marks(&part, width, height) {
                if places.is_full() {
                    break;
                }
                label.clear();
                write!(label, "ID {id}").expect("writing to a string cannot fail");
                let title = titles.get(text, px_height, class_color(*id), label);
                if let Some((x, y)) = places.find(title, &mark(at, line), width, height) {
                    title.draw(&mut canvas, x, y);
                }
            }
        }
    }
}

/// Returns the mark of a tracked object without a box.
const fn mark(at: (i32, i32), line: i32) -> Rect {
    Rect::new(at.0 - 2 * line, at.1 - 2 * line, 4 * line, 4 * line)
}

/// Returns a confidence, 0 to 1, in whole percent, as it is written everywhere: halves are rounded up.
#[must_use]
pub fn percent(confidence: f32) -> f32 {
    (confidence * 100.0).round()
}

/// Writes name, percentage, distance and track in at most `room` characters. Truncates the name first; omits the others unless they
/// all fit.
fn write_label(title: &mut String, visible: &VisibleBox, names: &LabelMap, room: usize) {
    title.clear();
    match names.name(visible.label) {
        Some(name) => title.extend(name.chars().take(room + 1).map(text::printable)),
        None => write!(title, "#{}", visible.label).expect("writing to a string cannot fail"),
    }
    let percent = percent(visible.confidence);
    let known = (0.0..=100.0).contains(&percent);
    let digits = match percent {
        _ if !known => 1,
        100.0 => 3,
        10.0.. => 2,
        _ => 1,
    };
    let track = visible.track;
    let track_room = track.map_or(0, |id| " ID ".len() + id.checked_ilog10().unwrap_or(0) as usize + 1);
    let depth = visible.depth.map_or_else(String::new, |depth| format!(" {depth}"));
    let (room, with_percent) = match room.checked_sub(digits + 2 + depth.len() + track_room) {
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
        (true, true) => write!(title, " {percent}%").expect("writing to a string cannot fail"),
        (true, false) => title.push_str(" ?%"),
    }
    if with_percent {
        title.push_str(&depth);
    }
    if let Some(id) = track.filter(|_| with_percent) {
        write!(title, " ID {id}").expect("writing to a string cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{BBox, Part};

    const PERSON: u32 = 0x00_FF7F;
    const BICYCLE: u32 = 0x66_00EE;

    fn detection(label: u32, confidence: f32, [xmin, ymin, xmax, ymax]: [f32; 4]) -> Detection {
        Detection { label, confidence, bbox: BBox { xmin, ymin, xmax, ymax }, ..Detection::default() }
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

    fn label(detection: &Detection, names: &LabelMap, room: usize) -> String {
        let mut label = String::from("left from the last detection");
        let Detection { label: class, confidence, position, .. } = *detection;
        let depth = position.and_then(|position| position.depth());
        write_label(
            &mut label,
            &VisibleBox { rect: Rect::default(), label: class, confidence, depth, track: None },
            names,
            room,
        );
        label
    }

    #[test]
    fn boxes_are_drawn_at_their_position() {
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
    fn boxes_are_placed_on_the_part_that_is_shown() {
        let frame = detection(0, 0.9, [0.25, 0.25, 0.5, 0.75]); // 480..960, 270..810 of 1920x1080
        let edges = |part: Part, size: (usize, usize), strokes: Strokes| {
            let mut picture = picture(size.0, size.1);
            picture.part = part;
            let mut overlay = Overlay::new(boxes());
            overlay.set_strokes(Some(strokes));
            overlay.draw(&mut picture, &[frame], None);
            let row = picture.words().chunks(size.0).nth(size.1 / 2).expect("a row").to_vec();
            row.iter().enumerate().filter(|(_, word)| **word == PERSON).map(|(x, _)| x).collect::<Vec<_>>()
        };
        let whole = Part::whole(1920, 1080);
        for (size, line) in [((1920, 1080), 2), ((240, 135), 2), ((160, 90), 2), ((2600, 1462), 4), ((480, 270), 3)] {
            let (left, right) = (size.0 / 4, size.0 / 2);
            let expected: Vec<usize> = (left..left + line).chain(right - line..right).collect();
            let strokes = Strokes { line: line as i32, text: 16 };
            assert_eq!(edges(whole, size, strokes), expected, "exactly {line} pixels wide at {size:?}");
        }
        let two = Strokes { line: 2, text: 16 };
        let left_edge = Part { x: 400.0, y: 400.0, width: 200.0, height: 100.0, ..whole };
        assert_eq!(edges(left_edge, (800, 400), two), [320, 321], "enlarged four times, without the edge outside");
        let inside = Part { x: 600.0, y: 400.0, width: 200.0, height: 100.0, ..whole };
        assert!(edges(inside, (800, 400), two).is_empty(), "no edge is in this part");
        let beside = Part { x: 1000.0, y: 400.0, width: 200.0, height: 100.0, ..whole };
        assert!(edges(beside, (800, 400), two).is_empty());
    }

    #[test]
    fn titles_stay_inside_the_picture() {
        for corner in [[0.0, 0.0, 0.02, 0.02], [0.98, 0.0, 1.0, 0.02], [0.0, 0.98, 0.02, 1.0], [0.98, 0.98, 1.0, 1.0]] {
            let words = drawn(Style { boxes: false, ..Style::default() }, &[detection(0, 0.87, corner)]);
            let covered = words.words().iter().filter(|word| **word != 0x40_4040).count();
            // `person 87%` with its margins covers the same number of pixels in every corner.
            let advance = Text::new().advance(16);
            assert_eq!(covered as i32, (10 * advance + 8) * 18, "{corner:?}");
        }
    }

    #[test]
    fn titles_of_boxes_at_one_place_do_not_cover_one_another() {
        let place = [0.25, 0.25, 0.5, 0.75];
        let all =
            [detection(0, 0.8, place), detection(1, 0.9, place), detection(0, 0.7, place), detection(1, 0.6, place)];
        let words = drawn(Style { boxes: false, ..Style::default() }, &all);
        let covered = words.words().iter().filter(|word| **word != 0x40_4040).count();
        // `person 80%`, `bicycle 90%`, `person 70%` and `bicycle 60%` with their margins.
        let advance = Text::new().advance(16);
        assert_eq!(covered as i32, 2 * (10 * advance + 8) * 18 + 2 * (11 * advance + 8) * 18);
        let above = words.words()[640 * (88 - 18) + 160];
        assert_eq!(above, BICYCLE, "the usual place is that of the highest confidence");
    }

    #[test]
    fn a_tile_without_room_has_the_titles_of_the_highest_confidence() {
        let full = [0.0, 0.0, 1.0, 1.0];
        let all =
            [detection(0, 0.2, full), detection(1, f32::NAN, full), detection(2, 0.9, full), detection(3, 0.3, full)];
        let mut tile = picture(160, 40);
        let mut overlay = Overlay::new(Style { boxes: false, ..Style::default() });
        overlay.set_strokes(Some(Strokes { line: 1, text: 12 }));
        overlay.draw(&mut tile, &all, None);
        let is_titled = [0, 1, 2, 3].map(|class| tile.words().contains(&class_color(class)));
        assert_eq!(is_titled, [false, false, true, true]);
    }

    #[test]
    fn titles_do_not_cover_the_counters() {
        // All places of the title are at the lower edge, too: it is left out.
        let mut overlay = Overlay::new(Style { boxes: false, ..Style::default() });
        let mut frame = Frame::default();
        frame.counters = Some(Counters { left: 3, right: 14, ..Counters::default() });
        overlay.follow(&frame);
        let mut picture = picture(640, 352);
        overlay.draw(&mut picture, &[detection(0, 0.9, [0.0, 0.99, 0.1, 1.0])], None);
        let covered = picture.words().iter().filter(|word| **word != 0x40_4040).count() as i32;
        let advance = Text::new().advance(16);
        assert_eq!(covered, (16 * advance + 8) * 18);
    }

    #[test]
    fn titles_show_name_and_percentage() {
        let coco = LabelMap::coco();
        let named = |number, confidence| label(&detection(number, confidence, [0.0; 4]), coco, 40);
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
    fn titles_show_the_distance_that_the_camera_measured() {
        let at = |z, room| {
            let position = Some(Position::from_mm([0.0, 0.0, z]));
            label(&Detection { position, ..detection(0, 0.87, [0.0; 4]) }, LabelMap::coco(), room)
        };
        assert_eq!(at(1237.0, 40), "person 87% 1.24 m");
        assert_eq!(at(12_340.0, 40), "person 87% 12.3 m");
        assert_eq!(at(1237.0, 17), "person 87% 1.24 m");
        assert_eq!(at(1237.0, 16), "pers… 87% 1.24 m");
        assert_eq!(at(1237.0, 12), "person", "no room for all");
        for none in [0.0, -5.0, f32::NAN] {
            assert_eq!(at(none, 40), "person 87%");
        }
    }

    #[test]
    fn titles_are_truncated_to_the_available_width() {
        let fridge = detection(72, 0.5, [0.0; 4]);
        let cut = |room| label(&fridge, LabelMap::coco(), room);
        assert_eq!(cut(16), "refrigerator 50%");
        assert_eq!(cut(15), "refrigerat… 50%");
        assert_eq!(cut(6), "r… 50%");
        assert_eq!(cut(5), "refr…");
        assert_eq!(cut(1), "…");
        assert_eq!(cut(0), "");
    }

    #[test]
    fn names_from_the_network_are_sanitized_and_truncated() {
        let names = ["\u{1b}[2J\u{202e}x\n"].into_iter().collect();
        assert_eq!(label(&detection(0, 0.5, [0.0; 4]), &names, 40), "\u{FFFD}[2J\u{FFFD}x\u{FFFD} 50%");
        let endless = "ä".repeat(1 << 20);
        let names = [&*endless].into_iter().collect();
        assert_eq!(label(&detection(0, 0.5, [0.0; 4]), &names, MAX_TITLE_CHARS).chars().count(), MAX_TITLE_CHARS);
    }

    #[test]
    fn user_names_precede_stream_names_and_coco() {
        let [user, stream]: [LabelMap; 2] = [["helmet"].into_iter().collect(), ["vest"].into_iter().collect()];
        let mut style = Style::default();
        assert_eq!(style.names(None).name(0), Some("person"));
        assert_eq!(style.names(Some(&LabelMap::default())).name(0), Some("person"));
        assert_eq!(style.names(Some(&stream)).name(0), Some("vest"));
        assert_eq!(style.names(Some(&LabelMap::unnamed())).name(0), None, "the stream's names were incomplete");
        style.names = Some(user);
        assert_eq!(style.names(Some(&stream)).name(0), Some("helmet"));
    }

    #[test]
    fn threshold_and_classes_select_detections() {
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
    fn halves_of_a_percent_are_rounded_up() {
        for (confidence, title) in
            [(0.665, "person 67%"), (0.645, "person 65%"), (0.6649, "person 66%"), (0.005, "person 1%")]
        {
            let found = label(&detection(0, confidence, [0.0, 0.0, 1.0, 1.0]), LabelMap::coco(), 40);
            assert_eq!(found, title, "{confidence}");
        }
    }

    #[test]
    fn style_without_boxes_and_labels_draws_nothing() {
        let all = [detection(0, 0.9, [0.1, 0.1, 0.9, 0.9])];
        let style = Style { boxes: false, labels: false, ..Style::default() };
        assert!(drawn(style, &all).words().iter().all(|word| *word == 0x40_4040));
    }

    #[test]
    fn counters_are_drawn_in_the_lower_left_corner() {
        let counted = |counters, style: Style| {
            let mut overlay = Overlay::new(style);
            let mut frame = Frame::default();
            frame.counters = counters;
            overlay.follow(&frame);
            let mut picture = picture(640, 352);
            overlay.draw(&mut picture, &[], None);
            let words = picture.words();
            (words[351 * 640] == COUNTERS_COLOR, words.iter().filter(|word| **word != 0x40_4040).count() as i32)
        };
        let some = Some(Counters { left: 3, right: 14, ..Counters::default() });
        // `3 left, 14 right` with its margins.
        let covered = (16 * Text::new().advance(16) + 8) * 18;
        assert_eq!(counted(some, Style::default()), (true, covered));
        assert_eq!(counted(None, Style::default()), (false, 0));
        assert_eq!(counted(some, Style { labels: false, ..Style::default() }), (false, 0));
        let mut overlay = Overlay::default();
        let mut frame = Frame::default();
        frame.counters = some;
        overlay.follow(&frame);
        let lowest = |overlay: &mut Overlay, covered: usize| {
            let mut picture = picture(640, 352);
            overlay.set_covered(covered);
            overlay.draw(&mut picture, &[], None);
            picture.words().iter().rposition(|word| *word == COUNTERS_COLOR).map(|at| at / 640)
        };
        assert_eq!([0, 24, 400].map(|rows| lowest(&mut overlay, rows)), [Some(351), Some(327), Some(17)]);
        let all = Counters { left: 0, right: 1, up: 2, down: 0 };
        assert_eq!(all.to_string(), "0 left, 1 right, 2 up, 0 down");
    }

    #[test]
    fn lines_and_text_grow_with_the_picture() {
        let sizes = [100, 352, 720, 1080, 2160].map(|side| Strokes::of_picture(2 * side, side));
        assert_eq!(sizes.map(|strokes| strokes.line), [1, 2, 4, 5, 11]);
        assert_eq!(sizes.map(|strokes| strokes.text), [12, 16, 32, 49, 98]);
    }

    #[test]
    fn later_boxes_cover_earlier_ones() {
        let many: Vec<_> =
            (0..10_000).map(|n| detection(n, (n % 101) as f32 / 100.0, [-1e30, -1.0, 1e30, 2.0])).collect();
        let last = *many.last().expect("there are 10,000");
        let all = drawn(boxes(), &many);
        assert_eq!(all.words(), drawn(boxes(), &[last]).words(), "only the last box is visible");
        let titled = drawn(Style::default(), &many);
        assert_eq!(titled.words()[640 * 200], class_color(9999));
    }

    proptest! {
        #[test]
        fn arbitrary_detections_do_not_panic(
            width in 0usize..90, height in 0usize..90, label: u32, confidence: f32, corners: [f32; 4], name: String,
        ) {
            let mut names = LabelMap::default();
            names.insert(label, &name);
            let mut picture = picture(width, height);
            Overlay::default().draw(&mut picture, &[detection(label, confidence, corners)], Some(&names));
        }
    }
}
