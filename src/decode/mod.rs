//! Decodes H.264 and H.265: a frame of video becomes a frame of YUV420p pixels with the same number, times and detections.
//!
//! Use one [`VideoDecoder`] per stream, and give it every frame in order. It starts at a key frame, and after an error, a gap
//! in the camera's numbers or a [`VideoDecoder::interrupted`] it starts again at the next one, because all frames in between depend on what is missing.
//!
//! | | decoder | not decoded |
//! |---|---|---|
//! | H.264 | openh264: baseline, main and high profile, 8 bits, 4:2:0 | B-frames, interlaced video, more than 8 bits, other chroma; some blocks of 8x8 transforms with CAVLC |
//! | H.265 | rusty_h265: main and main 10 | more than 10 bits, other chroma, extensions |
//!
//! Pictures of 10 bits lose their two lowest bits. Without the feature `video`, nothing is decoded.

#[cfg(feature = "video")]
mod h264;
#[cfg(feature = "video")]
mod h265;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::frame::{FoundSets, Frame, Geometry, PayloadKind, PixelFormat, Pool, Sequence};

/// Most pixels of a picture: 4096x4096, more than the encoders of OAK cameras write.
const PIXELS_MAX: u64 = 1 << 24;

/// Bounds the parameter sets that are kept, in bytes. Those of cameras have less than 200.
const SETS_BYTES_MAX: usize = 1 << 16;

/// Most frames whose pictures a decoder may still owe. More means that their pictures do not arrive.
const OWED_MAX: usize = 32;

/// Reason for not decoding a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame depends on frames that are not there.
    #[error("waiting for a key frame")]
    AwaitsKeyFrame,
    /// The frame has no picture, only parameter sets or messages.
    #[error("the frame has no picture")]
    NoPicture,
    /// The decoder does not have a frame that this one refers to, because it was not received.
    #[error("a frame that it refers to is missing")]
    MissingReference,
    /// A key frame without parameter sets, and there were none before.
    #[error("cannot decode {}: the stream has not sent its parameter sets", title(*.0))]
    NoParameterSets(PayloadKind),
    /// The stream uses something that the decoder does not support.
    #[error("cannot decode {}: {why} is not supported", title(*.kind))]
    Unsupported {
        /// Coding of the stream.
        kind: PayloadKind,
        /// The property that is not supported.
        why: String,
    },
    /// The decoder rejects the frame.
    #[error("cannot decode this {} frame: {why}", title(*.kind))]
    Damaged {
        /// Coding of the stream.
        kind: PayloadKind,
        /// Message of the decoder.
        why: String,
    },
    /// Compiled without decoders.
    #[error("cannot decode {}: this build of oaktap has no video decoder (feature `video`)", title(*.0))]
    NotBuilt(PayloadKind),
}

/// The property of streams whose frames refer to later ones.
const B_FRAMES: &str = "video with B-frames";

impl DecodeError {
    /// Returns whether the frame itself is intact: it has no picture, or it depends on a frame that is missing, as the first
    /// frames of a connection do. Such frames are skipped; others fail.
    #[must_use]
    pub const fn is_skip(&self) -> bool {
        matches!(self, Self::AwaitsKeyFrame | Self::MissingReference | Self::NoPicture)
    }

    /// Returns the next step for the user, if there is one.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Unsupported { why, .. } if why == B_FRAMES => Some(
                "set the number of B-frames to 0 on the camera, which is the default of its encoder; `oaktap record` and \
                 `oaktap export --to mp4` keep the video as it is",
            ),
            Self::Unsupported { .. } | Self::NotBuilt(_) => {
                Some("`oaktap record` and `oaktap export --to mp4` keep the video as it is")
            }
            Self::NoParameterSets(_) => {
                Some("let the camera's encoder send its parameter sets with each key frame, or start it after oaktap")
            }
            Self::Damaged { .. } => Some("`oaktap record` keeps the video as it is, for other decoders"),
            Self::AwaitsKeyFrame => Some("let the camera's encoder send key frames more often, or receive for longer"),
            Self::MissingReference | Self::NoPicture => None,
        }
    }
}

