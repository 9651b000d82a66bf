//! Detections of one camera on their way to one target.

use std::sync::{Arc, Mutex};

use crate::frame::FrameNumbers;
use crate::hub::{Policy, Taker, lane};
use crate::live::Camera;
use crate::sink::detections::{DetectedFrame, missing_frames};
use crate::sync::locked;

/// Frames that wait while a target is slow or not connected, without their pictures. Later ones replace the oldest.
pub(super) const DETECTIONS_WAITING: usize = 64;

/// A confirmed frame without its picture.
#[derive(Clone, Debug)]
pub(super) struct PublishedFrame {
    /// Number over all connections.
    pub(super) seq: u64,
    pub(super) detected: DetectedFrame,
    /// It is of the first stream of the camera, which has the detections.
    pub(super) is_main: bool,
}

/// Subscribes to the confirmed frames of a camera. The ledger counts those that a slow target does not get.
pub(super) fn subscribe(camera: &Camera) -> Taker<PublishedFrame> {
    let (lane, taker) = lane("publish detections", Policy::DropOldest(DETECTIONS_WAITING));
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
        Some(PublishedFrame { seq, detected: DetectedFrame::new(frame, false, 0), is_main })
    });
    taker
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
}
