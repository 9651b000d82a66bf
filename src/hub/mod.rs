//! Gives each item to every subscriber through a lane of its own. No subscriber waits for another one, and the producer
//! waits for none.
//!
//! ```text
//! producer --offer--> Hub --+--> Lane --> Taker
//!                           +--> Lane --> Taker
//! ```
//!
//! A full lane drops its oldest or its newest item, or all up to the next item that does not depend on others, and counts
//! them.

mod budget;
mod counts;
mod lane;
mod wakers;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

pub use budget::Budget;
pub use counts::{LaneCounter, LaneCounts};
pub use lane::{Lane, Policy, RecvTimeoutError, Taker, group_lane, lane, weighed_lane};

use crate::sync::locked;

/// Offers each item to every subscribed lane. Clones are the same hub; lanes can be added and their takers dropped at any
/// time. Items are cloned for each lane, so they should be cheap to clone, as `Arc`s are.
pub struct Hub<T>(Arc<Mutex<Vec<Subscriber<T>>>>);

enum Subscriber<T> {
    Lane(Box<dyn Subscription<T>>),
    Tap(Box<dyn FnMut(&T) + Send>),
}

/// A lane of items that are made of those of the hub.
trait Subscription<T>: Send {
    fn offer(&mut self, item: &T);
    fn has_taker(&self) -> bool;
    fn is_open(&self) -> bool;
    fn is(&self, lane: &LaneCounter) -> bool;
    fn poll_room(&self, cx: &Context<'_>) -> Poll<()>;
}

struct Mapped<U, F> {
    lane: Lane<U>,
    map: F,
}

impl<T, U: Send, F: FnMut(&T) -> Option<U> + Send> Subscription<T> for Mapped<U, F> {
    fn offer(&mut self, item: &T) {
        if self.lane.is_open()
            && let Some(item) = (self.map)(item)
        {
            self.lane.offer(item);
        }
    }

    fn has_taker(&self) -> bool {
        self.lane.has_taker()
    }

    fn is_open(&self) -> bool {
        self.lane.is_open()
    }

    fn is(&self, lane: &LaneCounter) -> bool {
        self.lane.counter().is(lane)
    }

    fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.lane.poll_room(cx)
    }
}

impl<T> Hub<T> {
    /// Creates a hub without subscribers.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Subscribes a lane. It is removed with the first item that is offered after its taker was dropped.
    pub fn add(&self, lane: Lane<T>)
    where
        T: Clone + Send + 'static,
    {
        self.add_mapped(lane, |item| Some(item.clone()));
    }

    /// Subscribes a lane of other items, which `map` makes on the producer's thread. Items for which it returns `None` are
    /// not offered to the lane.
    pub fn add_mapped<U: Send + 'static>(&self, lane: Lane<U>, map: impl FnMut(&T) -> Option<U> + Send + 'static) {
        let mut subscribers = self.subscribers();
        // While no item is offered, lanes whose takers were dropped are removed here.
        subscribers.retain(|subscriber| match subscriber {
            Subscriber::Lane(lane) => lane.has_taker(),
            Subscriber::Tap(_) => true,
        });
        subscribers.push(Subscriber::Lane(Box::new(Mapped { lane, map })));
    }

    /// Removes the lane with this counter. Its taker receives what is queued, and then the end. No item is offered to it
    /// after this returns.
    pub fn remove(&self, lane: &LaneCounter) {
        self.subscribers().retain(|subscriber| match subscriber {
            Subscriber::Lane(known) => !known.is(lane),
            Subscriber::Tap(_) => true,
        });
    }

    /// Calls `each` with every item, synchronously on the producer's thread. Never drops an item, so a slow callback slows
    /// the producer. For callbacks that only look; everything else takes a lane.
    pub fn tap(&self, each: impl FnMut(&T) + Send + 'static) {
        self.subscribers().push(Subscriber::Tap(Box::new(each)));
    }

    /// Returns whether an item that is offered now would reach no one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.subscribers().iter().any(|subscriber| match subscriber {
            Subscriber::Lane(lane) => lane.is_open(),
            Subscriber::Tap(_) => true,
        })
    }

    /// Offers an item to every lane, and removes lanes without a taker.
    pub fn offer(&self, item: &T) {
        self.subscribers().retain_mut(|subscriber| match subscriber {
            Subscriber::Lane(lane) => {
                lane.offer(item);
                lane.has_taker()
            }
            Subscriber::Tap(each) => {
                each(item);
                true
            }
        });
    }

    /// Returns `Ready` if every lane [has room](Lane::has_room); otherwise wakes the task once that may have changed. A
    /// camera cannot wait for room; a file can.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let full = self.subscribers().iter().any(|subscriber| match subscriber {
            Subscriber::Lane(lane) => lane.poll_room(cx).is_pending(),
            Subscriber::Tap(_) => false,
        });
        if full { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Ends all lanes: takers receive what is queued and then the end.
    pub fn close(&self) {
        self.subscribers().clear();
    }

    fn subscribers(&self) -> std::sync::MutexGuard<'_, Vec<Subscriber<T>>> {
        locked(&self.0)
    }
}

