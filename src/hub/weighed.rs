//! Lanes that are bounded by bytes: several producers that never wait, one taker, one budget.
//!
//! A frame weighs a few kilobytes or many megabytes, so a number of frames says nothing about memory. Every producer
//! has counts of its own, and what it offers comes out in the order in which all of them offered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::lane::{Count, LaneCounter, RecvTimeoutError};

/// Bytes that may wait in all lanes that share it.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: usize,
    used: Arc<AtomicUsize>,
}

impl Budget {
    /// So many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { limit: bytes, used: Arc::default() }
    }

    /// Bytes that wait now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }

    /// The most that may wait.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Takes so many bytes, if they are left. An empty budget gives one item of any size: it must come through.
    fn take(&self, bytes: usize) -> Option<Held> {
        let room = |used: usize| (used == 0 || used.saturating_add(bytes) <= self.limit).then(|| used + bytes);
        let taken = self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room);
        taken.is_ok().then(|| Held { budget: self.clone(), bytes })
    }
}

/// Bytes of a budget, until it is dropped.
#[derive(Debug)]
struct Held {
    budget: Budget,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

/// A lane and its taker; `name` is what the ledger calls it. What does not fit into the budget is dropped and counted:
/// for those who keep everything, where a hole must be visible.
#[must_use]
pub fn weighed<T>(name: &'static str, budget: &Budget) -> (WeighedLane<T>, WeighedTaker<T>) {
    let (tx, rx) = crossbeam_channel::unbounded();
    let alive = Arc::new(AtomicBool::new(true));
    let count = Arc::new(Count::new(name, true));
    let lane = WeighedLane { tx, budget: budget.clone(), count, alive: Arc::clone(&alive), name };
    (lane, WeighedTaker { rx, alive })
}

/// An item that waits.
#[derive(Debug)]
struct Waiting<T> {
    item: T,
    count: Arc<Count>,
    _held: Held,
}

/// The end that offers, one for each producer.
#[derive(Debug)]
pub struct WeighedLane<T> {
    tx: Sender<Waiting<T>>,
    budget: Budget,
    count: Arc<Count>,
    alive: Arc<AtomicBool>,
    name: &'static str,
}

impl<T> WeighedLane<T> {
    /// One more lane to the same taker, with counts of its own.
    #[must_use]
    pub fn sibling(&self) -> Self {
        let Self { tx, budget, alive, name, .. } = self;
        let count = Arc::new(Count::new(name, true));
        Self { tx: tx.clone(), budget: budget.clone(), count, alive: Arc::clone(alive), name }
    }

    /// Puts an item of so many bytes into the lane without ever waiting. `false`: nobody takes from it any more, the item
    /// was not offered.
    pub fn offer(&self, item: T, bytes: usize) -> bool {
        if !self.alive.load(Ordering::SeqCst) {
            return false;
        }
        self.count.offered.fetch_add(1, Ordering::SeqCst);
        match self.budget.take(bytes) {
            Some(held) => {
                // Should the taker go in this moment, the item counts as left behind.
                let _ = self.tx.send(Waiting { item, count: Arc::clone(&self.count), _held: held });
            }
            None => {
                self.count.dropped.fetch_add(1, Ordering::SeqCst);
            }
        }
        true
    }

    /// A reader of the counts.
    #[must_use]
    pub fn counter(&self) -> LaneCounter {
        LaneCounter(Arc::clone(&self.count))
    }
}

/// The end that takes. Taking an item gives its bytes back to the budget.
#[derive(Debug)]
pub struct WeighedTaker<T> {
    rx: Receiver<Waiting<T>>,
    alive: Arc<AtomicBool>,
}

impl<T> WeighedTaker<T> {
    /// Waits for the next item, not longer than `timeout`.
    ///
    /// # Errors
    /// `Timeout` when nothing came, `Disconnected` when all lanes have ended and are empty.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.rx.recv_timeout(timeout).map(Self::took)
    }

