//! Cameras whose recording somebody starts and stops while their frames flow.
//!
//! ```text
//! kept, incidents --tap--> Switch (on: a Feed) --> Recorder: one per camera, or one for all
//! ```

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::pace::Pace;
use super::{Feed, Options, Outcome, Place, RecordError, Recorder, State};
use crate::frame::Frame;
use crate::hub::LaneCounter;
use crate::recording::CameraInfo;
use crate::source::{Incident, Outlets};

/// Leads what a camera sends into a recording while there is one. Clones are the same switch.
#[derive(Clone, Debug, Default)]
struct Switch(Arc<Mutex<Option<Feed>>>);

impl Switch {
    /// What is to be called with every frame that is intact, and what with everything else that happens.
    fn taps(&self) -> (impl FnMut(&Arc<Frame>) + Send + use<>, impl FnMut(&Incident) + Send + use<>) {
        let (frames, incidents) = (self.clone(), self.clone());
        let frame = move |frame: &Arc<Frame>| {
            frames.feed().as_ref().map(|feed| feed.frame(frame));
        };
        let incident = move |Incident { received, what }: &Incident| {
            incidents.feed().as_ref().map(|feed| feed.incident(what.into(), *received));
        };
        (frame, incident)
    }

    fn feed(&self) -> MutexGuard<'_, Option<Feed>> {
        // Set as a whole. Held for as long as an offer takes, which never waits.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the recording goes, of all cameras together.
#[derive(Clone, Debug)]
pub struct DeckHealth {
    /// What it is doing; the worst of what any recorder does.
    pub state: State,
    /// Frames in files or on the way to one.
    pub frames: u64,
    /// Frames that were dropped, or lost with a file.
    pub missing: u64,
    /// Holes, each marked in its file.
    pub gaps: u64,
    /// Bytes in files.
    pub bytes: u64,
    /// Bytes a second that went into files lately.
    pub bytes_per_s: f64,
    /// Bytes for which the disk still has room, where the system tells.
    pub disk_left: Option<u64>,
    /// Seconds until it is full at this speed.
    pub seconds_left: Option<f64>,
    /// Of each camera: frames in files, and frames that are missing.
    pub cameras: Vec<(u64, u64)>,
}

/// The recording of some cameras. Dropped, it finishes the files.
#[derive(Debug)]
pub struct Deck {
    options: Options,
    cameras: Vec<CameraInfo>,
    switches: Vec<Switch>,
    running: Vec<Recorder>,
    finishing: Vec<JoinHandle<Vec<Outcome>>>,
    pace: Pace,
}

impl Deck {
    /// For these cameras. Nothing is recorded yet, and no file is made.
    #[must_use]
    pub fn new(options: Options, cameras: Vec<CameraInfo>) -> Self {
        let switches = cameras.iter().map(|_| Switch::default()).collect();
        Self { options, cameras, switches, running: Vec::new(), finishing: Vec::new(), pace: Pace::default() }
    }

    /// Leads what comes out of these outlets here; `most` frames of it if there is an end.
    ///
    /// # Panics
    /// There is no such camera.
    pub fn connect(&self, camera: usize, outlets: &mut Outlets, most: Option<u64>) {
        let (mut frame, incident) = self.switches[camera].taps();
        let mut left = most.unwrap_or(u64::MAX);
        outlets.kept.tap(move |taken: &Arc<Frame>| {
            if left > 0 {
                left -= 1;
                frame(taken);
            }
        });
        outlets.incidents.tap(incident);
        // A recording that is recorded again can wait for the disk.
        let budget = self.options.budget.clone();
        outlets.kept.gate(move || budget.used() <= budget.limit() / 2);
    }

