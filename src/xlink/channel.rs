//! One stream of a link: its credit, and what waits for it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::error::LONGEST;
use super::event::HEADER;
use super::link::Stream;

/// Packets of a stream that may wait to be consumed (bootloader.md 2.2).
const MOST_PACKETS: usize = 64;

/// Bytes to be sent: a part of something that is shared, so that a package of 28 MiB is in memory once.
#[derive(Clone, Debug)]
pub struct Packet {
    bytes: Arc<[u8]>,
    range: Range<usize>,
}

impl Packet {
    /// This part of these bytes.
    ///
    /// # Panics
    /// There is no such part.
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
    /// The number of both directions, once the host has given it.
    pub(super) number: Option<u32>,
    /// Bytes that this end may have outstanding; `None` before it is opened by us.
    pub(super) budget: Option<u32>,
    /// The identifier of our request to open it, until it is answered.
    pub(super) opening: Option<i32>,
    pub(super) writable: bool,
    /// No more than so many bytes are sent ahead, however large the budget is.
    pub(super) window: u32,
    pub(super) waiting: VecDeque<Packet>,
    /// Lengths of the packets that the other end has not consumed yet.
    pub(super) outstanding: VecDeque<u32>,
    /// Whether what comes is released at once.
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

    /// Whether its next packet may be sent (bootloader.md 2.3).
    pub(super) fn is_ready(&self) -> bool {
        let Some(next) = self.waiting.front() else { return false };
        let budget = u64::from(self.budget.unwrap_or(LONGEST).min(self.window));
        let ahead = self.outstanding();
        // What is larger than the window goes alone.
        let fits = ahead == 0 || ahead + u64::from(next.len()) <= budget;
        self.writable && fits && self.outstanding.len() < MOST_PACKETS
    }
}

/// What is being sent.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) header: [u8; HEADER],
    pub(super) payload: Option<(Stream, Packet)>,
    /// Bytes of both that have been sent.
    pub(super) sent: usize,
}

impl Sending {
    pub(super) fn rest(&self) -> &[u8] {
        match self.sent.checked_sub(HEADER) {
            None => &self.header[self.sent..],
            Some(sent) => self.payload.as_ref().map_or(&[], |(_, packet)| &packet.bytes()[sent..]),
        }
    }
}
