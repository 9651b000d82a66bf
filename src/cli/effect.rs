//! The effect of a command on the cameras whose bootloaders it enters: it decides when to ask, and when to stop.

use super::present::changed_nothing;

/// The work of a command on each camera.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effect<'a> {
    /// Begins the question, such as `erasing the application`.
    pub(crate) doing: &'a str,
    pub(crate) asks: Asks,
    /// Accept cameras only that are named on the command line, not all of a file.
    pub(crate) named: bool,
    /// Leave the other cameras alone after the first failure.
    pub(crate) stops_at_failure: bool,
    /// Number of cameras at the same time.
    pub(crate) jobs: usize,
    pub(crate) waits: Waits,
}

/// When to wait at the end until the applications that were stopped run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    Never,
    /// For a camera whose work failed before anything was changed: the work itself waits otherwise, or leaves no application.
    AfterFailure,
    Always,
}

impl Waits {
    /// Returns [`Self::Never`] if the user does not want to wait.
    pub(crate) const fn unless(self, no_wait: bool) -> Self {
        if no_wait { Self::Never } else { self }
    }

    /// Returns whether to wait for the application of a camera whose work ended like this.
    pub(crate) fn after(self, failure: Option<&anyhow::Error>) -> bool {
        match self {
            Self::Never => false,
            Self::AfterFailure => failure.is_some_and(changed_nothing),
            Self::Always => true,
        }
    }
}

/// When to ask before the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    Never,
    /// If it stops an application.
    ToStop,
    /// Also a camera that waits in its bootloader is changed by the work.
    Always,
}

impl<'a> Effect<'a> {
    /// Work that changes nothing but stops the application for a while.
    pub(crate) const fn reading(doing: &'a str) -> Self {
        let waits = Waits::AfterFailure;
        Self { doing, asks: Asks::ToStop, named: false, stops_at_failure: false, jobs: 1, waits }
    }

    /// Like [`Self::reading`], and waits at the end until the applications run again.
    pub(crate) const fn querying(doing: &'a str) -> Self {
        Self { waits: Waits::Always, ..Self::reading(doing) }
    }

    /// Work after which a camera may not work or may not be reached.
    pub(crate) const fn changing(doing: &'a str) -> Self {
        Self { asks: Asks::Always, named: true, ..Self::reading(doing) }
    }
}
