//! Delivers the events of a source to the hubs of its outlets and to its ledger. `tcp` and `replay` call it with the events of
//! their decoder.

use std::collections::VecDeque;
use std::sync::Arc;

use super::error::SourceErrorKind;
use super::expected::{Expected, Mismatch};
use super::repeated_warning::RepeatedWarning;
use super::value_hints::ValueHints;
use super::{Continuity, Incident, IncidentEvent, Outlets, SourceSpec};
use crate::device::contract::Contract;
use crate::frame::{Frame, Geometry, LabelMap, Received};
use crate::stats::Stats;
use crate::units::count;
use crate::wire::{
    ByteCounts, Damage, Decoder, Event, Excerpt, Introduction, LINE, Limits, Record, SkipReason, Skipped, Unrecognized,
};

/// Most items that wait for a frame of which it is undecided whether it is stale. A damaged stream can have many
/// incidents before the next frame.
const MAX_HELD: usize = 64;

/// A confirmed frame or an incident that is not delivered yet: it is undecided whether this frame, or one before it, is
/// stale.
enum Held {
    Frame(Arc<Frame>),
    Incident(Incident),
}

/// Delivery of one source, over all of its connections.
pub(super) struct Delivery {
    /// Name of the camera, for log lines.
    name: String,
    /// The source as the user named it.
    pub(super) source: String,
    pub(super) outlets: Outlets,
    /// The frame that was offered as provisional and is not confirmed yet.
    provisional: Option<Arc<Frame>>,
    held: VecDeque<Held>,
    /// Length of the frames whose layout was delivered as a guess, the guess, and their number.
    guessed: Option<(usize, Option<Geometry>, u64)>,
    expected: Expected,
    /// Set when the stream turns out to be from an unexpected application, which ends the session.
    unexpected: Option<SourceErrorKind>,
    /// The camera's last note on this connection (`@N`), which may explain why it closes the connection.
    note: Option<String>,
    /// A recording contains its own incidents.
    is_recording: bool,
    /// Set while we close the connection: a truncated frame then does not count as lost.
    leaving: bool,
    warnings: [RepeatedWarning; 6],
    hints: ValueHints,
    /// Names of classes given by the user, until a class without a name was logged.
    names: Option<Arc<LabelMap>>,
    /// Layout of the last frame, to log changes.
    layout: Option<Option<Geometry>>,
    /// Streams beside the first one that were reported.
    streams: Vec<Arc<str>>,
    /// End of the last skipped range if a warning explained it, in bytes since the connection was opened.
    explained_to: Option<u64>,
}

/// Streams of a camera that are reported: a peer may send any number of names.
const STREAMS_MAX: usize = 16;

