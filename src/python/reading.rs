//! Reads the frames of a recording: all of them in order, or single ones by their number.

use std::collections::VecDeque;
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use pyo3::exceptions::{PyIndexError, PyRuntimeWarning};
use pyo3::prelude::*;

use super::convert::Origin;
use super::error::{self, RecordingError};
use super::frame::Frame;
use super::kept::Counter;
use crate::decode::VideoDecoder;
use crate::frame::{self, Pool};
use crate::recording::{PlayedFrame, Player, RecordingError as FileError};
use crate::sync::locked;

/// Frames after a wanted one that are read because its picture may come later, in the order of display.
const LATE_MAX: usize = 32;

/// Decoded pictures that wait to be asked for.
const READY_MAX: usize = 64;

/// Reading on is quicker than a seek for at most this many frames.
const SKIP_MAX: usize = 32;

/// Place of a frame in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    camera: usize,
    sequence: u32,
    pub(super) log_ns: i64,
    /// The frame from which a decoder has to start.
    start: usize,
}

/// A file, and what its frames have in common.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) origins: Vec<Arc<Origin>>,
    /// The chosen cameras.
    pub(super) chosen: Vec<bool>,
    kept: Arc<Counter>,
    index: OnceLock<Vec<Entry>>,
    /// Reads single frames.
    reading: Mutex<Option<Reading>>,
}

impl File {
    pub(super) fn new(path: PathBuf, origins: Vec<Arc<Origin>>, chosen: Vec<bool>) -> Arc<Self> {
        let (kept, index, reading) = (Arc::default(), OnceLock::new(), Mutex::new(None));
        Arc::new(Self { path, origins, chosen, kept, index, reading })
    }

    /// Calls `each` with all chosen frames, undecoded. Ctrl-C stops it. Warns if the file is damaged or torn.
    pub(super) fn scan(&self, py: Python<'_>, mut each: impl FnMut(&PlayedFrame) + Send) -> PyResult<()> {
        let mut player =
            Player::open(&self.path, Pool::default()).map_err(|error| error::of_recording(&error, &self.path))?;
        loop {
            let ended = py.detach(|| {
                for _ in 0..256 {
                    match player.next_frame() {
                        Ok(Some(played)) if self.chosen[played.camera] => each(&played),
                        Ok(Some(_)) => {}
                        Ok(None) => return Ok(true),
                        Err(error) => return Err(error),
                    }
                }
                Ok(false)
            });
            if ended.map_err(|error| error::of_recording(&error, &self.path))? {
                return match player.reader().damage() {
                    Some(damage) => self.warn(py, &damage),
                    None => Ok(()),
                };
            }
            py.check_signals()?;
        }
    }

    fn warn(&self, py: Python<'_>, damage: &FileError) -> PyResult<()> {
        let text = CString::new(error::of_recording(damage, &self.path).value(py).to_string()).unwrap_or_default();
        PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1)
    }

    /// Returns the places of the chosen frames, for which the file is read once.
    pub(super) fn index(&self, py: Python<'_>) -> PyResult<&[Entry]> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let mut index: Vec<Entry> = Vec::new();
        let mut starts = vec![0; self.chosen.len()];
        self.scan(py, |played| {
            if played.frame.is_key_frame() {
                starts[played.camera] = index.len();
            }
            let PlayedFrame { camera, sequence, log_ns, .. } = *played;
            index.push(Entry { camera, sequence, log_ns, start: starts[camera] });
        })?;
        Ok(self.index.get_or_init(|| index))
    }

    fn frame(&self, played: &PlayedFrame, frame: Arc<frame::Frame>) -> Frame {
        let origin = Arc::clone(&self.origins[played.camera]);
        Frame::new(frame, origin, &self.kept, u64::from(played.sequence), 0)
    }

    /// Reads one frame.
    pub(super) fn get(&self, py: Python<'_>, number: usize) -> PyResult<Frame> {
        let index = self.index(py)?;
        let entry = index.get(number).copied().ok_or_else(|| PyIndexError::new_err("frame number out of range"))?;
        let frame = py.detach(|| {
            let mut reading = locked(&self.reading);
            let found = Reading::of(&mut reading, self, index).and_then(|reading| reading.get(self, index, number));
            if found.is_err() {
                *reading = None;
            }
            found
        })?;
        let origin = Arc::clone(&self.origins[entry.camera]);
        Ok(Frame::new(frame, origin, &self.kept, u64::from(entry.sequence), 0))
    }

    pub(super) fn first_at(&self, py: Python<'_>, unix_ns: i64) -> PyResult<usize> {
        Ok(self.index(py)?.partition_point(|entry| entry.log_ns < unix_ns))
    }
}

