//! Turns the frames of a camera into pictures with boxes, on a thread of its own.
//!
//! ```text
//! provisional frames, video decoded --DropOldest(1)--> convert, draw boxes --> Hub<Arc<Picture>> --DropOldest(1)--> window, ...
//! ```
//!
//! Frames are converted only while a lane of the hub is open, to the size at which they are shown ([`Showing`]); boxes and
//! labels are drawn on the result. The view keeps the frame that is shown, to draw it again with other boxes or in another
//! size.

mod showing;
mod worker;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::{fmt, io, thread};

#[cfg(any(feature = "serve", feature = "window"))]
pub(crate) use showing::fitted;
pub use showing::{Showing, Zoom};

use crate::frame::{Frame, Geometry, PayloadKind, Picture, Pool, Size};
use crate::hub::Hub;
use crate::live::{Camera, Sink};
use crate::overlay::Style;
use crate::sync::locked;

/// State of a view that its user controls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewControls {
    /// Shows one frame until the next step, or until the view is resumed.
    pub paused: bool,
    /// Number of steps requested so far: each shows the next frame while paused.
    pub steps: u64,
    /// Number of snapshots requested so far.
    pub snapshots: u64,
    /// Draws boxes.
    pub boxes: bool,
    /// Draws labels.
    pub labels: bool,
    /// Draws the paths of tracked objects.
    pub trails: bool,
    /// Least confidence that is drawn, 0 to 1.
    pub threshold: f32,
    /// Draws only this class.
    pub class: Option<u32>,
    /// Size and part in which frames are shown. `None`: all of each, in its own size. Snapshots always are.
    pub showing: Option<Showing>,
}

impl ViewControls {
    fn of(style: &Style) -> Self {
        let Style { boxes, labels, trails, threshold, .. } = *style;
        Self { paused: false, steps: 0, snapshots: 0, boxes, labels, trails, threshold, class: None, showing: None }
    }

    /// The controls that change how a frame is drawn.
    fn drawing(&self) -> Drawing {
        let Self { boxes, labels, trails, threshold, class, showing, .. } = *self;
        Drawing { boxes, labels, trails, threshold, class, showing }
    }
}

/// The controls that change how a frame is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Drawing {
    boxes: bool,
    labels: bool,
    trails: bool,
    threshold: f32,
    class: Option<u32>,
    showing: Option<Showing>,
}

/// Conversion failures of a view, and the kind of its frames.
#[derive(Clone, Debug, Default)]
pub struct ViewHealth {
    /// Frames that could not be converted.
    pub failed: u64,
    /// Error of the last frame; `None` if it was converted.
    pub error: Option<String>,
    /// Next step for the user, if the error has one.
    pub help: Option<&'static str>,
    /// Kind of the last frame.
    pub last: Option<FrameKind>,
}

/// Kind of a frame, as the HUD shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameKind {
    /// Kind of its header.
    pub dialect: &'static str,
    /// Kind of its payload.
    pub payload: PayloadKind,
    /// Layout of its pixels, if known.
    pub geometry: Option<Geometry>,
    /// Size of the pictures, if known: of video, also before it is decoded.
    pub size: Option<Size>,
}

/// A frame that the user wants to keep, with its picture.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Name of the camera.
    pub camera: String,
    /// The frame with its boxes.
    pub picture: Arc<Picture>,
    /// The confirmed frame itself.
    pub frame: Arc<Frame>,
}

/// A note for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// This text.
    Text(String),
    /// A picture was saved to this file.
    Saved {
        /// Path of the file.
        path: PathBuf,
        /// It has samples of 16 bits instead of colors.
        is_depth: bool,
    },
}

impl From<String> for Note {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Saved { path, is_depth: false } => write!(f, "saved {}", path.display()),
            Self::Saved { path, is_depth: true } => {
                write!(f, "saved {} as 16-bit gray, in millimeters if the camera sends depth", path.display())
            }
        }
    }
}

/// Receives notes for the user.
pub type Notify = Arc<dyn Fn(Note) + Send + Sync>;

