//! Many viewers, slow ones and broken ones.

use std::io::Read as _;
use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::server::{AGES, Chunks, Response, Server};

/// The socket of the page, without a page.
pub(crate) fn socket(server: &Server) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
    stream.set_read_timeout(Some(AGES)).expect("a time");
    let address = format!("ws://127.0.0.1:{}/socket", server.port);
    tungstenite::client(address.as_str(), stream).expect("it opens").0
}

pub(crate) fn say(socket: &mut WebSocket<TcpStream>, message: &Value) {
    socket.send(Message::text(message.to_string())).expect("it reads");
}

/// A message of the server.
enum Received {
    /// Head and file.
    Picture(Value, Vec<u8>),
    /// State and counts.
    Cameras,
}

fn receive(socket: &mut WebSocket<TcpStream>) -> Received {
    match socket.read().expect("a message") {
        Message::Binary(bytes) => {
            let (length, rest) = bytes.split_first_chunk().expect("a length");
            let (head, file) = rest.split_at(u32::from_le_bytes(*length) as usize);
            Received::Picture(serde_json::from_slice(head).expect("JSON"), file.to_vec())
        }
        Message::Text(text) => {
            let cameras: Value = serde_json::from_str(&text).expect("JSON");
            assert!(cameras["cameras"].is_array(), "{cameras}");
            Received::Cameras
        }
        other => panic!("{other:?}"),
    }
}

/// The pictures that arrive until the counts were sent so often.
pub(crate) fn pictures(socket: &mut WebSocket<TcpStream>, mut counts: u32) -> Vec<(Value, Vec<u8>)> {
    let mut pictures = Vec::new();
    while counts > 0 {
        match receive(socket) {
            Received::Picture(head, file) => pictures.push((head, file)),
            Received::Cameras => counts -= 1,
        }
    }
    pictures
}

fn id(picture: &(Value, Vec<u8>)) -> u64 {
    picture.0["frame"]["id"].as_u64().expect("a number")
}

/// The counts of a kind of viewer of the first camera, which must balance.
pub(crate) fn counts(viewers: &Value, kind: &str) -> [u64; 4] {
    let list = viewers[0]["viewers"].as_array().expect("a list");
    let counts = list.iter().find(|counts| counts["kind"] == kind).unwrap_or_else(|| panic!("{kind}: {viewers}"));
    let [offered, sent, superseded, pending] = ["offered", "sent", "superseded", "pending"]
        .map(|name| counts[name].as_u64().unwrap_or_else(|| panic!("{name}: {counts}")));
    assert_eq!(offered, sent + superseded + pending, "{counts}");
    [offered, sent, superseded, pending]
}

#[test]
fn a_page_that_draws_slowly_has_two_pictures_on_the_way_and_then_the_newest() {
    let server = Server::start(&["front=sim:?size=64x48&fps=60&boxes=1"]);
    let mut page = socket(&server);
    say(&mut page, &json!({ "watch": [{ "camera": "front", "width": 64 }, { "camera": "unknown", "width": 1 }] }));
    let first = pictures(&mut page, 5);
    assert_eq!(first.len(), 2, "more are not sent before one was drawn");
    assert_eq!(first[0].0["frame"]["detections"].as_array().map(Vec::len), Some(1), "{}", first[0].0);
    let file = image::load_from_memory(&first[1].1).expect("a JPEG");
    assert_eq!((file.width(), file.height()), (64, 48));
    say(&mut page, &json!({ "drawn": "front" }));
    let next = pictures(&mut page, 2);
    assert_eq!(next.len(), 1);
    assert!(id(&next[0]) > id(&first[1]) + 30, "{} after {}", id(&next[0]), id(&first[1]));
    drop(page);
    let (code, lines, err) = server.stop();
    // On a busy machine the simulated camera leaves out frames.
    assert!([0, 3].contains(&code), "{err}");
    let [_, sent, superseded, _] = counts(&lines[0]["viewers"], "page");
    assert!(sent == 3 && superseded > 30, "{}", lines[0]);
    assert!(err.contains("front: page by 1 viewer: ") && err.contains(" = 3 sent + "), "{err}");
}

