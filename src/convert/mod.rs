//! [`Frame`] -> [`Picture`], packed bytes for a file, or luma and chroma for a video encoder.
//!
//! | format | how it is shown |
//! |---|---|
//! | BGR888, RGB888 planar and interleaved, RGBA8888 | as it is; alpha is dropped |
//! | GRAY8, RAW8, YUV400p | grey; a sensor's mosaic (RAW8) is not interpolated |
//! | NV12, NV21, YUV420p, YUV422, YUV444 | BT.601 in video range, as `cv2.cvtColor` and so depthai's host library do; YUV422i is YUYV; chroma is repeated, not interpolated |
//! | RAW16 | depth or disparity through a colour map, see below |
//! | RAW10, RAW12, RAW14 in 16 bits, PACK10, PACK12 | grey, the upper 8 bits; the packing is that of MIPI CSI-2 |
//! | RGB161616 | the upper 8 bits |
//! | RGBF16F16F16, BGRF16F16F16, GRAYF16 | 0..=1 until a number above 1 has been seen in the stream, then 0..=255; not a number is black |
//! | JPEG | as its file says |
//!
//! RAW16: 0 is black ("not measured"); the scale from blue to red ends at the power of two above 99 % of the
//! measured samples.
//!
//! One [`Converter`] serves one stream. It looks at the geometry when that changes, keeps its memory, and runs code
//! compiled for the instructions that the processor turned out to have ([`Level`]).

mod depth;
mod dispatch;
mod half_float;
mod interleaved;
mod jpeg;
mod output;
mod planar;
pub mod reference;
mod rows;
#[cfg(test)]
mod tests;
mod yuv;
mod yuv420;

pub use dispatch::Level;
pub use yuv420::Yuv420;

use self::half_float::HalfTable;
use self::jpeg::Jpeg;
use self::output::{Bgr, Output, Rgb, Words};
use self::yuv420::RowPair;
use crate::frame::pixel::{Layout, Plane};
use crate::frame::{Frame, Geometry, GeometryError, PayloadKind, Picture, PixelFormat};

/// Order of the bytes of a pixel in a file, or in a payload that is not planar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedOrder {
    /// Red, green, blue: what image files have.
    Rgb,
    /// Blue, green, red: what OpenCV and Foxglove's `bgr8` have.
    Bgr,
}

/// Why a frame cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// Nobody knows what the payload is.
    #[error("a payload of {0} bytes in an unknown layout: say what it is with --size WxH and --format NAME")]
    Unknown(usize),
    /// The geometry is impossible, or the payload too short for it.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// Video is received, not decoded.
    #[error("{0:?} video is received, but not decoded: configure the camera for MJPEG or raw pictures to see it")]
    Video(PayloadKind),
    /// The memory that was given for the pixels has another length.
    #[error("the picture has {needed} bytes, and there is room for {found}")]
    Room {
        /// Bytes of the picture.
        needed: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// The file is damaged, or of a kind that the decoder does not know.
    #[error("a JPEG that cannot be decoded: {0}")]
    Jpeg(String),
    /// The file claims more pixels than cameras have, or than it can hold.
    #[error(
        "a JPEG of {file} bytes claims {width}x{height} pixels: expected at most 33554432, and at most 512 for each byte"
    )]
    JpegTooLarge {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Bytes in the file.
        file: usize,
    },
}

/// Turns the frames of one stream into pictures.
#[derive(Debug)]
pub struct Converter {
    level: Level,
    /// The geometry of the last frame, checked.
    known: Option<(Geometry, Layout)>,
    halves: HalfTable,
    jpeg: Jpeg,
    /// A row each of red, green and blue, or two.
    scratch: Vec<u8>,
    /// What becomes luma and chroma in two steps.
    shown: Picture,
}

impl Default for Converter {
    fn default() -> Self {
        Self::with_level(Level::best())
    }
}

impl Converter {
    /// One that uses the best instructions of this processor.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that uses these instructions: to compare them.
    #[must_use]
    pub fn with_level(level: Level) -> Self {
        let (halves, jpeg) = (HalfTable::default(), Jpeg::default());
        Self { level, known: None, halves, jpeg, scratch: Vec::new(), shown: Picture::default() }
    }

