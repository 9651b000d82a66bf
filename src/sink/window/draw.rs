//! Draws the image of the window.

use super::controls::Controls;
use super::design::{self, ColoredText, Ink};
use super::free::{Free, overlap};
use super::grid::{sides, tiles};
use super::hud::{self, HudLevel};
use super::notices::Notices;
use super::pen::Pen;
use super::screen::{Screen, ScreenImage};
use super::{numbers, position, tile_message};

use crate::overlay::{Canvas, Rect};
use crate::recording::playback::PlaybackStatus;
use crate::source::control::takes_controls;
use crate::view::Showing;

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
        let (mut has_room, mut free) = (false, Free::new(area));
        free.take(Rect { height: bar, ..area });
        for at in 0..self.tiles.len() {
            if self.is_shown(at) {
                let hud = self.draw_picture(at, (width, height), beside_hud);
                has_room |= hud.is_some();
                hud.into_iter().for_each(|rect| free.take(rect));
            }
        }
        let is_cramped = self.level == HudLevel::Full && !has_room;
        // The next image has the notice about it.
        self.stale |= std::mem::replace(&mut self.cramped, is_cramped) != is_cramped;
        self.draw_over(&notices, position, pixel.as_ref(), (area, free), (width, height));
        ScreenImage { words: &self.words, width, height }
    }

    /// Draws everything over the pictures. `area` is the window without the side panel, of which a part is `free`. Whatever is
    /// more important takes its place first, and the rest is drawn beside it or left out: the message to the user, notices,
    /// messages of tiles, status lines of a grid, the pixel at the pointer.
    fn draw_over(
        &mut self,
        notices: &Notices,
        position: Option<PlaybackStatus>,
        pixel: Option<&PixelWords>,
        (area, mut free): (Rect, Free),
        (width, height): (usize, usize),
    ) {
        let message = self.window_message(!self.is_on_timeline());
        let title = self.shown_name();
        let shown: Vec<bool> = (0..self.tiles.len()).map(|at| self.is_shown(at)).collect();
        let is_shown = |camera: usize| shown.get(camera) == Some(&true);
        let shown_cameras = self.cameras.iter().zip(&shown).filter(|(_, is_shown)| **is_shown);
        let histories = shown_cameras.map(|(camera, _)| (&*camera.name, camera.numbers.histories()));
        let histories = numbers::listed(histories);
        let controlled = self.controlled();
        let entries = self.menu_entries();
        let available = self.available();
        let (makes_room, full) = (self.makes_room(), self.level == HudLevel::Full && !self.cramped);
        let line_heights: Vec<i32> =
            self.tiles.iter().map(|tile| if full { 0 } else { self.line_height(tile.at) }).collect();
        let canvas = Canvas::new(&mut self.words, width, height);
        let whole = canvas.area();
        let mut pen = Pen { canvas, text: &mut self.text, design: self.design };
        let (space, strip) = (self.design.space(), self.design.strip());
        let side = whole.width - area.width;
        let reserved = if controlled.is_some() { Controls::height(&pen) } else { 0 };
        let at = Rect::new(area.right(), 0, side, whole.height);
        let place = self.panel.draw(&mut pen, at, (&title, is_shown), &histories, reserved);
        match (place, controlled) {
            (Some(place), Some(camera)) => self.controls.draw(&mut pen, place, camera),
            _ => self.controls.hide(),
        }
        // Status lines, of which only the one of a single picture has its place before everything else.
        let mut lines: Vec<(usize, Rect)> = Vec::new();
        for (at, tile) in self.tiles.iter().enumerate().filter(|(at, _)| is_shown(*at) && line_heights[*at] > 0) {
            let high = line_heights[at];
            lines.push((at, Rect::new(tile.at.x, tile.at.bottom() - high, tile.at.width, high)));
        }
        let line = if lines.is_empty() { 0 } else { strip };
        // The timeline is below the pictures if they make room, otherwise above their status line.
        let above = if makes_room { 0 } else { line };
        let timeline = position.map(|_| Rect::new(0, area.height - above - strip, area.width, strip));
        let low = area.height - line - if position.is_some() { strip } else { 0 } - space;
        let mut strips: Vec<Rect> = timeline.into_iter().collect();
        if let [(_, rect)] = &*lines {
            strips.push(*rect);
        }
        strips.iter().for_each(|rect| free.take(*rect));
        // In a grid, the texts of tiles are in their middle and at their lower edge.
        let row = if makes_room && line > 0 { (notices.bar_height(), true) } else { (low, false) };
        let message = message.and_then(|message| message.placed(&mut pen, &mut free, area, row));
        if let Some(covering) = message.as_ref().filter(|message| message.covers) {
            free = Free::new(area);
            free.take(covering.rect);
            strips.iter().filter(|rect| !overlap(**rect, covering.rect)).for_each(|rect| free.take(*rect));
        }
        let is_left_out =
            |rect: Rect| message.as_ref().is_some_and(|message| message.covers && overlap(message.rect, rect));
        self.timeline = timeline.filter(|rect| !is_left_out(*rect)).and_then(|strip| {
            let bar = position::draw(&mut pen, strip, &position?, &self.marks)?;
            Some((bar, strip))
        });
        let at_pixel = pixel.map_or(Rect::default(), |pixel| pixel.place);
        let right = if at_pixel.bottom() == area.bottom() { at_pixel.x } else { area.right() };
        // The status line keeps the places of the pixel and the notices free.
        let reserved = |at: usize, rect: Rect| {
            let here = pixel.filter(|pixel| pixel.camera == at && pixel.place.bottom() == rect.bottom());
            here.map_or(0, |pixel| pixel.place.width) + notices.status_width()
        };
        let is_single = lines.len() == 1;
        for (at, rect) in lines.iter().filter(|(_, rect)| is_single && !is_left_out(*rect)) {
            hud::draw_line(&mut pen, *rect, &self.tiles[*at].status, reserved(*at, *rect));
        }
        let status_line = Rect::new(area.x, area.bottom() - strip, area.width, strip);
        if !is_left_out(status_line) {
            notices.draw(&mut pen, area, &mut free, right);
        }
        for (tile, _) in self.tiles.iter().zip(&shown).filter(|(_, is_shown)| **is_shown) {
            if tile.damaged {
                hud::mark_damaged(&mut pen, tile.covered(), &mut free);
            }
            let message = tile_message::message(&tile.status, tile.picture.is_some());
            if let Some(message) = message {
                let place = Rect { height: tile.at.height - strip, ..tile.at };
                hud::draw_message(&mut pen, place, &message, &mut free);
            }
        }
        for (at, rect) in lines.iter().filter(|_| !is_single) {
            if free.is_free(*rect) {
                hud::draw_line(&mut pen, *rect, &self.tiles[*at].status, reserved(*at, *rect));
                free.take(*rect);
            }
        }
        if let Some(PixelWords { pieces, place, .. }) = pixel
            && !is_left_out(*place)
            && (lines.iter().any(|(_, line)| overlap(*place, *line)) || free.is_free(*place))
        {
            let ground = pen.design.palette.panel;
            pen.canvas.fill(*place, ground);
            pen.pieces(place.x + 2 * space, place.y + space, place.right(), pieces);
        }
        if let Some(message) = &message {
            message.draw(&mut pen);
        }
        if let Some((bar, strip)) = &self.timeline {
            position::draw_time(&mut pen, bar, *strip, self.hover.at);
        }
        if self.help.is_open {
            self.help.draw(&mut pen, available);
        }
        if let Some(menu) = &mut self.interaction.menu {
            menu.draw(&mut pen, &entries, self.hover.at);
        }
    }

    /// Returns the height of the status line of a tile: 0 where it would cover more than two fifths of the picture.
    pub(super) fn line_height(&self, tile: Rect) -> i32 {
        let strip = self.design.strip();
        let room = tile.height - self.timeline_height();
        if self.has_status_line() && 2 * room >= 5 * strip { strip } else { 0 }
    }

    /// Returns the height of the timeline if it is over a picture, otherwise 0.
    fn timeline_height(&self) -> i32 {
        let is_over = self.position.is_some() && self.shows_position() && !self.makes_room();
        if is_over { self.design.strip() } else { 0 }
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
        let is_above = self.line_height(tile.at) > 0 && named + notices + width > place.width;
        let y = if is_above { y - strip } else { y };
        let mut pieces = vec![(Ink::Dim, format!("{:>1$}", position.0, position.1))];
        pieces.extend(value.map(|text| (Ink::Text, format!("{text:>0$}", value_chars))));
        let place = Rect::new(place.right() - width, y, width, strip);
        (place.x >= tile.at.x && y >= tile.at.y).then_some(PixelWords { camera: pixel.camera, pieces, place })
    }

    /// Returns the camera whose sliders the side panel has: the only one that is shown, if its application takes records.
    fn controlled(&self) -> Option<usize> {
        let camera = self.enlarged.or((self.camera_count() == 1).then_some(0))?;
        takes_controls(&self.cameras[camera].spec, &self.tiles[camera].status.stats).then_some(camera)
    }

    /// Counts the detections of the shown frames for the side panel. `has_new`: one of the pictures is new.
    pub(super) fn count_detections(&mut self, has_new: bool) {
        if !self.panel.is_due(self.counted_ns, self.now_ns, has_new) {
            return;
        }
        self.counted_ns = Some(self.now_ns);
        // A picture of an earlier time has no boxes, either.
        let shown = (0..self.cameras.len()).filter(|at| self.is_shown(*at));
        let (past, shown): (Vec<_>, Vec<_>) = shown.partition(|at| tile_message::is_past(&self.tiles[*at].status));
        self.panel.not_counted = past.len();
        let frames: Vec<_> = shown.into_iter().filter_map(|at| Some((at, self.frame(at)?))).collect();
        let threshold = f32::from(self.threshold) / 100.0;
        let frames = frames.iter().map(|(at, frame)| (*at, &**frame));
        self.panel.count(frames, self.views.style(), threshold, self.now_ns);
    }

    /// Determines the places of the tiles in this part of the window, and tells the views in which size to make their pictures.
    fn lay_out(&mut self, room: Rect) {
        let shown: Vec<usize> = (0..self.tiles.len()).filter(|at| self.is_shown(*at)).collect();
        let places = tiles(shown.len(), sides(room), self.picture_size());
        self.tiles.iter_mut().for_each(|tile| tile.at = Rect::default());
        for (at, place) in shown.into_iter().zip(places) {
            let (room_of, strokes) = (sides(place), self.design.strokes());
            let covered = usize::try_from(self.line_height(place) + self.timeline_height()).unwrap_or(0);
            let tile = &mut self.tiles[at];
            tile.at = Rect { x: room.x + place.x, y: room.y + place.y, ..place };
            let detections = !tile_message::is_past(&tile.status);
            let showing = Showing { room: room_of, zoom: tile.zoom, strokes, covered, detections };
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
        (fits && !tile.damaged && tile_message::message(&tile.status, true).is_none()).then_some(at)
    }

    /// Draws the picture of a tile, and the full HUD unless it has no room beside notices of this size. Returns its place.
    fn draw_picture(&mut self, at: usize, (width, height): (usize, usize), notices: (i32, i32)) -> Option<Rect> {
        let tile = &mut self.tiles[at];
        let place = tile.at;
        let has_message = tile_message::message(&tile.status, tile.picture.is_some()).is_some();
        let covered = tile.draw_picture(&mut self.words, width);
        let canvas = Canvas::new(&mut self.words, width, height);
        let mut pen = Pen { canvas, text: &mut self.text, design: self.design };
        let histories = if tile.picture.is_none() { self.cameras[at].numbers.histories() } else { Vec::new() };
        if !histories.is_empty() {
            // The full HUD is in the upper half.
            let above = if self.level == HudLevel::Full { place.height / 2 } else { 0 };
            let below = self.design.strip();
            let room = Rect { y: place.y + above, height: place.height - above - below, ..place };
            numbers::draw_tile(&mut pen, room, &tile.status.name, &histories);
        }
        if has_message && tile.picture.is_some() {
            pen.canvas.part(covered).gray_out();
        }
        match self.level {
            HudLevel::Full => hud::draw_full(&mut pen, place, &tile.status, notices),
            HudLevel::Line | HudLevel::Off => None,
        }
    }
}
