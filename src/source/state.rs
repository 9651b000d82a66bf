//! State of a session.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::SourceError;

/// Where a session stands.
#[derive(Clone, Debug)]
pub enum SessionState {
    /// No frame yet on this attempt.
    Connecting {
        /// Counts from 1 since frames last flowed.
        attempt: u32,
    },
    /// The camera is waited for: it comes by itself.
    Waiting,
    /// Connected, and not a byte has come for too long: the sign of a camera that serves somebody else (wire.md 4.11).
    Silent,
    /// Frames flow.
    Streaming,
    /// Frames flowed, and nothing has come for some frame times.
    Stalled,
    /// No connection.
    Lost {
        /// Why.
        reason: Arc<SourceError>,
        /// Time from then to the next attempt.
        retry_in: Duration,
    },
    /// It is over.
    Ended {
        /// Why, unless it was asked to end or the camera ended a session that does not reconnect.
        error: Option<Arc<SourceError>>,
    },
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting { attempt: 0 | 1 } => f.write_str("connecting"),
            Self::Connecting { attempt } => write!(f, "connecting (attempt {attempt})"),
            Self::Waiting => f.write_str("waiting for the camera to connect"),
            Self::Silent => f.write_str("connected but silent: another client may hold the camera"),
            Self::Streaming => f.write_str("streaming"),
            Self::Stalled => f.write_str("stalled: connected, and no frame comes"),
            Self::Lost { reason, retry_in } => {
                write!(f, "lost: {}; trying again in {:.1} s", reason.kind, retry_in.as_secs_f32())
            }
            Self::Ended { error: None } => f.write_str("ended"),
            Self::Ended { error: Some(error) } => write!(f, "ended: {}", error.kind),
        }
    }
}