/// Kinds of warnings that a stream may cause with every frame.
#[derive(Clone, Copy, Debug)]
enum WarningKind {
    Withdrawn,
    Lost,
    Detections,
    Contradiction,
    Record,
    Skipped,
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
            held: VecDeque::new(),
            guessed: None,
            expected: Expected::new(expected).joining_late(spec.joins_late()),
            unexpected: None,
            note: None,
            is_recording: spec.recording().is_some(),
            leaving: false,
            warnings: [RepeatedWarning::default(); 6],
            hints: ValueHints::default(),
            names: None,
            layout: None,
            streams: Vec::new(),
            explained_to: None,
        }
    }

    /// Compares the classes of detections with these names.
    pub(super) fn with_names(mut self, names: Option<Arc<LabelMap>>) -> Self {
        self.names = names;
        self
    }

    /// Logs the first class for which the user gave no name.
    fn see_classes(&mut self, frame: &Frame) {
        let Some(names) = &self.names else { return };
        let mut classes = frame.detections.iter().map(|found| found.label);
        if let Some(class) = classes.find(|class| names.name(*class).is_none()) {
            let known = count(names.iter().count() as u64, "name", "names");
            tracing::warn!(camera = %self.name, "--labels has no name for class {class}, which is shown as #{class}: the file has {known}");
            self.names = None;
        }
    }

    /// Says once that a frame is of another stream than the first one.
    fn see_stream(&mut self, stream: &Arc<str>, frame: &Frame) {
        if self.streams.contains(stream) || self.streams.len() == STREAMS_MAX {
            return;
        }
        self.streams.push(Arc::clone(stream));
        // As recordings name their topics.
        let file_name = stream.replace('/', "_");
        let pictures = frame.geometry.map_or_else(|| frame.kind.name().to_owned(), |geometry| geometry.to_string());
        tracing::info!(
            camera = %self.name,
            "the camera also sends a stream `{stream}` of {pictures} pictures, which oaktap shows and saves as `{}_{file_name}`",
            self.name
        );
    }

    /// Prepares for the next connection: forgets the provisional frame and the note of the one before.
    pub(super) fn restart(&mut self) {
        self.provisional = None;
        self.broken();
        self.expected.restart();
        self.hints.restart();
        self.note = None;
        self.leaving = false;
        self.explained_to = None;
    }

    /// Prepares for frames after a seek in a recording.
    pub(super) fn sought(&mut self) {
        self.provisional = None;
        self.leaving = false;
        self.broken();
        self.outlets.ledger.update(Stats::sought);
    }

    /// The next frame does not follow the last one.
    pub(super) fn broken(&self) {
        self.outlets.continuity.offer(&Continuity::Broken);
    }

    /// Returns the error for a connection that the camera closed, with the camera's last note if it sent one.
    pub(super) fn closed(&mut self) -> SourceErrorKind {
        self.note.take().map_or(SourceErrorKind::Closed, |note| SourceErrorKind::ClosedWithNote { note })
    }

    /// Fails if the stream is from an unexpected application.
    pub(super) fn check_application(&mut self) -> Result<(), SourceErrorKind> {
        self.unexpected.take().map_or(Ok(()), Err)
    }

    /// Announces the end of the connection, before its last events are delivered. If we close it, because the session is
    /// stopped or the application is another one, a truncated frame does not count as lost.
    pub(super) fn ending<T>(&mut self, ended: &Result<T, SourceErrorKind>) {
        let by_us = matches!(ended, Ok(_) | Err(SourceErrorKind::UnexpectedApplication { .. }));
        self.leaving = by_us;
        self.outlets.ledger.update(|stats| stats.ending(by_us));
    }

    /// Returns the name of the camera, for log lines.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Delivers an event that concerns the whole connection.
    pub(super) fn incident(&mut self, received: Received, event: IncidentEvent) {
        self.incident_of(None, received, event);
    }

    /// Delivers an event that concerns a stream of the camera, or with `None` the first one.
    fn incident_of(&mut self, stream: Option<Arc<str>>, received: Received, event: IncidentEvent) {
        if event.measurement().is_some() {
            self.outlets.ledger.update(|stats| stats.measured(received));
        }
        if !self.outlets.incidents.is_empty() {
            self.hold(Held::Incident(Incident { received, stream, event }));
        }
    }

    /// Delivers an item after those that wait, once it is known whether these frames are stale.
    fn hold(&mut self, item: Held) {
        self.held.push_back(item);
        self.release();
    }

    /// Corrects the layouts of waiting frames that were guessed from too little, now that this frame shows the layout; and
    /// counts those that were delivered already.
    fn correct_layouts(&mut self, frame: &Arc<Frame>) {
        if frame.has_weak_layout() || frame.geometry.is_none() {
            return;
        }
        for item in &mut self.held {
            if let Held::Frame(held) = item
                && held.has_weak_layout()
                && held.payload().len() == frame.payload().len()
                && held.geometry != frame.geometry
            {
                *held = Arc::new(held.with_layout_of(frame));
            }
        }
        let Some((_, geometry, frames)) = self.guessed.take_if(|(len, ..)| *len == frame.payload().len()) else {
            return;
        };
        if geometry != frame.geometry && !self.is_recording {
            let found = frame.geometry.map_or_else(String::new, |geometry| geometry.to_string());
            tracing::warn!(
                camera = %self.name,
                "{} delivered with a wrong layout: the right one is {found}; use --size and --format",
                count(frames, "frame was", "frames were")
            );
            self.outlets.ledger.update(|stats| stats.wrong_layouts += frames);
        }
    }

    fn offer(&mut self, frame: &Arc<Frame>) {
        if frame.has_weak_layout() {
            let len = frame.payload().len();
            let (.., frames) = self.guessed.get_or_insert((len, frame.geometry, 0));
            *frames += 1;
        }
        self.outlets.confirmed.offer(frame);
    }

    fn release(&mut self) {
        while let Some(item) = self.held.pop_front() {
            match item {
                Held::Frame(frame) if frame.staleness.get().is_none() && self.held.len() < MAX_HELD => {
                    self.held.push_front(Held::Frame(frame));
                    return;
                }
                Held::Frame(frame) => self.offer(&frame),
                Held::Incident(incident) => self.outlets.incidents.offer(&incident),
            }
        }
    }

    /// Delivers one event: provisional frames first, because views wait for them, then the ledger, then the rest.
    pub(super) fn deliver(&mut self, event: Event, progress: &Progress<'_>) {
        let mut allowed = true;
        if let Event::Frame(frame) = &event {
            if let Some(stream) = &frame.stream {
                self.see_stream(stream, frame);
            } else if self.layout.replace(frame.geometry) != Some(frame.geometry) {
                tracing::info!(camera = %self.name, "{}: {}", frame.dialect, frame.because);
            }
            let (id, bytes, boxes) = (frame.id, frame.payload().len(), frame.detections.len());
            tracing::debug!(camera = %self.name, id, bytes, boxes, "{} frame", frame.kind.name());
            self.see_classes(frame);
            if !self.is_recording {
                for hint in self.hints.of(frame) {
                    tracing::warn!(camera = %self.name, "{hint}");
                }
            }
            allowed = frame.stream.is_some() || self.expected.allows(progress.introduction, frame);
            self.correct_layouts(frame);
            if allowed {
                self.outlets.provisional.offer(frame);
            }
        }
        let mut replaced = None;
        let (stream, not_sent) = self.outlets.ledger.update(|stats| {
            stats.set_byte_counts(progress.byte_counts);
            stats.set_arrived(progress.received);
            let before = stats.not_sent();
            stats.event(&event);
            if matches!(event, Event::Record(_)) {
                stats.set_introduction(progress.introduction);
                replaced = stats.identified();
            }
            (stats.stream_of(&event), stats.not_sent() - before)
        });
        if let Some(before) = replaced {
            let id = progress.introduction.device_id.as_deref().unwrap_or_default();
            tracing::warn!(camera = %self.name, "another camera is at this address: {id}, before {before}");
        }
        if not_sent > 0 {
            self.broken();
        }
        if not_sent > 0 && !self.is_recording {
            self.incident_of(stream.clone(), progress.received, IncidentEvent::NotSent { frames: not_sent });
        }
        match event {
            // Dropped at once if no outlet wants confirmed frames, so that its buffer is reused.
            Event::Frame(frame) => {
                self.provisional = (allowed && !self.outlets.confirmed.is_empty()).then_some(frame);
            }
            Event::Confirmed(id) => self.confirmed(id, progress),
            Event::Aged(_) => self.release(),
            Event::Withdrawn(id, damage) => {
                self.provisional = None;
                self.broken();
                if let Some(more) = self.warning(WarningKind::Withdrawn, progress) {
                    tracing::warn!(camera = %self.name, frame = id, "frame withdrawn: {damage}{more}");
                }
                self.incident_of(stream, progress.received, IncidentEvent::Withdrawn { id, damage });
            }
            Event::Lost(damage @ Damage::Ended { .. }) if self.leaving => {
                tracing::debug!(camera = %self.name, "frame truncated by our disconnect: {damage}");
            }
            Event::Lost(damage) => {
                self.broken();
                // The source names a message that is too large, with its topic.
                if !matches!(damage, Damage::TooLarge { .. })
                    && let Some(more) = self.warning(WarningKind::Lost, progress)
                {
                    tracing::warn!(camera = %self.name, "frame lost: {damage}{more}");
                }
                self.incident_of(stream, progress.received, IncidentEvent::Lost(damage));
            }
            Event::BadDetections(error) => {
                if let Some(more) = self.warning(WarningKind::Detections, progress) {
                    tracing::warn!(camera = %self.name, "invalid detections: {error}{more}");
                }
                self.incident_of(stream, progress.received, IncidentEvent::BadDetections(error.to_string()));
            }
            Event::Skipped(skipped) => {
                let found = skipped.found.escape_ascii();
                tracing::debug!(camera = %self.name, at = skipped.at, len = skipped.len, reason = ?skipped.reason, "skipped bytes \"{found}\"");
                if !(skipped.reason.is_intact() || self.leaving && skipped.may_be_unfinished()) {
                    let streamed = self.layout.is_some();
                    // The rest of a frame whose header is invalid.
                    let is_explained = self.explained_to.replace(skipped.at + skipped.len) == Some(skipped.at)
                        && skipped.reason == SkipReason::NotAHeader;
                    let explains_more = streamed && matches!(skipped.reason, SkipReason::TooLarge { .. });
                    if !is_explained && !explains_more {
                        self.explained_to = None;
                    }
                    if !is_explained
                        && let Some(advice) = advice_on(&skipped, streamed)
                        && let Some(more) = self.warning(WarningKind::Skipped, progress)
                    {
                        tracing::warn!(camera = %self.name, "{skipped}, from byte {}: {advice}{more}", skipped.at);
                    }
                    self.broken();
                    self.incident(progress.received, IncidentEvent::Skipped(skipped));
                }
            }
            Event::Record(Record::Note(text)) => {
                tracing::info!(camera = %self.name, "note from the camera: {text}");
                self.note = Some(text);
            }
            // A box is reported with its frame.
            Event::Record(Record::Unreadable(line)) if !line.is_box() => {
                if let Some(more) = self.warning(WarningKind::Record, progress) {
                    tracing::warn!(camera = %self.name, "{line}{more}");
                }
            }
            Event::Record(record) => {
                tracing::debug!(camera = %self.name, "record {record:?}");
                // A recording plays with the layout that it was recorded with.
                if let Err(error) = record.geometry()
                    && !self.is_recording
                    && let Some(more) = self.warning(WarningKind::Record, progress)
                {
                    tracing::warn!(camera = %self.name, "{error}; size and format are inferred instead{more}");
                }
            }
        }
    }

    fn warning(&mut self, kind: WarningKind, progress: &Progress<'_>) -> Option<String> {
        self.warnings[kind as usize].admit(progress.received.mono_ns)
    }

    fn confirmed(&mut self, id: u64, progress: &Progress<'_>) {
        if let Some(frame) = self.provisional.take_if(|frame| frame.id == id) {
            self.hold(Held::Frame(frame));
        }
        match self.expected.confirmed(id) {
            Some(Mismatch::UnexpectedApplication(differences)) => {
                self.unexpected.get_or_insert(SourceErrorKind::UnexpectedApplication { differences });
            }
            Some(Mismatch::Contradiction(found)) => {
                // A recording plays with the layout that it was recorded with.
                let advice = if self.is_recording { "" } else { "; override with --size and --format" };
                if let Some(more) = self.warning(WarningKind::Contradiction, progress) {
                    tracing::warn!(camera = %self.name, "the stream contradicts its own records: {found}{advice}{more}");
                }
            }
            None => {}
        }
    }
}

