//! The camera itself: whether it answers, what it is doing, and its end of the cable.

use super::facts::{Facts, Link, Port, Target};
use super::host::GIGABIT;
use super::{Finding, Level};
use crate::bootloader::Version;
use crate::discovery::CameraState;

/// Where the boot switch stands for PoE, and for USB (bootloader.md 1, "Device info").
const BOOT_POE: u32 = 3;
const BOOT_USB: u32 = 0x16;

/// The first that is reached from other networks by its address (PoE guide, "I can ping the OAK PoE camera").
const OTHER_NETWORKS: Version = Version::new(0, 0, 18);

/// Nobody was named, and nobody answered.
pub(super) fn nobody(facts: &Facts) -> Finding {
    let usable = facts.host.links.iter().filter(|link| link.usable()).map(|link| link.name.as_str());
    let usable: Vec<_> = usable.collect();
    let asked =
        if usable.is_empty() { "no interface is up".to_owned() } else { format!("asked at {}", usable.join(", ")) };
    Finding::new("discovery", "host", Level::Fail, format!("no camera answered a broadcast; {asked}")).hint(
        "is it powered (its LED blinks), and in the same network? A camera behind a router is found by its address \
         (`oaktap doctor IP`) or with --subnet; one without DHCP is at 169.254.1.222",
    )
}

pub(super) fn judge(facts: &Facts, target: &Target) -> Vec<Finding> {
    let mut findings = vec![answers(facts, target)];
    if let Some(camera) = &target.camera {
        findings.push(state(target, camera.state));
        findings.extend(link(target));
    }
    findings.extend(target.bootloader.map(|version| bootloader(target, version)));
    findings
}

fn bootloader(target: &Target, version: Version) -> Finding {
    let finding = |level, lack: &str| Finding::new("bootloader", &target.name, level, format!("{version}{lack}"));
    let update = "`oaktap bootloader CAMERA update` writes a newer one";
    if version < Version::FLASHES_OVER_NETWORK {
        finding(Level::Fail, ": it cannot write applications over the network").hint(update)
    } else if version < OTHER_NETWORKS {
        finding(Level::Warn, ": it is not reached from other networks").hint(update)
    } else if version < Version::RECOMMENDED {
        finding(Level::Warn, &format!(", older than {}", Version::RECOMMENDED)).hint(update)
    } else {
        finding(Level::Pass, "")
    }
}

fn answers(facts: &Facts, target: &Target) -> Finding {
    let finding = |level, observed: String| Finding::new("discovery", &target.name, level, observed);
    let local = |link: &Link| target.ip.is_some_and(|ip| link.covers(ip));
    let local = facts.host.links.iter().any(local);
    let open = target.ports.iter().find(|(_, port)| *port == Port::Open).map(|(port, _)| *port);
    let known = target.ip.and_then(|ip| facts.host.neighbours.iter().find(|neighbour| neighbour.ip == ip));
    match (target.by_broadcast, target.by_unicast) {
        (true, true) => finding(Level::Pass, "it answers broadcasts, and at its address".to_owned()),
        (false, true) if local => finding(Level::Warn, "it answers at its address, but not to broadcasts".to_owned())
            .hint("the vendor's client does not find it: a firewall drops the answers, or the switch the broadcasts"),
        (false, true) => finding(Level::Pass, "it answers at its address; broadcasts do not pass routers".to_owned()),
        (true, false) => finding(Level::Fail, "it answers broadcasts, but not at its address".to_owned())
            .hint("packets to its address get lost: see the checks of its route"),
        (false, false) => match (open, known.map(|neighbour| &neighbour.mac)) {
            (Some(port), _) => {
                finding(Level::Warn, format!("it does not answer at UDP port 11491, and its port {port} is open"))
                    .hint("the stream works; to be found, UDP port 11491 must pass all firewalls on the way")
            }
            (None, Some(Some(_))) => {
                finding(Level::Fail, "something has its address, and does not answer at UDP port 11491".to_owned())
                    .hint("a firewall drops it, or it is no camera; power-cycle it if it is one")
            }
            (None, Some(None)) => finding(Level::Fail, "nothing in this network has its address".to_owned())
                .hint("is it powered (its LED blinks), and is this its address? `oaktap list` shows all that answer"),
            (None, None) => finding(Level::Fail, "it does not answer at UDP port 11491".to_owned())
                .hint("is it powered (its LED blinks), and is this its address? `oaktap list` shows all that answer"),
        },
    }
}

fn state(target: &Target, state: CameraState) -> Finding {
    let finding = |level| Finding::new("state", &target.name, level, state.to_string());
    match state {
        CameraState::FlashBooted => finding(Level::Pass),
        CameraState::Bootloader => finding(Level::Warn).hint(
            "no application runs: it has none, it could not be booted, or a host holds the bootloader; `oaktap flash`",
        ),
        CameraState::Booted => finding(Level::Warn)
            .hint("a program on some host has booted it, and its flashed application does not run: end that program"),
        CameraState::Other(_) => finding(Level::Warn).hint("power-cycle it"),
    }
}

/// Its own end of the cable. A camera may leave the question unanswered, which means nothing (bootloader.md 1).
fn link(target: &Target) -> Vec<Finding> {
    let finding = |level, observed: String| Finding::new("camera-link", &target.name, level, observed);
    let Some(link) = target.camera.as_ref().and_then(|camera| camera.link.as_ref()) else {
        return vec![finding(Level::Skip, "the camera does not tell its link; many do not".to_owned())];
    };
    let speed = link.speed_mbit_s;
    let mut findings = vec![if !link.full_duplex {
        finding(Level::Fail, format!("{speed} Mbit/s half duplex at the camera"))
            .hint("the switch port has its speed fixed: let it negotiate")
    } else if speed < GIGABIT {
        finding(Level::Warn, format!("{speed} Mbit/s at the camera; {GIGABIT} are expected")).hint(
            "cable (Cat5e or better, under 100 m), switch port and injector between switch and camera must do 1 Gbit/s",
        )
    } else {
        finding(Level::Pass, format!("{speed} Mbit/s full duplex at the camera"))
    }];
    if link.boot_mode != BOOT_POE {
        let usb = if link.boot_mode == BOOT_USB { ", which is USB" } else { "" };
        let observed = format!("its boot switch stands at {:#x}{usb}", link.boot_mode);
        let finding = Finding::new("boot-switch", &target.name, Level::Fail, observed);
        findings.push(finding.hint("set the switch in the camera to PoE (3), or it does not boot from its flash"));
    }
    findings
}
