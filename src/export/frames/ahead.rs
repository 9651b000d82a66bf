//! Reads ahead in a recording, up to the depth picture that belongs to a frame: it may follow the frame.

use std::collections::VecDeque;

use crate::convert::{ConvertError, DepthMap};
use crate::frame::Frame;
use crate::recording::{Played, Player, RecordingError};

/// Most frames and numbers that are read ahead.
const AHEAD_MAX: usize = 4096;

/// Most bytes of pictures that are read ahead.
const AHEAD_MAX_BYTES: usize = 64 << 20;

/// Frames and numbers that were read ahead, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    waiting: VecDeque<Read>,
    bytes: usize,
}

#[derive(Debug)]
struct Read {
    played: Result<Option<Played>, RecordingError>,
    /// Its depths were read.
    is_measured: bool,
}

impl Read {
    fn next(player: &mut Player) -> Self {
        Self { played: player.next_played(), is_measured: false }
    }

    fn bytes(&self) -> usize {
        if let Ok(Some(Played::Frame(played))) = &self.played { played.frame.payload().len() } else { 0 }
    }
}

impl Ahead {
    /// Returns the next frame or number of the file, and whether its depths were read.
    pub(super) fn next(&mut self, player: &mut Player) -> (Result<Option<Played>, RecordingError>, bool) {
        let read = self.waiting.pop_front().inspect(|read| self.bytes -= read.bytes());
        let Read { played, is_measured } = read.unwrap_or_else(|| Read::next(player));
        (played, is_measured)
    }

    /// Reads depth pictures that follow the frame, while one may be nearer to it than the last one. `is_beside` returns whether
    /// the boxes of the frame are measured in the depth of a camera of the file.
    ///
    /// # Errors
    /// A depth picture cannot be converted.
    pub(super) fn read_depths(
        &mut self,
        player: &mut Player,
        is_beside: impl Fn(usize) -> bool,
        frame: &Frame,
        depths: &mut DepthMap,
    ) -> Result<(), ConvertError> {
        let mut at = 0;
        while depths.awaits_first() || depths.awaits_next(frame) {
            if at == self.waiting.len() {
                let is_end = self.waiting.back().is_some_and(|last| !matches!(last.played, Ok(Some(_))));
                if is_end || at >= AHEAD_MAX || self.bytes >= AHEAD_MAX_BYTES {
                    depths.give_up();
                    break;
                }
                let read = Read::next(player);
                self.bytes += read.bytes();
                self.waiting.push_back(read);
            }
            let read = &mut self.waiting[at];
            at += 1;
            if let Ok(Some(Played::Frame(played))) = &read.played
                && !read.is_measured
                && is_beside(played.camera)
            {
                read.is_measured = true;
                depths.read(&played.frame)?;
            }
        }
        Ok(())
    }
}

/// Returns the camera of a file whose boxes are measured in the pictures of camera `own`, if those are depth: the first stream
/// of its connection, or the next one if it is the first itself. `firsts`: of each camera, the first stream of its connection,
/// unless it is the first itself.
pub(super) fn beside(own: usize, firsts: &[Option<usize>]) -> Option<usize> {
    firsts[own].or_else(|| firsts.iter().position(|first| *first == Some(own)))
}
