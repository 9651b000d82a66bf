//! Detects the instructions of this processor, and calls the code compiled for them.
//!
//! The kernels are safe functions. The compiler cannot check that the processor has their instructions: a [`SimdLevel`]
//! is the proof, because levels above the baseline are only made by asking the processor.
#![allow(unsafe_code)]

use super::output::Words;
use super::yuv::Chroma;
use super::{PackedOrder, depth, half_float, interleaved, mosaic, planar, rows, yuv, yuv420};
#[cfg(target_arch = "x86_64")]
use super::{depth_avx2, depth_avx512, mosaic_avx2, packed, yuv_avx2, yuv_avx512};
use crate::frame::PixelFormat;

/// A set of SIMD instructions that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimdLevel(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Ssse3,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX2, F16C, and AVX-512 with BW, VBMI and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl SimdLevel {
    /// Instructions of every processor of this architecture: SSE2 on x86-64.
    pub const BASELINE: Self = Self(Set::Baseline);

    /// Returns all levels of this processor, from the baseline to the best.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self::BASELINE];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("ssse3") {
                levels.push(Self(Set::Ssse3));
            }
            // Every processor with AVX2 has F16C, but some virtual machines hide it.
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c") {
                levels.push(Self(Set::Avx2));
                if is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vbmi")
                    && is_x86_feature_detected!("avx512vnni")
                {
                    levels.push(Self(Set::Avx512));
                }
            }
        }
        levels
    }

    /// Returns the best level of this processor. With AVX-512, only chroma, depth, packed and half-precision formats have code of
    /// their own: planar colors are as fast with AVX2.
    #[must_use]
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self::BASELINE)
    }

    /// Returns the usual name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Set::Baseline if cfg!(target_arch = "x86_64") => "SSE2",
            Set::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Set::Ssse3 => "SSSE3",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "AVX-512",
        }
    }
}

