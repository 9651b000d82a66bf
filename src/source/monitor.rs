//! Decides when a connection is silent, stalled or dead, and when to reconnect. Without a socket or a clock: times are
//! arguments.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::wire::Event;

/// Timeouts of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Time to connect. 3 s by default.
    pub connect: Duration,
    /// Time from connecting to the first byte, and from there to the first frame. 4 s by default (wire.md 4.11).
    pub first_byte: Duration,
    /// Time without a byte after which a stream counts as stalled, but at least twice the longest recent interval between
    /// frames. 1 s by default.
    pub stalled: Duration,
    /// Time without a byte after which the connection is closed, but at least four times the longest recent interval
    /// between frames (wire.md 4.12). Before the third frame, no interval is known: then a connection is closed only
    /// inside a frame. 10 s by default.
    pub idle: Duration,
    /// Replaces [`Self::idle`] and the intervals between frames. `None` by default.
    pub idle_fixed: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            first_byte: Duration::from_secs(4),
            stalled: Duration::from_secs(1),
            idle: Duration::from_secs(10),
            idle_fixed: None,
        }
    }
}

/// Time without a frame, but with bytes that are none, after which reconnecting is cheaper than searching on.
const NOISE_MAX: Duration = Duration::from_secs(2);

/// Assumed time between frames, until it is measured.
const DEFAULT_FRAME_TIME: Duration = Duration::from_millis(40);

/// Limits of the measured time between frames, after which received bytes are judged without waiting for more.
const FRAME_TIME_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(2);

/// Shortest time to the next check. Prevents a busy loop.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(1);

/// Degree of silence on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Silence {
    /// Data is arriving.
    None,
    /// 1.5 frame times: check the socket for bytes below the low-water mark (see [`crate::net::low_water`]).
    CheckSocket,
    /// Two frame times: judge the received bytes without waiting for more.
    Idle,
    /// The stream counts as stalled.
    Stalled,
    /// The connection is to be closed.
    TimedOut,
}

/// Intervals between the frames of a camera, over all its connections: they decide how long a silence is normal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rhythm {
    last_ns: Option<u64>,
    /// Number of intervals.
    intervals: u64,
    /// The longest recent interval. Forgotten slowly, so that bursts of frames do not hide the pauses between them.
    longest: Duration,
}

impl Rhythm {
    /// Fewest intervals that say something about the next one.
    const MIN_INTERVALS: u64 = 2;
    /// With each shorter interval, the longest one shrinks by this share of itself.
    const FORGET: u32 = 512;
    /// Limits intervals of the camera's clock, which may have been set.
    const MAX_DEVICE_INTERVAL: Duration = Duration::from_secs(24 * 3600);

    /// Adds a frame.
    fn frame(&mut self, now_ns: u64) {
        let Some(last_ns) = self.last_ns.replace(now_ns) else { return };
        let interval = Duration::from_nanos(now_ns.saturating_sub(last_ns));
        self.intervals += 1;
        self.longest = interval.max(self.longest - self.longest / Self::FORGET);
    }

    /// Frames that waited in the camera's queue were captured at this interval of its clock.
    fn queued(&mut self, period_us: i64) {
        let period = Duration::from_micros(u64::try_from(period_us).unwrap_or(0));
        self.longest = self.longest.max(period.min(Self::MAX_DEVICE_INTERVAL));
    }

    /// The time until the next frame says nothing about the camera: the connection was lost.
    pub(super) fn interrupt(&mut self) {
        self.last_ns = None;
    }

    fn longest(&self) -> Option<Duration> {
        (self.intervals >= Self::MIN_INTERVALS).then_some(self.longest)
    }
}

/// Watches the silence on one connection. Times are nanoseconds of one monotonic clock.
#[derive(Clone, Debug)]
pub(super) struct SilenceMonitor {
    timeouts: Timeouts,
    rhythm: Rhythm,
    frame_time: Duration,
    opened_ns: u64,
    first_byte_ns: Option<u64>,
    last_byte_ns: u64,
    last_frame_ns: Option<u64>,
    /// Start of the bytes that are being skipped.
    noise_ns: Option<u64>,
    /// A message has been received in part.
    in_message: bool,
}

