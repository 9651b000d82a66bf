//! The help: what keys and the mouse do, in as many columns and pages as the window needs.

use super::available::{Available, When};
use super::design::{ColoredText, Ink};
use super::keys::Action;
use super::pen::{Pen, wrapped};
use crate::overlay::Rect;

/// Keys or gestures, what they do, and when.
type Entry = (&'static str, &'static str, When);

/// Entries that belong together, below their heading.
pub(super) const GROUPS: [(&str, &[Entry]); 5] = [
    (
        "Picture",
        &[
            ("Space  p", "pause, continue, restart", When::Replay),
            ("Space  p", "pause, continue", When::Live),
            (".", "pause, then next picture", When::Live),
            ("c", "snapshots of what is shown", When::Always),
            ("r", "record what is shown; stop", When::CanRecord),
            ("b", "boxes: show or hide", When::Always),
            ("l", "labels: show or hide", When::Always),
            ("t", "trails of tracked objects", When::Always),
            ("+  -", "confidence threshold", When::Always),
            ("/", "draw only one class", When::OneCamera),
            ("d", "side panel with classes", When::Always),
            ("i", "HUD: line, full, off", When::Always),
            ("z", "original size, or fit", When::Always),
        ],
    ),
    (
        "Cameras",
        &[
            ("1..9", "one camera (of the page)", When::SeveralCameras),
            ("Tab", "next one; Shift: previous", When::SeveralCameras),
            ("o", "next one not streaming", When::SeveralCameras),
            ("n  u", "next nine, previous nine", When::Pages),
            ("/", "find a name (panel: class)", When::SeveralCameras),
            ("g", "all cameras", When::SeveralCameras),
        ],
    ),
    (
        "Recordings",
        &[
            (",  .", "previous picture, next", When::Replay),
            ("Left  Right", "5 s back, 5 s forward", When::Replay),
            ("PgUp  PgDn", "a minute back, forward", When::Replay),
            ("Home  End", "to the start, to the end", When::Replay),
            ("[  ]", "slower, faster; Down, Up", When::Replay),
        ],
    ),
    (
        "Window",
        &[
            ("f  F11", "fill the screen", When::Always),
            ("Ctrl +  -  0", "size of text; 0: normal", When::Always),
            ("k", "dark text, or light text", When::Always),
            ("?  h  F1", "this help", When::Always),
            ("Esc", "close what is open; quit", When::Always),
            ("q", "quit", When::Always),
        ],
    ),
    (
        "Mouse",
        &[
            ("click", "enlarge a camera, or back", When::SeveralCameras),
            ("double click", "fill the screen", When::Always),
            ("wheel", "zoom at the pointer", When::Always),
            ("drag", "move the picture", When::Live),
            ("drag", "move the picture; seek", When::Replay),
            ("right click", "menu", When::Always),
        ],
    ),
];

/// Characters of the column of keys.
const KEY_CHARS: usize = 14;

/// Most and fewest characters of a description in one line beside its keys.
const WHAT_CHARS_MAX: usize = 26;
const WHAT_CHARS_MIN: usize = 16;

/// Windows of fewer lines have no heading.
const LOW_LINES: i32 = 12;

/// Characters between two columns.
const GAP_CHARS: usize = 3;

/// Most columns side by side.
const COLUMNS_MAX: usize = 3;

/// Opacity of the panel: text that is read through is hard to read.
const PANEL_ALPHA: u8 = 242;

/// A line of text.
type Line = Vec<ColoredText>;

/// The help and its page.
#[derive(Debug)]
pub(super) struct Help {
    pub(super) is_open: bool,
    page: usize,
    /// Pages when it was drawn last.
    pages: usize,
}

impl Help {
    pub(super) const fn closed() -> Self {
        Self { is_open: false, page: 0, pages: 1 }
    }

    /// Opens the first page, or closes the help.
    pub(super) fn toggle(&mut self) {
        *self = Self { is_open: !self.is_open, ..Self::closed() };
    }

