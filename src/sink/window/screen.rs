//! Composes the image of the window from the newest pictures of all cameras and the actions of keys.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::act::Interaction;
use super::camera::{CameraInput, Subscription};
use super::controls::Controls;
use super::design::Design;
use super::grid::{OPENING_ROOM, opening_size};
use super::help::Help;
use super::hover::Hover;
use super::hud::HudLevel;
use super::marks::{Marks, Recorded};
use super::panel::Panel;
use super::position::TimelineBar;
use super::recording::CameraRecording;
use super::status::CameraStatus;
use super::streams::FurtherStreams;
use super::tile::Tile;
use crate::frame::{Frame, Picture};
use crate::overlay::{Rect, Text};
use crate::recording::playback::{Playback, PlaybackStatus};
use crate::sink::record::{Recorders, RecordersHealth};
use crate::source::{Advise, Session, SessionState};
use crate::stats::{FrameCounts, Stats};
use crate::view::{Note, Notify, View, ViewHealth, Views};

/// Interval at which the numbers of the HUD change, slow enough to read them.
const STATUS_INTERVAL_NS: u64 = 250_000_000;

/// Time for which a note is shown.
pub(super) const NOTE_DURATION_NS: u64 = 4_000_000_000;

/// Time for which the hint at the help is shown.
const HINT_DURATION_NS: u64 = 6_000_000_000;

/// Composes what a window shows. Independent of the window, so it also works in tests and without a display.
pub struct Screen {
    /// The cameras, and after them their further streams.
    pub(super) cameras: Vec<CameraInput>,
    pub(super) streams: FurtherStreams,
    pub(super) views: Views,
    pub(super) tiles: Vec<Tile>,
    pub(super) recorders: Option<Recorders>,
    /// Why nothing may be recorded.
    pub(super) no_recording: Option<&'static str>,
    pub(super) notify: Notify,
    pub(super) recording: Option<Arc<RecordersHealth>>,
    /// Playbacks of the cameras that are recordings, without duplicates.
    pub(super) playbacks: Vec<Playback>,
    /// Last known status of the first playback.
    pub(super) position: Option<PlaybackStatus>,
    pub(super) notes: Receiver<Note>,
    /// Files of the pictures that were saved since the last press of the key.
    pub(super) saved: Vec<PathBuf>,
    pub(super) print: fn(&str),
    advise: Advise,
    /// The note and the time at which it expires.
    pub(super) note: Option<(String, u64)>,
    pub(super) level: HudLevel,
    pub(super) design: Design,
    pub(super) hover: Hover,
    pub(super) panel: Panel,
    pub(super) controls: Controls,
    /// When the panel counted detections last. `None`: count now.
    pub(super) counted_ns: Option<u64>,
    pub(super) marks: Marks,
    /// The timeline as it was drawn last, and its strip.
    pub(super) timeline: Option<(TimelineBar, Rect)>,
    pub(super) recording_since_ns: Option<u64>,
    /// Until when the hint at the help is shown.
    pub(super) hint_until_ns: Option<u64>,
    /// Time of the last refresh.
    pub(super) now_ns: u64,
    /// Index of the only camera that is shown. `None`: all are.
    pub(super) enlarged: Option<usize>,
    pub(super) help: Help,
    /// The full HUD has no room in its tiles.
    pub(super) cramped: bool,
    pub(super) interaction: Interaction,
    pub(super) paused: bool,
    pub(super) quit: bool,
    pub(super) boxes: bool,
    pub(super) labels: bool,
    pub(super) trails: bool,
    /// Minimum confidence in percent.
    pub(super) threshold: i16,
    /// Time of the last status update. `None`: update now.
    pub(super) status_ns: Option<u64>,
    /// The image must be drawn again.
    pub(super) stale: bool,
    pub(super) text: Text,
    pub(super) words: Vec<u32>,
}

