//! Checks the parameters of an application against each other and against its model.

use super::{
    App, AppError, BoxMapping, CameraOutput, Fit, Model, ModelFamily, PayloadCoding, PlaneOrder, Size, Transport,
};
use crate::device::contract::{Contract, Endpoint};
use crate::frame::{PayloadKind, PixelFormat};

/// Ports that the camera uses itself (bootloader.md 1 and 2).
const RESERVED_PORTS: [u16; 2] = [crate::discovery::PORT, crate::xlink::PORT];
/// Frames per second of the fastest sensor mode that the vendor lists.
pub const FPS_MAX: f32 = 240.0;
/// A longer label does not fit into four records (wire.md section 7).
const LABEL_BYTES_MAX: usize = 100;

/// An application that passed [`App::check`].
#[derive(Clone, Copy, Debug)]
pub struct CheckedApp<'a> {
    /// The parameters.
    pub app: &'a App,
    /// Size of the model's input; `None` without a model.
    pub input: Option<Size>,
}

/// Bandwidth of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StreamRate {
    /// Bits per second.
    Known(f64),
    /// Bits per second, estimated: they depend on the content of the pictures.
    About(f64),
}

impl App {
    /// Checks all parameters. `blob_input` is the size of the input according to the model's blob.
    ///
    /// # Errors
    /// The first contradiction, with the fix.
    pub fn check(&self, blob_input: Option<Size>) -> Result<CheckedApp<'_>, AppError> {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !(1..=24).contains(&self.name.len()) || !self.name.chars().all(word) {
            return Err(AppError::Name { found: self.name.clone() });
        }
        within("the frame rate", self.fps, 0.1, FPS_MAX, "0.1 to 240 frames/s")?;
        if self.port == 0 || RESERVED_PORTS.contains(&self.port) {
            return Err(AppError::Port { port: self.port });
        }
        if self.transport == Transport::Udp && self.host.is_none() {
            return Err(AppError::NoHost);
        }
        self.check_sizes()?;
        let input = self.model.as_ref().map(|model| self.check_model(model, blob_input)).transpose()?;
        Ok(CheckedApp { app: self, input })
    }

    fn check_sizes(&self) -> Result<(), AppError> {
        let (size, video) = (self.size, self.resolution.video());
        if size.width > video.width || size.height > video.height {
            return Err(AppError::LargerThanSensor { size, video, resolution: self.resolution });
        }
        multiple("the preview", size, (2, 2), "an even width and height")?;
        match (self.payload, self.picture) {
            (PayloadCoding::Raw, CameraOutput::Video) => return Err(AppError::RawVideo { video }),
            (PayloadCoding::Raw, CameraOutput::Preview) => {}
            (_, picture) => {
                let sent = if picture == CameraOutput::Video { video } else { size };
                // The vendor's documentation of VideoEncoder.
                multiple("the encoded picture", sent, (32, 8), "a width divisible by 32 and a height divisible by 8")?;
            }
        }
        match self.payload {
            PayloadCoding::Jpeg { quality } => {
                within("the JPEG quality", f32::from(quality), 1.0, 100.0, "1 to 100")?;
            }
            PayloadCoding::H264(video) | PayloadCoding::H265(video) if video.keyframe_interval == 0 => {
                let (what, found) = ("the key-frame interval", "0".to_owned());
                return Err(AppError::Range { what, found, expected: "1 or more frames" });
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns the size of the model's input.
    fn check_model(&self, model: &Model, blob_input: Option<Size>) -> Result<Size, AppError> {
        within("the confidence", model.confidence, 0.0, 1.0, "0 to 1")?;
        within("the number of threads", model.threads as f32, 1.0, 2.0, "1 or 2")?;
        if let ModelFamily::Yolo { iou, anchors, masks, .. } = &model.family {
            within("the overlap (iou)", *iou, 0.0, 1.0, "0 to 1")?;
            check_anchors(anchors, masks)?;
        }
        let classes = model.classes();
        within("the number of classes", classes as f32, 1.0, 10_000.0, "1 to 10,000")?;
        if !model.labels.is_empty() && model.labels.len() as u64 != u64::from(classes) {
            return Err(AppError::Labels { labels: model.labels.len(), classes });
        }
        for (index, label) in model.labels.iter().enumerate() {
            let fits =
                (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(|b| (b' '..=b'~').contains(&b));
            // Records are padded with spaces, and a `+` continues the label before it.
            if !fits || label.trim() != label || label.starts_with('+') {
                return Err(AppError::Label { index, found: label.clone() });
            }
        }
        let input = match (blob_input, model.input) {
            (Some(found), Some(given)) if found != given => {
                return Err(AppError::InputContradicted { given, found });
            }
            (Some(input), _) | (None, Some(input)) => input,
            // The vendor's library does not check the size either.
            (None, None) if model.fit == Fit::Same => self.size,
            (None, None) => return Err(AppError::UnknownInput { fit: model.fit.name() }),
        };
        if input != self.size && model.fit == Fit::Same {
            return Err(AppError::Input { input, size: self.size });
        }
        Ok(input)
    }
}

impl Fit {
    fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Letterbox => "letterbox",
            Self::Stretch => "stretch",
            Self::Crop => "crop",
        }
    }
}

fn check_anchors(anchors: &[f32], masks: &std::collections::BTreeMap<String, Vec<i32>>) -> Result<(), AppError> {
    if anchors.is_empty() != masks.is_empty() {
        return Err(AppError::Anchors { anchors: anchors.len(), masks: masks.len() });
    }
    if !anchors.len().is_multiple_of(2) {
        return Err(AppError::OddAnchors { found: anchors.len() });
    }
    let count = anchors.len() / 2;
    for (mask, named) in masks {
        if mask.strip_prefix("side").is_none_or(|width| width.parse::<u32>().is_err()) {
            return Err(AppError::Mask { found: mask.clone() });
        }
        for found in named {
            if !usize::try_from(*found).is_ok_and(|found| found < count) {
                return Err(AppError::NoSuchAnchor { mask: mask.clone(), found: *found, anchors: count });
            }
        }
    }
    Ok(())
}

fn within(what: &'static str, found: f32, least: f32, most: f32, expected: &'static str) -> Result<(), AppError> {
    if (least..=most).contains(&found) {
        Ok(())
    } else {
        Err(AppError::Range { what, found: found.to_string(), expected })
    }
}

fn multiple(
    what: &'static str,
    size: Size,
    (width, height): (u32, u32),
    expected: &'static str,
) -> Result<(), AppError> {
    let nearest = |value: u32, of: u32| (value / of * of).max(of);
    let fits = Size::new(nearest(size.width, width), nearest(size.height, height));
    if fits == size { Ok(()) } else { Err(AppError::Multiple { what, size, expected, nearest: fits }) }
}

impl App {
    /// The contract of its stream, without checking that it can be built.
    #[must_use]
    pub fn contract(&self) -> Contract {
        CheckedApp { app: self, input: None }.contract()
    }
}

impl CheckedApp<'_> {
    /// Size of the pictures in the stream.
    #[must_use]
    pub fn sent(&self) -> Size {
        match self.app.picture {
            CameraOutput::Preview => self.app.size,
            CameraOutput::Video => self.app.resolution.video(),
        }
    }

    /// Format of the pictures: the vendor's name of a raw format, or the name of the coding.
    #[must_use]
    pub fn format(&self) -> &'static str {
        match (self.app.payload, self.app.plane_order) {
            (PayloadCoding::Raw, PlaneOrder::Bgr) => PixelFormat::Bgr888p.name(),
            (PayloadCoding::Raw, PlaneOrder::Rgb) => PixelFormat::Rgb888p.name(),
            (PayloadCoding::Jpeg { .. }, _) => PayloadKind::Jpeg.name(),
            (PayloadCoding::H264(_), _) => PayloadKind::H264.name(),
            (PayloadCoding::H265(_), _) => PayloadKind::H265.name(),
        }
    }

    /// Maps a box in the model's input to the pictures in the stream.
    #[must_use]
    pub fn mapping(&self) -> BoxMapping {
        let App { size, picture, resolution, model, .. } = self.app;
        let (Some(model), Some(input)) = (model, self.input) else { return BoxMapping::IDENTITY };
        let to_preview = BoxMapping::of_input(*size, input, model.fit);
        match picture {
            CameraOutput::Preview => to_preview,
            CameraOutput::Video => to_preview.then(BoxMapping::of_preview(resolution.video(), *size)),
        }
    }

    /// Names of the classes.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        self.app.model.as_ref().map_or(&[], |model| &model.labels)
    }

    /// The contract that the package and the stream carry.
    #[must_use]
    pub fn contract(&self) -> Contract {
        let size = self.sent();
        Contract {
            name: self.app.name.clone(),
            width: size.width,
            height: size.height,
            format: self.format().to_owned(),
            fps: self.app.fps,
            labels: Contract::labels_hash(self.labels()),
            endpoint: Some(Endpoint { host: self.app.host, port: self.app.port, transport: self.app.transport }),
        }
    }

    /// Bandwidth of the stream.
    #[must_use]
    pub fn rate(&self) -> StreamRate {
        let pixels = self.sent().pixels() as f64 * f64::from(self.app.fps);
        match self.app.payload {
            PayloadCoding::Raw => StreamRate::Known(24.0 * pixels),
            // The synthetic pictures of wire.md section 2.2 take 0.75 to 1 bit per pixel; real ones have more detail.
            PayloadCoding::Jpeg { .. } => StreamRate::About(1.5 * pixels),
            PayloadCoding::H264(video) | PayloadCoding::H265(video) if video.bitrate_kbps > 0 => {
                StreamRate::Known(1e3 * f64::from(video.bitrate_kbps))
            }
            PayloadCoding::H264(_) => StreamRate::About(0.1 * pixels),
            PayloadCoding::H265(_) => StreamRate::About(0.06 * pixels),
        }
    }
}
