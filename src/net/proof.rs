//! The proof at the end: a camera says that it runs its application, and the stream's first frame has come.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};

use super::discovery::{FindError, wait_for};
use crate::device::contract::Contract;
use crate::discovery::{CameraState, DiscoveredCamera};
use crate::frame::{Interpreter, Pool, Received};
use crate::wire::{Decoder, Event, Introduction, Limits};

/// Between two tries to connect.
const AGAIN: Duration = Duration::from_millis(200);

/// The first frame of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FirstFrame {
    /// Where it came from.
    pub address: SocketAddr,
    /// The dialect of its header.
    pub dialect: String,
    /// What is in it, and its size if that is known.
    pub picture: String,
    /// Bytes of its payload.
    pub bytes: usize,
    /// Detections that came with it.
    pub detections: usize,
}

impl fmt::Display for FirstFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, dialect, picture, bytes, detections } = self;
        write!(f, "a frame came from {address}: {dialect}, {picture}, {bytes} bytes, {detections} detections")
    }
}

/// A first frame, and what the camera said of itself before it.
struct First {
    seen: FirstFrame,
    said: Arc<Introduction>,
}

impl First {
    /// The frame, if it is of the application that was flashed.
    fn keeps(self, contract: Option<&Contract>) -> Result<FirstFrame, Unproved> {
        // A camera that says nothing of itself runs another application for sure: ours always does.
        let differences = contract.map_or_else(Vec::new, |contract| match self.said.is_empty() {
            true => vec![format!("expected {contract}, found a camera that does not say what it runs")],
            false => contract.contradicted_by(&self.said),
        });
        if differences.is_empty() { Ok(self.seen) } else { Err(Unproved::Other { differences }) }
    }
}

/// What was not seen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unproved {
    /// Nobody can be asked.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The camera did not say that it runs its application.
    #[error("the camera did not say within {} s that it runs its application; last it said {last}", limit.as_secs())]
    NotRunning {
        /// How long it was waited for.
        limit: Duration,
        /// Its last words.
        last: String,
    },
    /// Nothing listens at the stream's port.
    #[error("nobody listens at {address} after {} s: {why}", limit.as_secs())]
    NoStream {
        /// Where the stream should be.
        address: SocketAddr,
        /// How long it was waited for.
        limit: Duration,
        /// What the system says.
        why: io::Error,
    },
    /// It sends something else than was flashed.
    #[error("the application that runs is not the one that was flashed: {}", differences.join("; "))]
    Other {
        /// What was expected, and what was found.
        differences: Vec<String>,
    },
    /// The camera comes to another place.
    #[error("the camera comes to {address}, and this host cannot let it in there: {why}")]
    Elsewhere {
        /// Where it comes to.
        address: SocketAddr,
        /// What the system says.
        why: io::Error,
    },
    /// It listens, and no frame came.
    #[error("{address} sent {bytes} bytes within {} s and no whole frame among them", limit.as_secs())]
    NoFrame {
        /// Where the stream is.
        address: SocketAddr,
        /// Bytes that came.
        bytes: u64,
        /// How long it was waited for.
        limit: Duration,
    },
}

/// Waits until the camera says that it runs its application.
///
/// # Errors
/// It did not, within this time.
pub async fn running(
    id: &str,
    known: &[Ipv4Addr],
    udp_port: u16,
    limit: Duration,
) -> Result<DiscoveredCamera, Unproved> {
    let mut last = "nothing".to_owned();
    let is = |camera: &DiscoveredCamera| {
        last = format!("\"{}\"", camera.state);
        camera.state == CameraState::FlashBooted
    };
    let found = wait_for(id, known, udp_port, limit, is).await?;
    found.ok_or(Unproved::NotRunning { limit, last })
}

/// Connects to the stream and waits for its first whole frame. It is the only client meanwhile, where a camera takes
/// only one.
///
/// # Errors
/// There is none, within this time.
pub async fn first_frame(
    address: SocketAddr,
    contract: Option<&Contract>,
    limit: Duration,
) -> Result<FirstFrame, Unproved> {
    let until = Instant::now() + limit;
    let mut bytes = 0;
    let mut why = io::Error::new(io::ErrorKind::TimedOut, "no answer");
    let mut heard = false;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, look(address, &mut bytes, &mut heard)).await {
            Ok(Ok(Some(first))) => return first.keeps(contract),
            Ok(Err(error)) => why = error,
            // It closed the connection, which the first one after a start may be.
            Ok(Ok(None)) | Err(_) => {}
        }
        if Instant::now() + AGAIN >= until {
            return Err(if heard {
                Unproved::NoFrame { address, bytes, limit }
            } else {
                Unproved::NoStream { address, limit, why }
            });
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// As [`first_frame`], of a camera that comes to this address of this host by itself.
///
/// # Errors
/// There is none, within this time; or this host has no such address, or somebody else listens there.
pub async fn first_frame_of_guest(
    address: SocketAddr,
    contract: Option<&Contract>,
    limit: Duration,
) -> Result<FirstFrame, Unproved> {
    let until = Instant::now() + limit;
    let listener = TcpListener::bind(address).await.map_err(|why| Unproved::Elsewhere { address, why })?;
    let mut bytes = 0;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let guest = async {
            let (stream, from) = listener.accept().await?;
            receive(&stream, from, &mut bytes).await
        };
        match tokio::time::timeout(left, guest).await {
            Ok(Ok(Some(first))) => return first.keeps(contract),
            // It left before its first frame, and will come again.
            Ok(Ok(None) | Err(_)) => {}
            Err(_) => return Err(Unproved::NoFrame { address, bytes, limit }),
        }
    }
}

async fn look(address: SocketAddr, bytes: &mut u64, heard: &mut bool) -> io::Result<Option<First>> {
    let stream = TcpStream::connect(address).await?;
    *heard = true;
    receive(&stream, address, bytes).await
}

/// The first frame, or nothing if the camera closes the connection before.
async fn receive(stream: &TcpStream, address: SocketAddr, bytes: &mut u64) -> io::Result<Option<First>> {
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
            if let Event::Frame(frame) = event {
                let seen = FirstFrame {
                    address,
                    dialect: frame.dialect.to_string(),
                    picture: frame
                        .geometry
                        .map_or_else(|| format!("{:?}", frame.kind), |geometry| geometry.to_string()),
                    bytes: frame.payload().len(),
                    detections: frame.detections.len(),
                };
                return Ok(Some(First { seen, said: Arc::clone(decoder.introduction()) }));
            }
        }
    }
}
