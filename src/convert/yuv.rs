//! Converts a row of luma and chroma to a row each of red, green and blue.
//!
//! The compiler vectorizes these plain loops because they write planes; the kernels for planar pictures interleave
//! those afterwards. All loops are inlined into [`dispatch`](super::dispatch), which compiles them twice.
//! The compiler vectorizes pairs of pixels poorly, so `yuv_avx2` repeats the loops with halved chroma for AVX2.
//!
//! BT.601 with luma in 16..=235 and chroma in 16..=240, like `cv2.cvtColor`, which depthai's host library uses. The
//! coefficients are rounded as there (1.164, 2.018, 0.813, 0.391, 1.596), in 20-bit fixed point, so that the results
//! are bit-identical.

use super::planar::words_plain;

pub(super) const SHIFT: i32 = 20;
pub(super) const HALF: i32 = 1 << (SHIFT - 1);
pub(super) const Y: i32 = coefficient(1.164);
pub(super) const U_TO_BLUE: i32 = coefficient(2.018);
pub(super) const U_TO_GREEN: i32 = coefficient(-0.391);
pub(super) const V_TO_GREEN: i32 = coefficient(-0.813);
pub(super) const V_TO_RED: i32 = coefficient(1.596);

/// Converts to fixed point, rounded to nearest.
const fn coefficient(value: f64) -> i32 {
    let scaled = value * (1 << SHIFT) as f64;
    (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

/// Contribution of a pair of chroma samples to the colors of its pixels.
#[derive(Clone, Copy)]
struct Tint {
    r: i32,
    g: i32,
    b: i32,
}

impl Tint {
    #[inline(always)]
    fn new(u: u8, v: u8) -> Self {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        Self { r: HALF + V_TO_RED * v, g: HALF + V_TO_GREEN * v + U_TO_GREEN * u, b: HALF + U_TO_BLUE * u }
    }
}

/// Returns red, green and blue of one pixel.
#[inline(always)]
fn pixel(y: u8, tint: Tint) -> [u8; 3] {
    let y = (i32::from(y) - 16).max(0) * Y;
    [byte(y + tint.r), byte(y + tint.g), byte(y + tint.b)]
}

#[inline(always)]
fn byte(value: i32) -> u8 {
    (value >> SHIFT).clamp(0, 255) as u8
}

/// A row of chroma samples, one of each kind per two pixels.
#[derive(Clone, Copy)]
pub(super) enum Chroma<'a> {
    /// Alternating samples: UV, or VU if `v_first`.
    Pairs {
        /// Whether V is the first of a pair.
        v_first: bool,
        /// The samples.
        row: &'a [u8],
    },
    /// U, and V.
    Planes([&'a [u8]; 2]),
}

impl Chroma<'_> {
    /// Returns the samples after an even number of pixels.
    pub(super) fn after(self, pixels: usize) -> Self {
        match self {
            Self::Pairs { v_first, row } => Self::Pairs { v_first, row: &row[pixels..] },
            Self::Planes(planes) => Self::Planes(planes.map(|row| &row[pixels / 2..])),
        }
    }

    /// Converts one of the rows of luma that have this chroma.
    #[inline(always)]
    pub(super) fn colors(self, luma: &[u8], out: [&mut [u8]; 3]) {
        match self {
            Self::Pairs { v_first: true, row } => paired_in_order::<true>(luma, row, out),
            Self::Pairs { v_first: false, row } => paired_in_order::<false>(luma, row, out),
            Self::Planes([u, v]) => halved([luma, u, v], out),
        }
    }
}

/// Most pixels of [`Chroma::words_of_rest`]: those of the largest block.
const REST_MAX: usize = 64;

impl Chroma<'_> {
    /// Converts the pixels after the last whole block of a row to words.
    #[inline(always)]
    pub(super) fn words_of_rest(self, luma: &[u8], out: &mut [u32]) {
        let mut planes = [[0; REST_MAX]; 3];
        self.colors(luma, planes.each_mut().map(|plane| &mut plane[..luma.len()]));
        let [r, g, b] = planes.each_ref().map(|plane| &plane[..luma.len()]);
        words_plain([b, g, r], out);
    }
}

/// The whole blocks of a row of chroma: of `PAIRS` bytes of alternating samples, or of `PLANE` samples of each kind.
#[derive(Clone, Copy)]
pub(super) enum ChromaBlocks<'a, const PAIRS: usize, const PLANE: usize> {
    Pairs { v_first: bool, row: &'a [[u8; PAIRS]] },
    Planes([&'a [[u8; PLANE]]; 2]),
}

impl<'a, const PAIRS: usize, const PLANE: usize> ChromaBlocks<'a, PAIRS, PLANE> {
    pub(super) fn of(chroma: Chroma<'a>) -> Self {
        match chroma {
            Chroma::Pairs { v_first, row } => Self::Pairs { v_first, row: row.as_chunks().0 },
            Chroma::Planes(planes) => Self::Planes(planes.map(|row| row.as_chunks().0)),
        }
    }
}

#[inline(always)]
fn paired_in_order<const V_FIRST: bool>(luma: &[u8], chroma: &[u8], out: [&mut [u8]; 3]) {
    let chroma = chroma.as_chunks::<2>().0;
    let (y, odd) = luma.as_chunks::<2>();
    let [(r, odd_r), (g, odd_g), (b, odd_b)] = out.map(|plane| plane.as_chunks_mut::<2>());
    for ((((y, [u, v]), r), g), b) in y.iter().zip(chroma).zip(r).zip(g).zip(b) {
        let tint = if V_FIRST { Tint::new(*v, *u) } else { Tint::new(*u, *v) };
        let (left, right) = (pixel(y[0], tint), pixel(y[1], tint));
        (*r, *g, *b) = ([left[0], right[0]], [left[1], right[1]], [left[2], right[2]]);
    }
    if let ([y], [.., [u, v]], [r], [g], [b]) = (odd, chroma, odd_r, odd_g, odd_b) {
        let tint = if V_FIRST { Tint::new(*v, *u) } else { Tint::new(*u, *v) };
        [*r, *g, *b] = pixel(*y, tint);
    }
}

/// Converts a row of three planes with one chroma sample per two pixels.
#[inline(always)]
fn halved([luma, u, v]: [&[u8]; 3], out: [&mut [u8]; 3]) {
    let (y, odd) = luma.as_chunks::<2>();
    let [(r, odd_r), (g, odd_g), (b, odd_b)] = out.map(|plane| plane.as_chunks_mut::<2>());
    for (((((y, u), v), r), g), b) in y.iter().zip(u).zip(v).zip(r).zip(g).zip(b) {
        let tint = Tint::new(*u, *v);
        let (left, right) = (pixel(y[0], tint), pixel(y[1], tint));
        (*r, *g, *b) = ([left[0], right[0]], [left[1], right[1]], [left[2], right[2]]);
    }
    if let ([y], [.., u], [.., v], [r], [g], [b]) = (odd, u, v, odd_r, odd_g, odd_b) {
        [*r, *g, *b] = pixel(*y, Tint::new(*u, *v));
    }
}

/// Converts a row of three planes of equal width.
#[inline(always)]
pub(super) fn full([luma, u, v]: [&[u8]; 3], [r, g, b]: [&mut [u8]; 3]) {
    for (((((y, u), v), r), g), b) in luma.iter().zip(u).zip(v).zip(r).zip(g).zip(b) {
        [*r, *g, *b] = pixel(*y, Tint::new(*u, *v));
    }
}

/// Converts Y, U, V per pixel.
#[inline(always)]
pub(super) fn interleaved(row: &[u8], [r, g, b]: [&mut [u8]; 3]) {
    for ((([y, u, v], r), g), b) in row.as_chunks::<3>().0.iter().zip(r).zip(g).zip(b) {
        [*r, *g, *b] = pixel(*y, Tint::new(*u, *v));
    }
}

/// Converts Y, U, Y, V per two pixels.
#[inline(always)]
pub(super) fn yuyv(row: &[u8], out: [&mut [u8]; 3]) {
    let row = row.as_chunks::<4>().0;
    let [(r, odd_r), (g, odd_g), (b, odd_b)] = out.map(|plane| plane.as_chunks_mut::<2>());
    for ((([y0, u, y1, v], r), g), b) in row.iter().zip(r).zip(g).zip(b) {
        let tint = Tint::new(*u, *v);
        let (left, right) = (pixel(*y0, tint), pixel(*y1, tint));
        (*r, *g, *b) = ([left[0], right[0]], [left[1], right[1]], [left[2], right[2]]);
    }
    if let ([.., [y, u, _, v]], [r], [g], [b]) = (row, odd_r, odd_g, odd_b) {
        [*r, *g, *b] = pixel(*y, Tint::new(*u, *v));
    }
}
