//! Judgements on made-up facts: one line for each thing that can be wrong.

use std::net::Ipv4Addr;

use super::facts::{Host, Kind, Link, Neighbour, Port, Route, Stream, Target, Way};
use super::*;
use crate::bootloader::Version;
use crate::discovery::{CameraAddress, CameraState, DiscoveredCamera, LinkInfo};

const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

fn link(name: &str, ip: [u8; 4], prefix: u8) -> Link {
    Link {
        name: name.to_owned(),
        kind: Kind::Wired,
        up: true,
        carrier: Some(true),
        speed_mbit_s: Some(1000),
        full_duplex: Some(true),
        mtu: Some(1500),
        rx_usecs: Some(3),
        addresses: vec![(ip.into(), prefix)],
    }
}

fn camera(id: &str) -> DiscoveredCamera {
    DiscoveredCamera {
        id: id.to_owned(),
        addresses: vec![CameraAddress { ip: IP, interface: Some("eth0".to_owned()) }],
        state: CameraState::FlashBooted,
        platform: None,
        link: Some(LinkInfo { id: id.to_owned(), speed_mbit_s: 1000, full_duplex: true, boot_mode: 3 }),
    }
}

/// All is well.
fn healthy() -> Facts {
    let stream = Stream {
        port: 5000,
        connected: true,
        bytes: 1_000_000,
        frames: 80,
        seconds: 2.0,
        dialect: Some("IMG".to_owned()),
        format: Some("BGR888p".to_owned()),
        size: Some((640, 352)),
        fps: 40.0,
        mbit_s: 216.3,
        ..Stream::default()
    };
    let target = Target {
        name: "A".to_owned(),
        ip: Some(IP),
        camera: Some(camera("A")),
        by_broadcast: true,
        by_unicast: true,
        way: Way { interface: Some("eth0".to_owned()), source: Some([10, 0, 0, 1].into()), error: None },
        ports: vec![(5000, Port::Open)],
        stream: Some(stream),
        bootloader: Some(Version::RECOMMENDED),
    };
    let host = Host { links: vec![link("eth0", [10, 0, 0, 1], 24)], ..Host::default() };
    Facts { host, targets: vec![target], seen: vec![camera("A")], unsent: Vec::new() }
}

/// The worst finding of a check.
fn worst(facts: &Facts, check: &str) -> Finding {
    let findings = judge(facts);
    let of_check = findings.iter().filter(|finding| finding.check == check);
    of_check.max_by_key(|finding| finding.level).unwrap_or_else(|| panic!("no {check} in {findings:#?}")).clone()
}

#[test]
fn nothing_is_wrong() {
    let findings = judge(&healthy());
    assert!(findings.iter().all(|finding| finding.level == Level::Pass), "{findings:#?}");
    assert_eq!(worst(&healthy(), "stream").observed, "IMG 640x352 BGR888p; 40.0 frames/s, 216 Mbit/s");
    assert!(worst(&healthy(), "budget").observed.starts_with("216 of 941 Mbit/s; 3 more such cameras fit; 1080p raw"));
}

