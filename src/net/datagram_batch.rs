//! Receives and sends many datagrams with one call of the system where it can: `recvmmsg`, and datagrams of equal length that
//! the system or the network adapter joins and splits (GRO and GSO on Linux). Otherwise one at a time.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::Range;

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;

/// Longest datagram, and most bytes of datagrams that the system has joined.
const JOINED_BYTES_MAX: usize = 64 << 10;

/// A datagram that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// Place of its bytes in the batch.
    pub(crate) place: Range<usize>,
    /// Its sender.
    pub(crate) from: SocketAddr,
    /// Address of this host to which it was sent, where the system names it.
    pub(crate) to: Option<IpAddr>,
}

/// Datagrams that were received with one call. The memory of a buffer is used only as far as datagrams reach.
#[derive(Debug)]
pub(crate) struct DatagramBatch {
    system: UdpSocketState,
    buffers: Vec<u8>,
    filled: [RecvMeta; BATCH_SIZE],
    /// Buffers that the last call filled.
    count: usize,
    /// The next datagram: its buffer, and its position there.
    next: (usize, usize),
}

impl DatagramBatch {
    /// Prepares a socket.
    ///
    /// # Errors
    /// The error of the system if the socket cannot be set up.
    pub(crate) fn new(socket: &tokio::net::UdpSocket) -> io::Result<Self> {
        Ok(Self {
            system: UdpSocketState::new(UdpSockRef::from(socket))?,
            buffers: vec![0; BATCH_SIZE * JOINED_BYTES_MAX],
            filled: [RecvMeta::default(); BATCH_SIZE],
            count: 0,
            next: (0, 0),
        })
    }

    /// Returns the next datagram that was received. `None` after the last.
    pub(crate) fn next(&mut self) -> Option<Datagram> {
        let (buffer, start) = self.next;
        let RecvMeta { addr, len, stride, dst_ip, .. } = *self.filled[..self.count].get(buffer)?;
        let end = start.saturating_add(stride.max(1)).min(len);
        self.next = if end < len { (buffer, end) } else { (buffer + 1, 0) };
        let base = buffer * JOINED_BYTES_MAX;
        Some(Datagram { place: base + start..base + end, from: addr, to: dst_ip })
    }

    /// Returns the bytes of a datagram: until the next [`Self::receive`].
    pub(crate) fn datagram(&self, place: &Range<usize>) -> &[u8] {
        &self.buffers[place.clone()]
    }

    /// Receives the datagrams that wait. Those of the last call that [`Self::next`] has not returned are dropped.
    ///
    /// # Errors
    /// `WouldBlock` if none waits, or the error of the system.
    pub(crate) fn receive(&mut self, socket: &tokio::net::UdpSocket) -> io::Result<()> {
        let Self { system, buffers, filled, .. } = self;
        let mut rest = buffers.chunks_exact_mut(JOINED_BYTES_MAX);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(rest.next().unwrap_or_default()));
        let received = socket.try_io(Interest::READABLE, || system.recv(UdpSockRef::from(socket), &mut slices, filled));
        (self.count, self.next) = (received?, (0, 0));
        Ok(())
    }
}

/// Sends datagrams from a socket that also receives them.
#[cfg(feature = "whep")]
#[derive(Debug)]
pub(crate) struct DatagramReplies {
    system: UdpSocketState,
    is_ipv6: bool,
}

#[cfg(feature = "whep")]
impl DatagramReplies {
    /// Prepares a socket.
    ///
    /// # Errors
    /// The error of the system if the socket cannot be set up.
    pub(crate) fn new(socket: &tokio::net::UdpSocket) -> io::Result<Self> {
        Ok(Self { system: UdpSocketState::new(UdpSockRef::from(socket))?, is_ipv6: socket.local_addr()?.is_ipv6() })
    }

