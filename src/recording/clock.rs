//! The camera's clock -> UTC, from nothing but when its frames arrived.
//!
//! A frame comes late by what the camera, the network and this host do with it, and never early. So the offset between
//! the two clocks is followed along the lower edge of `arrival - device`: of each second the frame that was the least
//! late, and of those seconds the line that lies below all of them and as near to them as it can.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::frame::DeviceTime;

/// Of each of these the least late frame is kept. By arrival: a burst after a stall is in one of them, with its end.
const WINDOW_NS: i64 = 1_000_000_000;
/// So many of them: ten minutes of a camera that streams.
const WINDOWS: usize = 600;
/// Crystals are off by a few parts per million, by a hundred when they are hot; more is no drift.
const MAX_DRIFT: f64 = 500e-6;
/// Before so much time has passed, jitter looks like drift, and there is taken to be none. Microseconds.
const DRIFT_AFTER_US: f64 = 10e6;
/// Earlier than was predicted by so much is another clock. Nanoseconds.
const JUMP_NS: f64 = 3e9;
/// Later than was predicted by so much, for so many windows, is another clock as well; less is a slow network.
const LATE_NS: f64 = 10e9;
const LATE_WINDOWS: u32 = 3;
/// A clock that goes back by more than this was set anew. Microseconds.
const BACK_US: i64 = 1_000_000;
/// Frames that the camera can have held back before we connected (wire.md section 2.5): that they were late is no jump.
const HELD: u64 = 9;
/// A better line is followed with this time constant, so that times of pictures never jump forward. Microseconds.
const SLEW_US: f64 = 4e6;
/// The error bound is larger than what this share of the windows is off; the rest are stalls.
const WITHIN: f64 = 0.9;

/// One frame: microseconds since the run began, nanoseconds later than the first frame of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    device_us: f64,
    late_ns: f64,
}

/// `late_ns = level_ns + slope * device_us`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Line {
    level_ns: f64,
    slope: f64,
}

impl Line {
    fn at(self, device_us: f64) -> f64 {
        self.level_ns + self.slope * device_us
    }
}

/// Maps a camera's clock to UTC while its frames come in. Knows no clock itself.
///
/// What it cannot know: the part of the delay that never goes away (exposure, the camera's pipeline, the transfer of a
/// frame at best). All times are later than the truth by that much; by what, a test with a clock in the picture tells.
/// A step of this host's clock of less than three seconds looks like a change of that delay, and is forgotten after
/// ten minutes.
#[derive(Clone, Debug, Default)]
pub struct ClockModel {
    run: Option<Run>,
    frames: u64,
    restarts: u64,
}

/// Since the camera was started, or its clock was set.
#[derive(Clone, Debug)]
struct Run {
    /// Device time and offset (UTC minus device time) of its first frame.
    origin_us: i64,
    base_ns: i128,
    frames: u64,
    last_us: i64,
    /// The least late frames of windows that are over, by device time.
    minima: VecDeque<Point>,
    /// The window that is not over, by its number since 1970.
    open: (i64, Point),
    line: Line,
    /// By how much and since when the times that are told differ from the line.
    slew_ns: f64,
    slew_from_us: f64,
    /// Windows in a row that were far too late.
    late: u32,
}

impl ClockModel {
    /// Takes note of a frame, and tells when it was taken: nanoseconds since 1970, UTC. Never later than its arrival,
    /// and within a run of the camera's clock never before a frame that was taken and arrived before it.
    pub fn observe(&mut self, device: DeviceTime, arrival_unix_ns: i64) -> i64 {
        self.frames += 1;
        let verdict = self.run.as_mut().map_or(Verdict::Another, |run| run.observe(device.0, arrival_unix_ns));
        if verdict != Verdict::Same {
            self.restarts += u64::from(self.run.is_some() && verdict == Verdict::Another);
            self.run = Some(Run::new(device.0, arrival_unix_ns));
        }
        self.utc_ns(device)
    }

    /// UTC at this time of the camera's clock, in nanoseconds since 1970. Before the first frame nothing is known of that
    /// clock, and its time is returned as if it counted from 1970.
    #[must_use]
    pub fn utc_ns(&self, device: DeviceTime) -> i64 {
        let Some(run) = &self.run else { return device.0.saturating_mul(1000) };
        let x = run.x(device.0);
        run.utc_ns(device.0, run.line.at(x) + run.slew(x))
    }

