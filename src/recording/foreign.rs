//! Makes frames from image messages and boxes of other programs: the head that a camera would have sent is written
//! here, so that such frames are decoded, played, exported and served like those of a camera.

use std::collections::HashSet;
use std::io::Cursor;

use foxglove::messages::points_annotation::Type;
use foxglove::messages::{CompressedImage, CompressedVideo, PointsAnnotation, RawImage, Timestamp};
use prost::Message as _;

use super::annotations;
use super::channels::ImageSchema;
use super::image::{ImageMessage, bayer_encoding};
use super::ros;
use super::schema::{PayloadLayout, WireMessage};
use crate::frame::{
    BayerOrder, DeviceTime, Geometry, Interpreter, MosaicSamples, PayloadKind, PixelFormat, Sequence, Size, jpeg_defect,
};
use crate::wire::Dialect;
use crate::wire::encode::{self, HeaderFields};

/// Memory for a decoded PNG, in bytes: a picture of 12 megapixels with three bytes each needs 37 MB.
const PNG_BYTES_MAX: u64 = 64 << 20;
/// Boxes that are read from one message, as from a camera.
const BOXES_MAX: usize = 10_000;
/// Confidence of boxes that have none.
const CONFIDENCE_UNKNOWN: f32 = 1.0;

/// Reason for which an image message is not a picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ImageError {
    /// Its bytes contradict each other.
    Malformed(String),
    /// Its encoding is not supported. The text names those that are.
    Unsupported(String),
}

impl From<String> for ImageError {
    fn from(why: String) -> Self {
        Self::Malformed(why)
    }
}

/// An image message.
#[derive(Debug)]
pub(super) struct Image {
    /// Capture time in nanoseconds since 1970, if the message has one.
    pub(super) stamp_ns: Option<i64>,
    kind: PayloadKind,
    layout: Option<Geometry>,
    pub(super) payload: Vec<u8>,
}

impl Image {
    /// Parses an image message.
    ///
    /// # Errors
    /// The message is malformed, or its format is not supported.
    pub(super) fn parse(schema: ImageSchema, data: &[u8]) -> Result<Self, ImageError> {
        let malformed = |error: prost::DecodeError| format!("not a {}: {error}", schema.name());
        match schema {
            ImageSchema::Foxglove(ImageMessage::Raw) => {
                let RawImage { timestamp, width, height, encoding, step, data, .. } =
                    RawImage::decode(data).map_err(malformed)?;
                Self::raw(nanoseconds(timestamp), (width, height), &encoding, step, data.into())
            }
            ImageSchema::Foxglove(ImageMessage::Compressed) => {
                let CompressedImage { timestamp, data, format, .. } =
                    CompressedImage::decode(data).map_err(malformed)?;
                Self::compressed(nanoseconds(timestamp), &format, data.into())
            }
            ImageSchema::Foxglove(ImageMessage::Video) => {
                let CompressedVideo { timestamp, data, format, .. } =
                    CompressedVideo::decode(data).map_err(malformed)?;
                let kind = match format.to_ascii_lowercase().as_str() {
                    "h264" => PayloadKind::H264,
                    "h265" => PayloadKind::H265,
                    other => {
                        let why = format!("video in the format {other:?} is not supported: expected h264 or h265");
                        return Err(ImageError::Unsupported(why));
                    }
                };
                Ok(Self { stamp_ns: nanoseconds(timestamp), kind, layout: None, payload: data.into() })
            }
            ImageSchema::RosImage | ImageSchema::RosCompressedImage => Self::ros(schema, data)
                .ok_or_else(|| ImageError::Malformed(format!("not a {}: it ends too early", schema.name())))?,
        }
    }

