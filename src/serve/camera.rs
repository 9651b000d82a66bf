//! One served camera: makes the pictures that its viewers watch, on a thread of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io};

use super::controls::CameraControls;
use super::encoder::Encoding;
use super::feed::Feed;
use super::form::Form;
use super::page_video::PageVideo;
use super::recording::{CameraRecorder, RecordingMonitor};
use super::shot::{Shot, ShotMaker};
use super::viewer::{Viewer, ViewerKind, Viewers};
use crate::decode::DecodeError;
use crate::frame::{Frame, LabelMap};
use crate::hub::{Budget, Hub, Policy, RecvTimeoutError, Taker, lane, weighed_lane};
use crate::live::{Camera, DecodeFailed, Decoding, PictureLanes};
use crate::overlay::Style;
use crate::sink::detections::DetectedFrame;
use crate::sink::record::ConnectionContext;
use crate::source::Incident;
use crate::stats::FURTHER_STREAMS_MAX;
use crate::sync::locked;
use crate::wire::{self, LINE, Record};

/// How often the thread looks whether somebody watches while no frame arrives.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// Forms of pictures that programs watch at the same time, besides those of pages. Each costs an encoding of every frame.
const FORMS_MAX: usize = 16;

/// Frames of `/events` that wait for a slow client, without their pictures.
const EVENTS_WAITING: usize = 64;

/// Frames that wait for a client of the camera's own protocol. Up to ten arrive at once when a connection begins, because
/// later frames decide whether they are stale.
pub(super) const CLIENT_WAITING: usize = 32;

/// Bytes of the pictures that wait for a client: ten raw pictures of 1920x1080.
const CLIENT_WAITING_BYTES: usize = 64 << 20;

/// Reason why a camera has no picture.
#[derive(Clone, Debug, Default)]
pub(super) struct NoPicture {
    pub(super) error: String,
    pub(super) help: Option<&'static str>,
}

/// A camera, or a further stream of one, and its viewers. Dropping it ends its thread.
pub(super) struct ServedCamera {
    pub(super) name: String,
    pub(super) viewers: Arc<Viewers>,
    pub(super) style: Style,
    pub(super) rtsp: Feed,
    pub(super) video: PageVideo,
    #[cfg(feature = "whep")]
    pub(super) whep: Feed,
    encoding: Arc<Encoding>,
    /// Records all streams of the camera. `None`: the server has no folder for recordings.
    pub(super) recorder: Option<Arc<CameraRecorder>>,
    /// The recording that clients or the program have started.
    pub(super) recording: RecordingMonitor,
    /// Those of the camera, for all its streams.
    pub(super) controls: Arc<CameraControls>,
    camera: Camera,
    /// Further streams of the camera, in the order of their first frames.
    further: Box<[OnceLock<Arc<Self>>]>,
    shared: Arc<Shared>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

/// Facts about the camera's stream that clients of its protocol need.
#[derive(Default)]
struct Seen {
    records: ConnectionContext,
    /// The camera's count of frames that it has dropped on its connection (`@Q`).
    dropped: u64,
    /// Number of connections of the camera that have ended.
    connection: u64,
    /// Number of the last frame.
    last_id: u64,
    /// Whether a frame of the served stream has arrived.
    has_frame: bool,
    /// Names of its last frame.
    labels: Option<Arc<LabelMap>>,
}

impl Seen {
    /// Observes a frame of any stream. `is_served`: it is of the served stream.
    fn frame(&mut self, frame: &Frame, is_served: bool) {
        // A recording that plays again from its beginning.
        if frame.id < std::mem::replace(&mut self.last_id, frame.id) {
            self.end_connection();
            self.last_id = frame.id;
        }
        self.records.observe(frame);
        self.dropped = dropped_by_camera(&frame.records).unwrap_or(self.dropped);
        if is_served {
            self.has_frame = true;
            self.labels.clone_from(&frame.labels);
        }
    }

