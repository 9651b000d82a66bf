//! What is published on which topic.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::broker::{broker, is_missing};
use crate::external_tools::{free_port, system};
use crate::program::run;
use crate::publishing::{Publishing, Subscriber, picture, publish};

const CAMERA: &str = "front=sim:?size=64x48&boxes=2";

/// Topics without pictures, which are not text.
const TEXTS: [&str; 5] =
    ["oaktap/available", "oaktap/+/state", "oaktap/+/detections", "oaktap/+/events", "oaktap/+/objects"];

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().expect("an object").keys().cloned().collect()
}

/// Fails unless the page about publishing describes each field.
fn check_documented(value: &Value) {
    let page = include_str!("../../docs/publish.md");
    let missing: Vec<_> = keys(value).into_iter().filter(|key| !page.contains(&format!("| `{key}` |"))).collect();
    assert!(missing.is_empty(), "not in docs/publish.md: {missing:?}");
}

#[test]
fn two_programs_with_one_prefix_are_warned_and_the_one_that_is_left_is_online() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    let mut subscriber = Subscriber::start(port, &["oaktap/available"]);
    let target = format!("mqtt://127.0.0.1:{port}/oaktap");
    let mut first = Publishing::start(&["publish", "a=sim:?size=64x48", "--to", &target]);
    subscriber.availability("online");
    let mut second = Publishing::start(&["publish", "b=sim:?size=64x48", "--to", &target]);
    let warning = "another program publishes on oaktap/available";
    first.says(warning);
    second.says(warning);
    second.says("give each program a prefix of its own");
    assert_eq!(second.stop().code, 0);
    subscriber.availability("offline");
    // The first one is still connected.
    subscriber.availability("online");
    let ended = first.stop();
    assert_eq!((ended.code, ended.said.matches(warning).count()), (0, 1), "{}", ended.said);
}

