//! Decoded video is the same as ffmpeg decodes, byte for byte.

use oaktap::decode::DecodeError;
use oaktap::frame::PayloadKind;
use oaktap::frame::PayloadKind::{H264, H265};

use crate::external_tools;
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
    let cases: [&[&str]; 5] = [
        &["-profile:v", "baseline"],
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
}
