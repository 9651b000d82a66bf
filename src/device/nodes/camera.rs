//! The color camera.

use super::{NodeSettings, QUEUE_SIZE, Value, input, output};
use crate::device::schema::Port;

/// Order of the colors in `preview`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorOrder {
    /// Blue, green, red.
    Bgr = 0,
    /// Red, green, blue.
    Rgb = 1,
}

/// The sensor and its outputs: `preview` for networks, `video` for encoders, and others.
#[derive(Clone, Debug, PartialEq)]
pub struct ColorCamera {
    /// Socket of the board: 0 is `CAM_A`, -1 leaves the choice to the firmware.
    pub board_socket: i32,
    /// 0 normal, 1 mirrored left to right, 2 mirrored top to bottom, 3 rotated by 180 degrees, -1 the board's default.
    pub image_orientation: i32,
    /// Order of the colors in `preview`.
    pub color_order: ColorOrder,
    /// `true`: pixels of `preview` are interleaved; `false`: planes.
    pub interleaved: bool,
    /// Pixels.
    pub preview_width: u32,
    /// Pixels.
    pub preview_height: u32,
    /// Width and height of `video` in pixels; -1: the sensor's, at most 4K.
    pub video_size: [i32; 2],
    /// Sensor mode, see [`Resolution::number`](crate::device::app::Resolution::number).
    pub resolution: i32,
    /// Pictures per second.
    pub fps: f32,
    /// Updates of exposure, white balance and focus per second; 0: for every picture.
    pub isp_3a_fps: i32,
    /// Buffers of `preview`. The camera waits while all are in use.
    pub preview_pool: i32,
    /// `true`: `preview` is cropped to its aspect ratio; `false`: scaled to it.
    pub preview_keep_aspect_ratio: bool,
}

impl Default for ColorCamera {
    fn default() -> Self {
        Self {
            board_socket: -1,
            image_orientation: -1,
            color_order: ColorOrder::Bgr,
            interleaved: true,
            preview_width: 300,
            preview_height: 300,
            video_size: [-1; 2],
            resolution: 0,
            fps: 30.0,
            isp_3a_fps: 0,
            preview_pool: 4,
            preview_keep_aspect_ratio: true,
        }
    }
}

impl NodeSettings for ColorCamera {
    const KIND: &'static str = "ColorCamera";

    fn properties(&self) -> Value<'_> {
        let [video_width, video_height] = self.video_size;
        Value::Structure(vec![
            initial_control(),
            self.board_socket.into(),
            "".into(), // cameraName
            self.image_orientation.into(),
            (self.color_order as i32).into(),
            self.interleaved.into(),
            false.into(), // fp16
            self.preview_height.into(),
            self.preview_width.into(),
            video_width.into(),
            video_height.into(),
            (-1_i32).into(), // stillWidth
            (-1_i32).into(), // stillHeight
            self.resolution.into(),
            self.fps.into(),
            self.isp_3a_fps.into(),
            (-1.0_f32).into(), // sensorCropX
            (-1.0_f32).into(), // sensorCropY
            self.preview_keep_aspect_ratio.into(),
            Value::Structure(vec![0_i32.into(); 4]), // ispScale: numerator and denominator, across and down
            3_i32.into(),                            // numFramesPoolRaw
            3_i32.into(),                            // numFramesPoolIsp
            4_i32.into(),                            // numFramesPoolVideo
            self.preview_pool.into(),                // numFramesPoolPreview
            4_i32.into(),                            // numFramesPoolStill
            None::<bool>.into(),                     // rawPacked
        ])
    }

    fn ports(&self) -> Vec<Port> {
        let inputs = [input("inputConfig", false, QUEUE_SIZE, false), input("inputControl", true, QUEUE_SIZE, false)];
        let outputs = ["video", "preview", "still", "isp", "raw", "frameEvent"].map(output);
        inputs.into_iter().chain(outputs).collect()
    }
}

/// Commands before the first picture: none. The first member is the mask of valid commands, so the autofocus mode (3,
/// continuous) has no effect.
fn initial_control() -> Value<'static> {
    let zeros = |count| vec![0_u32.into(); count];
    let region = || Value::Structure(zeros(5)); // x, y, width, height, priority
    Value::Structure(vec![
        0_u32.into(),               // cmdMask
        3_u32.into(),               // autoFocusMode
        0_u32.into(),               // lensPosition
        0.0_f32.into(),             // lensPositionRaw
        0_u32.into(),               // lensPosAutoInfinity
        0_u32.into(),               // lensPosAutoMacro
        Value::Structure(zeros(3)), // expManual: exposure, ISO, duration
        region(),                   // aeRegion
        region(),                   // afRegion
        0_u32.into(),               // awbMode
        0_u32.into(),               // sceneMode
        0_u32.into(),               // antiBandingMode
        false.into(),               // aeLockMode
        false.into(),               // awbLockMode
        0_u32.into(),               // captureIntent
        0_u32.into(),               // controlMode
        0_u32.into(),               // effectMode
        0_u32.into(),               // frameSyncMode
        Value::Structure(zeros(3)), // strobeConfig: enable, activeLevel, gpioNumber
        Value::Structure(zeros(3)), // strobeTimings: begin, end, duration
        0_u32.into(),               // aeMaxExposureTimeUs
        0_i32.into(),               // expCompensation
        0_i32.into(),               // brightness
        0_i32.into(),               // contrast
        0_i32.into(),               // saturation
        0_u32.into(),               // sharpness
        0_u32.into(),               // lumaDenoise
        0_u32.into(),               // chromaDenoise
        0_u32.into(),               // wbColorTemp
        0_u32.into(),               // lowPowerNumFramesBurst
        0_u32.into(),               // lowPowerNumFramesDiscard
        Value::Array(Vec::new()),   // miscControls
    ])
}
