//! Device time, arrival time, and the detection of stale frames.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Microseconds on the camera's clock: since boot, for a standalone camera (wire.md section 2.1). Can be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct DeviceTime(pub i64);

impl DeviceTime {
    /// Returns the microseconds from `earlier` to `self`; negative if the camera's clock went backwards.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Arrival time by this host's monotonic and real-time clocks. Plain numbers, so that tests need no clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Monotonic nanoseconds since an arbitrary start, for intervals and latency.
    pub mono_ns: u64,
    /// Nanoseconds since 1970-01-01 UTC, for files.
    pub unix_ns: i64,
}

/// Whether a frame waited in the camera's queue before we connected. Only later frames of the connection show that.
#[derive(Clone, Debug)]
pub enum Staleness {
    /// Decided when the frame arrived, or stored with a recorded frame.
    Known(bool),
    /// Decided later, by [`Backlog`].
    Later(Arc<OnceLock<bool>>),
}

impl Default for Staleness {
    fn default() -> Self {
        Self::Known(false)
    }
}

impl Staleness {
    /// Returns whether the frame is stale; `None` if that is not decided yet.
    #[must_use]
    pub fn get(&self) -> Option<bool> {
        match self {
            Self::Known(stale) => Some(*stale),
            Self::Later(stale) => stale.get().copied(),
        }
    }
}

/// Decision of [`Backlog`] about one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Number of the frame.
    pub id: u64,
    /// The camera took the frame more than a frame period before the connection was opened.
    pub stale: bool,
    /// Frame period of the camera in microseconds, as far as it is known.
    pub period_us: Option<i64>,
}

#[derive(Debug)]
struct Undecided {
    id: u64,
    device: DeviceTime,
    arrived_us: i64,
    /// The frame was at least this old when it arrived.
    age_us: i64,
    /// Time from the beginning of the connection to its arrival.
    connected_us: i64,
    /// The same, if the network delayed the first frame: see [`Backlog::UNBROKEN_DELAY_MAX_US`].
    unbroken_us: i64,
    /// It arrived in less than half of the step of the camera's clock since the frame before.
    in_burst: bool,
    stale: Arc<OnceLock<bool>>,
}

impl Undecided {
    /// Returns whether the camera took the frame more than a period before the connection was opened. `has_jump`: the camera
    /// left out frames between this one and the newest.
    fn is_older_than(&self, period_us: Option<i64>, has_jump: bool) -> bool {
        // A camera without a queue sends a picture that is up to one period old.
        let period_us = period_us.unwrap_or(0);
        let connected_us = if has_jump { self.connected_us } else { self.unbroken_us };
        let age_when_opened_us = self.age_us.saturating_sub(connected_us);
        age_when_opened_us > period_us.saturating_add((period_us / 4).max(Backlog::MIN_JITTER_US))
    }
}

/// Detects stale frames, which waited in the camera's queue before we connected. Use a new one for each connection.
///
/// Without a client, the official program keeps nine frames (eight in its queue and one that the producer is adding,
/// wire.md section 2.5). After we connect they arrive as fast as the camera and the network allow, then the device time
/// jumps to the present.
///
/// A frame that arrived `a` before another, and was captured `d` before it, was at least `d - a` old when it arrived,
/// because the other one was captured before it arrived. So the frames after a frame decide, at any speed of arrival: the
/// tenth frame of a connection at the latest. Of cameras that are too slow to wait for ten frames, one frame that arrives
/// at the pace of the camera's clock decides, or a silence.
///
/// A frame that is younger than the connection was captured after we connected: the network delayed it.
#[derive(Debug, Default)]
pub struct Backlog {
    /// Time at which the connection was opened; `None` if that is not known.
    opened_us: Option<i64>,
    /// Beginning of the connection: see [`Self::FIRST_DELAY_MAX_US`].
    began_us: i64,
    /// The same if no frame is missing: see [`Self::UNBROKEN_DELAY_MAX_US`].
    began_unbroken_us: i64,
    seen_frames: u32,
    last: Option<(DeviceTime, i64)>,
    /// Device times between the frames.
    steps_us: Vec<i64>,
    /// Every step is longer than the time between both arrivals by the same [factor](Self::WRONG_UNITS).
    wrong_unit: Option<i64>,
    undecided: VecDeque<Undecided>,
    verdicts: VecDeque<Verdict>,
    over: bool,
}

