//! One attempt to connect to a camera, and the connection that it opens.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;

use super::delivery::Delivery;
use super::error::{ConnContext, SourceError, SourceErrorKind};
use super::{IncidentEvent, SessionOptions, SessionState};
use crate::frame::Received;
use crate::net::clock::received_now;
use crate::units::{Bytes, count};

/// State that all connections and attempts of a session share.
pub(super) struct Attempts {
    pub(super) options: SessionOptions,
    pub(super) delivery: Delivery,
    pub(super) state: watch::Sender<SessionState>,
    pub(super) stop: watch::Receiver<bool>,
    /// Number of attempts so far.
    pub(super) count: u64,
    /// A connection had frames.
    pub(super) streamed: bool,
}

/// Opens the connections of one kind of source, and receives from them.
pub(super) trait Source {
    /// An open connection.
    type Link;

    /// Opens the next connection. Returns it with the camera's address and ours. Dropped if the session is stopped.
    async fn connect(&mut self, attempts: &Attempts) -> Result<(Self::Link, Addresses), SourceErrorKind>;

    /// Receives from one connection until it ends. Delivers everything, and closes the connection's byte counts in the
    /// ledger.
    async fn receive(&mut self, attempts: &mut Attempts, link: Self::Link, opened: Received) -> ConnectionEnd;
}

/// The camera's address and ours, if they are known.
pub(super) type Addresses = Option<(SocketAddr, SocketAddr)>;

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
    source: &mut impl Source,
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
    let connected = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
        connected = source.connect(attempts) => connected,
    };
    let (link, addresses) = match connected {
        Ok(connected) => connected,
        Err(kind) => return Err(SourceError { conn, kind }),
    };
    let opened = received_now();
    (conn.since_unix_ns, conn.addresses) = (opened.unix_ns, addresses);
    attempts.delivery.outlets.ledger.update(|stats| stats.connected());
    attempts.state.send_replace(SessionState::Connecting { attempt });

    if let Some((camera, us)) = conn.addresses {
        tracing::info!(camera = attempts.delivery.name(), "connection {}: {us} to {camera}", conn.number);
    }
    attempts.delivery.restart();
    let event = IncidentEvent::Connected { number: conn.number, addresses: conn.addresses };
    attempts.delivery.incident(opened, event);
    let ended = source.receive(attempts, link, opened).await;
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
    ended.result.map_err(|kind| SourceError { conn, kind })
}
