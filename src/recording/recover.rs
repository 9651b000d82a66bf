//! A torn or damaged recording -> another file with every frame that is whole.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::clock::ClockModel;
use super::decode::Decoders;
use super::reader::Recorded;
use super::salvage::{Found, Salvage};
use super::schema::{Incident, Layout};
use super::{CameraInfo, Compression, RecordingError, SegmentWriter};
use crate::frame::{DeviceTime, Frame, PayloadKind, Received};
use crate::wire::Dialect;

/// Chunks of the new file end when they are as large as this.
const CHUNK: u64 = 4 << 20;
/// Name of the metadata that say where the frames of a recovered file come from.
const REMARK: &str = "oaktap.recovered";

/// What was saved, and what could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// The file that was written.
    pub path: PathBuf,
    /// Frames that were saved.
    pub frames: u64,
    /// Notes of what happened between them.
    pub incidents: u64,
    /// Frames that are known to have been there and could not be saved. Of a part that is missing altogether at the end
    /// of the file nobody knows how many were in it.
    pub lost_frames: u64,
    /// Bytes that could not be saved: they are no records, or belong to frames that are not whole.
    pub lost_bytes: u64,
    /// Bytes at the end of a file that were never written.
    pub unwritten_bytes: u64,
    /// The file had been finished in order.
    pub finished: bool,
}

impl Recovered {
    /// Whether nothing that was there is missing.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.lost_frames == 0 && self.lost_bytes == 0
    }
}

/// Why nothing was recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The file to be recovered.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// There is not one whole frame in it.
    #[error("{} holds no frame that is whole: {lost_bytes} of its {bytes} bytes are damaged", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// How many of them are damaged.
        lost_bytes: u64,
    },
    /// The new file cannot be made.
    #[error("{} cannot be made", path.display())]
    Create {
        /// Which.
        path: PathBuf,
        /// Why. It is never written over a file that exists.
        source: io::Error,
    },
    /// The new file cannot be written to its end.
    #[error("{} cannot be written", path.display())]
    Finish {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl RecoverError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Recording(error) => error.help(),
            Self::Create { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Some("nothing is overwritten; name another file with -o")
            }
            Self::Nothing { .. } | Self::Create { .. } | Self::Finish { .. } => None,
        }
    }
}

