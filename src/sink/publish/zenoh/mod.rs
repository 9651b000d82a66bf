//! Publishes to a Zenoh router. See [`crate::net::zenoh`] for the keys, and docs/zenoh.md for users.
//!
//! ```text
//! confirmed frames, numbered --DropOldest(64), without pictures--> thread "publish zenoh": detections, states, queries
//!                            --DropOldest(1), muted without subscribers--> thread "publish pictures": image messages
//! ```
//!
//! Zenoh's session has threads of its own; both of ours hand messages to it. A congested link blocks the thread of pictures for 0.4 s
//! for each picture, and that of detections for 1 ms: these have a queue of their own in Zenoh, with a higher priority.
//! The lanes drop and count meanwhile. Zenoh does not report the messages that it drops after that; a subscriber sees a gap in `seq`.
#![doc = include_str!("site.md")]

mod camera;
mod messages;
mod pictures;
mod queries;
mod target;

use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, channel};
use tokio::time::{MissedTickBehavior, interval};
use zenoh::Session;
use zenoh::liveliness::LivelinessToken;

use self::camera::{BusCamera, Declaring};
use self::pictures::Pictures;
use self::queries::BusQuery;
pub use self::target::ZenohTarget;
use super::camera::NumberedFrame;
use super::router::{self, Connection, FINISH_MAX};
use super::turns::next_in_turn;
use super::{Command, PublishCounts, PublishOptions, PublishedCamera, TargetLanes};
use crate::net::zenoh::{ZenohError, close, declare_token, keys};
use crate::sync::locked;

/// How often the connection, the states and the subscribers are looked at.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Longest wait for another receiver of the same name to answer.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Queries that wait. Further ones end without an answer.
const QUERIES_WAITING: usize = 64;

/// Publishes to one router until the sender of its commands is dropped.
pub(super) struct ZenohPublisher {
    target: ZenohTarget,
    /// Name of this machine in keys.
    host: String,
    options: PublishOptions,
    commands: UnboundedReceiver<Command>,
    counts: Arc<Mutex<PublishCounts>>,
    /// Cameras that are not declared yet.
    added: Vec<PublishedCamera>,
    cameras: Vec<BusCamera>,
    alive: Option<LivelinessToken>,
    /// For the callbacks of Zenoh.
    queries: Sender<BusQuery>,
    waiting_queries: Receiver<BusQuery>,
    connection: Connection,
    /// The camera whose frame is taken next.
    next_camera: usize,
}

impl ZenohPublisher {
    pub(super) fn new(
        target: &ZenohTarget,
        options: PublishOptions,
        commands: UnboundedReceiver<Command>,
        counts: Arc<Mutex<PublishCounts>>,
    ) -> Self {
        let (queries, waiting_queries) = channel(QUERIES_WAITING);
        Self {
            host: target.host(),
            target: target.clone(),
            options,
            commands,
            counts,
            added: Vec::new(),
            cameras: Vec::new(),
            alive: None,
            queries,
            waiting_queries,
            connection: Connection::default(),
            next_camera: 0,
        }
    }

    /// Publishes until the program has finished publishing. Counts the frames whose detections were not published by then.
    pub(super) async fn run(mut self) {
        let Some(session) = self.connect().await else {
            self.count_unpublished();
            return;
        };
        if let Err(error) = self.publish(&session).await {
            self.report(&format!("{}: {error}", self.target));
        }
        self.count_unpublished();
        // The keys and tokens end with the session. Each of them withdrawn by itself would wait for a link that is congested.
        close(session).await;
    }

    fn count_unpublished(&self) {
        let lanes = |camera: &PublishedCamera| match &camera.lanes {
            TargetLanes::Numbered(frames) => frames.detections.waiting() as u64,
            TargetLanes::Frames(_) => 0,
        };
        let waiting = self.added.iter().map(lanes).chain(self.cameras.iter().map(BusCamera::waiting)).sum();
        locked(&self.counts).unpublished = waiting;
    }

    fn report(&self, text: &str) {
        (self.options.report)(text);
    }

    /// Opens the session, which then reconnects by itself. `None` when the program has finished publishing.
    async fn connect(&mut self) -> Option<Session> {
        let opening = router::open(self.target.router.clone(), self.target.to_string(), self.options.report);
        self.unless_finished(opening).await
    }

