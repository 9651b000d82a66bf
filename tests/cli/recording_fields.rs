//! docs/json-recordings.md lists exactly the fields of the JSON output of the commands for recordings.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::Value;

use crate::output_fields::{check, lines};
use crate::program::{self, run};

/// Replaces the names of a map by one, as the documentation has it.
fn rename(map: &mut Value, name: &str) {
    if let Some(any) = map.as_object().and_then(|fields| fields.values().next()).cloned() {
        *map = serde_json::json!({ name: any });
    }
}

fn summary(words: &[&str]) -> Value {
    let (code, out, said) = run(&[words, &["--json"]].concat());
    assert!([0, 1, 3].contains(&code), "{words:?}: {code}: {said}");
    let line = out.lines().last().unwrap_or_default();
    let document: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {out}{said}"));
    document["summary"].clone()
}

/// The files of a recording, of which one is missing and one is damaged, and a file that is not a recording.
fn damaged(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let words = ["-o", folder.to_str().expect("UTF-8"), "--duration", "4500ms", "--split", "1s", "-q"];
    lines(&[&["record", "front=sim:?size=64x48&records=on&fault=foreign:0.1"], &words[..]].concat());
    let files = std::fs::read_dir(folder.join("front")).expect("a folder");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    std::fs::remove_file(files.remove(1)).expect("remove");
    let mut bytes = std::fs::read(&files[0]).expect("a recording");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&files[0], bytes).expect("write");
    files
}

#[test]
fn every_field_of_inspect_export_and_recover_is_documented() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = damaged(folder.path());
    let front = folder.path().join("front");
    let front = front.to_str().expect("UTF-8");
    let other = folder.path().join("front/text.mcap");
    std::fs::write(&other, "no recording").expect("write");

    let mut inspected = summary(&["inspect", front]);
    for file in inspected["files"].as_array_mut().expect("a list") {
        for camera in file["cameras"].as_array_mut().expect("a list") {
            for (map, name) in [("formats", "FORMAT"), ("labels", "LABEL")] {
                rename(&mut camera[map], name);
            }
        }
    }
    rename(&mut inspected["missing_files"][0]["frames"], "CAMERA");
    assert!(inspected["files"][0]["damage"][0].is_object() && inspected["unread"][0].is_object(), "{inspected:#}");
    check(&["Inspection"], [&inspected]);

    let table = folder.path().join("all.csv");
    let mut exported = summary(&["export", front, "-o", table.to_str().expect("UTF-8")]);
    rename(&mut exported["missing_files"][0]["frames"], "CAMERA");
    assert!(exported["unread"][0].is_object(), "{exported:#}");
    check(&["Export"], [&exported]);

    let copy = folder.path().join("copy.mcap");
    let recovered = summary(&["recover", files[0].to_str().expect("UTF-8"), "-o", copy.to_str().expect("UTF-8")]);
    check(&["Recovery"], [&recovered]);
    let all = summary(&["recover", front]);
    assert!(all["unread"][0]["why"].is_string(), "{all:#}");
    check(&["Recovery"], all["files"].as_array().expect("a list").iter().chain([&recovered]));
}

#[test]
fn every_field_of_simulations_and_snapshots_is_documented() {
    let simulated = summary(&["simulate", "--listen", "127.0.0.1:0", "--duration", "100ms"]);
    check(&["Simulation"], [&simulated]);

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let (mut printed, mut files) = (Vec::new(), Vec::new());
    for camera in ["sim:?size=64x48&records=on&spatial=on", "sim:?size=64x48&dialect=abcde-256&format=jpeg"] {
        for line in lines(&["snapshot", camera, "-o", path, "--json", "-q"]) {
            if line.get("snapshot").is_none() {
                continue;
            }
            let picture = std::path::PathBuf::from(line["snapshot"]["path"].as_str().expect("a path"));
            let file = std::fs::read(picture.with_extension("json")).expect("the file beside it");
            files.push(serde_json::from_slice(&file).expect("JSON"));
            printed.push(line);
        }
    }
    check(&["Snapshots"], &printed);
    check(&["The JSON file of a snapshot"], &files);
}

#[test]
fn every_field_of_a_served_recording_is_documented() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.mcap");
    let path = file.to_str().expect("UTF-8");
    lines(&["record", "front=sim:?size=64x48&fps=0", "-o", path, "-n", "60", "-q"]);
    let mut bytes = std::fs::read(&file).expect("a recording");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("write");
    let words = ["replay", path, "--serve", "127.0.0.1:0", "--speed", "max", "--json"];
    let mut server = program::oaktap(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut said = BufReader::new(server.stderr.take().expect("a pipe")).lines();
    let address = said.find_map(|line| {
        let line = line.expect("text");
        Some(line.strip_prefix("listening on tcp://")?.split(' ').next()?.to_owned())
    });
    let mut client = TcpStream::connect(address.expect("an address")).expect("it listens");
    client.read_to_end(&mut Vec::new()).expect("the recording");
    let said: Vec<_> = said.map_while(Result::ok).collect();
    let output = server.wait_with_output().expect("it ends");
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    let document: Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    let summary = &document["summary"];
    assert!(summary["cameras"][0]["error"].is_string(), "{summary:#}: {said:?}");
    check(&["Serving a recording"], [summary]);
}
