//! A bounded queue between one producer that never waits and one taker that may be slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub use crossbeam_channel::RecvTimeoutError;
use crossbeam_channel::{Receiver, Sender, TrySendError};

/// What a full lane does with one item too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The item that has waited longest goes: for those who want what is new. At least one item.
    DropOldest(usize),
    /// The item that was offered goes: for those who keep everything, where a hole must be visible. At least one item.
    DropNewest(usize),
}

/// A lane of at most the policy's number of items; `name` is what the ledger calls it.
#[must_use]
pub fn lane<T>(name: &'static str, policy: Policy) -> (Lane<T>, Taker<T>) {
    let (Policy::DropOldest(capacity) | Policy::DropNewest(capacity)) = policy;
    let (tx, rx) = crossbeam_channel::bounded(capacity.max(1));
    let count = Arc::new(Count::new(name, matches!(policy, Policy::DropNewest(_))));
    (Lane { tx, rx: rx.clone(), policy, count: Arc::clone(&count) }, Taker { rx, count })
}

#[derive(Debug)]
pub(super) struct Count {
    name: &'static str,
    keeps: bool,
    // The producer holds a receiver to drop the oldest item, so the channel itself never looks disconnected to it.
    taken_from: AtomicBool,
    pub(super) offered: AtomicU64,
    pub(super) taken: AtomicU64,
    pub(super) dropped: AtomicU64,
}

impl Count {
    pub(super) const fn new(name: &'static str, keeps: bool) -> Self {
        Self {
            name,
            keeps,
            taken_from: AtomicBool::new(true),
            offered: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }
}

/// How many items went where. `offered == taken + dropped + queued` at every moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LaneCounts {
    /// The lane's name.
    pub name: &'static str,
    /// Whether the lane promises to keep everything: a drop in it is a loss.
    pub keeps: bool,
    /// Items offered while somebody took.
    pub offered: u64,
    /// Items taken.
    pub taken: u64,
    /// Items dropped because the lane was full.
    pub dropped: u64,
    /// Items that wait, or that were left behind when the taker went.
    pub queued: u64,
}

/// Reads a lane's counts from anywhere, for as long as it likes.
#[derive(Clone, Debug)]
pub struct LaneCounter(pub(super) Arc<Count>);

impl LaneCounter {
    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> LaneCounts {
        let count = &*self.0;
        // An item is counted as offered before it can be taken or dropped: read in the other order, nothing is
        // ever taken that was not offered.
        let taken = count.taken.load(Ordering::SeqCst);
        let dropped = count.dropped.load(Ordering::SeqCst);
        let offered = count.offered.load(Ordering::SeqCst);
        let queued = offered - taken - dropped;
        LaneCounts { name: count.name, keeps: count.keeps, offered, taken, dropped, queued }
    }
}

/// The end that offers. There is one, and `offer` takes it by `&mut`, so there is one producer.
#[derive(Debug)]
pub struct Lane<T> {
    tx: Sender<T>,
    rx: Receiver<T>,
    policy: Policy,
    count: Arc<Count>,
}

impl<T> Lane<T> {
    /// Puts an item into the lane without ever waiting. `false`: nobody takes from it any more, the item was not offered.
    pub fn offer(&mut self, item: T) -> bool {
        if !self.count.taken_from.load(Ordering::SeqCst) {
            self.abandon();
            return false;
        }
        self.count.offered.fetch_add(1, Ordering::SeqCst);
        let mut item = item;
        while let Err(TrySendError::Full(back)) = self.tx.try_send(item) {
            match self.policy {
                Policy::DropOldest(_) => {
                    // Empty when the taker was quicker: then there is room.
                    if self.rx.try_recv().is_ok() {
                        self.count.dropped.fetch_add(1, Ordering::SeqCst);
                    }
                    item = back;
                }
                Policy::DropNewest(_) => {
                    self.count.dropped.fetch_add(1, Ordering::SeqCst);
                    break;
                }
            }
        }
        true
    }

    /// Whether one more item would drop none that was to be kept. For those who can wait, as a file can.
    #[must_use]
    pub fn has_room(&self) -> bool {
        match self.policy {
            Policy::DropOldest(_) => true,
            Policy::DropNewest(_) => !self.tx.is_full() || !self.count.taken_from.load(Ordering::SeqCst),
        }
    }

    /// A reader of the counts.
    #[must_use]
    pub fn counter(&self) -> LaneCounter {
        LaneCounter(Arc::clone(&self.count))
    }

    /// Gives back the memory of items that nobody will take; they stay counted as queued.
    fn abandon(&self) {
        while self.rx.try_recv().is_ok() {}
    }
}

impl<T> Drop for Lane<T> {
    fn drop(&mut self) {
        if !self.count.taken_from.load(Ordering::SeqCst) {
            self.abandon();
        }
    }
}

/// The end that takes.
#[derive(Debug)]
pub struct Taker<T> {
    rx: Receiver<T>,
    count: Arc<Count>,
}

