//! Copies the intact frames of a torn or damaged recording to a new file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use mcap::McapError;
use serde::Serialize;

use super::clock::ClockModel;
use super::decode::Decoders;
use super::join::RecordedFrame;
use super::recover_topics;
use super::salvage::{Salvage, SalvageItem};
use super::schema::{IncidentKind, PayloadLayout, RecordedIncident};
use super::{CameraInfo, Compression, PartFile, RecordingError, SegmentWriter, Watch};
use crate::file::{NewFile, rename_to_new, shell_word};
use crate::frame::{DeviceTime, Frame, PayloadKind, Received, Staleness};
use crate::units::count;
use crate::wire::{Dialect, Protocol};

/// Size at which a chunk of the new file ends, in bytes.
const CHUNK_BYTES_MAX: u64 = 4 << 20;
/// Name of the metadata about the original file.
const RECOVERED_METADATA: &str = "oaktap.recovered";

/// Appended to the name of an original that was set aside.
const ORIGINAL: &str = ".original";

/// Result of [`recover`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveryReport {
    /// The new file.
    #[serde(serialize_with = "crate::file::serialize_path")]
    pub path: PathBuf,
    /// The original, if it was given another name: see [`set_aside`].
    #[serde(serialize_with = "crate::file::serialize_optional_path")]
    pub original: Option<PathBuf>,
    /// Number of frames saved.
    pub frames: u64,
    /// Number of incidents saved.
    pub incidents: u64,
    /// Number of messages saved from a recording of another program, of all topics.
    pub messages: u64,
    /// Those of them that were in damaged chunks: nothing shows whether they are intact.
    pub unverified: u64,
    /// Intact parts of the original that the new file lacks.
    pub left_out: Vec<String>,
    /// Frames that are known to be missing. Frames after the end of a torn file are unknown and not counted.
    pub lost_frames: u64,
    /// Bytes that could not be saved: they are not records, or belong to damaged frames.
    pub lost_bytes: u64,
    /// Number of metadata records that are damaged. Addresses and class names in them are lost.
    pub lost_metadata: u64,
    /// Preallocated bytes at the end of the original that were never written.
    pub unwritten_bytes: u64,
    /// The recorder had finished the original file.
    pub finished: bool,
}

impl RecoveryReport {
    /// Completes the counts at the end of the original. What a compressed chunk contained can be more than its bytes.
    pub(super) fn end(&mut self, path: &Path, bytes: u64, continues_at: Option<u64>) {
        self.lost_bytes = self.lost_bytes.min(bytes.saturating_sub(self.unwritten_bytes));
        if let Some(at) = continues_at {
            let left = bytes - at;
            let how = format!("`tail -c {left} {} > second.mcap` saves it to a file of its own", shell_word(path));
            self.left_out.push(format!("another recording of {left} bytes, which begins at byte {at}; {how}"));
        }
    }

    /// Returns whether everything in the original was saved.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.lost_frames == 0
            && self.lost_bytes == 0
            && self.lost_metadata == 0
            && self.unverified == 0
            && self.left_out.is_empty()
    }
}

/// Most bytes before the first frame of a recording: header, schemas and channels.
const HEAD_BYTES_MAX: u64 = 16 << 10;

fn begins_as_mcap(path: &Path) -> bool {
    let mut found = [0; mcap::MAGIC.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut found)).is_ok() && found == *mcap::MAGIC
}

