//! Snapshots: a PNG file, and a JSON file beside it with what the camera sent.
//!
//! [`Snapshots`] takes frames from a camera by itself; [`SnapshotSaver`] saves those that the user of a view asks for.

mod file;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

pub use file::{Pixels, Samples, SnapshotError, SnapshotInfo, SnapshotTarget, write, write_new, write_picture};

use crate::convert::{Converter, PackedOrder};
use crate::decode::DecodeError;
use crate::error::with_causes;
use crate::frame::{Frame, Picture};
use crate::hub::{Budget, LaneCounter, Policy, RecvTimeoutError, Taker, weighed_lane};
use crate::live::{Camera, DecodeFailed, Decoding, PictureLanes, Sink};
use crate::overlay::{Overlay, Style};
use crate::sync::locked;
use crate::view::{Note, Notify, Snapshot};

/// Most frames of a recording that wait: pictures of its video that are decoded while it waits for the writer count 1.
const RECORDED_MAX: usize = 48;
/// Pictures are not decoded, and so few of them wait.
const PICTURE_WEIGHT: usize = 12;

/// Converts and saves confirmed frames of one camera, the newest ones only unless [`Self::with_waiting`] keeps more. A recording
/// waits, so that every frame is saved.
#[derive(Debug)]
pub struct Snapshots {
    camera: String,
    taker: Option<Taker<Arc<Frame>>>,
    decoding: Option<Decoding>,
    /// The reason why the last frame of video was not decoded.
    not_decoded: Arc<Mutex<Option<DecodeError>>>,
    target: SnapshotTarget,
    style: Style,
    converter: Converter,
    /// `None`: the pictures have no boxes.
    overlay: Option<Overlay>,
    /// Counts of the lane.
    counter: Option<LaneCounter>,
    /// Most frames that wait.
    waiting_max: usize,
    picture: Picture,
    rgb: Vec<u8>,
    depth: Vec<u16>,
}

impl Snapshots {
    /// Saves into `target`, with or without boxes.
    #[must_use]
    pub fn new(target: SnapshotTarget, style: Style, boxes: bool) -> Self {
        Self {
            camera: String::new(),
            taker: None,
            decoding: None,
            not_decoded: Arc::default(),
            target,
            overlay: boxes.then(|| Overlay::new(style.clone())),
            style,
            counter: None,
            waiting_max: 1,
            converter: Converter::new(),
            picture: Picture::default(),
            rgb: Vec::new(),
            depth: Vec::new(),
        }
    }

    /// Keeps so many frames that wait, instead of the newest one only.
    #[must_use]
    pub fn with_waiting(self, waiting_max: usize) -> Self {
        Self { waiting_max, ..self }
    }

    /// Returns the number of frames that were dropped because others were being saved.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.counter.as_ref().map_or(0, |counter| counter.counts().dropped)
    }

    /// Waits for the next frame, at most for `timeout`.
    ///
    /// # Errors
    /// `Timeout` if no frame arrived, `Disconnected` if the session has ended or no camera is connected.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Arc<Frame>, RecvTimeoutError> {
        self.taker.as_ref().ok_or(RecvTimeoutError::Disconnected)?.recv_timeout(timeout)
    }

    /// Returns the reason why the last frame of video was not decoded; `None` if all were, or if there was none.
    #[must_use]
    pub fn not_decoded(&self) -> Option<DecodeError> {
        locked(&self.not_decoded).clone()
    }

    /// Returns whether the camera sends video that cannot be decoded, so that waiting is useless.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(*locked(&self.not_decoded), Some(DecodeError::Unsupported { .. } | DecodeError::NotBuilt(_)))
    }

    /// Saves a frame. Returns the path of the PNG file. Depth (RAW16) keeps its samples, and has no boxes drawn.
    ///
    /// # Errors
    /// The frame cannot be converted, or a file cannot be written.
    pub fn save(&mut self, frame: &Frame) -> Result<PathBuf, SnapshotError> {
        let names = self.style.names(frame.labels.as_deref());
        let info = SnapshotInfo { camera: &self.camera, names };
        if let Some((width, height)) = self.converter.depth(frame, &mut self.depth)? {
            write(&self.target, Pixels { samples: Samples::Depth(&self.depth), width, height }, frame, info)
        } else if let Some(overlay) = &mut self.overlay {
            self.converter.picture(frame, &mut self.picture)?;
            overlay.follow(frame);
            overlay.draw(&mut self.picture, &frame.detections, frame.labels.as_deref());
            write_picture(&self.target, &self.picture, frame, info)
        } else {
            let (width, height) = self.converter.packed(frame, PackedOrder::Rgb, &mut self.rgb)?;
            write(&self.target, Pixels { samples: Samples::Rgb(&self.rgb), width, height }, frame, info)
        }
    }
}

