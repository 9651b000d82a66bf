use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::frame::{BBox, Detection, PixelFormat, Received};
use crate::hub::{Policy, Taker, lane};

struct Bench {
    camera: Camera,
    view: View,
    pictures: Taker<Arc<Picture>>,
    snapshots: Receiver<Snapshot>,
    sent: u64,
}

impl Bench {
    fn new() -> Self {
        let camera = Camera::new("cam", "sim:".parse().expect("a source"));
        let (tx, snapshots) = channel();
        let options = ViewOptions {
            style: Style { labels: false, ..Style::default() },
            snapshot: Arc::new(move |snapshot| tx.send(snapshot).expect("the test waits")),
            ..ViewOptions::default()
        };
        let view = View::start(&camera, options).expect("a thread");
        let (lane, pictures) = lane("window", Policy::DropOldest(1));
        camera.outlets.ledger.watch(lane.counter());
        view.pictures().add(lane);
        Self { camera, view, pictures, snapshots, sent: 0 }
    }

    /// Sends a gray frame of 160x120 with a box around the middle, which is confirmed.
    fn send(&mut self) -> Arc<Frame> {
        let frame = self.send_provisional();
        self.camera.outlets.confirmed.offer(&frame);
        frame
    }

    /// As [`Self::send`], not confirmed yet.
    fn send_provisional(&mut self) -> Arc<Frame> {
        self.sent += 1;
        let bbox = BBox { xmin: 0.25, ymin: 0.25, xmax: 0.75, ymax: 0.75 };
        let mut frame = Frame::with_payload([self.sent as u8; 160 * 120]);
        frame.id = self.sent;
        frame.received = Received { mono_ns: self.sent, unix_ns: 0 };
        frame.geometry = Some(Geometry::tight(PixelFormat::Gray8, 160, 120).expect("a usual geometry"));
        frame.detections.push(Detection { label: 0, confidence: 0.5, bbox, ..Detection::default() });
        let frame = Arc::new(frame);
        self.camera.outlets.provisional.offer(&frame);
        frame
    }

    /// Waits until the view wants a confirmed frame.
    fn wants_confirmed(&self) {
        while self.camera.outlets.confirmed.is_empty() {
            thread::yield_now();
        }
    }

    fn next_picture(&self) -> Arc<Picture> {
        self.pictures.recv().expect("a picture")
    }
}

const CORNER: usize = 30 * 160 + 40;

#[test]
fn a_paused_view_holds_a_confirmed_frame_redraws_it_and_steps() {
    let mut bench = Bench::new();
    bench.send();
    let moving = bench.next_picture();
    assert_eq!((moving.frame_id, moving.words()[0]), (1, 0x0001_0101));
    assert_ne!(moving.words()[CORNER], 0x0001_0101, "the box");

    bench.view.control(|controls| controls.paused = true);
    bench.wants_confirmed();
    bench.send();
    assert_eq!(bench.next_picture().frame_id, 2, "the frame that is held");
    let passed = bench.send();
    while Arc::strong_count(&passed) > 1 {
        thread::yield_now();
    }
    bench.view.control(|controls| controls.boxes = false);
    let again = bench.next_picture();
    assert_eq!((again.frame_id, again.words()[CORNER]), (2, 0x0002_0202), "the same frame without its box");

    bench.view.control(|controls| controls.steps += 1);
    bench.wants_confirmed();
    bench.send();
    assert_eq!(bench.next_picture().frame_id, 4);
    bench.view.control(|controls| controls.paused = false);
    bench.send();
    assert_eq!(bench.next_picture().frame_id, 5);
    assert_eq!(bench.camera.outlets.ledger.snapshot().frames.pictures, 4, "a redrawn picture does not count again");
}

#[test]
fn frames_that_no_lane_takes_are_not_converted() {
    let mut bench = Bench::new();
    bench.pictures.mute(true);
    let unseen = bench.send();
    while Arc::strong_count(&unseen) > 1 {
        thread::yield_now();
    }
    bench.pictures.mute(false);
    bench.send();
    assert_eq!(bench.next_picture().frame_id, 2);
    let stats = bench.camera.outlets.ledger.snapshot();
    assert_eq!(stats.frames.pictures, 1);
    assert!(stats.balances());
}

