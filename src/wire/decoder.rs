//! The state machine: lends the memory that the kernel fills, and never loses count of a byte.

use std::sync::Arc;

use super::account::Account;
use super::announced::{Announced, Detect};
use super::event::{Books, Damage, Event, Limits, SkipReason, Skipped};
use super::header::{self, Header, LINE, Line};
use super::introduction::Introduction;
use super::message::{head_of, message_len, text_of};
use super::record::Record;
use super::resync;
use super::unread::{STEP, Unread};
use crate::frame::time::StaleBurst;
use crate::frame::{Dialect, Frame, Geometry, Interpreter, Lease, Pool, Received};

/// After this many damaged frames in a row a header is believed only when nothing contradicts it to its frame's end.
/// Before that it is believed at once: that costs a copy when it is wrong, and a peer must not buy many with few bytes.
const PATIENCE: u32 = 3;

/// A frame waits for its verdict until this much junk has followed it.
const MUCH: u64 = 1 << 20;

/// Bytes of a connection -> [`Event`]s. See the [module](super) for how it is driven.
#[derive(Debug)]
pub struct Decoder {
    frames: Pool<Frame>,
    interpreter: Interpreter,
    limits: Limits,
    state: State,
    unread: Unread,
    account: Account,
    announced: Announced,
    /// When the bytes that are being looked at arrived, and when they did so for the first time.
    now: Received,
    arrived_ns: u64,

    /// The frame that was handed out and is still provisional.
    last: Option<Provisional>,
    /// Length of the last payload that a header confirmed.
    usual: Option<usize>,
    damaged_in_a_row: u32,
    /// Whether the camera sends checksums (`@E`).
    checksums: bool,
    stale_burst: StaleBurst,
    next_id: u64,
    ended: bool,
}

#[derive(Debug)]
enum State {
    /// A header should stand at the front of `head`; it takes this many bytes to tell.
    Boundary { need: usize },
    /// A payload is being filled.
    Payload(Filling),
    /// Anything may stand at the front of `head`: up to `searched` no header begins.
    Search { searched: usize },
    /// A header stands at the front of `head`, after too many that were wrong: up to `searched` nothing in the message
    /// that it promises speaks against it.
    Distrust { searched: usize },
}

#[derive(Debug)]
struct Filling {
    frame: Lease<Frame>,
    promised: usize,
    filled: usize,
    /// Up to where the payload was searched for the next header, if its length is suspicious.
    watched: Option<usize>,
}

#[derive(Debug)]
struct Provisional {
    frame: Arc<Frame>,
    /// What stands behind it is no header: it waits for its verdict.
    suspect: bool,
}

/// What a step of the machine came to.
enum Step {
    /// Go on with what is there.
    Again,
    /// More bytes are needed.
    Wait,
}

impl Decoder {
    /// A decoder for one connection.
    #[must_use]
    pub fn new(frames: Pool<Frame>, interpreter: Interpreter, limits: Limits) -> Self {
        Self {
            frames,
            interpreter,
            limits,
            state: State::Boundary { need: LINE },
            unread: Unread::new(),
            account: Account::new(),
            announced: Announced::default(),
            now: Received::default(),
            arrived_ns: 0,
            last: None,
            usual: None,
            damaged_in_a_row: 0,
            checksums: false,
            stale_burst: StaleBurst::default(),
            next_id: 0,
            ended: false,
        }
    }

    /// Where the next bytes go. Never empty.
    pub fn space(&mut self) -> &mut [u8] {
        let missing = self.wanted();
        match &mut self.state {
            State::Payload(Filling { frame, promised, filled, .. }) => {
                let room = frame.payload().len();
                // Twice what has arrived: memory grows with the bytes, not with the claim.
                let room = if *filled < room { room } else { (*promised).min(*filled * 2) };
                &mut frame.payload_mut(room)[*filled..]
            }
            State::Boundary { .. } | State::Search { .. } | State::Distrust { .. } => self.unread.space(missing),
        }
    }

