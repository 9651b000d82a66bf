//! What happens on a connection beside its intact frames.

use std::fmt;
use std::net::SocketAddr;

use crate::frame::Received;
use crate::recording::schema::{self, IncidentKind};
use crate::wire::{Damage, SkipReason, Skipped};

/// Something that happened, and when. Told in the order of the stream: behind the frames before it, before those that
/// follow.
#[derive(Clone, Debug)]
pub struct Incident {
    /// When the bytes arrived that showed it.
    pub received: Received,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// A connection is open.
    Connected {
        /// Counts the attempts of the session, from 1.
        number: u64,
        /// The camera's address and ours.
        addresses: Option<(SocketAddr, SocketAddr)>,
    },
    /// The connection is over.
    Disconnected {
        /// Why, in words.
        why: String,
    },
    /// A frame that was handed out to those who show it proved to be damaged.
    Withdrawn {
        /// Its number.
        id: u64,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A frame came of which a part is missing.
    Lost(Damage),
    /// Bytes came that belong to no intact frame. Records that nobody knows are not among them: the next frame has them.
    Skipped(Skipped),
    /// The detections of the frame that follows could not be read to their end.
    BadDetections(String),
    /// What a recording that is played says to have happened here, gaps included.
    Recorded(schema::RecordedIncident),
}

impl What {
    /// Frames that are missing because of it.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        match self {
            Self::Withdrawn { .. } | Self::Lost(_) => 1,
            Self::Connected { .. } | Self::Disconnected { .. } | Self::Skipped(_) | Self::BadDetections(_) => 0,
            Self::Recorded(incident) => incident.frames,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { number, addresses: Some((camera, us)) } => {
                write!(f, "connection {number}: {camera} -> {us}")
            }
            Self::Connected { number, addresses: None } => write!(f, "connection {number}"),
            Self::Disconnected { why } | Self::BadDetections(why) => f.write_str(why),
            Self::Withdrawn { id, damage } => write!(f, "frame {id}: {damage}"),
            Self::Lost(damage) => damage.fmt(f),
            Self::Recorded(incident) => f.write_str(&incident.text),
            Self::Skipped(Skipped { len, reason, .. }) => match reason {
                SkipReason::DamagedFrame => write!(f, "{len} bytes of a damaged frame"),
                SkipReason::NotAHeader => write!(f, "{len} bytes where a header should stand"),
                SkipReason::ForeignRecord => write!(f, "{len} bytes of records that nobody knows"),
                SkipReason::TooLarge { claimed } => {
                    write!(f, "{len} bytes behind a header that asks for {claimed} bytes, more than is allowed")
                }
            },
        }
    }
}

/// As a recording keeps it.
impl From<&What> for schema::RecordedIncident {
    fn from(what: &What) -> Self {
        let kind = match what {
            What::Connected { .. } => IncidentKind::Connected,
            What::Disconnected { .. } => IncidentKind::Disconnected,
            What::Withdrawn { .. } => IncidentKind::Withdrawn,
            What::Lost(_) => IncidentKind::Lost,
            What::Skipped(_) => IncidentKind::Skipped,
            What::BadDetections(_) => IncidentKind::BadDetections,
            What::Recorded(incident) => return incident.clone(),
        };
        let incident =
            Self { kind: kind.to_string(), text: what.to_string(), frames: what.frames(), ..Self::default() };
        match what {
            What::Skipped(Skipped { at, len, found, .. }) => {
                let shown = usize::try_from(*len).map_or(found.len(), |len| len.min(found.len()));
                Self { at: *at, bytes: *len, found: found[..shown].to_vec(), ..incident }
            }
            _ => incident,
        }
    }
}