#[test]
fn snapshots_are_of_confirmed_frames() {
    let mut bench = Bench::new();
    bench.view.control(|controls| controls.snapshots += 1);
    bench.wants_confirmed();
    let provisional = bench.send_provisional();
    bench.next_picture();
    assert!(bench.snapshots.try_recv().is_err(), "nothing is confirmed yet");
    bench.camera.outlets.confirmed.offer(&provisional);
    let snapshot = bench.snapshots.recv().expect("a snapshot");
    assert_eq!((snapshot.camera.as_str(), snapshot.frame.id, snapshot.picture.words()[0]), ("cam", 1, 0x0001_0101));

    bench.view.control(|controls| controls.paused = true);
    bench.wants_confirmed();
    bench.send_provisional();
    let confirmed = bench.send();
    assert_eq!(bench.next_picture().frame_id, confirmed.id, "a frame that may be damaged is not held");
    bench.view.control(|controls| controls.snapshots += 1);
    assert_eq!(bench.snapshots.recv().expect("a snapshot").frame.id, confirmed.id, "what is shown is saved");
}

#[test]
fn a_frame_that_cannot_be_converted_is_reported() {
    let mut bench = Bench::new();
    let mut video = Frame::with_payload([0, 0, 0, 1, 0x65]);
    video.kind = PayloadKind::H264;
    bench.camera.outlets.provisional.offer(&Arc::new(video));
    while bench.view.health().failed == 0 {
        thread::yield_now();
    }
    let error = bench.view.health().error.expect("a reason");
    assert_eq!(error, "cannot decode H.264: the stream has not sent its parameter sets");
    bench.send();
    bench.next_picture();
    assert_eq!((bench.view.health().failed, bench.view.health().error), (1, None));
}

#[test]
fn a_frame_that_proves_damaged_after_it_was_shown_is_marked() {
    let bench = &mut Bench::new();
    let shown = bench.send_provisional();
    let picture = bench.next_picture();
    assert!(!bench.view.is_damaged(&picture));
    let damage = crate::wire::Damage::Truncated { expected: 5, received: 3 };
    let event = crate::source::IncidentEvent::Withdrawn { id: shown.id, damage };
    bench.camera.outlets.incidents.offer(&crate::source::Incident { received: shown.received, stream: None, event });
    while !bench.view.is_damaged(&picture) {
        thread::yield_now();
    }
    bench.send();
    assert!(!bench.view.is_damaged(&bench.next_picture()), "the next frame is intact");
}

#[test]
fn frames_are_shown_in_the_size_of_their_tile_and_saved_in_their_own() {
    let mut bench = Bench::new();
    let strokes = crate::overlay::Strokes { line: 2, text: 16 };
    let showing = Showing { room: (80, 100), zoom: Zoom::Fit, strokes, covered: 0, detections: true };
    bench.view.control(|controls| controls.showing = Some(showing));
    bench.send();
    let mut picture = bench.next_picture();
    if picture.width != 80 {
        picture = bench.next_picture();
    }
    assert_eq!((picture.width, picture.height, picture.part.of), (80, 60, (160, 120)));
    let larger = Showing { room: (320, 240), ..showing };
    bench.view.control(|controls| controls.showing = Some(larger));
    let again = bench.next_picture();
    assert_eq!((again.width, again.height, again.frame_id), (320, 240, 1), "without waiting for the next frame");
    for (picture, left) in [(&picture, 20), (&again, 80)] {
        let row = &picture.words()[picture.width * picture.height / 2..][..picture.width];
        let edges: Vec<usize> = (0..picture.width).filter(|x| row[*x] != 0x0001_0101).collect();
        let right = 3 * left;
        assert_eq!(edges, [left, left + 1, right - 2, right - 1], "the same width of lines in any size");
    }
    let past = Showing { detections: false, ..larger };
    bench.view.control(|controls| controls.showing = Some(past));
    let bare = bench.next_picture();
    assert_eq!((bare.width, bare.frame_id), (320, 1));
    assert!(bare.words().iter().all(|word| *word == 0x0001_0101), "a picture of an earlier time has no boxes");
    bench.view.control(|controls| controls.snapshots += 1);
    bench.wants_confirmed();
    bench.send();
    let snapshot = bench.snapshots.recv().expect("a snapshot");
    assert_eq!((snapshot.picture.width, snapshot.picture.height), (160, 120));
    assert!(snapshot.picture.words().iter().any(|word| *word != snapshot.picture.words()[0]), "a file has the boxes");
}
