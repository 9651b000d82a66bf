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
#[inline(always)]
pub(super) fn pack10(row: &[u8], out: &mut [u8]) {
    unpacked::<5, 4>(row, out);
}

/// Unpacks two 12-bit pixels from 3 bytes: the upper 8 bits of each, then the lower 4 bits of both (MIPI CSI-2, RAW12).
#[inline(always)]
pub(super) fn pack12(row: &[u8], out: &mut [u8]) {
    unpacked::<3, 2>(row, out);
}

/// Copies the first `PIXELS` of every `BYTES` bytes: 16 groups at a time, because the compiler vectorizes copies of a
/// known length.
#[inline(always)]
fn unpacked<const BYTES: usize, const PIXELS: usize>(row: &[u8], out: &mut [u8]) {
    let groups = row.as_chunks::<BYTES>().0;
    let (whole, rest) = out.as_chunks_mut::<PIXELS>();
    let last = groups.get(whole.len());
    let (blocks, few) = whole.as_chunks_mut::<16>();
    let (from_blocks, from_few) = groups.as_chunks::<16>();
    let after = from_blocks.get(blocks.len()..).unwrap_or_default().as_flattened();
    for (out, group) in blocks.iter_mut().zip(from_blocks) {
        for (out, group) in out.iter_mut().zip(group) {
            out.copy_from_slice(&group[..PIXELS]);
        }
    }
    for (out, group) in few.iter_mut().zip(after.iter().chain(from_few)) {
        out.copy_from_slice(&group[..PIXELS]);
    }
    if let Some(group) = last {
        rest.copy_from_slice(&group[..rest.len()]);
    }
}
