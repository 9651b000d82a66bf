//! Runs one TCP connection: connects to a camera or accepts one, and receives until the connection ends.

use std::io;
use std::mem::discriminant;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::IncidentEvent;
use super::connect::{connect, keep_alive};
use super::delivery::{Delivery, Progress};
use super::error::{ConnContext, SourceError, SourceErrorKind, is_http};
use super::listen::Listener;
use super::monitor::{Rhythm, Silence, SilenceMonitor, SyncLosses};
use super::turn::{MAX_WORK_PER_TURN, Turn};
use super::{SessionOptions, SessionState};
use crate::frame::{Received, Verdict};
use crate::net::clock::received_now;
use crate::net::low_water::LowWater;
use crate::units::{Bytes, count};
use crate::wire::{Damage, Decoder, Event, header};

/// Bytes at the end of a frame that are waited for separately. By the time they arrive, the rest of the frame has been read.
const FRAME_TAIL_BYTES: usize = 8 << 10;

/// Frames up to this length are waited for in one step, because a second one would not save a wake-up.
const MAX_UNSPLIT_BYTES: usize = 8 * FRAME_TAIL_BYTES;

/// Work of an event of the decoder, in bytes examined or copied.
const EVENT_WORK: u64 = 1 << 10;

/// Bytes to skip on a new connection before its peer is rejected. Every camera begins with a header.
const MAX_SKIPPED_BYTES_BEFORE_FRAME: u64 = 256 << 10;

/// Time to wait for readability after lowering `SO_RCVLOWAT`.
const READABLE_TIMEOUT: Duration = Duration::from_millis(5);

/// First bytes of a connection that are kept, to recognize other servers and for the error message.
const FIRST_BYTES_LEN: usize = 64;

/// The side that opens connections.
pub(super) enum Peer {
    /// The camera accepts connections.
    Connect { host: String, port: u16 },
    /// The camera connects to this host.
    Accept(Listener),
}

impl Peer {
    /// Waits until the camera has opened a new connection. Never returns for a camera that accepts connections.
    /// `is_camera`: the open connection is that of a camera.
    async fn reconnected(&mut self, is_camera: bool) {
        match self {
            Self::Connect { .. } => std::future::pending().await,
            Self::Accept(listener) => listener.reconnected(is_camera).await,
        }
    }
}

/// State that all connections and attempts of a session share.
pub(super) struct Attempts {
    pub(super) peer: Peer,
    pub(super) options: SessionOptions,
    pub(super) delivery: Delivery,
    pub(super) state: watch::Sender<SessionState>,
    pub(super) stop: watch::Receiver<bool>,
    /// Number of attempts so far.
    pub(super) count: u64,
    /// A connection had frames.
    pub(super) streamed: bool,
}

/// Reads one kind of stream from TCP connections.
pub(super) trait Protocol {
    /// Receives from one connection until it ends. Delivers everything, and closes the connection's byte counts in the
    /// ledger.
    async fn receive(&mut self, attempts: &mut Attempts, stream: &TcpStream, opened: Received) -> ConnectionEnd;
}

/// How a connection ended.
pub(super) struct ConnectionEnd {
    /// `Ok` if the session was stopped.
    pub(super) result: Result<(), SourceErrorKind>,
    /// Frames received.
    pub(super) frames: u64,
    /// Bytes received.
    pub(super) bytes: u64,
}

