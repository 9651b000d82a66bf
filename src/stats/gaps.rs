//! Estimates missing frames from device times, for streams without frame numbers.

use std::collections::VecDeque;

use crate::frame::DeviceTime;

/// Intervals in the sliding window.
const WINDOW_INTERVALS: usize = 31;

/// Fewest intervals that give an estimate.
const MIN_INTERVALS: usize = 5;

/// So many equal intervals in sequence are a frame rate. Frames that are lost do not leave such a rhythm.
const STEADY_INTERVALS: usize = 8;

/// Estimates the camera's frame period as the median interval, and missing frames from the intervals longer than that.
///
/// An interval is measured against the current median until it leaves the window. So a camera that has just started is not
/// charged with missing frames. When a camera changes its frame rate, the window begins again with the new rate.
#[derive(Clone, Debug, Default)]
pub(super) struct GapEstimator {
    last: Option<DeviceTime>,
    /// Microseconds between frames, and the frames between them of which it is known that they were lost.
    intervals: VecDeque<(i64, u64)>,
    period_us: Option<i64>,
    /// Missing frames in intervals that have left the window.
    settled: u64,
    /// Missing frames in the window, by the current median.
    in_window: u64,
}

impl GapEstimator {
    /// Adds a frame with this device time. Times that do not increase give no interval. `lost`: frames since the last one
    /// that are counted elsewhere.
    pub(super) fn observe(&mut self, at: DeviceTime, lost: u64) {
        let Some(last) = self.last.replace(at) else { return };
        let interval = at.since(last);
        if interval <= 0 {
            return;
        }
        if self.intervals.len() == WINDOW_INTERVALS
            && let Some(oldest) = self.intervals.pop_front()
        {
            self.settled = self.settled.saturating_add(self.missing_in(oldest));
        }
        self.intervals.push_back((interval, lost));
        self.change_rate();
        if self.intervals.len() >= MIN_INTERVALS {
            let mut sorted = [0; WINDOW_INTERVALS];
            let sorted = &mut sorted[..self.intervals.len()];
            sorted.iter_mut().zip(&self.intervals).for_each(|(to, (from, _))| *to = *from);
            let middle = sorted.len() / 2;
            self.period_us = Some(*sorted.select_nth_unstable(middle).1);
        }
        self.in_window = self.missing_in_window();
    }

    /// Begins a new window if the last intervals show another frame rate. Earlier intervals keep their count.
    fn change_rate(&mut self) {
        let Some(period) = self.period_us else { return };
        let Some(first) = self.intervals.len().checked_sub(STEADY_INTERVALS) else { return };
        let steady = || self.intervals.iter().skip(first).map(|(interval, _)| *interval);
        let (Some(shortest), Some(longest)) = (steady().min(), steady().max()) else { return };
        let is_steady = longest - shortest <= shortest / 4;
        let is_new = shortest > period.saturating_add(period / 2) || longest < period - period / 3;
        if is_steady && is_new {
            for interval in self.intervals.drain(..first).collect::<Vec<_>>() {
                self.settled = self.settled.saturating_add(self.missing_in(interval));
            }
        }
    }

    /// Starts a new series of intervals, after a reconnect or a restart of the camera. Keeps the counts and the period.
    pub(super) fn interrupt(&mut self) {
        self.settled = self.settled.saturating_add(self.in_window);
        *self = Self { settled: self.settled, period_us: self.period_us, ..Self::default() };
    }

    /// Returns the estimated frame period in microseconds, once there are 5 intervals.
    pub(super) fn period_us(&self) -> Option<i64> {
        self.period_us
    }

    /// Returns the estimated number of missing frames.
    pub(super) fn missing(&self) -> u64 {
        self.settled.saturating_add(self.in_window)
    }

    fn missing_in_window(&self) -> u64 {
        self.intervals.iter().fold(0, |sum, interval| sum.saturating_add(self.missing_in(*interval)))
    }