/// A thing that can be wrong: how it is made so, which check sees it, and what that says and advises.
type Case = (fn(&mut Facts), &'static str, Level, &'static str, &'static str);

#[test]
fn everything_that_can_be_wrong() {
    let cases: &[Case] = &[
        (|f| f.host.links[0].up = false, "interface", Level::Fail, "switched off", "ip link set dev eth0 up"),
        (|f| f.host.links[0].carrier = Some(false), "interface", Level::Fail, "nothing is at the other end", ""),
        (
            |f| f.host.links[0].addresses.clear(),
            "interface",
            Level::Fail,
            "no IPv4 address",
            "ip addr add 169.254.1.10/16 dev eth0",
        ),
        (|f| f.host.links[0].speed_mbit_s = Some(100), "link-speed", Level::Warn, "100 Mbit/s; 1000 are expected", ""),
        (
            |f| f.host.links[0].full_duplex = Some(false),
            "link-speed",
            Level::Fail,
            "half duplex",
            "ethtool -s eth0 autoneg on",
        ),
        (|f| f.host.links[0].speed_mbit_s = None, "link-speed", Level::Skip, "does not tell", ""),
        (|f| f.host.links[0].kind = Kind::Wireless, "wireless", Level::Warn, "Wi-Fi", ""),
        (|f| f.host.links[0].mtu = Some(9000), "mtu", Level::Warn, "jumbo", "ip link set dev eth0 mtu 1500"),
        (|f| f.host.links[0].mtu = Some(1280), "mtu", Level::Warn, "1500 are usual", "ip link set dev eth0 mtu 1500"),
        (
            |f| {
                f.host.links[0].mtu = Some(9000);
                f.targets[0].stream = Some(Stream { connected: true, bytes: 32, ..Stream::default() });
            },
            "mtu",
            Level::Fail,
            "drops large packets",
            "ip link set dev eth0 mtu 1500",
        ),
        (
            |f| f.host.links.push(link("eth1", [169, 254, 1, 9], 24)),
            "link-local",
            Level::Warn,
            "has the mask 255.255.0.0",
            "ip addr add 169.254.1.9/16 dev eth1",
        ),
        (
            |f| f.host.links.push(link("eth1", [169, 254, 7, 9], 24)),
            "link-local",
            Level::Fail,
            "has the mask 255.255.0.0",
            "ip addr del 169.254.7.9/24 dev eth1",
        ),
        (
            |f| {
                f.targets.clear();
                f.seen.clear();
            },
            "link-local",
            Level::Warn,
            "no address in 169.254.0.0/16",
            "ip addr add 169.254.1.10/16 dev eth0",
        ),
        (
            |f| {
                f.targets.clear();
                f.seen.clear();
            },
            "discovery",
            Level::Fail,
            "no camera answered a broadcast; asked at eth0",
            "",
        ),
        (|f| f.unsent.push("eth0 is sulking".to_owned()), "asking", Level::Warn, "sulking", ""),
        (
            |f| f.targets[0].way = Way { error: Some("Network is unreachable".to_owned()), ..Way::default() },
            "route",
            Level::Fail,
            "there is no way to 10.0.0.5: Network is unreachable",
            "ip addr add 10.0.0.10/24 dev eth0",
        ),
        (
            |f| {
                f.host.links.push(link("eth1", [10, 0, 0, 2], 24));
                f.targets[0].way.interface = Some("eth1".to_owned());
            },
            "route",
            Level::Warn,
            "leave by eth1, and the camera is at eth0",
            "ip route replace 10.0.0.5/32 dev eth0",
        ),
        (
            |f| {
                f.host.links.push(Link { kind: Kind::Tunnel, ..link("wg0", [10, 9, 0, 2], 24) });
                f.targets[0].way.interface = Some("wg0".to_owned());
                f.targets[0].by_unicast = false;
                f.targets[0].stream = None;
            },
            "route",
            Level::Fail,
            "leave by wg0, which is a VPN",
            "ip route replace 10.0.0.5/32 dev eth0",
        ),
        (
            |f| {
                f.host.links[0].addresses = vec![([192, 168, 1, 2].into(), 24)];
                let gateway = Some([192, 168, 1, 1].into());
                let network = Ipv4Addr::UNSPECIFIED;
                f.host.routes.push(Route { network, prefix: 0, gateway, interface: "eth0".to_owned(), metric: 0 });
                f.targets[0].camera = None;
                (f.targets[0].by_broadcast, f.targets[0].by_unicast) = (false, false);
                f.targets[0].stream = None;
            },
            "route",
            Level::Warn,
            "through the router 192.168.1.1",
            "",
        ),
        (
            |f| f.host.links.push(link("eth1", [10, 0, 0, 2], 24)),
            "paths",
            Level::Warn,
            "eth0, eth1 are in its network",
            "ip route replace 10.0.0.5/32 dev eth0",
        ),
        (
            |f| {
                f.host.links.push(link("eth1", [10, 0, 0, 2], 24));
                (f.targets[0].by_broadcast, f.targets[0].by_unicast) = (false, false);
                f.targets[0].camera = None;
            },
            "paths",
            Level::Fail,
            "it does not answer by the one that is used",
            "ip route replace 10.0.0.5/32 dev eth1",
        ),
        (
            |f| f.host.links[0].addresses.push((IP, 24)),
            "address",
            Level::Fail,
            "an address of this host too, at eth0",
            "",
        ),
        (|f| f.seen.push(camera("B")), "address", Level::Fail, "2 cameras have the address 10.0.0.5: A, B", ""),
        (
            |f| {
                for mac in ["aa", "bb"] {
                    let mac = Some(mac.to_owned());
                    f.host.neighbours.push(Neighbour { ip: IP, mac, interface: "eth0".to_owned() });
                }
            },
            "address",
            Level::Fail,
            "2 devices have the address 10.0.0.5: aa, bb",
            "",
        ),
        (|f| f.targets[0].by_broadcast = false, "discovery", Level::Warn, "but not to broadcasts", ""),
        (|f| f.targets[0].by_unicast = false, "discovery", Level::Fail, "but not at its address", ""),
        (
            |f| {
                f.host.neighbours.push(Neighbour { ip: IP, mac: None, interface: "eth0".to_owned() });
                (f.targets[0].by_broadcast, f.targets[0].by_unicast) = (false, false);
                f.targets[0].ports = vec![(5000, Port::Silence)];
            },
            "discovery",
            Level::Fail,
            "nothing in this network has its address",
            "",
        ),
        (
            |f| (f.targets[0].by_broadcast, f.targets[0].by_unicast) = (false, false),
            "discovery",
            Level::Warn,
            "its port 5000 is open",
            "",
        ),
        (
            |f| f.targets[0].camera.as_mut().unwrap().state = CameraState::Booted,
            "state",
            Level::Warn,
            "in use by a host",
            "",
        ),
        (
            |f| f.targets[0].camera.as_mut().unwrap().state = CameraState::Bootloader,
            "state",
            Level::Warn,
            "bootloader",
            "",
        ),
        (|f| f.targets[0].camera.as_mut().unwrap().state = CameraState::Other(9), "state", Level::Warn, "state 9", ""),
        (
            |f| f.targets[0].camera.as_mut().unwrap().link.as_mut().unwrap().speed_mbit_s = 100,
            "camera-link",
            Level::Warn,
            "100 Mbit/s at the camera",
            "",
        ),
        (
            |f| f.targets[0].camera.as_mut().unwrap().link.as_mut().unwrap().full_duplex = false,
            "camera-link",
            Level::Fail,
            "half duplex at the camera",
            "",
        ),
        (|f| f.targets[0].camera.as_mut().unwrap().link = None, "camera-link", Level::Skip, "does not tell", ""),
        (
            |f| f.targets[0].camera.as_mut().unwrap().link.as_mut().unwrap().boot_mode = 0x16,
            "boot-switch",
            Level::Fail,
            "stands at 0x16, which is USB",
            "",
        ),
        (
            |f| f.targets[0].bootloader = Some(Version::new(0, 0, 13)),
            "bootloader",
            Level::Fail,
            "0.0.13: it cannot",
            "",
        ),
        (|f| f.targets[0].bootloader = Some(Version::new(0, 0, 17)), "bootloader", Level::Warn, "other networks", ""),
        (
            |f| f.targets[0].bootloader = Some(Version::new(0, 0, 27)),
            "bootloader",
            Level::Warn,
            "older than 0.0.28",
            "",
        ),
        (
            |f| f.targets[0].ports = vec![(5000, Port::Refused), (9876, Port::Refused)],
            "stream-port",
            Level::Fail,
            "nothing listens at 5000, 9876",
            "",
        ),
        (|f| f.targets[0].ports = vec![(5000, Port::Silence)], "stream-port", Level::Fail, "nothing comes back", ""),
        (
            |f| f.targets[0].ports = vec![(5000, Port::Unreachable("no route".to_owned()))],
            "stream-port",
            Level::Fail,
            "5000 cannot be reached: no route",
            "",
        ),
        (
            |f| f.targets[0].stream = Some(Stream { connected: true, ..Stream::default() }),
            "stream",
            Level::Fail,
            "connected but silent",
            "",
        ),
        (
            |f| f.targets[0].stream = Some(Stream { error: Some("an SSH server".to_owned()), ..Stream::default() }),
            "stream",
            Level::Fail,
            "an SSH server",
            "",
        ),
        (|f| f.targets[0].stream.as_mut().unwrap().damaged = 2, "stream", Level::Warn, "2 frames damaged", ""),
        (
            |f| f.host.links[0].speed_mbit_s = Some(100),
            "budget",
            Level::Warn,
            "216 of 94 Mbit/s; no more such camera fits",
            "",
        ),
    ];
    for (number, (breaks, check, level, observed, command)) in cases.iter().enumerate() {
        let mut facts = healthy();
        breaks(&mut facts);
        let finding = worst(&facts, check);
        assert_eq!(finding.level, *level, "case {number}: {finding:#?}");
        assert!(finding.observed.contains(observed), "case {number}: {finding:#?}");
        let advised = |command: &&str| finding.commands.iter().any(|advised| advised == command);
        assert!(command.is_empty() || advised(command), "case {number}: {finding:#?}");
        if *level > Level::Pass {
            assert!(finding.hint.is_some(), "case {number} leaves people alone: {finding:#?}");
        }
    }
}

#[test]
fn who_has_a_route_of_their_own_is_left_alone() {
    let mut facts = healthy();
    facts.host.links.push(link("eth1", [10, 0, 0, 2], 24));
    facts.host.routes.push(Route { network: IP, prefix: 32, gateway: None, interface: "eth0".to_owned(), metric: 0 });
    assert_eq!(worst(&facts, "paths").level, Level::Pass);
}

#[test]
fn without_facts_nothing_is_made_up() {
    let findings = judge(&Facts { targets: vec![Target::default()], ..Facts::default() });
    assert!(findings.iter().all(|finding| finding.check != "route"), "{findings:#?}");
    assert!(judge(&Facts::default()).iter().any(|finding| finding.check == "discovery"));
}
