//! Measures a stream over one connection.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::doctor::facts::StreamMeasurement;
use crate::frame::Frame;
use crate::source::{Outlets, Session, SessionOptions, SessionState, SourceError, SourceErrorKind, SourceSpec};

/// How long to wait for the first frame: longer than a session waits before it reports a camera as silent.
const FIRST_FRAME_TIMEOUT: Duration = Duration::from_secs(6);

/// The properties of the first frame, which stand for the whole stream.
#[derive(Clone, Debug, Default)]
struct FrameProperties {
    dialect: String,
    format: Option<String>,
    size: Option<(u32, u32)>,
}

/// Receives for `measure` after the first frame. Meanwhile, a camera that serves one client at a time sends
/// nothing to others.
pub(super) async fn look(ip: Ipv4Addr, port: u16, measure: Duration) -> StreamMeasurement {
    let first = Arc::new(Mutex::new(None));
    let mut outlets = Outlets::default();
    outlets.live.tap({
        let first = Arc::clone(&first);
        move |frame: &Arc<Frame>| {
            first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| describe(frame));
        }
    });
    let spec = SourceSpec::Tcp { host: ip.to_string(), port };
    let options = SessionOptions { reconnect: false, ..SessionOptions::default() };
    let session = Session::start("doctor", spec, options, outlets, &tokio::runtime::Handle::current());
    let mut changes = session.changes();
    let deadline = Instant::now() + FIRST_FRAME_TIMEOUT;
    let began = |state: &SessionState| matches!(state, SessionState::Streaming | SessionState::Ended { .. });
    tokio::select! {
        _ = changes.wait_for(began) => {}
        () = sleep_until(deadline) => {}
    }
    if matches!(session.state(), SessionState::Streaming) {
        let ended = changes.wait_for(|state| matches!(state, SessionState::Ended { .. }));
        // The timeout is the normal end of a measurement.
        let _ = timeout(measure, ended).await;
    }
    let error = match session.state() {
        SessionState::Ended { error: Some(error) } => Some(error),
        _ => None,
    };
    session.stop();
    let _ = changes.wait_for(|state| matches!(state, SessionState::Ended { .. })).await;
    let first: Option<FrameProperties> = first.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let summary = session.stats().summary("doctor");
    // Without a frame, the idle timeout does not tell more than the byte count does.
    let idle = |error: &SourceError| matches!(error.kind, SourceErrorKind::Idle(_)) && summary.frames.received == 0;
    let error = error.filter(|error| !idle(error)).map(|error| error.kind.to_string());
    // Prefer the camera's clock: frames that were queued in the camera arrive in a burst.
    let fps = summary.frame_time_us.filter(|time| *time > 0).map_or(summary.fps, |time| 1e6 / time as f64);
    let each = summary.bytes.received as f64 / summary.frames.received.max(1) as f64;
    StreamMeasurement {
        port,
        connected: summary.connections > 0,
        bytes: summary.bytes.received,
        frames: summary.frames.received,
        // Excludes the frame that was cut off when we closed the connection.
        damaged: summary.frames.withdrawn + summary.frames.lost,
        seconds: summary.seconds,
        dialect: first.as_ref().map(|first| first.dialect.clone()),
        format: first.as_ref().and_then(|first| first.format.clone()),
        size: first.as_ref().and_then(|first| first.size),
        fps,
        mbit_s: each * fps * 8e-6,
        error,
    }
}

fn describe(frame: &Frame) -> FrameProperties {
    FrameProperties {
        dialect: frame.dialect.to_string(),
        format: frame.format().map(str::to_owned),
        size: frame.geometry.map(|geometry| (geometry.width, geometry.height)),
    }
}
