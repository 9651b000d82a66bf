//! Whether an application can be built: its parameters looked at together.

use super::{App, AppError, Colour, Family, Fit, Mapping, Model, Payload, Picture, Size};
use crate::device::contract::{Contract, Meeting};
use crate::frame::{PayloadKind, PixelFormat};

/// Ports that the camera uses itself (bootloader.md 1 and 2).
const TAKEN: [u16; 2] = [crate::discovery::PORT, crate::xlink::PORT];
/// The rate of the fastest sensor mode that the vendor lists.
pub const MOST_FPS: f32 = 240.0;
/// So long that four records hold it (wire.md section 7).
const LONGEST_LABEL: usize = 100;

/// An application that can be built.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// What it is.
    pub app: &'a App,
    /// Size of the model's input, if there is a model.
    pub input: Option<Size>,
}

/// What a stream takes of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// So many bits a second.
    Known(f64),
    /// About so many: what is in the pictures decides.
    About(f64),
}

impl App {
    /// Looks at all of it together. `blob_input` is what the model's blob says of its input.
    ///
    /// # Errors
    /// The first contradiction, with the fix.
    pub fn check(&self, blob_input: Option<Size>) -> Result<Checked<'_>, AppError> {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !(1..=24).contains(&self.name.len()) || !self.name.chars().all(word) {
            return Err(AppError::Name { found: self.name.clone() });
        }
        within("the rate", self.fps, 0.1, MOST_FPS, "0.1 to 240 frames a second")?;
        if self.port == 0 || TAKEN.contains(&self.port) {
            return Err(AppError::Port { port: self.port });
        }
        self.check_sizes()?;
        let input = self.model.as_ref().map(|model| self.check_model(model, blob_input)).transpose()?;
        Ok(Checked { app: self, input })
    }

    fn check_sizes(&self) -> Result<(), AppError> {
        let (size, video) = (self.size, self.resolution.video());
        if size.width > video.width || size.height > video.height {
            return Err(AppError::LargerThanSensor { size, video, resolution: self.resolution });
        }
        multiple("a preview", size, (2, 2), "an even width and height")?;
        match (self.payload, self.picture) {
            (Payload::Raw, Picture::Video) => return Err(AppError::RawVideo { video }),
            (Payload::Raw, Picture::Preview) => {}
            (_, picture) => {
                let sent = if picture == Picture::Video { video } else { size };
                // The vendor's documentation of VideoEncoder.
                multiple("encoded pictures", sent, (32, 8), "a width that 32 divides and a height that 8 does")?;
            }
        }
        match self.payload {
            Payload::Jpeg { quality } => {
                within("the quality", f32::from(quality), 1.0, 100.0, "1 to 100")?;
            }
            Payload::H264(video) | Payload::H265(video) if video.keyframe_interval == 0 => {
                let (what, found) = ("the interval of key frames", "0".to_owned());
                return Err(AppError::Range { what, found, expected: "1 or more frames" });
            }
            _ => {}
        }
        Ok(())
    }

    /// The size of the model's input.
    fn check_model(&self, model: &Model, blob_input: Option<Size>) -> Result<Size, AppError> {
        within("the confidence", model.confidence, 0.0, 1.0, "0 to 1")?;
        within("the number of threads", model.threads as f32, 1.0, 2.0, "1 or 2")?;
        if let Family::Yolo { iou, anchors, masks, .. } = &model.family {
            within("the overlap (iou)", *iou, 0.0, 1.0, "0 to 1")?;
            check_anchors(anchors, masks)?;
        }
        let classes = model.classes();
        within("the number of classes", classes as f32, 1.0, 10_000.0, "1 to 10,000")?;
        if !model.labels.is_empty() && model.labels.len() as u64 != u64::from(classes) {
            return Err(AppError::Labels { labels: model.labels.len(), classes });
        }
        for (index, label) in model.labels.iter().enumerate() {
            let fits = (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(|b| (b' '..=b'~').contains(&b));
            // The spaces at its end would not be told from those of the record, and a `+` continues another label.
            if !fits || label.trim() != label || label.starts_with('+') {
                return Err(AppError::Label { index, found: label.clone() });
            }
        }
        let input = match (blob_input, model.input) {
            (Some(found), Some(said)) if found != said => {
                return Err(AppError::InputContradicted { said, found });
            }
            (Some(input), _) | (None, Some(input)) => input,
            // The vendor's library believes the user, too.
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
    /// What its stream would be.
    #[must_use]
    pub fn contract(&self) -> Contract {
        Checked { app: self, input: None }.contract()
    }
}

impl Checked<'_> {
    /// Size of the pictures that are sent.
    #[must_use]
    pub fn sent(&self) -> Size {
        match self.app.picture {
            Picture::Preview => self.app.size,
            Picture::Video => self.app.resolution.video(),
        }
    }

    /// Their type, by the vendor's name or that of the coding.
    #[must_use]
    pub fn format(&self) -> &'static str {
        match (self.app.payload, self.app.colour) {
            (Payload::Raw, Colour::Bgr) => PixelFormat::Bgr888p.name(),
            (Payload::Raw, Colour::Rgb) => PixelFormat::Rgb888p.name(),
            (Payload::Jpeg { .. }, _) => PayloadKind::Jpeg.name(),
            (Payload::H264(_), _) => PayloadKind::H264.name(),
            (Payload::H265(_), _) => PayloadKind::H265.name(),
        }
    }

    /// Where a box in the model's input is in the pictures that are sent.
    #[must_use]
    pub fn mapping(&self) -> Mapping {
        let App { size, picture, resolution, model, .. } = self.app;
        let (Some(model), Some(input)) = (model, self.input) else { return Mapping::IDENTITY };
        let to_preview = Mapping::of_input(*size, input, model.fit);
        match picture {
            Picture::Preview => to_preview,
            Picture::Video => to_preview.then(Mapping::of_preview(resolution.video(), *size)),
        }
    }

    /// Names of the classes.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        self.app.model.as_ref().map_or(&[], |model| &model.labels)
    }

    /// What the camera and everybody else may be held to.
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
            meeting: Some(Meeting { host: self.app.host, port: self.app.port }),
        }
    }

    /// What its stream takes of a link.
    #[must_use]
    pub fn rate(&self) -> Rate {
        let pixels = self.sent().pixels() as f64 * f64::from(self.app.fps);
        match self.app.payload {
            Payload::Raw => Rate::Known(24.0 * pixels),
            // From 0.75 to 1 bit a pixel for the synthetic pictures of wire.md section 2.2; real ones have more in them.
            Payload::Jpeg { .. } => Rate::About(1.5 * pixels),
            Payload::H264(video) | Payload::H265(video) if video.bitrate_kbps > 0 => {
                Rate::Known(1e3 * f64::from(video.bitrate_kbps))
            }
            Payload::H264(_) => Rate::About(0.1 * pixels),
            Payload::H265(_) => Rate::About(0.06 * pixels),
        }
    }
}
