//! Converts rows of formats that are neither planar bytes nor YUV to pixels or gray bytes.

use super::output::Output;

/// Converts red, green, blue.
#[inline(always)]
pub(super) fn rgb<O: Output>(row: &[u8], out: &mut [O::Pixel]) {
    for (out, [r, g, b]) in out.iter_mut().zip(row.as_chunks().0) {
        *out = O::rgb(*r, *g, *b);
    }
}

/// Converts blue, green, red.
#[inline(always)]
pub(super) fn bgr<O: Output>(row: &[u8], out: &mut [O::Pixel]) {
    for (out, [b, g, r]) in out.iter_mut().zip(row.as_chunks().0) {
        *out = O::rgb(*r, *g, *b);
    }
}

/// Converts red, green, blue, alpha. Drops alpha.
#[inline(always)]
pub(super) fn rgba<O: Output>(row: &[u8], out: &mut [O::Pixel]) {
    for (out, [r, g, b, _]) in out.iter_mut().zip(row.as_chunks().0) {
        *out = O::rgb(*r, *g, *b);
    }
}

/// Shifts little-endian 16-bit samples right and saturates them at 255.
#[inline(always)]
pub(super) fn high_bits(shift: u32, row: &[u8], out: &mut [u8]) {
    for (out, sample) in out.iter_mut().zip(row.as_chunks().0) {
        *out = (u16::from_le_bytes(*sample) >> shift).min(255) as u8;
    }
}

/// Unpacks four 10-bit pixels from 5 bytes: the upper 8 bits of each, then the lower 2 bits of all (MIPI CSI-2, RAW10).
pub(super) fn pack10(row: &[u8], out: &mut [u8]) {
    for (out, [upper @ .., _]) in out.chunks_mut(4).zip(row.as_chunks::<5>().0) {
        out.copy_from_slice(&upper[..out.len()]);
    }
}

/// Unpacks two 12-bit pixels from 3 bytes: the upper 8 bits of each, then the lower 4 bits of both (MIPI CSI-2, RAW12).
pub(super) fn pack12(row: &[u8], out: &mut [u8]) {
    for (out, [upper @ .., _]) in out.chunks_mut(2).zip(row.as_chunks::<3>().0) {
        out.copy_from_slice(&upper[..out.len()]);
    }
}

/// Converts half-precision gray through the table.
#[inline(always)]
pub(super) fn half_gray<O: Output>(table: &[u8; 65536], row: &[u8], out: &mut [O::Pixel]) {
    for (out, sample) in out.iter_mut().zip(row.as_chunks().0) {
        let y = table[usize::from(u16::from_le_bytes(*sample))];
        *out = O::rgb(y, y, y);
    }
}

/// Converts half-precision red, green, blue through the table.
#[inline(always)]
pub(super) fn half_rgb<O: Output>(table: &[u8; 65536], row: &[u8], out: &mut [O::Pixel]) {
    for (out, [r0, r1, g0, g1, b0, b1]) in out.iter_mut().zip(row.as_chunks().0) {
        let [r, g, b] = [[*r0, *r1], [*g0, *g1], [*b0, *b1]].map(|half| table[usize::from(u16::from_le_bytes(half))]);
        *out = O::rgb(r, g, b);
    }
}

/// Converts half-precision blue, green, red through the table.
#[inline(always)]
pub(super) fn half_bgr<O: Output>(table: &[u8; 65536], row: &[u8], out: &mut [O::Pixel]) {
    for (out, [b0, b1, g0, g1, r0, r1]) in out.iter_mut().zip(row.as_chunks().0) {
        let [r, g, b] = [[*r0, *r1], [*g0, *g1], [*b0, *b1]].map(|half| table[usize::from(u16::from_le_bytes(half))]);
        *out = O::rgb(r, g, b);
    }
}

/// Converts a row of three half-precision planes through the table.
#[inline(always)]
pub(super) fn half_planar<O: Output>(table: &[u8; 65536], [r, g, b]: [&[u8]; 3], out: &mut [O::Pixel]) {
    let [r, g, b] = [r, g, b].map(|row| row.as_chunks::<2>().0);
    let value = |half: &[u8; 2]| table[usize::from(u16::from_le_bytes(*half))];
    for (((out, r), g), b) in out.iter_mut().zip(r).zip(g).zip(b) {
        *out = O::rgb(value(r), value(g), value(b));
    }
}
