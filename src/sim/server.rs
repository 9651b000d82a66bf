//! Serves a [`Stream`] on a real socket, one client at a time, like the program on the camera.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::config::SimConfig;
use super::control::ControlRecords;
use super::http::HttpCamera;
use super::queue::Queue;
use super::reel::Reel;
use super::stream::{End, Step, Stream, Turn};
use crate::net::serving::{AfterClient, SingleClientServer, StopSignal, write_all};
use crate::sync::locked;

/// How often a camera that waits for its next frame looks for control records.
const CONTROL_INTERVAL: Duration = Duration::from_millis(50);

/// Totals of a simulated camera since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sent {
    /// Connections; 1 for a camera that sends datagrams.
    pub connections: u64,
    /// Frames written completely and without damage.
    pub intact: u64,
    /// Frames damaged on purpose.
    pub damaged: u64,
    /// Frames whose connection failed while they were written.
    pub abandoned: u64,
    /// Bytes written to sockets.
    pub bytes: u64,
    /// Datagrams sent; 0 over TCP.
    pub datagrams: u64,
}

/// A simulated camera that listens. It serves one client at a time; further clients can connect but receive nothing until
/// the first one leaves (wire.md section 2.4). Dropping it ends its thread and its connection.
#[derive(Debug)]
pub struct Simulator {
    serving: SingleClientServer,
    sent: Arc<Mutex<Sent>>,
    finishing: Arc<AtomicBool>,
    http: Option<Arc<HttpCamera>>,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(http) = &self.http {
            http.end();
        }
    }
}

impl Simulator {
    /// Starts a camera on a listener. The camera boots now: its frames queue up even before a client connects.
    ///
    /// # Errors
    /// A [`SimError`](super::SimError) as `InvalidInput` if the configuration or its pictures are invalid, or the error of
    /// the system if it cannot start a thread.
    pub fn start(listener: TcpListener, config: &SimConfig) -> io::Result<Self> {
        Self::play(listener, Arc::new(Reel::new(config)?))
    }

    /// Starts a camera like [`Self::start`], with a reel that other simulators can share: a hundred cameras then need the
    /// memory of one.
    ///
    /// # Errors
    /// The error of the system if it cannot start a thread or report the local address.
    pub fn play(listener: TcpListener, reel: Arc<Reel>) -> io::Result<Self> {
        let sent = Arc::<Mutex<Sent>>::default();
        let finishing = Arc::<AtomicBool>::default();
        reel.prepare();
        let mut camera = CameraThread::new(reel, Arc::clone(&sent), Arc::clone(&finishing));
        let serving =
            SingleClientServer::start("sim", listener, move |client, stopping| camera.serve(client, stopping))?;
        Ok(Self { serving, sent, finishing, http: None })
    }

    /// Starts a camera that serves HTTP: Luxonis' MJPEG server at `/`, and their server of still pictures at `/img`. Serves
    /// several clients at a time, which share the frames of the stream (wire.md section 2.4).
    ///
    /// # Errors
    /// The error of the system if it cannot start a thread or report the local address.
    pub fn play_http(listener: TcpListener, reel: Arc<Reel>) -> io::Result<Self> {
        let sent = Arc::<Mutex<Sent>>::default();
        reel.prepare();
        let http = HttpCamera::new(reel, Arc::clone(&sent));
        let camera = Arc::clone(&http);
        let serving = SingleClientServer::start("sim", listener, move |client, _| {
            if let Err(error) = camera.serve(client) {
                tracing::warn!("cannot serve a client: {error}");
            }
            AfterClient::Close
        })?;
        Ok(Self { serving, sent, finishing: Arc::default(), http: Some(http) })
    }

    /// Returns the address on which it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.serving.local_addr()
    }

    /// Returns the totals so far.
    #[must_use]
    pub fn sent(&self) -> Sent {
        *locked(&self.sent)
    }

    /// Ends its connection after the frame that is being sent, without waiting for that.
    pub fn finish(&self) {
        self.finishing.store(true, Ordering::Relaxed);
        if let Some(http) = &self.http {
            http.finish();
        }
    }

    /// Ends its connection and its thread, and returns the final totals.
    #[must_use = "drop the simulator if the totals are not needed"]
    pub fn stop(mut self) -> Sent {
        self.serving.end();
        if let Some(http) = &self.http {
            http.end();
        }
        self.sent()
    }
}

