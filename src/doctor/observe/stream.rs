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
use crate::stats::Summary;

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
    let fps = frame_rate(&summary);
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

/// Returns the frames per second by their arrivals, without frames that waited in the camera. The camera sends the first frame of a
/// connection up to one period late, which makes the interval after it too short: it counts only if there is no other.
fn frame_rate(summary: &Summary) -> f64 {
    Some(summary.recent.fps_arrival).filter(|fps| *fps > 0.0).unwrap_or(summary.fps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{DeviceTime, Received, Staleness};
    use crate::stats::Stats;
    use crate::wire::Event;

    /// Returns the rate of frames with these times of capture and arrival.
    fn rate(frames: &[(i64, u64, bool)]) -> f64 {
        let mut stats = Stats::default();
        stats.connected();
        for &(device_ms, arrival_ms, stale) in frames {
            let mut frame = Frame::with_payload([]);
            (frame.device_time, frame.staleness) = (DeviceTime(device_ms * 1000), Staleness::Known(stale));
            frame.received = Received { mono_ns: arrival_ms * 1_000_000, unix_ns: 0 };
            stats.event(&Event::Frame(Arc::new(frame)));
        }
        frame_rate(&stats.summary("cam"))
    }

    #[test]
    fn the_rate_is_that_of_fresh_frames() {
        // The first frame was captured 400 ms before the connection, and sent at once.
        let late =
            [(0, 1400, false), (500, 1500, false), (1000, 2000, false), (1500, 2500, false), (2000, 3000, false)];
        assert!((rate(&late) - 2.0).abs() < 0.01, "{}", rate(&late));
        // Nine frames waited in the camera.
        let mut waited: Vec<_> = (0..9).map(|n: u32| (i64::from(n) * 500, 5000 + u64::from(n) * 10, true)).collect();
        waited.extend([(60_000, 5100, false), (60_500, 5200, false), (61_000, 5700, false), (61_500, 6200, false)]);
        assert!((rate(&waited) - 2.0).abs() < 0.01, "{}", rate(&waited));
        // Of two frames there is one interval only.
        assert!((rate(&late[..2]) - 10.0).abs() < 0.01, "{}", rate(&late[..2]));
        assert!(rate(&late[..1]).abs() < 0.01);
    }
}
