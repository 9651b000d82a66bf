//! The program's window on its own X display, driven by real keys and checked by screenshots.
//!
//! Needs Xvfb, xdotool, ImageMagick and openbox. Without one of them the tests are skipped with a message, but fail with
//! `CI=true`.

#![cfg(target_os = "linux")]

#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/controlled_camera.rs"]
mod controlled_camera;
#[path = "../support/external_tools.rs"]
mod external_tools;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/recordings.rs"]
mod recordings;
#[path = "../support/video.rs"]
mod video_peer;

use std::fmt::Debug;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use image::RgbImage;
use oaktap::overlay::class_color;
use oaktap::recording::Compression;
use oaktap::sim::{Reel, SimConfig, Simulator};
use serde_json::Value;

use recordings::Recording;

mod controls;
mod dropped;
mod feedback;
mod fleet;
mod kinds;
mod sizes;
mod small;
mod streams;
mod video;

/// Longer than any operation takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Polls until there is an answer.
fn wait_for<T>(what: impl Debug, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "timed out waiting for {what:?}");
        thread::park_timeout(Duration::from_millis(30));
    }
}

fn answer(command: &mut Command) -> Option<Vec<u8>> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// Color of the keys in the help, and of the HUD's good states.
const GREEN: [u8; 3] = [0x3d, 0xdc, 0x84];

/// A private X server, and the program that runs on it.
struct Bench {
    server: Child,
    manager: Option<Child>,
    display: String,
    program: Child,
    /// Its standard output.
    out: File,
    window: String,
    folder: tempfile::TempDir,
}

impl Drop for Bench {
    fn drop(&mut self) {
        for child in [&mut self.program, &mut self.server].into_iter().chain(&mut self.manager) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Bench {
    /// Returns `None` where the tools are missing.
    fn view(uris: &[String]) -> Option<Self> {
        Self::run("view", uris)
    }

    /// Any command that opens a window.
    fn run(command: &str, arguments: &[String]) -> Option<Self> {
        Self::start("1400x900x24", false, command, arguments)?.opened()
    }

    /// On a screen of this size with a window manager.
    fn managed(screen: &str, command: &str, arguments: &[String]) -> Option<Self> {
        Self::start(&format!("{screen}x24"), true, command, arguments)?.opened()
    }

    /// Waits until the window is open and has the keyboard.
    fn opened(mut self) -> Option<Self> {
        let bench = &mut self;
        bench.window = wait_for("a window", || {
            let found = bench.xdotool(&["search", "--onlyvisible", "--name", "^oaktap"])?;
            found.split_whitespace().next().map(str::to_owned)
        });
        wait_for("the keyboard", || bench.xdotool(&["windowfocus", "--sync", &bench.window]));
        Some(self)
    }

    /// Starts the command on a screen of this size and depth, without waiting for a window.
    fn start(screen: &str, managed: bool, command: &str, arguments: &[String]) -> Option<Self> {
        let tools = [("Xvfb", "-help"), ("xdotool", "version"), ("import", "-version"), ("openbox", "--version")];
        let missing: Vec<_> = tools
            .into_iter()
            .filter(|(tool, ask)| {
                Command::new(tool).arg(ask).stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
            })
            .map(|(tool, _)| tool)
            .collect();
        if !missing.is_empty() {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "missing: {missing:?}");
            println!("skipped: {missing:?} not found (Debian: apt install xvfb xdotool imagemagick openbox)");
            return None;
        }
        let mut server = Command::new("Xvfb")
            // Without `-noreset` the server drops a window manager that connects while its first client leaves.
            .args(["-displayfd", "1", "-screen", "0", screen, "-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("an X server");
        let mut number = String::new();
        BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut number).expect("its display");
        let display = format!(":{}", number.trim());
        let manager = managed.then(|| {
            let mut openbox = Command::new("openbox");
            let manager = openbox.env("DISPLAY", &display).stderr(Stdio::null()).spawn().expect("a window manager");
            wait_for("the window manager", || {
                let root = answer(Command::new("xdotool").args(["get_num_desktops"]).env("DISPLAY", &display));
                root.filter(|said| said.starts_with(b"4"))
            });
            manager
        });
        let folder = tempfile::tempdir().expect("a folder");
        let out = tempfile::tempfile().expect("a file");
        let program = Command::new(env!("CARGO_BIN_EXE_oaktap"))
            .arg(command)
            .args(arguments)
            .current_dir(folder.path())
            .env("DISPLAY", &display)
            .env_remove("WAYLAND_DISPLAY")
            .stdout(out.try_clone().expect("a file"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        Some(Self { server, manager, display, program, out, window: String::new(), folder })
    }

    fn xdotool(&self, arguments: &[&str]) -> Option<String> {
        let out = answer(Command::new("xdotool").args(arguments).env("DISPLAY", &self.display))?;
        String::from_utf8(out).ok()
    }

    /// Hides the HUD, in which the same colors appear as in the help.
    fn hide_hud(&self) {
        self.key("i");
        self.key("i");
        self.until("no HUD", |seen| count(seen, GREEN) < 30);
    }

    /// Returns the position and the size of the window.
    fn place(&self) -> ((i32, i32), (u32, u32)) {
        let said = self.xdotool(&["getwindowgeometry", "--shell", &self.window]).expect("a window");
        let value = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).expect(name);
            line.parse::<i32>().expect("a number")
        };
        ((value("X"), value("Y")), (value("WIDTH") as u32, value("HEIGHT") as u32))
    }

    /// Presses and releases a key without a pause.
    fn key(&self, name: &str) {
        self.xdotool(&["key", name]).unwrap_or_else(|| panic!("the key {name}"));
    }

    fn look(&self) -> RgbImage {
        let mut import = Command::new("import");
        import.args(["-display", &self.display, "-window", &self.window, "-depth", "8", "png:-"]);
        let png = wait_for("a picture of the window", || answer(&mut import));
        let seen = image::load_from_memory(&png).expect("a picture").into_rgb8();
        // For inspection by hand.
        if let Some(folder) = std::env::var_os("OAKTAP_SCREENSHOTS") {
            let name = format!("{}-{}.png", std::process::id(), self.window);
            let name = format!("{}-{name}", thread::current().name().unwrap_or("test"));
            seen.save(Path::new(&folder).join(name)).expect("a file");
        }
        seen
    }

    /// Returns the screenshot once it meets the expectation.
    fn until(&self, what: &str, expected: impl Fn(&RgbImage) -> bool) -> RgbImage {
        wait_for(what, || Some(self.look()).filter(&expected))
    }

    /// Saves the picture of each camera. Returns their JSON files, in the order of the cameras.
    fn snapshots(&self, cameras: usize) -> Vec<Value> {
        let mut asked: Option<Instant> = None;
        wait_for("snapshots", || {
            // A snapshot is given up after 2 s without a frame, and a busy machine may need longer.
            if asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(5)) {
                self.key("c");
                asked = Some(Instant::now());
            }
            let files = std::fs::read_dir(self.folder.path()).ok()?;
            let json = files.filter_map(|file| {
                let path = file.ok()?.path();
                (path.extension()? == "json").then(|| serde_json::from_slice(&std::fs::read(path).ok()?).ok())?
            });
            let name = |said: &Value| said["camera"].as_str().map(str::to_owned);
            let mut said: Vec<Value> = json.collect();
            said.sort_by_key(name);
            said.dedup_by_key(|said| name(said));
            Some(said).filter(|said| said.len() == cameras)
        })
    }

    /// The screenshot once it no longer changes, and the camera's output for it, in the order of the cameras.
    fn paused_and_saved(&self, cameras: usize) -> (RgbImage, Vec<Value>) {
        self.key("space");
        let said = self.snapshots(cameras);
        // On-screen notes have expired when nothing changes for longer than the program needs to draw.
        let mut last = (self.look(), Instant::now());
        let still = wait_for("a picture that stands still", || {
            let now = self.look();
            if now != last.0 {
                last = (now, Instant::now());
                return None;
            }
            (last.1.elapsed() > Duration::from_secs(5)).then_some(now)
        });
        (still, said)
    }

    /// As [`Self::end`], with a key that ends the program only when it has closed nothing for a moment.
    fn end_with_escape(mut self) -> (ExitStatus, String) {
        wait_for("the end of the program", || {
            // Fails without a window.
            let _ = self.xdotool(&["key", "Escape"]);
            self.program.try_wait().expect("a child")
        });
        self.end()
    }

    /// Waits for the program to end; returns its standard error.
    fn end(mut self) -> (ExitStatus, String) {
        let status = wait_for("the end of the program", || self.program.try_wait().expect("a child"));
        let mut said = String::new();
        self.program.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        (status, said)
    }
}

/// Returns all that was written to a file so far.
fn printed(out: &File) -> String {
    // The program and this file share a position, so this must not move it.
    let len = out.metadata().expect("a file").len() as usize;
    let mut bytes = vec![0; len];
    out.read_exact_at(&mut bytes, 0).expect("its content");
    String::from_utf8(bytes).expect("text")
}

/// Returns whether the window was closed in order. On a busy machine a simulated camera leaves out frames, which is exit code 3.
fn in_order(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 3))
}

