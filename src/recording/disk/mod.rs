//! Writes a file with direct I/O on a thread of its own.
//!
//! ```text
//! write, seek --> window (memory: everything since the last flush) --flush--> queue --> thread "disk NAME" --> file
//! ```
//!
//! Direct I/O, where the file system supports it, bypasses the page cache: it takes a third of the CPU time, kernel
//! write-back does not cause stalls, and a recording does not evict other data from memory.

mod block;
#[cfg(test)]
pub(crate) mod faults;
mod medium;
mod worker;

use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use block::Block;
use medium::FileMedium;
pub(crate) use medium::Medium;
use worker::{BlockWrite, Ending, SharedState};

/// Number of queued bytes from which on [`Disk::flush`] waits.
const QUEUE_BYTES_MAX: u64 = 16 << 20;

/// Interval at which waiting threads check for changes.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Time for which [`Disk`] waits for its thread after a failure. The thread may be blocked in a write that never returns.
const FAILED_JOIN_MAX: Duration = Duration::from_millis(100);

/// State of a [`Disk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskCondition {
    /// Writing, or waiting for data.
    Writing,
    /// The disk is full or the quota is used up. The write is retried five times per second, and nothing is lost.
    Full,
    /// A permanent error, with its text. Final bytes that are not in the file are lost.
    Failed(String),
}

/// Observes a [`Disk`] from other threads, also after it is gone.
#[derive(Clone, Debug)]
pub struct DiskMonitor(Arc<SharedState>);

impl DiskMonitor {
    /// Current state.
    #[must_use]
    pub fn condition(&self) -> DiskCondition {
        self.0.condition()
    }

    /// Number of bytes in the file. They survive a crash of the program. With `sync`, all but about the last second of
    /// them survive a power failure.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.0.lock().written
    }

    /// Stops waiting for a disk that is full or does not respond. Queued bytes are lost, and all waiting calls fail with
    /// [`io::ErrorKind::StorageFull`] or [`io::ErrorKind::TimedOut`].
    pub fn give_up(&self) {
        self.0.give_up();
    }

    /// Waits at most `limit` until `flush` would not have to wait. Returns `false` if it still would.
    ///
    /// # Errors
    /// The disk failed.
    pub fn wait_for_room(&self, limit: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + limit;
        let mut state = self.0.lock();
        loop {
            state.failure()?;
            if state.queued() < QUEUE_BYTES_MAX {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            state = self.0.wait(state, left);
        }
    }

    /// Number of final bytes, in the file or queued.
    #[must_use]
    pub fn flushed(&self) -> u64 {
        self.0.lock().end
    }

    /// Number of final bytes that are not yet in the file.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.0.lock().queued()
    }
}

/// A new file that is written from beginning to end.
///
/// [`flush`](Write::flush) makes bytes final. Bytes after the last flush (the window) can be overwritten after a
/// [`seek`](Seek::seek). `write` never waits for the disk and keeps the whole window in memory, whatever its size; `flush`
/// waits while more than 16 MiB are queued.
///
/// The next `write` or `flush` returns an error of the disk. A full disk is not an error: calls wait for it. When dropped
/// without [`Disk::finish`], writes the queued bytes unless the disk is full, and drops the window.
#[derive(Debug)]
pub struct Disk {
    shared: Arc<SharedState>,
    thread: Option<JoinHandle<()>>,
    /// The bytes from `base` on that are not final. All blocks but the last are full.
    window: Vec<Block>,
    /// Position of the window in the file. It is aligned, so the window may begin with final bytes.
    base: u64,
    /// Number of final bytes.
    flushed: u64,
    at: u64,
    end: u64,
}

impl Disk {
    /// Creates a file and locks it while it is open. With `sync`, flushes it to the medium about once per second, so that
    /// a power failure costs no more than that.
    ///
    /// # Errors
    /// The file exists or cannot be created, or no thread can be started.
    pub fn create(path: &Path, sync: bool) -> io::Result<Self> {
        let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
        Self::over(Box::new(FileMedium::create(path)?), &name, sync)
    }

    /// Like [`Self::create`], on any medium.
    pub(crate) fn over(medium: Box<dyn Medium>, name: &str, sync: bool) -> io::Result<Self> {
        let shared = Arc::new(SharedState::default());
        let thread = std::thread::Builder::new().name(format!("disk {name}")).spawn({
            let shared = Arc::clone(&shared);
            move || worker::run(&shared, medium, sync)
        })?;
        Ok(Self { shared, thread: Some(thread), window: Vec::new(), base: 0, flushed: 0, at: 0, end: 0 })
    }

