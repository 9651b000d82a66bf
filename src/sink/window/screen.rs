//! The newest pictures of all cameras and what keys have asked for -> what is to be seen, in words.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::camera::Camera;
use super::grid::{Placed, Scaler, Zoom, opening_size, place, tiles};
use super::hud::{self, Level, Status};
use super::keys::Action;
use super::position;
use super::recording::{Recording, summary};
use crate::frame::Picture;
use crate::hub::Taker;
use crate::overlay::{Canvas, Rect, Text};
use crate::recording::playback::{Playback, PlaybackStatus};
use crate::sink::record::{Recorders, RecordersHealth};
use crate::source::Session;
use crate::stats::Stats;
use crate::view::{Notify, View, ViewControls, Views};

/// The numbers of the HUD change this often, so that they can be read.
const STATUS_NS: u64 = 250_000_000;

/// How long a note stays.
const NOTE_NS: u64 = 4_000_000_000;

/// What is behind the pictures.
const GROUND: u32 = 0x0012_161b;

/// One camera's place on the screen.
#[derive(Debug)]
struct Tile {
    picture: Option<Arc<Picture>>,
    /// Not counted as shown yet.
    fresh: bool,
    status: Status,
    scaler: Scaler,
}

/// Everything that is to be seen. It knows no window: a test, or a host without a display, can ask it for its words.
pub struct Screen {
    cameras: Vec<Camera>,
    views: Views,
    tiles: Vec<Tile>,
    recorders: Option<Recorders>,
    notify: Notify,
    recording: Option<RecordersHealth>,
    /// What plays the cameras that are recordings, each once.
    playbacks: Vec<Playback>,
    /// Where the first of them stood when it was drawn.
    standing: Option<PlaybackStatus>,
    notes: Receiver<String>,
    print: fn(&str),
    note: Option<(String, u64)>,
    level: Level,
    zoom: Zoom,
    alone: Option<usize>,
    help: bool,
    paused: bool,
    quit: bool,
    /// Boxes, labels and least confidence in hundredths.
    boxes: bool,
    labels: bool,
    threshold: i16,
    looked_ns: Option<u64>,
    stale: bool,
    text: Text,
    words: Vec<u32>,
}

/// What is to be put on a window.
#[derive(Debug)]
pub struct Image<'a> {
    /// `width * height` words, `0x00RRGGBB` each.
    pub words: &'a [u32],
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("cameras", &self.cameras).finish_non_exhaustive()
    }
}

impl Screen {
    /// Creates a screen for sessions, their views and the pictures from [`subscribe`], all in the same order. Notes from
    /// [`note_channel`] are shown for 4 s each, and given to `print`.
    #[must_use]
    pub fn new(
        sessions: &[Session],
        views: Views,
        pictures: Vec<Taker<Arc<Picture>>>,
        (notify, notes): (Notify, Receiver<String>),
        print: fn(&str),
    ) -> Self {
        let camera = |(session, pictures)| Camera::new(session, pictures);
        let cameras: Vec<Camera> = sessions.iter().zip(pictures).map(camera).collect();
        let controls = views.views().first().map(View::controls);
        let tiles = cameras
            .iter()
            .zip(views.views())
            .map(|(camera, view)| Tile {
                picture: None,
                fresh: false,
                status: Status {
                    name: camera.name.clone(),
                    state: camera.state(),
                    stats: camera.ledger.snapshot(),
                    health: view.health(),
                    age_ns: None,
                    threshold: 0.0,
                    recording: None,
                },
                scaler: Scaler::default(),
            })
            .collect();
        let mut playbacks: Vec<Playback> = Vec::new();
        for playback in cameras.iter().filter_map(|camera| camera.playback.as_ref()) {
            if !playbacks.iter().any(|known| known.is(playback)) {
                playbacks.push(playback.clone());
            }
        }
        Self {
            cameras,
            views,
            tiles,
            recorders: None,
            notify,
            recording: None,
            playbacks,
            standing: None,
            notes,
            print,
            note: None,
            level: Level::default(),
            zoom: Zoom::default(),
            alone: None,
            help: false,
            paused: false,
            quit: false,
            boxes: controls.is_none_or(|controls| controls.boxes),
            labels: controls.is_none_or(|controls| controls.labels),
            threshold: controls.map_or(0, |controls| (controls.threshold * 100.0).round() as i16),
            looked_ns: None,
            stale: true,
            text: Text::new(),
            words: Vec::new(),
        }
    }

