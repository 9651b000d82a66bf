//! Several streams on one connection: recordings, exports and detections tell them apart.

use std::fs;

use serde_json::Value;

use crate::program::run;

/// The camera sends color and depth in turn, and drops nothing: it waits for its receiver.
const CAMERA: &str = "cam=sim:?size=64x48&depth=on&spatial=on&fps=0";

#[test]
fn color_and_depth_of_one_connection_are_recorded_and_exported_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let file = path("a.mcap");
    let (code, _, err) = run(&["record", CAMERA, "-o", &file, "-n", "20", "-v"]);
    assert_eq!(code, 0, "{err}");
    let line =
        "the camera also sends a stream `depth` of 64x48 RAW16 pictures, which oaktap shows and saves as `cam_depth`";
    assert!(err.lines().any(|said| said.contains("INFO") && said.contains(line)), "{err}");

    let (code, out, err) = run(&["inspect", &file, "--json"]);
    assert_eq!(code, 0, "{err}");
    let found: Value = serde_json::from_str(out.lines().next().expect("a line")).expect("JSON");
    let cameras: Vec<(&str, u64)> = found["summary"]["files"][0]["cameras"]
        .as_array()
        .expect("cameras")
        .iter()
        .map(|camera| (camera["name"].as_str().expect("a name"), camera["frames"].as_u64().expect("a number")))
        .collect();
    let [("cam", color), ("cam_depth", depth)] = cameras[..] else { panic!("{cameras:?}") };
    assert!(color.abs_diff(depth) <= 1 && color + depth >= 20, "{cameras:?}");
    let (code, _, err) = run(&["verify", &file]);
    assert_eq!(code, 0, "{err}");

    let (code, _, err) = run(&["export", &file, "--to", "png", "-o", &path("png")]);
    assert_eq!(code, 0, "{err}");
    let mut kinds = Vec::new();
    for entry in fs::read_dir(path("png")).expect("a folder") {
        let entry = entry.expect("a file").path();
        let name = entry.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        let picture = image::open(&entry).expect("a picture");
        assert_eq!((picture.width(), picture.height()), (64, 48), "{name}");
        let is_depth = name.starts_with("cam_depth_");
        assert_eq!(picture.color() == image::ColorType::L16, is_depth, "{name}: {:?}", picture.color());
        kinds.push(is_depth);
    }
    assert_eq!(kinds.iter().filter(|is_depth| **is_depth).count() as u64, depth);

    // A part of it plays without losses: the numbers of the first stream are not those of the others.
    for name in ["cam", "cam_depth"] {
        let (code, out, err) =
            run(&["export", &file, "--to", "csv", "--camera", name, "-o", &path(&format!("{name}.csv"))]);
        assert_eq!(code, 0, "{out}{err}");
    }
    let (code, _, err) = run(&["view", &file, "--stream", "depth", "--no-window"]);
    assert_eq!((code, err.contains("--stream is for live cameras")), (2, true), "{err}");
    let (code, _, err) = run(&["replay", &file, "--no-window", "--speed", "max", "--strict"]);
    assert_eq!(code, 0, "{err}");
}

