//! Cameras of `oaktap serve` that a reload adds, changes and removes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{ChildStderr, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use serde_json::Value;

use crate::program::{Running, oaktap, signal};
use crate::server::AGES;
use crate::service::ask;

/// The program with a file of cameras that the test changes.
struct Service {
    child: Running,
    errors: BufReader<ChildStderr>,
    /// Lines of standard output.
    printed: mpsc::Receiver<Value>,
    folder: tempfile::TempDir,
    /// The line with the address of the server.
    address: String,
    /// Without it, a hangup ends the program.
    _notes: UnixDatagram,
}

impl Service {
    /// Starts it. `cameras`: the lines of `[cameras]`.
    fn start(cameras: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [config, socket, recordings] = ["oaktap.toml", "notify", "recordings"].map(|name| folder.path().join(name));
        std::fs::write(&config, format!("[cameras]\n{cameras}")).expect("a file");
        let notes = UnixDatagram::bind(&socket).expect("a socket");
        let mut command = oaktap(&["serve", "--http", "127.0.0.1:0", "--json"]);
        command.arg("--config").arg(&config).arg("--recordings").arg(&recordings).args(options);
        command.env("NOTIFY_SOCKET", &socket).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Running(command.spawn().expect("the program starts"));
        let (sender, printed) = mpsc::channel();
        let out = BufReader::new(child.0.stdout.take().expect("a pipe"));
        std::thread::spawn(move || {
            let lines = out.lines().map_while(Result::ok);
            // The test may have ended.
            lines.for_each(|line| drop(sender.send(serde_json::from_str(&line).expect("JSON"))));
        });
        let errors = BufReader::new(child.0.stderr.take().expect("a pipe"));
        let mut service = Self { child, errors, printed, folder, address: String::new(), _notes: notes };
        service.address = service.wait_for(" at http://127.0.0.1:");
        service
    }

    /// Reads the log up to a line with these words, and returns it.
    fn wait_for(&mut self, words: &str) -> String {
        let mut text = String::new();
        loop {
            let before = text.len();
            assert!(self.errors.read_line(&mut text).expect("text") > 0, "it ended before `{words}`: {text}");
            if text[before..].contains(words) {
                return text[before..].trim_end().to_owned();
            }
        }
    }

    fn reload(&mut self, cameras: &str) {
        std::fs::write(self.folder.path().join("oaktap.toml"), format!("[cameras]\n{cameras}")).expect("a file");
        signal(&self.child.0, "HUP");
        self.wait_for("reloaded: serving again");
    }

    /// Waits until the server of the last reload listens.
    fn served(&mut self) {
        self.address = self.wait_for(" at http://127.0.0.1:");
    }

    fn get(&self, path: &str) -> String {
        ask(&self.address, "GET", path).rsplit_once("\r\n\r\n").expect("a body").1.to_owned()
    }

    /// Starts the recording of a camera, and waits until it has a frame.
    fn record(&self, camera: &str) {
        let answer = ask(&self.address, "POST", &format!("/api/cameras/{camera}/recording"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        self.wait_until(camera, |camera| camera["recording"]["state"] == "recording");
    }

    fn wait_until(&self, name: &str, holds: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + AGES;
        loop {
            let cameras: Value = serde_json::from_str(&self.get("/api/cameras")).expect("JSON");
            let found = cameras.as_array().expect("a list").iter().find(|camera| camera["name"] == name);
            if found.is_some_and(&holds) {
                return;
            }
            assert!(Instant::now() < deadline, "{cameras}");
        }
    }

    /// Ends it: lines of standard output that were not read before, and the rest of the log.
    fn stop(mut self) -> (Vec<Value>, String) {
        signal(&self.child.0, "TERM");
        let mut rest = String::new();
        self.errors.read_to_string(&mut rest).expect("text");
        let code = self.child.0.wait().expect("it ends").code();
        // On a busy machine the simulated camera leaves out frames.
        assert!([Some(0), Some(3)].contains(&code), "{rest}");
        (self.printed.iter().collect(), rest)
    }

    fn recordings_of(&self, camera: &str) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder.path().join("recordings").join(camera)).expect("a folder");
        files.map(|file| file.expect("a file").path()).collect()
    }
}

