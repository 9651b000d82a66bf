//! Twelve cameras of all kinds in one window, with faults on half of them.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use oaktap::frame::{DeviceTime, PayloadKind};
use oaktap::sim::{Broker, DatagramCamera, Publisher};
use oaktap::wire::encode;

use super::sizes::{Tile, places};
use super::*;
use crate::broker::{broker, is_missing};
use crate::external_tools::system;
use crate::program::Running;
use crate::video_peer::{encoded, frames};

const SIZE: (u32, u32) = (320, 176);

/// Frames per second of each camera.
const FPS: u64 = 10;

/// A camera: its name, its stream if it listens for TCP, and whether it sends faults. ABCDE, which is also the dialect of JPEG and
/// H.264, has boxes in records only.
const LISTENING: [(&str, &str, bool); 8] = [
    ("raw", "format=BGR888p&records=on", false),
    ("depth", "format=RAW16&records=on", false),
    ("jpeg", "format=jpeg&records=on&fault=short:0.04&fault=junk:0.04", true),
    ("h264", "format=H264&records=on&fault=short:0.04&fault=header:0.02", true),
    ("nv12", "format=NV12&fault=cut:0.02&fault=foreign:0.04", true),
    ("abcde", "dialect=ABCDE&format=jpeg&records=on&fault=short:0.03&fault=reset:0.02", true),
    ("frame", "dialect=FRAME&format=H264&fault=junk:0.04&fault=short:0.03", true),
    ("http", "format=jpeg", false),
];

/// The other cameras, and whether they send faults.
const OTHERS: [(&str, bool); 4] = [("h265", false), ("post", false), ("mqtt", false), ("udp", true)];

/// The streams of `post` and `mqtt`, which are pictures with detections beside them.
const JPEG: &str = "format=jpeg";

/// The stream of `udp`.
const UDP: &str = "format=jpeg&records=on&fault=loss:0.01";

/// Counts that may differ from 0 without a fault: a simulated camera leaves out frames while the machine has no time for it, and
/// estimates are doubts.
fn is_loss(finding: &Value) -> bool {
    finding["weight"] != "doubt" && finding["count"] != "numbers.not_sent"
}

fn reel(config: &str, seed: usize) -> Arc<Reel> {
    let (width, height) = SIZE;
    let config = format!("size={width}x{height}&fps={FPS}&boxes=2&seed={seed}&{config}");
    Arc::new(Reel::new(&config.parse().expect("a configuration")).expect("a reel"))
}