    /// How many bytes are still missing before something can happen: for those who can wait for that many.
    #[must_use]
    pub fn wanted(&self) -> usize {
        match &self.state {
            State::Boundary { need } => need.saturating_sub(self.unread.len()).max(1),
            State::Payload(filling) => filling.promised - filling.filled,
            State::Search { .. } | State::Distrust { .. } => 1,
        }
    }

    /// `n` bytes were written to the front of [`Self::space`], at this time. Drain [`Self::poll`] afterwards.
    pub fn commit(&mut self, n: usize, now: Received) {
        self.commit_again(n, now, now.mono_ns);
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

    /// As [`Self::commit`], for bytes that were recorded: `arrived_ns` is when they arrived on the clock of those days,
    /// which tells whether they had waited in the camera. To those who look at it now, a frame came at `now`.
    pub fn commit_again(&mut self, n: usize, now: Received, arrived_ns: u64) {
        self.now = now;
        self.arrived_ns = arrived_ns;
        self.account.received(n);
        match &mut self.state {
            State::Payload(filling) => {
                filling.filled += n;
                self.unread.pass(n);
            }
            State::Boundary { .. } | State::Search { .. } | State::Distrust { .. } => self.unread.fill(n),
        }
        self.advance();
    }

    /// What was found; `None` when everything has been told.
    pub fn poll(&mut self) -> Option<Event> {
        self.account.poll()
    }

    /// Nothing has come for about two frame times: a provisional frame is judged as it stands.
    pub fn idle(&mut self) {
        if matches!(self.state, State::Payload(_)) {
            return;
        }
        let clean = self.is_clean();
        let torn = if clean { self.confirm_or_withdraw() } else { self.withdraw_if_torn() };
        if torn.is_some() {
            self.advance();
        } else if !clean && self.usual.is_some() {
            self.judge_suspect(None);
        }
    }

    /// The frame that was handed out last is whole: for those who know, because it was confirmed before it was recorded.
    pub fn confirm(&mut self) {
        self.confirm_last();
    }

    /// The connection has ended. Drain [`Self::poll`] afterwards.
    pub fn finish(&mut self) {
        self.ended = true;
        self.advance();
        loop {
            let torn = if self.is_clean() {
                self.confirm_or_withdraw()
            } else if self.unread.len() > 0 {
                // The few bytes that are left may be the end of a header that was taken for payload.
                self.withdraw_if_torn()
            } else {
                None
            };
            if torn.is_none() {
                break;
            }
            self.advance();
        }
        self.skip(self.unread.len(), SkipReason::NotAHeader);
        self.forget_announced();
        self.judge_suspect(None);
        self.account.end_skip();
    }

    /// Whether the last message ends where the next one begins, as far as that is here.
    fn is_clean(&self) -> bool {
        let unread = self.unread.bytes();
        matches!(self.state, State::Boundary { .. }) && (unread.is_empty() || header::could_begin(unread))
    }

    /// Ready for the next connection to the same camera: what was learned about its frames stays.
    /// To be called after [`Self::finish`]; the books begin anew.
    pub fn restart(&mut self) {
        let interpreter = std::mem::take(&mut self.interpreter);
        let announced = self.announced.for_next_connection();
        let new = Self::new(self.frames.clone(), interpreter, self.limits);
        *self = Self { usual: self.usual, next_id: self.next_id, announced, ..new };
    }

    /// The byte ledger.
    #[must_use]
    pub fn books(&self) -> Books {
        let filling = match &self.state {
            State::Payload(Filling { frame, filled, .. }) => frame.header.len() + frame.detection_text.len() + filled,
            State::Boundary { .. } | State::Search { .. } | State::Distrust { .. } => 0,
        };
        let last = self.last.as_ref().map_or(0, |last| message_len(&last.frame));
        let detect = self.announced.detect.as_ref().map_or(0, Detect::len);
        self.account.books((self.unread.len() + filling + last) as u64 + detect)
    }

    /// Whether a frame has been handed out that is neither confirmed nor withdrawn.
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        self.last.is_some()
    }

    /// Whether the bytes at the front are in the middle of a message.
    #[must_use]
    pub fn is_inside_a_frame(&self) -> bool {
        self.unread.len() > 0 || matches!(self.state, State::Payload(_)) || self.announced.detect.is_some()
    }

