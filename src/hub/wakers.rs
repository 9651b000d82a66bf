//! Tasks that wait until a lane has room.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use crate::sync::locked;

/// Wakers of waiting tasks. Waking costs one atomic load while no task waits, which is the case for every live camera.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    some: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Wakers {
    /// Registers a task. The caller checks its condition once more afterwards.
    pub(super) fn register(&self, waker: &Waker) {
        let mut wakers = locked(&self.wakers);
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
        self.some.store(true, Ordering::SeqCst);
    }

    /// Wakes all registered tasks and forgets them.
    pub(super) fn wake(&self) {
        if self.some.load(Ordering::SeqCst) {
            let wakers = {
                let mut wakers = locked(&self.wakers);
                self.some.store(false, Ordering::SeqCst);
                std::mem::take(&mut *wakers)
            };
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}
