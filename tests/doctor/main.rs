//! `list` and `doctor` in networks that are built for each test: `doctor` finds every fault, and its commands fix it.
//!
//! Network namespaces need root. Without root, these tests are skipped.
#![cfg(all(feature = "cli", target_os = "linux"))]

mod half_open;
mod network;

use std::net::Ipv4Addr;

use serde_json::Value;

use network::{Camera, Network};

const ID: &str = "14442C10D13EABCE00";
const IP: &str = "10.0.0.5";
/// Waits longer than the default of 500 ms, because the machine may be busy.
const TIMES: [&str; 4] = ["--wait", "2s", "--measure", "500ms"];

/// Runs `doctor` and returns its exit code and its summary.
fn doctor(network: &Network, arguments: &[&str]) -> (i32, Value) {
    let arguments: Vec<_> = ["doctor", "--json"].into_iter().chain(TIMES).chain(arguments.iter().copied()).collect();
    let (code, out, err) = network.run(&arguments);
    let document: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}\n{err}"));
    (code, document["summary"].clone())
}

/// Returns the worst finding of a check.
fn check<'a>(document: &'a Value, name: &str) -> &'a Value {
    let checks = document["checks"].as_array().expect("a list").iter().filter(|check| check["check"] == name);
    let rank = |check: &&Value| ["SKIP", "PASS", "WARN", "FAIL"].iter().position(|level| check["level"] == **level);
    checks.max_by_key(rank).unwrap_or_else(|| panic!("no check `{name}` in {document:#}"))
}

fn level<'a>(document: &'a Value, name: &str) -> &'a str {
    check(document, name)["level"].as_str().expect("a word")
}

/// Runs the commands that a finding suggests.
fn run_commands(network: &Network, finding: &Value) {
    let commands = finding["commands"].as_array().expect("a list");
    assert!(!commands.is_empty(), "no command is suggested: {finding:#}");
    for command in commands {
        network.host(command.as_str().expect("a command"));
    }
}

/// Asserts that a check reports a fault with these words, and that its commands fix the fault.
fn assert_found_and_fixed(network: &Network, arguments: &[&str], name: &str, expected: &str, words: &str) {
    let (code, before) = doctor(network, arguments);
    let finding = check(&before, name);
    assert_eq!(finding["level"], expected, "{finding:#}\n{before:#}");
    assert!(finding["observed"].as_str().expect("a string").contains(words), "{finding:#}");
    if expected == "FAIL" {
        assert_eq!(code, 1);
    }
    run_commands(network, finding);
    let (code, after) = doctor(network, arguments);
    assert_eq!(code, 0, "{after:#}");
    let remaining = after["checks"].as_array().expect("a list").iter().find(|check| check["check"] == name);
    // A check whose subject no longer exists is absent.
    assert!(remaining.is_none_or(|check| check["level"] == "PASS"), "{after:#}");
    assert_eq!(level(&after, "stream"), "PASS", "{after:#}");
    assert_eq!(level(&after, "discovery"), "PASS", "{after:#}");
}

