//! docs/json-streams.md lists exactly the fields of the JSON output, and docs/json-cameras.md those of `doctor`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::program::{oaktap, run};

/// The fields of one section of the page, and whether each is always printed.
fn documented(section: &str) -> BTreeMap<String, bool> {
    let page = match section {
        "`doctor`" => include_str!("../../docs/json-cameras.md"),
        "Inspection"
        | "Recovery"
        | "Export"
        | "Serving a recording"
        | "Simulation"
        | "Snapshots"
        | "The JSON file of a snapshot" => {
            include_str!("../../docs/json-recordings.md")
        }
        _ => include_str!("../../docs/json-streams.md"),
    };
    let heading = format!("\n## {section}\n");
    let rest = page.split_once(&heading).unwrap_or_else(|| panic!("no section {section}")).1;
    let rows = rest.split("\n## ").next().expect("a section").lines().filter_map(|line| line.strip_prefix("| `"));
    let fields: BTreeMap<_, _> = rows
        .map(|row| {
            let (field, meaning) = row.split_once("` | ").expect("a row");
            // The simulated camera numbers and describes its frames, and reports its health.
            (field.to_owned(), !meaning.starts_with("if ") || meaning.starts_with("if the camera "))
        })
        .collect();
    assert!(fields.len() > 1, "{section}");
    fields
}

/// Adds the paths of all values that are not objects.
fn collect(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let path = |name: &String| if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            fields.iter().for_each(|(name, value)| collect(value, &path(name), into));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().for_each(|item| collect(item, &format!("{path}[]"), into));
        }
        _ => {
            into.insert(path.to_owned());
        }
    }
}

/// Fails unless each printed field is documented, and each field that is always there is printed by one of these.
#[track_caller]
pub(crate) fn check<'a>(sections: &[&str], printed: impl IntoIterator<Item = &'a Value>) {
    let documented: BTreeMap<_, _> = sections.iter().flat_map(|section| documented(section)).collect();
    let mut found = BTreeSet::new();
    printed.into_iter().for_each(|value| collect(value, "", &mut found));
    // An empty list has no fields to show.
    let lists: BTreeSet<&str> =
        documented.keys().flat_map(|field| field.match_indices("[]").map(|(at, _)| &field[..at])).collect();
    let undocumented: Vec<_> =
        found.iter().filter(|field| !documented.contains_key(*field) && !lists.contains(field.as_str())).collect();
    assert!(undocumented.is_empty(), "printed, but not in the documentation: {undocumented:?}");
    let missing: Vec<_> = documented.iter().filter(|(field, always)| **always && !found.contains(*field)).collect();
    assert!(missing.is_empty(), "in the documentation, but not printed: {missing:?}");
}

pub(crate) fn lines(arguments: &[&str]) -> Vec<Value> {
    let (code, out, err) = run(arguments);
    assert!([0, 3].contains(&code), "{code}: {err}");
    out.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).expect(line)).collect()
}

const CAMERA: &str = "sim:?size=64x48&fault=foreign:0.1";

#[test]
fn every_field_of_frames_and_cameras_is_documented() {
    let tracked = "sim:?size=64x48&dialect=abcde-256&format=jpeg";
    let spatial = "sim:?size=64x48&spatial=on&depth=on";
    let mut frames = lines(&["detections", CAMERA, "--frames", "20", "--hash", "--json", "-q"]);
    let summary = frames.pop().expect("a summary");
    frames.extend(lines(&["detections", tracked, "--frames", "5", "-q"]));
    frames.extend(lines(&["detections", spatial, "--frames", "2", "-q"]));
    check(&["One frame"], &frames);

    let viewed = lines(&["view", CAMERA, "--no-window", "--frames", "100", "--json", "-q"]);
    let cameras = [&summary, viewed.last().expect("a summary")].map(|line| &line["summary"]["cameras"][0]);
    check(&["Summary of a camera"], cameras);
}

