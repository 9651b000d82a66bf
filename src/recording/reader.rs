//! Reads a recording in file order, past any damage.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};

use mcap::records::op;

use super::byte_window::read_all;
use super::channels::Role;
use super::checksum;
use super::clock_fit::ClockFit;
use super::join::{DamagedPicture, Join, JoinError, RecordedFrame, RecordingEntry};
use super::salvage::payload_damage;
use super::schema::{IncidentKind, RecordedIncident};
use super::survey::{self, ChunkRange, Survey};
use super::time_line::{ClockJump, TimeLine};
use super::walk::{FoundChunk, FoundMessage, RecordWalk, WalkItem};
use super::writer::CLOCK_METADATA;
use super::{CameraInfo, PartFile, RecordingError};
use crate::units::count;

/// A reader of one recording.
pub struct Reader {
    path: PathBuf,
    survey: Survey,
    /// The stored clock of each camera.
    clocks: Vec<Option<ClockFit>>,
    join: Join,
    time_line: TimeLine,
    walk: RecordWalk<File>,
    /// Position of the last message, for error messages.
    at: u64,
    ended: bool,
    /// Frames of each camera.
    continuity: Vec<Continuity>,
    /// Reading began with the first chunk.
    from_start: bool,
    /// Found, but not returned yet.
    queue: VecDeque<Result<RecordingEntry, RecordingError>>,
    /// Damage after [`Self::torn_at`]: it is the end of the file, unless something intact follows.
    torn: Option<RecordingError>,
    /// Found after that damage, but not returned yet.
    after_torn: Option<RecordingEntry>,
    /// Arrival of the first frame, if one was found.
    first_frame_ns: Option<i64>,
}

/// Numbers of a camera's frames, to find those that are missing.
#[derive(Clone, Copy, Debug, Default)]
struct Continuity {
    /// Number of the next frame, unless reading began after the first chunk and has not reached a frame.
    next: Option<u32>,
    /// Damage was found after the last frame.
    damaged: bool,
    /// Frames read since the last seek.
    read: u64,
    /// Frames found to be missing since the last seek.
    missing: u64,
    /// Arrival of the last frame in nanoseconds since 1970, UTC.
    last_ns: i64,
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
        let mut file = survey::open_file(path)?;
        let mut found = [0; mcap::MAGIC.len()];
        let n = read_all(&mut file, &mut found).map_err(open)?;
        if found[..n] != *mcap::MAGIC {
            return Err(RecordingError::NotMcap { path: path.to_owned(), found: found[..n].to_vec() });
        }
        let mut survey = survey::survey(file.try_clone().map_err(open)?)?;
        survey.check_cameras(path)?;
        let again = file.try_clone().map_err(open)?;
        let numbered = survey.pictures.complete(again, &survey.channels, &survey.chunks);
        numbered.map_err(|source| RecordingError::Read { at: 0, source })?;
        let again = file.try_clone().map_err(open)?;
        let time_line = TimeLine::new(again, &survey.channels, &mut survey.chunks);
        let time_line = time_line.map_err(|source| RecordingError::Read { at: 0, source })?;
        let mut walk = RecordWalk::new(file, false).map_err(open)?;
        survey.channels.numbers().into_iter().for_each(|id| walk.expect_channel(id));
        let join = Join::new(survey.in_order());
        let mut reader = Self {
            path: path.to_owned(),
            survey,
            clocks: Vec::new(),
            join,
            time_line,
            walk,
            at: 0,
            ended: false,
            continuity: Vec::new(),
            from_start: true,
            queue: VecDeque::new(),
            torn: None,
            after_torn: None,
            first_frame_ns: None,
        };
        reader.clocks = reader.cameras().map(|camera| reader.clock(&camera.name)).collect();
        reader.rewind()?;
        reader.first_frame_ns = reader.first_frame();
        // Reports what it has found so far again.
        reader.join = std::mem::take(&mut reader.join).restarted();
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

