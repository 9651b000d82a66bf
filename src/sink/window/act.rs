//! Performs the actions of keys on the screen.

use std::ops::Range;
use std::path::PathBuf;

use super::Program;
use super::design::SCALE_STEP;
use super::keys::{Action, Press};
use super::menu::Menu;
use super::position::speed_word;
use super::screen::Screen;
use crate::recording::playback::Playback;
use crate::sink::record::Recorders;
use crate::units;
use crate::view::{Note, ViewControls, Zoom};

/// Number of cameras on a page: the keys 1 to 9 reach each of them.
pub(super) const PAGE: usize = 9;

/// Time after which Esc ends the program when it has closed something before: it may be pressed once too often.
const ESCAPE_PAUSE_NS: u64 = 1_000_000_000;

/// What the user is doing beside watching.
#[derive(Debug)]
pub(super) struct Interaction {
    /// Scale that the user or the desktop has set.
    scale: f32,
    /// Asks whether to end while recording.
    pub(super) asks_to_quit: bool,
    /// Until when the key of recordings stops one of cameras that are not shown: the window has said that it will.
    pub(super) stops_until_ns: Option<u64>,
    pub(super) menu: Option<Menu>,
    /// Camera of the last click.
    pub(super) clicked: Option<usize>,
    /// Text that the name of a camera or class must contain, while it is typed.
    pub(super) search: Option<String>,
    /// Number of the page that is shown, from 0. `None`: all cameras.
    pub(super) page: Option<usize>,
    /// The window fills the screen.
    pub(super) fullscreen: bool,
    /// The user wants to fill the screen, or no longer.
    toggle_fullscreen: bool,
    /// A key without an action was answered.
    explained: bool,
    /// Time at which Esc closed something last.
    escaped_ns: Option<u64>,
}

impl Interaction {
    pub(super) const fn new() -> Self {
        Self {
            scale: 1.0,
            asks_to_quit: false,
            stops_until_ns: None,
            menu: None,
            clicked: None,
            search: None,
            page: None,
            fullscreen: false,
            toggle_fullscreen: false,
            explained: false,
            escaped_ns: None,
        }
    }

    /// Returns whether Esc has closed something a moment ago.
    fn has_escaped(&self, now_ns: u64) -> bool {
        self.escaped_ns.is_some_and(|escaped_ns| now_ns.saturating_sub(escaped_ns) < ESCAPE_PAUSE_NS)
    }
}

/// Returns the name of the first file, and the number of the others.
fn named(files: &[PathBuf]) -> String {
    let name = files.first().and_then(|file| file.file_name()).unwrap_or_default().to_string_lossy();
    match files.len() {
        0 | 1 => name.into_owned(),
        count => format!("{name} and {} more", count - 1),
    }
}

/// Returns the cameras that are shown: the enlarged one, those of the page, or all.
pub(super) fn shown_range(enlarged: Option<usize>, page: Option<usize>, count: usize) -> Range<usize> {
    match (enlarged, page) {
        (Some(camera), _) => camera..camera + 1,
        (None, Some(page)) => page * PAGE..((page + 1) * PAGE).min(count),
        (None, None) => 0..count,
    }
}

impl Screen {
    /// Sets the scale to which the user can return.
    pub(super) fn open_at_scale(&mut self, scale: f32) {
        self.interaction.scale = scale;
        self.set_scale(scale);
    }

    /// Handles a press of a key.
    pub(super) fn press(&mut self, press: Press) {
        if self.interaction.search.is_some() {
            return self.type_search(press);
        }
        match press {
            Press::Key(_, Some(action)) | Press::Character(_, Some(action)) => self.act(action),
            _ if self.interaction.asks_to_quit => {
                self.interaction.asks_to_quit = false;
                self.stale = true;
            }
            Press::Character(character, None) if !std::mem::replace(&mut self.interaction.explained, true) => {
                self.show_note(format!("`{character}` does nothing here: ? shows the keys"));
            }
            Press::Key(_, None) | Press::Character(_, None) => {}
        }
    }

