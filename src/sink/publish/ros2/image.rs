//! Pictures as messages of ROS 2.

use super::graph::MessageType;
use crate::convert::{ConvertError, Converter, EncodeJpegError, PackedOrder, encode_jpeg};
use crate::frame::{Frame, Geometry, MosaicSamples, PayloadKind, Picture, PixelFormat};
use crate::recording::ros::{self, Bytes, CompressedImage, Header, Image, Text};

/// Reason for not making a message.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImageError {
    #[error(transparent)]
    Convert(#[from] ConvertError),
    #[error(transparent)]
    Encode(#[from] EncodeJpegError),
}

/// Returns the type of the message for the picture of a frame, by its kind and layout alone. `raw`: pixels are not compressed.
pub(super) fn message_type(frame: &Frame, raw: bool) -> MessageType {
    match (frame.kind, frame.geometry) {
        (PayloadKind::Jpeg | PayloadKind::H264 | PayloadKind::H265, _)
        | (PayloadKind::Raw, Some(Geometry { format: PixelFormat::Jpeg, .. })) => MessageType::CompressedImage,
        // JPEG has 8 bits.
        (PayloadKind::Raw, Some(geometry)) if has_16_bits(geometry.format) => MessageType::Image,
        (PayloadKind::Raw, _) if raw => MessageType::Image,
        (PayloadKind::Raw, _) => MessageType::CompressedImage,
    }
}

/// Returns whether a format has one channel of more than 8 bits, such as depth.
fn has_16_bits(format: PixelFormat) -> bool {
    matches!(format, PixelFormat::Raw16 | PixelFormat::Raw14 | PixelFormat::Raw12 | PixelFormat::Raw10)
}

/// Returns the encoding of ROS with which a payload is published as it is: one that cv_bridge and rviz know in all distributions.
/// Other payloads are converted to `bgr8`.
fn exact_encoding(geometry: &Geometry, payload_len: usize) -> Option<&'static str> {
    use PixelFormat::{Bayer, Bgr888i, Gray8, Raw8, Raw10, Raw12, Raw14, Raw16, Rgb888i, Rgba8888, Yuv400p, Yuv422i};
    // A row of ROS has a length, but a picture has no rows after its last one.
    let is_whole = geometry.byte_len() == Some(payload_len) && geometry.plane_rows == geometry.height;
    let encoding = match geometry.format {
        Bgr888i => "bgr8",
        Rgb888i => "rgb8",
        Rgba8888 => "rgba8",
        Gray8 | Raw8 | Yuv400p => "mono8",
        // Depth in millimeters (REP 118), if the camera sends depth.
        Raw16 => "16UC1",
        Raw14 | Raw12 | Raw10 => "mono16",
        // Newer distributions call it `yuyv`, and know this name, too.
        Yuv422i if geometry.width.is_multiple_of(2) => "yuv422_yuy2",
        Bayer(MosaicSamples::Raw8, order) => crate::recording::bayer_encoding(order),
        _ => return None,
    };
    is_whole.then_some(encoding)
}

/// Makes the messages of pictures. Keeps buffers.
#[derive(Debug, Default)]
pub(super) struct ImageMaker {
    converter: Converter,
    picture: Picture,
    pixels: Vec<u8>,
}