    /// How far [`Self::utc_ns`] may be from the line that the least late frames follow, in nanoseconds. Nine of ten
    /// seconds had a frame that is nearer to it; what the line itself is late by, nobody here knows (see above).
    /// `None` before the third second.
    #[must_use]
    pub fn error_bound_ns(&self) -> Option<i64> {
        self.run.as_ref()?.error_bound_ns()
    }

    /// What is known now, to be stored.
    #[must_use]
    pub fn fit(&self) -> Option<ClockFit> {
        let run = self.run.as_ref()?;
        let first = run.points().next().map_or(0.0, |point| point.device_us);
        let device_from_us = run.origin_us.saturating_add(first as i64);
        Some(ClockFit {
            offset_ns: narrow(run.base_ns + run.line.at(first) as i128),
            drift_ppm: run.line.slope * 1e3,
            error_bound_ns: run.error_bound_ns(),
            device_from_us,
            device_to_us: run.last_us,
            frames: self.frames,
            restarts: self.restarts,
        })
    }

    /// [`Self::fit`] as the metadata of a file; empty before the first frame.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.fit().map(|fit| fit.metadata()).unwrap_or_default()
    }
}

/// Whose frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    /// Of this clock, but what came before had waited in the camera.
    Held,
    /// Of a clock that was started or set anew.
    Another,
}

