//! Files that claim more than they hold, or hold more than they seem to: every command stays below a bound of memory and
//! CPU time. The kernel enforces both, so no clock of the test decides.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use mcap::records::op;
use oaktap::recording::Compression;

use crate::program::signal;
use crate::recordings::{camera, frames, write};

/// Private writable memory of the process, in KiB.
const MEMORY_KIB: u32 = 300_000;
/// CPU time in seconds. A search that is quadratic takes hours, and the program of tests is not optimized.
const CPU_S: u32 = 60;

const TIME_NS: u64 = 1_790_000_000_000_000_000;

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn record(opcode: u8, data: &[u8]) -> Vec<u8> {
    [&[opcode][..], &(data.len() as u64).to_le_bytes(), data].concat()
}

fn message(channel: u16, data: &[u8]) -> Vec<u8> {
    let times = [TIME_NS.to_le_bytes(), TIME_NS.to_le_bytes()].concat();
    record(op::MESSAGE, &[&channel.to_le_bytes()[..], &[0; 4], &times, data].concat())
}

fn metadata(name: &str, pairs: &[(&str, String)]) -> Vec<u8> {
    let map: Vec<u8> = pairs.iter().flat_map(|(key, value)| [text(key), text(value)].concat()).collect();
    record(op::METADATA, &[text(name), (map.len() as u32).to_le_bytes().to_vec(), map].concat())
}

fn channel(id: u16, schema: u16, topic: &str) -> Vec<u8> {
    let numbers = [id.to_le_bytes(), schema.to_le_bytes()].concat();
    record(op::CHANNEL, &[numbers, text(topic), text("protobuf"), vec![0; 4]].concat())
}

fn schema(id: u16, name: &str) -> Vec<u8> {
    record(op::SCHEMA, &[id.to_le_bytes().to_vec(), text(name), text("protobuf"), vec![0; 4]].concat())
}

/// A chunk without a checksum that claims `size` bytes.
fn chunk(compression: &str, packed: &[u8], size: u64) -> Vec<u8> {
    let times = [TIME_NS.to_le_bytes(), TIME_NS.to_le_bytes()].concat();
    let head = [times, size.to_le_bytes().to_vec(), vec![0; 4], text(compression)].concat();
    record(op::CHUNK, &[head, (packed.len() as u64).to_le_bytes().to_vec(), packed.to_vec()].concat())
}

fn packed(compression: &str, contents: &[u8]) -> Vec<u8> {
    let packed = match compression {
        "zstd" => zstd::encode_all(contents, 1).expect("zstd"),
        _ => {
            let mut encoder = lz4::EncoderBuilder::new().build(Vec::new()).expect("lz4");
            std::io::copy(&mut &contents[..], &mut encoder).expect("lz4");
            let (packed, result) = encoder.finish();
            result.expect("lz4");
            packed
        }
    };
    chunk(compression, &packed, contents.len() as u64)
}

/// The same with one of zeros, and with the size that it claims.
fn bomb(compression: &str, bytes: usize, claims: u64) -> Vec<u8> {
    let whole = packed(compression, &vec![0; bytes]);
    let head = 9 + 32 + compression.len() + 8;
    chunk(compression, &whole[head..], claims)
}

/// The crafted records, by name.
fn crafted() -> Vec<(&'static str, Vec<u8>)> {
    const GIB: u64 = 1 << 30;
    const CLAIMED: usize = 90 << 20;
    const SMALL: usize = 8 << 20;
    let empty_messages = message(0, b"").repeat(SMALL / 4 / 31);
    let empty_records = record(op::MESSAGE_INDEX, b"").repeat(SMALL / 4 / 9);
    let foreign = [schema(900, "foxglove.ImageAnnotations"), channel(900, 900, "/x/boxes")].concat();
    let boxes = message(900, &[0x12, 0].repeat(SMALL / 2));
    let own_boxes = message(1, &[0x12, 0].repeat(SMALL / 2));
    let cameras = |n: usize| metadata(&format!("oaktap.camera/c{n}"), &[("channel", (n * 5).to_string())]);
    let names: Vec<String> = (0..100_000).map(|n| format!("\"{n}\":\"xxxxxxxx\"")).collect();
    let names = format!("{{{}}}", names.join(","));
    let many: Vec<String> = (0..300_000).map(|n| n.to_string()).collect();
    let many: Vec<(&str, String)> = many.iter().map(|key| (key.as_str(), String::new())).collect();
    vec![
        ("zstd bomb", bomb("zstd", SMALL, GIB)),
        ("zstd bomb that claims less", bomb("zstd", CLAIMED + SMALL, CLAIMED as u64)),
        ("zstd bomb that claims 2^63", bomb("zstd", SMALL, 1 << 63)),
        ("lz4 bomb", bomb("lz4", SMALL, GIB)),
        ("lz4 bomb that claims less", bomb("lz4", SMALL + 1, SMALL as u64)),
        ("twenty bombs", bomb("zstd", SMALL, SMALL as u64).repeat(20)),
        ("empty messages", packed("zstd", &empty_messages)),
        ("one long message", packed("lz4", &message(0, &vec![0; SMALL]))),
        ("empty records", record(op::MESSAGE_INDEX, b"").repeat(60_000)),
        ("empty records in a chunk", packed("zstd", &empty_records)),
        ("empty private records", record(0x90, b"").repeat(60_000)),
        ("13,000 cameras", (0..13_000).flat_map(cameras).collect()),
        ("65,536 topics", (0..=u16::MAX).flat_map(|id| channel(id, 1, &format!("/c{id}/wire"))).collect()),
        ("100,000 names", metadata("oaktap.camera/z", &[("channel", "500".to_owned()), ("labels", names)])),
        ("300,000 keys", metadata("oaktap.camera/y", &many)),
        ("empty boxes", packed("zstd", &own_boxes)),
        ("empty boxes of others", [foreign, packed("zstd", &boxes)].concat()),
        ("camera headers", (0..20_000).flat_map(|n| format!("{:32}", format!("IMG {n}.5 1 0")).into_bytes()).collect()),
        ("heads of chunks", [record(op::CHUNK, &[0; 20])[..9].to_vec(), vec![0; 20]].concat().repeat(20_000)),
        ("lengths in lengths", {
            let head = |n: u64| [&[op::MESSAGE][..], &(1_000_000 - 29 * n).to_le_bytes(), &[0; 20]].concat();
            (0..20_000).flat_map(head).collect()
        }),
        ("tiny chunks", chunk("", &message(0, b""), 31).repeat(5_000)),
    ]
}

