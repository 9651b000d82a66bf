//! The decoder's output: queued events, and the count of every byte.

use std::collections::VecDeque;

use super::event::{ByteCounts, Event, SkipReason, Skipped};
use super::input::InputBuffer;
use super::record::{self, Record};
use super::record_lines::RecordLines;
use super::text::LINE;
use super::work::Work;
use crate::frame::Frame;

/// Longest skipped range, in bytes, that is kept to be checked for foreign records.
const MAX_FOREIGN_LEN: usize = 16 * LINE;

/// Queued events and byte counts.
#[derive(Debug)]
pub(super) struct Output {
    events: VecDeque<Event>,
    /// The range being skipped, and its first bytes.
    skipping: Option<(Skipped, Vec<u8>)>,
    /// The lines since the last frame.
    pub(super) lines: RecordLines,
    counts: ByteCounts,
}

impl Output {
    pub(super) fn new() -> Self {
        Self {
            events: VecDeque::with_capacity(8),
            skipping: None,
            lines: RecordLines::default(),
            counts: ByteCounts::default(),
        }
    }

    pub(super) fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Number of queued events.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn push(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) const fn received(&mut self, n: usize) {
        self.counts.received += n as u64;
    }

    /// Returns the byte counts, given the number of undecided bytes in the decoder's buffers.
    pub(super) const fn byte_counts(&self, pending: u64) -> ByteCounts {
        ByteCounts { pending, ..self.counts }
    }

    pub(super) fn confirmed(&mut self, frame: &Frame) {
        self.counts.headers += frame.header.len() as u64;
        self.counts.detections += frame.detection_text.len() as u64;
        self.counts.payload += frame.payload().len() as u64;
        self.push(Event::Confirmed(frame.id));
    }

    /// Reports a record; keeps its line for the next frame if one is given.
    pub(super) fn record(&mut self, record: Record, line: Option<&[u8]>) {
        self.end_skip();
        self.counts.headers += LINE as u64;
        self.lines.push(line.unwrap_or_default());
        self.push(Event::Record(record));
    }

    /// Skips the next `n` bytes of input. Adjacent ranges with the same reason are reported as one.
    pub(super) fn skip(&mut self, input: &mut InputBuffer, n: usize, reason: SkipReason) {
        if n == 0 {
            return;
        }
        if self.skipping.as_ref().is_some_and(|(skipped, _)| skipped.reason != reason) {
            self.end_skip();
        }
        let bytes = &input.bytes()[..n];
        let new = || (Skipped { at: input.offset(), len: 0, reason, found: [0; LINE] }, Vec::new());
        let (skipped, sample) = self.skipping.get_or_insert_with(new);
        skipped.len += n as u64;
        // One byte more, so that a longer range is not mistaken for a complete one.
        let room = MAX_FOREIGN_LEN + 1 - sample.len();
        sample.extend_from_slice(&bytes[..n.min(room)]);
        skipped.found = first_bytes(sample);
        self.counts.skipped += n as u64;
        input.consume(n);
    }

    /// Reports bytes of a damaged frame that have left the input buffer as skipped.
    pub(super) fn skip_consumed(&mut self, at: u64, sample: &[u8], len: u64) {
        self.skip_received(at, sample, len, SkipReason::DamagedFrame);
    }

    /// Reports bytes that have not been in the input buffer, or have left it, as skipped.
    pub(super) fn skip_received(&mut self, at: u64, sample: &[u8], len: u64, reason: SkipReason) {
        self.counts.skipped += len;
        let found = first_bytes(sample);
        self.push(Event::Skipped(Skipped { at, len, reason, found }));
    }

    /// Reports the bytes of a frame that is given up as skipped, and keeps the connection's lines before it.
    pub(super) fn skip_for_memory(&mut self, frame: &Frame, len: usize) {
        self.skip_received(frame.at, &frame.header, len as u64, SkipReason::NoMemory);
        self.lines.take_back(frame);
    }

    /// Reports the first `len` bytes of a damaged frame as skipped, and keeps the connection's lines before it, unless
    /// the work is used up: there may be 10,000 lines before a frame of one byte.
    pub(super) fn skip_damaged(&mut self, frame: &Frame, len: usize, work: &mut Work) {
        self.skip_consumed(frame.at, &frame.header, len as u64);
        if !work.is_used_up() {
            work.reread(frame.records.len(), 0);
            self.lines.take_back(frame);
        }
    }

    /// Returns the range being skipped, up to the current position.
    pub(super) fn skipping(&self) -> Option<Skipped> {
        self.skipping.as_ref().map(|(skipped, _)| *skipped)
    }

    /// Returns whether the range being skipped consists of records of unknown kinds.
    pub(super) fn is_skipping_records(&self) -> bool {
        self.skipping.as_ref().is_some_and(|(skipped, sample)| {
            skipped.reason == SkipReason::NotAHeader
                && sample.len() as u64 == skipped.len
                && record::foreign(sample).is_some()
        })
    }

    /// Ends the range being skipped and reports it.
    pub(super) fn end_skip(&mut self) {
        let foreign = self.is_skipping_records();
        let Some((mut skipped, sample)) = self.skipping.take() else { return };
        if foreign && let Some(records) = record::foreign(&sample) {
            skipped.reason = SkipReason::ForeignRecord;
            self.lines.push(&sample);
            self.events.extend(records.map(Event::Record));
        }
        self.push(Event::Skipped(skipped));
    }
}

fn first_bytes(sample: &[u8]) -> [u8; LINE] {
    let mut found = [0; LINE];
    let n = sample.len().min(LINE);
    found[..n].copy_from_slice(&sample[..n]);
    found
}
