//! Cameras that sent nothing, or nothing that can be shown: the reason and the next step.

use std::sync::{Arc, Mutex};

use oaktap::source::{Session, SessionState, SourceError};
use oaktap::units::count;
use oaktap::view::ViewHealth;
use oaktap::wire::DatagramCounts;

use super::present;

/// Why no frame of a camera arrived, by the last state of its session.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// The last connection or attempt failed.
    Error(Arc<SourceError>),
    /// The last attempt to connect failed, and another one was made since then.
    Unconnected(Arc<SourceError>),
    /// The user stopped the command before a camera has to send a frame.
    Stopped,
    /// The last connection was open, but no byte arrived: the state as text.
    Silent(String),
    NoFrame,
    /// No frame was in the datagrams that arrived.
    NoFrameIn {
        datagrams: DatagramCounts,
    },
    /// There was no memory for its frames.
    NoMemory,
    /// None of its frames became a picture.
    NoPicture {
        frames: u64,
        reason: Unpictured,
    },
}

/// Why none of a camera's frames became a picture.
#[derive(Clone, Debug)]
pub(crate) struct Unpictured {
    pub(crate) error: String,
    pub(crate) help: Option<&'static str>,
}

impl From<ViewHealth> for Unpictured {
    fn from(health: ViewHealth) -> Self {
        Self { error: health.error.unwrap_or_default(), help: health.help }
    }
}

pub(super) type LastTrouble = Arc<Mutex<Option<Trouble>>>;

/// A camera of which no frame arrived, or whose session ended.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) camera: String,
    /// Exit code 1, not 3.
    pub(super) is_fatal: bool,
    /// The cause in one line, for `--json`.
    pub(super) text: String,
    /// The task that failed.
    pub(super) what: String,
    pub(super) cause: anyhow::Error,
}

impl Failure {
    pub(super) fn new(session: &Session, trouble: Trouble, is_fatal: bool) -> Self {
        let task = if matches!(trouble, Trouble::NoPicture { .. }) { "show" } else { "receive" };
        let what = match (session.name(), session.spec().to_string()) {
            // Its name is a part of the source.
            (name, spec) if session.spec().recording().is_none() && name == session.spec().name() => {
                format!("cannot {task} the stream of {spec}")
            }
            (name, spec) => format!("cannot {task} the stream of {name} ({spec})"),
        };
        let help = session.spec().help_without_frames();
        let (text, cause) = match trouble {
            Trouble::Error(error) | Trouble::Unconnected(error) => (error.kind.to_string(), anyhow::Error::new(error)),
            Trouble::Stopped => {
                let text = "stopped before the first frame".to_owned();
                (text.clone(), anyhow::anyhow!(text))
            }
            Trouble::Silent(text) => (text.clone(), present::advised(anyhow::anyhow!(text), help)),
            Trouble::NoMemory => {
                let text = "--buffer is too small for one of its frames".to_owned();
                let help = "give --buffer several times the size of a frame for each camera";
                (text.clone(), present::advised(anyhow::anyhow!(text), help))
            }
            Trouble::NoFrameIn { datagrams: counts } if counts.messages_incomplete > 0 && counts.invalid == 0 => {
                let (frames, missing) = (counts.messages_incomplete + counts.messages_missing, counts.missing);
                let text = format!(
                    "no complete frame: all {} lost datagrams, {missing} of {} that were sent",
                    count(frames, "frame", "frames"),
                    counts.received + missing
                );
                let help = "the network or this host drops datagrams: raise the receive buffer of this host (docs/udp.md), send \
                            smaller pictures or JPEG, or use TCP";
                (text.clone(), present::advised(anyhow::anyhow!(text), help))
            }
            Trouble::NoFrameIn { datagrams: DatagramCounts { received: datagrams, .. } } => {
                let text = format!("{} received, but no frame", count(datagrams, "datagram", "datagrams"));
                let help = "compare the datagrams with docs/udp.md: a header of 16 bytes with big-endian numbers before each \
                            part, or a whole message of at most 65507 bytes";
                (text.clone(), present::advised(anyhow::anyhow!(text), help))
            }
            Trouble::NoPicture { frames, reason: Unpictured { error, help } } => {
                let text = format!("none of {} could be shown: {error}", count(frames, "frame", "frames"));
                (text.clone(), present::with_help(anyhow::anyhow!(text), help))
            }
            Trouble::NoFrame => {
                let text = "no frame received".to_owned();
                (text.clone(), present::advised(anyhow::anyhow!(text), help))
            }
        };
        Self { camera: session.name().to_owned(), is_fatal, text, what, cause }
    }
}

/// Updates the last trouble of a session with its new state.
pub(super) fn note_trouble(last: &mut Option<Trouble>, state: &SessionState) {
    *last = match (state, last.take()) {
        (SessionState::Lost { reason, .. }, _) => Some(Trouble::Error(Arc::clone(reason))),
        (SessionState::Silent | SessionState::Subscribed { .. } | SessionState::Absent { .. }, _) => {
            Some(Trouble::Silent(state.to_string()))
        }
        (SessionState::Connecting { .. }, Some(Trouble::Error(reason))) if !reason.kind.was_connected() => {
            Some(Trouble::Unconnected(reason))
        }
        (SessionState::Streaming | SessionState::Stalled | SessionState::Paused | SessionState::Outside(_), _) => None,
        (SessionState::Connecting { .. } | SessionState::Waiting | SessionState::Ended { .. }, last) => last,
    };
}
