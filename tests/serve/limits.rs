//! Clients that must be refused.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::server::{AGES, Server};

const SECRET: &str = "correct-horse-battery";

fn with_token(folder: &tempfile::TempDir, more: &[&str]) -> Server {
    let path = folder.path().join("token");
    std::fs::write(&path, format!("{SECRET}\n")).expect("a file");
    Server::start(&[&["sim:?size=64x48", "--token", path.to_str().expect("UTF-8")], more].concat())
}

#[test]
fn a_token_is_required_for_everything_but_the_page_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = with_token(&folder, &[]);
    for path in ["/", "/page/main.js", "/healthz", "/api/session"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let socket = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")];
    let socket = [&socket[..], &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]].concat();
    for (path, headers) in [
        ("/api/cameras", &[][..]),
        ("/snapshot/sim-1.jpg", &[]),
        ("/stream/sim-1.mjpg", &[]),
        ("/events/sim-1", &[]),
        ("/unknown", &[]),
        ("/socket", &socket),
        ("/api/cameras", &[("Authorization", "Bearer wrong")]),
        ("/api/cameras?token=correct-horse-battery", &[]),
    ] {
        let mut connection = server.open("GET", path, headers);
        let response = crate::server::Response::read(&mut connection);
        assert_eq!(response.status, 401, "{path}: {}", response.text());
    }
    let bearer = [("Authorization", &*format!("Bearer {SECRET}"))];
    assert_eq!(server.ask("GET", "/api/cameras", &bearer).status, 200);
    assert_eq!(server.ask("POST", "/api/session", &[("Authorization", "Bearer wrong")]).status, 401);
    let signed_in = server.ask("POST", "/api/session", &bearer);
    let cookie = signed_in.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(SECRET), "{cookie}");
    let cookie = cookie.split(';').next().expect("a pair");
    assert_eq!(server.ask("GET", "/snapshot/sim-1.jpg", &[("Cookie", cookie)]).status, 200);
}

#[test]
fn other_names_and_other_origins_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = with_token(&folder, &["--host-name", "wall.lan"]);
    for (host, status) in [("wall.lan", 200), ("localhost:1", 200), ("evil.example", 421), ("", 421)] {
        assert_eq!(server.ask("GET", "/healthz", &[("Host", host)]).status, status, "{host}");
    }
    let bearer = format!("Bearer {SECRET}");
    let from = |origin: &str| {
        let headers = [("Host", "wall.lan"), ("Origin", origin), ("Authorization", &bearer)];
        server.ask("POST", "/api/session", &headers).status
    };
    assert_eq!([from("http://wall.lan"), from("http://evil.example"), from("null")], [204, 403, 403]);
}

#[test]
fn slow_long_and_broken_requests_are_ended() {
    let server = Server::start(&["sim:?size=64x48"]);
    let send = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
        stream.set_read_timeout(Some(AGES)).expect("a time");
        // It may close before it has read everything.
        let _ = stream.write_all(bytes);
        stream
    };
    let answer = |bytes: &[u8]| {
        let mut text = Vec::new();
        // A client that still sends gets a reset.
        let _ = send(bytes).read_to_end(&mut text);
        String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
    };
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(["HTTP/1.1 431 Request Header Fields Too Large", ""].contains(&&*answer(long.as_bytes())));
    assert_eq!(answer(b"\x16\x03\x01 this is TLS\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    let started = Instant::now();
    // One byte each second would keep a server without limits busy for ever.
    let mut slow = send(b"GET / HT");
    let mut idle = send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let _ = slow.read_to_end(&mut Vec::new());
    let _ = idle.read_to_end(&mut Vec::new());
    let waited = started.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(40)).contains(&waited), "{waited:?}");
    assert_eq!(server.get("/healthz").status, 200);
}