    /// Parses an image of ROS 2; `None` if it is shorter than its parts.
    fn ros(schema: ImageSchema, data: &[u8]) -> Option<Result<Self, ImageError>> {
        let stamp = |header: &ros::Header<'_>| Some(header.stamp.unix_ns()).filter(|ns| *ns != 0);
        if schema == ImageSchema::RosCompressedImage {
            let ros::CompressedImage { header, format, data } = ros::decode(data)?;
            return Some(Self::compressed(stamp(&header), &format.0, data.0.to_vec()));
        }
        let ros::Image { header, height, width, encoding, is_bigendian, step, data } = ros::decode(data)?;
        let mut pixels = data.0.to_vec();
        if is_bigendian != 0 && encoding.0.contains("16") {
            pixels.as_chunks_mut().0.iter_mut().for_each(|[a, b]| std::mem::swap(a, b));
        }
        Some(Self::raw(stamp(&header), (width, height), &encoding.0, step, pixels))
    }

    fn raw(
        stamp_ns: Option<i64>,
        (width, height): (u32, u32),
        encoding: &str,
        step: u32,
        mut pixels: Vec<u8>,
    ) -> Result<Self, ImageError> {
        use PixelFormat::{Bayer, Bgr888i, Gray8, Nv12, Raw16, Rgb888i, Rgba8888, Yuv422i};
        let format = match encoding {
            "rgb8" => Rgb888i,
            "bgr8" | "8UC3" => Bgr888i,
            "rgba8" => Rgba8888,
            "bgra8" | "8UC4" => {
                pixels.as_chunks_mut().0.iter_mut().for_each(|[b, _, r, _]| std::mem::swap(b, r));
                Rgba8888
            }
            "mono8" | "8UC1" => Gray8,
            "mono16" | "16UC1" => Raw16,
            "yuyv" | "yuv422_yuy2" => Yuv422i,
            "uyvy" | "yuv422" => {
                pixels.as_chunks_mut().0.iter_mut().for_each(|[a, b]| std::mem::swap(a, b));
                Yuv422i
            }
            "nv12" => Nv12,
            other => match BayerOrder::ALL.into_iter().find(|order| bayer_encoding(*order) == other) {
                Some(order) => Bayer(MosaicSamples::Raw8, order),
                None => {
                    let known = "rgb8, bgr8, rgba8, bgra8, mono8, mono16, 16UC1, yuyv, uyvy, nv12 or bayer_ORDER8";
                    let why = format!("pixels in the encoding {other:?} are not supported: expected {known}");
                    return Err(ImageError::Unsupported(why));
                }
            },
        };
        let geometry = Geometry::tight(format, width, height).and_then(|tight| match step {
            0 => Ok(tight),
            step => tight.with_stride(step),
        });
        let geometry = geometry.map_err(|error| error.to_string())?;
        geometry.layout_in(pixels.len()).map_err(|error| error.to_string())?;
        if let Some(len) = geometry.byte_len() {
            pixels.truncate(len);
        }
        Ok(Self { stamp_ns, kind: PayloadKind::Raw, layout: Some(geometry), payload: pixels })
    }

