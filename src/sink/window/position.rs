//! Draws the timeline of a recording as a bar at the lower edge of the window.

use super::axis::TimeAxis;
use super::design::Ink;
use super::marks::Marks;
use super::pen::Pen;
use crate::overlay::Rect;
use crate::recording::playback::{PlaybackStatus, Speed};

/// Formats a time since the start: minutes, seconds and tenths.
fn time(ns: i64) -> String {
    let ns = ns.max(0);
    let (minutes, seconds, tenths) = (ns / 60_000_000_000, ns / 1_000_000_000 % 60, ns / 100_000_000 % 10);
    match minutes / 60 {
        0 => format!("{minutes}:{seconds:02}.{tenths}"),
        hours => format!("{hours}:{:02}:{seconds:02}.{tenths}", minutes % 60),
    }
}

pub(super) fn speed_word(speed: Speed) -> String {
    match speed {
        Speed::Max => "max".to_owned(),
        Speed::Times(_) => format!("{speed}x"),
    }
}

/// Returns the texts to the left of the bar and to the right, from the longest to the shortest.
fn words(status: &PlaybackStatus) -> (Vec<String>, Vec<String>) {
    let PlaybackStatus { span_ns, speed, paused, looped, ended, together, .. } = *status;
    let left = match (status.time_ns(), span_ns) {
        (Some(at), Some((first, last))) => {
            let day = at.div_euclid(1_000_000_000).rem_euclid(86_400);
            let (hour, minute, second) = (day / 3600, day / 60 % 60, day % 60);
            let (gone, all) = (time(at.saturating_sub(first)), time(last.saturating_sub(first)));
            let of_all = format!("{gone} / {all}");
            let mut texts = vec![of_all.clone(), gone, String::new()];
            if !together {
                texts.insert(0, format!("{hour:02}:{minute:02}:{second:02} UTC  {of_all}"));
            }
            texts
        }
        _ => vec!["no frame yet".to_owned(), String::new()],
    };
    let states: Vec<&str> = [(looped, "loop"), (ended, "end"), (paused, "paused")]
        .into_iter()
        .filter_map(|(is, word)| is.then_some(word))
        .collect();
    let speed = speed_word(speed);
    let all = std::iter::once(&*speed).chain(states.iter().copied()).collect::<Vec<_>>().join(" ");
    // The state rather than the speed.
    let short = states.last().map_or(speed, |state| (*state).to_owned());
    (left, vec![all, states.join(" "), short, String::new()])
}

/// Returns the position as a share of the bar, 0 to 1.
fn share(status: &PlaybackStatus, axis: &TimeAxis) -> f64 {
    let (Some(at), Some((first, last))) = (status.time_ns(), status.span_ns) else { return 0.0 };
    if last > first { axis.share(at) } else { 1.0 }
}

/// The bar of a timeline, and the times on it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimelineBar {
    pub(super) rect: Rect,
    axis: TimeAxis,
    /// Columns of the window at which a trigger is marked.
    triggers: Vec<i32>,
}

impl TimelineBar {
    /// Returns the time at a column of the window, clamped to the recording.
    pub(super) fn time_at(&self, x: i32) -> i64 {
        self.axis.time_at(f64::from(x - self.rect.x) / f64::from((self.rect.width - 1).max(1)))
    }
}

