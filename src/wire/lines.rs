//! The lines of 32 bytes between two frames, kept as they were sent: with them a frame is the stream again.

use super::header::LINE;
use crate::frame::Frame;

/// More lines than this before one frame are not kept: a peer that sends nothing else must not fill the memory.
const MOST: usize = 10_000;

/// The lines since the last frame.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where among them the `DETECT` message stood, if the next frame has one.
    detect_at: usize,
}

impl Lines {
    /// One line more, or several.
    pub(super) fn push(&mut self, lines: &[u8]) {
        if self.bytes.len() + lines.len() <= MOST * LINE {
            self.bytes.extend_from_slice(lines);
        }
    }

    /// Here stood the `DETECT` message.
    pub(super) const fn mark_detect(&mut self) {
        self.detect_at = self.bytes.len();
    }

    /// They are the frame's. Both sides keep their memory.
    pub(super) fn move_to(&mut self, frame: &mut Frame) {
        frame.records.extend_from_slice(&self.bytes);
        frame.detect_at = self.detect_at;
        self.bytes.clear();
        self.detect_at = 0;
    }

    /// The frame does not come. What was said of it is void, the rest was said of the connection.
    pub(super) fn forget_frame(&mut self) {
        let mut kept = 0;
        for at in (0..self.bytes.len()).step_by(LINE) {
            if !is_of_frame(&self.bytes[at..at + LINE]) {
                self.bytes.copy_within(at..at + LINE, kept);
                kept += LINE;
            }
        }
        self.bytes.truncate(kept);
        self.detect_at = 0;
    }

    /// This frame is damaged: what stood before it and was said of the connection belongs to the next one.
    pub(super) fn take_back(&mut self, frame: &Frame) {
        // Nothing stands behind it yet: a line would have confirmed it.
        frame.records.chunks_exact(LINE).filter(|line| !is_of_frame(line)).for_each(|line| self.push(line));
    }
}

/// `@F` and `@B` belong to the frame that follows.
fn is_of_frame(line: &[u8]) -> bool {
    line.starts_with(b"@F ") || line.starts_with(b"@B ")
}
