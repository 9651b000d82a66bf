//! Places of times on the timeline. Long pauses between recordings have a fixed width: recordings of different days would be
//! points otherwise.

/// A pause is shortened if it is longer than everything that was recorded, to this share of it. Shortened pauses take half as
/// much room as the recordings at most.
const PAUSE_SHARE: i128 = 20;

/// Converts times to places on a bar and back. Grows evenly within recordings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimeAxis {
    /// Times in nanoseconds since 1970, UTC, and their places in nanoseconds of the bar. Both increase. At least two.
    points: Vec<(i128, i128)>,
}

impl TimeAxis {
    /// Returns the axis from the first to the last time. `recorded` are the times that were recorded, which may overlap.
    pub(super) fn new((first, last): (i64, i64), mut recorded: Vec<(i128, i128)>) -> Self {
        let (first, last) = (i128::from(first), i128::from(last));
        recorded.sort_unstable();
        let (mut recorded_ns, mut recorded_to, mut pauses) = (0, None, Vec::new());
        for (from, to) in recorded {
            let before = recorded_to.unwrap_or(from);
            if from > before {
                pauses.push((before, from));
            }
            recorded_ns += (to - from.max(before)).max(0);
            recorded_to = Some(before.max(to));
        }
        pauses.retain(|(from, to)| to - from > recorded_ns && *from > first && *to < last);
        let pause_ns = (recorded_ns / PAUSE_SHARE).min(recorded_ns / 2 / (pauses.len() as i128).max(1)).max(1);
        let mut points = vec![(first, 0)];
        let (mut at, mut place) = (first, 0);
        for (from, to) in pauses {
            place += from - at;
            points.extend([(from, place), (to, place + pause_ns)]);
            (at, place) = (to, place + pause_ns);
        }
        points.push((last.max(at + 1), place + (last - at).max(1)));
        Self { points }
    }

    /// Returns the time at the end of the axis, and the length of the bar.
    fn end(&self) -> (i128, i128) {
        self.points.last().copied().unwrap_or((1, 1))
    }

    fn place(&self, unix_ns: i128) -> i128 {
        along(&self.points, unix_ns, |point| *point)
    }

    /// Returns the place of a time, from 0 to 1.
    pub(super) fn share(&self, unix_ns: i64) -> f64 {
        self.place(i128::from(unix_ns)) as f64 / self.end().1 as f64
    }

    /// Returns the place of a time on a bar of `count` columns.
    pub(super) fn column(&self, unix_ns: i128, count: usize) -> usize {
        let column = self.place(unix_ns) * count as i128 / self.end().1;
        usize::try_from(column.min(count as i128 - 1)).unwrap_or(0)
    }

    /// Returns the time at a place from 0 to 1.
    pub(super) fn time_at(&self, share: f64) -> i64 {
        let place = (self.end().1 as f64 * share.clamp(0.0, 1.0)) as i128;
        let unix_ns = along(&self.points, place, |(unix_ns, place)| (*place, *unix_ns));
        i64::try_from(unix_ns).unwrap_or(i64::MAX)
    }
}

/// Returns the second value at a first value, on lines between points. Outside of them, returns that of the nearest point.
fn along(points: &[(i128, i128)], at: i128, order: impl Fn(&(i128, i128)) -> (i128, i128)) -> i128 {
    let next = points.partition_point(|point| order(point).0 <= at);
    match (next.checked_sub(1).map(|before| order(&points[before])), points.get(next).map(&order)) {
        (Some((x, y)), Some((next_x, next_y))) => y + (at - x) * (next_y - y) / (next_x - x),
        (Some((_, y)), None) | (None, Some((_, y))) => y,
        (None, None) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;
    const DAY: i64 = 86_400 * S;

    fn axis(last: i64, recorded: &[(i64, i64)]) -> TimeAxis {
        TimeAxis::new((0, last), recorded.iter().map(|(from, to)| (i128::from(*from), i128::from(*to))).collect())
    }

    #[test]
    fn pauses_of_days_take_a_small_part_of_the_bar() {
        let axis = axis(4 * DAY + 10 * S, &[(0, 10 * S), (DAY, DAY + 10 * S), (4 * DAY, 4 * DAY + 10 * S)]);
        // Three recordings of 10 s, and two pauses of a twentieth of these 30 s.
        let bar = 33.0;
        for (time, place) in [(0, 0.0), (5 * S, 5.0), (10 * S, 10.0), (DAY, 11.5), (DAY + 4 * S, 15.5), (4 * DAY, 23.0)]
        {
            assert!((axis.share(time) - place / bar).abs() < 1e-9, "{time}: {}", axis.share(time));
            let there = axis.time_at(place / bar);
            assert!((there - time).abs() < DAY / 100, "{time}: {there}");
        }
        assert!((axis.share(4 * DAY + 10 * S) - 1.0).abs() < 1e-9);
        assert_eq!((axis.time_at(0.0), axis.time_at(1.0)), (0, 4 * DAY + 10 * S));
        assert_eq!((axis.column(0, 33), axis.column(i128::from(DAY + 4 * S), 33)), (0, 15));
    }

    #[test]
    fn short_pauses_keep_their_length() {
        let axis = axis(40 * S, &[(0, 10 * S), (5 * S, 20 * S), (28 * S, 40 * S)]);
        for second in 0..=40 {
            assert!((axis.share(second * S) - second as f64 / 40.0).abs() < 1e-9);
            assert!((axis.time_at(second as f64 / 40.0) - second * S).abs() <= 1);
        }
    }

    #[test]
    fn many_pauses_leave_most_of_the_bar_to_the_recordings() {
        let recorded: Vec<_> = (0..1000).map(|day| (day * DAY, day * DAY + S)).collect();
        let axis = axis(999 * DAY + S, &recorded);
        let shown: f64 = recorded.iter().map(|(from, to)| axis.share(*to) - axis.share(*from)).sum();
        assert!(shown > 0.66, "{shown}");
        assert_eq!(TimeAxis::new((i64::MAX, i64::MIN), Vec::new()).column(0, 3), 0);
    }
}
