//! The flashed Script that sends datagrams, run by Python as a Script node on this computer.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use oaktap::device::app::{App, AppError, Model, PayloadCoding, Size, Transport};
use oaktap::frame::{Frame, Interpreter, Pool, Received};
use oaktap::wire::{Assembled, DATAGRAM_HEADER, Decoder, Event, Limits, Reassembly, Record};

use crate::script_node::{Camera, Setup, has_its_boxes, number};

/// A host that receives datagrams.
struct Host {
    socket: UdpSocket,
    reassembly: Reassembly,
    decoder: Decoder,
    /// Records before the last frame.
    records: Vec<Record>,
    datagrams: usize,
}

impl Host {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
        Self { socket, reassembly: Reassembly::new(1 << 24), decoder, records: Vec::new(), datagrams: 0 }
    }

    fn app(&self, size: Size) -> App {
        let port = self.socket.local_addr().expect("bound").port();
        let model = Some(Model { threads: 1, ..Model::new("m.blob") });
        App { size, model, host: Some([127, 0, 0, 1].into()), port, transport: Transport::Udp, ..App::default() }
    }

    /// Returns the next frame, if a datagram arrives within this time.
    fn next(&mut self, limit: Duration) -> Option<Arc<Frame>> {
        self.socket.set_read_timeout(Some(limit)).expect("a limit");
        self.records.clear();
        let mut buffer = [0; 2000];
        loop {
            let len = self.socket.recv(&mut buffer).ok()?;
            assert!(len <= DATAGRAM_HEADER + 1400);
            self.datagrams += 1;
            self.reassembly.push(&buffer[..len], 0).expect("a part");
            // After the time to wait for earlier messages.
            let Some(Assembled::Complete(message)) = self.reassembly.poll(100_000_000) else { continue };
            assert!(self.decoder.message(message, false, Received::default()), "one whole message");
            let mut found = None;
            while let Some(event) = self.decoder.poll() {
                match event {
                    Event::Frame(frame) => found = Some(frame),
                    Event::Record(record) => self.records.push(record),
                    _ => {}
                }
            }
            return found;
        }
    }

    /// Delivers frames until the program sends them. Returns the first one, and the number of the next one.
    fn first(&mut self, camera: &mut Camera) -> (Arc<Frame>, u64) {
        for seq in 1.. {
            camera.pair(seq);
            if let Some(frame) = self.next(Duration::from_millis(500)) {
                return (frame, seq + 1);
            }
        }
        unreachable!("the numbers of frames do not end");
    }

    fn is_introduced(&self) -> bool {
        self.records.iter().any(|record| matches!(record, Record::Version { .. }))
    }
}

const AGES: Duration = Duration::from_secs(60);

#[test]
fn every_frame_arrives_with_its_boxes_and_the_description_is_repeated() {
    let mut host = Host::new();
    let mut camera = Setup::new(host.app(Size::new(64, 48))).start();
    let (frame, next) = host.first(&mut camera);
    assert!(has_its_boxes(&frame) && host.is_introduced());
    for seq in next..next + 20 {
        camera.pair(seq);
        let frame = host.next(AGES).expect("a frame");
        assert!(number(&frame) == seq && has_its_boxes(&frame) && !host.is_introduced(), "{seq}");
    }
    camera.time(1.0);
    camera.pair(next + 20);
    host.next(AGES).expect("a frame");
    assert!(host.records.iter().any(|record| matches!(record, Record::Dropped(0))) && !host.is_introduced());
    camera.time(2.0);
    camera.pair(next + 21);
    host.next(AGES).expect("a frame");
    assert!(host.is_introduced());
    let introduction = host.decoder.introduction();
    assert_eq!((introduction.app.as_deref(), introduction.size), (Some("oaktap"), Some((64, 48))));
    let counts = host.reassembly.counts();
    assert_eq!((counts.messages_missing, counts.missing, counts.reordered, counts.restarts), (0, 0, 0, 0));
}

#[test]
fn a_message_is_sent_in_parts_of_1400_bytes() {
    let mut host = Host::new();
    let size = Size::new(200, 152);
    let mut camera = Setup::new(host.app(size)).start();
    let (frame, next) = host.first(&mut camera);
    assert_eq!(frame.payload().len(), 91_200);
    host.datagrams = 0;
    camera.pair(next);
    assert_eq!(number(&host.next(AGES).expect("a frame")), next);
    // 91,200 bytes, and less than 1,200 of record, header and boxes.
    assert_eq!(host.datagrams, 66);
}

#[test]
fn encoded_pictures_arrive_with_their_boxes() {
    let mut host = Host::new();
    let payload = PayloadCoding::Jpeg { quality: 80 };
    let mut camera = Setup::new(App { payload, ..host.app(Size::new(64, 48)) }).start();
    let (frame, _) = host.first(&mut camera);
    assert_eq!((frame.dialect, frame.detections.len() as u64), ("ABCDE", frame.camera_seq.expect("a number") % 7));
}

#[test]
fn datagrams_need_a_host() {
    let app = App { transport: Transport::Udp, ..App::default() };
    assert_eq!(app.check(None).map(|_| ()), Err(AppError::NoHost));
}
