//! What a packet means: a [`Frame`] is one message of the camera, with its times, geometry and detections.
//!
//! Memory is recycled: frames and pictures come out of a [`Pool`] and go back to it when the last reader drops them.

pub mod detection;
pub mod inference;
mod magic;
pub mod picture;
pub mod pixel;
pub mod pool;
pub mod time;
mod utc;

use std::sync::Arc;

pub use detection::{BBox, Detection, LabelMap, Named};
pub use inference::{Interpreter, Overrides};
pub use picture::Picture;
pub use pixel::{Geometry, GeometryError, PixelFormat};
pub use pool::{Lease, Pool};
pub use time::{DeviceTime, Received, StaleBurst};
pub use utc::Utc;

/// What kind of bytes the payload is, recognised by its first bytes (wire.md section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PayloadKind {
    /// Pixels in a layout that the [`Geometry`] names.
    #[default]
    Raw,
    /// A complete JPEG file.
    Jpeg,
    /// H.264 access unit, Annex B.
    H264,
    /// H.265 access unit, Annex B.
    H265,
}

impl PayloadKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Raw, Self::Jpeg, Self::H264, Self::H265];

    /// What it is called everywhere: in recordings, in JSON, on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "RAW",
            Self::Jpeg => "JPEG",
            Self::H264 => "H264",
            Self::H265 => "H265",
        }
    }
}

/// One message of the camera: a picture (or an encoded access unit) and the detections that came with it.
///
/// Written once by the decoder, immutable ever after behind an [`Arc`]; nobody draws on it.
#[derive(Debug, Default)]
pub struct Frame {
    /// Counts the frames of one decoder, from 0. Withdrawn frames have used up their number.
    pub id: u64,
    /// Where its header began, in bytes since the connection was opened.
    pub at: u64,
    /// Name of the grammar of its header, such as `IMG`; of the protocol, if the source has no such headers. For
    /// display, JSON and recordings: nothing may depend on it.
    pub dialect: &'static str,
    /// The lines of 32 bytes, as sent, that stood between the last frame and this one. What was said of a frame that
    /// was damaged is not among them, what was said of the connection is.
    pub records: Vec<u8>,
    /// Bytes of [`Self::records`] that stood before the `DETECT` message, if there was one; the others stood behind it.
    pub detect_at: usize,
    /// The header as it was sent, padding included (32 bytes, more when it overflowed, 256 for `ABCDE-256`).
    pub header: Vec<u8>,
    /// The detections as they were sent; empty when there were none.
    pub detection_text: Vec<u8>,
    /// The detections, in the order sent.
    pub detections: Vec<Detection>,
    /// Names that the stream itself gave to its labels, if any.
    pub labels: Option<Arc<LabelMap>>,
    /// When the camera says that the picture was taken, on the camera's own clock.
    pub device_time: DeviceTime,
    /// The camera's own number for this frame (`@F`), if it sends one.
    pub camera_seq: Option<u64>,
    /// When the last byte of the frame was read here.
    pub received: Received,
    /// Sat in the camera's queue before we connected (wire.md 4.14): not to be used for latency.
    pub stale: bool,
    /// What kind of bytes the payload is.
    pub kind: PayloadKind,
    /// Layout of the payload; `None` while it is not known (encoded video, or a raw size that fits nothing).
    pub geometry: Option<Geometry>,
    /// Whether the stream itself says that layout (`@D`).
    pub announced: bool,
    payload: Payload,
}

/// Bytes that keep their capacity when the frame is used again, so that a steady stream allocates and clears nothing.
#[derive(Default)]
struct Payload {
    bytes: Vec<u8>,
    len: usize,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

impl Frame {
    /// The picture's bytes as they were sent.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload.bytes[..self.payload.len]
    }

    /// Whether it can be shown without those before it: everything but video between two key pictures.
    #[must_use]
    pub fn stands_alone(&self) -> bool {
        match self.kind {
            PayloadKind::Raw | PayloadKind::Jpeg => true,
            PayloadKind::H264 | PayloadKind::H265 => magic::is_key_picture(self.kind, self.payload()),
        }
    }

    /// What the payload is: the name of its layout for pixels, if that is known, or of its encoding.
    #[must_use]
    pub fn format(&self) -> Option<&'static str> {
        match self.kind {
            PayloadKind::Raw => self.geometry.map(|geometry| geometry.format.name()),
            encoded => Some(encoded.name()),
        }
    }

    /// The payload to be written: exactly `len` bytes, whatever they held before.
    ///
    /// Grows the memory to `len`; what is already there is kept, so a caller may grow in steps.
    pub fn payload_mut(&mut self, len: usize) -> &mut [u8] {
        if self.payload.bytes.len() < len {
            if self.payload.len == 0 {
                // Fresh zeroed pages cost nothing until they are written; growing a vector would copy the old ones.
                self.payload.bytes = vec![0; len];
            } else {
                self.payload.bytes.resize(len, 0);
            }
        }
        self.payload.len = len;
        &mut self.payload.bytes[..len]
    }

    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        let Self { records, header, detection_text, detections, payload, .. } = self;
        records.clear();
        header.clear();
        detection_text.clear();
        detections.clear();
        payload.len = 0;
        *self = Self {
            records: std::mem::take(records),
            header: std::mem::take(header),
            detection_text: std::mem::take(detection_text),
            detections: std::mem::take(detections),
            payload: std::mem::take(payload),
            ..Self::default()
        };
    }
}

impl pool::Recycled for Frame {
    fn capacity(&self) -> usize {
        self.payload.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clearing_keeps_the_memory_and_nothing_else() {
        let mut frame = Frame { id: 7, stale: true, ..Frame::default() };
        frame.payload_mut(100).fill(9);
        frame.header.extend_from_slice(b"IMG");
        let at = frame.payload().as_ptr();
        frame.clear();
        assert_eq!((frame.id, frame.stale, frame.payload().len(), frame.header.len()), (0, false, 0, 0));
        assert_eq!(frame.payload_mut(100).as_ptr(), at);
    }

    #[test]
    fn growing_in_steps_keeps_what_was_written() {
        let mut frame = Frame::default();
        frame.payload_mut(4).copy_from_slice(b"abcd");
        assert_eq!(&frame.payload_mut(1000)[..4], b"abcd");
    }
}