/// Error of [`recover`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The original cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The original has no intact frame.
    #[error("no intact frame in {}: expected a recording (.mcap), found {found}", path.display())]
    Nothing {
        /// The original.
        path: PathBuf,
        /// Its content, in words.
        found: String,
    },
    /// The new file exists. No file is replaced.
    #[error("{} already exists", .0.display())]
    Exists(PathBuf),
    /// The new file cannot be created.
    #[error("cannot create {}", path.display())]
    Create {
        /// The new file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The new file cannot be written completely.
    #[error("cannot write {}", path.display())]
    Finish {
        /// The new file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl RecoverError {
    /// The error of a new file that cannot be created.
    pub(super) fn created(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AlreadyExists => Self::Exists(path.to_owned()),
            _ => Self::Create { path: path.to_owned(), source },
        }
    }

    /// Names the new file in an error of writing it.
    fn of_new_file(self, into: &Path) -> Self {
        match self {
            Self::Recording(RecordingError::Write(McapError::Io(source))) => {
                Self::Finish { path: into.to_owned(), source }
            }
            other => other,
        }
    }

    /// The error of a file of this many bytes in which nothing was found that can be saved.
    pub(super) fn nothing(path: &Path, bytes: u64, done: &RecoveryReport) -> Self {
        let found = match bytes {
            0 => "an empty file".to_owned(),
            _ if done.unwritten_bytes == bytes => format!("{bytes} bytes that are all zero"),
            _ if !begins_as_mcap(path) => format!("{bytes} bytes that do not begin like one"),
            _ if done.lost_frames == 0 && bytes <= HEAD_BYTES_MAX => {
                format!("one that ends after {bytes} bytes, before any frame")
            }
            _ => format!("{bytes} bytes without one"),
        };
        Self::Nothing { path: path.to_owned(), found }
    }

    /// Returns the command to run next, if one helps.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Recording(RecordingError::Stopped { .. }) => {
                Some("nothing was saved, and the recording is unchanged: `oaktap recover FILE` begins again")
            }
            Self::Recording(error) => error.help(),
            Self::Exists(_) => Some("oaktap does not replace files: give another name with `-o`, or remove it"),
            Self::Create { source, .. } | Self::Finish { source, .. }
                if source.kind() == io::ErrorKind::StorageFull =>
            {
                Some(
                    "the disk needs room for another file of this size: free some, or name a file on another disk with `-o`",
                )
            }
            Self::Nothing { .. } => {
                Some("nothing in it can be saved: use another copy of the recording, if there is one")
            }
            Self::Create { .. } | Self::Finish { .. } => None,
        }
    }
}

/// Default path of the new file: `X.recovered.mcap` for `X.mcap` and `X.mcap.partial`.
#[must_use]
pub fn default_output_path(path: &Path) -> PathBuf {
    let mut stem = path.to_owned();
    for end in ["partial", "mcap"] {
        if stem.extension().is_some_and(|extension| extension == end) {
            stem.set_extension("");
        }
    }
    let mut name = stem.into_os_string();
    name.push(".recovered.mcap");
    name.into()
}

/// Renames a recording, so that commands which read a folder take the recovered file instead of it. Returns the new name:
/// `X.mcap.original` or `X.mcap.partial.original`. An existing file is not replaced.
///
/// # Errors
/// The file cannot be renamed.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(ORIGINAL);
        if number > 0 {
            name.push(format!("-{number}"));
        }
        PathBuf::from(name)
    };
    for number in 0.. {
        match rename_to_new(path, &name(number)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            renamed => return renamed.map(|()| name(number)),
        }
    }
    unreachable!("no folder holds 2^32 files of one name")
}

/// Copies all intact frames to a new file, with an incident where frames are missing. Does not change the original.
///
/// # Errors
/// The original cannot be read or has no intact frame, or the new file exists or cannot be written. An existing file stays
/// unchanged, and an incomplete new file is removed.
pub fn recover(path: &Path, into: &Path) -> Result<RecoveryReport, RecoverError> {
    recover_watched(path, into, &Watch::default())
}

