//! The loop around one attempt: shutdown, back-off, and what to say meanwhile.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use tokio::sync::watch;

use super::delivery::Delivery;
use super::door::Door;
use super::error::{Class, ConnContext, SourceError, SourceErrorKind};
use super::replay::Replay;
use super::spec::SourceSpec;
use super::tcp::{self, Connection, Peer};
use super::watch::Backoff;
use super::{SessionOptions, SessionState};
use crate::recording::playback::CameraPlayback;
use crate::sim::{SimConfig, Simulator};
use crate::wire::Decoder;

/// Runs a session to its end.
pub(super) async fn run(
    spec: SourceSpec,
    options: SessionOptions,
    delivery: Delivery,
    part: Option<CameraPlayback>,
    tell: watch::Sender<SessionState>,
    mut stop: watch::Receiver<bool>,
) {
    let (peer, simulator) = match spec {
        SourceSpec::Tcp { host, port } => (Peer::At { host, port }, None),
        SourceSpec::Listen { host, port } => match Door::open(&host, port).await {
            Ok(door) => (Peer::Comes(door), None),
            Err(error) => return end(delivery, &tell, Some(SourceErrorKind::Listen(error))),
        },
        SourceSpec::Sim(config) => match simulate(*config).await {
            Ok(simulator) => {
                let at = simulator.local_addr();
                (Peer::At { host: at.ip().to_string(), port: at.port() }, Some(simulator))
            }
            Err(error) => return end(delivery, &tell, Some(SourceErrorKind::Sim(error))),
        },
        SourceSpec::File(file) => {
            let part = part.expect("a recording is played as part of a playback");
            let mut replay = Replay::new(options, delivery, part, tell.clone(), stop);
            let error = replay.play(&file).await.err();
            let mut delivery = replay.end();
            // What the last frame was may show at the end only.
            let error = error.or_else(|| delivery.check_application().err());
            return end(delivery, &tell, error);
        }
    };
    let mut connection = Connection { peer, options, delivery, tell, stop: stop.clone(), number: 0 };
    let error = supervise(&mut connection, &mut stop).await;
    let Connection { delivery, tell, .. } = connection;
    drop(delivery); // Takers see the end of their lanes before anybody sees the end of the session.
    if let Some(simulator) = simulator {
        // It joins a thread. If the runtime is going down, the thread goes with the process.
        let _ = tokio::task::spawn_blocking(move || drop(simulator)).await;
    }
    tell.send_replace(SessionState::Ended { error });
}

/// The session is over before, or without, a connection.
fn end(delivery: Delivery, tell: &watch::Sender<SessionState>, error: Option<SourceErrorKind>) {
    let conn = ConnContext { source: delivery.source.clone(), ..ConnContext::default() };
    let error = error.map(|kind| Arc::new(SourceError { conn, kind }));
    drop(delivery); // Takers see the end of their lanes before anybody sees the end of the session.
    tell.send_replace(SessionState::Ended { error });
}

async fn simulate(config: SimConfig) -> std::io::Result<Simulator> {
    // Drawing its pictures takes a while.
    tokio::task::spawn_blocking(move || Simulator::start(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, &config)).await?
}

/// Attempts until there is a reason not to; returns why, if nobody asked for the end.
async fn supervise(connection: &mut Connection, stop: &mut watch::Receiver<bool>) -> Option<Arc<SourceError>> {
    let SessionOptions { frames, interpreter, limits, .. } = &connection.options;
    let mut decoder = Decoder::new(frames.clone(), interpreter.clone(), *limits);
    let mut backoff = Backoff::new();
    let mut attempt = 0;
    let mut streamed_ever = false;
    loop {
        attempt += 1;
        let Err(reason) = tcp::run_once(connection, &mut decoder, attempt).await else { return None };
        let reason = Arc::new(reason);
        let streamed = reason.conn.frames > 0;
        streamed_ever |= streamed;
        tracing::info!(source = %reason.conn.source, attempt, "{}", reason.kind);
        if !connection.options.reconnect {
            let clean = streamed && matches!(reason.kind, SourceErrorKind::Closed);
            return (!clean).then_some(reason);
        }
        // What was a camera an hour ago is one that boots, even if something else answers meanwhile.
        let other = matches!(reason.kind, SourceErrorKind::OtherApplication { .. });
        if other || (!streamed_ever && reason.class() != Class::Retry) {
            return Some(reason);
        }
        if streamed {
            attempt = 0;
        }
        let retry_in = backoff.delay(streamed || reason.refused());
        connection.tell.send_replace(SessionState::Lost { reason, retry_in });
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return None, // Also when the session was dropped.
            () = tokio::time::sleep(retry_in) => {}
        }
    }
}
