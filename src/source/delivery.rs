//! Delivers the events of a source to the hubs of its outlets and to its ledger. `tcp` and `replay` call it with the events of
//! their decoder.

use std::sync::Arc;

use super::error::SourceErrorKind;
use super::expected::{Expected, Mismatch};
use super::{Incident, IncidentEvent, Outlets, SourceSpec};
use crate::device::contract::Contract;
use crate::frame::{Frame, Received};
use crate::stats::Stats;
use crate::wire::{ByteCounts, Damage, Decoder, Event, Introduction, Record};

/// Delivery of one source, over all of its connections.
pub(super) struct Delivery {
    /// Name of the camera, for log lines.
    name: String,
    /// The source as the user named it.
    pub(super) source: String,
    pub(super) outlets: Outlets,
    /// The frame that was offered as provisional and is not confirmed yet.
    provisional: Option<Arc<Frame>>,
    expected: Expected,
    /// Set when the stream turns out to be from an unexpected application, which ends the session.
    unexpected: Option<SourceErrorKind>,
    /// The camera's last note on this connection (`@N`), which may explain why it closes the connection.
    note: Option<String>,
    /// A recording contains its own incidents.
    is_recording: bool,
    /// Set while we close the connection: a truncated frame then does not count as lost.
    leaving: bool,
}

/// State of the stream after an event. A source without headers has an empty introduction.
pub(super) struct Progress<'a> {
    pub(super) introduction: &'a Arc<Introduction>,
    pub(super) byte_counts: ByteCounts,
    /// Arrival of the bytes of the event.
    pub(super) received: Received,
}

impl<'a> Progress<'a> {
    pub(super) fn of(decoder: &'a Decoder) -> Self {
        Self { introduction: decoder.introduction(), byte_counts: decoder.byte_counts(), received: decoder.arrived() }
    }
}

impl Delivery {
    pub(super) fn new(name: String, spec: &SourceSpec, outlets: Outlets, expected: Option<Contract>) -> Self {
        Self {
            name,
            source: spec.to_string(),
            outlets,
            provisional: None,
            expected: Expected::new(expected),
            unexpected: None,
            note: None,
            is_recording: spec.recording().is_some(),
            leaving: false,
        }
    }

    /// Prepares for the next connection: forgets the provisional frame and the note of the one before.
    pub(super) fn restart(&mut self) {
        self.provisional = None;
        self.expected.restart();
        self.note = None;
        self.leaving = false;
    }

    /// Prepares for frames after a seek in a recording.
    pub(super) fn sought(&mut self) {
        self.provisional = None;
        self.leaving = false;
        self.outlets.ledger.update(Stats::sought);
    }

    /// Returns the error for a connection that the camera closed, with the camera's last note if it sent one.
    pub(super) fn closed(&mut self) -> SourceErrorKind {
        self.note.take().map_or(SourceErrorKind::Closed, |note| SourceErrorKind::ClosedWithNote { note })
    }

    /// Fails if the stream is from an unexpected application.
    pub(super) fn check_application(&mut self) -> Result<(), SourceErrorKind> {
        self.unexpected.take().map_or(Ok(()), Err)
    }

    /// Announces the end of the connection, before its last events are delivered. `by_us`: we closed it, so a truncated
    /// frame does not count as lost.
    pub(super) fn ending(&mut self, by_us: bool) {
        self.leaving = by_us;
        self.outlets.ledger.update(|stats| stats.ending(by_us));
    }

    pub(super) fn incident(&mut self, received: Received, event: IncidentEvent) {
        if !self.outlets.incidents.is_empty() {
            self.outlets.incidents.offer(&Incident { received, event });
        }
    }

    /// Delivers one event: provisional frames first, because views wait for them, then the ledger, then the rest.
    pub(super) fn deliver(&mut self, event: Event, progress: &Progress<'_>) {
        let mut allowed = true;
        if let Event::Frame(frame) = &event {
            allowed = self.expected.allows(progress.introduction, frame);
            if allowed {
                self.outlets.provisional.offer(frame);
            }
        }
        let not_sent = self.outlets.ledger.update(|stats| {
            stats.set_byte_counts(progress.byte_counts);
            stats.set_arrived(progress.received);
            let before = stats.not_sent();
            stats.event(&event);
            if matches!(event, Event::Record(_)) {
                stats.set_introduction(progress.introduction);
            }
            stats.not_sent() - before
        });
        if not_sent > 0 && !self.is_recording {
            self.incident(progress.received, IncidentEvent::NotSent { frames: not_sent });
        }
        match event {
            // Dropped at once if no outlet wants confirmed frames, so that its buffer is reused.
            Event::Frame(frame) => {
                self.provisional = (allowed && !self.outlets.confirmed.is_empty()).then_some(frame);
            }
            Event::Confirmed(id) => self.confirmed(id),
            Event::Withdrawn(id, damage) => {
                self.provisional = None;
                tracing::warn!(camera = %self.name, frame = id, "frame withdrawn: {damage}");
                self.incident(progress.received, IncidentEvent::Withdrawn { id, damage });
            }
            Event::Lost(damage @ Damage::Ended { .. }) if self.leaving => {
                tracing::debug!(camera = %self.name, "frame truncated by our disconnect: {damage}");
            }
            Event::Lost(damage) => {
                tracing::warn!(camera = %self.name, "frame lost: {damage}");
                self.incident(progress.received, IncidentEvent::Lost(damage));
            }
            Event::BadDetections(error) => {
                tracing::warn!(camera = %self.name, "invalid detections: {error}");
                self.incident(progress.received, IncidentEvent::BadDetections(error.to_string()));
            }
            Event::Skipped(skipped) => {
                let found = skipped.found.escape_ascii();
                tracing::debug!(camera = %self.name, at = skipped.at, len = skipped.len, reason = ?skipped.reason, "skipped bytes \"{found}\"");
                if !(skipped.reason.is_intact() || self.leaving && skipped.may_be_unfinished()) {
                    self.incident(progress.received, IncidentEvent::Skipped(skipped));
                }
            }
            Event::Record(Record::Note(text)) => {
                tracing::info!(camera = %self.name, "note from the camera: {text}");
                self.note = Some(text);
            }
            Event::Record(record) => tracing::trace!(camera = %self.name, ?record, "record"),
        }
    }

    fn confirmed(&mut self, id: u64) {
        if let Some(frame) = self.provisional.take_if(|frame| frame.id == id) {
            self.outlets.confirmed.offer(&frame);
        }
        match self.expected.confirmed(id) {
            Some(Mismatch::UnexpectedApplication(differences)) => {
                self.unexpected.get_or_insert(SourceErrorKind::UnexpectedApplication { differences });
            }
            Some(Mismatch::Contradiction(found)) => {
                // A recording plays with the layout that it was recorded with.
                let advice = if self.is_recording { "" } else { "; override with --size and --format" };
                tracing::warn!(camera = %self.name, "the stream contradicts its own records: {found}{advice}");
            }
            None => {}
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.outlets.close();
    }
}
