//! Half-precision numbers -> bytes, by a table of all 65,536 of them.
//!
//! A camera makes these as input of a network: 0..=255 when the network normalises by itself, 0..=1 when the camera does
//! (the vendor calls GRAYF16 "normalized"). The stream does not say which, so numbers are taken for 0..=1 until the
//! first one above 1 is seen.

use half::f16;

/// The bits of 1.0.
const ONE: u16 = 0x3c00;
/// The bits of infinity; above are those that are no numbers, and from 0x8000 on all are negative.
const INFINITY: u16 = 0x7c00;

/// The table for one stream.
#[derive(Default)]
pub(super) struct HalfTable {
    /// `None` until it is needed.
    bytes: Option<Box<[u8; 65536]>>,
    /// A number above 1 was seen.
    full_range: bool,
}

impl std::fmt::Debug for HalfTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HalfTable").field("full_range", &self.full_range).finish_non_exhaustive()
    }
}

impl HalfTable {
    /// What each number becomes, once these rows have been seen.
    pub(super) fn having_seen<'a>(&mut self, mut rows: impl Iterator<Item = &'a [u8]>) -> &[u8; 65536] {
        if !self.full_range && rows.any(any_above_one) {
            self.full_range = true;
            self.bytes = None;
        }
        let scale = if self.full_range { 1.0 } else { 255.0 };
        self.bytes.get_or_insert_with(|| {
            let table: Vec<u8> = (0..=u16::MAX).map(|bits| byte(bits, scale)).collect();
            table.into_boxed_slice().try_into().expect("there are 65536 of them")
        })
    }
}

/// Rounded to the nearest and saturated; 0 for what is no number.
pub(super) fn byte(bits: u16, scale: f32) -> u8 {
    (f16::from_bits(bits).to_f32() * scale).round() as u8
}

/// Whether a row has a number above 1.
pub(super) fn any_above_one(row: &[u8]) -> bool {
    // No early end within a row, so that it can be vectorised.
    row.as_chunks().0.iter().fold(false, |any, sample| {
        let bits = u16::from_le_bytes(*sample);
        any | (bits > ONE && bits <= INFINITY)
    })
}
