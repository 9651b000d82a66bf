//! Conversion of pictures to another size or format.

use super::{NodeSettings, QUEUE_SIZE, Value, input, output};
use crate::device::schema::Port;

/// Formats, with the vendor's numbers (`ImgFrame.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameType {
    /// Planes of red, green and blue.
    Rgb888p = 7,
    /// Planes of blue, green and red.
    Bgr888p = 8,
    /// YUV 4:2:0, the input of encoders.
    Nv12 = 22,
}

/// Conversion to another aspect ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitting {
    /// Keeps the aspect ratio and adds bars.
    Letterbox,
    /// Changes the aspect ratio.
    Stretch,
    /// Keeps the aspect ratio and uses the middle.
    Crop,
}

/// Converts pictures to another size or format.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageManip {
    /// Width, height and conversion; `None` keeps the size.
    pub resize: Option<(u32, u32, Fitting)>,
    /// Format of the output; `None` keeps the format.
    pub frame_type: Option<FrameType>,
    /// Bytes of the largest output picture.
    pub max_output_frame_size: i32,
}

impl Default for ImageManip {
    fn default() -> Self {
        Self { resize: None, frame_type: None, max_output_frame_size: 1 << 20 }
    }
}

/// `ImgFrame.Type.NONE`.
const FRAME_TYPE_NONE: i32 = 32;

impl NodeSettings for ImageManip {
    const KIND: &'static str = "ImageManip";

    fn properties(&self) -> Value<'_> {
        let zeros = |count| Value::Structure(vec![0.0_f32.into(); count]);
        let (width, height, fitting) = self.resize.unwrap_or((0, 0, Fitting::Crop));
        let crop = Value::Structure(vec![
            zeros(4),                                                   // cropRect: xmin, ymin, xmax, ymax
            Value::Structure(vec![zeros(2), zeros(2), 0.0_f32.into()]), // cropRotatedRect: center, size, angle
            false.into(),                                               // enableCenterCropRectangle
            1.0_f32.into(),                                             // cropRatio
            1.0_f32.into(),                                             // widthHeightAspectRatio
            false.into(),                                               // enableRotatedRect
            true.into(),                                                // normalizedCoords
        ]);
        let resize = Value::Structure(vec![
            width.cast_signed().into(),
            height.cast_signed().into(),
            (fitting == Fitting::Letterbox).into(), // lockAspectRatioFill
            0_u32.into(),                           // bgRed
            0_u32.into(),                           // bgGreen
            0_u32.into(),                           // bgBlue
            Value::Array(Vec::new()),               // warpFourPoints
            true.into(),                            // normalizedCoords
            false.into(),                           // enableWarp4pt
            Value::Array(Vec::new()),               // warpMatrix3x3
            false.into(),                           // enableWarpMatrix
            false.into(),                           // warpBorderReplicate
            // Uninitialized in the vendor's library, and 0 in every run (bootloader.md 7).
            0.0_f32.into(),                       // rotationAngleDeg
            false.into(),                         // enableRotation
            (fitting != Fitting::Stretch).into(), // keepAspectRatio
        ]);
        let format = Value::Structure(vec![
            self.frame_type.map_or(FRAME_TYPE_NONE, |frame_type| frame_type as i32).into(),
            false.into(),   // flipHorizontal
            false.into(),   // flipVertical
            0_i32.into(),   // colormap
            0_i32.into(),   // colormapMin
            255_i32.into(), // colormapMax
        ]);
        let initial_config = Value::Structure(vec![
            crop,
            resize,
            format,
            false.into(), // enableCrop
            self.resize.is_some().into(),
            self.frame_type.is_some().into(),
            false.into(),    // reusePreviousImage
            false.into(),    // skipCurrentImage
            (-1_i32).into(), // interpolation: the firmware chooses
        ]);
        Value::Structure(vec![
            initial_config,
            self.max_output_frame_size.into(),
            4_i32.into(), // numFramesPool
            0_i32.into(), // meshWidth
            0_i32.into(), // meshHeight
            "".into(),    // meshUri
        ])
    }

    fn ports(&self) -> Vec<Port> {
        vec![input("inputConfig", true, QUEUE_SIZE, false), input("inputImage", true, QUEUE_SIZE, true), output("out")]
    }
}
