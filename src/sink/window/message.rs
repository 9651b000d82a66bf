//! The message of the window: a question, the text that is typed, a note, or the hint at the help.

use super::design::{ColoredText, Ink};
use super::free::Free;
use super::pen::{Pen, cut, wrapped};
use super::screen::Screen;
use crate::overlay::Rect;

/// Most characters of a line of a message.
const COLUMNS_MAX: i32 = 90;

/// Fewest characters of a line, unless the window is narrower.
const COLUMNS_MIN: i32 = 12;

/// Opacity below the ground of a panel.
const GROUND_ALPHA: u8 = 190;

/// A text for the user, with shorter forms for windows that have no room for it.
#[derive(Clone, Debug)]
pub(super) struct WindowMessage {
    /// From the longest to the shortest.
    forms: Vec<String>,
    /// It is shown in any window, if necessary over everything else. Others are left out.
    must_show: bool,
    /// The beginning of the text is a key.
    begins_with_key: bool,
}

/// A message in its place.
#[derive(Debug)]
pub(super) struct PlacedMessage {
    pub(super) rect: Rect,
    lines: Vec<Vec<ColoredText>>,
    /// It has no room of its own.
    pub(super) covers: bool,
}

impl Screen {
    /// Returns the message that is shown now: the most important one.
    pub(super) fn window_message(&self, has_room_for_hint: bool) -> Option<WindowMessage> {
        let must = |forms: Vec<String>| WindowMessage { forms, must_show: true, begins_with_key: false };
        if let Some(forms) = self.prompt() {
            return Some(must(forms));
        }
        if let Some((note, _)) = &self.note {
            return Some(must(vec![note.clone()]));
        }
        (self.hint_until_ns.is_some() && !self.help.is_open && has_room_for_hint).then(|| WindowMessage {
            forms: ["?  shows what the keys do", "?  help"].map(str::to_owned).into(),
            must_show: false,
            begins_with_key: true,
        })
    }

    /// Returns the question or the input that waits for the user, from the longest form to the shortest.
    pub(super) fn prompt(&self) -> Option<Vec<String>> {
        if self.interaction.asks_to_quit {
            let forms = [
                "stop the recording and quit? y or q: yes; any other key: no",
                "stop recording and quit? y: yes, n: no",
                "quit? y/n",
            ];
            return Some(forms.map(str::to_owned).into());
        }
        let search = self.interaction.search.as_ref()?;
        let (what, found) = self.found_names(search);
        let names = &found[..found.len().min(5)];
        let more = if found.len() > names.len() { " ..." } else { "" };
        let first = match (&*found, search.is_empty()) {
            ([], _) => format!("{what}: {search}_ (no name contains this)"),
            (_, true) if self.finds_classes() => "class: _ (type a part of its name; Enter: all)".to_owned(),
            (_, true) => "camera: _ (type a part of its name)".to_owned(),
            _ => format!("{what}: {search}_ (Enter: {}{more})", names.join(", ")),
        };
        let tail: String = search.chars().skip(search.chars().count().saturating_sub(6)).collect();
        Some(vec![first, format!("{what}: {search}_"), format!("{search}_"), format!("{tail}_")])
    }
}

impl WindowMessage {
    /// Finds the place of the message: in the middle of the area, with its upper or lower edge at this row.
    pub(super) fn placed(
        &self,
        pen: &mut Pen<'_>,
        free: &mut Free,
        area: Rect,
        (row, is_top): (i32, bool),
    ) -> Option<PlacedMessage> {
        let (space, advance) = (pen.design.space(), pen.advance());
        let columns = ((area.width - 6 * space) / advance).clamp(1, COLUMNS_MAX);
        let lines = |text: &str, columns: i32| -> Vec<Vec<ColoredText>> {
            let wrapped = wrapped(text, usize::try_from(columns).unwrap_or(1));
            wrapped.into_iter().map(|line| vec![(Ink::Text, line)]).collect()
        };
        // Not broken inside of a word.
        let is_whole = |form: &str, columns: i32| {
            form.split_whitespace().all(|word| word.chars().count() <= usize::try_from(columns).unwrap_or(0))
        };
        let middle = |width: i32| area.x + ((area.width - width) / 2).max(0);
        for form in &self.forms {
            for columns in
                [columns, columns / 2, columns / 3].into_iter().filter(|wide| *wide >= COLUMNS_MIN.min(columns))
            {
                if self.forms.len() > 1 && !is_whole(form, columns) {
                    continue;
                }
                let lines = lines(form, columns);
                let (width, height) = pen.panel_size(&lines);
                let wanted = (middle(width), if is_top { row } else { row - height });
                if let Some(rect) = free.place((width, height), area, wanted, space) {
                    return Some(PlacedMessage { rect, lines: self.colored(lines), covers: false });
                }
            }
        }
        if !self.must_show {
            return None;
        }
        // Over everything else, and as much of it as there is room for.
        let rows = usize::try_from((area.height - 3 * space) / pen.design.line()).unwrap_or(0).max(1);
        let mut all = self.forms.iter().map(|form| lines(form, columns));
        let shown = all.clone().find(|lines| lines.len() <= rows).or_else(|| all.next_back()).unwrap_or_default();
        let shown = cut(shown, rows);
        let (width, height) = pen.panel_size(&shown);
        let rect = Rect::new(middle(width), area.y + (area.height - height).max(0), width, height);
        Some(PlacedMessage { rect, lines: shown, covers: true })
    }

