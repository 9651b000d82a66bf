//! Selects cameras, times, frames and detections to export.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};

use crate::convert::DepthMap;
use crate::frame::{BBox, Detection, Frame, LabelMap, Track};
use crate::overlay::Style;

/// A time given by the user: absolute, or relative to the first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSpec {
    /// Nanoseconds since 1970, UTC.
    At(i64),
    /// Time after the first frame.
    After(Duration),
}

impl TimeSpec {
    /// Returns nanoseconds since 1970, UTC, for recordings whose first frame arrived at `start_ns`.
    #[must_use]
    pub fn unix_ns(self, start_ns: i64) -> i64 {
        match self {
            Self::At(unix_ns) => unix_ns,
            Self::After(duration) => start_ns.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)),
        }
    }
}

impl fmt::Display for TimeSpec {
    /// Writes the time as it is parsed, with the largest unit that needs no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = match self {
            Self::At(ns) => {
                return f.write_str(&DateTime::from_timestamp_nanos(*ns).to_rfc3339_opts(SecondsFormat::AutoSi, true));
            }
            Self::After(after) => after,
        };
        match (after.as_secs(), after.subsec_nanos()) {
            (0, 1..) => write!(f, "{}ms", after.as_secs_f64() * 1000.0),
            (seconds @ 3600.., 0) if seconds % 3600 == 0 => write!(f, "{}h", seconds / 3600),
            (seconds @ 60.., 0) if seconds % 60 == 0 => write!(f, "{}min", seconds / 60),
            _ => write!(f, "{}s", after.as_secs_f64()),
        }
    }
}

/// A text that is not a time to export from or until.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeSpecError {
    /// Neither a time nor an offset.
    #[error(
        "invalid time `{0}`: expected a time such as 2026-11-21T10:15:00Z (or +01:00 instead of Z), or a time after the \
         first frame such as 10s, 1.5min or 1h"
    )]
    Malformed(String),
    /// A time that nanoseconds since 1970 in 64 bits cannot express.
    #[error("the time `{0}` is out of range: expected 1677-09-21T00:12:44Z to 2262-04-11T23:47:16Z")]
    OutOfRange(String),
}

impl FromStr for TimeSpec {
    type Err = TimeSpecError;

    /// Parses RFC 3339 (`2026-11-21T10:15:00.5Z`) or an offset (`10s`, `500ms`, `2min`, `1h`, `0s`).
    fn from_str(text: &str) -> Result<Self, TimeSpecError> {
        let invalid = || TimeSpecError::Malformed(text.to_owned());
        let out_of_range = || TimeSpecError::OutOfRange(text.to_owned());
        let text = text.trim();
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return time.timestamp_nanos_opt().map(Self::At).ok_or_else(out_of_range);
        }
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?);
        let seconds = match unit.trim_start() {
            "ms" => 0.001,
            "s" => 1.0,
            "min" | "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(invalid()),
        };
        let number: f64 = number.parse().map_err(|_| invalid())?;
        Duration::try_from_secs_f64(number * seconds).map(Self::After).map_err(|_| invalid())
    }
}

/// Selection of cameras, times, frames and detections.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Names of cameras. Empty: all cameras.
    pub cameras: Vec<String>,
    /// First arrival time to export.
    pub from: Option<TimeSpec>,
    /// End of the arrival times to export, exclusive.
    pub until: Option<TimeSpec>,
    /// Interval in frames: export each camera's first frame in the time range, and then every Nth. 0 means 1.
    pub every: u64,
    /// Names (in any case) or numbers of classes. Empty: all classes. Otherwise frames without a detection of these
    /// classes are left out, except from video.
    pub labels: Vec<String>,
    /// Minimum confidence, 0..=1. Above 0, detections whose confidence is `NaN` are left out.
    pub min_confidence: f32,
    /// Names of classes given by the user, instead of those in the recordings.
    pub names: Option<LabelMap>,
}

impl Default for Choice {
    /// Selects everything.
    fn default() -> Self {
        Self {
            cameras: Vec::new(),
            from: None,
            until: None,
            every: 1,
            labels: Vec::new(),
            min_confidence: 0.0,
            names: None,
        }
    }
}

impl Choice {
    /// Returns an overlay style that shows the chosen detections.
    pub(super) fn style(&self) -> Style {
        Style { threshold: self.min_confidence, only: self.labels.clone(), ..Style::default() }
    }
}

/// Returns the name that a mistyped one probably means: the one with the fewest changed letters, at most a third of them.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = wanted.trim().to_lowercase().chars().take(MAX_COMPARED_CHARS).collect();
    let near = names.map(|name| (changes(&wanted, &name.to_lowercase()), name)).min_by_key(|(changes, _)| *changes);
    near.filter(|(changes, _)| *changes <= wanted.len().div_ceil(3)).map(|(_, name)| name)
}

