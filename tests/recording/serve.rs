//! A recording is served on the wire exactly as a camera would send it.

use std::io::{BufRead as _, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use oaktap::frame::{Frame, PixelFormat};
use oaktap::recording::{Reader, RecordingServer, Series, Speed};
use oaktap::sim::{SimConfig, Simulator};
use oaktap::source::{Outlets, Session, SessionOptions, Timeouts};
use oaktap::wire::encode;

use crate::luxonis_page::{self, Process};
use crate::program;
use crate::recordings::Recording;

/// Longer than any operation takes on a busy machine.
const AGES: Duration = Duration::from_secs(60);

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

fn series(recording: &Recording, camera: usize) -> Series {
    Series::new(Reader::open(&recording.path()).unwrap(), &[], camera).unwrap()
}

/// The first confirmed frames of a source, or all of them until it ends.
fn confirmed(uri: &str, frames: usize, reconnect: bool) -> Vec<Arc<Frame>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (tx, rx) = channel();
    let outlets = Outlets::default();
    outlets.confirmed.tap(move |frame: &Arc<Frame>| {
        // A test that has seen enough does not listen any more.
        let _ = tx.send(Arc::clone(frame));
    });
    // A pause has no meaning on a busy machine.
    let timeouts = Timeouts { connect: AGES, first_byte: AGES, stalled: AGES, idle: AGES, idle_fixed: None };
    let options = SessionOptions { reconnect, timeouts, ..SessionOptions::default() };
    let session = Session::start("cam", uri.parse().expect(uri), options, outlets, runtime.handle());
    let mut kept = Vec::new();
    while kept.len() < frames
        && let Ok(frame) = rx.recv_timeout(AGES)
    {
        kept.push(frame);
    }
    if kept.len() == frames {
        session.stop();
    }
    session.wait().unwrap_or_else(|error| panic!("{uri}: {error}"));
    kept
}

/// All bytes of a frame on the wire.
fn said(frame: &Frame) -> (Vec<u8>, &'static str, String, u32, usize) {
    let mut head = Vec::new();
    encode::head(frame, &mut head);
    let detections = format!("{:?} {:?} {:?}", frame.detections, frame.labels, frame.camera_seq);
    (head, frame.dialect, detections, crc32fast::hash(frame.payload()), frame.payload().len())
}

/// Every pixel type, every coding in every dialect that supports it, and extension records.
fn kinds() -> Vec<String> {
    let mosaics = PixelFormat::MOSAICS.iter().step_by(5);
    let pixels = PixelFormat::ALL.iter().chain(mosaics).map(|format| format!("format={format}&dialect=IMG"));
    let coded = ["JPEG", "H264", "H265"]
        .into_iter()
        .flat_map(|coding| ["ABCDE", "FRAME"].map(|dialect| format!("format={coding}&dialect={dialect}")));
    // Headers of 256 bytes precede JPEG files only, whose end is visible in the payload.
    let others = [
        "format=JPEG&dialect=ABCDE-256",
        "format=H264&dialect=IMG",
        "format=H265&dialect=IMG",
        "records=on",
        "records=on&dialect=FRAME",
    ];
    pixels.chain(coded).chain(others.map(str::to_owned)).collect()
}

/// Records a simulated camera with faults, serves the recording, and records that.
fn records_again(kind: &str, frames: usize, seed: usize) {
    // No resets: a reset discards what the receiver has not read, so that the recorded frames depend on the machine's load.
    let faults = "short:0.04,header:0.02,junk:0.04,overflow:0.04,size:0.02,cut:0.02,reboot:0.01";
    // Only the next header shows where an H.264 payload ends. In the first frame of a connection, which has no earlier
    // frame to compare with, an unknown record there counts as damage.
    let foreign = if kind.contains("format=H26") { "" } else { ",foreign:0.04" };
    let uri = format!("sim:?size=64x48&fps=0&boxes=4&seed={seed}&fault={faults}{foreign}&{kind}");
    let first = Recording::of(vec![confirmed(&uri, frames, true)]);
    assert_eq!(first.frames[0].len(), frames, "{uri}");
    let server = RecordingServer::start(listener(), series(&first, 0), Speed::Max, false).unwrap();
    let again = confirmed(&server.local_addr().to_string(), usize::MAX, false);
    for (at, (one, other)) in first.frames[0].iter().zip(&again).enumerate() {
        assert!(said(one) == said(other), "{uri}, frame {at}: {one:?}\nbecame {other:?}");
    }
    assert_eq!(again.len(), frames, "{uri}");
    let served = server.stop();
    assert_eq!((served.frames, served.connections, served.abandoned), (frames as u64, 1, 0), "{uri}");
    // A file made from it holds the same bytes.
    let second = Recording::of(vec![again]);
    let file = format!("file:{}?speed=max", second.path().display());
    let played = confirmed(&file, usize::MAX, false);
    assert!(played.iter().map(|frame| said(frame)).eq(first.frames[0].iter().map(|frame| said(frame))), "{uri}");
}

