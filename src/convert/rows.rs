//! One row of a layout that is neither planar bytes nor YUV -> one row of pixels, or of grey bytes.

use super::output::Output;

/// Red, green, blue.
#[inline(always)]
pub(super) fn rgb<O: Output>(row: &[u8], out: &mut [O::Pixel]) {
    for (out, [r, g, b]) in out.iter_mut().zip(row.as_chunks().0) {
        *out = O::rgb(*r, *g, *b);
    }
}

/// Blue, green, red.
#[inline(always)]
pub(super) fn bgr<O: Output>(row: &[u8], out: &mut [O::Pixel]) {
    for (out, [b, g, r]) in out.iter_mut().zip(row.as_chunks().0) {
        *out = O::rgb(*r, *g, *b);
    }
}

/// Red, green, blue, alpha; alpha is dropped.
#[inline(always)]
pub(super) fn rgba<O: Output>(row: &[u8], out: &mut [O::Pixel]) {
    for (out, [r, g, b, _]) in out.iter_mut().zip(row.as_chunks().0) {
        *out = O::rgb(*r, *g, *b);
    }
}

/// 16-bit numbers, the lowest byte first -> what is left of each when it is shifted down, at most 255.
#[inline(always)]
pub(super) fn high_bits(shift: u32, row: &[u8], out: &mut [u8]) {
    for (out, sample) in out.iter_mut().zip(row.as_chunks().0) {
        *out = (u16::from_le_bytes(*sample) >> shift).min(255) as u8;
    }
}

/// Four pixels of 10 bits in 5 bytes: the upper eight of each, then the lower two of all (MIPI CSI-2, RAW10).
pub(super) fn pack10(row: &[u8], out: &mut [u8]) {
    for (out, [upper @ .., _]) in out.chunks_mut(4).zip(row.as_chunks::<5>().0) {
        out.copy_from_slice(&upper[..out.len()]);
    }
}

/// Two pixels of 12 bits in 3 bytes: the upper eight of each, then the lower four of both (MIPI CSI-2, RAW12).
pub(super) fn pack12(row: &[u8], out: &mut [u8]) {
    for (out, [upper @ .., _]) in out.chunks_mut(2).zip(row.as_chunks::<3>().0) {
        out.copy_from_slice(&upper[..out.len()]);
    }
}

/// Half-precision numbers through a table of what each becomes.
#[inline(always)]
pub(super) fn half_gray<O: Output>(table: &[u8; 65536], row: &[u8], out: &mut [O::Pixel]) {
    for (out, sample) in out.iter_mut().zip(row.as_chunks().0) {
        let y = table[usize::from(u16::from_le_bytes(*sample))];
        *out = O::rgb(y, y, y);
    }
}

/// Three half-precision numbers a pixel, red first.
#[inline(always)]
pub(super) fn half_rgb<O: Output>(table: &[u8; 65536], row: &[u8], out: &mut [O::Pixel]) {
    for (out, [r0, r1, g0, g1, b0, b1]) in out.iter_mut().zip(row.as_chunks().0) {
        let [r, g, b] = [[*r0, *r1], [*g0, *g1], [*b0, *b1]].map(|half| table[usize::from(u16::from_le_bytes(half))]);
        *out = O::rgb(r, g, b);
    }
}

/// Three half-precision numbers a pixel, blue first.
#[inline(always)]
pub(super) fn half_bgr<O: Output>(table: &[u8; 65536], row: &[u8], out: &mut [O::Pixel]) {
    for (out, [b0, b1, g0, g1, r0, r1]) in out.iter_mut().zip(row.as_chunks().0) {
        let [r, g, b] = [[*r0, *r1], [*g0, *g1], [*b0, *b1]].map(|half| table[usize::from(u16::from_le_bytes(half))]);
        *out = O::rgb(r, g, b);
    }
}

/// A row of each of three planes of half-precision numbers.
#[inline(always)]
pub(super) fn half_planar<O: Output>(table: &[u8; 65536], [r, g, b]: [&[u8]; 3], out: &mut [O::Pixel]) {
    let [r, g, b] = [r, g, b].map(|row| row.as_chunks::<2>().0);
    let value = |half: &[u8; 2]| table[usize::from(u16::from_le_bytes(*half))];
    for (((out, r), g), b) in out.iter_mut().zip(r).zip(g).zip(b) {
        *out = O::rgb(value(r), value(g), value(b));
    }
}
