//! What of a recording is exported: which cameras, which times, which frames, which detections.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::DateTime;

use crate::frame::{BBox, Detection, LabelMap};
use crate::overlay::Style;

/// A time as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nanoseconds since 1970, UTC.
    At(i64),
    /// So long after the first frame.
    After(Duration),
}

impl Moment {
    /// Nanoseconds since 1970, UTC, in a recording that begins at `start_ns`.
    #[must_use]
    pub fn unix_ns(self, start_ns: i64) -> i64 {
        match self {
            Self::At(unix_ns) => unix_ns,
            Self::After(duration) => start_ns.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)),
        }
    }
}

/// Neither a time nor an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadMoment(String);

impl fmt::Display for BadMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no time: expected one such as 2026-11-21T10:15:00Z (or +01:00 in place of Z), or so long after \
             the first frame, such as 10s, 1.5min or 1h",
            self.0
        )
    }
}

impl std::error::Error for BadMoment {}

impl FromStr for Moment {
    type Err = BadMoment;

    /// RFC 3339 (`2026-11-21T10:15:00.5Z`), or an offset (`10s`, `500ms`, `2min`, `1h`, `0s`).
    fn from_str(text: &str) -> Result<Self, BadMoment> {
        let bad = || BadMoment(text.to_owned());
        let text = text.trim();
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return time.timestamp_nanos_opt().map(Self::At).ok_or_else(bad);
        }
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?);
        let seconds = match unit.trim_start() {
            "ms" => 0.001,
            "s" => 1.0,
            "min" | "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(bad()),
        };
        let number: f64 = number.parse().map_err(|_| bad())?;
        Duration::try_from_secs_f64(number * seconds).map(Self::After).map_err(|_| bad())
    }
}

/// What of a recording is wanted.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Names of cameras; all of them when empty.
    pub cameras: Vec<String>,
    /// Frames that arrived at this time or later.
    pub from: Option<Moment>,
    /// Frames that arrived before this time.
    pub until: Option<Moment>,
    /// Of the frames of each camera in that time the first, and then every so many; 0 is taken for 1.
    pub every: u64,
    /// Names (in any case) or numbers of the classes that are wanted; all of them when empty. With any, frames without
    /// such a detection are left out, except from video.
    pub labels: Vec<String>,
    /// Least confidence, 0..=1. With any above 0, detections without a usable one are left out.
    pub min_confidence: f32,
}

impl Default for Choice {
    /// Everything.
    fn default() -> Self {
        Self { cameras: Vec::new(), from: None, until: None, every: 1, labels: Vec::new(), min_confidence: 0.0 }
    }
}

impl Choice {
    /// The same choice for an overlay.
    pub(super) fn style(&self) -> Style {
        Style { threshold: self.min_confidence, only: self.labels.clone(), ..Style::default() }
    }
}

/// The part of a box that is inside of the picture, its corners in order. `None` when there is none, or it has a `NaN`.
#[must_use]
pub fn inside(bbox: &BBox) -> Option<BBox> {
    let span = |a: f32, b: f32| {
        let (low, high) = (a.min(b).clamp(0.0, 1.0), a.max(b).clamp(0.0, 1.0));
        (!a.is_nan() && !b.is_nan() && low < high).then_some((low, high))
    };
    let (xmin, xmax) = span(bbox.xmin, bbox.xmax)?;
    let (ymin, ymax) = span(bbox.ymin, bbox.ymax)?;
    Some(BBox { xmin, ymin, xmax, ymax })
}

/// The detections of a frame that are wanted, with boxes that are inside of it, and how many wanted ones have no such.
pub(super) fn wanted(style: &Style, names: &LabelMap, detections: &[Detection]) -> (Vec<Detection>, u64) {
    let mut without = 0;
    let detections = detections.iter().filter(|detection| style.shows(detection, names)).filter_map(|detection| {
        let bbox = inside(&detection.bbox);
        without += u64::from(bbox.is_none());
        Some(Detection { bbox: bbox?, ..*detection })
    });
    (detections.collect(), without)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_two_ways() {
        let at = |text: &str| text.parse::<Moment>();
        assert_eq!(at("1970-01-01T00:00:01.000000005Z"), Ok(Moment::At(1_000_000_005)));
        assert_eq!(at("2026-11-21T11:15:00+01:00"), at("2026-11-21T10:15:00Z"));
        assert_eq!(at("1.5min"), Ok(Moment::After(Duration::from_secs(90))));
        assert_eq!(at("500ms").map(|moment| moment.unix_ns(7)), Ok(500_000_007));
        assert_eq!(at("0s"), Ok(Moment::After(Duration::ZERO)));
        assert_eq!(Moment::After(Duration::MAX).unix_ns(1), i64::MAX);
        for wrong in ["", "10", "s", "-1s", "2026-11-21", "10:15", "1e9s", "9999-01-01T00:00:00Z", "1.2.3s", "é"] {
            let error = at(wrong).expect_err(wrong).to_string();
            assert!(error.contains("2026-11-21T10:15:00Z") && error.contains("10s"), "{error}");
        }
    }

    #[test]
    fn boxes_end_at_the_edges_of_the_picture() {
        let bbox = |[xmin, ymin, xmax, ymax]: [f32; 4]| BBox { xmin, ymin, xmax, ymax };
        assert_eq!(inside(&bbox([-1.0, 0.25, 0.5, f32::INFINITY])), Some(bbox([0.0, 0.25, 0.5, 1.0])));
        assert_eq!(inside(&bbox([0.75, 0.5, 0.25, 0.0])), Some(bbox([0.25, 0.0, 0.75, 0.5])));
        for none in [[f32::NAN, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, f32::NAN], [1.0, 0.0, 2.0, 1.0], [0.5, 0.1, 0.5, 0.2]] {
            assert_eq!(inside(&bbox(none)), None, "{none:?}");
        }
    }

    #[test]
    fn detections_are_chosen_by_class_and_confidence() {
        let whole = BBox { xmin: 0.0, ymin: 0.0, xmax: 1.0, ymax: 1.0 };
        let seen = [(0, 0.9, whole), (0, 0.4, whole), (2, 0.9, whole), (0, 0.8, BBox { xmin: f32::NAN, ..whole })]
            .map(|(label, confidence, bbox)| Detection { label, confidence, bbox });
        let choice = Choice { labels: vec!["Person".to_owned()], min_confidence: 0.5, ..Choice::default() };
        assert_eq!(wanted(&choice.style(), LabelMap::coco(), &seen), (vec![seen[0]], 1));
        assert_eq!(wanted(&Choice::default().style(), LabelMap::coco(), &seen).0.len(), 3);
    }
}
