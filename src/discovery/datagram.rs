//! The datagrams of discovery in both directions (bootloader.md 1). All integers are little endian.

use serde::Serialize;

use super::state::CameraState;

/// Length of an id on the wire, padded with NUL (bootloader.md 1).
const ID_BYTES: usize = 32;
/// Lengths of the answers (bootloader.md 1). Longer datagrams are accepted and their rest is ignored.
const SIMPLE_BYTES: usize = 40;
const INFO_BYTES: usize = 48;
const EXTENDED_BYTES: usize = 52;

/// A command of 4 bytes, sent to one camera or broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// 1: requests id and state.
    Discover,
    /// 2: requests speed and duplex of the Ethernet link. The vendor's clients never send it, and a camera may not answer.
    Info,
    /// 3: reboots into the bootloader, which stops the application. There is no answer. Must not be broadcast.
    Reset,
}

impl Query {
    /// Returns the datagram.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 4] {
        let command: u32 = match self {
            Self::Discover => 1,
            Self::Info => 2,
            Self::Reset => 3,
        };
        command.to_le_bytes()
    }

    /// Parses a query as a camera does. Bytes after the first 4 are ignored.
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        match word(datagram, 0)? {
            1 => Some(Self::Discover),
            2 => Some(Self::Info),
            3 => Some(Self::Reset),
            _ => None,
        }
    }
}

/// The Ethernet link as the camera sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkInfo {
    /// The camera's id.
    pub id: String,
    /// Link speed in Mbit/s; 1000 is expected.
    pub speed_mbit_s: u32,
    /// `true` if the link is full duplex; `true` is expected.
    pub full_duplex: bool,
    /// Position of the boot switch: 3 is PoE, 0x16 is USB.
    pub boot_mode: u32,
}

/// An answer of a camera. The camera's address is not part of it: it is the sender of the datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Answers [`Query::Discover`].
    Simple {
        /// See [`is_camera_id`].
        id: String,
        /// The camera's state.
        state: CameraState,
    },
    /// Answers [`Query::Discover`] with more fields.
    Extended {
        /// See [`is_camera_id`].
        id: String,
        /// The camera's state.
        state: CameraState,
        /// 4 is TCP/IP.
        protocol: u32,
        /// 2 is the Myriad X (RVC2).
        platform: u32,
        /// Ignored by the vendor's client.
        port_http: u16,
        /// Ignored by the vendor's client.
        port_https: u16,
    },
    /// Answers [`Query::Info`].
    Info(LinkInfo),
}

/// Reason for rejecting a datagram.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The datagram is shorter than its command requires.
    #[error("datagram too short: expected {expected} bytes, found {found}")]
    TooShort {
        /// Length of the datagram in bytes.
        found: usize,
        /// Length required by the command, in bytes.
        expected: usize,
    },
    /// The command is not one of an answer.
    #[error("unknown command {0} in an answer: expected 1 (simple), 2 (link) or 4 (extended)")]
    Unknown(u32),
    /// The text is not a camera id, see [`is_camera_id`].
    #[error("invalid camera id `{found}`: expected 1 to {ID_BYTES} hexadecimal digits")]
    Id {
        /// The id, escaped.
        found: String,
    },
}