impl<T> Taker<T> {
    /// Waits for the next item; `None` when the lane has ended and is empty.
    #[must_use]
    pub fn recv(&self) -> Option<T> {
        self.rx.recv().ok().map(|item| self.took(item))
    }

    /// Waits for the next item, not longer than `timeout`.
    ///
    /// # Errors
    /// `Timeout` when nothing came, `Disconnected` when the lane has ended and is empty.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.rx.recv_timeout(timeout).map(|item| self.took(item))
    }

    /// The next item if there is one.
    #[must_use]
    pub fn try_take(&self) -> Option<T> {
        self.rx.try_recv().ok().map(|item| self.took(item))
    }

    /// How many items went where.
    #[must_use]
    pub fn counts(&self) -> LaneCounts {
        LaneCounter(Arc::clone(&self.count)).counts()
    }

    fn took(&self, item: T) -> T {
        self.count.taken.fetch_add(1, Ordering::SeqCst);
        item
    }
}

impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        self.count.taken_from.store(false, Ordering::SeqCst);
        while self.rx.try_recv().is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(counts: LaneCounts) -> (u64, u64, u64, u64) {
        (counts.offered, counts.taken, counts.dropped, counts.queued)
    }

    #[test]
    fn the_oldest_goes_so_the_newest_is_seen() {
        let (mut lane, taker) = lane("view", Policy::DropOldest(2));
        for i in 0..5 {
            assert!(lane.offer(i));
        }
        assert_eq!(numbers(taker.counts()), (5, 0, 3, 2));
        assert_eq!([taker.try_take(), taker.try_take(), taker.try_take()], [Some(3), Some(4), None]);
        assert_eq!(numbers(taker.counts()), (5, 2, 3, 0));
    }

    #[test]
    fn the_newest_goes_so_what_was_promised_is_kept() {
        let (mut lane, taker) = lane("record", Policy::DropNewest(2));
        for i in 0..5 {
            assert_eq!(lane.has_room(), i < 2);
            assert!(lane.offer(i));
        }
        drop(lane);
        assert_eq!([taker.recv(), taker.recv(), taker.recv()], [Some(0), Some(1), None]);
        assert_eq!(numbers(taker.counts()), (5, 2, 3, 0));
        assert_eq!(taker.recv_timeout(Duration::from_secs(60)), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_dead_taker_is_noticed_and_holds_no_memory() {
        for policy in [Policy::DropOldest(4), Policy::DropNewest(4)] {
            let (mut lane, taker) = lane("gone", policy);
            let item = Arc::new(());
            assert!(lane.offer(Arc::clone(&item)));
            drop(taker);
            assert_eq!(Arc::strong_count(&item), 1, "the queue was emptied");
            assert!(!lane.offer(Arc::clone(&item)));
            assert_eq!(Arc::strong_count(&item), 1);
            assert_eq!(numbers(lane.counter().counts()), (1, 0, 0, 1), "left behind, not dropped");
        }
    }

    #[test]
    fn a_lane_of_nothing_holds_one() {
        let (mut lane, taker) = lane("one", Policy::DropOldest(0));
        lane.offer(1);
        lane.offer(2);
        assert_eq!(taker.try_take(), Some(2));
    }

    /// A producer and a taker as fast as they can, and a witness who reads the counts in between.
    #[test]
    fn the_counts_balance_while_everybody_runs() {
        const ITEMS: u64 = 100_000;
        for policy in [Policy::DropOldest(1), Policy::DropOldest(7), Policy::DropNewest(7)] {
            let (mut lane, taker) = lane("race", policy);
            let counter = lane.counter();
            let (taken, last, looks) = std::thread::scope(|scope| {
                let taking = scope.spawn(move || {
                    let (mut taken, mut last) = (0, None);
                    while let Some(item) = taker.recv() {
                        assert!(last < Some(item), "{item} after {last:?}: order is kept, nothing comes twice");
                        last = Some(item);
                        taken += 1;
                    }
                    (taken, last)
                });
                let witness = scope.spawn({
                    let counter = counter.clone();
                    move || {
                        let (mut looks, mut before) = (0, 0);
                        loop {
                            let now = counter.counts();
                            assert_eq!(now.offered, now.taken + now.dropped + now.queued);
                            assert!(now.offered >= before);
                            before = now.offered;
                            looks += 1;
                            if now.offered == ITEMS {
                                return looks;
                            }
                        }
                    }
                });
                for i in 0..ITEMS {
                    assert!(lane.offer(i));
                }
                drop(lane);
                let (taken, last) = taking.join().expect("the taker does not panic");
                (taken, last, witness.join().expect("the witness does not panic"))
            });
            let counts = counter.counts();
            assert_eq!((counts.offered, counts.taken, counts.queued), (ITEMS, taken, 0));
            assert_eq!(counts.dropped, ITEMS - taken);
            assert!(looks > 0);
            if matches!(policy, Policy::DropOldest(_)) {
                assert_eq!(last, Some(ITEMS - 1), "the newest always arrives");
            }
        }
    }
}
