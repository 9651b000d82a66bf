//! Gaps and detections of a recording, for its timeline. Another thread reads the recording once.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use super::axis::TimeAxis;
use crate::recording::inspect::{RecordingReport, TIMELINE_FILE_BYTES_MAX, Timeline, inspect};

/// Time without a recording of any camera that is a gap, in nanoseconds.
const PAUSE_NS: i128 = 1_000_000_000;

/// Whether gaps and detections of the recordings are known.
#[derive(Debug)]
pub(super) enum Marks {
    /// There is no recording.
    None,
    Reading(Receiver<Result<Vec<Vec<Timeline>>, String>>),
    /// The timelines of the files of each camera.
    Known(Vec<Vec<Timeline>>),
    /// They are not known, for this reason.
    Unknown(String),
}

/// The recording of one camera.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// Name of the camera; `None`: the only one.
    pub(super) camera: Option<String>,
    /// Its files, in the order of their times.
    pub(super) files: Vec<PathBuf>,
    /// Time at which the playback starts it, unless by its own clock.
    pub(super) start_ns: Option<i64>,
}

impl Recorded {
    /// Reads the timeline of each file that has frames.
    fn timelines(&self, read: &mut HashMap<PathBuf, RecordingReport>) -> Result<Vec<Timeline>, String> {
        let mut timelines = Vec::new();
        for path in &self.files {
            let report = match read.entry(path.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(inspect(path).map_err(|error| error.to_string())?),
            };
            let is_it = |name: &String| self.camera.as_ref().is_none_or(|camera| camera == name);
            let cameras = report.cameras.iter().filter(|camera| is_it(&camera.name));
            timelines.extend(cameras.map(|camera| camera.timeline.clone()).filter(|found| !found.steps.is_empty()));
        }
        timelines.sort_by_key(|timeline| timeline.from_unix_ns);
        if let (Some(start_ns), Some(first_ns)) = (self.start_ns, timelines.first().map(|first| first.from_unix_ns)) {
            timelines.iter_mut().for_each(|timeline| timeline.from_unix_ns += start_ns - first_ns);
        }
        Ok(timelines)
    }
}

/// What happened within one column of the timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Column {
    /// Frames are missing.
    pub(super) gap: bool,
    /// The trigger of the recording fired.
    pub(super) trigger: bool,
    /// Mean number of boxes in a frame, added over the cameras.
    pub(super) boxes: f64,
}

/// Boxes of consecutive frames of a camera.
#[derive(Clone, Copy, Debug)]
struct Boxes {
    from_ns: i128,
    to_ns: i128,
    boxes: u64,
    frames: u64,
    /// Longest time until the next frame that is not a gap.
    reach_ns: i128,
}

/// Adds the boxes of a camera to the columns of the timeline. A frame counts until the next one, unless there is a gap: the
/// number of boxes is known between two frames, too.
fn add_boxes(columns: &mut [Column], column: impl Fn(i128) -> usize, mut all: Vec<Boxes>) {
    all.sort_by_key(|boxes| boxes.from_ns);
    let mut sums = vec![(0, 0); columns.len()];
    for (n, Boxes { from_ns, to_ns, boxes, frames, reach_ns }) in all.iter().copied().enumerate() {
        let next_ns = all.get(n + 1).map(|next| next.from_ns).filter(|next_ns| next_ns - to_ns <= reach_ns);
        for (sum, count) in &mut sums[column(from_ns)..=column(next_ns.unwrap_or(to_ns).max(from_ns + 1) - 1)] {
            *sum += boxes;
            *count += frames;
        }
    }
    for (column, (sum, count)) in columns.iter_mut().zip(sums).filter(|(_, (_, count))| *count > 0) {
        column.boxes += sum as f64 / count as f64;
    }
}

