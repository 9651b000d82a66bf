//! Detections of one camera on their way to one target, with or without pictures.

use std::sync::{Arc, Mutex};

#[cfg(feature = "zenoh")]
use crate::frame::Frame;
use crate::frame::FrameNumbers;
#[cfg(feature = "foxglove")]
use crate::hub::group_lane;
use crate::hub::{Lane, Policy, Taker, lane};
use crate::live::Camera;
#[cfg(feature = "zenoh")]
use crate::net::zenoh::new_run;
#[cfg(feature = "zenoh")]
use crate::recording::ClockModel;
use crate::sink::detections::{DetectedFrame, missing_frames};
use crate::sync::locked;

/// Frames that wait while a target is slow or not connected, without their pictures. Later ones replace the oldest.
pub(super) const DETECTIONS_WAITING: usize = 64;

/// Frames that wait with their pictures: more than the nine that come at once when a connection begins. Later ones replace all of
/// them; of video, from the next key frame on.
#[cfg(feature = "foxglove")]
const PICTURES_WAITING: usize = 12;

/// A confirmed frame.
#[derive(Clone, Debug)]
pub(super) struct PublishedFrame {
    /// Number over all connections.
    pub(super) seq: u64,
    /// Without its picture, unless the target shows pictures.
    pub(super) detected: DetectedFrame,
    /// It is of the first stream of the camera, which has the detections.
    pub(super) is_main: bool,
}

/// Subscribes to the confirmed frames of a camera. The ledger counts those that a slow target does not get.
pub(super) fn subscribe(camera: &Camera) -> Taker<PublishedFrame> {
    let (lane, taker) = lane("publish detections", Policy::DropOldest(DETECTIONS_WAITING));
    add(camera, lane, false);
    taker
}

/// Subscribes to the confirmed frames of a camera with their pictures. The ledger counts those that are not encoded in time.
#[cfg(feature = "foxglove")]
pub(super) fn subscribe_with_pictures(camera: &Camera) -> Taker<PublishedFrame> {
    let starts = |PublishedFrame { detected, .. }: &PublishedFrame| {
        !detected.frame.kind.is_video() || detected.frame.is_key_frame()
    };
    let (lane, taker) = group_lane("publish frames", PICTURES_WAITING, starts);
    add(camera, lane, true);
    taker
}

fn add(camera: &Camera, lane: Lane<PublishedFrame>, has_pictures: bool) {
    camera.outlets.ledger.watch(lane.counter());
    // Numbered before the lane, so that a frame that it drops leaves a gap.
    let numbers = Arc::<Mutex<FrameNumbers>>::default();
    let skipping = Arc::clone(&numbers);
    camera.outlets.incidents.tap(move |incident| {
        if let Some(frames) = missing_frames(incident) {
            locked(&skipping).skip(frames);
        }
    });
    let stream = camera.stream.clone();
    camera.outlets.confirmed.add_mapped(lane, move |frame| {
        let seq = locked(&numbers).number(frame.id);
        let is_main = frame.stream == stream;
        Some(PublishedFrame { seq, detected: DetectedFrame::new(frame, has_pictures, 0), is_main })
    });
}

/// A confirmed frame for targets that publish pictures.
#[cfg(feature = "zenoh")]
#[derive(Clone, Debug)]
pub(super) struct NumberedFrame {
    /// The frame; in the lane of detections without its payload.
    pub(super) frame: Arc<Frame>,
    pub(super) number: FrameNumber,
    /// It is of the first stream of the camera.
    pub(super) is_main: bool,
}

/// Number and times of a frame.
#[cfg(feature = "zenoh")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameNumber {
    /// Counts the confirmed frames of its stream, from 0, before any lane: the far side sees each frame that is dropped as a gap.
    pub(super) seq: u64,
    /// Identifies the count that `seq` belongs to.
    pub(super) run: u64,
    /// Bytes of its payload.
    pub(super) payload_len: usize,
    /// Capture time in nanoseconds since 1970, UTC, and its error bound once it is known.
    pub(super) capture_unix_ns: i64,
    pub(super) clock_error_ns: Option<u64>,
}

/// The lanes of one camera to a target that publishes pictures.
#[cfg(feature = "zenoh")]
#[derive(Debug)]
pub(super) struct NumberedFrames {
    /// All frames, without their payloads.
    pub(super) detections: Taker<NumberedFrame>,
    /// The newest frame of the first stream. Muted until somebody wants pictures.
    pub(super) pictures: Taker<NumberedFrame>,
    /// The newest frames of the other streams. Muted until somebody wants them.
    pub(super) other_pictures: Taker<NumberedFrame>,
}

