//! Converts rows of luma with one chroma sample per two pixels, 32 pixels at a time with AVX2. The results are those of
//! [`yuv`](super::yuv), bit for bit: the same sums in 32 bits, whose products come from `_mm256_madd_epi16`.
//!
//! Vectors keep their samples within the two lanes in which AVX2 unpacks and packs, so nothing is reordered between.

use std::arch::x86_64::*;

use super::yuv::{self, Chroma, ChromaBlocks, HALF, SHIFT, U_TO_BLUE, U_TO_GREEN, V_TO_GREEN, V_TO_RED, Y};

/// Pixels converted at a time.
const BLOCK: usize = 32;

/// Bits of a coefficient that multiply the sample itself; the rest multiplies the sample shifted left by as many.
const LOW_BITS: i32 = 7;

/// Eight 32-bit numbers for the lower, and eight for the upper half of each lane of a vector of 16 samples.
#[derive(Clone, Copy)]
struct Wide {
    low: __m256i,
    high: __m256i,
}

impl Wide {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn plus(self, other: Self) -> Self {
        Self { low: _mm256_add_epi32(self.low, other.low), high: _mm256_add_epi32(self.high, other.high) }
    }
}

/// 16 samples of at most 8 bits and a sign, each beside itself shifted left: ready for any number of coefficients.
#[derive(Clone, Copy)]
struct Samples(Wide);

impl Samples {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(samples: __m256i) -> Self {
        let shifted = _mm256_slli_epi16::<LOW_BITS>(samples);
        let (low, high) = (_mm256_unpacklo_epi16(samples, shifted), _mm256_unpackhi_epi16(samples, shifted));
        Self(Wide { low, high })
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn times(self, coefficient: i32) -> Wide {
        let low = coefficient & ((1 << LOW_BITS) - 1);
        let factors = _mm256_set1_epi32((coefficient >> LOW_BITS) << 16 | low);
        Wide { low: _mm256_madd_epi16(self.0.low, factors), high: _mm256_madd_epi16(self.0.high, factors) }
    }
}

/// The part of 16 pairs of chroma samples in the colors of their pixels.
#[derive(Clone, Copy)]
struct Tints {
    r: Wide,
    g: Wide,
    b: Wide,
}

impl Tints {
    /// Takes samples in 16 bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(u: __m256i, v: __m256i) -> Self {
        let middle = _mm256_set1_epi16(128);
        let (u, v) = (Samples::new(_mm256_sub_epi16(u, middle)), Samples::new(_mm256_sub_epi16(v, middle)));
        let half = _mm256_set1_epi32(HALF);
        let half = Wide { low: half, high: half };
        Self {
            r: v.times(V_TO_RED).plus(half),
            g: v.times(V_TO_GREEN).plus(u.times(U_TO_GREEN)).plus(half),
            b: u.times(U_TO_BLUE).plus(half),
        }
    }

    /// Returns red, green and blue of 32 samples of luma.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn colors(self, luma: __m256i) -> [__m256i; 3] {
        let luma = _mm256_subs_epu8(luma, _mm256_set1_epi8(16));
        let (even, odd) = parted(luma);
        let (even, odd) = (Samples::new(even).times(Y), Samples::new(odd).times(Y));
        [
            joined(even.plus(self.r), odd.plus(self.r)),
            joined(even.plus(self.g), odd.plus(self.g)),
            joined(even.plus(self.b), odd.plus(self.b)),
        ]
    }

    /// Converts 32 samples of luma to planes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn write(self, luma: __m256i, r: &mut [u8; BLOCK], g: &mut [u8; BLOCK], b: &mut [u8; BLOCK]) {
        [*r, *g, *b] = self.colors(luma).map(bytemuck::cast);
    }

    /// Converts 32 samples of luma to words. Luma and chroma are in the order of [`spread`].
    #[inline]
    #[target_feature(enable = "avx2")]
    fn write_words(self, luma: __m256i, out: &mut [u32; BLOCK]) {
        let [r, g, b] = self.colors(luma);
        let zero = _mm256_setzero_si256();
        let (bg_low, bg_high) = (_mm256_unpacklo_epi8(b, g), _mm256_unpackhi_epi8(b, g));
        let (r_low, r_high) = (_mm256_unpacklo_epi8(r, zero), _mm256_unpackhi_epi8(r, zero));
        *out = bytemuck::cast([
            _mm256_unpacklo_epi16(bg_low, r_low),
            _mm256_unpackhi_epi16(bg_low, r_low),
            _mm256_unpacklo_epi16(bg_high, r_high),
            _mm256_unpackhi_epi16(bg_high, r_high),
        ]);
    }
}

/// Ends the fixed point of the sums of 16 even and 16 odd pixels, and puts those in turn as bytes. Blends the upper halves of the
/// sums, so that they need no sorting.
#[inline]
#[target_feature(enable = "avx2")]
fn joined(even: Wide, odd: Wide) -> __m256i {
    const ODD: i32 = 0b1010_1010;
    const AFTER_UPPER_HALF: i32 = SHIFT - 16;
    let low = _mm256_blend_epi16::<ODD>(_mm256_srli_epi32::<16>(even.low), odd.low);
    let high = _mm256_blend_epi16::<ODD>(_mm256_srli_epi32::<16>(even.high), odd.high);
    _mm256_packus_epi16(_mm256_srai_epi16::<AFTER_UPPER_HALF>(low), _mm256_srai_epi16::<AFTER_UPPER_HALF>(high))
}

