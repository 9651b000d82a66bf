//! Applications are packed like by the vendor's library: the same descriptions give the same pipelines, with both
//! versions whose firmware is known.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use oaktap::device::app::{
    App, CameraOutput, Fit, Model, ModelFamily, Orientation, PayloadCoding, PlaneOrder, Resolution, Size, Video,
};
use oaktap::device::blob::Blob;
use oaktap::device::firmware::{DeviceImages, KNOWN_FIRMWARE};
use oaktap::device::nop::Value;
use oaktap::device::schema::{Node, Pipeline};
use oaktap::device::{pipeline, script};
use oaktap::package::{APP_NAME, ASSET_STORAGE, ASSETS, FIRMWARE, FIRMWARE_VERSION, PIPELINE, Package};
use serde_json::{Value as Json, json};

use crate::external_tools::{self, content};
use crate::program;

/// A model of this input size, compiled by this version of OpenVINO.
fn blob(size: Size, [major, minor]: [u32; 2]) -> Vec<u8> {
    let mut blob = include_bytes!("../data/tiny.blob").to_vec();
    // Fields of the header (src/device/blob.rs); the first sizes are where the weights begin.
    let weights = u32::from_le_bytes(blob[128..132].try_into().expect("a number")) as usize;
    for (at, number) in [(60, major), (64, minor), (weights, size.width), (weights + 4, size.height)] {
        blob[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    blob
}

struct Case {
    app: App,
    blob: Option<Vec<u8>>,
    compressed: bool,
}

fn cases() -> Vec<Case> {
    let case = |app, blob| Case { app, blob, compressed: false };
    let newest = [2022, 1];
    let preview = App::default().size;
    let (small, square) = (Size::new(416, 416), Size::new(300, 300));
    let with = |model: Model, app: App| App { model: Some(model), ..app };
    let yolo = || Model::new("yolov8n.blob");
    let fitted = |fit, input| Model { fit, input: Some(input), ..yolo() };
    let anchors = vec![10., 14., 23., 27., 37., 58., 81., 82., 135., 169., 344., 319.5];
    let masks = [("side26", vec![1, 2, 3]), ("side13", vec![3, 4, 5])].map(|(name, mask)| (name.to_owned(), mask));
    let with_anchors =
        ModelFamily::Yolo { classes: Some(300), coordinates: 4, iou: 0.45, anchors, masks: BTreeMap::from(masks) };
    let labels = ["person", "traffic light", "d'oh"].map(str::to_owned).to_vec();
    let mobilenet =
        Model { family: ModelFamily::Mobilenet, confidence: 0.3, threads: 1, labels, ..fitted(Fit::Letterbox, square) };
    let jpeg = |quality| PayloadCoding::Jpeg { quality };
    let host = Some(Ipv4Addr::new(192, 168, 1, 10));
    let mut cases = vec![
        case(App::default(), None),
        // The application of the vendor's page.
        case(with(yolo(), App { fps: 40.0, name: "door".to_owned(), ..App::default() }), Some(blob(preview, newest))),
        case(
            App {
                plane_order: PlaneOrder::Rgb,
                orientation: Orientation::Rotate180,
                resolution: Resolution::Mp12,
                size: Size::new(2560, 1440),
                port: 6000,
                host,
                ..App::default()
            },
            None,
        ),
        Case {
            compressed: true,
            ..case(with(Model { family: with_anchors, ..yolo() }, App::default()), Some(blob(preview, newest)))
        },
        case(with(mobilenet, App::default()), Some(blob(square, newest))),
        case(with(fitted(Fit::Stretch, small), App::default()), Some(blob(small, newest))),
        case(
            with(fitted(Fit::Crop, small), App { plane_order: PlaneOrder::Rgb, ..App::default() }),
            Some(blob(small, newest)),
        ),
        case(App { payload: jpeg(80), orientation: Orientation::Flip, fps: 5.5, ..App::default() }, None),
        case(
            with(
                yolo(),
                App { payload: jpeg(95), picture: CameraOutput::Video, resolution: Resolution::K4, ..App::default() },
            ),
            Some(blob(preview, newest)),
        ),
        case(
            with(
                Model { confidence: 0.25, ..yolo() },
                App {
                    payload: PayloadCoding::H264(Video { bitrate_kbps: 2500, keyframe_interval: 15 }),
                    fps: 29.97,
                    orientation: Orientation::Mirror,
                    ..App::default()
                },
            ),
            Some(blob(preview, newest)),
        ),
        case(
            App {
                payload: PayloadCoding::H265(Video::default()),
                picture: CameraOutput::Video,
                resolution: Resolution::P800,
                orientation: Orientation::Normal,
                host,
                ..App::default()
            },
            None,
        ),
        case(
            with(
                fitted(Fit::Letterbox, small),
                App {
                    payload: PayloadCoding::H265(Video { bitrate_kbps: 80_000, keyframe_interval: 200 }),
                    ..App::default()
                },
            ),
            Some(blob(small, newest)),
        ),
    ];
    // A blob version of its own, and two that need different firmware.
    let older = [[6, 0], [2021, 3], [2020, 4]];
    cases.extend(older.map(|version| case(with(yolo(), App::default()), Some(blob(preview, version)))));
    cases
}

/// The description for the vendor's side, with the values that cannot be chosen there.
fn told(case: &Case, folder: &Path, number: usize) -> Json {
    let Case { app, blob, compressed } = case;
    let size = blob.as_deref().and_then(|blob| Blob::parse(blob).expect("a model").input_size());
    let checked = app.check(size).expect("it can be built");
    let path = folder.join(format!("{number}.blob"));
    if let Some(blob) = blob {
        fs::write(&path, blob).expect("it is written");
    }
    let mut described = serde_json::to_value(app).expect("JSON");
    described["input"] = json!(checked.input);
    described["classes"] = json!(app.model.as_ref().map(Model::classes));
    if app.model.is_none() {
        described["model"] = Json::Null;
    }
    let inputs: Vec<_> =
        script::inputs(app).iter().map(|input| json!([input.name, input.blocking, input.queue_size])).collect();
    json!({
        "app": described,
        "text": script::text(&checked),
        "inputs": inputs,
        "blob": path,
        "name": checked.contract().to_string(),
        "compressed": compressed,
    })
}

/// The encoded properties of each node, by node number.
fn properties(section: &[u8]) -> BTreeMap<i64, Vec<u8>> {
    let Value::Structure(parts) = Value::parse(section).expect("libnop") else { panic!("no structure") };
    let [_, _, Value::Map(nodes)] = &parts[..] else { panic!("no map") };
    let node = |(id, node): &(Value<'_>, Value<'_>)| {
        let Value::Structure(members) = node else { panic!("no structure") };
        let [_, _, Value::Binary(properties), _] = &members[..] else { panic!("no bytes") };
        (id.as_integer().expect("a number"), properties.to_vec())
    };
    nodes.iter().map(node).collect()
}

/// Kind and ports of a node, sorted.
fn kind_and_ports(node: &Node<'_>) -> (i64, String, Vec<String>) {
    let mut ports: Vec<_> = node.ports.iter().map(|port| format!("{port:?}")).collect();
    ports.sort();
    (node.id, node.name.clone(), ports)
}

fn compare(what: &str, ours: &Package, theirs: &Package) {
    let table = |package: &Package| {
        let told =
            package.sections().iter().map(|section| (section.name().to_owned(), section.flags(), section.kind()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(table(ours), table(theirs), "{what}");
    for name in [FIRMWARE, ASSETS, ASSET_STORAGE, FIRMWARE_VERSION, APP_NAME] {
        assert!(content(ours, name) == content(theirs, name), "{what}: {name} differs");
    }
    let [ours, theirs] = [ours, theirs].map(|package| content(package, PIPELINE));
    assert_eq!(properties(&ours), properties(&theirs), "{what}");
    let [ours, theirs] = [&ours, &theirs].map(|section| Pipeline::parse(section).expect("a pipeline"));
    let nodes = |pipeline: &Pipeline<'_>| pipeline.nodes.iter().map(kind_and_ports).collect::<Vec<_>>();
    assert_eq!(nodes(&ours), nodes(&theirs), "{what}");
    assert_eq!(ours.links, theirs.links, "{what}");
    assert_eq!(ours.global, theirs.global, "{what}");
}

fn packages_are_those_of(version: &str) {
    let Some(mut python) = external_tools::vendor_of(version) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let cases = cases();
    let description: Vec<_> = (0..).zip(&cases).map(|(number, case)| told(case, folder.path(), number)).collect();
    let apps = folder.path().join("apps.json");
    fs::write(&apps, json!(description).to_string()).expect("it is written");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/vendor_apps.py");
    let said = external_tools::output(python.arg(program).arg(&apps).arg(folder.path()));
    let said: Json = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
    assert_eq!(said["version"], json!(version));
    let module = fs::read(said["module"].as_str().expect("a path")).expect("the extension module");
    let images = DeviceImages::find(&module).expect("its firmware is known");

    for (number, Case { app, blob, compressed }) in cases.iter().enumerate() {
        let what = format!("application {number} of {version}");
        let model = blob.as_deref().map(|blob| Blob::parse(blob).expect("a model"));
        let firmware = images.firmware(model.as_ref().map(|model| model.openvino)).expect("there is one");
        let checked = app.check(model.as_ref().and_then(Blob::input_size)).expect("it can be built");
        let ours = pipeline::package(&checked, blob.as_deref(), &script::text(&checked), firmware, *compressed);
        let ours = Package::parse(ours.expect("it is packed")).expect("intact");
        let path = folder.path().join(format!("{number}.dap"));
        let theirs = Package::parse(fs::read(&path).expect("it was saved")).expect("intact");
        compare(&what, &ours, &theirs);
        fs::remove_file(path).expect("it is there");
    }
}

#[test]
fn packages_equal_those_of_depthai_2_30() {
    packages_are_those_of("2.30.0.0");
}

#[test]
fn packages_equal_those_of_depthai_2_33() {
    packages_are_those_of("2.33.0.0");
}

/// `.ci/need vendors && cargo test --test application vendor_packages -- --ignored`: compares with every version whose
/// firmware is known.
#[test]
#[ignore = "wants six versions of depthai, 400 MB when they are installed"]
fn packages_equal_those_of_every_known_depthai() {
    for known in KNOWN_FIRMWARE {
        packages_are_those_of(known.version);
    }
}

/// In the active environment, and through the Python in `PATH`.
#[test]
fn the_firmware_of_an_installed_depthai_is_found() {
    let Some(python) = external_tools::vendor() else { return };
    let programs = Path::new(python.get_program()).parent().expect("a folder");
    let environment = programs.parent().expect("a folder");
    let folder = tempfile::tempdir().expect("a folder");
    for (variable, place) in [("VIRTUAL_ENV", environment), ("PATH", programs)] {
        let name = format!("{variable}.dap");
        let mut build = program::oaktap(&["build", "--camera-only", "--uncompressed", "-o", &name]);
        build.current_dir(&folder).env("PATH", "").env_remove("VIRTUAL_ENV").env_remove("CONDA_PREFIX");
        let output = build.env("HOME", folder.path()).env(variable, place).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("firmware: depthai 2.30.0.0 in "), "{variable}: {said}");
        let package = fs::read(folder.path().join(&name)).expect("it was built");
        let package = Package::parse(package).expect("intact");
        assert_eq!(package.firmware_version().as_deref(), Some(KNOWN_FIRMWARE[0].commit));
    }
}

/// Shows that the comparison above notices each difference.
#[test]
fn different_applications_give_different_packages() {
    let sections: Vec<_> = cases()
        .iter()
        .map(|Case { app, blob, .. }| {
            let model = blob.as_deref().map(|blob| Blob::parse(blob).expect("a model"));
            let checked = app.check(model.as_ref().and_then(Blob::input_size)).expect("it can be built");
            pipeline::PipelineSections::of(&checked, blob.as_deref(), &script::text(&checked)).expect("it is packed")
        })
        .collect();
    for (at, sections_of_one) in sections.iter().enumerate() {
        assert!(sections[..at].iter().all(|other| other != sections_of_one), "{at}");
    }
}