/// Pixels of a window.
#[derive(Debug)]
pub struct ScreenImage<'a> {
    /// `width * height` words, `0x00RRGGBB` each.
    pub words: &'a [u32],
    /// Pixels per row.
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
    /// Creates a screen for sessions, their views and the subscriptions from [`subscribe`](super::subscribe), all in the same order. Notes from
    /// [`note_channel`](super::note_channel) are shown for 4 s each, and given to `print`.
    #[must_use]
    pub fn new(
        sessions: &[Session],
        views: Views,
        subscriptions: Vec<Subscription>,
        (notify, notes): (Notify, Receiver<Note>),
        print: fn(&str),
    ) -> Self {
        let camera = |(session, subscription)| CameraInput::new(session, subscription);
        let cameras: Vec<CameraInput> = sessions.iter().zip(subscriptions).map(camera).collect();
        let controls = views.views().first().map(View::controls);
        let tiles = cameras.iter().zip(views.views()).map(|(camera, view)| Tile::of(camera, view)).collect();
        let mut playbacks: Vec<Playback> = Vec::new();
        for playback in cameras.iter().filter_map(|camera| camera.playback.as_ref()) {
            if !playbacks.iter().any(|known| known.is(playback)) {
                playbacks.push(playback.clone());
            }
        }
        let recording = |camera: &CameraInput| {
            let start_ns = camera.playback.as_ref().and_then(Playback::common_start);
            Recorded {
                camera: camera.spec.recording().and_then(|file| file.camera.clone()),
                files: camera.files(),
                start_ns,
            }
        };
        let marks = Marks::read(cameras.iter().map(recording).collect());
        Self {
            cameras,
            streams: FurtherStreams::default(),
            views,
            tiles,
            recorders: None,
            no_recording: None,
            notify,
            recording: None,
            playbacks,
            position: None,
            notes,
            saved: Vec::new(),
            print,
            advise: |help, _| help.to_owned(),
            note: None,
            level: HudLevel::default(),
            design: Design::default(),
            hover: Hover::default(),
            panel: Panel::default(),
            controls: Controls::default(),
            counted_ns: None,
            marks,
            timeline: None,
            recording_since_ns: None,
            hint_until_ns: None,
            now_ns: 0,
            enlarged: None,
            help: Help::closed(),
            cramped: false,
            interaction: Interaction::new(),
            paused: false,
            quit: false,
            boxes: controls.is_none_or(|controls| controls.boxes),
            labels: controls.is_none_or(|controls| controls.labels),
            trails: controls.is_some_and(|controls| controls.trails),
            threshold: controls.map_or(0, |controls| (controls.threshold * 100.0).round() as i16),
            status_ns: None,
            stale: true,
            text: Text::new(),
            words: Vec::new(),
        }
    }

    /// Completes the commands in help texts for their cameras.
    #[must_use]
    pub fn with_advice(mut self, advise: Advise) -> Self {
        self.advise = advise;
        self
    }

    /// Lets the key `r` start and stop these recorders, which are connected to the same cameras.
    #[must_use]
    pub fn with_recorders(mut self, recorders: Recorders) -> Self {
        self.recorders = Some(recorders);
        self
    }

    /// Lets the key `r` show this reason instead of recording.
    pub(super) fn refuse_recording(&mut self, reason: &'static str) {
        self.no_recording = Some(reason);
    }

    /// Returns the recorders, to finish what they record.
    pub fn take_recorders(&mut self) -> Option<Recorders> {
        self.recorders.take()
    }

    /// Returns whether the user has quit.
    #[must_use]
    pub fn quit(&self) -> bool {
        self.quit
    }

    /// Returns whether every camera has a picture.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.tiles.iter().all(|tile| tile.picture.is_some())
    }

    /// Returns the size of a new window: pictures in their original size, unless that is too small or larger than the room on
    /// the screen.
    #[must_use]
    pub fn opening_size(&self, room: Option<(usize, usize)>) -> (usize, usize) {
        opening_size(self.tile_count(), self.picture_size(), room.unwrap_or(OPENING_ROOM))
    }

    /// Number of tiles: it grows when a camera sends a further stream.
    pub(super) fn tile_count(&self) -> usize {
        self.tiles.len()
    }

    /// Returns the conversion failures of each camera whose frames all failed to become pictures, in the order of the cameras.
    #[must_use]
    pub fn unseen(&self) -> Vec<Option<ViewHealth>> {
        // Without their further streams.
        let cameras = self.cameras.iter().zip(self.views.views()).take(self.camera_count());
        let unseen = cameras.map(|(camera, view)| {
            let pictures = camera.ledger.snapshot().frames.pictures;
            Some(view.health()).filter(|health| health.error.is_some() && pictures == 0)
        });
        unseen.collect()
    }

    /// Returns whether any camera has a picture.
    pub(super) fn has_picture(&self) -> bool {
        self.tiles.iter().any(|tile| tile.picture.is_some())
    }

    pub(super) fn picture_size(&self) -> (usize, usize) {
        let known = self.tiles.iter().find_map(|tile| tile.picture.as_ref());
        known.map_or((640, 360), |picture| picture.part.of)
    }

    /// Draws everything larger or smaller: 1 is the size on a screen of 96 dots per inch.
    pub(super) fn set_scale(&mut self, scale: f32) {
        self.design = self.design.scaled(scale);
        self.stale = true;
    }

    /// Points at the help for the first seconds.
    pub fn show_hint(&mut self) {
        self.hint_until_ns = Some(crate::net::clock::received_now().mono_ns + HINT_DURATION_NS);
        self.stale = true;
    }

    /// Draws dark text on light panels instead of light text on dark ones, or the other way round.
    pub(super) fn toggle_light(&mut self) {
        self.design = self.design.toggled();
        self.stale = true;
    }

    /// Changes the scale, and names it.
    pub(super) fn change_scale(&mut self, scale: f32) {
        self.set_scale(scale);
        self.show_note(format!("scale {:.0} %", self.design.scale() * 100.0));
    }

    /// Returns the frame of the last picture of a camera, unless the playback is at a time before it.
    pub(super) fn frame(&self, camera: usize) -> Option<Arc<Frame>> {
        self.views.views()[camera].frame().filter(|_| !self.cameras[camera].is_before_start())
    }

    pub(super) fn is_shown(&self, camera: usize) -> bool {
        self.enlarged.map_or_else(|| self.is_on_page(camera), |shown| shown == camera)
    }

    /// Number of cameras that are shown.
    pub(super) fn shown_count(&self) -> usize {
        (0..self.tiles.len()).filter(|at| self.is_shown(*at)).count()
    }

    pub(super) fn show_note(&mut self, note: String) {
        self.note = Some((note, crate::net::clock::received_now().mono_ns + NOTE_DURATION_NS));
        self.stale = true;
    }

    /// Takes new pictures, notes and states. Returns whether the image has changed.
    pub fn refresh(&mut self, now_ns: u64) -> bool {
        self.now_ns = now_ns;
        if self.hint_until_ns.is_some_and(|until_ns| until_ns < now_ns) {
            self.hint_until_ns = None;
            self.stale = true;
        }
        self.stale |= self.marks.update();
        if let Some(why) = self.controls.failure() {
            (self.print)(&why);
            self.show_note(why);
        }
        while let Ok(note) = self.notes.try_recv() {
            let text = note.to_string();
            (self.print)(&text);
            let text = self.add_saved(note).unwrap_or(text);
            self.show_note(text);
        }
        if self.note.as_ref().is_some_and(|(_, until_ns)| *until_ns < now_ns) {
            self.note = None;
            self.stale = true;
        }
        let is_due = self.status_ns.is_none_or(|last_ns| now_ns.saturating_sub(last_ns) >= STATUS_INTERVAL_NS);
        if is_due {
            self.status_ns = Some(now_ns);
            let before = std::mem::take(&mut self.recording);
            self.recording = self.recorders.as_mut().and_then(|recorders| recorders.health(now_ns)).map(Arc::new);
            let state =
                |health: &Option<Arc<RecordersHealth>>| health.as_ref().map(|health| health.total.state.clone());
            self.stale |= state(&before) != state(&self.recording);
            self.recording_since_ns = self.recording.as_ref().map(|_| self.recording_since_ns.unwrap_or(now_ns));
            self.stale |= self.recording.is_some() || self.panel.is_open;
            self.add_streams();
        }
        let mut has_new = false;
        let camera_count = self.camera_count();
        let recorded = self.recorders.as_ref().map(Recorders::recorded).unwrap_or_default();
        let shown: Vec<bool> = (0..self.tiles.len()).map(|at| self.is_shown(at)).collect();
        for (at, ((tile, camera), view)) in self.tiles.iter_mut().zip(&self.cameras).zip(self.views.views()).enumerate()
        {
            // A recording has all streams of a camera.
            let source = camera.stream_of.unwrap_or(at);
            self.stale |= camera.numbers.take_changed();
            while let Some(picture) = camera.pictures.try_take() {
                // A view converts a frame again when the size of its tile or what it shows of it changes.
                tile.fresh |= tile.counted != Some((picture.frame_id, picture.received.mono_ns));
                tile.picture = Some(picture);
                has_new = true;
                self.stale = true;
            }
            if camera.is_before_start() && tile.picture.take().is_some() {
                // It is of a later time than the position of the playback.
                has_new = true;
                self.stale = true;
            }
            let damaged = tile.picture.as_ref().is_some_and(|picture| view.is_damaged(picture));
            self.stale |= std::mem::replace(&mut tile.damaged, damaged) != damaged;
            let state = camera.state();
            let outside = |state: &SessionState| match state {
                SessionState::Outside(outside) => Some(*outside),
                _ => None,
            };
            let changed = std::mem::discriminant(&state) != std::mem::discriminant(&tile.status.state)
                || outside(&state) != outside(&tile.status.state);
            if is_due || changed {
                let health = view.health();
                self.stale |= state.to_string() != tile.status.state.to_string();
                self.stale |= health.error != tile.status.health.error;
                let help = tile.advised.text(&self.cameras[source].name, &state, &health, self.advise);
                self.stale |= help != tile.status.help;
                let stats = camera.ledger.snapshot();
                let FrameCounts { withdrawn, lost, .. } = stats.frames;
                let damage = withdrawn + lost + stats.resyncs;
                let trouble = tile.trouble.counted(damage, stats.reconnects(), now_ns);
                let age = |picture: &Arc<Picture>| now_ns.saturating_sub(picture.received.mono_ns);
                let status = CameraStatus {
                    state,
                    held: camera.playback.as_ref().is_some_and(|playback| {
                        let now = playback.status();
                        now.paused || now.ended
                    }),
                    stats,
                    health,
                    help,
                    // The age of a recorded picture says nothing, nor that of one that is held on purpose.
                    age_ns: tile.picture.as_ref().filter(|_| camera.playback.is_none() && !self.paused).map(age),
                    threshold: f32::from(self.threshold) / 100.0,
                    recording: self.recording.clone().filter(|_| recorded.contains(&source)).map(|health| {
                        let (camera, is_part) = (source - recorded.start, recorded.len() < camera_count);
                        CameraRecording { health, camera, is_part }
                    }),
                    trouble,
                    name: tile.status.name.clone(),
                };
                // Unchanged numbers are not drawn again.
                self.stale |= shown[at] && status.differs(&tile.status, self.level);
                tile.status = status;
            }
        }
        self.count_detections(has_new);
        if !self.playbacks.is_empty() {
            let position = self.playbacks.first().map(Playback::status);
            // The position changes with the pictures, so only other changes are shown at once.
            let other = |position: &PlaybackStatus| (position.speed.to_string(), position.paused, position.ended);
            self.stale |= is_due && position != self.position && self.shows_position();
            self.stale |= position.as_ref().map(other) != self.position.as_ref().map(other);
            // One that is not drawn now is compared with the drawn one when the next status is due.
            if self.stale {
                self.position = position;
            }
        }
        self.stale
    }

    pub(super) fn shows_position(&self) -> bool {
        !self.playbacks.is_empty() && (self.level != HudLevel::Off || self.paused)
    }

    /// Draws the image again, although nothing has changed.
    pub(super) fn redraw(&mut self) {
        self.stale = true;
    }

    /// Counts the pictures of the last image as shown.
    pub(super) fn shown(&mut self) {
        for at in 0..self.tiles.len() {
            if self.is_shown(at) && std::mem::take(&mut self.tiles[at].fresh) {
                let tile = &mut self.tiles[at];
                tile.counted = tile.picture.as_ref().map(|picture| (picture.frame_id, picture.received.mono_ns));
                self.cameras[at].ledger.update(Stats::shown);
            }
        }
    }
}