    /// Returns, for each camera in the file, the number of the camera whose connection it is a further stream of.
    pub(crate) fn first_streams(&self) -> Vec<Option<usize>> {
        self.cameras().map(|info| info.first_stream(self.cameras())).collect()
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

    /// Returns the stored clock of the camera of this name.
    #[must_use]
    pub fn clock(&self, camera: &str) -> Option<ClockFit> {
        let is_wanted = |name: &str| name.strip_prefix(CLOCK_METADATA) == Some(camera);
        let stored = self.survey.clocks.iter().find(|clock| is_wanted(&clock.name))?;
        ClockFit::from_metadata(&stored.metadata).ok()
    }

    /// Returns the place of the file in a recording of several files.
    #[must_use]
    pub fn part(&self) -> Option<PartFile> {
        self.survey.part_file(&self.path)
    }

    /// The chunks, in file order.
    #[must_use]
    pub fn chunks(&self) -> &[ChunkRange] {
        &self.survey.chunks
    }

    /// Arrival of the first frame and of the last message, in nanoseconds since 1970, UTC. Without a readable frame, arrival
    /// of the first and of the last message.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        // A chunk without messages has the times 0 (MCAP specification, "Chunk").
        let chunks = || self.survey.chunks.iter().filter(|chunk| chunk.to_unix_ns != 0);
        let from = chunks().map(|chunk| chunk.from_unix_ns).min()?;
        let to = chunks().map(|chunk| chunk.to_unix_ns).max()?;
        Some((self.first_frame_ns.unwrap_or(from), to))
    }

