//! The pixel under the pointer, and its value.

use std::sync::Arc;

use crate::convert::{ConvertError, Converter, PixelValue};
use crate::frame::{Frame, PayloadKind};

/// Time for which the value of a JPEG is kept: finding it decodes all of the picture.
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

/// Reads the values of pixels.
#[derive(Debug, Default)]
pub(super) struct Hover {
    /// The pointer, if it is in the window.
    pub(super) at: Option<(i32, i32)>,
    converter: Converter,
    /// What was read last of a JPEG, and the time until which it is kept.
    last: Option<(PixelAt, u64)>,
}

impl Hover {
    /// Returns the value of a pixel of the frame that a camera shows.
    pub(super) fn value(&mut self, frame: &Arc<Frame>, at: PixelAt, now_ns: u64) -> PixelAt {
        if let Some((last, until_ns)) = self.last
            && (last.camera, last.pixel) == (at.camera, at.pixel)
            && now_ns < until_ns
        {
            return last;
        }
        let value: Result<PixelValue, ConvertError> = self.converter.value(frame, at.pixel);
        let found = PixelAt { value: value.ok(), ..at };
        let is_jpeg = frame.kind == PayloadKind::Jpeg;
        self.last = is_jpeg.then_some((found, now_ns.saturating_add(JPEG_INTERVAL_NS)));
        found
    }
}
