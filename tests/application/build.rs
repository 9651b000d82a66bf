//! `oaktap build` and `oaktap flash` of oaktap's own application: options, refusals and results.

use std::io::Write as _;
use std::path::Path;
use std::process::Output;

use lzma_rust2::{XzOptions, XzWriter};
use oaktap::device::firmware::KNOWN_FIRMWARE;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{oaktap, run};

/// A model of 276 bytes that consists of a header only.
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny.blob");

struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("the folder can be written to");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// An extension module like the vendor's, with made-up firmware of this commit.
    fn module(&self, commit: &str) -> String {
        let mut builder = tar::Builder::new(Vec::new());
        let firmware = b"MA2x and nothing that boots".repeat(1000);
        let mut header = tar::Header::new_gnu();
        header.set_size(firmware.len() as u64);
        let name = format!("depthai-device-openvino-universal-{commit}.cmd");
        builder.append_data(&mut header, name, firmware.as_slice()).expect("memory");
        let mut writer = XzWriter::new(Vec::new(), XzOptions::default()).expect("options");
        writer.write_all(&builder.into_inner().expect("memory")).expect("memory");
        let stream = writer.finish().expect("memory");
        self.file("depthai.so", [b"\x7fELF....".as_slice(), &stream].concat())
    }

    /// Runs the program in the folder, without Python and so without depthai.
    fn alone(&self, args: &[&str]) -> (i32, String) {
        let mut command = oaktap(args);
        command.current_dir(&self.0).env("PATH", "").env("HOME", self.0.path());
        command.env_remove("VIRTUAL_ENV").env_remove("CONDA_PREFIX");
        let Output { status, stderr, .. } = command.output().expect("the program starts");
        (status.code().expect("it was not killed"), String::from_utf8(stderr).expect("UTF-8"))
    }
}

fn inspected(path: &str) -> Value {
    let (code, out, said) = run(&["inspect", path, "--json"]);
    assert_eq!(code, 0, "{said}");
    serde_json::from_str::<Value>(&out).expect("JSON")["summary"]["packages"][0].take()
}

#[test]
fn a_file_and_options_are_built_into_a_package_that_describes_itself() {
    let bench = Bench::new();
    bench.module(KNOWN_FIRMWARE[0].commit);
    std::fs::copy(TINY, bench.0.path().join("tiny.blob")).expect("the folder can be written to");
    let config = bench.file(
        "oaktap.toml",
        r#"
        firmware = "depthai.so"
        [application]
        name = "door"
        fps = 20
        payload = { coding = "jpeg", quality = 80 }
        host = "192.168.1.10"
        [application.model]
        blob = "tiny.blob"
        labels = ["person", "bicycle"]
        "#,
    );
    let path = bench.0.path().join("door.dap");
    let path = path.to_str().expect("UTF-8");
    let build = |more: &[&str]| {
        let (code, out, said) = run(&[&["build", "--config", &config, "-o", path, "--json"], more].concat());
        assert_eq!(code, 0, "{said}");
        let built = serde_json::from_str::<Value>(&out).expect("JSON")["summary"].take();
        (built, said)
    };
    let (built, said) = build(&["--fps", "12.5"]);
    let crc = crc32fast::hash(b"person\nbicycle");
    assert_eq!(built["app_name"], format!("door oaktap/1 640x352 JPEG 12.5 {crc:08x} 192.168.1.10:5000"));
    assert!(said.contains("the stream needs about 4.2 of 941 Mbit/s"), "{said}");

    let package = inspected(path);
    assert_eq!(package["sha256"], built["sha256"]);
    assert_eq!(package["contract"], built["contract"]);
    assert_eq!((&package["contract"]["meeting"]["host"], &package["whole"]), (&"192.168.1.10".into(), &true.into()));
    assert_eq!(
        (&package["firmware_version"], &package["sections"][0]["compression"]),
        (&KNOWN_FIRMWARE[0].commit.into(), &"zlib".into())
    );
    let names: Vec<_> =
        package["application"]["nodes"].as_array().expect("nodes").iter().map(|node| &node["name"]).collect();
    assert!(
        names.contains(&&Value::from("VideoEncoder")) && names.contains(&&Value::from("DetectionNetwork")),
        "{names:?}"
    );
    let script = package["application"]["scripts"][0]["text"].as_str().expect("a text");
    assert!(script.starts_with("APP = {\"name\":\"door\"") && script.contains("[\"person\",\"bicycle\"]"), "{script}");

    // No file is replaced; the same build gives the same bytes.
    let remove = || std::fs::remove_file(path).expect("the package");
    remove();
    assert_eq!(build(&["--fps", "12.5"]).0["sha256"], built["sha256"]);
    remove();
    let (plain, _) = build(&["--uncompressed", "--camera-only"]);
    assert_eq!(inspected(path)["sections"][0]["compression"], "none");
    assert_eq!(plain["app_name"], "door oaktap/1 640x352 JPEG 20 - 192.168.1.10:5000");
    let files = std::fs::read_dir(&bench.0).expect("a folder").map(|file| file.expect("a file").file_name());
    assert!(files.filter(|name| Path::new(name).extension().is_some_and(|end| end == "partial")).count() == 0);
}

