//! Finds cameras by broadcast on every interface, by address, or address by address in a subnet. Also resets a camera
//! into its bootloader.
//!
//! Works like the vendor's client (bootloader.md 1), with these differences: each interface has its own socket, so that
//! the interface of a camera is known and two interfaces in one network are both queried; queries are repeated, because
//! datagrams get lost; cameras behind a router can be queried address by address.

mod reset;
mod sockets;

pub(super) use reset::describe_last_state;
pub use reset::{RESET_TIMEOUT, ResetError, reset_to_bootloader, wait_for};

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::interfaces::{Interface, interfaces, source_for};
use crate::discovery::{Answer, AnswerError, CameraAddress, DiscoveredCamera, DiscoveredCameras, PORT, Query, Subnet};
use sockets::QuerySocket;

/// Time to wait for answers after the last query (bootloader.md 1, "total collection window").
pub const RESPONSE_WINDOW: Duration = Duration::from_millis(500);
/// Number of times that each query is sent within the window.
const ROUNDS: u32 = 3;
const ROUND_INTERVAL: Duration = Duration::from_millis(80);
/// A subnet is queried in bursts, 1,000 addresses per second, because each query to an unused address costs a router an
/// ARP request.
const SWEEP_BURST: usize = 10;
const SWEEP_BURST_INTERVAL: Duration = Duration::from_millis(10);
/// Longer than any answer.
const DATAGRAM_MAX_BYTES: usize = 256;
/// Unrecognized datagrams to keep. Bounds the memory, because any host can send them.
const UNRECOGNIZED_MAX: usize = 16;

/// The addresses and networks to query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// Query the networks of this host by broadcast.
    pub broadcast: bool,
    /// Query these addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// Query every address of these networks: for cameras behind a router, which broadcasts do not pass.
    pub subnets: Vec<Subnet>,
    /// Query `addresses` for the speed of their link too. Many cameras do not answer this.
    pub link: bool,
    /// The UDP port of the cameras' discovery service.
    pub port: u16,
}

impl Default for Targets {
    fn default() -> Self {
        Self { broadcast: true, addresses: Vec::new(), subnets: Vec::new(), link: false, port: PORT }
    }
}

impl Targets {
    /// Targets a single address.
    #[must_use]
    pub fn only(ip: Ipv4Addr, port: u16) -> Self {
        Self { broadcast: false, addresses: vec![ip], port, ..Self::default() }
    }
}

/// The result of [`find`].
#[derive(Debug, Default)]
pub struct Survey {
    /// The cameras that answered, sorted by id.
    pub cameras: Vec<DiscoveredCamera>,
    /// Queries that could not be sent. The vendor's client does not report these.
    pub unsent: Vec<Unsent>,
    /// Answers that are not from a camera: the sender and the parse error.
    pub unrecognized: Vec<(Ipv4Addr, AnswerError)>,
    /// The interfaces on which a broadcast was sent.
    pub queried: Vec<Interface>,
}

/// A query that could not be sent.
#[derive(Debug)]
pub struct Unsent {
    /// The destination: an address, or the broadcast address of a network.
    pub to: Ipv4Addr,
    /// The outgoing interface, if one was selected.
    pub interface: Option<String>,
    /// The number of other addresses of the same subnet that could not be queried.
    pub more: u64,
    /// The error of the first query.
    pub error: io::Error,
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot send a query to {}", self.to)?;
        if self.more > 0 {
            write!(f, " and {} more", self.more)?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " on {interface}")?;
        }
        write!(f, ": {}", self.error)
    }
}