    /// The records of a connection are not valid on the next one.
    fn end_connection(&mut self) {
        self.connection += 1;
        (self.last_id, self.dropped, self.records) = (0, 0, ConnectionContext::default());
    }
}

/// Returns the last count of frames that the camera has dropped (`@Q`) in these records.
fn dropped_by_camera(records: &[u8]) -> Option<u64> {
    let counts = records.as_chunks::<LINE>().0.iter().rev().filter(|line| line.starts_with(b"@Q"));
    counts.flat_map(|line| wire::records(line)).find_map(|record| match record {
        Record::Dropped(frames) => Some(frames),
        _ => None,
    })
}

/// The state of a connection of the camera for a client that joins it.
pub(super) struct JoinedConnection {
    /// Number of the connection.
    pub(super) connection: u64,
    /// Records that are valid on it: lines of 32 bytes.
    pub(super) records: Vec<u8>,
    /// Frames that the camera has dropped on it so far, by its own count.
    pub(super) dropped: u64,
}

/// A confirmed frame that waits for a client.
pub(super) struct Waiting {
    /// Number of the frame among those that were offered to the client, from 0.
    pub(super) number: u64,
    /// Number of the connection of the camera that sent it.
    pub(super) connection: u64,
    /// Time at which it began to wait.
    pub(super) since: Instant,
    pub(super) frame: Arc<Frame>,
}

#[derive(Default)]
struct Shared {
    /// Viewers of each form that is watched.
    forms: Mutex<Vec<(Form, Hub<Arc<Shot>>)>>,
    no_picture: Arc<Mutex<Option<NoPicture>>>,
    encoded: AtomicU64,
    ends: AtomicBool,
}

impl Shared {
    fn is_watched(&self) -> bool {
        let mut forms = locked(&self.forms);
        forms.retain(|(_, viewers)| !viewers.is_empty());
        !forms.is_empty()
    }
}

impl ServedCamera {
    /// Subscribes to a camera's outlets.
    pub(super) fn start(
        camera: &Camera,
        style: Style,
        recorder: Option<Arc<CameraRecorder>>,
        recording: RecordingMonitor,
        controls: Arc<CameraControls>,
    ) -> io::Result<Arc<Self>> {
        let shared = Arc::<Shared>::default();
        let (provisional, frames) = lane("serve", Policy::DropOldest(1));
        camera.outlets.ledger.watch(provisional.counter());
        let lanes = PictureLanes { provisional: Some(provisional), confirmed: None };
        let decoding = Decoding::start(camera, lanes, not_decoded(Arc::clone(&shared.no_picture)))?;
        let worker = Worker { shared: Arc::clone(&shared), frames, decoding, maker: ShotMaker::new(style.clone()) };
        let thread = thread::Builder::new().name(format!("serve {}", camera.name)).spawn(move || worker.run())?;
        let seen = Arc::<Mutex<Seen>>::default();
        let (seen_by_tap, stream) = (Arc::clone(&seen), camera.stream.clone());
        let see = move |frame: &Arc<Frame>| locked(&seen_by_tap).frame(frame, frame.stream == stream);
        camera.outlets.confirmed.tap(see);
        // Incidents are in one order with the confirmed frames.
        let seen_by_tap = Arc::clone(&seen);
        camera.outlets.incidents.tap(move |incident: &Incident| {
            if incident.event.ends_connection() {
                locked(&seen_by_tap).end_connection();
            }
        });
        let encoding = Encoding::new(camera);
        Ok(Arc::new(Self {
            name: camera.name.clone(),
            viewers: Arc::default(),
            style,
            rtsp: Feed::new(&super::rtsp::PROTOCOL, &encoding),
            #[cfg(feature = "whep")]
            whep: Feed::new(&super::whep::PROTOCOL, &encoding),
            encoding,
            video: PageVideo::follow(camera),
            recorder,
            recording,
            controls,
            camera: camera.clone(),
            // A stream has no streams.
            further: (0..if camera.stream.is_none() { FURTHER_STREAMS_MAX } else { 0 })
                .map(|_| OnceLock::new())
                .collect(),
            shared,
            seen,
            thread: Some(thread),
        }))
    }

