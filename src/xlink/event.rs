//! The header that every event on a link begins with (bootloader.md 2.1). All numbers are little endian.

/// Bytes of a header.
pub const HEADER: usize = 84;
/// Bytes of a stream's name, with the zero behind it.
const NAME: usize = 52;
/// A response has the type of its request and this.
const RESPONSE: u32 = 8;

/// What an event is about. Requests and their responses have the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A packet; `size` bytes of it follow the header of the request.
    Write,
    /// A packet was consumed: its credit comes back.
    Release,
    /// A stream is opened for writing, with a budget of `size` bytes.
    Create,
    /// A stream will not be written any more.
    Close,
    /// Is somebody there?
    Ping,
    /// Reboot, or the end of the session.
    Reset,
    /// As [`Self::Release`], of a certain packet: newer libraries have it.
    ReleaseThis,
}

/// The header of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Chosen by the one who requests. A response has that of its request; each direction counts for itself.
    pub id: i32,
    /// What it is about.
    pub kind: Kind,
    /// Whether this answers a request.
    pub response: bool,
    /// Name of the stream. Only where it is opened does it mean anything: the vendor leaves old ones standing elsewhere.
    pub name: String,
    /// Number of the stream.
    pub stream: u32,
    /// Length of a payload, a budget, or what is released, in bytes. In responses it means nothing.
    pub size: u32,
    /// See [`Self::ACK`] and others.
    pub flags: u32,
}

/// 84 bytes that are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an event of type {found} is none that XLink has (0, 2 to 6, 8, 10 to 14, 24, 25): this is no XLink, or bytes were lost"
)]
pub struct MalformedHeader {
    /// The number that stood where the type should.
    pub found: u32,
}

impl Header {
    /// Accepted.
    pub const ACK: u32 = 1;
    /// Refused.
    pub const NACK: u32 = 1 << 1;
    /// Refused because the budget is too large.
    pub const TOO_LARGE: u32 = 1 << 6;
    /// Refused because there is no such stream.
    pub const NO_SUCH_STREAM: u32 = 1 << 7;

    /// The event on the wire. The sender's clock is left zero: nobody looks at it (bootloader.md 2.3).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let kind = match self.kind {
            Kind::Write => 0,
            Kind::Release => 2,
            Kind::Create => 3,
            Kind::Close => 4,
            Kind::Ping => 5,
            Kind::Reset => 6,
            Kind::ReleaseThis => 24,
        };
        let response = match (self.response, self.kind) {
            (false, _) => 0,
            (true, Kind::ReleaseThis) => 1,
            (true, _) => RESPONSE,
        };
        let mut bytes = [0; HEADER];
        bytes[0..4].copy_from_slice(&self.id.to_le_bytes());
        bytes[4..8].copy_from_slice(&(kind + response).to_le_bytes());
        let name = self.name.as_bytes();
        let len = name.len().min(NAME - 1);
        bytes[8..8 + len].copy_from_slice(&name[..len]);
        bytes[72..76].copy_from_slice(&self.stream.to_le_bytes());
        bytes[76..80].copy_from_slice(&self.size.to_le_bytes());
        bytes[80..84].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }

    /// Reads an event from the wire.
    ///
    /// # Errors
    /// Its type is none that there is. Everything else is the sender's choice.
    pub fn parse(bytes: &[u8; HEADER]) -> Result<Self, MalformedHeader> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let kind_of = |number| {
            Some(match number {
                0 => Kind::Write,
                2 => Kind::Release,
                3 => Kind::Create,
                4 => Kind::Close,
                5 => Kind::Ping,
                6 => Kind::Reset,
                _ => return None,
            })
        };
        let found = word(4);
        let (kind, response) = match found {
            24 => (Kind::ReleaseThis, false),
            25 => (Kind::ReleaseThis, true),
            request @ ..RESPONSE => (kind_of(request).ok_or(MalformedHeader { found })?, false),
            response => (kind_of(response - RESPONSE).ok_or(MalformedHeader { found })?, true),
        };
        let name = &bytes[8..8 + NAME];
        let len = name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
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
    fn every_event_comes_back() {
        let kinds = [
            (Kind::Write, 0, 8),
            (Kind::Release, 2, 10),
            (Kind::Create, 3, 11),
            (Kind::Close, 4, 12),
            (Kind::Ping, 5, 13),
            (Kind::Reset, 6, 14),
            (Kind::ReleaseThis, 24, 25),
        ];
        for (kind, request, answer) in kinds {
            for (response, number) in [(false, request), (true, answer)] {
                let name = "__bootloader".to_owned();
                let header = Header { id: -3, kind, response, name, stream: 0xdead_dead, size: 5_242_880, flags: 3 };
                let bytes = header.to_bytes();
                assert_eq!(bytes[4], number);
                assert_eq!(Header::parse(&bytes), Ok(header));
            }
        }
    }

    #[test]
    fn the_types_that_there_are_not() {
        let mut bytes = [0; HEADER];
        for found in [1, 7, 9, 15, 16, 23, 26, u32::MAX] {
            bytes[4..8].copy_from_slice(&found.to_le_bytes());
            assert_eq!(Header::parse(&bytes), Err(MalformedHeader { found }), "{found}");
        }
    }

    #[test]
    fn a_name_ends_at_its_zero_or_with_its_field() {
        let mut bytes = [0; HEADER];
        bytes[8..60].fill(b'n');
        assert_eq!(Header::parse(&bytes).map(|header| header.name.len()), Ok(52));
        let long = Header { name: "n".repeat(80), ..Header::parse(&bytes).expect("a write") };
        assert_eq!(Header::parse(&long.to_bytes()).map(|header| header.name.len()), Ok(51));
    }
}
