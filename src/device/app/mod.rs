//! The application that is built for a camera, as typed values: what oaktap.toml says under `[application]`.
//!
//! Parameters are checked together, in [`App::check`]: what comes out of it is the only thing that a pipeline and a Script
//! are made of. Pictures are made like this on the camera (the vendor's documentation of `ColorCamera`):
//!
//! ```text
//! sensor --scaled, or its middle--> video --its middle of the preview's shape--> preview --fit--> input of the model
//! ```

mod check;
mod error;
mod mapping;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use check::{Checked, MOST_FPS, Rate};
pub use error::AppError;
pub use mapping::Mapping;

pub use crate::frame::Size;

/// What the sensor is read out at; it has to be one that the camera's sensor has. The numbers are those of depthai's
/// `ColorCameraProperties::SensorResolution`, which are the same in 2.30 and 2.33.
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
    /// All of them, by their names.
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

    /// The vendor's number.
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

    /// The size of `video`: that of the sensor, of which 4K is the most (`ColorCamera.getVideoSize` of depthai 2.30).
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

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }
}

/// In which order the planes of a raw picture stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// Blue, green, red: what the official host program expects.
    #[default]
    Bgr,
    /// Red, green, blue.
    Rgb,
}

/// How the camera hangs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Orientation {
    /// As the camera's own settings say.
    #[default]
    Auto,
    /// Upright.
    Normal,
    /// Left and right are exchanged.
    Mirror,
    /// Top and bottom are exchanged.
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

/// How pictures are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "coding", rename_all = "lowercase", deny_unknown_fields)]
pub enum Payload {
    /// Planes of pixels, in the `IMG` dialect.
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

/// How a video is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Video {
    /// Thousands of bits a second; 0: as the camera thinks fit for size and rate.
    pub bitrate_kbps: u32,
    /// Every so many frames one stands for itself: a client that joins sees nothing until then.
    pub keyframe_interval: u32,
}

impl Default for Video {
    fn default() -> Self {
        // The vendor's defaults (depthai 2.30).
        Self { bitrate_kbps: 0, keyframe_interval: 30 }
    }
}

/// Which picture is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Picture {
    /// The one that the model gets, or would get.
    #[default]
    Preview,
    /// The sensor's, encoded.
    Video,
}

/// How a preview becomes the input of a model of another size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Not at all: they have to have the same size.
    #[default]
    Same,
    /// All of it, with black bars at two sides.
    Letterbox,
    /// All of it, out of shape.
    Stretch,
    /// Its middle.
    Crop,
}

/// How the output of a network becomes detections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Family {
    /// YOLO v3 to v8.
    Yolo {
        /// How many classes; by default as many as there are labels, or the 80 of COCO.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        classes: Option<u32>,
        /// Numbers of a box.
        #[serde(default = "coordinates")]
        coordinates: u32,
        /// Boxes that overlap by more than this are one, 0 to 1.
        #[serde(default = "half")]
        iou: f32,
        /// Widths and heights in pixels of the input, for versions with anchors (3, 4, 5, 7).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        anchors: Vec<f32>,
        /// Which anchors belong to which output: `side26 = [1, 2, 3]`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        masks: BTreeMap<String, Vec<i32>>,
    },
    /// MobileNet-SSD and others with its output.
    Mobilenet,
}

const fn coordinates() -> u32 {
    4
}

const fn half() -> f32 {
    0.5
}

impl Default for Family {
    fn default() -> Self {
        Self::Yolo { classes: None, coordinates: 4, iou: 0.5, anchors: Vec::new(), masks: BTreeMap::new() }
    }
}

/// The network that finds things.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The compiled network.
    pub blob: PathBuf,
    /// What its output means.
    #[serde(default)]
    pub family: Family,
    /// Detections below this are dropped, 0 to 1.
    #[serde(default = "half")]
    pub confidence: f32,
    /// Threads of inference: 1 or 2.
    #[serde(default = "threads")]
    pub threads: u32,
    /// Names of the classes, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The size of its input, where the blob does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Size>,
    /// What happens when the preview has another size.
    #[serde(default)]
    pub fit: Fit,
}

const fn threads() -> u32 {
    2
}

impl Model {
    /// A network as the vendor's example sets it up.
    #[must_use]
    pub fn new(blob: impl Into<PathBuf>) -> Self {
        Self { blob: blob.into(), confidence: half(), threads: threads(), ..Self::default() }
    }

    /// How many classes it knows.
    #[must_use]
    pub fn classes(&self) -> u32 {
        let known = if self.labels.is_empty() { 80 } else { u32::try_from(self.labels.len()).unwrap_or(u32::MAX) };
        match self.family {
            Family::Yolo { classes, .. } => classes.unwrap_or(known),
            Family::Mobilenet => known,
        }
    }
}

/// An application. [`Default`] is that of Luxonis' page on standalone mode, without its model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// What it is called: 1 to 24 letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Size of the preview.
    pub size: Size,
    /// Frames a second.
    pub fps: f32,
    /// What the sensor is read out at.
    pub resolution: Resolution,
    /// Order of the planes of raw pictures, and of the model's input.
    pub colour: Colour,
    /// How the camera hangs.
    pub orientation: Orientation,
    /// How pictures are sent.
    pub payload: Payload,
    /// Which picture is sent.
    pub picture: Picture,
    /// The TCP port that the camera listens at, or that of the host.
    pub port: u16,
    /// The host that the camera connects to, again and again; without one it listens. An address, because cameras in
    /// standalone mode cannot resolve names (seed 002).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Ipv4Addr>,
    /// The network; without one the camera sends pictures alone.
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
            colour: Colour::default(),
            orientation: Orientation::default(),
            payload: Payload::default(),
            picture: Picture::default(),
            port: crate::wire::PORT,
            host: None,
            model: None,
        }
    }
}

#[cfg(test)]
mod tests;
