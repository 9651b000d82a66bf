//! `oaktap.open` and `oaktap.record`: arguments, and the start of sessions.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::error::{self, SourceError};
use super::recorder::{RecordArguments, Recorder};
use super::stream::{self, Core, Stream};
use crate::cli;
use crate::frame::{Interpreter, LabelMap, Overrides, PixelFormat, Size};
use crate::live;
use crate::overlay::Style;
use crate::source::{NamedSource, SessionOptions, Timeouts};

/// Opens one or several sources, such as `"192.168.1.50"`, `"front=192.168.1.50"`, `"sim:"` or `"file:x.mcap"`, and returns their
/// frames. Connects in the background, and again when a connection is lost.
///
/// threshold: least confidence of detections. only: names or numbers of the classes to keep. labels: names of the classes, as a list,
/// a dictionary, or a file. timeout: seconds to wait for a frame before TimeoutError; None waits for ever. size, format, stride: layout
/// of raw pictures, if the detected one is wrong. stream: name of another stream of the camera, such as "depth". idle_timeout: seconds without data before it connects again. reconnect: False ends
/// with the first connection.
#[pyfunction]
#[pyo3(signature = (source, *, threshold = 0.0, only = None, labels = None, timeout = None, size = None, format = None, stride = None, stream = None, idle_timeout = None, reconnect = true))]
#[allow(clippy::too_many_arguments)] // Python has names for them.
pub(super) fn open(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
    threshold: f32,
    only: Option<&Bound<'_, PyAny>>,
    labels: Option<&Bound<'_, PyAny>>,
    timeout: Option<f64>,
    size: Option<&Bound<'_, PyAny>>,
    format: Option<&str>,
    stride: Option<u32>,
    stream: Option<&str>,
    idle_timeout: Option<f64>,
    reconnect: bool,
) -> PyResult<Stream> {
    let mut cameras = cameras(source)?;
    cameras.iter_mut().for_each(|camera| camera.stream = stream.map(Into::into));
    let style = style(threshold, only, labels)?;
    let overrides =
        Overrides { size: size.map(self::size).transpose()?, format: format.map(self::format).transpose()?, stride };
    let timeout = stream::timeout(timeout)?;
    let idle_fixed = stream::timeout(idle_timeout)?;
    let options = SessionOptions {
        interpreter: Interpreter::new(overrides),
        names: style.names.clone().map(Arc::new),
        timeouts: Timeouts { idle_fixed, ..Timeouts::default() },
        reconnect,
        ..SessionOptions::default()
    };
    let core = py.detach(|| Core::start(cameras, &options, style, true))?;
    Ok(Stream::new(core, timeout))
}

/// Records one or several sources to a file `.mcap` or a folder, until the recorder is stopped or its `with` block ends.
///
/// split: start a new file after this time or size, such as "10min" or "2GB". keep: delete old files beyond this limit, such as "7d"
/// or "50GB". compression: "none", "lz4" or "zstd". trigger: record only around detections such as "person>0.6", with the times `pre`
/// and `post` around them. sync: sync to the disk every second. labels: names of the classes.
#[pyfunction]
#[pyo3(signature = (source, path, *, split = None, keep = None, compression = "none", trigger = None, pre = "5s", post = "10s", sync = false, labels = None))]
#[allow(clippy::too_many_arguments)] // Python has names for them.
pub(super) fn record(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
    path: PathBuf,
    split: Option<&str>,
    keep: Option<&str>,
    compression: &str,
    trigger: Option<&str>,
    pre: &str,
    post: &str,
    sync: bool,
    labels: Option<&Bound<'_, PyAny>>,
) -> PyResult<Recorder> {
    let cameras = cameras(source)?;
    let style = style(0.0, None, labels)?;
    let options = SessionOptions { names: style.names.clone().map(Arc::new), ..SessionOptions::default() };
    let arguments = RecordArguments { path, split, keep, compression, trigger, pre, post, sync };
    // Before the sessions start, so that a refused file opens no connection.
    let record = arguments.options(style.names.clone())?;
    let core = py.detach(|| Core::start(cameras, &options, style, false))?;
    Recorder::start_with(py, &core, record, true)
}

