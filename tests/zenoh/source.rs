//! `zenoh://` as a source: recordings equal those of the far receiver, and losses have a place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oaktap::recording::{Reader, RecordingEntry};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::bus::{is_missing, router, router_at, target};
use crate::external_tools::{free_port, output, program};
use crate::program::{run, signal};
use crate::publishing::{Ended, Publishing};
use crate::recordings::frames;

/// What a camera sent of one frame: header, detections, records and the hash of its payload.
type Sent = (Vec<u8>, Vec<u8>, Vec<u8>, [u8; 32]);

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The file of a recording in a folder.
fn file(folder: &Path) -> PathBuf {
    let files = std::fs::read_dir(folder.join("front")).expect("a folder of the camera");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "mcap"));
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// The frames of a recording by the camera's own numbers, and the frames that it marks as lost.
fn recorded(folder: &Path) -> (BTreeMap<u64, Sent>, u64) {
    let mut reader = Reader::open(&file(folder)).expect("a recording");
    let (mut frames, mut lost) = (BTreeMap::new(), 0);
    while let Some(entry) = reader.next_entry().expect("it is intact") {
        match entry {
            RecordingEntry::Frame(frame) => {
                let number = frame.wire.camera_seq.expect("a numbered camera");
                let sent = (frame.wire.header, frame.wire.detections, frame.wire.records, sha256(&frame.payload));
                assert_eq!(frames.insert(number, sent), None, "frame {number} was recorded twice");
            }
            RecordingEntry::Incident { incident, .. } if incident.kind == "lost" => lost += incident.frames,
            RecordingEntry::Incident { .. } => {}
        }
    }
    (frames, lost)
}

/// Missing numbers between the first frame and the last one.
fn gaps(frames: &BTreeMap<u64, Sent>) -> u64 {
    let numbers: Vec<_> = frames.keys().copied().collect();
    numbers.windows(2).map(|pair| pair[1] - pair[0] - 1).sum()
}

