//! Checks of a camera's stream: its port, its frames and its share of the link.

use super::facts::{CheckedCamera, Facts, LinkKind, StreamMeasurement};
use super::host::ETHERNET_MTU;
use super::link_budget::{LinkBudget, tcp_capacity_mbit_s};
use super::{Finding, Level};
use crate::discovery::{CameraState, PortProbe};
use crate::units::rounded_mbit_s;

/// The utilization of a link above which frames are delayed: TCP needs spare capacity to recover lost packets.
const MAX_UTILIZATION: f64 = 0.8;

pub(super) fn judge(facts: &Facts, target: &CheckedCamera) -> Vec<Finding> {
    let mut findings: Vec<_> = port(target).into_iter().collect();
    if let Some(stream) = &target.stream {
        findings.push(frames(target, stream));
        if stream.frames > 0 {
            findings.push(budget(facts, target, stream));
        }
    }
    findings
}

fn port(target: &CheckedCamera) -> Option<Finding> {
    let finding = |level, observed: String| Finding::new("stream-port", &target.name, level, observed);
    let ports: Vec<_> = target.ports.iter().map(|(port, _)| port.to_string()).collect();
    let ports = ports.join(" or ");
    let state = target.camera.as_ref().map(|camera| camera.state);
    if target.unresolved.is_some() {
        return None;
    }
    if target.ports.is_empty() && target.stream.is_some() {
        let why = match target.is_simulated() {
            true => "the stream is simulated in this program, so there is no port to probe",
            false => "the camera connects or sends to this host, so there is no port to probe",
        };
        return Some(finding(Level::Skip, why.to_owned()));
    }
    if target.ports.is_empty() {
        return Some(match state {
            Some(CameraState::Bootloader | CameraState::Booted) => {
                finding(Level::Skip, "no flashed application is running, so there is no stream".to_owned())
            }
            _ => finding(Level::Skip, "the stream port was not probed".to_owned()),
        });
    }
    if let Some((port, _)) = target.ports.iter().find(|(_, probe)| *probe == PortProbe::Open) {
        return Some(finding(Level::Pass, format!("TCP port {port} is open")));
    }
    let unreachable = target.ports.iter().find_map(|(_, probe)| match probe {
        PortProbe::Unreachable(why) => Some(why),
        _ => None,
    });
    Some(if target.ports.iter().any(|(_, probe)| *probe == PortProbe::Refused) {
        finding(Level::Fail, format!("no program on the camera listens on TCP port {ports}")).hint(match target.source {
            Some(_) => "the server has ended, or uses another port: give that in the URL",
            None => {
                "the application may still be starting (try again in a minute), uses another port (pass --ports), has ended \
                 (power-cycle the camera), or connects to a host or sends datagrams itself"
            }
        })
    } else if let Some(why) = unreachable {
        finding(Level::Fail, format!("cannot reach TCP port {ports}: {why}")).hint(
            "the camera is off or has another address (`oaktap list` shows cameras), or the route is wrong: the check `route`",
        )
    } else {
        finding(Level::Fail, format!("no answer from TCP port {ports}"))
            .hint("a firewall on the path drops the packets, or the camera has another address")
    })
}

