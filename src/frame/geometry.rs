//! The layout of a payload in memory. Performs all length checks of raw payloads.

use std::fmt;

use super::pixel::{Chroma, PixelFormat};

/// Format, size and padding of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Pixel format.
    pub format: PixelFormat,
    /// Pixels per row.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
    /// Bytes from one row of the first plane to the next; 0 for encoded formats.
    pub stride: u32,
    /// Rows from the start of one plane to the start of the next: `height`, or more if planes are padded; 0 for encoded
    /// formats.
    pub plane_rows: u32,
}

/// Reason for rejecting a [`Geometry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// The picture has no pixels.
    #[error("invalid size {width}x{height}: width and height must be at least 1")]
    Empty {
        /// Pixels per row.
        width: u32,
        /// Number of rows.
        height: u32,
    },
    /// The stride is shorter than a row.
    #[error("stride of {stride} bytes is too short: a row of {width} {format} pixels has {row} bytes")]
    Stride {
        /// Pixel format.
        format: PixelFormat,
        /// Pixels per row.
        width: u32,
        /// Bytes per row.
        row: u64,
        /// Bytes from one row to the next.
        stride: u32,
    },
    /// The planes overlap.
    #[error("planes of {rows} rows are too short: the picture has {height} rows")]
    PlaneRows {
        /// Number of rows of the picture.
        height: u32,
        /// Rows from one plane to the next.
        rows: u32,
    },
    /// The picture exceeds the address space.
    #[error("{width}x{height} {format} is too large for the address space")]
    Huge {
        /// Pixel format.
        format: PixelFormat,
        /// Pixels per row.
        width: u32,
        /// Number of rows.
        height: u32,
    },
    /// The format is encoded.
    #[error("{0} is encoded and has no pixel layout")]
    Encoded(PixelFormat),
    /// The payload is shorter than the picture.
    #[error("{geometry} needs {needed} bytes, but the payload has {found}")]
    Short {
        /// The expected layout.
        geometry: Geometry,
        /// Fewest bytes of that layout.
        needed: usize,
        /// Bytes in the payload.
        found: usize,
    },
}

/// Position of one plane in the payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plane {
    /// Offset of the first row in bytes.
    pub offset: usize,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Bytes per row, without padding.
    pub row: usize,
    /// Number of rows, without padding.
    pub rows: usize,
}

impl Plane {
    /// Iterates over the rows, without padding.
    pub fn rows_of<'a>(&self, payload: &'a [u8]) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let Self { offset, stride, row, rows } = *self;
        (0..rows).map(move |y| &payload[offset + y * stride..][..row])
    }

    /// Returns all rows as one slice, if they are not padded.
    #[must_use]
    pub fn whole<'a>(&self, payload: &'a [u8]) -> Option<&'a [u8]> {
        (self.stride == self.row).then(|| &payload[self.offset..][..self.row * self.rows])
    }
}

/// Positions of all planes. Made by the size checks only, so that code that has one need not check again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    planes: [Plane; 3],
    count: usize,
    /// Length of the picture in bytes, with all padding.
    pub byte_len: usize,
    /// Length up to the end of the last row, which is less than `byte_len` if that row is padded.
    pub needed: usize,
}

impl Layout {
    /// Returns the one to three planes in payload order.
    #[must_use]
    pub fn planes(&self) -> &[Plane] {
        &self.planes[..self.count]
    }
}

impl Geometry {
    /// Makes a geometry without padding.
    ///
    /// # Errors
    /// If the picture has no pixels or exceeds the address space.
    pub fn tight(format: PixelFormat, width: u32, height: u32) -> Result<Self, GeometryError> {
        let huge = GeometryError::Huge { format, width, height };
        let (stride, plane_rows) = match format.shape() {
            Some(shape) => (u32::try_from(shape.row(width)).map_err(|_| huge)?, height),
            None => (0, 0),
        };
        let geometry = Self { format, width, height, stride, plane_rows };
        geometry.check()
    }

    /// Sets the stride of the first plane in bytes. The stride of planes of half its width follows from it.
    ///
    /// # Errors
    /// If a row is longer than `stride`, or the format is encoded.
    pub fn with_stride(self, stride: u32) -> Result<Self, GeometryError> {
        let geometry = Self { stride, ..self };
        geometry.layout().map(|_| geometry)
    }

