//! Converts red, green and blue to 4:2:0 luma and chroma for video encoders.
//!
//! The compiler vectorizes these plain loops, which are inlined into [`dispatch`](super::dispatch) and compiled twice.
//! BT.601 in video range, as in `super::yuv`, with the usual coefficients in 1/256: every sum fits 16 bits, and no
//! sample is off by more than 1. Chroma is the mean of four pixels.

/// A 4:2:0 picture for video encoders. Omits an odd last row and column.
#[derive(Debug, Default)]
pub struct Yuv420 {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

/// Two rows of luma and their row of chroma.
pub(super) struct RowPair<'a> {
    pub(super) luma: [&'a mut [u8]; 2],
    pub(super) u: &'a mut [u8],
    pub(super) v: &'a mut [u8],
}

impl Yuv420 {
    /// Returns width and height, both even.
    #[must_use]
    pub const fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Returns Y, U and V without padding: `width * height` bytes, then twice a quarter of that.
    #[must_use]
    pub fn planes(&self) -> [&[u8]; 3] {
        let (luma, chroma) = self.bytes.split_at(self.width * self.height);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        [luma, u, v]
    }

    /// Sets the size for a picture. The samples are not cleared.
    pub(super) fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width & !1, height & !1);
        self.bytes.resize(self.width * self.height / 2 * 3, 0);
    }

    /// Iterates over pairs of rows, from top to bottom.
    pub(super) fn row_pairs(&mut self) -> impl Iterator<Item = RowPair<'_>> {
        let (luma, chroma) = self.bytes.split_at_mut(self.width * self.height);
        let (u, v) = chroma.split_at_mut(chroma.len() / 2);
        // A picture one pixel wide has width 0 here, and chunks must not be empty.
        let width = self.width.max(2);
        let pairs =
            luma.chunks_exact_mut(2 * width).zip(u.chunks_exact_mut(width / 2)).zip(v.chunks_exact_mut(width / 2));
        pairs.map(move |((luma, u), v)| {
            let (upper, lower) = luma.split_at_mut(width);
            RowPair { luma: [upper, lower], u, v }
        })
    }
}

/// Encodes two rows each of red, green and blue.
#[inline(always)]
pub(super) fn encoded(upper: [&[u8]; 3], lower: [&[u8]; 3], luma: [&mut [u8]; 2], u: &mut [u8], v: &mut [u8]) {
    for ([r, g, b], luma) in [upper, lower].into_iter().zip(luma) {
        for (((luma, r), g), b) in luma.iter_mut().zip(r).zip(g).zip(b) {
            let [r, g, b] = [*r, *g, *b].map(u16::from);
            *luma = ((66 * r + 129 * g + 25 * b + 128) / 256 + 16) as u8;
        }
    }
    let [r, g, b] = [0, 1, 2].map(|color| (upper[color].as_chunks().0, lower[color].as_chunks().0));
    let r = r.0.iter().zip(r.1);
    let g = g.0.iter().zip(g.1);
    let b = b.0.iter().zip(b.1);
    for ((((u, v), r), g), b) in u.iter_mut().zip(v).zip(r).zip(g).zip(b) {
        let [r, g, b] = [r, g, b].map(mean);
        *u = (((112 * b - 74 * g - 38 * r + 128) >> 8) + 128) as u8;
        *v = (((112 * r - 94 * g - 18 * b + 128) >> 8) + 128) as u8;
    }
}

/// Returns the mean of two samples and the two below them. Reads each pair as one number, because the compiler can
/// vectorize that.
#[inline(always)]
fn mean((upper, lower): (&[u8; 2], &[u8; 2])) -> i16 {
    let [upper, lower] = [*upper, *lower].map(u16::from_le_bytes);
    ((upper / 256 + upper % 256 + lower / 256 + lower % 256 + 2) / 4) as i16
}

/// Splits words `0x00RRGGBB` into rows of red, green and blue.
#[inline(always)]
pub(super) fn unpacked(words: &[u32], [r, g, b]: [&mut [u8]; 3]) {
    for (((word, r), g), b) in words.iter().zip(r).zip(g).zip(b) {
        (*r, *g, *b) = ((word >> 16) as u8, (word >> 8) as u8, *word as u8);
    }
}