/// Longest part of a name that is compared, because the cost is the square of it.
const MAX_COMPARED_CHARS: usize = 64;

/// Returns the number of letters to insert, remove or replace (Levenshtein's distance).
fn changes(a: &[char], b: &str) -> usize {
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (n, b) in b.chars().take(MAX_COMPARED_CHARS).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], n + 1);
        for (at, a) in a.iter().enumerate() {
            let replaced = diagonal + usize::from(*a != b);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[a.len()]
}

/// A chosen detection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ChosenDetection {
    /// The detection, with its box clipped to the picture.
    pub(super) seen: Detection,
    /// Its track, if it has one.
    pub(super) track: Option<Track>,
    /// Median depth in the middle half of its box in millimeters, if it was measured.
    pub(super) depth_mm: Option<u16>,
}

/// Returns the chosen detections of a frame, with their depths in `depths`, and the number of those left out because their box
/// is outside the picture or invalid.
pub(super) fn chosen_detections(
    style: &Style,
    names: &LabelMap,
    frame: &Frame,
    mut depths: Option<&mut DepthMap>,
) -> (Vec<ChosenDetection>, u64) {
    let mut without_box = 0;
    let chosen = frame.detections.iter().filter(|detection| style.shows(detection, names)).filter_map(|detection| {
        let bbox = detection.bbox.clipped();
        without_box += u64::from(bbox.is_none());
        // A track is at the center of the whole box.
        let track = Track::of(&frame.tracks, detection).copied();
        let bbox = bbox?;
        let BBox { xmin, ymin, xmax, ymax } = detection.bbox;
        let depth_mm = depths.as_deref_mut().and_then(|depths| depths.median([xmin, ymin, xmax, ymax]));
        Some(ChosenDetection { seen: Detection { bbox, ..*detection }, track, depth_mm })
    });
    (chosen.collect(), without_box)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_and_relative_times_are_parsed() {
        let at = |text: &str| text.parse::<TimeSpec>();
        assert_eq!(at("1970-01-01T00:00:01.000000005Z"), Ok(TimeSpec::At(1_000_000_005)));
        assert_eq!(at("2026-11-21T11:15:00+01:00"), at("2026-11-21T10:15:00Z"));
        assert_eq!(at("1.5min"), Ok(TimeSpec::After(Duration::from_secs(90))));
        assert_eq!(at("500ms").map(|time| time.unix_ns(7)), Ok(500_000_007));
        assert_eq!(at("0s"), Ok(TimeSpec::After(Duration::ZERO)));
        assert_eq!(TimeSpec::After(Duration::MAX).unix_ns(1), i64::MAX);
        for wrong in ["", "10", "s", "-1s", "2026-11-21", "10:15", "1e9s", "1.2.3s", "é"] {
            let error = at(wrong).expect_err(wrong).to_string();
            assert!(error.contains("2026-11-21T10:15:00Z") && error.contains("10s"), "{error}");
        }
        let expected =
            "the time `9999-12-31T00:00:00Z` is out of range: expected 1677-09-21T00:12:44Z to 2262-04-11T23:47:16Z";
        assert_eq!(at("9999-12-31T00:00:00Z").map_err(|error| error.to_string()), Err(expected.to_owned()));
        assert!(["1677-09-21T00:12:44Z", "2262-04-11T23:47:16Z"].map(at).iter().all(Result::is_ok));
    }

    #[test]
    fn mistyped_names_have_a_nearest_one() {
        let near = |wanted| nearest(wanted, LabelMap::coco().iter().map(|(_, name)| name));
        assert_eq!(
            [near("piza"), near("Persn"), near("trafic lihgt")],
            [Some("pizza"), Some("person"), Some("traffic light")]
        );
        assert_eq!([near("helmet"), near(""), near("x")], [None; 3]);
    }

    #[test]
    fn detections_are_chosen_by_class_and_confidence() {
        let whole = BBox { xmin: 0.0, ymin: 0.0, xmax: 1.0, ymax: 1.0 };
        let seen = [(0, 0.9, whole), (0, 0.4, whole), (2, 0.9, whole), (0, 0.8, BBox { xmin: f32::NAN, ..whole })]
            .map(|(label, confidence, bbox)| Detection { label, confidence, bbox, ..Detection::default() });
        let choice = Choice { labels: vec!["Person".to_owned()], min_confidence: 0.5, ..Choice::default() };
        let mut frame = Frame::default();
        frame.detections = seen.to_vec();
        frame.tracks = vec![Track { id: 7, x: 0.5, y: 0.5 }];
        let first = ChosenDetection { seen: seen[0], track: Some(frame.tracks[0]), depth_mm: None };
        assert_eq!(chosen_detections(&choice.style(), LabelMap::coco(), &frame, None), (vec![first], 1));
        assert_eq!(chosen_detections(&Choice::default().style(), LabelMap::coco(), &frame, None).0.len(), 3);
    }
}