#[test]
fn network_without_faults_passes_every_check() {
    let Some(network) = Network::new() else { return };
    network.cable("h0", "c0");
    network.host("ip addr add 10.0.0.1/24 dev h0");
    network.camera("ip addr add 10.0.0.5/24 dev c0");
    let _camera = Camera::start(&network, ID);

    let (code, out, err) = network.run(&["list", "--probe", "--wait", "2s"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let rows: Vec<Vec<_>> =
        out.lines().map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect()).collect();
    assert_eq!(rows[1..], [[ID, IP, "h0", "booted its application", "5000"]], "{out}");

    for arguments in [&[][..], &[IP], &["14442c"], &["10.0.0.5:5000"]] {
        let (code, document) = doctor(&network, arguments);
        assert_eq!(code, 0, "{document:#}");
        for name in [
            "interface",
            "mtu",
            "route",
            "paths",
            "address",
            "discovery",
            "state",
            "camera-link",
            "stream-port",
            "stream",
            "budget",
        ] {
            assert_eq!(level(&document, name), "PASS", "{arguments:?}: {document:#}");
        }
        let stream = check(&document, "stream")["observed"].as_str().expect("a string");
        let guess = "IMG 64x48 BGR888p (size and format are a guess: the stream does not state them); ";
        assert!(stream.starts_with(guess), "{stream}");
        assert!(check(&document, "budget")["observed"].as_str().expect("a string").contains(" more such camera"));
    }

    let (code, _, err) = network.run(&["doctor", "1555", "--wait", "2s"]);
    assert_eq!(code, 1);
    assert!(err.contains(&format!("no camera id starts with `1555`; found {ID} at {IP}")), "{err}");

    // The report contains the facts, but no identifying values.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.json");
    let path = file.to_str().expect("UTF-8");
    let (code, out, err) = network.run(&["doctor", "--no-stream", "--bundle", path]);
    assert_eq!(code, 0, "{out}{err}");
    let report = std::fs::read_to_string(&file).expect("the report was written");
    assert!(!report.contains(ID) && report.contains("camera-1") && report.contains(IP), "{report}");
    assert!(serde_json::from_str::<Value>(&report).expect("JSON")["facts"]["host"]["links"][0]["name"] == "h0");
    let (code, _, err) = network.run(&["doctor", "--no-stream", "--bundle", path]);
    assert_eq!(code, 1, "an existing file is not replaced");
    assert!(err.contains("already exists") && err.contains("help: oaktap does not replace files"), "{err}");
}

#[test]
fn bootloader_version_is_checked_on_request_only() {
    let Some(network) = Network::new() else { return };
    let (_, document) = doctor(&network, &["sim:bootloader=0.0.17", "--no-stream"]);
    let checks = document["checks"].as_array().expect("a list");
    assert!(
        checks.iter().all(|check| check["check"] != "bootloader"),
        "the bootloader was not requested: {document:#}"
    );
    // Without consent, a camera that runs an application is not reset.
    network.cable("h0", "c0");
    network.host("ip addr add 10.0.0.1/24 dev h0");
    network.camera("ip addr add 10.0.0.5/24 dev c0");
    let camera = Camera::start(&network, ID);
    let (code, _, err) = network.run(&["doctor", IP, "--no-stream", "--enter-bootloader"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("this stops the application"), "{err}");
    drop(camera);
    let (_, document) = doctor(&network, &["sim:bootloader=0.0.17", "--no-stream", "--enter-bootloader", "--yes"]);
    assert_eq!(level(&document, "bootloader"), "WARN", "{document:#}");
    assert_eq!(
        check(&document, "bootloader")["observed"],
        "0.0.17: not reachable from other networks; expected 0.0.18 or newer"
    );
}

#[test]
fn camera_on_two_networks_is_one_row() {
    let Some(network) = Network::new() else { return };
    for n in 0..2 {
        network.cable(&format!("h{n}"), &format!("c{n}"));
        network.host(&format!("ip addr add 10.0.{n}.1/24 dev h{n}"));
        network.camera(&format!("ip addr add 10.0.{n}.5/24 dev c{n}"));
    }
    let _camera = Camera::start(&network, ID);
    let (code, out, err) = network.run(&["list", "--json", "--wait", "2s", "10.0.0.5"]);
    assert_eq!(code, 0, "{err}");
    let document: Value = serde_json::from_str(&out).expect("JSON");
    let cameras = document["summary"]["cameras"].as_array().expect("a list");
    assert_eq!(cameras.len(), 1, "{out}");
    let addresses = serde_json::json!([{"ip": "10.0.0.5", "interface": "h0"}, {"ip": "10.0.1.5", "interface": "h1"}]);
    assert_eq!(cameras[0]["addresses"], addresses);
    let (_, document) = doctor(&network, &[]);
    assert_eq!(level(&document, "address"), "WARN", "{document:#}");
}

#[test]
fn camera_behind_a_router_is_found_by_address_and_subnet() {
    let Some(network) = Network::new() else { return };
    // The third namespace is the router.
    network.cable_to_middle("h0", "m0");
    network.cable_from_middle("m1", "c0");
    network.host("ip addr add 10.0.0.1/24 dev h0");
    network.middle("ip addr add 10.0.0.254/24 dev m0");
    network.middle("ip addr add 10.0.3.254/24 dev m1");
    network.middle("sysctl -qw net.ipv4.ip_forward=1");
    network.camera("ip addr add 10.0.3.5/24 dev c0");
    network.camera("ip route add default via 10.0.3.254");
    network.host("ip route add default via 10.0.0.254");
    let _camera = Camera::start(&network, ID);
    let (code, out, _) = network.run(&["list", "--wait", "1s"]);
    assert_eq!((code, out.as_str()), (0, ""), "broadcasts do not pass routers");
    let (code, out, _) = network.run(&["list", "--wait", "2s", "--subnet", "10.0.3.0/28"]);
    assert!(code == 0 && out.contains(ID) && out.contains("10.0.3.5"), "{out}");
    let (code, out, err) = network.run(&["list", "--wait", "1s", "10.0.3.5", "10.0.3.6"]);
    assert_eq!(code, 1);
    assert!(out.contains(ID) && err.contains("no reply from a camera at 10.0.3.6"), "{out}{err}");
    let (code, document) = doctor(&network, &["10.0.3.5"]);
    assert_eq!((code, level(&document, "stream")), (0, "PASS"), "{document:#}");
    let route = check(&document, "route")["observed"].as_str().expect("a string");
    assert_eq!(route, "packets to 10.0.3.5 leave through h0 to the router 10.0.0.254");
}

#[test]
fn interface_that_is_down() {
    let Some(network) = Network::new() else { return };
    network.cable("h0", "c0");
    network.host("ip addr add 10.0.0.1/24 dev h0");
    network.camera("ip addr add 10.0.0.5/24 dev c0");
    network.host("ip link set dev h0 down");
    let _camera = Camera::start(&network, ID);
    assert_found_and_fixed(&network, &[IP], "interface", "FAIL", "the interface is down");
}

#[test]
fn packets_leave_through_the_wrong_one_of_two_interfaces() {
    let Some(network) = Network::new() else { return };
    network.cable_to_middle("h0", "m0");
    network.cable("h1", "c0");
    network.middle("ip addr add 10.0.0.254/24 dev m0");
    network.host("ip addr add 10.0.0.1/24 dev h0");
    network.host("ip addr add 10.0.0.2/24 dev h1");
    network.camera("ip addr add 10.0.0.5/24 dev c0");
    let _camera = Camera::start(&network, ID);
    assert_found_and_fixed(&network, &[IP], "route", "FAIL", "leave through h0, but the camera answers on h1");
}

#[test]
fn two_paths_to_one_camera_are_reported() {
    let Some(network) = Network::new() else { return };
    network.camera("ip link add br0 type bridge");
    network.camera("ip link set dev br0 up");
    for n in 0..2 {
        network.cable(&format!("h{n}"), &format!("c{n}"));
        network.camera(&format!("ip link set dev c{n} master br0"));
        network.host(&format!("ip addr add 10.0.0.{}/24 dev h{n}", n + 1));
    }
    network.camera("ip addr add 10.0.0.5/24 dev br0");
    let _camera = Camera::start(&network, ID);
    let (_, out, _) = network.run(&["list", "--json", "--wait", "2s"]);
    let document: Value = serde_json::from_str(&out).expect("JSON");
    let addresses = serde_json::json!([{"ip": IP, "interface": "h0"}, {"ip": IP, "interface": "h1"}]);
    assert_eq!(document["summary"]["cameras"][0]["addresses"], addresses);
    assert_found_and_fixed(&network, &[IP], "paths", "WARN", "h0, h1 are in the camera's network");
}

#[test]
fn two_cameras_with_the_same_address() {
    let Some(network) = Network::new() else { return };
    network.cable("h0", "c0");
    network.cable_to_middle("h1", "m0");
    for n in 0..2 {
        network.host(&format!("ip addr add 169.254.1.1{n}/16 dev h{n}"));
    }
    network.camera("ip addr add 169.254.1.222/16 dev c0");
    network.middle("ip addr add 169.254.1.222/16 dev m0");
    let _cameras = [Camera::start(&network, ID), Camera::start_in_middle(&network, "1844A")];
    let (code, document) = doctor(&network, &["--no-stream"]);
    assert_eq!((code, level(&document, "address")), (1, "FAIL"), "{document:#}");
    let observed = check(&document, "address")["observed"].as_str().expect("a string");
    assert!(observed.starts_with("2 cameras have the address 169.254.1.222: "), "{observed}");
}

#[test]
fn link_local_address_with_the_wrong_mask() {
    let Some(network) = Network::new() else { return };
    network.cable("h0", "c0");
    network.host("ip addr add 169.254.77.10/24 dev h0");
    network.camera("ip addr add 169.254.1.222/16 dev c0");
    let _camera = Camera::start(&network, ID);
    assert_found_and_fixed(&network, &["169.254.1.222"], "link-local", "FAIL", "169.254.77.10/24");
}

#[test]
fn a_missing_route_is_reported() {
    let Some(network) = Network::new() else { return };
    network.cable("h0", "c0");
    network.host("ip addr add 10.0.0.1/24 dev h0");
    network.camera("ip addr add 10.9.0.5/24 dev c0");
    let _camera = Camera::start(&network, ID);
    assert_found_and_fixed(&network, &["10.9.0.5"], "route", "FAIL", "no route to 10.9.0.5");
}

#[test]
fn firewall_rules_that_drop_the_cameras_packets() {
    let rules = [
        (
            "nft",
            &[
                "nft add table inet t",
                "nft add chain inet t input '{ type filter hook input priority 0; policy accept; }'",
                "nft add rule inet t input udp sport 11491 drop",
                "nft add rule inet t input tcp sport 5000 drop",
            ][..],
            "FAIL",
            "rule `udp sport 11491 drop` of chain inet t input drops the camera's packets",
        ),
        (
            "nft",
            &[
                "nft add table inet t",
                "nft add chain inet t output '{ type filter hook output priority 0; policy drop; }'",
                "nft add rule inet t output tcp dport 22 accept",
            ],
            "FAIL",
            "the default policy of chain inet t output drops the camera's packets",
        ),
        // The rules of most firewalls. Answers to broadcasts do not belong to a tracked connection.
        (
            "nft",
            &[
                "nft add table inet t",
                "nft add chain inet t input '{ type filter hook input priority 0; policy drop; }'",
                "nft add rule inet t input ct state established,related accept",
            ],
            "WARN",
            "the default policy of chain inet t input drops the camera's packets",
        ),
        ("iptables", &["iptables -A INPUT -p udp --sport 11491 -j DROP"], "FAIL", "sport 11491"),
    ];
    for (tool, commands, expected, words) in rules {
        let Some(network) = Network::new() else { return };
        if !network.host_can(&format!("{tool} {}", if tool == "nft" { "list ruleset" } else { "-S" })) {
            eprintln!("skipped: {tool} does not work here");
            continue;
        }
        network.cable("h0", "c0");
        network.host("ip addr add 10.0.0.1/24 dev h0");
        network.camera("ip addr add 10.0.0.5/24 dev c0");
        let _camera = Camera::start(&network, ID);
        for command in commands {
            network.host(command);
        }
        assert_found_and_fixed(&network, &[IP], "firewall", expected, words);
    }
}

#[test]
fn switch_that_drops_jumbo_frames() {
    let Some(network) = Network::new() else { return };
    network.middle("ip link add br0 type bridge");
    network.cable_to_middle("h0", "m0");
    network.cable_from_middle("m1", "c0");
    for port in ["m0", "m1"] {
        network.middle(&format!("ip link set dev {port} master br0"));
    }
    network.middle("ip link set dev br0 up");
    network.host("ip link set dev h0 mtu 9000");
    network.camera("ip link set dev c0 mtu 9000");
    // With segmentation offload, a virtual switch would forward packets larger than its MTU.
    if !network.camera_can("ethtool -K c0 tso off gso off") {
        eprintln!("skipped: ethtool does not work here");
        return;
    }
    network.host("ip addr add 10.0.0.1/24 dev h0");
    network.camera("ip addr add 10.0.0.5/24 dev c0");
    let camera = Camera::start(&network, ID);
    let (code, before) = doctor(&network, &[IP]);
    let finding = check(&before, "mtu");
    assert_eq!((code, level(&before, "mtu")), (1, "FAIL"), "{before:#}");
    assert!(finding["observed"].as_str().expect("a string").contains("a device on the path drops large packets"));
    run_commands(&network, finding);
    // The camera keeps retransmitting to the closed connection, so the hint asks for a power cycle.
    assert!(finding["hint"].as_str().expect("a string").contains("power-cycle the camera"));
    drop(camera);
    let _camera = Camera::start(&network, ID);
    let (code, after) = doctor(&network, &[IP]);
    assert_eq!((code, level(&after, "mtu"), level(&after, "stream")), (0, "PASS", "PASS"), "{after:#}");
}

#[test]
fn camera_at_the_fallback_address_is_not_found_by_a_host_in_another_network() {
    let Some(network) = Network::new() else { return };
    network.cable("h0", "c0");
    network.host("ip addr add 10.0.0.1/24 dev h0");
    network.camera("ip addr add 169.254.1.222/16 dev c0");
    let _camera = Camera::start(&network, ID);
    // The camera receives the broadcast, but does not have a route for its answer.
    let (code, before) = doctor(&network, &[]);
    assert_eq!((code, level(&before, "discovery")), (1, "FAIL"), "{before:#}");
    let finding = check(&before, "link-local");
    assert_eq!(finding["level"], "WARN");
    run_commands(&network, finding);
    let (code, after) = doctor(&network, &[]);
    assert_eq!((code, level(&after, "discovery"), level(&after, "stream")), (0, "PASS", "PASS"), "{after:#}");
    let named = Ipv4Addr::new(169, 254, 1, 222).to_string();
    assert!(check(&after, "address")["observed"].as_str().expect("a string").contains(&named));
}
