//! Versions of bootloaders and the features that each introduced (bootloader.md 3.1).

use std::fmt;
use std::str::FromStr;

/// A version of a bootloader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // Three plain numbers.
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl Version {
    /// First version whose network type can write applications (bootloader.md 3.3).
    pub const FLASHES_OVER_NETWORK: Self = Self::new(0, 0, 14);
    /// First version that reports its commit.
    pub const REPORTS_COMMIT: Self = Self::new(0, 0, 18);
    /// First version that reports its type.
    pub const REPORTS_TYPE: Self = Self::new(0, 0, 12);
    /// First version that can read memories and report their sizes and applications.
    pub const READS_MEMORY: Self = Self::new(0, 0, 19);
    /// First version with a slot for a user bootloader.
    pub const HAS_USER_SLOT: Self = Self::new(0, 0, 21);
    /// First version that the vendor's client accepts without a warning (bootloader.md 3.3).
    pub const RECOMMENDED: Self = Self::new(0, 0, 28);

    /// Creates a version.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = text.split('.').map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Ok(Self { major, minor, patch }),
            _ => Err(format!("invalid bootloader version `{text}`: expected one such as 0.0.28")),
        }
    }
}

impl serde::Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_parse_and_compare_by_number() {
        let read = |text: &str| text.parse::<Version>();
        assert!(read("0.0.9") < read("0.0.28") && read("0.1.0") > read("0.0.99"));
        assert_eq!(read("0.0.28").map(|version| version.to_string()), Ok("0.0.28".into()));
        for wrong in ["", "1", "0.0", "0.0.28.1", "0.0.x", "v0.0.28"] {
            assert!(read(wrong).is_err_and(|error| error.contains("expected one such as 0.0.28")), "{wrong}");
        }
    }
}
