//! The side panel: detections of the shown cameras by class, and their number over the last 30 s.

use std::collections::{BTreeMap, VecDeque};

use super::design::{Design, Ink};
use super::numbers::{self, History};
use super::pen::{Pen, shortened};
use crate::frame::{Frame, LabelMap, Millimeters, Position};
use crate::overlay::{Rect, Style, class_color, percent};
use crate::units::count;

/// Time that the plot covers.
const HISTORY_NS: u64 = 30_000_000_000;

/// Shortest time between two points of the plot.
const HISTORY_STEP_NS: u64 = 100_000_000;

/// Classes of one camera of which a point of the plot has the numbers. The others are counted together.
const HISTORY_CLASSES_MAX: usize = 32;

/// Width of the panel in characters.
const PANEL_CHARS: i32 = 28;

/// Longest name of a class in the list, in characters.
const NAME_CHARS: usize = 16;

/// Characters of a distance, with a space before it.
const DEPTH_CHARS: usize = 7;

/// Detections of one class in the shown frames.
#[derive(Clone, Debug, PartialEq)]
struct ClassCount {
    name: String,
    count: u32,
    /// Greatest confidence, 0 to 1.
    best: f32,
    /// Distance of the nearest one, if the camera sends distances.
    nearest: Option<Millimeters>,
}

impl ClassCount {
    /// Formats the number of detections, the greatest confidence, and the distance of the nearest one.
    fn numbers(&self, has_depths: bool) -> String {
        let depth = self.nearest.map_or_else(String::new, |depth| depth.to_string());
        let depth = if has_depths { format!("{depth:>DEPTH_CHARS$}") } else { depth };
        format!("{:>3} {:>4}%{depth}", self.count, percent(self.best))
    }
}

/// Numbers of detections at one time.
#[derive(Clone, Debug)]
struct Point {
    at_ns: u64,
    /// Camera, class and number. Class `None`: all further classes of the camera.
    counts: Vec<(usize, Option<u32>, u32)>,
}

impl Point {
    /// Returns the number of detections of these cameras, of one class or of all. `None` if one of the cameras was not counted.
    fn sum(&self, cameras: &[usize], class: Option<u32>) -> Option<u32> {
        if cameras.is_empty() || cameras.iter().any(|camera| !self.has(*camera)) {
            return None;
        }
        let counts = self.counts.iter().filter(|(camera, ..)| cameras.contains(camera));
        let counts = counts.map(|(_, of, count)| if class.is_none() || class == *of { *count } else { 0 });
        Some(counts.fold(0, u32::saturating_add))
    }

    fn has(&self, camera: usize) -> bool {
        self.counts.iter().any(|(counted, ..)| *counted == camera)
    }

    /// Returns the counted cameras. Each has one entry for its further classes.
    fn cameras(&self) -> impl Iterator<Item = usize> {
        self.counts.iter().filter(|(_, class, _)| class.is_none()).map(|(camera, ..)| *camera)
    }
}

/// Returns a name with an ellipsis in its middle if it is longer: names that begin alike, such as `baseball bat` and `baseball
/// glove`, stay different.
fn abbreviated(name: &str, chars: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= chars {
        return name.to_owned();
    }
    let kept = chars.saturating_sub(1);
    let (start, end) = (&letters[..kept.div_ceil(2)], &letters[letters.len() - kept / 2..]);
    start.iter().chain(&['…']).chain(end).collect()
}

/// Content of the side panel.
#[derive(Debug, Default)]
pub(super) struct Panel {
    pub(super) is_open: bool,
    /// The only class that is drawn.
    pub(super) class: Option<u32>,
    /// Shown cameras whose picture is one of an earlier time, so that its detections are not counted.
    pub(super) not_counted: usize,
    classes: BTreeMap<u32, ClassCount>,
    /// Names of the classes in the shown frames.
    names: LabelMap,
    history: VecDeque<Point>,
    /// Places of the classes in the window, as they were drawn last.
    places: Vec<(Rect, u32)>,
    /// Place of the panel.
    at: Rect,
    /// The panel is open, but the window has no room for it.
    is_cramped: bool,
}

impl Panel {
    /// Returns the width of the panel in pixels; 0 if it is closed, or takes more than half of the window.
    pub(super) fn width(&mut self, design: &Design, advance: i32, window: i32) -> i32 {
        let width = PANEL_CHARS * advance + 4 * design.space();
        let has_room = 2 * width <= window;
        self.is_cramped = self.is_open && !has_room;
        if self.is_open && has_room { width } else { 0 }
    }

