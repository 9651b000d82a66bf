//! Maps a camera's clock to UTC, from the arrival times of its frames alone.
//!
//! Camera, network and host only ever delay a frame. So the offset between the clocks is the lower edge of
//! `arrival - device time`: the model keeps the least delayed frame of each second, and fits the closest line that is not
//! above any of them.

use std::collections::{BTreeMap, VecDeque};

use super::clock_fit::{ClockFit, EarlierRun};
use crate::frame::{DeviceTime, Frame};

/// Length of a window, of which only the least delayed frame is kept. Windows are counted by arrival, so that a burst of
/// frames after a stall falls into one window.
pub(super) const WINDOW_NS: i64 = 1_000_000_000;
/// Number of windows that are kept: ten minutes.
const WINDOWS_MAX: usize = 600;
/// Largest drift that is accepted. Crystals are off by a few parts per million, and by a hundred when hot.
pub(super) const DRIFT_MAX: f64 = 500e-6;
/// Limit of the slope of a line that is used. A drift of exactly [`DRIFT_MAX`] was stored by versions of oaktap that used
/// clocks beyond it.
const FITTED_DRIFT_MAX: f64 = 0.999 * DRIFT_MAX;
/// A clock is not used if its slope would delay frames by this much more than [`DRIFT_MAX`] allows, in nanoseconds, beyond
/// `DRIFT_NOISE_FACTOR` times the mean distance of the frames from the line. Less can be jitter.
const DRIFT_NOISE_NS: f64 = 20e6;
const DRIFT_NOISE_FACTOR: f64 = 3.0;
/// Shortest span in microseconds over which drift is estimated. Over a shorter span jitter looks like drift.
pub(super) const DRIFT_SPAN_MIN_US: f64 = 10e6;
/// A frame that is this much earlier than predicted, in nanoseconds, means that the camera's clock restarted.
pub(super) const EARLY_RESTART_NS: f64 = 3e9;
/// Frames that are this much later than predicted, in nanoseconds, for `LATE_RESTART_WINDOWS` windows in a row mean the
/// same. A shorter delay is attributed to the network.
const LATE_RESTART_NS: f64 = 10e9;
const LATE_RESTART_WINDOWS: u32 = 3;
/// A device time that goes back by more than this within a connection, in microseconds, means the same. From one connection
/// to the next, any step back does.
const BACKWARD_RESTART_US: i64 = 1_000_000;
/// At a reconnect, a frame that differs by more than this from the prediction, in nanoseconds, means the same: the camera set
/// its clock, or stopped it during the pause. The drift of the pause is added.
const RECONNECT_RESTART_NS: f64 = 500e6;
/// Number of windows in which a frame without the delay shows that the clock continued, and that the connection began slowly.
const SLOW_BEGIN_WINDOWS: usize = 3;
/// Number of earlier runs whose lines are kept.
const EARLIER_RUNS_MAX: usize = 100;
/// Frames that the camera may have queued before the connection (wire.md section 2.5). Their delay is not a restart.
const HELD_FRAMES_MAX: u64 = 9;
/// Time constant in microseconds with which the reported times approach a new line, so that they never jump forward.
const SLEW_US: f64 = 4e6;
/// Share of windows that the error bound covers. The rest are taken for stalls.
const ERROR_BOUND_SHARE: f64 = 0.9;

/// One frame: device time since the start of the run in microseconds, and its delay relative to the run's first frame in
/// nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    device_us: f64,
    late_ns: f64,
}

/// `late_ns = level_ns + slope * device_us`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct OffsetLine {
    level_ns: f64,
    slope: f64,
}

impl OffsetLine {
    fn at(self, device_us: f64) -> f64 {
        self.level_ns + self.slope * device_us
    }
}

/// Maps a camera's clock to UTC while its frames arrive. Does not read a clock itself.
///
/// The model cannot see the constant part of the delay: exposure, the camera's pipeline and the fastest transfer of a
/// frame. All times are late by that much; to measure it, film a clock. If the camera's clock drifts by more than 500 ppm, it
/// is not used: times are then those of the arrivals. A step of the host's clock of less than 3 s looks
/// like a change of this delay, and is forgotten after ten minutes.
#[derive(Clone, Debug, Default)]
pub struct ClockModel {
    run: Option<ClockRun>,
    /// The run before a connection that began with a late frame, until it is known whether the clock restarted.
    interrupted: Option<ClockRun>,
    /// The runs before [`Self::run`], the newest at the end.
    earlier: VecDeque<EarlierRun>,
    frames: u64,
    restarts: u64,
    /// End of the last frame in bytes of its connection.
    connection_at: u64,
    /// The next frame is the first of a connection.
    reconnected: bool,
}

