//! Walks through the records of a file and resynchronizes after damage.
//!
//! A record is accepted if its fields agree with each other and another record follows it. Otherwise the walk searches byte
//! by byte for the next record, inside chunks too. It does not interpret messages.

use std::io::{self, Read, Seek};

use mcap::records::{ChunkHeader, MessageHeader, Record, op};

use super::byte_window::{ByteWindow, KEPT_BYTES_MAX, READ_BYTES_MIN};
use super::chunk_head::{CHUNK_HEAD_BYTES, checksum_damage, chunk_agrees, chunk_header, u16_at, u64_at};
use super::decompress::decompress;
use super::mcap_record::{self, MESSAGE_BYTES_MAX, METADATA_BYTES_MAX, RECORD_HEAD_BYTES};
use super::watch::Watch;
use super::writer::{CAMERA_METADATA, CHANNELS};
use crate::units::count;

/// Bytes of a message before its data: channel, sequence and two times.
const MESSAGE_HEAD_BYTES: u64 = 22;
/// Bytes that suffice to check the head of any record.
const HEAD_BYTES_MAX: usize = 64;
/// A message whose time differs by more than a day from the others is not accepted.
const TIME_DISTANCE_MAX_NS: u64 = 86_400_000_000_000;
/// Contents of a compressed chunk that are decompressed, in bytes. Writers end chunks after 1 to 4 MiB, and after the
/// frame that exceeds this.
const DECOMPRESSED_BYTES_MAX: u64 = 96 << 20;
/// Longest record that the search for the next record accepts, except chunks and messages. Bounds the work per byte.
const SEARCHED_BYTES_MAX: u64 = 1 << 20;
/// Records of applications begin with this opcode. Readers ignore those that they do not know.
pub(super) const PRIVATE_OPCODE_MIN: u8 = 0x80;
/// Bytes that the search for the next record reads first.
const SEARCH_BYTES_MIN: usize = 256;
/// Items between two reports of the position. Most items are messages, and each takes about a microsecond or more.
const ITEMS_PER_REPORT: u64 = 64;
/// Names of all metadata of oaktap begin with this.
const METADATA_PREFIX: &[u8] = b"oaktap";

/// The next item in a file.
#[derive(Debug)]
pub(super) enum WalkItem {
    /// A chunk. Its messages are the next items.
    Chunk(FoundChunk),
    /// A message.
    Message(FoundMessage),
    /// Another record.
    Record { at: u64, opcode: u8, data: Vec<u8> },
    /// Bytes that are not a record; `zeros` if all of them are zero.
    Damage { at: u64, len: u64, zeros: bool },
}

#[derive(Debug)]
pub(super) struct FoundChunk {
    pub(super) at: u64,
    /// Length of its record in bytes.
    pub(super) len: u64,
    pub(super) header: ChunkHeader,
    /// Description of the damage, if there is any. The chunk's messages may be damaged too.
    pub(super) damage: Option<String>,
    /// Its contents are too large and were not read.
    pub(super) unread: bool,
}

#[derive(Debug)]
pub(super) struct FoundMessage {
    /// Position of its record, or of the chunk if the chunk is compressed.
    pub(super) at: u64,
    /// Offset of its record in the uncompressed chunk.
    pub(super) offset: u64,
    /// The checksum of its chunk is right.
    pub(super) trusted: bool,
    /// It is in a chunk.
    pub(super) in_chunk: bool,
    /// Length of its record in bytes.
    pub(super) len: u64,
    pub(super) header: MessageHeader,
}

/// Position of a record.
#[derive(Clone, Copy, Debug)]
struct RecordHead {
    opcode: u8,
    /// Position of its data.
    data: u64,
    end: u64,
}

/// The uncompressed chunk that is being read in place.
#[derive(Clone, Copy, Debug)]
struct OpenChunk {
    from: u64,
    end: u64,
    trusted: bool,
}

/// A walk through the contents of a compressed chunk.
type InnerWalk = RecordWalk<io::Empty>;

