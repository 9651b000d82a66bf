//! The boxes of video are in pixels, but only key frames state the size of its pictures.

use std::path::Path;
use std::sync::Arc;

use foxglove::messages::ImageAnnotations;
use oaktap::frame::{Frame, Interpreter, Pool, Received, Size};
use oaktap::recording::recover::recover;
use oaktap::recording::verify::verify;
use oaktap::recording::{Compression, Reader};
use oaktap::wire::{Decoder, Event, Limits};
use prost::Message as _;

use crate::program::run;
use crate::recordings::{START_NS, camera, frames, write};

/// Number of drawn boxes of each frame, as other programs see them.
fn drawn(path: &Path) -> Vec<usize> {
    let bytes = std::fs::read(path).expect("a file");
    let messages = mcap::MessageStream::new(&bytes).expect("an intact file").map(|message| message.expect("a message"));
    let boxes = messages.filter(|message| message.channel.topic.ends_with("/detections"));
    boxes.map(|message| ImageAnnotations::decode(&message.data[..]).expect("annotations").points.len()).collect()
}

/// Frames of video with three boxes each, from the middle of a stream whose first key frame the recorder has seen.
fn from_the_middle(format: &str, records: &str) -> Vec<Arc<Frame>> {
    frames(&format!("size=320x176&format={format}&boxes=3{records}"), 80).split_off(5)
}

#[test]
fn boxes_of_video_are_intact_and_are_recovered() {
    let folder = tempfile::tempdir().expect("a folder");
    for format in ["H264", "H265"] {
        for records in ["&records=on", "&dialect=IMG", "&dialect=IMG&records=on"] {
            let what = format!("{format}{records}");
            let frames = from_the_middle(format, records);
            let count = frames.len();
            assert!(!frames[0].is_key_frame() && frames.iter().all(|frame| frame.detections.len() == 3), "{what}");
            let path = folder.path().join(format!("{what}.mcap"));
            write(&path, Compression::None, &[(camera("a"), frames)]);
            assert_eq!(drawn(&path), vec![3; count], "{what}");
            let found = verify(&path).expect("a recording");
            assert!(found.is_good(), "{what}: {found:?}");

            let copy = folder.path().join(format!("{what}.copy.mcap"));
            let report = recover(&path, &copy).expect("saved");
            assert_eq!((report.frames, drawn(&copy)), (count as u64, vec![3; count]), "{what}");
            let found = verify(&copy).expect("a recording");
            assert!(found.is_good(), "{what}: {found:?}");
        }
    }
}

/// The first key frame is damaged: the frames after it do not state their size.
#[test]
fn boxes_are_recovered_after_a_damaged_key_frame() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    let frames = frames("size=320x176&format=H264&boxes=3&dialect=IMG", 20);
    let key = frames[0].payload().to_vec();
    write(&path, Compression::None, &[(camera("a"), frames)]);
    let mut bytes = std::fs::read(&path).expect("a file");
    let at = bytes.windows(key.len()).position(|window| window == key).expect("the payload of the key frame");
    bytes[at + key.len() / 2] ^= 0xff;
    std::fs::write(&path, bytes).expect("a file");
    let copy = folder.path().join("copy.mcap");
    recover(&path, &copy).expect("saved");
    assert_eq!(drawn(&copy), vec![3; 19]);
    assert!(verify(&copy).expect("a recording").is_good());
}

/// Earlier versions stored no size of video, and so does a recorder that does not know it.
#[test]
fn video_of_unknown_size_has_no_boxes_and_is_intact() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    let sent = frames("size=320x176&format=H264&boxes=3&dialect=IMG", 40);
    let mut unknown = Vec::new();
    for frame in &sent {
        let mut copy = frame.with_layout_of(frame);
        if copy.id < 35 {
            copy.video_size = None;
        }
        unknown.push(Arc::new(copy));
    }
    write(&path, Compression::None, &[(camera("a"), unknown)]);
    assert_eq!(drawn(&path), [vec![0; 35], vec![3; 5]].concat());
    let found = verify(&path).expect("a recording");
    assert!(found.is_good(), "{found:?}");
}

/// The receiver joins between key frames.
#[test]
fn announced_size_counts_until_the_first_key_frame() {
    for format in ["H264", "H265"] {
        let sent = from_the_middle(format, "&records=on");
        for (announced, expected) in [
            (format!("@D 320 176 {format}"), Some(Size::new(320, 176))),
            ("@D 320 176 BGR888p".to_owned(), None),
            (format!("@D 0 176 {format}"), None),
        ] {
            let mut bytes = format!("{announced:32}").into_bytes();
            for frame in &sent {
                bytes.extend([&frame.records, &frame.header, &frame.detection_text, frame.payload()].concat());
            }
            let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
            decoder.feed(&bytes, Received { mono_ns: 1, unix_ns: START_NS });
            decoder.finish();
            let mut sizes = Vec::new();
            while let Some(event) = decoder.poll() {
                if let Event::Frame(frame) = event {
                    sizes.push(frame.size());
                }
            }
            let first_key = sent.iter().position(|frame| frame.is_key_frame()).expect("a key frame");
            assert_eq!(sizes.len(), sent.len(), "{announced}");
            assert_eq!(sizes[..first_key], vec![expected; first_key], "{announced}");
            assert!(sizes[first_key..].iter().all(|size| *size == Some(Size::new(320, 176))), "{announced}");
        }
    }
}

/// A file that begins between key frames.
#[test]
fn exported_frames_between_key_frames_have_their_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, table) = (folder.path().join("a.mcap"), folder.path().join("a.jsonl"));
    let frames = from_the_middle("H264", "&dialect=IMG");
    let count = frames.len();
    write(&path, Compression::None, &[(camera("a"), frames)]);
    assert!(Reader::open(&path).expect("a recording").damage().is_none());
    let (code, _, said) = run(&["export", path.to_str().expect("UTF-8"), "-o", table.to_str().expect("UTF-8")]);
    let lines = std::fs::read_to_string(table).expect("a table");
    let sized = lines.lines().filter(|line| line.contains("\"width\":320,\"height\":176")).count();
    assert_eq!((code, sized), (0, count), "{said}");
    let (_, shown, _) = run(&["inspect", path.to_str().expect("UTF-8")]);
    assert!(shown.contains(&format!("H264 320x176 ({count})")) || shown.contains("H264 320x176\n"), "{shown}");
}
