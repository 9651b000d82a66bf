//! Parts of a report: sizes, intervals, gaps, pauses, triggers, and the numbers and tracks that a camera sent.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::inspect::LISTED_MAX;
use crate::frame::{Counters, Frame};

/// Most different tracks that are counted. Bounds the memory to about 1 MiB.
const TRACKS_MAX: usize = 100_000;

/// Payload sizes in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct PayloadSizes {
    /// Sum of all frames.
    pub total: u64,
    /// The smallest frame.
    pub min: u64,
    /// The largest frame.
    pub max: u64,
}

/// Intervals between frames in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FrameIntervals {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The longest interval.
    pub max: f64,
}

/// Consecutive frames that are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GapReport {
    /// Time in nanoseconds since 1970, UTC.
    pub at_unix_ns: i64,
    /// Number of missing frames.
    pub frames: u64,
    /// The reason.
    pub why: String,
}

/// A pause between two frames that is much longer than the usual interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PauseReport {
    /// Arrival of the frame before it in nanoseconds since 1970, UTC.
    pub at_unix_ns: i64,
    /// Its length in seconds.
    pub seconds: f64,
    /// Frames that would have arrived in it at the usual rate.
    pub frames_at_usual_rate: u64,
}

/// A time at which the trigger of a recording fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriggerReport {
    /// Arrival of the frame in nanoseconds since 1970, UTC.
    pub at_unix_ns: i64,
    /// The trigger, and the detection that matched.
    pub why: String,
}

/// The numbers of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeasurementReport {
    /// How many there are.
    pub count: u64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The last.
    pub last: f64,
}

/// The numbers of the first topics, by topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measurements(pub BTreeMap<String, MeasurementReport>);

impl Measurements {
    /// Counts a number.
    pub(super) fn observe(&mut self, topic: &str, value: f64) {
        if let Some(MeasurementReport { count, min, max, last }) = self.0.get_mut(topic) {
            (*count, *min, *max, *last) = (*count + 1, min.min(value), max.max(value), value);
        } else if self.0.len() < LISTED_MAX {
            let first = MeasurementReport { count: 1, min: value, max: value, last: value };
            self.0.insert(topic.to_owned(), first);
        }
    }
}

/// The objects that a camera followed and counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TrackReport {
    /// Number of tracks: of the first 100 000 objects with different numbers.
    pub tracks: u64,
    /// The counters of the last frame that has some.
    pub counters: Option<Counters>,
    #[serde(skip)]
    ids: HashSet<u32>,
}

impl TrackReport {
    pub(super) fn observe(&mut self, frame: &Frame) {
        for track in &frame.tracks {
            if self.ids.len() < TRACKS_MAX {
                self.ids.insert(track.id);
            }
        }
        self.tracks = self.ids.len() as u64;
        self.counters = frame.counters.or(self.counters);
    }
}
