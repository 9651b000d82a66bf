//! Maps 16-bit depth or disparity to false colors.
//!
//! 0 means "not measured" and is black; increasing values go from blue through green and yellow to red. The scale ends
//! at the power of two above 99 % of the measured samples, and at 256 or more. So a few outliers do not compress the
//! rest, and the scale does not flicker while the scene stays the same.

use super::dispatch::{self, SimdLevel};
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

/// Number of samples of a picture, of those that were not measured, and the largest one.
#[derive(Default)]
pub(super) struct Extent {
    samples: u32,
    zeros: u32,
    max: u16,
    /// Samples up to the end of the scale that is one step shorter than [`Self::widest`].
    below: u32,
}

/// Samples counted at a time: so few that 16 bits can count them.
const COUNTED: usize = 2 * 4096;

/// Adds the numbers of samples that were not measured and of those up to `last`, and finds the largest.
#[inline(always)]
pub(super) fn measure(last: u16, row: &[u8], zeros: &mut u32, below: &mut u32, max: &mut u16) {
    for samples in row.chunks(COUNTED) {
        let samples = samples.as_chunks().0;
        *zeros += number(samples, |sample| sample == 0);
        *below += number(samples, |sample| sample <= last);
        *max = samples.iter().fold(*max, |max, sample| max.max(u16::from_le_bytes(*sample)));
    }
}

/// Adds the number of samples of a row up to `last`.
#[inline(always)]
pub(super) fn count_up_to(last: u16, row: &[u8], count: &mut u32) {
    for samples in row.chunks(COUNTED) {
        *count += number(samples.as_chunks().0, |sample| sample <= last);
    }
}

/// Returns how many samples match. The compiler vectorizes this loop, because its sum has 16 bits like a sample.
#[inline(always)]
fn number(samples: &[[u8; 2]], matches: impl Fn(u16) -> bool) -> u32 {
    samples.iter().map(|sample| u16::from(matches(u16::from_le_bytes(*sample)))).sum::<u16>().into()
}

impl Extent {
    /// Adds the samples of a row.
    pub(super) fn add(&mut self, level: SimdLevel, row: &[u8]) {
        let widest = self.widest();
        dispatch::depth_measure(level, half_of_scale(widest), row, &mut self.zeros, &mut self.below, &mut self.max);
        if self.widest() > widest {
            // All earlier samples are below half of the larger scale.
            self.below = self.samples;
            dispatch::depth_count_up_to(level, half_of_scale(self.widest()), row, &mut self.below);
        }
        self.samples += row.len() as u32 / 2;
    }

    /// Returns the shift with which the largest sample has an index of its own.
    fn widest(&self) -> u32 {
        u32::from(self.max / 256).checked_ilog2().map_or(0, |bits| bits + 1)
    }

    /// Returns the right shift that turns samples into an index of [`COLORS`]. `count_up_to` returns the number of samples up to
    /// its argument. Calls it only if the largest sample may be an outlier.
    pub(super) fn shift(&self, count_up_to: impl Fn(u16) -> u32) -> u32 {
        let measured = self.samples - self.zeros;
        let enough = measured - measured / 100 + self.zeros;
        let mut shift = self.widest();
        let mut below = self.below;
        while shift > 0 && below >= enough {
            shift -= 1;
            if shift > 0 {
                below = count_up_to(half_of_scale(shift));
            }
        }
        shift
    }
}

/// Returns the last sample of the lower half of the scale with this shift.
const fn half_of_scale(shift: u32) -> u16 {
    ((1 << (7 + shift)) - 1) as u16
}

/// The colors of all samples, shifted.
pub(super) struct Colors<O: Output>([O::Pixel; 512]);

/// Index of the color of samples that were not measured.
const NOT_MEASURED: u16 = 256;

/// Samples whose indices are computed at a time, because the compiler vectorizes that, but not the look-up.
const INDEXED: usize = 256;

impl<O: Output> Colors<O> {
    pub(super) fn new() -> Self {
        let mut colors = [O::rgb(0, 0, 0); 512];
        for (pixel, [r, g, b]) in colors.iter_mut().zip(COLORS) {
            *pixel = O::rgb(r, g, b);
        }
        Self(colors)
    }

    /// Returns the color of one sample.
    #[inline(always)]
    pub(super) fn of(&self, shift: u32, sample: u16) -> O::Pixel {
        self.0[usize::from(index(shift, sample) % 512)]
    }

    /// Converts one row, with the shift of its picture.
    pub(super) fn write(&self, shift: u32, row: &[u8], out: &mut [O::Pixel]) {
        let mut indices = [0; INDEXED];
        for (out, samples) in out.chunks_mut(INDEXED).zip(row.chunks(2 * INDEXED)) {
            self::indices(shift, samples, &mut indices);
            for (out, index) in out.iter_mut().zip(indices) {
                *out = self.0[usize::from(index % 512)];
            }
        }
    }
}

/// Writes the indices of the colors of samples.
fn indices(shift: u32, row: &[u8], out: &mut [u16; INDEXED]) {
    for (index, sample) in out.iter_mut().zip(row.as_chunks().0) {
        *index = self::index(shift, u16::from_le_bytes(*sample));
    }
}

/// Returns the index of a sample's color.
#[inline(always)]
fn index(shift: u32, sample: u16) -> u16 {
    (sample >> shift).min(255) | if sample == 0 { NOT_MEASURED } else { 0 }
}