    /// The range that is being skipped, as far as it goes by now.
    #[must_use]
    pub fn skipping(&self) -> Option<Skipped> {
        self.account.skipping()
    }

    /// When the last bytes were committed.
    #[must_use]
    pub const fn arrived(&self) -> Received {
        self.now
    }

    /// The payloads that follow lie in memory like this: for bytes that come with that knowledge.
    pub fn announce(&mut self, geometry: Geometry) {
        self.interpreter.restore(geometry);
    }

    /// What the camera has said of itself on this connection.
    #[must_use]
    pub fn introduction(&self) -> &Arc<Introduction> {
        &self.announced.introduction
    }

    /// What the payloads were taken for.
    #[must_use]
    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    fn advance(&mut self) {
        loop {
            let step = match self.state {
                State::Boundary { .. } => self.boundary(),
                State::Payload(_) => self.fill(),
                State::Search { searched } => self.search(searched),
                State::Distrust { searched } => self.distrust(searched),
            };
            if matches!(step, Step::Wait) {
                return;
            }
        }
    }

    // -- at a boundary --------------------------------------------------------------------------

    fn boundary(&mut self) -> Step {
        let unread = self.unread.bytes();
        if unread.is_empty() {
            self.state = State::Boundary { need: LINE };
            return Step::Wait;
        }
        match header::line(unread, &self.limits) {
            Line::More(need) if !self.ended => {
                self.state = State::Boundary { need };
                Step::Wait
            }
            Line::Message(header) => self.begin_frame(header),
            Line::Detect { json_len } => self.take_detect(json_len),
            Line::Record(record) => {
                if let Record::Checksum { seq, crc32 } = record {
                    self.verify_last(seq, crc32);
                } else if let Some(step) = self.confirm_or_withdraw() {
                    return step;
                }
                self.announced.learn(&record, &mut self.interpreter, &self.limits);
                // The checksum of a damaged frame goes with it.
                let kept = self.damaged_in_a_row == 0 || !matches!(record, Record::Checksum { .. });
                self.account.record(record, kept.then_some(&self.unread.bytes()[..LINE]));
                self.unread.consume(LINE);
                Step::Again
            }
            Line::TooLarge { claimed } => {
                if let Some(step) = self.confirm_or_withdraw() {
                    return step;
                }
                self.forget_announced();
                self.skip(LINE, SkipReason::TooLarge { claimed });
                self.state = State::Search { searched: 0 };
                Step::Again
            }
            // `finish` judges what is left when a line was cut off.
            Line::More(_) if unread.len() < LINE => Step::Wait,
            Line::More(_) | Line::Nothing => self.lose_lock(),
        }
    }

    fn begin_frame(&mut self, header: Header) -> Step {
        if let Some(step) = self.confirm_or_withdraw() {
            return step;
        }
        self.account.end_skip();
        let Header { dialect, len, device_time, detections_len, payload_len } = header;
        if self.unread.len() < len + detections_len {
            self.state = State::Boundary { need: len + detections_len };
            if self.ended {
                self.account.tell(Event::Lost(Damage::Ended { promised: payload_len, arrived: 0 }));
                self.skip(self.unread.len(), SkipReason::DamagedFrame);
            }
            return Step::Wait;
        }
        let enough = payload_len.min(self.usual.unwrap_or(0).max(STEP));
        let mut frame = self.frames.lease(enough);
        frame.clear();
        frame.at = self.unread.at();
        frame.dialect = dialect;
        frame.device_time = device_time;
        self.account.lines.move_to(&mut frame);
        if let Some(Detect { at, header, json }) = self.announced.detect.take() {
            if dialect == Dialect::Frame {
                frame.at = at;
                frame.header.extend_from_slice(&header);
                frame.detection_text.extend_from_slice(&json);
            } else {
                self.account.skip_apart(at, &header, LINE as u64 + json.len() as u64);
            }
        }
        let bytes = self.unread.bytes();
        frame.header.extend_from_slice(&bytes[..len]);
        frame.detection_text.extend_from_slice(&bytes[len..len + detections_len]);
        self.unread.consume(len + detections_len);
        if let Err(error) = self.announced.join(&mut frame, &self.limits) {
            self.account.tell(Event::BadDetections(error));
            // Bytes may be missing among them, so that the next header was taken for their end. By chance the frame
            // could then end where another one begins: the lengths alone would not show that it is not itself.
            let text = text_of(&frame);
            if let Some(at) = resync::find(text, 0, &self.limits) {
                self.account.tell(Event::Lost(Damage::Truncated { promised: payload_len, arrived: 0 }));
                self.damaged_in_a_row += 1;
                self.account.damaged(&frame, head_of(&frame) + at);
                self.unread.put_back(&text[at..]);
                return self.resume();
            }
        }
        frame.payload_mut(enough);
        let suspicious = self.usual.is_some_and(|usual| match dialect {
            Dialect::Img => payload_len > usual,
            _ => payload_len > 2 * usual,
        });
        let watched = suspicious.then_some(0);
        self.state = State::Payload(Filling { frame, promised: payload_len, filled: 0, watched });
        Step::Again
    }

