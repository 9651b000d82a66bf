//! Output pixel formats: words for a screen, or three bytes for a file.

use super::PackedOrder;
use super::dispatch::{self, SimdLevel};
use super::yuv::Chroma;
use crate::frame::PixelFormat;

/// An output pixel format.
pub(super) trait Output {
    /// Type of one pixel.
    type Pixel: Copy;

    /// Makes one pixel.
    fn rgb(r: u8, g: u8, b: u8) -> Self::Pixel;

    /// Interleaves planes of red, green and blue. All slices have the same length.
    fn planar(level: SimdLevel, rgb: [&[u8]; 3], out: &mut [Self::Pixel]);

    /// Converts pixels of three bytes. `triples` is three times as long as `out`.
    fn interleaved(level: SimdLevel, order: PackedOrder, triples: &[u8], out: &mut [Self::Pixel]);

    /// Converts red, green, blue, alpha. Drops alpha. `row` has four bytes per pixel.
    fn rgba(level: SimdLevel, row: &[u8], out: &mut [Self::Pixel]);

    /// Converts depth in one step, with the shift of its picture. Returns `false` if the level has no such code.
    fn depth(_: SimdLevel, _shift: u32, _row: &[u8], _out: &mut [Self::Pixel]) -> bool {
        false
    }

    /// Converts a row of packed gray pixels in one step. Returns `false` if the level has no such code for the format.
    fn packed(_: SimdLevel, _: PixelFormat, _row: &[u8], _out: &mut [Self::Pixel]) -> bool {
        false
    }

    /// Converts one or two rows of luma that share their chroma, one row after the other, in one step. Returns `false` if
    /// that has to be done in two steps, with planes between them.
    fn subsampled(_: SimdLevel, _luma: &[&[u8]], _: Chroma<'_>, _out: &mut [Self::Pixel]) -> bool {
        false
    }
}

/// `0x00RRGGBB`.
pub(super) struct Words;

/// Red, green, blue.
pub(super) struct Rgb;

/// Blue, green, red.
pub(super) struct Bgr;

impl Output for Words {
    type Pixel = u32;

    #[inline(always)]
    fn rgb(r: u8, g: u8, b: u8) -> u32 {
        u32::from_be_bytes([0, r, g, b])
    }

    fn planar(level: SimdLevel, [r, g, b]: [&[u8]; 3], out: &mut [u32]) {
        dispatch::words(level, [b, g, r], out);
    }

    fn interleaved(level: SimdLevel, order: PackedOrder, triples: &[u8], out: &mut [u32]) {
        dispatch::words_of(level, order, triples, out);
    }

    fn rgba(level: SimdLevel, row: &[u8], out: &mut [u32]) {
        dispatch::rgba_words(level, row, out);
    }

    fn depth(level: SimdLevel, shift: u32, row: &[u8], out: &mut [u32]) -> bool {
        dispatch::depth_words(level, shift, row, out)
    }

    fn packed(level: SimdLevel, format: PixelFormat, row: &[u8], out: &mut [u32]) -> bool {
        dispatch::packed_words(level, format, row, out)
    }

    fn subsampled(level: SimdLevel, luma: &[&[u8]], chroma: Chroma<'_>, out: &mut [u32]) -> bool {
        dispatch::subsampled_words(level, luma, chroma, out)
    }
}

impl Output for Rgb {
    type Pixel = [u8; 3];

    #[inline(always)]
    fn rgb(r: u8, g: u8, b: u8) -> [u8; 3] {
        [r, g, b]
    }

    fn rgba(level: SimdLevel, row: &[u8], out: &mut [[u8; 3]]) {
        dispatch::rgba_triples(level, PackedOrder::Rgb, row, out);
    }

    fn packed(level: SimdLevel, format: PixelFormat, row: &[u8], out: &mut [[u8; 3]]) -> bool {
        dispatch::packed_triples(level, format, row, out)
    }

    fn planar(level: SimdLevel, planes: [&[u8]; 3], out: &mut [[u8; 3]]) {
        dispatch::triples(level, planes, out);
    }

    fn interleaved(level: SimdLevel, order: PackedOrder, triples: &[u8], out: &mut [[u8; 3]]) {
        match order {
            PackedOrder::Rgb => out.as_flattened_mut().copy_from_slice(triples),
            PackedOrder::Bgr => dispatch::reversed(level, triples, out),
        }
    }
}

impl Output for Bgr {
    type Pixel = [u8; 3];

    #[inline(always)]
    fn rgb(r: u8, g: u8, b: u8) -> [u8; 3] {
        [b, g, r]
    }

    fn rgba(level: SimdLevel, row: &[u8], out: &mut [[u8; 3]]) {
        dispatch::rgba_triples(level, PackedOrder::Bgr, row, out);
    }

    fn packed(level: SimdLevel, format: PixelFormat, row: &[u8], out: &mut [[u8; 3]]) -> bool {
        dispatch::packed_triples(level, format, row, out)
    }

    fn planar(level: SimdLevel, [r, g, b]: [&[u8]; 3], out: &mut [[u8; 3]]) {
        dispatch::triples(level, [b, g, r], out);
    }

    fn interleaved(level: SimdLevel, order: PackedOrder, triples: &[u8], out: &mut [[u8; 3]]) {
        match order {
            PackedOrder::Rgb => dispatch::reversed(level, triples, out),
            PackedOrder::Bgr => out.as_flattened_mut().copy_from_slice(triples),
        }
    }
}
