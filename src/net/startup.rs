//! Verifies that a camera runs its application after a reset: by its reported state, and by the first frame of its
//! stream. Both must be from the address of the bootloader that was flashed: any device in the network can claim the id of
//! a camera.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::clock::received_now;
use super::discovery::{Claim, FindError, RESPONSE_WINDOW, Targets, describe_last_state, search};
use crate::device::contract::Contract;
use crate::discovery::{CameraState, is_camera_id};
use crate::frame::{Frame, Interpreter, Pool, Received};
use crate::units::count;
use crate::wire::{Assembled, Decoder, Event, Introduction, Limits, Reassembly, Rejected};

const CONNECT_RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// Addresses of other hosts to name in an error.
const LISTED_MAX: usize = 8;

/// The first frame of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FirstFrame {
    /// The camera's address and the port of the stream.
    pub address: SocketAddr,
    /// The dialect of its header.
    pub dialect: String,
    /// The size and pixel format, or the kind of payload if these are unknown.
    pub picture: String,
    /// Size of the payload in bytes.
    pub bytes: usize,
    /// Number of detections.
    pub detections: usize,
}

impl FirstFrame {
    fn of(frame: &Frame, address: SocketAddr) -> Self {
        Self {
            address,
            dialect: frame.dialect.to_string(),
            picture: frame.geometry.map_or_else(|| format!("{:?}", frame.kind), |geometry| geometry.to_string()),
            bytes: frame.payload().len(),
            detections: frame.detections.len(),
        }
    }
}

impl fmt::Display for FirstFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, dialect, picture, bytes, detections } = self;
        let detections = count(*detections as u64, "detection", "detections");
        write!(f, "first frame from {address}: {dialect}, {picture}, {bytes} bytes, {detections}")
    }
}

/// The sender of a stream.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedStream<'a> {
    /// The camera's id.
    pub id: &'a str,
    /// The promised properties of the stream.
    pub contract: Option<&'a Contract>,
    /// The identifier of the application's package, if its program sends it.
    pub build: Option<&'a str>,
}

struct IntroducedFrame {
    frame: FirstFrame,
    introduction: Arc<Introduction>,
}

impl IntroducedFrame {
    /// Returns the frame if it was sent by this application of this camera.
    fn check(self, expected: ExpectedStream<'_>) -> Result<FirstFrame, StartupError> {
        let ExpectedStream { id, contract, build } = expected;
        let mut differences = contract.map_or_else(Vec::new, |contract| contract.differences_to(&self.introduction));
        if let Some(build) = build.filter(|build| self.introduction.build.as_deref() != Some(*build)) {
            let found = self.introduction.build.as_ref();
            let found = found.map_or("a stream without an identifier".to_owned(), |found| format!("package {found}"));
            differences.push(format!("expected package {build}, found {found}"));
        }
        // Applications may use this record for a text of their own.
        if let Some(found) = &self.introduction.device_id
            && is_camera_id(found)
            && !found.eq_ignore_ascii_case(id)
        {
            differences.push(format!("expected camera {id}, found a stream of camera {found}"));
        }
        if differences.is_empty() { Ok(self.frame) } else { Err(StartupError::UnexpectedApplication { differences }) }
    }
}

/// Reason why the application could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartupError {
    /// The camera could not be queried.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The camera did not report the state [`CameraState::FlashBooted`].
    #[error(
        "the camera did not report from {address} within {} s that it runs its application; {}{}",
        limit.as_secs(),
        describe_last_state(*last),
        describe_claimants(claimants)
    )]
    NotRunning {
        /// The address of its bootloader.
        address: Ipv4Addr,
        /// The time limit.
        limit: Duration,
        /// The last state that the camera reported from its address.
        last: Option<CameraState>,
        /// Other addresses that claim to be this camera and to run an application.
        claimants: Vec<Ipv4Addr>,
    },
    /// No connection to the stream's port.
    #[error("cannot connect to {address} within {} s: {why}", limit.as_secs())]
    NoStream {
        /// The address of the stream.
        address: SocketAddr,
        /// The time limit.
        limit: Duration,
        /// The system's error.
        why: io::Error,
    },
    /// The stream does not match the flashed application.
    #[error("unexpected application on the camera: {}", differences.join("; "))]
    UnexpectedApplication {
        /// One text per difference, each with the expected and the found value.
        differences: Vec<String>,
    },
    /// The camera connects to an address on which this host cannot listen.
    #[error("the camera connects to {address}, where this host cannot listen: {why}")]
    CannotListen {
        /// The address to which the camera connects.
        address: SocketAddr,
        /// The system's error.
        why: io::Error,
    },
    /// Connected, but no complete frame arrived.
    #[error(
        "received {bytes} bytes from {address} within {} s, but no complete frame{}",
        limit.as_secs(),
        describe_strangers(strangers)
    )]
    NoFrame {
        /// The address of the stream.
        address: SocketAddr,
        /// Hosts other than the camera that connected to this one.
        strangers: Vec<IpAddr>,
        /// Bytes received.
        bytes: u64,
        /// The time limit.
        limit: Duration,
    },
}

