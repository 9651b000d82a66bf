//! Values of configuration keys.

use std::time::Duration;

use super::error::ConfigError;
use crate::bootloader::bson::{BsonDocument, BsonValue};

/// The time for which a bootloader waits for a host before it boots the application.
///
/// Serialized as seconds, `"none"` or `"forever"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostWait {
    /// Not at all: it boots the application immediately.
    None,
    /// For this long, with a resolution of milliseconds.
    For(Duration),
    /// Until a host connects: the application is never booted without one.
    Forever,
}

impl serde::Serialize for HostWait {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::For(time) => serializer.serialize_f64(time.as_secs_f64()),
            Self::Forever => serializer.serialize_str("forever"),
        }
    }
}

impl From<HostWait> for BsonValue {
    fn from(wait: HostWait) -> Self {
        match wait {
            HostWait::None => Self::Int32(0),
            HostWait::For(time) => Self::Int32(i32::try_from(time.as_millis()).unwrap_or(i32::MAX)),
            HostWait::Forever => Self::Int32(-1),
        }
    }
}

pub(super) fn host_wait(part: &BsonDocument, within: &str) -> Result<Option<HostWait>, ConfigError> {
    let Some(number) = integer(part, "timeoutMs", within, i64::from(i32::MIN), i64::from(i32::MAX))? else {
        return Ok(None);
    };
    Ok(Some(match u64::try_from(number) {
        Err(_) => HostWait::Forever,
        Ok(0) => HostWait::None,
        Ok(number) => HostWait::For(Duration::from_millis(number)),
    }))
}

/// Reads an integer from `least` to `most`. `None` if the key is missing. `within` is the prefix of the key in errors.
pub(super) fn integer(
    part: &BsonDocument,
    key: &str,
    within: &str,
    least: i64,
    most: i64,
) -> Result<Option<i64>, ConfigError> {
    let Some(value) = part.get(key) else { return Ok(None) };
    let key = || format!("{within}{key}");
    match value.as_integer() {
        Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
        Some(found) => Err(ConfigError::OutOfRange { key: key(), least, most, found }),
        None => Err(ConfigError::WrongType { key: key(), expected: "a number", found: value.kind() }),
    }
}
