//! Gathers the facts that `doctor` judges: queries cameras, measures streams and reads the network configuration of
//! this host. Changes nothing.

#[cfg(target_os = "linux")]
mod linux;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::facts::{CheckedCamera, Facts, HostFacts, NotRun, RouteLookup};
use crate::discovery::{CameraState, DiscoveredCamera, PORT, PortProbe, Subnet};
use crate::net::discovery::{FindError, RESPONSE_WINDOW, Targets, find};
use crate::net::interfaces::{interfaces, source_for};
use crate::net::port_probe::probe_port;
use crate::source::SourceSpec;
use crate::wire;

/// Cameras that are checked; more than the largest known installation has.
const CHECKED_MAX: usize = 64;
const CHECKS_AT_ONCE: usize = 16;
/// Streams that are measured at the same time. More would exceed the 1 Gbit/s that most hosts have: eight cameras of
/// 640x352 at 15 frames/s send 650 Mbit/s.
const MEASURED_AT_ONCE: usize = 8;
/// For cameras that were found; those that the user named get more time. A camera that answers nothing takes about 10 s.
const CHECKS_TIMEOUT: Duration = Duration::from_secs(40);
/// Time to connect to a stream and to wait for its first frame.
const STREAM_OVERHEAD: Duration = Duration::from_secs(8);
const PORT_PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time to wait at least for the answer to a unicast query.
const UNICAST_TIMEOUT: Duration = Duration::from_secs(1);

/// Options of [`observe`].
#[derive(Clone, Debug)]
pub struct ObserveOptions {
    /// The cameras to check. Without cameras and streams: all cameras that answer.
    pub cameras: Vec<NamedCamera>,
    /// The streams to check, after the cameras and in turn.
    pub streams: Vec<NamedStream>,
    /// Networks in which to query each address too.
    pub subnets: Vec<Subnet>,
    /// Time to wait for answers after the last query.
    pub wait: Duration,
    /// The UDP port of the cameras' discovery service.
    pub udp_port: u16,
    /// The TCP ports to probe for a stream, in this order. Empty: do not connect to streams.
    pub ports: Vec<u16>,
    /// Time to measure each stream.
    pub measure: Duration,
}

impl Default for ObserveOptions {
    fn default() -> Self {
        Self {
            cameras: Vec::new(),
            streams: Vec::new(),
            subnets: Vec::new(),
            wait: RESPONSE_WINDOW,
            udp_port: PORT,
            ports: wire::USUAL_PORTS.to_vec(),
            measure: Duration::from_secs(2),
        }
    }
}

/// A camera that the user named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCamera {
    /// The name given by the user.
    pub name: String,
    /// The address.
    pub ip: Ipv4Addr,
    /// The TCP port of its stream. `None`: one of [`ObserveOptions::ports`].
    pub port: Option<u16>,
    /// The UDP port of its discovery service. `None`: [`ObserveOptions::udp_port`].
    pub udp_port: Option<u16>,
}

/// A stream that the user named by a URL, such as that of an HTTP server.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedStream {
    /// The name given by the user.
    pub name: String,
    /// Its source.
    pub source: SourceSpec,
}

/// Gathers the facts. Takes several seconds, because it waits for answers that may not arrive. `stop`: the number of requests to
/// stop; the first one ends the waiting, and the facts name what was not observed.
///
/// # Errors
/// Fails if the interfaces cannot be listed or no UDP socket can be opened.
pub async fn observe(options: &ObserveOptions, stop: &watch::Receiver<u32>) -> Result<Facts, FindError> {
    let broadcast = Targets { subnets: options.subnets.clone(), port: options.udp_port, ..Targets::default() };
    let found = unless_stopped(stop, find(&broadcast, options.wait, |_| false)).await.transpose()?;
    let is_complete = found.is_some();
    let survey = found.unwrap_or_default();
    let mut seen = survey.cameras;
    let named = !(options.cameras.is_empty() && options.streams.is_empty());
    let cameras = if named {
        options.cameras.clone()
    } else {
        let found = |camera: &DiscoveredCamera| {
            Some(NamedCamera { name: camera.id.clone(), ip: camera.ip()?, port: None, udp_port: None })
        };
        seen.iter().filter_map(found).collect()
    };
    let answered = cameras.len();
    let cameras = if named { cameras } else { one_per_address(cameras) };
    let timeout = if named { timeout_for(cameras.len(), options.measure) } else { CHECKS_TIMEOUT };
    let mut targets = check_all(options, cameras, &seen, timeout, stop).await?;
    let left_out = answered - targets.len();
    for stream in &options.streams {
        targets.push(check_stream(options, stream, stop).await);
    }
    for camera in targets.iter().filter_map(|target| target.camera.as_ref()) {
        if !seen.iter().any(|known| known.id == camera.id) {
            seen.push(camera.clone());
        }
    }
    // Read last, because the queries above fill the ARP table.
    let host = host();
    let stopped = !is_complete || targets.iter().any(|target| target.not_run.is_some());
    let unsent = survey.unsent.iter().map(ToString::to_string).collect();
    Ok(Facts { host, targets, seen, unsent, left_out, stopped })
}

