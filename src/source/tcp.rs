//! One honest attempt: connect to a camera that listens, or let one in, and receive until something ends it.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::What;
use super::delivery::{Delivery, Progress};
use super::door::Door;
use super::error::{ConnContext, SourceError, SourceErrorKind};
use super::watch::{Quiet, Storm, Watch};
use super::{SessionOptions, SessionState};
use crate::frame::Received;
use crate::net::clock::received_now;
use crate::net::low_water::LowWater;
use crate::wire::{Decoder, Event, header};

/// The end of a frame that is waited for by itself: when it comes, the rest has been read already.
const TAIL: usize = 8 << 10;

/// Frames shorter than this are not worth waiting for in two steps.
const WORTH_WAITING: usize = 8 * TAIL;

/// Bytes that one camera may bring in a row before the others get their turn.
const TURN: usize = 4 << 20;

/// Bytes without a frame after which a new connection is no camera. Every camera begins with a header.
const TOO_MUCH_JUNK: u64 = 256 << 10;

/// Time that bytes which wait in the kernel need to be noticed once the mark has sunk.
const A_MOMENT: Duration = Duration::from_millis(5);

/// Bytes of the beginning that are kept to be shown.
const SAMPLE: usize = 64;

/// How the camera is met.
pub(super) enum Peer {
    /// It listens there.
    At { host: String, port: u16 },
    /// It comes by itself.
    Comes(Door),
}

impl Peer {
    /// When the camera comes anew, which one that listens never does.
    async fn comes_anew(&mut self) {
        match self {
            Self::At { .. } => std::future::pending().await,
            Self::Comes(door) => door.comes_anew().await,
        }
    }
}

/// What every attempt of a session shares.
pub(super) struct Connection {
    pub(super) peer: Peer,
    pub(super) options: SessionOptions,
    pub(super) delivery: Delivery,
    pub(super) tell: watch::Sender<SessionState>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) number: u64,
}

/// Connects and receives. `Ok` when it was asked to stop.
///
/// The decoder is the same for all connections: what it knows of the camera's frames helps it to judge the first ones.
pub(super) async fn run_once(
    connection: &mut Connection,
    decoder: &mut Decoder,
    attempt: u32,
) -> Result<(), SourceError> {
    connection.number += 1;
    connection.delivery.outlets.ledger.update(|stats| stats.attempt());
    let mut conn =
        ConnContext { number: connection.number, source: connection.delivery.source.clone(), ..ConnContext::default() };
    let mut stop = connection.stop.clone();
    let timeout = connection.options.timeouts.connect;
    let connecting = async {
        match &mut connection.peer {
            Peer::At { host, port } => connect(host, *port, timeout).await,
            Peer::Comes(door) => {
                connection.tell.send_replace(SessionState::Waiting);
                door.camera().await.map_err(SourceErrorKind::Connect)
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
    connection.delivery.outlets.ledger.update(|stats| stats.connected());
    connection.tell.send_replace(SessionState::Connecting { attempt });

    decoder.restart();
    connection.delivery.restart();
    connection.delivery.incident(opened, What::Connected { number: conn.number, addresses: conn.addresses });
    let mut receiving = Receiving {
        decoder,
        watch: Watch::new(connection.options.timeouts, opened.mono_ns),
        storm: Storm::default(),
        mark: LowWater::new(),
        connection,
        first_bytes: Vec::with_capacity(SAMPLE),
        frames: 0,
        last_len: 0,
        steady_len: None,
        told: Told::Connecting,
    };
    let ended = receiving.receive(&stream, &mut stop).await;
    // What the last frame was may show at the end only.
    let ended = receiving.finish(ended.is_ok()).and(ended);
    conn.frames = receiving.frames;
    conn.bytes = receiving.decoder.byte_counts().received;
    let closed = received_now();
    conn.up = Duration::from_nanos(closed.mono_ns.saturating_sub(opened.mono_ns));
    let why = ended.as_ref().map_or_else(ToString::to_string, |()| "we closed the connection".to_owned());
    connection.delivery.incident(closed, What::Disconnected { why });
    // Half-dead connections block the camera's only slot (wire.md 4.13), so the end is told even if nobody listens.
    let _ = SockRef::from(&stream).shutdown(std::net::Shutdown::Both);
    ended.map_err(|kind| SourceError { conn, kind })
}

async fn connect(host: &str, port: u16, timeout: Duration) -> Result<TcpStream, SourceErrorKind> {
    let attempt = async {
        let addresses = tokio::net::lookup_host((host, port)).await.map_err(SourceErrorKind::Resolve)?;
        let mut last = None;
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            Some(error) => SourceErrorKind::Connect(error),
            None => SourceErrorKind::Resolve(io::ErrorKind::NotFound.into()),
        })
    };
    tokio::time::timeout(timeout, attempt).await.unwrap_or(Err(SourceErrorKind::ConnectTimeout(timeout)))
}

/// A camera without power sends no farewell. The receive buffer stays as it is: the kernel sizes it best.
fn keep_alive(stream: &TcpStream) {
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(5)).with_interval(Duration::from_secs(2)).with_retries(3);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "no keepalive on this socket");
    }
}