#[test]
fn every_field_of_datagrams_is_documented() {
    let address = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let (address, source) = (address.to_string(), format!("udp://{address}"));
    let mut camera =
        oaktap(&["simulate", "--udp", &address, "--size", "64x48", "--records", "-q"]).spawn().expect("it starts");
    // The camera describes itself every 2 s.
    let printed = lines(&["detections", &source, "--frames", "170", "--json", "-q"]);
    camera.kill().and_then(|()| camera.wait()).expect("it ends");
    let summary = &printed.last().expect("a summary")["summary"]["cameras"][0];
    let documented =
        documented("Summary of a camera").into_keys().filter(|field| field.starts_with("datagrams.")).count();
    assert_eq!(summary["datagrams"].as_object().map(serde_json::Map::len), Some(documented));
    check(&["Summary of a camera"], [summary]);
}

#[test]
fn every_field_of_recordings_and_their_status_is_documented() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().to_str().expect("UTF-8");
    let printed = lines(&["record", CAMERA, "-o", folder, "--duration", "3s", "--status", "50ms", "--json", "-q"]);
    let (summaries, states): (Vec<_>, Vec<_>) = printed.iter().partition(|line| line.get("summary").is_some());
    check(&["Recordings"], [&summaries[0]["summary"]["recordings"][0]]);
    check(&["Status", "Summary of a camera"], states.iter().map(|line| &line["status"]));
}

#[test]
fn every_field_of_a_benchmark_is_documented() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let cameras = ["a=sim:?size=64x48&fps=0", "b=sim:?size=64x48&fps=0", &format!("tcp://{closed}")];
    let mut printed = lines(&[&["bench"][..], &cameras[..], &["--frames", "60", "--json", "-q"]].concat());
    let report = printed.last_mut().expect("a summary")["summary"].as_object_mut().expect("an object");
    assert!(report.remove("cameras").is_some(), "described as the summary of a camera");
    assert_eq!(report["fleet"]["cameras"], 2, "two were measured: {report:#?}");
    check(&["Benchmark"], [&Value::Object(report.clone())]);
}

/// Replaces the names of a map by one, as the documentation has it.
fn rename_fields(map: &mut Value, name: &str) {
    let fields = map.as_object().expect("a map");
    let any = fields.values().next().expect("a field").clone();
    *map = serde_json::json!({ name: any });
}

/// A recording of several files of which one is missing and one is damaged, and a file that is not a recording.
#[test]
fn every_field_of_a_verification_is_documented() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    lines(&["record", "front=sim:?size=64x48", "-o", path, "--duration", "4500ms", "--split", "1s", "-q"]);
    let files = std::fs::read_dir(folder.path().join("front")).expect("a folder");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    std::fs::remove_file(&files[1]).expect("remove");
    let mut bytes = std::fs::read(&files[0]).expect("a recording");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&files[0], bytes).expect("write");
    std::fs::write(folder.path().join("front/text.mcap"), "no recording").expect("write");
    let (code, out, err) = run(&["verify", path, "--json"]);
    assert_ne!(code, 0, "{err}");
    let mut line: Value = serde_json::from_str(out.lines().next().expect("a line")).expect("JSON");
    line = line["summary"].take();
    for file in line["files"].as_array_mut().expect("a list") {
        rename_fields(&mut file["no_checksum"], "PART");
    }
    rename_fields(&mut line["missing_files"][0]["frames"], "CAMERA");
    for list in ["files", "missing_files", "unread"] {
        assert!(line[list][0].is_object(), "{list}: {line:#}");
    }
    assert!(line["files"][0]["findings"][0].is_object(), "{line:#}");
    check(&["Verification"], [&line]);
}

/// A whole camera, whose stream states its layout, and one of which only a port is known, whose layout is guessed.
#[cfg(target_os = "linux")]
#[test]
fn every_field_of_a_diagnosis_is_documented() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let guessed = oaktap::sim::Simulator::start(listener, &"size=64x48".parse().expect("a stream")).expect("a stream");
    let guessed = format!("127.0.0.1:{}", guessed.local_addr().port());
    let camera = "sim:size=64x48&state=application&records=on&broadcast=on";
    let (_, out, err) = run(&["doctor", camera, &guessed, "--measure", "300ms", "--json", "-q"]);
    let document: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    let report = &document["summary"];
    assert!(report["facts"]["targets"][1]["stream"]["guess"].is_object(), "{report:#}");
    check(&["`doctor`"], [report]);
}
