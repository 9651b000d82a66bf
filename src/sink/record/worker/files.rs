//! Files are begun, finished and given up, and old ones go.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::{Item, Kept, Worker};
use crate::frame::Received;
use crate::sink::record::books::State;
use crate::sink::record::limits::Keep;
use crate::sink::record::place;
use crate::sink::record::retention::{self, Space};
use crate::sink::record::segment::{self, Segment};
use crate::sink::record::{Options, RecordError};

/// How often a file is begun anew while that fails.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a full disk is waited for when everything is to end.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the space on the disk is looked at.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// How often old files are looked for.
const SWEEP: Duration = Duration::from_secs(10);

impl Worker {
    /// `false`: there is no file, and the reason is told. Waits before it fails again.
    pub(super) fn try_begin(&mut self, received: Received) -> bool {
        if let Some(at) = self.next_try {
            let left = at.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                self.shared.pause(left.min(LOOK));
                return false;
            }
        }
        match self.begin(received) {
            Ok(()) => {
                self.next_try = None;
                // Not if what came before could not be written.
                self.segment.is_some()
            }
            Err(error) => {
                self.paused(&error.to_string());
                if self.stopped.is_some() {
                    self.lose_everything();
                } else {
                    self.next_try = Some(Instant::now() + AGAIN);
                }
                false
            }
        }
    }

    pub(super) fn begin(&mut self, received: Received) -> Result<(), RecordError> {
        let Options { place, sync, compression, .. } = &self.options;
        let (names, disk) = place::create(place, &self.folder, self.first, received.unix_ns, *sync, &mut self.open)?;
        let partial = names.partial.clone();
        let segment = Segment::new(names, disk, *compression, &self.infos, received.unix_ns);
        let mut segment = segment.map_err(|error| RecordError::Io {
            path: partial.clone(),
            why: std::io::Error::other(segment::chain(&error)),
        })?;
        self.first = false;
        for (number, camera) in self.cameras.iter().enumerate() {
            let records = camera.context.records();
            if !records.is_empty() {
                segment.context(number, &records);
            }
        }
        let mut books = self.shared.books();
        books.state = State::Recording;
        books.current = Some((partial, segment.gauge().clone()));
        drop(books);
        self.segment = Some(segment);
        while let Some(early) = self.early.pop_front() {
            if let Err(error) = self.write_into_segment(&early) {
                self.abandon(&segment::chain(&error));
            }
        }
        Ok(())
    }

    /// The file is complete.
    pub(super) fn finish_segment(&mut self) {
        let Some(segment) = self.segment.take() else { return };
        let path = segment.path().clone();
        let clocks: Vec<BTreeMap<String, String>> = self.cameras.iter().map(|camera| camera.clock.metadata()).collect();
        let finished = segment.finish(&clocks, || {
            self.note_stop();
            self.make_room();
            self.gave_up = self.is_impatient();
            !self.gave_up
        });
        match finished {
            Ok(saved) => {
                let mut books = self.shared.books();
                books.current = None;
                books.current_bytes = 0;
                books.files.push(saved);
                drop(books);
                self.sweep();
            }
            Err((why, lost)) => self.give_up_on(&path, &why, &lost),
        }
    }

    /// Remembers since when it is to stop.
    pub(super) fn note_stop(&mut self) {
        if self.stopped.is_none() && self.shared.is_stopped() {
            self.stopped = Some(Instant::now());
            self.next_try = None;
        }
    }

    /// Whether a full disk has been waited for long enough.
    pub(super) fn is_impatient(&self) -> bool {
        self.stopped.is_some_and(|since| since.elapsed() > PATIENCE)
    }

    /// The file cannot be written any further. It stays as it is, and what is not in it is lost.
    pub(super) fn abandon(&mut self, why: &str) {
        let Some(segment) = self.segment.take() else { return };
        let (path, lost) = (segment.path().clone(), segment.lost());
        drop(segment);
        self.give_up_on(&path, why, &lost);
        self.next_try = Some(Instant::now() + AGAIN).filter(|_| self.stopped.is_none());
    }

    pub(super) fn give_up_on(&mut self, path: &Path, why: &str, lost: &segment::Lost) {
        let mut books = self.shared.books();
        for (number, camera) in self.cameras.iter_mut().enumerate() {
            let taken = &mut books.taken[number];
            taken.recorded -= lost.frames[number];
            taken.lost += lost.frames[number];
            // What the file would have said of frames that were missing before goes into the next one.
            camera.lost += lost.frames[number] + lost.gaps[number];
        }
        books.current = None;
        let bytes = std::mem::take(&mut books.current_bytes);
        if lost.some_are_there {
            books.left_bytes += bytes;
            books.left.push(path.to_owned());
        } else {
            // Nothing is in it, and a disk that fails for long would leave one every second.
            let _ = std::fs::remove_file(path);
        }
        drop(books);
        self.paused(&format!("{}: {why}", path.display()));
        if self.gave_up {
            self.lose_everything();
        }
    }

    pub(super) fn paused(&mut self, why: &str) {
        let mut books = self.shared.books();
        let state = State::Paused { why: why.to_owned() };
        if books.state != state {
            tracing::warn!("recording is paused: {why}");
            books.problem(why);
            books.state = state;
        }
    }

    /// There is no file, there will be none, and it is to end.
    pub(super) fn lose_everything(&mut self) {
        self.clip = None;
        let mut rest: Vec<Kept> = self.hand.drain(..).collect();
        while let Some(item) = self.taker.try_take() {
            if let Item::Frame { camera, frame, dropped } = item {
                rest.push(Kept::Frame { camera, frame, dropped, publish_ns: 0 });
            }
        }
        let mut books = self.shared.books();
        for kept in rest {
            if let Kept::Frame { camera, .. } = kept {
                books.taken[camera].lost += 1;
            }
        }
    }

    /// What is done once a second.
    pub(super) fn look(&mut self) {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        let space = Space::of(&self.folder);
        self.shared.books().disk_left = space.map(|space| space.left);
        let tight = matches!((self.options.keep, space), (Some(Keep::Free(share)), Some(space))
            if (space.left as f64) < share * space.all as f64);
        if tight || self.swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            self.sweep();
        }
    }

    /// The disk is full: perhaps something can go.
    pub(super) fn make_room(&mut self) {
        if self.swept.is_none_or(|at| at.elapsed() >= LOOK) {
            self.sweep();
        }
    }

    /// Deletes what is too old or too much.
    pub(super) fn sweep(&mut self) {
        let Some(keep) = self.options.keep else { return };
        self.swept = Some(Instant::now());
        let writing = self.segment.as_ref().map_or(0, Segment::bytes);
        let folder = &self.folder;
        match retention::enforce(keep, folder, writing, SystemTime::now(), || Space::of(folder)) {
            Ok(gone) => self.shared.books().deleted += gone.len() as u64,
            Err(error) => {
                let why = format!("old recordings in {} cannot be deleted: {error}", folder.display());
                tracing::warn!("{why}");
                self.shared.books().problem(&why);
            }
        }
    }
}
