//! The numbers that a camera sends beside its pictures: the last one of each topic, and the curve of those before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::design::Ink;
use super::pen::{Pen, shortened};
use crate::overlay::Rect;
use crate::source::Measurement;
use crate::sync::locked;

/// Topics of a camera that are kept, of any number that a broker may have.
const TOPICS_MAX: usize = 16;

/// Numbers of a topic that are kept, whatever the time between them: a camera may send one a second or one a day.
const VALUES_MAX: usize = 120;

/// Height of a curve in lines of text.
const CURVE_LINES: i32 = 2;

/// The last numbers of one topic, the newest last. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct History {
    pub(super) topic: String,
    pub(super) values: VecDeque<f64>,
}

/// The numbers of one camera. Clones are the same numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    topics: Mutex<BTreeMap<String, VecDeque<f64>>>,
    has_changed: AtomicBool,
}

impl Numbers {
    /// Adds a number.
    pub(super) fn add(&self, measurement: Measurement) {
        let Measurement { topic, value, .. } = measurement;
        let mut topics = locked(&self.0.topics);
        if topics.len() == TOPICS_MAX && !topics.contains_key(&topic) {
            return;
        }
        let values = topics.entry(topic).or_default();
        if values.len() == VALUES_MAX {
            values.pop_front();
        }
        values.push_back(value);
        self.0.has_changed.store(true, Ordering::Relaxed);
    }

    /// Returns whether a number was added since the last call.
    pub(super) fn take_changed(&self) -> bool {
        self.0.has_changed.swap(false, Ordering::Relaxed)
    }

    /// Returns the topics in the order of their names.
    pub(super) fn histories(&self) -> Vec<History> {
        let topics = locked(&self.0.topics);
        topics.iter().map(|(topic, values)| History { topic: topic.clone(), values: values.clone() }).collect()
    }
}

/// Returns the numbers of these cameras for one list: their topics have the name of the camera if several cameras send numbers.
pub(super) fn listed<'a>(cameras: impl Iterator<Item = (&'a str, Vec<History>)>) -> Vec<History> {
    let cameras: Vec<_> = cameras.filter(|(_, histories)| !histories.is_empty()).collect();
    let is_alone = cameras.len() == 1;
    let named = |name: &str, history: History| match is_alone {
        true => history,
        false => History { topic: format!("{name}: {}", history.topic), ..history },
    };
    cameras.into_iter().flat_map(|(name, all)| all.into_iter().map(move |history| named(name, history))).collect()
}

/// Formats a number in at most 12 characters.
fn short(value: f64) -> String {
    let text = value.to_string();
    if text.len() <= 12 { text } else { format!("{value:.4e}") }
}

/// Returns the curve of numbers for [`Canvas::sparkline`](crate::overlay::Canvas::sparkline), whose lower edge is 0: that of
/// the curve is the smallest number, unless all are positive.
fn curve(values: &VecDeque<f64>) -> Vec<f32> {
    let lowest = values.iter().copied().fold(0.0, f64::min);
    values.iter().map(|value| (value - lowest) as f32).collect()
}

/// Draws the numbers of a camera without a picture: its name, and as many topics as fit.
pub(super) fn draw_tile(pen: &mut Pen<'_>, tile: Rect, name: &str, histories: &[History]) {
    let space = pen.design.space();
    let margin = 3 * space;
    let inside = Rect::new(tile.x + margin, tile.y + margin, tile.width - 2 * margin, tile.height - 2 * margin);
    if inside.width <= 0 || inside.height <= 0 {
        return;
    }
    let mut pen = pen.part(inside);
    let (text, heading) = (pen.design.text() as i32, pen.design.heading() as i32);
    let columns = inside.width * text / (pen.advance() * heading).max(1);
    pen.heading(inside.x, inside.y, Ink::Text, &shortened(name, usize::try_from(columns).unwrap_or(0)));
    let used = heading + 2 * space;
    draw_list(&mut pen, Rect { y: inside.y + used, height: inside.height - used, ..inside }, histories);
}