/// The time since the camera's clock was started or set.
#[derive(Clone, Debug)]
struct ClockRun {
    /// Device time and offset (UTC minus device time) of its first frame.
    origin_us: i64,
    base_ns: i128,
    frames: u64,
    last_us: i64,
    /// The least delayed frames of complete windows, by device time.
    minima: VecDeque<Point>,
    /// The current window: its number since 1970, and its least delayed frame.
    open: (i64, Point),
    line: OffsetLine,
    /// The clock cannot be fitted: the delay of the last frame. Times are then those of the arrivals.
    follows_ns: Option<f64>,
    /// Largest difference between arrival and reported time, in nanoseconds.
    largest_ns: f64,
    /// Difference between reported times and the line, and the device time at which it was that large.
    slew_ns: f64,
    slew_from_us: f64,
    /// Number of consecutive windows that were too late by `LATE_RESTART_NS`.
    late: u32,
    /// Arrivals of its first and its last frame, in nanoseconds since 1970, UTC.
    arrived_ns: (i64, i64),
}

impl ClockModel {
    /// Adds a frame as [`Self::observe`] does, and notices whether it is the first of a connection. The arrival of a stale frame
    /// says nothing about the clock: its capture time is that of the clock so far, or else its arrival.
    pub fn observe_frame(&mut self, frame: &Frame, arrival_unix_ns: i64) -> i64 {
        self.follow_connection(frame.at, frame.payload().len() as u64);
        if !frame.is_stale() {
            return self.observe(frame.device_time, arrival_unix_ns);
        }
        match &self.run {
            Some(run) if !self.reconnected || frame.device_time.0 > run.last_us => {
                self.utc_ns(frame.device_time).min(arrival_unix_ns)
            }
            _ => arrival_unix_ns,
        }
    }

    /// Notices whether the next frame is the first of a connection. `at` is the position of its header in bytes of its
    /// connection. Without this, all frames count as those of one connection.
    pub fn follow_connection(&mut self, at: u64, payload_len: u64) {
        self.reconnected |= at < self.connection_at;
        self.connection_at = at.saturating_add(payload_len);
    }

    /// Adds a frame, and returns its capture time in nanoseconds since 1970, UTC. It is never after the arrival and, unless
    /// the camera's clock restarted, never before an earlier frame.
    pub fn observe(&mut self, device: DeviceTime, arrival_unix_ns: i64) -> i64 {
        self.frames += 1;
        let reconnected = std::mem::take(&mut self.reconnected);
        if reconnected {
            self.interrupted = None;
        }
        self.resume(device.0, arrival_unix_ns);
        let mut began_late = false;
        let verdict = match &mut self.run {
            Some(run) if !reconnected => run.observe(device.0, arrival_unix_ns),
            // Short connections can hide a restart: the clock goes back by less than `BACKWARD_RESTART_US`.
            Some(run) if device.0 <= run.last_us => FrameClock::Restarted,
            Some(run) => {
                let (late_ns, limit_ns) = (run.late_ns(device.0, arrival_unix_ns), run.restart_ns(device.0));
                began_late = late_ns > limit_ns;
                if began_late || late_ns < -limit_ns && run.frames > HELD_FRAMES_MAX {
                    FrameClock::Restarted
                } else {
                    run.observe(device.0, arrival_unix_ns)
                }
            }
            None => FrameClock::Held,
        };
        if verdict != FrameClock::Same {
            let ended = self.run.replace(ClockRun::new(device.0, arrival_unix_ns));
            self.interrupted = None;
            if let Some(ended) = ended.filter(|_| verdict == FrameClock::Restarted) {
                self.restarts += 1;
                self.earlier.push_back(ended.ended());
                if self.earlier.len() > EARLIER_RUNS_MAX {
                    self.earlier.pop_front();
                }
                self.interrupted = began_late.then_some(ended);
            }
        }
        self.utc_ns(device)
    }

    /// Continues the run before a connection if a frame is not late by its clock: then the connection began slowly, and the
    /// clock did not restart.
    fn resume(&mut self, device_us: i64, arrival_ns: i64) {
        let (Some(run), Some(interrupted)) = (&self.run, &mut self.interrupted) else { return };
        if run.minima.len() >= SLOW_BEGIN_WINDOWS {
            self.interrupted = None;
        } else if interrupted.late_ns(device_us, arrival_ns) <= interrupted.restart_ns(device_us) {
            interrupted.continue_from(run, device_us);
            self.run = self.interrupted.take();
            self.restarts -= 1;
            self.earlier.pop_back();
        }
    }

    /// Converts a device time to nanoseconds since 1970, UTC. Before the first frame, treats the device time as time since
    /// 1970.
    #[must_use]
    pub fn utc_ns(&self, device: DeviceTime) -> i64 {
        let Some(run) = &self.run else { return device.0.saturating_mul(1000) };
        let x = run.x(device.0);
        run.utc_ns(device.0, run.reported(x))
    }

    /// Largest distance of [`Self::utc_ns`] from the line through the least delayed frames, in nanoseconds. In nine of ten
    /// seconds the least delayed frame was closer. The constant delay (see above) is not included. `None` before the third
    /// second. Until the drift is known, and if the clock is not used, it is the largest difference from an arrival so far.
    #[must_use]
    pub fn error_bound_ns(&self) -> Option<i64> {
        self.run.as_ref()?.error_bound_ns()
    }

