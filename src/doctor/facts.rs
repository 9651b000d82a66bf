//! Observations about this host and its cameras, as plain values. `None` means that the value could not be observed.

use std::net::Ipv4Addr;

use serde::Serialize;

use super::rules::FirewallRules;
use crate::bootloader::Version;
use crate::discovery::{DiscoveredCamera, PortProbe, Subnet};

/// The input of all checks.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Facts {
    /// The network configuration of this host.
    pub host: HostFacts,
    /// The cameras to check: those that the user named, or else all that answered.
    pub targets: Vec<CheckedCamera>,
    /// Every camera that answered, including those that the user did not name.
    pub seen: Vec<DiscoveredCamera>,
    /// Queries that could not be sent, as text.
    pub unsent: Vec<String>,
    /// Number of cameras in `seen` that were not checked, because there are too many or they take too long.
    pub left_out: usize,
    /// The user stopped before all checks had run.
    #[serde(skip)]
    pub stopped: bool,
}

/// The first part of the checks of a camera that did not run, because the user stopped. No later part ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRun {
    /// The search for the camera, or for the host of its URL.
    Search,
    /// The probe of the ports of its stream.
    Ports,
    /// The measurement of its stream.
    Stream,
}

/// The network configuration of this host.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HostFacts {
    /// The interfaces, without loopback.
    pub links: Vec<HostLink>,
    /// The IPv4 routes of the main table.
    pub routes: Vec<Route>,
    /// The ARP table.
    #[serde(rename = "neighbours")]
    pub neighbors: Vec<Neighbor>,
    /// The firewall rules.
    pub firewall: FirewallRules,
}

/// The medium of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    /// Ethernet.
    #[default]
    Wired,
    /// Wi-Fi.
    Wireless,
    /// A point-to-point tunnel, such as a VPN.
    Tunnel,
    /// A bridge, or an interface of a container or virtual machine.
    Virtual,
}

/// An interface of this host.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HostLink {
    /// The system's name, such as `eth0`.
    pub name: String,
    /// The medium.
    pub kind: LinkKind,
    /// The interface is enabled (`IFF_UP`).
    pub up: bool,
    /// The interface detects a device at the other end of the cable.
    pub carrier: Option<bool>,
    /// Speed in Mbit/s.
    pub speed_mbit_s: Option<u32>,
    /// The link sends and receives at the same time.
    pub full_duplex: Option<bool>,
    /// Largest packet in bytes, including the IP header.
    pub mtu: Option<u32>,
    /// Microseconds by which the network card delays receive interrupts (`ethtool -c`).
    pub rx_usecs: Option<u32>,
    /// IPv4 addresses, each with its prefix length.
    pub addresses: Vec<(Ipv4Addr, u8)>,
}

impl HostLink {
    /// Returns `true` if packets can leave through this interface: it is up, has an address and does not lack a
    /// carrier.
    #[must_use]
    pub fn usable(&self) -> bool {
        self.up && self.carrier != Some(false) && !self.addresses.is_empty()
    }

    /// Returns `true` if `ip` belongs to the network of one of the addresses.
    #[must_use]
    pub fn covers(&self, ip: Ipv4Addr) -> bool {
        let mut subnets = self.addresses.iter().filter_map(|(own, prefix)| Subnet::of(*own, *prefix));
        subnets.any(|subnet| subnet.contains(ip))
    }
}

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// First address of the destination network.
    pub network: Ipv4Addr,
    /// Prefix length of the destination: 32 for one host, 0 for the default route.
    pub prefix: u8,
    /// The router, or `None` if the destination is directly connected.
    pub gateway: Option<Ipv4Addr>,
    /// The outgoing interface.
    pub interface: String,
    /// The priority among routes to the same destination; the lowest wins.
    pub metric: u32,
}

/// An entry of the ARP table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Neighbor {
    /// The IPv4 address.
    pub ip: Ipv4Addr,
    /// The hardware address. `None`: no device answered the ARP request.
    pub mac: Option<String>,
    /// The interface on which the request was sent.
    pub interface: String,
}

/// A camera to check.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CheckedCamera {
    /// The name given by the user, or the camera's id.
    pub name: String,
    /// The address at which the camera is expected.
    pub ip: Option<Ipv4Addr>,
    /// The URL of its stream, if the user gave one other than `tcp://`. Passwords are hidden.
    pub source: Option<String>,
    /// Why the address is not known: the name of the host could not be resolved, or no camera replied with this id.
    pub unresolved: Option<String>,
    /// The camera's answers to discovery, if it answered.
    pub camera: Option<DiscoveredCamera>,
    /// The camera answered a broadcast query.
    pub by_broadcast: bool,
    /// The camera answered a unicast query.
    pub by_unicast: bool,
    /// The result of looking up the route to the camera.
    #[serde(rename = "way")]
    pub route: RouteLookup,
    /// The probed stream ports with their results.
    pub ports: Vec<(u16, PortProbe)>,
    /// The measurement of the stream. `None`: not measured.
    pub stream: Option<StreamMeasurement>,
    /// The version of the bootloader. `None`: not queried, because that stops the application.
    pub bootloader: Option<Version>,
    /// The checks that did not run. `None`: all of them ran.
    #[serde(skip)]
    pub not_run: Option<NotRun>,
}

impl CheckedCamera {
    /// Returns whether its stream is simulated in this program.
    pub(super) fn is_simulated(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.starts_with("sim:"))
    }
}

/// The route that this host uses for packets to one address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RouteLookup {
    /// The outgoing interface.
    pub interface: Option<String>,
    /// The source address of the packets.
    pub source: Option<Ipv4Addr>,
    /// The system's error text if there is no route.
    pub error: Option<String>,
}

/// A measurement of one stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StreamMeasurement {
    /// TCP port.
    pub port: u16,
    /// The connection was established.
    pub connected: bool,
    /// Bytes received.
    pub bytes: u64,
    /// Complete frames received.
    pub frames: u64,
    /// Damaged or incomplete frames.
    pub damaged: u64,
    /// Seconds from the first frame to the last.
    pub seconds: f64,
    /// The dialect of the header.
    pub dialect: Option<String>,
    /// Pixel format or codec.
    pub format: Option<String>,
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Set if neither the stream nor the user has stated size and format.
    pub guess: Option<GuessedLayout>,
    /// Frames per second.
    pub fps: f64,
    /// Bit rate of the stream in Mbit/s.
    pub mbit_s: f64,
    /// The error that ended the measurement early.
    pub error: Option<String>,
    /// Advice for this error.
    #[serde(skip)]
    pub help: Option<String>,
}

/// A guessed size and format of raw pictures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuessedLayout {
    /// The bytes explain it clearly better than all other layouts. If not, several layouts explain them alike.
    pub by_content: bool,
    /// The symptoms of a wrong guess, and the options that help.
    pub note: String,
}