impl Answer {
    /// Parses a datagram.
    ///
    /// # Errors
    /// When it is not an answer of a camera.
    pub fn parse(datagram: &[u8]) -> Result<Self, AnswerError> {
        let short = |expected| AnswerError::TooShort { found: datagram.len(), expected };
        let command = word(datagram, 0).ok_or(short(SIMPLE_BYTES))?;
        let expected = match command {
            1 => SIMPLE_BYTES,
            2 => INFO_BYTES,
            4 => EXTENDED_BYTES,
            unknown => return Err(AnswerError::Unknown(unknown)),
        };
        if datagram.len() < expected {
            return Err(short(expected));
        }
        let number = |at| word(datagram, at).ok_or(short(expected));
        let id = id(datagram.get(4..4 + ID_BYTES).ok_or(short(expected))?)?;
        Ok(match command {
            1 => Self::Simple { id, state: number(36)?.into() },
            2 => Self::Info(LinkInfo {
                id,
                speed_mbit_s: number(36)?,
                full_duplex: number(40)? != 0,
                boot_mode: number(44)?,
            }),
            _ => {
                let [a, b, c, d] = number(48)?.to_le_bytes();
                Self::Extended {
                    id,
                    state: number(36)?.into(),
                    protocol: number(40)?,
                    platform: number(44)?,
                    port_http: u16::from_le_bytes([a, b]),
                    port_https: u16::from_le_bytes([c, d]),
                }
            }
        })
    }

