//! The clocks: the camera's, and this host's.

/// Microseconds on the camera's clock: since its boot when it runs alone (wire.md section 2.1). Can be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct DeviceTime(pub i64);

impl DeviceTime {
    /// Microseconds from `earlier` to `self`; negative when the camera's clock went backwards.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// When bytes were read here, on both of this host's clocks. Plain numbers, so that tests can make them up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// For intervals and latency: nanoseconds since some moment of this process; never goes backwards.
    pub mono_ns: u64,
    /// For files: nanoseconds since 1970, UTC.
    pub unix_ns: i64,
}