fn rgb(word: u32) -> [u8; 3] {
    let [_, red, green, blue] = word.to_be_bytes();
    [red, green, blue]
}

/// The picture that the simulated camera sent, without boxes; its boxes identify it.
struct Sent {
    payload: std::sync::Arc<[u8]>,
    size: (u32, u32),
}

impl Sent {
    fn of(said: &Value, uri: &str) -> Self {
        let config: SimConfig = uri.trim_start_matches("sim:?").parse().expect("a configuration");
        let reel = Reel::new(&config).expect("a reel");
        let found = said["detections"].as_array().expect("a list");
        let still = (0..reel.frames() as u64).map(|k| reel.still(k)).find(|still| {
            still.detections.len() == found.len()
                && still.detections.iter().zip(found).all(|(sent, found)| {
                    let near =
                        |found: &Value, sent: f32| (found.as_f64().expect("a number") - f64::from(sent)).abs() < 6e-5;
                    let bbox = [sent.bbox.xmin, sent.bbox.ymin, sent.bbox.xmax, sent.bbox.ymax];
                    found["label"] == sent.label && (0..4).all(|i| near(&found["bbox"][i], bbox[i]))
                })
        });
        Self { payload: still.expect("a recovered frame was sent").payload.clone(), size: config.size }
    }

    /// Planar, blue first.
    fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let plane = (self.size.0 * self.size.1) as usize;
        let at = (y * self.size.0 + x) as usize;
        [self.payload[2 * plane + at], self.payload[plane + at], self.payload[at]]
    }
}

/// Points on the left and right edges of every box, at half height, with the box's label; and points just outside and
/// inside the edges, without one. On a picture of 640x352 lines are 2 pixels wide.
fn edges(said: &Value) -> Vec<((u32, u32), Option<u32>)> {
    let boxes = said["detections"].as_array().expect("a list");
    assert!(boxes.len() >= 3, "boxes to look for");
    let mut places = Vec::new();
    for found in boxes {
        let pixel = |i: usize, side: f64| (found["bbox"][i].as_f64().expect("a number") * side).round() as u32;
        let (left, top, right, bottom) = (pixel(0, 640.0), pixel(1, 352.0), pixel(2, 640.0), pixel(3, 352.0));
        let y = u32::midpoint(top, bottom);
        let label = found["label"].as_u64().map(|label| label as u32);
        places.extend([left, left + 1, right - 2, right - 1].map(|x| ((x, y), label)));
        places.extend([left + 3, right - 4].map(|x| ((x, y), None)));
        places.extend([left.checked_sub(2), Some(right + 1)].into_iter().flatten().map(|x| ((x, y), None)));
    }
    places.retain(|((x, y), _)| *x < 640 && *y < 352);
    places
}

