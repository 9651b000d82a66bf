//! `foxglove://` targets and `oaktap replay --foxglove`, with a client of the protocol on PyPI's `websockets`.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{ChildStdin, ChildStdout, Stdio};

use base64::Engine as _;
use oaktap::frame::Frame;
use oaktap::sync::locked;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::broker::{broker, is_missing};
use crate::controlled_camera::controlled_camera;
use crate::external_tools::{has_python_package, program};
use crate::program::{Running, run};
use crate::publishing::Publishing;
use crate::recordings::{MS, Recording, START_NS, frames};

/// The client. It is killed on drop.
struct App {
    _process: Running,
    orders: ChildStdin,
    events: BufReader<ChildStdout>,
    topics: Vec<String>,
}

impl App {
    /// Connects to the server of a program. `None` without the packages; panics in CI.
    fn connect(address: &str) -> Option<Self> {
        let mut python = program("python").filter(|_| has_python_package("websockets"))?;
        python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/publish/foxglove_client.py")).arg(address);
        let mut process = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let orders = process.stdin.take().expect("a pipe");
        let events = BufReader::new(process.stdout.take().expect("a pipe"));
        Some(Self { _process: Running(process), orders, events, topics: Vec::new() })
    }

    fn order(&mut self, order: &Value) {
        writeln!(self.orders, "{order}").expect("it reads");
    }

    /// Waits for a message.
    #[track_caller]
    fn until(&mut self, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let mut line = String::new();
            self.events.read_line(&mut line).expect("UTF-8");
            assert!(!line.is_empty(), "the client has ended");
            let event: Value = serde_json::from_str(&line).expect(&line);
            if event["op"] == "advertise" {
                let channels = event["channels"].as_array().expect("a list");
                self.topics
                    .extend(channels.iter().map(|channel| channel["topic"].as_str().expect("a text").to_owned()));
            }
            if is_it(&event) {
                return event;
            }
        }
    }

    #[track_caller]
    fn op(&mut self, op: &str) -> Value {
        self.until(|event| event["op"] == op)
    }

    #[track_caller]
    fn subscribe(&mut self, topic: &str) {
        while !self.topics.iter().any(|known| known == topic) {
            self.op("advertise");
        }
        self.order(&json!({"subscribe": topic}));
    }

    #[track_caller]
    fn message(&mut self, topic: &str) -> Value {
        self.until(|event| event["op"] == "message" && event["topic"] == topic)
    }

    /// Returns the state of the playback that answers this request.
    #[track_caller]
    fn play(&mut self, command: &str, speed: f64, seek_ns: Option<i64>, id: &str) -> Value {
        self.order(&json!({"playback": [command, speed, seek_ns, id]}));
        self.until(|event| event["op"] == "playback" && event["id"] == id)
    }
}

