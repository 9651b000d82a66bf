//! Events of a connection other than its intact frames.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::frame::Received;
use crate::recording::schema::{self, IncidentKind};
use crate::units::count;
use crate::wire::{Damage, Skipped};

/// A number that a camera sends beside its pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Topic on which it was published.
    pub topic: String,
    /// The number. Finite.
    pub value: f64,
    /// The broker had retained it: it is not of the present.
    pub stale: bool,
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.topic, self.value)
    }
}

/// An event with its time. Offered in the order of the stream: after the frames before it, before those that follow.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Arrival of the bytes that revealed the event.
    pub received: Received,
    /// Stream of which frames are missing or damaged; `None`: the first one of the camera, or all.
    pub stream: Option<Arc<str>>,
    /// The event.
    pub event: IncidentEvent,
}

/// Event of a connection other than an intact frame.
#[derive(Clone, Debug)]
pub enum IncidentEvent {
    /// A connection was opened.
    Connected {
        /// Number of the attempt in the session, from 1.
        number: u64,
        /// The camera's address and ours.
        addresses: Option<(SocketAddr, SocketAddr)>,
    },
    /// The connection ended.
    Disconnected {
        /// Reason, as text.
        why: String,
    },
    /// A provisional frame turned out to be damaged.
    Withdrawn {
        /// Number of the frame.
        id: u64,
        /// The damage.
        damage: Damage,
    },
    /// Part of a frame is missing; it was not delivered.
    Lost(Damage),
    /// No datagram of the messages before the next frame arrived.
    NoDatagram {
        /// Number of messages.
        messages: u32,
    },
    /// The far receiver published frames before the next one that did not arrive here.
    NotDelivered {
        /// Number of frames.
        frames: u64,
    },
    /// Bytes were received that belong to no intact frame. Does not include records of unknown kinds: the next frame
    /// carries them.
    Skipped(Skipped),
    /// The detections of the next frame could not be parsed completely.
    BadDetections(String),
    /// The camera left out numbers before the next frame.
    NotSent {
        /// Number of frames.
        frames: u64,
    },
    /// The camera sent a number.
    Measured(Measurement),
    /// An incident that a played recording contains, gaps included.
    Recorded(schema::RecordedIncident),
}

impl IncidentEvent {
    /// Returns the number of frames that are missing because of this event.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        match self {
            Self::Withdrawn { .. } | Self::Lost(_) => 1,
            Self::Connected { .. }
            | Self::Disconnected { .. }
            | Self::Skipped(_)
            | Self::BadDetections(_)
            | Self::Measured(_) => 0,
            Self::NoDatagram { messages } => *messages as u64,
            Self::NotSent { frames } | Self::NotDelivered { frames } => *frames,
            Self::Recorded(incident) => incident.frames,
        }
    }

    /// Returns whether the frames after it are of another connection of the camera, also in a recording that is played.
    #[must_use]
    pub fn ends_connection(&self) -> bool {
        match self {
            Self::Disconnected { .. } => true,
            Self::Recorded(incident) => incident.kind() == Some(IncidentKind::Disconnected),
            _ => false,
        }
    }

    /// Returns the number that the camera sent, now or in a recording that is played.
    #[must_use]
    pub fn measurement(&self) -> Option<Measurement> {
        match self {
            Self::Measured(measurement) => Some(measurement.clone()),
            Self::Recorded(incident) if incident.kind() == Some(IncidentKind::Measurement) => {
                Some(Measurement { topic: incident.text.clone(), value: incident.value, stale: incident.stale })
            }
            _ => None,
        }
    }
}

impl fmt::Display for IncidentEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { number, addresses: Some((camera, us)) } => {
                write!(f, "connection {number}: {camera} -> {us}")
            }
            Self::Connected { number, addresses: None } => write!(f, "connection {number}"),
            Self::Disconnected { why } | Self::BadDetections(why) => f.write_str(why),
            Self::Withdrawn { id, damage } => write!(f, "frame {id}: {damage}"),
            Self::Lost(damage) => damage.fmt(f),
            Self::NoDatagram { messages } => {
                write!(f, "no datagram arrived of {}", count(u64::from(*messages), "message", "messages"))
            }
            Self::NotDelivered { frames } => {
                write!(f, "{} of the far receiver did not arrive", count(*frames, "frame", "frames"))
            }
            Self::NotSent { frames } => {
                write!(f, "the camera left out {}", count(*frames, "frame number", "frame numbers"))
            }
            Self::Measured(measurement) => measurement.fmt(f),
            Self::Recorded(incident) => f.write_str(&incident.text),
            Self::Skipped(skipped) => skipped.fmt(f),
        }
    }
}

impl From<&IncidentEvent> for schema::RecordedIncident {
    fn from(event: &IncidentEvent) -> Self {
        let kind = match event {
            IncidentEvent::Connected { .. } => IncidentKind::Connected,
            IncidentEvent::Disconnected { .. } => IncidentKind::Disconnected,
            IncidentEvent::Withdrawn { .. } => IncidentKind::Withdrawn,
            IncidentEvent::Lost(_) | IncidentEvent::NoDatagram { .. } | IncidentEvent::NotDelivered { .. } => {
                IncidentKind::Lost
            }
            IncidentEvent::Skipped(_) => IncidentKind::Skipped,
            IncidentEvent::BadDetections(_) => IncidentKind::BadDetections,
            IncidentEvent::NotSent { .. } => IncidentKind::NotSent,
            IncidentEvent::Measured(Measurement { topic, value, stale }) => {
                let kind = IncidentKind::Measurement.to_string();
                return Self { kind, text: topic.clone(), value: *value, stale: *stale, ..Self::default() };
            }
            IncidentEvent::Recorded(incident) => return incident.clone(),
        };
        let incident =
            Self { kind: kind.to_string(), text: event.to_string(), frames: event.frames(), ..Self::default() };
        match event {
            IncidentEvent::Skipped(Skipped { at, len, found, .. }) => {
                let shown = usize::try_from(*len).map_or(found.len(), |len| len.min(found.len()));
                Self { at: *at, bytes: *len, found: found[..shown].to_vec(), ..incident }
            }
            _ => incident,
        }
    }
}
