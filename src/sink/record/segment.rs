//! One file while it is written, and what would be lost if it went no further.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::place::Names;
use crate::frame::Frame;
use crate::recording::disk::{Disk, DiskCondition, DiskMonitor};
use crate::recording::{CameraInfo, Compression, RecordingError, SegmentWriter, schema};

/// A chunk is ended when it is as large as this ...
const CHUNK: u64 = 4 << 20;
/// ... or when its first message has waited so long: with the time to write it, a crash takes less than a second.
pub(super) const OPEN: Duration = Duration::from_millis(500);

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Where it is.
    pub path: PathBuf,
    /// Frames in it, of all cameras.
    pub frames: u64,
    /// Its size.
    pub bytes: u64,
}

pub(super) struct Segment {
    writer: SegmentWriter<Disk>,
    gauge: DiskMonitor,
    names: Names,
    /// Arrival of its first frame, on the clock that never goes backwards.
    since_mono_ns: Option<u64>,
    tally: Tally,
    /// Since when a chunk is open.
    open_since: Option<Instant>,
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Segment {
    pub(super) fn new(
        names: Names,
        disk: Disk,
        compression: Compression,
        cameras: &[CameraInfo],
        begun_unix_ns: i64,
    ) -> Result<Self, RecordingError> {
        let gauge = disk.monitor();
        let writer = SegmentWriter::new(disk, compression, cameras, begun_unix_ns)?;
        let tally = Tally::new(cameras.len());
        Ok(Self { writer, gauge, names, since_mono_ns: None, tally, open_since: Some(Instant::now()) })
    }

    pub(super) fn gauge(&self) -> &DiskMonitor {
        &self.gauge
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.names.partial
    }

    /// Bytes so far; those of the open chunk as they will be at most.
    pub(super) fn bytes(&self) -> u64 {
        self.gauge.flushed() + self.writer.open_bytes()
    }

    pub(super) fn context(&mut self, camera: usize, records: &[u8]) {
        self.writer.context(camera, records);
    }

    pub(super) fn frame(&mut self, camera: usize, frame: &Frame, publish_ns: i64) -> Result<(), RecordingError> {
        // Counted first: what fails half way is in the file no more than what was never written.
        self.tally.frame(camera);
        self.since_mono_ns.get_or_insert(frame.received.mono_ns);
        self.open_since.get_or_insert_with(Instant::now);
        self.writer.frame(camera, frame, publish_ns)?;
        self.flush_if_due()
    }

    pub(super) fn incident(
        &mut self,
        camera: usize,
        incident: &schema::RecordedIncident,
        unix_ns: i64,
    ) -> Result<(), RecordingError> {
        self.open_since.get_or_insert_with(Instant::now);
        self.writer.incident(camera, incident, unix_ns)
    }

    /// Marks that so many frames of a camera are missing here, if any.
    pub(super) fn gap(&mut self, camera: usize, frames: u64, unix_ns: i64) -> Result<(), RecordingError> {
        if frames == 0 {
            return Ok(());
        }
        self.tally.gap(camera, frames);
        let text = format!("{frames} frames are missing: the recorder could not write them");
        let kind = schema::IncidentKind::Gap.to_string();
        let incident = schema::RecordedIncident { kind, text, frames, ..schema::RecordedIncident::default() };
        self.incident(camera, &incident, unix_ns)
    }

    /// How long it is when a frame comes that arrived then.
    pub(super) fn length(&self, mono_ns: u64) -> Duration {
        Duration::from_nanos(self.since_mono_ns.map_or(0, |since| mono_ns.saturating_sub(since)))
    }

    /// How long the open chunk can stay open; `None` when there is none.
    pub(super) fn due(&self) -> Option<Duration> {
        self.open_since.map(|since| OPEN.saturating_sub(since.elapsed()))
    }

    pub(super) fn flush_if_due(&mut self) -> Result<(), RecordingError> {
        if self.writer.open_bytes() < CHUNK && self.due().is_none_or(|due| !due.is_zero()) {
            return Ok(());
        }
        self.writer.flush()?;
        self.open_since = None;
        self.tally.flushed(self.gauge.flushed(), self.gauge.written());
        Ok(())
    }

    /// Ends the file and gives it its name. A full disk is waited for while `go_on` says so.
    ///
    /// # Errors
    /// Why that did not work, and what is not in the file that is left behind.
    pub(super) fn finish(
        self,
        clocks: &[BTreeMap<String, String>],
        mut go_on: impl FnMut() -> bool,
    ) -> Result<Saved, (String, Lost)> {
        // The writer flushes; here it is seen to that this does not wait for a full disk without asking.
        loop {
            match self.gauge.wait_for_room(Duration::from_millis(200)) {
                Ok(true) => break,
                Ok(false) if self.gauge.condition() != DiskCondition::Full || go_on() => {}
                Ok(false) => {
                    self.gauge.give_up();
                    return Err(("the disk is full".to_owned(), self.lost()));
                }
                Err(error) => return Err((error.to_string(), self.lost())),
            }
        }
        let Self { writer, gauge, names, mut tally, .. } = self;
        let lost = |why: String, tally: &Tally| (why, tally.lost(gauge.written(), names.partial.exists()));
        let disk = writer.finish(clocks).map_err(|error| lost(chain(&error), &tally))?;
        let bytes = disk.position();
        tally.flushed(bytes, gauge.written());
        disk.finish(go_on).map_err(|error| lost(error.to_string(), &tally))?;
        let path = names
            .finish()
            .map_err(|error| lost(format!("{} cannot be renamed: {error}", names.partial.display()), &tally))?;
        Ok(Saved { path, frames: tally.all.frames.iter().sum(), bytes })
    }

    /// What is not in the file if nothing more is written.
    pub(super) fn lost(&self) -> Lost {
        self.tally.lost(self.gauge.written(), self.names.partial.exists())
    }
}

/// What a file that could not be finished does not hold, for each camera.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) frames: Vec<u64>,
    /// Frames that were missing before, and that it would have said so of.
    pub(super) gaps: Vec<u64>,
    /// Whether some frame is in the file.
    pub(super) some_are_there: bool,
}

