//! Reads the clocks of this host. Pure code takes the time as an argument.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::frame::Received;

/// Returns the current time on the monotonic clock, which starts at 0 with the first call, and on the system clock.
#[must_use]
pub fn received_now() -> Received {
    static START: OnceLock<Instant> = OnceLock::new();
    // An i64 holds 292 years of nanoseconds before and after 1970, a u64 holds 584 years.
    let nanoseconds = |time: u128| u64::try_from(time).unwrap_or(u64::MAX);
    let unix_ns = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX),
    };
    Received { mono_ns: nanoseconds(START.get_or_init(Instant::now).elapsed().as_nanos()), unix_ns }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_is_monotonic_and_later_than_2023() {
        let (a, b) = (received_now(), received_now());
        assert!(a.mono_ns <= b.mono_ns);
        assert!(a.unix_ns > 1_700_000_000_000_000_000);
    }
}
