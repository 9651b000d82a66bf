//! Pictures of one frame as JPEG, with its detections.

use std::sync::Arc;

use axum::body::Bytes;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use serde::Serialize;

use crate::convert::{ConvertError, Converter, Placement};
use crate::frame::{Frame, NamedDetection, Part, PayloadKind, Picture, Received, Size, Track};
use crate::overlay::Style;
use crate::view::fitted;

/// Quality of encoded pictures, 1 to 100.
const QUALITY: u8 = 80;

/// Largest width and height of a picture in pixels; frames are never enlarged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShotSize {
    Small,
    Medium,
    Large,
    /// The size of the frame.
    Full,
}

impl ShotSize {
    pub(super) const ALL: [Self; 4] = [Self::Small, Self::Medium, Self::Large, Self::Full];

    /// Returns the longest side in pixels.
    const fn side(self) -> usize {
        match self {
            Self::Small => 480,
            Self::Medium => 960,
            Self::Large => 1920,
            Self::Full => usize::MAX,
        }
    }

    /// Returns the smallest size that fills this many pixels.
    pub(super) fn for_width(pixels: u32) -> Self {
        let fills = |size: &Self| size.side() >= pixels as usize;
        Self::ALL.into_iter().find(fills).unwrap_or(Self::Full)
    }

    fn of(self, frame: (usize, usize)) -> (usize, usize) {
        let side = self.side();
        if frame.0.max(frame.1) <= side { frame } else { fitted(frame, (side, side)) }
    }
}

/// One frame as viewers get it.
#[derive(Debug)]
pub(super) struct Shot {
    /// The file: that of the camera, or one that was encoded.
    pub(super) jpeg: Bytes,
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
    #[error("a JPEG has at most 65535x65535 pixels, but the picture has {0}")]
    TooLarge(Size),
    #[error("cannot encode the picture: {0}")]
    Encode(String),
}

/// Makes the pictures of one camera.
pub(super) struct ShotMaker {
    style: Style,
    converter: Converter,
    picture: Picture,
    /// Pictures of the current frame.
    made: Vec<((usize, usize), Arc<Shot>)>,
    description: Arc<str>,
    /// Pictures that were encoded since the start.
    pub(super) encoded: u64,
}

impl ShotMaker {
    pub(super) fn new(style: Style) -> Self {
        Self {
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
        self.description = self.describe(frame);
    }

    fn describe(&self, frame: &Frame) -> Arc<str> {
        let names = self.style.names(frame.labels.as_deref());
        let shown = frame.detections.iter().filter(|detection| self.style.shows(detection, names));
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
        serde_json::to_string(&description).unwrap_or_default().into()
    }

    /// Returns the picture of the current frame in this size. Sizes that are equal for this frame share one.
    pub(super) fn shot(&mut self, frame: &Arc<Frame>, size: ShotSize) -> Result<Arc<Shot>, ShotError> {
        if frame.kind == PayloadKind::Jpeg {
            let untouched = |(_, shot): &((usize, usize), Arc<Shot>)| Arc::clone(shot);
            return Ok(self.made.first().map(untouched).unwrap_or_else(|| {
                let jpeg = Bytes::from_owner(Payload(Arc::clone(frame)));
                self.keep((0, 0), Shot { jpeg, received: frame.received, description: Arc::clone(&self.description) })
            }));
        }
        let mut pixels = (0, 0);
        if let Some(whole) = frame.size() {
            pixels = size.of((whole.width as usize, whole.height as usize));
            if let Some((_, shot)) = self.made.iter().find(|(made, _)| *made == pixels) {
                return Ok(Arc::clone(shot));
            }
        }
        let place = |whole: (usize, usize)| Placement { part: Part::whole(whole.0, whole.1), size: size.of(whole) };
        self.converter.scaled(frame, place, &mut self.picture)?;
        let jpeg = Bytes::from(encode(&self.picture)?);
        self.encoded += 1;
        let description = Arc::clone(&self.description);
        Ok(self.keep(pixels, Shot { jpeg, received: frame.received, description }))
    }

    fn keep(&mut self, pixels: (usize, usize), shot: Shot) -> Arc<Shot> {
        let shot = Arc::new(shot);
        self.made.push((pixels, Arc::clone(&shot)));
        shot
    }
}

/// Encodes a picture with halved chroma, as cameras do.
fn encode(picture: &Picture) -> Result<Vec<u8>, ShotError> {
    let (Ok(width), Ok(height)) = (u16::try_from(picture.width), u16::try_from(picture.height)) else {
        return Err(ShotError::TooLarge(picture.size()));
    };
    let mut file = Vec::with_capacity(picture.words().len() / 4);
    let mut encoder = Encoder::new(&mut file, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    let failed = |error: jpeg_encoder::EncodingError| ShotError::Encode(error.to_string());
    if cfg!(target_endian = "little") {
        // The bytes of a word 0x00RRGGBB are blue, green, red and 0.
        encoder.encode(bytemuck::cast_slice(picture.words()), width, height, ColorType::Bgra).map_err(failed)?;
    } else {
        let rgb: Vec<u8> = picture.rgb().collect();
        encoder.encode(&rgb, width, height, ColorType::Rgb).map_err(failed)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Geometry, PixelFormat};

    fn gray(width: u32, height: u32) -> Arc<Frame> {
        let mut frame = Frame::with_payload(vec![128; (width * height) as usize]);
        frame.geometry = Geometry::tight(PixelFormat::Gray8, width, height).ok();
        Arc::new(frame)
    }

    #[test]
    fn a_width_selects_the_smallest_size_that_fills_it() {
        for (pixels, size) in [(0, ShotSize::Small), (480, ShotSize::Small), (481, ShotSize::Medium)] {
            assert_eq!(ShotSize::for_width(pixels), size);
        }
        assert_eq!(ShotSize::for_width(u32::MAX), ShotSize::Full);
        assert_eq!(ShotSize::Small.of((1920, 1080)), (480, 270));
        assert_eq!(ShotSize::Small.of((1080, 1920)), (270, 480));
        assert_eq!(ShotSize::Large.of((640, 352)), (640, 352), "never enlarged");
    }

    #[test]
    fn sizes_that_are_equal_for_a_frame_share_one_encoding() {
        let frame = gray(640, 352);
        let mut maker = ShotMaker::new(Style::default());
        maker.begin(&frame);
        let shots: Vec<_> = ShotSize::ALL.iter().map(|size| maker.shot(&frame, *size).expect("a picture")).collect();
        assert_eq!(maker.encoded, 2);
        assert!(Arc::ptr_eq(&shots[1], &shots[3]) && !Arc::ptr_eq(&shots[0], &shots[1]));
        maker.begin(&frame);
        let _ = maker.shot(&frame, ShotSize::Full).expect("a picture");
        assert_eq!(maker.encoded, 3, "another frame");
    }
}
