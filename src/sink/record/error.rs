//! Errors that prevent a recording from starting.

use std::io;
use std::path::PathBuf;

/// Reason for not starting a recording.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The named file exists. A recording never replaces a file.
    #[error("{} already exists", .0.display())]
    Exists(PathBuf),
    /// Another recorder has the file locked.
    #[error("{} is being written by another recorder", .0.display())]
    Busy(PathBuf),
    /// A recorder that was killed left this file, which blocks the name.
    #[error("{} is the unfinished file of a recorder that was killed", .0.display())]
    Unfinished(PathBuf),
    /// The path is not a possible name of a recording.
    #[error("invalid name {}: expected a folder or a name that ends in .mcap", .0.display())]
    Name(PathBuf),
    /// A limit for old recordings was given with a file. Only files in a folder are deleted.
    #[error("deleting old recordings needs a folder, but {} is a file", .0.display())]
    KeepNeedsFolder(PathBuf),
    /// The system refuses a file or a folder.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error.
        #[source]
        why: io::Error,
    },
    /// The system refuses a thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl RecordError {
    /// Returns what the user can do, if anything.
    #[must_use]
    pub const fn help(&self) -> Option<&'static str> {
        match self {
            Self::Exists(_) | Self::Busy(_) => {
                Some("name another file, or a folder: files in a folder get names of their own")
            }
            Self::Unfinished(_) => Some("`oaktap recover FILE` saves its frames; or name another file"),
            Self::Name(_) | Self::KeepNeedsFolder(_) | Self::Io { .. } | Self::Thread(_) => None,
        }
    }
}