    /// Begins to record: a file for each camera in a folder, or one for all if a file was named. Gives the lanes of the
    /// cameras, for their ledgers.
    ///
    /// # Errors
    /// As [`Recorder::start`]; then nothing is recorded.
    pub fn start(&mut self) -> Result<Vec<LaneCounter>, RecordError> {
        let mut feeds = Vec::new();
        let mut running = Vec::new();
        let groups = match self.options.place {
            Place::Folder(_) => self.cameras.chunks(1),
            Place::File(_) => self.cameras.chunks(self.cameras.len().max(1)),
        };
        for group in groups {
            let recorder = Recorder::start(self.options.clone(), group.to_vec())?;
            feeds.extend((0..group.len()).map(|camera| recorder.feed(camera)));
            running.push(recorder);
        }
        self.stop(|_| {});
        self.running = running;
        self.pace = Pace::default();
        let counters = feeds.iter().map(Feed::counter).collect();
        for (switch, feed) in self.switches.iter().zip(feeds) {
            *switch.feed() = Some(feed);
        }
        Ok(counters)
    }

    /// Where files go.
    #[must_use]
    pub fn place(&self) -> &Path {
        match &self.options.place {
            Place::Folder(path) | Place::File(path) => path,
        }
    }

    /// Whether something is being recorded, or waits to be.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.running.is_empty()
    }

    /// Records no more. The files are finished meanwhile; `told` hears of them, on another thread.
    pub fn stop(&mut self, told: impl FnOnce(&[Outcome]) + Send + 'static) {
        self.switches.iter().for_each(|switch| drop(switch.feed().take()));
        let running = std::mem::take(&mut self.running);
        if running.is_empty() {
            return;
        }
        // All at once: on a full disk each of them takes two seconds.
        running.iter().for_each(Recorder::stop);
        let finishing = std::thread::Builder::new().name("record end".to_owned()).spawn(move || {
            let outcomes: Vec<_> = running.into_iter().map(Recorder::finish).collect();
            told(&outcomes);
            outcomes
        });
        // Without a thread the recorders were dropped here: their files are finished, but nobody has counted.
        if let Err(error) = &finishing {
            tracing::warn!("what was recorded is not summed up, for no thread can be started: {error}");
        }
        self.finishing.extend(finishing);
    }

    /// How it goes at this time, on a clock that never goes backwards; `None` when nothing is recorded.
    pub fn health(&mut self, mono_ns: u64) -> Option<DeckHealth> {
        if self.running.is_empty() {
            return None;
        }
        let each: Vec<_> = self.running.iter().map(Recorder::health).collect();
        let bytes = each.iter().map(|health| health.bytes).sum();
        self.pace.observe(mono_ns, bytes);
        let disk_left = each.iter().filter_map(|health| health.disk_left).min();
        let worst = |state: &State| match state {
            State::Finished => 3,
            State::Paused { .. } => 2,
            State::Recording => 1,
            State::Waiting => 0,
        };
        let state = each.iter().map(|health| health.state.clone()).max_by_key(worst).unwrap_or_default();
        Some(DeckHealth {
            state,
            frames: each.iter().map(|health| health.frames).sum(),
            missing: each.iter().map(|health| health.missing).sum(),
            gaps: each.iter().map(|health| health.gaps).sum(),
            bytes,
            bytes_per_s: self.pace.bytes_per_s(),
            disk_left,
            seconds_left: disk_left.and_then(|left| self.pace.seconds_left(left)),
            cameras: each
                .iter()
                .flat_map(|health| &health.cameras)
                .map(|camera| (camera.recorded, camera.dropped + camera.lost))
                .collect(),
        })
    }

    /// Finishes all files, and says what has been recorded since the beginning: one outcome for each recorder that ran.
    #[must_use]
    pub fn finish(mut self) -> Vec<Outcome> {
        self.stop(|_| {});
        self.join()
    }

    fn join(&mut self) -> Vec<Outcome> {
        // A recorder that panicked has told so; what it recorded is in its file.
        self.finishing.drain(..).flat_map(|thread| thread.join().unwrap_or_default()).collect()
    }
}