    /// Returns the datagram. An id longer than 32 bytes is truncated.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(EXTENDED_BYTES);
        let mut head = |command: u32| {
            bytes.extend(command.to_le_bytes());
            bytes.extend(self.id().bytes().chain(std::iter::repeat(0)).take(ID_BYTES));
        };
        match self {
            Self::Simple { state, .. } => {
                head(1);
                bytes.extend(u32::from(*state).to_le_bytes());
            }
            Self::Extended { state, protocol, platform, port_http, port_https, .. } => {
                head(4);
                for number in [u32::from(*state), *protocol, *platform] {
                    bytes.extend(number.to_le_bytes());
                }
                bytes.extend(port_http.to_le_bytes());
                bytes.extend(port_https.to_le_bytes());
            }
            Self::Info(LinkInfo { speed_mbit_s, full_duplex, boot_mode, .. }) => {
                head(2);
                for number in [*speed_mbit_s, u32::from(*full_duplex), *boot_mode] {
                    bytes.extend(number.to_le_bytes());
                }
            }
        }
        bytes
    }

    /// Returns the state of the camera that answered. `None` if the answer describes its link only.
    #[must_use]
    pub fn state(&self) -> Option<CameraState> {
        match self {
            Self::Simple { state, .. } | Self::Extended { state, .. } => Some(*state),
            Self::Info(_) => None,
        }
    }

    /// Returns the id of the camera that answered.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Simple { id, .. } | Self::Extended { id, .. } | Self::Info(LinkInfo { id, .. }) => id,
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// Returns `true` for 1 to 32 hexadecimal digits. All known cameras have such an id, and it becomes part of file names.
#[must_use]
pub fn is_camera_id(text: &str) -> bool {
    (1..=ID_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns the text before the first NUL. The bytes after it may be stale.
fn id(field: &[u8]) -> Result<String, AnswerError> {
    let bytes = field.split(|byte| *byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(id) if is_camera_id(id) => Ok(id.to_owned()),
        _ => Err(AnswerError::Id { found: bytes.escape_ascii().to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MXID: &str = "14442C10D13EABCE00";

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
    }

    #[test]
    fn datagrams_of_vendor_transcripts_parse_and_round_trip() {
        let simple = hex("01000000313434343243313044313345414243453030000000000000000000000000000003000000");
        let extended = hex("0400000031343434324331304431334541424345303000000000000000000000000000000300000004000000\
                            02000000e22c0000");
        let answers = [
            (simple, Answer::Simple { id: MXID.into(), state: CameraState::Bootloader }),
            (
                extended,
                Answer::Extended {
                    id: MXID.into(),
                    state: CameraState::Bootloader,
                    protocol: 4,
                    platform: 2,
                    port_http: 11_490,
                    port_https: 0,
                },
            ),
        ];
        for (datagram, answer) in answers {
            assert_eq!(Answer::parse(&datagram), Ok(answer.clone()));
            assert_eq!(answer.to_bytes(), datagram);
            assert_eq!(answer.id(), MXID);
        }
        for (query, bytes) in [(Query::Discover, "01000000"), (Query::Info, "02000000"), (Query::Reset, "03000000")] {
            assert_eq!(query.to_bytes().to_vec(), hex(bytes));
            assert_eq!(Query::parse(&hex(bytes)), Some(query));
        }
    }

    #[test]
    fn link_info_round_trips() {
        let info = LinkInfo { id: MXID.into(), speed_mbit_s: 1000, full_duplex: true, boot_mode: 3 };
        let bytes = Answer::Info(info.clone()).to_bytes();
        assert_eq!(bytes.len(), 48);
        assert_eq!(bytes[36..], [0xe8, 3, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(Answer::parse(&bytes), Ok(Answer::Info(info)));
    }

    #[test]
    fn invalid_answers_are_rejected_with_reason() {
        let good = Answer::Simple { id: MXID.into(), state: CameraState::FlashBooted }.to_bytes();
        let mut longer = good.clone();
        longer.extend([0xff; 9]);
        assert_eq!(Answer::parse(&longer), Answer::parse(&good), "bytes after the answer are ignored");
        let mut stale = good.clone();
        stale[4 + 20..36].fill(0xaa);
        assert_eq!(Answer::parse(&stale), Answer::parse(&good), "bytes after the NUL of the id are ignored");

        let mut full = good.clone();
        full[4..36].fill(b'F');
        assert_eq!(Answer::parse(&full).map(|answer| answer.id().len()), Ok(32), "an id may fill its field");

        for (bytes, error) in [
            (&good[..39], "datagram too short: expected 40 bytes, found 39"),
            (&[], "datagram too short: expected 40 bytes, found 0"),
            (&[2, 0, 0, 0][..], "datagram too short: expected 48 bytes, found 4"),
            (&[9, 0, 0, 0][..], "unknown command 9 in an answer: expected 1 (simple), 2 (link) or 4 (extended)"),
        ] {
            assert_eq!(Answer::parse(bytes).unwrap_err().to_string(), error);
        }
        for (id, found) in [
            (&b"\0abc"[..], ""),
            (b"a b\0", "a b"),
            (b"a\x1b\0", "a\\x1b"),
            (b"\xff\0", "\\xff"),
            (b"../../outside/ev\0", "../../outside/ev"),
            (b"14442C10D13EABCE0O\0", "14442C10D13EABCE0O"),
            (b"-rf\0", "-rf"),
            (b"14442C;ls\0", "14442C;ls"),
        ] {
            let mut bytes = good.clone();
            bytes[4..4 + id.len()].copy_from_slice(id);
            assert_eq!(Answer::parse(&bytes), Err(AnswerError::Id { found: found.into() }));
        }
        assert_eq!([Query::parse(&[1, 0, 0]), Query::parse(&[0, 0, 0, 0]), Query::parse(&[4, 0, 0, 0])], [None; 3]);
        assert_eq!(Query::parse(&[1, 0, 0, 0, 77]), Some(Query::Discover));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_parsed_or_rejected(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), kind in 0u8..6) {
            if let Some(first) = bytes.first_chunk_mut::<4>() {
                *first = [kind, 0, 0, 0];
            }
            if let Ok(answer) = Answer::parse(&bytes) {
                prop_assert_eq!(Answer::parse(&answer.to_bytes()), Ok(answer));
            }
        }

        #[test]
        fn written_answers_round_trip(id in "[0-9A-Fa-f]{1,32}", state: u32, a: u32, b: u32, c: u16, d: u16) {
            let state = CameraState::from(state);
            for answer in [
                Answer::Simple { id: id.clone(), state },
                Answer::Extended { id: id.clone(), state, protocol: a, platform: b, port_http: c, port_https: d },
                Answer::Info(LinkInfo { id: id.clone(), speed_mbit_s: a, full_duplex: b & 1 == 1, boot_mode: b }),
            ] {
                prop_assert_eq!(Answer::parse(&answer.to_bytes()), Ok(answer));
            }
        }
    }
}
