//! The time of a recording, which continues evenly when the wall clock of this host is set.

use crate::frame::{Received, Utc};
use crate::recording::schema::{IncidentKind, RecordedIncident};

/// Difference between wall clock and monotonic clock from one item to the next that counts as a jump.
const JUMP_NS: i64 = 500_000_000;

/// Converts arrivals to the time of the file: the wall clock at its beginning, plus the monotonic time since.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    anchor: Option<Received>,
    last: Option<Received>,
}

impl Timeline {
    /// Starts the time of a new file. Returns whether it differs from that of the last file by a jump.
    pub(super) fn start_file(&mut self, first: Received) -> bool {
        let jumped = self.anchor.is_some_and(|anchor| is_jump(ahead_ns(anchor, first)));
        self.anchor = Some(first);
        jumped
    }

    /// Returns the time of an arrival in the current file, in nanoseconds since 1970, UTC.
    pub(super) fn unix_ns(&mut self, received: Received) -> i64 {
        expected_ns(*self.anchor.get_or_insert(received), received)
    }

    /// Returns an incident if the wall clock was set since the last arrival.
    pub(super) fn jump(&mut self, received: Received) -> Option<RecordedIncident> {
        let last = self.last.replace(received)?;
        let ahead_ns = ahead_ns(last, received);
        is_jump(ahead_ns).then(|| {
            let (expected, found) = (expected_ns(last, received), received.unix_ns);
            let way = if ahead_ns > 0 { "forward" } else { "back" };
            let seconds = ahead_ns.unsigned_abs() as f64 / 1e9;
            let (from, to) = (Utc::from_unix_ns(expected), Utc::from_unix_ns(found));
            RecordedIncident {
                kind: IncidentKind::ClockJump.to_string(),
                text: format!("the clock of this host was set {way} by {seconds:.3} s: from {from} to {to}"),
                unix_expected_ns: expected,
                unix_found_ns: found,
                ..RecordedIncident::default()
            }
        })
    }
}

fn expected_ns(since: Received, at: Received) -> i64 {
    since.unix_ns.saturating_add(at.mono_ns.wrapping_sub(since.mono_ns) as i64)
}

/// Returns how far the wall clock is ahead of the monotonic time since an earlier arrival.
fn ahead_ns(since: Received, at: Received) -> i64 {
    at.unix_ns.saturating_sub(expected_ns(since, at))
}

const fn is_jump(ahead_ns: i64) -> bool {
    ahead_ns.unsigned_abs() >= JUMP_NS.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn at(mono_s: u64, unix_s: i64) -> Received {
        Received { mono_ns: mono_s * S as u64, unix_ns: unix_s * S }
    }

    #[test]
    fn time_continues_when_the_clock_is_set() {
        let mut time = Timeline::default();
        assert!(!time.start_file(at(100, 10)));
        assert_eq!(time.unix_ns(at(101, 11)), 11 * S);
        assert_eq!(time.unix_ns(at(102, 1_800_000_000)), 12 * S, "from 1970 to NTP's time");
        assert_eq!(time.unix_ns(at(99, 9)), 9 * S, "another camera's frame, which arrived before");
        assert!(time.start_file(at(110, 1_800_000_008)), "the next file begins with the clock as it is");
        assert_eq!(time.unix_ns(at(111, 0)), 1_800_000_009 * S);
    }

    #[test]
    fn each_jump_is_reported_once_with_both_clocks() {
        let mut time = Timeline::default();
        assert_eq!(time.jump(at(100, 7200)), None);
        assert_eq!(time.jump(at(101, 7201)), None);
        let back = time.jump(at(102, 3602)).expect("an hour back");
        assert_eq!((back.unix_expected_ns, back.unix_found_ns), (7202 * S, 3602 * S));
        assert!(back.text.contains("set back by 3600.000 s: from 1970-01-01T02:00:02"), "{}", back.text);
        assert_eq!(time.jump(at(103, 3603)), None);
        assert!(time.jump(at(104, 9999)).expect("forward").text.contains("set forward by 6395.000 s"));
    }
}
