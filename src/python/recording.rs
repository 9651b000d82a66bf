//! Recordings as sequences of frames.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySlice, PyString};

use super::convert::Origin;
use super::error::{self, RecordingError};
use super::frame::Frame;
use super::kept::Counter;
use super::open;
use super::table::Table;
use super::value;
use crate::decode::VideoDecoder;
use crate::export::TimeSpec;
use crate::frame::{self, Pool};
use crate::recording::{PlayedFrame, Player, inspect};
use crate::sync::locked;

/// Frames after a wanted one that are read because its picture may come later, in the order of display.
const LATE_MAX: usize = 32;

/// Decoded pictures that wait to be asked for.
const READY_MAX: usize = 64;

/// Reading on is quicker than a seek for at most this many frames.
const SKIP_MAX: usize = 32;

/// Place of a frame in the file.
#[derive(Clone, Copy, Debug)]
struct Entry {
    camera: usize,
    sequence: u32,
    log_ns: i64,
    /// The frame from which a decoder has to start.
    start: usize,
}

/// A file, and what its frames have in common.
struct File {
    path: PathBuf,
    origins: Vec<Arc<Origin>>,
    /// The chosen cameras.
    chosen: Vec<bool>,
    kept: Arc<Counter>,
    index: OnceLock<Vec<Entry>>,
    /// Reads single frames.
    reading: Mutex<Option<Reading>>,
}

impl File {
    /// Calls `each` with all chosen frames, undecoded. Ctrl-C stops it.
    fn scan(&self, py: Python<'_>, mut each: impl FnMut(&PlayedFrame) + Send) -> PyResult<()> {
        let mut player = Player::open(&self.path, Pool::default()).map_err(|error| error::of_recording(&error, &self.path))?;
        loop {
            let ended = py.detach(|| {
                for _ in 0..256 {
                    match player.next_frame() {
                        Ok(Some(played)) if self.chosen[played.camera] => each(&played),
                        Ok(Some(_)) => {}
                        Ok(None) => return Ok(true),
                        Err(error) => return Err(error),
                    }
                }
                Ok(false)
            });
            if ended.map_err(|error| error::of_recording(&error, &self.path))? {
                return Ok(());
            }
            py.check_signals()?;
        }
    }

    /// Returns the places of the chosen frames, for which the file is read once.
    fn index(&self, py: Python<'_>) -> PyResult<&[Entry]> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let mut index: Vec<Entry> = Vec::new();
        let mut starts = vec![0; self.chosen.len()];
        self.scan(py, |played| {
            if played.frame.is_key_frame() {
                starts[played.camera] = index.len();
            }
            let PlayedFrame { camera, sequence, log_ns, .. } = *played;
            index.push(Entry { camera, sequence, log_ns, start: starts[camera] });
        })?;
        Ok(self.index.get_or_init(|| index))
    }

    fn frame(&self, played: &PlayedFrame, frame: Arc<frame::Frame>) -> Frame {
        let origin = Arc::clone(&self.origins[played.camera]);
        Frame::new(frame, origin, &self.kept, u64::from(played.sequence), 0)
    }

    /// Reads one frame.
    fn get(&self, py: Python<'_>, number: usize) -> PyResult<Frame> {
        let index = self.index(py)?;
        let entry = index.get(number).copied().ok_or_else(|| PyIndexError::new_err("frame number out of range"))?;
        let frame = py.detach(|| {
            let mut reading = locked(&self.reading);
            let found = Reading::of(&mut reading, self, index).and_then(|reading| reading.get(self, index, number));
            if found.is_err() {
                *reading = None;
            }
            found
        })?;
        let origin = Arc::clone(&self.origins[entry.camera]);
        Ok(Frame::new(frame, origin, &self.kept, u64::from(entry.sequence), 0))
    }

    fn first_at(&self, py: Python<'_>, unix_ns: i64) -> PyResult<usize> {
        Ok(self.index(py)?.partition_point(|entry| entry.log_ns < unix_ns))
    }
}

/// A position in the file, and the pictures that were decoded before it.
struct Reading {
    player: Player,
    decoders: Vec<VideoDecoder>,
    /// Number of the next frame that the player returns.
    next: usize,
    /// Pictures by the number of their frame.
    ready: Vec<(usize, Arc<frame::Frame>)>,
    /// Frames of video that were given to a decoder, by their number.
    given: Vec<(usize, Arc<frame::Frame>)>,
    failed: Option<(usize, String)>,
}