/// Plausibility of messages that no checksum covers.
#[derive(Clone, Debug, Default)]
struct ExpectedMessages {
    /// The known channels, one bit each; empty if none is known.
    channels: Vec<u64>,
    /// Time of a message that a checksum covers.
    around: Option<u64>,
}

impl ExpectedMessages {
    fn insert(&mut self, channel: u16) {
        self.channels.resize((usize::from(u16::MAX) + 1) / 64, 0);
        self.channels[usize::from(channel) / 64] |= 1 << (channel % 64);
    }

    fn insert_all(&mut self, other: &Self) {
        if self.channels.len() < other.channels.len() {
            self.channels.resize(other.channels.len(), 0);
        }
        self.channels.iter_mut().zip(&other.channels).for_each(|(all, more)| *all |= more);
    }

    /// Returns whether channel and time at the beginning of these data are plausible.
    fn fits(&self, message: &[u8]) -> bool {
        let (Some(channel), Some(time)) = (u16_at(message, 0), u64_at(message, 6)) else { return false };
        let word = self.channels.get(usize::from(channel) / 64);
        word.is_none_or(|word| word >> (channel % 64) & 1 == 1)
            && self.around.is_none_or(|around| around.abs_diff(time) <= TIME_DISTANCE_MAX_NS)
    }
}

/// Reads a file from the beginning to the end, past any damage.
#[derive(Debug)]
pub(super) struct RecordWalk<R> {
    file: ByteWindow<R>,
    at: u64,
    /// Position and length of the data of the last message.
    data: (u64, usize),
    /// Skip the contents of chunks that look intact.
    skip_chunks: bool,
    inside: Option<OpenChunk>,
    /// The compressed chunk that is being read: its position and its contents.
    decompressed: Option<(u64, Box<InnerWalk>)>,
    expected: ExpectedMessages,
    watch: Watch,
    /// Number of items that were returned.
    items: u64,
    /// Position of another recording after the end of this one. The walk does not read it.
    continues_at: Option<u64>,
}

impl<R: Read + Seek> RecordWalk<R> {
    /// Starts at the beginning. With `skip_chunks`, the walk does not enter chunks that look intact.
    pub(super) fn new(from: R, skip_chunks: bool) -> io::Result<Self> {
        let (file, expected) = (ByteWindow::new(from)?, ExpectedMessages::default());
        Ok(Self {
            file,
            at: 0,
            data: (0, 0),
            skip_chunks,
            inside: None,
            decompressed: None,
            expected,
            watch: Watch::default(),
            items: 0,
            continues_at: None,
        })
    }

    /// Reports the position from now on.
    pub(super) fn watch(&mut self, watch: Watch) {
        self.watch = watch;
    }

    /// Continues with the record at this position.
    pub(super) fn go_to(&mut self, at: u64) {
        self.at = at;
        self.inside = None;
        self.decompressed = None;
    }

    /// Length of the file in bytes.
    pub(super) const fn len(&self) -> u64 {
        self.file.len()
    }

    /// Position of another recording after the end of this one, once the walk has ended there.
    pub(super) const fn continues_at(&self) -> Option<u64> {
        self.continues_at
    }

    /// The data of the last message that [`Self::next`] returned.
    pub(super) fn data(&self) -> &[u8] {
        match &self.decompressed {
            Some((_, inner)) => inner.data(),
            None => self.file.held(self.data.0, self.data.1),
        }
    }

    /// Accepts messages of this channel, also where no checksum covers them.
    pub(super) fn expect_channel(&mut self, id: u16) {
        self.expected.insert(id);
    }

