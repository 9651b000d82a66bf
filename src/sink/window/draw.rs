//! Draws the image of the window.

use super::design::{self, Ink};
use super::grid::{sides, tiles};
use super::hud::{self, HudLevel};
use super::pen::{Pen, wrapped};
use super::screen::{Screen, ScreenImage};
use super::{position, recording, status};
use crate::overlay::{Canvas, Rect};
use crate::view::Showing;

impl Screen {
    /// Returns the image for a window of this size. Borrows the picture itself if it fits exactly and nothing is drawn over it,
    /// otherwise a buffer that is reused.
    pub fn image(&mut self, width: usize, height: usize) -> ScreenImage<'_> {
        self.stale = false;
        self.lay_out((width, height));
        if let Some(at) = self.bare((width, height)) {
            let picture = self.tiles[at].picture.as_ref().expect("a bare tile has its picture");
            return ScreenImage { words: picture.words(), width, height };
        }
        let error = self.recording_error();
        let position = self.position.filter(|_| self.shows_position());
        self.words.resize(width * height, design::BACKGROUND);
        self.words.fill(design::BACKGROUND);
        for at in 0..self.tiles.len() {
            if self.is_shown(at) {
                self.draw_tile(at, (width, height));
            }
        }
        let canvas = Canvas::new(&mut self.words, width, height);
        let area = canvas.area();
        let mut pen = Pen { canvas, text: &mut self.text, design: self.design };
        let space = self.design.space();
        if self.paused {
            let lines = [vec![(Ink::Text, "paused".to_owned()), (Ink::Dim, "  . next picture".to_owned())]];
            let (width, _) = pen.panel_size(&lines);
            pen.panel(area.width - width - 2 * space, 2 * space, &lines);
        }
        if let Some(error) = error {
            let lines = [vec![(Ink::Alarm, error)]];
            let (width, _) = pen.panel_size(&lines);
            pen.panel(((area.width - width) / 2).max(0), 2 * space, &lines);
        }
        if let Some(position) = position {
            let line = self.design.strip();
            let hud = if self.level == HudLevel::Line { line } else { 0 };
            position::draw(&mut pen, Rect::new(0, area.height - hud - line, area.width, line), &position);
        }
        if let Some((note, _)) = &self.note {
            let columns = (area.width - 8 * space) / pen.advance();
            let lines = wrapped(note, columns.clamp(16, 90) as usize);
            let lines: Vec<_> = lines.into_iter().map(|line| vec![(Ink::Text, line)]).collect();
            let (width, height) = pen.panel_size(&lines);
            let y = area.height - height - 2 * self.design.strip();
            pen.panel(((area.width - width) / 2).max(0), y, &lines);
        }
        if self.help {
            hud::draw_help(&mut pen);
        }
        ScreenImage { words: &self.words, width, height }
    }

    /// Determines the places of the tiles, and tells the views in which size to make their pictures.
    fn lay_out(&mut self, window: (usize, usize)) {
        let shown: Vec<usize> = (0..self.tiles.len()).filter(|at| self.is_shown(*at)).collect();
        let places = tiles(shown.len(), window, self.picture_size());
        self.tiles.iter_mut().for_each(|tile| tile.at = Rect::default());
        for (at, place) in shown.into_iter().zip(places) {
            let tile = &mut self.tiles[at];
            tile.at = place;
            let showing = Showing { room: sides(place), zoom: tile.zoom, strokes: self.design.strokes() };
            if tile.showing.replace(showing) != Some(showing) {
                self.views.views()[at].control(|controls| controls.showing = Some(showing));
            }
        }
    }

    /// Returns the error of the recording, unless the full HUD shows it.
    fn recording_error(&self) -> Option<String> {
        let health = self.recording.as_ref().filter(|_| self.level != HudLevel::Full)?;
        recording::error(&health.total.state)
    }

    /// Returns the tile that fills the window exactly, with nothing drawn over it.
    fn bare(&self, window: (usize, usize)) -> Option<usize> {
        let is_clean = self.level == HudLevel::Off
            && !self.help
            && !self.paused
            && self.note.is_none()
            && self.recording_error().is_none();
        let at = self.enlarged.or((self.tiles.len() == 1).then_some(0)).filter(|_| is_clean)?;
        let tile = &self.tiles[at];
        let picture = tile.picture.as_ref()?;
        let fits = (picture.width, picture.height) == window && tile.placement()?.part == picture.part;
        (fits && status::message(&tile.status, true).is_none()).then_some(at)
    }

    fn draw_tile(&mut self, at: usize, (width, height): (usize, usize)) {
        let tile = &mut self.tiles[at];
        let place = tile.at;
        let message = status::message(&tile.status, tile.picture.is_some());
        let covered = tile.draw_picture(&mut self.words, width);
        let canvas = Canvas::new(&mut self.words, width, height);
        let mut pen = Pen { canvas, text: &mut self.text, design: self.design };
        if message.is_some() && tile.picture.is_some() {
            pen.canvas.part(covered).gray_out();
        }
        match self.level {
            HudLevel::Off => {}
            HudLevel::Line => hud::draw_line(&mut pen, place, &tile.status),
            HudLevel::Full => hud::draw_full(&mut pen, place, &tile.status),
        }
        if let Some((ink, lines)) = &message {
            hud::draw_message(&mut pen, place, (*ink, lines));
        }
    }
}