#[test]
fn detections_states_and_events_are_published() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    let mut subscriber = Subscriber::start(port, &TEXTS);
    let target = format!("mqtt://127.0.0.1:{port}/oaktap");
    let publishing = Publishing::start(&["publish", CAMERA, "--to", &target, "--frames", "60", "--json"]);
    subscriber.availability("online");
    subscriber.availability("offline");
    let ended = publishing.ended();
    assert_eq!(ended.code, 0, "{}", ended.said);
    assert!(ended.said.contains(&format!("publishing on {target}")), "{}", ended.said);

    // The same fields, and the same boxes of the same frame, as `oaktap detections` prints.
    let published: Vec<Value> = subscriber.on("oaktap/front/detections").iter().map(|found| found.json()).collect();
    assert!(published.len() >= 60, "{}", published.len());
    let (_, printed, _) = run(&["detections", CAMERA, "--frames", "30", "-q"]);
    let mut compared = 0;
    for mut line in printed.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
        let same = published.iter().find(|frame| frame["camera_seq"] == line["camera_seq"]);
        let Some(mut same) = same.cloned() else { continue };
        // Frames wait in the camera until a program connects.
        for frame in [&mut same, &mut line] {
            frame.as_object_mut().expect("an object").remove("stale");
        }
        assert_eq!(keys(&same), keys(&line));
        for field in ["camera", "width", "height", "format", "bytes", "detections"] {
            assert_eq!(same[field], line[field], "{field}");
        }
        compared += 1;
    }
    assert!(compared >= 10, "{compared}");
    let numbers: Vec<_> = published.iter().map(|frame| frame["seq"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "none is missing");

    let states: Vec<Value> = subscriber.on("oaktap/front/state").iter().map(|state| state.json()).collect();
    let streaming = states.iter().find(|state| state["state"] == "streaming").expect("it streams");
    assert!(streaming["online"] == true && streaming["counts"]["camera"] == "front", "{streaming}");
    let last = states.last().expect("a state");
    assert!(last["state"] == "ended" && last["online"] == false && last["fps"] == 0.0, "{last}");
    assert!(last["counts"]["frames"]["confirmed"].as_u64() >= Some(60), "{last}");
    check_documented(last);

    // Every object appears, and leaves at the end.
    let mut objects = BTreeMap::<String, Vec<String>>::new();
    for event in subscriber.on("oaktap/front/events").iter().map(|event| event.json()) {
        check_documented(&event);
        let text = |field: &str| event[field].as_str().expect("text").to_owned();
        objects.entry(text("id")).or_default().push(text("type"));
    }
    assert!(!objects.is_empty());
    for (id, types) in &objects {
        assert!(types[0] == "new" && types[types.len() - 1] == "end", "{id}: {types:?}");
        assert!(types[1..types.len() - 1].iter().all(|kind| kind == "update"), "{id}: {types:?}");
    }
    let counts: Vec<Value> = subscriber.on("oaktap/front/objects").iter().map(|count| count.json()).collect();
    counts.iter().for_each(check_documented);
    assert!(counts.iter().any(|count| count["total"] == 2) && counts[counts.len() - 1]["total"] == 0, "{counts:?}");

    check_documented(ended.target());
    let count = |value: &Value, field: &str| value[field].as_u64().expect(field);
    assert!(ended.target()["connections"] == 1 && ended.target()["lost"] == 0, "{}", ended.target());
    assert_eq!(count(ended.target(), "messages"), subscriber.received.len() as u64 - 1, "all but the one of the test");
    let lane = ended.lane(0, "publish detections");
    assert_eq!(count(lane, "taken"), published.len() as u64);
    assert!(count(lane, "dropped") == 0 && lane["offered"] == lane["taken"], "{lane}");
    assert!(ended.lane(0, "publish pictures").is_null(), "nobody asked for one");

    // A new subscriber gets what is retained, and the program is not there.
    let mut late = Subscriber::start(port, &["oaktap/#"]);
    let state = late.on("oaktap/front/state").first().map(|state| state.json());
    let state = state.unwrap_or_else(|| late.until(|message| message.topic == "oaktap/front/state").json());
    assert_eq!(state["state"], "ended");
    if late.on("oaktap/available").is_empty() {
        late.availability("offline");
    }
    let mut of_program = late.received.iter().filter(|message| message.topic.starts_with("oaktap/"));
    assert!(of_program.all(|message| message.retained), "{:?}", late.received);
}

#[test]
fn tracked_objects_have_events_of_their_own() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    let mut subscriber = Subscriber::start(port, &["oaktap/+/events"]);
    let target = format!("mqtt://127.0.0.1:{port}/oaktap");
    let camera = "front=sim:?size=64x48&boxes=2&dialect=abcde-256&format=jpeg";
    let publishing = Publishing::start(&["publish", camera, "--to", &target]);
    let events: Vec<Value> = (0..2).map(|_| subscriber.until(|_| true).json()).collect();
    let tracks: BTreeSet<_> = events.iter().map(|event| event["track"].as_u64().expect("a track")).collect();
    assert_eq!(tracks.len(), 2, "{events:?}");
    assert!(events.iter().all(|event| event["type"] == "new" && event["count"] == 1), "{events:?}");
    events.iter().for_each(check_documented);
    assert_eq!(publishing.stop().code, 0);
}