/// Streams of a camera that are counted. A peer may send any number of names; frames of further ones are not published.
#[cfg(feature = "zenoh")]
const STREAMS_MAX: usize = 16;

/// Frames of other streams than the first one that wait: a camera may send some depth pictures at once.
#[cfg(feature = "zenoh")]
const OTHER_PICTURES_WAITING: usize = 4;

/// Counts the frames of a camera, and estimates their capture times.
#[cfg(feature = "zenoh")]
#[derive(Debug, Default)]
struct Numbering {
    run: u64,
    /// By stream; a stream may be without a name.
    streams: Vec<(Option<Arc<str>>, u64)>,
    clock: ClockModel,
    /// The number of the last frame; `None` if it is of too many streams.
    last: Option<FrameNumber>,
}

#[cfg(feature = "zenoh")]
impl Numbering {
    /// Numbers the next frame.
    fn next(&mut self, frame: &Frame) -> Option<FrameNumber> {
        let seq = self.seq(frame.stream.as_ref());
        let capture_unix_ns = self.clock.observe_frame(frame, frame.received.unix_ns);
        let clock_error_ns = self.clock.error_bound_ns().and_then(|ns| u64::try_from(ns).ok());
        let payload_len = frame.payload().len();
        self.last = seq.map(|seq| FrameNumber { seq, run: self.run, payload_len, capture_unix_ns, clock_error_ns });
        self.last
    }

    fn seq(&mut self, stream: Option<&Arc<str>>) -> Option<u64> {
        let at = self.streams.iter().position(|(known, _)| known.as_ref() == stream);
        if at.is_none() && self.streams.len() >= STREAMS_MAX {
            return None;
        }
        let at = at.unwrap_or(self.streams.len());
        if at == self.streams.len() {
            self.streams.push((stream.cloned(), 0));
        }
        let next = &mut self.streams[at].1;
        *next += 1;
        Some(*next - 1)
    }
}

