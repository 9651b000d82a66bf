//! One row of any layout but planar bytes -> one row of pixels: plain loops, which the compiler vectorises.
//!
//! All are inlined into their caller, so that they are compiled for the instructions that the caller may use.

use super::output::Output;
use super::yuv;

/// One byte of luma.
#[inline(always)]
pub(super) fn gray<O: Output>(row: &[u8], out: &mut [O::Pixel]) {
    for (out, y) in out.iter_mut().zip(row) {
        *out = O::rgb(*y, *y, *y);
    }
}

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

/// Y, U, V.
#[inline(always)]
pub(super) fn yuv444<O: Output>(row: &[u8], out: &mut [O::Pixel]) {
    for (out, [y, u, v]) in out.iter_mut().zip(row.as_chunks().0) {
        *out = yuv::pixel::<O>(*y, yuv::Tint::new(*u, *v));
    }
}

/// Y, U, Y, V for two pixels.
#[inline(always)]
pub(super) fn yuyv<O: Output>(row: &[u8], out: &mut [O::Pixel]) {
    for (out, [y0, u, y1, v]) in out.chunks_mut(2).zip(row.as_chunks().0) {
        let tint = yuv::Tint::new(*u, *v);
        for (out, y) in out.iter_mut().zip([*y0, *y1]) {
            *out = yuv::pixel::<O>(y, tint);
        }
    }
}

/// `BITS` significant bits in 16, the lowest byte first: the upper eight are shown.
#[inline(always)]
pub(super) fn deep_gray<O: Output, const BITS: u32>(row: &[u8], out: &mut [O::Pixel]) {
    for (out, sample) in out.iter_mut().zip(row.as_chunks().0) {
        let y = (u16::from_le_bytes(*sample) >> (BITS - 8)).min(255) as u8;
        *out = O::rgb(y, y, y);
    }
}

/// Four pixels of 10 bits in 5 bytes: the upper eight of each, then the lower two of all (MIPI CSI-2, RAW10).
#[inline(always)]
pub(super) fn pack10<O: Output>(row: &[u8], out: &mut [O::Pixel]) {
    for (out, [y0, y1, y2, y3, _]) in out.chunks_mut(4).zip(row.as_chunks().0) {
        gray::<O>(&[*y0, *y1, *y2, *y3], out);
    }
}

/// Two pixels of 12 bits in 3 bytes: the upper eight of each, then the lower four of both (MIPI CSI-2, RAW12).
#[inline(always)]
pub(super) fn pack12<O: Output>(row: &[u8], out: &mut [O::Pixel]) {
    for (out, [y0, y1, _]) in out.chunks_mut(2).zip(row.as_chunks().0) {
        gray::<O>(&[*y0, *y1], out);
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

/// A row of each of three planes of 16-bit numbers: the upper eight bits are shown.
#[inline(always)]
pub(super) fn deep_planar<O: Output>([r, g, b]: [&[u8]; 3], out: &mut [O::Pixel]) {
    let [r, g, b] = [r, g, b].map(|row| row.as_chunks::<2>().0);
    for (((out, [_, r]), [_, g]), [_, b]) in out.iter_mut().zip(r).zip(g).zip(b) {
        *out = O::rgb(*r, *g, *b);
    }
}