    fn take_detect(&mut self, json_len: usize) -> Step {
        if let Some(step) = self.confirm_or_withdraw() {
            return step;
        }
        self.account.end_skip();
        let unread = self.unread.bytes();
        if unread.len() < LINE + json_len {
            self.state = State::Boundary { need: LINE + json_len };
            if self.ended {
                self.skip(unread.len(), SkipReason::DamagedFrame);
            }
            return Step::Wait;
        }
        self.forget_announced();
        let unread = self.unread.bytes();
        let header = *unread.first_chunk().expect("a line was recognised here");
        let json = unread[LINE..LINE + json_len].to_vec();
        if let Some(at) = resync::find(&json, 0, &self.limits) {
            self.damaged_in_a_row += 1;
            self.skip(LINE + at, SkipReason::DamagedFrame);
            self.account.end_skip();
            return self.resume();
        }
        self.account.lines.mark_detect();
        self.announced.detect = Some(Detect { at: self.unread.at(), header, json });
        self.unread.consume(LINE + json_len);
        Step::Again
    }

    /// What was announced was for a frame that does not come.
    fn forget_announced(&mut self) {
        self.account.lines.forget_frame();
        if let Some(Detect { at, header, json }) = self.announced.forget() {
            self.account.skip_apart(at, &header, LINE as u64 + json.len() as u64);
        }
    }

    // -- inside a payload -----------------------------------------------------------------------

    fn fill(&mut self) -> Step {
        let State::Payload(filling) = &mut self.state else { unreachable!("only called while a payload is filled") };
        let n = (self.unread.len()).min(filling.promised - filling.filled);
        if n > 0 {
            let to = filling.filled + n;
            let room = filling.frame.payload().len();
            let payload = filling.frame.payload_mut(to.max(room));
            payload[filling.filled..to].copy_from_slice(&self.unread.bytes()[..n]);
            filling.filled = to;
            self.unread.consume(n);
        }
        let State::Payload(filling) = &mut self.state else { unreachable!("consuming does not change the state") };
        if let Some(watched) = filling.watched {
            let arrived = &filling.frame.payload()[..filling.filled];
            if let Some(at) = resync::find(arrived, watched, &self.limits) {
                let text = text_of(&filling.frame).len();
                return self.abandon(text + at);
            }
            filling.watched = Some(filling.filled.saturating_sub(resync::BLIND).max(watched));
        }
        let (filled, promised) = (filling.filled, filling.promised);
        if filled == promised {
            return self.complete();
        }
        if !self.ended {
            return Step::Wait;
        }
        let (text, arrived) = (text_of(&filling.frame), &filling.frame.payload()[..filled]);
        if let Some(at) = resync::find_inside(text, arrived, &[], &self.limits) {
            return self.abandon(at);
        }
        let all = text.len() + filled;
        self.account.tell(Event::Lost(Damage::Ended { promised, arrived: filled }));
        self.give_up(all);
        Step::Wait
    }

