//! Performs the gestures of the pointer on the screen.

use super::keys::Action;
use super::menu::Menu;
use super::mouse::Gesture;
use super::screen::Screen;
use crate::recording::playback::Playback;

/// Factor of one step of the wheel.
const ZOOM_STEP: f64 = 1.25;

impl Screen {
    /// Handles a gesture of the pointer.
    pub(super) fn gesture(&mut self, gesture: Gesture) {
        match gesture {
            Gesture::Hover(at) => self.hover(at),
            Gesture::Press(at) if !self.has_overlay() => {
                if !self.drag_control(at, at.0) {
                    self.seek_to(self.timeline_at(at));
                }
            }
            Gesture::Drag { start, at, by } if !self.has_overlay() => {
                if self.drag_control(start, at.0) {
                    // It moved a slider.
                } else if self.timeline_at(start).is_some() {
                    self.seek_to(self.timeline_time(at.0));
                } else {
                    self.pan(start, by);
                }
            }
            Gesture::Press(_) | Gesture::Drag { .. } => {}
            Gesture::Click(at) => self.click(at),
            Gesture::DoubleClick(at) => self.double_click(at),
            Gesture::Menu(at) => {
                self.interaction.menu = Some(Menu::at(at));
                self.redraw();
            }
            Gesture::Zoom(_, steps) if self.help.is_open => {
                self.help.turn(isize::from(-steps));
                self.redraw();
            }
            Gesture::Zoom(at, steps) if !self.has_overlay() => self.zoom_at(at, ZOOM_STEP.powi(i32::from(steps))),
            Gesture::Zoom(..) => {}
        }
    }

    /// Returns whether the pointer does not reach the pictures.
    fn has_overlay(&self) -> bool {
        self.help.is_open || self.interaction.menu.is_some()
    }

    /// Moves the slider that was pressed at `start`, if there is one, and returns whether.
    fn drag_control(&mut self, start: (i32, i32), x: i32) -> bool {
        let cameras = &self.cameras;
        let moved = self.controls.drag(start, x, |camera| cameras[camera].spec.clone());
        self.stale |= moved;
        moved
    }

    fn seek_to(&mut self, to_ns: Option<i64>) {
        if let Some(to_ns) = to_ns {
            self.playbacks.iter().for_each(|playback: &Playback| playback.seek(to_ns));
            self.redraw();
        }
    }

    fn click(&mut self, at: (i32, i32)) {
        self.redraw();
        self.interaction.clicked = None;
        if let Some(menu) = self.interaction.menu.take() {
            if let Some(action) = menu.action_at(at) {
                // The entry says that it stops the recording, whatever is shown.
                self.interaction.stops_until_ns = Some(u64::MAX);
                self.act(action);
            }
        } else if self.help.is_open {
            self.help.toggle();
        } else if self.interaction.asks_to_quit {
            self.interaction.asks_to_quit = false;
        } else if self.timeline_at(at).is_none() && !self.click_panel(at) && self.cameras.len() > 1 {
            self.interaction.clicked = self.tile_at(at);
            let shown = self.interaction.clicked.filter(|_| self.enlarged.is_none());
            self.show_only(shown);
        }
    }

    /// The first click has enlarged the camera, or has reduced it.
    fn double_click(&mut self, at: (i32, i32)) {
        if self.has_overlay() || self.timeline_at(at).is_some() || self.click_panel(at) {
            return;
        }
        if let Some(camera) = self.interaction.clicked.take() {
            self.show_only(Some(camera));
        }
        self.act(Action::Fullscreen);
    }
}
