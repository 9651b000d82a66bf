//! Decodes the video of a camera on a thread of its own, for views and snapshots.
//!
//! ```text
//! provisional frames --+-- pictures (raw, JPEG) ----------------------------------+--> lane of the subscriber
//!                      +-- video --DropToStart--> decoder thread --> decoded -----+
//! ```
//!
//! Decodes provisional frames, because views want low latency, and keeps the last decoded ones until the camera's next bytes
//! confirm them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fmt, io, thread};

use super::Camera;
use crate::decode::{DecodeError, VideoDecoder};
use crate::frame::{Frame, Pool};
use crate::hub::{Lane, Policy, RecvTimeoutError, Taker, group_lane, lane as hub_lane};
use crate::source::Continuity;
use crate::stats::{Ledger, VideoCounts};

/// Frames that wait for the decoder. A decoder that is further behind continues at the next key frame.
const WAITING_MAX: usize = 16;

/// Decoded frames that wait to be confirmed. A frame is usually confirmed when the next one begins, and after at most nine
/// more while it is undecided whether it is stale.
const UNCONFIRMED_MAX: usize = 12;

/// Confirmations that wait for their frames to be decoded.
const CONFIRMATIONS_MAX: usize = 4 * WAITING_MAX;

/// Frames before the position of a seek whose pictures may come later, in the order of display.
const LEAD_IN_KEPT: usize = 32;

/// Interval at which confirmations are looked for while no frame arrives.
const CONFIRMATION_INTERVAL: Duration = Duration::from_millis(20);

/// An item for the decoder.
enum Item {
    Frame(Arc<Frame>),
    Continuity(Continuity),
}

impl Item {
    /// Returns whether a decoder can start here.
    fn starts(&self) -> bool {
        match self {
            Self::Frame(frame) => frame.is_key_frame(),
            Self::Continuity(Continuity::LeadIn(_)) => true,
            Self::Continuity(Continuity::Broken) => false,
        }
    }
}

/// Number and arrival of a frame: numbers are unique only within a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FrameKey {
    id: u64,
    mono_ns: u64,
}

impl FrameKey {
    fn of(frame: &Frame) -> Self {
        Self { id: frame.id, mono_ns: frame.received.mono_ns }
    }
}

/// Receives the reason when a frame of video is not decoded, on the decoder's thread.
pub type DecodeFailed = Box<dyn FnMut(&Arc<Frame>, &DecodeError) + Send>;

/// Lanes for pictures that can be converted: those of the camera, and those decoded from its video.
#[derive(Debug, Default)]
pub struct PictureLanes {
    /// Provisional frames.
    pub provisional: Option<Lane<Arc<Frame>>>,
    /// Confirmed frames.
    pub confirmed: Option<Lane<Arc<Frame>>>,
}

/// The decoder of a camera. Dropping it ends its thread.
pub struct Decoding {
    taker: Arc<Taker<Item>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoding").finish_non_exhaustive()
    }
}

impl Decoding {
    /// Subscribes the lanes to a camera: frames of video are decoded first. `failed` is called with those that are not.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(camera: &Camera, lanes: PictureLanes, failed: DecodeFailed) -> io::Result<Self> {
        let outlets = &camera.outlets;
        let PictureLanes { provisional, confirmed } = lanes;
        // Pictures of several streams would replace each other.
        let stream = camera.stream.clone();
        let is_shown = move |frame: &Frame| frame.stream == stream;
        let shown = is_shown.clone();
        let is_picture = move |frame: &Arc<Frame>| (shown(frame) && !frame.kind.is_video()).then(|| Arc::clone(frame));
        let keeps = confirmed.as_ref().is_some_and(|lane| lane.counter().counts().keeps);
        let decoded = (provisional.as_ref().map(Lane::producer), confirmed.as_ref().map(Lane::producer));
        if let Some(lane) = provisional {
            outlets.provisional.add_mapped(lane, is_picture.clone());
        }
        let (marks, confirmations) = hub_lane("confirmations", Policy::DropOldest(CONFIRMATIONS_MAX));
        if let Some(lane) = confirmed {
            outlets.confirmed.add_mapped(lane, is_picture);
            // Opened with the first frame of video: a hub whose lanes are all muted costs a camera of pictures nothing. Where every
            // picture is kept, the first confirmations may come before the thread has the first frame.
            confirmations.mute(!keeps);
            let shown = is_shown.clone();
            outlets
                .confirmed
                .add_mapped(marks, move |frame| (shown(frame) && frame.kind.is_video()).then(|| FrameKey::of(frame)));
        }
        let (lane, taker) = group_lane("decode", WAITING_MAX, Item::starts);
        // A recording waits for the decoder, too, if frames are kept.
        if keeps {
            outlets.confirmed.add_mapped(lane.sibling(), |_| None);
        }
        // In one order with the frames. Not counted: they are no frames that a subscriber wants.
        outlets.continuity.add_mapped(lane.sibling(), |event| Some(Item::Continuity(event.clone())));
        let mut unseen = Some((outlets.ledger.clone(), lane.counter()));
        outlets.provisional.add_mapped(lane, move |frame| {
            (is_shown(frame) && frame.kind.is_video()).then(|| {
                if let Some((ledger, counter)) = unseen.take() {
                    ledger.watch(counter);
                }
                Item::Frame(Arc::clone(frame))
            })
        });
        let (taker, stop) = (Arc::new(taker), Arc::new(AtomicBool::new(false)));
        let worker = Worker {
            taker: Arc::clone(&taker),
            stop: Arc::clone(&stop),
            confirmations,
            provisional: decoded.0,
            confirmed: decoded.1,
            unconfirmed: VecDeque::new(),
            early: VecDeque::new(),
            ledger: outlets.ledger.clone(),
            counts: VideoCounts::default(),
            decoder: VideoDecoder::new(Pool::default()),
            lead_in: VecDeque::new(),
            failed,
        };
        let thread = thread::Builder::new().name(format!("decode {}", camera.name)).spawn(move || worker.run())?;
        Ok(Self { taker, stop, thread: Some(thread) })
    }

    /// Ignores frames of video while no one looks at pictures. Continues at the next key frame.
    pub fn mute(&self, muted: bool) {
        self.taker.mute(muted);
    }
}

