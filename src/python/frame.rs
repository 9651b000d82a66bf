//! A frame of a camera or of a recording.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList};

use super::buffer::Pixels;
use super::convert::{self, Origin};
use super::detection::Detection;
use super::error;
use super::kept::{Counter, KeptFrame};
use crate::convert::PackedOrder;
use crate::file::NewFile;
use crate::frame;
use crate::sink::snapshot::{self, SnapshotInfo, SnapshotTarget};

/// A frame, its picture and its detections. Frames do not change and can be kept.
#[pyclass(frozen, module = "oaktap")]
pub(super) struct Frame {
    frame: Arc<KeptFrame>,
    origin: Arc<Origin>,
    /// Number of the frame among those that the camera sent, over all connections. Always grows; gaps are frames that were lost.
    #[pyo3(get)]
    seq: u64,
    /// Frames that were dropped since the last one because Python was busy. The ledger counts them, too.
    #[pyo3(get)]
    skipped: u64,
    detections: PyOnceLock<Py<PyList>>,
    bgr: PyOnceLock<Py<PyAny>>,
    rgb: PyOnceLock<Py<PyAny>>,
}

impl Frame {
    pub(super) fn new(
        frame: Arc<frame::Frame>,
        origin: Arc<Origin>,
        kept: &Arc<Counter>,
        seq: u64,
        skipped: u64,
    ) -> Self {
        let (detections, bgr, rgb) = (PyOnceLock::new(), PyOnceLock::new(), PyOnceLock::new());
        Self { frame: KeptFrame::new(frame, kept), origin, seq, skipped, detections, bgr, rgb }
    }

    /// Returns the array that `cell` has, which is converted first.
    fn converted(&self, py: Python<'_>, cell: &PyOnceLock<Py<PyAny>>, order: PackedOrder) -> PyResult<Py<PyAny>> {
        let convert = || convert::array(py, self.origin.conversion.packed(py, &self.frame, order)?);
        cell.get_or_try_init(py, convert).map(|array| array.clone_ref(py))
    }
}

#[pymethods]
impl Frame {
    /// Name of the camera.
    #[getter]
    fn camera(&self) -> &str {
        &self.origin.camera
    }

    /// Name of the stream, if it is not the first one of the camera, such as `depth`.
    #[getter]
    fn stream(&self) -> Option<&str> {
        self.frame.stream.as_deref()
    }

    /// Arrival of the last byte in seconds since 1970, UTC.
    #[getter]
    fn timestamp(&self) -> f64 {
        self.frame.received.unix_ns as f64 / 1e9
    }

    /// Arrival of the last byte in nanoseconds since 1970, UTC.
    #[getter]
    fn arrival_unix_ns(&self) -> i64 {
        self.frame.received.unix_ns
    }

    /// Capture time by the camera's clock in seconds; `None` if the camera sends none.
    #[getter]
    fn device_time(&self) -> Option<f64> {
        (!self.frame.no_clock).then_some(self.frame.device_time.0 as f64 / 1e6)
    }

    /// The camera's own number of the frame, if it sends one.
    #[getter]
    fn camera_seq(&self) -> Option<u64> {
        self.frame.camera_seq
    }

    /// Width and height in pixels; `None` if unknown.
    #[getter]
    fn size(&self) -> Option<(u32, u32)> {
        self.frame.size().map(|size| (size.width, size.height))
    }

