//! Draws the image of the window.

use super::controls::{Controls, takes_controls};
use super::design::{self, ColoredText, Ink};
use super::grid::{sides, tiles};
use super::hud::{self, HudLevel};
use super::notices::Notices;
use super::pen::{Pen, fitted, wrapped};
use super::screen::{Screen, ScreenImage};
use super::{position, status};

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
        let whole = Rect::new(0, 0, pixels(width), pixels(height));
        let side = self.panel.width(&self.design, self.text.advance(self.design.text()).max(1), whole.width);
        let area = Rect { width: whole.width - side, ..whole };
        let notices = self.placed_notices(area);
        let position = self.position.filter(|_| self.shows_position());
        let bar = notices.bar_height();
        let below = if position.is_some() && self.makes_room() { self.design.strip() } else { 0 };
        self.lay_out(Rect { y: bar, height: (area.height - bar - below).max(0), ..area });
        self.count_detections();
        if let Some(at) = self.bare((width, height), &notices) {
            let picture = self.tiles[at].picture.as_ref().expect("a bare tile has its picture");
            return ScreenImage { words: picture.words(), width, height };
        }
        self.words.resize(width * height, design::BACKGROUND);
        self.words.fill(design::BACKGROUND);
        let pixel = self.pixel_words(notices.status_width());
        let beside_hud = match notices.beside_hud() {
            // The timeline covers the lower edge of a single picture.
            (wide, high) if position.is_some() && below == 0 => (wide, high + self.design.strip()),
            size => size,
        };
        let (mut has_room, mut hud) = (false, None);
        for at in 0..self.tiles.len() {
            if self.is_shown(at) {
                // The status line keeps the places of the pixel and the notices free.
                let here = pixel.as_ref().filter(|pixel| pixel.camera == at);
                let reserved = here.filter(|pixel| pixel.place.bottom() == self.tiles[at].at.bottom());
                let reserved = reserved.map_or(0, |pixel| pixel.place.width) + notices.status_width();
                let drawn = self.draw_tile(at, (width, height), reserved, beside_hud);
                has_room |= drawn.is_some();
                hud = hud.or(drawn.filter(|_| self.level == HudLevel::Full));
            }
        }
        // The next image has the notice about it.
        self.stale |= std::mem::replace(&mut self.cramped, !has_room) == has_room;
        self.draw_over((&notices, hud), position, pixel, area, (width, height));
        ScreenImage { words: &self.words, width, height }
    }

    /// Draws everything that belongs to no single tile. `area` is the window without the side panel.
    fn draw_over(
        &mut self,
        (notices, hud): (&Notices, Option<Rect>),
        position: Option<PlaybackStatus>,
        pixel: Option<PixelWords>,
        area: Rect,
        (width, height): (usize, usize),
    ) {
        let note = self.prompt().or_else(|| self.note.as_ref().map(|(note, _)| note.clone()));
        let on_timeline = self.is_on_timeline();
        let title = self.panel_title();
        let controlled = self.controlled();
        let entries = self.menu_entries();
        let available = self.available();
        let (makes_room, has_status_line) = (self.makes_room(), self.has_status_line());
        let canvas = Canvas::new(&mut self.words, width, height);
        let whole = canvas.area();
        let mut pen = Pen { canvas, text: &mut self.text, design: self.design };
        let (space, strip) = (self.design.space(), self.design.strip());
        let side = whole.width - area.width;
        let reserved = if controlled.is_some() { Controls::height(&pen) } else { 0 };
        let place = self.panel.draw(&mut pen, Rect::new(area.right(), 0, side, whole.height), &title, reserved);
        match (place, controlled) {
            (Some(place), Some(camera)) => self.controls.draw(&mut pen, place, camera),
            _ => self.controls.hide(),
        }
        // Below the pictures if they make room, otherwise above their status line.
        let line = if has_status_line && !makes_room { strip } else { 0 };
        self.timeline = position.and_then(|position| {
            let strip = Rect::new(0, area.height - line - strip, area.width, strip);
            let bar = position::draw(&mut pen, strip, &position, &self.marks, self.hover.at)?;
            Some((bar, strip))
        });
        let mut right = area.right();
        if let Some(PixelWords { pieces, place, .. }) = pixel {
            let ground = pen.design.palette.panel;
            pen.canvas.fill(place, ground);
            pen.pieces(place.x + 2 * space, place.y + space, place.right(), &pieces);
            right = if place.bottom() == area.bottom() { place.x } else { right };
        }
        let line = if has_status_line { strip } else { 0 };
        let low = area.height - line - if position.is_some() { strip } else { 0 } - space;
        notices.draw(&mut pen, area, hud, (right, low));
        let message = if let Some(note) = &note {
            let columns = (area.width - 8 * space) / pen.advance();
            let lines = wrapped(note, columns.clamp(16, 90) as usize);
            lines.into_iter().map(|line| vec![(Ink::Text, line)]).collect()
        } else if self.hint_until_ns.is_some() && !self.help.is_open && !on_timeline {
            let hint = vec![(Ink::Good, "?".to_owned()), (Ink::Text, "  shows what the keys do".to_owned())];
            fitted(hint, usize::try_from((area.width - 8 * space) / pen.advance()).unwrap_or(0))
        } else {
            Vec::new()
        };
        if !message.is_empty() {
            let (width, height) = pen.panel_size(&message);
            // In a grid, the texts of tiles are in their middle and at their lower edge.
            let y = if makes_room && has_status_line { notices.bar_height() } else { low - height };
            pen.panel(((area.width - width) / 2).max(0), y, &message);
        }
        if self.help.is_open {
            self.help.draw(&mut pen, available);
        }
        if let Some(menu) = &mut self.interaction.menu {
            menu.draw(&mut pen, &entries, self.hover.at);
        }
    }

    fn is_on_timeline(&self) -> bool {
        self.hover.at.is_some_and(|at| self.timeline_at(at).is_some())
    }

    /// Returns the pixel under the pointer: in the lower right corner of its tile, or above the status line if that has no
    /// room for it beside the name and notices. Without the value if the tile is too narrow, and nothing if it is narrower
    /// still.
    fn pixel_words(&mut self, notices: i32) -> Option<PixelWords> {
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
        let is_above = self.has_status_line() && named + notices + width > place.width;
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
            (None, _) => self.shown_cameras(),
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
        let finds_classes = self.interaction.search.is_some() && self.finds_classes();
        if !(self.panel.is_open || finds_classes) || !is_due {
            return;
        }
        self.counted_ns = Some(self.now_ns);
        let views = self.views.views();
        let frames: Vec<_> =
            (0..views.len()).filter(|at| self.is_shown(*at)).filter_map(|at| views[at].frame()).collect();
        let threshold = f32::from(self.threshold) / 100.0;
        self.panel.count(frames.iter().map(|frame| &**frame), self.views.style(), threshold, self.now_ns);
    }

    /// Determines the places of the tiles in this part of the window, and tells the views in which size to make their pictures.
    fn lay_out(&mut self, room: Rect) {
        let shown: Vec<usize> = (0..self.tiles.len()).filter(|at| self.is_shown(*at)).collect();
        let places = tiles(shown.len(), sides(room), self.picture_size());
        self.tiles.iter_mut().for_each(|tile| tile.at = Rect::default());
        for (at, place) in shown.into_iter().zip(places) {
            let tile = &mut self.tiles[at];
            tile.at = Rect { x: room.x + place.x, y: room.y + place.y, ..place };
            let showing = Showing { room: sides(place), zoom: tile.zoom, strokes: self.design.strokes() };
            if tile.showing.replace(showing) != Some(showing) {
                self.views.views()[at].control(|controls| controls.showing = Some(showing));
            }
        }
    }

    /// Returns the tile that fills the window exactly, with nothing drawn over it.
    fn bare(&self, window: (usize, usize), notices: &Notices) -> Option<usize> {
        let is_clean = self.level == HudLevel::Off
            && !self.help.is_open
            && !self.panel.is_open
            && self.note.is_none()
            && self.hint_until_ns.is_none()
            && notices.is_empty()
            && self.prompt().is_none()
            && self.interaction.menu.is_none();
        let at = self.enlarged.or((self.tiles.len() == 1).then_some(0)).filter(|_| is_clean)?;
        let tile = &self.tiles[at];
        let picture = tile.picture.as_ref()?;
        let fits = (picture.width, picture.height) == window && tile.placement()?.part == picture.part;
        (fits && !tile.damaged && status::message(&tile.status, true).is_none()).then_some(at)
    }

    /// Draws a tile, with a status line that leaves out its last `reserved` pixels, or a full HUD beside notices of this size.
    /// Returns the place of the full HUD, or the tile without one. `None` if the full HUD has no room.
    fn draw_tile(
        &mut self,
        at: usize,
        (width, height): (usize, usize),
        reserved: i32,
        notices: (i32, i32),
    ) -> Option<Rect> {
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
        let full = match self.level {
            HudLevel::Full => hud::draw_full(&mut pen, place, &tile.status, notices),
            HudLevel::Line | HudLevel::Off => Some(place),
        };
        if self.level == HudLevel::Line || full.is_none() {
            hud::draw_line(&mut pen, place, &tile.status, reserved);
        }
        if let Some(message) = &message {
            hud::draw_message(&mut pen, place, message);
        }
        full
    }
}
