//! Pictures -> H.264, a group at a time: each group can be decoded by itself, so groups are encoded side by side.

use openh264::OpenH264API;
use openh264::encoder::{
    Complexity, Encoder, EncoderConfig, FrameRate, Profile, RateControlMode, SpsPpsStrategy, UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;

use super::frames::{Camera, Shot};
use super::report::Skip;
use super::still::Darkroom;
use super::units::{Codec, Unit};
use crate::convert::Yuv420;

/// What the encoder takes, the longer side first.
const LARGEST: (u32, u32) = (3840, 2160);
const SMALLEST: u32 = 16;

/// The same for every group, so that all have the same parameter sets.
fn config() -> EncoderConfig {
    EncoderConfig::new()
        // What every player knows; this encoder gains little by more.
        .profile(Profile::Baseline)
        // Each picture as good as the others; no picture is left out to save bits.
        .rate_control_mode(RateControlMode::Off)
        .skip_frames(false)
        .usage_type(UsageType::CameraVideoRealTime)
        .complexity(Complexity::Low)
        .scene_change_detect(false)
        .adaptive_quantization(false)
        // Cameras stand still: what does not move costs next to nothing, a third of the bits and less than half of the time.
        .background_detection(true)
        .sps_pps_strategy(SpsPpsStrategy::ConstantId)
        // The groups keep all cores busy.
        .num_threads(1)
        .max_frame_rate(FrameRate::from_hz(60.0))
        // What the conversion does.
        .vui(VuiConfig::bt601())
}

/// Encodes groups.
pub(super) struct Coder {
    darkroom: Darkroom,
    yuv: Yuv420,
    stream: Vec<u8>,
    cropped: Option<(u32, u32)>,
}

impl Coder {
    pub(super) fn new(darkroom: Darkroom) -> Self {
        Self { darkroom, yuv: Yuv420::default(), stream: Vec::new(), cropped: None }
    }

    /// The size of a picture that lost a row or column since this was last asked, if one did.
    pub(super) fn cropped(&mut self) -> Option<(u32, u32)> {
        self.cropped.take()
    }

    /// The pictures of one camera in their order, the first of which needs no other.
    pub(super) fn encode(&mut self, shots: &[Shot], camera: &Camera) -> Vec<Result<Unit, Skip>> {
        let refused = |error: openh264::Error| Skip { kind: "picture that cannot be encoded", why: error.to_string() };
        // A new one for each group: what comes out does not depend on who encoded which groups before.
        let mut encoder = None;
        let encode = |shot| {
            let (width, height) = self.darkroom.expose(shot, camera, &mut self.yuv)?;
            let (long, short) = (width.max(height), width.min(height));
            if long > LARGEST.0 || short > LARGEST.1 || short < SMALLEST {
                let why = format!(
                    "{width}x{height} pixels: expected at least {SMALLEST} a side, and at most {}x{}; export them as png \
                     or jpeg",
                    LARGEST.0, LARGEST.1
                );
                return Err(Skip { kind: "picture that H.264 is not encoded for here", why });
            }
            if width % 2 + height % 2 > 0 {
                self.cropped = Some((width, height));
            }
            let size = self.yuv.size();
            let encoder = match &mut encoder {
                Some((encoder, of)) if *of == size => encoder,
                // Another size has other parameter sets, which begin with a picture that needs no other.
                other => {
                    let new = Encoder::with_api_config(OpenH264API::from_source(), config()).map_err(refused)?;
                    &mut other.insert((new, size)).0
                }
            };
            self.stream.clear();
            let [y, u, v] = self.yuv.planes();
            let source = YUVSlices::new((y, u, v), size, (size.0, size.0 / 2, size.0 / 2));
            encoder.encode(&source).map_err(refused)?.write_vec(&mut self.stream);
            Unit::of(Codec::Encoded, &self.stream)
        };
        shots.iter().map(encode).collect()
    }
}