/// Like [`recover`], with progress.
///
/// # Errors
/// As [`recover`], or the watch stopped it.
pub fn recover_watched(path: &Path, into: &Path, watch: &Watch) -> Result<RecoveryReport, RecoverError> {
    let from = Salvage::open(path, watch)?;
    let surveyed = from.cameras().len();
    let done = RecoveryReport {
        path: into.to_owned(),
        original: None,
        frames: 0,
        incidents: 0,
        messages: 0,
        unverified: 0,
        left_out: Vec::new(),
        lost_frames: 0,
        lost_bytes: 0,
        lost_metadata: 0,
        unwritten_bytes: 0,
        finished: false,
    };
    if from.is_of_another_program() {
        from.check_cameras(path)?;
        let copied = recover_topics::copy(path, into, from.channels(), done, watch);
        return copied.map_err(|error| error.of_new_file(into));
    }
    let mut copy = Recovery {
        surveyed,
        from,
        decoders: Decoders::default(),
        cameras: Vec::new(),
        compression: Compression::None,
        to: None,
        done,
    };
    // After an error, dropping the new file removes it: an incomplete copy is of no use.
    copy.run(path, into).map_err(|error| error.of_new_file(into)).map(|()| copy.done)
}

struct Recovery {
    from: Salvage<File>,
    /// Number of cameras that were known before the first frame.
    surveyed: usize,
    decoders: Decoders,
    cameras: Vec<RecoveredCamera>,
    compression: Compression,
    to: Option<SegmentWriter<NewFile>>,
    done: RecoveryReport,
}

/// State of one camera during the copy.
#[derive(Default)]
struct RecoveredCamera {
    /// Its number in the new file, once it has one.
    number: Option<usize>,
    /// Sequence number of its next frame if none is missing.
    next: u32,
    /// The highest sequence number of a frame that could not be saved.
    lost_to: Option<u32>,
    /// Arrival of its last frame in nanoseconds since 1970, UTC.
    last_ns: i64,
    /// Frames saved, and frames that are known to be missing.
    frames: u64,
    lost: u64,
    clock: ClockModel,
}

impl Recovery {
    fn run(&mut self, path: &Path, into: &Path) -> Result<(), RecoverError> {
        let mut at = 0;
        loop {
            let read = self.from.next().map_err(|source| RecordingError::read(at, source))?;
            let Some(found) = read else { break };
            if self.cameras.len() < self.from.cameras().len() {
                self.cameras.resize_with(self.from.cameras().len(), RecoveredCamera::default);
            }
            match found {
                SalvageItem::Frame { at: frame_at, recorded, .. } => {
                    at = frame_at;
                    self.frame(&recorded, path, into)?;
                }
                SalvageItem::Incident { camera, at_unix_ns, incident } => {
                    let number = self.camera(camera, into)?;
                    self.done.incidents += 1;
                    self.writer(into)?.incident(number, &incident, at_unix_ns)?;
                }
                SalvageItem::Unsupported { .. } => {}
                SalvageItem::Lost { camera, sequence, bytes, .. } => {
                    self.done.lost_bytes += bytes;
                    let lost_to = &mut self.cameras[camera].lost_to;
                    *lost_to = (*lost_to).max(Some(sequence));
                }
                SalvageItem::Chunk(chunk) => {
                    self.done.lost_bytes += if chunk.unread { chunk.len } else { 0 };
                    self.compression = chunk.header.compression.parse().unwrap_or_default();
                    if let Some(to) = &mut self.to {
                        to.flush()?;
                    }
                }
                SalvageItem::Record { opcode, .. } => self.done.finished |= opcode == mcap::records::op::FOOTER,
                SalvageItem::Damage { len, zeros: true, .. } => self.done.unwritten_bytes += len,
                SalvageItem::Damage { len, zeros: false, .. } => self.done.lost_bytes += len,
            }
        }
        match self.from.check_cameras(path) {
            // Without a channel, the file may be a recording whose beginning is damaged.
            Err(RecordingError::NotMcap { .. }) => {}
            Err(RecordingError::NoCamera { .. }) if !self.from.declares_channels() => {}
            other => other?,
        }
        self.done.lost_metadata = self.from.damaged_metadata().len() as u64;
        self.done.left_out = self.from.other_topics();
        self.done.end(path, self.from.len(), self.from.continues_at());
        if self.done.frames == 0 {
            return Err(RecoverError::nothing(path, self.from.len(), &self.done));
        }
        self.finish(path, into)
    }

