//! The encoder.

use super::{Settings, Value, input, output};
use crate::device::schema::Port;

/// What it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// H.264, main profile.
    H264Main = 2,
    /// H.265, main profile.
    H265Main = 3,
    /// A JPEG for each picture.
    Mjpeg = 4,
}

/// Makes JPEG, H.264 or H.265 of pictures in NV12.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoEncoder {
    /// What it makes.
    pub profile: Profile,
    /// Bits in a second for video; 0 leaves it to the firmware.
    pub bitrate: i32,
    /// Pictures from one that can be decoded alone to the next.
    pub keyframe_frequency: i32,
    /// Of JPEGs, up to 100.
    pub quality: i32,
    /// Pictures in a second that come in.
    pub frame_rate: f32,
}

impl VideoEncoder {
    /// As the vendor's `setDefaultProfilePreset` sets it: a key frame each second of video.
    #[must_use]
    pub const fn preset(fps: f32, profile: Profile) -> Self {
        let (keyframe_frequency, quality) = match profile {
            Profile::Mjpeg => (30, 95),
            Profile::H264Main | Profile::H265Main => (fps as i32, 80),
        };
        Self { profile, bitrate: 0, keyframe_frequency, quality, frame_rate: fps }
    }
}

impl Settings for VideoEncoder {
    const KIND: &'static str = "VideoEncoder";

    fn properties(&self) -> Value<'_> {
        Value::Structure(vec![
            self.bitrate.into(),
            self.keyframe_frequency.into(),
            0_i32.into(), // maxBitrate
            0_i32.into(), // numBFrames
            0_u32.into(), // numFramesPool
            0_i32.into(), // outputFrameSize
            (self.profile as i32).into(),
            self.quality.into(),
            false.into(), // lossless
            0_i32.into(), // rateCtrlMode: constant bit rate
            self.frame_rate.into(),
        ])
    }

    fn ports(&self) -> Vec<Port> {
        vec![input("in", true, 4, true), output("bitstream"), output("out")]
    }
}
