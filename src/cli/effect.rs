//! The effect of a command on the cameras whose bootloaders it enters: it decides when to ask, and when to stop.

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
    /// Wait at the end until the applications that were stopped run again.
    pub(crate) waits: bool,
}

/// When to ask before the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    Never,
    /// If it stops an application.
    ToStop,
    /// If it stops an application, or if there are several cameras.
    ForSeveral,
    Always,
}

impl<'a> Effect<'a> {
    /// Work that changes nothing but stops the application for a while.
    pub(crate) const fn reading(doing: &'a str) -> Self {
        Self { doing, asks: Asks::ToStop, named: false, stops_at_failure: false, jobs: 1, waits: false }
    }

    /// Like [`Self::reading`], and waits at the end until the applications run again.
    pub(crate) const fn querying(doing: &'a str) -> Self {
        Self { waits: true, ..Self::reading(doing) }
    }

    /// Work after which a camera may not work or may not be reached.
    pub(crate) const fn changing(doing: &'a str) -> Self {
        Self { doing, asks: Asks::ForSeveral, named: true, stops_at_failure: false, jobs: 1, waits: false }
    }
}
