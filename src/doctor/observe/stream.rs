//! Measures a stream over one connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::unless_stopped;
use crate::doctor::facts::{GuessedLayout, StreamMeasurement};
use crate::frame::{Frame, Guess};
use crate::hub::{Policy, Taker, lane};
use crate::live::{self, Camera, Live, Sink};
use crate::source::{SessionOptions, SessionState, SourceError, SourceErrorKind, SourceSpec};

/// Time to wait for the first frame: longer than a session waits before it reports a camera as silent.
const FIRST_FRAME_TIMEOUT: Duration = Duration::from_secs(6);

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

/// Receives for `measure` after the first frame. Meanwhile, a camera that serves one client at a time sends nothing to
/// others. `port` is the TCP port of the source. `None`: the user stopped.
pub(super) async fn look(
    source: SourceSpec,
    port: u16,
    measure: Duration,
    stop: &watch::Receiver<u32>,
) -> Option<StreamMeasurement> {
    let mut first = FirstFrame::default();
    let cameras = live::cameras(&[source]);
    live::connect(&cameras, &mut first).expect("connecting cannot fail without a thread");
    let options = SessionOptions { reconnect: false, ..SessionOptions::default() };
    let live = Live::start_on(cameras, &options, &Handle::current());
    let session = &live.sessions()[0];
    let mut changes = session.changes();
    let deadline = Instant::now() + FIRST_FRAME_TIMEOUT;
    let began = |state: &SessionState| matches!(state, SessionState::Streaming | SessionState::Ended { .. });
    let measured = unless_stopped(stop, async {
        tokio::select! {
            _ = changes.wait_for(began) => {}
            () = sleep_until(deadline) => {}
        }
        if matches!(session.state(), SessionState::Streaming) {
            let ended = changes.wait_for(|state| matches!(state, SessionState::Ended { .. }));
            // The timeout is the normal end of a measurement.
            let _ = timeout(measure, ended).await;
        }
    });
    let measured = measured.await;
    let error = match session.state() {
        SessionState::Ended { error: Some(error) } => Some(error),
        _ => None,
    };
    session.stop();
    let _ = changes.wait_for(|state| matches!(state, SessionState::Ended { .. })).await;
    measured?;
    let first = first.finish();
    let summary = session.stats().summary("doctor");
    // Without a frame, the idle timeout does not tell more than the byte count does.
    let idle = |error: &SourceError| matches!(error.kind, SourceErrorKind::Idle(_)) && summary.frames.received == 0;
    let error = error.filter(|error| !idle(error));
    let guess = first.as_ref().and_then(|frame| {
        let (guess, note) = frame.guess.zip(frame.layout_note())?;
        Some(GuessedLayout { by_content: guess == Guess::ByContent, note })
    });
    let fps = summary.fps;
    let each = summary.bytes.received as f64 / summary.frames.received.max(1) as f64;
    Some(StreamMeasurement {
        port,
        connected: summary.connections > 0,
        bytes: summary.bytes.received,
        frames: summary.frames.received,
        // A frame cut off at the end is not damage: ending the observation cuts it off.
        damaged: summary.frames.withdrawn + summary.frames.lost,
        seconds: summary.seconds,
        dialect: first.as_ref().map(|frame| frame.dialect.to_string()),
        format: first.as_ref().and_then(|frame| frame.format().map(str::to_owned)),
        size: first.as_ref().and_then(|frame| frame.size()).map(|size| (size.width, size.height)),
        guess,
        fps,
        mbit_s: each * fps * 8e-6,
        help: error.as_ref().and_then(|error| error.help()).map(Into::into),
        error: error.map(|error| error.kind.to_string()),
    })
}
