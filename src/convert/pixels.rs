//! Converts the pixels of raw formats, row by row, with the conversion of each format.

use super::PackedOrder;
use super::depth;
use super::dispatch::{self, SimdLevel};
use super::half_float::{HalfTable, Halves};
use super::output::Output;
use super::yuv::Chroma;
use super::yuv420::{RowPair, Yuv420};
use crate::frame::PixelFormat;
use crate::frame::geometry::Plane;

/// Bytes that were checked to be long enough for their planes.
pub(super) struct Pixels<'a> {
    pub(super) level: SimdLevel,
    pub(super) width: usize,
    pub(super) planes: &'a [Plane],
    pub(super) bytes: &'a [u8],
}

impl<'a> Pixels<'a> {
    pub(super) fn write<O: Output>(
        &self,
        format: PixelFormat,
        halves: &mut HalfTable,
        scratch: &mut [u8],
        out: &mut [O::Pixel],
    ) {
        use PixelFormat::*;
        let level = self.level;
        match format {
            Rgb888p => self.planar::<O>([0, 1, 2], out),
            Bgr888p => self.planar::<O>([2, 1, 0], out),
            Gray8 | Raw8 | Yuv400p => self.planar::<O>([0, 0, 0], out),
            Rgb888i | Jpeg => self.direct::<O>(out, |row, out| O::interleaved(level, PackedOrder::Rgb, row, out)),
            Bgr888i => self.direct::<O>(out, |row, out| O::interleaved(level, PackedOrder::Bgr, row, out)),
            Rgba8888 => self.direct::<O>(out, |row, out| O::rgba(level, row, out)),
            Raw14 => self.gray::<O>(scratch, out, |row, out| dispatch::high_bits(level, 6, row, out)),
            Raw12 => self.gray::<O>(scratch, out, |row, out| dispatch::high_bits(level, 4, row, out)),
            Raw10 => self.gray::<O>(scratch, out, |row, out| dispatch::high_bits(level, 2, row, out)),
            Pack10 | Pack12 => {
                let gray = &mut scratch[..self.width];
                self.direct::<O>(out, |row, out| {
                    if O::packed(level, format, row, out) {
                        return;
                    }
                    if format == Pack10 {
                        dispatch::pack10(level, row, gray);
                    } else {
                        dispatch::pack12(level, row, gray);
                    }
                    O::planar(level, [gray; 3], out);
                });
            }
            Bayer(samples, order) => self.mosaic::<O>(samples, order, scratch, out),
            Raw16 => {
                let (shift, colors) = (self.depth_shift(self.rows(0)), depth::Colors::<O>::new());
                let [r, g, b] = three(scratch, self.width);
                self.direct::<O>(out, |row, out| {
                    if O::depth(level, shift, row, out) {
                    } else if dispatch::depth_planes(level, shift, row, [&mut *r, &mut *g, &mut *b]) {
                        O::planar(level, [r, g, b], out);
                    } else {
                        colors.write(shift, row, out);
                    }
                });
            }
            Rgb161616 => self.colored::<O>(scratch, out, |y, out| {
                for (plane, out) in out.into_iter().enumerate() {
                    dispatch::high_bits(level, 8, self.row(plane, y), out);
                }
            }),
            Yuv422i => self.colored::<O>(scratch, out, |y, out| dispatch::yuyv(level, self.row(0, y), out)),
            Yuv444i => self.colored::<O>(scratch, out, |y, out| dispatch::interleaved(level, self.row(0, y), out)),
            Nv12 | Nv21 => self
                .subsampled::<O>(scratch, out, 2, |n| Chroma::Pairs { v_first: format == Nv21, row: self.row(1, n) }),
            Yuv420p => self.subsampled::<O>(scratch, out, 2, |n| Chroma::Planes([self.row(1, n), self.row(2, n)])),
            Yuv422p => self.subsampled::<O>(scratch, out, 1, |n| Chroma::Planes([self.row(1, n), self.row(2, n)])),
            Yuv444p => self.colored::<O>(scratch, out, |y, out| {
                dispatch::full(level, [0, 1, 2].map(|plane| self.row(plane, y)), out);
            }),
            GrayF16 => {
                let mut halves = Halves::new(level, self.adapted(halves));
                self.gray::<O>(scratch, out, |row, out| halves.convert(row, out));
            }
            RgbF16i | BgrF16i => {
                let order = if format == RgbF16i { PackedOrder::Rgb } else { PackedOrder::Bgr };
                let mut halves = Halves::new(level, self.adapted(halves));
                let triples = &mut scratch[..3 * self.width];
                self.direct::<O>(out, |row, out| {
                    halves.convert(row, triples);
                    O::interleaved(level, order, triples, out);
                });
            }
            RgbF16p | BgrF16p => {
                let order = if format == RgbF16p { [0, 1, 2] } else { [2, 1, 0] };
                let mut halves = Halves::new(level, self.adapted(halves));
                self.colored::<O>(scratch, out, |y, out| {
                    for (plane, out) in order.into_iter().zip(out) {
                        halves.convert(self.row(plane, y), out);
                    }
                });
            }
        }
    }

