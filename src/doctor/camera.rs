//! Checks of a camera: its answers to discovery, its state, its bootloader and its end of the cable.

use super::facts::{CheckedCamera, Facts, HostLink};
use super::host::GIGABIT_MBIT_S;
use super::{Finding, Level};
use crate::bootloader::Version;
use crate::discovery::{CameraState, PORT, PortProbe};

/// Positions of the boot switch (bootloader.md 1, "Device info").
const BOOT_SWITCH_POE: u32 = 3;
const BOOT_SWITCH_USB: u32 = 0x16;

/// The first bootloader that other networks can reach (PoE guide, "I can ping the OAK PoE camera").
const REACHABLE_FROM_OTHER_NETWORKS: Version = Version::new(0, 0, 18);

/// The finding if the user named no camera and none answered.
pub(super) fn none_found(facts: &Facts) -> Finding {
    let usable = facts.host.links.iter().filter(|link| link.usable()).map(|link| link.name.as_str());
    let usable: Vec<_> = usable.collect();
    let observed = if usable.is_empty() {
        "no camera answered: no interface is up".to_owned()
    } else {
        format!("no camera answered the broadcast on {}", usable.join(", "))
    };
    Finding::new("discovery", "host", Level::Fail, observed).hint(format!(
        "check that the camera has power (its LED blinks) and is in the same network; for a camera behind a router, \
         pass its address (`oaktap doctor IP`) or --subnet; a camera without DHCP has the address {}",
        crate::bootloader::reach::FALLBACK_ADDRESS
    ))
}

pub(super) fn judge(facts: &Facts, target: &CheckedCamera) -> Vec<Finding> {
    let mut findings = vec![discovery(facts, target)];
    if let Some(camera) = &target.camera {
        findings.push(state(target, camera.state));
        findings.extend(link(target));
    }
    findings.extend(target.bootloader.map(|version| bootloader(target, version)));
    findings
}

fn bootloader(target: &CheckedCamera, version: Version) -> Finding {
    let finding = |level, observed: String| Finding::new("bootloader", &target.name, level, observed);
    let outdated = |level, problem: &str, expected: Version| {
        finding(level, format!("{version}: {problem}; expected {expected} or newer"))
            .hint("`oaktap bootloader CAMERA update` writes a newer bootloader")
    };
    if version < Version::FLASHES_OVER_NETWORK {
        outdated(Level::Fail, "cannot write applications over the network", Version::FLASHES_OVER_NETWORK)
    } else if version < REACHABLE_FROM_OTHER_NETWORKS {
        outdated(Level::Warn, "not reachable from other networks", REACHABLE_FROM_OTHER_NETWORKS)
    } else if version < Version::RECOMMENDED {
        outdated(Level::Warn, "outdated", Version::RECOMMENDED)
    } else {
        finding(Level::Pass, version.to_string())
    }
}

fn discovery(facts: &Facts, target: &CheckedCamera) -> Finding {
    let finding = |level, observed: String| Finding::new("discovery", &target.name, level, observed);
    let covers = |link: &HostLink| target.ip.is_some_and(|ip| link.covers(ip));
    let local = facts.host.links.iter().any(covers);
    match (target.by_broadcast, target.by_unicast) {
        (true, true) => finding(Level::Pass, "the camera answers broadcast and unicast queries".to_owned()),
        // A broadcast leaves through the other interfaces.
        (false, true) if is_loopback(target) => {
            finding(Level::Pass, "the camera on this host answers unicast queries".to_owned())
        }
        (false, true) if local => {
            finding(Level::Warn, "the camera answers unicast queries, but not broadcasts".to_owned()).hint(
                "the vendor's client cannot find this camera: a firewall drops its answers, or the switch drops the \
                 broadcasts",
            )
        }
        (false, true) => {
            finding(Level::Pass, "the camera answers unicast queries; broadcasts do not pass routers".to_owned())
        }
        (true, false) => finding(Level::Fail, "the camera answers broadcasts, but not unicast queries".to_owned())
            .hint("packets to the camera's address are lost: see the check `route`"),
        (false, false) => no_answer(facts, target),
    }
}

