//! Whether a host will still reach a camera that gets another address, known before it is written.

use std::fmt;
use std::net::Ipv4Addr;

use super::config::{HostWait, StaticAddress};
use crate::discovery::Subnet;

/// The address of a camera that finds no DHCP server and was told no other (the vendor's network guide).
pub const FALLBACK: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 222);
/// Bits of the mask that belongs to link-local addresses (RFC 3927).
const LINK_LOCAL_PREFIX: u8 = 16;

/// An address of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// The interface that has it.
    pub interface: String,
    /// The address.
    pub address: Ipv4Addr,
    /// Bits of its mask.
    pub prefix: u8,
}

impl HostAddress {
    /// Whether this host takes an address to be its neighbour here.
    fn reaches(&self, address: Ipv4Addr) -> bool {
        Subnet::of(self.address, self.prefix).is_some_and(|subnet| subnet.contains(address))
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} ({})", self.address, self.prefix, self.interface)
    }
}

/// What is wrong with settings that are to be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields stand in the texts.
pub enum Hazard {
    /// No camera has such a mask.
    #[error("/{prefix} is no network for a camera and a host: expected /1 to /30")]
    Prefix { prefix: u8 },
    /// It means a group, a host itself, or nothing.
    #[error("{address} is no address of one device: it is {what}")]
    NotOneDevice { address: Ipv4Addr, what: &'static str },
    /// It names the network.
    #[error("{address} is the name of the network {network}, not an address in it")]
    NetworkAddress { address: Ipv4Addr, network: Subnet },
    /// It means everybody in the network.
    #[error("{address} means every device in {network}, not one")]
    BroadcastAddress { address: Ipv4Addr, network: Subnet },
    /// The camera wants a gateway.
    #[error(
        "there is no gateway: the camera needs one with a static address, even one that does not exist, such as {example}"
    )]
    NoGateway { example: Ipv4Addr },
    /// The camera cannot ask the gateway.
    #[error("the gateway {gateway} is outside of the camera's network {network}: the camera could not reach it")]
    GatewayOutside { gateway: Ipv4Addr, network: Subnet },
    /// The gateway is the camera.
    #[error("the gateway {gateway} is the camera's own address")]
    GatewayIsCamera { gateway: Ipv4Addr },
    /// Another device has the address already: this one.
    #[error("{address} is this host's own address ({interface}): two devices cannot have it")]
    Taken { address: Ipv4Addr, interface: String },
    /// No interface is in that network.
    #[error("no interface of this host is in {network}, so {address} would be out of its reach; it has {here}")]
    OutOfReach { address: Ipv4Addr, network: Subnet, here: String },
    /// The camera would answer to the gateway.
    #[error(
        "this host's {host} is outside of the camera's network {network}: it can ask the camera, whose answers go to the gateway {gateway}"
    )]
    OneWay { host: HostAddress, network: Subnet, gateway: Ipv4Addr },
    /// Which way a packet takes is a matter of luck.
    #[error(
        "several interfaces of this host are in the camera's network: {here}; packets take one of them, not always the right one"
    )]
    SeveralWays { here: String },
    /// Link-local with another mask than everybody else.
    #[error(
        "{address} is a link-local address, where the mask is /{LINK_LOCAL_PREFIX} everywhere: expected /{LINK_LOCAL_PREFIX}, found /{prefix}"
    )]
    LinkLocalMask { address: Ipv4Addr, prefix: u8 },
    /// Of a host: link-local with another mask.
    #[error(
        "this host's {host} is a link-local address with a mask of its own: with /{LINK_LOCAL_PREFIX} it would reach the fallback address {FALLBACK} of cameras"
    )]
    HostLinkLocalMask { host: HostAddress },
    /// Without a DHCP server there is no way.
    #[error("if no DHCP server answers, the camera takes {FALLBACK}, which is out of this host's reach; it has {here}")]
    FallbackOutOfReach { here: String },
    /// The camera does not wait for anybody.
    #[error(
        "a camera that does not wait for a host boots its application at once: one that hangs can then not be replaced over the network"
    )]
    NoHostWait,
    /// The camera waits for ever.
    #[error("a camera that waits for a host for ever never boots its application by itself")]
    HostWaitForever,
}

