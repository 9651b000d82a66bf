//! Publishes the detections, states and pictures of cameras to other programs.
//!
//! ```text
//! confirmed frames, without pictures --mqtt: DropOldest(64)--> thread of the target --> detections, events
//! confirmed frames, video decoded --DropOldest(1), while one is requested--> thread "picture NAME": JPEG --> target
//! confirmed frames with pictures --foxglove: DropToStart(12)--> thread of the target: encoded for subscribers only
//! confirmed frames --zenoh, ros2: detections DropOldest(64), pictures DropOldest(1) and (4)--> threads: for subscribers only
//! sessions, ledgers ---------------------------------------------------------> thread of the target --> states
//! ```
//!
//! A target that is slow or not reachable delays no camera and no other target: its frames are dropped in its lanes, which the
//! ledger counts. A target is a variant of [`PublishTarget`] and a module of its own.

mod camera;
#[cfg(feature = "foxglove")]
mod foxglove;
mod mqtt;
mod objects;
#[cfg(feature = "zenoh")]
mod outlet;
mod picture;
#[cfg(feature = "zenoh")]
mod ros2;
#[cfg(feature = "zenoh")]
mod router;
mod state;
mod target;
mod turns;
#[cfg(feature = "zenoh")]
mod zenoh;

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

#[cfg(feature = "zenoh")]
pub use self::ros2::{Calibration, Ros2Options, Ros2Target, RosDistro, UnknownRosDistro};
pub use self::target::{PublishTarget, PublishTargetError};
#[cfg(feature = "zenoh")]
pub use self::zenoh::ZenohTarget;
#[cfg(feature = "zenoh")]
pub use crate::net::zenoh::ZenohRouter;

#[cfg(feature = "zenoh")]
use self::camera::NumberedFrames;
use self::camera::PublishedFrame;
#[cfg(feature = "foxglove")]
use self::foxglove::FoxglovePublisher;
use self::mqtt::MqttPublisher;
use self::picture::PictureMaker;
#[cfg(feature = "zenoh")]
use self::ros2::Ros2Publisher;
#[cfg(feature = "zenoh")]
use self::zenoh::ZenohPublisher;
use crate::hub::Taker;
use crate::live::{Camera, Sink};
use crate::overlay::Style;
use crate::recording::Playback;
use crate::sink::record::{RecordersMonitor, RecordingSwitch};
use crate::source::Session;
use crate::sync::locked;

/// Longest time that the end waits for blocking work: the system may still resolve a host name.
const SHUTDOWN_MAX: Duration = Duration::from_millis(500);

/// Options of [`Publish`].
#[derive(Clone, Debug)]
pub struct PublishOptions {
    /// Detections that are published, and the names of their labels.
    pub style: Style,
    /// The discovery prefix of Home Assistant, for which the cameras are described there. `None`: they are not.
    pub home_assistant: Option<String>,
    /// Options of targets of ROS 2.
    #[cfg(feature = "zenoh")]
    pub ros2: Ros2Options,
    /// Called with what people need to know: connected, connection lost, and the next step.
    pub report: fn(&str),
    /// The playback of the recordings that are published, which clients of Foxglove control. `None`: the cameras are live, or
    /// are played without control.
    pub playback: Option<Playback>,
    /// If the only target cannot listen on its address, [`Publish::start`] fails. Otherwise the target tries again.
    pub fails_alone: bool,
}

/// Messages to one target.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PublishCounts {
    /// The target, without its password.
    pub target: String,
    /// It was connected at the end.
    pub connected: bool,
    /// Connections opened, by us or by clients.
    pub connections: u64,
    /// The target waits for clients: whether it has ever listened on its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listened: Option<bool>,
    /// Messages written to a connection.
    pub messages: u64,
    /// Bytes of these messages, with their topics.
    pub bytes: u64,
    /// Messages among these that were not sent when a connection was lost, and events that were dropped. Those that are
    /// published again are not lost. Frames that waited longer than their lane holds are in the ledger of their camera.
    pub lost: u64,
    /// Frames that still waited at the end: they were not published.
    pub unpublished: u64,
}

/// The lanes of a camera to one target.
#[derive(Debug)]
enum TargetLanes {
    /// One lane of frames, with or without their pictures.
    Frames(Taker<PublishedFrame>),
    /// Separate lanes for detections and for pictures.
    #[cfg(feature = "zenoh")]
    Numbered(NumberedFrames),
}

