//! Finds the frames of a video that refer to missing ones.

use crate::decode::FrameGaps;
use crate::frame::Frame;

/// Gaps in the frames of one camera.
#[derive(Debug, Default)]
pub(super) struct VideoGaps {
    numbers: FrameGaps,
    /// Number of the last frame.
    last: Option<u64>,
    /// Frames that the current file has marked as missing so far.
    missing: u64,
    /// A frame is missing since the last key frame.
    is_open: bool,
}

impl VideoGaps {
    /// Returns whether a frame is missing between the last key frame and this frame, which is not one itself. `missing`: the
    /// frames that the file has marked as missing up to here.
    pub(super) fn is_after_gap(&mut self, frame: &Frame, number: u64, missing: u64) -> bool {
        self.count(missing);
        let last = self.last.replace(number);
        let skips = last.is_some_and(|last| number > last + 1);
        self.is_open |= self.numbers.is_after_gap(frame.camera_seq) || skips;
        self.is_open &= last.is_some() && frame.kind.is_video() && !frame.is_key_frame();
        self.is_open
    }

    /// Ends a file that has marked this many frames as missing.
    pub(super) fn end_file(&mut self, missing: u64) {
        self.count(missing);
        self.missing = 0;
    }

    fn count(&mut self, missing: u64) {
        self.is_open |= missing > self.missing;
        self.missing = missing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PayloadKind;

    #[test]
    fn a_gap_is_in_the_numbers_of_the_frames_or_of_the_camera_or_marked_in_the_file() {
        let frame = |camera_seq| {
            let mut frame = Frame::default();
            (frame.kind, frame.camera_seq) = (PayloadKind::H264, camera_seq);
            frame
        };
        // Number of the frame, that of the camera, and marked frames.
        for (frames, expected) in [
            ([(0, None, 0), (1, None, 0), (2, None, 0)], [false, false, false]),
            ([(0, None, 0), (2, None, 0), (3, None, 0)], [false, true, true]),
            ([(0, Some(7), 0), (1, Some(8), 0), (2, Some(10), 0)], [false, false, true]),
            ([(0, None, 0), (1, None, 1), (2, None, 1)], [false, true, true]),
        ] {
            let mut gaps = VideoGaps::default();
            let found = frames.map(|(number, seq, missing)| gaps.is_after_gap(&frame(seq), number, missing));
            assert_eq!(found, expected, "{frames:?}");
        }
        let mut gaps = VideoGaps::default();
        assert!(!gaps.is_after_gap(&frame(None), 0, 2), "no frame of the video is before the first one");
        gaps.end_file(3);
        assert!(gaps.is_after_gap(&frame(None), 1, 0), "frames are missing at the end of the last file");
    }
}
