//! Recordings of several streams on one connection, which commands read as if they received them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use oaktap::frame::{Frame, Interpreter, Pool, Received};
use oaktap::recording::{CameraInfo, Compression, SegmentWriter};
use oaktap::wire::{Decoder, Event, Limits};
use serde_json::Value;

use crate::program::run;

/// When the first frame arrives: 2026-09-21T13:06:40Z.
const START_NS: i64 = 1_790_000_000_000_000_000;

/// The camera sends color and depth in turn, and drops nothing: it waits for its receiver.
const CAMERA: &str = "cam=sim:?size=64x48&depth=on&spatial=on&fps=0";

/// The same, at a rate that does not depend on the machine.
const SPLIT_CAMERA: &str = "cam=sim:?size=64x48&depth=on&spatial=on&fps=20";

/// A folder for the files of a test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }
}

/// Parses lines of JSON.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Checks that each box has the depth of its position, and returns the number of boxes.
#[track_caller]
fn check_depths<'a>(frames: impl IntoIterator<Item = &'a Value>) -> usize {
    let boxes = frames.into_iter().flat_map(|line| line["detections"].as_array().expect("a list"));
    boxes
        .inspect(|detection| {
            let (depth, z) = (&detection["depth_mm"], &detection["position_mm"][2]);
            let differ = depth.as_f64().zip(z.as_f64()).map(|(depth, z)| (depth - z).abs());
            assert!(differ.is_some_and(|differ| differ <= 1.0), "{detection}");
        })
        .count()
}

/// Records a camera in several files. Returns their folder, and the files in their order.
fn split(folder: &Folder) -> (String, Vec<std::path::PathBuf>) {
    let (code, _, err) = run(&["record", SPLIT_CAMERA, "-o", &folder.path("all"), "--split", "1s", "-d", "4500ms"]);
    assert_eq!(code, 0, "{err}");
    let files = folder.path("all/cam");
    let mut found: Vec<_> =
        fs::read_dir(&files).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
    found.sort();
    assert!(found.len() >= 4, "{found:?}");
    (files, found)
}

/// The depth picture of a frame follows it in the file.
#[test]
fn detections_of_a_recording_are_measured_in_the_depth_beside_them() {
    let folder = Folder::new();
    let file = folder.path("a.mcap");
    let (code, _, err) = run(&["record", CAMERA, "-o", &file, "-n", "40"]);
    assert_eq!(code, 0, "{err}");
    let both = format!("file:{file}");
    for source in [file.clone(), format!("{both}?speed=max"), format!("{both}?speed=max&camera=cam")] {
        let (code, out, err) = run(&["detections", &source, "-q"]);
        assert_eq!(code, 0, "{err}");
        let all = lines(&out);
        let color: Vec<_> = all.iter().filter(|line| line["format"] == "BGR888p").collect();
        assert!(color.len() >= 19, "{out}");
        assert_eq!(check_depths(color[..color.len() - 1].iter().copied()), 3 * (color.len() - 1));
    }
}

/// The camera sends each depth picture after the next picture of color: that of the last frame of a file is in the next one.
#[test]
fn boxes_at_the_end_of_a_file_are_measured_in_the_next_file() {
    let folder = Folder::new();
    let pairs = (0..120).map(|at: u64| [Some(color(at, at)), at.checked_sub(1).map(|before| depth(before, before))]);
    let frames = frames(&pairs.flatten().flatten().collect::<Vec<_>>());
    let files = folder.path("all");
    fs::create_dir(&files).expect("a folder");
    for (number, frames) in frames.chunks(40).enumerate() {
        write(&Path::new(&files).join(format!("{number}.mcap")), frames);
    }
    let table = folder.path("all.jsonl");
    let (code, _, err) = run(&["export", &files, "-o", &table]);
    assert_eq!(code, 0, "{err}");
    let exported = fs::read_to_string(&table).expect("a table");
    let (code, printed, err) = run(&["detections", &format!("file:{files}?speed=max"), "-q"]);
    assert_eq!(code, 0, "{err}");
    for out in [exported, printed] {
        let all = lines(&out);
        let color: Vec<_> = all.iter().filter(|line| line["camera"] == "cam").collect();
        assert_eq!(color.len(), 120, "{out}");
        for line in &color[..color.len() - 1] {
            let at = line["device_time_us"].as_i64().expect("a time") / 1000;
            assert_eq!(line["detections"][0]["depth_mm"], 1000 + at, "{line}");
        }
    }
}

