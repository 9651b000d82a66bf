//! Frames -> files, on a thread of its own: nobody waits for the disk, and nothing is missing without being counted.
//!
//! ```text
//! confirmed frames, incidents --lane of bytes--> thread "record" -> SegmentWriter -> Disk --queue--> thread "disk" -> X.mcap.partial
//! ```
//!
//! A file is `X.mcap.partial` until it is finished; its last second may be missing after a crash, everything before is
//! whole. A disk that is full is waited for. A file that fails otherwise is left as it is, and another one is begun.

mod books;
mod context;
mod error;
mod limits;
mod pace;
mod place;
mod recorders;
mod retention;
mod segment;
mod trigger;
mod worker;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub use books::{CameraBooks, Health, Outcome, State};
pub use error::RecordError;
pub use limits::{Keep, LimitError, Split};
pub use pace::{Pace, remaining};
pub use place::Place;
pub use recorders::{Recorders, RecordersHealth};
pub use segment::Saved;
pub use trigger::{Trigger, TriggerError};

use books::Shared;
use worker::{Item, Worker};

use crate::frame::{Frame, LabelMap};
use crate::hub::{Budget, Lane, LaneCounter, Policy, weighed_lane};
use crate::recording::disk::Disk;
use crate::recording::{CameraInfo, Compression};
use crate::source::{Incident, Outlets};
use crate::sync::locked;

/// What to record, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where files go.
    pub place: Place,
    /// How they are compressed.
    pub compression: Compression,
    /// When the next file is begun.
    pub split: Option<Split>,
    /// Which finished files of these cameras stay. Only with a folder.
    pub keep: Option<Keep>,
    /// Records around these detections only.
    pub trigger: Option<Trigger>,
    /// Forces what is written to the medium about once a second, so that a power cut takes no more than that.
    pub sync: bool,
    /// Memory for waiting frames, shared by all recorders with the same budget.
    pub budget: Budget,
    /// Records at most this many frames of each camera.
    pub frames_max: Option<u64>,
    /// Names of the labels, if the user gave some.
    pub labels: Option<LabelMap>,
}

impl Options {
    /// Everything into this place, in one file, with 256 MB for what waits.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self {
            place,
            compression: Compression::None,
            split: None,
            keep: None,
            trigger: None,
            sync: false,
            budget: Budget::new(256_000_000),
            frames_max: None,
            labels: None,
        }
    }
}

/// Records some cameras into one file at a time. Dropping it finishes the file.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    inputs: Vec<Input>,
    /// Keeps the worker alive while all cameras have ended: it runs until it is stopped. `None` once it is.
    lane: Mutex<Option<Lane<Item>>>,
    budget: Budget,
    thread: Option<JoinHandle<()>>,
}

/// One camera's way into the recorder.
#[derive(Debug)]
struct Input {
    name: String,
    outlets: Outlets,
    frames: LaneCounter,
    incidents: LaneCounter,
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
        outlets.confirmed.add_mapped(frame_lane, move |frame: &Arc<Frame>| {
            left = left.checked_sub(1)?;
            // Drops before this frame: the worker marks the gap in front of it, however long it waits.
            Some(Item::Frame { camera, frame: Arc::clone(frame), dropped: counter.counts().dropped })
        });
        outlets.incidents.add_mapped(incident_lane, move |Incident { received, event }: &Incident| {
            Some(Item::Incident { camera, incident: event.into(), at: *received })
        });
        outlets.ledger.watch(frames.clone());
        Self { name: info.name.clone(), outlets: outlets.clone(), frames, incidents }
    }

    /// Ends both lanes: nothing is recorded after this returns.
    fn disconnect(&self) {
        self.outlets.confirmed.remove(&self.frames);
        self.outlets.incidents.remove(&self.incidents);
    }
}

impl Recorder {
    /// Records these cameras from now on. Creates a named file now, and the first file of a folder with the first frame.
    ///
    /// # Errors
    /// The file exists or another recorder writes it; the folder cannot be created or written to.
    pub fn start(options: Options, cameras: Vec<(CameraInfo, Outlets)>) -> Result<Self, RecordError> {
        Self::start_on(options, cameras, Box::new(Disk::create))
    }

