//! The addresses of the server.

use std::io::{BufRead as _, BufReader, Read as _};
use std::time::Instant;

use oaktap::sim::{SimConfig, Stream};
use serde_json::Value;

use crate::program::run;
use crate::server::{AGES, Camera, Chunks, Response, Server};

/// The first events of the camera `front`.
pub(crate) fn events(server: &Server, headers: &[(&str, &str)], count: usize) -> Vec<Value> {
    let mut events = server.open("GET", "/events/front", headers);
    assert_eq!(Response::head(&mut events).header("content-type"), Some("text/event-stream"));
    let lines = BufReader::new(Chunks::new(events)).lines().map(|line| line.expect("text"));
    let events = lines.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)).take(count);
    events.map(|text| serde_json::from_str(&text).expect("JSON")).collect()
}

#[test]
fn every_address_answers() {
    let server = Server::start(&["front=sim:?size=320x176&fps=30&boxes=2"]);
    let page = server.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let script = server.get("/page/main.js");
    assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert_eq!(server.get("/healthz").text(), "ok\n");

    let picture = server.get("/snapshot/front.jpg");
    assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/jpeg")), "{}", picture.text());
    let picture = image::load_from_memory(&picture.body).expect("a JPEG");
    assert_eq!((picture.width(), picture.height()), (320, 176));

    // Upper and lower case are the same.
    let upper = server.get("/snapshot/FRONT.png");
    assert_eq!((upper.status, upper.header("content-type")), (200, Some("image/png")), "{}", upper.text());

    let events = events(&server, &[], 3);
    let number = |at: usize| events[at]["seq"].as_u64().expect("a number");
    assert!(number(0) + 1 == number(1) && number(1) + 1 == number(2), "{events:?}");
    assert_eq!(events[0]["detections"].as_array().map(Vec::len), Some(2), "{events:?}");
    assert!(events[0]["bytes"] == 320 * 176 * 3 && events[0]["camera"] == "front", "{events:?}");

    let cameras = server.cameras();
    assert!(cameras[0]["name"] == "front" && cameras[0]["state"] == "streaming", "{cameras}");
    assert_eq!(cameras[0]["counts"]["balances"], true, "{cameras}");

    for (path, status, text) in [
        ("/snapshot/back.jpg", 404, "no camera `back`; expected front\n"),
        ("/stream/..%2f..%2fetc%2fpasswd", 404, "no camera `../../etc/passwd`; expected front\n"),
        ("/snapshot/front.gif", 404, "no picture `front.gif`; expected the extension .jpg or .png\n"),
        ("/stream/front.jpg", 404, "no picture `front.jpg`; expected the extension .mjpg\n"),
        ("/page/..%2fmod.rs", 404, "no such file\n"),
        ("/etc/passwd", 404, "no such address\n"),
    ] {
        let response = server.get(path);
        assert_eq!((response.status, response.text().as_str()), (status, text), "{path}");
    }
    let (code, _, err) = server.stop();
    // On a busy machine the simulated camera leaves out frames.
    assert!([0, 3].contains(&code), "{err}");
}

/// The pictures of `/stream/NAME.mjpg`.
pub(crate) fn mjpeg(server: &Server, path: &str, pictures: usize) -> Vec<Vec<u8>> {
    let mut connection = server.open("GET", path, &[]);
    let head = Response::head(&mut connection);
    assert_eq!(head.header("content-type"), Some("multipart/x-mixed-replace; boundary=oaktap"));
    let mut body = BufReader::new(Chunks::new(connection));
    let part = |_| {
        let mut line = String::new();
        body.read_line(&mut line).expect("a boundary");
        assert_eq!(line, "--oaktap\r\n");
        let mut length = 0;
        loop {
            line.clear();
            body.read_line(&mut line).expect("a header");
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().expect("a number"),
                Some(_) => {}
                None => break,
            }
        }
        let mut picture = vec![0; length + 2];
        body.read_exact(&mut picture).expect("a picture");
        assert_eq!(picture.split_off(length), b"\r\n");
        picture
    };
    (0..pictures).map(part).collect()
}

