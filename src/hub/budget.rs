//! Bytes that several lanes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::wakers::Wakers;

/// Limit on the bytes that wait in all lanes that share it. Clones are the same budget.
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Arc<Shared>,
    /// Bytes that wait because of this share.
    own: Arc<AtomicUsize>,
}

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
        let shared = Arc::new(Shared { limit: bytes, used: AtomicUsize::new(0), room: Wakers::default() });
        Self { shared, own: Arc::default() }
    }

    /// Returns the same budget with a count of its own, see [`Self::own_used`].
    #[must_use]
    pub fn share(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), own: Arc::default() }
    }

    /// Returns the bytes that wait now in the lanes of this share.
    #[must_use]
    pub fn own_used(&self) -> usize {
        self.own.load(Ordering::SeqCst)
    }

    /// Returns the bytes that wait now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.shared.used.load(Ordering::SeqCst)
    }

    /// Returns the limit in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.shared.limit
    }

    /// Reserves bytes until the reservation is dropped; `None` if they are not left. An unused budget grants one
    /// reservation of any size, because an item that is larger than the budget could never pass otherwise.
    pub(super) fn reserve(&self, bytes: usize) -> Option<Reservation> {
        let more = |used: usize| (used == 0 || used.saturating_add(bytes) <= self.shared.limit).then(|| used + bytes);
        let reserved = self.shared.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        reserved.is_ok().then(|| {
            self.own.fetch_add(bytes, Ordering::SeqCst);
            Reservation { budget: self.clone(), bytes }
        })
    }

    /// Returns the wakers of tasks that wait for bytes to be returned.
    pub(super) fn room(&self) -> &Wakers {
        &self.shared.room
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
        self.budget.own.fetch_sub(self.bytes, Ordering::SeqCst);
        self.budget.shared.used.fetch_sub(self.bytes, Ordering::SeqCst);
        self.budget.shared.room.wake();
    }
}
