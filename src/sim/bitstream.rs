//! Encodes RGB as JPEG and H.264, and builds H.264 and H.265 units that are valid for everything except a decoder.

use super::config::Coding;
use super::pixels::Rgb;
use super::random::Random;

/// The quality of depthai's MJPEG preset (wire.md section 2.2).
const JPEG_QUALITY: u8 = 95;

/// The default of the camera's encoder (wire.md section 6).
pub(super) const KEY_FRAME_INTERVAL_FRAMES: usize = 30;

/// Encodes a JPEG file. Returns `None` if a side is longer than 65535 pixels.
pub(super) fn jpeg(picture: &Rgb) -> Option<Vec<u8>> {
    let (width, height) = (u16::try_from(picture.width).ok()?, u16::try_from(picture.height).ok()?);
    let mut file = Vec::new();
    jpeg_encoder::Encoder::new(&mut file, JPEG_QUALITY)
        .encode(&picture.bytes, width, height, jpeg_encoder::ColorType::Rgb)
        .ok()?;
    Some(file)
}

/// Returns whether there is an encoder for H.264 pictures of this size. It needs even sides.
pub(super) fn encodes_h264((width, height): (u32, u32)) -> bool {
    let (long, short) = (width.max(height), width.min(height));
    cfg!(feature = "export") && width % 2 + height % 2 == 0 && (16..=2160).contains(&short) && long <= 3840
}

/// Encodes consecutive pictures as H.264. The first one becomes a key frame with its parameter sets, so that the groups can
/// be sent in any order. The same pictures give the same bytes.
#[cfg(feature = "export")]
pub(super) fn h264_group(pictures: impl Iterator<Item = Rgb>) -> Result<Vec<Vec<u8>>, openh264::Error> {
    use openh264::encoder::{Encoder, EncoderConfig, FrameRate, Profile, RateControlMode, SpsPpsStrategy};
    use openh264::formats::YUVSlices;
    use openh264::{OpenH264API, Timestamp};

    use super::pixels::layout;
    use crate::frame::PixelFormat;

    const FPS: f32 = 30.0;
    let config = EncoderConfig::new()
        .profile(Profile::Baseline)
        // The other modes warn on standard error that they cannot keep a bit rate without skipping frames.
        .rate_control_mode(RateControlMode::Off)
        .skip_frames(false)
        .scene_change_detect(false)
        .adaptive_quantization(false)
        .background_detection(false)
        .sps_pps_strategy(SpsPpsStrategy::ConstantId)
        .num_threads(1)
        .max_frame_rate(FrameRate::from_hz(FPS));
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config)?;
    let encode = |(n, picture): (usize, Rgb)| {
        let size = (picture.width, picture.height);
        let bytes = layout(&picture, PixelFormat::Yuv420p).unwrap_or_default();
        let (y, chroma) = bytes.split_at(size.0 * size.1);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        let source = YUVSlices::new((y, u, v), size, (size.0, size.0 / 2, size.0 / 2));
        let at = Timestamp::from_millis((n as f32 * 1000.0 / FPS) as u64);
        Ok(encoder.encode_at(&source, at)?.to_vec())
    };
    pictures.enumerate().map(encode).collect()
}

/// Returns the units of frame `k`: parameter sets with the right size before a key frame, then one slice of noise.
///
/// A slice is a valid unit header followed by random bytes. A receiver can split and store it, but not decode it.
pub(super) fn noise_units(coding: Coding, k: usize, width: usize, height: usize, seed: u64) -> Vec<u8> {
    let key = k.is_multiple_of(KEY_FRAME_INTERVAL_FRAMES);
    let mut random = Random::new(seed ^ (k as u64) << 32);
    // One byte per 8 pixels of a key frame and per 64 pixels of other frames: a usual bit rate.
    let len = 64 + width * height / if key { 8 } else { 64 } + random.below(64);
    let slice: Vec<u8> = (0..len).map(|_| random.next() as u8).chain([0x80]).collect();
    let mut out = Vec::with_capacity(len + len / 64 + 128);
    let is_h265 = coding == Coding::H265;
    if key && is_h265 {
        unit(&mut out, &[0x40, 0x01], &h265::video_parameters());
        unit(&mut out, &[0x42, 0x01], &h265::sequence_parameters(width, height));
        unit(&mut out, &[0x44, 0x01], &h265::picture_parameters());
    } else if key {
        unit(&mut out, &[0x67], &h264_sequence_parameters(width, height));
        unit(&mut out, &[0x68], &h264_picture_parameters());
    }
    let header: &[u8] = match (is_h265, key) {
        (true, true) => &[0x26, 0x01],  // IDR_W_RADL
        (true, false) => &[0x02, 0x01], // TRAIL_R
        (false, true) => &[0x65],       // IDR slice
        (false, false) => &[0x41],      // P slice, used as a reference
    };
    unit(&mut out, header, &slice);
    out
}