/// Returns whether a frame arrived so soon after the one before that it had waited in the camera or in the system: in less
/// than half of the time between both by the camera's clock. Times are microseconds.
#[must_use]
pub const fn has_waited(step_us: i64, arrived_us: i64) -> bool {
    step_us > 0 && arrived_us < step_us / 2
}

/// Converts nanoseconds of the monotonic clock.
fn micros(ns: u64) -> i64 {
    i64::try_from(ns / 1000).unwrap_or(i64::MAX)
}

impl Backlog {
    /// Most frames that a camera keeps. A sender that is merely fast looks stale for no longer than this.
    pub const MAX_FRAMES: u32 = 9;
    /// Frames in a full queue, without the one that the producer is adding.
    const QUEUE_FRAMES: u32 = 8;
    /// Steps that suffice for an early decision.
    const MIN_STEPS: usize = 3;
    /// A network or a busy camera can imitate the pace of frames with a shorter step.
    const MIN_PACED_STEP_US: i64 = 500_000;
    /// Differences in arrival that mean nothing.
    const MIN_JITTER_US: i64 = 10_000;
    /// Factors of senders that take another unit for seconds, such as milliseconds. Their frames seem to arrive a thousand times too
    /// early.
    const WRONG_UNITS: [i64; 3] = [1_000, 1_000_000, 1_000_000_000];
    /// Frames that waited in a queue may arrive faster, and then any factor is possible.
    const MIN_WRONG_UNIT_WAIT_US: i64 = 15_000;
    /// Longest time between opening a connection and the first frame that counts as a delay by the network. After a longer one, a
    /// camera was serving another client meanwhile, and its queue was filled after we connected.
    const FIRST_DELAY_MAX_US: i64 = 250_000;
    /// The same while no frame is missing between the first one and the present. A queue that filled up during a longer delay drops
    /// frames, which shows as a jump of the camera's clock; without one, the network delayed all frames, or they waited in a
    /// queue for no longer than this.
    const UNBROKEN_DELAY_MAX_US: i64 = 1_000_000;
    const MIN_SILENCE: Duration = Duration::from_secs(3);
    const MAX_SILENCE: Duration = Duration::from_secs(8);

    /// Judges the frames of a connection that was opened at this time of the monotonic clock.
    #[must_use]
    pub fn opened_at(opened_ns: u64) -> Self {
        Self { opened_us: Some(micros(opened_ns)), ..Self::default() }
    }

