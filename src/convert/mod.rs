//! Converts a [`Frame`] to a [`Picture`], to packed bytes for a file, or to luma and chroma for a video encoder.
//!
//! | format | conversion |
//! |---|---|
//! | BGR888, RGB888 planar and interleaved, RGBA8888 | unchanged; alpha is dropped |
//! | GRAY8, RAW8, YUV400p | gray |
//! | RAW8:RGGB and the like | a mosaic of colors (Bayer), interpolated bilinearly from the upper 8 bits of its samples |
//! | NV12, NV21, YUV420p, YUV422, YUV444 | BT.601 in video range, like `cv2.cvtColor` and so depthai's host library; YUV422i is YUYV; chroma is repeated, not interpolated |
//! | RAW16 | depth or disparity in false colors, see below |
//! | RAW10, RAW12, RAW14 in 16 bits, PACK10, PACK12 | gray, the upper 8 bits; packed as in MIPI CSI-2 |
//! | RGB161616 | the upper 8 bits |
//! | RGBF16F16F16, BGRF16F16F16, GRAYF16 | range 0..=1 until the stream contains a value above 1, then 0..=255; `NaN` is black |
//! | JPEG | decoded |
//!
//! RAW16: 0 ("not measured") is black; the scale from blue to red ends at the power of two above 99 % of the measured
//! samples.
//!
//! Use one [`Converter`] per stream. It checks the geometry only when that changes, reuses its memory, and runs code
//! compiled for the instructions of this processor ([`SimdLevel`]).

#[cfg(target_arch = "x86_64")]
mod avx512;
mod depth;
#[cfg(target_arch = "x86_64")]
mod depth_avx2;
#[cfg(target_arch = "x86_64")]
mod depth_avx512;
mod depth_map;
mod dispatch;
mod half_float;
mod interleaved;
mod jpeg;
#[cfg(feature = "net")]
mod jpeg_file;
mod mosaic;
#[cfg(target_arch = "x86_64")]
mod mosaic_avx2;
mod output;
#[cfg(target_arch = "x86_64")]
mod packed;
mod pixels;
mod planar;
mod png;
pub mod reference;
mod rows;
mod scaled;
#[cfg(test)]
mod tests;
mod value;
mod yuv;
mod yuv420;
#[cfg(target_arch = "x86_64")]
mod yuv_avx2;
#[cfg(target_arch = "x86_64")]
mod yuv_avx512;

use std::sync::Arc;

pub use depth_map::DepthMap;
pub use dispatch::SimdLevel;
#[cfg(feature = "net")]
pub use jpeg_file::{EncodeJpegError, encode_jpeg};
pub use png::{encode_gray16_png, encode_png};
pub use scaled::{Placement, ScaledFrom, Scaler};
pub use value::PixelValue;
pub use yuv420::Yuv420;

use self::half_float::HalfTable;
use self::jpeg::Jpeg;
use self::output::{Bgr, Output, Rgb, Words};
use self::pixels::Pixels;
use self::scaled::Samples;
use self::yuv420::RowPair;
use crate::frame::geometry::Layout;
use crate::frame::{Frame, Geometry, GeometryError, JpegDefect, Part, PayloadKind, Picture, PixelFormat};

/// Byte order of interleaved pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedOrder {
    /// Red, green, blue, as in image files.
    Rgb,
    /// Blue, green, red, as in OpenCV and Foxglove's `bgr8`.
    Bgr,
}