    /// Returns the name of the stream, if it is not the first one of the camera.
    pub(super) fn stream(&self) -> Option<&str> {
        self.camera.stream.as_deref()
    }

    fn feeds(&self) -> impl Iterator<Item = &Feed> {
        [
            &self.rtsp,
            #[cfg(feature = "whep")]
            &self.whep,
        ]
        .into_iter()
    }

    /// Returns this camera, and then its further streams.
    pub(super) fn with_streams(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::once(self).chain(self.further.iter().filter_map(OnceLock::get))
    }

    /// Serves the further streams whose first frames have arrived. `is_taken`: whether another camera has a name.
    pub(super) fn add_streams(&self, is_taken: impl Fn(&str) -> bool) -> io::Result<()> {
        if self.camera.spec.recording().is_some() {
            // In a recording each stream is a camera.
            return Ok(());
        }
        let names = self.camera.outlets.ledger.update(|stats| stats.further_streams());
        for (place, name) in self.further.iter().zip(&names).filter(|(place, _)| place.get().is_none()) {
            let mut camera = self.camera.of_stream(name);
            let numbered = (2..).map(|number| format!("{}-{number}", camera.name));
            let free = std::iter::once(camera.name.clone()).chain(numbered).find(|name| !is_taken(name));
            camera.name = free.unwrap_or_default();
            let stream = Self::start(
                &camera,
                self.style.clone(),
                self.recorder.clone(),
                self.recording.clone(),
                Arc::clone(&self.controls),
            )?;
            for (feed, of_stream) in self.feeds().zip(stream.feeds()) {
                if feed.is_followed() {
                    of_stream.follow();
                }
            }
            tracing::info!(camera = self.name, "serves the stream `{name}` as {}", stream.name);
            place.get_or_init(|| stream);
        }
        Ok(())
    }

    /// Adds a viewer of the newest pictures in this form. `None`: programs watch [`FORMS_MAX`] other forms. Those of pages are
    /// never refused.
    pub(super) fn watch(&self, kind: ViewerKind, form: &Form) -> Option<Viewer<Arc<Shot>>> {
        let mut forms = locked(&self.shared.forms);
        let viewers = forms.iter().find(|(known, _)| known == form).map(|(_, viewers)| viewers.clone());
        let viewers = match viewers {
            Some(viewers) => viewers,
            None => {
                forms.retain(|(_, viewers)| !viewers.is_empty());
                let of_programs = forms.iter().filter(|(known, _)| !known.is_of_page()).count();
                if !form.is_of_page() && of_programs >= FORMS_MAX {
                    return None;
                }
                let viewers = Hub::new();
                forms.push((form.clone(), viewers.clone()));
                viewers
            }
        };
        let (lane, taker) = lane("viewer", Policy::DropOldest(1));
        let viewer = self.viewers.add(kind, lane.counter(), taker);
        viewers.add(lane);
        // The thread removes forms without viewers, so the lane is added before the lock is released.
        drop(forms);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        Some(viewer)
    }

    /// Checks the name or number of a class. The error says what is wrong with it. Before the first frame every name is accepted.
    pub(super) fn check_class(&self, class: &str) -> Result<(), String> {
        let seen = locked(&self.seen);
        let names = self.style.names(seen.labels.as_deref());
        if !seen.has_frame || names.knows(class) {
            return Ok(());
        }
        let nearest = names.nearest(class).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        let (class, camera) = (class.escape_default(), &self.name);
        Err(format!("crop={class}: {camera} has no class of this name; expected a name or a number{nearest}"))
    }

    /// Adds a viewer of the detections of each confirmed frame.
    pub(super) fn watch_detections(&self) -> Viewer<DetectedFrame> {
        let (lane, taker) = lane("events", Policy::DropOldest(EVENTS_WAITING));
        let viewer = self.viewers.add(ViewerKind::Events, lane.counter(), taker);
        let stream = self.camera.stream.clone();
        let detected = move |frame: &Arc<Frame>| (frame.stream == stream).then(|| DetectedFrame::new(frame, false, 0));
        self.camera.outlets.confirmed.add_mapped(lane, detected);
        viewer
    }

