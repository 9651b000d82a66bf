//! Reassembles messages from their parts. Without a socket or a clock: times are arguments.

use super::counts::DatagramCounts;
use super::header::{DatagramError, Piece};

/// Messages that are assembled at a time, those included that are complete and wait for an earlier one.
pub(super) const MAX_OPEN: usize = 4;

/// An earlier message is given up this long after a later one was complete, which waits until then.
const REORDER_WAIT_NS: u64 = 20_000_000;

/// A message is given up this long after its last part.
const PART_WAIT_NS: u64 = 1_000_000_000;

/// A number that is behind by at most this many is late. A number that is behind by more is that of a sender that has
/// restarted.
const LATE_MAX: i32 = 256;

/// Late parts alone for this long are those of a sender that has restarted.
const LATE_ONLY_NS: u64 = 1_000_000_000;

/// A larger step of the message numbers is that of a sender that has restarted.
const STEP_MAX: i32 = 4096;

/// A part may be this far ahead of the bytes received of its message, because memory is allocated for bytes that were
/// received, not for those that a header announces.
const AHEAD_MAX: usize = 1 << 20;

/// Buffers that are larger than their message by more than this factor are not kept.
const OVERSIZE_MAX: usize = 4;

/// Bytes at the beginning of a message that [`Incomplete`] shows.
const START_LEN: usize = 32;

/// Assembles the messages of one sender. Memory: at most 6 buffers, each with at most twice the bytes
/// received of its message, plus 2 MiB, or the size of a message before.
#[derive(Debug)]
pub struct Reassembly {
    max_len: usize,
    /// Oldest first.
    open: Vec<Message>,
    /// The message that [`Self::poll`] returned last.
    taken: Option<Message>,
    spare: Vec<Vec<u8>>,
    /// Number of the last message that was returned; before the first, of one that cannot follow.
    done: Option<u32>,
    /// No message was returned so far.
    is_new: bool,
    /// The late parts since the last part that was not late.
    late: Option<Late>,
    ended: bool,
    /// We stopped listening, so that what is incomplete is not lost.
    left: bool,
    counts: DatagramCounts,
}

/// Late parts that no other part follows.
#[derive(Clone, Copy, Debug)]
struct Late {
    /// Arrival of the first.
    since_ns: u64,
    /// First parts of messages among them.
    messages: u64,
}

/// A message with at least one part.
#[derive(Debug)]
struct Message {
    number: u32,
    parts: u16,
    part_len: usize,
    total: usize,
    buffer: Vec<u8>,
    /// A bit for every part.
    seen: Vec<u64>,
    last_part: u16,
    parts_received: u16,
    bytes_received: usize,
    /// The first message of a sender of which we missed the beginning.
    is_joined: bool,
    part_ns: u64,
    complete_ns: Option<u64>,
}

/// A message that [`Reassembly::poll`] returns.
#[derive(Debug, PartialEq, Eq)]
pub enum Assembled<'a> {
    /// A complete message.
    Complete(&'a [u8]),
    /// A message that was given up.
    Incomplete(Incomplete<'a>),
    /// No part of this many messages arrived before the message that follows.
    Missing(u32),
}

/// A message of which parts did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete<'a> {
    /// Its number.
    pub number: u32,
    /// Its parts.
    pub parts: u16,
    /// Parts that did not arrive.
    pub missing: u16,
    /// Its bytes.
    pub total: usize,
    /// Bytes that arrived.
    pub received: usize,
    /// Its first bytes, if they arrived.
    pub start: &'a [u8],
    /// The sender sent its beginning before we listened.
    pub is_joined: bool,
}

/// Reason why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is not a part of a message.
    #[error(transparent)]
    Invalid(#[from] DatagramError),
    /// Its number shows that the sender has restarted. Call [`Reassembly::end`], drain [`Reassembly::poll`], call
    /// [`Reassembly::restart`], and push the datagram again.
    #[error("the sender has restarted")]
    Restarted,
}

