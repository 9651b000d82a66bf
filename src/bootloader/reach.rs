//! Checks network settings before they are written: whether this host could still reach the camera.

use std::fmt;
use std::net::Ipv4Addr;

use super::config::{HostWait, StaticAddress};
use crate::discovery::Subnet;

/// The address of a camera without DHCP server and without a configured address (the vendor's network guide).
pub const FALLBACK_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 222);
/// Prefix length of link-local addresses in bits (RFC 3927).
const LINK_LOCAL_PREFIX: u8 = 16;

/// An address of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// The name of the interface.
    pub interface: String,
    /// The address.
    pub address: Ipv4Addr,
    /// The prefix length in bits.
    pub prefix: u8,
}

impl HostAddress {
    /// Returns whether `address` is in the subnet of this interface.
    fn reaches(&self, address: Ipv4Addr) -> bool {
        Subnet::of(self.address, self.prefix).is_some_and(|subnet| subnet.contains(address))
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} ({})", self.address, self.prefix, self.interface)
    }
}

/// A problem of network settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum Hazard {
    /// The prefix leaves no room for two devices.
    #[error("invalid prefix /{prefix} for a network with a camera and a host: expected /1 to /30")]
    Prefix { prefix: u8 },
    /// The address is loopback, multicast or reserved.
    #[error("{address} cannot be the address of a device: it is {what}")]
    NotOneDevice { address: Ipv4Addr, what: &'static str },
    /// The address is the first one of its network.
    #[error("{address} is the network address of {network}, expected the address of a device")]
    NetworkAddress { address: Ipv4Addr, network: Subnet },
    /// The address is the last one of its network.
    #[error("{address} is the broadcast address of {network}, expected the address of a device")]
    BroadcastAddress { address: Ipv4Addr, network: Subnet },
    /// A static address without a gateway.
    #[error("no gateway: a camera with a static address requires one, even one that does not exist, such as {example}")]
    NoGateway { example: Ipv4Addr },
    /// The camera could not reach its gateway.
    #[error("the gateway {gateway} is outside of the camera's network {network}")]
    GatewayOutside { gateway: Ipv4Addr, network: Subnet },
    /// The gateway is the camera.
    #[error("the gateway {gateway} is the camera's own address")]
    GatewayIsCamera { gateway: Ipv4Addr },
    /// This host has the address already.
    #[error("{address} is already the address of this host ({interface})")]
    Taken { address: Ipv4Addr, interface: String },
    /// This host could not reach the address.
    #[error("no interface of this host is in {network}, so it could not reach {address}; its addresses: {here}")]
    OutOfReach { address: Ipv4Addr, network: Subnet, here: String },
    /// This host is outside of the camera's smaller network, so the camera would send answers to its gateway.
    #[error(
        "this host's {host} is outside of the camera's network {network}: it can reach the camera, but the camera's answers go to the gateway {gateway}"
    )]
    OneWay { host: HostAddress, network: Subnet, gateway: Ipv4Addr },
    /// The system chooses one of several interfaces for packets to the camera.
    #[error(
        "several interfaces of this host are in the camera's network: {here}; packets may leave through the wrong one"
    )]
    SeveralWays { here: String },
    /// The camera's address is link-local with a prefix other than /16.
    #[error("{address} is a link-local address: expected prefix /{LINK_LOCAL_PREFIX}, found /{prefix}")]
    LinkLocalMask { address: Ipv4Addr, prefix: u8 },
    /// This host's address is link-local with a prefix other than /16.
    #[error(
        "this host's {host} is a link-local address: with prefix /{LINK_LOCAL_PREFIX} it would reach the fallback address {FALLBACK_ADDRESS} of cameras"
    )]
    HostLinkLocalMask { host: HostAddress },
    /// This host could not reach the camera's fallback address.
    #[error(
        "without a DHCP server the camera uses {FALLBACK_ADDRESS}, which this host cannot reach; its addresses: {here}"
    )]
    FallbackOutOfReach { here: String },
    /// The bootloader would not wait for a host.
    #[error(
        "a camera that does not wait for a host boots its application immediately: if it hangs, it cannot be replaced over the network"
    )]
    NoHostWait,
    /// The bootloader would wait for a host forever.
    #[error("a camera that waits for a host forever never boots its application without one")]
    HostWaitForever,
}

