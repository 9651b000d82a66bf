//! Converts rows of luma with one chroma sample per two pixels, 64 pixels at a time with AVX-512. The results are those of
//! [`yuv`](super::yuv), bit for bit: the same sums in 32 bits.
//!
//! Differs from `yuv_avx2` in more than the width: `_mm512_dpwssd_epi32` multiplies and adds in one instruction, and the upper
//! halves of the sums of even and odd pixels are blended, so that they need neither packing nor sorting.

use std::arch::x86_64::*;

use super::avx512::{load, spread, store, words_of_planes};
use super::yuv::{Chroma, ChromaBlocks, HALF, SHIFT, U_TO_BLUE, U_TO_GREEN, V_TO_GREEN, V_TO_RED, Y};

/// Pixels converted at a time.
const BLOCK: usize = 64;

/// Bits of a coefficient that multiply the sample itself; the rest multiplies the sample shifted left by as many.
const LOW_BITS: u32 = 7;

/// 32-bit numbers for the lower, and for the upper half of each lane of a vector of 32 samples.
#[derive(Clone, Copy)]
struct Wide {
    low: __m512i,
    high: __m512i,
}

impl Wide {
    /// Takes 32 samples of at most 8 bits and a sign, and returns each beside itself shifted left: ready for any coefficient.
    #[inline]
    #[target_feature(enable = "avx512bw")]
    fn of(samples: __m512i) -> Self {
        let shifted = _mm512_slli_epi16::<LOW_BITS>(samples);
        Self { low: _mm512_unpacklo_epi16(samples, shifted), high: _mm512_unpackhi_epi16(samples, shifted) }
    }

    /// Adds samples multiplied by a coefficient.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vnni")]
    fn plus(self, samples: Self, coefficient: i32) -> Self {
        let low = coefficient & ((1 << LOW_BITS) - 1);
        let factors = _mm512_set1_epi32((coefficient >> LOW_BITS) << 16 | low);
        Self {
            low: _mm512_dpwssd_epi32(self.low, samples.low, factors),
            high: _mm512_dpwssd_epi32(self.high, samples.high, factors),
        }
    }
}

/// Ends the fixed point of the sums of even and odd pixels, and puts those in turn as bytes.
#[inline]
#[target_feature(enable = "avx512bw")]
fn joined(even: Wide, odd: Wide) -> __m512i {
    const ODD: u32 = 0xaaaa_aaaa;
    const AFTER_UPPER_HALF: u32 = SHIFT as u32 - 16;
    let low = _mm512_mask_blend_epi16(ODD, _mm512_srli_epi32::<16>(even.low), odd.low);
    let high = _mm512_mask_blend_epi16(ODD, _mm512_srli_epi32::<16>(even.high), odd.high);
    _mm512_packus_epi16(_mm512_srai_epi16::<AFTER_UPPER_HALF>(low), _mm512_srai_epi16::<AFTER_UPPER_HALF>(high))
}

/// The part of 32 pairs of chroma samples in the colors of their pixels.
#[derive(Clone, Copy)]
struct Tints {
    r: Wide,
    g: Wide,
    b: Wide,
}

impl Tints {
    /// Takes samples in 16 bits.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vnni")]
    fn new(u: __m512i, v: __m512i) -> Self {
        let middle = _mm512_set1_epi16(128);
        let (u, v) = (Wide::of(_mm512_sub_epi16(u, middle)), Wide::of(_mm512_sub_epi16(v, middle)));
        let half = _mm512_set1_epi32(HALF);
        let half = Wide { low: half, high: half };
        Self { r: half.plus(v, V_TO_RED), g: half.plus(v, V_TO_GREEN).plus(u, U_TO_GREEN), b: half.plus(u, U_TO_BLUE) }
    }

    /// Returns red, green and blue of 64 samples of luma.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vnni")]
    fn colors(self, luma: __m512i) -> [__m512i; 3] {
        let luma = _mm512_subs_epu8(luma, _mm512_set1_epi8(16));
        let (even, odd) = parted(luma);
        let (even, odd) = (Wide::of(even), Wide::of(odd));
        [
            joined(self.r.plus(even, Y), self.r.plus(odd, Y)),
            joined(self.g.plus(even, Y), self.g.plus(odd, Y)),
            joined(self.b.plus(even, Y), self.b.plus(odd, Y)),
        ]
    }
}

