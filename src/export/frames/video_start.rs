//! Finds a place in a recording from which its video can be decoded.

use std::sync::Arc;

use super::{FRAMES_PER_REPORT, Frames, InputFile};
use crate::frame::Frame;
use crate::recording::{Player, RecordingError};

/// Time before the time range in which key frames of video are looked for first, in nanoseconds.
const KEY_FRAME_REACH_NS: i64 = 4_000_000_000;

impl Frames {
    /// Moves to a place from which the video of every camera can be decoded at the start of the time range.
    pub(super) fn seek_key_frames(
        &self,
        file: &InputFile,
        start: i64,
        player: &mut Player,
    ) -> Result<(), RecordingError> {
        let mut reach_ns = KEY_FRAME_REACH_NS;
        loop {
            let from_ns = self.range.start.saturating_sub(reach_ns).max(start);
            player.seek(from_ns)?;
            let (mut seen, mut can_start) = (vec![false; self.cameras.len()], vec![false; self.cameras.len()]);
            // Reading the range reports damage when it gets there.
            while let Ok(Some(played)) = player.next_frame() {
                if played.log_ns >= self.range.start {
                    break;
                }
                let Some(camera) = file.cameras.get(played.camera).copied().flatten() else { continue };
                seen[camera] = true;
                can_start[camera] |= played.frame.is_key_frame();
            }
            if from_ns == start || (seen == can_start && seen.contains(&true)) {
                return player.seek(from_ns);
            }
            reach_ns = reach_ns.saturating_mul(8);
        }
    }

    /// Reads the parameter sets at the beginning of a file of video: the first frame of each camera.
    pub(super) fn read_sets(&mut self, file: &InputFile, player: &mut Player) {
        let mut waiting = file.cameras.iter().flatten().count();
        let mut seen = vec![false; self.cameras.len()];
        for _ in 0..FRAMES_PER_REPORT {
            // Reading the range reports damage when it gets there.
            let Ok(Some(played)) = player.next_frame() else { return };
            let Some(camera) = file.cameras.get(played.camera).copied().flatten() else { continue };
            note_sets(&mut self.parameter_sets[camera], &played.frame);
            waiting -= usize::from(!std::mem::replace(&mut seen[camera], true));
            if waiting == 0 {
                return;
            }
        }
    }
}

pub(super) fn note_sets(known: &mut Option<Arc<[u8]>>, frame: &Frame) {
    if !frame.kind.is_video() {
        return;
    }
    let found = frame.parameter_sets();
    if found.has_sequence && known.as_deref() != Some(&found.bytes[..]) {
        *known = Some(found.bytes.into());
    }
}