fn source(port: u16, host: &str, camera: &str) -> String {
    format!("zenoh://127.0.0.1:{port}/{host}/{camera}")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The summary of a command that received the only camera.
fn camera(ended: &Ended) -> &Value {
    let summary = ended.printed.iter().find_map(|line| line.get("summary")).expect("a summary");
    &summary["cameras"][0]
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[test]
fn a_recording_over_the_bus_has_the_bytes_of_the_camera() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    for config in [
        // Interleaved in its image message, and boxes as text.
        "size=64x48&fps=50&boxes=3",
        "size=64x48&fps=50&format=jpeg&dialect=frame",
        // No image message can hold it, so the stamp does.
        "size=64x48&fps=50&format=yuv420p",
        "size=64x48&fps=50&format=raw16",
        "size=64x48&fps=50&format=h264",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let [here, there] = ["here", "there"].map(|name| folder.path().join(name));
        let _ = [&here, &there].map(|path| std::fs::create_dir(path).expect("a folder"));
        let front = format!("front=sim:?{config}");
        let mut receiver =
            Publishing::start(&["record", &front, "-o", text(&there), "--json", "--publish", &target(port)]);
        receiver.says("publishing on");
        let from = format!("front={}", source(port, "rack", "front"));
        let (code, out, err) =
            run(&["record", &from, "-o", text(&here), "--frames", "40", "--json", "--duration", "60s"]);
        // The first ones may be lost while the far receiver learns that somebody subscribes.
        assert!([0, 3].contains(&code), "{config}: {err}");
        let ended = receiver.stop();
        assert_eq!(ended.code, 0, "{config}: {}", ended.said);
        let ((here, _), (there, _)) = (recorded(&here), recorded(&there));
        assert!(here.len() >= 40, "{config}: {}", here.len());
        for (number, sent) in &here {
            let original = there.get(number).unwrap_or_else(|| panic!("{config}: frame {number} is not there"));
            assert_eq!((&sent.0, &sent.1, sent.3), (&original.0, &original.1, original.3), "{config}: frame {number}");
            // The first one also has the records that the camera sent before.
            assert!(sent.2.ends_with(&original.2), "{config}: the records of frame {number}");
        }
        let same_records = here.iter().filter(|(number, sent)| sent.2 == there[number].2).count();
        assert!(same_records + 1 >= here.len(), "{config}: {same_records}");
        // What the camera sends, without a socket.
        let last = here.keys().next_back().copied().unwrap_or_default();
        let config = format!("{config}&records=on");
        let simulated = frames(&config, usize::try_from(last).expect("a number") + 1);
        let mut compared = 0;
        for frame in simulated {
            let number = frame.camera_seq.expect("a number");
            if let Some(sent) = here.get(&number) {
                assert_eq!(sent.3, sha256(frame.payload()), "{config}: frame {number}");
                compared += 1;
            }
        }
        assert_eq!(compared, here.len(), "{config}");
        let summary: Value = serde_json::from_str(out.lines().last().expect("a summary")).expect("JSON");
        let bus = &summary["summary"]["cameras"][0]["bus"];
        assert_eq!((number(&bus["invalid"]), number(&bus["restarts"])), (0, 0), "{bus}");
        assert!(number(&bus["received"]) >= 40 && number(&bus["missing"]) >= gaps(&here), "{bus} {}", gaps(&here));
    }
}

#[test]
fn frames_are_missing_exactly_while_a_router_is_away() {
    if is_missing() {
        return;
    }
    let (mut first, port) = router();
    let folder = tempfile::tempdir().expect("a folder");
    let [here, there] = ["here", "there"].map(|name| folder.path().join(name));
    let _ = [&here, &there].map(|path| std::fs::create_dir(path).expect("a folder"));
    let front = "front=sim:?size=64x48&fps=100";
    let mut receiver = Publishing::start(&["record", front, "-o", text(&there), "--publish", &target(port), "--json"]);
    receiver.says("publishing on");
    let from = format!("front={}", source(port, "rack", "front"));
    let arguments = ["record", &from, "-o", text(&here), "--status", "100ms", "--json"];
    let mut consumer = Publishing::start(&arguments);
    let bus = |line: &Value, count: &str| line["status"]["bus"][count].as_u64();
    consumer.prints(|line| bus(line, "received") >= Some(50) && line["status"]["bus"]["far"].is_object());

    signal(&first.process.0, "KILL");
    first.process.0.wait().expect("it ends");
    receiver.says("connection lost");
    consumer.says("the connection to the Zenoh router at 127.0.0.1");
    let missing = consumer.prints_next(|line| line["status"]["state"] == "lost");
    assert!(missing["status"]["reason"].as_str().is_some_and(|why| why.contains("Zenoh router")), "{missing}");
    // Its port may need a moment to be free.
    let _second = std::iter::repeat_with(|| router_at(port)).flatten().next().expect("a router");
    let back = consumer.prints(|line| line["status"]["state"] == "streaming" && bus(line, "missing") > Some(0));
    let received = bus(&back, "received");
    consumer.prints(|line| bus(line, "received") >= received.map(|received| received + 50));

    let (consumer, receiver) = (consumer.stop(), receiver.stop());
    let (counts, far) = (camera(&consumer), camera(&receiver));
    assert_eq!(consumer.code, 3, "frames are missing: {}", consumer.said);
    assert_eq!(far["lossless"], true, "the receiver lost nothing: {far}");
    let (here, marked) = recorded(&here);
    let (there, _) = recorded(&there);
    assert_eq!((gaps(&there), number(&far["numbers"]["not_sent"])), (0, 0));
    let missing = number(&counts["bus"]["missing"]);
    assert!(missing > 0 && gaps(&here) == missing && marked == missing, "{} {marked} {}", gaps(&here), counts["bus"]);
    assert_eq!(number(&counts["numbers"]["not_sent"]), 0, "the camera left out nothing: {counts}");
    assert_eq!((number(&counts["bus"]["restarts"]), &counts["balances"]), (0, &Value::Bool(true)), "{counts}");
    assert!(number(&counts["connections"]) == 2 && number(&counts["frames"]["missing"]) == missing, "{counts}");
    assert_eq!(number(&counts["bus"]["far"]["lost"]), 0);
    for (number, sent) in &here {
        assert_eq!(sent.3, there[number].3, "frame {number}");
    }
    assert!(
        consumer.said.contains("frames lost: 0 not sent by the camera, 0 before the far receiver"),
        "{}",
        consumer.said
    );
}

#[test]
fn a_far_receiver_that_restarts_numbers_anew() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let target = target(port);
    let arguments = ["publish", "front=sim:?size=64x48&fps=50", "--to", &target];
    let mut consumer =
        Publishing::start(&["detections", &source(port, "rack", "front"), "--status", "100ms", "--json"]);
    consumer.says("waiting: no oaktap publishes as rack");
    let mut receiver = Publishing::start(&arguments);
    receiver.says("publishing on");
    let received = |line: &Value| line["status"]["bus"]["received"].as_u64();
    consumer.prints(|line| received(line) >= Some(50));
    assert_eq!(receiver.stop().code, 0);
    consumer.says("waiting: no oaktap publishes as rack");
    let before = received(&consumer.prints_next(|line| line["status"]["state"] == "waiting"));
    let mut receiver = Publishing::start(&arguments);
    receiver.says("publishing on");
    consumer.prints(|line| received(line) >= before.map(|before| before + 20));
    let ended = consumer.stop();
    let counts = camera(&ended);
    assert_eq!(number(&counts["bus"]["restarts"]), 1, "{counts}");
    assert!(number(&counts["bus"]["missing"]) < 100 && number(&counts["frames"]["missing"]) < 200, "{counts}");
    assert_eq!(receiver.stop().code, 0);
}

