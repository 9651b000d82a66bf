//! The longest pauses between the frames of one camera.

use super::inspect::LISTED_MAX;
use super::measurement_report::PauseReport;

/// A pause is longer than this, in nanoseconds, and than this number of usual intervals.
const PAUSE_MIN_NS: u64 = 500_000_000;
const PAUSE_INTERVALS: u64 = 5;

/// Keeps the longest intervals.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// Length in nanoseconds and arrival of the frame before, the longest first. At most twice [`LISTED_MAX`].
    longest: Vec<(u64, i64)>,
}

impl Pauses {
    /// Adds an interval of this many nanoseconds after a frame that arrived at `from_ns`, in nanoseconds since 1970, UTC.
    pub(super) fn interval(&mut self, from_ns: i64, interval_ns: u64) {
        if interval_ns > PAUSE_MIN_NS {
            self.longest.push((interval_ns, from_ns));
            if self.longest.len() >= 2 * LISTED_MAX {
                self.sort();
            }
        }
    }

    /// Keeps the longest ones.
    fn sort(&mut self) {
        self.longest.sort_by(|a, b| (b.0, a.1).cmp(&(a.0, b.1)));
        self.longest.truncate(LISTED_MAX);
    }

    /// Returns the pauses of a camera with this interval between frames, in nanoseconds; the longest first.
    pub(super) fn longer_than_usual(mut self, usual_ns: u64) -> Vec<PauseReport> {
        self.sort();
        let usual_ns = usual_ns.max(1);
        let is_pause = |(interval_ns, _): &(u64, i64)| *interval_ns > usual_ns.saturating_mul(PAUSE_INTERVALS);
        let report = |(interval_ns, at_unix_ns): (u64, i64)| PauseReport {
            at_unix_ns,
            seconds: interval_ns as f64 / 1e9,
            frames_at_usual_rate: (interval_ns.saturating_add(usual_ns / 2) / usual_ns).saturating_sub(1),
        };
        self.longest.into_iter().filter(is_pause).map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pauses_are_listed_first() {
        let mut pauses = Pauses::default();
        for n in 0..1000 {
            pauses.interval(n, 50_000_000);
            pauses.interval(n, 600_000_000 + n as u64);
        }
        pauses.interval(7, 13_000_000_000);
        let found = pauses.longer_than_usual(50_000_000);
        assert_eq!(found.len(), LISTED_MAX);
        assert_eq!((found[0].at_unix_ns, found[0].seconds, found[0].frames_at_usual_rate), (7, 13.0, 259));
        assert_eq!((found[1].at_unix_ns, found[1].frames_at_usual_rate), (999, 11));
    }

    #[test]
    fn intervals_of_a_slow_camera_are_not_pauses() {
        let mut pauses = Pauses::default();
        pauses.interval(0, 60_000_000_000);
        pauses.interval(1, 301_000_000_000);
        let found = pauses.longer_than_usual(60_000_000_000);
        assert_eq!(found.iter().map(|pause| pause.frames_at_usual_rate).collect::<Vec<_>>(), [4]);
    }
}
