//! A frame as it stood on the wire: which of its bytes come where.

use crate::frame::{Dialect, Frame};

/// Bytes of a frame on the wire.
pub(super) fn message_len(frame: &Frame) -> usize {
    frame.header.len() + frame.detection_text.len() + frame.payload().len()
}

/// The detections that stand between header and payload. Those of a `DETECT` message stand before the header.
pub(super) fn text_of(frame: &Frame) -> &[u8] {
    match frame.dialect {
        Dialect::Frame => &[],
        Dialect::Img | Dialect::Abcde | Dialect::Abcde256 => &frame.detection_text,
    }
}

/// Bytes of the message before [`text_of`] it.
pub(super) fn head_of(frame: &Frame) -> usize {
    frame.header.len() + frame.detection_text.len() - text_of(frame).len()
}
