//! Errors of reading and writing recordings.

use std::io;
use std::path::PathBuf;

use mcap::McapError;

/// Error of reading or writing a recording.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("cannot read the recording at byte {at}")]
    Read {
        /// Position in the file.
        at: u64,
        /// The system's error.
        source: io::Error,
    },
    /// The file does not begin with the magic bytes of MCAP.
    #[error("{} is not a recording: expected an MCAP file, found \"{}\" at byte 0", path.display(), found.escape_ascii())]
    NotMcap {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// The MCAP file was not written by oaktap, or ends before its first camera.
    #[error("{} is not a recording of oaktap: expected metadata `oaktap.camera/...`, found {found}", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// The content of the file, in words.
        found: String,
    },
    /// A part of the file was changed after it was written.
    #[error("the recording is damaged at byte {at}: {why}")]
    Damaged {
        /// Position of the record or chunk.
        at: u64,
        /// Description of the damage.
        why: String,
    },
    /// The file cannot be written.
    #[error("cannot write the recording")]
    Write(#[source] McapError),
}

impl RecordingError {
    /// Returns the command to run next, if one helps.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NotMcap { .. } | Self::NotOurs { .. } => Some("give a file that `oaktap record` wrote"),
            Self::Damaged { .. } => Some("`oaktap recover FILE` saves all intact frames to a new file"),
            Self::Open { .. } | Self::Read { .. } | Self::Write(_) => None,
        }
    }
}