    /// Converts to 4:2:0 in one step. Returns `false` for formats that have no such conversion.
    pub(super) fn write_yuv420(&self, format: PixelFormat, into: &mut Yuv420) -> bool {
        use PixelFormat::*;
        let order = match format {
            Rgb888p => [0, 1, 2],
            Bgr888p => [2, 1, 0],
            Yuv420p | Nv12 | Nv21 => {
                self.copy_yuv420(format, into);
                return true;
            }
            Bgr888i | Rgb888i | Yuv422i | Yuv422p | Yuv444p | Yuv444i | Yuv400p | Gray8 | Raw8 | Raw16 | Raw14
            | Raw12 | Raw10 | Pack10 | Pack12 | Rgba8888 | Rgb161616 | RgbF16p | BgrF16p | RgbF16i | BgrF16i
            | GrayF16 | Jpeg | Bayer(..) => {
                return false;
            }
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

    pub(super) fn row(&self, plane: usize, y: usize) -> &'a [u8] {
        let Plane { offset, stride, row, .. } = self.planes[plane];
        &self.bytes[offset + y * stride..][..row]
    }

    pub(super) fn rows(&self, plane: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        self.planes[plane].rows_of(self.bytes)
    }

    /// Returns the range of half-precision numbers, updated by this picture.
    pub(super) fn adapted<'t>(&self, halves: &'t mut HalfTable) -> &'t mut HalfTable {
        halves.adapt(self.level, (0..self.planes.len()).flat_map(|plane| self.rows(plane)));
        halves
    }

    /// Returns the shift of depth for these rows of the picture.
    pub(super) fn depth_shift<'r>(&self, rows: impl Iterator<Item = &'r [u8]> + Clone) -> u32 {
        let mut extent = depth::Extent::default();
        let counted = rows.clone();
        rows.for_each(|row| extent.add(self.level, row));
        extent.shift(|last| {
            let mut count = 0;
            counted.clone().for_each(|row| dispatch::depth_count_up_to(self.level, last, row, &mut count));
            count
        })
    }

    /// Converts three planes, given by the indices of red, green and blue.
    fn planar<O: Output>(&self, order: [usize; 3], out: &mut [O::Pixel]) {
        if let [Some(r), Some(g), Some(b)] = order.map(|plane| self.planes[plane].whole(self.bytes)) {
            return O::planar(self.level, [r, g, b], out);
        }
        for (y, out) in out.chunks_exact_mut(self.width).enumerate() {
            O::planar(self.level, order.map(|plane| self.row(plane, y)), out);
        }
    }

    /// Converts each row of a single plane to a row of pixels.
    fn direct<O: Output>(&self, out: &mut [O::Pixel], mut convert: impl FnMut(&[u8], &mut [O::Pixel])) {
        for (out, row) in out.chunks_exact_mut(self.width).zip(self.rows(0)) {
            convert(row, out);
        }
    }

    /// Converts each row of a single plane to gray bytes first.
    fn gray<O: Output>(&self, scratch: &mut [u8], out: &mut [O::Pixel], mut convert: impl FnMut(&[u8], &mut [u8])) {
        let gray = &mut scratch[..self.width];
        for (out, row) in out.chunks_exact_mut(self.width).zip(self.rows(0)) {
            convert(row, gray);
            O::planar(self.level, [gray; 3], out);
        }
    }

    /// Converts each row to a row each of red, green and blue first; `convert` selects the rows of the planes.
    fn colored<O: Output>(
        &self,
        scratch: &mut [u8],
        out: &mut [O::Pixel],
        mut convert: impl FnMut(usize, [&mut [u8]; 3]),
    ) {
        let [r, g, b] = three(scratch, self.width);
        for (y, out) in out.chunks_exact_mut(self.width).enumerate() {
            convert(y, [&mut *r, &mut *g, &mut *b]);
            O::planar(self.level, [r, g, b], out);
        }
    }

    /// Converts rows of luma, of which `shared` (one or two) have the same chroma. `chroma` returns its row by number.
    fn subsampled<O: Output>(
        &self,
        scratch: &mut [u8],
        out: &mut [O::Pixel],
        shared: usize,
        chroma: impl Fn(usize) -> Chroma<'a>,
    ) {
        let (upper, lower) = scratch.split_at_mut(3 * self.width);
        for (n, out) in out.chunks_mut(shared * self.width).enumerate() {
            // An odd height leaves one row.
            let count = out.len() / self.width;
            let luma = [0, count - 1].map(|y| self.row(0, shared * n + y));
            let (luma, chroma) = (&luma[..count], chroma(n));
            if O::subsampled(self.level, luma, chroma, out) {
                continue;
            }
            let mut rows = [&mut *upper, &mut *lower].map(|row| three(row, self.width));
            dispatch::subsampled(self.level, luma, chroma, &mut rows[..count]);
            for (out, [r, g, b]) in out.chunks_exact_mut(self.width).zip(rows) {
                O::planar(self.level, [r, g, b], out);
            }
        }
    }
}

/// Splits a row of scratch memory into rows of red, green and blue.
pub(super) fn three(scratch: &mut [u8], width: usize) -> [&mut [u8]; 3] {
    let (r, rest) = scratch.split_at_mut(width);
    let (g, rest) = rest.split_at_mut(width);
    [r, g, &mut rest[..width]]
}
