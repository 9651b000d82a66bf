//! What the decoder tells: frames and their fate, skipped bytes, records, and the books.

use std::sync::Arc;

use super::detections::DetectionError;
use super::record::Record;
use crate::frame::Frame;

/// What a peer may ask for: sizes are checked before memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload in bytes. 64 MiB by default; 12 MP fp16 frames need 71 MiB (wire.md section 4).
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
    /// What follows the frame shows that its length was right.
    Confirmed(u64),
    /// The frame is damaged: bytes of it were lost before they reached us.
    Withdrawn(u64, Damage),
    /// A frame of which only a part arrived; it was never handed out.
    Lost(Damage),
    /// The detections of the frame that follows could not be read to their end.
    BadDetections(DetectionError),
    /// Bytes that belong to no intact frame.
    Skipped(Skipped),
    /// A record between frames.
    Record(Record),
}

/// Why a frame is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Another header stands inside its payload, so bytes before that one are missing, or its length is a lie.
    #[error("the next header came after {arrived} of {promised} bytes of payload")]
    Truncated {
        /// Bytes of payload that its header promised.
        promised: usize,
        /// Bytes of payload that arrived before the next header.
        arrived: usize,
    },
    /// The stream ended inside it.
    #[error("the stream ended after {arrived} of {promised} bytes of payload")]
    Ended {
        /// Bytes of payload that its header promised.
        promised: usize,
        /// Bytes of payload that arrived.
        arrived: usize,
    },
    /// It is followed by something that is no header, and nothing shows that its length is right.
    #[error("its {promised} bytes of payload are followed by no header, and nothing else shows that they are all")]
    Doubtful {
        /// Bytes of payload that its header promised.
        promised: usize,
    },
    /// Its checksum is another one (`@E`).
    #[error("its checksum is {found:08x}, and {promised:08x} was promised")]
    Checksum {
        /// CRC-32 that the camera sent.
        promised: u32,
        /// CRC-32 of the payload that arrived.
        found: u32,
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
    /// Its first bytes; zeros behind a shorter range.
    pub found: [u8; 32],
}

/// Why bytes were skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// They belong to a frame that is damaged.
    DamagedFrame,
    /// They stand where a header should, and are none.
    NotAHeader,
    /// Records of 32 bytes of a kind that we do not know.
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
    /// Headers of confirmed frames, and records.
    pub headers: u64,
    /// Detection texts of confirmed frames.
    pub detections: u64,
    /// Payloads of confirmed frames.
    pub payload: u64,
    /// Bytes of no intact frame.
    pub skipped: u64,
    /// Not decided yet: frames that are incomplete or provisional. Counted from what is held, not as a remainder.
    pub pending: u64,
}

impl Books {
    /// Whether every byte is accounted for.
    #[must_use]
    pub const fn balance(&self) -> bool {
        self.received == self.headers + self.detections + self.payload + self.skipped + self.pending
    }
}
