//! Exported frames of a camera have one number each, over all of its files.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oaktap::frame::Frame;
use oaktap::recording::{Compression, Part, SegmentWriter};
use serde_json::Value;

use crate::program::run;
use crate::recordings::{MS, START_NS, arriving, camera, write};

/// Frames 25 ms apart, of which the first arrives this many milliseconds after the start.
fn frames(begins_ms: i64, count: usize) -> Vec<Arc<Frame>> {
    let config = "size=64x48&format=GRAY8&boxes=1".parse().expect("a configuration");
    arriving(&config, count, |number| (begins_ms + 25 * number) * MS)
}

/// Writes a recording of `--split` with these numbers of frames of the camera `cam` in its files.
fn split(folder: &Path, recording: &str, begins_ms: i64, files: &[usize]) -> Vec<PathBuf> {
    let mut left = frames(begins_ms, files.iter().sum());
    let (mut paths, mut before) = (Vec::new(), 0);
    for (number, count) in files.iter().enumerate() {
        let path = folder.join(format!("{recording}{number}.mcap"));
        let file = File::create_new(&path).expect("a new file");
        let mut writer = SegmentWriter::new(file, Compression::None, &[camera("cam")], START_NS).expect("a recording");
        let frames_before = BTreeMap::from([("cam".to_owned(), before)]);
        let number = number as u64;
        let part = Part { recording: recording.to_owned(), number, previous: None, frames_before };
        writer.part(&part).expect("write");
        let rest = left.split_off(*count);
        for (at, frame) in left.iter().enumerate() {
            writer.frame(0, frame, frame.received.unix_ns).expect("write");
            if at % 3 == 2 {
                writer.flush().expect("write");
            }
        }
        writer.finish(&[]).expect("write");
        (left, before) = (rest, before + *count as u64);
        paths.push(path);
    }
    paths
}

/// Exports to JSON lines. Returns the number of each frame by its arrival, in milliseconds after the start.
fn exported(files: &[PathBuf], options: &[&str]) -> Vec<(i64, u64)> {
    let out = tempfile::tempdir().expect("a folder");
    let table = out.path().join("all.jsonl");
    let files = files.iter().map(|file| file.to_str().expect("UTF-8"));
    let words: Vec<_> = ["export"].into_iter().chain(files).chain(["-o", table.to_str().expect("UTF-8")]).collect();
    let (code, _, said) = run(&[&words[..], options].concat());
    assert!(code == 0 || code == 3, "{said}");
    let text = std::fs::read_to_string(table).expect("a table");
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let arrival_ns = line["arrival_unix_ns"].as_i64().expect("a time");
        ((arrival_ns - START_NS) / MS, line["seq"].as_u64().expect("a number"))
    };
    text.lines().map(line).collect()
}

fn numbers(found: &[(i64, u64)]) -> Vec<u64> {
    found.iter().map(|(_, number)| *number).collect()
}

#[test]
fn frames_are_numbered_over_the_files_of_several_recordings() {
    let folder = tempfile::tempdir().expect("a folder");
    let monday = split(folder.path(), "monday", 0, &[10, 8, 12]);
    let friday = split(folder.path(), "friday", 60_000, &[5, 5]);
    let all = [monday.clone(), friday.clone()].concat();
    let whole = exported(&all, &[]);
    assert_eq!(numbers(&whole), (0..40).collect::<Vec<_>>());
    let (code, out, said) = run(&["detections", &format!("file:{}?speed=max", folder.path().display())]);
    let played: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let played: Vec<_> = played.iter().filter_map(|line| line["seq"].as_u64()).collect();
    assert_eq!((code, played), (0, numbers(&whole)), "as `detections` numbers them: {said}");

    // Whatever part is exported, a frame keeps its number.
    for options in [
        &["--from", "300ms"][..],
        &["--from", "460ms", "--until", "60s"],
        &["--from", "60050ms"],
        &["--until", "200ms"],
        &["--every", "7"],
    ] {
        let part = exported(&all, options);
        assert!(!part.is_empty() && part.len() < 40 && part.iter().all(|frame| whole.contains(frame)), "{options:?}");
    }
    // The frames of a missing file leave a gap.
    let some = exported(&[monday[0].clone(), monday[2].clone(), friday[1].clone()], &[]);
    assert_eq!(numbers(&some), (0..10).chain(18..35).collect::<Vec<_>>());
    assert!(some[..22].iter().all(|frame| whole.contains(frame)));
    // The first given frame has the number 0, as in `detections`.
    assert_eq!(numbers(&exported(&monday[1..], &[])), (0..20).collect::<Vec<_>>());

    let pictures = folder.path().join("jpeg");
    let words = ["export", monday[0].to_str().unwrap(), monday[1].to_str().unwrap(), "--to", "jpeg", "-o"];
    let (code, _, said) = run(&[&words[..], &[pictures.to_str().unwrap()]].concat());
    let names = std::fs::read_dir(pictures).expect("a folder").map(|entry| entry.unwrap().file_name());
    let mut found: Vec<_> = names.map(|name| name.to_str().unwrap()[..10].to_owned()).collect();
    found.sort();
    let expected: Vec<_> = (0..18).map(|number| format!("cam_{number:06}")).collect();
    assert_eq!((code, found), (0, expected), "{said}");
}

/// Recordings of other programs, of earlier versions and torn ones do not count the frames before them.
#[test]
fn frames_are_numbered_over_files_that_do_not_count_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(format!("{name}.mcap"));
    let (first, torn, last) = (path("a"), path("b"), path("c"));
    write(&first, Compression::None, &[(camera("cam"), frames(0, 10)), (camera("rare"), frames(3, 2))]);
    write(&torn, Compression::None, &[(camera("cam"), frames(1_000, 20))]);
    let bytes = std::fs::read(&torn).expect("a file");
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).expect("a file");
    write(&last, Compression::None, &[(camera("cam"), frames(2_000, 10)), (camera("rare"), frames(2_003, 2))]);
    let whole = exported(&[first, torn, last], &["--camera", "cam"]);
    assert!(whole.len() > 24 && whole.len() < 40, "{whole:?}");
    assert_eq!(numbers(&whole), (0..whole.len() as u64).collect::<Vec<_>>());
    let all = [path("a"), path("b"), path("c")];
    assert_eq!(numbers(&exported(&all, &["--camera", "rare"])), [0, 1, 2, 3]);
    let late = exported(&all, &["--camera", "cam", "--from", "2100ms"]);
    assert!(!late.is_empty() && late.iter().all(|frame| whole.contains(frame)), "{late:?}");
}