#[test]
fn exports_measure_boxes_in_the_depth_beside_them_and_data_sets_leave_it_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let file = path("a.mcap");
    let (code, _, err) = run(&["record", CAMERA, "-o", &file, "-n", "20"]);
    assert_eq!(code, 0, "{err}");

    // Also without the depth's own rows.
    for of_color in [&[][..], &["--camera", "cam"]] {
        let table = path(&format!("{}.jsonl", of_color.len()));
        let (code, _, err) = run(&[&["export", &file, "-o", &table], of_color].concat());
        assert_eq!(code, 0, "{err}");
        let lines = fs::read_to_string(&table).expect("a table");
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let color: Vec<_> = lines.iter().filter(|line| line["camera"] == "cam").collect();
        assert!(color.len() >= 10 && (of_color.is_empty() || color.len() == lines.len()), "{lines:?}");
        // The depth picture of the same time follows the frame, but the last one may have none.
        for detection in color[..color.len() - 1].iter().flat_map(|line| line["detections"].as_array().expect("a list"))
        {
            let (depth, z) = (&detection["depth_mm"], &detection["position_mm"][2]);
            let differ = depth.as_f64().zip(z.as_f64()).map(|(depth, z)| (depth - z).abs());
            assert!(differ.is_some_and(|differ| differ <= 1.0), "{detection}");
        }
    }
    let table = path("a.csv");
    let (code, _, err) = run(&["export", &file, "-o", &table]);
    assert_eq!(code, 0, "{err}");
    let table = fs::read_to_string(&table).expect("a table");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    let column = rows[0].iter().position(|name| *name == "depth_mm").expect("a column");
    let measured = rows[1..].iter().filter(|row| row[column].parse::<u16>().is_ok_and(|mm| mm > 500)).count();
    assert_eq!(measured, rows.len() - 1, "{table}");

    for (format, pictures) in [("yolo", "yolo/images/train"), ("coco", "coco/images")] {
        let (code, out, err) = run(&["export", &file, "--to", format, "-o", &path(format), "--json"]);
        assert_eq!(code, 0, "{err}");
        assert!(
            err.contains("frames skipped: depth without detections") && err.contains("`--camera cam_depth`"),
            "{err}"
        );
        let report: Value = serde_json::from_str(&out).expect("JSON");
        let (written, depth) = (&report["summary"]["written"], &report["summary"]["depth"]);
        assert!(depth.as_u64().is_some_and(|depth| depth >= 9), "{out}");
        let names = fs::read_dir(path(pictures)).expect("a folder").map(|entry| entry.expect("a file").file_name());
        let names: Vec<_> = names.map(|name| name.into_string().expect("UTF-8")).collect();
        assert!(names.len() as u64 == *written && names.iter().all(|name| !name.contains("depth")), "{names:?}");
    }
    let named = path("named");
    let words = ["export", &file, "--to", "yolo", "-o", &named, "--camera", "cam_depth", "--json"];
    let (code, out, err) = run(&words);
    assert!(code == 0 && out.contains("\"depth\":0,") && !out.contains("\"written\":0,"), "{out}{err}");
    assert!(err.contains("the depth pictures of cam_depth, in false colors, have no boxes: "), "{err}");
}

#[test]
fn detections_name_the_stream_and_count_every_frame() {
    let (code, out, err) = run(&["detections", CAMERA, "-n", "12", "--json", "-q"]);
    assert_eq!(code, 0, "{err}");
    let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let summary = lines.pop().expect("a summary");
    let about: Vec<(&str, &str, usize)> = lines
        .iter()
        .map(|line| {
            let boxes = line["detections"].as_array().expect("a list");
            let text = |field: &str| line[field].as_str().unwrap_or("");
            (text("stream"), text("format"), boxes.len())
        })
        .collect();
    let expected = [("", "BGR888p", 3), ("depth", "RAW16", 0)];
    assert_eq!(about, expected.repeat(6));
    let position = lines[0]["detections"][0]["position_mm"].as_array().expect("a position");
    assert!(position.len() == 3 && position[2].as_f64().is_some_and(|z| (600.0..4700.0).contains(&z)), "{position:?}");
    // The depth picture of the same time arrives after the frame, also the first one.
    for detection in lines.iter().flat_map(|line| line["detections"].as_array().expect("a list")) {
        let (depth, z) = (&detection["depth_mm"], &detection["position_mm"][2]);
        let differ = depth.as_f64().zip(z.as_f64()).map(|(depth, z)| (depth - z).abs());
        assert!(differ.is_some_and(|differ| differ <= 1.0), "{detection}");
    }
    let of = |name: &str, frames: u64| serde_json::json!({"name": name, "received": frames, "withdrawn": 0, "lost": 0});
    let streams = summary["summary"]["cameras"][0]["streams"].as_array().expect("streams");
    let received = streams.iter().filter_map(|stream| stream["received"].as_u64()).collect::<Vec<_>>();
    assert_eq!(streams[..], [of("color", received[0]), of("depth", received[1])]);
    assert_eq!(summary["summary"]["cameras"][0]["frames"]["received"], received[0] + received[1]);
    let camera = &summary["summary"]["cameras"][0];
    assert_eq!((&camera["balances"], &camera["lossless"]), (&Value::from(true), &Value::from(true)), "{camera}");
    assert_eq!(
        (&camera["introduction"]["stream"], &camera["introduction"]["format"]),
        (&"color".into(), &"BGR888p".into())
    );
}

/// The first frames wait until it is known whether they are stale: up to ten, or 2 s.
#[test]
fn detections_print_the_frames_that_wait_when_the_time_is_over() {
    for options in [&["-d", "1500ms"][..], &["-d", "1500ms", "-n", "100"]] {
        let (code, out, err) = run(&[&["detections", "sim:?size=64x48&fps=4", "--json"], options].concat());
        assert_eq!(code, 0, "{err}");
        let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let summary = lines.pop().expect("a summary");
        let confirmed = summary["summary"]["cameras"][0]["frames"]["confirmed"].as_u64().expect("a number");
        assert!(confirmed > 0, "{summary}");
        assert_eq!(lines.len() as u64, confirmed, "{err}");
    }
}

