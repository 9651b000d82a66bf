//! The receivers and cameras that a router knows, with their states.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use zenoh::Session;
use zenoh::pubsub::Subscriber;
use zenoh::sample::{Sample, SampleKind};

use super::ZenohSpec;
use super::far::JSON_MAX_BYTES;
use crate::net::zenoh::keys::{self, ANY, Key, Topic};
use crate::net::zenoh::{ZenohError, ZenohRouter, close, has_router, open};
use crate::sync::locked;

/// Longest wait for the answers of a router and of receivers.
const ANSWERS_MAX: Duration = Duration::from_secs(2);

/// Time between two questions while nothing that was asked for is there.
const ASK_INTERVAL: Duration = Duration::from_millis(250);

/// Most receivers, and most cameras of one, that are kept: a peer may publish any number of names.
const KEPT_MAX: usize = 4096;

/// A receiver, and its cameras by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FleetReceiver {
    /// Its name.
    pub host: String,
    /// It is connected to the router.
    pub alive: bool,
    /// Its cameras.
    pub cameras: Vec<FleetCamera>,
}

/// A camera that a receiver publishes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FleetCamera {
    /// Its name.
    pub camera: String,
    /// Its receiver publishes it.
    pub alive: bool,
    /// Its last state; `None` if the receiver did not answer.
    #[serde(flatten)]
    pub state: Option<FleetState>,
}

/// State, rates and losses of a camera, as its receiver publishes them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct FleetState {
    /// The state as one word.
    pub state: String,
    /// The state as a sentence.
    pub text: String,
    /// Its pictures arrive, or it sends them on events only.
    pub online: bool,
    /// Frames per second over the last frames; 0 unless it is streaming.
    pub fps: f64,
    /// Megabits per second over the last frames; 0 unless it is streaming.
    pub mbit_s: f64,
    /// Frames that were damaged, or of which only a part arrived.
    pub lost: u64,
    /// Frames of which nothing arrived.
    pub missing: u64,
    /// [`Self::missing`] is an estimate.
    pub missing_is_estimate: bool,
}

#[derive(Debug, Default)]
struct KnownReceiver {
    alive: bool,
    cameras: BTreeMap<String, (bool, Option<FleetState>)>,
}

/// What is known, filled by the callbacks of Zenoh.
#[derive(Debug, Default)]
struct Known {
    receivers: Mutex<BTreeMap<String, KnownReceiver>>,
    changed: Notify,
}

impl Known {
    fn take(&self, sample: &Sample) {
        let is_there = sample.kind() == SampleKind::Put;
        match Key::parse(sample.key_expr().as_str()) {
            Some(Key::HostAlive { host }) => self.receiver(host, |receiver| receiver.alive = is_there),
            Some(Key::CameraAlive { host, camera }) => self.camera(host, camera, |(alive, state)| {
                *alive = is_there;
                if !is_there {
                    *state = None;
                }
            }),
            Some(Key::Camera { host, camera, topic: Topic::State })
                if is_there && sample.payload().len() <= JSON_MAX_BYTES =>
            {
                let Ok(found) = serde_json::from_slice(&sample.payload().to_bytes()) else { return };
                self.camera(host, camera, |(_, state)| *state = Some(found));
            }
            _ => return,
        }
        self.changed.notify_one();
    }

    fn receiver(&self, host: &str, change: impl FnOnce(&mut KnownReceiver)) {
        let mut receivers = locked(&self.receivers);
        if receivers.len() < KEPT_MAX || receivers.contains_key(host) {
            change(receivers.entry(host.to_owned()).or_default());
        }
    }

    fn camera(&self, host: &str, camera: &str, change: impl FnOnce(&mut (bool, Option<FleetState>))) {
        self.receiver(host, |receiver| {
            if receiver.cameras.len() < KEPT_MAX || receiver.cameras.contains_key(camera) {
                change(receiver.cameras.entry(camera.to_owned()).or_default());
            }
        });
    }
}

/// Watches the receivers and cameras of a router.
pub struct ZenohFleet {
    router: ZenohRouter,
    session: Session,
    known: Arc<Known>,
    subscribers: Vec<Subscriber<()>>,
}

impl std::fmt::Debug for ZenohFleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZenohFleet").field("router", &self.router).field("known", &self.known).finish_non_exhaustive()
    }
}

impl ZenohFleet {
    /// Connects to a router, and begins to watch what is alive there. Needs a runtime of tokio with several threads.
    ///
    /// # Errors
    /// The router cannot be reached.
    pub async fn open(router: &ZenohRouter) -> Result<Self, ZenohError> {
        let session = open(router).await?;
        let known = Arc::new(Known::default());
        let mut subscribers = Vec::new();
        for key in [keys::host_alive(ANY), keys::camera_alive(ANY, ANY)] {
            let known = Arc::clone(&known);
            let tokens = session.liveliness().declare_subscriber(key.as_str()).history(true);
            let tokens = tokens.callback(move |token| known.take(&token)).await;
            subscribers.push(tokens.map_err(|error| ZenohError::refused(format!("a subscription to {key}"), &error))?);
        }
        Ok(Self { router: router.clone(), session, known, subscribers })
    }