/// Returns whether boxes are drawn in their places, and nowhere beside them, in the tile with this corner.
fn boxes_are_right(seen: &RgbImage, said: &Value, uri: &str, (left, top): (u32, u32)) -> Result<(), String> {
    let sent = Sent::of(said, uri);
    for ((x, y), label) in edges(said) {
        let expected = label.map_or_else(|| sent.pixel(x, y), |label| rgb(class_color(label)));
        let found = seen.get_pixel(left + x, top + y).0;
        if found != expected {
            return Err(format!("({x}, {y}) is {found:?} and not {expected:?}, label {label:?}"));
        }
    }
    Ok(())
}

fn is_grey(seen: &RgbImage) -> bool {
    let grey = seen.pixels().filter(|pixel| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2]).count();
    // A message covers up to a quarter.
    grey * 10 > seen.pixels().len() * 7
}

/// Number of pixels of about this color: few pixels of a letter's strokes have it exactly.
fn count(seen: &RgbImage, colour: [u8; 3]) -> usize {
    seen.pixels().filter(|pixel| pixel.0.iter().zip(&colour).all(|(a, b)| a.abs_diff(*b) < 48)).count()
}

/// Returns the length in pixels of the longest horizontal line of this color.
fn longest_run(seen: &RgbImage, colour: [u8; 3]) -> usize {
    let is = |pixel: &image::Rgb<u8>| pixel.0.iter().zip(&colour).all(|(a, b)| a.abs_diff(*b) < 48);
    let runs = |row: Vec<bool>| row.split(|is| !is).map(<[bool]>::len).max();
    seen.rows().filter_map(|row| runs(row.map(is).collect())).max().unwrap_or(0)
}

/// Returns whether there is white text below this row.
fn has_message(seen: &RgbImage, below: u32) -> bool {
    count(&image::imageops::crop_imm(seen, 0, below, seen.width(), seen.height() - below).to_image(), [255; 3]) > 150
}

#[test]
fn one_camera_is_shown_with_boxes_and_help() {
    let uri = "sim:?fps=10&boxes=4&seed=3";
    let Some(bench) = Bench::view(&[uri.to_owned()]) else { return };
    bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
    // From the status line to all overlays to none: then the whole picture is visible.
    bench.key("i");
    bench.until("the whole HUD", |seen| count(seen, [0x3d, 0xdc, 0x84]) > 30);
    bench.key("i");
    let (still, said) = bench.paused_and_saved(1);
    boxes_are_right(&still, &said[0], uri, (0, 0)).expect("boxes");

    bench.key("b");
    let sent = Sent::of(&said[0], uri);
    bench.until("no boxes", |seen| {
        edges(&said[0]).iter().all(|((x, y), _)| seen.get_pixel(*x, *y).0 == sent.pixel(*x, *y))
    });
    bench.key("b");
    bench.until("the same boxes again", |seen| *seen == still);
    bench.key("l");
    let unlabelled = bench.until("no labels", |seen| *seen != still);
    boxes_are_right(&unlabelled, &said[0], uri, (0, 0)).expect("boxes stay without labels");
    bench.key("l");

    bench.key("question");
    let help = bench.until("the help", |seen| count(seen, [0x3d, 0xdc, 0x84]) > 30);
    assert!(count(&help, [255; 3]) > 100, "the help overlay is shown");
    let darker =
        |at: (u32, u32)| help.get_pixel(at.0, at.1).0.iter().zip(&still.get_pixel(at.0, at.1).0).all(|(a, b)| a <= b);
    assert!([(2, 340), (630, 345), (1, 170)].into_iter().all(darker), "the picture under the help is darker");
    bench.key("question");
    bench.until("no help", |seen| *seen == still);

    // The simulated scene repeats after some seconds: the next picture may be equal.
    wait_for("the next picture", || {
        bench.key("period");
        (bench.look() != still).then_some(())
    });
    bench.key("q");
    let (status, summary) = bench.end();
    // A busy machine does not send all frames.
    assert!(in_order(status), "{status}: {summary}");
    assert!(summary.contains("frames") && summary.contains("shown"), "{summary}");
}

/// One command builds, flashes and boots the application, and shows the pictures of the flashed Script.
#[test]
fn a_flashed_application_is_shown_by_one_command() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny.blob");
    let arguments = ["sim:", "--yes", "--model", model, "--then", "view"].map(str::to_owned);
    let Some(bench) = Bench::run("flash", &arguments) else { return };
    bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
    bench.key("i");
    bench.key("i");
    let (still, said) = bench.paused_and_saved(1);
    boxes_are_right(&still, &said[0], "sim:?fps=30", (0, 0)).expect("boxes");
    bench.key("q");
    let (status, summary) = bench.end();
    // The application numbers its frames, and leaves out some on a busy machine.
    assert!(in_order(status), "{status}: {summary}");
    assert!(summary.contains("written to the flash memory, read back and verified"), "{summary}");
}

