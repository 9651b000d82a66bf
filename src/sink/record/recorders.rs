//! Records several cameras; started and stopped while the streams run.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::thread::JoinHandle;

use super::monitor::RecordersMonitor;
use super::write_rate::WriteRate;
use super::{RecordError, RecordOptions, Recorder, RecorderHealth, RecorderOutcome, RecordingTarget};
use crate::file::NewFolders;
use crate::live::{Camera, Sink};
use crate::recording::CameraInfo;
use crate::recording::disk::Disk;
use crate::source::Outlets;

/// Outcomes that are kept one by one. The counts of earlier ones are summed: clients of a server may make any number of recordings.
const OUTCOMES_MAX: usize = 256;

/// Health of all recorders together, with the current write rate.
#[derive(Clone, Debug)]
pub struct RecordersHealth {
    /// Sums over all recorders, and the recorded cameras in the order in which they were connected.
    pub total: RecorderHealth,
    /// Bytes per second, averaged over the last 5 s.
    pub bytes_per_s: f64,
    /// Seconds until the disk is full at this rate.
    pub seconds_left: Option<f64>,
}

/// Records cameras with one recorder each into a folder, or with one recorder for all into a file. Dropping it finishes the
/// files.
#[derive(Debug)]
pub struct Recorders {
    options: RecordOptions,
    cameras: Vec<(CameraInfo, Outlets)>,
    running: Vec<Recorder>,
    /// Cameras of the running recorders.
    recorded: Range<usize>,
    /// Recordings that were started.
    started: u64,
    finishing: Vec<JoinHandle<Vec<RecorderOutcome>>>,
    /// Of those that have finished, the last ones.
    outcomes: VecDeque<RecorderOutcome>,
    /// Sums of those before, by their cameras.
    earlier: Vec<RecorderOutcome>,
    write_rate: WriteRate,
    monitor: RecordersMonitor,
    /// Folders that the running recorders created.
    new_folders: NewFolders,
}

impl Recorders {
    /// Creates recorders without cameras. Records nothing and creates no file yet.
    #[must_use]
    pub fn new(options: RecordOptions) -> Self {
        Self {
            options,
            cameras: Vec::new(),
            running: Vec::new(),
            recorded: 0..0,
            started: 0,
            finishing: Vec::new(),
            outcomes: VecDeque::new(),
            earlier: Vec::new(),
            write_rate: WriteRate::default(),
            monitor: RecordersMonitor::default(),
            new_folders: NewFolders::default(),
        }
    }

    /// Returns an observer of the recordings.
    #[must_use]
    pub fn monitor(&self) -> RecordersMonitor {
        self.monitor.clone()
    }

    /// Starts to record the connected cameras.
    ///
    /// # Errors
    /// As [`Recorder::start`]. Then nothing is recorded.
    pub fn start(&mut self) -> Result<(), RecordError> {
        self.start_some(0..self.cameras.len())
    }

    /// Starts to record some of the connected cameras, by the order in which they were connected.
    ///
    /// # Errors
    /// As [`Recorder::start`]. Then nothing is recorded.
    pub fn start_some(&mut self, cameras: Range<usize>) -> Result<(), RecordError> {
        let cameras = cameras.start.min(self.cameras.len())..cameras.end.min(self.cameras.len());
        let chosen = self.cameras.get(cameras.clone()).unwrap_or_default();
        let groups = match self.options.target {
            RecordingTarget::Folder(_) => chosen.chunks(1),
            RecordingTarget::File(_) => chosen.chunks(chosen.len().max(1)),
        };
        // Removed after the recorders that have started if one cannot.
        let mut new_folders = NewFolders::default();
        if let RecordingTarget::Folder(_) = self.options.target {
            for (info, _) in chosen {
                new_folders.add(&self.options.target.folder(&[&info.name]));
            }
        }
        // They share the disk.
        let retention = Recorder::retention();
        let start = |group: &[(CameraInfo, Outlets)]| {
            Recorder::start_on(self.options.clone(), group.to_vec(), Box::new(Disk::create), &retention)
        };
        let running = groups.map(start).collect::<Result<_, _>>()?;
        self.stop(|_| {});
        (self.running, self.recorded) = (running, cameras);
        self.started += 1;
        self.new_folders = new_folders;
        self.monitor.set(self.recorded.start, self.running.iter().map(|recorder| recorder.monitor.clone()));
        self.write_rate = WriteRate::default();
        Ok(())
    }

