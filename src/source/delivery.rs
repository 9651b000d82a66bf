//! What a decoder tells -> where it belongs: those who show, those who keep, and the ledger. One way for every source.

use std::sync::Arc;

use super::error::SourceErrorKind;
use super::expected::{Expected, Wrong};
use super::session::Outlets;
use super::{Incident, What};
use crate::device::contract::Contract;
use crate::frame::{Frame, Received};
use crate::stats::Ledger;
use crate::wire::{Decoder, Event, Record, SkipReason};

/// One source's way from its decoder to its outlets.
pub(super) struct Delivery {
    /// What people call the camera.
    name: String,
    /// The source as it was named.
    pub(super) source: String,
    pub(super) outlets: Outlets,
    pub(super) ledger: Ledger,
    /// Handed out to those who show, and kept back from those who keep.
    provisional: Option<Arc<Frame>>,
    /// Whose frames they should be.
    expected: Expected,
    /// They are another application's: nothing more is to be received.
    wrong: Option<SourceErrorKind>,
    /// What the camera has answered or explained last on this connection.
    note: Option<String>,
    /// We end the connection: what is cut short now is no loss.
    leaving: bool,
}

/// What the caller may want to know of an event that was delivered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivered {
    /// Bytes of payload, if the event was a frame.
    pub(super) framed: Option<usize>,
    /// The camera's frame time in microseconds, once it is known.
    pub(super) frame_time_us: Option<i64>,
    /// Times that the place of the next header was lost, on all connections.
    pub(super) resyncs: u64,
    /// Frames that have proved to be intact, of all connections.
    pub(super) confirmed: u64,
}

impl Delivery {
    pub(super) fn new(
        name: String,
        source: String,
        outlets: Outlets,
        ledger: Ledger,
        expected: Option<Contract>,
    ) -> Self {
        let expected = Expected::new(expected);
        Self { name, source, outlets, ledger, provisional: None, expected, wrong: None, note: None, leaving: false }
    }

    /// What was provisional on the connection before is nobody's any more.
    pub(super) fn restart(&mut self) {
        self.provisional = None;
        self.expected.restart();
        self.note = None;
        self.leaving = false;
    }

    /// Why the camera has closed the connection, as far as that is known.
    pub(super) fn closed(&mut self) -> SourceErrorKind {
        self.note.take().map_or(SourceErrorKind::Closed, |said| SourceErrorKind::SentAway { said })
    }

    /// Why nothing more is to be received, if it is so.
    pub(super) fn wrong(&mut self) -> Result<(), SourceErrorKind> {
        self.wrong.take().map_or(Ok(()), Err)
    }

    /// The connection ends; what the decoder still has to tell follows. `by_us`: a frame that is cut is no loss.
    pub(super) fn ending(&mut self, by_us: bool) {
        self.leaving = by_us;
        self.ledger.update(|stats| stats.ending(by_us));
    }

    /// Tells what happened to those who want to know.
    pub(super) fn incident(&mut self, received: Received, what: What) {
        if !self.outlets.incidents.is_empty() {
            self.outlets.incidents.offer(&Incident { received, what });
        }
    }

    /// Delivers the decoder's next event; `None` when everything has been told.
    pub(super) fn next(&mut self, decoder: &mut Decoder) -> Option<Delivered> {
        let event = decoder.poll()?;
        let Outlets { live, kept, .. } = &mut self.outlets;
        // Those who show a frame come first: the ledger can wait.
        let mut allowed = true;
        if let Event::Frame(frame) = &event {
            allowed = self.expected.allows(decoder.introduction(), frame);
            if allowed {
                live.offer(frame);
            }
        }
        let books = decoder.byte_counts();
        let mut delivered = self.ledger.update(|stats| {
            stats.books(books);
            stats.event(&event);
            if matches!(event, Event::Record(_)) {
                stats.introduced(decoder.introduction());
            }
            Delivered {
                framed: None,
                frame_time_us: stats.frame_time_us(),
                resyncs: stats.resyncs,
                confirmed: stats.frames.confirmed,
            }
        });
        match event {
            Event::Frame(frame) => {
                delivered.framed = Some(frame.payload().len());
                // Without anybody to give it to, its memory is free for the next one.
                self.provisional = (allowed && !kept.is_empty()).then_some(frame);
            }
            Event::Confirmed(id) => {
                if let Some(frame) = self.provisional.take_if(|frame| frame.id == id) {
                    kept.offer(&frame);
                }
                match self.expected.confirmed(id) {
                    Some(Wrong::Other(differences)) => {
                        self.wrong.get_or_insert(SourceErrorKind::OtherApplication { differences });
                    }
                    Some(Wrong::Contradiction(found)) => tracing::warn!(
                        camera = %self.name,
                        "the stream contradicts itself: {found}; --size and --format say what it is"
                    ),
                    None => {}
                }
            }
            Event::Withdrawn(id, damage) => {
                self.provisional = None;
                tracing::warn!(camera = %self.name, frame = id, "withdrawn: {damage}");
                self.incident(decoder.arrived(), What::Withdrawn { id, damage });
            }
            Event::Lost(damage) if self.leaving => tracing::debug!(camera = %self.name, "unfinished: {damage}"),
            Event::Lost(damage) => {
                tracing::warn!(camera = %self.name, "a frame was lost: {damage}");
                self.incident(decoder.arrived(), What::Lost(damage));
            }
            Event::BadDetections(error) => {
                tracing::warn!(camera = %self.name, "detections: {error}");
                self.incident(decoder.arrived(), What::BadDetections(error.to_string()));
            }
            Event::Skipped(skipped) => {
                let found = skipped.found.escape_ascii();
                tracing::debug!(camera = %self.name, at = skipped.at, len = skipped.len, reason = ?skipped.reason, "skipped \"{found}\"");
                if skipped.reason != SkipReason::ForeignRecord && !self.leaving {
                    self.incident(decoder.arrived(), What::Skipped(skipped));
                }
            }
            Event::Record(Record::Note(text)) => {
                tracing::info!(camera = %self.name, "the camera says: {text}");
                self.note = Some(text);
            }
            Event::Record(record) => tracing::trace!(camera = %self.name, ?record, "record"),
        }
        Some(delivered)
    }
}
