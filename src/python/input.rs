//! Frames of several cameras for one consumer, without Python: lanes, numbers and the end.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use super::convert::Origin;
use super::kept::Counter;
use crate::frame::Frame;
use crate::hub::{Budget, LaneCounter, Policy, RecvTimeoutError, Taker, lane, weighed_lane};
use crate::live::{Camera, Decoding, PictureLanes};
use crate::overlay::Style;
use crate::source::Outlets;
use crate::sync::locked;

/// Frames of a camera that wait for the iterator. With more, or more bytes, all that wait are dropped but the newest.
const WAITING_MAX: usize = 32;

/// Bytes of frames of all cameras that wait for the iterator.
const WAITING_BYTES: usize = 256 << 20;

/// Frames of a recording that wait. The playback waits for room.
const RECORDED_WAITING_MAX: usize = 8;

/// Connections whose frames may still be on the way to Python.
const CONNECTIONS_MAX: usize = 64;

/// Numbers the frames of a camera over all connections, as the producer offers them.
#[derive(Debug, Default)]
struct Numbers {
    /// Arrival of the first frame of a connection, and the frames before it.
    connections: VecDeque<(u64, u64)>,
    last: u64,
}

impl Numbers {
    fn offered(&mut self, frame: &Frame) {
        let (id, arrived) = (frame.id, frame.received.mono_ns);
        if self.connections.is_empty() || id <= self.last {
            let before = self.connections.back().map_or(0, |(_, before)| before + self.last + 1);
            self.connections.push_back((arrived, before));
            if self.connections.len() > CONNECTIONS_MAX {
                self.connections.pop_front();
            }
        }
        self.last = id;
    }

    fn of(&self, frame: &Frame) -> u64 {
        let arrived = frame.received.mono_ns;
        let connection = self.connections.iter().rev().find(|(first, _)| *first <= arrived);
        connection.or(self.connections.front()).map_or(0, |(_, before)| before + frame.id)
    }
}

/// Which frames a consumer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Confirmed frames in their order.
    Next,
    /// The newest provisional frame.
    Newest,
}

/// The frames of one camera.
#[derive(Debug)]
struct Input {
    origin: Arc<Origin>,
    next: Taker<Arc<Frame>>,
    newest: Taker<Arc<Frame>>,
    dropped: LaneCounter,
    /// Drops that were reported.
    reported: AtomicU64,
    numbers: Arc<Mutex<Numbers>>,
    ended: [AtomicBool; 2],
    /// Puts the pictures of video into both lanes.
    _decoding: Decoding,
}

/// A frame for Python.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) frame: Arc<Frame>,
    pub(super) origin: Arc<Origin>,
    pub(super) seq: u64,
    pub(super) skipped: u64,
}

/// Result of waiting for a frame.
#[derive(Debug)]
pub(super) enum Waited {
    Frame(Taken),
    /// None arrived in time.
    Timeout,
    /// All cameras have ended, and all of their frames were taken.
    End,
}

/// Wakes threads that wait for a frame of any camera.
#[derive(Debug, Default)]
struct Signal {
    /// Items that arrived.
    arrived: Mutex<u64>,
    condition: Condvar,
}

impl Signal {
    fn count(&self) -> u64 {
        *locked(&self.arrived)
    }

    /// Waits until more than `seen` items have arrived.
    fn wait(&self, seen: u64, timeout: Duration) {
        let waits = self.condition.wait_timeout_while(locked(&self.arrived), timeout, |arrived| *arrived == seen);
        drop(waits.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *locked(&self.arrived) += 1;
        self.condition.notify_all();
    }
}

/// The frames of all cameras of a stream.
#[derive(Debug)]
pub(super) struct Inputs {
    inputs: Vec<Input>,
    signal: Arc<Signal>,
    /// The camera to ask first, so that a fast one does not hide the others.
    turn: AtomicUsize,
    iterates: AtomicBool,
    takes_newest: AtomicBool,
    pub(super) kept: Arc<Counter>,
}

impl Inputs {
    /// Subscribes to the cameras, before their sessions start.
    pub(super) fn connect(cameras: &[Camera], style: &Style) -> io::Result<Self> {
        let signal = Arc::<Signal>::default();
        let budget = Budget::new(WAITING_BYTES);
        let connect = |camera: &Camera| Input::connect(camera, style, &budget);
        let inputs = cameras.iter().map(connect).collect::<io::Result<Vec<_>>>()?;
        // One camera needs no waker until an event loop waits for it.
        let inputs = Self {
            inputs,
            signal,
            turn: AtomicUsize::new(0),
            iterates: AtomicBool::new(false),
            takes_newest: AtomicBool::new(false),
            kept: Arc::default(),
        };
        if cameras.len() > 1 {
            inputs.register();
        }
        Ok(inputs)
    }

    fn register(&self) {
        let waker = Waker::from(Arc::clone(&self.signal));
        for input in &self.inputs {
            input.next.wake_on_item(waker.clone());
            input.newest.wake_on_item(waker.clone());
        }
    }

