//! Finds the cameras, metadata and chunks of a file by the heads of its records, without reading the contents of chunks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use mcap::records::{MessageHeader, Metadata, Record, op};

use super::byte_window::ByteWindow;
use super::channels::{CAMERAS_MAX, Channels, Role, camera_info};
use super::checksum;
use super::mcap_record::{self, METADATA_BYTES_MAX, RECORD_HEAD_BYTES};
use super::parts::{Part, PartFile};
use super::picture_numbers::PictureNumbers;
use super::walk::{FoundChunk, FoundMessage, PRIVATE_OPCODE_MIN, RecordWalk, WalkItem};
use super::writer::{CAMERA_METADATA, CLOCK_METADATA, FILE_METADATA, PART_METADATA};
use super::{RecordingError, writer};

/// Messages outside of chunks are grouped to ranges of about this many bytes.
const RANGE_BYTES: u64 = 4 << 20;
/// Damaged parts that are listed.
const LISTED_MAX: usize = 100;

/// Position of a chunk in the file, or of consecutive messages outside of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRange {
    /// Position of its record.
    pub at: u64,
    /// Length of its record in bytes.
    pub len: u64,
    /// Arrival of its first message in nanoseconds since 1970, UTC.
    pub from_unix_ns: i64,
    /// Arrival of its last message in nanoseconds since 1970, UTC.
    pub to_unix_ns: i64,
}

/// Content of a file.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) file_len: u64,
    pub(super) channels: Channels,
    /// Metadata of the file.
    pub(super) about: BTreeMap<String, String>,
    pub(super) clocks: Vec<Metadata>,
    /// Place of the file in a recording of several files.
    pub(super) part: Option<Part>,
    pub(super) chunks: Vec<ChunkRange>,
    /// Position of the first byte that is not part of a complete record, if the data do not end before it.
    pub(super) torn_at: Option<u64>,
    /// The summary is damaged or incomplete, so that the file has no end.
    pub(super) has_no_end: bool,
    /// Position of another recording after the end of this one.
    pub(super) continues_at: Option<u64>,
    /// Position and description of damaged metadata and summaries.
    pub(super) damage: Vec<(u64, String)>,
    /// Something intact follows bytes that are not a record.
    has_damage_inside: bool,
    /// Empty for a file of oaktap, whose frames have numbers.
    pub(super) pictures: PictureNumbers,
    /// Number of messages of each channel according to the summary.
    messages: BTreeMap<u16, u64>,
    /// The program that wrote the file, if its header can be read.
    library: Option<String>,
}

impl Survey {
    /// Returns whether the messages of a frame are next to each other, as oaktap writes them.
    pub(super) fn in_order(&self) -> bool {
        self.library.as_ref().map_or(!self.about.is_empty(), |library| library.starts_with(writer::LIBRARY))
    }

    /// Takes a record that is not inside a chunk.
    pub(super) fn record(&mut self, at: u64, opcode: u8, data: &[u8]) {
        match opcode {
            op::SCHEMA | op::CHANNEL => self.channels.record(opcode, data),
            op::HEADER => {
                if let Some(Record::Header(header)) = mcap_record::parse(opcode, data) {
                    self.library.get_or_insert(header.library);
                }
            }
            op::STATISTICS => {
                if let Some(Record::Statistics(statistics)) = mcap_record::parse(opcode, data) {
                    self.messages = statistics.channel_message_counts;
                }
            }
            op::METADATA => match mcap_record::parse(opcode, data) {
                Some(Record::Metadata(metadata)) => self.metadata(at, metadata),
                _ => self.damaged(at, "metadata that cannot be parsed".to_owned()),
            },
            _ => {}
        }
    }

    fn metadata(&mut self, at: u64, metadata: Metadata) {
        if !metadata.name.starts_with(FILE_METADATA) {
            return;
        }
        let camera = metadata.name.strip_prefix(CAMERA_METADATA);
        if let Some((expected, found)) = checksum::metadata_damage(&metadata.name, &metadata.metadata) {
            self.damaged(at, format!("metadata {:?} has the checksum {found}, expected {expected}", metadata.name));
            // The channels still tell that the camera is there. Nothing else in this record can be trusted.
            if let Some(name) = camera {
                self.channels.add_damaged(name);
            }
            return;
        }
        if camera.is_some() {
            let (info, first) = camera_info(&metadata);
            self.channels.add(info, first);
        } else if metadata.name == FILE_METADATA {
            if self.about.is_empty() {
                self.about = metadata.metadata;
            }
        } else if metadata.name == PART_METADATA {
            self.part = self.part.take().or_else(|| Part::from_metadata(&metadata.metadata));
        } else if metadata.name.starts_with(CLOCK_METADATA)
            && self.clocks.len() < CAMERAS_MAX
            && !self.clocks.iter().any(|clock| clock.name == metadata.name)
        {
            self.clocks.push(metadata);
        }
    }