    /// Performs an action.
    pub(super) fn act(&mut self, action: Action) {
        self.stale = true;
        if std::mem::take(&mut self.interaction.asks_to_quit) {
            // Every other key answers no.
            self.quit = matches!(action, Action::Yes | Action::Quit);
            if action == Action::Escape {
                self.escaped();
            }
            return;
        }
        if self.help.take(action) {
            return;
        }
        let stops_until_ns = self.interaction.stops_until_ns.take();
        match action {
            Action::Quit => self.close(),
            Action::Escape => self.escape(),
            Action::Yes => {}
            Action::Pause => self.pause_or_restart(),
            Action::Step if self.paused => {
                self.control(|controls| controls.steps += 1);
                self.playbacks.iter().for_each(Playback::step);
            }
            Action::Step => self.pause(true),
            Action::StepBack if self.playbacks.is_empty() => {
                self.show_note("only recordings have pictures to go back to".to_owned());
            }
            Action::StepBack => {
                self.pause(true);
                self.playbacks.iter().for_each(Playback::step_back);
            }
            Action::Seek(_) | Action::SeekStart | Action::SeekEnd if self.playbacks.is_empty() => {
                self.show_note("a live camera cannot be rewound".to_owned());
            }
            Action::Seek(seconds) => {
                let ns = i64::from(seconds) * 1_000_000_000;
                self.playbacks.iter().for_each(|playback| playback.seek_by(ns));
            }
            Action::SeekStart => self.playbacks.iter().for_each(|playback| playback.seek(i64::MIN)),
            Action::SeekEnd => self.playbacks.iter().for_each(|playback| playback.seek(i64::MAX)),
            Action::Faster | Action::Slower if self.playbacks.is_empty() => {
                self.show_note("only recordings have a speed".to_owned());
            }
            Action::Faster => self.change_speed(Playback::faster),
            Action::Slower => self.change_speed(Playback::slower),
            Action::Snapshot => self.save_pictures(),
            Action::Record => self.record(stops_until_ns.is_some_and(|until_ns| self.now_ns < until_ns)),
            Action::Hud => self.level = self.level.next(),
            Action::Boxes => self.boxes = !self.boxes,
            Action::Labels => self.labels = !self.labels,
            Action::Trails => self.toggle_trails(),
            Action::Threshold(by) => {
                self.threshold = (self.threshold + i16::from(by)).clamp(0, 100);
                // Other values are named as long as they hold.
                if self.threshold == 0 {
                    self.show_note("all confidences are drawn".to_owned());
                }
            }
            Action::ToggleZoom => {
                let is_fit = self.tiles.iter().all(|tile| tile.zoom == Zoom::Fit);
                let zoom = if is_fit { Zoom::ORIGINAL_SIZE } else { Zoom::Fit };
                self.tiles.iter_mut().for_each(|tile| tile.zoom = zoom);
            }
            Action::Fullscreen => self.interaction.toggle_fullscreen = true,
            Action::Scale(0) => self.change_scale(self.interaction.scale),
            Action::Scale(steps) => self.change_scale(self.design.scale() + SCALE_STEP * f32::from(steps)),
            Action::Panel => self.toggle_panel(),
            Action::Palette => self.toggle_light(),
            Action::Help => {
                self.help.toggle();
                self.hint_until_ns = None;
            }
            Action::ShowOne(number) => {
                let camera = self.interaction.page.unwrap_or(0) * PAGE + number;
                if camera < self.cameras.len() {
                    self.enlarged = Some(camera);
                }
            }
            Action::ShowOther(by) => self.show_other(by),
            Action::ShowAbsent => self.show_absent(),
            Action::Page(by) => self.turn_page(by),
            Action::ShowAll => (self.enlarged, self.interaction.page) = (None, None),
            Action::Find => self.interaction.search = Some(String::new()),
        }
        self.apply();
    }

    /// Saves the pictures on the screen.
    fn save_pictures(&mut self) {
        let shown: Vec<usize> = (0..self.cameras.len()).filter(|at| self.is_shown(*at)).collect();
        let (without, with): (Vec<_>, Vec<_>) = shown.into_iter().partition(|at| self.cameras[*at].is_before_start());
        if with.is_empty() && !without.is_empty() {
            self.show_note("no picture to save".to_owned());
        }
        self.saved.clear();
        for at in with {
            self.views.views()[at].control(|controls| controls.snapshots += 1);
        }
    }

