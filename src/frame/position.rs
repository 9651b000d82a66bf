//! Places of objects in front of the camera.

use std::fmt;

/// Distances from here on, in millimeters, are not taken for measurements: 1 km. Stereo cameras see up to about 40 m.
const DEPTH_END_MM: f32 = 1e6;

/// A length in millimeters, as the camera sent it: possibly negative or `NaN`.
///
/// `Display` writes meters, with two decimals below 10 m and one decimal from there on: `0.45 m`, `1.24 m`, `12.3 m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, serde::Serialize)]
#[serde(transparent)]
pub struct Millimeters(pub f32);

impl fmt::Display for Millimeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meters = f64::from(self.0) / 1000.0;
        // 9.996 m would have two decimals and read `10.00 m`.
        let decimals = if meters.abs() < 9.995 { 2 } else { 1 };
        f.pad(&format!("{meters:.decimals$} m"))
    }
}

/// The place of an object in the coordinates of the camera, as spatial networks send it. Not checked: cameras send zeros
/// for an object without depth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Position {
    /// Distance to the right of the camera's axis.
    pub x: Millimeters,
    /// Distance above the camera's axis.
    pub y: Millimeters,
    /// Distance in front of the camera, along its axis.
    pub z: Millimeters,
}

impl Position {
    /// Returns the position at these millimeters.
    #[must_use]
    pub const fn from_mm([x, y, z]: [f32; 3]) -> Self {
        Self { x: Millimeters(x), y: Millimeters(y), z: Millimeters(z) }
    }

    /// Returns x, y and z in millimeters.
    #[must_use]
    pub const fn mm(&self) -> [f32; 3] {
        [self.x.0, self.y.0, self.z.0]
    }

    /// Returns `z` if the camera measured it. Cameras send 0 otherwise.
    #[must_use]
    pub fn depth(&self) -> Option<Millimeters> {
        // Comparisons with `NaN` are false.
        (self.z.0 > 0.0 && self.z.0 < DEPTH_END_MM).then_some(self.z)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_meters() {
        for (mm, text) in [
            (0.0, "0.00 m"),
            (4.0, "0.00 m"),
            (450.0, "0.45 m"),
            (1237.0, "1.24 m"),
            (9994.0, "9.99 m"),
            (9996.0, "10.0 m"),
            (12_340.0, "12.3 m"),
            (999_999.0, "1000.0 m"),
            (-1237.0, "-1.24 m"),
        ] {
            assert_eq!(Millimeters(mm).to_string(), text, "{mm} mm");
        }
        assert_eq!(format!("{:>8}", Millimeters(450.0)), "  0.45 m");
    }

    #[test]
    fn only_measured_distances_are_depths() {
        let depth = |z| Position::from_mm([1.0, 2.0, z]).depth().map(|depth| depth.0);
        assert_eq!(depth(1237.0), Some(1237.0));
        for none in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e6] {
            assert_eq!(depth(none), None, "{none}");
        }
    }
}
