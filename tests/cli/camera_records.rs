//! Extension records of the camera in the program: label names, frame numbers, temperature, and the application's
//! identity.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use oaktap::frame::DeviceTime;
use oaktap::wire::encode;

use crate::program::run;

/// A camera that serves one client as the closure does, and then disconnects.
struct Camera {
    uri: String,
    thread: JoinHandle<()>,
}

impl Camera {
    fn start(serve: impl FnOnce(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let uri = listener.local_addr().expect("an address").to_string();
        let thread = thread::spawn(move || serve(listener.accept().expect("a client").0));
        Self { uri, thread }
    }

    /// A camera that sends these bytes and then waits until the client disconnects.
    fn that_sends(bytes: Vec<u8>) -> Self {
        Self::start(move |mut client| {
            // A client that has seen enough disconnects before the end.
            let _ = client.write_all(&bytes);
            let _ = client.read(&mut [0; 64]);
        })
    }

    fn that_sends_and_leaves(bytes: Vec<u8>) -> Self {
        Self::start(move |mut client| client.write_all(&bytes).expect("a client"))
    }

    fn end(self) {
        self.thread.join().expect("it does not fail");
    }
}

fn lines(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| encode::line(text).expect(text)).collect()
}

/// Frames of 8x6 BGR pixels with these numbers, 25 ms apart, each with a box of class 1.
fn frames(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in numbers {
        let time = DeviceTime(25_000 * number.cast_signed());
        let text = b"1;90.0;0.1000;0.1000;0.5000;0.5000";
        bytes.extend(lines(&[&format!("@F {number} {}", time.0)]));
        bytes.extend(encode::img(time, 144, text.len()));
        bytes.extend(text);
        bytes.extend([7; 144]);
    }
    bytes
}

const DOOR: [&str; 6] =
    ["@V 1 door", "@I 14442C10D13EABCE00", "@D 8 6 BGR888p", "@R 40", "@L 0 person", "@L 1 traffic light"];

fn summary(out: &str) -> Value {
    let last = out.lines().last().unwrap_or_else(|| panic!("no line in {out:?}"));
    serde_json::from_str::<Value>(last).expect(last)["summary"]["cameras"][0].clone()
}

/// Runs `detections` with a camera that sends these bytes; returns exit code, names of the boxes, summary and standard
/// error.
fn detections(bytes: Vec<u8>, arguments: &[&str]) -> (i32, Vec<Value>, Value, String) {
    let frames = bytes.windows(4).filter(|four| four == b"IMG ").count().to_string();
    let camera = Camera::that_sends(bytes);
    let (code, out, err) =
        run(&[&["detections", &camera.uri, "--frames", &frames, "--json", "--duration", "60s"], arguments].concat());
    camera.end();
    let names = out.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).expect(line);
        Some(line.get("detections")?[0]["name"].clone())
    });
    (code, names.collect(), if out.is_empty() { Value::Null } else { summary(&out) }, err)
}

#[test]
fn missing_frames_are_counted_by_the_cameras_numbers() {
    let mut bytes = lines(&DOOR);
    // Nine frames that arrive at once may have waited in the camera.
    bytes.extend(frames((80..103).chain([105, 106])));
    bytes.extend(lines(&["@T t=61.5 css=88 mss=9", "@Q drop=2"]));
    bytes.extend(frames([107]));
    // The camera restarted: its numbers begin again, and none is missing.
    bytes.extend(frames([3, 4, 5]));
    let (code, names, told, err) = detections(bytes, &["-v"]);
    assert_eq!((code, names.len()), (3, 29), "{err}");
    let numbers = &told["numbers"];
    let counted = ["numbers", "came", "not_sent", "damaged"].map(|key| numbers[key].as_u64().expect(key));
    assert_eq!(counted, [31, 29, 2, 0], "{told}");
    assert_eq!((&told["frames"]["missing"], &told["frames"]["estimated"]), (&2.into(), &0.into()));
    assert_eq!((&told["dropped_by_camera"], &told["balances"]), (&2.into(), &true.into()));
    assert_eq!(told["introduction"]["device_id"], "14442C10D13EABCE00");
    assert_eq!(told["health"]["celsius"]["last"], 61.5);
    assert!(err.contains("of 31 numbered frames: 29 received, 2 not sent"), "{err}");
    assert!(err.contains("144 bytes are 8x6 BGR888p, as announced by the stream"), "{err}");
}

