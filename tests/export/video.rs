//! Exported video, decoded by ffmpeg, has the camera's pictures at the camera's times.

use std::fs;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use oaktap::convert::{Converter, PackedOrder};
use oaktap::decode::VideoDecoder;
use oaktap::export::{self, Choice, ExportError, ExportFormat, ExportOptions, ExportReport};
use oaktap::frame::{Frame, PayloadKind, Picture, Pool, Received};
use oaktap::overlay::{Overlay, Style};
use oaktap::recording::schema::{IncidentKind, RecordedIncident};
use oaktap::recording::{Compression, SegmentWriter};
use openh264::encoder::Encoder;
use openh264::formats::{RgbSliceU8, YUVBuffer};
use serde_json::Value;

use crate::external_tools;
use crate::frames;
use crate::recordings;

const SMALL: &str = "size=96x64&records=on&boxes=2&seed=3";

fn options(output: PathBuf) -> ExportOptions {
    let threads = NonZeroUsize::new(3).expect("three");
    ExportOptions {
        format: ExportFormat::Mp4,
        output,
        choice: Choice::default(),
        boxes: false,
        colormap: false,
        quality: None,
        threads,
    }
}

fn exported(files: &[PathBuf], options: &ExportOptions) -> ExportReport {
    let report = export::export(files, options, &mut |_| ControlFlow::Continue(())).expect("an export");
    assert!(report.balances(), "{report:?}");
    report
}

/// The stream according to ffprobe, and the time, duration and key flag of every packet.
struct Probe {
    stream: Value,
    packets: Vec<(f64, f64, bool)>,
}

fn probe(path: &Path) -> Option<Probe> {
    let mut ffprobe = external_tools::system("ffprobe")?;
    ffprobe.args(["-v", "error", "-of", "json", "-count_frames", "-show_streams", "-show_packets"]).arg(path);
    let found: Value = serde_json::from_str(&external_tools::output(&mut ffprobe)).expect("JSON");
    let number = |packet: &Value, key: &str| packet[key].as_str().and_then(|text| text.parse().ok()).expect("a number");
    let packet = |packet: &Value| {
        let key = packet["flags"].as_str().expect("flags").starts_with('K');
        (number(packet, "pts_time"), number(packet, "duration_time"), key)
    };
    let packets = found["packets"].as_array().expect("packets").iter().map(packet).collect();
    Some(Probe { stream: found["streams"][0].clone(), packets })
}

/// Every picture as RGB, decoded by ffmpeg. Panics on any decoder message.
fn decoded(path: &Path) -> Option<Vec<u8>> {
    let mut ffmpeg: Command = external_tools::system("ffmpeg")?;
    ffmpeg.args(["-v", "error", "-xerror", "-i"]).arg(path);
    ffmpeg.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]);
    let output = ffmpeg.output().expect("ffmpeg runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    Some(output.stdout)
}

