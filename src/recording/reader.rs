//! Reads a recording in file order, up to the first damage.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use mcap::records::op;

use super::byte_window::read_all;
use super::join::{Join, RecordingEntry};
use super::survey::{self, Survey};
use super::time_line::{ClockJump, TimeLine};
use super::walk::{FoundChunk, RecordWalk, WalkItem};
use super::{CameraInfo, RecordingError};

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

/// A reader of one recording.
pub struct Reader {
    path: PathBuf,
    survey: Survey,
    join: Join,
    time_line: TimeLine,
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
    /// The file cannot be read, is not an MCAP file, or contains neither a camera that oaktap recorded nor images in a
    /// supported format.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let open = |source| RecordingError::Open { path: path.to_owned(), source };
        if path.is_dir() {
            return Err(RecordingError::Folder { path: path.to_owned() });
        }
        let mut file = File::open(path).map_err(open)?;
        let mut found = [0; mcap::MAGIC.len()];
        let n = read_all(&mut file, &mut found).map_err(open)?;
        if found[..n] != *mcap::MAGIC {
            return Err(RecordingError::NotMcap { path: path.to_owned(), found: found[..n].to_vec() });
        }
        let mut survey = survey::survey(file.try_clone().map_err(open)?)?;
        survey.check_cameras(path)?;
        let again = file.try_clone().map_err(open)?;
        let time_line = TimeLine::new(again, &survey.channels, &mut survey.chunks);
        let time_line = time_line.map_err(|source| RecordingError::Read { at: 0, source })?;
        let mut walk = RecordWalk::new(file, false).map_err(open)?;
        survey.channels.numbers().into_iter().for_each(|id| walk.expect_channel(id));
        let join = Join::new(survey.in_order());
        let mut reader = Self { path: path.to_owned(), survey, join, time_line, walk, at: 0, ended: false };
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
        self.survey.channels.cameras()
    }

    /// Metadata of the file: program version, host and creation time.
    #[must_use]
    pub fn about(&self) -> &BTreeMap<String, String> {
        &self.survey.about
    }

    /// The clock of each camera as metadata, with the camera's `name`. Empty for a torn file.
    pub fn clocks(&self) -> impl Iterator<Item = &BTreeMap<String, String>> {
        self.survey.clocks.iter().map(|clock| &clock.metadata)
    }

    /// The chunks, in file order.
    #[must_use]
    pub fn chunks(&self) -> &[ChunkRange] {
        &self.survey.chunks
    }

    /// Arrival of the first and the last message, in nanoseconds since 1970, UTC.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        // A chunk without messages has the times 0 (MCAP specification, "Chunk").
        let chunks = || self.survey.chunks.iter().filter(|chunk| chunk.to_unix_ns != 0);
        let from = chunks().map(|chunk| chunk.from_unix_ns).min()?;
        let to = chunks().map(|chunk| chunk.to_unix_ns).max()?;
        Some((from, to))
    }

    /// Returns whether the recorder finished the file.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.survey.torn_at.is_none()
    }

    /// Position at which a file that was not finished stops being readable.
    #[must_use]
    pub fn torn_at(&self) -> Option<u64> {
        self.survey.torn_at
    }

    /// Returns the first damage that was found when the file was opened: metadata or a summary with a wrong checksum, or the
    /// end of a file that was not finished.
    #[must_use]
    pub fn damage(&self) -> Option<RecordingError> {
        let damaged = self.survey.damage.first().cloned();
        let damaged = damaged.map(|(at, why)| RecordingError::Damaged { at, why });
        damaged.or_else(|| self.torn_at().map(|at| RecordingError::Torn { at }))
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.survey.file_len
    }

    /// Seeks to the first chunk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn rewind(&mut self) -> Result<(), RecordingError> {
        self.go_to(self.survey.chunks.first().map_or(self.survey.file_len, |chunk| chunk.at));
        Ok(())
    }

    /// Seeks to the first chunk with messages that arrived at this time (nanoseconds since 1970, UTC) or later, or to the
    /// end if there is none. The first entries may be older, since a seek leads to the beginning of a chunk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn seek(&mut self, unix_ns: i64) -> Result<(), RecordingError> {
        let chunk = self.survey.chunks.iter().find(|chunk| chunk.to_unix_ns >= unix_ns && chunk.from_unix_ns > 0);
        self.go_to(chunk.map_or(self.survey.file_len, |chunk| chunk.at));
        Ok(())
    }

    /// Returns the next frame or incident; `None` at the end, or where a torn file ends.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged. Only `oaktap recover` reads past damage.
    pub fn next_entry(&mut self) -> Result<Option<RecordingEntry>, RecordingError> {
        if self.ended {
            // Frames that waited for boxes.
            return Ok(self.join.finish(&self.survey.channels).unwrap_or_default());
        }
        loop {
            let piece = self.walk.next().map_err(|source| RecordingError::Read { at: self.at, source })?;
            // A torn file ends here without an error.
            let torn = |at| self.survey.torn_at.is_some_and(|torn| at >= torn);
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
                    match self.join.message(&self.survey.channels, &message.header, self.walk.data()) {
                        Ok(None) => {}
                        Ok(Some(entry)) => return Ok(Some(self.on_time_line(entry))),
                        Err(why) => return Err(RecordingError::Damaged { at: message.at, why }),
                    }
                }
                Some(WalkItem::Record { opcode: op::DATA_END, .. }) => break,
                Some(WalkItem::Record { opcode, data, .. }) => self.survey.channels.record(opcode, &data),
                Some(WalkItem::Chunk(_)) => {}
            }
        }
        self.ended = true;
        self.join.finish(&self.survey.channels).map_err(|why| RecordingError::Damaged { at: self.at, why })
    }

    /// Changes of the host's clock during the recording. The times that this reader returns have none.
    #[must_use]
    pub fn clock_jumps(&self) -> &[ClockJump] {
        &self.time_line.jumps
    }

    /// The time line of the file, from its beginning.
    pub(super) fn time_line(&self) -> TimeLine {
        let mut line = self.time_line.clone();
        line.go_to(0);
        line
    }

    fn on_time_line(&mut self, entry: RecordingEntry) -> RecordingEntry {
        on_time_line(&mut self.time_line, entry)
    }

    fn go_to(&mut self, at: u64) {
        self.time_line.go_to(at);
        self.walk.go_to(at);
        self.at = at;
        self.ended = false;
        self.join.forget();
    }
}

/// Moves the times of an entry to the time line of its file.
pub(super) fn on_time_line(line: &mut TimeLine, entry: RecordingEntry) -> RecordingEntry {
    match entry {
        RecordingEntry::Frame(mut frame) => {
            let log_ns = line.frame(frame.log_ns, frame.wire.arrival_mono_ns);
            frame.publish_ns = frame.publish_ns.saturating_add(log_ns.saturating_sub(frame.log_ns));
            frame.log_ns = log_ns;
            RecordingEntry::Frame(frame)
        }
        RecordingEntry::Incident { camera, at_unix_ns, incident } => {
            RecordingEntry::Incident { camera, at_unix_ns: line.near(at_unix_ns), incident }
        }
    }
}
