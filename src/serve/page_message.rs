//! Messages of the page to its socket.

use serde::Deserialize;

/// A message of the page, as JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum PageMessage {
    /// The cameras that the page shows from now on.
    Watch(Vec<Watch>),
    /// The page has drawn the oldest picture of this camera that was on the way.
    Drawn(String),
}

/// A camera that the page shows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Watch {
    /// Name of the camera.
    pub(super) camera: String,
    /// Width of the picture in pixels of the screen.
    pub(super) width: u32,
}