/// Returns the address of the server, which a program has printed.
fn address(publishing: &mut Publishing) -> String {
    publishing.says("open ws://");
    let line = publishing.last();
    let at = line.find("ws://").expect("an address");
    line[at..].split([' ', ',']).next().expect("a word").to_owned()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The pixels of a planar picture, as messages have them.
fn interleaved(frame: &Frame) -> Vec<u8> {
    let payload = frame.payload();
    let pixels = payload.len() / 3;
    (0..pixels).flat_map(|at| [payload[at], payload[pixels + at], payload[2 * pixels + at]]).collect()
}

#[test]
fn two_clients_receive_the_pictures_that_the_camera_sent() {
    let camera = "front=sim:?size=64x48&boxes=5";
    let mut publishing = Publishing::start(&["publish", camera, "--to", "foxglove://127.0.0.1:0", "--json"]);
    let address = address(&mut publishing);
    let Some(mut first) = App::connect(&address) else { return };
    let mut second = App::connect(&address).expect("the packages are there");
    let info = first.op("serverInfo");
    assert!(info["name"].as_str().is_some_and(|name| name.starts_with("oaktap ")), "{info}");
    let sent: HashMap<String, usize> = frames("size=64x48&boxes=5", 4000)
        .iter()
        .map(|frame| (sha256(&interleaved(frame)), frame.detections.len()))
        .collect();
    for app in [&mut first, &mut second] {
        for topic in ["/front/image", "/front/detections", "/front/ledger"] {
            app.subscribe(topic);
        }
        let mut boxes = HashMap::new();
        for _ in 0..20 {
            let event = app.until(|event| event["op"] == "message" && event["topic"] != "/front/ledger");
            let message = &event["message"];
            let ns = message["ns"].as_u64().expect("a time");
            assert!(ns <= event["ns"].as_u64().expect("a time"), "captured before it arrived: {event}");
            if event["topic"] == "/front/detections" {
                boxes.entry(ns).or_insert((None, None)).1 = message["boxes"].as_u64();
                continue;
            }
            let known: Vec<_> = ["frame_id", "encoding", "width", "height", "step"]
                .iter()
                .map(|field| message[*field].clone())
                .collect();
            assert_eq!(known, [json!("front"), json!("bgr8"), json!(64), json!(48), json!(192)]);
            let sha256 = message["sha256"].as_str().expect("a text");
            let count = sent.get(sha256).unwrap_or_else(|| panic!("the camera has not sent this picture: {event}"));
            boxes.entry(ns).or_insert((None, None)).0 = Some(*count as u64);
        }
        let pairs: Vec<_> = boxes.values().filter_map(|(sent, found)| sent.zip(*found)).collect();
        assert!(pairs.len() >= 5 && pairs.iter().all(|(sent, found)| sent == found), "{boxes:?}");
    }
    let ledger = first.message("/front/ledger");
    assert_eq!(ledger["message"]["camera"], "front");
    assert!(ledger["message"]["counts"]["frames"]["confirmed"].as_u64() > Some(0), "{ledger}");
    let ended = publishing.stop();
    assert_eq!(ended.code, 0, "{}", ended.said);
    assert_eq!(ended.target()["connections"], 2);
    assert!(ended.target()["messages"].as_u64() >= Some(40), "{}", ended.target());
    first.op("closed");
}

#[test]
fn live_messages_are_those_of_the_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let recordings = folder.path().join("recordings");
    let output = recordings.to_str().expect("UTF-8");
    let camera = "front=sim:?size=64x48";
    let mut recording =
        Publishing::start(&["record", camera, "-o", output, "--publish", "foxglove://127.0.0.1:0", "--json"]);
    let address = address(&mut recording);
    let Some(mut app) = App::connect(&address) else { return };
    let mut schemas = HashMap::new();
    while !schemas.contains_key("/front/image") {
        for channel in app.op("advertise")["channels"].as_array().expect("a list") {
            let schema = (channel["schemaName"].clone(), channel["schema"].clone());
            schemas.insert(channel["topic"].as_str().expect("a text").to_owned(), schema);
        }
    }
    app.subscribe("/front/image");
    let live: Vec<_> = (0..20).map(|_| app.message("/front/image")).collect();
    assert_eq!(recording.stop().code, 0);
    let file =
        std::fs::read_dir(recordings.join("front")).or_else(|_| std::fs::read_dir(&recordings)).expect("a folder");
    let file = file.filter_map(Result::ok).map(|entry| entry.path()).find(|path| path.is_file()).expect("a recording");
    let file = std::fs::read(file).expect("a file");
    let mut written = HashMap::new();
    for message in mcap::MessageStream::new(&file).expect("a recording") {
        let message = message.expect("intact");
        let schema = message.channel.schema.as_ref().expect("a schema");
        if let Some(live) = schemas.get(&message.channel.topic) {
            assert_eq!(*live, (json!(schema.name), json!(sha256(&schema.data))), "{}", message.channel.topic);
        }
        if message.channel.topic == "/front/image" {
            let image: foxglove::messages::RawImage = prost::Message::decode(&message.data[..]).expect("a picture");
            written.insert(sha256(&image.data), message.log_time);
        }
    }
    for message in live {
        let at = written.get(message["message"]["sha256"].as_str().expect("a text")).expect("it is in the recording");
        let apart = message["ns"].as_u64().expect("a time").abs_diff(*at);
        assert!(apart < 1_000_000, "{message} {at}");
    }
}

