//! Pixel formats and what a picture in one of them looks like in memory. Every length check lives here.

/// The layouts that a camera can send: the names and meanings of depthai's `ImgFrame::Type` (wire.md section 6),
/// and encoded pictures.
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
}

/// How a payload is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Layout of the bytes.
    pub format: PixelFormat,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row of the first plane to the next; 0 for an encoded picture.
    pub stride: u32,
}
