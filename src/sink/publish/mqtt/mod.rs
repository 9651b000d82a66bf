//! Publishes to an MQTT broker.
//!
//! | Topic | Quality of service | Content |
//! |---|---|---|
//! | `PREFIX/available` | 0, retained | `online`, or `offline`, which is also the last will |
//! | `PREFIX/NAME/state` | 0, retained | the camera's state and counts |
//! | `PREFIX/NAME/detections` | 0 | each confirmed frame |
//! | `PREFIX/NAME/objects` | 0, retained | number of objects by class |
//! | `PREFIX/NAME/events` | 1 | objects that appear, change and leave |
//! | `PREFIX/NAME/picture` | 0 | a JPEG after each message on `PREFIX/NAME/picture/get` |
//!
//! Frames are taken from the lanes of the cameras only while the connection sends: a slow broker drops the oldest frames there,
//! where the ledger counts them.

mod availability;
mod home_assistant;
mod opening;
mod outbox;
mod topics;

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::Duration;

use rumqttc::{LastWill, Publish, QoS, SubscribeFilter};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use self::availability::{Availability, SHARED_PREFIX_HELP};
use self::outbox::{Delivery, Outbox};
use self::topics::Topics;
use super::camera::PublishedFrame;
use super::objects::{ObjectEvent, Objects};
use super::picture::{PictureMaker, TakenPicture};
use super::turns::next_in_turn;
use super::{Command, PublishCounts, PublishOptions, PublishedCamera, TargetLanes, state};
use crate::frame::MemoryBound;
use crate::hub::Taker;
use crate::net::mqtt::{Client, Message, identifier};
use crate::sink::detections::DetectionRecord;
use crate::source::{Backoff, MqttSpec, Session, SourceErrorKind};
use crate::sync::locked;

/// A connection that lasted for this long was a good one: the next attempt comes at once.
const GOOD_CONNECTION: Duration = Duration::from_secs(5);

/// Bytes that wait to be sent, from which no more frames are taken.
const WAITING_MAX_BYTES: usize = 256 << 10;

/// How often the states of the cameras are looked at.
const STATE_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How often the state of a camera is published while it does not change.
const STATE_INTERVAL: Duration = Duration::from_secs(10);

/// Longest time that the end waits for the broker.
const FINISH_MAX: Duration = Duration::from_secs(2);

/// A camera, and what the broker knows about it.
struct MqttCamera {
    session: Session,
    frames: Taker<PublishedFrame>,
    pictures: Arc<PictureMaker>,
    /// Name in topics.
    level: String,
    objects: Objects,
    /// The last published number of objects.
    counted: String,
    /// The state as one word, and when it was published.
    published: Option<(&'static str, Instant)>,
    /// A picture was requested, and was not sent yet.
    awaits_picture: bool,
}

/// One attempt to connect, or the connection that it opened.
enum Ended {
    /// The program has finished publishing.
    Finished,
    /// Not connected; `since`: the start of the connection, if there was one.
    Lost { error: SourceErrorKind, since: Option<Instant> },
}

/// Publishes to one broker until the sender of its commands is dropped.
pub(super) struct MqttPublisher {
    spec: MqttSpec,
    topics: Topics,
    options: PublishOptions,
    /// Our identifier at the broker. The same for all connections, so that the broker ends the last one.
    identifier: String,
    availability: Availability,
    commands: UnboundedReceiver<Command>,
    cameras: Vec<MqttCamera>,
    /// Topics that the broker still keeps of cameras that were removed while there was no connection.
    kept_topics: Vec<String>,
    answers: UnboundedSender<TakenPicture>,
    pictures: UnboundedReceiver<TakenPicture>,
    outbox: Outbox,
    counts: Arc<Mutex<PublishCounts>>,
    /// The camera whose frame is taken next.
    next_camera: usize,
}

impl MqttPublisher {
    pub(super) fn new(
        spec: MqttSpec,
        options: PublishOptions,
        commands: UnboundedReceiver<Command>,
        counts: Arc<Mutex<PublishCounts>>,
    ) -> Self {
        let (answers, pictures) = unbounded_channel();
        Self {
            topics: Topics::new(&spec.topic),
            spec,
            options,
            identifier: identifier(),
            availability: Availability::default(),
            commands,
            cameras: Vec::new(),
            kept_topics: Vec::new(),
            answers,
            pictures,
            outbox: Outbox::new(Arc::clone(&counts)),
            counts,
            next_camera: 0,
        }
    }

    /// Publishes until the program has finished publishing. Counts the frames that were not published by then.
    pub(super) async fn run(mut self) {
        self.keep_connected().await;
        let waiting = self.cameras.iter().map(|known| known.frames.waiting() as u64).sum();
        locked(&self.counts).unpublished = waiting;
    }

