//! Finds the end of a backlog at the beginning of a connection: frames that waited in the camera or in the system arrive
//! faster than they were captured, and would inflate the rates.

use super::{Stats, Timed};
use crate::frame::{Received, has_waited};

/// Frames in a row that arrive at the pace of the camera's clock, after which the backlog is over.
pub(crate) const SETTLED_FRAMES: u32 = 10;

/// Fewer frames than this that arrive early are jitter.
const BACKLOG_FRAMES_MIN: u32 = 3;

/// State of one connection. A sender that is merely fast never settles: its rates are what it sends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Burst {
    early: u32,
    settled: u32,
    over: bool,
}

/// What a frame shows about the backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BurstStep {
    /// It may have waited.
    Early,
    /// It arrived at the pace of the camera's clock.
    Paced,
    /// As [`Self::Paced`], and the frames since the last early one are now known not to have waited.
    Settled,
}

impl Burst {
    /// Adds a frame: time since the last one by the camera's clock and by its arrival.
    pub(crate) fn frame(&mut self, step_us: i64, arrived_us: u64) -> BurstStep {
        if self.over {
            return BurstStep::Paced;
        }
        if has_waited(step_us, i64::try_from(arrived_us).unwrap_or(i64::MAX)) {
            self.early += 1;
            self.settled = 0;
            return BurstStep::Early;
        }
        self.settled += 1;
        self.over = self.settled == SETTLED_FRAMES;
        if self.over && self.early >= BACKLOG_FRAMES_MIN { BurstStep::Settled } else { BurstStep::Paced }
    }
}

/// Frames from the first one that was captured while we were connected, without stale ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh {
    first: Received,
    frames: u64,
    /// Bytes received until the first of them was complete, on all connections.
    bytes_before: u64,
    /// Arrival of the second one, and the bytes received until it was complete.
    second: Option<(Received, u64)>,
}

impl Fresh {
    /// The next frame, which arrived now, is the first one. `bytes`: received until it was complete.
    pub(super) const fn new(first: Received, bytes: u64) -> Self {
        Self { first, frames: 0, bytes_before: bytes, second: None }
    }

    pub(super) fn add(&mut self, received: Received, bytes: u64) {
        self.frames += 1;
        if self.frames == 2 {
            self.second = Some((received, bytes));
        }
    }

    /// Returns the arrival of the frame from which the rates count, the intervals since then, and the bytes received until then.
    /// The first interval counts only if there is no other: the first frame may have waited in the camera for up to a period.
    pub(super) fn measured(&self) -> (Received, u64, u64) {
        match self.second {
            Some((second, bytes)) if self.frames > 2 => (second, self.frames - 2, bytes),
            _ => (self.first, self.frames.saturating_sub(1), self.bytes_before),
        }
    }
}

impl Stats {
    /// Counts from the end of a backlog, once that is known. Only the first connection has one: frames that waited during an
    /// outage were captured while we watched.
    pub(super) fn count_backlog(&mut self, timed: Timed) {
        let Timed { received, bytes, step_us, arrived_us, .. } = timed;
        let here = &mut self.connection;
        let step = here.backlog.frame(step_us, arrived_us);
        if step == BurstStep::Early {
            here.after_backlog = Some(Fresh::new(received, bytes));
        }
        if let Some(after) = &mut here.after_backlog {
            after.add(received, bytes);
        }
        let began_here = self.fresh.is_some_and(|fresh| fresh.first.mono_ns >= here.first.mono_ns);
        if step == BurstStep::Settled && began_here {
            self.fresh = here.after_backlog;
            self.recent.clear();
        }
        if step == BurstStep::Settled {
            here.after_backlog = None;
        }
    }
}