    /// Takes damage after the end of the data.
    fn has_no_end(&mut self, at: u64) {
        self.has_no_end = true;
        self.damaged(at, "its summary is damaged or incomplete; all frames are before this place".to_owned());
    }

    fn damaged(&mut self, at: u64, why: String) {
        if self.damage.len() < LISTED_MAX && !self.damage.contains(&(at, why.clone())) {
            self.damage.push((at, why));
        }
    }

    /// Number of frames of a camera according to the summary, which counts one message of boxes for each.
    pub(super) fn frames(&self, camera: usize) -> Option<u64> {
        let is_boxes = |channel: &u16| self.channels.role(*channel) == Some((camera, Role::Boxes));
        self.messages.iter().find(|(channel, _)| is_boxes(channel)).map(|(_, messages)| *messages)
    }

    /// Returns the place of the file in a recording of several files, with the frames that its summary counts.
    pub(super) fn part_file(&self, path: &Path) -> Option<PartFile> {
        let frames = self.channels.cameras().enumerate().map(|(camera, info)| (info.name.clone(), self.frames(camera)));
        Some(PartFile { path: path.to_owned(), part: self.part.clone()?, frames: frames.collect() })
    }

    /// Fails if there is no camera, or if there are too many.
    pub(super) fn check_cameras(&self, path: &Path) -> Result<(), RecordingError> {
        let path = || path.to_owned();
        if let Some(found) = self.channels.too_many() {
            return Err(RecordingError::TooManyCameras { path: path(), found, limit: CAMERAS_MAX });
        }
        if self.channels.cameras().len() > 0 {
            return Ok(());
        }
        let found = if self.about.is_empty() {
            self.channels.describe()
        } else {
            "a file of oaktap that ends before its first frame".to_owned()
        };
        Err(RecordingError::NoCamera { path: path(), found })
    }

    fn chunk(&mut self, chunk: ChunkRange) {
        if !self.in_order() {
            self.pictures.chunk(chunk.at);
        }
        self.chunks.push(chunk);
    }

    fn message(&mut self, at: u64, end: u64, channel: u16, log_time: u64) {
        let unix_ns = i64::try_from(log_time).unwrap_or(i64::MAX);
        match self.chunks.last_mut().filter(|last| last.at + last.len == at && last.len < RANGE_BYTES) {
            Some(last) => {
                last.len = end - last.at;
                last.from_unix_ns = last.from_unix_ns.min(unix_ns);
                last.to_unix_ns = last.to_unix_ns.max(unix_ns);
            }
            None => {
                self.chunks.push(ChunkRange { at, len: end - at, from_unix_ns: unix_ns, to_unix_ns: unix_ns });
            }
        }
        if let Some(range) = self.chunks.last().filter(|_| !self.in_order()) {
            self.pictures.add(range.at, channel, 1);
        }
    }
}

/// Opens a recording to read. Opening a pipe would wait for its writer.
pub(super) fn open_file(path: &Path) -> Result<File, RecordingError> {
    let path_of = || path.to_owned();
    if path.is_dir() {
        return Err(RecordingError::Folder { path: path_of() });
    }
    let opened = match path.metadata().is_ok_and(|found| !found.is_file()) {
        true => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a device or a pipe, expected a file")),
        false => File::open(path),
    };
    opened.map_err(|source| RecordingError::Open { path: path_of(), source })
}

