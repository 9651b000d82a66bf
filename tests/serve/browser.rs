//! The page in Chromium.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use oaktap::recording::{Reader, RecordingEntry};
use oaktap::sim::{SimConfig, Stream, Truth};
use serde_json::{Value, json};

use crate::chromium::Browser;
use crate::external_tools;
use crate::program::{Running, oaktap};
use crate::server::{AGES, Server};

/// The picture on the canvas, the boxes over it, and the frame that both belong to according to the page.
pub(crate) const ON_THE_CANVAS: &str = "
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
pub(crate) fn pixels(seen: &Value) -> Vec<u8> {
    let text = seen["pixels"].as_str().expect("text");
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

/// Mean difference between pixels and planes of blue, green and red.
pub(crate) fn difference(rgb: &[u8], planes: &[u8]) -> f64 {
    let third = planes.len() / 3;
    let each = (0..third).flat_map(|at| [planes[2 * third + at], planes[third + at], planes[at]]);
    let sum: u64 = each.zip(rgb).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / planes.len() as f64
}

/// Edges of a detection in JSON.
pub(crate) fn edges(detection: &Value) -> [f32; 4] {
    [0, 1, 2, 3].map(|at| detection["bbox"][at].as_f64().expect("a number") as f32)
}

pub(crate) fn boxes(truth: &Truth) -> Vec<[f32; 4]> {
    truth.detections.iter().map(|one| [one.bbox.xmin, one.bbox.ymin, one.bbox.xmax, one.bbox.ymax]).collect()
}

/// Longest time in which a page shows that a camera is lost. A busy machine may need another attempt.
const LOST_SHOWN_MAX_MS: i64 = 300;

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
    let label = last["label"].as_u64().expect("a number") as u32;
    let [_, color @ ..] = oaktap::overlay::class_color(label).to_be_bytes();
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
    snapshot_is_the_picture_that_is_shown(&browser);
    filter_and_threshold_select_boxes(&browser);
    browser.assert_no_errors();
}

/// Waits for the only file with this end in a folder. Chromium writes it under another name.
pub(crate) fn downloaded(folder: &Path, end: &str) -> PathBuf {
    let started = Instant::now();
    loop {
        let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        let files: Vec<_> = files.collect();
        let is_complete = |path: &&PathBuf| {
            path.to_str().is_some_and(|path| path.ends_with(end))
                && path.metadata().is_ok_and(|metadata| metadata.len() > 0)
        };
        if let ([_], Some(path)) = (&*files, files.iter().find(is_complete)) {
            return path.clone();
        }
        assert!(started.elapsed() < AGES, "no {end} was saved: {files:?}");
        std::thread::yield_now();
    }
}

fn snapshot_is_the_picture_that_is_shown(browser: &Browser) {
    let folder = tempfile::tempdir().expect("a folder");
    browser.download_into(folder.path());
    // Read and saved in one turn, so that no other frame is drawn in between.
    let click = "document.querySelector('.snapshot').click();";
    let seen = browser.run(&ON_THE_CANVAS.replacen("return { frame:", &format!("{click} return {{ frame:"), 1));
    let path = downloaded(folder.path(), "_front.png");
    let saved = image::open(path).expect("a PNG").to_rgb8();
    assert_eq!(saved.dimensions(), (320, 176));
    let shown = pixels(&seen["picture"]);
    let detections: Value = serde_json::from_str(seen["detections"].as_str().expect("text")).expect("JSON");
    let last = detections.as_array().and_then(|list| list.last()).expect("a box");
    let [left, top, right, bottom] = edges(last);
    let label = last["label"].as_u64().expect("a number") as u32;
    let [_, color @ ..] = oaktap::overlay::class_color(label).to_be_bytes();
    let near = |pixel: [u8; 3]| pixel.iter().zip(color).all(|(a, b)| a.abs_diff(b) < 60);
    let (x, y) = ((left + right) / 2.0 * 320.0, (bottom * 176.0) as u32);
    let beside = (y.saturating_sub(1)..=y + 1).any(|y| near(saved.get_pixel(x as u32, y.min(175)).0));
    assert!(beside, "no edge of the box at {x}, {y} in {detections}");
    let inside = ((x as u32), ((top + bottom) / 2.0 * 176.0) as u32);
    let at = ((inside.1 * 320 + inside.0) * 3) as usize;
    // Another box may cross here: most pixels are those of the picture.
    let same = saved.pixels().zip(shown.chunks(3)).filter(|(saved, shown)| saved.0 == **shown).count();
    assert!(same > 320 * 176 / 2, "{same} pixels of the picture that was shown, {:?} there", &shown[at..at + 3]);
}