/// Reason for not converting a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The layout of the payload, of this many bytes, is unknown.
    #[error("cannot convert {0} bytes of unknown layout; set --size WxH and --format NAME")]
    UnknownLayout(usize),
    /// The layout of the payload is unknown, for this reason.
    #[error("cannot convert: {0}")]
    NoLayout(Arc<str>),
    /// The geometry is invalid, or the payload is too short for it.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// Video has to be decoded before ([`crate::decode`]).
    #[error("{0:?} video has no pixels before it is decoded")]
    Video(PayloadKind),
    /// The output buffer has the wrong length.
    #[error("the picture needs {needed} bytes, but the buffer has {found}")]
    BufferSize {
        /// Bytes of the picture.
        needed: usize,
        /// Bytes of the buffer.
        found: usize,
    },
    /// The file is damaged or not supported by the decoder.
    #[error("cannot decode JPEG: {0}")]
    Jpeg(String),
    /// A part of the file is missing.
    #[error(transparent)]
    JpegCutShort(#[from] JpegDefect),
    /// The header claims more pixels than any camera has, or than the file can contain.
    #[error("JPEG of {file} bytes claims {width}x{height} pixels: expected at most 33554432, and at most 512 per byte")]
    JpegTooLarge {
        /// Pixels per row.
        width: usize,
        /// Number of rows.
        height: usize,
        /// Length of the file in bytes.
        file: usize,
    },
}

/// Converts the frames of one stream.
#[derive(Debug)]
pub struct Converter {
    level: SimdLevel,
    /// The last geometry, checked.
    known: Option<(Geometry, Layout)>,
    halves: HalfTable,
    jpeg: Jpeg,
    /// Rows of red, green and blue, and of samples.
    scratch: Vec<u8>,
    /// Intermediate picture of the formats that become luma and chroma in two steps, and of enlarged pictures.
    intermediate: Picture,
    samples: Samples,
    scaler: Scaler,
}

impl Default for Converter {
    fn default() -> Self {
        Self::with_level(SimdLevel::best())
    }
}

impl Converter {
    /// Uses the best instructions of this processor.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses these instructions, to compare them.
    #[must_use]
    pub fn with_level(level: SimdLevel) -> Self {
        let (halves, jpeg) = (HalfTable::default(), Jpeg::default());
        let (samples, scaler) = (Samples::default(), Scaler::default());
        Self {
            level,
            known: None,
            halves,
            jpeg,
            scratch: Vec::new(),
            intermediate: Picture::default(),
            samples,
            scaler,
        }
    }

    /// Converts a frame to a picture, and copies its number and times.
    ///
    /// # Errors
    /// If the layout is unknown, or the payload is video, shorter than its geometry, or a JPEG that is damaged or too
    /// large. The picture is then unchanged.
    pub fn picture(&mut self, frame: &Frame, into: &mut Picture) -> Result<(), ConvertError> {
        self.scaled(frame, |(width, height)| Placement::whole(width, height), into)
    }

    /// Decodes a JPEG file to find out whether all of its pixels are there. Takes less time than [`Self::picture`].
    ///
    /// # Errors
    /// The file is damaged, too large, or not supported by the decoder.
    pub fn check_jpeg(&mut self, file: &[u8]) -> Result<(), ConvertError> {
        self.jpeg.check(file)
    }

    /// Converts a part of a frame to a picture of another size in one step, and copies its number and times. `place` is
    /// called with the width and height of the frame. A picture smaller than the frame costs what its own pixels cost. A JPEG
    /// is decoded to the nearest size that its decoder offers.
    ///
    /// # Errors
    /// As [`Self::picture`].
    pub fn scaled(
        &mut self,
        frame: &Frame,
        place: impl FnOnce((usize, usize)) -> Placement,
        into: &mut Picture,
    ) -> Result<(), ConvertError> {
        let shown = place(self.size(frame)?);
        let reduction = shown.reduction();
        let (geometry, layout) = self.prepare(frame, reduction)?;
        let whole = Placement::whole(geometry.width as usize, geometry.height as usize);
        into.resize(shown.size.0, shown.size.1);
        into.part = shown.part;
        // A JPEG may have been decoded to a smaller size. Other frames keep theirs.
        let placement = if whole.size == shown.part.of { shown } else { shown.within_reduced(whole.size, reduction) };
        if placement == whole {
            self.write::<Words>(frame, &geometry, &layout, into.words_mut());
        } else if placement.is_interpolated() {
            let mut picture = std::mem::take(&mut self.intermediate);
            let (columns, rows) = placement.pixels();
            let (width, height) = (columns.len(), rows.len());
            picture.resize(width, height);
            if (width, height) == whole.size {
                self.write::<Words>(frame, &geometry, &layout, picture.words_mut());
            } else {
                let (x, y) = (columns.start as f64, rows.start as f64);
                let part = Part { of: whole.size, x, y, width: width as f64, height: height as f64 };
                let same_size = Placement { part, size: (width, height) };
                self.write_sampled(frame, &geometry, &layout, &same_size, picture.words_mut());
            }
            let Part { x, y, width: part_width, height: part_height, .. } = placement.part;
            let from = ScaledFrom {
                words: picture.words(),
                stride: width,
                across: (x - columns.start as f64, part_width),
                down: (y - rows.start as f64, part_height),
            };
            self.scaler.scale(from, placement.size, into.words_mut(), placement.size.0);
            self.intermediate = picture;
        } else {
            self.write_sampled(frame, &geometry, &layout, &placement, into.words_mut());
        }
        into.frame_id = frame.id;
        into.device_time = frame.device_time;
        into.received = frame.received;
        Ok(())
    }