    /// The frame as a picture to show, with the frame's number and times.
    ///
    /// # Errors
    /// When the payload is unknown, video, shorter than its geometry, or a JPEG that is damaged or too large. The
    /// picture is then whatever it was.
    pub fn picture(&mut self, frame: &Frame, into: &mut Picture) -> Result<(), ConvertError> {
        let (geometry, layout) = self.prepare(frame)?;
        into.resize(geometry.width as usize, geometry.height as usize);
        self.write::<Words>(frame, &geometry, &layout, into.words_mut());
        into.frame_id = frame.id;
        into.device_time = frame.device_time;
        into.received = frame.received;
        Ok(())
    }

    /// The frame as `width * height` pixels of three bytes, without padding. Returns width and height.
    ///
    /// # Errors
    /// As [`Self::picture`]; `into` is then whatever it was.
    pub fn packed(
        &mut self,
        frame: &Frame,
        order: PackedOrder,
        into: &mut Vec<u8>,
    ) -> Result<(u32, u32), ConvertError> {
        let (geometry, layout) = self.prepare(frame)?;
        into.resize(geometry.width as usize * geometry.height as usize * 3, 0);
        self.write_packed(frame, order, (&geometry, &layout), into);
        Ok((geometry.width, geometry.height))
    }

    /// [`Self::packed`], into memory that has the right length already: in the middle of a message.
    ///
    /// # Errors
    /// Also when `into` has another length than `width * height * 3`.
    pub fn packed_into(&mut self, frame: &Frame, order: PackedOrder, into: &mut [u8]) -> Result<(), ConvertError> {
        let (geometry, layout) = self.prepare(frame)?;
        let needed = geometry.width as usize * geometry.height as usize * 3;
        if into.len() != needed {
            return Err(ConvertError::Room { needed, found: into.len() });
        }
        self.write_packed(frame, order, (&geometry, &layout), into);
        Ok(())
    }

    /// The frame as video encoders take it. What has chroma for every four pixels already stays as it is. Returns width and
    /// height of the frame.
    ///
    /// # Errors
    /// As [`Self::picture`]; `into` is then whatever it was.
    pub fn yuv420(&mut self, frame: &Frame, into: &mut Yuv420) -> Result<(u32, u32), ConvertError> {
        let (geometry, layout) = self.prepare(frame)?;
        let (width, height) = (geometry.width as usize, geometry.height as usize);
        into.resize(width, height);
        // Those of a JPEG are elsewhere: they are interleaved, and so none that are written without another step.
        let pixels = Pixels { level: self.level, width, planes: layout.planes(), bytes: frame.payload() };
        if !pixels.write_yuv420(geometry.format, into) {
            let mut shown = std::mem::take(&mut self.shown);
            shown.resize(width, height);
            self.write::<Words>(frame, &geometry, &layout, shown.words_mut());
            self.yuv420_of(&shown, into);
            self.shown = shown;
        }
        Ok((geometry.width, geometry.height))
    }

    /// A picture as video encoders take it: after something has been drawn on it.
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