impl TargetLanes {
    /// Subscribes to a camera in the way of this target.
    fn subscribe(camera: &Camera, target: &PublishTarget) -> Self {
        match target {
            PublishTarget::Mqtt(_) => Self::Frames(camera::subscribe(camera)),
            #[cfg(feature = "foxglove")]
            PublishTarget::Foxglove(_) => Self::Frames(camera::subscribe_with_pictures(camera)),
            #[cfg(feature = "zenoh")]
            PublishTarget::Zenoh(_) => Self::Numbered(camera::subscribe_numbered(camera)),
            #[cfg(feature = "zenoh")]
            PublishTarget::Ros2(_) => Self::Numbered(camera::subscribe_numbered(camera)),
        }
    }
}

/// A camera that the program also records.
#[cfg(feature = "zenoh")]
#[derive(Clone, Debug)]
struct RecordedCamera {
    /// Of all cameras that are recorded together.
    recorders: RecordersMonitor,
    /// Index of the camera among them.
    camera: usize,
    /// `None`: clients cannot start and stop it.
    switch: Option<Arc<dyn RecordingSwitch>>,
}

/// A camera for one target.
#[derive(Debug)]
struct PublishedCamera {
    session: Session,
    #[cfg(feature = "foxglove")]
    camera: Camera,
    lanes: TargetLanes,
    pictures: Arc<PictureMaker>,
    /// `None`: the program does not record.
    #[cfg(feature = "zenoh")]
    recording: Option<RecordedCamera>,
}

/// A request to the thread of a target.
#[derive(Debug)]
enum Command {
    /// Publish this camera, too.
    Add(Box<PublishedCamera>),
    /// Forget the camera with this name.
    Remove(String),
}

/// A target, and its thread once it has started.
#[derive(Debug)]
struct Target {
    target: PublishTarget,
    commands: UnboundedSender<Command>,
    /// Taken by the thread.
    requests: Option<UnboundedReceiver<Command>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Mutex<PublishCounts>>,
}

impl Target {
    fn new(target: PublishTarget) -> Self {
        let (commands, requests) = unbounded_channel();
        let counts = PublishCounts { target: target.to_string(), ..PublishCounts::default() };
        Self { target, commands, requests: Some(requests), thread: None, counts: Arc::new(Mutex::new(counts)) }
    }

    /// Starts the thread. Another call changes nothing. `cameras`: their number so far.
    fn start(
        &mut self,
        options: &PublishOptions,
        #[cfg_attr(not(feature = "foxglove"), expect(unused_variables))] cameras: usize,
    ) -> io::Result<()> {
        let Some(requests) = self.requests.take() else { return Ok(()) };
        let (options, counts) = (options.clone(), Arc::clone(&self.counts));
        let runtime = match self.target {
            // Zenoh panics in runtimes of one thread.
            #[cfg(feature = "zenoh")]
            PublishTarget::Zenoh(_) | PublishTarget::Ros2(_) => {
                Builder::new_multi_thread().worker_threads(1).enable_all().build()?
            }
            _ => Builder::new_current_thread().enable_all().build()?,
        };
        let thread = match self.target.clone() {
            PublishTarget::Mqtt(spec) => {
                let publisher = MqttPublisher::new(spec, options, requests, counts);
                spawn("publish mqtt", runtime, || publisher.run())
            }
            #[cfg(feature = "foxglove")]
            PublishTarget::Foxglove(address) => {
                let publisher = FoxglovePublisher::new(address, options, requests, counts, cameras);
                let publisher = runtime.block_on(publisher.opened())?;
                spawn("publish foxglove", runtime, || publisher.run())
            }
            #[cfg(feature = "zenoh")]
            PublishTarget::Zenoh(target) => {
                let publisher = ZenohPublisher::new(&target, options, requests, counts);
                spawn("publish zenoh", runtime, || publisher.run())
            }
            #[cfg(feature = "zenoh")]
            PublishTarget::Ros2(target) => {
                let publisher = Ros2Publisher::new(target, options, requests, counts);
                spawn("publish ros2", runtime, || publisher.run())
            }
        };
        self.thread = Some(thread?);
        Ok(())
    }
}

/// Starts a thread that runs `work` on this runtime.
fn spawn<F: Future<Output = ()>>(
    name: &str,
    runtime: Runtime,
    work: impl FnOnce() -> F + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        runtime.block_on(work());
        runtime.shutdown_timeout(SHUTDOWN_MAX);
    })
}

/// A camera that was connected, until its session is known.
#[derive(Debug)]
struct Waiting {
    camera: Camera,
    /// For each target.
    lanes: Vec<TargetLanes>,
    pictures: Arc<PictureMaker>,
    #[cfg(feature = "zenoh")]
    recording: Option<RecordedCamera>,
}

