//! Errors as text.

use std::error::Error;

/// Formats an error and its causes on one line: `cannot open x.mcap: permission denied`.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Nesting of values in one encoding, which bounds recursion. The configuration of a bootloader has 2 levels, and the vendor's
/// pipelines reach 7.
pub const NESTING_MAX: usize = 32;

/// Damage that every encoding of nested values can have. Offsets count from the beginning of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The texts explain the fields.
pub enum EncodingError {
    /// A value does not end inside the bytes.
    #[error("cut off at byte {at}: expected {expected} more bytes, found {found}")]
    CutOff { at: usize, expected: u64, found: usize },
    /// Nested more than [`NESTING_MAX`] levels deep.
    #[error("nested more than {NESTING_MAX} levels deep at byte {at}")]
    TooDeep { at: usize },
    /// More bytes follow the value.
    #[error("{extra} bytes follow the value, which ends at byte {at}")]
    Trailing { at: usize, extra: usize },
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn causes_follow_their_error() {
        let inner = io::Error::other("disk is full");
        assert_eq!(with_causes(&inner), "disk is full");
        #[derive(Debug, thiserror::Error)]
        #[error("cannot write")]
        struct Outer(#[source] io::Error);
        assert_eq!(with_causes(&Outer(inner)), "cannot write: disk is full");
    }
}
