//! One bound for the memory of the frames of all cameras.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bound on the memory of the payloads of one pool, in bytes: those that are being received, that readers hold, and that
/// wait to be used again. Clones are the same bound.
#[derive(Clone, Debug)]
pub struct MemoryBound(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    used: AtomicUsize,
}

impl MemoryBound {
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit, used: AtomicUsize::new(0) }))
    }

    pub(crate) fn limit(&self) -> usize {
        self.0.limit
    }

    pub(super) fn used(&self) -> usize {
        self.0.used.load(Ordering::SeqCst)
    }
}

/// Bytes of a bound, returned when this is dropped. Empty by default.
#[derive(Debug, Default)]
pub struct Charge {
    bound: Option<MemoryBound>,
    bytes: usize,
}

impl Charge {
    /// Changes the charge to `bytes` of this bound. Returns `false`, and changes nothing, if they are not left.
    pub(super) fn try_set(&mut self, bound: &MemoryBound, bytes: usize) -> bool {
        let own = if self.bound.as_ref().is_some_and(|own| Arc::ptr_eq(&own.0, &bound.0)) { self.bytes } else { 0 };
        let more = |used: usize| {
            let used = (used - own).saturating_add(bytes);
            (bytes <= own || used <= bound.limit()).then_some(used)
        };
        if bound.0.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_err() {
            return false;
        }
        // The bytes of the same bound are replaced already.
        if own == 0 {
            *self = Self::default();
        }
        (self.bound, self.bytes) = (Some(bound.clone()), bytes);
        true
    }
}

impl Charge {
    /// Changes the charge to `bytes` of this bound, whether they are left or not: for memory that is in use already.
    pub fn set(&mut self, bound: &MemoryBound, bytes: usize) {
        if self.bound.is_none() {
            self.bound = Some(bound.clone());
        }
        if let Some(bound) = &self.bound {
            bound.0.used.fetch_add(bytes, Ordering::SeqCst);
            bound.0.used.fetch_sub(self.bytes, Ordering::SeqCst);
        }
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(bound) = &self.bound {
            bound.0.used.fetch_sub(self.bytes, Ordering::SeqCst);
        }
    }
}
