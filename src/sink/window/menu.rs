//! The menu of the right button: the most common keys, and what they do.

use super::available::When;
use super::design::Ink;
use super::keys::Action;
use super::pen::{Pen, shortened};
use super::screen::Screen;
use crate::overlay::Rect;
use crate::sink::record::Recorders;
use crate::view::Zoom;

/// An action, its key and its description.
pub(super) type Entry = (Action, &'static str, &'static str);

impl Screen {
    /// Returns the entries of the menu: what can be done now.
    pub(super) fn menu_entries(&self) -> Vec<Entry> {
        let is_recording = self.recorders.as_ref().is_some_and(Recorders::is_on);
        let is_fit = self.tiles.iter().all(|tile| tile.zoom == Zoom::Fit);
        let has_ended = self.position.as_ref().is_some_and(|position| position.ended);
        let is_part = self.enlarged.is_some() || self.interaction.page.is_some();
        let available = self.available();
        let named = |action: Action, key: &'static str, is: bool, yes: &'static str, no: &'static str| {
            (action, key, if is { yes } else { no })
        };
        let all = [
            Some(named(
                Action::Pause,
                "Space",
                has_ended,
                "start again",
                if self.paused { "continue" } else { "pause" },
            )),
            Some((Action::Snapshot, "c", "save a snapshot")),
            available.records.then(|| named(Action::Record, "r", is_recording, "stop the recording", "record")),
            Some(named(Action::Fullscreen, "f", self.interaction.fullscreen, "back to a window", "fill the screen")),
            Some(named(Action::ToggleZoom, "z", is_fit, "original size", "fit the window")),
            (available.holds(When::SeveralCameras) && is_part).then_some((Action::ShowAll, "g", "show all cameras")),
            (available.holds(When::SeveralCameras) && !self.absent().is_empty()).then_some((
                Action::ShowAbsent,
                "o",
                "next not streaming",
            )),
            available.holds(When::Pages).then_some((Action::Page(1), "n", "next nine cameras")),
            Some(named(Action::Boxes, "b", self.boxes, "hide boxes", "show boxes")),
            Some(named(Action::Labels, "l", self.labels, "hide labels", "show labels")),
            Some(named(Action::Trails, "t", self.trails, "hide trails", "show trails")),
            Some(named(Action::Panel, "d", self.panel.is_open, "close the side panel", "side panel")),
            Some((Action::Hud, "i", "switch the HUD")),
            Some((Action::Help, "?", "all keys")),
            Some((Action::Quit, "q", "quit")),
        ];
        all.into_iter().flatten().collect()
    }
}

/// Characters of the column of keys.
const KEY_CHARS: usize = 7;

/// An open menu.
#[derive(Debug)]
pub(super) struct Menu {
    /// Where it was opened.
    from: (i32, i32),
    /// Places and actions of the entries, as they were drawn last.
    rows: Vec<(Rect, Action)>,
}

impl Menu {
    pub(super) const fn at(from: (i32, i32)) -> Self {
        Self { from, rows: Vec::new() }
    }

    /// Returns the action of the entry at a point.
    pub(super) fn action_at(&self, (x, y): (i32, i32)) -> Option<Action> {
        let on = |rect: &Rect| (rect.x..rect.right()).contains(&x) && (rect.y..rect.bottom()).contains(&y);
        self.rows.iter().find(|(rect, _)| on(rect)).map(|(_, action)| *action)
    }

    /// Draws the menu within the window, with the entry under the pointer marked.
    pub(super) fn draw(&mut self, pen: &mut Pen<'_>, entries: &[Entry], pointer: Option<(i32, i32)>) {
        let (window, space, line) = (pen.canvas.area(), pen.design.space(), pen.design.line());
        let entries = fitting(entries, usize::try_from((window.height - 4 * space) / line).unwrap_or(0));
        let columns = usize::try_from((window.width - 4 * space) / pen.advance()).unwrap_or(0);
        let longest = entries.iter().map(|(_, _, what)| what.chars().count()).max().unwrap_or(0);
        // Narrow windows have no room for the keys.
        let has_keys = KEY_CHARS + longest <= columns;
        let text = |(_, key, what): &Entry| match has_keys {
            true => vec![(Ink::Good, format!("{key:<KEY_CHARS$}")), (Ink::Text, (*what).to_owned())],
            false => vec![(Ink::Text, shortened(what, columns))],
        };
        let lines: Vec<_> = entries.iter().map(text).collect();
        let (width, height) = pen.panel_size(&lines);
        let inside = |from: i32, len: i32, room: i32| from.min(room - len).max(0);
        let (x, y) = (inside(self.from.0, width, window.width), inside(self.from.1, height, window.height));
        let place = Rect::new(x, y, width, height);
        let (ground, dim, thin) = (pen.design.palette.panel, pen.design.ink(Ink::Dim), pen.design.thin());
        pen.canvas.fill(place, ground);
        let row = |at: i32| Rect::new(x, y + 2 * space + at * line - space / 2, width, line);
        self.rows = (0..).zip(&entries).map(|(at, (action, ..))| (row(at), *action)).collect();
        let marked = pointer.and_then(|at| self.action_at(at));
        for (rect, action) in &self.rows {
            if Some(*action) == marked {
                pen.canvas.shade(*rect, dim, 90);
            }
        }
        for (n, pieces) in (0..).zip(&lines) {
            pen.pieces(x + 2 * space, y + 2 * space + n * line, place.right(), pieces);
        }
        pen.canvas.outline(place, thin, dim);
    }
}

