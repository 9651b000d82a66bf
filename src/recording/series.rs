//! The files of one camera as one recording: `oaktap record --split` writes several.
//!
//! [`join`] finds the files that belong together, and [`Series`] reads them one after the other.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use super::parts::{self, PartFile};
use super::schema::{IncidentKind, RecordedIncident};
use super::{Reader, RecordedFrame, RecordingEntry, RecordingError};
use crate::wire::LINE;

/// Consecutive files overlap by at most this, in nanoseconds: a file of several cameras ends while some of them have already
/// begun the next one.
const OVERLAP_MAX_NS: i64 = 1_000_000_000;
/// Pause between files of one recording that do not say to which recording they belong, in nanoseconds.
const PART_PAUSE_MAX_NS: i64 = 1_000_000_000;
/// Damaged places that are counted.
const PLACES_MAX: usize = 10_000;
/// The clocks of camera and host differ by at most this more or less between two frames, in nanoseconds, unless the camera
/// has restarted.
const CLOCKS_APART_MAX_NS: i128 = 2_000_000_000;
/// Frames after the start of a camera in which its description of the stream is looked for, and of these frames in a row
/// without a record.
const INTRODUCTION_FRAMES_MAX: usize = 64;
const FRAMES_WITHOUT_RECORDS: usize = 4;
/// The last temperature is looked for in this time before a seek's target, in nanoseconds.
const HEALTH_NS: i64 = 2_000_000_000;
/// Bounds the records that are kept: 512 KiB.
const RECORDS_MAX: usize = 16_384 * LINE;

/// The recordings of one camera, in the order of their times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraFiles {
    /// Name of the camera.
    pub name: String,
    /// The files. There is at least one.
    pub paths: Vec<PathBuf>,
    /// Arrival of the first and the last message of each file with messages, in nanoseconds since 1970, UTC.
    pub spans: Vec<(i64, i64)>,
    /// The recording of the last file, if it says to which it belongs: [`Part::recording`](super::Part::recording).
    pub recording: Option<String>,
}

/// The files of a camera that [`join`] joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// All recordings of the camera in a folder that follow each other in time.
    Recordings,
    /// The files of one recording, which `oaktap record --split` has written. Where files do not say to which recording they
    /// belong: those that follow each other within 1 s.
    Parts,
}

impl CameraFiles {
    /// Arrival of the first and the last message in nanoseconds since 1970, UTC.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        let first = self.spans.iter().map(|span| span.0).min()?;
        Some((first, self.spans.iter().map(|span| span.1).max()?))
    }

    /// Opens the files.
    ///
    /// # Errors
    /// See [`Series::new`]; also if the first file does not have the camera.
    pub fn open(&self) -> Result<Series, RecordingError> {
        let first = Reader::open(&self.paths[0])?;
        let camera = camera_index(&first, &self.name)?;
        Series::new(first, &self.paths[1..], camera)
    }

    /// Returns whether a file with these times continues the recording.
    fn is_continued_by(&self, (from, to): (i64, i64)) -> bool {
        self.spans
            .last()
            .is_none_or(|last| from > last.0 && to > last.1 && from >= last.1.saturating_sub(OVERLAP_MAX_NS))
    }

    /// Returns whether a file, which continues this recording in time, is a part of it.
    fn has_part(&self, file: &Self) -> bool {
        let is_near = || match (self.spans.last(), file.spans.first()) {
            (Some(last), Some(next)) => next.0.saturating_sub(last.1) <= PART_PAUSE_MAX_NS,
            _ => true,
        };
        match (&self.recording, &file.recording) {
            (None, None) => is_near(),
            (one, other) => one == other,
        }
    }
}

/// Joins files of each camera that are in one folder and follow each other in time. Files that overlap stay apart. Keeps the
/// order of the given cameras.
#[must_use]
pub fn join(found: Vec<CameraFiles>, joining: Joining) -> Vec<CameraFiles> {
    let mut numbered: Vec<(usize, CameraFiles)> = found.into_iter().enumerate().collect();
    // The first file of a recording is not always the first by name.
    numbered.sort_by_key(|(_, file)| file.span());
    let mut joined: Vec<(usize, CameraFiles)> = Vec::new();
    let folder = |files: &CameraFiles| files.paths[0].parent().map(Path::to_owned);
    let mut places = std::collections::HashMap::<_, Vec<usize>>::new();
    for (number, file) in numbered {
        let before = places.entry((folder(&file), file.name.clone())).or_default();
        let continued = before.iter().copied().find(|at| {
            // A file without messages belongs anywhere.
            let files = &joined[*at].1;
            file.span().is_none_or(|span| files.is_continued_by(span))
                && (joining == Joining::Recordings || files.has_part(&file))
        });
        if let Some(at) = continued {
            let (first, files) = &mut joined[at];
            *first = number.min(*first);
            files.paths.extend(file.paths);
            files.spans.extend(file.spans);
            files.recording = file.recording.or(files.recording.take());
        } else {
            before.push(joined.len());
            joined.push((number, file));
        }
    }
    joined.sort_by_key(|(number, _)| *number);
    joined.into_iter().map(|(_, files)| files).collect()
}