    /// Awaits `work`, and takes commands meanwhile. Returns `None` when the program has finished publishing.
    async fn unless_finished<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                command = self.commands.recv() => match command? {
                    Command::Add(camera) => self.added.push(*camera),
                    Command::Remove(name) => self.added.retain(|camera| camera.session.name() != name),
                },
            }
        }
    }

    async fn publish(&mut self, session: &Session) -> Result<(), ZenohError> {
        self.warn_of_namesake(session).await;
        self.alive = Some(declare_token(session, keys::host_alive(&self.host)).await?);
        let pictures = Pictures::start().map_err(|error| ZenohError::Thread(error.to_string()))?;
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.declare_added(session, &pictures).await?;
            let next = |at: usize, cx: &mut Context<'_>| self.cameras[at].poll_detections(cx);
            tokio::select! {
                (at, numbered) = next_in_turn(self.cameras.len(), self.next_camera, next) => {
                    self.next_camera = at + 1;
                    self.frame(session, at, &numbered).await?;
                }
                Some(query) = self.waiting_queries.recv() => {
                    // A camera that was removed meanwhile has no answer.
                    if let Some(camera) = self.cameras.iter().find(|camera| camera.part == query.camera) {
                        query.answer(camera).await;
                    }
                }
                command = self.commands.recv() => match command {
                    Some(Command::Add(camera)) => self.added.push(*camera),
                    Some(Command::Remove(name)) => self.remove(&pictures, &name),
                    None => break,
                },
                _ = checks.tick() => {
                    self.check_connection(session).await;
                    for camera in &mut self.cameras {
                        camera.check(self.connection.is_open).await;
                    }
                }
            }
        }
        // The sessions have ended. A link that is congested does not delay the end of the program.
        if self.connection.is_open {
            self.finish(session).await?;
        }
        Ok(())
    }

    async fn declare_added(&mut self, session: &Session, pictures: &Pictures) -> Result<(), ZenohError> {
        for camera in std::mem::take(&mut self.added) {
            let PublishedCamera { session: camera, lanes, recording, .. } = camera;
            let TargetLanes::Numbered(frames) = lanes else { continue };
            let part = keys::free_part(camera.name(), |part| self.has_part(part));
            let camera = BusCamera::declare(&self.declaring(session), part, camera, frames, recording).await?;
            pictures.add(&camera.pictures);
            self.cameras.push(camera);
        }
        Ok(())
    }

    /// Returns whether a stream of any camera has this name in keys.
    fn has_part(&self, part: &str) -> bool {
        self.cameras.iter().any(|camera| camera.has_part(part))
    }

    fn declaring<'a>(&'a self, bus: &'a Session) -> Declaring<'a> {
        Declaring { bus, host: &self.host, counts: &self.counts, queries: &self.queries }
    }

    /// Forgets a camera, and withdraws its keys.
    fn remove(&mut self, pictures: &Pictures, name: &str) {
        self.added.retain(|camera| camera.session.name() != name);
        for camera in self.cameras.iter().filter(|camera| camera.session.name() == name) {
            pictures.remove(&camera.pictures);
        }
        self.cameras.retain(|camera| camera.session.name() != name);
    }

    async fn frame(&mut self, session: &Session, at: usize, numbered: &NumberedFrame) -> Result<(), ZenohError> {
        if !self.cameras[at].has_stream(numbered) {
            let name = self.cameras[at].stream_name(numbered);
            let part = keys::free_part(&name, |part| self.has_part(part));
            let Self { host, counts, queries, cameras, .. } = self;
            let declaring = Declaring { bus: session, host, counts, queries };
            cameras[at].declare_stream(&declaring, &part, numbered.frame.stream.clone(), false).await?;
        }
        self.cameras[at].frame(numbered, &self.options.style);
        Ok(())
    }

    /// Publishes the detections that still wait, until the time for it is over, and the last states.
    async fn finish(&mut self, session: &Session) -> Result<(), ZenohError> {
        let deadline = Instant::now() + FINISH_MAX;
        for at in 0..self.cameras.len() {
            while Instant::now() < deadline
                && let Some(numbered) = self.cameras[at].take_detections()
            {
                self.frame(session, at, &numbered).await?;
            }
            self.cameras[at].put_last();
        }
        Ok(())
    }

    /// Reports another receiver that uses the same keys. Call it before ours is declared.
    async fn warn_of_namesake(&self, session: &Session) {
        let key = keys::host_alive(&self.host);
        let Ok(replies) = session.liveliness().get(key).timeout(ALIVE_TIMEOUT).await else { return };
        while let Ok(reply) = replies.recv_async().await {
            if reply.result().is_ok() {
                let Self { target, host, .. } = self;
                self.report(&format!("{target}: another oaktap already publishes as {host} there"));
                let router = &target.router;
                self.report(&format!("help: stop it, or give this one another name: --to zenoh://{router}/NAME"));
                return;
            }
        }
    }

    /// Reports a connection that is lost, and one that is open.
    async fn check_connection(&mut self, session: &Session) {
        let Self { target, host, options, counts, connection, .. } = self;
        let texts = (target.to_string(), format!(" as {host}"));
        connection.check(session, counts, options.report, (&texts.0, &texts.1)).await;
    }
}
