//! Media for tests, which inject faults.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::medium::FileMedium;
use super::{Disk, Medium};

/// Limit for every wait in tests.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Controls the faults of a [`FaultyMedium`]. Clones control the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<(Mutex<FaultState>, Condvar)>);

#[derive(Debug, Default)]
struct FaultState {
    room: Option<u64>,
    error: Option<io::ErrorKind>,
    stalls: bool,
    stalled: bool,
    tries: u64,
    lengths: Vec<u64>,
    syncs: u64,
}

impl Faults {
    /// Fails writes that end after this offset with a full disk.
    pub(crate) fn room(&self, room: Option<u64>) {
        self.update(|state| state.room = room);
    }

    /// Fails every write with this error.
    pub(crate) fn error(&self, error: Option<io::ErrorKind>) {
        self.update(|state| state.error = error);
    }

    /// Blocks writes while `true`.
    pub(crate) fn stall(&self, stalls: bool) {
        self.update(|state| state.stalls = stalls);
    }

    /// Waits until a write is blocked.
    pub(crate) fn until_stalled(&self) {
        self.wait_for(|state| state.stalled, "a blocked write");
    }

    /// Waits for this number of further writes, failed ones included.
    pub(crate) fn until_tried(&self, times: u64) {
        let target = self.0.0.lock().unwrap().tries + times;
        self.wait_for(|state| state.tries >= target, "more writes");
    }

    /// Waits until `sync` has been called this many times.
    pub(crate) fn until_synced(&self, times: u64) {
        self.wait_for(|state| state.syncs >= times, "a sync");
    }

    /// The lengths that the file was cut to.
    pub(crate) fn lengths(&self) -> Vec<u64> {
        self.0.0.lock().unwrap().lengths.clone()
    }

    fn update(&self, change: impl FnOnce(&mut FaultState)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn wait_for(&self, is: impl Fn(&FaultState) -> bool, what: &str) {
        let (state, timeout) =
            self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), TEST_TIMEOUT, |state| !is(state)).unwrap();
        drop(state);
        assert!(!timeout.timed_out(), "waited for {what}");
    }
}

/// A medium with injected [`Faults`].
pub(crate) struct FaultyMedium<M>(pub(crate) M, pub(crate) Faults);

impl<M: Medium> Medium for FaultyMedium<M> {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (state, changed) = &*self.1.0;
        let mut state = state.lock().unwrap();
        state.tries += 1;
        state.stalled = state.stalls;
        changed.notify_all();
        state = changed.wait_while(state, |state| state.stalls).unwrap();
        state.stalled = false;
        if let Some(kind) = state.error {
            return Err(io::Error::new(kind, "injected fault"));
        }
        if state.room.is_some_and(|room| offset + bytes.len() as u64 > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        drop(state);
        self.0.write(bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.1.update(|state| state.lengths.push(len));
        self.0.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.1.update(|state| state.syncs += 1);
        self.0.sync()
    }

    fn check(&mut self) -> io::Result<()> {
        self.0.check()
    }
}

/// A medium in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryMedium(pub(crate) Arc<Mutex<Vec<u8>>>);

impl Medium for MemoryMedium {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut file = self.0.lock().unwrap();
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        assert!(
            from.is_multiple_of(4096) && bytes.len().is_multiple_of(4096),
            "whole blocks: {} bytes at {from}",
            bytes.len()
        );
        let len = file.len().max(to);
        file.resize(len, 0);
        file[from..to].copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns a function that creates files with injected faults.
pub(crate) fn files(faults: &Faults) -> impl FnMut(&Path, bool) -> io::Result<Disk> + Send + use<> {
    let faults = faults.clone();
    move |path, sync| Disk::over(Box::new(FaultyMedium(FileMedium::create(path)?, faults.clone())), "faulty", sync)
}
