//! What was observed: plain values. Nothing is judged here, and `None` is always "this host did not tell".

use std::net::Ipv4Addr;

use serde::Serialize;

use super::firewall::Firewall;
use crate::bootloader::Version;
use crate::discovery::{DiscoveredCamera, Subnet};

/// Everything that the checks look at.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Facts {
    /// This host.
    pub host: Host,
    /// The cameras that were named, or else all that answered.
    pub targets: Vec<Target>,
    /// Every camera that answered, whether it was asked about or not.
    pub seen: Vec<DiscoveredCamera>,
    /// Questions that could not be sent, in words.
    pub unsent: Vec<String>,
}

/// This host's side of the network.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Host {
    /// Its interfaces, without loopback.
    pub links: Vec<Link>,
    /// Its IPv4 routes.
    pub routes: Vec<Route>,
    /// Who it has spoken to lately.
    pub neighbours: Vec<Neighbour>,
    /// What it filters.
    pub firewall: Firewall,
}

/// What an interface is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A cable.
    #[default]
    Wired,
    /// Radio.
    Wireless,
    /// A VPN: packets go to one peer.
    Tunnel,
    /// Nothing that can be touched: bridges, containers, virtual machines.
    Virtual,
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Link {
    /// The system's name of it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether it was switched on.
    pub up: bool,
    /// Whether something is at the other end.
    pub carrier: Option<bool>,
    /// Mbit/s.
    pub speed_mbit_s: Option<u32>,
    /// Whether it sends and receives at the same time.
    pub full_duplex: Option<bool>,
    /// Largest packet in bytes, with the IP header.
    pub mtu: Option<u32>,
    /// Microseconds that received packets are held back to save interrupts.
    pub rx_usecs: Option<u32>,
    /// Its addresses, and the bits that those of their networks share.
    pub addresses: Vec<(Ipv4Addr, u8)>,
}

impl Link {
    /// Whether packets can leave by it.
    #[must_use]
    pub fn usable(&self) -> bool {
        self.up && self.carrier != Some(false) && !self.addresses.is_empty()
    }

    /// Whether an address is in a network that this interface is in.
    #[must_use]
    pub fn covers(&self, ip: Ipv4Addr) -> bool {
        let mut subnets = self.addresses.iter().filter_map(|(own, prefix)| Subnet::of(*own, *prefix));
        subnets.any(|subnet| subnet.contains(ip))
    }
}

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// First address of where it leads.
    pub network: Ipv4Addr,
    /// Bits that the addresses there share; 32 is one host, 0 is everything else.
    pub prefix: u8,
    /// The router, if there is one.
    pub gateway: Option<Ipv4Addr>,
    /// By which interface.
    pub interface: String,
    /// Of two routes to the same place the lower one is taken.
    pub metric: u32,
}

/// Who answered to the question for an address lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    /// The address.
    pub ip: Ipv4Addr,
    /// Who has it. `None`: it was asked for, and nobody has.
    pub mac: Option<String>,
    /// Where.
    pub interface: String,
}

/// A camera that is looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Target {
    /// As the user named it, or its id.
    pub name: String,
    /// Where it is thought to be.
    pub ip: Option<Ipv4Addr>,
    /// What it said of itself, if it answered.
    pub camera: Option<DiscoveredCamera>,
    /// Whether it answered a broadcast.
    pub by_broadcast: bool,
    /// Whether it answered when asked at its address.
    pub by_unicast: bool,
    /// How packets get there.
    pub way: Way,
    /// The ports of streams that were tried, and what came of each.
    pub ports: Vec<(u16, Port)>,
    /// What came of looking at its stream. `None`: it was not looked at.
    pub stream: Option<Stream>,
    /// The version of its bootloader. `None`: it was not entered, which stops the application.
    pub bootloader: Option<Version>,
}

/// How packets to a camera leave this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Way {
    /// The interface.
    pub interface: Option<String>,
    /// This host's address there.
    pub source: Option<Ipv4Addr>,
    /// The system's words, when there is no way.
    pub error: Option<String>,
}

/// A TCP port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Port {
    /// Somebody listens.
    Open,
    /// The camera is there, and nobody listens.
    Refused,
    /// Nothing came back.
    Silence,
    /// It was refused on the way, in the words of the system.
    Unreachable(String),
}

/// What a look at the stream showed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stream {
    /// TCP port.
    pub port: u16,
    /// Whether the connection was made.
    pub connected: bool,
    /// Bytes that came.
    pub bytes: u64,
    /// Whole frames that came.
    pub frames: u64,
    /// Frames that came damaged or in part.
    pub damaged: u64,
    /// Seconds from the first frame to the last.
    pub seconds: f64,
    /// The header's grammar.
    pub dialect: Option<String>,
    /// Layout or coding of the pictures.
    pub format: Option<String>,
    /// Width and height.
    pub size: Option<(u32, u32)>,
    /// Frames a second.
    pub fps: f64,
    /// Mbit/s of the stream.
    pub mbit_s: f64,
    /// Why it ended before its time.
    pub error: Option<String>,
}