    fn complete(&mut self) -> Step {
        let State::Payload(filling) = std::mem::replace(&mut self.state, State::Boundary { need: LINE }) else {
            unreachable!("only called while a payload is filled")
        };
        let mut frame = filling.frame;
        frame.payload_mut(filling.promised);
        self.interpreter.interpret_frame(&mut frame);
        frame.announced = frame.geometry.is_some() && frame.geometry == self.announced.introduction.geometry;
        frame.received = self.now;
        frame.stale = self.stale_burst.observe(frame.device_time, self.arrived_ns);
        frame.id = self.next_id;
        self.next_id += 1;
        let frame = frame.seal();
        self.account.tell(Event::Frame(Arc::clone(&frame)));
        self.last = Some(Provisional { frame, suspect: false });
        Step::Again
    }

    /// A header stands `at` bytes behind that of the frame whose payload is being filled.
    fn abandon(&mut self, at: usize) -> Step {
        let State::Payload(filling) = &self.state else { unreachable!("only called while a payload is filled") };
        let arrived = at.saturating_sub(text_of(&filling.frame).len());
        self.account.tell(Event::Lost(Damage::Truncated { promised: filling.promised, arrived }));
        self.damaged_in_a_row += 1;
        self.give_up(at);
        self.resume()
    }

    /// Skips the frame that is being filled up to `at` bytes behind its header, and puts the rest back.
    fn give_up(&mut self, at: usize) {
        let State::Payload(filling) = std::mem::replace(&mut self.state, State::Boundary { need: LINE }) else {
            unreachable!("only called while a payload is filled")
        };
        let Filling { frame, filled, .. } = filling;
        self.account.damaged(&frame, head_of(&frame) + at);
        self.put_back_from(at, text_of(&frame), &frame.payload()[..filled]);
    }

    // -- what follows is no header --------------------------------------------------------------

    /// Neither header nor record stands where one should: were bytes of the frame before lost, or is this junk?
    fn lose_lock(&mut self) -> Step {
        self.forget_announced();
        if let Some(step) = self.withdraw_if_torn() {
            return step;
        }
        if let Some(last) = &mut self.last {
            last.suspect = true;
        }
        // The front has just been looked at.
        self.state = State::Search { searched: 1 };
        Step::Again
    }

    /// Withdraws the provisional frame if a header stands inside its message.
    fn withdraw_if_torn(&mut self) -> Option<Step> {
        let frame = &self.last.as_ref()?.frame;
        let ahead = self.unread.bytes();
        let at = resync::find_inside(text_of(frame), frame.payload(), ahead, &self.limits)?;
        self.withdraw_at(at);
        Some(self.resume())
    }

    /// A header follows the provisional frame, or nothing does. That would be so by chance too if as many bytes were lost
    /// as stand in a record, or in a `DETECT` message, that was then taken for the end of the payload.
    fn confirm_or_withdraw(&mut self) -> Option<Step> {
        let suspicious = self.last.as_ref().is_some_and(|last| self.checksums || resync::is_suspicious(&last.frame));
        let torn = if suspicious { self.withdraw_if_torn() } else { None };
        self.confirm_last();
        torn
    }

    /// The checksum of the provisional frame follows it.
    fn verify_last(&mut self, seq: u64, crc32: u32) {
        self.checksums = true;
        let Some(last) = &self.last else { return };
        let own = last.frame.camera_seq.is_none_or(|own| own == seq);
        let found = crc32fast::hash(last.frame.payload());
        if !own || found == crc32 {
            self.confirm_last();
        } else {
            self.withdraw(Damage::Checksum { promised: crc32, found });
        }
    }

    /// The provisional frame is damaged: a header stands `at` bytes behind its own. The rest is read again from there.
    fn withdraw_at(&mut self, at: usize) {
        let Some(last) = self.last.take() else { return };
        let frame = &last.frame;
        let (text, payload) = (text_of(frame), frame.payload());
        let damage = Damage::Truncated { promised: payload.len(), arrived: at.saturating_sub(text.len()) };
        self.account.tell(Event::Withdrawn(frame.id, damage));
        self.damaged_in_a_row += 1;
        self.account.damaged(frame, head_of(frame) + at);
        self.put_back_from(at, text, payload);
    }

