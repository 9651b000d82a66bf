//! One bound for the memory of all frames: payloads, and their copies on the way to a disk.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::sync::locked;

/// Need of a [`WriterMemory`] decays by this fraction with each frame.
const NEED_DECAY: usize = 16;

/// Bound on the bytes of the payloads of one pool (those that are being received, that readers hold, and that wait to be
/// used again) and of the copies that writers make of them. Clones are the same bound.
///
/// Payloads never take the memory that the largest recent write of a frame needs, so that frames in memory cannot keep a
/// writer from writing the first of them.
#[derive(Clone, Debug)]
pub struct MemoryBound(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    state: Mutex<State>,
    /// Bytes were returned.
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    payloads: usize,
    writers: Vec<Writer>,
    /// Numbers of the writers that wait for memory, the first to be served first.
    line: VecDeque<u64>,
    next_number: u64,
}

/// The share of one [`WriterMemory`].
#[derive(Debug)]
struct Writer {
    number: u64,
    used: usize,
    /// Largest recent need for one frame.
    need: usize,
}

impl State {
    fn written(&self) -> usize {
        self.writers.iter().map(|writer| writer.used).sum()
    }

    fn used(&self) -> usize {
        self.payloads + self.written()
    }

    /// Bytes that payloads may not take.
    fn reserved(&self) -> usize {
        let need = self.writers.iter().map(|writer| writer.need).max().unwrap_or(0);
        let first = self.line.front().and_then(|first| self.writers.iter().find(|writer| writer.number == *first));
        need.max(self.written() + first.map_or(0, |first| first.need))
    }

    fn writer(&mut self, number: u64) -> &mut Writer {
        let found = self.writers.iter_mut().find(|writer| writer.number == number);
        found.expect("a writer is removed when its `WriterMemory` is dropped")
    }
}

impl MemoryBound {
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit, state: Mutex::default(), returned: Condvar::new() }))
    }

    pub(crate) fn limit(&self) -> usize {
        self.0.limit
    }

    pub(crate) fn used(&self) -> usize {
        locked(&self.0.state).used()
    }

    /// Returns whether payloads hold memory that a writer needs.
    pub(super) fn is_exceeded(&self) -> bool {
        let state = locked(&self.0.state);
        state.payloads.saturating_add(state.reserved()) > self.0.limit
    }

    /// Changes the state, and wakes waiting writers.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = locked(&self.0.state);
        let result = change(&mut state);
        let is_awaited = !state.line.is_empty();
        drop(state);
        if is_awaited {
            self.0.returned.notify_all();
        }
        result
    }
}

/// Memory of one payload as part of a bound, returned when this is dropped. Empty by default.
#[derive(Debug, Default)]
pub(crate) struct Charge {
    bound: Option<MemoryBound>,
    bytes: usize,
}

impl Charge {
    /// Changes the charge to `bytes` of this bound. Returns `false`, and changes nothing, if they are not left.
    pub(crate) fn try_set(&mut self, bound: &MemoryBound, bytes: usize) -> bool {
        let own = if self.bound.as_ref().is_some_and(|own| Arc::ptr_eq(&own.0, &bound.0)) { self.bytes } else { 0 };
        let is_left = bound.change(|state| {
            let payloads = (state.payloads - own).saturating_add(bytes);
            let is_left = bytes <= own || payloads.saturating_add(state.reserved()) <= bound.0.limit;
            if is_left {
                state.payloads = payloads;
            }
            is_left
        });
        if !is_left {
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

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(bound) = &self.bound {
            bound.change(|state| state.payloads -= self.bytes);
        }
    }
}

/// Whether there is memory for a copy of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterRoom {
    /// The memory is granted, until the next [`WriterMemory::set`].
    Granted,
    /// Other writers hold the memory and return it. Ask again.
    Wait,
    /// Waiting does not help: the frame and its copy are larger than the bound, or frames in memory leave no room.
    None,
}

/// The memory of one writer of frames as part of a bound, returned when this is dropped.
#[derive(Debug)]
pub struct WriterMemory {
    bound: MemoryBound,
    number: u64,
}

impl WriterMemory {
    /// Adds a writer, which holds no memory yet.
    #[must_use]
    pub fn new(bound: &MemoryBound) -> Self {
        let number = bound.change(|state| {
            let number = state.next_number;
            state.next_number += 1;
            state.writers.push(Writer { number, used: 0, need: 0 });
            number
        });
        Self { bound: bound.clone(), number }
    }