    /// Takes a JPEG as it is, and decodes a PNG. Looks at the bytes, since the texts in `format` vary.
    fn compressed(stamp_ns: Option<i64>, format: &str, mut data: Vec<u8>) -> Result<Self, ImageError> {
        const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
        /// Bytes before the PNG of a depth picture of ROS: how it was quantized.
        const DEPTH_HEAD: usize = 12;
        if data.is_empty() {
            return Err(ImageError::Malformed("an image message without data".to_owned()));
        }
        if data.starts_with(b"\xff\xd8\xff") {
            if let Some(defect) = jpeg_defect(&data) {
                return Err(ImageError::Malformed(defect.to_string()));
            }
            return Ok(Self { stamp_ns, kind: PayloadKind::Jpeg, layout: None, payload: data });
        }
        if data.get(DEPTH_HEAD..).is_some_and(|rest| rest.starts_with(PNG)) {
            data.drain(..DEPTH_HEAD);
        }
        if !data.starts_with(PNG) {
            let found = data[..data.len().min(8)].escape_ascii();
            if data.starts_with(b"RIFF") && data.get(8..12) == Some(b"WEBP") {
                return Err(ImageError::Unsupported("WebP is not supported: expected JPEG or PNG".to_owned()));
            }
            let named = format.to_ascii_lowercase();
            if named.is_empty() || ["jpeg", "jpg", "png"].iter().any(|known| named.contains(known)) {
                return Err(ImageError::Malformed(format!("expected the bytes of a JPEG or PNG, found \"{found}\"")));
            }
            return Err(ImageError::Unsupported(format!("{format:?} is not supported: expected JPEG or PNG")));
        }
        let mut reader = image::ImageReader::with_format(Cursor::new(data), image::ImageFormat::Png);
        let mut limits = image::Limits::default();
        limits.max_alloc = Some(PNG_BYTES_MAX);
        reader.limits(limits);
        let decoded = reader.decode().map_err(|error| format!("cannot decode its PNG: {error}"))?;
        let size = (decoded.width(), decoded.height());
        match decoded {
            image::DynamicImage::ImageLuma16(gray) => {
                let bytes = gray.as_raw().iter().flat_map(|value| value.to_le_bytes()).collect();
                Self::raw(stamp_ns, size, "16UC1", 0, bytes)
            }
            image::DynamicImage::ImageLuma8(gray) => Self::raw(stamp_ns, size, "mono8", 0, gray.into_raw()),
            other => Self::raw(stamp_ns, size, "rgb8", 0, other.into_rgb8().into_raw()),
        }
    }

    /// Width and height in pixels; `None` for video without a key frame.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        if self.kind.is_video() {
            return Sequence::in_payload(self.kind, &self.payload).map(|sequence| (sequence.width, sequence.height));
        }
        let geometry = self.layout.or_else(|| Interpreter::default().interpret(&self.payload).1);
        geometry.map(|Geometry { width, height, .. }| (width, height))
    }

    /// Writes the head that a camera would have sent with this picture. `log_ns` is the arrival in nanoseconds since 1970,
    /// `size` the width and height in pixels, if known.
    pub(super) fn into_frame(
        self,
        schema: ImageSchema,
        id: u64,
        log_ns: i64,
        boxes: &Boxes,
        size: Option<(u32, u32)>,
    ) -> (WireMessage, Vec<u8>) {
        let video = |(width, height)| PayloadLayout::video(self.kind, Size::new(width, height));
        let video = size.filter(|_| self.kind.is_video()).map(video);
        let time = DeviceTime(self.stamp_ns.unwrap_or(log_ns) / 1000);
        let payload_len = self.payload.len();
        let fields = HeaderFields { device_time: time, payload_len, ..HeaderFields::default() };
        let mut header = encode::header(Dialect::Frame, &fields);
        if !boxes.json.is_empty() {
            let mut detect = encode::detect_head(time, boxes.json.len());
            detect.append(&mut header);
            header = detect;
        }
        let wire = WireMessage {
            id,
            dialect: schema.name().to_owned(),
            records: boxes.records.clone(),
            detect_at: boxes.records.len() as u64,
            header,
            detections: boxes.json.clone(),
            device_time_us: time.0,
            arrival_mono_ns: u64::try_from(log_ns).unwrap_or(0),
            kind: self.kind.name().to_owned(),
            layout: self.layout.as_ref().map(PayloadLayout::from).or(video),
            payload_len: payload_len as u64,
            payload_crc32: crc32fast::hash(&self.payload),
            ..WireMessage::default()
        };
        (wire, self.payload)
    }
}

/// The boxes of one picture, as a camera would have sent them.
#[derive(Debug, Default)]
pub(super) struct Boxes {
    /// Capture time of their picture in nanoseconds since 1970, if the message has one.
    pub(super) stamp_ns: Option<i64>,
    found: Vec<Found>,
    json: Vec<u8>,
    records: Vec<u8>,
}

