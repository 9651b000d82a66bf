//! Converts half-precision numbers to bytes, by a table of all 65,536 of them.
//!
//! A camera sends such numbers as the input of a network: 0..=255 if the network normalizes them itself, 0..=1 if the
//! camera does (the vendor calls GRAYF16 "normalized"). The stream does not show which, so the range is 0..=1 until the
//! first number above 1.

use half::f16;

/// Bits of 1.0.
const ONE: u16 = 0x3c00;
/// Bits of infinity. Larger bits are `NaN` up to 0x7fff, and negative from 0x8000.
const INFINITY: u16 = 0x7c00;

/// The table for one stream.
#[derive(Default)]
pub(super) struct HalfTable {
    /// `None` until it is needed, and after a change of range.
    bytes: Option<Box<[u8; 65536]>>,
    /// The stream has contained a number above 1.
    full_range: bool,
}

impl std::fmt::Debug for HalfTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HalfTable").field("full_range", &self.full_range).finish_non_exhaustive()
    }
}

impl HalfTable {
    /// Adapts the range to these rows, and returns the byte for each number.
    pub(super) fn adapted_to<'a>(&mut self, mut rows: impl Iterator<Item = &'a [u8]>) -> &[u8; 65536] {
        if !self.full_range && rows.any(any_above_one) {
            self.full_range = true;
            self.bytes = None;
        }
        let scale = if self.full_range { 1.0 } else { 255.0 };
        self.bytes.get_or_insert_with(|| {
            let table: Vec<u8> = (0..=u16::MAX).map(|bits| byte(bits, scale)).collect();
            table.into_boxed_slice().try_into().expect("there are 65536 numbers")
        })
    }
}

/// Scales, rounds to nearest and saturates; 0 for `NaN`.
pub(super) fn byte(bits: u16, scale: f32) -> u8 {
    (f16::from_bits(bits).to_f32() * scale).round() as u8
}

/// Returns whether a row has a number above 1.
pub(super) fn any_above_one(row: &[u8]) -> bool {
    // No early exit within a row, so that the compiler can vectorize the loop.
    row.as_chunks().0.iter().fold(false, |any, sample| {
        let bits = u16::from_le_bytes(*sample);
        any | (bits > ONE && bits <= INFINITY)
    })
}
