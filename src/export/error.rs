//! Errors that end an export.

use std::io;
use std::path::{Path, PathBuf};

use super::choice::TimeSpec;
use crate::recording::RecordingError;
use crate::units::count;

/// Reason for ending an export early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A recording cannot be opened.
    #[error("cannot export {}", path.display())]
    Recording {
        /// Path of the recording.
        path: PathBuf,
        /// Cause.
        source: RecordingError,
    },
    /// A file or folder cannot be created or written.
    #[error("cannot write {}", path.display())]
    Io {
        /// Path of the file or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The file exists, and an export never replaces files.
    #[error("{} already exists", .0.display())]
    Exists(PathBuf),
    /// Another process is writing the file, or exports to the folder.
    #[error("another process is writing {}", .0.display())]
    Busy(PathBuf),
    /// The folder contains files.
    #[error("the folder {} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The recordings contain no camera of this name.
    #[error("unknown camera `{wanted}`: expected one of {known}")]
    NoCamera {
        /// The chosen name.
        wanted: String,
        /// Names of the cameras in the recordings.
        known: String,
    },
    /// Two recordings have frames of a camera in common, but each has others, too.
    #[error("{} and {} have the same frames of {camera}", path.display(), other.display())]
    SameFrames {
        /// Path of the recording that begins first.
        path: PathBuf,
        /// Path of the other one.
        other: PathBuf,
        /// Name of the camera.
        camera: String,
    },
    /// Several cameras were to be written to one video file.
    #[error("cannot write several cameras ({cameras}) to the video {}: expected a folder", path.display())]
    OneVideo {
        /// Path of the video.
        path: PathBuf,
        /// Names of the cameras.
        cameras: String,
    },
    /// A table was to be written to a folder.
    #[error("cannot write {format} to the folder {}: expected a file, such as {}", path.display(), path.join("detections").with_extension(format).display())]
    TableToFolder {
        /// The folder.
        path: PathBuf,
        /// Name of the format.
        format: &'static str,
    },
    /// The recordings have pictures in encodings that are not supported, and no others.
    #[error("no picture of {} can be exported: {why}", path.display())]
    Unsupported {
        /// Path of the first recording.
        path: PathBuf,
        /// Its topic and encoding, and the supported ones.
        why: String,
    },
    /// The recordings name cameras, but hold no frame.
    #[error("the recordings have no frame to export")]
    NoFrames,
    /// The recordings hold numbers, but no frame.
    #[error("the recordings have no frame to export, only {}", count(*.0, "measurement", "measurements"))]
    OnlyMeasurements(u64),
    /// The recordings have frames, but none was selected.
    #[error("no frame was selected: {why}; the recordings have frames from {from} to {until}")]
    NothingSelected {
        /// The numbers of frames that were left out, and why.
        why: String,
        /// Arrival of the first frame.
        from: String,
        /// Arrival of the last frame.
        until: String,
    },
    /// No table of class names in the recordings has this name.
    #[error("unknown label `{wanted}`{}", nearest.as_ref().map(|name| format!(": did you mean `{name}`?")).unwrap_or_default())]
    UnknownLabel {
        /// The chosen name.
        wanted: String,
        /// The most similar name.
        nearest: Option<String>,
    },
    /// The time range does not end after its start.
    #[error("the time range is empty: `--from {from}` is not before `--until {until}`")]
    EmptyRange {
        /// Start.
        from: TimeSpec,
        /// End.
        until: TimeSpec,
    },
    /// The progress callback stopped the export.
    #[error("stopped after {written} frames: {}", describe_kept(*kept))]
    Stopped {
        /// Frames written before.
        written: u64,
        /// Complete pictures that are kept. Incomplete files are removed.
        kept: u64,
    },
    /// An error ended the export after files were written.
    #[error(
        "the export ended early: {}{}", describe_kept(*kept),
        without.map(|list| format!(", without {list}")).unwrap_or_default()
    )]
    Incomplete {
        /// Complete pictures that are kept. Incomplete files are removed.
        kept: u64,
        /// File of a data set that could not be written.
        without: Option<&'static str>,
        /// Cause.
        source: Box<Self>,
    },
    /// The writer of a file format reports an error.
    #[error("cannot write {} as {format}: {why}", path.display())]
    Format {
        /// Path of the file.
        path: PathBuf,
        /// Name of the format.
        format: &'static str,
        /// Message of the writer.
        why: String,
    },
}

/// Describes the files that a stopped export keeps.
fn describe_kept(pictures: u64) -> String {
    match pictures {
        0 => "nothing is kept".to_owned(),
        pictures => format!("{} kept", count(pictures, "complete picture is", "complete pictures are")),
    }
}

impl ExportError {
    /// Returns the recording that cannot be exported, if it is about one.
    #[must_use]
    pub fn recording(&self) -> Option<&Path> {
        match self {
            Self::Recording { path, source } => source.path().or(Some(path)),
            _ => None,
        }
    }

    /// Returns the next step for the user. `FILE` stands for [the recording](Self::recording), or for the only one.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Recording { source, .. } => source.help(),
            Self::Unsupported { .. } => Some("convert the topic to JPEG with the program that recorded it"),
            Self::TableToFolder { .. } => Some("repeat the command with a file name after -o"),
            Self::NoFrames => {
                Some("`oaktap verify FILE` finds damage; `oaktap inspect FILE` lists the cameras of a recording")
            }
            Self::OnlyMeasurements(_) => Some("`--to csv`, `--to parquet` and `--to jsonl` export measurements"),
            Self::NothingSelected { .. } => Some("`oaktap inspect FILE` shows the times and labels of a recording"),
            Self::UnknownLabel { .. } => Some("`oaktap inspect FILE` shows the labels of a recording"),
            Self::Busy(_) => Some("wait until it has ended, or give another name"),
            Self::Incomplete { source, .. } => source.help(),
            Self::Exists(_) | Self::NotEmpty(_) => {
                Some("oaktap does not replace files: give another name, or remove it")
            }
            Self::SameFrames { .. } => Some("export one of them, or each to a place of its own"),
            Self::OneVideo { .. } => Some("choose a folder with -o, or one camera with --camera NAME"),
            Self::NoCamera { .. } => Some("`oaktap inspect FILE` lists the cameras of a recording"),
            Self::EmptyRange { .. } => {
                Some("give a later time with `--until`; `oaktap inspect FILE` shows the times of a recording")
            }
            Self::Io { .. } | Self::Stopped { .. } | Self::Format { .. } => None,
        }
    }

    /// Returns whether the choice cannot fit any recording, or names what the recordings do not have: wrong usage.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::NoCamera { .. } | Self::EmptyRange { .. })
    }

    /// Adds what is kept of an export that had begun. The choice of frames fails before that.
    pub(super) fn after(self, kept: u64, without: Option<&'static str>) -> Self {
        match self {
            Self::Io { .. } | Self::Format { .. } | Self::Recording { .. } => {
                Self::Incomplete { kept, without, source: Box::new(self) }
            }
            other => other,
        }
    }

    /// Returns a function for `map_err` that adds the path of a file or folder.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.to_owned(), source }
    }

    /// Returns a function for `map_err` that adds the path and the format of a file.
    pub(super) fn format<E: std::fmt::Display>(path: &Path, format: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Format { path: path.to_owned(), format, why: error.to_string() }
    }
}
