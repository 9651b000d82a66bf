//! The pixel under the pointer, and its value.

use crate::convert::{Converter, PixelValue};
use crate::frame::{Frame, PayloadKind, Picture};

/// Time for which a decoded JPEG is kept.
const JPEG_INTERVAL_NS: u64 = 250_000_000;

/// A pixel of a camera's picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelAt {
    /// Index of the camera.
    pub camera: usize,
    /// Column and row in the camera's frame.
    pub pixel: (usize, usize),
    /// Value, if the frame can be converted.
    pub value: Option<PixelValue>,
}

impl PixelAt {
    /// Returns the position and the value as text, and the characters that the longest of a frame of this size have. They
    /// are reserved, so that nothing beside them moves with each pixel.
    pub(super) fn texts(&self, of: (usize, usize)) -> [(String, usize); 2] {
        let position = |(x, y): (usize, usize)| format!("{x}, {y}");
        let last = position((of.0.saturating_sub(1), of.1.saturating_sub(1)));
        let longest = |value| match value {
            PixelValue::Color(_) => PixelValue::Color([255; 3]),
            PixelValue::Gray(_) => PixelValue::Gray(u16::MAX),
            PixelValue::Depth(_) => PixelValue::Depth(u16::MAX),
        };
        let value = self.value.map_or_else(Default::default, |value| {
            (format!("  {value}"), 2 + longest(value).to_string().chars().count())
        });
        [(position(self.pixel), last.chars().count()), value]
    }
}

/// Reads the values of pixels.
#[derive(Debug, Default)]
pub(super) struct Hover {
    /// The pointer, if it is in the window.
    pub(super) at: Option<(i32, i32)>,
    converter: Converter,
    decoded: Option<Decoded>,
}

/// A decoded JPEG. Kept for a while, because a pointer that moves over a fast stream would decode all the time.
#[derive(Debug)]
struct Decoded {
    camera: usize,
    until_ns: u64,
    picture: Picture,
}

impl Hover {
    /// Returns the value of a pixel of the frame that a camera shows.
    pub(super) fn value(&mut self, frame: &Frame, at: PixelAt, now_ns: u64) -> PixelAt {
        if frame.kind != PayloadKind::Jpeg {
            return PixelAt { value: self.converter.value(frame, at.pixel).ok(), ..at };
        }
        let kept = self.decoded.take().filter(|decoded| decoded.camera == at.camera && now_ns < decoded.until_ns);
        self.decoded = kept.or_else(|| {
            let mut picture = Picture::default();
            self.converter.picture(frame, &mut picture).ok()?;
            Some(Decoded { camera: at.camera, until_ns: now_ns.saturating_add(JPEG_INTERVAL_NS), picture })
        });
        let word = self.decoded.as_ref().and_then(|Decoded { picture, .. }| {
            let (x, y) = at.pixel;
            picture.words().get(y * picture.width + x).filter(|_| x < picture.width)
        });
        let value = word.map(|word| {
            let [_, r, g, b] = word.to_be_bytes();
            PixelValue::Color([r, g, b])
        });
        PixelAt { value, ..at }
    }
}
