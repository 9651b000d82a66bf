//! The proof at the end: a camera says that it runs its application, and the stream's first frame has come.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::net::TcpStream;

use super::discovery::{FindError, wait_for};
use crate::discovery::{Camera, State};
use crate::frame::{Interpreter, Pool, Received};
use crate::wire::{Decoder, Event, Limits};

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
pub async fn running(id: &str, known: &[Ipv4Addr], udp_port: u16, limit: Duration) -> Result<Camera, Unproved> {
    let mut last = "nothing".to_owned();
    let is = |camera: &Camera| {
        last = format!("\"{}\"", camera.state);
        camera.state == State::FlashBooted
    };
    let found = wait_for(id, known, udp_port, limit, is).await?;
    found.ok_or(Unproved::NotRunning { limit, last })
}

/// Connects to the stream and waits for its first whole frame. It is the only client meanwhile, where a camera takes
/// only one.
///
/// # Errors
/// There is none, within this time.
pub async fn first_frame(address: SocketAddr, limit: Duration) -> Result<FirstFrame, Unproved> {
    let until = Instant::now() + limit;
    let mut bytes = 0;
    let mut why = io::Error::new(io::ErrorKind::TimedOut, "no answer");
    let mut heard = false;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, look(address, &mut bytes, &mut heard)).await {
            Ok(Ok(Some(frame))) => return Ok(frame),
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

async fn look(address: SocketAddr, bytes: &mut u64, heard: &mut bool) -> io::Result<Option<FirstFrame>> {
    let stream = TcpStream::connect(address).await?;
    *heard = true;
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
                return Ok(Some(FirstFrame {
                    address,
                    dialect: frame.dialect.to_string(),
                    picture: frame
                        .geometry
                        .map_or_else(|| format!("{:?}", frame.kind), |geometry| geometry.to_string()),
                    bytes: frame.payload().len(),
                    detections: frame.detections.len(),
                }));
            }
        }
    }
}
