//! Searches for the next header after junk or missing bytes, and withdraws damaged frames.

use super::{
    Damage, Decoder, Event, MAX_UNDECIDED_JUNK, MAX_UNVERIFIED_RESYNCS, ParserState, Provisional, SkipReason, Step,
    Verification,
};
use crate::wire::header::{self, Parsed};
use crate::wire::message::{inner_text, len_before_text, message_len};
use crate::wire::record::Record;
use crate::wire::resync;
use crate::wire::text::LINE;
use crate::wire::unrecognized::Unrecognized;

impl Decoder {
    /// Returns the first line of this connection that is in the place of a header but cannot be used as one.
    #[must_use]
    pub const fn unrecognized(&self) -> Option<Unrecognized> {
        self.unrecognized
    }

    /// Keeps the line at the front of the input if it is the first one that cannot be used.
    pub(super) fn note_unrecognized(&mut self) {
        let (at, input) = (self.input.offset(), self.input.bytes());
        self.unrecognized.get_or_insert_with(|| Unrecognized::new(at, input));
    }

    /// Neither a header nor a record is at the boundary: either the previous frame lost bytes, or junk follows it.
    pub(super) fn lose_sync(&mut self) -> Step {
        self.drop_announced_frame();
        if let Some(step) = self.withdraw_if_torn() {
            return step;
        }
        self.note_unrecognized();
        if let Some(provisional) = &mut self.provisional {
            provisional.suspect = true;
        }
        // The first byte is not the start of a header: `parse` has rejected it.
        self.state = ParserState::Search { searched: 1 };
        Step::Continue
    }

    /// Withdraws the provisional frame if another header starts inside its message.
    pub(super) fn withdraw_if_torn(&mut self) -> Option<Step> {
        let Provisional { frame, searched, .. } = self.provisional.as_mut()?;
        let (text, payload, limits, work) = (inner_text(frame), frame.payload(), &self.limits, &mut self.work);
        let inside = if *searched { None } else { resync::find_inside(text, payload, limits, work) };
        *searched = true;
        let across = || resync::find_across(payload, self.input.bytes(), limits, work).map(|at| text.len() + at);
        let at = inside.or_else(across)?;
        self.withdraw_at(at);
        Some(self.resume())
    }

    /// Confirms the provisional frame, which is followed by a header or by nothing. That is not proof if the frame lost
    /// as many bytes as a record or `DETECT` message has: its payload then ends with that one.
    pub(super) fn confirm_or_withdraw(&mut self) -> Option<Step> {
        let suspicious = self.provisional.as_ref().is_some_and(|provisional| {
            self.checksums || resync::may_be_spliced(&provisional.frame, provisional.dialect)
        });
        let torn = if suspicious { self.withdraw_if_torn() } else { None };
        self.confirm_provisional();
        torn
    }

    /// Decides on the provisional frame as far as the record that follows it allows.
    pub(super) fn judge_by_record(&mut self, record: &Record) -> Option<Step> {
        match record {
            // Pixels can look like one by chance: it is no proof that the frame before it is complete.
            Record::Unreadable(_) => return self.withdraw_if_torn(),
            Record::Checksum { seq, crc32 } => self.verify_checksum(*seq, *crc32),
            Record::Frame { .. } | Record::Box(_) => return self.confirm_or_withdraw(),
            // A record about the connection: the checksum of the last frame may follow it.
            _ if self.checksums => {}
            _ => return self.confirm_or_withdraw(),
        }
        None
    }

    /// Checks the provisional frame against the checksum that follows it.
    fn verify_checksum(&mut self, seq: u64, crc32: u32) {
        self.checksums = true;
        let Some(Provisional { frame, .. }) = &self.provisional else { return };
        let same_frame = frame.camera_seq.is_none_or(|own| own == seq);
        let found = crc32fast::hash(frame.payload());
        if !same_frame || found == crc32 {
            self.confirm_provisional();
        } else {
            self.withdraw(Damage::Checksum { expected: crc32, found });
        }
    }

    /// Withdraws the provisional frame: another header starts `at` bytes after its own. Decoding resumes there.
    fn withdraw_at(&mut self, at: usize) {
        let Some(Provisional { frame, .. }) = self.provisional.take() else { return };
        let (text, payload) = (inner_text(&frame), frame.payload());
        let damage = Damage::Truncated { expected: payload.len(), received: at.saturating_sub(text.len()) };
        self.output.push(Event::Withdrawn(frame.id, damage));
        self.damaged_in_a_row += 1;
        self.output.skip_damaged(&frame, len_before_text(&frame) + at, &mut self.work);
        self.put_back_from(at, text, payload);
    }

