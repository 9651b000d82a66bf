//! Frames in the messages of a bus: an attachment with the wire message, and an image message as the payload.

use prost::Message as _;

use crate::frame::Received;
use crate::net::zenoh::Stamp;
use crate::recording::schema::WireMessage;
use crate::recording::{RecordedFrame, payload_of};
use crate::wire::Limits;

/// Bytes of an attachment beside the detections and the payload: the records and the header of a frame, and those that apply
/// since before.
const RECORDS_MAX_BYTES: usize = 1 << 20;

/// Names of image schemas follow this in the encoding of a message.
const ENCODING: &str = "application/protobuf;";

/// Characters of an encoding in a log line.
const ENCODING_CHARS_SHOWN: usize = 64;

/// A frame from a bus.
#[derive(Debug)]
pub(super) struct BusFrame {
    /// Identifies the count that the number belongs to; 0 if the program does not send it.
    pub(super) run: u64,
    /// Its number there.
    pub(super) seq: u64,
    /// The frame as a recording would hold it. Its payload has the CRC-32 of the camera's.
    pub(super) recorded: RecordedFrame,
}

/// Parses a message. `encoding`: names the schema of the image message. `now`: its arrival.
///
/// # Errors
/// It is not an intact frame. The text names the frame, if its number could be read.
pub(super) fn parse(
    attachment: &[u8],
    encoding: &str,
    image: &[u8],
    limits: &Limits,
    now: Received,
) -> Result<BusFrame, String> {
    let attachment_max = limits.payload.saturating_add(limits.detections).saturating_add(RECORDS_MAX_BYTES);
    if attachment.is_empty() {
        return Err("it has no attachment; expected oaktap.Stamp".to_owned());
    }
    if attachment.len() > attachment_max {
        return Err(format!("its attachment has {} bytes; expected at most {attachment_max}", attachment.len()));
    }
    let stamp = Stamp::parse(attachment)?;
    let seq = stamp.seq;
    let recorded = recorded(&stamp, encoding, image, limits, now).map_err(|why| format!("frame {seq}: {why}"))?;
    Ok(BusFrame { run: stamp.run, seq, recorded })
}

fn recorded(
    stamp: &Stamp,
    encoding: &str,
    image: &[u8],
    limits: &Limits,
    now: Received,
) -> Result<RecordedFrame, String> {
    let mut wire = WireMessage::decode(&*stamp.wire).map_err(|error| format!("invalid oaktap.Wire: {error}"))?;
    if let Some(incident) = &wire.incident {
        return Err(format!("it holds an incident of the kind `{}`, and no frame", incident.kind.escape_debug()));
    }
    if wire.dialect.is_empty() {
        return Err("its oaktap.Wire names no dialect".to_owned());
    }
    if wire.payload_len > limits.payload as u64 {
        return Err(format!("a payload of {} bytes; expected at most {}", wire.payload_len, limits.payload));
    }
    if wire.detections.len() > limits.detections {
        let found = wire.detections.len();
        return Err(format!("detections of {found} bytes; expected at most {}", limits.detections));
    }
    let schema = encoding.strip_prefix(ENCODING).unwrap_or(encoding);
    let payload = payload_of(&mut wire, schema, image)?;
    let found = crc32fast::hash(&payload);
    if found != wire.payload_crc32 {
        return Err(format!("its payload has the CRC-32 {found:08x}; expected {:08x}", wire.payload_crc32));
    }
    let publish_ns = stamp.capture_unix_ns.unwrap_or(stamp.arrival_unix_ns);
    // The number on the bus has 64 bits, because a receiver runs for years. A recording begins with 0.
    let sequence = stamp.seq as u32;
    let log_ns = now.unix_ns;
    Ok(RecordedFrame { camera: 0, sequence, log_ns, publish_ns, wire, payload, made_from_image: false })
}