impl Marks {
    /// Starts to read recordings.
    pub(super) fn read(recordings: Vec<Recorded>) -> Self {
        let paths: BTreeSet<&PathBuf> = recordings.iter().flat_map(|recording| &recording.files).collect();
        if paths.is_empty() {
            return Self::None;
        }
        let bytes: u64 = paths.iter().filter_map(|path| path.metadata().ok()).map(|found| found.len()).sum();
        if bytes > TIMELINE_FILE_BYTES_MAX {
            return Self::Unknown(format!("gaps unknown: {:.0} GB", bytes as f64 / 1e9));
        }
        let (tx, rx) = channel();
        let read = move || {
            let mut read = HashMap::new();
            let all: Result<_, String> = recordings.iter().map(|recording| recording.timelines(&mut read)).collect();
            // Fails after the window was closed.
            let _ = tx.send(all.map_err(|error| format!("gaps unknown: {error}")));
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

    /// Returns the axis of a timeline from the first to the last time. Even while the recordings are unknown.
    pub(super) fn axis(&self, span: (i64, i64)) -> TimeAxis {
        let Self::Known(timelines) = self else { return TimeAxis::new(span, Vec::new()) };
        let recorded = timelines.iter().flatten().map(|timeline| {
            let from = i128::from(timeline.from_unix_ns);
            (from, from + timeline.steps.len() as i128 * i128::from(timeline.step_ns))
        });
        TimeAxis::new(span, recorded.collect())
    }

    /// Returns what happened in each of `count` equal parts of an axis. Empty while that is unknown.
    pub(super) fn columns(&self, count: usize, axis: &TimeAxis) -> Vec<Column> {
        let Self::Known(timelines) = self else { return Vec::new() };
        if count == 0 {
            return Vec::new();
        }
        let start = |timeline: &Timeline| i128::from(timeline.from_unix_ns);
        let end = |timeline: &Timeline| start(timeline) + timeline.steps.len() as i128 * i128::from(timeline.step_ns);
        let column = |unix_ns: i128| axis.column(unix_ns, count);
        let mut columns = vec![Column::default(); count];
        let mark = |columns: &mut Vec<Column>, from: i128, to: i128| {
            columns[column(from)..=column(to)].iter_mut().for_each(|column| column.gap = true);
        };
        // Times that no camera has recorded.
        let mut spans: Vec<(i128, i128)> =
            timelines.iter().flatten().map(|timeline| (start(timeline), end(timeline))).collect();
        spans.sort_unstable();
        let mut recorded_to = spans.first().map_or(0, |first| first.0);
        for (from, to) in spans {
            if from - recorded_to > PAUSE_NS {
                mark(&mut columns, recorded_to, from - 1);
            }
            recorded_to = recorded_to.max(to);
        }
        for files in timelines {
            let mut boxes = Vec::new();
            for timeline in files {
                let gap_ns = i128::from(timeline.interval_max_ns());
                let at = |step: usize| start(timeline) + step as i128 * i128::from(timeline.step_ns);
                // From the file before.
                let before = files.iter().map(end).filter(|before| *before < end(timeline)).max();
                let pause_ns = gap_ns.max(i128::from(2 * timeline.step_ns));
                if let Some(before) = before.filter(|before| start(timeline) - before > pause_ns) {
                    mark(&mut columns, before, start(timeline) - 1);
                }
                for empty in timeline.empty_ranges() {
                    mark(&mut columns, at(empty.start), at(empty.end) - 1);
                }
                for (n, step) in timeline.steps.iter().enumerate() {
                    columns[column(at(n))].gap |= step.missing > 0;
                    columns[column(at(n))].trigger |= step.triggers > 0;
                    if step.frames == 0 {
                        continue;
                    }
                    let reach_ns = if n + 1 == timeline.steps.len() { pause_ns } else { gap_ns };
                    boxes.push(Boxes {
                        from_ns: at(n),
                        to_ns: at(n + 1),
                        boxes: step.detections,
                        frames: step.frames,
                        reach_ns,
                    });
                }
            }
            add_boxes(&mut columns, column, boxes);
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
        let marks = Marks::Known(vec![vec![Timeline { from_unix_ns: 1000, step_ns: 10, steps }]]);
        let columns = marks.columns(10, &marks.axis((1000, 2000)));
        let gaps: Vec<usize> = (0..10).filter(|at| columns[*at].gap).collect();
        assert_eq!(gaps, [4, 5, 9]);
        let triggers: Vec<usize> = (0..10).filter(|at| columns[*at].trigger).collect();
        assert_eq!(triggers, [2]);
        let boxes: Vec<_> = columns.iter().map(|column| column.boxes).collect();
        assert_eq!(boxes, [2.0, 2.0, 2.0, 2.0, 0.0, 0.0, 2.0, 2.0, 2.0, 2.0], "boxes of a frame, and none in the gap");
        assert!(marks.columns(0, &marks.axis((0, 0))).is_empty());
        assert_eq!(marks.columns(3, &marks.axis((i64::MAX, i64::MIN))).len(), 3);
        assert!(Marks::None.columns(10, &marks.axis((0, 10))).is_empty());
    }

    /// Columns and steps have different lengths, and steps of 10 ms are shorter than the interval of frames.
    #[test]
    fn a_constant_number_of_boxes_is_a_flat_line_in_any_width() {
        let frame = TimelineStep { frames: 1, detections: 3, missing: 0, triggers: 0, longest_ns: 50_000_000 };
        for every in [1, 2, 5, 7] {
            let steps: Vec<_> =
                (0..1000).map(|n| if n % every == 0 { frame } else { TimelineStep::default() }).collect();
            // The second file follows 40 ms later.
            let file = |from_unix_ns| Timeline { from_unix_ns, step_ns: 10_000_000, steps: steps.clone() };
            let last_ns = 10_040_000_000 + 10_000_000 * (999 / every * every) as i64;
            let marks = Marks::Known(vec![vec![file(0), file(10_040_000_000)]]);
            for width in [1, 97, 333, 640, 1000, 1921, 4000] {
                let columns = marks.columns(width, &marks.axis((0, last_ns)));
                let odd = columns.iter().position(|column| column.gap || (column.boxes - 3.0).abs() > 1e-9);
                assert_eq!(odd, None, "a frame every {every} steps, {width} columns");
            }
            let two = Marks::Known(vec![vec![file(0)], vec![file(0)]]);
            let columns = two.columns(400, &two.axis((0, 9_900_000_000)));
            assert!(columns.iter().all(|column| (column.boxes - 6.0).abs() < 1e-9), "the sum of two cameras");
        }
    }

    #[test]
    fn pauses_between_files_and_recordings_are_gaps() {
        let frame = TimelineStep { frames: 1, detections: 1, missing: 0, triggers: 0, longest_ns: 10 };
        const S: i64 = 1_000_000_000;
        let file = |from_s: i64, seconds: usize| Timeline {
            from_unix_ns: from_s * S,
            step_ns: 100_000_000,
            steps: vec![frame; 10 * seconds],
        };
        let gaps = |cameras: Vec<Vec<Timeline>>| {
            let marks = Marks::Known(cameras);
            let columns = marks.columns(40, &marks.axis((0, 40 * S)));
            let gaps: Vec<usize> = (0..40).filter(|at| columns[*at].gap).collect();
            let seen = columns.iter().filter(|column| column.boxes > 0.0).count();
            (gaps, seen)
        };
        // Four files of one camera: one follows at once, one after 8 s, and one after 2 s.
        let split = || vec![file(0, 10), file(10, 10), file(28, 5), file(35, 5)];
        assert_eq!(gaps(vec![split()]), ((20..28).chain(33..35).collect(), 30));
        // What another camera has recorded is not a gap of this one.
        assert_eq!(gaps(vec![vec![file(0, 10)], vec![file(30, 10)]]), ((10..30).collect(), 20));
        assert_eq!(gaps(vec![vec![file(0, 25)], vec![file(25, 15)]]), (Vec::new(), 40));
        assert_eq!(gaps(vec![split(), vec![file(0, 40)]]), ((20..28).chain(33..35).collect(), 40));
    }
}