#[test]
fn four_cameras_are_tiled_and_one_can_be_enlarged() {
    let uris: Vec<_> = (1..=4).map(|seed| format!("sim:?fps=8&seed={seed}")).collect();
    let Some(bench) = Bench::view(&uris) else { return };
    let corners = [(0, 0), (642, 0), (0, 354), (642, 354)];
    let ground = [0x12, 0x16, 0x1b];
    bench.until("four pictures", |seen| {
        seen.dimensions() == (1282, 706)
            && corners.iter().all(|(x, y)| seen.get_pixel(x + 2, y + 2).0 != ground)
            && !is_grey(seen)
    });
    bench.key("i");
    bench.key("i");
    let (still, said) = bench.paused_and_saved(4);
    for ((said, uri), corner) in said.iter().zip(&uris).zip(corners) {
        boxes_are_right(&still, said, uri, corner).unwrap_or_else(|error| panic!("{}: {error}", said["camera"]));
    }
    assert_eq!(still.get_pixel(640, 100).0, ground, "tiles do not touch");

    // The enlarged second camera is twice as large: its first pixel is where that of the first camera was.
    bench.key("2");
    let second = Sent::of(&said[1], &uris[1]);
    let near = |a: [u8; 3], b: [u8; 3]| a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) < 24);
    bench.until("the second camera alone", |seen| {
        seen.get_pixel(640, 100).0 != ground && near(seen.get_pixel(4, 690).0, second.pixel(2, 344))
    });
    bench.key("Tab");
    bench.key("g");
    bench.until("all four again", |seen| *seen == still);
    // The message that a window manager's close button sends.
    if bench.xdotool(&["windowquit", &bench.window]).is_none() {
        let (status, summary) = bench.end_with_escape();
        assert!(in_order(status), "{status}: {summary}");
        return;
    }
    let (status, summary) = bench.end();
    assert!(in_order(status), "{status}: {summary}");
    let rows = summary.lines().filter(|line| line.starts_with("sim-") && !line.contains(':'));
    assert_eq!(rows.count(), 4, "{summary}");
}

#[test]
fn a_lost_camera_is_grayed_out_until_it_reconnects() {
    let config: SimConfig = "fps=10".parse().expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let simulator = Simulator::start(listener, &config).expect("a camera");
    let address = simulator.local_addr();
    let Some(bench) = Bench::view(&[address.to_string()]) else { return };
    bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
    bench.key("i");
    bench.key("i");
    drop(simulator);
    let lost = bench.until("the lost state", |seen| is_grey(seen) && count(seen, [0xff, 0x5a, 0x52]) > 50);
    let levels: std::collections::HashSet<_> = lost.rows().next_back().expect("rows").map(|pixel| pixel.0).collect();
    assert!(levels.len() > 20, "its last picture is still there: {levels:?}");
    let listener = TcpListener::bind(address).expect("the same port");
    let simulator = Simulator::start(listener, &config).expect("the camera again");
    bench.until("it back", |seen| !is_grey(seen) && count(seen, [0xff, 0x5a, 0x52]) < 10);
    // The side panel lists classes with their colors only while there are frames.
    bench.key("d");
    let has_class = |seen: &RgbImage| {
        let panel = image::imageops::crop_imm(seen, 440, 0, 200, 352).to_image();
        let has = |label| panel.pixels().filter(|pixel| pixel.0 == rgb(class_color(label))).count() > 20;
        (0..80).any(has)
    };
    let has_panel = |seen: &RgbImage| (346..352).all(|y| seen.get_pixel(636, y).0 == [0x0b, 0x0e, 0x12]);
    bench.until("classes in the panel", |seen| has_panel(seen) && has_class(seen));
    drop(simulator);
    bench.until("no class in the panel", |seen| {
        has_panel(seen) && count(seen, [0xff, 0x5a, 0x52]) > 50 && !has_class(seen)
    });
    program::signal(&bench.program, "INT");
    let (status, summary) = bench.end();
    // A frame in transit when the camera disconnected is lost.
    assert!(in_order(status), "{status}: {summary}");
    assert!(summary.contains("reconnect"), "{summary}");
}

/// The first camera sends nothing from second 2 to second 20, while the other one does.
#[test]
fn a_gap_of_a_recording_is_grayed_out_as_a_lost_camera_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = |text: &str| text.parse::<SimConfig>().expect("a configuration");
    let gap = |n: i64| if n < 10 { 200 * n } else { 20_000 + 400 * (n - 10) };
    let made = [
        ("a", recordings::arriving(&config("size=480x264&boxes=4&records=on"), 60, |n| gap(n) * recordings::MS)),
        (
            "b",
            recordings::arriving(&config("size=480x264&format=GRAY8&boxes=0&records=on"), 200, |n| {
                200 * n * recordings::MS
            }),
        ),
    ]
    .map(|(name, frames)| {
        let path = folder.path().join(format!("{name}.mcap"));
        recordings::write(&path, Compression::None, &[(recordings::camera(name), frames)]);
        path.to_str().expect("UTF-8").to_owned()
    });
    let Some(bench) = Bench::run("replay", &made) else { return };
    bench.until("two tiles", |seen| seen.dimensions() == (480, 530));
    bench.key("i");
    bench.key("i");
    let first = |seen: &RgbImage| image::imageops::crop_imm(seen, 0, 0, 480, 264).to_image();
    bench.key("space");
    bench.key("Home");
    bench.until("a picture in color", |seen| !is_grey(&first(seen)));
    bench.key("space");
    bench.until("the gap", |seen| is_grey(&first(seen)) && has_message(&first(seen), 60));
    // 5 s each: behind the gap wherever the playback is.
    for _ in 0..4 {
        bench.key("Right");
    }
    bench.until("a picture after the gap", |seen| !is_grey(&first(seen)));
    bench.key("q");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
}