/// Returns the encoding of a message for a log line.
pub(super) fn shown(encoding: &str) -> String {
    encoding.chars().take(ENCODING_CHARS_SHOWN).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{DeviceTime, Frame, Geometry, PixelFormat};
    use crate::recording::{ImageEncoder, wire_message};
    use crate::wire::encode;

    /// The attachment, encoding and payload of a frame.
    fn message(seq: u64) -> (Stamp, String, Vec<u8>) {
        let payload: Vec<u8> = (0..3 * 8 * 4).collect();
        let mut frame = Frame::with_payload(payload);
        frame.header = encode::img(DeviceTime(7), frame.payload().len(), 0);
        frame.dialect = "IMG";
        frame.geometry = Geometry::tight(PixelFormat::Bgr888p, 8, 4).ok();
        let mut encoder = ImageEncoder::default();
        let image = encoder.encode(&frame, "cam", 0).expect("a picture");
        let wire = wire_message(&frame, image.is_exact, Vec::new()).encode_to_vec();
        let stamp = Stamp { seq, wire, run: 3, arrival_unix_ns: 50, ..Stamp::default() };
        (stamp, format!("{ENCODING}{}", image.schema), image.bytes.to_vec())
    }

    fn error(attachment: &[u8], encoding: &str, image: &[u8]) -> String {
        parse(attachment, encoding, image, &Limits::default(), Received::default()).expect_err("it is not a frame")
    }

    #[test]
    fn a_message_becomes_the_frame_of_the_camera() {
        let (stamp, encoding, image) = message(u64::MAX - 1);
        let now = Received { mono_ns: 1, unix_ns: 99 };
        let BusFrame { run, seq, recorded } =
            parse(&stamp.to_bytes(), &encoding, &image, &Limits::default(), now).expect("a frame");
        assert_eq!((run, seq, recorded.log_ns, recorded.publish_ns), (3, u64::MAX - 1, 99, 50));
        assert_eq!(recorded.payload, (0..3 * 8 * 4).collect::<Vec<u8>>());
        assert_eq!(recorded.wire.header, encode::img(DeviceTime(7), recorded.payload.len(), 0));
    }

    #[test]
    fn every_fault_is_named() {
        let (stamp, encoding, image) = message(12);
        let whole = stamp.to_bytes();
        assert_eq!(error(&[], &encoding, &image), "it has no attachment; expected oaktap.Stamp");
        assert!(error(b"\xff\xff", &encoding, &image).starts_with("invalid oaktap.Stamp"));
        assert!(error(&whole, "text/plain", &image).contains("frame 12: its image message is missing"));
        assert!(error(&whole, &encoding, &image[..image.len() - 1]).starts_with("frame 12: "));
        let mut changed = image.clone();
        *changed.last_mut().expect("bytes") ^= 1;
        assert!(error(&whole, &encoding, &changed).contains("frame 12: its payload has the CRC-32 "));
        let with = |change: &dyn Fn(&mut WireMessage)| {
            let mut wire = WireMessage::decode(&*stamp.wire).expect("a wire message");
            change(&mut wire);
            error(&Stamp { wire: wire.encode_to_vec(), ..stamp.clone() }.to_bytes(), &encoding, &image)
        };
        assert!(
            with(&|wire| wire.payload_len = 1 << 40).contains("a payload of 1099511627776 bytes; expected at most")
        );
        assert!(with(&|wire| wire.detections = vec![b' '; 2 << 20]).contains("detections of 2097152 bytes"));
        assert!(with(&|wire| wire.incident = Some(Default::default())).contains("it holds an incident"));
        assert!(with(&|wire| wire.payload = vec![1; 5]).contains("its payload has 5 bytes; expected 96"));
        let large = vec![0; Limits::default().payload + Limits::default().detections + RECORDS_MAX_BYTES + 1];
        assert!(error(&large, &encoding, &image).starts_with("its attachment has "));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_an_error_or_the_same_frame() {
        let (stamp, encoding, image) = message(12);
        let whole = stamp.to_bytes();
        let payload = |attachment: &[u8], image: &[u8]| {
            parse(attachment, &encoding, image, &Limits::default(), Received::default())
                .map(|frame| frame.recorded.payload)
        };
        let expected = payload(&whole, &image).expect("a frame");
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            for attachment in [&whole[..at], &changed[..]] {
                assert!(
                    payload(attachment, &image).is_ok_and(|found| found == expected)
                        || payload(attachment, &image).is_err()
                );
            }
        }
        for at in 0..image.len() {
            assert!(payload(&whole, &image[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn an_encoding_in_the_log_is_short_and_printable() {
        assert_eq!(shown("application/protobuf;foxglove.RawImage"), "application/protobuf;foxglove.RawImage");
        assert_eq!(shown("a\u{1b}[31m"), "a\\u{1b}[31m");
        assert_eq!(shown(&"x".repeat(1000)).len(), ENCODING_CHARS_SHOWN);
    }
}
