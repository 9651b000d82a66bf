//! Pictures -> H.264, a group at a time: each group can be decoded by itself, so groups are encoded side by side.

use openh264::OpenH264API;
use openh264::encoder::{
    Complexity, Encoder, EncoderConfig, FrameRate, Profile, RateControlMode, SpsPpsStrategy, UsageType, VuiConfig,
};
use openh264::formats::{RGB8Source, RGBSource, YUVBuffer, YUVSource as _};

use super::frames::{Camera, Shot};
use super::report::Skip;
use super::still::Darkroom;
use super::units::{Codec, Unit};

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

/// Red, green and blue, of which the last column or row is left out when there is an odd number of them.
struct Even<'a> {
    rgb: &'a [u8],
    width: usize,
    height: usize,
}

impl RGBSource for Even<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.width & !1, self.height & !1)
    }

    fn pixel_f32(&self, x: usize, y: usize) -> (f32, f32, f32) {
        let at = 3 * (y * self.width + x);
        (f32::from(self.rgb[at]), f32::from(self.rgb[at + 1]), f32::from(self.rgb[at + 2]))
    }
}

impl RGB8Source for Even<'_> {
    fn dimensions_padded(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn rgb8_data(&self) -> &[u8] {
        self.rgb
    }
}

/// Encodes groups.
pub(super) struct Coder {
    darkroom: Darkroom,
    yuv: YUVBuffer,
    stream: Vec<u8>,
    cropped: Option<(u32, u32)>,
}

impl Coder {
    pub(super) fn new(darkroom: Darkroom) -> Self {
        Self { darkroom, yuv: YUVBuffer::new(0, 0), stream: Vec::new(), cropped: None }
    }

    /// The size of a picture that lost a row or column since this was last asked, if one did.
    pub(super) fn cropped(&mut self) -> Option<(u32, u32)> {
        self.cropped.take()
    }

    /// The pictures of one camera in their order, the first of which needs no other.
    pub(super) fn encode(&mut self, shots: &[Shot], camera: &Camera) -> Vec<Result<Unit, Skip>> {
        let refused = |error: openh264::Error| Skip { kind: "picture that cannot be encoded", why: error.to_string() };
        let mut encoder = None;
        let encode = |shot| {
            let (rgb, width, height) = self.darkroom.develop(shot, camera)?;
            let (long, short) = (width.max(height), width.min(height));
            if long > LARGEST.0 || short > LARGEST.1 || short < SMALLEST {
                let why = format!(
                    "{width}x{height} pixels: expected at least {SMALLEST} a side, and at most {}x{}; export them as png \
                     or jpeg",
                    LARGEST.0, LARGEST.1
                );
                return Err(Skip { kind: "picture that H.264 is not encoded for here", why });
            }
            let source = Even { rgb, width: width as usize, height: height as usize };
            if self.yuv.dimensions() != source.dimensions() {
                self.yuv = YUVBuffer::new(source.dimensions().0, source.dimensions().1);
                // Another size has other parameter sets, which begin with a picture that needs no other.
                encoder = None;
            }
            if width % 2 + height % 2 > 0 {
                self.cropped = Some((width, height));
            }
            self.yuv.read_rgb8(source);
            let encoder = match &mut encoder {
                Some(encoder) => encoder,
                none => {
                    let new = Encoder::with_api_config(OpenH264API::from_source(), config()).map_err(refused)?;
                    none.insert(new)
                }
            };
            self.stream.clear();
            encoder.encode(&self.yuv).map_err(refused)?.write_vec(&mut self.stream);
            Unit::of(Codec::Encoded, &self.stream)
        };
        shots.iter().map(encode).collect()
    }
}