#[test]
fn a_key_starts_and_stops_recording() {
    let uris = [1, 2].map(|seed| format!("sim:?fps=10&seed={seed}"));
    let Some(mut bench) = Bench::view(&uris) else { return };
    bench.until("two pictures", |seen| seen.dimensions() == (640, 706) && !is_grey(seen));
    let folder = bench.folder.path().join("recordings");
    let files = |end: &str| {
        let found = ["sim-1", "sim-2"].into_iter().filter_map(|camera| std::fs::read_dir(folder.join(camera)).ok());
        let paths = found.flatten().filter_map(|entry| Some(entry.ok()?.path()));
        paths.filter(|path| path.to_string_lossy().ends_with(end)).collect::<Vec<_>>()
    };
    assert!(files("").is_empty(), "no recording before the key is pressed");
    bench.key("r");
    wait_for("files of both cameras that grow", || {
        let lengths = files(".mcap.partial").into_iter().filter_map(|path| Some(path.metadata().ok()?.len()));
        (lengths.filter(|len| *len > 700_000).count() == 2).then_some(())
    });
    bench.key("r");
    let finished = wait_for("both files to be finished", || Some(files(".mcap")).filter(|files| files.len() == 2));
    assert!(files(".partial").is_empty());
    // The window continues; a recording in progress is finished when it ends.
    bench.key("r");
    wait_for("the next files", || (files(".partial").len() == 2).then_some(()));
    let read = |path: &Path| {
        let mut reader = oaktap::recording::Reader::open(path).expect("a recording");
        assert!(reader.is_finished());
        let mut frames = 0;
        while let Some(entry) = reader.next_entry().expect("intact") {
            frames += u32::from(matches!(entry, oaktap::recording::RecordingEntry::Frame(_)));
        }
        frames
    };
    assert!(finished.iter().all(|path| read(path) > 0));
    // It asks before it ends the recording.
    bench.key("q");
    bench.key("y");
    let status = wait_for("the end of the program", || bench.program.try_wait().expect("a child"));
    assert!(in_order(status), "{status}");
    let all =
        |camera: &str| std::fs::read_dir(folder.join(camera)).expect("its folder").flatten().map(|entry| entry.path());
    let all: Vec<_> = ["sim-1", "sim-2"].into_iter().flat_map(all).collect();
    assert_eq!(all.len(), 4, "{all:?}");
    all.iter().for_each(|path| {
        read(path);
    });
}

#[test]
fn a_recording_is_paused_stepped_and_seeked() {
    const AMBER: [u8; 3] = [0xff, 0xb8, 0x3d];
    // 8 s, in a window that shows it at its original size.
    let recording = Recording::new(&["size=480x264&format=GRAY8&boxes=0&records=on"], 200);
    let path = recording.path().to_str().expect("a name").to_owned();
    let Some(bench) = Bench::run("replay", &[path]) else { return };
    // Below the text, and above the bar and the line. A narrower part would look alike in several frames in a row.
    let shows = |seen: &RgbImage, at: usize| {
        let payload = recording.frames[0][at].payload();
        (100..180).step_by(3).all(|y| (0..480).all(|x| seen.get_pixel(x, y).0[1] == payload[(y * 480 + x) as usize]))
    };
    let is_later = |seen: &RgbImage| seen.dimensions() == (480, 264) && (0..3).all(|at| !shows(seen, at));
    // The bar is amber while paused and at the end. Texts are amber, too, but no letter is as wide as the bar.
    let bar = |seen: &RgbImage| longest_run(seen, AMBER);
    bench.until("a later picture", is_later);
    // A slow machine may have played it to the end by now, where the space bar would start it again.
    bench.key("comma");
    bench.key("Home");
    bench.until("the first picture", |seen| shows(seen, 0));
    // 8 s at an eighth of the speed are 64 s.
    for _ in 0..3 {
        bench.key("bracketleft");
    }
    bench.key("space");
    bench.until("a later picture, slowly", is_later);
    bench.key("space");
    let paused = bench.until("a pause", |seen| is_later(seen) && count(seen, AMBER) > 30);
    assert!((0..200).any(|at| shows(&paused, at)), "a picture of the recording");
    for _ in 0..3 {
        bench.key("bracketright");
    }
    bench.key("Home");
    bench.until("the first picture again", |seen| shows(seen, 0));
    for at in 1..=3 {
        bench.key("period");
        bench.until("the next picture", |seen| shows(seen, at));
    }
    bench.key("Right");
    // 5 s are 125 frames.
    let sought = bench.until("a picture five seconds on", |seen| bar(seen) > 30 && shows(seen, 128));
    bench.key("Left");
    for at in [3, 2, 1] {
        bench.until("the picture before", |seen| shows(seen, at));
        bench.key("comma");
    }
    bench.until("the first picture after three steps back", |seen| shows(seen, 0));
    bench.key("End");
    let last = bench.until("the last picture", |seen| shows(seen, 199));
    bench.key("comma");
    bench.until("the picture before the last", |seen| *seen != last && shows(seen, 198));
    bench.key("Home");
    bench.until("the first picture", |seen| shows(seen, 0));
    bench.key("comma");
    bench.key("Next");
    bench.until("a minute is beyond the end", |seen| shows(seen, 199));
    bench.key("Prior");
    bench.until("a minute is before the start", |seen| shows(seen, 0));
    bench.key("bracketright");
    bench.key("space");
    // At the end it waits: the whole bar is filled.
    let end = bench.until("the end", |seen| shows(seen, 199) && bar(seen) > bar(&sought));
    assert!(end.dimensions() == (480, 264));
    bench.key("space");
    bench.until("the start again", |seen| (0..100).any(|at| shows(seen, at)) && bar(seen) < 30);
    bench.key("q");
    let (status, summary) = bench.end();
    assert!(in_order(status), "{status}: {summary}");
}

