//! One file while it is written, and the frames that would be lost if writing stopped.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::by_stream::ByStream;
use super::target::FileNames;
use crate::error::with_causes;
use crate::frame::Frame;
use crate::recording::disk::{Disk, DiskMonitor};
use crate::recording::{CameraInfo, Compression, Part, RecordingError, SegmentWriter, schema};
use crate::units::count;

/// Size at which a chunk is ended.
const CHUNK_BYTES_MAX: u64 = 4 << 20;
/// Age at which a chunk is ended. With the time to write it, a crash loses less than 1 s.
const CHUNK_DURATION_MAX: Duration = Duration::from_millis(500);

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RecordedFile {
    /// Path of the file.
    #[serde(serialize_with = "crate::file::serialize_path")]
    pub path: PathBuf,
    /// Frames in the file, of all cameras.
    pub frames: u64,
    /// Size of the file.
    pub bytes: u64,
}

/// A finished file with its content.
#[derive(Debug)]
pub(super) struct FinishedSegment {
    pub(super) file: RecordedFile,
    /// Frames in it, by camera of the file: each further stream of a connection is one.
    pub(super) frames: BTreeMap<String, u64>,
}

pub(super) struct Segment {
    writer: SegmentWriter<Disk>,
    monitor: DiskMonitor,
    names: FileNames,
    /// Arrival of the first frame.
    first_mono_ns: Option<u64>,
    tally: ChunkTally,
    /// Time at which the open chunk was started.
    open_since: Option<Instant>,
    has_numbers: bool,
    /// Number of cameras without the further streams.
    cameras: usize,
    /// Name of each camera and stream in the file.
    channels: Vec<String>,
    streams: Vec<StreamChannel>,
}

