//! Pictures of one camera as H.264: encoded once for all players, on a thread of its own, while one plays.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;

use crate::convert::{Converter, Yuv420};
use crate::encode::{EncodeError, H264Encoder, H264Settings, check_h264_size, h264_bit_rate};
use crate::frame::{Frame, PayloadKind, Size};
use crate::hub::{Hub, Lane, Policy, RecvTimeoutError, Taker, lane};
use crate::live::Camera;
use crate::source::{Continuity, Outlets};
use crate::sync::locked;

/// How often the thread looks whether a player is there while no frame arrives.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// Frame rate for which the bit rate is chosen.
const NOMINAL_FPS: f32 = 30.0;

/// Frames between two key frames, at which slow players continue: 2 s at 30 frames per second.
const KEY_FRAME_INTERVAL: u32 = 60;

/// Fewest frames between key frames that players request, so that requests cannot make every frame a large one.
const REQUESTED_INTERVAL: u32 = 15;

/// Reason why a frame is not encoded.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Convert(#[from] crate::convert::ConvertError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The frames of a camera's main stream.
pub(super) struct CameraFrames {
    outlets: Outlets,
    stream: Option<Arc<str>>,
    /// Number of places so far after which a frame does not follow the one before.
    breaks: Arc<AtomicU64>,
}

impl CameraFrames {
    fn new(outlets: Outlets, stream: Option<Arc<str>>) -> Self {
        let breaks = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&breaks);
        // In one order with the provisional frames.
        outlets.continuity.tap(move |event: &Continuity| {
            if matches!(event, Continuity::Broken) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { outlets, stream, breaks }
    }

    /// Adds the confirmed frames to a lane, which is usually one interval after their last bytes have arrived.
    pub(super) fn subscribe_confirmed(&self, lane: Lane<Arc<Frame>>) {
        let stream = self.stream.clone();
        self.outlets.confirmed.add_mapped(lane, move |frame| (frame.stream == stream).then(|| Arc::clone(frame)));
    }

    /// Adds the frames to a lane as soon as their last bytes have arrived. Later bytes may show that one was damaged: no video
    /// follows it, nor a missing one, up to the next key frame.
    pub(super) fn subscribe(&self, lane: Lane<Arc<Frame>>) {
        let (stream, breaks) = (self.stream.clone(), Arc::clone(&self.breaks));
        let (mut known, mut awaits_key_frame) = (breaks.load(Ordering::SeqCst), false);
        self.outlets.provisional.add_mapped(lane, move |frame| {
            if frame.stream != stream {
                return None;
            }
            let breaks = breaks.load(Ordering::SeqCst);
            awaits_key_frame |= std::mem::replace(&mut known, breaks) != breaks;
            if awaits_key_frame {
                awaits_key_frame = frame.kind.is_video() && !frame.is_key_frame();
            }
            (!awaits_key_frame).then(|| Arc::clone(frame))
        });
    }

    /// Calls `each` with every confirmed frame, on the thread that receives it.
    pub(super) fn tap(&self, each: impl Fn(&Frame) + Send + 'static) {
        let stream = self.stream.clone();
        self.outlets.confirmed.tap(move |frame: &Arc<Frame>| {
            if frame.stream == stream {
                each(frame);
            }
        });
    }
}

/// The one encoder for the players of all protocols, started for the first player that needs it.
pub(super) struct Encoding {
    name: String,
    pub(super) camera: CameraFrames,
    sets: Arc<watch::Sender<Arc<[u8]>>>,
    started: Mutex<Option<Arc<PictureEncoder>>>,
}

impl Encoding {
    pub(super) fn new(camera: &Camera) -> Arc<Self> {
        Arc::new(Self {
            name: camera.name.clone(),
            camera: CameraFrames::new(camera.outlets.clone(), camera.stream.clone()),
            sets: Arc::default(),
            started: Mutex::default(),
        })
    }