#[test]
fn messages_that_are_not_understood_end_the_socket() {
    let server = Server::start(&["front=sim:?size=64x48"]);
    let long = format!("{{\"drawn\":\"{}\"}}", "x".repeat(70_000));
    for text in ["", "{}", "[]", r#"{"watch":1}"#, r#"{"watch":[{"camera":"front"}]}"#, &long] {
        let mut page = socket(&server);
        page.send(Message::text(text)).expect("it reads");
        let ended = (0..100).any(|_| matches!(page.read(), Err(_) | Ok(Message::Close(_))));
        assert!(ended, "{text:.40}");
    }
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn viewers_share_one_encoding_and_without_viewers_there_is_none() {
    let server = Server::start(&["front=sim:?size=64x48&fps=100"]);
    let open = || {
        let mut connection = server.open("GET", "/stream/front.mjpg", &[]);
        Response::head(&mut connection);
        Chunks::new(connection)
    };
    let number = |value: &Value| value.as_u64().expect("a number");
    let frames = |camera: &Value| number(&camera["counts"]["frames"]["received"]);
    let before = &server.cameras()[0];
    assert!(number(&before["encoded"]) == 0, "{before}");
    let mut streams = [open(), open(), open()];
    let mut some = [0; 20_000];
    streams.iter_mut().for_each(|stream| stream.read_exact(&mut some).expect("pictures"));
    let camera = &server.cameras()[0];
    let offered = camera["viewers"].as_array().expect("a list").iter().map(|viewer| number(&viewer["offered"]));
    let (most, all) = offered.fold((0, 0), |(most, all), offered| (offered.max(most), all + offered));
    let encoded = number(&camera["encoded"]);
    assert!(encoded > 5 && encoded <= most && all > 2 * encoded, "{camera}");

    drop(streams);
    let unwatched = loop {
        let camera = server.cameras()[0].clone();
        if camera["viewers"].as_array().is_some_and(Vec::is_empty) {
            break camera;
        }
    };
    // The frame that was being encoded may be counted after that.
    let later = |frames_before: u64| loop {
        let camera = server.cameras()[0].clone();
        if frames(&camera) > frames_before + 20 {
            break camera;
        }
    };
    let later_camera = later(frames(&unwatched));
    let last = later(frames(&later_camera));
    assert_eq!(last["encoded"], later_camera["encoded"], "nobody watches");
}

#[test]
fn a_client_that_never_reads_delays_no_other() {
    let server = Server::start(&["front=sim:?size=640x352&fps=30"]);
    let mut stuck = server.open("GET", "/stream/front.mjpg", &[]);
    Response::head(&mut stuck);
    let read = crate::http::mjpeg(&server, "/stream/front.mjpg", 60).len();
    assert_eq!(read, 60);
    let camera = &server.cameras()[0];
    let viewers = camera["viewers"].as_array().expect("a list");
    let slow = viewers.iter().find(|viewer| viewer["superseded"].as_u64() > Some(0));
    let slow = slow.unwrap_or_else(|| panic!("no client is slow: {camera}"));
    // One picture that is being sent, and the newest one.
    assert!(slow["pending"].as_u64() <= Some(2) && camera["counts"]["balances"] == true, "{camera}");
    drop(stuck);
    let (code, lines, err) = server.stop();
    // On a busy machine the simulated camera leaves out frames.
    assert!([0, 3].contains(&code), "{err}");
    let [offered, ..] = counts(&lines[0]["viewers"], "mjpeg");
    assert!(offered >= 2 * 60, "{}", lines[0]);
}

/// Bytes of old pictures that a client with a receive buffer of 32 KiB may get before a new one, besides two pictures: the one
/// that is being sent, and the one before it, of which a part may be left.
#[cfg(target_os = "linux")]
const OLD_BYTES_MAX: usize = 128 << 10;

/// With a large buffer in the server's system, pictures would wait there for a slow client, each older than the one before.
#[cfg(target_os = "linux")]
#[test]
fn a_client_that_reads_again_gets_a_new_picture_after_few_old_ones() {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::SocketAddr;
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    let server = Server::streaming(&["front=sim:?size=320x176&fps=60"]);
    let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    client.set_recv_buffer_size(16 << 10).expect("an option");
    client.connect(&SocketAddr::from(([127, 0, 0, 1], server.port)).into()).expect("it listens");
    let mut client = TcpStream::from(client);
    client.set_read_timeout(Some(AGES)).expect("a time");
    write!(client, "GET /stream/front.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", server.port).expect("it reads");
    let started = Instant::now();
    let superseded = || server.cameras()[0]["viewers"][0]["superseded"].as_u64();
    while superseded() < Some(30) {
        assert!(started.elapsed() < AGES, "{}", server.cameras());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let mut client = BufReader::new(client);
    Response::head(&mut client);
    let mut body = BufReader::new(Chunks::new(client));
    let (mut old, mut largest) = (Vec::new(), 0);
    loop {
        let (mut length, mut time, mut line) = (0, 0.0, String::new());
        while line != "\r\n" {
            line.clear();
            body.read_line(&mut line).expect("a header");
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().expect("a number"),
                Some(("X-Timestamp", value)) => time = value.parse().expect("a number"),
                _ => {}
            }
        }
        if time > now {
            break;
        }
        body.read_exact(&mut vec![0; length + 2]).expect("a picture");
        old.push(length);
        largest = largest.max(length);
    }
    let bytes: usize = old.iter().sum();
    assert!(bytes <= OLD_BYTES_MAX + 2 * largest, "{bytes} bytes of old pictures: {old:?}");
}
