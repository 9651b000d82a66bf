//! The camera's side of UDP: sends the messages of a [`Stream`] in datagrams to one host (docs/udp.md).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::faults::Fault;
use super::queue::Queue;
use super::random::Random;
use super::reel::Reel;
use super::sending::{SendingThread, Shared};
use super::server::Sent;
use super::stream::{End, Step, Stream, Turn};
use crate::net::datagram_batch::DatagramSender;
use crate::net::serving::StopSignal;
use crate::sync::locked;
use crate::wire::datagrams;

/// Bytes of a message in each datagram. With all headers it fits into the 1,500 bytes of an Ethernet frame.
const PART_BYTES: usize = 1400;

/// Datagrams that are sent in one go.
const BURST: usize = 16;

/// Least rate of the datagrams of a message, as that of Gigabit Ethernet.
const LINK_BYTES_S: f64 = 125e6;

/// Time by which a late thread may catch up, with 90 datagrams at [`LINK_BYTES_S`]. The default buffer of a receiver on Linux holds
/// twice as many.
const CATCH_UP: Duration = Duration::from_millis(1);

/// Datagrams that a delayed one is sent after, at most.
const REORDER_MAX: usize = 8;

/// A simulated camera that sends datagrams to a host. Dropping it ends its thread.
#[derive(Debug)]
pub struct DatagramCamera {
    address: SocketAddr,
    thread: SendingThread,
}

impl DatagramCamera {
    /// Starts a camera that sends to this address. The camera boots now.
    ///
    /// # Errors
    /// The error of the system if there is no route to the host, or if it cannot start a thread.
    pub fn start(host: SocketAddr, reel: Arc<Reel>) -> io::Result<Self> {
        let any: SocketAddr = match host {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        // Connected only to learn the address of this host that the route begins at.
        let probe = UdpSocket::bind(any)?;
        probe.connect(host)?;
        let socket = UdpSocket::bind((probe.local_addr()?.ip(), 0))?;
        let address = socket.local_addr()?;
        let socket = DatagramSender::new(socket, host)?;
        reel.prepare();
        let shared = Shared::default();
        let mut sender = Sender::new(socket, reel, Arc::clone(&shared.sent));
        let name = format!("sim-udp-{}", address.port());
        let thread = SendingThread::start(name, shared, move |shared| sender.run(shared))?;
        Ok(Self { address, thread })
    }

    /// Returns the address from which it sends.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns the totals so far.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.thread.sent()
    }

    /// Ends after the frame that is being sent, without waiting for that.
    pub fn finish(&self) {
        self.thread.finish();
    }

    /// Ends its thread, and returns the final totals.
    #[must_use = "drop the camera if the totals are not needed"]
    pub fn stop(self) -> Sent {
        self.thread.stop()
    }
}

/// The state of the camera's thread.
struct Sender {
    socket: DatagramSender,
    sent: Arc<Mutex<Sent>>,
    reel: Arc<Reel>,
    stream: Stream,
    random: Random,
    period: Duration,
    booted: Instant,
    queue: Queue,
    /// Number of the next message.
    number: u32,
    /// Datagrams of equal length that are sent together, and their length. Only the last one may be shorter.
    together: Vec<u8>,
    len: usize,
    /// Datagrams since [`Self::burst_began`].
    in_burst: usize,
    burst_began: Instant,
    /// A datagram that is sent after as many others.
    delayed: Option<(usize, Vec<u8>)>,
}

impl Sender {
    fn new(socket: DatagramSender, reel: Arc<Reel>, sent: Arc<Mutex<Sent>>) -> Self {
        let fps = reel.config().fps;
        let period = if fps == 0.0 { Duration::ZERO } else { Duration::from_secs_f64(1.0 / fps) };
        let mut random = Random::new(reel.config().seed);
        locked(&sent).connections = 1;
        Self {
            socket,
            sent,
            stream: Stream::in_datagrams(Arc::clone(&reel)),
            reel,
            number: random.next() as u32,
            random,
            period,
            booted: Instant::now(),
            together: Vec::new(),
            len: 0,
            in_burst: 0,
            burst_began: Instant::now(),
            queue: Queue::new(period),
            delayed: None,
        }
    }

    fn run(&mut self, shared: &Shared) {
        let stopping = &*shared.stopping;
        while !shared.is_over() {
            match self.queue.take(self.booted.elapsed()) {
                Ok(index) => {
                    let turn = self.stream.turn_of(index);
                    if !self.send_turn(&turn, stopping) {
                        return;
                    }
                }
                Err(due) => {
                    if !stopping.wait_until(self.booted + due) {
                        return;
                    }
                }
            }
        }
    }

