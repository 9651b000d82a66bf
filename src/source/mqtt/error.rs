//! Classes of a broker's errors.

use crate::net::mqtt::{ClientError, MqttError};
use crate::source::{SourceErrorClass, SourceErrorKind};

impl From<MqttError> for SourceErrorKind {
    fn from(error: MqttError) -> Self {
        Self::Mqtt(error)
    }
}

impl From<ClientError> for SourceErrorKind {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Broker(error) => Self::Mqtt(error),
            ClientError::ConnectTimeout(limit) => Self::ConnectTimeout(limit),
            ClientError::Failed(error) => Self::Read(error),
        }
    }
}

impl MqttError {
    /// Returns whether retrying can help.
    pub(crate) fn class(&self) -> SourceErrorClass {
        match self {
            Self::NoAnswer { .. } | Self::Unanswered | Self::Closed | Self::Tls(_) | Self::Unavailable => {
                SourceErrorClass::Retry
            }
            _ => SourceErrorClass::Fatal,
        }
    }
}
