//! The HUD: the state of a camera, written over its picture.

use super::design::{ColoredText, Ink};
use super::free::Free;
use super::pen::{Pen, shortened as cut_text, wrapped};
use super::status::{CameraStatus, line, rows, state_word};
use super::tile_message::Message;
use crate::overlay::Rect;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum HudLevel {
    Off,
    #[default]
    Line,
    Full,
}

impl HudLevel {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Off => Self::Line,
            Self::Line => Self::Full,
            Self::Full => Self::Off,
        }
    }
}

/// Draws the status line of a tile on a strip, without its last `reserved` pixels.
pub(super) fn draw_line(pen: &mut Pen<'_>, strip: Rect, status: &CameraStatus, reserved: i32) {
    let space = pen.design.space();
    let mut inside = pen.part(strip);
    inside.ground(strip);
    let (mut x, y, right) = (strip.x + 2 * space, strip.y + space, strip.right() - space - reserved);
    for (at, fact) in line(status).iter().enumerate() {
        let width: i32 = fact.iter().map(|(_, piece)| inside.width(piece)).sum();
        if x + width > right {
            // The name is always there, as far as it fits.
            if at == 0 {
                let columns = ((right - x) / inside.advance()).max(0) as usize;
                inside.pieces(x, y, right, &shortened(fact, columns));
            }
            break;
        }
        inside.pieces(x, y, right, fact);
        x += width;
    }
}

/// Most and fewest characters of a line of a tile's message.
const MESSAGE_CHARS_MAX: i32 = 64;
const MESSAGE_CHARS_MIN: i32 = 16;

/// Width of the caption column.
const CAPTION_CHARS: i32 = 9;

/// Draws the full HUD in the upper left corner of a tile, with the intervals of the last frames as a curve. Returns its
/// place. `None` if there is no room for it and for notices of this size to its right or below it.
pub(super) fn draw_full(pen: &mut Pen<'_>, tile: Rect, status: &CameraStatus, notices: (i32, i32)) -> Option<Rect> {
    let (line, space, advance) = (pen.design.line(), pen.design.space(), pen.advance());
    let margin = 2 * space;
    let rows = rows(status);
    let state = &state_word(status);
    let count = |text: &str| i32::try_from(text.chars().count()).unwrap_or(0);
    let wide = |pieces: &[(Ink, String)]| pieces.iter().map(|(_, piece)| count(piece)).sum::<i32>() + CAPTION_CHARS;
    let head = count(&status.name) + count(state) + 5;
    let columns = rows.iter().map(|(_, pieces)| wide(pieces)).max().unwrap_or(0).max(head);
    let intervals: Vec<f32> = status.stats.intervals_us().map(|us| us as f32 / 1000.0).collect();
    let curve = if intervals.len() < 2 { 0 } else { 2 * line };
    let caption = if intervals.len() < 2 { 0 } else { line };
    let lines = 1 + i32::try_from(rows.len()).unwrap_or(0);
    let panel = Rect::new(
        tile.x + margin,
        tile.y + margin,
        columns * advance + 2 * margin,
        lines * line + curve + caption + 2 * margin + 2 * space,
    );
    let is_beside = panel.right() + notices.0 <= tile.right();
    let high = if is_beside { 0 } else { notices.1 };
    if panel.right() > tile.right() || panel.bottom() + high > tile.bottom() {
        return None;
    }
    let mut inside = pen.part(panel);
    inside.ground(panel);
    let (left, mut y) = (panel.x + margin, panel.y + margin);
    let after = inside.write(left, y, status.ink(), "● ");
    inside.write(left + after, y, Ink::Text, &status.name);
    let x = panel.right() - margin - inside.width(state);
    inside.write(x, y, status.ink(), state);
    y += line + space;
    for (caption, pieces) in rows {
        inside.write(left, y, Ink::Dim, caption);
        inside.pieces(left + CAPTION_CHARS * advance, y, panel.right(), &pieces);
        y += line;
    }
    if curve > 0 {
        let (least, most) = intervals.iter().fold((f32::MAX, 0.0_f32), |(a, b), value| (a.min(*value), b.max(*value)));
        let between = format!("{least:.1} to {most:.1} ms");
        inside.write(left, y, Ink::Dim, "interval");
        inside.write(left + CAPTION_CHARS * advance, y, Ink::Text, &between);
        let area = Rect::new(left, y + line, panel.width - 2 * margin, curve);
        let color = inside.design.ink(Ink::Good);
        inside.canvas.sparkline(area, &intervals, color);
    }
    Some(panel)
}

/// Marks a picture whose frame proved to be damaged: with a border, and a word where the window is free.
pub(super) fn mark_damaged(pen: &mut Pen<'_>, covered: Rect, free: &mut Free) {
    let (line, color) = (2 * pen.design.strokes().line, pen.design.ink(Ink::Warning));
    let space = pen.design.space();
    pen.part(covered).canvas.outline(covered, line, color);
    for text in ["damaged frame", "damaged"] {
        let lines = [vec![(Ink::Warning, text.to_owned())]];
        let size = pen.panel_size(&lines);
        if let Some(rect) = free.place(size, covered, (covered.x + 2 * space, covered.y + 2 * space), space) {
            pen.panel(rect.x, rect.y, &lines);
            return;
        }
    }
}

