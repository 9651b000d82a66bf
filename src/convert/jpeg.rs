//! Decodes JPEG to interleaved RGB, in a buffer that is reused.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::ConvertError;
use crate::frame::jpeg_defect;

/// Most pixels of a picture. The largest sensor of an OAK camera has 5312x6000 (IMX582).
const MAX_PIXELS: usize = 1 << 25;

/// Most pixels per byte of a file: a block of 64 pixels takes at least one bit. Prevents a small file from making us
/// allocate much memory.
const MAX_PIXELS_PER_BYTE: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Jpeg {
    rgb: Vec<u8>,
}

impl Jpeg {
    /// Returns the pixels of the last decoded picture, possibly followed by unused bytes.
    pub(super) fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Decodes a file into [`Self::rgb`], and returns width and height.
    ///
    /// The pixel buffer only grows. The decoder itself allocates rows of coefficients every time (all coefficients for
    /// a progressive file), because it cannot be reused.
    pub(super) fn decode(&mut self, file: &[u8]) -> Result<(u32, u32), ConvertError> {
        let options = DecoderOptions::default()
            .jpeg_set_out_colorspace(ColorSpace::RGB)
            .set_max_width(usize::from(u16::MAX))
            .set_max_height(usize::from(u16::MAX));
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
        let damaged = |error: zune_jpeg::errors::DecodeErrors| ConvertError::Jpeg(error.to_string());
        decoder.decode_headers().map_err(damaged)?;
        let (width, height) = decoder.dimensions().ok_or_else(|| ConvertError::Jpeg("no frame header".to_owned()))?;
        // Sides are at most 65535, so the product fits.
        let pixels = width * height;
        if pixels > MAX_PIXELS.min(file.len().saturating_mul(MAX_PIXELS_PER_BYTE)) {
            return Err(ConvertError::JpegTooLarge { width, height, file: file.len() });
        }
        let len = pixels * 3;
        if self.rgb.len() < len {
            self.rgb = vec![0; len];
        }
        let rgb = &mut self.rgb[..len];
        if decoder.output_buffer_size() != Some(len) {
            return Err(ConvertError::Jpeg("unsupported color space".to_owned()));
        }
        if let Some(defect) = jpeg_defect(file) {
            return Err(defect.into());
        }
        decoder.decode_into(rgb).map_err(damaged)?;
        Ok((width as u32, height as u32))
    }
}