    /// Returns whether the open panel had no room in the last window.
    pub(super) const fn is_cramped(&self) -> bool {
        self.is_cramped
    }

    /// Returns whether the detections must be counted: with each new picture while the panel shows their numbers, otherwise ten
    /// times a second for the history. `counted_ns`: the time of the last count.
    pub(super) fn is_due(&self, counted_ns: Option<u64>, now_ns: u64, has_new: bool) -> bool {
        (self.is_open && has_new)
            || counted_ns.is_none_or(|counted_ns| now_ns.saturating_sub(counted_ns) >= HISTORY_STEP_NS)
    }

    /// Counts the detections of the shown frames, each with its camera. The history also holds the time before the panel was
    /// opened.
    pub(super) fn count<'a>(
        &mut self,
        frames: impl Iterator<Item = (usize, &'a Frame)>,
        style: &Style,
        threshold: f32,
        now_ns: u64,
    ) {
        self.classes.clear();
        let style = Style { threshold, ..style.clone() };
        let mut counts: Vec<(usize, Option<u32>, u32)> = Vec::new();
        for (camera, frame) in frames {
            let names: &LabelMap = style.names(frame.labels.as_deref());
            // Clones share the names.
            self.names.clone_from(names);
            let mut of_camera: BTreeMap<u32, u32> = BTreeMap::new();
            for detection in frame.detections.iter().filter(|detection| style.shows(detection, names)) {
                let count = self.classes.entry(detection.label).or_insert_with(|| ClassCount {
                    name: names.title(detection.label).into_owned(),
                    count: 0,
                    best: 0.0,
                    nearest: None,
                });
                count.count += 1;
                count.best = count.best.max(detection.confidence);
                let depth = detection.position.as_ref().and_then(Position::depth);
                let both = count.nearest.into_iter().chain(depth);
                count.nearest = both.reduce(|one, other| if other < one { other } else { one });
                *of_camera.entry(detection.label).or_default() += 1;
            }
            let others = of_camera.values().skip(HISTORY_CLASSES_MAX).sum();
            counts.extend(
                of_camera.iter().take(HISTORY_CLASSES_MAX).map(|(label, count)| (camera, Some(*label), *count)),
            );
            counts.push((camera, None, others));
        }
        if self.history.back().is_none_or(|last| now_ns.saturating_sub(last.at_ns) >= HISTORY_STEP_NS) {
            self.history.push_back(Point { at_ns: now_ns, counts });
        }
        while self.history.front().is_some_and(|first| now_ns.saturating_sub(first.at_ns) > HISTORY_NS) {
            self.history.pop_front();
        }
    }

    /// Draws only this class, or all if it is the only one already.
    pub(super) fn toggle_class(&mut self, class: u32) {
        self.class = if self.class == Some(class) { None } else { Some(class) };
    }

    /// Returns whether a point is on the panel, and the class at it.
    pub(super) fn at(&self, (x, y): (i32, i32)) -> Option<Option<u32>> {
        let on = |rect: &Rect| (rect.x..rect.right()).contains(&x) && (rect.y..rect.bottom()).contains(&y);
        on(&self.at).then(|| self.places.iter().find(|(rect, _)| on(rect)).map(|(_, class)| *class))
    }

    /// Returns the name of the only class that is drawn.
    pub(super) fn class_name(&self) -> Option<String> {
        let class = self.class?;
        Some(self.classes.get(&class).map_or_else(|| self.names.title(class).into_owned(), |count| count.name.clone()))
    }

    /// Returns the classes with this text in their names: first those in the list, then those that begin with it.
    pub(super) fn found(&self, search: &str) -> Vec<(u32, String)> {
        let search = search.to_lowercase();
        let listed = self.classes.iter().map(|(label, count)| (*label, count.name.clone()));
        let others = self.names.iter().filter(|(label, _)| !self.classes.contains_key(label));
        let all = listed.chain(others.map(|(label, name)| (label, name.to_owned())));
        let mut found: Vec<_> =
            all.filter_map(|(label, name)| Some((name.to_lowercase().find(&search)?, label, name))).collect();
        found.sort_by_key(|(at, label, _)| (!self.classes.contains_key(label), *at > 0, *label));
        found.into_iter().map(|(_, label, name)| (label, name)).collect()
    }

