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

/// Ends of the scale that a picture can have, in powers of two from 256 to 65536.
const ENDS: usize = 9;

/// How many samples of a picture are below each end of the scale.
#[derive(Default)]
pub(super) struct Scale {
    zeros: u32,
    below: [u32; ENDS],
}

/// Samples counted at a time: so few that they stay in the cache for all ends, and that 16 bits can count them.
const COUNTED: usize = 2 * 4096;

/// Counts the samples of a row.
#[inline(always)]
pub(super) fn count(row: &[u8], scale: &mut Scale) {
    for samples in row.chunks(COUNTED) {
        let samples = samples.as_chunks().0;
        scale.zeros += number(samples, |sample| sample == 0);
        for (n, below) in scale.below[..ENDS - 1].iter_mut().enumerate() {
            let last = (256 << n) - 1;
            *below += number(samples, |sample| sample <= last);
        }
        scale.below[ENDS - 1] += samples.len() as u32;
    }
}

/// Returns how many samples match. The compiler vectorizes this loop, because its sum has 16 bits like a sample.
#[inline(always)]
fn number(samples: &[[u8; 2]], matches: impl Fn(u16) -> bool) -> u32 {
    samples.iter().map(|sample| u16::from(matches(u16::from_le_bytes(*sample)))).sum::<u16>().into()
}

impl Scale {
    /// Returns the right shift that turns samples into an index of [`COLORS`].
    pub(super) fn shift(&self) -> u32 {
        let measured = self.below[ENDS - 1] - self.zeros;
        let enough = measured - measured / 100 + self.zeros;
        self.below.iter().take_while(|below| **below < enough).count() as u32
    }
}

/// The colors of all samples, shifted.
pub(super) struct Colors<O: Output>([O::Pixel; 512]);

/// Index of the color of samples that were not measured.
const NOT_MEASURED: u16 = 256;

/// Samples whose indices are computed at a time, because the compiler vectorizes that, but not the look-up.
const INDEXED: usize = 64;

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
    #[inline(always)]
    pub(super) fn write(&self, shift: u32, row: &[u8], out: &mut [O::Pixel]) {
        for (out, samples) in out.chunks_mut(INDEXED).zip(row.as_chunks().0.chunks(INDEXED)) {
            let mut indices = [0; INDEXED];
            for (index, sample) in indices.iter_mut().zip(samples) {
                *index = self::index(shift, u16::from_le_bytes(*sample));
            }
            for (out, index) in out.iter_mut().zip(indices) {
                *out = self.0[usize::from(index % 512)];
            }
        }
    }
}

/// Returns the index of a sample's color.
#[inline(always)]
fn index(shift: u32, sample: u16) -> u16 {
    (sample >> shift).min(255) | if sample == 0 { NOT_MEASURED } else { 0 }
}
