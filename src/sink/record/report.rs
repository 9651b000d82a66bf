//! Health of a running recorder, and the outcome of a finished one.

use std::path::PathBuf;

use super::segment::RecordedFile;
use super::shared::TakenCounts;
use crate::hub::LaneCounts;
use crate::recording::StreamDamage;

/// The activity of a recorder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RecorderState {
    /// No file is open: neither the first frame nor a triggering detection has arrived.
    #[default]
    Waiting,
    /// Frames are written to a file.
    Recording,
    /// Writing failed and is retried. Until it succeeds, frames wait in memory; when that is full, they are dropped and
    /// counted.
    Paused {
        /// The error.
        why: String,
    },
    /// The recorder has ended.
    Finished,
}

impl RecorderState {
    /// Returns the state as one word of a fixed list: `waiting`, `recording`, `paused` or `finished`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Recording => "recording",
            Self::Paused { .. } => "paused",
            Self::Finished => "finished",
        }
    }

    /// Orders states by how much they need attention.
    const fn severity(&self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::Recording => 1,
            Self::Paused { .. } => 2,
            Self::Finished => 3,
        }
    }
}

/// Frame counts of one camera.
///
/// `offered == recorded + dropped + lost + passed + held + queued`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RecorderCounts {
    /// Name of the camera.
    #[serde(rename = "camera")]
    pub name: String,
    /// Frames offered to the recorder.
    pub offered: u64,
    /// Frames in a file, or queued for it.
    pub recorded: u64,
    /// Frames dropped because the disk was too slow or the memory too small.
    pub dropped: u64,
    /// Frames taken from the lane but missing in the file, because it could not be written.
    pub lost: u64,
    /// Frames skipped because no triggering detection was near.
    pub passed: u64,
    /// Frames taken from the lane but undecided: in the pre-trigger buffer, or waiting for a full disk.
    pub held: u64,
    /// Frames in the lane.
    pub queued: u64,
    /// Numbers beside the pictures that are in a file, or queued for it. They are not counted in `offered`.
    pub measurements: u64,
    /// Frames and bytes of the stream that did not arrive, or not intact, while it was recorded. The files mark each.
    pub damage: StreamDamage,
}

impl RecorderCounts {
    /// Returns whether every offered frame is accounted for.
    #[must_use]
    pub const fn balances(&self) -> bool {
        let Self { offered, recorded, dropped, lost, passed, held, queued, .. } = self;
        *offered == *recorded + *dropped + *lost + *passed + *held + *queued
    }

    /// Returns the number of frames that should be in a file but are not.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.dropped + self.lost
    }

    /// Returns the number of frames that the camera sent and that no file has: also those that did not arrive intact.
    #[must_use]
    pub const fn in_no_file(&self) -> u64 {
        self.missing() + self.damage.lost + self.damage.withdrawn
    }

    /// Adds the counts of another recording.
    const fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.recorded += other.recorded;
        self.dropped += other.dropped;
        self.lost += other.lost;
        self.passed += other.passed;
        self.held += other.held;
        self.queued += other.queued;
        self.measurements += other.measurements;
        self.damage.add(&other.damage);
    }

    /// Combines the worker's counts with the lane's, which must be read later: a frame leaves the lane before the worker
    /// counts it.
    pub(super) fn new(name: &str, taken: &TakenCounts, lane: LaneCounts, damage: StreamDamage) -> Self {
        let TakenCounts { recorded, lost, passed, no_memory, measurements, .. } = *taken;
        let LaneCounts { offered, dropped, queued, .. } = lane;
        let held = lane.taken.saturating_sub(recorded + lost + passed + no_memory);
        let dropped = dropped + no_memory;
        let name = name.to_owned();
        Self { name, offered, recorded, dropped, lost, passed, held, queued, measurements, damage }
    }
}

/// The recording of one camera while it runs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RecordingStatus {
    /// `waiting`, `recording`, `paused` or `finished`.
    pub state: &'static str,
    /// Reason of `waiting` or `paused`.
    pub reason: Option<String>,
    /// Frames in files.
    pub frames_written: u64,
    /// Frames in memory that wait for the disk or for a trigger.
    pub frames_waiting: u64,
    /// Bytes in memory that wait for the disk. Cameras that share a file share them.
    pub bytes_waiting: u64,
    /// Frames that no file will have: dropped, not written, or not received intact.
    pub missing: u64,
}

impl RecordingStatus {
    /// Returns whether writing failed and is retried.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.state == RecorderState::Paused { why: String::new() }.word()
    }
}