    /// As [`Self::start`], with files that `open` opens.
    fn start_on(options: Options, cameras: Vec<(CameraInfo, Outlets)>, open: place::Open) -> Result<Self, RecordError> {
        let shared = Arc::new(Shared::default());
        let (lane, taker) = weighed_lane("record", Policy::Bytes(options.budget.clone()), Item::weight);
        let (infos, outlets): (Vec<CameraInfo>, Vec<Outlets>) = cameras.into_iter().unzip();
        let (budget, frames_max) = (options.budget.clone(), options.frames_max);
        let mut worker = Worker::new(options, infos.clone(), taker, Arc::clone(&shared), open)?;
        let connect = |(camera, (info, outlets))| Input::connect(camera, info, outlets, &lane, frames_max);
        let inputs: Vec<Input> = infos.iter().zip(&outlets).enumerate().map(connect).collect();
        worker.count(inputs.iter().map(|input| input.frames.clone()));
        let name = format!("record {}", infos.first().map_or("", |info| &info.name)).replace('\0', "");
        let thread = std::thread::Builder::new().name(name).spawn(move || worker.run()).map_err(RecordError::Thread)?;
        Ok(Self { shared, inputs, lane: Mutex::new(Some(lane)), budget, thread: Some(thread) })
    }

    /// How it is doing.
    #[must_use]
    pub fn health(&self) -> Health {
        let books = self.shared.books();
        let cameras = self.cameras(&books);
        Health {
            state: books.state(),
            frames: cameras.iter().map(|camera| camera.recorded).sum(),
            missing: cameras.iter().map(|camera| camera.dropped + camera.lost).sum(),
            cameras,
            gaps: books.gaps,
            bytes: books.bytes(),
            segments: (books.files.len() + books.left.len() + usize::from(books.current.is_some())) as u64,
            current: books.current.as_ref().map(|(path, _)| path.clone()),
            disk_left: books.disk_left,
            waiting_bytes: self.budget.used(),
        }
    }

    /// Takes no more frames and begins to finish. [`Self::finish`] waits for that.
    pub fn stop(&self) {
        self.shared.stop();
        self.inputs.iter().for_each(Input::disconnect);
        // With the last lane gone the worker wakes up, and ends once the queue is empty.
        drop(locked(&self.lane).take());
    }

    /// Records what still waits, finishes the file and says what there is. A full disk is waited for two seconds more.
    #[must_use]
    pub fn finish(mut self) -> Outcome {
        self.end();
        let mut books = self.shared.books();
        let cameras = self.cameras(&books);
        let sum = |of: fn(&CameraBooks) -> u64| cameras.iter().map(of).sum();
        Outcome {
            frames: sum(|camera| camera.recorded),
            dropped: sum(|camera| camera.dropped),
            // What was left in the lane or in hand can only be there because the thread panicked.
            lost: sum(|camera| camera.lost + camera.held + camera.queued),
            bytes: books.files.iter().map(|file| file.bytes).sum(),
            gaps: books.gaps,
            deleted: books.deleted,
            files: std::mem::take(&mut books.files),
            left: std::mem::take(&mut books.left),
            problems: std::mem::take(&mut books.problems),
            cameras,
        }
    }

    fn cameras(&self, books: &books::Books) -> Vec<CameraBooks> {
        let each = self.inputs.iter().zip(&books.taken);
        each.map(|(input, taken)| CameraBooks::of(&input.name, taken, input.frames.counts())).collect()
    }

    fn end(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            let mut books = self.shared.books();
            books.state = State::Finished;
            books.problem("the thread that records panicked, which is a bug");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}

/// Bytes that a frame holds.
fn weight(frame: &Frame) -> usize {
    512 + frame.payload().len() + frame.records.len() + frame.header.len() + 2 * frame.detection_text.len()
}

#[cfg(test)]
mod tests;
