//! Pictures that a protocol such as HTTP delimits: no byte is searched for a header.

use std::sync::Arc;

use super::{Damage, Decoder, Event, Received};
#[cfg(feature = "net")]
use crate::frame::Staleness;
use crate::frame::{DeviceTime, Frame, Lease, Pool};
use crate::wire::detections;
use crate::wire::encode::MessageHead;
use crate::wire::event::SkipReason;
use crate::wire::header::{self, Header, Parsed};
use crate::wire::protocol::Protocol;
use crate::wire::text::LINE;

impl Decoder {
    /// Returns the pool of the frames.
    #[must_use]
    pub fn frames(&self) -> &Pool<Frame> {
        &self.frames
    }

    /// Takes a complete picture that arrived `now`, with its payload, the bytes before it as
    /// [`Frame::header`], the text of its detections and whether it is stale, and confirms it. The protocol sends no capture time: the arrival
    /// takes its place. Drain [`Self::poll`] afterwards.
    pub fn picture(&mut self, mut frame: Lease<Frame>, protocol: Protocol, now: Received) {
        frame.device_time = DeviceTime(i64::try_from(now.mono_ns / 1000).unwrap_or(i64::MAX));
        self.take_picture(frame, protocol, now);
    }

    /// Like [`Self::picture`], for a frame of a recording, which has the device time that was recorded.
    #[cfg(feature = "net")]
    pub(crate) fn recorded_picture(
        &mut self,
        protocol: Protocol,
        head: &MessageHead<'_>,
        payload: &[u8],
        device_time: DeviceTime,
        now: Received,
        stale: bool,
    ) {
        // A recording waits for room instead of dropping frames.
        let mut frame = self.frames.lease(payload.len());
        frame.clear();
        frame.header.extend_from_slice(head.header);
        frame.detection_text.extend_from_slice(head.detection_text);
        frame.device_time = device_time;
        frame.staleness = Staleness::Known(stale);
        // Counts in the bound of the pool, but is not dropped for it.
        let _ = frame.try_payload_mut(payload.len());
        frame.payload_mut(payload.len()).copy_from_slice(payload);
        self.take_picture(frame, protocol, now);
    }

    /// A picture is stale only if its source found it to be: its time is that of its arrival and shows nothing.
    fn take_picture(&mut self, mut frame: Lease<Frame>, protocol: Protocol, now: Received) {
        self.confirm_provisional();
        self.now = now;
        self.output.end_skip();
        let total = frame.header.len() + frame.detection_text.len() + frame.payload().len();
        self.output.received(total);
        self.work.received(total);
        frame.at = self.input.offset();
        self.input.bypass(total);
        frame.dialect = protocol.name();
        frame.no_clock = true;
        let Frame { detection_text: text, detections: found, .. } = &mut *frame;
        let introduction = &mut self.preamble.introduction;
        let read = detections::parse_any(text, self.limits.boxes, found, move || {
            Arc::make_mut(introduction).labels.get_or_insert_default()
        });
        frame.labels.clone_from(&self.preamble.introduction.labels);
        if let Err(error) = read {
            self.output.push(Event::BadDetections(error));
        }
        let live = self.recorded_stale.replace(frame.is_stale());
        let frame = self.finished(frame);
        self.recorded_stale = live;
        self.output.confirmed(&frame);
    }

    /// Takes one complete message with the header of a camera, and the records before it, or records alone, that arrived `now`.
    /// `stale`: its picture is not of the present. Returns `false`, and takes nothing, if the bytes are not exactly one message.
    /// Drain [`Self::poll`] afterwards.
    pub fn message(&mut self, bytes: &[u8], stale: bool, now: Received) -> bool {
        let mut at = 0;
        let parsed = loop {
            let parsed = header::parse(&bytes[at..], &self.limits);
            if !matches!(parsed, Parsed::Record(_)) {
                break parsed;
            }
            at += LINE;
        };
        let (records, message) = bytes.split_at(at);
        if message.is_empty() && at > 0 {
            self.confirm_provisional();
            self.now = now;
            self.recorded_lines(records);
            return true;
        }
        let (detect, json, frame) = match parsed {
            Parsed::Detect { json_len } if message.len() >= LINE + json_len => {
                let (detect, rest) = message.split_at(LINE);
                let (json, frame) = rest.split_at(json_len);
                (detect, json, frame)
            }
            _ => (&[][..], &[][..], message),
        };
        let Parsed::Message(Header { len, detections_len, payload_len, .. }) = header::parse(frame, &self.limits)
        else {
            return false;
        };
        if frame.len() != len + detections_len + payload_len {
            return false;
        }
        let text = if detect.is_empty() { &frame[len..len + detections_len] } else { json };
        let head = MessageHead {
            records,
            detect_at: records.len(),
            header: &[detect, &frame[..len]].concat(),
            detection_text: text,
        };
        let live = self.recorded_stale;
        self.decode_recorded(&[], &head, &frame[len + detections_len..], now, stale);
        self.recorded_stale = live;
        true
    }

    /// Counts a picture of which only `received` of its `damage`'s bytes arrived. `sample`: its first bytes.
    pub fn lost_picture(&mut self, damage: Damage, sample: &[u8], received: usize, now: Received) {
        self.confirm_provisional();
        self.output.push(Event::Lost(damage));
        let reason = match damage {
            Damage::NoMemory { .. } => SkipReason::NoMemory,
            Damage::MissingParts { .. } => SkipReason::MissingParts,
            Damage::TooLarge { .. } => SkipReason::LargeMessage,
            _ => SkipReason::DamagedFrame,
        };
        self.outside(sample, received, reason, now);
    }

    /// Skips the text of detections that belong to no picture. Text that cannot be read is a fault, as with a picture.
    pub fn unused_detections(&mut self, text: &[u8], now: Received) {
        let mut names = Arc::default();
        let read = detections::parse_any(text, self.limits.boxes, &mut Vec::new(), || &mut names);
        if let Err(error) = read {
            self.output.push(Event::BadDetections(error));
        }
        self.outside(text, text.len(), SkipReason::ForeignRecord, now);
    }

    /// Skips `len` bytes outside of all pictures. `sample`: the first of them.
    pub fn outside(&mut self, sample: &[u8], len: usize, reason: SkipReason, now: Received) {
        self.now = now;
        self.output.received(len);
        self.work.received(len);
        if len > 0 {
            self.output.skip_received(self.input.offset(), sample, len as u64, reason);
            self.input.bypass(len);
        }
    }
}
