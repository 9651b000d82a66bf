//! Cameras that send several streams on one connection: each is a camera of its own.

use std::io::BufRead as _;
use std::time::Instant;

use oaktap::sim::{SimConfig, Stream};
use serde_json::Value;

use crate::http::mjpeg;
use crate::server::{AGES, Chunks, Response, Server};

const DEPTH: &str = "size=64x48&depth=on&fps=30&boxes=1&seed=5";

/// Waits until the cameras of the API have these names.
fn named(server: &Server, expected: &[&str]) -> Value {
    let begun = Instant::now();
    loop {
        let cameras = server.cameras();
        let names = cameras.as_array().expect("a list").iter().filter_map(|camera| camera["name"].as_str());
        if names.eq(expected.iter().copied()) {
            return cameras;
        }
        assert!(begun.elapsed() < AGES, "{cameras}");
    }
}

/// The first frames of `/events/NAME`.
fn events(server: &Server, name: &str, count: usize) -> Vec<Value> {
    let mut events = server.open("GET", &format!("/events/{name}"), &[]);
    assert_eq!(Response::head(&mut events).status, 200, "{name}");
    let lines = std::io::BufReader::new(Chunks::new(events)).lines().map(|line| line.expect("text"));
    let events = lines.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)).take(count);
    events.map(|text| serde_json::from_str(&text).expect("JSON")).collect()
}

#[test]
fn each_stream_is_a_camera_of_its_own() {
    let server = Server::start(&[&format!("front=sim:?{DEPTH}"), "front_depth=sim:?size=32x32&fps=10"]);
    // A camera keeps its name.
    let cameras = named(&server, &["front", "front_depth-2", "front_depth"]);
    let streams: Vec<_> = (0..3).map(|at| cameras[at]["stream"].as_str()).collect();
    assert_eq!(streams, [None, Some("depth"), None], "{cameras}");
    assert!(cameras[1]["state"] == "streaming" && cameras[1]["counts"]["camera"] == "front", "{cameras}");

    for (name, stream, format) in [("front", None, "BGR888p"), ("front_depth-2", Some("depth"), "RAW16")] {
        let events = events(&server, name, 6);
        let about = |event: &Value| (event["stream"].as_str() == stream, event["format"] == format);
        assert!(events.iter().all(|event| about(event) == (true, true)), "{name}: {events:?}");
    }

    // PNG of color is exactly a frame; that of depth is not.
    let mut stream = Stream::new(&DEPTH.parse::<SimConfig>().expect(DEPTH)).expect(DEPTH);
    let truths: Vec<_> = (0..2000).map(|_| stream.turn().truth.payload).collect();
    let is_a_frame = |picture: &image::RgbImage| {
        let planes: Vec<u8> = [2, 1, 0].iter().flat_map(|at| picture.pixels().map(|pixel| pixel.0[*at])).collect();
        truths.iter().any(|truth| **truth == *planes)
    };
    for (name, is_color) in [("front", true), ("front_depth-2", false)] {
        for _ in 0..3 {
            let response = server.get(&format!("/snapshot/{name}.png"));
            assert_eq!(response.status, 200, "{name}: {}", response.text());
            let picture = image::load_from_memory(&response.body).expect("a picture").to_rgb8();
            assert_eq!((picture.dimensions(), is_a_frame(&picture)), ((64, 48), is_color), "{name}");
        }
        let picture = mjpeg(&server, &format!("/stream/{name}.mjpg?h=24"), 2).remove(1);
        assert_eq!(image::load_from_memory(&picture).expect("a JPEG").height(), 24);
    }
    assert_eq!(server.get("/snapshot/front_depth.png").status, 200, "the camera of this name");

    // Frames count once; viewers of each stream count for it.
    let metrics = server.get("/metrics").text();
    assert!(!metrics.contains("oaktap_frames_total{camera=\"front_depth-2\""), "{metrics}");
    assert!(metrics.contains("oaktap_viewer_frames_total{camera=\"front_depth-2\",kind=\"mjpeg\""), "{metrics}");
    let (code, lines, err) = server.stop();
    // On a busy machine the simulated camera leaves out frames.
    assert!([0, 3].contains(&code), "{err}");
    let viewers = lines[0]["viewers"].as_array().expect("a list");
    let names: Vec<_> = viewers.iter().filter_map(|camera| camera["camera"].as_str()).collect();
    assert_eq!(names, ["front", "front_depth-2", "front_depth"]);
}

/// Frames of another stream do not change the names of a camera.
#[test]
fn classes_are_those_of_the_stream() {
    let server = Server::start(&[&format!("front=sim:?{DEPTH}")]);
    named(&server, &["front", "front_depth"]);
    // Before the first confirmed frame every name is accepted.
    events(&server, "front", 1);
    for _ in 0..20 {
        let refused = server.get("/snapshot/front.png?crop=persn");
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
}

/// A stream has no recording of its own: its camera is recorded, with all streams.
#[test]
fn the_recording_of_a_stream_is_that_of_its_camera() {
    let folder = tempfile::tempdir().expect("a folder");
    let recordings = folder.path().to_str().expect("UTF-8");
    let server = Server::start(&[&format!("front=sim:?{DEPTH}"), "--recordings", recordings]);
    named(&server, &["front", "front_depth"]);
    assert_eq!(server.ask("POST", "/api/cameras/front_depth/recording", &[]).status, 200);
    let cameras = server.cameras();
    assert!(cameras[0]["recording"]["state"].is_string() && cameras[1]["recording"]["state"].is_string(), "{cameras}");
    assert_eq!(server.ask("DELETE", "/api/cameras/front/recording", &[]).status, 204);
    let cameras = server.cameras();
    assert!(cameras[0]["recording"].is_null() && cameras[1]["recording"].is_null(), "{cameras}");
}

/// Players read a stream under its name.
#[test]
fn players_read_a_stream() {
    use std::io::{Read as _, Write as _};
    let server = Server::start(&[&format!("front=sim:?{DEPTH}"), "--rtsp", "0"]);
    named(&server, &["front", "front_depth"]);
    let url = format!("{}_depth", server.rtsp[0]);
    let address = url.trim_start_matches("rtsp://").split('/').next().expect("an address");
    let mut connection = std::net::TcpStream::connect(address).expect("it listens");
    connection.set_read_timeout(Some(AGES)).expect("a time");
    write!(connection, "DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = [0; 15];
    connection.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"RTSP/1.0 200 OK");
}
