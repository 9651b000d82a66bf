//! Interpolates the colors of a Bayer mosaic: each missing color of a pixel is the mean of the two or four nearest samples of
//! that color (bilinear). Samples of more than 8 bits are cut to their upper 8 bits first, as in gray pictures.
//!
//! Beyond its edges, a picture is mirrored around its outermost row or column, which keeps the order of the colors.

use super::dispatch;
use super::output::Output;
use super::pixels::{Pixels, three};
use super::scaled::{Samples, wide};
use crate::frame::{BayerOrder, MosaicSamples};

/// Returns the bytes of scratch memory for pictures of this width: a row each of red, green and blue, three rows of samples
/// with one more on each side, and a row that tells the two kinds of pixels apart.
pub(super) const fn scratch_len(width: usize) -> usize {
    3 * width + 3 * (width + 2) + width + 1
}

/// Returns the coordinates before and after one of `of`, mirrored at the edges.
#[inline(always)]
const fn beside(at: usize, of: usize) -> (usize, usize) {
    let last = of - 1;
    let before = if at > 0 { at - 1 } else { at + (last > 0) as usize };
    let after = if at < last { at + 1 } else { last.saturating_sub(1) };
    (before, after)
}

/// Interpolates one row. `rows` are those above, at and below, with one more sample on each side. `own` is the color that the
/// row has beside green, and `other` the one that it does not have; `is_own` is 255 at the pixels of `own`, otherwise 0.
#[inline(always)]
pub(super) fn interpolated(rows: [&[u8]; 3], is_own: &[u8], [own, green, other]: [&mut [u8]; 3]) {
    let width = is_own.len();
    let [[a, b, c], [d, e, f], [g, h, i]] = rows.map(|row| [&row[..width], &row[1..][..width], &row[2..][..width]]);
    let (own, green, other) = (&mut own[..width], &mut green[..width], &mut other[..width]);
    for x in 0..width {
        let two = |a: &[u8], b: &[u8]| u16::from(a[x]) + u16::from(b[x]);
        let (across, down) = (two(d, f), two(b, h));
        let diagonal = two(a, c) + two(g, i);
        let select = |own: u8, green: u8| (own & is_own[x]) | (green & !is_own[x]);
        own[x] = select(e[x], ((across + 1) >> 1) as u8);
        green[x] = select(((across + down + 2) >> 2) as u8, e[x]);
        other[x] = select(((diagonal + 2) >> 2) as u8, ((down + 1) >> 1) as u8);
    }
}