    /// Returns the next item; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<WalkItem>> {
        self.items += 1;
        if self.items % ITEMS_PER_REPORT == 1 {
            self.watch.position(self.at, self.len())?;
        }
        if let Some((at, inner)) = &mut self.decompressed {
            let at = *at;
            match inner.next()? {
                Some(WalkItem::Message(message)) => return Ok(Some(WalkItem::Message(FoundMessage { at, ..message }))),
                Some(WalkItem::Record { opcode, data, .. }) => return Ok(Some(WalkItem::Record { at, opcode, data })),
                // Zeros that were compressed are not space that was never written.
                Some(WalkItem::Damage { len, .. }) => return Ok(Some(WalkItem::Damage { at, len, zeros: false })),
                Some(WalkItem::Chunk(_)) | None => {
                    self.expected.insert_all(&inner.expected);
                    self.decompressed = None;
                }
            }
        }
        let len = self.file.len();
        if self.at == 0 && self.decompressed.is_none() && len > 0 && !self.is_part() {
            let n = (mcap::MAGIC.len() as u64).min(len);
            let found = self.file.bytes(0, n as usize)?;
            self.at = n;
            if found != mcap::MAGIC {
                let zeros = found.iter().all(|byte| *byte == 0);
                let next = self.search(0, n)?;
                self.at = next.max(1);
                return Ok(Some(WalkItem::Damage { at: 0, len: self.at, zeros }));
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
            let end = at + mcap::MAGIC.len() as u64;
            self.continues_at = (end < len).then_some(end);
            self.at = len;
            return Ok(None);
        }
        let trusted = self.inside.filter(|inside| inside.trusted);
        let Some(head) = self.record_head(at)?.filter(|head| head.end <= trusted.map_or(u64::MAX, |inside| inside.end))
        else {
            return self.damage(at).map(Some);
        };
        if head.opcode == op::CHUNK {
            return self.chunk(at, head);
        }
        if head.end > len {
            return self.damage(at).map(Some);
        }
        if trusted.is_none() && !self.follows(head.end)? {
            if head.opcode >= PRIVATE_OPCODE_MIN {
                return self.damage(at).map(Some);
            }
            // Either this length is damaged or the next record is. A record found inside this one shows the former.
            let next = self.search(head.data, head.end)?;
            if next < head.end {
                self.at = next;
                return Ok(Some(WalkItem::Damage { at, len: next - at, zeros: false }));
            }
        }
        self.at = head.end;
        self.record(at, head, trusted.is_some()).map(Some)
    }

    /// Returns whether this walk reads the contents of a chunk, which have no magic bytes.
    fn is_part(&self) -> bool {
        self.inside.is_some()
    }

    /// Returns whether the recording ends here: the file does, or another recording begins.
    fn is_end_magic(&mut self, at: u64) -> io::Result<bool> {
        let rest = self.file.bytes(at, 2 * mcap::MAGIC.len())?.strip_prefix(mcap::MAGIC);
        Ok(rest.is_some_and(|rest| rest.is_empty() || rest == mcap::MAGIC))
    }

    fn record(&mut self, at: u64, head: RecordHead, trusted: bool) -> io::Result<WalkItem> {
        let len = usize::try_from(head.end - head.data).unwrap_or(usize::MAX);
        if head.opcode != op::MESSAGE && len as u64 > METADATA_BYTES_MAX {
            // An attachment, which oaktap does not write.
            return Ok(WalkItem::Record { at, opcode: head.opcode, data: Vec::new() });
        }
        let data = self.file.bytes(head.data, len)?;
        if head.opcode == op::MESSAGE {
            let Ok(Record::Message { header, data }) = mcap::parse_record(op::MESSAGE, data) else {
                return Ok(WalkItem::Damage { at, len: head.end - at, zeros: false });
            };
            self.data = (head.data + MESSAGE_HEAD_BYTES, data.len());
            if trusted {
                self.expected.around = Some(header.log_time);
            }
            let offset = at - self.inside.map_or(0, |inside| inside.from).min(at);
            let (in_chunk, len) = (self.inside.is_some(), head.end - at);
            return Ok(WalkItem::Message(FoundMessage { at, offset, trusted, in_chunk, len, header }));
        }
        let data = data.to_vec();
        match mcap_record::parse(head.opcode, &data) {
            Some(Record::Channel(channel)) => {
                self.expected.insert(channel.id);
            }
            Some(Record::Metadata(metadata)) if metadata.name.starts_with(CAMERA_METADATA) => {
                if let Some(Ok(first)) = metadata.metadata.get("channel").map(|channel| channel.parse::<u16>()) {
                    (first..first.saturating_add(CHANNELS)).for_each(|id| self.expected.insert(id));
                }
            }
            None if mcap_record::is_known(head.opcode) => {
                return Ok(WalkItem::Damage { at, len: head.end - at, zeros: false });
            }
            _ => {}
        }
        Ok(WalkItem::Record { at, opcode: head.opcode, data })
    }

