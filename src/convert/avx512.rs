//! Loads, stores and interleaves vectors of 64 bytes.

use std::arch::x86_64::*;

/// The bytes of a vector.
pub(super) type Block = [u8; 64];

/// Returns bytes as a vector.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(bytes: &Block) -> __m512i {
    // bytemuck casts vectors of AVX-512 only with a feature that our dependencies do not have. The compiler joins the halves.
    let [low, high]: [__m256i; 2] = bytemuck::cast(*bytes);
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

/// Writes a vector to bytes.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store(vector: __m512i, out: &mut Block) {
    *out = bytemuck::cast([_mm512_castsi512_si256(vector), _mm512_extracti64x4_epi64::<1>(vector)]);
}

/// Moves groups of four bytes to the lanes in turn. [`words_of_planes`] then writes pixels in their order.
#[inline]
#[target_feature(enable = "avx512bw")]
pub(super) fn spread(groups: __m512i) -> __m512i {
    _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), groups)
}

/// Interleaves 64 pixels to `0x00RRGGBB`. The planes are in the order of [`spread`].
#[inline]
#[target_feature(enable = "avx512bw")]
pub(super) fn words_of_planes([r, g, b]: [__m512i; 3], out: &mut [u32; 64]) {
    let zero = _mm512_setzero_si512();
    let (bg_low, bg_high) = (_mm512_unpacklo_epi8(b, g), _mm512_unpackhi_epi8(b, g));
    let (r_low, r_high) = (_mm512_unpacklo_epi8(r, zero), _mm512_unpackhi_epi8(r, zero));
    let [first, second, third, fourth]: &mut [Block; 4] = bytemuck::cast_mut(out);
    store(_mm512_unpacklo_epi16(bg_low, r_low), first);
    store(_mm512_unpackhi_epi16(bg_low, r_low), second);
    store(_mm512_unpacklo_epi16(bg_high, r_high), third);
    store(_mm512_unpackhi_epi16(bg_high, r_high), fourth);
}
