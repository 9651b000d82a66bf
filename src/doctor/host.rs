//! Checks of this host's interfaces: state, addresses, link speed and MTU.

use super::facts::{CheckedCamera, Facts, HostLink, LinkKind};
use super::{Finding, HOST_ADDRESS_FOR_FALLBACK, Level};
use crate::bootloader::reach::FALLBACK_ADDRESS;
use crate::units::count;

/// The expected link speed of a PoE camera (PoE guide, first sentence).
pub(super) const GIGABIT_MBIT_S: u32 = 1000;
/// The largest packet in bytes that every Ethernet device forwards.
pub(super) const ETHERNET_MTU: u32 = 1500;

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let links = &facts.host.links;
    let any_usable = links.iter().any(HostLink::usable);
    let mut findings: Vec<_> = links.iter().filter_map(|link| interface(link, any_usable)).collect();
    if links.is_empty() {
        findings.push(Finding::new("interface", "host", Level::Skip, "the interfaces of this system cannot be listed"));
    }
    for link in links.iter().filter(|link| link.usable() && may_reach_camera(facts, link)) {
        findings.extend(speed(link));
        findings.extend(wireless(link));
        findings.extend(mtu(facts, link));
        findings.extend(interrupts(link));
    }
    findings.extend(links.iter().filter_map(|link| link_local(facts, link)));
    // A fault of an interface that no packet to the cameras passes is not theirs.
    for finding in findings.iter_mut().filter(|finding| finding.level == Level::Fail) {
        if is_beside_the_routes(facts, &finding.subject) {
            finding.level = Level::Skip;
        }
    }
    findings.extend(fallback(facts));
    findings.extend(facts.unsent.iter().map(|unsent| {
        Finding::new("asking", "host", Level::Warn, unsent.clone())
            .hint("cameras in that network were not searched: check `ip route` and the output rules of the firewall")
    }));
    if facts.left_out > 0 {
        let observed = count(
            facts.left_out as u64,
            "camera answered and was not checked",
            "cameras answered and were not checked",
        );
        findings.push(
            Finding::new("asking", "host", Level::Warn, observed).hint(
                "`oaktap doctor CAMERA` checks one; more answers than cameras mean that another device invents ids",
            ),
        );
    }
    findings
}

/// Returns `true` if packets to a camera leave through `link`, or could if no camera was found.
fn may_reach_camera(facts: &Facts, link: &HostLink) -> bool {
    let mut used = facts.targets.iter().filter_map(|target| target.route.interface.as_deref()).peekable();
    if used.peek().is_some() {
        used.any(|interface| interface == link.name)
    } else {
        matches!(link.kind, LinkKind::Wired | LinkKind::Wireless)
    }
}

/// Returns whether packets to every camera leave through other interfaces, and the user named the cameras: others may be behind the
/// interface. Never for a link-local address, which a wrong mask sends to another interface.
fn is_beside_the_routes(facts: &Facts, name: &str) -> bool {
    let is_beside = |target: &CheckedCamera| {
        target.route.interface.as_deref().is_some_and(|interface| interface != name)
            && !target.ip.is_some_and(|ip| ip.is_link_local())
            // A camera that was found by a search has its id as its name.
            && target.camera.as_ref().is_none_or(|camera| camera.id != target.name)
    };
    !facts.targets.is_empty() && facts.targets.iter().all(is_beside)
}

/// Judges whether the interface is up. Virtual interfaces are often down on purpose, so they are reported only if no
/// interface is usable.
fn interface(link: &HostLink, any_usable: bool) -> Option<Finding> {
    let finding = |level, observed: &str| Finding::new("interface", &link.name, level, observed);
    let physical = matches!(link.kind, LinkKind::Wired | LinkKind::Wireless);
    if link.usable() {
        let addresses: Vec<_> = link.addresses.iter().map(|(ip, prefix)| format!("{ip}/{prefix}")).collect();
        return Some(finding(Level::Pass, &format!("up, {}", addresses.join(", "))));
    }
    if any_usable && !physical {
        return None;
    }
    let level = if any_usable { Level::Warn } else { Level::Fail };
    Some(if !link.up {
        finding(level, "the interface is down")
            .hint("bring the interface up if the camera is connected to it")
            .commands([format!("ip link set dev {} up", link.name)])
    } else if link.carrier == Some(false) {
        finding(level, "the interface is up, but detects no device at the other end of the cable")
            .hint("check that the cable is plugged in at both ends and that the PoE switch or injector has power")
    } else {
        finding(level, "the interface is up, but has no IPv4 address")
            .hint("start a DHCP client on the interface, or, in a network without a DHCP server, add an address")
            .commands([format!("ip addr add {HOST_ADDRESS_FOR_FALLBACK} dev {}", link.name)])
    })
}

fn speed(link: &HostLink) -> Option<Finding> {
    let finding = |level, observed: String| Finding::new("link-speed", &link.name, level, observed);
    Some(match (link.speed_mbit_s, link.full_duplex) {
        (Some(speed), Some(false)) => finding(Level::Fail, format!("{speed} Mbit/s half duplex; expected full duplex"))
            .hint("one side of the link has a fixed speed, the other negotiates: enable auto-negotiation on both")
            .commands([format!("ethtool -s {} autoneg on", link.name)]),
        (Some(speed), _) if speed < GIGABIT_MBIT_S => {
            finding(Level::Warn, format!("{speed} Mbit/s; expected {GIGABIT_MBIT_S} Mbit/s")).hint(
                "use cables of Cat5e or better, at most 100 m long; switch, injector and network card must support \
                 1 Gbit/s",
            )
        }
        (Some(speed), Some(true)) => finding(Level::Pass, format!("{speed} Mbit/s full duplex")),
        (Some(speed), None) => finding(Level::Pass, format!("{speed} Mbit/s")),
        // Wireless and virtual interfaces do not have a link speed.
        (None, _) if link.kind != LinkKind::Wired => return None,
        (None, _) => finding(Level::Skip, "the driver does not report the link speed".to_owned()),
    })
}

