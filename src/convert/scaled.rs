//! Converts and scales in one step: reads only the pixels that a smaller picture needs.
//!
//! Each pixel of a smaller picture is the mean of up to four pixels of its area: two columns of two rows. So the cost
//! depends on the size of the result. Depth is not averaged: a mean of two distances is the distance of neither.
//! A larger picture is interpolated between neighbors, or repeats them from [`BLOCKS_FROM`].

use std::ops::Range;

use super::half_float::HalfTable;
use super::output::Words;
use super::pixels::Pixels;
use super::{depth, dispatch, jpeg};
use crate::frame::{Part, PixelFormat};

/// From this enlargement, each pixel of a frame is a block of one color: whoever enlarges that much looks at pixels.
const BLOCKS_FROM: f64 = 4.0;

/// Fewest rows from which the scale of depth is determined, evenly distributed over the frame.
const DEPTH_ROWS_MIN: usize = 128;

/// The part of a frame to show, and the size at which it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// The part.
    pub part: Part,
    /// Width and height of the result in pixels.
    pub size: (usize, usize),
}

impl Placement {
    /// Returns all of a frame in its own size.
    #[must_use]
    pub const fn whole(width: usize, height: usize) -> Self {
        Self { part: Part::whole(width, height), size: (width, height) }
    }

    /// Returns the pixels of the frame per pixel of the result, across and down.
    fn ratio(&self) -> (f64, f64) {
        (self.part.width / self.size.0.max(1) as f64, self.part.height / self.size.1.max(1) as f64)
    }

    /// Returns the number by which a JPEG's sides can be divided while it is decoded, without the result showing it.
    pub(super) fn reduction(&self) -> usize {
        jpeg::reduction(self.ratio())
    }

    /// Returns the same part of a frame that was decoded to `of` pixels: its sides divided by `reduction`, rounded up.
    pub(super) fn within_reduced(&self, of: (usize, usize), reduction: usize) -> Self {
        let by = reduction as f64;
        let Part { x, y, width, height, .. } = self.part;
        let (x, y) = (x / by, y / by);
        let (width, height) = ((width / by).min(of.0 as f64 - x), (height / by).min(of.1 as f64 - y));
        Self { part: Part { of, x, y, width, height }, size: self.size }
    }

    /// Returns whether the result is interpolated between pixels of the frame.
    pub(super) fn is_interpolated(&self) -> bool {
        let (across, down) = self.ratio();
        let enlarges = |ratio: f64| ratio < 1.0 && ratio > 1.0 / BLOCKS_FROM;
        enlarges(across) || enlarges(down)
    }

    /// Returns the whole pixels that contain the part: columns and rows.
    pub(super) fn pixels(&self) -> (Range<usize>, Range<usize>) {
        let Part { of, x, y, width, height } = self.part;
        // One more on each side, to interpolate with.
        let range = |from: f64, len: f64, of: usize| {
            let first = (from.floor() as usize).saturating_sub(1).min(of.saturating_sub(1));
            first..(((from + len).ceil() as usize).saturating_add(1)).clamp(first + 1, of.max(first + 1))
        };
        (range(x, width, of.0), range(y, height, of.1))
    }
}

/// Columns and rows to read: two for each column and row of the result.
#[derive(Debug, Default)]
pub(super) struct Samples {
    placement: Option<Placement>,
    across: Vec<[u32; 2]>,
    down: Vec<[u32; 2]>,
}

impl Samples {
    /// Prepares for a placement. Does nothing if it is the same as last time.
    pub(super) fn set(&mut self, placement: &Placement) {
        if self.placement.as_ref() == Some(placement) {
            return;
        }
        let Placement { part, size } = *placement;
        samples(&mut self.across, (part.x, part.width), size.0, part.of.0);
        samples(&mut self.down, (part.y, part.height), size.1, part.of.1);
        self.placement = Some(*placement);
    }

    /// Returns the two columns to read for each of the result.
    pub(super) fn across(&self) -> &[[u32; 2]] {
        &self.across
    }