#[test]
fn a_recorded_camera_whose_address_changes_is_recorded_again() {
    let mut service = Service::start("c = \"sim:?size=64x48\"\ngone = \"sim:?size=32x32\"\n", &[]);
    service.record("c");
    service.record("gone");
    service.reload("c = \"sim:?size=48x64\"\nidle = \"sim:?size=16x16\"\n");
    let ended = service.wait_for("c: recording ended, because its address changed: ");
    assert!(ended.contains(" in ") && ended.contains(".mcap"), "{ended}");
    let ended = service.wait_for("gone: recording ended, because the camera was removed: ");
    assert!(ended.contains(".mcap"), "{ended}");
    service.wait_for("c: recording again");
    service.served();
    service.wait_until("c", |camera| camera["recording"]["state"] == "recording");
    service.wait_until("idle", |camera| camera["recording"].is_null());
    assert_eq!(service.recordings_of("c").len(), 2, "the new frames have a file of their own");
    let (lines, _) = service.stop();
    let recordings = lines.last().expect("a summary")["summary"]["recordings"].as_array().expect("a list").clone();
    let mut names: Vec<_> = recordings.iter().filter_map(|one| one["cameras"][0]["camera"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["c", "c", "gone"]);
    assert!(recordings.iter().all(|one| one["frames"].as_u64() > Some(0)), "{recordings:?}");
}

#[test]
fn status_lines_are_of_present_cameras_and_one_summary_has_all() {
    let (a, c) = ("a = \"sim:?size=64x48\"\n", "c = \"sim:?size=64x48\"\n");
    let (changed, b) = ("c = \"sim:?size=48x64\"\n", "b = \"sim:?size=32x32\"\n");
    let mut service = Service::start(&[a, c].concat(), &["--status", "20ms"]);
    let both_stream = |service: &Service, names: [&str; 2]| {
        names.iter().for_each(|name| service.wait_until(name, |camera| camera["state"] == "streaming"));
    };
    both_stream(&service, ["a", "c"]);
    service.reload(&[changed, b].concat());
    service.served();
    both_stream(&service, ["b", "c"]);
    let next = || service.printed.recv_timeout(AGES).expect("a line")["status"].clone();
    while next()["camera"] != "b" {}
    let lines: Vec<_> = (0..6).map(|_| next()).collect();
    let names: Vec<_> = lines.iter().map(|line| line["camera"].as_str().expect("a name")).collect();
    assert_eq!(names, ["c", "b", "c", "b", "c", "b"], "{lines:#?}");
    assert!(lines.iter().all(|line| line["state"] != "ended"), "{lines:#?}");

    service.reload(changed);
    service.served();
    let (lines, log) = service.stop();
    let ended: Vec<_> = lines.iter().filter(|line| line["status"]["state"] == "ended").collect();
    assert!(ended.len() == 1 && ended[0]["status"]["camera"] == "c", "{ended:#?}");
    let summaries: Vec<_> = lines.iter().filter(|line| line.get("summary").is_some()).collect();
    assert!(summaries.len() == 1 && lines.last() == Some(summaries[0]), "{lines:#?}");
    let cameras = summaries[0]["summary"]["cameras"].as_array().expect("a list");
    let mut all: Vec<_> =
        cameras.iter().map(|camera| (camera["camera"].as_str().expect("a name"), &camera["removed"])).collect();
    all.sort_by_key(|(name, removed)| (*name, removed.is_null()));
    let (removed, present) = (Value::Bool(true), Value::Null);
    assert_eq!(all, [("a", &removed), ("b", &removed), ("c", &removed), ("c", &present)]);
    assert!(cameras.iter().all(|camera| camera["frames"]["received"].as_u64() > Some(0)), "{cameras:#?}");
    assert!(log.contains("c (removed)"), "{log}");
}