#[test]
fn a_camera_that_dies_is_reported_with_exit_code_3() {
    let run_with = |arguments: &[&str]| {
        let camera = Camera::that_sends_and_leaves([lines(&DOOR), frames(0..20)].concat());
        let source = format!("line-10={}", camera.uri);
        let (code, out, err) = run(&[&["detections", &source, "--json"], arguments].concat());
        camera.end();
        (code, summary(&out), err)
    };
    let (code, told, err) = run_with(&["-q", "--duration", "1s"]);
    assert_eq!(code, 3, "{err}");
    let down = told["not_streaming_seconds"].as_f64().expect("a number");
    let watched = told["watched_seconds"].as_f64().expect("a number");
    assert!(down > 0.0 && down <= watched && told["down_at_end"] == true, "{told}");
    assert_eq!((&told["lossless"], &told["certainly_lossless"]), (&true.into(), &false.into()), "no byte is lost");
    let [line, help] = err.lines().collect::<Vec<_>>().split_off(err.lines().count().saturating_sub(2))[..] else {
        panic!("{err}")
    };
    assert!(help.starts_with("help: `oaktap doctor line-10=127.0.0.1:"), "{err}");
    assert!(line.starts_with("line-10: exit code 3: not streaming for "), "{err}");
    assert!(line.ends_with(" s, not at the end either"), "{err}");
    // Nobody waits for more frames than these.
    let (code, told, err) = run_with(&["--duration", "60s", "--frames", "20"]);
    assert_eq!((code, &told["down_at_end"]), (0, &false.into()), "{err}");
}

#[test]
fn an_incomplete_label_table_is_not_used() {
    for (table, name, complete) in [
        (&["@C abda5f13 2"][..], "traffic light", true),
        (&["@C abda5f13 3"], "#1", false),
        (&["@C 12345678 2"], "#1", false),
        // Without the record that describes it, a table is used as received.
        (&[], "traffic light", false),
    ] {
        let mut bytes = lines(&[&DOOR[..], table].concat());
        bytes.extend(frames(0..3));
        let (code, names, told, err) = detections(bytes, &[]);
        assert_eq!((code, names), (0, vec![Value::from(name); 3]), "{table:?} {err}");
        assert_eq!(told["introduction"]["table"]["complete"].as_bool().unwrap_or(false), complete, "{told}");
        assert_eq!(err.contains("labels are shown as numbers"), name == "#1", "{err}");
        let sent = "the camera sent 12345678 as the CRC-32 of its 2 label names (`@C`), but theirs is abda5f13";
        assert_eq!(err.contains(sent), table == ["@C 12345678 2"], "{err}");
    }
}

