//! A pool of reusable values. Leases the most recently used free value first, because it is still in the CPU cache.
//!
//! All cameras share one pool, so that 40 cameras taking turns touch a few buffers instead of 40 (performance.md,
//! "Receiving"). Readers hold plain [`Arc`]s; a value is free again once the pool has the only reference.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use super::memory::MemoryBound;
use crate::sync::locked;

/// A value that a pool can reuse.
pub trait Recycled: Default {
    /// Returns the bytes that the value can hold without allocating.
    fn capacity(&self) -> usize;
}

/// Free slots beyond this number are dropped, so that a burst does not hold memory forever.
const MAX_IDLE_SLOTS: usize = 16;

/// Bytes of free slots that are always kept. Above this, at most twice the recent need is kept.
const MIN_IDLE_BYTES: usize = 32 << 20;

/// The need decays by this fraction with each lease.
const NEED_DECAY: usize = 16;

/// Slots larger than the wanted size by more than this factor are not leased.
const MAX_OVERSIZE_FACTOR: usize = 4;

/// Slots that every lease looks at.
const MAX_RECENT_SLOTS: usize = 64;

/// Slots in use for long that a lease looks at when no recent one is free, and otherwise.
const HELD_SLOTS_PER_LEASE: [usize; 2] = [16, 2];

/// A pool of values of one type. Clones share the same values.
#[derive(Debug)]
pub struct Pool<T> {
    slots: Arc<Mutex<Slots<T>>>,
    bound: MemoryBound,
}

/// A slot is free when its strong count is 1.
#[derive(Debug)]
struct Slots<T> {
    /// The most recently returned last; at most [`MAX_RECENT_SLOTS`].
    recent: Vec<Arc<T>>,
    /// Slots that readers keep for long, such as frames before a trigger; about the oldest first. A lease looks at a few
    /// of them: there may be 100,000 when frames are tiny.
    held: VecDeque<Arc<T>>,
    /// Largest of the recent leases, in bytes.
    need: usize,
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { slots: Arc::clone(&self.slots), bound: self.bound.clone() }
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self::bounded(usize::MAX)
    }
}

impl<T> Pool<T> {
    /// Creates a pool whose values may take up this many bytes, those that readers hold included.
    #[must_use]
    pub fn bounded(bytes: usize) -> Self {
        let slots = Slots { recent: Vec::new(), held: VecDeque::new(), need: 0 };
        Self { slots: Arc::new(Mutex::new(slots)), bound: MemoryBound::new(bytes) }
    }

    /// Returns the bound on the memory of all values.
    #[must_use]
    pub fn bound(&self) -> &MemoryBound {
        &self.bound
    }

    /// Returns the bytes of the bound that are taken.
    #[must_use]
    pub fn used(&self) -> usize {
        self.bound.used()
    }

    /// Drops the values that are free.
    pub(super) fn release_free(&self) {
        let mut slots = locked(&self.slots);
        slots.recent.retain(|slot| !is_free(slot));
        slots.held.retain(|slot| !is_free(slot));
    }
}

impl<T: Recycled> Pool<T> {
    /// Leases a value, preferably one with room for `want` bytes. It still has the contents of its last use.
    #[must_use]
    pub fn lease(&self, want: usize) -> Lease<T> {
        if self.bound.is_exceeded() {
            // A slot that is used again would keep its memory from the writer that needs it.
            self.release_free();
        }
        let slot = locked(&self.slots).lease(want);
        Lease { slot: Some(slot), pool: self.clone() }
    }

    /// Returns the capacity in bytes of all values that are not leased, free or not.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let slots = locked(&self.slots);
        slots.recent.iter().chain(&slots.held).map(|slot| slot.capacity()).sum()
    }

    fn put_back(&self, slot: Arc<T>) {
        // Freed after the lock is released.
        let _dropped = locked(&self.slots).put_back(slot);
    }
}