impl Run {
    fn new(device_us: i64, arrival_ns: i64) -> Self {
        let first = Point { device_us: 0.0, late_ns: 0.0 };
        Self {
            origin_us: device_us,
            base_ns: offset_ns(device_us, arrival_ns),
            frames: 1,
            last_us: device_us,
            minima: VecDeque::new(),
            open: (arrival_ns.div_euclid(WINDOW_NS), first),
            line: Line::default(),
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

    /// What the times that are told differ from the line by, at this device time.
    fn slew(&self, x: f64) -> f64 {
        self.slew_ns * (-(x - self.slew_from_us).max(0.0) / SLEW_US).exp()
    }

    fn observe(&mut self, device_us: i64, arrival_ns: i64) -> Verdict {
        let point =
            Point { device_us: self.x(device_us), late_ns: (offset_ns(device_us, arrival_ns) - self.base_ns) as f64 };
        let told = self.line.at(point.device_us) + self.slew(point.device_us);
        if device_us < self.last_us.saturating_sub(BACK_US) {
            return Verdict::Another;
        }
        if point.late_ns < told - JUMP_NS {
            return if self.frames <= HELD { Verdict::Held } else { Verdict::Another };
        }
        self.frames += 1;
        self.last_us = self.last_us.max(device_us);
        let window = arrival_ns.div_euclid(WINDOW_NS);
        let mut better = point.late_ns < told;
        if self.open.0 == window {
            if point.late_ns < self.open.1.late_ns {
                self.open.1 = point;
            }
        } else {
            let (_, least) = std::mem::replace(&mut self.open, (window, point));
            self.late = if least.late_ns > self.line.at(least.device_us) + LATE_NS { self.late + 1 } else { 0 };
            if self.late >= LATE_WINDOWS {
                return Verdict::Another;
            }
            self.keep(least);
            better = true;
        }
        if better {
            self.line = self.fit();
            // Not later than it arrived; else as it would have been told before, and from there to the new line.
            self.slew_ns = told.min(point.late_ns) - self.line.at(point.device_us);
            self.slew_from_us = point.device_us;
        }
        Verdict::Same
    }

    /// By device time, at most [`WINDOWS`] of them.
    fn keep(&mut self, least: Point) {
        match self.minima.back_mut() {
            Some(last) if last.device_us >= least.device_us => last.late_ns = last.late_ns.min(least.late_ns),
            _ => self.minima.push_back(least),
        }
        if self.minima.len() > WINDOWS {
            self.minima.pop_front();
        }
    }

    fn points(&self) -> impl Iterator<Item = Point> {
        let after = self.minima.back().is_none_or(|last| last.device_us < self.open.1.device_us);
        self.minima.iter().copied().chain(after.then_some(self.open.1))
    }

    /// The line below all points with the least sum of distances: it contains the edge of their lower hull that spans
    /// the mean of their times. If that is steeper than a clock can drift, the steepest that one can.
    fn fit(&self) -> Line {
        let mut hull: Vec<Point> = Vec::new();
        let (mut sum, mut n) = (0.0, 0.0);
        for point in self.points() {
            while let [.., a, b] = hull[..] {
                // Keeps b only when it is below the line from a to the new point.
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
        let slope = match hull[..] {
            [first, .., last] if last.device_us - first.device_us >= DRIFT_AFTER_US => {
                let edge = hull.windows(2).find(|edge| edge[1].device_us >= sum / n).unwrap_or(&hull[..2]);
                let slope = (edge[1].late_ns - edge[0].late_ns) / (edge[1].device_us - edge[0].device_us);
                // Nanoseconds per microsecond.
                slope.clamp(-MAX_DRIFT * 1e3, MAX_DRIFT * 1e3)
            }
            _ => 0.0,
        };
        let level = hull.iter().map(|point| point.late_ns - slope * point.device_us);
        // The open window may lie beside the others when device times are not in order.
        let open = self.open.1.late_ns - slope * self.open.1.device_us;
        Line { level_ns: level.fold(open, f64::min), slope }
    }

    fn error_bound_ns(&self) -> Option<i64> {
        let mut off: Vec<f64> = self.points().map(|point| point.late_ns - self.line.at(point.device_us)).collect();
        if off.len() < 3 {
            return None;
        }
        off.sort_by(f64::total_cmp);
        let nearly_all = off[((off.len() - 1) as f64 * WITHIN).ceil() as usize];
        let first = self.points().next()?.device_us;
        let span = self.x(self.last_us) - first;
        let unknown_drift = if span < DRIFT_AFTER_US { span * MAX_DRIFT * 1e3 } else { 0.0 };
        Some((nearly_all + unknown_drift + self.slew(self.x(self.last_us)).abs()).ceil() as i64)
    }
}

fn offset_ns(device_us: i64, arrival_ns: i64) -> i128 {
    i128::from(arrival_ns) - i128::from(device_us) * 1000
}

fn narrow(ns: i128) -> i64 {
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

/// What a [`ClockModel`] knew at the end, as it is stored in a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockFit {
    /// UTC (nanoseconds since 1970) at `device_from_us`, minus that device time in nanoseconds.
    pub offset_ns: i64,
    /// Parts per million by which UTC runs ahead of the camera's clock; negative when that clock is fast.
    pub drift_ppm: f64,
    /// See [`ClockModel::error_bound_ns`]; in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_bound_ns: Option<i64>,
    /// The first device time that the line rests on; microseconds.
    pub device_from_us: i64,
    /// The last one; microseconds.
    pub device_to_us: i64,
    /// Frames that were looked at, of earlier runs of the camera's clock as well.
    pub frames: u64,
    /// How often the camera's clock was set anew: by a reboot, mostly. The line is about the time since the last one.
    pub restarts: u64,
}

/// Metadata that is no clock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` of the clock is {found}, and a number was expected")]
pub struct ClockError {
    /// Which value.
    pub key: &'static str,
    /// What there is.
    pub found: String,
}

impl ClockFit {
    /// UTC at this time of the camera's clock, in nanoseconds since 1970.
    #[must_use]
    pub fn utc_ns(&self, device: DeviceTime) -> i64 {
        let since = i128::from(device.0) - i128::from(self.device_from_us);
        let drift = since as f64 * self.drift_ppm * 1e-3;
        narrow(i128::from(self.offset_ns) + i128::from(device.0) * 1000 + drift.round() as i128)
    }

    /// As the metadata of a file.
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

    /// From the metadata of a file, which may hold more.
    ///
    /// # Errors
    /// A value is missing, or no number.
    pub fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Self, ClockError> {
        fn get<T: std::str::FromStr>(all: &BTreeMap<String, String>, key: &'static str) -> Result<T, ClockError> {
            let found = all.get(key).ok_or(ClockError { key, found: "missing".to_owned() })?;
            found.parse().map_err(|_| ClockError { key, found: format!("{found:?}") })
        }
        let bound = "error_bound_ns";
        Ok(Self {
            offset_ns: get(metadata, "offset_ns")?,
            drift_ppm: get(metadata, "drift_ppm")?,
            error_bound_ns: if metadata.contains_key(bound) { Some(get(metadata, bound)?) } else { None },
            device_from_us: get(metadata, "device_from_us")?,
            device_to_us: get(metadata, "device_to_us")?,
            frames: get(metadata, "frames")?,
            restarts: get(metadata, "restarts")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EPOCH: i64 = 1_790_000_000_000_000_000;
    /// The part of the delay that nobody can know.
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

        /// UTC when the camera's clock says this, as the model could know it at best.
        fn truth(&self, device_us: i64) -> i64 {
            EPOCH + (device_us as f64 * (1e3 + self.drift_ppm * 1e-3) + DELAY_NS) as i64
        }

        /// Frame number `index`, and its arrival; frames stay in order.
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

        /// Jitter, drift and stalls: what is told is within the bound, not after the arrival, and in order.
        #[test]
        fn the_truth_is_within_the_bound(
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
                let told = model.observe(device, arrival);
                prop_assert!(told <= arrival, "frame {index} was taken {} ns after it came", told - arrival);
                prop_assert!(told >= last, "frame {index} was taken {} ns before the one before it", last - told);
                last = told;
            }
            let fit = model.fit().expect("there were frames");
            let bound = fit.error_bound_ns.expect("there were seconds");
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
        fn absurd_times_are_borne(frames in prop::collection::vec((any::<i64>(), any::<i64>()), 0..50)) {
            let mut model = ClockModel::default();
            for (device, arrival) in &frames {
                model.observe(DeviceTime(*device), *arrival);
            }
            if let Some(fit) = model.fit() {
                prop_assert!(fit.drift_ppm.abs() <= 500.0);
                prop_assert_eq!(ClockFit::from_metadata(&model.metadata()), Ok(fit));
            }
        }
    }

    #[test]
    fn the_first_frame_has_a_time_and_a_camera_without_jitter_exact_ones() {
        let mut camera = Camera::new(1, 40.0, 0.0, 40.0);
        let mut model = ClockModel::default();
        assert_eq!((model.fit(), model.metadata().len(), model.utc_ns(DeviceTime(7))), (None, 0, 7000));
        for index in 0..40 * 60 {
            let (device, arrival) = camera.frame(index, 0.0);
            let told = model.observe(device, arrival);
            // A third of a millisecond of drift in the ten seconds in which none is assumed.
            assert!((arrival - told).abs() < 500_000, "frame {index}: {} ns", arrival - told);
            if index == 0 {
                assert_eq!((told, model.error_bound_ns()), (arrival, None));
            }
        }
        let fit = model.fit().unwrap();
        assert!((fit.drift_ppm - 40.0).abs() < 0.1, "{fit:?}");
        assert!(fit.error_bound_ns.unwrap() < 10_000, "{fit:?}");
        assert_eq!((fit.frames, fit.restarts, fit.device_from_us), (2400, 0, 0));
    }

    #[test]
    fn frames_that_waited_in_the_camera_do_not_count() {
        // Nine frames of an hour ago, in 45 ms; then the present. Once more after a lost connection.
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
    fn a_reboot_begins_again() {
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
        // Ten seconds after the boot it is lost, and comes back later than it was: only its lateness tells.
        assert_eq!(stream(30, 400, 20), (2, 370), "late");
        assert_eq!(stream(5000, 450, 20), (3, -4550), "ahead");
    }

    #[test]
    fn a_long_stall_is_no_reboot() {
        let mut camera = Camera::new(3, 0.0, 1e6, 10.0);
        let mut model = ClockModel::default();
        for index in 0..1000 {
            // From second 40 on nothing comes, for 25 seconds; then everything at once.
            let (device, arrival) = camera.frame(index, if index > 400 { 65e9 } else { 0.0 });
            model.observe(device, arrival);
        }
        let fit = model.fit().unwrap();
        assert_eq!(fit.restarts, 0);
        assert!((fit.utc_ns(DeviceTime(99_000_000)) - camera.truth(99_000_000)).abs() < 2_000_000, "{fit:?}");
    }

    #[test]
    fn memory_is_bounded_and_the_present_counts() {
        let mut model = ClockModel::default();
        // The drift turns after half an hour.
        for second in 0..3600_i64 {
            let drifted = if second < 1800 { 20_000 * second } else { 20_000 * (3600 - second) };
            model.observe(DeviceTime(second * 1_000_000), EPOCH + second * 1_000_000_000 + drifted);
        }
        let run = model.run.as_ref().unwrap();
        assert_eq!(run.minima.len(), WINDOWS);
        let fit = model.fit().unwrap();
        assert!((fit.drift_ppm + 20.0).abs() < 0.01, "{fit:?}");
        assert!(fit.device_from_us >= 2_990_000_000, "{fit:?}");
    }

    #[test]
    fn metadata_that_is_no_clock_is_refused() {
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
            Err("`frames` of the clock is missing, and a number was expected".to_owned())
        );
        assert!(read(&|map| drop(map.insert("error_bound_ns".to_owned(), "soon".to_owned()))).is_err());
        let json = serde_json::to_string(&model.fit()).unwrap();
        assert_eq!(serde_json::from_str::<Option<ClockFit>>(&json).unwrap(), model.fit());
    }
}
