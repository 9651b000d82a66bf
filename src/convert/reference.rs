//! Slow reference conversions, against which tests and benches compare [`Converter`](super::Converter).
//!
//! Shares only the layout and the color table with the fast code, so that it does not repeat its errors.

use half::f16;

use super::depth::COLORS;
use crate::frame::geometry::Plane;
use crate::frame::{BayerOrder, Geometry, GeometryError, PixelFormat};

/// Converts a payload to red, green and blue per pixel. Treats it as the first of its stream, which matters for
/// half-precision formats.
///
/// # Errors
/// If the geometry is invalid or encoded, or the payload is too short for it.
pub fn pixels(geometry: &Geometry, payload: &[u8]) -> Result<Vec<[u8; 3]>, GeometryError> {
    use PixelFormat::*;
    let layout = geometry.layout_in(payload.len())?;
    let planes = layout.planes();
    let (width, height) = (geometry.width as usize, geometry.height as usize);
    let at = |plane: &Plane, x: usize, y: usize| payload[plane.offset + y * plane.stride + x];
    let byte = |plane: usize, x: usize, y: usize| at(&planes[plane], x, y);
    let wide =
        |plane: usize, x: usize, y: usize| u16::from_le_bytes([byte(plane, 2 * x, y), byte(plane, 2 * x + 1, y)]);
    let half = |plane: usize, x: usize, y: usize| f16::from_bits(wide(plane, x, y)).to_f32();
    let depth_end =
        depth_end((0..height).flat_map(|y| (0..width).map(move |x| (x, y))), |(x, y)| wide(0, x, y), *geometry);
    let mut half_scale = 255.0;
    if matches!(geometry.format, RgbF16p | BgrF16p | RgbF16i | BgrF16i | GrayF16) {
        for (number, plane) in planes.iter().enumerate() {
            for y in 0..plane.rows {
                if (0..plane.row / 2).any(|x| half(number, x, y) > 1.0) {
                    half_scale = 1.0;
                }
            }
        }
    }
    let to_byte = |number: f32| (number * half_scale).round() as u8;
    let gray = |y: u8| [y, y, y];
    let mut out = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            out.push(match geometry.format {
                Rgb888p => [byte(0, x, y), byte(1, x, y), byte(2, x, y)],
                Bgr888p => [byte(2, x, y), byte(1, x, y), byte(0, x, y)],
                Rgb888i => [byte(0, 3 * x, y), byte(0, 3 * x + 1, y), byte(0, 3 * x + 2, y)],
                Bgr888i => [byte(0, 3 * x + 2, y), byte(0, 3 * x + 1, y), byte(0, 3 * x, y)],
                Rgba8888 => [byte(0, 4 * x, y), byte(0, 4 * x + 1, y), byte(0, 4 * x + 2, y)],
                Gray8 | Raw8 | Yuv400p => gray(byte(0, x, y)),
                Raw14 => gray((wide(0, x, y) / 64).min(255) as u8),
                Raw12 => gray((wide(0, x, y) / 16).min(255) as u8),
                Raw10 => gray((wide(0, x, y) / 4).min(255) as u8),
                Pack10 => gray(byte(0, x / 4 * 5 + x % 4, y)),
                Pack12 => gray(byte(0, x / 2 * 3 + x % 2, y)),
                Raw16 if wide(0, x, y) == 0 => [0, 0, 0],
                Raw16 => COLORS[(usize::from(wide(0, x, y)) * 256 / depth_end).min(255)],
                Rgb161616 => [(wide(0, x, y) / 256) as u8, (wide(1, x, y) / 256) as u8, (wide(2, x, y) / 256) as u8],
                Nv12 => bt601(byte(0, x, y), byte(1, x / 2 * 2, y / 2), byte(1, x / 2 * 2 + 1, y / 2)),
                Nv21 => bt601(byte(0, x, y), byte(1, x / 2 * 2 + 1, y / 2), byte(1, x / 2 * 2, y / 2)),
                Yuv420p => bt601(byte(0, x, y), byte(1, x / 2, y / 2), byte(2, x / 2, y / 2)),
                Yuv422p => bt601(byte(0, x, y), byte(1, x / 2, y), byte(2, x / 2, y)),
                Yuv422i => bt601(byte(0, 2 * x, y), byte(0, x / 2 * 4 + 1, y), byte(0, x / 2 * 4 + 3, y)),
                Yuv444p => bt601(byte(0, x, y), byte(1, x, y), byte(2, x, y)),
                Yuv444i => bt601(byte(0, 3 * x, y), byte(0, 3 * x + 1, y), byte(0, 3 * x + 2, y)),
                RgbF16p => [0, 1, 2].map(|plane| to_byte(half(plane, x, y))),
                BgrF16p => [2, 1, 0].map(|plane| to_byte(half(plane, x, y))),
                RgbF16i => [0, 1, 2].map(|channel| to_byte(half(0, 3 * x + channel, y))),
                BgrF16i => [2, 1, 0].map(|channel| to_byte(half(0, 3 * x + channel, y))),
                GrayF16 => gray(to_byte(half(0, x, y))),
                Bayer(samples, order) => {
                    let gray = |x: usize, y: usize| match samples.gray() {
                        Raw14 => (wide(0, x, y) / 64).min(255) as u8,
                        Raw12 => (wide(0, x, y) / 16).min(255) as u8,
                        Raw10 => (wide(0, x, y) / 4).min(255) as u8,
                        Pack10 => byte(0, x / 4 * 5 + x % 4, y),
                        Pack12 => byte(0, x / 2 * 3 + x % 2, y),
                        _ => byte(0, x, y),
                    };
                    bilinear(order, (x, y), (width, height), gray)
                }
                Jpeg => return Err(GeometryError::Encoded(Jpeg)),
            });
        }
    }
    Ok(out)
}

