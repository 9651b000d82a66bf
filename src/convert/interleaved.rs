//! Expands pixels of three bytes to words: for interleaved `preview` pictures and decoded JPEGs.
//!
//! Uses intrinsics, because the compiled plain loop reaches a third of their speed.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::output::Words;
use super::{PackedOrder, rows};

/// Returns the shuffle of twelve bytes to four words: blue, green, red, then zero (0x80).
#[cfg(target_arch = "x86_64")]
const fn shuffle(order: PackedOrder) -> [u8; 16] {
    match order {
        PackedOrder::Bgr => [0, 1, 2, 0x80, 3, 4, 5, 0x80, 6, 7, 8, 0x80, 9, 10, 11, 0x80],
        PackedOrder::Rgb => [2, 1, 0, 0x80, 5, 4, 3, 0x80, 8, 7, 6, 0x80, 11, 10, 9, 0x80],
    }
}

/// Converts pixel by pixel.
pub(super) fn words_plain(order: PackedOrder, triples: &[u8], out: &mut [u32]) {
    match order {
        PackedOrder::Rgb => rows::rgb::<Words>(triples, out),
        PackedOrder::Bgr => rows::bgr::<Words>(triples, out),
    }
}

/// Converts 16 pixels at a time: moves the twelve bytes of every four pixels to the start of a vector, then shuffles
/// once.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "ssse3")]
pub(super) fn words_ssse3(order: PackedOrder, triples: &[u8], out: &mut [u32]) {
    let (triples, tail) = triples[..3 * out.len()].as_chunks::<48>();
    let (blocks, rest) = out.as_chunks_mut::<16>();
    let shuffle: __m128i = bytemuck::cast(shuffle(order));
    for (out, triples) in blocks.iter_mut().zip(triples) {
        let [a, b, c]: [__m128i; 3] = bytemuck::cast(*triples);
        let fours = [a, _mm_alignr_epi8::<12>(b, a), _mm_alignr_epi8::<8>(c, b), _mm_srli_si128::<4>(c)];
        *out = bytemuck::cast(fours.map(|four| _mm_shuffle_epi8(four, shuffle)));
    }
    words_plain(order, tail, rest);
}

/// Converts 32 pixels at a time: distributes every 24 bytes to the two lanes, twelve each, then shuffles once.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
pub(super) fn words_avx2(order: PackedOrder, triples: &[u8], out: &mut [u32]) {
    // Three 4-byte words per lane; the fourth is ignored.
    const PLACES: [[u32; 8]; 4] =
        [[0, 1, 2, 0, 3, 4, 5, 0], [6, 7, 0, 0, 1, 2, 3, 0], [4, 5, 6, 0, 7, 0, 1, 0], [2, 3, 4, 0, 5, 6, 7, 0]];
    let (triples, tail) = triples[..3 * out.len()].as_chunks::<96>();
    let (blocks, rest) = out.as_chunks_mut::<32>();
    let shuffle: __m256i = bytemuck::cast([shuffle(order); 2]);
    let places: [__m256i; 4] = bytemuck::cast(PLACES);
    for (out, triples) in blocks.iter_mut().zip(triples) {
        let [a, b, c]: [__m256i; 3] = bytemuck::cast(*triples);
        // Bytes 24..48 are the end of `a` and the start of `b`; bytes 48..72 those of `b` and `c`.
        let (ab, bc) = (_mm256_blend_epi32::<0b1100_0000>(b, a), _mm256_blend_epi32::<0b1111_0000>(c, b));
        let eights = [
            _mm256_permutevar8x32_epi32(a, places[0]),
            _mm256_permutevar8x32_epi32(ab, places[1]),
            _mm256_permutevar8x32_epi32(bc, places[2]),
            _mm256_permutevar8x32_epi32(c, places[3]),
        ];
        *out = bytemuck::cast(eights.map(|eight| _mm256_shuffle_epi8(eight, shuffle)));
    }
    words_plain(order, tail, rest);
}