    /// Returns the numbers of detections over time of the cameras for which `is_shown` holds. `None` at times at which one of
    /// them was not counted, because it was not shown then.
    fn curve(&self, is_shown: impl Fn(usize) -> bool) -> Vec<(u64, Option<u32>)> {
        let last = self.history.back();
        let cameras: Vec<usize> =
            last.map(|point| point.cameras().filter(|camera| is_shown(*camera)).collect()).unwrap_or_default();
        self.history.iter().map(|point| (point.at_ns, point.sum(&cameras, self.class))).collect()
    }

    /// Draws the panel of the cameras with this title, which are those for which `is_shown` holds, with the numbers that they send. Returns the place of `reserved` rows of pixels above the plot, unless
    /// there is no room for them.
    pub(super) fn draw(
        &mut self,
        pen: &mut Pen<'_>,
        at: Rect,
        (title, is_shown): (&str, impl Fn(usize) -> bool),
        histories: &[History],
        reserved: i32,
    ) -> Option<Rect> {
        (self.at, self.places) = (at, Vec::new());
        if at.width == 0 {
            return None;
        }
        let (space, line, advance) = (pen.design.space(), pen.design.line(), pen.advance());
        let mut pen = pen.part(at);
        let ground = pen.design.palette.panel;
        pen.canvas.fill(at, ground);
        let (left, right) = (at.x + 2 * space, at.right() - 2 * space);
        let mut y = at.y + 2 * space;
        let columns =
            (right - left) * i32::from(pen.design.text() as u16) / (advance * pen.design.heading() as i32).max(1);
        pen.heading(left, y, Ink::Text, &shortened(title, usize::try_from(columns).unwrap_or(0)));
        y += pen.design.heading() as i32 + 2 * space;
        let total: u32 = self.classes.values().map(|count| count.count).sum();
        pen.write(left, y, Ink::Dim, &count(total as u64, "detection", "detections"));
        if self.not_counted > 0 {
            y += line;
            let cameras = count(self.not_counted as u64, "camera", "cameras");
            pen.write(left, y, Ink::Warning, &format!("no frames now: {cameras}"));
        }
        y += line + space;
        if !histories.is_empty() {
            let room = Rect::new(left, y, right - left, (at.bottom() - y) / 3);
            y = numbers::draw_list(&mut pen, room, histories) + space;
        }
        let plot = Rect::new(left, at.bottom() - 2 * space - 3 * line, right - left, 3 * line);
        let caption = plot.y - line;
        let place = Rect::new(left, caption - reserved - space, right - left, reserved);
        let place = Some(place).filter(|place| reserved > 0 && place.y >= y + line);
        let bottom = place.map_or(caption, |place| place.y);
        let mut shown: Vec<(&u32, &ClassCount)> = self.classes.iter().collect();
        shown.sort_by_key(|(label, count)| (std::cmp::Reverse(count.count), **label));
        // The names leave room for the distances if there are some.
        let has_depths = shown.iter().any(|(_, count)| count.nearest.is_some());
        let name_chars = if has_depths { NAME_CHARS - DEPTH_CHARS } else { NAME_CHARS };
        for (label, class) in shown {
            if y + line > bottom - space {
                pen.write(left, y, Ink::Dim, "...");
                break;
            }
            let is_drawn = self.class.is_none_or(|only| only == *label);
            let ink = if is_drawn { Ink::Text } else { Ink::Dim };
            let swatch = Rect::new(left, y + space / 2, 2 * space, line - 2 * space);
            if is_drawn {
                pen.canvas.fill(swatch, class_color(*label));
            } else {
                let thin = pen.design.thin();
                pen.canvas.outline(swatch, thin, class_color(*label));
            }
            pen.write(left + 4 * space, y, ink, &abbreviated(&class.name, name_chars));
            let numbers = class.numbers(has_depths);
            pen.write(right - numbers.chars().count() as i32 * advance, y, ink, &numbers);
            self.places.push((Rect::new(at.x, y, at.width, line), *label));
            y += line;
        }
        let points = self.curve(is_shown);
        let most = points.iter().filter_map(|(_, count)| *count).max().unwrap_or(0);
        pen.write(plot.x, caption, Ink::Dim, &format!("last 30 s, at most {most}"));
        let Some(last) = self.history.back() else { return place };
        let columns = plot.width.max(1) as usize;
        let mut values = vec![None; columns];
        for (at_ns, count) in points {
            let ago = (last.at_ns - at_ns) as f64 / HISTORY_NS as f64;
            let column = ((1.0 - ago) * (columns - 1) as f64).round().max(0.0) as usize;
            values[column.min(columns - 1)] = Some(count.map_or(f32::NAN, |count| count as f32));
        }
        // Each value holds until the next. `NaN` is a time without a count.
        let mut held = f32::NAN;
        let hold = |value: Option<f32>| {
            held = value.unwrap_or(held);
            held
        };
        let values: Vec<f32> = values.into_iter().map(hold).collect();
        let color = pen.design.ink(Ink::Good);
        pen.canvas.sparkline(plot, &values, color);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{BBox, Detection};
    use crate::overlay::{Canvas, Text};

    fn frame(found: &[(u32, f32)]) -> Frame {
        let mut frame = Frame::default();
        let detection = |(label, confidence): &(u32, f32)| {
            let bbox = BBox { xmin: 0.0, ymin: 0.0, xmax: 1.0, ymax: 1.0 };
            Detection { label: *label, confidence: *confidence, bbox, ..Detection::default() }
        };
        frame.detections = found.iter().map(detection).collect();
        frame
    }

    #[test]
    fn detections_are_counted_by_class_and_a_click_filters_one() {
        let mut panel = Panel { is_open: true, ..Panel::default() };
        let frame = frame(&[(0, 0.5), (0, 0.9), (2, 0.7), (2, 0.1)]);
        panel.count([(0, &frame)].into_iter(), &Style::default(), 0.3, 0);
        let counts: Vec<_> =
            panel.classes.values().map(|count| (count.name.as_str(), count.count, count.best)).collect();
        assert_eq!(counts, [("person", 2, 0.9), ("car", 1, 0.7)]);
        let (mut words, mut text) = (vec![0; 300 * 400], Text::new());
        let mut pen = Pen { canvas: Canvas::new(&mut words, 300, 400), text: &mut text, design: Design::default() };
        assert_eq!(panel.draw(&mut pen, Rect::new(60, 0, 240, 400), ("front", |_| true), &[], 0), None);
        assert_eq!(panel.draw(&mut pen, Rect::new(60, 0, 240, 400), ("front", |_| true), &[], 350), None, "no room");
        let reserved = panel.draw(&mut pen, Rect::new(60, 0, 240, 400), ("front", |_| true), &[], 100).expect("room");
        assert_eq!((reserved.x, reserved.width, reserved.height), (68, 224, 100));
        let (first, label) = panel.places[0];
        assert_eq!(label, 0, "the most frequent class first");
        assert_eq!(panel.at((first.x + 5, first.y + 5)), Some(Some(0)));
        assert_eq!((panel.at((100, 390)), panel.at((10, 10))), (Some(None), None));
        panel.toggle_class(0);
        panel.count([(0, &frame)].into_iter(), &Style::default(), 0.3, 200_000_000);
        assert_eq!(panel.class_name().as_deref(), Some("person"));
        panel.toggle_class(0);
        assert_eq!(panel.class, None);
        let found = |search: &str| panel.found(search).into_iter().map(|(label, _)| label).collect::<Vec<_>>();
        assert_eq!(found("CAR"), [2, 51], "car, then carrot, which is not in the picture");
        assert_eq!(found("so")[0], 0, "person, which is in the picture, before sofa");
        assert!(found("helicopter").is_empty());
    }

    /// The numbers beside a picture are those of its boxes, also of one that is shown by a step.
    #[test]
    fn an_open_panel_counts_with_each_new_picture() {
        let (open, closed) = (Panel { is_open: true, ..Panel::default() }, Panel::default());
        let soon = HISTORY_STEP_NS / 10;
        assert!(open.is_due(Some(0), soon, true) && !open.is_due(Some(0), soon, false));
        assert!(!closed.is_due(Some(0), soon, true), "the history has ten points a second");
        assert!(closed.is_due(Some(0), HISTORY_STEP_NS, false) && closed.is_due(None, 0, false));
    }

    /// Cameras send tenths of a percent, so halves are frequent.
    #[test]
    fn confidences_are_rounded_as_in_the_titles_of_boxes() {
        let numbers = |best: f32, nearest: Option<Millimeters>| {
            ClassCount { name: String::new(), count: 2, best, nearest }.numbers(nearest.is_some())
        };
        assert_eq!(numbers(0.665, None), "  2   67%");
        assert_eq!(numbers(0.005, None), "  2    1%");
        assert_eq!(numbers(1.0, Some(Millimeters(1237.0))), "  2  100% 1.24 m");
    }

    #[test]
    fn the_nearest_object_of_a_class_has_its_distance() {
        let mut panel = Panel::default();
        let mut frame = frame(&[(0, 0.5), (0, 0.5), (0, 0.5), (0, 0.1), (2, 0.5)]);
        for (detection, z) in frame.detections.iter_mut().zip([2500.0, 1237.0, 0.0, 300.0]) {
            detection.position = Some(Position::from_mm([0.0, 0.0, z]));
        }
        panel.count([(0, &frame)].into_iter(), &Style::default(), 0.3, 0);
        let nearest: Vec<_> = panel.classes.values().map(|count| count.nearest).collect();
        assert_eq!(nearest, [Some(Millimeters(1237.0)), None], "without the one below the threshold, and without 0");
    }

    #[test]
    fn the_history_covers_thirty_seconds() {
        let mut panel = Panel::default();
        let frame = frame(&[(0, 0.5)]);
        for tenth in 0..1000 {
            panel.count([(0, &frame)].into_iter(), &Style::default(), 0.0, tenth * 100_000_000);
            panel.count([(0, &frame)].into_iter(), &Style::default(), 0.0, tenth * 100_000_000 + 1);
        }
        assert_eq!(panel.history.len(), 300, "ten points a second");
    }

    #[test]
    fn the_history_is_that_of_the_shown_cameras_and_of_the_chosen_class() {
        let mut panel = Panel::default();
        let many: Vec<(u32, f32)> = (0..10_000).map(|label| (label, 0.5)).collect();
        let (few, many) = (frame(&[(3, 0.5), (3, 0.5), (7, 0.5)]), frame(&many));
        panel.count([(0, &few), (1, &many)].into_iter(), &Style::default(), 0.0, 0);
        let point = panel.history.back().expect("a point");
        assert_eq!(point.sum(&[0, 1], None), Some(10_003));
        assert_eq!(point.sum(&[0], None), Some(3));
        assert_eq!(point.sum(&[0], Some(3)), Some(2));
        assert_eq!(point.sum(&[0], Some(4)), Some(0));
        assert_eq!([point.sum(&[2], None), point.sum(&[0, 2], None), point.sum(&[], None)], [None; 3], "not counted");
        assert!(point.counts.len() <= 2 * (HISTORY_CLASSES_MAX + 1), "memory is bounded");
    }

    /// Two cameras, of which one is enlarged for a while.
    #[test]
    fn the_curve_has_only_times_at_which_all_shown_cameras_were_counted() {
        let mut panel = Panel::default();
        let (one, two) = (frame(&[(3, 0.5)]), frame(&[(3, 0.5), (7, 0.5)]));
        for (tenth, shown) in [(0, 2), (1, 1), (2, 2)] {
            let frames = [(0, &one), (1, &two)].into_iter().take(shown);
            panel.count(frames, &Style::default(), 0.0, tenth * HISTORY_STEP_NS);
        }
        let counts = |panel: &Panel, shown: &dyn Fn(usize) -> bool| -> Vec<Option<u32>> {
            panel.curve(shown).into_iter().map(|(_, count)| count).collect()
        };
        assert_eq!(counts(&panel, &|_| true), [Some(3), None, Some(3)]);
        assert_eq!(counts(&panel, &|camera| camera == 0), [Some(1); 3]);
        assert!(counts(&panel, &|_| false).iter().all(Option::is_none));
    }

    #[test]
    fn long_names_that_begin_alike_stay_different() {
        let short = |name| abbreviated(name, NAME_CHARS - DEPTH_CHARS);
        assert_eq!([short("person"), short("tennis ra")], ["person", "tennis ra"]);
        assert_eq!([short("baseball bat"), short("baseball glove")], ["base… bat", "base…love"]);
        assert_eq!([abbreviated("ab", 1), abbreviated("ab", 0)], ["…", "…"]);
    }
}
