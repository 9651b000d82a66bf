//! The state that a camera reports in its discovery answer.

use std::fmt;

use serde::{Serialize, Serializer};

/// The state of a camera (bootloader.md 1, "States on the wire").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CameraState {
    /// 1: a host is connected, and the camera runs what that host has sent.
    Booted,
    /// 3: the bootloader runs and waits for a host.
    Bootloader,
    /// 4: the application in the flash was booted. It need not work.
    FlashBooted,
    /// Any other number.
    Other(u32),
}

impl CameraState {
    /// Returns the name of the state in JSON output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Booted => "booted",
            Self::Bootloader => "bootloader",
            Self::FlashBooted => "flash-booted",
            Self::Other(_) => "unknown",
        }
    }
}

impl From<u32> for CameraState {
    fn from(number: u32) -> Self {
        match number {
            1 => Self::Booted,
            3 => Self::Bootloader,
            4 => Self::FlashBooted,
            other => Self::Other(other),
        }
    }
}

impl From<CameraState> for u32 {
    fn from(state: CameraState) -> Self {
        match state {
            CameraState::Booted => 1,
            CameraState::Bootloader => 3,
            CameraState::FlashBooted => 4,
            CameraState::Other(number) => number,
        }
    }
}

impl fmt::Display for CameraState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Booted => f.write_str("in use by a host"),
            Self::Bootloader => f.write_str("bootloader"),
            Self::FlashBooted => f.write_str("booted its application"),
            Self::Other(number) => write!(f, "unknown state {number}"),
        }
    }
}

impl Serialize for CameraState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_convert_to_wire_numbers_and_texts() {
        for (number, state, name, text) in [
            (1, CameraState::Booted, "booted", "in use by a host"),
            (3, CameraState::Bootloader, "bootloader", "bootloader"),
            (4, CameraState::FlashBooted, "flash-booted", "booted its application"),
            (0, CameraState::Other(0), "unknown", "unknown state 0"),
            (2, CameraState::Other(2), "unknown", "unknown state 2"),
            (u32::MAX, CameraState::Other(u32::MAX), "unknown", "unknown state 4294967295"),
        ] {
            assert_eq!(CameraState::from(number), state);
            assert_eq!(u32::from(state), number);
            assert_eq!((state.name(), state.to_string().as_str()), (name, text));
        }
    }
}
