//! Sources over MQTT: what a broker delivers, refuses, repeats and gets wrong.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use oaktap::frame::PayloadKind;
use oaktap::source::{SessionOptions, SessionState, SourceErrorClass, Timeouts};
use oaktap::wire::Limits;

use crate::http::jpeg;
use crate::session::Bench;

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

/// A packet with its length, as MQTT writes it.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let (mut bytes, mut left) = (vec![first], body.len());
    loop {
        let digit = (left % 128) as u8;
        left /= 128;
        bytes.push(digit | if left > 0 { 0x80 } else { 0 });
        if left == 0 {
            return [bytes, body.to_vec()].concat();
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// A message of this quality of service, with its number, or of 0 without one. `retained`: the broker had kept it.
fn message(topic: &str, payload: &[u8], quality: Option<(u8, u16)>, retained: bool) -> Vec<u8> {
    let number = quality.map(|(_, number)| number.to_be_bytes().to_vec()).unwrap_or_default();
    let first = 0x30 | quality.map_or(0, |(quality, _)| quality << 1) | u8::from(retained);
    packet(first, &[text(topic), number, payload.to_vec()].concat())
}

fn live(topic: &str, payload: &[u8]) -> Vec<u8> {
    message(topic, payload, None, false)
}

struct Broker {
    listener: TcpListener,
    address: SocketAddr,
}

impl Broker {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        Self { listener, address }
    }

    fn url(&self, topic: &str) -> String {
        format!("mqtt://{}/{topic}", self.address)
    }

    /// Reads a CONNECT packet.
    fn accept(&self) -> TcpStream {
        let mut client = self.listener.accept().expect("a client").0;
        client.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let (first, body) = receive(&mut client);
        assert_eq!((first, &body[..7], body[9]), (0x10, &b"\0\x04MQTT\x04"[..], 30), "30 s of keep-alive");
        // A clean session, and a user name and a password or neither.
        assert!([0x02, 0xc2].contains(&body[7]), "{:#x}", body[7]);
        client
    }

    /// Accepts a client and its subscription. Returns its topic filters.
    fn subscribe(&self) -> (TcpStream, Vec<String>) {
        let mut client = self.accept();
        client.write_all(&CONNACK).expect("the client reads");
        let (first, body) = receive(&mut client);
        assert_eq!(first, 0x82);
        let (number, mut rest) = body.split_at(2);
        let mut filters = Vec::new();
        while let [high, low, after @ ..] = rest {
            let (filter, after) = after.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            assert_eq!(after[0], 2, "the best quality of service");
            filters.push(String::from_utf8(filter.to_vec()).expect("UTF-8"));
            rest = &after[1..];
        }
        let granted = vec![2; filters.len()];
        client.write_all(&packet(0x90, &[number, &granted].concat())).expect("the client reads");
        (client, filters)
    }
}

/// Reads one packet of less than 128 bytes, or of two digits of length.
fn receive(client: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    client.read_exact(&mut head).expect("a packet");
    let mut len = usize::from(head[1] & 0x7f);
    if head[1] & 0x80 != 0 {
        let mut more = [0];
        client.read_exact(&mut more).expect("a packet");
        len += usize::from(more[0]) << 7;
    }
    let mut body = vec![0; len];
    client.read_exact(&mut body).expect("a packet");
    (head[0], body)
}

fn subscribed(topic: &str, options: SessionOptions) -> (Broker, Bench, TcpStream) {
    let broker = Broker::new();
    let bench = Bench::new(&broker.url(topic), options);
    let (client, _) = broker.subscribe();
    (broker, bench, client)
}

#[test]
fn every_payload_becomes_a_frame_with_its_detections() {
    let (_broker, bench, mut client) = subscribed("cam/#", SessionOptions::default());
    let mut send = |topic: &str, payload: &[u8]| client.write_all(&live(topic, payload)).expect("the client reads");
    let boxes = br#"[{"label":"person","confidence":0.9,"xmin":0.1,"ymin":0.1,"xmax":0.5,"ymax":0.5}]"#;
    send("cam/a/detections", boxes);
    send("cam/a", &jpeg(100));
    let frame = bench.kept();
    assert_eq!(
        (frame.kind, frame.dialect, frame.no_clock, frame.detections.len(), frame.is_stale()),
        (PayloadKind::Jpeg, "MQTT", true, 1, false)
    );

    // Of another camera: neither its pictures nor its detections belong here.
    send("cam/b/detections", boxes);
    send("cam/b", &jpeg(200));
    send("cam/a", &vec![7; 64 * 48 * 3]);
    let frame = bench.kept();
    assert_eq!((frame.kind, frame.payload().len(), frame.detections.len()), (PayloadKind::Raw, 64 * 48 * 3, 0));

    let img = [&b"IMG 12.5 3 22                   1;90.0;0.1;0.1;0.5;0.5"[..], b"BGR"].concat();
    send("cam/a", &img);
    let frame = bench.kept();
    assert_eq!((frame.dialect, frame.device_time.0, frame.no_clock), ("IMG", 12_500_000, false));
    assert_eq!((frame.payload(), frame.detections.len()), (&b"BGR"[..], 1));

    // A message that is cut is counted, and the next one is received.
    send("cam/a", &img[..img.len() - 1]);
    send("cam/state", b"online");
    send("cam/a", b"");
    send("cam/a", &img);
    assert_eq!(bench.kept().payload(), b"BGR");
    let stats = bench.end();
    assert_eq!((stats.frames.confirmed, stats.connections, stats.damaged_bytes), (4, 1, 56));
}

#[test]
fn messages_of_each_quality_are_answered_and_received_once() {
    let (_broker, bench, mut client) = subscribed("cam", SessionOptions::default());
    client.write_all(&live("cam", &jpeg(1))).expect("the client reads");
    client.write_all(&message("cam", &jpeg(2), Some((1, 7)), false)).expect("the client reads");
    assert_eq!(receive(&mut client), (0x40, vec![0, 7]), "PUBACK");
    let third = message("cam", &jpeg(3), Some((2, 9)), false);
    client.write_all(&third).expect("the client reads");
    assert_eq!(receive(&mut client), (0x50, vec![0, 9]), "PUBREC");
    client.write_all(&third).expect("the client reads");
    assert_eq!(receive(&mut client), (0x50, vec![0, 9]), "PUBREC again");
    client.write_all(&packet(0x62, &[0, 9])).expect("the client reads");
    assert_eq!(receive(&mut client), (0x70, vec![0, 9]), "PUBCOMP");
    // The number is free again.
    client.write_all(&message("cam", &jpeg(4), Some((2, 9)), false)).expect("the client reads");
    assert_eq!(receive(&mut client), (0x50, vec![0, 9]));
    let lengths = [(); 4].map(|()| bench.kept().payload().len());
    assert_eq!(lengths, [1, 2, 3, 4].map(|scan| jpeg(scan).len()));
    assert_eq!(bench.end().frames.confirmed, 4);
    assert_eq!(receive(&mut client), (0xe0, vec![]), "DISCONNECT");
}

#[test]
fn retained_pictures_are_stale_and_not_received_again_after_forty_reconnects() {
    let broker = Broker::new();
    let bench = Bench::new(&broker.url("cam"), SessionOptions::default());
    for number in 0..=40 {
        let (mut client, filters) = broker.subscribe();
        assert_eq!(filters, ["cam", "cam/detections"]);
        client.write_all(&message("cam", &jpeg(100 + number.max(1) - 1), Some((1, 1)), true)).expect("it reads");
        assert_eq!(receive(&mut client), (0x40, vec![0, 1]));
        if number == 0 {
            let frame = bench.kept();
            assert!(frame.is_stale() && frame.payload() == jpeg(100));
        } else {
            client.write_all(&live("cam", &jpeg(100 + number))).expect("it reads");
            let frame = bench.kept();
            assert!(!frame.is_stale() && frame.payload() == jpeg(100 + number), "{number}");
        }
    }
    let stats = bench.end();
    assert_eq!((stats.frames.confirmed, stats.frames.stale, stats.connections), (41, 1, 41));
    assert_eq!((stats.damaged_bytes, stats.frames.lost), (0, 0));
}

#[test]
fn a_topic_without_messages_is_no_lost_camera() {
    let timeouts =
        Timeouts { first_byte: Duration::from_millis(1), idle: Duration::from_millis(1), ..Timeouts::default() };
    let (_broker, bench, mut client) = subscribed("cam/+", SessionOptions { timeouts, ..SessionOptions::default() });
    let state = bench.reach("a subscription", |state| matches!(state, SessionState::Subscribed { .. }));
    assert_eq!(
        (state.word(), state.to_string().as_str()),
        ("waiting", "connected to the broker; nothing has been published on cam/+ yet")
    );
    client.write_all(&live("cam/1", &jpeg(9))).expect("it reads");
    bench.kept();
    assert_eq!(bench.end().connections, 1);
}

/// Returns the error that ends a connection to a broker that answers CONNECT like this.
fn error(
    url: impl Fn(&Broker) -> String,
    answer: impl FnOnce(&Broker),
    limits: Limits,
) -> (SourceErrorClass, String, String) {
    let broker = Broker::new();
    let timeouts = Timeouts { idle_fixed: Some(Duration::from_millis(300)), ..Timeouts::default() };
    let bench = Bench::new(&url(&broker), SessionOptions { limits, timeouts, ..SessionOptions::default() });
    answer(&broker);
    let state = bench.reach("an error", |state| state.reason().is_some());
    let reason = state.reason().expect("a reason");
    (reason.class(), reason.to_string(), reason.help().unwrap_or_default().into_owned())
}

#[test]
fn refusals_are_explained() {
    let plain = |broker: &Broker| broker.url("cam");
    let with_password = |broker: &Broker| format!("mqtt://me:secret@{}/cam", broker.address);
    let connack =
        |code: u8| move |broker: &Broker| broker.accept().write_all(&[0x20, 2, 0, code]).expect("the client reads");
    use SourceErrorClass::{Fatal, Retry};
    for (code, class, text, advice) in [
        (1, Fatal, "does not support MQTT 3.1.1", "allow MQTT 3.1.1"),
        (2, Fatal, "does not accept the client identifier", "`oaktap`"),
        (3, Retry, "its service is unavailable", ""),
        (4, Fatal, "a user name and a password are required", "mqtt://USER:PASSWORD@BROKER/TOPIC"),
        (5, Fatal, "a user name and a password are required", "mqtt://USER:PASSWORD@BROKER/TOPIC"),
        (6, Fatal, "does not follow MQTT 3.1.1", "1883"),
    ] {
        let (found, error, help) = error(plain, connack(code), Limits::default());
        assert!(found == class && error.contains(text) && help.contains(advice), "{code}: {found:?} {error} {help}");
    }
    for (code, text) in [(4, "bad user name or password"), (5, "not authorized")] {
        let (_, error, help) = error(with_password, connack(code), Limits::default());
        assert!(error.contains(text) && !error.contains("secret"), "{error} {help}");
    }
    let unreadable = |broker: &Broker| {
        let mut client = broker.accept();
        client
            .write_all(&CONNACK)
            .and_then(|()| client.write_all(&packet(0x90, &[0, 1, 0x80, 0x80])))
            .expect("it reads");
    };
    let (class, error, _) = error(plain, unreadable, Limits::default());
    assert!(class == Fatal && error.contains("refuses the subscription to cam\n"), "{error}");
}

#[test]
fn brokers_that_break_the_rules_are_cut_off() {
    let plain = |broker: &Broker| broker.url("cam");
    let limits = Limits { payload: 10_000, detections: 1000, ..Limits::default() };
    let after = |bytes: Vec<u8>| {
        move |broker: &Broker| {
            let (mut client, _) = broker.subscribe();
            // The other side may close it before it has read everything.
            let _ = client.write_all(&bytes);
            let _ = client.read(&mut [0; 64]);
        }
    };
    for (name, bytes, text) in [
        (
            "a packet without a message that is too large",
            [&[0xd0][..], &[0xff, 0xff, 0xff, 0x7f], &[0; 100]].concat(),
            "a packet of kind 13 has 268435460 bytes: expected at most",
        ),
        ("a length without an end", vec![0x30, 0xff, 0xff, 0xff, 0xff, 0xff], "does not follow MQTT 3.1.1"),
        ("a topic beyond the packet", packet(0x30, &[0xff, 0xff, b'a']), "does not follow MQTT 3.1.1"),
        ("a quality of 3", packet(0x36, b"\0\x01a\0\x01"), "does not follow MQTT 3.1.1"),
        ("a packet of a client", packet(0x82, b"\0\x01\0\x01a\0"), "it sent SUBSCRIBE: expected PUBLISH"),
        ("a second answer", packet(0x90, &[0, 1, 2]), "it sent SUBACK"),
        ("another protocol", b"HTTP/1.1 400 Bad Request\r\n".repeat(10), "does not follow MQTT 3.1.1"),
        ("a packet that stops", vec![0x30, 0xff, 0x20, 0, 3], "no data for 0."),
    ] {
        let (_, error, _) = error(plain, after(bytes), limits);
        assert!(error.contains(text), "{name}: {error}");
    }
    let silent = Timeouts { connect: Duration::from_millis(100), ..Timeouts::default() };
    let broker = Broker::new();
    let bench = Bench::new(&broker.url("cam"), SessionOptions { timeouts: silent, ..SessionOptions::default() });
    let _client = broker.accept();
    let state = bench.reach("an error", |state| state.reason().is_some());
    assert!(state.to_string().contains("did not answer CONNECT within 0.1 s"), "{state}");
}

#[test]
fn messages_that_are_too_large_are_skipped_and_counted() {
    let limits = Limits { payload: 10_000, detections: 1000, ..Limits::default() };
    let (_broker, bench, mut client) = subscribed("cam", SessionOptions { limits, ..SessionOptions::default() });
    let mut send = |bytes: &[u8]| client.write_all(bytes).expect("the connection stays open");
    // Larger than a packet may be, than a picture, and than detections. Again and again, which is no reason to reconnect.
    for _ in 0..5 {
        send(&live("cam", &jpeg(20_001)));
        send(&live("cam", &jpeg(99)));
        assert_eq!(bench.kept().payload().len(), jpeg(99).len());
    }
    send(&message("cam", &jpeg(200_000), Some((1, 7)), false));
    send(&live("cam", &jpeg(20_000)));
    send(&live("cam", format!("[{}]", " ".repeat(2000)).as_bytes()));
    send(&live("cam", &jpeg(100)));
    assert_eq!(bench.kept().payload().len(), jpeg(100).len());
    assert_eq!(receive(&mut client), (0x40, vec![0, 7]), "the first one is confirmed, or the broker would repeat it");
    let stats = bench.end();
    let skipped = (jpeg(200_000).len() + jpeg(20_000).len() + 2002 + 5 * jpeg(20_001).len()) as u64;
    assert_eq!((stats.bytes().skipped, stats.connections, stats.frames.lost), (skipped, 1, 8));
    assert!(stats.bytes().balance() && !stats.lossless());
}

#[test]
fn the_script_in_the_documentation_publishes() {
    let documentation = include_str!("../../docs/mqtt.md");
    let script = documentation.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a script");
    let broker = Broker::new();
    let script = script.replace("'192.168.1.10', 1883", &format!("'127.0.0.1', {}", broker.address.port()));
    assert!(script.contains(&broker.address.port().to_string()), "{script}");
    // The Script's node, with three pictures.
    let node = "import sys\n\
        class Message:\n    def getData(self): return bytearray(open(sys.argv[1], 'rb').read())\n\
        class Input:\n    left = 3\n    def get(self):\n        self.left -= 1\n        if self.left < 0: sys.exit()\n        return Message()\n\
        class node: io = {'jpeg': Input()}\n";
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("picture.jpg");
    std::fs::write(&picture, jpeg(1000)).expect("a file");
    let mut python = Command::new("python3");
    let mut child =
        python.args(["-c", &(node.to_owned() + &script)]).arg(&picture).spawn().expect("there is a python3");
    let (mut camera, _) = broker.listener.accept().expect("a camera");
    assert_eq!(receive(&mut camera), (0x10, b"\0\x04MQTT\x04\x02\0\0\0\0".to_vec()));
    camera.write_all(&CONNACK).expect("it reads");
    for _ in 0..3 {
        let (first, body) = receive(&mut camera);
        assert_eq!((first, &body[..15], &body[15..]), (0x30, &b"\0\x0dcameras/front"[..], &jpeg(1000)[..]));
    }
    assert!(child.wait().expect("it ends").success());
}