/// Appends a unit with its start code and with emulation prevention bytes.
fn unit(out: &mut Vec<u8>, header: &[u8], body: &[u8]) {
    out.extend_from_slice(&[0, 0, 0, 1]);
    let mut zeros = 0;
    for &byte in header.iter().chain(body) {
        if zeros == 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        out.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
}

/// Bits, most significant first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, count: u32, value: u64) -> &mut Self {
        for shift in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = ((value >> shift) & 1) as u8;
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << (7 - self.used % 8);
            }
            self.used += 1;
        }
        self
    }

    /// Appends an unsigned Exp-Golomb number.
    fn ue(&mut self, value: u64) -> &mut Self {
        let bits = 64 - (value + 1).leading_zeros();
        self.put(2 * bits - 1, value + 1)
    }

    /// Appends the stop bit and zeros up to a whole byte.
    fn end(&mut self) -> Vec<u8> {
        self.put(1, 1);
        std::mem::take(&mut self.bytes)
    }
}

/// ITU-T H.264 7.3.2.1.1: baseline profile, level 4.0, cropped to the size from whole macroblocks of 16x16.
fn h264_sequence_parameters(width: usize, height: usize) -> Vec<u8> {
    let (columns, rows) = (width.div_ceil(16) as u64, height.div_ceil(16) as u64);
    // The cropping unit of 4:2:0 is two pixels.
    let (crop_x, crop_y) = ((columns * 16 - width as u64) / 2, (rows * 16 - height as u64) / 2);
    let mut bits = Bits::default();
    bits.put(8, 66).put(8, 0xc0).put(8, 40).ue(0); // profile, constraints, level, id
    bits.ue(0).ue(2).ue(1).put(1, 0); // frame numbers of 4 bits, display order = coding order, one reference, no gaps
    bits.ue(columns - 1).ue(rows - 1).put(1, 1).put(1, 1); // size, frames only, direct_8x8
    bits.put(1, 1).ue(0).ue(crop_x).ue(0).ue(crop_y);
    bits.put(1, 0).end()
}

/// ITU-T H.264 7.3.2.2, with every optional feature off.
fn h264_picture_parameters() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.ue(0).ue(0).put(1, 0).put(1, 0).ue(0).ue(0).ue(0).put(1, 0).put(2, 0);
    bits.ue(0).ue(0).ue(0).put(1, 1).put(1, 0).put(1, 0).end() // a signed zero has the same code as an unsigned one
}

/// Parameter sets of ITU-T H.265, 7.3.2.
mod h265 {
    use super::Bits;

    /// Main profile, level 4.0: 7.3.3.
    fn profile(bits: &mut Bits) {
        bits.put(2, 0).put(1, 0).put(5, 1).put(32, 0x6000_0000).put(4, 0b1001).put(43, 0).put(1, 0).put(8, 120);
    }

    pub(super) fn video_parameters() -> Vec<u8> {
        let mut bits = Bits::default();
        bits.put(4, 0).put(2, 3).put(6, 0).put(3, 0).put(1, 1).put(16, 0xffff);
        profile(&mut bits);
        bits.put(1, 1).ue(1).ue(0).ue(0); // one reference picture, output in coding order
        bits.put(6, 0).ue(0).put(1, 0).put(1, 0).end()
    }