/// Error of [`find`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The interfaces could not be listed.
    #[error("cannot list the interfaces of this host: {0}")]
    Interfaces(#[source] io::Error),
    /// No UDP socket could be opened.
    #[error("cannot open a UDP socket: {0}")]
    Socket(#[source] io::Error),
}

/// Sends the queries and collects answers for `window` after the last one, or until `done` returns `true` for a camera.
///
/// Sends only [`Query::Discover`], and [`Query::Info`] if `link` is set. Neither stops or changes anything on a camera.
///
/// # Errors
/// Fails if the interfaces cannot be listed or no UDP socket can be opened. Single queries that could not be sent are
/// in the [`Survey`].
pub async fn find(
    targets: &Targets,
    window: Duration,
    mut done: impl FnMut(&DiscoveredCamera) -> bool,
) -> Result<Survey, FindError> {
    let local = interfaces().map_err(FindError::Interfaces)?;
    let (sockets, mut unsent) = sockets::open_all(targets, &local)?;
    let (sender, mut receiver) = mpsc::channel(64);
    // Dropping the set at the end aborts the tasks.
    let mut listeners = JoinSet::new();
    for socket in &sockets {
        listeners.spawn(listen(Arc::clone(socket), sender.clone()));
    }
    drop(sender);

    let mut found = DiscoveredCameras::default();
    let mut unrecognized = Vec::new();
    let mut routes = RouteCache { local, interfaces: BTreeMap::new() };
    let mut accept = |received: Datagram, routes: &mut RouteCache| match Answer::parse(&received.bytes) {
        Ok(answer) => {
            let interface = received.interface.or_else(|| routes.interface_to(received.from));
            found.add(answer, CameraAddress { ip: received.from, interface }).is_some_and(&mut done)
        }
        Err(error) => {
            tracing::debug!(from = %received.from, "{error}");
            if unrecognized.len() < UNRECOGNIZED_MAX {
                unrecognized.push((received.from, error));
            }
            false
        }
    };
    {
        let sending = send_queries(&sockets, targets, window, &mut unsent);
        tokio::pin!(sending);
        loop {
            tokio::select! {
                Some(received) = receiver.recv() => if accept(received, &mut routes) { break },
                () = &mut sending => {
                    // Answers in the channel arrived within the window.
                    while let Ok(received) = receiver.try_recv() {
                        if accept(received, &mut routes) {
                            break;
                        }
                    }
                    break;
                }
            }
        }
    }
    let queried = sockets.iter().filter_map(|socket| socket.interface.clone()).collect();
    Ok(Survey { cameras: found.into_cameras(), unsent, unrecognized, queried })
}

/// A received datagram.
struct Datagram {
    from: Ipv4Addr,
    interface: Option<String>,
    bytes: Vec<u8>,
}

async fn listen(socket: Arc<QuerySocket>, sender: mpsc::Sender<Datagram>) {
    let mut buffer = [0; DATAGRAM_MAX_BYTES];
    loop {
        match socket.socket.recv_from(&mut buffer).await {
            Ok((length, SocketAddr::V4(from))) => {
                let interface = socket.interface.as_ref().map(|interface| interface.name.clone());
                let received = Datagram { from: *from.ip(), interface, bytes: buffer[..length].to_vec() };
                if sender.send(received).await.is_err() {
                    return;
                }
            }
            Ok((_, SocketAddr::V6(_))) => {}
            // Windows reports here that an earlier query was rejected, or that a datagram did not fit into the buffer.
            Err(error) => tracing::debug!("error while receiving answers: {error}"),
        }
    }
}

/// Looks up the interface through which packets to an address leave, once per address.
struct RouteCache {
    local: Vec<Interface>,
    interfaces: BTreeMap<Ipv4Addr, Option<String>>,
}

impl RouteCache {
    fn interface_to(&mut self, ip: Ipv4Addr) -> Option<String> {
        let Self { local, interfaces } = self;
        let look_up = || {
            let source = source_for(ip).ok()?;
            local.iter().find(|interface| interface.ip == source).map(|interface| interface.name.clone())
        };
        interfaces.entry(ip).or_insert_with(look_up).clone()
    }
}

/// Sends all queries, several times, and waits until the window after the last one ends.
async fn send_queries(sockets: &[Arc<QuerySocket>], targets: &Targets, window: Duration, unsent: &mut Vec<Unsent>) {
    let start = Instant::now();
    for round in 0..ROUNDS {
        tokio::time::sleep_until(start + ROUND_INTERVAL.min(window / ROUNDS) * round).await;
        for socket in sockets {
            socket.query(targets, round == 0, unsent).await;
        }
    }
    let mut last = start;
    let Some(routed) = sockets.iter().find(|socket| socket.interface.is_none()) else { return };
    for subnet in &targets.subnets {
        let mut failed: Option<Unsent> = None;
        for (number, host) in subnet.hosts().enumerate() {
            if number % SWEEP_BURST == 0 {
                tokio::time::sleep(SWEEP_BURST_INTERVAL).await;
            }
            if let Err(error) = routed.send(Query::Discover, host, targets.port).await {
                match &mut failed {
                    Some(failed) => failed.more += 1,
                    None => failed = Some(Unsent { to: host, interface: None, more: 0, error }),
                }
            }
        }
        unsent.extend(failed);
        last = Instant::now();
    }
    tokio::time::sleep_until(last + window).await;
}

fn any_port(ip: Ipv4Addr) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(ip), 0)
}

#[cfg(test)]
mod tests;
