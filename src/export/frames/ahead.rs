//! Reads ahead in a recording, up to the depth picture that belongs to a frame: it may follow the frame, and be in the next file.

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
struct Ahead {
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

    fn ends_file(&self) -> bool {
        match &self.played {
            Ok(played) => played.is_none(),
            Err(error) => !error.is_damage(),
        }
    }
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) player: Player,
    ahead: Ahead,
}

impl From<Player> for OpenFile {
    fn from(player: Player) -> Self {
        Self { player, ahead: Ahead::default() }
    }
}

impl OpenFile {
    /// Returns the next frame or number of the file, and whether its depths were read.
    pub(super) fn next(&mut self) -> (Result<Option<Played>, RecordingError>, bool) {
        let Self { player, ahead } = self;
        let read = ahead.waiting.pop_front().inspect(|read| ahead.bytes -= read.bytes());
        let Read { played, is_measured } = read.unwrap_or_else(|| Read::next(player));
        (played, is_measured)
    }

    /// Reads depth pictures that follow a frame of `camera`, while one may be nearer to it than the last one. `beside`: for each
    /// camera of the file, the camera whose boxes are measured in its depth. At the end of the file, the next one may have such a
    /// picture.
    ///
    /// # Errors
    /// A depth picture cannot be converted.
    pub(super) fn read_depths(
        &mut self,
        beside: &[Option<usize>],
        camera: usize,
        frame: &Frame,
        depths: &mut DepthMap,
    ) -> Result<(), ConvertError> {
        let Self { player, ahead } = self;
        let mut at = 0;
        while awaits_depth(depths, frame) {
            if at == ahead.waiting.len() {
                if ahead.waiting.back().is_some_and(Read::ends_file) {
                    break;
                }
                if at >= AHEAD_MAX || ahead.bytes >= AHEAD_MAX_BYTES {
                    depths.give_up();
                    break;
                }
                let read = Read::next(player);
                ahead.bytes += read.bytes();
                ahead.waiting.push_back(read);
            }
            let read = &mut ahead.waiting[at];
            at += 1;
            if let Ok(Some(Played::Frame(played))) = &read.played
                && !read.is_measured
                && beside.get(played.camera) == Some(&Some(camera))
            {
                read.is_measured = true;
                depths.read(&played.frame)?;
            }
        }
        Ok(())
    }
}

/// Returns whether a depth picture that was not read yet may be the one of the frame.
pub(super) fn awaits_depth(depths: &DepthMap, frame: &Frame) -> bool {
    depths.awaits_first() || depths.awaits_next(frame)
}

/// Returns the camera of a file whose boxes are measured in the pictures of camera `own`, if those are depth: the first stream
/// of its connection, or the next one if it is the first itself. `firsts`: of each camera, the first stream of its connection,
/// unless it is the first itself.
pub(super) fn beside(own: usize, firsts: &[Option<usize>]) -> Option<usize> {
    firsts[own].or_else(|| firsts.iter().position(|first| *first == Some(own)))
}