/// A box in pixels.
#[derive(Debug)]
struct Found {
    class: Option<u32>,
    name: Option<String>,
    confidence: Option<f32>,
    /// x, y and z in millimeters.
    position: Option<[f32; 3]>,
    /// Left, top, right, bottom.
    edges: [f64; 4],
}

impl Boxes {
    /// Parses annotations. Takes the outlines of objects only: circles, lines and points are drawings.
    ///
    /// # Errors
    /// The message is malformed.
    pub(super) fn parse(data: &[u8]) -> Result<Self, String> {
        let malformed = |error: String| format!("not foxglove.ImageAnnotations: {error}");
        let (mut found, mut own) = (Vec::new(), None);
        for (number, points) in annotations::points(data).enumerate() {
            let points = points.map_err(malformed)?;
            if number == 0 {
                own = points.timestamp;
            }
            if is_outline(&points) && found.len() < BOXES_MAX {
                found.push(Found::new(&points));
            }
        }
        // The texts are those of the boxes in their order if there are as many.
        let (mut texts, mut count) = (Vec::new(), 0);
        for text in annotations::texts(data) {
            let text = text.map_err(malformed)?.text;
            count += 1;
            if texts.len() < found.len() {
                texts.push(text);
            }
        }
        if count == found.len() {
            found.iter_mut().zip(&texts).for_each(|(found, text)| found.complete(text));
        }
        let stamp_ns = nanoseconds(annotations::timestamp(data).or(own));
        Ok(Self { stamp_ns, found, ..Self::default() })
    }

    /// Converts the boxes to the text of a camera, for a picture of `size`. Does nothing without a size.
    pub(super) fn encode(&mut self, size: Option<(u32, u32)>) {
        let Some((width, height)) = size.filter(|(width, height)| *width > 0 && *height > 0) else { return };
        let mut boxes = Vec::new();
        let mut named = HashSet::new();
        for Found { class, name, confidence, position, edges: [left, top, right, bottom] } in &self.found {
            let x = |pixels: &f64| (pixels / f64::from(width)) as f32;
            let y = |pixels: &f64| (pixels / f64::from(height)) as f32;
            // A number whose name fits a record keeps both.
            let line = class.zip(name.as_deref()).and_then(|(class, name)| encode::line(&format!("@L {class} {name}")));
            let label = match (class, name, line) {
                (Some(class), None, _) | (Some(class), Some(_), Some(_)) => serde_json::json!(class),
                (_, Some(name), _) => serde_json::json!(name),
                (None, None, _) => serde_json::json!(0),
            };
            if let Some(line) = line.filter(|line| named.insert(*line)) {
                self.records.extend_from_slice(&line);
            }
            let mut one = serde_json::json!({
                "label": label, "confidence": confidence.filter(|of| of.is_finite()).unwrap_or(CONFIDENCE_UNKNOWN),
                "xmin": x(left), "ymin": y(top), "xmax": x(right), "ymax": y(bottom),
            });
            for (key, mm) in ["x", "y", "z"].into_iter().zip(position.iter().flatten()) {
                one[key] = serde_json::json!(mm);
            }
            boxes.push(one);
        }
        if !boxes.is_empty() {
            self.json = serde_json::Value::Array(boxes).to_string().into_bytes();
        }
    }
}