    /// Returns the folder or file to write to.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.options.target.path()
    }

    /// Returns the bytes of the budget that wait for the disk now.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.options.budget.used()
    }

    /// Returns whether recorders are running. They may still wait for the first frame or trigger.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.running.is_empty()
    }

    /// Returns the cameras that are recorded, by the order in which they were connected.
    #[must_use]
    pub fn recorded(&self) -> Range<usize> {
        if self.is_on() { self.recorded.clone() } else { 0..0 }
    }

    /// Stops recording. Another thread finishes the files and then calls `finished`.
    pub fn stop(&mut self, finished: impl FnOnce(&[RecorderOutcome]) + Send + 'static) {
        if !self.running.is_empty() {
            self.monitor.set(0, std::iter::empty());
        }
        self.end(finished);
    }

    /// Like [`Self::stop`], but the monitor still observes the recorders.
    fn end(&mut self, finished: impl FnOnce(&[RecorderOutcome]) + Send + 'static) {
        let mut running = std::mem::take(&mut self.running);
        if running.is_empty() {
            return;
        }
        // All at once, because each may wait 2 s for a full disk.
        running.iter().for_each(Recorder::stop);
        let recording = self.started;
        let new_folders = std::mem::take(&mut self.new_folders);
        let finishing = std::thread::Builder::new().name("record end".to_owned()).spawn(move || {
            // Until the last one has ended, it may delete old files of the others.
            running.iter_mut().for_each(Recorder::end);
            let finish = |recorder: Recorder| RecorderOutcome { recording, ..recorder.finish() };
            let outcomes: Vec<_> = running.into_iter().map(finish).collect();
            // A recorder that has started meanwhile creates its folder again with its first file.
            drop(new_folders);
            finished(&outcomes);
            outcomes
        });
        // If the thread could not be started, the recorders were dropped here, which finished their files.
        if let Err(error) = &finishing {
            tracing::warn!("no summary of the recording: cannot start a thread: {error}");
        }
        self.finishing.extend(finishing);
        // The memory of a thread that has ended is kept until it is joined. Only the first ones, which keeps the order.
        let ended = self.finishing.iter().take_while(|thread| thread.is_finished()).count();
        let ended = self.finishing.drain(..ended).flat_map(|thread| thread.join().unwrap_or_default());
        self.outcomes.extend(ended);
        let many = self.outcomes.len().saturating_sub(OUTCOMES_MAX);
        self.outcomes.drain(..many).for_each(|outcome| RecorderOutcome::sum_up(&mut self.earlier, outcome));
    }

    /// Returns the health at a time of the monotonic clock. `None`: recording is off.
    pub fn health(&mut self, mono_ns: u64) -> Option<RecordersHealth> {
        if self.running.is_empty() {
            return None;
        }
        let mut total = RecorderHealth::default();
        self.running.iter().for_each(|recorder| total.add(recorder.health()));
        self.write_rate.observe(mono_ns, total.bytes);
        let seconds_left = total.disk_left.and_then(|left| self.write_rate.seconds_left(left));
        Some(RecordersHealth { bytes_per_s: self.write_rate.bytes_per_s(), seconds_left, total })
    }

    fn join(&mut self) -> Vec<RecorderOutcome> {
        // A panic was printed when it happened. The recorded frames are in their files.
        let last = self.finishing.drain(..).flat_map(|thread| thread.join().unwrap_or_default());
        self.earlier.drain(..).chain(self.outcomes.drain(..)).chain(last).collect()
    }
}

impl Sink for Recorders {
    /// One outcome per recorder, in the order in which they were stopped. Of very many, the first ones are summed.
    type Outcome = Vec<RecorderOutcome>;

    fn connect(&mut self, camera: &Camera) -> std::io::Result<()> {
        let info = CameraInfo {
            name: camera.name.clone(),
            address: camera.spec.to_string(),
            labels: self.options.labels.clone(),
        };
        self.cameras.push((info, camera.outlets.clone()));
        Ok(())
    }

