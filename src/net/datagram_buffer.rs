//! The receive buffer of a UDP socket: its size, and the datagrams that the system dropped because it was full.

use tokio::net::UdpSocket;

/// Bytes to ask for: a frame of 1080p BGR. Linux counts each datagram of 1,400 bytes as about 2,300.
const BUFFER_BYTES: usize = 16 << 20;

/// Asks for a large receive buffer. Returns the bytes that were asked for and granted; without the bytes that Linux adds for
/// its own use.
pub(crate) fn enlarge(socket: &UdpSocket) -> (usize, usize) {
    let socket = socket2::SockRef::from(socket);
    if let Err(error) = socket.set_recv_buffer_size(BUFFER_BYTES) {
        tracing::debug!(%error, "could not set the receive buffer");
    }
    let granted = socket.recv_buffer_size().unwrap_or(0);
    // Linux reports the double of what was set.
    (BUFFER_BYTES, if cfg!(target_os = "linux") { granted / 2 } else { granted })
}

/// Reads how many datagrams the system dropped at one socket. Only Linux counts them per socket.
#[derive(Debug)]
pub(crate) struct SystemDrops {
    inode: Option<u64>,
}

#[cfg(target_os = "linux")]
impl SystemDrops {
    pub(crate) fn of(socket: &UdpSocket) -> Self {
        Self { inode: rustix::fs::fstat(socket).ok().map(|stat| stat.st_ino) }
    }

    /// Returns the datagrams dropped since the socket was opened; `None` if the system does not count them.
    pub(crate) fn count(&self) -> Option<u64> {
        let inode = self.inode?;
        ["/proc/self/net/udp", "/proc/self/net/udp6"]
            .into_iter()
            .find_map(|path| drops_of(inode, &std::fs::read_to_string(path).ok()?))
    }
}

#[cfg(not(target_os = "linux"))]
impl SystemDrops {
    pub(crate) fn of(_: &UdpSocket) -> Self {
        Self { inode: None }
    }

    /// Returns the datagrams dropped since the socket was opened; `None` if the system does not count them.
    pub(crate) fn count(&self) -> Option<u64> {
        self.inode
    }
}

/// Finds the drops of a socket in the table of all UDP sockets.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn drops_of(inode: u64, table: &str) -> Option<u64> {
    const INODE_COLUMN: usize = 9;
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let found: u64 = columns.nth(INODE_COLUMN)?.parse().ok()?;
        (found == inode).then(|| columns.next_back()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_found_by_the_inode() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n  \
                     123: 00000000:1388 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 17\n  \
                     124: 00000000:1389 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 0\n";
        assert_eq!([drops_of(4711, table), drops_of(4712, table), drops_of(1, table)], [Some(17), Some(0), None]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_counts_what_overflows_a_buffer() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let drops = SystemDrops::of(&socket);
        assert_eq!(drops.count(), Some(0));
        socket2::SockRef::from(&socket).set_recv_buffer_size(4096).expect("a small buffer");
        let sender = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        for _ in 0..100 {
            sender.send_to(&[0; 1400], address).await.expect("sent");
        }
        let mut received = 0;
        socket.readable().await.expect("datagrams");
        while socket.try_recv(&mut [0; 1500]).is_ok() {
            received += 1;
        }
        assert_eq!(drops.count(), Some(100 - received));
        assert!(enlarge(&socket).1 > 100_000);
    }
}