/// Frames of each camera, and how many of them were missing.
#[derive(Clone, Debug)]
struct Counted {
    frames: Vec<u64>,
    gaps: Vec<u64>,
}

impl Counted {
    fn new(cameras: usize) -> Self {
        Self { frames: vec![0; cameras], gaps: vec![0; cameras] }
    }

    fn add(&mut self, other: &Self) {
        self.frames.iter_mut().zip(&other.frames).for_each(|(all, more)| *all += more);
        self.gaps.iter_mut().zip(&other.gaps).for_each(|(all, more)| *all += more);
    }
}

/// Which frames are in which bytes.
#[derive(Debug)]
struct Tally {
    all: Counted,
    /// Of those, what is in the open chunk.
    open: Counted,
    /// Chunks that are not known to be in the file: where they end, and what is in them.
    chunks: VecDeque<(u64, Counted)>,
}

impl Tally {
    fn new(cameras: usize) -> Self {
        Self { all: Counted::new(cameras), open: Counted::new(cameras), chunks: VecDeque::new() }
    }

    fn frame(&mut self, camera: usize) {
        self.all.frames[camera] += 1;
        self.open.frames[camera] += 1;
    }

    fn gap(&mut self, camera: usize, frames: u64) {
        self.all.gaps[camera] += frames;
        self.open.gaps[camera] += frames;
    }

    /// The open chunk is in the bytes before `end`; those before `written` are in the file.
    fn flushed(&mut self, end: u64, written: u64) {
        let none = Counted::new(self.all.frames.len());
        self.chunks.push_back((end, std::mem::replace(&mut self.open, none)));
        while self.chunks.front().is_some_and(|(end, _)| *end <= written) {
            self.chunks.pop_front();
        }
    }

    /// Of a file that is gone everything is lost, of another one what stands behind the bytes that were written.
    fn lost(&self, written: u64, exists: bool) -> Lost {
        let mut lost = self.open.clone();
        for (_, chunk) in self.chunks.iter().filter(|(end, _)| *end > written) {
            lost.add(chunk);
        }
        let Counted { frames, gaps } = if exists { lost } else { self.all.clone() };
        Lost { some_are_there: frames != self.all.frames, frames, gaps }
    }
}

/// An error and what is behind it, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        // Some say what is behind them themselves.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_file_is_known() {
        let mut tally = Tally::new(2);
        let lost = |frames: [u64; 2], gaps: [u64; 2], some_are_there| Lost {
            frames: frames.to_vec(),
            gaps: gaps.to_vec(),
            some_are_there,
        };
        tally.frame(0);
        tally.flushed(100, 0);
        tally.gap(1, 7);
        tally.frame(1);
        tally.frame(0);
        tally.flushed(200, 0);
        tally.frame(1);
        assert_eq!(tally.lost(99, true), lost([2, 2], [0, 7], false));
        assert_eq!(tally.lost(100, true), lost([1, 2], [0, 7], true));
        assert_eq!(tally.lost(200, true), lost([0, 1], [0, 0], true));
        assert_eq!(tally.lost(200, false), lost([2, 2], [0, 7], false), "the file is gone");
        tally.flushed(300, 200);
        assert_eq!(tally.chunks.len(), 1, "what is in the file is forgotten");
        assert_eq!(tally.lost(300, true), lost([0, 0], [0, 0], true));
    }
}
