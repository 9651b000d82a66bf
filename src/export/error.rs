//! Why nothing, or not everything, was exported.

use std::io;
use std::path::{Path, PathBuf};

use crate::recording::RecordingError;

/// Why an export ended before it was done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A recording cannot be opened.
    #[error("{} cannot be exported", path.display())]
    Recording {
        /// Which.
        path: PathBuf,
        /// Why.
        source: RecordingError,
    },
    /// The system refuses a file or a folder.
    #[error("{} cannot be written", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was to be written is there already.
    #[error("{} is there already, and nothing is ever replaced", .0.display())]
    Exists(PathBuf),
    /// The folder holds something.
    #[error("the folder {} is not empty: expected none, or one without anything in it", .0.display())]
    NotEmpty(PathBuf),
    /// The recordings have no such camera.
    #[error("no camera is called `{wanted}`: expected one of {there}")]
    NoCamera {
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// Several cameras do not go into one video.
    #[error("{cameras} do not go into one video: expected a folder to write to, found {}", path.display())]
    OneVideo {
        /// What was to be written.
        path: PathBuf,
        /// Their names.
        cameras: String,
    },
    /// The end of the range is not after its beginning.
    #[error("the range is empty: it begins at {from} and ends at {until} (nanoseconds since 1970)")]
    EmptyRange {
        /// Its beginning, nanoseconds since 1970.
        from: i64,
        /// Its end.
        until: i64,
    },
    /// Somebody asked to stop.
    #[error("stopped after {written} frames: pictures that were finished stay, a file that was not is gone")]
    Stopped {
        /// Frames that had been written.
        written: u64,
    },
    /// A file format cannot hold it.
    #[error("{} cannot be written as {format}: {why}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
        /// What the writer of the format says.
        why: String,
    },
}

impl ExportError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Recording { source, .. } => source.help(),
            Self::Exists(_) | Self::NotEmpty(_) => Some("name another place with -o, or remove what is there"),
            Self::OneVideo { .. } => Some("name a folder with -o, or choose one camera with --camera"),
            _ => None,
        }
    }

    /// For `map_err`: this file or folder could not be written.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.to_owned(), source }
    }

    /// For `map_err`: the format refuses what was to be in this file.
    pub(super) fn format<E: std::fmt::Display>(path: &Path, format: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Format { path: path.to_owned(), format, why: error.to_string() }
    }
}
