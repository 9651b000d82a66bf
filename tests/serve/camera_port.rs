//! The camera's own protocol, served again.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use oaktap::sim::{SimConfig, Stream};
use sha2::{Digest as _, Sha256};

use crate::luxonis_page;
use crate::program::run;
use crate::server::{AGES, Server};

/// The program of Luxonis expects pictures of this size.
const CAMERA: &str = "size=640x352&fps=30&boxes=3&seed=9&records=off";

/// Without records, which a client that connects late gets before its first frame.
const SMALL: &str = "size=320x176&fps=30&boxes=3&seed=9&records=off";

/// The bytes of each frame that the camera sends.
fn camera(config: &str, frames: usize) -> Vec<Vec<u8>> {
    let mut stream = Stream::new(&config.parse::<SimConfig>().expect(config)).expect(config);
    (0..frames).map(|_| stream.turn().bytes()).collect()
}

#[test]
fn clients_get_the_bytes_of_the_camera_and_one_that_never_reads_delays_none() {
    let server = Server::start(&[&format!("front=sim:?{SMALL}"), "--camera-port", "0"]);
    let connect = || TcpStream::connect(("127.0.0.1", server.camera_ports[0])).expect("it listens");
    let stuck = connect();
    let frames = camera(SMALL, 600);
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let mut client = connect();
            client.set_read_timeout(Some(AGES)).expect("a time");
            thread::spawn(move || {
                let mut bytes = vec![0; 30 * (320 * 176 * 3)];
                client.read_exact(&mut bytes).expect("frames");
                bytes
            })
        })
        .collect();
    for client in clients {
        let bytes = client.join().expect("it reads");
        let (mut rest, mut at, mut complete) = (&bytes[..], 0, 0);
        // Each frame is one of the camera's, and later than the one before.
        while let Some(number) = (at..frames.len()).find(|number| rest.starts_with(&frames[*number])) {
            rest = &rest[frames[number].len()..];
            (at, complete) = (number + 1, complete + 1);
        }
        assert!(complete >= 29, "{complete} frames");
        let last = (at..frames.len()).any(|number| frames[number].starts_with(rest));
        assert!(last, "{} bytes are no part of a frame of the camera", rest.len());
    }
    drop(stuck);
    let (code, lines, err) = server.stop();
    // On a busy machine the simulated camera leaves out frames.
    assert!([0, 3].contains(&code), "{err}");
    let viewers = &lines[0]["viewers"][0]["viewers"][0];
    assert!(viewers["kind"] == "camera-port" && viewers["viewers_total"] == 4, "{viewers}");
    let [offered, sent, superseded, pending] =
        ["offered", "sent", "superseded", "pending"].map(|name| viewers[name].as_u64().expect("a number"));
    assert!(offered == sent + superseded + pending && sent >= 87 && superseded > 0, "{viewers}");
}

#[test]
fn a_late_client_gets_the_records_of_the_connection_and_video_from_a_key_frame() {
    // Labels and the size are sent with the first frame only.
    let server = Server::start(&["front=sim:?size=64x48&fps=60&records=on", "--camera-port", "0"]);
    while server.cameras()[0]["counts"]["frames"]["confirmed"].as_u64() < Some(30) {}
    let address = format!("127.0.0.1:{}", server.camera_ports[0]);
    let (code, out, err) = run(&["detections", &address, "-n", "3", "--json"]);
    assert!([0, 3].contains(&code), "{err}");
    let line: serde_json::Value = serde_json::from_str(out.lines().last().expect("a summary")).expect("JSON");
    let camera = &line["summary"]["cameras"][0];
    assert!(camera["introduction"].is_object() && camera["damaged_bytes"] == 0, "{camera}");
    let theirs = &server.cameras()[0]["counts"]["introduction"];
    assert_eq!(camera["introduction"]["device_id"], theirs["device_id"]);

    let server = Server::start(&["front=sim:?size=320x176&fps=30&format=h264", "--camera-port", "0"]);
    let address = format!("127.0.0.1:{}", server.camera_ports[0]);
    let (code, out, err) = run(&["view", &address, "--no-window", "-n", "40", "--json"]);
    assert!([0, 3].contains(&code), "{err}");
    let line: serde_json::Value = serde_json::from_str(out.lines().last().expect("a summary")).expect("JSON");
    let video = &line["summary"]["cameras"][0]["video"];
    assert!(video["taken"].as_u64() >= Some(40) && video["rejected"] != 40, "{video}");
}

