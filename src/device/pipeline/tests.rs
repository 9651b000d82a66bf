use super::*;
use crate::device::app::Size;
use crate::device::schema::{self, Direction};
use crate::package::{Package, djb2};

const MODEL: &[u8] = &[9; 100];

fn yolo(app: App) -> App {
    App { model: Some(Model::new("yolov8n.blob")), ..app }
}

/// Every kind of application, with node and port that send frames to its Script.
fn applications() -> Vec<(App, [&'static str; 2])> {
    let jpeg = |app| App { payload: PayloadCoding::Jpeg { quality: 80 }, ..app };
    let fitted = |mut app: App| {
        let model = app.model.as_mut().expect("it has one");
        (model.fit, model.input) = (Fit::Letterbox, Some(Size::new(416, 416)));
        app
    };
    let video = App { payload: PayloadCoding::H265(Video::default()), picture: CameraOutput::Video, ..App::default() };
    let mobilenet = Model { family: ModelFamily::Mobilenet, ..Model::new("ssd.blob") };
    vec![
        (App::default(), ["ColorCamera", "preview"]),
        (yolo(App::default()), ["DetectionNetwork", "passthrough"]),
        (App { model: Some(mobilenet), ..App::default() }, ["DetectionNetwork", "passthrough"]),
        (fitted(yolo(App::default())), ["ColorCamera", "preview"]),
        (jpeg(App::default()), ["VideoEncoder", "bitstream"]),
        (fitted(yolo(jpeg(App::default()))), ["VideoEncoder", "bitstream"]),
        (yolo(video.clone()), ["VideoEncoder", "bitstream"]),
        (video, ["VideoEncoder", "bitstream"]),
    ]
}

#[test]
fn every_application_is_a_complete_graph() {
    for (app, expected) in applications() {
        let checked = app.check(None).expect("it can be built");
        let blob = app.model.is_some().then_some(MODEL);
        let sections = PipelineSections::of(&checked, blob, "print('hello')").expect("it is packed");
        let graph = schema::Pipeline::parse(&sections.pipeline).expect("it is read back");
        let (names, mut sources) = (graph.names(), Vec::new());
        for Link { from, to } in &graph.links {
            for (end, direction) in [(from, Direction::Out), (to, Direction::In)] {
                let node = graph.nodes.iter().find(|node| node.id == end.node).expect("there is such a node");
                let mut ports = node.ports.iter().filter(|port| (&port.group, &port.name) == (&end.group, &end.port));
                assert_eq!(ports.next().map(|port| port.direction), Some(direction), "{end:?} of {app:?}");
            }
            if to.port == "frame" {
                sources.push([names[&from.node], from.port.as_str()]);
            }
        }
        assert_eq!(sources, [expected], "{app:?}");
        // Every input has one link.
        for node in graph.nodes.iter().filter(|node| node.name != "ColorCamera") {
            for port in node.ports.iter().filter(|port| port.direction == Direction::In && port.name != "inputConfig") {
                let links = graph.links.iter().filter(|link| (link.to.node, &link.to.port) == (node.id, &port.name));
                assert_eq!(links.count(), 1, "{} of {} in {app:?}", port.name, node.name);
            }
        }
        let scripts = graph.scripts().expect("a script");
        let assets = schema::assets(&sections.assets).expect("assets");
        let stored = |key: &str| assets.iter().find(|asset| asset.key == key)?.stored_in(&sections.asset_storage);
        assert_eq!(scripts[0].asset.as_deref().and_then(stored), Some(b"print('hello')".as_slice()));
        let network = graph.nodes.iter().find(|node| node.name == "DetectionNetwork");
        assert_eq!(network.and_then(|node| stored(&format!("/node/{}/__blob", node.id))), blob);
    }
}

#[test]
fn package_carries_its_contract() {
    let app = App::default();
    let checked = app.check(None).expect("it can be built");
    let firmware = Firmware { image: b"MA2x".repeat(1000), commit: "c7127782".to_owned() };
    for compressed in [false, true] {
        let bytes = package(&checked, None, "", firmware.clone(), compressed).expect("a package");
        let package = Package::parse(bytes).expect("it is whole");
        assert_eq!(package.app_name().unwrap().parse(), Ok(checked.contract()));
        assert_eq!(package.firmware_version().as_deref(), Some("c7127782"));
        let stored = package.section("__firmware").expect("it is there");
        assert_eq!(
            (stored.checksum() == djb2(&firmware.image), stored.flags()),
            (!compressed, 3 + 4 * u8::from(compressed))
        );
    }
}

#[test]
fn missing_models_and_too_large_numbers_are_rejected() {
    let error = |app: &App, blob| {
        PipelineSections::of(&app.check(None).expect("it is checked"), blob, "").unwrap_err().to_string()
    };
    assert_eq!(error(&yolo(App::default()), None), "the application has a model, but none was passed");
    assert!(error(&App::default(), Some(MODEL)).starts_with("the application has no model, but one was passed"));
    let video = Video { bitrate_kbps: u32::MAX, keyframe_interval: 1 };
    assert_eq!(
        error(&App { payload: PayloadCoding::H264(video), ..App::default() }, None),
        "the bit rate is 4294967295000, expected at most 2147483647"
    );
    let mut app = yolo(App::default());
    let model = app.model.as_mut().expect("it has one");
    (model.fit, model.input) = (Fit::Crop, Some(Size::new(u32::MAX, 1)));
    assert!(error(&app, Some(MODEL)).starts_with("the size of the model's input in bytes is 12884901885, "));
}
