//! How the recording goes -> words for the HUD.

use std::fmt::Write as _;

use super::hud::{AMBER, DIM, GREEN, Piece, RED, WHITE};
use crate::sink::record::{Outcome, RecordersHealth, State, remaining};

/// How the recording of a camera goes.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    /// What the recorder does.
    pub(super) state: State,
    /// Frames in files.
    pub(super) frames: u64,
    /// Frames that should be, and are not.
    pub(super) missing: u64,
    /// Bytes a second, of all cameras.
    pub(super) bytes_per_s: f64,
    /// Seconds until the disk is full.
    pub(super) seconds_left: Option<f64>,
}

impl Recording {
    /// Of a camera, counted from 0.
    pub(super) fn of(health: &RecordersHealth, camera: usize) -> Self {
        let RecordersHealth { state, bytes_per_s, seconds_left, cameras, .. } = health;
        let (frames, missing) = cameras.get(camera).copied().unwrap_or_default();
        Self { state: state.clone(), frames, missing, bytes_per_s: *bytes_per_s, seconds_left: *seconds_left }
    }

    /// In a few words.
    pub(super) fn pieces(&self) -> Vec<Piece> {
        let (colour, rest) = match &self.state {
            State::Paused { .. } => (RED, Some("paused".to_owned())),
            State::Finished => (RED, Some("ended".to_owned())),
            State::Waiting => (DIM, Some("waits".to_owned())),
            State::Recording => (GREEN, self.seconds_left.map(|seconds| format!("{} left", remaining(seconds)))),
        };
        let mut pieces = vec![(colour, "  REC".to_owned())];
        pieces.extend(rest.map(|rest| (if colour == RED { RED } else { DIM }, format!(" {rest}"))));
        if self.missing > 0 {
            pieces.push((AMBER, format!("  {}", self.missing)));
            pieces.push((DIM, " not recorded".to_owned()));
        }
        pieces
    }

    /// What is wrong with it, if anything.
    pub(super) fn trouble(&self) -> Option<String> {
        match &self.state {
            State::Paused { why } => Some(format!("recording is paused: {why}")),
            State::Finished => Some("the recording has ended: see the terminal".to_owned()),
            State::Waiting | State::Recording => None,
        }
    }

    pub(super) fn rows(&self) -> Vec<(&'static str, Vec<Piece>)> {
        let missing = (if self.missing == 0 { WHITE } else { AMBER }, format!("   {} missing", self.missing));
        let mut rows = vec![("record", vec![(WHITE, format!("{} frames", self.frames)), missing])];
        let disk = match (&self.state, self.trouble(), self.seconds_left) {
            (_, Some(trouble), _) => (RED, trouble),
            (State::Waiting, ..) => (DIM, "waits for the first frame, or for what triggers it".to_owned()),
            (_, _, Some(left)) => (WHITE, format!("{:.1} MB/s   {} left", self.bytes_per_s / 1e6, remaining(left))),
            (_, _, None) => (WHITE, format!("{:.1} MB/s", self.bytes_per_s / 1e6)),
        };
        rows.push(("disk", vec![disk]));
        rows
    }
}

/// What was recorded, in one line.
pub(super) fn summary(outcomes: &[Outcome]) -> String {
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let (frames, missing) = (sum(|outcome| outcome.frames), sum(|outcome| outcome.dropped + outcome.lost));
    let files: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.files).collect();
    let mut text = match &*files {
        [] if frames == 0 => "nothing was recorded".to_owned(),
        [] => format!("recorded {frames} frames, but no file could be finished"),
        [file] => format!("recorded {frames} frames: {}", file.path.display()),
        [first, ..] => format!("recorded {frames} frames in {} files: {} ...", files.len(), first.path.display()),
    };
    if missing > 0 {
        let _ = write!(text, "; {missing} frames are missing"); // A string takes everything.
    }
    let problems = outcomes.iter().flat_map(|outcome| &outcome.problems);
    for problem in problems.take(3) {
        let _ = write!(text, "; {problem}");
    }
    text
}
