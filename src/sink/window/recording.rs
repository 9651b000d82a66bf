//! Starts and stops recordings, and formats their state for the HUD.

use std::fmt::Write as _;
use std::sync::Arc;

use super::act::shown_range;
use super::design::{ColoredText, Ink};
use super::screen::{NOTE_DURATION_NS, Screen};
use crate::error::with_causes;
use crate::recording::playback::Playback;
use crate::sink::record::{RecorderCounts, RecorderOutcome, RecorderState, RecordersHealth, format_remaining};
use crate::units::count;

/// The recording of one camera.
#[derive(Clone, Debug)]
pub(super) struct CameraRecording {
    pub(super) health: Arc<RecordersHealth>,
    /// Index among the recorded cameras.
    pub(super) camera: usize,
    /// Other cameras are not recorded.
    pub(super) is_part: bool,
}

impl CameraRecording {
    /// Returns the number of recorded frames and of missing ones.
    fn counts(&self) -> (u64, u64) {
        let counts = self.health.total.cameras.get(self.camera);
        counts.map_or((0, 0), |counts| (counts.recorded, RecorderCounts::missing(counts)))
    }

    /// Returns the facts for the status line of a camera, whose frames arrive (`sends`) or not. The notice about the recording
    /// has everything that is equal for all cameras.
    pub(super) fn line(&self, sends: bool) -> Vec<Vec<ColoredText>> {
        let mut facts = Vec::new();
        if self.is_part {
            let (ink, text) = match &self.health.total.state {
                RecorderState::Paused { .. } => (Ink::Alarm, "  REC: paused"),
                RecorderState::Finished => (Ink::Alarm, "  REC: ended"),
                RecorderState::Waiting | RecorderState::Recording if !sends => (Ink::Warning, "  REC: no frames"),
                RecorderState::Waiting => (Ink::Dim, "  REC: waiting"),
                RecorderState::Recording => (Ink::Good, "  REC"),
            };
            facts.push(vec![(ink, text.to_owned())]);
        }
        let (_, missing) = self.counts();
        if missing > 0 {
            facts.push(vec![(Ink::Warning, format!("  {missing}")), (Ink::Dim, " not recorded".to_owned())]);
        }
        facts
    }

    /// Returns the rows of the full HUD.
    pub(super) fn rows(&self) -> Vec<(&'static str, Vec<ColoredText>)> {
        let RecordersHealth { total, bytes_per_s, seconds_left } = &*self.health;
        let (frames, missing) = self.counts();
        let missing = (if missing == 0 { Ink::Text } else { Ink::Warning }, format!("   {missing} not recorded"));
        let rate = bytes_per_s / 1e6;
        let disk = match (&total.state, error(&total.state), seconds_left) {
            (_, Some(error), _) => (Ink::Alarm, error),
            (RecorderState::Waiting, ..) => (Ink::Dim, "waiting for the first frame or a trigger".to_owned()),
            (_, _, Some(left)) => (Ink::Text, format!("{rate:.1} MB/s   {} left", format_remaining(*left))),
            (_, _, None) => (Ink::Text, format!("{rate:.1} MB/s")),
        };
        vec![("record", vec![(Ink::Text, count(frames, "frame", "frames")), missing]), ("disk", vec![disk])]
    }
}

impl Screen {
    /// Starts to record the cameras that are shown, and says if some of them are not streaming now, or stops the recording:
    /// one of cameras that are not shown only if the user knows it, because the key was meant to start another one.
    pub(super) fn record(&mut self, knows: bool) {
        if let Some(reason) = self.no_recording {
            return self.show_note(format!("recording is not available here: {reason}"));
        }
        let Some(recorders) = &self.recorders else {
            return self.show_note("recording is not available here".to_owned());
        };
        if !recorders.is_on() {
            return self.start_recording();
        }
        let recorded = recorders.recorded();
        let which = named(self.cameras[recorded.clone()].iter().map(|camera| &*camera.name));
        let shows = |at: usize| self.is_shown(at) && recorded.contains(&self.camera_of(at));
        if knows || (0..self.cameras.len()).any(shows) {
            return self.stop_recording(which);
        }
        let (are, who) = if recorded.len() == 1 { ("is", "it is") } else { ("are", "they are") };
        self.show_note(format!("{which} {are} being recorded, and {who} not shown: press r again to stop"));
        self.interaction.stops_until_ns = Some(self.now_ns.saturating_add(NOTE_DURATION_NS));
    }

    fn stop_recording(&mut self, which: String) {
        let notify = Arc::clone(&self.notify);
        if let Some(recorders) = &mut self.recorders {
            recorders.stop(move |outcomes| notify(stopped(&which, outcomes).into()));
        }
        // Another recording may start before the next refresh.
        (self.recording, self.recording_since_ns) = (None, None);
        self.refresh_status();
    }

