//! What a pixel becomes: a word for a screen, or three bytes for a file.

use super::dispatch::{self, Level};
use super::{PackedOrder, rows};

/// A way to write pixels down.
pub(super) trait Output {
    /// One pixel.
    type Pixel: Copy;

    /// One pixel from its colours.
    fn rgb(r: u8, g: u8, b: u8) -> Self::Pixel;

    /// Planes of red, green and blue -> pixels. All have the same length.
    fn planar(level: Level, rgb: [&[u8]; 3], out: &mut [Self::Pixel]);

    /// Three bytes a pixel -> pixels. They are three times as many.
    fn interleaved(level: Level, order: PackedOrder, triples: &[u8], out: &mut [Self::Pixel]);
}

/// `0x00RRGGBB`.
pub(super) struct Words;

/// Bytes red, green, blue.
pub(super) struct Rgb;

/// Bytes blue, green, red.
pub(super) struct Bgr;

impl Output for Words {
    type Pixel = u32;

    #[inline(always)]
    fn rgb(r: u8, g: u8, b: u8) -> u32 {
        u32::from_be_bytes([0, r, g, b])
    }

    fn planar(level: Level, [r, g, b]: [&[u8]; 3], out: &mut [u32]) {
        dispatch::words(level, [b, g, r], out);
    }

    fn interleaved(level: Level, order: PackedOrder, triples: &[u8], out: &mut [u32]) {
        dispatch::words_of(level, order, triples, out);
    }
}

impl Output for Rgb {
    type Pixel = [u8; 3];

    #[inline(always)]
    fn rgb(r: u8, g: u8, b: u8) -> [u8; 3] {
        [r, g, b]
    }

    fn planar(level: Level, planes: [&[u8]; 3], out: &mut [[u8; 3]]) {
        dispatch::triples(level, planes, out);
    }

    fn interleaved(_: Level, order: PackedOrder, triples: &[u8], out: &mut [[u8; 3]]) {
        match order {
            PackedOrder::Rgb => out.as_flattened_mut().copy_from_slice(triples),
            PackedOrder::Bgr => rows::bgr::<Self>(triples, out),
        }
    }
}

impl Output for Bgr {
    type Pixel = [u8; 3];

    #[inline(always)]
    fn rgb(r: u8, g: u8, b: u8) -> [u8; 3] {
        [b, g, r]
    }

    fn planar(level: Level, [r, g, b]: [&[u8]; 3], out: &mut [[u8; 3]]) {
        dispatch::triples(level, [b, g, r], out);
    }

    fn interleaved(_: Level, order: PackedOrder, triples: &[u8], out: &mut [[u8; 3]]) {
        match order {
            PackedOrder::Rgb => rows::rgb::<Self>(triples, out),
            PackedOrder::Bgr => out.as_flattened_mut().copy_from_slice(triples),
        }
    }
}
