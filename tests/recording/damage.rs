//! Damaged recordings through the commands that read them: each continues after the damage, counts what is missing, and
//! ends with exit code 3.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use oaktap::recording::{Compression, Reader, SegmentWriter};
use serde_json::Value;

use crate::program::run;
use crate::recordings::{START_NS, camera, frames, taken_ns};

const FRAMES: u64 = 24;
const FRAMES_IN_CHUNK: usize = 3;

/// A small recording of several chunks.
fn recording(folder: &Path, compression: Compression) -> Vec<u8> {
    recording_of(folder, compression, FRAMES_IN_CHUNK)
}

fn recording_of(folder: &Path, compression: Compression, frames_in_chunk: usize) -> Vec<u8> {
    let path = folder.join("good.mcap");
    let file = fs::File::create(&path).expect("a file");
    let mut writer = SegmentWriter::new(file, compression, &[camera("door")], START_NS).expect("a recording");
    for chunk in frames("size=64x48", FRAMES as usize).chunks(frames_in_chunk) {
        for frame in chunk {
            writer.frame(0, frame, taken_ns(frame)).expect("write");
        }
        writer.flush().expect("write");
    }
    writer.finish(&[]).expect("write");
    fs::read(&path).expect("a file")
}

fn document(printed: &str) -> Value {
    serde_json::from_str(printed.lines().last().unwrap_or_default()).expect("a document")
}

/// Frames that each command got from a file, and frames that it calls missing. Asserts its exit code.
fn read_by_all(folder: &Path, file: &Path, what: &str) -> BTreeMap<String, (u64, u64)> {
    let path = file.to_str().expect("text");
    let uri = format!("file:{path}?speed=max");
    let (saved, table) = (folder.join("saved.mcap"), folder.join("table.csv"));
    let (saved, table) = (saved.to_str().expect("text"), table.to_str().expect("text"));
    let commands: [&[&str]; 7] = [
        &["replay", path, "--no-window", "--speed", "max", "--json"],
        &["view", &uri, "--no-window", "--json"],
        &["detections", &uri, "-q", "--json"],
        &["export", path, "--to", "csv", "-o", table, "--json"],
        &["recover", path, "-o", saved, "--json"],
        &["inspect", path, "--json"],
        &["verify", path, "--json"],
    ];
    let mut found = BTreeMap::new();
    for words in commands {
        let (code, printed, errors) = run(words);
        assert_eq!(code, 3, "{what}: {words:?}: {printed}{errors}");
        let document = document(&printed);
        let n = |pointer: &str| document.pointer(&format!("/summary{pointer}")).and_then(Value::as_u64).unwrap_or(0);
        let (read, missing) = match words[0] {
            "export" => (n("/written"), n("/missing")),
            "recover" => (n("/frames"), n("/lost_frames")),
            "inspect" => (n("/files/0/cameras/0/frames"), FRAMES - n("/files/0/cameras/0/frames")),
            "verify" => (n("/files/0/frames"), FRAMES - n("/files/0/frames")),
            _ => (n("/cameras/0/frames/received"), n("/cameras/0/missing_in_recording")),
        };
        found.insert(words[0].to_owned(), (read, missing));
    }
    for made in [saved, table] {
        let _ = fs::remove_file(made);
    }
    found
}

