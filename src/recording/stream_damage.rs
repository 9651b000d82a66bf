//! Counts the damage of a stream by the incidents of its recording: for the recorder while it writes them, and for readers.

use serde::Serialize;

use super::schema::{IncidentKind, RecordedIncident};
use crate::frame::{Frame, PayloadKind, jpeg_defect};
use crate::stats::words;
use crate::units::count;

/// Frames and bytes of a stream that are not in its recording, or not intact, because they did not arrive. The ledger of a
/// session counts the same: see [`Stats`](crate::stats::Stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamDamage {
    /// Frames that proved to be damaged after they had arrived.
    pub withdrawn: u64,
    /// Frames that did not arrive, or only in part.
    pub lost: u64,
    /// Frames whose numbers the camera left out.
    pub not_sent: u64,
    /// Number of times that the decoder had to search for the next header.
    pub resyncs: u64,
    /// Bytes that were skipped in these searches.
    pub skipped_bytes: u64,
    /// Frames with detections that could not be parsed completely.
    pub bad_detections: u64,
    /// Frames whose JPEG ends early. They are in the recording as the camera sent them.
    pub bad_pictures: u64,
    /// The decoder searches for the next header.
    #[serde(skip)]
    sync_lost: bool,
}

impl StreamDamage {
    /// Returns whether there is no damage.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        let Self { withdrawn, lost, not_sent, resyncs, skipped_bytes, bad_detections, bad_pictures, .. } = *self;
        withdrawn + lost + not_sent + resyncs + skipped_bytes + bad_detections + bad_pictures == 0
    }

    /// Adds the damage of another recording.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.withdrawn += other.withdrawn;
        self.lost += other.lost;
        self.not_sent += other.not_sent;
        self.resyncs += other.resyncs;
        self.skipped_bytes += other.skipped_bytes;
        self.bad_detections += other.bad_detections;
        self.bad_pictures += other.bad_pictures;
    }

    /// Returns each amount that is not 0, with the words that the ledger of a session uses.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        let counted = [
            (self.withdrawn, words::WITHDRAWN),
            (self.lost, words::LOST),
            (self.resyncs, words::RESYNCS),
            (self.skipped_bytes, words::DAMAGED_BYTES),
            (self.bad_detections, words::BAD_DETECTIONS),
            (self.bad_pictures, words::BAD_PICTURES),
            (self.not_sent, words::NOT_SENT),
        ];
        counted.into_iter().filter(|(amount, _)| *amount > 0).map(|(amount, [one, many])| count(amount, one, many))
    }

    /// Counts the next frame. `is_bad_picture`: see [`is_bad_picture`].
    pub(crate) fn frame(&mut self, is_bad_picture: bool) {
        self.sync_lost = false;
        self.bad_pictures += u64::from(is_bad_picture);
    }

    /// Counts the next incident.
    pub(crate) fn incident(&mut self, incident: &RecordedIncident) {
        match incident.kind() {
            Some(IncidentKind::Withdrawn) => self.withdrawn += 1,
            Some(IncidentKind::Lost) => self.lost += incident.frames.max(1),
            Some(IncidentKind::NotSent) => self.not_sent += incident.frames,
            Some(IncidentKind::BadDetections) => self.bad_detections += 1,
            Some(IncidentKind::Skipped) => {
                // The decoder reports a long range in parts.
                self.resyncs += u64::from(!std::mem::replace(&mut self.sync_lost, true));
                self.skipped_bytes += incident.bytes;
            }
            // Bytes before the end of a connection are skipped without a search.
            Some(IncidentKind::Disconnected) => {
                self.resyncs -= u64::from(std::mem::take(&mut self.sync_lost));
            }
            Some(
                IncidentKind::Gap
                | IncidentKind::Connected
                | IncidentKind::ClockJump
                | IncidentKind::Trigger
                | IncidentKind::Measurement,
            )
            | None => {}
        }
    }
}

/// Returns whether a frame is a JPEG that ends early.
pub(crate) fn is_bad_picture(frame: &Frame) -> bool {
    frame.kind == PayloadKind::Jpeg && jpeg_defect(frame.payload()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(kind: IncidentKind, frames: u64, bytes: u64) -> RecordedIncident {
        RecordedIncident { kind: kind.to_string(), frames, bytes, ..RecordedIncident::default() }
    }

    #[test]
    fn a_search_in_several_parts_is_one_resync_and_the_end_of_a_connection_is_none() {
        let mut damage = StreamDamage::default();
        assert!(damage.is_none() && damage.texts().next().is_none());
        for kind in [IncidentKind::Lost, IncidentKind::Skipped, IncidentKind::Skipped] {
            damage.incident(&incident(kind, 1, 500));
        }
        damage.frame(false);
        damage.incident(&incident(IncidentKind::Skipped, 0, 7));
        damage.incident(&incident(IncidentKind::Disconnected, 0, 0));
        damage.incident(&incident(IncidentKind::NotSent, 4, 0));
        damage.incident(&incident(IncidentKind::Gap, 9, 0));
        damage.frame(true);
        assert!(!damage.is_none());
        let texts: Vec<_> = damage.texts().collect();
        let expected = [
            "1 lost frame",
            "1 loss of frame sync",
            "1007 skipped bytes",
            "1 frame whose JPEG ends early",
            "4 frames not sent",
        ];
        assert_eq!(texts, expected);
    }
}
