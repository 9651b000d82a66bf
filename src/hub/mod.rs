//! One item in, a copy for everybody who wants one; nobody waits for anybody.

pub mod lane;
pub mod weighed;

pub use lane::{Lane, LaneCounter, LaneCounts, Policy, RecvTimeoutError, Taker, lane};
pub use weighed::{Budget, WeighedLane, WeighedTaker, weighed};

/// Offers each item to every lane. Cloning an item must be cheap: it is meant for `Arc`s.
pub struct Hub<T> {
    lanes: Vec<Lane<T>>,
    counters: Vec<LaneCounter>,
    taps: Vec<Tap<T>>,
    gates: Vec<Gate>,
}

type Gate = Box<dyn Fn() -> bool + Send>;
type Tap<T> = Box<dyn FnMut(&T) + Send>;

impl<T> Default for Hub<T> {
    fn default() -> Self {
        Self { lanes: Vec::new(), counters: Vec::new(), taps: Vec::new(), gates: Vec::new() }
    }
}

impl<T> std::fmt::Debug for Hub<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("lanes", &self.counters).field("taps", &self.taps.len()).finish()
    }
}

impl<T: Clone> Hub<T> {
    /// A hub that nobody listens to yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more lane.
    pub fn add(&mut self, lane: Lane<T>) {
        self.counters.push(lane.counter());
        self.lanes.push(lane);
    }

    /// Calls this with every item, at once and on the thread that offers it: nothing is dropped, and the producer is kept
    /// up. For those who measure what one thread can do, or want a frame now and then; everybody else takes a lane.
    pub fn tap(&mut self, each: impl FnMut(&T) + Send + 'static) {
        self.taps.push(Box::new(each));
    }

    /// Asks this before each item, where the producer can wait: `false` is not yet. For those behind a tap who drop what
    /// they have no room for.
    pub fn gate(&mut self, has_room: impl Fn() -> bool + Send + 'static) {
        self.gates.push(Box::new(has_room));
    }

    /// Whether one more item would make nobody drop one that was to be kept. A camera cannot wait for that; a file can.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.lanes.iter().all(Lane::has_room) && self.gates.iter().all(|has_room| has_room())
    }

    /// Whether nobody gets what is offered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.taps.is_empty()
    }

    /// Gives every lane its own clone. Lanes that nobody takes from are let go; their counts stay.
    pub fn offer(&mut self, item: &T) {
        self.lanes.retain_mut(|lane| lane.offer(item.clone()));
        for tap in &mut self.taps {
            tap(item);
        }
    }

    /// Readers of the counts of all lanes that were ever added.
    #[must_use]
    pub fn counters(&self) -> &[LaneCounter] {
        &self.counters
    }

    /// The counts of all lanes that were ever added.
    #[must_use]
    pub fn counts(&self) -> Vec<LaneCounts> {
        self.counters.iter().map(LaneCounter::counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tap_sees_every_item_before_the_next_is_offered() {
        let (tx, seen) = std::sync::mpsc::channel();
        let mut hub = Hub::new();
        assert!(hub.is_empty());
        hub.tap(move |item: &i32| tx.send(*item).unwrap());
        for item in 0..100 {
            hub.offer(&item);
            assert_eq!(seen.try_recv(), Ok(item));
        }
        assert!(!hub.is_empty());
    }

    #[test]
    fn there_is_room_when_all_who_keep_have_some() {
        let mut hub = Hub::new();
        let (tx, open) =
            (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), std::sync::atomic::Ordering::SeqCst);
        let (keeps, taker) = lane("keeps", Policy::DropNewest(1));
        let (shows, _shown) = lane("shows", Policy::DropOldest(1));
        hub.add(keeps);
        hub.add(shows);
        assert!(hub.has_room());
        hub.offer(&1);
        assert!(!hub.has_room());
        assert_eq!(taker.try_take(), Some(1));
        let gate = std::sync::Arc::clone(&tx);
        hub.gate(move || gate.load(open));
        assert!(!hub.has_room());
        tx.store(true, open);
        hub.offer(&2);
        assert!(!hub.has_room());
        drop(taker);
        assert!(hub.has_room(), "nobody takes, so nobody is waited for");
    }

    #[test]
    fn a_slow_lane_does_not_hold_up_another_and_a_dead_one_goes() {
        let mut hub = Hub::new();
        let (slow, slow_end) = lane("slow", Policy::DropNewest(1));
        let (dead, dead_end) = lane("dead", Policy::DropOldest(1));
        let (quick, quick_end) = lane("quick", Policy::DropOldest(8));
        hub.add(slow);
        hub.add(dead);
        hub.add(quick);
        hub.offer(&1);
        drop(dead_end);
        hub.offer(&2);
        hub.offer(&3);
        assert_eq!((slow_end.try_take(), slow_end.try_take()), (Some(1), None));
        assert_eq!([quick_end.try_take(), quick_end.try_take(), quick_end.try_take()], [Some(1), Some(2), Some(3)]);
        let counts = hub.counts();
        assert_eq!(
            counts.iter().map(|c| (c.name, c.offered, c.dropped)).collect::<Vec<_>>(),
            [("slow", 3, 2), ("dead", 1, 0), ("quick", 3, 0),]
        );
    }
}