/// The usual name of the new file: `X.mcap` and `X.mcap.partial` -> `X.recovered.mcap`.
#[must_use]
pub fn usual_name(path: &Path) -> PathBuf {
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

/// Copies every frame that is whole into a new file, with a note where frames are missing. The original is only read.
///
/// # Errors
/// It cannot be read, or holds no whole frame: then there is no new file. The new file exists, or cannot be written.
pub fn recover(path: &Path, into: &Path) -> Result<Recovered, RecoverError> {
    let from = Salvage::open(path)?;
    let surveyed = from.cameras().len();
    let mut copy = Copy {
        surveyed,
        from,
        decoders: Decoders::default(),
        cameras: Vec::new(),
        compression: Compression::None,
        to: None,
        done: Recovered {
            path: into.to_owned(),
            frames: 0,
            incidents: 0,
            lost_frames: 0,
            lost_bytes: 0,
            unwritten_bytes: 0,
            finished: false,
        },
    };
    let result = copy.run(path, into);
    if result.is_err() && copy.to.take().is_some() {
        // It was made here; a torn one in place of a torn one helps nobody.
        let _ = std::fs::remove_file(into);
    }
    result.map(|()| copy.done)
}

struct Copy {
    from: Salvage<File>,
    /// Cameras that were known from the beginning.
    surveyed: usize,
    decoders: Decoders,
    cameras: Vec<Target>,
    compression: Compression,
    to: Option<SegmentWriter<BufWriter<File>>>,
    done: Recovered,
}

/// A camera in the new file.
#[derive(Default)]
struct Target {
    number: Option<usize>,
    /// The number of its next frame, if none is missing.
    next: u32,
    /// The highest number of a frame that could not be saved, and its time.
    lost_to: Option<u32>,
    last_ns: i64,
    clock: ClockModel,
}

impl Copy {
    fn run(&mut self, path: &Path, into: &Path) -> Result<(), RecoverError> {
        let mut at = 0;
        loop {
            let read = self.from.next().map_err(|source| RecordingError::Read { at, source })?;
            let Some(found) = read else { break };
            if self.cameras.len() < self.from.cameras().len() {
                self.cameras.resize_with(self.from.cameras().len(), Target::default);
            }
            match found {
                Found::Frame { at: frame_at, recorded, .. } => {
                    at = frame_at;
                    self.frame(&recorded, path, into)?;
                }
                Found::Incident { camera, at_unix_ns, incident } => {
                    let number = self.camera(camera, into)?;
                    self.done.incidents += 1;
                    self.writer(into)?.incident(number, &incident, at_unix_ns)?;
                }
                Found::Lost { camera, sequence, bytes, .. } => {
                    self.done.lost_bytes += bytes;
                    let lost_to = &mut self.cameras[camera].lost_to;
                    *lost_to = (*lost_to).max(Some(sequence));
                }
                Found::Chunk(chunk) => {
                    self.compression = chunk.header.compression.parse().unwrap_or_default();
                    if let Some(to) = &mut self.to {
                        to.flush()?;
                    }
                }
                Found::Record { opcode, .. } => self.done.finished |= opcode == mcap::records::op::FOOTER,
                Found::Damage { len, zeros: true, .. } => self.done.unwritten_bytes += len,
                Found::Damage { len, zeros: false, .. } => self.done.lost_bytes += len,
            }
        }
        if self.done.frames == 0 {
            let (path, bytes, lost_bytes) = (path.to_owned(), self.from.len(), self.done.lost_bytes);
            return Err(RecoverError::Nothing { path, bytes, lost_bytes });
        }
        self.finish(path, into)
    }

    fn frame(&mut self, recorded: &Recorded, path: &Path, into: &Path) -> Result<(), RecoverError> {
        let number = self.camera(recorded.camera, into)?;
        let frame = self.rebuilt(recorded);
        let missing = recorded.sequence.wrapping_sub(self.cameras[recorded.camera].next);
        // Back is another numbering.
        if missing > 0 && missing < u32::MAX / 2 {
            self.gap(recorded.camera, missing, recorded.log_ns, path, into)?;
        }
        let camera = &mut self.cameras[recorded.camera];
        (camera.next, camera.last_ns) = (recorded.sequence.wrapping_add(1), recorded.log_ns);
        if !recorded.wire.stale {
            camera.clock.observe(DeviceTime(recorded.wire.device_time_us), recorded.log_ns);
        }
        self.done.frames += 1;
        let to = self.writer(into)?;
        if !recorded.wire.context.is_empty() {
            to.context(number, &recorded.wire.context);
        }
        to.frame(number, &frame, recorded.publish_ns)?;
        if to.open_bytes() >= CHUNK {
            to.flush()?;
        }
        Ok(())
    }

    /// Notes that frames are missing.
    fn gap(&mut self, camera: usize, frames: u32, at_ns: i64, path: &Path, into: &Path) -> Result<(), RecoverError> {
        self.done.lost_frames += u64::from(frames);
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let text = format!("{frames} frames stood in a damaged part of {name}");
        let gap = Incident { kind: "gap".to_owned(), text, frames: frames.into(), ..Incident::default() };
        let number = self.camera(camera, into)?;
        Ok(self.writer(into)?.incident(number, &gap, at_ns)?)
    }

    /// The number of a camera in the new file.
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

    /// The new file, which is made when there is something to be written into it.
    fn writer(&mut self, into: &Path) -> Result<&mut SegmentWriter<BufWriter<File>>, RecoverError> {
        if self.to.is_none() {
            let created =
                self.from.about().get("created_unix_ns").and_then(|created| created.parse().ok()).unwrap_or(0);
            let file = OpenOptions::new().write(true).create_new(true).open(into);
            let file = file.map_err(|source| RecoverError::Create { path: into.to_owned(), source })?;
            let known: Vec<CameraInfo> = self.from.cameras().take(self.surveyed).cloned().collect();
            self.to = Some(SegmentWriter::new(BufWriter::new(file), self.compression, &known, created)?);
            for (number, camera) in self.cameras.iter_mut().take(self.surveyed).enumerate() {
                camera.number = Some(number);
            }
        }
        Ok(self.to.as_mut().expect("it was just made"))
    }

    /// The frame as it was recorded. What its text says is read again.
    fn rebuilt(&mut self, recorded: &Recorded) -> Frame {
        let decoded = self.decoders.decode(recorded);
        let Recorded { log_ns, wire, payload, .. } = recorded;
        let mut frame = Frame::default();
        frame.id = wire.id;
        frame.at = wire.at;
        frame.dialect = wire.dialect.parse().map_or("", Dialect::name);
        frame.records.clone_from(&wire.records);
        frame.detect_at = usize::try_from(wire.detect_at).unwrap_or(usize::MAX);
        frame.header.clone_from(&wire.header);
        frame.detection_text.clone_from(&wire.detections);
        frame.device_time = DeviceTime(wire.device_time_us);
        frame.camera_seq = wire.camera_seq;
        frame.received = Received { mono_ns: wire.arrival_mono_ns, unix_ns: *log_ns };
        frame.stale = wire.stale;
        frame.kind = PayloadKind::ALL.into_iter().find(|kind| kind.name() == wire.kind).unwrap_or_default();
        frame.geometry = wire.layout.as_ref().and_then(Layout::geometry);
        if let Ok(decoded) = decoded {
            frame.detections.clone_from(&decoded.detections);
            frame.labels.clone_from(&decoded.labels);
        }
        frame.payload_mut(payload.len()).copy_from_slice(payload);
        frame
    }

    fn finish(&mut self, path: &Path, into: &Path) -> Result<(), RecoverError> {
        for camera in 0..self.cameras.len() {
            let Target { next, lost_to, last_ns, .. } = self.cameras[camera];
            if let Some(missing) = lost_to.map(|lost_to| lost_to.wrapping_sub(next).wrapping_add(1))
                && missing > 0
                && missing < u32::MAX / 2
            {
                self.gap(camera, missing, last_ns, path, into)?;
            }
        }
        // In the order of the new file, and of all cameras that it has.
        let mut clocks = vec![BTreeMap::new(); self.cameras.len()];
        for (camera, info) in self.cameras.iter().zip(self.from.cameras()) {
            if let Some(number) = camera.number {
                let known = self.from.clock(&info.name).cloned();
                clocks[number] = known.unwrap_or_else(|| camera.clock.metadata());
            }
        }
        let mut remark = self.from.about().clone();
        remark.remove("crc32");
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        remark.insert("file".to_owned(), name.into_owned());
        for (key, value) in
            [("frames", self.done.frames), ("lost_frames", self.done.lost_frames), ("lost_bytes", self.done.lost_bytes)]
        {
            remark.insert(key.to_owned(), value.to_string());
        }
        let Some(mut to) = self.to.take() else { return Ok(()) };
        let finished = to.remark(REMARK, remark).and_then(|()| to.finish(&clocks)).map_err(RecoverError::from);
        let finished = finished.and_then(|to| {
            let written = to.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
            written.map_err(|source| RecoverError::Finish { path: into.to_owned(), source })
        });
        if finished.is_err() {
            let _ = std::fs::remove_file(into);
        }
        finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_file_lies_beside_the_old_one() {
        for (old, new) in [
            ("a/b.mcap", "a/b.recovered.mcap"),
            ("a/b.mcap.partial", "a/b.recovered.mcap"),
            ("2026-11-21_10-15-00.123.mcap.partial", "2026-11-21_10-15-00.123.recovered.mcap"),
            ("b", "b.recovered.mcap"),
        ] {
            assert_eq!(usual_name(Path::new(old)), Path::new(new));
        }
    }
}
