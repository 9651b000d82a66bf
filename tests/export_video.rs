//! Video that is exported is what the camera saw, when it saw it: as others decode it.

mod peers;
mod tape;

use std::fs;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use oaktap::convert::{Converter, PackedOrder};
use oaktap::export::{self, Choice, ExportError, Format, Options, Report};
use oaktap::frame::{DeviceTime, Frame, PayloadKind, Received};
use oaktap::recording::Compression;
use oaktap::wire::encode;
use openh264::encoder::Encoder;
use openh264::formats::{RgbSliceU8, YUVBuffer};
use serde_json::Value;

const SMALL: &str = "size=96x64&records=on&boxes=2&seed=3";

fn options(output: PathBuf) -> Options {
    let threads = NonZeroUsize::new(3).expect("three");
    Options { format: Format::Mp4, output, choice: Choice::default(), boxes: false, threads }
}

fn exported(files: &[PathBuf], options: &Options) -> Report {
    let report = export::export(files, options, &mut |_| ControlFlow::Continue(())).expect("an export");
    assert!(report.balances(), "{report:?}");
    report
}

/// With another time on the camera's clock.
fn at(frame: &Frame, device_us: i64) -> Arc<Frame> {
    let mut copy = Frame::default();
    copy.id = frame.id;
    copy.dialect = frame.dialect;
    copy.device_time = DeviceTime(device_us);
    copy.header = encode::img(copy.device_time, frame.payload().len(), 0);
    copy.received = frame.received;
    copy.kind = frame.kind;
    copy.geometry = frame.geometry;
    copy.payload_mut(frame.payload().len()).copy_from_slice(frame.payload());
    Arc::new(copy)
}

/// What ffprobe finds: the stream, and the time, duration and key flag of every packet.
struct Probe {
    stream: Value,
    packets: Vec<(f64, f64, bool)>,
}

fn probe(path: &Path) -> Option<Probe> {
    let mut ffprobe = peers::system("ffprobe")?;
    ffprobe.args(["-v", "error", "-of", "json", "-count_frames", "-show_streams", "-show_packets"]).arg(path);
    let found: Value = serde_json::from_str(&peers::output(&mut ffprobe)).expect("JSON");
    let number = |packet: &Value, key: &str| packet[key].as_str().and_then(|text| text.parse().ok()).expect("a number");
    let packet = |packet: &Value| {
        let key = packet["flags"].as_str().expect("flags").starts_with('K');
        (number(packet, "pts_time"), number(packet, "duration_time"), key)
    };
    let packets = found["packets"].as_array().expect("packets").iter().map(packet).collect();
    Some(Probe { stream: found["streams"][0].clone(), packets })
}

/// Every picture as ffmpeg decodes it: red, green, blue. Nothing may be wrong with the stream.
fn decoded(path: &Path) -> Option<Vec<u8>> {
    let mut ffmpeg: Command = peers::system("ffmpeg")?;
    ffmpeg.args(["-v", "error", "-xerror", "-i"]).arg(path);
    ffmpeg.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]);
    let output = ffmpeg.output().expect("ffmpeg runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    Some(output.stdout)
}

#[test]
fn a_video_has_every_frame_as_long_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    // Three groups; intervals of 20 to 45 ms, and a hole of a second.
    let mut us = 0;
    let frames: Vec<_> = tape::frames(SMALL, 150)
        .iter()
        .enumerate()
        .map(|(n, frame)| {
            us += 20_000 + 5000 * (n as i64 % 6) + if n == 77 { 1_000_000 } else { 0 };
            at(frame, us)
        })
        .collect();
    let path = folder.path().join("a.mcap");
    tape::write(&path, Compression::None, &[(tape::camera("front"), frames.clone())]);
    let out = folder.path().join("a.mp4");
    let report = exported(&[path], &options(out.clone()));
    assert_eq!((report.written, report.files, report.bytes), (150, 1, fs::metadata(&out).unwrap().len()));
    assert!(report.is_complete() && report.notes.is_empty(), "{report:?}");

    let Some(Probe { stream, packets }) = probe(&out) else { return };
    assert_eq!((&stream["width"], &stream["height"]), (&Value::from(96), &Value::from(64)));
    for (key, expected) in [
        ("codec_name", "h264"),
        ("codec_tag_string", "avc1"),
        ("pix_fmt", "yuv420p"),
        ("color_range", "tv"),
        ("color_space", "smpte170m"),
        ("nb_frames", "150"),
        ("nb_read_frames", "150"),
    ] {
        assert_eq!(stream[key], expected, "{key}");
    }
    assert_eq!(packets.len(), 150);
    let taken: Vec<_> = frames.iter().map(|frame| frame.device_time.0 as f64 / 1e6).collect();
    for (n, (pts, duration, key)) in packets.iter().enumerate() {
        assert!((pts - (taken[n] - taken[0])).abs() < 2e-5, "{n}: {pts}");
        let shown = if n + 1 < taken.len() { taken[n + 1] - taken[n] } else { taken[n] - taken[n - 1] };
        assert!((duration - shown).abs() < 3e-5, "{n}: {duration} and not {shown}");
        assert_eq!(*key, n % 60 == 0, "{n}");
    }
    let Some(pixels) = decoded(&out) else { return };
    assert_look_like(&pixels, &frames, "BGR888p");
}

