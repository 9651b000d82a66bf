//! A look at a stream: one connection, for as long as it takes to tell what it is.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::doctor::facts::Stream;
use crate::frame::Frame;
use crate::hub::{Policy, Taker, lane};
use crate::live::{self, Camera, Live, Sink};
use crate::source::{SessionOptions, SessionState, SourceError, SourceErrorKind, SourceSpec};

/// How long the first frame may take: what a session waits before it calls a camera silent, and a little more.
const FIRST: Duration = Duration::from_secs(6);

/// Keeps the first frame of a stream.
#[derive(Debug, Default)]
struct FirstFrame(Option<Taker<Arc<Frame>>>);

impl Sink for FirstFrame {
    type Outcome = Option<Arc<Frame>>;

    fn connect(&mut self, camera: &Camera) -> io::Result<()> {
        // Not counted in the ledger: dropping all further frames is no loss.
        let (lane, taker) = lane("first", Policy::DropNewest(1));
        camera.outlets.provisional.add(lane);
        self.0 = Some(taker);
        Ok(())
    }

    fn finish(self) -> Option<Arc<Frame>> {
        self.0?.try_take()
    }
}

/// Receives for `measure` after the first frame. The camera's only place for a client may be taken for that time.
pub(super) async fn look(ip: Ipv4Addr, port: u16, measure: Duration) -> Stream {
    let mut first = FirstFrame::default();
    let cameras = live::cameras(&[SourceSpec::Tcp { host: ip.to_string(), port }]);
    live::connect(&cameras, &mut first).expect("connecting cannot fail without a thread");
    let options = SessionOptions { reconnect: false, ..SessionOptions::default() };
    let live = Live::start_on(cameras, &options, &Handle::current());
    let session = &live.sessions()[0];
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
    let first = first.finish();
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
        dialect: first.as_ref().map(|frame| frame.dialect.to_string()),
        format: first.as_ref().and_then(|frame| frame.format().map(str::to_owned)),
        size: first.as_ref().and_then(|frame| frame.geometry).map(|geometry| (geometry.width, geometry.height)),
        fps,
        mbit_s: each * fps * 8e-6,
        error,
    }
}
