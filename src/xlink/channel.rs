//! One stream of a link: its credit and its queue of packets.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::error::MAX_PACKET_BYTES;
use super::event::EVENT_HEADER_BYTES;

/// Packets of a stream that the peer has not consumed yet (bootloader.md 2.2).
const MAX_OUTSTANDING_PACKETS: usize = 64;

/// A stream of one link. Invalid on every other link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(pub(super) usize);

/// Bytes to send. Shares its buffer, so that all packets of a 28 MiB package need the memory of one.
#[derive(Clone, Debug)]
pub struct Packet {
    bytes: Arc<[u8]>,
    range: Range<usize>,
}

impl Packet {
    /// Returns the packet that sends `bytes[range]`.
    ///
    /// # Panics
    /// When `range` is outside of `bytes`.
    #[must_use]
    pub fn part(bytes: &Arc<[u8]>, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= bytes.len(), "{range:?} of {} bytes", bytes.len());
        Self { bytes: Arc::clone(bytes), range }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.range.len()).unwrap_or(u32::MAX)
    }
}

impl From<Vec<u8>> for Packet {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { bytes: bytes.into(), range }
    }
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) name: String,
    /// The stream number of both directions, once the host has assigned it.
    pub(super) number: Option<u32>,
    /// Bytes that this end may have outstanding. `None` until this end opens the stream.
    pub(super) budget: Option<u32>,
    /// Id of our pending request to open the stream.
    pub(super) opening: Option<i32>,
    pub(super) writable: bool,
    /// Limit of the outstanding bytes, if smaller than the budget.
    pub(super) window: u32,
    pub(super) waiting: VecDeque<Packet>,
    /// Lengths of the sent packets that the peer has not consumed yet.
    pub(super) outstanding: VecDeque<u32>,
    /// `true` if received packets are released immediately.
    pub(super) releases: bool,
}

impl Channel {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            number: None,
            budget: None,
            opening: None,
            writable: false,
            window: u32::MAX,
            waiting: VecDeque::new(),
            outstanding: VecDeque::new(),
            releases: true,
        }
    }

    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding.iter().map(|len| u64::from(*len)).sum()
    }

    /// Returns whether the next packet has credit (bootloader.md 2.3).
    pub(super) fn is_ready(&self) -> bool {
        let Some(next) = self.waiting.front() else { return false };
        let budget = u64::from(self.budget.unwrap_or(MAX_PACKET_BYTES).min(self.window));
        let ahead = self.outstanding();
        // A packet above the limit is sent alone, otherwise it would never be sent.
        let fits = ahead == 0 || ahead + u64::from(next.len()) <= budget;
        self.writable && fits && self.outstanding.len() < MAX_OUTSTANDING_PACKETS
    }
}

/// The event that is being sent.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) header: [u8; EVENT_HEADER_BYTES],
    pub(super) payload: Option<(StreamId, Packet)>,
    /// Sent bytes of header and payload.
    pub(super) sent: usize,
}

impl Sending {
    pub(super) fn rest(&self) -> &[u8] {
        match self.sent.checked_sub(EVENT_HEADER_BYTES) {
            None => &self.header[self.sent..],
            Some(sent) => self.payload.as_ref().map_or(&[], |(_, packet)| &packet.bytes()[sent..]),
        }
    }
}
