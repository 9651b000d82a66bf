//! Threads that make and publish the pictures of a camera: one that waits for a slow link delays neither detections nor other
//! cameras.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::endpoint::Endpoint;
use super::graph::MessageType;
use super::image::{ImageMaker, message_type};
use crate::frame::Frame;
use crate::hub::Taker;
use crate::recording::ros::{Header, Text, Time};
use crate::sink::publish::camera::NumberedFrame;
use crate::sync::{locked, unpark_waker};

/// The topics of the pictures of a camera. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct PictureTopics(Arc<Mutex<Vec<PictureTopic>>>);

struct PictureTopic {
    stream: Option<Arc<str>>,
    is_main: bool,
    endpoint: Arc<Endpoint>,
}

impl PictureTopics {
    /// Returns whether there is one for such messages of a stream.
    pub(super) fn has(&self, stream: Option<&Arc<str>>, message: MessageType) -> bool {
        self.find(stream, message).is_some()
    }

    /// `is_main`: it is the first stream of the camera.
    pub(super) fn add(&self, stream: Option<Arc<str>>, is_main: bool, endpoint: Endpoint) {
        locked(&self.0).push(PictureTopic { stream, is_main, endpoint: Arc::new(endpoint) });
    }

    /// Returns whether somebody subscribes to pictures of the first stream, or of another one.
    pub(super) fn are_wanted(&self, is_main: bool) -> bool {
        locked(&self.0).iter().any(|topic| topic.is_main == is_main && topic.endpoint.is_wanted())
    }

    /// Returns all of them.
    pub(super) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        locked(&self.0).iter().map(|topic| Arc::clone(&topic.endpoint)).collect()
    }

    fn find(&self, stream: Option<&Arc<str>>, message: MessageType) -> Option<Arc<Endpoint>> {
        let topics = locked(&self.0);
        let topic = topics.iter().find(|known| known.stream.as_ref() == stream && known.endpoint.message == message);
        topic.map(|topic| Arc::clone(&topic.endpoint))
    }
}

/// Returns the header of all messages about a frame.
pub(super) fn header(capture_unix_ns: i64, frame_id: &str) -> Header<'_> {
    Header { stamp: Time::from_unix_ns(capture_unix_ns), frame_id: Text(frame_id.into()) }
}

/// A thread that publishes the frames of one lane. Dropping it ends the thread.
pub(super) struct PictureThread {
    frames: Arc<Taker<NumberedFrame>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PictureThread {
    /// Starts the thread. `name`: of the camera; `raw`: pixels are not compressed.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn start(
        name: &str,
        frame_id: &str,
        frames: Taker<NumberedFrame>,
        topics: PictureTopics,
        raw: bool,
    ) -> io::Result<Self> {
        let (frames, ends) = (Arc::new(frames), Arc::<AtomicBool>::default());
        let worker = Worker {
            camera: name.to_owned(),
            frame_id: frame_id.to_owned(),
            frames: Arc::clone(&frames),
            ends: Arc::clone(&ends),
            topics,
            raw,
            maker: ImageMaker::default(),
            failed: String::new(),
        };
        let thread =
            thread::Builder::new().name(format!("ros2 {name}").replace('\0', " ")).spawn(move || worker.run())?;
        Ok(Self { frames, ends, thread: Some(thread) })
    }

    /// Takes no frames while nobody subscribes to them.
    pub(super) fn mute(&self, muted: bool) {
        self.frames.mute(muted);
    }
}

impl Drop for PictureThread {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

struct Worker {
    camera: String,
    frame_id: String,
    frames: Arc<Taker<NumberedFrame>>,
    ends: Arc<AtomicBool>,
    topics: PictureTopics,
    raw: bool,
    maker: ImageMaker,
    /// The last reported error.
    failed: String,
}

impl Worker {
    fn run(mut self) {
        // Registered before the first look, so that no frame is missed.
        self.frames.wake_on_item(unpark_waker(thread::current()));
        while !self.ends.load(Ordering::SeqCst) {
            match self.frames.try_take() {
                Some(NumberedFrame { frame, number, .. }) => self.publish(&frame, number.capture_unix_ns),
                None => thread::park(),
            }
        }
    }

    fn publish(&mut self, frame: &Frame, capture_unix_ns: i64) {
        let message = message_type(frame, self.raw);
        let topic = self.topics.find(frame.stream.as_ref(), message);
        let Some(topic) = topic.filter(|topic| topic.is_wanted()) else { return };
        match self.maker.message(frame, message, &header(capture_unix_ns, &self.frame_id)) {
            Ok(message) => topic.put(message),
            Err(error) => {
                let error = error.to_string();
                if error != self.failed {
                    tracing::warn!(camera = self.camera, "cannot publish a picture: {error}");
                    self.failed = error;
                }
            }
        }
    }
}