/// The state of a simulator's thread.
pub(super) struct CameraThread {
    sent: Arc<Mutex<Sent>>,
    finishing: Arc<AtomicBool>,
    stream: Stream,
    period: Duration,
    no_delay: bool,
    has_records: bool,
    booted: Instant,
    queue: Queue,
}

impl CameraThread {
    pub(super) fn new(reel: Arc<Reel>, sent: Arc<Mutex<Sent>>, finishing: Arc<AtomicBool>) -> Self {
        let config = reel.config();
        let period = if config.fps == 0.0 { Duration::ZERO } else { Duration::from_secs_f64(1.0 / config.fps) };
        let no_delay = config.no_delay || config.faults.fragment.is_some();
        let (has_records, booted, queue) = (config.records, Instant::now(), Queue::new(period));
        Self { sent, finishing, stream: Stream::of(reel), period, no_delay, has_records, booted, queue }
    }

    /// Serves a client, or a host that the camera has connected to.
    pub(super) fn serve(&mut self, client: &TcpStream, stopping: &StopSignal) -> AfterClient {
        locked(&self.sent).connections += 1;
        self.stream.reconnect();
        // The stream is the same if the system ignores this setting.
        let _ = client.set_nodelay(self.no_delay);
        // The program on the camera keeps a failed connection open until the next client connects (wire.md 4.12).
        if self.stream_to(client, stopping) { AfterClient::Hold } else { AfterClient::Close }
    }

    /// Sends until the client disconnects, a fault ends the connection, or the simulator stops. Returns `true` if the
    /// connection stays open.
    fn stream_to(&mut self, client: &TcpStream, stopping: &StopSignal) -> bool {
        // A camera without records has an application that does not know control records.
        let mut control = self.has_records.then(ControlRecords::default);
        while !self.finishing.load(Ordering::Relaxed) {
            let answers = control.as_mut().map(|control| control.answers(client)).unwrap_or_default();
            if !answers.is_empty() {
                if write_all(client, &answers).is_err() {
                    return !stopping.stopped();
                }
                locked(&self.sent).bytes += answers.len() as u64;
            }
            let index = match self.queue.take(self.booted.elapsed()) {
                Ok(index) => index,
                Err(due) => {
                    let due = self.booted + due;
                    let until = if control.is_some() { due.min(Instant::now() + CONTROL_INTERVAL) } else { due };
                    if !stopping.wait_until(until) {
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
                    // Closing a socket with a linger time of 0 sends a reset.
                    let _ = SockRef::from(client).set_linger(Some(Duration::ZERO));
                    if end == End::Reboot {
                        (self.booted, self.queue) = (Instant::now(), Queue::new(self.period));
                    }
                    return false;
                }
            }
        }
        false
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
        client.read_exact(&mut bytes).expect("enough bytes");
        bytes
    }

    #[test]
    fn socket_carries_the_stream() {
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
    fn second_client_receives_nothing_until_the_first_leaves() {
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
    fn simulator_stops_in_every_state() {
        for text in ["fps=0", "fps=0.001", "fps=0.001&size=64x48&fault=stall:1", "fps=40"] {
            // No client has connected.
            let idle = simulator(text);
            assert_eq!(idle.stop(), Sent::default());
            // The client has stopped reading. Its first byte shows that the simulator serves it.
            let busy = simulator(text);
            let mut client = connect(&busy);
            read(&mut client, 1);
            assert_eq!(busy.stop().connections, 1);
        }
    }

    #[test]
    fn finishing_ends_the_connection_after_a_whole_frame() {
        let simulator = simulator("fps=0&size=64x48");
        let mut client = connect(&simulator);
        let mut bytes = read(&mut client, 1);
        simulator.finish();
        client.read_to_end(&mut bytes).expect("a clean end");
        let sent = simulator.stop();
        assert_eq!((sent.bytes, sent.abandoned), (bytes.len() as u64, 0));
    }

    #[test]
    fn faults_close_or_reset_the_connection() {
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
    fn simulator_listens_on_ipv6() {
        let Ok(listener) = TcpListener::bind("[::]:0") else {
            eprintln!("skipped: this host has no IPv6");
            return;
        };
        let simulator = Simulator::start(listener, &SimConfig::default()).expect("a simulator");
        let mut client = TcpStream::connect(("::1", simulator.local_addr().port())).expect("a connection");
        assert_eq!(read(&mut client, 9), b"IMG 5e-05");
    }
}