    /// Adds a picture that was saved. Returns the text for all of them, if there are several.
    pub(super) fn add_saved(&mut self, note: Note) -> Option<String> {
        let Note::Saved { path, .. } = note else { return None };
        self.saved.push(path);
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let names = || self.saved.iter().map(name).collect::<Vec<_>>().join(", ");
        (self.saved.len() > 1).then(|| format!("saved {} pictures: {}", self.saved.len(), names()))
    }

    /// Shows only this camera, or all of the page.
    pub(super) fn show_only(&mut self, camera: Option<usize>) {
        self.enlarged = camera;
        self.apply();
    }

    /// Shows or hides trails, and says if no camera on the screen sends tracks.
    fn toggle_trails(&mut self) {
        self.trails = !self.trails;
        let views = self.views.views().iter().enumerate().filter(|(at, _)| self.is_shown(*at));
        let frames = views.filter_map(|(at, _)| self.frame(at));
        let has_tracks = frames.fold(None, |found, frame| Some(found == Some(true) || !frame.tracks.is_empty()));
        self.show_note(match (self.trails, has_tracks) {
            (true, Some(false)) => "trails on: the pictures on the screen have no tracks".to_owned(),
            (true, _) => "trails on".to_owned(),
            (false, _) => "trails off".to_owned(),
        });
    }

    /// Passes the state to the views.
    pub(super) fn apply(&mut self) {
        let (paused, boxes, labels, trails) = (self.paused, self.boxes, self.labels, self.trails);
        let threshold = f32::from(self.threshold) / 100.0;
        self.control(|controls| {
            (controls.paused, controls.boxes, controls.labels) = (paused, boxes, labels);
            (controls.trails, controls.threshold) = (trails, threshold);
        });
        for (at, camera) in self.cameras.iter().enumerate() {
            camera.pictures.mute(!self.is_shown(at));
        }
    }

    /// Returns whether a camera is on the page that is shown.
    pub(super) fn is_on_page(&self, camera: usize) -> bool {
        self.interaction.page.is_none_or(|page| camera / PAGE == page)
    }

    /// Returns whether the user wants to switch between full screen and window, once.
    pub(super) fn take_fullscreen_toggle(&mut self) -> bool {
        std::mem::take(&mut self.interaction.toggle_fullscreen)
    }

    /// Takes over whether the window fills the screen.
    pub(super) fn set_fullscreen(&mut self, fullscreen: bool) {
        self.interaction.fullscreen = fullscreen;
    }

    /// Ends the program. Asks before while it records, once.
    pub(super) fn close(&mut self) {
        let is_recording = self.recorders.as_ref().is_some_and(Recorders::is_on);
        let has_asked = std::mem::replace(&mut self.interaction.asks_to_quit, is_recording);
        self.quit |= has_asked || !is_recording;
        self.interaction.search = None;
        self.stale = true;
    }

    /// Closes the innermost thing that is open. Ends the program if nothing is, unless the key was pressed a moment ago for
    /// something else: to close it, or to dismiss a message.
    fn escape(&mut self) {
        let has_dismissed = self.note.take().is_some();
        let mut has_closed = true;
        if self.interaction.menu.take().is_some() {
            // That was open above everything else.
        } else if self.help.is_open {
            self.help.toggle();
        } else if self.panel.is_open {
            self.toggle_panel();
        } else if self.interaction.fullscreen {
            self.interaction.toggle_fullscreen = true;
        } else if self.enlarged.is_some() {
            self.enlarged = None;
        } else if self.interaction.page.is_some() {
            self.interaction.page = None;
        } else {
            has_closed = false;
        }
        let is_recording = self.recorders.as_ref().is_some_and(Recorders::is_on);
        if has_closed || (has_dismissed && !is_recording) {
            self.escaped();
        } else if is_recording || !self.interaction.has_escaped(self.now_ns) {
            self.close();
        }
    }

    /// Notes that Esc has closed something.
    pub(super) fn escaped(&mut self) {
        self.interaction.escaped_ns = Some(self.now_ns);
    }