    fn frame(&mut self, recorded: &RecordedFrame, path: &Path, into: &Path) -> Result<(), RecoverError> {
        let number = self.camera(recorded.camera, into)?;
        let frame = self.rebuilt(recorded);
        let missing = recorded.sequence.wrapping_sub(self.cameras[recorded.camera].next);
        // A sequence number that goes back restarts the numbering.
        if missing > 0 && missing < u32::MAX / 2 {
            self.gap(recorded.camera, missing, recorded.log_ns, path, into)?;
        }
        let camera = &mut self.cameras[recorded.camera];
        (camera.next, camera.last_ns) = (recorded.sequence.wrapping_add(1), recorded.log_ns);
        camera.clock.follow_connection(recorded.wire.at, recorded.wire.payload_len);
        if !recorded.wire.stale {
            camera.clock.observe(DeviceTime(recorded.wire.device_time_us), recorded.log_ns);
        }
        camera.frames += 1;
        self.done.frames += 1;
        let to = self.writer(into)?;
        if !recorded.wire.context.is_empty() {
            to.context(number, &recorded.wire.context);
        }
        to.frame(number, &frame, recorded.publish_ns)?;
        if to.open_bytes() >= CHUNK_BYTES_MAX {
            to.flush()?;
        }
        Ok(())
    }

    /// Writes an incident for missing frames.
    fn gap(&mut self, camera: usize, frames: u32, at_ns: i64, path: &Path, into: &Path) -> Result<(), RecoverError> {
        self.done.lost_frames += u64::from(frames);
        self.cameras[camera].lost += u64::from(frames);
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let text = format!("{} in a damaged part of {name}", count(frames.into(), "frame was", "frames were"));
        let kind = IncidentKind::Gap.to_string();
        let gap = RecordedIncident { kind, text, frames: frames.into(), ..RecordedIncident::default() };
        let number = self.camera(camera, into)?;
        Ok(self.writer(into)?.incident(number, &gap, at_ns)?)
    }

    /// Returns the number of a camera in the new file.
    fn camera(&mut self, camera: usize, into: &Path) -> Result<usize, RecoverError> {
        if let Some(number) = self.cameras[camera].number {
            return Ok(number);
        }
        let info = self.from.cameras().nth(camera).cloned().unwrap_or_default();
        self.writer(into)?;
        let number = match self.cameras[camera].number {
            Some(known) => known,
            None => self.writer(into)?.camera(&info)?,
        };
        self.cameras[camera].number = Some(number);
        Ok(number)
    }

    /// Returns the writer of the new file. The first call creates the file.
    fn writer(&mut self, into: &Path) -> Result<&mut SegmentWriter<NewFile>, RecoverError> {
        if self.to.is_none() {
            let created =
                self.from.about().get("created_unix_ns").and_then(|created| created.parse().ok()).unwrap_or(0);
            let file = NewFile::create(into);
            let file = file.map_err(|source| RecoverError::created(into, source))?;
            let known: Vec<CameraInfo> = self.from.cameras().take(self.surveyed).cloned().collect();
            let to = self.to.insert(SegmentWriter::new(file, self.compression, &known, created)?);
            if let Some(PartFile { part, .. }) = self.from.part(into) {
                to.part(&part)?;
            }
            for (number, camera) in self.cameras.iter_mut().take(self.surveyed).enumerate() {
                camera.number = Some(number);
            }
        }
        Ok(self.to.as_mut().expect("created above"))
    }

