//! Plays a recording like a camera: passes its frames through the decoder when they are due. Waits for sinks that keep
//! frames, so that they lose none.

use std::time::Duration;

use tokio::sync::watch;

use super::beside::{Beside, next_entry};
use super::delivery::{Delivery, Progress};
use super::error::SourceErrorKind;
use super::lead_in::{self, LeadIn};
use super::place::{Place, Shown, around};
use super::played::Played;
use super::{Continuity, FileSpec, IncidentEvent, Outside, SessionOptions, SessionState};
use crate::frame::Received;
use crate::net::clock::received_now;
use crate::recording::playback::{Arrival, AtEnd, CameraPlayback, Due, Rhythm, SeekTarget, Speed};
use crate::recording::schema::IncidentKind;
use crate::recording::{ConnectionEntry, Reader, RecordedFrame, RecordingEntry, Series, feed};
use crate::sim::SimConfig;
use crate::stats::Stats;
use crate::wire::Decoder;

/// The replay of one camera of a recording.
pub(super) struct Replay {
    delivery: Delivery,
    decoder: Decoder,
    playback: CameraPlayback,
    state: watch::Sender<SessionState>,
    stop: watch::Receiver<bool>,
    streaming: bool,
    played: Played,
    /// Records that apply to the next frame and were sent before it, after a seek.
    context: Vec<u8>,
    beside: Beside,
    rhythm: Rhythm,
    /// Speed at which the last frame was played.
    speed: Option<Speed>,
    lead_in: LeadIn,
}

/// Action after a wait.
enum Action {
    Continue,
    Seek(SeekTarget),
    Stop,
}

impl Replay {
    pub(super) fn new(
        options: SessionOptions,
        delivery: Delivery,
        playback: CameraPlayback,
        state: watch::Sender<SessionState>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let lead_in = LeadIn::new(&options);
        let decoder = Decoder::new(options.frames, options.interpreter, options.limits);
        Self {
            delivery,
            decoder,
            playback,
            state,
            stop,
            streaming: false,
            played: Played::default(),
            context: Vec::new(),
            beside: Beside::default(),
            rhythm: Rhythm::default(),
            speed: None,
            lead_in,
        }
    }

