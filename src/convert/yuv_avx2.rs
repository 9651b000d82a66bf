//! Converts rows of luma with one chroma sample per two pixels, 32 pixels at a time with AVX2. The results are those of
//! [`yuv`](super::yuv), bit for bit: the same sums in 32 bits, whose products come from `_mm256_madd_epi16`.
//!
//! Vectors keep their samples within the two lanes in which AVX2 unpacks and packs, so nothing is reordered between.

use std::arch::x86_64::*;

use super::planar::words_plain;
use super::yuv::{self, Chroma, HALF, SHIFT, U_TO_BLUE, U_TO_GREEN, V_TO_GREEN, V_TO_RED, Y};

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

    /// Ends the fixed point and saturates to 16 bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn rounded(self) -> __m256i {
        _mm256_packs_epi32(_mm256_srai_epi32::<SHIFT>(self.low), _mm256_srai_epi32::<SHIFT>(self.high))
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

/// Rounds the sums of 16 even and 16 odd pixels to bytes, and puts them in turn.
#[inline]
#[target_feature(enable = "avx2")]
fn joined(even: Wide, odd: Wide) -> __m256i {
    const IN_TURN: [[u8; 16]; 2] = [[0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15]; 2];
    // Eight even pixels, then eight odd ones, in each lane.
    let sorted = _mm256_packus_epi16(even.rounded(), odd.rounded());
    _mm256_shuffle_epi8(sorted, bytemuck::cast(IN_TURN))
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

/// Calls `write` with the chroma of every whole block. `order` arranges 16 pairs of samples, two bytes each.
#[inline]
#[target_feature(enable = "avx2")]
fn each_block(chroma: Chroma<'_>, order: impl Fn(__m256i) -> __m256i, mut write: impl FnMut(Tints)) {
    match chroma {
        Chroma::Pairs { v_first, row } => {
            for pairs in row.as_chunks::<BLOCK>().0 {
                let (first, second) = parted(order(bytemuck::cast(*pairs)));
                let (u, v) = if v_first { (second, first) } else { (first, second) };
                write(Tints::new(u, v));
            }
        }
        Chroma::Planes([u, v]) => {
            for (u, v) in u.as_chunks::<{ BLOCK / 2 }>().0.iter().zip(v.as_chunks::<{ BLOCK / 2 }>().0) {
                // Not `map`: the compiler does not inline closures with AVX2 into a function of the library.
                let (u, v) = (_mm256_cvtepu8_epi16(bytemuck::cast(*u)), _mm256_cvtepu8_epi16(bytemuck::cast(*v)));
                write(Tints::new(order(u), order(v)));
            }
        }
    }
}

/// As [`Chroma::colors`], for one or two rows.
#[target_feature(enable = "avx2")]
pub(super) fn planes(luma: &[&[u8]], chroma: Chroma<'_>, out: &mut [[&mut [u8]; 3]]) {
    let mut rows = Rows::new(luma, out);
    each_block(chroma, |pairs| pairs, |tints| rows.write(tints));
    for (luma, out) in luma.iter().zip(out) {
        let done = luma.len() / BLOCK * BLOCK;
        chroma.after(done).colors(&luma[done..], blocks(out).1);
    }
}

/// Converts one or two rows that share their chroma to words, one row after the other.
#[target_feature(enable = "avx2")]
pub(super) fn words(luma: &[&[u8]], chroma: Chroma<'_>, out: &mut [u32]) {
    let Some(width) = luma.first().map(|row| row.len()) else { return };
    let mut out = out.chunks_exact_mut(width.max(1));
    let (upper, lower) = (out.next().unwrap_or_default(), out.next().unwrap_or_default());
    let [(upper, upper_rest), (lower, lower_rest)] = [upper, lower].map(|row| row.as_chunks_mut::<BLOCK>());
    let luma_of = |row: usize| luma.get(row).map_or(&[][..], |row| row.as_chunks::<BLOCK>().0).iter();
    let (mut upper, mut lower) = (luma_of(0).zip(upper), luma_of(1).zip(lower));
    each_block(
        chroma,
        |pairs| spread(pairs),
        |tints| {
            if let Some((luma, out)) = upper.next() {
                tints.write_words(spread(bytemuck::cast(*luma)), out);
            }
            if let Some((luma, out)) = lower.next() {
                tints.write_words(spread(bytemuck::cast(*luma)), out);
            }
        },
    );
    let done = width / BLOCK * BLOCK;
    for (luma, out) in luma.iter().zip([upper_rest, lower_rest]) {
        let mut planes = [[0; BLOCK]; 3];
        chroma.after(done).colors(&luma[done..], planes.each_mut().map(|plane| &mut plane[..width - done]));
        let [r, g, b] = planes.each_ref().map(|plane| &plane[..width - done]);
        words_plain([b, g, r], out);
    }
}

type Blocks<'a> = std::slice::IterMut<'a, [u8; BLOCK]>;

/// The blocks that are left of one row.
struct Row<'a> {
    luma: std::slice::Iter<'a, [u8; BLOCK]>,
    r: Blocks<'a>,
    g: Blocks<'a>,
    b: Blocks<'a>,
}

impl<'a> Row<'a> {
    fn new(luma: &'a [u8], out: &'a mut [&mut [u8]; 3]) -> Self {
        let [r, g, b] = blocks(out).0.map(<[_]>::iter_mut);
        Self { luma: luma.as_chunks().0.iter(), r, g, b }
    }

    /// Converts the next block, if one is left.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn write(&mut self, tints: Tints) {
        if let (Some(luma), Some(r), Some(g), Some(b)) = (self.luma.next(), self.r.next(), self.g.next(), self.b.next())
        {
            tints.write(bytemuck::cast(*luma), r, g, b);
        }
    }
}

/// The blocks that are left of rows with the same chroma.
struct Rows<'a> {
    first: Row<'a>,
    second: Option<Row<'a>>,
}

impl<'a> Rows<'a> {
    fn new(luma: &[&'a [u8]], out: &'a mut [[&mut [u8]; 3]]) -> Self {
        let mut rows = luma.iter().zip(out).map(|(luma, out)| Row::new(luma, out));
        Self { first: rows.next().expect("chroma belongs to a row"), second: rows.next() }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn write(&mut self, tints: Tints) {
        self.first.write(tints);
        if let Some(second) = &mut self.second {
            second.write(tints);
        }
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
