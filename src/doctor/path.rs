//! How packets get to a camera: whether there is a way, whether there are two, whether the address is one camera's alone.

use std::net::Ipv4Addr;

use super::facts::{Facts, Kind, Link, Route, Target};
use super::{Finding, Level};

pub(super) fn judge(facts: &Facts, target: &Target) -> Vec<Finding> {
    let Some(ip) = target.ip else { return Vec::new() };
    let route = route(facts, target, ip);
    // Two paths to a camera are judged once there is one.
    let paths = (route.level != Level::Fail).then(|| paths(facts, target, ip)).flatten();
    let mut findings = vec![route];
    findings.extend(paths);
    findings.push(alone(facts, target, ip));
    findings
}

/// Where the camera answered from on its network: the interface that can talk to it, if packets leave by another.
fn seen_at(target: &Target, ip: Ipv4Addr) -> Vec<&str> {
    let seen = target.camera.iter().flat_map(|camera| &camera.addresses).filter(|seen| seen.ip == ip);
    seen.filter_map(|seen| seen.interface.as_deref()).collect()
}

fn route(facts: &Facts, target: &Target, ip: Ipv4Addr) -> Finding {
    let finding = |level, observed: String| Finding::new("route", &target.name, level, observed);
    let links = &facts.host.links;
    let seen = seen_at(target, ip);
    let reached = target.by_unicast || target.stream.as_ref().is_some_and(|stream| stream.connected);
    if let Some(error) = &target.way.error {
        let finding = finding(Level::Fail, format!("there is no way to {ip}: {error}"));
        return no_way(facts, target, ip, finding);
    }
    let Some(way) = target.way.interface.as_deref() else {
        return finding(Level::Skip, format!("this system does not tell how packets get to {ip}"));
    };
    let link = links.iter().find(|link| link.name == way);
    let gateway = gateway(&facts.host.routes, way, ip);
    let path = match gateway {
        Some(gateway) => format!("packets to {ip} leave by {way}, through the router {gateway}"),
        None => format!("packets to {ip} leave by {way}"),
    };
    if link.is_some_and(|link| link.kind == Kind::Tunnel) {
        let level = if reached { Level::Warn } else { Level::Fail };
        let finding = finding(level, format!("{path}, which is a VPN"))
            .hint("switch the VPN off, or take the camera out of it with a route of its own");
        let local =
            seen.iter().copied().find(|name| *name != way).or_else(|| wired(links).map(|link| link.name.as_str()));
        return finding.commands(local.map(|local| pin(ip, local)));
    }
    if !seen.is_empty() && !seen.contains(&way) {
        let level = if reached { Level::Warn } else { Level::Fail };
        let elsewhere = seen[0];
        let finding = finding(level, format!("{path}, and the camera is at {elsewhere}"));
        if links.iter().any(|link| link.name == elsewhere && link.covers(ip)) {
            return finding
                .hint("two interfaces have addresses in its network: give the camera a route of its own")
                .commands([pin(ip, elsewhere)]);
        }
        return no_way(facts, target, ip, finding);
    }
    if !reached && gateway.is_some() {
        return finding(Level::Warn, path).hint(
            "if the camera is at a cable of this host, this host has no address in its network; if it is behind that \
             router, the camera needs it as its gateway",
        );
    }
    finding(Level::Pass, path)
}

/// What makes a way: an address in the camera's network, or a router that knows it.
fn no_way(facts: &Facts, target: &Target, ip: Ipv4Addr, finding: Finding) -> Finding {
    let links = &facts.host.links;
    let seen = seen_at(target, ip);
    let link = links.iter().find(|link| seen.contains(&link.name.as_str())).or_else(|| wired(links));
    let Some(link) = link else {
        return finding.hint("connect this host to the camera's network; no interface is up");
    };
    let (address, network) = neighbour_of(ip);
    finding
        .hint(format!(
            "if the camera is at {}, give this host an address in its network (that nobody else has); if it is behind a \
             router, `ip route add {network} via ROUTER`",
            link.name
        ))
        .commands([format!("ip addr add {address} dev {}", link.name)])
}

/// The interface where a camera most likely is.
fn wired(links: &[Link]) -> Option<&Link> {
    let rank = |link: &&Link| match link.kind {
        Kind::Wired => 0,
        Kind::Virtual => 1,
        Kind::Wireless => 2,
        Kind::Tunnel => 3,
    };
    let up = |link: &&Link| link.up && link.carrier != Some(false) && link.kind != Kind::Tunnel;
    links.iter().filter(up).min_by_key(rank)
}

/// An address for a host in the network that an address is probably in, with its prefix, and that network.
fn neighbour_of(ip: Ipv4Addr) -> (String, String) {
    if ip.is_link_local() {
        return (super::FALLBACK_HOST.to_owned(), "169.254.0.0/16".to_owned());
    }
    let [a, b, c, last] = ip.octets();
    let host = if last == 10 { 11 } else { 10 };
    (format!("{a}.{b}.{c}.{host}/24"), format!("{a}.{b}.{c}.0/24"))
}