/// Surveys a file that begins with the magic bytes of MCAP.
pub(super) fn survey(file: File) -> Result<Survey, RecordingError> {
    let failed = |source| RecordingError::Read { at: 0, source };
    let again = file.try_clone().map_err(failed)?;
    let mut file = ByteWindow::new(file).map_err(failed)?;
    let mut found = Survey { file_len: file.len(), ..Survey::default() };
    let mut data_end = heads(&mut file, &mut found)?;
    if found.torn_at.is_some() {
        // The file is not finished, or one of the lengths is damaged.
        found = Survey { file_len: file.len(), ..Survey::default() };
        data_end = intact_records(again.try_clone().map_err(failed)?, &mut found).map_err(failed)?;
    }
    if let Some(at) = data_end {
        summary(&mut file, &mut found, at).map_err(|source| RecordingError::Read { at, source })?;
    }
    let lacks_metadata = data_end.is_none()
        && (found.has_damage_inside || !found.damage.is_empty() || found.channels.cameras().len() == 0);
    let mut intact = BTreeSet::new();
    if lacks_metadata || (!found.channels.any_declared() && !found.in_order()) {
        // Without a summary or metadata the channels are known only from inside the chunks.
        let mut walk = RecordWalk::new(again, false).map_err(failed)?;
        while let Some(item) = walk.next().map_err(failed)? {
            match item {
                WalkItem::Record { opcode, data, .. } => found.channels.record(opcode, &data),
                WalkItem::Message(FoundMessage { trusted, header, .. })
                    if trusted || checksum::is_intact(&header, walk.data()) == Some(true) =>
                {
                    intact.insert(header.channel_id);
                }
                _ => {}
            }
        }
    }
    found.channels.resolve(found.in_order());
    if found.in_order() {
        for channel in intact {
            if found.channels.role(channel).is_none() && !found.channels.is_declared(channel) {
                found.channels.add_unnamed(channel);
            }
        }
    }
    Ok(found)
}

/// Reads the heads of the records up to the end of the data. Returns the position after it; `None` for a torn file.
fn heads(file: &mut ByteWindow<File>, found: &mut Survey) -> Result<Option<u64>, RecordingError> {
    let mut at = mcap::MAGIC.len() as u64;
    loop {
        let failed = |source| RecordingError::Read { at, source };
        // Preallocated space that was never written has the opcode 0.
        let Some((opcode, len, end)) = head(file, at).map_err(failed)? else {
            found.torn_at = Some(at);
            return Ok(None);
        };
        let data = at + RECORD_HEAD_BYTES;
        let time = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        match opcode {
            op::CHUNK => {
                let times = file.bytes(data, 16).map_err(failed)?;
                let (from, to) = (time(times), time(times.get(8..).unwrap_or_default()));
                // A chunk without messages has no times.
                if (from, to) != (0, 0) || len > CHUNK_HEAD_MIN {
                    let [from_unix_ns, to_unix_ns] = [from, to].map(|ns| i64::try_from(ns).unwrap_or(i64::MAX));
                    found.chunk(ChunkRange { at, len: end - at, from_unix_ns, to_unix_ns });
                }
            }
            op::MESSAGE_INDEX if !found.in_order() => {
                found.pictures.message_index(file.bytes(data, 6).map_err(failed)?);
            }
            op::MESSAGE => {
                let front = file.bytes(data, 14).map_err(failed)?;
                let log_time = time(front.get(6..).unwrap_or_default());
                let channel = front.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
                found.message(at, end, channel, log_time);
            }
            op::HEADER | op::SCHEMA | op::CHANNEL | op::METADATA if len <= METADATA_BYTES_MAX => {
                let data = file.bytes(data, len as usize).map_err(failed)?.to_vec();
                found.record(at, opcode, &data);
            }
            op::METADATA => {
                // The first field is the name, after its length.
                let is_ours = file.bytes(data + 4, FILE_METADATA.len()).map_err(failed)? == FILE_METADATA.as_bytes();
                if is_ours {
                    found.damaged(at, format!("metadata of {len} bytes, at most {METADATA_BYTES_MAX} are read"));
                }
            }
            op::DATA_END => return Ok(Some(end)),
            _ => {}
        }
        at = end;
    }
}

