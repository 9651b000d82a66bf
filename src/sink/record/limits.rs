//! Limits for splitting recordings and for keeping old ones.

use std::str::FromStr;
use std::time::Duration;

use crate::units::{Bytes, parse_duration};

/// Length or size at which the recorder starts a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitLimit {
    /// Time from the first frame of a file to that of the next one. Video continues to its next key frame, at most 10 s.
    Time(Duration),
    /// Size in bytes, exceeded by the last frame and the index. Video continues to its next key frame, at most 10 s.
    Bytes(u64),
}

/// Limit for finished recordings. The oldest are deleted first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeepLimit {
    /// Maximum time since a recording ended.
    Time(Duration),
    /// Maximum total size in bytes, with the file that is being written.
    Bytes(u64),
    /// Minimum free share of the disk, 0 to 1.
    Free(f64),
}

/// A limit that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is {fault}")]
pub struct LimitError {
    found: String,
    fault: &'static str,
}

/// Smallest size of a file in bytes: the head and the end of a file take 4 kB.
const SPLIT_BYTES_MIN: u64 = 10_000;
const SPLIT_TIME_MIN: Duration = Duration::from_secs(1);

impl FromStr for SplitLimit {
    type Err = LimitError;

    /// Parses `10min`, `1h`, `1GB` or `512MiB`.
    fn from_str(text: &str) -> Result<Self, LimitError> {
        let limit = time(text)
            .map(Self::Time)
            .or_else(|| bytes(text).map(Self::Bytes))
            .ok_or_else(|| wrong(text, "not a time or a size, such as 10min or 1GB"))?;
        match limit {
            Self::Time(time) if time < SPLIT_TIME_MIN => Err(wrong(text, "too short: expected at least 1s")),
            Self::Bytes(bytes) if bytes < SPLIT_BYTES_MIN => Err(wrong(text, "too small: expected at least 10kB")),
            limit => Ok(limit),
        }
    }
}

impl FromStr for KeepLimit {
    type Err = LimitError;

    /// Parses `7d`, `50GB` or `10%free`.
    fn from_str(text: &str) -> Result<Self, LimitError> {
        let free = || {
            let percent: f64 =
                text.trim().strip_suffix("free")?.trim_end().strip_suffix('%')?.trim_end().parse().ok()?;
            Some(Self::Free(percent / 100.0))
        };
        let limit =
            time(text).map(Self::Time).or_else(|| bytes(text).map(Self::Bytes)).or_else(free).ok_or_else(|| {
                wrong(text, "not a time, a size or a free share of the disk, such as 7d, 50GB or 10%free")
            })?;
        match limit {
            Self::Time(time) if time.is_zero() => {
                Err(wrong(text, "too short: expected a time longer than 0, such as 7d"))
            }
            Self::Bytes(0) => Err(wrong(text, "too small: expected more than 0 bytes, such as 50GB")),
            Self::Free(share) if share > 0.0 && share < 1.0 => Ok(limit),
            Self::Free(_) => Err(wrong(text, "out of range: expected a share between 0 and 100 %, such as 10%free")),
            limit => Ok(limit),
        }
    }
}

fn wrong(text: &str, fault: &'static str) -> LimitError {
    LimitError { found: text.to_owned(), fault }
}

fn time(text: &str) -> Option<Duration> {
    parse_duration(text).ok()
}

fn bytes(text: &str) -> Option<u64> {
    // A number without a unit could be meant as a time.
    let has_unit = text.trim().ends_with(|c: char| c.is_ascii_alphabetic());
    text.parse().ok().map(|Bytes(bytes)| bytes).filter(|_| has_unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_a_time_or_a_size() {
        for (text, seconds) in [("10min", 600), ("1h", 3600), ("1.5 m", 90), ("2d", 172_800)] {
            assert_eq!(text.parse(), Ok(SplitLimit::Time(Duration::from_secs(seconds))), "{text}");
        }
        for (text, bytes) in [("1GB", 1_000_000_000), ("512MiB", 512 << 20), ("15.5kb", 15_500), ("2 TiB", 2 << 40)] {
            assert_eq!(text.parse(), Ok(SplitLimit::Bytes(bytes)), "{text}");
        }
        for wrong in ["", "10", "min", "-1GB", "1e3GB", "10%free", "1.2.3s", "99999999999999999999999h"] {
            let error = wrong.parse::<SplitLimit>().expect_err(wrong);
            assert_eq!(error.to_string(), format!("`{wrong}` is not a time or a size, such as 10min or 1GB"));
        }
        for (small, expected) in [("0GB", "10kB"), ("1B", "10kB"), ("9999B", "10kB"), ("0s", "1s"), ("999ms", "1s")] {
            let error = small.parse::<SplitLimit>().expect_err(small).to_string();
            assert!(error.ends_with(&format!("expected at least {expected}")), "{error}");
            assert!(expected.parse::<SplitLimit>().is_ok(), "{expected}");
        }
    }

    #[test]
    fn a_keep_limit_is_a_time_a_size_or_a_free_share() {
        assert_eq!("7d".parse(), Ok(KeepLimit::Time(Duration::from_secs(604_800))));
        assert_eq!("50GB".parse(), Ok(KeepLimit::Bytes(50_000_000_000)));
        assert_eq!(["10%free", "0.5 % free"].map(str::parse), [Ok(KeepLimit::Free(0.1)), Ok(KeepLimit::Free(0.005))]);
        for wrong in ["", "10%", "free", "0%free", "100%free", "nan%free", "7"] {
            assert!(wrong.parse::<KeepLimit>().is_err(), "{wrong}");
        }
        for (outside, expected) in [
            ("0%free", "a share between 0 and 100 %, such as 10%free"),
            ("100%free", "a share between 0 and 100 %, such as 10%free"),
            ("0s", "a time longer than 0, such as 7d"),
            ("0GB", "more than 0 bytes, such as 50GB"),
        ] {
            let error = outside.parse::<KeepLimit>().expect_err(outside).to_string();
            assert!(error.ends_with(&format!("expected {expected}")), "{error}");
        }
    }
}
