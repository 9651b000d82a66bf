//! The 32-byte lines between two frames, kept as sent, so that a frame can be written back to the stream exactly.

use super::text::LINE;
use crate::frame::Frame;

/// Lines kept for one frame. Bounds the memory that a peer can fill by sending records only.
pub(super) const MAX_LINES: usize = 10_000;

/// The lines received since the last frame.
#[derive(Debug, Default)]
pub(super) struct RecordLines {
    bytes: Vec<u8>,
    /// Position of the `DETECT` message among them, in bytes, if the next frame has one.
    detect_at: usize,
    /// Bytes at the front that have no `@F` or `@B` line, so that they are not examined again for each damaged frame.
    kept: usize,
}

impl RecordLines {
    /// Appends whole lines, unless there would be too many.
    pub(super) fn push(&mut self, lines: &[u8]) {
        if self.bytes.len() + lines.len() <= MAX_LINES * LINE {
            self.bytes.extend_from_slice(lines);
        }
    }

    /// Marks the position of the `DETECT` message.
    pub(super) const fn mark_detect(&mut self) {
        self.detect_at = self.bytes.len();
    }

    /// Moves the lines into the frame; both buffers keep their capacity.
    pub(super) fn move_to(&mut self, frame: &mut Frame) {
        frame.records.extend_from_slice(&self.bytes);
        frame.detect_at = self.detect_at;
        self.bytes.clear();
        self.detect_at = 0;
        self.kept = 0;
    }

    /// Drops the `@F` and `@B` lines of an announced frame that did not arrive; keeps those of the connection.
    pub(super) fn drop_frame_lines(&mut self) {
        let mut kept = self.kept;
        for at in (self.kept..self.bytes.len()).step_by(LINE) {
            if !is_frame_line(&self.bytes[at..at + LINE]) {
                self.bytes.copy_within(at..at + LINE, kept);
                kept += LINE;
            }
        }
        self.bytes.truncate(kept);
        self.kept = kept;
        self.detect_at = 0;
    }

    /// Takes the connection's lines back from a damaged frame, for the next one.
    pub(super) fn take_back(&mut self, frame: &Frame) {
        // No lines followed the frame, so order is preserved: a line would have confirmed it.
        frame.records.chunks_exact(LINE).filter(|line| !is_frame_line(line)).for_each(|line| self.push(line));
    }
}

/// Returns whether a line describes the next frame (`@F`, `@B`) rather than the connection.
fn is_frame_line(line: &[u8]) -> bool {
    line.starts_with(b"@F ") || line.starts_with(b"@B ")
}