    /// Where the pixels of a frame lie: in its payload, or for a JPEG in what was decoded here.
    fn prepare(&mut self, frame: &Frame) -> Result<(Geometry, Layout), ConvertError> {
        let payload = frame.payload();
        match (frame.kind, frame.geometry) {
            (PayloadKind::H264 | PayloadKind::H265, _) => Err(ConvertError::Video(frame.kind)),
            (PayloadKind::Jpeg, _) | (PayloadKind::Raw, Some(Geometry { format: PixelFormat::Jpeg, .. })) => {
                let (width, height) = self.jpeg.decode(payload)?;
                let geometry = Geometry::tight(PixelFormat::Rgb888i, width, height)?;
                Ok((geometry, geometry.layout_in(self.jpeg.rgb().len())?))
            }
            (PayloadKind::Raw, None) => Err(ConvertError::Unknown(payload.len())),
            (PayloadKind::Raw, Some(geometry)) => {
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
        let is_raw = frame.kind == PayloadKind::Raw && frame.geometry.is_some_and(|of| of.format != PixelFormat::Jpeg);
        let bytes = if is_raw { frame.payload() } else { jpeg.rgb() };
        let picture = Pixels { level: *level, width: geometry.width as usize, planes: layout.planes(), bytes };
        scratch.resize(3 * picture.width, 0);
        picture.write::<O>(geometry.format, halves, scratch, out);
    }
}

/// Bytes that are known to be long enough for their planes.
struct Pixels<'a> {
    level: Level,
    width: usize,
    planes: &'a [Plane],
    bytes: &'a [u8],
}

impl<'a> Pixels<'a> {
    fn write<O: Output>(&self, format: PixelFormat, halves: &mut HalfTable, scratch: &mut [u8], out: &mut [O::Pixel]) {
        use PixelFormat::*;
        let level = self.level;
        match format {
            Rgb888p => self.planar::<O>([0, 1, 2], out),
            Bgr888p => self.planar::<O>([2, 1, 0], out),
            Gray8 | Raw8 | Yuv400p => self.planar::<O>([0, 0, 0], out),
            Rgb888i | Jpeg => self.direct::<O>(out, |row, out| O::interleaved(level, PackedOrder::Rgb, row, out)),
            Bgr888i => self.direct::<O>(out, |row, out| O::interleaved(level, PackedOrder::Bgr, row, out)),
            Rgba8888 => self.direct::<O>(out, rows::rgba::<O>),
            Raw14 => self.gray::<O>(scratch, out, |row, out| dispatch::high_bits(level, 6, row, out)),
            Raw12 => self.gray::<O>(scratch, out, |row, out| dispatch::high_bits(level, 4, row, out)),
            Raw10 => self.gray::<O>(scratch, out, |row, out| dispatch::high_bits(level, 2, row, out)),
            Pack10 => self.gray::<O>(scratch, out, rows::pack10),
            Pack12 => self.gray::<O>(scratch, out, rows::pack12),
            Raw16 => {
                let shift = depth::shift(self.rows(0));
                self.direct::<O>(out, |row, out| depth::coloured::<O>(shift, row, out));
            }
            Rgb161616 => self.coloured::<O>(scratch, out, |y, out| {
                for (plane, out) in out.into_iter().enumerate() {
                    dispatch::high_bits(level, 8, self.row(plane, y), out);
                }
            }),
            Yuv422i => self.coloured::<O>(scratch, out, |y, out| dispatch::yuyv(level, self.row(0, y), out)),
            Yuv444i => self.coloured::<O>(scratch, out, |y, out| dispatch::interleaved(level, self.row(0, y), out)),
            Nv12 | Nv21 => self.coloured::<O>(scratch, out, |y, out| {
                dispatch::paired(level, format == Nv21, self.row(0, y), self.row(1, y / 2), out);
            }),
            Yuv420p => self.coloured::<O>(scratch, out, |y, out| {
                dispatch::halved(level, [self.row(0, y), self.row(1, y / 2), self.row(2, y / 2)], out);
            }),
            Yuv422p => self.coloured::<O>(scratch, out, |y, out| {
                dispatch::halved(level, [0, 1, 2].map(|plane| self.row(plane, y)), out);
            }),
            Yuv444p => self.coloured::<O>(scratch, out, |y, out| {
                dispatch::full(level, [0, 1, 2].map(|plane| self.row(plane, y)), out);
            }),
            GrayF16 => {
                let table = self.halves(halves);
                self.direct::<O>(out, |row, out| rows::half_gray::<O>(table, row, out));
            }
            RgbF16i => {
                let table = self.halves(halves);
                self.direct::<O>(out, |row, out| rows::half_rgb::<O>(table, row, out));
            }
            BgrF16i => {
                let table = self.halves(halves);
                self.direct::<O>(out, |row, out| rows::half_bgr::<O>(table, row, out));
            }
            RgbF16p | BgrF16p => {
                let table = self.halves(halves);
                let order = if format == RgbF16p { [0, 1, 2] } else { [2, 1, 0] };
                for (y, out) in out.chunks_exact_mut(self.width).enumerate() {
                    rows::half_planar::<O>(table, order.map(|plane| self.row(plane, y)), out);
                }
            }
        }
    }

