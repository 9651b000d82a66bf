//! Recordings that the page plays: over its socket, and in Chromium.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use oaktap::frame::Frame;
use oaktap::recording::Compression;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::browser::{difference, pixels};
use crate::chromium::Browser;
use crate::recorded::{camera, frames, write};
use crate::server::{AGES, Server};
use crate::viewers::{say, socket};

/// Writes a recording of one camera, and returns its frames.
fn record(path: &Path, config: &str, count: usize) -> Vec<Arc<Frame>> {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let frames = frames(config, count);
    write(path, Compression::None, &[(camera("front"), frames.clone())]);
    frames
}

fn serving(folder: &Path) -> Server {
    Server::start(&["live=sim:?size=64x48&fps=5", "--recordings", folder.to_str().expect("UTF-8")])
}

/// The page without a browser: acknowledges each picture.
struct Page(WebSocket<TcpStream>);

impl Page {
    fn play(server: &Server, recording: &str) -> Self {
        let mut page = Self(socket(server));
        page.say(&json!({ "play": { "recording": recording, "camera": null, "width": 64 } }));
        page
    }

    fn say(&mut self, message: &Value) {
        say(&mut self.0, message);
    }

    fn change(&mut self, change: &Value) {
        self.say(&json!({ "playback": change }));
    }

    /// Reads messages until one has what is looked for. A picture is given as `picture`.
    fn until<T>(&mut self, mut find: impl FnMut(&Value) -> Option<T>) -> T {
        let (started, mut last) = (Instant::now(), Value::Null);
        loop {
            assert!(started.elapsed() < AGES, "{last}");
            let message: Value = match self.0.read().expect("a message") {
                Message::Binary(bytes) => {
                    let (length, rest) = bytes.split_first_chunk().expect("a length");
                    let head: Value =
                        serde_json::from_slice(&rest[..u32::from_le_bytes(*length) as usize]).expect("JSON");
                    self.say(&json!({ "drawn": null }));
                    json!({ "picture": head })
                }
                Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
                other => panic!("{other:?}"),
            };
            if let Some(found) = find(&message) {
                return found;
            }
            if message.get("replay").is_some() {
                last = message;
            }
        }
    }

    /// The state of the replay once it is open, or why it is not.
    fn opened(&mut self) -> Value {
        self.until(|message| {
            let state = message.get("replay")?;
            (state["stage"] != "opening").then(|| state.clone())
        })
    }

    /// Waits for the picture of this frame, and checks its boxes.
    fn shows(&mut self, frames: &[Arc<Frame>], number: usize) {
        let start_ns = frames[0].received.unix_ns;
        let expected_ms = (frames[number].received.unix_ns - start_ns) as f64 / 1e6;
        let picture = self.until(|message| {
            let picture = message.get("picture")?;
            (picture["position_ms"].as_f64() == Some(expected_ms)).then(|| picture["frame"].clone())
        });
        assert_eq!(picture["device_time_us"].as_i64(), Some(frames[number].device_time.0), "frame {number}");
        assert_eq!(boxes(&picture["detections"]), true_boxes(&frames[number]), "frame {number}");
    }

    fn notes(&mut self, part: &str) {
        self.until(|message| message["replay"]["notes"].to_string().contains(part).then_some(()));
    }
}

fn boxes(detections: &Value) -> Vec<[f32; 4]> {
    detections.as_array().expect("a list").iter().map(crate::browser::edges).collect()
}

fn true_boxes(frame: &Frame) -> Vec<[f32; 4]> {
    frame.detections.iter().map(|one| [one.bbox.xmin, one.bbox.ymin, one.bbox.xmax, one.bbox.ymax]).collect()
}

