//! The decoder's state machine. Lends the memory that reads fill, and accounts for every byte.

mod delimited;
mod discard;
mod recorded;
mod search;
mod verdicts;

use std::sync::Arc;

use super::event::{ByteCounts, Damage, Event, SkipReason, Skipped};
use super::header::{self, DetectionSyntax, Dialect, Header, Parsed};
use super::input::InputBuffer;
use super::introduction::Introduction;
use super::limits::Limits;
use super::message::{inner_text, len_before_text, message_len};
use super::output::Output;
use super::partial_frame::{PartialFrame, is_plausible};
use super::preamble::{DetectMessage, Preamble};
use super::record::Record;
use super::resync;
use super::text::LINE;
use super::unrecognized::Unrecognized;
use super::work::Work;
use crate::frame::{Backlog, Frame, Interpreter, Lease, Pool, Received, Staleness};

/// After this many damaged frames in a row, scan the whole frame before accepting its header. Accepting a wrong header
/// costs a copy of up to a whole frame: this limits the copying that a hostile peer can cause with little data.
const MAX_UNVERIFIED_RESYNCS: u32 = 3;

/// Events that are queued before the caller has to take them: one read can have many thousand.
const MAX_QUEUED_EVENTS: usize = 64;

/// Bytes of a discarded payload that are read at once.
const MAX_DISCARD_READ: usize = 64 << 10;

/// Junk after a provisional frame, in bytes, after which the frame is confirmed or withdrawn.
const MAX_UNDECIDED_JUNK: u64 = 1 << 20;

/// Decodes the bytes of one connection into [`Event`]s. The [module](super) shows how to drive it.
#[derive(Debug)]
pub struct Decoder {
    frames: Pool<Frame>,
    interpreter: Interpreter,
    limits: Limits,
    state: ParserState,
    input: InputBuffer,
    output: Output,
    preamble: Preamble,
    /// Arrival of the last bytes committed.
    now: Received,
    /// Whether the recorded frame that is being decoded is stale; `None` for a live one.
    recorded_stale: Option<bool>,

    /// The frame that was reported and is neither confirmed nor withdrawn.
    provisional: Option<Provisional>,
    /// Payload length of the last frame that a header confirmed, in bytes.
    confirmed_len: Option<usize>,
    damaged_in_a_row: u32,
    work: Work,
    /// Position of the header that [`ParserState::Verify`] accepted, in bytes since the connection was opened.
    verified_at: Option<u64>,
    /// Set once the camera has sent a checksum (`@E`).
    checksums: bool,
    unrecognized: Option<Unrecognized>,
    backlog: Backlog,
    next_id: u64,
    /// The input has more events than [`MAX_QUEUED_EVENTS`].
    unfinished: bool,
    ended: bool,
}

#[derive(Debug)]
enum ParserState {
    /// A message should start at the front of the input; it is not parsed again before this many bytes are there.
    Boundary { need: usize },
    /// The payload of a frame is being received.
    Payload(PartialFrame),
    /// Out of sync: no header starts in the first `searched` bytes of the input.
    Search { searched: usize },
    /// `left` bytes of a payload are skipped, because there is no memory for its frame.
    Discard { left: usize, is_searched: bool },
    /// A header is at the front of the input, after [`MAX_UNVERIFIED_RESYNCS`] or when the [`Work`] is used up.
    Verify(Verification),
}

/// State of the check whether another header starts inside the message at the front of the input.
#[derive(Clone, Copy, Debug)]
struct Verification {
    /// No other header starts in the first `searched` bytes of the message.
    searched: usize,
    /// The header is not parsed again before this many bytes are there.
    need: usize,
    /// Length of the message in bytes, once its header was parsed.
    len: Option<usize>,
}

impl Verification {
    const START: Self = Self { searched: LINE, need: LINE, len: None };
}

#[derive(Debug)]
struct Provisional {
    frame: Arc<Frame>,
    dialect: Dialect,
    /// No other header starts inside it. A silence asks again and again.
    searched: bool,
    /// No header follows it: more bytes have to decide.
    suspect: bool,
}

enum Step {
    /// Advance again with the same input.
    Continue,
    /// Wait for more bytes.
    NeedInput,
}

