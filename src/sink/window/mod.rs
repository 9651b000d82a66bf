//! Shows the pictures of cameras in a window and handles its keys. Main thread only.
//!
//! minifb opens the window and draws. `platform` does what minifb lacks.

mod act;
mod camera;
mod design;
mod draw;
mod grid;
mod hover;
mod hud;
mod keys;
mod marks;
mod notices;
mod panel;
mod pen;
mod platform;
mod pointer;
mod position;
mod recording;
mod screen;
mod status;
mod tile;

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use minifb::{ScaleMode, WindowOptions};

use crate::net::clock::received_now;
pub use camera::{note_channel, subscribe};
pub use hover::PixelAt;
use keys::Keyboard;
use platform::{Companion, Display};
pub use screen::{Screen, ScreenImage};

/// Interval at which keys are handled while no picture arrives.
const POLL_INTERVAL: Duration = Duration::from_millis(8);

/// Shortest time between two draws, for any number of cameras: 90 draws per second.
const DRAW_INTERVAL_MIN_NS: u64 = 11_000_000;

/// Time to wait for the first pictures, which determine the size of the window.
const FIRST_PICTURE_TIMEOUT: Duration = Duration::from_millis(700);

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

/// Opens a window and shows the screen until the user closes it or quits, or until `done` returns `true`.
///
/// # Errors
/// No window can be opened, it cannot be updated, or the window system has closed it.
pub fn show(screen: &mut Screen, mut done: impl FnMut() -> bool) -> Result<(), WindowError> {
    let display = Display::ask().map_err(WindowError::NoDisplay)?;
    let opened_ns = received_now().mono_ns;
    let waited = || u128::from(received_now().mono_ns - opened_ns) >= FIRST_PICTURE_TIMEOUT.as_nanos();
    while !done() && !screen.complete() && !waited() {
        thread::park_timeout(POLL_INTERVAL);
        screen.refresh(received_now().mono_ns);
    }
    let (width, height) = screen.opening_size();
    // The buffer always has the size of the window, so minifb does not need to scale it.
    let options = WindowOptions { resize: true, scale_mode: ScaleMode::UpperLeft, ..WindowOptions::default() };
    let mut window = minifb::Window::new(&screen.title(), width, height, options)
        .map_err(|error| WindowError::NoDisplay(error.to_string()))?;
    let mut companion = Companion::attach(display, &window);
    if let Some(reason) = companion.unsafe_to_record() {
        screen.refuse_recording(reason);
    }
    // This loop waits for pictures itself, so minifb must not sleep.
    window.set_target_fps(0);
    let (tx, actions) = channel();
    window.set_input_callback(Box::new(Keyboard::new(tx)));
    let (mut size, mut drawn_ns) = ((0, 0), 0);
    while window.is_open() && !screen.quit() && !done() {
        let now_ns = received_now().mono_ns;
        let due = screen.refresh(now_ns) || window.get_size() != size;
        if due && now_ns - drawn_ns >= DRAW_INTERVAL_MIN_NS {
            drawn_ns = now_ns;
            size = window.get_size();
            // minifb rejects an empty buffer.
            let image = screen.image(size.0.max(1), size.1.max(1));
            window.update_with_buffer(image.words, image.width, image.height).map_err(WindowError::Update)?;
            screen.shown();
        } else {
            thread::park_timeout(if due {
                Duration::from_nanos(DRAW_INTERVAL_MIN_NS - (now_ns - drawn_ns))
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
        actions.try_iter().for_each(|action| screen.act(action));
    }
    Ok(())
}