impl SilenceMonitor {
    pub(super) fn new(timeouts: Timeouts, rhythm: Rhythm, opened_ns: u64) -> Self {
        Self {
            timeouts,
            rhythm,
            frame_time: DEFAULT_FRAME_TIME,
            opened_ns,
            first_byte_ns: None,
            last_byte_ns: opened_ns,
            last_frame_ns: None,
            noise_ns: None,
            in_message: false,
        }
    }

    /// Records that bytes arrived. `in_message`: a message has been received in part.
    pub(super) fn bytes(&mut self, now_ns: u64, in_message: bool) {
        self.first_byte_ns.get_or_insert(now_ns);
        self.last_byte_ns = now_ns;
        self.in_message = in_message;
    }

    /// Records that a frame arrived.
    pub(super) fn frame(&mut self, now_ns: u64) {
        self.last_frame_ns = Some(now_ns);
        self.rhythm.frame(now_ns);
    }

    /// Records that a frame had waited in the camera's queue, among frames that were captured at this interval.
    pub(super) fn queued(&mut self, period_us: i64) {
        self.rhythm.queued(period_us);
    }

    /// Sets the measured time between frames.
    pub(super) fn set_frame_time(&mut self, frame_time_us: Option<i64>) {
        if let Some(us) = frame_time_us {
            let measured = Duration::from_micros(us.unsigned_abs());
            self.frame_time = measured.clamp(*FRAME_TIME_RANGE.start(), *FRAME_TIME_RANGE.end());
        }
    }

    /// Returns the intervals between frames, for the next connection.
    pub(super) fn rhythm(&self) -> Rhythm {
        self.rhythm
    }

    /// Returns whether a frame has arrived on this connection.
    pub(super) fn has_frames(&self) -> bool {
        self.last_frame_ns.is_some()
    }

    /// Returns whether a byte has arrived on this connection.
    pub(super) fn has_bytes(&self) -> bool {
        self.first_byte_ns.is_some()
    }

    /// Returns the time without a byte after which each degree is reached.
    fn thresholds(&self) -> impl Iterator<Item = (Silence, Duration)> {
        let Timeouts { stalled, idle, idle_fixed, .. } = self.timeouts;
        // The rest of a message follows at once, however slow the camera is.
        let longest = if self.in_message { Some(Duration::ZERO) } else { self.rhythm.longest() };
        let factor = |factor: u32| longest?.checked_mul(factor);
        let timed_out = idle_fixed.or_else(|| Some(idle.max(factor(4)?)));
        let degrees = [
            (Silence::CheckSocket, Some(self.frame_time * 3 / 2)),
            (Silence::Idle, Some(self.frame_time * 2)),
            (Silence::Stalled, factor(2).map(|longest| stalled.max(longest))),
            (Silence::TimedOut, timed_out),
        ];
        degrees.into_iter().filter_map(|(silence, after)| Some((silence, after?)))
    }

    /// Returns the degree of silence.
    pub(super) fn silence(&self, now_ns: u64) -> Silence {
        let elapsed = self.since_last_byte(now_ns);
        let reached = |(_, after): &(Silence, Duration)| elapsed >= *after;
        self.thresholds().filter(reached).map(|(silence, _)| silence).max().unwrap_or(Silence::None)
    }

    /// Returns whether the silence has reached this degree. Before the interval between frames is known, [`Timeouts`] alone
    /// decide.
    pub(super) fn has_lasted(&self, silence: Silence, now_ns: u64) -> bool {
        let Timeouts { stalled, idle, .. } = self.timeouts;
        let known = self.thresholds().find(|(degree, _)| *degree == silence);
        let fallback = if silence == Silence::TimedOut { idle } else { stalled };
        self.since_last_byte(now_ns) >= known.map_or(fallback, |(_, after)| after)
    }

    /// Returns the time until [`Self::silence`] must be checked again if no data arrives.
    pub(super) fn next_check(&self, now_ns: u64) -> Duration {
        let elapsed = self.since_last_byte(now_ns);
        let next = self.thresholds().map(|(_, after)| after).filter(|after| *after > elapsed).min();
        let first = if self.has_frames() { None } else { Some(self.first_frame_due(now_ns)) };
        let next = next.map_or(self.timeouts.idle, |after| after - elapsed);
        next.min(first.filter(|due| !due.is_zero()).unwrap_or(next)).max(MIN_CHECK_INTERVAL)
    }

