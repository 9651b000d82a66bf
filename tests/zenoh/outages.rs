//! Routers that are not there, die, return and stop reading.

use serde_json::Value;

use crate::bus::{Subscriber, is_missing, router, router_at, target};
use crate::external_tools::free_port;
use crate::program::signal;
use crate::publishing::Publishing;

const DETECTIONS: &str = "oaktap/rack/front/detections";
const FRAME: &str = "oaktap/rack/front/frame";

/// A count of a lane of the camera `front`, by a line of `--status`.
fn lane(line: &Value, name: &str, count: &str) -> Option<u64> {
    let lanes = line["status"]["lanes"].as_array()?;
    lanes.iter().find(|lane| lane["name"] == name)?[count].as_u64()
}

/// Numbers that are missing.
fn gap(seqs: &[u64]) -> u64 {
    seqs.windows(2).map(|pair| pair[1] - pair[0] - 1).sum()
}

#[test]
fn a_router_that_is_late_dies_and_returns_costs_only_counted_frames() {
    if is_missing() {
        return;
    }
    let port = free_port();
    let target = target(port);
    let arguments = ["publish", "front=sim:?size=64x48&fps=200", "--to", &target, "--status", "100ms", "--json"];
    let mut publishing = Publishing::start(&arguments);
    publishing.says("cannot connect to a Zenoh router at 127.0.0.1");
    publishing.says("`zenohd` starts one");
    // The camera is received all the time.
    publishing.prints(|line| lane(line, "publish detections", "dropped") >= Some(10));
    let mut first = router_at(port).expect("a router at this port");
    publishing.says("publishing on");
    let mut subscriber = Subscriber::start(port, &[DETECTIONS]);
    let before = subscriber.until(|_| true).stamp().seq;
    let early = publishing.prints_next(|line| lane(line, "publish detections", "dropped").is_some());
    let early = lane(&early, "publish detections", "dropped").expect("a count");

    signal(&first.process.0, "KILL");
    first.process.0.wait().expect("it ends");
    publishing.says("connection lost; reconnecting");
    publishing.prints(|line| lane(line, "publish detections", "dropped") >= Some(early + 10));
    // Its port may need a moment to be free.
    let _second = std::iter::repeat_with(|| router_at(port)).flatten().next().expect("a router");
    publishing.says("publishing on");
    // The same subscriber goes on, and misses what was dropped.
    let mut seqs = vec![before];
    while gap(&seqs) == 0 {
        seqs.push(subscriber.until(|_| true).stamp().seq);
    }
    (0..50).for_each(|_| seqs.push(subscriber.until(|_| true).stamp().seq));

    let ended = publishing.stop();
    // On a busy machine the simulated camera leaves out frames.
    assert!([0, 3].contains(&ended.code), "{}", ended.said);
    assert_eq!(ended.said.matches("cannot connect").count(), 1, "reported once: {}", ended.said);
    assert_eq!(ended.target()["connections"], 2);
    while let Some(sample) = subscriber.next_now() {
        seqs.push(sample.stamp().seq);
    }
    let lane = ended.lane(0, "publish detections");
    let count = |field: &str| lane[field].as_u64().expect("a count");
    assert_eq!(count("offered"), count("taken") + count("dropped") + count("queued"), "{lane}");
    // Only detections are published. Those that were not received were on their way when the router died.
    let (messages, received) = (ended.target()["messages"].as_u64().expect("a count"), seqs.len() as u64);
    let on_the_way = messages - received;
    let dropped = count("dropped") - early;
    assert!(gap(&seqs) >= dropped && gap(&seqs) <= dropped + on_the_way, "{} {dropped} {on_the_way}", gap(&seqs));
    let summary = ended.printed.iter().find_map(|line| line.get("summary")).expect("a summary");
    assert_eq!(summary["cameras"][0]["frames"]["lost"], 0, "{summary}");
}

#[test]
fn a_router_that_does_not_read_costs_counted_frames_and_delays_no_camera() {
    if is_missing() {
        return;
    }
    let (stopped, port) = router();
    let arguments = ["publish", "front=sim:?fps=100", "--to", &target(port), "--status", "100ms", "--json"];
    let publishing = Publishing::start(&arguments);
    let mut subscriber = Subscriber::start(port, &[FRAME]);
    let first = subscriber.until(|_| true).stamp().seq;
    signal(&stopped.process.0, "STOP");
    let dropped = |line: &Value| lane(line, "publish pictures", "dropped");
    let line = publishing.prints_next(|line| dropped(line) >= Some(20));
    let confirmed = |line: &Value| line["status"]["frames"]["confirmed"].as_u64();
    let before = confirmed(&line);
    publishing.prints(|line| confirmed(line) >= before.map(|before| before + 50));
    signal(&stopped.process.0, "CONT");
    let after = dropped(&publishing.prints_next(|line| dropped(line).is_some()));
    let mut seqs = vec![first];
    while gap(&seqs) == 0 {
        seqs.push(subscriber.until(|_| true).stamp().seq);
    }
    (0..10).for_each(|_| seqs.push(subscriber.until(|_| true).stamp().seq));
    let ended = publishing.stop();
    // On a busy machine the simulated camera leaves out frames.
    assert!([0, 3].contains(&ended.code), "{}", ended.said);
    let pictures = ended.lane(0, "publish pictures");
    let count = |field: &str| pictures[field].as_u64().expect("a count");
    assert_eq!(count("offered"), count("taken") + count("dropped") + count("queued"), "{pictures}");
    assert!(after.is_some_and(|after| count("dropped") >= after), "{pictures}");
    while let Some(sample) = subscriber.next_now() {
        seqs.push(sample.stamp().seq);
    }
    // Each number that is missing was dropped by the lane, or by Zenoh after it was taken.
    let missing = gap(&seqs);
    let in_zenoh = count("taken") - seqs.len() as u64;
    assert!(missing >= 20 && missing <= count("dropped") + in_zenoh, "{missing} {pictures} {in_zenoh}");
    let summary = ended.printed.iter().find_map(|line| line.get("summary")).expect("a summary");
    assert_eq!(summary["cameras"][0]["frames"]["lost"], 0, "{summary}");
}