    /// Adds a client of the camera's own protocol, which joins the current connection of the camera.
    pub(super) fn watch_confirmed(&self) -> (Viewer<Waiting>, JoinedConnection) {
        let policy = Policy::DropQueue(CLIENT_WAITING, Budget::new(CLIENT_WAITING_BYTES));
        let (lane, taker) = weighed_lane("client", policy, |waiting: &Waiting| waiting.frame.payload().len());
        let viewer = self.viewers.add(ViewerKind::CameraPort, lane.counter(), taker);
        let (seen, mut number) = (Arc::clone(&self.seen), 0..);
        self.camera.outlets.confirmed.add_mapped(lane, move |frame| {
            let (connection, number) = (locked(&seen).connection, number.next()?);
            Some(Waiting { number, connection, since: Instant::now(), frame: Arc::clone(frame) })
        });
        let seen = locked(&self.seen);
        let Seen { connection, dropped, .. } = *seen;
        (viewer, JoinedConnection { connection, records: seen.records.records(), dropped })
    }

    /// Returns the number of the camera's connection. Frames of earlier connections have been offered to every client.
    pub(super) fn connection(&self) -> u64 {
        locked(&self.seen).connection
    }

    /// Returns why the last frame has no picture.
    pub(super) fn no_picture(&self) -> Option<NoPicture> {
        locked(&self.shared.no_picture).clone()
    }

    /// Returns the number of pictures that were encoded.
    pub(super) fn encoded(&self) -> u64 {
        self.shared.encoded.load(Ordering::SeqCst) + self.encoding.encoded()
    }
}

impl fmt::Debug for ServedCamera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedCamera").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Drop for ServedCamera {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// Keeps the last reason for a frame of video that is not decoded. Waiting for a key frame does not replace another reason.
pub(super) fn not_decoded(last: Arc<Mutex<Option<NoPicture>>>) -> DecodeFailed {
    Box::new(move |_, error| {
        let is_wait = matches!(error, DecodeError::AwaitsKeyFrame | DecodeError::NoPicture);
        let mut known = locked(&last);
        if !is_wait || known.is_none() {
            *known = Some(NoPicture { error: error.to_string(), help: error.help() });
        }
    })
}

struct Worker {
    shared: Arc<Shared>,
    frames: Taker<Arc<Frame>>,
    decoding: Decoding,
    maker: ShotMaker,
}

impl Worker {
    fn run(mut self) {
        while !self.shared.ends.load(Ordering::SeqCst) {
            let watched = self.shared.is_watched();
            self.frames.mute(!watched);
            self.decoding.mute(!watched);
            if !watched {
                // A new viewer wakes the thread.
                thread::park_timeout(WATCH_INTERVAL);
                drop(self.frames.try_take());
                continue;
            }
            match self.frames.recv_timeout(WATCH_INTERVAL) {
                Ok(frame) => self.publish(&frame),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    /// Offers the pictures of a frame to the viewers of each size.
    fn publish(&mut self, frame: &Arc<Frame>) {
        self.maker.begin(frame);
        // Encoding takes long, and viewers are added meanwhile.
        let forms = locked(&self.shared.forms).clone();
        for (form, viewers) in forms.iter().filter(|(_, viewers)| !viewers.is_empty()) {
            match self.maker.shot(frame, form) {
                Ok(shot) => {
                    *locked(&self.shared.no_picture) = None;
                    shot.iter().for_each(|shot| viewers.offer(shot));
                }
                Err(error) => {
                    *locked(&self.shared.no_picture) = Some(NoPicture { error: error.to_string(), help: None });
                }
            }
        }
        self.shared.encoded.store(self.maker.encoded, Ordering::SeqCst);
    }
}