fn filter_and_threshold_select_boxes(browser: &Browser) {
    let drawn = |count: &str| {
        browser.wait_for(&format!("return document.querySelector('canvas.frame').dataset.drawn === '{count}'"));
    };
    drawn("2");
    browser.press("/");
    assert_eq!(browser.run("return document.activeElement.id"), "filter");
    for key in ["z", "z", "z"] {
        browser.press(key);
    }
    drawn("0");
    browser.press("\u{e00c}");
    assert_eq!(
        browser.run("return [document.getElementById('filter').value, document.activeElement.tagName]"),
        json!(["", "BODY"])
    );
    drawn("2");
    let name = browser.run(
        "const [first] = JSON.parse(document.querySelector('canvas.frame').dataset.detections); return first.name",
    );
    let type_class = |text: &str| {
        browser.run(&format!(
            "const field = document.getElementById('filter'); field.value = '{text}'; field.dispatchEvent(new Event('input'))"
        ));
    };
    type_class(&name.as_str().expect("text").to_uppercase());
    browser.wait_for("return document.querySelector('canvas.frame').dataset.drawn !== '0'");
    type_class("");
    for _ in 0..20 {
        browser.press("+");
    }
    assert_eq!(browser.run("return document.getElementById('percent').innerText"), "100%");
    drawn("0");
    browser.press("0");
    drawn("2");
    browser.press("l");
    assert_eq!(browser.run("return document.getElementById('labels').ariaPressed"), "false");
}

/// Waits until the page shows pictures of its first camera in this form that move, each with two boxes.
fn wait_for_moving_pictures(browser: &Browser, form: &str) {
    let mut last: Option<Value> = None;
    // The first one may be left of an earlier connection.
    for _ in 0..4 {
        let before = last.as_ref().map_or(Value::Null, |last| last["frame"].clone());
        browser.wait_for(&format!(
            "const {{ dataset }} = document.querySelector('canvas.frame') ?? {{ dataset: {{}} }};
             return dataset.form === '{form}' && dataset.drawn === '2' && dataset.frame !== '{before}'"
        ));
        let seen = browser.wait_for(ON_THE_CANVAS);
        if let Some(last) = &last {
            assert_ne!(last["picture"], seen["picture"], "{} and {}", last["frame"], seen["frame"]);
            assert_ne!(last["detections"], seen["detections"], "{} and {}", last["frame"], seen["frame"]);
        }
        assert!(pixels(&seen["boxes"]).iter().any(|part| *part > 0), "no box of {} is drawn", seen["detections"]);
        last = Some(seen);
    }
}

