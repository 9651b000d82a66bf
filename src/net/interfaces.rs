//! The IPv4 addresses of this host, and which of them packets to somebody leave by.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use serde::Serialize;

use crate::discovery::Subnet;

/// One IPv4 address of an interface that is up and has a carrier. An interface with two addresses is there twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// The system's name of it: `eth0`.
    pub name: String,
    /// This host's address there.
    pub ip: Ipv4Addr,
    /// Bits that the addresses of its network share.
    pub prefix: u8,
    /// A tunnel: there is one peer, and nobody hears a broadcast.
    pub point_to_point: bool,
}

impl Interface {
    /// The network that it is in.
    #[must_use]
    pub fn subnet(&self) -> Option<Subnet> {
        Subnet::of(self.ip, self.prefix)
    }
}

/// The IPv4 addresses of all interfaces that are up, by name.
///
/// # Errors
/// The system does not tell.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let mut found: Vec<_> = if_addrs::get_if_addrs()?
        .into_iter()
        // On Linux and macOS this is IFF_RUNNING: up, and something is at the other end of the cable.
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

/// The address of this host that packets to `to` leave from. Nothing is sent.
///
/// # Errors
/// There is no route.
pub fn source_for(to: Ipv4Addr) -> io::Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // The port does not matter to a route.
    socket.connect((to, crate::discovery::PORT))?;
    match socket.local_addr()? {
        SocketAddr::V4(address) => Ok(*address.ip()),
        SocketAddr::V6(address) => Err(io::Error::other(format!("{} is no IPv4 address", IpAddr::V6(*address.ip())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_reaches_itself_from_itself() {
        assert_eq!(source_for(Ipv4Addr::LOCALHOST).expect("a route"), Ipv4Addr::LOCALHOST);
        let all = interfaces().expect("the system tells");
        let Some(lo) = all.iter().find(|interface| interface.ip.is_loopback()) else {
            eprintln!("skipped: the loopback interface is down here");
            return;
        };
        assert!(lo.subnet().expect("a prefix").contains(Ipv4Addr::LOCALHOST), "{lo:?}");
    }
}
