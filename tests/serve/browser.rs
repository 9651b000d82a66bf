//! The page in Chromium, driven through chromedriver.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Instant;

use base64::Engine as _;
use oaktap::sim::{SimConfig, Stream, Truth};
use serde_json::{Value, json};

use crate::external_tools;
use crate::program::oaktap;
use crate::server::{AGES, Response, Server};

/// A browser with one page. Both processes are ended on drop.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts it with a window of this size. `None` without Chromium; panics in CI.
    fn start(width: u32, height: u32) -> Option<Self> {
        let mut driver = external_tools::system("chromedriver")?;
        let mut driver =
            driver.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        let port = lines.find_map(|line| {
            let line = line.expect("text");
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let profile = tempfile::tempdir().expect("a folder");
        let mut browser = Self { driver, port: port.expect("a port"), session: String::new(), _profile: profile };
        let folder = format!("--user-data-dir={}", browser._profile.path().display());
        let size = format!("--window-size={width},{height}");
        let arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", &size, &folder];
        let options = json!({ "goog:chromeOptions": { "args": arguments } });
        let opened = browser.request("POST", "/session", &json!({ "capabilities": { "alwaysMatch": options } }));
        browser.session = opened["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {opened}")).to_owned();
        Some(browser)
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver listens");
        stream.set_read_timeout(Some(AGES)).expect("a time");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).expect("it reads");
        let response = Response::read(&mut BufReader::new(stream));
        let value: Value = serde_json::from_slice(&response.body).expect("JSON");
        assert_eq!(response.status, 200, "{method} {path}: {value}");
        value["value"].clone()
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.request(method, &format!("/session/{}{path}", self.session), body)
    }

    fn open(&self, address: &str) {
        self.command("POST", "/url", &json!({ "url": address }));
    }

    /// Runs the body of a function in the page and returns its result.
    fn run(&self, script: &str) -> Value {
        self.command("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Repeats a script until its result is not null or false.
    fn wait_for(&self, script: &str) -> Value {
        let started = Instant::now();
        loop {
            let value = self.run(script);
            if !value.is_null() && value != false {
                return value;
            }
            assert!(started.elapsed() < AGES, "{script}: {}", self.run("return document.body.innerText"));
        }
    }

    /// Emulates the preference of the system.
    fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let body = json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.command("POST", "/goog/cdp/execute", &body);
    }

    /// Keeps a picture of the page where `OAKTAP_SCREENSHOTS` says, for people.
    fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("OAKTAP_SCREENSHOTS") else { return };
        let picture = self.command("GET", "/screenshot", &Value::Null);
        let picture = base64::engine::general_purpose::STANDARD.decode(picture.as_str().expect("text"));
        let path = std::path::Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(path, picture.expect("base64")).expect("a file");
    }

    /// Fails if the page reported an error.
    fn assert_no_errors(&self) {
        let log = self.command("POST", "/se/log", &json!({ "type": "browser" }));
        let errors: Vec<_> = log.as_array().expect("a list").iter().filter(|line| line["level"] == "SEVERE").collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.command("DELETE", "", &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The picture on the canvas, the boxes over it, and the frame that both belong to according to the page.
const ON_THE_CANVAS: &str = "
    const read = canvas => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let text = '';
        for (let at = 0; at < data.length; at += 4) text += String.fromCharCode(data[at], data[at + 1], data[at + 2]);
        return { width: canvas.width, height: canvas.height, pixels: btoa(text) };
    };
    const frame = document.querySelector('canvas.frame');
    if (!frame?.dataset.frame) return null;
    return { frame: Number(frame.dataset.frame), detections: frame.dataset.detections,
             picture: read(frame), boxes: read(document.querySelector('canvas.boxes')) };";

/// Red, green and blue of each pixel on the canvas.
fn pixels(seen: &Value) -> Vec<u8> {
    let text = seen["pixels"].as_str().expect("text");
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

/// Mean difference between pixels and planes of blue, green and red.
fn difference(rgb: &[u8], planes: &[u8]) -> f64 {
    let third = planes.len() / 3;
    let each = (0..third).flat_map(|at| [planes[2 * third + at], planes[third + at], planes[at]]);
    let sum: u64 = each.zip(rgb).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / planes.len() as f64
}

/// Colors of the classes in boxes.js.
const COLORS: [[u8; 3]; 8] = [
    [0xff, 0x5a, 0x4f],
    [0x37, 0xb6, 0xff],
    [0xff, 0xb4, 0x2e],
    [0x4f, 0xd6, 0x7a],
    [0xc9, 0x8b, 0xff],
    [0xff, 0x7a, 0xc0],
    [0x2f, 0xd5, 0xc8],
    [0xd3, 0xdc, 0x4a],
];

/// Edges of a detection in JSON.
fn edges(detection: &Value) -> [f32; 4] {
    [0, 1, 2, 3].map(|at| detection["bbox"][at].as_f64().expect("a number") as f32)
}

fn boxes(truth: &Truth) -> Vec<[f32; 4]> {
    truth.detections.iter().map(|one| [one.bbox.xmin, one.bbox.ymin, one.bbox.xmax, one.bbox.ymax]).collect()
}

#[test]
fn the_page_draws_the_boxes_of_exactly_the_frame_that_it_shows() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let config = "size=320x176&fps=20&boxes=2&seed=3";
    let server = Server::start(&[&format!("front=sim:?{config}")]);
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    let mut stream = Stream::new(&config.parse::<SimConfig>().expect(config)).expect(config);
    let mut truths = Vec::new();
    let mut last = None;
    for _ in 0..5 {
        let seen = browser.wait_for(ON_THE_CANVAS);
        let id = seen["frame"].as_u64();
        assert_ne!(last.replace(id), Some(id), "the picture stands still");
        let detections: Value = serde_json::from_str(seen["detections"].as_str().expect("text")).expect("JSON");
        let shown: Vec<[f32; 4]> = detections.as_array().expect("a list").iter().map(edges).collect();
        // Not by its number: on a busy machine the simulated camera leaves out frames.
        let found = (0..4000).find(|frame| {
            while truths.len() < frame + 2 {
                truths.push(stream.turn().truth);
            }
            boxes(&truths[*frame]) == shown
        });
        let frame = found.unwrap_or_else(|| panic!("no frame of the camera has these boxes: {detections}"));
        let rgb = pixels(&seen["picture"]);
        let right = difference(&rgb, &truths[frame].payload);
        assert!(right < 6.0, "frame {frame} has the boxes, but differs by {right}");
        for other in [frame.saturating_sub(1), frame + 1].into_iter().filter(|other| *other != frame) {
            let wrong = difference(&rgb, &truths[other].payload);
            assert!(right < wrong, "frame {frame}: {right}; frame {other}: {wrong}");
        }
    }

    // The middle of the left and of the lower edge of the box that is drawn last.
    let seen = browser.wait_for(ON_THE_CANVAS);
    let (drawn, over) = (pixels(&seen["boxes"]), &seen["boxes"]);
    let size = |name: &str| over[name].as_u64().expect("a number") as usize;
    let (width, height) = (size("width"), size("height"));
    let detections: Value = serde_json::from_str(seen["detections"].as_str().expect("text")).expect("JSON");
    let last = detections.as_array().and_then(|list| list.last()).expect("a box");
    let color = COLORS[last["label"].as_u64().expect("a number") as usize % COLORS.len()];
    let [left, top, right, bottom] = edges(last);
    let at = |x: f32, y: f32| {
        let (x, y) = ((x * width as f32) as usize, (y * height as f32) as usize);
        let at = (y.min(height - 1) * width + x.min(width - 1)) * 3;
        [drawn[at], drawn[at + 1], drawn[at + 2]]
    };
    for (x, y) in [(left, (top + bottom) / 2.0), ((left + right) / 2.0, bottom)] {
        let found = at(x, y);
        let is_near = found.iter().zip(color).all(|(a, b)| a.abs_diff(b) < 40);
        assert!(is_near, "{found:?} instead of {color:?} at {x}, {y} in {detections}");
    }
    assert_eq!(at((left + right) / 2.0, (top + bottom) / 2.0), [0; 3], "nothing is drawn inside of a box");
    browser.assert_no_errors();
}

#[test]
fn the_page_shows_a_lost_camera_and_its_return() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let port = external_tools::free_port();
    let address = format!("127.0.0.1:{port}");
    let simulate = || {
        let arguments = ["simulate", "--listen", &address, "--size", "320x176", "--fps", "30", "-q"];
        oaktap(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    };
    let mut camera = simulate();
    let server = Server::start(&[&format!("front=127.0.0.1:{port}"), "back=sim:?size=64x48"]);
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    let state =
        |state: &str| format!("return document.querySelector('[data-camera=front]')?.dataset.state === '{state}'");
    browser.wait_for(&state("streaming"));
    browser.wait_for(ON_THE_CANVAS);
    camera.kill().and_then(|()| camera.wait()).expect("it ends");
    let killed = Instant::now();
    browser.wait_for(&state("lost"));
    println!("shown as lost after {} ms", killed.elapsed().as_millis());
    let notice = browser.run("return document.querySelector('[data-camera=front] .notice').innerText");
    assert!(notice.as_str().is_some_and(|text| !text.is_empty()), "{notice}");
    assert_eq!(browser.run("return document.getElementById('summary').innerText"), "1 of 2 cameras streaming");
    browser.screenshot("lost");
    let mut camera = simulate();
    browser.wait_for(&state("streaming"));
    browser.wait_for("return document.querySelector('[data-camera=front] .notice').innerText === ''");
    camera.kill().and_then(|()| camera.wait()).expect("it ends");
    browser.assert_no_errors();
}

#[test]
fn the_page_asks_for_the_token_and_fits_a_phone() {
    let Some(browser) = Browser::start(500, 844) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "correct-horse-battery\n").expect("a file");
    let token = path.to_str().expect("UTF-8");
    let cameras = ["a-long-name-of-a-camera-that-hangs-over-the-door=sim:?size=640x352&boxes=4", "back=sim:?fps=10"];
    let server = Server::start(&[cameras[0], cameras[1], "--token", token]);
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    browser.wait_for("return !document.getElementById('sign-in').hidden");
    browser.screenshot("token");
    let enter = |token: &str| {
        browser.run(&format!(
            "document.getElementById('token').value = '{token}'; document.querySelector('#sign-in button').click()"
        ));
    };
    enter("not-the-right-token");
    assert_eq!(
        browser.wait_for("return document.getElementById('refused').innerText || null"),
        "this is not the token"
    );
    enter("correct-horse-battery");
    browser.wait_for(ON_THE_CANVAS);
    let size = json!({ "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true });
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        let body = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
        browser.command("POST", "/goog/cdp/execute", &body);
        let wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]");
        assert_eq!(wide[0], wide[1], "the page is wider than the phone");
        browser.wait_for("return document.querySelectorAll('.state.streaming').length === 2");
        browser.screenshot(&format!("phone-{scheme}"));
    }
    browser.run("document.getElementById('leave').click()");
    browser.wait_for("return !document.getElementById('sign-in')?.hidden");
}

