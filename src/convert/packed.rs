//! Unpacks gray formats by shuffles of bytes: one takes the upper 8 bits of pixels from any positions to their words.

use std::arch::x86_64::*;

use super::avx512::{load, store};

/// Bytes per group of pixels, and the pixels that it has; the upper 8 bits of each come first.
#[derive(Clone, Copy)]
struct Packing {
    bytes: usize,
    pixels: usize,
}

const PACK10: Packing = Packing { bytes: 5, pixels: 4 };
const PACK12: Packing = Packing { bytes: 3, pixels: 2 };

impl Packing {
    /// Returns the position of a pixel's upper 8 bits.
    const fn at(self, pixel: usize) -> usize {
        pixel / self.pixels * self.bytes + pixel % self.pixels
    }

    /// Unpacks pixels one by one.
    fn words(self, row: &[u8], out: &mut [u32]) {
        for (out, n) in out.iter_mut().zip(0..) {
            let gray = row.get(self.at(n)).copied().unwrap_or_default();
            *out = u32::from_be_bytes([0, gray, gray, gray]);
        }
    }

    /// Unpacks pixels one by one.
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

/// Pixels that one shuffle of AVX2 writes as words.
const WORDS_256: usize = 8;

/// Converts a row to words. Both lanes get the same 16 bytes, and shuffle four pixels each.
#[inline]
#[target_feature(enable = "avx2")]
fn words_avx2(packing: Packing, row: &[u8], out: &mut [u32]) {
    let mut shuffle = [0x80; 32];
    for (from, n) in shuffle.iter_mut().zip(0..) {
        if n % 4 != 3 {
            *from = packing.at(n / 4) as u8;
        }
    }
    let shuffle: __m256i = bytemuck::cast(shuffle);
    let (mut at, mut done) = (0, 0);
    for out in out.as_chunks_mut::<WORDS_256>().0 {
        let Some(from) = row.get(at..).and_then(|row| row.first_chunk::<16>()) else { break };
        let both = _mm256_broadcastsi128_si256(bytemuck::cast(*from));
        *out = bytemuck::cast(_mm256_shuffle_epi8(both, shuffle));
        at += packing.at(WORDS_256);
        done += WORDS_256;
    }
    packing.words(row.get(at..).unwrap_or_default(), &mut out[done..]);
}

/// Converts a row to bytes, `AT_ONCE` pixels from each 16 bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn bytes_avx2<const AT_ONCE: usize>(packing: Packing, row: &[u8], out: &mut [u8]) {
    let mut shuffle = [0x80; 16];
    for (from, n) in shuffle.iter_mut().take(AT_ONCE).zip(0..) {
        *from = packing.at(n) as u8;
    }
    let shuffle: __m128i = bytemuck::cast(shuffle);
    let (mut at, mut done) = (0, 0);
    // The next write overwrites the bytes after `AT_ONCE`.
    while let (Some(from), Some(out)) = (
        row.get(at..).and_then(|row| row.first_chunk::<16>()),
        out.get_mut(done..).and_then(|out| out.first_chunk_mut::<16>()),
    ) {
        *out = bytemuck::cast(_mm_shuffle_epi8(bytemuck::cast(*from), shuffle));
        at += packing.at(AT_ONCE);
        done += AT_ONCE;
    }
    packing.bytes(row.get(at..).unwrap_or_default(), &mut out[done..]);
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
    words_avx2(PACK10, row, out);
}

/// Converts a row of 10-bit pixels to bytes.
#[target_feature(enable = "avx2")]
pub(super) fn pack10_avx2(row: &[u8], out: &mut [u8]) {
    bytes_avx2::<12>(PACK10, row, out);
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
    words_avx2(PACK12, row, out);
}

/// Converts a row of 12-bit pixels to bytes.
#[target_feature(enable = "avx2")]
pub(super) fn pack12_avx2(row: &[u8], out: &mut [u8]) {
    bytes_avx2::<10>(PACK12, row, out);
}