    /// Converts a frame to pixels of three bytes without padding, and returns width and height.
    ///
    /// # Errors
    /// As [`Self::picture`]; `into` is then unchanged.
    pub fn packed(
        &mut self,
        frame: &Frame,
        order: PackedOrder,
        into: &mut Vec<u8>,
    ) -> Result<(u32, u32), ConvertError> {
        let (geometry, layout) = self.prepare(frame, 1)?;
        into.resize(geometry.width as usize * geometry.height as usize * 3, 0);
        self.write_packed(frame, order, (&geometry, &layout), into);
        Ok((geometry.width, geometry.height))
    }

    /// Does the same as [`Self::packed`] into a slice, such as a part of a message.
    ///
    /// # Errors
    /// Also if the length of `into` is not `width * height * 3`.
    pub fn packed_into(&mut self, frame: &Frame, order: PackedOrder, into: &mut [u8]) -> Result<(), ConvertError> {
        let (geometry, layout) = self.prepare(frame, 1)?;
        let needed = geometry.width as usize * geometry.height as usize * 3;
        if into.len() != needed {
            return Err(ConvertError::BufferSize { needed, found: into.len() });
        }
        self.write_packed(frame, order, (&geometry, &layout), into);
        Ok(())
    }

    /// Converts a frame for a video encoder, and returns width and height of the frame. Copies formats that are 4:2:0
    /// already.
    ///
    /// # Errors
    /// As [`Self::picture`]; `into` is then unchanged.
    pub fn yuv420(&mut self, frame: &Frame, into: &mut Yuv420) -> Result<(u32, u32), ConvertError> {
        let (geometry, layout) = self.prepare(frame, 1)?;
        let (width, height) = (geometry.width as usize, geometry.height as usize);
        into.resize(width, height);
        // For a JPEG, `bytes` would be wrong, but its format (RGB888i) never takes the direct way.
        let pixels = Pixels { level: self.level, width, planes: layout.planes(), bytes: frame.payload() };
        if !pixels.write_yuv420(geometry.format, into) {
            let mut picture = std::mem::take(&mut self.intermediate);
            picture.resize(width, height);
            self.write::<Words>(frame, &geometry, &layout, picture.words_mut());
            self.yuv420_of(&picture, into);
            self.intermediate = picture;
        }
        Ok((geometry.width, geometry.height))
    }

    /// Converts a picture for a video encoder, for pictures that have been drawn on.
    pub fn yuv420_of(&mut self, picture: &Picture, into: &mut Yuv420) {
        into.resize(picture.width, picture.height);
        let (width, pair) = (picture.width, 2 * picture.width);
        self.scratch.resize(3 * pair, 0);
        let (r, rest) = self.scratch.split_at_mut(pair);
        let (g, b) = rest.split_at_mut(pair);
        for (words, RowPair { luma, u, v }) in picture.words().chunks_exact(pair.max(1)).zip(into.row_pairs()) {
            dispatch::unpacked(self.level, words, [&mut *r, &mut *g, &mut *b]);
            let [upper, lower] = [0, width].map(|at| [&r[at..][..width], &g[at..][..width], &b[at..][..width]]);
            dispatch::encoded(self.level, upper, lower, luma, u, v);
        }
    }