impl Reading {
    fn of<'a>(reading: &'a mut Option<Self>, file: &File, index: &[Entry]) -> PyResult<&'a mut Self> {
        if reading.is_none() {
            let player = Player::open(&file.path, Pool::default()).map_err(|error| error::of_recording(&error, &file.path))?;
            let decoders = file.chosen.iter().map(|_| VideoDecoder::new(Pool::default())).collect();
            let (ready, given) = (Vec::new(), Vec::new());
            *reading = Some(Self { player, decoders, next: index.len(), ready, given, failed: None });
        }
        reading.as_mut().ok_or_else(|| RecordingError::new_err("the recording cannot be read"))
    }

    fn get(&mut self, file: &File, index: &[Entry], number: usize) -> PyResult<Arc<frame::Frame>> {
        if let Some(at) = self.ready.iter().position(|(ready, _)| *ready == number) {
            return Ok(self.ready.swap_remove(at).1);
        }
        let Entry { start, .. } = index[number];
        if self.next > number || number - self.next > SKIP_MAX && start > self.next {
            self.seek(file, index, start)?;
        }
        while self.next < index.len() && self.next <= number + LATE_MAX {
            self.read(file, index, self.next > number || start <= self.next)?;
            if let Some(at) = self.ready.iter().position(|(ready, _)| *ready == number) {
                return Ok(self.ready.swap_remove(at).1);
            }
            if let Some((_, why)) = self.failed.take_if(|(failed, _)| *failed == number) {
                return Err(RecordingError::new_err(format!("cannot decode frame {number}: {why}")));
            }
        }
        let camera = index[number].camera;
        let mut late = Vec::new();
        self.decoders[camera].flush(|frame| late.push(frame));
        self.take(late);
        match self.ready.iter().position(|(ready, _)| *ready == number) {
            Some(at) => Ok(self.ready.swap_remove(at).1),
            None => Err(RecordingError::new_err(format!("cannot decode frame {number}"))),
        }
    }

    fn seek(&mut self, file: &File, index: &[Entry], start: usize) -> PyResult<()> {
        let failed = |error| error::of_recording(&error, &file.path);
        self.player.seek(index[start].log_ns).map_err(failed)?;
        self.decoders.iter_mut().for_each(|decoder| decoder.flush(drop));
        (self.ready.clear(), self.given.clear());
        self.failed = None;
        // The player starts up to one chunk before the time.
        loop {
            let played = self.player.next_frame().map_err(failed)?;
            let played = played.ok_or_else(|| RecordingError::new_err("the recording has changed while it was read"))?;
            if (played.camera, played.sequence) == (index[start].camera, index[start].sequence) {
                self.next = start;
                self.put(played, true);
                return Ok(());
            }
        }
    }

    /// Reads the next chosen frame.
    fn read(&mut self, file: &File, index: &[Entry], decodes: bool) -> PyResult<()> {
        loop {
            let played = self.player.next_frame().map_err(|error| error::of_recording(&error, &file.path))?;
            let Some(played) = played else {
                self.next = index.len();
                return Ok(());
            };
            if file.chosen[played.camera] {
                self.put(played, decodes);
                return Ok(());
            }
        }
    }

    /// Takes over a frame, which has the number [`Self::next`].
    fn put(&mut self, played: PlayedFrame, decodes: bool) {
        let number = self.next;
        self.next += 1;
        let PlayedFrame { camera, frame, .. } = played;
        if !frame.kind.is_video() {
            // The pictures of video may be asked for later.
            self.ready.retain(|(_, ready)| ready.coded.is_some());
            self.ready.push((number, frame));
            return;
        }
        if !decodes {
            return;
        }
        let mut decoded = Vec::new();
        self.given.push((number, Arc::clone(&frame)));
        if let Err(error) = self.decoders[camera].decode(&frame, |frame| decoded.push(frame)) {
            self.failed = Some((number, error.to_string()));
        }
        self.take(decoded);
    }

    /// Finds the numbers of decoded frames.
    fn take(&mut self, decoded: Vec<Arc<frame::Frame>>) {
        for frame in decoded {
            let coded = |(_, given): &(usize, Arc<frame::Frame>)| {
                frame.coded.as_ref().is_some_and(|coded| Arc::ptr_eq(coded, given))
            };
            if let Some(at) = self.given.iter().position(coded) {
                let (number, _) = self.given.swap_remove(at);
                self.ready.push((number, frame));
            }
        }
        for waiting in [&mut self.ready, &mut self.given] {
            let many = waiting.len().saturating_sub(READY_MAX);
            waiting.drain(..many);
        }
    }
}

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
        let opened = py.detach(|| Player::open(&path, Pool::default()).map(|player| player.cameras().map(|camera| camera.name.clone()).collect::<Vec<_>>()));
        let names = opened.map_err(|error| error::of_recording(&error, &path))?;
        if let Some(unknown) = wanted.iter().flatten().find(|name| !names.contains(name)) {
            let text = format!("this recording has no camera `{unknown}`; it has {}", names.join(", "));
            return Err(RecordingError::new_err(text));
        }
        let chosen = names.iter().map(|name| wanted.as_ref().is_none_or(|wanted| wanted.contains(name))).collect();
        let origins = names.iter().map(|name| Origin::new(name, &style)).collect();
        let (kept, index, reading) = (Arc::default(), OnceLock::new(), Mutex::new(None));
        Ok(Self { file: Arc::new(File { path, origins, chosen, kept, index, reading }) })
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
        file.origins.iter().zip(&file.chosen).filter(|(_, chosen)| **chosen).map(|(origin, _)| &*origin.camera).collect()
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
        Ok(Frames { file: Arc::clone(&self.file), range: Some((first..end.max(first)).collect()), next: Mutex::new(None) })
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
    let number: isize = key.extract().map_err(|_| PyTypeError::new_err("frames have numbers: expected an integer or a slice"))?;
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
        let time: TimeSpec = text.parse().map_err(|error: <TimeSpec as std::str::FromStr>::Err| PyValueError::new_err(error.to_string()))?;
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

