//! The messages of one frame: image, annotations and wire message. Recordings and live targets send the same bytes.

use foxglove::messages::Timestamp;

use super::annotations;
#[cfg(any(feature = "foxglove", feature = "zenoh"))]
use super::image::ImageBuffer;
use super::image::{self, ImageMessage};
use super::schema::{PayloadLayout, WireMessage};
use crate::frame::{Detection, Frame, LabelMap};

/// Name of the schema of the message that [`annotations_of`] encodes.
#[cfg(feature = "zenoh")]
pub(crate) const ANNOTATIONS_SCHEMA: &str = "foxglove.ImageAnnotations";

/// Encodes image messages, one after the other into the same buffer.
#[cfg(any(feature = "foxglove", feature = "zenoh"))]
#[derive(Debug, Default)]
pub(crate) struct ImageEncoder(ImageBuffer);

/// An image message.
#[cfg(any(feature = "foxglove", feature = "zenoh"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EncodedImage<'a> {
    /// Name of its schema, such as `foxglove.RawImage`.
    pub(crate) schema: &'static str,
    /// The message in protobuf.
    pub(crate) bytes: &'a [u8],
    /// [`payload_of`] returns the payload of the camera from it.
    pub(crate) is_exact: bool,
}

#[cfg(any(feature = "foxglove", feature = "zenoh"))]
impl ImageEncoder {
    /// Encodes the image message of a frame; `None` if its payload cannot be shown. `capture_unix_ns`: its capture time in
    /// nanoseconds since 1970, UTC.
    pub(crate) fn encode(&mut self, frame: &Frame, camera: &str, capture_unix_ns: i64) -> Option<EncodedImage<'_>> {
        let (message, is_exact) = self.0.write(frame, camera, timestamp(capture_unix_ns))?;
        Some(EncodedImage { schema: message.schema_name(), bytes: self.0.bytes(), is_exact })
    }
}

/// Appends the annotations of a frame to `into`: boxes and names of these detections, which may be some of those of the frame.
pub(crate) fn annotations_of(
    into: &mut Vec<u8>,
    frame: &Frame,
    detections: &[Detection],
    names: &LabelMap,
    capture_unix_ns: i64,
) {
    let size = frame.size().map(|size| (size.width, size.height));
    annotations::encode(into, timestamp(capture_unix_ns), detections, names, size);
}

/// Returns the wire message of a frame, without a checksum. `is_held`: the image message holds the payload exactly.
/// `context`: records that the camera sent before and that still apply.
pub(crate) fn wire_message(frame: &Frame, is_held: bool, context: Vec<u8>) -> WireMessage {
    let payload = frame.payload();
    WireMessage {
        id: frame.id,
        at: frame.at,
        dialect: frame.dialect.to_string(),
        records: frame.records.clone(),
        header: frame.header.clone(),
        detections: frame.detection_text.clone(),
        device_time_us: frame.device_time.0,
        camera_seq: frame.camera_seq,
        arrival_mono_ns: frame.received.mono_ns,
        stale: frame.is_stale(),
        kind: frame.kind.name().to_owned(),
        layout: PayloadLayout::of(frame),
        payload_len: payload.len() as u64,
        payload_crc32: crc32fast::hash(payload),
        payload: if is_held || payload.is_empty() { Vec::new() } else { payload.to_vec() },
        context,
        incident: None,
        detect_at: frame.detect_at as u64,
        crc32: 0,
    }
}

/// Takes the payload out of a wire message, or rebuilds it from the image message of the same frame and the name of its
/// schema.
///
/// # Errors
/// The messages do not fit together.
#[cfg(feature = "zenoh")]
pub(crate) fn payload_of(wire: &mut WireMessage, schema: &str, image: &[u8]) -> Result<Vec<u8>, String> {
    let message = ImageMessage::ALL.into_iter().find(|message| message.schema_name() == schema);
    rebuild(wire, message.map(|message| (message, image)))
}