/// Publishes cameras to targets. [`Sink::connect`] adds cameras, and [`Self::start`] begins to publish them.
#[derive(Debug)]
pub struct Publish {
    options: PublishOptions,
    targets: Vec<Target>,
    waiting: Vec<Waiting>,
    /// Recordings of the program beside it: that of the next camera.
    #[cfg(feature = "zenoh")]
    next_recording: Option<RecordedCamera>,
}

impl Publish {
    /// Creates a publisher without cameras. Connects to nothing yet.
    #[must_use]
    pub fn new(targets: Vec<PublishTarget>, options: PublishOptions) -> Self {
        Self {
            options,
            targets: targets.into_iter().map(Target::new).collect(),
            waiting: Vec::new(),
            #[cfg(feature = "zenoh")]
            next_recording: None,
        }
    }

    /// Also publishes the state of the recordings that the program makes of the cameras that are connected after this, in the same
    /// order. `switch`: starts and stops the recording of the camera, if it is the only one. Targets without a place for it ignore it.
    #[cfg_attr(not(feature = "zenoh"), allow(clippy::needless_pass_by_value, unused_variables))]
    pub fn show_recordings(&mut self, recorders: RecordersMonitor, switch: Option<Arc<dyn RecordingSwitch>>) {
        #[cfg(feature = "zenoh")]
        {
            self.next_recording = Some(RecordedCamera { recorders, camera: 0, switch });
        }
    }

    /// Connects to the targets, and begins to publish the cameras that were connected before and have one of these sessions. A
    /// target that cannot be reached is tried again and again.
    ///
    /// # Errors
    /// The system refuses threads, or the only target cannot listen on its address: see [`PublishOptions::fails_alone`].
    pub fn start(&mut self, sessions: &[Session]) -> io::Result<()> {
        let fails_alone = self.options.fails_alone && self.targets.len() == 1;
        let options = PublishOptions { fails_alone, ..self.options.clone() };
        for target in &mut self.targets {
            target.start(&options, self.waiting.len())?;
        }
        let session_of = |waiting: &Waiting| sessions.iter().find(|session| session.name() == waiting.camera.name);
        for waiting in std::mem::take(&mut self.waiting) {
            let Some(session) = session_of(&waiting) else {
                self.waiting.push(waiting);
                continue;
            };
            for (target, lanes) in self.targets.iter().zip(waiting.lanes) {
                let pictures = Arc::clone(&waiting.pictures);
                let camera = PublishedCamera {
                    session: session.clone(),
                    #[cfg(feature = "foxglove")]
                    camera: waiting.camera.clone(),
                    lanes,
                    pictures,
                    #[cfg(feature = "zenoh")]
                    recording: waiting.recording.clone(),
                };
                // The thread of the target runs until the sender is dropped.
                let _ = target.commands.send(Command::Add(Box::new(camera)));
            }
        }
        Ok(())
    }

    /// Forgets a camera, and clears what targets keep of it.
    pub fn remove(&mut self, name: &str) {
        self.waiting.retain(|waiting| waiting.camera.name != name);
        for target in &self.targets {
            let _ = target.commands.send(Command::Remove(name.to_owned()));
        }
    }
}

impl Sink for Publish {
    type Outcome = Vec<PublishCounts>;

    fn connect(&mut self, camera: &Camera) -> io::Result<()> {
        let pictures = Arc::new(PictureMaker::new(camera));
        let lanes = self.targets.iter().map(|target| TargetLanes::subscribe(camera, &target.target)).collect();
        #[cfg(feature = "zenoh")]
        let recording = self.next_recording.as_mut().map(|next| {
            let recording = next.clone();
            next.camera += 1;
            recording
        });
        self.waiting.push(Waiting {
            camera: camera.clone(),
            lanes,
            pictures,
            #[cfg(feature = "zenoh")]
            recording,
        });
        Ok(())
    }

    /// Publishes the frames that wait and the last states, for at most 2 s, and disconnects. Returns the counts of each target.
    fn finish(self) -> Vec<PublishCounts> {
        // All at once, because each may wait for its target: without a sender of commands, its thread ends.
        let ending: Vec<_> = self.targets.into_iter().map(|Target { thread, counts, .. }| (thread, counts)).collect();
        let finished = |(thread, counts): (Option<JoinHandle<()>>, Arc<Mutex<PublishCounts>>)| {
            if let Some(thread) = thread {
                // A panic was printed when it happened.
                let _ = thread.join();
            }
            locked(&counts).clone()
        };
        ending.into_iter().map(finished).collect()
    }
}