#[test]
fn a_picture_is_published_on_request_whatever_the_camera_sends() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    // Retained requests are not repeated with each subscription.
    publish(port, "oaktap/idle/picture/get", &["-r", "-m", "please"]);
    let cameras =
        ["raw=sim:?size=64x48", "jpeg=sim:?size=64x48&format=jpeg", "video=sim:?size=64x48&format=h264", "idle=sim:"];
    let target = format!("mqtt://127.0.0.1:{port}/oaktap");
    let mut publishing = Publishing::start(&[&["publish", "--to", &target, "--json"], &cameras[..]].concat());
    publishing.says("publishing on");
    for camera in ["raw", "jpeg", "video"] {
        let file = picture(port, camera);
        let decoded = image::load_from_memory(&file).unwrap_or_else(|error| panic!("{camera}: {error}"));
        assert_eq!((decoded.width(), decoded.height()), (64, 48), "{camera}");
    }
    let ended = publishing.stop();
    assert_eq!(ended.code, 0, "{}", ended.said);
    for camera in 0..3 {
        let lane = ended.lane(camera, "publish pictures");
        let (offered, all) = (lane["offered"].as_u64(), ended.lane(camera, "publish detections")["offered"].as_u64());
        assert!(offered >= Some(1) && offered < all, "{camera}: {lane}");
    }
    assert!(ended.lane(3, "publish pictures").is_null(), "a retained request is not one");
}

#[test]
fn password_and_tls_are_used_and_refusals_are_explained() {
    if is_missing() || system("openssl").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=broker"]);
    let made = openssl.args(["-keyout", "key.pem", "-out", "cert.pem"]).current_dir(at).output();
    assert!(made.expect("it starts").status.success());
    let users = at.join("users");
    let made = Command::new("mosquitto_passwd").arg("-b").arg("-c").arg(&users).args(["me", "se:cret"]).output();
    assert!(made.expect("it starts").status.success());
    let tls = free_port();
    let here = at.display();
    let (_broker, plain) = broker(at, &|| {
        format!(
            "listener {tls} 127.0.0.1\nallow_anonymous false\npassword_file {here}/users\n\
             certfile {here}/cert.pem\nkeyfile {here}/key.pem\n"
        )
    });
    let mut subscriber = Subscriber::start(plain, &TEXTS);
    let target = format!("mqtts://me:se%3Acret@127.0.0.1:{tls}/oaktap#insecure");
    let (code, _, err) = run(&["publish", CAMERA, "--to", &target, "--frames", "20"]);
    assert!(code == 0 && err.contains("publishing on mqtts://me:***@127.0.0.1"), "{err}");
    assert!(!err.contains("cret"), "{err}");
    subscriber.until(|message| message.topic == "oaktap/front/detections");
    subscriber.availability("offline");
    for (target, text) in [
        (format!("mqtts://me:wrong@127.0.0.1:{tls}/oaktap#insecure"), "not authorized"),
        (format!("mqtts://127.0.0.1:{tls}/oaktap#insecure"), "a user name and a password are required"),
        (format!("mqtts://me:se%3Acret@127.0.0.1:{tls}/oaktap"), "#insecure"),
        (format!("mqtt://127.0.0.1:{}/oaktap", free_port()), "`mosquitto -p 1883` starts one"),
    ] {
        let (code, _, err) = run(&["publish", CAMERA, "--to", &target, "--duration", "2s"]);
        assert!(code == 1 && err.contains(text) && err.contains("; retrying"), "{target}: {code} {err}");
        assert!(err.contains("nothing was published: never connected to mqtt"), "{err}");
        assert!(!err.contains("wrong") && !err.contains("cret"), "{err}");
    }
}

#[test]
fn invalid_targets_are_wrong_usage() {
    for (arguments, text) in [
        (&["publish", "sim:"][..], "--to <TARGET>"),
        (&["publish", "sim:", "--to", "kafka://broker/x"], "expected mqtt://BROKER/PREFIX or mqtts://BROKER/PREFIX"),
        (&["publish", "sim:", "--to", "mqtt://me:secret@broker"], "missing prefix"),
        (&["publish", "--to", "mqtt://broker/x", "--home-assistant", "sim:"], "after the cameras"),
        (&["view", "sim:", "--no-window", "--home-assistant"], "`--home-assistant` requires `--publish`"),
        (&["serve", "sim:", "--home-assistant"], "`--home-assistant` requires `--publish`"),
    ] {
        let (code, _, err) = run(arguments);
        assert!(code == 2 && err.contains(text) && !err.contains("secret"), "{arguments:?}: {code} {err}");
    }
}
