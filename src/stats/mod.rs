//! The ledger of one camera: counts every frame and every byte by outcome. The counts balance at every moment.

mod arrival;
mod backlog;
mod bus;
mod frames;
mod gaps;
mod health;
mod identity;
mod ledger;
mod numbering;
mod outages;
mod rates;
mod sequence;
mod streams;
mod summary;
mod verdict;

use std::collections::VecDeque;
use std::sync::Arc;

use hdrhistogram::Histogram;

use self::arrival::Timed;
pub(crate) use self::backlog::Burst;
use self::backlog::Fresh;
pub use self::bus::{BusCounts, FarCounts};
pub use self::frames::{DamagePlace, FrameCounts, VideoCounts};
use self::gaps::GapEstimator;
pub use self::health::{CameraHealth, HealthGauge};
pub use self::ledger::Ledger;
use self::numbering::StreamNumbers;
use self::outages::Outages;
use self::rates::RecentFrames;
pub use self::rates::{RECENT_FRAMES, Rates};
pub use self::sequence::SequenceCounts;
use self::streams::StreamTally;
pub use self::streams::{FURTHER_STREAMS_MAX, StreamCounts};
pub use self::summary::{LatencySummary, Summary};
pub use self::verdict::{Finding, Weight, words};
#[cfg(feature = "net")]
pub(crate) use self::{
    backlog::{BurstStep, SETTLED_FRAMES},
    sequence::is_restart,
};
use crate::frame::{DeviceTime, LabelMap, Received};
use crate::hub::LaneCounts;
use crate::wire::{ByteCounts, Damage, DatagramCounts, Event, Introduction, Record, SkipReason};

/// Longer latencies are recorded as this.
const LATENCY_MAX_US: u64 = 60_000_000;

/// A forward step of the camera's clock that exceeds the age of the connection by more than this means that the clock
/// was set, not that frames are missing.
const CLOCK_STEP_MAX_US: u64 = 600_000_000;

/// The side that ends the open connection. Decides whether a truncated frame counts as lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ending {
    #[default]
    NotYet,
    ByPeer,
    ByUs,
}

/// State of the open connection, which starts from its default on every connection.
#[derive(Clone, Copy, Debug, Default)]
struct Connection {
    ending: Ending,
    /// Frames since the connection was opened, or since the last seek.
    frames: u64,
    /// Arrival of the first of these.
    first: Received,
    /// The camera's own count of dropped frames (`@Q`), which it resets for every connection.
    camera_count: u64,
    /// The connection is received from its middle on, so that its first `@Q` counts frames of before.
    joined_late: bool,
    /// Frames that the camera dropped on this connection.
    dropped_by_camera: u64,
    /// [`SequenceCounts::away`] when the connection was opened.
    away_before: u64,
    /// The decoder is looking for a header; a frame ends this.
    sync_lost: bool,
    backlog: Burst,
    /// The frames since the last one that may have waited, until the backlog is known to be over.
    after_backlog: Option<Fresh>,
    /// Frames since the last one that were lost, or are missing in the recording that is played.
    lost_since_frame: u64,
    /// End of the last skipped range, in bytes since the connection was opened.
    skipped_to: u64,
}

impl Connection {
    /// Returns the time from the first frame in microseconds. A recording that plays faster than it was recorded has its true
    /// times on the wall clock.
    fn age_us(&self, now: Received) -> u64 {
        let age_ns = now.mono_ns.saturating_sub(self.first.mono_ns);
        age_ns.max(u64::try_from(now.unix_ns.saturating_sub(self.first.unix_ns)).unwrap_or(0)) / 1000
    }
}

/// Latencies in microseconds.
#[derive(Clone, Debug)]
struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_max(LATENCY_MAX_US, 2).expect("a minute in microseconds is a valid range"))
    }
}

/// Time by which frames of a steady stream arrive early at most, but at most a quarter of their period.
const EARLY_MAX_US: u64 = 50_000;

