//! `oaktap record`: contents of its files, termination, and the reported losses.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use oaktap::recording::{Reader, RecordingEntry};
use oaktap::sim::{SimConfig, Stream};
use serde_json::Value;

use crate::program::{self, oaktap, run};

/// Longer than any operation takes on a busy machine.
const AGES: Duration = Duration::from_secs(60);

/// Records with `--json`; returns the exit code, the summary and standard error.
fn record(args: &[&str]) -> (i32, Value, String) {
    let (code, out, err) = run(&[&["record", "--json"], args].concat());
    let document: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}\n{err}"));
    (code, document["summary"].clone(), err)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The contents of a file.
#[derive(Default)]
struct Found {
    /// Hash and length of each payload, by camera.
    frames: BTreeMap<String, Vec<(u32, u64)>>,
    /// Number of incidents of each kind.
    incidents: BTreeMap<String, u64>,
}

fn read(path: &Path) -> Found {
    let mut reader = Reader::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(reader.is_finished(), "{}", path.display());
    let names: Vec<String> = reader.cameras().map(|camera| camera.name.clone()).collect();
    let mut found = Found::default();
    while let Some(entry) = reader.next_entry().expect("intact") {
        match entry {
            RecordingEntry::Frame(frame) => {
                assert_eq!(crc32fast::hash(&frame.payload), frame.wire.payload_crc32);
                let frames = found.frames.entry(names[frame.camera].clone()).or_default();
                frames.push((frame.wire.payload_crc32, frame.wire.payload_len));
            }
            RecordingEntry::Incident { incident, .. } => *found.incidents.entry(incident.kind).or_default() += 1,
        }
    }
    found
}

/// The files of a summary, which must be all that exist.
fn files(summary: &Value, folder: &Path) -> Vec<PathBuf> {
    let recordings = summary["recordings"].as_array().expect("there are recordings");
    let files = recordings.iter().flat_map(|recorded| recorded["files"].as_array().expect("files"));
    let mut files: Vec<PathBuf> = files.map(|file| file["path"].as_str().expect("a path").into()).collect();
    files.sort();
    assert_eq!(files, everything(folder), "{summary}");
    files
}

