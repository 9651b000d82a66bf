//! The parts of a recording that have been played, so that a part that plays again is not counted twice.

/// Ranges of arrival times in nanoseconds since 1970, UTC.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// Ranges before the last seek, in order and without overlaps.
    before: Vec<(i64, i64)>,
    /// First and last frame since the last seek.
    now: Option<(i64, i64)>,
}

impl Played {
    /// Returns whether this time was played before the last seek.
    pub(super) fn contains(&self, unix_ns: i64) -> bool {
        let at = self.before.partition_point(|(_, to)| *to < unix_ns);
        self.before.get(at).is_some_and(|(from, _)| *from <= unix_ns)
    }

    /// Adds the next frame.
    pub(super) fn add(&mut self, unix_ns: i64) {
        let (from, to) = self.now.unwrap_or((unix_ns, unix_ns));
        self.now = Some((from.min(unix_ns), to.max(unix_ns)));
    }

    /// The next frame does not follow the last one.
    pub(super) fn seek(&mut self) {
        let Some((mut from, mut to)) = self.now.take() else { return };
        self.before.retain(|(other_from, other_to)| {
            let apart = *other_to < from || to < *other_from;
            if !apart {
                (from, to) = (from.min(*other_from), to.max(*other_to));
            }
            apart
        });
        self.before.push((from, to));
        self.before.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_meet_become_one() {
        let mut played = Played::default();
        for (from, to) in [(10, 20), (40, 50), (60, 70), (45, 65), (5, 10)] {
            (from..=to).for_each(|at| played.add(at));
            assert!(!played.contains(from) || from == 45, "{from}: before the seek");
            played.seek();
        }
        assert_eq!(played.before, [(5, 20), (40, 70)]);
        let inside: Vec<i64> =
            [4, 5, 20, 21, 39, 40, 55, 70, 71].into_iter().filter(|at| played.contains(*at)).collect();
        assert_eq!(inside, [5, 20, 40, 55, 70]);
    }
}