    /// Returns the current line, to be stored.
    #[must_use]
    pub fn fit(&self) -> Option<ClockFit> {
        let fit = self.run.as_ref()?.stored();
        let earlier = self.earlier.iter().cloned().collect();
        Some(ClockFit { frames: self.frames, restarts: self.restarts, earlier, ..fit })
    }

    /// Returns [`Self::fit`] as metadata; empty before the first frame.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.fit().map(|fit| fit.metadata()).unwrap_or_default()
    }
}

/// Clock run that a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameClock {
    Same,
    /// The current run, but the frames before it had been queued in the camera.
    Held,
    /// A new run.
    Restarted,
}

impl ClockRun {
    fn new(device_us: i64, arrival_ns: i64) -> Self {
        let first = Point { device_us: 0.0, late_ns: 0.0 };
        Self {
            origin_us: device_us,
            base_ns: offset_ns(device_us, arrival_ns),
            frames: 1,
            last_us: device_us,
            minima: VecDeque::new(),
            open: (arrival_ns.div_euclid(WINDOW_NS), first),
            line: OffsetLine::default(),
            follows_ns: None,
            largest_ns: 0.0,
            slew_ns: 0.0,
            slew_from_us: 0.0,
            late: 0,
            arrived_ns: (arrival_ns, arrival_ns),
        }
    }

    /// Returns how much later than predicted a frame arrived, in nanoseconds.
    fn late_ns(&self, device_us: i64, arrival_ns: i64) -> f64 {
        (offset_ns(device_us, arrival_ns) - self.base_ns) as f64 - self.reported(self.x(device_us))
    }

    /// Returns the difference from the prediction, in nanoseconds, that shows a restart of the clock at a reconnect. Infinite
    /// if times are those of the arrivals.
    fn restart_ns(&self, device_us: i64) -> f64 {
        let pause_us = self.x(device_us) - self.x(self.last_us);
        if self.follows_ns.is_some() { f64::INFINITY } else { RECONNECT_RESTART_NS + pause_us * DRIFT_MAX * 1e3 }
    }

    /// Approaches its line from the time that a later run reports.
    fn continue_from(&mut self, later: &Self, device_us: i64) {
        let reported_ns = (later.base_ns - self.base_ns) as f64 + later.reported(later.x(device_us));
        self.slew_from_us = self.x(device_us);
        self.slew_ns = reported_ns - self.line.at(self.slew_from_us);
    }

    /// Returns its line, to be stored.
    fn stored(&self) -> ClockFit {
        let first = self.points().next().map_or(0.0, |point| point.device_us);
        ClockFit {
            offset_ns: narrow(self.base_ns + self.line.at(first) as i128),
            drift_ppm: self.line.slope * 1e3,
            drift_is_known: self.follows_ns.is_some() || self.span_us() >= DRIFT_SPAN_MIN_US,
            error_bound_ns: self.error_bound_ns(),
            device_from_us: self.origin_us.saturating_add(first as i64),
            device_to_us: self.last_us,
            frames: self.frames,
            restarts: 0,
            earlier: Vec::new(),
        }
    }

    fn ended(&self) -> EarlierRun {
        let (arrived_from_ns, arrived_to_ns) = self.arrived_ns;
        EarlierRun { fit: self.stored(), arrived_from_ns, arrived_to_ns }
    }

    fn x(&self, device_us: i64) -> f64 {
        (i128::from(device_us) - i128::from(self.origin_us)) as f64
    }

    fn utc_ns(&self, device_us: i64, late_ns: f64) -> i64 {
        narrow(self.base_ns + i128::from(device_us) * 1000 + late_ns.round() as i128)
    }

    /// Difference between reported times and the line at this device time, in nanoseconds.
    fn slew(&self, x: f64) -> f64 {
        self.slew_ns * (-(x - self.slew_from_us).max(0.0) / SLEW_US).exp()
    }

    /// Difference between reported time and device time at this device time, in nanoseconds.
    fn reported(&self, x: f64) -> f64 {
        self.follows_ns.unwrap_or_else(|| self.line.at(x) + self.slew(x))
    }

    /// Device time that the points span.
    fn span_us(&self) -> f64 {
        let first = self.points().next().map_or(0.0, |point| point.device_us);
        self.points().last().map_or(0.0, |point| point.device_us) - first
    }

