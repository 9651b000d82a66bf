//! The growth of recordings, and the time until the disk is full.

use std::collections::VecDeque;

/// Interval over which the rate is averaged. Files are flushed twice per second.
const AVERAGING_NS: u64 = 5_000_000_000;

/// Average write rate over the last 5 s.
#[derive(Clone, Debug, Default)]
pub(super) struct WriteRate {
    /// Pairs of time in nanoseconds and total bytes, the oldest first.
    samples: VecDeque<(u64, u64)>,
}

impl WriteRate {
    /// Adds the total number of bytes at a time of the monotonic clock.
    pub(super) fn observe(&mut self, mono_ns: u64, bytes: u64) {
        if self.samples.back().is_some_and(|(_, last)| bytes < *last) {
            // A total that shrinks belongs to a new recording.
            self.samples.clear();
        }
        self.samples.push_back((mono_ns, bytes));
        while self.samples.get(1).is_some_and(|(at, _)| mono_ns.saturating_sub(*at) >= AVERAGING_NS) {
            self.samples.pop_front();
        }
    }

    /// Returns bytes per second, or 0 before the second sample.
    pub(super) fn bytes_per_s(&self) -> f64 {
        let (Some((from_ns, from)), Some((to_ns, to))) = (self.samples.front(), self.samples.back()) else {
            return 0.0;
        };
        let seconds = to_ns.saturating_sub(*from_ns) as f64 / 1e9;
        if seconds > 0.0 { (to - from) as f64 / seconds } else { 0.0 }
    }

    /// Returns the seconds until this number of bytes is written, or `None` at a rate of 0.
    pub(super) fn seconds_left(&self, bytes: u64) -> Option<f64> {
        let rate = self.bytes_per_s();
        (rate > 0.0).then(|| bytes as f64 / rate)
    }
}

/// Formats a remaining time in seconds with at most two units: `3 d 4 h`, `12 min`, `45 s`.
#[must_use]
pub fn format_remaining(seconds: f64) -> String {
    // The cast saturates.
    let seconds = seconds as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (1000.., ..) => "years".to_owned(),
        (10.., ..) => format!("{days} d"),
        (1.., ..) => format!("{days} d {hours} h"),
        (0, 1.., _) => format!("{hours} h {minutes} min"),
        (0, 0, 1..) => format!("{minutes} min"),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn the_rate_is_averaged_over_the_last_seconds() {
        let mut rate = WriteRate::default();
        assert_eq!((rate.bytes_per_s(), rate.seconds_left(100)), (0.0, None));
        rate.observe(0, 0);
        assert_eq!(rate.seconds_left(100), None);
        rate.observe(S, 100);
        assert_eq!((rate.bytes_per_s(), rate.seconds_left(1000)), (100.0, Some(10.0)));
        for second in 2..20 {
            rate.observe(second * S, 100 + (second - 1) * 300);
        }
        assert!((rate.bytes_per_s() - 300.0).abs() < 1e-9, "{rate:?}");
        assert!(rate.samples.len() < 10);
        for second in 20..30 {
            rate.observe(second * S, 100 + 18 * 300);
        }
        assert_eq!(rate.seconds_left(1000), None, "nothing was written lately");
        rate.observe(31 * S, 7);
        assert_eq!(rate.bytes_per_s(), 0.0, "a new recording starts a new average");
    }

    #[test]
    fn remaining_times_are_short() {
        for (seconds, text) in [
            (0.9, "0 s"),
            (59.0, "59 s"),
            (60.0, "1 min"),
            (3599.0, "59 min"),
            (3600.0 * 4.0 + 600.0, "4 h 10 min"),
            (86_400.0 * 3.0 + 7200.0, "3 d 2 h"),
            (86_400.0 * 30.0, "30 d"),
            (1e300, "years"),
            (f64::INFINITY, "years"),
        ] {
            assert_eq!(format_remaining(seconds), text);
        }
    }
}
