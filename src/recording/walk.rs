//! From record to record through a file, and around whatever is damaged.
//!
//! A record is believed when its fields agree with each other and a record follows it. Where none is, the file is searched
//! byte by byte for the next one, inside of chunks too. Knows no more of recordings than where their messages are.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek};

use mcap::records::{ChunkHeader, MessageHeader, Record, op};

use super::reader::{LONGEST_METADATA, LONGEST_RECORD, RECORD_HEAD};
use super::record;
use super::unpack::unpack;
use super::window::{BLOCK, KEPT, Window};
use super::writer::{CAMERA_METADATA, CHANNELS};

/// What a message says before its data: channel, sequence and two times.
const MESSAGE_HEAD: u64 = 22;
/// What a chunk says before its records, without the name of its compression.
const CHUNK_HEAD: u64 = 40;
/// Enough to judge the head of any record.
const LOOK: usize = 64;
/// A message that is this far from the others is none.
const DAY_NS: u64 = 86_400_000_000_000;
const METADATA_NAME: &[u8] = b"oaktap";

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Piece {
    /// A chunk; its messages follow.
    Chunk(ChunkFound),
    /// A message.
    Message(MessageFound),
    /// Any other record.
    Record { at: u64, opcode: u8, data: Vec<u8> },
    /// Bytes that are no record, and whether all of them are zeros.
    Damage { at: u64, len: u64, zeros: bool },
}

/// A chunk.
#[derive(Debug)]
pub(super) struct ChunkFound {
    pub(super) at: u64,
    /// Of its record.
    pub(super) len: u64,
    pub(super) header: ChunkHeader,
    /// What is wrong with its contents; its messages are not to be trusted then.
    pub(super) damage: Option<String>,
}

/// A message.
#[derive(Debug)]
pub(super) struct MessageFound {
    /// Where it is; in a compressed chunk, where the chunk is.
    pub(super) at: u64,
    /// Where it is among the bytes of its chunk.
    pub(super) offset: u64,
    /// A checksum says that it is as it was written.
    pub(super) trusted: bool,
    /// Bytes of its record.
    pub(super) len: u64,
    pub(super) header: MessageHeader,
}

/// Where a record begins and ends.
#[derive(Clone, Copy, Debug)]
struct Head {
    opcode: u8,
    /// Where its data begins.
    data: u64,
    end: u64,
}

/// The records of the chunk that is being read, in place.
#[derive(Clone, Copy, Debug)]
struct Inside {
    from: u64,
    end: u64,
    trusted: bool,
}

/// The contents of a compressed chunk.
type Unpacked = Walk<io::Empty>;

/// Which messages there can be.
#[derive(Clone, Debug, Default)]
struct Expected {
    /// Channels that are known to exist.
    channels: BTreeSet<u16>,
    /// A time at which there was a message.
    around: Option<u64>,
}

impl Expected {
    /// Whether a message that begins like this may be one of this file.
    fn fits(&self, message: &[u8]) -> bool {
        let (Some(channel), Some(time)) = (u16_at(message, 0), u64_at(message, 6)) else { return false };
        (self.channels.is_empty() || self.channels.contains(&channel))
            && self.around.is_none_or(|around| around.abs_diff(time) <= DAY_NS)
    }
}

/// Reads a file from its beginning to its end, whatever is between.
#[derive(Debug)]
pub(super) struct Walk<R> {
    file: Window<R>,
    at: u64,
    /// Where the data of the last message are, and how many.
    data: (u64, usize),
    /// Chunks are not looked into when they seem to be in order.
    passing: bool,
    inside: Option<Inside>,
    /// A compressed chunk that is being read: where it is, and its contents.
    unpacked: Option<(u64, Box<Unpacked>)>,
    expected: Expected,
}

impl<R: Read + Seek> Walk<R> {
    /// Begins. `passing` over the chunks that seem to be in order, or reading what is in them.
    pub(super) fn new(from: R, passing: bool) -> io::Result<Self> {
        let (file, expected) = (Window::new(from)?, Expected::default());
        Ok(Self { file, at: 0, data: (0, 0), passing, inside: None, unpacked: None, expected })
    }

