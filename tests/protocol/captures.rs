//! Captured streams of the public on-camera programs, compared with the programs' own logs.
//!
//! The captures are stored beside the repository; without them the tests are skipped with a message.

use std::path::PathBuf;
use std::sync::Arc;

use oaktap::frame::{Counters, Frame, Interpreter, Pool, Received};
use oaktap::wire::{Decoder, Event, Limits, encode};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn captures() -> Option<PathBuf> {
    let shared = std::env::var_os("OAKTAP_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    let captures = shared.join("captures/stream");
    if captures.is_dir() {
        return Some(captures);
    }
    eprintln!("SKIPPED: no captures at {}", captures.display());
    None
}

/// Decodes a stream that arrives in these pieces.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Arc<Frame>> {
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    let (mut provisional, mut confirmed) = (None, Vec::new());
    let mut received = 0;
    let mut drain = |decoder: &mut Decoder| {
        while let Some(event) = decoder.poll() {
            match event {
                Event::Frame(frame) => provisional = Some(frame),
                Event::Confirmed(_) => confirmed.extend(provisional.take()),
                Event::Aged(_) => {}
                other => panic!("unexpected event in a clean stream: {other:?}"),
            }
        }
        assert!(decoder.byte_counts().balance());
    };
    for piece in pieces {
        received += piece.len() as u64;
        decoder.feed(piece, Received::default());
        drain(&mut decoder);
    }
    decoder.finish();
    drain(&mut decoder);
    assert_eq!(decoder.byte_counts().received, received);
    confirmed
}

/// Encodes the frames back to the bytes of the stream.
fn again(frames: &[Arc<Frame>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        encode::head(frame, &mut bytes);
        bytes.extend_from_slice(frame.payload());
    }
    bytes
}

fn matches(frame: &Frame, taken: &Value, header: &str, has_detections: bool, name: &str) {
    let sha: String = Sha256::digest(frame.payload()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sha, taken["sha"], "{name}: payload of {header}");
    assert_eq!(frame.header, header.as_bytes(), "{name}");
    let micros = (taken["ts"].as_f64().expect("a time") * 1e6).round() as i64;
    assert_eq!(frame.device_time.0, micros, "{name}");
    // Its program counts nothing in so few frames.
    assert_eq!(frame.counters, (frame.dialect == "ABCDE-256").then(Counters::default), "{name}");
    if !has_detections {
        let tracked = header.matches("'ID ").count();
        assert_eq!((frame.detections.len(), frame.tracks.len()), (0, tracked), "{name}");
        return;
    }
    let sent = taken["dets"].as_array().expect("detections");
    assert_eq!(frame.detections.len(), sent.len(), "{name}");
    for (found, sent) in frame.detections.iter().zip(sent) {
        let number = |at: usize| sent[at].as_f64().expect("a number");
        let near = |found: f32, sent: f64, step: f64| (f64::from(found) - sent).abs() <= step / 2.0 + 1e-6;
        assert_eq!(u64::from(found.label), sent[0].as_u64().expect("a label"), "{name}");
        assert!(near(found.confidence, number(1), 1e-3), "{name}: {found:?} for {sent}");
        let edges = [found.bbox.xmin, found.bbox.ymin, found.bbox.xmax, found.bbox.ymax];
        assert!((2..6).all(|at| near(edges[at - 2], number(at), 1e-4)), "{name}: {found:?} for {sent}");
    }
}

#[test]
fn every_capture_matches_its_manifest() {
    let Some(captures) = captures() else { return };
    for name in ["img-bgr-64x48", "img-exp-64x48", "abcde-mjpeg-64x48", "abcde-h264-64x48", "abcde256-64x48"] {
        let stream = std::fs::read(captures.join(format!("{name}.bin"))).expect("a capture");
        let manifest = std::fs::read(captures.join(format!("{name}.json"))).expect("a manifest");
        let manifest: Vec<Value> = serde_json::from_slice(&manifest).expect("a list of events");
        let of = |kind: &str, value: &str| manifest.iter().filter(|event| event[kind] == value).collect::<Vec<_>>();
        let headers = of("kind", "header");
        // The on-camera program may have logged one more frame than it could send.
        let taken = of("ev", "take");
        assert!(!headers.is_empty() && taken.len() >= headers.len());
        for chunk in [1, 7, 1448, stream.len()] {
            let frames = decode(stream.chunks(chunk));
            assert_eq!(frames.len(), headers.len(), "{name} in pieces of {chunk}");
            assert!(again(&frames) == stream, "{name} in pieces of {chunk}");
            for ((frame, taken), header) in frames.iter().zip(&taken).zip(&headers) {
                matches(frame, taken, header["text"].as_str().expect("a header"), name.starts_with("img"), name);
            }
        }
    }
}

#[test]
fn a_capture_split_at_every_byte_gives_the_same_frames() {
    let Some(captures) = captures() else { return };
    let stream = std::fs::read(captures.join("img-exp-64x48.bin")).expect("a capture");
    let whole = decode([&stream[..]].into_iter());
    assert_eq!(whole.len(), 3);
    for cut in 0..=stream.len() {
        let (a, b) = stream.split_at(cut);
        let frames = decode([a, b].into_iter());
        assert_eq!(frames.len(), 3, "cut at {cut}");
        let same = |(a, b): (&Arc<Frame>, &Arc<Frame>)| (a.id, a.at, a.payload()) == (b.id, b.at, b.payload());
        assert!(frames.iter().zip(&whole).all(same), "cut at {cut}");
    }
}
