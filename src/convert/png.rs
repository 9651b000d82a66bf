//! Encodes pictures as PNG files.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _, ImageError};

use crate::frame::Size;

/// Encodes pixels of three bytes, red, green and blue, as a PNG file. Uses fast compression, because exports and
/// snapshots wait for it.
///
/// # Errors
/// The size is 0, or larger than PNG allows.
///
/// # Panics
/// The length of `rgb` is not three times the number of pixels.
pub fn encode_png(rgb: &[u8], size: Size) -> Result<Vec<u8>, ImageError> {
    encode(rgb, size, ExtendedColorType::Rgb8)
}

/// Encodes samples of 16 bits as a gray PNG file, for depth.
///
/// # Errors
/// The size is 0, or larger than PNG allows.
///
/// # Panics
/// The length of `samples` is not the number of pixels.
pub fn encode_gray16_png(samples: &[u16], size: Size) -> Result<Vec<u8>, ImageError> {
    encode(bytemuck::cast_slice(samples), size, ExtendedColorType::L16)
}

fn encode(pixels: &[u8], Size { width, height }: Size, color: ExtendedColorType) -> Result<Vec<u8>, ImageError> {
    let mut file = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Up);
    encoder.write_image(pixels, width, height, color)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_survive_a_round_trip() {
        let rgb = [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7];
        let file = encode_png(&rgb, Size::new(2, 2)).expect("a picture");
        let decoded = image::load_from_memory(&file).expect("a PNG file").into_rgb8();
        assert_eq!((decoded.dimensions(), decoded.as_raw().as_slice()), ((2, 2), rgb.as_slice()));
        assert!(encode_png(&[], Size::new(0, 2)).is_err());
    }
}
