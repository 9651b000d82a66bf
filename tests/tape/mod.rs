//! Recordings of simulated cameras, made in memory: no socket, and times that are made up.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use oaktap::frame::{Frame, Interpreter, Pool, Received};
use oaktap::recording::{CameraInfo, Compression, SegmentWriter};
use oaktap::sim::{SimConfig, Stream};
use oaktap::wire::{Decoder, Event, Limits};

/// When the first frame arrives: 2026-09-21T13:06:40Z.
pub(crate) const START_NS: i64 = 1_790_000_000_000_000_000;
/// From its exposure to its arrival.
pub(crate) const DELAY_NS: i64 = 5_000_000;

/// The first frames of a simulated camera, a frame time apart (40 a second unless the configuration says more).
pub(crate) fn frames(config: &str, count: usize) -> Vec<Arc<Frame>> {
    let config: SimConfig = config.parse().expect("a configuration");
    let mut stream = Stream::new(&config).expect("a camera");
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    let mut frames: Vec<Arc<Frame>> = Vec::new();
    while frames.len() < count {
        let bytes = stream.turn().bytes();
        let step_ns = (1e9 / if config.fps == 0.0 { 40.0 } else { config.fps }) as i64 * frames.len() as i64;
        let received = Received { mono_ns: 1 + step_ns as u64, unix_ns: START_NS + step_ns };
        let mut part = &bytes[..];
        while !part.is_empty() {
            let space = decoder.space();
            let n = space.len().min(part.len());
            space[..n].copy_from_slice(&part[..n]);
            part = &part[n..];
            decoder.commit(n, received);
            while let Some(event) = decoder.poll() {
                if let Event::Frame(frame) = event {
                    frames.push(frame);
                }
            }
        }
    }
    frames.truncate(count);
    frames
}

/// When it is said to have been taken: on the camera's clock, which began to run at [`START_NS`].
pub(crate) fn taken_ns(frame: &Frame) -> i64 {
    START_NS - DELAY_NS + 1000 * frame.device_time.0
}

pub(crate) fn camera(name: &str) -> CameraInfo {
    CameraInfo { name: name.to_owned(), address: format!("tcp://{name}:5000"), labels: None }
}

/// Writes the frames of these cameras in turns.
pub(crate) fn write<F: AsRef<Frame>>(path: &Path, compression: Compression, cameras: &[(CameraInfo, Vec<F>)]) {
    let infos: Vec<_> = cameras.iter().map(|(info, _)| info.clone()).collect();
    let file = File::create_new(path).expect("a new file");
    let mut writer = SegmentWriter::new(file, compression, &infos, START_NS).expect("a recording");
    for number in 0..cameras.iter().map(|(_, frames)| frames.len()).max().unwrap_or(0) {
        for (camera, (_, frames)) in cameras.iter().enumerate() {
            let Some(frame) = frames.get(number).map(AsRef::as_ref) else { continue };
            writer.frame(camera, frame, taken_ns(frame)).expect("room");
        }
        if writer.open_bytes() > 1 << 20 {
            writer.flush().expect("room");
        }
    }
    writer.finish(&[]).expect("room");
}
