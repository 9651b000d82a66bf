//! Encodes pictures as H.264, for files and for players.

use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, IntraFramePeriod, Profile, QpRange, RateControlMode,
    SpsPpsStrategy, UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;
use openh264::{OpenH264API, Timestamp};

use crate::convert::Yuv420;
use crate::frame::Size;

/// Limits of openh264, in pixels.
const LONG_SIDE_MAX: u32 = 3840;
const SHORT_SIDE_MAX: u32 = 2160;
const SIDE_MIN: u32 = 16;

/// Usual bit rate in bits per pixel: 2 Mbit/s at 640x352 and 25 frames per second.
const BITS_PER_PIXEL: f64 = 2e6 / (640.0 * 352.0 * 25.0);

/// Range of the quantizer. Below, no one sees a difference; above, everyone does.
const QUANTIZER: QpRange = QpRange::new(10, 40);

/// Reason for not encoding a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The encoder does not support this size.
    #[error("the picture has {0} pixels: expected {SIDE_MIN}x{SIDE_MIN} to {LONG_SIDE_MAX}x{SHORT_SIDE_MAX}")]
    Size(Size),
    /// The encoder fails.
    #[error(transparent)]
    Encoder(#[from] openh264::Error),
}

/// Size and rates of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct H264Settings {
    /// Width and height in pixels, both even.
    pub size: (usize, usize),
    /// Frames per second.
    pub fps: f32,
    /// Bits per second.
    pub bit_rate: u32,
    /// Frames from one key frame to the next. `None`: only the first one, and those that are asked for.
    pub key_frame_interval: Option<u32>,
}

/// Returns the bit rate in bits per second at which pictures look good, multiplied by `factor`.
#[must_use]
pub fn h264_bit_rate(size: (usize, usize), fps: f32, factor: f64) -> u32 {
    let bits = BITS_PER_PIXEL * (size.0 * size.1) as f64 * f64::from(fps) * factor;
    bits.clamp(50e3, 100e6) as u32
}

/// Checks that the encoder supports pictures of a size.
///
/// # Errors
/// [`EncodeError::Size`] if it does not.
pub fn check_h264_size(size: Size) -> Result<(), EncodeError> {
    let (long, short) = (size.width.max(size.height), size.width.min(size.height));
    if long > LONG_SIDE_MAX || !(SIDE_MIN..=SHORT_SIDE_MAX).contains(&short) {
        return Err(EncodeError::Size(size));
    }
    Ok(())
}

/// An encoder of one stream. The same settings give the same parameter sets.
pub struct H264Encoder {
    encoder: Encoder,
    settings: H264Settings,
}

impl std::fmt::Debug for H264Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("H264Encoder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl H264Encoder {
    /// Creates an encoder.
    ///
    /// # Errors
    /// openh264 rejects the settings.
    pub fn new(settings: H264Settings) -> Result<Self, EncodeError> {
        let H264Settings { fps, bit_rate, key_frame_interval, .. } = settings;
        let config = EncoderConfig::new()
            // Every player supports it, and other profiles make files of this encoder hardly smaller.
            .profile(Profile::Baseline)
            .rate_control_mode(RateControlMode::Bitrate)
            .bitrate(BitRate::from_bps(bit_rate))
            .qp(QUANTIZER)
            .skip_frames(false)
            .usage_type(UsageType::CameraVideoRealTime)
            .complexity(Complexity::Low)
            .scene_change_detect(false)
            .adaptive_quantization(false)
            // It leaves ghosts of what moves slowly or is faint.
            .background_detection(false)
            .sps_pps_strategy(SpsPpsStrategy::ConstantId)
            // Several streams are encoded at a time, which uses all cores.
            .num_threads(1)
            .max_frame_rate(FrameRate::from_hz(fps))
            .intra_frame_period(IntraFramePeriod::from_num_frames(key_frame_interval.unwrap_or(0)))
            // The matrix of `convert`.
            .vui(VuiConfig::bt601());
        let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config)?;
        silence(&mut encoder);
        Ok(Self { encoder, settings })
    }

    /// Returns the settings of the stream.
    #[must_use]
    pub const fn settings(&self) -> H264Settings {
        self.settings
    }

    /// Makes the next picture a key frame.
    pub fn force_key_frame(&mut self) {
        self.encoder.force_intra_frame();
    }

    /// Appends the access unit of a picture in the form of Annex B. The picture has the size of the settings.
    ///
    /// # Errors
    /// openh264 fails.
    pub fn encode(&mut self, picture: &Yuv420, at_ms: u64, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        let size = picture.size();
        let [y, u, v] = picture.planes();
        let source = YUVSlices::new((y, u, v), size, (size.0, size.0 / 2, size.0 / 2));
        self.encoder.encode_at(&source, Timestamp::from_millis(at_ms))?.write_vec(into);
        Ok(())
    }
}

/// Stops the encoder from writing to standard error. Its configuration has an option for that, which takes effect only after
/// the first picture, when the encoder has already warned of a bit rate that is not kept exactly.
#[allow(unsafe_code)]
fn silence(encoder: &mut Encoder) {
    /// `ENCODER_OPTION_TRACE_LEVEL` and `WELS_LOG_QUIET` of `codec_app_def.h`.
    const TRACE_LEVEL: u8 = 25;
    let mut quiet: std::ffi::c_int = 0;
    // SAFETY: this option can be set before initialization, and is a pointer to an `int`, which the encoder copies.
    let result = unsafe { encoder.raw_api().set_option(TRACE_LEVEL.into(), (&raw mut quiet).cast()) };
    if result != 0 {
        tracing::debug!(result, "cannot silence the H.264 encoder");
    }
}
