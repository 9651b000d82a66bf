//! Datagrams by outcome.

/// Datagrams of one source by outcome.
///
/// `received == assembled + incomplete + pending + whole + duplicate + late + invalid + refused` at every moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct DatagramCounts {
    /// Datagrams received.
    pub received: u64,
    /// Parts of complete messages.
    pub assembled: u64,
    /// Parts of messages that were given up, because others of their parts did not arrive.
    pub incomplete: u64,
    /// Parts of messages that are neither complete nor given up, or wait for an earlier message.
    pub pending: u64,
    /// Whole messages, pictures or detections, without a header of a datagram.
    pub whole: u64,
    /// Parts received before.
    pub duplicate: u64,
    /// Parts of messages that were complete or given up before, or more than 1 MiB ahead of their message.
    pub late: u64,
    /// Datagrams that are neither a part of a message nor a whole one.
    pub invalid: u64,
    /// Datagrams of another sender than the camera's.
    pub refused: u64,
    /// Parts received after a later one.
    pub reordered: u64,
    /// Parts that did not arrive, of the messages that were given up.
    pub missing: u64,
    /// Complete messages.
    pub messages: u64,
    /// Messages that were given up.
    pub messages_incomplete: u64,
    /// Message numbers of which no part arrived.
    pub messages_missing: u64,
    /// Messages with a number that was used before, while no other arrived for 1 s. They were not used.
    pub messages_repeated: u64,
    /// Times that the sender restarted its numbers.
    pub restarts: u64,
    /// Datagrams that the system of this host dropped, because its buffer was full; `None` if it does not count them.
    pub dropped_by_host: Option<u64>,
}

impl DatagramCounts {
    /// Returns whether every datagram received has one outcome.
    #[must_use]
    pub const fn balance(&self) -> bool {
        let Self { assembled, incomplete, pending, whole, duplicate, late, invalid, refused, .. } = self;
        self.received == *assembled + *incomplete + *pending + *whole + *duplicate + *late + *invalid + *refused
    }
}