    /// Returns whether the result has at most one pixel for 2x2 of the frame.
    pub(super) fn is_halved(&self) -> bool {
        self.placement.is_some_and(|placement| {
            let (across, down) = placement.ratio();
            across >= 2.0 && down >= 2.0
        })
    }
}

fn samples(samples: &mut Vec<[u32; 2]>, (from, len): (f64, f64), to: usize, of: usize) {
    let ratio = len / to.max(1) as f64;
    let last = of.saturating_sub(1) as f64;
    let at = |n: usize, share: f64| (from + (n as f64 + share) * ratio).clamp(0.0, last) as u32;
    samples.clear();
    samples.extend((0..to).map(|n| if ratio > 1.0 { [at(n, 0.25), at(n, 0.75)] } else { [at(n, 0.5); 2] }));
}

/// Writes the means of one channel. `byte` returns the sample of a column.
#[inline(always)]
fn mean([upper, lower]: [&[u8]; 2], across: &[[u32; 2]], byte: impl Fn(&[u8], usize) -> u8, out: &mut [u8]) {
    for (out, columns) in out.iter_mut().zip(across) {
        let [left, right] = columns.map(|column| column as usize);
        let two = |row: &[u8]| u16::from(byte(row, left)) + u16::from(byte(row, right));
        *out = ((two(upper) + two(lower) + 2) / 4) as u8;
    }
}

#[inline(always)]
pub(super) fn wide(row: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([row[at], row[at + 1]])
}

