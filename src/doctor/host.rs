//! This host's interfaces: whether they are up, have addresses where cameras are, and carry a stream.

use super::facts::{Facts, Kind, Link};
use super::{FALLBACK, FALLBACK_HOST, Finding, Level};

/// Mbit/s that a PoE camera's link has when nothing is wrong (PoE guide, first sentence).
pub(super) const GIGABIT: u32 = 1000;
/// What every device carries.
pub(super) const USUAL_MTU: u32 = 1500;

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let links = &facts.host.links;
    let works = links.iter().any(Link::usable);
    let mut findings: Vec<_> = links.iter().filter_map(|link| interface(link, works)).collect();
    if links.is_empty() {
        findings.push(Finding::new("interface", "host", Level::Skip, "this system does not tell its interfaces"));
    }
    for link in links.iter().filter(|link| link.usable() && matters(facts, link)) {
        findings.extend(speed(link));
        findings.extend(wireless(link));
        findings.extend(mtu(facts, link));
        findings.extend(interrupts(link));
    }
    findings.extend(links.iter().filter_map(|link| link_local(facts, link)));
    findings.extend(fallback(facts));
    findings.extend(facts.unsent.iter().map(|unsent| {
        Finding::new("asking", "host", Level::Warn, unsent.clone())
            .hint("cameras there are not found; `ip route` and the firewall's output rules say why")
    }));
    findings
}

/// Cameras are reached by it, or may be.
fn matters(facts: &Facts, link: &Link) -> bool {
    let mut ways = facts.targets.iter().filter_map(|target| target.way.interface.as_deref()).peekable();
    if ways.peek().is_some() {
        ways.any(|way| way == link.name)
    } else {
        matches!(link.kind, Kind::Wired | Kind::Wireless)
    }
}

/// Whether it is up. Virtual ones come and go as they like, as long as there is another.
fn interface(link: &Link, works: bool) -> Option<Finding> {
    let finding = |level, observed: &str| Finding::new("interface", &link.name, level, observed);
    let physical = matches!(link.kind, Kind::Wired | Kind::Wireless);
    if link.usable() {
        let addresses: Vec<_> = link.addresses.iter().map(|(ip, prefix)| format!("{ip}/{prefix}")).collect();
        return Some(finding(Level::Pass, &format!("up, {}", addresses.join(", "))));
    }
    if works && !physical {
        return None;
    }
    let level = if works { Level::Warn } else { Level::Fail };
    Some(if !link.up {
        finding(level, "it is switched off")
            .hint("switch it on, if the camera is at this interface")
            .commands([format!("ip link set dev {} up", link.name)])
    } else if link.carrier == Some(false) {
        finding(level, "it is on, and nothing is at the other end of the cable")
            .hint("is the cable plugged in at both ends, and does the PoE switch or injector have power?")
    } else {
        finding(level, "it is up and has no IPv4 address")
            .hint("start a DHCP client on it; or, for a camera that found no DHCP server either, give it an address")
            .commands([format!("ip addr add {FALLBACK_HOST} dev {}", link.name)])
    })
}

fn speed(link: &Link) -> Option<Finding> {
    let finding = |level, observed: String| Finding::new("link-speed", &link.name, level, observed);
    Some(match (link.speed_mbit_s, link.full_duplex) {
        (Some(speed), Some(false)) => finding(Level::Fail, format!("{speed} Mbit/s half duplex"))
            .hint("one side has its speed fixed and the other negotiates: let both negotiate")
            .commands([format!("ethtool -s {} autoneg on", link.name)]),
        (Some(speed), _) if speed < GIGABIT => finding(Level::Warn, format!("{speed} Mbit/s; {GIGABIT} are expected"))
            .hint("cables must be Cat5e or better and under 100 m; switch, injector and network card must do 1 Gbit/s"),
        (Some(speed), Some(true)) => finding(Level::Pass, format!("{speed} Mbit/s full duplex")),
        (Some(speed), None) => finding(Level::Pass, format!("{speed} Mbit/s")),
        // Radio and virtual interfaces have none.
        (None, _) if link.kind != Kind::Wired => return None,
        (None, _) => finding(Level::Skip, "the driver does not tell its speed".to_owned()),
    })
}

