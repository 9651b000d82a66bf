//! Why a link cannot go on.

use super::event::MalformedHeader;

/// Streams of a link (bootloader.md 2.2).
pub(super) const MOST_STREAMS: usize = 32;
/// A packet is at most as long as the budget of its stream. No stream of a bootloader has more than this.
pub(super) const LONGEST: u32 = 5 << 20;
/// Answers that wait to be read by the other end: more have never anything to do with packets.
pub(super) const MOST_ANSWERS: usize = 10_000;

/// Why a link cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// No header stands where one should.
    #[error("byte {at} of the connection: {why}")]
    Malformed {
        /// Bytes that were received before it.
        at: u64,
        /// What is wrong.
        why: MalformedHeader,
    },
    /// A packet is longer than any can be.
    #[error(
        "byte {at} of the connection: a packet of {size} bytes on stream {stream}, where at most {LONGEST} are agreed upon"
    )]
    TooLarge {
        /// Bytes that were received before it.
        at: u64,
        /// The stream's number.
        stream: u32,
        /// What its header promises.
        size: u32,
    },
    /// A packet, or a release, for a stream that nobody has opened.
    #[error("byte {at} of the connection: an event for stream {stream}, which nobody has opened")]
    NoSuchStream {
        /// Bytes that were received before it.
        at: u64,
        /// The stream's number.
        stream: u32,
    },
    /// The other end asks and does not read the answers.
    #[error("byte {at} of the connection: {MOST_ANSWERS} answers wait to be read by the other end")]
    Deaf {
        /// Bytes that were received before it.
        at: u64,
    },
    /// More streams than a link can have.
    #[error("byte {at} of the connection: stream `{name}` is one more than the {MOST_STREAMS} that a link can have")]
    TooManyStreams {
        /// Bytes that were received before it.
        at: u64,
        /// The stream's name.
        name: String,
    },
}
