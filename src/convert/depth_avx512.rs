//! Measures depth, and maps it to false colors with AVX-512, 64 samples at a time. Looks the colors up in registers: a table of 256 bytes per
//! channel fits four vectors.

use std::arch::x86_64::*;

use super::avx512::{Block, load, spread, store, words_of_planes};
use super::depth::{self, COLORS};
use super::depth_avx2::{COUNTED, padded};

/// Samples converted at a time.
const BLOCK: usize = 64;

/// Red, green and blue of the scale, each in four vectors.
const TABLES: [[Block; 4]; 3] = {
    let mut tables = [[[0; 64]; 4]; 3];
    let mut n = 0;
    while n < 256 {
        let mut channel = 0;
        while channel < 3 {
            tables[channel][n / 64][n % 64] = COLORS[n][channel];
            channel += 1;
        }
        n += 1;
    }
    tables
};

/// Samples of a block, as bytes in memory.
type SampleBlock = [u8; 2 * BLOCK];

/// Returns red, green and blue of a block of samples; those that were not measured are black.
#[inline]
#[target_feature(enable = "avx512bw,avx512vbmi")]
fn colors(shift: __m128i, samples: &SampleBlock) -> [__m512i; 3] {
    let [first, second]: &[Block; 2] = bytemuck::cast_ref(samples);
    let (first, second) = (load(first), load(second));
    let measured =
        u64::from(_mm512_test_epi16_mask(first, first)) | u64::from(_mm512_test_epi16_mask(second, second)) << 32;
    let last = _mm512_set1_epi16(255);
    let first = _mm512_min_epu16(_mm512_srl_epi16(first, shift), last);
    let second = _mm512_min_epu16(_mm512_srl_epi16(second, shift), last);
    // Packing takes turns between the lanes of both vectors.
    let in_order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    let index = _mm512_permutexvar_epi64(in_order, _mm512_packus_epi16(first, second));
    // The upper two bits of an index select the vector of a table, and the others the byte in it.
    let upper = _mm512_movepi8_mask(index);
    let lower = _mm512_movepi8_mask(_mm512_slli_epi16::<1>(index));
    let of_vector =
        [!upper & !lower & measured, !upper & lower & measured, upper & !lower & measured, upper & lower & measured];
    let mut found = [_mm512_setzero_si512(); 3];
    for (found, tables) in found.iter_mut().zip(&TABLES) {
        for (table, mask) in tables.iter().zip(of_vector) {
            *found = _mm512_mask_permutexvar_epi8(*found, mask, index, load(table));
        }
    }
    found
}

/// As [`depth::measure`]. A masked addition counts the samples of a comparison.
#[target_feature(enable = "avx512bw")]
pub(super) fn measure(last: u16, row: &[u8], zeros: &mut u32, below: &mut u32, max: &mut u16) {
    let (blocks, rest) = row.as_chunks();
    let (one, limit) = (_mm512_set1_epi16(1), _mm512_set1_epi16(last.cast_signed()));
    let mut largest = _mm512_setzero_si512();
    for blocks in blocks.chunks(COUNTED) {
        let (mut zero, mut small) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        for block in blocks {
            let samples = load(block);
            largest = _mm512_max_epu16(largest, samples);
            zero = _mm512_mask_add_epi16(zero, _mm512_testn_epi16_mask(samples, samples), zero, one);
            small = _mm512_mask_add_epi16(small, _mm512_cmple_epu16_mask(samples, limit), small, one);
        }
        let sum = |counts| _mm512_reduce_add_epi32(_mm512_madd_epi16(counts, one)).cast_unsigned();
        *zeros += sum(zero);
        *below += sum(small);
    }
    let mut bytes = [0; 64];
    store(largest, &mut bytes);
    *max = bytes.as_chunks().0.iter().fold(*max, |max, sample| max.max(u16::from_le_bytes(*sample)));
    depth::measure(last, rest, zeros, below, max);
}

/// Converts a row to words.
#[target_feature(enable = "avx512bw,avx512vbmi")]
pub(super) fn words(shift: u32, row: &[u8], out: &mut [u32]) {
    let shift = _mm_cvtsi32_si128(shift as i32);
    let (samples, samples_rest) = row[..2 * out.len()].as_chunks();
    let (out, out_rest) = out.as_chunks_mut();
    for (samples, out) in samples.iter().zip(out) {
        let [r, g, b] = colors(shift, samples);
        words_of_planes([spread(r), spread(g), spread(b)], out);
    }
    if !out_rest.is_empty() {
        let [r, g, b] = colors(shift, &padded(samples_rest));
        let mut words = [0; BLOCK];
        words_of_planes([spread(r), spread(g), spread(b)], &mut words);
        out_rest.copy_from_slice(&words[..out_rest.len()]);
    }
}

/// Converts a row to a row each of red, green and blue.
#[target_feature(enable = "avx512bw,avx512vbmi")]
pub(super) fn planes(shift: u32, row: &[u8], [r, g, b]: [&mut [u8]; 3]) {
    let shift = _mm_cvtsi32_si128(shift as i32);
    let (samples, samples_rest) = row[..2 * r.len()].as_chunks();
    let [(r, r_rest), (g, g_rest), (b, b_rest)] = [r, g, b].map(|plane| plane.as_chunks_mut::<BLOCK>());
    for (((samples, r), g), b) in samples.iter().zip(r).zip(g).zip(b) {
        let [red, green, blue] = colors(shift, samples);
        store(red, r);
        store(green, g);
        store(blue, b);
    }
    if !r_rest.is_empty() {
        let [red, green, blue] = colors(shift, &padded(samples_rest));
        for (color, rest) in [(red, r_rest), (green, g_rest), (blue, b_rest)] {
            let mut bytes = [0; BLOCK];
            store(color, &mut bytes);
            rest.copy_from_slice(&bytes[..rest.len()]);
        }
    }
}
