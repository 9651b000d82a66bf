//! Errors of sessions with a router, with the next step for the user.

use std::time::Duration;

use super::ZenohRouter;

/// Reason why there is no session, or why it is not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ZenohError {
    /// The router does not accept the connection, or is not a router.
    #[error("cannot connect to a Zenoh router at {} port {}: {why}", .router.host, .router.port)]
    Connect { router: ZenohRouter, why: String },
    /// The router did not answer in time.
    #[error("the Zenoh router at {} port {} did not answer within {} s", .router.host, .router.port, .within.as_secs_f32())]
    NoAnswer { router: ZenohRouter, within: Duration },
    /// Zenoh refuses the configuration or a declaration: a bug.
    #[error("Zenoh refuses {what}: {why}")]
    Refused { what: String, why: String },
    /// The system refuses a thread.
    #[error("cannot start a thread: {0}")]
    Thread(String),
}

impl ZenohError {
    /// Returns the error of a declaration, such as that of a publisher on a key.
    pub(crate) fn refused(what: impl Into<String>, why: &zenoh::Error) -> Self {
        Self::Refused { what: what.into(), why: why.to_string() }
    }

    /// Returns the next step for the user.
    pub(crate) fn help(&self) -> Option<&'static str> {
        match self {
            Self::Connect { .. } => Some(
                "check the address, and that a router runs there: `zenohd` starts one; peers without a router are not supported",
            ),
            Self::NoAnswer { .. } => Some("check the address, and whether this host reaches it"),
            Self::Refused { .. } | Self::Thread(_) => None,
        }
    }
}
