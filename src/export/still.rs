//! Encodes one frame, with its boxes if wanted, as PNG or JPEG.

use chrono::DateTime;

use super::ExportOptions;
use super::camera::Camera;
use super::frames::ChosenFrame;
use super::report::{ExportReport, NOT_DECODED, Skip};
use crate::convert::{ConvertError, Converter, PackedOrder, Yuv420, encode_gray16_png, encode_png};
use crate::frame::{Frame, PayloadKind, Picture, PixelFormat, Size};
use crate::overlay::{Overlay, Style};

/// The file format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// PNG. Samples of RAW16 (depth) keep their 16 bits, unless boxes are drawn.
    Png,
    /// PNG of 8-bit colors, also for depth.
    ColorPng,
    /// JPEG. Frames that the camera sent as JPEG are copied unchanged, unless a quality is given.
    Jpeg,
    /// The JPEG of the camera if it sent one, otherwise PNG, so that no quality is lost.
    Lossless,
}

/// An encoded picture.
#[derive(Debug)]
pub(super) struct Still {
    pub(super) bytes: Vec<u8>,
    pub(super) extension: &'static str,
    pub(super) size: Size,
}

/// Converts frames, draws boxes on them, and encodes them. Reuses its buffers.
#[derive(Debug)]
pub(super) struct StillEncoder {
    converter: Converter,
    overlay: Option<Overlay>,
    picture: Picture,
    rgb: Vec<u8>,
    depth: Vec<u16>,
    /// Quality of encoded JPEG, 1..=100, if one is given.
    quality: Option<u8>,
}

impl StillEncoder {
    /// Draws boxes in this style; `None` draws no boxes.
    pub(super) fn new(boxes: Option<&Style>, quality: Option<u8>) -> Self {
        Self {
            converter: Converter::new(),
            overlay: boxes.cloned().map(Overlay::new),
            picture: Picture::default(),
            rgb: Vec::new(),
            depth: Vec::new(),
            quality,
        }
    }

    /// Returns red, green and blue of every pixel, and the size.
    fn rgb(&mut self, chosen: &ChosenFrame, camera: &Camera) -> Result<(&[u8], Size), Skip> {
        let size = if self.draw(chosen, camera)? {
            self.rgb.clear();
            self.rgb.extend(self.picture.rgb());
            self.picture.size()
        } else {
            let converted = self.converter.packed(&chosen.frame, PackedOrder::Rgb, &mut self.rgb);
            converted.map(|(width, height)| Size::new(width, height)).map_err(conversion_failed)?
        };
        not_empty(size)?;
        Ok((&self.rgb, size))
    }

    /// Converts a frame for a video encoder. Returns its size.
    pub(super) fn yuv420(&mut self, chosen: &ChosenFrame, camera: &Camera, into: &mut Yuv420) -> Result<Size, Skip> {
        let size = if self.draw(chosen, camera)? {
            self.converter.yuv420_of(&self.picture, into);
            self.picture.size()
        } else {
            let converted = self.converter.yuv420(&chosen.frame, into);
            converted.map(|(width, height)| Size::new(width, height)).map_err(conversion_failed)?
        };
        not_empty(size)?;
        Ok(size)
    }

    /// Converts a frame to `self.picture` and draws its boxes. Does nothing and returns `false` if no boxes are wanted.
    fn draw(&mut self, chosen: &ChosenFrame, camera: &Camera) -> Result<bool, Skip> {
        let frame = &chosen.frame;
        if frame.geometry.is_some_and(|geometry| is_half_float(geometry.format)) {
            // The converter derives the value range from earlier frames of the stream, but a worker sees only some of
            // them. A new converter makes the result independent of the distribution of frames to workers.
            self.converter = Converter::new();
        }
        let Some(overlay) = &mut self.overlay else { return Ok(false) };
        self.converter.picture(frame, &mut self.picture).map_err(conversion_failed)?;
        overlay.follow(frame);
        overlay.draw(&mut self.picture, &frame.detections, Some(camera.names(frame)));
        Ok(true)
    }

    /// Encodes a frame. A JPEG that is copied is decoded as well, so that damaged files are skipped.
    pub(super) fn encode(&mut self, chosen: &ChosenFrame, camera: &Camera, coding: Coding) -> Result<Still, Skip> {
        let can_copy = chosen.frame.kind == PayloadKind::Jpeg && self.overlay.is_none();
        if coding == Coding::Png
            && self.overlay.is_none()
            && let Some((width, height)) =
                self.converter.depth(&chosen.frame, &mut self.depth).map_err(conversion_failed)?
        {
            let size = Size::new(width, height);
            let bytes = encode_gray16_png(&self.depth, size).map_err(|error| encoding_failed(&error))?;
            return Ok(Still { bytes, extension: "png", size });
        }
        let quality = self.quality;
        let (rgb, size) = self.rgb(chosen, camera)?;
        let (bytes, extension) = match coding {
            Coding::Lossless if can_copy => (chosen.frame.payload().to_vec(), "jpg"),
            Coding::Jpeg if can_copy && quality.is_none() => (chosen.frame.payload().to_vec(), "jpg"),
            Coding::Jpeg => (encode_jpeg(rgb, size, quality.unwrap_or(ExportOptions::DEFAULT_QUALITY))?, "jpg"),
            Coding::Png | Coding::ColorPng | Coding::Lossless => {
                (encode_png(rgb, size).map_err(|error| encoding_failed(&error))?, "png")
            }
        };
        Ok(Still { bytes, extension, size })
    }
}

