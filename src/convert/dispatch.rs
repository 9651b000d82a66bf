//! Which instructions this processor has, and the calls into code that was compiled for them.
//!
//! The kernels themselves are safe. That they run only where their instructions exist is what the compiler cannot
//! know: a [`Level`] is the proof, because one above the baseline is made only by asking the processor.
#![allow(unsafe_code)]

use super::{PackedOrder, interleaved, planar, rows, yuv, yuv420};

/// A set of instructions that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Ssse3,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Level {
    /// What every processor of this architecture has (SSE2 on x86-64).
    pub const BASELINE: Self = Self(Set::Baseline);

    /// All levels of this processor, the baseline first and the best last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self::BASELINE];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("ssse3") {
                levels.push(Self(Set::Ssse3));
            }
            if is_x86_feature_detected!("avx2") {
                levels.push(Self(Set::Avx2));
            }
        }
        levels
    }

    /// The best level of this processor. AVX-512 is no level: its clones of these loops are slower.
    #[must_use]
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self::BASELINE)
    }

    /// Its usual name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Set::Baseline if cfg!(target_arch = "x86_64") => "SSE2",
            Set::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Set::Ssse3 => "SSSE3",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "AVX2",
        }
    }
}

/// Functions that run a plain loop compiled for the level. The loops are `inline(always)`, because a function that is not
/// inlined keeps the instructions of the baseline.
macro_rules! compiled {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) = $plain:path;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name(level: Level, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn with_avx2($($arg: $type),*) {
                $plain($($arg),*);
            }
            match level.0 {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: a level of AVX2 exists only where the processor said that it has AVX2.
                Set::Avx2 => unsafe { with_avx2($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                Set::Ssse3 => $plain($($arg),*),
                Set::Baseline => $plain($($arg),*),
            }
        }
    )*};
}

compiled! {
    /// [`rows::high_bits`].
    fn high_bits(shift: u32, row: &[u8], out: &mut [u8]) = rows::high_bits;
    /// [`yuv::paired`].
    fn paired(v_first: bool, luma: &[u8], chroma: &[u8], out: [&mut [u8]; 3]) = yuv::paired;
    /// [`yuv::halved`].
    fn halved(rows: [&[u8]; 3], out: [&mut [u8]; 3]) = yuv::halved;
    /// [`yuv::full`].
    fn full(rows: [&[u8]; 3], out: [&mut [u8]; 3]) = yuv::full;
    /// [`yuv::interleaved`].
    fn interleaved(row: &[u8], out: [&mut [u8]; 3]) = yuv::interleaved;
    /// [`yuv::yuyv`].
    fn yuyv(row: &[u8], out: [&mut [u8]; 3]) = yuv::yuyv;
    /// [`yuv420::encoded`].
    fn encoded(upper: [&[u8]; 3], lower: [&[u8]; 3], luma: [&mut [u8]; 2], u: &mut [u8], v: &mut [u8]) = yuv420::encoded;
    /// [`yuv420::unpacked`].
    fn unpacked(words: &[u32], out: [&mut [u8]; 3]) = yuv420::unpacked;
}

/// Three planes -> `0x00RRGGBB`. The planes have the length of `out`.
pub(super) fn words(level: Level, [b, g, r]: [&[u8]; 3], out: &mut [u32]) {
    match level.0 {
        #[cfg(not(target_arch = "x86_64"))]
        Set::Baseline => planar::words_plain([b, g, r], out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE2 is part of x86-64.
        Set::Baseline | Set::Ssse3 => unsafe { planar::words_sse2([b, g, r], out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level of AVX2 exists only where the processor said that it has AVX2.
        Set::Avx2 => unsafe { planar::words_avx2([b, g, r], out) },
    }
}

/// Three bytes a pixel -> `0x00RRGGBB`. There are three times as many as words in `out`.
pub(super) fn words_of(level: Level, order: PackedOrder, triples: &[u8], out: &mut [u32]) {
    match level.0 {
        Set::Baseline => interleaved::words_plain(order, triples, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level of SSSE3 exists only where the processor said that it has SSSE3.
        Set::Ssse3 => unsafe { interleaved::words_ssse3(order, triples, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level of AVX2 exists only where the processor said that it has AVX2.
        Set::Avx2 => unsafe { interleaved::words_avx2(order, triples, out) },
    }
}

/// Three planes -> three bytes a pixel, in the order of the planes. The planes have the length of `out`.
pub(super) fn triples(level: Level, planes: [&[u8]; 3], out: &mut [[u8; 3]]) {
    match level.0 {
        Set::Baseline => planar::triples_plain(planes, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level of SSSE3 exists only where the processor said that it has SSSE3.
        Set::Ssse3 => unsafe { planar::triples_ssse3(planes, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level of AVX2 exists only where the processor said that it has AVX2.
        Set::Avx2 => unsafe { planar::triples_avx2(planes, out) },
    }
}