/// Returns the even bytes in 16 bits, and the odd ones.
#[inline]
#[target_feature(enable = "avx512bw")]
fn parted(bytes: __m512i) -> (__m512i, __m512i) {
    (_mm512_and_si512(bytes, _mm512_set1_epi16(0xff)), _mm512_srli_epi16::<8>(bytes))
}

type Blocks<'a> = ChromaBlocks<'a, BLOCK, { BLOCK / 2 }>;

impl Blocks<'_> {
    /// Returns the colors of a block, in the order of [`spread`] if `SPREAD`; `None` after the last block. Not a callback for
    /// each block: the compiler calls those instead of inlining them.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vnni")]
    fn tints<const SPREAD: bool>(self, at: usize) -> Option<Tints> {
        let (u, v) = match self {
            Self::Pairs { v_first, row } => {
                let pairs = load(row.get(at)?);
                let (first, second) = parted(if SPREAD { spread(pairs) } else { pairs });
                if v_first { (second, first) } else { (first, second) }
            }
            Self::Planes([u, v]) => {
                let (u, v) = (bytemuck::cast(*u.get(at)?), bytemuck::cast(*v.get(at)?));
                let (u, v) = (_mm512_cvtepu8_epi16(u), _mm512_cvtepu8_epi16(v));
                if SPREAD { (spread(u), spread(v)) } else { (u, v) }
            }
        };
        Some(Tints::new(u, v))
    }
}

/// Converts one or two rows that share their chroma to words, one row after the other.
#[target_feature(enable = "avx512bw,avx512vnni")]
pub(super) fn words(luma: &[&[u8]], chroma: Chroma<'_>, out: &mut [u32]) {
    let Some(width) = luma.first().map(|row| row.len()) else { return };
    let mut out = out.chunks_exact_mut(width.max(1));
    let (upper, lower) = (out.next().unwrap_or_default(), out.next().unwrap_or_default());
    let [(upper, upper_rest), (lower, lower_rest)] = [upper, lower].map(|row| row.as_chunks_mut::<BLOCK>());
    let luma_of = |row: usize| luma.get(row).map_or(&[][..], |row| row.as_chunks::<BLOCK>().0);
    let (upper_luma, lower_luma) = (luma_of(0), luma_of(1));
    let blocks = Blocks::of(chroma);
    for (at, (luma, out)) in upper_luma.iter().zip(upper).enumerate() {
        let Some(tints) = blocks.tints::<true>(at) else { break };
        words_of_planes(tints.colors(spread(load(luma))), out);
        if let (Some(luma), Some(out)) = (lower_luma.get(at), lower.get_mut(at)) {
            words_of_planes(tints.colors(spread(load(luma))), out);
        }
    }
    let done = width / BLOCK * BLOCK;
    for (luma, out) in luma.iter().zip([upper_rest, lower_rest]) {
        chroma.after(done).words_of_rest(&luma[done..], out);
    }
}

/// As [`Chroma::colors`], for one or two rows.
#[target_feature(enable = "avx512bw,avx512vnni")]
pub(super) fn planes(luma: &[&[u8]], chroma: Chroma<'_>, out: &mut [[&mut [u8]; 3]]) {
    let blocks = Blocks::of(chroma);
    for (luma, [r, g, b]) in luma.iter().zip(out) {
        let (whole, rest) = luma.as_chunks::<BLOCK>();
        let [(r, r_rest), (g, g_rest), (b, b_rest)] = [r, g, b].map(|plane| plane.split_at_mut(whole.len() * BLOCK));
        let [r, g, b] = [r, g, b].map(|plane| plane.as_chunks_mut::<BLOCK>().0);
        for (at, (((luma, r), g), b)) in whole.iter().zip(r).zip(g).zip(b).enumerate() {
            let Some(tints) = blocks.tints::<false>(at) else { break };
            let [red, green, blue] = tints.colors(load(luma));
            store(red, r);
            store(green, g);
            store(blue, b);
        }
        chroma.after(whole.len() * BLOCK).colors(rest, [r_rest, g_rest, b_rest]);
    }
}