    /// A header has been found at the front of `head`: believe it, or look at its whole frame first.
    fn resume(&mut self) -> Step {
        self.state = if self.damaged_in_a_row < PATIENCE {
            State::Boundary { need: LINE }
        } else {
            State::Distrust { searched: LINE }
        };
        Step::Again
    }

    fn search(&mut self, searched: usize) -> Step {
        let unread = self.unread.bytes();
        let Some(at) = resync::find(unread, searched, &self.limits) else {
            // Junk is not kept: only the last bytes could still begin a header.
            self.skip(unread.len().saturating_sub(resync::BLIND), SkipReason::NotAHeader);
            if self.account.skipping().is_some_and(|skipped| skipped.len > MUCH) {
                self.judge_suspect(None);
            }
            self.state = State::Search { searched: 0 };
            return Step::Wait;
        };
        if at > 0 || self.last.is_some() {
            let next = header::promised(&unread[at..]);
            self.skip(at, SkipReason::NotAHeader);
            self.judge_suspect(next);
            self.state = State::Search { searched: 0 };
            return Step::Again;
        }
        self.resume()
    }

    /// A header stands at the front of `head`, after too many that were wrong. It is believed when no other one
    /// stands in the message that it promises. Looks at every byte once, and copies none.
    fn distrust(&mut self, searched: usize) -> Step {
        let unread = self.unread.bytes();
        let len = match header::line(unread, &self.limits) {
            Line::Message(header) => header.len + header.detections_len + header.payload_len,
            Line::Detect { json_len } => LINE + json_len,
            Line::More(_) if !self.ended => {
                self.state = State::Distrust { searched };
                return Step::Wait;
            }
            Line::Record(_) | Line::TooLarge { .. } | Line::Nothing | Line::More(_) => LINE,
        };
        // One that ends behind the message is left to its last bytes' own check: those behind may not be here yet.
        match resync::find(&unread[..unread.len().min(len)], searched, &self.limits) {
            Some(at) => {
                let damage = Damage::Truncated { promised: len, arrived: at };
                self.account.tell(Event::Lost(damage));
                self.skip(at, SkipReason::DamagedFrame);
                self.state = State::Distrust { searched: LINE };
                Step::Again
            }
            None if unread.len() < len && !self.ended => {
                self.state = State::Distrust { searched: unread.len().saturating_sub(resync::BLIND).max(LINE) };
                Step::Wait
            }
            None => {
                self.account.end_skip();
                self.state = State::Boundary { need: LINE };
                Step::Again
            }
        }
    }

    // -- verdicts -------------------------------------------------------------------------------

    /// A header follows the provisional frame, or nothing does.
    fn confirm_last(&mut self) {
        let Some(last) = self.last.take() else { return };
        if !last.suspect {
            self.usual = Some(last.frame.payload().len());
        }
        self.damaged_in_a_row = 0;
        self.account.confirmed(&last.frame);
    }

    /// Junk follows the provisional frame, and then a header that promises `next` bytes.
    fn judge_suspect(&mut self, next: Option<usize>) {
        let Some(last) = &self.last else { return };
        let foreign = self.account.is_skipping_records();
        if resync::is_whole(&last.frame, self.usual, next, foreign) {
            self.confirm_last();
            return;
        }
        let promised = last.frame.payload().len();
        self.withdraw(Damage::Doubtful { promised });
    }

    /// The provisional frame is damaged, all of it.
    fn withdraw(&mut self, damage: Damage) {
        let Some(last) = self.last.take() else { return };
        self.account.tell(Event::Withdrawn(last.frame.id, damage));
        self.damaged_in_a_row += 1;
        self.account.damaged(&last.frame, message_len(&last.frame));
    }

    fn skip(&mut self, n: usize, reason: SkipReason) {
        self.account.skip(&mut self.unread, n, reason);
    }

    /// Puts back what stands from byte `at` on of a message without its header.
    fn put_back_from(&mut self, at: usize, text: &[u8], payload: &[u8]) {
        self.unread.put_back(&payload[at.saturating_sub(text.len())..]);
        self.unread.put_back(&text[at.min(text.len())..]);
    }
}