    fn finish(mut self) -> Vec<RecorderOutcome> {
        self.end(|_| {});
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

    /// Returns the frame numbers and incident kinds in a file.
    fn read(path: &Path) -> (Vec<u64>, Vec<String>) {
        let (mut frames, mut incidents) = (Vec::new(), Vec::new());
        let mut reader = Reader::open(path).expect("a recording");
        while let Some(entry) = reader.next_entry().expect("an intact recording") {
            match entry {
                RecordingEntry::Frame(found) => frames.push(found.wire.id),
                RecordingEntry::Incident { incident, .. } => incidents.push(incident.kind),
            }
        }
        (frames, incidents)
    }

    fn two(options: RecordOptions) -> (Recorders, [Outlets; 2]) {
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
        let target = RecordingTarget::Folder(folder.path().to_owned());
        let (mut recorders, [a, b]) = two(RecordOptions { frames_max: Some(2), ..RecordOptions::new(target) });
        let offer = |number| {
            a.confirmed.offer(&frame(number));
            b.confirmed.offer(&frame(number));
        };
        offer(0);
        assert!(!recorders.is_on() && recorders.health(0).is_none());
        recorders.start().expect("a folder");
        (1..4).for_each(offer);
        assert!(recorders.is_on() && recorders.health(0).is_some_and(|health| health.total.cameras.len() == 2));
        let (tx, finished) = std::sync::mpsc::channel();
        recorders
            .stop(move |outcomes| tx.send(outcomes.iter().map(|of| of.frames).sum::<u64>()).expect("the test waits"));
        assert!(!recorders.is_on());
        offer(4);
        assert_eq!(finished.recv(), Ok(4), "at most two frames per camera, as in the options");
        recorders.start().expect("the same folder");
        a.confirmed.offer(&frame(5));
        let event = IncidentEvent::Disconnected { why: "it left".to_owned() };
        a.incidents.offer(&Incident { received: frame(6).received, stream: None, event });
        let outcomes = recorders.finish();
        assert_eq!(outcomes.iter().map(|of| of.recording).collect::<Vec<_>>(), [1, 1, 2, 2]);
        let mut found: Vec<_> = outcomes.iter().flat_map(|of| &of.files).map(|file| read(&file.path)).collect();
        found.sort();
        let expected = [(vec![1, 2], vec![]), (vec![1, 2], vec![]), (vec![5], vec!["disconnected".to_owned()])];
        assert_eq!(found, expected);
        let taken =
            |outlets: &Outlets| outlets.ledger.snapshot().lanes.iter().map(|lane| lane.taken).collect::<Vec<_>>();
        assert_eq!((taken(&a), taken(&b)), (vec![2, 1], vec![2, 0]), "each recording has a lane in the ledger");
    }

    #[test]
    fn frames_in_no_file_are_counted_over_all_recordings() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut recorders, [a, _b]) = two(RecordOptions::new(RecordingTarget::Folder(folder.path().to_owned())));
        let monitor = recorders.monitor();
        let lose = |number| {
            let event = IncidentEvent::Lost(crate::wire::Damage::Unverified { expected: 1000 });
            a.incidents.offer(&Incident { received: frame(number).received, stream: None, event });
        };
        lose(0);
        assert_eq!(monitor.missing(0), 0, "nothing is recorded");
        for recording in 1..=3 {
            recorders.start().expect("a folder");
            a.confirmed.offer(&frame(recording));
            lose(recording);
            assert_eq!((monitor.missing(0), monitor.missing(1)), (recording, 0));
            recorders.stop(|_| {});
            assert_eq!((monitor.missing(0), monitor.missing(1)), (recording, 0), "while the file is finished");
        }
        drop(recorders);
        assert_eq!((monitor.missing(0), monitor.missing(1)), (3, 0));
    }

    #[test]
    fn of_very_many_recordings_the_first_are_summed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut recorders, [a, _b]) = two(RecordOptions::new(RecordingTarget::Folder(folder.path().to_owned())));
        let recordings = OUTCOMES_MAX as u64 + 20;
        for number in 1..=recordings {
            let (tx, finished) = std::sync::mpsc::channel();
            recorders.start_some(0..1).expect("a folder");
            a.confirmed.offer(&frame(number));
            recorders.stop(move |_| tx.send(()).expect("the test waits"));
            finished.recv().expect("an end");
        }
        assert!(
            recorders.outcomes.len() <= OUTCOMES_MAX && recorders.earlier.len() == 1,
            "{}",
            recorders.outcomes.len()
        );
        assert!(a.ledger.snapshot().lanes.len() <= 3, "{:?}", a.ledger.snapshot().lanes);
        let outcomes = recorders.finish();
        let (sum, rest) = outcomes.split_first().expect("outcomes");
        assert!(sum.summed > 1 && sum.recording == sum.summed && sum.files.is_empty(), "{sum:?}");
        assert!(rest.iter().all(|outcome| outcome.summed == 1 && outcome.files.len() == 1));
        assert_eq!(sum.summed + rest.len() as u64, recordings);
        let all = |of: fn(&RecorderOutcome) -> u64| outcomes.iter().map(of).sum::<u64>();
        assert_eq!((all(|of| of.frames), all(|of| of.cameras[0].recorded)), (recordings, recordings));
        assert!(outcomes.iter().flat_map(|of| &of.cameras).all(|camera| camera.balances() && camera.name == "a"));
    }

    #[test]
    fn a_recording_without_frames_leaves_no_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("recordings");
        let (mut recorders, [a, _b]) = two(RecordOptions::new(RecordingTarget::Folder(path.clone())));
        let stop = |recorders: &mut Recorders| {
            let (tx, finished) = std::sync::mpsc::channel();
            recorders.stop(move |outcomes| tx.send(outcomes.len()).expect("the test waits"));
            finished.recv().expect("an end")
        };
        for _ in 0..2 {
            recorders.start().expect("a folder");
            assert_eq!((stop(&mut recorders), path.exists()), (2, false));
        }
        recorders.start().expect("a folder");
        a.confirmed.offer(&frame(1));
        stop(&mut recorders);
        assert!(path.join("a").exists() && !path.join("b").exists());
    }

    #[test]
    fn some_of_the_cameras_can_be_recorded() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut recorders, [a, b]) = two(RecordOptions::new(RecordingTarget::Folder(folder.path().to_owned())));
        let monitor = recorders.monitor();
        recorders.start_some(1..2).expect("a folder");
        a.confirmed.offer(&frame(1));
        b.confirmed.offer(&frame(2));
        assert_eq!(
            (recorders.recorded(), recorders.health(0).map(|health| health.total.cameras.len())),
            (1..2, Some(1))
        );
        assert!(monitor.status(0).is_none() && monitor.status(1).is_some(), "only the second");
        let outcomes = recorders.finish();
        assert!(monitor.status(1).is_some_and(|status| status.state == "finished"));
        let found: Vec<_> = outcomes.iter().flat_map(|of| &of.files).map(|file| read(&file.path).0).collect();
        assert_eq!(found, [[2]]);
    }

    #[test]
    fn a_named_file_holds_all_cameras() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("all.mcap");
        let (mut recorders, [a, b]) = two(RecordOptions::new(RecordingTarget::File(path.clone())));
        recorders.start().expect("a file");
        a.confirmed.offer(&frame(1));
        b.confirmed.offer(&frame(2));
        let begun = Instant::now();
        let counts = |health: RecordersHealth| -> Vec<(u64, u64)> {
            health.total.cameras.iter().map(|camera| (camera.recorded, camera.missing())).collect()
        };
        while recorders.health(0).map(counts).is_none_or(|counts| counts != [(1, 0), (1, 0)]) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", recorders.health(0));
            std::thread::yield_now();
        }
        drop(recorders);
        assert_eq!(read(&path).0, [1, 2], "dropping finishes the file");
        let (mut again, _outlets) = two(RecordOptions::new(RecordingTarget::File(path)));
        assert!(matches!(again.start(), Err(RecordError::Exists(_))));
        assert!(!again.is_on());
    }
}
