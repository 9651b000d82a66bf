//! Pixel formats: their names, and the arrangement of their planes.

use std::fmt;
use std::str::FromStr;

use super::mosaic::{self, BayerOrder, MosaicSamples};
use super::spelling::by_similarity;

/// The formats that a camera can send: those of depthai's `ImgFrame::Type` (wire.md section 6), JPEG, and mosaics of colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names are the vendor's; the table in wire.md section 6 is their documentation.
pub enum PixelFormat {
    Bgr888p,
    Rgb888p,
    Bgr888i,
    Rgb888i,
    Nv12,
    Nv21,
    Yuv420p,
    Yuv422i,
    Yuv422p,
    Yuv444p,
    Yuv444i,
    Yuv400p,
    Gray8,
    Raw8,
    Raw16,
    Raw14,
    Raw12,
    Raw10,
    Pack10,
    Pack12,
    Rgba8888,
    Rgb161616,
    RgbF16p,
    BgrF16p,
    RgbF16i,
    BgrF16i,
    GrayF16,
    Jpeg,
    /// Samples behind a color filter, named like `RAW8:RGGB`. No stream says that its samples are those, or in which order: the
    /// user does, with `--format`.
    Bayer(MosaicSamples, BayerOrder),
}

impl PixelFormat {
    /// All formats but the mosaics, most likely first: the order in which a payload is tried.
    pub const ALL: [Self; 28] = [
        Self::Bgr888p,
        Self::Rgb888p,
        Self::Nv12,
        Self::Gray8,
        Self::Raw16,
        Self::Bgr888i,
        Self::Rgb888i,
        Self::Yuv420p,
        Self::Nv21,
        Self::Rgba8888,
        Self::BgrF16p,
        Self::RgbF16p,
        Self::BgrF16i,
        Self::RgbF16i,
        Self::Rgb161616,
        Self::Yuv422i,
        Self::Yuv422p,
        Self::Yuv444p,
        Self::Yuv444i,
        Self::Yuv400p,
        Self::Raw8,
        Self::Raw10,
        Self::Raw12,
        Self::Raw14,
        Self::GrayF16,
        Self::Pack10,
        Self::Pack12,
        Self::Jpeg,
    ];

    /// All mosaics of colors.
    pub const MOSAICS: [Self; 24] = mosaic::ALL;

    /// Returns the vendor's name, for a mosaic with the order of its colors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bgr888p => "BGR888p",
            Self::Rgb888p => "RGB888p",
            Self::Bgr888i => "BGR888i",
            Self::Rgb888i => "RGB888i",
            Self::Nv12 => "NV12",
            Self::Nv21 => "NV21",
            Self::Yuv420p => "YUV420p",
            Self::Yuv422i => "YUV422i",
            Self::Yuv422p => "YUV422p",
            Self::Yuv444p => "YUV444p",
            Self::Yuv444i => "YUV444i",
            Self::Yuv400p => "YUV400p",
            Self::Gray8 => "GRAY8",
            Self::Raw8 => "RAW8",
            Self::Raw16 => "RAW16",
            Self::Raw14 => "RAW14",
            Self::Raw12 => "RAW12",
            Self::Raw10 => "RAW10",
            Self::Pack10 => "PACK10",
            Self::Pack12 => "PACK12",
            Self::Rgba8888 => "RGBA8888",
            Self::Rgb161616 => "RGB161616",
            Self::RgbF16p => "RGBF16F16F16p",
            Self::BgrF16p => "BGRF16F16F16p",
            Self::RgbF16i => "RGBF16F16F16i",
            Self::BgrF16i => "BGRF16F16F16i",
            Self::GrayF16 => "GRAYF16",
            Self::Jpeg => "JPEG",
            Self::Bayer(samples, order) => mosaic::name(samples, order),
        }
    }

    /// Returns the arrangement of the planes; `None` for encoded formats.
    pub(super) fn shape(self) -> Option<Shape> {
        let planes = |planes, group, bits| Some(Shape { planes, group, bits, chroma: Chroma::Full });
        let chroma = |chroma| Some(Shape { planes: 1, group: 1, bits: 8, chroma });
        match self {
            Self::Bgr888p | Self::Rgb888p | Self::Yuv444p => planes(3, 1, 8),
            Self::Bgr888i | Self::Rgb888i | Self::Yuv444i => planes(1, 1, 24),
            Self::Nv12 | Self::Nv21 => chroma(Chroma::PairedHalf),
            Self::Yuv420p => chroma(Chroma::Quarter),
            Self::Yuv422p => chroma(Chroma::HalfWidth),
            Self::Yuv422i => planes(1, 2, 16),
            Self::Yuv400p | Self::Gray8 | Self::Raw8 => planes(1, 1, 8),
            Self::Raw16 | Self::Raw14 | Self::Raw12 | Self::Raw10 | Self::GrayF16 => planes(1, 1, 16),
            Self::Pack10 => planes(1, 4, 10),
            Self::Pack12 => planes(1, 2, 12),
            Self::Rgba8888 => planes(1, 1, 32),
            Self::Rgb161616 | Self::RgbF16p | Self::BgrF16p => planes(3, 1, 16),
            Self::RgbF16i | Self::BgrF16i => planes(1, 1, 48),
            Self::Jpeg => None,
            Self::Bayer(samples, _) => samples.gray().shape(),
        }
    }

    /// Returns whether the chroma planes have half as many rows as the picture.
    #[must_use]
    pub fn has_half_rows(self) -> bool {
        self.shape().is_some_and(|shape| match shape.chroma {
            Chroma::PairedHalf | Chroma::Quarter => true,
            Chroma::Full | Chroma::HalfWidth => false,
        })
    }
}

