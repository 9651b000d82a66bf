//! A simulated network line with limited bandwidth and a delay.

use std::collections::VecDeque;
use std::time::Duration;

/// Bandwidth and delay of a line. [`Default`] has neither limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineShape {
    /// Bandwidth of each direction; `None`: unlimited.
    pub bits_per_second: Option<u64>,
    /// Delay of each byte in each direction.
    pub delay: Duration,
}

/// One direction of a line. Time is an argument.
#[derive(Debug)]
pub struct Pipe {
    shape: LineShape,
    /// Time at which the last accepted byte has entered the line.
    busy_until: Duration,
    travelling: VecDeque<(Duration, Vec<u8>)>,
    bytes: usize,
}

/// Bytes that can wait to enter the line, in addition to those on it.
const WAITING_MAX_BYTES: usize = 64 * 1024;
/// Bytes of the largest piece, which arrives as a whole with its last byte.
const PIECE_MAX_BYTES: usize = 16 * 1024;

impl Pipe {
    /// Creates an empty line.
    #[must_use]
    pub fn new(shape: LineShape) -> Self {
        Self { shape, busy_until: Duration::ZERO, travelling: VecDeque::new(), bytes: 0 }
    }

    /// Returns the number of bytes that [`Self::push`] can accept now.
    #[must_use]
    pub fn room(&self) -> usize {
        let Some(rate) = self.shape.bits_per_second else { return usize::MAX };
        let on_the_line = u128::from(rate) * self.shape.delay.as_micros() / 8_000_000;
        let most = usize::try_from(on_the_line).unwrap_or(usize::MAX).saturating_add(WAITING_MAX_BYTES);
        most.saturating_sub(self.bytes)
    }

    /// Sends bytes.
    pub fn push(&mut self, bytes: &[u8], now: Duration) {
        for piece in bytes.chunks(PIECE_MAX_BYTES) {
            let start = self.busy_until.max(now);
            let takes = self.shape.bits_per_second.map_or(Duration::ZERO, |rate| {
                Duration::from_nanos((piece.len() as u64).saturating_mul(8_000_000_000) / rate.max(1))
            });
            self.busy_until = start + takes;
            self.travelling.push_back((self.busy_until + self.shape.delay, piece.to_vec()));
            self.bytes += piece.len();
        }
    }

    /// Returns the time at which the next piece arrives.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.travelling.front().map(|(due, _)| *due)
    }

    /// Returns the next piece if it has arrived.
    pub fn pop(&mut self, now: Duration) -> Option<Vec<u8>> {
        let (_, piece) = self.travelling.pop_front_if(|(due, _)| *due <= now)?;
        self.bytes -= piece.len();
        Some(piece)
    }

    /// Returns `true` if no bytes are on the line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.travelling.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn bytes_arrive_in_order_at_the_rate_and_after_the_delay() {
        // 10 Mbit/s is 1250 bytes a millisecond.
        let mut pipe = Pipe::new(LineShape { bits_per_second: Some(10_000_000), delay: 200 * MS });
        assert_eq!(pipe.room(), 250_000 + WAITING_MAX_BYTES);
        let sent: Vec<u8> = (0..125_000u32).map(|n| (n % 251) as u8).collect();
        pipe.push(&sent, 5 * MS);
        assert_eq!(pipe.room(), 125_000 + WAITING_MAX_BYTES);
        let mut arrived = Vec::new();
        let mut first = None;
        for ms in 0..=305 {
            while let Some(piece) = pipe.pop(ms * MS) {
                first.get_or_insert(ms);
                arrived.extend(piece);
            }
            // Sent at 5 ms, 100 ms to enter the line, 200 ms delay.
            assert_eq!(arrived.len() == sent.len(), ms >= 305, "at {ms} ms: {}", arrived.len());
        }
        assert_eq!(first, Some(5 + 200 + 14));
        assert_eq!(arrived, sent);
        assert!(pipe.is_empty() && pipe.next().is_none());
    }

    #[test]
    fn default_line_has_no_delay() {
        let mut pipe = Pipe::new(LineShape::default());
        pipe.push(b"now", 7 * MS);
        assert_eq!((pipe.room(), pipe.pop(6 * MS)), (usize::MAX, None));
        assert_eq!(pipe.pop(7 * MS).as_deref(), Some(&b"now"[..]));
    }
}
