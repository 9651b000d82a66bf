//! Records frames to MCAP files on a thread of its own. The stream never waits for the disk, and every missing frame is
//! counted.
//!
//! ```text
//! confirmed frames, incidents --weighed lane--> thread "record" -> SegmentWriter -> Disk --queue--> thread "disk" -> X.mcap.partial
//! ```
//!
//! A file is named `X.mcap.partial` until it is finished. A crash loses at most its last second. While the disk is full,
//! the recorder waits. After any other write error it leaves the file as it is and starts another one.

mod by_stream;
mod context;
mod error;
mod limits;
mod monitor;
mod parameter_sets;
mod recorders;
mod report;
mod retention;
mod segment;
mod shared;
mod switch;
mod target;
mod timeline;
mod trigger;
mod worker;
mod write_rate;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

#[cfg(feature = "serve")]
pub(crate) use context::ConnectionContext;
pub use error::RecordError;
pub use limits::{KeepLimit, LimitError, SplitLimit};
pub use monitor::RecordersMonitor;
#[cfg(feature = "foxglove")]
pub(in crate::sink) use parameter_sets::ParameterSets;
pub use recorders::{Recorders, RecordersHealth};
pub use report::{RecorderCounts, RecorderHealth, RecorderOutcome, RecorderState, RecordingStatus};
pub use segment::RecordedFile;
pub use switch::RecordingSwitch;
pub use target::RecordingTarget;
pub use trigger::{Trigger, TriggerError};
pub use write_rate::format_remaining;

use by_stream::DroppedFrames;
use monitor::{OfferedDamage, RecorderMonitor};
use retention::Retention;
use shared::Shared;
use worker::{Item, Worker};

use crate::frame::{Frame, LabelMap, MemoryBound};
use crate::hub::{Budget, Lane, LaneCounter, Policy, weighed_lane};
use crate::recording::disk::Disk;
use crate::recording::{CameraInfo, Compression};
use crate::sink::label_weight::LabelWeight;
use crate::source::{Incident, Outlets};
use crate::sync::locked;

/// Settings of a recorder.
#[derive(Clone, Debug)]
pub struct RecordOptions {
    /// Folder or file to write to.
    pub target: RecordingTarget,
    /// Compression of chunks.
    pub compression: Compression,
    /// When to start the next file. `None`: never.
    pub split: Option<SplitLimit>,
    /// Which finished files of these cameras to keep. Needs a folder. `None`: all.
    pub keep: Option<KeepLimit>,
    /// Records only around detections that match. `None`: records all frames.
    pub trigger: Option<Trigger>,
    /// Syncs the file to the medium about once per second, so that a power failure loses no more than that.
    pub sync: bool,
    /// Memory for waiting frames, shared by all recorders with the same budget.
    pub budget: Budget,
    /// Bound on the memory of frames, for their copies on the way to the disk. A frame that does not fit is dropped and
    /// counted. `None`: no bound.
    pub memory: Option<MemoryBound>,
    /// Records at most this many frames per camera. `None`: no limit.
    pub frames_max: Option<u64>,
    /// Label names that the user gave.
    pub labels: Option<LabelMap>,
}

impl RecordOptions {
    /// Records all frames, uncompressed and without splitting, with 256 MB for waiting frames.
    #[must_use]
    pub fn new(target: RecordingTarget) -> Self {
        Self {
            target,
            compression: Compression::None,
            split: None,
            keep: None,
            trigger: None,
            sync: false,
            budget: Budget::new(256_000_000),
            memory: None,
            frames_max: None,
            labels: None,
        }
    }
}

/// Records cameras to one file at a time. Dropping it finishes the file.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    inputs: Vec<Input>,
    monitor: RecorderMonitor,
    /// Keeps the worker running after all cameras have ended. `None` once the recorder is stopped.
    lane: Mutex<Option<Lane<Item>>>,
    thread: Option<JoinHandle<()>>,
}

/// Subscription to one camera.
#[derive(Debug)]
struct Input {
    name: String,
    outlets: Outlets,
    frames: LaneCounter,
    incidents: LaneCounter,
    damage: OfferedDamage,
    dropped: DroppedFrames,
}

impl Input {
    /// Subscribes to a camera's outlets. The taker receives frames and incidents in the order of the stream.
    fn connect(
        camera: usize,
        info: &CameraInfo,
        outlets: &Outlets,
        lane: &Lane<Item>,
        frames_max: Option<u64>,
    ) -> Self {
        // Incidents are counted apart from frames.
        let (frame_lane, incident_lane) = (lane.sibling(), lane.sibling());
        let (frames, incidents) = (frame_lane.counter(), incident_lane.counter());
        let mut left = frames_max.unwrap_or(u64::MAX);
        let counter = frames.clone();
        let mut weight = LabelWeight::default();
        let (damage, drops) = (OfferedDamage::default(), DroppedFrames::default());
        let of_lane = drops.clone();
        let (of_frames, of_incidents) = (damage.clone(), damage.clone());
        outlets.confirmed.add_mapped(frame_lane, move |frame: &Arc<Frame>| {
            left = left.checked_sub(1)?;
            of_frames.frame();
            // The worker marks the gap before this frame, however long the frame waits in the lane.
            let dropped = counter.counts().dropped;
            let bytes = frame.memory_bytes() + weight.of(frame, dropped);
            let dropped = of_lane.before(frame.stream.as_ref(), dropped);
            Some(Item::Frame { camera, frame: Arc::clone(frame), dropped, bytes })
        });
        outlets.incidents.add_mapped(incident_lane, move |Incident { received, stream, event }: &Incident| {
            let incident = event.into();
            of_incidents.incident(&incident);
            Some(Item::Incident { camera, stream: stream.clone(), incident, at: *received })
        });
        outlets.ledger.watch(frames.clone());
        Self { name: info.name.clone(), outlets: outlets.clone(), frames, incidents, damage, dropped: drops }
    }

