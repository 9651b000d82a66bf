//! Publishes to ROS 2 as rmw_zenoh does, without an installation of ROS.
//!
//! | Topic | Type | Content |
//! |---|---|---|
//! | `/NAME/image/compressed` | `sensor_msgs/CompressedImage` | JPEG, H.264 or H.265 of the camera, or a JPEG of its pixels |
//! | `/NAME/image` | `sensor_msgs/Image` | pixels, instead of a JPEG |
//! | `/NAME/detections` | `vision_msgs/Detection2DArray` | detections of each confirmed frame |
//! | `/NAME/camera_info` | `sensor_msgs/CameraInfo` | a given calibration, with each frame |
//!
//! All messages about a frame have the same header, so that subscribers can join them. Pictures of other streams than the first
//! one are below `/NAME/STREAM`. A message is encoded only while somebody subscribes to its topic.

mod calibration;
mod camera;
mod endpoint;
mod graph;
mod image;
mod messages;
mod names;
mod pictures;
mod target;

use std::sync::{Arc, Mutex};
use std::task::Context as TaskContext;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval};

pub use self::calibration::Calibration;
pub use self::graph::{RosDistro, UnknownRosDistro};
pub use self::target::Ros2Target;

use self::camera::Ros2Camera;
use self::endpoint::Context;
use self::graph::Node;
use super::camera::NumberedFrame;
use super::router::{self, Connection, FINISH_MAX};
use super::turns::next_in_turn;
use super::{Command, PublishCounts, PublishOptions, PublishedCamera, TargetLanes};
use crate::net::host_name::host_name;
use crate::sync::locked;

/// How often the connection to the router is checked, and who subscribes.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Before the name of this host in the name of our node.
const NODE: &str = "oaktap";

/// Options of targets of ROS 2.
#[derive(Clone, Debug, Default)]
pub struct Ros2Options {
    /// The distribution that subscribes.
    pub distro: RosDistro,
    /// Publishes pixels as they are, instead of JPEG.
    pub raw: bool,
    /// Calibrations by the name of their camera; `None`: of all cameras without another one.
    pub calibrations: Vec<(Option<String>, Calibration)>,
}

impl Ros2Options {
    /// Returns the calibration of a camera.
    fn calibration(&self, camera: &str) -> Option<&Calibration> {
        let of = |wanted: Option<&str>| self.calibrations.iter().find(|(name, _)| name.as_deref() == wanted);
        of(Some(camera)).or_else(|| of(None)).map(|(_, calibration)| calibration)
    }
}

/// Publishes to one router until the sender of its commands is dropped.
pub(super) struct Ros2Publisher {
    target: Ros2Target,
    options: PublishOptions,
    commands: UnboundedReceiver<Command>,
    cameras: Vec<Ros2Camera>,
    counts: Arc<Mutex<PublishCounts>>,
    /// The camera whose frame is taken next.
    next_camera: usize,
}

impl Ros2Publisher {
    pub(super) fn new(
        target: Ros2Target,
        options: PublishOptions,
        commands: UnboundedReceiver<Command>,
        counts: Arc<Mutex<PublishCounts>>,
    ) -> Self {
        Self { target, options, commands, cameras: Vec::new(), counts, next_camera: 0 }
    }

    /// Publishes until the program has finished publishing. Counts the frames that were not published by then.
    pub(super) async fn run(mut self) {
        if let Some(mut context) = self.open().await {
            self.publish(&mut context).await;
            self.last_messages(&mut context).await;
            locked(&self.counts).unpublished = self.waiting();
            // Their topics leave the graph of ROS before the session ends.
            self.cameras.clear();
            context.close().await;
        } else {
            locked(&self.counts).unpublished = self.waiting();
        }
    }

    fn waiting(&self) -> u64 {
        self.cameras.iter().map(|camera| camera.waiting() as u64).sum()
    }

