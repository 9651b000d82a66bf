//! H.264 cameras in the page: fragments of MP4 that Chromium plays.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use oaktap::frame::{Frame, PayloadKind};
use oaktap::sim::{SimConfig, Stream, Truth};
use serde_json::{Value, json};

use crate::browser::{ON_THE_CANVAS, boxes, edges, pixels};
use crate::chromium::Browser;
use crate::external_tools::{free_port, system};
use crate::program::{Running, oaktap};
use crate::server::{AGES, Server};
use crate::video::{decoded, encoded};
use crate::viewers::{counts, pictures, say, socket};

/// Frames after which a simulated camera repeats its H.264.
const REEL_FRAMES: usize = 60;

/// A camera of H.264 with detections.
fn camera(size: &str) -> String {
    format!("size={size}&fps=20&boxes=2&seed=3&format=h264&dialect=IMG")
}

/// The frames of a simulated camera, and the luma of their pictures.
fn reel(config: &str) -> Vec<(Truth, Vec<u8>)> {
    let config: SimConfig = config.parse().expect(config);
    let mut stream = Stream::new(&config).expect("a stream");
    let truths: Vec<_> = (0..REEL_FRAMES).map(|_| stream.turn().truth).collect();
    let frames: Vec<_> = (0..)
        .zip(&truths)
        .map(|(id, truth)| {
            let mut frame = Frame::with_payload(truth.payload.to_vec());
            (frame.id, frame.kind) = (id, PayloadKind::H264);
            Arc::new(frame)
        })
        .collect();
    let (pictures, errors) = decoded(&frames);
    assert!(errors.is_empty() && pictures.len() == REEL_FRAMES, "{} pictures, {errors:?}", pictures.len());
    let len = (config.size.0 * config.size.1) as usize;
    truths.into_iter().zip(pictures).map(|(truth, (_, picture))| (truth, picture[..len].to_vec())).collect()
}

/// Mean difference between pixels of RGB and luma (ITU-R BT.601, video range).
fn difference(rgb: &[u8], luma: &[u8]) -> f64 {
    let each = rgb.chunks_exact(3).map(|pixel| {
        let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(f64::from);
        16.0 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255.0
    });
    each.zip(luma).map(|(a, b)| (a - f64::from(*b)).abs()).sum::<f64>() / luma.len() as f64
}

/// Waits until the page shows a camera in this form, with a picture of this width.
fn wait_for_form(browser: &Browser, form: &str, width: u32) {
    browser.wait_for(&format!(
        "const {{ dataset, width }} = document.querySelector('canvas.frame') ?? {{ dataset: {{}} }};
         return dataset.form === '{form}' && width === {width}"
    ));
}

#[test]
fn the_page_plays_h264_with_the_boxes_of_exactly_the_presented_frame() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let config = camera("320x176");
    let server = Server::streaming(&[&format!("front=sim:?{config}")]);
    let reel = reel(&config);
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    wait_for_form(&browser, "video", 320);
    let mut last = Value::Null;
    for _ in 0..8 {
        browser.wait_for(&format!("return document.querySelector('canvas.frame').dataset.frame !== '{last}'"));
        let seen = browser.wait_for(ON_THE_CANVAS);
        last = seen["frame"].clone();
        let detections: Value = serde_json::from_str(seen["detections"].as_str().expect("text")).expect("JSON");
        let shown: Vec<[f32; 4]> = detections.as_array().expect("a list").iter().map(edges).collect();
        let rgb = pixels(&seen["picture"]);
        let differences = reel.iter().map(|(truth, luma)| (difference(&rgb, luma), boxes(truth) == shown));
        let (least, has_boxes) = differences.min_by(|(a, _), (b, _)| a.total_cmp(b)).expect("frames");
        assert!(least < 3.0 && has_boxes, "the picture differs by {least}; its boxes are not {detections}");
    }
    println!("age: {}", browser.run("return document.querySelector('.age').innerText"));
    let folder = tempfile::tempdir().expect("a folder");
    browser.download_into(folder.path());
    browser.run("document.querySelector('.snapshot').click()");
    let saved = image::open(crate::browser::downloaded(folder.path(), "_front.png")).expect("a PNG");
    assert_eq!((saved.width(), saved.height()), (320, 176));
    browser.press("b");
    browser.wait_for("return document.querySelector('canvas.frame').dataset.drawn === '0'");
    browser.press("b");
    browser.wait_for("return document.querySelector('canvas.frame').dataset.drawn === '2'");
    browser.press("1");
    browser.screenshot("video");
    browser.assert_no_errors();
    assert_eq!(server.cameras()[0]["encoded"], 0, "the page gets the bytes of the camera");
    browser.open("about:blank");
    let (code, lines, err) = server.stop();
    assert!([0, 3].contains(&code), "{err}");
    let [_, sent, ..] = counts(&lines[0]["viewers"], "page");
    assert!(sent > 20, "{}", lines[0]);
}

