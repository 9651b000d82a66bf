//! The thread that records: takes, decides, writes, and goes on when something fails.

mod files;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use files::LOOK;

use super::books::{Shared, State, Taken};
use super::context::Context;
use super::limits::Split;
use super::place::{self, Open, Place};
use super::segment::{self, Segment};
use super::trigger::{Ring, Trigger};
use super::{Options, RecordError, weight};
use crate::frame::{Frame, Received};
use crate::hub::{LaneCounter, RecvTimeoutError, Taker};
use crate::recording::disk::DiskCondition;
use crate::recording::{CameraInfo, ClockModel, schema};

/// Incidents that are kept while there is no file for them.
const EARLY: usize = 64;
/// So long a file that is long enough waits for a picture that the next one can begin with.
const KEY_PATIENCE: Duration = Duration::from_secs(10);

/// What comes through the lane.
#[derive(Debug)]
pub(super) enum Item {
    Frame {
        camera: usize,
        frame: Arc<Frame>,
        /// Frames of this camera that were dropped before it was offered.
        dropped: u64,
    },
    Incident {
        camera: usize,
        incident: schema::RecordedIncident,
        at: Received,
    },
}

impl Item {
    /// Bytes that an item holds.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Frame { frame, .. } => weight(frame),
            Self::Incident { incident, .. } => incident.memory_bytes(),
        }
    }
}

/// What is written, or held until it is known whether it is.
#[derive(Debug)]
enum Kept {
    Frame { camera: usize, frame: Arc<Frame>, dropped: u64, publish_ns: i64 },
    Incident { camera: usize, incident: schema::RecordedIncident, at: Received },
}

impl Kept {
    fn received(&self) -> Received {
        match self {
            Self::Frame { frame, .. } => frame.received,
            Self::Incident { at, .. } => *at,
        }
    }
}

/// What the recorder knows of a camera.
#[derive(Debug)]
struct Camera {
    clock: ClockModel,
    context: Context,
    counter: LaneCounter,
    /// Drops that are accounted for.
    dropped: u64,
    /// Frames that were lost with a file, and are marked in no other yet.
    lost: u64,
}

/// A detection was seen, and not long ago.
#[derive(Clone, Copy, Debug)]
struct Clip {
    until_mono_ns: u64,
    /// The same by the clock, for when nothing comes any more.
    until: Instant,
}

pub(super) struct Worker {
    options: Options,
    infos: Vec<CameraInfo>,
    folder: PathBuf,
    taker: Taker<Item>,
    shared: Arc<Shared>,
    open: Open,
    cameras: Vec<Camera>,
    /// To be written next.
    hand: VecDeque<Kept>,
    early: VecDeque<Kept>,
    ring: Ring<Kept>,
    clip: Option<Clip>,
    segment: Option<Segment>,
    /// Since when the file has been long enough, by the arrival of frames.
    overdue_mono_ns: Option<u64>,
    first: bool,
    last: Received,
    next_try: Option<Instant>,
    looked: Option<Instant>,
    swept: Option<Instant>,
    stopped: Option<Instant>,
    /// The disk was full for too long at the end.
    gave_up: bool,
}

impl Worker {
    pub(super) fn new(
        options: Options,
        infos: Vec<CameraInfo>,
        taker: Taker<Item>,
        shared: Arc<Shared>,
        open: Open,
    ) -> Result<Self, RecordError> {
        let names: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
        let folder = options.place.folder(&names);
        let mut worker = Self {
            options,
            folder,
            taker,
            cameras: Vec::new(),
            infos,
            shared,
            open,
            hand: VecDeque::new(),
            early: VecDeque::new(),
            ring: Ring::default(),
            clip: None,
            segment: None,
            overdue_mono_ns: None,
            first: true,
            last: Received { mono_ns: 0, unix_ns: now_unix_ns() },
            next_try: None,
            looked: None,
            swept: None,
            stopped: None,
            gave_up: false,
        };
        worker.shared.books().taken = vec![Taken::default(); worker.infos.len()];
        worker.prepare()?;
        Ok(worker)
    }

    /// Sets the counters of the cameras' lanes, in the order of the cameras.
    pub(super) fn count(&mut self, counters: impl Iterator<Item = LaneCounter>) {
        let camera = |counter| Camera {
            clock: ClockModel::default(),
            context: Context::default(),
            counter,
            dropped: 0,
            lost: 0,
        };
        self.cameras = counters.map(camera).collect();
    }

