//! What a decoder tells -> where it belongs: those who show, those who keep, and the ledger. One way for every source.

use std::sync::Arc;

use super::session::Outlets;
use crate::frame::Frame;
use crate::stats::Ledger;
use crate::wire::{Decoder, Event};

/// One source's way from its decoder to its outlets.
pub(super) struct Delivery {
    /// The source as it was named.
    pub(super) source: String,
    pub(super) outlets: Outlets,
    pub(super) ledger: Ledger,
    /// Handed out to those who show, and kept back from those who keep.
    provisional: Option<Arc<Frame>>,
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
    pub(super) fn new(source: String, outlets: Outlets, ledger: Ledger) -> Self {
        Self { source, outlets, ledger, provisional: None }
    }

    /// What was provisional on the connection before is nobody's any more.
    pub(super) fn restart(&mut self) {
        self.provisional = None;
    }

    /// Delivers the decoder's next event; `None` when everything has been told.
    pub(super) fn next(&mut self, decoder: &mut Decoder) -> Option<Delivered> {
        let event = decoder.poll()?;
        let Outlets { live, kept } = &mut self.outlets;
        // Those who show a frame come first: the ledger can wait.
        if let Event::Frame(frame) = &event {
            live.offer(frame);
        }
        let books = decoder.books();
        let mut delivered = self.ledger.update(|stats| {
            stats.books(books);
            stats.event(&event);
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
                self.provisional = (!kept.is_empty()).then_some(frame);
            }
            Event::Confirmed(id) => {
                if let Some(frame) = self.provisional.take_if(|frame| frame.id == id) {
                    kept.offer(&frame);
                }
            }
            Event::Withdrawn(id, damage) => {
                self.provisional = None;
                tracing::warn!(source = %self.source, frame = id, "withdrawn: {damage}");
            }
            Event::Lost(damage) => tracing::warn!(source = %self.source, "a frame was lost: {damage}"),
            Event::BadDetections(error) => tracing::warn!(source = %self.source, "detections: {error}"),
            Event::Skipped(skipped) => {
                let found = skipped.found.escape_ascii();
                tracing::debug!(source = %self.source, at = skipped.at, len = skipped.len, reason = ?skipped.reason, "skipped \"{found}\"");
            }
            Event::Record(record) => tracing::trace!(source = %self.source, ?record, "record"),
        }
        Some(delivered)
    }
}