    /// Turns pages, if there are several and the key is one of those that move in a recording. Returns whether it is.
    pub(super) fn take(&mut self, action: Action) -> bool {
        if !self.is_open || self.pages < 2 {
            return false;
        }
        match action {
            Action::Seek(by) => self.turn(isize::from(by).signum()),
            Action::Slower => self.turn(1),
            Action::Faster => self.turn(-1),
            Action::SeekStart => self.page = 0,
            Action::SeekEnd => self.page = self.pages - 1,
            _ => return false,
        }
        true
    }

    /// Shows a later or an earlier page.
    pub(super) fn turn(&mut self, by: isize) {
        self.page = self.page.saturating_add_signed(by).min(self.pages - 1);
    }

    /// Draws the page in the middle of the window, with the keys that do something there.
    pub(super) fn draw(&mut self, pen: &mut Pen<'_>, available: Available) {
        let window = pen.canvas.area();
        let (space, line, advance) = (pen.design.space(), pen.design.line(), pen.advance());
        // Low windows have more rows without the heading.
        let is_low = window.height < LOW_LINES * line;
        let (margin, head) = if is_low { (space, line) } else { (2 * space, line + 3 * space) };
        let count = |pixels: i32, unit: i32| usize::try_from(pixels / unit).unwrap_or(0).max(1);
        let chars = count(window.width - 2 * margin, advance);
        let rows = count(window.height - 2 * margin - head, line);
        let Layout { columns, width, used } = Layout::of(chars, rows, available);
        let side_by_side = used.min(columns.len());
        self.pages = columns.len().div_ceil(used);
        self.page = self.page.min(self.pages - 1);
        let shown = columns.chunks(used).nth(self.page).unwrap_or_default();
        let tall = columns.iter().map(Vec::len).max().unwrap_or(0);
        let pixels = |count: usize, unit: i32| i32::try_from(count).unwrap_or(0) * unit;
        let wide = pixels(side_by_side * (width + GAP_CHARS) - GAP_CHARS, advance) + 2 * margin;
        let high = pixels(tall, line) + head + 2 * margin;
        let middle = |side: i32, of: i32| ((of - side) / 2).max(0);
        let panel = Rect::new(middle(wide, window.width), middle(high, window.height), wide, high);
        let ground = pen.design.palette.panel;
        pen.canvas.shade(window, ground, 110);
        pen.canvas.shade(panel, ground, PANEL_ALPHA);
        let (thin, color) = (pen.design.thin(), pen.design.ink(Ink::Dim));
        pen.canvas.outline(panel, thin, color);
        let (left, top, right) = (panel.x + margin, panel.y + margin, panel.right() - margin);
        let (after, above) = if is_low {
            (left, 0)
        } else {
            (left + pen.heading(left, top, Ink::Text, "oaktap") + 2 * advance, space / 2)
        };
        if self.pages > 1 {
            let at = format!("{}/{}", self.page + 1, self.pages);
            let how = ["  PgDn or wheel: more, Esc: close", "  PgDn, wheel", "  PgDn", ""]
                .map(|how| (Ink::Dim, how.to_owned()));
            let fits = |how: &&ColoredText| after + pixels(at.len() + how.1.len(), advance) <= right;
            let how = how.iter().find(fits).cloned();
            pen.pieces(after, top + above, right, &[vec![(Ink::Text, at)], how.into_iter().collect()].concat());
        }
        for (at, lines) in shown.iter().enumerate() {
            let x = left + pixels(at * (width + GAP_CHARS), advance);
            for (row, pieces) in lines.iter().enumerate() {
                pen.pieces(x, top + head + pixels(row, line), window.right(), pieces);
            }
        }
    }
}

/// The help in columns.
struct Layout {
    columns: Vec<Vec<Line>>,
    /// Characters of a column.
    width: usize,
    /// Columns of a page.
    used: usize,
}