/// On screens of other depths, drawing would crash the program or show other colors.
#[test]
fn screens_that_cannot_show_the_colors_are_refused() {
    for (depth, found) in [
        (8, "a palette of 8 bits"),
        (15, "15 bits of color in pixels of 16 bits (red 7c00, green 3e0, blue 1f)"),
        (16, "16 bits of color in pixels of 16 bits (red f800, green 7e0, blue 1f)"),
        (30, "30 bits of color in pixels of 32 bits (red 3ff00000, green ffc00, blue 3ff)"),
    ] {
        let screen = format!("640x480x{depth}");
        let Some(bench) = Bench::start(&screen, false, "view", &["sim:".to_owned()]) else { return };
        let (status, said) = bench.end();
        assert_eq!(status.code(), Some(1), "{depth} bits: {status}: {said}");
        assert!(said.contains(found) && said.contains("expected 24 bits"), "{depth} bits: {said}");
        assert!(said.contains("help: ") && said.contains("--no-window"), "{depth} bits: {said}");
    }
}

/// Xlib's own handlers would end the process at once: without a summary, and with an unfinished recording.
#[test]
fn a_window_lost_while_recording_ends_in_order() {
    type Way = (&'static str, &'static str, fn(&mut Bench));
    let ways: [Way; 4] = [
        ("killed server", "the X server closed the connection", |bench| bench.server.kill().expect("a child")),
        ("terminated server", "the X server closed the connection", |bench| program::signal(&bench.server, "TERM")),
        ("killed client", "", |bench| drop(bench.xdotool(&["windowkill", &bench.window]))),
        ("destroyed window", "another program destroyed the window", |bench| {
            drop(bench.xdotool(&["windowclose", &bench.window]));
        }),
    ];
    for (way, reason, lose) in ways {
        let Some(mut bench) = Bench::view(&["sim:?fps=20".to_owned()]) else { return };
        let folder = bench.folder.path().join("recordings/sim-1");
        let file = || Some(std::fs::read_dir(&folder).ok()?.next()?.expect("an entry").path());
        bench.key("r");
        wait_for("a recording that grows", || (file()?.metadata().ok()?.len() > 700_000).then_some(()));
        lose(&mut bench);
        let status = wait_for("the end of the program", || bench.program.try_wait().expect("a child"));
        let path = file().expect("a recording");
        let mut reader = oaktap::recording::Reader::open(&path).expect("a recording");
        assert!(reader.is_finished() && path.extension().is_some_and(|end| end == "mcap"), "{way}: {path:?}");
        assert!(reader.next_entry().expect("intact").is_some(), "{way}: no frame");
        let (_, said) = bench.end();
        assert_eq!(status.code(), Some(1), "{way}: {said}");
        assert!(said.contains("frames in recordings/sim-1/"), "{way}: the summary is missing: {said}");
        assert!(said.contains("error: the window was closed from outside: ") && said.contains(reason), "{way}: {said}");
    }
}

/// The same on a screen with a window manager and on one without.
#[test]
fn the_window_fills_the_screen_and_returns_to_its_place() {
    for managed in [false, true] {
        let Some(bench) = Bench::start("1000x700x24", managed, "view", &["sim:?fps=10".to_owned()]) else { return };
        let bench = bench.opened().expect("a window");
        bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
        bench.hide_hud();
        let before = bench.place();
        for (fill, back) in [("f", "f"), ("F11", "Escape")] {
            bench.key(fill);
            bench.until("a picture as large as the screen", |seen| {
                seen.dimensions() == (1000, 700) && !is_grey(seen) && seen.get_pixel(500, 20).0 == [0x12, 0x16, 0x1b]
            });
            assert_eq!(bench.place().0, (0, 0), "managed: {managed}");
            bench.key(back);
            bench.until("the size before", |seen| seen.dimensions() == (640, 352));
            wait_for("the place before", || (bench.place() == before).then_some(()));
        }
        // Help is closed before full screen.
        bench.key("f");
        bench.until("full screen again", |seen| seen.dimensions() == (1000, 700));
        bench.key("F1");
        bench.until("the help", |seen| count(seen, GREEN) > 100);
        bench.key("Escape");
        bench.until("no help", |seen| count(seen, GREEN) < 30 && seen.dimensions() == (1000, 700));
        // A message does not take the key.
        bench.key("c");
        bench.until("a message", |seen| has_message(seen, 630));
        bench.key("Escape");
        bench.until("a window", |seen| seen.dimensions() == (640, 352));
        let (status, said) = bench.end_with_escape();
        assert!(in_order(status), "{status}: {said}");
    }
}

#[test]
fn a_recording_is_not_ended_without_a_question() {
    let Some(mut bench) = Bench::view(&["sim:?fps=10".to_owned()]) else { return };
    let folder = bench.folder.path().join("recordings/sim-1");
    let partial = || std::fs::read_dir(&folder).ok()?.next()?.ok().map(|entry| entry.path());
    bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
    bench.hide_hud();
    bench.key("r");
    wait_for("a recording", || partial()?.to_str()?.ends_with(".partial").then_some(()));
    // `x` is a key without an action.
    for (ask, no) in [("Escape", "n"), ("q", "space"), ("Escape", "Escape"), ("q", "x")] {
        bench.key(ask);
        bench.key(no);
        // The answer was taken when the next key is: the help appears.
        bench.key("h");
        bench.until("the help", |seen| count(seen, GREEN) > 100);
        bench.key("h");
        bench.until("no help", |seen| count(seen, GREEN) < 30);
        assert!(bench.program.try_wait().expect("a child").is_none(), "still running after {ask} and {no}");
    }
    bench.key("Escape");
    bench.key("y");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
    assert!(said.contains("frames in recordings/sim-1/"), "{said}");
}