/// Kills a simulated camera with these options while the page shows it in this form, and starts it again.
fn lost_camera_is_shown_until_it_returns(form: &str, options: &[&str]) {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let address = format!("127.0.0.1:{}", external_tools::free_port());
    let simulate = || {
        let common = ["simulate", "--listen", &address, "--size", "320x176", "--fps", "30", "--boxes", "2", "-q"];
        let mut program = oaktap(&[&common, options].concat());
        Running(program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"))
    };
    let mut camera = Some(simulate());
    let server = Server::start(&[&format!("front={address}"), "back=sim:?size=64x48"]);
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    let state =
        |state: &str| format!("return document.querySelector('[data-camera=front]')?.dataset.state === '{state}'");
    browser.wait_for(&state("streaming"));
    // The page notes when it shows the state: a request of the driver takes longer on a busy machine.
    browser.run(
        "const tile = document.querySelector('[data-camera=front]');
         new MutationObserver(() => { if (tile.dataset.state === 'lost') window.lostAt ??= Date.now(); })
             .observe(tile, { attributes: true });",
    );
    let mut delays = Vec::new();
    while delays.last().is_none_or(|ms| *ms > LOST_SHOWN_MAX_MS) {
        assert!(delays.len() < 10, "shown as lost after {delays:?} ms");
        camera.get_or_insert_with(simulate);
        browser.wait_for(&state("streaming"));
        wait_for_moving_pictures(&browser, form);
        browser.run("window.lostAt = undefined");
        let killed = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_millis() as i64;
        drop(camera.take());
        delays.push(browser.wait_for("return window.lostAt").as_i64().expect("a time") - killed);
    }
    println!("{form}: shown as lost after {delays:?} ms");
    let notice = browser.run("return document.querySelector('[data-camera=front] .notice').innerText");
    assert!(notice.as_str().is_some_and(|text| !text.is_empty()), "{notice}");
    assert_eq!(browser.run("return document.getElementById('summary').innerText"), "1 of 2 cameras streaming");
    // `lost` is the number of lost frames.
    let word = browser.run("return document.querySelector('[data-camera=front] .state').innerText");
    assert!(word.as_str().is_some_and(|word| !word.contains("lost")), "{word}");
    browser.screenshot(&format!("lost-{form}"));
    let _camera = simulate();
    browser.wait_for(&state("streaming"));
    browser.wait_for("return document.querySelector('[data-camera=front] .notice').innerText === ''");
    wait_for_moving_pictures(&browser, form);
    assert_eq!(browser.run("return document.querySelector('[data-camera=front] .picture.old')"), Value::Null);
    browser.assert_no_errors();
}

#[test]
fn the_page_shows_a_lost_camera_within_300_ms_and_its_return() {
    lost_camera_is_shown_until_it_returns("jpeg", &[]);
}

#[test]
fn the_page_shows_a_lost_camera_of_h264_within_300_ms_and_its_return() {
    // Its boxes are in records.
    lost_camera_is_shown_until_it_returns("video", &["--format", "h264", "--records"]);
}

/// Browsers keep WebCodecs and other interfaces from pages of plain http, except those of this host.
#[test]
fn pictures_and_boxes_are_shown_on_a_plain_http_name() {
    let rules = "--host-resolver-rules=MAP cam.test 127.0.0.1";
    let Some(browser) = Browser::start_with(1280, 800, &[rules]) else { return };
    let server = Server::start(&["front=sim:?size=320x176&fps=10&boxes=2", "--host-name", "cam.test"]);
    browser.open(&format!("http://cam.test:{}/", server.port));
    assert_eq!(browser.run("return isSecureContext"), false);
    let first = browser.wait_for(ON_THE_CANVAS)["frame"].as_u64();
    let later =
        format!("return Number(document.querySelector('canvas.frame').dataset.frame) > {}", first.expect("a frame"));
    browser.wait_for(&later);
    browser.wait_for("return document.querySelector('canvas.frame').dataset.drawn === '2'");
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
    browser.assert_accessible("token");
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
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        browser.resize(390, 844, 2.0);
        let wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]");
        assert_eq!(wide[0], wide[1], "the page is wider than the phone");
        browser.wait_for("return document.querySelectorAll('.state.streaming').length === 2");
        assert_nothing_is_cut(&browser);
        browser.assert_accessible(&format!("phone-{scheme}"));
        browser.screenshot(&format!("phone-{scheme}"));
    }
    browser.run("document.getElementById('leave').click()");
    browser.wait_for("return !document.getElementById('sign-in')?.hidden");
}

/// Fails if a text or a button does not fit into its box, or reaches beyond the page.
pub(crate) fn assert_nothing_is_cut(browser: &Browser) {
    let cut = browser.run(
        "return [...document.querySelectorAll('button, h1, h2, p, dt, dd, label, input')]
             .filter(one => one.checkVisibility() && one.getBoundingClientRect().width > 0)
             .filter(one => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline'
                 || one.getBoundingClientRect().right > innerWidth + 1 || one.getBoundingClientRect().left < -1)
             .map(one => one.outerHTML.slice(0, 200))",
    );
    assert_eq!(cut, json!([]));
}

