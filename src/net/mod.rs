//! Sockets, clocks and interfaces of this host, and the loops that drive the state machines of `discovery` and
//! `bootloader`.

use std::time::Duration;

pub mod clock;
pub(crate) mod datagram_batch;
pub(crate) mod datagram_buffer;
pub mod discovery;
pub(crate) mod host_and_port;
pub(crate) mod host_name;
pub mod interfaces;
pub(crate) mod low_water;
#[cfg(feature = "mqtt")]
pub(crate) mod mqtt;
pub mod port_probe;
pub(crate) mod serving;
pub mod startup;
pub mod talk;
#[cfg(any(feature = "http", feature = "mqtt"))]
pub(crate) mod tls;
#[cfg(feature = "zenoh")]
pub(crate) mod zenoh;

/// Time until the next attempt when a connection cannot be accepted, which is mostly because too many files are open.
pub(crate) const ACCEPT_RETRY: Duration = Duration::from_millis(100);
