//! Errors that end a link.

use super::event::MalformedHeader;

/// Streams of one link (bootloader.md 2.2).
pub(super) const MAX_STREAMS: usize = 32;
/// The largest stream budget that a bootloader uses. No packet can be longer than its stream's budget.
pub(super) const MAX_PACKET_BYTES: u32 = 5 << 20;
/// Unsent responses. A peer that reaches this limit sends requests without reading, so memory must not follow it.
pub(super) const MAX_UNSENT_RESPONSES: usize = 10_000;

/// A violation of the protocol. The link cannot continue. `at` counts the bytes received before the violation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum LinkError {
    /// The bytes at the place of a header are not a header.
    #[error("byte {at} of the connection: {why}")]
    Malformed { at: u64, why: MalformedHeader },
    /// A header announces a packet above the limit.
    #[error(
        "byte {at} of the connection: packet of {size} bytes on stream {stream}, expected at most {MAX_PACKET_BYTES}"
    )]
    TooLarge { at: u64, stream: u32, size: u32 },
    /// A packet or a release for a stream that is not open.
    #[error("byte {at} of the connection: event for stream {stream}, which is not open")]
    NoSuchStream { at: u64, stream: u32 },
    /// The peer sends requests and does not read the responses.
    #[error("byte {at} of the connection: the peer does not read, {MAX_UNSENT_RESPONSES} responses are waiting")]
    ResponsesNotRead { at: u64 },
    /// The peer opens more streams than a link can have.
    #[error("byte {at} of the connection: stream `{name}` exceeds the limit of {MAX_STREAMS} streams per link")]
    TooManyStreams { at: u64, name: String },
}