/// The pictures of a video, against the frames that it was made of.
fn assert_look_like(pixels: &[u8], frames: &[Arc<Frame>], kind: &str) {
    let mut rgb = Vec::new();
    assert_eq!(pixels.len(), frames.len() * 96 * 64 * 3, "{kind}");
    for (n, (found, frame)) in pixels.chunks(96 * 64 * 3).zip(frames).enumerate() {
        Converter::new().packed(frame, PackedOrder::Rgb, &mut rgb).expect("a picture");
        let squares = found.iter().zip(&rgb).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum::<f64>();
        let psnr = 10.0 * (255.0 * 255.0 * rgb.len() as f64 / squares).log10();
        assert!(psnr > 28.0, "{kind}, picture {n}: {psnr} dB");
    }
}

/// Whether it is luma and chroma already, planar, or has to become words first.
#[test]
fn every_kind_of_picture_keeps_its_colours() {
    let folder = tempfile::tempdir().expect("a folder");
    let kinds = ["NV12", "NV21", "YUV420p", "RGB888p", "RGB888i", "YUV422i", "GRAY8", "JPEG&dialect=IMG"];
    let cameras: Vec<_> = kinds
        .iter()
        .enumerate()
        .map(|(n, kind)| {
            (tape::camera(&format!("cam{n}")), tape::frames(&format!("size=96x64&records=on&format={kind}"), 10))
        })
        .collect();
    let path = folder.path().join("a.mcap");
    tape::write(&path, Compression::None, &cameras);
    let out = folder.path().join("videos");
    assert_eq!(exported(&[path], &options(out.clone())).written, 10 * kinds.len() as u64);
    for ((camera, frames), kind) in cameras.iter().zip(kinds) {
        let Some(pixels) = decoded(&out.join(format!("{}.mp4", camera.name))) else { return };
        assert_look_like(&pixels, frames, kind);
    }
}

#[test]
fn each_camera_has_its_own_video_and_odd_sizes_lose_a_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let odd = "size=97x65&records=on";
    let (front, back) = (tape::frames(odd, 3), tape::frames("size=64x48&format=JPEG&dialect=IMG", 5));
    let path = folder.path().join("a.mcap");
    tape::write(&path, Compression::Zstd, &[(tape::camera("front"), front), (tape::camera("back"), back)]);
    let files = [path];
    let error = export::export(&files, &options(folder.path().join("a.mp4")), &mut |_| ControlFlow::Continue(()))
        .expect_err("two cameras");
    assert!(matches!(&error, ExportError::OneVideo { cameras, .. } if cameras == "front, back"), "{error}");
    let out = folder.path().join("video");
    let report = exported(&files, &Options { boxes: true, ..options(out.clone()) });
    assert_eq!((report.written, report.files), (8, 2));
    assert_eq!(report.notes.len(), 1, "{report:?}");
    assert!(report.notes[0].contains("front") && report.notes[0].contains("97x65"), "{:?}", report.notes);
    let front = Choice { cameras: vec!["front".to_owned()], ..Choice::default() };
    exported(&files, &Options { choice: front, ..options(folder.path().join("one.mp4")) });
    for (file, width, height, frames) in
        [("video/front.mp4", 96, 64, "3"), ("video/back.mp4", 64, 48, "5"), ("one.mp4", 96, 64, "3")]
    {
        let Some(Probe { stream, .. }) = probe(&folder.path().join(file)) else { return };
        assert_eq!((&stream["width"], &stream["height"]), (&Value::from(width), &Value::from(height)), "{file}");
        assert_eq!(stream["nb_read_frames"], frames, "{file}");
    }
}