    /// Checks for certain failures now, while the caller can still report them.
    fn prepare(&mut self) -> Result<(), RecordError> {
        match &self.options.place {
            Place::File(path) => {
                if self.options.keep.is_some() {
                    return Err(RecordError::KeepsFolder(path.clone()));
                }
                if path.file_stem().is_none() || path.is_dir() {
                    return Err(RecordError::Name(path.clone()));
                }
                if self.options.trigger.is_none() {
                    self.begin(self.last)?;
                } else if path.symlink_metadata().is_ok() {
                    return Err(RecordError::Exists(path.clone()));
                }
            }
            Place::Folder(_) => {
                place::writable(&self.folder)?;
            }
        }
        self.look();
        Ok(())
    }

    pub(super) fn run(mut self) {
        while self.turn() {}
        self.end();
    }

    /// `false`: everything has been taken, and nothing more will come.
    fn turn(&mut self) -> bool {
        self.look();
        self.note_stop();
        if !self.has_room() {
            return true;
        }
        if let Some(kept) = self.hand.pop_front() {
            self.write(kept);
            return true;
        }
        if self.clip.is_some_and(|clip| Instant::now() > clip.until && self.shared_is_idle()) {
            self.end_clip();
        }
        let wait = if self.stopped.is_some() { Duration::ZERO } else { self.wait() };
        match self.taker.recv_timeout(wait) {
            Ok(item) => self.take(item),
            Err(RecvTimeoutError::Timeout) if self.stopped.is_some() => return false,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        let flushed = self.segment.as_mut().map_or(Ok(()), Segment::flush_if_due);
        if let Err(error) = flushed {
            self.abandon(&segment::chain(&error));
        }
        true
    }

    /// Until something has to be done without being asked.
    fn wait(&self) -> Duration {
        let due = self.segment.as_ref().and_then(Segment::due);
        due.unwrap_or(LOOK).min(LOOK)
    }

    fn shared_is_idle(&self) -> bool {
        self.cameras.iter().all(|camera| camera.counter.counts().queued == 0)
    }

    /// Whether what is written now would not wait for the disk; waits for that a little itself.
    fn has_room(&mut self) -> bool {
        let Some(segment) = &self.segment else { return true };
        let gauge = segment.gauge();
        match gauge.wait_for_room(Duration::from_millis(200)) {
            Ok(true) => true,
            Ok(false) => {
                if gauge.condition() == DiskCondition::Full {
                    if self.is_impatient() {
                        gauge.give_up();
                        self.gave_up = true;
                    } else {
                        self.make_room();
                    }
                }
                false
            }
            Err(error) => {
                self.abandon(&error.to_string());
                false
            }
        }
    }

    /// Something came through the lane: is it to be written?
    fn take(&mut self, item: Item) {
        let kept = match item {
            Item::Incident { camera, incident, at } => Kept::Incident { camera, incident, at },
            Item::Frame { camera, frame, dropped } => {
                let publish_ns = self.cameras[camera].clock.observe(frame.device_time, frame.received.unix_ns);
                Kept::Frame { camera, frame, dropped, publish_ns }
            }
        };
        let Some(trigger) = self.options.trigger.clone() else { return self.keep(kept) };
        let mono_ns = kept.received().mono_ns;
        if let Kept::Frame { camera, frame, .. } = &kept
            && trigger.is_in(frame, self.infos[*camera].labels.as_ref())
        {
            let post = u64::try_from(trigger.post.as_nanos()).unwrap_or(u64::MAX);
            self.clip =
                Some(Clip { until_mono_ns: mono_ns.saturating_add(post), until: Instant::now() + trigger.post });
            let too_old = self.ring.trim(mono_ns, &trigger);
            self.pass(too_old);
            while let Some(before) = self.ring.pop() {
                self.hand.push_back(before);
            }
        } else if self.clip.is_some_and(|clip| mono_ns > clip.until_mono_ns) {
            self.end_clip();
        }
        if self.clip.is_some() {
            self.hand.push_back(kept);
        } else {
            self.hold(kept, mono_ns, &trigger);
        }
    }

    fn keep(&mut self, kept: Kept) {
        if matches!(kept, Kept::Incident { .. }) && self.segment.is_none() {
            // Nobody wants a file for every attempt to connect.
            self.early.push_back(kept);
            if self.early.len() > EARLY {
                self.early.pop_front();
            }
        } else {
            self.hand.push_back(kept);
        }
    }

    fn hold(&mut self, kept: Kept, mono_ns: u64, trigger: &Trigger) {
        let bytes = match &kept {
            Kept::Frame { frame, .. } => weight(frame),
            Kept::Incident { incident, .. } => incident.memory_bytes(),
        };
        let gone = self.ring.push(kept, mono_ns, bytes, trigger);
        self.pass(gone);
    }

    /// These are not to be recorded.
    fn pass(&mut self, kept: Vec<Kept>) {
        for gone in kept {
            if let Kept::Frame { camera, frame, dropped, .. } = gone {
                let known = &mut self.cameras[camera];
                known.context.observe(&frame);
                known.dropped = dropped;
                self.shared.books().taken[camera].passed += 1;
            }
        }
    }

    fn end_clip(&mut self) {
        self.clip = None;
        self.finish_segment();
        self.shared.books().state = State::Waiting;
    }

    /// Into the file, or into the next one, or back to the hand.
    fn write(&mut self, kept: Kept) {
        let received = kept.received();
        if let Kept::Frame { frame, .. } = &kept
            && self.is_split_before(frame)
        {
            self.finish_segment();
        }
        if self.segment.is_none() && !self.try_begin(received) {
            self.hand.push_front(kept);
            return;
        }
        self.last = received;
        if let Err(error) = self.write_into_segment(&kept) {
            self.abandon(&segment::chain(&error));
        }
        let books = &mut *self.shared.books();
        books.current_bytes = self.segment.as_ref().map_or(0, Segment::bytes);
    }

    fn write_into_segment(&mut self, kept: &Kept) -> Result<(), crate::recording::RecordingError> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        match kept {
            Kept::Incident { camera, incident, at } => segment.incident(*camera, incident, at.unix_ns),
            Kept::Frame { camera, frame, dropped, publish_ns } => {
                let known = &mut self.cameras[*camera];
                let missing = dropped.saturating_sub(known.dropped) + std::mem::take(&mut known.lost);
                known.dropped = *dropped;
                known.context.observe(frame);
                let mut books = self.shared.books();
                books.taken[*camera].recorded += 1;
                books.gaps += u64::from(missing > 0);
                drop(books);
                let gap = segment.gap(*camera, missing, frame.received.unix_ns);
                // Even if that failed: the frame is counted, and then lost with the rest.
                segment.frame(*camera, frame, *publish_ns).and(gap)
            }
        }
    }