#[test]
fn every_command_reads_the_frames_after_the_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let good = recording(folder.path(), compression);
        let chunks = Reader::open(&folder.path().join("good.mcap")).expect("a recording").chunks().to_vec();
        let [_, _, .., before, last] = &chunks[..] else { panic!("several chunks") };
        let middle = chunks[chunks.len() / 2];
        let inside = |chunk: oaktap::recording::ChunkRange| (chunk.at + chunk.len / 2) as usize;
        let damaged: [(&str, Vec<usize>); 8] = [
            ("contents of the first chunk", vec![inside(chunks[0])]),
            ("contents of a chunk", vec![inside(middle)]),
            ("contents of two chunks", vec![inside(chunks[1]), inside(*before)]),
            ("contents of the last chunk", vec![inside(*last)]),
            ("opcode of a chunk", vec![middle.at as usize]),
            ("opcode of the last chunk", vec![last.at as usize]),
            ("length of a chunk", vec![middle.at as usize + 3]),
            ("claimed size of a chunk", vec![middle.at as usize + 9 + 16 + 5]),
        ];
        for (what, places) in damaged {
            let what = format!("{compression:?}, {what}");
            let mut bytes = good.clone();
            places.iter().for_each(|at| bytes[*at] ^= 0xff);
            let path = folder.path().join("bad.mcap");
            fs::write(&path, bytes).expect("a file");
            let found = read_by_all(folder.path(), &path, &what);
            let (saved, _) = found["recover"];
            assert!(saved > FRAMES / 2, "{what}: {found:?}");
            // The messages of a chunk that is not compressed are found although its head is damaged.
            let is_head = what.starts_with("None, length") || what.starts_with("None, claimed");
            assert!(saved < FRAMES || is_head, "{what}: {found:?}");
            for command in ["replay", "view", "detections", "export"] {
                assert_eq!(found[command], (saved, FRAMES - saved), "{what}, {command}: {found:?}");
            }
        }
    }
}

#[test]
fn every_command_reads_the_same_frames_of_a_file_that_was_cut_in_a_chunk() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = recording(folder.path(), Compression::None);
    let chunks = Reader::open(&folder.path().join("good.mcap")).expect("a recording").chunks().to_vec();
    let chunk = chunks[chunks.len() / 2];
    let mut of_part_of_a_chunk = 0;
    for eighths in [1, 4, 7] {
        let len = (chunk.at + chunk.len * eighths / 8) as usize;
        let path = folder.path().join("cut.mcap");
        fs::write(&path, &good[..len]).expect("a file");
        let what = format!("cut at {len}");
        let found = read_by_all(folder.path(), &path, &what);
        let (saved, _) = found["recover"];
        of_part_of_a_chunk += u64::from(!saved.is_multiple_of(FRAMES_IN_CHUNK as u64));
        for (command, (read, _)) in &found {
            assert_eq!(*read, saved, "{what}, {command}: {found:?}");
        }
    }
    assert!(of_part_of_a_chunk > 0, "one of the cuts is between frames of a chunk");
}

/// Damage before the place of the cut, or in the chunk that was cut, does not hide the frames after it.
#[test]
fn every_command_reads_the_frames_that_recover_saves_from_a_file_that_is_cut_and_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = recording_of(folder.path(), Compression::None, 8);
    let chunks = Reader::open(&folder.path().join("good.mcap")).expect("a recording").chunks().to_vec();
    let [_, middle, last] = chunks[..] else { panic!("three chunks") };
    let metadata = good.windows(18).position(|bytes| bytes == b"oaktap.camera/door").expect("metadata of the camera");
    let message = last.at as usize + 9 + 40;
    let damaged: [(&str, &[usize]); 8] = [
        ("first picture of the chunk that is cut", &[message + 9 + 22 + 200]),
        ("opcode of the first message of the chunk that is cut", &[message]),
        ("middle of the chunk that is cut", &[(last.at + last.len / 2) as usize]),
        ("middle of two chunks", &[(middle.at + middle.len / 2) as usize, (last.at + last.len / 3) as usize]),
        ("length of the chunk in the middle", &[middle.at as usize + 3]),
        ("name of the camera", &[metadata + 15]),
        ("name of the metadata", &[metadata + 8]),
        ("length of the metadata", &[metadata - 4 - 9 + 1]),
    ];
    let path = folder.path().join("bad.mcap");
    for (what, places) in damaged {
        let mut bytes = good[..(last.at + last.len * 7 / 8) as usize].to_vec();
        places.iter().for_each(|at| bytes[*at] ^= 0xff);
        fs::write(&path, bytes).expect("a file");
        let found = read_by_all(folder.path(), &path, what);
        let (saved, _) = found["recover"];
        assert!(saved > 18, "frames after the damage: {what}: {found:?}");
        for (command, (read, _)) in &found {
            assert_eq!(*read, saved, "{what}, {command}: {found:?}");
        }
    }
}

