//! `SO_RCVLOWAT`: a socket that counts as readable only once so many bytes wait in it.
//!
//! At 1 GbE a frame arrives in some 460 packets over 5 ms, and an ordinary receiver wakes for most of them. One that waits for
//! what it still needs wakes a few times a frame (performance.md, "Receiving"). End of stream, errors and a full
//! receive buffer wake it all the same. Linux alone does this for readiness; elsewhere the mark stays at one byte.

use tokio::net::TcpStream;

/// The mark of one socket.
#[derive(Debug)]
pub(crate) struct LowWater {
    bytes: usize,
}

impl LowWater {
    /// The mark that every new socket has.
    pub(crate) const fn new() -> Self {
        Self { bytes: 1 }
    }

    /// Makes the socket readable from so many bytes on. Asks the kernel only when that is a change.
    ///
    /// The kernel caps it at half of the largest receive buffer and makes room for it. Lowering it below what
    /// already waits makes the socket readable at once.
    pub(crate) fn set(&mut self, socket: &TcpStream, bytes: usize) {
        if bytes != self.bytes {
            self.bytes = bytes;
            ask(socket, bytes);
        }
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn ask(socket: &TcpStream, bytes: usize) {
    use std::os::fd::AsRawFd as _;
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and the kernel reads `len` bytes of `value`.
    let refused = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, (&raw const value).cast(), len)
    };
    if refused != 0 {
        // Nothing is lost but a few wake-ups.
        tracing::debug!(error = %std::io::Error::last_os_error(), bytes, "the low-water mark was refused");
    }
}

#[cfg(not(target_os = "linux"))]
fn ask(_: &TcpStream, _: usize) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn a_socket_below_its_mark_is_not_readable_until_the_mark_sinks() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let mut buffer = [0; 200];
        let mut mark = LowWater::new();
        mark.set(&socket, 100);

        peer.write_all(&[1; 99]).unwrap();
        // The 99 bytes are in the socket for certain once a second connection's byte, sent later, has made the round.
        let other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        listener.accept().unwrap().0.write_all(&[1]).unwrap();
        other.readable().await.unwrap();
        let readable = tokio::time::timeout(std::time::Duration::from_millis(20), socket.readable()).await;
        assert!(readable.is_err(), "99 bytes are below the mark");

        mark.set(&socket, 1);
        socket.readable().await.unwrap();
        assert_eq!(socket.try_read(&mut buffer).unwrap(), 99);
        mark.set(&socket, 100);
        peer.write_all(&[2; 100]).unwrap();
        socket.readable().await.unwrap();
        assert_eq!(socket.try_read(&mut buffer).unwrap(), 100);

        mark.set(&socket, 1 << 20);
        drop(peer);
        socket.readable().await.unwrap();
        assert_eq!(socket.try_read(&mut buffer).unwrap(), 0, "the end wakes all the same");
    }
}