    /// Lets the key `r` start and stop these recorders, which are connected to the same cameras.
    #[must_use]
    pub fn with_recorders(mut self, recorders: Recorders) -> Self {
        self.recorders = Some(recorders);
        self
    }

    /// Returns the recorders, to finish what they record.
    pub fn take_recorders(&mut self) -> Option<Recorders> {
        self.recorders.take()
    }

    /// Whether somebody has asked to end.
    #[must_use]
    pub fn quit(&self) -> bool {
        self.quit
    }

    /// Whether every camera has a picture.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.tiles.iter().all(|tile| tile.picture.is_some())
    }

    /// What a window would best be called.
    #[must_use]
    pub fn title(&self) -> String {
        match &*self.cameras {
            [camera] => format!("oaktap - {}", camera.name),
            cameras => format!("oaktap - {} cameras", cameras.len()),
        }
    }

    /// The sides that a new window should have: pictures one to one, unless that is too large or too small.
    #[must_use]
    pub fn opening_size(&self) -> (usize, usize) {
        opening_size(self.tiles.len(), self.picture_size())
    }

    fn picture_size(&self) -> (usize, usize) {
        let known = self.tiles.iter().find_map(|tile| tile.picture.as_ref());
        known.map_or((640, 360), |picture| (picture.width, picture.height))
    }

    fn is_seen(&self, camera: usize) -> bool {
        self.alone.is_none_or(|alone| alone == camera)
    }

    /// Does what a key asks for.
    pub(super) fn act(&mut self, action: Action) {
        self.stale = true;
        match action {
            Action::Quit => self.quit = true,
            Action::Pause => {
                self.paused = !self.paused;
                self.playbacks.iter().for_each(|playback| playback.pause(self.paused));
            }
            Action::Step if self.paused => {
                self.control(|controls| controls.steps += 1);
                self.playbacks.iter().for_each(Playback::step);
            }
            Action::Seek(seconds) => {
                let ns = i64::from(seconds) * 1_000_000_000;
                self.playbacks.iter().for_each(|playback| playback.seek_by(ns));
            }
            Action::Faster => self.playbacks.iter().for_each(Playback::faster),
            Action::Slower => self.playbacks.iter().for_each(Playback::slower),
            Action::Step => {}
            Action::Snapshot => {
                for at in (0..self.cameras.len()).filter(|at| self.is_seen(*at)) {
                    self.views.views()[at].control(|controls| controls.snapshots += 1);
                }
            }
            Action::Record => self.record(),
            Action::Hud => self.level = self.level.next(),
            Action::Boxes => self.boxes = !self.boxes,
            Action::Labels => self.labels = !self.labels,
            Action::Threshold(by) => {
                self.threshold = (self.threshold + i16::from(by)).clamp(0, 100);
                self.say(format!("confidence from {}%", self.threshold));
            }
            Action::FullSize => {
                self.zoom = match self.zoom {
                    Zoom::Fit => Zoom::FullSize,
                    Zoom::FullSize => Zoom::Fit,
                }
            }
            Action::Help => self.help = !self.help,
            Action::Enlarge(camera) if camera < self.cameras.len() => self.alone = Some(camera),
            Action::Enlarge(_) => {}
            Action::Next => self.alone = Some(self.alone.map_or(0, |alone| (alone + 1) % self.cameras.len().max(1))),
            Action::Grid => self.alone = None,
        }
        let (paused, boxes, labels) = (self.paused, self.boxes, self.labels);
        let threshold = f32::from(self.threshold) / 100.0;
        self.control(|controls| {
            (controls.paused, controls.boxes, controls.labels, controls.threshold) = (paused, boxes, labels, threshold);
        });
        for (at, camera) in self.cameras.iter().enumerate() {
            camera.pictures.mute(!self.is_seen(at));
        }
    }

    /// Starts to record, or stops.
    fn record(&mut self) {
        let Some(recorders) = &mut self.recorders else {
            return self.say("there is nothing here that could be recorded".to_owned());
        };
        if recorders.is_on() {
            let notify = Arc::clone(&self.notify);
            recorders.stop(move |outcomes| notify(summary(outcomes)));
            self.recording = None;
            return self.look();
        }
        let note = match recorders.start() {
            Ok(()) => format!("recording into {}", recorders.place().display()),
            Err(error) => error.help().map_or_else(|| error.to_string(), |help| format!("{error}: {help}")),
        };
        (self.print)(&note);
        self.say(note);
        self.look();
    }

    /// Numbers are looked at now, and not when it is time again.
    fn look(&mut self) {
        self.looked_ns = None;
    }

    fn control(&self, change: impl Fn(&mut ViewControls)) {
        self.views.views().iter().for_each(|view| view.control(&change));
    }

    fn say(&mut self, note: String) {
        self.note = Some((note, crate::net::clock::received_now().mono_ns + NOTE_NS));
        self.stale = true;
    }

    /// Takes what has come since it was asked last. `true`: there is something new to be seen.
    pub fn refresh(&mut self, now_ns: u64) -> bool {
        while let Ok(note) = self.notes.try_recv() {
            (self.print)(&note);
            self.say(note);
        }
        if self.note.as_ref().is_some_and(|(_, until_ns)| *until_ns < now_ns) {
            self.note = None;
            self.stale = true;
        }
        let look = self.looked_ns.is_none_or(|looked| now_ns.saturating_sub(looked) >= STATUS_NS);
        if look {
            self.looked_ns = Some(now_ns);
            let before = std::mem::take(&mut self.recording);
            self.recording = self.recorders.as_mut().and_then(|recorders| recorders.health(now_ns));
            let state = |health: &Option<RecordersHealth>| health.as_ref().map(|health| health.state.clone());
            self.stale |= self.level != Level::Off || state(&before) != state(&self.recording);
        }
        for (at, ((tile, camera), view)) in self.tiles.iter_mut().zip(&self.cameras).zip(self.views.views()).enumerate()
        {
            while let Some(picture) = camera.pictures.try_take() {
                tile.picture = Some(picture);
                tile.fresh = true;
                self.stale = true;
            }
            let state = camera.state();
            if look || std::mem::discriminant(&state) != std::mem::discriminant(&tile.status.state) {
                let health = view.health();
                self.stale |= state.to_string() != tile.status.state.to_string();
                self.stale |= health.error != tile.status.health.error;
                let age = |picture: &Arc<Picture>| now_ns.saturating_sub(picture.received.mono_ns);
                tile.status = Status {
                    state,
                    stats: camera.ledger.snapshot(),
                    health,
                    // What was recorded has no age that says anything.
                    age_ns: tile.picture.as_ref().filter(|_| camera.playback.is_none()).map(age),
                    threshold: f32::from(self.threshold) / 100.0,
                    recording: self.recording.as_ref().map(|health| Recording::of(health, at)),
                    name: std::mem::take(&mut tile.status.name),
                };
            }
        }
        if self.shows_position() {
            let standing = self.playbacks.first().map(Playback::status);
            // A position moves with the pictures; everything else is to be seen at once.
            let still = |standing: &PlaybackStatus| (standing.speed.to_string(), standing.paused, standing.ended);
            self.stale |= look && standing != self.standing;
            self.stale |= standing.as_ref().map(still) != self.standing.as_ref().map(still);
            self.standing = standing;
        }
        self.stale
    }

    fn shows_position(&self) -> bool {
        !self.playbacks.is_empty() && (self.level != Level::Off || self.paused)
    }

    /// What a window of this size is to show. With one picture that fits exactly and nothing to be said over it these
    /// are the picture's own words, otherwise those of a buffer that is used again and again.
    pub fn image(&mut self, width: usize, height: usize) -> Image<'_> {
        self.stale = false;
        if let Some(at) = self.bare((width, height)) {
            let picture = self.tiles[at].picture.as_ref().expect("a bare tile has its picture");
            return Image { words: picture.words(), width, height };
        }
        let trouble = self.recording_trouble();
        let standing = self.standing.filter(|_| self.shows_position());
        self.words.resize(width * height, GROUND);
        self.words.fill(GROUND);
        let seen: Vec<usize> = (0..self.tiles.len()).filter(|at| self.is_seen(*at)).collect();
        let places = tiles(seen.len(), (width, height), self.picture_size());
        for (at, place) in seen.into_iter().zip(places) {
            self.draw_tile(at, place, (width, height));
        }
        let mut canvas = Canvas::new(&mut self.words, width, height);
        let area = canvas.area();
        let px = hud::text_height(area);
        if self.paused {
            let lines = ["paused   . one further"];
            let size = self.text.panel_size(px, &lines);
            self.text.panel(&mut canvas, area.width - size.width - 8, 8, px, hud::WHITE, &lines);
        }
        if let Some(trouble) = trouble {
            let size = self.text.panel_size(px, &[&trouble]);
            let x = ((area.width - size.width) / 2).max(0);
            self.text.panel(&mut canvas, x, 8, px, hud::RED, &[&trouble]);
        }
        if let Some(standing) = standing {
            let (line, hud) = (px as i32 + 6, if self.level == Level::Line { px as i32 + 6 } else { 0 });
            let strip = Rect::new(0, area.height - hud - line, area.width, line);
            position::draw(&mut canvas, &mut self.text, px, strip, &standing);
        }
        if let Some((note, _)) = &self.note {
            let columns = (area.width - 32) / self.text.advance(px).max(1);
            let lines = hud::wrapped(note, columns.clamp(16, 90) as usize);
            let size = self.text.panel_size(px, &lines);
            let x = ((area.width - size.width) / 2).max(0);
            let y = area.height - size.height - 2 * px as i32 - 12;
            self.text.panel(&mut canvas, x, y, px, hud::WHITE, &lines);
        }
        if self.help {
            hud::draw_help(&mut canvas, &mut self.text, area);
        }
        Image { words: &self.words, width, height }
    }

    /// What is wrong with the recording, unless the HUD says it all: it cannot wait.
    fn recording_trouble(&self) -> Option<String> {
        let health = self.recording.as_ref().filter(|_| self.level != Level::Full)?;
        Recording::of(health, 0).trouble()
    }

    /// The one tile that is shown and needs nothing drawn over or beside it.
    fn bare(&self, window: (usize, usize)) -> Option<usize> {
        let undisturbed = self.level == Level::Off
            && !self.help
            && !self.paused
            && self.note.is_none()
            && self.recording_trouble().is_none();
        let at = self.alone.or((self.tiles.len() == 1).then_some(0)).filter(|_| undisturbed)?;
        let tile = &self.tiles[at];
        let picture = tile.picture.as_ref()?;
        ((picture.width, picture.height) == window && hud::message(&tile.status, true).is_none()).then_some(at)
    }

    fn draw_tile(&mut self, at: usize, place_at: Rect, (width, height): (usize, usize)) {
        let tile = &mut self.tiles[at];
        let message = hud::message(&tile.status, tile.picture.is_some());
        let mut covered = place_at;
        if let Some(picture) = &tile.picture {
            let placed: Placed = place((picture.width, picture.height), place_at, self.zoom);
            tile.scaler.copy(picture.words(), picture.width, placed, &mut self.words, width);
            covered = placed.at;
        }
        let mut canvas = Canvas::new(&mut self.words, width, height);
        if message.is_some() && tile.picture.is_some() {
            canvas.part(covered).gray_out();
        }
        match self.level {
            Level::Off => {}
            Level::Line => hud::draw_line(&mut canvas, &mut self.text, place_at, &tile.status),
            Level::Full => hud::draw_full(&mut canvas, &mut self.text, place_at, &tile.status),
        }
        if let Some((colour, lines)) = &message {
            hud::draw_message(&mut canvas, &mut self.text, place_at, (*colour, lines));
        }
    }

    /// What was asked for last has been shown to a person.
    pub(super) fn shown(&mut self) {
        for at in 0..self.tiles.len() {
            if self.is_seen(at) && std::mem::take(&mut self.tiles[at].fresh) {
                self.cameras[at].ledger.update(Stats::shown);
            }
        }
    }
}
