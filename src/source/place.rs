//! The place at which a camera of a recording continues after a seek.

use crate::recording::playback::{FramesAround, MOMENT_NS, RECORDING_START, SeekTarget};

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
}
