//! Rates of a camera without the frames that waited before the connection was opened and arrive in a burst.

use crate::frame::DeviceTime;
use crate::stats::{Burst, BurstStep};

/// Frames and bytes over time. Rates leave out the first frame, whose interval is not known, and the first interval as soon as
/// there are others: the first frame may have waited in the camera for up to a period.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    has_left_out: bool,
    first_ns: i64,
    last_ns: i64,
    intervals: u64,
    bytes: u64,
}

impl Span {
    const fn new(at_ns: i64) -> Self {
        Self { has_left_out: false, first_ns: at_ns, last_ns: at_ns, intervals: 0, bytes: 0 }
    }

    fn add(&mut self, at_ns: i64, bytes: u64) {
        if self.intervals == 1 && !self.has_left_out {
            *self = Self { has_left_out: true, ..Self::new(self.last_ns) };
        }
        self.first_ns = self.first_ns.min(at_ns);
        self.last_ns = self.last_ns.max(at_ns);
        self.intervals += 1;
        self.bytes += bytes;
    }

    fn per_second(&self, amount: f64) -> f64 {
        let seconds = (i128::from(self.last_ns) - i128::from(self.first_ns)) as f64 / 1e9;
        if seconds > 0.0 { amount / seconds } else { 0.0 }
    }
}

/// The frames of one camera in a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    fresh: Option<Span>,
    last_device: Option<DeviceTime>,
    backlog: Burst,
    after_backlog: Option<Span>,
}

impl Pace {
    /// Adds a frame with its arrival, its device time and the length of its payload. Returns what it shows about the backlog;
    /// `None` for a stale frame and the first one that is not.
    pub(super) fn frame(&mut self, at_ns: i64, device: DeviceTime, bytes: u64, stale: bool) -> Option<BurstStep> {
        let last_device = self.last_device.replace(device);
        if stale {
            // The first frame of a burst does not look stale yet.
            self.fresh = self.fresh.filter(|fresh| fresh.intervals > 0);
            return None;
        }
        let (Some(fresh), Some(last_device)) = (&mut self.fresh, last_device) else {
            self.fresh = Some(Span::new(at_ns));
            return None;
        };
        let arrived_us = u64::try_from(at_ns.saturating_sub(fresh.last_ns) / 1000).unwrap_or(0);
        let step = self.backlog.frame(device.since(last_device), arrived_us);
        fresh.add(at_ns, bytes);
        match (&mut self.after_backlog, step) {
            (after, BurstStep::Early) => *after = Some(Span::new(at_ns)),
            (Some(after), _) => after.add(at_ns, bytes),
            (None, _) => {}
        }
        if step == BurstStep::Settled {
            self.fresh = self.after_backlog.take();
        }
        Some(step)
    }

    /// Returns frames per second.
    pub(super) fn fps(&self) -> f64 {
        self.fresh.map_or(0.0, |fresh| fresh.per_second(fresh.intervals as f64))
    }

    /// Returns megabits of payload per second.
    pub(super) fn mbit_s(&self) -> f64 {
        self.fresh.map_or(0.0, |fresh| fresh.per_second(fresh.bytes as f64 * 8.0 / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_interval_of_a_short_recording_does_not_count() {
        // 2 s at 30 frames/s; the first frame waited for nearly a period.
        let mut pace = Pace::default();
        for n in 0..61_i64 {
            let at_ns = (n * 1_000_000_000 / 30).max(30_000_000);
            pace.frame(at_ns, DeviceTime(n * 1_000_000 / 30), 1000, false);
        }
        assert!((pace.fps() - 30.0).abs() < 0.01, "{} fps", pace.fps());
        assert!((pace.mbit_s() - 0.24).abs() < 0.001, "{} Mbit/s", pace.mbit_s());
        // Two frames have no other interval.
        let mut pace = Pace::default();
        (0..2).for_each(|n| _ = pace.frame(n * 500_000_000, DeviceTime(n * 500_000), 1000, false));
        assert_eq!(pace.fps(), 2.0);
    }

    #[test]
    fn frames_that_waited_do_not_inflate_the_rates() {
        const MS: i64 = 1_000_000;
        for (burst, stale) in [(9, true), (200, false)] {
            let mut pace = Pace::default();
            (0..burst).for_each(|n| _ = pace.frame(n * MS, DeviceTime(n * 25_000), 1000, stale && n > 0));
            for n in burst..burst + 100 {
                pace.frame((burst + 25 * (n - burst)) * MS, DeviceTime(n * 25_000), 1000, false);
            }
            assert!((39.5..40.5).contains(&pace.fps()), "{burst}: {} fps", pace.fps());
            assert!((0.315..0.325).contains(&pace.mbit_s()), "{burst}: {} Mbit/s", pace.mbit_s());
        }
    }
}
