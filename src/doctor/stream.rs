//! The stream: its port, whether it flows, what it is, and what it takes of the link.

use super::facts::{Facts, Kind, Port, Stream, Target};
use super::host::USUAL_MTU;
use super::link_budget::{Budget, carries_mbit_s};
use super::{Finding, Level};
use crate::discovery::CameraState;

/// The share of a link beyond which frames come late: TCP needs room to catch up.
const TIGHT: f64 = 0.8;

pub(super) fn judge(facts: &Facts, target: &Target) -> Vec<Finding> {
    let mut findings: Vec<_> = port(target).into_iter().collect();
    if let Some(stream) = &target.stream {
        findings.push(flows(target, stream));
        if stream.frames > 0 {
            findings.push(budget(facts, target, stream));
        }
    }
    findings
}

fn port(target: &Target) -> Option<Finding> {
    let finding = |level, observed: String| Finding::new("stream-port", &target.name, level, observed);
    let tried: Vec<_> = target.ports.iter().map(|(port, _)| port.to_string()).collect();
    let tried = tried.join(", ");
    let state = target.camera.as_ref().map(|camera| camera.state);
    if target.ports.is_empty() {
        return Some(match state {
            Some(CameraState::Bootloader | CameraState::Booted) => {
                finding(Level::Skip, "no flashed application runs, so there is no stream".to_owned())
            }
            _ => finding(Level::Skip, "it was not tried".to_owned()),
        });
    }
    if let Some((port, _)) = target.ports.iter().find(|(_, found)| *found == Port::Open) {
        return Some(finding(Level::Pass, format!("{port} is open")));
    }
    let is = |kind: fn(&Port) -> bool| target.ports.iter().any(|(_, port)| kind(port));
    Some(if is(|port| *port == Port::Refused) {
        finding(Level::Fail, format!("the camera is there, and nothing listens at {tried}")).hint(
            "the application uses another port (--ports), has ended (power-cycle the camera), or connects to a host by itself",
        )
    } else if let Some(Port::Unreachable(why)) =
        target.ports.iter().map(|(_, port)| port).find(|p| matches!(p, Port::Unreachable(_)))
    {
        finding(Level::Fail, format!("{tried} cannot be reached: {why}")).hint("see the checks of its route")
    } else {
        finding(Level::Fail, format!("nothing comes back from {tried}"))
            .hint("a firewall on the way drops it, or the camera is not there")
    })
}

fn flows(target: &Target, stream: &Stream) -> Finding {
    let finding = |level, observed: String| Finding::new("stream", &target.name, level, observed);
    let Stream { frames, damaged, fps, mbit_s, .. } = stream;
    if *frames > 0 {
        let what = [
            stream.dialect.clone(),
            stream.size.map(|(width, height)| format!("{width}x{height}")),
            stream.format.clone(),
        ];
        let what: Vec<_> = what.into_iter().flatten().collect();
        let rate = if stream.seconds > 0.0 {
            format!("{fps:.1} frames/s, {mbit_s:.0} Mbit/s")
        } else {
            "one frame".to_owned()
        };
        let observed = format!("{}; {rate}", what.join(" "));
        return match (damaged, &stream.error) {
            (0, None) => finding(Level::Pass, observed),
            (0, Some(error)) => finding(Level::Warn, format!("{observed}; then: {error}"))
                .hint("if it goes on so, power-cycle the camera; `oaktap detections -v` shows what happens"),
            (damaged, _) => finding(Level::Warn, format!("{observed}; {damaged} frames damaged or in part"))
                .hint("the program on the camera writes less than it says: `oaktap detections -v` shows where"),
        };
    }
    match &stream.error {
        Some(error) => finding(Level::Fail, error.clone())
            .hint("is this the port of the stream (5000 or 9876), and the application the right one?"),
        None if !stream.connected => finding(Level::Fail, "no connection was made in time".to_owned())
            .hint("a firewall on the way drops it, or the camera is not there"),
        None if stream.bytes == 0 => finding(Level::Fail, "connected but silent".to_owned()).hint(
            "another client may hold the camera: it serves one at a time. End it, or wait; if there is none, power-cycle \
             the camera",
        ),
        None => finding(Level::Fail, format!("{} bytes came, and not one whole frame", stream.bytes))
            .hint("the stream stalls: see the checks of the MTU and of the link's speed"),
    }
}

fn budget(facts: &Facts, target: &Target, stream: &Stream) -> Finding {
    let finding = |level, observed: String| Finding::new("budget", &target.name, level, observed);
    let way = target.way.interface.as_deref();
    let link = facts.host.links.iter().find(|link| Some(link.name.as_str()) == way);
    let here = link.filter(|link| link.kind != Kind::Wireless).and_then(|link| link.speed_mbit_s);
    let there = target.camera.as_ref().and_then(|camera| camera.link.as_ref()).map(|link| link.speed_mbit_s);
    let Some(speed) = here.into_iter().chain(there).min() else {
        let observed = format!("{:.0} Mbit/s; how much the link carries is not known", stream.mbit_s);
        return finding(Level::Skip, observed);
    };
    let mtu = link.and_then(|link| link.mtu).unwrap_or(USUAL_MTU);
    let carries = carries_mbit_s(speed, mtu);
    // Cameras that share this host's link share what it carries.
    let sharing = |other: &&Target| other.way.interface.as_deref() == way && way.is_some();
    let all: f64 = facts.targets.iter().filter(sharing).filter_map(|other| Some(other.stream.as_ref()?.mbit_s)).sum();
    let line = Budget { used_mbit_s: stream.mbit_s, carries_mbit_s: carries, fps: stream.fps }.line();
    let line = if all > stream.mbit_s { format!("{line}; all cameras at this interface take {all:.0}") } else { line };
    if all.max(stream.mbit_s) > carries * TIGHT {
        return finding(Level::Warn, line)
            .hint("fewer frames a second, smaller pictures or MJPEG; or a faster link (Cat5e, 1 Gbit/s switch)");
    }
    finding(Level::Pass, line)
}
