//! Frames -> files, on a thread of its own: nobody waits for the disk, and nothing is missing without being counted.
//!
//! ```text
//! Feed (one per camera) --weighed lane--> thread "record" -> SegmentWriter -> Disk --queue--> thread "disk" -> X.mcap.partial
//! ```
//!
//! A file is `X.mcap.partial` until it is finished; its last second may be missing after a crash, everything before is
//! whole. A disk that is full is waited for. A file that fails otherwise is left as it is, and another one is begun.

mod books;
mod context;
mod deck;
mod error;
mod limits;
mod pace;
mod place;
mod retention;
mod segment;
mod trigger;
mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;

pub use books::{CameraBooks, Health, Outcome, State};
pub use deck::{Deck, DeckHealth};
pub use error::RecordError;
pub use limits::{Keep, LimitError, Split};
pub use pace::{Pace, remaining};
pub use place::Place;
pub use segment::Saved;
pub use trigger::{Trigger, TriggerError};

use books::Shared;
use worker::{Item, Worker};

use crate::frame::Frame;
use crate::hub::weighed::{Budget, WeighedLane, weighed};
use crate::hub::{LaneCounter, LaneCounts};
use crate::recording::disk::Disk;
use crate::recording::{CameraInfo, Compression, schema};

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
    /// Memory for frames that wait, of all recorders that have the same one.
    pub budget: Budget,
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
        }
    }
}

/// Records some cameras into one file at a time. Dropped, it finishes the file.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    feeds: Vec<Feed>,
    names: Vec<String>,
    budget: Budget,
    control: WeighedLane<Item>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Begins to record these cameras. A folder's first file is begun with the first frame, a file that was named at once.
    ///
    /// # Errors
    /// The file is there, or is written by somebody else; the folder cannot be made or not be written to.
    pub fn start(options: Options, cameras: Vec<CameraInfo>) -> Result<Self, RecordError> {
        Self::start_on(options, cameras, Box::new(Disk::create))
    }

    /// The same with files that are opened like this.
    fn start_on(options: Options, cameras: Vec<CameraInfo>, open: place::Open) -> Result<Self, RecordError> {
        let shared = Arc::new(Shared::default());
        let (control, taker) = weighed("record", &options.budget);
        let feed = |camera: usize| {
            // Incidents are counted apart from frames.
            let (frames, incidents) = (control.sibling(), control.sibling());
            Feed(Arc::new(Ends { camera, frames, incidents, shared: Arc::clone(&shared) }))
        };
        let feeds: Vec<Feed> = (0..cameras.len()).map(feed).collect();
        let counters = feeds.iter().map(Feed::counter).collect();
        let names: Vec<String> = cameras.iter().map(|camera| camera.name.clone()).collect();
        let budget = options.budget.clone();
        let worker = Worker::new(options, cameras, taker, counters, Arc::clone(&shared), open)?;
        let name = format!("record {}", names.first().map_or("", String::as_str)).replace('\0', "");
        let thread = std::thread::Builder::new().name(name).spawn(move || worker.run()).map_err(RecordError::Thread)?;
        Ok(Self { shared, feeds, names, budget, control, thread: Some(thread) })
    }

    /// Where frames of this camera go in, counted from 0 in the order given to [`Self::start`].
    ///
    /// # Panics
    /// There is no such camera.
    #[must_use]
    pub fn feed(&self, camera: usize) -> Feed {
        self.feeds[camera].clone()
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

    /// Takes no more frames, and begins to finish; to be followed by [`Self::finish`]. For those who end several at once.
    pub fn stop(&self) {
        self.shared.stop();
        // So that it does not wait for the next frame to notice.
        self.control.offer(Item::Wake, 0);
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
        let each = self.names.iter().zip(&self.feeds).zip(&books.taken);
        each.map(|((name, feed), taken)| CameraBooks::of(name, taken, feed.counter().counts())).collect()
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

/// Where frames of one camera go in. Clones lead to the same place; one at a time is used.
#[derive(Clone, Debug)]
pub struct Feed(Arc<Ends>);

#[derive(Debug)]
struct Ends {
    camera: usize,
    frames: WeighedLane<Item>,
    incidents: WeighedLane<Item>,
    shared: Arc<Shared>,
}

impl Feed {
    /// Offers a frame, without ever waiting. `false`: the recorder has ended, and the frame is not recorded.
    pub fn frame(&self, frame: &Arc<Frame>) -> bool {
        let Ends { camera, frames, shared, .. } = &*self.0;
        if shared.is_stopped() {
            return false;
        }
        // As many were dropped before this one: a gap stands where it was, however long the frame waits.
        let LaneCounts { dropped, .. } = frames.counter().counts();
        let bytes = weight(frame);
        frames.offer(Item::Frame { camera: *camera, frame: Arc::clone(frame), dropped }, bytes)
    }

    /// Offers something that happened between two frames. `false`: the recorder has ended.
    pub fn incident(&self, incident: schema::RecordedIncident, at: crate::frame::Received) -> bool {
        let Ends { camera, incidents, shared, .. } = &*self.0;
        if shared.is_stopped() {
            return false;
        }
        let bytes = incident.memory_bytes();
        incidents.offer(Item::Incident { camera: *camera, incident, at }, bytes)
    }

    /// A reader of the counts of frames that went in here.
    #[must_use]
    pub fn counter(&self) -> LaneCounter {
        self.0.frames.counter()
    }
}

/// Bytes that a frame holds.
fn weight(frame: &Frame) -> usize {
    512 + frame.payload().len() + frame.records.len() + frame.header.len() + 2 * frame.detection_text.len()
}

#[cfg(test)]
mod tests;