    /// Adds the next frame, and returns whether it is stale. `arrived_ns` is monotonic.
    pub fn observe(&mut self, id: u64, device: DeviceTime, arrived_ns: u64) -> Staleness {
        self.seen_frames = self.seen_frames.saturating_add(1);
        if self.over {
            return Staleness::Known(false);
        }
        let arrived_us = micros(arrived_ns);
        if self.seen_frames == 1 {
            let within = |delay_us: i64| {
                self.opened_us.map_or(arrived_us, |opened_us| opened_us.clamp(arrived_us - delay_us, arrived_us))
            };
            (self.began_us, self.began_unbroken_us) =
                (within(Self::FIRST_DELAY_MAX_US), within(Self::UNBROKEN_DELAY_MAX_US));
        }
        let mut in_burst = false;
        if let Some((last_device, last_us)) = self.last.replace((device, arrived_us)) {
            let step_us = device.since(last_device);
            if step_us <= 0 {
                // The camera has no clock, or has restarted.
                self.decide_all();
                return Staleness::Known(false);
            }
            for earlier in &mut self.undecided {
                let age_us = device.since(earlier.device).saturating_sub(arrived_us - earlier.arrived_us);
                earlier.age_us = earlier.age_us.max(age_us);
            }
            let waited_us = arrived_us - last_us;
            let factor = Self::wrong_unit(step_us, waited_us);
            self.wrong_unit = factor.filter(|_| self.steps_us.is_empty() || self.wrong_unit == factor);
            self.steps_us.push(step_us);
            if self.steps_us.len() >= Self::MIN_STEPS && self.wrong_unit.is_some() {
                // Times in a wrong unit do not show how long a frame waited.
                self.undecided.iter_mut().for_each(|earlier| earlier.age_us = 0);
                self.decide_all();
                return Staleness::Known(false);
            }
            in_burst = has_waited(step_us, waited_us);
            let pace = step_us / 4 * 3..=step_us.saturating_add(step_us / 2);
            let is_paced = step_us >= Self::MIN_PACED_STEP_US
                && pace.contains(&waited_us)
                && self.period_us().is_some_and(|period| step_us / 2 < period);
            if is_paced || self.seen_frames > Self::MAX_FRAMES {
                self.decide_all();
                return Staleness::Known(false);
            }
        }
        if self.steps_us.len() >= Self::MIN_STEPS {
            // The period is not known well yet: the longest step, although it may be the jump to the present.
            let longest_us = self.sorted_step_us(|count| count.saturating_sub(1));
            let has_jump = self.has_jump();
            while self.undecided.front().is_some_and(|first| first.is_older_than(longest_us, has_jump)) {
                self.decide_first();
            }
        }
        let stale = Arc::new(OnceLock::new());
        let connected_us = arrived_us.saturating_sub(self.began_us);
        let unbroken_us = arrived_us.saturating_sub(self.began_unbroken_us);
        let stale_later = Arc::clone(&stale);
        self.undecided.push_back(Undecided {
            id,
            device,
            arrived_us,
            age_us: 0,
            connected_us,
            unbroken_us,
            in_burst,
            stale: stale_later,
        });
        Staleness::Later(stale)
    }

    /// Returns the factor between the unit of the camera's times and the one that they should have, by the times between two frames.
    fn wrong_unit(step_us: i64, waited_us: i64) -> Option<i64> {
        let pace = waited_us / 4 * 3..=waited_us.saturating_add(waited_us / 4);
        let fits = |factor: &i64| waited_us >= Self::MIN_WRONG_UNIT_WAIT_US && pace.contains(&(step_us / factor));
        Self::WRONG_UNITS.into_iter().find(fits)
    }

    /// Returns the next decision about a frame, in their order.
    pub fn verdict(&mut self) -> Option<Verdict> {
        self.verdicts.pop_front()
    }

    /// Returns the time without a byte after which [`Self::silence`] decides; `None` if nothing is undecided.
    #[must_use]
    pub fn max_silence(&self) -> Option<Duration> {
        let period = self.period_us().map(|us| Duration::from_micros(us.saturating_add(us / 4).unsigned_abs()));
        let limit = period.unwrap_or_default().clamp(Self::MIN_SILENCE, Self::MAX_SILENCE);
        (!self.undecided.is_empty()).then_some(limit)
    }

    /// No frame followed for [`Self::max_silence`]: the last frame is the newest of the camera, unless its queue was full,
    /// so that it dropped the later ones.
    pub fn silence(&mut self) {
        self.end_after(Self::QUEUE_FRAMES);
    }

    /// There is no memory to wait for later frames: those that are not known to be fresh count as stale.
    pub fn give_up(&mut self) {
        for frame in &mut self.undecided {
            frame.age_us = i64::MAX;
        }
        while !self.undecided.is_empty() {
            self.decide_first();
        }
    }

    /// No frame follows.
    pub fn end(&mut self) {
        self.end_after(2);
    }

