//! Reads samples that colors do not show: single pixels, for people who point at them, and depth.

use std::fmt;

use super::{ConvertError, Converter, Placement};
use crate::frame::{Frame, Geometry, Part, PayloadKind, Picture, PixelFormat};

/// Value of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelValue {
    /// Red, green and blue.
    Color([u8; 3]),
    /// One channel, in its own range.
    Gray(u16),
    /// Sample of a RAW16 picture: a distance in millimeters if the camera sends depth, otherwise a disparity.
    Depth(u16),
}

impl fmt::Display for PixelValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Color([r, g, b]) => write!(f, "rgb {r} {g} {b}"),
            Self::Gray(value) => write!(f, "gray {value}"),
            Self::Depth(0) => f.write_str("not measured"),
            Self::Depth(value) => write!(f, "{value} ({:.2} m if depth)", f64::from(*value) / 1000.0),
        }
    }
}

impl Converter {
    /// Copies the samples of a RAW16 frame, row by row without padding: millimeters if the camera sends depth, otherwise
    /// disparities. Returns width and height, or `None` if the frame has another format.
    ///
    /// # Errors
    /// As [`Self::picture`].
    pub fn depth(&mut self, frame: &Frame, into: &mut Vec<u16>) -> Result<Option<(u32, u32)>, ConvertError> {
        let is_depth = frame.is_depth();
        if !is_depth {
            return Ok(None);
        }
        let (Geometry { width, height, .. }, layout) = self.prepare(frame, 1)?;
        into.clear();
        for row in layout.planes()[0].rows_of(frame.payload()) {
            into.extend(row.as_chunks().0.iter().map(|sample| u16::from_le_bytes(*sample)));
        }
        Ok(Some((width, height)))
    }

    /// Returns the value of a pixel. Decodes all of a JPEG.
    ///
    /// # Errors
    /// As [`Self::picture`].
    pub fn value(&mut self, frame: &Frame, (x, y): (usize, usize)) -> Result<PixelValue, ConvertError> {
        use PixelFormat::{Gray8, GrayF16, Pack10, Pack12, Raw8, Raw10, Raw12, Raw14, Raw16, Yuv400p};
        let mut pixel = Picture::default();
        let mut inside = (0, 0);
        self.scaled(
            frame,
            |of| {
                inside = (x.min(of.0.saturating_sub(1)), y.min(of.1.saturating_sub(1)));
                let part = Part { of, x: inside.0 as f64, y: inside.1 as f64, width: 1.0, height: 1.0 };
                Placement { part, size: (1, 1) }
            },
            &mut pixel,
        )?;
        let [_, r, g, b] = pixel.words().first().copied().unwrap_or_default().to_be_bytes();
        let raw = frame.geometry.filter(|_| frame.kind == PayloadKind::Raw);
        let Some(geometry) = raw else { return Ok(PixelValue::Color([r, g, b])) };
        let wide = || -> Result<u16, ConvertError> {
            let layout = geometry.layout_in(frame.payload().len())?;
            let plane = layout.planes()[0];
            let at = plane.offset + inside.1 * plane.stride + 2 * inside.0;
            Ok(u16::from_le_bytes([frame.payload()[at], frame.payload()[at + 1]]))
        };
        Ok(match geometry.format {
            Raw16 => PixelValue::Depth(wide()?),
            Raw10 | Raw12 | Raw14 => PixelValue::Gray(wide()?),
            Gray8 | Raw8 | Yuv400p | GrayF16 | Pack10 | Pack12 => PixelValue::Gray(u16::from(g)),
            _ => PixelValue::Color([r, g, b]),
        })
    }
}
