//! Observes running recordings from other threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::report::{RecorderCounts, RecorderState, RecordingStatus};
use super::shared::{Shared, TakenCounts};
use crate::hub::{Budget, LaneCounter};
use crate::recording::StreamDamage;
use crate::recording::schema::RecordedIncident;
use crate::sync::locked;

/// Damage of a camera's stream as it is offered to a recorder: a lane that is full drops incidents, and so does a recorder that
/// cannot write.
#[derive(Clone, Debug, Default)]
pub(super) struct OfferedDamage(Arc<Mutex<StreamDamage>>);

impl OfferedDamage {
    pub(super) fn frame(&self) {
        // The worker examines pictures.
        locked(&self.0).frame(false);
    }

    pub(super) fn incident(&self, incident: &RecordedIncident) {
        locked(&self.0).incident(incident);
    }
}

/// Observes one recorder.
#[derive(Clone, Debug)]
pub(super) struct RecorderMonitor {
    pub(super) shared: Arc<Shared>,
    /// The lanes of its cameras, and the damage of their streams.
    pub(super) lanes: Vec<(LaneCounter, OfferedDamage)>,
    pub(super) budget: Budget,
    pub(super) has_trigger: bool,
}

impl RecorderMonitor {
    /// Returns the damage while a camera was recorded: with a trigger, only that of the recorded parts.
    pub(super) fn damage(&self, taken: &TakenCounts, offered: &OfferedDamage) -> StreamDamage {
        if self.has_trigger {
            return taken.damage;
        }
        let mut damage = *locked(&offered.0);
        damage.bad_pictures = taken.damage.bad_pictures;
        damage
    }

    /// Returns whether the counts are final.
    fn has_ended(&self) -> bool {
        self.shared.progress().state == RecorderState::Finished
    }

    /// Returns the frames of a camera that no file has or will have.
    fn missing(&self, camera: usize) -> u64 {
        self.status(camera).map_or(0, |status| status.missing)
    }

    fn status(&self, camera: usize) -> Option<RecordingStatus> {
        let progress = self.shared.progress();
        let (taken, (lane, offered)) = (progress.taken.get(camera)?, self.lanes.get(camera)?);
        let counts = RecorderCounts::new("", taken, lane.counts(), self.damage(taken, offered));
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
            missing: counts.in_no_file(),
        })
    }
}

/// Observes the recordings of several cameras, also when they are stopped and started again.
#[derive(Clone, Debug, Default)]
pub struct RecordersMonitor {
    recorded: Arc<Mutex<Recorded>>,
    /// Monitors of one camera each, instead of `recorded`.
    each: Vec<Self>,
}

/// The recorder of each recorded camera, and the camera's index in it.
#[derive(Debug, Default)]
struct Recorded {
    first_camera: usize,
    /// Time of the start. `None`: recording is off.
    since: Option<Instant>,
    each: Vec<(RecorderMonitor, usize)>,
    /// Those that were stopped and may still write, with the camera's index in [`RecordersMonitor`].
    ending: Vec<(usize, RecorderMonitor, usize)>,
    /// Frames in no file of recorders that have ended, by the camera's index in [`RecordersMonitor`].
    missing: BTreeMap<usize, u64>,
}

impl RecordersMonitor {
    /// Returns an observer of cameras that are recorded one by one. Each monitor observes one camera.
    #[must_use]
    pub fn of_each(monitors: impl IntoIterator<Item = Self>) -> Self {
        Self { each: monitors.into_iter().collect(), ..Self::default() }
    }

    /// Returns the status of the recording of a camera, by the order in which the cameras were connected. `None`: recording
    /// is off.
    #[must_use]
    pub fn status(&self, camera: usize) -> Option<RecordingStatus> {
        if !self.each.is_empty() {
            return self.each.get(camera)?.status(0);
        }
        let recorded = locked(&self.recorded);
        let (monitor, index) = recorded.each.get(camera.checked_sub(recorded.first_camera)?)?.clone();
        drop(recorded);
        monitor.status(index)
    }

    /// Returns the time since the recording of a camera was started. `None`: recording is off.
    #[must_use]
    pub fn duration(&self, camera: usize) -> Option<Duration> {
        if !self.each.is_empty() {
            return self.each.get(camera)?.duration(0);
        }
        let recorded = locked(&self.recorded);
        recorded.each.get(camera.checked_sub(recorded.first_camera)?)?;
        Some(recorded.since?.elapsed())
    }

    /// Returns the frames of a camera that no file of all its recordings so far has or will have: dropped, not written, or not
    /// received intact.
    #[must_use]
    pub fn missing(&self, camera: usize) -> u64 {
        if !self.each.is_empty() {
            return self.each.get(camera).map_or(0, |monitor| monitor.missing(0));
        }
        let recorded = locked(&self.recorded);
        let ended = recorded.missing.get(&camera).copied().unwrap_or(0);
        let ending = recorded.ending.iter().filter(|(of, ..)| *of == camera);
        let ending: u64 = ending.map(|(_, monitor, index)| monitor.missing(*index)).sum();
        let running = camera.checked_sub(recorded.first_camera).and_then(|index| recorded.each.get(index));
        ended + ending + running.map_or(0, |(monitor, index)| monitor.missing(*index))
    }

    /// Replaces the recorders. The first has the cameras from `first_camera` on, each of the others the next ones.
    pub(super) fn set(&self, first_camera: usize, recorders: impl Iterator<Item = RecorderMonitor>) {
        let each = recorders.flat_map(|monitor| {
            let cameras = monitor.lanes.len();
            std::iter::repeat_n(monitor, cameras).zip(0..cameras)
        });
        let each: Vec<_> = each.collect();
        let mut recorded = locked(&self.recorded);
        recorded.since = (!each.is_empty()).then(Instant::now);
        let first_before = std::mem::replace(&mut recorded.first_camera, first_camera);
        let before = std::mem::replace(&mut recorded.each, each);
        let Recorded { ending, missing, .. } = &mut *recorded;
        let before = (first_before..).zip(before);
        ending.extend(before.map(|(camera, (monitor, index))| (camera, monitor, index)));
        for (camera, monitor, index) in ending.extract_if(.., |(_, monitor, _)| monitor.has_ended()) {
            *missing.entry(camera).or_default() += monitor.missing(index);
        }
    }
}
