//! What happened to every frame and every byte of a camera: the ledger. Its books balance at every moment.

mod gauge;
mod grid;
mod numbers;
mod rates;
mod summary;

use std::sync::{Arc, Mutex, PoisonError};

use hdrhistogram::Histogram;

pub use gauge::{Gauge, Health};
pub use grid::Grid;
pub use numbers::NumberCounts;
pub use rates::{RECENT, Rates};
pub use summary::{LatencySummary, Summary};

use crate::frame::{Frame, Received};
use crate::hub::{LaneCounter, LaneCounts};
use crate::wire::{ByteCounts, Event, Introduction, Record, SkipReason};

/// Latencies up to this many microseconds are told apart; longer ones count as this long.
const LONGEST_LATENCY_US: u64 = 60_000_000;

/// A camera's clock that goes forward by more than this, and the connection is not as old as that, was set: frames of so
/// long a time cannot be missing. Microseconds.
const LONGEST_GAP_US: u64 = 600_000_000;

/// What became of the frames. `received == confirmed + withdrawn + pending` at every moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct FrameCounts {
    /// Frames of which every byte arrived, as far as their header tells.
    pub received: u64,
    /// Received, and proved to be intact.
    pub confirmed: u64,
    /// Received, and found to be damaged afterwards.
    pub withdrawn: u64,
    /// Received, and not decided yet.
    pub pending: u64,
    /// Frames of which only a part arrived.
    pub lost: u64,
    /// Frames that were cut short because we left.
    pub unfinished: u64,
    /// Received, but taken before we connected: they sat in the camera's queue.
    pub stale: u64,
    /// Frames that never came whole: counted where the camera numbers its frames ([`Stats::numbers`]), lost ones and
    /// those that it never sent; elsewhere as in [`Self::estimated`].
    pub missing: u64,
    /// Of these, gaps in the camera's rhythm, in frame times: an estimate, of the frames without numbers.
    pub estimated: u64,
    /// Pictures made.
    pub pictures: u64,
    /// Pictures that a person could see.
    pub shown: u64,
}

/// How the connection that is open is going to end: what a cut frame means depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ending {
    #[default]
    NotYet,
    ByPeer,
    ByUs,
}

/// The ledger of one camera.
#[derive(Clone, Debug)]
pub struct Stats {
    /// What became of the frames.
    pub frames: FrameCounts,
    /// Frames whose detections could not be read to their end.
    pub bad_detections: u64,
    /// Times that the place of the next header was lost.
    pub resyncs: u64,
    /// Ranges of bytes that were skipped.
    pub skipped_ranges: u64,
    /// Records that stood between the frames.
    pub records: u64,
    /// Frames that the camera says it dropped itself: it tells a total for each connection (`@Q`).
    pub dropped_by_camera: u64,
    /// What the camera has said of itself on the connection that is open, or was last.
    pub introduction: Arc<Introduction>,
    /// How warm and how busy it says to be (`@T`).
    pub health: Health,
    /// Attempts to connect.
    pub attempts: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Times that the camera's clock began again.
    pub reboots: u64,
    /// What every lane did with what it was offered.
    pub lanes: Vec<LaneCounts>,
    /// When the first frame was received, and the last.
    pub span: Option<(Received, Received)>,
    grid: Grid,
    numbers: numbers::Numbers,
    recent: rates::Recent,
    latency_us: Histogram<u64>,
    closed: ByteCounts,
    open: ByteCounts,
    ending: Ending,
    frames_here: u64,
    first_here: Received,
    stale_here: u64,
    dropped_here: u64,
    lock_lost: bool,
    skipped_to: u64,
    last_device: Option<crate::frame::DeviceTime>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            frames: FrameCounts::default(),
            bad_detections: 0,
            resyncs: 0,
            skipped_ranges: 0,
            records: 0,
            dropped_by_camera: 0,
            introduction: Arc::default(),
            health: Health::default(),
            attempts: 0,
            connections: 0,
            reboots: 0,
            lanes: Vec::new(),
            span: None,
            grid: Grid::default(),
            numbers: numbers::Numbers::default(),
            recent: rates::Recent::default(),
            latency_us: Histogram::new_with_max(LONGEST_LATENCY_US, 2)
                .expect("a minute in microseconds is a valid range"),
            closed: ByteCounts::default(),
            open: ByteCounts::default(),
            ending: Ending::NotYet,
            frames_here: 0,
            first_here: Received::default(),
            stale_here: 0,
            dropped_here: 0,
            lock_lost: false,
            skipped_to: 0,
            last_device: None,
        }
    }
}

