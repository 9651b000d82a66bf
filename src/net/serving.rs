//! A TCP server that serves one client at a time on its own thread, like the application on a camera. Other clients can
//! connect, but receive nothing until the server accepts them (wire.md section 2.4).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::ACCEPT_RETRY;
use crate::sync::locked;

/// The next step after a client has been served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterClient {
    /// Close its connection and wait for the next one.
    Close,
    /// Keep its connection open until the next client connects.
    Hold,
    /// Close its connection and end the server.
    Done,
}

/// A server thread. Dropping it closes the current connection and joins the thread.
#[derive(Debug)]
pub(crate) struct SingleClientServer {
    address: SocketAddr,
    stopping: Arc<StopSignal>,
    thread: Option<JoinHandle<()>>,
}

/// Asks a server thread to stop. Shared by the thread and its owner.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    state: Mutex<CameraState>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct CameraState {
    stop: bool,
    /// The current connection. Closing it unblocks a write to a client that does not read.
    client: Option<TcpStream>,
}

impl StopSignal {
    fn state(&self) -> MutexGuard<'_, CameraState> {
        // A panic cannot leave a flag and a handle in an inconsistent state.
        locked(&self.state)
    }

    /// Returns `true` once a stop was requested.
    pub(crate) fn stopped(&self) -> bool {
        self.state().stop
    }

    /// Waits until `deadline`. Returns `false` if a stop was requested.
    pub(crate) fn wait_until(&self, deadline: Instant) -> bool {
        let mut state = self.state();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if state.stop || left.is_zero() {
                return !state.stop;
            }
            state = self.woken.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sets the current connection, which a stop closes. Returns `false` if a stop was requested.
    pub(crate) fn set_client(&self, client: &TcpStream) -> bool {
        let mut state = self.state();
        // Without this handle, a stop would have to wait for the client.
        state.client = client.try_clone().ok();
        !state.stop
    }

    /// Forgets the current connection, which has ended.
    pub(crate) fn forget_client(&self) {
        self.state().client = None;
    }

    /// Requests a stop: ends every wait and closes the current connection.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stop = true;
        if let Some(client) = &state.client {
            // Fails if the client has disconnected already.
            let _ = client.shutdown(Shutdown::Both);
        }
        drop(state);
        self.woken.notify_all();
    }
}

impl SingleClientServer {
    /// Starts a thread that accepts clients from `listener` and calls `serve` for each, one after the other.
    ///
    /// # Errors
    /// Fails if the thread cannot be started or the address of `listener` is not available.
    pub(crate) fn start(
        name: &str,
        listener: TcpListener,
        mut serve: impl FnMut(&TcpStream, &StopSignal) -> AfterClient + Send + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let stopping = Arc::new(StopSignal::default());
        let shared = Arc::clone(&stopping);
        let thread = std::thread::Builder::new()
            // The system does not accept a NUL in the name of a thread.
            .name(format!("{}-{}", name.replace('\0', " "), address.port()))
            .spawn(move || accept(&listener, &shared, &mut serve))?;
        Ok(Self { address, stopping, thread: Some(thread) })
    }

    /// Returns the address on which the server listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns `true` once the thread has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Closes the current connection and joins the thread.
    pub(crate) fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.stopping.stop();
        if !thread.is_finished() {
            // Unblocks `accept`. If this connection fails, the backlog is full, so `accept` returns anyway.
            let _ = TcpStream::connect_timeout(&reachable(self.address), Duration::from_secs(1));
        }
        // A panic of the thread has been printed already.
        let _ = thread.join();
    }
}

impl Drop for SingleClientServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn accept(
    listener: &TcpListener,
    stopping: &StopSignal,
    serve: &mut impl FnMut(&TcpStream, &StopSignal) -> AfterClient,
) {
    let mut held = None;
    loop {
        let accepted = listener.accept();
        drop(held.take());
        if stopping.stopped() {
            return;
        }
        let client = match accepted {
            Ok((client, _)) => client,
            Err(error) => {
                tracing::warn!("cannot accept a client: {error}");
                if !stopping.wait_until(Instant::now() + ACCEPT_RETRY) {
                    return;
                }
                continue;
            }
        };
        if !stopping.set_client(&client) {
            return;
        }
        let next = serve(&client, stopping);
        stopping.forget_client();
        match next {
            AfterClient::Close => {}
            AfterClient::Hold => held = Some(client),
            AfterClient::Done => return,
        }
    }
}

/// Returns an address that connects to a listener on `address`: loopback instead of `0.0.0.0` and `::`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// On Linux, `MSG_EOR` keeps the kernel from appending later writes to the last segment, so that a header is never
/// split between two: the official host reads once and assumes that it received all 32 bytes (wire.md 4.2).
#[cfg(target_os = "linux")]
const SEND_FLAGS: i32 = libc::MSG_EOR | libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const SEND_FLAGS: i32 = 0;

/// Writes all `bytes` with as few system calls as possible.
///
/// # Errors
/// Fails if the client disconnected or a stop closed the connection.
pub(crate) fn write_all(client: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    let socket = SockRef::from(client);
    while !bytes.is_empty() {
        match socket.send_with_flags(bytes, SEND_FLAGS) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