impl<T> Clone for Hub<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Hub<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Hub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("subscribers", &self.subscribers().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tap_sees_every_item_before_the_next_is_offered() {
        let (tx, seen) = std::sync::mpsc::channel();
        let hub = Hub::new();
        assert!(hub.is_empty());
        hub.tap(move |item: &i32| tx.send(*item).unwrap());
        for item in 0..100 {
            hub.offer(&item);
            assert_eq!(seen.try_recv(), Ok(item));
        }
        assert!(!hub.is_empty());
    }

    #[test]
    fn a_slow_lane_does_not_delay_another_and_a_dead_one_is_removed() {
        let hub = Hub::new();
        let (slow, slow_taker) = lane("slow", Policy::DropNewest(1));
        let (dead, dead_taker) = lane("dead", Policy::DropOldest(1));
        let (quick, quick_taker) = lane("quick", Policy::DropOldest(8));
        let counters = [slow.counter(), dead.counter(), quick.counter()];
        for lane in [slow, dead, quick] {
            hub.add(lane);
        }
        hub.offer(&1);
        drop(dead_taker);
        hub.offer(&2);
        hub.offer(&3);
        assert_eq!((slow_taker.try_take(), slow_taker.try_take()), (Some(1), None));
        let quick = [quick_taker.try_take(), quick_taker.try_take(), quick_taker.try_take()];
        assert_eq!(quick, [Some(1), Some(2), Some(3)]);
        let counts = counters.map(|counter| (counter.counts().offered, counter.counts().dropped));
        assert_eq!(counts, [(3, 2), (1, 0), (3, 0)]);
        assert_eq!(hub.subscribers().len(), 2);
    }

    #[test]
    fn lanes_come_and_go_while_items_are_offered() {
        let hub = Hub::new();
        let producer = hub.clone();
        producer.offer(&1);
        let (lane, taker) = lane("late", Policy::DropNewest(8));
        let counter = lane.counter();
        hub.add_mapped(lane, |item: &i32| (item % 2 == 0).then(|| item.to_string()));
        (2..5).for_each(|item| producer.offer(&item));
        hub.remove(&counter);
        producer.offer(&6);
        assert_eq!([taker.recv(), taker.recv(), taker.recv()], [Some("2".into()), Some("4".into()), None]);
        assert_eq!(counter.counts().offered, 2, "items that are not for the lane do not count");
        assert!(hub.is_empty());
    }

    #[test]
    fn a_hub_with_muted_lanes_only_is_empty() {
        let hub = Hub::new();
        let (lane, taker) = lane("muted", Policy::DropOldest(1));
        hub.add(lane);
        taker.mute(true);
        assert!(hub.is_empty());
        hub.offer(&1);
        taker.mute(false);
        hub.offer(&2);
        assert_eq!((taker.try_take(), taker.try_take()), (Some(2), None));
    }

    #[test]
    fn there_is_room_when_every_lane_that_keeps_items_has_room() {
        let hub = Hub::new();
        let (keeps, taker) = lane("keeps", Policy::DropNewest(1));
        let (shows, _shown) = lane("shows", Policy::DropOldest(1));
        hub.add(keeps);
        hub.add(shows);
        let cx = Context::from_waker(std::task::Waker::noop());
        assert!(hub.poll_room(&cx).is_ready());
        hub.offer(&1);
        assert!(hub.poll_room(&cx).is_pending());
        assert_eq!(taker.try_take(), Some(1));
        assert!(hub.poll_room(&cx).is_ready());
        hub.offer(&2);
        drop(taker);
        assert!(hub.poll_room(&cx).is_ready(), "a lane without a taker is not waited for");
    }
}
