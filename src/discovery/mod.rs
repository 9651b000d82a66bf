//! Which cameras are there: the question and the answers of UDP port 11491, and one row for each camera that answered.
//!
//! Nothing here touches a socket: [`Query`] and [`Answer`] are read and written as bytes, [`Found`] merges them.
//! `net::discovery` asks.

mod datagram;
mod found;
mod port_probe;
mod subnet;
mod watch;

pub use datagram::{Answer, AnswerError, LinkInfo, Query};
pub use found::{Camera, Found, Seen};
pub use port_probe::PortProbe;
pub use subnet::{Subnet, SubnetError};
pub use watch::{Change, Watch};

use std::fmt;

use serde::{Serialize, Serializer};

/// The UDP port that cameras answer at (bootloader.md 1).
pub const PORT: u16 = 11_491;

/// What a camera is doing (bootloader.md 1, "States on the wire").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// 1: a host is connected and has booted it; it runs what that host has sent.
    Booted,
    /// 3: it runs its bootloader and waits for a host.
    Bootloader,
    /// 4: it runs the application in its flash.
    FlashBooted,
    /// Any other number.
    Other(u32),
}

impl State {
    /// One word for programs.
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

impl From<u32> for State {
    fn from(number: u32) -> Self {
        match number {
            1 => Self::Booted,
            3 => Self::Bootloader,
            4 => Self::FlashBooted,
            other => Self::Other(other),
        }
    }
}

impl From<State> for u32 {
    fn from(state: State) -> Self {
        match state {
            State::Booted => 1,
            State::Bootloader => 3,
            State::FlashBooted => 4,
            State::Other(number) => number,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Booted => f.write_str("in use by a host"),
            Self::Bootloader => f.write_str("bootloader"),
            Self::FlashBooted => f.write_str("running its application"),
            Self::Other(number) => write!(f, "state {number}, which is not known"),
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_the_numbers_of_the_wire() {
        for (number, state, name, text) in [
            (1, State::Booted, "booted", "in use by a host"),
            (3, State::Bootloader, "bootloader", "bootloader"),
            (4, State::FlashBooted, "flash-booted", "running its application"),
            (0, State::Other(0), "unknown", "state 0, which is not known"),
            (2, State::Other(2), "unknown", "state 2, which is not known"),
            (u32::MAX, State::Other(u32::MAX), "unknown", "state 4294967295, which is not known"),
        ] {
            assert_eq!(State::from(number), state);
            assert_eq!(u32::from(state), number);
            assert_eq!((state.name(), state.to_string().as_str()), (name, text));
        }
    }
}
