//! When a file is long enough, and when old ones have to go.

use std::str::FromStr;
use std::time::Duration;

use crate::units::{Bytes, parse_duration};

/// A new file is begun when one is as long, or as large, as this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// From its first frame to the next file's first one. Video goes on until its next key picture, ten seconds at most.
    Time(Duration),
    /// Bytes of the file. The last frame makes it a little larger, and video goes on likewise.
    Bytes(u64),
}

/// How many finished files stay; the oldest go first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keep {
    /// Those that ended no longer ago than this.
    Time(Duration),
    /// As many as have so many bytes in all, with the one that is being written.
    Bytes(u64),
    /// As many as leave this share of the disk free, 0 to 1.
    Free(f64),
}

/// What is no limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not {expected}")]
pub struct LimitError {
    found: String,
    expected: &'static str,
}

impl FromStr for Split {
    type Err = LimitError;

    /// `10min`, `1h`, `1GB`, `512MiB`.
    fn from_str(text: &str) -> Result<Self, LimitError> {
        time(text)
            .map(Self::Time)
            .or_else(|| bytes(text).map(Self::Bytes))
            .ok_or_else(|| wrong(text, "a time or a size, such as 10min or 1GB"))
    }
}

impl FromStr for Keep {
    type Err = LimitError;

    /// `7d`, `50GB`, `10%free`.
    fn from_str(text: &str) -> Result<Self, LimitError> {
        let free = || {
            let percent: f64 =
                text.trim().strip_suffix("free")?.trim_end().strip_suffix('%')?.trim_end().parse().ok()?;
            (percent > 0.0 && percent < 100.0).then_some(Self::Free(percent / 100.0))
        };
        time(text)
            .map(Self::Time)
            .or_else(|| bytes(text).map(Self::Bytes))
            .or_else(free)
            .ok_or_else(|| wrong(text, "a time, a size or a free share of the disk, such as 7d, 50GB or 10%free"))
    }
}

fn wrong(text: &str, expected: &'static str) -> LimitError {
    LimitError { found: text.to_owned(), expected }
}

fn time(text: &str) -> Option<Duration> {
    parse_duration(text).ok().filter(|time| !time.is_zero())
}

fn bytes(text: &str) -> Option<u64> {
    // A bare number could be a time as well.
    let has_unit = text.trim().ends_with(|c: char| c.is_ascii_alphabetic());
    text.parse().ok().map(|Bytes(bytes)| bytes).filter(|bytes| has_unit && *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits() {
        for (text, seconds) in [("10min", 600), ("1h", 3600), ("1.5 m", 90), ("2d", 172_800)] {
            assert_eq!(text.parse(), Ok(Split::Time(Duration::from_secs(seconds))), "{text}");
        }
        for (text, bytes) in [("1GB", 1_000_000_000), ("512MiB", 512 << 20), ("1.5kb", 1500), ("2 TiB", 2 << 40)] {
            assert_eq!(text.parse(), Ok(Split::Bytes(bytes)), "{text}");
        }
        for wrong in ["", "10", "min", "0s", "0GB", "-1GB", "1e3GB", "10%free", "1.2.3s", "99999999999999999999999h"] {
            let error = wrong.parse::<Split>().expect_err(wrong);
            assert_eq!(error.to_string(), format!("`{wrong}` is not a time or a size, such as 10min or 1GB"));
        }
    }

    #[test]
    fn keeps() {
        assert_eq!("7d".parse(), Ok(Keep::Time(Duration::from_secs(604_800))));
        assert_eq!("50GB".parse(), Ok(Keep::Bytes(50_000_000_000)));
        assert_eq!(["10%free", "0.5 % free"].map(str::parse), [Ok(Keep::Free(0.1)), Ok(Keep::Free(0.005))]);
        for wrong in ["", "10%", "free", "0%free", "100%free", "nan%free", "7"] {
            assert!(wrong.parse::<Keep>().is_err(), "{wrong}");
        }
    }
}
