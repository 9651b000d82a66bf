//! `oaktap.export`.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::error;
use super::{open, value};
use crate::export::{self, Choice, ExportError, ExportFormat, ExportOptions, ExportProgress, TimeSpec};

/// Exports recordings to pictures, video, tables or data sets, as `oaktap export` does, and returns its report.
///
/// path: a recording, or a list of them. output: a file or a folder that does not exist. to: png, jpeg, mp4, jsonl, csv, parquet, yolo
/// or coco; without it, the ending of the output decides. cameras, only, threshold, start, end ("10s", or a time such as
/// "2026-11-21T10:15:00Z") and every choose frames and detections. progress: called with the share that is done, 0 to 1.
#[pyfunction]
#[pyo3(name = "export", signature = (path, output, *, to = None, cameras = None, only = None, threshold = 0.0, start = None, end = None, every = 1, boxes = false, colormap = false, quality = None, progress = None))]
#[allow(clippy::too_many_arguments)] // Python has names for them.
pub(super) fn export_recordings<'py>(
    py: Python<'py>,
    path: &Bound<'py, PyAny>,
    output: PathBuf,
    to: Option<&str>,
    cameras: Option<&Bound<'py, PyAny>>,
    only: Option<&Bound<'py, PyAny>>,
    threshold: f32,
    start: Option<&str>,
    end: Option<&str>,
    every: u64,
    boxes: bool,
    colormap: bool,
    quality: Option<u8>,
    progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let files = paths(path)?;
    let format = match to {
        Some(name) => name.parse::<ExportFormat>().map_err(|error| PyValueError::new_err(error.to_string()))?,
        None => by_ending(&output)?,
    };
    if quality.is_some_and(|quality| !(1..=100).contains(&quality)) {
        return Err(PyValueError::new_err("invalid quality: expected 1 to 100"));
    }
    if every == 0 {
        return Err(PyValueError::new_err("invalid every: expected at least 1"));
    }
    let time = |text: &str| text.parse::<TimeSpec>().map_err(|error| PyValueError::new_err(error.to_string()));
    let style = open::style(threshold, only, None)?;
    let choice = Choice {
        cameras: cameras.map(|cameras| open::texts(cameras, "cameras")).transpose()?.unwrap_or_default(),
        from: start.map(time).transpose()?,
        until: end.map(time).transpose()?,
        every,
        labels: style.only,
        min_confidence: threshold,
    };
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = ExportOptions { format, output, choice, boxes, colormap, quality, threads };
    let progress = progress.map(|progress| progress.clone().unbind());
    let mut stopped = None;
    let report = py.detach(|| {
        export::export(&files, &options, &mut |done| match Python::attach(|py| report(py, progress.as_ref(), done)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                stopped = Some(error);
                ControlFlow::Break(())
            }
        })
    });
    match (report, stopped) {
        (Ok(report), _) => value::fields(py, &report),
        (Err(ExportError::Stopped { .. }), Some(error)) => Err(error),
        (Err(ExportError::Stopped { .. }), None) => Err(PyKeyboardInterrupt::new_err(())),
        (Err(error), _) => {
            let help =
                error.help().map(|help| error.recording().map_or(help.to_owned(), |file| error::named(help, file)));
            Err(error::of_file(&error, help.as_deref()))
        }
    }
}

/// Looks for Ctrl-C, and calls the function of the user.
fn report(py: Python<'_>, progress: Option<&Py<PyAny>>, done: ExportProgress) -> PyResult<()> {
    py.check_signals()?;
    progress.map_or(Ok(()), |progress| progress.call1(py, (done.fraction,)).map(drop))
}

/// Returns one path, or those of a list.
fn paths(value: &Bound<'_, PyAny>) -> PyResult<Vec<PathBuf>> {
    if value.cast::<PyString>().is_err()
        && let Ok(items) = value.try_iter()
    {
        return items.map(|item| item?.extract()).collect();
    }
    Ok(vec![value.extract()?])
}

/// Returns the format that the ending of a name stands for.
fn by_ending(output: &Path) -> PyResult<ExportFormat> {
    let ending = output.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let format = ending.parse::<ExportFormat>().ok().filter(|format| format.is_table() || *format == ExportFormat::Mp4);
    format.ok_or_else(|| {
        let text = format!("the ending of {} is not that of a format", output.display());
        PyValueError::new_err(error::text(&text, Some("set to=\"png\", jpeg, mp4, jsonl, csv, parquet, yolo or coco")))
    })
}
