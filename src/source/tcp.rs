//! Sources over TCP with our headers: connects to a camera or accepts one, and receives until the connection ends.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::attempt::{Addresses, Attempts, ConnectionEnd, Source};
use super::connect::{addresses, connect, keep_alive};
use super::error::{SourceErrorKind, is_http};
use super::listen::Listener;
use super::monitor::{Rhythm, Silence};
use super::reception::Reception;
use super::turn::MAX_WORK_PER_TURN;
use super::{SessionOptions, SessionState};
use crate::frame::Received;
use crate::net::clock::received_now;
use crate::net::low_water::LowWater;
use crate::wire::{Decoder, header};

/// Bytes at the end of a frame that are waited for separately. By the time they arrive, the rest of the frame has been read.
const FRAME_TAIL_BYTES: usize = 8 << 10;

/// Frames up to this length are waited for in one step, because a second one would not save a wake-up.
const MAX_UNSPLIT_BYTES: usize = 8 * FRAME_TAIL_BYTES;

/// Bytes to skip on a new connection before its peer is rejected. Every camera begins with a header.
const MAX_SKIPPED_BYTES_BEFORE_FRAME: u64 = 256 << 10;

/// Bytes of a connection to read after the camera has opened a new one. A socket's buffer has fewer.
const MAX_REST_BYTES: usize = 8 << 20;

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

/// Streams with headers that [`Decoder`] parses. The decoder is the same for all connections: the frames of earlier ones help
/// it to judge the first frames, and the intervals between them show how long a silence is normal.
pub(super) struct HeaderStream {
    peer: Peer,
    decoder: Decoder,
    rhythm: Rhythm,
}

impl HeaderStream {
    pub(super) fn new(peer: Peer, options: &SessionOptions) -> Self {
        let SessionOptions { frames, interpreter, limits, .. } = options;
        let decoder = Decoder::new(frames.clone(), interpreter.clone(), *limits);
        Self { peer, decoder, rhythm: Rhythm::default() }
    }
}

impl Source for HeaderStream {
    type Link = TcpStream;

    async fn connect(&mut self, attempts: &Attempts) -> Result<(TcpStream, Addresses), SourceErrorKind> {
        let stream = match &mut self.peer {
            Peer::Connect { host, port } => connect(host, *port, attempts.options.timeouts.connect).await?,
            Peer::Accept(listener) => {
                attempts.state.send_replace(SessionState::Waiting);
                listener.accept().await.map_err(SourceErrorKind::Connect)?
            }
        };
        keep_alive(&stream);
        let addresses = addresses(&stream);
        Ok((stream, addresses))
    }

    async fn receive(&mut self, attempts: &mut Attempts, stream: TcpStream, opened: Received) -> ConnectionEnd {
        let mut stop = attempts.stop.clone();
        let mut connection = Connection {
            peer: &mut self.peer,
            reception: Reception::begin(attempts, &mut self.decoder, self.rhythm, opened),
            low_water: LowWater::new(),
            first_bytes: Vec::with_capacity(FIRST_BYTES_LEN),
        };
        let ended = connection.receive(&stream, &mut stop).await;
        // Streams of other programs may end, or we may stop, before they are long enough to be rejected.
        let is_foreign =
            connection.reception.frames == 0 && !connection.first_bytes.is_empty() && !connection.begins_well();
        connection.reception.count_outage(&ended);
        let foreign = is_foreign.then(|| connection.not_a_camera());
        let Connection { mut reception, .. } = connection;
        // An unexpected application may be recognized only by the last frame, which is confirmed at the end.
        let result = reception.finish(&ended).and(foreign.map_or(ended, Err));
        let (frames, bytes) = (reception.frames, reception.decoder.byte_counts().received);
        self.rhythm = reception.rhythm(&result);
        // Half-open connections occupy the camera's only slot (wire.md 4.13).
        let _ = SockRef::from(&stream).shutdown(std::net::Shutdown::Both);
        ConnectionEnd { result, frames, bytes }
    }
}

/// One open connection.
struct Connection<'a> {
    peer: &'a mut Peer,
    reception: Reception<'a>,
    low_water: LowWater,
    first_bytes: Vec<u8>,
}

