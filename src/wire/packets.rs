//! Splits the bytes of an MQTT 3.1.1 connection into packets (sections 2.2 and 3.3 of the standard). Finds out that a
//! message is too large by its first bytes, so that the rest can be skipped without a buffer.

/// Longest fixed header of a packet: its kind, and its length in at most 4 bytes.
const FIXED_HEADER_MAX: usize = 5;

/// Most bytes before the payload of a message: the fixed header, the length of the topic, the topic, and the number.
pub const MESSAGE_HEAD_MAX: usize = FIXED_HEADER_MAX + 2 + u16::MAX as usize + 2;

/// Kind of a packet with a message.
const PUBLISH: u8 = 3;

/// A message that is larger than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeMessage {
    /// Bytes before the payload: the caller removes them from its input.
    pub head: usize,
    /// Position of the topic in them: its first byte, and the one after its last.
    pub topic: (usize, usize),
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// Number of the message; 0 with quality of service 0, where messages have none.
    pub id: u16,
    /// Length of the payload in bytes.
    pub payload: usize,
}

/// First bytes of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketPiece {
    /// A packet of this length in bytes.
    Packet(usize),
    /// A part of a packet, which lacks at least this many bytes.
    Incomplete(usize),
    /// The bytes before the payload of a message that is too large. Its payload is skipped.
    TooLarge(LargeMessage),
    /// This many bytes of the payload of a message that is too large.
    Skipped {
        /// Bytes to remove from the input.
        bytes: usize,
        /// They are the last ones of the message.
        is_end: bool,
    },
}

/// Bytes that are not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// The length has more than 4 bytes.
    #[error("the length of a packet has more than 4 bytes")]
    Length,
    /// A packet without a message is too large.
    #[error("a packet of kind {kind} has {bytes} bytes: expected at most {max}")]
    TooLarge {
        /// Kind of the packet, 0 to 15.
        kind: u8,
        /// Bytes of the packet.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A message has the quality of service 3.
    #[error("a message has the quality of service 3")]
    Qos,
    /// The topic of a message is longer than the message.
    #[error("the topic of a message is longer than the message")]
    Topic,
}

/// Splits an input into packets. The caller removes the bytes of each piece from the front of its input before it asks for
/// the next one.
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketSplitter {
    /// Bytes to skip.
    left: usize,
}

impl PacketSplitter {
    /// Returns whether the payload of a message that is too large is being skipped.
    #[must_use]
    pub const fn is_skipping(&self) -> bool {
        self.left > 0
    }

    /// Returns what the input begins with. `max`: longest packet, in bytes. Never asks for more than this or, if that is
    /// more, [`MESSAGE_HEAD_MAX`] bytes of input.
    ///
    /// # Errors
    /// The input does not begin with a packet, or with one that is too large and has no message.
    pub fn next(&mut self, input: &[u8], max: usize) -> Result<PacketPiece, PacketError> {
        if self.left > 0 {
            let bytes = self.left.min(input.len());
            if bytes == 0 {
                return Ok(PacketPiece::Incomplete(1));
            }
            self.left -= bytes;
            return Ok(PacketPiece::Skipped { bytes, is_end: self.left == 0 });
        }
        let Some((&first, after)) = input.split_first() else { return Ok(PacketPiece::Incomplete(2)) };
        let (mut remaining, mut fixed) = (0, 1);
        loop {
            let Some(&byte) = after.get(fixed - 1) else { return Ok(PacketPiece::Incomplete(1)) };
            remaining |= usize::from(byte & 0x7f) << (7 * (fixed - 1));
            fixed += 1;
            if byte & 0x80 == 0 {
                break;
            }
            if fixed == FIXED_HEADER_MAX {
                return Err(PacketError::Length);
            }
        }
        let total = fixed + remaining;
        if total <= max {
            let missing = total.saturating_sub(input.len());
            return Ok(if missing == 0 { PacketPiece::Packet(total) } else { PacketPiece::Incomplete(missing) });
        }
        let (kind, qos) = (first >> 4, first >> 1 & 3);
        if kind != PUBLISH {
            return Err(PacketError::TooLarge { kind, bytes: total, max });
        }
        if qos == 3 {
            return Err(PacketError::Qos);
        }
        let topic = fixed + 2;
        let Some(len) = input.get(fixed..topic) else { return Ok(PacketPiece::Incomplete(topic - input.len())) };
        let topic_end = topic + usize::from(u16::from_be_bytes([len[0], len[1]]));
        let head = topic_end + if qos > 0 { 2 } else { 0 };
        if head > total {
            return Err(PacketError::Topic);
        }
        if input.len() < head {
            return Ok(PacketPiece::Incomplete(head - input.len()));
        }
        let id = if qos > 0 { u16::from_be_bytes([input[topic_end], input[topic_end + 1]]) } else { 0 };
        self.left = total - head;
        Ok(PacketPiece::TooLarge(LargeMessage { head, topic: (topic, topic_end), qos, id, payload: self.left }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(qos: u8, topic: &str, payload: usize) -> Vec<u8> {
        let id: &[u8] = if qos > 0 { &[1, 2] } else { &[] };
        let mut remaining = 2 + topic.len() + id.len() + payload;
        let mut packet = vec![0x30 | qos << 1];
        while remaining > 127 {
            packet.push((remaining % 128 + 128) as u8);
            remaining /= 128;
        }
        packet.push(remaining as u8);
        packet.extend((topic.len() as u16).to_be_bytes());
        packet.extend_from_slice(topic.as_bytes());
        packet.extend_from_slice(id);
        packet.resize(packet.len() + payload, 7);
        packet
    }

    #[test]
    fn large_messages_are_recognized_by_their_first_bytes() {
        for (qos, head, id) in [(0, 3 + 2 + 3, 0), (1, 3 + 2 + 3 + 2, 0x0102), (2, 3 + 2 + 3 + 2, 0x0102)] {
            let packet = publish(qos, "a/b", 1000);
            let mut splitter = PacketSplitter::default();
            assert_eq!(splitter.next(&packet, packet.len()), Ok(PacketPiece::Packet(packet.len())));
            let max = packet.len() - 1;
            for len in 0..head {
                let found = splitter.next(&packet[..len], max);
                assert!(matches!(found, Ok(PacketPiece::Incomplete(more)) if len + more <= head), "{len}: {found:?}");
            }
            let large = LargeMessage { head, topic: (5, 8), qos, id, payload: 1000 };
            assert_eq!(splitter.next(&packet[..head], max), Ok(PacketPiece::TooLarge(large)));
            assert!(splitter.is_skipping());
            assert_eq!(splitter.next(&[], max), Ok(PacketPiece::Incomplete(1)));
            assert_eq!(splitter.next(&[7; 999], max), Ok(PacketPiece::Skipped { bytes: 999, is_end: false }));
            assert_eq!(splitter.next(&[7, 0xd0, 0], max), Ok(PacketPiece::Skipped { bytes: 1, is_end: true }));
            assert_eq!(splitter.next(&[0xd0, 0], max), Ok(PacketPiece::Packet(2)));
        }
    }

    #[test]
    fn bytes_that_are_not_packets_are_explained() {
        for (input, error) in [
            (&[0x30, 0x80, 0x80, 0x80, 0x80][..], PacketError::Length),
            (&[0xd0, 0x7f], PacketError::TooLarge { kind: 13, bytes: 129, max: 100 }),
            (&[0x36, 0x7f], PacketError::Qos),
            (&[0x30, 0x7f, 0xff, 0xff], PacketError::Topic),
        ] {
            assert_eq!(PacketSplitter::default().next(input, 100), Err(error));
        }
    }
}
