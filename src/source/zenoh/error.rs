//! Classes of the errors of routers.

use crate::net::zenoh::ZenohError;
use crate::source::{SourceErrorClass, SourceErrorKind};

impl From<ZenohError> for SourceErrorKind {
    fn from(error: ZenohError) -> Self {
        Self::Zenoh(error)
    }
}

impl ZenohError {
    /// Returns whether retrying can help.
    pub(crate) fn class(&self) -> SourceErrorClass {
        match self {
            Self::Connect { .. } | Self::NoAnswer { .. } | Self::RouterLost { .. } => SourceErrorClass::Retry,
            Self::Refused { .. } | Self::Pattern { .. } | Self::Thread(_) => SourceErrorClass::Fatal,
        }
    }

    /// Returns whether there was a connection, which is lost now.
    pub(crate) const fn was_connected(&self) -> bool {
        matches!(self, Self::RouterLost { .. })
    }
}