#[test]
fn an_unexpected_application_is_rejected() {
    let mut bytes = lines(&DOOR);
    bytes.extend(lines(&["@C abda5f13 2"]));
    bytes.extend(frames(0..3));
    let (code, names, _, err) = detections(bytes.clone(), &["--expect", "door oaktap/1 8x6 BGR888p 40 abda5f13 :5000"]);
    assert_eq!((code, names.len()), (0, 3), "{err}");
    let (code, names, _, err) = detections(bytes, &["--expect", "gate oaktap/1 16x6 BGR888p 30 -"]);
    assert_eq!((code, names.len()), (1, 0), "{err}");
    for told in [
        "unexpected application on the camera: expected gate, found door; expected 16x6, found 8x6; expected 30",
        "expected no labels, found labels abda5f13; expected 16x6 BGR888p (288 bytes), found 144 bytes",
        "help: flash the expected application",
    ] {
        assert!(err.contains(told), "{told}\n{err}");
    }
    // We close the connection within a frame: that is not a loss.
    let mut cut = lines(&DOOR);
    cut.extend(lines(&["@C abda5f13 2"]));
    cut.extend(frames(0..3));
    cut.truncate(cut.len() - 100);
    let camera = Camera::that_sends(cut);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.mcap");
    let (code, out, err) = run(&[
        "record",
        &camera.uri,
        "-o",
        file.to_str().expect("UTF-8"),
        "--expect",
        "gate oaktap/1 16x6 BGR888p 30 -",
    ]);
    let not_received = format!("no frame of {} received", camera.uri);
    camera.end();
    assert!(code == 1 && err.contains("unexpected application"), "{code} {out}{err}");
    for untrue in ["frame lost", "first damage", &not_received] {
        assert!(!(out.clone() + &err).contains(untrue), "{untrue}: {out}{err}");
    }
    // A camera that does not identify itself proves nothing, even if its frames have the expected size.
    let silent: Vec<u8> =
        frames(0..3).chunks(32).skip_while(|line| !line.starts_with(b"IMG")).flatten().copied().collect();
    let (code, _, _, err) = detections(silent.clone(), &["--expect", "door oaktap/1 8x6 BGR888p 40 -"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("expected door, found an application that does not identify itself"), "{err}");
    let (code, names, _, err) = detections(silent, &["--expect", "door oaktap/1 640x352 JPEG 40 -"]);
    assert_eq!((code, names.len()), (1, 0), "{err}");
    assert!(err.contains("expected 640x352 JPEG, found 144 bytes of raw pixels"), "{err}");
    let (code, _, err) = run(&["view", "sim:", "--no-window", "--expect", "door"]);
    assert!(code == 2 && err.contains("invalid contract `door`"), "{code} {err}");
}

#[test]
fn a_contradiction_in_the_stream_is_reported() {
    let mut bytes = lines(&["@V 1 door", "@D 16 6 BGR888p"]);
    bytes.extend(frames(0..3));
    let (code, _, _, err) = detections(bytes, &[]);
    let told =
        "the stream contradicts its own records: expected 16x6 BGR888p (288 bytes), found 144 bytes of raw pixels";
    assert!(code == 0 && err.matches(told).count() == 1, "{code} {err}");
}

#[test]
fn a_recording_contains_the_cameras_temperature() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.mcap");
    let file = file.to_str().expect("UTF-8");
    let mut bytes = lines(&DOOR);
    bytes.extend(frames(0..20));
    bytes.extend(lines(&["@T t=60.0 css=80 mss=9"]));
    bytes.extend(frames(20..22));
    bytes.extend(lines(&["@T t=64.5 css=97 mss=9"]));
    bytes.extend(frames([22, 25]));
    let camera = Camera::that_sends(bytes);
    let (code, _, err) = run(&["record", &camera.uri, "-o", file, "--frames", "24"]);
    assert_eq!(code, 3, "frames 23 and 24 were not sent: {err}");
    camera.end();
    let (code, out, err) = run(&["inspect", file]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("60.0 to 64.5 °C, last 64.5; css 80.0 to 97.0 %, last 97.0; mss 9.0 to 9.0 %"), "{out}");
    // Replayed, the recording gives the same counts.
    let (code, out, err) = run(&["detections", &format!("file:{file}?speed=max"), "--json"]);
    assert_eq!(code, 3, "{err}");
    let told = summary(&out);
    assert_eq!((&told["numbers"]["not_sent"], &told["numbers"]["came"]), (&2.into(), &24.into()), "{told}");
    assert_eq!(told["health"]["css"]["max"], 97.0);
}

#[test]
fn control_commands_are_sent_and_their_answers_printed() {
    let camera = Camera::start(|mut client| {
        client.write_all(&lines(&["@V 1 door"])).expect("a client");
        let mut told = [0; 32];
        for (order, answer) in [("@K lens=120", "@N lens=120"), ("@K iso=800", "@N no: this lens has no gain")] {
            client.read_exact(&mut told).expect("a record");
            assert_eq!(told, encode::line(order).expect(order));
            // The answers arrive between frames.
            client.write_all(&[frames(0..2), lines(&[answer]), frames(2..3)].concat()).expect("a client");
        }
        let _ = client.read(&mut told);
    });
    let (code, out, err) = run(&["control", &camera.uri, "lens=120", "iso=800"]);
    camera.end();
    let expected =
        "sent lens=120; the camera acknowledged it\nsent iso=800; the camera refused: this lens has no gain\n";
    assert_eq!((code, out.as_str()), (4, expected), "{err}");
    assert!(err.contains("the camera refused `iso=800`: no: this lens has no gain"), "{err}");
}

#[test]
fn a_setting_that_is_not_acknowledged_does_not_hide_those_that_are() {
    let camera = Camera::start(|mut client| {
        client.write_all(&lines(&["@V 1 door"])).expect("a client");
        let mut told = [0; 32];
        client.read_exact(&mut told).expect("a record");
        client.write_all(&lines(&["@N lens=120"])).expect("a client");
        let _ = client.read_to_end(&mut Vec::new());
    });
    let (code, out, err) = run(&["control", &camera.uri, "lens=120", "iso=400", "--timeout", "1s", "--json"]);
    camera.end();
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("`iso=400` was sent, but the camera did not acknowledge it within 1 s"), "{err}");
    let told = serde_json::from_str::<Value>(&out).expect("one line")["summary"].take();
    let answers = serde_json::json!([{"order": "lens=120", "said": "lens=120", "done": true}]);
    assert_eq!((&told["answers"], told["error"].is_string()), (&answers, true), "{told}");
}