#[test]
fn queries_select_the_form_of_a_picture() {
    let config = "size=160x112&fps=10&boxes=3&seed=5";
    let server = Server::start(&[&format!("front=sim:?{config}"), "jpeg=sim:?format=jpeg&size=320x176&boxes=3"]);
    let picture = |path: &str, format| {
        let response = server.get(path);
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        let kind = if format == image::ImageFormat::Png { "image/png" } else { "image/jpeg" };
        assert_eq!(response.header("content-type"), Some(kind), "{path}");
        image::load_from_memory_with_format(&response.body, format).expect(path).to_rgb8()
    };
    let (png, jpeg) = (image::ImageFormat::Png, image::ImageFormat::Jpeg);
    assert_eq!(picture("/snapshot/front.jpg?h=56", jpeg).dimensions(), (80, 56));
    assert_eq!(picture("/snapshot/front.jpg?h=480", jpeg).dimensions(), (160, 112), "never enlarged");
    assert_eq!(picture("/snapshot/jpeg.png?h=88&boxes=1", png).dimensions(), (160, 88));
    let streamed = mjpeg(&server, "/stream/front.mjpg?boxes=1&h=56", 2).remove(1);
    assert_eq!(image::load_from_memory(&streamed).expect("a JPEG").height(), 56);

    // The edge of some box has the color of its class exactly where the frame has it; without boxes the camera's pixels are there.
    let mut stream = Stream::new(&config.parse::<SimConfig>().expect(config)).expect(config);
    let truths: Vec<_> = (0..1000).map(|_| stream.turn().truth).collect();
    let mean = |picture: &image::RgbImage, payload: &[u8]| {
        let plane = payload.len() / 3;
        let wrong = |(at, pixel): (usize, &image::Rgb<u8>)| {
            (0..3).filter(|channel| pixel.0[*channel] != payload[(2 - channel) * plane + at]).count()
        };
        picture.pixels().enumerate().map(wrong).sum::<usize>()
    };
    let plain = picture("/snapshot/front.png", png);
    assert!(truths.iter().any(|truth| mean(&plain, &truth.payload) == 0), "PNG without boxes is exactly a frame");
    let boxed = picture("/snapshot/front.png?boxes=1", png);
    let nearest = truths.iter().min_by_key(|truth| mean(&boxed, &truth.payload)).expect("frames");
    assert!(mean(&boxed, &nearest.payload) > 0, "something is drawn");
    // Titles may cover the edges of other boxes.
    let has_edge = |detection: &oaktap::frame::Detection| {
        let color = oaktap::overlay::class_color(detection.label);
        let color = [(color >> 16) as u8, (color >> 8) as u8, color as u8];
        let middle = ((detection.bbox.ymin + detection.bbox.ymax) / 2.0 * 112.0) as u32;
        let edge = (detection.bbox.xmin * 160.0) as u32;
        (edge.saturating_sub(1)..=edge + 1).any(|x| boxed.get_pixel(x.min(159), middle.min(111)).0 == color)
    };
    assert!(nearest.detections.iter().any(has_edge), "{:?}", nearest.detections);

    let class = nearest.detections[0].label;
    let cropped = picture(&format!("/snapshot/front.png?crop={class}"), png);
    assert!(cropped.width() < 160 || cropped.height() < 112, "{:?}", cropped.dimensions());
    let absent = server.get("/snapshot/front.jpg?crop=4711");
    assert_eq!((absent.status, absent.text().as_str()), (503, "no picture of front with `4711` within 3 s\n"));
    for (path, text) in [
        ("/snapshot/front.jpg?box=1", "unknown query `box`; expected boxes=1, h=PIXELS or crop=CLASS\n"),
        ("/snapshot/front.png?h=0", "h=0: expected a height of 16 to 8192 pixels\n"),
        (
            "/snapshot/front.png?crop=persn",
            "crop=persn: front has no class of this name; expected a name or a number; did you mean `person`?\n",
        ),
        ("/stream/front.mjpg?crop=person", "unknown query `crop`; expected boxes=1 or h=PIXELS\n"),
    ] {
        let response = server.get(path);
        assert_eq!((response.status, response.text().as_str()), (400, text), "{path}");
    }
}

