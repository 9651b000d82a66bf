//! Cameras of which no frame arrives, alone and beside others: summary, status lines, files and exit code.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::program::{oaktap, run, signal};

/// An address on which no program listens: the port stays bound.
fn off() -> (TcpBound, String) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    let address = socket.local_addr().expect("bound").as_socket().expect("IPv4").to_string();
    (socket, address)
}

type TcpBound = socket2::Socket;

/// A server that accepts one client, sends these bytes, and keeps the connection open until the client leaves.
fn server(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            let _ = client.write_all(bytes);
            std::thread::spawn(move || client.read(&mut [0; 16]));
        }
    });
    address
}

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() { found.extend(files_below(&entry)) } else { found.push(entry.display().to_string()) }
    }
    found
}

#[test]
fn a_camera_without_a_frame_is_down_in_every_summary() {
    let (_bound, off) = off();
    let (silent, page) = (server(b""), server(b"HTTP/1.0 400 Bad request\r\n\r\n"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().to_str().expect("UTF-8");
    let sources = ["front=sim:?size=64x48", &format!("off={off}"), &format!("mute={silent}"), &format!("page={page}")];
    for command in [&["record", "-o", output][..], &["view", "--no-window"], &["detections"]] {
        let (code, out, err) = run(&[command, &sources, &["-d", "1500ms", "--json"]].concat());
        assert_eq!(code, 1, "{command:?}: {err}");
        let summary = &lines(&out).pop().expect("a summary")["summary"];
        for camera in summary["cameras"].as_array().expect("cameras") {
            let fine = camera["camera"] == "front";
            assert_eq!(camera["lossless"], fine, "{command:?}: {camera}");
            assert_eq!((&camera["certainly_lossless"], &camera["down_at_end"]), (&fine.into(), &(!fine).into()));
            assert_eq!(
                (camera["findings"] == Value::Array(vec![]), camera["error"].is_null()),
                (fine, fine),
                "{camera}"
            );
            let down = camera["not_streaming_seconds"].as_f64().expect("a number");
            assert!(if fine { down == 0.0 } else { (1.0..5.0).contains(&down) }, "{camera}");
            let is_down = |finding: &Value| {
                finding["count"] == "down_at_end"
                    && finding["text"].as_str().is_some_and(|text| text.starts_with("no frame received in "))
            };
            let findings = camera["findings"].as_array().expect("findings");
            assert_eq!(findings.iter().filter(|finding| is_down(finding)).count(), usize::from(!fine), "{camera}");
        }
        for name in ["off", "mute", "page"] {
            assert!(err.contains(&format!("cannot receive the stream of {name} (")), "{command:?}: {err}");
        }
        assert!(err.ends_with("error: 3 of 4 cameras failed: off, mute, page\n"), "{err}");
        for recording in summary["recordings"].as_array().into_iter().flatten() {
            let fine = recording["cameras"][0]["camera"] == "front";
            assert_eq!((&recording["complete"], recording["problems"] == Value::Array(vec![])), (&fine.into(), fine));
        }
    }
    assert_eq!(files_below(folder.path()).len(), 1);
}

/// Stopped while the connection is open, but before a camera counts as silent.
#[test]
fn a_stop_before_the_first_frame_gives_no_advice_about_other_clients() {
    let silent = server(b"");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().to_str().expect("UTF-8");
    for command in [&["record", "-o", output][..], &["view", "--no-window"], &["detections"]] {
        let mut child = oaktap(&[command, &[&format!("x={silent}")]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut err = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut said = String::new();
        while !said.contains("x: connecting\n") {
            assert_ne!(err.read_line(&mut said).expect("UTF-8"), 0, "{command:?}: {said}");
        }
        signal(&child, "INT");
        err.read_to_string(&mut said).expect("UTF-8");
        assert_eq!(child.wait().expect("it ends").code(), Some(1), "{command:?}: {said}");
        assert!(said.contains("stopped before the first frame"), "{command:?}: {said}");
        assert!(!said.contains("another client") && !said.contains("no frame received\n"), "{command:?}: {said}");
    }
    assert_eq!(files_below(folder.path()), [""; 0]);
}

/// A host that answers no connection: its queue of new connections is full.
#[cfg(target_os = "linux")]
#[test]
fn a_camera_that_was_never_connected_is_not_said_to_have_another_client() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    socket.listen(0).expect("it listens");
    let address = socket.local_addr().expect("bound").as_socket().expect("IPv4");
    let wait = std::time::Duration::from_millis(200);
    let queue: Vec<_> = (0..100).map_while(|_| std::net::TcpStream::connect_timeout(&address, wait).ok()).collect();
    assert!(queue.len() < 100, "the queue is full");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().to_str().expect("UTF-8");
    for (time, limit) in [("1s", 1), ("3s", 3), ("4s", 3)] {
        let (code, _, err) = run(&["snapshot", &format!("x=tcp://{address}"), "-d", time, "-o", output]);
        assert_eq!(code, 1, "{err}");
        assert!(err.contains(&format!("cannot connect: no answer within {limit} s")), "{time}: {err}");
        assert!(err.contains("`oaktap doctor") && !err.contains("another client"), "{time}: {err}");
    }
}

#[test]
fn a_large_fleet_counts_only_cameras_with_frames_as_without_a_loss() {
    let (_bound, off) = off();
    let mut sources: Vec<_> = (0..9).map(|n| format!("line-{n}=sim:?size=64x48&fps=5&seed={n}")).collect();
    sources.push(format!("line-9={off}"));
    let args: Vec<_> =
        ["view", "--no-window", "-d", "1s"].into_iter().chain(sources.iter().map(String::as_str)).collect();
    let (code, _, err) = run(&args);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("\n9 of 10 cameras without a loss: "), "{err}");
    assert!(err.contains("cannot receive the stream of line-9"), "{err}");
}

#[test]
fn a_recording_without_a_frame_leaves_no_file_and_prints_none() {
    let (_bound, off) = off();
    let (silent, page) = (server(b""), server(b"HTTP/1.0 400 Bad request\r\n\r\n"));
    let garbage = server(&[0x55; 400_000]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("evening.mcap");
    let file = file.to_str().expect("UTF-8");
    for source in [&off, &silent, &page, &garbage, "file:/nowhere/nope.mcap"] {
        let (code, out, err) = run(&["record", source, "-o", file, "-d", "500ms"]);
        assert_eq!((code, out.as_str()), (1, ""), "{source}: {err}");
        assert_eq!(files_below(folder.path()), Vec::<String>::new(), "{source}");
    }
    let (code, out, err) = run(&["record", "sim:?size=64x48", "-o", file, "-n", "3"]);
    assert_eq!((code, out.trim_end()), (0, file), "{err}");
}

#[test]
fn status_lines_are_json_only_and_end_with_the_files() {
    let (_bound, off) = off();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().to_str().expect("UTF-8");
    let off = format!("off={off}");
    let (_, out, err) =
        run(&["record", "front=sim:?size=64x48", &off, "-o", output, "-d", "1s", "--status", "200ms", "-q"]);
    let lines = lines(&out);
    let last: Vec<_> = lines[lines.len() - 2..].iter().map(|line| &line["status"]).collect();
    assert_eq!((&last[0]["camera"], &last[1]["camera"]), (&"front".into(), &"off".into()), "{out}");
    for (status, files) in last.iter().zip([1, 0]) {
        let recording = &status["recording"];
        assert_eq!((&status["state"], &recording["state"]), (&"ended".into(), &"finished".into()), "{status}");
        assert_eq!(recording["files"].as_array().map(Vec::len), Some(files), "{status}");
        assert_eq!(recording["frames_written"].as_u64().is_some_and(|frames| frames > 0), files == 1, "{status}");
        assert_eq!((recording["reason"].is_null(), status["reason"].is_null()), (files == 1, files == 1), "{status}");
    }
    assert!(lines.iter().all(|line| !line["status"]["recording"].is_null()), "{out}");
    assert!(err.contains("cannot receive the stream of off"), "{err}");
    let pictures = folder.path().join("pictures");
    let pictures = pictures.to_str().expect("UTF-8");
    let (code, out, err) = run(&["snapshot", "front=sim:?size=64x48", "-o", pictures, "--status", "10s"]);
    assert_eq!(code, 0, "{err}");
    let lines = self::lines(&out);
    assert_eq!((lines.len(), &lines[0]["snapshot"]["camera"]), (2, &"front".into()), "{out}");
}

#[test]
fn a_trigger_that_cannot_match_is_named_in_the_status() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().to_str().expect("UTF-8");
    let args =
        ["record", "sim:?size=64x48", "-o", output, "--trigger", "persn>0.6", "-d", "1s", "--status", "100ms", "-q"];
    let (_, out, _) = run(&args);
    let lines = lines(&out);
    let expected = "no label is named `persn`, so the trigger cannot match; did you mean `person`?";
    let reason = |line: &Value| line["status"]["recording"]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(
        lines.iter().any(|line| line["status"]["recording"]["state"] == "waiting" && reason(line) == expected),
        "{out}"
    );
    assert!(reason(&lines[lines.len() - 1]).ends_with(expected), "{out}");
}

#[test]
fn the_error_is_that_of_the_last_state() {
    let (bound, address) = off();
    let mut child = oaktap(&["view", "--no-window", &address]).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut err = BufReader::new(child.stderr.take().expect("piped"));
    let mut until = |text: &str| {
        let mut all = String::new();
        while !all.contains(text) && err.read_line(&mut all).expect("text") > 0 {}
        all
    };
    let first = until("help: ");
    assert!(first.contains(": cannot connect: ") && !first.contains("connection lost"), "{first}");
    assert!(!first.contains("restarting"), "{first}");
    bound.listen(8).expect("it listens");
    until("connected but silent");
    signal(&child, "INT");
    let rest = until("\nhelp: ");
    assert!(rest.contains("because connected but silent: another client may hold the camera"), "{rest}");
    assert!(!rest.contains("refused"), "{rest}");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

#[test]
fn advice_about_a_header_is_about_what_is_wrong_with_it() {
    for (header, expected, help) in [
        (
            &b"IMG 5.000000 80000000 0         "[..],
            "a payload of 80000000 bytes: expected at most 67108864",
            "--max-payload, which is 67108864 bytes now, such as --max-payload 128MiB",
        ),
        (b"IMG 5.000000 0 0                ", "a payload of 0 bytes", "frames without pictures"),
        (b"IMG 5.000000 2304 0 32 24       ", "found `32 24` at byte 20", "docs/stream.md describes the headers"),
    ] {
        let address = server(header);
        let (code, _, err) = run(&["view", "--no-window", &address, "-d", "1s"]);
        assert_eq!(code, 1, "{err}");
        let advice = err.lines().last().unwrap_or_default();
        assert!(err.contains(expected) && advice.starts_with("help: ") && advice.contains(help), "{err}");
        assert!(!advice.contains("oaktap flash"), "{err}");
    }
}

#[test]
fn log_lines_have_a_time_unless_the_journal_adds_one() {
    let is_timed = |line: &str| line.len() > 25 && line.as_bytes()[10] == b'T' && line[..24].ends_with('Z');
    for journal in [false, true] {
        let mut command = oaktap(&["view", "--no-window", "a=sim:?size=64x48&fault=short:0.5", "-n", "20", "-v"]);
        command.env_remove("JOURNAL_STREAM");
        if journal {
            command.env("JOURNAL_STREAM", "8:12345");
        }
        let output = command.output().expect("it starts");
        let err = String::from_utf8(output.stderr).expect("UTF-8");
        let all: Vec<_> = err.lines().collect();
        for text in [" a: streaming", "WARN a: frame", "INFO a: connection 1: "] {
            let found = all.iter().find(|line| format!(" {line}").contains(text));
            let line = found.unwrap_or_else(|| panic!("no line has {text}: {err}"));
            assert_eq!(is_timed(line), !journal, "{line}");
        }
    }
}

#[test]
fn verbose_recording_logs_connections_formats_files_and_frames() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().to_str().expect("UTF-8");
    let log = |verbose: &str| {
        let (code, _, err) = run(&["record", "a=sim:?size=64x48", "-o", output, "-n", "5", verbose]);
        assert_eq!(code, 0, "{err}");
        err
    };
    let (some, more) = (log("-v"), log("-vv"));
    for text in
        [" a: connection 1: 127.0.0.1:", " a: IMG: ", "INFO recording to ", "INFO finished ", ": the recording ends"]
    {
        assert!(some.contains(text) && more.contains(text), "no `{text}`: {some}");
    }
    assert!(more.contains("DEBUG a: RAW frame id=4 ") && !some.contains("DEBUG"), "{more}");
}
