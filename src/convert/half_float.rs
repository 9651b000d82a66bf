//! Converts half-precision numbers to bytes: with the instructions for them, or by a table of all 65,536.
//!
//! A camera sends such numbers as the input of a network: 0..=255 if the network normalizes them itself, 0..=1 if the
//! camera does (the vendor calls GRAYF16 "normalized"). The stream does not show which, so the range is 0..=1 until the
//! first number above 1.

use half::f16;

#[cfg(target_arch = "x86_64")]
use super::avx512::store;
use super::dispatch::{self, SimdLevel};

/// Bits of 1.0.
const ONE: u16 = 0x3c00;
/// Bits of infinity. Larger bits are `NaN` up to 0x7fff, and negative from 0x8000.
const INFINITY: u16 = 0x7c00;

/// The range of one stream, and the byte for each number.
#[derive(Default)]
pub(super) struct HalfTable {
    /// `None` until it is needed, and after a change of range.
    bytes: Option<Box<[u8; 65536]>>,
    /// The stream has contained a number above 1.
    full_range: bool,
}

impl std::fmt::Debug for HalfTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HalfTable").field("full_range", &self.full_range).finish_non_exhaustive()
    }
}

impl HalfTable {
    /// Adapts the range to these rows.
    pub(super) fn adapt<'a>(&mut self, level: SimdLevel, mut rows: impl Iterator<Item = &'a [u8]>) {
        let above_one = |row: &[u8]| {
            let mut any = false;
            dispatch::any_above_one(level, row, &mut any);
            any
        };
        if !self.full_range && rows.any(above_one) {
            self.full_range = true;
            self.bytes = None;
        }
    }

    /// Returns the factor from a number to its byte.
    const fn scale(&self) -> f32 {
        if self.full_range { 1.0 } else { 255.0 }
    }

    /// Returns the byte for each number.
    pub(super) fn bytes(&mut self) -> &[u8; 65536] {
        let scale = self.scale();
        self.bytes.get_or_insert_with(|| {
            let table: Vec<u8> = (0..=u16::MAX).map(|bits| byte(bits, scale)).collect();
            table.into_boxed_slice().try_into().expect("there are 65536 numbers")
        })
    }
}

/// Converts the numbers of a picture, in the way that is fastest at this level.
pub(super) struct Halves<'a> {
    level: SimdLevel,
    table: &'a mut HalfTable,
}

impl<'a> Halves<'a> {
    pub(super) const fn new(level: SimdLevel, table: &'a mut HalfTable) -> Self {
        Self { level, table }
    }

    /// Converts as many numbers as `out` has bytes.
    pub(super) fn convert(&mut self, row: &[u8], out: &mut [u8]) {
        if !dispatch::halves(self.level, self.table.scale(), row, out) {
            looked_up(self.table.bytes(), row, out);
        }
    }
}

/// Converts through the table.
fn looked_up(table: &[u8; 65536], row: &[u8], out: &mut [u8]) {
    for (out, half) in out.iter_mut().zip(row.as_chunks().0) {
        *out = table[usize::from(u16::from_le_bytes(*half))];
    }
}

/// Converts 32 numbers at a time, to the same bytes as the table. Reads the rest of a row as if zeros followed.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
pub(super) fn converted(scale: f32, row: &[u8], out: &mut [u8]) {
    use std::arch::x86_64::*;
    let (scale, half, end) = (_mm256_set1_ps(scale), _mm256_set1_ps(0.5), _mm256_set1_ps(255.0));
    let in_order: __m256i = bytemuck::cast([0, 4, 1, 5, 2, 6, 3, 7]);
    let eight = |halves: [u8; 16]| {
        let numbers = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtph_ps(bytemuck::cast(halves)), scale), half);
        // The second operand is the result if it is `NaN`, which becomes the smallest integer, and 0 when it is packed.
        _mm256_cvttps_epi32(_mm256_min_ps(end, numbers))
    };
    let converted = |halves: &[u8; 64]| -> [u8; 32] {
        let [a, b, c, d]: [[u8; 16]; 4] = bytemuck::cast(*halves);
        let (low, high) = (_mm256_packs_epi32(eight(a), eight(b)), _mm256_packs_epi32(eight(c), eight(d)));
        // Packing takes turns between the lanes of both vectors.
        bytemuck::cast(_mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), in_order))
    };
    let (out, out_rest) = out.as_chunks_mut::<32>();
    let (halves, halves_rest) = row.as_chunks::<64>();
    for (out, halves) in out.iter_mut().zip(halves) {
        *out = converted(halves);
    }
    if !out_rest.is_empty() {
        let rest = halves.get(out.len()).map_or(halves_rest, |halves| &halves[..]);
        let len = rest.len().min(2 * out_rest.len());
        let mut halves = [0; 64];
        halves[..len].copy_from_slice(&rest[..len]);
        out_rest.copy_from_slice(&converted(&halves)[..out_rest.len()]);
    }
}

/// As [`converted`], 64 numbers at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512bw,avx2,f16c")]
pub(super) fn converted_avx512(scale: f32, row: &[u8], out: &mut [u8]) {
    use std::arch::x86_64::*;
    let (scale_by, zero, end) = (_mm512_set1_ps(scale), _mm512_setzero_ps(), _mm512_set1_ps(255.0));
    let half = _mm512_set1_ps(0.5);
    let in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let sixteen = |halves: [u8; 32]| {
        // One instruction multiplies and adds. The product is exact, because halves have 11 bits and the scale has 8.
        let numbers = _mm512_fmadd_ps(_mm512_cvtph_ps(bytemuck::cast(halves)), scale_by, half);
        // The second operand is the result if the first is `NaN`.
        _mm512_cvttps_epi32(_mm512_min_ps(_mm512_max_ps(numbers, zero), end))
    };
    let (out, out_rest) = out.as_chunks_mut::<64>();
    let (halves, halves_rest) = row.as_chunks::<128>();
    for (out, halves) in out.iter_mut().zip(halves) {
        let [a, b, c, d]: [[u8; 32]; 4] = bytemuck::cast(*halves);
        let (a, b, c, d) = (sixteen(a), sixteen(b), sixteen(c), sixteen(d));
        // Packing takes turns between the lanes of both vectors.
        let packed = _mm512_packus_epi16(_mm512_packus_epi32(a, b), _mm512_packus_epi32(c, d));
        store(_mm512_permutexvar_epi32(in_order, packed), out);
    }
    let rest = halves.get(out.len()).map_or(halves_rest, |halves| &halves[..]);
    converted(scale, &rest[..rest.len().min(2 * out_rest.len())], out_rest);
}

/// Scales, rounds to nearest and saturates; 0 for `NaN`.
pub(super) fn byte(bits: u16, scale: f32) -> u8 {
    (f16::from_bits(bits).to_f32() * scale).round() as u8
}

/// Sets `any` if a row has a number above 1.
#[inline(always)]
pub(super) fn any_above_one(row: &[u8], any: &mut bool) {
    // No early exit within a row, so that the compiler can vectorize the loop.
    *any |= row.as_chunks().0.iter().fold(false, |any, sample| {
        let bits = u16::from_le_bytes(*sample);
        any | (bits > ONE && bits <= INFINITY)
    });
}
