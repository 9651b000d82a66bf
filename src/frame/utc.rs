//! Times in UTC as text and as calendar fields.

use std::fmt;

/// A time in UTC, split into calendar fields (Gregorian calendar).
///
/// `Display` writes ISO 8601 with milliseconds: `2026-11-21T11:05:12.345Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names are the docs.
pub struct Utc {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub millisecond: i64,
}

impl Utc {
    /// Splits nanoseconds since 1970 into calendar fields; parts of a millisecond are cut off.
    #[must_use]
    pub fn from_unix_ns(unix_ns: i64) -> Self {
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

    /// Formats for names of files, which must not contain colons: `2026-11-21_11-05-12.345Z`. Sorts by time.
    #[must_use]
    pub fn for_file_name(&self) -> String {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        format!("{year:04}-{month:02}-{day:02}_{hour:02}-{minute:02}-{second:02}.{millisecond:03}Z")
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

/// Converts days since 1970-01-01 into year, month and day.
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
    fn leap_days_and_times_before_1970() {
        for (unix_s, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(Utc::from_unix_ns(unix_s * 1_000_000_000).to_string(), text);
        }
    }

    #[test]
    fn file_names_have_no_colons() {
        let time = Utc::from_unix_ns(1_795_259_112_345_678_901);
        assert_eq!(time.to_string(), "2026-11-21T11:05:12.345Z");
        assert_eq!(time.for_file_name(), "2026-11-21_11-05-12.345Z");
    }
}
