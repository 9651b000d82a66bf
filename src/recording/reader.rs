//! A recording -> what was written into it, in the order of the file. Reads a torn file up to its first damage.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use mcap::records::{Metadata, Record, op};

use super::join::Join;
use super::record;
use super::schema::{Incident, Wire};
use super::walk::{ChunkFound, Piece, Walk};
use super::window::read_all;
use super::writer::{CAMERA_METADATA, CLOCK_METADATA, FILE_METADATA};
use super::{CameraInfo, RecordingError};

/// Opcode and length, which stand before every record.
pub(super) const RECORD_HEAD: u64 = 9;

/// No record of ours is longer: the largest frame as a picture of three bytes a pixel, and once more as payload.
pub(super) const LONGEST_RECORD: usize = 1 << 30;

/// Nothing but chunks is longer than this among the records that are looked at when a file is opened.
pub(super) const LONGEST_METADATA: u64 = 16 << 20;

/// What is next in a recording.
#[allow(clippy::large_enum_variant)] // Nearly all of them are frames.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A frame.
    Frame(Recorded),
    /// Something that happened.
    Incident {
        /// To which camera.
        camera: usize,
        /// When, UTC.
        at_unix_ns: i64,
        /// What.
        incident: Incident,
    },
}

/// One frame as it is in the file.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Which of [`Reader::cameras`].
    pub camera: usize,
    /// Counts the frames of this camera in this file.
    pub sequence: u32,
    /// Arrival, nanoseconds since 1970, UTC.
    pub log_ns: i64,
    /// When the camera took it, by the clock model at that time; nanoseconds since 1970, UTC.
    pub publish_ns: i64,
    /// What the wire said.
    pub wire: Wire,
    /// The payload as it was on the wire.
    pub payload: Vec<u8>,
}

/// Where a chunk lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its record begins here.
    pub at: u64,
    /// Bytes of its record.
    pub len: u64,
    /// Arrival of its first message, UTC.
    pub from_unix_ns: i64,
    /// Arrival of its last message, UTC.
    pub to_unix_ns: i64,
}

