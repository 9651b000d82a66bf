//! Bytes that several lanes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::wakers::Wakers;

/// Limit on the bytes that wait in all lanes that share it. Clones are the same budget.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    used: AtomicUsize,
    room: Wakers,
}

impl Budget {
    /// Creates a budget of `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Shared { limit: bytes, used: AtomicUsize::new(0), room: Wakers::default() }))
    }

    /// Returns the bytes that wait now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::SeqCst)
    }

    /// Returns the limit in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Reserves bytes until the reservation is dropped; `None` if they are not left. An unused budget grants one
    /// reservation of any size, because an item that is larger than the budget could never pass otherwise.
    pub(super) fn reserve(&self, bytes: usize) -> Option<Reservation> {
        let more = |used: usize| (used == 0 || used.saturating_add(bytes) <= self.0.limit).then(|| used + bytes);
        let reserved = self.0.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        reserved.is_ok().then(|| Reservation { budget: self.clone(), bytes })
    }

    /// Returns the wakers of tasks that wait for bytes to be returned.
    pub(super) fn room(&self) -> &Wakers {
        &self.0.room
    }
}

/// Bytes of a budget, returned when this is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Ordering::SeqCst);
        self.budget.0.room.wake();
    }
}
