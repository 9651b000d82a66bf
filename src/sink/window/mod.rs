//! Shows the pictures of cameras in a window and handles its keys. Main thread only.
//!
//! minifb opens the window and draws. `platform` does what minifb lacks.
//!
//! | Change | Files |
//! |---|---|
//! | a key, an entry of the menu, a line of the help | `keys`, `act`, `menu`, `help`; `available` says in which windows |
//! | the mouse | `mouse` (events to gestures), `gesture` (what they do), `pointer` (what is at a point), `hover` |
//! | a word about a camera | `status`, drawn by `hud`; `recording` for what is recorded |
//! | a state that is named as long as it holds | `notices`, with its place; `absent` for cameras that are not streaming |
//! | a question, a note, the hint | `message` |
//! | places | `draw` (the image, in layers), `free` (nothing over each other), `grid`, `tile`; sizes and colors in `design`, text in `pen` |
//! | the timeline | `position`, `marks` |
//! | the side panel | `panel`, `controls`, `search` |
//! | tiles of further streams | `streams` |
//! | numbers beside the pictures | `numbers`, in tiles without a picture and in the side panel |

mod absent;
mod act;
mod available;
mod axis;
mod camera;
mod controls;
mod design;
mod draw;
mod free;
mod gesture;
mod grid;
mod help;
mod hover;
mod hud;
mod keys;
mod marks;
mod menu;
mod message;
mod mouse;
mod notices;
mod numbers;
mod panel;
mod pen;
mod platform;
mod pointer;
mod position;
mod recording;
mod screen;
mod search;
mod status;
mod streams;
mod tile;
mod tile_message;

use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use minifb::{ScaleMode, WindowOptions};

use crate::net::clock::received_now;
pub use camera::{Subscription, note_channel, subscribe};
pub use design::SCALES;
pub use hover::PixelAt;
use keys::{KeyEvents, Keyboard};
use mouse::{Mouse, PolledPointer};
use platform::{Companion, Display, WindowEvent};
pub use screen::{Screen, ScreenImage};

/// Interval at which keys are handled while no picture arrives.
const POLL_INTERVAL: Duration = Duration::from_millis(8);

/// Bounds of the time from one draw to the next: at most 333 draws per second, and 90 are always allowed. Between them a
/// draw waits until it takes a third of the time.
const DRAW_INTERVALS_NS: (u64, u64) = (3_000_000, 11_000_000);

/// Pictures of this number of cameras may be drawn at the shortest interval. Those of more cameras are drawn together.
const CAMERAS_AT_SHORTEST_INTERVAL: u64 = 4;

/// Returns the time from a draw to the next one, which a picture that arrives in between has to wait for.
fn draw_interval_ns(cost_ns: u64, cameras: usize) -> u64 {
    let least = DRAW_INTERVALS_NS.0.saturating_mul(cameras as u64 / CAMERAS_AT_SHORTEST_INTERVAL);
    cost_ns.saturating_mul(3).max(least).clamp(DRAW_INTERVALS_NS.0, DRAW_INTERVALS_NS.1)
}

/// Logs the number of draws in each second, when it changes.
#[derive(Debug, Default)]
struct DrawRate {
    since_ns: u64,
    draws: u32,
    logged: Option<u32>,
}

impl DrawRate {
    fn count(&mut self, draws: u32, now_ns: u64) {
        if now_ns.saturating_sub(self.since_ns) >= 1_000_000_000 {
            if self.logged.replace(self.draws) != Some(self.draws) {
                tracing::debug!("{} draws in the last second", self.draws);
            }
            (self.since_ns, self.draws) = (now_ns, 0);
        }
        self.draws += draws;
    }
}

/// Time to wait for the first pictures, which determine the size of the window.
const FIRST_PICTURE_TIMEOUT: Duration = Duration::from_secs(1);

/// Reason for not showing a window.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// No window can be opened, for example because there is no display.
    #[error("cannot open a window: {0}")]
    NoDisplay(String),
    /// The open window cannot be updated.
    #[error("cannot draw in the window: {0}")]
    Update(minifb::Error),
    /// The window system has closed the window.
    #[error("the window was closed from outside: {0}")]
    Lost(String),
}

/// The program that shows a window.
pub trait Program {
    /// Returns whether the window must be closed.
    fn done(&mut self) -> bool;

    /// Replaces the screen by one that plays files, which the user has dropped on the window.
    ///
    /// # Errors
    /// The reason, for people, if they cannot be played. The screen has then not changed.
    fn play(&mut self, files: &[PathBuf], screen: &mut Screen) -> Result<(), String>;
}

