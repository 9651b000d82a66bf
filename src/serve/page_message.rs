//! Messages of the page to its socket.

use serde::Deserialize;

/// A message of the page, as JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum PageMessage {
    /// The cameras that the page shows from now on.
    Watch(Vec<Watch>),
    /// The page has drawn the oldest picture that was on the way: of this camera, or of the replay.
    Drawn(Option<String>),
    /// The page plays this recording from now on, or none.
    Play(Option<Play>),
    /// The page changes its replay.
    Playback(PlaybackChange),
}

/// A camera that the page shows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Watch {
    /// Name of the camera.
    pub(super) camera: String,
    /// Width of the picture in pixels of the screen.
    pub(super) width: u32,
    /// The page plays H.264 of this camera.
    #[serde(default)]
    pub(super) video: bool,
}

/// A recording that the page plays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Play {
    /// Name in the list of recordings.
    pub(super) recording: String,
    /// Name of a camera in it; `None` for the first one.
    pub(super) camera: Option<String>,
    /// Width of the picture in pixels of the screen.
    pub(super) width: u32,
}

/// A change of the replay. Times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PlaybackChange {
    /// Pauses or resumes; resumes at the end from the beginning.
    Pause(bool),
    /// Pauses, or shows the next frame while paused.
    Step,
    /// Pauses and shows the frame before.
    StepBack,
    /// Continues at this time after the start.
    SeekMs(i64),
    /// Continues this time later, or earlier.
    SeekByMs(i64),
    /// Sets the speed to this multiple of the recorded one.
    Speed(f64),
    /// Width of the picture in pixels of the screen.
    Width(u32),
}
