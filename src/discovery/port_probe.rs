//! The result of probing a TCP port.

use serde::Serialize;

/// The result of one attempt to connect to a TCP port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortProbe {
    /// A program listens on the port.
    Open,
    /// The host refused the connection: no program listens on the port.
    Refused,
    /// No answer in time: the host is absent, or a firewall drops the packets.
    #[serde(rename = "silence")]
    TimedOut,
    /// The connection failed for another reason, such as a missing route. Holds the system's error text.
    Unreachable(String),
}