    fn observe(&mut self, device_us: i64, arrival_ns: i64) -> FrameClock {
        let point =
            Point { device_us: self.x(device_us), late_ns: (offset_ns(device_us, arrival_ns) - self.base_ns) as f64 };
        let reported = self.reported(point.device_us);
        if device_us < self.last_us.saturating_sub(BACKWARD_RESTART_US) {
            return FrameClock::Restarted;
        }
        if point.late_ns < reported - EARLY_RESTART_NS {
            return if self.frames <= HELD_FRAMES_MAX { FrameClock::Held } else { FrameClock::Restarted };
        }
        self.frames += 1;
        self.last_us = self.last_us.max(device_us);
        self.arrived_ns.1 = self.arrived_ns.1.max(arrival_ns);
        let window = arrival_ns.div_euclid(WINDOW_NS);
        let mut better = point.late_ns < reported;
        if self.open.0 == window {
            if point.late_ns < self.open.1.late_ns {
                self.open.1 = point;
            }
        } else {
            let (_, least) = std::mem::replace(&mut self.open, (window, point));
            self.late = if least.late_ns > self.line.at(least.device_us) + LATE_RESTART_NS { self.late + 1 } else { 0 };
            if self.late >= LATE_RESTART_WINDOWS {
                return FrameClock::Restarted;
            }
            self.keep(least);
            better = true;
        }
        if better {
            let (line, is_used) = self.fit();
            self.line = line;
            self.follows_ns = (!is_used).then_some(point.late_ns);
            // Continue from the time that the old line gives, but not after the arrival, and approach the new line.
            self.slew_ns = reported.min(point.late_ns) - self.line.at(point.device_us);
            self.slew_from_us = point.device_us;
        }
        if let Some(follows_ns) = &mut self.follows_ns {
            *follows_ns = point.late_ns;
        }
        self.largest_ns = self.largest_ns.max(point.late_ns - self.reported(point.device_us));
        FrameClock::Same
    }

    /// Keeps the least delayed frame of a window, in order of device time.
    fn keep(&mut self, least: Point) {
        match self.minima.back_mut() {
            Some(last) if last.device_us >= least.device_us => last.late_ns = last.late_ns.min(least.late_ns),
            _ => self.minima.push_back(least),
        }
        if self.minima.len() > WINDOWS_MAX {
            self.minima.pop_front();
        }
    }

    fn points(&self) -> impl Iterator<Item = Point> {
        let after = self.minima.back().is_none_or(|last| last.device_us < self.open.1.device_us);
        self.minima.iter().copied().chain(after.then_some(self.open.1))
    }

    /// Returns the line that is not above any point and has the least sum of distances, and whether its drift is possible.
    /// It contains the edge of the lower hull that spans the mean time. The slope of a line that is used is limited.
    fn fit(&self) -> (OffsetLine, bool) {
        let mut hull: Vec<Point> = Vec::new();
        let (mut sum, mut n) = (0.0, 0.0);
        for point in self.points() {
            while let [.., a, b] = hull[..] {
                // Keeps b only if it is below the line from a to the new point.
                let rise = (point.late_ns - a.late_ns) * (b.device_us - a.device_us);
                if (b.late_ns - a.late_ns) * (point.device_us - a.device_us) < rise {
                    break;
                }
                hull.pop();
            }
            hull.push(point);
            sum += point.device_us;
            n += 1.0;
        }
        let level = |slope: f64| {
            let level = hull.iter().map(|point| point.late_ns - slope * point.device_us);
            // If device times are not in order, `points` may leave out the current window.
            let open = self.open.1.late_ns - slope * self.open.1.device_us;
            OffsetLine { level_ns: level.fold(open, f64::min), slope }
        };
        let [first, .., last] = hull[..] else { return (level(0.0), true) };
        let span_us = last.device_us - first.device_us;
        let edge = hull.windows(2).find(|edge| edge[1].device_us >= sum / n).unwrap_or(&hull[..2]);
        // Nanoseconds per microsecond.
        let slope = (edge[1].late_ns - edge[0].late_ns) / (edge[1].device_us - edge[0].device_us);
        let free = level(slope);
        let mean_ns = self.points().map(|point| point.late_ns - free.at(point.device_us)).sum::<f64>() / n;
        let beyond_ns = (slope.abs() - DRIFT_MAX * 1e3) * span_us;
        if n > 2.0 && beyond_ns > DRIFT_NOISE_NS + DRIFT_NOISE_FACTOR * mean_ns {
            return (free, false);
        }
        let limit = FITTED_DRIFT_MAX * 1e3;
        (level(if span_us < DRIFT_SPAN_MIN_US { 0.0 } else { slope.clamp(-limit, limit) }), true)
    }

    fn error_bound_ns(&self) -> Option<i64> {
        let mut off: Vec<f64> = self.points().map(|point| point.late_ns - self.line.at(point.device_us)).collect();
        if off.len() < 3 {
            return None;
        }
        off.sort_by(f64::total_cmp);
        let nearly_all = off[((off.len() - 1) as f64 * ERROR_BOUND_SHARE).ceil() as usize];
        let first = self.points().next()?.device_us;
        let span = self.x(self.last_us) - first;
        if self.follows_ns.is_some() {
            return Some(self.largest_ns.ceil() as i64);
        }
        let (unknown_drift, seen) = match span < DRIFT_SPAN_MIN_US || self.line.slope.abs() >= FITTED_DRIFT_MAX * 1e3 {
            true => (span.min(DRIFT_SPAN_MIN_US) * DRIFT_MAX * 1e3, self.largest_ns),
            false => (0.0, 0.0),
        };
        let bound = nearly_all + unknown_drift + self.slew(self.x(self.last_us)).abs();
        Some(bound.max(seen).ceil() as i64)
    }
}