    /// Returns the encoder, and starts it before its first use. `protocol` does not carry `what`.
    pub(super) fn start(&self, protocol: &str, what: &str) -> io::Result<Arc<PictureEncoder>> {
        let mut started = locked(&self.started);
        if let Some(encoder) = &*started {
            return Ok(Arc::clone(encoder));
        }
        let sets = Arc::clone(&self.sets);
        let publish = move |found: Vec<u8>| drop(sets.send_replace(found.into()));
        let encoder = PictureEncoder::start(&self.name, |lane| self.camera.subscribe(lane), publish)?;
        tracing::info!(camera = self.name, "encodes H.264 for {protocol}, which does not carry {what}");
        Ok(Arc::clone(started.insert(Arc::new(encoder))))
    }

    /// Returns the parameter sets of the encoder; empty before its first picture.
    pub(super) fn sets(&self) -> watch::Receiver<Arc<[u8]>> {
        self.sets.subscribe()
    }

    /// Returns the number of frames that were encoded.
    pub(super) fn encoded(&self) -> u64 {
        locked(&self.started).as_ref().map_or(0, |encoder| encoder.encoded())
    }

    /// Returns why the last frame was not encoded.
    pub(super) fn failed(&self) -> Option<String> {
        locked(&self.started).as_ref().and_then(|encoder| encoder.failed())
    }

    /// Makes one of the next [`REQUESTED_INTERVAL`] frames a key frame, if frames are encoded.
    #[cfg(feature = "whep")]
    pub(super) fn request_key_frame(&self) {
        if let Some(encoder) = &*locked(&self.started) {
            encoder.shared.key_frame_requested.store(true, Ordering::SeqCst);
        }
    }
}

/// The encoder of a camera. Dropping it ends its thread.
pub(super) struct PictureEncoder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    players: Hub<Arc<Frame>>,
    /// Players that wait for the parameter sets.
    waiting: AtomicUsize,
    /// A new player waits for one.
    key_frame_wanted: AtomicBool,
    /// A player has lost frames.
    key_frame_requested: AtomicBool,
    encoded: AtomicU64,
    failed: Mutex<Option<String>>,
    ends: AtomicBool,
}

impl Shared {
    fn is_watched(&self) -> bool {
        !self.players.is_empty() || self.waiting.load(Ordering::SeqCst) > 0
    }
}

