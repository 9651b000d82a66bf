//! Frames by outcome, and the place of damage.

/// Frames by outcome. `received == confirmed + withdrawn + pending` at every moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default)]
pub struct FrameCounts {
    /// Frames received completely, as far as their header shows.
    pub received: u64,
    /// Received frames that were received before: a part of a recording that was played again.
    pub repeated: u64,
    /// Received frames that were confirmed to be intact.
    pub confirmed: u64,
    /// Received frames that were found to be damaged afterwards.
    pub withdrawn: u64,
    /// Received frames that are neither confirmed nor withdrawn yet.
    pub pending: u64,
    /// Frames received partly.
    pub lost: u64,
    /// Lost frames for which there was no memory (`--buffer`).
    pub no_memory: u64,
    /// Frames received partly because we closed the connection.
    pub unfinished: u64,
    /// Received frames that were captured before we connected and waited in the camera's queue, without [`Self::repeated`] ones.
    pub stale: u64,
    /// Frames of which nothing arrived, whether lost on the way or never sent: counted by number where the camera
    /// numbers its frames ([`Stats::numbers`](super::Stats::numbers)), plus [`Self::estimated`]. Those of which a part
    /// arrived are in [`Self::lost`].
    pub missing: u64,
    /// Missing frames among those without a number, estimated from gaps in device time.
    pub estimated: u64,
    /// Pictures made.
    pub pictures: u64,
    /// Frames whose picture was displayed. A picture that is drawn again counts once.
    pub shown: u64,
}

impl FrameCounts {
    /// Returns whether [`Self::missing`] is an estimate, at least in part. Frames without a number that a recording marks as missing
    /// were counted by the recorder.
    #[must_use]
    pub const fn missing_is_estimate(&self) -> bool {
        self.missing > 0 && self.estimated > 0
    }
}

/// Frames of video that a decoder took, by outcome. `taken == decoded + failed + skipped + pending` at every moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct VideoCounts {
    /// Frames that the decoder took. Those that it had no time for are in the lane `decode`.
    pub taken: u64,
    /// Frames decoded to a picture.
    pub decoded: u64,
    /// Frames that the decoder rejected, because they are damaged or not supported.
    pub failed: u64,
    /// Frames that were not decoded, because they depend on a frame that was missing or rejected.
    pub skipped: u64,
    /// Frames whose picture is not out yet.
    pub pending: u64,
}

/// Place of damage in a stream.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DamagePlace {
    /// Number of the connection, from 1.
    pub connection: u64,
    /// Start of the damaged bytes, if they were skipped, or else the bytes received until the damage was found; counted from
    /// the start of the connection.
    pub byte: u64,
    /// Frames received on the connection before.
    pub frames: u64,
    /// The damage, as text.
    pub what: String,
}
