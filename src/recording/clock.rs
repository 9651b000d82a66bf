//! Maps a camera's clock to UTC, from the arrival times of its frames alone.
//!
//! Camera, network and host only ever delay a frame. So the offset between the clocks is the lower edge of
//! `arrival - device time`: the model keeps the least delayed frame of each second, and fits the closest line that is not
//! above any of them.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::frame::{DeviceTime, Frame};

/// Length of a window, of which only the least delayed frame is kept. Windows are counted by arrival, so that a burst of
/// frames after a stall falls into one window.
const WINDOW_NS: i64 = 1_000_000_000;
/// Number of windows that are kept: ten minutes.
const WINDOWS_MAX: usize = 600;
/// Largest drift that is accepted. Crystals are off by a few parts per million, and by a hundred when hot.
const DRIFT_MAX: f64 = 500e-6;
/// Limit of the slope of a line that is used. A drift of exactly [`DRIFT_MAX`] was stored by versions of oaktap that used
/// clocks beyond it.
const FITTED_DRIFT_MAX: f64 = 0.999 * DRIFT_MAX;
/// A clock is not used if its slope would delay frames by this much more than [`DRIFT_MAX`] allows, in nanoseconds, beyond
/// `DRIFT_NOISE_FACTOR` times the mean distance of the frames from the line. Less can be jitter.
const DRIFT_NOISE_NS: f64 = 20e6;
const DRIFT_NOISE_FACTOR: f64 = 3.0;
/// Shortest span in microseconds over which drift is estimated. Over a shorter span jitter looks like drift.
const DRIFT_SPAN_MIN_US: f64 = 10e6;
/// A frame that is this much earlier than predicted, in nanoseconds, means that the camera's clock restarted.
const EARLY_RESTART_NS: f64 = 3e9;
/// Frames that are this much later than predicted, in nanoseconds, for `LATE_RESTART_WINDOWS` windows in a row mean the
/// same. A shorter delay is attributed to the network.
const LATE_RESTART_NS: f64 = 10e9;
const LATE_RESTART_WINDOWS: u32 = 3;
/// A device time that goes back by more than this within a connection, in microseconds, means the same. From one connection
/// to the next, any step back does.
const BACKWARD_RESTART_US: i64 = 1_000_000;
/// Frames that the camera may have queued before the connection (wire.md section 2.5). Their delay is not a restart.
const HELD_FRAMES_MAX: u64 = 9;
/// Time constant in microseconds with which the reported times approach a new line, so that they never jump forward.
const SLEW_US: f64 = 4e6;
/// A fitted line exceeds the arrivals by less than this, in nanoseconds, because its numbers are rounded.
const ROUNDING_NS: i64 = 1_000_000;
/// Time in nanoseconds that a frame may have waited in a camera whose clock restarted during the recording. A clock can
/// restart at any time, so that older frames may be those of another run.
const HELD_AFTER_RESTART_MAX_NS: i64 = 60_000_000_000;
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
        let verdict = match &mut self.run {
            // Short connections can hide a restart: the clock goes back by less than `BACKWARD_RESTART_US`.
            Some(run) if !reconnected || device.0 > run.last_us => run.observe(device.0, arrival_unix_ns),
            _ => FrameClock::Restarted,
        };
        if verdict != FrameClock::Same {
            self.restarts += u64::from(self.run.is_some() && verdict == FrameClock::Restarted);
            self.run = Some(ClockRun::new(device.0, arrival_unix_ns));
        }
        self.utc_ns(device)
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
        let run = self.run.as_ref()?;
        let first = run.points().next().map_or(0.0, |point| point.device_us);
        let device_from_us = run.origin_us.saturating_add(first as i64);
        Some(ClockFit {
            offset_ns: narrow(run.base_ns + run.line.at(first) as i128),
            drift_ppm: run.line.slope * 1e3,
            drift_is_known: run.follows_ns.is_some() || run.span_us() >= DRIFT_SPAN_MIN_US,
            error_bound_ns: run.error_bound_ns(),
            device_from_us,
            device_to_us: run.last_us,
            frames: self.frames,
            restarts: self.restarts,
        })
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
        }
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

fn narrow(ns: i128) -> i64 {
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

/// The line of a [`ClockModel`] as stored in a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockFit {
    /// UTC (nanoseconds since 1970) at `device_from_us`, minus that device time in nanoseconds.
    pub offset_ns: i64,
    /// Drift in parts per million; negative if the camera's clock is fast. 0 if it is not known.
    pub drift_ppm: f64,
    /// The frames span enough time to estimate the drift.
    pub drift_is_known: bool,
    /// See [`ClockModel::error_bound_ns`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_bound_ns: Option<i64>,
    /// First device time that the line is fitted to, in microseconds.
    pub device_from_us: i64,
    /// Last device time that the line is fitted to, in microseconds.
    pub device_to_us: i64,
    /// Number of frames, including those before the last restart of the camera's clock.
    pub frames: u64,
    /// Number of times that the camera's clock restarted, mostly by a reboot. The line applies since the last restart.
    pub restarts: u64,
}