/// A position in the file, and the pictures that were decoded before it.
struct Reading {
    player: Player,
    decoders: Vec<VideoDecoder>,
    /// Number of the next frame that the player returns.
    next: usize,
    /// Pictures by the number of their frame.
    ready: Vec<(usize, Arc<frame::Frame>)>,
    /// Frames of video that were given to a decoder, by their number.
    given: Vec<(usize, Arc<frame::Frame>)>,
    failed: Option<(usize, String)>,
}

impl Reading {
    fn of<'a>(reading: &'a mut Option<Self>, file: &File, index: &[Entry]) -> PyResult<&'a mut Self> {
        if reading.is_none() {
            let player =
                Player::open(&file.path, Pool::default()).map_err(|error| error::of_recording(&error, &file.path))?;
            let decoders = file.chosen.iter().map(|_| VideoDecoder::new(Pool::default())).collect();
            let (ready, given) = (Vec::new(), Vec::new());
            *reading = Some(Self { player, decoders, next: index.len(), ready, given, failed: None });
        }
        reading.as_mut().ok_or_else(|| RecordingError::new_err("the recording cannot be read"))
    }

    fn get(&mut self, file: &File, index: &[Entry], number: usize) -> PyResult<Arc<frame::Frame>> {
        if let Some(at) = self.ready.iter().position(|(ready, _)| *ready == number) {
            return Ok(self.ready.swap_remove(at).1);
        }
        let Entry { start, .. } = index[number];
        if self.next > number || number - self.next > SKIP_MAX && start > self.next {
            self.seek(file, index, start)?;
        }
        loop {
            if let Some(at) = self.ready.iter().position(|(ready, _)| *ready == number) {
                return Ok(self.ready.swap_remove(at).1);
            }
            if self.next >= index.len() || self.next > number + LATE_MAX {
                break;
            }
            self.read(file, index, start <= self.next)?;
            if let Some((_, why)) = self.failed.take_if(|(failed, _)| *failed == number) {
                return Err(RecordingError::new_err(format!("cannot decode frame {number}: {why}")));
            }
        }
        let camera = index[number].camera;
        let mut late = Vec::new();
        self.decoders[camera].flush(|frame| late.push(frame));
        self.take(late);
        match self.ready.iter().position(|(ready, _)| *ready == number) {
            Some(at) => Ok(self.ready.swap_remove(at).1),
            None => Err(RecordingError::new_err(format!("cannot decode frame {number}"))),
        }
    }

    fn seek(&mut self, file: &File, index: &[Entry], start: usize) -> PyResult<()> {
        let failed = |error| error::of_recording(&error, &file.path);
        self.player.seek(index[start].log_ns).map_err(failed)?;
        self.decoders.iter_mut().for_each(|decoder| decoder.flush(drop));
        self.ready.clear();
        self.given.clear();
        self.failed = None;
        // The player starts up to one chunk before the time.
        loop {
            let played = self.player.next_frame().map_err(failed)?;
            let played =
                played.ok_or_else(|| RecordingError::new_err("the recording has changed while it was read"))?;
            if (played.camera, played.sequence) == (index[start].camera, index[start].sequence) {
                self.next = start;
                self.put(played, true);
                return Ok(());
            }
        }
    }

    /// Reads the next chosen frame.
    fn read(&mut self, file: &File, index: &[Entry], decodes: bool) -> PyResult<()> {
        loop {
            let played = self.player.next_frame().map_err(|error| error::of_recording(&error, &file.path))?;
            let Some(played) = played else {
                self.next = index.len();
                return Ok(());
            };
            if file.chosen[played.camera] {
                self.put(played, decodes);
                return Ok(());
            }
        }
    }

    /// Takes over a frame, which has the number [`Self::next`].
    fn put(&mut self, played: PlayedFrame, decodes: bool) {
        let number = self.next;
        self.next += 1;
        let PlayedFrame { camera, frame, .. } = played;
        if !frame.kind.is_video() {
            // The pictures of video may be asked for later.
            self.ready.retain(|(_, ready)| ready.coded.is_some());
            self.ready.push((number, frame));
            return;
        }
        if !decodes {
            return;
        }
        let mut decoded = Vec::new();
        self.given.push((number, Arc::clone(&frame)));
        if let Err(error) = self.decoders[camera].decode(&frame, |frame| decoded.push(frame)) {
            self.failed = Some((number, error.to_string()));
        }
        self.take(decoded);
    }

    /// Finds the numbers of decoded frames.
    fn take(&mut self, decoded: Vec<Arc<frame::Frame>>) {
        for frame in decoded {
            let coded = |(_, given): &(usize, Arc<frame::Frame>)| {
                frame.coded.as_ref().is_some_and(|coded| Arc::ptr_eq(coded, given))
            };
            if let Some(at) = self.given.iter().position(coded) {
                let (number, _) = self.given.swap_remove(at);
                self.ready.push((number, frame));
            }
        }
        for waiting in [&mut self.ready, &mut self.given] {
            let many = waiting.len().saturating_sub(READY_MAX);
            waiting.drain(..many);
        }
    }
}

