//! Cameras that post to this host.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oaktap::frame::{PayloadKind, Pool};
use oaktap::source::{SessionOptions, SessionState, Timeouts};
use oaktap::wire::Limits;

use crate::http::jpeg;
use crate::session::Bench;

/// A session that waits for a camera, and its address.
fn waiting(options: SessionOptions) -> (Bench, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let bench = Bench::new(&format!("http-post://{address}/front"), options);
    bench.reach("a listener", |state| matches!(state, SessionState::Waiting));
    (bench, address)
}

/// Sends bytes over a new connection. Returns the answer.
fn send(address: SocketAddr, bytes: &[u8]) -> String {
    exchange(TcpStream::connect(address).expect("a connection"), bytes)
}

fn exchange(mut client: TcpStream, bytes: &[u8]) -> String {
    // The other side may close it before it has read everything.
    let _ = client.write_all(bytes);
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        match client.read(&mut piece) {
            Ok(n) if n > 0 => answer.extend_from_slice(&piece[..n]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /front?id=1 HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn post(address: SocketAddr, fields: &str, body: &[u8]) {
    let answer = send(address, &request(fields, body));
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

#[test]
fn every_body_becomes_a_frame() {
    let (bench, address) = waiting(SessionOptions::default());
    let boxes = r#"[{"label":"person","confidence":0.9,"xmin":0.1,"ymin":0.1,"xmax":0.5,"ymax":0.5}]"#;
    post(address, &format!("Content-Type: image/jpeg\r\nX-Detections: {boxes}\r\n"), &jpeg(100));
    let frame = bench.kept();
    assert_eq!(
        (frame.kind, frame.dialect, frame.no_clock, frame.detections.len()),
        (PayloadKind::Jpeg, "HTTP", true, 1)
    );

    post(address, "Content-Type: text/plain\r\n", b"3;90.0;0.1000;0.1000;0.5000;0.5000|4;50.0;0.1;0.1;0.5;0.5");
    post(address, "", &vec![7; 64 * 48 * 3]);
    let frame = bench.kept();
    assert_eq!((frame.kind, frame.payload().len(), frame.detections.len()), (PayloadKind::Raw, 64 * 48 * 3, 2));

    let message = [&b"IMG 12.5 3 22                   1;90.0;0.1;0.1;0.5;0.5"[..], b"BGR"].concat();
    post(address, "Content-Type: application/octet-stream\r\n", &message);
    let frame = bench.kept();
    assert_eq!((frame.dialect, frame.device_time.0, frame.no_clock), ("IMG", 12_500_000, false));
    assert_eq!((frame.payload(), frame.detections.len()), (&b"BGR"[..], 1));

    let chunked =
        b"PUT /front HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert!(send(address, chunked).starts_with("HTTP/1.1 204"));
    assert_eq!(bench.kept().payload(), b"abcde");
    // A message that is cut is counted, and the next one is received.
    post(address, "", &message[..message.len() - 1]);
    post(address, "", &message);
    assert_eq!(bench.kept().payload(), b"BGR");
    let stats = bench.end();
    assert_eq!((stats.frames.confirmed, stats.connections, stats.damaged_bytes), (5, 1, 56));
}

#[test]
fn a_picture_without_memory_is_refused_and_counted() {
    let (bench, address) = waiting(SessionOptions { frames: Pool::bounded(2000), ..SessionOptions::default() });
    let start = Instant::now();
    for length in ["Content-Length: 9000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n2328\r\n"] {
        let head = format!("POST /front HTTP/1.1\r\nHost: x\r\n{length}");
        let answer = send(address, &[head.as_bytes(), &[7; 9000]].concat());
        assert!(answer.starts_with("HTTP/1.1 507"), "{answer}");
    }
    // The answer comes when the session has the picture, not when it has counted it.
    let counted = || bench.stats().frames.no_memory == 2;
    assert!(std::iter::repeat_with(counted).take_while(|all| !all).all(|_| start.elapsed() < Duration::from_secs(20)));
    let stats = bench.end();
    let frames = &stats.frames;
    assert_eq!((frames.no_memory, frames.lost, frames.received, stats.lossless()), (2, 2, 0, false), "{frames:?}");
    assert!(stats.balances(), "{stats:?}");
}

#[test]
fn wrong_requests_are_refused_and_the_next_picture_arrives() {
    let limits = Limits { payload: 100_000, detections: 1000, ..Limits::default() };
    let (bench, address) = waiting(SessionOptions { limits, ..SessionOptions::default() });
    let endless = |head: &str| {
        [
            head.as_bytes(),
            &b"7d0\r\n".iter().chain(&[b'x'; 2000]).chain(b"\r\n").copied().collect::<Vec<u8>>().repeat(100),
        ]
        .concat()
    };
    let head = |first: &str, more: &str| format!("{first} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    for (request, answer) in [
        (head("POST /back", "Content-Length: 3\r\n").into_bytes(), "404"),
        (head("GET /front", "").into_bytes(), "405"),
        (head("POST /front", "Content-Length: 0\r\n").into_bytes(), "400"),
        (head("POST /front", "Content-Length: 99999999\r\n").into_bytes(), "413"),
        (endless(&head("POST /front", "Transfer-Encoding: chunked\r\n")), "413"),
        (head("POST /front", &format!("X: {}\r\n", "x".repeat(40_000))).into_bytes(), "431"),
        (
            head("POST /front", "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 3\r\n").into_bytes(),
            "415",
        ),
        (b"SSH-2.0\r\n\r\n".to_vec(), "400"),
    ] {
        let found = send(address, &request);
        assert!(found.starts_with(&format!("HTTP/1.1 {answer}")), "{answer}: {found}");
    }
    // A client that sends its next request over the same connection must know that it will be closed.
    let refused = head("POST /back", "Content-Length: 3\r\n");
    assert!(send(address, refused.as_bytes()).to_ascii_lowercase().contains("connection: close"));
    let mut client = TcpStream::connect(address).expect("a connection");
    let found = exchange(client.try_clone().expect("a handle"), head("GET /front", "").as_bytes());
    assert!(found.starts_with("HTTP/1.1 405") && !found.to_ascii_lowercase().contains("connection: close"), "{found}");
    client.write_all(&request("", &jpeg(100))).expect("the connection is open");
    bench.kept();
    assert_eq!(bench.end().frames.confirmed, 1);
}

/// Detections without a picture are no fault, but those that cannot be read are one.
#[test]
fn unreadable_detections_without_a_picture_are_counted() {
    let (bench, address) = waiting(SessionOptions::default());
    let list = |text: &str| post(address, "Content-Type: application/json\r\n", text.as_bytes());
    list("[{\"bad");
    list("[]");
    list("[] ");
    list("[{\"bad");
    post(address, "Content-Type: image/jpeg\r\nX-Detections: []\r\n", &jpeg(100));
    bench.kept();
    let stats = bench.end();
    let reasons = "one was replaced by another list, one by the boxes of the request";
    assert_eq!((stats.bad_detections, stats.frames.confirmed), (2, 1), "{reasons}");
    let lists = 2 * "[{\"bad".len() + "[]".len() + "[] ".len() + "[]".len();
    assert_eq!(stats.bytes().received, (lists + jpeg(100).len()) as u64);
    assert!(!stats.lossless());
}

/// Cameras that post on events only pause for hours.
#[test]
#[cfg(target_os = "linux")]
fn a_pause_between_posts_is_not_an_outage() {
    let (stalled, idle) = (Duration::from_millis(20), Duration::from_millis(100));
    let timeouts = Timeouts { stalled, idle, ..Timeouts::default() };
    let (bench, address) = waiting(SessionOptions { timeouts, ..SessionOptions::default() });
    for _ in 0..3 {
        post(address, "", &jpeg(100));
        bench.kept();
    }
    bench.reach("a pause", |state| matches!(state, SessionState::Paused));
    // Until the pause is long, another address is refused: then it may be that of the same camera.
    let other = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).expect("an address of this host");
        socket.connect(&address.into()).expect("a connection");
        exchange(socket.into(), &request("", &jpeg(100)))
    };
    let answer = std::iter::repeat_with(other).find(|answer| !answer.starts_with("HTTP/1.1 403")).expect("endless");
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    bench.kept();
    bench.reach("the next frame", |state| matches!(state, SessionState::Streaming));
    let pause = bench.reach("the next pause", |state| matches!(state, SessionState::Paused));
    assert_eq!((pause.word(), &*pause.to_string()), ("waiting", "waiting for the next picture"));
    let stats = bench.end();
    assert!(!stats.down_at_end() && stats.connections == 1, "{stats:?}");
    assert!(stats.findings().iter().all(|finding| finding.count != "not_streaming_seconds"), "{:?}", stats.findings());
}

/// `--idle-timeout` is the longest pause; a shorter one is a pause, too.
#[test]
fn a_pause_within_the_limit_of_the_user_is_a_pause() {
    let stalled = Duration::from_millis(20);
    let timeouts = Timeouts { stalled, idle_fixed: Some(Duration::from_secs(600)), ..Timeouts::default() };
    let (bench, address) = waiting(SessionOptions { timeouts, ..SessionOptions::default() });
    // The rate of the camera is known after three.
    for _ in 0..3 {
        post(address, "", &jpeg(100));
        bench.kept();
    }
    bench.reach("a pause", |state| matches!(state, SessionState::Paused));
    assert!(bench.end().lossless());
}

#[test]
fn a_camera_that_stops_posting_is_awaited_again() {
    let timeouts = Timeouts { idle_fixed: Some(Duration::from_millis(200)), ..Timeouts::default() };
    let (bench, address) = waiting(SessionOptions { timeouts, ..SessionOptions::default() });
    post(address, "", &jpeg(100));
    bench.kept();
    bench.reach("the end", |state| matches!(state, SessionState::Lost { .. }));
    bench.reach("a listener", |state| matches!(state, SessionState::Waiting));
    post(address, "", &jpeg(100));
    assert_eq!(bench.kept().id, 1);
    assert_eq!(bench.end().connections, 2);
}

#[test]
fn the_script_in_the_documentation_posts() {
    let text = include_str!("../../docs/http.md");
    let script = text.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a script");
    let (bench, address) = waiting(SessionOptions::default());
    let script = script.replace("'192.168.1.10', 8080", &format!("'{}', {}", address.ip(), address.port()));
    assert!(script.contains(&address.port().to_string()) && script.lines().count() <= 12, "{script}");
    // The Script's node, with three pictures.
    let node = "import sys\n\
        class Message:\n    def getData(self): return bytearray(open(sys.argv[1], 'rb').read())\n\
        class Input:\n    left = 3\n    def get(self):\n        self.left -= 1\n        if self.left < 0: sys.exit()\n        return Message()\n\
        class node: io = {'jpeg': Input()}\n";
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("picture.jpg");
    std::fs::write(&picture, jpeg(1000)).expect("a file");
    let mut python = Command::new("python3");
    let child = python.args(["-c", &(node.to_owned() + &script)]).arg(&picture).stderr(Stdio::piped()).spawn();
    let output = child.expect("there is a python3").wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for id in 0..3 {
        let frame = bench.kept();
        assert!(frame.id == id && frame.payload() == jpeg(1000));
    }
    bench.end();
}