#[test]
fn detections_number_over_a_missing_file_and_name_it() {
    let folder = Folder::new();
    let (files, found) = split(&folder);
    let seqs = |out: &str| -> Vec<(u64, i64)> {
        let all = lines(out);
        let color = all.iter().filter(|line| line["camera"] == "cam");
        color.map(|line| (line["seq"].as_u64().expect("seq"), line["device_time_us"].as_i64().expect("time"))).collect()
    };
    let source = format!("file:{files}?speed=max");
    let (code, out, err) = run(&["detections", &source, "-q"]);
    assert_eq!(code, 0, "{err}");
    let whole = seqs(&out);
    assert!(whole.iter().enumerate().all(|(at, (seq, _))| at as u64 == *seq), "{whole:?}");
    fs::remove_file(&found[1]).expect("remove");
    for source in [&source, &files] {
        let (code, out, err) = run(&["detections", source]);
        let rest = seqs(&out);
        assert!(rest.len() < whole.len() && rest.iter().all(|frame| whole.contains(frame)), "{rest:?} of {whole:?}");
        let name = found[1].file_name().and_then(|name| name.to_str()).expect("UTF-8");
        assert!(code == 3 && err.contains(&format!("{name} is missing between ")), "{code}: {err}");
    }
}

/// A header or a record of 32 bytes.
fn line(text: &str) -> Vec<u8> {
    format!("{text:32}").into_bytes()
}

/// A picture of a stream with its number, captured `at` this millisecond.
fn picture(stream: &str, layout: &str, (number, at): (u64, u64), boxes: &str, payload: &[u8]) -> Vec<u8> {
    let head = [
        line(&format!("@S {stream}")),
        line(&format!("@D 8 8 {layout}")),
        line(&format!("@F {number} {}", 1000 * at)),
        line(&format!("IMG {:.3} {} {}", at as f64 / 1e3, payload.len(), boxes.len())),
    ];
    [&head.concat(), boxes.as_bytes(), payload].concat()
}

/// A picture with a box.
fn color(number: u64, at: u64) -> Vec<u8> {
    picture("color", "BGR888p", (number, at), "0;87.5;0.1;0.2;0.4;0.9", &[at as u8; 192])
}

/// A picture that is `1000 + at` mm away everywhere.
fn depth(number: u64, at: u64) -> Vec<u8> {
    let samples = (1000 + at as u16).to_le_bytes().repeat(64);
    picture("depth", "RAW16", (number, at), "", &samples)
}

/// Decodes messages, of which one arrives each millisecond.
fn frames(messages: &[Vec<u8>]) -> Vec<Arc<Frame>> {
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    let mut frames = Vec::new();
    for (at, message) in (0..).zip(messages) {
        let at_ns = 1_000_000 * at;
        decoder.feed(message, Received { mono_ns: 1 + at_ns as u64, unix_ns: START_NS + at_ns });
        while let Some(event) = decoder.poll() {
            if let Event::Frame(frame) = event {
                frames.push(frame);
            }
        }
    }
    decoder.finish();
    assert_eq!(frames.len(), messages.len());
    frames
}

