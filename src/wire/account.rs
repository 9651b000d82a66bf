//! What became of every byte, and the events that tell it.

use std::collections::VecDeque;

use super::event::{Books, Event, SkipReason, Skipped};
use super::header::LINE;
use super::lines::Lines;
use super::record::{self, Record};
use super::unread::Unread;
use crate::frame::Frame;

/// Bytes of a skipped range that are kept to be shown.
const SAMPLE: usize = 16 * LINE;

/// The books, and the events that have not been asked for yet.
#[derive(Debug)]
pub(super) struct Account {
    events: VecDeque<Event>,
    /// A range that is being skipped, and its first bytes.
    skipping: Option<(Skipped, Vec<u8>)>,
    /// The lines since the last frame, as they were sent.
    pub(super) lines: Lines,
    books: Books,
}

impl Account {
    pub(super) fn new() -> Self {
        Self { events: VecDeque::with_capacity(8), skipping: None, lines: Lines::default(), books: Books::default() }
    }

    pub(super) fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) const fn received(&mut self, n: usize) {
        self.books.received += n as u64;
    }

    /// The books, when so many bytes are held undecided.
    pub(super) const fn books(&self, pending: u64) -> Books {
        Books { pending, ..self.books }
    }

    pub(super) fn confirmed(&mut self, frame: &Frame) {
        self.books.headers += frame.header.len() as u64;
        self.books.detections += frame.detection_text.len() as u64;
        self.books.payload += frame.payload().len() as u64;
        self.tell(Event::Confirmed(frame.id));
    }

    /// A record, and its line if it is to be kept.
    pub(super) fn record(&mut self, record: Record, line: Option<&[u8]>) {
        self.end_skip();
        self.books.headers += LINE as u64;
        self.lines.push(line.unwrap_or_default());
        self.tell(Event::Record(record));
    }

    /// Skips the next `n` unread bytes; ranges that touch are told as one.
    pub(super) fn skip(&mut self, unread: &mut Unread, n: usize, reason: SkipReason) {
        if n == 0 {
            return;
        }
        if self.skipping.as_ref().is_some_and(|(skipped, _)| skipped.reason != reason) {
            self.end_skip();
        }
        let bytes = &unread.bytes()[..n];
        let new = || (Skipped { at: unread.at(), len: 0, reason, found: [0; LINE] }, Vec::new());
        let (skipped, sample) = self.skipping.get_or_insert_with(new);
        skipped.len += n as u64;
        // One byte more than is shown tells a sample from a whole range.
        let room = SAMPLE + 1 - sample.len();
        sample.extend_from_slice(&bytes[..n.min(room)]);
        skipped.found = first_bytes(sample);
        self.books.skipped += n as u64;
        unread.consume(n);
    }

    /// Skips bytes of a damaged frame that are no longer among the unread ones.
    pub(super) fn skip_apart(&mut self, at: u64, sample: &[u8], len: u64) {
        self.books.skipped += len;
        let found = first_bytes(sample);
        self.tell(Event::Skipped(Skipped { at, len, reason: SkipReason::DamagedFrame, found }));
    }

    /// So many bytes belong to a frame that is damaged, and are no longer among the unread ones.
    pub(super) fn damaged(&mut self, frame: &Frame, len: usize) {
        self.skip_apart(frame.at, &frame.header, len as u64);
        self.lines.take_back(frame);
    }

    /// The range that is being skipped, as far as it goes by now.
    pub(super) fn skipping(&self) -> Option<Skipped> {
        self.skipping.as_ref().map(|(skipped, _)| *skipped)
    }

    /// Whether what is being skipped is nothing but records of a kind that we do not know.
    pub(super) fn is_skipping_records(&self) -> bool {
        self.skipping.as_ref().is_some_and(|(skipped, sample)| {
            skipped.reason == SkipReason::NotAHeader
                && sample.len() as u64 == skipped.len
                && record::foreign(sample).is_some()
        })
    }

    /// Tells the range that was being skipped.
    pub(super) fn end_skip(&mut self) {
        let foreign = self.is_skipping_records();
        let Some((mut skipped, sample)) = self.skipping.take() else { return };
        if foreign && let Some(records) = record::foreign(&sample) {
            skipped.reason = SkipReason::ForeignRecord;
            self.lines.push(&sample);
            self.events.extend(records.map(Event::Record));
        }
        self.tell(Event::Skipped(skipped));
    }
}

fn first_bytes(sample: &[u8]) -> [u8; LINE] {
    let mut found = [0; LINE];
    let n = sample.len().min(LINE);
    found[..n].copy_from_slice(&sample[..n]);
    found
}
