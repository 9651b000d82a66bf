//! H.264 by openh264.
//!
//! Two decoders in Rust were compared with it in November 2026. Milliseconds of CPU time per picture of 1920x1080 (x264, 8 Mbit/s,
//! no B-frames), in brackets the share of the speed of `ffmpeg -threads 1`, medians of three runs in turn on a Xeon:
//!
//! | | baseline | high | high without weighted prediction |
//! |---|---|---|---|
//! | ffmpeg 5.1 | 3.0 | 5.6 | 5.6 |
//! | openh264 0.9.9 | 5.1 (0.58) | 12.2 (0.46) | 9.9 (0.56) |
//! | rusty_h264-decoder 0.17.0 | 5.8 (0.51) | 9.0 (0.62) | 8.8 (0.63) |
//! | rust_h264 0.6.0 | 15.0 (0.20) | 16.8 (0.33) | 15.7 (0.36) |
//!
//! All three give the pictures of ffmpeg, byte for byte, and those in Rust also decode B-frames. rust_h264 has the most features,
//! but is the slowest. rusty_h264-decoder does not report all damage, so that wrong pictures are shown as good ones, and its
//! caller cannot detect the first two of these (160x96, 10 frames, one damaged at a time):
//!
//! | wrong pictures as good ones | openh264 | rusty_h264-decoder |
//! |---|---|---|
//! | high, frame cut short | 0 of 27 | 26 of 27 |
//! | high, one bit inverted | 34 of 180 | 161 of 180 |
//! | baseline, one bit inverted | 86 of 180 | 65 of 180 |
//! | baseline, frame missing | 0 of 9 | 6 of 9 |
//!
//! Of openh264's time in the high profile, CABAC takes 40 %, and weighted prediction, which has no assembly, a fifth. Compiling it
//! without its stack protector would save 2 to 6 %.

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
