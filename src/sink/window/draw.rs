//! Draws the image of the window.

use super::controls::{Controls, takes_controls};
use super::design::{self, ColoredText, Ink};
use super::grid::{sides, tiles};

use super::hud::{self, HudLevel};
use super::pen::{Pen, wrapped};
use super::screen::{Screen, ScreenImage};
use super::{position, recording, status};

use crate::overlay::{Canvas, Rect};
use crate::recording::playback::PlaybackStatus;
use crate::view::Showing;

/// Shortest time between two counts of detections.
const COUNT_INTERVAL_NS: u64 = 100_000_000;

/// The pixel under the pointer in words, and its place in the window.
struct PixelWords {
    camera: usize,
    pieces: Vec<ColoredText>,
    place: Rect,
}

fn pixels(side: usize) -> i32 {
    i32::try_from(side).unwrap_or(i32::MAX)
}

impl Screen {
    /// Returns the image for a window of this size. Borrows the picture itself if it fits exactly and nothing is drawn over it,
    /// otherwise a buffer that is reused.
    pub fn image(&mut self, width: usize, height: usize) -> ScreenImage<'_> {
        self.stale = false;
        self.lay_out((width, height));
        self.count_detections();
        if let Some(at) = self.bare((width, height)) {
            let picture = self.tiles[at].picture.as_ref().expect("a bare tile has its picture");
            return ScreenImage { words: picture.words(), width, height };
        }
        let error = self.recording_error();
        let position = self.position.filter(|_| self.shows_position());
        self.words.resize(width * height, design::BACKGROUND);
        self.words.fill(design::BACKGROUND);
        let pixel = self.pixel_words();
        let mut has_room = false;
        for at in 0..self.tiles.len() {
            if self.is_shown(at) {
                // The status line keeps the place of the pixel free.
                let here = pixel.as_ref().filter(|pixel| pixel.camera == at);
                let reserved = here.filter(|pixel| pixel.place.bottom() == self.tiles[at].at.bottom());
                has_room |= self.draw_tile(at, (width, height), reserved.map_or(0, |pixel| pixel.place.width));
            }
        }
        self.cramped = !has_room;
        self.draw_over(error, position, pixel, (width, height));
        ScreenImage { words: &self.words, width, height }
    }

    /// Draws everything that belongs to no single tile.
    fn draw_over(
        &mut self,
        error: Option<String>,
        position: Option<PlaybackStatus>,
        pixel: Option<PixelWords>,
        (width, height): (usize, usize),
    ) {
        let mut notices = self.notices();
        let note = self.prompt().or_else(|| self.note.as_ref().map(|(note, _)| note.clone()));
        let on_timeline = self.is_on_timeline();
        let title = self.panel_title();
        let controlled = self.controlled();
        let canvas = Canvas::new(&mut self.words, width, height);
        let whole = canvas.area();
        let mut pen = Pen { canvas, text: &mut self.text, design: self.design };
        let (space, strip) = (self.design.space(), self.design.strip());
        let side = self.panel.width(&self.design, pen.advance(), whole.width);
        if side == 0 && self.panel.is_open {
            notices.push(vec![(Ink::Text, "no room for the side panel".to_owned())]);
        }
        let reserved = if controlled.is_some() { Controls::height(&pen) } else { 0 };
        let place = self.panel.draw(&mut pen, Rect::new(whole.width - side, 0, side, whole.height), &title, reserved);
        match (place, controlled) {
            (Some(place), Some(camera)) => self.controls.draw(&mut pen, place, camera),
            _ => self.controls.hide(),
        }
        let area = Rect { width: whole.width - side, ..whole };
        let mut y = 2 * space;
        for notice in notices {
            let lines = pen.fitted(notice, area.width - 8 * space);
            let (width, height) = pen.panel_size(&lines);
            pen.panel((area.width - width - 2 * space).max(0), y, &lines);
            y += height + space;
        }
        if let Some(error) = error {
            let lines = pen.fitted(vec![(Ink::Alarm, error)], area.width - 8 * space);
            let (width, _) = pen.panel_size(&lines);
            pen.panel(((area.width - width) / 2).max(0), y, &lines);
        }
        let line = if self.level == HudLevel::Off { 0 } else { strip };
        self.timeline = position.and_then(|position| {
            let strip = Rect::new(0, area.height - line - strip, area.width, strip);
            let bar = position::draw(&mut pen, strip, &position, &self.marks, self.hover.at)?;
            Some((bar, strip))
        });
        if let Some(PixelWords { pieces, place, .. }) = pixel {
            let ground = pen.design.palette.panel;
            pen.canvas.fill(place, ground);
            pen.pieces(place.x + 2 * space, place.y + space, place.right(), &pieces);
        }
        let low = area.height - line - if self.timeline.is_some() { strip } else { 0 } - space;
        if let Some(note) = &note {
            let columns = (area.width - 8 * space) / pen.advance();
            let lines = wrapped(note, columns.clamp(16, 90) as usize);
            let lines: Vec<_> = lines.into_iter().map(|line| vec![(Ink::Text, line)]).collect();
            let (width, height) = pen.panel_size(&lines);
            pen.panel(((area.width - width) / 2).max(0), low - height, &lines);
        } else if self.hint_until_ns.is_some() && !self.help.is_open && !on_timeline {
            let hint = vec![(Ink::Good, "?".to_owned()), (Ink::Text, "  shows what the keys do".to_owned())];
            let lines = pen.fitted(hint, area.width - 8 * space);
            let (width, height) = pen.panel_size(&lines);
            pen.panel(((area.width - width) / 2).max(0), low - height, &lines);
        }
        if self.help.is_open {
            self.help.draw(&mut pen);
        }
        if let Some(menu) = &mut self.interaction.menu {
            menu.draw(&mut pen, self.hover.at);
        }
    }

    fn is_on_timeline(&self) -> bool {
        self.hover.at.is_some_and(|at| self.timeline_at(at).is_some())
    }

    /// Returns the pixel under the pointer: in the lower right corner of its tile, or above the status line if that has no
    /// room for it beside the name. Without the value if the tile is too narrow, and nothing if it is narrower still.
    fn pixel_words(&mut self) -> Option<PixelWords> {
        let at =
            self.hover.at.filter(|_| self.level != HudLevel::Off && !self.help.is_open && !self.is_on_timeline())?;
        let pixel = self.pixel_at(at)?;
        let tile = &self.tiles[pixel.camera];
        let [position, (value, value_chars)] = pixel.texts(tile.picture.as_ref()?.part.of);
        let advance = self.text.advance(self.design.text());
        let (space, strip) = (self.design.space(), self.design.strip());
        let wide = |chars: usize| pixels(chars) * advance + 4 * space;
        let named = wide(tile.status.name.chars().count() + 2);
        let place = tile.at;
        let (chars, value) = match position.1 + value_chars {
            both if wide(both) <= place.width => (both, Some(value)),
            _ => (position.1, None),
        };
        let (width, y) = (wide(chars), place.bottom() - strip);
        let is_above = (self.level == HudLevel::Line || self.cramped) && named + width > place.width;
        let y = if is_above { y - strip } else { y };
        let mut pieces = vec![(Ink::Dim, format!("{:>1$}", position.0, position.1))];
        pieces.extend(value.map(|text| (Ink::Text, format!("{text:>0$}", value_chars))));
        let place = Rect::new(place.right() - width, y, width, strip);
        (place.x >= tile.at.x && y >= tile.at.y).then_some(PixelWords { camera: pixel.camera, pieces, place })
    }

    /// Returns whose detections the side panel lists.
    fn panel_title(&self) -> String {
        match (self.enlarged, &*self.cameras) {
            (Some(at), cameras) => cameras[at].name.clone(),
            (None, [camera]) => camera.name.clone(),
            (None, cameras) => format!("{} cameras", cameras.len()),
        }
    }

    /// Returns the camera whose sliders the side panel has: the only one that is shown, if its application takes records.
    fn controlled(&self) -> Option<usize> {
        let camera = self.enlarged.or((self.cameras.len() == 1).then_some(0))?;
        takes_controls(&self.cameras[camera].spec, &self.tiles[camera].status.stats).then_some(camera)
    }

    /// Counts the detections of the shown frames for the side panel.
    fn count_detections(&mut self) {
        let is_due = self.counted_ns.is_none_or(|last_ns| self.now_ns.saturating_sub(last_ns) >= COUNT_INTERVAL_NS);
        if !self.panel.is_open || !is_due {
            return;
        }
        self.counted_ns = Some(self.now_ns);
        let views = self.views.views();
        let frames: Vec<_> =
            (0..views.len()).filter(|at| self.is_shown(*at)).filter_map(|at| views[at].frame()).collect();
        let threshold = f32::from(self.threshold) / 100.0;
        self.panel.count(frames.iter().map(|frame| &**frame), self.views.style(), threshold, self.now_ns);
    }

    /// Determines the places of the tiles, and tells the views in which size to make their pictures.
    fn lay_out(&mut self, window: (usize, usize)) {
        let shown: Vec<usize> = (0..self.tiles.len()).filter(|at| self.is_shown(*at)).collect();
        let side = self.panel.width(&self.design, self.text.advance(self.design.text()), pixels(window.0));
        let room = (window.0.saturating_sub(side.unsigned_abs() as usize), window.1);
        let places = tiles(shown.len(), room, self.picture_size());
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
            && !self.help.is_open
            && !self.panel.is_open
            && self.note.is_none()
            && self.hint_until_ns.is_none()
            && self.notices().is_empty()
            && self.prompt().is_none()
            && self.interaction.menu.is_none()
            && self.recording_error().is_none();
        let at = self.enlarged.or((self.tiles.len() == 1).then_some(0)).filter(|_| is_clean)?;
        let tile = &self.tiles[at];
        let picture = tile.picture.as_ref()?;
        let fits = (picture.width, picture.height) == window && tile.placement()?.part == picture.part;
        (fits && !tile.damaged && status::message(&tile.status, true).is_none()).then_some(at)
    }

    /// Draws a tile, with a status line that leaves out its last `reserved` pixels. Returns `false` if the HUD has no room.
    fn draw_tile(&mut self, at: usize, (width, height): (usize, usize), reserved: i32) -> bool {
        let tile = &mut self.tiles[at];
        let place = tile.at;
        let message = status::message(&tile.status, tile.picture.is_some());
        let covered = tile.draw_picture(&mut self.words, width);
        let canvas = Canvas::new(&mut self.words, width, height);
        let mut pen = Pen { canvas, text: &mut self.text, design: self.design };
        if message.is_some() && tile.picture.is_some() {
            pen.canvas.part(covered).gray_out();
        }
        if tile.damaged {
            hud::mark_damaged(&mut pen, covered);
        }
        let is_full = self.level != HudLevel::Full || hud::draw_full(&mut pen, place, &tile.status);
        if self.level == HudLevel::Line || !is_full {
            hud::draw_line(&mut pen, place, &tile.status, reserved);
        }
        if let Some(message) = &message {
            hud::draw_message(&mut pen, place, message);
        }
        is_full
    }
}
