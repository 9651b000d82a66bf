//! Observes running recordings from other threads.

use std::sync::{Arc, Mutex};

use super::report::{RecorderCounts, RecorderState, RecordingStatus};
use super::shared::Shared;
use crate::hub::{Budget, LaneCounter};
use crate::sync::locked;

/// Observes one recorder.
#[derive(Clone, Debug)]
pub(super) struct RecorderMonitor {
    pub(super) shared: Arc<Shared>,
    /// The lanes of its cameras.
    pub(super) lanes: Vec<LaneCounter>,
    pub(super) budget: Budget,
    pub(super) has_trigger: bool,
}

impl RecorderMonitor {
    fn status(&self, camera: usize) -> Option<RecordingStatus> {
        let progress = self.shared.progress();
        let counts = RecorderCounts::new("", progress.taken.get(camera)?, self.lanes.get(camera)?.counts());
        let unwritten = progress.unwritten.get(camera)?;
        let state = progress.state();
        let word = state.word();
        let reason = match state {
            RecorderState::Waiting if self.has_trigger && counts.offered > 0 => {
                let problem = progress.cannot_match.get(camera).cloned().flatten();
                Some(problem.unwrap_or_else(|| "waiting for a trigger".to_owned()))
            }
            RecorderState::Waiting => Some("waiting for the first frame".to_owned()),
            RecorderState::Paused { why } => Some(why),
            RecorderState::Recording | RecorderState::Finished => None,
        };
        Some(RecordingStatus {
            state: word,
            reason,
            frames_written: counts.recorded.saturating_sub(*unwritten),
            frames_waiting: unwritten + counts.held + counts.queued,
            bytes_waiting: progress.unwritten_bytes() + self.budget.own_used() as u64,
            missing: counts.missing(),
        })
    }
}

/// Observes the recordings of several cameras, also when they are stopped and started again.
#[derive(Clone, Debug, Default)]
pub struct RecordersMonitor(Arc<Mutex<Recorded>>);

/// The recorder of each recorded camera, and the camera's index in it.
#[derive(Debug, Default)]
struct Recorded {
    first_camera: usize,
    each: Vec<(RecorderMonitor, usize)>,
}

impl RecordersMonitor {
    /// Returns the status of the recording of a camera, by the order in which the cameras were connected. `None`: recording
    /// is off.
    #[must_use]
    pub fn status(&self, camera: usize) -> Option<RecordingStatus> {
        let recorded = locked(&self.0);
        let (monitor, index) = recorded.each.get(camera.checked_sub(recorded.first_camera)?)?.clone();
        drop(recorded);
        monitor.status(index)
    }

    /// Replaces the recorders. The first has the cameras from `first_camera` on, each of the others the next ones.
    pub(super) fn set(&self, first_camera: usize, recorders: impl Iterator<Item = RecorderMonitor>) {
        let each = recorders.flat_map(|monitor| {
            let cameras = monitor.lanes.len();
            std::iter::repeat_n(monitor, cameras).zip(0..cameras)
        });
        *locked(&self.0) = Recorded { first_camera, each: each.collect() };
    }
}
