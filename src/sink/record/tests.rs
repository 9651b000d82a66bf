use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    KeepLimit, RecordError, RecordOptions, Recorder, RecorderHealth, RecorderOutcome, RecorderState, RecordingTarget,
    SplitLimit, Trigger,
};
use crate::frame::{BBox, Detection, DeviceTime, Frame, PayloadKind, Pool, Received};
use crate::hub::Budget;
use crate::recording::disk::faults::{self, Faults, TEST_TIMEOUT};
use crate::recording::{CameraInfo, Reader, RecordingEntry, schema};
use crate::source::{Incident, IncidentEvent, Outlets};
use crate::wire::Damage;

/// 2026-11-21 11:05:12.345 UTC.
const BEGIN: i64 = 1_795_259_112_345_000_000;
const FRAME_MS: u64 = 25;

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < TEST_TIMEOUT, "waited for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The n-th frame of a camera that sends 40 frames per second.
fn frame(n: u64, bytes: usize) -> Frame {
    let mono_ns = n * FRAME_MS * 1_000_000;
    let mut frame = Frame::with_payload((0..bytes).map(|i| (i as u64 ^ n) as u8).collect::<Vec<u8>>());
    frame.id = n;
    frame.at = n * (bytes as u64 + 32);
    frame.dialect = "IMG";
    frame.header = format!("{:32}", format!("IMG {:.6} {bytes} 0", mono_ns as f64 / 1e9)).into_bytes();
    frame.device_time = DeviceTime((mono_ns / 1000) as i64);
    frame.received = Received { mono_ns, unix_ns: BEGIN + mono_ns as i64 };
    frame
}

fn with_detection(mut frame: Frame, label: u32, confidence: f32) -> Frame {
    frame.detections.push(Detection {
        label,
        confidence,
        bbox: BBox { xmin: 0.1, ymin: 0.1, xmax: 0.5, ymax: 0.5 },
        ..Detection::default()
    });
    frame
}

fn camera(name: &str) -> CameraInfo {
    CameraInfo { name: name.to_owned(), address: "tcp://10.0.0.5:5000".to_owned(), labels: None }
}

struct Recording {
    recorder: Recorder,
    outlets: Outlets,
    faults: Faults,
    folder: PathBuf,
}

impl Recording {
    fn start(folder: &Path, change: impl FnOnce(&mut RecordOptions)) -> Self {
        let (mut options, faults) = (RecordOptions::new(RecordingTarget::Folder(folder.to_owned())), Faults::default());
        change(&mut options);
        let outlets = Outlets::default();
        let cameras = vec![(camera("front"), outlets.clone())];
        let recorder = Recorder::start_on(options, cameras, Box::new(faults::files(&faults)), &Recorder::retention());
        Self { recorder: recorder.expect("a recorder"), outlets, faults, folder: folder.join("front") }
    }

    fn offer_frame(&self, frame: Frame) {
        self.outlets.confirmed.offer(&Arc::new(frame));
    }

    fn offer(&self, frames: impl IntoIterator<Item = u64>, bytes: usize) {
        for n in frames {
            self.offer_frame(frame(n, bytes));
        }
    }

    fn until(&self, what: &str, is: impl Fn(&RecorderHealth) -> bool) {
        until(what, || {
            let health = self.recorder.health();
            assert!(health.cameras.iter().all(super::RecorderCounts::balances), "{health:?}");
            is(&health)
        });
    }

    /// Waits until every offered frame is recorded or lost.
    fn until_taken(&self) {
        self.until("the lane to be empty", |health| {
            health.cameras.iter().all(|camera| camera.queued == 0 && camera.held == 0)
        });
    }