#[test]
fn a_view_shows_each_stream_in_a_tile_of_its_own() {
    for options in [&[][..], &["--stream", "depth"]] {
        // Paced, so that the stream has begun before the last frame.
        let camera = "cam=sim:?size=64x48&depth=on&fps=40";
        let arguments = ["view", camera, "--no-window", "-n", "80", "--json"];
        let (code, out, err) = run(&[&arguments[..], options].concat());
        assert_eq!(code, 0, "{err}");
        assert!(!err.contains("--stream"), "{err}");
        shows_both(&out);
    }
}

fn shows_both(out: &str) {
    let summary: Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    let camera = &summary["summary"]["cameras"][0];
    let received = |stream: usize| camera["streams"][stream]["received"].as_u64().expect("frames");
    let lanes = camera["lanes"].as_array().expect("lanes");
    let offered: Vec<u64> = lanes
        .iter()
        .filter(|lane| lane["name"] == "view")
        .map(|lane| lane["offered"].as_u64().expect("a number"))
        .collect();
    // The lanes end before the session does.
    let [color, depth] = offered[..] else { panic!("two tiles: {camera}") };
    assert!((1..=received(0)).contains(&color) && (1..=received(1)).contains(&depth), "{camera}");
    assert_eq!(camera["balances"], true, "{camera}");
}

/// A stream that is not there is named, beside those that are.
#[test]
fn a_view_names_the_streams_that_no_camera_sends() {
    let arguments = ["view", "cam=sim:?size=64x48&depth=on&fps=40", "--no-window", "-n", "40"];
    for (streams, names) in [
        (&["nosuch"][..], Some("`nosuch`")),
        (&["depth", "left", "right"], Some("`left`, `right`")),
        (&["color"], None),
        (&["depth", "color"], None),
    ] {
        let options: Vec<&str> = streams.iter().flat_map(|stream| ["--stream", stream]).collect();
        let (code, _, err) = run(&[&arguments[..], &options].concat());
        assert_eq!(code, 0, "{err}");
        let expected =
            names.map(|names| format!("no camera sends a stream {names} (--stream): found `color`, `depth`\n"));
        let found = err.lines().filter(|line| line.contains("no camera sends")).map(|line| format!("{line}\n"));
        assert_eq!(found.collect::<Vec<_>>(), Vec::from_iter(expected), "{err}");
    }
    let (_, _, err) = run(&["view", "sim:?size=64x48&fps=40", "--no-window", "-n", "20", "--stream", "depth"]);
    assert!(err.contains("no camera sends a stream `depth` (--stream): the pictures have no stream names\n"), "{err}");
}

/// `-n` counts the pictures of each stream; a file is for the first one.
#[test]
fn a_snapshot_has_a_picture_of_each_stream() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("pictures");
    let output = output.to_str().expect("UTF-8");
    let camera = "cam=sim:?size=64x48&depth=on&fps=40";
    let (code, out, err) = run(&["snapshot", camera, "-o", output, "-n", "2", "--json"]);
    // On a busy machine the simulated camera leaves out frames.
    assert!([0, 3].contains(&code), "{err}");
    let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut saved: Vec<(String, image::ColorType)> = lines
        .filter(|line| line.get("snapshot").is_some())
        .map(|line| {
            let picture = image::open(line["snapshot"]["path"].as_str().expect("a path")).expect("a picture");
            assert_eq!((picture.width(), picture.height()), (64, 48));
            (line["snapshot"]["camera"].as_str().expect("a name").to_owned(), picture.color())
        })
        .collect();
    saved.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!err.contains("cam_depth_depth"), "{err}");
    let of = |name: &str, color| (name.to_owned(), color);
    let (color, depth) = (of("cam", image::ColorType::Rgb8), of("cam_depth", image::ColorType::L16));
    assert_eq!(saved, [color.clone(), color, depth.clone(), depth]);

    let file = folder.path().join("one.png");
    let (code, out, err) = run(&["snapshot", camera, "-o", file.to_str().expect("UTF-8")]);
    assert!([0, 3].contains(&code) && out.lines().count() == 1, "{out}{err}");
    assert_eq!(image::open(&file).expect("a picture").color(), image::ColorType::Rgb8);
}
