//! Checks of the path to a camera: a route exists, it is the only path, and no other device uses the camera's address.

use std::net::Ipv4Addr;

use super::facts::{CheckedCamera, Facts, HostLink, LinkKind, Neighbor, Route};
use super::{Finding, Level};
use crate::discovery::Subnet;

pub(super) fn judge(facts: &Facts, target: &CheckedCamera) -> Vec<Finding> {
    let Some(ip) = target.ip else { return Vec::new() };
    let route = route(facts, target, ip);
    // A second path matters only once there is a first.
    let paths = (route.level != Level::Fail).then(|| paths(facts, target, ip)).flatten();
    let mut findings = vec![route];
    findings.extend(paths);
    findings.push(address(facts, target, ip));
    findings
}

/// Returns the interfaces on which the camera answered from `ip`.
fn answered_on(target: &CheckedCamera, ip: Ipv4Addr) -> Vec<&str> {
    let seen = target.camera.iter().flat_map(|camera| &camera.addresses).filter(|seen| seen.ip == ip);
    seen.filter_map(|seen| seen.interface.as_deref()).collect()
}

fn route(facts: &Facts, target: &CheckedCamera, ip: Ipv4Addr) -> Finding {
    let finding = |level, observed: String| Finding::new("route", &target.name, level, observed);
    let links = &facts.host.links;
    let seen = answered_on(target, ip);
    let reached = target.by_unicast || target.stream.as_ref().is_some_and(|stream| stream.connected);
    if let Some(error) = &target.route.error {
        let finding = finding(Level::Fail, format!("no route to {ip}: {error}"));
        return with_route_advice(facts, target, ip, finding);
    }
    let Some(interface) = target.route.interface.as_deref() else {
        return finding(Level::Skip, format!("this system does not report the route to {ip}"));
    };
    let link = links.iter().find(|link| link.name == interface);
    let gateway = gateway(&facts.host.routes, interface, ip);
    let path = match gateway {
        Some(gateway) => format!("packets to {ip} leave through {interface} to the router {gateway}"),
        None => format!("packets to {ip} leave through {interface}"),
    };
    if link.is_some_and(|link| link.kind == LinkKind::Tunnel) {
        let level = if reached { Level::Warn } else { Level::Fail };
        let finding = finding(level, format!("{path}; {interface} is a VPN"))
            .hint("disconnect the VPN, or add a host route to the camera that bypasses it");
        let local = seen
            .iter()
            .copied()
            .find(|name| *name != interface)
            .or_else(|| wired(links).map(|link| link.name.as_str()));
        return finding.commands(local.map(|local| add_host_route(ip, local)));
    }
    if !seen.is_empty() && !seen.contains(&interface) {
        let level = if reached { Level::Warn } else { Level::Fail };
        let elsewhere = seen[0];
        let finding = finding(level, format!("{path}, but the camera answers on {elsewhere}"));
        if links.iter().any(|link| link.name == elsewhere && link.covers(ip)) {
            return finding
                .hint("two interfaces have addresses in the camera's network: add a host route to the camera")
                .commands([add_host_route(ip, elsewhere)]);
        }
        return with_route_advice(facts, target, ip, finding);
    }
    if !reached && gateway.is_some() {
        return finding(Level::Warn, path).hint(
            "if the camera is connected directly, add an address in its network to this host; if it is behind the \
             router, set that router as the camera's gateway",
        );
    }
    finding(Level::Pass, path)
}

/// Adds the advice to configure an address in the camera's network, or a route through a router.
fn with_route_advice(facts: &Facts, target: &CheckedCamera, ip: Ipv4Addr, finding: Finding) -> Finding {
    let links = &facts.host.links;
    let seen = answered_on(target, ip);
    let link = links.iter().find(|link| seen.contains(&link.name.as_str())).or_else(|| wired(links));
    let Some(link) = link else {
        return finding.hint("no interface is up: connect this host to the camera's network");
    };
    let (address, network) = host_address_near(ip);
    finding
        .hint(format!(
            "if the camera is connected to {}, add an unused address in its network to this host; if it is behind a \
             router, run `ip route add {network} via ROUTER`",
            link.name
        ))
        .commands([format!("ip addr add {address} dev {}", link.name)])
}

/// Returns the interface to which a camera is most likely connected.
fn wired(links: &[HostLink]) -> Option<&HostLink> {
    let rank = |link: &&HostLink| match link.kind {
        LinkKind::Wired => 0,
        LinkKind::Virtual => 1,
        LinkKind::Wireless => 2,
        LinkKind::Tunnel => 3,
    };
    let up = |link: &&HostLink| link.up && link.carrier != Some(false) && link.kind != LinkKind::Tunnel;
    links.iter().filter(up).min_by_key(rank)
}

/// Returns an address, with prefix, for a host in the network that `ip` probably belongs to, and that network.
fn host_address_near(ip: Ipv4Addr) -> (String, String) {
    if ip.is_link_local() {
        return (super::HOST_ADDRESS_FOR_FALLBACK.to_owned(), "169.254.0.0/16".to_owned());
    }
    let [a, b, c, last] = ip.octets();
    let host = if last == 10 { 11 } else { 10 };
    (format!("{a}.{b}.{c}.{host}/24"), format!("{a}.{b}.{c}.0/24"))
}