/// Options of a view.
#[derive(Clone)]
pub struct ViewOptions {
    /// Boxes and labels as they are drawn at first.
    pub style: Style,
    /// Memory for pictures. One pool for all cameras, so that few pictures stay in the cache.
    pub pool: Pool<Picture>,
    /// Called with notes for the user, on the view's thread.
    pub notify: Notify,
    /// Called with each requested snapshot, on the view's thread. Must not block: no picture is shown meanwhile.
    pub snapshot: Arc<dyn Fn(Snapshot) + Send + Sync>,
}

impl Default for ViewOptions {
    /// Default style; notes and snapshots are dropped.
    fn default() -> Self {
        Self { style: Style::default(), pool: Pool::default(), notify: Arc::new(|_| {}), snapshot: Arc::new(|_| {}) }
    }
}

impl fmt::Debug for ViewOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewOptions").field("style", &self.style).finish_non_exhaustive()
    }
}

/// One view for each camera. Dropping it ends their threads.
#[derive(Debug)]
pub struct Views {
    options: ViewOptions,
    views: Vec<View>,
}

impl Views {
    /// Creates an empty list: [`Sink::connect`] adds a view for each camera.
    #[must_use]
    pub fn new(options: ViewOptions) -> Self {
        Self { options, views: Vec::new() }
    }

    /// Returns the boxes and labels as they are drawn at first, with the names given by the user.
    #[must_use]
    pub fn style(&self) -> &Style {
        &self.options.style
    }

    /// Returns the views in the order of the cameras.
    #[must_use]
    pub fn views(&self) -> &[View] {
        &self.views
    }
}

impl Sink for Views {
    type Outcome = ();

    fn connect(&mut self, camera: &Camera) -> io::Result<()> {
        self.views.push(View::start(camera, self.options.clone())?);
        Ok(())
    }

    fn finish(self) {}
}

/// A camera's frames as pictures. Dropping it ends its thread.
#[derive(Debug)]
pub struct View {
    pictures: Hub<Arc<Picture>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// `None` ends the view.
    controls: Mutex<Option<ViewControls>>,
    health: Mutex<ViewHealth>,
    /// The frame of the last picture.
    frame: Mutex<Option<Arc<Frame>>>,
    /// Number and arrival of the last frame that proved to be damaged.
    damaged: Mutex<Option<(u64, u64)>>,
}

impl View {
    /// Subscribes to a camera's outlets and starts to convert.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(camera: &Camera, options: ViewOptions) -> io::Result<Self> {
        let controls = ViewControls::of(&options.style);
        let shared = Arc::new(Shared { controls: Mutex::new(Some(controls)), ..Shared::default() });
        let pictures = Hub::new();
        let worker = worker::Worker::new(camera, options, Arc::clone(&shared), pictures.clone(), controls)?;
        let thread = thread::Builder::new().name(format!("view {}", camera.name)).spawn(move || worker.run())?;
        Ok(Self { pictures, shared, thread: Some(thread) })
    }

    /// Returns the hub of the pictures. Subscribers that show the newest picture use a lane of `DropOldest(1)`.
    #[must_use]
    pub fn pictures(&self) -> &Hub<Arc<Picture>> {
        &self.pictures
    }

    /// Changes the controls, and wakes the view to apply them.
    pub fn control(&self, change: impl FnOnce(&mut ViewControls)) {
        if let Some(controls) = &mut *locked(&self.shared.controls) {
            change(controls);
        }
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// Returns the controls.
    #[must_use]
    pub fn controls(&self) -> ViewControls {
        locked(&self.shared.controls).expect("the controls are there until the view is dropped")
    }

    /// Returns the frame of the last picture.
    #[must_use]
    pub fn frame(&self) -> Option<Arc<Frame>> {
        locked(&self.shared.frame).clone()
    }

    /// Returns whether the frame of a picture proved to be damaged after it was shown.
    #[must_use]
    pub fn is_damaged(&self, picture: &Picture) -> bool {
        *locked(&self.shared.damaged) == Some((picture.frame_id, picture.received.mono_ns))
    }

    /// Returns conversion failures and the kind of the frames.
    #[must_use]
    pub fn health(&self) -> ViewHealth {
        locked(&self.shared.health).clone()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        *locked(&self.shared.controls) = None;
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
