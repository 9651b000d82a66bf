//! Players that are slow, wrong or hostile.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::server::{AGES, Response, Server};

const SECRET: &str = "correct-horse-battery";
/// A side is odd: the simulator then sends bytes that nobody can decode, and needs no time to encode them.
const H264: &str = "front=sim:?size=321x177&fps=30&format=h264&seed=9&records=off";

/// A player of which a test sees every byte.
struct Player {
    stream: BufReader<TcpStream>,
    url: String,
    number: u32,
}

impl Player {
    fn connect(server: &Server) -> Self {
        let url = server.rtsp[0].clone();
        let address = url.strip_prefix("rtsp://").and_then(|rest| rest.split('/').next()).expect("an address");
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(AGES)).expect("a time");
        Self { stream: BufReader::new(stream), url, number: 0 }
    }

    fn write(&mut self, bytes: &[u8]) {
        // It may close before it has read everything.
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Sends a request and returns its answer; skips packets.
    fn ask(&mut self, method: &str, path: &str, headers: &str) -> Response {
        self.number += 1;
        let request = format!("{method} {}{path} RTSP/1.0\r\nCSeq: {}\r\n{headers}\r\n", self.url, self.number);
        self.write(request.as_bytes());
        while self.peek() == b'$' {
            self.packet();
        }
        let response = Response::read(&mut self.stream);
        assert_eq!(response.header("cseq"), Some(&*self.number.to_string()), "{method}");
        response
    }

    fn peek(&mut self) -> u8 {
        std::io::BufRead::fill_buf(&mut self.stream).expect("a byte").first().copied().expect("it is open")
    }

    /// Reads a packet: its channel and bytes.
    fn packet(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).expect("a packet");
        assert_eq!(head[0], b'$');
        let mut packet = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
        self.stream.read_exact(&mut packet).expect("the packet");
        (head[1], packet)
    }

    /// Begins to play with this transport and returns the header with its session.
    fn play(&mut self, transport: &str) -> String {
        assert_eq!(self.ask("DESCRIBE", "", "").status, 200);
        let answer = self.ask("SETUP", "/trackID=0", &format!("Transport: {transport}\r\n"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let session = answer.header("session").expect("a session").to_owned();
        assert!(session.ends_with(";timeout=60"), "{session}");
        let header = format!("Session: {session}\r\n");
        assert_eq!(self.ask("PLAY", "", &header).status, 200);
        header
    }

    /// Everything until it closes.
    fn rest(mut self) -> String {
        let mut text = Vec::new();
        // A client that still sends gets a reset.
        let _ = self.stream.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

#[test]
fn a_session_begins_pauses_continues_and_ends() {
    let server = Server::streaming(&[H264, "--rtsp", "0"]);
    let mut player = Player::connect(&server);
    let options = player.ask("OPTIONS", "", "");
    assert!(options.header("public").expect("methods").contains("DESCRIBE"));
    let session = player.play("RTP/AVP/TCP;unicast;interleaved=6-7");
    // The parameter sets and a key frame first, then a report of the same moment.
    let (mut types, mut report) = (Vec::new(), None);
    let mut stamps = Vec::new();
    while stamps.len() < 5 {
        let (channel, packet) = player.packet();
        if channel == 7 {
            report.get_or_insert(packet);
            continue;
        }
        assert_eq!(channel, 6);
        let kind = packet[12] & 0x1f;
        types.push(if kind == 28 { packet[13] & 0x1f } else { kind });
        if packet[1] & 0x80 != 0 {
            stamps.push(u32::from_be_bytes(*packet[4..].first_chunk().expect("a stamp")));
        }
    }
    assert_eq!(types[..3], [7, 8, 5]);
    let report = report.expect("a report");
    assert_eq!((report[1], *report[16..].first_chunk().expect("a stamp")), (200, stamps[0].to_be_bytes()));
    // 30 frames per second, and no frame twice.
    for pair in stamps.windows(2) {
        let step = pair[1].wrapping_sub(pair[0]);
        assert!(step >= 2900, "{stamps:?}");
    }
    assert_eq!(player.ask("GET_PARAMETER", "", &session).status, 200);
    assert_eq!(player.ask("PAUSE", "", &session).status, 200);
    assert_eq!(player.ask("PLAY", "", &session).status, 200);
    let (_, first) = player.packet();
    assert_eq!(first[12] & 0x1f, 7, "it continues at a key frame");
    assert_eq!(player.ask("TEARDOWN", "", &session).status, 200);
    assert_eq!(player.ask("PLAY", "", &session).status, 454);
    let viewers = server.cameras()[0]["viewers"].clone();
    assert_eq!(viewers, serde_json::json!([]), "it has left");
}

#[test]
fn packets_over_udp_go_to_the_address_of_the_connection_only() {
    let server = Server::streaming(&[H264, "--rtsp", "0"]);
    let [rtp, rtcp] = [0; 2].map(|port| UdpSocket::bind(("127.0.0.1", port)).expect("a port"));
    let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
    rtp.set_read_timeout(Some(AGES)).expect("a time");
    rtcp.set_read_timeout(Some(AGES)).expect("a time");
    let ports = format!("client_port={}-{}", port(&rtp), port(&rtcp));
    let mut player = Player::connect(&server);
    for destination in ["destination=127.0.0.2", "destination=example.com", "dest_addr=\"127.0.0.2:9\""] {
        let header = format!("Transport: RTP/AVP;unicast;{destination};{ports}\r\n");
        assert_eq!(player.ask("SETUP", "", &header).status, 461, "{destination}");
    }
    player.play(&format!("RTP/AVP;unicast;{ports}"));
    let mut packet = [0; 2048];
    let (len, from) = rtp.recv_from(&mut packet).expect("a packet");
    assert!(len <= 1412 && from.ip().to_string() == "127.0.0.1" && from.port() % 2 == 0, "{from}");
    let (_, from_rtcp) = rtcp.recv_from(&mut packet).expect("a report");
    assert_eq!((packet[1], from_rtcp.port()), (200, from.port() + 1));
}

#[test]
fn the_token_is_the_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, format!("{SECRET}\n")).expect("a file");
    let server = Server::start(&[H264, "--rtsp", "0", "--token", path.to_str().expect("UTF-8")]);
    let mut player = Player::connect(&server);
    assert_eq!(player.ask("OPTIONS", "", "").status, 200);
    let refused = player.ask("DESCRIBE", "", "");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Basic realm=\"oaktap\"")));
    // `me:correct-horse-battery`, and the same with another ending.
    for (value, status) in [
        ("Basic bWU6Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", 200),
        ("Basic bWU6Y29ycmVjdC1ob3JzZS1iYXR0ZXJ6", 401),
        ("Basic %%%", 401),
        ("Digest username=\"me\"", 401),
    ] {
        assert_eq!(player.ask("DESCRIBE", "", &format!("Authorization: {value}\r\n")).status, status, "{value}");
    }
    for method in ["SETUP", "PLAY", "TEARDOWN", "GET_PARAMETER"] {
        assert_eq!(player.ask(method, "", "Transport: RTP/AVP/TCP\r\n").status, 401, "{method}");
    }
    assert_eq!(player.ask("DESCRIBE", "/../other", "").status, 401, "names are not public");
}

