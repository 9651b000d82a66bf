//! H.264 by openh264.

use openh264::OpenH264API;
use openh264::decoder::{DecodeOptions, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;

use super::{Codec, DecodeError, Output, Planes};
use crate::frame::PayloadKind;

pub(super) struct H264(Decoder);

impl H264 {
    pub(super) fn new() -> Result<Self, DecodeError> {
        let decoder = Decoder::with_api_config(OpenH264API::from_source(), DecoderConfig::new());
        Ok(Self(decoder.map_err(|error| damaged(&error))?))
    }
}

impl Codec for H264 {
    fn decode(&mut self, _: u64, unit: &[u8], out: &mut Output<'_>) -> Result<(), DecodeError> {
        // Without flushing, the decoder holds back a picture of main and high profile until the next one, even without
        // B-frames. With it, each access unit gives its own picture, so that pictures need no numbers.
        let options = DecodeOptions::new().flush_after_decode(Flush::Flush);
        if let Some(picture) = self.0.decode_with_options(unit, options).map_err(|error| damaged(&error))? {
            let (width, height) = picture.dimensions();
            let strides: [usize; 3] = picture.strides().into();
            let planes = [picture.y(), picture.u(), picture.v()];
            let row = |plane: usize, y: usize, into: &mut [u8]| {
                into.copy_from_slice(&planes[plane][y * strides[plane]..][..into.len()]);
            };
            out(None, &Planes { width, height, row: &row });
        }
        Ok(())
    }

    fn is_delayed(&self) -> bool {
        false
    }

    fn flush(&mut self, _: &mut Output<'_>) {}
}

/// Names the bits of openh264's `DECODING_STATE`.
fn damaged(error: &openh264::Error) -> DecodeError {
    let code = error.native_code();
    let why = match code {
        // With this bit alone, the bytes are intact.
        0x02 => return DecodeError::MissingReference,
        _ if code & 0x02 != 0 => "a picture that it refers to is missing".to_owned(),
        _ if code & 0x10 != 0 => "its parameter sets are missing".to_owned(),
        _ if code & 0x04 != 0 => "its bytes are damaged or not supported by openh264".to_owned(),
        _ => format!("openh264 reports error {code:#x}"),
    };
    DecodeError::Damaged { kind: PayloadKind::H264, why }
}