#[test]
fn another_recording_after_the_end_is_reported_and_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    for compression in [Compression::None, Compression::Zstd] {
        let good = recording(folder.path(), compression);
        let path = folder.path().join("joined.mcap");
        fs::write(&path, [&good[..], &good].concat()).expect("a file");
        let found = read_by_all(folder.path(), &path, "joined");
        let missing = |command: &str| if ["inspect", "verify"].contains(&command) { 0 } else { found[command].1 };
        for (command, (read, _)) in &found {
            assert_eq!((*read, missing(command)), (FRAMES, 0), "{command}: {found:?}");
        }
        let file = path.to_str().expect("text");
        let (_, printed, errors) = run(&["inspect", file]);
        assert!(printed.contains("40.00 frames/s"), "{printed}");
        let said = format!("another recording begins here: its {} bytes are not read", good.len());
        assert!(printed.contains(&format!("at byte {}: {said}", good.len())), "{printed}{errors}");
        let table = folder.path().join("joined.csv");
        let (_, _, errors) = run(&["export", file, "-o", table.to_str().expect("text")]);
        let said = format!("another recording begins at byte {0}: its {0} bytes are not read", good.len());
        assert!(errors.contains(&said) && errors.contains("tail -c"), "{errors}");
        fs::remove_file(table).expect("a table");
    }
}

/// All frames are before the damage: no command says that frames are missing.
#[test]
fn damage_after_the_data_is_not_called_truncation() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = recording(folder.path(), Compression::None);
    let chunks = Reader::open(&folder.path().join("good.mcap")).expect("a recording").chunks().to_vec();
    let footer = good.len() - mcap::MAGIC.len() - 29;
    let summary_at = good[footer + 9..].first_chunk().map(|at| u64::from_le_bytes(*at)).expect("a footer") as usize;
    assert!(summary_at > chunks.last().expect("chunks").at as usize, "a summary");
    let flips = [
        ("end of the data", summary_at - 13),
        ("length in the summary", summary_at + 4),
        ("summary", summary_at + 60),
        ("opcode of the footer", footer),
        ("length of the footer", footer + 2),
        ("checksum of the summary", good.len() - mcap::MAGIC.len() - 2),
        ("end of the file", good.len() - 2),
    ];
    let path = folder.path().join("bad.mcap");
    for (what, at) in flips {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, bytes).expect("a file");
        for command in ["inspect", "verify"] {
            let (code, printed, errors) = run(&[command, path.to_str().expect("text"), "--json"]);
            assert_eq!(code, 3, "{what}, {command}: {printed}{errors}");
        }
        let table = folder.path().join("bad.csv");
        let (code, _, errors) = run(&["export", path.to_str().expect("text"), "-o", table.to_str().expect("text")]);
        assert_eq!(code, 3, "{what}: {errors}");
        assert!(errors.contains("24 of 24 frames of the recording exported"), "{what}: {errors}");
        assert!(!errors.contains("missing") && !errors.contains("truncated"), "{what}: {errors}");
        fs::remove_file(table).expect("a table");
    }
}

/// Every finding is a line of words and numbers.
#[test]
fn verify_describes_a_lost_chunk_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = recording(folder.path(), Compression::None);
    let chunks = Reader::open(&folder.path().join("good.mcap")).expect("a recording").chunks().to_vec();
    let lost = chunks[chunks.len() / 2];
    bytes[lost.at as usize..(lost.at + lost.len) as usize].fill(0);
    let path = folder.path().join("bad.mcap");
    fs::write(&path, bytes).expect("a file");
    let (code, printed, errors) = run(&["verify", path.to_str().expect("text")]);
    assert_eq!(code, 3, "{errors}");
    let of_index = format!("chunk index: expected a chunk at byte {}, found none there", lost.at);
    assert_eq!(printed.matches("chunk index: ").count(), 1, "{printed}");
    assert!(printed.contains(&of_index) && !printed.contains(['{', '}']), "{printed}");
}