/// All files below a folder, which does not exist if nothing was recorded.
fn everything(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if !folder.exists() {
        return found;
    }
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(everything(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Every ledger and every recorder balances.
fn balanced(summary: &Value) {
    for camera in summary["cameras"].as_array().expect("cameras") {
        assert_eq!(camera["balances"], true, "{summary}");
        let lane = camera["lanes"].as_array().expect("lanes").iter().find(|lane| lane["name"] == "record");
        let lane = lane.unwrap_or_else(|| panic!("the ledger counts the recorder's lane: {summary}"));
        assert_eq!(lane["queued"], 0, "{summary}");
    }
    for recorded in summary["recordings"].as_array().expect("recordings") {
        assert_eq!(recorded["balances"], true, "{summary}");
        assert_eq!(recorded["unfinished"], Value::Array(Vec::new()), "{summary}");
        let frames = |key: &str| recorded["cameras"].as_array().expect("books").iter().map(|of| of[key].as_u64()).sum();
        let sum: Option<u64> = frames("recorded");
        assert_eq!(recorded["frames"].as_u64(), sum, "{summary}");
    }
}

#[test]
fn every_byte_that_a_camera_sends_is_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("new/recordings");
    let (code, summary, err) =
        record(&["sim:?size=64x48&fps=200&records=on&seed=5", "-o", text(&out), "--frames", "50"]);
    assert_eq!(code, 0, "{err}");
    balanced(&summary);
    let files = files(&summary, &out);
    let [file] = &*files else { panic!("{files:?}") };
    assert_eq!(file.parent(), Some(&*out.join("sim-1")));
    let recorded = &summary["recordings"][0];
    assert_eq!((&recorded["complete"], &recorded["gaps"]), (&true.into(), &0.into()));
    assert_eq!(recorded["bytes"].as_u64(), Some(file.metadata().expect("a file").len()));
    let found = read(file);
    assert_eq!(found.incidents, [("connected".to_owned(), 1), ("disconnected".to_owned(), 1)].into());
    let frames = &found.frames["sim-1"];
    assert_eq!(frames.len(), 50);
    // The same camera again: a part of its stream, without a gap.
    let config: SimConfig = "size=64x48&fps=200&records=on&seed=5".parse().expect("a camera");
    let mut stream = Stream::new(&config).expect("a camera");
    let sent: Vec<_> = (0..2000).map(|_| crc32fast::hash(&stream.turn().truth.payload)).collect();
    let hashes: Vec<_> = frames.iter().map(|(hash, _)| *hash).collect();
    assert!(sent.windows(50).any(|piece| piece == hashes), "frames are missing, or come in another order");
}

#[test]
fn damage_in_the_stream_is_recorded_and_sets_the_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let uri = "sim:?size=64x48&fps=400&fault=short:0.1&fault=cut:0.02&seed=3";
    let (code, summary, err) = record(&[uri, "-o", text(folder.path()), "--frames", "200"]);
    assert_eq!(code, 3, "{err}");
    balanced(&summary);
    let [file] = &*files(&summary, folder.path()) else { panic!("{summary}") };
    let found = read(file);
    assert_eq!(found.frames["sim-1"].len(), 200);
    let camera = &summary["cameras"][0];
    let damaged = |key: &str| camera["frames"][key].as_u64().expect("a number");
    let told = |kind: &str| found.incidents.get(kind).copied().unwrap_or(0);
    assert!(told("lost") + told("withdrawn") > 5, "{:?}", found.incidents);
    assert!(told("lost") <= damaged("lost") && told("withdrawn") <= damaged("withdrawn"), "{:?}", found.incidents);
    assert!(told("skipped") > 0);
    assert!(told("connected") >= 2, "{:?}", found.incidents);
    let recorded = &summary["recordings"][0];
    assert_eq!((&recorded["complete"], &recorded["frames"]), (&false.into(), &200.into()), "frames were damaged");
    assert_eq!((&recorded["gaps"], &recorded["dropped"], &recorded["lost"]), (&0.into(), &0.into(), &0.into()));
}

#[test]
fn a_recording_of_a_recording_is_identical() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("first.mcap"), folder.path().join("second.mcap"));
    let uri =
        "sim:?size=64x48&fps=400&records=on&fault=short:0.05&fault=foreign:0.1&fault=junk:0.05&fault=cut:0.02&seed=4";
    let (code, summary, err) = record(&[uri, "-o", text(&first), "--frames", "300"]);
    assert_eq!(code, 3, "{err}");
    balanced(&summary);
    let again = format!("file:{}?speed=max", text(&first));
    let (code, summary, err) = record(&[&again, "-o", text(&second)]);
    assert_eq!(code, 3, "the damage is in the recording: {err}");
    balanced(&summary);
    let (first, second) = (read(&first), read(&second));
    assert!(first.frames["sim-1"].len() == 300 && first.incidents.len() > 3, "{:?}", first.incidents);
    assert_eq!(first.frames.values().collect::<Vec<_>>(), second.frames.values().collect::<Vec<_>>());
    assert_eq!(first.incidents, second.incidents);
}

