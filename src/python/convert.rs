//! Frames as arrays: the received planes as they are, and conversions into memory of their own.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::buffer::{Pixels, Region, Sample, Spare};
use super::error::{self, FormatError};
use super::kept::KeptFrame;
use crate::convert::{ConvertError, Converter, PackedOrder, encode_jpeg};
use crate::frame::{Frame, Geometry, LabelMap, PayloadKind, Picture, PixelFormat};
use crate::overlay::{Overlay, Style};
use crate::sync::locked;

/// Converts the frames of one camera.
#[derive(Debug)]
pub(super) struct Conversion {
    converter: Mutex<Converter>,
    drawing: Mutex<(Overlay, Picture)>,
    spare: Arc<Spare>,
}

impl Conversion {
    pub(super) fn new(style: Style) -> Self {
        let drawing = Mutex::new((Overlay::new(style), Picture::default()));
        Self { converter: Mutex::default(), drawing, spare: Arc::default() }
    }

    /// Converts a frame to pixels of three bytes.
    pub(super) fn packed(&self, py: Python<'_>, frame: &Frame, order: PackedOrder) -> PyResult<Pixels> {
        let (buffer, size) = py.detach(|| self.convert(frame, order)).map_err(|error| error::of_conversion(&error))?;
        self.own(buffer, size)
    }

    fn convert(&self, frame: &Frame, order: PackedOrder) -> Result<(Vec<u8>, (u32, u32)), ConvertError> {
        let mut converter = locked(&self.converter);
        // The size of a JPEG file is known with its pixels only.
        let is_raw = |geometry: &Geometry| frame.kind == PayloadKind::Raw && geometry.format != PixelFormat::Jpeg;
        let Some(geometry) = frame.geometry.filter(is_raw) else {
            let mut buffer = Vec::new();
            let size = converter.packed(frame, order, &mut buffer)?;
            return Ok((buffer, size));
        };
        // Before memory is taken for a picture of any size.
        geometry.layout_in(frame.payload().len())?;
        let Geometry { width, height, .. } = geometry;
        let len = width as usize * height as usize * 3;
        let mut buffer = self.spare.take(len);
        converter.packed_into(frame, order, &mut buffer)?;
        Ok((buffer, (width, height)))
    }

    /// Converts a frame and draws its detections.
    pub(super) fn drawn(&self, py: Python<'_>, frame: &Frame, boxes: bool, labels: bool) -> PyResult<Pixels> {
        let drawn = py.detach(|| {
            self.draw(frame, boxes, labels, |picture| {
                let mut buffer = self.spare.take(picture.words().len() * 3);
                for (word, pixel) in picture.words().iter().zip(buffer.as_chunks_mut::<3>().0) {
                    let [blue, green, red, _] = word.to_le_bytes();
                    *pixel = [blue, green, red];
                }
                let size = picture.size();
                (buffer, (size.width, size.height))
            })
        });
        let (buffer, size) = drawn.map_err(|error| error::of_conversion(&error))?;
        self.own(buffer, size)
    }

    /// Calls `with` with the picture of a frame.
    pub(super) fn draw<R>(
        &self,
        frame: &Frame,
        boxes: bool,
        labels: bool,
        with: impl FnOnce(&Picture) -> R,
    ) -> Result<R, ConvertError> {
        let mut drawing = locked(&self.drawing);
        let (overlay, picture) = &mut *drawing;
        locked(&self.converter).picture(frame, picture)?;
        if boxes || labels {
            let style = overlay.style_mut();
            (style.boxes, style.labels) = (boxes, labels);
            overlay.follow(frame);
            overlay.draw(picture, &frame.detections, frame.labels.as_deref());
        }
        Ok(with(picture))
    }

    /// Encodes a frame as a JPEG file.
    pub(super) fn jpeg(&self, py: Python<'_>, frame: &Frame, drawn: bool) -> PyResult<Vec<u8>> {
        let file = py.detach(|| self.draw(frame, drawn, drawn, encode_jpeg));
        let file = file.map_err(|error| error::of_conversion(&error))?;
        file.map_err(|error| FormatError::new_err(error.to_string()))
    }

    fn own(&self, buffer: Vec<u8>, (width, height): (u32, u32)) -> PyResult<Pixels> {
        let shape = [height as usize, width as usize, 3];
        Pixels::own(buffer, &shape, Sample::U8, Some(Arc::clone(&self.spare)))
            .ok_or_else(|| FormatError::new_err("the picture has another size than its pixels"))
    }
}

/// The camera or recording that frames are from, as far as their conversion needs it.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) camera: String,
    pub(super) style: Style,
    pub(super) conversion: Conversion,
}

impl Origin {
    pub(super) fn new(camera: &str, style: &Style) -> Arc<Self> {
        let conversion = Conversion::new(style.clone());
        Arc::new(Self { camera: camera.to_owned(), style: style.clone(), conversion })
    }

