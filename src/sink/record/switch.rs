//! Starts and stops the recording of one camera, for clients on a network.

use std::fmt;

use super::RecordError;

/// Starts and stops the recording of one camera.
pub trait RecordingSwitch: fmt::Debug + Send + Sync {
    /// Starts a recording, unless one runs. Blocks while it creates a folder.
    ///
    /// # Errors
    /// As [`Recorders::start`](super::Recorders::start).
    fn start(&self) -> Result<(), RecordError>;

    /// Stops the recording, if one runs. Another thread finishes the file.
    fn stop(&self);
}
