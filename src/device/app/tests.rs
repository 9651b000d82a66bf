use super::*;
use crate::device::contract::Contract;

fn app() -> App {
    App { model: Some(Model::new("yolov8n.blob")), ..App::default() }
}

/// The error of an application with this change.
fn error(change: impl FnOnce(&mut App), blob: Option<Size>) -> String {
    let mut app = app();
    change(&mut app);
    app.check(blob).expect_err("it cannot be built").to_string()
}

fn model(app: &mut App) -> &mut Model {
    app.model.as_mut().expect("it has one")
}

#[test]
fn contradictions_are_reported_with_their_fix() {
    let at = |width, height| Some(Size::new(width, height));
    let input = error(|_| (), at(416, 416));
    assert_eq!(
        input,
        "the model's input is 416x416, the preview is 640x352: fit it (letterbox, stretch or crop), or set the size to \
         416x416"
    );
    for name in ["", "a b", "ä", "0123456789012345678901234"] {
        assert!(
            error(|app| app.name = name.to_owned(), None).starts_with(&format!("invalid application name `{name}`")),
            "{name}"
        );
    }
    let larger = error(|app| app.size = Size::new(1920, 1200), None);
    assert!(larger.starts_with("the preview is 1920x1200, larger than the camera's 1920x1080 at 1080p"), "{larger}");
    let odd = error(|app| app.size = Size::new(641, 352), None);
    assert_eq!(odd, "the preview is 641x352: expected an even width and height; the nearest size is 640x352");
    let jpeg = PayloadCoding::Jpeg { quality: 80 };
    let encoded = |app: &mut App| (app.payload, app.size) = (jpeg, Size::new(300, 300));
    assert!(error(encoded, None).ends_with("; the nearest size is 288x296"));
    assert!(error(|app| app.picture = CameraOutput::Video, None).starts_with("the video cannot be sent raw"));
    assert!(error(|app| app.payload = PayloadCoding::Jpeg { quality: 0 }, None).starts_with("the JPEG quality is 0"));
    let never = Video { keyframe_interval: 0, ..Video::default() };
    assert!(error(|app| app.payload = PayloadCoding::H265(never), None).starts_with("the key-frame interval is 0"));
    for fps in [0.0, f32::NAN, 1e9] {
        assert!(error(|app| app.fps = fps, None).starts_with("the frame rate is "), "{fps}");
    }
    for port in [0, 11490, 11491] {
        assert!(error(|app| app.port = port, None).starts_with(&format!("port {port} is reserved")));
    }
    assert!(error(|app| model(app).confidence = 50.0, None).starts_with("the confidence is 50: expected 0 to 1"));
    assert!(error(|app| model(app).threads = 3, None).starts_with("the number of threads is 3"));
    let fitted = |app: &mut App| model(app).fit = Fit::Letterbox;
    assert!(error(fitted, None).starts_with("the blob does not contain the size of its input"));
    let given = |app: &mut App| model(app).input = at(300, 300);
    assert!(error(given, at(416, 416)).starts_with("the model's input is set to 300x300, but its blob says 416x416"));
}

