//! The clock of a camera as a recording stores it: the fitted line of each run of the clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::clock::{DRIFT_MAX, DRIFT_SPAN_MIN_US, EARLY_RESTART_NS, WINDOW_NS, narrow};
use crate::frame::DeviceTime;

/// A fitted line exceeds the arrivals by less than this, in nanoseconds, because its numbers are rounded.
const ROUNDING_NS: i64 = 1_000_000;
/// Time in nanoseconds that a frame may have waited in a camera whose clock restarted during the recording. A clock can
/// restart at any time, so that older frames may be those of another run.
const HELD_AFTER_RESTART_MAX_NS: i64 = 60_000_000_000;
/// Key of the lines before the last restarts.
const EARLIER_RUNS: &str = "earlier_runs";

/// The line of a [`ClockModel`](super::clock::ClockModel) as stored in a recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockFit {
    /// UTC (nanoseconds since 1970) at `device_from_us`, minus that device time in nanoseconds.
    pub offset_ns: i64,
    /// Drift in parts per million; negative if the camera's clock is fast. 0 if it is not known.
    pub drift_ppm: f64,
    /// The frames span enough time to estimate the drift.
    pub drift_is_known: bool,
    /// See [`ClockModel::error_bound_ns`](super::clock::ClockModel::error_bound_ns).
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
    /// The lines before the last restarts, oldest first.
    #[serde(skip)]
    pub earlier: Vec<EarlierRun>,
}

/// A line that applied before a restart of the camera's clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlierRun {
    /// The line. Counts the frames of this run only.
    pub fit: ClockFit,
    /// Arrival of its first frame in nanoseconds since 1970, UTC.
    pub arrived_from_ns: i64,
    /// Arrival of its last frame in nanoseconds since 1970, UTC.
    pub arrived_to_ns: i64,
}

/// Error of [`ClockFit::from_metadata`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid clock metadata: expected {} for `{key}`, found {found}", if *key == EARLIER_RUNS { "a JSON list" } else { "a number" })]
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

    /// Returns the capture time of a frame in nanoseconds since 1970, UTC: by the line of its run, if that applies to the frame, or
    /// else the one that was estimated when it arrived.
    pub(super) fn capture_ns(&self, device_us: i64, is_stale: bool, arrival_ns: i64, estimated_ns: i64) -> i64 {
        let earlier = self.earlier.iter().find(|run| arrival_ns <= run.arrived_to_ns);
        let line = earlier.map_or(self, |run| &run.fit);
        let utc_ns = line.utc_ns(DeviceTime(device_us));
        let waited_ns = arrival_ns.saturating_sub(utc_ns);
        // The least delayed frame of the first window is not always its first.
        let is_in_window = || device_us >= line.device_from_us.saturating_sub(WINDOW_NS / 1000);
        let is_fitted = device_us >= line.device_from_us || is_in_window() && (waited_ns as f64) < EARLY_RESTART_NS;
        // Lines of runs that are too long ago are not kept.
        let is_of_run = earlier.is_none_or(|run| arrival_ns >= run.arrived_from_ns && device_us <= line.device_to_us);
        // Stale frames are older than the frames that the line is fitted to.
        let is_held = is_stale && (self.restarts == 0 || waited_ns <= HELD_AFTER_RESTART_MAX_NS);
        // No frame arrives before its capture, except by the clock of a later run.
        let applies = line.is_used() && waited_ns >= -ROUNDING_NS && (is_fitted && is_of_run || is_held);
        if applies { utc_ns.min(arrival_ns) } else { estimated_ns }
    }

    /// Leaves out the restarts before this arrival, in nanoseconds since 1970: those of earlier files of a split recording. The
    /// number stays as it is if the runs before the arrival are not known.
    pub(super) fn within_file(self, from_ns: i64) -> Self {
        let before = self.earlier.iter().filter(|run| run.arrived_to_ns < from_ns).count();
        if before == 0 {
            return self;
        }
        let earlier: Vec<_> = self.earlier.into_iter().skip(before).collect();
        Self { restarts: earlier.len() as u64, earlier, ..self }
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
        if !self.earlier.is_empty()
            && let Ok(earlier) = serde_json::to_string(&self.earlier)
        {
            all.insert(EARLIER_RUNS.to_owned(), earlier);
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
    /// A value is missing, or cannot be parsed.
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
            earlier: match metadata.get(EARLIER_RUNS) {
                Some(runs) => serde_json::from_str(runs)
                    .map_err(|_| ClockError { key: EARLIER_RUNS, found: format!("{runs:?}") })?,
                None => Vec::new(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_before_a_file_are_not_those_of_the_file() {
        let run = |to| EarlierRun { fit: ClockFit::default(), arrived_from_ns: to - 9, arrived_to_ns: to };
        let fit = ClockFit { restarts: 3, earlier: vec![run(10), run(20), run(30)], ..ClockFit::default() };
        let restarts = |from_ns| fit.clone().within_file(from_ns).restarts;
        assert_eq!([5, 10, 11, 25, 31].map(restarts), [3, 3, 2, 1, 0]);
        assert_eq!(ClockFit { restarts: 9, ..fit.clone() }.within_file(25).restarts, 1, "later runs are kept");
        assert_eq!(ClockFit { earlier: Vec::new(), ..fit }.within_file(25).restarts, 3, "an older recorder");
    }
}
