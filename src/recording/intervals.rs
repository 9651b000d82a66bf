//! Intervals between the frames of one camera, without those of frames that waited before the connection was opened.

use hdrhistogram::Histogram;

use super::measurement_report::FrameIntervals;
use crate::stats::{BurstStep, SETTLED_FRAMES};

/// Longest interval that the histogram distinguishes from longer ones: 1 h.
const INTERVAL_MAX_US: u64 = 3_600_000_000;

/// Significant digits of the histogram, and of its percentiles.
const DIGITS: u8 = 3;

#[derive(Debug)]
pub(super) struct Intervals {
    /// Microseconds.
    counted: Histogram<u64>,
    /// The longest of those.
    max_ns: u64,
    /// Those since the last frame that may have waited; they replace the others if it turns out that frames had waited.
    after_backlog_ns: Vec<u64>,
}

impl Default for Intervals {
    fn default() -> Self {
        let counted = Histogram::new_with_max(INTERVAL_MAX_US, DIGITS).expect("valid bounds and digits");
        Self { counted, max_ns: 0, after_backlog_ns: Vec::new() }
    }
}

impl Intervals {
    /// Adds an interval in nanoseconds between two frames that are not stale. `step`: what the later one shows about the backlog.
    pub(super) fn add(&mut self, ns: u64, step: BurstStep) {
        self.count(ns);
        if step == BurstStep::Early {
            self.after_backlog_ns.clear();
        } else if self.after_backlog_ns.len() < SETTLED_FRAMES as usize {
            self.after_backlog_ns.push(ns);
        }
        if step == BurstStep::Settled {
            self.counted.reset();
            self.max_ns = 0;
            let after_backlog_ns = std::mem::take(&mut self.after_backlog_ns);
            after_backlog_ns.iter().for_each(|ns| self.count(*ns));
            self.after_backlog_ns = after_backlog_ns;
        }
    }

    fn count(&mut self, ns: u64) {
        self.counted.saturating_record(ns / 1000);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Returns the median in nanoseconds; `None` without intervals.
    pub(super) fn usual_ns(&self) -> Option<u64> {
        (!self.counted.is_empty()).then(|| self.counted.value_at_quantile(0.5).saturating_mul(1000))
    }

    /// Returns the percentiles and the exact maximum; `None` without intervals.
    pub(super) fn report(&self) -> Option<FrameIntervals> {
        let max = (self.max_ns as f64 / 1e3).round() / 1e3;
        // The middle of the range whose values the histogram does not distinguish.
        let middle = |quantile| self.counted.median_equivalent(self.counted.value_at_quantile(quantile));
        let ms = |quantile| significant(middle(quantile) as f64 / 1e3).min(max);
        (!self.counted.is_empty()).then(|| FrameIntervals { p50: ms(0.5), p99: ms(0.99), max })
    }
}

/// Rounds to the digits that the histogram distinguishes.
fn significant(ms: f64) -> f64 {
    if ms <= 0.0 {
        return 0.0;
    }
    let scale = 10_f64.powi(i32::from(DIGITS) - 1 - ms.log10().floor() as i32);
    // Dividing by a power of ten gives the nearest number to the decimal one.
    if scale >= 1.0 { (ms * scale).round() / scale } else { (ms * scale).round() * (1.0 / scale).round() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(intervals_ns: &[u64]) -> FrameIntervals {
        let mut intervals = Intervals::default();
        intervals_ns.iter().for_each(|ns| intervals.add(*ns, BurstStep::Paced));
        intervals.report().expect("intervals")
    }

    #[test]
    fn intervals_of_a_backlog_that_was_not_marked_do_not_count() {
        let mut intervals = Intervals::default();
        assert_eq!(intervals.usual_ns(), None);
        (0..200).for_each(|_| intervals.add(900_000_000, BurstStep::Early));
        (1..SETTLED_FRAMES).for_each(|_| intervals.add(500_000_000, BurstStep::Paced));
        assert!(intervals.report().is_some_and(|report| report.p50 == 900.0), "a slow sender so far");
        intervals.add(500_000_000, BurstStep::Settled);
        intervals.add(600_000_000, BurstStep::Paced);
        let report = intervals.report().expect("intervals");
        assert_eq!((report.p50, report.max), (500.0, 600.0));
    }

    #[test]
    fn the_maximum_is_a_value_that_occurred_and_percentiles_have_three_digits() {
        let even = report(&[100_000_000; 50]);
        assert_eq!((even.p50, even.p99, even.max), (100.0, 100.0, 100.0));
        let mut with_gap = vec![100_000_000; 9];
        with_gap.push(1_100_000_000);
        let with_gap = report(&with_gap);
        assert_eq!((with_gap.p50, with_gap.p99, with_gap.max), (100.0, 1100.0, 1100.0));
        for ns in [1_000, 33_333_000, 99_960_000, 123_457_000, 7_654_321_000] {
            let FrameIntervals { p50, p99, max } = report(&[ns]);
            assert_eq!((p50, max), (p99, ns as f64 / 1e6), "{ns}");
            assert!(p99 <= max && (max - p99) * 1e6 <= 0.0051 * ns as f64 + 1000.0, "{ns}: {p99} and {max}");
        }
        assert!(Intervals::default().report().is_none());
    }

    #[test]
    fn numbers_are_rounded_to_three_digits() {
        let rounded = [33.333, 100.032, 1100.8, 12_345.0, 5.678, 0.0456].map(significant);
        assert_eq!(rounded, [33.3, 100.0, 1100.0, 12_300.0, 5.68, 0.0456]);
    }
}