#[test]
fn viewers_of_one_form_share_an_encoding_and_forms_are_bounded() {
    let server = Server::start(&["front=sim:?size=320x176&fps=20&boxes=1"]);
    let open = |path: &str| {
        let mut connection = server.open("GET", path, &[]);
        let response = Response::head(&mut connection);
        (response.status, connection)
    };
    let same: Vec<_> = (0..8).map(|_| open("/stream/front.mjpg?boxes=1&h=88")).collect();
    let before = server.cameras();
    mjpeg(&server, "/stream/front.mjpg?boxes=1&h=88", 20);
    let after = server.cameras();
    let grown = |of: fn(&Value) -> &Value| {
        of(&after[0]).as_u64().expect("a number") - of(&before[0]).as_u64().expect("a number")
    };
    let encoded = grown(|camera| &camera["encoded"]);
    let received = grown(|camera| &camera["counts"]["frames"]["received"]);
    assert!(encoded >= 10 && encoded <= received + 2, "{encoded} encodings of {received} frames for 9 viewers");
    let others: Vec<_> = (0..15).map(|step| open(&format!("/stream/front.mjpg?h={}", 16 + step))).collect();
    assert!(same.iter().chain(&others).all(|(status, _)| *status == 200));
    let refused = server.get("/snapshot/front.png");
    assert!(refused.status == 503 && refused.text().contains("too many sizes"), "{}", refused.text());
    assert_eq!(open("/stream/front.mjpg?h=16").0, 200, "a form that is watched");
    drop(others);
    let started = std::time::Instant::now();
    while server.get("/snapshot/front.png").status != 200 {
        assert!(started.elapsed() < crate::server::AGES, "places of clients that left are free again");
    }
}

#[test]
fn jpeg_of_a_camera_is_sent_unchanged_and_in_order() {
    let config = "size=320x176&fps=40&format=jpeg&seed=7";
    let server = Server::start(&[&format!("front=sim:?{config}")]);
    let pictures = mjpeg(&server, "/stream/front.mjpg", 10);
    let snapshot = server.get("/snapshot/front.jpg").body;
    let mut stream = Stream::new(&config.parse::<SimConfig>().expect(config)).expect(config);
    for picture in pictures.iter().chain([&snapshot]) {
        let found = (0..2000).any(|_| *stream.turn().truth.payload == **picture);
        assert!(found, "{} bytes are no payload of the camera after the one before", picture.len());
    }
    assert_eq!(server.cameras()[0]["encoded"], 0, "nothing is encoded");
}

#[test]
fn metrics_are_the_counts_of_the_ledgers() {
    let server = Server::start(&["front=sim:?size=64x48&fps=30"]);
    mjpeg(&server, "/stream/front.mjpg", 3);
    let plain = server.get("/metrics");
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(
        plain.text().contains("# TYPE oaktap_frames_total counter\n") && !plain.text().contains("# EOF"),
        "{plain:?}"
    );
    let metrics = server.ask("GET", "/metrics", &[("Accept", "application/openmetrics-text; version=1.0.0")]);
    assert_eq!(metrics.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = metrics.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let value = |series: &str| -> f64 {
        let line =
            text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("{series}: {text}"));
        line.trim().parse().expect("a number")
    };
    assert_eq!(value("oaktap_camera_streaming{camera=\"front\"}"), 1.0);
    // The third picture is shown before the next frame confirms it.
    assert!(value("oaktap_frames_total{camera=\"front\",outcome=\"confirmed\"}") >= 2.0);
    assert!(value("oaktap_received_bytes_total{camera=\"front\"}") >= f64::from(3 * 64 * 48 * 3));
    assert!(value("oaktap_viewer_frames_total{camera=\"front\",kind=\"mjpeg\",outcome=\"sent\"}") >= 2.0);
    let counts = &server.cameras()[0]["totals"][0];
    assert!(
        value("oaktap_viewer_sent_bytes_total{camera=\"front\",kind=\"mjpeg\"}")
            <= counts["bytes"].as_f64().expect("one")
    );
}

