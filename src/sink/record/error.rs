//! Why nothing can be recorded.

use std::io;
use std::path::PathBuf;

/// Why a recording cannot be begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file that was named is there.
    #[error("{} is there already, and a recording replaces nothing", .0.display())]
    Exists(PathBuf),
    /// The file is being written.
    #[error("{} is being written by another recorder", .0.display())]
    Busy(PathBuf),
    /// What a recorder that was killed left behind has the name.
    #[error("{} was left behind by a recorder that was killed", .0.display())]
    LeftBehind(PathBuf),
    /// The name is no name of a recording.
    #[error("{} has no name that a recording can have: expected a folder, or a file that ends in .mcap", .0.display())]
    Name(PathBuf),
    /// Only what is in a folder of ours is deleted.
    #[error("old recordings can go from a folder only, and {} is a file", .0.display())]
    KeepsFolder(PathBuf),
    /// The system refuses a file or a folder.
    #[error("{} cannot be written: {why}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// No thread.
    #[error("no thread can be started: {0}")]
    Thread(io::Error),
}

impl RecordError {
    /// What to do about it.
    #[must_use]
    pub const fn help(&self) -> Option<&'static str> {
        match self {
            Self::Exists(_) | Self::Busy(_) => {
                Some("name another file, or a folder: files in it get names of their own")
            }
            Self::LeftBehind(_) => Some("`oaktap recover` saves what is in it; then remove it, or name another file"),
            Self::Name(_) | Self::KeepsFolder(_) | Self::Io { .. } | Self::Thread(_) => None,
        }
    }
}
