//! Lengths and order of a frame's parts on the wire.

use super::header;
use crate::frame::Frame;

/// Returns the length of a frame on the wire in bytes.
pub(super) fn message_len(frame: &Frame) -> usize {
    frame.header.len() + frame.detection_text.len() + frame.payload().len()
}

/// Returns the detections between header and payload. Those of a `DETECT` message precede the header.
pub(super) fn inner_text(frame: &Frame) -> &[u8] {
    if header::has_detect(&frame.header) { &[] } else { &frame.detection_text }
}

/// Returns the bytes of the message before its [`inner_text`].
pub(super) fn len_before_text(frame: &Frame) -> usize {
    frame.header.len() + frame.detection_text.len() - inner_text(frame).len()
}