    /// Subscribes to the states of all cameras, and asks for those of now.
    ///
    /// # Errors
    /// Zenoh refuses the subscription.
    pub async fn watch_states(&mut self) -> Result<(), ZenohError> {
        let key = keys::of_camera(ANY, ANY, Topic::State);
        let known = Arc::clone(&self.known);
        let states = self.session.declare_subscriber(key.as_str()).callback(move |sample| known.take(&sample)).await;
        let refused = |error: zenoh::Error| ZenohError::refused(format!("a subscription to {key}"), &error);
        self.subscribers.push(states.map_err(refused)?);
        let known = Arc::clone(&self.known);
        let (answered, mut all) = tokio::sync::mpsc::channel::<()>(1);
        let answer = move |reply: zenoh::query::Reply| {
            // Dropped with the last answer.
            let _ = &answered;
            if let Ok(sample) = reply.result() {
                known.take(sample);
            }
        };
        self.session.get(key.as_str()).timeout(ANSWERS_MAX).callback(answer).await.map_err(refused)?;
        let _ = all.recv().await;
        Ok(())
    }

    /// Asks which tokens are there, and waits for all answers, for at most 2 s.
    async fn ask(&self) {
        let until = Instant::now() + ANSWERS_MAX;
        for key in [keys::host_alive(ANY), keys::camera_alive(ANY, ANY)] {
            let known = Arc::clone(&self.known);
            let (answered, mut all) = tokio::sync::mpsc::channel::<()>(1);
            let answer = move |reply: zenoh::query::Reply| {
                // Dropped with the last answer.
                let _ = &answered;
                if let Ok(sample) = reply.result() {
                    known.take(sample);
                }
            };
            match self.session.liveliness().get(key.as_str()).timeout(ANSWERS_MAX).callback(answer).await {
                // Without an answer in time, what is known already counts.
                Ok(()) => drop(timeout_at(until, all.recv()).await),
                Err(error) => tracing::debug!("no query for {key}: {error}"),
            }
        }
    }

    /// Waits until a camera matches, for at most 2 s. Returns the cameras that match then.
    pub async fn matching(&self, pattern: &ZenohSpec) -> Vec<ZenohSpec> {
        let until = Instant::now() + ANSWERS_MAX;
        loop {
            self.ask().await;
            let found = self.alive(pattern);
            if !found.is_empty() || Instant::now() + ASK_INTERVAL >= until {
                return found;
            }
            tokio::time::sleep(ASK_INTERVAL).await;
        }
    }

    fn alive(&self, pattern: &ZenohSpec) -> Vec<ZenohSpec> {
        let fits = |asked: &str, name: &str| asked == ANY || asked == name;
        let receivers = self.receivers();
        let receivers = receivers.iter().filter(|receiver| fits(&pattern.host, &receiver.host));
        let cameras = receivers.flat_map(|receiver| receiver.cameras.iter().map(|camera| (&receiver.host, camera)));
        let cameras = cameras.filter(|(_, camera)| camera.alive && fits(&pattern.camera, &camera.camera));
        let spec = |(host, camera): (&String, &FleetCamera)| ZenohSpec {
            router: self.router.clone(),
            host: host.clone(),
            camera: camera.camera.clone(),
        };
        cameras.map(spec).collect()
    }

    /// Waits until everything that is there has answered, for at most 2 s.
    pub async fn settle(&self) {
        self.ask().await;
    }

    /// Returns all receivers and cameras that are there, or were, in the order of their names.
    #[must_use]
    pub fn receivers(&self) -> Vec<FleetReceiver> {
        let camera = |(camera, (alive, state)): (&String, &(bool, Option<FleetState>))| FleetCamera {
            camera: camera.clone(),
            alive: *alive,
            state: state.clone(),
        };
        let receiver = |(host, known): (&String, &KnownReceiver)| FleetReceiver {
            host: host.clone(),
            alive: known.alive,
            cameras: known.cameras.iter().map(camera).collect(),
        };
        locked(&self.known.receivers).iter().map(receiver).collect()
    }

    /// Waits until something has changed since the last call.
    pub async fn changed(&self) {
        self.known.changed.notified().await;
    }

    /// Returns whether the router is connected.
    pub async fn is_connected(&self) -> bool {
        has_router(&self.session).await
    }

    /// Disconnects.
    pub async fn close(self) {
        drop(self.subscribers);
        close(self.session).await;
    }
}
