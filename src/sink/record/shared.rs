//! State shared by a recorder and its worker thread.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::report::{PROBLEMS_MAX, RecorderState};
use super::segment::RecordedFile;
use crate::recording::StreamDamage;
use crate::recording::disk::{DiskCondition, DiskMonitor};
use crate::sync::locked;

/// Frames of one camera that were taken from its lane.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TakenCounts {
    pub(super) recorded: u64,
    pub(super) lost: u64,
    pub(super) passed: u64,
    /// Frames for which there was no memory.
    pub(super) no_memory: u64,
    /// Numbers that were written.
    pub(super) measurements: u64,
    /// Damage of the stream, as the files say.
    pub(super) damage: StreamDamage,
}

#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) state: RecorderState,
    pub(super) taken: Vec<TakenCounts>,
    /// Frames per camera that count as recorded, but are not in the open file yet.
    pub(super) unwritten: Vec<u64>,
    /// Per camera, why the trigger cannot match: no label has its name.
    pub(super) cannot_match: Vec<Option<String>>,
    /// Gap markers in files, or queued for one.
    pub(super) gaps: u64,
    /// Missing frames that no file marks, known at the end.
    pub(super) unmarked: u64,
    pub(super) files: Vec<RecordedFile>,
    pub(super) unfinished: Vec<PathBuf>,
    pub(super) unfinished_bytes: u64,
    pub(super) deleted: u64,
    /// Bytes of deleted files of this recorder.
    pub(super) deleted_bytes: u64,
    pub(super) current: Option<(PathBuf, DiskMonitor)>,
    pub(super) current_bytes: u64,
    pub(super) disk_left: Option<u64>,
    pub(super) problems: Vec<String>,
}

impl Progress {
    /// Returns the state to report. Reports a full disk at once, also while the worker waits for it.
    pub(super) fn state(&self) -> RecorderState {
        match &self.current {
            Some((_, monitor)) if monitor.condition() == DiskCondition::Full => {
                RecorderState::Paused { why: "the disk is full".to_owned() }
            }
            _ => self.state.clone(),
        }
    }

    /// Counts a frame that is written to the open file from now on.
    pub(super) fn recorded(&mut self, camera: usize, is_bad_picture: bool) {
        self.taken[camera].recorded += 1;
        self.taken[camera].damage.frame(is_bad_picture);
        // At the same time, so that a status in between does not have the frame in the file.
        self.unwritten[camera] += 1;
    }

    /// Returns the number of bytes of the open file that wait for the disk.
    pub(super) fn unwritten_bytes(&self) -> u64 {
        self.current.as_ref().map_or(0, |(_, monitor)| self.current_bytes.saturating_sub(monitor.written()))
    }

    /// Returns the number of bytes that were written to all files.
    pub(super) fn bytes(&self) -> u64 {
        let finished = self.files.iter().map(|file| file.bytes).sum::<u64>();
        finished + self.deleted_bytes + self.unfinished_bytes + self.current_bytes
    }

    /// Adds a problem, unless it repeats the last one or there are [`PROBLEMS_MAX`]. Returns whether it was added.
    pub(super) fn add_problem(&mut self, why: &str) -> bool {
        let is_new = self.problems.len() < PROBLEMS_MAX && self.problems.last().is_none_or(|last| last != why);
        if is_new {
            self.problems.push(why.to_owned());
        }
        is_new
    }

    /// Forgets files that were deleted because of [`KeepLimit`](super::KeepLimit).
    pub(super) fn deleted(&mut self, paths: &[PathBuf]) {
        self.deleted += paths.len() as u64;
        for file in self.files.extract_if(.., |file| paths.contains(&file.path)) {
            self.deleted_bytes += file.bytes;
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    progress: Mutex<Progress>,
    stopped: Condvar,
    stop: AtomicBool,
}

impl Shared {
    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        locked(&self.progress)
    }

    pub(super) fn stop(&self) {
        // Under the lock, so that `pause` cannot miss the change between its check and its wait.
        let progress = self.progress();
        self.stop.store(true, Ordering::SeqCst);
        drop(progress);
        self.stopped.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Waits at most for `limit`, or until the recorder is stopped.
    pub(super) fn pause(&self, limit: Duration) {
        drop(self.stopped.wait_timeout_while(self.progress(), limit, |_| !self.is_stopped()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A status between the count of a frame and that of the file must not have a frame that the next one does not have.
    #[test]
    fn a_frame_is_not_in_the_file_when_it_is_counted() {
        let mut progress = Progress { taken: vec![TakenCounts::default()], unwritten: vec![0], ..Progress::default() };
        progress.recorded(0, false);
        assert_eq!((progress.taken[0].recorded, progress.unwritten[0]), (1, 1));
    }
}
