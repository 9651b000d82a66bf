//! Finds cameras by broadcast on every interface, by address, or address by address in a subnet. Also resets a camera
//! into its bootloader.
//!
//! Works like the vendor's client (bootloader.md 1), with these differences: each interface has its own socket, so that
//! the interface of a camera is known and two interfaces in one network are both queried; queries are repeated, because
//! datagrams get lost; cameras behind a router can be queried address by address.

mod reset;
mod search;
mod sockets;

pub(super) use reset::describe_last_state;
pub use reset::{RESET_TIMEOUT, ResetError, reset_to_bootloader, wait_for};
pub(super) use search::{Claim, search};

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::interfaces::Interface;
use crate::discovery::{AnswerError, DiscoveredCamera, PORT, Subnet};

/// Time to wait for answers after the last query (bootloader.md 1, "total collection window").
pub const RESPONSE_WINDOW: Duration = Duration::from_millis(500);

/// The addresses and networks to query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// Query the networks of this host by broadcast.
    pub broadcast: bool,
    /// Query these addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// Query every address of these networks: for cameras behind a router, which broadcasts do not pass.
    pub subnets: Vec<Subnet>,
    /// Query `addresses` for the speed of their link too. Many cameras do not answer this.
    pub link: bool,
    /// The UDP port of the cameras' discovery service.
    pub port: u16,
}

impl Default for Targets {
    fn default() -> Self {
        Self { broadcast: true, addresses: Vec::new(), subnets: Vec::new(), link: false, port: PORT }
    }
}

impl Targets {
    /// Targets a single address.
    #[must_use]
    pub fn only(ip: Ipv4Addr, port: u16) -> Self {
        Self { broadcast: false, addresses: vec![ip], port, ..Self::default() }
    }
}

/// The result of [`find`].
#[derive(Debug, Default)]
pub struct Survey {
    /// The cameras that answered, sorted by id.
    pub cameras: Vec<DiscoveredCamera>,
    /// Queries that could not be sent. The vendor's client does not report these.
    pub unsent: Vec<Unsent>,
    /// Answers that are not from a camera: the sender and the parse error.
    pub unrecognized: Vec<(Ipv4Addr, AnswerError)>,
    /// The interfaces on which a broadcast was sent.
    pub queried: Vec<Interface>,
}

/// A query that could not be sent.
#[derive(Debug)]
pub struct Unsent {
    /// The destination: an address, or the broadcast address of a network.
    pub to: Ipv4Addr,
    /// The outgoing interface, if one was selected.
    pub interface: Option<String>,
    /// The number of other addresses of the same subnet that could not be queried.
    pub more: u64,
    /// The error of the first query.
    pub error: io::Error,
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot send a query to {}", self.to)?;
        if self.more > 0 {
            write!(f, " and {} more", self.more)?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " on {interface}")?;
        }
        write!(f, ": {}", self.error)
    }
}

/// Error of [`find`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The interfaces could not be listed.
    #[error("cannot list the interfaces of this host: {0}")]
    Interfaces(#[source] io::Error),
    /// No UDP socket could be opened.
    #[error("cannot open a UDP socket: {0}")]
    Socket(#[source] io::Error),
}

/// Sends the queries and collects answers for `window` after the last one, or until `done` returns `true` for a camera.
///
/// Ignores answers from other addresses than those in [`Targets::addresses`] if nothing else is queried. Sends only
/// [`Query::Discover`](crate::discovery::Query), and `Query::Info` if `link` is set. Neither stops or changes anything on a camera.
///
/// # Errors
/// Fails if the interfaces cannot be listed or no UDP socket can be opened. Single queries that could not be sent are
/// in the [`Survey`].
pub async fn find(
    targets: &Targets,
    window: Duration,
    mut done: impl FnMut(&DiscoveredCamera) -> bool,
) -> Result<Survey, FindError> {
    search(targets, window, |camera, _| done(camera)).await
}

fn any_port(ip: Ipv4Addr) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(ip), 0)
}

#[cfg(test)]
mod tests;
