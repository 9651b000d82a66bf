//! The service of systemd: its unit, readiness, watchdog, reload and end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{Running, oaktap, run, signal};
use crate::server::AGES;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Notes of the program to systemd.
struct Notes(UnixDatagram);

impl Notes {
    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).expect("a note within a minute");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// The next note that is not for the watchdog.
    fn next_besides_watchdog(&self) -> String {
        loop {
            let note = self.next();
            if note != "WATCHDOG=1" {
                return note;
            }
        }
    }
}

#[test]
fn a_service_says_that_it_is_ready_alive_reloading_and_stopping() {
    let folder = tempfile::tempdir().expect("a folder");
    let [config, socket, recordings] = ["oaktap.toml", "notify", "recordings"].map(|name| folder.path().join(name));
    let write = |cameras: &str| std::fs::write(&config, format!("[cameras]\n{cameras}")).expect("a file");
    write("front = \"sim:?size=64x48\"\n");
    let notes = Notes(UnixDatagram::bind(&socket).expect("a socket"));
    notes.0.set_read_timeout(Some(AGES)).expect("a time");
    let options = ["--http", "127.0.0.1:0", "--recordings", text(&recordings)];
    let mut command = oaktap(&[&["serve", "--config", text(&config)], &options[..]].concat());
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "200000");
    let mut child = Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts"));
    let mut errors = BufReader::new(child.0.stderr.take().expect("a pipe"));
    let mut lines = String::new();
    // Waits for further lines with these words, in any order. Returns the line with the first ones.
    let mut wait_for = |words: &[&str]| {
        let before = lines.len();
        loop {
            assert!(errors.read_line(&mut lines).expect("text") > 0, "it ended before {words:?}: {lines}");
            let found = |words: &&str| lines[before..].lines().find(|line| line.contains(*words)).map(str::to_owned);
            let found: Vec<String> = words.iter().filter_map(found).collect();
            if found.len() == words.len() {
                return found[0].clone();
            }
        }
    };
    let address = wait_for(&["serving 1 camera at http://"]);
    assert_eq!(notes.next(), "READY=1\nSTATUS=1 camera");
    assert_eq!([notes.next(), notes.next()], ["WATCHDOG=1"; 2]);

    // The same cameras.
    signal(&child.0, "HUP");
    let reloading = notes.next_besides_watchdog();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(notes.next_besides_watchdog(), "READY=1\nSTATUS=1 camera");
    wait_for(&["reloaded: the same cameras"]);

    write("front = 1\n");
    signal(&child.0, "HUP");
    wait_for(&["error: cannot reload, so nothing changes: "]);

    // A client records a camera that does not change.
    let recorded = ask(&address, "POST", "/api/cameras/front/recording");
    assert!(recorded.starts_with("HTTP/1.1 200"), "{recorded}");
    write("back = \"sim:?size=32x32\"\nfront = \"sim:?size=64x48\"\n");
    signal(&child.0, "HUP");
    wait_for(&["reloaded: serving again"]);
    let address = wait_for(&["serving 2 cameras at http://127.0.0.1:", "back: streaming"]);
    while notes.next_besides_watchdog() != "READY=1\nSTATUS=2 cameras" {}
    let cameras = ask(&address, "GET", "/api/cameras");
    let cameras: Value = serde_json::from_str(cameras.rsplit_once("\r\n\r\n").expect("a body").1).expect("JSON");
    let [back, front] = &cameras.as_array().expect("a list")[..] else { panic!("{cameras}") };
    assert_eq!(
        (&back["name"], &front["name"], &front["counts"]["connections"]),
        (&"back".into(), &"front".into(), &1.into())
    );
    assert!(back["recording"].is_null() && front["recording"]["state"] == "recording", "{cameras}");

    write("back = \"sim:?size=32x32\"\n");
    signal(&child.0, "HUP");
    wait_for(&["front: removed"]);
    wait_for(&["serving 1 camera at http://127.0.0.1:"]);
    while notes.next_besides_watchdog() != "READY=1\nSTATUS=1 camera" {}

    signal(&child.0, "TERM");
    while notes.next_besides_watchdog() != "STOPPING=1" {}
    let code = child.0.wait().expect("it ends").code();
    let mut rest = String::new();
    errors.read_to_string(&mut rest).expect("text");
    // On a busy machine the simulated camera leaves out frames.
    assert!([Some(0), Some(3)].contains(&code), "{rest}");
    for camera in ["front", "back"] {
        assert_eq!(lines.matches(&format!("{camera}: connecting")).count(), 1, "{lines}");
    }
    // One recording, which has all frames.
    assert!(rest.lines().any(|line| line.starts_with("front: ") && line.contains(".mcap")), "{rest}");
    let files = std::fs::read_dir(recordings.join("front")).expect("a folder");
    let paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    let [file] = &paths[..] else { panic!("{paths:?}") };
    let (code, _, err) = run(&["verify", text(file)]);
    assert_eq!(code, 0, "{err}");
}