#[test]
fn a_video_keeps_every_frame_and_its_duration() {
    let folder = tempfile::tempdir().expect("a folder");
    // Three groups of pictures; intervals of 20 to 45 ms, and a gap of 1 s.
    let mut us = 0;
    let frames: Vec<_> = recordings::frames(SMALL, 150)
        .iter()
        .enumerate()
        .map(|(n, frame)| {
            us += 20_000 + 5000 * (n as i64 % 6) + if n == 77 { 1_000_000 } else { 0 };
            frames::altered(frame, us, Vec::new())
        })
        .collect();
    let path = folder.path().join("a.mcap");
    recordings::write(&path, Compression::None, &[(recordings::camera("front"), frames.clone())]);
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

/// Compares the pictures of a video with the frames that it was made from.
fn assert_look_like(pixels: &[u8], frames: &[Arc<Frame>], kind: &str) {
    let mut rgb = Vec::new();
    assert_eq!(pixels.len(), frames.len() * 96 * 64 * 3, "{kind}");
    for (n, (found, frame)) in pixels.chunks(96 * 64 * 3).zip(frames).enumerate() {
        Converter::new().packed(frame, PackedOrder::Rgb, &mut rgb).expect("a picture");
        let psnr = psnr(found, &rgb);
        assert!(psnr > 28.0, "{kind}, picture {n}: {psnr} dB");
    }
}

/// Returns whether the format is planar YUV already, or must be converted first.
#[test]
fn every_pixel_format_keeps_its_colors() {
    let folder = tempfile::tempdir().expect("a folder");
    let kinds = ["NV12", "NV21", "YUV420p", "RGB888p", "RGB888i", "YUV422i", "GRAY8", "JPEG&dialect=IMG"];
    let cameras: Vec<_> = kinds
        .iter()
        .enumerate()
        .map(|(n, kind)| {
            (
                recordings::camera(&format!("cam{n}")),
                recordings::frames(&format!("size=96x64&records=on&format={kind}"), 10),
            )
        })
        .collect();
    let path = folder.path().join("a.mcap");
    recordings::write(&path, Compression::None, &cameras);
    let out = folder.path().join("videos");
    assert_eq!(exported(&[path], &options(out.clone())).written, 10 * kinds.len() as u64);
    for ((camera, frames), kind) in cameras.iter().zip(kinds) {
        let Some(pixels) = decoded(&out.join(format!("{}.mp4", camera.name))) else { return };
        assert_look_like(&pixels, frames, kind);
    }
}

#[test]
fn each_camera_gets_its_own_video_and_odd_sizes_are_cropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let odd = "size=97x65&records=on";
    let (front, back) = (recordings::frames(odd, 3), recordings::frames("size=64x48&format=JPEG&dialect=IMG", 5));
    let path = folder.path().join("a.mcap");
    recordings::write(
        &path,
        Compression::Zstd,
        &[(recordings::camera("front"), front), (recordings::camera("back"), back)],
    );
    let files = [path];
    let error = export::export(&files, &options(folder.path().join("a.mp4")), &mut |_| ControlFlow::Continue(()))
        .expect_err("two cameras");
    assert!(matches!(&error, ExportError::OneVideo { cameras, .. } if cameras == "front, back"), "{error}");
    let out = folder.path().join("video");
    let report = exported(&files, &ExportOptions { boxes: true, ..options(out.clone()) });
    assert_eq!((report.written, report.files), (8, 2));
    assert_eq!(report.notes.len(), 1, "{report:?}");
    assert!(report.notes[0].contains("front") && report.notes[0].contains("97x65"), "{:?}", report.notes);
    let front = Choice { cameras: vec!["front".to_owned()], ..Choice::default() };
    exported(&files, &ExportOptions { choice: front, ..options(folder.path().join("one.mp4")) });
    for (file, width, height, frames) in
        [("video/front.mp4", 96, 64, "3"), ("video/back.mp4", 64, 48, "5"), ("one.mp4", 96, 64, "3")]
    {
        let Some(Probe { stream, .. }) = probe(&folder.path().join(file)) else { return };
        assert_eq!((&stream["width"], &stream["height"]), (&Value::from(width), &Value::from(height)), "{file}");
        assert_eq!(stream["nb_read_frames"], frames, "{file}");
    }
}

/// Real H.264 with a key frame every five frames, as a camera's frames.
fn h264(count: usize) -> Vec<Arc<Frame>> {
    let mut encoder = Encoder::new().expect("an encoder");
    let mut rgb = Vec::new();
    let mut frames = Vec::new();
    for (n, picture) in recordings::frames(SMALL, count).iter().enumerate() {
        Converter::new().packed(picture, PackedOrder::Rgb, &mut rgb).expect("a picture");
        if n % 5 == 0 {
            encoder.force_intra_frame();
        }
        let unit =
            encoder.encode(&YUVBuffer::from_rgb8_source(RgbSliceU8::new(&rgb, (96, 64)))).expect("a unit").to_vec();
        let mut frame = frames::frame(n as u64, 40_000 * n as i64, None, &unit);
        frame.received = Received { mono_ns: 1, unix_ns: recordings::START_NS + 40_000_000 * n as i64 };
        frame.kind = PayloadKind::H264;
        frames.push(Arc::new(frame));
    }
    frames
}