    /// Ends both lanes: nothing is recorded after this returns.
    fn disconnect(&self) {
        self.outlets.confirmed.remove(&self.frames);
        self.outlets.incidents.remove(&self.incidents);
    }
}

impl Recorder {
    /// Starts to record these cameras. Creates a named file at once, and the first file in a folder with the first frame.
    ///
    /// # Errors
    /// The file exists or another recorder writes it; the folder cannot be created or written to.
    pub fn start(options: RecordOptions, cameras: Vec<(CameraInfo, Outlets)>) -> Result<Self, RecordError> {
        Self::start_on(options, cameras, Box::new(Disk::create), &Self::retention())
    }

    /// Deletes the old files of recorders that are started with it.
    fn retention() -> Arc<Retention> {
        Arc::new(Retention::new(SystemTime::now(), Instant::now()))
    }

    /// Like [`Self::start`], with a function that creates the files.
    fn start_on(
        options: RecordOptions,
        cameras: Vec<(CameraInfo, Outlets)>,
        create_disk: target::CreateDisk,
        retention: &Arc<Retention>,
    ) -> Result<Self, RecordError> {
        let shared = Arc::new(Shared::default());
        let budget = options.budget.share();
        let has_trigger = options.trigger.is_some();
        let (lane, taker) = weighed_lane("record", Policy::Bytes(budget.clone()), Item::memory_bytes);
        let (infos, outlets): (Vec<CameraInfo>, Vec<Outlets>) = cameras.into_iter().unzip();
        let frames_max = options.frames_max;
        let mut worker =
            Worker::new(options, infos.clone(), taker, Arc::clone(&shared), create_disk, Arc::clone(retention))?;
        let connect = |(camera, (info, outlets))| Input::connect(camera, info, outlets, &lane, frames_max);
        let inputs: Vec<Input> = infos.iter().zip(&outlets).enumerate().map(connect).collect();
        worker.set_counters(inputs.iter().map(|input| (input.frames.clone(), input.dropped.clone())));
        let name = format!("record {}", infos.first().map_or("", |info| &info.name)).replace('\0', "");
        let thread = std::thread::Builder::new().name(name).spawn(move || worker.run()).map_err(RecordError::Thread)?;
        let lanes = inputs.iter().map(|input| (input.frames.clone(), input.damage.clone())).collect();
        let monitor = RecorderMonitor { shared: Arc::clone(&shared), lanes, budget, has_trigger };
        Ok(Self { shared, inputs, monitor, lane: Mutex::new(Some(lane)), thread: Some(thread) })
    }

    /// Returns the current state and counts.
    #[must_use]
    pub fn health(&self) -> RecorderHealth {
        let progress = self.shared.progress();
        let cameras = self.cameras(&progress);
        RecorderHealth {
            state: progress.state(),
            frames: cameras.iter().map(|camera| camera.recorded).sum(),
            written: cameras
                .iter()
                .map(|camera| camera.recorded)
                .sum::<u64>()
                .saturating_sub(progress.unwritten.iter().sum()),
            waiting: cameras.iter().map(|camera| camera.held + camera.queued).sum::<u64>()
                + progress.unwritten.iter().sum::<u64>(),
            missing: cameras.iter().map(RecorderCounts::missing).sum(),
            cameras,
            gaps: progress.gaps,
            bytes: progress.bytes(),
            open_files: progress.current.iter().map(|(path, _)| path.clone()).collect(),
            disk_left: progress.disk_left,
        }
    }

    /// Takes no more frames and starts to finish the file. [`Self::finish`] waits for the end.
    pub fn stop(&self) {
        self.shared.stop();
        self.inputs.iter().for_each(Input::disconnect);
        // Dropping the last lane wakes the worker, which ends once the queue is empty.
        drop(locked(&self.lane).take());
    }

    /// Records the waiting frames and finishes the file. Waits less than 2 s for a disk that is full, slow or failing:
    /// frames that are not written by then count as lost, and the file stays unfinished.
    #[must_use]
    pub fn finish(mut self) -> RecorderOutcome {
        self.end();
        let mut progress = self.shared.progress();
        let cameras = self.cameras(&progress);
        let sum = |of: fn(&RecorderCounts) -> u64| cameras.iter().map(of).sum();
        RecorderOutcome {
            recording: 1,
            summed: 1,
            frames: sum(|camera| camera.recorded),
            dropped: sum(|camera| camera.dropped),
            // Frames are left in the lane or undecided only if the thread panicked.
            lost: sum(|camera| camera.lost + camera.held + camera.queued),
            bytes: progress.files.iter().map(|file| file.bytes).sum(),
            gaps: progress.gaps,
            unmarked: progress.unmarked,
            deleted: progress.deleted,
            files: std::mem::take(&mut progress.files),
            unfinished: std::mem::take(&mut progress.unfinished),
            problems: std::mem::take(&mut progress.problems),
            cameras,
        }
    }

    fn cameras(&self, progress: &shared::Progress) -> Vec<RecorderCounts> {
        let counts = |(input, taken): (&Input, &shared::TakenCounts)| {
            let damage = self.monitor.damage(taken, &input.damage);
            RecorderCounts::new(&input.name, taken, input.frames.counts(), damage)
        };
        self.inputs.iter().zip(&progress.taken).map(counts).collect()
    }

    fn end(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            let mut progress = self.shared.progress();
            progress.state = RecorderState::Finished;
            progress.add_problem("the recording thread panicked: this is a bug in oaktap");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests;
