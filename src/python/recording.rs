//! Recordings as sequences of frames.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySlice, PyString};

use super::convert::Origin;
use super::error::{self, RecordingError};
use super::frame::Frame;
use super::open;
use super::reading::{Entry, File, Sequential};
use super::table::Table;
use super::value;
use crate::export::TimeSpec;
use crate::frame::Pool;
use crate::recording::{Player, inspect};
use crate::sync::locked;

/// A recording of oaktap, or an MCAP file with pictures of another program: a sequence of frames. `recording[5]`, `recording[-1]`,
/// `recording[10:20]`, `recording["10s":"1min"]` (times after the first frame, or such as "2026-11-21T10:15:00Z") and `for`.
#[pyclass(frozen, module = "oaktap", weakref)]
pub(super) struct Recording {
    file: Arc<File>,
}

impl Recording {
    fn all(&self) -> Frames {
        Frames { file: Arc::clone(&self.file), range: None, next: Mutex::new(None) }
    }
}

#[pymethods]
impl Recording {
    /// Opens a file. cameras: names of the cameras to read; all without it. threshold, only and labels: as in `oaktap.open`.
    #[new]
    #[pyo3(signature = (path, *, cameras = None, threshold = 0.0, only = None, labels = None))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        cameras: Option<&Bound<'_, PyAny>>,
        threshold: f32,
        only: Option<&Bound<'_, PyAny>>,
        labels: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let style = open::style(threshold, only, labels)?;
        let wanted = cameras.map(|cameras| open::texts(cameras, "cameras")).transpose()?;
        let opened = py.detach(|| {
            Player::open(&path, Pool::default())
                .map(|player| player.cameras().map(|camera| camera.name.clone()).collect::<Vec<_>>())
        });
        let names = opened.map_err(|error| error::of_recording(&error, &path))?;
        if let Some(unknown) = wanted.iter().flatten().find(|name| !names.contains(name)) {
            let text = format!("this recording has no camera `{unknown}`; it has {}", names.join(", "));
            return Err(RecordingError::new_err(text));
        }
        let chosen = names.iter().map(|name| wanted.as_ref().is_none_or(|wanted| wanted.contains(name))).collect();
        let origins = names.iter().map(|name| Origin::new(name, &style)).collect();
        Ok(Self { file: File::new(path, origins, chosen) })
    }

    /// Path of the file.
    #[getter]
    fn path(&self) -> PathBuf {
        self.file.path.clone()
    }

    /// Names of the cameras that are read.
    #[getter]
    fn cameras(&self) -> Vec<&str> {
        let file = &self.file;
        file.origins
            .iter()
            .zip(&file.chosen)
            .filter(|(_, chosen)| **chosen)
            .map(|(origin, _)| &*origin.camera)
            .collect()
    }

    /// The report of `oaktap inspect --json`: times, rates, sizes, gaps, labels and damage. Reads the file once.
    fn inspect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let report = py.detach(|| inspect::inspect(&self.file.path));
        value::fields(py, &report.map_err(|error| error::of_recording(&error, &self.file.path))?)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.file.index(py).map(<[Entry]>::len)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let index = self.file.index(py)?;
        if let Ok(slice) = key.cast::<PySlice>() {
            let frames = match time_slice(slice, index)? {
                Some(range) => range.step_by(1),
                None => {
                    let indices = slice.indices(index.len() as isize)?;
                    if indices.step < 1 {
                        return Err(PyValueError::new_err("frames cannot be sliced backwards"));
                    }
                    // In range, so not negative.
                    (indices.start as usize..indices.stop.max(indices.start) as usize).step_by(indices.step as usize)
                }
            };
            let frames = Frames { file: Arc::clone(&self.file), range: Some(frames.collect()), next: Mutex::new(None) };
            return Ok(Bound::new(py, frames)?.into_any());
        }
        let number = position(key, index.len())?;
        Ok(Bound::new(py, self.file.get(py, number)?)?.into_any())
    }

    fn __iter__(&self) -> Frames {
        self.all()
    }

    /// Returns the frames that arrived in this time, in seconds since 1970, UTC: `start` inclusive, `end` exclusive.
    #[pyo3(signature = (start = None, end = None))]
    fn between(&self, py: Python<'_>, start: Option<f64>, end: Option<f64>) -> PyResult<Frames> {
        // Casts clamp.
        let at = |seconds: f64| self.file.first_at(py, (seconds * 1e9) as i64);
        let first = start.map_or(Ok(0), at)?;
        let end = end.map_or_else(|| self.file.index(py).map(<[Entry]>::len), at)?;
        Ok(Frames {
            file: Arc::clone(&self.file),
            range: Some((first..end.max(first)).collect()),
            next: Mutex::new(None),
        })
    }

    /// Returns all detections as columns, one row for each: a dictionary of numpy arrays, for `pandas.DataFrame(...)` and
    /// `pyarrow.table(...)`. Reads the file once and decodes no picture. `track` is -1 without a track; positions are in millimeters
    /// and NaN if the camera sends none.
    #[getter]
    fn detections<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let mut table = Table::default();
        self.file.scan(py, |played| table.add(played, &self.file.origins[played.camera]))?;
        table.into_columns(py)
    }

    fn __repr__(&self) -> String {
        format!("<oaktap.Recording {}>", self.file.path.display())
    }
}