    /// Returns the names of the classes of a frame.
    pub(super) fn names<'a>(&'a self, frame: &'a Frame) -> &'a LabelMap {
        self.style.names(frame.labels.as_deref())
    }
}

/// Exports the planes of a frame without a copy.
pub(super) fn planes(frame: &Arc<KeptFrame>) -> PyResult<Pixels> {
    let region = match (frame.kind, frame.geometry) {
        (PayloadKind::Raw, Some(geometry)) => region(geometry, frame.payload().len()),
        _ => None,
    };
    let pixels = region.and_then(|region| Pixels::of_frame(Arc::clone(frame), region));
    pixels.ok_or_else(|| {
        let format = frame.format().unwrap_or("a payload of unknown format");
        FormatError::new_err(error::text(
            &format!("{format} has no planes of equal size"),
            Some("frame.bgr converts it; frame.payload has its bytes"),
        ))
    })
}

/// Exports the payload of a frame without a copy.
pub(super) fn payload(frame: &Arc<KeptFrame>) -> PyResult<Pixels> {
    let region = Region::tight(&[frame.payload().len()], Sample::U8);
    Pixels::of_frame(Arc::clone(frame), region).ok_or_else(|| FormatError::new_err("the frame has no payload"))
}

/// Returns where the samples of a picture are: plane, row, column and channel, as far as there are several.
fn region(geometry: Geometry, len: usize) -> Option<Region> {
    use PixelFormat::{
        Bayer, BgrF16i, BgrF16p, GrayF16, Nv12, Nv21, Raw10, Raw12, Raw14, Raw16, Rgb161616, RgbF16i, RgbF16p,
    };
    let layout = geometry.layout_in(len).ok()?;
    let (width, planes) = (geometry.width as usize, layout.planes());
    let first = *planes.first()?;
    let (sample, bytes) = match geometry.format {
        RgbF16p | BgrF16p | RgbF16i | BgrF16i | GrayF16 => (Sample::F16, 2),
        Rgb161616 | Raw16 | Raw14 | Raw12 | Raw10 => (Sample::U16, 2),
        Bayer(..) if first.row == 2 * width => (Sample::U16, 2),
        _ => (Sample::U8, 1),
    };
    let channels = first.row / (width * bytes);
    if channels == 0 || channels * width * bytes != first.row {
        return None;
    }
    let row = [(first.rows, first.stride), (width, channels * bytes)];
    let channel = (channels > 1).then_some((channels, bytes));
    let dimensions = match (geometry.format, planes) {
        (_, [_]) => row.into_iter().chain(channel).collect(),
        // Rows of luma, then rows of chroma, as `cv2.cvtColor` takes them.
        (Nv12 | Nv21, [_, pairs])
            if (pairs.offset, pairs.stride, pairs.row) == (first.rows * first.stride, first.stride, first.row) =>
        {
            vec![(first.rows + pairs.rows, first.stride), (width, 1)]
        }
        (_, [_, second, third])
            if [second, third].iter().all(|plane| (plane.row, plane.rows) == (first.row, first.rows)) =>
        {
            [(3, second.offset - first.offset)].into_iter().chain(row).chain(channel).collect()
        }
        _ => return None,
    };
    Some(Region { offset: first.offset, dimensions, sample })
}

/// Makes a numpy array of pixels, which copies nothing.
pub(super) fn array(py: Python<'_>, pixels: Pixels) -> PyResult<Py<PyAny>> {
    static AS_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let as_array = AS_ARRAY.get_or_try_init(py, || {
        let numpy = py.import("numpy").map_err(|cause| {
            let text = error::text(
                "pictures as arrays need numpy, which is not installed",
                Some("`pip install numpy`, or take frame.pixels(), which has the same bytes as a buffer"),
            );
            let missing = PyImportError::new_err(text);
            missing.set_cause(py, Some(cause));
            missing
        })?;
        numpy.getattr("asarray").map(Bound::unbind)
    })?;
    as_array.call1(py, (pixels,))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_have_the_strides_of_the_layout() {
        let region = |format, width, height| {
            let geometry = Geometry::tight(format, width, height).expect("a size");
            region(geometry, 1 << 20).map(|region| region.dimensions)
        };
        assert_eq!(region(PixelFormat::Bgr888p, 640, 352), Some(vec![(3, 640 * 352), (352, 640), (640, 1)]));
        assert_eq!(region(PixelFormat::Bgr888i, 64, 48), Some(vec![(48, 192), (64, 3), (3, 1)]));
        assert_eq!(region(PixelFormat::Raw16, 64, 48), Some(vec![(48, 128), (64, 2)]));
        assert_eq!(region(PixelFormat::Nv12, 64, 48), Some(vec![(72, 64), (64, 1)]));
        assert_eq!(region(PixelFormat::Yuv420p, 64, 48), None);
        assert_eq!(region(PixelFormat::Pack10, 64, 48), None);
    }
}