    /// Rebuilds the frame as it was recorded. Its detections and labels are decoded again.
    fn rebuilt(&mut self, recorded: &RecordedFrame) -> Frame {
        let decoded = self.decoders.decode(recorded);
        let RecordedFrame { log_ns, wire, payload, .. } = recorded;
        let mut frame = Frame::default();
        frame.id = wire.id;
        frame.at = wire.at;
        let protocol = || wire.dialect.parse::<Protocol>().map_or("", Protocol::name);
        frame.dialect = wire.dialect.parse().map_or_else(|_| protocol(), Dialect::name);
        frame.no_clock = !protocol().is_empty();
        frame.records.clone_from(&wire.records);
        frame.detect_at = usize::try_from(wire.detect_at).unwrap_or(usize::MAX);
        frame.header.clone_from(&wire.header);
        frame.detection_text.clone_from(&wire.detections);
        frame.device_time = DeviceTime(wire.device_time_us);
        frame.camera_seq = wire.camera_seq;
        frame.received = Received { mono_ns: wire.arrival_mono_ns, unix_ns: *log_ns };
        frame.staleness = Staleness::Known(wire.stale);
        frame.kind = PayloadKind::ALL.into_iter().find(|kind| kind.name() == wire.kind).unwrap_or_default();
        frame.geometry = wire.layout.as_ref().and_then(PayloadLayout::geometry);
        frame.video_size = wire.layout.as_ref().and_then(PayloadLayout::video_size);
        if let Ok(decoded) = decoded {
            // Earlier versions did not store the size of video.
            frame.video_size = decoded.video_size;
            frame.detections.clone_from(&decoded.detections);
            frame.labels.clone_from(&decoded.labels);
        }
        frame.payload_mut(payload.len()).copy_from_slice(payload);
        frame
    }

    fn finish(&mut self, path: &Path, into: &Path) -> Result<(), RecoverError> {
        for camera in 0..self.cameras.len() {
            let RecoveredCamera { next, lost_to, last_ns, frames, lost, .. } = self.cameras[camera];
            let counted = self.from.frames_in_summary(camera).unwrap_or(0);
            let left = u32::try_from(counted.saturating_sub(frames).saturating_sub(lost)).unwrap_or(0);
            if left > 0 {
                self.gap(camera, left, last_ns, path, into)?;
            } else if let Some(missing) = lost_to.map(|lost_to| lost_to.wrapping_sub(next).wrapping_add(1))
                && missing > 0
                && missing < u32::MAX / 2
            {
                self.gap(camera, missing, last_ns, path, into)?;
            }
        }
        // In the order of the cameras in the new file.
        let mut clocks = vec![BTreeMap::new(); self.cameras.len()];
        for (camera, info) in self.cameras.iter().zip(self.from.cameras()) {
            if let Some(number) = camera.number {
                let known = self.from.clock(&info.name).cloned();
                clocks[number] = known.unwrap_or_else(|| camera.clock.metadata());
            }
        }
        let mut about = self.from.about().clone();
        about.remove("crc32");
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        about.insert("file".to_owned(), name.into_owned());
        for (key, value) in
            [("frames", self.done.frames), ("lost_frames", self.done.lost_frames), ("lost_bytes", self.done.lost_bytes)]
        {
            about.insert(key.to_owned(), value.to_string());
        }
        let Some(mut to) = self.to.take() else { return Ok(()) };
        let finished =
            to.metadata(RECOVERED_METADATA, about).and_then(|()| to.finish(&clocks)).map_err(RecoverError::from);
        finished.and_then(|to| {
            to.finish().map(drop).map_err(|source| RecoverError::Finish { path: into.to_owned(), source })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_path_is_beside_the_original() {
        for (old, new) in [
            ("a/b.mcap", "a/b.recovered.mcap"),
            ("a/b.mcap.partial", "a/b.recovered.mcap"),
            ("2026-11-21_10-15-00.123.mcap.partial", "2026-11-21_10-15-00.123.recovered.mcap"),
            ("b", "b.recovered.mcap"),
        ] {
            assert_eq!(default_output_path(Path::new(old)), Path::new(new));
        }
    }
}
