//! Recording on real file systems that fail, and by a program that is killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oaktap::frame::{Frame, Received};
use oaktap::recording::recover::recover;
use oaktap::recording::{CameraInfo, Reader, RecordingEntry};
use oaktap::sink::record::{RecordOptions, Recorder, RecorderOutcome, RecorderState, RecordingTarget, Trigger};
use oaktap::source::Outlets;

use crate::frames;
use crate::program::run;

const LIMIT: Duration = Duration::from_secs(60);
const BYTES: usize = 675_840;

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < LIMIT, "waited for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A small file system in memory, unmounted on drop.
struct Mount(tempfile::TempDir);

impl Mount {
    /// Returns `None`, and prints the reason, where mounting is not permitted.
    fn new(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "oaktap-test"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder)),
            Ok(output) => {
                eprintln!("SKIPPED: mounting needs root: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                eprintln!("skipped: cannot mount a file system: {error}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read_only(&self, read_only: bool) {
        let how = if read_only { "remount,ro" } else { "remount,rw" };
        let done = Command::new("mount").args(["-o", how]).arg(self.path()).status();
        assert!(done.expect("there is a mount").success(), "{how}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a failed test may still have open files.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// The n-th frame of a camera that sends 40 frames per second.
fn frame(n: u64) -> Arc<Frame> {
    let mono_ns = n * 25_000_000;
    let payload: Vec<_> = (0..BYTES as u64).map(|i| i.wrapping_mul(n + 7) as u8).collect();
    let mut frame = frames::frame(n, (mono_ns / 1000) as i64, None, &payload);
    frame.received = Received { mono_ns, unix_ns: 1_795_259_112_345_000_000 + mono_ns as i64 };
    Arc::new(frame)
}

fn start(options: RecordOptions) -> (Recorder, Outlets) {
    let camera = CameraInfo { name: "front".to_owned(), ..CameraInfo::default() };
    let outlets = Outlets::default();
    (Recorder::start(options, vec![(camera, outlets.clone())]).expect("it begins"), outlets)
}

/// Frame numbers in a file, and those marked as missing. Compares every payload.
fn read(path: &Path) -> (Vec<u64>, u64) {
    let (mut numbers, mut missing) = (Vec::new(), 0);
    let mut reader = Reader::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    while let Some(entry) = reader.next_entry().expect("intact so far") {
        match entry {
            RecordingEntry::Frame(recorded) => {
                assert!(recorded.payload == frame(recorded.wire.id).payload(), "frame {}", recorded.wire.id);
                numbers.push(recorded.wire.id);
            }
            RecordingEntry::Incident { incident, .. } => missing += incident.frames,
        }
    }
    (numbers, missing)
}

fn assert_balanced(outcome: &RecorderOutcome, offered: u64) {
    let [camera] = outcome.cameras.as_slice() else { panic!("{outcome:?}") };
    assert!(camera.balances(), "{camera:?}");
    assert_eq!((camera.offered, camera.held, camera.queued), (offered, 0, 0), "{camera:?}");
}

#[test]
fn a_full_file_system_pauses_the_recording_without_loss() {
    let Some(small) = Mount::new(40) else { return };
    let ballast = small.path().join("ballast");
    std::fs::write(&ballast, vec![0; 30 << 20]).expect("it fits");
    let (recorder, outlets) = start(RecordOptions::new(RecordingTarget::Folder(small.path().to_owned())));
    let count = 45;
    for n in 0..count {
        outlets.confirmed.offer(&frame(n));
    }
    until("it to be full", || recorder.health().state == RecorderState::Paused { why: "the disk is full".to_owned() });
    assert_eq!(recorder.health().missing, 0);
    std::fs::remove_file(ballast).expect("it is there");
    until("it to go on", || recorder.health().state == RecorderState::Recording);
    let outcome = recorder.finish();
    assert_balanced(&outcome, count);
    assert!(outcome.is_complete() && outcome.unfinished.is_empty(), "{outcome:?}");
    assert_eq!(outcome.files.len(), 1, "it is the same file");
    assert_eq!(read(&outcome.files[0].path), ((0..count).collect(), 0));
}

#[test]
fn frames_lost_to_a_full_file_system_are_counted() {
    let Some(small) = Mount::new(16) else { return };
    let (recorder, outlets) = start(RecordOptions::new(RecordingTarget::Folder(small.path().to_owned())));
    let count = 60;
    for n in 0..count {
        outlets.confirmed.offer(&frame(n));
    }
    let outcome = recorder.finish();
    assert_balanced(&outcome, count);
    assert_eq!((outcome.frames + outcome.lost, outcome.dropped), (count, 0));
    assert!(outcome.lost > 35 && !outcome.problems.is_empty(), "{outcome:?}");
    let [left] = outcome.unfinished.as_slice() else { panic!("{outcome:?}") };
    let (numbers, _) = read(left);
    // Frames in a chunk that is not complete count as lost, but those of them that are intact are read.
    assert!(numbers.len() as u64 >= outcome.frames, "every frame that fitted can be read: {numbers:?}");
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<u64>>());
}

#[test]
fn recording_resumes_when_write_permission_returns() {
    let Some(small) = Mount::new(100) else { return };
    // Between clips no file is open, so the file system can be made read-only.
    let trigger: Trigger = "0>0.5".parse().expect("a trigger");
    let trigger = Trigger { pre: Duration::ZERO, post: Duration::ZERO, ..trigger };
    let (recorder, outlets) = start(RecordOptions {
        trigger: Some(trigger),
        ..RecordOptions::new(RecordingTarget::Folder(small.path().to_owned()))
    });
    let seen = |n: u64| {
        let mut frame = Arc::into_inner(frame(n)).expect("it is ours alone");
        frame.detections.push(oaktap::frame::Detection { confidence: 0.9, ..Default::default() });
        Arc::new(frame)
    };
    let looked_at = |count: u64| {
        until("every frame to be looked at", || {
            let health = recorder.health();
            let camera = &health.cameras[0];
            camera.recorded + camera.passed + camera.held == count && health.state == RecorderState::Waiting
        });
    };
    outlets.confirmed.offer(&seen(0));
    outlets.confirmed.offer(&frame(1));
    looked_at(2);
    small.read_only(true);
    outlets.confirmed.offer(&seen(2));
    until("it to be refused", || matches!(recorder.health().state, RecorderState::Paused { .. }));
    let RecorderState::Paused { why } = recorder.health().state else { panic!("it was paused") };
    assert!(why.contains(small.path().to_str().expect("UTF-8")) && why.contains("ead-only"), "{why}");
    outlets.confirmed.offer(&frame(3));
    small.read_only(false);
    looked_at(4);
    let outcome = recorder.finish();
    assert_balanced(&outcome, 4);
    assert!(outcome.is_complete(), "waiting frames were recorded: {outcome:?}");
    let found: Vec<_> = outcome.files.iter().map(|saved| read(&saved.path)).collect();
    assert_eq!(found, [(vec![0], 0), (vec![2], 0)]);
}

#[test]
fn an_unwritable_folder_is_rejected_at_the_start() {
    let Some(small) = Mount::new(1) else { return };
    small.read_only(true);
    let camera = CameraInfo { name: "front".to_owned(), ..CameraInfo::default() };
    for place in [PathBuf::from("below"), PathBuf::from("a.mcap")] {
        let target = RecordingTarget::from_path(small.path().join(place));
        let error = Recorder::start(RecordOptions::new(target), vec![(camera.clone(), Outlets::default())])
            .expect_err("it is read-only");
        let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
        let cause = causes.last().map(ToString::to_string).unwrap_or_default();
        assert!(cause.contains("ead-only"), "{error}: {cause}");
    }
}

/// Number of recorders to kill, and the part of the end that may be missing. The promise is 1 s. A machine that is busy with
/// other tests may not schedule the recorder within 1 s, so only `.ci/crash`, which runs alone and sets the number,
/// requires that.
fn crashes() -> (u64, Duration) {
    match std::env::var("OAKTAP_CRASHES") {
        Ok(number) => (number.parse().expect("OAKTAP_CRASHES is a number"), Duration::from_secs(1)),
        Err(_) => (8, Duration::from_secs(4)),
    }
}

/// The files on the disk after a recorder was killed.
struct Killed {
    folder: tempfile::TempDir,
    /// Nanoseconds since 1970.
    at_unix_ns: i64,
}

/// Starts the program with a simulated camera, and kills it this long after its file has begun.
fn kill(seed: u64, after: Duration) -> Killed {
    let folder = tempfile::tempdir().expect("a folder");
    // Large frames end chunks by their size, small ones by time.
    let size = if seed.is_multiple_of(2) { "640x352" } else { "320x176" };
    let mut recorder = Command::new(env!("CARGO_BIN_EXE_oaktap"))
        .args(["record", &format!("sim:?size={size}&fps=40&seed={seed}"), "-o"])
        .arg(folder.path())
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    until("the first frames to be in the file", || {
        assert!(recorder.try_wait().expect("our own package").is_none(), "it ended by itself");
        partial(folder.path()).is_some_and(|path| path.metadata().is_ok_and(|about| about.len() > 100_000))
    });
    // A plain sleep: this is the moment of the kill.
    std::thread::sleep(after);
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).expect("it is after 1970");
    recorder.kill().expect("it runs");
    recorder.wait().expect("our own package");
    Killed { folder, at_unix_ns: now.as_nanos() as i64 }
}

fn partial(folder: &Path) -> Option<PathBuf> {
    let camera = std::fs::read_dir(folder).ok()?.next()?.ok()?.path();
    let file = std::fs::read_dir(camera).ok()?.next()?.ok()?.path();
    file.to_str()?.ends_with(".mcap.partial").then_some(file)
}

/// Every frame but the last ones is present, in order and intact. Returns how much of the end is missing.
fn judge(killed: &Killed) -> Duration {
    let path = partial(killed.folder.path()).expect("a file that is not finished");
    let mut reader = Reader::open(&path).expect("it can be read");
    assert!(!reader.is_finished());
    let (mut next, mut newest, mut frames) = (None, i64::MIN, 0);
    while let Some(entry) = reader.next_entry().expect("intact so far") {
        let RecordingEntry::Frame(frame) = entry else { continue };
        let id = frame.wire.id;
        assert!(next.is_none_or(|next| next == id), "{id} instead of {next:?}");
        assert_eq!(crc32fast::hash(&frame.payload), frame.wire.payload_crc32, "frame {id}");
        assert!(frame.log_ns >= newest);
        newest = frame.log_ns;
        next = Some(id + 1);
        frames += 1;
    }
    let saved = recover(&path, &killed.folder.path().join("saved.mcap")).expect("there are frames");
    assert_eq!((saved.frames, saved.lost_frames), (frames, 0));
    assert!(Reader::open(&saved.path).expect("a recording").is_finished());
    Duration::from_nanos(u64::try_from(killed.at_unix_ns - newest).expect("no frame came after the end"))
}

#[test]
fn a_killed_recorder_loses_at_most_the_last_second() {
    let (number, limit) = crashes();
    let mut worst = Duration::ZERO;
    for seeds in (0..number).collect::<Vec<u64>>().chunks(4) {
        let missing: Vec<(u64, Duration)> = std::thread::scope(|scope| {
            let kills: Vec<_> = seeds
                .iter()
                .map(|seed| {
                    // Spread over 2 s, without the rhythm of the chunks.
                    let after = Duration::from_micros((seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 2_000_000);
                    scope.spawn(move || (*seed, judge(&kill(*seed, after))))
                })
                .collect();
            kills.into_iter().map(|kill| kill.join().expect("a verdict")).collect()
        });
        for (seed, missing) in missing {
            assert!(missing <= limit, "seed {seed}: the last {missing:?} are missing");
            worst = worst.max(missing);
        }
    }
    println!("{number} recorders killed; the longest end that was missing: {} ms", worst.as_millis());
}

#[test]
fn a_file_system_without_room_or_permission_to_write_is_explained() {
    let Some(mount) = Mount::new(1) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let file = folder.path().join("a.mcap");
    // Pictures of 0.5 MB: the second one has no room.
    let frames = crate::recordings::frames("size=640x352&format=BGR888p&records=on", 6);
    crate::recordings::write(
        &file,
        oaktap::recording::Compression::None,
        &[(crate::recordings::camera("door"), frames)],
    );
    let output = mount.path().join("out");
    let (code, out, said) = run(&["export", &text(&file), "--to", "coco", "-o", &text(&output), "--json"]);
    let pictures = std::fs::read_dir(output.join("images")).map_or(0, Iterator::count);
    let kept = match pictures {
        0 => "nothing is kept".to_owned(),
        1 => "1 complete picture is kept".to_owned(),
        kept => format!("{kept} complete pictures are kept"),
    };
    assert!(code == 1 && said.contains(&kept), "{pictures} pictures: {said}");
    assert!(said.contains("help: the disk is full"), "{said}");
    let line: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(line["summary"]["kept"], pictures, "{out}");

    mount.read_only(true);
    let table = text(&mount.path().join("a.csv"));
    let recording = text(&mount.path().join("a.mcap"));
    for words in [&["export", &text(&file), "-o", &table][..], &["record", "sim:", "-o", &recording]] {
        let (code, _, said) = run(words);
        assert!(code == 1 && said.contains("help: this file system is read-only"), "{words:?}: {said}");
    }
    mount.read_only(false);
}
