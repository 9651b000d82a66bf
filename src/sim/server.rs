//! A [`Stream`] on a real socket: one client at a time, as the program on the camera serves them.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::config::SimConfig;
use super::queue::Queue;
use super::reel::Reel;
use super::stream::{End, Step, Stream, Turn};
use crate::net::serving::{AfterClient, SingleClientServer, StopSignal, write_all};

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
    serving: SingleClientServer,
    sent: Arc<Mutex<Sent>>,
}

fn locked(sent: &Mutex<Sent>) -> MutexGuard<'_, Sent> {
    // Plain numbers: they are whole whoever panicked.
    sent.lock().unwrap_or_else(PoisonError::into_inner)
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
        let sent = Arc::<Mutex<Sent>>::default();
        let mut camera = Camera::new(reel, Arc::clone(&sent));
        let serving =
            SingleClientServer::start("sim", listener, move |client, stopping| camera.serve(client, stopping))?;
        Ok(Self { serving, sent })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.serving.local_addr()
    }

    /// What it has done until now.
    #[must_use]
    pub fn sent(&self) -> Sent {
        *locked(&self.sent)
    }

    /// Ends its connection and its thread, and says what it has done.
    #[must_use = "ignore it by dropping the simulator instead"]
    pub fn stop(mut self) -> Sent {
        self.serving.end();
        self.sent()
    }
}

/// The thread's side of a simulator.
struct Camera {
    sent: Arc<Mutex<Sent>>,
    stream: Stream,
    period: Duration,
    no_delay: bool,
    booted: Instant,
    queue: Queue,
}

impl Camera {
    fn new(reel: Arc<Reel>, sent: Arc<Mutex<Sent>>) -> Self {
        let config = reel.config();
        let period = if config.fps == 0.0 { Duration::ZERO } else { Duration::from_secs_f64(1.0 / config.fps) };
        let no_delay = config.no_delay || config.faults.fragment.is_some();
        let (booted, queue) = (Instant::now(), Queue::new(period));
        Self { sent, stream: Stream::of(reel), period, no_delay, booted, queue }
    }

    /// Serves one client.
    fn serve(&mut self, client: &TcpStream, stopping: &StopSignal) -> AfterClient {
        locked(&self.sent).connections += 1;
        self.stream.reconnect();
        // Both settings are wishes; the stream is the same without them.
        let _ = client.set_nodelay(self.no_delay);
        // The program on the camera holds on to a connection that failed until the next one is there (wire.md 4.12).
        if self.stream_to(client, stopping) { AfterClient::Hold } else { AfterClient::Close }
    }

    /// Sends until the client leaves, a fault ends the connection, or it is time to stop. Whether the connection is
    /// to be held on to.
    fn stream_to(&mut self, client: &TcpStream, stopping: &StopSignal) -> bool {
        loop {
            let index = match self.queue.take(self.booted.elapsed()) {
                Ok(index) => index,
                Err(due) => {
                    if !stopping.wait_until(self.booted + due) {
                        return false;
                    }
                    continue;
                }
            };
            let turn = self.stream.turn_of(index);
            let written = self.write(client, stopping, &turn);
            let mut sent = locked(&self.sent);
            if written.is_err() {
                sent.abandoned += 1;
                drop(sent);
                return !stopping.stopped();
            }
            if turn.truth.intact() {
                sent.intact += 1;
            } else {
                sent.damaged += 1;
            }
            drop(sent);
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

    fn write(&self, client: &TcpStream, stopping: &StopSignal, turn: &Turn) -> io::Result<()> {
        for step in turn.steps() {
            match step {
                Step::Bytes(bytes) => {
                    write_all(client, bytes)?;
                    locked(&self.sent).bytes += bytes.len() as u64;
                }
                Step::Pause(pause) => {
                    if !stopping.wait_until(Instant::now() + pause) {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                }
            }
        }
        Ok(())
    }
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