/// A stream that is not the first one of its camera.
struct StreamChannel {
    camera: usize,
    name: Arc<str>,
    /// Its number in the file.
    number: usize,
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Segment {
    pub(super) fn new(
        names: FileNames,
        disk: Disk,
        compression: Compression,
        cameras: &[CameraInfo],
        begun_unix_ns: i64,
        part: &Part,
    ) -> Result<Self, RecordingError> {
        let monitor = disk.monitor();
        let mut writer = SegmentWriter::new(disk, compression, cameras, begun_unix_ns)?;
        writer.part(part)?;
        let tally = ChunkTally::new(cameras.len());
        Ok(Self {
            writer,
            monitor,
            names,
            first_mono_ns: None,
            tally,
            open_since: Some(Instant::now()),
            has_numbers: false,
            cameras: cameras.len(),
            channels: cameras.iter().map(|camera| camera.name.replace('/', "_")).collect(),
            streams: Vec::new(),
        })
    }

    pub(super) fn monitor(&self) -> &DiskMonitor {
        &self.monitor
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.names.partial
    }

    /// Returns whether the file has a frame or a number of a camera, or will have.
    pub(super) const fn has_content(&self) -> bool {
        self.first_mono_ns.is_some() || self.has_numbers
    }

    /// Returns the size of the file, with the open chunk before compression.
    pub(super) fn bytes(&self) -> u64 {
        self.monitor.flushed() + self.writer.open_bytes()
    }

    /// Returns the memory in bytes that the frames in it take: those that wait for the disk, and buffers.
    pub(super) fn memory_bytes(&self) -> usize {
        let waiting = usize::try_from(self.bytes().saturating_sub(self.monitor.written())).unwrap_or(usize::MAX);
        waiting.saturating_add(self.writer.buffer_bytes())
    }

    /// Returns the memory in bytes that writing a frame takes in addition, at most.
    pub(super) fn frame_memory(segment: Option<&Self>, frame: &Frame) -> usize {
        let buffers = segment.map_or(0, |segment| segment.writer.buffer_bytes());
        SegmentWriter::<Disk>::frame_memory(frame).saturating_sub(buffers)
    }

    /// Hands everything to the disk and frees the buffers.
    pub(super) fn release_memory(&mut self) -> Result<(), RecordingError> {
        self.writer.free_buffers();
        if self.writer.open_bytes() == 0 { Ok(()) } else { self.flush() }
    }

    pub(super) fn context(&mut self, camera: usize, records: &[u8]) {
        self.writer.context(camera, records);
    }

    /// Adds a stream of a camera, if the file does not have it: it is a camera of its own there, with the name `NAME_STREAM`.
    /// `context`: returns the records that still apply.
    ///
    /// # Errors
    /// The file has too many cameras.
    pub(super) fn add_stream(
        &mut self,
        camera: usize,
        name: &Arc<str>,
        of: &CameraInfo,
        context: impl FnOnce() -> Vec<u8>,
    ) -> Result<(), RecordingError> {
        if self.stream(camera, name).is_some() {
            return Ok(());
        }
        let whole = format!("{}_{name}", of.name);
        let numbered = (2..).map(|number| format!("{whole}-{number}"));
        let free = std::iter::once(whole.clone()).chain(numbered).find(|name| !self.writer.has_camera(name));
        let named = CameraInfo { name: free.unwrap_or(whole), ..of.clone() };
        let number = self.writer.camera(&named)?;
        self.writer.context(number, &context());
        self.channels.push(named.name.replace('/', "_"));
        self.tally.grow(self.channels.len());
        self.streams.push(StreamChannel { camera, name: Arc::clone(name), number });
        Ok(())
    }

    /// Returns the number of a stream in the file.
    fn stream(&self, camera: usize, name: &str) -> Option<usize> {
        let found = self.streams.iter().find(|stream| stream.camera == camera && *stream.name == *name);
        found.map(|stream| stream.number)
    }

    /// Returns the number in the file of a camera, or of one of its further streams.
    fn number(&self, camera: usize, stream: Option<&Arc<str>>) -> usize {
        stream.and_then(|name| self.stream(camera, name)).unwrap_or(camera)
    }

    /// Writes a frame. Its stream must have been [added](Self::add_stream).
    pub(super) fn frame(
        &mut self,
        camera: usize,
        frame: &Frame,
        log_ns: i64,
        publish_ns: i64,
    ) -> Result<(), RecordingError> {
        let number = self.number(camera, frame.stream.as_ref());
        // Counted first: a frame that fails half way is lost like one that was never written.
        self.tally.frame(number);
        self.first_mono_ns.get_or_insert(frame.received.mono_ns);
        self.open_since.get_or_insert_with(Instant::now);
        self.writer.frame_at(number, frame, log_ns, publish_ns)?;
        self.flush_if_due()
    }

    /// Writes an incident of a camera, or of one of its further streams. Its stream must have been [added](Self::add_stream).
    pub(super) fn incident(
        &mut self,
        camera: usize,
        stream: Option<&Arc<str>>,
        incident: &schema::RecordedIncident,
        unix_ns: i64,
    ) -> Result<(), RecordingError> {
        self.open_since.get_or_insert_with(Instant::now);
        self.has_numbers |= incident.kind() == Some(schema::IncidentKind::Measurement);
        self.writer.incident(self.number(camera, stream), incident, unix_ns)
    }

    /// Marks a gap of this many frames of a camera, or of one of its further streams. Its stream must have been
    /// [added](Self::add_stream).
    pub(super) fn gap(
        &mut self,
        camera: usize,
        stream: Option<&Arc<str>>,
        frames: u64,
        unix_ns: i64,
    ) -> Result<(), RecordingError> {
        self.tally.gap(self.number(camera, stream), frames);
        let text = count(frames, "frame is missing", "frames are missing") + ": the recorder could not write them";
        let kind = schema::IncidentKind::Gap.to_string();
        let incident = schema::RecordedIncident { kind, text, frames, ..schema::RecordedIncident::default() };
        self.incident(camera, stream, &incident, unix_ns)
    }

    /// Returns the time from the first frame to one with this arrival.
    pub(super) fn duration(&self, mono_ns: u64) -> Duration {
        Duration::from_nanos(self.first_mono_ns.map_or(0, |since| mono_ns.saturating_sub(since)))
    }

    /// Returns how long the open chunk may stay open, or `None` if no chunk is open.
    pub(super) fn flush_due_in(&self) -> Option<Duration> {
        self.open_since.map(|since| CHUNK_DURATION_MAX.saturating_sub(since.elapsed()))
    }

    pub(super) fn flush_if_due(&mut self) -> Result<(), RecordingError> {
        if self.writer.open_bytes() < CHUNK_BYTES_MAX && self.flush_due_in().is_none_or(|due| !due.is_zero()) {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), RecordingError> {
        self.writer.flush()?;
        self.open_since = None;
        self.tally.flushed(self.monitor.flushed(), self.monitor.written());
        Ok(())
    }

    /// Finishes and renames the file. Waits for a disk that is full or slow while `keep_waiting` returns `true`.
    ///
    /// # Errors
    /// The reason, and the frames that are not in the unfinished file.
    pub(super) fn finish(
        self,
        clocks: &[BTreeMap<String, String>],
        mut keep_waiting: impl FnMut() -> bool,
    ) -> Result<FinishedSegment, (String, LostFrames)> {
        // Finishing flushes, which would wait without asking `keep_waiting`.
        loop {
            match self.monitor.wait_for_room(Duration::from_millis(200)) {
                Ok(true) => break,
                Ok(false) if keep_waiting() => {}
                Ok(false) => self.monitor.give_up(),
                Err(error) => return Err((error.to_string(), self.lost())),
            }
        }
        let Self { writer, monitor, names, mut tally, streams, cameras, channels, .. } = self;
        // The streams of a camera have its clock.
        let of_streams = streams.iter().filter_map(|stream| clocks.get(stream.camera));
        let clocks: Vec<_> = clocks.iter().chain(of_streams).cloned().collect();
        let lost = |why: String, tally: &ChunkTally| {
            let lost = tally.lost(monitor.written(), names.partial_exists());
            (why, LostFrames::of(lost, &tally.all, cameras, &channels, &streams))
        };
        let disk = writer.finish(&clocks).map_err(|error| lost(with_causes(&error), &tally))?;
        let bytes = disk.position();
        tally.flushed(bytes, monitor.written());
        disk.finish(keep_waiting).map_err(|error| lost(error.to_string(), &tally))?;
        let path = names
            .finish()
            .map_err(|error| lost(format!("cannot rename {}: {error}", names.partial.display()), &tally))?;
        let file = RecordedFile { path, frames: tally.all.frames.iter().sum(), bytes };
        let frames = channels.into_iter().zip(tally.all.frames).collect();
        Ok(FinishedSegment { file, frames })
    }

    /// Sets the frames of each camera that are not in the file yet.
    pub(super) fn unwritten(&self, frames: &mut Vec<u64>) {
        self.tally.unwritten(self.monitor.written(), frames);
        per_camera(frames, self.cameras, &self.streams);
    }

    /// Returns the frames that are not in the file if nothing more is written.
    pub(super) fn lost(&self) -> LostFrames {
        let lost = self.tally.lost(self.monitor.written(), self.names.partial_exists());
        LostFrames::of(lost, &self.tally.all, self.cameras, &self.channels, &self.streams)
    }
}

/// Adds the counts of further streams to those of their cameras.
fn per_camera(counts: &mut Vec<u64>, cameras: usize, streams: &[StreamChannel]) {
    for stream in streams {
        counts[stream.camera] += counts[stream.number];
    }
    counts.truncate(cameras);
}

/// Frames per camera that are missing in a file that could not be finished.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LostFrames {
    pub(super) frames: Vec<u64>,
    /// The same by stream, with those that were missing before, whose gap markers are missing as well.
    pub(super) unmarked: Vec<ByStream>,
    /// Gap markers that are missing as well.
    pub(super) gap_markers: u64,
    /// Frames that are in the file, by camera of the file. Empty if it has none.
    pub(super) in_file: BTreeMap<String, u64>,
}

impl LostFrames {
    /// `lost`: the counts by number in the file; `all`: those of all frames.
    fn of(
        lost: FrameCounts,
        all: &FrameCounts,
        cameras: usize,
        channels: &[String],
        streams: &[StreamChannel],
    ) -> Self {
        let in_file = channels.iter().zip(&all.frames).zip(&lost.frames).map(|((name, all), lost)| (name, all - lost));
        let in_file = in_file.filter(|(_, frames)| *frames > 0).map(|(name, frames)| (name.clone(), frames)).collect();
        let FrameCounts { mut frames, gaps, gap_markers } = lost;
        let mut unmarked = vec![ByStream::default(); cameras];
        for (number, missing) in frames.iter().zip(&gaps).map(|(frames, gaps)| frames + gaps).enumerate() {
            match streams.iter().find(|stream| stream.number == number) {
                Some(stream) => unmarked[stream.camera].add(Some(&stream.name), missing),
                None => unmarked[number].add(None, missing),
            }
        }
        per_camera(&mut frames, cameras, streams);
        Self { frames, unmarked, gap_markers, in_file }
    }
}

/// Recorded frames and missing frames, by number of the camera or stream in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FrameCounts {
    frames: Vec<u64>,
    gaps: Vec<u64>,
    gap_markers: u64,
}

