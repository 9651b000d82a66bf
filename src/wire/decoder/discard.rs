//! Frames for which there is no memory: their bytes are skipped and counted, and the stream stays in sync.

use super::{Damage, Decoder, Event, ParserState, PartialFrame, SkipReason, Step};
use crate::wire::message::message_len;
use crate::wire::resync;
use crate::wire::text::LINE;

impl Decoder {
    /// Skips a frame whose first `head` bytes, up to its payload, are at the front of the input.
    pub(super) fn begin_discard(&mut self, head: usize, payload_len: usize, is_searched: bool) -> Step {
        self.lost_for_memory(payload_len);
        self.skip(head, SkipReason::NoMemory);
        self.state = ParserState::Discard { left: payload_len, is_searched };
        Step::Continue
    }

    /// Gives up the frame that is being received, and skips the rest of it.
    pub(super) fn discard_partial_frame(&mut self) {
        let partial = self.take_partial_frame();
        let is_searched = partial.is_searched();
        let PartialFrame { frame, expected, received, .. } = partial;
        self.lost_for_memory(expected);
        let len = message_len(&frame) - frame.payload().len() + received;
        self.output.skip_for_memory(&frame, len);
        self.state = ParserState::Discard { left: expected - received, is_searched };
    }

    fn lost_for_memory(&mut self, expected: usize) {
        self.output.push(Event::Lost(Damage::NoMemory { expected }));
    }

    /// Skips the next of the `left` bytes of a payload. A payload of implausible length ends at the next header, as one
    /// that is kept does.
    pub(super) fn discard(&mut self, left: usize, is_searched: bool) -> Step {
        let input = self.input.bytes();
        let part = &input[..input.len().min(left)];
        self.work.examined(part.len());
        if is_searched && let Some(at) = resync::find(part, 0, &self.limits, &mut self.work) {
            self.skip(at, SkipReason::NoMemory);
            self.output.end_skip();
            return self.resume();
        }
        // A header may start in the last bytes.
        let kept = if is_searched && part.len() < left { resync::PARTIAL_LINE.min(part.len()) } else { 0 };
        let skipped = part.len() - kept;
        self.skip(skipped, SkipReason::NoMemory);
        if skipped < left {
            self.state = ParserState::Discard { left: left - skipped, is_searched };
            return Step::NeedInput;
        }
        self.output.end_skip();
        self.state = ParserState::Boundary { need: LINE };
        Step::Continue
    }
}
