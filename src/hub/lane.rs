//! A bounded queue between one producer and one taker, which may be slow. Offering an item never waits; a producer that can
//! wait, such as a file, asks for room first.
//!
//! A lane is bounded by items or by bytes. Bytes come from a [`Budget`], which several lanes can share: a frame has a few
//! kilobytes or many megabytes, so a number of frames does not bound memory.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub use crossbeam_channel::RecvTimeoutError;
use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::budget::{Budget, Reservation};
use super::counts::{Counters, LaneCounter, LaneCounts};
use super::wakers::Wakers;
use crate::sync::locked;

/// Bound of a lane, and the item that a full lane drops. A bound of 0 items counts as 1.
#[derive(Clone, Debug)]
pub enum Policy {
    /// At most this many items; drops the oldest one. For takers that want the newest item.
    DropOldest(usize),
    /// At most this many items; drops the one that is offered. For takers that keep everything: a drop is a loss.
    DropNewest(usize),
    /// As many bytes as the budget has left; drops the item that is offered. For takers that keep everything.
    Bytes(Budget),
    /// At most this many items, which depend on those before them, such as frames of video. A full lane drops all of them,
    /// and then every item up to the next one that a taker can start with. For lanes of [`group_lane`].
    DropToStart(usize),
    /// At most this many items, and as many bytes as the budget has left. A full lane drops all items that wait and queues the
    /// one that is offered. For takers that want every item while they keep up, and otherwise the newest.
    DropQueue(usize, Budget),
}

/// Creates a lane; `name` appears in the ledger. Each item weighs 1, so a lane of [`Policy::Bytes`] is usually a
/// [`weighed_lane`].
#[must_use]
pub fn lane<T>(name: &'static str, policy: Policy) -> (Lane<T>, Taker<T>) {
    weighed_lane(name, policy, |_| 1)
}

/// Creates a lane; `weigh` returns the bytes that an item holds, which only [`Policy::Bytes`] asks for.
#[must_use]
pub fn weighed_lane<T>(name: &'static str, policy: Policy, weigh: fn(&T) -> usize) -> (Lane<T>, Taker<T>) {
    new_lane(name, policy, weigh, |_| true)
}

/// Creates a lane of [`Policy::DropToStart`] for at most this many items. `starts` returns whether an item does not depend on
/// the items before it. The taker judges the items before the first one that does not.
#[must_use]
pub fn group_lane<T>(name: &'static str, items: usize, starts: fn(&T) -> bool) -> (Lane<T>, Taker<T>) {
    new_lane(name, Policy::DropToStart(items), |_| 1, starts)
}

fn new_lane<T>(
    name: &'static str,
    policy: Policy,
    weigh: fn(&T) -> usize,
    starts: fn(&T) -> bool,
) -> (Lane<T>, Taker<T>) {
    let (tx, rx) = match policy {
        Policy::DropOldest(items)
        | Policy::DropNewest(items)
        | Policy::DropToStart(items)
        | Policy::DropQueue(items, _) => crossbeam_channel::bounded(items.max(1)),
        Policy::Bytes(_) => crossbeam_channel::unbounded(),
    };
    let shared = Arc::<Shared>::default();
    let taker = Taker { rx: rx.clone(), shared: Arc::clone(&shared) };
    let keeps = matches!(policy, Policy::DropNewest(_) | Policy::Bytes(_));
    let counters = Arc::new(Counters::new(name, keeps));
    (Lane { tx, rx, policy, weigh, starts, counters, shared }, taker)
}

/// State of a lane that both ends share.
#[derive(Debug, Default)]
struct Shared {
    state: AtomicU8,
    /// The next item that a lane of [`Policy::DropToStart`] queues has to be one that a taker can start with.
    awaits_start: AtomicBool,
    /// Producers that wait for room.
    room: Wakers,
    /// The consumer, if it does not wait in `recv`.
    consumer: Mutex<Option<Waker>>,
    has_consumer: AtomicBool,
}

/// The taker takes items.
const OPEN: u8 = 0;
/// The taker ignores new items for now.
const MUTED: u8 = 1;
/// The taker was dropped.
const GONE: u8 = 2;