#[test]
fn several_cameras_are_recorded_to_one_file_or_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let cameras = [
        "sim:?size=64x48&fps=100&records=off",
        "sim:?size=32x32&fps=50&dialect=ABCDE&records=off",
        "sim:?size=48x32&format=NV12&records=off",
    ];
    let file = folder.path().join("all.mcap");
    let (code, summary, err) = record(&[&cameras[..], &["-o", text(&file), "--frames", "20"]].concat());
    assert_eq!(code, 0, "{err}");
    balanced(&summary);
    assert_eq!(files(&summary, folder.path()), [&*file]);
    let each =
        |found: &Found| found.frames.iter().map(|(name, frames)| (name.clone(), frames.len())).collect::<Vec<_>>();
    let expected = ["sim-1", "sim-2", "sim-3"].map(|name| (name.to_owned(), 20));
    assert_eq!(each(&read(&file)), expected);

    let (code, out, err) = run(&[&["record"], &cameras[..], &["-o", text(&file)]].concat());
    assert_eq!((code, &*out), (1, ""), "{err}");
    assert!(err.contains("all.mcap already exists"), "{err}");
    assert_eq!(each(&read(&file)), expected, "it was not touched");

    let out = folder.path().join("apart");
    let (code, stdout, err) = run(&[&["record"], &cameras[..], &["-o", text(&out), "--frames", "20"]].concat());
    assert_eq!(code, 0, "{err}");
    let paths: Vec<&Path> = stdout.lines().map(Path::new).collect();
    assert_eq!(paths, everything(&out), "standard output names the files");
    let parents: Vec<_> = paths.iter().filter_map(|path| path.parent()?.file_name()?.to_str()).collect();
    assert_eq!(parents, ["sim-1", "sim-2", "sim-3"]);
    assert!(paths.iter().all(|path| each(&read(path))[0].1 == 20));
}

#[test]
fn long_recordings_are_split_and_compressed() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["sim:?size=64x48&fps=500&records=off", "-o", text(folder.path()), "--frames", "400", "--split", "1MB"];
    let (code, summary, err) = record(&[&args[..], &["--compress", "lz4", "--sync"]].concat());
    assert_eq!(code, 0, "{err}");
    balanced(&summary);
    let files = files(&summary, folder.path());
    assert!(files.len() >= 2, "{files:?}");
    let frames: usize = files.iter().map(|file| read(file).frames["sim-1"].len()).sum();
    assert_eq!(frames, 400);
}

/// A recorder that has begun a file.
struct Recorder {
    child: Child,
    folder: tempfile::TempDir,
}

impl Recorder {
    fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = oaktap(&["record", "--json", "-o", text(folder.path())]);
        let child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let recorder = Self { child, folder };
        recorder.wait_for("a file that grows", |path, len| text(path).ends_with(".mcap.partial") && len > 100_000);
        recorder
    }

    fn wait_for(&self, what: &str, found: impl Fn(&Path, u64) -> bool) {
        let begun = Instant::now();
        let is_there = |path: &PathBuf| path.metadata().is_ok_and(|file| found(path, file.len()));
        while !everything(self.folder.path()).iter().any(is_there) {
            assert!(begun.elapsed() < AGES, "timed out waiting for {what}: {:?}", everything(self.folder.path()));
            std::thread::yield_now();
        }
    }

    /// Sends the signals, one right after the other, and waits for the end.
    fn end(mut self, signals: &[&str]) -> (i32, Value, tempfile::TempDir) {
        program::signals(&self.child, signals);
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().expect("it is piped").read_to_string(&mut out).expect("UTF-8");
        self.child.stderr.take().expect("it is piped").read_to_string(&mut err).expect("UTF-8");
        let code = self.child.wait().expect("it ends").code().expect("it was not killed");
        let document: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}\n{err}"));
        (code, document["summary"].clone(), self.folder)
    }
}

#[test]
fn an_interrupted_recorder_finishes_its_file() {
    // A terminal that is closed sends HUP twice: the kernel and the shell.
    let cases: [&[&str]; 6] =
        [&["INT"], &["TERM"], &["HUP"], &["HUP", "HUP"], &["INT", "INT", "INT"], &["HUP", "TERM", "INT", "HUP"]];
    for signals in cases {
        let recorder = Recorder::start(&["sim:?size=64x48&fps=10"]);
        let (code, summary, folder) = recorder.end(signals);
        assert_eq!(code, 0, "{summary}");
        balanced(&summary);
        let [file] = &*files(&summary, folder.path()) else { panic!("{summary}") };
        let frames = read(file).frames["sim-1"].len() as u64;
        assert_eq!(summary["cameras"][0]["frames"]["confirmed"].as_u64(), Some(frames), "every frame is recorded");
    }
}

