//! Device times -> the camera's rhythm, and how many beats were missed. The protocol has no frame numbers.

use std::collections::VecDeque;

use crate::frame::DeviceTime;

/// Intervals that the estimate looks at.
const WINDOW: usize = 31;

/// With fewer intervals than this there is no estimate.
const ENOUGH: usize = 5;

/// Estimates the frame time as the median interval, and the missing frames as the beats that fall into longer ones.
///
/// Intervals are judged by the median of the window until they leave it, so a camera that changes its frame rate, and
/// one that has only just begun, are judged by the rhythm that they turn out to have.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    last: Option<DeviceTime>,
    intervals: VecDeque<i64>,
    period_us: Option<i64>,
    settled: u64,
    in_window: u64,
}

impl Grid {
    /// One more frame was taken at this time.
    pub fn observe(&mut self, at: DeviceTime) {
        let Some(last) = self.last.replace(at) else { return };
        let interval = at.since(last);
        if interval <= 0 {
            return;
        }
        if self.intervals.len() == WINDOW
            && let Some(oldest) = self.intervals.pop_front()
        {
            self.settled = self.settled.saturating_add(self.beats_missed(oldest));
        }
        self.intervals.push_back(interval);
        if self.intervals.len() >= ENOUGH {
            let mut sorted = [0; WINDOW];
            let sorted = &mut sorted[..self.intervals.len()];
            sorted.iter_mut().zip(&self.intervals).for_each(|(to, from)| *to = *from);
            let middle = sorted.len() / 2;
            self.period_us = Some(*sorted.select_nth_unstable(middle).1);
        }
        self.in_window = self.missed_in_window();
    }

    /// What comes next does not follow what came before: another connection, or another life of the camera.
    pub fn interrupt(&mut self) {
        self.settled = self.settled.saturating_add(self.in_window);
        *self = Self { settled: self.settled, period_us: self.period_us, ..Self::default() };
    }

    /// Frame time in microseconds, once there is an estimate.
    #[must_use]
    pub fn period_us(&self) -> Option<i64> {
        self.period_us
    }

    /// Frames that the camera's rhythm called for and that did not come.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.settled.saturating_add(self.in_window)
    }

    fn missed_in_window(&self) -> u64 {
        self.intervals.iter().fold(0, |sum, interval| sum.saturating_add(self.beats_missed(*interval)))
    }

    fn beats_missed(&self, interval: i64) -> u64 {
        let Some(period) = self.period_us else { return 0 };
        // To the nearest beat: 1.4 frame times are one late frame, 1.6 are two with one missing.
        let beats = interval.saturating_add(period / 2) / period;
        beats.saturating_sub(1).max(0).unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(times_ms: impl IntoIterator<Item = i64>) -> Grid {
        let mut grid = Grid::default();
        times_ms.into_iter().for_each(|ms| grid.observe(DeviceTime(ms * 1000)));
        grid
    }

    #[test]
    fn a_steady_camera_misses_nothing() {
        let grid = grid((0..500).map(|i| 25 * i + [0, 3, -4][i as usize % 3]));
        assert_eq!(grid.missing(), 0);
        assert!((21_000..=32_000).contains(&grid.period_us().unwrap()), "{grid:?}");
    }

    #[test]
    fn every_hole_is_counted_wherever_it_is() {
        for (hole, width) in [(1, 1), (3, 2), (50, 1), (50, 7), (98, 3)] {
            let grid = grid((0..100).filter(|i| !(hole..hole + width).contains(i)).map(|i| 25 * i));
            assert_eq!(grid.missing(), if hole + width >= 100 { 0 } else { width as u64 }, "{width} from {hole}");
            assert_eq!(grid.period_us(), Some(25_000));
        }
    }

    #[test]
    fn another_frame_rate_is_no_hole() {
        let quick = (0..100).map(|i| 25 * i);
        let slow = (1..100).map(|i| 99 * 25 + 100 * i);
        assert_eq!(grid(quick.chain(slow)).missing(), 0);
    }

    #[test]
    fn an_interruption_is_not_counted_but_what_was_is_kept() {
        let mut grid = grid((0..40).filter(|i| *i != 20).map(|i| 25 * i));
        grid.interrupt();
        assert_eq!(grid.missing(), 1);
        (0..40).filter(|i| *i != 2).for_each(|i| grid.observe(DeviceTime(i * 25_000 - 1_000_000)));
        assert_eq!(grid.missing(), 2);
    }

    #[test]
    fn absurd_times_do_not_overflow() {
        let grid = grid([i64::MIN / 1000, i64::MAX / 1000, 0, 1, 2, 3, 4, 5, i64::MAX / 1000]);
        assert!(grid.missing() > 0);
    }
}