/// A recording that is read.
pub struct Reader {
    path: PathBuf,
    file: File,
    file_len: u64,
    join: Join,
    about: Metadata,
    clocks: Vec<Metadata>,
    chunks: Vec<Chunk>,
    /// Where the file stops making sense, if it does.
    torn_at: Option<u64>,
    walk: Walk<File>,
    /// Where the file is being read.
    at: u64,
    ended: bool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("path", &self.path).field("at", &self.at).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens a recording, finished or torn, and looks where its chunks are.
    ///
    /// # Errors
    /// It cannot be read, is no MCAP file, or holds no camera of ours.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let open = |source| RecordingError::Open { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(open)?;
        let file_len = file.metadata().map_err(open)?.len();
        let mut found = [0; mcap::MAGIC.len()];
        let n = read_all(&mut file, &mut found).map_err(open)?;
        if found[..n] != *mcap::MAGIC {
            return Err(RecordingError::NotMcap { path: path.to_owned(), found: found[..n].to_vec() });
        }
        let walk = file.try_clone().and_then(|file| Walk::new(file, false)).map_err(open)?;
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
                "" => format!("{} chunks and no metadata of ours", reader.chunks.len()),
                _ => "a file that ends before its first frame".to_owned(),
            };
            return Err(RecordingError::NotOurs { path: path.to_owned(), found });
        }
        reader.rewind()?;
        Ok(reader)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cameras.
    pub fn cameras(&self) -> impl ExactSizeIterator<Item = &CameraInfo> {
        self.join.cameras()
    }

    /// What the file says of itself: version, host and time of its making.
    #[must_use]
    pub fn about(&self) -> &std::collections::BTreeMap<String, String> {
        &self.about.metadata
    }

    /// What the file says of its cameras' clocks, each with the camera's `name`; nothing in a torn file.
    pub fn clocks(&self) -> impl Iterator<Item = &std::collections::BTreeMap<String, String>> {
        self.clocks.iter().map(|clock| &clock.metadata)
    }

    /// Where its chunks are, in the order of the file.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Arrival of the first and the last message, UTC.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        let from = self.chunks.iter().map(|chunk| chunk.from_unix_ns).min()?;
        let to = self.chunks.iter().map(|chunk| chunk.to_unix_ns).max()?;
        Some((from, to))
    }

    /// Whether the file was finished in order.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.torn_at.is_none()
    }

    /// Where the file stops making sense, for one that was not finished.
    #[must_use]
    pub fn torn_at(&self) -> Option<u64> {
        self.torn_at
    }

    /// Bytes of the file.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// Begins again.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn rewind(&mut self) -> Result<(), RecordingError> {
        self.go_to(self.chunks.first().map_or(self.file_len, |chunk| chunk.at));
        Ok(())
    }

    /// Continues with the chunk in which messages arrived at this time or later (UTC); at the end if there is none.
    /// Entries that are a little older may come first: those of the same chunk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn seek(&mut self, unix_ns: i64) -> Result<(), RecordingError> {
        let chunk = self.chunks.iter().find(|chunk| chunk.to_unix_ns >= unix_ns && chunk.from_unix_ns > 0);
        self.go_to(chunk.map_or(self.file_len, |chunk| chunk.at));
        Ok(())
    }

    /// The next frame or incident; `None` at the end, or where a torn file is torn.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged. What follows the damage cannot be had from here: see `oaktap recover`.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, RecordingError> {
        while !self.ended {
            let piece = self.walk.next().map_err(|source| RecordingError::Read { at: self.at, source })?;
            // A torn file ends where it is torn: what follows is no record.
            let torn = |at| self.torn_at.is_some_and(|torn| at >= torn);
            match piece {
                None => break,
                Some(Piece::Chunk(ChunkFound { at, .. }) | Piece::Damage { at, .. }) if torn(at) => break,
                Some(Piece::Chunk(ChunkFound { at, damage: Some(why), .. })) => {
                    return Err(RecordingError::Damaged { at, why });
                }
                Some(Piece::Damage { at, len, .. }) => {
                    let why = format!("expected a record, found {len} bytes of something else");
                    return Err(RecordingError::Damaged { at, why });
                }
                Some(Piece::Message(message)) => {
                    self.at = message.at;
                    match self.join.message(&message.header, self.walk.data()) {
                        Ok(None) => {}
                        Ok(entry) => return Ok(entry),
                        Err(why) => return Err(RecordingError::Damaged { at: message.at, why }),
                    }
                }
                Some(Piece::Record { opcode: op::DATA_END, .. }) => break,
                Some(Piece::Record { .. } | Piece::Chunk(_)) => {}
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

    /// Walks over the records of the file, from head to head, without reading what is in the chunks.
    fn survey(&mut self) -> Result<(), RecordingError> {
        let mut at = mcap::MAGIC.len() as u64;
        loop {
            let failed = |source| RecordingError::Read { at, source };
            let mut head = [0; RECORD_HEAD as usize];
            self.file.seek(SeekFrom::Start(at)).map_err(failed)?;
            let whole = read_all(&mut self.file, &mut head).map_err(failed)? == head.len();
            let [opcode, len @ ..] = head;
            let len = u64::from_le_bytes(len);
            let end = at.saturating_add(RECORD_HEAD).saturating_add(len);
            // What is preallocated and was never written is zeros.
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
                    self.chunks.push(Chunk { at, len, from_unix_ns: time(from), to_unix_ns: time(to) });
                }
                op::METADATA if len <= LONGEST_METADATA => {
                    let mut data = vec![0; len as usize];
                    let n = read_all(&mut self.file, &mut data).map_err(failed)?;
                    if let Some(Record::Metadata(metadata)) = record::parse(opcode, &data[..n]) {
                        self.learn(metadata);
                    }
                }
                op::DATA_END => return Ok(()),
                _ => {}
            }
            at = end;
        }
    }

    fn learn(&mut self, metadata: Metadata) {
        match metadata.name.as_str() {
            FILE_METADATA => self.about = metadata,
            name if name.starts_with(CAMERA_METADATA) => {
                if let Some((info, channel)) = camera(&metadata) {
                    self.join.add(info, channel);
                }
            }
            name if name.starts_with(CLOCK_METADATA) => self.clocks.push(metadata),
            _ => {}
        }
    }
}

/// What the metadata of a camera tells, and the first of its channel numbers.
pub(super) fn camera(metadata: &Metadata) -> Option<(CameraInfo, u16)> {
    let get = |key: &str| metadata.metadata.get(key).cloned().unwrap_or_default();
    let labels = serde_json::from_str::<std::collections::BTreeMap<u32, String>>(&get("labels")).ok();
    let labels = labels.map(|names| {
        let mut labels = crate::frame::LabelMap::default();
        names.iter().for_each(|(label, name)| labels.insert(*label, name));
        labels
    });
    let channel = get("channel").parse().ok()?;
    Some((CameraInfo { name: get("name"), address: get("address"), labels }, channel))
}
