//! Parameters of an application: the table `[application]` of oaktap.toml as typed values.
//!
//! [`App::check`] checks them together. Pipelines and Scripts are built from its result, [`CheckedApp`], only. The camera
//! produces pictures like this (the vendor's documentation of `ColorCamera`):
//!
//! ```text
//! sensor --scale or crop--> video --crop to the preview's shape, scale--> preview --fit--> input of the model
//! ```

mod check;
mod error;
mod mapping;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use check::{CheckedApp, FPS_MAX, StreamRate};
pub use error::AppError;
pub use mapping::BoxMapping;

pub use crate::frame::Size;

/// Mode of the sensor. It must be one that the camera's sensor has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the vendor's.
pub enum Resolution {
    #[default]
    #[serde(rename = "1080p")]
    P1080,
    #[serde(rename = "4k")]
    K4,
    #[serde(rename = "12mp")]
    Mp12,
    #[serde(rename = "13mp")]
    Mp13,
    #[serde(rename = "720p")]
    P720,
    #[serde(rename = "800p")]
    P800,
    #[serde(rename = "1200p")]
    P1200,
    #[serde(rename = "5mp")]
    Mp5,
}

impl Resolution {
    /// All modes with their names in oaktap.toml.
    pub const ALL: [(&'static str, Self); 8] = [
        ("720p", Self::P720),
        ("800p", Self::P800),
        ("1080p", Self::P1080),
        ("1200p", Self::P1200),
        ("4k", Self::K4),
        ("5mp", Self::Mp5),
        ("12mp", Self::Mp12),
        ("13mp", Self::Mp13),
    ];

    /// The number in depthai's `ColorCameraProperties::SensorResolution` (the same in 2.30 and 2.33).
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::P1080 => 0,
            Self::K4 => 1,
            Self::Mp12 => 2,
            Self::Mp13 => 3,
            Self::P720 => 4,
            Self::P800 => 5,
            Self::P1200 => 6,
            Self::Mp5 => 7,
        }
    }

    /// The size of the output `video`: the sensor's, at most 4K (`ColorCamera.getVideoSize` of depthai 2.30).
    #[must_use]
    pub const fn video(self) -> Size {
        match self {
            Self::P720 => Size::new(1280, 720),
            Self::P800 => Size::new(1280, 800),
            Self::P1080 => Size::new(1920, 1080),
            Self::P1200 => Size::new(1920, 1200),
            Self::Mp5 => Size::new(2592, 1944),
            Self::K4 | Self::Mp12 | Self::Mp13 => Size::new(3840, 2160),
        }
    }

    /// The name in oaktap.toml.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }
}

/// Order of the planes of a raw picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaneOrder {
    /// Blue, green, red, as the official host program expects.
    #[default]
    Bgr,
    /// Red, green, blue.
    Rgb,
}

/// Orientation of the pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Orientation {
    /// As the camera's board is configured.
    #[default]
    Auto,
    /// Upright.
    Normal,
    /// Mirrored left to right.
    Mirror,
    /// Mirrored top to bottom.
    Flip,
    /// Upside down.
    Rotate180,
}

impl Orientation {
    /// The vendor's number (`CameraImageOrientation` of depthai 2.30).
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Auto => -1,
            Self::Normal => 0,
            Self::Mirror => 1,
            Self::Flip => 2,
            Self::Rotate180 => 3,
        }
    }
}

/// Coding of the pictures in the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "coding", rename_all = "lowercase", deny_unknown_fields)]
pub enum PayloadCoding {
    /// Planes of pixels in the `IMG` dialect.
    #[default]
    Raw,
    /// JPEG pictures, in the `ABCDE` dialect.
    Jpeg {
        /// 1 to 100; the vendor's default is 95.
        #[serde(default = "quality")]
        quality: u8,
    },
    /// H.264 (main profile), in the `ABCDE` dialect.
    H264(Video),
    /// H.265 (main profile), in the `ABCDE` dialect.
    H265(Video),
}

/// The quality of the vendor's `setDefaultProfilePreset` (depthai 2.30).
const fn quality() -> u8 {
    95
}

/// Parameters of H.264 and H.265.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Video {
    /// Kilobits per second; 0 leaves it to the camera.
    pub bitrate_kbps: u32,
    /// Frames from one key frame to the next. A client that joins waits for a key frame.
    pub keyframe_interval: u32,
}

impl Default for Video {
    fn default() -> Self {
        // The vendor's defaults (depthai 2.30).
        Self { bitrate_kbps: 0, keyframe_interval: 30 }
    }
}

/// Output of the camera node that is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CameraOutput {
    /// The picture that the model gets, before it is fitted.
    #[default]
    Preview,
    /// The full picture, encoded only.
    Video,
}

