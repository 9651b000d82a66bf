//! The HUD: the state of a camera, written over its picture.

use super::design::{ColoredText, Ink, SCALES, ink_of};
use super::keys::HELP;
use super::pen::{Pen, wrapped};
use super::status::{CameraStatus, line, rows, state_word};
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

/// Draws the status line at the lower edge of a tile.
pub(super) fn draw_line(pen: &mut Pen<'_>, tile: Rect, status: &CameraStatus) {
    let height = pen.design.strip();
    let strip = Rect::new(tile.x, tile.bottom() - height, tile.width, height);
    let space = pen.design.space();
    let mut inside = pen.part(tile);
    let mut inside = inside.part(strip);
    inside.ground(strip);
    inside.pieces(strip.x + 2 * space, strip.y + space, strip.right() - space, &line(status));
}

/// Width of the caption column.
const CAPTION_CHARS: i32 = 9;

/// Draws the full HUD in the upper left corner of a tile, with the intervals of the last frames as a curve. Draws the status
/// line if there is no room for it.
pub(super) fn draw_full(pen: &mut Pen<'_>, tile: Rect, status: &CameraStatus) {
    let (line, space, advance) = (pen.design.line(), pen.design.space(), pen.advance());
    let margin = 2 * space;
    let rows = rows(status);
    let state = state_word(&status.state);
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
    if panel.right() > tile.right() || panel.bottom() > tile.bottom() {
        return draw_line(pen, tile, status);
    }
    let mut inside = pen.part(panel);
    inside.ground(panel);
    let (left, mut y) = (panel.x + margin, panel.y + margin);
    let after = inside.write(left, y, ink_of(&status.state), "● ");
    inside.write(left + after, y, Ink::Text, &status.name);
    let x = panel.right() - margin - inside.width(state);
    inside.write(x, y, ink_of(&status.state), state);
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
}

/// Marks a picture whose frame proved to be damaged: with a border and a word.
pub(super) fn mark_damaged(pen: &mut Pen<'_>, covered: Rect) {
    let (line, color) = (2 * pen.design.strokes().line, pen.design.ink(Ink::Warning));
    let mut inside = pen.part(covered);
    inside.canvas.outline(covered, line, color);
    let space = inside.design.space();
    inside.panel(covered.x + 2 * space, covered.y + 2 * space, &[vec![(Ink::Warning, "damaged frame".to_owned())]]);
}

/// Draws a message in the middle of a tile. Returns its panel.
pub(super) fn draw_message(pen: &mut Pen<'_>, tile: Rect, (ink, lines): (Ink, &[String])) -> Rect {
    let columns = ((tile.width - 10 * pen.design.space()) / pen.advance()).clamp(16, 64);
    let lines = lines.iter().flat_map(|line| wrapped(line, columns as usize));
    let lines: Vec<_> = lines.map(|line| vec![(Ink::Text, line)]).collect();
    let (width, height) = pen.panel_size(&lines);
    let (x, y) = (tile.x + (tile.width - width) / 2, tile.y + (tile.height - height) / 2);
    let space = pen.design.space();
    let mut inside = pen.part(tile);
    inside.fill(Rect::new(x - space, y, space, height), ink);
    inside.panel(x, y, &lines)
}

/// Draws the help in the middle of the window.
pub(super) fn draw_help(pen: &mut Pen<'_>) {
    let window = pen.canvas.area();
    let design = pen.design;
    // As large as it fits, in one column or in two.
    let scales = (0..).map(|step| design.scale() - 0.05 * step as f32);
    let layouts = scales.flat_map(|scale| [(scale, 1), (scale, 2)]);
    for (scale, columns) in layouts {
        pen.design = design.scaled(scale);
        let lines = help_lines(columns);
        let (width, height) = pen.panel_size(&lines);
        if (width > window.width || height > window.height) && scale > *SCALES.start() {
            continue;
        }
        let space = pen.design.space();
        let (x, y) = (((window.width - width) / 2).max(0), ((window.height - height) / 2).max(0));
        let ground = pen.design.palette.panel;
        pen.canvas.shade(window, ground, 110);
        let panel = pen.panel(x, y, &lines);
        pen.heading(x + 2 * space, y + 2 * space, Ink::Text, "oaktap");
        let (thin, color) = (pen.design.thin(), pen.design.ink(Ink::Dim));
        pen.canvas.outline(panel, thin, color);
        break;
    }
    pen.design = design;
}

/// Returns the lines of the help, below two lines for the heading.
fn help_lines(columns: usize) -> Vec<Vec<ColoredText>> {
    let rows = HELP.len().div_ceil(columns);
    let line = |row: usize| {
        let entries = HELP.iter().skip(row).step_by(rows);
        let pieces =
            entries.flat_map(|(keys, what)| [(Ink::Good, format!("{keys:<13}")), (Ink::Text, format!("{what:<47}"))]);
        pieces.collect::<Vec<_>>()
    };
    [Vec::new(), Vec::new()].into_iter().chain((0..rows).map(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::design::Design;
    use super::super::status::tests::status;
    use super::*;
    use crate::overlay::{Canvas, Text};

    #[test]
    fn texts_stay_inside_of_their_tile() {
        let mut status = status();
        status.name = "a name that is far too long for any tile of a window".to_owned();
        let (width, height) = (300, 200);
        for tile in [Rect::new(20, 30, 100, 60), Rect::new(20, 30, 1, 1), Rect::new(20, 30, 250, 150)] {
            let (mut words, mut text) = (vec![7; width * height], Text::new());
            let canvas = Canvas::new(&mut words, width, height);
            let mut pen = Pen { canvas, text: &mut text, design: Design::default() };
            draw_line(&mut pen, tile, &status);
            draw_full(&mut pen, tile, &status);
            let lost = ["the connection is lost and will not be restored".to_owned()];
            draw_message(&mut pen, tile, (Ink::Alarm, &lost));
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
