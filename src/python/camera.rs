//! A camera of a stream: its state and its counts.

use std::sync::Arc;

use pyo3::prelude::*;

use super::stream::Core;
use super::{error, value};
use crate::source::Session;

/// A camera of a stream.
#[pyclass(frozen, module = "oaktap")]
pub(super) struct Camera {
    core: Arc<Core>,
    number: usize,
}

impl Camera {
    pub(super) fn new(core: &Arc<Core>, number: usize) -> Self {
        Self { core: Arc::clone(core), number }
    }

    fn session(&self) -> &Session {
        &self.core.sessions[self.number]
    }
}

#[pymethods]
impl Camera {
    /// The given name, or that of the source.
    #[getter]
    fn name(&self) -> &str {
        self.session().name()
    }

    /// The source, without passwords.
    #[getter]
    fn source(&self) -> String {
        self.session().spec().to_string()
    }

    /// `connecting`, `waiting`, `silent`, `streaming`, `stalled`, `outside`, `lost` or `ended`.
    #[getter]
    pub(super) fn state(&self) -> &'static str {
        self.session().state().word()
    }

    /// The state as a sentence.
    #[getter]
    fn state_text(&self) -> String {
        self.session().state().to_string()
    }

    /// The error of the last connection or attempt, if the camera is not connected because of it.
    #[getter]
    fn error(&self) -> Option<PyErr> {
        self.session().state().reason().map(error::of_source)
    }

    /// Counts of every frame and byte, with the fields that `oaktap --json` prints: `ledger.frames.confirmed`, also as dictionaries:
    /// `ledger["frames"]["confirmed"]`. The lane `python` counts the frames that waited for the iterator, and how many of them were
    /// dropped.
    #[getter]
    pub(super) fn ledger<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let session = self.session();
        let summary = py.detach(|| session.stats().summary(session.name()));
        value::fields(py, &summary)
    }

    fn __repr__(&self) -> String {
        format!("<oaktap.Camera {} {}>", self.name(), self.state())
    }
}
