//! The server beside a recorder and beside a window.

use std::time::Instant;

use serde_json::Value;

use crate::chromium::Browser;
use crate::program::run;
use crate::server::{AGES, Camera, Response, Server};

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a number: {value}"))
}

/// The sums of one kind of viewer, which must balance.
fn viewers<'a>(line: &'a Value, kind: &str) -> &'a Value {
    let list = line["viewers"][0]["viewers"].as_array().unwrap_or_else(|| panic!("no viewers: {line}"));
    let found = list.iter().find(|viewer| viewer["kind"] == kind).unwrap_or_else(|| panic!("{kind}: {line}"));
    let [offered, sent, superseded, pending] =
        ["offered", "sent", "superseded", "pending"].map(|name| number(&found[name]));
    assert_eq!(offered, sent + superseded + pending, "{found}");
    found
}

#[test]
fn a_recording_loses_nothing_because_of_viewers_that_never_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let camera = "front=sim:?size=640x352&fps=30&boxes=2";
    // Memory for 30 frames: viewers that kept some would cost the recording frames.
    let server = Server::run(&["record", "--json", "-o", path, camera, "--buffer", "20MB", "--serve", "127.0.0.1:0"]);
    let stuck: Vec<_> = (0..8)
        .map(|_| {
            let mut connection = server.open("GET", "/stream/front.mjpg", &[]);
            Response::head(&mut connection);
            connection
        })
        .collect();
    assert_eq!(crate::http::mjpeg(&server, "/stream/front.mjpg", 120).len(), 120);
    drop(stuck);
    let (code, lines, err) = server.stop();
    // On a busy machine the simulated camera leaves out frames.
    assert!([0, 3].contains(&code), "{err}");
    let [served, summary] = &lines[..] else { panic!("{lines:?}") };
    let summary = &summary["summary"];
    let mjpeg = viewers(served, "mjpeg");
    assert!(number(&mjpeg["viewers_total"]) == 9 && number(&mjpeg["superseded"]) > 0, "{served}");
    let camera = &summary["cameras"][0];
    assert_eq!(camera["balances"], true, "{camera}");
    let recorded = &summary["recordings"][0]["cameras"][0];
    assert!(number(&recorded["recorded"]) >= 120, "{recorded}");
    assert_eq!(recorded["recorded"], camera["frames"]["confirmed"], "{summary}");
    assert!(recorded["dropped"] == 0 && recorded["lost"] == 0 && camera["frames"]["no_memory"] == 0, "{summary}");
}

#[test]
fn clients_see_that_the_program_records_and_cannot_stop_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let cameras = ["front=sim:?size=64x48&fps=30", "back=sim:?size=64x48&fps=30"];
    let arguments = ["record", "--json", "-o", path, "--trigger", "dog>0.9999", cameras[0], cameras[1]];
    let idle = Server::run(&[&arguments[..], &["--serve", "127.0.0.1:0"]].concat());
    let recorded = |server: &Server, camera: usize, expected: fn(&Value) -> bool| {
        let late = Instant::now() + AGES;
        loop {
            let recording = server.cameras()[camera]["recording"].clone();
            if expected(&recording) {
                return;
            }
            assert!(Instant::now() < late, "{recording}");
        }
    };
    recorded(&idle, 0, |recording| recording["state"] == "waiting" && recording["reason"] == "waiting for a trigger");
    drop(idle);
    let server = Server::run(&["record", "--json", "-o", path, cameras[0], cameras[1], "--serve", "127.0.0.1:0"]);
    for camera in [0, 1] {
        recorded(&server, camera, |recording| {
            recording["state"] == "recording" && number(&recording["frames_written"]) > 3
        });
    }
    let address = "/api/cameras/back/recording";
    for method in ["POST", "DELETE"] {
        assert_eq!(server.ask(method, address, &[]).status, 409);
    }
    if let Some(browser) = Browser::start(800, 600) {
        browser.open(&format!("http://127.0.0.1:{}/", server.port));
        let shown = "const about = [...document.querySelectorAll('[data-camera] .recording')];
             return about.length == 2 && about.every(one => one.checkVisibility() && /^REC \\d+:\\d\\d$/.test(one.textContent))
                 && [...document.querySelectorAll('[data-camera] .record')].every(one => !one.checkVisibility())";
        browser.wait_for(shown);
        browser.press("r");
        browser.wait_for("return document.body.innerText.includes('the program that serves this page records')");
        browser.screenshot("beside-recorder");
        browser.assert_no_errors();
    }
    let (code, lines, err) = server.stop();
    assert!([0, 3].contains(&code), "{err}");
    let recordings = lines[1]["summary"]["recordings"].as_array().expect("a list");
    assert!(recordings.iter().all(|recording| number(&recording["cameras"][0]["recorded"]) > 3), "{recordings:?}");
}

#[test]
fn a_camera_of_one_client_is_shown_and_served() {
    let camera = Camera::start(&["--size", "64x48", "--fps", "30"]);
    let address = format!("front={}", camera.address);
    let server = Server::run(&["view", "--no-window", "--json", &address, "--serve", "127.0.0.1:0"]);
    let picture = server.get("/snapshot/front.jpg");
    assert_eq!(picture.status, 200, "{}", picture.text());
    let (code, lines, err) = server.stop();
    assert!([0, 3].contains(&code), "{err}");
    let [served, summary] = &lines[..] else { panic!("{lines:?}") };
    let summary = &summary["summary"];
    assert_eq!(viewers(served, "snapshot")["sent"], 1, "{served}");
    assert!(number(&summary["cameras"][0]["frames"]["received"]) > 0 && summary["command"] == "view", "{summary}");
}

#[test]
fn options_of_the_server_need_it() {
    for (command, option, value) in [
        (&["view", "--no-window"][..], "--token", "secret"),
        (&["record", "-o", "unused"], "--host-name", "cameras.lan"),
    ] {
        let (code, out, err) = run(&[command, &["sim:", option, value]].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(&format!("`{option}` requires `--serve`")), "{err}");
    }
    let (code, _, err) = run(&["view", "--no-window", "sim:", "--serve", "0.0.0.0:0"]);
    assert!(code == 2 && err.contains("other computers can reach 0.0.0.0:0: expected --token FILE"), "{code} {err}");
    let folder = tempfile::tempdir().expect("a folder");
    let (code, _, err) = run(&["view", "--no-window", folder.path().to_str().expect("UTF-8"), "--serve"]);
    assert!(code == 2 && err.contains("help: `oaktap serve DIR` serves its recordings"), "{code} {err}");
}