    /// Opens the lanes of these frames, and closes those of the others if nothing was taken from them.
    fn open(&self, wanted: Wanted) {
        match wanted {
            Wanted::Next => {
                if !self.iterates.swap(true, Ordering::SeqCst) {
                    self.inputs.iter().for_each(|input| input.next.mute(false));
                }
            }
            Wanted::Newest => {
                if !self.takes_newest.swap(true, Ordering::SeqCst) {
                    self.inputs.iter().for_each(|input| input.newest.mute(false));
                    if !self.iterates.load(Ordering::SeqCst) {
                        // A recording would wait for room in a lane that is not read.
                        self.inputs.iter().for_each(Input::stop_next);
                    }
                }
            }
        }
    }

    /// Returns a frame that waits.
    pub(super) fn try_take(&self, wanted: Wanted) -> Waited {
        self.open(wanted);
        let count = self.inputs.len();
        let first = if count > 1 { self.turn.fetch_add(1, Ordering::Relaxed) % count } else { 0 };
        let mut all_ended = true;
        for number in (first..count).chain(0..first) {
            match self.inputs[number].recv(wanted, Duration::ZERO) {
                Waited::Frame(taken) => return Waited::Frame(taken),
                Waited::Timeout => all_ended = false,
                Waited::End => {}
            }
        }
        if all_ended { Waited::End } else { Waited::Timeout }
    }

    /// Waits for a frame, at most for `timeout`.
    pub(super) fn wait(&self, wanted: Wanted, timeout: Duration) -> Waited {
        if let [input] = &*self.inputs {
            self.open(wanted);
            return input.recv(wanted, timeout);
        }
        let deadline = Instant::now() + timeout;
        loop {
            let seen = self.signal.count();
            match self.try_take(wanted) {
                Waited::Timeout => {}
                waited => return waited,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Waited::Timeout;
            }
            self.signal.wait(seen, left);
        }
    }

    /// Waits until a frame waits, at most for `timeout`. Takes none.
    pub(super) fn wait_ready(&self, wanted: Wanted, timeout: Duration) {
        self.open(wanted);
        self.register();
        let seen = self.signal.count();
        if self.inputs.iter().all(|input| input.lane(wanted).waiting() == 0) {
            self.signal.wait(seen, timeout);
        }
    }
}

impl Input {
    fn connect(camera: &Camera, style: &Style, budget: &Budget) -> io::Result<Self> {
        let Outlets { provisional, ledger, .. } = &camera.outlets;
        let policy = match camera.spec.recording() {
            Some(_) => Policy::DropNewest(RECORDED_WAITING_MAX),
            None => Policy::DropQueue(WAITING_MAX, budget.share()),
        };
        let (next_lane, next) = weighed_lane("python", policy, |frame: &Arc<Frame>| frame.memory_bytes());
        let (newest_lane, newest) = lane("python latest", Policy::DropOldest(1));
        newest.mute(true);
        let dropped = next_lane.counter();
        ledger.watch(next_lane.counter());
        ledger.watch(newest_lane.counter());
        let numbers = Arc::<Mutex<Numbers>>::default();
        let offered = Arc::clone(&numbers);
        // Before the lanes, so that a frame has its number when it is taken.
        provisional.tap(move |frame| locked(&offered).offered(frame));
        let lanes = PictureLanes { provisional: Some(newest_lane), confirmed: Some(next_lane) };
        let decoding = Decoding::start(camera, lanes, Box::new(|_, _| {}))?;
        Ok(Self {
            origin: Origin::new(&camera.name, style),
            next,
            newest,
            dropped,
            reported: AtomicU64::new(0),
            numbers,
            ended: Default::default(),
            _decoding: decoding,
        })
    }

    fn lane(&self, wanted: Wanted) -> &Taker<Arc<Frame>> {
        match wanted {
            Wanted::Next => &self.next,
            Wanted::Newest => &self.newest,
        }
    }

    fn stop_next(&self) {
        self.next.mute(true);
        while self.next.try_take().is_some() {}
    }

    fn recv(&self, wanted: Wanted, timeout: Duration) -> Waited {
        let ended = &self.ended[wanted as usize];
        if ended.load(Ordering::SeqCst) {
            return Waited::End;
        }
        match self.lane(wanted).recv_timeout(timeout) {
            Ok(frame) => Waited::Frame(self.taken(frame, wanted)),
            Err(RecvTimeoutError::Timeout) => Waited::Timeout,
            Err(RecvTimeoutError::Disconnected) => {
                ended.store(true, Ordering::SeqCst);
                Waited::End
            }
        }
    }

    fn taken(&self, frame: Arc<Frame>, wanted: Wanted) -> Taken {
        let seq = locked(&self.numbers).of(&frame);
        let skipped = match wanted {
            Wanted::Next => {
                let dropped = self.dropped.counts().dropped;
                dropped - self.reported.swap(dropped, Ordering::SeqCst).min(dropped)
            }
            Wanted::Newest => 0,
        };
        Taken { frame, origin: Arc::clone(&self.origin), seq, skipped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_over_connections_for_frames_that_are_taken_late() {
        let frame = |id, mono_ns| {
            let mut frame = Frame::with_payload(b"BGR");
            (frame.id, frame.received.mono_ns) = (id, mono_ns);
            frame
        };
        let mut numbers = Numbers::default();
        let frames = [frame(0, 10), frame(1, 20), frame(3, 30), frame(0, 40), frame(1, 50)];
        frames.iter().for_each(|frame| numbers.offered(frame));
        assert_eq!(frames.map(|frame| numbers.of(&frame)), [0, 1, 3, 4, 5]);
    }
}