/// Returns the first entries if not all have room, and always the help.
fn fitting(entries: &[Entry], room: usize) -> Vec<Entry> {
    if room >= entries.len() {
        return entries.to_vec();
    }
    let (help, others): (Vec<Entry>, Vec<Entry>) = entries.iter().partition(|(action, ..)| *action == Action::Help);
    others.into_iter().take(room.saturating_sub(help.len())).chain(help).collect()
}

#[cfg(test)]
mod tests {
    use super::super::design::Design;
    use super::*;
    use crate::overlay::{Canvas, Text};

    const ENTRIES: [Entry; 13] = [
        (Action::Pause, "Space", "pause"),
        (Action::Snapshot, "c", "save a snapshot"),
        (Action::Record, "r", "record"),
        (Action::Fullscreen, "f", "fill the screen"),
        (Action::ToggleZoom, "z", "original size"),
        (Action::ShowAll, "g", "show all cameras"),
        (Action::Boxes, "b", "hide boxes"),
        (Action::Labels, "l", "hide labels"),
        (Action::Trails, "t", "show trails"),
        (Action::Panel, "d", "side panel"),
        (Action::Hud, "i", "switch the HUD"),
        (Action::Help, "?", "all keys"),
        (Action::Quit, "q", "quit"),
    ];

    #[test]
    fn a_low_window_has_the_first_entries_and_the_help() {
        let (mut words, mut text) = (vec![0; 640 * 352], Text::new());
        let mut menu = Menu::at((600, 300));
        let canvas = Canvas::new(&mut words, 640, 352);
        menu.draw(&mut Pen { canvas, text: &mut text, design: Design::default().scaled(2.0) }, &ENTRIES, None);
        let last = menu.rows.last().expect("entries");
        assert!(menu.rows.len() < ENTRIES.len() && last.0.bottom() <= 352, "{:?}", menu.rows);
        assert_eq!((menu.rows[0].1, last.1), (Action::Pause, Action::Help));
    }

    #[test]
    fn a_narrow_window_has_the_entries_without_their_keys() {
        for (width, most) in [(260, 260), (150, 150), (100, 100)] {
            let (mut words, mut text) = (vec![0; width * 352], Text::new());
            let mut menu = Menu::at((90, 10));
            let canvas = Canvas::new(&mut words, width, 352);
            let mut pen = Pen { canvas, text: &mut text, design: Design::default() };
            menu.draw(&mut pen, &ENTRIES, None);
            let green = pen.design.ink(Ink::Good);
            let (first, _) = menu.rows[0];
            assert!(first.x >= 0 && first.right() <= most, "{first:?}");
            assert_eq!(words.contains(&green), width == 260, "{width}");
        }
    }

    #[test]
    fn every_entry_can_be_clicked_wherever_the_menu_is_opened() {
        for from in [(0, 0), (799, 599), (-5, 9000)] {
            let (mut words, mut text) = (vec![0; 800 * 600], Text::new());
            let mut menu = Menu::at(from);
            let canvas = Canvas::new(&mut words, 800, 600);
            menu.draw(&mut Pen { canvas, text: &mut text, design: Design::default() }, &ENTRIES, None);
            assert_eq!(menu.rows.len(), ENTRIES.len());
            for (rect, action) in &menu.rows {
                assert_eq!(menu.action_at((rect.x + 1, rect.y + rect.height / 2)), Some(*action));
                assert!(rect.x >= 0 && rect.right() <= 800 && rect.y >= 0 && rect.bottom() <= 600, "{rect:?}");
            }
            assert_eq!(menu.action_at((menu.rows[0].0.x - 1, menu.rows[0].0.y)), None);
        }
    }
}