impl Drop for Deck {
    fn drop(&mut self) {
        self.stop(|_| {});
        self.join();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::frame::Received;
    use crate::recording::{Reader, RecordingEntry};
    use crate::source::What;

    #[allow(clippy::field_reassign_with_default)] // A frame's payload is private, so there is no other way.
    fn frame(number: u64) -> Arc<Frame> {
        let mut frame = Frame::default();
        frame.id = number;
        frame.header = crate::wire::encode::img(frame.device_time, 3, 0);
        frame.received = Received { mono_ns: number, unix_ns: 1_790_000_000_000_000_000 + number as i64 };
        frame.payload_mut(3).copy_from_slice(b"BGR");
        Arc::new(frame)
    }

    /// Numbers of the frames and kinds of the incidents in a file.
    fn read(path: &Path) -> (Vec<u64>, Vec<String>) {
        let (mut frames, mut incidents) = (Vec::new(), Vec::new());
        let mut reader = Reader::open(path).expect("a recording");
        while let Some(entry) = reader.next_entry().expect("it is whole") {
            match entry {
                RecordingEntry::Frame(found) => frames.push(found.wire.id),
                RecordingEntry::Incident { incident, .. } => incidents.push(incident.kind),
            }
        }
        (frames, incidents)
    }

    fn two(place: Place) -> (Deck, [Outlets; 2]) {
        let camera = |name: &str| CameraInfo { name: name.to_owned(), ..CameraInfo::default() };
        let deck = Deck::new(Options::new(place), vec![camera("a"), camera("b")]);
        let mut outlets = [Outlets::default(), Outlets::default()];
        deck.connect(0, &mut outlets[0], None);
        deck.connect(1, &mut outlets[1], Some(3));
        (deck, outlets)
    }

    #[test]
    fn what_comes_while_it_is_on_is_recorded_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut deck, [mut a, mut b]) = two(Place::Folder(folder.path().to_owned()));
        let mut offer = |number| {
            a.kept.offer(&frame(number));
            b.kept.offer(&frame(number));
        };
        offer(0);
        assert!(!deck.is_on() && deck.health(0).is_none());
        let lanes = deck.start().expect("a folder");
        offer(1);
        offer(2);
        assert!(deck.is_on() && deck.health(0).is_some_and(|health| health.cameras.len() == 2));
        let (tell, told) = std::sync::mpsc::channel();
        deck.stop(move |outcomes| tell.send(outcomes.iter().map(|of| of.frames).sum::<u64>()).expect("the test waits"));
        assert!(!deck.is_on());
        offer(3);
        assert_eq!(told.recv(), Ok(4));
        assert_eq!(lanes.iter().map(|lane| lane.counts().taken).collect::<Vec<_>>(), [2, 2]);
        deck.start().expect("the same folder");
        offer(4);
        a.incidents
            .offer(&Incident { received: frame(5).received, what: What::Disconnected { why: "it left".to_owned() } });
        let outcomes = deck.finish();
        let mut found: Vec<_> = outcomes.iter().flat_map(|of| &of.files).map(|file| read(&file.path)).collect();
        found.sort();
        // The second camera was to give three frames only, recorded or not.
        let expected = [(vec![1, 2], vec![]), (vec![1, 2], vec![]), (vec![4], vec!["disconnected".to_owned()])];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_that_was_named_holds_all_cameras() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("all.mcap");
        let (mut deck, [mut a, mut b]) = two(Place::File(path.clone()));
        deck.start().expect("a file");
        a.kept.offer(&frame(1));
        b.kept.offer(&frame(2));
        let begun = Instant::now();
        while deck.health(0).is_none_or(|health| health.cameras != [(1, 0), (1, 0)]) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", deck.health(0));
            std::thread::yield_now();
        }
        // Whoever drops it has it finished as well.
        drop(deck);
        assert_eq!(read(&path).0, [1, 2]);
        let (mut again, _outlets) = two(Place::File(path));
        assert!(matches!(again.start(), Err(RecordError::Exists(_))));
        assert!(!again.is_on());
    }
}