/// What was last told about this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Connecting,
    Silent,
    Streaming,
    Stalled,
}

/// One connection while it lasts.
struct Receiving<'a> {
    connection: &'a mut Connection,
    decoder: &'a mut Decoder,
    watch: Watch,
    storm: Storm,
    mark: LowWater,
    first_bytes: Vec<u8>,
    frames: u64,
    last_len: usize,
    /// Length of a payload when the last two had the same.
    steady_len: Option<usize>,
    told: Told,
}

impl Receiving<'_> {
    async fn receive(&mut self, stream: &TcpStream, stop: &mut watch::Receiver<bool>) -> Result<(), SourceErrorKind> {
        let timer = tokio::time::sleep(self.watch.next_look(received_now().mono_ns));
        tokio::pin!(timer);
        let mut looked = false;
        let mut turn = 0;
        loop {
            match stream.try_read(self.decoder.space()) {
                Ok(0) if self.frames == 0 => return Err(self.connection.delivery.closed()),
                Ok(0) => return Err(SourceErrorKind::Closed),
                Ok(n) => {
                    looked = false;
                    self.bytes(n)?;
                    turn += n;
                    if turn >= TURN {
                        turn = 0;
                        if *stop.borrow() || stop.has_changed().is_err() {
                            return Ok(());
                        }
                        tokio::task::yield_now().await;
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(SourceErrorKind::Read(error)),
                Err(_) => turn = 0,
            }
            if !looked {
                self.mark.set(stream, self.worth_waiting_for());
            }
            tokio::select! {
                ready = stream.readable() => ready.map_err(SourceErrorKind::Read)?,
                _ = stop.wait_for(|stop| *stop) => return Ok(()), // Also when the session was dropped.
                () = self.connection.peer.comes_anew() => return Err(SourceErrorKind::Anew),
                () = &mut timer => {
                    let now = received_now().mono_ns;
                    let quiet = self.watch.quiet(now);
                    let mut next = self.watch.next_look(now);
                    if quiet != Quiet::No && !looked {
                        // Bytes below the mark make the socket readable now: judge the silence without them.
                        looked = true;
                        self.mark.set(stream, 1);
                        next = next.min(A_MOMENT);
                    } else {
                        self.silence(quiet, now)?;
                    }
                    timer.as_mut().reset(Instant::now() + next);
                }
            }
        }
    }

    /// How many bytes to sleep for: all but the end of a frame, then its end.
    fn worth_waiting_for(&self) -> usize {
        let split = |len: usize| if len > WORTH_WAITING { len - TAIL } else { len };
        if self.decoder.is_inside_a_frame() {
            return split(self.decoder.wanted());
        }
        // A header is awaited. Frames that all have one length come with it; should the next one be shorter, the timer
        // finds it.
        self.steady_len.filter(|_| self.decoder.skipping().is_none()).map_or(1, split)
    }

    /// So many bytes were read.
    fn bytes(&mut self, n: usize) -> Result<(), SourceErrorKind> {
        if self.first_bytes.len() < SAMPLE && self.frames == 0 {
            let room = SAMPLE - self.first_bytes.len();
            let space = self.decoder.space();
            let shown = n.min(room).min(space.len());
            self.first_bytes.extend_from_slice(&space[..shown]);
        }
        let now = received_now();
        self.watch.bytes(now.mono_ns);
        self.decoder.commit(n, now);
        self.events(now)?;
        if self.frames == 0 {
            let junk = self.decoder.byte_counts().skipped > TOO_MUCH_JUNK;
            if junk || self.first_bytes.starts_with(b"HTTP/") {
                return Err(self.not_a_camera());
            }
        }
        match self.watch.no_frames(now.mono_ns).filter(|_| self.decoder.skipping().is_some()) {
            Some(since) => Err(SourceErrorKind::NoFrames(since)),
            None => Ok(()),
        }
    }

    fn not_a_camera(&mut self) -> SourceErrorKind {
        SourceErrorKind::NotACamera { found: std::mem::take(&mut self.first_bytes) }
    }

    /// Delivers the events of the bytes that were read. Fails if reconnecting is cheaper than going on, or if the stream
    /// is that of another application.
    fn events(&mut self, now: Received) -> Result<(), SourceErrorKind> {
        let Connection { delivery, .. } = &mut *self.connection;
        let (mut framed, mut storm) = (false, false);
        while let Some(event) = self.decoder.poll() {
            storm |= self.storm.observe(&event, now.mono_ns);
            if let Event::Frame(frame) = &event {
                let len = frame.payload().len();
                framed = true;
                self.frames += 1;
                self.steady_len = (len == self.last_len && len > WORTH_WAITING).then_some(len);
                self.last_len = len;
            }
            delivery.deliver(event, &Progress::of(self.decoder));
        }
        if framed {
            let frame_time_us = delivery.outlets.ledger.update(|stats| stats.frame_time_us());
            self.watch.frame(now.mono_ns, frame_time_us);
            self.tell(Told::Streaming);
        }
        self.connection.delivery.check_application()?;
        if storm { Err(SourceErrorKind::Resync { failures: Storm::FAILURES }) } else { Ok(()) }
    }

    /// The timer has come.
    fn silence(&mut self, quiet: Quiet, now_ns: u64) -> Result<(), SourceErrorKind> {
        let books = self.decoder.byte_counts();
        self.connection.delivery.outlets.ledger.update(|stats| stats.books(books));
        if self.watch.is_silent(now_ns) {
            self.tell(Told::Silent);
        }
        let begins_well = header::can_start_message(&self.first_bytes) && books.skipped == 0;
        if self.watch.first_frame_is_late(now_ns) && !begins_well {
            return Err(self.not_a_camera());
        }
        if quiet >= Quiet::Idle && books.received > 0 {
            self.decoder.idle();
            self.events(received_now())?;
        }
        if quiet >= Quiet::Stalled && self.watch.streams() {
            self.tell(Told::Stalled);
        }
        if quiet == Quiet::Over && books.received > 0 && (self.watch.streams() || begins_well) {
            return Err(SourceErrorKind::Idle(self.watch.silence(now_ns)));
        }
        Ok(())
    }

    fn tell(&mut self, told: Told) {
        if told != self.told {
            self.told = told;
            self.connection.tell.send_replace(match told {
                Told::Connecting => SessionState::Connecting { attempt: 1 },
                Told::Silent => SessionState::Silent,
                Told::Streaming => SessionState::Streaming,
                Told::Stalled => SessionState::Stalled,
            });
        }
    }

    /// The connection has ended: what is left in the decoder is told, and the books of the connection are closed.
    fn finish(&mut self, by_us: bool) -> Result<(), SourceErrorKind> {
        self.connection.delivery.ending(by_us);
        self.decoder.finish();
        // Trouble on the way out is none, but for another application.
        let found = self.events(received_now());
        let books = self.decoder.byte_counts();
        self.connection.delivery.outlets.ledger.update(|stats| stats.disconnected(books));
        found.or_else(
            |error| if matches!(error, SourceErrorKind::OtherApplication { .. }) { Err(error) } else { Ok(()) },
        )
    }
}
