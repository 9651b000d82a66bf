//! Delivers the events of one connection's decoder, and judges its silence: the part that all sources share.

use std::mem::discriminant;
use std::time::Duration;

use tokio::time::Instant;

use super::SessionState;
use super::attempt::Attempts;
use super::delivery::Progress;
use super::error::SourceErrorKind;
use super::monitor::{Rhythm, Silence, SilenceMonitor, SyncLosses};
use super::turn::Turn;
use crate::frame::{Received, Verdict};
use crate::net::clock::received_now;
use crate::wire::{Damage, Decoder, Event};

/// Work of an event of the decoder, in bytes examined or copied.
const EVENT_WORK: u64 = 1 << 10;

/// The reception on one open connection.
pub(super) struct Reception<'a> {
    pub(super) attempts: &'a mut Attempts,
    pub(super) decoder: &'a mut Decoder,
    pub(super) silence: SilenceMonitor,
    /// State of a connection without a byte.
    pub(super) silent: SessionState,
    /// A pause is not an outage.
    pub(super) may_pause: bool,
    /// State of a connection that has stalled.
    pub(super) stalled: SessionState,
    /// The source itself finds out that its connection is lost: a silence does not end it.
    pub(super) outlives_silence: bool,
    sync_losses: SyncLosses,
    /// Frames received.
    pub(super) frames: u64,
    last_len: usize,
    /// Payload length of the last two frames, if it was the same.
    pub(super) steady_len: Option<usize>,
    pub(super) turn: Turn,
}

impl<'a> Reception<'a> {
    /// Prepares the decoder for a connection that was opened now.
    pub(super) fn begin(
        attempts: &'a mut Attempts,
        decoder: &'a mut Decoder,
        rhythm: Rhythm,
        opened: Received,
    ) -> Self {
        decoder.restart();
        decoder.opened(opened);
        let silence = SilenceMonitor::new(attempts.options.timeouts, rhythm, opened.mono_ns);
        Self {
            attempts,
            decoder,
            silence,
            silent: SessionState::Silent,
            may_pause: false,
            stalled: SessionState::Stalled,
            outlives_silence: false,
            sync_losses: SyncLosses::default(),
            frames: 0,
            last_len: 0,
            steady_len: None,
            turn: Turn::new(),
        }
    }

    /// Returns whether the session is to end.
    pub(super) fn is_stopped(&self) -> bool {
        let stop = &self.attempts.stop;
        *stop.borrow() || stop.has_changed().is_err() // Also when the session was dropped.
    }