/// Users copy this file from the README, so it must work unchanged.
#[test]
fn the_application_file_in_the_readme_is_valid() {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once("```toml\n").expect("a file");
    let (text, _) = after.split_once("```").expect("its end");
    let bench = Bench::new();
    let config = bench.file("oaktap.toml", text);
    let named = |what: &str| {
        let line = text.lines().find(|line| line.starts_with(what)).expect(what);
        bench.0.path().join(line.split('"').nth(1).expect("a name"))
    };
    std::fs::copy(TINY, named("blob")).expect("the folder can be written to");
    std::fs::rename(bench.module(KNOWN_FIRMWARE[0].commit), named("firmware")).expect("the folder can be written to");
    let path = bench.0.path().join("app.dap");
    let (code, out, said) = run(&["build", "--config", &config, "-o", path.to_str().expect("UTF-8")]);
    assert_eq!(code, 0, "{said}");
    let crc = crc32fast::hash(b"person\nbicycle");
    assert!(out.contains(&format!("door oaktap/1 3840x2160 H264 20 {crc:08x} :5000")), "{out}");
}

#[test]
fn a_failed_build_reports_what_to_do() {
    let bench = Bench::new();
    let build = ["build", "-o", "a.dap"];
    let alone = |more: &[&str]| bench.alone(&[&build, more].concat());
    let (code, said) = alone(&["--model", TINY, "--size", "416x416"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("the model's input is 640x352, the preview is 416x416"), "{said}");
    assert!(said.contains("help: add --letterbox"), "{said}");
    let (code, said) = alone(&["--camera-only"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("help: `pip download --no-deps depthai==2.30.0.0`"), "{said}");
    let module = bench.module("0123456789");
    let (code, said) = alone(&["--camera-only", "--firmware", &module]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("0123456789") && said.contains(KNOWN_FIRMWARE[1].version), "{said}");
    let onnx = bench.file("yolo.onnx", b"\x08\x07");
    let (code, said) = alone(&["--model", &onnx]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("not a compiled model (.blob)"), "{said}");
    let (code, said) = alone(&[]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("help: give --model FILE.blob"), "{said}");
    assert!(!bench.0.path().join("a.dap").exists());
}

#[test]
fn a_package_that_exists_is_not_replaced() {
    let bench = Bench::new();
    let existing = bench.file("a.dap", b"mine");
    let (code, _, said) = run(&["build", "-o", &existing, "--camera-only"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&format!("error: {existing} already exists\nhelp: oaktap does not replace files")), "{said}");
    assert_eq!(std::fs::read(&existing).expect("a file"), b"mine");
}

#[test]
fn a_package_and_build_options_exclude_each_other() {
    let (code, _, said) = run(&["flash", "sim:", "--app", "a.dap", "--model", TINY]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("cannot be used with"), "{said}");
    let (code, _, said) = run(&["flash", "--camera-only"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("no camera given"), "{said}");
}

/// From a build to the first frame: flashed, read back, booted, and described by the flashed Script.
#[test]
fn a_simulated_camera_is_flashed_with_a_new_build() {
    let bench = Bench::new();
    let config = bench.file(
        "oaktap.toml",
        format!("cameras = [\"sim:\"]\n[application]\nname = \"gate\"\nfps = 20\n[application.model]\nblob = \"{TINY}\"\nlabels = [\"cat\"]\n"),
    );
    let (code, out, said) = run(&["flash", "--config", &config, "--yes", "--json"]);
    assert_eq!(code, 0, "{said}");
    let receipt = serde_json::from_str::<Value>(&out).expect("JSON")["summary"].take();
    let crc = crc32fast::hash(b"cat");
    assert_eq!(receipt["package"]["app_name"], format!("gate oaktap/1 640x352 BGR888p 20 {crc:08x} :5000"));
    assert_eq!(receipt["package"]["firmware_version"], "simulated");
    let frame = &receipt["running"]["first_frame"];
    assert_eq!(
        (&frame["dialect"], &frame["picture"], &frame["bytes"]),
        (&"IMG".into(), &"640x352 BGR888p".into(), &675_840.into())
    );
}

/// The camera connects to its host, which is this computer.
#[test]
fn a_flashed_camera_connects_to_its_host() {
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let port = port.to_string();
    let args = ["flash", "sim:", "--camera-only", "--host", "127.0.0.1", "--port", &port, "--payload", "jpeg"];
    let (code, out, said) = run(&[&args[..], &["--yes", "--json"]].concat());
    assert_eq!(code, 0, "{said}");
    let receipt = serde_json::from_str::<Value>(&out).expect("JSON")["summary"].take();
    assert_eq!(receipt["running"]["first_frame"]["dialect"], "ABCDE", "{receipt}");
}
