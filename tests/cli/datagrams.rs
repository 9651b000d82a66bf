//! `oaktap simulate --udp` and the commands that receive its datagrams.

use std::io::Read as _;
use std::net::UdpSocket;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::program::{oaktap, run};

/// The program, ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A camera that sends to a port that is free now, until it is dropped.
fn camera(options: &[&str]) -> (Ended, String) {
    let address = UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").to_string();
    let args = [&["simulate", "--udp", &address, "-q"], options].concat();
    let child = oaktap(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    (Ended(child), format!("udp://{address}"))
}

fn summary(out: &str) -> Value {
    let summary: Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    summary["summary"]["cameras"][0].clone()
}

#[test]
fn a_camera_without_faults_is_received_without_a_loss() {
    // The system's buffer holds the datagrams of a second and more: the program may wait that long for a processor.
    let (_camera, source) = camera(&["--records", "--size", "64x48", "--fps", "10"]);
    let (code, out, err) = run(&["detections", &format!("front={source}"), "-n", "20", "--json"]);
    assert_eq!(code, 0, "{err}");
    let camera = summary(&out);
    let datagrams = &camera["datagrams"];
    assert_eq!((&camera["camera"], &camera["lossless"]), (&"front".into(), &true.into()), "{camera}");
    for count in ["invalid", "refused", "late", "missing", "messages_missing", "restarts"] {
        assert_eq!(datagrams[count], 0, "{count}: {datagrams}");
    }
    assert!(datagrams["assembled"].as_u64() >= Some(7 * 20), "{datagrams}");
    assert!(out.lines().next().expect("a frame").contains("\"label\""), "{out}");
}

#[test]
fn losses_are_counted_and_named() {
    let (_camera, source) =
        camera(&["--records", "--size", "64x48", "--fps", "100", "--fault", "loss:0.01,reorder:0.05,duplicate:0.05"]);
    let (code, out, err) = run(&["detections", &source, "-n", "200", "--json"]);
    assert_eq!(code, 3, "{err}");
    let camera = summary(&out);
    let (datagrams, frames) = (&camera["datagrams"], &camera["frames"]);
    assert_eq!((&camera["balances"], &camera["resyncs"], &camera["connections"]), (&true.into(), &0.into(), &1.into()));
    assert_eq!(datagrams["messages_incomplete"], frames["lost"], "{camera}");
    for count in ["missing", "reordered", "duplicate"] {
        assert!(datagrams[count].as_u64() > Some(0), "{count}: {datagrams}");
    }
    assert!(err.contains(" of 7 datagrams missing") && err.contains("datagrams received; "), "{err}");
    assert!(err.contains("exit code 3: ") && err.contains("lost frame"), "{err}");
}

#[test]
fn a_recording_plays_what_was_received() {
    let (_camera, source) = camera(&["--format", "JPEG", "--records", "--size", "64x48", "--fps", "25"]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("front.mcap");
    let file = file.to_str().expect("UTF-8");
    let (code, _, err) = run(&["record", &source, "-o", file, "-n", "30"]);
    assert_eq!(code, 0, "{err}");
    let (code, out, err) = run(&["detections", &format!("file:{file}?speed=max")]);
    assert_eq!((code, out.lines().count()), (0, 30), "{err}");
}

#[test]
fn the_simulator_names_options_without_an_effect() {
    let (code, _, err) = run(&["simulate", "--udp", "127.0.0.1:5000", "--nodelay"]);
    assert_eq!((code, err.contains("`--nodelay` has no effect on --udp")), (2, true), "{err}");
    let (code, _, err) = run(&["simulate", "--udp", "127.0.0.1:65535", "--count", "2"]);
    assert_eq!((code, err.contains("expected ports from 1 to 65535")), (2, true), "{err}");
}

#[test]
fn a_camera_stops_after_its_frames_although_no_host_listens() {
    let address = UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").to_string();
    let mut child = oaktap(&["simulate", "--udp", &address, "--size", "64x48", "-n", "5", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut out = String::new();
    child.stdout.take().expect("it is piped").read_to_string(&mut out).expect("UTF-8");
    assert!(child.wait().expect("it ends").success());
    let camera = summary(&out);
    assert!(camera["intact"].as_u64() >= Some(5) && camera["datagrams"].as_u64() > Some(0), "{camera}");
}