/// Adds an address of another host to those that an error names, once.
fn list_once<T: PartialEq>(listed: &mut Vec<T>, found: T) {
    if listed.len() < LISTED_MAX && !listed.contains(&found) {
        listed.push(found);
    }
}

fn describe_claimants(claimants: &[Ipv4Addr]) -> String {
    let addresses: Vec<_> = claimants.iter().map(ToString::to_string).collect();
    match addresses.is_empty() {
        true => String::new(),
        false => {
            format!("; {} claims the same id and to run an application, which proves nothing", addresses.join(", "))
        }
    }
}

fn describe_strangers(strangers: &[IpAddr]) -> String {
    let addresses: Vec<_> = strangers.iter().map(ToString::to_string).collect();
    match addresses.is_empty() {
        true => String::new(),
        false => format!("; {} connected, which is not the camera", addresses.join(", ")),
    }
}

/// Waits at most `limit` until the camera with this id reports from `address` that it runs its application.
///
/// # Errors
/// Returns [`StartupError::NotRunning`] after `limit`.
pub async fn wait_until_running(
    id: &str,
    address: Ipv4Addr,
    udp_port: u16,
    limit: Duration,
) -> Result<CameraState, StartupError> {
    let start = Instant::now();
    let (mut last, mut claimants) = (None, Vec::new());
    // A camera on loopback is simulated, and broadcasts do not reach it.
    let broadcast = !address.is_loopback();
    let targets = Targets { broadcast, ..Targets::only(address, udp_port) };
    while let Some(left) = limit.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        search(&targets, RESPONSE_WINDOW.min(left), |camera, Claim { from, state }| {
            let runs = state == Some(CameraState::FlashBooted);
            if camera.id != id {
                return false;
            }
            if from == address {
                last = state.or(last);
            } else if runs {
                list_once(&mut claimants, from);
            }
            runs && from == address
        })
        .await?;
        if last == Some(CameraState::FlashBooted) {
            return Ok(CameraState::FlashBooted);
        }
    }
    Err(StartupError::NotRunning { address, limit, last, claimants })
}

/// Connects to the stream at `address` and waits at most `limit` for its first complete frame. Meanwhile, a camera that
/// serves one client at a time sends nothing to others.
///
/// # Errors
/// Fails if no complete frame arrives in time, or if another camera or application than `expected` has sent it.
pub async fn wait_for_first_frame(
    expected: ExpectedStream<'_>,
    address: SocketAddr,
    limit: Duration,
) -> Result<FirstFrame, StartupError> {
    let until = Instant::now() + limit;
    let mut bytes = 0;
    let mut why = io::Error::new(io::ErrorKind::TimedOut, "no answer");
    let mut connected = false;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, connect(address, &mut bytes, &mut connected)).await {
            Ok(Ok(Some(first))) => return first.check(expected),
            Ok(Err(error)) => why = error,
            // The first connection after a reset may be closed by the camera.
            Ok(Ok(None)) | Err(_) => {}
        }
        if Instant::now() + CONNECT_RETRY_INTERVAL >= until {
            return Err(if connected {
                StartupError::NoFrame { address, strangers: Vec::new(), bytes, limit }
            } else {
                StartupError::NoStream { address, limit, why }
            });
        }
        tokio::time::sleep(CONNECT_RETRY_INTERVAL).await;
    }
}