/// Fails if a button of a tile is over a text, or if the height of a tile depends on its numbers. All buttons of the tiles are
/// shown: a camera with settings and a server with recordings have three.
fn assert_tiles_are_steady(browser: &Browser) {
    let found = browser.run(
        "const hidden = [...document.querySelectorAll('.actions button')].filter(one => one.hidden);
         hidden.forEach(one => { one.hidden = false; });
         const over = [];
         const heights = [];
         for (const tile of document.querySelectorAll('.tile')) {
             if (!tile.checkVisibility()) continue;
             const buttons = [...tile.querySelectorAll('.actions button')].map(one => one.getBoundingClientRect());
             for (const text of tile.querySelectorAll('h2, .about p, dt, dd')) {
                 const range = document.createRange();
                 range.selectNodeContents(text);
                 for (const a of range.getClientRects())
                     if (buttons.some(b => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1))
                         over.push(`${tile.dataset.camera}: ${text.textContent}`);
             }
             const show = numbers => {
                 for (const [name, number] of Object.entries(numbers)) tile.querySelector(`.${name}`).textContent = number;
                 return tile.offsetHeight;
             };
             const all = [{ age: '9 ms' }, { age: '503 ms' }, { age: '1234 ms' },
                 { age: '503 ms', fps: '119.9', mbit: '123.4', lost: '123', missing: '~1234', 'not-shown': '1234' }];
             heights.push(all.map(show));
         }
         hidden.forEach(one => { one.hidden = true; });
         return { over, heights };",
    );
    assert_eq!(found["over"], json!([]), "a button is over a text");
    for heights in found["heights"].as_array().expect("a list") {
        let each = heights.as_array().expect("a list");
        assert!(each.iter().all(|height| *height == each[0]), "tiles grow with their numbers: {heights}");
    }
}

/// Resizes the page, and fails if something of it is cut or covered there, or grows with a number.
fn assert_fits(browser: &Browser, (width, height): (u32, u32), screenshot: &str) {
    browser.resize(width, height, 1.0);
    browser.wait_for(&format!("return innerWidth === {width}"));
    assert_nothing_is_cut(browser);
    assert_tiles_are_steady(browser);
    browser.screenshot(screenshot);
}

/// Checks the page on a phone, a desk and a wall, in light and in dark.
pub(crate) fn assert_layouts(browser: &Browser, name: &str) {
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        for (width, height) in [(390, 844), (1280, 800), (3840, 2160)] {
            assert_fits(browser, (width, height), &format!("{name}-{width}x{height}-{scheme}"));
            browser.assert_accessible(&format!("{name}-{width}-{scheme}"));
        }
    }
}

#[test]
fn the_page_is_used_with_the_keyboard_and_a_hidden_page_costs_nothing() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let recordings = folder.path().join("recordings");
    // Small and slow: the pictures are encoded and decoded by a debug build.
    let cameras = [
        "door=sim:?boxes=3&size=320x176&fps=10",
        "yard=sim:?seed=2&size=320x176&fps=10",
        "gate=sim:?format=jpeg&seed=4&size=320x176&fps=10",
        "roof=sim:?format=h264&size=160x88&fps=10",
    ];
    let server = Server::start(&[&cameras[..], &["--recordings", recordings.to_str().expect("UTF-8")]].concat());
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    let drawn = "return [...document.querySelectorAll('canvas.frame')].filter(one => one.dataset.frame).length === 4";
    browser.wait_for(drawn);
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        for (width, height) in [(1280, 800), (1920, 1080), (3840, 2160), (390, 844)] {
            assert_fits(&browser, (width, height), &format!("grid-{width}x{height}-{scheme}"));
        }
        browser.resize(1280, 800, 1.0);
        browser.assert_accessible(&format!("desk-{scheme}"));
        browser.press("h");
        browser.wait_for("return document.getElementById('help').open");
        browser.assert_accessible(&format!("help-{scheme}"));
        browser.screenshot(&format!("help-{scheme}"));
        browser.press("\u{e00c}");
        browser.wait_for("return !document.getElementById('help').open");
    }
    browser.run("document.querySelector('[data-camera=yard] .picture').focus()");
    let visible =
        "return [...document.querySelectorAll('.tile')].filter(one => one.offsetParent).map(one => one.dataset.camera)";
    browser.press("\u{e007}");
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
    records_and_downloads(&browser, &server, folder.path());
    for (key, shown) in [("\u{e014}", "gate"), ("\u{e013}", "yard"), ("1", "door"), ("\u{e012}", "roof")] {
        browser.press(key);
        assert_eq!(browser.run(visible), json!([shown]));
    }
    browser.press("\u{e00c}");
    assert_eq!(browser.run(visible).as_array().map(Vec::len), Some(4));
    browser.press("b");
    assert_eq!(browser.run("return document.getElementById('boxes').ariaPressed"), "false");
    browser.assert_no_errors();
    browser.open("about:blank");
    while watched(&server).contains(&true) {
        assert!(started.elapsed() < AGES);
    }
    let (code, _, err) = server.stop();
    // On a busy machine the simulated cameras leave out frames.
    assert!([0, 3].contains(&code), "{err}");
}

