//! Small text files that the user names.

use std::io;
use std::path::Path;

use anyhow::Context as _;

/// The file is read into memory at once.
const TEXT_FILE_MAX_BYTES: u64 = 1 << 20;

/// Reads a text file of at most 1 MiB.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<String> {
    let read = || {
        let bytes = std::fs::metadata(path)?.len();
        if bytes > TEXT_FILE_MAX_BYTES {
            let text = format!("the file has {bytes} bytes, expected at most {TEXT_FILE_MAX_BYTES}");
            return Err(io::Error::other(text));
        }
        std::fs::read_to_string(path)
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}
