//! Recordings that clients start, list and download.

use std::time::Instant;

use oaktap::recording::{Reader, RecordingEntry};
use serde_json::Value;

use crate::server::{AGES, Server};

fn list(server: &Server) -> Value {
    serde_json::from_slice(&server.get("/api/recordings").body).expect("JSON")
}

#[test]
fn a_client_records_a_camera_and_downloads_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret.txt"), "secret").expect("a file");
    let recordings = folder.path().join("recordings");
    let server = Server::start(&["front=sim:?size=64x48&fps=50", "--recordings", recordings.to_str().expect("UTF-8")]);
    assert_eq!(list(&server), serde_json::json!({ "on": true, "recordings": [] }));
    let address = "/api/cameras/front/recording";
    let started = server.ask("POST", address, &[]);
    assert_eq!(started.status, 200, "{}", started.text());
    let written = |at_least: u64| {
        let begun = Instant::now();
        loop {
            let recording = server.cameras()[0]["recording"].clone();
            if recording["frames_written"].as_u64().is_some_and(|frames| frames >= at_least) {
                return recording;
            }
            assert!(begun.elapsed() < AGES, "{recording}");
        }
    };
    let before = written(3);
    assert!(before["state"] == "recording" && before["seconds"].is_u64(), "{before}");
    let again = server.ask("POST", address, &[]);
    let again: Value = serde_json::from_slice(&again.body).expect("JSON");
    assert!(again["frames_written"].as_u64() >= Some(3), "the same recording: {again}");
    let unfinished = list(&server);
    let name = unfinished["recordings"][0]["name"].as_str().expect("a name").to_owned();
    assert!(name.starts_with("front/") && name.ends_with(".mcap.partial"), "{unfinished}");
    assert_eq!(server.get(&format!("/recordings/{name}")).status, 404, "it is not finished");
    assert_eq!(server.ask("DELETE", address, &[]).status, 204);
    assert_eq!(server.ask("DELETE", address, &[]).status, 204, "nothing to stop");
    assert!(server.cameras()[0]["recording"].is_null());
    let begun = Instant::now();
    while list(&server)["recordings"][0]["finished"] != true {
        assert!(begun.elapsed() < AGES, "{}", list(&server));
    }
    let found = list(&server);
    assert_eq!(found["recordings"].as_array().map(Vec::len), Some(1), "{found}");
    let name = found["recordings"][0]["name"].as_str().expect("a name").to_owned();
    let file = server.get(&format!("/recordings/{name}"));
    assert_eq!(file.status, 200, "{name}");
    let saved = format!("attachment; filename=\"{}\"", name.replace('/', "_"));
    assert_eq!(file.header("content-disposition"), Some(&*saved));
    assert_eq!(file.body, std::fs::read(recordings.join(&name)).expect("the file"));
    let copy = folder.path().join("copy.mcap");
    std::fs::write(&copy, &file.body).expect("a file");
    let mut reader = Reader::open(&copy).expect("a recording");
    let mut frames = 0;
    while let Some(entry) = reader.next_entry().expect("an intact recording") {
        frames += u32::from(matches!(entry, RecordingEntry::Frame(_)));
    }
    assert!(frames >= 3, "{frames} frames");

    for path in ["/recordings/../secret.txt", "/recordings/..%2fsecret.txt", "/recordings/front/..%2f..%2fsecret.txt"] {
        let response = server.get(path);
        assert!(response.status == 404 && !response.text().contains("secret"), "{path}: {}", response.text());
    }
    let absolute = format!("/recordings/{}", recordings.join(&name).to_str().expect("UTF-8"));
    assert_eq!(server.get(&absolute).status, 404, "the path of the file is not its name");
    let foreign = server.ask("POST", address, &[("Origin", "http://evil.example")]);
    assert_eq!(foreign.status, 403);
    assert_eq!(server.ask("POST", "/api/cameras/back/recording", &[]).status, 404);
    // Recorded until the end of the program.
    assert_eq!(server.ask("POST", address, &[]).status, 200);
    written(1);
    let (_, lines, err) = server.stop();
    let summary = lines.iter().find_map(|line| line.get("summary")).unwrap_or_else(|| panic!("{lines:?} {err}"));
    assert_eq!(summary["recordings"].as_array().map(Vec::len), Some(2), "{summary}");
    let files = std::fs::read_dir(recordings.join("front")).expect("a folder");
    assert!(files.map(|file| file.expect("one").path()).all(|path| path.extension().is_some_and(|end| end == "mcap")));
}

#[test]
fn without_a_folder_nothing_is_recorded() {
    let server = Server::start(&["front=sim:?size=64x48&fps=50"]);
    let refused = server.ask("POST", "/api/cameras/front/recording", &[]);
    let text = "clients cannot record here; `oaktap serve --recordings FOLDER` lets them\n";
    assert_eq!((refused.status, refused.text().as_str()), (409, text));
    assert_eq!(list(&server), serde_json::json!({ "on": false, "recordings": [] }));
    assert_eq!(server.get("/recordings/front/x.mcap").status, 404);
}