impl ImageMaker {
    /// Encodes the message of a frame, of the type that [`message_type`] returns for it.
    ///
    /// # Errors
    /// Pixels cannot be converted, because their layout is not known or they are damaged.
    pub(super) fn message(
        &mut self,
        frame: &Frame,
        message: MessageType,
        header: &Header<'_>,
    ) -> Result<Vec<u8>, ImageError> {
        let payload = frame.payload();
        let compressed = |format: &'static str, data: &[u8]| {
            let image = CompressedImage { header: header.clone(), format: Text(format.into()), data: Bytes(data) };
            ros::encode(&image, data.len())
        };
        match (frame.kind, message) {
            (PayloadKind::Jpeg, _) => Ok(compressed("jpeg", payload)),
            (PayloadKind::H264, _) => Ok(compressed("h264", payload)),
            (PayloadKind::H265, _) => Ok(compressed("h265", payload)),
            (PayloadKind::Raw, MessageType::Image) => self.image(frame, header),
            (PayloadKind::Raw, _) => {
                if let Some(Geometry { format: PixelFormat::Jpeg, .. }) = frame.geometry {
                    return Ok(compressed("jpeg", payload));
                }
                self.converter.picture(frame, &mut self.picture)?;
                Ok(compressed("jpeg", &encode_jpeg(&self.picture)?))
            }
        }
    }

    fn image(&mut self, frame: &Frame, header: &Header<'_>) -> Result<Vec<u8>, ImageError> {
        let payload = frame.payload();
        let exact = frame.geometry.and_then(|geometry| {
            let encoding = exact_encoding(&geometry, payload.len())?;
            Some((encoding, geometry))
        });
        let (encoding, (width, height), step, data) = match exact {
            Some((encoding, Geometry { width, height, stride, .. })) => (encoding, (width, height), stride, payload),
            None => {
                let (width, height) = self.converter.packed(frame, PackedOrder::Bgr, &mut self.pixels)?;
                ("bgr8", (width, height), 3 * width, &self.pixels[..])
            }
        };
        let image = Image {
            header: header.clone(),
            height,
            width,
            encoding: Text(encoding.into()),
            is_bigendian: 0,
            step,
            data: Bytes(data),
        };
        Ok(ros::encode(&image, data.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(format: PixelFormat, width: u32, height: u32) -> Frame {
        let geometry = Geometry::tight(format, width, height).expect("valid");
        let len = geometry.byte_len().expect("pixels");
        let mut frame = Frame::with_payload((0..len).map(|at| at as u8).collect::<Vec<_>>());
        frame.geometry = Some(geometry);
        frame
    }

    #[test]
    fn pixels_keep_their_encoding_if_ros_has_it() {
        use PixelFormat::{Bgr888i, Bgr888p, Gray8, Nv12, Raw10, Raw16, Rgb888i, Rgba8888, Yuv422i};
        let mut maker = ImageMaker::default();
        for (format, encoding, step, is_exact) in [
            (Bgr888i, "bgr8", 12, true),
            (Rgb888i, "rgb8", 12, true),
            (Rgba8888, "rgba8", 16, true),
            (Gray8, "mono8", 4, true),
            (Raw16, "16UC1", 8, true),
            (Raw10, "mono16", 8, true),
            (Yuv422i, "yuv422_yuy2", 8, true),
            (Bgr888p, "bgr8", 12, false),
            (Nv12, "bgr8", 12, false),
        ] {
            let frame = raw(format, 4, 2);
            assert_eq!(message_type(&frame, true), MessageType::Image, "{format}");
            let message = maker.message(&frame, MessageType::Image, &Header::default()).expect("a message");
            let image: Image<'_> = ros::decode(&message).expect("an image");
            assert_eq!((image.width, image.height, image.step, &*image.encoding.0), (4, 2, step, encoding), "{format}");
            assert_eq!(image.data.0.len(), (step * 2) as usize, "{format}");
            assert_eq!(image.data.0 == frame.payload(), is_exact, "{format}");
        }
        // Planes of blue, green and red.
        let message = maker.message(&raw(Bgr888p, 4, 2), MessageType::Image, &Header::default()).expect("a message");
        let image: Image<'_> = ros::decode(&message).expect("an image");
        assert_eq!(image.data.0[..6], [0, 8, 16, 1, 9, 17]);
    }

    #[test]
    fn padded_rows_are_kept_and_padded_planes_are_not() {
        let mut frame = raw(PixelFormat::Gray8, 8, 2);
        frame.geometry = Geometry::tight(PixelFormat::Gray8, 6, 2).and_then(|tight| tight.with_stride(8)).ok();
        let mut maker = ImageMaker::default();
        let message = maker.message(&frame, MessageType::Image, &Header::default()).expect("a message");
        let image: Image<'_> = ros::decode(&message).expect("an image");
        assert_eq!((image.width, image.step, image.data.0), (6, 8, frame.payload()));
        frame.geometry = Geometry::tight(PixelFormat::Gray8, 8, 1).and_then(|tight| tight.with_plane_rows(2)).ok();
        let message = maker.message(&frame, MessageType::Image, &Header::default()).expect("a message");
        let image: Image<'_> = ros::decode(&message).expect("an image");
        assert_eq!((image.height, &*image.encoding.0, image.data.0.len()), (1, "bgr8", 24));
    }

    #[test]
    fn pixels_become_jpeg_and_what_the_camera_compressed_is_untouched() {
        let mut maker = ImageMaker::default();
        let color = raw(PixelFormat::Bgr888p, 64, 48);
        assert_eq!(message_type(&color, false), MessageType::CompressedImage);
        let message = maker.message(&color, MessageType::CompressedImage, &Header::default()).expect("a message");
        let compressed: CompressedImage<'_> = ros::decode(&message).expect("an image");
        let picture = image::load_from_memory(compressed.data.0).expect("a JPEG");
        assert_eq!((&*compressed.format.0, picture.width(), picture.height()), ("jpeg", 64, 48));
        for (kind, format) in [(PayloadKind::Jpeg, "jpeg"), (PayloadKind::H264, "h264"), (PayloadKind::H265, "h265")] {
            let mut frame = Frame::with_payload(b"bytes of the camera".to_vec());
            frame.kind = kind;
            assert_eq!(message_type(&frame, true), MessageType::CompressedImage);
            let message = maker.message(&frame, MessageType::CompressedImage, &Header::default()).expect("a message");
            let compressed: CompressedImage<'_> = ros::decode(&message).expect("an image");
            assert_eq!((&*compressed.format.0, compressed.data.0), (format, frame.payload()));
        }
        assert_eq!(message_type(&raw(PixelFormat::Raw16, 4, 2), false), MessageType::Image, "depth");
    }

    #[test]
    fn pixels_of_unknown_layout_are_an_error() {
        let frame = Frame::with_payload([0; 100]);
        let mut maker = ImageMaker::default();
        for message in [MessageType::Image, MessageType::CompressedImage] {
            assert!(maker.message(&frame, message, &Header::default()).is_err());
        }
    }
}