impl Hazard {
    /// Returns whether this host could not reach the camera any more. All other hazards are warnings.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
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

/// Returns the problems of a static address for a host with the addresses `host`.
///
/// `now` is the camera's present address: a camera that is reached through a router remains reachable in its network.
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
    let neighbors: Vec<_> = host.iter().filter(|own| own.reaches(address)).collect();
    let routed = |now: Ipv4Addr| network.contains(now) && !host.iter().any(|own| own.reaches(now));
    match neighbors.as_slice() {
        [] if now.is_some_and(routed) => {}
        [] => hazards.push(Hazard::OutOfReach { address, network, here: list(host) }),
        neighbors => {
            if let [first, ..] = neighbors
                && !neighbors.iter().any(|own| network.contains(own.address))
            {
                hazards.push(Hazard::OneWay { host: (*first).clone(), network, gateway });
            }
            if neighbors.len() > 1 {
                hazards.push(Hazard::SeveralWays { here: list(neighbors.iter().copied()) });
            }
        }
    }
    hazards
}

/// Returns the problems of a camera with DHCP. Assumes that no DHCP server may answer.
#[must_use]
pub fn dhcp_hazards(host: &[HostAddress], fallback: Option<&StaticAddress>) -> Vec<Hazard> {
    if let Some(fallback) = fallback {
        return static_hazards(host, None, fallback);
    }
    if host.iter().any(|own| own.reaches(FALLBACK_ADDRESS)) {
        return Vec::new();
    }
    match host.iter().find(|own| own.address.is_link_local()) {
        Some(own) => vec![Hazard::HostLinkLocalMask { host: own.clone() }],
        None => vec![Hazard::FallbackOutOfReach { here: list(host) }],
    }
}