/// Returns the usual name of a coding.
fn title(kind: PayloadKind) -> &'static str {
    match kind {
        PayloadKind::H264 => "H.264",
        PayloadKind::H265 => "H.265",
        PayloadKind::Raw | PayloadKind::Jpeg => kind.name(),
    }
}

/// Planes of a decoded picture in one form for all decoders.
#[cfg_attr(not(feature = "video"), allow(dead_code))]
struct Planes<'a> {
    width: usize,
    height: usize,
    /// Copies a row of a plane, of luma or of half as many samples of chroma.
    row: &'a dyn Fn(usize, usize, &mut [u8]),
}

/// Receives decoded pictures with the number that was given with their frame. `None`: they belong to the frame that was
/// decoded last.
#[cfg_attr(not(feature = "video"), allow(dead_code))]
type Output<'a> = dyn FnMut(Option<u64>, &Planes<'_>) + 'a;

/// A decoder of one coding.
trait Codec: Send {
    /// Decodes an access unit with this number.
    fn decode(&mut self, number: u64, unit: &[u8], out: &mut Output<'_>) -> Result<(), DecodeError>;

    /// Returns whether pictures come in the order of display, and so later than their access units.
    fn is_delayed(&self) -> bool;

    /// Puts out the pictures that wait for their place in the order of display.
    fn flush(&mut self, out: &mut Output<'_>);
}

/// Finds gaps in the camera's numbers of the frames of a stream.
#[cfg(feature = "export")]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrameGaps(Numbers);

#[cfg(feature = "export")]
impl FrameGaps {
    /// Returns whether frames are missing before the next one.
    pub(crate) fn is_after_gap(&mut self, number: Option<u64>) -> bool {
        self.0.next(number) == Place::AfterGap
    }
}

/// The camera's numbers of the frames of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    last: Option<u64>,
    /// Difference between the last two numbers. Cameras that encode every second picture number every second frame.
    step: Option<u64>,
}

/// Place of a frame in the camera's numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The camera does not number it, or it is the first one.
    Unknown,
    /// No frame is missing before it.
    Next,
    /// Frames are missing before it.
    AfterGap,
}

impl Numbers {
    /// Returns the place of the next frame.
    fn next(&mut self, number: Option<u64>) -> Place {
        let before = *self;
        self.last = number;
        self.step = before.last.zip(number).map(|(last, number)| number.wrapping_sub(last));
        match self.step {
            None => Place::Unknown,
            // A frame of parameter sets may have the number of its picture.
            Some(0 | 1) => Place::Next,
            Some(_) if self.step == before.step => Place::Unknown,
            Some(_) => Place::AfterGap,
        }
    }
}

/// Decodes the video of one stream.
#[derive(Default)]
pub struct VideoDecoder {
    kind: PayloadKind,
    codec: Option<Box<dyn Codec>>,
    /// The last parameter sets. Many encoders send them only once.
    sets: FoundSets,
    /// Why the stream of these parameter sets is not decoded.
    refused: Option<DecodeError>,
    /// The next frame can be decoded.
    follows: bool,
    /// The decoder started at the last key frame.
    started: bool,
    numbers: Numbers,
    /// Frames whose pictures are not out yet.
    owed: VecDeque<(u64, Arc<Frame>)>,
    next: u64,
    pool: Pool<Frame>,
}

impl fmt::Debug for VideoDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VideoDecoder").field("kind", &self.kind).field("follows", &self.follows).finish_non_exhaustive()
    }
}

impl VideoDecoder {
    /// Takes the memory of the decoded frames from `pool`.
    #[must_use]
    pub fn new(pool: Pool<Frame>) -> Self {
        Self { pool, ..Self::default() }
    }

