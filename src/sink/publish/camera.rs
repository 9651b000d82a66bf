//! Detections of one camera on their way to one target, with or without pictures.

use std::sync::{Arc, Mutex};

use crate::frame::FrameNumbers;
#[cfg(feature = "foxglove")]
use crate::hub::group_lane;
use crate::hub::{Lane, Policy, Taker, lane};
use crate::live::Camera;
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
}
