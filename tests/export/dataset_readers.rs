//! Exports are loaded by the programs that users load them with.

use std::fs;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use oaktap::export::{self, Choice, ExportFormat, ExportOptions, ExportReport};
use oaktap::frame::{BBox, Detection, DeviceTime, Frame, Interpreter, LabelMap, Pool, Received};
use oaktap::recording::{CameraInfo, Compression};
use oaktap::wire::{Decoder, Event, Limits, encode};
use serde_json::{Value, json};

use crate::external_tools;
use crate::frames;
use crate::recordings;

fn exported(files: &[PathBuf], format: ExportFormat, output: &Path) -> ExportReport {
    let threads = NonZeroUsize::new(2).expect("two");
    let options = ExportOptions {
        format,
        output: output.to_owned(),
        choice: Choice::default(),
        boxes: false,
        colormap: false,
        quality: None,
        threads,
    };
    let report = export::export(files, &options, &mut |_| ControlFlow::Continue(())).expect("an export");
    assert!(report.balances() && report.is_complete(), "{report:?}");
    report
}

fn seen(label: u32, confidence: f32, [xmin, ymin, xmax, ymax]: [f32; 4]) -> Detection {
    Detection { label, confidence, bbox: BBox { xmin, ymin, xmax, ymax }, ..Detection::default() }
}

/// Two cameras with their own class names: one raw, one JPEG.
fn recording(folder: &Path) -> Vec<PathBuf> {
    let path = folder.join("a.mcap");
    let (raw, jpeg) =
        (recordings::frames("size=96x64&records=on", 3), recordings::frames("size=64x48&format=JPEG&dialect=IMG", 2));
    let with = |frame: &Frame, detections| frames::altered(frame, frame.device_time.0, detections);
    let front = vec![
        with(&raw[0], vec![seen(0, 0.75, [0.25, 0.25, 0.5, 0.75]), seen(9, 0.5, [-0.5, 0.5, 0.5, 1.5])]),
        with(&raw[1], vec![]),
        with(&raw[2], vec![seen(1, f32::NAN, [0.0, 0.0, 1.0, 1.0]), seen(0, 0.25, [f32::NAN, 0.0, 1.0, 1.0])]),
    ];
    let back = vec![with(&jpeg[0], vec![seen(0, 0.875, [0.5, 0.5, 0.75, 0.625])]), with(&jpeg[1], vec![])];
    let info = |name, labels: &[&'static str]| {
        let labels = (!labels.is_empty()).then(|| labels.iter().copied().collect::<LabelMap>());
        CameraInfo { labels, ..recordings::camera(name) }
    };
    let cameras =
        [(info("front", &["helmet", "say: \"x\" # \u{1b}"]), front), (info("back", &["vest", "helmet"]), back)];
    recordings::write(&path, Compression::Lz4, &cameras);
    vec![path]
}

const ODD: &str = "say: \"x\" # \u{1b}";

#[test]
fn a_yolo_data_set_is_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("yolo");
    let report = exported(&recording(folder.path()), ExportFormat::Yolo, &out);
    assert_eq!((report.written, report.detections, report.without_box, report.files), (5, 4, 1, 11), "{report:?}");
    let Some(found) = external_tools::python("check_yolo.py", &[&out]) else { return };
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(found["names"], json!({ "0": "helmet", "1": ODD, "2": "vest", "3": "#9" }));
    let boxes: Vec<_> = found["images"].as_array().unwrap().iter().map(|image| image["boxes"].clone()).collect();
    // The files of `back` sort before those of `front`.
    assert_eq!(
        boxes,
        [
            json!([["vest", 0.625, 0.5625, 0.25, 0.125]]),
            json!([]),
            json!([["helmet", 0.375, 0.5, 0.25, 0.5], ["#9", 0.25, 0.75, 0.5, 0.5]]),
            json!([]),
            json!([[ODD, 0.5, 0.5, 1.0, 1.0]]),
        ]
    );
    let files: Vec<_> =
        found["images"].as_array().unwrap().iter().map(|image| image["file"].as_str().unwrap()).collect();
    assert!(files[0].starts_with("back_000000_") && files[0].ends_with(".jpg"), "{files:?}");
    assert!(files[4].starts_with("front_000002_") && files[4].ends_with(".png"), "{files:?}");
}

/// A recording that begins before the camera sends its names: the metadata has none.
fn recording_before_its_names(folder: &Path) -> Vec<PathBuf> {
    let mut stream = Vec::new();
    for number in 0..3 {
        let at = DeviceTime(25_000 * number);
        let text = encode::detections(&[seen(1, 0.75, [0.25, 0.25, 0.5, 0.75])]);
        let records: &[&str] = match number {
            0 => &["@D 64 48 BGR888p"],
            1 => &["@L 0 bolt", "@L 1 nut"],
            _ => &[],
        };
        for record in records {
            stream.extend_from_slice(&encode::line(record).expect("a record"));
        }
        stream.extend_from_slice(&encode::img(at, 64 * 48 * 3, text.len()));
        stream.extend_from_slice(&text);
        stream.extend_from_slice(&[7; 64 * 48 * 3]);
    }
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    decoder.feed(&stream, Received { mono_ns: 1, unix_ns: recordings::START_NS });
    decoder.finish();
    let frame = |event| if let Event::Frame(frame) = event { Some(frame) } else { None };
    let frames: Vec<_> = std::iter::from_fn(|| decoder.poll()).filter_map(frame).collect();
    assert_eq!(frames.iter().map(|frame| frame.labels.is_some()).collect::<Vec<_>>(), [false, true, true]);
    let path = folder.join("begins-early.mcap");
    recordings::write(&path, Compression::None, &[(recordings::camera("front"), frames)]);
    vec![path]
}