    /// Continues with the record that begins here.
    pub(super) fn go_to(&mut self, at: u64) {
        self.at = at;
        self.inside = None;
        self.unpacked = None;
    }

    /// Bytes of the file.
    pub(super) const fn len(&self) -> u64 {
        self.file.len()
    }

    /// The data of the message that came last.
    pub(super) fn data(&self) -> &[u8] {
        match &self.unpacked {
            Some((_, inner)) => inner.data(),
            None => self.file.held(self.data.0, self.data.1),
        }
    }

    /// Messages of this channel are to be expected.
    pub(super) fn expect_channel(&mut self, id: u16) {
        self.expected.channels.insert(id);
    }

    /// What comes next.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        if let Some((at, inner)) = &mut self.unpacked {
            let at = *at;
            match inner.next()? {
                Some(Piece::Message(message)) => return Ok(Some(Piece::Message(MessageFound { at, ..message }))),
                Some(Piece::Record { opcode, data, .. }) => return Ok(Some(Piece::Record { at, opcode, data })),
                Some(Piece::Damage { len, zeros, .. }) => return Ok(Some(Piece::Damage { at, len, zeros })),
                Some(Piece::Chunk(_)) | None => {
                    self.expected.channels.append(&mut inner.expected.channels);
                    self.unpacked = None;
                }
            }
        }
        let len = self.file.len();
        if self.at == 0 && self.unpacked.is_none() && len > 0 && !self.is_part() {
            let n = (mcap::MAGIC.len() as u64).min(len);
            let found = self.file.bytes(0, n as usize)?;
            self.at = n;
            if found != mcap::MAGIC {
                let zeros = found.iter().all(|byte| *byte == 0);
                let next = self.search(0)?.min(n);
                self.at = next.max(1);
                return Ok(Some(Piece::Damage { at: 0, len: self.at, zeros }));
            }
        }
        if self.inside.is_some_and(|inside| self.at >= inside.end) {
            self.inside = None;
        }
        if self.at >= len {
            return Ok(None);
        }
        let at = self.at;
        if self.is_end_magic(at)? {
            self.at = len;
            return Ok(None);
        }
        let trusted = self.inside.filter(|inside| inside.trusted);
        let Some(head) = self.look(at)?.filter(|head| head.end <= trusted.map_or(u64::MAX, |inside| inside.end)) else {
            return self.damage(at).map(Some);
        };
        if head.opcode == op::CHUNK {
            return self.chunk(at, head);
        }
        if head.end > len {
            return self.damage(at).map(Some);
        }
        if trusted.is_none() && !self.follows(head.end)? {
            // Either its length is a lie, or what follows is damaged: a record inside of it tells.
            let next = self.search(head.data)?;
            if next < head.end {
                self.at = next;
                return Ok(Some(Piece::Damage { at, len: next - at, zeros: false }));
            }
        }
        self.at = head.end;
        self.record(at, head, trusted.is_some()).map(Some)
    }

    /// The contents of a chunk begin with no magic.
    fn is_part(&self) -> bool {
        self.inside.is_some()
    }

    fn is_end_magic(&mut self, at: u64) -> io::Result<bool> {
        let magic = mcap::MAGIC;
        Ok(at + magic.len() as u64 == self.len() && self.file.bytes(at, magic.len())? == magic)
    }

    fn record(&mut self, at: u64, head: Head, trusted: bool) -> io::Result<Piece> {
        let len = usize::try_from(head.end - head.data).unwrap_or(usize::MAX);
        if head.opcode != op::MESSAGE && len as u64 > LONGEST_METADATA {
            // An attachment: none of ours.
            return Ok(Piece::Record { at, opcode: head.opcode, data: Vec::new() });
        }
        let data = self.file.bytes(head.data, len)?;
        if head.opcode == op::MESSAGE {
            let Ok(Record::Message { header, data }) = mcap::parse_record(op::MESSAGE, data) else {
                return Ok(Piece::Damage { at, len: head.end - at, zeros: false });
            };
            self.data = (head.data + MESSAGE_HEAD, data.len());
            if trusted {
                self.expected.around = Some(header.log_time);
            }
            let offset = at - self.inside.map_or(0, |inside| inside.from).min(at);
            return Ok(Piece::Message(MessageFound { at, offset, trusted, len: head.end - at, header }));
        }
        let data = data.to_vec();
        match record::parse(head.opcode, &data) {
            Some(Record::Channel(channel)) => {
                self.expected.channels.insert(channel.id);
            }
            Some(Record::Metadata(metadata)) if metadata.name.starts_with(CAMERA_METADATA) => {
                if let Some(Ok(first)) = metadata.metadata.get("channel").map(|channel| channel.parse::<u16>()) {
                    self.expected.channels.extend(first..first.saturating_add(CHANNELS));
                }
            }
            _ => {}
        }
        Ok(Piece::Record { at, opcode: head.opcode, data })
    }

    fn chunk(&mut self, at: u64, head: Head) -> io::Result<Option<Piece>> {
        let front = self.file.bytes(head.data, LOOK)?;
        let Some(header) = chunk_header(front) else { return self.damage(at).map(Some) };
        let from = head.data + CHUNK_HEAD + header.compression.len() as u64;
        let torn = (head.end > self.len()).then(|| format!("{} bytes of it are missing", head.end - self.len()));
        let end = head.end.min(self.len());
        let len = end - at;
        if self.passing && torn.is_none() && self.follows(end)? {
            self.at = end;
            return Ok(Some(Piece::Chunk(ChunkFound { at, len, header, damage: None })));
        }
        let mut damage;
        if header.compression.is_empty() {
            damage = torn;
            if damage.is_none() {
                damage = checksum_damage(&header, self.checksum(from, end)?);
            }
            self.at = from;
            self.inside = Some(Inside { from, end, trusted: damage.is_none() });
        } else {
            let packed = io::BufReader::new(self.file.file_at(from)?.take(end - from));
            let size = header.uncompressed_size.min(LONGEST_RECORD as u64);
            let (contents, why) = unpack(&header.compression, packed, size);
            damage = torn.or(why).or_else(|| checksum_damage(&header, crc32fast::hash(&contents)));
            let inner = Walk {
                inside: Some(Inside { from: 0, end: contents.len() as u64, trusted: damage.is_none() }),
                file: Window::of(contents),
                at: 0,
                data: (0, 0),
                passing: false,
                unpacked: None,
                expected: self.expected.clone(),
            };
            self.unpacked = Some((at, Box::new(inner)));
            self.at = end;
        }
        if damage.is_none() {
            let around = &mut self.expected.around;
            *around = Some(header.message_end_time).filter(|time| *time > 0).or(*around);
        }
        Ok(Some(Piece::Chunk(ChunkFound { at, len, header, damage })))
    }

    /// No record begins here. Where the next one does?
    fn damage(&mut self, at: u64) -> io::Result<Piece> {
        self.at = self.search(at + 1)?;
        let zeros = self.is_zeros(at, self.at)?;
        Ok(Piece::Damage { at, len: self.at - at, zeros })
    }

    /// Whether a record may follow here: one begins, or a chunk or the file ends.
    fn follows(&mut self, at: u64) -> io::Result<bool> {
        let ends = at == self.len() || self.inside.is_some_and(|inside| at == inside.end);
        Ok(ends || self.is_end_magic(at)? || self.look(at)?.is_some())
    }

    /// The head of the record that begins here, if one does. Only that of a chunk may end after the file.
    fn look(&mut self, at: u64) -> io::Result<Option<Head>> {
        let len_of_file = self.len();
        let front = self.file.bytes(at, LOOK)?;
        let Some((&opcode, rest)) = front.split_first() else { return Ok(None) };
        let Some(len) = u64_at(rest, 0) else { return Ok(None) };
        let data = at + RECORD_HEAD;
        let Some(end) = data.checked_add(len).filter(|_| len <= LONGEST_RECORD as u64) else { return Ok(None) };
        let rest = &rest[size_of::<u64>()..];
        let fits = end <= len_of_file;
        let trusted = self.inside.is_some_and(|inside| inside.trusted);
        let agrees = match opcode {
            op::CHUNK => chunk_agrees(rest, len),
            op::MESSAGE => fits && len >= MESSAGE_HEAD && (trusted || self.expected.fits(rest)),
            // Somebody may have added some: never ours.
            op::ATTACHMENT => fits,
            _ if fits && len <= LONGEST_METADATA && record::is_known(opcode) => {
                record::parse(opcode, self.file.bytes(data, len as usize)?).is_some()
            }
            _ => false,
        };
        Ok(agrees.then_some(Head { opcode, data, end }))
    }

    /// Where the next record begins that cannot be anything else; the end of the file if there is none.
    fn search(&mut self, from: u64) -> io::Result<u64> {
        // A length is less than 4 GiB: its upper half is zero.
        const HEAD: usize = RECORD_HEAD as usize;
        let mut at = from;
        while at < self.len() {
            let block = self.file.bytes(at, BLOCK)?.to_vec();
            for (offset, head) in block.windows(HEAD).enumerate() {
                let candidate = at + offset as u64;
                if !matches!(
                    head[0],
                    op::CHUNK | op::MESSAGE | op::MESSAGE_INDEX | op::METADATA | op::DATA_END | op::FOOTER
                ) || head[5..] != [0; 4]
                {
                    continue;
                }
                let sure = match head[0] {
                    op::METADATA => self.file.bytes(candidate + RECORD_HEAD + 4, METADATA_NAME.len())? == METADATA_NAME,
                    op::DATA_END => head[1..5] == [4, 0, 0, 0] && self.look(candidate + RECORD_HEAD + 4)?.is_some(),
                    op::FOOTER => candidate + RECORD_HEAD + 20 + mcap::MAGIC.len() as u64 == self.len(),
                    _ => true,
                };
                if sure && self.look(candidate)?.is_some() {
                    return Ok(candidate);
                }
            }
            // The last bytes of a block may be the first of a record.
            at += (block.len() as u64).saturating_sub(RECORD_HEAD - 1).max(1);
            if block.len() < BLOCK {
                break;
            }
        }
        Ok(self.len())
    }

    /// Of the contents of a chunk, which are in memory then unless they are many. Ours have 4 MiB and the rest of a frame.
    fn checksum(&mut self, from: u64, end: u64) -> io::Result<u32> {
        let block = if end - from <= KEPT as u64 { end - from } else { BLOCK as u64 };
        let mut crc = crc32fast::Hasher::new();
        let mut at = from;
        while at < end {
            let n = block.min(end - at);
            crc.update(self.file.bytes(at, n as usize)?);
            at += n;
        }
        Ok(crc.finalize())
    }

    fn is_zeros(&mut self, from: u64, end: u64) -> io::Result<bool> {
        let mut at = from;
        while at < end {
            let n = (end - at).min(BLOCK as u64);
            if self.file.bytes(at, n as usize)?.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += n;
        }
        Ok(true)
    }
}