    /// Returns the arrival of the last byte, or the time of connecting.
    pub(super) fn last_byte_ns(&self) -> u64 {
        self.last_byte_ns
    }

    /// Returns the time since the last byte, or since connecting.
    pub(super) fn since_last_byte(&self, now_ns: u64) -> Duration {
        Duration::from_nanos(now_ns.saturating_sub(self.last_byte_ns))
    }

    /// Returns whether no byte has arrived within [`Timeouts::first_byte`].
    pub(super) fn first_byte_is_late(&self, now_ns: u64) -> bool {
        self.first_byte_ns.is_none() && self.first_frame_due(now_ns).is_zero()
    }

    /// Returns whether bytes, but no frame, have arrived within [`Timeouts::first_byte`].
    pub(super) fn first_frame_is_late(&self, now_ns: u64) -> bool {
        self.first_byte_ns.is_some() && !self.has_frames() && self.first_frame_due(now_ns).is_zero()
    }

    fn first_frame_due(&self, now_ns: u64) -> Duration {
        let since = now_ns.saturating_sub(self.first_byte_ns.unwrap_or(self.opened_ns));
        self.timeouts.first_byte.saturating_sub(Duration::from_nanos(since))
    }

    /// Returns how long bytes have been skipped, if there were frames before and reconnecting is cheaper now: the decoder
    /// has lost frame sync and does not find it again. `skipping`: bytes are being skipped.
    pub(super) fn noise(&mut self, skipping: bool, now_ns: u64) -> Option<Duration> {
        if !skipping {
            self.noise_ns = None;
            return None;
        }
        let since = Duration::from_nanos(now_ns.saturating_sub(*self.noise_ns.get_or_insert(now_ns)));
        (self.has_frames() && since >= self.timeouts.idle.min(NOISE_MAX)).then_some(since)
    }
}

/// Computes the delay before the next attempt to connect.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// Delay after a connection with frames, because that camera usually returns at once, and after the first refused
    /// attempt, which costs the camera one packet. Frames arrive again within 100 ms after the port opens.
    pub(super) const QUICK_DELAY: Duration = Duration::from_millis(50);
    /// Shortest delay after an attempt that was not refused.
    const MIN_DELAY: Duration = Duration::from_millis(200);
    /// A camera that has rebooted is received again after this time at the latest.
    const MAX_DELAY: Duration = Duration::from_secs(2);

    pub(crate) const fn new() -> Self {
        Self { next: Self::QUICK_DELAY }
    }

    /// Returns the next delay; doubles with each call. `streamed`: the connection had frames, so the delays begin again.
    pub(crate) fn delay(&mut self, streamed: bool, refused: bool) -> Duration {
        if streamed {
            self.next = Self::QUICK_DELAY;
        }
        let delay = if streamed || refused { self.next } else { self.next.max(Self::MIN_DELAY) };
        self.next = (delay * 2).min(Self::MAX_DELAY);
        delay
    }
}

/// Counts losses of frame sync, and decides whether reconnecting is cheaper than searching for the next header again.
///
/// That is the case after three losses of frame sync within three seconds with fewer than nine confirmed frames between them:
/// reconnecting costs up to nine stale frames (wire.md sections 2.5 and 5.1).
#[derive(Clone, Debug, Default)]
pub(super) struct SyncLosses {
    /// Times in nanoseconds of the last losses, with the number of frames confirmed until then.
    recent: VecDeque<(u64, u64)>,
    confirmed: u64,
    /// Sync was lost and no frame has followed yet.
    lost: bool,
}

impl SyncLosses {
    pub(super) const MAX_LOSSES: u32 = 3;
    const WINDOW_NS: u64 = 3_000_000_000;
    const RECONNECT_COST_FRAMES: u64 = 9;

    /// Counts an event, and returns whether to reconnect.
    pub(super) fn observe(&mut self, event: &Event, now_ns: u64) -> bool {
        match event {
            Event::Frame(_) => self.lost = false,
            Event::Confirmed(_) => self.confirmed += 1,
            // A record of an unknown kind is where a record may be, so sync is not lost.
            Event::Skipped(skipped) if !skipped.reason.is_intact() => {
                return !std::mem::replace(&mut self.lost, true) && self.sync_lost(now_ns);
            }
            Event::Skipped(_)
            | Event::Withdrawn(..)
            | Event::Lost(_)
            | Event::BadDetections(_)
            | Event::Record(_)
            | Event::Aged(_) => {}
        }
        false
    }

