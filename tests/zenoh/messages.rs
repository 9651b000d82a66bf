//! What is published on which key.

use std::collections::BTreeMap;

use foxglove::messages::{CompressedImage, CompressedVideo, ImageAnnotations, RawImage};
use oaktap::sim::{SimConfig, Stream, Turn};
use prost::Message as _;

use crate::bus::{Sample, Script, Subscriber, Tokens, is_missing, router, router_at, target};
use crate::external_tools::{free_port, program};
use crate::program::signal;
use crate::publishing::Publishing;

const FRAME: &str = "oaktap/rack/front/frame";
const DETECTIONS: &str = "oaktap/rack/front/detections";

/// The payload of a picture in its image message, with one plane after the other if `is_planar`; the one in the stamp if that has it.
fn payload(sample: &Sample, is_planar: bool) -> Vec<u8> {
    let in_stamp = sample.wire().payload;
    if !in_stamp.is_empty() {
        return in_stamp;
    }
    let bytes = &sample.payload[..];
    match sample.encoding.as_str() {
        "application/protobuf;foxglove.RawImage" => {
            let image = RawImage::decode(bytes).expect("an image");
            let plane = |at| image.data.iter().skip(at).step_by(3).copied();
            if is_planar { (0..3).flat_map(plane).collect() } else { image.data.to_vec() }
        }
        "application/protobuf;foxglove.CompressedImage" => {
            CompressedImage::decode(bytes).expect("an image").data.to_vec()
        }
        "application/protobuf;foxglove.CompressedVideo" => CompressedVideo::decode(bytes).expect("video").data.to_vec(),
        other => panic!("{other}"),
    }
}

/// Everything that the camera sent for a frame.
fn camera_bytes(sample: &Sample, is_planar: bool) -> Vec<u8> {
    let (wire, payload) = (sample.wire(), payload(sample, is_planar));
    assert_eq!(wire.payload_len, payload.len() as u64);
    assert_eq!(wire.payload_crc32, crc32fast::hash(&payload));
    [wire.records, wire.header, wire.detections, payload].concat()
}

/// The first frames of a simulated camera.
fn sent(config: &str, frames: usize) -> Vec<Turn> {
    let mut stream = Stream::new(&config.parse::<SimConfig>().expect(config)).expect(config);
    (0..frames).map(|_| stream.turn()).collect()
}

fn seqs(samples: &[&Sample]) -> Vec<u64> {
    samples.iter().map(|sample| sample.stamp().seq).collect()
}

#[test]
fn frames_and_detections_are_those_of_the_camera() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    // The image message of NV21 is converted, so the stamp has the payload.
    let cameras = [
        ("front", "size=64x48&fps=50&records=off", true),
        ("nv21", "size=64x48&fps=50&records=off&format=NV21", false),
        ("jpeg", "size=64x48&fps=50&records=off&format=JPEG", false),
        ("labels", "size=64x48&fps=50&records=on", true),
    ];
    let mut subscriber = Subscriber::start(port, &["oaktap/rack/*/frame", DETECTIONS]);
    let sources: Vec<String> = cameras.iter().map(|(name, config, _)| format!("{name}=sim:?{config}")).collect();
    let target = target(port);
    let arguments: Vec<&str> = ["publish"].into_iter().chain(sources.iter().map(String::as_str)).collect();
    let publishing = Publishing::start(&[&arguments[..], &["--to", &target, "--json"]].concat());
    for (name, ..) in cameras {
        subscriber.count_on(&format!("oaktap/rack/{name}/frame"), 50);
    }
    subscriber.count_on(DETECTIONS, 50);
    let ended = publishing.stop();
    assert_eq!(ended.code, 0, "{}", ended.said);
    assert!(ended.said.contains(&format!("publishing on {target} as rack")), "{}", ended.said);
    assert_eq!((&ended.target()["connections"], &ended.target()["lost"]), (&1.into(), &0.into()));

    for (name, config, is_planar) in cameras {
        let frames = subscriber.on(&format!("oaktap/rack/{name}/frame"));
        // On a busy machine the simulated camera leaves out frames.
        let sent = sent(config, 1000);
        let mut next = 0;
        for frame in &frames {
            // A checksum may follow a frame of a camera with records, which belongs to the next frame then.
            let is_it = |turn: &Turn| match name {
                "labels" => *turn.truth.payload == *payload(frame, is_planar),
                _ => turn.bytes() == camera_bytes(frame, is_planar),
            };
            let found = (next..sent.len()).find(|at| is_it(&sent[*at]));
            next = found.unwrap_or_else(|| panic!("{name}: frame {} is not of the camera", frame.wire().id)) + 1;
            let stamp = frame.stamp();
            assert!(stamp.capture_unix_ns.expect("a time") <= stamp.arrival_unix_ns, "{stamp:?}");
            assert!(stamp.arrival_unix_ns <= stamp.sent_unix_ns && frame.priority.ends_with("DATA"), "{frame:?}");
        }
        let seqs = seqs(&frames);
        assert!(seqs.is_sorted_by(|a, b| a < b), "{name}: {seqs:?}");
        // The first one has the records that still apply, and further ones do not repeat them.
        let contexts: Vec<usize> = frames.iter().map(|frame| frame.wire().context.len()).collect();
        assert_eq!(contexts.iter().any(|len| *len > 0), name == "labels", "{name}: {contexts:?}");
        assert!(contexts.iter().filter(|len| **len > 0).count() * 2 < frames.len(), "{name}: {contexts:?}");
    }

    // The same numbers and heads without the pictures; every frame, because their lane is longer.
    let detections = subscriber.on(DETECTIONS);
    let numbers = seqs(&detections);
    assert_eq!(numbers, (numbers[0]..numbers[0] + numbers.len() as u64).collect::<Vec<_>>());
    let frames: BTreeMap<u64, &Sample> =
        subscriber.on(FRAME).into_iter().map(|frame| (frame.stamp().seq, frame)).collect();
    let mut compared = 0;
    for sample in detections {
        assert_eq!(sample.encoding, "application/protobuf;foxglove.ImageAnnotations");
        assert!(sample.priority.ends_with("REAL_TIME"), "{}", sample.priority);
        let annotations = ImageAnnotations::decode(&sample.payload[..]).expect("annotations");
        assert_eq!((annotations.points.len(), annotations.texts.len()), (3, 3));
        let Some(frame) = frames.get(&sample.stamp().seq) else { continue };
        let (mut head, mut same) = (sample.wire(), frame.wire());
        assert_eq!((head.payload_crc32, head.payload.len()), (0, 0));
        (head.context, same.context, same.payload_crc32) = (Vec::new(), Vec::new(), 0);
        assert_eq!(head, same);
        compared += 1;
    }
    assert!(compared >= 10, "{compared}");
}

