//! The thread that writes blocks, and the state that it shares with the recorder.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::DiskCondition;
use super::block::Block;
use super::medium::Medium;
use crate::sync::locked;
use crate::units::Bytes;

/// Interval between attempts to write to a full disk.
const FULL_RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// Interval between checks that the file is still at its path.
const PATH_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Interval between flushes to the medium, with `sync`.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Number of blocks that are kept for reuse. Beside the one in the window, a steady recording needs no more.
const SPARE_BLOCKS_MAX: usize = 1;

/// A block to be written at `offset`. After its first `len` bytes it has zeros up to a multiple of the alignment.
#[derive(Debug)]
pub(super) struct BlockWrite {
    pub(super) block: Block,
    pub(super) offset: u64,
    pub(super) len: usize,
}

/// Behavior of the thread when the queue is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ending {
    /// Wait for more blocks.
    #[default]
    Open,
    /// End once everything is in the file.
    Finish,
    /// End, without waiting for a full disk.
    Leave,
}

#[derive(Debug, Default)]
pub(super) struct DiskState {
    queue: VecDeque<BlockWrite>,
    spare: Vec<Block>,
    /// Number of final bytes: in the file, in the queue, or being written.
    pub(super) end: u64,
    /// Number of bytes in the file.
    pub(super) written: u64,
    pub(super) ending: Ending,
    pub(super) full: bool,
    failed: Option<(io::ErrorKind, String)>,
    /// The thread has ended.
    pub(super) finished: bool,
}

impl DiskState {
    /// Number of final bytes that are not yet in the file.
    pub(super) fn queued(&self) -> u64 {
        self.end - self.written
    }

    pub(super) fn failure(&self) -> io::Result<()> {
        self.failed.as_ref().map_or(Ok(()), |(kind, why)| Err(io::Error::new(*kind, why.clone())))
    }
}

#[derive(Debug, Default)]
pub(super) struct SharedState {
    state: Mutex<DiskState>,
    changed: Condvar,
    // Lets `Disk::write` check for a failure without the lock.
    failed: AtomicBool,
}

impl SharedState {
    pub(super) fn lock(&self) -> MutexGuard<'_, DiskState> {
        locked(&self.state)
    }

    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, DiskState>, limit: Duration) -> MutexGuard<'a, DiskState> {
        self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn check(&self) -> io::Result<()> {
        if self.failed.load(Ordering::Relaxed) { self.lock().failure() } else { Ok(()) }
    }

    pub(super) fn condition(&self) -> DiskCondition {
        let state = self.lock();
        match &state.failed {
            Some((_, why)) => DiskCondition::Failed(why.clone()),
            None if state.full => DiskCondition::Full,
            None => DiskCondition::Writing,
        }
    }

    /// Returns a block to be filled. Prefers the last one used, which is still in the cache.
    pub(super) fn block(&self) -> io::Result<Block> {
        let spare = self.lock().spare.pop();
        spare.map_or_else(Block::new, Ok)
    }

    pub(super) fn queue(&self, jobs: Vec<BlockWrite>, end: u64) {
        self.change(|state| {
            state.queue.extend(jobs);
            state.end = end;
        });
    }

    pub(super) fn end(&self, ending: Ending) {
        self.change(|state| state.ending = ending);
    }

    fn change(&self, change: impl FnOnce(&mut DiskState)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Drops the queue, ends the thread, and records why: the disk is full, or does not respond.
    pub(super) fn give_up(&self) {
        let (full, queued) = {
            let state = self.lock();
            (state.full, state.queued())
        };
        let error = if full {
            let why = format!("the disk is full: its queue of {} cannot be written", Bytes(queued));
            io::Error::new(io::ErrorKind::StorageFull, why)
        } else {
            let why = format!("the disk is too slow: its queue of {} was not written in time", Bytes(queued));
            io::Error::new(io::ErrorKind::TimedOut, why)
        };
        self.change(|state| {
            state.ending = Ending::Leave;
            state.queue.clear();
        });
        self.fail(&error);
    }

    /// Waits at most `limit` for the end of the thread. Returns whether it has ended.
    pub(super) fn wait_until_finished(&self, limit: Duration) -> bool {
        let state = self.lock();
        let wait = self.changed.wait_timeout_while(state, limit, |state| !state.finished);
        wait.unwrap_or_else(PoisonError::into_inner).0.finished
    }

    /// Records a failure. The first one is reported.
    pub(super) fn fail(&self, error: &io::Error) {
        self.failed.store(true, Ordering::Relaxed);
        self.change(|state| {
            state.failed.get_or_insert_with(|| (error.kind(), error.to_string()));
        });
    }
}

