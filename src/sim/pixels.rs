//! RGB -> the camera's pixel layouts (wire.md section 6). Rows are not padded.

use half::f16;

use crate::frame::PixelFormat;

/// An RGB picture: rows of three bytes a pixel.
#[derive(Clone, Debug)]
pub(super) struct Rgb {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) bytes: Vec<u8>,
}

impl Rgb {
    fn pixels(&self) -> impl Iterator<Item = [u8; 3]> + '_ {
        self.bytes.as_chunks::<3>().0.iter().copied()
    }
}

/// Every layout, in the order in which they are offered.
pub(super) const FORMATS: [PixelFormat; 28] = [
    PixelFormat::Bgr888p,
    PixelFormat::Rgb888p,
    PixelFormat::Bgr888i,
    PixelFormat::Rgb888i,
    PixelFormat::Nv12,
    PixelFormat::Nv21,
    PixelFormat::Yuv420p,
    PixelFormat::Yuv422i,
    PixelFormat::Yuv422p,
    PixelFormat::Yuv444p,
    PixelFormat::Yuv444i,
    PixelFormat::Yuv400p,
    PixelFormat::Gray8,
    PixelFormat::Raw8,
    PixelFormat::Raw16,
    PixelFormat::Raw14,
    PixelFormat::Raw12,
    PixelFormat::Raw10,
    PixelFormat::Pack10,
    PixelFormat::Pack12,
    PixelFormat::Rgba8888,
    PixelFormat::Rgb161616,
    PixelFormat::RgbF16p,
    PixelFormat::BgrF16p,
    PixelFormat::RgbF16i,
    PixelFormat::BgrF16i,
    PixelFormat::GrayF16,
    PixelFormat::Jpeg,
];

/// The vendor's name of a layout.
pub(super) fn name(format: PixelFormat) -> &'static str {
    match format {
        PixelFormat::Bgr888p => "BGR888p",
        PixelFormat::Rgb888p => "RGB888p",
        PixelFormat::Bgr888i => "BGR888i",
        PixelFormat::Rgb888i => "RGB888i",
        PixelFormat::Nv12 => "NV12",
        PixelFormat::Nv21 => "NV21",
        PixelFormat::Yuv420p => "YUV420p",
        PixelFormat::Yuv422i => "YUV422i",
        PixelFormat::Yuv422p => "YUV422p",
        PixelFormat::Yuv444p => "YUV444p",
        PixelFormat::Yuv444i => "YUV444i",
        PixelFormat::Yuv400p => "YUV400p",
        PixelFormat::Gray8 => "GRAY8",
        PixelFormat::Raw8 => "RAW8",
        PixelFormat::Raw16 => "RAW16",
        PixelFormat::Raw14 => "RAW14",
        PixelFormat::Raw12 => "RAW12",
        PixelFormat::Raw10 => "RAW10",
        PixelFormat::Pack10 => "PACK10",
        PixelFormat::Pack12 => "PACK12",
        PixelFormat::Rgba8888 => "RGBA8888",
        PixelFormat::Rgb161616 => "RGB161616",
        PixelFormat::RgbF16p => "RGBF16F16F16p",
        PixelFormat::BgrF16p => "BGRF16F16F16p",
        PixelFormat::RgbF16i => "RGBF16F16F16i",
        PixelFormat::BgrF16i => "BGRF16F16F16i",
        PixelFormat::GrayF16 => "GRAYF16",
        PixelFormat::Jpeg => "JPEG",
    }
}

/// Width and height must be multiples of these: chroma is shared by neighbours, packed samples share bytes.
pub(super) fn grain(format: PixelFormat) -> (u32, u32) {
    match format {
        PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::Yuv420p => (2, 2),
        PixelFormat::Yuv422i | PixelFormat::Yuv422p | PixelFormat::Pack12 => (2, 1),
        PixelFormat::Pack10 => (4, 1),
        _ => (1, 1),
    }
}

/// Whether a pixel takes more than three bytes.
pub(super) fn is_wide(format: PixelFormat) -> bool {
    matches!(
        format,
        PixelFormat::Rgba8888
            | PixelFormat::Rgb161616
            | PixelFormat::RgbF16p
            | PixelFormat::BgrF16p
            | PixelFormat::RgbF16i
            | PixelFormat::BgrF16i
    )
}