#[test]
fn wrong_labels_and_anchors_are_rejected() {
    let labels = |app: &mut App, labels: &[&str]| {
        model(app).labels = labels.iter().map(|&label| label.to_owned()).collect();
    };
    for label in ["", " a", "a ", "größe", "+more", "a\nb"] {
        let text = error(|app| labels(app, &["person", label]), None);
        assert!(text.starts_with("label 1 is "), "{text}");
    }
    let yolo = |app: &mut App, new_classes, new_anchors: &[f32], new_masks: &[(&str, &[i32])]| {
        let ModelFamily::Yolo { classes, anchors, masks, .. } = &mut model(app).family else { panic!("it is one") };
        (*classes, *anchors) = (new_classes, new_anchors.to_vec());
        *masks = new_masks.iter().map(|&(mask, named)| (mask.to_owned(), named.to_vec())).collect();
    };
    let few = |app: &mut App| {
        labels(app, &["person"]);
        yolo(app, Some(80), &[], &[]);
    };
    assert!(error(few, None).starts_with("1 labels for 80 classes"));
    type Case<'a> = (&'a [f32], &'a [(&'a str, &'a [i32])], &'a str);
    let anchors: [Case<'_>; 5] = [
        (&[10.0, 14.0], &[], "2 anchor numbers and 0 masks"),
        (&[], &[("side26", &[0])], "0 anchor numbers and 1 masks"),
        (&[10.0, 14.0, 23.0], &[("side26", &[0])], "3 anchor numbers"),
        (&[10.0, 14.0], &[("side26", &[1])], "mask `side26` names anchor 1: expected 0 to 0"),
        (&[10.0, 14.0], &[("26", &[0])], "invalid mask name `26`"),
    ];
    for (anchors, masks, expected) in anchors {
        let text = error(|app| yolo(app, None, anchors, masks), None);
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn contract_and_rate_follow_from_the_parameters() {
    let size = Some(Size::new(640, 352));
    let plain = app();
    let checked = plain.check(size).expect("it is the vendor's example");
    assert_eq!(checked.contract().to_string(), "oaktap oaktap/1 640x352 BGR888p 30 - :5000");
    assert_eq!((checked.rate(), checked.mapping()), (StreamRate::Known(162_201_600.0), BoxMapping::IDENTITY));
    let mut video = app();
    (video.payload, video.picture, video.resolution) =
        (PayloadCoding::H264(Video::default()), CameraOutput::Video, Resolution::K4);
    model(&mut video).labels = vec!["person".to_owned()];
    let checked = video.check(size).expect("4K is what is encoded");
    let hash = Contract::labels_hash(&["person"]).expect("a label");
    assert_eq!(checked.contract().to_string(), format!("oaktap oaktap/1 3840x2160 H264 30 {hash:08x} :5000"));
    assert_eq!(video.model.as_ref().map(Model::classes), Some(1));
}

#[test]
fn boxes_are_mapped_from_the_input_to_the_preview() {
    let mapping = |fit, picture| {
        let mut app = app();
        (app.payload, app.picture) = (PayloadCoding::Jpeg { quality: 95 }, picture);
        app.size = Size::new(640, 320);
        model(&mut app).fit = fit;
        let BoxMapping { x_offset, x_scale, y_offset, y_scale } =
            app.check(Some(Size::new(320, 320))).expect("it is fitted").mapping();
        [x_offset, x_scale, y_offset, y_scale]
    };
    // The preview is twice as wide as high. It fills the middle half of a square input (letterbox), or its middle half fills
    // the input (crop).
    assert_eq!(mapping(Fit::Letterbox, CameraOutput::Preview), [0.0, 1.0, -0.5, 2.0]);
    assert_eq!(mapping(Fit::Crop, CameraOutput::Preview), [0.25, 0.5, 0.0, 1.0]);
    assert_eq!(mapping(Fit::Stretch, CameraOutput::Preview), [0.0, 1.0, 0.0, 1.0]);
}

#[test]
fn parameters_survive_serialization_and_missing_ones_are_defaults() {
    let full = App {
        payload: PayloadCoding::H264(Video { bitrate_kbps: 4000, keyframe_interval: 60 }),
        picture: CameraOutput::Video,
        host: Some(Ipv4Addr::new(192, 168, 1, 10)),
        ..app()
    };
    let text = serde_json::to_string(&full).expect("it can be written");
    assert_eq!(serde_json::from_str::<App>(&text).expect("it can be read"), full);
    let least: App = serde_json::from_str(r#"{"model": {"blob": "yolov8n.blob"}}"#).expect("the rest has defaults");
    assert_eq!(least, app());
    for unknown in
        [r#"{"sise": "1x1"}"#, r#"{"model": {"blob": "a", "labls": []}}"#, r#"{"payload": {"coding": "mp4"}}"#]
    {
        assert!(serde_json::from_str::<App>(unknown).is_err(), "{unknown}");
    }
    let size = serde_json::from_str::<App>(r#"{"size": "640"}"#).expect_err("no size").to_string();
    assert!(size.starts_with("expected a size such as 640x352, found `640`"), "{size}");
}