    /// Plays to the end, or until the session is stopped.
    pub(super) async fn play(&mut self, file: &FileSpec) -> Result<(), SourceErrorKind> {
        let (file, name) = (file.clone(), self.delivery.name().to_owned());
        let Some(series) = on_blocking_thread(move || open(&file, &name)).await else { return Ok(()) };
        let mut series = series?;
        if let Some(span) = series.span() {
            self.playback.include(span);
            if self.playback.is_later(span.0) {
                self.outside(Outside::Before { begins: self.playback.after_start(span.0) });
            }
        }
        self.delivery.outlets.ledger.update(|stats| {
            stats.attempt();
            stats.connected();
        });
        let mut from_ns = i64::MIN;
        let mut delivered_ns = None;
        // No frame has been delivered since the last seek.
        let mut sought = false;
        // The next frame is shown at once: it was current at the position of the playback.
        let mut holds = false;
        // The next frame does not follow the last one in the recording.
        let mut jumps = false;
        while !self.stopped() {
            let (ledger, depth) = (self.delivery.outlets.ledger.clone(), self.delivery.outlets.depth_beside.clone());
            let Some((back, entry)) = on_blocking_thread(move || {
                let entry = next_entry(&mut series, &ledger, &depth);
                (series, entry)
            })
            .await
            else {
                return Ok(());
            };
            series = back;
            let entry = match entry {
                Some(ConnectionEntry::Own(entry)) => Some(entry),
                Some(ConnectionEntry::Beside(recorded)) => {
                    if matches!(self.room().await, Action::Stop) {
                        break;
                    }
                    self.beside.deliver(&recorded, &self.delivery);
                    continue;
                }
                None => None,
            };
            let action = match entry {
                Some(RecordingEntry::Frame(recorded)) if recorded.log_ns >= from_ns => {
                    let is_held = std::mem::take(&mut holds);
                    let last_ns = delivered_ns.filter(|_| !jumps);
                    let pause_ns = last_ns.map_or(0, |last_ns| recorded.log_ns.saturating_sub(last_ns));
                    // Another recording of the camera: nothing is missing between them.
                    let is_apart = series.begins_file() && self.rhythm.is_gap(pause_ns);
                    let action = if is_held {
                        self.room().await
                    } else {
                        let begins = series.begins_file() || delivered_ns.is_none();
                        self.wait_for(&recorded, last_ns, begins).await
                    };
                    if matches!(action, Action::Continue) {
                        if is_apart {
                            self.leave();
                        }
                        (delivered_ns, sought, jumps) = (Some(recorded.log_ns), false, false);
                        let is_outside = matches!(*self.state.borrow(), SessionState::Outside(_));
                        // Before the window gets the picture, which it does not show outside of the recording.
                        if is_outside && !is_held {
                            self.state_is(SessionState::Streaming);
                        }
                        self.deliver(recorded);
                        if !is_held {
                            self.state_is(SessionState::Streaming);
                        }
                        self.delivery.check_application()?;
                    }
                    action
                }
                Some(RecordingEntry::Incident { at_unix_ns, incident, .. }) => {
                    // After a seek it may be the beginning of the recording.
                    let is_within = delivered_ns.is_some() && !sought;
                    if incident.kind() == Some(IncidentKind::Connected) && is_within {
                        // The recorder connected again, not the camera.
                        if series.is_between_files() { self.leave() } else { self.reconnect() }
                    }
                    let is_intact = [
                        IncidentKind::Connected,
                        IncidentKind::Disconnected,
                        IncidentKind::BadDetections,
                        IncidentKind::Measurement,
                    ];
                    if !incident.kind().is_some_and(|kind| is_intact.contains(&kind)) {
                        self.delivery.broken();
                    }
                    if at_unix_ns >= from_ns && !self.played.contains(at_unix_ns) {
                        let torn = incident.kind() == Some(IncidentKind::Skipped);
                        // The numbers of the recorded frames show those that the camera left out.
                        let is_counted = incident.kind() == Some(IncidentKind::NotSent);
                        let (frames, text) = (if is_counted { 0 } else { incident.frames }, &incident.text);
                        self.delivery.outlets.ledger.update(|stats| stats.missing_in_recording(frames, torn, text));
                        let received = Received { unix_ns: at_unix_ns, ..received_now() };
                        self.delivery.incident(received, IncidentEvent::Recorded(incident));
                    }
                    Action::Continue
                }
                Some(RecordingEntry::Frame(_)) => Action::Continue,
                None => self.end_of_file().await,
            };
            match action {
                Action::Continue => {}
                Action::Stop => break,
                Action::Seek(mut target) => {
                    self.leave();
                    let (around, at_ns) = loop {
                        let shown = delivered_ns.map(|ns| Shown { ns, is_before: self.playback.is_before(ns) });
                        let rhythm = self.rhythm;
                        let search = move || around(&mut series, target, shown, rhythm).map(|found| (series, found));
                        let Some(found) = on_blocking_thread(search).await else { return Ok(()) };
                        let around;
                        (series, (around, self.rhythm)) = found.map_err(SourceErrorKind::Recording)?;
                        self.playback.report(around);
                        match self.arrival().await {
                            Arrival::At(at_ns) => break (around, at_ns),
                            Arrival::Seek(another) => target = another,
                            Arrival::Wait => return Ok(()),
                        }
                    };
                    let place = Place::new(target, around, at_ns, delivered_ns);
                    // Only decoders take it.
                    let lead_in = (!self.delivery.outlets.continuity.is_empty()).then(|| self.lead_in.clone());
                    let from = place.earliest_ns();
                    let seek = move || lead_in::seek(&mut series, from, lead_in).map(|found| (series, found));
                    let Some(moved) = on_blocking_thread(seek).await else { return Ok(()) };
                    let frames;
                    (series, (self.context, frames)) = moved.map_err(SourceErrorKind::Recording)?;
                    if !frames.is_empty() {
                        self.delivery.outlets.continuity.offer(&Continuity::LeadIn(frames));
                    }
                    (from_ns, sought, holds) = (from, true, matches!(place, Place::Hold { .. }));
                    jumps = matches!(place, Place::Play { .. });
                    if matches!(place, Place::Blank { .. }) {
                        delivered_ns = None;
                    }
                    if !jumps {
                        self.playback.pass();
                    }
                    let until_ns = around.after.or(at_ns.filter(|_| target == SeekTarget::Back));
                    let shown_for_ns = place.shown_ns().zip(until_ns).map(|(from, until)| until.saturating_sub(from));
                    if shown_for_ns.is_some_and(|interval_ns| !self.rhythm.is_gap(interval_ns)) {
                        // Between two frames of a slow camera.
                        self.state_is(SessionState::Streaming);
                    } else if !jumps {
                        let later = around.after.map(|ns| self.playback.after_start(ns));
                        self.outside(match (place, later) {
                            (Place::Blank { .. }, Some(begins)) => Outside::Before { begins },
                            (_, Some(until)) => Outside::Gap { until },
                            (_, None) if target == SeekTarget::Back => Outside::Between,
                            (_, None) => Outside::After,
                        });
                    }
                }
            }
        }
        series.take_damage().map_or(Ok(()), |error| Err(SourceErrorKind::Recording(error)))
    }