/// Draws as many topics as fit into `place`: name and last number, and below the curve. Returns the next free row of pixels.
pub(super) fn draw_list(pen: &mut Pen<'_>, place: Rect, histories: &[History]) -> i32 {
    let (space, line, advance) = (pen.design.space(), pen.design.line(), pen.advance());
    let (thin, high) = (pen.design.thin(), CURVE_LINES * line);
    let (ground, color) = (pen.design.ink(Ink::Dim), pen.design.ink(Ink::Good));
    let mut y = place.y;
    for History { topic, values } in histories {
        if y + line > place.bottom() {
            break;
        }
        let value = values.back().copied().map(short).unwrap_or_default();
        let wide = i32::try_from(value.chars().count()).unwrap_or(i32::MAX).saturating_mul(advance);
        let columns = (place.width - wide - advance) / advance;
        pen.write(place.x, y, Ink::Dim, &shortened(topic, usize::try_from(columns).unwrap_or(0)));
        pen.write(place.right() - wide, y, Ink::Text, &value);
        y += line;
        if y + high + space <= place.bottom() {
            let at = Rect::new(place.x, y, place.width, high);
            pen.canvas.fill(Rect::new(at.x, at.bottom() - thin, at.width, thin), ground);
            pen.canvas.sparkline(at, &curve(values), color);
            y += high + 2 * space;
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::super::design::Design;
    use super::*;
    use crate::overlay::{Canvas, Text};

    fn measurement(topic: &str, value: f64) -> Measurement {
        Measurement { topic: topic.to_owned(), value, stale: false }
    }

    #[test]
    fn the_last_numbers_of_each_topic_are_kept_and_no_more() {
        let numbers = Numbers::default();
        assert!(!numbers.take_changed());
        for number in 0..1000 {
            numbers.add(measurement("b", f64::from(number)));
            numbers.add(measurement(&format!("t/{number}"), 1.0));
        }
        assert!(numbers.take_changed() && !numbers.take_changed());
        let histories = numbers.histories();
        assert_eq!((histories.len(), histories[0].topic.as_str()), (TOPICS_MAX, "b"));
        let values = &histories[0].values;
        assert_eq!((values.len(), values.front(), values.back()), (VALUES_MAX, Some(&880.0), Some(&999.0)));
    }

    #[test]
    fn numbers_of_several_cameras_have_their_names() {
        let history = |topic: &str| History { topic: topic.to_owned(), values: [1.0].into() };
        let of = |cameras: &[(&'static str, &[&str])]| -> Vec<String> {
            let cameras =
                cameras.iter().map(|(name, topics)| (*name, topics.iter().map(|topic| history(topic)).collect()));
            listed(cameras).into_iter().map(|history| history.topic).collect()
        };
        assert_eq!(of(&[("front", &["count", "door"])]), ["count", "door"]);
        assert_eq!(of(&[("front", &["count"]), ("back", &[]), ("side", &["count"])]), ["front: count", "side: count"]);
        assert_eq!(of(&[("front", &["count"]), ("back", &[])]), ["count"], "no other camera sends numbers");
    }

    #[test]
    fn numbers_are_short_and_curves_begin_at_zero_or_at_the_smallest_number() {
        let shorts = [2.5, -3.0, 0.1 + 0.2, 1e300, -1.0 / 3.0].map(short);
        assert_eq!(shorts, ["2.5", "-3", "3.0000e-1", "1.0000e300", "-3.3333e-1"]);
        assert_eq!(curve(&[2.0, 4.0].into()), [2.0, 4.0]);
        assert_eq!(curve(&[-2.0, 4.0].into()), [0.0, 6.0]);
    }

    /// Draws a tile of this size at (10, 10). Returns the pixels of the curve, and whether any is outside of the tile.
    fn drawn(width: i32, height: i32, histories: &[History]) -> (usize, bool) {
        let (mut words, mut text, design) = (vec![0; 400 * 300], Text::new(), Design::default());
        let mut pen = Pen { canvas: Canvas::new(&mut words, 400, 300), text: &mut text, design };
        draw_tile(&mut pen, Rect::new(10, 10, width, height), "door", histories);
        let inside = |at: usize| {
            let (x, y) = ((at % 400) as i32, (at / 400) as i32);
            (10..10 + width).contains(&x) && (10..10 + height).contains(&y)
        };
        let curve = words.iter().filter(|word| **word == design.ink(Ink::Good)).count();
        (curve, words.iter().enumerate().any(|(at, word)| *word != 0 && !inside(at)))
    }

    #[test]
    fn a_tile_has_a_curve_for_each_topic_that_fits() {
        let history = |topic: &str| History { topic: topic.to_owned(), values: [1.0, 3.0, 2.0].into() };
        let one = drawn(300, 250, &[history("a")]);
        let two = drawn(300, 250, &[history("a"), history("b")]);
        let many: Vec<History> = (0..16).map(|topic| history(&topic.to_string())).collect();
        assert!(one.0 > 250 && two.0 == 2 * one.0, "{one:?} {two:?}");
        assert!(!one.1 && !drawn(300, 250, &many).1 && !drawn(20, 15, &many).1 && !drawn(60, 40, &many).1);
        let alone = History { topic: "a".to_owned(), values: [5.0].into() };
        assert_eq!(drawn(300, 250, &[alone]).0, 0, "one number is not a curve");
    }
}
