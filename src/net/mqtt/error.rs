//! Errors of brokers, with the next step for the user.

use std::io;
use std::time::Duration;

use rumqttc::ConnectReturnCode;

use crate::net::tls::TlsError;

/// Cause of the end of a connection to a broker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The broker refuses something, or does not follow the protocol.
    #[error(transparent)]
    Broker(#[from] MqttError),
    /// The TLS handshake was not answered in time.
    #[error("cannot connect: no answer within {} s", .0.as_secs_f32())]
    ConnectTimeout(Duration),
    /// Reading or writing failed.
    #[error("the connection failed: {0}")]
    Failed(io::Error),
}

/// Fault of a broker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MqttError {
    /// The broker refuses the user name and the password, or requires them.
    #[error("the broker refuses the connection: {}", if *.given { "bad user name or password" } else { "a user name and a password are required" })]
    Password {
        /// A user name was given.
        given: bool,
    },
    /// The user may not connect.
    #[error("the broker refuses the connection: not authorized, by user name, password or address")]
    NotAuthorized,
    /// The broker does not accept our client identifier.
    #[error("the broker refuses the connection: it does not accept the client identifier")]
    Identifier,
    /// The broker speaks another version of MQTT.
    #[error("the broker refuses the connection: it does not support MQTT 3.1.1")]
    Version,
    /// The broker is there, but its service is not.
    #[error("the broker refuses the connection: its service is unavailable")]
    Unavailable,
    /// The broker closed the connection without an answer to CONNECT.
    #[error("the broker closed the connection without an answer")]
    Unanswered,
    /// The broker closed the connection, because it restarts, or another client uses our identifier.
    #[error("the broker closed the connection")]
    Closed,
    /// The broker refuses the subscription.
    #[error("the broker refuses the subscription to {topic}")]
    Subscription {
        /// The topic filter.
        topic: String,
    },
    /// The broker did not answer in time.
    #[error("the broker did not answer {to} within {} s", .within.as_secs_f32())]
    NoAnswer {
        /// The request.
        to: &'static str,
        /// The time.
        within: Duration,
    },
    /// The answer is not MQTT 3.1.1, or breaks its rules.
    #[error("the broker does not follow MQTT 3.1.1: {0}")]
    Invalid(String),
    /// The certificate of the broker is not trusted.
    #[error("the broker's certificate is not trusted: {0}")]
    Certificate(String),
    /// The TLS handshake failed.
    #[error("the TLS handshake with the broker failed: {0}")]
    Tls(String),
}

impl From<TlsError> for MqttError {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Certificate(why) => Self::Certificate(why),
            TlsError::Handshake(why) => Self::Tls(why),
        }
    }
}

/// The next step when a broker that has accepted a connection before is not there any more.
pub(crate) const GONE_HELP: &str =
    "the broker has accepted a connection before: check that it still runs, and that this host reaches it";

impl MqttError {
    /// Returns the error for an answer to CONNECT; `None` if the broker accepts. `given`: a user name was sent.
    pub(super) fn refused(code: ConnectReturnCode, given: bool) -> Option<Self> {
        match code {
            ConnectReturnCode::Success => None,
            ConnectReturnCode::BadUserNamePassword => Some(Self::Password { given }),
            ConnectReturnCode::NotAuthorized if !given => Some(Self::Password { given }),
            ConnectReturnCode::NotAuthorized => Some(Self::NotAuthorized),
            ConnectReturnCode::RefusedProtocolVersion => Some(Self::Version),
            ConnectReturnCode::BadClientId => Some(Self::Identifier),
            ConnectReturnCode::ServiceUnavailable => Some(Self::Unavailable),
        }
    }

    /// Returns the next step for the user. `was_connected`: the broker has accepted a connection before, so that address and
    /// port are right.
    pub(crate) fn help(&self, was_connected: bool) -> Option<&'static str> {
        match self {
            Self::Unanswered | Self::NoAnswer { .. } | Self::Closed if was_connected => Some(GONE_HELP),
            Self::Password { .. } => Some(
                "give them as mqtt://USER:PASSWORD@BROKER/TOPIC; write `@`, `:` and `/` in them as %40, %3A and %2F",
            ),
            Self::NotAuthorized => {
                Some("check the user name and the password, and the broker's access rules for this user and this host")
            }
            Self::Identifier => Some("allow client identifiers that begin with `oaktap` in the broker's configuration"),
            Self::Subscription { .. } => {
                Some("check the broker's access rules: this user needs the right to read the topic")
            }
            Self::Unanswered => Some("check the port, and whether the broker expects mqtts:// instead of mqtt://"),
            Self::NoAnswer { .. } | Self::Closed | Self::Invalid(_) => {
                Some("check the port: brokers use 1883 for mqtt:// and 8883 for mqtts://")
            }
            Self::Certificate(_) => {
                Some("if this is a broker with a certificate of its own, accept any with mqtts://BROKER/TOPIC#insecure")
            }
            Self::Tls(_) => Some("check the port, and whether the broker expects mqtt:// instead of mqtts://"),
            Self::Version => Some("allow MQTT 3.1.1 in the broker's configuration"),
            Self::Unavailable => None,
        }
    }
}