    /// Lets other connections run if this one had its turn.
    pub(super) async fn pause(&mut self) {
        if self.turn.is_over() {
            match std::mem::replace(&mut self.turn, Turn::new()).pause() {
                None => tokio::task::yield_now().await,
                Some(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    /// Delivers the events of the bytes that were read, as far as this turn allows. Fails if reconnecting is cheaper than
    /// continuing, or if the stream is from an unexpected application.
    pub(super) fn events(&mut self, now: Received) -> Result<(), SourceErrorKind> {
        let delivery = &mut self.attempts.delivery;
        let (mut has_frame, mut has_no_memory, mut reconnect) = (false, false, false);
        while !self.turn.is_over() {
            let before = self.decoder.work();
            let Some(event) = self.decoder.poll() else { break };
            self.turn.work += self.decoder.work() - before;
            reconnect |= self.sync_losses.observe(&event, now.mono_ns);
            self.turn.work += EVENT_WORK;
            self.turn.damage += u32::from(matches!(event, Event::Lost(_) | Event::Withdrawn(..) | Event::Skipped(_)));
            match &event {
                Event::Frame(frame) => {
                    let len = frame.payload().len();
                    has_frame = true;
                    self.frames += 1;
                    self.steady_len = (len == self.last_len).then_some(len);
                    self.last_len = len;
                    self.silence.frame(now.mono_ns);
                }
                // A frame of a camera, although there is no memory for it.
                Event::Lost(Damage::NoMemory { .. }) => {
                    has_no_memory = true;
                    self.frames += 1;
                    self.silence.frame(now.mono_ns);
                }
                Event::Aged(Verdict { stale: true, period_us: Some(period_us), .. }) => self.silence.queued(*period_us),
                _ => {}
            }
            delivery.deliver(event, &Progress::of(self.decoder));
        }
        // Also without an event: the bytes of an incomplete frame have been received, too.
        let byte_counts = self.decoder.byte_counts();
        let frame_time_us = delivery.outlets.ledger.update(|stats| {
            stats.set_byte_counts(byte_counts);
            if has_frame { stats.frame_time_us() } else { None }
        });
        if has_frame {
            self.silence.set_frame_time(frame_time_us);
        }
        if has_frame || has_no_memory {
            self.set_state(SessionState::Streaming);
        }
        self.attempts.delivery.check_application()?;
        if reconnect { Err(SourceErrorKind::Resync { failures: SyncLosses::MAX_LOSSES }) } else { Ok(()) }
    }

    /// Updates the state, and fails if the silence ends the connection. `is_camera`: the bytes so far are those of a
    /// camera's stream.
    pub(super) fn judge_silence(
        &mut self,
        silence: Silence,
        now_ns: u64,
        is_camera: bool,
    ) -> Result<(), SourceErrorKind> {
        let byte_counts = self.decoder.byte_counts();
        self.attempts.delivery.outlets.ledger.update(|stats| stats.set_byte_counts(byte_counts));
        if self.silence.first_byte_is_late(now_ns) {
            self.set_state(self.silent.clone());
        }
        if silence >= Silence::Idle && byte_counts.received > 0 {
            self.decoder.idle();
            if self.decoder.max_silence().is_some_and(|max| self.silence.since_last_byte(now_ns) >= max) {
                self.decoder.settle();
            }
            self.events(received_now())?;
        }
        if silence >= Silence::Stalled && self.silence.has_frames() && !self.has_numbers_only() {
            self.set_state(if self.may_pause { SessionState::Paused } else { self.stalled.clone() });
            if self.is_outage() {
                let since_ns = self.silence.last_byte_ns();
                self.attempts.delivery.outlets.ledger.update(|stats| stats.outage(since_ns));
            }
        }
        let may_be_silent = self.has_numbers_only() || !(self.silence.has_frames() || is_camera);
        if silence == Silence::TimedOut && self.silence.has_bytes() && !may_be_silent && !self.outlives_silence {
            return Err(SourceErrorKind::Idle(self.silence.since_last_byte(now_ns)));
        }
        Ok(())
    }

    /// Returns the time until the silence must be judged again if no data arrives.
    pub(super) fn next_check(&self, now_ns: u64) -> Duration {
        let next = self.silence.next_check(now_ns);
        let settled = self.decoder.max_silence().map(|max| max.saturating_sub(self.silence.since_last_byte(now_ns)));
        settled.filter(|due| !due.is_zero()).map_or(next, |due| due.min(next))
    }

    /// Notifies receivers of the state only if it is another one, because this runs for every frame.
    pub(super) fn set_state(&self, new: SessionState) {
        self.attempts.state.send_if_modified(|state| {
            let other_absence = match (&*state, &new) {
                (SessionState::Absent { why }, SessionState::Absent { why: now }) => why != now,
                _ => false,
            };
            let changed = discriminant(&*state) != discriminant(&new) || other_absence;
            if changed {
                *state = new;
            }
            changed
        });
    }

    /// Returns whether the camera has sent numbers on this connection, but no frame. It may send the next one in an hour.
    fn has_numbers_only(&self) -> bool {
        self.frames == 0 && self.silence.has_frames()
    }

    /// Returns whether the stream is stalled, and the user has not set a longer silence as normal.
    fn is_outage(&self) -> bool {
        let Attempts { options, state, .. } = &*self.attempts;
        let is_stalled = matches!(*state.borrow(), SessionState::Stalled | SessionState::Absent { .. });
        options.timeouts.idle_fixed.is_none() && is_stalled
    }

    /// Counts an outage if the camera is not streaming once the connection has ended like this.
    pub(super) fn count_outage(&mut self, ended: &Result<(), SourceErrorKind>) {
        let options = &self.attempts.options;
        let since_ns = match ended {
            Err(SourceErrorKind::Idle(_)) => self.silence.last_byte_ns(),
            _ if self.is_outage() => self.silence.last_byte_ns(),
            Ok(()) | Err(SourceErrorKind::UnexpectedApplication { .. }) => return,
            // The stream has ended, and nobody waits for another one.
            Err(SourceErrorKind::Closed) if !options.reconnect => return,
            Err(_) => received_now().mono_ns,
        };
        self.attempts.delivery.outlets.ledger.update(|stats| stats.outage(since_ns));
    }

    /// Delivers the events that are left in the decoder, and the final byte counts of a connection that has ended like this.
    pub(super) fn finish(&mut self, ended: &Result<(), SourceErrorKind>) -> Result<(), SourceErrorKind> {
        self.attempts.delivery.ending(ended);
        self.decoder.finish();
        let mut found = Ok(());
        while self.decoder.has_events() && found.is_ok() {
            self.turn = Turn::new();
            found = self.events(received_now());
        }
        let byte_counts = self.decoder.byte_counts();
        self.attempts.delivery.outlets.ledger.update(|stats| stats.disconnected(byte_counts));
        // Ignore errors while closing, except an unexpected application.
        found.or_else(
            |error| if matches!(error, SourceErrorKind::UnexpectedApplication { .. }) { Err(error) } else { Ok(()) },
        )
    }

    /// Returns the rhythm of the camera for its next connection. `result`: how this one has ended.
    pub(super) fn rhythm(&self, result: &Result<(), SourceErrorKind>) -> Rhythm {
        let mut rhythm = self.silence.rhythm();
        // If we ended a silence, the time until the next frame is part of it.
        if !matches!(result, Err(SourceErrorKind::Idle(_))) {
            rhythm.interrupt();
        }
        rhythm
    }
}

/// For sources whose data comes from another task.
impl Reception<'_> {
    /// Waits for data while the silence is judged. Returns `None` if the session was stopped, and an error if the silence
    /// ends the connection.
    pub(super) async fn wait<T>(&mut self, data: impl Future<Output = T>) -> Result<Option<T>, SourceErrorKind> {
        let mut stop = self.attempts.stop.clone();
        tokio::pin!(data);
        let timer = tokio::time::sleep(self.next_check(received_now().mono_ns));
        tokio::pin!(timer);
        loop {
            tokio::select! {
                data = &mut data => {
                    self.turn.wait();
                    return Ok(Some(data));
                }
                _ = stop.wait_for(|stop| *stop) => return Ok(None), // Also when the session was dropped.
                () = &mut timer => {
                    let now_ns = received_now().mono_ns;
                    self.judge_silence(self.silence.silence(now_ns), now_ns, true)?;
                    timer.as_mut().reset(Instant::now() + self.next_check(now_ns));
                }
            }
        }
    }

    /// Waits, but not for data. Returns `None` if the session was stopped.
    #[cfg(any(feature = "http", feature = "mqtt", feature = "zenoh"))]
    pub(super) async fn unless_stopped<T>(&self, done: impl Future<Output = T>) -> Option<T> {
        let mut stop = self.attempts.stop.clone();
        tokio::select! {
            done = done => Some(done),
            _ = stop.wait_for(|stop| *stop) => None, // Also when the session was dropped.
        }
    }

    /// Delivers all events of the decoder, turn by turn.
    pub(super) async fn all_events(&mut self, now: Received) -> Result<(), SourceErrorKind> {
        while self.decoder.has_events() {
            self.pause().await;
            self.events(now)?;
        }
        Ok(())
    }
}
