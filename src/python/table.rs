//! Detections of a recording as columns.

use bytemuck::NoUninit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::buffer::{Pixels, Sample};
use super::convert::{self, Origin};
use super::error::FormatError;
use crate::frame::Track;
use crate::recording::PlayedFrame;

/// One row for each detection. The names of the columns are those of `oaktap export --to parquet`.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Numbers of texts in `texts`, which frames share.
    camera: Vec<u32>,
    name: Vec<u32>,
    texts: Texts,
    seq: Vec<u64>,
    device_time_us: Vec<i64>,
    arrival_unix_ns: Vec<i64>,
    label: Vec<u32>,
    confidence: Vec<f32>,
    corners: [Vec<f32>; 4],
    size: [Vec<u32>; 2],
    position: [Vec<f32>; 3],
    track: Vec<i64>,
}

/// Each text once.
#[derive(Debug, Default)]
struct Texts {
    all: Vec<String>,
    numbers: std::collections::HashMap<String, u32>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.all.len() as u32;
        self.all.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}

impl Table {
    /// Adds the detections of a frame that pass the choice of the recording.
    pub(super) fn add(&mut self, played: &PlayedFrame, origin: &Origin) {
        let frame = &*played.frame;
        let names = origin.names(frame);
        for detection in frame.detections.iter().filter(|detection| origin.style.shows(detection, names)) {
            self.camera.push(self.texts.number(&origin.camera));
            self.name.push(self.texts.number(&names.title(detection.label)));
            self.seq.push(u64::from(played.sequence));
            self.device_time_us.push(frame.device_time.0);
            self.arrival_unix_ns.push(played.log_ns);
            self.label.push(detection.label);
            self.confidence.push(detection.confidence);
            let bbox = detection.bbox;
            for (column, edge) in self.corners.iter_mut().zip([bbox.xmin, bbox.ymin, bbox.xmax, bbox.ymax]) {
                column.push(edge);
            }
            let size = frame.size().map_or([0; 2], |size| [size.width, size.height]);
            self.size.iter_mut().zip(size).for_each(|(column, side)| column.push(side));
            let place = detection.position.map_or([f32::NAN; 3], |position| position.mm());
            self.position.iter_mut().zip(place).for_each(|(column, mm)| column.push(mm));
            self.track.push(Track::of(&frame.tracks, detection).map_or(-1, |track| track.id.into()));
        }
    }

    /// Makes numpy arrays of the columns.
    pub(super) fn into_columns(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let columns = PyDict::new(py);
        let texts = PyList::new(py, &self.texts.all)?;
        let numpy = |rows: &[u32]| -> PyResult<Bound<'_, PyAny>> {
            let items = rows.iter().map(|row| texts.get_item(*row as usize)).collect::<PyResult<Vec<_>>>()?;
            py.import("numpy")?.call_method1("array", (PyList::new(py, items)?, "O"))
        };
        columns.set_item("camera", numpy(&self.camera)?)?;
        columns.set_item("seq", column(py, &self.seq, Sample::U64)?)?;
        columns.set_item("device_time_us", column(py, &self.device_time_us, Sample::I64)?)?;
        columns.set_item("arrival_unix_ns", column(py, &self.arrival_unix_ns, Sample::I64)?)?;
        columns.set_item("label", column(py, &self.label, Sample::U32)?)?;
        columns.set_item("name", numpy(&self.name)?)?;
        columns.set_item("confidence", column(py, &self.confidence, Sample::F32)?)?;
        for (name, values) in ["xmin", "ymin", "xmax", "ymax"].into_iter().zip(&self.corners) {
            columns.set_item(name, column(py, values, Sample::F32)?)?;
        }
        for (name, values) in ["width", "height"].into_iter().zip(&self.size) {
            columns.set_item(name, column(py, values, Sample::U32)?)?;
        }
        for (name, values) in ["x_mm", "y_mm", "z_mm"].into_iter().zip(&self.position) {
            columns.set_item(name, column(py, values, Sample::F32)?)?;
        }
        columns.set_item("track", column(py, &self.track, Sample::I64)?)?;
        Ok(columns)
    }
}

fn column<T: NoUninit>(py: Python<'_>, values: &[T], sample: Sample) -> PyResult<Py<PyAny>> {
    let bytes = bytemuck::cast_slice(values).to_vec();
    let pixels = Pixels::own(bytes, &[values.len()], sample, None);
    convert::array(py, pixels.ok_or_else(|| FormatError::new_err("a column has another length than its rows"))?)
}
