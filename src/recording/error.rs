//! Errors of reading and writing recordings.

use std::io;
use std::path::{Path, PathBuf};

use mcap::McapError;

use super::watch::Stopped;

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
    #[error("{} is not a recording: expected an MCAP file, found {}", path.display(), start(found))]
    NotMcap {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// A folder was given instead of a file.
    #[error("{} is a folder: expected a recording (.mcap)", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The MCAP file has no pictures in a supported format, or ends before its first camera.
    #[error(
        "no camera in {}: expected a recording of oaktap or images as foxglove.RawImage, CompressedImage or CompressedVideo \
         (protobuf), sensor_msgs/msg/Image or CompressedImage (cdr), found {found}", path.display()
    )]
    NoCamera {
        /// The file.
        path: PathBuf,
        /// The content of the file, in words.
        found: String,
    },
    /// The file names more cameras than are read.
    #[error("{} names {found} cameras: expected at most {limit}", path.display())]
    TooManyCameras {
        /// The file.
        path: PathBuf,
        /// Number of cameras.
        found: usize,
        /// Largest number that is read.
        limit: usize,
    },
    /// The work was stopped by its [`Watch`](super::Watch).
    #[error("stopped at byte {at} of the recording")]
    Stopped {
        /// Position in the file.
        at: u64,
    },
    /// The recorder did not finish the file.
    #[error("the recording was not finished: its last frames may be missing, after byte {at} of the file")]
    Torn {
        /// Position of the first byte that is not part of a complete record.
        at: u64,
    },
    /// The file has another recording after the end of the first one, as files do that were joined byte by byte.
    #[error("another recording begins at byte {at}: its {bytes} bytes are not read")]
    Continues {
        /// Position of the other recording.
        at: u64,
        /// Bytes from there to the end of the file.
        bytes: u64,
    },
    /// A part of the file was changed after it was written.
    #[error("the recording is damaged at byte {at}: {why}")]
    Damaged {
        /// Position of the record or chunk.
        at: u64,
        /// Description of the damage.
        why: String,
    },
    /// A topic of another program has pictures in an encoding that is not supported. The other topics can be read.
    #[error("the topic {topic} is left out: {why}")]
    Unsupported {
        /// Index of its camera in [`Reader::cameras`](super::Reader::cameras).
        camera: usize,
        /// The topic.
        topic: String,
        /// The encoding, and those that are supported.
        why: String,
    },
    /// One of several files of a recording is damaged.
    #[error("{}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// The error.
        source: Box<Self>,
    },
    /// The file cannot be written.
    #[error("cannot write the recording")]
    Write(#[source] McapError),
}

/// What to do with a file that has several recordings.
const SPLIT_HELP: &str = "`tail -c BYTES FILE > second.mcap` saves the other recording to a file of its own";

/// Describes the first bytes of a file.
fn start(found: &[u8]) -> String {
    if found.is_empty() { "an empty file".to_owned() } else { format!("\"{}\" at byte 0", found.escape_ascii()) }
}

impl RecordingError {
    /// Converts an error of reading at this position.
    pub(super) fn read(at: u64, source: io::Error) -> Self {
        if let Some(Stopped { at }) = source.get_ref().and_then(|inner| inner.downcast_ref()) {
            return Self::Stopped { at: *at };
        }
        Self::Read { at, source }
    }

    /// Returns whether a part of the recording is missing or damaged, and the rest can be read.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Torn { .. } | Self::Continues { .. } | Self::Unsupported { .. } => true,
            Self::InFile { source, .. } => source.is_damage(),
            _ => false,
        }
    }

    /// Returns whether the file was not finished, so that its last frames may be missing.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        match self {
            Self::Torn { .. } => true,
            Self::InFile { source, .. } => source.is_torn(),
            _ => false,
        }
    }

    /// Position of the damage in the file.
    pub(super) fn damaged_at(&self) -> Option<u64> {
        match self {
            Self::Damaged { at, .. } | Self::Torn { at } | Self::Continues { at, .. } => Some(*at),
            Self::InFile { source, .. } => source.damaged_at(),
            _ => None,
        }
    }

    /// Adds the number of other damaged places to the text.
    pub(crate) fn and_in_other_places(self, others: usize) -> Self {
        match self {
            Self::Damaged { at, why } if others > 0 => {
                let places = if others == 1 { "place" } else { "places" };
                Self::Damaged { at, why: format!("{why}; also damaged in {others} other {places}") }
            }
            Self::InFile { path, source } => {
                Self::InFile { path, source: Box::new(source.and_in_other_places(others)) }
            }
            other => other,
        }
    }

    /// Returns the file that it is about, if it knows it.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Open { path, .. }
            | Self::NotMcap { path, .. }
            | Self::Folder { path }
            | Self::NoCamera { path, .. }
            | Self::TooManyCameras { path, .. }
            | Self::InFile { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Returns the command to run next, if one helps. `FILE` stands for [its file](Self::path), or for the only one.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NotMcap { .. } => Some("`oaktap record` writes recordings"),
            Self::NoCamera { found, .. } if found.starts_with("a file ") => {
                Some("nothing in it can be read: use another copy of the recording, if there is one")
            }
            Self::NoCamera { .. } => Some("`oaktap record` writes recordings; `mcap info FILE` lists all topics"),
            Self::Folder { .. } => {
                Some("give one file of it; `oaktap replay FILE` plays all, and `oaktap inspect FILE` lists them")
            }
            Self::InFile { source, .. } => source.help(),
            Self::Damaged { .. } | Self::Torn { .. } => {
                Some("`oaktap recover FILE` saves all intact frames to a new file")
            }
            Self::Continues { .. } => Some(SPLIT_HELP),
            Self::Unsupported { .. } => Some("convert the topic to JPEG with the program that recorded it"),
            Self::TooManyCameras { .. }
            | Self::Open { .. }
            | Self::Read { .. }
            | Self::Stopped { .. }
            | Self::Write(_) => None,
        }
    }
}