/// Writes frames of color and depth as a file of a recording.
fn write(path: &Path, frames: &[Arc<Frame>]) {
    let camera = |name: &str| CameraInfo { name: name.to_owned(), address: "tcp://cam".to_owned(), labels: None };
    let file = fs::File::create_new(path).expect("a new file");
    let cameras = [camera("cam"), camera("cam_depth")];
    let mut writer = SegmentWriter::new(file, Compression::None, &cameras, START_NS).expect("a recording");
    for frame in frames {
        writer.frame(usize::from(frame.stream.is_some()), frame, frame.received.unix_ns).expect("write");
    }
    writer.finish(&[]).expect("write");
}

/// Records the first `frames` of these messages.
fn record(messages: &[Vec<u8>], frames: usize, options: &[&str]) -> (i32, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("it listens");
    let camera = format!("cam=tcp://{}", listener.local_addr().expect("an address"));
    let bytes = messages.concat();
    let sender = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("it connects");
        client.write_all(&bytes).expect("it reads");
        // Until the client leaves.
        let _ = client.read(&mut [0; 1]);
    });
    let (code, _, err) = run(&[&["record", &camera, "-n", &frames.to_string()], options].concat());
    sender.join().expect("it ends");
    (code, err)
}

/// Returns the cameras in a file by name.
fn inspected(file: &str) -> Vec<(String, Value)> {
    let (_, out, err) = run(&["inspect", file, "--json"]);
    assert!(Path::new(file).exists(), "{err}");
    let summary: Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    let cameras = summary["summary"]["files"][0]["cameras"].as_array().expect("cameras").clone();
    cameras.into_iter().map(|camera| (camera["name"].as_str().expect("a name").to_owned(), camera)).collect()
}

#[test]
fn gaps_belong_to_the_stream_that_misses_frames() {
    let folder = Folder::new();
    let file = folder.path("a.mcap");
    let mut messages: Vec<_> = (0..24).flat_map(|at| [color(at, at), depth(at, at)]).collect();
    // Depth leaves out number 15, and of number 9 a part is missing.
    messages.remove(2 * 15 + 1);
    messages[2 * 9 + 1].truncate(150);
    let (code, err) = record(&messages, 40, &["-o", &file]);
    assert_eq!(code, 3, "{err}");
    let cameras = inspected(&file);
    let [(first, color), (second, depth)] = &cameras[..] else { panic!("{cameras:?}") };
    assert_eq!([first.as_str(), second.as_str()], ["cam", "cam_depth"]);
    let counts = |camera: &Value| {
        let count = |field: &str| camera[field].as_u64().expect("a number");
        let gaps = camera["gaps"].as_array().expect("gaps").len();
        (count("not_sent"), count("withdrawn") + count("lost"), count("missing"), gaps)
    };
    assert_eq!((counts(color), counts(depth)), ((0, 0, 0, 0), (1, 1, 1, 2)), "{color:#} {depth:#}");
}

/// Streams may count their frames on their own, or all on one counter.
#[test]
fn a_stream_of_a_recording_does_not_miss_the_numbers_of_the_others() {
    let folder = Folder::new();
    let own = (0..24).flat_map(|at| [color(at, at), depth(at, at)]).collect::<Vec<_>>();
    let shared = (0..24).flat_map(|at| [color(2 * at, at), depth(2 * at + 1, at)]).collect::<Vec<_>>();
    for (name, messages) in [("own", own), ("shared", shared)] {
        let file = folder.path(&format!("{name}.mcap"));
        let (code, err) = record(&messages, 40, &["-o", &file]);
        assert_eq!(code, 0, "{err}");
        let (code, out, err) = run(&["replay", &file, "--no-window", "--speed", "max", "--strict", "--json"]);
        assert_eq!(code, 0, "{name}: {err}");
        let summary: Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
        for camera in summary["summary"]["cameras"].as_array().expect("cameras") {
            let (received, numbers) = (&camera["frames"]["received"], &camera["numbers"]);
            assert_eq!((&numbers["numbers"], &numbers["came"]), (received, received), "{name}: {camera:#}");
        }
    }
}
