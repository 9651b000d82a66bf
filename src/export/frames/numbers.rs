//! Numbers the frames of a camera over all files: a frame that is known to be missing leaves a gap.

use std::collections::HashMap;

use super::InputFile;
use crate::export::camera::Camera;
use crate::frame::FrameNumbers;
use crate::recording::{Part, Reader};

/// The files of a camera so far.
#[derive(Debug, Default)]
struct Numbered {
    /// The last one: its index, the index of the camera in it, and the number of its first frame.
    last: Option<(usize, usize, u64)>,
    /// For each recording, the number of its first given frame, and the frames before that in the recording.
    recordings: HashMap<String, (u64, u64)>,
}

/// Sets the numbers with which the frames of the files begin. `files` are in the order of their first arrivals.
pub(super) fn number(files: &mut [InputFile], cameras: &[Camera]) {
    let mut numbered: Vec<Numbered> = cameras.iter().map(|_| Numbered::default()).collect();
    for number in 0..files.len() {
        for at in 0..files[number].cameras.len() {
            let Some(camera) = files[number].cameras[at] else { continue };
            let start = numbered[camera].start(files, number, &cameras[camera].name);
            numbered[camera].last = Some((number, at, start));
            files[number].numbers[at] = FrameNumbers::after(start);
        }
    }
}

impl Numbered {
    /// Returns the number of the first frame of the next file.
    fn start(&mut self, files: &[InputFile], next: usize, name: &str) -> u64 {
        let part = files[next].part.as_ref();
        let before = part.and_then(|part| part.frames_before.get(name).copied());
        let known = part.and_then(|part| self.recordings.get(&part.recording)).zip(before);
        // The file counts the frames of its recording before it, also those in files that are missing.
        let by_part = known.map(|((start, first), before)| start + before.saturating_sub(*first));
        let follows = |last: &InputFile| {
            let number = |part: &Part| part.number;
            let is_same = last.part.as_ref().map(|part| &part.recording) == part.map(|part| &part.recording);
            is_same && last.part.as_ref().map(number) < part.map(number)
        };
        let start = match (self.last, by_part) {
            (None, _) => 0,
            (Some((last, ..)), Some(start)) if follows(&files[last]) => start,
            (Some((last, camera, first)), by_part) => {
                // A file that cannot be opened is reported when its frames are read.
                let count = Reader::open(&files[last].path).map_or(0, |mut reader| reader.frame_count(camera));
                (first + count).max(by_part.unwrap_or(0))
            }
        };
        if let Some(part) = part {
            self.recordings.insert(part.recording.clone(), (start, before.unwrap_or(0)));
        }
        start
    }
}