    /// Decides all frames. A burst at the end is stale if there are so many frames.
    fn end_after(&mut self, frames: u32) {
        let mut in_burst = self.seen_frames >= frames && self.ends_in_early_burst();
        for frame in self.undecided.iter_mut().rev() {
            if !in_burst {
                break;
            }
            frame.age_us = i64::MAX;
            in_burst = frame.in_burst;
        }
        self.decide_all();
    }

    /// Returns whether the last frames arrived together, and the connection was too young to have captured all of them meanwhile. In an
    /// older one the network may have delayed them.
    fn ends_in_early_burst(&self) -> bool {
        let Some(last) = self.undecided.back() else { return false };
        let before = self.undecided.iter().rev().find(|frame| !frame.in_burst);
        let first = before.or(self.undecided.front()).unwrap_or(last);
        let period_us = self.longest_period_us().unwrap_or(0);
        last.in_burst && last.device.since(first.device).saturating_add(period_us) > last.connected_us
    }

    /// Returns the lower median of the steps: one of them may be the jump to the present.
    fn period_us(&self) -> Option<i64> {
        self.sorted_step_us(|count| count.saturating_sub(1) / 2)
    }

    /// Returns the longest step without the one that may be the jump to the present. Capture times can be irregular.
    fn longest_period_us(&self) -> Option<i64> {
        self.sorted_step_us(|count| count.saturating_sub(2))
    }

    /// Returns whether one step is much longer than all others: the camera left out frames.
    fn has_jump(&self) -> bool {
        let (Some(usual_us), Some(longest_us)) =
            (self.longest_period_us(), self.sorted_step_us(|count| count.saturating_sub(1)))
        else {
            return false;
        };
        longest_us > usual_us.saturating_add((usual_us / 2).max(Self::MIN_JITTER_US))
    }

    /// Returns the step at this place in their ascending order.
    fn sorted_step_us(&self, place: impl FnOnce(usize) -> usize) -> Option<i64> {
        // On the stack, because this runs for every frame.
        let mut sorted = [0; Self::MAX_FRAMES as usize + 1];
        let count = self.steps_us.len().min(sorted.len());
        let steps = &mut sorted[..count];
        steps.copy_from_slice(&self.steps_us[..count]);
        steps.sort_unstable();
        steps.get(place(count)).copied()
    }

    fn decide_first(&mut self) {
        let has_jump = self.has_jump();
        let Some(frame) = self.undecided.pop_front() else { return };
        let stale = frame.is_older_than(self.longest_period_us(), has_jump);
        let verdict = Verdict { id: frame.id, stale, period_us: self.period_us() };
        let _ = frame.stale.set(verdict.stale);
        self.verdicts.push_back(verdict);
    }