    /// Delivers the events that are left in the decoder and the final byte counts. Returns the delivery.
    pub(super) fn end(mut self) -> Delivery {
        self.close();
        self.delivery
    }

    fn stopped(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err() // Also when the session was dropped.
    }

    fn state_is(&self, state: SessionState) {
        self.state.send_if_modified(|now| {
            let changed = std::mem::discriminant(now) != std::mem::discriminant(&state)
                || matches!((&*now, &state), (SessionState::Outside(now), SessionState::Outside(next)) if now != next);
            *now = state;
            changed
        });
    }

    /// The playback is where this camera has no frames.
    fn outside(&self, outside: Outside) {
        self.state_is(SessionState::Outside(outside));
    }

    /// Waits until all cameras have found their frames for a seek. Returns [`Arrival::Wait`] if the session was stopped.
    async fn arrival(&mut self) -> Arrival {
        loop {
            match self.playback.arrival() {
                Arrival::Wait => {}
                arrival => return arrival,
            }
            if !self.change_before(None).await {
                return Arrival::Wait;
            }
        }
    }

    /// Waits until a frame is due and every sink that keeps frames has room for it. `begins`: it is the first one of a file.
    async fn wait_for(&mut self, recorded: &RecordedFrame, last_ns: Option<i64>, begins: bool) -> Action {
        let interval_ns = last_ns.map(|last_ns| recorded.log_ns.saturating_sub(last_ns));
        let is_gap = interval_ns.is_some_and(|interval_ns| self.rhythm.is_gap(interval_ns));
        self.playback.after_gap(begins || is_gap);
        let mut was_paused = false;
        loop {
            let due = match self.playback.due(recorded.log_ns, self.playback.now_ns()) {
                Due::Now => break,
                Due::Seek(target) => return Action::Seek(target),
                Due::At(ns) => {
                    if is_gap && matches!(*self.state.borrow(), SessionState::Streaming) {
                        self.outside(Outside::Gap { until: self.playback.after_start(recorded.log_ns) });
                    }
                    Some(self.playback.instant(ns))
                }
                Due::Skip(ns) => {
                    let gap_ns = interval_ns.and_then(|interval_ns| u64::try_from(interval_ns).ok());
                    if let Some(gap_ns) = gap_ns {
                        self.outside(Outside::Skipped { gap: Duration::from_nanos(gap_ns) });
                    }
                    Some(self.playback.instant(ns))
                }
                Due::Paused => {
                    was_paused = true;
                    None
                }
            };
            if !self.change_before(due).await {
                return Action::Stop;
            }
        }
        let speed = self.playback.speed();
        if self.speed.replace(speed) != Some(speed) || was_paused || is_gap {
            self.delivery.outlets.ledger.update(Stats::restart_rates);
        }
        if interval_ns.is_some() {
            self.rhythm.frame(interval_ns);
        }
        self.room().await
    }

    /// Waits until every sink that keeps frames has room for one.
    async fn room(&mut self) -> Action {
        let confirmed = &self.delivery.outlets.confirmed;
        tokio::select! {
            biased;
            () = std::future::poll_fn(|cx| confirmed.poll_room(cx)) => Action::Continue,
            _ = self.stop.wait_for(|stop| *stop) => Action::Stop,
        }
    }