/// Reads one camera from consecutive files, of which one is open at a time.
#[derive(Debug)]
pub struct Series {
    /// Each file, with the arrival of its first and last message in nanoseconds since 1970, UTC.
    files: Vec<(PathBuf, Option<(i64, i64)>)>,
    camera: String,
    /// The open file, its number, and the index of the camera in it.
    reader: Reader,
    number: usize,
    index: usize,
    /// Indices of the cameras in it that are further streams of the same connection.
    beside: Vec<usize>,
    ended: bool,
    /// Found, but not returned yet.
    queue: VecDeque<RecordingEntry>,
    /// The file of the last frame that was returned since the last seek, and whether the one before was in another.
    last_number: Option<usize>,
    begins_file: bool,
    /// The first damage, and the places of all: number of the file and position.
    damage: Option<RecordingError>,
    places: BTreeSet<(usize, u64)>,
    /// The last result of [`Self::records_at`] without temperatures, with the number of its file and a frame to which it
    /// applies.
    known: Option<(usize, FrameTimes, Vec<u8>)>,
}

/// An entry of a camera, or a frame of another stream of its connection.
#[derive(Debug)]
pub(crate) enum ConnectionEntry {
    /// A frame or incident of the camera.
    Own(RecordingEntry),
    /// A frame of another stream.
    Beside(RecordedFrame),
}

/// Arrival and capture of a frame.
#[derive(Clone, Copy, Debug)]
struct FrameTimes {
    log_ns: i64,
    device_us: i64,
}

impl FrameTimes {
    fn of(frame: &RecordedFrame) -> Self {
        Self { log_ns: frame.log_ns, device_us: frame.wire.device_time_us }
    }

    /// Returns whether the camera has not restarted between two frames: its clock and the host's have advanced alike. It
    /// describes its stream in the same way until then.
    fn is_same_start(self, other: Self) -> bool {
        let device_ns = i128::from(self.device_us.saturating_sub(other.device_us)) * 1000;
        let passed_ns = i128::from(self.log_ns) - i128::from(other.log_ns);
        (device_ns - passed_ns).abs() <= CLOCKS_APART_MAX_NS + passed_ns.abs() / 1000
    }
}

impl Series {
    /// Reads a camera of a recording, which continues in the `later` files. `camera` is an index in [`Reader::cameras`].
    ///
    /// # Errors
    /// A later file cannot be opened, or does not have the camera.
    ///
    /// # Panics
    /// The first file does not have the camera.
    pub fn new(first: Reader, later: &[PathBuf], camera: usize) -> Result<Self, RecordingError> {
        let name = first.cameras().nth(camera).expect("a camera of the recording").name.clone();
        let mut files = vec![(first.path().to_owned(), first.span())];
        for path in later {
            let reader = Reader::open(path)?;
            camera_index(&reader, &name)?;
            files.push((path.clone(), reader.span()));
        }
        Ok(Self {
            files,
            camera: name,
            beside: beside(&first, camera),
            reader: first,
            number: 0,
            index: camera,
            ended: false,
            queue: VecDeque::new(),
            last_number: None,
            begins_file: false,
            damage: None,
            places: BTreeSet::new(),
            known: None,
        })
    }