fn pin(ip: Ipv4Addr, interface: &str) -> String {
    format!("ip route replace {ip}/32 dev {interface}")
}

/// The router that packets to `ip` go to, of those at an interface: that of the longest match.
fn gateway(routes: &[Route], interface: &str, ip: Ipv4Addr) -> Option<Ipv4Addr> {
    let there = |route: &&Route| {
        let subnet = crate::discovery::Subnet::of(route.network, route.prefix);
        route.interface == interface && subnet.is_some_and(|subnet| subnet.contains(ip))
    };
    let best = routes.iter().filter(there).max_by_key(|route| (route.prefix, std::cmp::Reverse(route.metric)));
    best.and_then(|route| route.gateway)
}

/// Two interfaces in the camera's network: which one packets take is chance.
fn paths(facts: &Facts, target: &Target, ip: Ipv4Addr) -> Option<Finding> {
    let finding = |level, observed: String| Finding::new("paths", &target.name, level, observed);
    let links = &facts.host.links;
    let covering: Vec<_> = links.iter().filter(|link| link.usable() && link.covers(ip)).collect();
    let names = |links: &[&Link]| links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ");
    let pinned = facts.host.routes.iter().find(|route| route.prefix == 32 && route.network == ip);
    Some(match (covering.as_slice(), pinned) {
        ([], _) => return None,
        ([link], _) => finding(Level::Pass, format!("one interface is in its network: {}", link.name)),
        (several, Some(route)) => {
            let several = names(several);
            finding(
                Level::Pass,
                format!("{several} are in its network, and it has a route of its own by {}", route.interface),
            )
        }
        (several, None) => {
            let seen = seen_at(target, ip);
            let reached = target.by_unicast || target.by_broadcast;
            let way = target.way.interface.as_deref();
            if !reached && let Some(other) = several.iter().find(|link| Some(link.name.as_str()) != way) {
                let observed =
                    format!("{} are in its network, and it does not answer by the one that is used", names(several));
                return Some(
                    finding(Level::Fail, observed)
                        .hint("if it is at the other one, give it a route of its own")
                        .commands([pin(ip, &other.name)]),
                );
            }
            // Where it answers, and there the one with a cable, and of those the fastest.
            let best = several.iter().max_by_key(|link| {
                let wired = link.kind != Kind::Wireless;
                (seen.contains(&link.name.as_str()), wired, link.speed_mbit_s, std::cmp::Reverse(&link.name))
            });
            finding(Level::Warn, format!("{} are in its network: two paths to one camera", names(several)))
                .hint("the vendor's client finds it twice, and packets may take the slow one: switch one interface off, or \
                       give the camera a route of its own")
                .commands(best.map(|best| pin(ip, &best.name)))
        }
    })
}

/// Whether the address is this camera's alone.
fn alone(facts: &Facts, target: &Target, ip: Ipv4Addr) -> Finding {
    let finding = |level, observed: String| Finding::new("address", &target.name, level, observed);
    let own = facts.host.links.iter().find(|link| link.addresses.iter().any(|(own, _)| *own == ip));
    if let Some(link) = own {
        return finding(Level::Fail, format!("{ip} is an address of this host too, at {}", link.name))
            .hint("two devices must not have one address: give this host another one");
    }
    let mut ids: Vec<_> =
        facts.seen.iter().filter(|camera| camera.ips().contains(&ip)).map(|c| c.id.as_str()).collect();
    ids.sort_unstable();
    if ids.len() > 1 {
        return finding(Level::Fail, format!("{} cameras have the address {ip}: {}", ids.len(), ids.join(", "))).hint(
            "give each camera its own address: connect one at a time and use `oaktap network`, or run a DHCP server",
        );
    }
    let has = |neighbour: &&super::facts::Neighbour| neighbour.ip == ip && neighbour.mac.is_some();
    let mut macs: Vec<_> = facts.host.neighbours.iter().filter(has).filter_map(|known| known.mac.as_deref()).collect();
    macs.sort_unstable();
    macs.dedup();
    if macs.len() > 1 {
        return finding(Level::Fail, format!("{} devices have the address {ip}: {}", macs.len(), macs.join(", ")))
            .hint("give each its own address, or unplug the one that is not the camera");
    }
    match &target.camera {
        Some(camera) if camera.ips().len() > 1 => {
            let ips: Vec<_> = camera.ips().iter().map(ToString::to_string).collect();
            finding(Level::Warn, format!("one camera at {} addresses: {}", ips.len(), ips.join(", ")))
                .hint("the vendor's client takes it for several; `oaktap` does not")
        }
        _ => finding(Level::Pass, format!("{ip}, nobody else has it")),
    }
}
