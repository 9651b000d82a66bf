//! The books of an export: every frame that was read is written, left out as asked, or skipped for a reason.

use std::path::PathBuf;

use serde::Serialize;

use super::dataset::Added;

/// Why a frame could not be exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Skip {
    /// What kind of obstacle; frames of one kind are counted together.
    pub(super) kind: &'static str,
    /// In full, for this frame.
    pub(super) why: String,
}

/// Frames that were to be exported, and were not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Skipped {
    /// Of which camera.
    pub camera: String,
    /// What kind of obstacle.
    pub kind: &'static str,
    /// What was wrong with the first of them.
    pub why: String,
    /// How many.
    pub frames: u64,
}

/// A recording that could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unread {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// What became of the frames. [`Report::balances`].
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Frames that were read of the recordings, of the cameras that were chosen.
    pub read: u64,
    /// Of those, the ones that are in the export.
    pub written: u64,
    /// Of those, the ones outside of the times that were chosen, as far as they had to be read.
    pub out_of_range: u64,
    /// Of those, the ones between two that `every` chose.
    pub between: u64,
    /// Of those, the ones without a detection of the classes that were chosen.
    pub without_label: u64,
    /// Of those, the ones that could not be exported.
    pub skipped: Vec<Skipped>,
    /// Detections that were written, or drawn.
    pub detections: u64,
    /// Detections whose box has a `NaN` or lies outside of the picture.
    pub without_box: u64,
    /// Files that were written.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Recordings that could not be read to their end.
    pub unread: Vec<Unread>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

impl Report {
    /// Frames that could not be exported.
    #[must_use]
    pub fn frames_skipped(&self) -> u64 {
        self.skipped.iter().map(|skipped| skipped.frames).sum()
    }

    /// Whether all that was asked for is there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.skipped.is_empty() && self.unread.is_empty()
    }

    /// Whether every frame that was read is accounted for.
    #[must_use]
    pub fn balances(&self) -> bool {
        let kept_out = self.out_of_range + self.between + self.without_label + self.frames_skipped();
        self.read == self.written + kept_out
    }

    pub(super) fn skip(&mut self, camera: &str, skip: Skip) {
        let known = |known: &&mut Skipped| known.camera == camera && known.kind == skip.kind;
        if let Some(known) = self.skipped.iter_mut().find(known) {
            known.frames += 1;
        } else {
            self.skipped.push(Skipped { camera: camera.to_owned(), kind: skip.kind, why: skip.why, frames: 1 });
        }
    }

    pub(super) fn add(&mut self, added: Added) {
        self.files += added.files;
        self.bytes += added.bytes;
    }

    pub(super) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}