impl Pixels<'_> {
    /// Writes the sampled pixels. `scratch` is enlarged as needed.
    pub(super) fn write_sampled(
        &self,
        format: PixelFormat,
        halves: &mut HalfTable,
        samples: &Samples,
        scratch: &mut Vec<u8>,
        out: &mut [u32],
    ) {
        use PixelFormat::*;
        let across = &*samples.across;
        let two = |plane: usize, rows: [usize; 2]| rows.map(|y| self.row(plane, y));
        let halved = |rows: [usize; 2]| rows.map(|y| y / 2);
        let mut rows = Rows { pixels: self, samples, scratch, out };
        match format {
            Rgb888p => rows.colors(|at, out| self.means_of_planes([0, 1, 2], at, across, out)),
            Bgr888p => rows.colors(|at, out| self.means_of_planes([2, 1, 0], at, across, out)),
            Gray8 | Raw8 | Yuv400p => rows.gray(|at, out| mean(two(0, at), across, |row, x| row[x], out)),
            Rgb888i | Jpeg => rows.colors(|at, out| interleaved::<3>(two(0, at), across, [0, 1, 2], out)),
            Bgr888i => rows.colors(|at, out| interleaved::<3>(two(0, at), across, [2, 1, 0], out)),
            Rgba8888 => rows.colors(|at, out| interleaved::<4>(two(0, at), across, [0, 1, 2], out)),
            Raw10 | Raw12 | Raw14 => {
                let shift = [2, 4, 6][usize::from(format == Raw12) + 2 * usize::from(format == Raw14)];
                let byte = |row: &[u8], x: usize| (wide(row, 2 * x) >> shift).min(255) as u8;
                rows.gray(|at, out| mean(two(0, at), across, byte, out));
            }
            Pack10 => rows.gray(|at, out| mean(two(0, at), across, |row, x| row[x / 4 * 5 + x % 4], out)),
            Pack12 => rows.gray(|at, out| mean(two(0, at), across, |row, x| row[x / 2 * 3 + x % 2], out)),
            Rgb161616 => rows.colors(|at, out| {
                for (plane, out) in out.into_iter().enumerate() {
                    mean(two(plane, at), across, |row, x| row[2 * x + 1], out);
                }
            }),
            Nv12 | Nv21 => {
                let second = usize::from(format == Nv12);
                rows.yuv(|at, [y, u, v]| {
                    mean(two(0, at), across, |row, x| row[x], y);
                    let pairs = two(1, halved(at));
                    mean(pairs, across, |row, x| row[x / 2 * 2 + 1 - second], u);
                    mean(pairs, across, |row, x| row[x / 2 * 2 + second], v);
                });
            }
            Yuv420p | Yuv422p => rows.yuv(|at, [y, u, v]| {
                mean(two(0, at), across, |row, x| row[x], y);
                let chroma = if format == Yuv420p { halved(at) } else { at };
                mean(two(1, chroma), across, |row, x| row[x / 2], u);
                mean(two(2, chroma), across, |row, x| row[x / 2], v);
            }),
            Yuv422i => rows.yuv(|at, [y, u, v]| {
                mean(two(0, at), across, |row, x| row[2 * x], y);
                mean(two(0, at), across, |row, x| row[x / 2 * 4 + 1], u);
                mean(two(0, at), across, |row, x| row[x / 2 * 4 + 3], v);
            }),
            Yuv444p => rows.yuv(|at, out| self.means_of_planes([0, 1, 2], at, across, out)),
            Yuv444i => rows.yuv(|at, out| interleaved::<3>(two(0, at), across, [0, 1, 2], out)),
            GrayF16 => {
                let table = self.adapted(halves).bytes();
                rows.gray(|at, out| mean(two(0, at), across, |row, x| table[usize::from(wide(row, 2 * x))], out));
            }
            RgbF16i | BgrF16i => {
                let table = self.adapted(halves).bytes();
                let order = if format == RgbF16i { [0, 1, 2] } else { [2, 1, 0] };
                rows.colors(|at, out| {
                    for (channel, out) in order.into_iter().zip(out) {
                        let byte = |row: &[u8], x: usize| table[usize::from(wide(row, 6 * x + 2 * channel))];
                        mean(two(0, at), across, byte, out);
                    }
                });
            }
            RgbF16p | BgrF16p => {
                let table = self.adapted(halves).bytes();
                let order = if format == RgbF16p { [0, 1, 2] } else { [2, 1, 0] };
                rows.colors(|at, out| {
                    for (plane, out) in order.into_iter().zip(out) {
                        mean(two(plane, at), across, |row, x| table[usize::from(wide(row, 2 * x))], out);
                    }
                });
            }
            Bayer(kind, order) => rows.colors(|at, out| self.means_of_mosaic(kind, order, at, samples, out)),
            Raw16 => rows.depth(),
        }
    }

    /// Writes the means of three planes in one pass: one check of each column serves all six rows.
    #[inline(always)]
    fn means_of_planes(&self, order: [usize; 3], at: [usize; 2], across: &[[u32; 2]], [a, b, c]: [&mut [u8]; 3]) {
        let len = self.row(order[0], at[0]).len();
        let [upper, lower] = at.map(|y| order.map(|plane| &self.row(plane, y)[..len]));
        for (((columns, a), b), c) in across.iter().zip(a).zip(b).zip(c) {
            let [left, right] = columns.map(|column| column as usize);
            let two = |row: &[u8]| u16::from(row[left]) + u16::from(row[right]);
            let mean = |plane: usize| ((two(upper[plane]) + two(lower[plane]) + 2) / 4) as u8;
            [*a, *b, *c] = [mean(0), mean(1), mean(2)];
        }
    }
}

/// Writes the means of interleaved channels, `BYTES` per pixel.
#[inline(always)]
fn interleaved<const BYTES: usize>(
    rows: [&[u8]; 2],
    across: &[[u32; 2]],
    order: [usize; 3],
    [a, b, c]: [&mut [u8]; 3],
) {
    let [upper, lower] = rows.map(|row| row.as_chunks::<BYTES>().0);
    for (((columns, a), b), c) in across.iter().zip(a).zip(b).zip(c) {
        let [left, right] = columns.map(|column| column as usize);
        let four = [&upper[left], &upper[right], &lower[left], &lower[right]];
        let mean = |channel: usize| (four.iter().map(|pixel| u16::from(pixel[channel])).sum::<u16>() + 2) / 4;
        [*a, *b, *c] = order.map(|channel| mean(channel) as u8);
    }
}

/// Rows of the result to write.
struct Rows<'a> {
    pixels: &'a Pixels<'a>,
    samples: &'a Samples,
    scratch: &'a mut Vec<u8>,
    out: &'a mut [u32],
}