#[test]
fn unknown_names_methods_and_versions_are_refused() {
    let server = Server::streaming(&[H264, "--rtsp", "0"]);
    let mut player = Player::connect(&server);
    let url = player.url.clone();
    for path in ["/../../etc/passwd", "%2f..%2fetc%2fpasswd", "x", "/trackID=1", "%ff", "?/../x#y"] {
        let status = player.ask("DESCRIBE", path, "").status;
        // The last one is the camera with a query.
        assert_eq!(status, if path.starts_with('?') { 200 } else { 404 }, "{path}");
    }
    player.url = url.replace("front", "");
    assert!(player.ask("DESCRIBE", "", "").text().contains("expected front"));
    player.url = url;
    assert_eq!(player.ask("RECORD", "", "").status, 405);
    assert_eq!(player.ask("ANNOUNCE", "", "Content-Length: 0\r\n").status, 405);
    assert_eq!(player.ask("DESCRIBE", "", "Require: x\r\n").status, 551);
    assert_eq!(player.ask("SETUP", "", "Transport: RTP/SAVP;unicast\r\n").status, 461);
    assert_eq!(player.ask("PLAY", "", "Session: 0123456789ABCDEF\r\n").status, 454);
    player.write(b"DESCRIBE rtsp://x/front RTSP/2.0\r\nCSeq: 1\r\n\r\n");
    assert_eq!(Response::read(&mut player.stream).status, 505);
    player.write(b"DESCRIBE rtsp://x/front RTSP/1.0\r\nCSeq: 1\rX: y\r\n\r\n");
    assert_eq!(Response::read(&mut player.stream).status, 400);
}