/// An item in the queue.
#[derive(Debug)]
struct Queued<T> {
    item: T,
    counters: Arc<Counters>,
    // Returns its bytes to the budget when the item leaves the queue.
    _reservation: Option<Reservation>,
}

/// The producer's end. [`Self::offer`] takes `&mut self`, so each lane has one producer.
#[derive(Debug)]
pub struct Lane<T> {
    tx: Sender<Queued<T>>,
    // To drop the oldest item. It keeps the channel connected, so only `shared` shows whether there is a taker.
    rx: Receiver<Queued<T>>,
    policy: Policy,
    weigh: fn(&T) -> usize,
    starts: fn(&T) -> bool,
    counters: Arc<Counters>,
    shared: Arc<Shared>,
}

impl<T> Lane<T> {
    /// Creates another lane to the same taker, with counters of its own. The taker receives the items of both in the order
    /// in which they were offered.
    #[must_use]
    pub fn sibling(&self) -> Self {
        let LaneCounts { name, keeps, .. } = self.counter().counts();
        let mut lane = self.producer();
        lane.counters = Arc::new(Counters::new(name, keeps));
        lane
    }

    /// Creates another end of this lane for a second producer, with the same counters.
    #[must_use]
    pub fn producer(&self) -> Self {
        Self {
            tx: self.tx.clone(),
            rx: self.rx.clone(),
            policy: self.policy.clone(),
            weigh: self.weigh,
            starts: self.starts,
            counters: Arc::clone(&self.counters),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Puts an item into the lane and never waits. A lane without a taker, or with a muted one, ignores the item and does not
    /// count it.
    pub fn offer(&mut self, item: T) {
        match self.shared.state.load(Ordering::SeqCst) {
            OPEN => {}
            MUTED => return,
            _ => return self.discard_queue(),
        }
        self.counters.offered();
        let reservation = match &self.policy {
            Policy::DropOldest(_) | Policy::DropNewest(_) => None,
            Policy::DropToStart(_) => {
                let starts = (self.starts)(&item);
                if !starts && self.shared.awaits_start.load(Ordering::SeqCst) {
                    return self.counters.dropped();
                }
                self.shared.awaits_start.store(false, Ordering::SeqCst);
                None
            }
            Policy::Bytes(budget) => match budget.reserve((self.weigh)(&item)) {
                Some(reservation) => Some(reservation),
                None => return self.counters.dropped(),
            },
            Policy::DropQueue(_, budget) => {
                let bytes = (self.weigh)(&item);
                // A budget without reservations grants one of any size. An item that is being taken still has its own.
                budget.reserve(bytes).or_else(|| {
                    self.drop_queue();
                    budget.reserve(bytes)
                })
            }
        };
        let mut queued = Queued { item, counters: Arc::clone(&self.counters), _reservation: reservation };
        while let Err(TrySendError::Full(back)) = self.tx.try_send(queued) {
            match self.policy {
                Policy::DropOldest(_) => {
                    // Empty if the taker was quicker: then there is room now.
                    if let Ok(oldest) = self.rx.try_recv() {
                        oldest.counters.dropped();
                    }
                    queued = back;
                }
                Policy::DropQueue(..) => {
                    self.drop_queue();
                    queued = back;
                }
                Policy::DropToStart(_) => {
                    self.drop_queue();
                    if !(self.starts)(&back.item) {
                        self.shared.awaits_start.store(true, Ordering::SeqCst);
                        return self.counters.dropped();
                    }
                    queued = back;
                }
                Policy::DropNewest(_) | Policy::Bytes(_) => return self.counters.dropped(),
            }
        }
        if self.shared.has_consumer.load(Ordering::SeqCst)
            && let Some(consumer) = &*locked(&self.shared.consumer)
        {
            consumer.wake_by_ref();
        }
    }

    /// Returns whether the taker still exists.
    #[must_use]
    pub fn has_taker(&self) -> bool {
        self.shared.state.load(Ordering::SeqCst) != GONE
    }

    /// Returns whether an item that is offered now would be queued.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.state.load(Ordering::SeqCst) == OPEN
    }

    /// Returns whether the next item would be queued without dropping one that the taker keeps.
    ///
    /// A lane that is bounded by bytes has room while half of its budget is free: a source that can wait, such as a file,
    /// then leaves memory to those that cannot.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.is_open()
            || match &self.policy {
                Policy::DropOldest(_) | Policy::DropQueue(..) => true,
                Policy::DropNewest(_) | Policy::DropToStart(_) => !self.tx.is_full(),
                Policy::Bytes(budget) => budget.used() <= budget.limit() / 2,
            }
    }