impl Connection<'_> {
    async fn receive(&mut self, stream: &TcpStream, stop: &mut watch::Receiver<bool>) -> Result<(), SourceErrorKind> {
        let timer = tokio::time::sleep(self.reception.next_check(received_now().mono_ns));
        tokio::pin!(timer);
        // Set once the mark was lowered in this silence, so that bytes below it would have been read.
        let mut lowered = false;
        loop {
            if self.reception.turn.is_over() {
                if self.reception.is_stopped() {
                    return Ok(());
                }
                self.reception.pause().await;
            }
            if self.reception.decoder.has_events() {
                self.reception.events(received_now())?;
                continue;
            }
            let space = self.reception.decoder.space();
            let len = space.len().min(MAX_WORK_PER_TURN as usize);
            match stream.try_read(&mut space[..len]) {
                Ok(0) if self.reception.frames == 0 => return Err(self.reception.attempts.delivery.closed()),
                Ok(0) => return Err(SourceErrorKind::Closed),
                Ok(n) => {
                    lowered = false;
                    self.bytes(n)?;
                    if self.reception.is_stopped() {
                        return Ok(());
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(SourceErrorKind::Read(error)),
                Err(_) => self.reception.turn.wait(),
            }
            if !lowered {
                self.low_water.set(stream, self.wake_up_bytes());
            }
            let is_camera = self.reception.frames > 0 || self.begins_well();
            let mut reconnected = false;
            tokio::select! {
                ready = stream.readable() => ready.map_err(SourceErrorKind::Read)?,
                _ = stop.wait_for(|stop| *stop) => return Ok(()), // Also when the session was dropped.
                () = self.peer.reconnected(is_camera) => reconnected = true,
                () = &mut timer => {
                    let now_ns = received_now().mono_ns;
                    let silence = self.reception.silence.silence(now_ns);
                    let mut next = self.reception.next_check(now_ns);
                    if silence != Silence::None && !lowered {
                        // Bytes below the mark make the socket readable now. Judge the silence after reading them.
                        lowered = true;
                        self.low_water.set(stream, 1);
                        next = next.min(READABLE_TIMEOUT);
                    } else {
                        let begins_well = self.begins_well();
                        if self.reception.silence.first_frame_is_late(now_ns) && !begins_well {
                            return Err(self.not_a_camera());
                        }
                        self.reception.judge_silence(silence, now_ns, begins_well)?;
                    }
                    timer.as_mut().reset(Instant::now() + next);
                }
            }
            if reconnected {
                self.rest(stream).await?;
                return Err(SourceErrorKind::Reconnected);
            }
            self.reception.turn.wait();
        }
    }

    /// Reads the bytes that arrived before the camera opened a new connection.
    async fn rest(&mut self, stream: &TcpStream) -> Result<(), SourceErrorKind> {
        self.low_water.set(stream, 1);
        let mut left = MAX_REST_BYTES;
        while left > 0 && matches!(tokio::time::timeout(READABLE_TIMEOUT, stream.readable()).await, Ok(Ok(()))) {
            let space = self.reception.decoder.space();
            let len = space.len().min(left);
            match stream.try_read(&mut space[..len]) {
                Ok(0) => break,
                Ok(n) => {
                    left -= n;
                    self.bytes(n)?;
                    self.reception.all_events(received_now()).await?;
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Returns whether the connection began with a header or a record, and had nothing else since.
    fn begins_well(&self) -> bool {
        !self.first_bytes.is_empty()
            && header::can_start_message(&self.first_bytes)
            && self.reception.decoder.byte_counts().skipped == 0
    }

    /// Returns the number of bytes to sleep for (see [`crate::net::low_water`]): all but the tail of a frame, then its tail.
    fn wake_up_bytes(&self) -> usize {
        let Reception { decoder, steady_len, .. } = &self.reception;
        let split = |len: usize| if len > MAX_UNSPLIT_BYTES { len - FRAME_TAIL_BYTES } else { len };
        if decoder.is_inside_a_frame() {
            return split(decoder.wanted());
        }
        // Between frames of one length, sleep for the next header and payload together. If the next frame is shorter, the
        // timer finds it.
        let steady_len = steady_len.filter(|len| *len > MAX_UNSPLIT_BYTES && decoder.skipping().is_none());
        steady_len.map_or(1, split)
    }

    /// Decodes `n` bytes that were read into the decoder's space.
    fn bytes(&mut self, n: usize) -> Result<(), SourceErrorKind> {
        let Self { reception, first_bytes, .. } = self;
        if first_bytes.len() < FIRST_BYTES_LEN && reception.frames == 0 {
            let room = FIRST_BYTES_LEN - first_bytes.len();
            let space = reception.decoder.space();
            let kept = n.min(room).min(space.len());
            first_bytes.extend_from_slice(&space[..kept]);
        }
        let now = received_now();
        let before = reception.decoder.work();
        reception.decoder.commit(n, now);
        reception.turn.work += reception.decoder.work() - before;
        reception.silence.bytes(now.mono_ns, reception.decoder.is_inside_a_frame());
        reception.events(now)?;
        if reception.frames == 0 {
            let skipped = reception.decoder.byte_counts().skipped;
            if skipped > MAX_SKIPPED_BYTES_BEFORE_FRAME || is_http(first_bytes) {
                return Err(self.not_a_camera());
            }
        }
        let skipping = reception.decoder.skipping().is_some_and(|skipped| !skipped.reason.is_intact());
        match reception.silence.noise(skipping, now.mono_ns) {
            Some(since) => Err(SourceErrorKind::NoFrames(since)),
            None => Ok(()),
        }
    }

    fn not_a_camera(&mut self) -> SourceErrorKind {
        let first = std::mem::take(&mut self.first_bytes);
        let Some(line) = self.reception.decoder.unrecognized() else {
            return SourceErrorKind::NotACamera { at: 0, found: first };
        };
        let (at, found) = (line.at, if line.at == 0 { first } else { line.bytes().to_vec() });
        match line.fault(&self.reception.attempts.options.limits) {
            Some(fault) => SourceErrorKind::Header { at, found, fault },
            None => SourceErrorKind::NotACamera { at, found },
        }
    }
}
