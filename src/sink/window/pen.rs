//! Draws text and panels in the window's design.

use super::design::{ColoredText, Design, Ink};
use crate::overlay::{Canvas, Rect, Text};

/// A canvas with the font and the sizes and colors to draw with.
pub(super) struct Pen<'a> {
    pub(super) canvas: Canvas<'a>,
    pub(super) text: &'a mut Text,
    pub(super) design: Design,
}

impl Pen<'_> {
    /// Returns a pen for the same canvas that draws only within `area`.
    pub(super) fn part(&mut self, area: Rect) -> Pen<'_> {
        Pen { canvas: self.canvas.part(area), text: self.text, design: self.design }
    }

    /// Returns the width of text in pixels.
    pub(super) fn width(&mut self, text: &str) -> i32 {
        self.text.width(self.design.text(), text)
    }

    /// Returns the width of one character in pixels.
    pub(super) fn advance(&mut self) -> i32 {
        self.text.advance(self.design.text()).max(1)
    }

    /// Writes text with its top left corner at (`x`, `y`), and returns its width.
    pub(super) fn write(&mut self, x: i32, y: i32, ink: Ink, text: &str) -> i32 {
        self.text.write(&mut self.canvas, x, y, self.design.text(), self.design.ink(ink), text)
    }

    /// Writes a heading, and returns its width.
    pub(super) fn heading(&mut self, x: i32, y: i32, ink: Ink, text: &str) -> i32 {
        self.text.write(&mut self.canvas, x, y, self.design.heading(), self.design.ink(ink), text)
    }

    /// Writes as many pieces of text as fit up to `right`.
    pub(super) fn pieces(&mut self, mut x: i32, y: i32, right: i32, pieces: &[ColoredText]) {
        for (ink, piece) in pieces {
            if x + self.width(piece) > right {
                break;
            }
            x += self.write(x, y, *ink, piece);
        }
    }

    /// Fills a rectangle with a color of the design.
    pub(super) fn fill(&mut self, rect: Rect, ink: Ink) {
        self.canvas.fill(rect, self.design.ink(ink));
    }

    /// Makes a rectangle a background for text.
    pub(super) fn ground(&mut self, rect: Rect) {
        self.canvas.shade(rect, self.design.palette.panel, self.design.palette.panel_alpha);
    }

    /// Returns width and height of a [`panel`](Self::panel).
    pub(super) fn panel_size(&mut self, lines: &[Vec<ColoredText>]) -> (i32, i32) {
        let widths: Vec<i32> = lines.iter().map(|line| line.iter().map(|(_, piece)| self.width(piece)).sum()).collect();
        let count = i32::try_from(lines.len()).unwrap_or(i32::MAX);
        let between = self.design.line() - self.design.text() as i32;
        let margin = 2 * self.design.space();
        let tall = count.saturating_mul(self.design.line()) - between + 2 * margin;
        (widths.into_iter().max().unwrap_or(0) + 2 * margin, tall)
    }

    /// Writes lines on a background with its top left corner at (`x`, `y`), and returns the covered area.
    pub(super) fn panel(&mut self, x: i32, y: i32, lines: &[Vec<ColoredText>]) -> Rect {
        let (width, height) = self.panel_size(lines);
        let rect = Rect::new(x, y, width, height);
        self.ground(rect);
        let (margin, line) = (2 * self.design.space(), self.design.line());
        let mut inside = self.part(rect);
        for (n, pieces) in (0..).zip(lines) {
            inside.pieces(x + margin, y + margin + n * line, rect.right(), pieces);
        }
        rect
    }
}

/// Number of characters of a line.
pub(super) fn chars(line: &[ColoredText]) -> usize {
    line.iter().map(|(_, piece)| piece.chars().count()).sum()
}

/// Returns a line of at most this many characters: without its dim pieces if necessary, and at last in several lines.
pub(super) fn fitted(mut line: Vec<ColoredText>, columns: usize) -> Vec<Vec<ColoredText>> {
    let columns = columns.max(1);
    if chars(&line) > columns && line.iter().any(|(ink, _)| *ink != Ink::Dim) {
        line.retain(|(ink, _)| *ink != Ink::Dim);
    }
    if chars(&line) <= columns {
        return vec![line];
    }
    let split = |(ink, piece): ColoredText| wrapped(&piece, columns).into_iter().map(move |part| vec![(ink, part)]);
    line.into_iter().flat_map(split).collect()
}

/// Cuts a piece of text to this number of characters, with an ellipsis as the last.
pub(super) fn shortened(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(columns.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Returns the first lines, with an ellipsis at their end if there are more.
pub(super) fn cut(mut lines: Vec<Vec<ColoredText>>, rows: usize) -> Vec<Vec<ColoredText>> {
    if lines.len() > rows {
        lines.truncate(rows);
        if let Some((_, text)) = lines.last_mut().and_then(|line| line.last_mut()) {
            // Instead of the last character, because the line may be full.
            text.pop();
            text.push('…');
        }
    }
    lines
}

/// Breaks a text between words, and inside of words that are longer than a line.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let line = lines.last_mut().expect("there is always a line");
            let used = line.chars().count();
            let space = usize::from(used > 0);
            if used + space + rest.len() <= columns {
                line.extend(std::iter::repeat_n(' ', space).chain(rest.drain(..)));
            } else if used > 0 {
                lines.push(String::new());
            } else {
                line.extend(rest.drain(..columns.max(1).min(rest.len())));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a incomprehensibilities b", 8), ["a", "incompre", "hensibil", "ities b"]);
        assert_eq!(wrapped("", 8), [""]);
    }

    #[test]
    fn long_texts_end_with_an_ellipsis() {
        assert_eq!([4, 3, 1].map(|columns| shortened("abcd", columns)), ["abcd", "ab…", "…"]);
        let lines = |text: &str| text.split(' ').map(|line| vec![(Ink::Text, line.to_owned())]).collect::<Vec<_>>();
        assert_eq!(cut(lines("ab cd ef"), 2), lines("ab c…"));
        assert_eq!(cut(lines("ab cd"), 2), lines("ab cd"));
    }

    #[test]
    fn a_panel_changes_exactly_the_area_it_returns() {
        let (mut words, mut text) = (vec![0xFF_FFFF; 200 * 90], Text::new());
        let mut pen = Pen { canvas: Canvas::new(&mut words, 200, 90), text: &mut text, design: Design::default() };
        let lines = ["fps 40", "lost 0"].map(|line| vec![(Ink::Good, line.to_owned())]);
        let covered = pen.panel(5, 6, &lines);
        assert_eq!((covered.width, covered.height), (6 * pen.advance() + 16, 16 + 20 + 16));
        for (at, word) in words.iter().enumerate() {
            let (x, y) = ((at % 200) as i32, (at / 200) as i32);
            let inside = (covered.x..covered.right()).contains(&x) && (covered.y..covered.bottom()).contains(&y);
            assert_eq!(*word == 0xFF_FFFF, !inside, "{x},{y}");
        }
    }
}