/// The ledger of one camera: totals over all its connections, and private state of the open one.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Frames by outcome.
    pub frames: FrameCounts,
    /// Frames whose detections could not be parsed completely.
    pub bad_detections: u64,
    /// Frames whose JPEG ends early.
    pub bad_pictures: u64,
    /// Frames that were delivered with a guessed layout that later frames contradict.
    pub wrong_layouts: u64,
    /// Frames of video by outcome in the decoder; all 0 while no one looks at pictures.
    pub video: VideoCounts,
    /// Label names of the last frame that had some.
    pub labels: Option<Arc<LabelMap>>,
    /// Times that frame sync was lost.
    pub resyncs: u64,
    /// Skipped ranges of bytes.
    pub skipped_ranges: u64,
    /// Skipped bytes of damaged frames and of junk: all but records of unknown kinds, and the message that we cut short
    /// when we closed the connection.
    pub damaged_bytes: u64,
    /// The first damage.
    pub first_damage: Option<DamagePlace>,
    /// Frames that are missing in the recording that is played, as it reports itself.
    pub missing_in_recording: u64,
    /// The next events were counted before: a part of a recording plays again after a seek.
    repeats: bool,
    /// Records received between frames.
    pub records: u64,
    /// Numbers that the camera sent beside its pictures.
    pub measurements: u64,
    /// Frames that the camera reports to have dropped (`@Q`), without those of [`SequenceCounts::away`].
    pub dropped_by_camera: u64,
    /// The camera's description of itself and its stream, from the open or last connection.
    pub introduction: Arc<Introduction>,
    /// Temperature and load reported by the camera (`@T`).
    pub health: CameraHealth,
    /// Datagrams by outcome; `None` for sources that do not receive datagrams.
    pub datagrams: Option<DatagramCounts>,
    /// Frames of a bus by outcome; `None` for other sources.
    pub bus: Option<BusCounts>,
    /// Attempts to connect.
    pub attempts: u64,
    /// Connections opened.
    pub connections: u64,
    /// Number of the connection that had the first frame, or of the last one while there is no frame.
    first_connection: u64,
    /// Times that the camera's clock went backwards.
    pub reboots: u64,
    /// Times that another camera, by its id, followed at the same address.
    pub replacements: u64,
    /// Items by outcome, for every lane. Filled by [`Ledger::snapshot`].
    pub lanes: Vec<LaneCounts>,
    /// Arrival of the first and of the last frame.
    pub span: Option<(Received, Received)>,
    gaps: GapEstimator,
    streams: StreamTally,
    sequence: StreamNumbers,
    outages: Outages,
    fresh: Option<Fresh>,
    /// Frames of which it is undecided whether they are stale.
    undecided: VecDeque<Timed>,
    recent: RecentFrames,
    latencies: Latencies,
    /// Bytes of the connections that have ended.
    closed: ByteCounts,
    /// Bytes of the open connection.
    open: ByteCounts,
    connection: Connection,
    /// [`Self::dropped_by_camera`] of the connections that have ended.
    dropped_before: u64,
    /// Arrival of the bytes of the current event.
    arrived: Option<Received>,
    /// Device time of the last frame, kept across connections to notice reboots between them.
    last_device: Option<DeviceTime>,
    /// The camera's last id, kept across connections to notice another camera.
    last_id: Option<String>,
}

impl Stats {
    /// The session starts at this time of the monotonic clock.
    pub fn begin(&mut self, now_ns: u64) {
        self.outages.await_first(now_ns);
    }

    /// Counts an attempt to connect.
    pub fn attempt(&mut self) {
        self.attempts += 1;
    }

    /// Counts a connection that was opened, and resets the state of the last one.
    pub fn connected(&mut self) {
        self.connections += u64::from(!self.repeats);
        if self.frames.received + self.measurements == 0 {
            self.first_connection = self.connections;
        }
        self.start_connection();
        self.introduction = Arc::default();
    }

    fn start_connection(&mut self) {
        self.dropped_before = self.dropped_by_camera;
        self.undecided.clear();
        self.connection = Connection { away_before: self.sequence.away(), ..Connection::default() };
    }

    /// Resets the state of the connection after a seek in a recording: the next frame does not follow the last one, and the
    /// camera may have sent another description of itself before it.
    pub fn sought(&mut self) {
        self.sequence.close(true);
        self.start_connection();
        self.restart_rates();
        self.last_device = None;
        self.introduction = Arc::default();
        self.health = CameraHealth::default();
        self.join_late();
    }

    /// Measures [`Self::rates`] from the next frame on: the interval before it depends on the player, not on the camera.
    pub fn restart_rates(&mut self) {
        self.recent.clear();
    }

    /// The next frame is in the middle of its connection: what the camera has counted before is not counted here.
    pub fn join_late(&mut self) {
        self.connection.joined_late = true;
    }

    /// Sets whether the next events were counted before, because a part of a recording plays again. Such frames count as
    /// received and as repeated, and nothing that is missing or damaged among them counts again.
    pub fn repeats(&mut self, repeats: bool) {
        self.repeats = repeats;
    }

