//! Cameras that send datagrams to this host.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use oaktap::frame::PayloadKind;
use oaktap::recording::schema::RecordedIncident;
use oaktap::source::{IncidentEvent, SessionOptions, SessionState, Timeouts};
use oaktap::wire::{DatagramCounts, datagrams};

use crate::http::jpeg;
use crate::session::Bench;

const AGES: Duration = Duration::from_secs(30);

/// A session that waits for a camera, and its address.
fn waiting(options: SessionOptions) -> (Bench, SocketAddr) {
    let address = UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let bench = Bench::new(&format!("udp://{address}"), options);
    bench.reach("a socket", |state| matches!(state, SessionState::Waiting));
    (bench, address)
}

fn patient() -> SessionOptions {
    let timeouts = Timeouts { connect: AGES, first_byte: AGES, stalled: AGES, idle: AGES, idle_fixed: None };
    SessionOptions { timeouts, ..SessionOptions::default() }
}

/// A camera that sends to this address.
struct Camera {
    socket: UdpSocket,
    number: u32,
}

impl Camera {
    fn at(address: SocketAddr, number: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.connect(address).expect("an address");
        Self { socket, number }
    }

    fn send(&self, datagram: &[u8]) {
        self.socket.send(datagram).expect("sent");
    }

    /// The datagrams of the next message.
    fn parts(&mut self, message: &[u8], part_len: usize) -> Vec<Vec<u8>> {
        self.number = self.number.wrapping_add(1);
        datagrams(self.number, message, part_len).expect("it fits").collect()
    }

    fn message(&mut self, message: &[u8]) {
        self.parts(message, 1400).iter().for_each(|datagram| self.send(datagram));
    }
}

/// A message of a small picture, as over TCP, with the records before it.
fn message(records: &str, ms: u32) -> Vec<u8> {
    const LEN: usize = 64 * 48 * 3;
    let mut bytes = records.as_bytes().to_vec();
    bytes.extend(format!("{:<32}", format!("IMG {}.{:03} {LEN} 0", ms / 1000, ms % 1000)).into_bytes());
    bytes.extend((0..LEN).map(|at| (at as u32 * 7 + ms) as u8));
    bytes
}

fn numbered(seq: u32) -> Vec<u8> {
    message(&format!("{:<32}", format!("@F {seq} {}", seq * 40_000)), seq * 40)
}

fn counts(bench: Bench) -> (oaktap::stats::Stats, DatagramCounts) {
    let stats = bench.end();
    let counts = stats.datagrams.expect("a source of datagrams");
    assert!(counts.balance() && counts.pending == 0, "{counts:?}");
    (stats, counts)
}