impl Sink for Snapshots {
    type Outcome = ();

    /// Connects the camera; one that was connected before is replaced.
    fn connect(&mut self, camera: &Camera) -> io::Result<()> {
        self.camera = camera.name.clone();
        // A recording waits for a lane of which half is used, so that the decoder can fill the other half.
        let policy = match camera.spec.recording() {
            Some(_) => Policy::Bytes(Budget::new(RECORDED_MAX)),
            None => Policy::DropOldest(self.waiting_max),
        };
        let weigh = |frame: &Arc<Frame>| if frame.coded.is_some() { 1 } else { PICTURE_WEIGHT };
        let (lane, taker) = weighed_lane("snapshot", policy, weigh);
        self.counter = Some(lane.counter());
        camera.outlets.ledger.watch(lane.counter());
        let not_decoded = Arc::clone(&self.not_decoded);
        let failed: DecodeFailed = Box::new(move |_, error| {
            let mut known = locked(&not_decoded);
            // A frame that waits for a key frame does not explain why.
            if known.is_none() || !error.is_skip() {
                *known = Some(error.clone());
            }
        });
        let lanes = PictureLanes { confirmed: Some(lane), ..PictureLanes::default() };
        self.decoding = Some(Decoding::start(camera, lanes, failed)?);
        self.taker = Some(taker);
        Ok(())
    }

    fn finish(self) {}
}

/// Saves the snapshots of views, each on a thread of its own: compressing a large PNG takes longer than a frame. Dropping it
/// waits for the snapshots that are being written.
pub struct SnapshotSaver {
    target: SnapshotTarget,
    style: Style,
    notify: Notify,
    writers: Mutex<Vec<JoinHandle<()>>>,
}

impl SnapshotSaver {
    /// Saves into `target`, with names of the style, and notifies of each file or failure.
    #[must_use]
    pub fn new(target: SnapshotTarget, style: Style, notify: Notify) -> Self {
        Self { target, style, notify, writers: Mutex::default() }
    }

    /// Saves a snapshot. Does not wait for the file.
    pub fn save(&self, snapshot: Snapshot) {
        let Self { target, style, notify, writers } = self;
        let (target, style, notify) = (target.clone(), style.clone(), Arc::clone(notify));
        let write = move || {
            let Snapshot { camera, picture, frame } = snapshot;
            let info = SnapshotInfo { camera: &camera, names: style.names(frame.labels.as_deref()) };
            notify(match write_picture(&target, &picture, &frame, info) {
                Ok(path) => Note::Saved { path, is_depth: frame.is_depth() },
                Err(error) => with_causes(&error).into(),
            });
        };
        match thread::Builder::new().name("snapshot".to_owned()).spawn(write) {
            Ok(writer) => {
                let mut writers = locked(writers);
                writers.retain(|writer| !writer.is_finished());
                writers.push(writer);
            }
            Err(error) => (self.notify)(format!("no snapshot: cannot start a thread: {error}").into()),
        }
    }
}

impl Drop for SnapshotSaver {
    fn drop(&mut self) {
        for writer in std::mem::take(&mut *locked(&self.writers)) {
            // A panic was printed when it happened.
            let _ = writer.join();
        }
    }
}

impl fmt::Debug for SnapshotSaver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotSaver").field("target", &self.target).finish_non_exhaustive()
    }
}