/// Real H.264, a key frame every five, as a camera's frames.
fn h264(count: usize) -> Vec<Arc<Frame>> {
    let mut encoder = Encoder::new().expect("an encoder");
    let mut rgb = Vec::new();
    let mut frames = Vec::new();
    for (n, picture) in tape::frames(SMALL, count).iter().enumerate() {
        Converter::new().packed(picture, PackedOrder::Rgb, &mut rgb).expect("a picture");
        if n % 5 == 0 {
            encoder.force_intra_frame();
        }
        let unit =
            encoder.encode(&YUVBuffer::from_rgb8_source(RgbSliceU8::new(&rgb, (96, 64)))).expect("a unit").to_vec();
        let mut frame = Frame::default();
        frame.id = n as u64;
        frame.device_time = DeviceTime(40_000 * n as i64);
        frame.dialect = "IMG";
        frame.header = encode::img(frame.device_time, unit.len(), 0);
        frame.received = Received { mono_ns: 1, unix_ns: tape::START_NS + 40_000_000 * n as i64 };
        frame.kind = PayloadKind::H264;
        frame.payload_mut(unit.len()).copy_from_slice(&unit);
        frames.push(Arc::new(frame));
    }
    frames
}

#[test]
fn video_of_the_camera_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let frames = h264(20);
    let path = folder.path().join("a.mcap");
    tape::write(&path, Compression::None, &[(tape::camera("front"), frames.clone())]);
    let files = [path];
    let out = folder.path().join("a.mp4");
    let report = exported(&files, &options(out.clone()));
    assert_eq!((report.written, report.skipped.len()), (20, 0), "{report:?}");
    if let (Some(Probe { stream, packets }), Some(pixels)) = (probe(&out), decoded(&out)) {
        assert_eq!(
            (stream["codec_tag_string"].as_str(), stream["nb_read_frames"].as_str()),
            (Some("avc1"), Some("20"))
        );
        for (n, (pts, duration, key)) in packets.iter().enumerate() {
            assert!(
                (pts - 0.04 * n as f64).abs() < 1e-5 && (duration - 0.04).abs() < 1e-5 && *key == (n % 5 == 0),
                "{n}"
            );
        }
        // The same pictures as of the stream itself.
        let raw = folder.path().join("a.h264");
        fs::write(&raw, frames.iter().flat_map(|frame| frame.payload().to_vec()).collect::<Vec<_>>()).unwrap();
        assert!(decoded(&raw).expect("ffmpeg") == pixels);
    }
    // Begun in the middle of a group: what cannot be decoded is left out, and said.
    let from = Some("120ms".parse().expect("a time"));
    let late = exported(
        &files,
        &Options { choice: Choice { from, ..Choice::default() }, ..options(folder.path().join("b.mp4")) },
    );
    assert_eq!((late.written, late.frames_skipped(), late.skipped[0].kind), (15, 2, "before the first key frame"));
    if let Some(pixels) = decoded(&folder.path().join("b.mp4")) {
        assert_eq!(pixels.len(), 15 * 96 * 64 * 3);
    }
    for (name, wrong) in [
        ("c.mp4", Options { boxes: true, ..options(PathBuf::new()) }),
        ("d.mp4", Options { choice: Choice { every: 2, ..Choice::default() }, ..options(PathBuf::new()) }),
    ] {
        let output = folder.path().join(name);
        let report = exported(&files, &Options { output: output.clone(), ..wrong });
        assert_eq!((report.written, report.files), (0, 0));
        assert_eq!(report.skipped[0].kind, "video that stays as the camera sent it");
        assert!(!output.exists(), "a video without a frame");
    }
}

#[test]
fn what_does_not_fit_a_video_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut frames = tape::frames(SMALL, 2);
    frames.extend(tape::frames("size=64x48&records=on", 2));
    frames.extend(h264(1));
    frames.extend(tape::frames("size=8x8&records=on", 1));
    frames.extend(tape::frames(SMALL, 1));
    let path = folder.path().join("a.mcap");
    tape::write(&path, Compression::None, &[(tape::camera("front"), frames)]);
    let out = folder.path().join("a.mp4");
    let report = exported(&[path], &options(out.clone()));
    assert_eq!((report.read, report.written), (7, 3), "{report:?}");
    let skipped: Vec<_> = report.skipped.iter().map(|skipped| (skipped.kind, skipped.frames)).collect();
    assert_eq!(
        skipped,
        [
            ("picture of another size", 2),
            ("video of another kind", 1),
            ("picture that H.264 is not encoded for here", 1)
        ]
    );
    // The clock began again with each part.
    assert!(report.notes.iter().any(|note| note.contains("the clock of front jumped")), "{report:?}");
    if let Some(pixels) = decoded(&out) {
        assert_eq!(pixels.len(), 3 * 96 * 64 * 3);
    }
}