/// Awaits `work`. `None`: the user stopped first.
async fn unless_stopped<T>(stop: &watch::Receiver<u32>, work: impl Future<Output = T>) -> Option<T> {
    let mut stop = stop.clone();
    tokio::select! {
        biased;
        Ok(_) = stop.wait_for(|requests| *requests > 0) => None,
        done = work => Some(done),
    }
}

/// Any device can answer with thousands of ids. They are checked once per address.
fn one_per_address(mut cameras: Vec<NamedCamera>) -> Vec<NamedCamera> {
    let mut known = BTreeSet::new();
    cameras.retain(|camera| known.insert(camera.ip));
    cameras.truncate(CHECKED_MAX);
    cameras
}

/// Returns a time in which all of these cameras can be checked.
fn timeout_for(cameras: usize, measure: Duration) -> Duration {
    let turns = u32::try_from(cameras.div_ceil(MEASURED_AT_ONCE)).unwrap_or(u32::MAX);
    CHECKS_TIMEOUT.saturating_add((measure + STREAM_OVERHEAD).saturating_mul(turns))
}

/// Checks several cameras at a time, in the given order. Leaves out those that are not checked within `timeout`.
async fn check_all(
    options: &ObserveOptions,
    cameras: Vec<NamedCamera>,
    seen: &[DiscoveredCamera],
    timeout: Duration,
    stop: &watch::Receiver<u32>,
) -> Result<Vec<CheckedCamera>, FindError> {
    let (options, seen) = (Arc::new(options.clone()), Arc::<[DiscoveredCamera]>::from(seen));
    let measuring = Arc::new(Semaphore::new(MEASURED_AT_ONCE));
    let until = Instant::now() + timeout;
    let (mut checks, mut checked) = (JoinSet::new(), BTreeMap::new());
    let mut waiting = cameras.into_iter().enumerate();
    loop {
        while checks.len() < CHECKS_AT_ONCE
            && let Some((at, camera)) = waiting.next()
        {
            let (options, seen, measuring) = (Arc::clone(&options), Arc::clone(&seen), Arc::clone(&measuring));
            let stop = stop.clone();
            checks.spawn(async move { (at, check(&options, camera, &seen, &measuring, &stop).await) });
        }
        match tokio::time::timeout_at(until, checks.join_next()).await {
            Ok(Some(Ok((at, camera)))) => _ = checked.insert(at, camera?),
            // The set is only aborted when it is dropped.
            Ok(Some(Err(panic))) => std::panic::resume_unwind(panic.into_panic()),
            Ok(None) | Err(_) => return Ok(checked.into_values().collect()),
        }
    }
}

async fn check(
    options: &ObserveOptions,
    NamedCamera { name, ip, port, udp_port }: NamedCamera,
    seen: &[DiscoveredCamera],
    measuring: &Semaphore,
    stop: &watch::Receiver<u32>,
) -> Result<CheckedCamera, FindError> {
    let unicast = Targets { link: true, ..Targets::only(ip, udp_port.unwrap_or(options.udp_port)) };
    let search = find(&unicast, UNICAST_TIMEOUT.max(options.wait), |camera| camera.link.is_some());
    let Some(survey) = unless_stopped(stop, search).await.transpose()? else {
        let not_run = Some(NotRun::Search);
        return Ok(CheckedCamera { name, ip: Some(ip), not_run, ..CheckedCamera::default() });
    };
    let at_address = survey.cameras.into_iter().next();
    let by_broadcast = seen.iter().find(|camera| match &at_address {
        Some(known) => known.id == camera.id,
        None => camera.ips().contains(&ip),
    });
    let mut camera = by_broadcast.cloned().or_else(|| at_address.clone());
    if let (Some(camera), Some(known)) = (&mut camera, &at_address) {
        camera.link.clone_from(&known.link);
        camera.state = known.state;
    }
    // Only a flashed application has a stream that is open to every client.
    let streams =
        camera.as_ref().is_none_or(|camera| !matches!(camera.state, CameraState::Bootloader | CameraState::Booted));
    let mut target = CheckedCamera {
        name,
        ip: Some(ip),
        by_broadcast: by_broadcast.is_some(),
        by_unicast: at_address.is_some(),
        camera,
        route: route(ip),
        ..CheckedCamera::default()
    };
    if streams {
        let ports = port.as_ref().map_or(options.ports.as_slice(), std::slice::from_ref);
        for port in ports {
            let Some(probe) = unless_stopped(stop, probe_port(ip, *port, PORT_PROBE_TIMEOUT)).await else {
                target.not_run = Some(NotRun::Ports);
                break;
            };
            let open = probe == PortProbe::Open;
            target.ports.push((*port, probe));
            if open {
                // Streams at the same time share the bandwidth that is measured.
                let _measuring = measuring.acquire().await.expect("the semaphore is never closed");
                let source = SourceSpec::Tcp { host: ip.to_string(), port: *port };
                target.stream = stream::look(source, *port, options.measure, stop).await;
                target.not_run = target.stream.is_none().then_some(NotRun::Stream);
                break;
            }
        }
    }
    Ok(target)
}

