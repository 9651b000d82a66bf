//! The sockets that questions leave by: one for each interface, and one that goes wherever the system routes it.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::{FindError, Targets, Unsent, any_port};
use crate::discovery::Query;
use crate::net::interfaces::Interface;

/// A socket, and what it is for.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) socket: UdpSocket,
    /// The one interface that it asks at. `None`: it asks everywhere.
    pub(super) interface: Option<Interface>,
    /// The networks to broadcast in from the socket that asks everywhere. It hears what answers to the wrong interface,
    /// as hosts with two of them in one network are answered.
    networks: Vec<Ipv4Addr>,
}

/// Opens them. That one of an interface cannot be opened is noted; it is not the only one.
pub(super) fn open(targets: &Targets, local: &[Interface]) -> Result<(Vec<Arc<Line>>, Vec<Unsent>), FindError> {
    let mut lines = Vec::new();
    let mut unsent = Vec::new();
    let hears_broadcasts = |interface: &&Interface| targets.broadcast && !interface.point_to_point;
    let interfaces: Vec<_> = local.iter().filter(hears_broadcasts).filter(|local| local.prefix < 31).collect();
    let broadcast = |interface: &Interface| interface.subnet().map(|subnet| subnet.broadcast());
    let networks = interfaces.iter().filter_map(|interface| broadcast(interface)).collect();
    let socket = socket(None).map_err(FindError::Socket)?;
    lines.push(Arc::new(Line { socket, interface: None, networks }));
    for interface in interfaces {
        match self::socket(Some(interface)) {
            Ok(socket) => {
                lines.push(Arc::new(Line { socket, interface: Some(interface.clone()), networks: Vec::new() }));
            }
            Err(error) => unsent.push(Unsent {
                to: broadcast(interface).unwrap_or(Ipv4Addr::BROADCAST),
                interface: Some(interface.name.clone()),
                more: 0,
                error,
            }),
        }
    }
    Ok((lines, unsent))
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

/// Of two interfaces in one network, the system sends a broadcast by the first, whatever address it comes from; this
/// makes it the right one. Where it may not be done (Linux before 5.7, for users), what remains is the address.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind_device(socket: &Socket, name: &str) {
    if let Err(error) = socket.bind_device(Some(name.as_bytes())) {
        tracing::debug!(interface = name, "cannot be bound to: {error}");
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn bind_device(_: &Socket, _: &str) {}

impl Line {
    /// Asks once. What fails is noted in the `first` round only.
    pub(super) async fn ask(&self, targets: &Targets, first: bool, unsent: &mut Vec<Unsent>) {
        let port = targets.port;
        let Some(interface) = &self.interface else {
            for network in &self.networks {
                // It is reported where the interface itself is asked.
                let _ = self.send(Query::Discover, *network, port).await;
            }
            if targets.broadcast {
                // As the vendor's client does; without a default route it cannot be sent, and each network was asked.
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
        // A camera with an address of another network hears the second of these; the loopback interface has no such.
        let everybody = (!interface.ip.is_loopback()).then_some(Ipv4Addr::BROADCAST);
        for to in interface.subnet().map(|subnet| subnet.broadcast()).into_iter().chain(everybody) {
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
