//! The received [`Frame`] and its parts: times, layout of the payload, detections; and the [`Picture`] made from it.
//!
//! Frames and pictures come from a [`Pool`] and return to it when the last reader drops them, so that a steady stream
//! allocates nothing.

pub mod detection;
#[cfg(feature = "net")]
mod frame_numbers;
pub mod geometry;
pub mod inference;
mod jpeg;
mod layout_notes;
mod magic;
mod memory;
mod mosaic;
mod nal_units;
pub mod picture;
pub mod pixel;
pub mod pool;
mod position;
mod sequence;
mod size;
mod spelling;
pub mod time;
mod track;
mod utc;

use std::sync::Arc;

pub use detection::{BBox, Detection, LabelMap, NamedDetection};
#[cfg(feature = "net")]
pub(crate) use frame_numbers::FrameNumbers;
pub use geometry::{Geometry, GeometryError};
pub use inference::{Interpreter, Overrides};
pub use jpeg::{JpegDefect, jpeg_defect};
pub use layout_notes::LayoutNotes;
pub use magic::FoundSets;
pub(crate) use memory::Charge;
pub use memory::{MemoryBound, WriterMemory, WriterRoom};
pub use mosaic::{BayerOrder, MosaicSamples};
pub(crate) use nal_units::nal_units;
pub use picture::{Part, Picture};
pub use pixel::PixelFormat;
pub use pool::{Lease, Pool};
pub use position::{Millimeters, Position};
pub use sequence::Sequence;
pub use size::Size;
pub use time::{Backlog, DeviceTime, Received, Staleness, Verdict, has_waited};
pub use track::{Counters, Track};
pub use utc::Utc;

/// The encoding of a payload, recognized by its first bytes (wire.md section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PayloadKind {
    /// Pixels in the layout of [`Frame::geometry`].
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
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Raw, Self::Jpeg, Self::H264, Self::H265];

    /// Returns the name used in recordings, in JSON and on screen.
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

/// Evidence for a guessed layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// It explains the bytes clearly better than all other layouts of their length, or there is no other.
    ByContent,
    /// Several layouts explain the bytes alike, as in a dark picture: it is the likeliest of them.
    ByLength,
}

/// One message of the camera: a picture, or an encoded access unit, with its detections.
///
/// The decoder writes it once; after that it is immutable behind an [`Arc`]. To draw, convert it to a [`Picture`].
#[derive(Debug, Default)]
pub struct Frame {
    /// Number of the frame within its decoder, from 0. Withdrawn frames use up a number.
    pub id: u64,
    /// Offset of the header in bytes since the connection was opened.
    pub at: u64,
    /// Name of the header format, such as `IMG`, or of the protocol if the source has no such headers. For display, JSON and
    /// recordings: nothing else depends on it.
    pub dialect: &'static str,
    /// The 32-byte lines received between the last frame and this one, unchanged. Excludes lines about a frame that was
    /// damaged, includes lines about the connection.
    pub records: Vec<u8>,
    /// Length of the part of [`Self::records`] that was received before the `DETECT` message, if there was one.
    pub detect_at: usize,
    /// The header as received, with its padding: 32 bytes, more if it overflowed, 256 for `ABCDE-256`.
    pub header: Vec<u8>,
    /// The detections as received; empty without detections.
    pub detection_text: Vec<u8>,
    /// The parsed detections, in the order received.
    pub detections: Vec<Detection>,
    /// The objects that the camera follows, in the order received.
    pub tracks: Vec<Track>,
    /// The objects that the camera has counted, if it counts.
    pub counters: Option<Counters>,
    /// Name of its stream (`@S`), if that is not the first one of the camera: a camera may send pictures of several kinds on
    /// one connection, such as color and depth.
    pub stream: Option<Arc<str>>,
    /// Label names sent in the stream, if any.
    pub labels: Option<Arc<LabelMap>>,
    /// Capture time, by the camera's clock.
    pub device_time: DeviceTime,
    /// Set if the camera sends no capture times. [`Self::device_time`] then is the arrival by the host's monotonic clock.
    pub no_clock: bool,
    /// The camera's own number of this frame (`@F`), if it sends one.
    pub camera_seq: Option<u64>,
    /// Arrival of the frame's last byte.
    pub received: Received,
    /// Whether the frame waited in the camera's queue before we connected (wire.md 4.14).
    pub staleness: Staleness,
    /// Encoding of the payload.
    pub kind: PayloadKind,
    /// Layout of the payload. `None` for video, and for raw bytes whose layout is unknown.
    pub geometry: Option<Geometry>,
    /// Size of the pictures of video, by the last sequence parameter set, or as the stream announced it (`@D`) before the first
    /// set; `None` for other payloads, and before both.
    pub video_size: Option<Size>,
    /// Set if the stream announced this layout (`@D`).
    pub announced: bool,
    /// The reason for this kind and layout, as a sentence for people. Empty if nothing interpreted the payload.
    pub because: Arc<str>,
    /// Set if neither the stream nor the user has stated the whole layout of raw pixels.
    pub guess: Option<Guess>,
    /// Set if the size, format or stride that the user states contradicts the stream, or its bytes. [`Self::because`] then says
    /// how.
    pub disputed: bool,
    /// The frame of video that these pixels were decoded from; `None` for frames as the camera sent them.
    pub coded: Option<Arc<Self>>,
    payload: Payload,
}

