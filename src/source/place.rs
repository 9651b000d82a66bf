//! The place at which a camera of a recording continues after a seek, and the frames around it.

use crate::recording::playback::{FramesAround, MOMENT_NS, RECORDING_START, Rhythm, SeekTarget};
use crate::recording::{RecordingEntry, RecordingError, Series};

/// The frame that a camera has shown last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    /// Its arrival in nanoseconds since 1970, UTC.
    pub(super) ns: i64,
    /// It is more than a moment before the position of the playback.
    pub(super) is_before: bool,
}

/// Place at which a camera continues after a seek.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// Plays on from here.
    Play { from_ns: i64 },
    /// Shows the frame of this time, which is the last one before a gap or the end.
    Hold { frame_ns: i64 },
    /// Still shows the right frame, and plays on after it.
    Stay { after_ns: i64 },
    /// Has no frame before this time.
    Blank { until_ns: i64 },
}

impl Place {
    /// The place of a camera with these frames `around` the target, when the playback continues `at_ns` and the camera has
    /// shown the frame of `shown_ns`.
    pub(super) fn new(target: SeekTarget, around: FramesAround, at_ns: Option<i64>, shown_ns: Option<i64>) -> Self {
        let is_now = |ns: i64, at_ns: i64| ns.saturating_sub(at_ns).saturating_abs() <= MOMENT_NS;
        match (target, at_ns, around) {
            // No camera has an earlier frame.
            (SeekTarget::Back, None, _) => match shown_ns {
                Some(frame_ns) => Self::Hold { frame_ns },
                None => Self::Blank { until_ns: RECORDING_START },
            },
            (_, None, _) => Self::Play { from_ns: RECORDING_START },
            (SeekTarget::Back, Some(at_ns), FramesAround { before, .. }) => match (before, shown_ns) {
                (Some(before_ns), _) if is_now(before_ns, at_ns) => Self::Play { from_ns: before_ns },
                (_, Some(shown_ns)) if shown_ns <= at_ns => Self::Stay { after_ns: shown_ns },
                (Some(frame_ns), _) => Self::Hold { frame_ns },
                (None, _) => Self::Blank { until_ns: at_ns },
            },
            (_, Some(at_ns), FramesAround { before, after }) => match (before, after) {
                (_, Some(after_ns)) if is_now(after_ns, at_ns) => Self::Play { from_ns: after_ns },
                (Some(before_ns), _) if before_ns == at_ns => Self::Play { from_ns: before_ns },
                (Some(frame_ns), _) => Self::Hold { frame_ns },
                (None, _) => Self::Blank { until_ns: at_ns },
            },
        }
    }

    /// Earliest arrival of the frames to deliver.
    pub(super) const fn earliest_ns(self) -> i64 {
        match self {
            Self::Play { from_ns } => from_ns,
            Self::Hold { frame_ns } => frame_ns,
            Self::Stay { after_ns } => after_ns.saturating_add(1),
            Self::Blank { until_ns } => until_ns,
        }
    }

    /// Arrival of the frame that stays visible until a later one is due.
    pub(super) const fn shown_ns(self) -> Option<i64> {
        match self {
            Self::Hold { frame_ns } => Some(frame_ns),
            Self::Stay { after_ns } => Some(after_ns),
            Self::Play { .. } | Self::Blank { .. } => None,
        }
    }
}

/// Finds the frames around the target of a seek, and the rhythm of the camera there; `rhythm` if there are too few frames to
/// know it. Moves the reader.
pub(super) fn around(
    series: &mut Series,
    target: SeekTarget,
    shown: Option<Shown>,
    rhythm: Rhythm,
) -> Result<(FramesAround, Rhythm), RecordingError> {
    let (SeekTarget::From(target_ns) | SeekTarget::BackTo(target_ns)) = target else {
        let before = match shown {
            Some(Shown { ns, is_before: true }) => Some(ns),
            Some(Shown { ns, .. }) => last_before(series, ns)?.0,
            None => None,
        };
        return Ok((FramesAround { before, after: None }, rhythm));
    };
    let start_ns = series.span().map_or(target_ns, |(first_ns, _)| first_ns);
    if target_ns <= start_ns {
        series.rewind()?;
    } else {
        series.seek(target_ns)?;
    }
    let mut later = std::iter::from_fn(|| series.next_entry()).filter_map(|entry| match entry {
        RecordingEntry::Frame(frame) if frame.log_ns >= target_ns => Some(frame.log_ns),
        RecordingEntry::Frame(_) | RecordingEntry::Incident { .. } => None,
    });
    let after = later.next();
    if after.is_some_and(|ns| ns.saturating_sub(target_ns) <= MOMENT_NS) {
        return Ok((FramesAround { before: None, after }, rhythm));
    }
    let interval_after = after.zip(later.next()).map(|(ns, next_ns)| next_ns.saturating_sub(ns));
    let (before, interval_before) = last_before(series, target_ns)?;
    // One of them may be another gap.
    let usual = [interval_before, interval_after].into_iter().flatten().min();
    Ok((FramesAround { before, after }, usual.map_or(rhythm, Rhythm::of)))
}

/// Returns the arrival of a camera's last frame before a time, and the interval before that frame, if it was read, too. Reads
/// 1 s before the time, and more only for cameras that are slower than that.
fn last_before(series: &mut Series, before_ns: i64) -> Result<(Option<i64>, Option<i64>), RecordingError> {
    let first_ns = series.span().map_or(before_ns, |(first_ns, _)| first_ns);
    let mut reach_ns = 1_000_000_000;
    loop {
        let from_ns = before_ns.saturating_sub(reach_ns);
        series.seek(from_ns)?;
        let (mut found, mut interval_ns) = (None, None);
        // Playing reports damage when it gets there.
        while let Some(entry) = series.next_entry() {
            match entry {
                RecordingEntry::Frame(frame) if frame.log_ns >= before_ns => break,
                RecordingEntry::Frame(frame) => {
                    let last = found.replace(frame.log_ns);
                    interval_ns = last.map(|last_ns: i64| frame.log_ns.saturating_sub(last_ns));
                }
                RecordingEntry::Incident { .. } => {}
            }
        }
        if found.is_some() || from_ns <= first_ns {
            return Ok((found, interval_ns));
        }
        reach_ns = reach_ns.saturating_mul(8);
    }
}
