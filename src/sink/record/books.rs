//! What became of every frame, for those who look while it is recorded and for the end.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::segment::Saved;
use crate::hub::LaneCounts;
use crate::recording::disk::{DiskCondition, DiskMonitor};

/// What a recorder is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No file is open: the first frame, or the detection that triggers, has not come yet.
    #[default]
    Waiting,
    /// Frames go into a file.
    Recording,
    /// Nothing can be written. It is tried again; until then frames wait in memory, and are dropped and counted when that
    /// is full.
    Paused {
        /// What the system says.
        why: String,
    },
    /// It has ended.
    Finished,
}

/// What became of the frames of one camera.
///
/// `offered == recorded + dropped + lost + passed + held + queued`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CameraBooks {
    /// The camera.
    pub name: String,
    /// Frames that the recorder was given.
    pub offered: u64,
    /// In a file, or on the way to it.
    pub recorded: u64,
    /// Dropped, because the disk did not keep up and the memory for what waits was full.
    pub dropped: u64,
    /// Taken, but not in a file, because that could not be written.
    pub lost: u64,
    /// Not to be recorded: no detection was near that triggers.
    pub passed: u64,
    /// Taken, and recorded later or not: the time before a detection, or while nothing can be written.
    pub held: u64,
    /// Waiting for the recorder.
    pub queued: u64,
}

impl CameraBooks {
    /// Whether every frame is somewhere.
    #[must_use]
    pub const fn balances(&self) -> bool {
        let Self { offered, recorded, dropped, lost, passed, held, queued, .. } = self;
        *offered == *recorded + *dropped + *lost + *passed + *held + *queued
    }

    /// The lane's counts are taken after the others: whatever is taken has left the lane before.
    pub(super) fn of(name: &str, taken: &Taken, lane: LaneCounts) -> Self {
        let Taken { recorded, lost, passed } = *taken;
        let LaneCounts { offered, dropped, queued, .. } = lane;
        let held = lane.taken.saturating_sub(recorded + lost + passed);
        Self { name: name.to_owned(), offered, recorded, dropped, lost, passed, held, queued }
    }
}

/// How a recorder is doing.
#[derive(Clone, Debug)]
pub struct Health {
    /// What it is doing.
    pub state: State,
    /// Each camera's frames.
    pub cameras: Vec<CameraBooks>,
    /// Frames in files or on the way to one.
    pub frames: u64,
    /// Frames that were dropped or lost.
    pub missing: u64,
    /// Holes in the recording that have come to an end, each marked in the file.
    pub gaps: u64,
    /// Bytes in all files.
    pub bytes: u64,
    /// Files, with the one that is being written.
    pub segments: u64,
    /// The file that is being written.
    pub current: Option<PathBuf>,
    /// Bytes that may still be written to this disk, where the system tells.
    pub disk_left: Option<u64>,
    /// Bytes of frames that wait for the recorder (of all recorders that share the memory).
    pub waiting_bytes: usize,
}

/// What has been recorded.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The finished files, in order; some may have gone since because of what is to be kept.
    pub files: Vec<Saved>,
    /// Files that could not be finished. What is in them can be read.
    pub left: Vec<PathBuf>,
    /// Old files that were deleted because of what is to be kept.
    pub deleted: u64,
    /// Each camera's frames.
    pub cameras: Vec<CameraBooks>,
    /// Frames in files.
    pub frames: u64,
    /// Bytes in finished files.
    pub bytes: u64,
    /// Holes in the recording.
    pub gaps: u64,
    /// Frames that are missing because the disk did not keep up.
    pub dropped: u64,
    /// Frames that are missing because a file could not be written.
    pub lost: u64,
    /// Why nothing could be written, the first few times.
    pub problems: Vec<String>,
}

impl Outcome {
    /// Whether every frame that was to be recorded is in a file.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.dropped == 0 && self.lost == 0
    }
}

/// Frames of one camera that were taken from its lane.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    pub(super) recorded: u64,
    pub(super) lost: u64,
    pub(super) passed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) state: State,
    pub(super) taken: Vec<Taken>,
    pub(super) gaps: u64,
    pub(super) files: Vec<Saved>,
    pub(super) left: Vec<PathBuf>,
    pub(super) left_bytes: u64,
    pub(super) deleted: u64,
    pub(super) current: Option<(PathBuf, DiskMonitor)>,
    pub(super) current_bytes: u64,
    pub(super) disk_left: Option<u64>,
    pub(super) problems: Vec<String>,
}

impl Books {
    /// What it is doing, as somebody who looks has to be told.
    pub(super) fn state(&self) -> State {
        match &self.current {
            Some((_, gauge)) if gauge.condition() == DiskCondition::Full => {
                State::Paused { why: "the disk is full".to_owned() }
            }
            _ => self.state.clone(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum::<u64>() + self.left_bytes + self.current_bytes
    }

    /// More problems than these say nothing new.
    pub(super) fn problem(&mut self, why: &str) {
        if self.problems.len() < 20 && self.problems.last().is_none_or(|last| last != why) {
            self.problems.push(why.to_owned());
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    books: Mutex<Books>,
    stopped: Condvar,
    stop: AtomicBool,
}

impl Shared {
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        // Nobody panics while he holds them; if he did, every number would still be true.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stop(&self) {
        // Under the lock, so that nobody begins to wait between a look at it and its change.
        let books = self.books();
        self.stop.store(true, Ordering::SeqCst);
        drop(books);
        self.stopped.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Waits so long, or until it is to stop.
    pub(super) fn pause(&self, limit: Duration) {
        drop(self.stopped.wait_timeout_while(self.books(), limit, |_| !self.is_stopped()));
    }
}