    /// Returns whether the recorder finished the file.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.survey.torn_at.is_none() && !self.survey.has_no_end
    }

    /// Position at which a file stops being readable that was not finished, if frames may be missing after it.
    #[must_use]
    pub fn torn_at(&self) -> Option<u64> {
        self.survey.torn_at
    }

    /// Returns the first damage that was found when the file was opened: metadata or a summary with a wrong checksum, the
    /// end of a file that was not finished, or another recording after the end.
    #[must_use]
    pub fn damage(&self) -> Option<RecordingError> {
        let damaged = self.survey.damage.first().cloned();
        let damaged = damaged.map(|(at, why)| RecordingError::Damaged { at, why });
        let continues = self.survey.continues_at;
        damaged
            .or_else(|| self.torn_at().map(|at| RecordingError::Torn { at }))
            .or_else(|| continues.map(|at| RecordingError::Continues { at, bytes: self.file_len() - at }))
    }

    /// Position and description of damaged metadata and summaries, and of another recording after the end.
    pub(super) fn damaged_records(&self) -> Vec<(u64, String)> {
        let other = |at| format!("another recording begins here: its {} bytes are not read", self.file_len() - at);
        let continues = self.survey.continues_at.map(|at| (at, other(at)));
        self.survey.damage.iter().cloned().chain(continues).collect()
    }

    /// Position of the last message that was read.
    pub(super) const fn position(&self) -> u64 {
        self.at
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
        let end = || self.torn_at().unwrap_or(self.survey.file_len);
        self.go_to(self.survey.chunks.first().map_or_else(end, |chunk| chunk.at));
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

    /// Seeks to a chunk, given by its index in [`Self::chunks`].
    pub(super) fn seek_chunk(&mut self, number: usize) {
        self.go_to(self.survey.chunks[number].at);
    }

    /// Returns the next frame or incident; `None` at the end, or where a torn file ends.
    ///
    /// # Errors
    /// The file cannot be read, is damaged here, or has pictures that are not supported. After an error that
    /// [`RecordingError::is_damage`], the next call continues: an incident then stands for the frames of which it is known
    /// that they are missing.
    pub fn next_entry(&mut self) -> Result<Option<RecordingEntry>, RecordingError> {
        loop {
            if let Some(found) = self.queue.pop_front() {
                return found.map(Some);
            }
            let read = self.read();
            if matches!(read, Err(RecordingError::Damaged { .. })) {
                let cameras = self.cameras().len();
                self.continuity.resize(cameras, Continuity::default());
                self.continuity.iter_mut().for_each(|camera| camera.damaged = true);
            }
            match read? {
                Some(RecordingEntry::Frame(frame)) => self.frame(frame),
                None if !self.queue.is_empty() => {}
                other => return Ok(other.map(|entry| on_time_line(&mut self.time_line, entry))),
            }
        }
    }

    /// Number of frames of a camera that were found to be missing since the last seek. `camera` is an index in
    /// [`Self::cameras`].
    #[must_use]
    pub fn missing(&self, camera: usize) -> u64 {
        self.continuity.get(camera).map_or(0, |camera| camera.missing)
    }

    fn read(&mut self) -> Result<Option<RecordingEntry>, RecordingError> {
        if let Some(entry) = self.after_torn.take() {
            return Ok(Some(entry));
        }
        while !self.ended && self.queue.is_empty() {
            let piece = self.walk.next().map_err(|source| RecordingError::Read { at: self.at, source })?;
            // A torn file ends here without an error. The messages in its last chunk have checksums of their own.
            let torn_at = self.survey.torn_at;
            let torn = |at| torn_at.is_some_and(|torn| at >= torn);
            match piece {
                None => self.end(),
                Some(WalkItem::Chunk(FoundChunk { at, .. })) if torn(at) => {}
                Some(WalkItem::Damage { at, len, .. }) if torn(at) => self.torn_by(at, not_a_record(len)),
                Some(WalkItem::Chunk(FoundChunk { at, damage: Some(why), .. })) => {
                    return Err(RecordingError::Damaged { at, why });
                }
                Some(WalkItem::Damage { at, len, .. }) => {
                    return Err(RecordingError::Damaged { at, why: not_a_record(len) });
                }
                Some(WalkItem::Message(message)) => {
                    self.at = message.at;
                    match self.message(&message) {
                        Ok(Some(entry)) => return self.past_torn(entry),
                        Ok(None) => {}
                        Err(JoinError::Damaged(why)) if torn(message.at) => self.torn_by(message.at, why),
                        Err(JoinError::Picture(mut damaged)) if torn(message.at) => {
                            let before = damaged.before.take().map(|before| self.past_torn(before));
                            self.torn_by(message.at, damaged.why);
                            if let Some(before) = before {
                                return before;
                            }
                        }
                        Err(JoinError::Damaged(why)) => return Err(RecordingError::Damaged { at: message.at, why }),
                        Err(JoinError::Picture(damaged)) => self.damaged_picture(*damaged),
                        Err(JoinError::Unsupported { camera, topic, why }) => {
                            return Err(RecordingError::Unsupported { camera, topic, why });
                        }
                    }
                }
                Some(WalkItem::Record { opcode: op::DATA_END, .. }) => self.end(),
                Some(WalkItem::Record { opcode, data, .. }) => self.survey.channels.record(opcode, &data),
                Some(WalkItem::Chunk(_)) => {}
            }
        }
        if !self.queue.is_empty() {
            return Ok(None);
        }
        // Frames that waited for boxes.
        self.join.finish(&self.survey.channels).map_err(|why| RecordingError::Damaged { at: self.at, why })
    }

    /// Notes damage in the last part of a torn file.
    fn torn_by(&mut self, at: u64, why: String) {
        self.torn.get_or_insert(RecordingError::Damaged { at, why });
    }

    /// Returns an entry, or first the damage before it in the last part of a torn file.
    fn past_torn(&mut self, entry: RecordingEntry) -> Result<Option<RecordingEntry>, RecordingError> {
        match self.torn.take() {
            None => Ok(Some(entry)),
            Some(damage) => {
                self.after_torn = Some(entry);
                Err(damage)
            }
        }
    }

    /// Takes a message. Where the checksum of the chunk does not show that it is intact, its own checksums have to.
    fn message(&mut self, message: &FoundMessage) -> Result<Option<RecordingEntry>, JoinError> {
        let FoundMessage { trusted, ref header, .. } = *message;
        let Some((camera, role)) = self.survey.channels.role(header.channel_id) else { return Ok(None) };
        if role == Role::Wire && !trusted && checksum::is_intact(header, self.walk.data()) != Some(true) {
            return Err(JoinError::Damaged(format!("the checksum of frame {} is wrong", header.sequence)));
        }
        let entry = self.join.message(&self.survey.channels, header, self.walk.data())?;
        if let Some(RecordingEntry::Frame(frame)) = &entry
            && (!trusted || self.continuity.get(camera).is_some_and(|camera| camera.damaged))
            && let Some((expected, found)) = payload_damage(frame)
        {
            let why = format!("frame {}: expected {expected}, found {found}", frame.sequence);
            return Err(JoinError::Damaged(why));
        }
        Ok(entry)
    }

    /// Puts a damaged picture of another program into the queue, as an error and as an incident.
    fn damaged_picture(&mut self, damaged: DamagedPicture) {
        let DamagedPicture { camera, sequence, log_ns, why, before } = damaged;
        if let Some(RecordingEntry::Frame(frame)) = before {
            self.frame(frame);
        }
        let name = self.cameras().nth(camera).map_or("", |info| info.name.as_str());
        let why = format!("frame {sequence} of camera {name}: {why}");
        self.queue.push_back(Err(RecordingError::Damaged { at: self.at, why }));
        self.camera(camera).next = Some(sequence.wrapping_add(1));
        self.gap(camera, 1, self.time_line.near(log_ns), true);
    }

    /// Puts a frame into the queue, after what is missing before it.
    fn frame(&mut self, mut frame: RecordedFrame) {
        if let Some(Some(clock)) = self.clocks.get(frame.camera) {
            let (device_us, is_stale) = (frame.wire.device_time_us, frame.wire.stale);
            frame.publish_ns = clock.capture_ns(device_us, is_stale, frame.log_ns, frame.publish_ns);
        }
        frame = match on_time_line(&mut self.time_line, RecordingEntry::Frame(frame)) {
            RecordingEntry::Frame(frame) => frame,
            RecordingEntry::Incident { .. } => return,
        };
        let RecordedFrame { camera, sequence, log_ns, .. } = frame;
        let in_order = self.survey.in_order() && !frame.made_from_image;
        let before = *self.camera(camera);
        let next = before.next.or((before.read == 0 && self.from_start && in_order).then_some(0));
        let missing = next.map_or(0, |next| sequence.wrapping_sub(next));
        let (next, read, was_damaged) = (Some(sequence.wrapping_add(1)), before.read + 1, before.damaged);
        *self.camera(camera) = Continuity { next, damaged: false, read, last_ns: log_ns, ..before };
        // A number that goes back restarts the numbering. Other tools may leave out frames of an intact file.
        if missing > 0 && missing < u32::MAX / 2 && (was_damaged || in_order) {
            self.gap(camera, missing.into(), log_ns, was_damaged);
        }
        self.queue.push_back(Ok(RecordingEntry::Frame(frame)));
    }

    /// Puts an incident into the queue for frames that are missing.
    fn gap(&mut self, camera: usize, frames: u64, at_unix_ns: i64, is_known: bool) {
        if !is_known {
            let name = self.cameras().nth(camera).map_or("", |info| info.name.as_str());
            let frames = count(frames, "frame", "frames");
            let why = format!("{frames} of camera {name} missing before this place");
            self.queue.push_back(Err(RecordingError::Damaged { at: self.at, why }));
        }
        self.camera(camera).missing += frames;
        let name = self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy();
        let text = format!("{} in a damaged part of {name}", count(frames, "frame was", "frames were"));
        let kind = IncidentKind::Gap.to_string();
        let incident = RecordedIncident { kind, text, frames, ..RecordedIncident::default() };
        self.queue.push_back(Ok(RecordingEntry::Incident { camera, at_unix_ns, incident }));
    }

    /// Marks the end. Compares the numbers of frames that were read with those in the summary.
    fn end(&mut self) {
        self.ended = true;
        if !self.from_start || !self.survey.in_order() {
            return;
        }
        let cameras = self.cameras().len();
        for camera in 0..cameras {
            let Some(all) = self.survey.frames(camera) else { continue };
            let Continuity { read, missing, damaged, last_ns, .. } = *self.camera(camera);
            let left = all.saturating_sub(read).saturating_sub(missing);
            if left > 0 {
                self.gap(camera, left, last_ns, damaged);
            }
        }
    }

    fn camera(&mut self, camera: usize) -> &mut Continuity {
        if self.continuity.len() <= camera {
            self.continuity.resize(camera + 1, Continuity::default());
        }
        &mut self.continuity[camera]
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

    fn go_to(&mut self, at: u64) {
        self.from_start = self.survey.chunks.first().is_none_or(|chunk| at == chunk.at);
        self.continuity.clear();
        self.queue.clear();
        (self.torn, self.after_torn) = (None, None);
        self.time_line.go_to(at);
        self.walk.go_to(at);
        self.at = at;
        self.ended = false;
        self.join.forget();
        for (camera, pictures) in self.survey.pictures.before(at, &self.survey.channels) {
            self.join.number_from(camera, pictures);
        }
    }
}

fn not_a_record(len: u64) -> String {
    format!("expected a record, found {len} bytes that are not a record")
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
