//! Settings of a camera: over HTTP, and in the page.

use std::io::Write as _;
use std::time::Instant;

use oaktap::sync::locked;
use serde_json::{Value, json};

use crate::chromium::Browser;
use crate::controlled_camera::controlled_camera;
use crate::server::{AGES, Response, Server};

const ADDRESS: &str = "/api/cameras/front/control";

fn set(server: &Server, body: &str, headers: &[(&str, &str)]) -> Response {
    let length = body.len().to_string();
    let all = [headers, &[("Connection", "close"), ("Content-Length", &length)]].concat();
    let mut connection = server.open("POST", ADDRESS, &all);
    connection.get_mut().write_all(body.as_bytes()).expect("it reads");
    Response::read(&mut connection)
}

fn parsed(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{}", response.text()))
}

/// The settings of the camera, once its application has said that it takes them.
fn settings(server: &Server) -> Value {
    let started = Instant::now();
    loop {
        let found = parsed(&server.get(ADDRESS));
        if found["settings"].as_array().is_some_and(|list| !list.is_empty()) {
            return found;
        }
        assert!(started.elapsed() < AGES, "{found}");
    }
}

#[test]
fn a_program_sets_a_camera_and_gets_its_answers() {
    let (address, received) = controlled_camera("records=on&fps=10&boxes=1&size=64x48");
    let server = Server::start(&[&format!("front={address}"), "other=sim:?size=64x48&fps=5"]);
    let known = settings(&server);
    assert_eq!(known["settings"][0], json!({ "key": "lens", "min": 0, "max": 255, "unit": "", "auto": false }));
    assert_eq!(known["answers"], json!([]));

    // The camera closes the connection of the first one.
    let lost = set(&server, r#"{"orders":["lens=100"]}"#, &[]);
    assert!(lost.status == 502 && lost.text().contains(&format!("oaktap doctor front={address}`")), "{}", lost.text());
    let answered = set(&server, r#"{"orders":["lens=120","wb=auto","iso=400"]}"#, &[]);
    let answers = json!([
        { "order": "lens=120", "said": "lens=120", "done": true },
        { "order": "wb=auto", "said": "wb=auto", "done": true },
        { "order": "iso=400", "said": "no: this lens has no gain", "done": false },
    ]);
    assert_eq!((answered.status, &parsed(&answered)["answers"]), (200, &answers));
    assert_eq!(*locked(&received), ["@K lens=120", "@K wb=auto", "@K iso=400"]);
    assert_eq!(settings(&server)["answers"].as_array().map(Vec::len), Some(3));

    for (body, expected) in [
        (r#"{"orders":["lens=256"]}"#, "invalid value `256` for `lens`: expected 0 to 255\n"),
        (r#"{"orders":["fps=5"]}"#, "unknown setting `fps=5`; expected lens=0 to 255; focus=auto"),
        (r#"{"orders":[]}"#, "found 0 orders; expected 1 to 5\n"),
        (r#"{"orders":"lens=1"}"#, "expected {\"orders\":[\"lens=120\"]}: "),
        ("", "expected {\"orders\":[\"lens=120\"]}: "),
    ] {
        let refused = set(&server, body, &[]);
        assert!(refused.status == 400 && refused.text().starts_with(expected), "{body}: {}", refused.text());
    }
    assert_eq!(set(&server, r#"{"orders":["lens=1"]}"#, &[("Origin", "http://evil.example")]).status, 403);
    assert_eq!(locked(&received).len(), 3, "nothing else was sent");
    let without = parsed(&server.get("/api/cameras/other/control"));
    assert_eq!(without, json!({ "settings": [], "answers": [] }));
    assert_eq!(server.get("/api/cameras/none/control").status, 404);
}

#[test]
fn a_camera_is_set_in_the_page_and_its_answers_are_shown() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let (address, received) = controlled_camera("records=on&fps=10&boxes=1&size=320x176");
    let server = Server::start(&[&format!("front={address}")]);
    settings(&server);
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    browser.wait_for("return document.querySelector('.adjust')?.checkVisibility()");
    browser.press("d");
    browser.wait_for("return document.querySelectorAll('.setting').length === 5");
    let answer = |key: &str, expected: &str| {
        browser.wait_for(&format!("return document.getElementById('setting-{key}-answer').innerText === '{expected}'"));
    };
    answer("lens", "not set from here");
    browser.screenshot("settings-unset");
    assert_eq!(browser.run("return document.activeElement.id"), "setting-lens");
    // The camera does not answer the first one.
    browser.press("\u{e014}");
    answer("lens", "not set");
    browser.wait_for("return document.querySelector('#settings [role=alert]').innerText.includes('oaktap doctor')");
    browser.press("\u{e011}");
    answer("lens", "the camera confirmed lens=0");
    browser.press("\u{e010}");
    answer("lens", "the camera confirmed lens=255");
    browser.run("document.getElementById('setting-iso').focus()");
    browser.press("\u{e010}");
    answer("iso", "the camera refused iso=1600: this lens has no gain");
    browser.run("document.querySelector('#setting-exposure ~ button').focus()");
    browser.press("\u{e007}");
    answer("exposure", "the camera confirmed exposure=auto");
    assert_eq!(browser.run("return document.querySelector('#setting-exposure ~ button').ariaPressed"), "true");
    let sent = locked(&received).clone();
    for order in ["@K lens=0", "@K lens=255", "@K iso=1600", "@K exposure=auto"] {
        assert!(sent.iter().any(|record| record == order), "{order} in {sent:?}");
    }
    // Another client sets it.
    assert_eq!(set(&server, r#"{"orders":["wb=4500"]}"#, &[]).status, 200);
    answer("wb", "the camera confirmed wb=4500");
    crate::browser::assert_layouts(&browser, "settings");
    browser.press("\u{e00c}");
    browser.wait_for("return !document.getElementById('settings').open");
    // A failed request of a page is logged by the browser as an error.
}