fn frames(target: &CheckedCamera, stream: &StreamMeasurement) -> Finding {
    let finding = |level, observed: String| Finding::new("stream", &target.name, level, observed);
    let StreamMeasurement { frames, damaged, fps, mbit_s, .. } = stream;
    if *frames > 0 {
        let description = [
            stream.dialect.clone(),
            stream.size.map(|(width, height)| format!("{width}x{height}")),
            stream.format.clone(),
        ];
        let description: Vec<_> = description.into_iter().flatten().collect();
        let rate = if stream.seconds > 0.0 {
            format!("{fps:.1} frames/s, {} Mbit/s", rounded_mbit_s(*mbit_s))
        } else {
            "one frame".to_owned()
        };
        let guess = match stream.guess {
            Some(_) => " (size and format are a guess: the stream does not state them)",
            None => "",
        };
        let observed = format!("{}{guess}; {rate}", description.join(" "));
        return match (damaged, &stream.error) {
            (0, None) => match &stream.guess {
                Some(guess) if !guess.by_content => finding(Level::Warn, observed).hint(guess.note.clone()),
                _ => finding(Level::Pass, observed),
            },
            (0, Some(error)) => finding(Level::Warn, format!("{observed}; then the stream failed: {error}")).hint(
                "if this happens again, power-cycle the camera; `oaktap detections -v` shows the course of events",
            ),
            (damaged, _) => finding(Level::Warn, format!("{observed}; {damaged} frames damaged or incomplete")).hint(
                "the application sends fewer bytes than its headers announce; `oaktap detections -v` shows where",
            ),
        };
    }
    match &stream.error {
        Some(error) => finding(Level::Fail, error.clone()).hint(match (&stream.help, &target.source) {
            (Some(help), Some(_)) => help.clone(),
            (None, Some(_)) => "check the URL in a browser".to_owned(),
            (_, None) => {
                "check that this is the stream's port (usually 5000 or 9876) and that the right application runs"
                    .to_owned()
            }
        }),
        None if !stream.connected && target.ports.is_empty() => finding(
            Level::Fail,
            "no camera connected to this host, or sent to it, while it listened".to_owned(),
        )
        .hint(
            "check the address of this host and the port in the program of the camera, and that the firewall of this \
                 host accepts the port",
        ),
        None if !stream.connected => finding(Level::Fail, "the connection was not established in time".to_owned())
            .hint("a firewall on the path drops the packets, or the camera has another address"),
        None if stream.bytes == 0 => finding(Level::Fail, "connected, but received no data".to_owned()).hint(
            "another client may hold the camera, which serves one client at a time: end that client or wait; if there \
             is none, power-cycle the camera",
        ),
        None => finding(Level::Fail, format!("received {} bytes, but no complete frame", stream.bytes))
            .hint("the stream stalls: see the checks `mtu` and `link-speed`"),
    }
}

fn budget(facts: &Facts, target: &CheckedCamera, stream: &StreamMeasurement) -> Finding {
    let finding = |level, observed: String| Finding::new("budget", &target.name, level, observed);
    let interface = target.route.interface.as_deref();
    let link = facts.host.links.iter().find(|link| Some(link.name.as_str()) == interface);
    let own = rounded_mbit_s(stream.mbit_s);
    if target.is_simulated() {
        return finding(Level::Skip, format!("{own} Mbit/s; a simulated stream uses no link"));
    }
    let host_speed = link.filter(|link| link.kind != LinkKind::Wireless).and_then(|link| link.speed_mbit_s);
    let camera_link = target.camera.as_ref().and_then(|camera| camera.link.as_ref());
    let camera_speed = camera_link.map(|link| link.speed_mbit_s);
    let Some(speed) = host_speed.into_iter().chain(camera_speed).min() else {
        let observed = format!("{own} Mbit/s; the capacity of the link is unknown");
        return finding(Level::Skip, observed);
    };
    let mtu = link.and_then(|link| link.mtu).unwrap_or(ETHERNET_MTU);
    let capacity_mbit_s = tcp_capacity_mbit_s(speed, mtu);
    let same_link = |other: &&CheckedCamera| other.route.interface.as_deref() == interface && interface.is_some();
    let cameras = facts.targets.iter().filter(same_link);
    let all: f64 = cameras.filter_map(|camera| Some(camera.stream.as_ref()?.mbit_s)).sum();
    let (used_mbit_s, others_mbit_s) = (stream.mbit_s, (all - stream.mbit_s).max(0.0));
    let mut line = LinkBudget { used_mbit_s, others_mbit_s, capacity_mbit_s, fps: stream.fps }.to_string();
    if all > stream.mbit_s {
        line.push_str(&format!("; all cameras on this interface use {} Mbit/s", rounded_mbit_s(all)));
    }
    if all.max(stream.mbit_s) > capacity_mbit_s * MAX_UTILIZATION {
        return finding(Level::Warn, line).hint(
            "reduce the frame rate or the frame size, send MJPEG, or use a faster link (Cat5e, 1 Gbit/s switch)",
        );
    }
    finding(Level::Pass, line)
}