/// Returns the even bytes in 16 bits, and the odd ones.
#[inline]
#[target_feature(enable = "avx2")]
fn parted(bytes: __m256i) -> (__m256i, __m256i) {
    (_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(bytes))
}

/// Moves groups of four pixels to the lanes in turn. Words then leave the unpacking in their order: two shuffles for 32
/// pixels, instead of four after it.
#[inline]
#[target_feature(enable = "avx2")]
fn spread(groups: __m256i) -> __m256i {
    const IN_TURN: [u32; 8] = [0, 2, 4, 6, 1, 3, 5, 7];
    _mm256_permutevar8x32_epi32(groups, bytemuck::cast(IN_TURN))
}

/// Splits the part of each plane that is converted in blocks from the rest.
fn blocks<'a>(out: &'a mut [&mut [u8]; 3]) -> ([&'a mut [[u8; BLOCK]]; 3], [&'a mut [u8]; 3]) {
    let [(r, r_rest), (g, g_rest), (b, b_rest)] = out.each_mut().map(|plane| plane.as_chunks_mut());
    ([r, g, b], [r_rest, g_rest, b_rest])
}

type Blocks<'a> = ChromaBlocks<'a, BLOCK, { BLOCK / 2 }>;

impl Blocks<'_> {
    /// Returns the colors of a block, in the order of [`spread`] if `SPREAD`; `None` after the last block. Not a callback for
    /// each block: the compiler calls those instead of inlining them.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn tints<const SPREAD: bool>(self, at: usize) -> Option<Tints> {
        let (u, v) = match self {
            Self::Pairs { v_first, row } => {
                let pairs = bytemuck::cast(*row.get(at)?);
                let (first, second) = parted(if SPREAD { spread(pairs) } else { pairs });
                if v_first { (second, first) } else { (first, second) }
            }
            Self::Planes([u, v]) => {
                let (u, v) = (bytemuck::cast(*u.get(at)?), bytemuck::cast(*v.get(at)?));
                let (u, v) = (_mm256_cvtepu8_epi16(u), _mm256_cvtepu8_epi16(v));
                if SPREAD { (spread(u), spread(v)) } else { (u, v) }
            }
        };
        Some(Tints::new(u, v))
    }
}

/// As [`Chroma::colors`], for one or two rows.
#[target_feature(enable = "avx2")]
pub(super) fn planes(luma: &[&[u8]], chroma: Chroma<'_>, out: &mut [[&mut [u8]; 3]]) {
    let chroma_blocks = Blocks::of(chroma);
    for (luma, out) in luma.iter().zip(out) {
        let ([r, g, b], rest) = blocks(out);
        let (whole, luma_rest) = luma.as_chunks::<BLOCK>();
        for (at, (((luma, r), g), b)) in whole.iter().zip(r).zip(g).zip(b).enumerate() {
            let Some(tints) = chroma_blocks.tints::<false>(at) else { break };
            tints.write(bytemuck::cast(*luma), r, g, b);
        }
        chroma.after(whole.len() * BLOCK).colors(luma_rest, rest);
    }
}

/// Converts one or two rows that share their chroma to words, one row after the other.
#[target_feature(enable = "avx2")]
pub(super) fn words(luma: &[&[u8]], chroma: Chroma<'_>, out: &mut [u32]) {
    let Some(width) = luma.first().map(|row| row.len()) else { return };
    let mut out = out.chunks_exact_mut(width.max(1));
    let (upper, lower) = (out.next().unwrap_or_default(), out.next().unwrap_or_default());
    let [(upper, upper_rest), (lower, lower_rest)] = [upper, lower].map(|row| row.as_chunks_mut::<BLOCK>());
    let luma_of = |row: usize| luma.get(row).map_or(&[][..], |row| row.as_chunks::<BLOCK>().0);
    let (upper_luma, lower_luma) = (luma_of(0), luma_of(1));
    let chroma_blocks = Blocks::of(chroma);
    for (at, (luma, out)) in upper_luma.iter().zip(upper).enumerate() {
        let Some(tints) = chroma_blocks.tints::<true>(at) else { break };
        tints.write_words(spread(bytemuck::cast(*luma)), out);
        if let (Some(luma), Some(out)) = (lower_luma.get(at), lower.get_mut(at)) {
            tints.write_words(spread(bytemuck::cast(*luma)), out);
        }
    }
    let done = width / BLOCK * BLOCK;
    for (luma, out) in luma.iter().zip([upper_rest, lower_rest]) {
        chroma.after(done).words_of_rest(&luma[done..], out);
    }
}

/// As [`yuv::yuyv`].
#[target_feature(enable = "avx2")]
pub(super) fn yuyv(row: &[u8], mut out: [&mut [u8]; 3]) {
    let ([r, g, b], rest) = blocks(&mut out);
    let done = r.len() * 2 * BLOCK;
    let pieces = row.as_chunks::<BLOCK>().0.as_chunks::<2>().0;
    for ((([left, right], r), g), b) in pieces.iter().zip(r).zip(g).zip(b) {
        let (left, right) = (parted(bytemuck::cast(*left)), parted(bytemuck::cast(*right)));
        let (luma, chroma) = (packed(left.0, right.0), packed(left.1, right.1));
        let (u, v) = parted(chroma);
        Tints::new(u, v).write(luma, r, g, b);
    }
    yuv::yuyv(&row[done..], rest);
}

/// Packs 32 samples of 16 bits in their order. The instruction takes turns between the lanes of both vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn packed(left: __m256i, right: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(left, right))
}