#[test]
fn encoded_video_is_copied_unchanged() {
    let folder = tempfile::tempdir().expect("a folder");
    let frames = h264(20);
    let path = folder.path().join("a.mcap");
    recordings::write(&path, Compression::None, &[(recordings::camera("front"), frames.clone())]);
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
    // Begins in the middle of a group: frames that cannot be decoded are omitted and counted.
    let from = Some("120ms".parse().expect("a time"));
    let late = exported(
        &files,
        &ExportOptions { choice: Choice { from, ..Choice::default() }, ..options(folder.path().join("b.mp4")) },
    );
    assert_eq!((late.written, late.frames_skipped(), late.skipped[0].kind), (15, 2, "before the first key frame"));
    if let Some(pixels) = decoded(&folder.path().join("b.mp4")) {
        assert_eq!(pixels.len(), 15 * 96 * 64 * 3);
    }
}

/// Key frames are 0, 5, 10 and 15.
#[test]
fn copied_frames_between_a_gap_and_the_next_key_frame_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, left_out, expected) in [("middle", 6, 3), ("key", 10, 4), ("last", 14, 0)] {
        let path = folder.path().join(format!("{name}.mcap"));
        let file = fs::File::create_new(&path).expect("a file");
        let infos = [recordings::camera("front")];
        let mut writer = SegmentWriter::new(file, Compression::None, &infos, recordings::START_NS).expect("a writer");
        for (n, frame) in h264(20).iter().enumerate() {
            if n != left_out {
                writer.frame(0, frame, recordings::taken_ns(frame)).expect("a frame");
            } else {
                let kind = IncidentKind::Gap.to_string();
                let gap = RecordedIncident { kind, frames: 1, ..RecordedIncident::default() };
                writer.incident(0, &gap, frame.received.unix_ns).expect("an incident");
            }
        }
        writer.finish(&[]).expect("a recording");
        let out = folder.path().join(format!("{name}.mp4"));
        let (_, json, said) = crate::program::run(&[
            "export",
            path.to_str().expect("UTF-8"),
            "-o",
            out.to_str().expect("UTF-8"),
            "--json",
        ]);
        let json: Value = serde_json::from_str(&json).expect("JSON");
        let summary = &json["summary"];
        assert_eq!((&summary["written"], &summary["after_gap"]), (&19.into(), &expected.into()), "{name}: {said}");
        let line = format!("{expected} frames copied after a gap: players show them broken until the next key frame");
        assert_eq!(said.contains(&line), expected > 0, "{name}: {said}");
        // A decoded video leaves them out.
        let boxes = ExportOptions { boxes: true, ..options(folder.path().join(format!("{name}-boxes.mp4"))) };
        assert_eq!(exported(&[path], &boxes).after_gap, 0, "{name}");
    }
}

/// Boxes, and the frames that are left out, need new pictures: the video is decoded, and encoded again.
#[test]
fn video_is_encoded_again_with_boxes_and_without_the_frames_between() {
    let folder = tempfile::tempdir().expect("a folder");
    // Key frames at 0 and 30.
    let sent = recordings::frames("size=160x96&format=H264&boxes=2&records=on&seed=3", 40);
    let path = folder.path().join("a.mcap");
    recordings::write(&path, Compression::None, &[(recordings::camera("front"), sent.clone())]);
    let (mut decoder, mut plain, mut boxed) = (VideoDecoder::new(Pool::default()), Vec::new(), Vec::new());
    for frame in &sent {
        let each = |decoded: Arc<Frame>| {
            let mut picture = Picture::default();
            Converter::new().picture(&decoded, &mut picture).expect("a picture");
            plain.push(rgb(&picture));
            Overlay::new(Style::default()).draw(&mut picture, &frame.detections, frame.labels.as_deref());
            boxed.push(rgb(&picture));
        };
        decoder.decode(frame, each).expect("decoded");
    }
    let choice = |every| Choice { every, ..Choice::default() };
    for (name, boxes, every) in [("boxes", true, 1), ("third", false, 3), ("both", true, 3)] {
        let output = folder.path().join(format!("{name}.mp4"));
        let options = ExportOptions { boxes, choice: choice(every), ..options(output.clone()) };
        let report = exported(std::slice::from_ref(&path), &options);
        let wanted = 40_usize.div_ceil(every as usize);
        assert_eq!((report.written, report.frames_skipped()), (wanted as u64, 0), "{name}: {report:?}");
        let Some(pixels) = decoded(&output) else { return };
        let pictures: Vec<&[u8]> = pixels.chunks(160 * 96 * 3).collect();
        assert_eq!(pictures.len(), wanted, "{name}");
        for (at, picture) in pictures.into_iter().enumerate() {
            let n = at * every as usize;
            let (like, unlike) = if boxes { (&boxed[n], &plain[n]) } else { (&plain[n], &boxed[n]) };
            let (near, far) = (psnr(picture, like), psnr(picture, unlike));
            assert!(near > 24.0 && near > far + 2.0, "{name}, picture {n}: {near} and {far} dB");
        }
    }
}