impl<T: Recycled> Slots<T> {
    fn lease(&mut self, want: usize) -> Arc<T> {
        self.need = want.max(self.need - self.need / NEED_DECAY);
        let fits = |slot: &T| {
            let capacity = slot.capacity();
            capacity >= want && capacity / MAX_OVERSIZE_FACTOR <= want.max(4096)
        };
        // `get_mut` instead of the strong count: it also synchronizes with the reads of the last reader.
        let found = self.recent.iter_mut().rposition(|slot| Arc::get_mut(slot).is_some_and(|slot| fits(slot)));
        let mut found = found.map(|at| self.recent.remove(at));
        let [all, few] = HELD_SLOTS_PER_LEASE;
        for _ in 0..if found.is_some() { few } else { all }.min(self.held.len()) {
            let Some(mut slot) = self.held.pop_front() else { break };
            match Arc::get_mut(&mut slot).map(|slot| fits(slot)) {
                None => self.held.push_back(slot),
                Some(true) if found.is_none() => {
                    found = Some(slot);
                    break;
                }
                Some(_) => {}
            }
        }
        found.unwrap_or_default()
    }

    /// Returns the slots that are free and not needed.
    fn put_back(&mut self, slot: Arc<T>) -> Vec<Arc<T>> {
        self.recent.push(slot);
        let idle = self.recent.iter().filter(|slot| is_free(slot)).map(|slot| slot.capacity());
        let (mut count, mut bytes) = idle.fold((0, 0), |(count, bytes), capacity| (count + 1, bytes + capacity));
        let mut unneeded = Vec::new();
        while count > MAX_IDLE_SLOTS || bytes > MIN_IDLE_BYTES.max(2 * self.need) {
            let Some(oldest) = self.recent.iter().position(is_free) else { break };
            let slot = self.recent.remove(oldest);
            count -= 1;
            bytes -= slot.capacity();
            unneeded.push(slot);
        }
        if self.recent.len() > MAX_RECENT_SLOTS {
            self.held.push_back(self.recent.remove(0));
        }
        unneeded
    }
}

fn is_free<T>(slot: &Arc<T>) -> bool {
    Arc::strong_count(slot) == 1
}

/// Exclusive access to a value. [`Lease::seal`] makes it immutable and shared; dropping it returns it to the pool.
#[derive(Debug)]
pub struct Lease<T: Recycled> {
    /// `None` only after `seal` or `drop` has taken it.
    slot: Option<Arc<T>>,
    pool: Pool<T>,
}

impl<T: Recycled> Lease<T> {
    /// Returns the pool that the value is leased from.
    pub(super) fn pool(&self) -> &Pool<T> {
        &self.pool
    }

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
        // Fresh zeroed pages cost nothing until they are written.
        if lease.0.len() < len {
            lease.0 = vec![0; len];
        }
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

    /// Two cameras, one of which sends frames of any size up to 64 MB.
    #[test]
    fn free_memory_follows_the_recent_need() {
        let pool = Pool::default();
        for n in 0..200usize {
            drop(sealed(&pool, 1 + (n * 7919) % 64 * (1 << 20)));
            drop(sealed(&pool, 1000));
            assert!(pool.bytes() <= (2 * 64) << 20, "{} bytes", pool.bytes());
        }
        for _ in 0..100 {
            drop(sealed(&pool, 1000));
        }
        assert!(pool.bytes() <= MIN_IDLE_BYTES, "{} bytes", pool.bytes());
    }

    /// A capacity that counts how often it is asked for: once for each slot that a lease looks at.
    #[derive(Debug, Default)]
    struct Asked;

    static ASKED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

    impl Recycled for Asked {
        fn capacity(&self) -> usize {
            ASKED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            1
        }
    }

    #[test]
    fn a_lease_looks_at_few_slots_and_slots_that_were_held_are_reused() {
        let pool = Pool::<Slot>::default();
        let mut held: VecDeque<_> = (0..1000).map(|_| sealed(&pool, 10)).collect();
        let known: std::collections::HashSet<_> = held.iter().map(|slot| slot.0.as_ptr()).collect();
        // The frames before a trigger: each new one replaces the oldest.
        for _ in 0..3000 {
            held.pop_front();
            held.push_back(sealed(&pool, 10));
        }
        let reused = held.iter().filter(|slot| known.contains(&slot.0.as_ptr())).count();
        assert!(reused > 700, "{reused} of 1000");

        let pool = Pool::<Asked>::default();
        let busy: Vec<_> = (0..20_000).map(|_| pool.lease(1).seal()).collect();
        drop(busy);
        let before = ASKED.load(std::sync::atomic::Ordering::SeqCst);
        drop(pool.lease(1));
        let asked = ASKED.load(std::sync::atomic::Ordering::SeqCst) - before;
        assert!(asked <= 2 * MAX_RECENT_SLOTS + HELD_SLOTS_PER_LEASE[0], "{asked} slots");
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
