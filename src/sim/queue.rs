//! The camera's queue: what it has for a client that was not there, or is too slow (wire.md section 2.5).

use std::collections::VecDeque;
use std::time::Duration;

/// Frames in the input queue of the Script node, by depthai's default.
const DEPTH: usize = 8;

/// A sensor that takes pictures on the beat and a queue that blocks its producer when it is full. Then the producer
/// holds one more frame in its hands, and all others are dropped before they get there.
///
/// Knows no clock: time since the camera's boot is an argument.
#[derive(Debug)]
pub(super) struct Queue {
    period: Duration,
    frames: VecDeque<u64>,
    held: Option<u64>,
    /// The frame that the sensor takes next.
    next: u64,
}

impl Queue {
    /// The queue of a camera that boots now. Without a period there is a new frame whenever one is wanted.
    pub(super) fn new(period: Duration) -> Self {
        Self { period, frames: VecDeque::with_capacity(DEPTH), held: None, next: 0 }
    }

    /// The oldest frame, or how long after boot there is one.
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

    /// What the sensor has done until now.
    fn fill(&mut self, now: Duration) {
        while self.held.is_none() && self.due(self.next) <= now {
            if self.frames.len() < DEPTH {
                self.frames.push_back(self.next);
            } else {
                self.held = Some(self.next);
            }
            self.next += 1;
        }
        if self.due(self.next) <= now {
            // Taken while the producer was blocked.
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
    fn nine_frames_are_stale_after_a_pause() {
        let mut queue = Queue::new(ms(25));
        assert_eq!(queue.take(ms(0)), Ok(0));
        assert_eq!(queue.take(ms(0)), Err(ms(25)));
        // The client is away for a second: frames 1 to 40 are taken meanwhile, 9 of them are kept.
        let burst: Vec<_> = std::iter::from_fn(|| queue.take(ms(1001)).ok()).collect();
        assert_eq!(burst, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(queue.take(ms(1001)), Err(ms(1025)));
        assert_eq!(queue.take(ms(1025)), Ok(41));
    }

    #[test]
    fn a_client_that_is_a_little_late_loses_nothing() {
        let mut queue = Queue::new(ms(25));
        for frame in 0..100 {
            assert_eq!(queue.take(ms(25 * frame + 100)), Ok(frame));
        }
    }

    #[test]
    fn without_a_period_there_is_always_one() {
        let mut queue = Queue::new(Duration::ZERO);
        assert!((0..1000).all(|frame| queue.take(ms(0)) == Ok(frame)));
    }
}