/// The lengths in the head of a chunk say the same thing three times.
fn chunk_agrees(data: &[u8], len: u64) -> bool {
    chunk_header(data).is_some_and(|header| {
        let size_agrees = match header.compression.as_str() {
            "" => header.uncompressed_size == header.compressed_size,
            "lz4" | "zstd" => header.uncompressed_size <= LONGEST_RECORD as u64,
            _ => false,
        };
        let head = CHUNK_HEAD + header.compression.len() as u64;
        let fits = header.compressed_size.checked_add(head) == Some(len);
        header.message_start_time <= header.message_end_time && size_agrees && fits
    })
}

fn chunk_header(data: &[u8]) -> Option<ChunkHeader> {
    let name_len = usize::try_from(u32_at(data, 28)?).ok()?;
    let name = data.get(32..)?.get(..name_len)?;
    Some(ChunkHeader {
        message_start_time: u64_at(data, 0)?,
        message_end_time: u64_at(data, 8)?,
        uncompressed_size: u64_at(data, 16)?,
        uncompressed_crc: u32_at(data, 24)?,
        compression: str::from_utf8(name).ok()?.to_owned(),
        compressed_size: u64_at(data, 32 + name.len())?,
    })
}

fn checksum_damage(header: &ChunkHeader, found: u32) -> Option<String> {
    let expected = header.uncompressed_crc;
    (found != expected).then(|| format!("its checksum is {found:08x}, and {expected:08x} was promised"))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}