impl Drop for Decoding {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

struct Worker {
    taker: Arc<Taker<Item>>,
    stop: Arc<AtomicBool>,
    confirmations: Taker<FrameKey>,
    provisional: Option<Lane<Arc<Frame>>>,
    confirmed: Option<Lane<Arc<Frame>>>,
    /// Decoded frames, oldest first.
    unconfirmed: VecDeque<Arc<Frame>>,
    /// Confirmed frames that are not decoded yet, oldest first.
    early: VecDeque<FrameKey>,
    ledger: Ledger,
    counts: VideoCounts,
    decoder: VideoDecoder,
    /// The last frames before the position of a seek: their pictures are not shown.
    lead_in: VecDeque<Arc<Frame>>,
    failed: DecodeFailed,
}

impl Worker {
    fn run(mut self) {
        while !self.stop.load(Ordering::SeqCst) {
            match self.taker.recv_timeout(CONFIRMATION_INTERVAL) {
                Ok(Item::Frame(frame)) => self.decode(&frame, true),
                Ok(Item::Continuity(Continuity::LeadIn(frames))) => self.lead_in(&frames),
                Ok(Item::Continuity(Continuity::Broken)) => self.interrupted(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.confirm();
        }
        self.interrupted();
        self.confirm();
    }

    /// Decodes the frames before the position of a seek.
    fn lead_in(&mut self, frames: &[Arc<Frame>]) {
        for frame in frames {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            self.decode(frame, false);
        }
    }

    fn decode(&mut self, frame: &Arc<Frame>, is_shown: bool) {
        self.confirmations.mute(self.confirmed.is_none());
        if !is_shown {
            self.lead_in.push_back(Arc::clone(frame));
            if self.lead_in.len() > LEAD_IN_KEPT {
                self.lead_in.pop_front();
            }
        }
        let mut ready = Vec::new();
        let result = self.decoder.decode(frame, |decoded| ready.push(decoded));
        let shown = self.put_out(ready);
        let rejected = match &result {
            Ok(()) => None,
            Err(error) => Some(!error.is_skip()),
        };
        self.count(u64::from(is_shown), shown, rejected.filter(|_| is_shown));
        if let Err(error) = result
            && is_shown
        {
            (self.failed)(frame, &error);
        }
    }

    /// Frames are missing before the next one.
    fn interrupted(&mut self) {
        let mut ready = Vec::new();
        self.decoder.interrupted(|decoded| ready.push(decoded));
        let shown = self.put_out(ready);
        self.count(0, shown, None);
    }

    /// Updates the ledger. `rejected`: the frame failed (`true`) or was skipped.
    fn count(&mut self, taken: u64, decoded: u64, rejected: Option<bool>) {
        let counts = &mut self.counts;
        counts.taken += taken;
        counts.decoded += decoded;
        counts.failed += u64::from(rejected == Some(true));
        counts.skipped += u64::from(rejected == Some(false));
        let owed = self.decoder.owed().filter(|frame| !is_in(&self.lead_in, frame)).count();
        counts.pending = owed as u64;
        // The decoder gives up the pictures that it owes when it meets damage.
        counts.failed = counts.taken - counts.decoded - counts.skipped - counts.pending;
        let counts = *counts;
        self.ledger.update(|stats| stats.video = counts);
    }

    /// Offers decoded frames. Returns how many are not before the position of a seek.
    fn put_out(&mut self, ready: Vec<Arc<Frame>>) -> u64 {
        let mut shown = 0;
        for decoded in ready {
            if decoded.coded.as_ref().is_some_and(|coded| is_in(&self.lead_in, coded)) {
                continue;
            }
            shown += 1;
            if let Some(lane) = &mut self.provisional {
                lane.offer(Arc::clone(&decoded));
            }
            let Some(confirmed) = &mut self.confirmed else { continue };
            let key = FrameKey::of(&decoded);
            if let Some(at) = self.early.iter().position(|early| *early == key) {
                self.early.remove(at);
                confirmed.offer(decoded);
            } else {
                self.unconfirmed.push_back(decoded);
                if self.unconfirmed.len() > UNCONFIRMED_MAX {
                    self.unconfirmed.pop_front();
                }
            }
        }
        shown
    }

    /// Offers the decoded frames that have been confirmed since.
    fn confirm(&mut self) {
        while let Some(key) = self.confirmations.try_take() {
            let Some(confirmed) = &mut self.confirmed else { continue };
            if let Some(at) = self.unconfirmed.iter().position(|decoded| FrameKey::of(decoded) == key)
                && let Some(decoded) = self.unconfirmed.remove(at)
            {
                confirmed.offer(decoded);
            } else {
                self.early.push_back(key);
                if self.early.len() > CONFIRMATIONS_MAX {
                    self.early.pop_front();
                }
            }
        }
    }
}

fn is_in(frames: &VecDeque<Arc<Frame>>, frame: &Arc<Frame>) -> bool {
    frames.iter().any(|known| Arc::ptr_eq(known, frame))
}
