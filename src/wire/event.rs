//! The decoder's output: frames and their verdicts, damage, skipped bytes, records and byte counts.

use std::fmt;
use std::sync::Arc;

use super::detections::DetectionError;
use super::record::Record;
use super::text::LINE;
use crate::frame::{Frame, Verdict};
use crate::units::count;

/// An event of a stream, in stream order.
#[derive(Debug)]
pub enum Event {
    /// A frame is complete, but provisional: before the next `Frame`, `Confirmed` or `Withdrawn` follows with its id.
    Frame(Arc<Frame>),
    /// The bytes after the frame show that its length was right.
    Confirmed(u64),
    /// The frame is damaged: some of its bytes were lost on the way.
    Withdrawn(u64, Damage),
    /// Shows whether a frame of which that was undecided waited in the camera before we connected. Follows its `Frame`, in
    /// the order of the frames and before any frame that is decided at once.
    Aged(Verdict),
    /// Only a part of a frame arrived. There was no `Frame` event for it.
    Lost(Damage),
    /// The detections of the next frame could not be parsed completely.
    BadDetections(DetectionError),
    /// Bytes outside any intact frame.
    Skipped(Skipped),
    /// A record between frames.
    Record(Record),
}

/// Reason for rejecting a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Another header starts inside its payload: bytes are missing, or the length in its header is wrong.
    #[error("the next header starts after {received} of {expected} payload bytes")]
    Truncated {
        /// Payload length in its header, in bytes.
        expected: usize,
        /// Payload bytes received before the next header.
        received: usize,
    },
    /// The connection was closed inside the frame, by the camera or by us.
    #[error("the connection ended after {received} of {expected} payload bytes")]
    Ended {
        /// Payload length in its header, in bytes.
        expected: usize,
        /// Payload bytes received.
        received: usize,
    },
    /// No header follows, and nothing else verifies the length.
    #[error("no header follows the {expected}-byte payload, so its length cannot be verified")]
    Unverified {
        /// Payload length in its header, in bytes.
        expected: usize,
    },
    /// The payload does not match the camera's checksum (`@E`).
    #[error("payload checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// CRC-32 sent by the camera.
        expected: u32,
        /// CRC-32 of the payload received.
        found: u32,
    },
    /// Datagrams of its message did not arrive.
    #[error("message {number}: {missing} of {parts} datagrams missing")]
    MissingParts {
        /// Number of the message.
        number: u32,
        /// Datagrams that did not arrive.
        missing: u16,
        /// Datagrams of the message.
        parts: u16,
    },
    /// A part or a response over HTTP in the place of a picture holds something else.
    #[error("its {received} bytes are no JPEG and no PNG")]
    NotAPicture {
        /// Bytes received.
        received: usize,
    },
    /// A PNG file that cannot be decoded.
    #[error("its {received} bytes are a PNG file that cannot be decoded")]
    BadPng {
        /// Bytes of the file.
        received: usize,
    },
    /// The pixels of a PNG file are more than [`Limits`](super::Limits) allow.
    #[error("the PNG has {width}x{height} pixels, {bytes} bytes, above --max-payload")]
    LargePng {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes of the pixels.
        bytes: u64,
    },
    /// Its message is larger than [`Limits`](super::Limits) allow, and was not kept; the connection itself is intact.
    #[error("its message has {expected} bytes, more than --max-payload")]
    TooLarge {
        /// Bytes of the message.
        expected: usize,
    },
    /// There is no memory for the frame; the stream itself is intact.
    #[error("no room for its {expected} payload bytes: all cameras together use up the memory for frames (--buffer)")]
    NoMemory {
        /// Payload length in its header, in bytes.
        expected: usize,
    },
}

/// A range of bytes outside any intact frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Start, in bytes since the connection was opened.
    pub at: u64,
    /// Length in bytes.
    pub len: u64,
    /// The reason.
    pub reason: SkipReason,
    /// First bytes, padded with zeros.
    pub found: [u8; LINE],
}

/// Longest header, in bytes.
const MAX_HEADER_LEN: u64 = 256;

impl Skipped {
    /// Returns whether these bytes may be the start of an intact message, of which the rest had not arrived when the
    /// connection was closed.
    #[must_use]
    pub fn may_be_unfinished(&self) -> bool {
        let found = &self.found[..self.found.len().min(usize::try_from(self.len).unwrap_or(LINE))];
        match self.reason {
            SkipReason::DamagedFrame => true,
            SkipReason::NotAHeader => self.len <= MAX_HEADER_LEN && super::header::can_start_message(found),
            SkipReason::ForeignRecord
            | SkipReason::TooLarge { .. }
            | SkipReason::LargeMessage
            | SkipReason::NoMemory
            | SkipReason::MissingParts => false,
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = count(self.len, "byte", "bytes");
        match self.reason {
            SkipReason::DamagedFrame => write!(f, "{len} of a damaged frame"),
            SkipReason::NotAHeader => write!(f, "{len} where a header was expected"),
            SkipReason::ForeignRecord => write!(f, "{len} of records of unknown kinds"),
            SkipReason::MissingParts => write!(f, "{len} of a message of which datagrams are missing"),
            SkipReason::LargeMessage => write!(f, "{len} of a message that is larger than --max-payload"),
            SkipReason::NoMemory => write!(f, "{len} bytes of a frame for which there was no memory"),
            SkipReason::TooLarge { claimed } => {
                write!(f, "{len} after a header that claims {claimed} bytes, more than --max-payload")
            }
        }
    }
}

impl SkipReason {
    /// Returns whether the bytes are intact: frame sync is not lost.
    #[must_use]
    pub const fn is_intact(self) -> bool {
        matches!(self, Self::ForeignRecord | Self::LargeMessage | Self::NoMemory | Self::MissingParts)
    }
}

/// Reason for skipping bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// They belong to a damaged frame.
    DamagedFrame,
    /// They were in the place of a header but are not one.
    NotAHeader,
    /// 32-byte records of an unknown kind.
    ForeignRecord,
    /// They belong to a frame for which there is no memory.
    NoMemory,
    /// They belong to a message that is larger than allowed. The next message begins with its own packet.
    LargeMessage,
    /// They belong to a message of which datagrams did not arrive. The next message begins with its own datagram.
    MissingParts,
    /// A header that announces more than [`Limits`](super::Limits) allow.
    TooLarge {
        /// Bytes announced.
        claimed: u64,
    },
}

/// Received bytes by kind.
///
/// At every moment, in the middle of a frame too, `received == headers + detections + payload + skipped + pending`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ByteCounts {
    /// Bytes committed.
    pub received: u64,
    /// Headers of confirmed frames, and records.
    pub headers: u64,
    /// Detection texts of confirmed frames.
    pub detections: u64,
    /// Payloads of confirmed frames.
    pub payload: u64,
    /// Bytes outside any intact frame.
    pub skipped: u64,
    /// Undecided: incomplete and provisional frames. Counted from the buffers, not computed as a remainder.
    pub pending: u64,
}

impl ByteCounts {
    /// Returns whether every received byte is accounted for.
    #[must_use]
    pub const fn balance(&self) -> bool {
        self.received == self.headers + self.detections + self.payload + self.skipped + self.pending
    }
}