/// Does the same, from a message of a known kind.
pub(super) fn rebuild(wire: &mut WireMessage, image: Option<(ImageMessage, &[u8])>) -> Result<Vec<u8>, String> {
    let len = usize::try_from(wire.payload_len)
        .map_err(|_| format!("a payload of {} bytes does not fit into memory", wire.payload_len))?;
    let mut payload = std::mem::take(&mut wire.payload);
    if payload.is_empty() && len > 0 {
        let (message, bytes) = image.ok_or("its image message is missing")?;
        let geometry = wire.layout.as_ref().and_then(PayloadLayout::geometry);
        image::payload(message, bytes, geometry.as_ref(), len, &mut payload)?;
    }
    if payload.len() != len {
        return Err(format!("its payload has {} bytes; expected {len}", payload.len()));
    }
    Ok(payload)
}

/// MCAP times are unsigned: times before 1970 become 0.
pub(crate) fn nanoseconds(unix_ns: i64) -> u64 {
    u64::try_from(unix_ns).unwrap_or(0)
}

/// Returns a time in nanoseconds since 1970, UTC, as messages have it.
pub(super) fn timestamp(unix_ns: i64) -> Timestamp {
    let ns = nanoseconds(unix_ns);
    let sec = u32::try_from(ns / 1_000_000_000).unwrap_or(u32::MAX);
    // Less than 10^9.
    Timestamp::new(sec, (ns % 1_000_000_000) as u32)
}

#[cfg(all(test, feature = "zenoh"))]
mod tests {
    use super::*;
    use crate::frame::{Geometry, PayloadKind, PixelFormat};

    #[test]
    fn payloads_are_rebuilt_from_the_messages_of_a_frame() {
        let mut encoder = ImageEncoder::default();
        for (kind, format, schema, is_exact) in [
            (PayloadKind::Raw, Some(PixelFormat::Bgr888p), "foxglove.RawImage", true),
            (PayloadKind::Raw, Some(PixelFormat::Gray8), "foxglove.RawImage", true),
            (PayloadKind::Raw, Some(PixelFormat::Nv21), "foxglove.RawImage", false),
            (PayloadKind::Raw, None, "", false),
            (PayloadKind::Jpeg, None, "foxglove.CompressedImage", true),
            (PayloadKind::H265, None, "foxglove.CompressedVideo", true),
        ] {
            let geometry = format.map(|format| Geometry::tight(format, 8, 4).expect("a size"));
            let len = geometry.and_then(|geometry| geometry.byte_len()).unwrap_or(99);
            let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let mut frame = Frame::with_payload(payload.clone());
            (frame.kind, frame.geometry, frame.header) = (kind, geometry, b"HEADER".to_vec());
            let image = encoder.encode(&frame, "cam", 1_700_000_000_000_000_000);
            assert_eq!(
                image.map_or(("", false), |image| (image.schema, image.is_exact)),
                (schema, is_exact),
                "{kind:?}"
            );
            let mut wire = wire_message(&frame, is_exact, Vec::new());
            assert_eq!((wire.payload.is_empty(), &wire.header[..]), (is_exact, &b"HEADER"[..]));
            let bytes = image.map_or(&[][..], |image| image.bytes);
            assert_eq!(payload_of(&mut wire, schema, bytes), Ok(payload), "{kind:?} {format:?}");
        }
    }

    #[test]
    fn messages_of_two_frames_do_not_fit_together() {
        let mut encoder = ImageEncoder::default();
        let mut frame = Frame::with_payload([7; 10]);
        frame.kind = PayloadKind::Jpeg;
        let bytes = encoder.encode(&frame, "cam", 0).expect("a picture").bytes.to_vec();
        let mut wire = wire_message(&frame, true, Vec::new());
        wire.payload_len = 11;
        let error = payload_of(&mut wire.clone(), "foxglove.CompressedImage", &bytes).unwrap_err();
        assert_eq!(error, "its image has 10 bytes, but its payload had 11");
        assert_eq!(payload_of(&mut wire, "sensor_msgs/Image", &bytes).unwrap_err(), "its image message is missing");
    }
}