impl Hazard {
    /// Whether the camera would be lost to this host. The others are worth a warning.
    #[must_use]
    pub const fn strands(&self) -> bool {
        !matches!(
            self,
            Self::SeveralWays { .. }
                | Self::HostLinkLocalMask { .. }
                | Self::FallbackOutOfReach { .. }
                | Self::LinkLocalMask { .. }
                | Self::HostWaitForever
        )
    }
}

/// What is wrong with a static address, for a host with these addresses. `now` is where the camera is at present: one
/// behind a router is still behind it in the same network.
#[must_use]
pub fn static_hazards(host: &[HostAddress], now: Option<Ipv4Addr>, wanted: &StaticAddress) -> Vec<Hazard> {
    let StaticAddress { address, prefix, gateway } = *wanted;
    let network = Subnet::of(address, prefix).filter(|_| (1..=30).contains(&prefix));
    let Some(network) = network else { return vec![Hazard::Prefix { prefix }] };
    let mut hazards = Vec::new();
    hazards.extend(not_one_device(address, network));
    hazards.extend(gateway_hazard(gateway, address, network));
    if address.is_link_local() && prefix != LINK_LOCAL_PREFIX {
        hazards.push(Hazard::LinkLocalMask { address, prefix });
    }
    if let Some(own) = host.iter().find(|own| own.address == address) {
        hazards.push(Hazard::Taken { address, interface: own.interface.clone() });
        return hazards;
    }
    let near: Vec<_> = host.iter().filter(|own| own.reaches(address)).collect();
    let routed = |now: Ipv4Addr| network.contains(now) && !host.iter().any(|own| own.reaches(now));
    match near.as_slice() {
        [] if now.is_some_and(routed) => {}
        [] => hazards.push(Hazard::OutOfReach { address, network, here: list(host) }),
        near => {
            if let [first, ..] = near
                && !near.iter().any(|own| network.contains(own.address))
            {
                hazards.push(Hazard::OneWay { host: (*first).clone(), network, gateway });
            }
            if near.len() > 1 {
                hazards.push(Hazard::SeveralWays { here: list(near.iter().copied()) });
            }
        }
    }
    hazards
}

/// What can go wrong when a camera asks a DHCP server. Whether there is one cannot be known here.
#[must_use]
pub fn dhcp_hazards(host: &[HostAddress], fallback: Option<&StaticAddress>) -> Vec<Hazard> {
    if let Some(fallback) = fallback {
        return static_hazards(host, None, fallback);
    }
    if host.iter().any(|own| own.reaches(FALLBACK)) {
        return Vec::new();
    }
    match host.iter().find(|own| own.address.is_link_local()) {
        Some(own) => vec![Hazard::HostLinkLocalMask { host: own.clone() }],
        None => vec![Hazard::FallbackOutOfReach { here: list(host) }],
    }
}

/// What is wrong with a time for which a host is waited for.
#[must_use]
pub const fn host_wait_hazard(wait: HostWait) -> Option<Hazard> {
    match wait {
        HostWait::None => Some(Hazard::NoHostWait),
        HostWait::For(time) if time.is_zero() => Some(Hazard::NoHostWait),
        HostWait::For(_) => None,
        HostWait::Forever => Some(Hazard::HostWaitForever),
    }
}

fn not_one_device(address: Ipv4Addr, network: Subnet) -> Option<Hazard> {
    let what = match address.octets() {
        [0, ..] => Some("in 0.0.0.0/8, which means \"this network\""),
        [127, ..] => Some("a loopback address, which never leaves a device"),
        [224..=239, ..] => Some("a multicast address"),
        [240..=255, ..] => Some("in 240.0.0.0/4, which is reserved"),
        _ => None,
    };
    match what {
        Some(what) => Some(Hazard::NotOneDevice { address, what }),
        None if address == network.network() => Some(Hazard::NetworkAddress { address, network }),
        None if address == network.broadcast() => Some(Hazard::BroadcastAddress { address, network }),
        None => None,
    }
}