impl Decoder {
    /// Creates a decoder for one connection.
    #[must_use]
    pub fn new(frames: Pool<Frame>, interpreter: Interpreter, limits: Limits) -> Self {
        Self {
            frames,
            interpreter,
            limits,
            state: ParserState::Boundary { need: LINE },
            input: InputBuffer::new(),
            output: Output::new(),
            preamble: Preamble::default(),
            now: Received::default(),
            recorded_stale: None,
            provisional: None,
            confirmed_len: None,
            damaged_in_a_row: 0,
            work: Work::new(),
            verified_at: None,
            checksums: false,
            unrecognized: None,
            backlog: Backlog::default(),
            next_id: 0,
            unfinished: false,
            ended: false,
        }
    }

    /// Returns the memory for the next bytes. Never empty.
    pub fn space(&mut self) -> &mut [u8] {
        self.advance_to_end();
        if let ParserState::Payload(partial) = &mut self.state
            && !partial.grow()
        {
            self.discard_partial_frame();
        }
        let missing = self.wanted();
        match &mut self.state {
            ParserState::Payload(partial) => partial.space(),
            _ => self.input.space(missing),
        }
    }

    /// Returns the number of bytes until the next event is possible, at least 1. A caller may wait for that many.
    #[must_use]
    pub fn wanted(&self) -> usize {
        match &self.state {
            ParserState::Boundary { need } => need.saturating_sub(self.input.len()).max(1),
            ParserState::Payload(partial) => partial.expected - partial.received,
            ParserState::Discard { left, .. } => left.saturating_sub(self.input.len()).clamp(1, MAX_DISCARD_READ),
            ParserState::Search { .. } | ParserState::Verify(_) => 1,
        }
    }

    /// Decodes the first `n` bytes of [`Self::space`], which arrived at `now`. Drain [`Self::poll`] afterwards.
    pub fn commit(&mut self, n: usize, now: Received) {
        self.now = now;
        self.output.received(n);
        self.work.received(n);
        if let ParserState::Payload(partial) = &mut self.state {
            partial.received += n;
            self.input.bypass(n);
        } else {
            self.input.commit(n);
        }
        self.advance(MAX_QUEUED_EVENTS);
    }

    /// Copies `bytes`, which arrived at `now`, into the decoder. Drain [`Self::poll`] afterwards.
    pub fn feed(&mut self, mut bytes: &[u8], now: Received) {
        while !bytes.is_empty() {
            let space = self.space();
            let (piece, rest) = bytes.split_at(space.len().min(bytes.len()));
            space[..piece.len()].copy_from_slice(piece);
            self.commit(piece.len(), now);
            bytes = rest;
        }
    }

    /// Returns the next event; `None` once all have been returned. Decodes on demand, so that a caller can let other
    /// connections take their turn between the many events of one read.
    pub fn poll(&mut self) -> Option<Event> {
        if self.unfinished && self.output.is_empty() {
            self.advance(MAX_QUEUED_EVENTS);
        }
        self.output.poll()
    }

    /// Returns whether [`Self::poll`] may return an event.
    #[must_use]
    pub fn has_events(&self) -> bool {
        self.unfinished || !self.output.is_empty()
    }

    /// Confirms or withdraws a provisional frame without waiting for the next header. To be called when no bytes have
    /// arrived for about two frame times.
    pub fn idle(&mut self) {
        self.advance_to_end();
        if matches!(self.state, ParserState::Payload(_) | ParserState::Discard { .. }) {
            return;
        }
        let clean = self.is_clean();
        let torn = if clean { self.confirm_or_withdraw() } else { self.withdraw_if_torn() };
        if torn.is_some() {
            self.advance(usize::MAX);
        } else if !clean && self.confirmed_len.is_some() {
            self.judge_suspect(None);
        }
    }

    /// Ends the connection. Drain [`Self::poll`] afterwards.
    pub fn finish(&mut self) {
        self.advance_to_end();
        self.ended = true;
        self.advance(usize::MAX);
        loop {
            let torn = if self.is_clean() {
                self.confirm_or_withdraw()
            } else if self.input.len() > 0 {
                // The remaining bytes may be the end of a header whose start was read as payload.
                self.withdraw_if_torn()
            } else {
                None
            };
            if torn.is_none() {
                break;
            }
            self.advance(usize::MAX);
        }
        self.skip(self.input.len(), SkipReason::NotAHeader);
        self.drop_announced_frame();
        self.judge_suspect(None);
        self.output.end_skip();
        self.backlog.end();
        self.report_verdicts();
    }