impl FrameCounts {
    fn new(cameras: usize) -> Self {
        Self { frames: vec![0; cameras], gaps: vec![0; cameras], gap_markers: 0 }
    }

    fn grow(&mut self, channels: usize) {
        self.frames.resize(channels, 0);
        self.gaps.resize(channels, 0);
    }

    /// Adds counts of the same or fewer channels.
    fn add(&mut self, other: &Self) {
        self.frames.iter_mut().zip(&other.frames).for_each(|(all, more)| *all += more);
        self.gaps.iter_mut().zip(&other.gaps).for_each(|(all, more)| *all += more);
        self.gap_markers += other.gap_markers;
    }
}

/// Frames per chunk, to know which of them are in the file.
#[derive(Debug)]
struct ChunkTally {
    all: FrameCounts,
    /// Part of `all` in the open chunk.
    open: FrameCounts,
    /// Chunks that may not be in the file yet, with the offset of their end.
    chunks: VecDeque<(u64, FrameCounts)>,
}

impl ChunkTally {
    fn new(cameras: usize) -> Self {
        Self { all: FrameCounts::new(cameras), open: FrameCounts::new(cameras), chunks: VecDeque::new() }
    }

    fn grow(&mut self, channels: usize) {
        self.all.grow(channels);
        self.open.grow(channels);
    }