/// Opens a window and shows the screen until the user closes it or quits, or until the program is done. Text and lines
/// have this scale; `None`: that of the desktop.
///
/// # Errors
/// No window can be opened, it cannot be updated, or the window system has closed it.
pub fn show(screen: &mut Screen, scale: Option<f32>, program: &mut impl Program) -> Result<(), WindowError> {
    let display = Display::ask().map_err(WindowError::NoDisplay)?;
    screen.open_at_scale(scale.unwrap_or_else(|| display.scale()));
    let opened_ns = received_now().mono_ns;
    let waited = || u128::from(received_now().mono_ns - opened_ns) >= FIRST_PICTURE_TIMEOUT.as_nanos();
    while !program.done() && !screen.complete() && !waited() {
        thread::park_timeout(POLL_INTERVAL);
        screen.refresh(received_now().mono_ns);
    }
    let room = display.room();
    let mut opened = screen.opening_size(room);
    let (mut waits_for_size, mut tiles) = (!screen.has_picture(), screen.tile_count());
    // The buffer always has the size of the window, so minifb does not need to scale it.
    let options = WindowOptions { resize: true, scale_mode: ScaleMode::UpperLeft, ..WindowOptions::default() };
    let mut title = screen.title();
    let mut window = minifb::Window::new(&title, opened.0, opened.1, options)
        .map_err(|error| WindowError::NoDisplay(error.to_string()))?;
    let mut companion = Companion::attach(display, &window);
    if let Some(reason) = companion.unsafe_to_record() {
        screen.refuse_recording(reason);
    }
    // This loop waits for pictures itself, so minifb must not sleep.
    window.set_target_fps(0);
    let (tx, key_events) = channel();
    window.set_input_callback(Box::new(KeyEvents(tx)));
    let (mut keyboard, mut mouse, mut polled) = (Keyboard::default(), Mouse::default(), PolledPointer::default());
    screen.show_hint();
    let (mut size, mut drawn_ns, mut interval_ns, mut rate) = ((0, 0), 0, 0, DrawRate::default());
    while window.is_open() && !screen.quit() && !program.done() {
        let now_ns = received_now().mono_ns;
        let due = screen.refresh(now_ns) || window.get_size() != size;
        if due && now_ns - drawn_ns >= interval_ns {
            drawn_ns = now_ns;
            size = window.get_size();
            // minifb rejects an empty buffer.
            let image = screen.image(size.0.max(1), size.1.max(1));
            window.update_with_buffer(image.words, image.width, image.height).map_err(WindowError::Update)?;
            screen.shown();
            interval_ns = draw_interval_ns(received_now().mono_ns - now_ns, screen.shown_count());
            rate.count(1, now_ns);
        } else {
            rate.count(0, now_ns);
            thread::park_timeout(if due {
                Duration::from_nanos(interval_ns - (now_ns - drawn_ns))
            } else {
                POLL_INTERVAL
            });
            window.update();
        }
        if let Some(reason) = companion.lost() {
            // Closing it would use the broken connection.
            std::mem::forget(window);
            return Err(WindowError::Lost(reason));
        }
        if (waits_for_size && screen.has_picture()) || tiles != screen.tile_count() {
            (waits_for_size, tiles) = (waits_for_size && !screen.has_picture(), screen.tile_count());
            // Not after the user has changed the size.
            if window.get_size() == opened {
                opened = screen.opening_size(room);
                companion.resize(opened);
            }
        }
        let mut pointer = if companion.has_pointer() { Vec::new() } else { polled.events(&window, now_ns) };
        for event in companion.events() {
            match event {
                WindowEvent::Pointer(event) => pointer.push(event),
                WindowEvent::Exposed => screen.redraw(),
                WindowEvent::Unfocused => keyboard.release_all(),
                WindowEvent::Fullscreen(fullscreen) => screen.set_fullscreen(fullscreen),
                WindowEvent::CloseAsked => screen.close(),
                WindowEvent::Dropped(files) => screen.play(files, program),
            }
        }
        pointer.into_iter().flat_map(|event| mouse.gestures(event)).for_each(|gesture| screen.gesture(gesture));
        key_events.try_iter().filter_map(|event| keyboard.press(event)).for_each(|press| screen.press(press));
        if screen.title() != title {
            title = screen.title();
            window.set_title(&title);
        }
        if screen.take_fullscreen_toggle() && !companion.toggle_fullscreen() {
            screen.show_note("this window cannot fill the screen by itself: use the window manager's key".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cheap_draws_follow_soon_and_expensive_ones_do_not_pile_up() {
        let intervals_us = [100, 2000, 3000, 20_000].map(|cost_us| draw_interval_ns(1000 * cost_us, 1) / 1000);
        assert_eq!(intervals_us, [3000, 6000, 9000, 11_000]);
    }

    #[test]
    fn pictures_of_many_cameras_are_drawn_together() {
        let least_us = [0, 1, 4, 7, 9, 12, 40].map(|cameras| draw_interval_ns(0, cameras) / 1000);
        assert_eq!(least_us, [3000, 3000, 3000, 3000, 6000, 9000, 11_000]);
    }
}