    fn colored(&self, mut lines: Vec<Vec<ColoredText>>) -> Vec<Vec<ColoredText>> {
        if self.begins_with_key
            && let Some((_, text)) = lines
                .first_mut()
                .and_then(|line| line.first().cloned())
                .map(|(ink, text)| (ink, text.chars().skip(1).collect::<String>()))
        {
            lines[0] = vec![(Ink::Good, "?".to_owned()), (Ink::Text, text)];
        }
        lines
    }
}

impl PlacedMessage {
    pub(super) fn draw(&self, pen: &mut Pen<'_>) {
        let ground = pen.design.palette.panel;
        if self.covers {
            pen.canvas.fill(self.rect, ground);
        } else {
            // Labels of boxes behind the text would make it hard to read.
            pen.canvas.shade(self.rect, ground, GROUND_ALPHA);
        }
        pen.panel(self.rect.x, self.rect.y, &self.lines);
    }
}

#[cfg(test)]
mod tests {
    use super::super::design::Design;
    use super::super::free::overlap;
    use super::*;
    use crate::overlay::{Canvas, Text};

    const QUESTION: [&str; 3] = [
        "stop the recording and quit? y or q: yes; any other key: no",
        "stop recording and quit? y: yes, n: no",
        "quit? y/n",
    ];

    /// Places a message in a window of this size with a status line, and returns it.
    fn place(forms: &[&str], must_show: bool, (width, height): (i32, i32), scale: f32) -> Option<PlacedMessage> {
        let (mut words, mut text) = (vec![0; (width * height) as usize], Text::new());
        let design = Design::default().scaled(scale);
        let canvas = Canvas::new(&mut words, width as usize, height as usize);
        let mut pen = Pen { canvas, text: &mut text, design };
        let (area, strip) = (Rect::new(0, 0, width, height), design.strip());
        let mut free = Free::new(area);
        free.take(Rect::new(0, height - strip, width, strip));
        let forms = forms.iter().map(|form| (*form).to_owned()).collect();
        let message = WindowMessage { forms, must_show, begins_with_key: false };
        let low = height - strip - design.space();
        let placed = message.placed(&mut pen, &mut free, area, (low, false))?;
        assert!(placed.rect.x >= 0 && placed.rect.right() <= width, "{width}x{height}: {:?}", placed.rect);
        assert!(placed.rect.y >= 0 && placed.rect.bottom() <= height, "{width}x{height}: {:?}", placed.rect);
        let status = Rect::new(0, height - strip, width, strip);
        assert!(placed.covers || !overlap(placed.rect, status), "{width}x{height}: {:?}", placed.rect);
        Some(placed)
    }

    fn text(placed: &PlacedMessage) -> String {
        placed.lines.iter().map(|line| line[0].1.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_question_is_whole_in_any_window() {
        for size in [(100, 80), (160, 120), (200, 120), (320, 180), (120, 320), (640, 352), (1400, 900)] {
            for scale in [1.0, 2.0] {
                let placed = place(&QUESTION, true, size, scale).expect("a place");
                let found = text(&placed);
                // At 2x, 120 pixels have room for 4 characters.
                assert!(QUESTION.contains(&&*found) || (size.0 <= 120 && scale == 2.0), "{size:?} at {scale}: {found}");
            }
        }
        assert_eq!(text(&place(&QUESTION, true, (100, 80), 1.0).expect("a place")), "quit? y/n");
        assert_eq!(text(&place(&QUESTION, true, (640, 352), 1.0).expect("a place")), QUESTION[0]);
    }

    #[test]
    fn a_note_is_cut_and_a_hint_is_left_out_where_there_is_no_room() {
        let note =
            ["recording sim-1 to a folder with a long name: it is not streaming, and is recorded as soon as it does"];
        let placed = place(&note, true, (100, 80), 1.0).expect("a place");
        assert!(placed.covers && text(&placed).ends_with('…'), "{}", text(&placed));
        assert!(!place(&note, true, (640, 352), 1.0).expect("a place").covers);
        assert!(place(&note, false, (100, 80), 1.0).is_none());
    }
}