fn wireless(link: &HostLink) -> Option<Finding> {
    (link.kind == LinkKind::Wireless).then(|| {
        Finding::new(
            "wireless",
            &link.name,
            Level::Warn,
            "the interface is Wi-Fi, which has less throughput than a cable and stalls",
        )
        .hint("connect this host to the camera's switch by cable")
    })
}

fn mtu(facts: &Facts, link: &HostLink) -> Option<Finding> {
    let mtu = link.mtu?;
    let finding = |level, observed: String| Finding::new("mtu", &link.name, level, observed);
    let set_mtu = format!("ip link set dev {} mtu {ETHERNET_MTU}", link.name);
    let stalled = facts.targets.iter().find(|target| {
        target.route.interface.as_deref() == Some(link.name.as_str())
            && target
                .stream
                .as_ref()
                .is_some_and(|stream| stream.connected && stream.frames == 0 && stream.error.is_none())
    });
    Some(match (mtu, stalled) {
        (ETHERNET_MTU, _) => finding(Level::Pass, format!("{mtu} bytes")),
        (ETHERNET_MTU.., Some(target)) => finding(
            Level::Fail,
            format!("{mtu} bytes, and the stream of {} stalls: a device on the path drops large packets", target.name),
        )
        .hint(
            "set the MTU to 1500 bytes, or raise it on every device between this host and the camera; then power-cycle \
             the camera, which may keep retransmitting the lost packets",
        )
        .commands([set_mtu]),
        (ETHERNET_MTU.., None) => {
            finding(Level::Warn, format!("{mtu} bytes (jumbo frames); expected {ETHERNET_MTU} bytes"))
                .hint(
                    "the camera and every device on the path must support jumbo frames; if streams stall, set the MTU \
                     to 1500 bytes",
                )
                .commands([set_mtu])
        }
        (..ETHERNET_MTU, _) => finding(Level::Warn, format!("{mtu} bytes; expected {ETHERNET_MTU} bytes"))
            .hint("a smaller MTU costs throughput; a VPN or a tunnel may have lowered it")
            .commands([set_mtu]),
    })
}

/// Reports the interrupt delay: `rx-usecs 1022` raised a camera from 12 to 20 frames per second (PoE guide, "Network
/// interface controller settings").
fn interrupts(link: &HostLink) -> Option<Finding> {
    let usecs = link.rx_usecs?;
    let finding =
        Finding::new("rx-usecs", &link.name, Level::Pass, format!("receive interrupts delayed by {usecs} us"));
    let hint = format!("if the frame rate is lower than expected, try `ethtool -C {} rx-usecs 1022`", link.name);
    Some(finding.hint(hint))
}

/// Judges the masks of link-local addresses. With a longer mask than 16 bits, part of the link-local network is out of
/// reach.
fn link_local(facts: &Facts, link: &HostLink) -> Option<Finding> {
    let (ip, prefix) = link.addresses.iter().find(|(ip, prefix)| ip.is_link_local() && *prefix != 16)?;
    // A second address with the right mask is enough.
    if link.addresses.iter().any(|(ip, prefix)| ip.is_link_local() && *prefix == 16) {
        return None;
    }
    let hidden = !link.covers(FALLBACK_ADDRESS)
        || facts.targets.iter().filter_map(|target| target.ip).any(|ip| ip.is_link_local() && !link.covers(ip));
    let level = if hidden { Level::Fail } else { Level::Warn };
    let observed = format!("{ip}/{prefix}: wrong mask for a link-local address; expected 255.255.0.0 (/16)");
    Some(
        Finding::new("link-local", &link.name, level, observed)
            .hint(format!(
                "a camera without DHCP has the address {FALLBACK_ADDRESS}: correct the mask of this host's address"
            ))
            .commands([
                format!("ip addr add {ip}/16 dev {}", link.name),
                format!("ip addr del {ip}/{prefix} dev {}", link.name),
            ]),
    )
}

/// If no camera answered, suggests an address in the network of cameras that found no DHCP server.
fn fallback(facts: &Facts) -> Option<Finding> {
    let host = &facts.host;
    let reaches = host.links.iter().any(|link| link.usable() && link.covers(FALLBACK_ADDRESS));
    let searched = facts.targets.is_empty() && facts.seen.is_empty();
    if reaches || !searched || host.links.iter().any(|link| link_local(facts, link).is_some()) {
        return None;
    }
    let wired = |link: &&HostLink| link.usable() && link.kind == LinkKind::Wired;
    let link = host.links.iter().find(wired).or_else(|| host.links.iter().find(|link| link.usable()))?;
    Some(
        Finding::new("link-local", &link.name, Level::Warn, "this host has no address in 169.254.0.0/16")
            .hint(format!(
                "a camera that finds no DHCP server uses {FALLBACK_ADDRESS}: add an address in that network to this host"
            ))
            .commands([format!("ip addr add {HOST_ADDRESS_FOR_FALLBACK} dev {}", link.name)]),
    )
}
