//! Recorders of running cameras.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::camera::Camera;
use super::error;
use super::stream::Core;
use super::value;
use crate::export::TimeSpec;
use crate::frame::LabelMap;
use crate::live;
use crate::live::Sink as _;
use crate::net::clock::received_now;
use crate::sink::record::{RecordOptions, RecorderOutcome, Recorders, RecordingTarget, Trigger};
use crate::sync::locked;

/// Arguments of a recording, as Python gives them.
pub(super) struct RecordArguments<'a> {
    pub(super) path: PathBuf,
    pub(super) split: Option<&'a str>,
    pub(super) keep: Option<&'a str>,
    pub(super) compression: &'a str,
    pub(super) trigger: Option<&'a str>,
    pub(super) pre: &'a str,
    pub(super) post: &'a str,
    pub(super) sync: bool,
}

/// Parses an argument.
fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> PyResult<T> {
    text.parse().map_err(|error: T::Err| PyValueError::new_err(error.to_string()))
}

/// Parses a time such as `5s`.
fn duration(text: &str) -> PyResult<Duration> {
    match text.parse() {
        Ok(TimeSpec::After(duration)) => Ok(duration),
        _ => Err(PyValueError::new_err(format!(
            "invalid time `{text}`: expected a number and a unit, such as 500ms, 10s or 2min"
        ))),
    }
}

impl RecordArguments<'_> {
    /// Returns the settings of the recorder.
    pub(super) fn options(&self, labels: Option<LabelMap>) -> PyResult<RecordOptions> {
        let options = RecordOptions::new(RecordingTarget::from_path(self.path.clone()));
        let trigger = self.trigger.map(parsed::<Trigger>).transpose()?;
        let (pre, post) = (duration(self.pre)?, duration(self.post)?);
        Ok(RecordOptions {
            compression: parsed(self.compression)?,
            split: self.split.map(parsed).transpose()?,
            keep: self.keep.map(parsed).transpose()?,
            trigger: trigger.map(|trigger| Trigger { pre, post, pre_bytes: options.budget.limit() / 2, ..trigger }),
            sync: self.sync,
            labels,
            ..options
        })
    }
}

/// The state of a recorder.
enum Recording {
    Running(Box<Recorders>),
    Ended(Vec<RecorderOutcome>),
}

/// Records cameras until it is stopped, or its `with` block ends. The stream never waits for the disk, and every missing frame is
/// counted.
#[pyclass(frozen, module = "oaktap")]
pub(super) struct Recorder {
    core: Arc<Core>,
    recording: Mutex<Option<Recording>>,
    path: PathBuf,
    /// The sessions end with the recording.
    owns: bool,
}

impl Recorder {
    pub(super) fn start(
        py: Python<'_>,
        core: &Arc<Core>,
        arguments: &RecordArguments<'_>,
        owns: bool,
    ) -> PyResult<Self> {
        Self::start_with(py, core, arguments.options(core.style.names.clone())?, owns)
    }

    pub(super) fn start_with(py: Python<'_>, core: &Arc<Core>, options: RecordOptions, owns: bool) -> PyResult<Self> {
        let path = options.target.path().to_owned();
        let mut recorders = Recorders::new(options);
        live::connect(&core.cameras, &mut recorders)?;
        match py.detach(|| recorders.start().map(|()| recorders)) {
            Ok(recorders) => {
                let recording = Mutex::new(Some(Recording::Running(Box::new(recorders))));
                Ok(Self { core: Arc::clone(core), recording, path, owns })
            }
            Err(error) => Err(error::of_file(&error, error.help())),
        }
    }

    /// Finishes the files, once.
    fn finish(&self) {
        if self.owns {
            self.core.close();
        }
        let mut recording = locked(&self.recording);
        if self.core.is_forked() {
            // The other process finishes the files.
            return std::mem::forget(recording.take());
        }
        *recording = match recording.take() {
            Some(Recording::Running(recorders)) => Some(Recording::Ended(recorders.finish())),
            ended => ended,
        };
    }

    /// Returns copies: a thread must not wait for the interpreter while it holds the lock.
    fn outcomes(&self, py: Python<'_>) -> Vec<RecorderOutcome> {
        py.detach(|| match &*locked(&self.recording) {
            Some(Recording::Ended(outcomes)) => outcomes.clone(),
            _ => Vec::new(),
        })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        Python::try_attach(|py| py.detach(|| self.finish())).unwrap_or_else(|| self.finish());
    }
}

#[pymethods]
impl Recorder {
    /// Finishes the files, and returns the paths of them.
    fn stop(&self, py: Python<'_>) -> Vec<PathBuf> {
        py.detach(|| self.finish());
        self.files(py)
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __exit__(&self, py: Python<'_>, _type: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>, _trace: &Bound<'_, PyAny>) {
        py.detach(|| self.finish());
    }

    /// The file or folder that it writes to.
    #[getter]
    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// The cameras that it records.
    #[getter]
    fn cameras(&self) -> Vec<Camera> {
        (0..self.core.sessions.len()).map(|number| Camera::new(&self.core, number)).collect()
    }

    /// Frames that were recorded so far.
    #[getter]
    fn frames(&self, py: Python<'_>) -> u64 {
        py.detach(|| match &mut *locked(&self.recording) {
            Some(Recording::Running(recorders)) => {
                recorders.health(received_now().mono_ns).map_or(0, |health| health.total.frames)
            }
            Some(Recording::Ended(outcomes)) => outcomes.iter().map(|outcome| outcome.frames).sum(),
            None => 0,
        })
    }

    /// `waiting`, `recording`, `paused` (with the disk full) or `finished`.
    #[getter]
    fn state(&self, py: Python<'_>) -> &'static str {
        py.detach(|| match &mut *locked(&self.recording) {
            Some(Recording::Running(recorders)) => {
                recorders.health(received_now().mono_ns).map_or("finished", |health| health.total.state.word())
            }
            _ => "finished",
        })
    }

    /// Finished files; empty until it is stopped.
    #[getter]
    fn files(&self, py: Python<'_>) -> Vec<PathBuf> {
        self.outcomes(py).into_iter().flat_map(|outcome| outcome.files).map(|file| file.path).collect()
    }

    /// Counts of the finished recordings, with the fields that `oaktap record --json` prints; empty until it is stopped.
    #[getter]
    fn summary<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.outcomes(py).iter().map(|outcome| value::fields(py, outcome)).collect()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("<oaktap.Recorder {} {}, {} frames>", self.path.display(), self.state(py), self.frames(py))
    }
}
