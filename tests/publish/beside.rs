//! `--publish` of the commands that do something else.

use serde_json::Value;

use crate::broker::{broker, is_missing, start};
use crate::external_tools::free_port;
use crate::program::{run, signal};
use crate::publishing::{Publishing, Subscriber};

const CAMERA: &str = "front=sim:?size=64x48";

#[test]
fn view_record_and_serve_publish_too() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    let target = format!("mqtt://127.0.0.1:{port}/oaktap");
    let recordings = folder.path().join("recordings");
    let recordings = recordings.to_str().expect("UTF-8");
    for command in [
        &["view", CAMERA, "--no-window", "-n", "40"][..],
        &["record", CAMERA, "-o", recordings, "-n", "40"],
        &["serve", CAMERA, "--http", "127.0.0.1:0", "-n", "40"],
    ] {
        let mut subscriber = Subscriber::start(port, &["oaktap/+/detections"]);
        let (code, out, err) = run(&[command, &["--json", "--publish", &target]].concat());
        assert_eq!(code, 0, "{command:?}: {err}");
        let published = out.lines().find(|line| line.starts_with("{\"published\":")).expect("counts of targets");
        let published: Value = serde_json::from_str(published).expect("JSON");
        assert_eq!(published["published"][0]["connections"], 1, "{published}");
        subscriber.until(|message| message.topic == "oaktap/front/detections");
    }
}

#[test]
fn a_target_that_was_never_connected_is_an_exit_code_of_its_own() {
    let target = format!("mqtt://127.0.0.1:{}/oaktap", free_port());
    let (code, _, err) = run(&["view", CAMERA, "--no-window", "-n", "10", "--publish", &target]);
    assert!(code == 3 && err.contains(&format!("{target}: exit code 3: never connected")), "{code}: {err}");
}

#[test]
fn recordings_in_a_folder_are_published_by_publish() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().to_str().expect("UTF-8");
    let (code, _, err) = run(&["view", folder, "--no-window", "--publish", "mqtt://127.0.0.1/oaktap"]);
    assert!(code == 2 && err.contains("--publish is not for a folder of recordings"), "{code}: {err}");
}

/// `oaktap serve` as a service of systemd with the cameras `front` and `back`, which reads its cameras again after a hangup.
#[cfg(target_os = "linux")]
struct Service {
    publishing: Publishing,
    config: std::path::PathBuf,
    _notified: std::os::unix::net::UnixDatagram,
}

#[cfg(target_os = "linux")]
impl Service {
    const CAMERAS: &str = "[cameras]\nfront = \"sim:?size=64x48\"\nback = \"sim:?size=64x48\"\n";

    /// Publishes at the broker on this port.
    fn start(folder: &std::path::Path, port: u16) -> Self {
        let (config, socket) = (folder.join("oaktap.toml"), folder.join("notify"));
        std::fs::write(&config, Self::CAMERAS).expect("a file");
        let notified = std::os::unix::net::UnixDatagram::bind(&socket).expect("a socket");
        let target = format!("mqtt://127.0.0.1:{port}/oaktap");
        let file = config.to_str().expect("UTF-8");
        let arguments = ["serve", "--config", file, "--http", "127.0.0.1:0", "--publish", &target, "--home-assistant"];
        let variables = [("NOTIFY_SOCKET", socket.to_str().expect("UTF-8"))];
        Self { publishing: Publishing::with_environment(&arguments, &variables), config, _notified: notified }
    }

    fn remove_back(&mut self) {
        let front = Self::CAMERAS.lines().take(2).collect::<Vec<_>>().join("\n");
        std::fs::write(&self.config, front).expect("a file");
        signal(&self.publishing.process.0, "HUP");
        self.publishing.says("back: removed");
    }
}

/// The broker keeps retained messages over a restart.
#[cfg(target_os = "linux")]
#[test]
fn a_camera_that_is_removed_while_the_broker_is_away_is_cleared_when_it_returns() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (mut away, port) = broker(folder.path(), &String::new);
    let mut subscriber = Subscriber::start(port, &["oaktap/back/state"]);
    let mut service = Service::start(folder.path(), port);
    subscriber.until(|message| message.topic == "oaktap/back/state" && message.json()["state"] == "streaming");
    // It saves the messages.
    signal(&away.0, "TERM");
    away.0.wait().expect("it ends");
    service.publishing.says("connection lost");
    service.remove_back();
    let _broker = std::iter::repeat_with(|| start(folder.path(), port, "")).flatten().next().expect("a broker");
    // Detections follow what the broker is told first.
    Subscriber::start(port, &["oaktap/front/detections"]).until(|message| message.topic == "oaktap/front/detections");
    let late = Subscriber::start(port, &["oaktap/+/state", "oaktap/+/objects", "homeassistant/#"]);
    let of_back =
        |message: &&crate::publishing::Received| message.topic.contains("/back/") || message.topic.contains("_back_");
    assert_eq!(late.received.iter().find(of_back).map(|message| &message.topic), None);
    assert!(late.received.iter().any(|message| message.topic == "oaktap/front/state"), "{:?}", late.received);
    assert_eq!(service.publishing.stop().code, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn cameras_that_are_removed_from_a_service_are_cleared_at_the_broker() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    let mut subscriber = Subscriber::start(port, &["oaktap/+/state", "homeassistant/#"]);
    let mut service = Service::start(folder.path(), port);
    subscriber.until(|message| message.topic == "oaktap/back/state" && message.json()["state"] == "streaming");
    service.remove_back();
    subscriber.until(|message| message.topic == "oaktap/back/state" && message.payload.is_empty());
    let is_cleared = |message: &crate::publishing::Received| {
        message.topic.starts_with("homeassistant/button/") && message.payload.is_empty()
    };
    subscriber.until(is_cleared);
    let front = subscriber.until(|message| message.topic == "oaktap/front/state").json();
    assert_eq!(front["state"], "streaming", "the other camera stays connected");
    let ended = service.publishing.stop();
    assert_eq!(ended.code, 0, "{}", ended.said);
}
