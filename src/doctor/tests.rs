//! Judgements on invented facts: one case per fault.

use std::net::Ipv4Addr;

use super::facts::{
    CheckedCamera, GuessedLayout, HostFacts, HostLink, LinkKind, Neighbor, Route, RouteLookup, StreamMeasurement,
};
use super::*;
use crate::bootloader::Version;
use crate::discovery::{CameraAddress, CameraState, DiscoveredCamera, LinkInfo, PortProbe};

const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

fn link(name: &str, ip: [u8; 4], prefix: u8) -> HostLink {
    HostLink {
        name: name.to_owned(),
        kind: LinkKind::Wired,
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

/// A camera and a host without faults.
fn healthy() -> Facts {
    let stream = StreamMeasurement {
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
        ..StreamMeasurement::default()
    };
    let target = CheckedCamera {
        name: "A".to_owned(),
        ip: Some(IP),
        source: None,
        unresolved: None,
        camera: Some(camera("A")),
        by_broadcast: true,
        by_unicast: true,
        route: RouteLookup { interface: Some("eth0".to_owned()), source: Some([10, 0, 0, 1].into()), error: None },
        ports: vec![(5000, PortProbe::Open)],
        stream: Some(stream),
        bootloader: Some(Version::RECOMMENDED),
        not_run: None,
    };
    let host = HostFacts { links: vec![link("eth0", [10, 0, 0, 1], 24)], ..HostFacts::default() };
    Facts { host, targets: vec![target], seen: vec![camera("A")], unsent: Vec::new(), left_out: 0, stopped: false }
}

/// Returns the worst finding of a check.
fn worst(facts: &Facts, check: &str) -> Finding {
    let findings = judge(facts);
    let of_check = findings.iter().filter(|finding| finding.check == check);
    of_check.max_by_key(|finding| finding.level).unwrap_or_else(|| panic!("no {check} in {findings:#?}")).clone()
}

#[test]
fn checks_that_did_not_run_are_skipped() {
    for (not_run, first) in [(NotRun::Search, "route"), (NotRun::Ports, "stream-port"), (NotRun::Stream, "stream")] {
        let mut facts = healthy();
        facts.stopped = true;
        let target = &mut facts.targets[0];
        (target.not_run, target.stream) = (Some(not_run), None);
        let findings = judge(&facts);
        let skipped: Vec<_> = findings.iter().filter(|finding| finding.observed == "stopped").collect();
        let checks: Vec<_> = skipped.iter().map(|finding| finding.check).collect();
        let from = OF_CAMERA.iter().position(|check| *check == first).expect("a check of a camera");
        assert_eq!(checks, OF_CAMERA[from..], "{not_run:?}");
        assert!(skipped.iter().all(|finding| finding.level == Level::Skip));
        assert!(findings.iter().all(|finding| finding.level <= Level::Pass), "{findings:#?}");
        let names = findings.iter().filter(|finding| finding.subject == "A").map(|finding| finding.check);
        let unique: std::collections::BTreeSet<_> = names.clone().collect();
        assert_eq!(names.count(), unique.len(), "each check once: {findings:#?}");
    }
    let nobody = Facts { targets: Vec::new(), stopped: true, ..healthy() };
    assert_eq!(worst(&nobody, "discovery"), Finding::stopped("discovery", "host"));
}

#[test]
fn healthy_facts_pass_every_check() {
    let findings = judge(&healthy());
    assert!(findings.iter().all(|finding| finding.level == Level::Pass), "{findings:#?}");
    assert_eq!(worst(&healthy(), "stream").observed, "IMG 640x352 BGR888p; 40.0 frames/s, 216 Mbit/s");
    let mut slow = healthy();
    slow.targets[0].stream.as_mut().expect("a stream").mbit_s = 0.3;
    assert_eq!(worst(&slow, "stream").observed, "IMG 640x352 BGR888p; 40.0 frames/s, 0.3 Mbit/s");
    assert!(worst(&slow, "budget").observed.starts_with("0.3 of 941 Mbit/s; "));
    assert!(worst(&healthy(), "budget").observed.starts_with("216 of 941 Mbit/s; 3 more such cameras fit; raw 1080p"));
}

#[test]
fn a_stream_of_this_host_is_not_blamed_for_its_discovery() {
    let loopback = |by_unicast, name: Option<&str>| {
        let mut facts = healthy();
        let target = &mut facts.targets[0];
        target.ip = Some(Ipv4Addr::LOCALHOST);
        (target.by_broadcast, target.by_unicast, target.camera) = (false, by_unicast, name.map(camera));
        // This host may cover the loopback network by an interface of its own.
        facts.host.links.push(link("lo0", [127, 0, 0, 1], 8));
        worst(&facts, "discovery")
    };
    assert_eq!(loopback(true, Some("A")).level, Level::Pass);
    let silent = loopback(false, None);
    assert_eq!(silent.level, Level::Skip, "{silent:?}");
    assert_eq!(silent.observed, "TCP port 5000 of this host is open; a program on this host need not answer queries");
}

#[test]
fn a_fault_of_an_interface_beside_the_routes_is_not_that_of_the_cameras() {
    let mut facts = healthy();
    facts.targets[0].name = IP.to_string();
    let mut other = facts.clone();
    facts.host.links[0].up = false;
    assert_eq!(worst(&facts, "interface").level, Level::Fail, "the route leaves through it");
    // Such as a camera that is reached over loopback or through a tunnel.
    facts.targets[0].route.interface = Some("lo".to_owned());
    assert_eq!(worst(&facts, "interface").level, Level::Skip);
    other.host.links.push(link("eth1", [169, 254, 3, 1], 24));
    assert_eq!(worst(&other, "link-local").level, Level::Skip, "a wrong mask on another interface");
    let mut found = other.clone();
    found.targets[0].name = "A".to_owned();
    assert_eq!(worst(&found, "link-local").level, Level::Fail, "other cameras may be behind it");
    other.targets[0].ip = Some([169, 254, 1, 222].into());
    assert_eq!(worst(&other, "link-local").level, Level::Fail);
}

/// A fault: how to create it, the check that finds it, its level, part of the observation, and one suggested command.
type Case = (fn(&mut Facts), &'static str, Level, &'static str, &'static str);

#[test]
fn every_fault_is_found_with_advice() {
    let cases: &[Case] = &[
        (|f| f.host.links[0].up = false, "interface", Level::Fail, "the interface is down", "ip link set dev eth0 up"),
        (|f| f.host.links[0].carrier = Some(false), "interface", Level::Fail, "detects no device at the other end", ""),
        (
            |f| f.host.links[0].addresses.clear(),
            "interface",
            Level::Fail,
            "no IPv4 address",
            "ip addr add 169.254.1.10/16 dev eth0",
        ),
        (
            |f| f.host.links[0].speed_mbit_s = Some(100),
            "link-speed",
            Level::Warn,
            "100 Mbit/s; expected 1000 Mbit/s",
            "",
        ),
        (
            |f| f.host.links[0].full_duplex = Some(false),
            "link-speed",
            Level::Fail,
            "half duplex",
            "ethtool -s eth0 autoneg on",
        ),
        (|f| f.host.links[0].speed_mbit_s = None, "link-speed", Level::Skip, "does not report the link speed", ""),
        (|f| f.host.links[0].kind = LinkKind::Wireless, "wireless", Level::Warn, "Wi-Fi", ""),
        (|f| f.host.links[0].mtu = Some(9000), "mtu", Level::Warn, "jumbo", "ip link set dev eth0 mtu 1500"),
        (
            |f| f.host.links[0].mtu = Some(1280),
            "mtu",
            Level::Warn,
            "1280 bytes; expected 1500 bytes",
            "ip link set dev eth0 mtu 1500",
        ),
        (
            |f| {
                f.host.links[0].mtu = Some(9000);
                f.targets[0].stream =
                    Some(StreamMeasurement { connected: true, bytes: 32, ..StreamMeasurement::default() });
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
            "expected 255.255.0.0 (/16)",
            "ip addr add 169.254.1.9/16 dev eth1",
        ),
        (
            |f| f.host.links.push(link("eth1", [169, 254, 7, 9], 24)),
            "link-local",
            Level::Fail,
            "expected 255.255.0.0 (/16)",
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
            "no camera answered the broadcast on eth0",
            "",
        ),
        (|f| f.unsent.push("cannot send a query".to_owned()), "asking", Level::Warn, "cannot send a query", ""),
        (|f| f.left_out = 4000, "asking", Level::Warn, "4000 cameras answered and were not checked", ""),
        (
            |f| {
                f.targets[0].route =
                    RouteLookup { error: Some("Network is unreachable".to_owned()), ..RouteLookup::default() }
            },
            "route",
            Level::Fail,
            "no route to 10.0.0.5: Network is unreachable",
            "ip addr add 10.0.0.10/24 dev eth0",
        ),
        (
            |f| {
                f.host.links.push(link("eth1", [10, 0, 0, 2], 24));
                f.targets[0].route.interface = Some("eth1".to_owned());
            },
            "route",
            Level::Warn,
            "leave through eth1, but the camera answers on eth0",
            "ip route replace 10.0.0.5/32 dev eth0",
        ),
        (
            |f| {
                f.host.links.push(HostLink { kind: LinkKind::Tunnel, ..link("wg0", [10, 9, 0, 2], 24) });
                f.targets[0].route.interface = Some("wg0".to_owned());
                f.targets[0].by_unicast = false;
                f.targets[0].stream = None;
            },
            "route",
            Level::Fail,
            "leave through wg0; wg0 is a VPN",
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
            "to the router 192.168.1.1",
            "",
        ),
        (
            |f| f.host.links.push(link("eth1", [10, 0, 0, 2], 24)),
            "paths",
            Level::Warn,
            "eth0, eth1 are in the camera's network",
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
            "the camera does not answer on eth0",
            "ip route replace 10.0.0.5/32 dev eth1",
        ),
        (
            |f| f.host.links[0].addresses.push((IP, 24)),
            "address",
            Level::Fail,
            "also an address of this host, on eth0",
            "",
        ),
        (|f| f.seen.push(camera("B")), "address", Level::Fail, "2 cameras have the address 10.0.0.5: A, B", ""),
        (
            |f| {
                for mac in ["aa", "bb"] {
                    let mac = Some(mac.to_owned());
                    f.host.neighbors.push(Neighbor { ip: IP, mac, interface: "eth0".to_owned() });
                }
            },
            "address",
            Level::Fail,
            "2 devices have the address 10.0.0.5: aa, bb",
            "",
        ),
        (|f| f.targets[0].by_broadcast = false, "discovery", Level::Warn, "but not broadcasts", ""),
        (|f| f.targets[0].by_unicast = false, "discovery", Level::Fail, "but not unicast queries", ""),
        (
            |f| {
                f.host.neighbors.push(Neighbor { ip: IP, mac: None, interface: "eth0".to_owned() });
                (f.targets[0].by_broadcast, f.targets[0].by_unicast) = (false, false);
                f.targets[0].ports = vec![(5000, PortProbe::TimedOut)];
            },
            "discovery",
            Level::Fail,
            "no device in this network has the camera's address",
            "",
        ),
        (
            |f| (f.targets[0].by_broadcast, f.targets[0].by_unicast) = (false, false),
            "discovery",
            Level::Warn,
            "its TCP port 5000 is open",
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
        (
            |f| f.targets[0].camera.as_mut().unwrap().link = None,
            "camera-link",
            Level::Skip,
            "does not report its link",
            "",
        ),
        (
            |f| f.targets[0].camera.as_mut().unwrap().link.as_mut().unwrap().boot_mode = 0x16,
            "boot-switch",
            Level::Fail,
            "the boot switch is at 0x16 (USB); expected 0x3 (PoE)",
            "",
        ),
        (
            |f| f.targets[0].bootloader = Some(Version::new(0, 0, 13)),
            "bootloader",
            Level::Fail,
            "0.0.13: cannot write applications over the network",
            "",
        ),
        (
            |f| f.targets[0].bootloader = Some(Version::new(0, 0, 17)),
            "bootloader",
            Level::Warn,
            "0.0.17: not reachable from other networks; expected 0.0.18",
            "",
        ),
        (
            |f| f.targets[0].bootloader = Some(Version::new(0, 0, 27)),
            "bootloader",
            Level::Warn,
            "expected 0.0.28 or newer",
            "",
        ),
        (
            |f| f.targets[0].ports = vec![(5000, PortProbe::Refused), (9876, PortProbe::Refused)],
            "stream-port",
            Level::Fail,
            "listens on TCP port 5000 or 9876",
            "",
        ),
        (
            |f| f.targets[0].ports = vec![(5000, PortProbe::TimedOut)],
            "stream-port",
            Level::Fail,
            "no answer from TCP port 5000",
            "",
        ),
        (
            |f| f.targets[0].ports = vec![(5000, PortProbe::Unreachable("no route".to_owned()))],
            "stream-port",
            Level::Fail,
            "cannot reach TCP port 5000: no route",
            "",
        ),
        (
            |f| f.targets[0].stream = Some(StreamMeasurement { connected: true, ..StreamMeasurement::default() }),
            "stream",
            Level::Fail,
            "connected, but received no data",
            "",
        ),
        (
            |f| {
                f.targets[0].stream =
                    Some(StreamMeasurement { error: Some("an SSH server".to_owned()), ..StreamMeasurement::default() });
            },
            "stream",
            Level::Fail,
            "an SSH server",
            "",
        ),
        (|f| f.targets[0].stream.as_mut().unwrap().damaged = 2, "stream", Level::Warn, "2 frames damaged", ""),
        (
            |f| {
                let note = "if it is torn or slanted: --size WxH".to_owned();
                f.targets[0].stream.as_mut().unwrap().guess = Some(GuessedLayout { by_content: false, note });
            },
            "stream",
            Level::Warn,
            "640x352 BGR888p (size and format are a guess: the stream does not state them); 40.0 frames/s",
            "",
        ),
        (
            |f| {
                let note = "if it is torn or slanted: --size WxH".to_owned();
                f.targets[0].stream.as_mut().unwrap().guess = Some(GuessedLayout { by_content: true, note });
            },
            "stream",
            Level::Pass,
            "(size and format are a guess: the stream does not state them); 40.0 frames/s",
            "",
        ),
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
            assert!(finding.hint.is_some(), "case {number} gives no advice: {finding:#?}");
        }
    }
}

#[test]
fn an_application_that_is_still_starting_is_the_first_reason_for_a_closed_port() {
    let mut facts = healthy();
    facts.targets[0].ports = vec![(5000, PortProbe::Refused)];
    let hint = format!("{:?}", worst(&facts, "stream-port").hint);
    assert!(hint.contains("the application may still be starting (try again in a minute), uses another"), "{hint}");
}

#[test]
fn host_route_makes_several_paths_acceptable() {
    let mut facts = healthy();
    facts.host.links.push(link("eth1", [10, 0, 0, 2], 24));
    facts.host.routes.push(Route { network: IP, prefix: 32, gateway: None, interface: "eth0".to_owned(), metric: 0 });
    assert_eq!(worst(&facts, "paths").level, Level::Pass);
}

#[test]
fn missing_facts_are_not_judged() {
    let findings = judge(&Facts { targets: vec![CheckedCamera::default()], ..Facts::default() });
    assert!(findings.iter().all(|finding| finding.check != "route"), "{findings:#?}");
    assert!(judge(&Facts::default()).iter().any(|finding| finding.check == "discovery"));
}