/// Draws the timeline on a strip: position, speed, gaps and detections. Returns its bar.
pub(super) fn draw(pen: &mut Pen<'_>, strip: Rect, status: &PlaybackStatus, marks: &Marks) -> Option<TimelineBar> {
    let (before, after) = words(status);
    let (space, thin) = (pen.design.space(), pen.design.thin());
    let mut inside = pen.part(strip);
    inside.ground(strip);
    let y = strip.y + space;
    let half = (strip.width - 6 * space) / 2;
    let after = after.into_iter().find(|text| inside.width(text) <= half).unwrap_or_default();
    let mut right = strip.right() - 2 * space - inside.width(&after);
    // The bar keeps two fifths of the width, and the shortest text is empty.
    let room = right - strip.x - 6 * space - strip.width * 2 / 5;
    let before = before.into_iter().find(|text| text.is_empty() || inside.width(text) <= room).unwrap_or_default();
    let left = strip.x + 2 * space + inside.write(strip.x + 2 * space, y, Ink::Text, &before);
    let left = if before.is_empty() { left } else { left + 2 * space };
    let ink = if status.paused || status.ended { Ink::Warning } else { Ink::Good };
    inside.write(right, y, ink, &after);
    if let Marks::Unknown(why) = marks {
        let wide = inside.width(why);
        if right - 4 * space - wide > left + 20 * space {
            right -= wide + 2 * space;
            inside.write(right, y, Ink::Dim, why);
        }
    }
    let width = right - 2 * space - left;
    let span = status.span_ns.filter(|_| width > 5 * space)?;
    let bar = Rect::new(left, strip.y + (strip.height - space) / 2, width, space);
    inside.fill(bar, Ink::Dim);
    let axis = marks.axis(span);
    let gone = (f64::from(width) * share(status, &axis)).round() as i32;
    inside.fill(Rect { width: gone, ..bar }, ink);
    let columns = marks.columns(usize::try_from(width).unwrap_or(0), &axis);
    let most = columns.iter().map(|column| column.boxes).fold(1.0, f64::max);
    for (x, column) in (bar.x..).zip(&columns) {
        if column.boxes > 0.0 {
            // Above the bar: the more boxes the higher, at least one line.
            let tall = (column.boxes * f64::from(2 * space) / most).round() as i32;
            inside.fill(Rect::new(x, bar.y - thin - tall.max(thin), 1, tall.max(thin)), Ink::Text);
        }
        if column.gap {
            // The bar is interrupted, and a mark hangs below it.
            let ground = inside.design.palette.panel;
            inside.canvas.fill(Rect::new(x, bar.y, 1, bar.height), ground);
            inside.fill(Rect::new(x, bar.bottom() + thin, 1, space), Ink::Alarm);
        }
    }
    let fired: Vec<i32> = (bar.x..).zip(&columns).filter(|(_, column)| column.trigger).map(|(x, _)| x).collect();
    for x in &fired {
        // A triangle below the bar that points at it.
        for row in 0..space {
            inside.fill(Rect::new(x - row, bar.bottom() + thin + row, 2 * row + 1, 1), Ink::Warning);
        }
    }
    inside.fill(Rect::new(bar.x + gone - space / 2, bar.y - space, space, bar.height + 2 * space), Ink::Text);
    Some(TimelineBar { rect: bar, axis, triggers: fired })
}

/// Draws the time at the pointer above the strip if the pointer is on the timeline.
pub(super) fn draw_time(pen: &mut Pen<'_>, bar: &TimelineBar, strip: Rect, pointer: Option<(i32, i32)>) {
    let Some((x, _)) = pointer.filter(|at| is_on(bar, strip, *at)) else { return };
    let (space, thin) = (pen.design.space(), pen.design.thin());
    pen.part(strip).fill(Rect::new(x, strip.y, thin, strip.height), Ink::Text);
    let mut line = vec![(Ink::Text, time(bar.time_at(x).saturating_sub(bar.axis.time_at(0.0))))];
    if bar.triggers.iter().any(|at| at.abs_diff(x) <= space.unsigned_abs()) {
        line.push((Ink::Warning, "  trigger".to_owned()));
    }
    let lines = [line];
    let (wide, tall) = pen.panel_size(&lines);
    let at = ((x - wide / 2).clamp(0, (strip.right() - wide).max(0)), strip.y - tall);
    // Opaque, because it is over other texts.
    let ground = pen.design.palette.panel;
    pen.canvas.fill(Rect::new(at.0, at.1, wide, tall), ground);
    pen.panel(at.0, at.1, &lines);
}

