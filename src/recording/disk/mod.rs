//! The writing side of the disk: what is final goes to a thread of its own, which writes whole aligned blocks.
//!
//! ```text
//! write, seek --> window (memory: everything since the last flush) --flush--> queue --> thread "disk NAME" --> file
//! ```
//!
//! Blocks bypass the page cache where the file system can do that (direct I/O): they cost a third of the CPU, the writer of
//! pages does not stall everybody now and then, and a recording does not push everything else out of memory.

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
pub(crate) use medium::Medium;
use medium::OnFile;
use worker::{Ending, Job, Shared};

/// Bytes that may wait for the disk before [`Disk::flush`] does.
const QUEUE: u64 = 16 << 20;

/// How often those who wait for a disk look up.
const ASK: Duration = Duration::from_millis(100);

/// What a disk is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Blocks are written, or there are none.
    Writing,
    /// No room, or the quota is used up. The block is tried again five times a second, nothing of it is lost.
    Full,
    /// Not to be mended. What was final and is not in the file is lost; why.
    Failed(String),
}

/// Reads how a disk is doing, from anywhere, for as long as it likes.
#[derive(Clone, Debug)]
pub struct Gauge(Arc<Shared>);

impl Gauge {
    /// What it is doing.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.0.condition()
    }

    /// Bytes from the beginning of the file that are in it, for as long as the system lives (with `sync`: a power cut takes
    /// about the last second of them).
    #[must_use]
    pub fn written(&self) -> u64 {
        self.0.lock().written
    }

    /// Ends the waiting for a full disk: what is queued is lost, and everybody who waits for this disk gets an error of
    /// the kind [`io::ErrorKind::StorageFull`].
    pub fn give_up(&self) {
        let queued = self.queued();
        self.0.end(Ending::Leave);
        self.0.fail(&no_room(queued));
    }

    /// Waits until a `flush` would not wait, but not longer than `limit`; `false` when it still would.
    ///
    /// # Errors
    /// The disk failed.
    pub fn wait_for_room(&self, limit: Duration) -> io::Result<bool> {
        let until = Instant::now() + limit;
        let mut state = self.0.lock();
        loop {
            state.failure()?;
            if state.queued() < QUEUE {
                return Ok(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            state = self.0.wait(state, left);
        }
    }

    /// Bytes that are final: in the file, or on their way to it.
    #[must_use]
    pub fn flushed(&self) -> u64 {
        self.0.lock().end
    }

    /// Bytes that are final and not yet in the file.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.0.lock().queued()
    }
}

/// A new file that is written from its beginning to its end.
///
/// What was written since the last [`flush`](Write::flush) can be written again after a [`seek`](Seek::seek) back; what was
/// flushed is final. `write` never waits for the disk, and holds the window in memory however large it grows; `flush` waits
/// while more than 16 MiB are queued.
///
/// Errors of the disk come from the next `write` or `flush`. A full disk is not an error: it is waited for.
/// Dropped without [`Disk::finish`], it writes what is queued as far as that goes at once, and forgets the window.
#[derive(Debug)]
pub struct Disk {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// What is not final, from `base` on. All blocks but the last are full.
    window: Vec<Block>,
    /// Where the window's first block stands in the file: at a whole block, so it can begin with bytes that are final.
    base: u64,
    /// Everything before is final.
    flushed: u64,
    at: u64,
    end: u64,
}

impl Disk {
    /// Creates this file, which must not be there, and locks it for as long as it is open. With `sync`, what was written is
    /// forced to the medium about once a second, so that a power cut takes no more than that.
    ///
    /// # Errors
    /// The file is there, cannot be created, or no thread can be started.
    pub fn create(path: &Path, sync: bool) -> io::Result<Self> {
        let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
        Self::over(Box::new(OnFile::create(path)?), &name, sync)
    }