#[test]
fn a_second_stream_has_its_own_keys_and_numbers() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let depth = "oaktap/rack/front_depth/frame";
    let mut subscriber = Subscriber::start(port, &[FRAME, depth]);
    let publishing = Publishing::start(&["publish", "front=sim:?size=64x48&fps=20&depth", "--to", &target(port)]);
    subscriber.count_on(FRAME, 10);
    subscriber.count_on(depth, 10);
    let ended = publishing.stop();
    assert_eq!(ended.code, 0, "{}", ended.said);
    for key in [FRAME, depth] {
        let frames = subscriber.on(key);
        let encoding = if key == depth { "16UC1" } else { "bgr8" };
        let image = RawImage::decode(&frames[0].payload[..]).expect("an image");
        assert_eq!((image.encoding.as_str(), image.frame_id.as_str()), (encoding, "front"), "{key}");
        assert!(seqs(&frames).is_sorted_by(|a, b| a < b));
    }
}

#[test]
fn nothing_is_encoded_without_subscribers() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let publishing =
        Publishing::start(&["publish", "front=sim:?size=64x48", "--to", &target(port), "--frames", "60", "--json"]);
    let ended = publishing.ended();
    assert_eq!(ended.code, 0, "{}", ended.said);
    assert_eq!((&ended.target()["messages"], &ended.target()["connections"]), (&0.into(), &1.into()));
    assert_eq!(ended.lane(0, "publish pictures")["offered"], 0);
    let detections = ended.lane(0, "publish detections");
    assert!(detections["offered"].as_u64() >= Some(60) && detections["dropped"] == 0, "{detections}");
}

#[test]
fn only_chosen_detections_are_published() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let mut subscriber = Subscriber::start(port, &[DETECTIONS]);
    let camera = "front=sim:?size=64x48&boxes=3";
    let publishing = Publishing::start(&["publish", camera, "--only", "zebra", "--to", &target(port)]);
    let sample = subscriber.until(|_| true);
    publishing.stop();
    assert!(ImageAnnotations::decode(&sample.payload[..]).expect("annotations").points.is_empty());
    assert!(!sample.wire().detections.is_empty(), "the stamp has all of them");
}

#[test]
fn tokens_show_who_is_there_and_a_namesake_is_reported() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let tokens = Tokens::start(port, "oaktap/**");
    let target = target(port);
    let mut first = Publishing::start(&["publish", "a=sim:?size=64x48", "--to", &target]);
    first.says("publishing on");
    tokens.until("oaktap/rack/a/alive", true);
    let mut second = Publishing::start(&["publish", "c=sim:?size=64x48", "--to", &target]);
    second.says("another oaktap already publishes as rack there");
    second.says(&format!("--to zenoh://127.0.0.1:{port}/NAME"));
    second.says("publishing on");
    tokens.until("oaktap/rack/c/alive", true);
    second.stop();
    tokens.until("oaktap/rack/c/alive", false);
    signal(&first.process.0, "KILL");
    tokens.until("oaktap/rack/a/alive", false);
    let late = Tokens::start(port, "oaktap/*/alive");
    let third =
        Publishing::start(&["publish", "c=sim:?size=64x48", "--to", &format!("zenoh://127.0.0.1:{port}/other")]);
    late.until("oaktap/other/alive", true);
    let ended = third.stop();
    assert!(!ended.said.contains("another oaktap"), "{}", ended.said);
}

/// The program on the page about Zenoh, with the port of the test.
#[test]
fn the_program_on_the_page_runs() {
    if is_missing() {
        return;
    }
    let page = include_str!("../../docs/zenoh.md");
    let code = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a program");
    assert_eq!(page.matches("```python").count(), 1);
    let (_router, port) = (0..10)
        .find_map(|_| {
            let port = free_port();
            Some((router_at(port)?, port))
        })
        .expect("a router");
    let publishing = Publishing::start(&["publish", "front=sim:?size=64x48", "--to", &target(port)]);
    let tokens = Tokens::start(port, "oaktap/*/front/alive");
    tokens.until("oaktap/rack/front/alive", true);
    let code = code.replace("localhost:7447", &format!("127.0.0.1:{port}"));
    let mut command = program("python").expect("Python");
    let script = Script::of(command.args(["-u", "-c", &code]));
    let first = script.next_line().expect("a line");
    assert!(first.starts_with("oaktap/rack/front/state streaming "), "{first}");
    let picture = "oaktap/rack/front/frame application/protobuf;foxglove.RawImage ";
    assert!(std::iter::from_fn(|| script.next_line()).any(|line| line.starts_with(picture)), "a picture arrives");
    publishing.stop();
}
