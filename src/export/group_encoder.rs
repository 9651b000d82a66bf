//! Encodes pictures as H.264, in groups that start with a key frame. Groups do not refer to each other, so that threads
//! can encode several at a time.

use std::sync::atomic::{AtomicBool, Ordering};

use openh264::OpenH264API;
use openh264::Timestamp;
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, Profile, QpRange, RateControlMode, SpsPpsStrategy,
    UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;

use super::access_unit::{AccessUnit, Codec};
use super::camera::Camera;
use super::frames::ChosenFrame;
use super::report::Skip;
use super::still::StillEncoder;
use crate::convert::Yuv420;
use crate::frame::Size;

/// Limits of openh264, in pixels.
const LONG_SIDE_MAX: u32 = 3840;
const SHORT_SIDE_MAX: u32 = 2160;
const SIDE_MIN: u32 = 16;

/// Bit rate at [`ExportOptions::DEFAULT_QUALITY`](super::ExportOptions::DEFAULT_QUALITY), in bits per pixel: 2 Mbit/s at
/// 640x352 and 25 frames per second.
const BITS_PER_PIXEL: f64 = 2e6 / (640.0 * 352.0 * 25.0);

/// Difference in quality that doubles the bit rate.
const QUALITY_PER_DOUBLING: f64 = 10.0;

/// Range of the quantizer. Below, no one sees a difference; above, everyone does.
const QUANTIZER: QpRange = QpRange::new(10, 40);

/// Returns the bit rate in bits per second.
fn bit_rate(size: (usize, usize), fps: f32, quality: u8) -> u32 {
    let doublings = (f64::from(quality) - f64::from(super::ExportOptions::DEFAULT_QUALITY)) / QUALITY_PER_DOUBLING;
    let bits = BITS_PER_PIXEL * (size.0 * size.1) as f64 * f64::from(fps) * doublings.exp2();
    bits.clamp(50e3, 100e6) as u32
}

/// Returns the configuration. It is the same for every group of a camera, so that all have the same parameter sets.
fn config(size: (usize, usize), fps: f32, quality: u8) -> EncoderConfig {
    EncoderConfig::new()
        // Every player supports it, and other profiles make files of this encoder hardly smaller.
        .profile(Profile::Baseline)
        .rate_control_mode(RateControlMode::Bitrate)
        .bitrate(BitRate::from_bps(bit_rate(size, fps, quality)))
        .qp(QUANTIZER)
        .skip_frames(false)
        .usage_type(UsageType::CameraVideoRealTime)
        .complexity(Complexity::Low)
        .scene_change_detect(false)
        .adaptive_quantization(false)
        // It leaves ghosts of what moves slowly or is faint.
        .background_detection(false)
        .sps_pps_strategy(SpsPpsStrategy::ConstantId)
        // Several groups are encoded at a time, which uses all cores.
        .num_threads(1)
        .max_frame_rate(FrameRate::from_hz(fps))
        // The matrix of `convert`.
        .vui(VuiConfig::bt601())
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

/// Encodes groups of pictures. Reuses its buffers.
pub(super) struct GroupEncoder<'a> {
    stills: StillEncoder,
    yuv: Yuv420,
    stream: Vec<u8>,
    cropped: Option<Size>,
    quality: u8,
    /// The export was stopped: the rest of the group is not needed.
    stopped: &'a AtomicBool,
}

impl<'a> GroupEncoder<'a> {
    pub(super) fn new(stills: StillEncoder, quality: u8, stopped: &'a AtomicBool) -> Self {
        Self { stills, yuv: Yuv420::default(), stream: Vec::new(), cropped: None, quality, stopped }
    }

    /// Returns the original size of a picture that was cropped since the last call, if there was one.
    pub(super) fn take_cropped(&mut self) -> Option<Size> {
        self.cropped.take()
    }

    /// Encodes consecutive pictures of one camera. The first one becomes a key frame.
    pub(super) fn encode(
        &mut self,
        frames: &[ChosenFrame],
        camera: &Camera,
        fps: f32,
    ) -> Vec<Result<AccessUnit, Skip>> {
        let failed = |error: openh264::Error| Skip { kind: "picture cannot be encoded", why: error.to_string() };
        // A new encoder for each group, so that the result does not depend on the distribution of groups to threads.
        let mut encoder = None;
        let encode = |(n, chosen)| {
            if self.stopped.load(Ordering::Relaxed) {
                return Err(Skip { kind: "stopped", why: "the export was stopped".to_owned() });
            }
            let original = self.stills.yuv420(chosen, camera, &mut self.yuv)?;
            let (long, short) = (original.width.max(original.height), original.width.min(original.height));
            if long > LONG_SIDE_MAX || !(SIDE_MIN..=SHORT_SIDE_MAX).contains(&short) {
                let why = format!(
                    "the picture has {original} pixels: expected {SIDE_MIN}x{SIDE_MIN} to {LONG_SIDE_MAX}x{SHORT_SIDE_MAX}; use \
                     --to png or --to jpeg"
                );
                return Err(Skip { kind: "size not supported by the H.264 encoder", why });
            }
            // Chroma has half the resolution, so that the encoder needs even sides.
            if original.width % 2 + original.height % 2 > 0 {
                self.cropped = Some(original);
            }
            let size = self.yuv.size();
            let encoder = match &mut encoder {
                Some((encoder, encoder_size)) if *encoder_size == size => encoder,
                // The size is part of the parameter sets, which take effect at a key frame.
                other => {
                    let new = Encoder::with_api_config(OpenH264API::from_source(), config(size, fps, self.quality));
                    let mut new = new.map_err(failed)?;
                    silence(&mut new);
                    &mut other.insert((new, size)).0
                }
            };
            self.stream.clear();
            let [y, u, v] = self.yuv.planes();
            let source = YUVSlices::new((y, u, v), size, (size.0, size.0 / 2, size.0 / 2));
            let at = Timestamp::from_millis((n as f64 * 1000.0 / f64::from(fps)) as u64);
            encoder.encode_at(&source, at).map_err(failed)?.write_vec(&mut self.stream);
            AccessUnit::parse(Codec::Encoded, &self.stream)
        };
        frames.iter().enumerate().map(encode).collect()
    }
}