#[test]
fn luxonis_host_program_reads_a_served_camera_beside_two_other_clients() {
    let Some(program) = luxonis_page::program("receive and visualize detections") else { return };
    let server = Server::start(&[&format!("front=sim:?{CAMERA}"), "--camera-port", "0"]);
    let port = server.camera_ports[0];
    let others: Vec<_> = (0..2).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("it listens")).collect();
    let lines = luxonis_page::seen_by_the_host(&program, port, 40);
    drop(others);
    let mut stream = Stream::new(&CAMERA.parse::<SimConfig>().expect(CAMERA)).expect(CAMERA);
    for line in &lines {
        let seen: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let is_seen = |planes: &[u8]| {
            let third = planes.len() / 3;
            let pixels: Vec<u8> =
                (0..third).flat_map(|at| [planes[at], planes[third + at], planes[2 * third + at]]).collect();
            let sha256: String = Sha256::digest(pixels).iter().map(|byte| format!("{byte:02x}")).collect();
            seen["sha256"] == sha256
        };
        let found = (0..2000).find_map(|_| Some(stream.turn().truth).filter(|truth| is_seen(&truth.payload)));
        let truth = found.unwrap_or_else(|| panic!("no frame of the camera: {line}"));
        assert_eq!(seen["boxes"].as_array().map(Vec::len), Some(truth.detections.len()), "{line}");
    }
    assert_eq!(lines.len(), 40);
}

/// A record or header of 32 bytes.
fn line(text: &str) -> Vec<u8> {
    format!("{text:32}").into_bytes()
}

/// A picture of color and one of depth, captured at the same time.
fn pair(number: usize) -> [Vec<u8>; 2] {
    let time = number as f64 / 10.0;
    let color = [line("@S color"), line("@D 8 8 BGR888p"), line(&format!("IMG {time} 192 0")), vec![number as u8; 192]];
    let depth = [line("@S depth"), line("@D 8 8 RAW16"), line(&format!("IMG {time} 128 0")), vec![number as u8; 128]];
    [color.concat(), depth.concat()]
}

/// Connects a client, and waits until the server has it.
fn subscribed(server: &Server, total: u64) -> TcpStream {
    let client = TcpStream::connect(("127.0.0.1", server.camera_ports[0])).expect("it listens");
    client.set_read_timeout(Some(AGES)).expect("a time");
    let began = Instant::now();
    while server.cameras()[0]["totals"][0]["viewers_total"].as_u64() < Some(total) {
        assert!(began.elapsed() < AGES, "{}", server.cameras()[0]);
    }
    client
}

#[test]
fn a_client_that_keeps_up_gets_every_frame_of_both_streams_and_then_the_end_of_the_cameras_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = Server::start(&[&format!("front=tcp://{address}"), "--camera-port", "0"]);
    let (mut camera, _) = listener.accept().expect("the server connects");
    let mut client = subscribed(&server, 1);
    // Oaktap holds the first frames of a connection until later ones show whether they are stale.
    let burst: Vec<u8> = (0..12).flat_map(pair).flatten().collect();
    camera.write_all(&burst).expect("it reads");
    let unconfirmed = pair(11)[1].len();
    let mut received = vec![0; burst.len() - unconfirmed];
    client.read_exact(&mut received).expect("frames");
    assert!(received == burst[..received.len()], "a frame of the burst is missing");
    camera.write_all(&pair(12).concat()).expect("it reads");
    drop(camera);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("the end");
    let all: Vec<u8> = (0..13).flat_map(pair).flatten().collect();
    let last = pair(12)[1].len();
    assert!(
        all[received.len()..].starts_with(&rest) && rest.len() >= all.len() - received.len() - last,
        "{}",
        rest.len()
    );

    // The next client gets the next connection from its first byte, without the records of the last one.
    let mut client = subscribed(&server, 2);
    let (mut camera, _) = listener.accept().expect("the server reconnects");
    camera.write_all(&burst).expect("it reads");
    client.read_exact(&mut received).expect("frames");
    assert!(received == burst[..received.len()], "the second connection is another one");
}