    fn write_packed(
        &mut self,
        frame: &Frame,
        order: PackedOrder,
        (geometry, layout): (&Geometry, &Layout),
        into: &mut [u8],
    ) {
        let pixels = into.as_chunks_mut().0;
        match order {
            PackedOrder::Rgb => self.write::<Rgb>(frame, geometry, layout, pixels),
            PackedOrder::Bgr => self.write::<Bgr>(frame, geometry, layout, pixels),
        }
    }

    /// Returns width and height of a frame.
    fn size(&mut self, frame: &Frame) -> Result<(usize, usize), ConvertError> {
        if is_jpeg(frame) {
            return self.jpeg.size(frame.payload());
        }
        let (Geometry { width, height, .. }, _) = self.prepare(frame, 1)?;
        Ok((width as usize, height as usize))
    }

    /// Checks a frame, and returns the layout of its payload or, for a JPEG, that of the pixels decoded with this
    /// [reduction](Placement::reduction).
    fn prepare(&mut self, frame: &Frame, jpeg_reduction: usize) -> Result<(Geometry, Layout), ConvertError> {
        let payload = frame.payload();
        match (frame.kind, frame.geometry) {
            (PayloadKind::H264 | PayloadKind::H265, _) => Err(ConvertError::Video(frame.kind)),
            _ if is_jpeg(frame) => {
                let (width, height) = self.jpeg.decode(payload, jpeg_reduction)?;
                let geometry = Geometry::tight(PixelFormat::Rgb888i, width, height)?;
                Ok((geometry, geometry.layout_in(self.jpeg.rgb().len())?))
            }
            (_, None) if frame.because.is_empty() => Err(ConvertError::UnknownLayout(payload.len())),
            (_, None) => Err(ConvertError::NoLayout(Arc::clone(&frame.because))),
            (_, Some(geometry)) => {
                let layout = match self.known {
                    Some((known, layout)) if known == geometry && layout.needed <= payload.len() => layout,
                    _ => {
                        let layout = geometry.layout_in(payload.len())?;
                        self.known = Some((geometry, layout));
                        self.halves = HalfTable::default();
                        layout
                    }
                };
                Ok((geometry, layout))
            }
        }
    }

    fn write<O: Output>(&mut self, frame: &Frame, geometry: &Geometry, layout: &Layout, out: &mut [O::Pixel]) {
        let Self { level, halves, jpeg, scratch, .. } = self;
        let bytes = pixel_bytes(frame, jpeg);
        let picture = Pixels { level: *level, width: geometry.width as usize, planes: layout.planes(), bytes };
        scratch.resize(mosaic::scratch_len(picture.width), 0);
        picture.write::<O>(geometry.format, halves, scratch, out);
    }

    fn write_sampled(
        &mut self,
        frame: &Frame,
        geometry: &Geometry,
        layout: &Layout,
        placement: &Placement,
        out: &mut [u32],
    ) {
        let Self { level, halves, jpeg, scratch, samples, .. } = self;
        let bytes = pixel_bytes(frame, jpeg);
        let picture = Pixels { level: *level, width: geometry.width as usize, planes: layout.planes(), bytes };
        samples.set(placement);
        picture.write_sampled(geometry.format, halves, samples, scratch, out);
    }
}

fn is_jpeg(frame: &Frame) -> bool {
    match frame.kind {
        PayloadKind::Jpeg => true,
        PayloadKind::Raw => frame.geometry.is_some_and(|of| of.format == PixelFormat::Jpeg),
        PayloadKind::H264 | PayloadKind::H265 => false,
    }
}

/// Returns the bytes that the layout of a prepared frame describes.
fn pixel_bytes<'a>(frame: &'a Frame, jpeg: &'a Jpeg) -> &'a [u8] {
    if is_jpeg(frame) { jpeg.rgb() } else { frame.payload() }
}