fn gateway_hazard(gateway: Ipv4Addr, camera: Ipv4Addr, network: Subnet) -> Option<Hazard> {
    if gateway.is_unspecified() {
        let example = network.hosts().find(|host| *host != camera).unwrap_or(gateway);
        return Some(Hazard::NoGateway { example });
    }
    if gateway == camera {
        return Some(Hazard::GatewayIsCamera { gateway });
    }
    if !network.contains(gateway) {
        return Some(Hazard::GatewayOutside { gateway, network });
    }
    not_one_device(gateway, network)
}

fn list<'a>(host: impl IntoIterator<Item = &'a HostAddress>) -> String {
    let all: Vec<_> = host.into_iter().map(ToString::to_string).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(addresses: &[&str]) -> Vec<HostAddress> {
        let interface = |number: usize| format!("eth{number}");
        let read = |(number, text): (usize, &&str)| {
            let (address, prefix) = text.split_once('/').expect("ADDRESS/PREFIX");
            let (address, prefix) = (address.parse().expect("an address"), prefix.parse().expect("a prefix"));
            HostAddress { interface: interface(number), address, prefix }
        };
        addresses.iter().enumerate().map(read).collect()
    }

    fn told(own: &[&str], now: Option<&str>, camera: &str, gateway: &str) -> Vec<String> {
        let (address, prefix) = camera.split_once('/').expect("ADDRESS/PREFIX");
        let wanted = StaticAddress {
            address: address.parse().expect("an address"),
            prefix: prefix.parse().expect("a prefix"),
            gateway: gateway.parse().expect("an address"),
        };
        let now = now.map(|now| now.parse().expect("an address"));
        let severity = |hazard: &Hazard| if hazard.strands() { "strands" } else { "warns" };
        static_hazards(&host(own), now, &wanted).iter().map(|h| format!("{}: {h}", severity(h))).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn what_is_right_is_not_held_up() {
        assert_eq!(told(&["192.168.1.10/24"], None, "192.168.1.50/24", "192.168.1.1"), NONE);
        assert_eq!(told(&["10.0.0.1/8", "192.168.1.10/24"], None, "192.168.1.200/24", "192.168.1.254"), NONE);
        assert_eq!(told(&["169.254.0.5/16"], None, "169.254.1.222/16", "169.254.0.1"), NONE);
        // The camera has a narrower view of the same network, and this host is in it.
        assert_eq!(told(&["10.1.2.3/8"], None, "10.1.2.4/24", "10.1.2.1"), NONE);
        // Behind a router, where it is now.
        assert_eq!(told(&["192.168.1.10/24"], Some("10.0.3.7"), "10.0.3.50/24", "10.0.3.1"), NONE);
    }

    #[test]
    fn addresses_out_of_reach_strand() {
        let out = "strands: no interface of this host is in 192.168.2.0/24, so 192.168.2.50 would be out of its reach; it \
                   has 192.168.1.10/24 (eth0)";
        assert_eq!(told(&["192.168.1.10/24"], None, "192.168.2.50/24", "192.168.2.1"), [out]);
        // That it is in this host's network now says nothing of the next one.
        assert_eq!(told(&["192.168.1.10/24"], Some("192.168.1.50"), "192.168.2.50/24", "192.168.2.1"), [out]);
        assert_eq!(
            told(&[], None, "192.168.2.50/24", "192.168.2.1"),
            [
                "strands: no interface of this host is in 192.168.2.0/24, so 192.168.2.50 would be out of its reach; it has none"
            ]
        );
        assert_eq!(
            told(&["10.9.0.1/8"], None, "10.1.2.4/24", "10.1.2.1"),
            [
                "strands: this host's 10.9.0.1/8 (eth0) is outside of the camera's network 10.1.2.0/24: it can ask the camera, \
              whose answers go to the gateway 10.1.2.1"
            ]
        );
        assert_eq!(
            told(&["192.168.1.10/24"], None, "192.168.1.10/24", "192.168.1.1"),
            ["strands: 192.168.1.10 is this host's own address (eth0): two devices cannot have it"]
        );
    }

    #[test]
    fn addresses_that_no_camera_can_have_strand() {
        let one = |camera, gateway| {
            let told = told(&["192.168.1.10/24"], None, camera, gateway);
            assert_eq!(told.len(), 1, "{told:?}");
            told[0].strip_prefix("strands: ").expect("it strands").to_owned()
        };
        assert_eq!(
            one("192.168.1.0/24", "192.168.1.1"),
            "192.168.1.0 is the name of the network 192.168.1.0/24, not an address in it"
        );
        assert_eq!(
            one("192.168.1.255/24", "192.168.1.1"),
            "192.168.1.255 means every device in 192.168.1.0/24, not one"
        );
        assert_eq!(
            one("192.168.1.50/31", "192.168.1.51"),
            "/31 is no network for a camera and a host: expected /1 to /30"
        );
        assert_eq!(
            one("192.168.1.50/0", "192.168.1.51"),
            "/0 is no network for a camera and a host: expected /1 to /30"
        );
        assert_eq!(
            one("192.168.1.50/24", "192.168.2.1"),
            "the gateway 192.168.2.1 is outside of the camera's network 192.168.1.0/24: the camera could not reach it"
        );
        assert_eq!(one("192.168.1.50/24", "192.168.1.50"), "the gateway 192.168.1.50 is the camera's own address");
        assert_eq!(
            one("192.168.1.50/24", "192.168.1.255"),
            "192.168.1.255 means every device in 192.168.1.0/24, not one"
        );
        assert_eq!(
            one("192.168.1.1/24", "0.0.0.0"),
            "there is no gateway: the camera needs one with a static address, even one that does not exist, such as 192.168.1.2"
        );
        for (address, what) in [
            ("127.0.0.5/8", "loopback"),
            ("224.0.0.5/8", "multicast"),
            ("255.1.1.1/8", "reserved"),
            ("0.0.0.5/8", "this network"),
        ] {
            let told = told(&["192.168.1.10/24"], None, address, "192.168.1.1");
            assert!(told[0].starts_with("strands: ") && told[0].contains(what), "{told:?}");
        }
    }

    #[test]
    fn what_may_go_wrong_warns() {
        assert_eq!(
            told(&["192.168.1.10/24", "192.168.1.11/24"], None, "192.168.1.50/24", "192.168.1.1"),
            [
                "warns: several interfaces of this host are in the camera's network: 192.168.1.10/24 (eth0), 192.168.1.11/24 \
              (eth1); packets take one of them, not always the right one"
            ]
        );
        assert_eq!(
            told(&["169.254.1.5/16"], None, "169.254.1.50/24", "169.254.1.1"),
            ["warns: 169.254.1.50 is a link-local address, where the mask is /16 everywhere: expected /16, found /24"]
        );
        assert_eq!(dhcp_hazards(&host(&["169.254.7.7/16"]), None), []);
        let text = |own: &[&str]| dhcp_hazards(&host(own), None)[0].to_string();
        assert_eq!(
            text(&["169.254.7.7/24"]),
            "this host's 169.254.7.7/24 (eth0) is a link-local address with a mask of its own: with /16 it would reach the \
             fallback address 169.254.1.222 of cameras"
        );
        assert_eq!(
            text(&["192.168.1.10/24"]),
            "if no DHCP server answers, the camera takes 169.254.1.222, which is out of this host's reach; it has \
             192.168.1.10/24 (eth0)"
        );
        assert!(!dhcp_hazards(&host(&["192.168.1.10/24"]), None)[0].strands());
        assert!(host_wait_hazard(HostWait::None).unwrap().strands());
        assert!(!host_wait_hazard(HostWait::Forever).unwrap().strands());
    }
}