#[test]
fn a_client_above_the_limit_gets_the_reason_and_the_log_names_it() {
    let server = Server::start(&[&format!("front=sim:?{SMALL}"), "--camera-port", "0"]);
    let connect = || TcpStream::connect(("127.0.0.1", server.camera_ports[0])).expect("it listens");
    let clients: Vec<_> = (0..64).map(|_| connect()).collect();
    for _ in 0..2 {
        let mut refused = connect();
        refused.set_read_timeout(Some(AGES)).expect("a time");
        let mut text = String::new();
        refused.read_to_string(&mut text).expect("the end");
        assert_eq!(text, String::from_utf8(line("@N 64 clients are connected")).expect("text"));
    }
    let address = format!("127.0.0.1:{}", server.camera_ports[0]);
    let (code, _, err) = run(&["detections", &address, "-d", "1s"]);
    assert!(code != 0 && err.contains("64 clients are connected") && !err.contains("power-cycle"), "{err}");
    drop(clients);
    let (_, _, err) = server.stop();
    assert_eq!(err.matches("refused a client of the camera port, 127.0.0.1:").count(), 1, "{err}");
}

#[test]
fn a_client_that_writes_nonsense_is_served_all_the_same() {
    let server = Server::start(&[&format!("front=sim:?{CAMERA}"), "--camera-port", "0"]);
    let mut client = TcpStream::connect(("127.0.0.1", server.camera_ports[0])).expect("it listens");
    client.set_read_timeout(Some(AGES)).expect("a time");
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it accepts bytes");
    client.read_exact(&mut [0; 100_000]).expect("a frame");
}

/// The camera counts the frames that it drops (`@Q`) from the beginning of its connection. Those before a client came are not
/// lost for it.
#[test]
fn frames_that_the_camera_dropped_before_a_client_came_do_not_count_for_it() {
    let frame = |number: usize, dropped: u64| {
        let time = number as f64 / 10.0;
        let head = [line(&format!("@Q drop={dropped}")), line("@D 8 8 GRAY8"), line(&format!("IMG {time} 64 0"))];
        [head.concat(), vec![number as u8; 64]].concat()
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = Server::start(&[&format!("front=tcp://{address}"), "--camera-port", "0"]);
    let (mut camera, _) = listener.accept().expect("the server connects");
    // Oaktap holds the first frames of a connection until later ones show whether they are stale.
    (0..12).for_each(|number| camera.write_all(&frame(number, 7)).expect("it reads"));
    let began = Instant::now();
    while server.cameras()[0]["counts"]["frames"]["confirmed"].as_u64() < Some(11) {
        assert!(began.elapsed() < AGES, "{}", server.cameras()[0]);
    }
    let mut client = subscribed(&server, 1);
    (12..15).for_each(|number| camera.write_all(&frame(number, 9)).expect("it reads"));
    let mut received = Vec::new();
    let counts = |received: &[u8]| {
        let lines = received.windows(32).filter(|line| line.starts_with(b"@Q drop="));
        lines.map(|line| String::from_utf8_lossy(line).trim().to_owned()).collect::<Vec<_>>()
    };
    while counts(&received).len() < 3 {
        let mut some = [0; 1000];
        let read = client.read(&mut some).expect("frames");
        assert!(read > 0, "{:?}", counts(&received));
        received.extend_from_slice(&some[..read]);
    }
    assert_eq!(counts(&received), ["@Q drop=0", "@Q drop=2", "@Q drop=2"]);
}
