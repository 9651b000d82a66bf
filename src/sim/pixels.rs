//! Converts RGB into the camera's pixel layouts (wire.md section 6). Rows are not padded.

use half::f16;

use crate::frame::{BayerOrder, Detection, PixelFormat, Position};

/// An RGB picture: rows of three bytes per pixel.
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

/// Returns the numbers of which width and height must be multiples: neighbors share chroma, and packed samples share
/// bytes.
pub(super) fn grain(format: PixelFormat) -> (u32, u32) {
    match format {
        PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::Yuv420p => (2, 2),
        PixelFormat::Yuv422i | PixelFormat::Yuv422p | PixelFormat::Pack12 => (2, 1),
        PixelFormat::Pack10 => (4, 1),
        PixelFormat::Rgb888p
        | PixelFormat::Bgr888p
        | PixelFormat::Rgb888i
        | PixelFormat::Bgr888i
        | PixelFormat::Rgba8888
        | PixelFormat::Rgb161616
        | PixelFormat::RgbF16p
        | PixelFormat::BgrF16p
        | PixelFormat::RgbF16i
        | PixelFormat::BgrF16i
        | PixelFormat::GrayF16
        | PixelFormat::Gray8
        | PixelFormat::Raw8
        | PixelFormat::Raw10
        | PixelFormat::Raw12
        | PixelFormat::Raw14
        | PixelFormat::Raw16
        | PixelFormat::Yuv400p
        | PixelFormat::Yuv444p
        | PixelFormat::Yuv444i
        | PixelFormat::Jpeg => (1, 1),
        PixelFormat::Bayer(samples, _) => grain(samples.gray()),
    }
}

/// Converts a picture into a layout. Returns `None` for JPEG, which is not a pixel layout.
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
            picture.pixels().map(video_luma).chain(chroma(1)).chain(chroma(2)).collect()
        }
        PixelFormat::Yuv422i => {
            let pairs = picture.bytes.as_chunks::<6>().0.iter();
            pairs
                .zip(shared(picture, 2, 1))
                .flat_map(|([r0, g0, b0, r1, g1, b1], mean)| {
                    let [_, u, v] = yuv(mean);
                    [video_luma([*r0, *g0, *b0]), u, video_luma([*r1, *g1, *b1]), v]
                })
                .collect()
        }
        PixelFormat::Yuv420p => {
            let chroma = |c: usize| shared(picture, 2, 2).map(move |pixel| yuv(pixel)[c]);
            picture.pixels().map(video_luma).chain(chroma(1)).chain(chroma(2)).collect()
        }
        PixelFormat::Nv12 | PixelFormat::Nv21 => {
            let chroma = shared(picture, 2, 2).flat_map(|pixel| {
                let [_, u, v] = yuv(pixel);
                if format == PixelFormat::Nv12 { [u, v] } else { [v, u] }
            });
            picture.pixels().map(video_luma).chain(chroma).collect()
        }
        PixelFormat::Bayer(samples, order) => return layout(&filtered(picture, order), samples.gray()),
        PixelFormat::Jpeg => return None,
    })
}

/// Returns the gray picture that a sensor behind a color filter measures.
fn filtered(picture: &Rgb, order: BayerOrder) -> Rgb {
    let (red_x, red_y) = order.red();
    let pixels = picture.pixels().enumerate().flat_map(|(at, pixel)| {
        let (x, y) = (at % picture.width, at / picture.width);
        let channel = usize::from(x % 2 != red_x) + usize::from(y % 2 != red_y);
        [pixel[channel]; 3]
    });
    Rgb { width: picture.width, height: picture.height, bytes: pixels.collect() }
}

/// Returns the luma of a pixel, scaled to 8 to 16 bits.
fn sample(pixel: [u8; 3], bits: u32) -> u16 {
    let value = u16::from(luma(pixel));
    (value << (bits - 8)) | (value >> (16 - bits))
}

/// Packs MIPI RAW10: the high bytes of four samples, then a byte with their low bits.
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

/// Packs MIPI RAW12: the high bytes of two samples, then a byte with their low bits.
fn packed12(picture: &Rgb) -> Vec<u8> {
    let mut out = Vec::with_capacity(picture.width * picture.height * 3 / 2);
    let mut pixels = picture.pixels();
    while let (Some(a), Some(b)) = (pixels.next(), pixels.next()) {
        let [a, b] = [a, b].map(|pixel| sample(pixel, 12));
        out.extend([(a >> 4) as u8, (b >> 4) as u8, (a & 15) as u8 | ((b & 15) as u8) << 4]);
    }
    out
}

/// Returns the mean color of each block of `x` by `y` pixels.
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

/// Full-range luma, 0 to 255: weights of 0.299, 0.587 and 0.114 with 16 fractional bits.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b) + (1 << 15)) >> 16) as u8
}

fn video_luma(pixel: [u8; 3]) -> u8 {
    yuv(pixel)[0]
}