/// 2,000 frames, about 45 of each kind.
#[test]
fn a_served_recording_is_recorded_again_bit_for_bit() {
    let kinds = kinds();
    let each = 2000_usize.div_ceil(kinds.len());
    for (seed, kind) in kinds.iter().enumerate() {
        records_again(kind, each, seed);
    }
}

/// `cargo test --release --test recording serve -- --ignored`: 2,000 frames of each kind.
#[test]
#[ignore = "takes minutes"]
fn two_thousand_frames_of_each_kind_are_recorded_again_bit_for_bit() {
    for (seed, kind) in kinds().iter().enumerate() {
        records_again(kind, 2000, seed);
    }
}

#[test]
fn every_client_receives_the_recording_from_its_beginning() {
    let recording = Recording::new(&["size=64x48"], 20);
    let server = RecordingServer::start(listener(), series(&recording, 0), Speed::Max, true).unwrap();
    for _ in 0..3 {
        let mut client = TcpStream::connect(server.local_addr()).unwrap();
        let mut head = Vec::new();
        // Twice through the recording, and a little further.
        for frame in recording.frames[0].iter().cycle().take(45) {
            head.clear();
            encode::head(frame, &mut head);
            let mut bytes = vec![0; head.len() + frame.payload().len()];
            client.read_exact(&mut bytes).unwrap();
            assert!(bytes == [&head, frame.payload()].concat());
        }
    }
    assert!(!server.is_over());
    let mut first = TcpStream::connect(server.local_addr()).unwrap();
    first.read_exact(&mut [0; 32]).unwrap();
    let second = TcpStream::connect(server.local_addr()).unwrap();
    second.set_nonblocking(true).unwrap();
    let silence = (&second).read(&mut [0]).expect_err("one at a time");
    assert_eq!(silence.kind(), std::io::ErrorKind::WouldBlock);
    let served = server.stop();
    assert_eq!(served.connections, 4);
    assert!(served.frames >= 3 * 45 && served.error.is_none(), "{served:?}");
}

#[test]
fn without_a_loop_serving_ends_after_one_client_has_read_everything() {
    let recording = Recording::new(&["size=64x48", "size=64x48&seed=2"], 20);
    let server = RecordingServer::start(listener(), series(&recording, 1), Speed::Max, false).unwrap();
    let mut one = TcpStream::connect(server.local_addr()).unwrap();
    one.read_exact(&mut [0; 100]).unwrap();
    drop(one);
    let mut all = Vec::new();
    TcpStream::connect(server.local_addr()).unwrap().read_to_end(&mut all).unwrap();
    let mut sent = Vec::new();
    for frame in &recording.frames[1] {
        encode::head(frame, &mut sent);
        sent.extend_from_slice(frame.payload());
    }
    assert!(all == sent, "every byte of the second camera");
    while !server.is_over() {
        std::thread::yield_now();
    }
    let served = server.stop();
    assert_eq!(served.connections, 2);
    // The first client may have been sent more than it read: up to the size of the system's buffers.
    assert!((20..=40).contains(&served.frames) && served.abandoned <= 1, "{served:?}");
}

