//! State that is named on the screen as long as it holds, whatever the HUD shows, and its place: where it covers the least.

use super::design::{ColoredText, Ink};
use super::free::Free;
use super::hud::HudLevel;
use super::pen::{Pen, chars, fitted};
use super::recording::{self, named};
use super::screen::Screen;
use crate::overlay::Rect;
use crate::sink::record::{RecorderState, Recorders, format_remaining};
use crate::view::Zoom;

/// Classes of `--only` that are named.
const ONLY_NAMES_MAX: usize = 3;

/// Formats seconds as `1:05` or `2:01:05`.
fn elapsed(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Characters between two notices on one line.
const GAP: &str = "   ";

/// The notices, and where they are drawn.
#[derive(Debug)]
pub(super) struct Notices {
    lines: Vec<Vec<ColoredText>>,
    place: Place,
    /// Width and height at its place, in pixels.
    size: (i32, i32),
    /// Width and height that they have, or would have, over the picture.
    over_picture: (i32, i32),
}

#[derive(Debug, PartialEq)]
enum Place {
    /// Above the pictures, which make room.
    Bar,
    /// At the right end of the status line.
    StatusLine,
    /// Over the picture, one panel for each.
    Corner,
}

impl Notices {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Height of the bar above the pictures.
    pub(super) fn bar_height(&self) -> i32 {
        if self.place == Place::Bar { self.size.1 } else { 0 }
    }

    /// Width that the status line leaves free.
    pub(super) fn status_width(&self) -> i32 {
        if self.place == Place::StatusLine { self.size.0 } else { 0 }
    }

    /// Returns the width and height that a full HUD leaves free, also while it has no room and they are in the status line.
    pub(super) fn beside_hud(&self) -> (i32, i32) {
        if self.place == Place::Bar { (0, 0) } else { self.over_picture }
    }

    /// Draws the notices within an area: those over the picture in its upper right corner or where it is free, the most
    /// important ones first. The status line ends at the column `right`.
    pub(super) fn draw(&self, pen: &mut Pen<'_>, area: Rect, free: &mut Free, right: i32) {
        let (space, line, strip) = (pen.design.space(), pen.design.line(), pen.design.strip());
        let advance = pen.advance();
        match self.place {
            Place::Bar => {
                let ground = pen.design.palette.panel;
                pen.canvas.fill(Rect { height: self.size.1, ..area }, ground);
                for (n, pieces) in (0..).zip(&self.lines) {
                    pen.pieces(area.x + 2 * space, area.y + space + n * line, area.right(), pieces);
                }
            }
            Place::StatusLine => {
                let line = self.lines.concat();
                // Two spaces after the facts of the camera.
                pen.pieces(right - self.size.0 + 2 * space, area.bottom() - strip + space, right, &line);
            }
            Place::Corner => {
                let edge = if area.width < NARROW_CHARS * advance { space } else { 2 * space };
                let mut y = edge;
                for line in &self.lines {
                    let lines = fitted(line.clone(), over_columns(area.width, space, advance));
                    let size = pen.panel_size(&lines);
                    if let Some(rect) = free.place(size, area, (area.width - size.0 - edge, y), space) {
                        pen.panel(rect.x, rect.y, &lines);
                        y = rect.bottom() + space;
                    }
                }
            }
        }
    }
}

/// Areas of fewer characters have smaller margins.
const NARROW_CHARS: i32 = 40;

/// Returns the characters of a notice over a picture of this width.
fn over_columns(width: i32, space: i32, advance: i32) -> usize {
    let margins = if width < NARROW_CHARS * advance { 6 } else { 8 };
    usize::try_from((width - margins * space) / advance).unwrap_or(0)
}

/// Puts notices next to each other on lines of at most this many characters.
fn packed(notices: Vec<Vec<ColoredText>>, columns: usize) -> Vec<Vec<ColoredText>> {
    let mut lines: Vec<Vec<ColoredText>> = Vec::new();
    for notice in notices.into_iter().flat_map(|notice| fitted(notice, columns)) {
        match lines.last_mut().filter(|line| chars(line) + GAP.len() + chars(&notice) <= columns) {
            Some(line) => line.extend(std::iter::once((Ink::Dim, GAP.to_owned())).chain(notice)),
            None => lines.push(notice),
        }
    }
    lines
}

impl Screen {
    /// Returns the notices for a window without its side panel, and their place. Several cameras with a HUD make room for
    /// them; one camera has them in its status line, if that has room.
    pub(super) fn placed_notices(&mut self, area: Rect) -> Notices {
        let advance = self.text.advance(self.design.text()).max(1);
        let (space, line, strip) = (self.design.space(), self.design.line(), self.design.strip());
        let columns = |pixels: i32| usize::try_from(pixels / advance).unwrap_or(0);
        let pixels = |count: usize| i32::try_from(count).unwrap_or(0);
        let notices = self.notices(columns(area.width - 8 * space));
        let wide = |line: &Vec<ColoredText>| pixels(chars(line)) * advance;
        if notices.is_empty() {
            return Notices { lines: notices, place: Place::Corner, size: (0, 0), over_picture: (0, 0) };
        }
        let panels: Vec<_> =
            notices.iter().map(|notice| fitted(notice.clone(), over_columns(area.width, space, advance))).collect();
        let width = panels.iter().flatten().map(wide).max().unwrap_or(0) + 6 * space;
        let height = panels.iter().map(|panel| pixels(panel.len()) * line + 5 * space).sum::<i32>() + space;
        let over_picture = (width, height);
        if self.makes_room() {
            let mut lines = packed(notices.clone(), columns(area.width - 4 * space));
            let height = |lines: usize| strip + (pixels(lines) - 1) * line;
            // The last ones are left out if they would take more than a third of the window.
            let rows = (1..=lines.len()).rev().find(|rows| 3 * height(*rows) <= area.height);
            if let Some(rows) = rows {
                lines.truncate(rows);
                return Notices { lines, place: Place::Bar, size: (area.width, height(rows)), over_picture };
            }
        } else if self.cameras.len() == 1 && self.line_height(area) > 0 {
            for columns in [columns(area.width / 2 - 4 * space), columns(area.width * 2 / 3 - 4 * space)] {
                if let [line] = &*packed(notices.clone(), columns) {
                    let size = (wide(line) + 4 * space, strip);
                    return Notices { lines: vec![line.clone()], place: Place::StatusLine, size, over_picture };
                }
            }
        }
        Notices { lines: notices, place: Place::Corner, size: over_picture, over_picture }
    }

    /// Returns whether pictures leave room for notices and the timeline: a grid is scaled anyway.
    pub(super) fn makes_room(&self) -> bool {
        self.cameras.len() > 1 && self.level != HudLevel::Off
    }

    /// Returns whether tiles have a status line.
    pub(super) fn has_status_line(&self) -> bool {
        self.level == HudLevel::Line || (self.level == HudLevel::Full && self.cramped)
    }

    /// Returns one line of about this many characters for each state: recording, paused, cameras that are not streaming, and
    /// detections that are not drawn.
    fn notices(&self, columns: usize) -> Vec<Vec<ColoredText>> {
        let mut lines = Vec::new();
        if let (Some(health), Some(since_ns)) = (&self.recording, self.recording_since_ns) {
            let seconds = self.now_ns.saturating_sub(since_ns) / 1_000_000_000;
            let recorded = self.recorders.as_ref().map(Recorders::recorded).unwrap_or_default();
            let sending = recorded.clone().filter(|at| self.tiles[*at].status.sends()).count();
            let ink = if sending > 0 { Ink::Alarm } else { Ink::Dim };
            let mut line = vec![(ink, "● ".to_owned()), (Ink::Text, format!("REC {}", elapsed(seconds)))];
            if (1..recorded.len()).contains(&sending) {
                line.push((Ink::Warning, format!("  {sending} of {} cameras", recorded.len())));
            } else if recorded.len() < self.camera_count() {
                let names = self.cameras.get(recorded).unwrap_or_default().iter().map(|camera| &*camera.name);
                line.push((Ink::Text, format!("  {}", named(names))));
            }
            let state = match health.total.state {
                RecorderState::Recording | RecorderState::Waiting if sending == 0 => {
                    Some((Ink::Warning, "  no frames".to_owned()))
                }
                RecorderState::Recording => {
                    health.seconds_left.map(|seconds| (Ink::Dim, format!("  {} left", format_remaining(seconds))))
                }
                RecorderState::Waiting => Some((Ink::Dim, "  waiting".to_owned())),
                RecorderState::Paused { .. } => Some((Ink::Alarm, "  interrupted".to_owned())),
                RecorderState::Finished => Some((Ink::Alarm, "  ended".to_owned())),
            };
            line.extend(state);
            lines.push(line);
            // The full HUD shows it.
            let error = recording::error(&health.total.state).filter(|_| self.level != HudLevel::Full);
            lines.extend(error.map(|error| vec![(Ink::Alarm, error)]));
        }
        lines.extend(self.absent_notice(columns));
        if self.makes_room() && self.enlarged.is_none() && self.interaction.page.is_some() {
            lines.push(vec![(Ink::Text, self.shown_cameras()), (Ink::Dim, "  n, u: other pages".to_owned())]);
        }
        if !self.playbacks.is_empty() && self.position.as_ref().is_some_and(|position| position.ended) {
            lines.push(vec![(Ink::Text, "end".to_owned()), (Ink::Dim, "  Space: start again".to_owned())]);
        } else if self.paused {
            let keys = if self.playbacks.is_empty() { "  . next picture" } else { "  , . other picture" };
            lines.push(vec![(Ink::Text, "paused".to_owned()), (Ink::Dim, keys.to_owned())]);
        }
        lines.extend(self.zoom().map(|text| vec![(Ink::Text, text)]));
        lines.extend(self.undrawn().map(|text| vec![(Ink::Warning, text)]));
        let no_room = match (self.cramped, self.panel.is_cramped()) {
            (true, true) => Some("no room for the full HUD and the side panel"),
            (true, false) => Some("no room for the full HUD"),
            (false, true) => Some("no room for the side panel"),
            (false, false) => None,
        };
        lines.extend(no_room.map(|text| vec![(Ink::Text, text.to_owned())]));
        lines
    }

    /// Returns how large the pixels of enlarged pictures are, and which pictures if not all are: 100 % is the original size.
    fn zoom(&self) -> Option<String> {
        let shown = self.tiles.iter().enumerate().filter(|(at, _)| self.is_shown(*at));
        let zoomed: Vec<(usize, f64)> = shown
            .filter_map(|(at, tile)| match tile.zoom {
                Zoom::Times { times, .. } => Some((at, (100.0 * times).round())),
                Zoom::Fit => None,
            })
            .collect();
        let percent = zoomed.iter().map(|(_, percent)| *percent);
        let (least, most) = percent.fold((f64::MAX, 0.0_f64), |(least, most), of| (least.min(of), most.max(of)));
        let which = if zoomed.len() == self.shown_count() {
            String::new()
        } else {
            format!(": {}", named(zoomed.iter().map(|(at, _)| &*self.cameras[*at].name)))
        };
        match () {
            () if zoomed.is_empty() => None,
            () if least == most => Some(format!("zoom {most} %{which}")),
            () => Some(format!("zoom {least} to {most} %{which}")),
        }
    }

    /// Returns which detections are not drawn.
    fn undrawn(&self) -> Option<String> {
        let mut words = Vec::new();
        if self.threshold > 0 {
            words.push(format!("confidence from {} %", self.threshold));
        }
        if let Some(class) = self.panel.class_name() {
            words.push(format!("only {class}"));
        } else if let given @ [_, ..] = &*self.views.style().only {
            let named = given.get(..ONLY_NAMES_MAX).unwrap_or(given).join(", ");
            let more = given.len().saturating_sub(ONLY_NAMES_MAX);
            words.push(if more > 0 { format!("only {named} and {more} more") } else { format!("only {named}") });
        }
        if !self.boxes {
            words.push("boxes hidden".to_owned());
        }
        if !self.labels {
            words.push("labels hidden".to_owned());
        }
        (!words.is_empty()).then(|| words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_has_hours_when_it_needs_them() {
        assert_eq!([0, 65, 3599, 7265].map(elapsed), ["0:00", "1:05", "59:59", "2:01:05"]);
    }
}