    /// Opens the session, and tries again until it is open. Returns `None` when the program has finished publishing.
    async fn open(&mut self) -> Option<Context> {
        let opening = router::open(self.target.router.clone(), self.target.to_string(), self.options.report);
        let session = self.unless_finished(opening).await?;
        let node = self.node(&session);
        match Context::new(session, node, Arc::clone(&self.counts)).await {
            Ok(mut context) => {
                for camera in &mut self.cameras {
                    declare(camera, &mut context, &self.options).await;
                }
                Some(context)
            }
            Err(error) => {
                (self.options.report)(&format!("{}: {error}", self.target));
                None
            }
        }
    }

    fn node(&self, session: &zenoh::Session) -> Node {
        let host = names::token(&host_name(), names::HOST, |_| false);
        Node {
            domain: self.target.domain,
            distro: self.options.ros2.distro,
            session: session.zid().to_string(),
            namespace: self.target.namespace.clone(),
            name: format!("{NODE}_{host}"),
        }
    }

    /// Awaits `work`, and takes commands meanwhile. Returns `None` when the program has finished publishing.
    async fn unless_finished<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                command = self.commands.recv() => self.command(command?, None).await,
            }
        }
    }

    /// Adds or removes a camera. `context`: if there is a session.
    async fn command(&mut self, command: Command, context: Option<&mut Context>) {
        match command {
            Command::Add(camera) => {
                let PublishedCamera { session, lanes, .. } = *camera;
                // Each target has lanes of its own kind.
                let TargetLanes::Numbered(lanes) = lanes else { return };
                let name = session.name();
                let is_taken = |token: &str| self.cameras.iter().any(|known| known.token == token);
                let token = names::token(name, names::CAMERA, is_taken);
                match Ros2Camera::new(name, token, lanes, &self.options.ros2) {
                    Ok(mut camera) => {
                        if let Some(context) = context {
                            declare(&mut camera, context, &self.options).await;
                        }
                        self.cameras.push(camera);
                    }
                    Err(error) => {
                        (self.options.report)(&format!("cannot publish {name}: cannot start a thread: {error}"));
                    }
                }
            }
            Command::Remove(name) => self.cameras.retain(|camera| camera.name != name),
        }
    }

    /// Publishes until the program has finished publishing. The session reconnects by itself.
    async fn publish(&mut self, context: &mut Context) {
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut connection = Connection::default();
        let target = self.target.to_string();
        loop {
            let next = |at: usize, cx: &mut TaskContext<'_>| self.cameras[at].poll_frame(cx);
            tokio::select! {
                // Without a router, frames wait in their lanes, where the ledger counts those that are dropped.
                (at, frame) = next_in_turn(self.cameras.len(), self.next_camera, next), if connection.is_open => {
                    self.next_camera = at + 1;
                    self.frame(context, at, &frame).await;
                }
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command, Some(context)).await,
                    None => return,
                },
                _ = checks.tick() => {
                    connection.check(&context.session, &self.counts, self.options.report, (&target, "")).await;
                    for camera in &self.cameras {
                        camera.follow_subscribers().await;
                    }
                }
            }
        }
    }

    async fn frame(&mut self, context: &mut Context, at: usize, frame: &NumberedFrame) {
        let camera = &mut self.cameras[at];
        if let Some(error) = camera.frame(context, frame, &self.options.style).await {
            (self.options.report)(&format!("{}: {error}", camera.name));
        }
    }

    /// Publishes the detections that wait, until the time for it is over.
    async fn last_messages(&mut self, context: &mut Context) {
        if !locked(&self.counts).connected {
            return;
        }
        let deadline = Instant::now() + FINISH_MAX;
        for at in 0..self.cameras.len() {
            while Instant::now() < deadline
                && let Some(frame) = self.cameras[at].next_frame()
            {
                self.frame(context, at, &frame).await;
            }
        }
    }
}

/// Declares the topics of a camera. Reports it if Zenoh refuses them.
async fn declare(camera: &mut Ros2Camera, context: &mut Context, options: &PublishOptions) {
    if let Err(error) = camera.declare(context).await {
        (options.report)(&format!("{}: {error}", camera.name));
    }
}