    pub(super) fn sequence_parameters(width: usize, height: usize) -> Vec<u8> {
        // Coding blocks of 8, cropped to the size in units of two pixels.
        let (wide, high) = (width.next_multiple_of(8) as u64, height.next_multiple_of(8) as u64);
        let mut bits = Bits::default();
        bits.put(4, 0).put(3, 0).put(1, 1);
        profile(&mut bits);
        bits.ue(0).ue(1).ue(wide).ue(high); // id, 4:2:0, size
        bits.put(1, 1).ue(0).ue((wide - width as u64) / 2).ue(0).ue((high - height as u64) / 2);
        bits.ue(0).ue(0).ue(0).put(1, 1).ue(1).ue(0).ue(0); // 8 bits, 4 bits of picture order, one reference
        bits.ue(0).ue(3).ue(0).ue(3).ue(0).ue(0); // coding blocks of 8 to 64, transforms of 4 to 32
        bits.put(1, 0).put(1, 0).put(1, 0).put(1, 0).ue(0).put(1, 0).put(1, 0).put(1, 0).put(1, 0).put(1, 0).end()
    }

    pub(super) fn picture_parameters() -> Vec<u8> {
        let mut bits = Bits::default();
        bits.ue(0).ue(0).put(1, 0).put(1, 0).put(3, 0).put(1, 0).put(1, 0).ue(0).ue(0).ue(0).put(1, 0).put(1, 0);
        bits.put(1, 0).ue(0).ue(0).put(1, 0).put(1, 0).put(1, 0).put(1, 0).put(1, 0).put(1, 0); // up to entropy sync
        bits.put(1, 0).put(1, 0).put(1, 0).put(1, 0).ue(0).put(1, 0).put(1, 0).end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the first header byte of each unit, found by its start code.
    fn headers(stream: &[u8]) -> Vec<u8> {
        stream.windows(4).filter(|four| four[..3] == [0, 0, 1]).map(|four| four[3]).collect()
    }

    #[test]
    fn units_have_their_types_and_contain_no_start_code() {
        for k in 0..60 {
            let key = k % 30 == 0;
            let h264 = headers(&noise_units(Coding::H264, k, 640, 352, 1));
            let kinds: Vec<_> = h264.iter().map(|byte| byte & 0x1f).collect();
            assert_eq!(kinds, if key { vec![7, 8, 5] } else { vec![1] }, "frame {k}");
            let h265 = headers(&noise_units(Coding::H265, k, 640, 352, 1));
            let kinds: Vec<_> = h265.iter().map(|byte| byte >> 1).collect();
            assert_eq!(kinds, if key { vec![32, 33, 34, 19] } else { vec![1] }, "frame {k}");
        }
    }

    #[test]
    #[cfg(feature = "export")]
    fn h264_groups_are_decodable_and_reproducible() {
        let picture = |n: usize| Rgb { width: 64, height: 48, bytes: vec![40 + 20 * n as u8; 64 * 48 * 3] };
        let group = h264_group((0..5).map(picture)).expect("an encoder");
        assert_eq!(group, h264_group((0..5).map(picture)).expect("an encoder"));
        let mut decoder = openh264::decoder::Decoder::new().expect("a decoder");
        for (n, unit) in group.iter().enumerate() {
            let kinds: Vec<_> = headers(unit).iter().map(|byte| byte & 0x1f).collect();
            assert_eq!(kinds, if n == 0 { vec![7, 8, 5] } else { vec![1] }, "frame {n}");
            let decoded = decoder.decode(unit).expect("a valid stream").expect("a picture for each frame");
            let mut rgb = vec![0; 64 * 48 * 3];
            decoded.write_rgb8(&mut rgb);
            assert!(rgb.iter().all(|value| value.abs_diff(40 + 20 * n as u8) < 8), "frame {n}: {:?}", &rgb[..6]);
        }
    }

    #[test]
    fn emulation_prevention_bytes_are_inserted() {
        let mut out = Vec::new();
        unit(&mut out, &[0x65], &[0, 0, 0, 0, 0, 1, 0, 0, 3, 0x80]);
        assert_eq!(out[4..], [0x65, 0, 0, 3, 0, 0, 3, 0, 1, 0, 0, 3, 3, 0x80]);
    }

    #[test]
    fn jpeg_has_the_size_of_its_picture() {
        let picture = Rgb { width: 20, height: 10, bytes: vec![100; 600] };
        let file = jpeg(&picture).expect("small enough");
        let read = image::load_from_memory(&file).expect("a JPEG file");
        assert_eq!((read.width(), read.height()), (20, 10));
    }
}
