//! Warnings that may be due with every frame or every client.

/// Limits a warning that may be due with every frame: logs the first, and then one each [`Self::INTERVAL_NS`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RepeatedWarning {
    logged_ns: Option<u64>,
    left_out: u64,
}

impl RepeatedWarning {
    const INTERVAL_NS: u64 = 10_000_000_000;

    /// Returns what to add to the text of a warning that is due now; `None` if it is left out. `now_ns` is monotonic.
    pub(crate) fn admit(&mut self, now_ns: u64) -> Option<String> {
        if self.logged_ns.is_some_and(|logged_ns| now_ns.abs_diff(logged_ns) < Self::INTERVAL_NS) {
            self.left_out += 1;
            return None;
        }
        self.logged_ns = Some(now_ns);
        Some(match std::mem::take(&mut self.left_out) {
            0 => String::new(),
            more => format!(" ({more} more since the last such line)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_that_repeats_is_logged_once_in_ten_seconds_with_a_count() {
        let mut warning = RepeatedWarning::default();
        let logged = (0..600).filter_map(|frame| Some((frame, warning.admit(40_000_000 * frame)?)));
        let more = |frame, left_out| (frame, format!(" ({left_out} more since the last such line)"));
        assert_eq!(logged.collect::<Vec<_>>(), [(0, String::new()), more(250, 249), more(500, 249)]);
        assert_eq!(warning.admit(0), Some(" (99 more since the last such line)".to_owned()), "after a seek");
    }
}