fn wireless(link: &Link) -> Option<Finding> {
    (link.kind == Kind::Wireless).then(|| {
        Finding::new("wireless", &link.name, Level::Warn, "it is Wi-Fi, which carries little and stalls")
            .hint("connect this host to the camera's switch by cable")
    })
}

fn mtu(facts: &Facts, link: &Link) -> Option<Finding> {
    let mtu = link.mtu?;
    let finding = |level, observed: String| Finding::new("mtu", &link.name, level, observed);
    let usual = format!("ip link set dev {} mtu {USUAL_MTU}", link.name);
    let stuck = facts.targets.iter().find(|target| {
        target.way.interface.as_deref() == Some(link.name.as_str())
            && target
                .stream
                .as_ref()
                .is_some_and(|stream| stream.connected && stream.frames == 0 && stream.error.is_none())
    });
    Some(match (mtu, stuck) {
        (USUAL_MTU, _) => finding(Level::Pass, format!("{mtu} bytes")),
        (USUAL_MTU.., Some(target)) => finding(
            Level::Fail,
            format!("{mtu} bytes, and the stream of {} stalls: something on the way drops large packets", target.name),
        )
        .hint(
            "let packets be of the usual size, or raise the MTU of every device between here and the camera; then \
             power-cycle the camera, which may go on trying to send what was lost",
        )
        .commands([usual]),
        (USUAL_MTU.., None) => finding(Level::Warn, format!("{mtu} bytes: jumbo frames"))
            .hint("every device on the way and the camera must carry them; if streams stall, use the usual size")
            .commands([usual]),
        (..USUAL_MTU, _) => finding(Level::Warn, format!("{mtu} bytes; {USUAL_MTU} are usual"))
            .hint("a VPN or a tunnel makes it smaller; it costs throughput")
            .commands([usual]),
    })
}

/// Seed of this check: `rx-usecs 1022` took a camera from 12 to 20 frames a second (PoE guide, "Network interface
/// controller settings").
fn interrupts(link: &Link) -> Option<Finding> {
    let usecs = link.rx_usecs?;
    let finding = Finding::new("rx-usecs", &link.name, Level::Pass, format!("packets are held back for {usecs} us"));
    let hint = format!("if frames are fewer than they should be, try `ethtool -C {} rx-usecs 1022`", link.name);
    Some(finding.hint(hint))
}

/// Link-local networks are all one, with a mask of 16 bits; with another mask a part of them cannot be reached.
fn link_local(facts: &Facts, link: &Link) -> Option<Finding> {
    let (ip, prefix) = link.addresses.iter().find(|(ip, prefix)| ip.is_link_local() && *prefix != 16)?;
    // Who has the right one beside it is well.
    if link.addresses.iter().any(|(ip, prefix)| ip.is_link_local() && *prefix == 16) {
        return None;
    }
    let hidden = !link.covers(FALLBACK)
        || facts.targets.iter().filter_map(|target| target.ip).any(|ip| ip.is_link_local() && !link.covers(ip));
    let level = if hidden { Level::Fail } else { Level::Warn };
    let observed = format!("{ip}/{prefix}: a link-local network has the mask 255.255.0.0 (/16)");
    Some(
        Finding::new("link-local", &link.name, level, observed)
            .hint(format!("a camera without DHCP is at {FALLBACK}: give this host's address the right mask"))
            .commands([
                format!("ip addr add {ip}/16 dev {}", link.name),
                format!("ip addr del {ip}/{prefix} dev {}", link.name),
            ]),
    )
}

/// When nobody answers, the camera may be where cameras without DHCP are.
fn fallback(facts: &Facts) -> Option<Finding> {
    let host = &facts.host;
    let reaches = host.links.iter().any(|link| link.usable() && link.covers(FALLBACK));
    let searched = facts.targets.is_empty() && facts.seen.is_empty();
    if reaches || !searched || host.links.iter().any(|link| link_local(facts, link).is_some()) {
        return None;
    }
    let wired = |link: &&Link| link.usable() && link.kind == Kind::Wired;
    let link = host.links.iter().find(wired).or_else(|| host.links.iter().find(|link| link.usable()))?;
    Some(
        Finding::new("link-local", &link.name, Level::Warn, "this host has no address in 169.254.0.0/16")
            .hint(format!("a camera that found no DHCP server is at {FALLBACK}: give this host an address there too"))
            .commands([format!("ip addr add {FALLBACK_HOST} dev {}", link.name)]),
    )
}
