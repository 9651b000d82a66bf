//! Unpacks gray formats by shuffles of bytes: one takes the upper 8 bits of pixels from any positions to their words.

use std::arch::x86_64::*;

use super::avx512::{load, store};

/// Bytes per group of pixels, and the pixels that it has; the upper 8 bits of each come first.
#[derive(Clone, Copy)]
struct Packing {
    bytes: usize,
    pixels: usize,
}

const PACK10: Packing = Pack10::PACKING;
const PACK12: Packing = Pack12::PACKING;

impl Packing {
    /// Returns the position of a pixel's upper 8 bits.
    const fn at(self, pixel: usize) -> usize {
        pixel / self.pixels * self.bytes + pixel % self.pixels
    }

    /// Unpacks pixels one by one.
    #[inline(always)]
    fn words(self, row: &[u8], out: &mut [u32]) {
        for (out, n) in out.iter_mut().zip(0..) {
            let gray = row.get(self.at(n)).copied().unwrap_or_default();
            *out = u32::from_be_bytes([0, gray, gray, gray]);
        }
    }

    /// Unpacks pixels one by one, to gray.
    #[inline(always)]
    fn triples(self, row: &[u8], out: &mut [[u8; 3]]) {
        for (out, n) in out.iter_mut().zip(0..) {
            *out = [row.get(self.at(n)).copied().unwrap_or_default(); 3];
        }
    }

    /// Unpacks pixels one by one.
    #[inline(always)]
    fn bytes(self, row: &[u8], out: &mut [u8]) {
        for (out, n) in out.iter_mut().zip(0..) {
            *out = row.get(self.at(n)).copied().unwrap_or_default();
        }
    }
}

/// Pixels that one shuffle of AVX-512 writes as words.
const WORDS_512: usize = 16;

/// Converts a row to words. `WRITES` vectors of words are made from each 64 bytes.
#[inline]
#[target_feature(enable = "avx512bw,avx512vbmi")]
fn words_avx512<const WRITES: usize>(packing: Packing, row: &[u8], out: &mut [u32]) {
    // The fourth byte of each word is zero.
    const COLORS: u64 = 0x7777_7777_7777_7777;
    let mut shuffles = [[0; 64]; WRITES];
    for (from, n) in shuffles.as_flattened_mut().iter_mut().zip(0..) {
        *from = packing.at(n / 4) as u8;
    }
    let (mut at, mut done) = (0, 0);
    let (blocks, _) = out.as_chunks_mut::<WORDS_512>();
    for out in blocks.chunks_exact_mut(WRITES) {
        let Some(from) = row.get(at..).and_then(|row| row.first_chunk()) else { break };
        let from = load(from);
        for (shuffle, out) in shuffles.iter().zip(out) {
            store(_mm512_maskz_permutexvar_epi8(COLORS, load(shuffle), from), bytemuck::cast_mut(out));
        }
        at += packing.at(WRITES * WORDS_512);
        done += WRITES * WORDS_512;
    }
    packing.words(row.get(at..).unwrap_or_default(), &mut out[done..]);
}

/// Converts a row to bytes, `AT_ONCE` pixels from each 64 bytes.
#[inline]
#[target_feature(enable = "avx512bw,avx512vbmi")]
fn bytes_avx512<const AT_ONCE: usize>(packing: Packing, row: &[u8], out: &mut [u8]) {
    let mut shuffle = [0; 64];
    for (from, n) in shuffle.iter_mut().take(AT_ONCE).zip(0..) {
        *from = packing.at(n) as u8;
    }
    let shuffle = load(&shuffle);
    let (mut at, mut done) = (0, 0);
    // The next write overwrites the bytes after `AT_ONCE`.
    while let (Some(from), Some(out)) =
        (row.get(at..).and_then(|row| row.first_chunk()), out.get_mut(done..).and_then(|out| out.first_chunk_mut()))
    {
        store(_mm512_permutexvar_epi8(shuffle, load(from)), out);
        at += packing.at(AT_ONCE);
        done += AT_ONCE;
    }
    packing.bytes(row.get(at..).unwrap_or_default(), &mut out[done..]);
}

/// Pixels that AVX2 converts at a time.
const BLOCK: usize = 16;

/// Shuffles for a block, constant because computing them takes as long as half a row. The first 16 bytes of a block have its first
/// 11 pixels, and the last 16 bytes its last 8.
struct Shuffles<const BYTES: usize, const PIXELS: usize>;

type Pack10 = Shuffles<5, 4>;
type Pack12 = Shuffles<3, 2>;

impl<const BYTES: usize, const PIXELS: usize> Shuffles<BYTES, PIXELS> {
    const PACKING: Packing = Packing { bytes: BYTES, pixels: PIXELS };
    /// Bytes of a block.
    const LEN: usize = Self::PACKING.at(BLOCK);
    /// To gray bytes: the lower half of the result from the first 16 bytes, and the upper half from the last.
    const GRAY: [[u8; 16]; 2] = {
        let (mut shuffles, mut n) = ([[0x80; 16]; 2], 0);
        while n < BLOCK {
            shuffles[n / 8][n] = Self::position(n, n >= 8);
            n += 1;
        }
        shuffles
    };
    /// To words, of which both lanes have four each. The fourth byte of a word is zero.
    const WORDS: [[u8; 32]; 2] = {
        let (mut shuffles, mut n) = ([[0x80; 32]; 2], 0);
        while n < 4 * BLOCK {
            if n % 4 != 3 {
                shuffles[n / 32][n % 32] = Self::position(n / 4, n >= 32);
            }
            n += 1;
        }
        shuffles
    };
    /// To pixels of three bytes: two thirds from the first 16 bytes.
    const TRIPLES: [[u8; 16]; 3] = {
        let (mut shuffles, mut n) = ([[0; 16]; 3], 0);
        while n < 3 * BLOCK {
            shuffles[n / 16][n % 16] = Self::position(n / 3, n >= 32);
            n += 1;
        }
        shuffles
    };

