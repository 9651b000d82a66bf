//! zune-jpeg, in Rust.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// It decodes in full size only.
#[cfg(not(feature = "turbojpeg"))]
pub(super) const REDUCTIONS: &[usize] = &[];

/// Decodes files. Has no state, because the decoder cannot be reused.
#[derive(Debug, Default)]
pub(super) struct Decoder;

fn begin(file: &[u8]) -> Result<JpegDecoder<ZCursor<&[u8]>>, String> {
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder.decode_headers().map_err(|error| error.to_string())?;
    Ok(decoder)
}

#[cfg_attr(feature = "turbojpeg", expect(clippy::unused_self, reason = "the other decoder has state"))]
impl Decoder {
    /// Returns width and height.
    #[cfg(not(feature = "turbojpeg"))]
    pub(super) fn size(&mut self, file: &[u8]) -> Result<(usize, usize), String> {
        begin(file)?.dimensions().ok_or_else(|| "no frame header".to_owned())
    }

    /// Decodes a file. `reduction` is 1.
    pub(super) fn decode(
        &mut self,
        file: &[u8],
        _reduction: usize,
        (width, height): (usize, usize),
        rgb: &mut [u8],
    ) -> Result<(), String> {
        let mut decoder = begin(file)?;
        if decoder.output_buffer_size() != Some(width * height * 3) {
            return Err("unsupported color space".to_owned());
        }
        decoder.decode_into(rgb).map_err(|error| error.to_string())
    }
}
