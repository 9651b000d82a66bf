//! Width and height as a value.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Width and height in pixels; `640x352` as text. Parsing rejects 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[allow(missing_docs)] // The names are the docs.
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl Size {
    /// Makes a size of any width and height, also of 0.
    #[must_use]
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Makes a size of in-memory lengths. Lengths above `u32::MAX` become `u32::MAX`, which no image format accepts.
    #[must_use]
    pub fn saturating(width: usize, height: usize) -> Self {
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        Self::new(side(width), side(height))
    }

    /// Returns the number of pixels.
    #[must_use]
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
        match size {
            Some((width, height)) if width > 0 && height > 0 => Ok(Self { width, height }),
            Some(_) => Err(format!("expected a size of at least 1x1, found `{text}`")),
            _ => Err(format!("expected a size such as 640x352, found `{text}`")),
        }
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let size = Size::new(640, 352);
        assert_eq!((size.to_string().as_str(), "640x352".parse()), ("640x352", Ok(size)));
        assert_eq!(size.pixels(), 225_280);
    }

    #[test]
    fn invalid_sizes_are_rejected() {
        for text in ["", "640", "640x", "x352", "-1x1", "640x352x3", "640X352", "4294967296x1"] {
            assert_eq!(text.parse::<Size>(), Err(format!("expected a size such as 640x352, found `{text}`")));
        }
        for text in ["0x1", "1x0", "0x0"] {
            assert_eq!(text.parse::<Size>(), Err(format!("expected a size of at least 1x1, found `{text}`")));
        }
    }
}
