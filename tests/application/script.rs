//! The flashed Script, run by Python as a Script node on this computer: the stream it sends, the commands it accepts,
//! and the input that must not stop it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use oaktap::device::app::{App, CameraOutput, Fit, Model, ModelFamily, PayloadCoding, Size, Video};
use oaktap::device::script;
use oaktap::frame::{BBox, Detection, PixelFormat};
use oaktap::wire::Record;
use serde_json::{Value, json};

use crate::external_tools;
use crate::luxonis_page;
use crate::script_node::{Camera, Client, Setup, boxes, found, has_its_boxes, nodes, number, pixels, time_of};

/// Small pictures and a model without label names.
fn app() -> App {
    let family = ModelFamily::Yolo {
        classes: Some(80),
        coordinates: 4,
        iou: 0.5,
        anchors: Vec::new(),
        masks: std::collections::BTreeMap::new(),
    };
    App {
        name: "door".to_owned(),
        size: Size::new(64, 48),
        model: Some(Model { family, ..Model::new("m.blob") }),
        ..App::default()
    }
}

/// Runs Python on a text. Panics with its output when it fails.
fn python(program: &str, text: &str) -> Result<(), String> {
    let mut process = Command::new("python3")
        .args(["-c", program])
        .arg(nodes())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("there is a python3");
    process.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = process.wait_with_output().expect("it ends");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn text(app: &App) -> String {
    script::text(&app.check(Some(app.size)).expect("it can be built"))
}

#[test]
fn the_script_is_valid_python_3_9() {
    let parse = "import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 9))";
    python(parse, &text(&app())).expect("it is");
    let newer = "match 1:\n  case 1: pass\n";
    assert!(python(parse, newer).expect_err("3.10").contains("SyntaxError"));
    // The grammar alone does not show modules, functions and arguments that later versions added.
    let Some(mut vermin) = external_tools::program("vermin") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = |text: &str| {
        let file = folder.path().join("script.py");
        std::fs::write(&file, text).expect("a file");
        vermin.args(["-t=3.9-", "--no-tips", "--violations"]).arg(&file).output().expect("it runs").status.success()
    };
    assert!(run(&text(&app())));
    assert!(!run("import math\nmath.cbrt(8.0)\n"));
}

/// Rejects modules that a Script node does not have; the list is the simulator's.
const IMPORTS: &str = r#"
import ast, runpy, sys
modules = runpy.run_path(sys.argv[1])["MODULES"]
wrong = []
for one in ast.walk(ast.parse(sys.stdin.read())):
    if isinstance(one, ast.Import):
        wrong += [name.name for name in one.names if name.name not in modules]
    elif isinstance(one, ast.ImportFrom):
        wrong += [one.module or "."] if one.level or one.module not in modules else []
    elif isinstance(one, ast.Name) and one.id in ("__import__", "eval", "exec", "open"):
        wrong.append(one.id)
sys.exit("the Script node lacks: " + ", ".join(wrong) if wrong else 0)
"#;

#[test]
fn the_script_imports_only_modules_of_a_script_node() {
    python(IMPORTS, &text(&app())).expect("it has all of it");
    for (bad, name) in [
        ("import numpy", "numpy"),
        ("import socket, ssl", "ssl"),
        ("def f():\n  from queue import Queue", "queue"),
        ("try:\n  import asyncio\nexcept ImportError: pass", "asyncio"),
        ("import os.path", "os.path"),
        ("from . import x", "."),
        ("__import__('zlib')", "__import__"),
    ] {
        assert_eq!(python(IMPORTS, bad).expect_err(bad).trim_end(), format!("the Script node lacks: {name}"));
    }
}

#[test]
fn a_connection_begins_with_the_description_of_the_camera() {
    let mut app = app();
    let model = app.model.as_mut().expect("an address");
    let long = "a name that is longer than a record, and goes on".to_owned();
    (model.labels, model.family) =
        (vec!["person".to_owned(), "traffic light".to_owned(), long.clone()], ModelFamily::default());
    app.fps = 29.97;
    let contract = app.check(Some(app.size)).expect("it can be built").contract();
    let mut camera = Setup::new(app).start();
    let mut client = camera.client();
    camera.pair(8);
    let frame = client.next().expect("a frame");
    assert!(number(&frame) == 8 && has_its_boxes(&frame));
    let geometry = frame.geometry.expect("it was announced");
    assert_eq!((geometry.format, geometry.width, geometry.height), (PixelFormat::Bgr888p, 64, 48));
    let names = frame.labels.as_ref().expect("names");
    assert_eq!([0, 1, 2].map(|label| names.name(label)), [Some("person"), Some("traffic light"), Some(&*long)]);
    let said = format!("{:?}", client.records);
    let order = [
        "Version { version: 1, app: \"door\" }",
        "DeviceId(\"14442C10D13EABCE00\")",
        "Dimensions {",
        "FrameRate(29.97)",
        "Label { label: 0",
        "Label { label: 2",
        "Frame { seq: 8",
    ];
    let at: Vec<_> = order.iter().map(|one| said.find(one).unwrap_or_else(|| panic!("no {one} in {said}"))).collect();
    assert!(at.is_sorted(), "{said}");
    let table = Record::Labels { crc32: contract.labels.expect("it has labels"), count: 3 };
    assert!(client.records.contains(&table), "{said}");
    assert_eq!(frame.records.len() % 32, 0);
}

#[test]
fn the_official_host_reads_the_stream_unmodified() {
    const FRAMES: usize = 100;
    // With default socket buffers, and with buffers of 1 KiB. The host reads a header and the detections with one call
    // each, so each must arrive in one piece.
    for piece in [0, 1024] {
        let Some(program) = luxonis_page::program("receive and visualize detections") else { return };
        let mut setup = Setup::new(App { size: Size::new(640, 352), ..app() });
        setup.piece = piece;
        let mut camera = setup.start();
        let port = camera.at.port().to_string();
        let mut host = luxonis_page::python("host.py")
            .args([port, FRAMES.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .map(luxonis_page::Process)
            .expect("python3 starts");
        host.0.stdin.take().expect("a pipe").write_all(program.as_bytes()).expect("it reads the program");
        let lines = BufReader::new(host.0.stdout.take().expect("a pipe")).lines();
        let (send, shown) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(send.send(line))));
        camera.wait("serving");
        for seq in 1..=FRAMES as u64 {
            camera.pair(seq);
            let line = shown.recv_timeout(Duration::from_secs(60)).expect("the host shows it");
            let seen: Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(seen["time"].as_f64(), Some(time_of(seq) as f64 / 1e6), "{line}");
            assert_eq!(seen["sha256"], interleaved_hash(&pixels(Size::new(640, 352), seq)), "frame {seq}");
            let drawn: Vec<_> = boxes(seq).iter().map(drawn).collect();
            assert_eq!(seen["boxes"], Value::from(drawn), "frame {seq}");
        }
        assert!(host.0.wait().expect("it ends").success());
    }
}

/// SHA-256 of the planes as the host shows them.
fn interleaved_hash(planes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let third = planes.len() / 3;
    let pixels: Vec<u8> = (0..third).flat_map(|at| [planes[at], planes[third + at], planes[2 * third + at]]).collect();
    Sha256::digest(pixels).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The corners that the host draws: it truncates to whole pixels.
fn drawn(detection: &Detection) -> Value {
    let pixel = |part: f32, side: f64| {
        let part: f64 = format!("{part:.4}").parse().expect("a number");
        (part * side) as i64
    };
    let BBox { xmin, ymin, xmax, ymax } = detection.bbox;
    json!([pixel(xmin, 640.0), pixel(ymin, 352.0), pixel(xmax, 640.0), pixel(ymax, 352.0)])
}

#[test]
fn a_header_never_overflows() {
    // The last number has so many digits that the boxes no longer fit and are omitted.
    let mut camera = Setup::new(app()).start();
    let mut client = camera.client();
    let size = Size::new(64, 48);
    let many: Vec<_> = (0..400).map(|n| Detection { label: n % 80, ..boxes(13)[0] }).collect();
    for (seq, us, told, found_count) in [
        (1, 50, 50, 400),
        (2, -250_001, -250_001, 400),
        (3, 86_400_000_000, 86_400_000_000, 400),
        (4, 1_234_567_890_123_456, 1_234_567_890_123_000, 400),
        (5, 86_399_999_999_999_999, 86_399_999_999_999_000, 400),
    ] {
        let payload = pixels(size, seq);
        let messages = [found(seq, &many), camera.picture(seq, us, &payload)];
        camera.deliver(&messages, &[&payload]);
        let frame = client.next().expect("a frame");
        assert_eq!((frame.device_time.0, frame.detections.len()), (told, found_count), "{us} us");
        assert!(client.records.contains(&Record::Frame { seq, device_time: oaktap::frame::DeviceTime(us) }));
        assert_eq!(frame.payload(), payload);
    }
}

#[test]
fn boxes_are_mapped_back_and_nan_is_omitted() {
    let mut app = app();
    app.size = Size::new(64, 32);
    let model = app.model.as_mut().expect("an address");
    (model.fit, model.input) = (Fit::Letterbox, Some(Size::new(32, 32)));
    let mut camera = Setup::new(app).start();
    let mut client = camera.client();
    let payload = pixels(Size::new(64, 32), 1);
    let mut message = found(1, &[]);
    // Twice as wide as high, centered in a square. Python's JSON accepts NaN, other parsers do not.
    message["boxes"] = json!([[3, 0.9, 0.1, 0.25, 0.9, 0.75], [4, 0.9, "NAN", 0.0, 1.0, 1.0]]);
    let text = json!({"deliver": [message, camera.picture(1, 33_333, &payload)]}).to_string().replace("\"NAN\"", "NaN");
    camera.put_text(&text, &payload);
    let frame = client.next().expect("a frame");
    let [found] = frame.detections[..] else { panic!("{:?}", frame.detections) };
    assert_eq!(found.bbox, BBox { xmin: 0.1, ymin: 0.0, xmax: 0.9, ymax: 1.0 });
}

#[test]
fn temperature_load_and_drops_are_sent_once_a_second() {
    let mut camera = Setup::new(app()).start();
    let mut client = camera.client();
    camera.pair(1);
    client.next().expect("a frame");
    let once_a_second = |client: &Client| {
        client.records.iter().filter(|one| matches!(one, Record::Health { .. } | Record::Dropped(_))).count()
    };
    assert_eq!(once_a_second(&client), 0);
    camera.deliver(
        &[json!({"to": "system", "kind": "SystemInformation", "celsius": 67.84, "css": 0.971, "mss": 0.13})],
        &[],
    );
    // The sensor never delivered numbers 2 to 4.
    camera.time(1.5);
    camera.pair(5);
    client.next().expect("a frame");
    // The Script may have reported them just before the frame; then the frame has no report.
    let health = Record::Health { celsius: Some(67.8), css: Some(97.0), mss: Some(13.0) };
    assert!(client.records.contains(&health), "{:?}", client.records);
    assert_eq!(once_a_second(&client), 2);
    camera.pair(6);
    client.next().expect("a frame");
    assert_eq!(once_a_second(&client), 0);
    // The Script reports without any frame too, so that the host does not give the camera up.
    camera.time(3.0);
    client.records.clear();
    assert!(client.until(|record| *record == Record::Dropped(3)).is_none());
    assert!(client.records.contains(&health));
}

/// Reads every frame as it arrives; returns the frame numbers, and whether each has its own boxes.
fn reading(mut client: Client) -> Receiver<(u64, bool)> {
    let (send, read) = channel();
    std::thread::spawn(move || {
        while let Some(frame) = client.next() {
            if send.send((number(&frame), has_its_boxes(&frame))).is_err() {
                return;
            }
        }
    });
    read
}

#[test]
fn a_client_that_does_not_read_does_not_slow_the_others() {
    // Each frame is larger than the buffers of both ends of the connection.
    let app = App { size: Size::new(1920, 1080), ..app() };
    let mut camera = Setup::new(app).start();
    let deaf = camera.client();
    let others = [camera.client(), camera.client()].map(reading);
    let mut fourth = Client::new(TcpStream::connect(camera.at).expect("a connection"));
    assert_eq!(fourth.note(), "busy: 3 clients are served");
    assert!(fourth.next().is_none(), "the fourth client is disconnected");
    for seq in 1..=6 {
        camera.pair(seq);
        others.iter().for_each(|other| assert_eq!(other.recv(), Ok((seq, true))));
    }
    // The Script drops it in the end, which frees its place for another client.
    let said = camera.wait("text").to_string();
    assert!(said.contains("client left: it accepted no data for 5 s"), "{said}");
    let third = reading(camera.client());
    camera.pair(7);
    others.iter().chain([&third]).for_each(|other| assert_eq!(other.recv(), Ok((7, true))));
    drop(deaf);
    // The Script does not keep the newest frame for later clients.
    let (_, most) = camera.buffers();
    assert!(most <= 8, "{most} of the camera's buffers were in use");
}

#[test]
fn clients_connect_and_disconnect_within_frames() {
    let app = App { size: Size::new(1280, 720), ..app() };
    let mut camera = Setup::new(app).start();
    let mut steady = camera.client();
    for seq in 1..=12 {
        let mut other = camera.client();
        camera.pair(seq);
        let frame = steady.next().expect("a frame");
        assert!(number(&frame) == seq && has_its_boxes(&frame), "frame {seq}");
        // Cut in the middle of the first frame, and of its header.
        let mut some = vec![0; if seq % 2 == 0 { 100_000 } else { 150 }];
        other.socket.read_exact(&mut some).expect("a part of it");
        drop(other);
        // The client's thread ends, whatever it was doing.
        camera.wait("text");
    }
    assert!(camera.buffers().1 <= 8);
}

#[test]
fn a_host_that_reconnects_receives_current_frames() {
    let mut camera = Setup::new(app()).start();
    for turn in 0..5 {
        let mut client = camera.client();
        camera.pair(100 * turn + 13);
        let frame = client.next().expect("a frame");
        assert!(number(&frame) == 100 * turn + 13 && has_its_boxes(&frame));
        assert!(matches!(client.records[0], Record::Version { .. }), "{:?}", client.records);
        drop(client);
        camera.wait("text");
        // No client is connected: the Script drops these.
        (0..9).for_each(|n| camera.pair(100 * turn + 20 + n));
        while camera.buffers().0 > 0 {}
    }
}

#[test]
fn results_are_joined_by_frame_number_not_by_order() {
    let mut camera = Setup::new(app()).start();
    let mut client = camera.client();
    // The network is far ahead of the sensor.
    (1..=40).for_each(|seq| camera.deliver(&[found(seq, &boxes(seq))], &[]));
    for seq in 1..=40 {
        camera.frame(seq);
        let frame = client.next().expect("a frame");
        assert_eq!(number(&frame), seq);
        assert!(has_its_boxes(&frame) || (frame.detections.is_empty() && seq <= 32), "frame {seq}");
    }
    // The network is slow and skips frames: a result arrives while its frame, or a later one, waits for it.
    for first in [41, 44, 47] {
        (first..first + 3).for_each(|seq| camera.frame(seq));
        camera.deliver(&[found(first + 2, &boxes(first + 2))], &[]);
        loop {
            let frame = client.next().expect("a frame");
            let seq = number(&frame);
            if seq == first + 2 {
                assert!(has_its_boxes(&frame), "frame {seq}");
                break;
            }
            assert!(frame.detections.is_empty(), "frame {seq} has those of another");
        }
    }
}

#[test]
fn frames_are_sent_while_the_network_gives_no_results() {
    let mut setup = Setup::new(app());
    setup.with.clear();
    let mut camera = setup.start();
    let mut client = camera.client();
    // At 30 frames per second.
    for seq in 7..7 + 1800 {
        camera.frame(seq);
        let frame = client.next().expect("a frame");
        assert_eq!((number(&frame), frame.detections.len()), (seq, 0));
    }
    // The Script stops waiting for results until one arrives.
    for seq in 2001.. {
        camera.pair(seq);
        let frame = client.next().expect("a frame");
        assert!(number(&frame) == seq && (has_its_boxes(&frame) || frame.detections.is_empty()), "frame {seq}");
        if !frame.detections.is_empty() {
            break;
        }
    }
    assert!(camera.buffers().1 <= 4);
}

#[test]
fn malformed_control_records_are_ignored() {
    let mut camera = Setup::new(app()).start();
    let (mut client, mut other) = (camera.client(), camera.client());
    let mut still_there = |camera: &mut Camera, client: &mut Client, seq| {
        camera.pair(seq);
        for client in [client, &mut other] {
            let frame = client.next().expect("a frame");
            assert!(number(&frame) == seq && has_its_boxes(&frame));
        }
    };
    for (seq, (bad, note)) in (1..).zip([
        ("XYZ", "no: not understood"),
        ("XYZ,", "no: not a number"),
        ("256,", "no: not 0 to 255"),
        ("-1,", "no: not 0 to 255"),
        (",", "no: not a number"),
        ("", "no: not understood"),
        ("@K", "no: not understood"),
        ("@K lens", "no: not a number"),
        ("@K lens=1=2", "no: not a number"),
        ("@K exposure=0", "no: not 1 to 500000"),
        ("@K exposure=99999999", "no: not 1 to 500000"),
        ("@K lens=5 iso=x", "no: not a number"),
        ("@K fps=nan", "no: not 0 to 1000"),
        ("@K fps=-1", "no: not 0 to 1000"),
        ("@K pause=maybe", "no: not understood"),
        ("@K __dict__=1", "no: not understood"),
        ("@F 1 2", "no: not understood"),
    ]) {
        let answer = client.ask(bad);
        // A record has room for 29 characters of it.
        assert!(answer.starts_with(note), "`{bad}`: {answer}");
        still_there(&mut camera, &mut client, seq);
    }
    // Bytes that are not text: each block of 32 gets an answer.
    let noise: Vec<u8> = (0..64u32).map(|n| (n * 97 % 256) as u8 | 0x80).collect();
    client.socket.write_all(&noise).expect("it is taken");
    assert!(client.note().starts_with("no: ") && client.note().starts_with("no: "));
    // A partial record does not damage the next one.
    client.socket.write_all(b"13").expect("it is taken");
    still_there(&mut camera, &mut client, 50);
    camera.time(2.0);
    assert_eq!(client.note(), "an unfinished record");
    // More commands than any host sends: answers that nobody reads are not kept.
    (0..500).for_each(|_| client.say("nonsense"));
    assert_eq!(client.ask("120,"), "no: not understood");
    let heard = std::iter::from_fn(|| Some(client.note())).take(501).find(|note| note == "lens=120");
    assert!(heard.is_some());
    assert_eq!(camera.wait("calls"), json!([["setManualFocus", 120]]));
    still_there(&mut camera, &mut client, 51);
}

#[test]
fn a_host_sets_the_sensor() {
    let mut camera = Setup::new(App { model: None, ..app() }).start();
    let mut client = camera.client();
    for (say, answer, calls) in [
        ("120,", "lens=120", json!([["setManualFocus", 120]])),
        ("AUT,", "focus=auto", json!([["setAutoFocusMode", "CONTINUOUS_VIDEO"]])),
        ("@K lens=7", "lens=7", json!([["setManualFocus", 7]])),
        ("@K focus=auto", "focus=auto", json!([["setAutoFocusMode", "CONTINUOUS_VIDEO"]])),
        ("@K exposure=8000", "exposure=8000", json!([["setManualExposure", 8000, 400]])),
        ("@K iso=800", "iso=800", json!([["setManualExposure", 8000, 800]])),
        ("@K exposure=auto", "exposure=auto", json!([["setAutoExposureEnable"]])),
        ("@K wb=5600", "wb=5600", json!([["setManualWhiteBalance", 5600]])),
        ("@K wb=auto", "wb=auto", json!([["setAutoWhiteBalanceMode", "AUTO"]])),
    ] {
        assert_eq!(client.ask(say), answer);
        assert_eq!(camera.wait("calls"), calls, "{say}");
    }
    assert_eq!(client.ask("@K exposure=900 iso=200"), "exposure=900 iso=200");
    assert_eq!([camera.wait("calls"), camera.wait("calls")][1], json!([["setManualExposure", 900, 200]]));
}

#[test]
fn a_host_sets_the_rate_and_pauses_its_stream() {
    let mut camera = Setup::new(app()).start();
    let (mut client, mut other) = (camera.client(), camera.client());
    let mut seq = 0;
    // The frames that the client receives while the other client receives `frames` of them.
    let mut of = |client: &mut Client, frames: u64| {
        client.records.clear();
        let mut got = Vec::new();
        for _ in 0..frames {
            seq += 1;
            camera.pair(seq);
            assert_eq!(number(&other.next().expect("a frame")), seq);
            // The second answer follows every frame that was queued when the first command was sent.
            for _ in 0..2 {
                client.say("@K stream=?");
                while let Some(frame) = client.until(|record| matches!(record, Record::Note(_))) {
                    got.push(frame);
                }
            }
        }
        got
    };
    assert_eq!(client.ask("@K pause=on"), "pause=on");
    assert_eq!(of(&mut client, 5).len(), 0);
    assert_eq!(client.ask("@K still"), "still");
    assert_eq!(of(&mut client, 5).len(), 1);
    assert_eq!(client.ask("@K pause=off"), "pause=off");
    assert_eq!(client.ask("@K stream=picture"), "stream=picture");
    let seen = of(&mut client, 1);
    assert!(seen[0].detections.is_empty() && number(&seen[0]) == 11);
    assert_eq!(client.ask("@K stream=boxes"), "stream=boxes");
    assert_eq!(of(&mut client, 2).len(), 0);
    let numbers: Vec<_> = client.records.iter().filter(|one| matches!(one, Record::Frame { .. })).collect();
    let found = client.records.iter().filter(|one| matches!(one, Record::Box(_))).count();
    assert_eq!((numbers.len(), found), (2, boxes(12).len() + boxes(13).len()), "{:?}", client.records);
    assert_eq!(client.ask("@K stream=all fps=10"), "stream=all fps=10");
    // Every third of 30 frames per second.
    let seen: Vec<_> = of(&mut client, 12).iter().map(|frame| number(frame)).collect();
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert_eq!(client.ask("@K fps=0"), "fps=0");
    assert!(has_its_boxes(&of(&mut client, 1)[0]));
}

/// An access unit as an encoder writes it: parameter sets and a key frame, or a frame that depends on others.
fn unit(kind: u8, seq: u64) -> Vec<u8> {
    [&[0, 0, 0, 1, kind][..], &seq.to_be_bytes().map(|byte| byte | 0x80), &[0x80; 40]].concat()
}

#[test]
fn a_video_begins_with_a_key_frame() {
    for (payload, format, key, other) in [
        (PayloadCoding::H264(Video { keyframe_interval: 4, ..Video::default() }), "H264", 0x67, 0x41),
        (PayloadCoding::H265(Video { keyframe_interval: 4, ..Video::default() }), "H265", 0x40, 0x02),
    ] {
        // The picture has the video's aspect ratio, so that boxes have the same coordinates in both.
        let app = App { payload, picture: CameraOutput::Video, size: Size::new(64, 36), ..app() };
        let mut camera = Setup::new(app).start();
        let mut early = camera.client();
        let show = |camera: &mut Camera, seq: u64| {
            let payload = unit(if seq.is_multiple_of(4) { key } else { other }, seq);
            let messages = [found(seq, &boxes(seq)), camera.picture(seq, time_of(seq), &payload)];
            camera.deliver(&messages, &[&payload]);
            payload
        };
        let first = show(&mut camera, 4);
        assert_eq!(early.next().expect("a frame").payload(), first);
        assert!(format!("{:?}", early.records).contains(&format!("format: \"{format}\"")), "{:?}", early.records);
        let mut late = camera.client();
        for seq in 5..=9 {
            let payload = show(&mut camera, seq);
            let frame = early.next().expect("a frame");
            assert_eq!(frame.payload(), payload);
            assert_eq!((frame.camera_seq, frame.device_time.0), (Some(seq), time_of(seq)));
            // Boxes are sent as records, with coordinates rounded to 1/10,000.
            let near = |(a, b): (&Detection, &Detection)| {
                a.label == b.label
                    && (a.bbox.xmin - b.bbox.xmin).abs() < 2e-4
                    && (a.confidence - b.confidence).abs() < 1e-3
            };
            let all = boxes(seq).iter().zip(&frame.detections).all(near) && boxes(seq).len() == frame.detections.len();
            assert!(all, "{:?} instead of {:?}", frame.detections, boxes(seq));
        }
        let frame = late.next().expect("a frame");
        assert_eq!(frame.camera_seq, Some(8), "the next key frame");
        assert_eq!(late.next().expect("a frame").camera_seq, Some(9));
        assert!(late.ask("@K fps=5").starts_with("no: "), "frames of a video cannot be skipped");
    }
}

#[test]
fn jpeg_frames_are_sent_with_their_boxes() {
    let app = App { payload: PayloadCoding::Jpeg { quality: 80 }, size: Size::new(64, 48), ..app() };
    let mut camera = Setup::new(app).start();
    let mut client = camera.client();
    let jpeg = [&[0xff, 0xd8, 0xff, 0xe0][..], &[0x55; 50], &[0xff, 0xd9]].concat();
    for seq in [3, 4] {
        let messages = [found(seq, &boxes(seq)), camera.picture(seq, time_of(seq), &jpeg)];
        camera.deliver(&messages, &[&jpeg]);
        let frame = client.next().expect("a frame");
        assert_eq!((frame.payload(), frame.detections.len()), (&jpeg[..], boxes(seq).len()));
    }
}

#[test]
fn as_a_client_the_camera_reconnects() {
    let host = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = host.local_addr().expect("an address").port();
    let app = App { host: Some([127, 0, 0, 1].into()), port, ..app() };
    let mut camera = Setup::new(app).start();
    for turn in 0..3 {
        let (socket, _) = host.accept().expect("it arrives");
        let mut client = Client::new(socket);
        camera.wait("serving");
        camera.pair(turn + 8);
        assert_eq!(number(&client.next().expect("a frame")), turn + 8);
    }
    // No host listens for a while.
    drop(host);
    camera.wait("text");
    let refused = loop {
        let text = camera.wait("text").to_string();
        if text.contains("refused") {
            break text;
        }
    };
    assert!(refused.contains("network: "), "{refused}");
    let host = TcpListener::bind(("127.0.0.1", port)).expect("the same port");
    let mut client = Client::new(host.accept().expect("it arrives").0);
    camera.wait("serving");
    camera.pair(50);
    assert_eq!(number(&client.next().expect("a frame")), 50);
}

#[test]
fn queues_behave_as_on_a_camera() {
    // The vendor's own program, with its default queues.
    let Some(program) = luxonis_page::program("Final Script node code will look like this") else { return };
    let inputs = json!({"frame_in": {"blocking": true, "size": 8}, "detection_in": {"blocking": true, "size": 8}});
    let mut camera = Setup::new(App { size: Size::new(640, 352), ..app() }).run(&program, &inputs);
    let pair = |camera: &mut Camera, seq: u64| {
        let payload = pixels(Size::new(640, 352), seq);
        let (mut boxes, mut picture) = (found(seq, &boxes(seq)), camera.picture(seq, time_of(seq), &payload));
        (boxes["to"], picture["to"]) = ("detection_in".into(), "frame_in".into());
        camera.deliver(&[boxes, picture], &[&payload]);
    };
    // No host is connected. Nine are kept: eight wait in the queue, and the blocked network holds one (wire.md 2.5).
    (1..=30).for_each(|seq| pair(&mut camera, seq));
    camera.buffers();
    let mut client = camera.client();
    let number = |client: &mut Client| {
        let frame = client.next().expect("a frame");
        let seq = u64::from_be_bytes(*frame.payload().first_chunk().expect("pixels"));
        assert_eq!(frame.detections.len(), boxes(seq).len(), "the boxes of {seq}");
        seq
    };
    (1..=9).for_each(|seq| assert_eq!(number(&mut client), seq));
    pair(&mut camera, 31);
    assert_eq!(number(&mut client), 31);
}

#[test]
fn messages_have_the_methods_of_the_vendors_messages() {
    let Some(mut vendor) = external_tools::vendor() else { return };
    let check = r#"
import depthai, runpy, sys
ours = runpy.run_path(sys.argv[1])
wrong = [name for name in ours["CONTROLS"] if not hasattr(depthai.CameraControl, name)]
for kind in ("ImgFrame", "ImgDetections", "SystemInformation"):
    names = [name for name in dir(ours[kind]) if not name.startswith("_")]
    wrong += [kind + "." + name for name in names if not hasattr(getattr(depthai, kind), name)]
for name in ("AutoFocusMode", "AutoWhiteBalanceMode"):
    values = vars(getattr(ours["CameraControl"], name))
    wrong += [name + "." + value for value in values if not hasattr(getattr(depthai.CameraControl, name), value)]
print(wrong)
"#;
    let said = external_tools::output(vendor.args(["-c", check]).arg(nodes()));
    assert_eq!(said.lines().last(), Some("[]"), "{said}");
}
