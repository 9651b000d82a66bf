//! Detections of a frame.

use pyo3::prelude::*;

use super::error::FormatError;
use crate::frame::{self, Frame, Size, Track};
use crate::overlay::Style;

/// One detected object.
#[pyclass(frozen, module = "oaktap")]
pub(super) struct Detection {
    /// Number of the class.
    #[pyo3(get)]
    label: u32,
    /// Name of the class, or `#57`.
    #[pyo3(get)]
    name: String,
    confidence: f32,
    edges: [f32; 4],
    /// Number of the object's track, if the camera follows objects.
    #[pyo3(get)]
    track: Option<u32>,
    /// Millimeters to the right of the camera, if the camera sends it.
    #[pyo3(get)]
    x: Option<f32>,
    /// Millimeters above the camera, if the camera sends it.
    #[pyo3(get)]
    y: Option<f32>,
    /// Millimeters in front of the camera, if the camera sends it.
    #[pyo3(get)]
    z: Option<f32>,
    size: Option<Size>,
}

impl Detection {
    /// Returns the detections of a frame that pass the style.
    pub(super) fn of_frame(frame: &Frame, style: &Style) -> Vec<Self> {
        let names = style.names(frame.labels.as_deref());
        let shown = frame.detections.iter().filter(|detection| style.shows(detection, names));
        shown
            .map(|detection| {
                let frame::BBox { xmin, ymin, xmax, ymax } = detection.bbox;
                let [x, y, z] = match detection.position {
                    Some(position) => position.mm().map(Some),
                    None => [None; 3],
                };
                Self {
                    label: detection.label,
                    name: names.title(detection.label).into_owned(),
                    confidence: detection.confidence,
                    edges: [xmin, ymin, xmax, ymax],
                    track: Track::of(&frame.tracks, detection).map(|track| track.id),
                    x,
                    y,
                    z,
                    size: frame.size(),
                }
            })
            .collect()
    }
}

#[pymethods]
impl Detection {
    /// Confidence as sent, normally 0 to 1.
    #[getter]
    fn confidence(&self) -> f64 {
        as_read(self.confidence)
    }

    /// Left, top, right and bottom edge as sent: 0 is the left or top edge of the picture, 1 the right or bottom edge.
    #[getter]
    fn bbox(&self) -> (f64, f64, f64, f64) {
        let [left, top, right, bottom] = self.edges.map(as_read);
        (left, top, right, bottom)
    }

    /// Left, top, right and bottom edge in pixels of the frame, rounded towards 0 and not clipped, as Luxonis' host.py has them.
    #[getter(r#box)]
    fn pixels(&self) -> PyResult<(i32, i32, i32, i32)> {
        let Size { width, height } = self
            .size
            .ok_or_else(|| FormatError::new_err("the size of the picture is unknown; bbox is relative to it"))?;
        // Casts clamp, and `NaN` becomes 0.
        let pixel = |edge: f64, side: u32| (edge * f64::from(side)) as i32;
        let [left, top, right, bottom] = self.edges.map(as_read);
        Ok((pixel(left, width), pixel(top, height), pixel(right, width), pixel(bottom, height)))
    }

    fn __repr__(&self) -> String {
        let [left, top, right, bottom] = self.edges;
        format!(
            "<oaktap.Detection {} {:.2} ({left:.3}, {top:.3}, {right:.3}, {bottom:.3})>",
            self.name, self.confidence
        )
    }
}

/// Returns a number as Python reads it from the text that the camera sent: 0.12, and not 0.11999999731779099. host.py multiplies
/// the former: 0.7 of 640 pixels is 448, and 447.99999 in 32 bits.
fn as_read(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| f64::from(number))
}