    fn sync_lost(&mut self, now_ns: u64) -> bool {
        if self.recent.len() == Self::MAX_LOSSES as usize {
            self.recent.pop_front();
        }
        self.recent.push_back((now_ns, self.confirmed));
        self.recent.len() == Self::MAX_LOSSES as usize
            && self.recent.front().is_some_and(|(ns, confirmed)| {
                now_ns.saturating_sub(*ns) <= Self::WINDOW_NS
                    && self.confirmed - confirmed < Self::RECONNECT_COST_FRAMES
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{SkipReason, Skipped};

    const MS: u64 = 1_000_000;

    /// A connection on which three frames arrived, the last one at 1 s.
    fn streaming(frame_time_ms: u64) -> SilenceMonitor {
        let mut monitor = SilenceMonitor::new(Timeouts::default(), Rhythm::default(), 0);
        for n in [2, 1, 0] {
            let now = 1000 * MS + 10_000_000 * MS - n * frame_time_ms * MS;
            monitor.bytes(now, false);
            monitor.frame(now);
        }
        monitor.set_frame_time(Some(1000 * frame_time_ms as i64));
        monitor
    }

    const LAST: u64 = 10_001_000 * MS;

    #[test]
    fn silence_is_graded_by_the_rate_that_was_seen() {
        for (frame_time_ms, degrees) in [
            (25, [38, 50, 1000, 10_000]),
            (1000, [1500, 2000, 2000, 10_000]),
            (3000, [3000, 4000, 6000, 12_000]),
            (3_600_000, [3000, 4000, 7_200_000, 14_400_000]),
        ] {
            let monitor = streaming(frame_time_ms);
            let reached = [Silence::CheckSocket, Silence::Idle, Silence::Stalled, Silence::TimedOut];
            for (silence, ms) in reached.into_iter().zip(degrees) {
                assert!(monitor.silence(LAST + ms * MS) >= silence, "{frame_time_ms} ms: {silence:?} after {ms} ms");
                assert!(
                    monitor.silence(LAST + (ms - 1) * MS) < silence,
                    "{frame_time_ms} ms: {silence:?} before {ms} ms"
                );
            }
        }
    }

    #[test]
    fn a_rate_that_is_not_known_has_no_timeout() {
        let mut monitor = SilenceMonitor::new(Timeouts::default(), Rhythm::default(), 0);
        let day = 86_400_000 * MS;
        for n in 0..2 {
            assert!(monitor.silence(day) <= Silence::Idle, "after {n} frames");
            monitor.bytes(MS, false);
            monitor.frame(MS);
        }
        monitor.bytes(2 * MS, true);
        assert_eq!(monitor.silence(10_002 * MS), Silence::TimedOut, "inside a frame");
        let timeouts = Timeouts { idle_fixed: Some(Duration::from_secs(60)), ..Timeouts::default() };
        let mut fixed = SilenceMonitor::new(timeouts, Rhythm::default(), 0);
        fixed.bytes(0, false);
        assert_eq!([fixed.silence(59_999 * MS), fixed.silence(60_000 * MS)], [Silence::Idle, Silence::TimedOut]);
    }

    #[test]
    fn pauses_between_bursts_are_remembered_and_a_higher_rate_is_followed() {
        let timed_out = |monitor: &SilenceMonitor, seconds: u64| {
            monitor.silence(monitor.last_byte_ns + seconds * 1000 * MS) == Silence::TimedOut
        };
        let mut monitor = streaming(25);
        let mut now = LAST + 300_000 * MS;
        for _ in 0..100 {
            now += 25 * MS;
            monitor.bytes(now, false);
            monitor.frame(now);
        }
        assert!(!timed_out(&monitor, 600), "another pause of up to ten minutes");
        for _ in 0..10_000 {
            now += 25 * MS;
            monitor.bytes(now, false);
            monitor.frame(now);
        }
        assert!(timed_out(&monitor, 10));
        // Nine frames from the queue of a camera that takes one an hour arrive together.
        let mut hourly = SilenceMonitor::new(Timeouts::default(), Rhythm::default(), 0);
        for _ in 0..9 {
            hourly.frame(MS);
        }
        hourly.queued(3_600_000_000);
        hourly.bytes(MS, false);
        assert!(!timed_out(&hourly, 3600) && timed_out(&hourly, 4 * 3600));
    }

    #[test]
    fn noise_is_measured_from_its_start() {
        let mut monitor = streaming(3_600_000);
        let start = LAST + 3_600_000 * MS;
        assert_eq!(monitor.noise(true, start), None);
        assert_eq!(monitor.noise(true, start + 1999 * MS), None);
        assert_eq!(monitor.noise(true, start + 2000 * MS), Some(Duration::from_secs(2)));
        assert_eq!(monitor.noise(false, start + 2000 * MS), None);
        assert_eq!(monitor.noise(true, start + 2001 * MS), None);
    }

    /// Checking at the times of `next_check` reaches every degree, with few checks.
    #[test]
    fn checks_at_the_returned_times_reach_every_degree() {
        for monitor in [streaming(25), streaming(1), streaming(2900)] {
            let (mut now, mut checks, mut reached) = (LAST, 0, vec![]);
            while now < LAST + 12_000 * MS {
                let silence = monitor.silence(now);
                if reached.last() != Some(&silence) {
                    reached.push(silence);
                }
                now += u64::try_from(monitor.next_check(now).as_nanos()).unwrap();
                checks += 1;
            }
            assert_eq!(
                reached,
                [Silence::None, Silence::CheckSocket, Silence::Idle, Silence::Stalled, Silence::TimedOut]
            );
            assert!(checks < 20, "{checks} checks");
        }
    }

    #[test]
    fn a_late_first_byte_and_a_late_first_frame_are_distinguished() {
        let mut monitor = SilenceMonitor::new(Timeouts::default(), Rhythm::default(), 0);
        assert!(!monitor.first_byte_is_late(3_999 * MS));
        assert!(monitor.first_byte_is_late(4_000 * MS) && !monitor.first_frame_is_late(4_000 * MS));
        assert!(monitor.next_check(3_900 * MS) <= Duration::from_millis(100));
        monitor.bytes(5_000 * MS, false);
        assert!(!monitor.first_byte_is_late(9_000 * MS));
        assert!(monitor.first_frame_is_late(9_000 * MS) && !monitor.first_frame_is_late(8_999 * MS));
        monitor.frame(9_000 * MS);
        assert!(!monitor.first_frame_is_late(20_000 * MS));
    }

    #[test]
    fn back_off_grows_to_two_seconds_until_a_connection_has_frames() {
        let mut backoff = Backoff::new();
        let mut ms = |streamed, refused| backoff.delay(streamed, refused).as_millis();
        let absent: Vec<_> = (0..6).map(|_| ms(false, false)).collect();
        assert_eq!(absent, [200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(ms(true, false), 50);
        let refused: Vec<_> = (0..7).map(|_| ms(false, true)).collect();
        assert_eq!(refused, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!([ms(true, true), ms(false, false)], [50, 200]);
    }

    /// Loses sync at these times in milliseconds, with frames confirmed before each; returns when to reconnect.
    fn reconnects(losses: impl IntoIterator<Item = (u64, u64)>) -> Vec<bool> {
        let mut counter = SyncLosses::default();
        let loss = |(ms, confirmed)| {
            counter.observe(&Event::Frame(Default::default()), ms * MS);
            assert!(!(0..confirmed).any(|id| counter.observe(&Event::Confirmed(id), ms * MS)));
            let skipped = |at, reason| Event::Skipped(Skipped { at, len: 32, reason, found: [0; 32] });
            assert!(!counter.observe(&skipped(0, SkipReason::ForeignRecord), ms * MS));
            let first = counter.observe(&skipped(32, SkipReason::NotAHeader), ms * MS);
            assert!(
                !counter.observe(&skipped(64, SkipReason::DamagedFrame), ms * MS),
                "two skipped ranges of one loss"
            );
            first
        };
        losses.into_iter().map(loss).collect()
    }

    #[test]
    fn three_losses_in_three_seconds_reconnect_and_one_in_a_hundred_frames_does_not() {
        assert_eq!(reconnects([(0, 0), (1000, 4), (2000, 4)]), [false, false, true]);
        assert!(!reconnects((0..100).map(|i| (i * 25, 100))).contains(&true));
        assert!(!reconnects((0..100).map(|i| (i * 1600, 0))).contains(&true), "one loss every 1.6 s");
    }
}
