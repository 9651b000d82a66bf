//! Counts the frames of a file, and finds the first and the last one, without reading all of it.

use super::join::RecordingEntry;
use super::{PartFile, Reader};

/// Entries in which the first frame of a file is looked for: a camera may be lost many times before it sends one.
const ENTRIES_BEFORE_FRAMES_MAX: usize = 10_000;

impl Reader {
    /// Returns the number that follows those of the frames of a camera: the number of frames, with those that are missing between
    /// them. `camera` is an index in [`Self::cameras`]. Takes it from the summary of the file, or reads the file from its end up to
    /// the last frame. Moves the reader.
    pub fn frame_count(&mut self, camera: usize) -> u64 {
        let counted = || {
            let PartFile { frames, .. } = self.part()?;
            frames.get(&self.cameras().nth(camera)?.name).copied().flatten()
        };
        if let Some(counted) = counted() {
            return counted;
        }
        let mut end = self.file_len();
        for chunk in (0..self.chunks().len()).rev() {
            self.seek_chunk(chunk);
            let mut count = 0;
            loop {
                match self.next_entry() {
                    Ok(Some(RecordingEntry::Frame(frame))) if frame.camera == camera => {
                        count = count.max(u64::from(frame.sequence) + 1);
                    }
                    Ok(Some(_)) => {}
                    // Reading the frames reports damage.
                    Err(error) if error.is_damage() => {}
                    Ok(None) | Err(_) => break,
                }
                if self.position() >= end {
                    break;
                }
            }
            if count > 0 {
                return count;
            }
            end = self.chunks()[chunk].at;
        }
        0
    }

    /// Finds the arrival of the last frame in nanoseconds since 1970, UTC. Moves the reader.
    pub fn last_frame_ns(&mut self) -> Option<i64> {
        for chunk in (0..self.chunks().len()).rev() {
            self.seek_chunk(chunk);
            let mut last_ns = None;
            loop {
                match self.next_entry() {
                    Ok(Some(RecordingEntry::Frame(frame))) => last_ns = last_ns.max(Some(frame.log_ns)),
                    Ok(Some(RecordingEntry::Incident { .. })) => {}
                    // Reading reports damage when it gets there.
                    Err(error) if error.is_damage() => {}
                    Ok(None) | Err(_) => break,
                }
            }
            if last_ns.is_some() {
                return last_ns;
            }
        }
        None
    }

    /// Finds the arrival of the first frame. Messages before it report that the camera was connected.
    pub(super) fn first_frame(&mut self) -> Option<i64> {
        let mut first_ns = None;
        // Frames of several cameras are not exactly in the order of their arrival.
        let mut left = 2 * self.cameras().len() + 1;
        for _ in 0..ENTRIES_BEFORE_FRAMES_MAX {
            match self.next_entry() {
                Ok(Some(RecordingEntry::Frame(frame))) => {
                    first_ns = Some(first_ns.unwrap_or(frame.log_ns).min(frame.log_ns));
                    left -= 1;
                }
                Ok(Some(RecordingEntry::Incident { .. })) => {}
                // Reading reports damage when it gets there.
                Ok(None) | Err(_) => break,
            }
            if left == 0 {
                break;
            }
        }
        first_ns
    }
}
