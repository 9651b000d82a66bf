//! A camera that vanishes without closing its connection: the cable is pulled, or its power fails.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::network::{Camera, Network};

const LIMIT: Duration = Duration::from_secs(60);

/// Returns the lines of a stream as they arrive.
fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Waits for a line that satisfies the condition, and returns it.
fn wait_for(lines: &Receiver<String>, what: &str, mut is: impl FnMut(&str) -> bool) -> String {
    let until = Instant::now() + LIMIT;
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) if is(&line) => return line,
            Ok(_) => {}
            Err(error) => panic!("waited for {what}: {error}"),
        }
    }
}

fn is_frame(line: &str) -> bool {
    line.contains("\"seq\"")
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "the program runs");
}

/// No packet of the camera arrives: neither FIN nor RST. The session must notice by the silence, and must not wait for the
/// dead connection when the camera is back. The camera serves one client, and its old connection is half-open, too.
#[test]
fn a_camera_that_vanishes_without_closing_its_connection_is_received_again() {
    let Some(network) = Network::new() else { return };
    network.cable("h0", "c0");
    network.host("ip addr add 10.0.0.1/24 dev h0");
    network.camera("ip addr add 10.0.0.5/24 dev c0");
    let _camera = Camera::start(&network, "14442C10D13EABCE00");
    let mut command = network.command(&["detections", "10.0.0.5", "--idle-timeout", "1s", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let out = lines(child.stdout.take().expect("a pipe"));
    let err = lines(child.stderr.take().expect("a pipe"));
    wait_for(&out, "the first frame", is_frame);

    // The cable still has a carrier on the side of the host: only packets are lost.
    network.camera("ip link set dev c0 down");
    wait_for(&err, "the loss", |line| line.contains("connection lost: "));
    // What was received before the loss.
    while out.try_recv().is_ok() {}
    network.camera("ip link set dev c0 up");
    wait_for(&err, "the stream", |line| line.ends_with(": streaming"));
    wait_for(&out, "a frame of the new connection", is_frame);

    interrupt(&child);
    let summary = wait_for(&out, "the summary", |line| line.contains("\"summary\""));
    assert!(child.wait().expect("it ends").code().is_some(), "it ends by itself");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    let camera = &summary["summary"]["cameras"][0];
    assert!(camera["reconnects"].as_u64().is_some_and(|count| count >= 1), "{camera}");
    assert!(camera["not_streaming_seconds"].as_f64().is_some_and(|seconds| seconds >= 1.0), "{camera}");
    assert_eq!((&camera["balances"], &camera["error"]), (&true.into(), &Value::Null), "{camera}");
}