#[test]
fn a_seek_shows_exactly_the_frame_at_that_time_in_pictures_and_in_video() {
    for config in
        ["size=64x48&fps=10&boxes=2", "format=h264&size=160x88&fps=10&boxes=2", "format=jpeg&size=64x48&fps=10"]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let frames = record(&folder.path().join("front/a.mcap"), config, 60);
        let server = serving(folder.path());
        let mut page = Page::play(&server, "front/a.mcap");
        let state = page.opened();
        assert!(state["stage"] == "playing" && state["cameras"] == json!(["front"]), "{state}");
        assert_eq!(state["duration_ms"], 5900.0, "{state}");
        page.change(&json!({ "pause": true }));
        for number in [37, 5, 59, 0] {
            page.change(&json!({ "seek_ms": 100 * number }));
            page.shows(&frames, number as usize);
        }
        page.change(&json!("step"));
        page.shows(&frames, 1);
        page.change(&json!("step_back"));
        page.shows(&frames, 0);
        page.change(&json!({ "seek_by_ms": 2000 }));
        page.shows(&frames, 20);
        page.change(&json!({ "speed": 16 }));
        page.change(&json!({ "pause": false }));
        page.until(|message| (message["replay"]["ended"] == true).then_some(()));
        page.change(&json!({ "pause": true }));
        page.change(&json!({ "pause": false }));
        page.until(|message| (message["replay"]["position_ms"].as_f64() < Some(2000.0)).then_some(()));
        page.say(&json!({ "play": null }));
    }
}

#[test]
fn a_page_that_draws_nothing_has_two_pictures_on_the_way() {
    let folder = tempfile::tempdir().expect("a folder");
    record(&folder.path().join("a.mcap"), "size=64x48&fps=20", 40);
    let server = serving(folder.path());
    let mut page = Page::play(&server, "a.mcap");
    let mut pictures = 0;
    // Without `until`, which acknowledges.
    loop {
        match page.0.read().expect("a message") {
            Message::Binary(_) => pictures += 1,
            Message::Text(text) if text.contains("\"ended\":true") => break,
            _ => {}
        }
    }
    assert_eq!(pictures, 2);
}

#[test]
fn files_that_are_not_in_the_list_are_not_played() {
    let folder = tempfile::tempdir().expect("a folder");
    let recordings = folder.path().join("recordings");
    record(&folder.path().join("secret.mcap"), "size=64x48", 2);
    record(&recordings.join("a.mcap"), "size=64x48", 2);
    std::fs::write(recordings.join("text.mcap"), "text").expect("a file");
    let server = serving(&recordings);
    let absolute = recordings.join("a.mcap").to_str().expect("UTF-8").to_owned();
    for name in ["../secret.mcap", "./a.mcap", "", "b.mcap", &absolute] {
        let state = Page::play(&server, name).opened();
        assert_eq!(
            (&state["stage"], &state["text"]),
            (&json!("failed"), &json!("this recording is not in the list any more"))
        );
    }
    let state = Page::play(&server, "text.mcap").opened();
    assert!(state["text"].as_str().is_some_and(|text| text.contains("is not a recording")), "{state}");
    let mut page = Page(socket(&server));
    page.say(&json!({ "play": { "recording": "a.mcap", "camera": "back", "width": 64 } }));
    assert_eq!(page.opened()["text"], "this recording has no such camera; expected front");
    let without = Server::start(&["live=sim:?size=64x48&fps=5"]);
    let state = Page::play(&without, "a.mcap").opened();
    assert!(state["text"].as_str().is_some_and(|text| text.contains("clients cannot record here")), "{state}");
}

#[test]
fn the_page_says_what_is_damaged_unfinished_or_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    // Larger than a chunk, so that there is more than one.
    let frames = record(&path, "fps=10&boxes=1", 20);
    let intact = std::fs::read(&path).expect("a file");
    let mut damaged = intact.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8].fill(0x55);
    std::fs::write(folder.path().join("damaged.mcap"), damaged).expect("a file");
    std::fs::write(folder.path().join("cut.mcap"), &intact[..intact.len() * 2 / 3]).expect("a file");
    std::fs::write(folder.path().join("now.mcap.partial"), &intact[..intact.len() * 2 / 3]).expect("a file");
    let server = serving(folder.path());
    for (name, note) in [
        ("damaged.mcap", "The file has 2 damaged parts, the first at byte"),
        ("cut.mcap", "The recording was not finished: its last frames may be missing"),
        ("now.mcap.partial", "This recording is not finished: it plays up to the frames that were written"),
    ] {
        let mut page = Page::play(&server, name);
        page.notes(note);
        page.change(&json!({ "pause": true }));
        page.change(&json!({ "seek_ms": 100 }));
        page.shows(&frames, 1);
    }
}

