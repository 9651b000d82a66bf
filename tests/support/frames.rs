//! Frames with the contents that a test chooses, as the decoder would return them.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::sync::Arc;

use oaktap::frame::{Detection, DeviceTime, Frame, Geometry};
use oaktap::wire::encode;

/// A raw frame in the `IMG` grammar, with a header that matches its contents. The caller sets the arrival time.
pub(crate) fn frame(id: u64, device_time_us: i64, geometry: Option<Geometry>, payload: &[u8]) -> Frame {
    let mut frame = Frame::with_payload(payload.to_vec());
    frame.id = id;
    frame.geometry = geometry;
    frame.device_time = DeviceTime(device_time_us);
    set_detections(&mut frame, Vec::new());
    frame
}

/// Replaces the detections, and writes the header that announces them.
pub(crate) fn set_detections(frame: &mut Frame, detections: Vec<Detection>) {
    frame.detection_text = encode::detections(&detections);
    frame.detections = detections;
    frame.header = encode::img(frame.device_time, frame.payload().len(), frame.detection_text.len());
}

/// A copy with other detections and another time on the camera's clock.
pub(crate) fn altered(frame: &Frame, device_time_us: i64, detections: Vec<Detection>) -> Arc<Frame> {
    let mut copy = self::frame(frame.id, device_time_us, frame.geometry, frame.payload());
    copy.dialect = frame.dialect;
    copy.received = frame.received;
    copy.kind = frame.kind;
    set_detections(&mut copy, detections);
    Arc::new(copy)
}
