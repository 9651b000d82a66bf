//! The sockets that send queries: one per interface, and one that follows the routes of the system.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::{FindError, Targets, Unsent, any_port};
use crate::discovery::Query;
use crate::net::interfaces::Interface;

/// A socket and the queries to send from it.
#[derive(Debug)]
pub(super) struct QuerySocket {
    pub(super) socket: UdpSocket,
    /// The interface to query. `None`: queries follow the routes of the system.
    pub(super) interface: Option<Interface>,
    /// Broadcast addresses to query from the routed socket too. It also receives answers on the wrong interface, which
    /// occur if two interfaces are in one network.
    broadcasts: Vec<Ipv4Addr>,
}

/// Opens the sockets. Reports an interface whose socket cannot be opened as unsent.
pub(super) fn open_all(
    targets: &Targets,
    local: &[Interface],
) -> Result<(Vec<Arc<QuerySocket>>, Vec<Unsent>), FindError> {
    let mut sockets = Vec::new();
    let mut unsent = Vec::new();
    let hears_broadcasts = |interface: &&Interface| targets.broadcast && !interface.point_to_point;
    let interfaces: Vec<_> = local.iter().filter(hears_broadcasts).filter(|local| local.prefix < 31).collect();
    let broadcast = |interface: &Interface| interface.subnet().map(|subnet| subnet.broadcast());
    let broadcasts = interfaces.iter().filter_map(|interface| broadcast(interface)).collect();
    let socket = socket(None).map_err(FindError::Socket)?;
    sockets.push(Arc::new(QuerySocket { socket, interface: None, broadcasts }));
    for interface in interfaces {
        match self::socket(Some(interface)) {
            Ok(socket) => {
                sockets.push(Arc::new(QuerySocket {
                    socket,
                    interface: Some(interface.clone()),
                    broadcasts: Vec::new(),
                }));
            }
            Err(error) => unsent.push(Unsent {
                to: broadcast(interface).unwrap_or(Ipv4Addr::BROADCAST),
                interface: Some(interface.name.clone()),
                more: 0,
                error,
            }),
        }
    }
    Ok((sockets, unsent))
}

fn socket(interface: Option<&Interface>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_broadcast(true)?;
    socket.set_nonblocking(true)?;
    if let Some(interface) = interface {
        bind_device(&socket, &interface.name);
    }
    socket.bind(&any_port(interface.map_or(Ipv4Addr::UNSPECIFIED, |interface| interface.ip)).into())?;
    UdpSocket::from_std(socket.into())
}

/// Binds the socket to an interface. If two interfaces are in one network, the system otherwise sends every broadcast
/// through the first one, whatever the source address. Needs root on Linux before 5.7; without it, only the source
/// address selects the interface.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind_device(socket: &Socket, name: &str) {
    if let Err(error) = socket.bind_device(Some(name.as_bytes())) {
        tracing::debug!(interface = name, "cannot bind a socket to the interface: {error}");
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn bind_device(_: &Socket, _: &str) {}

impl QuerySocket {
    /// Sends each query once. Reports failures in the `first` round only.
    pub(super) async fn query(&self, targets: &Targets, first: bool, unsent: &mut Vec<Unsent>) {
        let port = targets.port;
        let Some(interface) = &self.interface else {
            for network in &self.broadcasts {
                // Failures are reported by the socket of the interface.
                let _ = self.send(Query::Discover, *network, port).await;
            }
            if targets.broadcast {
                // Like the vendor's client. Fails without a default route, but the broadcasts above cover each network.
                let _ = self.send(Query::Discover, Ipv4Addr::BROADCAST, port).await;
            }
            for to in &targets.addresses {
                let mut sent = self.send(Query::Discover, *to, port).await;
                if targets.link {
                    sent = sent.and(self.send(Query::Info, *to, port).await);
                }
                if let Err(error) = sent
                    && first
                {
                    unsent.push(Unsent { to: *to, interface: None, more: 0, error });
                }
            }
            return;
        };
        // A camera with an address of another network receives only the limited broadcast, which loopback does not
        // have.
        let limited = (!interface.ip.is_loopback()).then_some(Ipv4Addr::BROADCAST);
        for to in interface.subnet().map(|subnet| subnet.broadcast()).into_iter().chain(limited) {
            if let Err(error) = self.send(Query::Discover, to, port).await
                && first
            {
                unsent.push(Unsent { to, interface: Some(interface.name.clone()), more: 0, error });
            }
        }
    }

    pub(super) async fn send(&self, query: Query, to: Ipv4Addr, port: u16) -> io::Result<()> {
        self.socket.send_to(&query.to_bytes(), (to, port)).await.map(|_| ())
    }
}