fn rgb(picture: &Picture) -> Vec<u8> {
    picture.words().iter().flat_map(|word| word.to_be_bytes()[1..].to_vec()).collect()
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum::<f64>();
    10.0 * (255.0 * 255.0 * a.len() as f64 / squares).log10()
}

/// Removes the parameter sets, which many encoders send only once.
fn without_parameter_sets(frame: &Frame) -> Arc<Frame> {
    let starts: Vec<usize> = frame
        .payload()
        .windows(4)
        .enumerate()
        .filter(|(_, bytes)| *bytes == [0, 0, 0, 1])
        .map(|(at, _)| at)
        .chain([frame.payload().len()])
        .collect();
    assert_eq!(starts[0], 0, "Annex B with start codes of four bytes");
    let kept = starts.windows(2).map(|ends| &frame.payload()[ends[0]..ends[1]]);
    // H.264, table 7-1: 7 is a sequence, 8 a picture parameter set.
    let kept: Vec<u8> = kept.filter(|unit| !matches!(unit[4] & 31, 7 | 8)).flatten().copied().collect();
    let mut bare = frames::frame(frame.id, frame.device_time.0, None, &kept);
    (bare.received, bare.kind) = (frame.received, frame.kind);
    Arc::new(bare)
}

#[test]
fn a_part_of_a_video_has_the_parameter_sets_that_the_camera_sent_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = h264(20);
    let frames: Vec<_> = whole
        .iter()
        .enumerate()
        .map(|(n, frame)| if n == 0 { Arc::clone(frame) } else { without_parameter_sets(frame) })
        .collect();
    assert!(frames[10].payload().len() < whole[10].payload().len(), "a key frame had parameter sets");
    let path = folder.path().join("a.mcap");
    recordings::write(&path, Compression::None, &[(recordings::camera("front"), frames)]);
    let out = folder.path().join("a.mp4");
    let from = Some("220ms".parse().expect("a time"));
    let choice = Choice { from, ..Choice::default() };
    let report = exported(&[path], &ExportOptions { choice, ..options(out.clone()) });
    // The key frames are 0, 5, 10 and 15; the frame 6 is the first after 220 ms.
    assert_eq!(
        (report.written, report.frames_skipped(), report.skipped[0].kind),
        (10, 4, "before the first key frame")
    );
    if let Some(pixels) = decoded(&out) {
        let raw = folder.path().join("a.h264");
        fs::write(&raw, whole[10..].iter().flat_map(|frame| frame.payload().to_vec()).collect::<Vec<_>>()).unwrap();
        assert!(decoded(&raw).expect("ffmpeg") == pixels);
    }
}

#[test]
fn frames_that_do_not_fit_a_video_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut frames = recordings::frames(SMALL, 2);
    frames.extend(recordings::frames("size=64x48&records=on", 2));
    frames.extend(h264(1));
    frames.extend(recordings::frames("size=8x8&records=on", 1));
    frames.extend(recordings::frames(SMALL, 1));
    let path = folder.path().join("a.mcap");
    recordings::write(&path, Compression::None, &[(recordings::camera("front"), frames)]);
    let out = folder.path().join("a.mp4");
    let report = exported(&[path], &options(out.clone()));
    assert_eq!((report.read, report.written), (7, 3), "{report:?}");
    let skipped: Vec<_> = report.skipped.iter().map(|skipped| (skipped.kind, skipped.frames)).collect();
    assert_eq!(
        skipped,
        [("picture size changed", 2), ("codec changed", 1), ("size not supported by the H.264 encoder", 1)]
    );
    // The camera's clock restarted in each part.
    assert!(report.notes.iter().any(|note| note.contains("the clock of front jumped")), "{report:?}");
    if let Some(pixels) = decoded(&out) {
        assert_eq!(pixels.len(), 3 * 96 * 64 * 3);
    }
}
