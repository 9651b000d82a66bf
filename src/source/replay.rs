//! A recording as a camera: its frames through the decoder again, when they are due. A file can wait, so nobody who
//! keeps its frames loses one.

use tokio::sync::watch;

use super::delivery::{Delivery, Progress};
use super::error::SourceErrorKind;
use super::{FileSpec, What};
use super::{SessionOptions, SessionState};
use crate::frame::Received;
use crate::net::clock::received_now;
use crate::recording::playback::{AtEnd, CameraPlayback, Due};
use crate::recording::schema::IncidentKind;
use crate::recording::{Reader, RecordedFrame, RecordingEntry, RecordingError, feed};
use crate::wire::Decoder;

/// One camera of a recording while it is played.
pub(super) struct Replay {
    delivery: Delivery,
    decoder: Decoder,
    part: CameraPlayback,
    tell: watch::Sender<SessionState>,
    stop: watch::Receiver<bool>,
    streams: bool,
}

/// What comes after a wait.
enum Then {
    Go,
    Seek(i64),
    Stop,
}

impl Replay {
    pub(super) fn new(
        options: SessionOptions,
        delivery: Delivery,
        part: CameraPlayback,
        tell: watch::Sender<SessionState>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let decoder = Decoder::new(options.frames, options.interpreter, options.limits);
        Self { delivery, decoder, part, tell, stop, streams: false }
    }

    /// Plays to the end, or until it is asked to stop.
    pub(super) async fn play(&mut self, file: &FileSpec) -> Result<(), SourceErrorKind> {
        let path = file.path.clone();
        let Some(reader) = away(move || Reader::open(&path)).await else { return Ok(()) };
        let mut reader = reader.map_err(SourceErrorKind::Recording)?;
        let camera = which(&reader, file.camera.as_deref())?;
        reader.span().inspect(|span| self.part.include(*span));
        if let Some(at) = reader.torn_at() {
            tracing::warn!(source = %self.delivery.source, "the recording was not finished: it is played up to byte {at}");
        }
        self.delivery.outlets.ledger.update(|stats| {
            stats.attempt();
            stats.connected();
        });
        let mut from_ns = i64::MIN;
        let mut begun = false;
        let mut damage = None;
        while !self.stopped() {
            let Some((back, entry)) = away(move || {
                let entry = reader.next_entry();
                (reader, entry)
            })
            .await
            else {
                return Ok(());
            };
            reader = back;
            let then = match entry {
                Ok(Some(RecordingEntry::Frame(recorded)))
                    if recorded.camera == camera && recorded.log_ns >= from_ns =>
                {
                    let then = self.wait_for(&recorded).await;
                    if matches!(then, Then::Go) {
                        begun = true;
                        self.deliver(&recorded);
                        self.delivery.check_application()?;
                    }
                    then
                }
                Ok(Some(RecordingEntry::Incident { camera: whose, at_unix_ns, incident })) if whose == camera => {
                    if incident.kind() == Some(IncidentKind::Connected) && begun {
                        self.reconnect();
                    }
                    if at_unix_ns >= from_ns {
                        let torn = incident.kind() == Some(IncidentKind::Skipped);
                        self.delivery.outlets.ledger.update(|stats| stats.missing_in_recording(incident.frames, torn));
                        let received = Received { unix_ns: at_unix_ns, ..received_now() };
                        self.delivery.incident(received, What::Recorded(incident));
                    }
                    Then::Go
                }
                Ok(Some(_)) => Then::Go,
                Ok(None) => self.end_of_file().await,
                Err(error) => {
                    tracing::warn!(source = %self.delivery.source, "{error}: it is played up to there");
                    damage = Some(error);
                    self.end_of_file().await
                }
            };
            match then {
                Then::Go => {}
                Then::Stop => break,
                Then::Seek(to_ns) => {
                    from_ns = to_ns;
                    self.delivery.outlets.ledger.update(crate::stats::Stats::reset_continuity);
                    let Some(sought) = away(move || reader.seek(to_ns).map(|()| reader)).await else { return Ok(()) };
                    reader = sought.map_err(SourceErrorKind::Recording)?;
                }
            }
        }
        damage
            .filter(|_| !self.stopped())
            .map_or(Ok(()), |error: RecordingError| Err(SourceErrorKind::Recording(error)))
    }

    /// It is over: what is left in the decoder is told, and the books are closed.
    pub(super) fn end(mut self) -> Delivery {
        self.close();
        self.delivery
    }

    fn stopped(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err() // Also when the session was dropped.
    }

    /// Waits until a frame is due and those who keep it have room for it.
    async fn wait_for(&mut self, recorded: &RecordedFrame) -> Then {
        loop {
            let due = match self.part.due(recorded.log_ns, self.part.now_ns()) {
                Due::Now => break,
                Due::Seek(to_ns) => return Then::Seek(to_ns),
                Due::At(ns) => Some(self.part.instant(ns)),
                Due::Paused => None,
            };
            if !self.change_before(due).await {
                return Then::Stop;
            }
        }
        let confirmed = &self.delivery.outlets.confirmed;
        tokio::select! {
            biased;
            () = std::future::poll_fn(|cx| confirmed.poll_room(cx)) => Then::Go,
            _ = self.stop.wait_for(|stop| *stop) => Then::Stop,
        }
    }

    /// Waits for what becomes of the playback when there is nothing left of this camera.
    async fn end_of_file(&mut self) -> Then {
        loop {
            match self.part.end() {
                AtEnd::Stop => return Then::Stop,
                AtEnd::Seek(to_ns) => return Then::Seek(to_ns),
                AtEnd::Wait => {}
            }
            if !self.change_before(None).await {
                return Then::Stop;
            }
        }
    }

    /// Waits for a change of the playback, not beyond `due`. `false`: it is time to stop.
    async fn change_before(&mut self, due: Option<tokio::time::Instant>) -> bool {
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.stop.wait_for(|stop| *stop) => false,
            () = self.part.changed() => true,
            () = timer => true,
        }
    }

    fn deliver(&mut self, recorded: &RecordedFrame) {
        // For files the time at which it arrived first; for latency the present.
        let now = Received { unix_ns: recorded.log_ns, ..received_now() };
        let delivery = &mut self.delivery;
        feed(&mut self.decoder, recorded, now, |decoder| deliver_all(decoder, delivery));
        if !std::mem::replace(&mut self.streams, true) {
            self.tell.send_replace(SessionState::Streaming);
        }
    }

    /// The connection ended here, and another one began.
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
        let books = self.decoder.byte_counts();
        self.delivery.outlets.ledger.update(|stats| stats.disconnected(books));
    }
}

fn deliver_all(decoder: &mut Decoder, delivery: &mut Delivery) {
    while let Some(event) = decoder.poll() {
        delivery.deliver(event, &Progress::of(decoder));
    }
}

/// Which of its cameras is meant.
fn which(reader: &Reader, asked: Option<&str>) -> Result<usize, SourceErrorKind> {
    let found = match asked {
        Some(name) => reader.cameras().position(|camera| camera.name == name),
        None => (reader.cameras().len() == 1).then_some(0),
    };
    found.ok_or_else(|| SourceErrorKind::WhichCamera {
        asked: asked.map(str::to_owned),
        cameras: reader.cameras().map(|camera| camera.name.clone()).collect(),
    })
}

/// Does what waits for the disk where nobody waits for it. `None`: the runtime is being shut down.
async fn away<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Option<R> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}