/// Like [`wait_for_first_frame`], for the camera at `camera`, which connects to `address` on this host.
///
/// # Errors
/// As [`wait_for_first_frame`]. Also fails if this host does not have the address or its port is in use.
pub async fn accept_first_frame(
    expected: ExpectedStream<'_>,
    camera: Ipv4Addr,
    address: SocketAddr,
    limit: Duration,
) -> Result<FirstFrame, StartupError> {
    let until = Instant::now() + limit;
    let listener = TcpListener::bind(address).await.map_err(|why| StartupError::CannotListen { address, why })?;
    let (mut bytes, mut strangers) = (0, Vec::new());
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let accepted = async {
            let (stream, from) = listener.accept().await?;
            if from.ip() != camera {
                list_once(&mut strangers, from.ip());
                return Ok(None);
            }
            receive(&stream, from, &mut bytes).await
        };
        match tokio::time::timeout(left, accepted).await {
            Ok(Ok(Some(first))) => return first.check(expected),
            // The camera disconnected before its first frame, and will connect again.
            Ok(Ok(None) | Err(_)) => {}
            Err(_) => return Err(StartupError::NoFrame { address, strangers, bytes, limit }),
        }
    }
}

/// Like [`accept_first_frame`], for a camera that sends datagrams to `address` on this host. It describes itself every few
/// seconds only, so this waits for a frame after its description.
///
/// # Errors
/// As [`accept_first_frame`].
pub async fn receive_first_frame(
    expected: ExpectedStream<'_>,
    camera: Ipv4Addr,
    address: SocketAddr,
    limit: Duration,
) -> Result<FirstFrame, StartupError> {
    let until = Instant::now() + limit;
    let socket = UdpSocket::bind(address).await.map_err(|why| StartupError::CannotListen { address, why })?;
    super::datagram_buffer::enlarge(&socket);
    let limits = Limits::default();
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), limits);
    let mut reassembly = Reassembly::new(limits.payload);
    let (mut buffer, mut bytes, mut strangers, mut first) = (vec![0; 64 << 10], 0, Vec::new(), None);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(received) = tokio::time::timeout(left, socket.recv_from(&mut buffer)).await else {
            return match first {
                Some(frame) => {
                    IntroducedFrame { frame, introduction: Arc::clone(decoder.introduction()) }.check(expected)
                }
                None => Err(StartupError::NoFrame { address, strangers, bytes, limit }),
            };
        };
        let Ok((len, from)) = received else { continue };
        if from.ip() != camera {
            list_once(&mut strangers, from.ip());
            continue;
        }
        bytes += len as u64;
        let now = received_now();
        if reassembly.push(&buffer[..len], now.mono_ns) == Err(Rejected::Restarted) {
            // Its last messages are those of the application before.
            reassembly.end();
            while reassembly.poll(now.mono_ns).is_some() {}
            reassembly.restart();
            let _ = reassembly.push(&buffer[..len], now.mono_ns);
        }
        while let Some(assembled) = reassembly.poll(now.mono_ns) {
            let Assembled::Complete(message) = assembled else { continue };
            decoder.message(message, false, now);
            while let Some(event) = decoder.poll() {
                if let Event::Frame(frame) = event {
                    first = Some(FirstFrame::of(&frame, from));
                }
            }
        }
        let introduction = decoder.introduction();
        if introduction.app.is_some()
            && let Some(frame) = first.take()
        {
            return IntroducedFrame { frame, introduction: Arc::clone(introduction) }.check(expected);
        }
    }
}

async fn connect(address: SocketAddr, bytes: &mut u64, connected: &mut bool) -> io::Result<Option<IntroducedFrame>> {
    let stream = TcpStream::connect(address).await?;
    *connected = true;
    receive(&stream, address, bytes).await
}

/// Receives the first frame. Returns `None` if the camera closes the connection before.
async fn receive(stream: &TcpStream, address: SocketAddr, bytes: &mut u64) -> io::Result<Option<IntroducedFrame>> {
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    loop {
        stream.readable().await?;
        let n = match stream.try_read(decoder.space()) {
            Ok(0) => return Ok(None),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        *bytes += n as u64;
        decoder.commit(n, Received::default());
        while let Some(event) = decoder.poll() {
            if let Event::Frame(received) = event {
                let frame = FirstFrame::of(&received, address);
                return Ok(Some(IntroducedFrame { frame, introduction: Arc::clone(decoder.introduction()) }));
            }
        }
    }
}
