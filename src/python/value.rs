//! Values of serde as objects of Python.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Serialize;

/// Converts a document with the field names of the program's JSON into dictionaries and lists.
pub(super) fn document<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(value).map_err(|error| PyValueError::new_err(error.to_string()))?;
    py.import("json")?.call_method1("loads", (text,))
}

/// Converts a document into an object with attributes, which nested dictionaries keep: `oaktap._object.Fields`.
pub(super) fn fields<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    py.import("oaktap._object")?.call_method1("Fields", (document(py, value)?,))
}