/// Returns the number of a frame, counted from the end if it is negative.
fn position(key: &Bound<'_, PyAny>, len: usize) -> PyResult<usize> {
    let number: isize =
        key.extract().map_err(|_| PyTypeError::new_err("frames have numbers: expected an integer or a slice"))?;
    let found = if number < 0 { len.checked_sub(number.unsigned_abs()) } else { usize::try_from(number).ok() };
    found.filter(|number| *number < len).ok_or_else(|| PyIndexError::new_err("frame number out of range"))
}

/// Returns the frames of a slice of times; `None` if its ends are numbers.
fn time_slice(slice: &Bound<'_, PySlice>, index: &[Entry]) -> PyResult<Option<Range<usize>>> {
    let [start, stop] = ["start", "stop"].map(|name| slice.getattr(name));
    let (start, stop) = (start?, stop?);
    if !start.is_instance_of::<PyString>() && !stop.is_instance_of::<PyString>() {
        return Ok(None);
    }
    if !slice.getattr("step")?.is_none() {
        return Err(PyValueError::new_err("a slice of times has no step"));
    }
    let first_ns = index.first().map_or(0, |entry| entry.log_ns);
    let place = |bound: &Bound<'_, PyAny>, none: usize| -> PyResult<usize> {
        if bound.is_none() {
            return Ok(none);
        }
        let text: String =
            bound.extract().map_err(|_| PyTypeError::new_err("a slice of times has two texts, such as \"10s\""))?;
        let time: TimeSpec = text
            .parse()
            .map_err(|error: <TimeSpec as std::str::FromStr>::Err| PyValueError::new_err(error.to_string()))?;
        let unix_ns = time.unix_ns(first_ns);
        Ok(index.partition_point(|entry| entry.log_ns < unix_ns))
    };
    let (start, stop) = (place(&start, 0)?, place(&stop, index.len())?);
    Ok(Some(start..stop.max(start)))
}

/// Some frames of a recording: a sequence, and an iterator over itself.
#[pyclass(frozen, module = "oaktap")]
pub(super) struct Frames {
    file: Arc<File>,
    /// Numbers of the frames; `None` for all, which are read without an index.
    range: Option<Vec<usize>>,
    next: Mutex<Option<Cursor>>,
}

/// Position of an iterator.
enum Cursor {
    /// Place in the numbers of the frames.
    At(usize),
    /// All frames are read in the order of the file.
    Reading(Box<Sequential>),
}

#[pymethods]
impl Frames {
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        match &self.range {
            Some(range) => Ok(range.len()),
            None => self.file.index(py).map(<[Entry]>::len),
        }
    }

    fn __getitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<Frame> {
        let number = position(key, self.__len__(py)?)?;
        self.file.get(py, self.range.as_ref().map_or(number, |range| range[number]))
    }

    /// Begins again with the first frame.
    fn __iter__(&self) -> Self {
        Self { file: Arc::clone(&self.file), range: self.range.clone(), next: Mutex::new(None) }
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        py.check_signals()?;
        if let Some(range) = &self.range {
            let place = {
                let mut next = locked(&self.next);
                let place = match &*next {
                    Some(Cursor::At(place)) => *place,
                    _ => 0,
                };
                *next = Some(Cursor::At(place + 1));
                place
            };
            return range.get(place).map(|number| self.file.get(py, *number)).transpose();
        }
        py.detach(|| {
            let mut next = locked(&self.next);
            if next.is_none() {
                *next = Some(Cursor::Reading(Box::new(Sequential::open(&self.file)?)));
            }
            match &mut *next {
                Some(Cursor::Reading(reading)) => reading.next(&self.file),
                _ => Ok(None),
            }
        })
    }

    fn __repr__(&self) -> String {
        let count = self.range.as_ref().map_or_else(|| "all".to_owned(), |range| range.len().to_string());
        format!("<oaktap.Frames {count} of {}>", self.file.path.display())
    }
}
