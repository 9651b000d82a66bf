//! `oaktap inspect` of application packages: intact, damaged in several ways, and files of other types.

use std::fs;
use std::path::{Path, PathBuf};

use oaktap::package::PackageBuilder;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::run;

/// The contract that is stored as the application's name.
const NAME: &str = "door oaktap/1 640x352 BGR888p 12.5 1a2b3c4d :5000";
const SCRIPT: &str = "import socket\nif True:\n\tsocket.socket().bind(('', 5005))\n\tprint('ü')\x1b[2J\n";

/// A package with a camera, a Script and a link between them, in a temporary folder.
struct Sample {
    folder: TempDir,
    bytes: Vec<u8>,
}

/// A string as libnop encodes it.
fn text(text: &str) -> Vec<u8> {
    [&[0xbd, text.len() as u8], text.as_bytes()].concat()
}

fn structure(members: &[Vec<u8>]) -> Vec<u8> {
    [&[0xb9, members.len() as u8], &members.concat()[..]].concat()
}

fn node(id: u8, name: &str, properties: &[u8]) -> Vec<u8> {
    let properties = [&[0xbc, properties.len() as u8], properties].concat();
    // No ports.
    [vec![id], structure(&[vec![id], text(name), properties, vec![0xbb, 0]])].concat()
}

impl Sample {
    fn new() -> Self {
        let link = [vec![0], text(""), text("preview"), vec![1], text("io"), text("in")];
        let script = structure(&[text("asset:__script"), text(""), vec![0]]);
        let nodes = [&[0xbb, 2][..], &node(1, "Script", &script), &node(0, "ColorCamera", &[0xb9, 0])].concat();
        let pipeline = structure(&[[&[0xba, 1], &structure(&link)[..]].concat(), structure(&[]), nodes]);
        let place = structure(&[vec![0], vec![SCRIPT.len() as u8], vec![64]]);
        let assets = structure(&[[&[0xbb, 1], &text("/node/1/__script")[..], &place].concat()]);
        let bytes = PackageBuilder::new([b"MA2x".as_slice(), &[0x55; 3000]].concat())
            .pipeline(pipeline)
            .assets(assets)
            .asset_storage(SCRIPT)
            .firmware_version("a62b2ccb")
            .app_name(NAME)
            .compressed()
            .build()
            .expect("a package");
        Self { folder: tempfile::tempdir().expect("a folder"), bytes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).expect("it can be written");
        path.to_str().expect("UTF-8").to_owned()
    }
}

#[test]
fn an_intact_package_is_reported_with_its_scripts() {
    let sample = Sample::new();
    let path = sample.write("door.dap", &sample.bytes);
    let (code, told, said) = run(&["inspect", &path]);
    assert_eq!((code, said.as_str()), (0, ""), "{told}");
    let lines: Vec<_> = told.lines().map(str::trim_end).collect();
    assert!(lines[0].ends_with("door.dap: application package, 1.3 MB; all checksums match"), "{told}");
    for line in [
        &format!("    application  {NAME}"),
        "    contract     640x352 BGR888p, 12.5 frames/s, labels 1a2b3c4d; the camera listens on port 5000",
        "    firmware     a62b2ccb; 3004 bytes, for RVC2 cameras",
        "    nodes        0 ColorCamera",
        "                 1 Script",
        "    links        0 ColorCamera.preview -> 1 Script.io.in",
        "    files        /node/1/__script (74 bytes)",
        "    script       node 1, on LEON_CSS: /node/1/__script, 4 lines, listens on port 5005",
        "                 --extract DIR writes the programs to files",
    ] {
        assert!(lines.contains(&line), "{line}\n{told}");
    }
    assert_eq!(lines.iter().filter(|line| line.contains(" ok")).count(), 6, "{told}");
    assert!(!told.contains("import socket"), "{told}");
    assert!(told.contains(" ok, zlib, booted unchecked\n"), "{told}");

    let (code, told, _) = run(&["inspect", "--json", &path]);
    let summary: Value = serde_json::from_str(&told).expect("JSON");
    let package = &summary["summary"]["packages"][0];
    assert_eq!((code, &package["whole"]), (0, &Value::Bool(true)));
    assert_eq!((&package["contract"]["name"], &package["contract"]["fps"]), (&"door".into(), &12.5.into()));
    assert_eq!(package["application"]["scripts"][0]["text"], SCRIPT);
    assert_eq!(package["application"]["links"][0]["to"]["port"], "in");
    assert_eq!(package["sections"][0]["compression"], "zlib");
    assert_eq!(package["sha256"].as_str().expect("a hash").len(), 64);
}