    /// Returns an observer of this file.
    #[must_use]
    pub fn monitor(&self) -> DiskMonitor {
        DiskMonitor(Arc::clone(&self.shared))
    }

    /// Position of the next byte.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Flushes, and waits until everything is in the file and the file has its exact length. While it waits, calls `go_on`
    /// ten times per second, and gives up when it returns `false`.
    ///
    /// # Errors
    /// The disk failed, or was full ([`io::ErrorKind::StorageFull`]) or slow ([`io::ErrorKind::TimedOut`]) until `go_on`
    /// returned `false`. The file is then incomplete.
    pub fn finish(mut self, mut go_on: impl FnMut() -> bool) -> io::Result<()> {
        while !self.monitor().wait_for_room(POLL_INTERVAL)? {
            self.go_on_or_give_up(&mut go_on)?;
        }
        self.queue_window()?;
        self.shared.end(Ending::Finish);
        let mut state = self.shared.lock();
        while !state.finished {
            state.failure()?;
            state = self.shared.wait(state, POLL_INTERVAL);
            if !state.finished {
                drop(state);
                self.go_on_or_give_up(&mut go_on)?;
                state = self.shared.lock();
            }
        }
        state.failure()
        // `drop` joins the thread, which has ended.
    }

    fn go_on_or_give_up(&self, go_on: &mut impl FnMut() -> bool) -> io::Result<()> {
        if go_on() {
            return Ok(());
        }
        self.shared.give_up();
        self.shared.check()
    }

    /// Makes the window final and queues it. Waits while the queue is full.
    fn queue_window(&mut self) -> io::Result<()> {
        self.shared.check()?;
        if self.end == self.flushed {
            return Ok(());
        }
        while !self.monitor().wait_for_room(POLL_INTERVAL)? {}
        let mut writes = Vec::with_capacity(self.window.len());
        let mut offset = self.base;
        for block in self.window.drain(..) {
            let len = usize::try_from(self.end - offset).unwrap_or(usize::MAX).min(Block::SIZE_BYTES);
            writes.push(BlockWrite { block, offset, len });
            offset += len as u64;
        }
        // Only whole aligned parts can be written. The last, incomplete part is written padded with zeros, and written
        // again with the next window, which begins with a copy of it.
        let rest = (self.end % Block::ALIGN_BYTES as u64) as usize;
        if let Some(last) = writes.last_mut().filter(|_| rest > 0) {
            let mut next = self.shared.block()?;
            next.bytes_mut()[..rest].copy_from_slice(&last.block.bytes()[last.len - rest..last.len]);
            last.block.bytes_mut()[last.len..last.len - rest + Block::ALIGN_BYTES].fill(0);
            self.window.push(next);
        }
        self.base = self.end - rest as u64;
        self.flushed = self.end;
        self.shared.queue(writes, self.end);
        Ok(())
    }

    fn not_final_error(&self, what: &std::fmt::Arguments<'_>) -> io::Error {
        let why = format!("cannot {what}: only bytes {} to {} are not final", self.flushed, self.end);
        io::Error::new(io::ErrorKind::InvalidInput, why)
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.shared.check()?;
        if self.at < self.flushed {
            return Err(self.not_final_error(&format_args!("write at {}", self.at)));
        }
        let into = usize::try_from(self.at - self.base).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let (index, from) = (into / Block::SIZE_BYTES, into % Block::SIZE_BYTES);
        if index == self.window.len() {
            self.window.push(self.shared.block()?);
        }
        let len = bytes.len().min(Block::SIZE_BYTES - from);
        self.window[index].bytes_mut()[from..from + len].copy_from_slice(&bytes[..len]);
        self.at += len as u64;
        self.end = self.end.max(self.at);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.queue_window()
    }
}

impl Seek for Disk {
    /// Seeks within the bytes that are not final, or to their end.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        match at.filter(|at| (self.flushed..=self.end).contains(at)) {
            Some(at) => {
                self.at = at;
                Ok(at)
            }
            None => Err(self.not_final_error(&format_args!("seek to {to:?}"))),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.shared.end(Ending::Leave);
        if let Some(thread) = self.thread.take() {
            if self.shared.check().is_err() && !self.shared.wait_until_finished(FAILED_JOIN_MAX) {
                return;
            }
            // `FinishGuard` has reported a panic.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
