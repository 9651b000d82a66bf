//! Encodes pictures as H.264, in groups that start with a key frame. Groups do not refer to each other, so that threads
//! can encode several at a time.

use std::sync::atomic::{AtomicBool, Ordering};

use super::camera::Camera;
use super::frames::ChosenFrame;
use super::report::Skip;
use super::still::StillEncoder;
use super::video_file::Codec;
use crate::access_unit::AccessUnit;
use crate::convert::Yuv420;
use crate::encode::{EncodeError, H264Encoder, H264Settings, check_h264_size, h264_bit_rate};
use crate::frame::Size;

/// Difference in quality that doubles the bit rate.
const QUALITY_PER_DOUBLING: f64 = 10.0;

/// Returns the settings. They are the same for every group of a camera, so that all have the same parameter sets.
fn settings(size: (usize, usize), fps: f32, quality: u8) -> H264Settings {
    let doublings = (f64::from(quality) - f64::from(super::ExportOptions::DEFAULT_QUALITY)) / QUALITY_PER_DOUBLING;
    H264Settings { size, fps, bit_rate: h264_bit_rate(size, fps, doublings.exp2()), key_frame_interval: None }
}

/// Encodes groups of pictures. Reuses its buffers.
pub(super) struct GroupEncoder<'a> {
    stills: StillEncoder,
    yuv: Yuv420,
    stream: Vec<u8>,
    cropped: Option<Size>,
    quality: u8,
    /// The export was stopped: the rest of the group is not needed.
    stopped: &'a AtomicBool,
}

impl<'a> GroupEncoder<'a> {
    pub(super) fn new(stills: StillEncoder, quality: u8, stopped: &'a AtomicBool) -> Self {
        Self { stills, yuv: Yuv420::default(), stream: Vec::new(), cropped: None, quality, stopped }
    }

    /// Returns the original size of a picture that was cropped since the last call, if there was one.
    pub(super) fn take_cropped(&mut self) -> Option<Size> {
        self.cropped.take()
    }

    /// Encodes consecutive pictures of one camera. The first one becomes a key frame.
    pub(super) fn encode(
        &mut self,
        frames: &[ChosenFrame],
        camera: &Camera,
        fps: f32,
    ) -> Vec<Result<AccessUnit, Skip>> {
        let failed = |error: EncodeError| match error {
            EncodeError::Size(_) => Skip {
                kind: "size not supported by the H.264 encoder",
                why: format!("{error}; use --to png or --to jpeg"),
            },
            _ => Skip { kind: "picture cannot be encoded", why: error.to_string() },
        };
        // A new encoder for each group, so that the result does not depend on the distribution of groups to threads.
        let mut encoder: Option<H264Encoder> = None;
        let encode = |(n, chosen)| {
            if self.stopped.load(Ordering::Relaxed) {
                return Err(Skip { kind: "stopped", why: "the export was stopped".to_owned() });
            }
            let original = self.stills.yuv420(chosen, camera, &mut self.yuv)?;
            check_h264_size(original).map_err(failed)?;
            // Chroma has half the resolution, so that the encoder needs even sides.
            if original.width % 2 + original.height % 2 > 0 {
                self.cropped = Some(original);
            }
            let size = self.yuv.size();
            let encoder = match &mut encoder {
                Some(encoder) if encoder.settings().size == size => encoder,
                // The size is part of the parameter sets, which take effect at a key frame.
                other => other.insert(H264Encoder::new(settings(size, fps, self.quality)).map_err(failed)?),
            };
            self.stream.clear();
            let at_ms = (n as f64 * 1000.0 / f64::from(fps)) as u64;
            encoder.encode(&self.yuv, at_ms, &mut self.stream).map_err(failed)?;
            Codec::Encoded.parse(&self.stream)
        };
        frames.iter().enumerate().map(encode).collect()
    }
}
