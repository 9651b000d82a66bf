//! Recordings of simulated cameras, made without sockets and with fixed times.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oaktap::frame::{Frame, Interpreter, Pool, Received};
use oaktap::recording::{CameraInfo, Compression, SegmentWriter};
use oaktap::sim::{SimConfig, Stream};
use oaktap::wire::{Decoder, Event, Limits};

/// When the first frame arrives: 2026-09-21T13:06:40Z.
pub(crate) const START_NS: i64 = 1_790_000_000_000_000_000;
/// From exposure to arrival.
pub(crate) const DELAY_NS: i64 = 5_000_000;
pub(crate) const MS: i64 = 1_000_000;

/// The first frames of a simulated camera, one frame time apart (40 per second by default).
pub(crate) fn frames(config: &str, count: usize) -> Vec<Arc<Frame>> {
    let config: SimConfig = config.parse().expect("a configuration");
    let step_ns = (1e9 / if config.fps == 0.0 { 40.0 } else { config.fps }) as i64;
    arriving(&config, count, |number| step_ns * number)
}

/// The first frames of a simulated camera; frame n arrives `after_ns(n)` after [`START_NS`].
pub(crate) fn arriving(config: &SimConfig, count: usize, after_ns: impl Fn(i64) -> i64) -> Vec<Arc<Frame>> {
    let mut stream = Stream::new(config).expect("a camera");
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    let mut frames: Vec<Arc<Frame>> = Vec::new();
    while frames.len() < count {
        let bytes = stream.turn().bytes();
        let after_ns = after_ns(frames.len() as i64);
        let received = Received { mono_ns: 1 + after_ns as u64, unix_ns: START_NS + after_ns };
        decoder.feed(&bytes, received);
        while let Some(event) = decoder.poll() {
            if let Event::Frame(frame) = event {
                frames.push(frame);
            }
        }
    }
    // Decides whether the last ones waited in the camera.
    decoder.finish();
    frames.truncate(count);
    frames
}

/// Its exposure on the camera's clock, which started at [`START_NS`].
pub(crate) fn taken_ns(frame: &Frame) -> i64 {
    START_NS - DELAY_NS + 1000 * frame.device_time.0
}

pub(crate) fn camera(name: &str) -> CameraInfo {
    CameraInfo { name: name.to_owned(), address: format!("tcp://{name}:5000"), labels: None }
}

/// Writes the frames of these cameras alternately.
pub(crate) fn write<F: AsRef<Frame>>(path: &Path, compression: Compression, cameras: &[(CameraInfo, Vec<F>)]) {
    let infos: Vec<_> = cameras.iter().map(|(info, _)| info.clone()).collect();
    let file = File::create_new(path).expect("a new file");
    let mut writer = SegmentWriter::new(file, compression, &infos, START_NS).expect("a recording");
    for number in 0..cameras.iter().map(|(_, frames)| frames.len()).max().unwrap_or(0) {
        for (camera, (_, frames)) in cameras.iter().enumerate() {
            let Some(frame) = frames.get(number).map(AsRef::as_ref) else { continue };
            writer.frame(camera, frame, taken_ns(frame)).expect("write");
        }
        if writer.open_bytes() > 1 << 20 {
            writer.flush().expect("write");
        }
    }
    writer.finish(&[]).expect("write");
}

/// A recording in its own folder.
pub(crate) struct Recording {
    pub(crate) folder: tempfile::TempDir,
    /// The written frames of each camera.
    pub(crate) frames: Vec<Vec<Arc<Frame>>>,
}

impl Recording {
    /// Of simulated cameras, 40 ms between frames and 10 ms between cameras.
    pub(crate) fn new(configs: &[&str], frames: usize) -> Self {
        let camera = |(camera, config): (i64, &&str)| {
            let config = config.parse().expect("a configuration");
            arriving(&config, frames, |number| (10 * camera + 40 * number) * MS)
        };
        Self::of((0..).zip(configs).map(camera).collect())
    }

    /// Of these frames of each camera, with their arrival times.
    pub(crate) fn of(frames: Vec<Vec<Arc<Frame>>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = |n: usize| CameraInfo { name: format!("cam {n}"), ..CameraInfo::default() };
        let cameras: Vec<_> = (0..frames.len()).map(name).collect();
        let file = File::create(folder.path().join("a.mcap")).unwrap();
        let mut writer = SegmentWriter::new(file, Compression::None, &cameras, START_NS).unwrap();
        for at in 0..frames.iter().map(Vec::len).max().unwrap_or(0) {
            for (camera, frames) in frames.iter().enumerate() {
                if let Some(frame) = frames.get(at) {
                    writer.frame(camera, frame, frame.received.unix_ns).unwrap();
                }
            }
            if at % 5 == 4 {
                writer.flush().unwrap();
            }
        }
        writer.finish(&[]).unwrap();
        Self { folder, frames }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("a.mcap")
    }
}