/// Defines functions that run a plain loop compiled for the level. The loops are `inline(always)`, because a function
/// that is not inlined is compiled for the baseline.
macro_rules! compiled {
    ($avx512:literal: $($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) = $plain:path;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name(level: SimdLevel, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn with_avx2($($arg: $type),*) {
                $plain($($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = $avx512)]
            fn with_avx512($($arg: $type),*) {
                $plain($($arg),*);
            }
            match level.0 {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: this level is only made if the processor reports AVX2 and F16C.
                Set::Avx2 => unsafe { with_avx2($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: this level is only made if the processor reports AVX-512 with BW, and AVX2.
                Set::Avx512 => unsafe { with_avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                Set::Ssse3 => $plain($($arg),*),
                Set::Baseline => $plain($($arg),*),
            }
        }
    )*};
}

compiled! {
    "avx2,avx512bw":
    /// [`rows::high_bits`].
    fn high_bits(shift: u32, row: &[u8], out: &mut [u8]) = rows::high_bits;
    /// [`half_float::any_above_one`].
    fn any_above_one(row: &[u8], any: &mut bool) = half_float::any_above_one;
    /// [`yuv::full`].
    fn full(rows: [&[u8]; 3], out: [&mut [u8]; 3]) = yuv::full;
    /// [`yuv::interleaved`].
    fn interleaved(row: &[u8], out: [&mut [u8]; 3]) = yuv::interleaved;
    /// [`yuv420::encoded`].
    fn encoded(upper: [&[u8]; 3], lower: [&[u8]; 3], luma: [&mut [u8]; 2], u: &mut [u8], v: &mut [u8]) = yuv420::encoded;
    /// [`yuv420::unpacked`].
    fn unpacked(words: &[u32], out: [&mut [u8]; 3]) = yuv420::unpacked;
}

// The compiler makes slower code for AVX-512, whose comparisons give masks, not numbers to add.
compiled! {
    "avx2":
    /// [`depth::count_up_to`].
    fn depth_count_up_to(last: u16, row: &[u8], count: &mut u32) = depth::count_up_to;
}

/// [`depth::measure`].
pub(super) fn depth_measure(level: SimdLevel, last: u16, row: &[u8], zeros: &mut u32, below: &mut u32, max: &mut u16) {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level is only made if the processor reports AVX-512 with BW and VBMI.
        Set::Avx512 => unsafe { depth_avx512::measure(last, row, zeros, below, max) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level is only made if the processor reports AVX2 and F16C.
        Set::Avx2 => unsafe { depth_avx2::measure(last, row, zeros, below, max) },
        _ => depth::measure(last, row, zeros, below, max),
    }
}

/// [`rows::pack10`].
pub(super) fn pack10(level: SimdLevel, row: &[u8], out: &mut [u8]) {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level is only made if the processor reports AVX-512 with BW and VBMI.
        Set::Avx512 => unsafe { packed::pack10_avx512(row, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level is only made if the processor reports AVX2 and F16C.
        Set::Avx2 => unsafe { packed::pack10_avx2(row, out) },
        _ => rows::pack10(row, out),
    }
}

/// [`rows::pack12`].
pub(super) fn pack12(level: SimdLevel, row: &[u8], out: &mut [u8]) {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level is only made if the processor reports AVX-512 with BW and VBMI.
        Set::Avx512 => unsafe { packed::pack12_avx512(row, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level is only made if the processor reports AVX2 and F16C.
        Set::Avx2 => unsafe { packed::pack12_avx2(row, out) },
        _ => rows::pack12(row, out),
    }
}

/// Converts packed gray pixels to words in one step. Returns `false` if the level has no code for the format.
pub(super) fn packed_words(level: SimdLevel, format: PixelFormat, row: &[u8], out: &mut [u32]) -> bool {
    match (level.0, format) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level is only made if the processor reports AVX-512 with BW and VBMI.
        (Set::Avx512, PixelFormat::Pack10) => unsafe { packed::pack10_words_avx512(row, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        (Set::Avx512, PixelFormat::Pack12) => unsafe { packed::pack12_words_avx512(row, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level is only made if the processor reports AVX2 and F16C.
        (Set::Avx2, PixelFormat::Pack10) => unsafe { packed::pack10_words_avx2(row, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        (Set::Avx2, PixelFormat::Pack12) => unsafe { packed::pack12_words_avx2(row, out) },
        _ => {
            let _ = (row, out);
            return false;
        }
    }
    #[cfg(target_arch = "x86_64")]
    true
}

/// Converts packed gray pixels to pixels of three bytes in one step. Returns `false` if the level has no code for the format.
pub(super) fn packed_triples(level: SimdLevel, format: PixelFormat, row: &[u8], out: &mut [[u8; 3]]) -> bool {
    match (level.0, format) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are only made if the processor reports AVX2 and F16C.
        (Set::Avx2 | Set::Avx512, PixelFormat::Pack10) => unsafe { packed::pack10_triples_avx2(row, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        (Set::Avx2 | Set::Avx512, PixelFormat::Pack12) => unsafe { packed::pack12_triples_avx2(row, out) },
        _ => {
            let _ = (row, out);
            return false;
        }
    }
    #[cfg(target_arch = "x86_64")]
    true
}

/// Defines functions that convert in one step with the code of a level, and return `false` if it has none.
macro_rules! in_one_step {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) = $avx2:path, $avx512:path;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name(level: SimdLevel, $($arg: $type),*) -> bool {
            match level.0 {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: this level is only made if the processor reports AVX2 and F16C.
                Set::Avx2 => unsafe { $avx2($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: this level is only made if the processor reports AVX2, F16C, and AVX-512 with BW, VBMI and VNNI.
                Set::Avx512 => unsafe { $avx512($($arg),*) },
                _ => {
                    let _ = ($($arg,)*);
                    return false;
                }
            }
            #[cfg(target_arch = "x86_64")]
            true
        }
    )*};
}

in_one_step! {
    /// Converts depth to words.
    fn depth_words(shift: u32, row: &[u8], out: &mut [u32]) = depth_avx2::words, depth_avx512::words;
    /// Converts depth to red, green and blue.
    fn depth_planes(shift: u32, row: &[u8], out: [&mut [u8]; 3]) = depth_avx2::planes, depth_avx512::planes;
    /// Converts half-precision numbers by instructions for them.
    fn halves(scale: f32, row: &[u8], out: &mut [u8]) = half_float::converted, half_float::converted_avx512;
    /// Converts one or two rows that share their chroma to words.
    fn subsampled_words(luma: &[&[u8]], chroma: Chroma<'_>, out: &mut [u32]) = yuv_avx2::words, yuv_avx512::words;
}

/// [`mosaic::interpolated`].
pub(super) fn interpolated(level: SimdLevel, rows: [&[u8]; 3], is_own: &[u8], out: [&mut [u8]; 3]) {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are only made if the processor reports AVX2 and F16C.
        Set::Avx2 | Set::Avx512 => unsafe { mosaic_avx2::interpolated(rows, is_own, out) },
        _ => mosaic::interpolated(rows, is_own, out),
    }
}

/// [`Chroma::colors`] for one or two rows that share their chroma.
pub(super) fn subsampled(level: SimdLevel, luma: &[&[u8]], chroma: Chroma<'_>, out: &mut [[&mut [u8]; 3]]) {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level is only made if the processor reports AVX2 and F16C.
        Set::Avx2 => unsafe { yuv_avx2::planes(luma, chroma, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level is only made if the processor reports AVX-512 with BW and VNNI.
        Set::Avx512 => unsafe { yuv_avx512::planes(luma, chroma, out) },
        _ => {
            for (luma, [r, g, b]) in luma.iter().zip(out) {
                chroma.colors(luma, [r, g, b]);
            }
        }
    }
}

/// [`yuv::yuyv`].
pub(super) fn yuyv(level: SimdLevel, row: &[u8], out: [&mut [u8]; 3]) {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are only made if the processor reports AVX2 and F16C.
        Set::Avx2 | Set::Avx512 => unsafe { yuv_avx2::yuyv(row, out) },
        _ => yuv::yuyv(row, out),
    }
}

/// Interleaves three planes to `0x00RRGGBB`. The planes have the length of `out`.
pub(super) fn words(level: SimdLevel, [b, g, r]: [&[u8]; 3], out: &mut [u32]) {
    match level.0 {
        #[cfg(not(target_arch = "x86_64"))]
        Set::Baseline => planar::words_plain([b, g, r], out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE2 is part of x86-64.
        Set::Baseline | Set::Ssse3 => unsafe { planar::words_sse2([b, g, r], out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are only made if the processor reports AVX2 and F16C.
        Set::Avx2 | Set::Avx512 => unsafe { planar::words_avx2([b, g, r], out) },
    }
}

/// Expands pixels of three bytes to `0x00RRGGBB`. `triples` is three times as long as `out`.
pub(super) fn words_of(level: SimdLevel, order: PackedOrder, triples: &[u8], out: &mut [u32]) {
    match level.0 {
        Set::Baseline => interleaved::words_plain(order, triples, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level is only made if the processor reports SSSE3.
        Set::Ssse3 => unsafe { interleaved::words_ssse3(order, triples, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are only made if the processor reports AVX2 and F16C.
        Set::Avx2 | Set::Avx512 => unsafe { interleaved::words_avx2(order, triples, out) },
    }
}

/// Reverses the colors of pixels of three bytes. `triples` is three times as long as `out`.
pub(super) fn reversed(level: SimdLevel, triples: &[u8], out: &mut [[u8; 3]]) {
    match level.0 {
        Set::Baseline => interleaved::reversed_plain(triples, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are only made if the processor reports SSSE3, or AVX2, which includes it.
        _ => unsafe { interleaved::reversed_ssse3(triples, out) },
    }
}

/// Converts red, green, blue, alpha to `0x00RRGGBB`. `row` is four times as long as `out`.
pub(super) fn rgba_words(level: SimdLevel, row: &[u8], out: &mut [u32]) {
    match level.0 {
        Set::Baseline => rows::rgba::<Words>(row, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are only made if the processor reports SSSE3, or AVX2, which includes it.
        _ => unsafe { interleaved::rgba_words_ssse3(row, out) },
    }
}

/// Converts red, green, blue, alpha to pixels of three bytes. `row` has four bytes per pixel.
pub(super) fn rgba_triples(level: SimdLevel, order: PackedOrder, row: &[u8], out: &mut [[u8; 3]]) {
    match level.0 {
        Set::Baseline => interleaved::rgba_triples_plain(order, row, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are only made if the processor reports SSSE3, or AVX2, which includes it.
        _ => unsafe { interleaved::rgba_triples_ssse3(order, row, out) },
    }
}

/// Interleaves three planes to pixels of three bytes, in the order of the planes. The planes have the length of `out`.
pub(super) fn triples(level: SimdLevel, planes: [&[u8]; 3], out: &mut [[u8; 3]]) {
    match level.0 {
        Set::Baseline => planar::triples_plain(planes, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this level is only made if the processor reports SSSE3.
        Set::Ssse3 => unsafe { planar::triples_ssse3(planes, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are only made if the processor reports AVX2 and F16C.
        Set::Avx2 | Set::Avx512 => unsafe { planar::triples_avx2(planes, out) },
    }
}
