//! The low-water mark of a receiving socket (`SO_RCVLOWAT`): the kernel reports the socket as readable only once at
//! least this many bytes are in its receive buffer.
//!
//! At 1 GbE a frame arrives in about 460 packets over 5 ms, and a receiver with the default mark of 1 byte wakes for
//! most of them. A receiver that sets the mark to the bytes that it still needs wakes a few times per frame
//! (performance.md, "Receiving"). The receiver therefore does not see bytes below the mark: they are in the kernel, but
//! neither read nor counted. A receiver that judges whether the camera is silent must first lower the mark to 1 byte
//! and allow a few milliseconds for the socket to become readable. End of stream, errors and a full receive buffer make
//! the socket readable regardless of the mark. Only Linux applies the mark to readiness; on other systems it stays at 1
//! byte.

use tokio::net::TcpStream;

/// The low-water mark of one socket, in bytes. Remembers the value to avoid redundant system calls.
#[derive(Debug)]
pub(crate) struct LowWater {
    bytes: usize,
}

impl LowWater {
    /// The mark of a new socket: 1 byte.
    pub(crate) const fn new() -> Self {
        Self { bytes: 1 }
    }

    /// Sets the mark to `bytes`. `socket` must be the same one in every call.
    ///
    /// The kernel caps the mark at half of the largest receive buffer and grows the buffer to fit it. Lowering the mark
    /// to the number of bytes received so far makes the socket readable immediately.
    pub(crate) fn set(&mut self, socket: &TcpStream, bytes: usize) {
        if bytes != self.bytes {
            self.bytes = bytes;
            set_option(socket, bytes);
        }
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn set_option(socket: &TcpStream, bytes: usize) {
    use std::os::fd::AsRawFd as _;
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and the kernel reads `len` bytes of `value`.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, (&raw const value).cast(), len)
    };
    if result != 0 {
        // The stream still works, with more wake-ups.
        tracing::debug!(error = %std::io::Error::last_os_error(), bytes, "cannot set the low-water mark");
    }
}

#[cfg(not(target_os = "linux"))]
fn set_option(_: &TcpStream, _: usize) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn socket_below_its_mark_becomes_readable_when_the_mark_is_lowered() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let mut buffer = [0; 200];
        let mut mark = LowWater::new();
        mark.set(&socket, 100);

        peer.write_all(&[1; 99]).unwrap();
        // Once a byte that was sent later on a second connection has arrived, the 99 bytes are in the socket.
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
        assert_eq!(socket.try_read(&mut buffer).unwrap(), 0, "end of stream ignores the mark");
    }
}
