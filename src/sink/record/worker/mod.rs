//! The recording thread: takes frames from the lane, decides whether to record them, writes them, and retries after
//! failures.

mod files;
mod gaps;
mod label_check;
mod memory;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use files::{DISK_CHECK_INTERVAL, Parts};
use label_check::LabelCheck;

use super::by_stream::{ByStream, DroppedFrames};
use super::context::ConnectionContext;
use super::parameter_sets::ParameterSets;
use super::retention::Retention;
use super::segment::Segment;
use super::shared::{Shared, TakenCounts};
use super::target::{self, CreateDisk};
use super::timeline::Timeline;
use super::trigger::{Firings, PreTriggerBuffer, Trigger, Unit};
use super::{RecordError, RecordOptions, RecorderState, RecordingTarget};
use crate::error::with_causes;
use crate::frame::{Frame, Received, WriterMemory};
use crate::hub::{LaneCounter, RecvTimeoutError, Taker};
use crate::recording::disk::DiskCondition;
use crate::recording::schema::{self, IncidentKind, RecordedIncident};
use crate::recording::{CameraInfo, ClockModel, is_bad_picture};

/// Number of incidents to keep while no file is open.
const EARLY_INCIDENTS_MAX: usize = 64;
/// Time for which a file that has reached its limit waits for the key frame that starts the next file.
const KEY_FRAME_TIMEOUT: Duration = Duration::from_secs(10);

/// An item in the lane.
#[derive(Debug)]
pub(super) enum Item {
    Frame {
        camera: usize,
        frame: Arc<Frame>,
        /// Frames of this camera that were dropped before it was offered.
        dropped: Arc<ByStream>,
        /// Memory that it occupies.
        bytes: usize,
    },
    Incident {
        camera: usize,
        /// `None`: the first one of the camera, or all.
        stream: Option<Arc<str>>,
        incident: schema::RecordedIncident,
        at: Received,
    },
}

impl Item {
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Frame { bytes, .. } => *bytes,
            Self::Incident { incident, .. } => incident.memory_bytes(),
        }
    }
}

/// An item to write, or to keep until a trigger decides.
#[derive(Debug)]
enum Entry {
    Frame { camera: usize, frame: Arc<Frame>, dropped: Arc<ByStream>, bytes: usize },
    Incident { camera: usize, stream: Option<Arc<str>>, incident: schema::RecordedIncident, at: Received },
}

impl Entry {
    fn received(&self) -> Received {
        match self {
            Self::Frame { frame, .. } => frame.received,
            Self::Incident { at, .. } => *at,
        }
    }
}

#[derive(Debug)]
struct CameraState {
    clock: ClockModel,
    context: ConnectionContext,
    counter: LaneCounter,
    drops: DroppedFrames,
    /// Dropped frames that are marked in a file or were skipped.
    dropped: Arc<ByStream>,
    /// Frames lost with a file that no other file marks yet.
    lost_unmarked: ByStream,
    label_check: LabelCheck,
    parameter_sets: ParameterSets,
    /// A frame of this clip that a decoder can start with was taken.
    clip_begun: bool,
}

/// The time around triggering detections that is being recorded.
#[derive(Clone, Copy, Debug)]
struct Clip {
    /// By the arrival of frames.
    until_mono_ns: u64,
    /// The same as a time of the clock, for when no frame arrives any more.
    until: Instant,
}

pub(super) struct Worker {
    options: RecordOptions,
    infos: Vec<CameraInfo>,
    folder: PathBuf,
    taker: Taker<Item>,
    shared: Arc<Shared>,
    create_disk: CreateDisk,
    cameras: Vec<CameraState>,
    /// To be written next.
    ready: VecDeque<Entry>,
    early_incidents: VecDeque<Entry>,
    pre_trigger: PreTriggerBuffer<Entry>,
    clip: Option<Clip>,
    firings: Firings,
    segment: Option<Segment>,
    timeline: Timeline,
    /// `false` in a named file before its first item.
    has_timeline: bool,
    /// Time in the name of the last file, and the arrival that it stands for.
    named: Option<Received>,
    retention: Arc<Retention>,
    parts: Parts,
    /// Arrival of the first frame after the file reached its limit.
    overdue_mono_ns: Option<u64>,
    is_first_file: bool,
    /// Arrival of the last item that was written.
    last: Received,
    /// Time of the next attempt to start a file after a failure.
    next_try: Option<Instant>,
    disk_checked: Option<Instant>,
    cleaned_up: Option<Instant>,
    stopped: Option<Instant>,
    /// Memory of the copies of frames on the way to the disk.
    memory: Option<WriterMemory>,
}

