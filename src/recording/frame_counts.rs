//! Counts the frames of a file without reading all of it.

use super::join::RecordingEntry;
use super::{PartFile, Reader};

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
}