#[test]
fn a_camera_that_is_gone_at_the_far_receiver_is_named_and_returns() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let address = format!("127.0.0.1:{}", free_port());
    let camera_arguments = ["simulate", "--listen", &address, "--size", "64x48", "--fps", "50", "--records", "-q"];
    let mut device = Publishing::start(&camera_arguments);
    let mut receiver = Publishing::start(&["publish", &format!("front={address}"), "--to", &target(port)]);
    receiver.says("publishing on");
    let mut other = Publishing::start(&["detections", &source(port, "rack", "back"), "-d", "60s"]);
    other.says("waiting: rack does not publish a camera back");
    drop(other);
    let mut consumer =
        Publishing::start(&["detections", &source(port, "rack", "front"), "--status", "100ms", "--json"]);
    let received = |line: &Value| line["status"]["bus"]["received"].as_u64();
    consumer.prints(|line| received(line) >= Some(20));
    signal(&device.process.0, "KILL");
    device.process.0.wait().expect("it ends");
    consumer.says("waiting: front at rack: ");
    let before = received(&consumer.prints_next(|line| line["status"]["state"] == "waiting"));
    let _device = Publishing::start(&camera_arguments);
    consumer.prints(|line| received(line) >= before.map(|before| before + 20));
    let ended = consumer.stop();
    let counts = camera(&ended);
    assert!(counts["not_streaming_seconds"].as_f64() > Some(0.0), "{counts}");
    assert_eq!(number(&counts["connections"]), 1, "the router was there all the time: {counts}");
}

