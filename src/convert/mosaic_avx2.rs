//! Interpolates the colors of Bayer mosaics, 32 pixels at a time with AVX2. Means of four samples are made of means of two, so that
//! they do not need 16 bits.

use std::arch::x86_64::*;

use super::mosaic;

/// Pixels interpolated at a time.
const BLOCK: usize = 32;

/// As [`mosaic::interpolated`].
#[target_feature(enable = "avx2")]
pub(super) fn interpolated(rows: [&[u8]; 3], is_own: &[u8], mut out: [&mut [u8]; 3]) {
    let Some(last) = is_own.len().checked_sub(BLOCK) else { return mosaic::interpolated(rows, is_own, out) };
    whole_blocks(rows, is_own, out.each_mut().map(|color| &mut **color));
    // The last block begins at the pixel where it ends with the row.
    if !is_own.len().is_multiple_of(BLOCK) {
        whole_blocks(rows.map(|row| &row[last..]), &is_own[last..], out.map(|color| &mut color[last..]));
    }
}

/// Interpolates the whole blocks of a row.
#[inline]
#[target_feature(enable = "avx2")]
fn whole_blocks([upper, row, lower]: [&[u8]; 3], is_own: &[u8], [own, green, other]: [&mut [u8]; 3]) {
    let [own, green, other] = [own, green, other].map(|color| color.as_chunks_mut::<BLOCK>().0);
    let colors = own.iter_mut().zip(green).zip(other);
    for (n, (((own, green), other), is_own)) in colors.zip(is_own.as_chunks::<BLOCK>().0).enumerate() {
        let at = n * BLOCK;
        let (Some(upper), Some(row), Some(lower)) = (around(upper, at), around(row, at), around(lower, at)) else {
            break;
        };
        let ([a, b, c], [d, e, f], [g, h, i]) = (upper, row, lower);
        let (across, down) = ([d, f, _mm256_avg_epu8(d, f)], [b, h, _mm256_avg_epu8(b, h)]);
        let (above, below) = ([a, c, _mm256_avg_epu8(a, c)], [g, i, _mm256_avg_epu8(g, i)]);
        let is_own = bytemuck::cast(*is_own);
        *own = bytemuck::cast(_mm256_blendv_epi8(across[2], e, is_own));
        *green = bytemuck::cast(_mm256_blendv_epi8(e, mean(across, down), is_own));
        *other = bytemuck::cast(_mm256_blendv_epi8(down[2], mean(above, below), is_own));
    }
}

/// Returns the samples to the left of 32 pixels, at them, and to the right.
#[inline]
#[target_feature(enable = "avx2")]
fn around(row: &[u8], at: usize) -> Option<[__m256i; 3]> {
    let samples: &[u8; BLOCK + 2] = row.get(at..)?.first_chunk()?;
    let ([left @ .., _, _], [_, middle @ .., _], [_, _, right @ ..]) = (samples, samples, samples);
    Some([bytemuck::cast(*left), bytemuck::cast(*middle), bytemuck::cast(*right)])
}

/// Returns the rounded means of four samples: of two pairs, each with its rounded mean. Corrects means that were rounded up twice.
#[inline]
#[target_feature(enable = "avx2")]
fn mean([a, b, first]: [__m256i; 3], [c, d, second]: [__m256i; 3]) -> __m256i {
    let rounded_before = _mm256_or_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
    let twice = _mm256_and_si256(rounded_before, _mm256_xor_si256(first, second));
    _mm256_sub_epi8(_mm256_avg_epu8(first, second), _mm256_and_si256(twice, _mm256_set1_epi8(1)))
}