/// Runs work again and again on a thread until it is dropped.
struct Loop {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Loop {
    fn start(mut work: impl FnMut() + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                work();
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        // The test has failed for another reason if it panics.
        assert!(ended.is_none_or(|ended| ended.is_ok()) || thread::panicking(), "a camera failed");
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port")
}

/// Serves video of H.265 that ffmpeg has encoded: the simulator has no encoder for it.
fn h265(ffmpeg: Command) -> (String, Loop) {
    let stream = encoded(ffmpeg, PayloadKind::H265, &format!("{}x{}", SIZE.0, SIZE.1), 60, &[]);
    let frames = frames(PayloadKind::H265, &stream);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    listener.set_nonblocking(true).expect("a listener");
    let (mut client, mut number): (Option<TcpStream>, usize) = (None, 0);
    let camera = Loop::start(move || {
        let Some(open) = &mut client else {
            client = listener.accept().ok().map(|(client, _)| client);
            number = 0;
            // Begins with a key frame. The stream is paced by the clock of the thread.
            thread::park_timeout(Duration::from_millis(10));
            return;
        };
        let payload = frames[number % frames.len()].payload();
        let time = DeviceTime(number as i64 * 1_000_000 / FPS as i64);
        let message = [&*encode::img(time, payload.len(), 0), payload].concat();
        open.set_nonblocking(false).expect("a socket");
        if open.write_all(&message).is_err() {
            client = None;
        }
        number += 1;
        thread::park_timeout(Duration::from_millis(1000 / FPS));
    });
    (address, camera)
}

/// A camera that posts JPEG pictures once the program listens.
fn posting(address: SocketAddr, reel: Arc<Reel>) -> Loop {
    let mut number = 0;
    Loop::start(move || {
        thread::park_timeout(Duration::from_millis(1000 / FPS));
        let Ok(mut client) = TcpStream::connect(address) else { return };
        let still = reel.still(number);
        let (payload, boxes) = (&still.payload, encode::detections(&still.detections));
        let boxes = String::from_utf8(boxes).expect("text");
        let head = format!(
            "POST /post HTTP/1.1\r\nHost: x\r\nX-Detections: {boxes}\r\nContent-Length: {}\r\n\r\n",
            payload.len()
        );
        // The program may be ending.
        let sent = client.write_all(&[head.as_bytes(), payload].concat());
        let mut answer = Vec::new();
        let mut piece = [0; 512];
        while sent.is_ok() && !answer.ends_with(b"\r\n\r\n") {
            match client.read(&mut piece) {
                Ok(n) if n > 0 => answer.extend_from_slice(&piece[..n]),
                _ => break,
            }
        }
        number += 1;
    })
}

/// All cameras, their sources in the order of the window, and the program that shows them.
struct Fleet {
    bench: Bench,
    _broker: Running,
    _folder: tempfile::TempDir,
    _simulators: Vec<Simulator>,
    _loops: Vec<Loop>,
    _udp: DatagramCamera,
    _mqtt: Publisher,
}

impl Fleet {
    /// `None` where tools are missing.
    fn open() -> Option<Self> {
        let ffmpeg = system("ffmpeg")?;
        if is_missing() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (broker, port) = broker(folder.path(), &String::new);
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut sources = Vec::new();
        let mut simulators = Vec::new();
        for (seed, (name, config, _)) in LISTENING.into_iter().enumerate() {
            let reel = reel(config, seed + 1);
            let start = if name == "http" { Simulator::play_http } else { Simulator::play };
            let simulator = start(listen(), reel).expect("a camera");
            let scheme = if name == "http" { "http://" } else { "" };
            sources.push(format!("{name}={scheme}{}", simulator.local_addr()));
            simulators.push(simulator);
        }
        let (address, h265) = h265(ffmpeg);
        sources.push(format!("h265={address}"));
        let post = free_address();
        sources.push(format!("post=http-post://{post}/post"));
        sources.push(format!("mqtt=mqtt://127.0.0.1:{port}/cameras/mqtt"));
        let udp = UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        sources.push(format!("udp=udp://{udp}"));
        sources.extend(["--json", "--status", "500ms"].map(str::to_owned));
        let bench = Bench::managed("1400x900", "view", &sources)?;
        let topic =
            Broker { host: "127.0.0.1".to_owned(), port, tls: None, login: None, topic: "cameras/mqtt".to_owned() };
        let loops = vec![h265, posting(post, reel(JPEG, 10))];
        let mqtt = Publisher::start(topic, reel(JPEG, 11)).expect("a publisher");
        let udp = DatagramCamera::start(udp, reel(UDP, 12)).expect("a camera");
        Some(Self {
            bench,
            _broker: broker,
            _folder: folder,
            _simulators: simulators,
            _loops: loops,
            _udp: udp,
            _mqtt: mqtt,
        })
    }

    /// Returns the last status of each camera, in the order of the window.
    fn status(&self) -> Vec<Value> {
        let printed = printed(&self.bench.out);
        let lines = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let status: Vec<Value> = lines.filter_map(|line| line.get("status").cloned()).collect();
        status[status.len().saturating_sub(names().count())..].to_vec()
    }

    /// Waits until each tile shows a picture that changes.
    fn until_each_moves(&self) -> RgbImage {
        let count = names().count();
        let tile = |seen: &RgbImage, at: usize| {
            let place = places(count as u32, seen.dimensions(), SIZE)[at];
            let (left, top) = (place.left + place.width / 4, place.top + place.height / 4);
            image::imageops::crop_imm(seen, left, top, place.width / 2, place.height / 2).to_image()
        };
        let first = self.bench.look();
        let mut left: Vec<usize> = (0..count).collect();
        let end = Instant::now() + DEADLINE;
        loop {
            let seen = self.bench.look();
            if seen.dimensions() == first.dimensions() {
                left.retain(|at| {
                    let (before, now) = (tile(&first, *at), tile(&seen, *at));
                    // The background stands still, and objects move. A gray picture is that of a camera which is not live.
                    let changed = before.pixels().zip(now.pixels()).filter(|(before, now)| before != now).count();
                    changed * 50 < before.pixels().len() || is_grey(&now) && *at != 1
                });
            }
            if left.is_empty() {
                return seen;
            }
            let still: Vec<_> =
                names().enumerate().filter(|(at, _)| left.contains(at)).map(|(_, (name, _))| name).collect();
            assert!(Instant::now() < end, "no pictures that move: {still:?}");
        }
    }