#[test]
fn only_triggered_clips_are_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let config: SimConfig = "size=64x48&fps=100&boxes=1&seed=2".parse().expect("a camera");
    let mut stream = Stream::new(&config).expect("a camera");
    let seen = stream.turn().truth.detections[0].label;
    let other = if seen == 0 { 1 } else { 0 };
    let uri = "sim:?size=64x48&fps=100&boxes=1&seed=2";
    let record = |name: &str, trigger: &str, until: [&str; 2]| {
        let out = folder.path().join(name);
        let args =
            [uri, "-o", text(&out), "--trigger", trigger, "--pre", "50ms", "--post", "100ms", until[0], until[1]];
        let (code, summary, err) = record(&args);
        balanced(&summary);
        // That nothing happened is normal.
        assert_eq!(code, 0, "{err}");
        (files(&summary, &out), summary)
    };
    let (found, summary) = record("seen", &format!("{seen}>0"), ["--frames", "30"]);
    assert!(read(&found[0]).frames["sim-1"].len() >= 30, "{summary}");
    let report = oaktap::recording::inspect::inspect(&found[0]).expect("a recording");
    let [camera] = &*report.cameras else { panic!("{report:?}") };
    let [fired] = &*camera.triggers else { panic!("it matched all the time: {:?}", camera.triggers) };
    assert!(fired.why.starts_with(&format!("{seen}>0: ")), "{}", fired.why);
    assert_eq!(camera.from_unix_ns, Some(fired.at_unix_ns), "the first frame had the detection");
    assert_eq!(camera.timeline.steps.iter().map(|step| step.triggers).sum::<u64>(), 1);
    let (code, said, err) = run(&["inspect", text(&found[0])]);
    assert!(code == 0 && said.contains(&format!("trigger    at 0.000 s: {seen}>0: ")), "{code} {said} {err}");
    let (none, summary) = record("other", &format!("{other}>99%"), ["--duration", "300ms"]);
    assert_eq!((none.len(), &summary["recordings"][0]["frames"]), (0, &0.into()), "{summary}");
    assert!(summary["recordings"][0]["cameras"][0]["passed"].as_u64() > Some(0), "{summary}");
}

#[test]
fn contradicting_options_are_rejected() {
    for wrong in [
        &["record", "sim:"][..],
        &["record", "-o", "x"],
        &["record", "sim:", "-o", "x", "--pre", "1s"],
        &["record", "sim:", "-o", "x", "--trigger", "person"],
        &["record", "sim:", "-o", "x", "--split", "10"],
        &["record", "sim:", "-o", "x", "--keep", "10%"],
        &["record", "sim:", "-o", "x", "--compress", "gzip"],
        &["record", "sim:", "-o", "x", "--only", "person"],
        &["record", "sim:", "-o", "x.mp4"],
        &["record", "sim:", "-o", "folder/x.JPG"],
        &["record", "sim:", "-o", "x", "--threshold", "0.5"],
    ] {
        let (code, out, err) = run(wrong);
        assert_eq!((code, &*out), (2, ""), "{wrong:?}: {err}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plain");
    std::fs::write(&file, "text").expect("write");
    let (code, _, err) = run(&["record", "sim:", "-o", text(&file.join("below"))]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("cannot start recording") && err.contains("plain/below"), "{err}");
}

#[test]
fn a_recording_that_fails_leaves_no_folders() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("new/recordings");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let cameras = [format!("a=tcp://{closed}"), format!("b=tcp://{closed}")];
    let words = ["record", &cameras[0], "-o", output.to_str().expect("text"), "-d", "200ms"];
    let (code, _, said) = run(&words);
    assert_eq!(code, 1, "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "{said}");
    // A folder that was there stays, and so does one with a file.
    std::fs::create_dir_all(&output).expect("a folder");
    let sim = "c=sim:?size=64x48";
    let words = ["record", &cameras[1], sim, "-o", output.to_str().expect("text"), "-d", "200ms"];
    let (_, _, said) = run(&words);
    let left: Vec<_> =
        std::fs::read_dir(&output).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(left, ["c"], "{said}");
}
