//! Protocols that delimit pictures themselves.

use std::fmt;
use std::str::FromStr;

/// A protocol that delimits pictures itself, so that they have no header of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP: the parts of `multipart/x-mixed-replace`, single responses, and posted bodies.
    Http,
    /// UDP: a datagram, or a message in several, is one picture.
    Udp,
    /// MQTT: one published message is one picture.
    Mqtt,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Http, Self::Udp, Self::Mqtt];

    /// Its name in recordings and JSON, in the place of a [dialect](super::Dialect).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Udp => "UDP",
            Self::Mqtt => "MQTT",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name).ok_or(())
    }
}
