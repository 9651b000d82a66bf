//! Converts pixels whose colors are side by side: for interleaved `preview` pictures and decoded JPEGs.
//!
//! Uses intrinsics, because the compiled plain loops reach a third of their speed, and a tenth where pixels of three bytes are written.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::output::{Bgr, Rgb, Words};
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

/// Converts 16 bytes at a time by one shuffle, and returns how often. A step reads `FROM` of them and writes `TO`; the next step
/// overwrites the bytes after these.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "ssse3")]
fn shuffled<const FROM: usize, const TO: usize>(shuffle: [u8; 16], from: &[u8], to: &mut [u8]) -> usize {
    let shuffle = bytemuck::cast(shuffle);
    let mut steps = 0;
    while let (Some(from), Some(to)) = (
        from.get(steps * FROM..).and_then(|from| from.first_chunk::<16>()),
        to.get_mut(steps * TO..).and_then(|to| to.first_chunk_mut::<16>()),
    ) {
        *to = bytemuck::cast(_mm_shuffle_epi8(bytemuck::cast(*from), shuffle));
        steps += 1;
    }
    steps
}

/// Reverses the colors of pixels of three bytes, five at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "ssse3")]
pub(super) fn reversed_ssse3(triples: &[u8], out: &mut [[u8; 3]]) {
    let shuffle = [2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9, 14, 13, 12, 0x80];
    let done = 5 * shuffled::<15, 15>(shuffle, triples, out.as_flattened_mut());
    reversed_plain(&triples[3 * done..], &mut out[done..]);
}

/// Reverses the colors of pixels of three bytes.
pub(super) fn reversed_plain(triples: &[u8], out: &mut [[u8; 3]]) {
    rows::bgr::<Rgb>(triples, out);
}

/// Converts red, green, blue, alpha to words, four pixels at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "ssse3")]
pub(super) fn rgba_words_ssse3(row: &[u8], out: &mut [u32]) {
    let shuffle = [2, 1, 0, 0x80, 6, 5, 4, 0x80, 10, 9, 8, 0x80, 14, 13, 12, 0x80];
    let shuffle = bytemuck::cast::<[u8; 16], _>(shuffle);
    let (fours, tail) = row[..4 * out.len()].as_chunks::<16>();
    let (blocks, rest) = out.as_chunks_mut::<4>();
    for (out, four) in blocks.iter_mut().zip(fours) {
        *out = bytemuck::cast(_mm_shuffle_epi8(bytemuck::cast(*four), shuffle));
    }
    rows::rgba::<Words>(tail, rest);
}

/// Converts red, green, blue, alpha to pixels of three bytes, four at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "ssse3")]
pub(super) fn rgba_triples_ssse3(order: PackedOrder, row: &[u8], out: &mut [[u8; 3]]) {
    let shuffle = match order {
        PackedOrder::Rgb => [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 0x80, 0x80, 0x80, 0x80],
        PackedOrder::Bgr => [2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 0x80, 0x80, 0x80, 0x80],
    };
    let done = 4 * shuffled::<16, 12>(shuffle, row, out.as_flattened_mut());
    rgba_triples_plain(order, &row[4 * done..], &mut out[done..]);
}

/// Converts red, green, blue, alpha to pixels of three bytes.
pub(super) fn rgba_triples_plain(order: PackedOrder, row: &[u8], out: &mut [[u8; 3]]) {
    match order {
        PackedOrder::Rgb => rows::rgba::<Rgb>(row, out),
        PackedOrder::Bgr => rows::rgba::<Bgr>(row, out),
    }
}
