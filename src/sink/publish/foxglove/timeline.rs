//! The timeline of a recording in the Foxglove app: the app controls the playback, and follows it.

use std::sync::Mutex;

use foxglove::WebSocketServerHandle;
use foxglove::websocket::{PlaybackCommand, PlaybackControlRequest, PlaybackState, PlaybackStatus};

use crate::recording::nanoseconds;
use crate::recording::{Playback, Speed};
use crate::sync::locked;

/// Speeds that the app may ask for, as multiples of the recorded one.
const SPEED_MIN: f64 = 0.01;
const SPEED_MAX: f64 = 100.0;

/// The time of several cameras may go back by less than this between two frames.
const RETURN_MIN_NS: u64 = 1_000_000_000;

/// The state that clients have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sent {
    /// `None`: a client does not have the state.
    state: Option<(PlaybackStatus, f32)>,
    time_ns: u64,
}

/// The playback, and the state of it that clients have.
#[derive(Debug)]
pub(super) struct Timeline {
    playback: Playback,
    sent: Mutex<Sent>,
}

impl Timeline {
    pub(super) fn new(playback: Playback) -> Self {
        Self { playback, sent: Mutex::default() }
    }

    /// Returns the first and last time of the recordings in nanoseconds since 1970.
    pub(super) fn range(&self) -> (u64, u64) {
        let (first, last) = self.playback.status().span_ns.unwrap_or_default();
        (nanoseconds(first), nanoseconds(last))
    }

    /// Returns whether the playback shows the same frame for now.
    pub(super) fn stands_still(&self) -> bool {
        let status = self.playback.status();
        status.paused || status.ended
    }

    /// A client has connected, which does not know the state.
    pub(super) fn greet(&self) {
        locked(&self.sent).state = None;
    }

    /// Carries out a request of a client. Returns the state for all of them.
    pub(super) fn apply(&self, request: &PlaybackControlRequest) -> PlaybackState {
        let mut sent = locked(&self.sent);
        let before = self.playback.status();
        let speed = f64::from(request.playback_speed);
        if speed.is_finite() && speed > 0.0 {
            let speed = Speed::Times(speed.clamp(SPEED_MIN, SPEED_MAX));
            if speed != before.speed {
                self.playback.set_speed(speed);
            }
        }
        let pauses = request.playback_command == PlaybackCommand::Pause;
        // Before a seek, which shows one frame while paused.
        if pauses != before.paused {
            self.playback.pause(pauses);
        }
        let target = match request.seek_time {
            Some(ns) => Some(i64::try_from(ns).unwrap_or(i64::MAX)),
            None if !pauses && before.ended => Some(i64::MIN),
            None => None,
        };
        if let Some(ns) = target {
            self.playback.seek(ns);
        }
        let state = self.state(target.is_some());
        (sent.state, sent.time_ns) = (Some((state.status, state.playback_speed)), state.current_time);
        state
    }

    fn state(&self, did_seek: bool) -> PlaybackState {
        let status = self.playback.status();
        let time_ns = status.time_ns().or(status.span_ns.map(|(first, _)| first)).unwrap_or(0);
        PlaybackState {
            status: match (status.ended, status.paused) {
                (true, _) => PlaybackStatus::Ended,
                (false, true) => PlaybackStatus::Paused,
                (false, false) => PlaybackStatus::Playing,
            },
            current_time: nanoseconds(time_ns),
            playback_speed: match status.speed {
                Speed::Times(times) => times as f32,
                Speed::Max => SPEED_MAX as f32,
            },
            did_seek,
            request_id: None,
        }
    }

    /// Sends the time if it has changed, and the state if it has changed by something else than a request.
    pub(super) fn follow(&self, server: &WebSocketServerHandle) {
        let mut sent = locked(&self.sent);
        let state = self.state(false);
        // Back at the start with `--loop`.
        let (first, last) = self.range();
        let least = (last.saturating_sub(first) / 2).min(RETURN_MIN_NS);
        let returned = sent.state.is_some() && sent.time_ns.saturating_sub(state.current_time) > least;
        let now = Some((state.status, state.playback_speed));
        if now != sent.state || returned {
            server.broadcast_playback_state(PlaybackState { did_seek: returned, ..state.clone() });
        }
        if state.current_time != sent.time_ns {
            server.broadcast_time(state.current_time);
        }
        (sent.state, sent.time_ns) = (now, state.current_time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn request(command: PlaybackCommand, speed: f32, seek_time: Option<u64>) -> PlaybackControlRequest {
        PlaybackControlRequest {
            playback_command: command,
            playback_speed: speed,
            seek_time,
            request_id: "1".to_owned(),
        }
    }

    #[test]
    fn requests_change_the_playback() {
        use PlaybackCommand::{Pause, Play};
        use PlaybackStatus::{Ended, Paused, Playing};
        let playback =
            Playback::new(Speed::Times(1.0), false).waiting_at_end().covering((10 * S as i64, 20 * S as i64));
        let mut camera = playback.join();
        let timeline = Timeline::new(playback.clone());
        assert_eq!(timeline.range(), (10 * S, 20 * S));
        for (asked, status, at, speed, did_seek) in [
            (request(Pause, 1.0, None), Paused, 10, 1.0, false),
            (request(Pause, 2.0, Some(15 * S)), Paused, 15, 2.0, true),
            (request(Play, 0.0, None), Playing, 15, 2.0, false),
            (request(Play, f32::NAN, None), Playing, 15, 2.0, false),
            (request(Play, 1e9, Some(u64::MAX)), Playing, 20, 100.0, true),
            (request(Pause, 1e-9, Some(1)), Paused, 10, 0.01, true),
        ] {
            let state = timeline.apply(&asked);
            assert_eq!((state.status, state.current_time, state.did_seek), (status, at * S, did_seek), "{asked:?}");
            assert!((state.playback_speed - speed).abs() < 1e-6, "{asked:?}: {state:?}");
        }
        assert!(timeline.stands_still());
        timeline.apply(&request(Play, 1.0, Some(20 * S)));
        // It makes the seek, and has no more frames.
        camera.end();
        camera.end();
        assert_eq!(timeline.state(false).status, Ended);
        let again = timeline.apply(&request(Play, 1.0, None));
        assert_eq!((again.status, again.current_time, again.did_seek), (Playing, 10 * S, true));
    }
}