/// Checks the path to the server of a stream, and the stream. One to which the camera connects is received only.
async fn check_stream(
    options: &ObserveOptions,
    NamedStream { name, source }: &NamedStream,
    stop: &watch::Receiver<u32>,
) -> CheckedCamera {
    let mut target = CheckedCamera { name: name.clone(), source: Some(source.to_string()), ..CheckedCamera::default() };
    let server = server(source);
    if let Some((host, port)) = server {
        let Some(looked_up) = unless_stopped(stop, tokio::net::lookup_host((host, port))).await else {
            target.not_run = Some(NotRun::Search);
            return target;
        };
        match looked_up {
            Ok(found) => {
                let ipv4 = |address: SocketAddr| if let IpAddr::V4(ip) = address.ip() { Some(ip) } else { None };
                target.ip = { found }.find_map(ipv4);
            }
            Err(error) => target.unresolved = Some(error.to_string()),
        }
        target.route = target.ip.map(route).unwrap_or_default();
    }
    if options.ports.is_empty() || target.unresolved.is_some() {
        return target;
    }
    if let Some((ip, (_, port))) = target.ip.zip(server) {
        let Some(probe) = unless_stopped(stop, probe_port(ip, port, PORT_PROBE_TIMEOUT)).await else {
            target.not_run = Some(NotRun::Ports);
            return target;
        };
        target.ports.push((port, probe));
    }
    if target.ports.iter().all(|(_, probe)| *probe == PortProbe::Open) {
        let port = server.map_or(0, |(_, port)| port);
        target.stream = stream::look(source.clone(), port, options.measure, stop).await;
        target.not_run = target.stream.is_none().then_some(NotRun::Stream);
    }
    target
}

/// Returns host and port of the server that sends a stream. `None`: the camera connects to this host.
fn server(source: &SourceSpec) -> Option<(&str, u16)> {
    match source {
        SourceSpec::Tcp { host, port } => Some((host, *port)),
        #[cfg(feature = "http")]
        SourceSpec::Http(http) => Some((&http.host, http.port)),
        _ => None,
    }
}

fn route(ip: Ipv4Addr) -> RouteLookup {
    match source_for(ip) {
        Err(error) => RouteLookup { error: Some(error.to_string()), ..RouteLookup::default() },
        Ok(source) => RouteLookup { interface: outgoing_interface(ip, source), source: Some(source), error: None },
    }
}

/// Returns the interface through which packets to `ip` leave. On Linux the system is queried, because two interfaces
/// may have the same address.
fn outgoing_interface(ip: Ipv4Addr, source: Ipv4Addr) -> Option<String> {
    #[cfg(target_os = "linux")]
    if let Some(interface) = linux::outgoing_interface(ip) {
        return Some(interface);
    }
    let _ = ip;
    interfaces().ok()?.into_iter().find(|interface| interface.ip == source).map(|interface| interface.name)
}

/// Returns the network configuration of this host.
#[must_use]
pub fn host() -> HostFacts {
    #[cfg(target_os = "linux")]
    return linux::host();
    #[cfg(not(target_os = "linux"))]
    portable()
}

/// Returns the facts that every system reports: the addresses of the interfaces that are up.
#[cfg(not(target_os = "linux"))]
fn portable() -> HostFacts {
    use super::facts::{HostLink, LinkKind};
    let mut host = HostFacts::default();
    for interface in interfaces().unwrap_or_default().into_iter().filter(|interface| !interface.ip.is_loopback()) {
        let kind = if interface.point_to_point { LinkKind::Tunnel } else { LinkKind::Wired };
        let address = (interface.ip, interface.prefix);
        match host.links.iter_mut().find(|link| link.name == interface.name) {
            Some(link) => link.addresses.push(address),
            None => {
                let addresses = vec![address];
                let link = HostLink { name: interface.name, kind, up: true, addresses, ..HostLink::default() };
                host.links.push(link);
            }
        }
    }
    host.firewall.unreadable = Some("not supported on this system".to_owned());
    host
}
