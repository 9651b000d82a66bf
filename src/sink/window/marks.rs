//! Gaps and detections of a recording, for its timeline. Another thread reads the recording once.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use crate::recording::inspect::{Timeline, inspect};

/// Larger recordings are not read: that would take longer than a user watches, and slow down the replay.
const READ_BYTES_MAX: u64 = 4 << 30;

/// An interval is a gap if it is longer than this number of usual intervals.
const GAP_INTERVALS: u64 = 5;

/// Whether gaps and detections of the recordings are known.
#[derive(Debug)]
pub(super) enum Marks {
    /// There is no recording.
    None,
    Reading(Receiver<Result<Vec<Timeline>, String>>),
    /// One timeline for each camera.
    Known(Vec<Timeline>),
    /// They are not known, for this reason.
    Unknown(String),
}

/// What happened within one column of the timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Column {
    /// Frames are missing.
    pub(super) gap: bool,
    /// The trigger of the recording fired.
    pub(super) trigger: bool,
    /// Boxes.
    pub(super) detections: u64,
}

impl Marks {
    /// Starts to read recordings.
    pub(super) fn read(mut paths: Vec<PathBuf>) -> Self {
        paths.sort();
        paths.dedup();
        if paths.is_empty() {
            return Self::None;
        }
        let bytes: u64 = paths.iter().filter_map(|path| path.metadata().ok()).map(|found| found.len()).sum();
        if bytes > READ_BYTES_MAX {
            return Self::Unknown(format!("gaps unknown: {:.0} GB", bytes as f64 / 1e9));
        }
        let (tx, rx) = channel();
        let read = move || {
            let mut all = Vec::new();
            for path in &paths {
                match inspect(path) {
                    Ok(report) => all.extend(report.cameras.into_iter().map(|camera| camera.timeline)),
                    Err(error) => return drop(tx.send(Err(format!("gaps unknown: {error}")))),
                }
            }
            // Fails after the window was closed.
            let _ = tx.send(Ok(all));
        };
        match thread::Builder::new().name("timeline".to_owned()).spawn(read) {
            Ok(_) => Self::Reading(rx),
            Err(error) => Self::Unknown(format!("gaps unknown: {error}")),
        }
    }

    /// Takes the result. Returns whether there is a new one.
    pub(super) fn update(&mut self) -> bool {
        let Self::Reading(result) = self else { return false };
        *self = match result.try_recv() {
            Ok(Ok(timelines)) => Self::Known(timelines),
            Ok(Err(why)) => Self::Unknown(why),
            Err(TryRecvError::Disconnected) => Self::Unknown("gaps unknown: the reader failed".to_owned()),
            Err(TryRecvError::Empty) => return false,
        };
        true
    }

    /// Returns what happened in each of `count` equal parts of a span of time. Empty while that is unknown.
    pub(super) fn columns(&self, count: usize, (first, last): (i64, i64)) -> Vec<Column> {
        let Self::Known(timelines) = self else { return Vec::new() };
        let span = (i128::from(last) - i128::from(first)).max(1);
        let column = |unix_ns: i128| {
            let at = (unix_ns - i128::from(first)) * count as i128 / span;
            usize::try_from(at.clamp(0, count as i128 - 1)).unwrap_or(0)
        };
        let mut columns = vec![Column::default(); count];
        for timeline in timelines.iter().filter(|_| count > 0) {
            let frames: u64 = timeline.steps.iter().map(|step| step.frames).sum();
            let usual_ns = timeline.step_ns.saturating_mul(timeline.steps.len() as u64) / frames.max(1);
            let at = |step: usize| i128::from(timeline.from_unix_ns) + step as i128 * i128::from(timeline.step_ns);
            let mut empty_from = None;
            for (n, step) in timeline.steps.iter().enumerate() {
                columns[column(at(n))].detections += step.detections;
                columns[column(at(n))].gap |= step.missing > 0;
                columns[column(at(n))].trigger |= step.triggers > 0;
                if step.frames == 0 {
                    empty_from.get_or_insert(n);
                } else if let Some(from) = empty_from.take()
                    && (n - from) as u64 * timeline.step_ns > GAP_INTERVALS * usual_ns
                {
                    columns[column(at(from))..=column(at(n) - 1)].iter_mut().for_each(|column| column.gap = true);
                }
            }
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::inspect::TimelineStep;

    #[test]
    fn gaps_and_detections_are_in_their_columns() {
        let frame = TimelineStep { frames: 1, detections: 2, missing: 0, triggers: 0, longest_ns: 10 };
        let empty = TimelineStep::default();
        let mut steps = vec![frame; 100];
        steps[40..60].fill(empty);
        steps[71] = empty; // A single late frame is no gap.
        steps[90].missing = 3;
        steps[25].triggers = 1;
        let marks = Marks::Known(vec![Timeline { from_unix_ns: 1000, step_ns: 10, steps }]);
        let columns = marks.columns(10, (1000, 2000));
        let gaps: Vec<usize> = (0..10).filter(|at| columns[*at].gap).collect();
        assert_eq!(gaps, [4, 5, 9]);
        let triggers: Vec<usize> = (0..10).filter(|at| columns[*at].trigger).collect();
        assert_eq!(triggers, [2]);
        assert_eq!(
            columns.iter().map(|column| column.detections).collect::<Vec<_>>(),
            [20, 20, 20, 20, 0, 0, 20, 18, 20, 20]
        );
        assert!(marks.columns(0, (0, 0)).is_empty());
        assert_eq!(marks.columns(3, (i64::MAX, i64::MIN)).len(), 3);
        assert!(Marks::None.columns(10, (0, 10)).is_empty());
    }
}
