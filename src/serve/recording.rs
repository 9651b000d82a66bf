//! Starts and stops the recording of a camera for pages and programs, and observes it.

use std::sync::Mutex;

use serde::Serialize;

use crate::live::{Camera, Sink as _};
use crate::sink::record::{
    RecordError, RecordOptions, RecorderOutcome, Recorders, RecordersMonitor, RecordingStatus, RecordingSwitch,
};
use crate::sync::locked;

/// Records one camera.
#[derive(Debug)]
pub(super) struct CameraRecorder {
    /// Observes without waiting for a start that creates folders.
    monitor: RecordersMonitor,
    /// `None` at the end of the program.
    recorders: Mutex<Option<Recorders>>,
}

/// Observes the recording of a camera, whoever has started it.
#[derive(Clone, Debug)]
pub(super) struct RecordingMonitor {
    /// Of all cameras that are recorded together.
    pub(super) recorders: RecordersMonitor,
    /// Index of the camera among them.
    pub(super) camera: usize,
}

/// State of a recording that runs.
#[derive(Serialize)]
pub(super) struct CameraRecording {
    /// Time since it was started.
    seconds: u64,
    #[serde(flatten)]
    status: RecordingStatus,
}

impl CameraRecording {
    /// Returns whether writing failed and is retried.
    pub(super) fn is_paused(&self) -> bool {
        self.status.is_paused()
    }
}

impl RecordingSwitch for CameraRecorder {
    fn start(&self) -> Result<(), RecordError> {
        Self::start(self)
    }

    fn stop(&self) {
        Self::stop(self);
    }
}

impl CameraRecorder {
    /// Subscribes to nothing yet.
    pub(super) fn new(camera: &Camera, options: RecordOptions) -> std::io::Result<Self> {
        let mut recorders = Recorders::new(options);
        recorders.connect(camera)?;
        Ok(Self { monitor: recorders.monitor(), recorders: Mutex::new(Some(recorders)) })
    }

    /// Starts a recording, unless one runs. Blocks while it creates a folder.
    pub(super) fn start(&self) -> Result<(), RecordError> {
        let mut recorders = locked(&self.recorders);
        if let Some(recorders) = recorders.as_mut().filter(|recorders| !recorders.is_on()) {
            recorders.start()?;
        }
        Ok(())
    }

    /// Stops the recording, if one runs. Another thread finishes the file.
    pub(super) fn stop(&self) {
        if let Some(recorders) = &mut *locked(&self.recorders) {
            recorders.stop(|_| {});
        }
    }

    pub(super) fn monitor(&self) -> RecordersMonitor {
        self.monitor.clone()
    }

    /// Returns whether a recording runs.
    pub(super) fn is_on(&self) -> bool {
        locked(&self.recorders).as_ref().is_some_and(Recorders::is_on)
    }

    /// Finishes the files and returns the outcome of each recording.
    pub(super) fn finish(&self) -> Vec<RecorderOutcome> {
        let recorders = locked(&self.recorders).take();
        recorders.map(Recorders::finish).unwrap_or_default()
    }
}

impl RecordingMonitor {
    /// Returns whether the camera is recorded.
    pub(super) fn is_on(&self) -> bool {
        self.recorders.duration(self.camera).is_some()
    }

    /// Returns the frames that no file of all recordings of the camera has or will have.
    pub(super) fn missing(&self) -> u64 {
        self.recorders.missing(self.camera)
    }

    /// Returns the state; `None` if the camera is not recorded.
    pub(super) fn state(&self) -> Option<CameraRecording> {
        let (duration, status) = (self.recorders.duration(self.camera)?, self.recorders.status(self.camera)?);
        Some(CameraRecording { seconds: duration.as_secs(), status })
    }
}
