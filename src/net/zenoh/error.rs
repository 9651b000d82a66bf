//! Errors of sessions with a router, with the next step for the user.

use std::time::Duration;

use super::ZenohRouter;

/// Reason why there is no session, or why it is not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZenohError {
    /// The router does not accept the connection, or is not a router.
    #[error("cannot connect to a Zenoh router at {} port {}: {why}", .router.host, .router.port)]
    Connect {
        /// The router.
        router: ZenohRouter,
        /// The reason.
        why: String,
    },
    /// The router did not answer in time.
    #[error("the Zenoh router at {} port {} did not answer within {} s", .router.host, .router.port, .within.as_secs_f32())]
    NoAnswer {
        /// The router.
        router: ZenohRouter,
        /// The time.
        within: Duration,
    },
    /// The connection to the router was lost.
    #[error("the connection to the Zenoh router at {} port {} was lost", .router.host, .router.port)]
    RouterLost {
        /// The router.
        router: ZenohRouter,
    },
    /// A source with `*` matches several cameras.
    #[error("{pattern} matches several cameras: expected one HOST and one CAMERA")]
    Pattern {
        /// The source.
        pattern: String,
    },
    /// Zenoh refuses the configuration or a declaration: a bug.
    #[error("Zenoh refuses {what}: {why}")]
    Refused {
        /// The setting or the declaration.
        what: String,
        /// The reason.
        why: String,
    },
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
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Connect { .. } => Some(
                "check the address, and that a router runs there: `zenohd` starts one; peers without a router are not supported",
            ),
            Self::RouterLost { .. } => None,
            Self::Pattern { .. } => Some("`oaktap fleet --router ROUTER` lists the cameras"),
            Self::NoAnswer { .. } => Some("check the address, and whether this host reaches it"),
            Self::Refused { .. } | Self::Thread(_) => None,
        }
    }
}