#[test]
fn broken_long_and_slow_requests_are_ended() {
    let server = Server::streaming(&[H264, "--rtsp", "0"]);
    let answer = |bytes: &[u8]| {
        let mut player = Player::connect(&server);
        player.write(bytes);
        player.rest().lines().next().unwrap_or_default().to_owned()
    };
    let endless = format!("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: {}", "x".repeat(1 << 20));
    let many = format!("OPTIONS * RTSP/1.0\r\n{}", "X: y\r\n".repeat(100_000));
    let body = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 4000000000\r\n\r\n";
    for bytes in [endless.as_bytes(), many.as_bytes(), body.as_bytes(), b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\n\r\n"]
    {
        assert!(["RTSP/1.0 400 Bad Request", ""].contains(&&*answer(bytes)), "{bytes:?}");
    }
    // Packets before SETUP, and on a channel that was not set up.
    assert_eq!(answer(b"$\x00\xff\xff"), "RTSP/1.0 400 Bad Request");
    let mut player = Player::connect(&server);
    player.play("RTP/AVP/TCP;unicast;interleaved=0-1");
    // Longer than any report: skipped.
    player.write(&[&b"$\x01\xff\xff"[..], &[0x24; 0xffff], b"$\x01\x00\x00"].concat());
    assert_eq!(player.ask("OPTIONS", "", "").status, 200);
    player.write(b"$\x05\x00\x01x");
    assert!(player.rest().contains("RTSP/1.0 400"));
    let started = Instant::now();
    let mut slow = Player::connect(&server);
    slow.write(b"OPTIONS * RT");
    assert_eq!(slow.rest(), "");
    let waited = started.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(40)).contains(&waited), "{waited:?}");
}

#[test]
fn a_player_that_never_reads_misses_whole_frames_and_delays_no_other() {
    let config = "front=sim:?size=1281x721&fps=60&format=h264&seed=9&records=off";
    let server = Server::streaming(&[config, "--rtsp", "0"]);
    let mut stuck = Player::connect(&server);
    socket2::SockRef::from(stuck.stream.get_ref()).set_recv_buffer_size(4096).expect("an option");
    stuck.play("RTP/AVP/TCP;unicast;interleaved=0-1");
    let stuck_misses = || {
        let viewers = server.cameras()[0]["viewers"].clone();
        viewers.as_array().expect("viewers").iter().any(|viewer| viewer["superseded"].as_u64() > Some(30))
    };
    let mut other = Player::connect(&server);
    other.play("RTP/AVP/TCP;unicast;interleaved=0-1");
    let (mut last, mut frames) = (None, 0);
    let started = Instant::now();
    while frames < 60 || !stuck_misses() {
        assert!(started.elapsed() < AGES, "{}", server.cameras()[0]["viewers"]);
        let (channel, packet) = other.packet();
        if channel == 0 {
            let number = u16::from_be_bytes([packet[2], packet[3]]);
            assert!(last.is_none_or(|last: u16| number == last.wrapping_add(1)), "a part of a frame is missing");
            last = Some(number);
            frames += u32::from(packet[1] & 0x80 != 0);
        }
    }
    // It gets complete frames again: a packet is never cut.
    let (mut last, mut before_key) = (None, 0);
    for _ in 0..400 {
        let (channel, packet) = stuck.packet();
        if channel == 0 {
            let number = u16::from_be_bytes([packet[2], packet[3]]);
            assert!(last.is_none_or(|last: u16| number == last.wrapping_add(1)));
            last = Some(number);
            before_key += 1;
        }
    }
    assert!(before_key > 0);
    for viewer in server.cameras()[0]["viewers"].as_array().expect("viewers") {
        let [offered, sent, superseded, pending] =
            ["offered", "sent", "superseded", "pending"].map(|name| viewer[name].as_u64().expect("a number"));
        assert_eq!(offered, sent + superseded + pending, "{viewer}");
    }
}