    /// Waits for the end of the playback or for a seek, after the last frame of this camera.
    async fn end_of_file(&mut self) -> Action {
        loop {
            match self.playback.end() {
                AtEnd::Wait if self.is_playing() => self.outside(Outside::After),
                AtEnd::Stop => return Action::Stop,
                AtEnd::Seek(target) => return Action::Seek(target),
                AtEnd::Wait => {}
            }
            if !self.change_before(None).await {
                return Action::Stop;
            }
        }
    }

    /// Returns whether the state is that of a recording with frames at the position of the playback, or without any so far.
    fn is_playing(&self) -> bool {
        matches!(*self.state.borrow(), SessionState::Streaming | SessionState::Connecting { .. })
    }

    /// Waits for a change of the playback, at most until `due`. Returns `false` if the session was stopped.
    async fn change_before(&mut self, due: Option<tokio::time::Instant>) -> bool {
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.stop.wait_for(|stop| *stop) => false,
            () = self.playback.changed() => true,
            () = timer => true,
        }
    }

    /// Delivers a frame.
    fn deliver(&mut self, mut recorded: RecordedFrame) {
        let is_first = !std::mem::replace(&mut self.streaming, true);
        let repeats = self.played.contains(recorded.log_ns);
        self.played.add(recorded.log_ns);
        self.delivery.outlets.ledger.update(|stats| {
            stats.repeats(repeats);
            if is_first && recorded.wire.at > 0 {
                stats.join_late();
            }
        });
        if !self.context.is_empty() {
            recorded.wire.context.splice(0..0, std::mem::take(&mut self.context));
        }
        // `unix_ns` is the original arrival time, for files. `mono_ns` is the present, for latency.
        let now = Received { unix_ns: recorded.log_ns, ..received_now() };
        let delivery = &mut self.delivery;
        feed(&mut self.decoder, &recorded, now, |decoder| deliver_all(decoder, delivery));
    }

    /// Ends the recorded connection before a seek, perhaps into another one, or before another recording.
    fn leave(&mut self) {
        self.close();
        self.decoder.restart();
        self.delivery.sought();
        self.played.seek();
    }

    /// Ends the recorded connection and begins the next one.
    fn reconnect(&mut self) {
        self.close();
        self.decoder.restart();
        self.delivery.restart();
        self.delivery.outlets.ledger.update(|stats| stats.connected());
    }

    fn close(&mut self) {
        self.delivery.ending(&Ok(()));
        self.decoder.finish();
        deliver_all(&mut self.decoder, &mut self.delivery);
        let byte_counts = self.decoder.byte_counts();
        self.delivery.outlets.ledger.update(|stats| stats.disconnected(byte_counts));
    }
}

fn deliver_all(decoder: &mut Decoder, delivery: &mut Delivery) {
    while let Some(event) = decoder.poll() {
        delivery.deliver(event, &Progress::of(decoder));
    }
}

/// Opens the files of the camera. `name`: that of the session.
fn open(file: &FileSpec, name: &str) -> Result<Series, SourceErrorKind> {
    let first = Reader::open(&file.path).map_err(SourceErrorKind::Recording)?;
    let camera = select_camera(&first, file.camera.as_deref())?;
    if let Some(noise) = first.cameras().nth(camera).and_then(|info| SimConfig::noise_of(&info.address)) {
        tracing::warn!(camera = name, "the recorded camera is simulated and {noise}");
    }
    Series::new(first, &file.later, camera).map_err(SourceErrorKind::Recording)
}

/// Returns the index of the named camera, or of the only one.
fn select_camera(reader: &Reader, asked: Option<&str>) -> Result<usize, SourceErrorKind> {
    let found = match asked {
        Some(name) => reader.cameras().position(|camera| camera.name == name),
        None => (reader.cameras().len() == 1).then_some(0),
    };
    found.ok_or_else(|| SourceErrorKind::SelectCamera {
        asked: asked.map(str::to_owned),
        cameras: reader.cameras().map(|camera| camera.name.clone()).collect(),
    })
}

/// Runs work that waits for the disk on a thread that may block. Returns `None` if the runtime is being shut down.
async fn on_blocking_thread<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Option<R> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}