impl Worker {
    pub(super) fn new(
        options: RecordOptions,
        infos: Vec<CameraInfo>,
        taker: Taker<Item>,
        shared: Arc<Shared>,
        create_disk: CreateDisk,
        retention: Arc<Retention>,
    ) -> Result<Self, RecordError> {
        let names: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
        let folder = options.target.folder(&names);
        let memory = options.memory.as_ref().map(WriterMemory::new);
        let mut worker = Self {
            options,
            folder,
            taker,
            cameras: Vec::new(),
            infos,
            shared,
            create_disk,
            ready: VecDeque::new(),
            early_incidents: VecDeque::new(),
            pre_trigger: PreTriggerBuffer::default(),
            clip: None,
            firings: Firings::default(),
            segment: None,
            timeline: Timeline::default(),
            has_timeline: false,
            named: None,
            retention,
            parts: Parts::default(),
            overdue_mono_ns: None,
            is_first_file: true,
            last: Received { mono_ns: 0, unix_ns: now_unix_ns() },
            next_try: None,
            disk_checked: None,
            cleaned_up: None,
            stopped: None,
            memory,
        };
        worker.shared.progress().taken = vec![TakenCounts::default(); worker.infos.len()];
        worker.shared.progress().unwritten = vec![0; worker.infos.len()];
        worker.shared.progress().cannot_match = vec![None; worker.infos.len()];
        worker.retention.add(&worker.folder, &worker.shared);
        worker.prepare()?;
        Ok(worker)
    }

    /// Sets the counters of the cameras' lanes, in the order of the cameras.
    pub(super) fn set_counters(&mut self, counters: impl Iterator<Item = (LaneCounter, DroppedFrames)>) {
        let camera = |(counter, drops)| CameraState {
            clock: ClockModel::default(),
            context: ConnectionContext::default(),
            counter,
            drops,
            dropped: Arc::default(),
            lost_unmarked: ByStream::default(),
            label_check: LabelCheck::default(),
            parameter_sets: ParameterSets::default(),
            clip_begun: false,
        };
        self.cameras = counters.map(camera).collect();
    }

    /// Checks for certain failures now, while the caller can still report them.
    fn prepare(&mut self) -> Result<(), RecordError> {
        match &self.options.target {
            RecordingTarget::File(path) => {
                if self.options.keep.is_some() {
                    return Err(RecordError::KeepNeedsFolder(path.clone()));
                }
                if path.file_stem().is_none() || path.is_dir() {
                    return Err(RecordError::Name(path.clone()));
                }
                if self.options.trigger.is_none() {
                    self.start_segment(self.last)?;
                } else if path.symlink_metadata().is_ok() {
                    return Err(RecordError::Exists(path.clone()));
                }
            }
            RecordingTarget::Folder(_) => target::create_writable_folder(&self.folder)?,
        }
        self.check_disk();
        Ok(())
    }

    pub(super) fn run(mut self) {
        while self.step() {}
        self.end();
    }

