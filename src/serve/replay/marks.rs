//! Gaps, boxes and triggers of a recording, for the timeline of the page. Another thread reads the file once.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Weak};

use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinHandle, spawn_blocking};

use super::contents::{Contents, sentence};
use crate::error::with_causes;
use crate::recording::Watch;
use crate::recording::inspect::{CameraReport, RecordingReport, TIMELINE_FILE_BYTES_MAX, Timeline, inspect_watched};
use crate::units::count;

/// The timeline of a camera. Times are milliseconds since the start of the recording.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Marks {
    from_ms: f64,
    step_ms: f64,
    /// Mean number of boxes in a frame of each step.
    boxes: Vec<f64>,
    /// Steps in which frames are missing.
    gaps: Vec<usize>,
    /// Steps in which the trigger of the recording fired.
    triggers: Vec<usize>,
}

impl Marks {
    fn new(timeline: &Timeline, start_ns: i64) -> Self {
        let missing = (0..).zip(&timeline.steps).filter(|(_, step)| step.missing > 0).map(|(at, _)| at..at + 1);
        let mut is_gap = vec![false; timeline.steps.len()];
        timeline.empty_ranges().into_iter().chain(missing).for_each(|range| is_gap[range].fill(true));
        // The number of boxes is known between two frames, too.
        let mut last = 0.0;
        let boxes = timeline.steps.iter().zip(&is_gap).map(|(step, is_gap)| {
            if step.frames > 0 {
                last = (100.0 * step.detections as f64 / step.frames as f64).round() / 100.0;
            } else if *is_gap {
                last = 0.0;
            }
            last
        });
        Self {
            from_ms: timeline.from_unix_ns.saturating_sub(start_ns) as f64 / 1e6,
            step_ms: timeline.step_ns as f64 / 1e6,
            boxes: boxes.collect(),
            gaps: (0..).zip(&is_gap).filter(|(_, is_gap)| **is_gap).map(|(at, _)| at).collect(),
            triggers: (0..).zip(&timeline.steps).filter(|(_, step)| step.triggers > 0).map(|(at, _)| at).collect(),
        }
    }
}

/// A file that was read, with sentences about what is damaged or missing in it.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) marks: Option<Marks>,
    pub(super) notes: Vec<String>,
}

/// Begins to read the file of a replay. Stops when `replay` is gone.
pub(super) fn read(contents: &Contents, replay: Weak<()>) -> JoinHandle<Read> {
    let (path, camera, start_ns) = (contents.path.clone(), contents.camera.clone(), contents.span.0);
    let permit = Arc::clone(&contents.permit);
    spawn_blocking(move || read_file(&path, &camera, start_ns, replay, &permit))
}

fn read_file(
    path: &Path,
    camera: &str,
    start_ns: i64,
    replay: Weak<()>,
    _counts_as_replay: &Arc<OwnedSemaphorePermit>,
) -> Read {
    let bytes = path.metadata().map_or(0, |metadata| metadata.len());
    if bytes > TIMELINE_FILE_BYTES_MAX {
        let note = format!("The timeline has no gaps and boxes, because the file has {:.0} GB.", bytes as f64 / 1e9);
        return Read { marks: None, notes: vec![note] };
    }
    let watch = Watch::new(move |_| match replay.strong_count() {
        0 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    match inspect_watched(path, &watch) {
        Ok(report) => {
            let found = report.cameras.iter().find(|found| found.name == camera);
            let marks = found.map(|found| Marks::new(&found.timeline, start_ns));
            Read { marks, notes: notes(&report, found) }
        }
        Err(error) => Read { marks: None, notes: vec![sentence(&with_causes(&error))] },
    }
}

fn notes(report: &RecordingReport, camera: Option<&CameraReport>) -> Vec<String> {
    let damaged = (report.damaged_parts > 0).then(|| {
        let first = report.damage.first().map(|first| format!(", the first at byte {}: {}", first.offset, first.why));
        let parts = count(report.damaged_parts, "damaged part", "damaged parts");
        format!("The file has {parts}{}.", first.unwrap_or_default())
    });
    let missing = camera.filter(|camera| camera.missing > 0).map(|camera| {
        let frames = count(camera.missing, "frame is", "frames are");
        format!("{frames} missing.")
    });
    damaged.into_iter().chain(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::inspect::TimelineStep;

    #[test]
    fn marks_have_gaps_boxes_between_frames_and_triggers() {
        let frame = TimelineStep { frames: 2, detections: 3, ..TimelineStep::default() };
        let mut steps = vec![frame; 40];
        steps[5] = TimelineStep::default();
        steps[10..30].fill(TimelineStep::default());
        steps[33].missing = 1;
        steps[35].triggers = 2;
        let timeline = Timeline { from_unix_ns: 3_000_000, step_ns: 10_000_000, steps };
        let marks = Marks::new(&timeline, 1_000_000);
        assert_eq!((marks.from_ms, marks.step_ms), (2.0, 10.0));
        assert_eq!(marks.gaps, (10..30).chain([33]).collect::<Vec<_>>());
        assert_eq!(marks.triggers, [35]);
        assert_eq!([marks.boxes[5], marks.boxes[9], marks.boxes[10], marks.boxes[30]], [1.5, 1.5, 0.0, 1.5]);
    }
}
