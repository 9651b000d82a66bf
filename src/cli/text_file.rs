//! Small text files that the user names.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context as _;

/// The file is read into memory at once.
const TEXT_FILE_MAX_BYTES: u64 = 1 << 20;

/// Reads a text file of at most 1 MiB.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<String> {
    let read = || {
        // Devices such as /dev/zero never end and report no length.
        let mut text = String::new();
        let file = File::open(path)?;
        file.take(TEXT_FILE_MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => io::Error::new(error.kind(), "this is not a text file: expected UTF-8"),
            _ => error,
        })?;
        if text.len() as u64 > TEXT_FILE_MAX_BYTES {
            return Err(io::Error::other(format!(
                "the file is too large: expected at most {TEXT_FILE_MAX_BYTES} bytes"
            )));
        }
        Ok(text)
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}
