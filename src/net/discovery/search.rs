//! Sends the queries of one search and collects the answers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::sockets::{self, QuerySocket};
use super::{FindError, Survey, Targets, Unsent};
use crate::discovery::{Answer, CameraAddress, CameraState, DiscoveredCamera, DiscoveredCameras, Query};
use crate::net::interfaces::{Interface, interfaces, source_for};

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

/// The content of one answer, before it is merged with the other answers for the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct Claim {
    /// The sender of the answer.
    pub(in crate::net) from: Ipv4Addr,
    /// The state in the answer. `None` if it describes the link only.
    pub(in crate::net) state: Option<CameraState>,
}

/// As [`super::find`]. `done` also receives what this answer claims: any device can send an answer with the id of another
/// one.
///
/// # Errors
/// As [`super::find`].
pub(in crate::net) async fn search(
    targets: &Targets,
    window: Duration,
    mut done: impl FnMut(&DiscoveredCamera, Claim) -> bool,
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
    let by_address_only = !targets.broadcast && targets.subnets.is_empty();
    let mut accept = |received: Datagram, routes: &mut RouteCache| match Answer::parse(&received.bytes) {
        Ok(_) if by_address_only && !targets.addresses.contains(&received.from) => {
            tracing::debug!(from = %received.from, "ignored an answer from an address that was not queried");
            false
        }
        Ok(answer) => {
            let interface = received.interface.or_else(|| routes.interface_to(received.from));
            let claim = Claim { from: received.from, state: answer.state() };
            let camera = found.add(answer, CameraAddress { ip: received.from, interface });
            camera.is_some_and(|camera| done(camera, claim))
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
