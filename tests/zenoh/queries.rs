//! Queries: state, counts, settings and recording of a camera.

use oaktap::sync::locked;
use serde_json::Value;

use crate::bus::{Subscriber, get, is_missing, router, target};
use crate::controlled_camera::controlled_camera;
use crate::publishing::Publishing;

/// The reply of one camera, which is no error.
#[track_caller]
fn answer(replies: &[Value]) -> Value {
    assert!(replies.len() == 1 && replies[0]["ok"].is_string(), "{replies:?}");
    serde_json::from_str(replies[0]["ok"].as_str().expect("text")).expect("JSON")
}

/// Queries again until the answer is the expected one.
fn until(port: u16, key: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    loop {
        let replies = get(port, key, &[]);
        if !replies.is_empty() && is_it(&answer(&replies)) {
            return replies[0].clone();
        }
    }
}

#[test]
fn those_who_come_late_query_the_state_and_the_counts() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let mut publishing = Publishing::start(&["publish", "front=sim:?size=64x48", "--to", &target(port), "--json"]);
    publishing.says("publishing on");
    let state = until(port, "oaktap/*/front/state", |state| state["state"] == "streaming");
    assert_eq!(state["key"], "oaktap/rack/front/state", "the answer names its camera");
    let counts = answer(&get(port, "oaktap/rack/front/ledger", &[]));
    assert!(counts["camera"] == "front" && counts["frames"]["confirmed"].as_u64() >= Some(1), "{counts}");
    assert!(get(port, "oaktap/rack/back/state", &[]).is_empty(), "another camera");

    // Subscribers get the state at once, and the counts each second.
    let mut subscriber = Subscriber::start(port, &["oaktap/rack/front/state", "oaktap/rack/front/ledger"]);
    subscriber.count_on("oaktap/rack/front/state", 1);
    subscriber.count_on("oaktap/rack/front/ledger", 2);
    let ledgers = subscriber.on("oaktap/rack/front/ledger");
    let confirmed = |at: usize| ledgers[at].json()["frames"]["confirmed"].as_u64().expect("a count");
    assert!(confirmed(0) < confirmed(1), "{} {}", confirmed(0), confirmed(1));
    let state = subscriber.on("oaktap/rack/front/state")[0].json();
    assert!(state["state"] == "streaming" && state["counts"]["camera"] == "front", "{state}");
    assert_eq!(publishing.stop().code, 0);
}

#[test]
fn a_query_sets_the_camera() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let (address, records) = controlled_camera("size=64x48&records");
    let camera = format!("front={address}");
    let mut publishing = Publishing::start(&["publish", &camera, "still=sim:?size=64x48", "--to", &target(port)]);
    publishing.says("publishing on");
    until(port, "oaktap/rack/front/state", |state| state["state"] == "streaming");
    until(port, "oaktap/rack/still/state", |state| state["state"] == "streaming");
    let control = |key: &str, orders: &str| get(port, &format!("oaktap/rack/{key}/control"), &[orders]);
    let error =
        |replies: Vec<Value>| replies[0]["error"].as_str().map(str::to_owned).unwrap_or_else(|| panic!("{replies:?}"));

    assert!(error(control("front", "lens=300")).starts_with("invalid value `300` for `lens`: expected 0 to 255"));
    assert!(error(control("front", "")).starts_with("found 0 orders in the payload"));
    assert!(error(control("still", "lens=1")).starts_with("still does not support settings"));
    assert!(locked(&records).is_empty(), "nothing was sent");
    // The camera closes the first connection with an order.
    assert!(error(control("front", "lens=120")).starts_with("the connection ended before the camera answered"));
    let answers = answer(&control("front", "lens=120\niso=400"));
    assert_eq!(
        answers["answers"],
        serde_json::json!([
            {"order": "lens=120", "said": "lens=120", "done": true},
            {"order": "iso=400", "said": "no: this lens has no gain", "done": false},
        ])
    );
    assert_eq!(*locked(&records), ["@K lens=120", "@K iso=400"]);
    publishing.stop();
}

#[test]
fn queries_start_and_stop_a_recording_and_tell_its_state() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().display().to_string();
    let target = target(port);
    let mut recording =
        Publishing::start(&["record", "front=sim:?size=64x48", "-o", &folder, "--publish", &target, "--json"]);
    recording.says("publishing on");
    until(port, "oaktap/rack/front/recording", |state| {
        state["is_recording"] == true && state["frames_written"].as_u64() > Some(0)
    });
    for payload in ["start", "stop"] {
        let replies = get(port, "oaktap/rack/front/recording", &[payload]);
        assert!(
            replies[0]["error"].as_str().is_some_and(|why| why.contains("oaktap serve --recordings")),
            "{replies:?}"
        );
    }
    assert_eq!(recording.stop().code, 0);
    let mut serving = Publishing::start(&[
        "serve",
        "front=sim:?size=64x48",
        "--http",
        "127.0.0.1:0",
        "--recordings",
        &folder,
        "--publish",
        &target,
        "--json",
    ]);
    serving.says("publishing on");
    let key = "oaktap/rack/front/recording";
    until(port, key, |state| state["is_recording"] == false);
    assert_eq!(answer(&get(port, key, &["start"]))["is_recording"], true);
    until(port, key, |state| state["frames_written"].as_u64() > Some(0));
    assert_eq!(answer(&get(port, key, &["stop"]))["is_recording"], false);
    let replies = get(port, key, &["pause"]);
    assert_eq!(replies[0]["error"], "invalid payload `pause`; expected start, stop, or none for the state");
    assert_eq!(serving.stop().code, 0);
}