/// BT.601 in video range (luma 16 to 235, chroma 16 to 240), with 16 fractional bits.
fn yuv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
    let scaled = |sum: i32, zero: i32| (((sum + (1 << 15)) >> 16) + zero) as u8;
    [
        scaled(16_829 * r + 33_039 * g + 6_416 * b, 16),
        scaled(-9_714 * r - 19_070 * g + 28_784 * b, 128),
        scaled(28_784 * r - 24_103 * g - 4_681 * b, 128),
    ]
}

/// Distance of the background in depth pictures, in millimeters.
const BACKGROUND_MM: u16 = 5000;

/// Returns a RAW16 picture of the distances in millimeters: those of the objects in their boxes, and that of the background
/// elsewhere. The left 1/40 of the picture is 0, because the right camera of a stereo pair does not see it.
pub(super) fn depth((width, height): (u32, u32), detections: &[Detection]) -> Vec<u8> {
    let (width, height) = (width as usize, height as usize);
    let mut samples = vec![BACKGROUND_MM; width * height];
    for Detection { bbox, position, .. } in detections {
        let Some(depth) = position.as_ref().and_then(Position::depth) else { continue };
        let at = |share: f32, side: usize| ((share * side as f32).round() as usize).min(side);
        let columns = at(bbox.xmin, width)..at(bbox.xmax, width);
        for row in samples.chunks_exact_mut(width).take(at(bbox.ymax, height)).skip(at(bbox.ymin, height)) {
            row[columns.clone()].fill(depth.0 as u16);
        }
    }
    samples.chunks_exact_mut(width).for_each(|row| row[..width / 40].fill(0));
    samples.into_iter().flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::{Converter, PackedOrder};
    use crate::frame::{Frame, Geometry};

    #[test]
    fn lengths_match_the_geometry() {
        let picture = Rgb { width: 8, height: 4, bytes: (0..96).collect() };
        for format in PixelFormat::ALL.into_iter().chain(PixelFormat::MOSAICS) {
            let Some(bytes) = layout(&picture, format) else { continue };
            let geometry = Geometry::tight(format, 8, 4).expect("a picture");
            assert_eq!(Some(bytes.len()), geometry.byte_len(), "{format}");
        }
    }

    #[test]
    fn samples_are_at_the_expected_bytes() {
        let red = Rgb { width: 4, height: 2, bytes: [255, 0, 0].repeat(8) };
        let of = |format| layout(&red, format).expect("a pixel layout");
        assert_eq!(of(PixelFormat::Bgr888p)[16..], [255; 8]);
        assert_eq!(of(PixelFormat::Bgr888i)[..3], [0, 0, 255]);
        assert_eq!(of(PixelFormat::Nv12)[8..], [90, 240, 90, 240]);
        assert_eq!(of(PixelFormat::Nv21)[8..], [240, 90, 240, 90]);
        assert_eq!(of(PixelFormat::Yuv422i)[..4], [81, 90, 81, 240]);
        assert_eq!(of(PixelFormat::Raw12)[..2], 0x4c4_u16.to_le_bytes());
        assert_eq!(of(PixelFormat::Pack12)[..3], [0x4c, 0x4c, 0x44]);
        assert_eq!(of(PixelFormat::Pack10)[..5], [76, 76, 76, 76, 0b0101_0101]);
        let mosaic = |name: &str| of(name.parse().expect("a format"))[..8].to_vec();
        assert_eq!(mosaic("RAW8:RGGB"), [255, 0, 255, 0, 0, 0, 0, 0]);
        assert_eq!(mosaic("RAW8:GBRG"), [0, 0, 0, 0, 255, 0, 255, 0]);
        assert_eq!(mosaic("RAW10:GRBG"), [0, 0, 0xff, 3, 0, 0, 0xff, 3]);
        assert_eq!(of(PixelFormat::RgbF16i)[..2], f16::from_f32(255.0).to_le_bytes());
    }

    #[test]
    fn converter_restores_the_picture_from_every_layout() {
        let colors = [[200, 60, 30], [40, 160, 220], [90, 90, 90], [16, 240, 16]];
        let bytes = (0..16 * 8).flat_map(|at| colors[at % 16 / 4]).collect();
        let picture = Rgb { width: 16, height: 8, bytes };
        for format in PixelFormat::ALL {
            // The converter shows RAW16 as depth in false colors.
            let Some(payload) = layout(&picture, format).filter(|_| format != PixelFormat::Raw16) else { continue };
            let geometry = Geometry::tight(format, 16, 8).ok();
            let mut frame = Frame::default();
            frame.geometry = geometry;
            frame.payload_mut(payload.len()).copy_from_slice(&payload);
            let (mut converter, mut rgb) = (Converter::new(), Vec::new());
            converter.packed(&frame, PackedOrder::Rgb, &mut rgb).expect("a pixel layout");
            let all = rgb.as_chunks::<3>().0;
            let is_gray = all.iter().all(|[r, g, b]| r == g && g == b);
            for (found, original) in all.iter().zip(picture.pixels()) {
                let expected = if is_gray { [luma(original); 3] } else { original };
                let near = found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) <= 3);
                assert!(near, "{format}: expected {expected:?}, found {found:?}");
            }
        }
    }
}