/// Reads and decodes all frames once.
struct Sequential {
    player: Player,
    decoders: Vec<VideoDecoder>,
    ready: std::collections::VecDeque<(PlayedFrame, Arc<frame::Frame>)>,
    given: Vec<PlayedFrame>,
    ended: bool,
}

impl Sequential {
    fn next(&mut self, file: &File) -> PyResult<Option<Frame>> {
        loop {
            if let Some((played, frame)) = self.ready.pop_front() {
                return Ok(Some(file.frame(&played, frame)));
            }
            if self.ended {
                return Ok(None);
            }
            let played = self.player.next_frame().map_err(|error| {
                self.ended = true;
                error::of_recording(&error, &file.path)
            })?;
            let mut decoded = Vec::new();
            match played {
                None => {
                    self.ended = true;
                    self.decoders.iter_mut().for_each(|decoder| decoder.flush(|frame| decoded.push(frame)));
                }
                Some(played) if !file.chosen[played.camera] => {}
                Some(played) if !played.frame.kind.is_video() => {
                    let frame = Arc::clone(&played.frame);
                    self.ready.push_back((played, frame));
                }
                Some(played) => {
                    let (camera, frame) = (played.camera, Arc::clone(&played.frame));
                    self.given.push(played);
                    // Frames before the first key frame have no picture.
                    let _ = self.decoders[camera].decode(&frame, |frame| decoded.push(frame));
                }
            }
            for frame in decoded {
                let coded = |given: &PlayedFrame| frame.coded.as_ref().is_some_and(|coded| Arc::ptr_eq(coded, &given.frame));
                if let Some(at) = self.given.iter().position(coded) {
                    self.ready.push_back((self.given.swap_remove(at), frame));
                }
            }
            let many = self.given.len().saturating_sub(READY_MAX);
            self.given.drain(..many);
        }
    }
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
                let file = &self.file;
                let player = Player::open(&file.path, Pool::default()).map_err(|error| error::of_recording(&error, &file.path))?;
                let decoders = file.chosen.iter().map(|_| VideoDecoder::new(Pool::default())).collect();
                let reading = Sequential { player, decoders, ready: Default::default(), given: Vec::new(), ended: false };
                *next = Some(Cursor::Reading(Box::new(reading)));
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