#[test]
fn the_timeline_has_the_gap_of_a_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut frames = frames("size=64x48&fps=20&boxes=3", 60);
    frames.drain(20..40);
    write(&folder.path().join("a.mcap"), Compression::None, &[(camera("front"), frames.clone())]);
    let server = serving(folder.path());
    let marks = Page::play(&server, "a.mcap").until(|message| message.get("marks").cloned());
    let step_ms = marks["step_ms"].as_f64().expect("a number");
    let gaps: Vec<f64> =
        marks["gaps"].as_array().expect("a list").iter().map(|at| step_ms * at.as_f64().expect("one")).collect();
    let (first, last) = (gaps.first().expect("a gap"), gaps.last().expect("a gap"));
    assert!((950.0..1100.0).contains(first) && (1900.0..2000.0).contains(last), "{gaps:?}");
    assert_eq!(marks["boxes"][0], 3.0, "{marks}");
}

#[test]
fn four_pages_play_recordings_at_the_same_time() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a.mcap", "b.mcap"] {
        record(&folder.path().join(name), "size=64x48", 4);
    }
    let server = serving(folder.path());
    let mut pages: Vec<Page> = (0..4).map(|_| Page::play(&server, "a.mcap")).collect();
    pages.iter_mut().for_each(|page| assert_eq!(page.opened()["stage"], "playing"));
    let mut fifth = Page::play(&server, "a.mcap");
    let state = fifth.opened();
    assert!(state["text"].as_str().is_some_and(|text| text.starts_with("other pages play 4 recordings")), "{state}");
    // The same page plays another recording in place of its own.
    let play = json!({ "play": { "recording": "b.mcap", "camera": "front", "width": 64 } });
    let plays = |message: &Value| {
        let replay = &message["replay"];
        (replay["recording"] == "b.mcap" && replay["stage"] == "playing").then_some(())
    };
    pages[0].say(&play);
    pages[0].until(plays);
    drop(pages);
    fifth.say(&play);
    fifth.until(plays);
}

/// The frame of the recording that is on the canvas at this time, with its picture.
fn shown(browser: &Browser, ms: i64) -> Value {
    browser.wait_for(&format!(
        "const canvas = document.querySelector('#replay canvas.frame');
         if (Number(canvas.dataset.position ?? -1) !== {ms}) return null;
         const {{ data }} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
         let text = '';
         for (let at = 0; at < data.length; at += 4) text += String.fromCharCode(data[at], data[at + 1], data[at + 2]);
         return {{ time: Number(canvas.dataset.time), detections: canvas.dataset.detections,
                   drawn: canvas.dataset.drawn, picture: {{ pixels: btoa(text) }} }};"
    ))
}

/// Waits for a frame in the page, and compares its time, boxes and pixels.
fn assert_shown(browser: &Browser, frames: &[Arc<Frame>], number: usize) {
    let seen = shown(browser, 100 * number as i64);
    let detections: Value = serde_json::from_str(seen["detections"].as_str().expect("text")).expect("JSON");
    assert_eq!(seen["time"].as_i64(), Some(frames[number].device_time.0), "frame {number}");
    assert_eq!(boxes(&detections), true_boxes(&frames[number]), "frame {number}");
    let rgb = pixels(&seen["picture"]);
    let right = difference(&rgb, frames[number].payload());
    assert!(right < 6.0, "frame {number} differs by {right}");
    for other in [number.wrapping_sub(2), number + 2].into_iter().filter_map(|other| frames.get(other)) {
        assert!(right < difference(&rgb, other.payload()), "frame {number} is another one");
    }
}