impl Rows<'_> {
    /// Calls `each` with the two rows to read, three scratch rows, three more and the row of the result.
    fn each(&mut self, mut each: impl FnMut([usize; 2], [&mut [u8]; 3], [&mut [u8]; 3], &mut [u32])) {
        let width = self.samples.across.len();
        self.scratch.resize(6 * width, 0);
        let [a, b, c, d, e, f] = {
            let mut parts = self.scratch.chunks_exact_mut(width.max(1));
            [(); 6].map(|()| parts.next().unwrap_or_default())
        };
        for (rows, out) in self.samples.down.iter().zip(self.out.chunks_exact_mut(width.max(1))) {
            each(rows.map(|y| y as usize), [&mut *a, &mut *b, &mut *c], [&mut *d, &mut *e, &mut *f], out);
        }
    }

    fn colors(&mut self, fill: impl Fn([usize; 2], [&mut [u8]; 3])) {
        let level = self.pixels.level;
        self.each(|at, [r, g, b], _, out| {
            fill(at, [&mut *r, &mut *g, &mut *b]);
            dispatch::words(level, [b, g, r], out);
        });
    }

    fn gray(&mut self, fill: impl Fn([usize; 2], &mut [u8])) {
        let level = self.pixels.level;
        self.each(|at, [gray, ..], _, out| {
            fill(at, gray);
            dispatch::words(level, [gray; 3], out);
        });
    }

    fn yuv(&mut self, fill: impl Fn([usize; 2], [&mut [u8]; 3])) {
        let level = self.pixels.level;
        self.each(|at, [y, u, v], [r, g, b], out| {
            fill(at, [&mut *y, &mut *u, &mut *v]);
            dispatch::full(level, [y, u, v], [&mut *r, &mut *g, &mut *b]);
            dispatch::words(level, [b, g, r], out);
        });
    }

    /// Takes one pixel of each area.
    fn depth(&mut self) {
        let (pixels, samples) = (self.pixels, self.samples);
        let all = pixels.rows(0);
        let apart = (all.len() / DEPTH_ROWS_MIN).max(1);
        let shift = pixels.depth_shift(all.step_by(apart));
        let colors = depth::Colors::<Words>::new();
        self.each(|[_, lower], _, _, out| {
            let row = pixels.row(0, lower);
            for (out, [_, right]) in out.iter_mut().zip(&samples.across) {
                *out = colors.of(shift, wide(row, 2 * *right as usize));
            }
        });
    }
}

/// Two pixels to blend, with the share of the second in 1/256.
#[derive(Clone, Copy, Debug)]
struct Tap {
    first: usize,
    second: usize,
    share: u32,
}

/// Words of a picture, of which a part is scaled.
#[derive(Clone, Copy, Debug)]
pub struct ScaledFrom<'a> {
    /// Rows of `stride` words.
    pub words: &'a [u32],
    /// Words per row.
    pub stride: usize,
    /// Left edge and width of the part.
    pub across: (f64, f64),
    /// Upper edge and height of the part.
    pub down: (f64, f64),
}

/// Scales words. Keeps its tables while the sizes stay the same.
#[derive(Debug, Default)]
pub struct Scaler {
    /// Edges and lengths of the part, its picture and the result.
    key: Option<([f64; 4], [usize; 4])>,
    across: Vec<Tap>,
    down: Vec<Tap>,
    row: Vec<u32>,
}