#[test]
fn a_data_set_has_the_names_that_the_camera_sends_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = recording_before_its_names(folder.path());
    let out = folder.path().join("yolo");
    exported(&files, ExportFormat::Yolo, &out);
    let yaml = fs::read_to_string(out.join("data.yaml")).expect("a list of classes");
    assert!(yaml.ends_with("nc: 2\nnames:\n  0: \"bolt\"\n  1: \"nut\"\n"), "{yaml}");
    let boxes: Vec<_> = fs::read_dir(out.join("labels/train"))
        .expect("boxes")
        .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("boxes"))
        .collect();
    assert!(boxes.len() == 3 && boxes.iter().all(|text| text.starts_with("1 ")), "{boxes:?}");

    let out = folder.path().join("coco");
    exported(&files, ExportFormat::Coco, &out);
    let found: Value = serde_json::from_slice(&fs::read(out.join("instances.json")).expect("JSON")).expect("JSON");
    let names: Vec<_> = found["categories"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["bolt", "nut"]);
    let numbers: Vec<_> =
        found["annotations"].as_array().unwrap().iter().map(|one| one["category_id"].clone()).collect();
    assert_eq!(numbers, [2, 2, 2]);

    let out = folder.path().join("given");
    let names = Some(["washer", "screw"].into_iter().collect::<LabelMap>());
    let choice = Choice { names, labels: vec!["screw".to_owned()], ..Choice::default() };
    let options = ExportOptions {
        format: ExportFormat::Yolo,
        output: out.clone(),
        choice,
        boxes: false,
        colormap: false,
        quality: None,
        threads: NonZeroUsize::MIN,
    };
    let report = export::export(&files, &options, &mut |_| ControlFlow::Continue(())).expect("an export");
    assert_eq!((report.written, report.detections), (3, 3), "{report:?}");
    let yaml = fs::read_to_string(out.join("data.yaml")).expect("a list of classes");
    assert!(yaml.ends_with("nc: 2\nnames:\n  0: \"washer\"\n  1: \"screw\"\n"), "{yaml}");

    let out = folder.path().join("a.csv");
    exported(&files, ExportFormat::Csv, &out);
    let table = fs::read_to_string(out).expect("a table");
    assert_eq!(table.lines().filter(|line| line.contains(",1,nut,")).count(), 3, "{table}");
}

#[test]
fn pycocotools_loads_the_data_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("coco");
    let report = exported(&recording(folder.path()), ExportFormat::Coco, &out);
    assert_eq!((report.written, report.detections, report.files), (5, 4, 6), "{report:?}");
    let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["images", "instances.json"], "no other files");
    let Some(found) = external_tools::python("check_coco.py", &[&out]) else { return };
    let found: Value = serde_json::from_str(&found).expect("JSON");
    let mut images: Vec<_> = found["images"].as_array().unwrap().clone();
    images.sort_by_key(|image| image["file"].as_str().unwrap().to_owned());
    let about: Vec<_> = images.iter().map(|image| (image["names"].clone(), image["boxes"].clone())).collect();
    assert_eq!(
        about,
        [
            (json!(["vest"]), json!([[32.0, 24.0, 16.0, 6.0]])),
            (json!([]), json!([])),
            (json!(["helmet", "#9"]), json!([[24.0, 16.0, 24.0, 32.0], [0.0, 32.0, 48.0, 32.0]])),
            (json!([]), json!([])),
            (json!([ODD]), json!([[0.0, 0.0, 96.0, 64.0]])),
        ]
    );
    assert_eq!(found["recall"], 1.0, "the boxes of the file against themselves");
}

#[test]
fn pandas_and_pyarrow_read_the_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("a.parquet");
    let report = exported(&recording(folder.path()), ExportFormat::Parquet, &out);
    assert_eq!((report.written, report.detections, report.bytes), (5, 4, fs::metadata(&out).unwrap().len()));
    let Some(found) = external_tools::python("read_parquet.py", &[&out]) else { return };
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(found["codec"], "ZSTD");
    for (column, kind) in [
        ("camera", "string"),
        ("seq", "uint64"),
        ("device_time_us", "int64"),
        ("arrival_unix_ns", "int64"),
        ("time_utc_ns", "int64"),
        ("label", "uint32"),
        ("name", "string"),
        ("confidence", "float"),
        ("xmin", "float"),
        ("ymax", "float"),
        ("width", "uint32"),
        ("height", "uint32"),
        ("z_mm", "float"),
        ("depth_mm", "uint16"),
        ("track", "uint32"),
        ("moved_left", "uint32"),
        ("stale", "bool"),
    ] {
        assert_eq!(found["schema"][column], kind, "{column}");
    }
    let rows = found["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4);
    let row = |camera: &str, name: &str| {
        rows.iter().find(|row| row["camera"] == camera && row["name"] == name).unwrap_or_else(|| panic!("no {name}"))
    };
    let cut = row("front", "#9");
    assert_eq!((&cut["label"], &cut["confidence"], &cut["width"]), (&json!(9), &json!(0.5), &json!(96)));
    assert_eq!(["xmin", "ymin", "xmax", "ymax"].map(|edge| cut[edge].as_f64().unwrap()), [0.0, 0.5, 0.5, 1.0]);
    assert_eq!(row("front", ODD)["confidence"], Value::Null);
    assert_eq!(row("front", ODD)["arrival_unix_ns"], recordings::START_NS + 50_000_000);
    assert_eq!(row("back", "vest")["time_utc_ns"].as_i64().map(|time| time % 1000), Some(0));
}
