//! Device time, arrival time, and the detection of stale frames.

/// Microseconds on the camera's clock: since boot, for a standalone camera (wire.md section 2.1). Can be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct DeviceTime(pub i64);

impl DeviceTime {
    /// Returns the microseconds from `earlier` to `self`; negative if the camera's clock went backwards.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Arrival time by this host's monotonic and real-time clocks. Plain numbers, so that tests need no clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Monotonic nanoseconds since an arbitrary start, for intervals and latency.
    pub mono_ns: u64,
    /// Nanoseconds since 1970-01-01 UTC, for files.
    pub unix_ns: i64,
}

/// Detects stale frames, which waited in the camera's queue before we connected. Use a new one for each connection.
///
/// Without a client, the official program keeps nine frames (eight in its queue and one that the producer is adding,
/// wire.md section 2.5). They arrive as fast as the network allows although they were captured one frame period apart;
/// then the device time jumps to the present.
#[derive(Clone, Debug, Default)]
pub struct StaleBurst {
    seen_frames: u32,
    last: Option<(DeviceTime, u64)>,
    /// Device time between the first two frames, as the frame period of the burst.
    spacing_us: Option<i64>,
    over: bool,
}

impl StaleBurst {
    /// Most frames that a camera keeps. A sender that is merely fast looks stale for no longer than this.
    pub const MAX_BURST_FRAMES: u32 = 9;

    /// Longest frame period. A longer step is the jump to the present, even if it is the first step.
    const MAX_PERIOD_US: i64 = 1_000_000;

    /// Adds the next frame and returns whether it is stale. `arrived_ns` is monotonic.
    ///
    /// Always returns `false` for the first frame, for lack of an interval; if the second is stale, so was the first.
    pub fn observe(&mut self, device: DeviceTime, arrived_ns: u64) -> bool {
        self.seen_frames = self.seen_frames.saturating_add(1);
        self.over |= self.seen_frames > Self::MAX_BURST_FRAMES;
        if self.over {
            return false;
        }
        let Some((last_device, last_ns)) = self.last.replace((device, arrived_ns)) else { return false };
        let step_us = device.since(last_device);
        let arrived_us = arrived_ns.saturating_sub(last_ns) / 1000;
        let spacing_us = *self.spacing_us.get_or_insert(step_us);
        let back_to_back = step_us > 0 && arrived_us < step_us.unsigned_abs() / 2;
        let jump = step_us > Self::MAX_PERIOD_US.min(spacing_us.saturating_add(spacing_us / 2));
        self.over = jump || !back_to_back;
        !self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Classifies frames given as (device milliseconds, arrival milliseconds).
    fn stale(frames: impl IntoIterator<Item = (i64, u64)>) -> Vec<bool> {
        let mut burst = StaleBurst::default();
        let mut observe = |(device, arrival)| burst.observe(DeviceTime(device * 1000), arrival * 1_000_000);
        frames.into_iter().map(&mut observe).collect()
    }

    #[test]
    fn nine_queued_frames_are_stale_until_the_jump() {
        // 40 fps, one minute without a client, 5 ms for a frame on the wire.
        let queued = (0..9_i64).map(|i| (25 * i, 5 * i.unsigned_abs()));
        let fresh = (0..5_i64).map(|i| (60_000 + 25 * i, 50 + 25 * i.unsigned_abs()));
        let mut expected = vec![true; 14];
        expected[0] = false;
        expected[9..].fill(false);
        assert_eq!(stale(queued.chain(fresh)), expected);
    }

    #[test]
    fn jump_ends_a_short_burst() {
        assert_eq!(stale([(0, 0), (25, 1), (50, 2), (100, 3), (125, 4)]), [false, true, true, false, false]);
    }

    #[test]
    fn single_queued_frame_cannot_be_detected() {
        assert_eq!(stale([(0, 0), (60_000, 3), (60_025, 28)]), [false; 3]);
    }

    #[test]
    fn steady_stream_is_never_stale() {
        assert_eq!(stale((0..20_i64).map(|i| (25 * i, 3 + 25 * i.unsigned_abs()))), [false; 20]);
        // One late frame makes the next one look early.
        assert_eq!(stale([(0, 0), (25, 25), (50, 70), (75, 75)]), [false; 4]);
    }

    #[test]
    fn fast_sender_looks_stale_for_nine_frames_only() {
        let all = stale((0..10_000_i64).map(|i| (25 * i, i.unsigned_abs() / 10)));
        assert_eq!(all.iter().filter(|stale| **stale).count(), 8);
        assert!(all[9..].iter().all(|stale| !stale));
    }

    #[test]
    fn device_times_that_do_not_increase_are_not_stale() {
        assert_eq!(stale([(100, 0), (50, 1), (0, 2)]), [false; 3], "backwards");
        assert_eq!(stale([(7, 0), (7, 1), (7, 2)]), [false; 3], "unchanged");
        let mut burst = StaleBurst::default();
        for device in [i64::MIN, i64::MAX, i64::MIN, 0] {
            assert!(!burst.observe(DeviceTime(device), 0));
        }
    }
}
