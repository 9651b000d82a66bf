//! Counts of a lane. `offered == taken + dropped + queued` holds at every moment, also for concurrent readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct Counters {
    name: &'static str,
    keeps: bool,
    offered: AtomicU64,
    taken: AtomicU64,
    dropped: AtomicU64,
}

impl Counters {
    pub(super) const fn new(name: &'static str, keeps: bool) -> Self {
        let (offered, taken, dropped) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { name, keeps, offered, taken, dropped }
    }

    /// Counts an item, before it can be taken or dropped.
    pub(super) fn offered(&self) {
        self.offered.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn taken(&self) {
        self.taken.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// Number of items that a lane was offered, and where they went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LaneCounts {
    /// The lane's name.
    pub name: &'static str,
    /// Set if the taker keeps every item: a drop is then a loss.
    pub keeps: bool,
    /// Items offered while there was a taker that was not muted.
    pub offered: u64,
    /// Items taken.
    pub taken: u64,
    /// Items dropped because the lane was full.
    pub dropped: u64,
    /// Items that wait, or that were left when the taker ended.
    pub queued: u64,
}

impl LaneCounts {
    /// Adds the counts of another lane.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.taken += other.taken;
        self.dropped += other.dropped;
        self.queued += other.queued;
    }
}

/// Reads a lane's counts, also after the lane has ended.
#[derive(Clone, Debug)]
pub struct LaneCounter(pub(super) Arc<Counters>);

impl LaneCounter {
    /// Returns whether both count the same lane.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the counts if they are final: the lane has ended, and this is the only reader left.
    pub(crate) fn final_counts(&mut self) -> Option<LaneCounts> {
        Arc::get_mut(&mut self.0).is_some().then(|| self.counts())
    }

    /// Returns the counts now.
    #[must_use]
    pub fn counts(&self) -> LaneCounts {
        let counters = &*self.0;
        // An item is counted as offered before it can be taken or dropped. Read in the opposite order, `queued` never
        // becomes negative.
        let taken = counters.taken.load(Ordering::SeqCst);
        let dropped = counters.dropped.load(Ordering::SeqCst);
        let offered = counters.offered.load(Ordering::SeqCst);
        let queued = offered - taken - dropped;
        LaneCounts { name: counters.name, keeps: counters.keeps, offered, taken, dropped, queued }
    }
}