#[test]
fn a_page_that_is_behind_continues_at_a_key_frame() {
    let server = Server::streaming(&["front=sim:?size=64x48&fps=60&boxes=1&format=h264&dialect=IMG"]);
    let mut page = socket(&server);
    say(&mut page, &json!({ "watch": [{ "camera": "front", "width": 64, "video": true }] }));
    let is_key = |picture: &(Value, Vec<u8>)| picture.0["video"]["codec"].is_string();
    let id = |picture: &(Value, Vec<u8>)| picture.0["frame"]["id"].as_u64().expect("a number");
    let at_least = |page: &mut _, count: usize| {
        let started = Instant::now();
        let mut received = Vec::new();
        while received.len() < count {
            received.extend(pictures(page, 1));
            assert!(started.elapsed() < AGES, "{} pictures", received.len());
        }
        received
    };
    let assert_decodable = |received: &[(Value, Vec<u8>)]| {
        assert!(is_key(&received[0]) && received[0].1[4..8] == *b"ftyp", "{}", received[0].0);
        for pair in received.windows(2) {
            assert!(id(&pair[1]) == id(&pair[0]) + 1 || is_key(&pair[1]), "{} after {}", pair[1].0, pair[0].0);
            assert!(pair[1].0["video"]["time_us"].as_u64() > pair[0].0["video"]["time_us"].as_u64());
        }
    };
    let first = at_least(&mut page, 8);
    assert_decodable(&first);
    assert_eq!(first[0].0["frame"]["detections"].as_array().map(Vec::len), Some(1), "{}", first[0].0);
    let started = Instant::now();
    while server.cameras()[0]["viewers"][0]["superseded"].as_u64() < Some(20) {
        assert!(started.elapsed() < AGES, "{}", server.cameras());
    }
    let more = pictures(&mut page, 2).len();
    assert_eq!(first.len() + more, 8, "more are not sent before the decoder has one");
    for _ in 0..8 {
        say(&mut page, &json!({ "drawn": "front" }));
    }
    let next = at_least(&mut page, 8);
    assert_decodable(&next);
    assert!(id(&next[0]) > id(&first[7]) + 1, "{} after {}", next[0].0, first[7].0);
    drop(page);
    let (code, lines, err) = server.stop();
    // On a busy machine the simulated camera leaves out frames.
    assert!([0, 3].contains(&code), "{err}");
    let [_, sent, superseded, _] = counts(&lines[0]["viewers"], "page");
    assert!(sent >= 16 && superseded >= 20, "{}", lines[0]);
}

/// Writes H.264 that ffmpeg encodes to a file for a simulated camera. `false` without ffmpeg.
fn write_video(path: &Path, parts: &[(&str, &[&str])]) -> bool {
    let mut stream = Vec::new();
    for (size, options) in parts {
        let Some(ffmpeg) = system("ffmpeg") else { return false };
        stream.extend(encoded(ffmpeg, PayloadKind::H264, size, 30, options));
    }
    std::fs::write(path, stream).expect("a file");
    true
}

const PLAYABLE: &[&str] = &["-profile:v", "high", "-bf", "0", "-pix_fmt", "yuv420p"];

#[test]
fn the_page_follows_video_that_changes_its_size_and_its_profile() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("changes.h264");
    let baseline: &[&str] = &["-profile:v", "baseline", "-pix_fmt", "yuv420p"];
    if !write_video(&file, &[("320x176", PLAYABLE), ("640x352", baseline)]) {
        return;
    }
    let server = Server::streaming(&[&format!("front=sim:?format=h264&fps=20&images={}", file.display())]);
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    for _ in 0..2 {
        wait_for_form(&browser, "video", 320);
        wait_for_form(&browser, "video", 640);
    }
    browser.assert_no_errors();
}

#[test]
fn the_page_plays_a_camera_that_starts_again_with_another_size() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let address = format!("127.0.0.1:{}", free_port());
    let simulate = |size: &str| {
        let arguments = ["simulate", "--listen", &address, "--format", "h264", "--size", size, "--fps", "20", "-q"];
        Running(oaktap(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"))
    };
    let camera = simulate("320x176");
    let server = Server::start(&[&format!("front={address}")]);
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    wait_for_form(&browser, "video", 320);
    drop(camera);
    browser.wait_for("return document.querySelector('.tile').dataset.state === 'lost'");
    let _camera = simulate("160x88");
    wait_for_form(&browser, "video", 160);
    browser.assert_no_errors();
}

#[test]
fn the_page_shows_jpeg_of_video_that_browsers_do_not_play() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let [reordered, colorful] = ["reordered.h264", "colorful.h264"].map(|name| folder.path().join(name));
    let b_frames: &[&str] = &["-profile:v", "main", "-bf", "2", "-pix_fmt", "yuv420p"];
    if !write_video(&reordered, &[("320x176", b_frames)]) {
        return;
    }
    let server = Server::streaming(&[&format!("front=sim:?format=h264&fps=20&images={}", reordered.display())]);
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    wait_for_form(&browser, "jpeg", 320);
    assert!(server.cameras()[0]["encoded"].as_u64() > Some(0), "{}", server.cameras());
    drop(server);
    // 4:4:4.
    assert!(write_video(&colorful, &[("320x176", &["-profile:v", "high444", "-bf", "0", "-pix_fmt", "yuv444p"])]));
    let server = Server::streaming(&[&format!("front=sim:?format=h264&fps=20&images={}", colorful.display())]);
    let mut page = socket(&server);
    say(&mut page, &json!({ "watch": [{ "camera": "front", "width": 64, "video": true }] }));
    assert!(pictures(&mut page, 4).iter().all(|(head, _)| head["video"].is_null()));
}

#[test]
fn the_page_asks_for_jpeg_if_the_browser_does_not_play_the_codec() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let server = Server::streaming(&[&format!("front=sim:?{}", camera("320x176"))]);
    browser.before_each_page("MediaSource.isTypeSupported = type => { window.asked = type; return false; }");
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    wait_for_form(&browser, "jpeg", 320);
    let asked = browser.run("return window.asked");
    assert!(asked.as_str().is_some_and(|asked| asked.starts_with("video/mp4; codecs=\"avc1.42")), "{asked}");
    browser.assert_no_errors();
}

#[test]
fn the_page_asks_for_jpeg_if_the_decoder_fails() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let server = Server::streaming(&[&format!("front=sim:?{}", camera("320x176"))]);
    browser.before_each_page("SourceBuffer.prototype.appendBuffer = () => { throw new Error('no decoder'); }");
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    wait_for_form(&browser, "jpeg", 320);
}