impl Pixels<'_> {
    /// Writes the upper 8 bits of a row's samples.
    fn eight_bits(&self, samples: MosaicSamples, y: usize, out: &mut [u8]) {
        let (level, row) = (self.level, self.row(0, y));
        match samples {
            MosaicSamples::Raw8 => out.copy_from_slice(row),
            MosaicSamples::Raw10 => dispatch::high_bits(level, 2, row, out),
            MosaicSamples::Raw12 => dispatch::high_bits(level, 4, row, out),
            MosaicSamples::Raw14 => dispatch::high_bits(level, 6, row, out),
            MosaicSamples::Pack10 => dispatch::pack10(level, row, out),
            MosaicSamples::Pack12 => dispatch::pack12(level, row, out),
        }
    }

    /// Converts a mosaic. `scratch` has [`scratch_len`] bytes or more.
    pub(super) fn mosaic<O: Output>(
        &self,
        samples: MosaicSamples,
        order: BayerOrder,
        scratch: &mut [u8],
        out: &mut [O::Pixel],
    ) {
        let (width, height) = (self.width, self.planes[0].rows);
        let (colors, scratch) = scratch.split_at_mut(3 * width);
        let (rows, scratch) = scratch.split_at_mut(3 * (width + 2));
        let is_even = &mut scratch[..=width];
        is_even.iter_mut().enumerate().for_each(|(x, is_even)| *is_even = if x % 2 == 0 { 255 } else { 0 });
        let [r, g, b] = three(colors, width);
        let (red_x, red_y) = order.red();
        // Row `y` is at place `y % 3`.
        let fill = |rows: &mut [u8], y: usize| {
            let row = &mut rows[y % 3 * (width + 2)..][..width + 2];
            self.eight_bits(samples, y, &mut row[1..=width]);
            let (left, right) = (beside(0, width).0, beside(width - 1, width).1);
            (row[0], row[width + 1]) = (row[1 + left], row[1 + right]);
        };
        fill(rows, 0);
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            if y + 1 < height {
                fill(rows, y + 1);
            }
            let (above, below) = beside(y, height);
            let three = [above, y, below].map(|y| &rows[y % 3 * (width + 2)..][..width + 2]);
            if y % 2 == red_y {
                dispatch::interpolated(self.level, three, &is_even[red_x..][..width], [&mut *r, &mut *g, &mut *b]);
            } else {
                dispatch::interpolated(self.level, three, &is_even[1 - red_x..][..width], [&mut *b, &mut *g, &mut *r]);
            }
            O::planar(self.level, [r, g, b], out);
        }
    }

    /// Writes the mean colors of the sampled pixels in two rows.
    pub(super) fn means_of_mosaic(
        &self,
        samples: MosaicSamples,
        order: BayerOrder,
        at: [usize; 2],
        from: &Samples,
        out: [&mut [u8]; 3],
    ) {
        let shifted = |shift: u32| move |row: &[u8], x: usize| (wide(row, 2 * x) >> shift).min(255) as u8;
        match samples {
            MosaicSamples::Raw8 => self.means_of_colors(order, at, from, |row, x| row[x], out),
            MosaicSamples::Raw10 => self.means_of_colors(order, at, from, shifted(2), out),
            MosaicSamples::Raw12 => self.means_of_colors(order, at, from, shifted(4), out),
            MosaicSamples::Raw14 => self.means_of_colors(order, at, from, shifted(6), out),
            MosaicSamples::Pack10 => self.means_of_colors(order, at, from, |row, x| row[x / 4 * 5 + x % 4], out),
            MosaicSamples::Pack12 => self.means_of_colors(order, at, from, |row, x| row[x / 2 * 3 + x % 2], out),
        }
    }

    #[inline(always)]
    fn means_of_colors(
        &self,
        order: BayerOrder,
        at: [usize; 2],
        from: &Samples,
        byte: impl Fn(&[u8], usize) -> u8,
        [r, g, b]: [&mut [u8]; 3],
    ) {
        let mean = |sum: u16| ((sum + 2) / 4) as u8;
        let pixels = from.across().iter().zip(r).zip(g).zip(b);
        if from.is_halved() {
            // Groups of 2x2 pixels have all colors, and the result shows no detail that is smaller.
            let rows = at.map(|y| group(y, self.planes[0].rows).map(|y| self.row(0, y)));
            let (red_x, red_y) = order.red();
            for (((columns, r), g), b) in pixels {
                let (mut red, mut green, mut blue) = (0, 0, 0);
                for x in columns.map(|x| group(x as usize, self.width)) {
                    for rows in rows {
                        let sample = |column: usize, row: usize| u16::from(byte(rows[row], x[column]));
                        red += sample(red_x, red_y);
                        green += sample(1 - red_x, red_y) + sample(red_x, 1 - red_y);
                        blue += sample(1 - red_x, 1 - red_y);
                    }
                }
                (*r, *g, *b) = (mean(red), mean(green.div_ceil(2)), mean(blue));
            }
        } else {
            for (((columns, r), g), b) in pixels {
                let mut sums = [0; 3];
                for x in columns.map(|x| x as usize) {
                    for y in at {
                        let color = self.color(order, (x, y), &byte);
                        sums.iter_mut().zip(color).for_each(|(sum, color)| *sum += u16::from(color));
                    }
                }
                [*r, *g, *b] = sums.map(mean);
            }
        }
    }

    /// Returns red, green and blue of one pixel.
    #[inline(always)]
    fn color(&self, order: BayerOrder, (x, y): (usize, usize), byte: impl Fn(&[u8], usize) -> u8) -> [u8; 3] {
        let ((left, right), (above, below)) = (beside(x, self.width), beside(y, self.planes[0].rows));
        let sample = |x: usize, y: usize| u16::from(byte(self.row(0, y), x));
        let (across, down) = (sample(left, y) + sample(right, y), sample(x, above) + sample(x, below));
        let (red_x, red_y) = order.red();
        let has_red = y % 2 == red_y;
        let is_own = x % 2 == if has_red { red_x } else { 1 - red_x };
        let [own, green, other] = if is_own {
            let diagonal = sample(left, above) + sample(right, above) + sample(left, below) + sample(right, below);
            [sample(x, y), (across + down + 2) / 4, (diagonal + 2) / 4]
        } else {
            [across.div_ceil(2), sample(x, y), down.div_ceil(2)]
        };
        (if has_red { [own, green, other] } else { [other, green, own] }).map(|color| color as u8)
    }
}

/// Returns the even and the odd coordinate of the group of two that has `at`, or of the one before if it is cut off.
#[inline(always)]
fn group(at: usize, of: usize) -> [usize; 2] {
    let even = at / 2 * 2;
    let even = if even + 1 < of { even } else { even.saturating_sub(2) };
    [even, (even + 1).min(of - 1)]
}
