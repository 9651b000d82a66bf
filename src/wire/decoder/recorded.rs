//! Frames of recordings, whose boundaries are known: no byte is searched for another header.

use super::{Damage, Decoder, DetectionSyntax, Event, Provisional, Received};
use crate::frame::{Geometry, Size};
use crate::wire::encode::MessageHead;
use crate::wire::header::{self, Parsed};
use crate::wire::message::inner_text;
use crate::wire::preamble::DetectMessage;
use crate::wire::record;
use crate::wire::record_lines::MAX_LINES;
use crate::wire::text::LINE;

/// Bytes of a payload that suffice to find the end of an `IMG` header that overflows.
const LOOK_AHEAD: usize = 64;

impl Decoder {
    /// Sets the memory layout of the payloads that follow, where it is known from elsewhere, as in recordings.
    pub fn announce(&mut self, geometry: Geometry) {
        self.interpreter.restore(geometry);
    }

    /// Sets the layout of the next payload, the pixels of a PNG file.
    pub fn announce_decoded(&mut self, geometry: Geometry) {
        self.interpreter.decoded(geometry);
    }

    /// Sets the size of the next payload, which is video, where it is known from elsewhere, as in recordings.
    pub fn announce_video(&mut self, size: Size) {
        self.interpreter.restore_video(size);
    }

    /// Decodes one recorded frame, which arrived `now`, and confirms it: the recorder stored confirmed frames only.
    ///
    /// `context` are records that the camera sent before the recording began. `stale`: the
    /// recorder found that the frame had waited in the camera. `now` becomes
    /// [`Frame::received`](crate::frame::Frame::received). A head that does not announce exactly these detections and this payload causes
    /// [`Event::Lost`] instead of a frame. Drain [`Self::poll`] afterwards. Takes time proportional to the bytes given.
    pub fn decode_recorded(
        &mut self,
        context: &[u8],
        head: &MessageHead<'_>,
        payload: &[u8],
        now: Received,
        stale: bool,
    ) {
        self.confirm_provisional();
        (self.now, self.recorded_stale) = (now, Some(stale));
        self.recorded_lines(context);
        let [before, first, text, after, second] = head.parts();
        let is_detect = header::has_detect(head.header);
        let frame_header = if is_detect { second } else { first };
        self.recorded_lines(before);
        let total = head.header.len() + text.len() + payload.len();
        self.output.received(total);
        let inner = if is_detect { &[] } else { text };
        let start = [frame_header, inner, &payload[..payload.len().min(LOOK_AHEAD)]].concat();
        let header = match header::parse(&start, &self.limits) {
            Parsed::Message(header)
                if (header.len, header.detections_len, header.payload_len)
                    == (frame_header.len(), inner.len(), payload.len()) =>
            {
                Some(header)
            }
            _ => None,
        };
        let detect: Option<&[u8; LINE]> = first.first_chunk().filter(|_| is_detect);
        let detect_agrees = detect.is_none_or(
            |line| matches!(header::parse(line, &self.limits), Parsed::Detect { json_len } if json_len == text.len()),
        );
        let Some(header) = header.filter(|_| detect_agrees) else {
            self.output.push(Event::Lost(Damage::Truncated { expected: payload.len(), received: 0 }));
            self.output.skip_consumed(self.input.offset(), head.header, total as u64);
            self.input.bypass(total);
            self.drop_announced_frame();
            return;
        };
        let at = self.input.offset();
        if let Some(line) = detect {
            self.output.lines.mark_detect();
            self.preamble.detect = Some(DetectMessage { at, header: *line, json: text.to_vec() });
        }
        self.recorded_lines(after);
        // A recording waits for room instead of dropping frames.
        let mut frame = self.frames.lease(payload.len());
        frame.clear();
        frame.dialect = header.dialect.name();
        frame.at = at;
        frame.device_time = header.device_time;
        self.output.lines.move_to(&mut frame);
        if let Some(DetectMessage { header: line, json, .. }) = self.preamble.detect.take() {
            if header.dialect.detections() == DetectionSyntax::Json {
                frame.header.extend_from_slice(&line);
                frame.detection_text.extend_from_slice(&json);
            } else {
                self.output.skip_consumed(at, &line, LINE as u64 + json.len() as u64);
            }
        }
        frame.header.extend_from_slice(frame_header);
        frame.detection_text.extend_from_slice(inner);
        self.input.bypass(total);
        if let Err(error) = self.preamble.join(&mut frame, header.dialect, &self.limits) {
            self.output.push(Event::BadDetections(error));
        }
        debug_assert_eq!(inner_text(&frame).len(), inner.len());
        // Counts in the bound of the pool, but is not dropped for it.
        let _ = frame.try_payload_mut(payload.len());
        frame.payload_mut(payload.len()).copy_from_slice(payload);
        let frame = self.finished(frame);
        self.provisional = Some(Provisional { frame, dialect: header.dialect, searched: false, suspect: false });
        self.confirm_provisional();
    }

    /// Applies the records among whole lines, as many as a frame keeps. Other bytes are not recorded by any version.
    pub(super) fn recorded_lines(&mut self, lines: &[u8]) {
        for line in lines.as_chunks().0.iter().take(MAX_LINES) {
            self.output.received(LINE);
            self.input.bypass(LINE);
            if let Some(record) = record::parse_any(line) {
                if let Err(error) = self.preamble.apply(&record, &mut self.interpreter, &self.limits) {
                    self.output.push(Event::BadDetections(error));
                }
                self.output.record(record, Some(line));
            } else if let Some(records) = record::foreign(line) {
                records.for_each(|record| self.output.record(record, Some(line)));
            } else {
                let at = self.input.offset() - LINE as u64;
                self.output.skip_consumed(at, line, LINE as u64);
            }
        }
    }
}
