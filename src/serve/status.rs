//! State and counts of the cameras, for the page and for programs.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::camera::ServedCamera;
use super::recording::CameraRecording;
use super::routes::Server;
use super::viewer::ViewerCounts;
use crate::net::clock::received_now;
use crate::source::control::ControlAnswer;
use crate::source::{Session, SessionState};
use crate::stats::Summary;

/// How often the state of the cameras is looked at for pages.
const STATE_INTERVAL: Duration = Duration::from_millis(100);

/// The counts are sent with every fifth look.
const COUNTS_EVERY: u32 = 5;

/// State of a camera in words.
#[derive(Serialize)]
struct Told {
    state: &'static str,
    /// The state as a sentence.
    text: String,
    help: Option<String>,
    /// The reason for a missing picture, although frames arrive.
    no_picture: Option<String>,
}

impl Told {
    fn new(server: &Server, camera: &ServedCamera, session: &Session, state: &SessionState) -> Self {
        let (text, help) = text_of(state);
        let no_picture = camera.no_picture();
        let help = help.or(no_picture.as_ref().and_then(|no_picture| no_picture.help.map(str::to_owned)));
        let help = help.map(|help| server.advice.for_camera(help, session.name()));
        Self { state: state.word(), text, help, no_picture: no_picture.map(|no_picture| no_picture.error) }
    }
}

/// State of one camera for the page.
#[derive(Serialize)]
struct PageCamera<'a> {
    /// Name in addresses.
    name: &'a str,
    /// Name for people.
    camera: &'a str,
    #[serde(flatten)]
    told: Told,
    fps: f64,
    mbit_s: f64,
    /// Frames that were lost or damaged.
    lost: u64,
    /// Frames that did not arrive.
    missing: u64,
    missing_is_estimate: bool,
    /// Time since the last frame arrived; `None` before the first.
    silent_ms: Option<u64>,
    /// Milliseconds between the last frames.
    intervals_ms: Vec<u32>,
    recording: Option<CameraRecording>,
    /// Last answers for the settings; `None` if the camera has no settings.
    settings: Option<Vec<ControlAnswer>>,
    viewers: usize,
}

/// State, counts and viewers of one camera for programs.
#[derive(Serialize)]
struct ApiCamera<'a> {
    name: &'a str,
    /// Name of the stream; `None` for the first one of a camera.
    stream: Option<&'a str>,
    #[serde(flatten)]
    told: Told,
    /// Pictures that were encoded for viewers.
    encoded: u64,
    /// The recording that runs.
    recording: Option<CameraRecording>,
    /// Counts of the camera, with all of its streams.
    counts: Summary,
    /// Viewers that are connected.
    viewers: Vec<ViewerCounts>,
    /// Sums of each kind since the start.
    totals: Vec<ViewerCounts>,
}

pub(super) fn text_of(state: &SessionState) -> (String, Option<String>) {
    match state {
        SessionState::Lost { reason, .. } => (reason.kind.to_string(), reason.help().map(|help| help.to_string())),
        SessionState::Ended { error: Some(error) } => {
            (error.kind.to_string(), error.help().map(|help| help.to_string()))
        }
        state => (state.to_string(), None),
    }
}

fn for_page<'a>(server: &Server, camera: &'a ServedCamera, session: &Session, now_ns: u64) -> PageCamera<'a> {
    let state = session.state();
    let told = Told::new(server, camera, session, &state);
    let (rates, frames, missing_is_estimate, last, intervals_ms) = session.ledger().update(|stats| {
        let intervals_ms = stats.intervals_us().map(|us| us.saturating_add(500) / 1000).collect();
        let last = stats.span.map(|(_, last)| last.mono_ns);
        (stats.rates(), stats.frames, stats.missing_is_estimate(), last, intervals_ms)
    });
    // A lost camera has no picture for another reason.
    let streams = matches!(state, SessionState::Streaming | SessionState::Stalled);
    let rates = state.rates_now(rates);
    PageCamera {
        name: &camera.name,
        camera: &camera.name,
        told: Told { no_picture: told.no_picture.filter(|_| streams), ..told },
        fps: rates.fps_arrival,
        mbit_s: rates.mbit_s,
        lost: frames.withdrawn + frames.lost,
        missing: frames.missing,
        missing_is_estimate,
        silent_ms: last.map(|last_ns| now_ns.saturating_sub(last_ns) / 1_000_000),
        intervals_ms,
        recording: camera.recording.state(),
        settings: camera.controls.answers(session),
        viewers: camera.viewers.present(),
    }
}

fn for_programs<'a>(server: &Server, camera: &'a ServedCamera, session: &Session) -> ApiCamera<'a> {
    let state = session.state();
    let counts = session.stats().summary(session.name());
    ApiCamera {
        name: &camera.name,
        stream: camera.stream(),
        told: Told::new(server, camera, session, &state),
        encoded: camera.encoded(),
        recording: camera.recording.state(),
        counts: Summary { recent: state.rates_now(counts.recent), ..counts },
        viewers: camera.viewers.each(),
        totals: camera.viewers.by_kind(),
    }
}

/// Returns all cameras as a JSON list, for programs.
pub(super) fn api(server: &Server) -> String {
    let cameras: Vec<_> = server.each().map(|(camera, session)| for_programs(server, camera, session)).collect();
    // Strings and numbers: serializing them cannot fail.
    serde_json::to_string(&cameras).unwrap_or_default()
}

/// Returns all cameras as the JSON message `{"records":BOOL,"cameras":[...]}`, for the page.
fn message(server: &Server) -> Arc<str> {
    #[derive(Serialize)]
    struct Message<'a> {
        /// Whether cameras can be recorded.
        records: bool,
        cameras: Vec<PageCamera<'a>>,
    }
    let now_ns = received_now().mono_ns;
    let cameras = server.each().map(|(camera, session)| for_page(server, camera, session, now_ns)).collect();
    serde_json::to_string(&Message { records: server.recordings.is_some(), cameras }).unwrap_or_default().into()
}

/// Publishes the state of the cameras while a page is open: at once when one changes, and the counts twice a second.
pub(super) async fn publish(server: Arc<Server>) {
    let mut ticks = interval(STATE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut before, mut age) = (Vec::new(), 0);
    loop {
        ticks.tick().await;
        if server.status.receiver_count() == 0 {
            (before, age) = (Vec::new(), 0);
            continue;
        }
        let state = |(camera, session): (&Arc<ServedCamera>, &Session)| {
            // A page that plays video waits for the first frame.
            (session.state().word(), camera.recording.is_on(), camera.video.playable())
        };
        let states: Vec<_> = server.each().map(state).collect();
        age += 1;
        if age >= COUNTS_EVERY || states != before {
            (before, age) = (states, 0);
            server.status.send_replace(message(&server));
        }
    }
}