#[test]
fn damage_is_reported_with_the_readable_rest() {
    let sample = Sample::new();
    type Change = fn(&mut Vec<u8>);
    let cases: [(&str, Change, &str); 4] = [
        ("flipped", |bytes| bytes[520] ^= 1, "section 0 `__firmware` (bytes 512 to "),
        ("cut", |bytes| bytes.truncate(bytes.len() - 1), "section 5 `app_name` is cut off: expected bytes "),
        ("longer", |bytes| bytes.push(0), "1 bytes too many: the last section ends at byte "),
        ("unbootable", |bytes| bytes[2 + 29] &= !1, "no section is bootable"),
    ];
    for (name, change, expected) in cases {
        let mut bytes = sample.bytes.clone();
        change(&mut bytes);
        let (code, told, _) = run(&["inspect", &sample.write(&format!("{name}.dap"), &bytes)]);
        assert_eq!(code, 3, "{name}: {told}");
        assert!(told.contains("DAMAGED: a camera would refuse it"), "{told}");
        assert!(told.contains(&format!("    damage       {expected}")), "{expected}\n{told}");
        assert!(told.contains(": /node/1/__script, 4 lines, listens on port 5005\n"), "{told}");
    }
    let mut bytes = sample.bytes.clone();
    bytes.truncate(100);
    let (code, _, said) = run(&["inspect", &sample.write("table.dap", &bytes)]);
    assert_eq!(code, 1);
    assert!(said.contains("expected a table of 512 bytes, found 100 bytes"), "{said}");
}

#[test]
fn a_file_of_another_type_is_reported_as_such() {
    let sample = Sample::new();
    let (code, told, said) = run(&["inspect", &sample.write("notes.txt", b"PK\x03\x04")]);
    assert_eq!((code, told.as_str()), (1, ""));
    assert!(said.contains("notes.txt is neither a recording (MCAP) nor an application package (.dap)"), "{said}");
    assert!(said.contains("found \"PK\\x03\\x04\"\nhelp: "), "{said}");
    // In a folder, only files with the package's extension are inspected.
    sample.write("a.dap", &sample.bytes);
    let (code, told, said) = run(&["inspect", sample.folder.path().to_str().expect("UTF-8")]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(told.matches("application package").count(), 1, "{told}");
}

#[test]
fn the_parts_are_extracted_into_a_new_folder() {
    let sample = Sample::new();
    let path = sample.write("door.dap", &sample.bytes);
    let parts = sample.path("parts");
    let extract = |path: &str, into: &Path| run(&["inspect", path, "--extract", into.to_str().expect("UTF-8")]);
    let (code, _, said) = extract(&path, &parts);
    assert_eq!(code, 0, "{said}");
    let read = |name: &str| fs::read(parts.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(read("__firmware"), [b"MA2x".as_slice(), &[0x55; 3000]].concat());
    assert_eq!(read("node-1-__script.py"), SCRIPT.as_bytes());
    assert_eq!(read("app_name"), NAME.as_bytes());
    assert_eq!(fs::read_dir(&parts).expect("a folder").count(), 7);

    let (code, _, said) = extract(&path, &parts);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("already exists"), "{said}");

    let mut bytes = sample.bytes.clone();
    bytes[520] ^= 1;
    let rest = sample.path("rest");
    let (code, _, said) = extract(&sample.write("damaged.dap", &bytes), &rest);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("section `__firmware` is damaged and was skipped"), "{said}");
    assert!(!rest.join("__firmware").exists() && rest.join("pipeline").exists());

    let other = sample.write("other.dap", &sample.bytes);
    let (code, _, said) = run(&["inspect", &path, &other, "--extract", "x"]);
    assert_eq!(code, 2, "{said}");
}
