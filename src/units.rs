//! Amounts of bytes and times in the form that people write.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Writes bytes in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number of bytes.
///
/// `FromStr` accepts `4096`, `128MiB`, `1.5 GB` and `64k`: KB to TB are powers of 1000; KiB to TiB, and K to T alone, are
/// powers of 1024. Case does not matter, fractions of a byte are cut off, and an amount past `u64::MAX` becomes that.
/// `Display` writes `1 byte`, `12.3 kB`, `45.6 MB` or `1.23 GB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// An amount that cannot be parsed. The text names what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number and {0}")]
pub struct UnitError(&'static str);

impl FromStr for Bytes {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        const EXPECTED: UnitError = UnitError("B, KB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 128MiB");
        let (number, unit) = number_and_unit(text);
        let unit: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            "kib" | "k" => 1 << 10,
            "mib" | "m" => 1 << 20,
            "gib" | "g" => 1 << 30,
            "tib" | "t" => 1 << 40,
            _ => return Err(EXPECTED),
        };
        // Whole numbers stay exact above 2^53.
        if let Ok(number) = number.parse::<u64>() {
            return Ok(Self(number.saturating_mul(unit)));
        }
        number.parse().map(|number: f64| Self((number * unit as f64) as u64)).map_err(|_| EXPECTED)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 as f64 {
            few if few < 1e3 => f.write_str(&count(self.0, "byte", "bytes")),
            // The next unit begins where rounding would show 1000.
            some if some < 999_950.0 => write!(f, "{:.1} kB", some / 1e3),
            many if many < 999_950_000.0 => write!(f, "{:.1} MB", many / 1e6),
            most => write!(f, "{:.2} GB", most / 1e9),
        }
    }
}

/// Returns `1 frame` or `2 frames`.
#[must_use]
pub fn count(amount: u64, one: &str, many: &str) -> String {
    format!("{amount} {}", if amount == 1 { one } else { many })
}

/// Formats a bit rate in Mbit/s, without the unit: `0.3`, `216`. Rates below 10 have one decimal.
#[must_use]
pub fn rounded_mbit_s(mbit_s: f64) -> String {
    // The bound is where rounding would show 10.0.
    if mbit_s < 9.95 { format!("{mbit_s:.1}") } else { format!("{mbit_s:.0}") }
}

/// Formats a latency in microseconds with two significant digits, as many as its histogram has: `0.012 ms`, `1.2 ms`, `120 ms`
/// or `1.2 s`.
#[must_use]
pub fn rounded_latency(us: u64) -> String {
    let (amount, unit) = if us < 995_000 { (us as f64 / 1e3, "ms") } else { (us as f64 / 1e6, "s") };
    let rounded = format!("{amount:.1e}");
    let exponent = rounded.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok()).unwrap_or(0);
    // Microseconds are whole.
    let decimals = usize::try_from(1 - exponent).unwrap_or(0).min(3);
    match us {
        0 => "0 ms".to_owned(),
        _ => format!("{:.decimals$} {unit}", rounded.parse().unwrap_or(amount)),
    }
}

/// Formats a time in its one or two largest units, such as `12 s`, `2 min`, `1 h 5 min` or `3 d 2 h`.
#[must_use]
pub fn rounded_time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let (large, small) = match (days, hours, minutes) {
        (0, 0, 0) => return format!("{seconds} s"),
        (0, 0, _) => ((minutes, "min"), (seconds % 60, "s")),
        (0, ..) => ((hours, "h"), (minutes, "min")),
        _ => ((days, "d"), (hours, "h")),
    };
    let small = if small.0 == 0 { String::new() } else { format!(" {} {}", small.0, small.1) };
    format!("{} {}{small}", large.0, large.1)
}

/// Parses a time such as `500ms`, `1.5s`, `2min`, `2m`, `1h` or `7d`. A unit is required.
///
/// # Errors
///
/// [`UnitError`] if the number or the unit is unknown, or the time does not fit into a [`Duration`].
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    const EXPECTED: UnitError = UnitError("ms, s, min, h or d, such as 10s");
    let (number, unit) = number_and_unit(text);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(EXPECTED),
    };
    let number: f64 = number.parse().map_err(|_| EXPECTED)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| EXPECTED)
}

fn number_and_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_have_two_digits() {
        for (us, text) in [
            (0, "0 ms"),
            (1, "0.001 ms"),
            (12, "0.012 ms"),
            (127, "0.13 ms"),
            (1999, "2.0 ms"),
            (9949, "9.9 ms"),
            (9960, "10 ms"),
            (33_535, "34 ms"),
            (124_927, "120 ms"),
            (994_999, "990 ms"),
            (996_000, "1.0 s"),
            (12_345_678, "12 s"),
            (60_000_000, "60 s"),
        ] {
            assert_eq!(rounded_latency(us), text, "{us}");
        }
    }

    #[test]
    fn low_bit_rates_have_a_decimal() {
        let rates = [0.0, 0.3, 4.224, 9.94, 9.96, 10.4, 216.3].map(rounded_mbit_s);
        assert_eq!(rates, ["0.0", "0.3", "4.2", "9.9", "10", "10", "216"]);
    }

    #[test]
    fn bytes_are_parsed_in_decimal_and_binary_units() {
        for (text, bytes) in [
            ("7", 7),
            ("0", 0),
            ("10b", 10),
            ("1 KB", 1000),
            ("1.5kb", 1500),
            ("1.5MiB", 3 << 19),
            ("128MiB", 128 << 20),
            ("64k", 64 << 10),
            ("512m", 512 << 20),
            ("2 TiB", 2 << 40),
            ("9007199254740993", 9_007_199_254_740_993),
            ("99999999999999999999", u64::MAX),
            ("18446744073709551615KB", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for wrong in ["", "MiB", "-1", "1.2.3", "1e3GB", "10 pounds", "1PB"] {
            let error = wrong.parse::<Bytes>().expect_err(wrong);
            assert!(error.to_string().ends_with("such as 128MiB"), "{error}");
        }
    }

    #[test]
    fn bytes_are_shown_in_a_unit_of_their_size() {
        let bytes = [0, 1, 999, 1000, 12_345, 999_949, 999_950, 45_600_000, 999_960_000, 1_230_000_000];
        let shown = bytes.map(|bytes| Bytes(bytes).to_string());
        let expected = [
            "0 bytes",
            "1 byte",
            "999 bytes",
            "1.0 kB",
            "12.3 kB",
            "999.9 kB",
            "1.0 MB",
            "45.6 MB",
            "1.00 GB",
            "1.23 GB",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn times_are_rounded_to_two_units() {
        let shown = [3, 60, 125, 3600, 3661, 86_400 * 3 + 7260].map(|s| rounded_time(Duration::from_secs(s)));
        assert_eq!(shown, ["3 s", "1 min", "2 min 5 s", "1 h", "1 h 1 min", "3 d 2 h"]);
    }

    #[test]
    fn times_are_parsed_with_their_unit() {
        for (text, ms) in [
            ("10s", 10_000),
            ("1.5s", 1500),
            ("500ms", 500),
            ("0ms", 0),
            ("2min", 120_000),
            ("2 m", 120_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for wrong in ["", "10", "s", "-1s", "1e9h", "1.2.3s", "10 days", "99999999999999999999h"] {
            let error = parse_duration(wrong).expect_err(wrong);
            assert!(error.to_string().ends_with("such as 10s"), "{error}");
        }
    }
}
