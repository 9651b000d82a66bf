//! Decoded video is the same as ffmpeg decodes, byte for byte.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use oaktap::convert::{Converter, PackedOrder};
use oaktap::decode::{DecodeError, VideoDecoder};
use oaktap::export::{self, Choice, ExportFormat, ExportOptions};
use oaktap::frame::PayloadKind;
use oaktap::frame::PayloadKind::{H264, H265};
use oaktap::frame::Pool;
use oaktap::recording::Compression;

use crate::external_tools;
use crate::recordings;
use crate::video_peer::{decoded, decoded_by_peer, encoded, frames};

const FRAMES: usize = 25;

/// Decodes a stream of an encoder with these options, and compares with ffmpeg.
fn compare(kind: PayloadKind, size: &str, bytes: usize, options: &[&str]) {
    let Some(ffmpeg) = external_tools::system("ffmpeg") else { return };
    let stream = encoded(ffmpeg, kind, size, FRAMES, options);
    let frames = frames(kind, &stream);
    assert_eq!(frames.len(), FRAMES, "{options:?}");
    let (pictures, errors) = decoded(&frames);
    assert_eq!(errors, [], "{options:?}");
    let peer = external_tools::system("ffmpeg").expect("it was there");
    let expected = decoded_by_peer(peer, &stream, if kind == H264 { "h264" } else { "hevc" });
    let expected: Vec<&[u8]> = expected.chunks(bytes).collect();
    let mut numbers: Vec<u64> = pictures.iter().map(|(number, _)| *number).collect();
    let found: Vec<&[u8]> = pictures.iter().map(|(_, picture)| &picture[..]).collect();
    assert!(found == expected, "{options:?}: {} pictures of {}", found.len(), expected.len());
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..FRAMES as u64), "{options:?}: each frame has one picture");
}

#[test]
fn h264_is_decoded_like_ffmpeg_does() {
    const BYTES: usize = 320 * 180 * 3 / 2;
    let cases: [&[&str]; 7] = [
        &["-profile:v", "baseline"],
        &["-profile:v", "baseline", "-refs", "4", "-x264-params", "slices=3"],
        &["-profile:v", "main", "-bf", "0", "-refs", "4", "-preset", "slower", "-x264-params", "weightp=2"],
        &["-profile:v", "main", "-bf", "0", "-coder", "cavlc"],
        &["-profile:v", "main", "-bf", "0", "-coder", "cabac"],
        &["-profile:v", "high", "-bf", "0", "-coder", "cabac"],
        &["-profile:v", "high", "-bf", "0", "-coder", "cavlc", "-x264-params", "8x8dct=0:slices=4"],
    ];
    for options in cases {
        compare(H264, "320x180", BYTES, options);
    }
}

#[test]
fn h265_is_decoded_like_ffmpeg_does() {
    let cases: [&[&str]; 4] = [
        &["-bf", "0"],
        &["-bf", "0", "-preset", "ultrafast"],
        &["-bf", "3"],
        &["-preset", "slow", "-x265-params", "log-level=none:keyint=10:open-gop=1:bframes=4"],
    ];
    for options in cases {
        compare(H265, "320x180", 320 * 180 * 3 / 2, options);
    }
}

#[test]
fn what_is_not_decoded_is_named() {
    let cases: [(PayloadKind, &[&str], &str); 5] = [
        (H264, &["-profile:v", "high10", "-pix_fmt", "yuv420p10"], "10 bits per sample"),
        (H264, &["-profile:v", "high422", "-pix_fmt", "yuv422p"], "chroma 4:2:2"),
        (H264, &["-flags", "+ildct+ilme", "-x264-params", "interlaced=1"], "interlaced"),
        (H265, &["-pix_fmt", "yuv444p"], "chroma 4:4:4"),
        (H265, &["-pix_fmt", "yuv420p12"], "12 bits per sample"),
    ];
    for (kind, options, says) in cases {
        let Some(ffmpeg) = external_tools::system("ffmpeg") else { return };
        let stream = encoded(ffmpeg, kind, "320x192", 12, options);
        let (pictures, errors) = decoded(&frames(kind, &stream));
        assert!(pictures.is_empty(), "{options:?}");
        for (_, error) in &errors {
            assert!(matches!(error, DecodeError::Unsupported { .. }), "{error:?}");
            assert!(error.to_string().contains(says), "{error}");
        }
        assert_eq!(errors.len(), 12, "{options:?}");
    }
}

