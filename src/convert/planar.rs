//! Interleaves three planes of bytes to words or triples. Uses intrinsics, because most cameras send planar pictures.
//!
//! performance.md has the design and the measurements. Loads and stores are casts of fixed-size arrays, so this code is
//! safe on processors that have the instructions, which [`dispatch`](super::dispatch) checks.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Converts pixel by pixel.
#[inline(always)]
pub(super) fn words_plain([b, g, r]: [&[u8]; 3], out: &mut [u32]) {
    for (((out, b), g), r) in out.iter_mut().zip(b).zip(g).zip(r) {
        *out = u32::from_be_bytes([0, *r, *g, *b]);
    }
}

/// Converts pixel by pixel.
#[inline(always)]
pub(super) fn triples_plain([a, b, c]: [&[u8]; 3], out: &mut [[u8; 3]]) {
    for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
        *out = [*a, *b, *c];
    }
}

/// Returns the planes without their first `at` samples.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn from(planes: [&[u8]; 3], at: usize) -> [&[u8]; 3] {
    planes.map(|plane| &plane[at..])
}

/// Converts 16 pixels at a time: interleaves blue with green and red with zero, then those pairs.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
pub(super) fn words_sse2(planes: [&[u8]; 3], out: &mut [u32]) {
    let [b, g, r] = planes.map(|plane| plane[..out.len()].as_chunks::<16>().0);
    let (blocks, rest) = out.as_chunks_mut::<16>();
    let tail = from(planes, blocks.len() * 16);
    let zero = _mm_setzero_si128();
    for (((out, b), g), r) in blocks.iter_mut().zip(b).zip(g).zip(r) {
        let (b, g, r): (__m128i, __m128i, __m128i) = (bytemuck::cast(*b), bytemuck::cast(*g), bytemuck::cast(*r));
        let (bg_low, bg_high) = (_mm_unpacklo_epi8(b, g), _mm_unpackhi_epi8(b, g));
        let (r_low, r_high) = (_mm_unpacklo_epi8(r, zero), _mm_unpackhi_epi8(r, zero));
        *out = bytemuck::cast([
            _mm_unpacklo_epi16(bg_low, r_low),
            _mm_unpackhi_epi16(bg_low, r_low),
            _mm_unpacklo_epi16(bg_high, r_high),
            _mm_unpackhi_epi16(bg_high, r_high),
        ]);
    }
    words_plain(tail, rest);
}

/// Converts 32 pixels at a time. AVX2 unpacks within its two lanes, so the lanes are reordered at the end.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
pub(super) fn words_avx2(planes: [&[u8]; 3], out: &mut [u32]) {
    let [b, g, r] = planes.map(|plane| plane[..out.len()].as_chunks::<32>().0);
    let (blocks, rest) = out.as_chunks_mut::<32>();
    let tail = from(planes, blocks.len() * 32);
    let zero = _mm256_setzero_si256();
    for (((out, b), g), r) in blocks.iter_mut().zip(b).zip(g).zip(r) {
        let (b, g, r): (__m256i, __m256i, __m256i) = (bytemuck::cast(*b), bytemuck::cast(*g), bytemuck::cast(*r));
        let (bg_low, bg_high) = (_mm256_unpacklo_epi8(b, g), _mm256_unpackhi_epi8(b, g));
        let (r_low, r_high) = (_mm256_unpacklo_epi8(r, zero), _mm256_unpackhi_epi8(r, zero));
        // Pixels 0..4 and 16..20, 4..8 and 20..24, and so on.
        let w0 = _mm256_unpacklo_epi16(bg_low, r_low);
        let w1 = _mm256_unpackhi_epi16(bg_low, r_low);
        let w2 = _mm256_unpacklo_epi16(bg_high, r_high);
        let w3 = _mm256_unpackhi_epi16(bg_high, r_high);
        *out = bytemuck::cast([
            _mm256_permute2x128_si256::<0x20>(w0, w1),
            _mm256_permute2x128_si256::<0x20>(w2, w3),
            _mm256_permute2x128_si256::<0x31>(w0, w1),
            _mm256_permute2x128_si256::<0x31>(w2, w3),
        ]);
    }
    words_plain(tail, rest);
}

/// Returns the shuffle of 16 samples of a plane: sample `k` becomes byte `3k + plane` of the 48 output bytes. Because 3
/// and 16 share no factor, no two samples have the same position in their 16-byte vectors.
#[cfg(target_arch = "x86_64")]
const fn spread(plane: usize) -> [u8; 16] {
    let mut shuffle = [0; 16];
    let mut k = 0;
    while k < 16 {
        shuffle[(3 * k + plane) % 16] = k as u8;
        k += 1;
    }
    shuffle
}

/// Returns the mask of output vector `vector` that is 0xff for bytes from plane `plane`.
#[cfg(target_arch = "x86_64")]
const fn of_plane(plane: usize, vector: usize) -> [u8; 16] {
    let mut mask = [0; 16];
    let mut at = 0;
    while at < 16 {
        if (16 * vector + at) % 3 == plane {
            mask[at] = 0xff;
        }
        at += 1;
    }
    mask
}