/// Runs the program with bounds of memory and CPU time.
fn bounded(args: &[&str]) -> Output {
    let limits = format!("ulimit -d {MEMORY_KIB} && ulimit -t {CPU_S} && exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limits, env!("CARGO_BIN_EXE_oaktap")]).args(args).env("NO_COLOR", "1").stdin(Stdio::null());
    command.output().expect("there is a shell")
}

fn recording(folder: &Path) -> Vec<u8> {
    let path = folder.join("good.mcap");
    write(&path, Compression::None, &[(camera("front"), frames("size=64x36", 10))]);
    std::fs::read(path).expect("a file")
}

#[test]
fn memory_and_time_are_bounded_whatever_a_file_claims() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = recording(folder.path());
    for (name, records) in crafted() {
        let path = folder.path().join("crafted.mcap");
        // Before the good records, so that they are read after the others.
        std::fs::write(&path, [&good[..8], &records, &good[8..]].concat()).expect("a file");
        let file = path.to_str().expect("text");
        let [saved, table, pictures] = ["saved.mcap", "table.csv", "pictures"].map(|name| folder.path().join(name));
        let [saved, table, pictures] = [&saved, &table, &pictures].map(|path| path.to_str().expect("text"));
        let played = format!("file:{file}?speed=max");
        for args in [
            &["inspect", file][..],
            &["verify", file],
            &["recover", file, "-o", saved],
            &["export", file, "--to", "csv", "-o", table],
            &["export", file, "--to", "png", "-o", pictures],
            &["replay", file, "--no-window", "--speed", "max"],
            &["view", &played, "--no-window"],
            &["detections", &played, "-q"],
        ] {
            let done = bounded(args);
            let said = String::from_utf8_lossy(&done.stderr);
            let code = done.status.code();
            assert!(matches!(code, Some(0 | 1 | 3)), "{name}: {args:?} ended with {:?}: {said}", done.status);
            assert!(args[0] != "verify" || code != Some(0), "{name}: verify finds nothing");
        }
        for made in [saved, table] {
            let _ = std::fs::remove_file(made);
        }
        let _ = std::fs::remove_dir_all(pictures);
    }
}

#[test]
fn a_signal_ends_work_on_a_file_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = recording(folder.path());
    let path = folder.path().join("long.mcap");
    // Takes much longer than a signal: each of millions of records is looked at.
    let noise = record(op::MESSAGE_INDEX, b"").repeat(8 << 20);
    std::fs::write(&path, [&good[..good.len() / 2], &noise].concat()).expect("a file");
    let (file, saved) = (path.to_str().expect("text"), folder.path().join("saved.mcap"));
    let saved = saved.to_str().expect("text");
    for args in [&["inspect", file][..], &["verify", file], &["recover", file, "-o", saved]] {
        let mut command = crate::program::oaktap(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        until_signals_are_handled(child.id());
        signal(&child, "INT");
        let status = child.wait().expect("it ends");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().expect("a pipe"), &mut said).expect("text");
        assert_eq!(status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains(&format!("stopped while reading {file}")), "{args:?}: {said}");
        assert!(said.contains("stopped at byte"), "{args:?}: {said}");
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names.len(), 2, "nothing is left: {names:?}");
    }
    // Depending on the signal, the first file was checked or not. The second one was not.
    let first = folder.path().join("good.mcap");
    let mut command = crate::program::oaktap(&["verify", "--json", first.to_str().expect("text"), file]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    until_signals_are_handled(child.id());
    signal(&child, "INT");
    let done = child.wait_with_output().expect("it ends");
    let line: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let summary = &line["summary"];
    let files = summary["files"].as_array().expect("the files that were checked").len();
    assert!(done.status.code() == Some(1) && files <= 1, "{line}");
    assert_eq!(summary["total"]["files"], files, "{line}");
    assert!(summary["error"].as_str().is_some_and(|error| error.starts_with("stopped while reading ")), "{line}");
}

/// Waits until the program has installed its handler of SIGINT.
fn until_signals_are_handled(pid: u32) {
    loop {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask");
        if u64::from_str_radix(caught.trim(), 16).expect("hexadecimal") & 2 != 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