/// The picture in a layout. `None` for JPEG, which is no layout of pixels.
pub(super) fn layout(picture: &Rgb, format: PixelFormat) -> Option<Vec<u8>> {
    let plane = |channel: usize| picture.pixels().map(move |pixel| pixel[channel]);
    let planes = |order: [usize; 3]| order.into_iter().flat_map(plane).collect();
    let words = |bits: u32| picture.pixels().flat_map(move |pixel| sample(pixel, bits).to_le_bytes()).collect();
    let halves = |value: u8| f16::from_f32(f32::from(value)).to_le_bytes();
    Some(match format {
        PixelFormat::Rgb888p => planes([0, 1, 2]),
        PixelFormat::Bgr888p => planes([2, 1, 0]),
        PixelFormat::Rgb888i => picture.bytes.clone(),
        PixelFormat::Bgr888i => picture.pixels().flat_map(|[r, g, b]| [b, g, r]).collect(),
        PixelFormat::Rgba8888 => picture.pixels().flat_map(|[r, g, b]| [r, g, b, 255]).collect(),
        PixelFormat::Rgb161616 => {
            [0, 1, 2].into_iter().flat_map(plane).flat_map(|value| (u16::from(value) * 257).to_le_bytes()).collect()
        }
        PixelFormat::RgbF16p => [0, 1, 2].into_iter().flat_map(plane).flat_map(halves).collect(),
        PixelFormat::BgrF16p => [2, 1, 0].into_iter().flat_map(plane).flat_map(halves).collect(),
        PixelFormat::RgbF16i => picture.bytes.iter().copied().flat_map(halves).collect(),
        PixelFormat::BgrF16i => picture.pixels().flat_map(|[r, g, b]| [b, g, r]).flat_map(halves).collect(),
        PixelFormat::GrayF16 => picture.pixels().map(luma).flat_map(halves).collect(),
        PixelFormat::Gray8 | PixelFormat::Raw8 | PixelFormat::Yuv400p => picture.pixels().map(luma).collect(),
        PixelFormat::Raw16 => words(16),
        PixelFormat::Raw14 => words(14),
        PixelFormat::Raw12 => words(12),
        PixelFormat::Raw10 => words(10),
        PixelFormat::Pack10 => packed10(picture),
        PixelFormat::Pack12 => packed12(picture),
        PixelFormat::Yuv444p => [0, 1, 2].into_iter().flat_map(|c| picture.pixels().map(move |p| yuv(p)[c])).collect(),
        PixelFormat::Yuv444i => picture.pixels().flat_map(yuv).collect(),
        PixelFormat::Yuv422p => {
            let chroma = |c: usize| shared(picture, 2, 1).map(move |pixel| yuv(pixel)[c]);
            picture.pixels().map(luma).chain(chroma(1)).chain(chroma(2)).collect()
        }
        PixelFormat::Yuv422i => {
            let pairs = picture.bytes.as_chunks::<6>().0.iter();
            pairs
                .zip(shared(picture, 2, 1))
                .flat_map(|([r0, g0, b0, r1, g1, b1], mean)| {
                    let [_, u, v] = yuv(mean);
                    [luma([*r0, *g0, *b0]), u, luma([*r1, *g1, *b1]), v]
                })
                .collect()
        }
        PixelFormat::Yuv420p => {
            let chroma = |c: usize| shared(picture, 2, 2).map(move |pixel| yuv(pixel)[c]);
            picture.pixels().map(luma).chain(chroma(1)).chain(chroma(2)).collect()
        }
        PixelFormat::Nv12 | PixelFormat::Nv21 => {
            let chroma = shared(picture, 2, 2).flat_map(|pixel| {
                let [_, u, v] = yuv(pixel);
                if format == PixelFormat::Nv12 { [u, v] } else { [v, u] }
            });
            picture.pixels().map(luma).chain(chroma).collect()
        }
        PixelFormat::Jpeg => return None,
    })
}

/// A brightness of so many bits.
fn sample(pixel: [u8; 3], bits: u32) -> u16 {
    let value = u16::from(luma(pixel));
    (value << (bits - 8)) | (value >> (16 - bits))
}

/// MIPI RAW10: the high bytes of four samples, then a byte with their low bits.
fn packed10(picture: &Rgb) -> Vec<u8> {
    let mut out = Vec::with_capacity(picture.width * picture.height * 5 / 4);
    let mut pixels = picture.pixels();
    while let (Some(a), Some(b), Some(c), Some(d)) = (pixels.next(), pixels.next(), pixels.next(), pixels.next()) {
        let four = [a, b, c, d].map(|pixel| sample(pixel, 10));
        out.extend(four.map(|value| (value >> 2) as u8));
        out.push((0..4).fold(0, |low, i| low | ((four[i] & 3) as u8) << (2 * i)));
    }
    out
}