    /// Sets the rows from the start of one plane to the start of the next.
    ///
    /// # Errors
    /// If `rows` is less than the height, or the format is encoded.
    pub fn with_plane_rows(self, rows: u32) -> Result<Self, GeometryError> {
        let geometry = Self { plane_rows: rows, ..self };
        geometry.layout().map(|_| geometry)
    }

    fn check(self) -> Result<Self, GeometryError> {
        match self.layout() {
            Ok(_) | Err(GeometryError::Encoded(_)) => Ok(self),
            Err(error) => Err(error),
        }
    }

    /// Returns the length of the picture in bytes, with padding; `None` for encoded formats and invalid geometries.
    #[must_use]
    pub fn byte_len(&self) -> Option<usize> {
        self.layout().ok().map(|layout| layout.byte_len)
    }

    /// Returns whether rows or planes are padded.
    #[must_use]
    pub fn is_padded(&self) -> bool {
        self.format
            .shape()
            .is_some_and(|shape| u64::from(self.stride) != shape.row(self.width) || self.plane_rows != self.height)
    }

    /// Checks the fields, which may have any values, and computes the positions of the planes.
    ///
    /// # Errors
    /// If the fields contradict each other, or the format is encoded.
    pub fn layout(&self) -> Result<Layout, GeometryError> {
        let Self { format, width, height, stride, plane_rows } = *self;
        if width == 0 || height == 0 {
            return Err(GeometryError::Empty { width, height });
        }
        let shape = format.shape().ok_or(GeometryError::Encoded(format))?;
        let row = shape.row(width);
        if u64::from(stride) < row {
            return Err(GeometryError::Stride { format, width, row, stride });
        }
        if plane_rows < height {
            return Err(GeometryError::PlaneRows { height, rows: plane_rows });
        }
        let half = |n: u32| n.div_ceil(2);
        let first = (stride, row, height, plane_rows);
        // (stride, bytes per row, rows, rows up to the next plane)
        let planes = match shape.chroma {
            Chroma::Full => [first; 3],
            Chroma::PairedHalf => {
                let even = stride.checked_next_multiple_of(2).ok_or(GeometryError::Huge { format, width, height })?;
                let pairs = (even, 2 * u64::from(half(width)), half(height), half(plane_rows));
                [first, pairs, pairs]
            }
            Chroma::Quarter => {
                let chroma = (half(stride), u64::from(half(width)), half(height), half(plane_rows));
                [first, chroma, chroma]
            }
            Chroma::HalfWidth => {
                let chroma = (half(stride), u64::from(half(width)), height, plane_rows);
                [first, chroma, chroma]
            }
        };
        let count = match shape.chroma {
            Chroma::Full => usize::from(shape.planes),
            Chroma::PairedHalf => 2,
            Chroma::Quarter | Chroma::HalfWidth => 3,
        };
        // u128, because three times a product of two u32 does not fit u64. Not done for every frame.
        let (mut at, mut needed) = (0u128, 0u128);
        let mut laid = [Plane::default(); 3];
        for (plane, (stride, row, rows, apart)) in laid.iter_mut().zip(planes).take(count) {
            needed = at + u128::from(rows - 1) * u128::from(stride) + u128::from(row);
            *plane = Plane { offset: at as usize, stride: stride as usize, row: row as usize, rows: rows as usize };
            at += u128::from(apart) * u128::from(stride);
        }
        if at > isize::MAX as u128 {
            return Err(GeometryError::Huge { format, width, height });
        }
        Ok(Layout { planes: laid, count, byte_len: at as usize, needed: needed as usize })
    }