/// Returns what skipped bytes show about their sender. `None` if they belong to a frame that is reported itself. `streamed`:
/// there were frames before. Otherwise the error of the connection may explain them.
fn advice_on(skipped: &Skipped, streamed: bool) -> Option<String> {
    if let SkipReason::TooLarge { .. } = skipped.reason {
        let header = Excerpt::new(&skipped.found[..LINE]);
        return streamed.then(|| {
            format!(
                "the frame is lost, its header is {header}. The lengths in a header must be those of the bytes that follow; for \
                 larger pictures, raise --max-payload"
            )
        });
    }
    if skipped.reason != SkipReason::NotAHeader {
        return None;
    }
    let shown = usize::try_from(skipped.len).map_or(LINE, |len| len.min(LINE));
    let found = &skipped.found[..shown];
    if found.iter().all(|byte| *byte == b' ') {
        let advice =
            "only spaces. Headers and records have 32 bytes: encode their text before it is filled with spaces";
        return Some(advice.to_owned());
    }
    match Unrecognized::new(skipped.at, found).fault(&Limits::default()) {
        Some(fault) if streamed || found.starts_with(b"@") => Some(fault.to_string()),
        None if streamed => {
            let found = Excerpt::new(found);
            let long = if shown < LINE {
                format!("; a record before them may be longer than {LINE} bytes")
            } else {
                String::new()
            };
            Some(format!("found {found}. The lengths in a header must be those of the bytes that follow{long}"))
        }
        Some(_) | None => None,
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.outlets.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::frame::{Guess, PixelFormat, Staleness, Verdict};
    use crate::hub::Policy;

    /// A frame of 96 bytes of this format, of which it is undecided whether it is stale.
    fn frame(id: u64, format: PixelFormat, guess: Guess) -> (Arc<Frame>, Arc<OnceLock<bool>>) {
        let mut frame = Frame::with_payload([id as u8; 96]);
        let stale = Arc::new(OnceLock::new());
        (frame.id, frame.staleness) = (id, Staleness::Later(Arc::clone(&stale)));
        (frame.geometry, frame.guess) = (Geometry::tight(format, 8, 8).ok(), Some(guess));
        (Arc::new(frame), stale)
    }

    fn delivery() -> (Delivery, Outlets) {
        let outlets = Outlets::default();
        (Delivery::new("cam".into(), &"sim:".parse().expect("a source"), outlets.clone(), None), outlets)
    }

    fn deliver(delivery: &mut Delivery, events: impl IntoIterator<Item = Event>) {
        let introduction = Arc::default();
        let (byte_counts, received) = (ByteCounts::default(), Received::default());
        for event in events {
            delivery.deliver(event, &Progress { introduction: &introduction, byte_counts, received });
        }
    }

    fn aged(id: u64, cell: &OnceLock<bool>) -> Event {
        cell.set(false).expect("it was undecided");
        Event::Aged(Verdict { id, stale: false, period_us: None })
    }

    #[test]
    fn waiting_frames_get_the_layout_that_a_later_frame_shows() {
        let (mut delivery, outlets) = delivery();
        let kept = outlets.take_confirmed("kept", Policy::DropNewest(10));
        let (first, undecided) = frame(0, PixelFormat::Nv12, Guess::ByLength);
        deliver(&mut delivery, [Event::Frame(first), Event::Confirmed(0)]);
        assert!(kept.try_take().is_none(), "it waits");
        let (second, other) = frame(1, PixelFormat::Yuv420p, Guess::ByContent);
        deliver(&mut delivery, [Event::Frame(second), Event::Confirmed(1), aged(0, &undecided), aged(1, &other)]);
        for id in [0, 1] {
            let frame = kept.try_take().expect("a frame");
            let format = frame.geometry.map(|geometry| geometry.format);
            assert_eq!((frame.id, format, frame.payload()[0]), (id, Some(PixelFormat::Yuv420p), id as u8));
        }
        assert_eq!(outlets.ledger.snapshot().wrong_layouts, 0);
    }

    #[test]
    fn layouts_that_were_delivered_and_turn_out_to_be_wrong_are_a_loss() {
        for (format, wrong) in [(PixelFormat::Yuv420p, 1), (PixelFormat::Nv12, 0)] {
            let (mut delivery, outlets) = delivery();
            let kept = outlets.take_confirmed("kept", Policy::DropNewest(10));
            let (first, undecided) = frame(0, PixelFormat::Nv12, Guess::ByLength);
            deliver(&mut delivery, [Event::Frame(first), Event::Confirmed(0), aged(0, &undecided)]);
            assert!(kept.try_take().is_some());
            let (second, other) = frame(1, format, Guess::ByContent);
            deliver(&mut delivery, [Event::Frame(second), Event::Confirmed(1), aged(1, &other)]);
            let stats = outlets.ledger.snapshot();
            assert_eq!((stats.wrong_layouts, stats.lossless()), (wrong, wrong == 0));
        }
    }
}