/// Keys reach each of forty cameras: by pages of nine, and by name.
#[test]
fn keys_reach_each_of_forty_cameras() {
    let uris: Vec<_> = (1..=40).map(|seed| format!("sim:?fps=1&boxes=0&size=96x64&seed={seed}")).collect();
    let Some(bench) = Bench::view(&uris) else { return };
    let title = || bench.xdotool(&["getwindowname", &bench.window]).expect("a name").trim().to_owned();
    wait_for("a title", || (title() == "oaktap - 40 cameras").then_some(()));
    bench.key("n");
    wait_for("the first page", || (title() == "oaktap - cameras 1 to 9 of 40").then_some(()));
    bench.key("u");
    bench.key("u");
    wait_for("the last page", || (title() == "oaktap - cameras 37 to 40 of 40").then_some(()));
    bench.key("3");
    wait_for("its third camera", || (title() == "oaktap - sim-39").then_some(()));
    bench.key("Tab");
    wait_for("the next", || (title() == "oaktap - sim-40").then_some(()));
    bench.key("Tab");
    wait_for("the first again", || (title() == "oaktap - sim-1").then_some(()));
    bench.key("shift+Tab");
    wait_for("the one before", || (title() == "oaktap - sim-40").then_some(()));
    for key in ["slash", "m", "minus", "2", "3", "Return"] {
        bench.key(key);
    }
    wait_for("the camera of that name", || (title() == "oaktap - sim-23").then_some(()));
    bench.key("slash");
    bench.key("q");
    bench.key("Escape");
    bench.key("n");
    wait_for("the page of the camera", || (title() == "oaktap - cameras 19 to 27 of 40").then_some(()));
    bench.key("u");
    wait_for("the page before", || (title() == "oaktap - cameras 10 to 18 of 40").then_some(()));
    bench.key("g");
    wait_for("all cameras", || (title() == "oaktap - 40 cameras").then_some(()));
    bench.key("q");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
}

/// Moves the pointer to a point of the window.
fn point(bench: &Bench, (x, y): (u32, u32)) {
    bench
        .xdotool(&["mousemove", "--window", &bench.window, &x.to_string(), &y.to_string()])
        .unwrap_or_else(|| panic!("the pointer at {x}, {y}"));
}

/// Gives the window another size.
fn resize(bench: &Bench, size: (u32, u32)) {
    let (width, height) = (size.0.to_string(), size.1.to_string());
    bench.xdotool(&["windowsize", "--sync", &bench.window, &width, &height]).expect("another size");
    bench.until("that size", |seen| seen.dimensions() == size);
}

fn click(bench: &Bench, button: &str) {
    bench.xdotool(&["click", button]).unwrap_or_else(|| panic!("button {button}"));
}

#[test]
fn clicks_enlarge_a_camera_fill_the_screen_and_open_a_menu() {
    let uris: Vec<_> = (1..=9).map(|seed| format!("sim:?fps=3&seed={seed}")).collect();
    let Some(bench) = Bench::managed("1300x800", "view", &uris) else { return };
    let title = || bench.xdotool(&["getwindowname", &bench.window]).expect("a name").trim().to_owned();
    let shown = |expected: &str| wait_for(expected.to_owned(), || (title() == expected).then_some(()));
    // As large as the room on the screen: the window may have been opened before the first picture.
    bench.until("nine pictures", |seen| seen.dimensions() == (1268, 698) && !is_grey(seen));
    let (_, (width, height)) = bench.place();
    let fifth = (width / 2, height / 2);
    point(&bench, fifth);
    click(&bench, "1");
    shown("oaktap - sim-5");
    // Later than a double click.
    bench.until("the fifth camera alone", |seen| !is_grey(seen));
    bench.key("g");
    shown("oaktap - 9 cameras");
    point(&bench, (10, 10));
    bench.xdotool(&["click", "--repeat", "2", "--delay", "20", "1"]).expect("a double click");
    shown("oaktap - sim-1");
    wait_for("full screen", || (bench.place() == ((0, 0), (1300, 800))).then_some(()));
    // Another place, so that it is not a third click.
    point(&bench, (650, 400));
    bench.xdotool(&["click", "--repeat", "2", "--delay", "20", "1"]).expect("a double click");
    wait_for("a window", || (bench.place().1 == (width, height)).then_some(()));
    // The same camera as before the double click.
    shown("oaktap - sim-1");
    // The menu: its first entry pauses.
    let line = |seen: &RgbImage| count(seen, GREEN);
    bench.hide_hud();
    point(&bench, (100, 100));
    click(&bench, "3");
    bench.until("the menu", |seen| line(seen) > 15);
    bench.key("Escape");
    bench.until("no menu", |seen| line(seen) < 8);
    click(&bench, "3");
    bench.until("the menu again", |seen| line(seen) > 15);
    point(&bench, (120, 118));
    click(&bench, "1");
    bench.until("no menu, and a pause", |seen| line(seen) < 8);
    let mut last = None;
    wait_for("a picture that stands still", || {
        let now = bench.look();
        let still = last.as_ref() == Some(&now);
        last = Some(now);
        thread::park_timeout(Duration::from_millis(300));
        still.then_some(())
    });
    bench.key("q");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
}

