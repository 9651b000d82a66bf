//! A look at a stream: one connection, for as long as it takes to tell what it is.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::doctor::facts::Stream;
use crate::frame::Frame;
use crate::source::{Outlets, Session, SessionOptions, SessionState, SourceError, SourceErrorKind, SourceSpec};

/// How long the first frame may take: what a session waits before it calls a camera silent, and a little more.
const FIRST: Duration = Duration::from_secs(6);

/// What the first frame says of all.
#[derive(Clone, Debug, Default)]
struct First {
    dialect: String,
    format: Option<String>,
    size: Option<(u32, u32)>,
}

/// Receives for `measure` behind the first frame. The camera's only place for a client may be taken for that time.
pub(super) async fn look(ip: Ipv4Addr, port: u16, measure: Duration) -> Stream {
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
    let deadline = Instant::now() + FIRST;
    let began = |state: &SessionState| matches!(state, SessionState::Streaming | SessionState::Ended { .. });
    tokio::select! {
        _ = changes.wait_for(began) => {}
        () = sleep_until(deadline) => {}
    }
    if matches!(session.state(), SessionState::Streaming) {
        let ended = changes.wait_for(|state| matches!(state, SessionState::Ended { .. }));
        // That it goes on for so long is the usual end.
        let _ = timeout(measure, ended).await;
    }
    let error = match session.state() {
        SessionState::Ended { error: Some(error) } => Some(error),
        _ => None,
    };
    session.stop();
    let _ = changes.wait_for(|state| matches!(state, SessionState::Ended { .. })).await;
    let first: Option<First> = first.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let summary = session.stats().summary("doctor");
    // A stream that never began is judged by what came of it, not by who gave up.
    let never = |error: &SourceError| matches!(error.kind, SourceErrorKind::Idle(_)) && summary.frames.received == 0;
    let error = error.filter(|error| !never(error)).map(|error| error.kind.to_string());
    // By the camera's own clock, where it is known: what waited for us in the camera came all at once.
    let fps = summary.frame_time_us.filter(|time| *time > 0).map_or(summary.fps, |time| 1e6 / time as f64);
    let each = summary.bytes.received as f64 / summary.frames.received.max(1) as f64;
    Stream {
        port,
        connected: summary.connections > 0,
        bytes: summary.bytes.received,
        frames: summary.frames.received,
        // What was cut off at the end was cut off by us.
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

fn describe(frame: &Frame) -> First {
    First {
        dialect: frame.dialect.to_string(),
        format: frame.format().map(str::to_owned),
        size: frame.geometry.map(|geometry| (geometry.width, geometry.height)),
    }
}
