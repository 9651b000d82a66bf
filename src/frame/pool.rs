//! A pool of reusable values. Leases the most recently used free value first, because it is still in the CPU cache.
//!
//! All cameras share one pool, so that 40 cameras taking turns touch a few buffers instead of 40 (performance.md,
//! "Receiving"). Readers hold plain [`Arc`]s; a value is free again once the pool has the only reference.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use crate::sync::locked;

/// A value that a pool can reuse.
pub trait Recycled: Default {
    /// Returns the bytes that the value can hold without allocating.
    fn capacity(&self) -> usize;
}

/// Free slots beyond this number are dropped, so that a burst does not hold memory forever.
const MAX_IDLE_SLOTS: usize = 16;

/// Slots larger than the wanted size by more than this factor are not leased.
const MAX_OVERSIZE_FACTOR: usize = 4;

/// A pool of values of one type. Clones share the same values.
#[derive(Debug)]
pub struct Pool<T> {
    /// The most recently returned last. A slot is free when its strong count is 1.
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

impl<T: Recycled> Pool<T> {
    /// Leases a value, preferably one with room for `want` bytes. It still has the contents of its last use.
    #[must_use]
    pub fn lease(&self, want: usize) -> Lease<T> {
        let mut slots = locked(&self.slots);
        let fits = |slot: &T| {
            let capacity = slot.capacity();
            capacity >= want && capacity / MAX_OVERSIZE_FACTOR <= want.max(4096)
        };
        let mut idle = 0;
        let mut oldest_idle = None;
        let mut found = None;
        for at in (0..slots.len()).rev() {
            // `get_mut` instead of the strong count: it also synchronizes with the reads of the last reader.
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
            (None, Some(at)) if idle > MAX_IDLE_SLOTS => {
                slots.remove(at);
                Arc::default()
            }
            (None, _) => Arc::default(),
        };
        drop(slots);
        Lease { slot: Some(slot), pool: self.clone() }
    }

    /// Returns the capacity in bytes of all values that are not leased, free or not.
    #[must_use]
    pub fn bytes(&self) -> usize {
        locked(&self.slots).iter().map(|slot| slot.capacity()).sum()
    }

    fn put_back(&self, slot: Arc<T>) {
        let mut slots = locked(&self.slots);
        slots.push(slot);
        if slots.len() > MAX_IDLE_SLOTS {
            // Drops the oldest free slot when too many are free. Counting is cheap: the capacity of the queues bounds
            // the number of slots.
            let free = |slot: &Arc<T>| Arc::strong_count(slot) == 1;
            if slots.iter().filter(|slot| free(slot)).count() > MAX_IDLE_SLOTS
                && let Some(at) = slots.iter().position(free)
            {
                slots.remove(at);
            }
        }
    }
}

/// Exclusive access to a value. [`Lease::seal`] makes it immutable and shared; dropping it returns it to the pool.
#[derive(Debug)]
pub struct Lease<T: Recycled> {
    /// `None` only after `seal` or `drop` has taken it.
    slot: Option<Arc<T>>,
    pool: Pool<T>,
}

impl<T: Recycled> Lease<T> {
    /// Makes the value immutable and shared. It returns to the pool when the last reader drops it.
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
    fn newest_free_slot_is_leased_and_slots_in_use_are_not() {
        let pool = Pool::default();
        let (a, b, c) = (sealed(&pool, 10), sealed(&pool, 10), sealed(&pool, 10));
        let (at_a, at_b) = (a.0.as_ptr(), b.0.as_ptr());
        drop(a);
        drop(b);
        assert_eq!(pool.lease(10).0.as_ptr(), at_b, "newest free slot");
        let first = pool.lease(10);
        let second = pool.lease(10);
        assert_eq!((first.0.as_ptr(), second.0.as_ptr()), (at_b, at_a));
        assert_eq!(pool.lease(10).0.len(), 0, "a new slot, because c is in use");
        drop(c);
    }

    #[test]
    fn small_requests_do_not_take_huge_slots() {
        let pool = Pool::default();
        drop(sealed(&pool, 1 << 20));
        assert_eq!(pool.lease(100).0.len(), 0);
        assert_eq!(pool.lease(1 << 19).0.len(), 1 << 20);
    }

    #[test]
    fn memory_of_a_burst_is_released() {
        let pool = Pool::default();
        let held: Vec<_> = (0..100).map(|_| sealed(&pool, 1000)).collect();
        assert_eq!(pool.bytes(), 100_000);
        drop(held);
        for _ in 0..200 {
            drop(sealed(&pool, 1000));
        }
        assert!(pool.bytes() <= (MAX_IDLE_SLOTS + 1) * 1000, "{} bytes", pool.bytes());
    }
}