    /// Waits until each tile shows a box of its camera: motion JPEG over HTTP and the video of H.265 have none.
    fn until_each_has_boxes(&self) {
        let listening = LISTENING.into_iter().enumerate().map(|(at, (name, config, _))| (name, config, at + 1));
        let others = [("h265", "", 9), ("post", JPEG, 10), ("mqtt", JPEG, 11), ("udp", UDP, 12)];
        let mut left: Vec<_> = listening
            .chain(others)
            .enumerate()
            .filter(|(_, (name, ..))| !["http", "h265"].contains(name))
            .map(|(at, (name, config, seed))| {
                let labels: Vec<_> = reel(config, seed).still(0).detections.iter().map(|found| found.label).collect();
                (at, name, labels)
            })
            .collect();
        let end = Instant::now() + DEADLINE;
        while !left.is_empty() {
            let seen = self.bench.look();
            let tiles = places(names().count() as u32, seen.dimensions(), SIZE);
            left.retain(|(at, _, labels)| {
                let Tile { left, top, width, height } = tiles[*at];
                let tile = image::imageops::crop_imm(&seen, left, top, width, height).to_image();
                // The lines of a box have exactly its color.
                let lines = |label: &u32| tile.pixels().filter(|pixel| pixel.0 == rgb(class_color(*label))).count();
                labels.iter().all(|label| lines(label) < 60)
            });
            assert!(Instant::now() < end, "no boxes: {left:?}");
        }
    }

    /// Ends the program. Returns the counts of each camera.
    fn end(self) -> Vec<(&'static str, bool, Value)> {
        self.bench.key("q");
        let mut fleet = self;
        let status = wait_for("the end of the program", || fleet.bench.program.try_wait().expect("a child"));
        let printed = printed(&fleet.bench.out);
        assert_eq!(status.code(), Some(3), "faults are losses: {printed}");
        let summary: Value = serde_json::from_str(printed.lines().last().expect("a summary")).expect("JSON");
        let cameras = summary["summary"]["cameras"].as_array().expect("a list").clone();
        let cameras: Vec<_> = names().zip(cameras).map(|((name, faults), counts)| (name, faults, counts)).collect();
        assert_eq!(cameras.len(), 12);
        cameras
    }
}

fn names() -> impl Iterator<Item = (&'static str, bool)> {
    LISTENING.into_iter().map(|(name, _, faults)| (name, faults)).chain(OTHERS)
}

/// Fails unless every ledger balances, cameras without faults lost nothing, and the others did.
fn check(cameras: &[(&str, bool, Value)]) {
    for (name, faults, counts) in cameras {
        assert_eq!(counts["camera"], *name);
        assert_eq!(counts["balances"], true, "{name}: {counts}");
        let findings = counts["findings"].as_array().expect("a list");
        let losses: Vec<&Value> = findings.iter().filter(|finding| is_loss(finding)).collect();
        assert_eq!(losses.is_empty(), !faults, "{name}: {losses:?}");
        let frames = |count: &str| counts["frames"][count].as_u64().expect("a number");
        assert!(frames("pictures") > 0 && frames("shown") > 0, "{name}: {counts}");
        if *name == "h265" {
            assert_eq!(counts["video"]["failed"], 0, "{name}: {counts}");
        }
    }
}

#[test]
fn twelve_cameras_of_all_kinds_are_shown_and_half_of_them_send_faults() {
    let Some(fleet) = Fleet::open() else { return };
    fleet.until_each_moves();
    fleet.until_each_has_boxes();
    // Each fault occurs in this number of frames, because the seeds are fixed.
    wait_for("sixty frames of each", || {
        let status = fleet.status();
        let has_enough = |status: &Value| status["frames"]["received"].as_u64().is_some_and(|frames| frames >= 60);
        (status.len() == 12 && status.iter().all(has_enough)).then_some(())
    });
    fleet.until_each_moves();
    check(&fleet.end());
}

/// The same for ten minutes, or for the minutes in `OAKTAP_SOAK_MINUTES`: memory does not grow in the second half.
#[test]
#[ignore = "takes ten minutes"]
fn twelve_cameras_of_all_kinds_for_ten_minutes() {
    let minutes = std::env::var("OAKTAP_SOAK_MINUTES").ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(10);
    let Some(fleet) = Fleet::open() else { return };
    fleet.until_each_moves();
    let begun = Instant::now();
    let resident_kb = || {
        let path = format!("/proc/{}/status", fleet.bench.program.id());
        let status = std::fs::read_to_string(path).expect("a running program");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    let mut samples = Vec::new();
    while begun.elapsed() < Duration::from_secs(60 * minutes) {
        samples.push(resident_kb());
        thread::park_timeout(Duration::from_secs(5));
    }
    let quarter = samples.len() / 4;
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part[part.len() / 2]
    };
    let (before, after) = (median(&samples[quarter..2 * quarter]), median(&samples[3 * quarter..]));
    println!("resident memory: {before} kB in the second quarter, {after} kB in the last one; {samples:?}");
    fleet.until_each_moves();
    fleet.until_each_has_boxes();
    let cameras = fleet.end();
    for (name, _, counts) in &cameras {
        println!("{name}: {} frames, {}", counts["frames"]["received"], counts["findings"]);
    }
    check(&cameras);
    assert!(after < before + before / 20 + 4096, "memory grows from {before} to {after} kB: {samples:?}");
}
