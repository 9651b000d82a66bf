//! Pictures of one frame as files, with its detections.

use std::sync::Arc;

use axum::body::Bytes;
use serde::Serialize;

use super::form::{FileKind, Form, ShotSize};
use crate::convert::{ConvertError, Converter, EncodeJpegError, Placement, encode_jpeg, encode_png};
use crate::frame::{BBox, Detection, Frame, NamedDetection, Part, PayloadKind, Picture, Received, Track};
use crate::overlay::{Overlay, Style};

/// Pixels of titles that each stream caches (1 MiB): 120 titles at 640x352. Encoding a picture takes much longer than drawing its
/// titles, and each stream of each camera has a cache.
const TITLE_CACHE_PIXELS: usize = 256 << 10;

/// Margin around a detection, as a share of its longer side.
const CROP_MARGIN: f64 = 0.1;

/// One frame as viewers get it.
#[derive(Debug)]
pub(super) struct Shot {
    /// The picture: the JPEG of the camera, or a file that was encoded.
    pub(super) file: Bytes,
    /// Arrival of the frame.
    pub(super) received: Received,
    /// A JSON object of the fields of [`Description`].
    pub(super) description: Arc<str>,
}

/// A frame without its picture. Boxes are parts of the width and height, as the camera sent them.
#[derive(Serialize)]
struct Description<'a> {
    /// Number of the frame on its connection.
    id: u64,
    device_time_us: i64,
    arrival_unix_ns: i64,
    width: Option<u32>,
    height: Option<u32>,
    detections: Vec<NamedDetection<'a>>,
}

/// Returns a JSON object of the fields of [`Description`], with the detections that the style shows.
pub(super) fn describe(frame: &Frame, style: &Style) -> String {
    let names = style.names(frame.labels.as_deref());
    let shown = frame.detections.iter().filter(|detection| style.shows(detection, names));
    let description = Description {
        id: frame.id,
        device_time_us: frame.device_time.0,
        arrival_unix_ns: frame.received.unix_ns,
        width: frame.size().map(|size| size.width),
        height: frame.size().map(|size| size.height),
        detections: shown
            .map(|detection| detection.named(names).on_track(Track::of(&frame.tracks, detection)))
            .collect(),
    };
    // Strings and numbers: serializing them cannot fail.
    serde_json::to_string(&description).unwrap_or_default()
}

/// The payload of a frame, which is shared.
struct Payload(Arc<Frame>);

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self.0.payload()
    }
}

