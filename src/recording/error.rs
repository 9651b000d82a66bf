//! Why a recording cannot be written or read.

use std::io;
use std::path::PathBuf;

use mcap::McapError;

/// Why a recording cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file cannot be opened.
    #[error("{} cannot be opened", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("the recording cannot be read at byte {at}")]
    Read {
        /// Where.
        at: u64,
        /// Why.
        source: io::Error,
    },
    /// The file begins like no recording.
    #[error("{} is no recording: expected an MCAP file, found \"{}\" at its beginning", path.display(), found.escape_ascii())]
    NotMcap {
        /// Which.
        path: PathBuf,
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// It is an MCAP file, and none of ours.
    #[error("{} is an MCAP file without cameras of oaktap: expected metadata `oaktap.camera/...`, found {found}", path.display())]
    NotOurs {
        /// Which.
        path: PathBuf,
        /// What there is.
        found: String,
    },
    /// Something in the file is not as it was written.
    #[error("the recording is damaged at byte {at}: {why}")]
    Damaged {
        /// The record or chunk.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// The file cannot be written.
    #[error("the recording cannot be written")]
    Write(#[source] McapError),
}

impl RecordingError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NotMcap { .. } | Self::NotOurs { .. } => Some("a recording is what `oaktap record` writes"),
            Self::Damaged { .. } => Some("`oaktap recover FILE` saves every frame that is whole, into another file"),
            Self::Open { .. } | Self::Read { .. } | Self::Write(_) => None,
        }
    }
}