    /// The same onto anything that takes blocks.
    pub(crate) fn over(medium: Box<dyn Medium>, name: &str, sync: bool) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name(format!("disk {name}")).spawn({
            let shared = Arc::clone(&shared);
            move || worker::run(&shared, medium, sync)
        })?;
        Ok(Self { shared, thread: Some(thread), window: Vec::new(), base: 0, flushed: 0, at: 0, end: 0 })
    }

    /// A reader of how it is doing.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        Gauge(Arc::clone(&self.shared))
    }

    /// Where the next byte goes.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Flushes, and returns when everything is in the file and the file has exactly that length. A full disk is waited for
    /// as long as `go_on`, which is then asked ten times a second, says so.
    ///
    /// # Errors
    /// The disk failed, or was full and given up ([`io::ErrorKind::StorageFull`]). The file then ends somewhere before.
    pub fn finish(mut self, mut go_on: impl FnMut() -> bool) -> io::Result<()> {
        while !self.gauge().wait_for_room(ASK)? {
            self.ask(&mut go_on)?;
        }
        self.hand_over()?;
        self.shared.end(Ending::Finish);
        let mut state = self.shared.lock();
        while !state.finished {
            state.failure()?;
            if state.full {
                drop(state);
                self.ask(&mut go_on)?;
                state = self.shared.lock();
            }
            state = self.shared.wait(state, ASK);
        }
        state.failure()
        // Dropped: the thread has ended, or ends because it is told to.
    }

    fn ask(&self, go_on: &mut impl FnMut() -> bool) -> io::Result<()> {
        let state = self.shared.lock();
        let (full, queued) = (state.full, state.queued());
        drop(state);
        if full && !go_on() { Err(no_room(queued)) } else { Ok(()) }
    }

    /// Makes the window final. A full queue is waited for.
    fn hand_over(&mut self) -> io::Result<()> {
        self.shared.check()?;
        if self.end == self.flushed {
            return Ok(());
        }
        while !self.gauge().wait_for_room(ASK)? {}
        let mut jobs = Vec::with_capacity(self.window.len());
        let mut offset = self.base;
        for block in self.window.drain(..) {
            let len = usize::try_from(self.end - offset).unwrap_or(usize::MAX).min(Block::SIZE);
            jobs.push(Job { block, offset, len });
            offset += len as u64;
        }
        // Whole aligned blocks alone are written. The one that the end stands in is written now, filled up with zeros, and
        // again when there is more: it begins the next window.
        let rest = (self.end % Block::ALIGN as u64) as usize;
        if let Some(last) = jobs.last_mut().filter(|_| rest > 0) {
            let mut begun = self.shared.block()?;
            begun.bytes_mut()[..rest].copy_from_slice(&last.block.bytes()[last.len - rest..last.len]);
            last.block.bytes_mut()[last.len..last.len - rest + Block::ALIGN].fill(0);
            self.window.push(begun);
        }
        self.base = self.end - rest as u64;
        self.flushed = self.end;
        self.shared.queue(jobs, self.end);
        Ok(())
    }
}

impl Disk {
    fn out_of_reach(&self, what: &std::fmt::Arguments<'_>) -> io::Error {
        let why = format!("{what}: bytes {} to {} alone are not final", self.flushed, self.end);
        io::Error::new(io::ErrorKind::InvalidInput, why)
    }
}

fn no_room(queued: u64) -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, format!("no room on the disk for the last {queued} bytes"))
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.shared.check()?;
        if self.at < self.flushed {
            return Err(self.out_of_reach(&format_args!("write at {}", self.at)));
        }
        let into = usize::try_from(self.at - self.base).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let (index, from) = (into / Block::SIZE, into % Block::SIZE);
        if index == self.window.len() {
            self.window.push(self.shared.block()?);
        }
        let len = bytes.len().min(Block::SIZE - from);
        self.window[index].bytes_mut()[from..from + len].copy_from_slice(&bytes[..len]);
        self.at += len as u64;
        self.end = self.end.max(self.at);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_over()
    }
}

impl Seek for Disk {
    /// Back to anywhere in what is not final, and forward no further than to the end of what was written.
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
            None => Err(self.out_of_reach(&format_args!("seek to {to:?}"))),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.shared.end(Ending::Leave);
        if let Some(thread) = self.thread.take() {
            // It panics when it has a bug, and has said so.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
