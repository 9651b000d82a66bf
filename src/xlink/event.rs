//! The header of every event on a link (bootloader.md 2.1). All numbers are little endian.

/// Length of an event header in bytes.
pub const EVENT_HEADER_BYTES: usize = 84;
/// Length of the stream name field, with the terminating zero.
const NAME_BYTES: usize = 52;
/// The type of a response is the type of its request plus this.
const RESPONSE_OFFSET: u32 = 8;

/// The operation of an event. A request and its response have the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Sends a packet: `size` bytes follow the header of the request.
    Write,
    /// Returns the credit of a consumed packet.
    Release,
    /// Opens a stream for writing with a budget of `size` bytes.
    Create,
    /// Closes a stream for writing.
    Close,
    /// Establishes the link, or checks that the peer is alive.
    Ping,
    /// Ends the session; a camera reboots.
    Reset,
    /// Like [`Self::Release`], for a specific packet. Only newer peers send it.
    ReleaseSpecific,
}

/// The header of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventHeader {
    /// Chosen by the requester and repeated in the response. Each direction counts separately.
    pub id: i32,
    /// The operation.
    pub kind: EventKind,
    /// `true` if this answers a request.
    pub response: bool,
    /// Name of the stream. Valid in [`EventKind::Create`] only: the vendor leaves stale names in all other events.
    pub name: String,
    /// Number of the stream.
    pub stream: u32,
    /// Length of the payload, the budget or the released packet, in bytes. Meaningless in responses.
    pub size: u32,
    /// [`Self::ACK`] and the other flags.
    pub flags: u32,
}

/// 84 bytes with an unknown event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown event type {found}, expected 0, 2 to 6, 8, 10 to 14, 24 or 25: the peer does not speak XLink, or bytes were lost"
)]
pub struct MalformedHeader {
    /// The number at the place of the type.
    pub found: u32,
}

impl EventHeader {
    /// Accepted.
    pub const ACK: u32 = 1;
    /// Refused.
    pub const NACK: u32 = 1 << 1;
    /// Refused because the budget is too large.
    pub const TOO_LARGE: u32 = 1 << 6;
    /// Refused because the stream does not exist.
    pub const NO_SUCH_STREAM: u32 = 1 << 7;

    /// Returns the header as sent. The timestamp is zero: peers ignore it (bootloader.md 2.3).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; EVENT_HEADER_BYTES] {
        let kind = match self.kind {
            EventKind::Write => 0,
            EventKind::Release => 2,
            EventKind::Create => 3,
            EventKind::Close => 4,
            EventKind::Ping => 5,
            EventKind::Reset => 6,
            EventKind::ReleaseSpecific => 24,
        };
        let response = match (self.response, self.kind) {
            (false, _) => 0,
            (true, EventKind::ReleaseSpecific) => 1,
            (true, _) => RESPONSE_OFFSET,
        };
        let mut bytes = [0; EVENT_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.id.to_le_bytes());
        bytes[4..8].copy_from_slice(&(kind + response).to_le_bytes());
        let name = self.name.as_bytes();
        let len = name.len().min(NAME_BYTES - 1);
        bytes[8..8 + len].copy_from_slice(&name[..len]);
        bytes[72..76].copy_from_slice(&self.stream.to_le_bytes());
        bytes[76..80].copy_from_slice(&self.size.to_le_bytes());
        bytes[80..84].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }

    /// Parses a received header.
    ///
    /// # Errors
    /// When the event type is unknown. Every other field may have any value.
    pub fn parse(bytes: &[u8; EVENT_HEADER_BYTES]) -> Result<Self, MalformedHeader> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let kind_of = |number| {
            Some(match number {
                0 => EventKind::Write,
                2 => EventKind::Release,
                3 => EventKind::Create,
                4 => EventKind::Close,
                5 => EventKind::Ping,
                6 => EventKind::Reset,
                _ => return None,
            })
        };
        let found = word(4);
        let (kind, response) = match found {
            24 => (EventKind::ReleaseSpecific, false),
            25 => (EventKind::ReleaseSpecific, true),
            request @ ..RESPONSE_OFFSET => (kind_of(request).ok_or(MalformedHeader { found })?, false),
            response => (kind_of(response - RESPONSE_OFFSET).ok_or(MalformedHeader { found })?, true),
        };
        let name = &bytes[8..8 + NAME_BYTES];
        let len = name.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES);
        Ok(Self {
            id: i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            kind,
            response,
            name: String::from_utf8_lossy(&name[..len]).into_owned(),
            stream: word(72),
            size: word(76),
            flags: word(80),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_round_trips() {
        let kinds = [
            (EventKind::Write, 0, 8),
            (EventKind::Release, 2, 10),
            (EventKind::Create, 3, 11),
            (EventKind::Close, 4, 12),
            (EventKind::Ping, 5, 13),
            (EventKind::Reset, 6, 14),
            (EventKind::ReleaseSpecific, 24, 25),
        ];
        for (kind, request, answer) in kinds {
            for (response, number) in [(false, request), (true, answer)] {
                let name = "__bootloader".to_owned();
                let header =
                    EventHeader { id: -3, kind, response, name, stream: 0xdead_dead, size: 5_242_880, flags: 3 };
                let bytes = header.to_bytes();
                assert_eq!(bytes[4], number);
                assert_eq!(EventHeader::parse(&bytes), Ok(header));
            }
        }
    }

    #[test]
    fn unknown_types_are_rejected() {
        let mut bytes = [0; EVENT_HEADER_BYTES];
        for found in [1, 7, 9, 15, 16, 23, 26, u32::MAX] {
            bytes[4..8].copy_from_slice(&found.to_le_bytes());
            assert_eq!(EventHeader::parse(&bytes), Err(MalformedHeader { found }), "{found}");
        }
    }

    #[test]
    fn name_ends_at_zero_or_at_end_of_field() {
        let mut bytes = [0; EVENT_HEADER_BYTES];
        bytes[8..60].fill(b'n');
        assert_eq!(EventHeader::parse(&bytes).map(|header| header.name.len()), Ok(52));
        let long = EventHeader { name: "n".repeat(80), ..EventHeader::parse(&bytes).expect("a write") };
        assert_eq!(EventHeader::parse(&long.to_bytes()).map(|header| header.name.len()), Ok(51));
    }
}
