//! Time stamps of RTP (RFC 3550).

use crate::frame::Frame;

/// Largest difference between the step of the camera's clock and that of ours. Beyond it the camera's clock was set or
/// restarted.
const CLOCK_STEP_MAX_US: i64 = 10_000_000;

/// Capture times in 1/90000 s. They never go back, although the clock of a camera starts again with its application.
#[derive(Debug)]
pub(super) struct CaptureClock {
    start: u64,
    elapsed_us: u64,
    last: Option<(i64, u64)>,
}

impl CaptureClock {
    pub(super) fn new() -> Self {
        Self { start: u64::from(super::random() as u32), elapsed_us: 0, last: None }
    }

    /// Returns the time stamp of the next frame. RTP sends its lowest 32 bits.
    pub(super) fn stamp(&mut self, frame: &Frame) -> u64 {
        let (device_us, mono_ns) = (frame.device_time.0, frame.received.mono_ns);
        if let Some((last_device_us, last_mono_ns)) = self.last {
            let step_us = device_us.saturating_sub(last_device_us);
            let arrival_us = (mono_ns.saturating_sub(last_mono_ns) / 1000) as i64;
            let is_continuous = step_us > 0 && step_us.saturating_sub(arrival_us) < CLOCK_STEP_MAX_US;
            // Two frames that arrive at once have different times, too.
            let elapsed_us = if is_continuous { step_us } else { arrival_us.max(1000) };
            self.elapsed_us += elapsed_us as u64;
        }
        self.last = Some((device_us, mono_ns));
        let ticks = u128::from(self.elapsed_us) * 9 / 100;
        self.start.wrapping_add(ticks as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{DeviceTime, Received};

    #[test]
    fn time_stamps_follow_the_camera_and_never_go_back() {
        let mut clock = CaptureClock { start: u64::from(u32::MAX - 3000), elapsed_us: 0, last: None };
        let frame = |device_us, arrival_ms: u64| {
            let mut frame = Frame::default();
            frame.device_time = DeviceTime(device_us);
            frame.received = Received { mono_ns: arrival_ms * 1_000_000, unix_ns: 0 };
            frame
        };
        let start = clock.stamp(&frame(5_000_000, 100));
        let mut since = |device_us, arrival_ms| clock.stamp(&frame(device_us, arrival_ms)).wrapping_sub(start);
        assert_eq!(start, u64::from(u32::MAX - 3000));
        // By the camera's clock, whenever it arrives.
        assert_eq!(since(5_033_333, 190), 2999);
        assert_eq!(since(5_066_667, 191), 6000);
        // The application started again 2 s later; then its clock was set.
        assert_eq!(since(40_000, 2191), 6000 + 180_000);
        assert_eq!(since(73_333, 2224), 189_000);
        assert_eq!(since(1_800_000_000_000_000, 3224), 279_000);
        assert_eq!(since(i64::MIN, 3224), 279_090, "at once");
        assert_eq!(since(i64::MAX, 3225), 279_180);
    }
}