/// Finds what [`heads`] finds, past any damage. Returns the position after the end of the data; `None` for a torn file.
fn intact_records(file: File, found: &mut Survey) -> io::Result<Option<u64>> {
    let mut walk = RecordWalk::new(file, true)?;
    // The damage after which nothing intact was found so far.
    let mut damaged_at = None;
    // The end of the last chunk.
    let mut chunk_end = 0;
    while let Some(item) = walk.next()? {
        match item {
            WalkItem::Chunk(FoundChunk { at, len, header, damage, .. }) => {
                chunk_end = at + len;
                if damage.is_some() && chunk_end == walk.len() {
                    damaged_at.get_or_insert(at);
                    // Its first messages may be intact.
                    if header.message_start_time == 0 || header.message_start_time > header.message_end_time {
                        continue;
                    }
                } else {
                    found.has_damage_inside |= damaged_at.take().is_some();
                }
                let time = |ns| i64::try_from(ns).unwrap_or(i64::MAX);
                let (from_unix_ns, to_unix_ns) = (time(header.message_start_time), time(header.message_end_time));
                found.chunk(ChunkRange { at, len, from_unix_ns, to_unix_ns });
            }
            WalkItem::Message(message) if !message.in_chunk => {
                found.has_damage_inside |= damaged_at.take().is_some();
                let MessageHeader { channel_id, log_time, .. } = message.header;
                found.message(message.at, message.at + message.len, channel_id, log_time);
            }
            WalkItem::Message(_) => {}
            WalkItem::Record { at, opcode: op::DATA_END, data } if at >= chunk_end => {
                return Ok(Some(at + RECORD_HEAD_BYTES + data.len() as u64));
            }
            // The record at the end of the data is damaged. Reading reports that.
            WalkItem::Record { at, opcode: op::FOOTER, .. } if at >= chunk_end => return Ok(None),
            WalkItem::Record { at, opcode, data } => {
                if at >= chunk_end {
                    found.has_damage_inside |= damaged_at.take().is_some();
                }
                if opcode == op::MESSAGE_INDEX && !found.in_order() {
                    found.pictures.message_index(&data);
                }
                found.record(at, opcode, &data);
            }
            WalkItem::Damage { at, .. } => {
                damaged_at.get_or_insert(at);
            }
        }
    }
    found.torn_at = Some(damaged_at.unwrap_or(walk.len()));
    Ok(None)
}

/// Bytes of a chunk without records.
const CHUNK_HEAD_MIN: u64 = 44;

/// Opcode and length of the record at `at`, and the position after it; `None` if the file ends before.
fn head<R: Read + Seek>(file: &mut ByteWindow<R>, at: u64) -> io::Result<Option<(u8, u64, u64)>> {
    let file_len = file.len();
    let front = file.bytes(at, RECORD_HEAD_BYTES as usize)?;
    let Some((opcode, len)) = front.split_first().and_then(|(opcode, len)| Some((*opcode, len.first_chunk()?))) else {
        return Ok(None);
    };
    let len = u64::from_le_bytes(*len);
    let end = at.saturating_add(RECORD_HEAD_BYTES).saturating_add(len);
    let is_record = mcap_record::is_known(opcode)
        || matches!(opcode, op::CHUNK | op::MESSAGE | op::ATTACHMENT | PRIVATE_OPCODE_MIN..);
    Ok((is_record && end <= file_len).then_some((opcode, len, end)))
}

/// Reads the channels in the summary, which starts at `from`, and compares its checksum.
fn summary(file: &mut ByteWindow<File>, found: &mut Survey, from: u64) -> io::Result<()> {
    /// Bytes of the footer before its checksum.
    const FOOTER_BEFORE_CRC: u64 = 16;
    let mut at = from;
    while let Some((opcode, len, end)) = head(file, at)? {
        match opcode {
            op::SCHEMA | op::CHANNEL if len <= METADATA_BYTES_MAX => {
                let data = file.bytes(at + RECORD_HEAD_BYTES, len as usize)?.to_vec();
                found.channels.record(opcode, &data);
            }
            op::STATISTICS if len <= METADATA_BYTES_MAX => {
                let data = file.bytes(at + RECORD_HEAD_BYTES, len as usize)?.to_vec();
                found.record(at, opcode, &data);
            }
            op::FOOTER => {
                let crc_at = at + RECORD_HEAD_BYTES + FOOTER_BEFORE_CRC;
                let crc = file.bytes(crc_at, 4)?;
                let expected = crc.first_chunk().map_or(0, |crc| u32::from_le_bytes(*crc));
                let computed = file.crc32(from, crc_at)?;
                if expected != 0 && expected != computed {
                    found
                        .damaged(from, format!("the summary has the checksum {computed:08x}, expected {expected:08x}"));
                    found.messages.clear();
                }
                let magic_len = mcap::MAGIC.len();
                let rest_at = end + magic_len as u64;
                match file.bytes(end, 2 * magic_len)?.strip_prefix(mcap::MAGIC) {
                    None => found.has_no_end(end),
                    Some([]) => {}
                    Some(rest) if rest == mcap::MAGIC => found.continues_at = Some(rest_at),
                    Some(_) => {
                        let left = file.len() - rest_at;
                        found.damaged(rest_at, format!("{left} bytes after its end that are not a recording"));
                    }
                }
                return Ok(());
            }
            _ => {}
        }
        at = end;
    }
    found.has_no_end(at);
    Ok(())
}