impl Stats {
    /// We try to connect.
    pub fn attempt(&mut self) {
        self.attempts += 1;
    }

    /// A connection is open.
    pub fn connected(&mut self) {
        self.connections += 1;
        self.frames_here = 0;
        self.stale_here = 0;
        self.dropped_here = 0;
        self.lock_lost = false;
        self.skipped_to = 0;
        self.ending = Ending::NotYet;
        self.introduction = Arc::default();
    }

    /// What comes next does not follow what came before: somebody has sought in a recording.
    pub fn sought(&mut self) {
        self.numbers.close(true);
        self.frames_here = 0;
        self.stale_here = 0;
        self.last_device = None;
    }

    /// The decoder found something on the connection that is open.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Frame(frame) => self.frame(frame),
            Event::Confirmed(_) => {
                self.frames.confirmed += 1;
                self.frames.pending -= 1;
            }
            Event::Withdrawn(..) => {
                self.frames.withdrawn += 1;
                self.frames.pending -= 1;
            }
            Event::Lost(_) if self.ending == Ending::ByUs => self.frames.unfinished += 1,
            Event::Lost(_) => {
                self.frames.lost += 1;
                self.numbers.lost();
                self.count_missing();
            }
            Event::BadDetections(_) => self.bad_detections += 1,
            Event::Skipped(skipped) => {
                // A long range may be told in pieces.
                self.skipped_ranges += u64::from(skipped.at != self.skipped_to || skipped.at == 0);
                self.skipped_to = skipped.at + skipped.len;
                // A foreign record stands where one is allowed, and the end of the stream is no surprise.
                if skipped.reason == SkipReason::ForeignRecord {
                    return;
                }
                self.numbers.torn();
                if self.ending == Ending::NotYet && !self.lock_lost {
                    self.lock_lost = true;
                    self.resyncs += 1;
                }
            }
            Event::Record(record) => {
                self.records += 1;
                match record {
                    Record::Dropped(frames) => {
                        let more = frames.saturating_sub(std::mem::replace(&mut self.dropped_here, *frames));
                        self.dropped_by_camera = self.dropped_by_camera.saturating_add(more);
                    }
                    Record::Frame { seq, .. } => {
                        self.numbers.told(*seq);
                        self.count_missing();
                    }
                    Record::Health { celsius, css, mss } => self.health.observe(*celsius, *css, *mss),
                    _ => {}
                }
            }
        }
    }

    /// What the camera has said of itself on this connection.
    pub fn introduced(&mut self, introduction: &Arc<Introduction>) {
        if !Arc::ptr_eq(&self.introduction, introduction) {
            self.introduction = Arc::clone(introduction);
        }
    }

    /// A recording that is played says that so many frames are missing here, or that bytes were.
    pub fn unrecorded(&mut self, frames: u64, torn: bool) {
        self.numbers.unrecorded(frames);
        if torn {
            self.numbers.torn();
        }
    }

    fn count_missing(&mut self) {
        let counted = self.numbers.counts().map_or(0, |counts| counts.not_sent + counts.damaged);
        self.frames.missing = self.frames.estimated.saturating_add(counted);
    }

    fn frame(&mut self, frame: &Frame) {
        self.frames.received += 1;
        self.frames.pending += 1;
        self.frames_here += 1;
        self.lock_lost = false;
        if frame.stale {
            // The first frame alone cannot be told from a new one; the second proves what it was.
            self.frames.stale += if self.frames_here == 2 && self.stale_here == 0 { 2 } else { 1 };
            self.stale_here += 1;
        }
        if self.frames_here == 1 {
            self.first_here = frame.received;
        }
        let step_us = self.last_device.replace(frame.device_time).map_or(0, |last| frame.device_time.since(last));
        self.reboots += u64::from(step_us < 0);
        let here_us = frame.received.mono_ns.saturating_sub(self.first_here.mono_ns) / 1000;
        let was_set = step_us < 0 || step_us.unsigned_abs() > LONGEST_GAP_US.saturating_add(here_us);
        let follows = !frame.stale && self.frames_here > 1;
        self.numbers.frame(frame.camera_seq, follows);
        if was_set || !follows {
            // What precedes the first new frame is no rhythm: another clock, the camera's queue, or nobody who listened.
            self.grid.interrupt();
            self.recent.clear();
        }
        if follows {
            let before = self.grid.missing();
            self.grid.observe(frame.device_time);
            if frame.camera_seq.is_none() {
                // What was taken for a gap may prove to be the rhythm.
                self.frames.estimated =
                    self.frames.estimated.saturating_add(self.grid.missing()).saturating_sub(before);
            }
            self.recent.observe(frame.device_time, frame.received, self.closed.received + self.open.received);
        }
        self.count_missing();
        self.span = Some((self.span.map_or(frame.received, |(first, _)| first), frame.received));
    }

    /// The byte ledger of the connection that is open.
    pub fn books(&mut self, books: ByteCounts) {
        self.open = books;
    }

    /// The connection ends; what the decoder still has to tell follows. `by_us`: we leave, so a cut frame is no loss.
    pub fn ending(&mut self, by_us: bool) {
        self.ending = if by_us { Ending::ByUs } else { Ending::ByPeer };
    }

    /// The connection has ended, with these books.
    pub fn disconnected(&mut self, books: ByteCounts) {
        self.numbers.close(self.ending == Ending::ByUs);
        self.count_missing();
        self.closed = sum(self.closed, books);
        self.open = ByteCounts::default();
        self.ending = Ending::NotYet;
    }

    /// A picture of a frame is finished, so many microseconds after its last byte. Stale frames do not count as late.
    pub fn picture(&mut self, stale: bool, latency_us: u64) {
        self.frames.pictures += 1;
        if !stale {
            self.latency_us.saturating_record(latency_us.min(LONGEST_LATENCY_US));
        }
    }

    /// A picture was put where a person can see it.
    pub fn shown(&mut self) {
        self.frames.shown += 1;
    }

    /// Bytes by kind, of all connections.
    #[must_use]
    pub fn bytes(&self) -> ByteCounts {
        sum(self.closed, self.open)
    }

    /// Connections after the first.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.connections.saturating_sub(1)
    }

    /// The camera's frame time in microseconds, once enough frames have come.
    #[must_use]
    pub fn frame_time_us(&self) -> Option<i64> {
        self.grid.period_us()
    }

    /// What became of the camera's own numbers; `None` if it sends none (`@F`): then [`FrameCounts::missing`] is an
    /// estimate.
    #[must_use]
    pub fn numbers(&self) -> Option<NumberCounts> {
        self.numbers.counts()
    }

    /// Speeds over the last [`RECENT`] frames.
    #[must_use]
    pub fn rates(&self) -> Rates {
        self.recent.rates()
    }

    /// Microseconds between the arrivals of the last [`RECENT`] frames, the oldest first.
    pub fn intervals_us(&self) -> impl ExactSizeIterator<Item = u32> {
        self.recent.intervals_us()
    }

    /// From the last byte of a frame to its finished picture, in microseconds.
    #[must_use]
    pub fn latency_us(&self) -> &Histogram<u64> {
        &self.latency_us
    }

    /// Whether every frame, every byte and every item of every lane is accounted for.
    #[must_use]
    pub fn balances(&self) -> bool {
        let FrameCounts { received, confirmed, withdrawn, pending, .. } = self.frames;
        received == confirmed + withdrawn + pending
            && self.closed.balance()
            && self.open.balance()
            && self.numbers.counts().is_none_or(|counts| counts.balance())
            && self.lanes.iter().all(|lane| lane.offered == lane.taken + lane.dropped + lane.queued)
    }

    /// Whether nothing was lost, damaged, or dropped by a lane that promises to keep. Exit code 3 says that it was.
    #[must_use]
    pub fn lossless(&self) -> bool {
        self.frames.lost == 0
            && self.frames.withdrawn == 0
            && self.lanes.iter().all(|lane| !lane.keeps || lane.dropped == 0)
    }
}

fn sum(a: ByteCounts, b: ByteCounts) -> ByteCounts {
    ByteCounts {
        received: a.received + b.received,
        headers: a.headers + b.headers,
        detections: a.detections + b.detections,
        payload: a.payload + b.payload,
        skipped: a.skipped + b.skipped,
        pending: a.pending + b.pending,
    }
}

/// A [`Stats`] that its writers and readers share.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    shared: Arc<Mutex<(Stats, Vec<LaneCounter>)>>,
}

impl Ledger {
    /// Writes. The closure must not wait for anything.
    pub fn update<R>(&self, write: impl FnOnce(&mut Stats) -> R) -> R {
        // Plain counters: a panic elsewhere leaves them usable.
        write(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Counts this lane too from now on.
    pub fn watch(&self, lane: LaneCounter) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).1.push(lane);
    }

    /// A copy of everything as it stands.
    #[must_use]
    pub fn snapshot(&self) -> Stats {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stats = shared.0.clone();
        stats.lanes = shared.1.iter().map(LaneCounter::counts).collect();
        stats
    }
}

#[cfg(test)]
mod tests;
