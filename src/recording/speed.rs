//! The speed of a playback, and its text form.

use std::fmt;
use std::str::FromStr;

/// Playback speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// A multiple of the recorded speed.
    Times(f64),
    /// As fast as the consumers take the frames.
    Max,
}

impl Speed {
    /// Speeds that [`Playback::faster`] and [`Playback::slower`] step through.
    const STEPS: [Self; 9] = [
        Self::Times(0.125),
        Self::Times(0.25),
        Self::Times(0.5),
        Self::Times(1.0),
        Self::Times(2.0),
        Self::Times(4.0),
        Self::Times(8.0),
        Self::Times(16.0),
        Self::Max,
    ];

    /// Accepted multiples. Slower playback would show no change, and faster playback would be the same as [`Self::Max`].
    const RANGE: std::ops::RangeInclusive<f64> = 0.001..=1000.0;

    pub(super) fn factor(self) -> f64 {
        match self {
            Self::Times(times) => times,
            Self::Max => f64::INFINITY,
        }
    }

    pub(super) fn faster(self) -> Self {
        Self::STEPS.into_iter().find(|step| step.factor() > self.factor()).unwrap_or(Self::Max)
    }

    pub(super) fn slower(self) -> Self {
        Self::STEPS.into_iter().rev().find(|step| step.factor() < self.factor()).unwrap_or(Self::STEPS[0])
    }
}

impl Default for Speed {
    fn default() -> Self {
        Self::Times(1.0)
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => times.fmt(f),
            Self::Max => f.write_str("max"),
        }
    }
}

impl FromStr for Speed {
    /// The accepted values, as text.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.strip_suffix('x').unwrap_or(text).parse().ok().filter(|times| Self::RANGE.contains(times));
        let expected = || format!("expected {} to {} times, or max", Self::RANGE.start(), Self::RANGE.end());
        times.map(Self::Times).ok_or_else(expected)
    }
}