#[test]
fn numbers_of_a_camera_have_topics() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    let camera = format!("mqtt://127.0.0.1:{port}/cam");
    let _camera = Publishing::start(&["simulate", "--mqtt", &camera, "--size", "64x48", "--boxes", "5"]);
    let source = format!("front={camera}/#");
    let mut publishing = Publishing::start(&["publish", &source, "--to", "foxglove://:0", "--json"]);
    let address = address(&mut publishing);
    let Some(mut app) = App::connect(&address) else { return };
    app.subscribe("/front/measurement/cam/average");
    let number = app.message("/front/measurement/cam/average");
    assert_eq!(number["message"], json!({"topic": "cam/average", "value": 5.0, "stale": false}));
    let ended = publishing.stop();
    assert_eq!(ended.code, 0, "{}", ended.said);
    let lane = ended.lane(0, "publish numbers");
    assert!(lane["taken"].as_u64() >= Some(1), "{lane}");
}

/// Resident memory of a process in bytes.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim_end_matches(" kB").trim().parse::<u64>().expect("a number") << 10
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_stops_reading_costs_bounded_memory_and_no_frame() {
    const PICTURES: u64 = 600;
    const PICTURE_BYTES: u64 = 320 * 176 * 3;
    let camera = "front=sim:?fps=60&size=320x176";
    let mut publishing =
        Publishing::start(&["publish", camera, "--to", "foxglove://127.0.0.1:0", "--json", "--status", "100ms"]);
    let address = address(&mut publishing);
    let Some(mut stopped) = App::connect(&address) else { return };
    let mut other = App::connect(&address).expect("the packages are there");
    stopped.subscribe("/front/image");
    other.subscribe("/front/image");
    stopped.message("/front/image");
    other.message("/front/image");
    stopped.order(&json!({"stop_reading": true}));
    // The connection takes some pictures.
    (0..20).for_each(|_| drop(other.message("/front/image")));
    let before = memory(publishing.process.0.id());
    (0..PICTURES).for_each(|_| drop(other.message("/front/image")));
    let after = memory(publishing.process.0.id());
    // The buffers of the camera grow, too.
    assert!(after < before + PICTURES * PICTURE_BYTES / 2, "{before} bytes, then {after}");
    let ended = publishing.stop();
    assert_eq!(ended.code, 0, "{}", ended.said);
    let summary = ended.printed.iter().find_map(|line| line.get("summary")).expect("a summary");
    assert_eq!(summary["cameras"][0]["lossless"], true, "the camera was not slowed: {summary}");
    let lane = ended.lane(0, "publish frames");
    let count = |field: &str| lane[field].as_u64().expect("a count");
    assert!(count("taken") >= PICTURES, "{lane}");
    assert_eq!(count("offered"), count("taken") + count("dropped") + count("queued"), "{lane}");
}

#[test]
fn an_address_in_use_ends_publish_and_is_tried_again_beside_other_work() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let target = format!("foxglove://{}", other.local_addr().expect("an address"));
    let camera = "front=sim:?size=64x48";
    let (code, _, err) = run(&["publish", camera, "--to", &target]);
    assert!(code == 1 && err.contains("cannot listen on 127.0.0.1"), "{code}: {err}");
    assert!(err.contains("help: another program listens there"), "{err}");
    let (code, _, err) = run(&["view", camera, "--no-window", "-n", "10", "--publish", &target]);
    assert!(code == 3 && err.contains(&format!("{target}: exit code 3: never listened")), "{code}: {err}");
    let mut viewing = Publishing::start(&["view", camera, "--no-window", "--publish", &target, "--json"]);
    viewing.says("retrying");
    drop(other);
    let address = address(&mut viewing);
    if let Some(mut app) = App::connect(&address) {
        app.subscribe("/front/image");
        app.message("/front/image");
    }
    let ended = viewing.stop();
    assert_eq!(ended.code, 0, "{}", ended.said);
}

