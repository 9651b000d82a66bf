//! One frame -> red, green, blue, with its boxes if they are wanted -> PNG or JPEG.

use chrono::DateTime;
use image::ImageEncoder as _;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};

use super::frames::{Camera, Shot};
use super::report::Skip;
use crate::convert::{ConvertError, Converter, PackedOrder, Yuv420};
use crate::frame::{PayloadKind, Picture, PixelFormat};
use crate::overlay::{Overlay, Style};

/// Of JPEG files that are made here: the differences are hard to see, and files a tenth of the pixels.
const JPEG_QUALITY: u8 = 90;

/// How a picture becomes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Without loss.
    Png,
    /// What the camera sent as JPEG stays as it is; the rest is made one.
    Jpeg,
    /// JPEG for what the camera sent as JPEG, else PNG: nothing is lost.
    Lossless,
}

/// A picture as a file.
#[derive(Debug)]
pub(super) struct Still {
    pub(super) bytes: Vec<u8>,
    pub(super) extension: &'static str,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Makes pictures of frames; keeps its memory.
#[derive(Debug)]
pub(super) struct Darkroom {
    converter: Converter,
    overlay: Option<Overlay>,
    picture: Picture,
    rgb: Vec<u8>,
}

impl Darkroom {
    /// With boxes in this style, or without any.
    pub(super) fn new(boxes: Option<&Style>) -> Self {
        Self {
            converter: Converter::new(),
            overlay: boxes.cloned().map(Overlay::new),
            picture: Picture::default(),
            rgb: Vec::new(),
        }
    }

    /// Red, green and blue of every pixel, width, height.
    pub(super) fn develop(&mut self, shot: &Shot, camera: &Camera) -> Result<(&[u8], u32, u32), Skip> {
        let (width, height) = if self.draw(shot, camera)? {
            let Self { picture, rgb, .. } = self;
            rgb.clear();
            rgb.extend(picture.words().iter().flat_map(|word| {
                let [_, red, green, blue] = word.to_be_bytes();
                [red, green, blue]
            }));
            (side(picture.width), side(picture.height))
        } else {
            self.converter.packed(&shot.frame, PackedOrder::Rgb, &mut self.rgb).map_err(unconvertible)?
        };
        not_empty(width, height)?;
        Ok((&self.rgb, width, height))
    }

    /// The frame as a video encoder takes it. Returns its width and height.
    pub(super) fn expose(&mut self, shot: &Shot, camera: &Camera, into: &mut Yuv420) -> Result<(u32, u32), Skip> {
        let (width, height) = if self.draw(shot, camera)? {
            self.converter.yuv420_of(&self.picture, into);
            (side(self.picture.width), side(self.picture.height))
        } else {
            self.converter.yuv420(&shot.frame, into).map_err(unconvertible)?
        };
        not_empty(width, height)?;
        Ok((width, height))
    }

    /// The picture with its boxes; whether they are wanted at all.
    fn draw(&mut self, shot: &Shot, camera: &Camera) -> Result<bool, Skip> {
        let frame = &shot.frame;
        if frame.geometry.is_some_and(|geometry| is_half(geometry.format)) {
            // Its scale is that of the stream so far. Here each worker sees some frames of it: each by itself, then.
            self.converter = Converter::new();
        }
        let Some(overlay) = &mut self.overlay else { return Ok(false) };
        self.converter.picture(frame, &mut self.picture).map_err(unconvertible)?;
        overlay.draw(&mut self.picture, &frame.detections, Some(camera.names(frame)));
        Ok(true)
    }

    /// The frame as a file. A JPEG that stays as it is has been decoded all the same: a damaged one is none.
    pub(super) fn print(&mut self, shot: &Shot, camera: &Camera, coding: Coding) -> Result<Still, Skip> {
        let as_sent = shot.frame.kind == PayloadKind::Jpeg && self.overlay.is_none();
        let (rgb, width, height) = self.develop(shot, camera)?;
        let mut bytes = Vec::new();
        let extension = match coding {
            Coding::Jpeg | Coding::Lossless if as_sent => {
                bytes.extend_from_slice(shot.frame.payload());
                "jpg"
            }
            Coding::Jpeg => {
                let (width, height) = (u16::try_from(width), u16::try_from(height));
                let (Ok(width), Ok(height)) = (width, height) else {
                    return Err(Skip { kind: "too large", why: "a JPEG has at most 65535 pixels a side".to_owned() });
                };
                jpeg_encoder::Encoder::new(&mut bytes, JPEG_QUALITY)
                    .encode(rgb, width, height, jpeg_encoder::ColorType::Rgb)
                    .map_err(|error| unencodable(&error))?;
                "jpg"
            }
            Coding::Png | Coding::Lossless => {
                PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Up)
                    .write_image(rgb, width, height, image::ExtendedColorType::Rgb8)
                    .map_err(|error| unencodable(&error))?;
                "png"
            }
        };
        Ok(Still { bytes, extension, width, height })
    }
}

/// `CAMERA_000123_2026-11-21T10-15-00.123Z`: what a file of this frame is called, without its extension.
pub(super) fn stem(shot: &Shot, camera: &Camera) -> String {
    let time = DateTime::from_timestamp_nanos(shot.taken_ns).format("%Y-%m-%dT%H-%M-%S%.3fZ");
    format!("{}_{:06}_{time}", camera.stem, shot.sequence)
}

fn not_empty(width: u32, height: u32) -> Result<(), Skip> {
    if width > 0 && height > 0 {
        return Ok(());
    }
    Err(Skip { kind: "empty", why: format!("a picture of {width}x{height} pixels") })
}

fn is_half(format: PixelFormat) -> bool {
    use PixelFormat::*;
    matches!(format, RgbF16p | BgrF16p | RgbF16i | BgrF16i | GrayF16)
}

fn side(side: usize) -> u32 {
    u32::try_from(side).unwrap_or(u32::MAX)
}

#[allow(clippy::needless_pass_by_value)] // For `map_err`.
fn unconvertible(error: ConvertError) -> Skip {
    let kind = match error {
        ConvertError::Video(_) => "video that is not decoded here",
        ConvertError::UnknownLayout(_) => "payload in an unknown layout",
        ConvertError::Geometry(_) | ConvertError::BufferSize { .. } => "payload that does not fit its layout",
        ConvertError::Jpeg(_) | ConvertError::JpegTooLarge { .. } => "JPEG that cannot be decoded",
    };
    Skip { kind, why: error.to_string() }
}

fn unencodable(error: &dyn std::error::Error) -> Skip {
    Skip { kind: "picture that cannot be encoded", why: error.to_string() }
}