/// Reads and decodes all frames once.
pub(super) struct Sequential {
    player: Player,
    decoders: Vec<VideoDecoder>,
    ready: VecDeque<(PlayedFrame, Arc<frame::Frame>)>,
    given: Vec<PlayedFrame>,
    ended: bool,
    /// The file ends early. Reported once, after its frames.
    damage: Option<FileError>,
}

impl Sequential {
    pub(super) fn open(file: &File) -> PyResult<Self> {
        let player =
            Player::open(&file.path, Pool::default()).map_err(|error| error::of_recording(&error, &file.path))?;
        let decoders = file.chosen.iter().map(|_| VideoDecoder::new(Pool::default())).collect();
        Ok(Self { player, decoders, ready: VecDeque::new(), given: Vec::new(), ended: false, damage: None })
    }

    pub(super) fn next(&mut self, file: &File) -> PyResult<Option<Frame>> {
        loop {
            if let Some((played, frame)) = self.ready.pop_front() {
                return Ok(Some(file.frame(&played, frame)));
            }
            if self.ended {
                let damage = self.damage.take();
                return damage.map_or(Ok(None), |damage| Err(error::of_recording(&damage, &file.path)));
            }
            let played = self.player.next_frame().map_err(|error| {
                self.ended = true;
                error::of_recording(&error, &file.path)
            })?;
            let mut decoded = Vec::new();
            match played {
                None => {
                    self.ended = true;
                    self.decoders.iter_mut().for_each(|decoder| decoder.flush(|frame| decoded.push(frame)));
                    self.damage = self.player.reader().damage();
                }
                Some(played) if !file.chosen[played.camera] => {}
                Some(played) if !played.frame.kind.is_video() => {
                    let frame = Arc::clone(&played.frame);
                    self.ready.push_back((played, frame));
                }
                Some(played) => {
                    let (camera, frame) = (played.camera, Arc::clone(&played.frame));
                    self.given.push(played);
                    // Frames before the first key frame have no picture.
                    let _ = self.decoders[camera].decode(&frame, |frame| decoded.push(frame));
                }
            }
            for frame in decoded {
                let coded =
                    |given: &PlayedFrame| frame.coded.as_ref().is_some_and(|coded| Arc::ptr_eq(coded, &given.frame));
                if let Some(at) = self.given.iter().position(coded) {
                    self.ready.push_back((self.given.swap_remove(at), frame));
                }
            }
            let many = self.given.len().saturating_sub(READY_MAX);
            self.given.drain(..many);
        }
    }
}