/// Returns the problem of a host wait, if any.
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

    fn hazards(own: &[&str], now: Option<&str>, camera: &str, gateway: &str) -> Vec<String> {
        let (address, prefix) = camera.split_once('/').expect("ADDRESS/PREFIX");
        let wanted = StaticAddress {
            address: address.parse().expect("an address"),
            prefix: prefix.parse().expect("a prefix"),
            gateway: gateway.parse().expect("an address"),
        };
        let now = now.map(|now| now.parse().expect("an address"));
        let severity = |hazard: &Hazard| if hazard.is_fatal() { "fatal" } else { "warning" };
        static_hazards(&host(own), now, &wanted).iter().map(|h| format!("{}: {h}", severity(h))).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn safe_addresses_have_no_hazards() {
        assert_eq!(hazards(&["192.168.1.10/24"], None, "192.168.1.50/24", "192.168.1.1"), NONE);
        assert_eq!(hazards(&["10.0.0.1/8", "192.168.1.10/24"], None, "192.168.1.200/24", "192.168.1.254"), NONE);
        assert_eq!(hazards(&["169.254.0.5/16"], None, "169.254.1.222/16", "169.254.0.1"), NONE);
        // The camera's smaller network contains this host.
        assert_eq!(hazards(&["10.1.2.3/8"], None, "10.1.2.4/24", "10.1.2.1"), NONE);
        // The camera is reached through a router, and stays in its network.
        assert_eq!(hazards(&["192.168.1.10/24"], Some("10.0.3.7"), "10.0.3.50/24", "10.0.3.1"), NONE);
    }

    #[test]
    fn unreachable_addresses_are_fatal() {
        let out = "fatal: no interface of this host is in 192.168.2.0/24, so it could not reach 192.168.2.50; its addresses: \
                   192.168.1.10/24 (eth0)";
        assert_eq!(hazards(&["192.168.1.10/24"], None, "192.168.2.50/24", "192.168.2.1"), [out]);
        // The camera's present address in this host's network does not help.
        assert_eq!(hazards(&["192.168.1.10/24"], Some("192.168.1.50"), "192.168.2.50/24", "192.168.2.1"), [out]);
        assert_eq!(
            hazards(&[], None, "192.168.2.50/24", "192.168.2.1"),
            [
                "fatal: no interface of this host is in 192.168.2.0/24, so it could not reach 192.168.2.50; its addresses: none"
            ]
        );
        assert_eq!(
            hazards(&["10.9.0.1/8"], None, "10.1.2.4/24", "10.1.2.1"),
            [
                "fatal: this host's 10.9.0.1/8 (eth0) is outside of the camera's network 10.1.2.0/24: it can reach the camera, \
              but the camera's answers go to the gateway 10.1.2.1"
            ]
        );
        assert_eq!(
            hazards(&["192.168.1.10/24"], None, "192.168.1.10/24", "192.168.1.1"),
            ["fatal: 192.168.1.10 is already the address of this host (eth0)"]
        );
    }

    #[test]
    fn invalid_addresses_are_fatal() {
        let one = |camera, gateway| {
            let found = hazards(&["192.168.1.10/24"], None, camera, gateway);
            assert_eq!(found.len(), 1, "{found:?}");
            found[0].strip_prefix("fatal: ").expect("a fatal hazard").to_owned()
        };
        assert_eq!(
            one("192.168.1.0/24", "192.168.1.1"),
            "192.168.1.0 is the network address of 192.168.1.0/24, expected the address of a device"
        );
        assert_eq!(
            one("192.168.1.255/24", "192.168.1.1"),
            "192.168.1.255 is the broadcast address of 192.168.1.0/24, expected the address of a device"
        );
        assert_eq!(
            one("192.168.1.50/31", "192.168.1.51"),
            "invalid prefix /31 for a network with a camera and a host: expected /1 to /30"
        );
        assert_eq!(
            one("192.168.1.50/0", "192.168.1.51"),
            "invalid prefix /0 for a network with a camera and a host: expected /1 to /30"
        );
        assert_eq!(
            one("192.168.1.50/24", "192.168.2.1"),
            "the gateway 192.168.2.1 is outside of the camera's network 192.168.1.0/24"
        );
        assert_eq!(one("192.168.1.50/24", "192.168.1.50"), "the gateway 192.168.1.50 is the camera's own address");
        assert_eq!(
            one("192.168.1.50/24", "192.168.1.255"),
            "192.168.1.255 is the broadcast address of 192.168.1.0/24, expected the address of a device"
        );
        assert_eq!(
            one("192.168.1.1/24", "0.0.0.0"),
            "no gateway: a camera with a static address requires one, even one that does not exist, such as 192.168.1.2"
        );
        for (address, what) in [
            ("127.0.0.5/8", "loopback"),
            ("224.0.0.5/8", "multicast"),
            ("255.1.1.1/8", "reserved"),
            ("0.0.0.5/8", "this network"),
        ] {
            let found = hazards(&["192.168.1.10/24"], None, address, "192.168.1.1");
            assert!(found[0].starts_with("fatal: ") && found[0].contains(what), "{found:?}");
        }
    }

    #[test]
    fn possible_problems_are_warnings() {
        assert_eq!(
            hazards(&["192.168.1.10/24", "192.168.1.11/24"], None, "192.168.1.50/24", "192.168.1.1"),
            [
                "warning: several interfaces of this host are in the camera's network: 192.168.1.10/24 (eth0), 192.168.1.11/24 \
              (eth1); packets may leave through the wrong one"
            ]
        );
        assert_eq!(
            hazards(&["169.254.1.5/16"], None, "169.254.1.50/24", "169.254.1.1"),
            ["warning: 169.254.1.50 is a link-local address: expected prefix /16, found /24"]
        );
        assert_eq!(dhcp_hazards(&host(&["169.254.7.7/16"]), None), []);
        let text = |own: &[&str]| dhcp_hazards(&host(own), None)[0].to_string();
        assert_eq!(
            text(&["169.254.7.7/24"]),
            "this host's 169.254.7.7/24 (eth0) is a link-local address: with prefix /16 it would reach the fallback address \
             169.254.1.222 of cameras"
        );
        assert_eq!(
            text(&["192.168.1.10/24"]),
            "without a DHCP server the camera uses 169.254.1.222, which this host cannot reach; its addresses: \
             192.168.1.10/24 (eth0)"
        );
        assert!(!dhcp_hazards(&host(&["192.168.1.10/24"]), None)[0].is_fatal());
        assert!(host_wait_hazard(HostWait::None).unwrap().is_fatal());
        assert!(!host_wait_hazard(HostWait::Forever).unwrap().is_fatal());
    }
}
