//! Accounts for every frame that an export reads: it is written, left out by the choice, or skipped for a reason.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::camera::Camera;
use crate::error::with_causes;
use crate::file::is_locked;
use crate::recording::{MissingFiles, Reader, RecordingError};
use crate::units::count;

/// Reason for skipping a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Skip {
    /// Short reason. Frames of a camera with the same `kind` are counted together.
    pub(super) kind: &'static str,
    /// Details for this frame.
    pub(super) why: String,
}

/// Frames that depend on frames that the camera did not send, or that were not received. The recording is intact.
pub(super) const NO_REFERENCE: &str = "frames before them are missing";

/// Frames that depend on frames that were received but could not be decoded.
pub(super) const AFTER_FAILURE: &str = "frames before them could not be decoded";

/// Frames of video that the decoder rejects.
pub(super) const NOT_DECODED: &str = "video cannot be decoded";

/// Frames at the beginning of a recording that a video cannot start with.
pub(super) const BEFORE_KEY_FRAME: &str = "before the first key frame";

/// Files and bytes that one step of an export wrote.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Frames of one camera that could not be exported, all for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SkippedFrames {
    /// Name of the camera.
    pub camera: String,
    /// Short reason, the same for all of these frames.
    pub kind: &'static str,
    /// Details for the first of these frames.
    pub why: String,
    /// Number of frames.
    pub frames: u64,
}

/// A recording that could not be read completely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnreadRecording {
    /// Path of the recording.
    #[serde(serialize_with = "crate::file::serialize_path")]
    pub path: PathBuf,
    /// Reason, with the place of the first damage.
    pub why: String,
    /// The next damaged places, at most 10.
    pub also: Vec<String>,
    /// Number of damaged places after those.
    pub more: u64,
    /// It is not damaged: its pictures are in an encoding that is not supported.
    pub is_unsupported: bool,
    /// The command to run next, if one helps.
    #[serde(skip)]
    pub help: Option<&'static str>,
}

/// Damaged places of one recording that are listed after the first.
const PLACES_MAX: usize = 10;

impl UnreadRecording {
    fn new(path: &Path, error: &RecordingError) -> Self {
        let is_unsupported = matches!(error, RecordingError::Unsupported { .. });
        let (path, why, help) = (path.to_owned(), with_causes(error), error.help());
        Self { path, why, also: Vec::new(), more: 0, is_unsupported, help }
    }
}

/// Result of an export. The frame counts balance, see [`ExportReport::balances`].
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ExportReport {
    /// Frames of the chosen cameras that were read.
    pub read: u64,
    /// Frames that are in the export.
    pub written: u64,
    /// Frames outside the chosen time range that were read: reading starts with the chunk before it and ends 10 s after
    /// it.
    pub out_of_range: u64,
    /// Frames left out by [`Choice::every`](super::Choice::every).
    pub between: u64,
    /// Frames left out because they have no detection of a chosen class.
    pub without_label: u64,
    /// Depth pictures without detections, which data sets leave out unless their camera is named.
    pub depth: u64,
    /// Frames that could not be exported.
    pub skipped: Vec<SkippedFrames>,
    /// Detections that were written or drawn.
    pub detections: u64,
    /// Chosen detections that were left out, because their box contains a `NaN` or is outside the picture.
    pub without_box: u64,
    /// Numbers that cameras sent beside their pictures and that were written. Only tables have them.
    pub measurements: u64,
    /// File of these numbers. `None` if there are none.
    #[serde(serialize_with = "crate::file::serialize_optional_path")]
    pub measurements_in: Option<PathBuf>,
    /// The video of a simulated camera is noise.
    #[serde(skip)]
    pub(super) has_noise: bool,
    /// Numbers of the chosen cameras and times that this format does not have.
    #[serde(skip)]
    pub(super) measurements_left_out: u64,
    /// Files written.
    pub files: u64,
    /// Total size of the written files, in bytes.
    pub bytes: u64,
    /// Frames of the chosen cameras that are known to be missing, because they were in damaged parts of the recordings.
    pub missing: u64,
    /// Frames of the chosen cameras and times that the recordings mark as missing: they arrived damaged or partly, or the
    /// recorder could not write them.
    pub not_recorded: u64,
    /// Frames of copied video after a missing one, up to the next key frame: players show them with defects.
    pub after_gap: u64,
    /// Files of the recordings that are missing between the given ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_files: Vec<MissingFiles>,
    /// Recordings that could not be read completely.
    pub unread: Vec<UnreadRecording>,
    /// Remarks about the export, such as a cropped picture size.
    pub notes: Vec<String>,
}