    /// Decodes a frame, and calls `each` with every picture that is ready: usually that of this frame. Pictures of H.265 with
    /// B-frames come in the order of display, so that some come later. Other frames than video are passed on.
    ///
    /// # Errors
    /// The frame is not decoded. [`DecodeError::is_skip`]: it is intact, but a frame before it is missing.
    pub fn decode(&mut self, frame: &Arc<Frame>, mut each: impl FnMut(Arc<Frame>)) -> Result<(), DecodeError> {
        if !frame.kind.is_video() {
            self.end(&mut each);
            self.follows = false;
            each(Arc::clone(frame));
            return Ok(());
        }
        if frame.kind != self.kind {
            self.end(&mut each);
            *self = Self { kind: frame.kind, pool: self.pool.clone(), ..Self::default() };
        }
        // The reference frames of a codec have numbers of their own, but these repeat after 16 frames.
        let place = self.numbers.next(frame.camera_seq);
        if place == Place::AfterGap {
            self.interrupted(&mut each);
        }
        let found = frame.parameter_sets();
        let (has_sets, has_picture) = (found.has_sequence, found.has_picture);
        self.note_sets(found);
        if !has_picture {
            return Err(DecodeError::NoPicture);
        }
        // The decoder runs out of memory for pictures when it puts out each at once, which the order of frames requires.
        if self.refused.is_none() && frame.is_b_frame() {
            self.refused = Some(DecodeError::Unsupported { kind: frame.kind, why: B_FRAMES.to_owned() });
        }
        let is_key = frame.is_key_frame();
        if is_key {
            self.started = !self.follows;
        }
        if !self.follows && !is_key {
            return Err(self.refused.clone().unwrap_or(DecodeError::AwaitsKeyFrame));
        }
        if let Some(refused) = &self.refused {
            self.follows = false;
            return Err(refused.clone());
        }
        if is_key && !self.sets.has_sequence {
            return Err(DecodeError::NoParameterSets(frame.kind));
        }
        if self.started && frame.is_rasl() {
            return Err(DecodeError::MissingReference);
        }
        let result = self.decode_unit(frame, is_key && !has_sets, &mut each);
        self.follows = result.is_ok();
        if result.is_err() {
            self.end(&mut each);
        }
        match result {
            // All frames were received, so the encoder refers to one that it did not send.
            Err(error @ DecodeError::MissingReference) if place == Place::Next => {
                Err(DecodeError::Damaged { kind: frame.kind, why: error.to_string() })
            }
            result => result,
        }
    }

    /// Keeps parameter sets for key frames without any.
    fn note_sets(&mut self, found: FoundSets) {
        if found.bytes.is_empty() || found.bytes.len() > SETS_BYTES_MAX || found.bytes == self.sets.bytes {
            return;
        }
        if found.has_sequence {
            self.refused = refusal(self.kind, &found);
            self.sets = found;
        } else if self.sets.bytes.len() + found.bytes.len() <= SETS_BYTES_MAX
            && !self.sets.bytes.windows(found.bytes.len()).any(|known| known == found.bytes)
        {
            self.sets.bytes.extend_from_slice(&found.bytes);
        }
    }