impl Layout {
    /// Arranges the help in a window of this many characters and rows: in one page if possible, with few columns.
    fn of(chars: usize, rows: usize, available: Available) -> Self {
        let narrow = KEY_CHARS + WHAT_CHARS_MAX;
        let most = ((chars + GAP_CHARS) / (narrow + GAP_CHARS)).clamp(1, COLUMNS_MAX);
        let width = narrow.min(chars);
        let groups = groups(width, available);
        let entries = groups.concat();
        let used = (1..most).find(|count| flow(&entries, rows).len() <= *count).unwrap_or(most);
        // Groups stay together if that does not need more pages.
        let pages = |columns: usize| columns.div_ceil(used);
        let whole: Vec<Vec<Line>> = groups.iter().map(|group| group.concat()).collect();
        let is_whole = whole.iter().all(|group| group.len() <= rows)
            && pages(flow(&whole, rows).len()) <= pages(flow(&entries, rows).len());
        let blocks = if is_whole { whole } else { entries };
        // Columns of about the same height.
        let least = blocks.iter().map(Vec::len).max().unwrap_or(0);
        let even = (least..rows).find(|rows| flow(&blocks, *rows).len() <= used);
        Self { columns: flow(&blocks, even.unwrap_or(rows)), width, used }
    }
}

/// Returns the groups of entries of this width, each entry as lines that stay together. Headings belong to the first.
fn groups(width: usize, available: Available) -> Vec<Vec<Vec<Line>>> {
    let mut groups = Vec::new();
    for (heading, entries) in GROUPS {
        let mut group = Vec::new();
        let mut block: Vec<Line> = vec![Vec::new(), vec![(Ink::Dim, heading.to_owned())]];
        for (keys, what, _) in entries.iter().filter(|(.., when)| available.holds(*when)) {
            if width >= KEY_CHARS + WHAT_CHARS_MIN {
                let mut keys = Some(*keys);
                block.extend(wrapped(what, width - KEY_CHARS).into_iter().map(|part| {
                    let keys = keys.take().unwrap_or_default();
                    vec![(Ink::Good, format!("{keys:<KEY_CHARS$}")), (Ink::Text, part)]
                }));
            } else {
                block.extend(wrapped(keys, width).into_iter().map(|part| vec![(Ink::Good, part)]));
                let parts = wrapped(what, width.saturating_sub(2));
                block.extend(parts.into_iter().map(|part| vec![(Ink::Text, format!("  {part}"))]));
            }
            group.push(std::mem::take(&mut block));
        }
        if !group.is_empty() {
            groups.push(group);
        }
    }
    groups
}

/// Breaks blocks into columns of at most this many rows, without an empty line at their tops.
fn flow(blocks: &[Vec<Line>], rows: usize) -> Vec<Vec<Line>> {
    let mut columns: Vec<Vec<Line>> = vec![Vec::new()];
    for block in blocks {
        let fits = columns.last().is_some_and(|column| column.len() + block.len() <= rows);
        if !fits {
            columns.push(Vec::new());
        }
        for line in block {
            if columns.last().is_some_and(|column| column.len() >= rows) {
                columns.push(Vec::new());
            }
            let column = columns.last_mut().expect("there is always a column");
            if !(column.is_empty() && line.is_empty()) {
                column.push(line.clone());
            }
        }
    }
    columns.retain(|column| !column.is_empty());
    columns
}

#[cfg(test)]
mod tests {
    use super::super::design::Design;
    use super::*;
    use crate::overlay::{Canvas, Text};

    const REPLAYS: Available = Available { cameras: 40, replay: true, records: true };

    /// The help and the README name the same keys.
    #[test]
    fn every_key_of_the_help_is_in_the_readme() {
        let readme = include_str!("../../../README.md");
        let rows: String = readme.lines().filter(|line| line.starts_with("| `")).collect();
        let keyboard = GROUPS.iter().filter(|(heading, _)| *heading != "Mouse");
        for key in keyboard.flat_map(|(_, entries)| entries.iter()).flat_map(|(keys, ..)| keys.split_whitespace()) {
            let named = match key {
                "Left" => "←",
                "Right" => "→",
                "1..9" => "1`..`9",
                key => key,
            };
            assert!(rows.contains(&format!("`{named}`")), "{named}");
        }
    }