/// Runs the thread until it is to end, or a write fails.
pub(super) fn run(shared: &SharedState, medium: Box<dyn Medium>, sync: bool) {
    let now = Instant::now();
    let mut worker =
        Worker { shared, medium, sync, path_checked: now, synced: now, unsynced: false, padded: None, full: false };
    let _over = FinishGuard(shared);
    if let Err(error) = worker.work() {
        shared.fail(&error);
    }
}

/// Marks the thread as ended, also after a panic, so that waiting threads return.
struct FinishGuard<'a>(&'a SharedState);

impl Drop for FinishGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(&io::Error::other("the disk thread panicked (this is a bug)"));
        }
        self.0.change(|state| {
            state.finished = true;
            state.queue.clear();
            state.spare.clear();
        });
    }
}

struct Worker<'a> {
    shared: &'a SharedState,
    medium: Box<dyn Medium>,
    sync: bool,
    path_checked: Instant,
    synced: Instant,
    unsynced: bool,
    /// The file has padding after this number of bytes.
    padded: Option<u64>,
    full: bool,
}

impl Worker<'_> {
    fn work(&mut self) -> io::Result<()> {
        while let Some(BlockWrite { block, offset, len }) = self.next()? {
            let whole = len.next_multiple_of(Block::ALIGN_BYTES);
            if !self.retry_while_full(|medium| medium.write(&block.bytes()[..whole], offset))? {
                return Ok(());
            }
            let end = offset + len as u64;
            self.padded = (whole > len).then_some(end);
            self.unsynced = self.sync;
            self.shared.change(|state| {
                state.written = end;
                if state.spare.len() < SPARE_BLOCKS_MAX {
                    state.spare.push(block);
                }
            });
        }
        Ok(())
    }

    /// Returns the next block, or `None` at the end. While it waits, checks the path and flushes when due.
    fn next(&mut self) -> io::Result<Option<BlockWrite>> {
        loop {
            if self.path_checked.elapsed() >= PATH_CHECK_INTERVAL {
                self.medium.check()?;
                self.path_checked = Instant::now();
            }
            if self.unsynced && self.synced.elapsed() >= SYNC_INTERVAL {
                self.force()?;
            }
            let mut state = self.shared.lock();
            if let Some(job) = state.queue.pop_front() {
                return Ok(Some(job));
            }
            let ending = state.ending;
            if ending == Ending::Open && self.padded.is_none() {
                let check = PATH_CHECK_INTERVAL.saturating_sub(self.path_checked.elapsed());
                let sync = if self.unsynced {
                    SYNC_INTERVAL.saturating_sub(self.synced.elapsed())
                } else {
                    PATH_CHECK_INTERVAL
                };
                state = self.shared.wait(state, check.min(sync).max(Duration::from_millis(1)));
                drop(state);
                continue;
            }
            drop(state);
            if let Some(len) = self.padded.take() {
                // The queue is empty: cut off the padding, so that the file is exact if the program crashes now.
                self.medium.set_len(len)?;
            }
            if ending != Ending::Open {
                self.medium.check()?;
                if self.unsynced {
                    self.force()?;
                }
                return Ok(None);
            }
        }
    }

    fn force(&mut self) -> io::Result<()> {
        // Also flushes the length of the file.
        self.retry_while_full(|medium| medium.sync())?;
        self.synced = Instant::now();
        self.unsynced = false;
        Ok(())
    }

    /// Retries `act` while the disk is full. Returns `false` if it gave up because the file is being dropped.
    fn retry_while_full(&mut self, mut act: impl FnMut(&mut dyn Medium) -> io::Result<()>) -> io::Result<bool> {
        loop {
            match act(&mut *self.medium) {
                Ok(()) => {
                    if self.full {
                        self.full = false;
                        self.shared.change(|state| state.full = false);
                    }
                    return Ok(true);
                }
                Err(error) if is_full(&error) => {
                    self.full = true;
                    self.shared.change(|state| state.full = true);
                    self.medium.check()?;
                    if !self.pause() {
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    let why = "the file has reached the size limit of its file system or of the process (`ulimit -f`); \
                               `--split` begins a new file before that";
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits before the next attempt. Returns `false` if the thread is to end at once.
    fn pause(&self) -> bool {
        let deadline = Instant::now() + FULL_RETRY_INTERVAL;
        let mut state = self.shared.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ending == Ending::Leave || left.is_zero() {
                return state.ending != Ending::Leave;
            }
            state = self.shared.wait(state, left);
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