/// Buffers for text above this are not kept when a frame is used again: a pool counts payloads only.
const MAX_KEPT_TEXT_BYTES: usize = 64 << 10;

/// A buffer that keeps its capacity, and its old bytes, when the frame is reused: a steady stream neither allocates nor
/// clears.
#[derive(Default)]
struct Payload {
    bytes: Vec<u8>,
    len: usize,
    /// The bytes as memory of the pool that the frame is leased from.
    charge: Charge,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

impl Frame {
    /// Creates a frame with this payload and defaults for the rest, for tests and for sources that are not decoders.
    #[must_use]
    pub fn with_payload(payload: impl Into<Vec<u8>>) -> Self {
        let bytes = payload.into();
        let len = bytes.len();
        Self { payload: Payload { bytes, len, ..Payload::default() }, ..Self::default() }
    }

    /// Returns the payload as received.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload.bytes[..self.payload.len]
    }

    /// Returns the frame as the camera sent it: that of the video if these are decoded pixels.
    #[must_use]
    pub fn sent(&self) -> &Self {
        self.coded.as_deref().unwrap_or(self)
    }

    /// Returns whether the frame waited in the camera's queue before we connected, or may have: it does not show the
    /// present then, and its age says nothing about latency.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.staleness.get() != Some(false)
    }

    /// Returns a copy with the layout of another frame of the same length, which shows it better.
    #[must_use]
    pub fn with_layout_of(&self, other: &Self) -> Self {
        Self {
            records: self.records.clone(),
            header: self.header.clone(),
            detection_text: self.detection_text.clone(),
            kind: other.kind,
            geometry: other.geometry,
            video_size: other.video_size,
            announced: other.announced,
            because: Arc::clone(&other.because),
            guess: other.guess,
            disputed: other.disputed,
            coded: None,
            payload: Payload { bytes: self.payload().to_vec(), len: self.payload.len, charge: Charge::default() },
            ..self.without_payload()
        }
    }

    /// Returns whether later frames of the same length may show another layout.
    #[must_use]
    pub fn has_weak_layout(&self) -> bool {
        self.kind == PayloadKind::Raw && (self.geometry.is_none() || self.guess == Some(Guess::ByLength))
    }

    /// Returns a copy of what the frame says about its payload, without the payload and the bytes that were parsed: for
    /// readers that keep many frames.
    #[must_use]
    pub fn without_payload(&self) -> Self {
        Self {
            records: Vec::new(),
            header: Vec::new(),
            detection_text: Vec::new(),
            detections: self.detections.clone(),
            tracks: self.tracks.clone(),
            labels: self.labels.clone(),
            stream: self.stream.clone(),
            because: Arc::clone(&self.because),
            staleness: self.staleness.clone(),
            coded: None,
            payload: Payload::default(),
            ..*self
        }
    }

    /// Returns this frame with its picture encoded as video.
    #[cfg(feature = "serve")]
    pub(crate) fn with_video(&self, kind: PayloadKind, video: Vec<u8>) -> Self {
        let payload = Self::with_payload(video).payload;
        Self {
            kind,
            video_size: self.size(),
            geometry: None,
            guess: None,
            disputed: false,
            payload,
            ..self.without_payload()
        }
    }

    /// Becomes a frame of pixels that were decoded from a frame of video: takes its number, times and detections, and refers to
    /// it. The caller sets the layout and the payload.
    pub(crate) fn take_metadata(&mut self, coded: &Arc<Self>) {
        let payload = std::mem::take(&mut self.payload);
        *self = Self {
            kind: PayloadKind::Raw,
            guess: None,
            disputed: false,
            coded: Some(Arc::clone(coded)),
            payload,
            ..coded.without_payload()
        };
        self.payload.len = 0;
    }

    /// Returns the memory that the frame occupies, in bytes, without its label names, which frames share.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let Self { records, header, detection_text, detections, tracks, because, payload, .. } = self;
        let buffers = [payload.bytes.capacity(), records.capacity(), header.capacity(), detection_text.capacity()];
        let detections = detections.capacity() * size_of::<Detection>() + tracks.capacity() * size_of::<Track>();
        size_of::<Self>() + buffers.iter().sum::<usize>() + detections + because.len()
    }

    /// Returns whether the frame can be decoded without those before it: pictures always, video at key frames only.
    #[must_use]
    pub fn is_key_frame(&self) -> bool {
        match self.kind {
            PayloadKind::Raw | PayloadKind::Jpeg => true,
            PayloadKind::H264 | PayloadKind::H265 => magic::has_key_unit(self.kind, self.payload()),
        }
    }

    /// Returns the parameter sets of video that this frame has before its picture.
    #[must_use]
    pub fn parameter_sets(&self) -> FoundSets {
        magic::parameter_sets(self.kind, self.payload())
    }

    /// Returns whether this is a B-frame of H.264.
    #[must_use]
    pub fn is_b_frame(&self) -> bool {
        self.kind == PayloadKind::H264 && sequence::is_b_frame(self.payload())
    }

    /// Returns whether this frame of H.265 is shown before the key frame that it follows and refers to frames before that one
    /// (RASL; ITU-T H.265, table 7-1). A decoder that starts at the key frame cannot decode it.
    #[must_use]
    pub fn is_rasl(&self) -> bool {
        let mut slices = nal_units(self.payload()).map(|unit| unit[0] >> 1 & 0x3f).filter(|kind| *kind < 32);
        self.kind == PayloadKind::H265 && matches!(slices.next(), Some(8 | 9))
    }

    /// Returns the name of the pixel format of raw payloads, if it is known, or of the encoding of others.
    #[must_use]
    pub fn format(&self) -> Option<&'static str> {
        match self.kind {
            PayloadKind::Raw => self.geometry.map(|geometry| geometry.format.name()),
            encoded => Some(encoded.name()),
        }
    }

    /// Returns whether its samples are 16-bit depths (RAW16).
    #[must_use]
    pub fn is_depth(&self) -> bool {
        self.kind == PayloadKind::Raw && self.geometry.is_some_and(|geometry| geometry.format == PixelFormat::Raw16)
    }

    /// Returns the size of the picture, if it is known: by its layout, or that of video.
    #[must_use]
    pub fn size(&self) -> Option<Size> {
        self.geometry.map(|geometry| Size::new(geometry.width, geometry.height)).or(self.video_size)
    }

    /// Returns what people need to know about the layout of the payload, if it may be wrong: the symptoms and the options
    /// that help. The reasons are in [`Self::because`].
    #[must_use]
    pub fn layout_note(&self) -> Option<String> {
        match self.geometry {
            _ if self.disputed => Some(self.because.to_string()),
            Some(geometry) if self.guess.is_some() => {
                let why = match self.guess {
                    Some(Guess::ByLength) => {
                        ", the most likely of several layouts between which its bytes do not decide"
                    }
                    Some(Guess::ByContent) | None => "",
                };
                let format = inference::twin(geometry.format).map_or("NAME", PixelFormat::name);
                Some(format!(
                    "picture taken as {geometry}{why}; if it is torn or slanted: --size WxH; if colors are wrong: --format \
                     {format}"
                ))
            }
            None if self.kind == PayloadKind::Raw && !self.because.is_empty() => Some(self.because.to_string()),
            _ => None,
        }
    }

    /// Sets the payload's length and returns it for writing. New bytes are unspecified: the buffer is reused.
    ///
    /// Growing keeps the bytes written so far, so that a caller may grow in steps.
    pub fn payload_mut(&mut self, len: usize) -> &mut [u8] {
        if self.payload.bytes.len() < len {
            if self.payload.len == 0 {
                // Fresh zeroed pages cost nothing until they are written; growing a vector would copy the old ones.
                self.payload.bytes = Vec::new();
                self.payload.bytes = vec![0; len];
            } else {
                self.payload.bytes.reserve_exact(len - self.payload.bytes.len());
                self.payload.bytes.resize(len, 0);
            }
        }
        self.payload.len = len;
        &mut self.payload.bytes[..len]
    }

    /// Resets every field to its default but keeps the buffers.
    pub fn clear(&mut self) {
        let Self { records, header, detection_text, detections, tracks, payload, .. } = self;
        if records.capacity() + detection_text.capacity() > MAX_KEPT_TEXT_BYTES {
            (*records, *detection_text) = (Vec::new(), Vec::new());
            (*detections, *tracks) = (Vec::new(), Vec::new());
        }
        records.clear();
        header.clear();
        detection_text.clear();
        detections.clear();
        tracks.clear();
        payload.len = 0;
        *self = Self {
            records: std::mem::take(records),
            header: std::mem::take(header),
            detection_text: std::mem::take(detection_text),
            detections: std::mem::take(detections),
            tracks: std::mem::take(tracks),
            payload: std::mem::take(payload),
            ..Self::default()
        };
    }
}