    fn decide_all(&mut self) {
        self.over = true;
        while !self.undecided.is_empty() {
            self.decide_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Classifies frames given as (device milliseconds, arrival milliseconds); `None` is undecided.
    fn undecided(frames: impl IntoIterator<Item = (i64, u64)>) -> (Backlog, Vec<Staleness>) {
        let mut backlog = Backlog::default();
        let frames = frames.into_iter().enumerate();
        let ages = frames
            .map(|(id, (device, arrival))| backlog.observe(id as u64, DeviceTime(device * 1000), arrival * 1_000_000))
            .collect();
        (backlog, ages)
    }

    /// The same at the end of the connection.
    fn stale(frames: impl IntoIterator<Item = (i64, u64)>) -> Vec<bool> {
        let (mut backlog, ages) = undecided(frames);
        backlog.end();
        ages.iter().map(|age| age.get().expect("a decision at the end")).collect()
    }

    /// `old` stale frames and then fresh ones.
    fn first(old: usize, all: usize) -> Vec<bool> {
        (0..all).map(|n| n < old).collect()
    }

    #[test]
    fn queued_frames_are_stale_at_any_speed_of_arrival_until_the_jump() {
        // 40 fps, 5 s to an hour without a client; a queue of 9, of 8, or an application with a shorter one.
        for idle in [5_000, 60_000, 3_600_000] {
            for queued in 1..=9_i64 {
                // Arrival in a burst, nearly at the pace of the camera, at its pace, or slower.
                for pace in [0, 1, 5, 20, 24, 25, 26, 40, 55, 400] {
                    let old = (0..queued).map(|i| (25 * i, pace * i.unsigned_abs()));
                    let jump = pace * queued.unsigned_abs();
                    let fresh = (0..12_i64).map(|i| (idle + 25 * i, jump + 25 * i.unsigned_abs()));
                    let found = stale(old.chain(fresh));
                    let expected = first(queued as usize, found.len());
                    assert_eq!(found, expected, "{queued} frames at {pace} ms, {idle} ms without a client");
                }
            }
        }
    }

    #[test]
    fn frame_that_was_lost_with_the_last_connection_does_not_end_the_backlog() {
        // The first interval, or a later one, has two periods.
        for lost in 1..7 {
            let times = (0..9_i64).map(|i| if i >= lost { 25 * (i + 1) } else { 25 * i });
            let old = times.enumerate().map(|(n, at)| (at, 3 * n as u64));
            let fresh = (0..5_i64).map(|i| (56_000 + 25 * i, 30 + 25 * i.unsigned_abs()));
            assert_eq!(stale(old.chain(fresh)), first(9, 14), "{lost}");
        }
    }

    #[test]
    fn backlog_without_a_jump_is_stale_until_it_is_consumed() {
        // We were away for 5 periods: the last queued frame is the newest one.
        let found = stale(
            [(0, 125), (25, 126), (50, 127), (75, 128), (100, 129)]
                .into_iter()
                .chain((5..20_i64).map(|i| (25 * i, 5 + 25 * i.unsigned_abs()))),
        );
        assert_eq!(found, first(4, 20));
    }

    #[test]
    fn no_frame_is_fresh_before_the_tenth_of_a_fast_camera() {
        for frames in 1..=9_i64 {
            let (_, ages) = undecided((0..frames).map(|i| (25 * i, 25 * i.unsigned_abs())));
            assert!(ages.iter().all(|age| age.get().is_none()), "{frames} frames");
        }
        let (_, ages) = undecided((0..10_i64).map(|i| (25 * i, 25 * i.unsigned_abs())));
        assert!(ages.iter().all(|age| age.get() == Some(false)));
    }

    #[test]
    fn slow_camera_is_decided_by_its_pace() {
        let (_, ages) = undecided([(0, 0), (3000, 3000)]);
        assert_eq!(ages.iter().map(Staleness::get).collect::<Vec<_>>(), [Some(false); 2]);
        let old = (0..9_i64).map(|i| (3000 * i, i.unsigned_abs()));
        assert_eq!(stale(old.chain([(60_000, 1500), (63_000, 4500)])), first(9, 11));
        // Its queue was not full: the third frame is the newest, and the second one is one period older.
        assert_eq!(stale([(0, 0), (3000, 1), (6000, 2), (9000, 2500)]), first(1, 4));
    }

    #[test]
    fn silence_shows_that_the_last_frame_is_the_newest_unless_the_queue_was_full() {
        for (frames, period_ms, silence_s, last) in [
            (1_i64, 0, 3, false),
            (3, 3000, 4, false),
            (3, 3_600_000, 8, false),
            (8, 3000, 4, true),
            (9, 3000, 4, true),
        ] {
            let (mut backlog, ages) = undecided((0..frames).map(|i| (period_ms * i, i.unsigned_abs())));
            let limit = backlog.max_silence().expect("something undecided");
            assert_eq!(limit.as_secs_f64().round(), f64::from(silence_s), "{frames} frames");
            backlog.silence();
            assert_eq!(ages.last().expect("a frame").get(), Some(last), "{frames} frames");
            assert!(ages.iter().rev().skip(2).all(|age| age.get() == Some(true)));
            assert_eq!(backlog.max_silence(), None);
        }
    }

    #[test]
    fn steady_stream_is_never_stale() {
        assert_eq!(stale((0..20_i64).map(|i| (25 * i, 3 + 25 * i.unsigned_abs()))), [false; 20]);
        // A camera without a queue keeps its newest frame until we connect.
        assert_eq!(stale([(0, 24)].into_iter().chain((1..20).map(|i| (25 * i as i64, 25 * i)))), [false; 20]);
        // One late frame makes the next one look early.
        assert_eq!(stale([(0, 0), (25, 25), (50, 70), (75, 75), (100, 100)]), [false; 5]);
    }

    /// The same of frames (capture milliseconds, arrival milliseconds) of a connection that was opened at this time.
    fn stale_since(opened_ms: u64, frames: &[(i64, u64)]) -> Vec<bool> {
        let mut backlog = Backlog::opened_at(opened_ms * 1_000_000);
        let observe = |(id, (device, arrival)): (usize, &(i64, u64))| {
            backlog.observe(id as u64, DeviceTime(device * 1000), arrival * 1_000_000)
        };
        let ages: Vec<_> = frames.iter().enumerate().map(observe).collect();
        backlog.end();
        ages.iter().map(|age| age.get().expect("a decision at the end")).collect()
    }

    #[test]
    fn frames_that_the_network_delays_after_connecting_are_not_stale() {
        // 30 fps, the first picture taken when we connect. The network delays it by 90 ms, and later ones by 0 to 70 ms.
        let delays = [90, 57, 24, 70, 37, 4, 60, 27, 50, 20, 0, 0];
        let frames: Vec<_> = (0_u64..).zip(delays).map(|(n, delay)| (33 * n as i64, 1000 + 33 * n + delay)).collect();
        assert_eq!(stale_since(1000, &frames), [false; 12]);
        // The network pauses for 200 ms, and then everything arrives at once.
        let frames: Vec<_> = (0_u64..12).map(|n| (33 * n as i64, 1000 + (33 * n).max(200))).collect();
        assert_eq!(stale_since(1000, &frames), [false; 12]);
        // The same frames of a connection that was opened only then have waited; the sixth one for about a period.
        assert_eq!(stale_since(1200, &frames), first(5, 12));
        // The camera served another client for a minute while we were connected.
        let queued = (0_u64..9).map(|n| (33 * n as i64, 61_000 + n));
        let frames: Vec<_> = queued.chain((0..3).map(|n| (40_000 + 33 * n as i64, 61_010 + 33 * n))).collect();
        assert_eq!(stale_since(1000, &frames), first(9, 12));
    }

    #[test]
    fn a_longer_delay_of_the_network_has_no_jump_and_a_full_queue_has_one() {
        // 20 fps, and the network pauses for 600 ms.
        let frames: Vec<_> = (0_u64..24).map(|n| (50 * n as i64, 1000 + (50 * n).max(600))).collect();
        assert_eq!(stale_since(1000, &frames), [false; 24]);
        // The camera served another client meanwhile, and had no room for further frames.
        let queued = (0_u64..9).map(|n| (50 * n as i64, 1600));
        let frames: Vec<_> = queued.chain((0..3).map(|n| (700 + 50 * n as i64, 1610 + 50 * n))).collect();
        assert_eq!(stale_since(1000, &frames), first(8, 12));
        // No network delays frames of 5 fps by 1.6 s.
        let frames: Vec<_> = (0_u64..12).map(|n| (200 * n as i64, 1000 + (200 * n).max(1600))).collect();
        assert_eq!(stale_since(1000, &frames)[..2], [true; 2]);
    }

    #[test]
    fn burst_at_the_end_is_stale_only_on_a_young_connection() {
        let late = [(0, 1040), (33, 1070), (66, 1145), (99, 1146)];
        assert_eq!(stale_since(1000, &late), [false; 4], "the network delayed the third one");
        assert_eq!(stale_since(1140, &[(0, 1143), (33, 1144), (66, 1145), (99, 1146)]), [true; 4]);
    }

    #[test]
    fn irregular_capture_times_do_not_make_the_first_frame_stale() {
        // A camera without a queue keeps its newest picture. Its steps are 5 and 60 ms in turn.
        let captured = |n: i64| n / 2 * 65 + n % 2 * 5;
        let frames: Vec<_> = (0..12).map(|n| (captured(n), 1000 + captured(n).max(50).unsigned_abs())).collect();
        assert_eq!(stale_since(1050, &frames), [false; 12]);
    }

    #[test]
    fn fast_sender_looks_stale_for_nine_frames_only() {
        let all = stale((0..10_000_i64).map(|i| (25 * i, i.unsigned_abs() / 10)));
        assert!(all[9..].iter().all(|stale| !stale));
        assert!(all[..8].iter().all(|stale| *stale));
    }

    #[test]
    fn times_in_a_wrong_unit_do_not_make_frames_stale() {
        for unit in [1_000, 1_000_000] {
            // A little late and early.
            let arrival = |n: u64| 100 * n + [0, 9, 3, 12][n as usize % 4];
            let found = stale((0..20_u64).map(|n| (100 * unit * n as i64, arrival(n))));
            assert_eq!(found, [false; 20], "{unit}");
        }
        // Frames of a queue at another factor, or faster than any camera.
        let queued = |pace: u64| (0..9_u64).map(move |n| (20_000 * n as i64, pace * n));
        for pace in [1, 10, 40] {
            let jump = 9 * pace;
            let fresh = (0..3_u64).map(|n| (600_000 + 20_000 * n as i64, jump + 20_000 * n));
            assert_eq!(stale(queued(pace).chain(fresh)), first(9, 12), "{pace} ms");
        }
    }

    #[test]
    fn device_times_that_do_not_increase_are_not_stale() {
        assert_eq!(stale([(100, 0), (50, 1), (0, 2)]), [false; 3], "backwards");
        assert_eq!(stale([(7, 0), (7, 1), (7, 2)]), [false; 3], "unchanged");
        let mut backlog = Backlog::default();
        for (id, device) in [i64::MIN, i64::MAX, i64::MIN, 0].into_iter().enumerate() {
            backlog.observe(id as u64, DeviceTime(device), [0, u64::MAX][id % 2]);
        }
        backlog.end();
    }

    #[test]
    fn frames_count_as_stale_if_there_is_no_memory_to_wait() {
        let mut backlog = Backlog::default();
        for n in 0..12_u64 {
            let age = backlog.observe(n, DeviceTime(25_000 * n as i64), 25_000_000 * n);
            backlog.give_up();
            assert_eq!(age.get(), Some(n < 9), "frame {n}");
        }
    }

    #[test]
    fn a_frame_that_arrives_in_less_than_half_its_time_has_waited() {
        for (step_us, arrived_us, waited) in
            [(100, 49, true), (100, 50, false), (100, 0, true), (0, 0, false), (-5, -9, false)]
        {
            assert_eq!(has_waited(step_us, arrived_us), waited, "{step_us} {arrived_us}");
        }
    }

    #[test]
    fn verdicts_are_in_order_and_one_for_each_undecided_frame() {
        let old = (0..9_i64).map(|i| (25 * i, i.unsigned_abs()));
        let (mut backlog, _) = undecided(old.chain([(60_000, 30)]));
        let verdicts: Vec<_> = std::iter::from_fn(|| backlog.verdict()).collect();
        assert_eq!(verdicts.iter().map(|verdict| verdict.id).collect::<Vec<_>>(), (0..9).collect::<Vec<_>>());
        assert!(verdicts.iter().all(|verdict| verdict.stale && verdict.period_us == Some(25_000)));
    }
}
