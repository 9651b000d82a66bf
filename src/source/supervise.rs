//! Runs a session: connects again and again with back-off, until it is stopped or an error is fatal.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use tokio::sync::watch;

use super::attempt::{Attempts, Source, run_once};
use super::delivery::Delivery;
use super::error::{ConnContext, SourceError, SourceErrorClass, SourceErrorKind};
#[cfg(feature = "http")]
use super::http::HttpSource;
#[cfg(feature = "http")]
use super::http_post::HttpPost;
use super::listen::Listener;
use super::monitor::Backoff;
#[cfg(feature = "mqtt")]
use super::mqtt::MqttSource;
use super::replay::Replay;
use super::spec::SourceSpec;
use super::tcp::{HeaderStream, Peer};
use super::udp::UdpSource;
#[cfg(feature = "zenoh")]
use super::zenoh::ZenohSource;
use super::{SessionOptions, SessionState};
use crate::net::clock::received_now;
use crate::recording::playback::CameraPlayback;
use crate::sim::{SimConfig, Simulator};

/// Runs a session to its end.
pub(super) async fn run(
    spec: SourceSpec,
    options: SessionOptions,
    delivery: Delivery,
    playback: Option<CameraPlayback>,
    state: watch::Sender<SessionState>,
    mut stop: watch::Receiver<bool>,
) {
    let mut attempts = Attempts { options, delivery, state, stop: stop.clone(), count: 0, streamed: false };
    let stream = |peer, attempts: &Attempts| HeaderStream::new(peer, &attempts.options);
    let mut simulator = None;
    let error = match spec {
        SourceSpec::Tcp { host, port } => {
            let mut source = stream(Peer::Connect { host, port }, &attempts);
            supervise(&mut attempts, &mut source, &mut stop).await
        }
        #[cfg(feature = "http")]
        SourceSpec::Http(url) => {
            let mut source = HttpSource::new(url, &attempts.options);
            supervise(&mut attempts, &mut source, &mut stop).await
        }
        #[cfg(feature = "http")]
        SourceSpec::HttpPost(spec) => {
            match bound(&attempts, &mut stop, || HttpPost::bind(&spec, &attempts.options)).await {
                Ok(mut source) => supervise(&mut attempts, &mut source, &mut stop).await,
                Err(error) => error,
            }
        }
        SourceSpec::Udp(spec) => {
            match bound(&attempts, &mut stop, || UdpSource::bind(&spec, &attempts.options)).await {
                Ok(mut source) => supervise(&mut attempts, &mut source, &mut stop).await,
                Err(error) => error,
            }
        }
        #[cfg(feature = "mqtt")]
        SourceSpec::Mqtt(spec) => {
            let mut source = MqttSource::new(spec, &attempts.options);
            supervise(&mut attempts, &mut source, &mut stop).await
        }
        #[cfg(feature = "zenoh")]
        SourceSpec::Zenoh(spec) => {
            let mut source = ZenohSource::new(spec, &attempts.options);
            supervise(&mut attempts, &mut source, &mut stop).await
        }
        SourceSpec::Listen { host, port } => match bound(&attempts, &mut stop, || Listener::bind(&host, port)).await {
            Ok(listener) => {
                let mut source = stream(Peer::Accept(listener), &attempts);
                supervise(&mut attempts, &mut source, &mut stop).await
            }
            Err(error) => error,
        },
        SourceSpec::Sim(config) => match simulate(*config, attempts.delivery.name()).await {
            Ok(started) => {
                let address = simulator.insert(started).local_addr();
                let peer = Peer::Connect { host: address.ip().to_string(), port: address.port() };
                let mut source = stream(peer, &attempts);
                supervise(&mut attempts, &mut source, &mut stop).await
            }
            Err(error) => attempts.failed(SourceErrorKind::Sim(error)),
        },
        SourceSpec::File(file) => {
            let playback = playback.expect("sessions of recordings have a playback");
            let Attempts { options, delivery, state, .. } = attempts;
            let mut replay = Replay::new(options, delivery, playback, state.clone(), stop);
            let error = replay.play(&file).await.err();
            let mut delivery = replay.end();
            // An unexpected application may be recognized only by the last frame, which is confirmed at the end.
            let error = error.or_else(|| delivery.check_application().err());
            return end(delivery, &state, error);
        }
    };
    let Attempts { delivery, state, .. } = attempts;
    delivery.outlets.ledger.update(|stats| stats.advance(received_now().mono_ns));
    drop(delivery); // Takers receive the end of their lanes before the session reports its end.
    if let Some(simulator) = simulator {
        // Dropping joins a thread. If the runtime is shutting down, the thread ends with the process.
        let _ = tokio::task::spawn_blocking(move || drop(simulator)).await;
    }
    state.send_replace(SessionState::Ended { error });
}

