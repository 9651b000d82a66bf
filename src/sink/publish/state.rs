//! State of a camera as JSON.

use serde::Serialize;

use crate::source::{Session, SessionState};
use crate::stats::Summary;

/// State, rates and losses of a camera, and its ledger.
#[derive(Debug, Serialize)]
struct CameraState<'a> {
    /// Name of the camera.
    camera: &'a str,
    /// The state as one word.
    state: &'static str,
    /// The state as a sentence.
    text: String,
    /// Its pictures arrive, or it sends them on events only.
    online: bool,
    /// Frames per second over the last frames; 0 unless it is streaming.
    fps: f64,
    /// Megabits per second over the last frames; 0 unless it is streaming.
    mbit_s: f64,
    /// Frames that were damaged, or of which only a part arrived.
    lost: u64,
    /// Frames of which nothing arrived.
    missing: u64,
    missing_is_estimate: bool,
    /// All counts.
    counts: Summary,
}

/// Returns whether the pictures of a camera arrive, or it sends them on events only.
pub(super) fn is_online(state: &SessionState) -> bool {
    matches!(state, SessionState::Streaming | SessionState::Paused)
}

/// Returns the state of a camera as a JSON object.
pub(super) fn describe(session: &Session) -> String {
    let (state, stats) = (session.state(), session.stats());
    let text = state.reason().map_or_else(|| state.to_string(), |reason| reason.kind.to_string());
    let (rates, frames) = (stats.rates(), stats.frames);
    let now = |rate: f64| if matches!(state, SessionState::Streaming) { rate } else { 0.0 };
    let state = CameraState {
        camera: session.name(),
        state: state.word(),
        text,
        online: is_online(&state),
        fps: now(rates.fps_arrival),
        mbit_s: now(rates.mbit_s),
        lost: frames.withdrawn + frames.lost,
        missing: frames.missing,
        missing_is_estimate: stats.missing_is_estimate(),
        counts: stats.summary(session.name()),
    };
    // Strings and numbers: serializing them cannot fail.
    serde_json::to_string(&state).unwrap_or_default()
}