/// At 1x and 2x: the pixel under the pointer stays there, and follows the pointer when it is dragged.
#[test]
fn the_wheel_zooms_at_the_pointer_and_dragging_moves_the_picture() {
    for scale in ["1", "2"] {
        let uri = "sim:?fps=5&boxes=0&size=640x360";
        let arguments = [uri, "--scale", scale].map(str::to_owned);
        let Some(bench) = Bench::managed("1400x900", "view", &arguments) else { return };
        bench.until("a picture", |seen| seen.dimensions() == (640, 360) && !is_grey(seen));
        bench.hide_hud();
        let (_, said) = bench.paused_and_saved(1);
        let sent = Sent::of(&said[0], uri);
        let near = |a: [u8; 3], b: [u8; 3]| a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) < 10);
        let at = (200_u32, 150_u32);
        point(&bench, at);
        for _ in 0..7 {
            click(&bench, "4");
        }
        // 1.25 to the power of 7 is 4.77: each pixel is a block.
        let times = 1.25_f64.powi(7);
        let shows = |seen: &RgbImage, from: (u32, u32)| {
            [(0_i32, 0_i32), (60, 0), (0, 60), (-90, 40), (80, -70)].into_iter().all(|(right, down)| {
                let pixel = |start: u32, by: i32| (f64::from(start) + f64::from(by) / times) as u32;
                let (x, y) = (pixel(at.0, right), pixel(at.1, down));
                let seen = seen.get_pixel(from.0.saturating_add_signed(right), from.1.saturating_add_signed(down)).0;
                (-1..=1).any(|dx| {
                    (-1..=1).any(|dy| near(seen, sent.pixel(x.saturating_add_signed(dx), y.saturating_add_signed(dy))))
                })
            })
        };
        bench.until("the pixel under the pointer in its place", |seen| shows(seen, at));
        bench.xdotool(&["mousedown", "1"]).expect("a button");
        let to = (300, 190);
        point(&bench, (250, 170));
        point(&bench, to);
        bench.xdotool(&["mouseup", "1"]).expect("a button");
        bench.until("the pixel under the pointer again", |seen| shows(seen, to));
        bench.key("q");
        let (status, said) = bench.end();
        assert!(in_order(status), "{status}: {said}");
    }
}

/// Two recordings of one folder play at the same time, and are stepped and sought together.
#[test]
fn recordings_of_a_folder_play_side_by_side() {
    let made = [30, 60].map(|frames| Recording::new(&["size=480x264&format=GRAY8&boxes=0&records=on"], frames));
    let folder = tempfile::tempdir().expect("a folder");
    for (n, recording) in made.iter().enumerate() {
        let below = folder.path().join(format!("camera-{n}"));
        std::fs::create_dir(&below).expect("a folder");
        std::fs::copy(recording.path(), below.join("a.mcap")).expect("a copy");
    }
    let path = folder.path().to_str().expect("a name").to_owned();
    let Some(bench) = Bench::run("replay", &[path]) else { return };
    bench.until("two pictures", |seen| seen.dimensions() == (480, 530));
    bench.key("space");
    bench.key("i");
    bench.key("i");
    let shows = |seen: &RgbImage, recording: usize, at: usize| {
        shows_in_column(seen, recording, made[recording].frames[0][at].payload())
    };
    bench.key("End");
    // The other recording is shorter.
    bench.until("the last picture", |seen| shows(seen, 1, 59));
    bench.key("Home");
    bench.until("the first pictures", |seen| shows(seen, 0, 0) && shows(seen, 1, 0));
    bench.key("period");
    bench.until("the second pictures", |seen| shows(seen, 0, 1) && shows(seen, 1, 1));
    bench.key("q");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
    let (code, _, said) =
        program::run(&["replay", folder.path().join("camera-0").to_str().expect("a name"), "--no-window"]);
    assert_eq!(code, 0, "{said}");
    let empty = tempfile::tempdir().expect("a folder");
    let (code, _, said) = program::run(&["replay", empty.path().to_str().expect("a name")]);
    assert!(
        code == 1
            && said.contains("no recording (*.mcap) below the folder")
            && said.contains("help: `oaktap record CAMERA -o "),
        "{said}"
    );
}

/// Returns whether the tile with this number, of tiles of 480x264 one below the other, shows a gray picture.
fn shows_in_column(seen: &RgbImage, tile: usize, payload: &[u8]) -> bool {
    let top = tile as u32 * 266;
    (60..200).step_by(3).all(|y| (0..240).all(|x| seen.get_pixel(x, top + y).0[1] == payload[(y * 480 + x) as usize]))
}

/// The second recording begins 13 s after the first one.
#[test]
fn a_picture_that_a_replay_does_not_show_is_not_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "size=480x264&format=GRAY8&boxes=0&records=on".parse().expect("a configuration");
    let made = [("a", 0), ("b", 13_000)].map(|(name, begins_ms)| {
        let frames = recordings::arriving(&config, 20, |n| (begins_ms + 40 * n) * recordings::MS);
        let path = folder.path().join(format!("{name}.mcap"));
        recordings::write(&path, Compression::None, &[(recordings::camera(name), frames.clone())]);
        (path.to_str().expect("UTF-8").to_owned(), frames)
    });
    let Some(mut bench) = Bench::run("replay", &made.each_ref().map(|(path, _)| path.clone())) else { return };
    bench.until("two tiles", |seen| seen.dimensions() == (480, 530));
    bench.key("space");
    bench.key("i");
    bench.key("i");
    let shows = |seen: &RgbImage, camera: usize, at: usize| shows_in_column(seen, camera, made[camera].1[at].payload());
    bench.key("End");
    bench.until("the last picture", |seen| shows(seen, 1, 19));
    bench.key("Home");
    bench.until("the first picture alone", |seen| shows(seen, 0, 0) && !shows(seen, 1, 19));
    let said = bench.snapshots(1);
    assert_eq!(said[0]["camera"], "a", "{said:?}");
    // The program saves what was asked for before it ends.
    bench.key("q");
    let status = wait_for("the end of the program", || bench.program.try_wait().expect("a child"));
    assert!(in_order(status), "{status}");
    let files = std::fs::read_dir(bench.folder.path()).expect("a folder").flatten().map(|file| file.file_name());
    let of_b: Vec<_> = files.filter(|name| name.to_string_lossy().ends_with("_b.json")).collect();
    assert!(of_b.is_empty(), "{of_b:?}");
}