#[test]
fn a_camera_without_control_is_sent_no_command() {
    let camera = Camera::start(|mut client| {
        // Without a number: the frames of the official program.
        client.write_all(&frames([0])[32..]).expect("a client");
        let mut heard = Vec::new();
        // Disconnecting with unread frames resets the connection.
        let _ = client.read_to_end(&mut heard);
        assert_eq!(heard, b"");
    });
    let (code, out, err) = run(&["control", &camera.uri, "lens=120"]);
    camera.end();
    assert_eq!((code, out.as_str()), (4, ""), "{err}");
    assert!(
        err.contains("no setting was sent: the application on the camera does not support") && err.contains("help:"),
        "{err}"
    );
    for (order, told) in [
        ("pause=on", "applies to one connection only"),
        ("zoom=2", "unknown setting `zoom=2`"),
        ("lens=999", "invalid value `999` for `lens`: expected 0 to 255"),
    ] {
        let (code, _, err) = run(&["control", "192.0.2.1", order]);
        assert!(code == 2 && err.contains(told), "{code} {err}");
    }
}

#[test]
fn a_camera_without_a_free_connection_is_reported() {
    let camera = Camera::that_sends_and_leaves(lines(&["@N busy: 3 clients are served"]));
    let uri = camera.uri.clone();
    let (code, _, err) = run(&["detections", &uri, "--duration", "1s"]);
    camera.end();
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("connection lost: the camera closed the connection: \"busy: 3 clients are served\""), "{err}");
    assert!(err.contains(&format!("help: {uri}: the camera serves a limited number of clients at a time")), "{err}");
}

#[test]
fn an_unreadable_box_costs_only_itself_and_is_a_finding() {
    for (bad, found, code) in [
        ("@B 1 875 -100 2000 4000 10400", 2, 0),
        ("@B 1 87.5 1000 2000 4000 9000", 1, 3),
        ("@B 1 nan 1000 2000 4000 9000", 1, 3),
        ("@B 1 875 1000 2000 4000", 1, 3),
        ("@B 1 875  1000 2000 4000 9000", 1, 3),
    ] {
        let mut bytes = lines(&["@D 8 6 BGR888p"]);
        for number in 0..6 {
            let time = DeviceTime(25_000 * number);
            bytes.extend(lines(&[&format!("@F {number} {}", time.0), "@B 0 875 1000 2000 4000 9000", bad]));
            bytes.extend(encode::img(time, 144, 0));
            bytes.extend([7; 144]);
        }
        let camera = Camera::that_sends(bytes);
        let (exit, out, err) = run(&["detections", &camera.uri, "--json", "--frames", "5"]);
        camera.end();
        let mut printed: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let summary = printed.pop().expect("a summary")["summary"]["cameras"][0].clone();
        assert_eq!(exit, code, "{bad}: {err}");
        assert_eq!(printed.len(), 5, "{bad}: {out}");
        for (number, frame) in printed.iter().enumerate() {
            assert_eq!(frame["camera_seq"], number, "{bad}: {frame}");
            assert_eq!(frame["detections"].as_array().map(Vec::len), Some(found), "{bad}: {frame}");
        }
        assert_eq!(summary["bad_detections"].as_u64() > Some(0), code == 3, "{bad}: {summary}");
        let warnings = err.matches(&format!("record `{bad}` not understood")).count();
        assert_eq!(warnings > 0, code == 3, "{bad}: {err}");
    }
}

#[test]
fn a_record_that_is_not_understood_is_quoted_with_what_was_expected() {
    for (bad, expected) in [
        ("@D 8 6", "expected `@D WIDTH HEIGHT FORMAT [STRIDE]`"),
        ("@D x", "expected `@D WIDTH HEIGHT FORMAT [STRIDE]`"),
        ("@R fast", "expected `@R FPS`"),
        ("@X 1", "expected one of @V @I"),
    ] {
        let camera = Camera::that_sends([lines(&[bad]), frames(0..6)].concat());
        let (_, _, err) = run(&["detections", &camera.uri, "--size", "8x6", "--frames", "5"]);
        camera.end();
        let warning = format!("record `{bad}` not understood: {expected}");
        assert_eq!(err.matches(&warning).count(), 1, "{bad}: {err}");
    }
}
