//! Clients that send nonsense, and many that never read: refused or slowed down, without growth.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::server::{AGES, Camera, Response, Server};

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
    stream.set_read_timeout(Some(AGES)).expect("a time");
    stream
}

/// Memory of the program in kilobytes.
fn resident_kb(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn headers_without_end_are_refused_after_16_kb() {
    let server = Server::start(&["sim:?size=64x48"]);
    let mut stream = connect(&server);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n").expect("it reads");
    let line = format!("X-{}: {}\r\n", "a".repeat(40), "b".repeat(80));
    // Far more than the system buffers.
    let refused = (0..200_000).any(|_| stream.write_all(line.as_bytes()).is_err());
    assert!(refused, "24 MB of headers were read");
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn broken_frames_of_a_socket_end_it() {
    let server = Server::start(&["front=sim:?size=64x48"]);
    let upgrade = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let drawn = br#"{"drawn":"x"}"#;
    let masked = |first: u8, length: &[u8], text: &[u8]| [&[first], length, &[0; 4], text].concat();
    let frames: [(&str, Vec<u8>); 7] = [
        ("not masked", [&[0x81, 13], &drawn[..]].concat()),
        ("reserved bits", masked(0xf1, &[0x80 | 13], drawn)),
        ("reserved opcode", masked(0x83, &[0x80 | 13], drawn)),
        ("continues nothing", masked(0x80, &[0x80 | 13], drawn)),
        ("not UTF-8", masked(0x81, &[0x80 | 1], b"\xff")),
        ("2^63 bytes", masked(0x81, &[0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], b"")),
        ("longer than 64 KiB", masked(0x81, &[0xff, 0, 0, 0, 0, 0, 1, 0, 1], &[b' '; 65_537])),
    ];
    for (name, frame) in frames {
        let mut connection = server.open("GET", "/socket", &upgrade);
        assert_eq!(Response::head(&mut connection).status, 101, "{name}");
        // It may end before it has read everything.
        let _ = connection.get_mut().write_all(&frame);
        // States of the cameras arrive until it ends; the read fails after a minute otherwise.
        let ended = connection.read_to_end(&mut Vec::new());
        let timed_out = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out, "{name}");
    }
    // A message in pieces without end.
    let mut connection = server.open("GET", "/socket", &upgrade);
    assert_eq!(Response::head(&mut connection).status, 101);
    let piece = masked(0x00, &[0x80 | 100], &[b' '; 100]);
    let _ = connection.get_mut().write_all(&masked(0x01, &[0x80 | 1], b"{"));
    let refused = (0..200_000).any(|_| connection.get_mut().write_all(&piece).is_err());
    assert!(refused, "a message of 20 MB was read");
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn a_request_whose_body_does_not_arrive_is_answered() {
    let server = Server::start(&["front=sim:?size=64x48"]);
    let headers = [("content-length", "1000"), ("content-type", "application/json")];
    let mut connection = server.open("POST", "/api/sign", &headers);
    assert_eq!(Response::head(&mut connection).status, 408);
}

#[test]
fn no_path_leaves_the_addresses() {
    let server = Server::start(&["front=sim:?size=64x48"]);
    for path in [
        "/page/../../Cargo.toml",
        "/page/%2e%2e/%2e%2e/etc/passwd",
        "/page/main.js/",
        "/page/main.js%00",
        "/page/..\\..\\etc\\passwd",
        "//etc/passwd",
        "/snapshot/%00.jpg",
        "/snapshot/.jpg",
        "/events/..%2fapi%2fcameras",
        "/metrics/",
        "http://evil.example/etc/passwd",
    ] {
        let response = server.get(path);
        assert!([400, 404, 421].contains(&response.status), "{path}: {response:?}");
        assert!(!response.text().contains("root:") && !response.text().contains("[package]"), "{path}: {response:?}");
    }
    for method in ["POST", "PUT", "DELETE", "TRACE", "CONNECT", "X"] {
        let status = server.ask(method, "/api/cameras", &[]).status;
        assert!([400, 404, 405].contains(&status), "{method}: {status}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_flat_while_64_clients_never_read() {
    // A camera in this process would need memory of its own.
    let camera = Camera::start(&["--size", "640x352", "--fps", "30"]);
    let server = Server::start(&[&format!("front={}", camera.address), "--camera-port", "0"]);
    let streams: Vec<_> = (0..32)
        .map(|_| {
            let mut connection = server.open("GET", "/stream/front.mjpg", &[]);
            Response::head(&mut connection);
            connection
        })
        .collect();
    let ports: Vec<_> =
        (0..32).map(|_| TcpStream::connect(("127.0.0.1", server.camera_ports[0])).expect("it listens")).collect();
    let number = |value: &Value| value.as_u64().expect("a number");
    // Each has lost frames: its buffers are full.
    let all_are_stuck = |viewers: &Value| {
        let viewers = viewers.as_array().expect("a list");
        viewers.len() == 64 && viewers.iter().all(|viewer| number(&viewer["superseded"]) > 10)
    };
    let camera = || server.cameras()[0].clone();
    let confirmed = |camera: &Value| number(&camera["counts"]["frames"]["confirmed"]);
    let stuck = loop {
        let camera = camera();
        if all_are_stuck(&camera["viewers"]) {
            break camera;
        }
    };
    let mut sizes_kb = vec![resident_kb(&server)];
    let mut later = stuck;
    // 150 frames have 100 MB. The allocator may need some of these intervals to reach its size.
    while sizes_kb.last_chunk::<2>().is_none_or(|[before, after]| after > &(before + 20_000)) {
        assert!(sizes_kb.len() < 8, "{sizes_kb:?} kB");
        later = loop {
            let camera = camera();
            if confirmed(&camera) >= confirmed(&later) + 150 {
                break camera;
            }
        };
        sizes_kb.push(resident_kb(&server));
    }
    assert!(later["counts"]["balances"] == true && later["counts"]["frames"]["no_memory"] == 0, "{later}");
    for viewer in later["viewers"].as_array().expect("a list") {
        let waiting = if viewer["kind"] == "camera-port" { 32 + 2 } else { 2 };
        assert!(number(&viewer["pending"]) <= waiting, "{viewer}");
    }
    drop((streams, ports));
}
