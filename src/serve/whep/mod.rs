//! Cameras at `/whep/NAME`, for browsers and other programs with WebRTC (WHEP: draft-ietf-wish-whep).
//!
//! ```text
//! POST offer --> handler: Rtc and answer --Order--> task "peers": one Rtc for each viewer <--> one UDP socket
//! frames of feed.rs --each viewer: DropToStart-->                 `
//! ```
//!
//! H.264 is sent as the camera encoded it. Raw pictures and JPEG are encoded as H.264, once for the viewers of all protocols.
//! Frames are sent as soon as they have arrived, before they are confirmed. After a damaged or a missing one, video continues at
//! the next key frame. A viewer begins at a key frame: cameras take no requests for one, so it waits for the next. A data
//! channel that the viewer opens gets the detections of each frame with the RTP time of its picture.
//!
//! This end is ICE lite: it answers from its own addresses and sends nothing to addresses that have not proved to know the
//! password of the answer, so offers cannot direct packets at others.

mod offer;
mod outbox;
mod peer;
mod peers;
mod routes;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use str0m::crypto::{CryptoProvider, from_feature_flags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use self::peer::Peer;
pub(super) use self::peers::Peers;
pub(super) use self::routes::routes;
use super::feed::{Carried, FeedProtocol};
use super::viewer::ViewerKind;
use crate::frame::{Frame, PayloadKind};
use crate::net::interfaces::addresses;

/// The frames that WHEP carries.
pub(super) const PROTOCOL: FeedProtocol =
    FeedProtocol { name: "WHEP", viewers: ViewerKind::Whep, is_immediate: true, carries };

/// Viewers of all cameras at a time.
const MAX_PEERS: usize = 64;

/// Orders that wait for the task. Each viewer can have two.
const ORDERS: usize = 2 * MAX_PEERS;

/// Longest time until a new viewer is connected.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

fn carries(frame: &Frame) -> Carried {
    match frame.kind {
        PayloadKind::H264 => Carried::Untouched,
        PayloadKind::H265 => Carried::Not("H.265, which WHEP does not carry: few browsers play it"),
        PayloadKind::Raw => Carried::Encoded("raw pictures".into()),
        PayloadKind::Jpeg => Carried::Encoded("JPEG".into()),
    }
}

/// A change of the viewers.
enum Order {
    Add(Box<Peer>),
    /// Ends the viewer with this id.
    End(String),
}

/// Lets the handlers of HTTP add viewers.
#[derive(Clone, Debug)]
pub(super) struct Door {
    orders: mpsc::Sender<Order>,
    places: Arc<Semaphore>,
    crypto: Arc<CryptoProvider>,
    local: SocketAddr,
}

impl Door {
    /// Returns the address of the socket.
    pub(super) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Returns a place for a viewer, if there is one.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Returns the addresses at which viewers reach the socket.
    fn candidates(&self) -> Vec<SocketAddr> {
        if !self.local.ip().is_unspecified() {
            return vec![self.local];
        }
        let fits = |address: &IpAddr| self.local.is_ipv6() || address.is_ipv4();
        let addresses = addresses().unwrap_or_default().into_iter().filter(fits);
        addresses.map(|address| SocketAddr::new(address, self.local.port())).collect()
    }
}

/// Opens the UDP socket for all viewers: at the port of HTTP, so that a firewall has one number, or at another one if that is
/// taken. Call it inside the runtime.
///
/// # Errors
/// The system refuses the socket.
pub(super) fn open(http: SocketAddr) -> io::Result<(Door, Peers)> {
    let socket = UdpSocket::bind(http).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse => UdpSocket::bind((http.ip(), 0)),
        _ => Err(error),
    })?;
    socket.set_nonblocking(true)?;
    let local = socket.local_addr()?;
    let (orders, queue) = mpsc::channel(ORDERS);
    let peers = Peers::new(tokio::net::UdpSocket::from_std(socket)?, queue)?;
    let places = Arc::new(Semaphore::new(MAX_PEERS));
    Ok((Door { orders, places, crypto: Arc::new(from_feature_flags()), local }, peers))
}