    /// Without another step in between, if that can be.
    fn write_yuv420(&self, format: PixelFormat, into: &mut Yuv420) -> bool {
        use PixelFormat::*;
        let order = match format {
            Rgb888p => [0, 1, 2],
            Bgr888p => [2, 1, 0],
            Yuv420p | Nv12 | Nv21 => {
                self.copy_yuv420(format, into);
                return true;
            }
            _ => return false,
        };
        for (n, RowPair { luma, u, v }) in into.row_pairs().enumerate() {
            let [upper, lower] = [2 * n, 2 * n + 1].map(|y| order.map(|plane| self.row(plane, y)));
            dispatch::encoded(self.level, upper, lower, luma, u, v);
        }
        true
    }

    fn copy_yuv420(&self, format: PixelFormat, into: &mut Yuv420) {
        for (n, RowPair { luma, u, v }) in into.row_pairs().enumerate() {
            for (y, luma) in luma.into_iter().enumerate() {
                luma.copy_from_slice(&self.row(0, 2 * n + y)[..luma.len()]);
            }
            if format == PixelFormat::Yuv420p {
                u.copy_from_slice(&self.row(1, n)[..u.len()]);
                v.copy_from_slice(&self.row(2, n)[..v.len()]);
                continue;
            }
            let (first, second) = if format == PixelFormat::Nv21 { (v, u) } else { (u, v) };
            for (([a, b], first), second) in self.row(1, n).as_chunks().0.iter().zip(first).zip(second) {
                (*first, *second) = (*a, *b);
            }
        }
    }

    fn row(&self, plane: usize, y: usize) -> &'a [u8] {
        let Plane { offset, stride, row, .. } = self.planes[plane];
        &self.bytes[offset + y * stride..][..row]
    }

    fn rows(&self, plane: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.planes[plane].rows_of(self.bytes)
    }

    /// The table of half-precision numbers for a stream of which this is the newest picture.
    fn halves<'t>(&self, halves: &'t mut HalfTable) -> &'t [u8; 65536] {
        halves.having_seen((0..self.planes.len()).flat_map(|plane| self.rows(plane)))
    }

    /// Red, green and blue are these planes.
    fn planar<O: Output>(&self, order: [usize; 3], out: &mut [O::Pixel]) {
        if let [Some(r), Some(g), Some(b)] = order.map(|plane| self.planes[plane].whole(self.bytes)) {
            return O::planar(self.level, [r, g, b], out);
        }
        for (y, out) in out.chunks_exact_mut(self.width).enumerate() {
            O::planar(self.level, order.map(|plane| self.row(plane, y)), out);
        }
    }

    /// Each row of the only plane becomes a row of pixels.
    fn direct<O: Output>(&self, out: &mut [O::Pixel], convert: impl Fn(&[u8], &mut [O::Pixel])) {
        for (out, row) in out.chunks_exact_mut(self.width).zip(self.rows(0)) {
            convert(row, out);
        }
    }

    /// Each row of the only plane becomes bytes of grey.
    fn gray<O: Output>(&self, scratch: &mut [u8], out: &mut [O::Pixel], convert: impl Fn(&[u8], &mut [u8])) {
        let gray = &mut scratch[..self.width];
        for (out, row) in out.chunks_exact_mut(self.width).zip(self.rows(0)) {
            convert(row, gray);
            O::planar(self.level, [gray; 3], out);
        }
    }

    /// Each row becomes a row each of red, green and blue; `convert` knows which rows of which planes it needs.
    fn coloured<O: Output>(&self, scratch: &mut [u8], out: &mut [O::Pixel], convert: impl Fn(usize, [&mut [u8]; 3])) {
        let (r, rest) = scratch.split_at_mut(self.width);
        let (g, b) = rest.split_at_mut(self.width);
        for (y, out) in out.chunks_exact_mut(self.width).enumerate() {
            convert(y, [&mut *r, &mut *g, &mut *b]);
            O::planar(self.level, [r, g, b], out);
        }
    }
}
