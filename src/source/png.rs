//! PNG files become pixels when they arrive: frames hold JPEG, video or pixels.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder as _};

use crate::frame::{Frame, Geometry, Lease, PixelFormat, Received};
use crate::wire::content::is_png;
use crate::wire::{Damage, Decoder, Protocol};

/// Passes a picture to the decoder, a PNG file as its pixels: 8-bit gray, 16-bit gray as depth, or RGB. `max`: most bytes of
/// them. A file that cannot be decoded counts as lost.
pub(super) async fn deliver(decoder: &mut Decoder, frame: Lease<Frame>, protocol: Protocol, max: usize, now: Received) {
    if !is_png(frame.payload()) {
        decoder.picture(frame, protocol, now);
        return;
    }
    // A picture of 12 megapixels takes 100 ms.
    let (frame, unpacked) = match tokio::task::spawn_blocking(move || unpack(frame, max)).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => return, // The runtime is being shut down.
    };
    match unpacked {
        Ok(geometry) => {
            decoder.announce_decoded(geometry);
            decoder.picture(frame, protocol, now);
        }
        Err(damage) => {
            let len = frame.payload().len();
            decoder.lost_picture(damage, frame.payload(), frame.header.len() + len, now);
        }
    }
}

/// Replaces the payload by its pixels.
fn unpack(mut frame: Lease<Frame>, max: usize) -> (Lease<Frame>, Result<Geometry, Damage>) {
    let decoded = decode(frame.payload(), max).and_then(|(pixels, geometry)| {
        let room = frame.try_payload_mut(pixels.len()).ok_or(Damage::NoMemory { expected: pixels.len() })?;
        room.copy_from_slice(&pixels);
        Ok(geometry)
    });
    (frame, decoded)
}

fn decode(file: &[u8], max: usize) -> Result<(Vec<u8>, Geometry), Damage> {
    let bad = |why: &dyn std::fmt::Display| {
        tracing::warn!("cannot decode a PNG file: {why}");
        Damage::BadPng { received: file.len() }
    };
    let reader = || image::ImageReader::with_format(Cursor::new(file), image::ImageFormat::Png);
    let head = reader().into_decoder().map_err(|error| bad(&error))?;
    let ((width, height), bytes) = (head.dimensions(), head.total_bytes());
    if bytes > max as u64 {
        return Err(Damage::LargePng { width, height, bytes });
    }
    let mut reader = reader();
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(max as u64);
    reader.limits(limits);
    let decoded = reader.decode().map_err(|error| bad(&error))?;
    let (width, height) = (decoded.width(), decoded.height());
    let (format, pixels) = match decoded {
        DynamicImage::ImageLuma16(gray) => {
            (PixelFormat::Raw16, gray.as_raw().iter().flat_map(|value| value.to_le_bytes()).collect())
        }
        DynamicImage::ImageLuma8(gray) => (PixelFormat::Gray8, gray.into_raw()),
        other => (PixelFormat::Rgb888i, other.into_rgb8().into_raw()),
    };
    let geometry = Geometry::tight(format, width, height).map_err(|error| bad(&error))?;
    Ok((pixels, geometry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Size;

    #[test]
    fn a_png_is_bounded_by_its_pixels() {
        let file = crate::convert::encode_png(&[7; 640 * 480 * 3], Size::new(640, 480)).expect("a picture");
        let size = 640 * 480 * 3;
        assert!(file.len() < size / 10, "it is small");
        assert!(decode(&file, 2 * size).is_ok());
        let error = decode(&file, size - 1).expect_err("it is too large");
        assert_eq!(error.to_string(), "the PNG has 640x480 pixels, 921600 bytes, above --max-payload");
        let cut = &file[..file.len() / 2];
        assert_eq!(decode(cut, 2 * size).expect_err("it is cut"), Damage::BadPng { received: cut.len() });
    }
}