    /// The next item if there is one.
    #[must_use]
    pub fn try_take(&self) -> Option<T> {
        self.rx.try_recv().ok().map(Self::took)
    }

    fn took(waiting: Waiting<T>) -> T {
        waiting.count.taken.fetch_add(1, Ordering::SeqCst);
        waiting.item
    }
}

impl<T> Drop for WeighedTaker<T> {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::LaneCounts;

    fn numbers(counts: LaneCounts) -> (u64, u64, u64, u64) {
        (counts.offered, counts.taken, counts.dropped, counts.queued)
    }

    #[test]
    fn the_budget_is_shared_and_comes_back() {
        let budget = Budget::new(100);
        let (a, taker) = weighed("record", &budget);
        let b = a.sibling();
        assert!(a.offer(1, 60) && b.offer(2, 60) && b.offer(3, 40));
        assert_eq!(budget.used(), 100);
        assert_eq!((numbers(a.counter().counts()), numbers(b.counter().counts())), ((1, 0, 0, 1), (2, 0, 1, 1)));
        assert!(a.counter().counts().keeps, "a drop is a loss");
        assert_eq!([taker.try_take(), taker.try_take(), taker.try_take()], [Some(1), Some(3), None], "in order");
        assert_eq!(budget.used(), 0);
        assert_eq!((numbers(a.counter().counts()), numbers(b.counter().counts())), ((1, 1, 0, 0), (2, 1, 1, 0)));
    }

    #[test]
    fn what_is_larger_than_the_budget_comes_through_alone() {
        let budget = Budget::new(10);
        let (lane, taker) = weighed("record", &budget);
        lane.offer("large", 1000);
        lane.offer("small", 1);
        assert_eq!([taker.try_take(), taker.try_take()], [Some("large"), None]);
        lane.offer("small", 1);
        drop(lane);
        assert_eq!(taker.recv_timeout(Duration::from_secs(60)), Ok("small"));
        assert_eq!(taker.recv_timeout(Duration::from_secs(60)), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_dead_taker_is_noticed_and_holds_nothing() {
        let budget = Budget::new(10);
        let (lane, taker) = weighed("record", &budget);
        let item = Arc::new(());
        assert!(lane.offer(Arc::clone(&item), 5));
        drop(taker);
        assert_eq!((Arc::strong_count(&item), budget.used()), (1, 0));
        assert!(!lane.offer(Arc::clone(&item), 5));
        assert_eq!(numbers(lane.counter().counts()), (1, 0, 0, 1), "left behind, not dropped");
    }

    /// Three producers as fast as they can, and one taker who is slower: nothing is lost without being counted.
    #[test]
    fn the_counts_balance_while_everybody_runs() {
        const ITEMS: u64 = 20_000;
        let budget = Budget::new(64);
        let (first, taker) = weighed("race", &budget);
        let lanes = [first.sibling(), first.sibling(), first];
        let counters: Vec<_> = lanes.iter().map(WeighedLane::counter).collect();
        let taken = std::thread::scope(|scope| {
            for (producer, lane) in lanes.into_iter().enumerate() {
                let budget = &budget;
                scope.spawn(move || {
                    for item in 0..ITEMS {
                        assert!(lane.offer((producer, item), 1 + item as usize % 7));
                        assert!(budget.used() <= budget.limit());
                    }
                });
            }
            let (mut taken, mut last) = ([0; 3], [None; 3]);
            while let Ok((producer, item)) = taker.recv_timeout(Duration::from_secs(60)) {
                assert!(last[producer] < Some(item), "order is kept, nothing comes twice");
                last[producer] = Some(item);
                taken[producer] += 1;
            }
            taken
        });
        for (counter, taken) in counters.iter().zip(taken) {
            let counts = counter.counts();
            assert_eq!(numbers(counts), (ITEMS, taken, ITEMS - taken, 0));
        }
        assert_eq!(budget.used(), 0);
    }
}
