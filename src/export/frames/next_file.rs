//! Reads depth pictures at the beginning of the next file of a recording, for frames at the end of the file before.

use std::collections::VecDeque;
use std::ops::Range;

use super::InputFile;
use super::ahead::awaits_depth;
use crate::convert::{ConvertError, DepthMap};
use crate::frame::{Frame, Pool};
use crate::recording::Player;

/// Reads the depth pictures of the next files that have this camera, while one may be nearer to the frame than the last one.
/// Gives up at the end of the last file. Opens files with `pool`, for the frames of `range`: arrival times in nanoseconds since
/// 1970, UTC.
///
/// # Errors
/// A depth picture cannot be converted.
pub(super) fn read_depths_after(
    remaining: &mut VecDeque<InputFile>,
    (pool, range): (&Pool<Frame>, &Range<i64>),
    camera: usize,
    frame: &Frame,
    depths: &mut DepthMap,
) -> Result<(), ConvertError> {
    for file in remaining.iter_mut().filter(|file| file.beside.contains(&Some(camera))) {
        if !awaits_depth(depths, frame) {
            return Ok(());
        }
        let begins_in_range = file.span.is_some_and(|(start, _)| range.contains(&start));
        if file.open.is_none() && begins_in_range {
            // A file that cannot be opened is an error when its turn comes.
            file.open = Player::open(&file.path, pool.clone()).ok().map(|mut player| {
                player.count_within(range.clone());
                player.into()
            });
        }
        let InputFile { open: Some(open), beside, .. } = file else { break };
        open.read_depths(beside, camera, frame, depths)?;
    }
    if awaits_depth(depths, frame) {
        depths.give_up();
    }
    Ok(())
}
