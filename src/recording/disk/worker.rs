//! The thread that writes, and what it shares with those who wait for it.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Condition;
use super::block::Block;
use super::medium::Medium;

/// How often a full disk is asked again.
const AGAIN: Duration = Duration::from_millis(200);
/// How often the file is looked for under its name.
const LOOK: Duration = Duration::from_millis(500);
/// How often everything is forced to the medium, with `sync`.
const SYNC: Duration = Duration::from_secs(1);
/// Blocks that are kept for the next time.
const SPARE: usize = 4;

/// The first `len` bytes of the block belong there; zeros follow, up to a multiple of the alignment.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) block: Block,
    pub(super) offset: u64,
    pub(super) len: usize,
}

/// What the thread does when nothing is queued any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ending {
    /// Waits for more.
    #[default]
    Open,
    /// Ends, with everything in the file.
    Finish,
    /// Ends, and at once when the disk is full.
    Leave,
}

#[derive(Debug, Default)]
pub(super) struct State {
    queue: VecDeque<Job>,
    spare: Vec<Block>,
    /// Everything before is final: in the file, in the queue, or in the thread's hand.
    pub(super) end: u64,
    pub(super) written: u64,
    pub(super) ending: Ending,
    pub(super) full: bool,
    failed: Option<(io::ErrorKind, String)>,
    /// Nothing more will be written.
    pub(super) finished: bool,
}

impl State {
    /// Bytes that are final and not in the file.
    pub(super) fn queued(&self) -> u64 {
        self.end - self.written
    }

    pub(super) fn failure(&self) -> io::Result<()> {
        self.failed.as_ref().map_or(Ok(()), |(kind, why)| Err(io::Error::new(*kind, why.clone())))
    }
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    // So that a write of a few bytes takes no lock.
    failed: AtomicBool,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while he holds it; if he did, every field would still be true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>, limit: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn check(&self) -> io::Result<()> {
        if self.failed.load(Ordering::Relaxed) { self.lock().failure() } else { Ok(()) }
    }

    pub(super) fn condition(&self) -> Condition {
        let state = self.lock();
        match &state.failed {
            Some((_, why)) => Condition::Failed(why.clone()),
            None if state.full => Condition::Full,
            None => Condition::Writing,
        }
    }

    /// One to be filled. The one used last comes first: it is in the cache.
    pub(super) fn block(&self) -> io::Result<Block> {
        let spare = self.lock().spare.pop();
        spare.map_or_else(Block::new, Ok)
    }

    pub(super) fn queue(&self, jobs: Vec<Job>, end: u64) {
        self.change(|state| {
            state.queue.extend(jobs);
            state.end = end;
        });
    }

    pub(super) fn end(&self, ending: Ending) {
        self.change(|state| state.ending = ending);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// The first failure is the one that is told.
    pub(super) fn fail(&self, error: &io::Error) {
        self.failed.store(true, Ordering::Relaxed);
        self.change(|state| {
            state.failed.get_or_insert_with(|| (error.kind(), error.to_string()));
        });
    }
}

/// Writes until it is told to end, or cannot.
pub(super) fn run(shared: &Shared, medium: Box<dyn Medium>, sync: bool) {
    let now = Instant::now();
    let mut worker =
        Worker { shared, medium, sync, looked: now, synced: now, unsynced: false, padded: None, full: false };
    let _over = Over(shared);
    if let Err(error) = worker.work() {
        shared.fail(&error);
    }
}

/// Says that the thread is over however it ended, so that nobody waits for it for ever.
struct Over<'a>(&'a Shared);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(&io::Error::other("the thread that writes panicked, which is a bug"));
        }
        self.0.change(|state| {
            state.finished = true;
            state.queue.clear();
            state.spare.clear();
        });
    }
}

struct Worker<'a> {
    shared: &'a Shared,
    medium: Box<dyn Medium>,
    sync: bool,
    looked: Instant,
    synced: Instant,
    unsynced: bool,
    /// Zeros stand in the file behind so many bytes.
    padded: Option<u64>,
    full: bool,
}

impl Worker<'_> {
    fn work(&mut self) -> io::Result<()> {
        while let Some(Job { block, offset, len }) = self.next()? {
            let whole = len.next_multiple_of(Block::ALIGN);
            if !self.until_there_is_room(|medium| medium.write(&block.bytes()[..whole], offset))? {
                return Ok(());
            }
            let end = offset + len as u64;
            self.padded = (whole > len).then_some(end);
            self.unsynced = self.sync;
            self.shared.change(|state| {
                state.written = end;
                if state.spare.len() < SPARE {
                    state.spare.push(block);
                }
            });
        }
        Ok(())
    }

    /// The next job; what is due in between is done. `None`: there is none and there will be none.
    fn next(&mut self) -> io::Result<Option<Job>> {
        loop {
            if self.looked.elapsed() >= LOOK {
                self.medium.check()?;
                self.looked = Instant::now();
            }
            if self.unsynced && self.synced.elapsed() >= SYNC {
                self.force()?;
            }
            let mut state = self.shared.lock();
            if let Some(job) = state.queue.pop_front() {
                return Ok(Some(job));
            }
            let ending = state.ending;
            if ending == Ending::Open && self.padded.is_none() {
                let looks = LOOK.saturating_sub(self.looked.elapsed());
                let syncs = if self.unsynced { SYNC.saturating_sub(self.synced.elapsed()) } else { LOOK };
                state = self.shared.wait(state, looks.min(syncs).max(Duration::from_millis(1)));
                drop(state);
                continue;
            }
            drop(state);
            if let Some(len) = self.padded.take() {
                // With nothing else to do: what is read after a crash ends where the recording ended.
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
        // The length is a part of it.
        self.until_there_is_room(|medium| medium.sync())?;
        self.synced = Instant::now();
        self.unsynced = false;
        Ok(())
    }

    /// Does this again and again while the disk is full. `false`: it was given up, because nobody waits for it any more.
    fn until_there_is_room(&mut self, mut act: impl FnMut(&mut dyn Medium) -> io::Result<()>) -> io::Result<bool> {
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
                Err(error) => return Err(error),
            }
        }
    }

    /// `false`: told to leave.
    fn pause(&self) -> bool {
        let until = Instant::now() + AGAIN;
        let mut state = self.shared.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
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
