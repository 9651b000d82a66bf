//! A recording as a camera: its frames through the decoder again, when they are due. A file can wait, so nobody who
//! keeps its frames loses one.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::delivery::Delivery;
use super::error::SourceErrorKind;
use super::session::{SessionOptions, SessionState};
use super::{FileSpec, What};
use crate::frame::Received;
use crate::net::clock::received_now;
use crate::recording::playback::{Due, End, Part};
use crate::recording::{Entry, Reader, Recorded, RecordingError, feed};
use crate::wire::Decoder;

/// How long to wait before asking again whether those who keep have room.
const A_MOMENT: Duration = Duration::from_millis(1);

/// One camera of a recording while it is played.
pub(super) struct Replay {
    delivery: Delivery,
    decoder: Decoder,
    part: Part,
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
        part: Part,
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
        self.delivery.ledger.update(|stats| {
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
                Ok(Some(Entry::Frame(recorded))) if recorded.camera == camera && recorded.log_ns >= from_ns => {
                    let then = self.wait_for(&recorded).await;
                    if matches!(then, Then::Go) {
                        begun = true;
                        self.deliver(&recorded);
                        self.delivery.wrong()?;
                    }
                    then
                }
                Ok(Some(Entry::Incident { camera: whose, at_unix_ns, incident })) if whose == camera => {
                    if incident.kind == "connected" && begun {
                        self.reconnect();
                    }
                    if at_unix_ns >= from_ns {
                        let torn = incident.kind == "skipped";
                        self.delivery.ledger.update(|stats| stats.unrecorded(incident.frames, torn));
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
                    self.delivery.ledger.update(crate::stats::Stats::sought);
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
    async fn wait_for(&mut self, recorded: &Recorded) -> Then {
        loop {
            let due = match self.part.due(recorded.log_ns, self.part.now_ns()) {
                Due::Now => break,
                Due::Seek(to_ns) => return Then::Seek(to_ns),
                Due::At(ns) => Some(self.part.instant(ns)),
                Due::Held => None,
            };
            if !self.change_before(due).await {
                return Then::Stop;
            }
        }
        while !self.delivery.outlets.kept.has_room() {
            tokio::select! {
                _ = self.stop.wait_for(|stop| *stop) => return Then::Stop,
                () = sleep(A_MOMENT) => {}
            }
        }
        Then::Go
    }

    /// Waits for what becomes of the playback when there is nothing left of this camera.
    async fn end_of_file(&mut self) -> Then {
        loop {
            match self.part.end() {
                End::Over => return Then::Stop,
                End::Seek(to_ns) => return Then::Seek(to_ns),
                End::Held => {}
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

    fn deliver(&mut self, recorded: &Recorded) {
        // For files the time at which it arrived first; for latency the present.
        let now = Received { unix_ns: recorded.log_ns, ..received_now() };
        let delivery = &mut self.delivery;
        feed(&mut self.decoder, recorded, now, |decoder| while delivery.next(decoder).is_some() {});
        if !std::mem::replace(&mut self.streams, true) {
            self.tell.send_replace(SessionState::Streaming);
        }
    }

    /// The connection ended here, and another one began.
    fn reconnect(&mut self) {
        self.close();
        self.decoder.restart();
        self.delivery.restart();
        self.delivery.ledger.update(|stats| stats.connected());
    }

    fn close(&mut self) {
        self.delivery.ending(true);
        self.decoder.finish();
        while self.delivery.next(&mut self.decoder).is_some() {}
        let books = self.decoder.byte_counts();
        self.delivery.ledger.update(|stats| stats.disconnected(books));
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
