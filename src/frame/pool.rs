//! Recycled memory: the most recently used free slot first, because that one is still in the cache.
//!
//! One pool is shared by all cameras: forty cameras that take turns then touch a few buffers, not forty
//! (performance.md, "Receiving"). A slot is free when nobody but the pool holds it, so readers keep plain [`Arc`]s
//! and dropping one is all that is needed to give it back.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a pool can hold.
pub trait Recycled: Default {
    /// Bytes that the slot can hold without asking for memory.
    fn capacity(&self) -> usize;
}

/// Slots that nobody uses are dropped beyond this number, so that a burst does not hold memory for ever.
const MAX_IDLE: usize = 16;

/// A slot of more than this many times the wanted size is left to those who need it.
const MAX_WASTE: usize = 4;

/// Recycled values of one type, shared by all who clone the pool.
#[derive(Debug)]
pub struct Pool<T> {
    // Sealed slots, the most recently sealed last. Free when the strong count is one.
    slots: Arc<Mutex<Vec<Arc<T>>>>,
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { slots: Arc::clone(&self.slots) }
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { slots: Arc::default() }
    }
}

impl<T> Pool<T> {
    fn slots(&self) -> MutexGuard<'_, Vec<Arc<T>>> {
        // A panic elsewhere cannot leave the list half-changed.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Recycled> Pool<T> {
    /// A slot of its own for the caller, best one with room for `want` bytes. What it holds is left from its last use.
    #[must_use]
    pub fn lease(&self, want: usize) -> Lease<T> {
        let mut slots = self.slots();
        let fits = |slot: &T| {
            let capacity = slot.capacity();
            capacity >= want && capacity / MAX_WASTE <= want.max(4096)
        };
        let mut idle = 0;
        let mut oldest_idle = None;
        let mut found = None;
        for at in (0..slots.len()).rev() {
            // `get_mut` rather than the count: it also waits for the last reader's reads to be over.
            let Some(slot) = Arc::get_mut(&mut slots[at]) else { continue };
            if fits(slot) {
                found = Some(at);
                break;
            }
            idle += 1;
            oldest_idle = Some(at);
        }
        let slot = match (found, oldest_idle) {
            (Some(at), _) => slots.remove(at),
            (None, Some(at)) if idle > MAX_IDLE => {
                slots.remove(at);
                Arc::default()
            }
            (None, _) => Arc::default(),
        };
        drop(slots);
        Lease { slot: Some(slot), pool: self.clone() }
    }

    /// Bytes that all sealed slots hold, in use or not.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.slots().iter().map(|slot| slot.capacity()).sum()
    }

    fn put_back(&self, slot: Arc<T>) {
        let mut slots = self.slots();
        slots.push(slot);
        if slots.len() > MAX_IDLE {
            // The oldest free one goes when too many are free. Counting is cheap: there are as many slots as
            // queues can hold.
            let free = |slot: &Arc<T>| Arc::strong_count(slot) == 1;
            if slots.iter().filter(|slot| free(slot)).count() > MAX_IDLE
                && let Some(at) = slots.iter().position(free)
            {
                slots.remove(at);
            }
        }
    }
}

/// A slot that one owner may write. [`Lease::seal`] makes it readable by many; dropping it gives it back.
#[derive(Debug)]
pub struct Lease<T: Recycled> {
    // `None` only once `seal` or `drop` has taken it.
    slot: Option<Arc<T>>,
    pool: Pool<T>,
}

impl<T: Recycled> Lease<T> {
    /// Ends the writing: the value is immutable until the last reader drops it, then it is recycled.
    #[must_use]
    pub fn seal(mut self) -> Arc<T> {
        let slot = self.slot.take().expect("a lease holds its slot until it is sealed");
        self.pool.put_back(Arc::clone(&slot));
        slot
    }
}

impl<T: Recycled> Drop for Lease<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.pool.put_back(slot);
        }
    }
}

impl<T: Recycled> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.slot.as_ref().expect("a lease holds its slot until it is sealed")
    }
}

impl<T: Recycled> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.slot.as_mut().and_then(Arc::get_mut).expect("a leased slot has one owner")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Slot(Vec<u8>);

    impl Recycled for Slot {
        fn capacity(&self) -> usize {
            self.0.len()
        }
    }

    fn sealed(pool: &Pool<Slot>, len: usize) -> Arc<Slot> {
        let mut lease = pool.lease(len);
        lease.0.resize(len, 0);
        lease.seal()
    }

    #[test]
    fn a_slot_in_use_is_not_leased_and_the_last_one_used_comes_first() {
        let pool = Pool::default();
        let (a, b, c) = (sealed(&pool, 10), sealed(&pool, 10), sealed(&pool, 10));
        let (at_a, at_b) = (a.0.as_ptr(), b.0.as_ptr());
        drop(a);
        drop(b);
        assert_eq!(pool.lease(10).0.as_ptr(), at_b, "the newest free slot");
        let first = pool.lease(10);
        let second = pool.lease(10);
        assert_eq!((first.0.as_ptr(), second.0.as_ptr()), (at_b, at_a));
        assert_eq!(pool.lease(10).0.len(), 0, "c is in use, so this one is new");
        drop(c);
    }

    #[test]
    fn small_wants_do_not_take_huge_slots() {
        let pool = Pool::default();
        drop(sealed(&pool, 1 << 20));
        assert_eq!(pool.lease(100).0.len(), 0);
        assert_eq!(pool.lease(1 << 19).0.len(), 1 << 20);
    }

    #[test]
    fn a_burst_is_given_back() {
        let pool = Pool::default();
        let held: Vec<_> = (0..100).map(|_| sealed(&pool, 1000)).collect();
        assert_eq!(pool.bytes(), 100_000);
        drop(held);
        for _ in 0..200 {
            drop(sealed(&pool, 1000));
        }
        assert!(pool.bytes() <= (MAX_IDLE + 1) * 1000, "{} bytes are still held", pool.bytes());
    }
}
