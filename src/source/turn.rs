//! Turns of the connections that share a thread: how much work one does before the others run.

use std::time::Duration;

use tokio::time::Instant;

/// Work for one camera before other tasks run, in bytes examined or copied: about half a millisecond.
pub(super) const MAX_WORK_PER_TURN: u64 = 1 << 20;

/// A damaged stream gets one turn in this time. It thus cannot keep a thread busy, whatever it sends.
const DAMAGED_TURN_INTERVAL: Duration = Duration::from_millis(5);

/// Damage in one turn from which a stream counts as damaged for [`DAMAGED_TURN_INTERVAL`], in events.
const MAX_DAMAGE_PER_TURN: u32 = 100;

/// Longest time to read from one camera before other tasks run.
const MAX_TURN: Duration = Duration::from_millis(5);

/// Work for a connection since other tasks could run. A damaged stream is watched for [`DAMAGED_TURN_INTERVAL`], also while
/// it waits for bytes in between.
pub(super) struct Turn {
    began: Instant,
    pub(super) work: u64,
    pub(super) damage: u32,
}

impl Turn {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), work: 0, damage: 0 }
    }

    pub(super) fn is_over(&self) -> bool {
        self.work >= MAX_WORK_PER_TURN || (self.work > 0 && self.began.elapsed() >= MAX_TURN)
    }

    /// Other tasks run while the connection waits for bytes.
    pub(super) fn wait(&mut self) {
        if self.damage < MAX_DAMAGE_PER_TURN || self.began.elapsed() >= DAMAGED_TURN_INTERVAL {
            *self = Self::new();
        }
    }

    /// Returns the time until the next turn of a damaged stream.
    pub(super) fn pause(&self) -> Option<Duration> {
        (self.damage >= MAX_DAMAGE_PER_TURN).then(|| DAMAGED_TURN_INTERVAL.saturating_sub(self.began.elapsed()))
    }
}