#[test]
fn clients_set_the_camera_and_take_pictures() {
    let (camera, records) = controlled_camera("records=on&fps=10&boxes=1&size=64x48");
    let mut publishing = Publishing::start(&["publish", &format!("front={camera}"), "--to", "foxglove://:0"]);
    let address = address(&mut publishing);
    let Some(mut app) = App::connect(&address) else { return };
    app.subscribe("/front/image");
    app.message("/front/image");
    app.order(&json!({"send": {"op": "getParameters", "parameterNames": [], "id": "all"}}));
    let all = app.op("parameterValues");
    let names: Vec<_> = all["parameters"].as_array().expect("a list").iter().map(|known| &known["name"]).collect();
    assert_eq!(names, ["/front/lens", "/front/focus", "/front/exposure", "/front/iso", "/front/wb"]);
    assert_eq!(all["parameters"][2]["value"], "unknown");
    let set = |name: &str, value: &Value, id: &str| json!({"send": {"op": "setParameters", "id": id, "parameters": [{"name": name, "value": value}]}});
    // The camera closes the first connection.
    let mut value = Value::Null;
    for attempt in 0..3 {
        app.order(&set("/front/exposure", &json!(8000), &attempt.to_string()));
        value = app.op("parameterValues")["parameters"][0]["value"].clone();
        if value == 8000 {
            break;
        }
    }
    assert_eq!((value, locked(&records).last().map(String::as_str)), (json!(8000), Some("@K exposure=8000")));
    for (name, value, why) in [
        ("/front/lens", json!(1000), "invalid value `1000` for `lens`"),
        ("/front/iso", json!(400), "iso=400 was refused: no: this lens has no gain"),
        ("/back/lens", json!(1), "unknown parameter `/back/lens`"),
    ] {
        app.order(&set(name, &value, "refused"));
        let status = app.op("status");
        assert!(status["message"].as_str().is_some_and(|text| text.contains(why)), "{status}");
    }
    app.order(&json!({"call": "/front/snapshot"}));
    let answer = app.op("answer")["message"].clone();
    let file = answer["data"].as_str().expect("a text");
    let file = base64::prelude::BASE64_STANDARD.decode(file).expect("Base64");
    let picture = image::load_from_memory(&file).expect("a JPEG");
    assert_eq!((&answer["camera"], picture.width(), picture.height()), (&json!("front"), 64, 48));
    assert_eq!(publishing.stop().code, 0);
}