/// Subscribes to the confirmed frames of a camera for a target that publishes pictures. The ledger counts those that it does
/// not get.
#[cfg(feature = "zenoh")]
pub(super) fn subscribe_numbered(camera: &Camera) -> NumberedFrames {
    let numbering = Arc::new(Mutex::new(Numbering { run: new_run(), ..Numbering::default() }));
    let outlets = &camera.outlets;
    let (detections_lane, detections) = lane("publish detections", Policy::DropOldest(DETECTIONS_WAITING));
    let (pictures_lane, pictures) = lane("publish pictures", Policy::DropOldest(1));
    let (others_lane, other_pictures) = lane("publish other pictures", Policy::DropOldest(OTHER_PICTURES_WAITING));
    for counter in [detections_lane.counter(), pictures_lane.counter(), others_lane.counter()] {
        outlets.ledger.watch(counter);
    }
    pictures.mute(true);
    other_pictures.mute(true);
    // The lanes are offered each frame in this order. The first one, which is never muted, numbers the frames for all.
    let numbers = Arc::clone(&numbering);
    let stream = camera.stream.clone();
    outlets.confirmed.add_mapped(detections_lane, move |frame| {
        let number = locked(&numbers).next(frame)?;
        // The far side also gets what the camera sent beside its picture.
        let mut head = frame.without_payload();
        head.records.clone_from(&frame.records);
        head.header.clone_from(&frame.header);
        head.detection_text.clone_from(&frame.detection_text);
        Some(NumberedFrame { frame: Arc::new(head), number, is_main: frame.stream == stream })
    });
    for (lane, is_main) in [(pictures_lane, true), (others_lane, false)] {
        let (numbers, stream) = (Arc::clone(&numbering), camera.stream.clone());
        outlets.confirmed.add_mapped(lane, move |frame| {
            let number = locked(&numbers).last.filter(|_| (frame.stream == stream) == is_main)?;
            Some(NumberedFrame { frame: Arc::clone(frame), number, is_main })
        });
    }
    NumberedFrames { detections, pictures, other_pictures }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;

    #[test]
    fn a_slow_target_gets_the_newest_frames_and_the_rest_is_counted() {
        let camera = Camera::new("cam", "sim:".parse().expect("a source"));
        let taker = subscribe(&camera);
        for id in 0..100 {
            let mut frame = Frame::with_payload([0; 1000]);
            frame.id = id;
            camera.outlets.confirmed.offer(&Arc::new(frame));
        }
        let taken: Vec<_> = std::iter::from_fn(|| taker.try_take()).collect();
        assert_eq!(taken.iter().map(|frame| frame.seq).collect::<Vec<_>>(), (36..100).collect::<Vec<_>>());
        assert!(taken.iter().all(|frame| frame.detected.frame.payload().is_empty() && frame.is_main));
        let counts = camera.outlets.ledger.snapshot().lanes[0];
        assert_eq!((counts.name, counts.offered, counts.taken, counts.dropped), ("publish detections", 100, 64, 36));
    }

    #[cfg(feature = "foxglove")]
    #[test]
    fn frames_of_video_that_are_not_encoded_in_time_are_left_out_up_to_the_next_key_frame() {
        use crate::frame::PayloadKind;
        let camera = Camera::new("cam", "sim:".parse().expect("a source"));
        let taker = subscribe_with_pictures(&camera);
        for id in 0..28 {
            // A key frame (NAL unit type 5), or one that depends on the last (type 1).
            let unit = if id % 8 == 0 { 0x65 } else { 0x41 };
            let mut frame = Frame::with_payload([0, 0, 0, 1, unit, 0x88, 0x84]);
            (frame.id, frame.kind) = (id, PayloadKind::H264);
            camera.outlets.confirmed.offer(&Arc::new(frame));
        }
        let taken: Vec<_> = std::iter::from_fn(|| taker.try_take()).collect();
        assert_eq!(taken.iter().map(|frame| frame.seq).collect::<Vec<_>>(), (16..28).collect::<Vec<_>>());
        assert!(taken.iter().all(|frame| frame.detected.frame.payload().len() == 7));
        let counts = camera.outlets.ledger.snapshot().lanes[0];
        assert_eq!((counts.name, counts.offered, counts.taken, counts.dropped), ("publish frames", 28, 12, 16));
    }

    #[cfg(feature = "zenoh")]
    #[test]
    fn pictures_and_detections_have_the_same_numbers_and_drops_are_gaps() {
        let camera = Camera::new("cam", "sim:".parse().expect("a source"));
        let NumberedFrames { detections, pictures, other_pictures } = subscribe_numbered(&camera);
        let depth: Arc<str> = Arc::from("depth");
        let offer = |id: u64, stream: Option<&Arc<str>>| {
            let mut frame = Frame::with_payload([0; 1000]);
            (frame.id, frame.stream, frame.received.unix_ns) = (id, stream.cloned(), 7);
            (frame.header, frame.records, frame.detection_text) = (b"IMG".to_vec(), b"@V".to_vec(), b"[]".to_vec());
            camera.outlets.confirmed.offer(&Arc::new(frame));
        };
        offer(0, None);
        assert!(pictures.try_take().is_none(), "nobody wants pictures");
        let first = detections.try_take().expect("all frames").frame;
        let head = (&first.header[..], &first.records[..], &first.detection_text[..]);
        assert_eq!(head, (&b"IMG"[..], &b"@V"[..], &b"[]"[..]), "all that the camera sent beside the picture");
        pictures.mute(false);
        (1..10).for_each(|id| offer(id, None));
        other_pictures.mute(false);
        (10..12).for_each(|id| offer(id, Some(&depth)));
        let seqs = |taker: &Taker<NumberedFrame>| {
            let taken = std::iter::from_fn(|| taker.try_take());
            taken
                .map(|taken| (taken.number.seq, taken.frame.payload().len(), taken.number.payload_len))
                .collect::<Vec<_>>()
        };
        assert_eq!(seqs(&pictures), [(9, 1000, 1000)]);
        assert_eq!(seqs(&other_pictures), [(0, 1000, 1000), (1, 1000, 1000)], "each stream has its own numbers");
        let expected: Vec<_> = (1..10).chain(0..2).map(|seq| (seq, 0, 1000)).collect();
        assert_eq!(seqs(&detections), expected);
        let lanes = camera.outlets.ledger.snapshot().lanes;
        let counts: Vec<_> = lanes.iter().map(|lane| (lane.name, lane.offered, lane.dropped)).collect();
        assert_eq!(
            counts,
            [("publish detections", 12, 0), ("publish pictures", 9, 8), ("publish other pictures", 2, 0)]
        );
    }

    #[cfg(feature = "zenoh")]
    #[test]
    fn any_number_of_streams_takes_bounded_memory() {
        let camera = Camera::new("cam", "sim:".parse().expect("a source"));
        let frames = subscribe_numbered(&camera);
        for id in 0..1000 {
            let mut frame = Frame::default();
            (frame.id, frame.stream) = (id, Some(format!("stream {id}").into()));
            camera.outlets.confirmed.offer(&Arc::new(frame));
        }
        assert_eq!(std::iter::from_fn(|| frames.detections.try_take()).count(), STREAMS_MAX);
    }
}