    fn until_in_file(&self) {
        self.until_taken();
        let current = || self.recorder.shared.progress().current.clone();
        until("the chunk to be in the file", || {
            current().is_none_or(|(path, monitor)| {
                let length = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
                monitor.written() == monitor.flushed() && length > 1000
            })
        });
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Found {
    Frame(u64),
    Gap(u64),
    Other(String),
}

/// Returns the content of a file. Compares every payload.
fn read(path: &Path) -> Vec<Found> {
    let mut reader = Reader::open(path).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().expect("intact") {
        found.push(match entry {
            RecordingEntry::Frame(recorded) => {
                let expected = frame(recorded.wire.id, recorded.payload.len());
                assert!(recorded.payload == expected.payload(), "frame {}", recorded.wire.id);
                assert_eq!(recorded.log_ns, expected.received.unix_ns);
                Found::Frame(recorded.wire.id)
            }
            RecordingEntry::Incident { incident, .. } if incident.kind == "gap" => Found::Gap(incident.frames),
            RecordingEntry::Incident { incident, .. } => Found::Other(incident.kind),
        });
    }
    found
}

fn frames(numbers: impl IntoIterator<Item = u64>) -> Vec<Found> {
    numbers.into_iter().map(Found::Frame).collect()
}

fn assert_balanced(outcome: &RecorderOutcome) {
    for camera in &outcome.cameras {
        assert!(camera.balances(), "{camera:?}");
        assert_eq!((camera.held, camera.queued), (0, 0), "no frame is left in a queue: {camera:?}");
    }
}

#[test]
fn frames_and_incidents_of_several_cameras_in_one_file() {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("below/both.mcap");
    let options = RecordOptions::new(RecordingTarget::from_path(path.clone()));
    let (a, b) = (Outlets::default(), Outlets::default());
    let cameras = vec![(camera("a"), a.clone()), (camera("b"), b.clone())];
    let recorder = Recorder::start(options, cameras).expect("a recorder");
    assert_eq!(recorder.health().state, RecorderState::Recording, "a named file is created at once");
    for n in 0..100 {
        a.confirmed.offer(&Arc::new(frame(n, 3000)));
        if n % 2 == 0 {
            b.confirmed.offer(&Arc::new(frame(n, 50_000)));
        }
        if n == 50 {
            let incident =
                schema::RecordedIncident { kind: "skipped".to_owned(), ..schema::RecordedIncident::default() };
            b.incidents.offer(&Incident {
                received: frame(n, 0).received,
                stream: None,
                event: IncidentEvent::Recorded(incident),
            });
        }
    }
    let outcome = recorder.finish();
    assert!(a.confirmed.is_empty() && b.incidents.is_empty(), "a finished recorder takes nothing");
    assert_balanced(&outcome);
    assert_eq!((outcome.frames, outcome.dropped, outcome.lost, outcome.gaps), (150, 0, 0, 0));
    assert!(outcome.is_complete() && outcome.problems.is_empty());
    let [saved] = outcome.files.as_slice() else { panic!("{outcome:?}") };
    assert_eq!((&saved.path, saved.frames), (&path, 150));
    assert_eq!(saved.bytes, std::fs::metadata(&path).unwrap().len());
    let reader = Reader::open(&path).expect("a recording");
    assert!(reader.is_finished());
    let found = read(&path);
    assert_eq!(found.iter().filter(|found| matches!(found, Found::Frame(_))).count(), 150);
    assert_eq!(found.iter().filter(|found| **found == Found::Other("skipped".into())).count(), 1);
}

#[test]
fn two_recorders_do_not_write_one_file() {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("a.mcap");
    let start = || {
        Recorder::start(
            RecordOptions::new(RecordingTarget::from_path(path.clone())),
            vec![(camera("a"), Outlets::default())],
        )
    };
    let first = start().expect("a recorder");
    assert!(matches!(start(), Err(RecordError::Busy(_))));
    drop(first);
    drop(start().expect("a recording without a frame leaves no file"));
    std::fs::write(&path, "mine").expect("a file");
    assert!(matches!(start(), Err(RecordError::Exists(found)) if found == path));
    let mut options = RecordOptions::new(RecordingTarget::from_path(root.path().join("b.mcap")));
    options.keep = Some(KeepLimit::Bytes(1));
    assert!(matches!(
        Recorder::start(options, vec![(camera("a"), Outlets::default())]),
        Err(RecordError::KeepNeedsFolder(_))
    ));
    assert!(matches!(
        Recorder::start(
            RecordOptions::new(RecordingTarget::Folder(path.join("below"))),
            vec![(camera("a"), Outlets::default())]
        ),
        Err(RecordError::Io { .. })
    ));
}

#[test]
fn nothing_is_written_before_the_first_frame() {
    let root = tempfile::tempdir().expect("a folder");
    let recording = Recording::start(root.path(), |_| {});
    let incident = schema::RecordedIncident { kind: "connected".to_owned(), ..schema::RecordedIncident::default() };
    recording.outlets.incidents.offer(&Incident {
        received: Received::default(),
        stream: None,
        event: IncidentEvent::Recorded(incident),
    });
    assert_eq!(recording.recorder.health().state, RecorderState::Waiting);
    recording.offer([0], 1000);
    recording.until("the frame", |health| health.frames == 1);
    assert_eq!(recording.recorder.health().state, RecorderState::Recording);
    let outcome = recording.recorder.finish();
    assert_eq!(outcome.files[0].path, recording.folder.join("2026-11-21_11-05-12.345Z.mcap"));
    assert_eq!(read(&outcome.files[0].path), [Found::Other("connected".into()), Found::Frame(0)]);
    let empty = Recording::start(root.path(), |_| {});
    assert!(empty.recorder.finish().files.is_empty(), "no file without a frame");
}

#[test]
fn waiting_frames_are_flushed_without_another_frame() {
    let root = tempfile::tempdir().expect("a folder");
    let recording = Recording::start(root.path(), |_| {});
    recording.offer(0..10, 1000);
    recording.until_taken();
    let path = recording.recorder.health().open_files.pop().expect("a file");
    assert!(path.to_str().unwrap().ends_with(".mcap.partial"));
    until("the frames to be readable", || Reader::open(&path).is_ok() && read(&path) == frames(0..10));
    assert!(!Reader::open(&path).unwrap().is_finished());
    drop(recording);
    assert!(!path.exists(), "dropping finishes the file");
}

#[test]
fn a_stall_of_half_a_second_loses_no_frame() {
    let root = tempfile::tempdir().expect("a folder");
    let recording = Recording::start(root.path(), |_| {});
    recording.faults.stall(true);
    recording.offer([0], 675_840);
    recording.faults.until_stalled();
    // Half a second is 20 frames. Offers 100 more.
    recording.offer(1..121, 675_840);
    let health = recording.recorder.health();
    assert_eq!((health.missing, health.gaps), (0, 0));
    recording.faults.stall(false);
    let outcome = recording.recorder.finish();
    assert_balanced(&outcome);
    assert!(outcome.is_complete());
    assert_eq!(read(&outcome.files[0].path), frames(0..121));
}

#[test]
fn frames_lost_in_a_longer_stall_are_counted_and_marked() {
    let root = tempfile::tempdir().expect("a folder");
    let bytes = 1_000_000;
    let recording = Recording::start(root.path(), |options| {
        options.budget = Budget::new(5 * frame(0, bytes).memory_bytes());
    });
    recording.faults.stall(true);
    recording.offer([0], bytes);
    recording.faults.until_stalled();
    let mut next = 1;
    until("frames to be dropped", || {
        recording.offer([next], bytes);
        next += 1;
        recording.recorder.health().missing >= 3
    });
    recording.faults.stall(false);
    recording.until_taken();
    recording.offer([next], bytes);
    let outcome = recording.recorder.finish();
    assert_balanced(&outcome);
    assert!(!outcome.is_complete());
    assert_eq!((outcome.frames + outcome.dropped, outcome.lost), (next + 1, 0));
    let (missing, markers) = gaps(&read(&outcome.files[0].path));
    assert_eq!((missing, markers), (outcome.dropped, outcome.gaps));
}

/// Returns the number of missing frames and of gap markers. Checks that each marker is at its gap.
fn gaps(found: &[Found]) -> (u64, u64) {
    let (mut next, mut missing, mut markers) = (0, 0, 0);
    for found in found {
        match found {
            Found::Gap(frames) => {
                next += frames;
                missing += frames;
                markers += 1;
            }
            Found::Frame(id) => {
                assert_eq!(*id, next);
                next += 1;
            }
            Found::Other(_) => {}
        }
    }
    (missing, markers)
}

/// The n-th frame in memory of the pool; `None` if it has none.
fn pooled(pool: &Pool<Frame>, n: u64, bytes: usize) -> Option<Arc<Frame>> {
    let mut lease = pool.lease(bytes);
    lease.clear();
    lease.try_payload_mut(bytes)?;
    let filled = frame(n, bytes);
    lease.payload_mut(bytes).copy_from_slice(filled.payload());
    lease.id = filled.id;
    lease.at = filled.at;
    lease.dialect = filled.dialect;
    lease.header.clone_from(&filled.header);
    lease.device_time = filled.device_time;
    lease.received = filled.received;
    Some(lease.seal())
}

#[test]
fn frames_and_their_copies_on_the_way_to_slow_disks_stay_within_the_bound() {
    const LIMIT: usize = 5_000_000;
    let root = tempfile::tempdir().expect("a folder");
    let pool = Pool::<Frame>::bounded(LIMIT);
    let memory = Some(pool.bound().clone());
    let folders: Vec<_> = (0..3).map(|n| root.path().join(n.to_string())).collect();
    let recordings: Vec<_> =
        folders.iter().map(|at| Recording::start(at, |options| options.memory.clone_from(&memory))).collect();
    recordings.iter().for_each(|recording| recording.faults.stall(true));
    // Writing a frame takes 900 kB beside it.
    let bytes = 300_000;
    let mut offered = [0; 3];
    let mut n = 0;
    let mut offer = |offered: &mut [u64; 3]| {
        for (recording, offered) in recordings.iter().zip(offered) {
            if let Some(frame) = pooled(&pool, n, bytes) {
                recording.outlets.confirmed.offer(&frame);
                *offered += 1;
            }
            assert!(pool.used() <= LIMIT, "{} bytes", pool.used());
        }
        n += 1;
    };
    for _ in 0..40 {
        offer(&mut offered);
    }
    assert!(offered.iter().all(|offered| *offered < 40), "the pool refuses frames: {offered:?}");
    recordings.iter().for_each(|recording| recording.faults.stall(false));
    until("each recorder to go on", || {
        offer(&mut offered);
        recordings.iter().all(|recording| recording.recorder.health().frames > 3)
    });
    for (Recording { recorder, .. }, offered) in recordings.into_iter().zip(offered) {
        let outcome = recorder.finish();
        assert_balanced(&outcome);
        assert_eq!(outcome.frames + outcome.dropped, offered);
        assert_eq!(outcome.lost, 0);
    }
}

#[test]
fn a_frame_without_memory_for_its_copy_is_dropped_counted_and_marked() {
    let root = tempfile::tempdir().expect("a folder");
    let pool = Pool::<Frame>::bounded(1_000_000);
    let recording = Recording::start(root.path(), |options| options.memory = Some(pool.bound().clone()));
    for (n, bytes) in [(0, 10_000), (1, 400_000), (2, 10_000)] {
        let frame = pooled(&pool, n, bytes).expect("memory");
        recording.outlets.confirmed.offer(&frame);
        drop(frame);
        recording.until_taken();
    }
    let outcome = recording.recorder.finish();
    assert_balanced(&outcome);
    assert_eq!((outcome.frames, outcome.dropped, outcome.gaps), (2, 1, 1));
    let problem = outcome.problems.first().expect("the reason");
    assert!(problem.starts_with("a frame of 400.0 kB is not recorded: writing it takes 1.2 MB"), "{problem}");
    assert_eq!(read(&outcome.files[0].path), [Found::Frame(0), Found::Gap(1), Found::Frame(2)]);
}

#[test]
fn a_gap_at_the_end_is_marked() {
    let root = tempfile::tempdir().expect("a folder");
    let recording = Recording::start(root.path(), |options| options.budget = Budget::new(1));
    recording.faults.stall(true);
    recording.offer([0], 20 << 20);
    recording.faults.until_stalled();
    recording.offer(1..4, 1000);
    recording.faults.stall(false);
    let outcome = recording.recorder.finish();
    assert_balanced(&outcome);
    assert_eq!((outcome.frames, outcome.dropped, outcome.gaps), (2, 2, 1));
    assert_eq!(read(&outcome.files[0].path), [Found::Frame(0), Found::Frame(1), Found::Gap(2)]);
}

#[test]
fn recording_continues_after_a_full_disk() {
    let root = tempfile::tempdir().expect("a folder");
    let bytes = 1_000_000;
    let recording = Recording::start(root.path(), |options| {
        options.budget = Budget::new(10 * frame(0, bytes).memory_bytes());
    });
    recording.faults.room(Some(6_000_000));
    let mut next = 0;
    until("frames to be dropped", || {
        recording.offer([next], bytes);
        next += 1;
        let health = recording.recorder.health();
        health.missing >= 3 && health.state == RecorderState::Paused { why: "the disk is full".to_owned() }
    });
    recording.faults.room(None);
    recording.until("the recording to continue", |health| health.state == RecorderState::Recording);
    recording.offer([next], bytes);
    let outcome = recording.recorder.finish();
    assert_balanced(&outcome);
    let missing = outcome.dropped;
    assert_eq!((outcome.lost, outcome.frames + missing), (0, next + 1), "waiting frames are recorded");
    assert_eq!(gaps(&read(&outcome.files[0].path)), (missing, outcome.gaps));
    assert_eq!(outcome.files.len(), 1, "the same file continues");
}

#[test]
fn finishing_does_not_wait_forever_for_a_full_disk() {
    let root = tempfile::tempdir().expect("a folder");
    let bytes = 1_000_000;
    let recording = Recording::start(root.path(), |_| {});
    recording.faults.room(Some(6_000_000));
    recording.offer(0..40, bytes);
    recording.until("the full disk", |health| matches!(health.state, RecorderState::Paused { .. }));
    let outcome = recording.recorder.finish();
    assert_balanced(&outcome);
    assert_eq!((outcome.frames + outcome.lost, outcome.dropped, outcome.files.len()), (40, 0, 0));
    assert!(outcome.lost > 30, "{outcome:?}");
    let [unfinished] = outcome.unfinished.as_slice() else { panic!("{outcome:?}") };
    assert_eq!(read(unfinished), frames(0..outcome.frames), "every frame that fitted can be read");
}

#[test]
fn a_gap_that_a_full_disk_leaves_unmarked_is_not_counted_as_marked() {
    let root = tempfile::tempdir().expect("a folder");
    let bytes = 1_000_000;
    let recording = Recording::start(root.path(), |options| {
        options.budget = Budget::new(10 * frame(0, bytes).memory_bytes());
    });
    recording.faults.room(Some(6_000_000));
    let mut next = 0;
    until("frames to be dropped", || {
        recording.offer([next], bytes);
        next += 1;
        recording.recorder.health().missing >= 3
    });
    let outcome = recording.recorder.finish();
    assert_balanced(&outcome);
    let [unfinished] = outcome.unfinished.as_slice() else { panic!("{outcome:?}") };
    let (missing, markers) = gaps(&read(unfinished));
    assert_eq!(markers, outcome.gaps, "{outcome:?}");
    assert!(outcome.unmarked > 0, "{outcome:?}");
    assert_eq!(missing + outcome.unmarked, outcome.dropped + outcome.lost, "{outcome:?}");
}

#[test]
fn finishing_does_not_wait_for_a_disk_that_does_not_respond() {
    let root = tempfile::tempdir().expect("a folder");
    let recording = Recording::start(root.path(), |_| {});
    recording.faults.stall(true);
    recording.offer(0..40, 1_000_000);
    recording.faults.until_stalled();
    let outcome = recording.recorder.finish();
    assert_balanced(&outcome);
    assert_eq!((outcome.frames, outcome.lost, outcome.files.len()), (0, 40, 0), "{outcome:?}");
    assert!(outcome.problems.iter().any(|why| why.contains("the disk is too slow")), "{:?}", outcome.problems);
}

#[test]
fn a_stopped_recorder_counts_frames_that_no_file_takes() {
    let root = tempfile::tempdir().expect("a folder");
    let options = RecordOptions::new(RecordingTarget::Folder(root.path().to_owned()));
    let outlets = Outlets::default();
    let refused: super::target::CreateDisk = Box::new(|_, _| Err(ErrorKind::PermissionDenied.into()));
    let recorder =
        Recorder::start_on(options, vec![(camera("front"), outlets.clone())], refused, &Recorder::retention())
            .expect("a recorder");
    for n in 0..5 {
        outlets.confirmed.offer(&Arc::new(frame(n, 100)));
    }
    let outcome = recorder.finish();
    assert_balanced(&outcome);
    assert_eq!((outcome.frames, outcome.lost, outcome.files.len()), (0, 5, 0), "{outcome:?}");
    assert!(outcome.problems.iter().any(|why| why.contains("permission denied")), "{:?}", outcome.problems);
}

#[test]
fn a_write_error_leaves_the_file_and_starts_another_one() {
    let root = tempfile::tempdir().expect("a folder");
    let recording = Recording::start(root.path(), |_| {});
    recording.offer(0..10, 1000);
    recording.until_in_file();
    recording.faults.error(Some(ErrorKind::Other));
    recording.offer(10..15, 1000);
    recording.until("the failure", |health| matches!(health.state, RecorderState::Paused { .. }));
    recording.offer(15..20, 1000);
    recording.faults.error(None);
    recording.until("another file", |health| health.state == RecorderState::Recording && !health.open_files.is_empty());
    recording.until_taken();
    recording.offer([20], 1000);
    let outcome = recording.recorder.finish();
    assert_balanced(&outcome);
    assert_eq!(outcome.dropped, 0);
    let ([unfinished], [saved]) = (outcome.unfinished.as_slice(), outcome.files.as_slice()) else {
        panic!("{outcome:?}")
    };
    assert_eq!(read(unfinished), frames(0..10));
    let lost = outcome.lost;
    assert!((1..=10).contains(&lost), "{outcome:?}");
    let mut expected = vec![Found::Gap(lost)];
    expected.extend(frames(10 + lost..21));
    assert_eq!(read(&saved.path), expected, "the next file marks the gap");
    assert!(outcome.problems[0].contains(unfinished.to_str().unwrap()), "{:?}", outcome.problems);
}

#[test]
fn a_deleted_folder_is_created_again() {
    let root = tempfile::tempdir().expect("a folder");
    let recording = Recording::start(root.path(), |_| {});
    recording.offer(0..10, 1000);
    recording.until_in_file();
    std::fs::remove_dir_all(&recording.folder).unwrap();
    recording.until("the failure", |health| matches!(health.state, RecorderState::Paused { .. }));
    recording.offer(10..20, 1000);
    let outcome = recording.recorder.finish();
    assert_balanced(&outcome);
    assert_eq!((outcome.lost, outcome.frames, outcome.unfinished.len()), (10, 10, 0));
    let mut expected = vec![Found::Gap(10)];
    expected.extend(frames(10..20));
    assert_eq!(read(&outcome.files[0].path), expected);
}

#[test]
fn files_are_split_by_time_or_size() {
    for (split, first) in [(SplitLimit::Time(Duration::from_millis(1000)), 40), (SplitLimit::Bytes(400_000), 40)] {
        let root = tempfile::tempdir().expect("a folder");
        let recording = Recording::start(root.path(), |options| options.split = Some(split));
        recording.offer(0..100, 10_000);
        let outcome = recording.recorder.finish();
        assert_balanced(&outcome);
        assert!(outcome.is_complete() && outcome.files.len() >= 3, "{outcome:?}");
        if let SplitLimit::Time(_) = split {
            assert_eq!(outcome.files[0].frames, first);
        }
        let found: Vec<Found> = outcome.files.iter().flat_map(|saved| read(&saved.path)).collect();
        assert_eq!(found, frames(0..100), "{split:?}");
    }
}

#[test]
fn video_is_split_at_key_frames_or_after_ten_seconds() {
    let files = |count: u64, is_key: fn(u64) -> bool| {
        let root = tempfile::tempdir().expect("a folder");
        let recording =
            Recording::start(root.path(), |options| options.split = Some(SplitLimit::Time(Duration::from_secs(1))));
        for n in 0..count {
            let mut video = frame(n, 100);
            video.kind = PayloadKind::H264;
            video.payload_mut(100)[..5].copy_from_slice(&[0, 0, 0, 1, if is_key(n) { 0x65 } else { 0x41 }]);
            recording.offer_frame(video);
        }
        let outcome = recording.recorder.finish();
        assert_balanced(&outcome);
        outcome.files.iter().map(|saved| saved.frames).collect::<Vec<_>>()
    };
    // A second is 40 frames.
    assert_eq!(files(150, |n| n % 30 == 0), [60, 60, 30]);
    assert_eq!(files(500, |n| n == 0), [440, 60], "10 s after the limit");
}

#[test]
fn a_later_file_starts_with_the_records_of_the_connection() {
    let root = tempfile::tempdir().expect("a folder");
    let recording =
        Recording::start(root.path(), |options| options.split = Some(SplitLimit::Time(Duration::from_millis(50))));
    let label = format!("{:32}", "@L 0 helmet").into_bytes();
    let mut first = frame(0, 100);
    first.records.clone_from(&label);
    recording.offer_frame(first);
    recording.offer(1..4, 100);
    let outcome = recording.recorder.finish();
    let contexts: Vec<Vec<u8>> = outcome
        .files
        .iter()
        .map(|saved| match Reader::open(&saved.path).unwrap().next_entry().unwrap() {
            Some(RecordingEntry::Frame(recorded)) => recorded.wire.context,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(contexts, [Vec::new(), label]);
}

#[test]
fn old_files_are_deleted() {
    let root = tempfile::tempdir().expect("a folder");
    let recording = Recording::start(root.path(), |options| {
        options.split = Some(SplitLimit::Time(Duration::from_millis(250)));
        options.keep = Some(KeepLimit::Bytes(1_000_000));
    });
    std::fs::create_dir_all(&recording.folder).unwrap();
    std::fs::write(recording.folder.join("notes.txt"), [0; 10_000]).unwrap();
    recording.offer(0..200, 20_000);
    let folder = recording.folder.clone();
    let outcome = recording.recorder.finish();
    assert_balanced(&outcome);
    assert_eq!((outcome.deleted + outcome.files.len() as u64, outcome.frames), (20, 200));
    assert!((2..=4).contains(&outcome.files.len()), "{} of 210 kB each", outcome.files.len());
    assert!(outcome.files.iter().all(|saved| saved.path.exists()), "the summary lists no deleted file");
    assert_eq!(outcome.files.last().map(|saved| read(&saved.path)), Some(frames(190..200)), "the newest is kept");
    assert!(folder.join("notes.txt").exists());
}

#[test]
fn a_trigger_records_the_frames_around_detections() {
    let root = tempfile::tempdir().expect("a folder");
    let trigger = "person>0.6".parse::<Trigger>().expect("a trigger");
    let trigger = Trigger { pre: Duration::from_millis(100), post: Duration::from_millis(200), ..trigger };
    let recording = Recording::start(root.path(), |options| options.trigger = Some(trigger));
    for n in 0..200 {
        let frame = frame(n, 1000);
        let frame = match n {
            50 | 54 => with_detection(frame, 0, 0.9),
            100 => with_detection(frame, 0, 0.5),
            120 => with_detection(frame, 2, 0.9),
            150 => with_detection(frame, 0, 0.61),
            _ => frame,
        };
        recording.offer_frame(frame);
        if n == 45 {
            recording.until("an empty lane", |health| health.cameras[0].queued == 0);
            assert_eq!(recording.recorder.health().state, RecorderState::Waiting);
        }
    }
    let outcome = recording.recorder.finish();
    assert_balanced(&outcome);
    assert!(outcome.is_complete());
    let [first, second] = outcome.files.as_slice() else { panic!("{outcome:?}") };
    // Four frames before the first matching detection, and eight after the last one.
    let with_trigger = |mut found: Vec<Found>, after: usize| {
        found.insert(after, Found::Other("trigger".into()));
        found
    };
    assert_eq!(read(&first.path), with_trigger(frames(46..=62), 5));
    assert_eq!(read(&second.path), with_trigger(frames(146..=158), 5));
    assert_eq!(outcome.cameras[0].passed, 200 - 17 - 13);
}

#[test]
fn a_clock_that_is_set_leaves_the_times_of_a_file_even() {
    let root = tempfile::tempdir().expect("a folder");
    let recording = Recording::start(root.path(), |options| {
        options.split = Some(SplitLimit::Time(Duration::from_millis(FRAME_MS * 10)));
    });
    // An hour back in the middle of the first file.
    for n in 0..15 {
        let mut frame = frame(n, 100);
        if n >= 5 {
            frame.received.unix_ns -= 3_600_000_000_000;
        }
        recording.offer_frame(frame);
    }
    let outcome = recording.recorder.finish();
    assert_balanced(&outcome);
    let [first, second] = outcome.files.as_slice() else { panic!("{outcome:?}") };
    assert!(first.path < second.path, "names stay in order");
    let entries = |path: &Path| {
        let mut reader = Reader::open(path).expect("a recording");
        std::iter::from_fn(move || reader.next_entry().expect("intact")).collect::<Vec<_>>()
    };
    let times = |entries: &[RecordingEntry], begin: i64| {
        let frames = entries.iter().filter_map(|entry| match entry {
            RecordingEntry::Frame(frame) => Some((frame.log_ns - begin) / (FRAME_MS as i64 * 1_000_000)),
            RecordingEntry::Incident { .. } => None,
        });
        frames.collect::<Vec<i64>>()
    };
    let jumps = |entries: &[RecordingEntry]| {
        let jumps = entries.iter().filter_map(|entry| match entry {
            RecordingEntry::Incident { incident, .. } => {
                Some((incident.kind(), incident.unix_found_ns - incident.unix_expected_ns))
            }
            RecordingEntry::Frame(_) => None,
        });
        jumps.collect::<Vec<_>>()
    };
    let (before, after) = (entries(&first.path), entries(&second.path));
    assert_eq!(times(&before, BEGIN), (0..10).collect::<Vec<i64>>());
    assert_eq!(jumps(&before), [(Some(schema::IncidentKind::ClockJump), -3_600_000_000_000)]);
    assert_eq!(times(&after, BEGIN - 3_600_000_000_000), (10..15).collect::<Vec<i64>>(), "the clock as it is");
    assert_eq!(jumps(&after), []);
}

/// A camera that reboots after each of its connections of 0.7 s.
#[test]
fn capture_times_follow_a_clock_that_goes_back_at_each_reconnect() {
    const FRAMES: u64 = 28;
    let root = tempfile::tempdir().expect("a folder");
    let recording = Recording::start(root.path(), |_| {});
    for connection in 0..5 {
        for n in 0..FRAMES {
            let mono_ns = (connection * 2 * FRAMES + n) * FRAME_MS * 1_000_000;
            let mut frame = frame(n, 100);
            // A session numbers the frames of all its connections.
            frame.id = connection * FRAMES + n;
            frame.received = Received { mono_ns, unix_ns: BEGIN + mono_ns as i64 };
            recording.offer_frame(frame);
        }
    }
    let outcome = recording.recorder.finish();
    let path = &outcome.files[0].path;
    let mut reader = Reader::open(path).expect("a recording");
    let stored = reader.clock("front").expect("a clock");
    let mut frames = 0;
    while let Some(entry) = reader.next_entry().expect("intact") {
        let RecordingEntry::Frame(frame) = entry else { continue };
        frames += 1;
        assert_eq!(frame.log_ns - frame.publish_ns, 0, "frame {}", frame.wire.id);
    }
    assert_eq!((frames, stored.restarts, stored.is_used()), (5 * FRAMES, 4, true));
    // As of a file whose end was lost.
    let mut clock = crate::recording::ClockModel::default();
    let mut reader = Reader::open(path).expect("a recording");
    while let Some(entry) = reader.next_entry().expect("intact") {
        let RecordingEntry::Frame(frame) = entry else { continue };
        clock.follow_connection(frame.wire.at, frame.wire.payload_len);
        assert_eq!(clock.observe(DeviceTime(frame.wire.device_time_us), frame.log_ns), frame.log_ns);
    }
}

/// A camera that keeps its clock while it pauses for 4 s between its connections of 2.5 s.
#[test]
fn capture_times_follow_a_clock_that_goes_forward_at_each_reconnect() {
    const FRAMES: u64 = 100;
    const PAUSE_NS: u64 = 4_000_000_000;
    let root = tempfile::tempdir().expect("a folder");
    let recording = Recording::start(root.path(), |_| {});
    for n in 0..3 * FRAMES {
        let mut frame = frame(n, 100);
        frame.at = n % FRAMES * 132;
        let mono_ns = frame.received.mono_ns + n / FRAMES * PAUSE_NS;
        frame.received = Received { mono_ns, unix_ns: BEGIN + mono_ns as i64 };
        recording.offer_frame(frame);
    }
    let outcome = recording.recorder.finish();
    let mut reader = Reader::open(&outcome.files[0].path).expect("a recording");
    let stored = reader.clock("front").expect("a clock");
    let mut frames = 0;
    while let Some(entry) = reader.next_entry().expect("intact") {
        let RecordingEntry::Frame(frame) = entry else { continue };
        frames += 1;
        let off_ns = frame.log_ns - frame.publish_ns;
        assert!((0..1_000_000).contains(&off_ns), "frame {}: {off_ns} ns", frame.wire.id);
    }
    assert_eq!((frames, stored.restarts, stored.earlier.len()), (3 * FRAMES, 2, 2));
}

/// Most frames are dropped while the disk is blocked: each second one is of depth.
#[test]
fn a_gap_is_marked_for_the_stream_that_it_belongs_to() {
    let root = tempfile::tempdir().expect("a folder");
    let recording = Recording::start(root.path(), |options| options.budget = Budget::new(1_000_000));
    let depth: Arc<str> = "depth".into();
    let offer = |numbers: std::ops::Range<u64>| {
        for n in numbers {
            let mut frame = frame(n, 100_000);
            frame.stream = (n % 2 == 1).then(|| Arc::clone(&depth));
            recording.offer_frame(frame);
        }
    };
    recording.faults.stall(true);
    offer(0..2);
    recording.faults.until_stalled();
    offer(2..1000);
    recording.faults.stall(false);
    recording.until_taken();
    offer(1000..1004);
    let outcome = recording.recorder.finish();
    let [counts] = &outcome.cameras[..] else { panic!("{outcome:?}") };
    assert!(counts.dropped > 500 && counts.recorded + counts.dropped == 1004, "{counts:?}");
    let report = crate::recording::inspect::inspect(&outcome.files[0].path).expect("a recording");
    let names: Vec<_> = report.cameras.iter().map(|camera| camera.name.as_str()).collect();
    assert_eq!(names, ["front", "front_depth"]);
    for camera in &report.cameras {
        assert_eq!(camera.frames + camera.missing, 502, "{}: {} missing", camera.name, camera.missing);
    }
}

/// Frames that are lost while the disk is full and the memory used up: their incidents do not reach a file.
#[test]
fn damage_of_the_stream_is_counted_also_if_its_incidents_are_not_written() {
    let root = tempfile::tempdir().expect("a folder");
    let options = RecordOptions {
        budget: Budget::new(10_000),
        ..RecordOptions::new(RecordingTarget::Folder(root.path().to_owned()))
    };
    let outlets = Outlets::default();
    let refused: super::target::CreateDisk = Box::new(|_, _| Err(ErrorKind::PermissionDenied.into()));
    let cameras = vec![(camera("front"), outlets.clone())];
    let recorder = Recorder::start_on(options, cameras, refused, &Recorder::retention()).expect("a recorder");
    for n in 0..200 {
        outlets.confirmed.offer(&Arc::new(frame(n, 1000)));
        let event = IncidentEvent::Lost(Damage::Unverified { expected: 1000 });
        outlets.incidents.offer(&Incident { received: frame(n, 0).received, stream: None, event });
    }
    let outcome = recorder.finish();
    assert_balanced(&outcome);
    let counts = &outcome.cameras[0];
    assert!(counts.dropped > 0, "{counts:?}");
    assert_eq!((counts.damage.lost, counts.recorded, counts.in_no_file()), (200, 0, 400), "{counts:?}");
}

#[test]
fn a_trigger_with_an_unknown_label_is_reported() {
    let root = tempfile::tempdir().expect("a folder");
    let trigger: Trigger = "piza>0.5".parse().expect("a trigger");
    let recording = Recording::start(root.path(), |options| options.trigger = Some(trigger));
    recording.offer(0..3, 100);
    let outcome = recording.recorder.finish();
    let expected = "front: no label is named `piza`, so the trigger cannot match; did you mean `pizza`?";
    assert_eq!(outcome.problems, [expected], "once");
    assert_eq!(outcome.cameras[0].passed, 3);
}

#[test]
fn label_tables_of_waiting_frames_count_as_memory() {
    let root = tempfile::tempdir().expect("a folder");
    let trigger =
        Trigger { pre: Duration::from_secs(60), pre_bytes: 1_000_000, .."person>0.5".parse().expect("a trigger") };
    let recording = Recording::start(root.path(), |options| options.trigger = Some(trigger));
    let table = || {
        let name = "x".repeat(1000);
        Arc::new(std::iter::repeat_n(name.as_str(), 100).collect::<crate::frame::LabelMap>())
    };
    let shared = table();
    for n in 0..50 {
        let mut frame = frame(n, 100);
        frame.labels = Some(if n < 20 { Arc::clone(&shared) } else { table() });
        recording.offer_frame(frame);
    }
    let held = || {
        let camera = &recording.recorder.health().cameras[0];
        (camera.queued == 0).then_some(camera.held)
    };
    until("the bound", || held().is_some_and(|held| (5..10).contains(&held)));
}

const SETS: [u8; 16] = [0, 0, 0, 1, 0x67, 66, 0, 10, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80];

/// Frame n of H.264 with a key frame every 20 frames, which sends its parameter sets only with frame 0, and the checksum of
/// each payload (`@E`) with the next frame.
fn video_frame(n: u64) -> Frame {
    let payload = |n: u64| {
        let slice = [0, 0, 0, 1, if n.is_multiple_of(20) { 0x65 } else { 0x41 }, 0x9a, n as u8, 0xff];
        [if n == 0 { &SETS[..] } else { &[] }, &slice].concat()
    };
    let bytes = payload(n);
    let mut video = frame(n, bytes.len());
    video.kind = PayloadKind::H264;
    video.payload_mut(bytes.len()).copy_from_slice(&bytes);
    if n > 0 {
        let last = crc32fast::hash(&payload(n - 1));
        video.records = format!("{:32}", format!("@E {} {last:08x}", n - 1)).into_bytes();
    }
    video
}

/// Number and payload of each frame in a file, which has to be intact.
fn video_frames(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let report = crate::recording::verify::verify(path).expect("a recording");
    // The detections of these frames are not in the bytes of the camera.
    assert!(report.findings.iter().all(|finding| finding.what == "annotations"), "{:?}", report.findings);
    let mut reader = Reader::open(path).expect("a recording");
    let mut found = Vec::new();
    let mut last_crc32 = None;
    while let Some(entry) = reader.next_entry().expect("intact") {
        let RecordingEntry::Frame(recorded) = entry else { continue };
        let checksum = String::from_utf8(recorded.wire.records).expect("text");
        if let Some(last) = last_crc32.replace(crc32fast::hash(&recorded.payload)) {
            assert!(checksum.contains(&format!("{last:08x}")), "frame {}: {checksum}", recorded.wire.id);
        }
        found.push((recorded.wire.id, recorded.payload));
    }
    found
}

#[test]
fn each_file_of_video_begins_with_a_key_frame_and_its_parameter_sets() {
    for clips in [false, true] {
        let root = tempfile::tempdir().expect("a folder");
        let recording = Recording::start(root.path(), |options| {
            if clips {
                let trigger = "person>0.6".parse::<Trigger>().expect("a trigger");
                let pre = Duration::from_millis(300);
                options.trigger = Some(Trigger { pre, post: Duration::from_millis(500), ..trigger });
            } else {
                options.split = Some(SplitLimit::Time(Duration::from_secs(1)));
            }
        });
        for n in 0..150 {
            let video = video_frame(n);
            // The second trigger comes so soon after the first clip that its key frame is in that clip.
            let is_seen = clips && [45, 70, 125].contains(&n);
            recording.offer_frame(if is_seen { with_detection(video, 0, 0.9) } else { video });
            recording.until("the lane to be empty", |health| health.cameras.iter().all(|camera| camera.queued == 0));
        }
        let outcome = recording.recorder.finish();
        assert_balanced(&outcome);
        assert!(outcome.files.len() >= 3, "{outcome:?}");
        for saved in &outcome.files {
            let found = video_frames(&saved.path);
            let (number, first) = &found[0];
            assert!(number.is_multiple_of(20), "{clips}: begins with frame {number}");
            assert!(
                first.starts_with(&SETS)
                    && first.ends_with(&video_frame(*number).payload()[SETS.len() * usize::from(*number == 0)..])
            );
            for (number, payload) in &found[1..] {
                assert_eq!(payload, video_frame(*number).payload(), "the others are as the camera sent them");
            }
        }
    }
}
