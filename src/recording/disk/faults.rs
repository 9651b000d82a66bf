//! A medium that fails as it is told.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::medium::OnFile;
use super::{Disk, Medium};

/// No test waits longer for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Tells a [`Faulty`] what to do. Clones tell the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<(Mutex<Told>, Condvar)>);

#[derive(Debug, Default)]
struct Told {
    room: Option<u64>,
    error: Option<io::ErrorKind>,
    stalls: bool,
    stalled: bool,
    tries: u64,
    lengths: Vec<u64>,
    syncs: u64,
}

impl Faults {
    /// What does not fit before this offset finds no room.
    pub(crate) fn room(&self, room: Option<u64>) {
        self.tell(|told| told.room = room);
    }

    /// Every write fails like this.
    pub(crate) fn error(&self, error: Option<io::ErrorKind>) {
        self.tell(|told| told.error = error);
    }

    /// Writes do not return while it is `true`.
    pub(crate) fn stall(&self, stalls: bool) {
        self.tell(|told| told.stalls = stalls);
    }

    /// Returns when a write does not.
    pub(crate) fn until_stalled(&self) {
        self.until(|told| told.stalled, "a write that stalls");
    }

    /// Returns after so many more tries to write.
    pub(crate) fn until_tried(&self, times: u64) {
        let target = self.0.0.lock().unwrap().tries + times;
        self.until(|told| told.tries >= target, "more tries to write");
    }

    /// Returns after so many calls of `sync`.
    pub(crate) fn until_synced(&self, times: u64) {
        self.until(|told| told.syncs >= times, "a sync");
    }

    /// Lengths that the file was cut to.
    pub(crate) fn lengths(&self) -> Vec<u64> {
        self.0.0.lock().unwrap().lengths.clone()
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn until(&self, is: impl Fn(&Told) -> bool, what: &str) {
        let (told, timeout) = self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), LIMIT, |told| !is(told)).unwrap();
        drop(told);
        assert!(!timeout.timed_out(), "waited for {what}");
    }
}

/// Another medium, with [`Faults`].
pub(crate) struct Faulty<M>(pub(crate) M, pub(crate) Faults);

impl<M: Medium> Medium for Faulty<M> {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (told, changed) = &*self.1.0;
        let mut told = told.lock().unwrap();
        told.tries += 1;
        told.stalled = told.stalls;
        changed.notify_all();
        told = changed.wait_while(told, |told| told.stalls).unwrap();
        told.stalled = false;
        if let Some(kind) = told.error {
            return Err(io::Error::new(kind, "as it was told"));
        }
        if told.room.is_some_and(|room| offset + bytes.len() as u64 > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        drop(told);
        self.0.write(bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.1.tell(|told| told.lengths.push(len));
        self.0.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.1.tell(|told| told.syncs += 1);
        self.0.sync()
    }

    fn check(&mut self) -> io::Result<()> {
        self.0.check()
    }
}

/// Bytes in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct InMemory(pub(crate) Arc<Mutex<Vec<u8>>>);

impl Medium for InMemory {
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

/// Creates files that fail as they are told.
pub(crate) fn files(faults: &Faults) -> impl FnMut(&Path, bool) -> io::Result<Disk> + Send + use<> {
    let faults = faults.clone();
    move |path, sync| Disk::over(Box::new(Faulty(OnFile::create(path)?, faults.clone())), "faulty", sync)
}
