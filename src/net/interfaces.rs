//! The addresses of this host, and the source address of packets to a given destination.

use std::io;
#[cfg(feature = "whep")]
use std::net::IpAddr;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use serde::Serialize;

use crate::discovery::Subnet;

/// One IPv4 address of an interface that is up and has a carrier. An interface with two addresses is listed twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// The system's name, such as `eth0`.
    pub name: String,
    /// The IPv4 address.
    pub ip: Ipv4Addr,
    /// The prefix length, 0 to 32.
    pub prefix: u8,
    /// The interface is a tunnel to one peer, so broadcasts do not reach a camera.
    pub point_to_point: bool,
}

impl Interface {
    /// Returns the network of the address, or `None` if the prefix length is invalid.
    #[must_use]
    pub fn subnet(&self) -> Option<Subnet> {
        Subnet::of(self.ip, self.prefix)
    }
}

/// Lists the IPv4 addresses of all interfaces that are up, sorted by name and address.
///
/// # Errors
/// Returns the system's error if it cannot list the interfaces.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let mut found: Vec<_> = if_addrs::get_if_addrs()?
        .into_iter()
        // IFF_RUNNING on Linux and macOS: up, and with a carrier.
        .filter(if_addrs::Interface::is_oper_up)
        .filter_map(|interface| match &interface.addr {
            if_addrs::IfAddr::V4(v4) => Some(Interface {
                ip: v4.ip,
                prefix: v4.prefixlen,
                point_to_point: interface.is_p2p,
                name: interface.name,
            }),
            if_addrs::IfAddr::V6(_) => None,
        })
        .collect();
    found.sort_by(|a, b| (&a.name, a.ip).cmp(&(&b.name, b.ip)));
    Ok(found)
}

/// Lists the addresses of all interfaces that are up, without those that need a scope.
///
/// # Errors
/// Returns the system's error if it cannot list the interfaces.
#[cfg(feature = "whep")]
pub(crate) fn addresses() -> io::Result<Vec<IpAddr>> {
    let up = if_addrs::get_if_addrs()?.into_iter().filter(if_addrs::Interface::is_oper_up);
    let needs_scope = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let mut found: Vec<_> = up.map(|interface| interface.ip()).filter(|address| !needs_scope(address)).collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Returns the source address that this host uses for packets to `destination`. Sends nothing.
///
/// # Errors
/// Returns the system's error if there is no route to `destination`.
pub fn source_for(destination: Ipv4Addr) -> io::Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // The route does not depend on the port.
    socket.connect((destination, crate::discovery::PORT))?;
    match socket.local_addr()? {
        SocketAddr::V4(address) => Ok(*address.ip()),
        SocketAddr::V6(address) => {
            Err(io::Error::other(format!("expected an IPv4 source address, found {}", address.ip())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_to_loopback_leave_from_loopback() {
        assert_eq!(source_for(Ipv4Addr::LOCALHOST).expect("a route"), Ipv4Addr::LOCALHOST);
        let all = interfaces().expect("the interfaces can be listed");
        let Some(lo) = all.iter().find(|interface| interface.ip.is_loopback()) else {
            eprintln!("skipped: the loopback interface is down");
            return;
        };
        assert!(lo.subnet().expect("a valid prefix").contains(Ipv4Addr::LOCALHOST), "{lo:?}");
    }
}