    fn decode_unit(
        &mut self,
        frame: &Arc<Frame>,
        needs_sets: bool,
        each: &mut impl FnMut(Arc<Frame>),
    ) -> Result<(), DecodeError> {
        let codec = match &mut self.codec {
            Some(codec) => codec,
            None => self.codec.insert(codec(self.kind)?),
        };
        let number = self.next;
        self.next += 1;
        self.owed.push_back((number, Arc::clone(frame)));
        if self.owed.len() > OWED_MAX {
            self.owed.pop_front();
        }
        let (owed, pool) = (&mut self.owed, &self.pool);
        let mut out = |of: Option<u64>, planes: &Planes<'_>| {
            let of = of.unwrap_or(number);
            if let Some(at) = owed.iter().position(|(number, _)| *number == of)
                && let Some((_, coded)) = owed.remove(at)
            {
                each(picture(pool, &coded, planes));
            }
        };
        let joined;
        let unit = if needs_sets {
            joined = [&self.sets.bytes[..], frame.payload()].concat();
            &joined[..]
        } else {
            frame.payload()
        };
        codec.decode(number, unit, &mut out)?;
        if !codec.is_delayed() && self.owed.pop_back().is_some() {
            return Err(DecodeError::Damaged { kind: self.kind, why: "it gives no picture".to_owned() });
        }
        Ok(())
    }

    /// Frames are missing before the next one: it is decoded only if it is a key frame. Calls `each` with the pictures that
    /// waited.
    pub fn interrupted(&mut self, mut each: impl FnMut(Arc<Frame>)) {
        if std::mem::take(&mut self.follows) {
            self.end(&mut each);
        }
    }

    /// Calls `each` with the pictures that wait for their place in the order of display. The next frame has to be a key frame.
    pub fn flush(&mut self, mut each: impl FnMut(Arc<Frame>)) {
        self.end(&mut each);
        self.follows = false;
    }

    /// Returns the frames whose pictures are not out yet.
    pub fn owed(&self) -> impl Iterator<Item = &Arc<Frame>> {
        self.owed.iter().map(|(_, frame)| frame)
    }

    /// Ends the decoder, so that the next frame gets a new one.
    fn end(&mut self, each: &mut impl FnMut(Arc<Frame>)) {
        if let Some(mut codec) = self.codec.take() {
            let (owed, pool) = (&mut self.owed, &self.pool);
            codec.flush(&mut |of, planes| {
                if let Some(at) = owed.iter().position(|(number, _)| Some(*number) == of)
                    && let Some((_, coded)) = owed.remove(at)
                {
                    each(picture(pool, &coded, planes));
                }
            });
        }
        self.owed.clear();
    }
}

/// Makes a frame of pixels with the number, times and detections of the frame that they were decoded from.
fn picture(pool: &Pool<Frame>, coded: &Arc<Frame>, planes: &Planes<'_>) -> Arc<Frame> {
    let Planes { width, height, row } = *planes;
    let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
    let sizes = [(width, height), (chroma_width, chroma_height), (chroma_width, chroma_height)];
    let len = sizes.iter().map(|(width, height)| width * height).sum();
    let mut lease = pool.lease(len);
    lease.take_metadata(coded);
    let mut rest = lease.payload_mut(len);
    for (plane, (width, height)) in sizes.into_iter().enumerate() {
        let (samples, after) = rest.split_at_mut(width * height);
        for (y, out) in samples.chunks_exact_mut(width).enumerate() {
            row(plane, y, out);
        }
        rest = after;
    }
    // Sides are at most 2^24.
    lease.geometry = Geometry::tight(PixelFormat::Yuv420p, width as u32, height as u32).ok();
    lease.seal()
}

/// Returns the reason for not decoding the stream of these parameter sets; `None` if it can be decoded.
fn refusal(kind: PayloadKind, sets: &FoundSets) -> Option<DecodeError> {
    let Some(sequence) = Sequence::of(kind, sets) else {
        return Some(DecodeError::Damaged { kind, why: "its sequence parameter set is invalid".to_owned() });
    };
    let Sequence { width, height, chroma, bits, interlaced, .. } = sequence;
    let bits_max = if kind == PayloadKind::H264 { 8 } else { 10 };
    let why = if chroma != 1 {
        format!("chroma {}", ["4:0:0", "4:2:0", "4:2:2", "4:4:4"][usize::from(chroma.min(3))])
    } else if bits.0.max(bits.1) > bits_max {
        format!("video with {} bits per sample", bits.0.max(bits.1))
    } else if interlaced {
        "interlaced video".to_owned()
    } else if u64::from(width) * u64::from(height) > PIXELS_MAX {
        format!("a picture of {width}x{height} pixels, more than 4096x4096,")
    } else {
        return None;
    };
    Some(DecodeError::Unsupported { kind, why })
}

#[cfg(feature = "video")]
fn codec(kind: PayloadKind) -> Result<Box<dyn Codec>, DecodeError> {
    Ok(match kind {
        PayloadKind::H265 => Box::new(h265::H265::new()),
        PayloadKind::H264 | PayloadKind::Raw | PayloadKind::Jpeg => Box::new(h264::H264::new()?),
    })
}

#[cfg(not(feature = "video"))]
fn codec(kind: PayloadKind) -> Result<Box<dyn Codec>, DecodeError> {
    Err(DecodeError::NotBuilt(kind))
}
