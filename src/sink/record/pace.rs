//! How fast the disk fills, and how long it lasts.

use std::collections::VecDeque;

/// Nanoseconds over which the speed is averaged: long enough for files that are flushed twice a second.
const WINDOW_NS: u64 = 5_000_000_000;

/// Bytes a second over the last seconds. Time is an argument.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// When there were so many bytes, the oldest first.
    seen: VecDeque<(u64, u64)>,
}

impl Pace {
    /// At this time there are so many bytes in all.
    pub fn observe(&mut self, mono_ns: u64, bytes: u64) {
        if self.seen.back().is_some_and(|(_, last)| bytes < *last) {
            // Another recording has begun.
            self.seen.clear();
        }
        self.seen.push_back((mono_ns, bytes));
        while self.seen.get(1).is_some_and(|(at, _)| mono_ns.saturating_sub(*at) >= WINDOW_NS) {
            self.seen.pop_front();
        }
    }

    /// Bytes a second; 0 while nothing is known.
    #[must_use]
    pub fn bytes_per_s(&self) -> f64 {
        let (Some((from_ns, from)), Some((to_ns, to))) = (self.seen.front(), self.seen.back()) else { return 0.0 };
        let seconds = to_ns.saturating_sub(*from_ns) as f64 / 1e9;
        if seconds > 0.0 { (to - from) as f64 / seconds } else { 0.0 }
    }

    /// Seconds until so many bytes are written; `None` while nothing is.
    #[must_use]
    pub fn seconds_left(&self, bytes: u64) -> Option<f64> {
        let pace = self.bytes_per_s();
        (pace > 0.0).then(|| bytes as f64 / pace)
    }
}

/// A time that remains, in the two largest units: `3 d 4 h`, `12 min`, `45 s`.
#[must_use]
pub fn remaining(seconds: f64) -> String {
    // A float becomes the nearest whole number that there is.
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
    fn the_pace_is_that_of_the_last_seconds() {
        let mut pace = Pace::default();
        assert_eq!((pace.bytes_per_s(), pace.seconds_left(100)), (0.0, None));
        pace.observe(0, 0);
        assert_eq!(pace.seconds_left(100), None);
        pace.observe(S, 100);
        assert_eq!((pace.bytes_per_s(), pace.seconds_left(1000)), (100.0, Some(10.0)));
        for second in 2..20 {
            pace.observe(second * S, 100 + (second - 1) * 300);
        }
        assert!((pace.bytes_per_s() - 300.0).abs() < 1e-9, "{pace:?}");
        assert!(pace.seen.len() < 10);
        for second in 20..30 {
            pace.observe(second * S, 100 + 18 * 300);
        }
        assert_eq!(pace.seconds_left(1000), None, "nothing is written any more");
        pace.observe(31 * S, 7);
        assert_eq!(pace.bytes_per_s(), 0.0, "another recording");
    }

    #[test]
    fn times_that_remain() {
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
            assert_eq!(remaining(seconds), text);
        }
    }
}