#[test]
fn a_tile_is_enlarged_by_the_keyboard_and_a_hidden_page_costs_nothing() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let cameras =
        ["door=sim:?boxes=3", "yard=sim:?seed=2", "gate=sim:?format=jpeg&seed=4", "roof=sim:?format=h264&fps=15"];
    let server = Server::start(&cameras);
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    let drawn = "return [...document.querySelectorAll('canvas.frame')].filter(one => one.dataset.frame).length === 4";
    browser.wait_for(drawn);
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        browser.screenshot(&format!("desk-{scheme}"));
    }
    browser.run("document.querySelector('[data-camera=yard] .picture').focus()");
    let press = |key: &str| {
        let action = |kind: &str| json!({ "type": kind, "value": key });
        let keys = json!([{ "type": "key", "id": "keys", "actions": [action("keyDown"), action("keyUp")] }]);
        browser.command("POST", "/actions", &json!({ "actions": keys }));
    };
    let visible =
        "return [...document.querySelectorAll('.tile')].filter(one => one.offsetParent).map(one => one.dataset.camera)";
    press("\u{e007}");
    assert_eq!(browser.run(visible), json!(["yard"]));
    browser.screenshot("enlarged");
    // Only what is shown is sent.
    let watched = |server: &Server| -> Vec<bool> {
        let cameras = server.cameras();
        let has_viewers = |camera: &Value| camera["viewers"].as_array().is_some_and(|list| !list.is_empty());
        cameras.as_array().expect("a list").iter().map(has_viewers).collect()
    };
    let started = Instant::now();
    while watched(&server) != [false, true, false, false] {
        assert!(started.elapsed() < AGES, "{:?}", watched(&server));
    }
    press("\u{e00c}");
    assert_eq!(browser.run(visible).as_array().map(Vec::len), Some(4));
    press("b");
    assert_eq!(browser.run("return document.getElementById('boxes').ariaPressed"), "false");
    browser.open("about:blank");
    while watched(&server).contains(&true) {
        assert!(started.elapsed() < AGES);
    }
    let (code, _, err) = server.stop();
    // On a busy machine the simulated cameras leave out frames.
    assert!([0, 3].contains(&code), "{err}");
}