    #[test]
    fn keys_that_do_nothing_are_left_out() {
        let named = |cameras, replay, records| {
            let layout = Layout::of(200, 90, Available { cameras, replay, records });
            let pieces = layout.columns.into_iter().flatten().flatten();
            pieces.map(|(_, piece)| piece.trim().to_owned()).collect::<Vec<_>>()
        };
        let has = |all: &[String], key: &str| all.iter().any(|piece| piece == key);
        let one = named(1, false, true);
        assert!(["Cameras", "Recordings", "g", "Tab", "click", ",  ."].iter().all(|key| !has(&one, key)), "{one:?}");
        assert!(["/", ".", "r", "draw only one class"].iter().all(|key| has(&one, key)), "{one:?}");
        let nine = named(9, false, false);
        assert!(has(&nine, "g") && !has(&nine, "n  u") && !has(&nine, "r"), "{nine:?}");
        let forty = named(40, true, true);
        assert!(["n  u", "o", ",  .", "Home  End"].iter().all(|key| has(&forty, key)), "{forty:?}");
    }

    #[test]
    fn each_entry_is_whole_on_one_page_or_on_several() {
        let all: Vec<String> = GROUPS
            .iter()
            .flat_map(|(_, entries)| entries.iter())
            .filter(|(.., when)| REPLAYS.holds(*when))
            .map(|(_, what, _)| squeezed(what))
            .collect();
        for (chars, rows) in [(200, 60), (89, 14), (40, 14), (40, 5), (22, 4), (12, 2), (1, 1)] {
            let layout = Layout::of(chars, rows, REPLAYS);
            let text = |line: &Line| line.iter().map(|(_, piece)| piece.as_str()).collect::<String>();
            for column in &layout.columns {
                assert!(column.len() <= rows, "{chars}x{rows}");
                assert!(chars < 4 || column.iter().all(|line| text(line).trim_end().chars().count() <= layout.width));
            }
            assert!(layout.used * (layout.width + GAP_CHARS) - GAP_CHARS <= chars, "{chars}x{rows}");
            let shown: String = layout.columns.iter().flatten().flatten().map(|(_, piece)| piece.as_str()).collect();
            let shown = squeezed(&shown);
            if chars >= KEY_CHARS + WHAT_CHARS_MAX {
                assert!(all.iter().all(|what| shown.contains(what)), "{shown}");
            }
            assert!(shown.contains("quit") || chars < 8);
        }
        assert_eq!(Layout::of(200, 60, REPLAYS).columns.len(), 1, "one column is enough");
        let two = Layout::of(180, 34, REPLAYS);
        let tops: Vec<_> = two.columns.iter().map(|column| column[0][0].1.as_str()).collect();
        assert_eq!(tops, ["Picture", "Recordings"], "groups stay together");
    }

    fn squeezed(text: &str) -> String {
        text.split_whitespace().collect()
    }

    #[test]
    fn pages_are_turned_by_the_keys_that_seek() {
        let mut help = Help::closed();
        help.toggle();
        assert!(!help.take(Action::Seek(60)), "one page");
        let (mut words, mut text) = (vec![0; 640 * 352], Text::new());
        let mut draw = |help: &mut Help| {
            let canvas = Canvas::new(&mut words, 640, 352);
            help.draw(&mut Pen { canvas, text: &mut text, design: Design::default().scaled(2.0) }, REPLAYS);
        };
        draw(&mut help);
        assert!(help.pages > 2, "{}", help.pages);
        assert!(help.take(Action::Seek(60)) && help.take(Action::Slower) && help.take(Action::Faster));
        assert_eq!(help.page, 1);
        assert!(help.take(Action::SeekEnd) && help.take(Action::Seek(5)));
        assert_eq!(help.page, help.pages - 1);
        assert!(!help.take(Action::Boxes), "other keys do what the help says");
        draw(&mut help);
        help.toggle();
        help.toggle();
        assert_eq!(help.page, 0, "from the start again");
    }
}
