//! Draws the playback position of a recording as a bar at the lower edge of the window.

use super::design::Ink;
use super::pen::Pen;
use crate::overlay::Rect;
use crate::recording::playback::{PlaybackStatus, Speed};

/// Returns the texts to the left and to the right of the bar.
fn words(status: &PlaybackStatus) -> (String, String) {
    let PlaybackStatus { position_ns, span_ns, speed, paused, looped, ended } = *status;
    let seconds = |ns: i64| ns.max(0) / 1_000_000_000;
    let time = |ns: i64| format!("{}:{:02}.{}", seconds(ns) / 60, seconds(ns) % 60, ns.max(0) / 100_000_000 % 10);
    let left = match (position_ns, span_ns) {
        (Some(at), Some((first, last))) => {
            let day = at.div_euclid(1_000_000_000).rem_euclid(86_400);
            let (hour, minute, second) = (day / 3600, day / 60 % 60, day % 60);
            let (gone, all) = (time(at.saturating_sub(first)), time(last.saturating_sub(first)));
            format!("{hour:02}:{minute:02}:{second:02} UTC  {gone} / {all}")
        }
        _ => "no frame yet".to_owned(),
    };
    let mut right = match speed {
        Speed::Max => "max".to_owned(),
        Speed::Times(_) => format!("{speed}x"),
    };
    for (is, word) in [(looped, " loop"), (ended, " end"), (paused, " paused")] {
        if is {
            right.push_str(word);
        }
    }
    (left, right)
}

/// Returns the position as a share of the recording, 0 to 1.
fn share(status: &PlaybackStatus) -> f64 {
    let (Some(at), Some((first, last))) = (status.position_ns, status.span_ns) else { return 0.0 };
    let (gone, all) = (at.saturating_sub(first) as f64, last.saturating_sub(first) as f64);
    if all > 0.0 { (gone / all).clamp(0.0, 1.0) } else { 1.0 }
}

/// Draws the bar and its texts on a strip.
pub(super) fn draw(pen: &mut Pen<'_>, strip: Rect, status: &PlaybackStatus) {
    let (before, after) = words(status);
    let space = pen.design.space();
    let mut inside = pen.part(strip);
    inside.ground(strip);
    let y = strip.y + space;
    let left = strip.x + 2 * space + inside.write(strip.x + 2 * space, y, Ink::Text, &before) + 2 * space;
    let right = strip.right() - 2 * space - inside.width(&after);
    let ink = if status.paused || status.ended { Ink::Warning } else { Ink::Good };
    inside.write(right, y, ink, &after);
    let width = right - 2 * space - left;
    if width > 5 * space {
        let bar = Rect::new(left, strip.y + (strip.height - space) / 2, width, space);
        inside.fill(bar, Ink::Dim);
        let gone = (f64::from(width) * share(status)).round() as i32;
        inside.fill(Rect::new(bar.x, bar.y, gone, bar.height), ink);
        inside.fill(Rect::new(bar.x + gone - space / 2, bar.y - space, space, bar.height + 2 * space), Ink::Text);
    }
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
        }
    }

    #[test]
    fn texts_show_time_position_and_speed() {
        assert_eq!(words(&status()), ("08:13:18 UTC  1:15.2 / 5:01.0".to_owned(), "0.5x".to_owned()));
        assert!((share(&status()) - 0.25).abs() < 1e-9);
        let held = PlaybackStatus { speed: Speed::Max, paused: true, looped: true, ended: true, ..status() };
        assert_eq!(words(&held).1, "max loop end paused");
        let empty = PlaybackStatus { position_ns: None, span_ns: None, ..status() };
        assert_eq!((words(&empty).0.as_str(), share(&empty)), ("no frame yet", 0.0));
        let single = PlaybackStatus { span_ns: status().position_ns.map(|at| (at, at)), ..status() };
        assert!((share(&single) - 1.0).abs() < 1e-9, "a single frame is the end");
    }
}