    /// Path of the first file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.files[0].0
    }

    /// Arrival of the first and the last message, in nanoseconds since 1970, UTC.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        let spans = || self.files.iter().filter_map(|(_, span)| *span);
        Some((spans().map(|span| span.0).min()?, spans().map(|span| span.1).max()?))
    }

    /// Returns the next frame or incident of the camera; `None` at the end. Continues after damage, with an incident for
    /// the frames that are known to be missing.
    pub fn next_entry(&mut self) -> Option<RecordingEntry> {
        loop {
            if let ConnectionEntry::Own(entry) = self.next_of_connection()? {
                return Some(entry);
            }
        }
    }

    /// Like [`Self::next_entry`], with the frames of the other streams of the connection between those of the camera.
    pub(crate) fn next_of_connection(&mut self) -> Option<ConnectionEntry> {
        while !self.ended {
            if let Some(entry) = self.queue.pop_front() {
                return Some(ConnectionEntry::Own(entry));
            }
            match self.reader.next_entry() {
                Ok(Some(entry)) if owner(&entry) == self.index => {
                    if matches!(entry, RecordingEntry::Frame(_)) {
                        let last = self.last_number.replace(self.number);
                        self.begins_file = last.is_some_and(|last| last != self.number);
                    }
                    return Some(ConnectionEntry::Own(entry));
                }
                Ok(Some(RecordingEntry::Frame(frame))) if self.beside.contains(&frame.camera) => {
                    return Some(ConnectionEntry::Beside(frame));
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.note(self.reader.damage());
                    self.open_next();
                }
                Err(RecordingError::Unsupported { camera, .. }) if camera != self.index => {}
                Err(error) => {
                    let ends_file = !error.is_damage();
                    self.note(Some(error));
                    if ends_file {
                        self.open_next();
                    }
                }
            }
        }
        None
    }

    /// Returns whether the last frame was the first one of a later file.
    pub(crate) const fn begins_file(&self) -> bool {
        self.begins_file
    }

    /// Returns whether a later file is open of which no frame was returned yet.
    pub(crate) fn is_between_files(&self) -> bool {
        self.last_number.is_some_and(|last| last != self.number)
    }

    /// Seeks to the beginning.
    ///
    /// # Errors
    /// The first file cannot be read.
    pub fn rewind(&mut self) -> Result<(), RecordingError> {
        self.last_number = None;
        self.open(0)?;
        self.reader.rewind()
    }

    /// Seeks to the first chunk with messages that arrived at this time (nanoseconds since 1970, UTC) or later, or to the
    /// end if there is none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn seek(&mut self, unix_ns: i64) -> Result<(), RecordingError> {
        self.last_number = None;
        let has_later = |(_, span): &(PathBuf, Option<(i64, i64)>)| span.is_some_and(|(_, to)| to >= unix_ns);
        self.open(self.files.iter().position(has_later).unwrap_or(self.files.len() - 1))?;
        self.reader.seek(unix_ns)
    }

    /// Returns the records that the camera sent before the first frame at this time or later, and that apply to it. Moves
    /// the reader.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn records_at(&mut self, unix_ns: i64) -> Result<Vec<u8>, RecordingError> {
        self.seek(unix_ns.saturating_sub(HEALTH_NS))?;
        let mut health = None;
        let target = loop {
            match self.next_entry() {
                Some(RecordingEntry::Frame(frame)) if frame.log_ns >= unix_ns => break FrameTimes::of(&frame),
                Some(RecordingEntry::Frame(frame)) => {
                    let lines = frame.wire.records.as_chunks::<LINE>().0;
                    let found = lines.iter().rfind(|line| kind(line) == b'T');
                    health = found.map(|line| (FrameTimes::of(&frame), *line)).or(health);
                }
                Some(RecordingEntry::Incident { .. }) => {}
                None => return Ok(Vec::new()),
            }
        };
        let known =
            self.known.take().filter(|(number, known, _)| *number == self.number && known.is_same_start(target));
        let found = known.map_or_else(|| self.introduction(target), |(_, _, records)| records);
        let health = health.filter(|(times, _)| times.is_same_start(target));
        let records = [found.as_slice(), health.as_ref().map_or(&[], |(_, line)| line)].concat();
        self.known = Some((self.number, target, found));
        Ok(records)
    }

    /// Returns how the camera has described the stream of this frame of the open file, as far as that can be read.
    fn introduction(&mut self, target: FrameTimes) -> Vec<u8> {
        let chunks = self.reader.chunks();
        let (mut from, mut to) = (0, chunks.partition_point(|chunk| chunk.from_unix_ns <= target.log_ns));
        // The first chunk whose first frame is from the same start of the camera.
        while from < to {
            let middle = usize::midpoint(from, to);
            self.reader.seek_chunk(middle);
            if self.next_here().is_some_and(|frame| FrameTimes::of(&frame).is_same_start(target)) {
                to = middle;
            } else {
                from = middle + 1;
            }
        }
        let mut records = Vec::new();
        if self.reader.chunks().is_empty() {
            return records;
        }
        self.reader.seek_chunk(from.saturating_sub(1));
        let (mut frames, mut without) = (0, 0);
        while frames < INTRODUCTION_FRAMES_MAX && without < FRAMES_WITHOUT_RECORDS && records.len() < RECORDS_MAX {
            let Some(frame) = self.next_here().filter(|frame| frame.log_ns < target.log_ns) else { break };
            if !FrameTimes::of(&frame).is_same_start(target) {
                continue;
            }
            let (lines, before) = ([frame.wire.context, frame.wire.records].concat(), records.len());
            let describes = |line: &&[u8; LINE]| b"VIDRSLC".contains(&kind(line));
            records.extend(lines.as_chunks::<LINE>().0.iter().filter(describes).flatten());
            frames += 1;
            without = if records.len() > before { 0 } else { without + 1 };
        }
        records.truncate(RECORDS_MAX);
        records
    }

    /// Returns the next frame of the camera in the open file; `None` at its end or at damage.
    fn next_here(&mut self) -> Option<RecordedFrame> {
        loop {
            match self.reader.next_entry() {
                Ok(Some(RecordingEntry::Frame(frame))) if frame.camera == self.index => return Some(frame),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Takes the first damage that was found so far. Its text has the number of the other places.
    pub fn take_damage(&mut self) -> Option<RecordingError> {
        let others = std::mem::take(&mut self.places).len().saturating_sub(1);
        self.damage.take().map(|error| error.and_in_other_places(others))
    }

    fn open_next(&mut self) {
        let before = self.reader.part();
        let torn = self.reader.torn_at().map(|_| self.reader.path().to_owned());
        for number in self.number + 1..self.files.len() {
            match self.open(number) {
                Ok(()) => {
                    let missing = before.and_then(|before| self.missing_files_after(&before));
                    self.queue.extend(missing.or_else(|| torn.map(|path| self.end_is_missing(&path))));
                    return;
                }
                Err(error) => self.note(Some(error)),
            }
        }
        self.ended = true;
    }

    /// Returns an incident for the frames in the files that are missing between this one and the open one.
    fn missing_files_after(&self, before: &PartFile) -> Option<RecordingEntry> {
        let missing = parts::between(before, &self.reader.part()?)?;
        Some(self.missing(*missing.frames.get(&self.camera)?, missing.to_string()))
    }

    /// Returns an incident for the frames after the last intact one of a file that was not finished.
    fn end_is_missing(&self, path: &Path) -> RecordingEntry {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        self.missing(None, format!("an unknown number of frames is missing at the end of {name}"))
    }

    /// Returns an incident for frames that are missing before those of the open file. `frames`: `None` for an unknown number. The
    /// camera has sent them, although their numbers do not arrive.
    fn missing(&self, frames: Option<u64>, text: String) -> RecordingEntry {
        let at_unix_ns = self.files[self.number].1.map_or(0, |(from, _)| from);
        let kind = if frames.is_some() { IncidentKind::Gap } else { IncidentKind::Skipped };
        let frames = frames.unwrap_or(0);
        let incident = RecordedIncident { kind: kind.to_string(), text, frames, ..RecordedIncident::default() };
        RecordingEntry::Incident { camera: self.index, at_unix_ns, incident }
    }

    fn open(&mut self, number: usize) -> Result<(), RecordingError> {
        if number != self.number {
            let reader = Reader::open(&self.files[number].0)?;
            self.index = camera_index(&reader, &self.camera)?;
            self.beside = beside(&reader, self.index);
            (self.reader, self.number) = (reader, number);
        }
        self.ended = false;
        self.begins_file = false;
        self.queue.clear();
        Ok(())
    }

    fn note(&mut self, damage: Option<RecordingError>) {
        let place = damage.as_ref().and_then(RecordingError::damaged_at);
        if let Some(at) = place.filter(|_| self.places.len() < PLACES_MAX) {
            self.places.insert((self.number, at));
        }
        let Some(error) = damage.filter(|_| self.damage.is_none()) else { return };
        // The other errors name their file.
        let names_no_file = error.is_damage() || matches!(error, RecordingError::Read { .. });
        self.damage = Some(match self.files.len() {
            2.. if names_no_file => {
                RecordingError::InFile { path: self.reader.path().to_owned(), source: Box::new(error) }
            }
            _ => error,
        });
    }
}

fn camera_index(reader: &Reader, name: &str) -> Result<usize, RecordingError> {
    reader.cameras().position(|camera| camera.name == name).ok_or_else(|| {
        let names: Vec<_> = reader.cameras().map(|camera| camera.name.as_str()).collect();
        let found = format!("the cameras {} and not {name}", names.join(", "));
        RecordingError::NoCamera { path: reader.path().to_owned(), found }
    })
}

/// Returns the other cameras of a file that are streams of the same connection.
fn beside(reader: &Reader, own: usize) -> Vec<usize> {
    let firsts = reader.first_streams();
    let first = |camera: usize| firsts[camera].unwrap_or(camera);
    (0..firsts.len()).filter(|other| *other != own && first(*other) == first(own)).collect()
}

/// Returns the letter of a record; 0 for another line.
fn kind(line: &[u8; LINE]) -> u8 {
    match line {
        [b'@', kind, b' ', ..] => *kind,
        _ => 0,
    }
}

fn owner(entry: &RecordingEntry) -> usize {
    match entry {
        RecordingEntry::Frame(frame) => frame.camera,
        RecordingEntry::Incident { camera, .. } => *camera,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn file(path: &str, name: &str, from_s: i64, to_s: i64) -> CameraFiles {
        let spans = vec![(from_s * S, to_s * S)];
        CameraFiles { name: name.to_owned(), paths: vec![path.into()], spans, recording: None }
    }

    fn joined(found: Vec<CameraFiles>, joining: Joining) -> Vec<String> {
        let paths = |files: CameraFiles| {
            let paths: Vec<_> = files.paths.iter().map(|path| path.display().to_string()).collect();
            paths.join(" ")
        };
        join(found, joining).into_iter().map(paths).collect()
    }

    #[test]
    fn recordings_of_one_camera_are_apart_if_their_parts_are_joined() {
        let of = |recording: &str, file: CameraFiles| CameraFiles { recording: Some(recording.to_owned()), ..file };
        let found = vec![
            of("one", file("a/1.mcap", "a", 0, 10)),
            of("one", file("a/2.mcap", "a", 40, 50)),
            // A second after the end of the other one.
            of("two", file("a/3.mcap", "a", 51, 60)),
            // Of an earlier version.
            file("a/4.mcap", "a", 61, 70),
            file("a/5.mcap", "a", 71, 80),
            file("a/6.mcap", "a", 90, 100),
        ];
        assert_eq!(
            joined(found.clone(), Joining::Parts),
            ["a/1.mcap a/2.mcap", "a/3.mcap", "a/4.mcap a/5.mcap", "a/6.mcap"]
        );
        assert_eq!(joined(found, Joining::Recordings).len(), 1);
    }

    #[test]
    fn only_files_of_one_folder_and_camera_that_follow_each_other_are_joined() {
        let found = vec![
            file("b/2.mcap", "b", 10, 20),
            file("b/1.mcap", "b", 0, 10),
            file("a/1.mcap", "a", 0, 10),
            // The same camera in another folder, another camera in the same one, and a copy.
            file("c/1.mcap", "a", 11, 20),
            file("a/2.mcap", "b", 11, 20),
            file("a/copy.mcap", "a", 0, 10),
            // After a pause.
            file("a/3.mcap", "a", 100, 110),
            file("a/4.mcap", "a", 105, 120),
            CameraFiles { spans: Vec::new(), ..file("b/empty.mcap", "b", 0, 0) },
        ];
        let joined: Vec<_> = join(found, Joining::Recordings)
            .into_iter()
            .map(|files| {
                let paths: Vec<_> = files.paths.iter().map(|path| path.display().to_string()).collect();
                (files.name.clone(), paths.join(" "), files.span().map(|(from, to)| (from / S, to / S)))
            })
            .collect();
        let expected = [
            ("b", "b/empty.mcap b/1.mcap b/2.mcap", Some((0, 20))),
            ("a", "a/1.mcap a/3.mcap", Some((0, 110))),
            ("a", "c/1.mcap", Some((11, 20))),
            ("b", "a/2.mcap", Some((11, 20))),
            ("a", "a/copy.mcap a/4.mcap", Some((0, 120))),
        ];
        assert_eq!(joined, expected.map(|(name, paths, span)| (name.to_owned(), paths.to_owned(), span)));
    }
}