    /// Handles one item, or waits for one. Returns `false` once the lane is closed and empty.
    fn step(&mut self) -> bool {
        self.check_disk();
        self.count_unwritten();
        self.note_stop();
        if self.drain_timed_out() {
            return false;
        }
        if !self.has_room() || !self.has_memory() {
            return true;
        }
        if let Some(entry) = self.ready.pop_front() {
            self.write(entry);
            return true;
        }
        if self.clip.is_some_and(|clip| Instant::now() > clip.until && self.lanes_are_empty()) {
            self.end_clip();
        }
        let wait = if self.stopped.is_some() { Duration::ZERO } else { self.wait() };
        match self.taker.recv_timeout(wait) {
            Ok(item) => self.route(item),
            Err(RecvTimeoutError::Timeout) if self.stopped.is_some() => return false,
            // No frame uses the buffers soon, and other recorders may wait for their memory.
            Err(RecvTimeoutError::Timeout) => self.release_memory(),
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        let flushed = self.segment.as_mut().map_or(Ok(()), Segment::flush_if_due);
        if let Err(error) = flushed {
            self.abandon(&with_causes(&error));
        }
        true
    }

    /// Returns the time until the next flush or check.
    fn wait(&self) -> Duration {
        let due = self.segment.as_ref().and_then(Segment::flush_due_in);
        due.unwrap_or(DISK_CHECK_INTERVAL).min(DISK_CHECK_INTERVAL)
    }

    fn lanes_are_empty(&self) -> bool {
        self.cameras.iter().all(|camera| camera.counter.counts().queued == 0)
    }

    /// Waits at most 200 ms until the next write would not block. Returns `false` if it still would.
    fn has_room(&mut self) -> bool {
        let Some(segment) = &self.segment else { return true };
        let monitor = segment.monitor();
        match monitor.wait_for_room(Duration::from_millis(200)) {
            Ok(true) => true,
            Ok(false) => {
                if monitor.condition() == DiskCondition::Full {
                    self.make_room();
                }
                false
            }
            Err(error) => {
                self.abandon(&error.to_string());
                false
            }
        }
    }

    /// Queues an item for writing, buffers it until a trigger, or skips it.
    fn route(&mut self, item: Item) {
        let entry = match item {
            Item::Incident { camera, stream, incident, at } => Entry::Incident { camera, stream, incident, at },
            Item::Frame { camera, frame, dropped, bytes } => Entry::Frame { camera, frame, dropped, bytes },
        };
        let Some(trigger) = self.options.trigger.clone() else { return self.enqueue(entry) };
        let mono_ns = entry.received().mono_ns;
        if let Entry::Frame { camera, frame, .. } = &entry {
            let info = &self.infos[*camera];
            if let Some(found) = self.cameras[*camera].label_check.search(&trigger.label, frame, info) {
                let why = found.err();
                let mut progress = self.shared.progress();
                let problem = why.as_ref().map(|why| format!("{}: {why}", info.name));
                progress.cannot_match[*camera] = why;
                if let Some(problem) = problem.filter(|problem| progress.add_problem(problem)) {
                    drop(progress);
                    tracing::warn!("{problem}");
                }
            }
        }
        let mut fired = None;
        if let Entry::Frame { camera, frame, .. } = &entry
            && let Some(text) = trigger.matched(frame, self.infos[*camera].labels.as_ref())
        {
            let (camera, at) = (*camera, frame.received);
            fired =
                self.firings.mark(text, mono_ns).map(|incident| Entry::Incident { camera, stream: None, incident, at });
            let post = u64::try_from(trigger.post.as_nanos()).unwrap_or(u64::MAX);
            self.clip =
                Some(Clip { until_mono_ns: mono_ns.saturating_add(post), until: Instant::now() + trigger.post });
            let too_old = self.pre_trigger.trim(mono_ns, &trigger);
            self.skip(too_old);
            self.take_pre_trigger();
        } else if self.clip.is_some_and(|clip| mono_ns > clip.until_mono_ns) {
            self.end_clip();
        }
        if self.clip.is_some() {
            if self.begins_or_continues(&entry) {
                self.ready.push_back(entry);
            } else {
                self.skip(vec![entry]);
            }
            self.ready.extend(fired);
        } else {
            self.buffer(entry, mono_ns, &trigger);
        }
    }

    fn enqueue(&mut self, entry: Entry) {
        let is_incident = |incident: &RecordedIncident| incident.kind() != Some(IncidentKind::Measurement);
        if matches!(&entry, Entry::Incident { incident, .. } if is_incident(incident)) && self.segment.is_none() {
            // An incident alone starts no file: otherwise each failed connection would leave one.
            self.early_incidents.push_back(entry);
            if self.early_incidents.len() > EARLY_INCIDENTS_MAX {
                self.early_incidents.pop_front();
            }
        } else {
            self.ready.push_back(entry);
        }
    }

    /// Queues the frames before a trigger.
    fn take_pre_trigger(&mut self) {
        while let Some((entry, _)) = self.pre_trigger.pop() {
            if self.begins_or_continues(&entry) {
                self.ready.push_back(entry);
            } else {
                self.skip(vec![entry]);
            }
        }
    }

    fn buffer(&mut self, entry: Entry, mono_ns: u64, trigger: &Trigger) {
        let bytes = match &entry {
            Entry::Frame { bytes, .. } => *bytes,
            Entry::Incident { incident, .. } => incident.memory_bytes(),
        };
        let unit = match &entry {
            Entry::Frame { camera, frame, .. } if frame.kind.is_video() => {
                if frame.is_key_frame() {
                    Unit::KeyFrame(*camera)
                } else {
                    Unit::Dependent(*camera)
                }
            }
            _ => Unit::Alone,
        };
        let removed = self.pre_trigger.push(entry, mono_ns, bytes, unit, trigger);
        self.skip(removed);
    }

    /// Counts frames that are not recorded.
    fn skip(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if let Entry::Frame { camera, frame, dropped, .. } = entry {
                let known = &mut self.cameras[camera];
                known.context.observe(&frame);
                known.parameter_sets.observe(&frame);
                known.clock.observe_frame(&frame, self.timeline.unix_ns(frame.received));
                known.dropped = dropped;
                self.shared.progress().taken[camera].passed += 1;
            }
        }
    }

