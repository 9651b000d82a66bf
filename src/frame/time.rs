//! The clocks: the camera's, and this host's.

/// Microseconds on the camera's clock: since its boot when it runs alone (wire.md section 2.1). Can be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct DeviceTime(pub i64);

impl DeviceTime {
    /// Microseconds from `earlier` to `self`; negative when the camera's clock went backwards.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// When bytes were read here, on both of this host's clocks. Plain numbers, so that tests can make them up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// For intervals and latency: nanoseconds since some moment of this process; never goes backwards.
    pub mono_ns: u64,
    /// For files: nanoseconds since 1970, UTC.
    pub unix_ns: i64,
}

/// Tells the frames that sat in the camera's queue before we connected from those that are new.
///
/// While nobody is connected the official program holds the last nine frames (eight in its queue and one in the hand of
/// the producer, wire.md section 2.5). They arrive as fast as the network carries them although the camera took them
/// a frame time apart; then the device time jumps to the present. One of these for every connection.
#[derive(Clone, Debug, Default)]
pub struct StaleBurst {
    seen: u32,
    last: Option<(DeviceTime, u64)>,
    // Device time between the first two frames of the burst, in microseconds: what a frame time is there.
    spacing_us: Option<i64>,
    over: bool,
}

impl StaleBurst {
    /// Frames that the camera can have held back. A sender that is simply fast is suspected no longer than that.
    const LONGEST: u32 = 9;

    /// No camera that streams is slower than this; a longer step is a jump, even as the first one that is seen.
    const SLOWEST_US: i64 = 1_000_000;

    /// Whether this frame, which follows the ones that were observed before and arrived at this nanosecond of a clock
    /// that never goes backwards, is stale.
    ///
    /// The first frame alone proves nothing and passes for new; when the second is stale, so was the first.
    pub fn observe(&mut self, device: DeviceTime, arrived_ns: u64) -> bool {
        self.seen = self.seen.saturating_add(1);
        self.over |= self.seen > Self::LONGEST;
        if self.over {
            return false;
        }
        let Some((last_device, last_ns)) = self.last.replace((device, arrived_ns)) else { return false };
        let step_us = device.since(last_device);
        let arrived_us = arrived_ns.saturating_sub(last_ns) / 1000;
        let spacing_us = *self.spacing_us.get_or_insert(step_us);
        let back_to_back = step_us > 0 && arrived_us < step_us.unsigned_abs() / 2;
        let jump = step_us > Self::SLOWEST_US.min(spacing_us.saturating_add(spacing_us / 2));
        self.over = jump || !back_to_back;
        !self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these frames, given as (device milliseconds, arrival milliseconds), are stale.
    fn stale(frames: impl IntoIterator<Item = (i64, u64)>) -> Vec<bool> {
        let mut burst = StaleBurst::default();
        let mut observe = |(device, arrival)| burst.observe(DeviceTime(device * 1000), arrival * 1_000_000);
        frames.into_iter().map(&mut observe).collect()
    }

    #[test]
    fn nine_held_frames_then_the_present() {
        // 40 fps, one minute without a client, 5 ms for a frame on the wire.
        let held = (0..9_i64).map(|i| (25 * i, 5 * i.unsigned_abs()));
        let fresh = (0..5_i64).map(|i| (60_000 + 25 * i, 50 + 25 * i.unsigned_abs()));
        let mut expected = vec![true; 14];
        expected[0] = false;
        expected[9..].fill(false);
        assert_eq!(stale(held.chain(fresh)), expected);
    }

    #[test]
    fn the_jump_ends_the_burst_even_when_it_is_short() {
        assert_eq!(stale([(0, 0), (25, 1), (50, 2), (100, 3), (125, 4)]), [false, true, true, false, false]);
    }

    #[test]
    fn one_held_frame_and_a_jump() {
        assert_eq!(stale([(0, 0), (60_000, 3), (60_025, 28)]), [false; 3]);
    }

    #[test]
    fn a_steady_camera_is_never_stale() {
        assert_eq!(stale((0..20_i64).map(|i| (25 * i, 3 + 25 * i.unsigned_abs()))), [false; 20]);
        // One late frame, so that the next seems early, long after the connect.
        assert_eq!(stale([(0, 0), (25, 25), (50, 70), (75, 75)]), [false; 4]);
    }

    #[test]
    fn as_fast_as_possible_is_suspected_for_nine_frames_only() {
        let all = stale((0..10_000_i64).map(|i| (25 * i, i.unsigned_abs() / 10)));
        assert_eq!(all.iter().filter(|stale| **stale).count(), 8);
        assert!(all[9..].iter().all(|stale| !stale));
    }

    #[test]
    fn absurd_times_are_no_burst() {
        assert_eq!(stale([(100, 0), (50, 1), (0, 2)]), [false; 3], "backwards");
        assert_eq!(stale([(7, 0), (7, 1), (7, 2)]), [false; 3], "standing");
        let mut burst = StaleBurst::default();
        for device in [i64::MIN, i64::MAX, i64::MIN, 0] {
            assert!(!burst.observe(DeviceTime(device), 0));
        }
    }
}