    /// Returns the position of a pixel in the first or in the last 16 bytes of a block.
    const fn position(pixel: usize, in_last: bool) -> u8 {
        let at = Self::PACKING.at(pixel) - if in_last { Self::LEN - 16 } else { 0 };
        assert!(at < 16);
        at as u8
    }

    /// Splits a row after the blocks for `whole`.
    #[inline(always)]
    fn split<'a, T>(
        row: &'a [u8],
        whole: &[[T; BLOCK]],
    ) -> (impl Iterator<Item = [__m128i; 2]> + use<'a, T, BYTES, PIXELS>, &'a [u8]) {
        let (blocks, rest) = row.split_at(whole.len() * Self::LEN);
        let ends = |block: &[u8]| {
            let (first, last) = (block.first_chunk::<16>()?, block.last_chunk::<16>()?);
            Some([bytemuck::cast(*first), bytemuck::cast(*last)])
        };
        (blocks.chunks_exact(Self::LEN).filter_map(ends), rest)
    }

    /// Converts a row to words.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn words(row: &[u8], out: &mut [u32]) {
        let [low, high]: [__m256i; 2] = bytemuck::cast(Self::WORDS);
        let (whole, rest) = out.as_chunks_mut::<BLOCK>();
        let (blocks, row) = Self::split(row, whole);
        for ([first, last], out) in blocks.zip(whole) {
            *out = bytemuck::cast([
                _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(first), low),
                _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(last), high),
            ]);
        }
        Self::PACKING.words(row, rest);
    }

    /// Converts a row to gray pixels of three bytes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn triples(row: &[u8], out: &mut [[u8; 3]]) {
        let [low, middle, high]: [__m128i; 3] = bytemuck::cast(Self::TRIPLES);
        let (whole, rest) = out.as_chunks_mut::<BLOCK>();
        let (blocks, row) = Self::split(row, whole);
        for ([first, last], out) in blocks.zip(whole) {
            *out = bytemuck::cast([
                _mm_shuffle_epi8(first, low),
                _mm_shuffle_epi8(first, middle),
                _mm_shuffle_epi8(last, high),
            ]);
        }
        Self::PACKING.triples(row, rest);
    }

    /// Converts a row to bytes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn gray(row: &[u8], out: &mut [u8]) {
        let [low, high]: [__m128i; 2] = bytemuck::cast(Self::GRAY);
        let (whole, rest) = out.as_chunks_mut::<BLOCK>();
        let (blocks, row) = Self::split(row, whole);
        for ([first, last], out) in blocks.zip(whole) {
            *out = bytemuck::cast(_mm_or_si128(_mm_shuffle_epi8(first, low), _mm_shuffle_epi8(last, high)));
        }
        Self::PACKING.bytes(row, rest);
    }
}

/// Converts a row of 10-bit pixels to words.
#[target_feature(enable = "avx512bw,avx512vbmi")]
pub(super) fn pack10_words_avx512(row: &[u8], out: &mut [u32]) {
    words_avx512::<3>(PACK10, row, out);
}

/// Converts a row of 10-bit pixels to bytes.
#[target_feature(enable = "avx512bw,avx512vbmi")]
pub(super) fn pack10_avx512(row: &[u8], out: &mut [u8]) {
    bytes_avx512::<48>(PACK10, row, out);
}

/// Converts a row of 10-bit pixels to words.
#[target_feature(enable = "avx2")]
pub(super) fn pack10_words_avx2(row: &[u8], out: &mut [u32]) {
    Pack10::words(row, out);
}

/// Converts a row of 10-bit pixels to gray pixels of three bytes.
#[target_feature(enable = "avx2")]
pub(super) fn pack10_triples_avx2(row: &[u8], out: &mut [[u8; 3]]) {
    Pack10::triples(row, out);
}

/// Converts a row of 10-bit pixels to bytes.
#[target_feature(enable = "avx2")]
pub(super) fn pack10_avx2(row: &[u8], out: &mut [u8]) {
    Pack10::gray(row, out);
}

/// Converts a row of 12-bit pixels to words.
#[target_feature(enable = "avx512bw,avx512vbmi")]
pub(super) fn pack12_words_avx512(row: &[u8], out: &mut [u32]) {
    words_avx512::<2>(PACK12, row, out);
}

/// Converts a row of 12-bit pixels to bytes.
#[target_feature(enable = "avx512bw,avx512vbmi")]
pub(super) fn pack12_avx512(row: &[u8], out: &mut [u8]) {
    bytes_avx512::<42>(PACK12, row, out);
}

/// Converts a row of 12-bit pixels to words.
#[target_feature(enable = "avx2")]
pub(super) fn pack12_words_avx2(row: &[u8], out: &mut [u32]) {
    Pack12::words(row, out);
}

/// Converts a row of 12-bit pixels to gray pixels of three bytes.
#[target_feature(enable = "avx2")]
pub(super) fn pack12_triples_avx2(row: &[u8], out: &mut [[u8; 3]]) {
    Pack12::triples(row, out);
}

/// Converts a row of 12-bit pixels to bytes.
#[target_feature(enable = "avx2")]
pub(super) fn pack12_avx2(row: &[u8], out: &mut [u8]) {
    Pack12::gray(row, out);
}
