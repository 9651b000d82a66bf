//! Brokers that are not there, die and return, and a program that dies.

use std::time::Duration;

use serde_json::Value;

use crate::broker::{broker, is_missing, start};
use crate::external_tools::free_port;
use crate::program::signal;
use crate::publishing::{Publishing, Subscriber};

#[test]
fn the_last_will_says_that_the_program_was_killed() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    let mut subscriber = Subscriber::start(port, &["oaktap/available", "oaktap/+/state"]);
    let target = format!("mqtt://127.0.0.1:{port}/oaktap");
    let publishing = Publishing::start(&["publish", "front=sim:?size=64x48", "--to", &target]);
    subscriber.availability("online");
    subscriber.until(|message| message.topic == "oaktap/front/state" && message.json()["state"] == "streaming");
    signal(&publishing.process.0, "KILL");
    subscriber.availability("offline");
    let mut late = Subscriber::start(port, &["oaktap/available"]);
    let last = late.on("oaktap/available").first().map(|message| (*message).clone());
    let last = last.unwrap_or_else(|| late.availability("offline"));
    assert!(last.retained && last.payload == "offline", "{last:?}");
}

/// Frames that a lane of the camera `front` has dropped, by a line of `--status`.
fn dropped(line: &Value) -> Option<u64> {
    let lanes = line["status"]["lanes"].as_array()?;
    lanes.iter().find(|lane| lane["name"] == "publish detections")?["dropped"].as_u64()
}

#[test]
fn a_broker_that_is_late_dies_and_returns_is_told_everything_again() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let target = format!("mqtt://127.0.0.1:{port}/oaktap");
    let arguments = ["publish", "front=sim:?size=64x48&fps=200", "--to", &target, "--status", "100ms", "--json"];
    let mut publishing = Publishing::start(&arguments);
    publishing.says("cannot connect");
    publishing.says("`mosquitto -p 1883` starts one");
    // The camera is received all the time.
    publishing.prints(|line| dropped(line) >= Some(10));
    let mut process = start(folder.path(), port, "").expect("a broker at this port");
    publishing.says("publishing on");
    let topics = ["oaktap/available", "oaktap/+/state", "oaktap/+/detections", "oaktap/+/events"];
    let mut subscriber = Subscriber::start(port, &topics);
    let before = subscriber.until(|message| message.topic == "oaktap/front/detections").json();

    signal(&process.0, "KILL");
    process.0.wait().expect("it ends");
    publishing.says("connection lost");
    publishing.says("check that it still runs");
    let lost_before = publishing.prints_next(|line| dropped(line).is_some());
    let lost_before = dropped(&lost_before).expect("a count");
    publishing.prints(|line| dropped(line) >= Some(lost_before + 10));
    // Nothing of the old one is left.
    let folder = tempfile::tempdir().expect("a folder");
    // Its port may need a moment to be free.
    let _process = std::iter::repeat_with(|| start(folder.path(), port, "")).flatten().next().expect("a broker");
    publishing.says("publishing on");
    let mut subscriber = Subscriber::start(port, &topics);
    if subscriber.on("oaktap/available").is_empty() {
        subscriber.availability("online");
    }
    if subscriber.on("oaktap/front/state").is_empty() {
        subscriber.until(|message| message.topic == "oaktap/front/state");
    }
    let after = subscriber.until(|message| message.topic == "oaktap/front/detections").json();
    assert!(after["seq"].as_u64() > before["seq"].as_u64(), "{before} {after}");

    let ended = publishing.stop();
    assert_eq!(ended.code, 0, "{}", ended.said);
    let lane = ended.lane(0, "publish detections");
    let count = |field: &str| lane[field].as_u64().expect("a count");
    assert!(count("dropped") >= lost_before + 10, "{lane}");
    assert_eq!(count("offered"), count("taken") + count("dropped") + count("queued"), "{lane}");
    assert_eq!(ended.target()["connections"], 2);
}

#[test]
fn frames_that_wait_for_a_broker_at_the_end_are_counted() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (mut broker, port) = broker(folder.path(), &String::new);
    let target = format!("mqtt://127.0.0.1:{port}/oaktap");
    let mut publishing =
        Publishing::start(&["publish", "front=sim:?size=64x48", "--to", &target, "--status", "100ms", "--json"]);
    publishing.says("publishing on");
    signal(&broker.0, "KILL");
    broker.0.wait().expect("it ends");
    publishing.says("connection lost");
    let waiting = |line: &Value| {
        let lanes = line["status"]["lanes"].as_array()?;
        lanes.iter().find(|lane| lane["name"] == "publish detections")?["queued"].as_u64()
    };
    publishing.prints(|line| waiting(line) >= Some(5));
    let ended = publishing.stop();
    let queued = ended.lane(0, "publish detections")["queued"].as_u64().expect("a count");
    assert!(queued >= 5 && ended.target()["unpublished"] == queued, "{}", ended.target());
    assert!(ended.said.contains(&format!("{queued} frames not published at the end")), "{}", ended.said);
}

/// A broker that accepts connections and bytes, and reads nothing after the first packets.
#[test]
fn a_broker_that_does_not_read_costs_bounded_memory_and_delays_nothing() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let target = format!("mqtt://{}/oaktap", listener.local_addr().expect("an address"));
    let publishing = Publishing::start(&[
        "publish",
        "front=sim:?size=64x48&fps=100&boxes=200",
        "--to",
        &target,
        "--status",
        "100ms",
        "--json",
    ]);
    let (mut stream, _) = listener.accept().expect("a client");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
    let read = stream.read(&mut [0; 4096]).expect("a request");
    assert!(read > 0);
    stream.write_all(&[0x20, 2, 0, 0, 0x90, 3, 0, 1, 0]).expect("it reads");
    publishing.prints(|line| dropped(line) >= Some(100));
    let ended = publishing.stop();
    assert_eq!(ended.code, 0, "{}", ended.said);
    let lane = ended.lane(0, "publish detections");
    assert!(lane["queued"].as_u64() <= Some(64), "{lane}");
    assert!(ended.target()["lost"].as_u64() >= Some(1), "{}", ended.target());
    let summary = ended.printed.iter().find_map(|line| line.get("summary")).expect("a summary");
    assert_eq!(summary["cameras"][0]["lossless"], true, "the camera was not slowed: {summary}");
}
