//! Intervals between the frames of one camera, without those of frames that waited before the connection was opened.

use hdrhistogram::Histogram;

use super::measurement_report::FrameIntervals;
use crate::stats::{BurstStep, SETTLED_FRAMES};

/// Intervals between frames are clamped to one hour, in microseconds.
const INTERVAL_MAX_US: u64 = 3_600_000_000;

#[derive(Debug)]
pub(super) struct Intervals {
    /// Microseconds.
    counted: Histogram<u64>,
    /// Those since the last frame that may have waited; they replace the others if it turns out that frames had waited.
    after_backlog_us: Vec<u64>,
}

impl Default for Intervals {
    fn default() -> Self {
        let counted = Histogram::new_with_max(INTERVAL_MAX_US, 3).expect("valid bounds and digits");
        Self { counted, after_backlog_us: Vec::new() }
    }
}

impl Intervals {
    /// Adds an interval in microseconds between two frames that are not stale. `step`: what the later one shows about the backlog.
    pub(super) fn add(&mut self, us: u64, step: BurstStep) {
        self.counted.saturating_record(us);
        if step == BurstStep::Early {
            self.after_backlog_us.clear();
        } else if self.after_backlog_us.len() < SETTLED_FRAMES as usize {
            self.after_backlog_us.push(us);
        }
        if step == BurstStep::Settled {
            self.counted.reset();
            self.after_backlog_us.iter().for_each(|us| self.counted.saturating_record(*us));
        }
    }

    /// Returns the median in nanoseconds; `None` without intervals.
    pub(super) fn usual_ns(&self) -> Option<u64> {
        (!self.counted.is_empty()).then(|| self.counted.value_at_quantile(0.5).saturating_mul(1000))
    }

    pub(super) fn report(&self) -> Option<FrameIntervals> {
        let ms = |us: u64| us as f64 / 1e3;
        (!self.counted.is_empty()).then(|| FrameIntervals {
            p50: ms(self.counted.value_at_quantile(0.5)),
            p99: ms(self.counted.value_at_quantile(0.99)),
            max: ms(self.counted.max()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_a_backlog_that_was_not_marked_do_not_count() {
        let mut intervals = Intervals::default();
        assert_eq!(intervals.usual_ns(), None);
        (0..200).for_each(|_| intervals.add(250, BurstStep::Early));
        (1..SETTLED_FRAMES).for_each(|_| intervals.add(500_000, BurstStep::Paced));
        assert!(intervals.report().is_some_and(|report| report.p50 < 1.0), "a fast sender so far");
        intervals.add(500_000, BurstStep::Settled);
        intervals.add(600_000, BurstStep::Paced);
        let report = intervals.report().expect("intervals");
        assert!((499.0..501.0).contains(&report.p50) && (599.0..601.0).contains(&report.max), "{report:?}");
    }
}