    /// Counts an event of the decoder.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Frame(frame) => self.frame(frame),
            Event::Confirmed(_) => {
                self.frames.confirmed += 1;
                self.frames.pending -= 1;
            }
            Event::Aged(verdict) => {
                if let Some(timed) = self.undecided.pop_front() {
                    self.timed(timed, verdict.stale);
                }
            }
            Event::Withdrawn(_, damage) => {
                self.frames.withdrawn += 1;
                self.frames.pending -= 1;
                self.streams.withdrawn();
                self.damaged(|| damage.to_string());
            }
            Event::Lost(_) | Event::BadDetections(_) if self.repeats => {}
            Event::Lost(Damage::Ended { .. }) if self.connection.ending == Ending::ByUs => self.frames.unfinished += 1,
            Event::Lost(damage) => {
                self.frames.no_memory += u64::from(matches!(damage, Damage::NoMemory { .. }));
                self.count_lost();
                self.damaged(|| damage.to_string());
            }
            Event::BadDetections(error) => {
                self.bad_detections += 1;
                self.damaged(|| format!("detections: {error}"));
            }
            Event::Skipped(skipped) => {
                // The decoder reports a long range in parts.
                self.skipped_ranges += u64::from(skipped.at != self.connection.skipped_to || skipped.at == 0);
                self.connection.skipped_to = skipped.at + skipped.len;
                // A foreign record between two frames does not lose sync, nor does a frame without memory.
                if skipped.reason.is_intact() || self.repeats {
                    return;
                }
                if matches!(skipped.reason, SkipReason::TooLarge { .. }) {
                    self.count_lost();
                }
                if self.connection.ending != Ending::ByUs || !skipped.may_be_unfinished() {
                    self.damaged_bytes += skipped.len;
                    self.damaged_at(skipped.at, || skipped.to_string());
                }
                self.sequence.torn();
                // Neither does a stream that ends.
                if self.connection.ending == Ending::NotYet && !self.connection.sync_lost {
                    self.connection.sync_lost = true;
                    self.resyncs += 1;
                }
            }
            Event::Record(record) => {
                self.records += 1;
                match record {
                    Record::Dropped(frames) => {
                        let here = &mut self.connection;
                        if !std::mem::take(&mut here.joined_late) && !self.repeats {
                            let more = frames.saturating_sub(here.camera_count);
                            here.dropped_by_camera = here.dropped_by_camera.saturating_add(more);
                        }
                        here.camera_count = here.camera_count.max(*frames);
                        self.count_missing();
                    }
                    Record::Frame { .. } if self.repeats => {}
                    Record::Frame { seq, device_time } => {
                        let follows = !self.arrived.is_some_and(|at| self.is_jump(*device_time, at));
                        self.sequence.announced(self.streams.next(), *seq, follows);
                        self.count_missing();
                    }
                    Record::Stream(name) => self.streams.named(name),
                    Record::Health { celsius, css, mss } => self.health.observe(*celsius, *css, *mss),
                    _ => {}
                }
            }
        }
    }

    /// Notes the place of the first damage.
    fn damaged(&mut self, what: impl FnOnce() -> String) {
        self.damaged_at(self.open.received, what);
    }

    fn damaged_at(&mut self, byte: u64, what: impl FnOnce() -> String) {
        if self.first_damage.is_none() {
            let (connection, frames) = (self.connections.max(1), self.connection.frames);
            self.first_damage = Some(DamagePlace { connection, byte, frames, what: what() });
        }
    }

    /// Stores the camera's description of itself on this connection.
    pub fn set_introduction(&mut self, introduction: &Arc<Introduction>) {
        if !Arc::ptr_eq(&self.introduction, introduction) {
            self.introduction = Arc::clone(introduction);
        }
    }

    /// Counts frames that were sent but are missing in the recording that is played. `torn`: bytes are missing as well.
    pub fn missing_in_recording(&mut self, frames: u64, torn: bool, what: &str) {
        self.sequence.missing_in_recording(frames);
        self.missing_in_recording = self.missing_in_recording.saturating_add(frames);
        let lost = &mut self.connection.lost_since_frame;
        *lost = lost.saturating_add(frames);
        if frames > 0 || torn {
            self.damaged(|| format!("the recording reports: {what}"));
        }
        if torn {
            self.sequence.torn();
        }
        self.count_missing();
    }

    fn count_missing(&mut self) {
        let SequenceCounts { not_sent, damaged, .. } = self.sequence.counts().unwrap_or_default();
        if not_sent + damaged > 0 {
            self.damaged(|| "frame numbers are missing".to_owned());
        }
        let on_bus = self.bus.as_ref().map_or(0, |bus| bus.missing);
        let without_a_byte = damaged.saturating_sub(self.frames.lost).max(self.missing_in_recording).max(on_bus);
        self.frames.missing = self.frames.estimated.saturating_add(not_sent).saturating_add(without_a_byte);
        // The camera counts from the first frame that it sends, which may have waited for us.
        let Connection { dropped_by_camera, away_before, .. } = self.connection;
        let away = self.sequence.away() - away_before;
        self.dropped_by_camera = self.dropped_before.saturating_add(dropped_by_camera.saturating_sub(away));
    }

    /// Sets the counts of datagrams, over all connections.
    pub fn set_datagrams(&mut self, counts: DatagramCounts) {
        self.datagrams = Some(counts);
    }

    /// No datagram of this many messages arrived before the next frame.
    pub fn messages_missing(&mut self, messages: u64) {
        self.sequence.torn();
        let lost = &mut self.connection.lost_since_frame;
        *lost = lost.saturating_add(messages);
    }

    /// Sets the byte counts of the open connection.
    pub fn set_byte_counts(&mut self, bytes: ByteCounts) {
        self.open = bytes;
    }

    /// Sets the arrival of the bytes of the next event.
    pub fn set_arrived(&mut self, arrived: Received) {
        self.arrived = Some(arrived);
    }

    /// The stream has stopped at this time of the monotonic clock, and not because we stopped it. The outage ends with the
    /// next frame.
    pub fn outage(&mut self, since_ns: u64) {
        self.outages.begin(since_ns);
    }

    /// Counts the time until now, by the monotonic clock, as watched, and as an outage if there is one.
    pub fn advance(&mut self, now_ns: u64) {
        self.outages.advance(now_ns);
    }

    /// Forgets an outage that lasts until the end, because no more frames were wanted, or because the playback was stopped
    /// before a recording began.
    pub fn dismiss_outage(&mut self) {
        self.outages.dismiss();
    }

    /// The connection is ending; the decoder's last events follow. `by_us`: we close it, so a truncated frame counts as
    /// unfinished, not as lost.
    pub fn ending(&mut self, by_us: bool) {
        self.connection.ending = if by_us { Ending::ByUs } else { Ending::ByPeer };
    }

    /// The connection has ended with these byte counts.
    pub fn disconnected(&mut self, bytes: ByteCounts) {
        self.sequence.close(self.connection.ending == Ending::ByUs);
        self.count_missing();
        self.closed = sum(self.closed, bytes);
        self.open = ByteCounts::default();
        self.start_connection();
    }

    /// Counts a finished picture. `latency_us` is the time since the last byte of its frame was received; that of stale
    /// frames is ignored.
    pub fn picture(&mut self, stale: bool, latency_us: u64) {
        self.frames.pictures += 1;
        if !stale {
            self.latencies.0.saturating_record(latency_us.min(LATENCY_MAX_US));
        }
    }

    /// Counts a displayed picture.
    pub fn shown(&mut self) {
        self.frames.shown += 1;
    }

    /// Returns the byte counts of all connections.
    #[must_use]
    pub fn bytes(&self) -> ByteCounts {
        sum(self.closed, self.open)
    }

    /// Returns the number of connections after the one with the first frame: attempts before it are no outage.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.connections.saturating_sub(self.first_connection.max(1))
    }

    /// Returns the camera's frame period in microseconds, once there are enough frames for an estimate.
    #[must_use]
    pub fn frame_time_us(&self) -> Option<i64> {
        self.gaps.period_us()
    }

    /// Returns the camera's frame numbers by outcome; `None` if it sends no numbers (`@F`), so that
    /// [`FrameCounts::missing`] is an estimate.
    #[must_use]
    pub fn numbers(&self) -> Option<SequenceCounts> {
        self.sequence.counts()
    }

    /// Returns the number of frames that the camera numbered but never sent.
    #[must_use]
    pub fn not_sent(&self) -> u64 {
        self.sequence.not_sent()
    }

    /// Returns the times from the last byte of a frame to its finished picture, in microseconds.
    #[must_use]
    pub fn latency_us(&self) -> &Histogram<u64> {
        &self.latencies.0
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

#[cfg(test)]
mod tests;
