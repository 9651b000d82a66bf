//! A listener that serves one client at a time, on a thread of its own: as the program on the camera does. Others can
//! connect, and hear nothing until it is their turn (wire.md section 2.4).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;

/// What to do once a client has been served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Close its connection and wait for the next one.
    Close,
    /// Hold on to its connection until the next one is there.
    Hold,
    /// Close its connection; there is nothing more to be served.
    Done,
}

/// A thread that serves. Dropping it ends the thread and its connection.
#[derive(Debug)]
pub(crate) struct Serving {
    address: SocketAddr,
    stopping: Arc<Stopping>,
    thread: Option<JoinHandle<()>>,
}

/// What a thread and those who end it share.
#[derive(Debug, Default)]
pub(crate) struct Stopping {
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    /// The connection that is served: closing it ends a write that waits for its client.
    serving: Option<TcpStream>,
}

impl Stopping {
    fn state(&self) -> MutexGuard<'_, State> {
        // A flag and a handle: they are whole whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time to stop.
    pub(crate) fn stopped(&self) -> bool {
        self.state().stop
    }

    /// Waits until that moment; `false` when it is time to stop.
    pub(crate) fn wait_until(&self, moment: Instant) -> bool {
        let mut state = self.state();
        loop {
            let left = moment.saturating_duration_since(Instant::now());
            if state.stop || left.is_zero() {
                return !state.stop;
            }
            state = self.woken.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// It is time to stop: waits end, and so does the connection that is served.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stop = true;
        if let Some(client) = &state.serving {
            // It may have left already.
            let _ = client.shutdown(Shutdown::Both);
        }
        drop(state);
        self.woken.notify_all();
    }
}

impl Serving {
    /// Serves every client of this listener in turn.
    ///
    /// # Errors
    /// The system refuses a thread, or to say which address it listens at.
    pub(crate) fn start(
        name: &str,
        listener: TcpListener,
        mut serve: impl FnMut(&TcpStream, &Stopping) -> Then + Send + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let stopping = Arc::new(Stopping::default());
        let shared = Arc::clone(&stopping);
        let thread = std::thread::Builder::new()
            .name(format!("{name}-{}", address.port()))
            .spawn(move || accept(&listener, &shared, &mut serve))?;
        Ok(Self { address, stopping, thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether there is nothing more to be served.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends its connection and its thread.
    pub(crate) fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.stopping.stop();
        if !thread.is_finished() {
            // It may be waiting for a client: be one. If that fails, others are waiting, and it wakes for them.
            let _ = TcpStream::connect_timeout(&reachable(self.address), Duration::from_secs(1));
        }
        // A panic has been shown already.
        let _ = thread.join();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end();
    }
}

fn accept(listener: &TcpListener, stopping: &Stopping, serve: &mut impl FnMut(&TcpStream, &Stopping) -> Then) {
    let mut held = None;
    loop {
        let accepted = listener.accept();
        drop(held.take());
        let mut state = stopping.state();
        if state.stop {
            return;
        }
        let client = match accepted {
            Ok((client, _)) => client,
            Err(error) => {
                drop(state);
                tracing::warn!("a client cannot be accepted: {error}");
                if !stopping.wait_until(Instant::now() + Duration::from_millis(100)) {
                    return;
                }
                continue;
            }
        };
        // Without a second handle a stop would have to wait for the client.
        state.serving = client.try_clone().ok();
        drop(state);
        let then = serve(&client, stopping);
        stopping.state().serving = None;
        match then {
            Then::Close => {}
            Then::Hold => held = Some(client),
            Then::Done => return,
        }
    }
}

/// An address at which one reaches somebody who listens there: `0.0.0.0` and `::` are none.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// On Linux nothing is appended to what was written in the same segment, so that a header never lies across two: the
/// official host asks for 32 bytes once and believes that it got them (wire.md 4.2).
#[cfg(target_os = "linux")]
const SEND_FLAGS: i32 = libc::MSG_EOR | libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const SEND_FLAGS: i32 = 0;

/// Writes all of it, as one piece as far as the system lets us.
///
/// # Errors
/// The client has left, or the connection was closed by a stop.
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