#[test]
fn metrics_show_the_recording_and_the_health_of_a_camera() {
    let folder = tempfile::tempdir().expect("a folder");
    let recordings = ["--recordings", folder.path().to_str().expect("UTF-8")];
    let server = Server::start(&[&["front=sim:?size=64x48&fps=30"][..], &recordings].concat());
    let value = |series: &str| -> Option<f64> {
        let text = server.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix("{camera=\"front\"} "))?;
        Some(line.parse().expect("a number"))
    };
    let wait_until = |holds: &dyn Fn() -> bool| {
        let deadline = Instant::now() + AGES;
        while !holds() {
            assert!(Instant::now() < deadline, "{}", server.get("/metrics").text());
        }
    };
    // The simulated camera reports it each second.
    wait_until(&|| value("oaktap_camera_temperature_celsius").is_some_and(|celsius| celsius > 40.0));
    assert_eq!(value("oaktap_recording_active"), Some(0.0));
    for (method, active) in [("POST", 1.0), ("DELETE", 0.0)] {
        server.ask(method, "/api/cameras/front/recording", &[]);
        assert_eq!(value("oaktap_recording_active"), Some(active), "{method}");
    }
    assert_eq!(value("oaktap_recording_paused"), Some(0.0));
    assert_eq!(value("oaktap_frames_not_recorded_total"), Some(0.0));
    assert_eq!(value("oaktap_connections_total"), Some(1.0));
    assert!(value("oaktap_frames_dropped_by_camera").is_some());
    assert_eq!(server.get("/snapshot/front.jpg").status, 200);
    let text = server.get("/metrics").text();
    let served = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let documented = include_str!("../../docs/serve.md").lines().filter_map(|line| line.strip_prefix("| `oaktap_"));
    let documented = documented.filter_map(|row| Some(format!("oaktap_{}", row.split('`').next()?)));
    let [mut served, mut documented]: [Vec<String>; 2] = [served.map(str::to_owned).collect(), documented.collect()];
    served.sort();
    documented.sort();
    assert_eq!(served, documented, "docs/serve.md lists the series");
}

#[test]
fn a_lost_camera_has_no_rates() {
    let camera = Camera::start(&["--size", "64x48"]);
    let server = Server::start(&[&format!("front={}", camera.address)]);
    let front = || server.cameras()[0].clone();
    let wait_until = |holds: fn(&Value) -> bool| {
        let deadline = Instant::now() + AGES;
        while !holds(&front()) {
            assert!(Instant::now() < deadline, "{}", front());
        }
    };
    let rate = |recent: &Value| recent["fps_arrival"].as_f64().expect("a rate");
    wait_until(|front| front["counts"]["recent"]["fps_arrival"].as_f64() > Some(0.0));
    drop(camera);
    wait_until(|front| front["state"] == "lost");
    let recent = front()["counts"]["recent"].clone();
    assert_eq!((rate(&recent), &recent["mbit_s"]), (0.0, &0.0.into()), "{recent}");
    assert!(server.get("/metrics").text().contains("oaktap_frame_rate{camera=\"front\"} 0"));
    let (_, lines, _) = server.stop();
    let summary = &lines.last().expect("a summary")["summary"]["cameras"][0];
    assert!(summary["fps"].as_f64() > Some(0.0) && rate(&summary["recent"]) == 0.0, "{summary}");
}