    /// Writes an entry to the file or the next one. It stays in the queue while no file can be started.
    fn write(&mut self, entry: Entry) {
        let received = entry.received();
        if let Entry::Frame { frame, .. } = &entry
            && self.is_split_before(frame)
        {
            self.finish_segment("it has reached the limit of --split");
        }
        let entry = if self.segment.is_none() {
            // In the queue, so that it is counted if the recorder gives up.
            self.ready.push_front(entry);
            if !self.try_start(received) {
                return;
            }
            let Some(entry) = self.ready.pop_front() else { return };
            entry
        } else {
            entry
        };
        self.last = received;
        if let Err(error) = self.write_to_segment(&entry) {
            self.abandon(&with_causes(&error));
        }
        self.shared.progress().current_bytes = self.segment.as_ref().map_or(0, Segment::bytes);
        self.count_unwritten();
    }

    fn write_to_segment(&mut self, entry: &Entry) -> Result<(), crate::recording::RecordingError> {
        let received = entry.received();
        if !self.has_timeline {
            self.start_timeline(received);
        }
        let Some(segment) = &mut self.segment else { return Ok(()) };
        let log_ns = self.timeline.unix_ns(received);
        match entry {
            Entry::Incident { camera, stream, incident, .. } => {
                if let Some(name) = stream {
                    let known = &self.cameras[*camera];
                    segment.add_stream(*camera, name, &self.infos[*camera], || known.context.records())?;
                }
                segment.incident(*camera, stream.as_ref(), incident, log_ns)?;
                let mut progress = self.shared.progress();
                let taken = &mut progress.taken[*camera];
                taken.damage.incident(incident);
                taken.measurements += u64::from(incident.kind() == Some(IncidentKind::Measurement));
                Ok(())
            }
            Entry::Frame { camera, frame, dropped, .. } => {
                if let Some(jump) = self.timeline.jump(received) {
                    tracing::warn!("{}", jump.text);
                    segment.incident(*camera, None, &jump, log_ns)?;
                }
                let known = &mut self.cameras[*camera];
                let publish_ns = known.clock.observe_frame(frame, log_ns);
                let mut missing = dropped.since(&known.dropped);
                missing.append(&std::mem::take(&mut known.lost_unmarked));
                known.dropped = Arc::clone(dropped);
                known.context.observe(frame);
                let complete = if let Some(stream) = &frame.stream {
                    segment.add_stream(*camera, stream, &self.infos[*camera], || known.context.records())?;
                    None
                } else {
                    known.parameter_sets.observe(frame);
                    known.parameter_sets.complete(frame)
                };
                let frame = complete.as_ref().unwrap_or(frame);
                let is_bad = is_bad_picture(frame);
                self.shared.progress().recorded(*camera, is_bad);
                let marked = self.mark_missing(*camera, &missing, log_ns);
                let Some(segment) = &mut self.segment else { return marked };
                // Also after a failed gap marker, so that the frame is counted and lost with the rest of the file.
                segment.frame(*camera, frame, log_ns, publish_ns).and(marked)
            }
        }
    }

    /// Marks gaps at the end, and finishes the file.
    fn end(&mut self) {
        while let Some((entry, _)) = self.pre_trigger.pop() {
            if let Entry::Frame { camera, .. } = entry {
                self.shared.progress().taken[camera].passed += 1;
            }
        }
        self.mark_missing_at_end();
        self.finish_segment("the recording ends");
        self.count_unwritten();
        self.count_unmarked();
        self.shared.progress().state = RecorderState::Finished;
    }
}

fn now_unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
