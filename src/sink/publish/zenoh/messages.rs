//! Messages of one frame: what is sent, and its stamp.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message as _;
use tokio::time::Instant;
use zenoh::bytes::Encoding;

use crate::frame::Detection;
use crate::net::clock::received_now;
use crate::net::zenoh::Stamp;
use crate::overlay::Style;
use crate::recording::{ANNOTATIONS_SCHEMA, ImageEncoder, annotations_of, wire_message};
use crate::sink::publish::camera::NumberedFrame;
use crate::sink::publish::outlet::Outlet;
use crate::sink::record::ConnectionContext;
use crate::sync::locked;

/// How often the records that still apply (labels, sizes) are sent again, for those who come later.
const CONTEXT_INTERVAL: Duration = Duration::from_secs(1);

/// The records of a camera that still apply. The thread of detections observes all frames, that of pictures only reads.
pub(super) type SharedContext = Arc<Mutex<ConnectionContext>>;

/// Adds the records that still apply to the messages on one key, once a second.
#[derive(Debug)]
pub(super) struct ContextSender {
    context: SharedContext,
    sent: Option<Instant>,
}

impl ContextSender {
    pub(super) fn new(context: &SharedContext) -> Self {
        Self { context: Arc::clone(context), sent: None }
    }

    /// Returns the records for the next message; empty unless they are due.
    fn next(&mut self) -> Vec<u8> {
        if self.sent.is_some_and(|sent| sent.elapsed() < CONTEXT_INTERVAL) {
            return Vec::new();
        }
        let records = locked(&self.context).records();
        // The first frame may be sent before its records are observed; it has them itself.
        if !records.is_empty() {
            self.sent = Some(Instant::now());
        }
        records
    }
}

/// Publishes the annotations of a frame: of the detections that the style shows, in a picture of known size.
pub(super) fn put_detections(outlet: &Outlet, context: &mut ContextSender, numbered: &NumberedFrame, style: &Style) {
    let NumberedFrame { frame, number, .. } = numbered;
    let names = style.names(frame.labels.as_deref());
    let shown: Vec<Detection> =
        frame.detections.iter().filter(|detection| style.shows(detection, names)).copied().collect();
    let mut message = Vec::new();
    annotations_of(&mut message, frame, &shown, names, number.capture_unix_ns);
    let stamp = stamp(numbered, true, context.next());
    outlet.put(message, protobuf(ANNOTATIONS_SCHEMA), Some(stamp));
}

/// Publishes the image message of a frame. A payload that cannot be shown has an empty message, and is in the stamp.
pub(super) fn put_picture(
    outlet: &Outlet,
    context: &mut ContextSender,
    encoder: &mut ImageEncoder,
    camera: &str,
    numbered: &NumberedFrame,
) {
    let image = encoder.encode(&numbered.frame, camera, numbered.number.capture_unix_ns);
    let stamp = stamp(numbered, image.is_some_and(|image| image.is_exact), context.next());
    match image {
        Some(image) => outlet.put(image.bytes.to_vec(), protobuf(image.schema), Some(stamp)),
        None => outlet.put(Vec::new(), Encoding::APPLICATION_PROTOBUF, Some(stamp)),
    }
}

fn protobuf(schema: &str) -> Encoding {
    Encoding::APPLICATION_PROTOBUF.with_schema(schema)
}

/// Returns the stamp of a frame. `is_held`: the message holds its payload, or should not.
fn stamp(numbered: &NumberedFrame, is_held: bool, context: Vec<u8>) -> Vec<u8> {
    let NumberedFrame { frame, number, .. } = numbered;
    let mut wire = wire_message(frame, is_held, context);
    // Frames in the lane of detections have no payload.
    wire.payload_len = number.payload_len as u64;
    let stamp = Stamp {
        seq: number.seq,
        wire: wire.encode_to_vec(),
        arrival_unix_ns: frame.received.unix_ns,
        sent_unix_ns: received_now().unix_ns,
        clock_error_ns: number.clock_error_ns,
        capture_unix_ns: Some(number.capture_unix_ns),
        run: number.run,
    };
    stamp.to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use crate::recording::schema::WireMessage;
    use crate::sink::publish::camera::FrameNumber;

    #[test]
    fn the_stamp_of_detections_has_the_head_and_no_payload() {
        let mut frame = Frame::with_payload([]);
        (frame.header, frame.detection_text, frame.received.unix_ns) = (b"IMG".to_vec(), b"1;2".to_vec(), 50);
        let number = FrameNumber { seq: 7, run: 9, payload_len: 1000, capture_unix_ns: 40, clock_error_ns: Some(3) };
        let numbered = NumberedFrame { frame: Arc::new(frame), number, is_main: true };
        let stamp = Stamp::parse(&stamp(&numbered, true, b"@V 1".to_vec())).expect("a stamp");
        let times = (stamp.arrival_unix_ns, stamp.capture_unix_ns, stamp.clock_error_ns);
        assert_eq!((stamp.seq, stamp.run, times), (7, 9, (50, Some(40), Some(3))));
        assert!(stamp.sent_unix_ns > 1_700_000_000_000_000_000);
        let wire = WireMessage::decode(&stamp.wire[..]).expect("a wire message");
        assert_eq!(
            (&wire.header[..], &wire.detections[..], &wire.context[..]),
            (&b"IMG"[..], &b"1;2"[..], &b"@V 1"[..])
        );
        assert_eq!((wire.payload_len, wire.payload_crc32, wire.payload.len()), (1000, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn records_that_still_apply_are_sent_once_a_second() {
        let context = SharedContext::default();
        let mut frame = Frame::default();
        frame.records = format!("{:32}", "@V 1 demo").into_bytes();
        locked(&context).observe(&frame);
        let mut early = ContextSender::new(&SharedContext::default());
        assert!(early.next().is_empty() && early.sent.is_none(), "there are none yet");
        let mut sender = ContextSender::new(&context);
        assert_eq!(sender.next().len(), 32, "the first message");
        assert!(sender.next().is_empty());
        tokio::time::advance(CONTEXT_INTERVAL).await;
        assert_eq!((sender.next().len(), sender.next().len()), (32, 0));
    }
}
