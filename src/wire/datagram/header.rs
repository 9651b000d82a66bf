//! The header of a datagram.

/// Length of the header in bytes.
pub const DATAGRAM_HEADER: usize = 16;

/// First bytes of the header. The last one is the version.
pub const DATAGRAM_MAGIC: [u8; 3] = *b"OT1";

/// One part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// Number of the message.
    pub(super) number: u32,
    /// Position among the parts, from 0.
    pub(super) part: u16,
    /// Parts of the message.
    pub(super) parts: u16,
    /// Bytes of the message.
    pub(super) total: usize,
    /// Bytes of each part but the last.
    pub(super) part_len: usize,
    pub(super) bytes: &'a [u8],
}

/// Reason why a datagram is not a part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// It has no header, and no bytes after it.
    #[error("the datagram has {found} bytes: expected a header of {DATAGRAM_HEADER} bytes and a part")]
    Short {
        /// Bytes of the datagram.
        found: usize,
    },
    /// It does not begin with [`DATAGRAM_MAGIC`].
    #[error("the datagram does not begin with `OT1`")]
    Magic,
    /// A flag of a later version is set.
    #[error("the flags of the datagram are {0:#04x}: expected 0")]
    Flags(u8),
    /// The message has no such part.
    #[error("the datagram is part {part} of {parts}, counted from 0")]
    Part {
        /// Position among the parts.
        part: u16,
        /// Parts of the message.
        parts: u16,
    },
    /// The lengths of the parts do not give the length of the message.
    #[error("part {part} of {parts} has {found} bytes, which contradicts a message of {total} bytes")]
    Length {
        /// Position among the parts.
        part: u16,
        /// Parts of the message.
        parts: u16,
        /// Bytes of the part.
        found: usize,
        /// Bytes of the message.
        total: u32,
    },
    /// The message is too large.
    #[error("the message has {total} bytes: expected at most {max}")]
    TooLarge {
        /// Bytes of the message.
        total: u32,
        /// Bytes allowed.
        max: usize,
    },
    /// Another part of the same message has another length or number of parts.
    #[error("the parts of message {number} contradict each other in their number or length")]
    Contradiction {
        /// Number of the message.
        number: u32,
    },
}

impl<'a> Piece<'a> {
    /// Parses a datagram. `max`: most bytes of a message.
    pub(super) fn parse(datagram: &'a [u8], max: usize) -> Result<Self, DatagramError> {
        let found = datagram.len();
        if !datagram.starts_with(&DATAGRAM_MAGIC) {
            return Err(DatagramError::Magic);
        }
        let Some((header, bytes)) =
            datagram.split_first_chunk::<DATAGRAM_HEADER>().filter(|(_, bytes)| !bytes.is_empty())
        else {
            return Err(DatagramError::Short { found });
        };
        let [_, _, _, flags, n0, n1, n2, n3, p0, p1, c0, c1, t0, t1, t2, t3] = *header;
        if flags != 0 {
            return Err(DatagramError::Flags(flags));
        }
        let number = u32::from_be_bytes([n0, n1, n2, n3]);
        let (part, parts) = (u16::from_be_bytes([p0, p1]), u16::from_be_bytes([c0, c1]));
        let total = u32::from_be_bytes([t0, t1, t2, t3]);
        if part >= parts {
            return Err(DatagramError::Part { part, parts });
        }
        let contradicts = DatagramError::Length { part, parts, found: bytes.len(), total };
        let Ok(len) = usize::try_from(total) else { return Err(DatagramError::TooLarge { total, max }) };
        let before = usize::from(parts) - 1;
        let part_len = match before {
            0 => len,
            _ if part + 1 < parts => bytes.len(),
            // The last part shows the length of the others.
            _ => match len.checked_sub(bytes.len()) {
                Some(others) if others % before == 0 => others / before,
                _ => return Err(contradicts),
            },
        };
        let last_len = part_len.checked_mul(before).and_then(|others| len.checked_sub(others));
        let is_last = part + 1 == parts;
        match last_len {
            Some(last_len @ 1..) if last_len <= part_len && (!is_last || last_len == bytes.len()) => {}
            _ => return Err(contradicts),
        }
        if len > max {
            return Err(DatagramError::TooLarge { total, max });
        }
        Ok(Self { number, part, parts, total: len, part_len, bytes })
    }

    /// Returns the place of the part in its message.
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        let start = usize::from(self.part) * self.part_len;
        start..start + self.bytes.len()
    }
}

/// Splits a message into datagrams with at most `part_len` bytes after their header. Returns `None` for an empty message and
/// for one that needs more than 65,535 of them.
pub fn datagrams(number: u32, message: &[u8], part_len: usize) -> Option<impl ExactSizeIterator<Item = Vec<u8>>> {
    let parts = u16::try_from(message.len().div_ceil(part_len.max(1))).ok().filter(|parts| *parts > 0)?;
    let total = u32::try_from(message.len()).ok()?;
    Some(message.chunks(part_len.max(1)).enumerate().map(move |(part, bytes)| {
        let mut datagram = Vec::with_capacity(DATAGRAM_HEADER + bytes.len());
        datagram.extend_from_slice(&DATAGRAM_MAGIC);
        datagram.push(0);
        datagram.extend_from_slice(&number.to_be_bytes());
        datagram.extend_from_slice(&(part as u16).to_be_bytes());
        datagram.extend_from_slice(&parts.to_be_bytes());
        datagram.extend_from_slice(&total.to_be_bytes());
        datagram.extend_from_slice(bytes);
        datagram
    }))
}
