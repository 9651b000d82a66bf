//! Plays a recording like a camera: passes its frames through the decoder when they are due. Waits for sinks that keep
//! frames, so that they lose none.

use tokio::sync::watch;

use super::delivery::{Delivery, Progress};
use super::error::SourceErrorKind;
use super::played::Played;
use super::{FileSpec, IncidentEvent, SessionOptions, SessionState};
use crate::frame::Received;
use crate::net::clock::received_now;
use crate::recording::playback::{AtEnd, CameraPlayback, Due, RECORDING_START, SeekTarget};
use crate::recording::schema::IncidentKind;
use crate::recording::{Reader, RecordedFrame, RecordingEntry, RecordingError, Series, feed};
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
        }
    }

    /// Plays to the end, or until the session is stopped.
    pub(super) async fn play(&mut self, file: &FileSpec) -> Result<(), SourceErrorKind> {
        let file = file.clone();
        let Some(series) = on_blocking_thread(move || open(&file)).await else { return Ok(()) };
        let mut series = series?;
        if let Some(span) = series.span() {
            self.playback.include(span);
        }
        self.delivery.outlets.ledger.update(|stats| {
            stats.attempt();
            stats.connected();
        });
        let mut from_ns = i64::MIN;
        let mut delivered_ns = None;
        // The last seek, until a frame has been delivered after it.
        let mut sought = None;
        while !self.stopped() {
            let Some((back, entry)) = on_blocking_thread(move || {
                let entry = series.next_entry();
                (series, entry)
            })
            .await
            else {
                return Ok(());
            };
            series = back;
            let action = match entry {
                Some(RecordingEntry::Frame(recorded)) if recorded.log_ns >= from_ns => {
                    self.playback.begins_file(series.begins_file());
                    let action = self.wait_for(&recorded).await;
                    if matches!(action, Action::Continue) {
                        (delivered_ns, sought) = (Some(recorded.log_ns), None);
                        self.deliver(recorded);
                        self.delivery.check_application()?;
                    }
                    action
                }
                Some(RecordingEntry::Incident { at_unix_ns, incident, .. }) => {
                    // After a seek it may be the beginning of the recording.
                    let is_within = delivered_ns.is_some() && sought.is_none();
                    if incident.kind() == Some(IncidentKind::Connected) && is_within {
                        self.reconnect();
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
                None => match sought.take() {
                    // This camera has no frame at or after the target: its last one is shown.
                    Some(SeekTarget::From(after_ns)) => {
                        delivered_ns = Some(after_ns);
                        Action::Seek(SeekTarget::Back)
                    }
                    Some(SeekTarget::Back) | None => self.end_of_file().await,
                },
            };
            match action {
                Action::Continue => {}
                Action::Stop => break,
                Action::Seek(target) => {
                    self.leave();
                    let seek = move || seek(&mut series, target, delivered_ns).map(|found| (series, found));
                    let Some(moved) = on_blocking_thread(seek).await else { return Ok(()) };
                    (series, (from_ns, self.context)) = moved.map_err(SourceErrorKind::Recording)?;
                    sought = Some(target);
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

    /// Waits until a frame is due and every sink that keeps frames has room for it.
    async fn wait_for(&mut self, recorded: &RecordedFrame) -> Action {
        loop {
            let due = match self.playback.due(recorded.log_ns, self.playback.now_ns()) {
                Due::Now => break,
                Due::Seek(target) => return Action::Seek(target),
                Due::At(ns) => Some(self.playback.instant(ns)),
                Due::Paused => None,
            };
            if !self.change_before(due).await {
                return Action::Stop;
            }
        }
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
                AtEnd::Stop => return Action::Stop,
                AtEnd::Seek(target) => return Action::Seek(target),
                AtEnd::Wait => {}
            }
            if !self.change_before(None).await {
                return Action::Stop;
            }
        }
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
        let (is_first, repeats) = (!self.streaming, self.played.contains(recorded.log_ns));
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
        if !std::mem::replace(&mut self.streaming, true) {
            self.state.send_replace(SessionState::Streaming);
        }
    }

    /// Ends the recorded connection before a seek, perhaps into another one.
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
        self.delivery.ending(true);
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

/// Moves the reader. Returns the earliest arrival of the frames to deliver from there on, and the records that apply there.
fn seek(series: &mut Series, target: SeekTarget, delivered_ns: Option<i64>) -> Result<(i64, Vec<u8>), RecordingError> {
    let from_ns = match (target, delivered_ns) {
        (SeekTarget::From(from_ns), _) => from_ns,
        (SeekTarget::Back, Some(before_ns)) => arrival_before(series, before_ns)?,
        (SeekTarget::Back, None) => RECORDING_START,
    };
    if from_ns == RECORDING_START {
        series.rewind()?;
        return Ok((from_ns, Vec::new()));
    }
    let records = series.records_at(from_ns)?;
    series.seek(from_ns)?;
    Ok((from_ns, records))
}

/// Returns the arrival of a camera's last frame before a time, or else the beginning of the recording. Reads 1 s before the
/// time, and more only for cameras that are slower than that.
fn arrival_before(series: &mut Series, before_ns: i64) -> Result<i64, RecordingError> {
    let first_ns = series.span().map_or(before_ns, |(first_ns, _)| first_ns);
    let mut reach_ns = 1_000_000_000;
    loop {
        let from_ns = before_ns.saturating_sub(reach_ns);
        series.seek(from_ns)?;
        let mut found = None;
        // Playing reports damage when it gets there.
        while let Some(entry) = series.next_entry() {
            match entry {
                RecordingEntry::Frame(frame) if frame.log_ns >= before_ns => break,
                RecordingEntry::Frame(frame) => found = Some(frame.log_ns),
                RecordingEntry::Incident { .. } => {}
            }
        }
        if found.is_some() || from_ns <= first_ns {
            return Ok(found.unwrap_or(RECORDING_START));
        }
        reach_ns = reach_ns.saturating_mul(8);
    }
}

/// Opens the files of the camera.
fn open(file: &FileSpec) -> Result<Series, SourceErrorKind> {
    let first = Reader::open(&file.path).map_err(SourceErrorKind::Recording)?;
    let camera = select_camera(&first, file.camera.as_deref())?;
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