#[test]
fn a_pattern_means_the_cameras_that_are_there() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let pattern = |host: &str, camera: &str| source(port, host, camera);
    let (code, _, err) = run(&["detections", &pattern("*", "*"), "-n", "1"]);
    assert!(code == 1 && err.contains("no camera matches zenoh://127.0.0.1"), "{code} {err}");
    assert!(err.contains("nothing is alive there"), "{err}");
    let targets = ["rack", "desk"].map(|host| format!("zenoh://127.0.0.1:{port}/{host}"));
    let cameras =
        [["front=sim:?size=64x48", "back=sim:?size=64x48"], ["front=sim:?size=32x32", "door=sim:?size=64x48"]];
    let mut receivers: Vec<_> = (0..2)
        .map(|at| Publishing::start(&["publish", cameras[at][0], cameras[at][1], "--to", &targets[at]]))
        .collect();
    receivers.iter_mut().for_each(|receiver| receiver.says("publishing on"));
    let names = |pattern: &str| {
        // Each camera is declared on its own.
        loop {
            let (code, out, err) = run(&["detections", pattern, "-n", "3", "--json", "-d", "60s"]);
            assert!([0, 1, 3].contains(&code), "{code} {err}");
            let summary = out.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
            let cameras = summary.map(|summary| summary["summary"]["cameras"].clone()).unwrap_or_default();
            let mut names: Vec<_> = cameras
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|camera| camera["camera"].as_str().map(str::to_owned))
                .collect();
            names.sort();
            if names.len() >= if pattern.ends_with("rack/*") { 2 } else { 4 } {
                return names;
            }
        }
    };
    assert_eq!(names(&pattern("*", "*")), ["back", "desk_front", "door", "rack_front"]);
    assert_eq!(names(&pattern("rack", "*")), ["back", "front"]);
    let (code, _, err) = run(&["view", &pattern("*", "garden"), "--no-window", "-n", "1"]);
    assert_eq!(code, 1);
    assert!(err.contains("alive there: desk/door, desk/front, rack/back, rack/front"), "{err}");
}

#[test]
fn a_router_that_is_not_there_is_named() {
    let port = free_port();
    let (code, _, err) = run(&["detections", &source(port, "rack", "front"), "-d", "1s"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("cannot connect to a Zenoh router at 127.0.0.1") && err.contains(&port.to_string()), "{err}");
    let (code, _, err) = run(&["detections", &source(port, "*", "*"), "-d", "1s"]);
    assert!(code == 1 && err.contains("cannot connect to a Zenoh router at 127.0.0.1"), "{code} {err}");
}

/// The largest memory that a process has used, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a size");
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
}

#[cfg(target_os = "linux")]
#[test]
fn messages_that_are_not_frames_are_named_and_counted_in_bounded_memory() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let mut receiver = Publishing::start(&["publish", "front=sim:?size=64x48&fps=50", "--to", &target(port)]);
    receiver.says("publishing on");
    let mut consumer =
        Publishing::start(&["detections", &source(port, "rack", "front"), "--status", "100ms", "--json"]);
    let bus = |line: &Value, count: &str| line["status"]["bus"][count].as_u64();
    consumer.prints(|line| bus(line, "received") >= Some(20));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/zenoh_hostile.py");
    let mut hostile = program("python").expect("Python");
    hostile.arg(script).args([&port.to_string(), "oaktap/rack/front/frame", "40"]);
    let sent: u64 = output(&mut hostile).trim().parse().expect("a number");
    assert_eq!(sent, 200);
    consumer.says("ignored a message on the bus: ");
    let after = consumer.prints_next(|line| bus(line, "invalid") >= Some(10));
    let received = bus(&after, "received");
    consumer.prints(|line| bus(line, "received") >= received.map(|received| received + 50));
    let peak = peak_memory(consumer.process.0.id());
    let ended = consumer.stop();
    assert_eq!(ended.code, 3, "{}", ended.said);
    let bus = &camera(&ended)["bus"];
    // The queue may have dropped some of them.
    assert!(number(&bus["invalid"]) + number(&bus["dropped_here"]) >= sent && number(&bus["invalid"]) <= sent, "{bus}");
    assert!(!ended.said.contains("panicked"), "{}", ended.said);
    assert!(ended.said.contains("messages that are not intact frames"), "{}", ended.said);
    // 320 MiB were sent.
    assert!(peak < 200 << 20, "{} MiB", peak >> 20);
    assert_eq!(receiver.stop().code, 0);
}