impl SkippedFrames {
    /// Returns whether something is wrong with these frames. Those that depend on other frames are intact.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        ![NO_REFERENCE, AFTER_FAILURE, BEFORE_KEY_FRAME].contains(&self.kind)
    }
}

impl ExportReport {
    /// Returns the number of frames that could not be exported.
    #[must_use]
    pub fn frames_skipped(&self) -> u64 {
        self.skipped.iter().map(|skipped| skipped.frames).sum()
    }

    /// Returns whether there were frames to export, and none of them could be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == 0 && !self.skipped.is_empty()
    }

    /// Returns the next step if no frame could be exported. Nothing else decodes the video, either.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        let is_video = self.skipped.iter().any(|skipped| skipped.kind == NOT_DECODED);
        match (self.has_noise, is_video) {
            // A remark names the next step.
            (true, _) => None,
            (false, true) => Some("`oaktap export FILE -o video.mp4` copies the video as it is, for other decoders"),
            (false, false) => {
                Some("`oaktap verify FILE` finds damage; `oaktap inspect FILE` shows the format of the pictures")
            }
        }
    }

    /// Returns whether every chosen frame that can be decoded was exported, and every recording read completely. Not if none
    /// can be decoded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.is_empty()
            && !self.skipped.iter().any(SkippedFrames::is_loss)
            && self.unread.is_empty()
            && self.missing_files.is_empty()
    }

    /// Returns whether every frame that was read is accounted for.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.read == self.written + self.left_out() + self.frames_skipped()
    }

    /// Returns the number of frames that were not chosen.
    pub(super) fn left_out(&self) -> u64 {
        self.out_of_range + self.between + self.without_label + self.depth
    }

    /// Takes an error of a recording that is not read completely. One entry for each recording lists all of its errors.
    pub(super) fn unread(&mut self, path: &Path, error: &RecordingError) {
        if matches!(error, RecordingError::Torn { .. }) && is_locked(path) {
            let path = path.display();
            return self.note(format!("{path}: still being recorded, exported up to the frames written so far"));
        }
        let Some(known) = self.unread.iter_mut().find(|known| known.path == path) else {
            return self.unread.push(UnreadRecording::new(path, error));
        };
        if known.also.len() < PLACES_MAX {
            known.also.push(error.to_string());
        } else {
            known.more += 1;
        }
    }

    pub(super) fn skip(&mut self, camera: &str, skip: Skip) {
        let known = |known: &&mut SkippedFrames| known.camera == camera && known.kind == skip.kind;
        if let Some(known) = self.skipped.iter_mut().find(known) {
            known.frames += 1;
        } else {
            self.skipped.push(SkippedFrames { camera: camera.to_owned(), kind: skip.kind, why: skip.why, frames: 1 });
        }
    }

    /// Counts a frame whose video cannot be decoded, and explains that of simulated cameras.
    pub(super) fn skip_undecoded(&mut self, camera: &Camera, why: String) {
        if let Some(noise) = &camera.noise {
            self.has_noise = true;
            self.note(format!("{}: this simulated camera {noise}", camera.name));
        }
        self.skip(&camera.name, Skip { kind: NOT_DECODED, why });
    }

    pub(super) fn add(&mut self, added: Added) {
        self.files += added.files;
        self.bytes += added.bytes;
    }

    /// Adds a remark about numbers that this format does not have.
    pub(super) fn note_measurements(&mut self) {
        if self.measurements_left_out > 0 {
            let left_out = count(self.measurements_left_out, "measurement", "measurements");
            self.note(format!("{left_out} not exported: csv, parquet and jsonl have them"));
        }
    }

    /// Adds a remark about a file of oaktap that ends before the clocks of its cameras.
    pub(super) fn note_estimates(&mut self, reader: &Reader, path: &Path) {
        if reader.torn_at().is_some() && reader.clocks().next().is_none() && !reader.about().is_empty() {
            let end = if is_locked(path) { "finished" } else { "recovered" };
            self.note(format!(
                "{} ends before the clocks of its cameras: until it is {end}, `time_utc_ns` is an estimate made while \
                 recording",
                path.display()
            ));
        }
    }

    /// Adds a remark, once.
    pub(super) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}