/// Parses the sources, with their names.
fn cameras(source: &Bound<'_, PyAny>) -> PyResult<Vec<live::Camera>> {
    let texts = texts(source, "source")?;
    if texts.is_empty() {
        return Err(PyValueError::new_err("no source: expected at least one"));
    }
    let parse = |text: &String| text.parse::<NamedSource>().map_err(|error| SourceError::new_err(error.to_string()));
    let sources = texts.iter().map(parse).collect::<PyResult<Vec<_>>>()?;
    Ok(live::cameras(&sources))
}

/// Returns one text, or those of a list.
pub(super) fn texts(value: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<String>> {
    if value.is_instance_of::<PyString>() {
        return Ok(vec![value.extract()?]);
    }
    let wrong = || PyTypeError::new_err(format!("invalid {what}: expected a text or a list of texts"));
    let text = |item: PyResult<Bound<'_, PyAny>>| item?.extract::<String>().map_err(|_| wrong());
    value.try_iter().map_err(|_| wrong())?.map(text).collect()
}

/// Returns which detections to keep, and the names of their classes.
pub(super) fn style(
    threshold: f32,
    only: Option<&Bound<'_, PyAny>>,
    labels: Option<&Bound<'_, PyAny>>,
) -> PyResult<Style> {
    if !(0.0..=1.0).contains(&threshold) {
        return Err(PyValueError::new_err(format!("invalid threshold {threshold}: expected 0 to 1")));
    }
    let only = only.map(classes).transpose()?.unwrap_or_default();
    let names = labels.map(self::labels).transpose()?;
    Ok(Style { threshold, only, names, ..Style::default() })
}

/// Returns names and numbers of classes as text.
fn classes(value: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if let Ok(number) = value.extract::<u32>() {
        return Ok(vec![number.to_string()]);
    }
    if value.is_instance_of::<PyString>() {
        return Ok(vec![value.extract()?]);
    }
    let wrong = || PyTypeError::new_err("invalid only: expected names or numbers of classes");
    let class = |item: PyResult<Bound<'_, PyAny>>| {
        let item = item?;
        let number = || item.extract::<u32>().map(|number| number.to_string());
        item.extract::<String>().or_else(|_| number()).map_err(|_| wrong())
    };
    value.try_iter().map_err(|_| wrong())?.map(class).collect()
}

/// Returns the names of classes from a list, a dictionary or a file.
fn labels(value: &Bound<'_, PyAny>) -> PyResult<LabelMap> {
    if let Ok(names) = value.cast::<PyDict>() {
        let mut map = LabelMap::default();
        for (number, name) in names {
            map.insert(number.extract()?, &name.extract::<String>()?);
        }
        return Ok(map);
    }
    if let Ok(path) = value.extract::<PathBuf>() {
        return cli::label_names(&path)
            .map_err(|(error, help)| PyValueError::new_err(error::text(&error, help.as_deref())));
    }
    let names = texts(value, "labels")?;
    Ok(names.iter().map(String::as_str).collect())
}

/// Returns a size from `(width, height)` or a text such as `640x352`.
fn size(value: &Bound<'_, PyAny>) -> PyResult<(u32, u32)> {
    if let Ok(text) = value.extract::<String>() {
        let size: Size =
            text.parse().map_err(|error: <Size as std::str::FromStr>::Err| PyValueError::new_err(error.to_string()))?;
        return Ok((size.width, size.height));
    }
    let size: (u32, u32) = value
        .extract()
        .map_err(|_| PyTypeError::new_err("invalid size: expected (width, height) or a text such as \"640x352\""))?;
    if size.0 == 0 || size.1 == 0 {
        return Err(PyValueError::new_err("invalid size: width and height must be at least 1"));
    }
    Ok(size)
}

fn format(name: &str) -> PyResult<PixelFormat> {
    name.parse().map_err(|error: <PixelFormat as std::str::FromStr>::Err| PyValueError::new_err(error.to_string()))
}