/// Keeps the encoder running without a player. Dropping it ends that.
pub(super) struct Waiting(Arc<Shared>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl PictureEncoder {
    /// Encodes the frames that `subscribe` adds to a lane. `sets` is called with new parameter sets.
    fn start(
        name: &str,
        subscribe: impl FnOnce(Lane<Arc<Frame>>),
        sets: impl FnMut(Vec<u8>) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let (frames, taker) = lane("h264 encoder", Policy::DropOldest(1));
        taker.mute(true);
        subscribe(frames);
        let worker = Worker {
            shared: Arc::clone(&shared),
            frames: taker,
            sets: Box::new(sets),
            converter: Converter::new(),
            picture: Yuv420::default(),
            encoder: None,
            known_sets: Vec::new(),
            first_us: None,
            since_key_frame: 0,
        };
        let thread = thread::Builder::new().name(format!("h264 {name}")).spawn(move || worker.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Adds a player. The next frame is a key frame.
    pub(super) fn watch(&self, lane: Lane<Arc<Frame>>) {
        self.shared.players.add(lane);
        self.shared.key_frame_wanted.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Runs until the parameter sets are known.
    pub(super) fn wait(&self) -> Waiting {
        self.shared.waiting.fetch_add(1, Ordering::SeqCst);
        self.wake();
        Waiting(Arc::clone(&self.shared))
    }

    /// Returns the number of frames that were encoded.
    fn encoded(&self) -> u64 {
        self.shared.encoded.load(Ordering::SeqCst)
    }

    /// Returns why the last frame was not encoded.
    fn failed(&self) -> Option<String> {
        locked(&self.shared.failed).clone()
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for PictureEncoder {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    frames: Taker<Arc<Frame>>,
    sets: Box<dyn FnMut(Vec<u8>) + Send>,
    converter: Converter,
    picture: Yuv420,
    encoder: Option<H264Encoder>,
    known_sets: Vec<u8>,
    first_us: Option<i64>,
    /// Frames since the last key frame.
    since_key_frame: u32,
}

impl Worker {
    fn run(mut self) {
        while !self.shared.ends.load(Ordering::SeqCst) {
            let watched = self.shared.is_watched();
            self.frames.mute(!watched);
            if !watched {
                // A new player wakes the thread.
                thread::park();
                drop(self.frames.try_take());
                continue;
            }
            let frame = match self.frames.recv_timeout(WATCH_INTERVAL) {
                Ok(frame) => frame,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // The camera has been changed: players see that, and connect again.
            if frame.kind.is_video() {
                self.shared.players.offer(&frame);
                continue;
            }
            let failed = match self.encode(&frame) {
                Ok(encoded) => {
                    self.shared.encoded.fetch_add(1, Ordering::SeqCst);
                    self.shared.players.offer(&Arc::new(encoded));
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            let mut known = locked(&self.shared.failed);
            if failed.is_some() && *known != failed {
                tracing::info!(error = failed, "cannot encode pictures as H.264");
            }
            *known = failed;
        }
    }

    fn encode(&mut self, frame: &Frame) -> Result<Frame, Failed> {
        let (width, height) = self.converter.yuv420(frame, &mut self.picture)?;
        check_h264_size(Size::new(width, height))?;
        let size = self.picture.size();
        let mut encoder = match self.encoder.take() {
            Some(encoder) if encoder.settings().size == size => encoder,
            _ => H264Encoder::new(H264Settings {
                size,
                fps: NOMINAL_FPS,
                bit_rate: h264_bit_rate(size, NOMINAL_FPS, 1.0),
                key_frame_interval: Some(KEY_FRAME_INTERVAL),
            })?,
        };
        let is_wanted = self.shared.key_frame_wanted.swap(false, Ordering::SeqCst);
        let is_due = self.since_key_frame >= REQUESTED_INTERVAL;
        if is_wanted || is_due && self.shared.key_frame_requested.swap(false, Ordering::SeqCst) {
            encoder.force_key_frame();
        }
        let device_us = frame.device_time.0;
        let since_us = device_us.saturating_sub(*self.first_us.get_or_insert(device_us));
        let mut stream = Vec::new();
        encoder.encode(&self.picture, u64::try_from(since_us / 1000).unwrap_or(0), &mut stream)?;
        self.encoder = Some(encoder);
        let encoded = frame.with_video(PayloadKind::H264, stream);
        if encoded.is_key_frame() {
            self.since_key_frame = 0;
            self.shared.key_frame_requested.store(false, Ordering::SeqCst);
        } else {
            self.since_key_frame += 1;
        }
        let sets = encoded.parameter_sets();
        if sets.has_sequence && sets.bytes != self.known_sets {
            self.known_sets.clone_from(&sets.bytes);
            (self.sets)(sets.bytes);
        }
        Ok(encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::group_lane;
    use crate::sim::{Reel, SimConfig};

    #[test]
    fn frames_are_not_delayed_and_video_continues_at_a_key_frame_after_a_break() {
        let reel = Reel::new(&"size=96x64&format=h264".parse::<SimConfig>().expect("valid")).expect("a reel");
        let video = |index: u64, id: u64| {
            let mut frame = Frame::with_payload(reel.still(index).payload.to_vec());
            (frame.kind, frame.id) = (PayloadKind::H264, id);
            Arc::new(frame)
        };
        let outlets = Outlets::default();
        let camera = CameraFrames::new(outlets.clone(), None);
        let (lane, taker) = group_lane("player", 16, |frame: &Arc<Frame>| frame.is_key_frame());
        camera.subscribe(lane);
        // None of them is confirmed.
        let provisional = &outlets.provisional;
        provisional.offer(&video(0, 0));
        provisional.offer(&video(1, 1));
        outlets.continuity.offer(&Continuity::Broken);
        provisional.offer(&video(2, 2));
        provisional.offer(&video(3, 3));
        provisional.offer(&video(0, 4));
        provisional.offer(&video(1, 5));
        outlets.continuity.offer(&Continuity::Broken);
        let mut raw = Frame::with_payload([0; 12]);
        raw.id = 6;
        provisional.offer(&Arc::new(raw));
        let taken: Vec<_> = std::iter::from_fn(|| taker.try_take()).map(|frame| frame.id).collect();
        assert_eq!(taken, [0, 1, 4, 5, 6]);
    }
}