    fn frame(&mut self, channel: usize) {
        self.all.frames[channel] += 1;
        self.open.frames[channel] += 1;
    }

    fn gap(&mut self, camera: usize, frames: u64) {
        for counts in [&mut self.all, &mut self.open] {
            counts.gaps[camera] += frames;
            counts.gap_markers += 1;
        }
    }

    /// Ends the open chunk at offset `end`. Bytes before `written` are in the file.
    fn flushed(&mut self, end: u64, written: u64) {
        let none = FrameCounts::new(self.all.frames.len());
        self.chunks.push_back((end, std::mem::replace(&mut self.open, none)));
        while self.chunks.front().is_some_and(|(end, _)| *end <= written) {
            self.chunks.pop_front();
        }
    }

    fn unwritten(&self, written: u64, frames: &mut Vec<u64>) {
        frames.clone_from(&self.open.frames);
        for (_, chunk) in self.chunks.iter().filter(|(end, _)| *end > written) {
            frames.iter_mut().zip(&chunk.frames).for_each(|(all, more)| *all += more);
        }
    }

    /// Returns the frames after offset `written`, or all frames if the file is gone.
    fn lost(&self, written: u64, exists: bool) -> FrameCounts {
        if !exists {
            return self.all.clone();
        }
        let mut lost = self.open.clone();
        for (_, chunk) in self.chunks.iter().filter(|(end, _)| *end > written) {
            lost.add(chunk);
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_frames_are_those_of_unwritten_chunks() {
        let mut tally = ChunkTally::new(2);
        let lost = |frames: [u64; 2], gaps: [u64; 2]| {
            let gap_markers = gaps.iter().filter(|frames| **frames > 0).count() as u64;
            FrameCounts { frames: frames.to_vec(), gaps: gaps.to_vec(), gap_markers }
        };
        tally.frame(0);
        tally.flushed(100, 0);
        tally.gap(1, 7);
        tally.frame(1);
        tally.frame(0);
        tally.flushed(200, 0);
        tally.frame(1);
        assert_eq!(tally.lost(99, true), lost([2, 2], [0, 7]));
        assert_eq!(tally.lost(100, true), lost([1, 2], [0, 7]));
        assert_eq!(tally.lost(200, true), lost([0, 1], [0, 0]));
        let mut unwritten = Vec::new();
        tally.unwritten(99, &mut unwritten);
        assert_eq!(unwritten, [2, 2]);
        assert_eq!(tally.lost(200, false), lost([2, 2], [0, 7]), "the file was deleted");
        tally.flushed(300, 200);
        assert_eq!(tally.chunks.len(), 1, "chunks in the file are no longer kept");
        assert_eq!(tally.lost(300, true), lost([0, 0], [0, 0]));
    }

    #[test]
    fn frames_of_a_stream_count_for_its_camera_and_are_named_in_the_file() {
        let mut tally = ChunkTally::new(2);
        tally.frame(1);
        tally.flushed(100, 0);
        // The stream begins after the first chunk.
        tally.grow(3);
        tally.frame(2);
        tally.frame(2);
        tally.flushed(200, 0);
        tally.frame(1);
        tally.frame(2);
        let streams = [StreamChannel { camera: 1, name: "depth".into(), number: 2 }];
        let channels = ["a", "b", "b_depth"].map(str::to_owned);
        let of = |written, exists| LostFrames::of(tally.lost(written, exists), &tally.all, 2, &channels, &streams);
        let in_file = |counts: &[(&str, u64)]| counts.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        let depth = Arc::from("depth");
        let lost = |first: u64, of_depth: u64, counts| {
            let mut unmarked = vec![ByStream::default(); 2];
            unmarked[1].add(None, first);
            unmarked[1].add(Some(&depth), of_depth);
            let in_file = in_file(counts);
            LostFrames { frames: vec![0, first + of_depth], unmarked, gap_markers: 0, in_file }
        };
        assert_eq!(of(200, true), lost(1, 1, &[("b", 1), ("b_depth", 2)]));
        assert_eq!(of(100, true), lost(1, 3, &[("b", 1)]));
        assert_eq!(of(200, false), lost(2, 3, &[]));
    }
}
