//! Finds gaps between the frames of one camera.

/// An interval is a gap if it is longer than this, in nanoseconds, and than this number of intervals like the last one.
const GAP_MIN_NS: i64 = 2_000_000_000;
const GAP_INTERVALS: i64 = 5;

/// The intervals between the frames of a camera. Slow cameras have long intervals always.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    gap_min_ns: i64,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self { gap_min_ns: i64::MAX }
    }
}

impl Rhythm {
    /// The rhythm of frames that are this many nanoseconds apart.
    pub(crate) fn of(interval_ns: i64) -> Self {
        let mut rhythm = Self::default();
        rhythm.frame(Some(interval_ns));
        rhythm
    }

    /// Returns whether an interval of this many nanoseconds after the last frame is a gap.
    pub(crate) const fn is_gap(self, interval_ns: i64) -> bool {
        interval_ns > self.gap_min_ns
    }

    /// Adds the interval before a frame; `None` if there was no frame before it.
    pub(crate) fn frame(&mut self, interval_ns: Option<i64>) {
        let usual = interval_ns.filter(|interval_ns| !self.is_gap(*interval_ns));
        self.gap_min_ns = usual.map_or(i64::MAX, |usual| usual.max(0).saturating_mul(GAP_INTERVALS).max(GAP_MIN_NS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_long_for_its_camera() {
        const S: i64 = 1_000_000_000;
        let mut rhythm = Rhythm::default();
        rhythm.frame(None);
        assert!(!rhythm.is_gap(3600 * S), "the rhythm is not known");
        rhythm.frame(Some(S / 25));
        assert!(!rhythm.is_gap(2 * S) && rhythm.is_gap(3 * S));
        rhythm.frame(Some(60 * S));
        rhythm.frame(Some(60 * S));
        assert!(!rhythm.is_gap(300 * S) && rhythm.is_gap(301 * S), "a camera with a frame each minute");
    }
}
