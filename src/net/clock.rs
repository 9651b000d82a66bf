//! This host's clocks, read once for everything that is pure and takes time as an argument.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::frame::Received;

/// Both clocks, now.
#[must_use]
pub fn received_now() -> Received {
    static START: OnceLock<Instant> = OnceLock::new();
    // 584 years of nanoseconds fit on each side of 1970.
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
    fn time_goes_forward_and_is_after_this_was_written() {
        let (a, b) = (received_now(), received_now());
        assert!(a.mono_ns <= b.mono_ns);
        assert!(a.unix_ns > 1_700_000_000_000_000_000);
    }
}