/// openh264 rejects some blocks of 8x8 transforms with CAVLC. Its other pictures are right.
#[test]
fn frames_that_the_decoder_rejects_are_named_and_no_wrong_picture_is_shown() {
    let Some(ffmpeg) = external_tools::system("ffmpeg") else { return };
    let options = ["-profile:v", "high", "-bf", "0", "-coder", "cavlc", "-x264-params", "8x8dct=1"];
    let stream = encoded(ffmpeg, H264, "320x180", FRAMES, &options);
    let (pictures, errors) = decoded(&frames(H264, &stream));
    let expected = decoded_by_peer(external_tools::system("ffmpeg").expect("it was there"), &stream, "h264");
    let expected: Vec<&[u8]> = expected.chunks(320 * 180 * 3 / 2).collect();
    assert_eq!(pictures.len() + errors.len(), FRAMES);
    for (number, picture) in &pictures {
        assert!(picture == expected[*number as usize], "picture {number}");
    }
    for (number, error) in &errors {
        let says = error.to_string();
        assert!(says.contains("damaged or not supported") || says == "waiting for a key frame", "{number}: {says}");
    }
}

#[test]
fn h264_with_b_frames_is_refused_by_name() {
    let Some(ffmpeg) = external_tools::system("ffmpeg") else { return };
    let stream = encoded(ffmpeg, H264, "320x180", FRAMES, &["-profile:v", "main", "-bf", "2"]);
    let (pictures, errors) = decoded(&frames(H264, &stream));
    assert!(pictures.len() <= 2 && pictures.len() + errors.len() == FRAMES, "{} pictures", pictures.len());
    assert!(errors.iter().all(|(_, error)| error.to_string().contains("B-frames")), "{errors:?}");
    let help = errors[0].1.help().expect("a next step");
    assert!(help.contains("B-frames to 0 on the camera") && help.contains("oaktap record"), "{help}");
}

#[test]
fn pictures_exported_from_video_are_those_of_a_full_decode() {
    let folder = tempfile::tempdir().expect("a folder");
    // Key frames at 0 and 30.
    let sent = recordings::frames("size=64x48&format=H264&boxes=2", 40);
    let path = folder.path().join("a.mcap");
    recordings::write(&path, Compression::None, &[(recordings::camera("front"), sent.clone())]);
    let (mut decoder, mut converter) = (VideoDecoder::new(Pool::default()), Converter::new());
    let mut expected = Vec::new();
    for frame in &sent {
        let each = |decoded: std::sync::Arc<oaktap::frame::Frame>| {
            let mut rgb = Vec::new();
            converter.packed(&decoded, PackedOrder::Rgb, &mut rgb).expect("a picture");
            expected.push(rgb);
        };
        decoder.decode(frame, each).expect("decoded");
    }
    // All, and every third from the middle of each group.
    for (name, from, every, wanted) in [
        ("all", None, 1, (0..40).collect::<Vec<usize>>()),
        ("first", Some("250ms"), 3, (10..40).step_by(3).collect()),
        ("second", Some("850ms"), 1, (34..40).collect()),
    ] {
        for format in [ExportFormat::Png, ExportFormat::Yolo] {
            let from = from.map(|from| from.parse().expect("a time"));
            let output = folder.path().join(format!("{name}-{}", format.name()));
            let options = ExportOptions {
                format,
                output: output.clone(),
                choice: Choice { from, every, ..Choice::default() },
                boxes: false,
                colormap: false,
                quality: None,
                threads: NonZeroUsize::new(2).expect("two"),
            };
            let paths = [path.clone()];
            let report = export::export(&paths, &options, &mut |_| ControlFlow::Continue(())).expect("an export");
            assert!(report.balances() && report.is_complete(), "{report:?}");
            let pictures = if format == ExportFormat::Yolo { output.join("images/train") } else { output };
            let mut files: Vec<_> = std::fs::read_dir(pictures).unwrap().map(|entry| entry.unwrap().path()).collect();
            files.sort();
            assert_eq!(files.len(), wanted.len(), "{name}");
            for (file, number) in files.iter().zip(&wanted) {
                let found = image::open(file).expect("a picture").into_rgb8().into_raw();
                assert!(found == expected[*number], "{name}: picture {number} in {}", file.display());
            }
        }
    }
}
