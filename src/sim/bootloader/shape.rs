//! A slow and long line between host and camera: so many bits a second, and each of them so late.

use std::collections::VecDeque;
use std::time::Duration;

/// What a line does to what is sent over it. [`Default`] is a perfect one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Bits a second in each direction; `None` is without a limit.
    pub bits_per_second: Option<u64>,
    /// How long each byte travels, in each direction.
    pub delay: Duration,
}

/// One direction of such a line. Time is an argument.
#[derive(Debug)]
pub struct Pipe {
    shape: Shape,
    /// When the last byte that was taken has been put on the line.
    busy_until: Duration,
    travelling: VecDeque<(Duration, Vec<u8>)>,
    bytes: usize,
}

/// What may wait at the line's entrance, beside what travels on it.
const ENTRANCE: usize = 64 * 1024;
/// The largest piece: it arrives as a whole when its last byte does.
const PIECE: usize = 16 * 1024;

impl Pipe {
    /// An empty line.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self { shape, busy_until: Duration::ZERO, travelling: VecDeque::new(), bytes: 0 }
    }

    /// Bytes that can be put on it now.
    #[must_use]
    pub fn room(&self) -> usize {
        let Some(rate) = self.shape.bits_per_second else { return usize::MAX };
        let on_the_way = u128::from(rate) * self.shape.delay.as_micros() / 8_000_000;
        let most = usize::try_from(on_the_way).unwrap_or(usize::MAX).saturating_add(ENTRANCE);
        most.saturating_sub(self.bytes)
    }

    /// Puts bytes on it.
    pub fn push(&mut self, bytes: &[u8], now: Duration) {
        for piece in bytes.chunks(PIECE) {
            let start = self.busy_until.max(now);
            let takes = self.shape.bits_per_second.map_or(Duration::ZERO, |rate| {
                Duration::from_nanos((piece.len() as u64).saturating_mul(8_000_000_000) / rate.max(1))
            });
            self.busy_until = start + takes;
            self.travelling.push_back((self.busy_until + self.shape.delay, piece.to_vec()));
            self.bytes += piece.len();
        }
    }

    /// When the next piece arrives.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.travelling.front().map(|(due, _)| *due)
    }

    /// A piece that has arrived.
    pub fn pop(&mut self, now: Duration) -> Option<Vec<u8>> {
        let (_, piece) = self.travelling.pop_front_if(|(due, _)| *due <= now)?;
        self.bytes -= piece.len();
        Some(piece)
    }

    /// Whether nothing is on it.
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
        let mut pipe = Pipe::new(Shape { bits_per_second: Some(10_000_000), delay: 200 * MS });
        assert_eq!(pipe.room(), 250_000 + ENTRANCE);
        let sent: Vec<u8> = (0..125_000u32).map(|n| (n % 251) as u8).collect();
        pipe.push(&sent, 5 * MS);
        assert_eq!(pipe.room(), 125_000 + ENTRANCE);
        let mut arrived = Vec::new();
        let mut first = None;
        for ms in 0..=305 {
            while let Some(piece) = pipe.pop(ms * MS) {
                first.get_or_insert(ms);
                arrived.extend(piece);
            }
            // 100 ms on the line and 200 ms to travel, from 5 ms on.
            assert_eq!(arrived.len() == sent.len(), ms >= 305, "at {ms} ms: {}", arrived.len());
        }
        assert_eq!(first, Some(5 + 200 + 14));
        assert_eq!(arrived, sent);
        assert!(pipe.is_empty() && pipe.next().is_none());
    }

    #[test]
    fn a_perfect_line_is_immediate() {
        let mut pipe = Pipe::new(Shape::default());
        pipe.push(b"now", 7 * MS);
        assert_eq!((pipe.room(), pipe.pop(6 * MS)), (usize::MAX, None));
        assert_eq!(pipe.pop(7 * MS).as_deref(), Some(&b"now"[..]));
    }
}
