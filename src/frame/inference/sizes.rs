//! The picture sizes and formats that are tried, in the order of their likelihood.

use crate::frame::{Geometry, PixelFormat};

/// Sizes that OAK cameras send, most likely first: the standalone example, inputs of common networks, sensor and ISP
/// resolutions (wire.md section 6).
pub(super) const COMMON_SIZES: [(u32, u32); 12] = [
    (640, 352),
    (640, 640),
    (416, 416),
    (512, 288),
    (300, 300),
    (640, 400),
    (640, 480),
    (1280, 720),
    (1280, 800),
    (1920, 1080),
    (3840, 2160),
    (4056, 3040),
];

/// Other possible sizes, tried after all common ones.
pub(super) const RARE_SIZES: [(u32, u32); 53] = [
    (512, 512),
    (320, 320),
    (640, 360),
    (640, 384),
    (400, 300),
    (320, 240),
    (320, 180),
    (320, 192),
    (320, 200),
    (480, 270),
    (480, 320),
    (480, 360),
    (256, 192),
    (384, 288),
    (416, 256),
    (416, 320),
    (512, 320),
    (512, 384),
    (448, 448),
    (800, 480),
    (800, 600),
    (848, 480),
    (960, 544),
    (1024, 576),
    (1280, 736),
    (1600, 1200),
    (1280, 1080),
    (544, 320),
    (672, 384),
    (256, 256),
    (224, 224),
    (480, 480),
    (960, 540),
    (1024, 768),
    (1024, 1024),
    (1280, 960),
    (1280, 1024),
    (1440, 1080),
    (1920, 1200),
    (1920, 1440),
    (1352, 1012),
    (1352, 1013),
    (2028, 1520),
    (2560, 1440),
    (2592, 1944),
    (4000, 3000),
    (4032, 3040),
    (4208, 3120),
    (5312, 6000),
    (160, 120),
    (192, 192),
    (160, 160),
    (64, 48),
];

/// [`COMMON_SIZES`] and [`RARE_SIZES`] of cameras that are mounted upright.
const COMMON_PORTRAIT_SIZES: [(u32, u32); COMMON_SIZES.len()] = portrait(COMMON_SIZES);
const RARE_PORTRAIT_SIZES: [(u32, u32); RARE_SIZES.len()] = portrait(RARE_SIZES);

/// All known sizes.
pub(super) const KNOWN_SIZES: [&[(u32, u32)]; 4] =
    [&COMMON_SIZES, &RARE_SIZES, &COMMON_PORTRAIT_SIZES, &RARE_PORTRAIT_SIZES];

/// Exchanges width and height. Squares stay: `search` leaves out what occurs twice.
const fn portrait<const N: usize>(mut sizes: [(u32, u32); N]) -> [(u32, u32); N] {
    let mut at = 0;
    while at < N {
        sizes[at] = (sizes[at].1, sizes[at].0);
        at += 1;
    }
    sizes
}

/// One common format per arrangement of bytes. Formats of the same arrangement, such as RGB for BGR, look the same.
pub(super) const COMMON_FORMATS: [PixelFormat; 5] =
    [PixelFormat::Bgr888p, PixelFormat::Bgr888i, PixelFormat::Nv12, PixelFormat::Gray8, PixelFormat::Raw16];

/// One format for each of the less common arrangements.
pub(super) const RARE_FORMATS: [PixelFormat; 5] =
    [PixelFormat::Yuv420p, PixelFormat::Rgba8888, PixelFormat::BgrF16p, PixelFormat::BgrF16i, PixelFormat::Pack10];

/// Shortest and longest side of sizes that are not in the tables, in pixels.
const OTHER_SIDES: (u32, u32) = (96, 4096);
/// The widths of other sizes are multiples of this, as cameras and networks need.
const OTHER_WIDTH_MULTIPLE: u32 = 8;
/// One side of another size is at most this many times as long as the other side.
const OTHER_ASPECT_MAX: u32 = 3;
/// Most other sizes to compare. Bounds the work that a hostile stream can cause.
const OTHER_SIZES_MAX: usize = 32;

/// Returns the geometries of this length whose sizes are not in the tables, in one of these formats.
pub(super) fn other_sizes(formats: &[PixelFormat], len: usize) -> Vec<Geometry> {
    let mut found = Vec::new();
    for format in formats {
        // All rows of a format have the same length, those of the chroma included.
        for width in (OTHER_SIDES.0..=OTHER_SIDES.1).step_by(OTHER_WIDTH_MULTIPLE as usize) {
            let rows = |height| Geometry::tight(*format, width, height).ok()?.byte_len();
            let Some(two) = rows(2) else { continue };
            let height = len / two * 2;
            let Ok(height) = u32::try_from(height) else { continue };
            let (long, short) = (width.max(height), width.min(height));
            if len.is_multiple_of(two)
                && (OTHER_SIDES.0..=OTHER_SIDES.1).contains(&height)
                && long <= OTHER_ASPECT_MAX * short
                && let Ok(geometry) = Geometry::tight(*format, width, height)
            {
                found.push(geometry);
            }
        }
    }
    found.truncate(OTHER_SIZES_MAX);
    found
}

/// Returns the paddings that the ISP uses: rows to 16, 32, 64 or 128 bytes, planes with half rows to 8 or 16 rows.
pub(super) fn padded(geometry: Geometry, stride: Option<u32>) -> impl Iterator<Item = Geometry> {
    let to = |n: u32, multiple: u32| n.checked_next_multiple_of(multiple).unwrap_or(n);
    let rows = [1, 8, 16].map(|multiple| to(geometry.height, multiple));
    let rows = if geometry.format.has_half_rows() { rows } else { [geometry.height; 3] };
    let strides = [1, 16, 32, 64, 128].map(|multiple| stride.unwrap_or(to(geometry.stride, multiple)));
    strides.into_iter().flat_map(move |stride| {
        rows.into_iter().filter_map(move |rows| geometry.with_stride(stride).ok()?.with_plane_rows(rows).ok())
    })
}
