//! Measures depth, and maps it to false colors with AVX2, 16 samples at a time. Computes the colors instead of looking them up:
//! between two of its anchors, each channel of the scale is a line.

use std::arch::x86_64::*;

use super::depth::{self, COLORS};

/// Samples converted at a time.
const BLOCK: usize = 16;

/// Samples of a block, as bytes in memory.
type SampleBlock = [u8; 2 * BLOCK];

/// Parts of the scale between two anchors, of 32 colors each.
const PARTS: usize = 8;

/// A channel of the scale: in each part, a color is the upper byte of `start + slope * index`, in 16 bits that overflow.
struct Lines {
    start: [u16; PARTS],
    slope: [u16; PARTS],
}

const CHANNELS: [Lines; 3] = [Lines::of(0), Lines::of(1), Lines::of(2)];

impl Lines {
    /// Finds lines with the exact colors of a channel. Does not compile if the scale does not consist of such lines.
    const fn of(channel: usize) -> Self {
        let mut lines = Self { start: [0; PARTS], slope: [0; PARTS] };
        let mut part = 0;
        while part < PARTS {
            let first = 32 * part;
            let rise = COLORS[first + 31][channel] as i32 - COLORS[first][channel] as i32;
            // Colors are rounded, so the slope lies within one color of 31 steps.
            let mut slope = (rise - 1) * 256 / 31;
            let start = loop {
                assert!(slope <= (rise + 1) * 256 / 31);
                if let Some(start) = start_of(slope, first, channel) {
                    break start;
                }
                slope += 1;
            };
            // The index counts from the start of the scale, not of the part.
            lines.start[part] = (start - slope * first as i32) as u16;
            lines.slope[part] = slope as u16;
            part += 1;
        }
        lines
    }
}

/// Returns the start of a line through 32 colors of a channel, with this slope.
const fn start_of(slope: i32, first: usize, channel: usize) -> Option<i32> {
    let (mut least, mut most) = (i32::MIN, i32::MAX);
    let mut n = 0;
    while n < 32 {
        let (color, rise) = (COLORS[first + n][channel] as i32, slope * n as i32);
        if color * 256 - rise > least {
            least = color * 256 - rise;
        }
        if color * 256 + 255 - rise < most {
            most = color * 256 + 255 - rise;
        }
        n += 1;
    }
    if least <= most { Some(least) } else { None }
}

/// The table of a byte shuffle that finds 16-bit numbers, in both lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn table(numbers: [u16; PARTS]) -> __m256i {
    bytemuck::cast([numbers; 2])
}

/// Returns red, green and blue of 16 samples, in the upper bytes of 16 bits; those that were not measured are black.
#[inline]
#[target_feature(enable = "avx2")]
fn colors(shift: __m128i, samples: __m256i) -> [__m256i; 3] {
    let not_measured = _mm256_cmpeq_epi16(samples, _mm256_setzero_si256());
    let index = _mm256_min_epu16(_mm256_srl_epi16(samples, shift), _mm256_set1_epi16(255));
    // The positions of both bytes of the line's numbers. The shuffle writes zeros where the upper bit is set.
    let part = _mm256_mullo_epi16(_mm256_srli_epi16::<5>(index), _mm256_set1_epi16(0x0202));
    let part = _mm256_or_si256(_mm256_add_epi16(part, _mm256_set1_epi16(0x0100)), not_measured);
    let [r, g, b] = CHANNELS;
    let color = |lines: Lines| {
        let slope = _mm256_shuffle_epi8(table(lines.slope), part);
        _mm256_add_epi16(_mm256_shuffle_epi8(table(lines.start), part), _mm256_mullo_epi16(slope, index))
    };
    [color(r), color(g), color(b)]
}

/// Returns the samples after the last whole block, followed by zeros.
pub(super) fn padded<const BYTES: usize>(rest: &[u8]) -> [u8; BYTES] {
    let mut samples = [0; BYTES];
    samples[..rest.len()].copy_from_slice(rest);
    samples
}

/// Vectors that are counted in 16 bits.
pub(super) const COUNTED: usize = 4096;

