//! The recording of several cameras, started and stopped while their frames flow.

use std::path::Path;
use std::thread::JoinHandle;

use super::pace::Pace;
use super::{Options, Outcome, Place, RecordError, Recorder, State};
use crate::live::{Camera, Sink};
use crate::recording::CameraInfo;
use crate::source::Outlets;

/// How the recording goes, of all cameras together.
#[derive(Clone, Debug)]
pub struct RecordersHealth {
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

/// Records cameras: a recorder for each in a folder, or one for all of them if a file was named. Dropping it finishes the
/// files.
#[derive(Debug)]
pub struct Recorders {
    options: Options,
    cameras: Vec<(CameraInfo, Outlets)>,
    running: Vec<Recorder>,
    finishing: Vec<JoinHandle<Vec<Outcome>>>,
    pace: Pace,
}

impl Recorders {
    /// Creates recorders without cameras. Records nothing and creates no file yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, cameras: Vec::new(), running: Vec::new(), finishing: Vec::new(), pace: Pace::default() }
    }

    /// Records the connected cameras from now on.
    ///
    /// # Errors
    /// As [`Recorder::start`]; nothing is recorded then.
    pub fn start(&mut self) -> Result<(), RecordError> {
        let groups = match self.options.place {
            Place::Folder(_) => self.cameras.chunks(1),
            Place::File(_) => self.cameras.chunks(self.cameras.len().max(1)),
        };
        let start = |group: &[(CameraInfo, Outlets)]| Recorder::start(self.options.clone(), group.to_vec());
        let running = groups.map(start).collect::<Result<_, _>>()?;
        self.stop(|_| {});
        self.running = running;
        self.pace = Pace::default();
        Ok(())
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

    /// Stops recording. Another thread finishes the files and then calls `finished`.
    pub fn stop(&mut self, finished: impl FnOnce(&[Outcome]) + Send + 'static) {
        let running = std::mem::take(&mut self.running);
        if running.is_empty() {
            return;
        }
        // All at once: on a full disk each of them takes two seconds.
        running.iter().for_each(Recorder::stop);
        let finishing = std::thread::Builder::new().name("record end".to_owned()).spawn(move || {
            let outcomes: Vec<_> = running.into_iter().map(Recorder::finish).collect();
            finished(&outcomes);
            outcomes
        });
        // Without a thread the recorders were dropped here: their files are finished, but nobody has counted.
        if let Err(error) = &finishing {
            tracing::warn!("what was recorded is not summed up, for no thread can be started: {error}");
        }
        self.finishing.extend(finishing);
    }

    /// How it goes at this time, on a clock that never goes backwards; `None` when nothing is recorded.
    pub fn health(&mut self, mono_ns: u64) -> Option<RecordersHealth> {
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
        Some(RecordersHealth {
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

    fn join(&mut self) -> Vec<Outcome> {
        // A recorder that panicked has told so; what it recorded is in its file.
        self.finishing.drain(..).flat_map(|thread| thread.join().unwrap_or_default()).collect()
    }
}

impl Sink for Recorders {
    /// One outcome for each recorder that ran.
    type Outcome = Vec<Outcome>;

    fn connect(&mut self, camera: &Camera) -> std::io::Result<()> {
        let info = CameraInfo {
            name: camera.short_name.clone(),
            address: camera.spec.to_string(),
            labels: self.options.labels.clone(),
        };
        self.cameras.push((info, camera.outlets.clone()));
        Ok(())
    }

    fn finish(mut self) -> Vec<Outcome> {
        self.stop(|_| {});
        self.join()
    }
}

impl Drop for Recorders {
    fn drop(&mut self) {
        self.stop(|_| {});
        self.join();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use std::sync::Arc;

    use super::*;
    use crate::frame::{Frame, Received};
    use crate::recording::{Reader, RecordingEntry};
    use crate::source::{Incident, IncidentEvent};

    fn frame(number: u64) -> Arc<Frame> {
        let mut frame = Frame::with_payload(b"BGR");
        frame.id = number;
        frame.header = crate::wire::encode::img(frame.device_time, 3, 0);
        frame.received = Received { mono_ns: number, unix_ns: 1_790_000_000_000_000_000 + number as i64 };
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

    fn two(options: Options) -> (Recorders, [Outlets; 2]) {
        let cameras =
            [Camera::new("a", "sim:".parse().expect("a source")), Camera::new("b", "sim:".parse().expect("a source"))];
        let mut recorders = Recorders::new(options);
        for camera in &cameras {
            recorders.connect(camera).expect("connecting cannot fail");
        }
        (recorders, cameras.map(|camera| camera.outlets))
    }

    #[test]
    fn only_frames_between_start_and_stop_are_recorded() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::Folder(folder.path().to_owned());
        let (mut recorders, [a, b]) = two(Options { frames_max: Some(2), ..Options::new(place) });
        let offer = |number| {
            a.confirmed.offer(&frame(number));
            b.confirmed.offer(&frame(number));
        };
        offer(0);
        assert!(!recorders.is_on() && recorders.health(0).is_none());
        recorders.start().expect("a folder");
        (1..4).for_each(offer);
        assert!(recorders.is_on() && recorders.health(0).is_some_and(|health| health.cameras.len() == 2));
        let (tx, finished) = std::sync::mpsc::channel();
        recorders
            .stop(move |outcomes| tx.send(outcomes.iter().map(|of| of.frames).sum::<u64>()).expect("the test waits"));
        assert!(!recorders.is_on());
        offer(4);
        assert_eq!(finished.recv(), Ok(4), "two frames of each camera: no more were asked for");
        recorders.start().expect("the same folder");
        a.confirmed.offer(&frame(5));
        let event = IncidentEvent::Disconnected { why: "it left".to_owned() };
        a.incidents.offer(&Incident { received: frame(6).received, event });
        let outcomes = recorders.finish();
        let mut found: Vec<_> = outcomes.iter().flat_map(|of| &of.files).map(|file| read(&file.path)).collect();
        found.sort();
        let expected = [(vec![1, 2], vec![]), (vec![1, 2], vec![]), (vec![5], vec!["disconnected".to_owned()])];
        assert_eq!(found, expected);
        let taken =
            |outlets: &Outlets| outlets.ledger.snapshot().lanes.iter().map(|lane| lane.taken).collect::<Vec<_>>();
        assert_eq!((taken(&a), taken(&b)), (vec![2, 1], vec![2, 0]), "each recording has a lane in the ledger");
    }

    #[test]
    fn a_named_file_holds_all_cameras() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("all.mcap");
        let (mut recorders, [a, b]) = two(Options::new(Place::File(path.clone())));
        recorders.start().expect("a file");
        a.confirmed.offer(&frame(1));
        b.confirmed.offer(&frame(2));
        let begun = Instant::now();
        while recorders.health(0).is_none_or(|health| health.cameras != [(1, 0), (1, 0)]) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", recorders.health(0));
            std::thread::yield_now();
        }
        drop(recorders);
        assert_eq!(read(&path).0, [1, 2], "dropping finishes the file");
        let (mut again, _outlets) = two(Options::new(Place::File(path)));
        assert!(matches!(again.start(), Err(RecordError::Exists(_))));
        assert!(!again.is_on());
    }
}
