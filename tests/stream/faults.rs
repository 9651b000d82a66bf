//! Ten thousand frames with every fault of the simulator, alone and mixed: every intact frame is confirmed, no damaged
//! frame is, and the ledger balances to the byte.

use std::collections::VecDeque;
use std::sync::Arc;

use oaktap::frame::{Frame, Interpreter, Pool, Received};
use oaktap::sim::{Fault, Step, Stream, Truth};
use oaktap::stats::Stats;
use oaktap::wire::{Decoder, Event, Limits};

/// The received frames compared with the sent ones.
#[derive(Default)]
struct Outcome {
    confirmed: usize,
    damaged_confirmed: Vec<String>,
    intact_missing: Vec<String>,
}

impl Outcome {
    /// Frames that did not arrive; an intact one is listed with its neighbors.
    fn miss(&mut self, truths: impl Iterator<Item = Truth>) {
        let truths: Vec<_> = truths.collect();
        if truths.iter().any(Truth::intact) {
            let story = |truth: &Truth| format!("{} {:?} {:?}", truth.index, truth.damage, truth.mishaps);
            self.intact_missing.extend(truths.iter().map(story));
        }
    }
}

struct Receiver {
    decoder: Decoder,
    pool: Pool<Frame>,
    provisional: Option<Arc<Frame>>,
    confirmed: VecDeque<Arc<Frame>>,
    skipped: u64,
    stats: Stats,
}

impl Receiver {
    fn new() -> Self {
        let pool = Pool::default();
        let decoder = Decoder::new(pool.clone(), Interpreter::default(), Limits::default());
        Self { decoder, pool, provisional: None, confirmed: VecDeque::new(), skipped: 0, stats: Stats::default() }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.decoder.feed(bytes, Received::default());
        self.drain();
    }

    /// Ends the connection and begins the next one.
    fn reconnect(&mut self) {
        self.stats.ending(false);
        self.decoder.finish();
        self.drain();
        self.stats.disconnected(self.decoder.byte_counts());
        self.stats.connected();
        let books = self.decoder.byte_counts();
        assert_eq!((books.pending, books.skipped), (0, self.skipped), "{books:?}");
        assert!(self.provisional.is_none());
        self.decoder.restart();
        self.skipped = 0;
    }

    fn drain(&mut self) {
        while let Some(event) = self.decoder.poll() {
            self.stats.event(&event);
            match event {
                Event::Frame(frame) => assert!(self.provisional.replace(frame).is_none()),
                Event::Confirmed(_) => self.confirmed.extend(self.provisional.take()),
                Event::Withdrawn(..) => self.provisional = None,
                Event::Skipped(skipped) => self.skipped += skipped.len,
                Event::Lost(_) | Event::BadDetections(_) | Event::Record(_) | Event::Aged(_) => {}
            }
        }
        assert!(self.decoder.byte_counts().balance(), "{:?}", self.decoder.byte_counts());
    }
}

fn same(frame: &Frame, truth: &Truth) -> bool {
    frame.device_time == truth.device_time
        && frame.payload() == &*truth.payload
        && frame.detection_text == truth.detection_text
}

/// Sends `frames` frames of a configuration and compares while sending: both sides are in order.
fn run(config: &str, frames: usize) -> Outcome {
    let mut stream = Stream::new(&config.parse().expect(config)).expect(config);
    let mut receiver = Receiver::new();
    let mut outcome = Outcome::default();
    let mut sent: VecDeque<Truth> = VecDeque::new();
    for at in 0..frames {
        let turn = stream.turn();
        for step in turn.steps() {
            match step {
                Step::Bytes(bytes) => receiver.feed(bytes),
                Step::Pause(_) => {
                    receiver.decoder.idle();
                    receiver.drain();
                }
            }
        }
        sent.push_back(turn.truth);
        let last = at + 1 == frames;
        if turn.end.is_some() || last {
            receiver.reconnect();
        }
        while let Some(frame) = receiver.confirmed.pop_front() {
            outcome.confirmed += 1;
            let Some(place) = sent.iter().position(|truth| truth.intact() && same(&frame, truth)) else {
                let header = String::from_utf8_lossy(&frame.header);
                let story = sent.iter().map(|truth| format!("{} {:?} {:?}", truth.index, truth.damage, truth.mishaps));
                outcome.damaged_confirmed.push(format!("{header} among {:?}", story.collect::<Vec<_>>()));
                continue;
            };
            outcome.miss(sent.drain(..=place).take(place));
        }
        if turn.end.is_some() || last {
            outcome.miss(sent.drain(..));
        }
    }
    // This camera sends every frame that it numbers: a missing one was damaged in transit.
    if let Some(numbers) = receiver.stats.numbers() {
        assert!(numbers.balance() && numbers.not_sent + numbers.pending == 0, "{config}: {numbers:?}");
        assert!(numbers.came >= receiver.stats.frames.received, "{config}: {numbers:?}");
    }
    // No queue of frames built up: the pool holds as many as one connection needs.
    let largest = stream.turn().truth.payload.len();
    assert!(receiver.pool.bytes() <= 24 * (largest.max(99_999_999 / 64) + 4096), "{} bytes", receiver.pool.bytes());
    outcome
}

fn check(config: &str, frames: usize) {
    let Outcome { confirmed, damaged_confirmed, intact_missing } = run(config, frames);
    assert!(damaged_confirmed.is_empty(), "{config}: damaged frames passed: {damaged_confirmed:?}");
    assert!(intact_missing.is_empty(), "{config}: intact frames are missing: {intact_missing:?}");
    assert!(confirmed > frames / 10, "{config}: {confirmed} of {frames} frames");
}

/// The dialects and payloads whose end can be verified: raw ones by their size, JPEG by its end marker.
const STREAMS: [&str; 5] = [
    "size=64x48",
    "size=48x32&records=on",
    "size=64x48&dialect=ABCDE&format=JPEG",
    "size=64x48&dialect=ABCDE-256&format=JPEG",
    "size=64x48&dialect=FRAME&format=JPEG",
];

#[test]
fn intact_frames_survive_each_fault_alone() {
    for stream in STREAMS {
        for fault in Fault::ALL {
            for rate in ["0.3", "0.02"] {
                check(&format!("{stream}&fault={fault}:{rate}&seed=5"), 1000);
            }
        }
    }
}

#[test]
fn intact_frames_survive_all_faults_mixed() {
    // In parallel: this is the longest of these tests.
    std::thread::scope(|scope| {
        for (seed, stream) in STREAMS.iter().enumerate() {
            scope.spawn(move || {
                check(&format!("{stream}&fault=all:0.03&fragment=1448&seed={seed}"), 10_000);
                check(&format!("{stream}&fault=all:0.2&fragment=333&seed={seed}"), 3000);
            });
        }
    });
}

#[test]
fn intact_frames_of_full_size_survive_all_faults() {
    check("size=640x352&fault=all:0.1&fragment=1448&seed=11", 300);
}

#[test]
fn video_without_a_verifiable_end_is_withdrawn() {
    for coding in ["H264", "H265"] {
        // An odd width: payloads of any length, because there is no encoder for it.
        let config = format!("size=63x48&dialect=ABCDE&format={coding}&fault=all:0.05&seed=9");
        let outcome = run(&config, 10_000);
        assert!(outcome.damaged_confirmed.is_empty(), "{coding}: {:?}", outcome.damaged_confirmed);
        assert!(outcome.confirmed > 5000, "{coding}: {}", outcome.confirmed);
    }
}
