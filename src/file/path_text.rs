//! Paths in JSON, which is text: bytes that are not UTF-8 become U+FFFD, so that a report is printed for any file.

use std::path::{Path, PathBuf};

use serde::{Serialize as _, Serializer};

/// Serializes a path as text.
///
/// # Errors
/// Those of the serializer.
pub fn serialize_path<S: Serializer>(path: &impl AsRef<Path>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.as_ref().to_string_lossy())
}

/// Serializes a path as text, or its absence.
///
/// # Errors
/// Those of the serializer.
pub fn serialize_optional_path<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(to)
}

/// Serializes paths as a list of texts.
///
/// # Errors
/// Those of the serializer.
pub fn serialize_paths<S: Serializer>(paths: &[impl AsRef<Path>], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(paths.iter().map(|path| path.as_ref().to_string_lossy()))
}
