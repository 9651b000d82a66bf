//! What happened when, in a bounded number of steps however long it took.

use serde::Serialize;

/// Steps at most; then two become one.
const STEPS: usize = 1024;
/// Steps begin as short as this, in nanoseconds.
const SHORTEST_NS: u64 = 10_000_000;

/// What happened in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Frames that arrived.
    pub frames: u64,
    /// Boxes in them.
    pub detections: u64,
    /// Frames that are missing.
    pub missing: u64,
    /// The longest time from one frame to the next that ended here; nanoseconds.
    pub longest_ns: u64,
}

impl Step {
    fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.detections += other.detections;
        self.missing += other.missing;
        self.longest_ns = self.longest_ns.max(other.longest_ns);
    }
}

/// Steps of equal length, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// When the first step begins; nanoseconds since 1970, UTC.
    pub from_unix_ns: i64,
    /// How long each step is; nanoseconds.
    pub step_ns: u64,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Timeline {
    /// Adds to the step of this time. What is before the beginning counts as the beginning.
    pub(super) fn add(&mut self, unix_ns: i64, what: &Step) {
        if self.steps.is_empty() {
            (self.from_unix_ns, self.step_ns) = (unix_ns, SHORTEST_NS);
        }
        let since = u64::try_from(i128::from(unix_ns) - i128::from(self.from_unix_ns)).unwrap_or(0);
        while since / self.step_ns >= STEPS as u64 {
            self.step_ns *= 2;
            self.steps = self.steps.chunks(2).map(Self::joined).collect();
        }
        let step = (since / self.step_ns) as usize;
        if self.steps.len() <= step {
            self.steps.resize(step + 1, Step::default());
        }
        self.steps[step].add(what);
    }

    /// At most `n` steps: as many as are needed make up one.
    #[must_use]
    pub fn at_most(&self, n: usize) -> Self {
        let together = self.steps.len().div_ceil(n.max(1)).max(1);
        Self {
            from_unix_ns: self.from_unix_ns,
            step_ns: self.step_ns * together as u64,
            steps: self.steps.chunks(together).map(Self::joined).collect(),
        }
    }

    fn joined(steps: &[Step]) -> Step {
        let mut all = Step::default();
        steps.iter().for_each(|step| all.add(step));
        all
    }

    /// The longest times between frames as a row of bars, from the lowest for `typical_ns` and less to the highest for ten
    /// times as much and more; a blank where no frame came.
    #[must_use]
    pub fn sparkline(&self, width: usize, typical_ns: u64) -> String {
        const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let bar = |step: &Step| {
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

    fn frame(longest_ns: u64) -> Step {
        Step { frames: 1, detections: 2, missing: 0, longest_ns }
    }

    #[test]
    fn nothing_is_lost_when_steps_are_joined() {
        let mut timeline = Timeline::default();
        for second in 0..10_000 {
            timeline.add(second * 1000 * MS, &frame(5));
        }
        assert!(timeline.steps.len() <= STEPS && timeline.steps.len() > STEPS / 2, "{}", timeline.steps.len());
        let sum = timeline.at_most(1);
        assert_eq!(sum.steps, [Step { frames: 10_000, detections: 20_000, missing: 0, longest_ns: 5 }]);
        assert!(sum.step_ns >= 9_999 * 1_000_000_000);
        assert!(timeline.at_most(60).steps.len() <= 60);
    }

    #[test]
    fn time_that_goes_back_or_far_ahead_is_borne() {
        let mut timeline = Timeline::default();
        for at in [5 * MS, 0, i64::MAX, i64::MIN] {
            timeline.add(at, &frame(1));
        }
        assert_eq!(timeline.at_most(1).steps[0].frames, 4);
        assert!(timeline.steps.len() <= STEPS);
    }

    #[test]
    fn a_pause_stands_out() {
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
