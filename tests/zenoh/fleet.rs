//! `oaktap fleet`.

use serde_json::Value;

use crate::bus::{is_missing, router, target};
use crate::external_tools::free_port;
use crate::program::run;
use crate::publishing::Publishing;

fn fleet(port: u16) -> (i32, Value, String) {
    let (code, out, err) = run(&["fleet", "--router", &format!("127.0.0.1:{port}"), "--json"]);
    let line: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {err}"));
    (code, line["summary"].clone(), err)
}

#[test]
fn receivers_and_cameras_are_listed_with_their_states() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let (code, nothing, err) = fleet(port);
    assert_eq!((code, &nothing["receivers"]), (0, &serde_json::json!([])), "{err}");
    assert!(err.contains("nothing is alive at the router 127.0.0.1"), "{err}");

    let mut rack = Publishing::start(&[
        "publish",
        "front=sim:?size=64x48&fps=20",
        &format!("gone=127.0.0.1:{}", free_port()),
        "--to",
        &target(port),
    ]);
    rack.says("publishing on");
    let report = loop {
        let (code, report, err) = fleet(port);
        assert_eq!(code, 0, "{err}");
        let cameras = &report["receivers"][0]["cameras"];
        if cameras[0]["state"] == "streaming" && cameras[0]["fps"].as_f64() > Some(10.0) && cameras[1].is_object() {
            break report;
        }
    };
    assert_eq!((&report["command"], &report["router"]), (&"fleet".into(), &format!("127.0.0.1:{port}").into()));
    let receiver = &report["receivers"][0];
    assert_eq!((&receiver["host"], &receiver["alive"]), (&"rack".into(), &true.into()));
    let [front, gone] = [0, 1].map(|at| &receiver["cameras"][at]);
    assert_eq!((&front["camera"], &front["alive"], &front["online"]), (&"front".into(), &true.into(), &true.into()));
    assert_eq!((&front["lost"], &gone["camera"], &gone["online"]), (&0.into(), &"gone".into(), &false.into()));
    assert!(gone["text"].as_str().is_some_and(|text| text.contains("refused")), "{gone}");

    let (code, table, err) = run(&["fleet", "--router", &format!("127.0.0.1:{port}")]);
    assert_eq!(code, 0, "{err}");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["receiver", "camera", "state", "fps"], "{table}");
    assert_eq!(rows[1][..3], ["rack", "front", "streaming"], "{table}");
    assert_eq!(rows[2][..2], ["rack", "gone"], "{table}");
    assert_eq!(rack.stop().code, 3, "one of its cameras sent nothing");
}

#[test]
fn a_watched_fleet_prints_what_changes() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let watching = Publishing::start(&["fleet", "--router", &format!("127.0.0.1:{port}"), "--watch", "--json"]);
    let mut rack = Publishing::start(&["publish", "front=sim:?size=64x48", "--to", &target(port)]);
    rack.says("publishing on");
    let is_of_camera = |line: &Value, event: &str| line["event"] == event && line["camera"]["camera"] == "front";
    watching.prints(|line| line["event"] == "new" && line["receiver"] == "rack" && line.get("camera").is_none());
    watching.prints(|line| line["event"] != "gone" && line["camera"]["state"] == "streaming");
    assert_eq!(rack.stop().code, 0);
    let mut gone = [false; 2];
    watching.prints(|line| {
        gone[0] |= is_of_camera(line, "gone");
        gone[1] |= line["event"] == "gone" && line.get("camera").is_none();
        gone == [true; 2]
    });
    assert_eq!(watching.stop().code, 0);
}

#[test]
fn a_router_that_cannot_be_asked_is_an_error() {
    let router = format!("127.0.0.1:{}", free_port());
    let (code, out, err) = run(&["fleet", "--router", &router]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("cannot connect to a Zenoh router at 127.0.0.1") && err.contains("zenohd"), "{err}");
    let (code, _, err) = run(&["fleet", "--router", "a/b"]);
    assert!(code == 2 && err.contains("expected ROUTER or ROUTER:PORT"), "{code} {err}");
}
