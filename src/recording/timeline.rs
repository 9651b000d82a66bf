//! Frames, boxes and gaps over time, in a bounded number of steps.

use std::ops::Range;

use serde::Serialize;

/// When a timeline would exceed this number of steps, pairs of steps are merged.
const STEPS_MAX: usize = 1024;
/// Length of a step before any are merged, in nanoseconds.
const STEP_NS_MIN: u64 = 10_000_000;
/// An interval is a gap if it is longer than this number of usual intervals.
const GAP_INTERVALS: u64 = 5;

/// Larger recordings are not read for their timelines: that would take longer than a user watches, and slow down the replay.
pub const TIMELINE_FILE_BYTES_MAX: u64 = 4 << 30;

/// Counts of one step of a [`Timeline`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TimelineStep {
    /// Frames that arrived.
    pub frames: u64,
    /// Boxes in them.
    pub detections: u64,
    /// Frames that are missing, or did not arrive intact.
    pub missing: u64,
    /// Times that the trigger of the recording fired.
    pub triggers: u64,
    /// The longest interval between frames that ended in this step, in nanoseconds.
    pub longest_ns: u64,
}

impl TimelineStep {
    fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.detections += other.detections;
        self.missing += other.missing;
        self.triggers += other.triggers;
        self.longest_ns = self.longest_ns.max(other.longest_ns);
    }
}

/// Counts over time, in steps of equal length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// Start of the first step in nanoseconds since 1970, UTC.
    pub from_unix_ns: i64,
    /// Length of a step in nanoseconds.
    pub step_ns: u64,
    /// The steps, without gaps.
    pub steps: Vec<TimelineStep>,
}

impl Timeline {
    /// Adds counts to the step of this time. Times before the first step count as the first step.
    pub(super) fn add(&mut self, unix_ns: i64, counts: &TimelineStep) {
        if self.steps.is_empty() {
            (self.from_unix_ns, self.step_ns) = (unix_ns, STEP_NS_MIN);
        }
        let since = u64::try_from(i128::from(unix_ns) - i128::from(self.from_unix_ns)).unwrap_or(0);
        while since / self.step_ns >= STEPS_MAX as u64 {
            self.step_ns *= 2;
            self.steps = self.steps.chunks(2).map(Self::joined).collect();
        }
        let step = (since / self.step_ns) as usize;
        if self.steps.len() <= step {
            self.steps.resize(step + 1, TimelineStep::default());
        }
        self.steps[step].add(counts);
    }

    /// Returns a timeline with at most `n` steps, by merging neighbors.
    #[must_use]
    pub fn at_most(&self, n: usize) -> Self {
        let together = self.steps.len().div_ceil(n.max(1)).max(1);
        Self {
            from_unix_ns: self.from_unix_ns,
            step_ns: self.step_ns * together as u64,
            steps: self.steps.chunks(together).map(Self::joined).collect(),
        }
    }

    /// Returns the longest time without a frame that is not a gap, in nanoseconds: five mean intervals.
    #[must_use]
    pub fn interval_max_ns(&self) -> u64 {
        let frames: u64 = self.steps.iter().map(|step| step.frames).sum();
        let usual_ns = self.step_ns.saturating_mul(self.steps.len() as u64) / frames.max(1);
        GAP_INTERVALS.saturating_mul(usual_ns)
    }

    /// Returns the steps between two frames that are further apart than [`Self::interval_max_ns`].
    #[must_use]
    pub fn empty_ranges(&self) -> Vec<Range<usize>> {
        let longest_ns = self.interval_max_ns();
        let (mut ranges, mut empty_from) = (Vec::new(), None);
        for (at, step) in self.steps.iter().enumerate() {
            if step.frames == 0 {
                empty_from.get_or_insert(at);
            } else if let Some(from) = empty_from.take()
                && self.step_ns.saturating_mul((at - from) as u64) > longest_ns
            {
                ranges.push(from..at);
            }
        }
        ranges
    }

    fn joined(steps: &[TimelineStep]) -> TimelineStep {
        let mut all = TimelineStep::default();
        steps.iter().for_each(|step| all.add(step));
        all
    }

    /// Draws the longest interval of each step as a row of `width` bars. The lowest bar means `typical_ns` or less, the
    /// highest ten times as much or more, on a logarithmic scale. A step without frames is a blank.
    #[must_use]
    pub fn sparkline(&self, width: usize, typical_ns: u64) -> String {
        const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let bar = |step: &TimelineStep| {
            if step.frames == 0 {
                return ' ';
            }
            let times = step.longest_ns as f64 / typical_ns.max(1) as f64;
            let height = (times.max(1.0).log10() * BARS.len() as f64).round() as usize;
            BARS[height.min(BARS.len() - 1)]
        };
        self.at_most(width).steps.iter().map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn frame(longest_ns: u64) -> TimelineStep {
        TimelineStep { frames: 1, detections: 2, longest_ns, ..TimelineStep::default() }
    }

    #[test]
    fn merged_steps_keep_the_totals() {
        let mut timeline = Timeline::default();
        for second in 0..10_000 {
            timeline.add(second * 1000 * MS, &frame(5));
        }
        assert!(timeline.steps.len() <= STEPS_MAX && timeline.steps.len() > STEPS_MAX / 2, "{}", timeline.steps.len());
        let sum = timeline.at_most(1);
        assert_eq!(
            sum.steps,
            [TimelineStep { frames: 10_000, detections: 20_000, longest_ns: 5, ..TimelineStep::default() }]
        );
        assert!(sum.step_ns >= 9_999 * 1_000_000_000);
        assert!(timeline.at_most(60).steps.len() <= 60);
    }

    #[test]
    fn extreme_times_do_not_add_steps() {
        let mut timeline = Timeline::default();
        for at in [5 * MS, 0, i64::MAX, i64::MIN] {
            timeline.add(at, &frame(1));
        }
        assert_eq!(timeline.at_most(1).steps[0].frames, 4);
        assert!(timeline.steps.len() <= STEPS_MAX);
    }

    #[test]
    fn pause_is_visible_in_the_sparkline() {
        let mut timeline = Timeline::default();
        for at in [0, 25, 50, 75, 325, 350] {
            let longest = if at == 325 { 250 * MS } else { 25 * MS };
            timeline.add(at * MS, &frame(longest as u64));
        }
        assert_eq!(timeline.sparkline(100, 25 * MS as u64).trim_end(), "▁ ▁  ▁ ▁                        █  ▁");
        assert_eq!(timeline.sparkline(3, 25 * MS as u64), "▁ █");
        assert_eq!(Timeline::default().sparkline(10, 0), "");
    }
}