impl Scaler {
    /// Scales a part of a picture to `size`. Writes rows of `size.0` words, `into_stride` words apart.
    ///
    /// Enlarges by linear interpolation. Reduces by averaging two points per axis of each pixel's area, so the cost depends
    /// on the size of the result. Does nothing if a size is 0.
    pub fn scale(&mut self, from: ScaledFrom<'_>, size: (usize, usize), into: &mut [u32], into_stride: usize) {
        let ScaledFrom { words, stride, across, down } = from;
        let rows = words.len().checked_div(stride).unwrap_or(0);
        if size.0 == 0 || size.1 == 0 || rows == 0 || into_stride < size.0 {
            return;
        }
        let key = Some(([across.0, across.1, down.0, down.1], [stride, rows, size.0, size.1]));
        if self.key != key {
            taps(&mut self.across, across, stride, size.0);
            taps(&mut self.down, down, rows, size.1);
            self.row.resize(stride, 0);
            self.key = key;
        }
        let (first, last) = (self.across[0].first, self.across[size.0 - 1].second);
        let source = |y: usize| &words[y * stride..][first..=last];
        for (row, tap) in into.chunks_mut(into_stride).zip(&self.down) {
            for ((mixed, a), b) in self.row[first..=last].iter_mut().zip(source(tap.first)).zip(source(tap.second)) {
                *mixed = mix(*a, *b, tap.share);
            }
            for (pixel, tap) in row[..size.0].iter_mut().zip(&self.across) {
                *pixel = mix(self.row[tap.first], self.row[tap.second], tap.share);
            }
        }
    }
}

/// Computes the taps that scale `len` of `of` pixels, from `from`, to `to` pixels.
fn taps(taps: &mut Vec<Tap>, (from, len): (f64, f64), of: usize, to: usize) {
    taps.clear();
    let ratio = len / to as f64;
    let last = of - 1;
    taps.extend((0..to).map(|at| {
        if ratio > 1.0 {
            let point = |part: f64| ((from + (at as f64 + part) * ratio).max(0.0) as usize).min(last);
            Tap { first: point(0.25), second: point(0.75), share: 128 }
        } else {
            let middle = (from + (at as f64 + 0.5) * ratio - 0.5).max(0.0);
            let first = (middle as usize).min(last);
            let share = ((middle - first as f64).clamp(0.0, 1.0) * 256.0) as u32;
            Tap { first, second: (first + 1).min(last), share }
        }
    }));
}

/// Blends two pixels. Multiplies two channels at once.
fn mix(a: u32, b: u32, share: u32) -> u32 {
    const RED_BLUE: u32 = 0x00ff_00ff;
    let mixed = |a: u32, b: u32| (a & RED_BLUE) * (256 - share) + (b & RED_BLUE) * share;
    ((mixed(a, b) >> 8) & RED_BLUE) | (mixed(a >> 8, b >> 8) & 0x0000_ff00)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(words: &[u32], size: (usize, usize), to: (usize, usize)) -> Vec<u32> {
        let stride = to.0 + 2;
        let mut window = vec![0xdead; stride * (to.1 + 1)];
        let from = ScaledFrom { words, stride: size.0, across: (0.0, size.0 as f64), down: (0.0, size.1 as f64) };
        Scaler::default().scale(from, to, &mut window, stride);
        let outside = window.iter().filter(|word| **word == 0xdead).count();
        assert_eq!(outside, window.len() - to.0 * to.1, "pixels outside of its place do not change");
        window.chunks_exact(stride).take(to.1).flat_map(|row| row[..to.0].to_vec()).collect()
    }

    #[test]
    fn the_original_size_is_a_copy() {
        let words: Vec<u32> = (0..12).collect();
        assert_eq!(scaled(&words, (4, 3), (4, 3)), words);
    }

    #[test]
    fn reducing_averages_and_enlarging_interpolates() {
        assert_eq!(scaled(&[0, 0x00ff_ff00, 0x0000_00ff, 0], (2, 2), (1, 1)), [0x003f_3f3f]);
        let larger = scaled(&[0, 0x0080_8080], (2, 1), (4, 1));
        assert_eq!(larger, [0, 0x0020_2020, 0x0060_6060, 0x0080_8080]);
    }

    #[test]
    fn scaling_stays_inside_for_any_sizes() {
        for size in [(1, 1), (3, 2), (64, 48), (5, 300)] {
            let words = vec![0x0012_3456; size.0 * size.1];
            for to in [(1, 1), (2, 1), (640, 1), (7, 5), (100, 33)] {
                assert!(scaled(&words, size, to).iter().all(|word| *word == 0x0012_3456), "{size:?} {to:?}");
            }
        }
    }
}
