//! What can be wrong with a configuration.

use crate::bootloader::bson::BsonError;

/// Why a configuration cannot be read or written. It is left as it is on the camera.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields stand in the texts.
pub enum ConfigError {
    /// The bytes are no document.
    #[error("the camera's configuration cannot be read")]
    Bson(#[from] BsonError),
    /// A key has a value of another kind.
    #[error("`{key}` in the camera's configuration is {found}, expected {expected}")]
    WrongType { key: String, expected: &'static str, found: &'static str },
    /// A key has a value that it cannot have.
    #[error("`{key}` in the camera's configuration is {found}, expected {least} to {most}")]
    OutOfRange { key: String, least: i64, most: i64, found: i64 },
    /// The document is longer than its place on the camera.
    #[error("the configuration has {bytes} bytes, the camera has room for {room}")]
    TooLarge { bytes: usize, room: usize },
}

impl ConfigError {
    /// What to do about it.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "take out what is not needed",
            _ => "save it with `oaktap backup CAMERA`, then `oaktap network CAMERA clear` starts with a new one",
        }
    }
}