/// Returns whether a point is on the timeline, with some tolerance.
pub(super) fn is_on(bar: &TimelineBar, strip: Rect, (x, y): (i32, i32)) -> bool {
    (bar.rect.x..bar.rect.right()).contains(&x) && (strip.y..strip.bottom()).contains(&y)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> PlaybackStatus {
        let first = 1_795_248_723_500_000_000; // 08:12:03.5
        PlaybackStatus {
            position_ns: Some(first + 75_250_000_000),
            span_ns: Some((first, first + 301_000_000_000)),
            speed: Speed::Times(0.5),
            paused: false,
            looped: false,
            ended: false,
            together: false,
        }
    }

    #[test]
    fn texts_show_time_position_and_speed() {
        let (left, right) = words(&status());
        assert_eq!(left, ["08:13:18 UTC  1:15.2 / 5:01.0", "1:15.2 / 5:01.0", "1:15.2", ""]);
        assert_eq!(right[0], "0.5x");
        let even =
            |status: &PlaybackStatus| share(status, &TimeAxis::new(status.span_ns.unwrap_or_default(), Vec::new()));
        assert!((even(&status()) - 0.25).abs() < 1e-9);
        let held = PlaybackStatus { speed: Speed::Max, paused: true, looped: true, ended: true, ..status() };
        assert_eq!(words(&held).1, ["max loop end paused", "loop end paused", "paused", ""]);
        // The last frame is before the end of the recording.
        assert_eq!((words(&held).0[1].as_str(), even(&held)), ("5:01.0 / 5:01.0", 1.0), "full at the end");
        let empty = PlaybackStatus { position_ns: None, span_ns: None, ..status() };
        assert_eq!((words(&empty).0[0].as_str(), even(&empty)), ("no frame yet", 0.0));
        let single = PlaybackStatus { span_ns: status().position_ns.map(|at| (at, at)), ..status() };
        assert!((even(&single) - 1.0).abs() < 1e-9, "a single frame is the end");
    }

    #[test]
    fn the_bar_keeps_its_room_in_narrow_windows() {
        use crate::overlay::{Canvas, Text};
        let held = PlaybackStatus { paused: true, ended: true, ..status() };
        for (width, scale) in [
            (1000, 1.0),
            (640, 1.0),
            (640, 2.0),
            (480, 1.0),
            (320, 1.0),
            (320, 1.5),
            (240, 1.0),
            (160, 1.0),
            (100, 1.0),
        ] {
            for status in [&status(), &held] {
                let (mut words, mut text) = (vec![0; width * 60], Text::new());
                let design = super::super::design::Design::default().scaled(scale);
                let mut pen = Pen { canvas: Canvas::new(&mut words, width, 60), text: &mut text, design };
                let strip = Rect::new(0, 0, width as i32, design.strip());
                let bar = draw(&mut pen, strip, status, &Marks::None).expect("a bar").rect;
                assert!(bar.width * 4 >= strip.width, "{bar:?} of {width} at {scale}");
            }
        }
    }

    #[test]
    fn the_bar_shows_position_gaps_and_detections() {
        use crate::overlay::{Canvas, Text};
        use crate::recording::inspect::{Timeline, TimelineStep};
        let frame = TimelineStep { frames: 1, detections: 1, missing: 0, triggers: 0, longest_ns: 1 };
        let (first, last) = status().span_ns.expect("a span");
        let mut steps = vec![frame; 301];
        steps[150..200].fill(TimelineStep::default());
        steps[250].triggers = 1;
        let step_ns = 1_000_000_000;
        let marks = Marks::Known(vec![vec![Timeline { from_unix_ns: first, step_ns, steps }]]);
        let (mut words, mut text) = (vec![0; 900 * 60], Text::new());
        let design = super::super::design::Design::default();
        let (good, alarm, panel) = (design.ink(Ink::Good), design.ink(Ink::Alarm), design.palette.panel);
        let warning = design.ink(Ink::Warning);
        let mut pen = Pen { canvas: Canvas::new(&mut words, 900, 60), text: &mut text, design };
        let strip = Rect::new(0, 36, 900, 24);
        let bar = draw(&mut pen, strip, &status(), &marks).expect("a bar");
        draw_time(&mut pen, &bar, strip, Some((600, 40)));
        let row = |y: i32| words[y as usize * 900..][..900].to_vec();
        let columns = |y: i32, color: u32| (0..900).filter(|x| row(y)[*x as usize] == color).collect::<Vec<i32>>();
        let on_bar = columns(bar.rect.y, good);
        // The handle covers the last two.
        let gone = on_bar.len() as i32 + 2;
        assert!(on_bar[0] == bar.rect.x && (gone - bar.rect.width / 4).abs() <= 1, "{gone} of {}", bar.rect.width);
        let gap = columns(bar.rect.bottom() + 1, alarm);
        let share = |x: i32| f64::from(x - bar.rect.x) / f64::from(bar.rect.width);
        assert!((share(gap[0]) - 0.498).abs() < 0.01 && (share(*gap.last().expect("a gap")) - 0.664).abs() < 0.01);
        assert!(gap.iter().all(|x| row(bar.rect.y)[*x as usize] == panel), "the bar is interrupted");
        let flag = columns(bar.rect.bottom() + 1, warning);
        assert!(flag.len() == 1 && (share(flag[0]) - 0.83).abs() < 0.01, "{flag:?}");
        assert_eq!(columns(bar.rect.bottom() + 4, warning).len(), 7, "a triangle");
        assert_eq!(bar.time_at(bar.rect.x), first);
        assert_eq!(bar.time_at(10_000), last);
        assert!(is_on(&bar, strip, (600, 40)) && !is_on(&bar, strip, (600, 30)));
    }
}