    /// Returns `Ready` if the lane [has room](Self::has_room); otherwise wakes the task once it may have.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        // Registered first and checked again afterwards, so that a wake-up in between is not missed.
        self.shared.room.register(cx.waker());
        if let Policy::Bytes(budget) = &self.policy {
            budget.room().register(cx.waker());
        }
        if self.has_room() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Returns a reader of the lane's counts.
    #[must_use]
    pub fn counter(&self) -> LaneCounter {
        LaneCounter(Arc::clone(&self.counters))
    }

    /// Drops all items that wait.
    fn drop_queue(&self) {
        while let Ok(oldest) = self.rx.try_recv() {
            oldest.counters.dropped();
        }
    }

    /// Frees the queue of a dropped taker. Its items stay counted as queued.
    fn discard_queue(&self) {
        while self.rx.try_recv().is_ok() {}
    }
}

impl<T> Drop for Lane<T> {
    fn drop(&mut self) {
        if !self.has_taker() {
            self.discard_queue();
        }
    }
}

/// The consumer's end.
#[derive(Debug)]
pub struct Taker<T> {
    rx: Receiver<Queued<T>>,
    shared: Arc<Shared>,
}

impl<T> Taker<T> {
    /// Waits for the next item. Returns `None` when all lanes to this taker are gone and the queue is empty.
    #[must_use]
    pub fn recv(&self) -> Option<T> {
        self.rx.recv().ok().map(|queued| self.take(queued))
    }

    /// Waits for the next item, at most for `timeout`.
    ///
    /// # Errors
    /// `Timeout` if no item arrived, `Disconnected` if all lanes to this taker are gone and the queue is empty.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.rx.recv_timeout(timeout).map(|queued| self.take(queued))
    }

    /// Returns the next item if there is one.
    #[must_use]
    pub fn try_take(&self) -> Option<T> {
        self.rx.try_recv().ok().map(|queued| self.take(queued))
    }

    /// Returns the number of items that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.rx.len()
    }

    /// `true`: ignores new items; `false`: takes them again. Ignored items do not count as offered, so a consumer that needs
    /// an item only now and then causes no drops. Queued items stay.
    pub fn mute(&self, muted: bool) {
        self.shared.state.store(if muted { MUTED } else { OPEN }, Ordering::SeqCst);
        if muted {
            self.shared.awaits_start.store(true, Ordering::SeqCst);
            self.shared.room.wake();
        }
    }

    /// Wakes `consumer` after each item from now on: for a thread that takes from several lanes, or an async task.
    pub fn wake_on_item(&self, consumer: Waker) {
        *locked(&self.shared.consumer) = Some(consumer);
        self.shared.has_consumer.store(true, Ordering::SeqCst);
    }

    /// Returns the next item, or wakes the task when there is one.
    pub fn poll_take(&self, cx: &Context<'_>) -> Poll<T> {
        if let Some(item) = self.try_take() {
            return Poll::Ready(item);
        }
        // Registered first and checked again afterwards, so that an item in between is not missed.
        self.wake_on_item(cx.waker().clone());
        self.try_take().map_or(Poll::Pending, Poll::Ready)
    }

    fn take(&self, queued: Queued<T>) -> T {
        let Queued { item, counters, _reservation: reservation } = queued;
        counters.taken();
        drop(reservation);
        self.shared.room.wake();
        item
    }
}

impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        self.shared.state.store(GONE, Ordering::SeqCst);
        while self.rx.try_recv().is_ok() {}
        self.shared.room.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(counts: LaneCounts) -> (u64, u64, u64, u64) {
        (counts.offered, counts.taken, counts.dropped, counts.queued)
    }

    /// A waker that counts its wake-ups.
    #[derive(Debug, Default)]
    struct WakeCount(std::sync::atomic::AtomicUsize);

    impl std::task::Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl WakeCount {
        fn get(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn drop_oldest_keeps_the_newest_items() {
        let (mut lane, taker) = lane("view", Policy::DropOldest(2));
        (0..5).for_each(|item| lane.offer(item));
        assert_eq!(numbers(lane.counter().counts()), (5, 0, 3, 2));
        assert_eq!([taker.try_take(), taker.try_take(), taker.try_take()], [Some(3), Some(4), None]);
        assert_eq!(numbers(lane.counter().counts()), (5, 2, 3, 0));
    }

    #[test]
    fn drop_newest_keeps_the_oldest_items_and_reports_room() {
        let (mut lane, taker) = lane("detections", Policy::DropNewest(2));
        for item in 0..5 {
            assert_eq!(lane.has_room(), item < 2);
            lane.offer(item);
        }
        let counter = lane.counter();
        drop(lane);
        assert_eq!([taker.recv(), taker.recv(), taker.recv()], [Some(0), Some(1), None]);
        assert_eq!(numbers(counter.counts()), (5, 2, 3, 0));
        assert_eq!(taker.recv_timeout(Duration::from_secs(60)), Err(RecvTimeoutError::Disconnected));
    }

    /// Items that are multiples of 10 are starts.
    fn groups(items: usize) -> (Lane<i32>, Taker<i32>) {
        group_lane("decode", items, |item| item % 10 == 0)
    }

    #[test]
    fn a_full_lane_of_groups_drops_to_the_next_start() {
        let (mut lane, taker) = groups(3);
        lane.offer(9);
        assert_eq!(taker.try_take(), Some(9), "the taker counts items that it cannot start with");
        (10..15).for_each(|item| lane.offer(item));
        // 13 found the lane full.
        assert_eq!(numbers(lane.counter().counts()), (6, 1, 5, 0));
        assert!(lane.has_room() && !lane.counter().counts().keeps);
        (15..23).for_each(|item| lane.offer(item));
        let taken: Vec<_> = std::iter::from_fn(|| taker.try_take()).collect();
        assert_eq!(taken, [20, 21, 22]);
        assert_eq!(numbers(lane.counter().counts()), (14, 4, 10, 0));
        lane.offer(23);
        assert_eq!(taker.try_take(), Some(23), "it follows the last one");
        (24..27).for_each(|item| lane.offer(item));
        assert!(!lane.has_room());
        lane.offer(30);
        assert_eq!((taker.try_take(), taker.try_take()), (Some(30), None), "a start replaces a full queue");
    }

    #[test]
    fn a_full_lane_that_drops_its_queue_keeps_the_newest_item() {
        let (mut lane, taker) = weighed_lane("client", Policy::DropQueue(3, Budget::new(100)), |bytes: &usize| *bytes);
        let taken = |taker: &Taker<usize>| std::iter::from_fn(|| taker.try_take()).collect::<Vec<_>>();
        (1..4).for_each(|item| lane.offer(item));
        assert_eq!(taken(&taker), [1, 2, 3], "a taker that keeps up gets every item");
        (1..6).for_each(|item| lane.offer(item));
        assert_eq!(taken(&taker), [4, 5], "the fourth item found three");
        [60, 50, 30].into_iter().for_each(|item| lane.offer(item));
        assert_eq!(taken(&taker), [50, 30], "110 bytes exceed the budget");
        lane.offer(500);
        assert!(lane.has_room());
        assert_eq!(taken(&taker), [500], "an item above the budget passes alone");
        assert_eq!(numbers(lane.counter().counts()), (12, 8, 4, 0));
    }

    #[test]
    fn a_lane_of_groups_that_was_muted_begins_with_a_start() {
        let (mut lane, taker) = groups(3);
        lane.offer(10);
        taker.mute(true);
        taker.mute(false);
        [11, 20, 21].into_iter().for_each(|item| lane.offer(item));
        let taken: Vec<_> = std::iter::from_fn(|| taker.try_take()).collect();
        assert_eq!(taken, [10, 20, 21]);
    }

    #[test]
    fn two_producers_of_a_lane_count_together() {
        let (mut first, taker) = lane("view", Policy::DropOldest(1));
        let mut second = first.producer();
        first.offer(1);
        second.offer(2);
        assert_eq!(taker.try_take(), Some(2));
        assert_eq!(numbers(first.counter().counts()), (2, 1, 1, 0));
    }

    #[test]
    fn a_dropped_taker_frees_the_queue_and_offers_are_not_counted() {
        for policy in [Policy::DropOldest(4), Policy::DropNewest(4), Policy::Bytes(Budget::new(4))] {
            let (mut lane, taker) = lane("gone", policy);
            let item = Arc::new(());
            lane.offer(Arc::clone(&item));
            drop(taker);
            assert_eq!(Arc::strong_count(&item), 1, "the queue is empty");
            assert!(!lane.has_taker() && lane.has_room());
            lane.offer(Arc::clone(&item));
            assert_eq!(Arc::strong_count(&item), 1);
            assert_eq!(numbers(lane.counter().counts()), (1, 0, 0, 1), "left in the queue, not dropped");
        }
    }

    #[test]
    fn a_bound_of_zero_items_counts_as_one() {
        let (mut lane, taker) = lane("one", Policy::DropOldest(0));
        lane.offer(1);
        lane.offer(2);
        assert_eq!(taker.try_take(), Some(2));
    }

    #[test]
    fn a_muted_lane_ignores_items_and_keeps_its_queue() {
        let (mut lane, taker) = lane("snapshot", Policy::DropOldest(2));
        lane.offer(1);
        taker.mute(true);
        assert!(!lane.is_open() && lane.has_taker());
        lane.offer(2);
        taker.mute(false);
        lane.offer(3);
        assert_eq!([taker.try_take(), taker.try_take(), taker.try_take()], [Some(1), Some(3), None]);
        assert_eq!(numbers(lane.counter().counts()), (2, 2, 0, 0));
    }

    #[test]
    fn siblings_share_a_budget_and_a_taker() {
        let budget = Budget::new(100);
        let weigh = |(_, bytes): &(u32, usize)| *bytes;
        let (mut a, taker) = weighed_lane("record", Policy::Bytes(budget.clone()), weigh);
        let mut b = a.sibling();
        a.offer((1, 60));
        b.offer((2, 60));
        b.offer((3, 40));
        assert_eq!(budget.used(), 100);
        assert_eq!((numbers(a.counter().counts()), numbers(b.counter().counts())), ((1, 0, 0, 1), (2, 0, 1, 1)));
        assert!(a.counter().counts().keeps, "a drop is a loss");
        assert_eq!([taker.try_take(), taker.try_take(), taker.try_take()], [Some((1, 60)), Some((3, 40)), None]);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn an_item_larger_than_the_budget_passes_alone() {
        let (mut lane, taker) = weighed_lane("record", Policy::Bytes(Budget::new(10)), |bytes: &usize| *bytes);
        lane.offer(1000);
        lane.offer(1);
        assert_eq!([taker.try_take(), taker.try_take()], [Some(1000), None]);
        lane.offer(1);
        drop(lane);
        assert_eq!(taker.recv(), Some(1));
        assert_eq!(taker.recv(), None);
    }

    #[test]
    fn a_waiting_producer_is_woken_when_there_is_room() {
        let budget = Budget::new(10);
        let (other, _other_taker) = weighed_lane("other", Policy::Bytes(budget.clone()), |bytes: &usize| *bytes);
        for (policy, weight) in [(Policy::DropNewest(1), 1), (Policy::Bytes(budget), 6)] {
            let (mut lane, taker) = weighed_lane("keeps", policy, |bytes: &usize| *bytes);
            let woken = Arc::new(WakeCount::default());
            let waker = Waker::from(Arc::clone(&woken));
            let cx = Context::from_waker(&waker);
            assert!(lane.poll_room(&cx).is_ready());
            lane.offer(weight);
            assert!(lane.poll_room(&cx).is_pending() && woken.get() == 0);
            assert!(taker.try_take().is_some());
            assert!(woken.get() > 0 && lane.poll_room(&cx).is_ready());
            lane.offer(weight);
            assert!(lane.poll_room(&cx).is_pending());
            let before = woken.get();
            drop(taker);
            assert!(woken.get() > before && lane.poll_room(&cx).is_ready(), "a lane without a taker is not waited for");
        }
        assert!(other.has_room());
    }

    #[test]
    fn bytes_that_another_lane_returns_wake_the_producer() {
        let budget = Budget::new(10);
        let lane = || weighed_lane("record", Policy::Bytes(budget.clone()), |bytes: &usize| *bytes);
        let ((mut first, first_taker), (second, _second_taker)) = (lane(), lane());
        first.offer(9);
        let woken = Arc::new(WakeCount::default());
        let waker = Waker::from(Arc::clone(&woken));
        assert!(second.poll_room(&Context::from_waker(&waker)).is_pending());
        assert!(first_taker.try_take().is_some());
        assert_eq!(woken.get(), 1);
    }

    #[test]
    fn the_consumer_is_woken_by_items_that_are_queued() {
        let (mut lane, taker) = lane("window", Policy::DropOldest(1));
        let woken = Arc::new(WakeCount::default());
        taker.wake_on_item(Waker::from(Arc::clone(&woken)));
        lane.offer(1);
        lane.offer(2);
        taker.mute(true);
        lane.offer(3);
        assert_eq!(woken.get(), 2);
    }

    /// A producer and a taker at full speed, and a third thread that reads the counts.
    #[test]
    fn counts_balance_at_every_moment() {
        const ITEMS: u64 = 100_000;
        let policies =
            [Policy::DropOldest(1), Policy::DropOldest(7), Policy::DropNewest(7), Policy::Bytes(Budget::new(7))];
        for policy in policies {
            let newest_arrives = matches!(policy, Policy::DropOldest(_));
            let (mut lane, taker) = lane("race", policy);
            let counter = lane.counter();
            let (taken, last) = std::thread::scope(|scope| {
                let taking = scope.spawn(move || {
                    let (mut taken, mut last) = (0, None);
                    while let Some(item) = taker.recv() {
                        assert!(last < Some(item), "{item} after {last:?}: in order, each at most once");
                        last = Some(item);
                        taken += 1;
                    }
                    (taken, last)
                });
                let counter = counter.clone();
                scope.spawn(move || {
                    let mut before = 0;
                    while before < ITEMS {
                        let now = counter.counts();
                        assert_eq!(now.offered, now.taken + now.dropped + now.queued);
                        assert!(now.offered >= before);
                        before = now.offered;
                    }
                });
                (0..ITEMS).for_each(|item| lane.offer(item));
                drop(lane);
                taking.join().expect("the taker does not panic")
            });
            assert_eq!(numbers(counter.counts()), (ITEMS, taken, ITEMS - taken, 0));
            assert!(!newest_arrives || last == Some(ITEMS - 1), "the newest item always arrives");
        }
    }

    /// Three producers at full speed and one slower taker.
    #[test]
    fn siblings_lose_nothing_uncounted() {
        const ITEMS: u64 = 20_000;
        let budget = Budget::new(64);
        let weigh = |(_, item): &(usize, u64)| 1 + *item as usize % 7;
        let (first, taker) = weighed_lane("race", Policy::Bytes(budget.clone()), weigh);
        let lanes = [first.sibling(), first.sibling(), first];
        let counters: Vec<_> = lanes.iter().map(Lane::counter).collect();
        let taken = std::thread::scope(|scope| {
            for (producer, mut lane) in lanes.into_iter().enumerate() {
                let budget = &budget;
                scope.spawn(move || {
                    for item in 0..ITEMS {
                        lane.offer((producer, item));
                        assert!(budget.used() <= budget.limit());
                    }
                });
            }
            let (mut taken, mut last) = ([0; 3], [None; 3]);
            while let Ok((producer, item)) = taker.recv_timeout(Duration::from_secs(60)) {
                assert!(last[producer] < Some(item), "in order, each at most once");
                last[producer] = Some(item);
                taken[producer] += 1;
            }
            taken
        });
        for (counter, taken) in counters.iter().zip(taken) {
            assert_eq!(numbers(counter.counts()), (ITEMS, taken, ITEMS - taken, 0));
        }
        assert_eq!(budget.used(), 0);
    }
}
