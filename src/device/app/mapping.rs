//! Maps boxes from the model's input to the pictures in the stream.

use super::{Fit, Size};

/// `x' = x_offset + x_scale * x`, and the same for `y`, in 0..1 of width and height.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // The formula explains the fields.
pub struct BoxMapping {
    pub x_offset: f64,
    pub x_scale: f64,
    pub y_offset: f64,
    pub y_scale: f64,
}

impl BoxMapping {
    /// Changes nothing.
    pub const IDENTITY: Self = Self { x_offset: 0.0, x_scale: 1.0, y_offset: 0.0, y_scale: 1.0 };

    /// From a model's input to the preview.
    pub(super) fn of_input(preview: Size, input: Size, fit: Fit) -> Self {
        let middle = middle(preview, input);
        match fit {
            Fit::Same | Fit::Stretch => Self::IDENTITY,
            Fit::Crop => Self::inside(middle),
            // The preview is in the middle of the input.
            Fit::Letterbox => Self::inside(self::middle(input, preview)).inverse(),
        }
    }

    /// From a preview to the video. The preview is the middle of the video.
    pub(super) fn of_preview(video: Size, preview: Size) -> Self {
        Self::inside(middle(video, preview))
    }

    /// From a part in the middle to the whole. The part has these shares of its width and height.
    fn inside((width, height): (f64, f64)) -> Self {
        Self { x_offset: (1.0 - width) / 2.0, x_scale: width, y_offset: (1.0 - height) / 2.0, y_scale: height }
    }

    fn inverse(self) -> Self {
        let Self { x_offset, x_scale, y_offset, y_scale } = self;
        Self {
            x_offset: -x_offset / x_scale,
            x_scale: 1.0 / x_scale,
            y_offset: -y_offset / y_scale,
            y_scale: 1.0 / y_scale,
        }
    }

    /// Applies `self`, then `next`.
    #[must_use]
    pub(super) fn then(self, next: Self) -> Self {
        Self {
            x_offset: next.x_offset + next.x_scale * self.x_offset,
            x_scale: next.x_scale * self.x_scale,
            y_offset: next.y_offset + next.y_scale * self.y_offset,
            y_scale: next.y_scale * self.y_scale,
        }
    }
}

/// The shares of width and height of `whole` that the largest area with the shape of `part` takes.
fn middle(whole: Size, part: Size) -> (f64, f64) {
    let shape = |size: Size| f64::from(size.width) / f64::from(size.height);
    let (whole, part) = (shape(whole), shape(part));
    if part < whole { (part / whole, 1.0) } else { (1.0, whole / part) }
}