/// Presses the pointer on the timeline at one share of its width, and lets it go at another one.
fn drag(browser: &Browser, from: f64, to: f64) {
    let place = browser.run(
        "const { left, width, top, height } = document.querySelector('#replay-timeline canvas').getBoundingClientRect();
         return [left, width, top + height / 2]",
    );
    let [left, width, y] = [0, 1, 2].map(|at| place[at].as_f64().expect("a number"));
    let at = |share: f64| json!({ "type": "pointerMove", "x": (left + share * width).round(), "y": y.round(), "duration": 0 });
    let button = |kind: &str| json!({ "type": kind, "button": 0 });
    let actions = json!([at(from), button("pointerDown"), at(to), button("pointerUp")]);
    let pointer =
        json!({ "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": actions });
    browser.command("POST", "/actions", &json!({ "actions": [pointer] }));
}

const LEFT: &str = "\u{e012}";
const UP: &str = "\u{e013}";
const RIGHT: &str = "\u{e014}";
const HOME: &str = "\u{e011}";
const END: &str = "\u{e010}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

#[test]
fn a_recording_is_played_in_the_page_with_the_keyboard_and_the_pointer() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let all = frames("fps=10&boxes=3&seed=4", 100);
    // Frames 30 to 49 are missing.
    let kept = [&all[..30], &all[50..]].concat();
    std::fs::create_dir_all(folder.path().join("front")).expect("a folder");
    write(&folder.path().join("front/a.mcap"), Compression::None, &[(camera("front"), kept)]);
    let server = serving(folder.path());
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    browser.wait_for("return document.querySelector('.state.streaming') !== null");
    browser.run("document.getElementById('open-recordings').focus()");
    browser.press(ENTER);
    browser.wait_for("return document.querySelector('#files button') !== null");
    browser.run("document.querySelector('#files button').focus()");
    browser.screenshot("replay-list");
    browser.press(ENTER);
    browser.wait_for("return Number(document.querySelector('#replay canvas.frame').dataset.position) > 0");
    assert_eq!(browser.run("return document.activeElement.id"), "replay-timeline");
    browser.press(" ");
    browser.wait_for("return document.getElementById('replay-position').innerText.endsWith('paused')");
    browser.press(HOME);
    assert_shown(&browser, &all, 0);
    for number in [1, 2, 3] {
        browser.press(".");
        assert_shown(&browser, &all, number);
    }
    browser.press(",");
    assert_shown(&browser, &all, 2);
    browser.press(RIGHT);
    assert_shown(&browser, &all, 52);
    browser.press(END);
    assert_shown(&browser, &all, 99);
    browser.press(LEFT);
    // 4.9 s is in the gap, and the next picture is nearer than the last one.
    assert_shown(&browser, &all, 50);
    browser.wait_for("return Number(document.getElementById('replay-timeline').dataset.gaps) > 0");

    // 0.75 of 9.9 s, then a drag to its beginning.
    drag(&browser, 0.75, 0.75);
    assert_shown(&browser, &all, 75);
    assert_eq!(browser.run("return document.getElementById('replay-timeline').ariaValueText"), "0:07.0 of 0:09.9");
    drag(&browser, 0.75, 0.0);
    assert_shown(&browser, &all, 0);

    let drawn = |count: &str| {
        browser.wait_for(&format!("return document.querySelector('#replay canvas.frame').dataset.drawn === '{count}'"));
    };
    drawn("3");
    browser.press("b");
    drawn("0");
    browser.press("b");
    drawn("3");
    browser.press(UP);
    browser.wait_for("return document.getElementById('replay-speed').value === '2'");

    drag(&browser, 0.62, 0.62);
    crate::browser::assert_layouts(&browser, "replay");
    browser.resize(1280, 800, 1.0);
    browser.press(ESCAPE);
    browser.wait_for("return document.getElementById('replay').hidden && !document.getElementById('cameras').hidden");
    browser.wait_for("return document.querySelector('.tile canvas.frame').dataset.frame !== undefined");
    browser.assert_no_errors();
}