impl Attempts {
    /// Returns the error of a source that cannot start.
    fn failed(&self, kind: SourceErrorKind) -> Option<Arc<SourceError>> {
        let conn = ConnContext { source: self.delivery.source.clone(), ..ConnContext::default() };
        Some(Arc::new(SourceError { conn, kind }))
    }
}

/// Ends a session that has no connection.
fn end(delivery: Delivery, state: &watch::Sender<SessionState>, error: Option<SourceErrorKind>) {
    let conn = ConnContext { source: delivery.source.clone(), ..ConnContext::default() };
    let error = error.map(|kind| Arc::new(SourceError { conn, kind }));
    drop(delivery); // Takers receive the end of their lanes before the session reports its end.
    state.send_replace(SessionState::Ended { error });
}

async fn simulate(config: SimConfig, camera: &str) -> std::io::Result<Simulator> {
    if let Some(noise) = config.noise() {
        tracing::warn!(camera, "this simulated camera {noise}");
    }
    // Drawing the simulated pictures takes too long for an async task.
    tokio::task::spawn_blocking(move || Simulator::start(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, &config)).await?
}

/// Listens at an address of this host. If another program listens there, tries again while the options allow it. Returns the
/// error that ends the session, or `None` if it was stopped.
async fn bound<S, F: Future<Output = std::io::Result<S>>>(
    attempts: &Attempts,
    stop: &mut watch::Receiver<bool>,
    bind: impl Fn() -> F,
) -> Result<S, Option<Arc<SourceError>>> {
    loop {
        let error = match bind().await {
            Ok(source) => return Ok(source),
            Err(error) => attempts.failed(SourceErrorKind::Listen(error)),
        };
        let (Some(reason), Some(retry_in)) = (&error, attempts.options.retry_refused) else { return Err(error) };
        attempts.state.send_replace(SessionState::Lost { reason: Arc::clone(reason), retry_in });
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Err(None),
            () = tokio::time::sleep(retry_in) => {}
        }
    }
}

/// Connects until the session is to end. Returns the error that ended it; `None` if it was stopped, or closed by the camera
/// without reconnecting.
async fn supervise(
    attempts: &mut Attempts,
    source: &mut impl Source,
    stop: &mut watch::Receiver<bool>,
) -> Option<Arc<SourceError>> {
    let mut backoff = Backoff::new();
    let mut attempt = 0;
    loop {
        attempt += 1;
        let Err(reason) = run_once(attempts, source, attempt).await else { return None };
        let reason = Arc::new(reason);
        let streamed = reason.conn.frames > 0;
        if !reason.kind.was_connected() {
            tracing::info!(camera = attempts.delivery.name(), "attempt {attempt}: {}", reason.kind);
        }
        if !attempts.options.reconnect {
            let clean = streamed && matches!(reason.kind, SourceErrorKind::Closed);
            return (!clean).then_some(reason);
        }
        // A peer that has been a camera before may be booting: retry even if another server answers meanwhile.
        let unexpected = matches!(reason.kind, SourceErrorKind::UnexpectedApplication { .. });
        let retry_refused = attempts.options.retry_refused.filter(|_| reason.is_refusal());
        let ends = !attempts.streamed && reason.class() != SourceErrorClass::Retry && retry_refused.is_none();
        if unexpected || ends {
            return Some(reason);
        }
        if streamed {
            attempt = 0;
        }
        let retry_in = retry_refused.unwrap_or_else(|| backoff.delay(streamed, reason.refused()));
        attempts.state.send_replace(SessionState::Lost { reason, retry_in });
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return None, // Also when the session was dropped.
            () = tokio::time::sleep(retry_in) => {}
        }
    }
}
