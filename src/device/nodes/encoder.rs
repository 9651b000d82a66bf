//! The video and JPEG encoder.

use super::{NodeSettings, Value, input, output};
use crate::device::schema::Port;

/// Coding, with the vendor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// H.264, main profile.
    H264Main = 2,
    /// H.265, main profile.
    H265Main = 3,
    /// One JPEG per picture.
    Mjpeg = 4,
}

/// Encodes NV12 pictures as JPEG, H.264 or H.265.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoEncoder {
    /// Coding.
    pub profile: Profile,
    /// Bits per second of video; 0 leaves it to the firmware.
    pub bitrate: i32,
    /// Pictures from one key frame to the next.
    pub keyframe_frequency: i32,
    /// JPEG quality, 1..=100.
    pub quality: i32,
    /// Pictures per second at the input.
    pub frame_rate: f32,
}

impl VideoEncoder {
    /// The settings of the vendor's `setDefaultProfilePreset`: one key frame per second of video.
    #[must_use]
    pub const fn preset(fps: f32, profile: Profile) -> Self {
        let (keyframe_frequency, quality) = match profile {
            Profile::Mjpeg => (30, 95),
            Profile::H264Main | Profile::H265Main => (fps as i32, 80),
        };
        Self { profile, bitrate: 0, keyframe_frequency, quality, frame_rate: fps }
    }
}

impl NodeSettings for VideoEncoder {
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