#[test]
fn the_description_has_every_address_and_every_field() {
    let server = Server::start(&["front=sim:?size=64x48&fps=30"]);
    mjpeg(&server, "/stream/front.mjpg", 1);
    let described: Value = serde_json::from_slice(&server.get("/api/openapi.json").body).expect("JSON");
    let paths = described["paths"].as_object().expect("an object");
    for (path, item) in paths {
        // Tests of their own start recordings and download them.
        if item.get("get").is_none() || path.contains("{recording}") {
            continue;
        }
        let mut connection = server.open("GET", &path.replace("{camera}", "front"), &[]);
        let response = Response::head(&mut connection);
        let content = item["get"]["responses"]["200"]["content"].as_object().expect("an object");
        let kind = response.header("content-type").and_then(|kind| kind.split(';').next());
        assert!(response.status == 200 && kind.is_some_and(|kind| content.contains_key(kind)), "{path}: {response:?}");
    }
    // The page's own addresses are not for programs.
    assert_eq!(paths.len(), 14);
    let cameras = server.cameras();
    let fields = |value: &Value| -> Vec<String> {
        let mut fields: Vec<_> = value.as_object().expect("an object").keys().cloned().collect();
        fields.sort();
        fields
    };
    let folder = tempfile::tempdir().expect("a folder");
    let recording =
        Server::start(&["front=sim:?size=64x48&fps=30", "--recordings", folder.path().to_str().expect("UTF-8")]);
    let started = recording.ask("POST", "/api/cameras/front/recording", &[]);
    let started: Value = serde_json::from_slice(&started.body).expect("JSON");
    let list: Value = serde_json::from_slice(&recording.get("/api/recordings").body).expect("JSON");
    let objects = [
        ("Camera", &cameras[0]),
        ("Viewer", &cameras[0]["totals"][0]),
        ("CameraRecording", &started),
        ("Recordings", &list),
        ("Settings", &serde_json::from_slice(&server.get("/api/cameras/front/control").body).expect("JSON")),
    ];
    for (schema, found) in objects {
        assert_eq!(fields(&described["components"]["schemas"][schema]["properties"]), fields(found), "{schema}");
    }
}

#[test]
fn pictures_of_video_and_of_a_camera_of_depth_are_shown() {
    for (camera, size) in [("format=h264&size=320x176&fps=20", (320, 176)), ("format=raw16&size=64x48", (64, 48))] {
        let server = Server::start(&[&format!("front=sim:?{camera}")]);
        let picture = mjpeg(&server, "/stream/front.mjpg", 2).remove(1);
        let picture = image::load_from_memory(&picture).expect("a JPEG");
        assert_eq!((picture.width(), picture.height()), size, "{camera}");
    }
}

#[test]
fn a_camera_that_is_away_has_no_picture_and_a_reason() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let server = Server::start(&[&format!("front={closed}")]);
    let response = server.get("/snapshot/front.jpg");
    assert_eq!((response.status, response.text().as_str()), (503, "no picture of front within 3 s\n"));
    let camera = &server.cameras()[0];
    assert!(camera["state"] == "lost" && camera["help"].is_string(), "{camera}");
    assert!(camera["text"].as_str().is_some_and(|text| text.contains("refused")), "{camera}");
    let names = |camera: &Value, command: &str| camera["help"].as_str().is_some_and(|help| help.contains(command));
    assert!(names(camera, &format!("`oaktap doctor front={closed}`")), "{camera}");
    // With a file, the command has its name there.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("oaktap.toml");
    std::fs::write(&path, format!("[cameras]\nfront = \"{closed}\"\n")).expect("a file");
    let server = Server::start(&["--config", path.to_str().expect("UTF-8")]);
    assert_eq!(server.get("/snapshot/front.jpg").status, 503);
    let camera = &server.cameras()[0];
    assert!(names(camera, &format!("`oaktap doctor front --config {}`", path.display())), "{camera}");
}

#[test]
fn exposed_address_needs_a_token() {
    let (code, out, err) = run(&["serve", "sim:", "--http", "0.0.0.0:0"]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("other computers can reach 0.0.0.0:0: expected --token FILE"), "{err}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "short\n").expect("a file");
    let (code, _, err) = run(&["serve", "sim:", "--http", "0.0.0.0:0", "--token", path.to_str().expect("UTF-8")]);
    assert!(code == 1 && err.contains("has 5 characters; expected one line of 16 to 256"), "{code} {err}");
    assert!(err.contains("help: create a token: "), "{err}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, _, err) = run(&["serve", "sim:", "--http", &address]);
    assert!(code == 1 && err.contains(&format!("cannot listen on {address}")), "{code} {err}");
}
