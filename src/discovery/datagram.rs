//! The datagrams of discovery, both ways (bootloader.md 1). All integers are little endian.

use serde::Serialize;

use super::State;

/// Bytes of an id on the wire, NUL padded (bootloader.md 1).
const ID: usize = 32;
/// Bytes of the answers (bootloader.md 1). Longer ones are read too: what follows is not known.
const SIMPLE: usize = 40;
const INFO: usize = 48;
const EXTENDED: usize = 52;

/// A question: 4 bytes, sent to a camera or broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// 1: who are you, and what are you doing?
    Discover,
    /// 2: how fast is your link? The vendor's clients never ask it, and a camera may keep silent.
    Info,
    /// 3: reboot into the bootloader. Not a question: there is no answer, and the application stops. Never broadcast it.
    Reset,
}

impl Query {
    /// The datagram.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 4] {
        let command: u32 = match self {
            Self::Discover => 1,
            Self::Info => 2,
            Self::Reset => 3,
        };
        command.to_le_bytes()
    }

    /// The question that a datagram asks, for those who answer. What follows its 4 bytes is ignored.
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

/// What a camera says of its own end of the cable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkInfo {
    /// The camera's id.
    pub id: String,
    /// Speed of its link in Mbit/s; 1000 is expected.
    pub speed_mbit_s: u32,
    /// Whether it sends and receives at the same time; it should.
    pub full_duplex: bool,
    /// Where its boot switch stands: 3 is PoE, 0x16 is USB.
    pub boot_mode: u32,
}

/// What a camera answers. It does not say its address: that is where the datagram came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Query::Discover`].
    Simple {
        /// Printable ASCII, 1 to 32 characters.
        id: String,
        /// What it is doing.
        state: State,
    },
    /// To [`Query::Discover`] too, with more behind it.
    Extended {
        /// Printable ASCII, 1 to 32 characters.
        id: String,
        /// What it is doing.
        state: State,
        /// 4 is TCP/IP.
        protocol: u32,
        /// 2 is the Myriad X (RVC2).
        platform: u32,
        /// Read and ignored by the vendor's client.
        port_http: u16,
        /// The same.
        port_https: u16,
    },
    /// To [`Query::Info`].
    Info(LinkInfo),
}

/// Why a datagram is no answer of a camera.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// It ends early.
    #[error("a datagram of {found} bytes is too short: this kind of answer has {expected}")]
    TooShort {
        /// Bytes that came.
        found: usize,
        /// Bytes that it takes.
        expected: usize,
    },
    /// Its first number is none that a camera sends.
    #[error("{0} is no kind of answer: expected 1 (simple), 2 (link) or 4 (extended)")]
    Unknown(u32),
    /// Its id is empty or has bytes that no id has.
    #[error("the id `{found}` is none: expected 1 to 32 printable characters")]
    Id {
        /// The bytes, escaped.
        found: String,
    },
}

impl Answer {
    /// Reads a datagram.
    ///
    /// # Errors
    /// It is not what a camera sends.
    pub fn parse(datagram: &[u8]) -> Result<Self, AnswerError> {
        let short = |expected| AnswerError::TooShort { found: datagram.len(), expected };
        let command = word(datagram, 0).ok_or(short(SIMPLE))?;
        let expected = match command {
            1 => SIMPLE,
            2 => INFO,
            4 => EXTENDED,
            unknown => return Err(AnswerError::Unknown(unknown)),
        };
        if datagram.len() < expected {
            return Err(short(expected));
        }
        let number = |at| word(datagram, at).ok_or(short(expected));
        let id = id(datagram.get(4..4 + ID).ok_or(short(expected))?)?;
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

    /// The datagram. Of an id that is longer than 32 bytes the first 32 are sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(EXTENDED);
        let mut head = |command: u32| {
            bytes.extend(command.to_le_bytes());
            bytes.extend(self.id().bytes().chain(std::iter::repeat(0)).take(ID));
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

    /// Whose answer it is.
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

/// What stands before the first NUL. What stands behind it may be anything.
fn id(field: &[u8]) -> Result<String, AnswerError> {
    let bytes = field.split(|byte| *byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(id) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(id.to_owned()),
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

    /// What the vendor's client understood: the datagrams of its transcripts.
    #[test]
    fn transcripts_of_the_vendors_client() {
        let simple = hex("01000000313434343243313044313345414243453030000000000000000000000000000003000000");
        let extended = hex("0400000031343434324331304431334541424345303000000000000000000000000000000300000004000000\
                            02000000e22c0000");
        let answers = [
            (simple, Answer::Simple { id: MXID.into(), state: State::Bootloader }),
            (
                extended,
                Answer::Extended {
                    id: MXID.into(),
                    state: State::Bootloader,
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
    fn the_link_of_the_camera() {
        let info = LinkInfo { id: MXID.into(), speed_mbit_s: 1000, full_duplex: true, boot_mode: 3 };
        let bytes = Answer::Info(info.clone()).to_bytes();
        assert_eq!(bytes.len(), 48);
        assert_eq!(bytes[36..], [0xe8, 3, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(Answer::parse(&bytes), Ok(Answer::Info(info)));
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        let good = Answer::Simple { id: MXID.into(), state: State::FlashBooted }.to_bytes();
        let mut longer = good.clone();
        longer.extend([0xff; 9]);
        assert_eq!(Answer::parse(&longer), Answer::parse(&good), "what follows is ignored");
        let mut stale = good.clone();
        stale[4 + 20..36].fill(0xaa);
        assert_eq!(Answer::parse(&stale), Answer::parse(&good), "what follows the NUL of the id too");

        let mut full = good.clone();
        full[4..36].fill(b'x');
        assert_eq!(Answer::parse(&full).map(|answer| answer.id().len()), Ok(32), "an id may fill its field");

        for (bytes, error) in [
            (&good[..39], "a datagram of 39 bytes is too short: this kind of answer has 40"),
            (&[], "a datagram of 0 bytes is too short: this kind of answer has 40"),
            (&[2, 0, 0, 0][..], "a datagram of 4 bytes is too short: this kind of answer has 48"),
            (&[9, 0, 0, 0][..], "9 is no kind of answer: expected 1 (simple), 2 (link) or 4 (extended)"),
        ] {
            assert_eq!(Answer::parse(bytes).unwrap_err().to_string(), error);
        }
        for (id, found) in [(&b"\0abc"[..], ""), (b"a b\0", "a b"), (b"a\x1b\0", "a\\x1b"), (b"\xff\0", "\\xff")] {
            let mut bytes = good.clone();
            bytes[4..4 + id.len()].copy_from_slice(id);
            assert_eq!(Answer::parse(&bytes), Err(AnswerError::Id { found: found.into() }));
        }
        assert_eq!([Query::parse(&[1, 0, 0]), Query::parse(&[0, 0, 0, 0]), Query::parse(&[4, 0, 0, 0])], [None; 3]);
        assert_eq!(Query::parse(&[1, 0, 0, 0, 77]), Some(Query::Discover));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), kind in 0u8..6) {
            if let Some(first) = bytes.first_chunk_mut::<4>() {
                *first = [kind, 0, 0, 0];
            }
            if let Ok(answer) = Answer::parse(&bytes) {
                prop_assert_eq!(Answer::parse(&answer.to_bytes()), Ok(answer));
            }
        }

        #[test]
        fn what_is_written_is_read(id in "[!-~]{1,32}", state: u32, a: u32, b: u32, c: u16, d: u16) {
            let state = State::from(state);
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