/// Reason for not making a picture of a frame.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ShotError {
    #[error(transparent)]
    Convert(#[from] ConvertError),
    #[error(transparent)]
    Jpeg(#[from] EncodeJpegError),
    #[error("cannot encode the picture: {0}")]
    Png(String),
}

/// Identifies a picture of the current frame.
#[derive(Clone, Debug, PartialEq)]
enum Made {
    /// The bytes of the camera.
    Untouched,
    /// Forms whose pixels are equal share one file.
    Encoded { pixels: (usize, usize), boxes: bool, crop: Option<Arc<str>>, file: FileKind },
}

/// Makes the pictures of one camera.
pub(super) struct ShotMaker {
    style: Style,
    converter: Converter,
    overlay: Overlay,
    picture: Picture,
    /// Pictures of the current frame.
    made: Vec<(Made, Arc<Shot>)>,
    description: Arc<str>,
    /// Pictures that were encoded since the start.
    pub(super) encoded: u64,
}

impl ShotMaker {
    pub(super) fn new(style: Style) -> Self {
        Self {
            overlay: Overlay::with_title_cache(style.clone(), TITLE_CACHE_PIXELS),
            style,
            converter: Converter::new(),
            picture: Picture::default(),
            made: Vec::new(),
            description: "{}".into(),
            encoded: 0,
        }
    }

    /// Begins with the next frame.
    pub(super) fn begin(&mut self, frame: &Frame) {
        self.made.clear();
        self.overlay.follow(frame);
        self.description = describe(frame, &self.style).into();
    }

    /// Returns the picture of the current frame in this form; `None` if the frame has no detection of the class to crop to. Forms
    /// that are equal for this frame share one.
    pub(super) fn shot(&mut self, frame: &Arc<Frame>, form: &Form) -> Result<Option<Arc<Shot>>, ShotError> {
        if is_untouched(frame, form) {
            return Ok(Some(
                self.made(&Made::Untouched).unwrap_or_else(|| {
                    self.keep(Made::Untouched, Bytes::from_owner(Payload(Arc::clone(frame))), frame)
                }),
            ));
        }
        let around = match &form.crop {
            Some(class) => match self.best(frame, class) {
                None => return Ok(None),
                around => around,
            },
            None => None,
        };
        let place = |whole: (usize, usize)| {
            let part = around.as_ref().map_or_else(|| Part::whole(whole.0, whole.1), |edges| part(edges, whole));
            Placement { part, size: form.size.of((part.width as usize, part.height as usize)) }
        };
        let Form { boxes, ref crop, file, .. } = *form;
        let made = |pixels| Made::Encoded { pixels, boxes, crop: crop.clone(), file };
        if let Some(whole) = frame.size()
            && let Some(shot) = self.made(&made(place((whole.width as usize, whole.height as usize)).size))
        {
            return Ok(Some(shot));
        }
        self.converter.scaled(frame, place, &mut self.picture)?;
        if boxes {
            self.overlay.draw(&mut self.picture, &frame.detections, frame.labels.as_deref());
        }
        let bytes = match file {
            FileKind::Jpeg => encode_jpeg(&self.picture)?,
            FileKind::Png => {
                let rgb: Vec<u8> = self.picture.rgb().collect();
                encode_png(&rgb, self.picture.size()).map_err(|error| ShotError::Png(error.to_string()))?
            }
        };
        self.encoded += 1;
        let pixels = (self.picture.width, self.picture.height);
        Ok(Some(self.keep(made(pixels), bytes.into(), frame)))
    }

    fn made(&self, wanted: &Made) -> Option<Arc<Shot>> {
        self.made.iter().find(|(made, _)| made == wanted).map(|(_, shot)| Arc::clone(shot))
    }

    /// Returns the edges of the most confident detection of a class that is on the picture.
    fn best(&self, frame: &Frame, class: &str) -> Option<[f64; 4]> {
        let names = self.style.names(frame.labels.as_deref());
        let of_class = |detection: &&Detection| names.matches(detection.label, class);
        let shown = frame.detections.iter().filter(|detection| self.style.shows(detection, names)).filter(of_class);
        let boxes = shown.filter_map(|detection| Some((detection.confidence, detection.bbox.clipped()?)));
        let best = boxes.max_by(|(a, _), (b, _)| a.total_cmp(b));
        best.map(|(_, BBox { xmin, ymin, xmax, ymax })| [xmin, ymin, xmax, ymax].map(f64::from))
    }

    fn keep(&mut self, made: Made, file: Bytes, frame: &Frame) -> Arc<Shot> {
        let description = Arc::clone(&self.description);
        let shot = Arc::new(Shot { file, received: frame.received, description });
        self.made.push((made, Arc::clone(&shot)));
        shot
    }
}

/// Returns whether a form is the file of the camera itself. The page scales pictures, so it takes JPEG of any size.
fn is_untouched(frame: &Frame, form: &Form) -> bool {
    let fits = match form.size {
        ShotSize::Height(rows) => frame.size().is_some_and(|size| size.height <= rows),
        _ => true,
    };
    frame.kind == PayloadKind::Jpeg && fits && !form.boxes && form.crop.is_none() && form.file == FileKind::Jpeg
}

/// Returns the pixels of a box with a margin.
fn part([left, top, right, bottom]: &[f64; 4], (width, height): (usize, usize)) -> Part {
    let (across, down) = (width as f64, height as f64);
    let margin = CROP_MARGIN * ((right - left) * across).max((bottom - top) * down);
    let (x, y) = ((left * across - margin).max(0.0).floor(), (top * down - margin).max(0.0).floor());
    let (end, under) = ((right * across + margin).min(across).ceil(), (bottom * down + margin).min(down).ceil());
    Part { of: (width, height), x, y, width: end - x, height: under - y }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Geometry, PixelFormat};

    fn gray(width: u32, height: u32) -> Frame {
        let mut frame = Frame::with_payload(vec![128; (width * height) as usize]);
        frame.geometry = Geometry::tight(PixelFormat::Gray8, width, height).ok();
        frame
    }

    #[test]
    fn sizes_that_are_equal_for_a_frame_share_one_encoding() {
        let frame = Arc::new(gray(640, 352));
        let mut maker = ShotMaker::new(Style::default());
        maker.begin(&frame);
        let mut shot = |size| maker.shot(&frame, &Form::plain(size)).expect("it is encoded").expect("a picture");
        let shots = ShotSize::STEPS.map(&mut shot);
        let same = shot(ShotSize::Height(352));
        assert!(Arc::ptr_eq(&shots[1], &shots[3]) && !Arc::ptr_eq(&shots[0], &shots[1]));
        assert!(Arc::ptr_eq(&shots[1], &same), "h that changes nothing");
        assert_eq!(maker.encoded, 2);
        maker.begin(&frame);
        let _ = maker.shot(&frame, &Form::plain(ShotSize::Full)).expect("a picture");
        assert_eq!(maker.encoded, 3, "another frame");
    }

    #[test]
    fn a_crop_shows_the_most_confident_detection_of_its_class() {
        let mut frame = gray(640, 352);
        let detection = |label, confidence, [xmin, ymin, xmax, ymax]: [f32; 4]| {
            let bbox = BBox { xmin, ymin, xmax, ymax };
            Detection { label, confidence, bbox, ..Detection::default() }
        };
        frame.detections = vec![
            detection(0, 0.9, [f32::NAN, 0.0, 1.0, 1.0]),
            detection(0, 0.6, [0.25, 0.25, 0.5, 0.75]),
            detection(0, 0.5, [0.0, 0.0, 1.0, 1.0]),
            detection(16, 0.9, [0.75, 0.5, 2.0, 0.5]),
            detection(2, 0.9, [0.5, 0.75, 0.25, 0.25]),
        ];
        let frame = Arc::new(frame);
        let mut maker = ShotMaker::new(Style::default());
        maker.begin(&frame);
        let mut shot = |class: &str, size| {
            let form = Form { crop: Some(class.into()), size, ..Form::plain(size) };
            let shot = maker.shot(&frame, &form).expect("it is encoded")?;
            let picture = image::load_from_memory(&shot.file).expect("a JPEG");
            Some((picture.width(), picture.height()))
        };
        // 160x176 pixels, and 18 on each side.
        assert_eq!(shot("person", ShotSize::Full), Some((196, 212)));
        assert_eq!(shot("0", ShotSize::Height(106)), Some((98, 106)));
        assert_eq!(shot("car", ShotSize::Full), Some((196, 212)), "its corners are swapped");
        assert_eq!(shot("dog", ShotSize::Full), None, "its box has no area");
        assert_eq!(shot("cat", ShotSize::Full), None);
    }

    #[test]
    fn boxes_are_drawn_only_where_they_are_asked_for() {
        let mut frame = gray(640, 352);
        let bbox = BBox { xmin: 0.25, ymin: 0.25, xmax: 0.5, ymax: 0.75 };
        frame.detections = vec![Detection { confidence: 0.9, bbox, ..Detection::default() }];
        let frame = Arc::new(frame);
        let mut maker = ShotMaker::new(Style::default());
        maker.begin(&frame);
        let mut edge = |boxes| {
            let form = Form { boxes, file: FileKind::Png, ..Form::plain(ShotSize::Full) };
            let shot = maker.shot(&frame, &form).expect("it is encoded").expect("a picture");
            let picture = image::load_from_memory(&shot.file).expect("a PNG").to_rgb8();
            picture.get_pixel(160, 176).0
        };
        let color = crate::overlay::class_color(0);
        assert_eq!(edge(true), [(color >> 16) as u8, (color >> 8) as u8, color as u8]);
        assert_eq!(edge(false), [128; 3]);
    }
}
