//! Errors of configurations.

use crate::bootloader::bson::BsonError;

/// Reason for not reading or writing a configuration. The camera keeps its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum ConfigError {
    /// The bytes are not a BSON document.
    #[error("the camera's configuration cannot be read")]
    Bson(#[from] BsonError),
    /// The value of a key has the wrong type.
    #[error("`{key}` in the camera's configuration is {found}, expected {expected}")]
    WrongType { key: String, expected: &'static str, found: &'static str },
    /// The value of a key is out of range.
    #[error("`{key}` in the camera's configuration is {found}, expected {least} to {most}")]
    OutOfRange { key: String, least: i64, most: i64, found: i64 },
    /// The document is larger than its place on the camera.
    #[error("the configuration is too large: {bytes} bytes, but the camera has room for {room}")]
    TooLarge { bytes: usize, room: usize },
}

impl ConfigError {
    /// Returns the next step for the user.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "remove settings that are not needed",
            _ => "save the configuration with `oaktap backup CAMERA`, then reset it with `oaktap network CAMERA clear`",
        }
    }
}