/// Asks the server of this line, and returns its answer.
pub(crate) fn ask(line: &str, method: &str, path: &str) -> String {
    let host = line.rsplit_once("http://").expect("an address").1.trim().trim_end_matches('/');
    let mut client = TcpStream::connect(host).expect("it listens");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn lines_of_the_journal_have_levels() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let journal = std::fs::File::create(folder.path().join("journal")).expect("a file");
    let about = journal.metadata().expect("it exists");
    let lines = |stream: String| {
        journal.set_len(0).expect("a file");
        let mut command = oaktap(&["serve", "--config", "/missing/oaktap.toml"]);
        command.env("JOURNAL_STREAM", stream).stderr(journal.try_clone().expect("a file"));
        assert!(!command.status().expect("it starts").success());
        std::fs::read_to_string(folder.path().join("journal")).expect("text").trim_start_matches('\0').to_owned()
    };
    let inside = lines(format!("{}:{}", about.dev(), about.ino()));
    assert!(inside.starts_with("<3>error: "), "{inside}");
    assert!(inside.lines().all(|line| line.starts_with("<3>") || line.starts_with("<6>")), "{inside}");
    // The variable is inherited by programs whose standard error is another file.
    let outside = lines("8:12345".to_owned());
    assert!(outside.starts_with("error: "), "{outside}");
}

#[test]
fn a_unit_is_written_replaced_and_removed_and_no_other_file_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let [config, token, unit] = ["oaktap.toml", "token", "oaktap-test.service"].map(|name| folder.path().join(name));
    std::fs::write(&config, "[cameras]\nfront = \"192.168.1.50\"\n").expect("a file");
    std::fs::write(&token, "correct-horse-battery").expect("a file");
    let install = |more: &[&str]| {
        let all = ["service", "install", "--config", text(&config), "--unit", text(&unit)];
        run(&[&all[..], more].concat())
    };
    let exposed = ["--http", "0.0.0.0:8080", "--token", text(&token)];
    let (code, printed, err) = install(&[&exposed[..], &["--dry-run"]].concat());
    assert!(code == 0 && !unit.exists(), "{err}");
    let credential = format!("LoadCredential=token:{}\n", text(&token));
    assert!(printed.contains(&credential) && printed.contains(" --token %d/token\n"), "{printed}");
    let (code, _, err) = install(&exposed);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("systemctl daemon-reload && systemctl enable --now oaktap-test.service"), "{err}");
    assert_eq!(std::fs::read_to_string(&unit).expect("a file"), printed);
    let analyzed = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).arg(&unit).output().ok()?;
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Some((output.status.success(), text))
    };
    match analyzed(&["security", "--offline=true", "--no-pager", "--threshold=30"]) {
        // The threshold is ten times the exposure.
        Some((below, text)) => assert!(below && text.contains("Overall exposure level"), "{text}"),
        None => println!("skipped: systemd-analyze not found"),
    }
    if let Some((valid, text)) = analyzed(&["verify", "--recursive-errors=no"]) {
        assert!(valid && !text.contains("oaktap-test.service:"), "{text}");
    }
    let (code, _, err) = install(&[]);
    assert!(code == 0 && err.contains("replaced "), "{err}");
    assert!(!std::fs::read_to_string(&unit).expect("a file").contains("token"));

    let remove = || run(&["service", "remove", "--unit", text(&unit)]);
    assert_eq!(remove().0, 0);
    assert!(!unit.exists());
    let (code, _, err) = remove();
    assert!(code == 1 && err.contains("does not exist, so there is nothing to remove"), "{err}");
    std::fs::write(&unit, "[Unit]\n").expect("a file");
    for (code, _, err) in [install(&[]), remove()] {
        assert!(code == 1 && err.contains("was not written by `oaktap service install`"), "{err}");
    }
    assert_eq!(std::fs::read_to_string(&unit).expect("a file"), "[Unit]\n");
    let (code, _, err) = install(&["--http", "0.0.0.0:8080"]);
    assert!(code == 2 && err.contains("expected --token FILE"), "{err}");
}
