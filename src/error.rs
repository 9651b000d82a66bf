//! Errors as text.

use std::error::Error;

/// Formats an error and its causes on one line: `cannot open x.mcap: permission denied`.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
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