    fn chunk(&mut self, at: u64, head: RecordHead) -> io::Result<Option<WalkItem>> {
        let front = self.file.bytes(head.data, HEAD_BYTES_MAX)?;
        let Some(header) = chunk_header(front) else { return self.damage(at).map(Some) };
        let from = head.data + CHUNK_HEAD_BYTES + header.compression.len() as u64;
        let torn =
            (head.end > self.len()).then(|| count(head.end - self.len(), "byte", "bytes") + " missing at its end");
        let end = head.end.min(self.len());
        let len = end - at;
        if self.skip_chunks && torn.is_none() && self.follows(end)? {
            self.at = end;
            return Ok(Some(WalkItem::Chunk(FoundChunk { at, len, header, damage: None, unread: false })));
        }
        let mut damage;
        if !header.compression.is_empty() && header.uncompressed_size > DECOMPRESSED_BYTES_MAX {
            let (claimed, limit) = (header.uncompressed_size, DECOMPRESSED_BYTES_MAX >> 20);
            let why = format!("its contents should have {claimed} bytes; expected at most {limit} MiB");
            self.at = end;
            return Ok(Some(WalkItem::Chunk(FoundChunk { at, len, header, damage: Some(why), unread: true })));
        }
        if header.compression.is_empty() {
            damage = torn;
            if damage.is_none() {
                damage = checksum_damage(&header, self.checksum(from, end)?);
            }
            self.at = from;
            self.inside = Some(OpenChunk { from, end, trusted: damage.is_none() });
        } else {
            let packed = io::BufReader::new(self.file.file_at(from)?.take(end - from));
            let (contents, why) = decompress(&header.compression, packed, header.uncompressed_size);
            damage = torn.or(why).or_else(|| checksum_damage(&header, crc32fast::hash(&contents)));
            let inner = RecordWalk {
                inside: Some(OpenChunk { from: 0, end: contents.len() as u64, trusted: damage.is_none() }),
                file: ByteWindow::of(contents),
                at: 0,
                data: (0, 0),
                skip_chunks: false,
                decompressed: None,
                expected: self.expected.clone(),
                watch: Watch::default(),
                items: 0,
                continues_at: None,
            };
            self.decompressed = Some((at, Box::new(inner)));
            self.at = end;
        }
        if damage.is_none() {
            let around = &mut self.expected.around;
            *around = Some(header.message_end_time).filter(|time| *time > 0).or(*around);
        }
        Ok(Some(WalkItem::Chunk(FoundChunk { at, len, header, damage, unread: false })))
    }

    /// No record here: searches for the next one.
    fn damage(&mut self, at: u64) -> io::Result<WalkItem> {
        self.at = self.search(at + 1, self.len())?;
        let zeros = self.is_zeros(at, self.at)?;
        Ok(WalkItem::Damage { at, len: self.at - at, zeros })
    }

    /// Returns whether this is a valid position after a record: a record begins, or a chunk or the file ends.
    fn follows(&mut self, at: u64) -> io::Result<bool> {
        let ends = at == self.len() || self.inside.is_some_and(|inside| at == inside.end);
        Ok(ends || self.is_end_magic(at)? || self.record_head(at)?.is_some())
    }

