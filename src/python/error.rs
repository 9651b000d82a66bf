//! Exceptions, with the texts of the program: the failure, and a line `help:` with the next step.

use std::error::Error;
use std::path::Path;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use crate::convert::ConvertError;
use crate::error::with_causes;
use crate::file::shell_word;
use crate::recording::RecordingError as FileError;
use crate::source::{SourceError as Failed, SourceErrorKind};

create_exception!(oaktap, OaktapError, PyException, "Base of all exceptions of oaktap.");
create_exception!(oaktap, SourceError, OaktapError, "A source is not valid, or cannot deliver frames.");
create_exception!(oaktap, RecordingError, OaktapError, "A recording cannot be written, read or exported.");
create_exception!(oaktap, FormatError, OaktapError, "A picture is not available in the requested form.");

/// Adds the exceptions to the module.
pub(super) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("OaktapError", py.get_type::<OaktapError>())?;
    module.add("SourceError", py.get_type::<SourceError>())?;
    module.add("RecordingError", py.get_type::<RecordingError>())?;
    module.add("FormatError", py.get_type::<FormatError>())
}

/// Joins an error and its help, as the program prints them.
pub(super) fn text(error: &str, help: Option<&str>) -> String {
    match help {
        Some(help) => format!("{error}\nhelp: {help}"),
        None => error.to_owned(),
    }
}

/// Converts the error of a session.
pub(super) fn of_source(error: &Failed) -> PyErr {
    let help = error.help().map(|help| match error.recording() {
        Some(file) => named(&help, file),
        None => help.into_owned(),
    });
    let text = text(&error.to_string(), help.as_deref());
    match error.kind {
        SourceErrorKind::Recording(_) => RecordingError::new_err(text),
        _ => SourceError::new_err(text),
    }
}

/// Converts the error of a recording.
pub(super) fn of_recording(error: &FileError, path: &Path) -> PyErr {
    let help = error.help().map(|help| named(help, error.path().unwrap_or(path)));
    RecordingError::new_err(text(&with_causes(error), help.as_deref()))
}

/// Converts another error about recordings.
pub(super) fn of_file(error: &(dyn Error + 'static), help: Option<&str>) -> PyErr {
    RecordingError::new_err(text(&with_causes(error), help))
}

/// Converts the error of a conversion.
pub(super) fn of_conversion(error: &ConvertError) -> PyErr {
    FormatError::new_err(error.to_string())
}

/// Names the file in the command of a help text.
pub(super) fn named(help: &str, path: &Path) -> String {
    help.replace("FILE", &shell_word(path))
}
