//! Pictures of cameras -> a window on the screen, and keys -> what they ask for. Main thread only.
//!
//! minifb can neither fill the screen nor change the size of a window that is open, so the key `f` changes what is
//! in it: the whole picture, or one pixel of it for each of the screen. The window manager's own key maximises it.
//! An X server that goes away, or a client that destroys our window, ends the process: Xlib leaves no choice.

mod camera;
mod grid;
mod hud;
mod keys;
mod position;
mod recording;
mod screen;

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use minifb::{ScaleMode, WindowOptions};

use crate::net::clock::received_now;
pub use camera::{note_channel, subscribe};
use keys::Keyboard;
pub use screen::{Image, Screen};

/// How long the keyboard waits at most for an answer while no picture comes.
const PATIENCE: Duration = Duration::from_millis(8);

/// The screen is not drawn more often than this, however many cameras there are: 90 times a second.
const SHORTEST_NS: u64 = 11_000_000;

/// How long to wait for pictures before a window is opened at a size that may not be theirs.
const FIRST_PICTURE: Duration = Duration::from_millis(700);

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// No window can be opened here.
    #[error("no window can be opened here ({0}): use --no-window, or `oaktap snapshot` for a picture in a file")]
    NoDisplay(minifb::Error),
    /// The window was there, and does not take pictures.
    #[error("the window takes no more pictures: {0}")]
    Update(minifb::Error),
}

/// Opens a window and shows the screen in it until it is closed, somebody quits, or `done` says so.
///
/// # Errors
/// There is no display, or its window takes no pictures.
pub fn show(screen: &mut Screen, mut done: impl FnMut() -> bool) -> Result<(), WindowError> {
    // The first pictures decide the size of the window.
    let opened_ns = received_now().mono_ns;
    let waited = || u128::from(received_now().mono_ns - opened_ns) >= FIRST_PICTURE.as_nanos();
    while !done() && !screen.complete() && !waited() {
        thread::park_timeout(PATIENCE);
        screen.refresh(received_now().mono_ns);
    }
    let (width, height) = screen.opening_size();
    // Our words always have the size of the window, so nothing is left to be scaled.
    let options = WindowOptions { resize: true, scale_mode: ScaleMode::UpperLeft, ..WindowOptions::default() };
    let mut window = minifb::Window::new(&screen.title(), width, height, options).map_err(WindowError::NoDisplay)?;
    // We wait for pictures, and minifb is not to sleep on top of that.
    window.set_target_fps(0);
    let (actions, asked) = channel();
    window.set_input_callback(Box::new(Keyboard::new(actions)));
    let (mut size, mut drawn_ns) = ((0, 0), 0);
    while window.is_open() && !screen.quit() && !done() {
        let now_ns = received_now().mono_ns;
        let due = screen.refresh(now_ns) || window.get_size() != size;
        if due && now_ns - drawn_ns >= SHORTEST_NS {
            drawn_ns = now_ns;
            size = window.get_size();
            // A window without an area takes no words.
            let image = screen.image(size.0.max(1), size.1.max(1));
            window.update_with_buffer(image.words, image.width, image.height).map_err(WindowError::Update)?;
            screen.shown();
        } else {
            thread::park_timeout(if due { Duration::from_nanos(SHORTEST_NS - (now_ns - drawn_ns)) } else { PATIENCE });
            window.update();
        }
        asked.try_iter().for_each(|action| screen.act(action));
    }
    Ok(())
}