    /// Sends the message of a frame. Returns `false` if the camera is to stop.
    fn send_turn(&mut self, turn: &Turn, stopping: &StopSignal) -> bool {
        let pause = turn.steps().find_map(|step| if let Step::Pause(pause) = step { Some(pause) } else { None });
        if pause.is_some_and(|pause| !stopping.wait_until(Instant::now() + pause)) {
            return false;
        }
        let bytes = turn.bytes();
        // At least twice as fast as the stream, so that the message is over before the next one begins.
        let stream_rate = if self.period.is_zero() { 0.0 } else { bytes.len() as f64 / self.period.as_secs_f64() };
        let burst = Duration::from_secs_f64((BURST * PART_BYTES) as f64 / LINK_BYTES_S.max(2.0 * stream_rate));
        let mut is_whole = true;
        for datagram in datagrams(self.number, &bytes, PART_BYTES).into_iter().flatten() {
            is_whole &= self.send_datagram(datagram);
            self.in_burst += 1;
            if self.in_burst == BURST {
                self.flush();
                let due = self.burst_began + burst;
                if !stopping.wait_until(due) {
                    return false;
                }
                // The system may wake this thread late.
                let now = Instant::now();
                (self.in_burst, self.burst_began) = (0, due.max(now.checked_sub(CATCH_UP).unwrap_or(now)));
            }
        }
        self.flush();
        self.number = self.number.wrapping_add(1);
        let mut sent = locked(&self.sent);
        if is_whole && turn.truth.intact() {
            sent.intact += 1;
        } else {
            sent.damaged += 1;
        }
        drop(sent);
        if turn.end == Some(End::Reboot) {
            (self.booted, self.queue) = (Instant::now(), Queue::new(self.period));
            self.number = self.random.next() as u32;
        }
        true
    }

    /// Sends a datagram with the faults of the network. Returns `false` if it is lost.
    fn send_datagram(&mut self, datagram: Vec<u8>) -> bool {
        let rate = |fault| self.reel.config().faults.rate(fault);
        let [loss, reorder, duplicate] = [Fault::Loss, Fault::Reorder, Fault::Duplicate].map(rate);
        let is_lost = loss > 0.0 && self.random.chance(loss);
        if !is_lost {
            if duplicate > 0.0 && self.random.chance(duplicate) {
                self.send(&datagram);
            }
            if self.delayed.is_none() && reorder > 0.0 && self.random.chance(reorder) {
                self.delayed = Some((1 + self.random.below(REORDER_MAX), datagram));
                return true;
            }
            self.send(&datagram);
        }
        if let Some((after, datagram)) = self.delayed.take() {
            if after <= 1 {
                self.send(&datagram);
            } else {
                self.delayed = Some((after - 1, datagram));
            }
        }
        !is_lost
    }

    /// Sends a datagram, now or together with the next ones.
    fn send(&mut self, datagram: &[u8]) {
        let is_last = !self.together.len().is_multiple_of(self.len.max(1));
        if is_last || datagram.len() > self.len || self.together.len() >= self.together_max() * self.len {
            self.flush();
        }
        if self.together.is_empty() {
            self.len = datagram.len();
        }
        self.together.extend_from_slice(datagram);
    }

    /// Returns how many datagrams are sent together.
    fn together_max(&self) -> usize {
        self.socket.together_max().clamp(1, BURST)
    }

    /// Sends the datagrams that wait.
    fn flush(&mut self) {
        if self.together.is_empty() {
            return;
        }
        let (datagrams, bytes) = self.socket.send(&self.together, self.len);
        self.together.clear();
        let mut sent = locked(&self.sent);
        (sent.datagrams, sent.bytes) = (sent.datagrams + datagrams, sent.bytes + bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Assembled, DATAGRAM_HEADER, Reassembly};

    /// Sends 40 messages, and receives each before the next is sent: a host that waits for a processor loses nothing.
    fn receive(config: &str) -> (Vec<Vec<u8>>, Reassembly) {
        let host = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        host.set_nonblocking(true).expect("a socket");
        let camera = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let camera = DatagramSender::new(camera, host.local_addr().expect("bound")).expect("a socket");
        let reel = Arc::new(Reel::new(&config.parse().expect(config)).expect("pictures"));
        let mut sender = Sender::new(camera, Arc::clone(&reel), Arc::default());
        let mut stream = Stream::in_datagrams(reel);
        let (mut reassembly, mut messages, mut buffer) = (Reassembly::new(1 << 20), Vec::new(), [0; 2000]);
        let stopping = StopSignal::default();
        for now_ns in (1..=40).map(|seconds| seconds * 1_000_000_000) {
            assert!(sender.send_turn(&stream.turn(), &stopping));
            while let Ok(len) = host.recv(&mut buffer) {
                assert!(len <= DATAGRAM_HEADER + PART_BYTES);
                reassembly.push(&buffer[..len], now_ns).expect("a part");
            }
            while let Some(assembled) = reassembly.poll(now_ns) {
                if let Assembled::Complete(bytes) = assembled {
                    messages.push(bytes.to_vec());
                }
            }
        }
        (messages, reassembly)
    }

    #[test]
    fn datagrams_carry_the_stream() {
        let config = "size=64x48&fps=0&records=on";
        let (messages, reassembly) = receive(config);
        assert_eq!(messages.len(), 40);
        let reel = Arc::new(Reel::new(&config.parse().expect(config)).expect("pictures"));
        let mut stream = Stream::in_datagrams(reel);
        for message in messages {
            assert_eq!(message, stream.turn().bytes());
            assert_eq!(message.starts_with(b"@V 1 oaktap-simulate"), message.len() > 11_000);
        }
        let counts = reassembly.counts();
        assert_eq!((counts.missing, counts.reordered, counts.duplicate), (0, 0, 0));
    }

    #[test]
    fn faults_are_those_of_a_network() {
        let counts = receive("size=64x48&fps=0&fault=loss:0.01,reorder:0.1,duplicate:0.1").1.counts();
        assert!(counts.missing > 0 && counts.reordered > 10 && counts.duplicate > 10, "{counts:?}");
    }
}