fn offset_ns(device_us: i64, arrival_ns: i64) -> i128 {
    i128::from(arrival_ns) - i128::from(device_us) * 1000
}

pub(super) fn narrow(ns: i128) -> i64 {
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::Staleness;

    const EPOCH: i64 = 1_790_000_000_000_000_000;
    /// The constant delay, which the model cannot see.
    const DELAY_NS: f64 = 3e6;

    /// A camera whose clock started at `EPOCH`, and a network.
    struct Camera {
        seed: u64,
        drift_ppm: f64,
        jitter_ns: f64,
        fps: f64,
        last_arrival: i64,
    }

    impl Camera {
        fn new(seed: u64, drift_ppm: f64, jitter_ns: f64, fps: f64) -> Self {
            Self { seed, drift_ppm, jitter_ns, fps, last_arrival: 0 }
        }

        fn random(&mut self) -> f64 {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.seed >> 33) as f64 / f64::from(1_u32 << 31)
        }

        /// UTC at this device time, plus the constant delay.
        fn truth(&self, device_us: i64) -> i64 {
            EPOCH + (device_us as f64 * (1e3 + self.drift_ppm * 1e-3) + DELAY_NS) as i64
        }

        /// Device time and arrival of a frame. Arrivals are in order.
        fn frame(&mut self, index: u32, stalled_until_ns: f64) -> (DeviceTime, i64) {
            let device_us = (f64::from(index) * 1e6 / self.fps) as i64;
            let late = -self.jitter_ns * (1.0 - self.random()).ln();
            let arrival = self.truth(device_us) + late as i64;
            self.last_arrival = self.last_arrival.max(arrival).max(EPOCH + stalled_until_ns as i64);
            (DeviceTime(device_us), self.last_arrival)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(3),
            cases: 64,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// With jitter, drift and stalls, reported times are within the bound, not after the arrival, and in order.
        #[test]
        fn true_time_is_within_the_error_bound(
            seed in any::<u64>(), drift in -400.0..400.0_f64, jitter_ms in 0.05..30.0_f64, fps in 5.0..60.0_f64,
            seconds in 20..200_u32, stall in 0.0..2.0_f64,
        ) {
            let mut camera = Camera::new(seed, drift, jitter_ms * 1e6, fps);
            let mut model = ClockModel::default();
            let mut last = i64::MIN;
            for index in 0..(f64::from(seconds) * fps) as u32 {
                let second = (f64::from(index) / fps).floor();
                // Every seventh second begins with a stall.
                let stalled = if second as u32 % 7 == 3 { (second + stall) * 1e9 } else { 0.0 };
                let (device, arrival) = camera.frame(index, stalled);
                let reported = model.observe(device, arrival);
                prop_assert!(reported <= arrival, "frame {index}: {} ns after its arrival", reported - arrival);
                prop_assert!(reported >= last, "frame {index}: {} ns before the previous frame", last - reported);
                last = reported;
            }
            let fit = model.fit().expect("a fit after the first frame");
            let bound = fit.error_bound_ns.expect("a bound after three seconds");
            prop_assert_eq!(fit.restarts, 0);
            for part in 0..=10 {
                let device = fit.device_from_us + (fit.device_to_us - fit.device_from_us) / 10 * part;
                let off = fit.utc_ns(DeviceTime(device)) - camera.truth(device);
                prop_assert!(off.abs() <= bound, "{off} ns at {part}/10, bound {bound}, {fit:?}");
            }
            let now = DeviceTime(fit.device_to_us);
            let off = model.utc_ns(now) - camera.truth(now.0);
            prop_assert!(off.abs() <= bound, "{off} ns now, bound {bound}");
        }

        #[test]
        fn extreme_times_do_not_panic(frames in prop::collection::vec((any::<i64>(), any::<i64>()), 0..50)) {
            let mut model = ClockModel::default();
            for (device, arrival) in &frames {
                model.observe(DeviceTime(*device), *arrival);
            }
            if let Some(fit) = model.fit() {
                prop_assert!(fit.drift_ppm.is_finite());
                let stored = ClockFit::from_metadata(&model.metadata()).map(|fit| (fit.offset_ns, fit.drift_ppm));
                prop_assert_eq!(stored, Ok((fit.offset_ns, fit.drift_ppm)));
            }
        }
    }

    #[test]
    fn without_jitter_the_times_are_exact() {
        let mut camera = Camera::new(1, 40.0, 0.0, 40.0);
        let mut model = ClockModel::default();
        assert_eq!((model.fit(), model.metadata().len(), model.utc_ns(DeviceTime(7))), (None, 0, 7000));
        for index in 0..40 * 60 {
            let (device, arrival) = camera.frame(index, 0.0);
            let reported = model.observe(device, arrival);
            // In the first ten seconds no drift is assumed, which costs up to 0.4 ms.
            assert!((arrival - reported).abs() < 500_000, "frame {index}: {} ns", arrival - reported);
            if index == 0 {
                assert_eq!((reported, model.error_bound_ns()), (arrival, None));
            }
        }
        let fit = model.fit().unwrap();
        assert!((fit.drift_ppm - 40.0).abs() < 0.1, "{fit:?}");
        assert!(fit.error_bound_ns.unwrap() < 10_000, "{fit:?}");
        assert_eq!((fit.frames, fit.restarts, fit.device_from_us), (2400, 0, 0));
    }

    /// The sample sender of docs/stream.md announces steps of 100 ms and needs 104 ms.
    #[test]
    fn a_clock_beyond_the_limit_is_not_used() {
        for (step_us, arrival_us, seconds) in [
            (100_000, 104_500, 20),
            (100_000, 104_500, 5),
            (100_000, 95_000, 20),
            (40_000, 40_400, 60),
            (100, 100_000, 20),
        ] {
            let mut model = ClockModel::default();
            let (mut last, mut largest) = (i64::MIN, 0);
            for index in 0..seconds * 1_000_000 / arrival_us {
                let arrival = EPOCH + 1000 * arrival_us * index;
                let reported = model.observe(DeviceTime(step_us * index), arrival);
                assert!(reported <= arrival && reported >= last, "{step_us} {arrival_us}: frame {index}");
                (last, largest) = (reported, largest.max(arrival - reported));
                let from = if arrival_us == 40_400 { 100 } else { 40 };
                assert!(index < from || reported == arrival, "frame {index}: {} ns", arrival - reported);
            }
            let fit = model.fit().unwrap();
            let drift = (arrival_us - step_us) as f64 / step_us as f64 * 1e6;
            assert!(!fit.is_used() && fit.drift_is_known, "{fit:?}");
            assert!((fit.drift_ppm / drift - 1.0).abs() < 0.01, "{fit:?}");
            assert!(fit.error_bound_ns.unwrap() >= largest, "{largest}, {fit:?}");
            assert_eq!(fit.restarts, 0);
        }
    }

    #[test]
    fn the_drift_of_a_short_recording_is_not_known() {
        let mut camera = Camera::new(1, 40.0, 0.0, 40.0);
        let mut model = ClockModel::default();
        for index in 0..40 * 5 {
            let (device, arrival) = camera.frame(index, 0.0);
            model.observe(device, arrival);
        }
        let fit = model.fit().unwrap();
        assert!(fit.is_used() && !fit.drift_is_known, "{fit:?}");
        assert_eq!(ClockFit::from_metadata(&model.metadata()), Ok(fit));
    }

    #[test]
    fn frames_queued_before_the_connection_do_not_count() {
        // Nine frames of an hour ago within 45 ms, then current ones. The same after a reconnect.
        let present = |model: &mut ClockModel, from: i64| {
            (0..400).map(|i| model.observe(DeviceTime(from + 25_000 * i), EPOCH + 1000 * (from + 25_000 * i))).last()
        };
        let held = |model: &mut ClockModel, from: i64, now: i64| {
            for i in 0..9 {
                model.observe(DeviceTime(from + 25_000 * i), EPOCH + 1000 * now + 5_000_000 * i);
            }
        };
        let mut model = ClockModel::default();
        held(&mut model, 0, 3_600_000_000);
        let last = present(&mut model, 3_600_100_000);
        assert_eq!(last, Some(EPOCH + 1000 * (3_600_100_000 + 25_000 * 399)));
        held(&mut model, 3_612_000_000, 3_900_000_000);
        assert_eq!(present(&mut model, 3_900_100_000), Some(EPOCH + 1000 * (3_900_100_000 + 25_000 * 399)));
        assert_eq!(model.fit().unwrap().restarts, 0);
    }

    #[test]
    fn reboot_restarts_the_model() {
        let mut model = ClockModel::default();
        let mut stream = |device_s: i64, utc_s: i64, seconds: i64| {
            for i in 0..40 * seconds {
                model.observe(
                    DeviceTime(device_s * 1_000_000 + 25_000 * i),
                    EPOCH + utc_s * 1_000_000_000 + 25_000_000 * i,
                );
            }
            let fit = model.fit().unwrap();
            (fit.restarts, (fit.offset_ns - EPOCH) / 1_000_000_000)
        };
        assert_eq!(stream(100, 100, 20), (0, 0));
        assert_eq!(stream(0, 150, 20), (1, 150), "back");
        // Reconnected 30 s after a reboot, with a device time that did not go back: only the delay shows the reboot.
        assert_eq!(stream(30, 400, 20), (2, 370), "late");
        assert_eq!(stream(5000, 450, 20), (3, -4550), "ahead");
    }

    /// A camera whose clock begins at 0 in each of its short connections, at 10 frames per second.
    #[test]
    fn a_clock_that_goes_back_at_a_reconnect_restarts() {
        for frames in [1_i64, 2, 3, 7, 10, 15] {
            let mut model = ClockModel::default();
            let mut last = i64::MIN;
            for connection in 0..5 {
                for n in 0..frames {
                    let arrival = EPOCH + connection * (frames * 100_000_000 + 700_000_000) + n * 100_000_000;
                    model.follow_connection(32 + 1032 * n as u64, 1000);
                    let reported = model.observe(DeviceTime(100_000 * n), arrival);
                    assert!(reported == arrival, "{frames}, {connection}, {n}: {} ns", arrival - reported);
                    assert!(reported > last);
                    last = reported;
                }
            }
            let fit = model.fit().expect("a fit after the first frame");
            assert_eq!((fit.restarts, fit.device_from_us), (4, 0), "{frames}: {fit:?}");
            assert!(fit.error_bound_ns.unwrap_or_default() < 1_000_000, "{frames}: {fit:?}");
        }
    }

    /// A camera that stops its clock during a pause, or sets it to a larger value, at 10 frames per second.
    #[test]
    fn a_clock_that_goes_forward_at_a_reconnect_restarts() {
        const MS: i64 = 1_000_000;
        for (frames, pause_ms, device_ms) in [
            (10, 4000, 300),
            (15, 3700, 100),
            (100, 2000, 100),
            (100, 700, 100),
            (100, 700, 2700),
            (40, 700, 9_000_000),
        ] {
            let mut model = ClockModel::default();
            let (mut seen, mut last) = (Vec::new(), i64::MIN);
            for connection in 0..3 {
                for n in 0..frames {
                    let arrival = EPOCH + (connection * (100 * frames + pause_ms) + 100 * n) * MS;
                    let device = DeviceTime(1000 * (connection * (100 * frames + device_ms) + 100 * n));
                    model.follow_connection(32 + 1032 * n as u64, 1000);
                    let reported = model.observe(device, arrival);
                    assert_eq!(arrival - reported, 0, "{frames} {pause_ms} {device_ms}: {connection}, {n}");
                    assert!(reported > last);
                    last = reported;
                    seen.push((device.0, arrival));
                }
            }
            let fit = ClockFit::from_metadata(&model.metadata()).expect("metadata");
            assert_eq!((fit.restarts, fit.earlier.len()), (2, 2), "{fit:?}");
            assert!(fit.error_bound_ns.unwrap_or_default() < 50 * MS, "{fit:?}");
            for (device_us, arrival) in seen {
                let off_ns = arrival - fit.capture_ns(device_us, false, arrival, 0);
                assert!((0..MS).contains(&off_ns), "{frames} {pause_ms} {device_ms}: {off_ns} ns at {device_us} us");
            }
        }
    }

    /// The first frames of a run were late: only the line of this run has their capture times.
    #[test]
    fn frames_of_an_earlier_run_have_the_times_of_its_line() {
        const MS: i64 = 1_000_000;
        let mut model = ClockModel::default();
        for n in 0..400 {
            model.follow_connection(32 + 1032 * (n % 200) as u64, 1000);
            let late_ms = if n % 200 < 5 { 500 - 100 * n % 200 } else { 0 };
            // The second run continues with the device time of the first one after an hour.
            model.observe(DeviceTime(100_000 * n), EPOCH + (3_600_000 * (n / 200) + 100 * n + late_ms) * MS);
        }
        let fit = ClockFit::from_metadata(&model.metadata()).expect("metadata");
        for (n, late_ms, hours) in [(0, 500, 0), (100, 0, 0), (199, 0, 0), (200, 500, 1), (399, 0, 1)] {
            let taken = EPOCH + (3_600_000 * hours + 100 * n) * MS;
            let off_ns = taken - fit.capture_ns(100_000 * n, false, taken + late_ms * MS, 0);
            assert!(off_ns.abs() < MS, "frame {n}: {off_ns} ns, {fit:?}");
        }
        // A stale frame that waited for 2 s when the first client connected.
        let off_ns = EPOCH - 2000 * MS - fit.capture_ns(-2_000_000, true, EPOCH, 0);
        assert!(off_ns.abs() < MS, "{off_ns} ns, {fit:?}");
    }

    /// The first frames of a connection are late, as on a lossy network: the clock of the camera continued.
    #[test]
    fn a_connection_that_begins_slowly_is_not_a_restart() {
        const MS: i64 = 1_000_000;
        let mut model = ClockModel::default();
        let mut last = i64::MIN;
        for n in 0..600 {
            let in_connection = n % 200;
            model.follow_connection(32 + 1032 * in_connection as u64, 1000);
            let taken = EPOCH + 100 * n * MS;
            let arrival =
                if in_connection < 20 { taken.max(EPOCH + (100 * (n - in_connection) + 2000) * MS) } else { taken };
            let reported = model.observe(DeviceTime(100_000 * n), arrival);
            assert!(reported <= arrival && reported >= last, "frame {n}: {reported} {last}");
            last = reported;
        }
        let fit = model.fit().expect("a fit");
        assert_eq!((fit.restarts, fit.earlier.len(), fit.device_from_us), (0, 0, 2_000_000), "{fit:?}");
        assert!((fit.utc_ns(DeviceTime(59_900_000)) - EPOCH - 59_900 * MS).abs() < MS, "{fit:?}");
    }

    #[test]
    fn a_clock_that_continues_after_a_reconnect_does_not_restart() {
        let mut camera = Camera::new(1, 40.0, 0.0, 10.0);
        let mut model = ClockModel::default();
        for index in 0..600 {
            let (device, arrival) = camera.frame(index, 0.0);
            model.follow_connection(1032 * (u64::from(index) % 7), 1000);
            model.observe(device, arrival);
        }
        let fit = model.fit().expect("a fit");
        assert_eq!(fit.restarts, 0);
        assert!((fit.drift_ppm - 40.0).abs() < 0.1, "{fit:?}");
    }

    #[test]
    fn stale_frames_do_not_shift_the_times_of_those_after_them() {
        const MS: i64 = 1_000_000;
        let mut model = ClockModel::default();
        let mut observe = |device_ms: i64, arrival_ms: i64, is_stale: bool| {
            let mut frame = Frame::default();
            frame.device_time = DeviceTime(1000 * device_ms);
            frame.staleness = Staleness::Known(is_stale);
            (model.observe_frame(&frame, EPOCH + MS * arrival_ms) - EPOCH) / MS
        };
        // The camera has waited for 3 s. Nothing is known about its clock yet.
        assert_eq!((0..9).map(|n| observe(100 * n, 4000, true)).collect::<Vec<_>>(), [4000; 9]);
        for n in 40..80 {
            assert_eq!(observe(100 * n, 100 * n, false), 100 * n);
        }
        assert_eq!((0..9).map(|n| observe(9000 + n, 20_000, true)).collect::<Vec<_>>(), Vec::from_iter(9000..9009));
        let fit = model.fit().expect("a fit");
        assert_eq!((fit.restarts, fit.device_from_us, fit.frames), (0, 4_000_000, 40));
        // A finished file has the capture times of all of its frames.
        let captured = |device_ms: i64, is_stale, arrival_ms: i64| {
            let arrival_ns = EPOCH + MS * arrival_ms;
            (fit.capture_ns(1000 * device_ms, is_stale, arrival_ns, arrival_ns) - EPOCH) / MS
        };
        assert_eq!(
            [captured(0, true, 4000), captured(9000, true, 20_000), captured(5000, false, 5300)],
            [0, 9000, 5000]
        );
        assert_eq!(captured(5000, false, 100), 100, "a frame of another run arrived before");
    }

    #[test]
    fn long_stall_is_not_a_reboot() {
        let mut camera = Camera::new(3, 0.0, 1e6, 10.0);
        let mut model = ClockModel::default();
        for index in 0..1000 {
            // No arrivals for 25 s from second 40 on, then all at once.
            let (device, arrival) = camera.frame(index, if index > 400 { 65e9 } else { 0.0 });
            model.observe(device, arrival);
        }
        let fit = model.fit().unwrap();
        assert_eq!(fit.restarts, 0);
        assert!((fit.utc_ns(DeviceTime(99_000_000)) - camera.truth(99_000_000)).abs() < 2_000_000, "{fit:?}");
    }

    #[test]
    fn old_windows_are_dropped() {
        let mut model = ClockModel::default();
        // The drift changes its sign after half an hour.
        for second in 0..3600_i64 {
            let drifted = if second < 1800 { 20_000 * second } else { 20_000 * (3600 - second) };
            model.observe(DeviceTime(second * 1_000_000), EPOCH + second * 1_000_000_000 + drifted);
        }
        let run = model.run.as_ref().unwrap();
        assert_eq!(run.minima.len(), WINDOWS_MAX);
        let fit = model.fit().unwrap();
        assert!((fit.drift_ppm + 20.0).abs() < 0.01, "{fit:?}");
        assert!(fit.device_from_us >= 2_990_000_000, "{fit:?}");
    }

    #[test]
    fn invalid_clock_metadata_is_rejected() {
        let mut model = ClockModel::default();
        model.observe(DeviceTime(5), EPOCH);
        let metadata = model.metadata();
        let read = |change: &dyn Fn(&mut BTreeMap<String, String>)| {
            let mut changed = metadata.clone();
            change(&mut changed);
            ClockFit::from_metadata(&changed).map_err(|error| error.to_string())
        };
        assert_eq!(read(&|map| drop(map.insert("name".to_owned(), "a".to_owned()))), Ok(model.fit().unwrap()));
        assert_eq!(
            read(&|map| drop(map.remove("frames"))),
            Err("invalid clock metadata: expected a number for `frames`, found nothing".to_owned())
        );
        assert!(read(&|map| drop(map.insert("error_bound_ns".to_owned(), "soon".to_owned()))).is_err());
        let json = serde_json::to_string(&model.fit()).unwrap();
        assert_eq!(serde_json::from_str::<Option<ClockFit>>(&json).unwrap(), model.fit());
    }
}
