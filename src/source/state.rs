//! State of a session.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::SourceError;
use crate::stats::Rates;
use crate::units::rounded_time;

/// State of a session.
#[derive(Clone, Debug)]
pub enum SessionState {
    /// Connecting, or connected without a frame so far.
    Connecting {
        /// Number of the attempt since frames were last received, from 1.
        attempt: u32,
    },
    /// Waiting for the camera to connect to this host.
    Waiting,
    /// Connected to a broker, but without a message for [`first_byte`](super::Timeouts::first_byte).
    Subscribed {
        /// The topic filter.
        topic: Arc<str>,
    },
    /// Connected to a router, but the far receiver, its camera, or the stream of this camera is not there.
    Absent {
        /// What is not there, for people.
        why: Arc<str>,
    },
    /// Connected, but without a byte for [`first_byte`](super::Timeouts::first_byte): a camera that serves another client
    /// behaves like this (wire.md 4.11).
    Silent,
    /// Receiving frames.
    Streaming,
    /// Connected, but without a byte for [`stalled`](super::Timeouts::stalled).
    Stalled,
    /// A camera that sends pictures on events only, without a byte for [`stalled`](super::Timeouts::stalled).
    Paused,
    /// A recording that is played has no frames at the position of the playback.
    Outside(Outside),
    /// Not connected.
    Lost {
        /// Error of the last connection or attempt.
        reason: Arc<SourceError>,
        /// Delay before the next attempt.
        retry_in: Duration,
    },
    /// Ended for good.
    Ended {
        /// Error that ended the session. `None` if it was stopped, or if the camera closed a connection with frames and the
        /// session does not reconnect.
        error: Option<Arc<SourceError>>,
    },
}

/// Where a recording has no frames. Times are those since the start of the playback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// Before its first frame.
    Before {
        /// Time of its first frame.
        begins: Duration,
    },
    /// Between two frames.
    Gap {
        /// Time of the next frame.
        until: Duration,
    },
    /// Between two frames, where no camera has any: the playback goes on with the next frame.
    Skipped {
        /// Time between the frames.
        gap: Duration,
    },
    /// Between two frames, after a step back.
    Between,
    /// After its last frame.
    After,
}

/// Formats a time since the start of a playback: minutes and seconds, and hours if there are any.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before { begins } => write!(f, "begins at {}", clock(*begins)),
            Self::Gap { until } => write!(f, "no frames until {}", clock(*until)),
            Self::Skipped { gap } => write!(f, "no frames for {}, skipping", rounded_time(*gap)),
            Self::Between => f.write_str("no frames here"),
            Self::After => f.write_str("has ended"),
        }
    }
}

impl SessionState {
    /// Returns the state as one word of a fixed list: `connecting`, `waiting`, `silent`, `streaming`, `stalled`, `outside`,
    /// `lost` or `ended`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Connecting { .. } => "connecting",
            Self::Waiting | Self::Subscribed { .. } | Self::Absent { .. } | Self::Paused => "waiting",
            Self::Silent => "silent",
            Self::Streaming => "streaming",
            Self::Stalled => "stalled",
            Self::Outside(_) => "outside",
            Self::Lost { .. } => "lost",
            Self::Ended { .. } => "ended",
        }
    }

    /// Returns the rates over the last frames if frames arrive now, and 0 otherwise.
    #[must_use]
    pub const fn rates_now(&self, last: Rates) -> Rates {
        match self {
            Self::Streaming => last,
            _ => Rates { fps_device: 0.0, fps_arrival: 0.0, mbit_s: 0.0, jitter_us: 0.0 },
        }
    }

    /// Returns the error of the last connection or attempt, if the camera is not connected because of it.
    #[must_use]
    pub fn reason(&self) -> Option<&SourceError> {
        match self {
            Self::Lost { reason, .. } => Some(reason),
            Self::Ended { error } => error.as_deref(),
            _ => None,
        }
    }
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting { attempt: 0 | 1 } => f.write_str("connecting"),
            Self::Connecting { attempt } => write!(f, "connecting (attempt {attempt})"),
            Self::Waiting => f.write_str("waiting for the camera"),
            Self::Subscribed { topic } => {
                write!(f, "connected to the broker; nothing has been published on {topic} yet")
            }
            Self::Absent { why } => write!(f, "waiting: {why}"),
            Self::Silent => f.write_str("connected but silent: another client may hold the camera"),
            Self::Streaming => f.write_str("streaming"),
            Self::Stalled => f.write_str("stalled: connected, but no frames arrive"),
            Self::Paused => f.write_str("waiting for the next picture"),
            Self::Outside(outside) => outside.fmt(f),
            Self::Lost { reason, retry_in } => {
                let lost = if reason.kind.was_connected() { "connection lost: " } else { "" };
                write!(f, "{lost}{}; retrying in {:.1} s", reason.kind, retry_in.as_secs_f32())
            }
            Self::Ended { error: None } => f.write_str("ended"),
            Self::Ended { error: Some(error) } => write!(f, "ended: {}", error.kind),
        }
    }
}
