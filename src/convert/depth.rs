//! Maps 16-bit depth or disparity to false colors.
//!
//! 0 means "not measured" and is black; increasing values go from blue through green and yellow to red. The scale ends
//! at the power of two above 99 % of the measured samples, and at 256 or more. So a few outliers do not compress the
//! rest, and the scale does not flicker while the scene stays the same.

use super::output::Output;

/// Equidistant colors (red, green, blue) of the Turbo color map.
const ANCHORS: [[u8; 3]; 9] = [
    [48, 18, 59],
    [70, 107, 227],
    [40, 187, 236],
    [49, 242, 153],
    [162, 252, 60],
    [237, 208, 58],
    [251, 128, 34],
    [210, 49, 5],
    [122, 4, 3],
];

/// The colors of the scale in 256 steps.
pub(super) const COLORS: [[u8; 3]; 256] = {
    let mut colors = [[0; 3]; 256];
    let mut n = 0;
    while n < 256 {
        let (at, part) = (n * 8 / 255, (n * 8 % 255) as i32);
        let mut channel = 0;
        while channel < 3 {
            let from = ANCHORS[at][channel] as i32;
            let to = ANCHORS[if at < 8 { at + 1 } else { 8 }][channel] as i32;
            colors[n][channel] = (from + (to - from) * part / 255) as u8;
            channel += 1;
        }
        n += 1;
    }
    colors
};

/// Returns the right shift that turns samples into an index of [`COLORS`].
#[inline(always)]
pub(super) fn shift<'a>(rows: impl Iterator<Item = &'a [u8]>) -> u32 {
    // A histogram of the high bytes is fine enough, because the scale ends at a power of two.
    let mut histogram = [0usize; 256];
    let mut zeros = 0;
    for row in rows {
        for [low, high] in row.as_chunks().0 {
            histogram[usize::from(*high)] += 1;
            zeros += usize::from(*low == 0 && *high == 0);
        }
    }
    histogram[0] -= zeros;
    let measured: usize = histogram.iter().sum();
    let (mut below, mut scale) = (0, 0);
    for count in histogram {
        below += count;
        scale += 1usize;
        if below >= measured - measured / 100 {
            break;
        }
    }
    scale.next_power_of_two().ilog2()
}

/// Converts one row, with the [`shift`] of its picture.
#[inline(always)]
pub(super) fn colored<O: Output>(shift: u32, row: &[u8], out: &mut [O::Pixel]) {
    for (out, sample) in out.iter_mut().zip(row.as_chunks().0) {
        let sample = u16::from_le_bytes(*sample);
        let [r, g, b] = COLORS[usize::from((sample >> shift).min(255))];
        *out = if sample == 0 { O::rgb(0, 0, 0) } else { O::rgb(r, g, b) };
    }
}
