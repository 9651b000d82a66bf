//! Mosaics of colors: sensors with a color filter (Bayer) measure one color per pixel.

use std::fmt;

use super::pixel::PixelFormat;

/// The storage of a mosaic's samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // As those of `PixelFormat`.
pub enum MosaicSamples {
    Raw8,
    Raw10,
    Raw12,
    Raw14,
    Pack10,
    Pack12,
}

impl MosaicSamples {
    const ALL: [Self; 6] = [Self::Raw8, Self::Raw10, Self::Raw12, Self::Raw14, Self::Pack10, Self::Pack12];

    /// Returns the format with the same bytes that is not a mosaic.
    #[must_use]
    pub const fn gray(self) -> PixelFormat {
        match self {
            Self::Raw8 => PixelFormat::Raw8,
            Self::Raw10 => PixelFormat::Raw10,
            Self::Raw12 => PixelFormat::Raw12,
            Self::Raw14 => PixelFormat::Raw14,
            Self::Pack10 => PixelFormat::Pack10,
            Self::Pack12 => PixelFormat::Pack12,
        }
    }
}

/// The colors of the upper left 2x2 pixels of a sensor: two of the first row, then two of the second. Names as in V4L2 and
/// Foxglove; OpenCV names the colors of the second row and column (`COLOR_BayerBG2BGR` is RGGB).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names are their documentation.
pub enum BayerOrder {
    Rggb,
    Bggr,
    Gbrg,
    Grbg,
}

impl BayerOrder {
    /// All orders.
    pub const ALL: [Self; 4] = [Self::Rggb, Self::Bggr, Self::Gbrg, Self::Grbg];

    /// Returns the column and row of red, each 0 or 1. Blue is diagonally opposite.
    #[must_use]
    pub const fn red(self) -> (usize, usize) {
        match self {
            Self::Rggb => (0, 0),
            Self::Bggr => (1, 1),
            Self::Gbrg => (0, 1),
            Self::Grbg => (1, 0),
        }
    }

    /// Returns the usual name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rggb => "RGGB",
            Self::Bggr => "BGGR",
            Self::Gbrg => "GBRG",
            Self::Grbg => "GRBG",
        }
    }
}

impl fmt::Display for BayerOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// All mosaics: each storage of samples in each order of colors.
pub(super) const ALL: [PixelFormat; 24] = {
    let mut all = [PixelFormat::Jpeg; 24];
    let mut n = 0;
    while n < all.len() {
        all[n] = PixelFormat::Bayer(MosaicSamples::ALL[n / 4], BayerOrder::ALL[n % 4]);
        n += 1;
    }
    all
};

/// Returns the name of a mosaic: the vendor's name of its samples, a colon and the order of its colors.
pub(super) const fn name(samples: MosaicSamples, order: BayerOrder) -> &'static str {
    // In the order of the variants.
    const NAMES: [[&str; 4]; 6] = [
        ["RAW8:RGGB", "RAW8:BGGR", "RAW8:GBRG", "RAW8:GRBG"],
        ["RAW10:RGGB", "RAW10:BGGR", "RAW10:GBRG", "RAW10:GRBG"],
        ["RAW12:RGGB", "RAW12:BGGR", "RAW12:GBRG", "RAW12:GRBG"],
        ["RAW14:RGGB", "RAW14:BGGR", "RAW14:GBRG", "RAW14:GRBG"],
        ["PACK10:RGGB", "PACK10:BGGR", "PACK10:GBRG", "PACK10:GRBG"],
        ["PACK12:RGGB", "PACK12:BGGR", "PACK12:GBRG", "PACK12:GRBG"],
    ];
    NAMES[samples as usize][order as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_storage_and_the_order_of_the_colors() {
        for format in PixelFormat::MOSAICS {
            let PixelFormat::Bayer(samples, order) = format else { panic!("{format} is a mosaic") };
            assert_eq!(format.name(), format!("{}:{order}", samples.gray()));
            assert_eq!(format.name().to_lowercase().parse(), Ok(format));
            // Red is at the place of the letter R.
            let (x, y) = order.red();
            assert_eq!(order.name().find('R'), Some(2 * y + x), "{order}");
        }
    }

    #[test]
    fn misspelled_orders_get_the_orders_of_their_storage_first() {
        let error = "RAW10:RGB".parse::<PixelFormat>().unwrap_err().to_string();
        assert!(error.starts_with("unknown pixel format `RAW10:RGB`; expected one of RAW10:"), "{error}");
        let error = "NV12:RGGB".parse::<PixelFormat>().unwrap_err().to_string();
        assert!(error.contains("RAW8:RGGB") && error.contains("PACK12:GRBG"), "{error}");
    }
}