/// Draws a message in the middle of a part of a tile, where the window is free: all of it if there is room, or else in short.
pub(super) fn draw_message(pen: &mut Pen<'_>, part: Rect, message: &Message, free: &mut Free) {
    let space = pen.design.space();
    let columns = ((part.width - 6 * space) / pen.advance()).clamp(1, MESSAGE_CHARS_MAX);
    let panel = |lines: Vec<String>| lines.into_iter().map(|line| vec![(Ink::Text, line)]).collect::<Vec<_>>();
    let all = |columns: i32| panel(message.lines.iter().flat_map(|line| wrapped(line, columns as usize)).collect());
    let narrower = [columns, columns / 2, columns / 3];
    let forms = narrower.into_iter().filter(|wide| *wide >= MESSAGE_CHARS_MIN).map(all);
    let [name, word] = &message.short;
    let name = cut_text(name, columns as usize);
    let short = [vec![name, word.clone()], vec![word.clone()]].into_iter().map(panel);
    for lines in forms.chain(short) {
        let (width, height) = pen.panel_size(&lines);
        let middle = (part.x + ((part.width - width) / 2).max(0), part.y + ((part.height - height) / 2).max(0));
        // With the mark of its state at the left edge.
        let Some(rect) = free.place((width + space, height), part, (middle.0 - space, middle.1), space) else {
            continue;
        };
        pen.fill(Rect { width: space, ..rect }, message.ink);
        pen.panel(rect.x + space, rect.y, &lines);
        return;
    }
}

/// Cuts pieces to this number of characters, with an ellipsis as the last.
fn shortened(pieces: &[ColoredText], columns: usize) -> Vec<ColoredText> {
    let mut left = columns.saturating_sub(1);
    let mut short: Vec<ColoredText> = Vec::new();
    for (ink, piece) in pieces {
        let part: String = piece.chars().take(left).collect();
        left -= part.chars().count();
        short.push((*ink, part));
    }
    short.push((Ink::Text, "…".to_owned()));
    short
}

#[cfg(test)]
mod tests {
    use super::super::design::Design;
    use super::super::status::tests::status;
    use super::*;
    use crate::overlay::{Canvas, Text};

    /// Returns the columns in which a status line of this width has been written.
    fn written(width: i32, name: &str, reserved: i32) -> Vec<i32> {
        let mut status = status();
        status.name = name.to_owned();
        let (mut words, mut text, design) = (vec![0; 400 * 30], Text::new(), Design::default());
        let ground = design.palette.panel;
        let canvas = Canvas::new(&mut words, 400, 30);
        let mut pen = Pen { canvas, text: &mut text, design };
        pen.canvas.fill(Rect::new(0, 0, 400, 30), ground);
        draw_line(&mut pen, Rect::new(0, 0, width, 24), &status, reserved);
        (0..400).filter(|x| (0..30).any(|y| words[(y * 400 + x) as usize] != ground)).collect()
    }

    #[test]
    fn facts_that_do_not_fit_are_left_out_whole() {
        let advance = Text::new().advance(Design::default().text());
        let name_and_fps = 8 + (2 + 5 + 2 + 8) * advance;
        let last = |width: i32, name: &str| written(width, name, 0).into_iter().max().unwrap_or(0);
        assert_eq!(
            last(name_and_fps + 8, "front"),
            last(name_and_fps + 8 + 4 * advance, "front"),
            "`0.0 Mbit/s` is whole"
        );
        assert!(last(name_and_fps + 8, "front") > last(name_and_fps - advance, "front"), "`20.0 fps` is whole");
        assert!(last(90, "a name that is longer than its tile") > 60, "a name is cut, not left out");
    }

    /// The value of a pixel is written there.
    #[test]
    fn facts_leave_the_reserved_width_free() {
        let all = |reserved: i32| written(390, "front", reserved);
        assert!(all(0).into_iter().any(|x| x > 250));
        for reserved in [120, 140, 200] {
            assert!(all(reserved).into_iter().all(|x| x < 390 - reserved), "{reserved}");
            assert!(all(reserved).into_iter().any(|x| x > 40), "the name is there");
        }
    }

    #[test]
    fn texts_stay_inside_of_their_tile() {
        let mut status = status();
        status.name = "a name that is far too long for any tile of a window".to_owned();
        let (width, height) = (300, 200);
        for tile in [Rect::new(20, 30, 100, 60), Rect::new(20, 30, 1, 1), Rect::new(20, 30, 250, 150)] {
            let (mut words, mut text) = (vec![7; width * height], Text::new());
            let canvas = Canvas::new(&mut words, width, height);
            let mut pen = Pen { canvas, text: &mut text, design: Design::default() };
            draw_line(
                &mut pen,
                Rect { y: tile.bottom() - 24.min(tile.height), height: 24.min(tile.height), ..tile },
                &status,
                0,
            );
            draw_full(&mut pen, tile, &status, (0, 0));
            let mut free = Free::new(Rect::new(0, 0, 300, 200));
            let short = ["a camera", "no connection"].map(str::to_owned);
            let lines = vec!["the connection is lost and will not be restored".to_owned()];
            draw_message(&mut pen, tile, &Message { ink: Ink::Alarm, short, lines }, &mut free);
            for (at, word) in words.iter().enumerate() {
                let (x, y) = ((at % width) as i32, (at / width) as i32);
                let inside = (tile.x..tile.right()).contains(&x) && (tile.y..tile.bottom()).contains(&y);
                assert!(inside || *word == 7, "({x}, {y}) {tile:?}");
            }
            let changed = words.iter().filter(|word| **word != 7).count();
            assert!(changed > 0);
        }
    }
}