/// Conversion of the preview to the size of the model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// None: both must have the same size.
    #[default]
    Same,
    /// Scales it and adds black bars at two sides.
    Letterbox,
    /// Scales it to another aspect ratio.
    Stretch,
    /// Uses its middle.
    Crop,
}

/// Decoding of a model's output into detections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum ModelFamily {
    /// YOLO v3 to v8.
    Yolo {
        /// Number of classes; by default the number of labels, or the 80 of COCO.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        classes: Option<u32>,
        /// Numbers per box.
        #[serde(default = "coordinates")]
        coordinates: u32,
        /// Of two boxes whose overlap (intersection over union, 0..=1) is larger, the less confident one is dropped.
        #[serde(default = "half")]
        iou: f32,
        /// Widths and heights in pixels of the input, for YOLO 3, 4, 5 and 7.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        anchors: Vec<f32>,
        /// Anchors of each output: `side26 = [1, 2, 3]`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        masks: BTreeMap<String, Vec<i32>>,
    },
    /// MobileNet-SSD, and models with the same output.
    Mobilenet,
}

const fn coordinates() -> u32 {
    4
}

const fn half() -> f32 {
    0.5
}

impl Default for ModelFamily {
    fn default() -> Self {
        Self::Yolo { classes: None, coordinates: 4, iou: 0.5, anchors: Vec::new(), masks: BTreeMap::new() }
    }
}

/// The detection network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// File of the compiled network.
    pub blob: PathBuf,
    /// Decoding of its output.
    #[serde(default)]
    pub family: ModelFamily,
    /// Detections of less confidence (0..=1) are dropped.
    #[serde(default = "half", alias = "threshold")]
    pub confidence: f32,
    /// Inference threads: 1 or 2.
    #[serde(default = "threads")]
    pub threads: u32,
    /// Names of the classes, by index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Size of its input, if the blob does not contain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Size>,
    /// Conversion of a preview of another size.
    #[serde(default)]
    pub fit: Fit,
}

const fn threads() -> u32 {
    2
}

impl Model {
    /// A model with the parameters of the vendor's example.
    #[must_use]
    pub fn new(blob: impl Into<PathBuf>) -> Self {
        Self { blob: blob.into(), confidence: half(), threads: threads(), ..Self::default() }
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> u32 {
        let known = if self.labels.is_empty() { 80 } else { u32::try_from(self.labels.len()).unwrap_or(u32::MAX) };
        match self.family {
            ModelFamily::Yolo { classes, .. } => classes.unwrap_or(known),
            ModelFamily::Mobilenet => known,
        }
    }
}

/// Transport of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// A TCP connection, which the camera accepts or opens.
    #[default]
    Tcp,
    /// Datagrams to the host (docs/udp.md).
    Udp,
}

impl Transport {
    #[allow(clippy::trivially_copy_pass_by_ref)] // The signature is serde's.
    pub(crate) fn is_tcp(&self) -> bool {
        *self == Self::Tcp
    }
}

/// Parameters of an application. [`Default`] is the one of Luxonis' page on standalone mode, without its model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// 1 to 24 letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Size of the preview.
    pub size: Size,
    /// Frames per second.
    pub fps: f32,
    /// Mode of the sensor.
    pub resolution: Resolution,
    /// Order of the planes of raw pictures and of the model's input.
    #[serde(rename = "colour", alias = "channel_order", alias = "color")]
    pub plane_order: PlaneOrder,
    /// Orientation of the pictures.
    pub orientation: Orientation,
    /// Coding of the pictures.
    pub payload: PayloadCoding,
    /// Output of the camera node that is sent.
    pub picture: CameraOutput,
    /// Transport of the stream. [`Transport::Udp`] needs a host.
    #[serde(skip_serializing_if = "Transport::is_tcp")]
    pub transport: Transport,
    /// TCP port on which the camera listens, or port of the host.
    pub port: u16,
    /// Host that the camera connects to, and reconnects to. `None`: the camera listens. An address, because cameras in
    /// standalone mode cannot resolve names (seed 002).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Ipv4Addr>,
    /// Detection network; `None`: the camera sends pictures without detections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
}

impl Default for App {
    fn default() -> Self {
        Self {
            name: "oaktap".to_owned(),
            size: Size::new(640, 352),
            fps: 30.0,
            resolution: Resolution::default(),
            plane_order: PlaneOrder::default(),
            orientation: Orientation::default(),
            payload: PayloadCoding::default(),
            picture: CameraOutput::default(),
            transport: Transport::default(),
            port: crate::wire::PORT,
            host: None,
            model: None,
        }
    }
}

#[cfg(test)]
mod tests;
