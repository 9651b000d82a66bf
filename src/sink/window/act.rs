//! Performs the actions of keys on the screen.

use std::sync::Arc;

use super::keys::Action;
use super::recording::summary;
use super::screen::Screen;
use crate::recording::playback::Playback;
use crate::view::{ViewControls, Zoom};

impl Screen {
    /// Performs the action of a key.
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
                for at in (0..self.cameras.len()).filter(|at| self.is_shown(*at)) {
                    self.views.views()[at].control(|controls| controls.snapshots += 1);
                }
            }
            Action::Record => self.record(),
            Action::Hud => self.level = self.level.next(),
            Action::Boxes => self.boxes = !self.boxes,
            Action::Labels => self.labels = !self.labels,
            Action::Threshold(by) => {
                self.threshold = (self.threshold + i16::from(by)).clamp(0, 100);
                self.show_note(format!("confidence from {} %", self.threshold));
            }
            Action::ToggleZoom => {
                let is_fit = self.tiles.iter().all(|tile| tile.zoom == Zoom::Fit);
                let zoom = if is_fit { Zoom::ORIGINAL_SIZE } else { Zoom::Fit };
                self.tiles.iter_mut().for_each(|tile| tile.zoom = zoom);
            }
            Action::Help => self.help = !self.help,
            Action::ShowOne(camera) if camera < self.cameras.len() => self.enlarged = Some(camera),
            Action::ShowOne(_) => {}
            Action::ShowNext => {
                self.enlarged = Some(self.enlarged.map_or(0, |shown| (shown + 1) % self.cameras.len().max(1)));
            }
            Action::ShowAll => self.enlarged = None,
        }
        let (paused, boxes, labels) = (self.paused, self.boxes, self.labels);
        let threshold = f32::from(self.threshold) / 100.0;
        self.control(|controls| {
            (controls.paused, controls.boxes, controls.labels, controls.threshold) = (paused, boxes, labels, threshold);
        });
        for (at, camera) in self.cameras.iter().enumerate() {
            camera.pictures.mute(!self.is_shown(at));
        }
    }

    /// Starts or stops recording.
    fn record(&mut self) {
        if let Some(reason) = self.no_recording {
            return self.show_note(format!("recording is not available here: {reason}"));
        }
        let Some(recorders) = &mut self.recorders else {
            return self.show_note("recording is not available here".to_owned());
        };
        if recorders.is_on() {
            let notify = Arc::clone(&self.notify);
            recorders.stop(move |outcomes| notify(summary(outcomes)));
            self.recording = None;
            return self.refresh_status();
        }
        let note = match recorders.start() {
            Ok(()) => format!("recording to {}", recorders.path().display()),
            Err(error) => error.help().map_or_else(|| error.to_string(), |help| format!("{error}: {help}")),
        };
        (self.print)(&note);
        self.show_note(note);
        self.refresh_status();
    }

    /// Updates the status with the next refresh.
    fn refresh_status(&mut self) {
        self.status_ns = None;
    }

    fn control(&self, change: impl Fn(&mut ViewControls)) {
        self.views.views().iter().for_each(|view| view.control(&change));
    }
}