#[test]
fn the_app_drives_the_timeline_of_a_recording() {
    let recording = Recording::new(&["size=64x48"], 100);
    let path = recording.path();
    let path = path.to_str().expect("UTF-8");
    let mut replay = Publishing::start(&["replay", path, "--foxglove", "127.0.0.1:0", "--json"]);
    let address = address(&mut replay);
    let Some(mut app) = App::connect(&address) else { return };
    let info = app.op("serverInfo");
    let capabilities = info["capabilities"].as_array().expect("a list");
    assert!(capabilities.contains(&json!("playbackControl")) && capabilities.contains(&json!("time")), "{info}");
    let ns = |time: &Value| time["sec"].as_i64().expect("s") * 1_000_000_000 + time["nsec"].as_i64().expect("ns");
    let last_ns = START_NS + 99 * 40 * MS;
    assert_eq!((ns(&info["dataStartTime"]), ns(&info["dataEndTime"])), (START_NS, last_ns));
    let state = app.op("playback");
    assert_eq!((&state["state"], state["ns"].as_i64()), (&json!("paused"), Some(START_NS)));
    let image = "/cam 0/image";
    let shown = |event: &Value| {
        let at = event["ns"].as_i64().expect("a time");
        let frame = &recording.frames[0][usize::try_from((at - START_NS) / (40 * MS)).expect("a number")];
        assert_eq!(event["message"]["sha256"], sha256(&interleaved(frame)), "{event}");
        at
    };
    // Paused at the first frame, which a client gets when it subscribes.
    app.subscribe(image);
    assert_eq!(shown(&app.message(image)), START_NS);

    let state = app.play("pause", 1.0, Some(START_NS + 2000 * MS), "seek");
    assert_eq!((&state["state"], &state["sought"]), (&json!("paused"), &json!(true)));
    assert_eq!(state["ns"].as_i64(), Some(START_NS + 2000 * MS));
    assert_eq!(shown(&app.message(image)), START_NS + 2000 * MS);

    let state = app.play("play", 4.0, None, "play");
    assert_eq!((&state["state"], &state["speed"], &state["sought"]), (&json!("playing"), &json!(4.0), &json!(false)));
    let mut at = START_NS + 2000 * MS;
    while at != last_ns {
        // A busy machine may drop frames, but not the last one.
        let next = shown(&app.message(image));
        assert!(next > at, "{next} after {at}");
        at = next;
    }
    let state = app.until(|event| event["op"] == "playback" && event["state"] == "ended");
    assert_eq!((state["ns"].as_i64(), &state["id"]), (Some(last_ns), &json!("")));

    // Played again, it begins at the start.
    let state = app.play("play", 1.0, None, "again");
    assert_eq!((&state["state"], &state["sought"]), (&json!("playing"), &json!(true)));
    assert_eq!(shown(&app.message(image)), START_NS);
    app.until(|event| event["op"] == "time" && event["ns"].as_i64() > Some(START_NS));
    let state = app.play("pause", 1.0, None, "pause");
    assert_eq!(state["state"], "paused");
    let back = app.play("pause", 1.0, Some(START_NS), "back");
    assert_eq!((&back["sought"], back["ns"].as_i64()), (&json!(true), Some(START_NS)));
    while shown(&app.message(image)) != START_NS {}
    let ended = replay.stop();
    assert_eq!(ended.code, 0, "{}", ended.said);
    assert_eq!(ended.target()["connections"], 1);
}

#[test]
fn a_seek_in_video_sends_the_frames_that_a_decoder_needs() {
    let recording = Recording::new(&["size=64x48&format=h264"], 60);
    let frames = &recording.frames[0];
    let target = (0..60).rev().find(|number| !frames[*number].is_key_frame()).expect("a frame that depends on others");
    let key = (0..target).rev().find(|number| frames[*number].is_key_frame()).expect("a key frame");
    let path = recording.path();
    let mut replay = Publishing::start(&["replay", path.to_str().expect("UTF-8"), "--foxglove", ":0"]);
    let address = address(&mut replay);
    let Some(mut app) = App::connect(&address) else { return };
    app.subscribe("/cam 0/image");
    app.message("/cam 0/image");
    let target_ns = frames[target].received.unix_ns;
    app.play("pause", 1.0, Some(target_ns), "seek");
    for frame in &frames[key..=target] {
        let message = app.message("/cam 0/image");
        let expected = (json!(frame.received.unix_ns), json!("h264"), json!(sha256(frame.payload())));
        let found = &message["message"];
        assert_eq!((message["ns"].clone(), found["format"].clone(), found["sha256"].clone()), expected);
    }
    assert_eq!(replay.stop().code, 0);
}

#[test]
fn the_address_of_the_app_is_checked() {
    let (code, _, err) = run(&["publish", "sim:", "--to", "foxglove://robot.lan"]);
    assert!(code == 2 && err.contains("`robot.lan` is not an IP address of this host"), "{code}: {err}");
    let (code, _, err) = run(&["replay", "a.mcap", "--foxglove", "127.0.0.1:x"]);
    assert!(code == 2 && err.contains("invalid port"), "{code}: {err}");
}