/// MIPI RAW12: the high bytes of two samples, then a byte with their low bits.
fn packed12(picture: &Rgb) -> Vec<u8> {
    let mut out = Vec::with_capacity(picture.width * picture.height * 3 / 2);
    let mut pixels = picture.pixels();
    while let (Some(a), Some(b)) = (pixels.next(), pixels.next()) {
        let [a, b] = [a, b].map(|pixel| sample(pixel, 12));
        out.extend([(a >> 4) as u8, (b >> 4) as u8, (a & 15) as u8 | ((b & 15) as u8) << 4]);
    }
    out
}

/// The mean colour of each block of `x` by `y` pixels.
fn shared(picture: &Rgb, x: usize, y: usize) -> impl Iterator<Item = [u8; 3]> + '_ {
    let row = 3 * picture.width;
    let blocks = (0..picture.height / y).flat_map(move |by| (0..picture.width / x).map(move |bx| (bx * x, by * y)));
    blocks.map(move |(left, top)| {
        [0, 1, 2].map(|channel| {
            let sum: usize = (top..top + y)
                .flat_map(|at| (left..left + x).map(move |bx| at * row + 3 * bx + channel))
                .map(|at| usize::from(picture.bytes[at]))
                .sum();
            ((sum + x * y / 2) / (x * y)) as u8
        })
    })
}

/// Brightness, BT.601.
fn luma(pixel: [u8; 3]) -> u8 {
    yuv(pixel)[0]
}

/// BT.601, full range, in 16 bits of fraction.
fn yuv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
    let scaled = |sum: i32, zero: i32| ((sum + (1 << 15)) >> 16).saturating_add(zero).clamp(0, 255) as u8;
    [
        scaled(19_595 * r + 38_470 * g + 7_471 * b, 0),
        scaled(-11_059 * r - 21_709 * g + 32_768 * b, 128),
        scaled(32_768 * r - 27_439 * g - 5_329 * b, 128),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of each layout for one picture, by the table of wire.md section 6.
    #[test]
    fn lengths_are_those_of_the_table() {
        let picture = Rgb { width: 8, height: 4, bytes: (0..96).collect() };
        for format in FORMATS {
            let Some(bytes) = layout(&picture, format) else { continue };
            let sixteenths = match format {
                PixelFormat::Bgr888p | PixelFormat::Rgb888p | PixelFormat::Bgr888i | PixelFormat::Rgb888i => 48,
                PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::Yuv420p | PixelFormat::Pack12 => 24,
                PixelFormat::Yuv422i | PixelFormat::Yuv422p => 32,
                PixelFormat::Yuv444p | PixelFormat::Yuv444i => 48,
                PixelFormat::Yuv400p | PixelFormat::Gray8 | PixelFormat::Raw8 => 16,
                PixelFormat::Raw16 | PixelFormat::Raw14 | PixelFormat::Raw12 | PixelFormat::Raw10 => 32,
                PixelFormat::GrayF16 => 32,
                PixelFormat::Pack10 => 20,
                PixelFormat::Rgba8888 => 64,
                PixelFormat::Rgb161616
                | PixelFormat::RgbF16p
                | PixelFormat::BgrF16p
                | PixelFormat::RgbF16i
                | PixelFormat::BgrF16i => 96,
                PixelFormat::Jpeg => unreachable!("has no layout"),
            };
            assert_eq!(bytes.len(), 32 * sixteenths / 16, "{}", name(format));
        }
    }

    #[test]
    fn colours_are_where_they_belong() {
        let red = Rgb { width: 4, height: 2, bytes: [255, 0, 0].repeat(8) };
        let of = |format| layout(&red, format).expect("a layout of pixels");
        assert_eq!(of(PixelFormat::Bgr888p)[16..], [255; 8]);
        assert_eq!(of(PixelFormat::Bgr888i)[..3], [0, 0, 255]);
        assert_eq!(of(PixelFormat::Nv12)[8..], [85, 255, 85, 255]);
        assert_eq!(of(PixelFormat::Nv21)[8..], [255, 85, 255, 85]);
        assert_eq!(of(PixelFormat::Yuv422i)[..4], [76, 85, 76, 255]);
        assert_eq!(of(PixelFormat::Raw12)[..2], 0x4c4_u16.to_le_bytes());
        assert_eq!(of(PixelFormat::Pack12)[..3], [0x4c, 0x4c, 0x44]);
        assert_eq!(of(PixelFormat::Pack10)[..5], [76, 76, 76, 76, 0b0101_0101]);
        assert_eq!(of(PixelFormat::RgbF16i)[..2], f16::from_f32(255.0).to_le_bytes());
    }
}