/// Connects and receives. Returns `Ok` if the session was stopped.
pub(super) async fn run_once(
    attempts: &mut Attempts,
    protocol: &mut impl Protocol,
    attempt: u32,
) -> Result<(), SourceError> {
    attempts.count += 1;
    attempts.delivery.outlets.ledger.update(|stats| stats.attempt());
    let mut conn = ConnContext {
        number: attempts.count,
        source: attempts.delivery.source.clone(),
        streamed_before: attempts.streamed,
        ..ConnContext::default()
    };
    let mut stop = attempts.stop.clone();
    let timeout = attempts.options.timeouts.connect;
    let connecting = async {
        match &mut attempts.peer {
            Peer::Connect { host, port } => connect(host, *port, timeout).await,
            Peer::Accept(listener) => {
                attempts.state.send_replace(SessionState::Waiting);
                listener.accept().await.map_err(SourceErrorKind::Connect)
            }
        }
    };
    let connected = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
        connected = connecting => connected,
    };
    let stream = match connected {
        Ok(stream) => stream,
        Err(kind) => return Err(SourceError { conn, kind }),
    };
    keep_alive(&stream);
    let opened = received_now();
    conn.since_unix_ns = opened.unix_ns;
    conn.addresses = stream.peer_addr().and_then(|peer| Ok((peer, stream.local_addr()?))).ok();
    attempts.delivery.outlets.ledger.update(|stats| stats.connected());
    attempts.state.send_replace(SessionState::Connecting { attempt });

    if let Some((camera, us)) = conn.addresses {
        tracing::info!(camera = attempts.delivery.name(), "connection {}: {us} to {camera}", conn.number);
    }
    attempts.delivery.restart();
    let event = IncidentEvent::Connected { number: conn.number, addresses: conn.addresses };
    attempts.delivery.incident(opened, event);
    let ended = protocol.receive(attempts, &stream, opened).await;
    conn.frames = ended.frames;
    attempts.streamed |= ended.frames > 0;
    conn.bytes = ended.bytes;
    let closed = received_now();
    conn.up = Duration::from_nanos(closed.mono_ns.saturating_sub(opened.mono_ns));
    let why = ended.result.as_ref().map_or_else(ToString::to_string, |()| "we closed the connection".to_owned());
    tracing::info!(
        camera = attempts.delivery.name(),
        "connection {} ended after {:.1} s, {} and {}: {why}",
        conn.number,
        conn.up.as_secs_f32(),
        count(conn.frames, "frame", "frames"),
        Bytes(conn.bytes)
    );
    attempts.delivery.incident(closed, IncidentEvent::Disconnected { why });
    // Half-open connections occupy the camera's only slot (wire.md 4.13).
    let _ = SockRef::from(&stream).shutdown(std::net::Shutdown::Both);
    ended.result.map_err(|kind| SourceError { conn, kind })
}

/// Streams with headers that [`Decoder`] parses. The decoder is the same for all connections: the frames of earlier ones help
/// it to judge the first frames, and the intervals between them show how long a silence is normal.
pub(super) struct HeaderStream {
    decoder: Decoder,
    rhythm: Rhythm,
}

impl HeaderStream {
    pub(super) fn new(options: &SessionOptions) -> Self {
        let SessionOptions { frames, interpreter, limits, .. } = options;
        let decoder = Decoder::new(frames.clone(), interpreter.clone(), *limits);
        Self { decoder, rhythm: Rhythm::default() }
    }
}

impl Protocol for HeaderStream {
    async fn receive(&mut self, attempts: &mut Attempts, stream: &TcpStream, opened: Received) -> ConnectionEnd {
        let mut stop = attempts.stop.clone();
        self.decoder.restart();
        let mut connection = Connection {
            decoder: &mut self.decoder,
            silence: SilenceMonitor::new(attempts.options.timeouts, self.rhythm, opened.mono_ns),
            sync_losses: SyncLosses::default(),
            low_water: LowWater::new(),
            attempts,
            first_bytes: Vec::with_capacity(FIRST_BYTES_LEN),
            frames: 0,
            last_len: 0,
            steady_len: None,
            turn: Turn::new(),
        };
        let ended = connection.receive(stream, &mut stop).await;
        // Streams of other programs may end, or we may stop, before they are long enough to be rejected.
        let is_foreign = connection.frames == 0 && !connection.first_bytes.is_empty() && !connection.begins_well();
        let by_us = ended.is_ok();
        if let Some(since_ns) = connection.outage(&ended) {
            connection.attempts.delivery.outlets.ledger.update(|stats| stats.outage(since_ns));
        }
        let ended = if is_foreign { Err(connection.not_a_camera()) } else { ended };
        // An unexpected application may be recognized only by the last frame, which is confirmed at the end.
        let result = connection.finish(by_us).and(ended);
        let (frames, bytes) = (connection.frames, connection.decoder.byte_counts().received);
        self.rhythm = connection.silence.rhythm();
        // If we ended a silence, the time until the next frame is part of it.
        if !matches!(result, Err(SourceErrorKind::Idle(_))) {
            self.rhythm.interrupt();
        }
        ConnectionEnd { result, frames, bytes }
    }
}

/// One open connection.
struct Connection<'a> {
    attempts: &'a mut Attempts,
    decoder: &'a mut Decoder,
    silence: SilenceMonitor,
    sync_losses: SyncLosses,
    low_water: LowWater,
    first_bytes: Vec<u8>,
    frames: u64,
    last_len: usize,
    /// Payload length of the last two frames, if it was the same.
    steady_len: Option<usize>,
    turn: Turn,
}