    /// Pixel format, such as `BGR888p` or `NV12`, or `JPEG`; `None` if unknown. That of decoded video is that of its pixels.
    #[getter]
    fn format(&self) -> Option<&'static str> {
        self.frame.format()
    }

    /// Whether the frame waited in the camera before the connection was opened, so that it does not show the present.
    #[getter]
    fn stale(&self) -> bool {
        self.frame.is_stale()
    }

    /// Objects that the camera's network found, as far as they pass `threshold` and `only`.
    #[getter]
    fn detections(&self, py: Python<'_>) -> PyResult<Py<PyList>> {
        let list = self.detections.get_or_try_init(py, || {
            let detections = Detection::of_frame(&self.frame, &self.origin.style);
            Ok::<_, PyErr>(PyList::new(py, detections)?.unbind())
        })?;
        Ok(list.clone_ref(py))
    }

    /// Blue, green and red as a numpy array of shape (height, width, 3), as OpenCV takes it. Converted once; it can be written.
    #[getter]
    fn bgr(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.converted(py, &self.bgr, PackedOrder::Bgr)
    }

    /// Red, green and blue as a numpy array of shape (height, width, 3). Converted once; it can be written.
    #[getter]
    fn rgb(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.converted(py, &self.rgb, PackedOrder::Rgb)
    }

    /// The received samples as a read-only numpy array, without a copy: (3, height, width) for planar formats, (height, width, 3)
    /// for interleaved ones, (height, width) for gray and depth, (height * 3 // 2, width) for NV12 and NV21.
    #[getter]
    fn planes(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        convert::array(py, convert::planes(&self.frame)?)
    }

    /// Depths in millimeters as a read-only numpy array of 16 bits, without a copy; 0 is not measured. `None` unless it is a depth
    /// frame.
    #[getter]
    fn depth_mm(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if !self.frame.is_depth() {
            return Ok(None);
        }
        convert::array(py, convert::planes(&self.frame)?).map(Some)
    }

    /// The bytes of the picture as received (of video: as decoded), as a buffer without a copy.
    #[getter]
    fn payload(&self) -> PyResult<Pixels> {
        convert::payload(&self.frame)
    }

    /// Converts the picture to a buffer, for programs without numpy: `memoryview(frame.pixels("rgb"))`.
    #[pyo3(signature = (order = "bgr"))]
    fn pixels(&self, py: Python<'_>, order: &str) -> PyResult<Pixels> {
        let order = match order {
            "bgr" => PackedOrder::Bgr,
            "rgb" => PackedOrder::Rgb,
            _ => return Err(PyValueError::new_err(format!("unknown order `{order}`: expected bgr or rgb"))),
        };
        self.origin.conversion.packed(py, &self.frame, order)
    }

    /// Returns a new BGR array with the detections drawn on it, as the window shows them.
    #[pyo3(signature = (*, boxes = true, labels = true))]
    fn draw(&self, py: Python<'_>, boxes: bool, labels: bool) -> PyResult<Py<PyAny>> {
        convert::array(py, self.origin.conversion.drawn(py, &self.frame, boxes, labels)?)
    }

    /// Returns the picture as a JPEG file: that of the camera if it sends JPEG and nothing is drawn, otherwise a new one of quality
    /// 80.
    #[pyo3(signature = (*, draw = false))]
    fn jpeg<'py>(&self, py: Python<'py>, draw: bool) -> PyResult<Bound<'py, PyBytes>> {
        if self.frame.kind == frame::PayloadKind::Jpeg && !draw {
            return Ok(PyBytes::new(py, self.frame.payload()));
        }
        Ok(PyBytes::new(py, &self.origin.conversion.jpeg(py, &self.frame, draw)?))
    }

    /// Writes the picture to a new file `.png` (with a JSON file beside it), `.jpg` or `.jpeg`, or to a folder under a name of its
    /// own. Depth becomes a PNG of 16 bits. Returns the path.
    #[pyo3(signature = (path, *, draw = false))]
    fn save(&self, py: Python<'_>, path: PathBuf, draw: bool) -> PyResult<PathBuf> {
        let extension =
            path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
        if matches!(&*extension, "jpg" | "jpeg") && !path.is_dir() {
            let file = self.jpeg(py, draw)?;
            let bytes = file.as_bytes();
            return match py.detach(|| write_new(&path, bytes)) {
                Ok(()) => Ok(path),
                Err(why) => Err(io::Error::new(why.kind(), format!("cannot write {}: {why}", path.display())).into()),
            };
        }
        let info = SnapshotInfo { camera: &self.origin.camera, names: self.origin.names(&self.frame) };
        let saved = py.detach(|| {
            let target = SnapshotTarget::from_path(path);
            let write = |picture: &frame::Picture| snapshot::write_picture(&target, picture, &self.frame, info);
            self.origin.conversion.draw(&self.frame, draw, draw, write)
        });
        let saved = saved.map_err(|error| error::of_conversion(&error))?;
        saved.map_err(|error| error::of_file(&error, None))
    }

    fn __repr__(&self) -> String {
        let size = self.frame.size().map_or_else(|| "?".to_owned(), |size| size.to_string());
        let format = self.frame.format().unwrap_or("?");
        format!("<oaktap.Frame {} {} {size} {format}>", self.origin.camera, self.seq)
    }
}

/// Writes a file that does not exist.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes)?;
    file.flush()?;
    file.finish().map(drop)
}