#[test]
fn messages_in_parts_and_whole_datagrams_become_frames() {
    let (bench, address) = waiting(patient());
    let mut camera = Camera::at(address, u32::MAX - 1);
    // The numbers wrap around.
    for seq in 1..=3 {
        camera.message(&numbered(seq));
        let frame = bench.kept();
        assert_eq!((frame.dialect, frame.camera_seq, frame.payload().len()), ("IMG", Some(seq.into()), 64 * 48 * 3));
        assert_eq!(frame.payload(), &message("", seq * 40)[32..]);
    }
    camera.send(&message("", 999)[..32]);
    camera.send(&message("", 7));
    assert_eq!(bench.kept().device_time.0, 7000);
    camera.send(&jpeg(100));
    let frame = bench.kept();
    assert_eq!((frame.kind, frame.dialect, frame.no_clock), (PayloadKind::Jpeg, "UDP", true));
    camera.send(br#"[{"label":"person","confidence":0.9,"xmin":0.1,"ymin":0.1,"xmax":0.5,"ymax":0.5}]"#);
    camera.message(&jpeg(3000));
    let frame = bench.kept();
    assert_eq!((frame.payload(), frame.detections.len()), (&jpeg(3000)[..], 1));
    camera.send(b"hello");
    camera.send(&jpeg(100));
    bench.kept();
    let (stats, counts) = counts(bench);
    assert_eq!((stats.frames.confirmed, stats.connections, stats.frames.lost), (7, 1, 0));
    assert_eq!((counts.messages, counts.whole, counts.invalid, counts.dropped_by_host), (4, 5, 1, Some(0)));
}

#[test]
fn records_alone_describe_the_camera() {
    let (bench, address) = waiting(patient());
    let mut camera = Camera::at(address, 5);
    camera.message(format!("{:<32}{:<32}", "@V 1 door", "@D 64 48 BGR888p").as_bytes());
    camera.message(&numbered(1));
    let frame = bench.kept();
    assert!(frame.guess.is_none() || !frame.has_weak_layout());
    let (stats, _) = counts(bench);
    assert_eq!((stats.introduction.app.as_deref(), stats.records), (Some("door"), 3));
}

#[test]
fn an_incomplete_message_is_a_lost_frame_and_costs_no_other() {
    let (bench, address) = waiting(patient());
    let mut camera = Camera::at(address, 15);
    camera.message(&numbered(1));
    bench.kept();
    let mut parts = camera.parts(&numbered(2), 160);
    assert_eq!(parts.len(), 58);
    // Reordered and lost.
    parts.swap(10, 40);
    for lost in [50, 45, 3] {
        parts.remove(lost);
    }
    parts.iter().for_each(|part| camera.send(part));
    camera.send(&parts[0]);
    for seq in 3..=4 {
        camera.message(&numbered(seq));
    }
    assert_eq!([bench.kept().camera_seq, bench.kept().camera_seq], [Some(3), Some(4)]);
    // Nothing arrives of this one.
    camera.parts(&numbered(5), 1400);
    camera.message(&numbered(6));
    assert_eq!(bench.kept().camera_seq, Some(6));
    let (stats, counts) = counts(bench);
    assert_eq!((stats.frames.confirmed, stats.frames.lost, stats.frames.missing, stats.connections), (4, 1, 1, 1));
    assert_eq!((counts.missing, counts.duplicate, counts.messages_missing), (3, 1, 1));
    assert!(counts.reordered >= 1, "{counts:?}");
    let numbers = stats.numbers().expect("the camera numbers its frames");
    assert_eq!((numbers.damaged, numbers.not_sent, stats.resyncs, stats.damaged_bytes), (2, 0, 0, 0));
    let damage = stats.first_damage.as_ref().expect("a damage").what.as_str();
    assert_eq!(damage, "message 17: 3 of 58 datagrams missing");
    assert!(!stats.lossless());
}

#[test]
fn messages_of_which_no_datagram_arrives_are_lost_once_and_recorded() {
    let (bench, address) = waiting(patient());
    let mut camera = Camera::at(address, 1);
    // Without frame numbers, at an even rate.
    for seq in 0..20 {
        let message = message("", 40 * seq);
        if [7, 12, 13].contains(&seq) {
            camera.parts(&message, 1400);
            continue;
        }
        camera.message(&message);
        bench.kept();
    }
    let lost: Vec<_> = bench
        .incidents()
        .filter(|incident| matches!(incident.event, IncidentEvent::NoDatagram { .. }))
        .map(|incident| RecordedIncident::from(&incident.event))
        .map(|incident| (incident.kind, incident.frames, incident.text))
        .collect();
    let expected = |frames, text: &str| ("lost".to_owned(), frames, format!("no datagram arrived of {text}"));
    assert_eq!(lost, [expected(1, "1 message"), expected(2, "2 messages")]);
    let (stats, counts) = counts(bench);
    assert_eq!((counts.messages_missing, stats.frames.estimated, stats.frames.confirmed), (3, 0, 17));
}

#[test]
fn a_restarted_camera_is_received_again() {
    let (bench, address) = waiting(patient());
    let mut camera = Camera::at(address, 1_000_000);
    camera.message(&numbered(7));
    bench.kept();
    camera.number = 77;
    for seq in 1..=2 {
        camera.message(&numbered(seq));
        assert_eq!(bench.kept().camera_seq, Some(seq.into()));
    }
    let (stats, counts) = counts(bench);
    assert_eq!((stats.connections, stats.frames.lost, counts.restarts, counts.messages_missing), (2, 0, 1, 0));
}

#[test]
fn a_second_sender_is_refused_until_the_first_is_silent() {
    let timeouts = Timeouts { stalled: Duration::from_millis(300), ..patient().timeouts };
    let (bench, address) = waiting(SessionOptions { timeouts, ..SessionOptions::default() });
    let (mut first, mut second) = (Camera::at(address, 10), Camera::at(address, 500_000));
    for seq in 1..=3 {
        first.message(&numbered(seq));
        assert_eq!(bench.kept().camera_seq, Some(seq.into()));
        second.message(&numbered(100 + seq));
    }
    first.message(&numbered(4));
    assert_eq!(bench.kept().camera_seq, Some(4));
    // The same host with another port is a camera that has restarted, once the first is silent.
    let seq = loop {
        second.message(&numbered(200));
        if let Some(frame) = bench.kept_within(Duration::from_millis(50)) {
            break frame.camera_seq;
        }
    };
    assert_eq!(seq, Some(200));
    let (stats, counts) = counts(bench);
    assert_eq!((stats.connections, stats.frames.lost), (2, 0));
    assert!(counts.refused >= 21, "{counts:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn another_address_takes_over_after_the_idle_timeout() {
    let timeouts =
        Timeouts { stalled: Duration::from_millis(1), idle: Duration::from_millis(400), ..patient().timeouts };
    let (bench, address) = waiting(SessionOptions { timeouts, ..SessionOptions::default() });
    let mut first = Camera::at(address, 10);
    first.message(&numbered(1));
    bench.kept();
    let socket = UdpSocket::bind("127.0.0.2:0").expect("a loopback address");
    socket.connect(address).expect("an address");
    let mut other = Camera { socket, number: 700 };
    let began = std::time::Instant::now();
    let seq = loop {
        other.message(&numbered(50));
        if let Some(frame) = bench.kept_within(Duration::from_millis(20)) {
            break frame.camera_seq;
        }
    };
    assert!(seq == Some(50) && began.elapsed() >= Duration::from_millis(350), "{seq:?} after {:?}", began.elapsed());
    let (stats, counts) = counts(bench);
    assert!(counts.refused > 0 && stats.connections == 2, "{counts:?}");
}

#[test]
fn a_silent_camera_is_awaited_again() {
    let timeouts = Timeouts { idle_fixed: Some(Duration::from_millis(200)), ..Timeouts::default() };
    let (bench, address) = waiting(SessionOptions { timeouts, ..SessionOptions::default() });
    let mut camera = Camera::at(address, 3);
    camera.message(&numbered(1));
    bench.kept();
    bench.reach("the end", |state| matches!(state, SessionState::Lost { .. }));
    bench.reach("a socket", |state| matches!(state, SessionState::Waiting));
    camera.message(&numbered(2));
    assert_eq!(bench.kept().id, 1);
    assert_eq!(counts(bench).0.connections, 2);
}

#[test]
fn hostile_datagrams_cost_little_and_the_next_frame_arrives() {
    let (bench, address) = waiting(patient());
    let mut camera = Camera::at(address, 0);
    camera.message(&numbered(1));
    bench.kept();
    let lie = |number: u32, part: u16, parts: u16, total: u32, len: usize| {
        let mut datagram = b"OT1\0".to_vec();
        datagram.extend(number.to_be_bytes());
        datagram.extend(part.to_be_bytes());
        datagram.extend(parts.to_be_bytes());
        datagram.extend(total.to_be_bytes());
        datagram.resize(16 + len, 0);
        datagram
    };
    let mut sent = 0;
    for number in 2..=2000 {
        // 65,535 parts of one byte, the end of 60 MiB, and headers that contradict themselves.
        for datagram in [
            lie(number, 65_534, 65_535, 65_535, 1),
            lie(number + 1, 46_000, 46_001, 46_000 * 1400 + 1, 1),
            lie(number + 1, 0, 46_001, 46_000 * 1400 + 1, 1400),
            lie(number, 3, 2, 10, 5),
            lie(number, 0, 2, u32::MAX, 1400),
        ] {
            camera.send(&datagram);
            sent += 1;
        }
        if number % 20 == 0 {
            // As fast as they are received.
            camera.number = number + 1;
            camera.message(&numbered(number));
            assert_eq!(bench.kept().camera_seq, Some(number.into()));
            sent += 7;
        }
    }
    let (stats, counts) = counts(bench);
    assert_eq!((stats.connections, stats.frames.confirmed), (1, 101));
    assert_eq!(counts.received + counts.dropped_by_host.unwrap_or(0), sent + 7);
    assert!(counts.invalid > 1000 && stats.frames.lost > 1000, "{counts:?}");
}

#[test]
fn the_script_in_the_documentation_sends() {
    let text = include_str!("../../docs/udp.md");
    let script = text.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a script");
    let (bench, address) = waiting(patient());
    let script = script.replace("'192.168.1.10', 5000", &format!("'{}', {}", address.ip(), address.port()));
    assert!(script.contains(&address.port().to_string()) && script.lines().count() <= 12, "{script}");
    // The Script's node, with three pictures of which the first two have several parts.
    let node = "import sys\n\
        class Message:\n    def __init__(self, left): self.left = left\n    def getData(self): return bytearray(open(sys.argv[1 + self.left], 'rb').read())\n\
        class Input:\n    left = 3\n    def get(self):\n        self.left -= 1\n        if self.left < 0: sys.exit()\n        return Message(self.left)\n\
        class node: io = {'jpeg': Input()}\n";
    let folder = tempfile::tempdir().expect("a folder");
    let lens = [100, 3000, 30_000];
    let files = lens.map(|len| {
        let file = folder.path().join(len.to_string());
        std::fs::write(&file, jpeg(len)).expect("a file");
        file
    });
    let mut python = Command::new("python3");
    let child = python.args(["-c", &(node.to_owned() + &script)]).args(&files).stderr(Stdio::piped()).spawn();
    let output = child.expect("there is a python3").wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for len in lens.into_iter().rev() {
        assert!(bench.kept().payload() == jpeg(len), "{len}");
    }
    assert_eq!(counts(bench).1.messages, 3);
}
