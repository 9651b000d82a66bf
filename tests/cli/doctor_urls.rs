//! `oaktap doctor` with streams that are named by a URL.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::program::{oaktap, run, signal};

/// A simulated camera that ends with the test, and its URL.
struct Camera {
    process: Child,
    url: String,
}

impl Camera {
    fn start(options: &[&str]) -> Self {
        let options = [&["simulate", "--listen", "127.0.0.1:0"], options].concat();
        let mut process = oaktap(&options).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut said = BufReader::new(process.stderr.take().expect("it is piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it prints UTF-8");
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        let url = line.trim_end().strip_prefix("listening on ").expect(&line).to_owned();
        Self { process, url }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the exit code, and level and text of each check of the camera `c`, and the facts about it.
fn doctor(url: &str, more: &[&str]) -> (i32, Vec<(String, String, String)>, Value) {
    let camera = format!("c={url}");
    let (code, out, err) = run(&[&["doctor", &camera, "--measure", "500ms", "--json"], more].concat());
    let document: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    let text = |check: &Value, key: &str| check[key].as_str().expect("a text").to_owned();
    let checks = document["summary"]["checks"].as_array().expect("a list").iter();
    let checks = checks.filter(|check| check["subject"] == "c");
    let checks = checks.map(|check| (text(check, "check"), text(check, "level"), text(check, "observed"))).collect();
    (code, checks, document["summary"]["facts"]["targets"][0].clone())
}

fn found<'a>(checks: &'a [(String, String, String)], name: &str) -> (&'a str, &'a str) {
    let check = checks.iter().find(|(check, ..)| check == name).unwrap_or_else(|| panic!("no {name}: {checks:#?}"));
    (&check.1, &check.2)
}

#[test]
fn the_server_of_a_url_is_found_and_its_stream_measured() {
    let camera = Camera::start(&["--http", "--size", "160x120", "--fps", "20"]);
    let by_name = camera.url.replace("127.0.0.1", "localhost");
    let (code, checks, facts) = doctor(&by_name, &[]);
    assert_eq!(code, 0, "{checks:#?}");
    assert_eq!(found(&checks, "host-name"), ("PASS", format!("{by_name} is at 127.0.0.1").as_str()));
    assert_eq!((found(&checks, "route").0, found(&checks, "stream-port").0), ("PASS", "PASS"));
    let (level, observed) = found(&checks, "stream");
    assert!(level == "PASS" && observed.contains("160x120 JPEG"), "{observed}");
    assert_eq!(found(&checks, "discovery").0, "SKIP");
    assert_eq!((&facts["source"], &facts["unresolved"]), (&by_name.as_str().into(), &Value::Null));

    let (code, checks, _) = doctor(&format!("{}nothing/here", camera.url), &[]);
    let (level, observed) = found(&checks, "stream");
    assert!(code == 1 && level == "FAIL" && observed.contains("404"), "{observed}");
    let (code, checks, facts) = doctor(&camera.url, &["--no-stream"]);
    assert_eq!((code, found(&checks, "stream-port").0, &facts["stream"]), (0, "SKIP", &Value::Null));
}

#[test]
fn the_stage_at_which_a_url_fails_is_named() {
    let (code, checks, facts) = doctor("http://camera.invalid/", &[]);
    let (level, observed) = found(&checks, "host-name");
    assert!(code == 1 && level == "FAIL", "{checks:#?}");
    assert!(observed.starts_with("the host of http://camera.invalid/ is not found: "), "{observed}");
    assert!(facts["unresolved"].is_string() && checks.iter().all(|(check, ..)| check != "stream"), "{checks:#?}");

    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let (code, checks, _) = doctor(&format!("http://127.0.0.1:{free}/"), &[]);
    let (level, observed) = found(&checks, "stream-port");
    assert!(code == 1 && level == "FAIL" && observed.contains(&free.to_string()), "{observed}");

    // The camera connects to this host, and none does.
    for url in [format!("listen://127.0.0.1:{free}"), format!("http-post://127.0.0.1:{free}/a")] {
        let (code, checks, _) = doctor(&url, &[]);
        assert_eq!(found(&checks, "stream-port").0, "SKIP");
        let (level, observed) = found(&checks, "stream");
        assert!(code == 1 && level == "FAIL", "{checks:#?}");
        assert_eq!(observed, "no camera connected to this host, or sent to it, while it listened", "{url}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (code, checks, _) = doctor(&format!("listen://{}", taken.local_addr().expect("an address")), &[]);
    let (level, observed) = found(&checks, "stream");
    assert!(code == 1 && level == "FAIL" && observed.contains("in use"), "{observed}");
}

/// A camera in the file that is a URL does not keep the others from being checked.
#[test]
fn urls_in_a_file_are_checked_beside_cameras() {
    let camera = Camera::start(&["--http", "--size", "160x120"]);
    let tcp = Camera::start(&["--size", "64x48"]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("oaktap.toml");
    let address = tcp.url.trim_start_matches("tcp://");
    std::fs::write(&file, format!("[cameras]\nweb = \"{}\"\nyard = \"{address}\"\n", camera.url)).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let names = |words: &[&str]| {
        let (_, out, err) = run(&[&["doctor", "--config", file, "--measure", "300ms", "--json"], words].concat());
        let document: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
        let targets = document["summary"]["facts"]["targets"].as_array().expect("a list").clone();
        targets.iter().map(|target| target["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["yard", "web"]);
    assert_eq!(names(&["web"]), ["web"]);
    assert_eq!(names(&["yard", &format!("more={}", tcp.url)]), ["yard", "more"]);
}

/// The bytes of a picture decide between sizes only if it shows something.
#[test]
fn a_guessed_size_is_called_a_guess() {
    let camera = Camera::start(&["--size", "64x48", "--format", "GRAY8"]);
    let (_, checks, facts) = doctor(&camera.url, &[]);
    let (_, observed) = found(&checks, "stream");
    assert!(observed.contains("(size and format are a guess: the stream does not state them)"), "{observed}");
    assert!(facts["stream"]["guess"]["note"].is_string(), "{facts:#}");

    let announced = Camera::start(&["--size", "64x48", "--format", "GRAY8", "--records"]);
    let (_, checks, facts) = doctor(&announced.url, &[]);
    let (level, observed) = found(&checks, "stream");
    assert!(level == "PASS" && !observed.contains("guess"), "{observed}");
    assert_eq!(facts["stream"]["guess"], Value::Null);
}

/// The first camera accepts the connection that probes its port and then that of its stream, and sends nothing.
#[cfg(unix)]
#[test]
fn a_stopped_diagnosis_prints_its_findings() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let camera = format!("c={}", silent.local_addr().expect("an address"));
    for (name, more) in [("INT", &["--json"][..]), ("TERM", &[]), ("TERM", &["--json", "--enter-bootloader", "--yes"])]
    {
        let mut child = oaktap(&[&["doctor", &camera], more].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let held: Vec<_> = (0..2).map(|_| connection(&silent, &mut child)).collect();
        signal(&child, name);
        let (mut out, mut err) = (String::new(), String::new());
        child.stdout.take().expect("it is piped").read_to_string(&mut out).expect("UTF-8");
        child.stderr.take().expect("it is piped").read_to_string(&mut err).expect("UTF-8");
        assert_eq!(child.wait().expect("it ends").code(), Some(1), "{out}{err}");
        drop(held);
        assert!(err.contains("error: stopped before all checks had run\n"), "{err}");
        let Some("--json") = more.first().copied() else {
            assert!(out.contains("PASS  stream-port  TCP port "), "{out}");
            assert!(out.contains("SKIP  stream       stopped\n"), "{out}");
            continue;
        };
        let document: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
        let checks = document["summary"]["checks"].as_array().expect("a list");
        let of = |name: &str| checks.iter().find(|check| check["check"] == name && check["subject"] == "c");
        assert_eq!(of("stream-port").expect("it ran")["level"], "PASS", "{out}");
        for check in ["stream", "budget"].into_iter().chain((more.len() > 1).then_some("bootloader")) {
            let found = of(check).unwrap_or_else(|| panic!("no {check}: {out}"));
            assert_eq!((&found["level"], &found["observed"]), (&"SKIP".into(), &"stopped".into()), "{out}");
        }
    }
}

/// Waits for a connection by a program that is running.
#[cfg(unix)]
fn connection(listener: &TcpListener, program: &mut Child) -> TcpStream {
    listener.set_nonblocking(true).expect("an option of the socket");
    loop {
        match listener.accept() {
            Ok((stream, _)) => return stream,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        let ended = program.try_wait().expect("a child");
        assert!(ended.is_none(), "it ended before it connected: {ended:?}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Stopped in the search that comes first.
#[cfg(unix)]
#[test]
fn cameras_that_were_not_checked_are_not_healthy() {
    let mut child = oaktap(&["doctor", "a=127.0.0.1", "b=127.0.0.2", "--wait", "60s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut err = String::new();
    while !err.contains("checking 2 cameras") {
        assert_ne!(said.read_line(&mut err).expect("UTF-8"), 0, "{err}");
    }
    signal(&child, "INT");
    let mut out = String::new();
    child.stdout.take().expect("it is piped").read_to_string(&mut out).expect("UTF-8");
    assert_eq!(child.wait().expect("it ends").code(), Some(1), "{out}");
    for row in ["SKIP  a  127.0.0.1  stopped  stopped\n", "SKIP  b  127.0.0.2  stopped  stopped\n"] {
        assert!(out.contains(row), "{out}");
    }
    let total = "2 cameras: 0 healthy, 0 with warnings, 0 failed, 2 stopped (-v shows every check)\n";
    assert!(out.ends_with(total), "{out}");
}
