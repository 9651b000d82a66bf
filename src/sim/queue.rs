//! The camera's frame queue, which fills while no client reads or a client is too slow (wire.md section 2.5).

use std::collections::VecDeque;
use std::time::Duration;

/// Frames in the input queue of the Script node: depthai's default.
const QUEUE_FRAMES: usize = 8;

/// A sensor with a fixed period and a queue that blocks its producer when it is full. A blocked producer holds one more
/// frame; the sensor drops all later ones.
///
/// Time is an argument: the time since the camera's boot.
#[derive(Debug)]
pub(super) struct Queue {
    period: Duration,
    frames: VecDeque<u64>,
    held: Option<u64>,
    /// The next frame of the sensor.
    next: u64,
}

impl Queue {
    /// Creates the queue of a camera that boots at time 0. With a period of zero, every call of [`Self::take`] returns a
    /// new frame.
    pub(super) fn new(period: Duration) -> Self {
        Self { period, frames: VecDeque::with_capacity(QUEUE_FRAMES), held: None, next: 0 }
    }

    /// Takes the oldest frame.
    ///
    /// # Errors
    /// The time since boot of the next frame if the queue is empty.
    pub(super) fn take(&mut self, now: Duration) -> Result<u64, Duration> {
        if self.period.is_zero() {
            self.next += 1;
            return Ok(self.next - 1);
        }
        self.fill(now);
        let frame = self.frames.pop_front().ok_or_else(|| self.due(self.next))?;
        self.frames.extend(self.held.take());
        Ok(frame)
    }

    fn fill(&mut self, now: Duration) {
        while self.held.is_none() && self.due(self.next) <= now {
            if self.frames.len() < QUEUE_FRAMES {
                self.frames.push_back(self.next);
            } else {
                self.held = Some(self.next);
            }
            self.next += 1;
        }
        if self.due(self.next) <= now {
            // The sensor dropped the frames up to now while the producer was blocked.
            self.next = (now.as_nanos() / self.period.as_nanos()) as u64 + 1;
        }
    }

    fn due(&self, frame: u64) -> Duration {
        let nanos = self.period.as_nanos().saturating_mul(u128::from(frame));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn queue_keeps_nine_old_frames_during_a_pause() {
        let mut queue = Queue::new(ms(25));
        assert_eq!(queue.take(ms(0)), Ok(0));
        assert_eq!(queue.take(ms(0)), Err(ms(25)));
        // The client does not read for a second: the sensor takes frames 1 to 40, and the queue keeps 9 of them.
        let burst: Vec<_> = std::iter::from_fn(|| queue.take(ms(1001)).ok()).collect();
        assert_eq!(burst, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(queue.take(ms(1001)), Err(ms(1025)));
        assert_eq!(queue.take(ms(1025)), Ok(41));
    }

    #[test]
    fn client_that_lags_by_four_periods_loses_nothing() {
        let mut queue = Queue::new(ms(25));
        for frame in 0..100 {
            assert_eq!(queue.take(ms(25 * frame + 100)), Ok(frame));
        }
    }

    #[test]
    fn zero_period_always_has_a_frame() {
        let mut queue = Queue::new(Duration::ZERO);
        assert!((0..1000).all(|frame| queue.take(ms(0)) == Ok(frame)));
    }
}
