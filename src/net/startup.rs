//! Verifies that a camera runs its application after a reset: by its reported state, and by the first frame of its
//! stream.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};

use super::discovery::{FindError, describe_last_state, wait_for};
use crate::device::contract::Contract;
use crate::discovery::{CameraState, DiscoveredCamera};
use crate::frame::{Interpreter, Pool, Received};
use crate::wire::{Decoder, Event, Introduction, Limits};

const CONNECT_RETRY_INTERVAL: Duration = Duration::from_millis(200);

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

impl fmt::Display for FirstFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, dialect, picture, bytes, detections } = self;
        write!(f, "first frame from {address}: {dialect}, {picture}, {bytes} bytes, {detections} detections")
    }
}

struct IntroducedFrame {
    frame: FirstFrame,
    introduction: Arc<Introduction>,
}

impl IntroducedFrame {
    /// Returns the frame if it was sent by the flashed application.
    fn check(self, contract: Option<&Contract>) -> Result<FirstFrame, StartupError> {
        // Our applications always introduce themselves, so a stream without an introduction is from another one.
        let differences = contract.map_or_else(Vec::new, |contract| match self.introduction.is_empty() {
            true => vec![format!("expected {contract}, found an application that does not identify itself")],
            false => contract.contradicted_by(&self.introduction),
        });
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
        "the camera did not report within {} s that it runs its application; {}",
        limit.as_secs(),
        describe_last_state(*last)
    )]
    NotRunning {
        /// The time limit.
        limit: Duration,
        /// The last state that the camera reported.
        last: Option<CameraState>,
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
    #[error("received {bytes} bytes from {address} within {} s, but no complete frame", limit.as_secs())]
    NoFrame {
        /// The address of the stream.
        address: SocketAddr,
        /// Bytes received.
        bytes: u64,
        /// The time limit.
        limit: Duration,
    },
}

/// Waits at most `limit` until the camera with this id reports that it runs its application.
///
/// # Errors
/// Returns [`StartupError::NotRunning`] after `limit`.
pub async fn wait_until_running(
    id: &str,
    known: &[Ipv4Addr],
    udp_port: u16,
    limit: Duration,
) -> Result<DiscoveredCamera, StartupError> {
    let mut last = None;
    let runs = |camera: &DiscoveredCamera| {
        last = Some(camera.state);
        camera.state == CameraState::FlashBooted
    };
    let found = wait_for(id, known, udp_port, limit, runs).await?;
    found.ok_or(StartupError::NotRunning { limit, last })
}

/// Connects to the stream at `address` and waits at most `limit` for its first complete frame. Meanwhile, a camera that
/// serves one client at a time sends nothing to others.
///
/// # Errors
/// Fails if no complete frame arrives in time, or if it does not match `contract`.
pub async fn wait_for_first_frame(
    address: SocketAddr,
    contract: Option<&Contract>,
    limit: Duration,
) -> Result<FirstFrame, StartupError> {
    let until = Instant::now() + limit;
    let mut bytes = 0;
    let mut why = io::Error::new(io::ErrorKind::TimedOut, "no answer");
    let mut connected = false;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, connect(address, &mut bytes, &mut connected)).await {
            Ok(Ok(Some(first))) => return first.check(contract),
            Ok(Err(error)) => why = error,
            // The first connection after a reset may be closed by the camera.
            Ok(Ok(None)) | Err(_) => {}
        }
        if Instant::now() + CONNECT_RETRY_INTERVAL >= until {
            return Err(if connected {
                StartupError::NoFrame { address, bytes, limit }
            } else {
                StartupError::NoStream { address, limit, why }
            });
        }
        tokio::time::sleep(CONNECT_RETRY_INTERVAL).await;
    }
}

/// Like [`wait_for_first_frame`], for a camera that connects to `address` on this host.
///
/// # Errors
/// As [`wait_for_first_frame`]. Also fails if this host does not have the address or its port is in use.
pub async fn accept_first_frame(
    address: SocketAddr,
    contract: Option<&Contract>,
    limit: Duration,
) -> Result<FirstFrame, StartupError> {
    let until = Instant::now() + limit;
    let listener = TcpListener::bind(address).await.map_err(|why| StartupError::CannotListen { address, why })?;
    let mut bytes = 0;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let accepted = async {
            let (stream, from) = listener.accept().await?;
            receive(&stream, from, &mut bytes).await
        };
        match tokio::time::timeout(left, accepted).await {
            Ok(Ok(Some(first))) => return first.check(contract),
            // The camera disconnected before its first frame, and will connect again.
            Ok(Ok(None) | Err(_)) => {}
            Err(_) => return Err(StartupError::NoFrame { address, bytes, limit }),
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
                let frame = FirstFrame {
                    address,
                    dialect: received.dialect.to_string(),
                    picture: received
                        .geometry
                        .map_or_else(|| format!("{:?}", received.kind), |geometry| geometry.to_string()),
                    bytes: received.payload().len(),
                    detections: received.detections.len(),
                };
                return Ok(Some(IntroducedFrame { frame, introduction: Arc::clone(decoder.introduction()) }));
            }
        }
    }
}
