//! Objects that the camera follows from frame to frame.

use super::detection::{BBox, Detection};

/// Distance between the center of a box and that of its track, as a share of the box, up to which they belong together.
/// Cameras send the tracks of the frame before when the tracker has no new ones.
const NEAR_SHARE: f32 = 0.125;

/// The same as a share of the picture, for small boxes: cameras round centers to 1/300 of the picture.
const NEAR_MIN: f32 = 0.005;

/// The place of a tracked object in one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Track {
    /// Number of the object, the same in all frames.
    #[serde(rename = "track")]
    pub id: u32,
    /// Center relative to the picture: 0 is the left edge, 1 the right edge. Not clamped.
    pub x: f32,
    /// Center relative to the picture: 0 is the top edge, 1 the bottom edge. Not clamped.
    pub y: f32,
}

/// Objects that the camera has counted since its start, by the direction in which they moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Moved to the left.
    pub left: u32,
    /// Moved to the right.
    pub right: u32,
    /// Moved up. Luxonis' program does not count these.
    pub up: u32,
    /// Moved down. Luxonis' program does not count these.
    pub down: u32,
}

impl std::fmt::Display for Counters {
    /// Writes `3 left, 14 right`; up and down only if one of them is not 0.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { left, right, up, down } = self;
        write!(f, "{left} left, {right} right")?;
        if (*up, *down) == (0, 0) { Ok(()) } else { write!(f, ", {up} up, {down} down") }
    }
}

impl Track {
    /// Returns the track of a detection: the nearest one, if it is near the center of the box.
    #[must_use]
    pub fn of<'a>(tracks: &'a [Self], Detection { bbox, .. }: &Detection) -> Option<&'a Self> {
        let BBox { xmin, ymin, xmax, ymax } = *bbox;
        let (x, y) = (f32::midpoint(xmin, xmax), f32::midpoint(ymin, ymax));
        let near = |low: f32, high: f32| ((high - low).abs() * NEAR_SHARE).max(NEAR_MIN);
        let (across, down) = (near(xmin, xmax), near(ymin, ymax));
        // Comparisons with `NaN` are false.
        let is_near = |track: &&Self| (track.x - x).abs() <= across && (track.y - y).abs() <= down;
        let distance = |track: &Self| (track.x - x).hypot(track.y - y);
        tracks.iter().filter(is_near).min_by(|one, other| distance(one).total_cmp(&distance(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_has_the_nearest_track_at_its_center() {
        let boxed =
            |xmin, ymin, xmax, ymax| Detection { bbox: BBox { xmin, ymin, xmax, ymax }, ..Detection::default() };
        let tracks = [Track { id: 7, x: 0.25, y: 0.5 }, Track { id: 8, x: 0.27, y: 0.5 }];
        let of = |detection| Track::of(&tracks, &detection).map(|track| track.id);
        assert_eq!(of(boxed(0.15, 0.4, 0.35, 0.6)), Some(7));
        assert_eq!(of(boxed(0.17, 0.4, 0.37, 0.6)), Some(8));
        assert_eq!(of(boxed(0.6, 0.4, 0.8, 0.6)), None, "far away");
        assert_eq!(of(boxed(0.248, 0.498, 0.251, 0.501)), Some(7), "a small box, rounded");
        assert_eq!(of(boxed(f32::NAN, 0.4, 0.35, 0.6)), None);
        assert_eq!(of(boxed(0.0, 0.0, 1.0, 1.0)), None, "tracks in a box, but not at its center");
        assert_eq!(Track::of(&[], &boxed(0.0, 0.0, 1.0, 1.0)), None);
    }
}
