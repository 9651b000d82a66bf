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
}

type Tap<T> = Box<dyn FnMut(&T) + Send>;

impl<T> Default for Hub<T> {
    fn default() -> Self {
        Self { lanes: Vec::new(), counters: Vec::new(), taps: Vec::new() }
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