    /// Whether this frame is the first one of the next file: one that can be shown without those before it, if such a one
    /// comes in time.
    fn is_split_before(&mut self, frame: &Frame) -> bool {
        let now = frame.received.mono_ns;
        let overdue = self.is_long_enough(frame.received).then(|| self.overdue_mono_ns.unwrap_or(now));
        let split = overdue.is_some_and(|since| {
            frame.is_key_frame() || Duration::from_nanos(now.saturating_sub(since)) >= KEY_PATIENCE
        });
        self.overdue_mono_ns = overdue.filter(|_| !split);
        split
    }

    fn is_long_enough(&self, received: Received) -> bool {
        self.segment.as_ref().is_some_and(|segment| match self.options.split {
            None => false,
            Some(Split::Bytes(bytes)) => segment.bytes() >= bytes,
            Some(Split::Time(time)) => segment.length(received.mono_ns) >= time,
        })
    }

    /// What is still to be said, and the end of the file.
    fn end(&mut self) {
        while let Some(kept) = self.ring.pop() {
            if let Kept::Frame { camera, .. } = kept {
                self.shared.books().taken[camera].passed += 1;
            }
        }
        for number in 0..self.cameras.len() {
            let camera = &mut self.cameras[number];
            let missing = camera.counter.counts().dropped.saturating_sub(camera.dropped) + camera.lost;
            let Some(segment) = self.segment.as_mut().filter(|_| missing > 0) else { continue };
            self.shared.books().gaps += 1;
            if let Err(error) = segment.gap(number, missing, self.last.unix_ns) {
                self.abandon(&segment::chain(&error));
            }
        }
        self.finish_segment();
        self.shared.books().state = State::Finished;
    }
}

fn now_unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