/// The program: record, serve, record again, verify.
#[test]
fn the_program_records_what_it_serves() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let (code, out, said) = program::run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}");
        out
    };
    let (first, second) = (file("first.mcap"), file("second.mcap"));
    run(&[
        "record",
        "sim:?size=64x48&fps=200&records=off",
        "sim:?size=64x48&fps=200&seed=2&records=off",
        "-o",
        &first,
        "--frames",
        "100",
    ]);
    let mut server = program::oaktap(&["replay", &first, "--serve", "127.0.0.1:0", "--speed", "max"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .map(Process)
        .unwrap();
    let mut said = std::io::BufReader::new(server.0.stderr.take().unwrap()).lines();
    let mut address = || {
        let line = said.next().unwrap().unwrap();
        let address = line.strip_prefix("listening on tcp://").and_then(|rest| rest.split(' ').next());
        address.unwrap_or_else(|| panic!("{line}")).to_owned()
    };
    let addresses = [address(), address()];
    run(&["record", &addresses[0], &addresses[1], "-o", &second, "--frames", "100"]);
    // Serving ends once its clients have read everything.
    assert!(server.0.wait().unwrap().success());
    let rest: Vec<_> = said.map(Result::unwrap).collect();
    assert!(rest.iter().all(|line| line.contains("1 connection, 100 frames, 0 abandoned")), "{rest:?}");

    for recording in [&first, &second] {
        run(&["verify", recording]);
    }
    let hashes = |path: &str, camera: &str| {
        let lines = run(&["detections", &format!("file:{path}?speed=max&camera={camera}"), "--hash"]);
        let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.map(|line| (line["sha256"].clone(), line["device_time_us"].clone())).collect::<Vec<_>>()
    };
    let names = |path: &str| {
        let reader = oaktap::recording::Reader::open(path.as_ref()).unwrap();
        reader.cameras().map(|camera| camera.name.clone()).collect::<Vec<_>>()
    };
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for (path, into) in [(&first, &mut one), (&second, &mut other)] {
        for name in names(path) {
            into.push(hashes(path, &name));
        }
    }
    // Cameras are in the order of their first frames.
    one.sort_by_key(|frames| frames[0].0.to_string());
    other.sort_by_key(|frames| frames[0].0.to_string());
    assert_eq!(one.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100]);
    assert!(one == other);
    // Without a socket: from one file to another.
    let third = file("third.mcap");
    run(&["record", &format!("file:{first}?speed=max"), "-o", &third]);
    run(&["verify", &third]);
    assert_eq!(names(&third).len(), 2);
}

#[test]
fn a_replay_without_a_window_ends_with_a_summary() {
    let recording = Recording::new(&["size=64x48", "size=64x48&seed=2"], 30);
    let path = recording.path().to_str().unwrap().to_owned();
    let run = |more: &[&str]| program::run(&[&["replay", &path], more].concat());
    let (code, out, said) = run(&["--no-window", "--speed", "max", "--json"]);
    assert_eq!(code, 0, "{said}");
    let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
    let cameras = summary["summary"]["cameras"].as_array().unwrap();
    assert_eq!(cameras.iter().map(|camera| camera["frames"]["confirmed"].as_u64()).collect::<Vec<_>>(), [Some(30); 2]);
    let (code, _, said) = run(&["--no-window", "--camera", "cam 1", "--speed", "max"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("cam 1") && !said.contains("cam 0"), "{said}");
    let (code, _, said) = run(&["--camera", "cam 7"]);
    assert_eq!(code, 2);
    assert!(said.contains("the recording has no camera `cam 7`; it has cam 0, cam 1"), "{said}");
    let (code, _, said) = run(&["--speed", "0"]);
    assert_eq!(code, 2);
    assert!(said.contains("expected 0.001 to 1000 times, or max"), "{said}");
    let taken = listener();
    let (code, _, said) = run(&["--camera", "cam 1", "--serve", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(code, 1);
    assert!(said.contains("cannot listen on") && said.contains("--serve 127.0.0.1:0 selects a free one"), "{said}");
}

#[test]
fn luxonis_host_program_reads_a_served_recording() {
    let Some(program) = luxonis_page::program("receive and visualize detections") else { return };
    let config = "fps=0&boxes=4";
    let simulator = Simulator::start(listener(), &config.parse::<SimConfig>().unwrap()).unwrap();
    let camera = luxonis_page::seen_by_the_host(&program, simulator.local_addr().port(), 100);
    drop(simulator);
    assert_eq!(camera.len(), 100);
    let recording = Recording::new(&[config], 110);
    // As fast as the client reads, and much faster than recorded.
    for speed in [Speed::Max, Speed::Times(8.0)] {
        let server = RecordingServer::start(listener(), series(&recording, 0), speed, false).unwrap();
        assert_eq!(luxonis_page::seen_by_the_host(&program, server.local_addr().port(), 100), camera, "{speed}");
    }
}
