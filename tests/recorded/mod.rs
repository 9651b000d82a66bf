//! Recordings of simulated cameras for tests, with times of arrival that are made up.

use std::path::PathBuf;
use std::sync::Arc;

use oaktap::frame::{Frame, Interpreter, Pool, Received};
use oaktap::recording::{CameraInfo, Compression, SegmentWriter};
use oaktap::sim::{SimConfig, Stream};
use oaktap::wire::{Decoder, Event, Limits};

/// When the first frame of a recording arrived.
pub(crate) const BEGIN_NS: i64 = 1_795_248_723_500_000_000;

pub(crate) const MS: i64 = 1_000_000;

/// A recording of simulated cameras, 40 ms from frame to frame; with more than one, 10 ms from camera to camera.
pub(crate) struct Recording {
    pub(crate) folder: tempfile::TempDir,
    /// What was written of each camera.
    pub(crate) frames: Vec<Vec<Arc<Frame>>>,
}

impl Recording {
    pub(crate) fn new(configs: &[&str], frames: usize) -> Self {
        Self::of((0..).zip(configs).map(|(camera, config)| received(config, frames, camera * 10)).collect())
    }

    /// A recording of these frames of each camera.
    pub(crate) fn of(frames: Vec<Vec<Arc<Frame>>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = |n: usize| CameraInfo { name: format!("cam {n}"), ..CameraInfo::default() };
        let cameras: Vec<_> = (0..frames.len()).map(name).collect();
        let file = std::fs::File::create(folder.path().join("a.mcap")).unwrap();
        let mut writer = SegmentWriter::new(file, Compression::None, &cameras, BEGIN_NS).unwrap();
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

/// The frames of a simulated camera as they would arrive.
fn received(config: &str, frames: usize, after_ms: i64) -> Vec<Arc<Frame>> {
    let config: SimConfig = config.parse().unwrap();
    let mut stream = Stream::new(&config).unwrap();
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    let (mut received, mut at) = (Vec::new(), 0);
    while received.len() < frames {
        let ms = after_ms + at * 40;
        at += 1;
        let now = Received { mono_ns: (ms * MS).unsigned_abs(), unix_ns: BEGIN_NS + ms * MS };
        let mut bytes = &stream.turn().bytes()[..];
        while !bytes.is_empty() {
            let space = decoder.space();
            let n = space.len().min(bytes.len());
            space[..n].copy_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            decoder.commit(n, now);
            while let Some(event) = decoder.poll() {
                if let Event::Frame(frame) = event {
                    received.push(frame);
                }
            }
        }
    }
    received
}
