//! The sockets of a simulated camera.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};

use socket2::{Domain, Socket, Type};

use super::board::CameraError;
use crate::sim::SimError;

/// IP address and ports of a simulated camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// IPv4 address.
    pub ip: Ipv4Addr,
    /// UDP port of discovery.
    pub discovery: u16,
    /// TCP port of its bootloader.
    pub link: u16,
    /// TCP port of its application's stream.
    pub stream: u16,
}

impl Place {
    /// Returns this address with the ports of a real camera.
    #[must_use]
    pub fn standard_ports(ip: Ipv4Addr) -> Self {
        let (discovery, link) = (crate::discovery::PORT, crate::xlink::PORT);
        Self { ip, discovery, link, stream: crate::wire::PORT }
    }

    /// Returns this address with port 0 for all ports, which selects free ones.
    #[must_use]
    pub fn free_ports(ip: Ipv4Addr) -> Self {
        Self { ip, discovery: 0, link: 0, stream: 0 }
    }
}

/// Error while starting a simulated camera.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A memory or its initial content is unusable.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// The configuration of its stream is invalid.
    #[error(transparent)]
    Stream(#[from] SimError),
    /// A port is in use, or this host does not have the address.
    #[error("cannot listen on {protocol} {address}: {error}")]
    Bind {
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// The address and port.
        address: SocketAddrV4,
        /// Error of the system.
        error: io::Error,
    },
    /// The system cannot start a thread or configure a socket.
    #[error("cannot start a simulated camera: {0}")]
    Thread(#[from] io::Error),
}

/// Returns the `at`-th address of this host to try. The first address depends on the process, so that concurrent programs
/// try different ones.
pub(super) fn nearby(at: u32) -> Ipv4Addr {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST;
    }
    let n = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(at);
    let [a, b, ..] = std::process::id().wrapping_mul(0x9E37_79B1).to_be_bytes();
    // Other programs rarely use 127.64.0.1 and above.
    Ipv4Addr::new(127, 64 | a & 63, b, 1 + (n % 250) as u8)
}

/// The sockets of one place. They reserve the TCP ports while the camera does not listen on them.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) place: Place,
    pub(super) udp: UdpSocket,
    /// Receives broadcasts on loopback.
    pub(super) broadcast: Option<UdpSocket>,
    _link: Socket,
    _stream: Socket,
}

impl Sockets {
    pub(super) fn bind(mut place: Place, receives_broadcasts: bool) -> Result<Self, StartError> {
        let failed = |protocol, port| {
            move |error| StartError::Bind { protocol, address: SocketAddrV4::new(place.ip, port), error }
        };
        let udp = UdpSocket::bind((place.ip, place.discovery)).map_err(failed("UDP", place.discovery))?;
        udp.set_nonblocking(true)?;
        let (link, link_port) = reserve(place.ip, place.link).map_err(failed("TCP", place.link))?;
        let (stream, stream_port) = reserve(place.ip, place.stream).map_err(failed("TCP", place.stream))?;
        (place.link, place.stream) = (link_port, stream_port);
        place.discovery = udp.local_addr()?.port();
        let broadcast = receives_broadcasts && place.ip.is_loopback();
        let broadcast =
            broadcast.then(|| bind_broadcast(place.discovery)).transpose().map_err(failed("UDP", place.discovery))?;
        Ok(Self { place, udp, broadcast, _link: link, _stream: stream })
    }
}

/// Binds the broadcast address of loopback, to which discovery sends its queries. Several cameras can share it.
fn bind_broadcast(port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::new(127, 255, 255, 255), port).into())?;
    Ok(socket.into())
}

/// Reserves a TCP port without listening, so that the system refuses connections of hosts.
fn reserve(ip: Ipv4Addr, port: u16) -> io::Result<(Socket, u16)> {
    // Without `SO_REUSEADDR`, this fails if another program listens on the port.
    drop(TcpListener::bind((ip, port))?);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddrV4::new(ip, port).into())?;
    let port = socket.local_addr()?.as_socket_ipv4().map_or(port, |address| address.port());
    Ok((socket, port))
}