#[test]
fn a_camera_that_never_sent_a_frame_is_not_connected() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let away = format!("away=127.0.0.1:{}", external_tools::free_port());
    let server = Server::start(&[&away, "near=sim:?size=64x48"]);
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    let word = |camera, word| {
        format!("return document.querySelector('[data-camera={camera}] .state')?.textContent === '{word}'")
    };
    browser.wait_for(&word("away", "not connected"));
    browser.wait_for(&word("near", "streaming"));
    browser.assert_no_errors();
}

/// Many tiles are as narrow as the page allows.
#[test]
fn tiles_of_forty_cameras_keep_their_height() {
    let Some(browser) = Browser::start(1280, 800) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let cameras: Vec<_> = (1..=40).map(|line| format!("line-{line:02}=sim:?size=64x48&fps=1&seed={line}")).collect();
    let cameras: Vec<_> = cameras.iter().map(String::as_str).collect();
    let recordings = ["--recordings", folder.path().to_str().expect("UTF-8")];
    let server = Server::start(&[&cameras[..], &recordings].concat());
    browser.open(&format!("http://127.0.0.1:{}/", server.port));
    browser.wait_for("return document.querySelectorAll('.state.streaming').length === 40");
    for (width, height) in [(1280, 800), (1920, 1080), (3840, 2160), (390, 844)] {
        assert_fits(&browser, (width, height), &format!("forty-{width}x{height}"));
    }
    let fields = "return [...document.querySelectorAll('[data-camera=line-01] dt')].map(one => one.textContent)";
    assert_eq!(browser.run(fields), json!(["fps", "Mbit/s", "age", "lost", "missing", "not shown"]));

    // One is recorded already.
    assert_eq!(server.ask("POST", "/api/cameras/line-07/recording", &[]).status, 200);
    let recorded =
        "return [...document.querySelectorAll('.record')].filter(one => one.ariaPressed === 'true').length === ";
    let note = |text| format!("return document.getElementById('note').textContent.startsWith('{text}')");
    for (before, text, after) in [(1, "recording 40 cameras", 40), (40, "stopped recording 40 cameras", 0)] {
        browser.wait_for(&format!("{recorded}{before}"));
        browser.press("r");
        browser.wait_for(&note(text));
        browser.wait_for(&format!("{recorded}{after}"));
    }
    browser.assert_no_errors();
}

/// Records the enlarged camera `yard` with keys, and saves the recording from the list.
fn records_and_downloads(browser: &Browser, server: &Server, folder: &Path) {
    let recording = "[data-camera=yard] .recording";
    browser.press("r");
    browser.wait_for(&format!("return document.querySelector('{recording}').checkVisibility()"));
    let frames = || server.cameras()[1]["recording"]["frames_written"].as_u64();
    let started = Instant::now();
    while frames().is_none_or(|frames| frames < 3) {
        assert!(started.elapsed() < AGES, "{}", server.cameras()[1]);
    }
    browser.screenshot("records");
    assert!(server.cameras()[0]["recording"].is_null(), "only the enlarged camera is recorded");
    browser.press("r");
    browser.wait_for(&format!("return !document.querySelector('{recording}').checkVisibility()"));
    browser.wait_for(
        "const dialog = document.getElementById('recordings');
         if (!dialog.open) document.getElementById('open-recordings').click();
         else if (!dialog.querySelector('a')) dialog.close();
         return dialog.querySelector('a') !== null;",
    );
    browser.assert_accessible("recordings");
    browser.screenshot("recordings");
    let downloads = folder.join("downloads");
    std::fs::create_dir(&downloads).expect("a folder");
    browser.download_into(&downloads);
    browser.run("document.querySelector('#files a').click()");
    let mut reader = Reader::open(&downloaded(&downloads, ".mcap")).expect("a recording");
    let mut frames = 0;
    while let Some(entry) = reader.next_entry().expect("an intact recording") {
        frames += u32::from(matches!(entry, RecordingEntry::Frame(_)));
    }
    assert!(frames >= 3, "{frames} frames");
    browser.press("\u{e00c}");
    browser.wait_for("return !document.getElementById('recordings').open");
}