impl Lease<Frame> {
    /// Like [`Frame::payload_mut`], but within the bound of the pool. Frees unused frames of the pool for it. Returns `None`
    /// if that is not enough.
    pub fn try_payload_mut(&mut self, len: usize) -> Option<&mut [u8]> {
        let wanted = len.max(self.payload.bytes.len());
        let pool = self.pool().clone();
        let bound = pool.bound();
        if !self.payload.charge.try_set(bound, wanted) {
            pool.release_free();
            if !self.payload.charge.try_set(bound, wanted) {
                return None;
            }
        }
        Some(self.payload_mut(len))
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
    fn clearing_resets_all_fields_and_keeps_the_buffer() {
        let mut frame = Frame { id: 7, staleness: Staleness::Known(true), ..Frame::with_payload([9; 100]) };
        frame.header.extend_from_slice(b"IMG");
        let at = frame.payload().as_ptr();
        frame.clear();
        assert_eq!((frame.id, frame.is_stale(), frame.payload().len(), frame.header.len()), (0, false, 0, 0));
        assert_eq!(frame.payload_mut(100).as_ptr(), at);
    }

    #[test]
    fn growing_in_steps_keeps_the_bytes_written() {
        let mut frame = Frame::with_payload(b"abcd");
        assert_eq!(&frame.payload_mut(1000)[..4], b"abcd");
    }
}