/// Error of [`ClockFit::from_metadata`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid clock metadata: expected a number for `{key}`, found {found}")]
pub struct ClockError {
    /// Key of the value.
    pub key: &'static str,
    /// The value, or `nothing`.
    pub found: String,
}

impl ClockFit {
    /// Largest drift of a clock that is used, in parts per million.
    pub const DRIFT_MAX_PPM: f64 = DRIFT_MAX * 1e6;

    /// Returns whether the times of frames are computed from the camera's clock. Otherwise it drifts by
    /// [`Self::DRIFT_MAX_PPM`] or more, and times are those of the arrivals.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.drift_ppm.abs() < Self::DRIFT_MAX_PPM
    }

    /// Returns why the clock is not used, if so.
    #[must_use]
    pub fn misfit(&self) -> Option<String> {
        let (found, expected) = (self.drift_ppm, Self::DRIFT_MAX_PPM);
        let why = || {
            format!("cannot be fitted: found a drift of at least {found:+.0} ppm, expected less than {expected} ppm")
        };
        (!self.is_used()).then(why)
    }

    /// Converts a device time to nanoseconds since 1970, UTC.
    #[must_use]
    pub fn utc_ns(&self, device: DeviceTime) -> i64 {
        let since = i128::from(device.0) - i128::from(self.device_from_us);
        let drift = since as f64 * self.drift_ppm * 1e-3;
        narrow(i128::from(self.offset_ns) + i128::from(device.0) * 1000 + drift.round() as i128)
    }

    /// Returns the capture time of a frame in nanoseconds since 1970, UTC: by this line, if it applies to the frame, or else the
    /// one that was estimated when it arrived.
    pub(super) fn capture_ns(&self, device_us: i64, is_stale: bool, arrival_ns: i64, estimated_ns: i64) -> i64 {
        let utc_ns = self.utc_ns(DeviceTime(device_us));
        let waited_ns = arrival_ns.saturating_sub(utc_ns);
        // The least delayed frame of the first window is not always its first.
        let is_in_window = || device_us >= self.device_from_us.saturating_sub(WINDOW_NS / 1000);
        let is_fitted = device_us >= self.device_from_us || is_in_window() && (waited_ns as f64) < EARLY_RESTART_NS;
        // Stale frames are older than the frames that the line is fitted to.
        let is_held = is_stale && (self.restarts == 0 || waited_ns <= HELD_AFTER_RESTART_MAX_NS);
        // No frame arrives before its capture, except by the clock of a later run.
        let applies = self.is_used() && waited_ns >= -ROUNDING_NS && (is_fitted || is_held);
        if applies { utc_ns.min(arrival_ns) } else { estimated_ns }
    }

    /// Returns the line as metadata.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([
            ("offset_ns".to_owned(), self.offset_ns.to_string()),
            ("drift_ppm".to_owned(), self.drift_ppm.to_string()),
            ("device_from_us".to_owned(), self.device_from_us.to_string()),
            ("device_to_us".to_owned(), self.device_to_us.to_string()),
            ("frames".to_owned(), self.frames.to_string()),
            ("restarts".to_owned(), self.restarts.to_string()),
        ]);
        if let Some(bound) = self.error_bound_ns {
            all.insert("error_bound_ns".to_owned(), bound.to_string());
        }
        all
    }

    /// Parses metadata; `None` unless its clock is used. Older recorders stored a drift at the limit for every clock beyond
    /// it.
    pub(super) fn usable(metadata: &BTreeMap<String, String>) -> Option<Self> {
        Self::from_metadata(metadata).ok().filter(Self::is_used)
    }

    /// Parses metadata. Ignores unknown keys.
    ///
    /// # Errors
    /// A value is missing, or is not a number.
    pub fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Self, ClockError> {
        fn get<T: std::str::FromStr>(all: &BTreeMap<String, String>, key: &'static str) -> Result<T, ClockError> {
            let found = all.get(key).ok_or(ClockError { key, found: "nothing".to_owned() })?;
            found.parse().map_err(|_| ClockError { key, found: format!("{found:?}") })
        }
        let bound = "error_bound_ns";
        let drift_ppm: f64 = get(metadata, "drift_ppm")?;
        let (device_from_us, device_to_us): (i64, i64) =
            (get(metadata, "device_from_us")?, get(metadata, "device_to_us")?);
        let known_span = device_to_us as f64 - device_from_us as f64 >= DRIFT_SPAN_MIN_US;
        Ok(Self {
            offset_ns: get(metadata, "offset_ns")?,
            drift_ppm,
            error_bound_ns: if metadata.contains_key(bound) { Some(get(metadata, bound)?) } else { None },
            device_from_us,
            device_to_us,
            drift_is_known: drift_ppm != 0.0 || known_span,
            frames: get(metadata, "frames")?,
            restarts: get(metadata, "restarts")?,
        })
    }
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
