//! Names of files: from the time, and from what people call their cameras.

use std::fmt;
use std::path::Path;

/// A moment in UTC, as it stands in names of files: sorts by time, and every file system takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) millisecond: i64,
}

impl Moment {
    /// Nanoseconds since 1970, UTC.
    pub(crate) fn of(unix_ns: i64) -> Self {
        let ms = unix_ns.div_euclid(1_000_000);
        let (year, month, day) = civil(ms.div_euclid(86_400_000));
        let in_day = ms.rem_euclid(86_400_000);
        Self {
            year,
            month,
            day,
            hour: in_day / 3_600_000,
            minute: in_day / 60_000 % 60,
            second: in_day / 1000 % 60,
            millisecond: in_day % 1000,
        }
    }
}

impl fmt::Display for Moment {
    /// `2026-11-21_10-15-00.123`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        write!(f, "{year:04}-{month:02}-{day:02}_{hour:02}-{minute:02}-{second:02}.{millisecond:03}")
    }
}

/// What a camera is called in names of files: letters, digits, `-`, `.` and `_`.
pub(super) fn of_camera(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '-' }).collect();
    name.trim_matches(['-', '.']).to_owned()
}

/// Whether a person who names this path means a file, because of how it ends; a folder can be called anything.
pub(super) fn is_file(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension)) && !path.is_dir()
}

/// Year, month and day of so many days after 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that the leap day is the last one of its year and of its 400 years.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + 400 * era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_778), (2026, 11, 21));
        assert_eq!(civil(47_540), (2100, 2, 28));
        assert_eq!(civil(47_541), (2100, 3, 1));
    }

    #[test]
    fn moments_and_cameras_have_names() {
        assert_eq!(Moment::of(1_795_259_112_345_678_901).to_string(), "2026-11-21_11-05-12.345");
        assert_eq!(of_camera("tcp://10.0.0.5:5000"), "tcp---10.0.0.5-5000");
        assert_eq!([of_camera("../../etc"), of_camera(".."), of_camera("T\u{fc}r 1")], ["etc", "", "T\u{fc}r-1"]);
    }
}
