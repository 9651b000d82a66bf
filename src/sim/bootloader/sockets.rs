//! The ports of a simulated camera, bound while it is there.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};

use socket2::{Domain, Socket, Type};

use super::board::CameraError;
use crate::sim::SimError;

/// Where a simulated camera is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// Its address.
    pub ip: Ipv4Addr,
    /// UDP port of discovery.
    pub discovery: u16,
    /// TCP port of its bootloader.
    pub link: u16,
    /// TCP port of its application's stream.
    pub stream: u16,
}

impl Place {
    /// At this address, with the ports that real cameras have.
    #[must_use]
    pub fn usual(ip: Ipv4Addr) -> Self {
        let (discovery, link) = (crate::discovery::PORT, crate::xlink::PORT);
        Self { ip, discovery, link, stream: crate::wire::PORT }
    }

    /// At this address, with ports that are free.
    #[must_use]
    pub fn free(ip: Ipv4Addr) -> Self {
        Self { ip, discovery: 0, link: 0, stream: 0 }
    }
}

/// Why a camera cannot be put on the network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There can be no such camera.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// Its application can send no such stream.
    #[error(transparent)]
    Stream(#[from] SimError),
    /// A port is taken, or there is no such address here.
    #[error("{protocol} {address} cannot be listened at: {error}")]
    Bind {
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// The address and port.
        address: SocketAddrV4,
        /// What the system said.
        error: io::Error,
    },
    /// The system refuses a thread.
    #[error("no thread for a simulated camera: {0}")]
    Thread(#[from] io::Error),
}

/// The `at`-th address of this host to be tried. Programs that run at the same time begin somewhere else.
pub(super) fn nearby(at: u32) -> Ipv4Addr {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST;
    }
    let n = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(at);
    let [a, b, ..] = std::process::id().wrapping_mul(0x9E37_79B1).to_be_bytes();
    // 127.64.0.1 and after: nobody has anything there by habit.
    Ipv4Addr::new(127, 64 | a & 63, b, 1 + (n % 250) as u8)
}

/// What is bound at one place. The TCP ports are kept while nobody listens there.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) place: Place,
    pub(super) udp: UdpSocket,
    /// What is broadcast on loopback is heard here.
    pub(super) broadcast: Option<UdpSocket>,
    _link: Socket,
    _stream: Socket,
}

impl Sockets {
    pub(super) fn bind(mut place: Place, hears_broadcasts: bool) -> Result<Self, StartError> {
        let failed = |protocol, port| {
            move |error| StartError::Bind { protocol, address: SocketAddrV4::new(place.ip, port), error }
        };
        let udp = UdpSocket::bind((place.ip, place.discovery)).map_err(failed("UDP", place.discovery))?;
        udp.set_nonblocking(true)?;
        let (link, link_port) = keep(place.ip, place.link).map_err(failed("TCP", place.link))?;
        let (stream, stream_port) = keep(place.ip, place.stream).map_err(failed("TCP", place.stream))?;
        (place.link, place.stream) = (link_port, stream_port);
        place.discovery = udp.local_addr()?.port();
        let broadcast = hears_broadcasts && place.ip.is_loopback();
        let broadcast = broadcast.then(|| hear(place.discovery)).transpose().map_err(failed("UDP", place.discovery))?;
        Ok(Self { place, udp, broadcast, _link: link, _stream: stream })
    }
}

/// Everything that is sent to all of loopback at this port: what does not know its address looks for a camera so. Several
/// cameras can hear the same.
fn hear(port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::new(127, 255, 255, 255), port).into())?;
    Ok(socket.into())
}

/// A port that nobody else can have, and at which nobody listens yet: hosts are refused there.
fn keep(ip: Ipv4Addr, port: u16) -> io::Result<(Socket, u16)> {
    // Somebody else may have a listener there: that is refused here, without this option.
    drop(TcpListener::bind((ip, port))?);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddrV4::new(ip, port).into())?;
    let port = socket.local_addr()?.as_socket_ipv4().map_or(port, |address| address.port());
    Ok((socket, port))
}
