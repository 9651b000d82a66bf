//! Reads a recording in file order, up to the first damage.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use mcap::records::{Metadata, Record, op};

use super::byte_window::read_all;
use super::join::{Join, RecordingEntry};
use super::mcap_record::{self, METADATA_BYTES_MAX, RECORD_HEAD_BYTES};
use super::walk::{FoundChunk, RecordWalk, WalkItem};
use super::writer::{CAMERA_METADATA, CLOCK_METADATA, FILE_METADATA};
use super::{CameraInfo, RecordingError};

/// Position of a chunk in the file.
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

/// A reader of one recording.
pub struct Reader {
    path: PathBuf,
    file: File,
    file_len: u64,
    join: Join,
    about: Metadata,
    clocks: Vec<Metadata>,
    chunks: Vec<ChunkRange>,
    /// Position of the first byte that is not part of a complete record, if there is one.
    torn_at: Option<u64>,
    walk: RecordWalk<File>,
    /// Position of the last message, for error messages.
    at: u64,
    ended: bool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("path", &self.path).field("at", &self.at).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens a recording, complete or torn, and finds its chunks.
    ///
    /// # Errors
    /// The file cannot be read, is not an MCAP file, or contains no camera that oaktap recorded.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let open = |source| RecordingError::Open { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(open)?;
        let file_len = file.metadata().map_err(open)?.len();
        let mut found = [0; mcap::MAGIC.len()];
        let n = read_all(&mut file, &mut found).map_err(open)?;
        if found[..n] != *mcap::MAGIC {
            return Err(RecordingError::NotMcap { path: path.to_owned(), found: found[..n].to_vec() });
        }
        let walk = file.try_clone().and_then(|file| RecordWalk::new(file, false)).map_err(open)?;
        let mut reader = Self {
            path: path.to_owned(),
            file,
            file_len,
            join: Join::default(),
            about: Metadata { name: String::new(), metadata: Default::default() },
            clocks: Vec::new(),
            chunks: Vec::new(),
            torn_at: None,
            walk,
            at: 0,
            ended: false,
        };
        reader.survey()?;
        if reader.cameras().len() == 0 {
            let found = match reader.about.name.as_str() {
                "" => format!("{} chunks and no metadata of oaktap", reader.chunks.len()),
                _ => "a file that ends before its first frame".to_owned(),
            };
            return Err(RecordingError::NotOurs { path: path.to_owned(), found });
        }
        reader.rewind()?;
        Ok(reader)
    }

    /// Path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cameras in the file.
    pub fn cameras(&self) -> impl ExactSizeIterator<Item = &CameraInfo> {
        self.join.cameras()
    }

    /// Metadata of the file: program version, host and creation time.
    #[must_use]
    pub fn about(&self) -> &BTreeMap<String, String> {
        &self.about.metadata
    }

    /// The clock of each camera as metadata, with the camera's `name`. Empty for a torn file.
    pub fn clocks(&self) -> impl Iterator<Item = &BTreeMap<String, String>> {
        self.clocks.iter().map(|clock| &clock.metadata)
    }

    /// The chunks, in file order.
    #[must_use]
    pub fn chunks(&self) -> &[ChunkRange] {
        &self.chunks
    }

    /// Arrival of the first and the last message, in nanoseconds since 1970, UTC.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        let from = self.chunks.iter().map(|chunk| chunk.from_unix_ns).min()?;
        let to = self.chunks.iter().map(|chunk| chunk.to_unix_ns).max()?;
        Some((from, to))
    }

    /// Returns whether the recorder finished the file.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.torn_at.is_none()
    }

    /// Position at which a file that was not finished stops being readable.
    #[must_use]
    pub fn torn_at(&self) -> Option<u64> {
        self.torn_at
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// Seeks to the first chunk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn rewind(&mut self) -> Result<(), RecordingError> {
        self.go_to(self.chunks.first().map_or(self.file_len, |chunk| chunk.at));
        Ok(())
    }

    /// Seeks to the first chunk with messages that arrived at this time (nanoseconds since 1970, UTC) or later, or to the
    /// end if there is none. The first entries may be older, since a seek leads to the beginning of a chunk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn seek(&mut self, unix_ns: i64) -> Result<(), RecordingError> {
        let chunk = self.chunks.iter().find(|chunk| chunk.to_unix_ns >= unix_ns && chunk.from_unix_ns > 0);
        self.go_to(chunk.map_or(self.file_len, |chunk| chunk.at));
        Ok(())
    }

    /// Returns the next frame or incident; `None` at the end, or where a torn file ends.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged. Only `oaktap recover` reads past damage.
    pub fn next_entry(&mut self) -> Result<Option<RecordingEntry>, RecordingError> {
        while !self.ended {
            let piece = self.walk.next().map_err(|source| RecordingError::Read { at: self.at, source })?;
            // A torn file ends here without an error.
            let torn = |at| self.torn_at.is_some_and(|torn| at >= torn);
            match piece {
                None => break,
                Some(WalkItem::Chunk(FoundChunk { at, .. }) | WalkItem::Damage { at, .. }) if torn(at) => break,
                Some(WalkItem::Chunk(FoundChunk { at, damage: Some(why), .. })) => {
                    return Err(RecordingError::Damaged { at, why });
                }
                Some(WalkItem::Damage { at, len, .. }) => {
                    let why = format!("expected a record, found {len} bytes that are not a record");
                    return Err(RecordingError::Damaged { at, why });
                }
                Some(WalkItem::Message(message)) => {
                    self.at = message.at;
                    match self.join.message(&message.header, self.walk.data()) {
                        Ok(None) => {}
                        Ok(entry) => return Ok(entry),
                        Err(why) => return Err(RecordingError::Damaged { at: message.at, why }),
                    }
                }
                Some(WalkItem::Record { opcode: op::DATA_END, .. }) => break,
                Some(WalkItem::Record { .. } | WalkItem::Chunk(_)) => {}
            }
        }
        self.ended = true;
        Ok(None)
    }

    fn go_to(&mut self, at: u64) {
        self.walk.go_to(at);
        self.at = at;
        self.ended = false;
        self.join.forget();
    }

    /// Finds chunks and metadata by reading record heads. Does not read the contents of chunks.
    fn survey(&mut self) -> Result<(), RecordingError> {
        let mut at = mcap::MAGIC.len() as u64;
        loop {
            let failed = |source| RecordingError::Read { at, source };
            let mut head = [0; RECORD_HEAD_BYTES as usize];
            self.file.seek(SeekFrom::Start(at)).map_err(failed)?;
            let whole = read_all(&mut self.file, &mut head).map_err(failed)? == head.len();
            let [opcode, len @ ..] = head;
            let len = u64::from_le_bytes(len);
            let end = at.saturating_add(RECORD_HEAD_BYTES).saturating_add(len);
            // Opcode 0: preallocated space that was never written.
            if !whole || opcode == 0 || end > self.file_len {
                self.torn_at = Some(at);
                return Ok(());
            }
            match opcode {
                op::CHUNK => {
                    let mut times = [0; size_of::<u64>() * 2];
                    let n = read_all(&mut self.file, &mut times).map_err(failed)?;
                    let (from, to) = times[..n].split_at(n / 2);
                    let time = |bytes: &[u8]| {
                        let ns = bytes.try_into().map_or(0, u64::from_le_bytes);
                        i64::try_from(ns).unwrap_or(i64::MAX)
                    };
                    let len = end - at;
                    self.chunks.push(ChunkRange { at, len, from_unix_ns: time(from), to_unix_ns: time(to) });
                }
                op::METADATA if len <= METADATA_BYTES_MAX => {
                    let mut data = vec![0; len as usize];
                    let n = read_all(&mut self.file, &mut data).map_err(failed)?;
                    if let Some(Record::Metadata(metadata)) = mcap_record::parse(opcode, &data[..n]) {
                        self.add_metadata(metadata);
                    }
                }
                op::DATA_END => return Ok(()),
                _ => {}
            }
            at = end;
        }
    }

    fn add_metadata(&mut self, metadata: Metadata) {
        match metadata.name.as_str() {
            FILE_METADATA => self.about = metadata,
            name if name.starts_with(CAMERA_METADATA) => {
                if let Some((info, channel)) = camera_info(&metadata) {
                    self.join.add(info, channel);
                }
            }
            name if name.starts_with(CLOCK_METADATA) => self.clocks.push(metadata),
            _ => {}
        }
    }
}

/// Parses the metadata of a camera. Returns it with the first of its channel numbers.
pub(super) fn camera_info(metadata: &Metadata) -> Option<(CameraInfo, u16)> {
    let get = |key: &str| metadata.metadata.get(key).cloned().unwrap_or_default();
    let labels = serde_json::from_str::<BTreeMap<u32, String>>(&get("labels")).ok();
    let labels = labels.map(|names| {
        let mut labels = crate::frame::LabelMap::default();
        names.iter().for_each(|(label, name)| labels.insert(*label, name));
        labels
    });
    let channel = get("channel").parse().ok()?;
    Some((CameraInfo { name: get("name"), address: get("address"), labels }, channel))
}