    fn pause(&mut self, paused: bool) {
        self.paused = paused;
        self.playbacks.iter().for_each(|playback| playback.pause(paused));
    }

    /// Changes the speed of all recordings, and names it where the timeline does not.
    fn change_speed(&mut self, change: fn(&Playback)) {
        self.playbacks.iter().for_each(change);
        let speed = self.playbacks.first().map(|playback| playback.status().speed);
        if let Some(speed) = speed.filter(|_| !self.shows_position()) {
            self.show_note(format!("speed {}", speed_word(speed)));
        }
    }

    fn pause_or_restart(&mut self) {
        let ended = |playback: &Playback| playback.status().ended;
        if !self.playbacks.is_empty() && self.playbacks.iter().all(ended) {
            self.pause(false);
            self.playbacks.iter().for_each(|playback| playback.seek(i64::MIN));
        } else {
            self.pause(!self.paused);
        }
    }

    fn show_other(&mut self, by: i8) {
        let count = self.cameras.len().max(1);
        let first = self.interaction.page.map_or(0, |page| page * PAGE);
        let next = |shown: usize| (shown + count).saturating_add_signed(isize::from(by)) % count;
        let shown = self.enlarged.map_or(first, next);
        self.enlarged = Some(shown);
        self.interaction.page = self.interaction.page.map(|_| shown / PAGE);
    }

    /// Shows the page of the enlarged camera, or the next or previous page, with all cameras between the last and the first.
    fn turn_page(&mut self, by: i8) {
        let enlarged = self.enlarged.take();
        let pages = self.cameras.len().div_ceil(PAGE);
        if pages < 2 {
            return;
        }
        // 0 stands for all cameras.
        let now = self.interaction.page.map_or(0, |page| page + 1);
        let next = (now + pages + 1).saturating_add_signed(isize::from(by)) % (pages + 1);
        self.interaction.page = enlarged.map(|camera| camera / PAGE).or(next.checked_sub(1));
        // Otherwise a notice names them as long as they are shown.
        if !self.makes_room() || self.interaction.page.is_none() {
            self.show_note(self.shown_cameras());
        }
    }

    /// Plays files that the user has dropped on the window instead of what it shows. Says why if that is impossible.
    pub(super) fn play(&mut self, files: Result<Vec<PathBuf>, String>, program: &mut impl Program) {
        let recording = self.recorders.as_ref().is_some_and(Recorders::is_on);
        let played = match files {
            Ok(_) if recording => Err("stop the recording first (r), then drop the file again".to_owned()),
            Ok(files) => {
                let (design, level, scale) = (self.design, self.level, self.interaction.scale);
                let (fullscreen, no_recording) = (self.interaction.fullscreen, self.no_recording);
                let played = program.play(&files, self);
                if played.is_ok() {
                    (self.design, self.level, self.interaction.scale) = (design, level, scale);
                    (self.interaction.fullscreen, self.no_recording) = (fullscreen, no_recording);
                }
                played.map_err(|why| format!("cannot play {}: {why}", named(&files)))
            }
            Err(why) => Err(format!("cannot play what was dropped: {why}")),
        };
        if let Err(note) = played {
            self.show_note(note);
        }
    }

    /// Names the cameras of the page by their numbers, together with the further streams if there are some.
    pub(super) fn shown_cameras(&self) -> String {
        let (count, cameras) = (self.cameras.len(), self.camera_count());
        let tiles = if count > cameras { "streams" } else { "cameras" };
        match self.interaction.page {
            None if count > cameras => {
                format!("{}, {count} streams", units::count(cameras as u64, "camera", "cameras"))
            }
            None => format!("{count} cameras"),
            Some(page) => format!("{tiles} {} to {} of {count}", page * PAGE + 1, ((page + 1) * PAGE).min(count)),
        }
    }

    /// Updates the status with the next refresh.
    pub(super) fn refresh_status(&mut self) {
        self.status_ns = None;
    }

    fn control(&self, change: impl Fn(&mut ViewControls)) {
        self.views.views().iter().for_each(|view| view.control(&change));
    }
}