    fn start_recording(&mut self) {
        let absent = self.absent();
        let tiles = shown_range(self.enlarged, self.interaction.page, self.cameras.len());
        // A stream is recorded together with its camera.
        let cameras: Vec<usize> = tiles.map(|at| self.camera_of(at)).collect();
        let first = cameras.iter().min().copied().unwrap_or(0);
        let shown = first..cameras.iter().max().map_or(first, |last| last + 1);
        let Some(recorders) = &mut self.recorders else { return };
        let note = match recorders.start_some(shown.clone()) {
            Ok(()) => {
                let absent = absent.iter().filter(|at| shown.contains(at)).count();
                let paused = self.cameras[shown.clone()].iter().all(|camera| {
                    camera.playback.as_ref().map(Playback::status).is_some_and(|status| status.paused || status.ended)
                });
                let names = self.cameras[shown].iter().map(|camera| &*camera.name);
                let count = names.len();
                let which = match named(names) {
                    all if absent == 0 || count == 1 => all,
                    all => format!("{} of {all}", count - absent),
                };
                let later = match absent {
                    _ if paused => ": nothing is recorded until the replay plays on".to_owned(),
                    0 => String::new(),
                    1 if count == 1 => ": it is not streaming, and is recorded as soon as it does".to_owned(),
                    1 => ": 1 is not streaming, and is recorded as soon as it does".to_owned(),
                    _ => format!(": {absent} are not streaming, and are recorded as soon as they do"),
                };
                format!("recording {which} to {}{later}", recorders.path().display())
            }
            Err(error) => {
                let text = with_causes(&error);
                error.help().map_or_else(|| text.clone(), |help| format!("{text}: {help}"))
            }
        };
        (self.print)(&note);
        self.show_note(note);
        self.refresh_status();
    }
}

/// Names cameras by the only one, or by their number.
pub(super) fn named<'a>(mut names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = names.len();
    match names.next() {
        Some(name) if count == 1 => name.to_owned(),
        _ => format!("{count} cameras"),
    }
}

/// Returns why recordings are interrupted, if they are.
pub(super) fn error(state: &RecorderState) -> Option<String> {
    match state {
        RecorderState::Paused { why } => Some(format!("recording paused: {why}")),
        RecorderState::Finished => Some("recording ended: see the terminal".to_owned()),
        RecorderState::Waiting | RecorderState::Recording => None,
    }
}

/// Says what was recorded, and of how many cameras if some of them sent nothing. `which`: the cameras as [`named`] names them.
fn stopped(which: &str, outcomes: &[RecorderOutcome]) -> String {
    let has_recorded =
        |outcome: &&RecorderOutcome| outcome.frames > 0 || outcome.cameras.iter().any(|camera| camera.measurements > 0);
    let recorded = outcomes.iter().filter(has_recorded).count();
    let some = if (1..outcomes.len()).contains(&recorded) { format!("{recorded} of ") } else { String::new() };
    format!("stopped recording {some}{which}: {}", summary(outcomes))
}

/// Formats what was recorded on one line.
pub(super) fn summary(outcomes: &[RecorderOutcome]) -> String {
    let sum = |of: fn(&RecorderOutcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let (frames, missing) = (sum(|outcome| outcome.frames), sum(|outcome| outcome.dropped + outcome.lost));
    let files: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.files).collect();
    let recorded = count(frames, "frame", "frames");
    let mut text = match &*files {
        [] if frames == 0 => "no frame was recorded".to_owned(),
        [] => format!("{recorded}, but no file could be finished"),
        [file] => format!("{recorded} in {}", file.path.display()),
        [first, ..] => format!("{recorded} in {} files: {} ...", files.len(), first.path.display()),
    };
    // Writing to a string cannot fail.
    if missing > 0 {
        let _ = write!(text, "; {}", count(missing, "frame is missing", "frames are missing"));
    }
    for problem in outcomes.iter().flat_map(|outcome| &outcome.problems).take(3) {
        let _ = write!(text, "; {problem}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_that_sent_nothing_are_not_counted_as_recorded() {
        let outcome = |frames| RecorderOutcome { frames, ..RecorderOutcome::default() };
        let text = |frames: &[u64]| {
            let outcomes: Vec<_> = frames.iter().map(|frames| outcome(*frames)).collect();
            stopped(&named(["camera"].repeat(frames.len()).into_iter()), &outcomes)
        };
        assert!(text(&[3, 0, 4]).starts_with("stopped recording 2 of 3 cameras: 7 frames"), "{}", text(&[3, 0, 4]));
        assert!(text(&[3, 4]).starts_with("stopped recording 2 cameras: 7 frames"), "{}", text(&[3, 4]));
        assert_eq!(text(&[0, 0]), "stopped recording 2 cameras: no frame was recorded");
        assert_eq!(text(&[0]), "stopped recording camera: no frame was recorded");
    }
}