/// Combines `spread` and `of_plane`: the shuffle of a plane into one output vector, with 0x80 (zero) elsewhere.
#[cfg(target_arch = "x86_64")]
const fn spread_into(plane: usize, vector: usize) -> [u8; 16] {
    let (mut shuffle, mask) = (spread(plane), of_plane(plane, vector));
    let mut at = 0;
    while at < 16 {
        if mask[at] == 0 {
            shuffle[at] = 0x80;
        }
        at += 1;
    }
    shuffle
}

/// Converts 16 pixels at a time: each output vector is the union of three shuffles, because SSSE3 has no blend.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "ssse3")]
pub(super) fn triples_ssse3(planes: [&[u8]; 3], out: &mut [[u8; 3]]) {
    const SHUFFLES: [[[u8; 16]; 3]; 3] = {
        let mut all = [[[0; 16]; 3]; 3];
        let mut n = 0;
        while n < 9 {
            all[n / 3][n % 3] = spread_into(n % 3, n / 3);
            n += 1;
        }
        all
    };
    let [a, b, c] = planes.map(|plane| plane[..out.len()].as_chunks::<16>().0);
    let (blocks, rest) = out.as_chunks_mut::<16>();
    let tail = from(planes, blocks.len() * 16);
    let s: [[__m128i; 3]; 3] = bytemuck::cast(SHUFFLES);
    for (((out, a), b), c) in blocks.iter_mut().zip(a).zip(b).zip(c) {
        let (a, b, c): (__m128i, __m128i, __m128i) = (bytemuck::cast(*a), bytemuck::cast(*b), bytemuck::cast(*c));
        let v0 = _mm_or_si128(
            _mm_or_si128(_mm_shuffle_epi8(a, s[0][0]), _mm_shuffle_epi8(b, s[0][1])),
            _mm_shuffle_epi8(c, s[0][2]),
        );
        let v1 = _mm_or_si128(
            _mm_or_si128(_mm_shuffle_epi8(a, s[1][0]), _mm_shuffle_epi8(b, s[1][1])),
            _mm_shuffle_epi8(c, s[1][2]),
        );
        let v2 = _mm_or_si128(
            _mm_or_si128(_mm_shuffle_epi8(a, s[2][0]), _mm_shuffle_epi8(b, s[2][1])),
            _mm_shuffle_epi8(c, s[2][2]),
        );
        *out = bytemuck::cast([v0, v1, v2]);
    }
    triples_plain(tail, rest);
}

/// Converts 32 pixels at a time: one shuffle per plane, two blends per vector, then reorders the lanes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
pub(super) fn triples_avx2(planes: [&[u8]; 3], out: &mut [[u8; 3]]) {
    const SPREAD: [[[u8; 16]; 2]; 3] = [[spread(0); 2], [spread(1); 2], [spread(2); 2]];
    const FROM_B: [[[u8; 16]; 2]; 3] = [[of_plane(1, 0); 2], [of_plane(1, 1); 2], [of_plane(1, 2); 2]];
    const FROM_C: [[[u8; 16]; 2]; 3] = [[of_plane(2, 0); 2], [of_plane(2, 1); 2], [of_plane(2, 2); 2]];
    let [a, b, c] = planes.map(|plane| plane[..out.len()].as_chunks::<32>().0);
    let (blocks, rest) = out.as_chunks_mut::<32>();
    let tail = from(planes, blocks.len() * 32);
    let spread: [__m256i; 3] = bytemuck::cast(SPREAD);
    let from_b: [__m256i; 3] = bytemuck::cast(FROM_B);
    let from_c: [__m256i; 3] = bytemuck::cast(FROM_C);
    for (((out, a), b), c) in blocks.iter_mut().zip(a).zip(b).zip(c) {
        let a = _mm256_shuffle_epi8(bytemuck::cast(*a), spread[0]);
        let b = _mm256_shuffle_epi8(bytemuck::cast(*b), spread[1]);
        let c = _mm256_shuffle_epi8(bytemuck::cast(*c), spread[2]);
        // Bytes 0..16, 16..32 and 32..48 of the 48 of each lane.
        let v0 = _mm256_blendv_epi8(_mm256_blendv_epi8(a, b, from_b[0]), c, from_c[0]);
        let v1 = _mm256_blendv_epi8(_mm256_blendv_epi8(a, b, from_b[1]), c, from_c[1]);
        let v2 = _mm256_blendv_epi8(_mm256_blendv_epi8(a, b, from_b[2]), c, from_c[2]);
        *out = bytemuck::cast([
            _mm256_permute2x128_si256::<0x20>(v0, v1),
            _mm256_permute2x128_si256::<0x30>(v2, v0),
            _mm256_permute2x128_si256::<0x31>(v1, v2),
        ]);
    }
    triples_plain(tail, rest);
}