    /// Connects, and connects again when the connection is lost.
    async fn keep_connected(&mut self) {
        let bound = opening::bound();
        let mut backoff = Backoff::new();
        let mut told = String::new();
        loop {
            let Ended::Lost { error, since } = self.connection(&bound).await else { return };
            locked(&self.counts).connected = false;
            let text = match since {
                Some(_) => format!("{}: connection lost: {error}; reconnecting", self.spec),
                None => format!("{}: {error}; retrying", self.spec),
            };
            // A connection that is lost again is new; the same trouble of many attempts is not.
            if since.is_some() || text != told {
                (self.options.report)(&text);
                let was_connected = locked(&self.counts).connections > 0;
                if let Some(help) = opening::help(&error, was_connected) {
                    (self.options.report)(&format!("help: {help}"));
                }
            }
            told = text;
            let was_good = since.is_some_and(|since| since.elapsed() >= GOOD_CONNECTION);
            let delay = opening::delay(&error, &mut backoff, was_good);
            if self.unless_finished(tokio::time::sleep(delay)).await.is_none() {
                return;
            }
        }
    }

    /// Awaits `work`, and takes commands meanwhile. Returns `None` when the program has finished publishing.
    async fn unless_finished<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                command = self.commands.recv() => self.command(command?),
            }
        }
    }

    /// Opens a connection and publishes until it is lost.
    async fn connection(&mut self, bound: &MemoryBound) -> Ended {
        let mut attempt = pin!(opening::open(
            self.spec.clone(),
            self.identifier.clone(),
            self.last_will(),
            self.filters(),
            bound.clone()
        ));
        let opened = self.unless_finished(attempt.as_mut()).await;
        let is_finished = opened.is_none();
        let opened = match opened {
            Some(opened) => opened,
            // The frames that wait are published all the same, if the broker answers in time.
            None => match timeout(FINISH_MAX, attempt).await {
                Ok(opened) => opened,
                Err(_) => return Ended::Finished,
            },
        };
        let mut client = match opened {
            Ok(client) => client,
            Err(_) if is_finished => return Ended::Finished,
            Err(error) => return Ended::Lost { error, since: None },
        };
        {
            let mut counts = locked(&self.counts);
            counts.connected = true;
            counts.connections += 1;
        }
        self.availability.connected();
        (self.options.report)(&format!("publishing on {}", self.spec));
        let since = Some(Instant::now());
        let published = if is_finished { self.announce(&mut client) } else { self.publish(&mut client).await };
        match published {
            Ok(()) => {
                self.finish(client).await;
                Ended::Finished
            }
            Err(error) => {
                self.outbox.disconnected(client.waiting_bytes());
                Ended::Lost { error, since }
            }
        }
    }

    fn last_will(&self) -> LastWill {
        LastWill::new(self.topics.available(), "offline", QoS::AtMostOnce, true)
    }

    fn filters(&self) -> Vec<SubscribeFilter> {
        let status = self.options.home_assistant.as_deref().map(home_assistant::status);
        let filters = [self.topics.requests(), self.topics.available()].into_iter().chain(status);
        filters.map(|path| SubscribeFilter { path, qos: QoS::AtMostOnce }).collect()
    }

    /// Publishes until the program has finished publishing, or the connection is lost.
    async fn publish(&mut self, client: &mut Client) -> Result<(), SourceErrorKind> {
        self.announce(client)?;
        self.outbox.repeat(client)?;
        let mut checks = interval(STATE_CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while let Some(message) = client.message()? {
                self.message(client, message)?;
            }
            let has_room = client.waiting_bytes() < WAITING_MAX_BYTES;
            let next = |at: usize, cx: &mut Context<'_>| self.cameras[at].frames.poll_take(cx);
            tokio::select! {
                read = client.read() => { read?; }
                (at, frame) = next_in_turn(self.cameras.len(), self.next_camera, next), if has_room => {
                    self.next_camera = at + 1;
                    self.frame(client, at, &frame)?;
                }
                Some(picture) = self.pictures.recv(), if has_room => self.picture(client, picture)?,
                command = self.commands.recv() => match command {
                    Some(Command::Remove(name)) => {
                        for topic in self.remove(&name) {
                            self.outbox.publish(client, topic, "", Delivery::Retained)?;
                        }
                    }
                    Some(command) => {
                        let known = self.cameras.len();
                        self.command(command);
                        for at in known..self.cameras.len() {
                            self.announce_camera(client, at)?;
                        }
                    }
                    None => return Ok(()),
                },
                _ = checks.tick() => self.check_states(client)?,
            }
        }
    }

    /// Publishes what a broker or Home Assistant that has restarted does not know.
    fn announce(&mut self, client: &mut Client) -> Result<(), SourceErrorKind> {
        self.publish_available(client)?;
        for topic in std::mem::take(&mut self.kept_topics) {
            self.outbox.publish(client, topic, "", Delivery::Retained)?;
        }
        (0..self.cameras.len()).try_for_each(|at| self.announce_camera(client, at))
    }

    fn publish_available(&mut self, client: &mut Client) -> Result<(), SourceErrorKind> {
        self.availability.published();
        Ok(self.outbox.publish(client, self.topics.available(), "online", Delivery::Retained)?)
    }

    fn announce_camera(&mut self, client: &mut Client, at: usize) -> Result<(), SourceErrorKind> {
        if let Some(discovery_prefix) = &self.options.home_assistant {
            let MqttCamera { session, level, .. } = &self.cameras[at];
            let name = session.name();
            for (topic, config) in home_assistant::discovery(discovery_prefix, &self.topics, name, level) {
                self.outbox.publish(client, topic, config, Delivery::Retained)?;
            }
        }
        self.state(client, at)?;
        self.cameras[at].counted.clear();
        self.objects(client, at)
    }

    /// Adds or removes a camera without a connection.
    fn command(&mut self, command: Command) {
        match command {
            Command::Add(camera) => {
                let PublishedCamera { session, lanes, pictures, .. } = *camera;
                #[allow(irrefutable_let_patterns)] // Without other targets, there is one variant only.
                let TargetLanes::Frames(frames) = lanes else { return };
                let is_taken = |level: &str| self.cameras.iter().any(|known| known.level == level);
                let level = topics::level(session.name(), is_taken);
                let objects = Objects::new(session.name());
                self.cameras.push(MqttCamera {
                    session,
                    frames,
                    pictures,
                    level,
                    objects,
                    counted: String::new(),
                    published: None,
                    awaits_picture: false,
                });
            }
            Command::Remove(name) => {
                let topics = self.remove(&name);
                self.kept_topics.extend(topics);
            }
        }
    }

    /// Forgets a camera. Returns the topics that the broker keeps of it; an empty retained message clears each.
    fn remove(&mut self, name: &str) -> Vec<String> {
        let Some(at) = self.cameras.iter().position(|known| known.session.name() == name) else {
            return Vec::new();
        };
        let MqttCamera { level, session, .. } = self.cameras.remove(at);
        let kept = ["state", "objects"].map(|last| self.topics.of(&level, last));
        let discovery_prefix = self.options.home_assistant.as_deref();
        let described = discovery_prefix
            .map(|discovery_prefix| home_assistant::discovery(discovery_prefix, &self.topics, session.name(), &level));
        kept.into_iter().chain(described.into_iter().flatten().map(|(topic, _)| topic)).collect()
    }

    /// Publishes the detections of a frame, and the events of its objects.
    fn frame(&mut self, client: &mut Client, at: usize, frame: &PublishedFrame) -> Result<(), SourceErrorKind> {
        let PublishedFrame { seq, detected, is_main } = frame;
        let known = &mut self.cameras[at];
        let camera = Some(known.session.name());
        let record = DetectionRecord { camera, ..DetectionRecord::new(detected, *seq, &self.options.style) };
        // Strings and numbers: serializing them cannot fail.
        let text = serde_json::to_string(&record).unwrap_or_default();
        let topic = self.topics.of(&known.level, "detections");
        let events =
            if *is_main { known.objects.frame(*seq, &detected.frame, &self.options.style) } else { Vec::new() };
        self.outbox.publish(client, topic, text, Delivery::Once)?;
        self.events(client, at, &events)
    }

    fn events(&mut self, client: &mut Client, at: usize, events: &[ObjectEvent]) -> Result<(), SourceErrorKind> {
        if events.is_empty() {
            return Ok(());
        }
        for event in events {
            let text = serde_json::to_string(event).unwrap_or_default();
            self.outbox.event(client, self.topics.of(&self.cameras[at].level, "events"), text)?;
        }
        self.objects(client, at)
    }

    /// Publishes the number of objects, if it has changed.
    fn objects(&mut self, client: &mut Client, at: usize) -> Result<(), SourceErrorKind> {
        let known = &mut self.cameras[at];
        let text = serde_json::to_string(&known.objects.counts()).unwrap_or_default();
        if text == known.counted {
            return Ok(());
        }
        known.counted.clone_from(&text);
        let topic = self.topics.of(&known.level, "objects");
        Ok(self.outbox.publish(client, topic, text, Delivery::Retained)?)
    }

    fn state(&mut self, client: &mut Client, at: usize) -> Result<(), SourceErrorKind> {
        let known = &mut self.cameras[at];
        let session = &known.session;
        known.published = Some((session.state().word(), Instant::now()));
        let (topic, text) = (self.topics.of(&known.level, "state"), state::describe(session));
        Ok(self.outbox.publish(client, topic, text, Delivery::Retained)?)
    }

    /// Publishes the states that have changed, and those that are old. Ends the objects of cameras that send no frames.
    fn check_states(&mut self, client: &mut Client) -> Result<(), SourceErrorKind> {
        for at in 0..self.cameras.len() {
            let known = &mut self.cameras[at];
            let state = known.session.state();
            let events = if state::is_online(&state) { Vec::new() } else { known.objects.end_all() };
            let is_due = known.published.is_none_or(|(word, when)| {
                // Each attempt of a camera that is lost passes through `connecting`.
                let has_changed = state.word() != word && !(state.word() == "connecting" && word == "lost");
                has_changed || when.elapsed() >= STATE_INTERVAL
            });
            self.events(client, at, &events)?;
            if is_due {
                self.state(client, at)?;
            }
        }
        Ok(())
    }

    /// Processes a message of the broker.
    fn message(&mut self, client: &mut Client, message: Message) -> Result<(), SourceErrorKind> {
        let Publish { topic, payload, retain, .. } = match message {
            Message::Whole(publish) => {
                client.acknowledge(&publish)?;
                publish
            }
            Message::Acknowledged(id) => {
                self.outbox.acknowledged(id);
                return Ok(());
            }
            Message::Skipped(_) => return Ok(()),
        };
        let status = self.options.home_assistant.as_deref().map(home_assistant::status);
        if status.is_some_and(|status| status == topic) {
            return if payload == home_assistant::BIRTH { self.announce(client) } else { Ok(()) };
        }
        let available = self.topics.available();
        if topic == available {
            let noticed = self.availability.received(&payload, retain);
            if noticed.is_shared {
                (self.options.report)(&format!("{}: another program publishes on {available}", self.spec));
                (self.options.report)(&format!("help: {SHARED_PREFIX_HELP}"));
            }
            return if noticed.is_overwritten { self.publish_available(client) } else { Ok(()) };
        }
        let requested = self.topics.requested(&topic);
        let known = self.cameras.iter_mut().find(|known| Some(known.level.as_str()) == requested);
        // A retained request would be repeated with each subscription.
        if let Some(known) = known.filter(|known| !retain && !known.awaits_picture) {
            known.awaits_picture = true;
            known.pictures.request(self.answers.clone());
        }
        Ok(())
    }

    fn picture(&mut self, client: &mut Client, picture: TakenPicture) -> Result<(), SourceErrorKind> {
        let TakenPicture { camera, file } = picture;
        let Some(known) = self.cameras.iter_mut().find(|known| known.session.name() == camera) else {
            return Ok(());
        };
        known.awaits_picture = false;
        match file {
            Ok(file) => {
                let topic = self.topics.of(&known.level, "picture");
                Ok(self.outbox.publish(client, topic, file, Delivery::Once)?)
            }
            Err(error) => {
                tracing::warn!(camera, "cannot publish a picture: {error}");
                Ok(())
            }
        }
    }

    /// Publishes the frames that wait and the last states, waits until the broker has taken the events, and takes leave. The
    /// sessions have ended.
    async fn finish(&mut self, mut client: Client) {
        let deadline = Instant::now() + FINISH_MAX;
        let finished = timeout(FINISH_MAX, self.last_messages(&mut client)).await;
        let is_sent = matches!(finished, Ok(Ok(())));
        if !is_sent {
            self.outbox.disconnected(client.waiting_bytes());
        }
        client.close(deadline.saturating_duration_since(Instant::now())).await;
    }

    async fn last_messages(&mut self, client: &mut Client) -> Result<(), SourceErrorKind> {
        for at in 0..self.cameras.len() {
            while let Some(frame) = self.cameras[at].frames.try_take() {
                self.frame(client, at, &frame)?;
                if client.waiting_bytes() >= WAITING_MAX_BYTES {
                    client.flush().await?;
                }
            }
            let events = self.cameras[at].objects.end_all();
            self.events(client, at, &events)?;
            self.state(client, at)?;
        }
        self.outbox.publish(client, self.topics.available(), "offline", Delivery::Retained)?;
        client.flush().await?;
        while self.outbox.has_events() {
            client.read().await?;
            while let Some(message) = client.message()? {
                if let Message::Acknowledged(id) = message {
                    self.outbox.acknowledged(id);
                }
            }
        }
        Ok(())
    }
}