fn no_answer(facts: &Facts, target: &CheckedCamera) -> Finding {
    let finding = |level, observed: String| Finding::new("discovery", &target.name, level, observed);
    if let Some(why) = &target.unresolved {
        let hint = "give the address of the camera; `oaktap list` shows all cameras that answer";
        return finding(Level::Fail, why.clone()).hint(hint);
    }
    let open = target.ports.iter().find(|(_, probe)| *probe == PortProbe::Open).map(|(port, _)| *port);
    let neighbor = target.ip.and_then(|ip| facts.host.neighbors.iter().find(|neighbor| neighbor.ip == ip));
    let absent = "check that the camera has power (its LED blinks) and that this is its address; `oaktap list` shows \
                  all cameras that answer";
    match (open, neighbor.map(|neighbor| &neighbor.mac)) {
        (Some(port), _) if is_loopback(target) => {
            let observed =
                format!("TCP port {port} of this host is open; a program on this host need not answer queries");
            finding(Level::Skip, observed)
        }
        (Some(port), _) => {
            let observed = format!("the camera does not answer on UDP port {PORT}, but its TCP port {port} is open");
            finding(Level::Warn, observed).hint(format!(
                "the stream works; to find the camera, accept UDP port {PORT} in every firewall on the path"
            ))
        }
        (None, Some(Some(_))) => {
            let observed = format!("a device has the camera's address, but does not answer on UDP port {PORT}");
            finding(Level::Fail, observed).hint(
                "a firewall drops the queries, or the device is not a camera; if it is the camera, power-cycle it",
            )
        }
        (None, Some(None)) => {
            finding(Level::Fail, "no device in this network has the camera's address".to_owned()).hint(absent)
        }
        (None, None) => finding(Level::Fail, format!("the camera does not answer on UDP port {PORT}")).hint(absent),
    }
}

fn is_loopback(target: &CheckedCamera) -> bool {
    target.ip.is_some_and(|ip| ip.is_loopback())
}

fn state(target: &CheckedCamera, state: CameraState) -> Finding {
    let finding = |level| Finding::new("state", &target.name, level, state.to_string());
    match state {
        CameraState::FlashBooted => finding(Level::Pass),
        CameraState::Bootloader => finding(Level::Warn).hint(
            "no application is running: none is flashed, it did not boot, or a host uses the bootloader; `oaktap \
             flash` writes an application",
        ),
        CameraState::Booted => finding(Level::Warn)
            .hint("a program on a host booted the camera, so its flashed application does not run: end that program"),
        CameraState::Other(_) => finding(Level::Warn).hint("power-cycle the camera"),
    }
}

/// Judges the camera's end of the cable. Many cameras do not answer this query (bootloader.md 1).
fn link(target: &CheckedCamera) -> Vec<Finding> {
    let finding = |level, observed: String| Finding::new("camera-link", &target.name, level, observed);
    let Some(link) = target.camera.as_ref().and_then(|camera| camera.link.as_ref()) else {
        return vec![finding(Level::Skip, "the camera does not report its link; many cameras do not".to_owned())];
    };
    let speed = link.speed_mbit_s;
    let mut findings = vec![if !link.full_duplex {
        finding(Level::Fail, format!("{speed} Mbit/s half duplex at the camera; expected full duplex"))
            .hint("the switch port has a fixed speed: enable auto-negotiation on it")
    } else if speed < GIGABIT_MBIT_S {
        finding(Level::Warn, format!("{speed} Mbit/s at the camera; expected {GIGABIT_MBIT_S} Mbit/s")).hint(
            "the cable (Cat5e or better, at most 100 m), the switch port and any injector between switch and camera \
             must support 1 Gbit/s",
        )
    } else {
        finding(Level::Pass, format!("{speed} Mbit/s full duplex at the camera"))
    }];
    if link.boot_mode != BOOT_SWITCH_POE {
        let usb = if link.boot_mode == BOOT_SWITCH_USB { " (USB)" } else { "" };
        let observed = format!("the boot switch is at {:#x}{usb}; expected {BOOT_SWITCH_POE:#x} (PoE)", link.boot_mode);
        let finding = Finding::new("boot-switch", &target.name, Level::Fail, observed);
        findings.push(
            finding.hint("set the boot switch inside the camera to PoE (3); otherwise it does not boot from its flash"),
        );
    }
    findings
}