    /// Returns whether nothing but the possible start of another message follows the last one.
    fn is_clean(&self) -> bool {
        let input = self.input.bytes();
        matches!(self.state, ParserState::Boundary { .. }) && (input.is_empty() || header::can_start_message(input))
    }

    /// Prepares for the next connection to the same camera. To be called after [`Self::finish`].
    ///
    /// Keeps the frame layout, the class names and the numbering of frames; resets the byte counts.
    pub fn restart(&mut self) {
        let interpreter = std::mem::take(&mut self.interpreter);
        let preamble = self.preamble.for_next_connection();
        let new = Self::new(self.frames.clone(), interpreter, self.limits);
        *self = Self { confirmed_len: self.confirmed_len, next_id: self.next_id, preamble, ..new };
    }

    /// Returns the byte counts of this connection.
    #[must_use]
    pub fn byte_counts(&self) -> ByteCounts {
        let mut held = self.input.len();
        if let ParserState::Payload(partial) = &self.state {
            held += partial.len();
        }
        held += self.provisional.as_ref().map_or(0, |provisional| message_len(&provisional.frame));
        held += self.preamble.detect.as_ref().map_or(0, DetectMessage::len);
        self.output.byte_counts(held as u64)
    }

    /// Returns whether the last frame reported is neither confirmed nor withdrawn.
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        self.provisional.is_some()
    }

    /// Returns whether a message has been received in part.
    #[must_use]
    pub fn is_inside_a_frame(&self) -> bool {
        self.input.len() > 0
            || matches!(self.state, ParserState::Payload(_) | ParserState::Discard { .. })
            || self.preamble.detect.is_some()
    }

    /// Returns the range being skipped, up to the current position.
    #[must_use]
    pub fn skipping(&self) -> Option<Skipped> {
        self.output.skipping()
    }

    /// Returns the arrival time of the last bytes.
    #[must_use]
    pub const fn arrived(&self) -> Received {
        self.now
    }

    /// Returns the work done on this connection: bytes received, searched, copied and read again. Grows with the bytes
    /// received, by at most a constant factor, whatever they are.
    #[must_use]
    pub const fn work(&self) -> u64 {
        self.work.done()
    }

    /// Returns the camera's description of itself on this connection.
    #[must_use]
    pub fn introduction(&self) -> &Arc<Introduction> {
        &self.preamble.introduction
    }

    /// Returns the interpreter of the payloads.
    #[must_use]
    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// Decodes until the input or the room for events is used up.
    fn advance(&mut self, max_events: usize) {
        self.unfinished = true;
        while self.output.len() < max_events {
            let step = match self.state {
                ParserState::Boundary { need } => self.boundary(need),
                ParserState::Payload(_) => self.fill(),
                ParserState::Discard { left, is_searched } => self.discard(left, is_searched),
                ParserState::Search { searched } => self.search(searched),
                ParserState::Verify(verification) => self.verify_header(verification),
            };
            if matches!(step, Step::NeedInput) {
                self.unfinished = false;
                return;
            }
        }
    }

    fn advance_to_end(&mut self) {
        if self.unfinished {
            self.advance(usize::MAX);
        }
    }

    // -- at a boundary --------------------------------------------------------------------------

    fn boundary(&mut self, need: usize) -> Step {
        let input = self.input.bytes();
        // Parsing a long header again with each byte would cost the square of its length.
        if input.len() < need && !self.ended {
            return Step::NeedInput;
        }
        self.work.examined(LINE);
        match header::parse(input, &self.limits) {
            Parsed::NeedBytes(need) if !self.ended => {
                self.work.examined(need);
                self.state = ParserState::Boundary { need };
                Step::NeedInput
            }
            Parsed::Message(header) => self.begin_frame(header),
            Parsed::Detect { json_len } => self.take_detect(json_len),
            Parsed::Record(record) => {
                if let Some(step) = self.judge_by_record(&record) {
                    return step;
                }
                if let Err(error) = self.preamble.apply(&record, &mut self.interpreter, &self.limits) {
                    self.output.push(Event::BadDetections(error));
                }
                // A damaged frame's checksum is dropped with it.
                let kept = self.damaged_in_a_row == 0 || !matches!(record, Record::Checksum { .. });
                self.output.record(record, kept.then_some(&self.input.bytes()[..LINE]));
                self.input.consume(LINE);
                self.state = ParserState::Boundary { need: LINE };
                Step::Continue
            }
            Parsed::TooLarge { claimed } => {
                if let Some(step) = self.confirm_or_withdraw() {
                    return step;
                }
                self.note_unrecognized();
                self.drop_announced_frame();
                self.skip(LINE, SkipReason::TooLarge { claimed });
                self.state = ParserState::Search { searched: 0 };
                Step::Continue
            }
            // A truncated line at the end of the stream: `finish` skips it.
            Parsed::NeedBytes(_) if input.len() < LINE => Step::NeedInput,
            Parsed::NeedBytes(_) | Parsed::Unrecognized => self.lose_sync(),
        }
    }

    fn begin_frame(&mut self, header: Header) -> Step {
        if let Some(step) = self.confirm_or_withdraw() {
            return step;
        }
        if self.work.needs_proof(self.input.offset()) && self.verified_at != Some(self.input.offset()) {
            return self.verify();
        }
        self.output.end_skip();
        let Header { dialect, len, device_time, detections_len, payload_len } = header;
        if self.input.len() < len + detections_len {
            self.state = ParserState::Boundary { need: len + detections_len };
            if self.ended {
                self.output.push(Event::Lost(Damage::Ended { expected: payload_len, received: 0 }));
                self.skip(self.input.len(), SkipReason::DamagedFrame);
            }
            return Step::NeedInput;
        }
        let Some(mut partial) = PartialFrame::new(&self.frames, dialect, payload_len, self.confirmed_len) else {
            self.drop_announced_frame();
            let is_searched = !is_plausible(dialect, payload_len, self.confirmed_len);
            return self.begin_discard(len + detections_len, payload_len, is_searched);
        };
        let frame = &mut partial.frame;
        frame.at = self.input.offset();
        frame.device_time = device_time;
        self.output.lines.move_to(frame);
        if let Some(DetectMessage { at, header, json }) = self.preamble.detect.take() {
            if dialect.detections() == DetectionSyntax::Json {
                frame.at = at;
                frame.header.extend_from_slice(&header);
                frame.detection_text.extend_from_slice(&json);
            } else {
                self.output.skip_consumed(at, &header, LINE as u64 + json.len() as u64);
            }
        }
        let bytes = self.input.bytes();
        frame.header.extend_from_slice(&bytes[..len]);
        frame.detection_text.extend_from_slice(&bytes[len..len + detections_len]);
        self.work.examined(len + detections_len);
        self.input.consume(len + detections_len);
        if let Err(error) = self.preamble.join(frame, dialect, &self.limits) {
            self.output.push(Event::BadDetections(error));
            // Bytes may be missing from the detections, with the next header read as their end. The frame could then
            // end where another one starts by chance, so that its length would not reveal the loss.
            let text = inner_text(frame);
            if let Some(at) = resync::find(text, 0, &self.limits, &mut self.work) {
                self.output.push(Event::Lost(Damage::Truncated { expected: payload_len, received: 0 }));
                self.damaged_in_a_row += 1;
                self.output.skip_damaged(frame, len_before_text(frame) + at, &mut self.work);
                let copied = self.input.put_back(&text[at..], &[]);
                self.work.reread(text.len() + copied, self.input.end_offset());
                return self.resume();
            }
        }
        self.state = ParserState::Payload(partial);
        Step::Continue
    }

    fn take_detect(&mut self, json_len: usize) -> Step {
        if let Some(step) = self.confirm_or_withdraw() {
            return step;
        }
        self.output.end_skip();
        let input = self.input.bytes();
        if input.len() < LINE + json_len {
            self.state = ParserState::Boundary { need: LINE + json_len };
            if self.ended {
                self.skip(input.len(), SkipReason::DamagedFrame);
            }
            return Step::NeedInput;
        }
        self.drop_announced_frame();
        let input = self.input.bytes();
        let header = *input.first_chunk().expect("the header was parsed here");
        let json = &input[LINE..LINE + json_len];
        if let Some(at) = resync::find(json, 0, &self.limits, &mut self.work) {
            self.damaged_in_a_row += 1;
            self.skip(LINE + at, SkipReason::DamagedFrame);
            self.output.end_skip();
            return self.resume();
        }
        let json = json.to_vec();
        self.output.lines.mark_detect();
        self.preamble.detect = Some(DetectMessage { at: self.input.offset(), header, json });
        self.input.consume(LINE + json_len);
        self.state = ParserState::Boundary { need: LINE };
        Step::Continue
    }

    /// Drops what was announced for a frame that did not arrive.
    fn drop_announced_frame(&mut self) {
        self.output.lines.drop_frame_lines();
        if let Some(DetectMessage { at, header, json }) = self.preamble.clear_frame() {
            self.output.skip_consumed(at, &header, LINE as u64 + json.len() as u64);
        }
    }

    // -- inside a payload -----------------------------------------------------------------------

    fn fill(&mut self) -> Step {
        let ParserState::Payload(partial) = &mut self.state else { unreachable!("called in the payload state only") };
        let Some(filled) = partial.fill(&mut self.input) else {
            self.discard_partial_frame();
            return Step::Continue;
        };
        self.work.examined(filled);
        if let Some(at) = partial.find_header(&self.limits, &mut self.work) {
            return self.abandon(at);
        }
        let (received, expected) = (partial.received, partial.expected);
        if received == expected {
            return self.complete();
        }
        if !self.ended {
            return Step::NeedInput;
        }
        let (text, payload) = (inner_text(&partial.frame), partial.payload());
        if let Some(at) = resync::find_inside(text, payload, &self.limits, &mut self.work) {
            return self.abandon(at);
        }
        let all = text.len() + received;
        self.output.push(Event::Lost(Damage::Ended { expected, received }));
        self.skip_partial_frame(all);
        Step::NeedInput
    }

    fn complete(&mut self) -> Step {
        let PartialFrame { mut frame, dialect, expected, .. } = self.take_partial_frame();
        frame.payload_mut(expected);
        let frame = self.finished(frame);
        self.provisional = Some(Provisional { frame, dialect, searched: false, suspect: false });
        Step::Continue
    }

    /// Interprets a frame whose payload is complete, numbers it and reports it.
    fn finished(&mut self, mut frame: Lease<Frame>) -> Arc<Frame> {
        self.interpreter.interpret_frame(&mut frame);
        frame.announced = frame.geometry.is_some() && frame.geometry == self.preamble.introduction.geometry;
        frame.received = self.now;
        frame.id = self.next_id;
        self.next_id += 1;
        frame.staleness = match self.recorded_stale {
            Some(stale) => Staleness::Known(stale),
            // The times of the first stream decide.
            None if frame.stream.is_some() => Staleness::Known(false),
            None => self.backlog.observe(frame.id, frame.device_time, self.now.mono_ns),
        };
        self.report_verdicts();
        let frame = frame.seal();
        self.output.push(Event::Frame(Arc::clone(&frame)));
        // Waiting frames must not take the memory that the next ones need.
        if self.frames.used() > self.frames.bound().limit() / 2 {
            self.backlog.give_up();
            self.report_verdicts();
        }
        frame
    }

    /// Ends the frame being received: another header starts `at` bytes after its own.
    fn abandon(&mut self, at: usize) -> Step {
        let ParserState::Payload(partial) = &self.state else { unreachable!("called in the payload state only") };
        let received = at.saturating_sub(inner_text(&partial.frame).len());
        self.output.push(Event::Lost(Damage::Truncated { expected: partial.expected, received }));
        self.damaged_in_a_row += 1;
        self.skip_partial_frame(at);
        self.resume()
    }

    /// Skips the frame being received up to `at` bytes after its header, and returns the rest to the input.
    fn skip_partial_frame(&mut self, at: usize) {
        let PartialFrame { frame, received, .. } = self.take_partial_frame();
        self.output.skip_damaged(&frame, len_before_text(&frame) + at, &mut self.work);
        self.put_back_from(at, inner_text(&frame), &frame.payload()[..received]);
    }

    /// Leaves the payload state.
    fn take_partial_frame(&mut self) -> PartialFrame {
        let ParserState::Payload(partial) = std::mem::replace(&mut self.state, ParserState::Boundary { need: LINE })
        else {
            unreachable!("called in the payload state only")
        };
        partial
    }

    // -- out of sync ----------------------------------------------------------------------------

    fn skip(&mut self, n: usize, reason: SkipReason) {
        self.output.skip(&mut self.input, n, reason);
    }

    /// Returns the bytes of a message, from `at` bytes after its header, to the input.
    fn put_back_from(&mut self, at: usize, text: &[u8], payload: &[u8]) {
        let copied = self.input.put_back(&text[at.min(text.len())..], &payload[at.saturating_sub(text.len())..]);
        self.work.reread(copied, self.input.end_offset());
    }
}