/// `planes` equal planes, then those of the chroma. Rows are rounded up to groups of `group` pixels of `bits` each.
pub(super) struct Shape {
    pub(super) planes: u8,
    group: u32,
    bits: u32,
    pub(super) chroma: Chroma,
}

/// The chroma planes after the first plane.
#[derive(Clone, Copy)]
pub(super) enum Chroma {
    /// No chroma planes of another size: all planes are like the first.
    Full,
    /// One plane of alternating U and V, half the width and half the height.
    PairedHalf,
    /// Two planes, each half the width and half the height.
    Quarter,
    /// Two planes, each half the width.
    HalfWidth,
}

impl Shape {
    /// Returns the bytes per row of the first plane.
    pub(super) fn row(&self, width: u32) -> u64 {
        let groups = u64::from(width.div_ceil(self.group));
        groups * u64::from(self.group) * u64::from(self.bits) / 8
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is not a pixel format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPixelFormat(pub String);

impl std::error::Error for UnknownPixelFormat {}

impl fmt::Display for UnknownPixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.0;
        match name.to_ascii_uppercase().as_str() {
            order @ ("RGB" | "BGR") => write!(
                f,
                "ambiguous pixel format `{name}`; expected {order}888i (three bytes per pixel) or {order}888p (three planes)"
            ),
            _ => {
                let known = if name.contains(':') {
                    by_similarity(name, PixelFormat::MOSAICS.map(PixelFormat::name)).join(", ")
                } else {
                    by_similarity(name, PixelFormat::ALL.map(PixelFormat::name)).join(", ")
                };
                write!(f, "unknown pixel format `{name}`; expected one of {known}")
            }
        }
    }
}

impl FromStr for PixelFormat {
    type Err = UnknownPixelFormat;

    /// Parses the result of [`PixelFormat::name`], as in `@D` records and `--format`. Ignores case.
    fn from_str(name: &str) -> Result<Self, UnknownPixelFormat> {
        let known = Self::ALL.into_iter().chain(Self::MOSAICS).find(|format| format.name().eq_ignore_ascii_case(name));
        known.ok_or_else(|| UnknownPixelFormat(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_are_unique() {
        for format in PixelFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
            assert_eq!(format.to_string().to_lowercase().parse(), Ok(format));
        }
        let error = "BGR999".parse::<PixelFormat>().unwrap_err().to_string();
        assert!(error.starts_with("unknown pixel format `BGR999`; expected one of BGR888p, "), "{error}");
        for (name, nearest) in [("RGB8", "RGB888p"), ("nv16", "NV12"), ("MONO8", "GRAY8"), ("YUV420", "YUV420p")] {
            let error = name.parse::<PixelFormat>().unwrap_err().to_string();
            assert!(error.contains(&format!("expected one of {nearest}, ")), "{error}");
            assert!(PixelFormat::ALL.into_iter().all(|format| error.contains(format.name())), "{error}");
        }
        for name in ["gray", "GREY8", "mjpeg", "RGBF16P", ""] {
            assert!(name.parse::<PixelFormat>().is_err(), "{name} is in no list of names");
        }
    }

    #[test]
    fn name_without_an_arrangement_is_ambiguous() {
        let error = |name: &str| name.parse::<PixelFormat>().unwrap_err().to_string();
        assert_eq!(
            error("rgb"),
            "ambiguous pixel format `rgb`; expected RGB888i (three bytes per pixel) or RGB888p (three planes)"
        );
        assert!(error("BGR").contains("BGR888i") && error("BGR").contains("BGR888p"));
    }
}
