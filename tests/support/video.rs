//! Video that ffmpeg encodes and decodes.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::process::{Command, Stdio};
use std::sync::Arc;

use oaktap::decode::{DecodeError, VideoDecoder};
use oaktap::frame::{Frame, PayloadKind, Pool, Received};

/// Encodes moving pictures as a stream of Annex B with access unit delimiters. `options` are those of the encoder. `None`
/// without ffmpeg.
pub(crate) fn encoded(ffmpeg: Command, kind: PayloadKind, size: &str, count: usize, options: &[&str]) -> Vec<u8> {
    let mut ffmpeg = ffmpeg;
    let source = format!("testsrc2=size={size}:rate=30");
    let (encoder, bsf, format) = match kind {
        PayloadKind::H265 => ("libx265", "hevc_metadata=aud=insert", "hevc"),
        _ => ("libx264", "h264_metadata=aud=insert", "h264"),
    };
    ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", &source, "-frames:v", &count.to_string(), "-c:v", encoder]);
    if kind == PayloadKind::H265 {
        ffmpeg.args(["-x265-params", "log-level=none:keyint=10:min-keyint=10"]);
    } else {
        ffmpeg.args(["-g", "10", "-keyint_min", "10"]);
    }
    ffmpeg.args(options).args(["-bsf:v", bsf, "-f", format, "-"]).stdin(Stdio::null());
    let output = ffmpeg.output().expect("ffmpeg runs");
    assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Decodes a stream to pictures of YUV420p with ffmpeg, in the order of display.
pub(crate) fn decoded_by_peer(ffmpeg: Command, stream: &[u8], format: &str) -> Vec<u8> {
    let mut ffmpeg = ffmpeg;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("stream");
    std::fs::write(&file, stream).expect("a file");
    ffmpeg.args(["-v", "error", "-f", format, "-i"]).arg(&file);
    ffmpeg.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]).stdin(Stdio::null());
    ffmpeg.output().expect("ffmpeg runs").stdout
}

/// Splits a stream into frames as a camera sends them, one for each access unit.
pub(crate) fn frames(kind: PayloadKind, stream: &[u8]) -> Vec<Arc<Frame>> {
    let delimiter = |unit: &[u8]| match kind {
        PayloadKind::H265 => unit[3] >> 1 & 0x3f == 35,
        _ => unit[3] & 0x1f == 9,
    };
    let starts = stream.windows(4).enumerate().filter(|(_, unit)| unit[..3] == [0, 0, 1] && delimiter(unit));
    let mut starts: Vec<usize> = starts.map(|(at, _)| at - usize::from(at > 0 && stream[at - 1] == 0)).collect();
    starts.push(stream.len());
    let frame = |(id, ends): (usize, &[usize])| {
        let mut frame = Frame::with_payload(&stream[ends[0]..ends[1]]);
        (frame.id, frame.kind) = (id as u64, kind);
        frame.received = Received { mono_ns: 1 + id as u64, unix_ns: id as i64 * 33_000_000 };
        Arc::new(frame)
    };
    starts.windows(2).enumerate().map(frame).collect()
}

/// Items with the numbers of their frames.
pub(crate) type Numbered<T> = Vec<(u64, T)>;

/// Decodes frames. Returns the pictures and the errors.
pub(crate) fn decoded(frames: &[Arc<Frame>]) -> (Numbered<Vec<u8>>, Numbered<DecodeError>) {
    let mut decoder = VideoDecoder::new(Pool::default());
    let (mut pictures, mut errors) = (Vec::new(), Vec::new());
    let mut each = |decoded: Arc<Frame>| pictures.push((decoded.id, decoded.payload().to_vec()));
    for frame in frames {
        if let Err(error) = decoder.decode(frame, &mut each) {
            errors.push((frame.id, error));
        }
    }
    decoder.flush(&mut each);
    (pictures, errors)
}