    /// Returns the head of the record at this position, if it is valid. Only a chunk may extend past the end of the file.
    fn record_head(&mut self, at: u64) -> io::Result<Option<RecordHead>> {
        let len_of_file = self.len();
        let front = self.file.bytes(at, HEAD_BYTES_MAX)?;
        let Some((&opcode, rest)) = front.split_first() else { return Ok(None) };
        let Some(len) = u64_at(rest, 0) else { return Ok(None) };
        let data = at + RECORD_HEAD_BYTES;
        let Some(end) = data.checked_add(len) else { return Ok(None) };
        let rest = &rest[size_of::<u64>()..];
        let fits = end <= len_of_file;
        let trusted = self.inside.is_some_and(|inside| inside.trusted);
        let agrees = match opcode {
            op::CHUNK => chunk_agrees(rest, len),
            op::MESSAGE => {
                fits && (MESSAGE_HEAD_BYTES..=MESSAGE_BYTES_MAX).contains(&len) && (trusted || self.expected.fits(rest))
            }
            // Written by another program.
            op::ATTACHMENT | PRIVATE_OPCODE_MIN.. => fits,
            _ if fits && len <= METADATA_BYTES_MAX && mcap_record::is_known(opcode) => {
                mcap_record::fits(opcode, self.file.bytes(data, len as usize)?)
            }
            _ => false,
        };
        Ok(agrees.then_some(RecordHead { opcode, data, end }))
    }

    /// Searches for the next record that cannot be confused with other data and begins before `until`. Returns `until` if
    /// there is none.
    fn search(&mut self, from: u64, until: u64) -> io::Result<u64> {
        // A length is less than 4 GiB, so its upper four bytes are zero.
        const HEAD_BYTES: usize = RECORD_HEAD_BYTES as usize;
        let until = until.min(self.len());
        let (mut at, mut size) = (from, SEARCH_BYTES_MIN);
        while at < until {
            if size == READ_BYTES_MIN {
                self.watch.position(at, self.len())?;
            }
            let block = self.file.bytes(at, size)?.to_vec();
            for (offset, head) in block.windows(HEAD_BYTES).enumerate() {
                let candidate = at + offset as u64;
                if !matches!(
                    head[0],
                    op::CHUNK | op::MESSAGE | op::MESSAGE_INDEX | op::METADATA | op::DATA_END | op::FOOTER
                ) || head[5..] != [0; 4]
                {
                    continue;
                }
                if candidate >= until {
                    return Ok(until);
                }
                let len = u64_at(head, 1).unwrap_or(u64::MAX);
                let plausible = match head[0] {
                    op::METADATA => {
                        len <= SEARCHED_BYTES_MAX
                            && self.file.bytes(candidate + RECORD_HEAD_BYTES + 4, METADATA_PREFIX.len())?
                                == METADATA_PREFIX
                    }
                    op::MESSAGE_INDEX => len <= SEARCHED_BYTES_MAX,
                    op::DATA_END => len == 4 && self.record_head(candidate + RECORD_HEAD_BYTES + 4)?.is_some(),
                    op::FOOTER => candidate + RECORD_HEAD_BYTES + 20 + mcap::MAGIC.len() as u64 == self.len(),
                    _ => true,
                };
                if plausible && self.record_head(candidate)?.is_some() {
                    return Ok(candidate);
                }
            }
            // A record head may begin in the last bytes of a block.
            at += (block.len() as u64).saturating_sub(RECORD_HEAD_BYTES - 1).max(1);
            if block.len() < size {
                break;
            }
            size = (2 * size).min(READ_BYTES_MIN);
        }
        Ok(until)
    }

    /// CRC-32 of the contents of a chunk. Reads chunks of up to `KEPT_BYTES_MAX` at once, so that their messages are read
    /// from memory afterwards. The recorder's chunks have 4 MiB plus a part of a frame.
    fn checksum(&mut self, from: u64, end: u64) -> io::Result<u32> {
        let block = if end - from <= KEPT_BYTES_MAX as u64 { end - from } else { READ_BYTES_MIN as u64 };
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
            let n = (end - at).min(READ_BYTES_MIN as u64);
            if self.file.bytes(at, n as usize)?.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += n;
        }
        Ok(true)
    }
}
