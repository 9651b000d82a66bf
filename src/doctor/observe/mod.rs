//! Looks, and touches nothing: what `doctor` judges. Questions for cameras, a look at a stream, and what this host tells
//! of its own network.

#[cfg(target_os = "linux")]
mod linux;
mod stream;

use std::net::Ipv4Addr;
use std::time::Duration;

use super::facts::{Facts, Host, Port, Target, Way};

use crate::discovery::{CameraState, DiscoveredCamera, PORT, Subnet};
use crate::net::discovery::{FindError, Targets, find};
use crate::net::interfaces::{interfaces, source_for};
use crate::net::knock::{Knock, knock};
use crate::wire;

/// How long one port may take to answer.
const KNOCK: Duration = Duration::from_secs(2);
/// How long a camera may take to answer when it is asked at its address.
const PATIENCE: Duration = Duration::from_secs(1);

/// What to look at, and how hard.
#[derive(Clone, Debug)]
pub struct Look {
    /// The camera: its address, or the id of one that answers. `None`: all that answer.
    pub camera: Option<Wanted>,
    /// Ask each address of these networks too.
    pub subnets: Vec<Subnet>,
    /// How long answers are waited for.
    pub wait: Duration,
    /// The UDP port that cameras answer at.
    pub udp_port: u16,
    /// Ports at which the stream may be; none: streams are left alone.
    pub ports: Vec<u16>,
    /// How long a stream is measured.
    pub measure: Duration,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            camera: None,
            subnets: Vec::new(),
            wait: crate::net::discovery::WINDOW,
            udp_port: PORT,
            ports: wire::USUAL_PORTS.to_vec(),
            measure: Duration::from_secs(2),
        }
    }
}

/// A camera that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// As the user named it.
    pub name: String,
    /// Where it is.
    pub ip: Ipv4Addr,
}

/// Gathers everything. It takes seconds: silence has to be waited for.
///
/// # Errors
/// No socket can be opened at all.
pub async fn observe(look: &Look) -> Result<Facts, FindError> {
    let everybody = Targets { subnets: look.subnets.clone(), port: look.udp_port, ..Targets::default() };
    let survey = find(&everybody, look.wait, |_| false).await?;
    let mut seen = survey.cameras;
    let mut targets = Vec::new();
    let named = look.camera.as_ref().map(|wanted| (wanted.name.clone(), wanted.ip));
    let wanted: Vec<_> = match named {
        Some(wanted) => vec![wanted],
        None => seen.iter().filter_map(|camera| Some((camera.id.clone(), camera.ip()?))).collect(),
    };
    for (name, ip) in wanted {
        targets.push(target(look, name, ip, &seen).await?);
    }
    for camera in targets.iter().filter_map(|target| target.camera.as_ref()) {
        if !seen.iter().any(|known| known.id == camera.id) {
            seen.push(camera.clone());
        }
    }
    // Last: by now it has spoken to everybody, and knows who is there.
    let host = host();
    Ok(Facts { host, targets, seen, unsent: survey.unsent.iter().map(ToString::to_string).collect() })
}

async fn target(look: &Look, name: String, ip: Ipv4Addr, seen: &[DiscoveredCamera]) -> Result<Target, FindError> {
    let alone = Targets { link: true, ..Targets::only(ip, look.udp_port) };
    let survey = find(&alone, PATIENCE.max(look.wait), |camera| camera.link.is_some()).await?;
    let at_address = survey.cameras.into_iter().next();
    let heard = seen.iter().find(|camera| match &at_address {
        Some(known) => known.id == camera.id,
        None => camera.ips().contains(&ip),
    });
    let (by_broadcast, by_unicast) = (heard.is_some(), at_address.is_some());
    let mut camera = heard.cloned().or_else(|| at_address.clone());
    if let Some(camera) = &mut camera
        && let Some(known) = at_address
    {
        camera.link = known.link;
        camera.state = known.state;
    }
    // A flashed application streams; what a host has booted, and the bootloader, do not.
    let streams =
        camera.as_ref().is_none_or(|camera| !matches!(camera.state, CameraState::Bootloader | CameraState::Booted));
    let mut target = Target { name, ip: Some(ip), camera, by_broadcast, by_unicast, way: way(ip), ..Target::default() };
    if streams {
        for port in &look.ports {
            let found = match knock(ip, *port, KNOCK).await {
                Knock::Open => Port::Open,
                Knock::Refused => Port::Refused,
                Knock::Silence => Port::Silence,
                Knock::Unreachable(why) => Port::Unreachable(why),
            };
            let open = found == Port::Open;
            target.ports.push((*port, found));
            if open {
                target.stream = Some(stream::look(ip, *port, look.measure).await);
                break;
            }
        }
    }
    Ok(target)
}

/// How packets to an address leave.
fn way(ip: Ipv4Addr) -> Way {
    match source_for(ip) {
        Err(error) => Way { error: Some(error.to_string()), ..Way::default() },
        Ok(source) => Way { interface: leaves_by(ip, source), source: Some(source), error: None },
    }
}

/// The interface, which on Linux the system is asked for: two may have the same address.
fn leaves_by(ip: Ipv4Addr, source: Ipv4Addr) -> Option<String> {
    #[cfg(target_os = "linux")]
    if let Some(interface) = linux::leaves_by(ip) {
        return Some(interface);
    }
    let _ = ip;
    interfaces().ok()?.into_iter().find(|interface| interface.ip == source).map(|interface| interface.name)
}

/// What this host tells of its network.
#[must_use]
pub fn host() -> Host {
    #[cfg(target_os = "linux")]
    return linux::host();
    #[cfg(not(target_os = "linux"))]
    portable()
}

/// What every system tells: addresses of interfaces that are up.
#[cfg(not(target_os = "linux"))]
fn portable() -> Host {
    use crate::doctor::facts::{Kind, Link};
    let mut host = Host::default();
    for interface in interfaces().unwrap_or_default().into_iter().filter(|interface| !interface.ip.is_loopback()) {
        let kind = if interface.point_to_point { Kind::Tunnel } else { Kind::Wired };
        let address = (interface.ip, interface.prefix);
        match host.links.iter_mut().find(|link| link.name == interface.name) {
            Some(link) => link.addresses.push(address),
            None => {
                let link = Link { name: interface.name, kind, up: true, addresses: vec![address], ..Link::default() };
                host.links.push(link);
            }
        }
    }
    host.firewall.unreadable = Some("this system's firewall is not known here".to_owned());
    host
}
