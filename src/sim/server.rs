//! A [`Stream`] on a real socket: one client at a time, as the program on the camera serves them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::config::SimConfig;
use super::queue::Queue;
use super::reel::Reel;
use super::stream::{End, Step, Stream, Turn};

/// What a simulated camera has done until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sent {
    /// Connections that were accepted.
    pub connections: u64,
    /// Frames that were written to the end without damage.
    pub intact: u64,
    /// Frames that were damaged on purpose.
    pub damaged: u64,
    /// Frames that the client did not wait for.
    pub abandoned: u64,
    /// Bytes that the system took for sending.
    pub bytes: u64,
}

/// A simulated camera that listens. It serves one client at a time; others can connect, and hear nothing until it is
/// their turn (wire.md section 2.4). Dropping it ends its thread and its connection.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    stopping: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    /// The connection that is served: closing it ends a write that waits for its client.
    serving: Option<TcpStream>,
    sent: Sent,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Plain numbers and a handle: they are whole whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until that moment; `false` when it is time to stop.
    fn wait_until(&self, moment: Instant) -> bool {
        let mut state = self.state();
        loop {
            let left = moment.saturating_duration_since(Instant::now());
            if state.stop || left.is_zero() {
                return !state.stop;
            }
            state = self.stopping.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Simulator {
    /// Starts a camera that listens there; port 0 takes a free one. The camera boots now: frames queue up from here on.
    ///
    /// # Errors
    /// The configuration contradicts itself or its pictures cannot be used ([`SimError`](super::SimError) inside), or the system
    /// refuses a thread.
    pub fn start(listener: TcpListener, config: &SimConfig) -> io::Result<Self> {
        Self::play(listener, Arc::new(Reel::new(config)?))
    }

    /// As [`Self::start`], with a reel that other simulators may share: a hundred cameras then need the memory of one.
    ///
    /// # Errors
    /// The system refuses a thread, or to say which address it listens at.
    pub fn play(listener: TcpListener, reel: Arc<Reel>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let camera = Camera::new(reel, Arc::clone(&shared));
        let thread = std::thread::Builder::new().name(format!("sim-{}", address.port())).spawn(move || {
            camera.serve(&listener);
        })?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What it has done until now.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.shared.state().sent
    }

    /// Ends its connection and its thread, and says what it has done.
    #[must_use = "ignore it by dropping the simulator instead"]
    pub fn stop(mut self) -> Sent {
        self.end();
        self.sent()
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        {
            let mut state = self.shared.state();
            state.stop = true;
            if let Some(client) = &state.serving {
                // It may have left already.
                let _ = client.shutdown(Shutdown::Both);
            }
        }
        self.shared.stopping.notify_all();
        // It may be waiting for a client: be one. If that fails, others are waiting, and it wakes for them.
        let _ = TcpStream::connect_timeout(&reachable(self.address), Duration::from_secs(1));
        // A panic has been shown already.
        let _ = thread.join();
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.end();
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

/// The thread's side of a simulator.
struct Camera {
    shared: Arc<Shared>,
    stream: Stream,
    period: Duration,
    no_delay: bool,
    booted: Instant,
    queue: Queue,
}

impl Camera {
    fn new(reel: Arc<Reel>, shared: Arc<Shared>) -> Self {
        let config = reel.config();
        let period = if config.fps == 0.0 { Duration::ZERO } else { Duration::from_secs_f64(1.0 / config.fps) };
        let no_delay = config.no_delay || config.faults.fragment.is_some();
        let (booted, queue) = (Instant::now(), Queue::new(period));
        Self { shared, stream: Stream::of(reel), period, no_delay, booted, queue }
    }

    fn serve(mut self, listener: &TcpListener) {
        // The program on the camera holds on to a connection that failed until the next one is there (wire.md 4.12).
        let mut zombie = None;
        loop {
            let accepted = listener.accept();
            drop(zombie.take());
            let mut state = self.shared.state();
            if state.stop {
                return;
            }
            let client = match accepted {
                Ok((client, _)) => client,
                Err(error) => {
                    drop(state);
                    tracing::warn!("the simulated camera cannot accept a client: {error}");
                    if !self.shared.wait_until(Instant::now() + Duration::from_millis(100)) {
                        return;
                    }
                    continue;
                }
            };
            state.sent.connections += 1;
            // Without a second handle a stop would have to wait for the client.
            state.serving = client.try_clone().ok();
            drop(state);
            self.stream.reconnect();
            // Both settings are wishes; the stream is the same without them.
            let _ = client.set_nodelay(self.no_delay);
            let keep = self.stream_to(&client);
            self.shared.state().serving = None;
            zombie = keep.then_some(client);
        }
    }

    /// Sends until the client leaves, a fault ends the connection, or it is time to stop. Whether the connection is
    /// to be held on to.
    fn stream_to(&mut self, client: &TcpStream) -> bool {
        loop {
            let index = match self.queue.take(self.booted.elapsed()) {
                Ok(index) => index,
                Err(due) => {
                    if !self.shared.wait_until(self.booted + due) {
                        return false;
                    }
                    continue;
                }
            };
            let turn = self.stream.turn_of(index);
            let written = self.write(client, &turn);
            let mut state = self.shared.state();
            if written.is_err() {
                state.sent.abandoned += 1;
                return !state.stop;
            }
            if turn.truth.intact() {
                state.sent.intact += 1;
            } else {
                state.sent.damaged += 1;
            }
            drop(state);
            match turn.end {
                None => {}
                Some(End::Cut) => return false,
                Some(end @ (End::Reset | End::Reboot)) => {
                    // Closing with nothing to linger for sends a reset.
                    let _ = SockRef::from(client).set_linger(Some(Duration::ZERO));
                    if end == End::Reboot {
                        (self.booted, self.queue) = (Instant::now(), Queue::new(self.period));
                    }
                    return false;
                }
            }
        }
    }

    fn write(&self, client: &TcpStream, turn: &Turn) -> io::Result<()> {
        for step in turn.steps() {
            match step {
                Step::Bytes(bytes) => {
                    write_all(client, bytes)?;
                    self.shared.state().sent.bytes += bytes.len() as u64;
                }
                Step::Pause(pause) => {
                    if !self.shared.wait_until(Instant::now() + pause) {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                }
            }
        }
        Ok(())
    }
}

/// On Linux nothing is appended to what was written in the same segment, so that a header never lies across two: the
/// official host asks for 32 bytes once and believes that it got them (wire.md 4.2).
#[cfg(target_os = "linux")]
const SEND_FLAGS: i32 = libc::MSG_EOR | libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const SEND_FLAGS: i32 = 0;

fn write_all(client: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn simulator(text: &str) -> Simulator {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Simulator::start(listener, &text.parse().expect(text)).expect(text)
    }

    fn connect(simulator: &Simulator) -> TcpStream {
        TcpStream::connect(simulator.local_addr()).expect("a connection")
    }

    fn read(client: &mut TcpStream, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        client.read_exact(&mut bytes).expect("so many bytes");
        bytes
    }

    #[test]
    fn the_socket_carries_the_stream() {
        let faults = "fps=0&size=64x48&fault=short:0.2,header:0.1,junk:0.2,foreign:0.2,overflow:0.1,size:0.1";
        for text in ["fps=0&size=64x48", faults, &format!("{faults}&fragment=1000&records=on&seed=9")] {
            let simulator = simulator(text);
            let mut client = connect(&simulator);
            let mut stream = Stream::new(&text.parse().expect(text)).expect(text);
            for _ in 0..50 {
                let expected = stream.turn().bytes();
                assert_eq!(read(&mut client, expected.len()), expected);
            }
            drop(client);
            let sent = simulator.stop();
            assert_eq!(sent.connections, 1);
            assert!(sent.intact + sent.damaged >= 50 && sent.bytes > 50 * 9000, "{sent:?}");
        }
    }

    #[test]
    fn a_second_client_waits_in_silence() {
        let simulator = simulator("fps=0&size=64x48");
        let mut first = connect(&simulator);
        let mut second = connect(&simulator);
        read(&mut first, 1_000_000);
        second.set_nonblocking(true).expect("a socket setting");
        let silence = second.read(&mut [0]).expect_err("nothing to read");
        assert_eq!(silence.kind(), io::ErrorKind::WouldBlock);
        second.set_nonblocking(false).expect("a socket setting");
        drop(first);
        assert_eq!(read(&mut second, 4), b"IMG ");
        assert_eq!(simulator.stop().connections, 2);
    }

    #[test]
    fn it_stops_whatever_it_is_doing() {
        for text in ["fps=0", "fps=0.001", "fps=0.001&size=64x48&fault=stall:1", "fps=40"] {
            // Nobody came.
            let idle = simulator(text);
            assert_eq!(idle.stop(), Sent::default());
            // A client that has stopped reading; the first byte says that it is being served.
            let busy = simulator(text);
            let mut client = connect(&busy);
            read(&mut client, 1);
            assert_eq!(busy.stop().connections, 1);
        }
    }

    #[test]
    fn connections_end_as_the_faults_say() {
        let mut text = Vec::new();
        let cut = simulator("fps=0&size=64x48&fault=cut:1");
        for connection in 1..=3 {
            let len = connect(&cut).read_to_end(&mut text).expect("a clean end");
            assert!((1..9300).contains(&len), "connection {connection}: {len} bytes");
        }
        assert_eq!(cut.stop().damaged, 3);
        let reset = simulator("fps=0&size=64x48&fault=reset:1");
        let error = connect(&reset).read_to_end(&mut text).expect_err("a reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn it_listens_on_ipv6_too() {
        let Ok(listener) = TcpListener::bind("[::]:0") else {
            eprintln!("skipped: no IPv6 here");
            return;
        };
        let simulator = Simulator::start(listener, &SimConfig::default()).expect("a simulator");
        let mut client = TcpStream::connect(("::1", simulator.local_addr().port())).expect("a connection");
        assert_eq!(read(&mut client, 9), b"IMG 5e-05");
    }
}
