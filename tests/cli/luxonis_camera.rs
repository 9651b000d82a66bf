//! The camera program of Luxonis' standalone page, run by Python, is received bit for bit.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use oaktap::frame::{Frame, Interpreter, PixelFormat, Pool, Received};
use oaktap::wire::{Decoder, Event, Limits};
use sha2::{Digest, Sha256};

use crate::luxonis_page::{self, Process};

const PROGRAM: &str = "Final Script node code will look like this";

/// The running program, and the port at which it listens.
struct Camera {
    process: Process,
    port: u16,
    // Its output is larger than a pipe's buffer, so a thread must read it all the time.
    lines: JoinHandle<Vec<serde_json::Value>>,
}

impl Camera {
    fn start(frames: usize, piece: usize) -> Option<Self> {
        let program = luxonis_page::program(PROGRAM)?;
        let mut process = luxonis_page::python("camera.py")
            .args([frames.to_string(), piece.to_string()])
            .spawn()
            .map(Process)
            .expect("python3 starts");
        let mut stdin = process.0.stdin.take().expect("a pipe");
        stdin.write_all(program.as_bytes()).expect("Python reads the program");
        drop(stdin);
        let mut lines = BufReader::new(process.0.stdout.take().expect("a pipe")).lines();
        let port = lines.next().expect("the port").expect("a line").parse().expect("a number");
        let lines = std::thread::spawn(move || {
            lines.map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON")).collect()
        });
        Some(Self { process, port, lines })
    }

    /// The frames that it reports as sent, after it has ended.
    fn sent(mut self) -> Vec<serde_json::Value> {
        assert!(self.process.0.wait().expect("it ends").success());
        self.lines.join().expect("every line was read")
    }
}

/// Returns the confirmed frames until the camera closes the connection, with reads of at most `at_once` bytes.
fn receive(port: u16, at_once: usize) -> Vec<Arc<Frame>> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    let (mut provisional, mut confirmed) = (None, Vec::new());
    loop {
        let space = decoder.space();
        let len = space.len().min(at_once);
        let n = socket.read(&mut space[..len]).expect("bytes");
        if n == 0 {
            decoder.finish();
        } else {
            decoder.commit(n, Received::default());
        }
        while let Some(event) = decoder.poll() {
            match event {
                Event::Frame(frame) => provisional = Some(frame),
                Event::Confirmed(id) => {
                    let frame: Arc<Frame> = provisional.take().expect("the frame was returned before");
                    assert_eq!(frame.id, id);
                    confirmed.push(frame);
                }
                Event::Aged(_) => {}
                other => panic!("unexpected event in a clean stream: {other:?}"),
            }
        }
        assert!(decoder.byte_counts().balance(), "{:?}", decoder.byte_counts());
        if n == 0 {
            assert_eq!((decoder.byte_counts().skipped, decoder.byte_counts().pending), (0, 0));
            return confirmed;
        }
    }
}

fn near(found: f32, sent: &serde_json::Value, error: f64) -> bool {
    (f64::from(found) - sent.as_f64().expect("a number")).abs() <= error
}

#[test]
fn the_library_receives_luxonis_camera_program_bit_for_bit() {
    // Unlimited reads, reads of the usual segment size on a slow link, and reads that split every field.
    for (frames, piece) in [(40, 0), (20, 1448), (6, 7)] {
        let Some(camera) = Camera::start(frames, piece) else { return };
        let received = receive(camera.port, if piece == 0 { usize::MAX } else { piece });
        let sent = camera.sent();
        assert_eq!((received.len(), sent.len()), (frames, frames), "pieces of {piece}");
        for (frame, truth) in received.iter().zip(&sent) {
            let sha256: String = Sha256::digest(frame.payload()).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(sha256, truth["sha256"], "frame {} in pieces of {piece}", frame.id);
            assert_eq!(frame.device_time.0, truth["device_time_us"]);
            let geometry = frame.geometry.expect("640x352 is guessed");
            assert_eq!((geometry.format, geometry.width, geometry.height), (PixelFormat::Bgr888p, 640, 352));
            let boxes = truth["detections"].as_array().expect("a list");
            assert_eq!(frame.detections.len(), boxes.len());
            for (found, sent) in frame.detections.iter().zip(boxes) {
                // The text has one decimal of the percentage and four of the edges.
                let same = found.label == sent[0]
                    && near(found.confidence, &sent[1], 0.0005 + 1e-6)
                    && near(found.bbox.xmin, &sent[2], 0.00005 + 1e-6)
                    && near(found.bbox.ymin, &sent[3], 0.00005 + 1e-6)
                    && near(found.bbox.xmax, &sent[4], 0.00005 + 1e-6)
                    && near(found.bbox.ymax, &sent[5], 0.00005 + 1e-6);
                assert!(same, "{found:?} was sent as {sent}");
            }
            assert_eq!(oaktap::wire::encode::detections(&frame.detections), frame.detection_text);
        }
    }
}

#[test]
fn the_program_prints_the_hashes_of_luxonis_camera_program() {
    for (frames, piece) in [(30, 0), (10, 1448), (3, 7)] {
        let Some(camera) = Camera::start(frames, piece) else { return };
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_oaktap"))
            .args([
                "detections",
                &format!("tcp://127.0.0.1:{}", camera.port),
                "--hash",
                "--frames",
                &frames.to_string(),
            ])
            .output()
            .expect("it starts");
        let said = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stderr));
        let sent = camera.sent();
        let lines: Vec<serde_json::Value> =
            said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!((lines.len(), sent.len()), (frames, frames), "pieces of {piece}");
        for (line, truth) in lines.iter().zip(&sent) {
            assert_eq!((&line["sha256"], &line["device_time_us"]), (&truth["sha256"], &truth["device_time_us"]));
            assert_eq!((&line["width"], &line["height"]), (&640.into(), &352.into()));
            let labels = |list: &serde_json::Value, key: &dyn Fn(&serde_json::Value) -> serde_json::Value| {
                list.as_array().expect("a list").iter().map(key).collect::<Vec<_>>()
            };
            let said = labels(&line["detections"], &|one| one["label"].clone());
            assert_eq!(said, labels(&truth["detections"], &|one| one[0].clone()));
        }
    }
}
