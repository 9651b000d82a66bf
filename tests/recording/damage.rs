//! Damaged recordings through the commands that read them: each continues after the damage, counts what is missing, and
//! ends with exit code 3.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use oaktap::recording::{Compression, Reader};
use serde_json::Value;

use crate::program::run;
use crate::recordings::{camera, frames, write};

const FRAMES: u64 = 60;

/// A recording of several chunks.
fn recording(folder: &Path, compression: Compression) -> Vec<u8> {
    let path = folder.join("good.mcap");
    let _ = fs::remove_file(&path);
    write(&path, compression, &[(camera("door"), frames("size=320x240", FRAMES as usize))]);
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
