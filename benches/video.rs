//! Decodes 1080p of H.264 and H.265, with oaktap and with ffmpeg in turn: `cargo bench --bench video`
//!
//! Requires an `ffmpeg` with x264 and x265. Compares CPU times, because other programs may use the processors: that of this
//! thread with the user time of `ffmpeg -threads 1 -f null -`. Checks the pictures first. The targets are 0.8 (H.264) and 0.5
//! (H.265) of ffmpeg's speed.

#[path = "../src/cli/commands/bench/measure.rs"]
#[allow(dead_code)]
mod measure;
#[path = "../tests/support/video.rs"]
mod video_peer;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use measure::{median, thread_cpu};
use oaktap::decode::VideoDecoder;
use oaktap::frame::{Frame, PayloadKind, Pool};
use video_peer::{decoded, decoded_by_peer, encoded, frames};

const ROUNDS: usize = 5;
const FRAMES: usize = 120;
const SIZE: &str = "1920x1080";

/// Coding, options of the encoder, and the share of ffmpeg's speed to reach.
const CASES: [(PayloadKind, &str, &[&str], f64); 3] = [
    (PayloadKind::H264, "baseline", &["-profile:v", "baseline", "-b:v", "8M"], 0.8),
    (PayloadKind::H264, "high", &["-profile:v", "high", "-bf", "0", "-b:v", "8M"], 0.8),
    (PayloadKind::H265, "main", &["-bf", "0", "-b:v", "8M"], 0.5),
];

fn main() {
    if Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: there is no ffmpeg");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (kind, name, options, target) in CASES {
        let stream = encoded(Command::new("ffmpeg"), kind, SIZE, FRAMES, options);
        let format = if kind == PayloadKind::H265 { "hevc" } else { "h264" };
        let units = frames(kind, &stream);
        let (pictures, errors) = decoded(&units[..10]);
        assert_eq!(errors, [], "{name}");
        let ours: Vec<u8> = pictures.into_iter().flat_map(|(_, picture)| picture).collect();
        let theirs = decoded_by_peer(Command::new("ffmpeg"), &stream, format);
        assert!(ours == theirs[..ours.len()], "{name}: other pictures than ffmpeg's");
        let file = folder.path().join(name);
        std::fs::write(&file, &stream).expect("a file");
        let (mut own, mut peer) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            own.push(own_seconds(&units));
            peer.push(peer_seconds(&file, format));
        }
        let ratios: Vec<String> = own.iter().zip(&peer).map(|(own, peer)| format!("{:.2}", peer / own)).collect();
        let (own, peer) = (median(&mut own), median(&mut peer));
        println!(
            "{} {name} {SIZE}: {:.2} ms CPU per frame, ffmpeg {:.2} ms: {:.2} of its speed (target {target}), in turn {}",
            kind.name(),
            own * 1e3 / FRAMES as f64,
            peer * 1e3 / FRAMES as f64,
            peer / own,
            ratios.join(" ")
        );
    }
}

/// CPU seconds of this thread to decode all frames.
fn own_seconds(frames: &[Arc<Frame>]) -> f64 {
    let before = thread_cpu().expect("this system reports CPU times");
    let (mut decoder, mut pictures) = (VideoDecoder::new(Pool::default()), 0);
    for frame in frames {
        decoder.decode(frame, |_| pictures += 1).expect("intact video");
    }
    decoder.flush(|_| pictures += 1);
    assert_eq!(pictures, frames.len());
    (thread_cpu().expect("this system reports CPU times") - before).as_secs_f64()
}

/// User seconds of ffmpeg to decode the file.
fn peer_seconds(file: &Path, format: &str) -> f64 {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "info", "-nostats", "-benchmark", "-threads", "1", "-f", format, "-i"]).arg(file);
    let output = ffmpeg.args(["-f", "null", "-"]).stdin(Stdio::null()).output().expect("ffmpeg runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let user = said.lines().find_map(|line| line.strip_prefix("bench: utime=")?.split('s').next()?.parse().ok());
    user.unwrap_or_else(|| panic!("no user time in: {said}"))
}