impl Connection<'_> {
    async fn receive(&mut self, stream: &TcpStream, stop: &mut watch::Receiver<bool>) -> Result<(), SourceErrorKind> {
        let timer = tokio::time::sleep(self.next_check(received_now().mono_ns));
        tokio::pin!(timer);
        // Set once the mark was lowered in this silence, so that bytes below it would have been read.
        let mut lowered = false;
        loop {
            if self.turn.is_over() {
                if *stop.borrow() || stop.has_changed().is_err() {
                    return Ok(());
                }
                match std::mem::replace(&mut self.turn, Turn::new()).pause() {
                    None => tokio::task::yield_now().await,
                    Some(pause) => tokio::time::sleep(pause).await,
                }
            }
            if self.decoder.has_events() {
                self.events(received_now())?;
                continue;
            }
            let space = self.decoder.space();
            let len = space.len().min(MAX_WORK_PER_TURN as usize);
            match stream.try_read(&mut space[..len]) {
                Ok(0) if self.frames == 0 => return Err(self.attempts.delivery.closed()),
                Ok(0) => return Err(SourceErrorKind::Closed),
                Ok(n) => {
                    lowered = false;
                    self.bytes(n)?;
                    if *stop.borrow() || stop.has_changed().is_err() {
                        return Ok(());
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(SourceErrorKind::Read(error)),
                Err(_) => self.turn.wait(),
            }
            if !lowered {
                self.low_water.set(stream, self.wake_up_bytes());
            }
            let is_camera = self.frames > 0 || self.begins_well();
            tokio::select! {
                ready = stream.readable() => ready.map_err(SourceErrorKind::Read)?,
                _ = stop.wait_for(|stop| *stop) => return Ok(()), // Also when the session was dropped.
                () = self.attempts.peer.reconnected(is_camera) => return Err(SourceErrorKind::Reconnected),
                () = &mut timer => {
                    let now_ns = received_now().mono_ns;
                    let silence = self.silence.silence(now_ns);
                    let mut next = self.next_check(now_ns);
                    if silence != Silence::None && !lowered {
                        // Bytes below the mark make the socket readable now. Judge the silence after reading them.
                        lowered = true;
                        self.low_water.set(stream, 1);
                        next = next.min(READABLE_TIMEOUT);
                    } else {
                        self.judge_silence(silence, now_ns)?;
                    }
                    timer.as_mut().reset(Instant::now() + next);
                }
            }
            self.turn.wait();
        }
    }

    /// Returns since when the camera is not streaming, if the connection ends like this.
    fn outage(&self, ended: &Result<(), SourceErrorKind>) -> Option<u64> {
        let Attempts { options, state, .. } = &*self.attempts;
        // The user may have set a longer silence as normal.
        let is_stalled = options.timeouts.idle_fixed.is_none() && matches!(*state.borrow(), SessionState::Stalled);
        match ended {
            Err(SourceErrorKind::Idle(_)) => Some(self.silence.last_byte_ns()),
            _ if is_stalled => Some(self.silence.last_byte_ns()),
            Ok(()) => None,
            // The stream has ended, and nobody waits for another one.
            Err(SourceErrorKind::Closed) if !options.reconnect => None,
            Err(_) => Some(received_now().mono_ns),
        }
    }

    /// Returns whether the connection began with a header or a record, and had nothing else since.
    fn begins_well(&self) -> bool {
        !self.first_bytes.is_empty()
            && header::can_start_message(&self.first_bytes)
            && self.decoder.byte_counts().skipped == 0
    }

    /// Returns the number of bytes to sleep for (see [`crate::net::low_water`]): all but the tail of a frame, then its tail.
    fn wake_up_bytes(&self) -> usize {
        let split = |len: usize| if len > MAX_UNSPLIT_BYTES { len - FRAME_TAIL_BYTES } else { len };
        if self.decoder.is_inside_a_frame() {
            return split(self.decoder.wanted());
        }
        // Between frames of one length, sleep for the next header and payload together. If the next frame is shorter, the
        // timer finds it.
        self.steady_len.filter(|_| self.decoder.skipping().is_none()).map_or(1, split)
    }

    /// Decodes `n` bytes that were read into the decoder's space.
    fn bytes(&mut self, n: usize) -> Result<(), SourceErrorKind> {
        if self.first_bytes.len() < FIRST_BYTES_LEN && self.frames == 0 {
            let room = FIRST_BYTES_LEN - self.first_bytes.len();
            let space = self.decoder.space();
            let kept = n.min(room).min(space.len());
            self.first_bytes.extend_from_slice(&space[..kept]);
        }
        let now = received_now();
        let before = self.decoder.work();
        self.decoder.commit(n, now);
        self.turn.work += self.decoder.work() - before;
        self.silence.bytes(now.mono_ns, self.decoder.is_inside_a_frame());
        self.events(now)?;
        if self.frames == 0 {
            let skipped = self.decoder.byte_counts().skipped;
            if skipped > MAX_SKIPPED_BYTES_BEFORE_FRAME || is_http(&self.first_bytes) {
                return Err(self.not_a_camera());
            }
        }
        match self
            .silence
            .noise(self.decoder.skipping().is_some_and(|skipped| !skipped.reason.is_intact()), now.mono_ns)
        {
            Some(since) => Err(SourceErrorKind::NoFrames(since)),
            None => Ok(()),
        }
    }

    fn not_a_camera(&mut self) -> SourceErrorKind {
        let max = self.attempts.options.limits.payload;
        match header::payload_len(&self.first_bytes) {
            Some(0) => SourceErrorKind::PayloadEmpty,
            Some(claimed) if claimed > max => SourceErrorKind::PayloadTooLarge { claimed, max },
            _ => SourceErrorKind::NotACamera { found: std::mem::take(&mut self.first_bytes) },
        }
    }

    /// Delivers the events of the bytes that were read, as far as this turn allows. Fails if reconnecting is cheaper than continuing, or if the stream
    /// is from an unexpected application.
    fn events(&mut self, now: Received) -> Result<(), SourceErrorKind> {
        let delivery = &mut self.attempts.delivery;
        let (mut has_frame, mut reconnect) = (false, false);
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
                    self.steady_len = (len == self.last_len && len > MAX_UNSPLIT_BYTES).then_some(len);
                    self.last_len = len;
                    self.silence.frame(now.mono_ns);
                }
                // A frame of a camera, although there is no memory for it.
                Event::Lost(Damage::NoMemory { .. }) => {
                    self.frames += 1;
                    self.silence.frame(now.mono_ns);
                }
                Event::Aged(Verdict { stale: true, period_us: Some(period_us), .. }) => self.silence.queued(*period_us),
                _ => {}
            }
            delivery.deliver(event, &Progress::of(self.decoder));
        }
        if has_frame {
            let frame_time_us = delivery.outlets.ledger.update(|stats| stats.frame_time_us());
            self.silence.set_frame_time(frame_time_us);
            self.set_state(SessionState::Streaming);
        }
        self.attempts.delivery.check_application()?;
        if reconnect { Err(SourceErrorKind::Resync { failures: SyncLosses::MAX_LOSSES }) } else { Ok(()) }
    }

    /// Returns the time until the silence must be judged again if no data arrives.
    fn next_check(&self, now_ns: u64) -> Duration {
        let next = self.silence.next_check(now_ns);
        let settled = self.decoder.max_silence().map(|max| max.saturating_sub(self.silence.since_last_byte(now_ns)));
        settled.filter(|due| !due.is_zero()).map_or(next, |due| due.min(next))
    }

    /// Updates the state, and fails if the silence ends the connection.
    fn judge_silence(&mut self, silence: Silence, now_ns: u64) -> Result<(), SourceErrorKind> {
        let byte_counts = self.decoder.byte_counts();
        self.attempts.delivery.outlets.ledger.update(|stats| stats.set_byte_counts(byte_counts));
        if self.silence.first_byte_is_late(now_ns) {
            self.set_state(SessionState::Silent);
        }
        let begins_well = self.begins_well();
        if self.silence.first_frame_is_late(now_ns) && !begins_well {
            return Err(self.not_a_camera());
        }
        if silence >= Silence::Idle && byte_counts.received > 0 {
            self.decoder.idle();
            if self.decoder.max_silence().is_some_and(|max| self.silence.since_last_byte(now_ns) >= max) {
                self.decoder.settle();
            }
            self.events(received_now())?;
        }
        if silence >= Silence::Stalled && self.silence.has_frames() {
            self.set_state(SessionState::Stalled);
        }
        if silence == Silence::TimedOut && byte_counts.received > 0 && (self.silence.has_frames() || begins_well) {
            return Err(SourceErrorKind::Idle(self.silence.since_last_byte(now_ns)));
        }
        Ok(())
    }

    /// Notifies receivers of the state only if it is another one, because this runs for every frame.
    fn set_state(&self, new: SessionState) {
        self.attempts.state.send_if_modified(|state| {
            let changed = discriminant(&*state) != discriminant(&new);
            if changed {
                *state = new;
            }
            changed
        });
    }

    /// Delivers the events that are left in the decoder, and the final byte counts of the connection.
    fn finish(&mut self, by_us: bool) -> Result<(), SourceErrorKind> {
        self.attempts.delivery.ending(by_us);
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
}