/// As [`depth::measure`], in one pass.
#[target_feature(enable = "avx2")]
pub(super) fn measure(last: u16, row: &[u8], zeros: &mut u32, below: &mut u32, max: &mut u16) {
    let (blocks, rest) = row.as_chunks::<{ 2 * BLOCK }>();
    let (nothing, last_of_each) = (_mm256_setzero_si256(), _mm256_set1_epi16(last.cast_signed()));
    let numbers = |vector: __m256i| -> [u16; BLOCK] { bytemuck::cast(vector) };
    let mut largest = nothing;
    for blocks in blocks.chunks(COUNTED) {
        let (mut zero, mut small) = (nothing, nothing);
        for block in blocks {
            let samples: __m256i = bytemuck::cast(*block);
            largest = _mm256_max_epu16(largest, samples);
            // A comparison gives -1 for each match.
            zero = _mm256_sub_epi16(zero, _mm256_cmpeq_epi16(samples, nothing));
            small = _mm256_sub_epi16(small, _mm256_cmpeq_epi16(_mm256_min_epu16(samples, last_of_each), samples));
        }
        let sum = |counts| numbers(counts).into_iter().map(u32::from).sum::<u32>();
        *zeros += sum(zero);
        *below += sum(small);
    }
    *max = numbers(largest).into_iter().fold(*max, u16::max);
    depth::measure(last, rest, zeros, below, max);
}

/// Converts a block to words.
#[inline]
#[target_feature(enable = "avx2")]
fn words_of(shift: __m128i, samples: &SampleBlock, out: &mut [u32; BLOCK]) {
    // Unpacking takes the halves of both lanes: the second and the third quarter change places before it.
    let samples = _mm256_permute4x64_epi64::<0b11_01_10_00>(bytemuck::cast(*samples));
    let [r, g, b] = colors(shift, samples);
    let green_blue = _mm256_or_si256(_mm256_and_si256(g, _mm256_set1_epi16(!0xff)), _mm256_srli_epi16::<8>(b));
    let red = _mm256_srli_epi16::<8>(r);
    *out = bytemuck::cast([_mm256_unpacklo_epi16(green_blue, red), _mm256_unpackhi_epi16(green_blue, red)]);
}

/// Converts a row to words.
#[target_feature(enable = "avx2")]
pub(super) fn words(shift: u32, row: &[u8], out: &mut [u32]) {
    let shift = _mm_cvtsi32_si128(shift as i32);
    let (samples, samples_rest) = row[..2 * out.len()].as_chunks();
    let (out, out_rest) = out.as_chunks_mut();
    for (samples, out) in samples.iter().zip(out) {
        words_of(shift, samples, out);
    }
    if !out_rest.is_empty() {
        let mut words = [0; BLOCK];
        words_of(shift, &padded(samples_rest), &mut words);
        out_rest.copy_from_slice(&words[..out_rest.len()]);
    }
}

/// Converts two blocks to red, green and blue.
#[inline]
#[target_feature(enable = "avx2")]
fn planes_of(shift: __m128i, samples: &[u8; 4 * BLOCK]) -> [[u8; 2 * BLOCK]; 3] {
    let [first, second]: [__m256i; 2] = bytemuck::cast(*samples);
    // Packing takes turns between the lanes of both vectors, so each lane of both gets a half in the order of the samples.
    let low = colors(shift, _mm256_permute2x128_si256::<0x20>(first, second));
    let high = colors(shift, _mm256_permute2x128_si256::<0x31>(first, second));
    let packed = |low, high| {
        let bytes = _mm256_packus_epi16(_mm256_srli_epi16::<8>(low), _mm256_srli_epi16::<8>(high));
        bytemuck::cast(bytes)
    };
    let ([r, g, b], [r_high, g_high, b_high]) = (low, high);
    [packed(r, r_high), packed(g, g_high), packed(b, b_high)]
}

/// Converts a row to a row each of red, green and blue.
#[target_feature(enable = "avx2")]
pub(super) fn planes(shift: u32, row: &[u8], [r, g, b]: [&mut [u8]; 3]) {
    let shift = _mm_cvtsi32_si128(shift as i32);
    let (samples, samples_rest) = row[..2 * r.len()].as_chunks();
    let [(r, r_rest), (g, g_rest), (b, b_rest)] = [r, g, b].map(|plane| plane.as_chunks_mut());
    for (((samples, r), g), b) in samples.iter().zip(r).zip(g).zip(b) {
        [*r, *g, *b] = planes_of(shift, samples);
    }
    if !r_rest.is_empty() {
        let colors = planes_of(shift, &padded(samples_rest));
        for (color, rest) in colors.iter().zip([r_rest, g_rest, b_rest]) {
            rest.copy_from_slice(&color[..rest.len()]);
        }
    }
}