impl Found {
    fn new(points: &PointsAnnotation) -> Self {
        let value = |key| points.metadata.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str());
        let class = value("class").or_else(|| value("class_id")).and_then(|class| class.parse().ok());
        let name = ["label", "name", "class_name", "class"].into_iter().find_map(value);
        let name = name.filter(|name| name.parse::<u32>().is_err()).map(str::to_owned);
        let confidence = ["confidence", "score"].into_iter().find_map(value).and_then(|text| text.parse().ok());
        let [x, y, z] = annotations::POSITION_KEYS.map(|key| value(key).and_then(|text| text.parse::<f32>().ok()));
        let position = x.zip(y).zip(z).map(|((x, y), z)| [x, y, z]);
        let edges = points.points.iter().fold([f64::MAX, f64::MAX, f64::MIN, f64::MIN], |[l, t, r, b], point| {
            [l.min(point.x), t.min(point.y), r.max(point.x), b.max(point.y)]
        });
        Self { class, name, confidence, position, edges }
    }

    /// Adds the name and the confidence in a text, unless they are known.
    fn complete(&mut self, text: &str) {
        let (name, confidence) = split_text(text);
        self.name = self.name.take().or(name);
        self.confidence = self.confidence.or(confidence);
    }
}

fn is_outline(points: &PointsAnnotation) -> bool {
    let closed = matches!(points.r#type(), Type::LineLoop | Type::LineStrip);
    closed && points.points.len() >= 3 && points.points.iter().all(|point| point.x.is_finite() && point.y.is_finite())
}

/// Splits a text such as `person 89%` or `person: 0.89` into name and confidence.
fn split_text(text: &str) -> (Option<String>, Option<f32>) {
    let text = text.trim();
    let (name, number) = text.rsplit_once([' ', ':', '=']).unwrap_or((text, ""));
    let parsed = match number.trim_matches(['(', ')']).strip_suffix('%') {
        Some(percent) => percent.parse::<f32>().ok().map(|percent| percent / 100.0),
        None => number.trim_matches(['(', ')']).parse().ok(),
    };
    let confidence = parsed.filter(|confidence| (0.0..=1.0).contains(confidence));
    let name = if confidence.is_some() { name.trim_end_matches([' ', ':', '=']) } else { text };
    ((!name.is_empty()).then(|| name.to_owned()), confidence)
}

/// Nanoseconds since 1970; `None` without a time.
fn nanoseconds(time: Option<Timestamp>) -> Option<i64> {
    let time = time?;
    let ns = i64::from(time.sec()) * 1_000_000_000 + i64::from(time.nsec());
    (ns != 0).then_some(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_confidences_are_read_from_texts() {
        let split = |text| {
            let (name, confidence) = split_text(text);
            (name.unwrap_or_default(), confidence)
        };
        assert_eq!(split("person 89%"), ("person".to_owned(), Some(0.89)));
        assert_eq!(split("traffic light: 0.5"), ("traffic light".to_owned(), Some(0.5)));
        assert_eq!(split("dog (12%)"), ("dog".to_owned(), Some(0.12)));
        assert_eq!(split("gate 7"), ("gate 7".to_owned(), None));
        assert_eq!(split(""), (String::new(), None));
    }

    #[test]
    fn unsupported_pixels_are_named() {
        let is_named = |error: &ImageError, name| matches!(error, ImageError::Unsupported(why) if why.contains(name));
        let raw = |encoding, len| Image::raw(None, (4, 2), encoding, 0, vec![0; len]).map(|image| image.payload.len());
        assert_eq!(raw("bgr8", 24), Ok(24));
        assert!(raw("bgr8", 23).is_err() && raw("32FC3", 96).is_err_and(|why| is_named(&why, "32FC3")));
        let compressed = |format: &str, data: &[u8]| Image::compressed(None, format, data.to_vec());
        for format in ["webp", "", "jpeg"] {
            assert!(compressed(format, b"RIFF1234WEBP").is_err_and(|why| is_named(&why, "WebP")), "{format}");
        }
        assert!(compressed("avif", b"....ftypavif").is_err_and(|why| is_named(&why, "avif")));
        for (format, data) in [("bgr8; jpeg compressed bgr8", &b"none"[..]), ("", b"none"), ("avif", b"")] {
            assert!(matches!(compressed(format, data), Err(ImageError::Malformed(_))), "{format}");
        }
        assert!(matches!(compressed("jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF"), Err(ImageError::Malformed(_))));
    }
}
