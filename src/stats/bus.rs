//! Counts of a camera that another oaktap receives and publishes on a bus: what was lost before the bus, on it, and here.

use serde::{Deserialize, Serialize};

use super::{FrameCounts, SequenceCounts, Stats};

/// Frames of a bus by outcome, and the books of the receiver that publishes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BusCounts {
    /// Frames that arrived intact.
    pub received: u64,
    /// Frames that the far receiver numbered and that did not arrive, or were dropped here: gaps in its numbers.
    pub missing: u64,
    /// Messages that were dropped here, because oaktap took the ones before too slowly. Their frames are in
    /// [`Self::missing`].
    pub dropped_here: u64,
    /// Messages that are not an intact frame.
    pub invalid: u64,
    /// Times that the numbers began again, because the far receiver was restarted. Frames between the last number before and
    /// the first one after it are not counted.
    pub restarts: u64,
    /// The counts of the far receiver; `None` until it has sent some.
    pub far: Option<FarCounts>,
}

impl BusCounts {
    /// Returns the frames that were lost between the ledger of the far receiver and this host.
    #[must_use]
    pub const fn lost_on_bus(&self) -> u64 {
        self.missing.saturating_sub(self.dropped_here)
    }
}

/// The books of the far receiver, since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FarCounts {
    /// Frames that it received completely.
    pub received: u64,
    /// Frames that it confirmed and published.
    pub confirmed: u64,
    /// Frames that the camera numbered and never sent, or reports to have dropped.
    pub not_sent: u64,
    /// Frames that the camera sent and that the far receiver did not receive intact.
    pub lost: u64,
    /// Frames among [`Self::lost`] that are estimated, because the camera does not number them.
    pub estimated: u64,
    /// Connections to the camera after the first.
    pub reconnects: u64,
}

/// The fields of a [`Summary`](super::Summary) that [`FarCounts`] are made of. Another version may send more or fewer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FarSummary {
    frames: FrameCounts,
    numbers: Option<SequenceCounts>,
    dropped_by_camera: u64,
    reconnects: u64,
}

impl FarCounts {
    /// Reads the JSON of a [`Summary`](super::Summary).
    ///
    /// # Errors
    /// It is not such JSON.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let FarSummary { frames, numbers, dropped_by_camera, reconnects } = serde_json::from_slice(json)?;
        let numbered = numbers.map_or(0, |counts| counts.not_sent);
        let without_a_byte = frames.missing.saturating_sub(numbered);
        Ok(Self {
            received: frames.received,
            confirmed: frames.confirmed,
            not_sent: numbered.max(dropped_by_camera),
            lost: frames.withdrawn.saturating_add(frames.lost).saturating_add(without_a_byte),
            estimated: frames.estimated,
            reconnects,
        })
    }
}

impl Stats {
    /// The camera is received from a bus.
    pub fn on_bus(&mut self) -> &mut BusCounts {
        self.bus.get_or_insert_default()
    }

    /// The far receiver numbered these frames, and none of them arrived before the next one.
    pub fn missing_on_bus(&mut self, frames: u64) {
        // The camera sent them, so its numbers for them are not those of frames that it left out.
        self.sequence.missing_in_recording(frames);
        let bus = self.on_bus();
        bus.missing = bus.missing.saturating_add(frames);
        let lost = &mut self.connection.lost_since_frame;
        *lost = lost.saturating_add(frames);
        self.damaged(|| "frames are missing between the far receiver and here".to_owned());
        self.count_missing();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_of_a_far_receiver_tell_the_camera_from_the_network() {
        let frames = FrameCounts {
            received: 100,
            confirmed: 98,
            withdrawn: 2,
            lost: 3,
            missing: 9,
            estimated: 4,
            ..FrameCounts::default()
        };
        let stats = Stats { frames, dropped_by_camera: 5, ..Stats::default() };
        let json = serde_json::to_vec(&stats.summary("front")).expect("JSON");
        let counts = FarCounts::parse(&json).expect("a summary");
        let expected = FarCounts { received: 100, confirmed: 98, not_sent: 5, lost: 14, estimated: 4, reconnects: 0 };
        assert_eq!(counts, expected);
        assert_eq!(FarCounts::parse(b"{\"frames\":{\"received\":7},\"new\":[]}").map(|far| far.received).ok(), Some(7));
        assert!(FarCounts::parse(b"[").is_err() && FarCounts::parse(b"{\"frames\":{\"received\":-1}}").is_err());
    }

    #[test]
    fn frames_missing_on_the_bus_are_lost_and_not_the_cameras() {
        let mut stats = Stats::default();
        let numbered = |stats: &mut Stats, numbers: &[u64]| {
            for number in numbers {
                let mut frame = crate::frame::Frame::with_payload([0; 8]);
                (frame.camera_seq, frame.staleness) = (Some(*number), crate::frame::Staleness::Known(false));
                stats.event(&crate::wire::Event::Frame(std::sync::Arc::new(frame)));
                stats.event(&crate::wire::Event::Confirmed(0));
            }
        };
        stats.connected();
        numbered(&mut stats, &[0, 1, 2]);
        stats.missing_on_bus(4);
        stats.on_bus().dropped_here = 1;
        // The camera left out one of the numbers itself.
        numbered(&mut stats, &[8]);
        let numbers = stats.numbers().expect("numbers");
        assert_eq!((numbers.damaged, numbers.not_sent, stats.frames.missing), (4, 1, 5));
        let summary = stats.summary("front");
        let findings: Vec<_> = summary.findings.iter().map(|finding| (finding.count, finding.text.as_str())).collect();
        assert_eq!(
            findings,
            [
                ("numbers.not_sent", "1 frame that the far receiver did not receive"),
                ("bus.missing", "3 frames lost on the bus"),
                ("bus.dropped_here", "1 frame dropped here, because oaktap was too slow"),
            ]
        );
        assert!(!summary.lossless && summary.balances);
    }
}