fn add_host_route(ip: Ipv4Addr, interface: &str) -> String {
    format!("ip route replace {ip}/32 dev {interface}")
}

/// Returns the router of the most specific route to `ip` through `interface`.
fn gateway(routes: &[Route], interface: &str, ip: Ipv4Addr) -> Option<Ipv4Addr> {
    let matching = |route: &&Route| {
        let subnet = Subnet::of(route.network, route.prefix);
        route.interface == interface && subnet.is_some_and(|subnet| subnet.contains(ip))
    };
    let best = routes.iter().filter(matching).max_by_key(|route| (route.prefix, std::cmp::Reverse(route.metric)));
    best.and_then(|route| route.gateway)
}

/// Judges whether several interfaces are in the camera's network: packets then take any one of them.
fn paths(facts: &Facts, target: &CheckedCamera, ip: Ipv4Addr) -> Option<Finding> {
    let finding = |level, observed: String| Finding::new("paths", &target.name, level, observed);
    let links = &facts.host.links;
    let covering: Vec<_> = links.iter().filter(|link| link.usable() && link.covers(ip)).collect();
    let names = |links: &[&HostLink]| links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ");
    let host_route = facts.host.routes.iter().find(|route| route.prefix == 32 && route.network == ip);
    Some(match (covering.as_slice(), host_route) {
        ([], _) => return None,
        ([link], _) => finding(Level::Pass, format!("one interface is in the camera's network: {}", link.name)),
        (several, Some(route)) => {
            let several = names(several);
            finding(
                Level::Pass,
                format!("{several} are in the camera's network; its host route uses {}", route.interface),
            )
        }
        (several, None) => {
            let seen = answered_on(target, ip);
            let reached = target.by_unicast || target.by_broadcast;
            let used = target.route.interface.as_deref();
            if !reached && let Some(other) = several.iter().find(|link| Some(link.name.as_str()) != used) {
                let observed = format!(
                    "{} are in the camera's network; the camera does not answer on {}",
                    names(several),
                    used.unwrap_or("the one in use")
                );
                return Some(
                    finding(Level::Fail, observed)
                        .hint(format!("if the camera is connected to {}, add a host route to it", other.name))
                        .commands([add_host_route(ip, &other.name)]),
                );
            }
            // Prefer an interface on which the camera answers, then a wired one, then the fastest.
            let best = several.iter().max_by_key(|link| {
                let wired = link.kind != LinkKind::Wireless;
                (seen.contains(&link.name.as_str()), wired, link.speed_mbit_s, std::cmp::Reverse(&link.name))
            });
            finding(Level::Warn, format!("{} are in the camera's network: several paths to it", names(several)))
                .hint(
                    "the vendor's client finds the camera twice, and packets may take the slower path: disable one \
                       interface, or add a host route to the camera",
                )
                .commands(best.map(|best| add_host_route(ip, &best.name)))
        }
    })
}

/// Judges whether another device uses the camera's address.
fn address(facts: &Facts, target: &CheckedCamera, ip: Ipv4Addr) -> Finding {
    let finding = |level, observed: String| Finding::new("address", &target.name, level, observed);
    let own = facts.host.links.iter().find(|link| link.addresses.iter().any(|(own, _)| *own == ip));
    if let Some(link) = own {
        return finding(Level::Fail, format!("{ip} is also an address of this host, on {}", link.name))
            .hint("two devices must not share an address: change this host's address");
    }
    let mut ids: Vec<_> =
        facts.seen.iter().filter(|camera| camera.ips().contains(&ip)).map(|c| c.id.as_str()).collect();
    ids.sort_unstable();
    if ids.len() > 1 {
        return finding(Level::Fail, format!("{} cameras have the address {ip}: {}", ids.len(), ids.join(", "))).hint(
            "give each camera its own address: connect one at a time and run `oaktap network`, or run a DHCP server",
        );
    }
    let has_ip = |neighbor: &&Neighbor| neighbor.ip == ip && neighbor.mac.is_some();
    let mut macs: Vec<_> =
        facts.host.neighbors.iter().filter(has_ip).filter_map(|neighbor| neighbor.mac.as_deref()).collect();
    macs.sort_unstable();
    macs.dedup();
    if macs.len() > 1 {
        return finding(Level::Fail, format!("{} devices have the address {ip}: {}", macs.len(), macs.join(", ")))
            .hint("give each device its own address, or unplug the one that is not the camera");
    }
    match &target.camera {
        Some(camera) if camera.ips().len() > 1 => {
            let ips: Vec<_> = camera.ips().iter().map(ToString::to_string).collect();
            finding(Level::Warn, format!("the camera has {} addresses: {}", ips.len(), ips.join(", ")))
                .hint("the vendor's client lists it as several cameras; `oaktap` lists it once")
        }
        _ => finding(Level::Pass, format!("no other device has the address {ip}")),
    }
}