    fn missing_in(&self, (interval, lost): (i64, u64)) -> u64 {
        let Some(period) = self.period_us else { return 0 };
        // Round to the nearest period: 1.4 periods are one late frame, 1.6 are two periods with one frame missing.
        let periods = interval.saturating_add(period / 2) / period;
        periods.saturating_sub(1).max(0).unsigned_abs().saturating_sub(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimator(times_ms: impl IntoIterator<Item = i64>) -> GapEstimator {
        let mut gaps = GapEstimator::default();
        times_ms.into_iter().for_each(|ms| gaps.observe(DeviceTime(ms * 1000), 0));
        gaps
    }

    #[test]
    fn jitter_is_not_a_gap() {
        let gaps = estimator((0..500).map(|i| 25 * i + [0, 3, -4][i as usize % 3]));
        assert_eq!(gaps.missing(), 0);
        assert!((21_000..=32_000).contains(&gaps.period_us().unwrap()), "{gaps:?}");
    }

    #[test]
    fn gaps_are_counted_anywhere_in_the_stream() {
        for (gap, width) in [(1, 1), (3, 2), (50, 1), (50, 7), (98, 3)] {
            let gaps = estimator((0..100).filter(|i| !(gap..gap + width).contains(i)).map(|i| 25 * i));
            assert_eq!(gaps.missing(), if gap + width >= 100 { 0 } else { width as u64 }, "{width} from {gap}");
            assert_eq!(gaps.period_us(), Some(25_000));
        }
    }

    #[test]
    fn frames_that_are_counted_elsewhere_are_not_estimated_again() {
        for gap in [2, 20, 60] {
            let mut gaps = GapEstimator::default();
            for i in (0..100).filter(|i| !(gap..gap + 3).contains(i)) {
                gaps.observe(DeviceTime(25_000 * i), if i == gap + 3 { 2 } else { 0 });
            }
            assert_eq!(gaps.missing(), 1, "{gap}");
        }
    }

    #[test]
    fn changed_frame_rate_is_not_a_gap() {
        let quick = (0..100).map(|i| 25 * i);
        let slow = (1..100).map(|i| 99 * 25 + 100 * i);
        assert_eq!(estimator(quick.chain(slow)).missing(), 0);
    }

    /// Times of frames with these intervals, each `count` times.
    fn paced(paces: &[(usize, i64)]) -> Vec<i64> {
        let intervals = paces.iter().flat_map(|(count, ms)| std::iter::repeat_n(*ms, *count));
        std::iter::once(0).chain(intervals.scan(0, |at, ms| Some(std::mem::replace(at, *at + ms) + ms))).collect()
    }

    #[test]
    fn another_frame_rate_is_not_a_gap_however_long_it_lasts() {
        for paces in [
            &[(20, 100), (50, 20)][..],
            &[(40, 20), (14, 200)],
            &[(20, 100), (30, 33), (20, 100), (30, 33), (20, 100)],
            &[(8, 1000), (8, 25), (8, 1000)],
        ] {
            let gaps = estimator(paced(paces));
            assert_eq!(gaps.missing(), 0, "{paces:?}");
            assert_eq!(gaps.period_us(), paces.last().map(|(_, ms)| ms * 1000), "{paces:?}");
        }
        // A frame is lost before, at and after the change.
        for (paces, missing) in [
            (&[(20, 100), (1, 200), (5, 100), (50, 20)][..], 1),
            (&[(20, 100), (1, 200), (50, 20)], 1),
            (&[(20, 100), (10, 20), (1, 40), (50, 20)], 1),
            (&[(20, 100), (7, 200), (20, 100)], 7),
        ] {
            assert_eq!(estimator(paced(paces)).missing(), missing, "{paces:?}");
        }
    }

    #[test]
    fn interruption_is_not_a_gap_and_keeps_the_count() {
        let mut gaps = estimator((0..40).filter(|i| *i != 20).map(|i| 25 * i));
        gaps.interrupt();
        assert_eq!(gaps.missing(), 1);
        (0..40).filter(|i| *i != 2).for_each(|i| gaps.observe(DeviceTime(i * 25_000 - 1_000_000), 0));
        assert_eq!(gaps.missing(), 2);
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let gaps = estimator([i64::MIN / 1000, i64::MAX / 1000, 0, 1, 2, 3, 4, 5, i64::MAX / 1000]);
        assert!(gaps.missing() > 0);
    }
}
