//! Luma and chroma -> colours.
//!
//! BT.601 with luma in 16..=235 and chroma in 16..=240: what depthai's own host library makes of these formats, because it
//! leaves them to `cv2.cvtColor`. The coefficients are rounded as there (1.164, 2.018, 0.813, 0.391, 1.596), in 20-bit
//! fixed point, so that the result is the same to the bit.

use super::output::Output;

const SHIFT: i32 = 20;
const HALF: i32 = 1 << (SHIFT - 1);
const Y: i32 = coefficient(1.164);
const U_TO_BLUE: i32 = coefficient(2.018);
const U_TO_GREEN: i32 = coefficient(-0.391);
const V_TO_GREEN: i32 = coefficient(-0.813);
const V_TO_RED: i32 = coefficient(1.596);

/// In fixed point, to the nearest.
const fn coefficient(value: f64) -> i32 {
    let scaled = value * (1 << SHIFT) as f64;
    (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

/// What a pair of chroma samples adds to the colours of its pixels.
#[derive(Clone, Copy)]
pub(super) struct Tint {
    r: i32,
    g: i32,
    b: i32,
}

impl Tint {
    #[inline(always)]
    pub(super) fn new(u: u8, v: u8) -> Self {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        Self { r: HALF + V_TO_RED * v, g: HALF + V_TO_GREEN * v + U_TO_GREEN * u, b: HALF + U_TO_BLUE * u }
    }
}

/// One pixel.
#[inline(always)]
pub(super) fn pixel<O: Output>(y: u8, tint: Tint) -> O::Pixel {
    let y = (i32::from(y) - 16).max(0) * Y;
    let byte = |tint: i32| ((y + tint) >> SHIFT).clamp(0, 255) as u8;
    O::rgb(byte(tint.r), byte(tint.g), byte(tint.b))
}

/// A row of luma and one of chroma pairs, one pair for two pixels; U comes first, or V.
#[inline(always)]
pub(super) fn paired<O: Output, const V_FIRST: bool>(luma: &[u8], chroma: &[u8], out: &mut [O::Pixel]) {
    let tint = |[first, second]: &[u8; 2]| {
        if V_FIRST { Tint::new(*second, *first) } else { Tint::new(*first, *second) }
    };
    let chroma = chroma.as_chunks::<2>().0;
    let (pairs, odd) = out.as_chunks_mut::<2>();
    for ((out, y), chroma) in pairs.iter_mut().zip(luma.as_chunks::<2>().0).zip(chroma) {
        let tint = tint(chroma);
        *out = [pixel::<O>(y[0], tint), pixel::<O>(y[1], tint)];
    }
    if let ([out], [.., y], [.., chroma]) = (odd, luma, chroma) {
        *out = pixel::<O>(*y, tint(chroma));
    }
}

/// A row of each of three planes, one sample of chroma for two pixels.
#[inline(always)]
pub(super) fn halved<O: Output>([luma, u, v]: [&[u8]; 3], out: &mut [O::Pixel]) {
    let (pairs, odd) = out.as_chunks_mut::<2>();
    for (((out, y), u), v) in pairs.iter_mut().zip(luma.as_chunks::<2>().0).zip(u).zip(v) {
        let tint = Tint::new(*u, *v);
        *out = [pixel::<O>(y[0], tint), pixel::<O>(y[1], tint)];
    }
    if let ([out], [.., y], [.., u], [.., v]) = (odd, luma, u, v) {
        *out = pixel::<O>(*y, Tint::new(*u, *v));
    }
}

/// A row of each of three planes of the same width.
#[inline(always)]
pub(super) fn planar<O: Output>([luma, u, v]: [&[u8]; 3], out: &mut [O::Pixel]) {
    for (((out, y), u), v) in out.iter_mut().zip(luma).zip(u).zip(v) {
        *out = pixel::<O>(*y, Tint::new(*u, *v));
    }
}
