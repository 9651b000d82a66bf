//! Parameter sets of video, for files and clients that begin in the middle of a stream: many encoders send them only once.

use crate::frame::{Frame, PayloadKind};
use crate::wire::{LINE, encode};

/// Bounds the memory of a camera, in bytes. The parameter sets of cameras have less than 200.
const SETS_BYTES_MAX: usize = 1 << 16;

/// The parameter sets of one camera, and whether its open file has them.
#[derive(Debug, Default)]
pub(in crate::sink) struct ParameterSets {
    kind: PayloadKind,
    /// In the form of Annex B.
    known: Vec<u8>,
    /// The open file has a key frame of this camera.
    in_file: bool,
    /// CRC-32 of the last payload, if parameter sets were added to it: the camera's own checksum (`@E`) is of the payload
    /// that it sent, and follows with the next frame.
    changed_crc32: Option<u32>,
}

impl ParameterSets {
    /// To be called before the first frame of a file.
    pub(in crate::sink) fn begin_file(&mut self) {
        self.in_file = false;
    }

    /// Notes the parameter sets in a frame, whether it is recorded or not.
    pub(in crate::sink) fn observe(&mut self, frame: &Frame) {
        if !frame.kind.is_video() {
            return;
        }
        if frame.kind != self.kind {
            (self.kind, self.known) = (frame.kind, Vec::new());
        }
        let sets = frame.parameter_sets();
        if sets.bytes.is_empty() || sets.bytes.len() > SETS_BYTES_MAX {
            return;
        }
        if sets.has_sequence {
            self.known = sets.bytes;
        } else if self.known.len() + sets.bytes.len() <= SETS_BYTES_MAX
            && !self.known.windows(sets.bytes.len()).any(|known| known == sets.bytes)
        {
            self.known.extend_from_slice(&sets.bytes);
        }
    }

    /// Returns the frame to write instead of this one, if it is the first key frame of a file and has no parameter sets.
    pub(in crate::sink) fn complete(&mut self, frame: &Frame) -> Option<Frame> {
        let checked = self.with_checksum_of_the_last(frame);
        let frame = checked.as_ref().unwrap_or(frame);
        if self.in_file || !frame.kind.is_video() || !frame.is_key_frame() {
            return checked;
        }
        self.in_file = true;
        if frame.parameter_sets().has_sequence || self.known.is_empty() {
            return checked;
        }
        let payload = [&self.known[..], frame.payload()].concat();
        let Some(header) = encode::with_payload_len(frame, payload.len()) else { return checked };
        let mut complete = copy(frame);
        complete.header = header;
        complete.payload_mut(payload.len()).copy_from_slice(&payload);
        self.changed_crc32 = Some(crc32fast::hash(&payload));
        Some(complete)
    }

    /// Replaces the checksum of a payload that was changed by the one of the payload in the file.
    fn with_checksum_of_the_last(&mut self, frame: &Frame) -> Option<Frame> {
        let crc32 = self.changed_crc32.take()?;
        let lines = frame.records.as_chunks::<LINE>().0;
        let at = lines.iter().position(|line| line.starts_with(b"@E "))?;
        let number = lines[at][3..].split(|byte| *byte == b' ').next()?;
        let line = encode::line(&format!("@E {} {crc32:08x}", String::from_utf8_lossy(number)))?;
        let mut complete = copy(frame);
        complete.records[at * LINE..][..LINE].copy_from_slice(&line);
        Some(complete)
    }
}

fn copy(frame: &Frame) -> Frame {
    let mut copy = frame.without_payload();
    copy.records.clone_from(&frame.records);
    copy.header.clone_from(&frame.header);
    copy.detection_text.clone_from(&frame.detection_text);
    copy.payload_mut(frame.payload().len()).copy_from_slice(frame.payload());
    copy
}