fn encode_jpeg(rgb: &[u8], size: Size, quality: u8) -> Result<Vec<u8>, Skip> {
    let (Ok(width), Ok(height)) = (u16::try_from(size.width), u16::try_from(size.height)) else {
        let why = format!("the picture has {size} pixels: a JPEG has at most 65535x65535");
        return Err(Skip { kind: "picture too large", why });
    };
    let mut file = Vec::new();
    jpeg_encoder::Encoder::new(&mut file, quality)
        .encode(rgb, width, height, jpeg_encoder::ColorType::Rgb)
        .map_err(|error| encoding_failed(&error))?;
    Ok(file)
}

/// Returns the file name of a frame without extension: `CAMERA_000123_2026-11-21T10-15-00.123Z`.
pub(super) fn stem(chosen: &ChosenFrame, camera: &Camera) -> String {
    let time = DateTime::from_timestamp_nanos(chosen.taken_ns).format("%Y-%m-%dT%H-%M-%S%.3fZ");
    format!("{}_{:06}_{time}", camera.stem, chosen.number)
}

/// Adds a remark if the samples of a frame may be those of a color filter: they are not made into colors.
pub(super) fn note_mosaic(report: &mut ExportReport, camera: &Camera, frame: &Frame) {
    use PixelFormat::{Pack10, Pack12, Raw8, Raw10, Raw12, Raw14};
    let Some(format) = frame.geometry.map(|geometry| geometry.format) else { return };
    if matches!(format, Raw8 | Raw10 | Raw12 | Raw14 | Pack10 | Pack12) {
        let name = &camera.name;
        report.note(format!("the pictures of {name} are {format}: a mosaic of colors (Bayer) is exported as gray; `oaktap record FILE --format {format}:RGGB -o COPY.mcap` makes a copy that has the order of its colors"));
    }
}

/// Adds a remark if a frame is depth, in formats whose pictures have 8 bits per sample.
pub(super) fn note_false_colors(report: &mut ExportReport, camera: &Camera, frame: &Frame) {
    if frame.is_depth() {
        let name = &camera.name;
        report.note(format!(
            "the depth of {name} is exported in false colors: `--to png` without --boxes writes its millimeters"
        ));
    }
}

fn not_empty(size: Size) -> Result<(), Skip> {
    if size.pixels() > 0 {
        return Ok(());
    }
    Err(Skip { kind: "empty picture", why: format!("the picture has {size} pixels") })
}

/// Returns whether samples are half floats. Exhaustive, so that a new format does not compile until this is decided.
fn is_half_float(format: PixelFormat) -> bool {
    use PixelFormat::*;
    match format {
        RgbF16p | BgrF16p | RgbF16i | BgrF16i | GrayF16 => true,
        Bgr888p | Rgb888p | Bgr888i | Rgb888i | Rgba8888 | Gray8 | Raw8 | Yuv400p | Raw16 | Raw14 | Raw12 | Raw10
        | Yuv422i | Nv12 | Nv21 | Yuv420p | Yuv422p | Yuv444p | Yuv444i | Pack10 | Pack12 | Rgb161616 | Jpeg
        | Bayer(..) => false,
    }
}

#[allow(clippy::needless_pass_by_value)] // For `map_err`.
fn conversion_failed(error: ConvertError) -> Skip {
    let kind = match &error {
        ConvertError::Video(_) => NOT_DECODED,
        ConvertError::UnknownLayout(_) | ConvertError::NoLayout(_) => "unknown payload layout",
        ConvertError::Geometry(_) | ConvertError::BufferSize { .. } => "payload does not fit its layout",
        ConvertError::JpegCutShort(_) => "JPEG ends early",
        ConvertError::Jpeg(_) | ConvertError::JpegTooLarge { .. } => "JPEG cannot be decoded",
    };
    // The text follows the kind.
    let why = match error {
        ConvertError::JpegCutShort(defect) => defect.found(),
        ConvertError::Jpeg(why) => why,
        unknown @ (ConvertError::UnknownLayout(_) | ConvertError::NoLayout(_)) => {
            format!("{unknown}; `oaktap record FILE --size WxH --format NAME -o COPY.mcap` makes a copy with them")
        }
        other => other.to_string(),
    };
    Skip { kind, why }
}

fn encoding_failed(error: &dyn std::error::Error) -> Skip {
    Skip { kind: "picture cannot be encoded", why: error.to_string() }
}