    /// Does the same as [`Self::layout`] for a payload of `found` bytes.
    ///
    /// # Errors
    /// Also if the payload is shorter than the picture.
    pub fn layout_in(&self, found: usize) -> Result<Layout, GeometryError> {
        let layout = self.layout()?;
        if found < layout.needed {
            return Err(GeometryError::Short { geometry: *self, needed: layout.needed, found });
        }
        Ok(layout)
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} {}", self.width, self.height, self.format)?;
        if self.is_padded() {
            write!(f, " (stride {}", self.stride)?;
            if self.plane_rows != self.height {
                write!(f, ", planes of {} rows", self.plane_rows)?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn len(format: PixelFormat, width: u32, height: u32) -> usize {
        Geometry::tight(format, width, height).unwrap().byte_len().unwrap()
    }

    #[test]
    fn lengths_match_the_table_in_wire_md() {
        use PixelFormat::*;
        let rows: [(&[PixelFormat], [usize; 4]); 8] = [
            (&[Bgr888p, Rgb888p, Bgr888i, Rgb888i, Yuv444p, Yuv444i], [675_840, 2_764_800, 6_220_800, 24_883_200]),
            (&[Nv12, Nv21, Yuv420p, Pack12], [337_920, 1_382_400, 3_110_400, 12_441_600]),
            (&[Yuv422i, Yuv422p, Raw16, Raw14, Raw12, Raw10, GrayF16], [450_560, 1_843_200, 4_147_200, 16_588_800]),
            (&[Yuv400p, Gray8, Raw8], [225_280, 921_600, 2_073_600, 8_294_400]),
            (&[Pack10], [281_600, 1_152_000, 2_592_000, 10_368_000]),
            (&[Rgba8888], [901_120, 3_686_400, 8_294_400, 33_177_600]),
            (&[Rgb161616, RgbF16p, BgrF16p, RgbF16i, BgrF16i], [1_351_680, 5_529_600, 12_441_600, 49_766_400]),
            (&[], [0; 4]),
        ];
        let mut seen = 0;
        for (formats, expected) in rows {
            for &format in formats {
                let found = [(640, 352), (1280, 720), (1920, 1080), (3840, 2160)].map(|(w, h)| len(format, w, h));
                assert_eq!(found, expected, "{format}");
                seen += 1;
            }
        }
        assert_eq!(seen, PixelFormat::ALL.len() - 1, "all formats except JPEG");
    }

    #[test]
    fn odd_sizes_round_chroma_up() {
        assert_eq!(len(PixelFormat::Nv12, 5, 3), 15 + 2 * 6);
        assert_eq!(len(PixelFormat::Yuv420p, 5, 3), 15 + 2 * (2 * 3));
        assert_eq!(len(PixelFormat::Yuv422p, 5, 3), 15 + 2 * 9);
        assert_eq!(len(PixelFormat::Yuv422i, 5, 3), 12 * 3);
        assert_eq!(len(PixelFormat::Pack10, 5, 3), 10 * 3);
        assert_eq!(len(PixelFormat::Pack12, 5, 3), 9 * 3);
    }

    #[test]
    fn padding_moves_the_second_plane() {
        let nv12 = Geometry::tight(PixelFormat::Nv12, 300, 300).unwrap();
        let padded = nv12.with_stride(320).unwrap().with_plane_rows(304).unwrap();
        let layout = padded.layout().unwrap();
        assert_eq!(layout.byte_len, 320 * 304 * 3 / 2);
        assert_eq!(layout.planes()[1], Plane { offset: 320 * 304, stride: 320, row: 300, rows: 150 });
        assert_eq!(layout.needed, 320 * 304 + 149 * 320 + 300);
        assert_eq!(padded.to_string(), "300x300 NV12 (stride 320, planes of 304 rows)");
        assert!(padded.is_padded() && !nv12.is_padded());
        assert!(padded.layout_in(layout.needed).is_ok());
        let short = padded.layout_in(layout.needed - 1).unwrap_err();
        assert!(matches!(short, GeometryError::Short { .. }), "{short}");
    }

    #[test]
    fn impossible_sizes_are_errors() {
        let extremes = [0, 1, 2, 3, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];
        for format in PixelFormat::ALL {
            for width in extremes {
                for height in extremes {
                    for stride in extremes {
                        for plane_rows in extremes {
                            let geometry = Geometry { format, width, height, stride, plane_rows };
                            let Ok(layout) = geometry.layout() else { continue };
                            assert!(layout.needed <= layout.byte_len && width > 0 && height > 0, "{geometry:?}");
                            let last = layout.planes().last().unwrap();
                            assert_eq!(last.offset + (last.rows - 1) * last.stride + last.row, layout.needed);
                        }
                    }
                }
            }
        }
        assert_eq!(Geometry::tight(PixelFormat::Gray8, 0, 4), Err(GeometryError::Empty { width: 0, height: 4 }),);
        assert!(Geometry::tight(PixelFormat::Gray8, 4, 4).unwrap().with_stride(3).is_err());
        assert!(Geometry::tight(PixelFormat::Jpeg, 4, 4).unwrap().with_stride(8).is_err());
    }
}