    /// Sends `bytes` as datagrams of `len` bytes, of which the last may be shorter, from an address of this host. Those that the
    /// system refuses are lost.
    pub(crate) async fn send(
        &self,
        socket: &tokio::net::UdpSocket,
        bytes: &[u8],
        len: usize,
        from: Option<IpAddr>,
        to: SocketAddr,
    ) {
        // A socket for both versions of IP takes addresses of IPv4 as part of IPv6.
        let (to, from) = match to {
            SocketAddr::V4(v4) if self.is_ipv6 => (SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()), None),
            _ => (to, from),
        };
        let len = len.max(1);
        let joined = bytes.len() > len && bytes.len().div_ceil(len) <= self.system.max_gso_segments();
        let transmit =
            |contents, segment_size| Transmit { destination: to, ecn: None, contents, segment_size, src_ip: from };
        if joined && self.transmit(socket, &transmit(bytes, Some(len))).await.is_ok() {
            return;
        }
        for datagram in bytes.chunks(len) {
            if let Err(error) = self.transmit(socket, &transmit(datagram, None)).await {
                tracing::trace!(%error, %to, "datagram");
            }
        }
    }

    async fn transmit(&self, socket: &tokio::net::UdpSocket, transmit: &Transmit<'_>) -> io::Result<()> {
        socket.async_io(Interest::WRITABLE, || self.system.try_send(UdpSockRef::from(socket), transmit)).await
    }
}

/// Sends datagrams of equal length together.
#[derive(Debug)]
pub(crate) struct DatagramSender {
    socket: UdpSocket,
    system: UdpSocketState,
    host: SocketAddr,
}

impl DatagramSender {
    /// Sends from this socket, which must not be connected, to this host. Sending blocks.
    ///
    /// # Errors
    /// The error of the system if the socket cannot be set up.
    pub(crate) fn new(socket: UdpSocket, host: SocketAddr) -> io::Result<Self> {
        let system = UdpSocketState::new(UdpSockRef::from(&socket))?;
        socket.set_nonblocking(false)?;
        Ok(Self { socket, system, host })
    }

    /// Returns how many datagrams can be sent together.
    pub(crate) fn together_max(&self) -> usize {
        self.system.max_gso_segments()
    }

    /// Sends `bytes` as datagrams of `len` bytes, of which the last may be shorter. Returns how many were sent, and their
    /// bytes: those that the system refuses count as lost on the way.
    pub(crate) fn send(&self, bytes: &[u8], len: usize) -> (u64, u64) {
        let transmit = |contents: &[u8], segment_size| {
            let transmit = Transmit { destination: self.host, ecn: None, contents, segment_size, src_ip: None };
            self.system.try_send(UdpSockRef::from(&self.socket), &transmit).is_ok()
        };
        let len = len.max(1);
        if bytes.len() > len && transmit(bytes, Some(len)) {
            return (bytes.len().div_ceil(len) as u64, bytes.len() as u64);
        }
        // The network adapter may not be able to split them.
        let sent = bytes.chunks(len).filter(|datagram| transmit(datagram, None));
        sent.fold((0, 0), |(datagrams, bytes), datagram| (datagrams + 1, bytes + datagram.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    async fn received(batch: &mut DatagramBatch, socket: &tokio::net::UdpSocket, count: usize) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while found.len() < count {
            match batch.next() {
                Some(datagram) => found.push(batch.datagram(&datagram.place).to_vec()),
                None => {
                    socket.readable().await.expect("datagrams");
                    match batch.receive(socket) {
                        Err(error) if error.kind() != io::ErrorKind::WouldBlock => panic!("{error}"),
                        _ => {}
                    }
                }
            }
        }
        assert_eq!(batch.next(), None);
        found
    }

    #[tokio::test]
    async fn datagrams_arrive_as_they_were_sent_alone_or_together() {
        let host = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = host.local_addr().expect("bound");
        let mut batch = DatagramBatch::new(&host).expect("a socket");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let sender = DatagramSender::new(socket, address).expect("a socket");
        let bytes: Vec<u8> = (0..10_000).map(|at| (at % 251) as u8).collect();
        for (len, count) in [(1416, 8), (5000, 2), (10_000, 1), (20_000, 1), (625, 16)] {
            assert_eq!(sender.send(&bytes, len), (count, 10_000), "{len}");
            let found = received(&mut batch, &host, count as usize).await;
            let expected: Vec<&[u8]> = bytes.chunks(len).collect();
            assert_eq!(found, expected, "{len}");
        }
    }

    #[tokio::test]
    async fn empty_datagrams_and_different_lengths_are_kept_apart() {
        let host = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let mut batch = DatagramBatch::new(&host).expect("a socket");
        let camera = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let sent: Vec<Vec<u8>> = [3, 0, 60_000, 1, 1, 2].map(|len| vec![len as u8; len]).into();
        for datagram in &sent {
            camera.send_to(datagram, host.local_addr().expect("bound")).expect("sent");
        }
        assert_eq!(received(&mut batch, &host, sent.len()).await, sent);
    }
}