/// Returns red, green and blue of a pixel of a mosaic: its own sample, or the rounded mean of the samples of a color in the 3x3
/// pixels around it. Coordinates beyond the edges are mirrored.
fn bilinear(
    order: BayerOrder,
    (x, y): (usize, usize),
    (width, height): (usize, usize),
    gray: impl Fn(usize, usize) -> u8,
) -> [u8; 3] {
    let mirrored = |at: isize, of: usize| {
        let last = of as isize - 1;
        let inside = if at < 0 {
            -at
        } else if at > last {
            2 * last - at
        } else {
            at
        };
        inside.clamp(0, last) as usize
    };
    let letters = order.name().as_bytes();
    let letter = |x: isize, y: isize| letters[(y.rem_euclid(2) * 2 + x.rem_euclid(2)) as usize];
    let (x, y) = (x as isize, y as isize);
    let sample = |x: isize, y: isize| u32::from(gray(mirrored(x, width), mirrored(y, height)));
    [b'R', b'G', b'B'].map(|color| {
        if letter(x, y) == color {
            return sample(x, y) as u8;
        }
        let around = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (x + dx, y + dy)));
        let samples: Vec<u32> = around.filter(|(x, y)| letter(*x, *y) == color).map(|(x, y)| sample(x, y)).collect();
        let count = samples.len() as u32;
        ((samples.iter().sum::<u32>() + count / 2) / count) as u8
    })
}

/// Returns the end of the RAW16 scale: the power of two above 99 % of the samples that are not 0, at least 256.
fn depth_end<P>(all: impl Iterator<Item = P>, sample: impl Fn(P) -> u16, geometry: Geometry) -> usize {
    if geometry.format != PixelFormat::Raw16 {
        return 256;
    }
    let mut measured: Vec<usize> = all.map(sample).filter(|sample| *sample > 0).map(usize::from).collect();
    measured.sort_unstable();
    let last = (measured.len() - measured.len() / 100).checked_sub(1).and_then(|n| measured.get(n));
    last.map_or(256, |last| (last + 1).next_power_of_two().max(256))
}

/// Converts BT.601 with luma 16..=235 and chroma 16..=240: coefficients 1.164, 1.596, 0.813, 0.391 and 2.018 in
/// 1/1048576, rounded at the end.
fn bt601(y: u8, u: u8, v: u8) -> [u8; 3] {
    let luma = 1_220_542 * i64::from(y.saturating_sub(16));
    let (u, v) = (i64::from(u) - 128, i64::from(v) - 128);
    let byte = |value: i64| (value + 524_288).div_euclid(1_048_576).clamp(0, 255) as u8;
    [byte(luma + 1_673_527 * v), byte(luma - 852_492 * v - 409_993 * u), byte(luma + 2_116_026 * u)]
}

/// Converts the output of [`pixels`] to 4:2:0 planes Y, U, V.
#[must_use]
pub fn yuv420(pixels: &[[u8; 3]], width: usize) -> Vec<u8> {
    let (even_width, even_height) = (width / 2 * 2, pixels.len() / width / 2 * 2);
    let at = |x: usize, y: usize| pixels[y * width + x].map(i32::from);
    let scaled = |[r, g, b]: [i32; 3], by: [i32; 3]| (by[0] * r + by[1] * g + by[2] * b + 128).div_euclid(256) as u8;
    let mut out = Vec::new();
    for y in 0..even_height {
        out.extend((0..even_width).map(|x| scaled(at(x, y), [66, 129, 25]) + 16));
    }
    for by in [[-38, -74, 112], [112, -94, -18]] {
        for y in (0..even_height).step_by(2) {
            for x in (0..even_width).step_by(2) {
                let four = [at(x, y), at(x + 1, y), at(x, y + 1), at(x + 1, y + 1)];
                let mean = [0, 1, 2].map(|color| (four.iter().map(|pixel| pixel[color]).sum::<i32>() + 2) / 4);
                out.push(scaled(mean, by).wrapping_add(128));
            }
        }
    }
    out
}

/// Converts a pixel to a word of a [`Picture`](crate::frame::Picture).
#[must_use]
pub fn word([r, g, b]: [u8; 3]) -> u32 {
    u32::from(r) << 16 | u32::from(g) << 8 | u32::from(b)
}