/// Returns how many numbers `a` is after `b`; negative if it is before.
const fn distance(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

impl Reassembly {
    /// Creates the state for one sender. `max_len`: most bytes of a message.
    #[must_use]
    pub fn new(max_len: usize) -> Self {
        Self {
            max_len,
            open: Vec::new(),
            taken: None,
            spare: Vec::new(),
            done: None,
            is_new: true,
            late: None,
            ended: false,
            left: false,
            counts: DatagramCounts::default(),
        }
    }

    /// Returns the counts of all datagrams, over all restarts.
    #[must_use]
    pub fn counts(&self) -> DatagramCounts {
        let pending = self.open.iter().map(|message| u64::from(message.parts_received)).sum();
        DatagramCounts { pending, ..self.counts }
    }

    /// Sets the datagrams that the system of this host dropped.
    pub fn set_dropped_by_host(&mut self, dropped: Option<u64>) {
        self.counts.dropped_by_host = dropped;
    }

    /// Returns the bytes of all buffers.
    #[must_use]
    pub fn memory(&self) -> usize {
        let buffers = self.open.iter().chain(&self.taken).map(|message| &message.buffer).chain(&self.spare);
        buffers.map(Vec::capacity).sum()
    }

    /// Returns whether a part of an incomplete message is held.
    #[must_use]
    pub fn is_inside_a_message(&self) -> bool {
        self.open.iter().any(|message| message.complete_ns.is_none())
    }

    /// Counts a datagram that is not a part of a message.
    pub fn count_other(&mut self, outcome: impl FnOnce(&mut DatagramCounts) -> &mut u64) {
        self.counts.received += 1;
        *outcome(&mut self.counts) += 1;
    }

    /// Returns the time at which [`Self::poll`] returns another message if no part arrives.
    #[must_use]
    pub fn deadline_ns(&self) -> Option<u64> {
        let oldest = self.open.first()?;
        let later = self.open.iter().filter_map(|message| message.complete_ns).min();
        let due = oldest.part_ns.saturating_add(PART_WAIT_NS);
        Some(later.map_or(due, |later| due.min(later.saturating_add(REORDER_WAIT_NS))))
    }

    /// No more parts of this sender follow: [`Self::poll`] gives up what is incomplete.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Like [`Self::end`], but because we stop listening: what is incomplete does not count as missing.
    pub fn leave(&mut self) {
        (self.ended, self.left) = (true, true);
    }

    /// Prepares for a sender that restarts its numbers. To be called after [`Self::end`], once [`Self::poll`] has
    /// returned everything.
    pub fn restart(&mut self) {
        (self.done, self.is_new, self.late) = (None, true, None);
        (self.ended, self.left) = (false, false);
    }

    /// Takes a datagram that arrived at this time of a monotonic clock. Drain [`Self::poll`] afterwards.
    ///
    /// # Errors
    /// See [`Rejected`]. A datagram of a restarted sender is not counted.
    pub fn push(&mut self, datagram: &[u8], now_ns: u64) -> Result<(), Rejected> {
        while self.open.len() > MAX_OPEN {
            self.take(); // The caller did not poll.
        }
        let piece = match Piece::parse(datagram, self.max_len) {
            Ok(piece) => piece,
            Err(error) => {
                self.count_other(|counts| &mut counts.invalid);
                return Err(error.into());
            }
        };
        // The first messages may arrive in another order.
        let done = *self.done.get_or_insert(piece.number.wrapping_sub(MAX_OPEN as u32));
        let newest = self.open.last().map_or(done, |message| message.number);
        let (after_done, after_newest) = (distance(piece.number, done), distance(piece.number, newest));
        if after_done <= 0 {
            let late = self.late.get_or_insert(Late { since_ns: now_ns, messages: 0 });
            let is_late_only = now_ns.saturating_sub(late.since_ns) >= LATE_ONLY_NS;
            if after_done < -LATE_MAX || is_late_only {
                // A sender that does not count its messages up, or whose first number is not random.
                self.counts.messages_repeated += if is_late_only { late.messages } else { 0 };
                self.counts.restarts += 1;
                return Err(Rejected::Restarted);
            }
            late.messages += u64::from(piece.part == 0);
            self.count_other(|counts| &mut counts.late);
            return Ok(());
        }
        if after_newest > STEP_MAX {
            self.counts.restarts += 1;
            return Err(Rejected::Restarted);
        }
        self.late = None;
        let at = self.open.partition_point(|message| distance(message.number, piece.number) < 0);
        if self.open.get(at).is_none_or(|message| message.number != piece.number) {
            let is_joined = self.is_new && self.open.is_empty() && piece.part > 0;
            let message = self.begin(&piece, is_joined, now_ns);
            self.open.insert(at, message);
        }
        let is_behind = at + 1 < self.open.len();
        let message = &mut self.open[at];
        self.counts.received += 1;
        if (message.parts, message.part_len, message.total) != (piece.parts, piece.part_len, piece.total) {
            self.counts.invalid += 1;
            return Err(DatagramError::Contradiction { number: piece.number }.into());
        }
        let (word, bit) = (usize::from(piece.part) / 64, 1 << (piece.part % 64));
        if message.seen[word] & bit != 0 {
            self.counts.duplicate += 1;
        } else if !message.store(&piece) {
            self.counts.late += 1;
            // A message without a part has no outcome.
            if message.parts_received == 0 {
                let message = self.open.remove(at);
                self.keep(message.buffer, 0);
            }
        } else {
            message.seen[word] |= bit;
            message.parts_received += 1;
            message.part_ns = now_ns;
            let is_after_later = message.last_part > piece.part;
            message.last_part = message.last_part.max(piece.part);
            // A sender whose first parts arrive late has not been joined in the middle.
            message.is_joined &= piece.part != 0;
            if message.parts_received == message.parts {
                message.complete_ns = Some(now_ns);
            }
            self.counts.reordered += u64::from(is_after_later || is_behind);
        }
        Ok(())
    }

    /// Returns the next message in the order of the numbers, complete or given up; `None` until more datagrams arrive, or
    /// until [`Self::deadline_ns`].
    pub fn poll(&mut self, now_ns: u64) -> Option<Assembled<'_>> {
        if let Some(message) = self.taken.take() {
            self.keep(message.buffer, message.total);
        }
        if !self.is_ready(now_ns) {
            return None;
        }
        let oldest = self.open.first()?;
        let (number, missing) = (oldest.number, self.missing_before(oldest));
        if !self.is_new && missing > 0 {
            self.counts.messages_missing += u64::from(missing.unsigned_abs());
            self.done = Some(number.wrapping_sub(1));
            return Some(Assembled::Missing(missing.unsigned_abs()));
        }
        self.take();
        let message = self.taken.as_ref()?;
        if message.complete_ns.is_some() {
            return Some(Assembled::Complete(&message.buffer[..message.total]));
        }
        let start = if message.seen[0] & 1 == 0 { 0 } else { message.part_len.min(message.total).min(START_LEN) };
        Some(Assembled::Incomplete(Incomplete {
            number: message.number,
            parts: message.parts,
            missing: message.parts - message.parts_received,
            total: message.total,
            received: message.bytes_received,
            start: &message.buffer[..start],
            is_joined: message.is_joined,
        }))
    }

    /// Returns whether [`Self::poll`] would return a message.
    #[must_use]
    pub fn is_ready(&self, now_ns: u64) -> bool {
        let Some(oldest) = self.open.first() else { return false };
        let is_next = !self.is_new && oldest.complete_ns.is_some() && self.missing_before(oldest) == 0;
        let is_full = self.open.len() > MAX_OPEN;
        is_next || is_full || self.ended || self.deadline_ns().is_some_and(|due| now_ns >= due)
    }

    /// Returns how many numbers are between the last message that was returned and this one.
    fn missing_before(&self, message: &Message) -> i32 {
        distance(message.number, self.done.unwrap_or_default()) - 1
    }

    /// Moves the oldest message to [`Self::taken`], and counts it.
    fn take(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let message = self.open.remove(0);
        (self.done, self.is_new) = (Some(message.number), false);
        let received = u64::from(message.parts_received);
        if message.complete_ns.is_some() {
            self.counts.assembled += received;
            self.counts.messages += 1;
        } else {
            self.counts.incomplete += received;
            if !(message.is_joined || self.left) {
                self.counts.missing += u64::from(message.parts) - received;
                self.counts.messages_incomplete += 1;
            }
        }
        if let Some(before) = self.taken.replace(message) {
            self.keep(before.buffer, before.total);
        }
    }

    fn begin(&mut self, piece: &Piece<'_>, is_joined: bool, now_ns: u64) -> Message {
        Message {
            number: piece.number,
            parts: piece.parts,
            part_len: piece.part_len,
            total: piece.total,
            buffer: self.spare.pop().unwrap_or_default(),
            seen: vec![0; usize::from(piece.parts).div_ceil(64)],
            last_part: 0,
            parts_received: 0,
            bytes_received: 0,
            is_joined,
            part_ns: now_ns,
            complete_ns: None,
        }
    }

    /// Keeps a buffer for a later message. `len`: bytes of the message that it held.
    fn keep(&mut self, buffer: Vec<u8>, len: usize) {
        if self.spare.len() < MAX_OPEN && buffer.len() <= len.max(AHEAD_MAX).saturating_mul(OVERSIZE_MAX) {
            self.spare.push(buffer);
        }
    }
}

impl Message {
    /// Copies a part to its place. Returns `false` if it is too far ahead of the bytes received.
    fn store(&mut self, piece: &Piece<'_>) -> bool {
        let range = piece.range();
        let received = self.bytes_received + piece.bytes.len();
        if range.end > self.buffer.len() {
            let most = 2 * received + AHEAD_MAX;
            if range.end > most {
                return false;
            }
            // Doubling bounds the bytes copied; `most` bounds the memory.
            let len = (2 * self.buffer.len()).max(64 << 10).min(most).min(self.total).max(range.end);
            self.buffer.reserve_exact(len - self.buffer.len());
            self.buffer.resize(len, 0);
        }
        self.buffer[range].copy_from_slice(piece.bytes);
        self.bytes_received = received;
        true
    }
}
