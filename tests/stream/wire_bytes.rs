//! A frame keeps its bytes of the stream: all of them if it was not damaged. The frames of a damaged stream encode to a
//! stream that decodes to the same frames.

use std::sync::Arc;

use oaktap::frame::{Frame, Interpreter, Pool, Received};
use oaktap::sim::{End, SimConfig, Stream};
use oaktap::wire::{Decoder, Dialect, Event, LINE, Limits, Record, encode};

/// Decodes connections one after another.
struct Reader {
    decoder: Decoder,
    provisional: Option<Arc<Frame>>,
    confirmed: Vec<Arc<Frame>>,
    records: Vec<Record>,
    damaged: usize,
}

impl Reader {
    fn new() -> Self {
        let decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
        Self { decoder, provisional: None, confirmed: Vec::new(), records: Vec::new(), damaged: 0 }
    }

    fn feed(&mut self, bytes: &[u8], piece: usize) {
        for piece in bytes.chunks(piece) {
            self.decoder.feed(piece, Received::default());
            self.drain();
        }
    }

    fn finish(&mut self) {
        self.decoder.finish();
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.decoder.poll() {
            match event {
                Event::Frame(frame) => self.provisional = Some(frame),
                Event::Confirmed(_) => self.confirmed.extend(self.provisional.take()),
                Event::Withdrawn(..) | Event::Lost(_) => self.damaged += 1,
                Event::Record(record) => self.records.push(record),
                Event::BadDetections(_) | Event::Skipped(_) | Event::Aged(_) => {}
            }
        }
    }
}

fn bytes(frames: &[Arc<Frame>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        encode::head(frame, &mut bytes);
        bytes.extend_from_slice(frame.payload());
    }
    bytes
}

fn config(dialect: Dialect, records: &str, faults: &str) -> SimConfig {
    format!("size=64x48&dialect={dialect}&records={records}&seed=7{faults}").parse().expect("a camera")
}

#[test]
fn frames_of_an_intact_stream_contain_every_byte() {
    for dialect in Dialect::ALL {
        for (records, faults) in [("off", ""), ("on", ""), ("off", "&fault=foreign:0.3"), ("on", "&fault=foreign:0.3")]
        {
            let mut stream = Stream::new(&config(dialect, records, faults)).expect("a camera");
            let turns: Vec<_> = (0..100).map(|_| stream.turn().bytes()).collect();
            let sent = turns.concat();
            for piece in [usize::MAX, 1448, 61] {
                let mut reader = Reader::new();
                reader.feed(&sent, piece);
                reader.finish();
                assert_eq!((reader.confirmed.len(), reader.damaged), (100, 0), "{dialect} {records} {faults}");
                // No frame follows the checksum of the last one.
                let end = if records == "on" { sent.len() - oaktap::wire::LINE } else { sent.len() };
                assert!(bytes(&reader.confirmed) == sent[..end], "{dialect} {records} {faults} in pieces of {piece}");
            }
        }
    }
}

#[test]
fn frames_of_a_damaged_stream_decode_identically() {
    for dialect in Dialect::ALL {
        for records in ["off", "on"] {
            let mut stream = Stream::new(&config(dialect, records, "&fault=all:0.03")).expect("a camera");
            let mut reader = Reader::new();
            for _ in 0..1000 {
                let turn = stream.turn();
                reader.feed(&turn.bytes(), 1448);
                if turn.end.is_some_and(|end| matches!(end, End::Cut | End::Reset | End::Reboot)) {
                    reader.finish();
                    reader.decoder.restart();
                    stream.reconnect();
                }
            }
            reader.finish();
            assert!(reader.damaged > 50 && reader.confirmed.len() > 700, "{dialect} {records}");

            let mut again = Reader::new();
            again.feed(&bytes(&reader.confirmed), usize::MAX);
            again.finish();
            assert_eq!(again.damaged, 0, "{dialect} {records}");
            assert_eq!(again.confirmed.len(), reader.confirmed.len(), "{dialect} {records}");
            for (found, first) in again.confirmed.iter().zip(&reader.confirmed) {
                let key = |frame: &Frame| (frame.camera_seq, frame.device_time, frame.geometry, frame.kind);
                assert_eq!(key(found), key(first), "{dialect} {records}: frame {}", first.id);
                assert_eq!(found.header, first.header);
                assert_eq!(found.detections, first.detections);
                assert_eq!(found.labels, first.labels);
                assert_eq!((&found.records, found.detect_at), (&first.records, first.detect_at));
                assert!(found.payload() == first.payload());
            }
        }
    }
}

fn line(text: &str) -> [u8; LINE] {
    encode::line(text).expect("a line")
}

#[test]
fn a_lost_frame_drops_its_own_records_only() {
    let img = |n: u32, payload: &[u8]| {
        [&encode::img(oaktap::frame::DeviceTime(i64::from(n) * 25_000), 3072, 0), payload].concat()
    };
    let (whole, torn) = (vec![0x80; 3072], vec![0x80; 1000]);
    let sent = [
        &line("@F 0 1")[..],
        &img(1, &whole),
        &line("@L 1 cat"),
        &line("@F 1 2"),
        &line("@B 1 900 1 2 3 4"),
        &img(2, &torn),
        &line("@E 1 00000000"),
        &line("@F 2 3"),
        &img(3, &whole),
    ]
    .concat();
    let mut reader = Reader::new();
    reader.feed(&sent, usize::MAX);
    reader.finish();
    assert_eq!((reader.confirmed.len(), reader.damaged), (2, 1));
    assert_eq!(reader.confirmed[0].records, line("@F 0 1"));
    assert_eq!(reader.confirmed[1].records, [line("@L 1 cat"), line("@F 2 3")].concat());
}

#[test]
fn records_without_frames_use_bounded_memory() {
    let mut reader = Reader::new();
    let many = line("@T t=50").repeat(1000);
    for _ in 0..100 {
        reader.feed(&many, usize::MAX);
    }
    reader.feed(&encode::img(oaktap::frame::DeviceTime(1), 3, 0), usize::MAX);
    reader.feed(b"BGR", usize::MAX);
    reader.finish();
    assert_eq!(reader.records.len(), 100_000);
    assert_eq!(reader.confirmed[0].records.len(), 10_000 * LINE);
}