    /// Resumes at the header at the front of the input: accepts it, or verifies it first.
    pub(super) fn resume(&mut self) -> Step {
        if self.damaged_in_a_row >= MAX_UNVERIFIED_RESYNCS || self.work.is_used_up() {
            return self.verify();
        }
        self.state = ParserState::Boundary { need: LINE };
        Step::Continue
    }

    pub(super) fn verify(&mut self) -> Step {
        self.state = ParserState::Verify(Verification::START);
        Step::Continue
    }

    pub(super) fn search(&mut self, searched: usize) -> Step {
        let input = self.input.bytes();
        let Some(at) = resync::find(input, searched, &self.limits, &mut self.work) else {
            // Keeps only the last bytes, in which a header may start.
            self.skip(input.len().saturating_sub(resync::PARTIAL_LINE), SkipReason::NotAHeader);
            if self.output.skipping().is_some_and(|skipped| skipped.len > MAX_UNDECIDED_JUNK) {
                self.judge_suspect(None);
            }
            self.state = ParserState::Search { searched: 0 };
            return Step::NeedInput;
        };
        if at > 0 || self.provisional.is_some() {
            let found = &input[at..];
            if self.provisional.is_some()
                && matches!(header::parse(found, &self.limits), Parsed::Record(Record::Checksum { .. }))
            {
                // The checksum judges the frame better than its length does.
                self.skip(at, SkipReason::NotAHeader);
                return self.resume();
            }
            let next = header::payload_len(found);
            self.skip(at, SkipReason::NotAHeader);
            self.judge_suspect(next);
            self.state = ParserState::Search { searched: 0 };
            return Step::Continue;
        }
        self.resume()
    }

    /// Accepts the header at the front of the input only if no other header starts inside its message. Reads every byte
    /// once and copies none.
    pub(super) fn verify_header(&mut self, verification: Verification) -> Step {
        let Verification { searched, need, len } = verification;
        let input = self.input.bytes();
        if input.len() < need && !self.ended {
            return Step::NeedInput;
        }
        let len = match len.map_or_else(|| header::parse(input, &self.limits), |_| Parsed::Unrecognized) {
            Parsed::Message(header) => header.len + header.detections_len + header.payload_len,
            Parsed::Detect { json_len } => LINE + json_len,
            Parsed::NeedBytes(need) if !self.ended => {
                self.work.examined(need);
                self.state = ParserState::Verify(Verification { need, ..verification });
                return Step::NeedInput;
            }
            Parsed::Record(_) | Parsed::TooLarge { .. } | Parsed::Unrecognized | Parsed::NeedBytes(_) => {
                len.unwrap_or(LINE)
            }
        };
        self.work.examined(LINE);
        // A header across the end of the message is found when the frame is complete: its last bytes may be missing.
        match resync::find(&input[..input.len().min(len)], searched, &self.limits, &mut self.work) {
            Some(at) => {
                self.output.push(Event::Lost(Damage::Truncated { expected: len, received: at }));
                self.skip(at, SkipReason::DamagedFrame);
                self.verify()
            }
            None if input.len() < len && !self.ended => {
                let searched = input.len().saturating_sub(resync::PARTIAL_LINE).max(searched);
                self.state = ParserState::Verify(Verification { searched, need: LINE, len: Some(len) });
                Step::NeedInput
            }
            None => {
                self.output.end_skip();
                self.verified_at = Some(self.input.offset());
                self.state = ParserState::Boundary { need: LINE };
                Step::Continue
            }
        }
    }

    // -- verdicts -------------------------------------------------------------------------------

    pub(super) fn confirm_provisional(&mut self) {
        let Some(Provisional { frame, suspect, .. }) = self.provisional.take() else { return };
        if !suspect {
            self.confirmed_len = Some(frame.payload().len());
        }
        self.damaged_in_a_row = 0;
        self.output.confirmed(&frame);
    }

    /// Confirms or withdraws the provisional frame, which is followed by junk. `next`: payload length in the header
    /// after the junk, if there is one.
    pub(super) fn judge_suspect(&mut self, next: Option<usize>) {
        let Some(Provisional { frame, dialect, .. }) = &self.provisional else { return };
        let foreign = self.output.is_skipping_records();
        if resync::is_complete(frame, *dialect, self.confirmed_len, next, foreign) {
            self.confirm_provisional();
            return;
        }
        let expected = frame.payload().len();
        self.withdraw(Damage::Unverified { expected });
    }

    /// Withdraws the whole provisional frame.
    pub(super) fn withdraw(&mut self, damage: Damage) {
        let Some(Provisional { frame, .. }) = self.provisional.take() else { return };
        self.output.push(Event::Withdrawn(frame.id, damage));
        self.damaged_in_a_row += 1;
        self.output.skip_damaged(&frame, message_len(&frame), &mut self.work);
    }
}