/// Health of one recorder, or of several together.
#[derive(Clone, Debug, Default)]
pub struct RecorderHealth {
    /// The activity of the recorder. Of several recorders: the one that needs attention most.
    pub state: RecorderState,
    /// Frame counts per camera.
    pub cameras: Vec<RecorderCounts>,
    /// Frames in files, or queued for them.
    pub frames: u64,
    /// Frames in files.
    pub written: u64,
    /// Frames in memory that wait for the disk or for a trigger.
    pub waiting: u64,
    /// Frames that were dropped or lost.
    pub missing: u64,
    /// Gaps that have ended, each marked in its file.
    pub gaps: u64,
    /// Bytes in all files.
    pub bytes: u64,
    /// Files that are being written.
    pub open_files: Vec<PathBuf>,
    /// Free bytes on the disk. `None` where the system does not report them.
    pub disk_left: Option<u64>,
}

impl RecorderHealth {
    /// Adds another recorder.
    pub(super) fn add(&mut self, other: Self) {
        if other.state.severity() > self.state.severity() {
            self.state = other.state;
        }
        self.cameras.extend(other.cameras);
        self.frames += other.frames;
        self.written += other.written;
        self.waiting += other.waiting;
        self.missing += other.missing;
        self.gaps += other.gaps;
        self.bytes += other.bytes;
        self.open_files.extend(other.open_files);
        self.disk_left = [self.disk_left, other.disk_left].into_iter().flatten().min();
    }
}

/// Files and frame counts of a finished recorder.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct RecorderOutcome {
    /// Number of the recording among those of the same [`Recorders`](super::Recorders), from 1. A [`Recorder`](super::Recorder)
    /// of its own has number 1.
    pub recording: u64,
    /// Number of recordings that this one sums: 1, or more if a program has made very many. Those have no [`Self::files`], and
    /// [`Self::recording`] is the last one.
    pub summed: u64,
    /// Finished files, in order, without those that were deleted because of [`KeepLimit`](super::KeepLimit).
    pub files: Vec<RecordedFile>,
    /// Files that could not be finished. Their content can be read.
    #[serde(serialize_with = "crate::file::serialize_paths")]
    pub unfinished: Vec<PathBuf>,
    /// Number of old files that were deleted because of [`KeepLimit`](super::KeepLimit).
    pub deleted: u64,
    /// Frames that were written, with those in files that were deleted.
    pub frames: u64,
    /// Bytes in finished files.
    pub bytes: u64,
    /// Gaps, each marked in its file.
    pub gaps: u64,
    /// Missing frames that no file marks, because it could not be written.
    pub unmarked: u64,
    /// Frames missing because the disk was too slow or the memory too small.
    pub dropped: u64,
    /// Frames missing because a file could not be written.
    pub lost: u64,
    /// Frame counts per camera.
    pub cameras: Vec<RecorderCounts>,
    /// Errors while writing or deleting files: the first 20.
    pub problems: Vec<String>,
}

/// Most problems and unfinished files of an outcome.
pub(super) const PROBLEMS_MAX: usize = 20;

impl RecorderOutcome {
    /// Returns whether the other one is of the same cameras.
    fn is_of_same_cameras(&self, other: &Self) -> bool {
        self.cameras.iter().map(|camera| &camera.name).eq(other.cameras.iter().map(|camera| &camera.name))
    }

    /// Adds an outcome to those of the same cameras, without the paths of its files.
    pub(super) fn sum_up(sums: &mut Vec<Self>, other: Self) {
        let Some(sum) = sums.iter_mut().find(|sum| sum.is_of_same_cameras(&other)) else {
            return sums.push(Self { files: Vec::new(), ..other });
        };
        sum.recording = other.recording;
        sum.summed += other.summed;
        sum.deleted += other.deleted;
        sum.frames += other.frames;
        sum.bytes += other.bytes;
        sum.gaps += other.gaps;
        sum.unmarked += other.unmarked;
        sum.dropped += other.dropped;
        sum.lost += other.lost;
        sum.unfinished.extend(other.unfinished);
        sum.unfinished.truncate(PROBLEMS_MAX);
        sum.problems.extend(other.problems);
        sum.problems.dedup();
        sum.problems.truncate(PROBLEMS_MAX);
        sum.cameras.iter_mut().zip(&other.cameras).for_each(|(camera, other)| camera.add(other));
    }

    /// Returns whether every frame that arrived intact is in a file.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.dropped == 0 && self.lost == 0
    }

    /// Returns whether the streams arrived undamaged while they were recorded.
    #[must_use]
    pub fn is_undamaged(&self) -> bool {
        self.cameras.iter().all(|camera| camera.damage.is_none())
    }
}
