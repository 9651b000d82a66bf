//! One time line inside a recording whose host set its clock: arrival times are wall times, but each frame also has its
//! arrival on the host's monotonic clock.
//!
//! The times after the last jump stay as they are. Those before it are moved so that the intervals are the monotonic ones.

use std::fs::File;
use std::io;

use mcap::records::op;
use prost::Message as _;

use super::channels::{Channels, Role};
use super::schema::WireMessage;
use super::survey::ChunkRange;
use super::walk::{RecordWalk, WalkItem};

/// The wall clock was set if it differs by more than this from the monotonic clock between two frames, in nanoseconds.
const JUMP_MIN_NS: i64 = 1_000_000_000;
/// A pause between chunks, or a chunk, of more than this is examined, in nanoseconds.
const PAUSE_MIN_NS: i64 = 5_000_000_000;
/// Jumps that are listed.
const JUMPS_MAX: usize = 100;

/// A change of the host's clock during a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ClockJump {
    /// Arrival of the first frame after it in nanoseconds since 1970, UTC, on the time line of the recording.
    pub at_unix_ns: i64,
    /// Nanoseconds by which the clock was set forward; negative if it was set back.
    pub by_ns: i64,
}

/// Converts the arrival times of a file, in file order, to its time line. The default changes nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct TimeLine {
    /// Position of each chunk, and what is added to the time of its first message.
    starts: Vec<(u64, i64)>,
    pub(super) jumps: Vec<ClockJump>,
    /// Arrival of the last frame by the wall clock and by the monotonic clock.
    last: Option<(i64, u64)>,
    offset_ns: i64,
}

impl TimeLine {
    /// Examines a file if the times of its chunks may contain a jump, and corrects these times.
    pub(super) fn new(file: File, channels: &Channels, chunks: &mut [ChunkRange]) -> io::Result<Self> {
        let mut line = Self::default();
        if !is_suspicious(chunks) {
            return Ok(line);
        }
        let mut walk = RecordWalk::new(file, false)?;
        channels.numbers().into_iter().for_each(|id| walk.expect_channel(id));
        let mut spans: Vec<Option<(i64, i64)>> = vec![None; chunks.len()];
        line.starts = chunks.iter().map(|chunk| (chunk.at, 0)).collect();
        while let Some(item) = walk.next()? {
            let message = match item {
                WalkItem::Message(message) => message,
                WalkItem::Record { opcode: op::DATA_END, .. } => break,
                _ => continue,
            };
            if !matches!(channels.role(message.header.channel_id), Some((_, Role::Wire))) {
                continue;
            }
            let Ok(wire) = WireMessage::decode(walk.data()) else { continue };
            let Ok(log_ns) = i64::try_from(message.header.log_time) else { continue };
            if wire.incident.is_some() {
                continue;
            }
            let at = line.observe(log_ns, wire.arrival_mono_ns);
            let Some(chunk) = chunks.partition_point(|chunk| chunk.at <= message.at).checked_sub(1) else { continue };
            let (from, to) = *spans[chunk].get_or_insert_with(|| {
                line.starts[chunk].1 = line.offset_ns;
                (at, at)
            });
            spans[chunk] = Some((from.min(at), to.max(at)));
        }
        // The last clock is the best known: only times before the last jump change.
        let end_ns = line.offset_ns;
        line.starts.iter_mut().for_each(|(_, offset_ns)| *offset_ns -= end_ns);
        line.jumps.iter_mut().for_each(|jump| jump.at_unix_ns -= end_ns);
        for (chunk, span) in chunks.iter_mut().zip(spans).filter(|_| !line.jumps.is_empty()) {
            if let Some((from, to)) = span {
                (chunk.from_unix_ns, chunk.to_unix_ns) = (from.saturating_sub(end_ns), to.saturating_sub(end_ns));
            }
        }
        Ok(line)
    }

    /// Continues with the chunk at this position.
    pub(super) fn go_to(&mut self, at: u64) {
        self.last = None;
        let chunk = self.starts.partition_point(|(start, _)| *start <= at).max(1) - 1;
        self.offset_ns = self.starts.get(chunk).map_or(0, |(_, offset_ns)| *offset_ns);
    }

    /// Converts a time that is near the last frame.
    pub(super) fn near(&self, ns: i64) -> i64 {
        ns.saturating_add(self.offset_ns)
    }

    /// Converts the arrival of the next frame.
    pub(super) fn frame(&mut self, log_ns: i64, mono_ns: u64) -> i64 {
        if self.jumps.is_empty() {
            return log_ns;
        }
        self.follow(log_ns, mono_ns);
        self.near(log_ns)
    }

    /// Like [`Self::frame`], and lists the jump.
    fn observe(&mut self, log_ns: i64, mono_ns: u64) -> i64 {
        if let Some(by_ns) = self.follow(log_ns, mono_ns)
            && self.jumps.len() < JUMPS_MAX
        {
            self.jumps.push(ClockJump { at_unix_ns: self.near(log_ns), by_ns });
        }
        self.near(log_ns)
    }

    /// Corrects the offset after a jump, and returns its size. Another start of the monotonic clock is not a jump: several
    /// recordings were merged.
    fn follow(&mut self, log_ns: i64, mono_ns: u64) -> Option<i64> {
        let (last_ns, last_mono_ns) = self.last.replace((log_ns, mono_ns))?;
        let wall_ns = log_ns.saturating_sub(last_ns);
        let passed_ns = i64::try_from(i128::from(mono_ns) - i128::from(last_mono_ns)).ok()?;
        let by_ns = wall_ns.saturating_sub(passed_ns);
        let continues = (-JUMP_MIN_NS..=JUMP_MIN_NS).contains(&wall_ns);
        if passed_ns < -JUMP_MIN_NS || continues || by_ns.abs() <= JUMP_MIN_NS {
            return None;
        }
        self.offset_ns = self.offset_ns.saturating_sub(by_ns);
        Some(by_ns)
    }
}

/// Returns whether times go back, or are far apart.
fn is_suspicious(chunks: &[ChunkRange]) -> bool {
    let long = chunks.iter().any(|chunk| chunk.to_unix_ns.saturating_sub(chunk.from_unix_ns) > PAUSE_MIN_NS);
    let between = |pair: &[ChunkRange]| pair[1].from_unix_ns.saturating_sub(pair[0].to_unix_ns);
    long || chunks.windows(2).any(|pair| !(-JUMP_MIN_NS..=PAUSE_MIN_NS).contains(&between(pair)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn only_differences_from_the_monotonic_clock_are_jumps() {
        let mut line = TimeLine::default();
        // Two seconds in 1970, a jump to 2026, a pause of an hour, and an hour back.
        let now = 1_790_000_000 * S;
        let frames = [
            (S, 1, None),
            (2 * S, 2, None),
            (now, 3, Some(now - 3 * S)),
            (now + S, 4, None),
            (now + 3601 * S, 3604, None),
            (now + 2 * S, 3605, Some(-3600 * S)),
        ];
        for (log_ns, mono_s, jump) in frames {
            assert_eq!(line.follow(log_ns, mono_s * S as u64), jump, "{log_ns}");
        }
        // Another recorder, whose monotonic clock started later.
        assert_eq!(line.follow(now + 3 * S, 0), None);
    }
}
