//! Publishes to a Zenoh router. See [`crate::net::zenoh`] for the keys.

mod target;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval};
use zenoh::Session;
use zenoh::liveliness::LivelinessToken;

pub use self::target::ZenohTarget;
use super::{Command, PublishCounts, PublishOptions, PublishedCamera};
use crate::net::zenoh::{ZenohError, close, has_router, keys, open};
use crate::source::Backoff;
use crate::sync::locked;

/// Names of the lanes for detections, pictures, and pictures of other streams.
pub(super) const LANES: [&str; 3] = ["publish detections", "publish pictures", "publish other pictures"];

/// How often the connection is looked at.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Longest wait for another receiver of the same name to answer.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// A camera on the bus. Dropping it withdraws it.
struct BusCamera {
    camera: PublishedCamera,
    _alive: LivelinessToken,
}

/// Publishes to one router until the sender of its commands is dropped.
pub(super) struct ZenohPublisher {
    target: ZenohTarget,
    /// Name of this machine in keys.
    host: String,
    options: PublishOptions,
    commands: UnboundedReceiver<Command>,
    counts: Arc<Mutex<PublishCounts>>,
    /// Cameras that were added before there was a session.
    waiting: Vec<PublishedCamera>,
}

impl ZenohPublisher {
    pub(super) fn new(
        target: &ZenohTarget,
        options: PublishOptions,
        commands: UnboundedReceiver<Command>,
        counts: Arc<Mutex<PublishCounts>>,
    ) -> Self {
        Self { host: target.host(), target: target.clone(), options, commands, counts, waiting: Vec::new() }
    }

    /// Publishes until the program has finished publishing.
    pub(super) async fn run(mut self) {
        let Some(session) = self.connect().await else { return };
        if let Err(error) = self.publish(&session).await {
            (self.options.report)(&format!("{}: {error}", self.target));
        }
        close(session).await;
    }

    /// Opens the session, which then reconnects by itself. `None` when the program has finished publishing.
    async fn connect(&mut self) -> Option<Session> {
        let mut backoff = Backoff::new();
        let mut told = String::new();
        loop {
            let router = self.target.router.clone();
            let error = match self.unless_finished(open(&router)).await? {
                Ok(session) => return Some(session),
                Err(error) => error,
            };
            let text = format!("{}: {error}; retrying", self.target);
            if text != told {
                (self.options.report)(&text);
                if let Some(help) = error.help() {
                    (self.options.report)(&format!("help: {help}"));
                }
            }
            told = text;
            let delay = backoff.delay(false, true);
            self.unless_finished(tokio::time::sleep(delay)).await?;
        }
    }

    /// Awaits `work`, and takes commands meanwhile. Returns `None` when the program has finished publishing.
    async fn unless_finished<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                command = self.commands.recv() => match command? {
                    Command::Add(camera) => self.waiting.push(*camera),
                    Command::Remove(name) => self.waiting.retain(|camera| camera.session.name() != name),
                },
            }
        }
    }

    async fn publish(&mut self, session: &Session) -> Result<(), ZenohError> {
        self.warn_of_namesake(session).await;
        let alive = keys::host_alive(&self.host);
        let declared = session.liveliness().declare_token(alive.clone()).await;
        let _alive = declared.map_err(|error| ZenohError::refused(alive, &error))?;
        let mut cameras = Vec::new();
        for camera in std::mem::take(&mut self.waiting) {
            cameras.push(self.declare(session, camera).await?);
        }
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Add(camera)) => cameras.push(self.declare(session, *camera).await?),
                    Some(Command::Remove(name)) => cameras.retain(|known| known.camera.session.name() != name),
                    None => return Ok(()),
                },
                _ = checks.tick() => self.check_connection(session).await,
            }
        }
    }

    async fn declare(&self, session: &Session, camera: PublishedCamera) -> Result<BusCamera, ZenohError> {
        let key = keys::camera_alive(&self.host, &keys::part(camera.session.name()));
        let declared = session.liveliness().declare_token(key.clone()).await;
        let alive = declared.map_err(|error| ZenohError::refused(key, &error))?;
        Ok(BusCamera { camera, _alive: alive })
    }

    /// Reports another receiver that uses the same keys. Call it before ours is declared.
    async fn warn_of_namesake(&self, session: &Session) {
        let key = keys::host_alive(&self.host);
        let Ok(replies) = session.liveliness().get(key).timeout(ALIVE_TIMEOUT).await else { return };
        while let Ok(reply) = replies.recv_async().await {
            if reply.result().is_ok() {
                let (target, host) = (&self.target, &self.host);
                (self.options.report)(&format!("{target}: another oaktap already publishes as {host} there"));
                let router = &target.router;
                (self.options.report)(&format!(
                    "help: stop it, or give this one another name: --to zenoh://{router}/NAME"
                ));
                return;
            }
        }
    }

    /// Reports a connection that is lost, and one that is open.
    async fn check_connection(&self, session: &Session) {
        let is_connected = has_router(session).await;
        let mut counts = locked(&self.counts);
        if is_connected == counts.connected {
            return;
        }
        counts.connected = is_connected;
        counts.connections += u64::from(is_connected);
        drop(counts);
        match is_connected {
            true => (self.options.report)(&format!("publishing on {} as {}", self.target, self.host)),
            false => (self.options.report)(&format!("{}: connection lost; reconnecting", self.target)),
        }
    }
}