    /// Asks for `bytes` beside those in use, for a copy of a frame of `frame_bytes`. Writers are served in the order in
    /// which they asked, and memory that is returned meanwhile goes to the first of them instead of to new frames. While
    /// the answer is [`WriterRoom::Wait`], the caller must return as much as it can.
    pub fn ask(&self, bytes: usize, frame_bytes: usize) -> WriterRoom {
        let limit = self.bound.0.limit;
        self.bound.change(|state| {
            let is_first = state.line.front().is_none_or(|first| *first == self.number);
            let room = if bytes.saturating_add(frame_bytes) > limit {
                WriterRoom::None
            } else {
                let writer = state.writer(self.number);
                writer.need = bytes.max(writer.need - writer.need / NEED_DECAY).min(limit - frame_bytes);
                if is_first && state.used().saturating_add(bytes) <= limit {
                    state.writer(self.number).used += bytes;
                    WriterRoom::Granted
                } else if !is_first || state.written() > 0 {
                    WriterRoom::Wait
                } else {
                    WriterRoom::None
                }
            };
            if room != WriterRoom::Wait {
                state.line.retain(|number| *number != self.number);
            } else if !state.line.contains(&self.number) {
                state.line.push_back(self.number);
            }
            room
        })
    }

    /// Sets the bytes in use, whether they are left or not: for memory that is in use already.
    pub fn set(&self, bytes: usize) {
        self.bound.change(|state| state.writer(self.number).used = bytes);
    }

    /// Waits at most `limit` until any memory of the bound is returned.
    pub fn wait(&self, limit: Duration) {
        let state = locked(&self.bound.0.state);
        drop(self.bound.0.returned.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for WriterMemory {
    fn drop(&mut self) {
        self.bound.change(|state| {
            state.writers.retain(|writer| writer.number != self.number);
            state.line.retain(|number| *number != self.number);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_leave_the_memory_that_a_writer_needs() {
        let bound = MemoryBound::new(100);
        let [mut first, mut second] = [Charge::default(), Charge::default()];
        assert!(first.try_set(&bound, 30));
        let writer = WriterMemory::new(&bound);
        assert_eq!(writer.ask(40, 30), WriterRoom::Granted);
        assert_eq!(bound.used(), 70);
        writer.set(0);
        assert!(!second.try_set(&bound, 31), "40 bytes are for the next copy");
        assert!(second.try_set(&bound, 30));
        drop(writer);
        assert!(second.try_set(&bound, 70));
    }

    #[test]
    fn writers_are_served_in_their_order_before_new_payloads() {
        let bound = MemoryBound::new(100);
        let [a, b, c] = [(); 3].map(|()| WriterMemory::new(&bound));
        assert_eq!(a.ask(60, 10), WriterRoom::Granted);
        assert_eq!(b.ask(50, 10), WriterRoom::Wait);
        assert_eq!(c.ask(10, 10), WriterRoom::Wait, "it is smaller, but second");
        a.set(30);
        let mut payload = Charge::default();
        assert!(!payload.try_set(&bound, 30), "the memory is for b");
        assert!(payload.try_set(&bound, 20));
        assert_eq!(c.ask(10, 10), WriterRoom::Wait);
        assert_eq!(b.ask(50, 10), WriterRoom::Granted);
        drop(b);
        assert_eq!(c.ask(10, 10), WriterRoom::Granted);
    }

    #[test]
    fn a_writer_does_not_wait_for_frames_that_wait_for_it() {
        let bound = MemoryBound::new(100);
        let mut payload = Charge::default();
        assert!(payload.try_set(&bound, 70));
        let writer = WriterMemory::new(&bound);
        assert_eq!(writer.ask(40, 10), WriterRoom::None);
        assert_eq!(writer.ask(95, 10), WriterRoom::None, "more than the bound");
        drop(payload);
        assert_eq!(writer.ask(40, 10), WriterRoom::Granted);
    }

    #[test]
    fn a_charge_moves_to_another_bound() {
        let [one, other] = [MemoryBound::new(10), MemoryBound::new(10)];
        let mut charge = Charge::default();
        assert!(charge.try_set(&one, 10) && charge.try_set(&other, 5));
        assert_eq!((one.used(), other.used()), (0, 5));
    }
}
