//! Pictures as JPEG files.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::frame::{Picture, Size};

/// Quality of encoded pictures, 1 to 100.
const QUALITY: u8 = 80;

/// Reason for not encoding a picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeJpegError {
    /// The picture has too many pixels for the format.
    #[error("a JPEG has at most 65535x65535 pixels, but the picture has {0}")]
    TooLarge(Size),
    /// The encoder fails.
    #[error("cannot encode the picture: {0}")]
    Encoder(String),
}

/// Encodes a picture with halved chroma, as cameras do.
///
/// # Errors
/// A side has more than 65535 pixels, or the encoder fails.
pub fn encode_jpeg(picture: &Picture) -> Result<Vec<u8>, EncodeJpegError> {
    let (Ok(width), Ok(height)) = (u16::try_from(picture.width), u16::try_from(picture.height)) else {
        return Err(EncodeJpegError::TooLarge(picture.size()));
    };
    let mut file = Vec::with_capacity(picture.words().len() / 4);
    let mut encoder = Encoder::new(&mut file, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    let failed = |error: jpeg_encoder::EncodingError| EncodeJpegError::Encoder(error.to_string());
    if cfg!(target_endian = "little") {
        // The bytes of a word 0x00RRGGBB are blue, green, red and 0.
        encoder.encode(bytemuck::cast_slice(picture.words()), width, height, ColorType::Bgra).map_err(failed)?;
    } else {
        let rgb: Vec<u8> = picture.rgb().collect();
        encoder.encode(&rgb, width, height, ColorType::Rgb).map_err(failed)?;
    }
    Ok(file)
}
