//! `oaktap simulate --bootloader` and `sim:` cameras: the program at both ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use serde_json::Value;

use crate::program::{oaktap, run, signal};

#[test]
fn a_simulated_bootloader_is_found_and_queried() {
    let folder = tempfile::tempdir().expect("a folder");
    let flash = folder.path().join("flash");
    let flash = flash.to_str().expect("UTF-8");
    let mut camera = oaktap(&["simulate", "--bootloader", "--listen", "127.0.0.1:0", "--discovery-port", "0"])
        .args([
            "--link-port",
            "0",
            "--size",
            "64x48",
            "--state",
            "application",
            "--id",
            "194430104193",
            "--nor",
            "16MiB",
        ])
        .args(["--nor-file", flash, "--set", "broadcast=off", "--set", "wait-again=1s", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut said = BufReader::new(camera.stderr.take().expect("it is piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("it prints UTF-8");
    let rest = line.strip_prefix("camera 194430104193 at 127.0.0.1: discovery on UDP port ").expect(&line);
    let (udp, link) = rest.trim_end().split_once(", bootloader on TCP port ").expect(&line);

    let at = format!("127.0.0.1:{link}");
    let (code, out, err) = run(&["info", &at, "--udp-port", udp, "--yes", "--json"]);
    assert_eq!(code, 0, "{err}");
    let summary: Value = serde_json::from_str(&out).expect("one line of JSON");
    assert!(summary.to_string().contains("simulated"), "the application's name: {summary}");

    signal(&camera, "INT");
    let (mut out, mut err) = (String::new(), String::new());
    said.read_to_string(&mut err).expect("it prints UTF-8");
    camera.stdout.take().expect("it is piped").read_to_string(&mut out).expect("it prints UTF-8");
    assert!(camera.wait().expect("it ends").success(), "{err}");
    assert!(err.contains("194430104193: 1 sessions, "), "{err}");
    let summary: Value = serde_json::from_str(&out).expect("one line of JSON");
    let seen = &summary["summary"]["cameras"][0];
    assert_eq!((&seen["sessions"], &seen["unknown_requests"]), (&1.into(), &0.into()), "{summary}");
    assert_eq!(std::fs::metadata(flash).expect("its flash").len(), 16 << 20);
}

#[test]
fn sim_uri_is_accepted_as_a_camera() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: only one loopback address, whose fixed ports may be in use");
        return;
    }
    let (code, out, err) = run(&["info", "sim:bootloader=0.0.19&claims=0.0.20&nor=32MiB", "--yes"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("0.0.20") && out.contains("32 MiB"), "{out}");
    assert!(err.contains("simulated camera at 127."), "{err}");
}

#[test]
fn a_simulated_bootloader_says_that_its_pictures_cannot_be_decoded() {
    let simulate = ["simulate", "--bootloader", "--listen", "127.0.0.1:0", "--discovery-port", "0", "--link-port", "0"];
    for (format, is_said) in [("H265", true), ("BGR888p", false)] {
        let (code, _, err) = run(&[&simulate[..], &["--format", format, "-d", "10ms"]].concat());
        assert_eq!((code, err.contains("cannot be decoded")), (0, is_said), "{format}: {err}");
    }
}

#[test]
fn invalid_simulations_are_rejected_with_a_reason() {
    let bootloader = ["simulate", "--bootloader"];
    for (args, says) in [
        (&["--count", "2"][..], "cannot be used with --count"),
        (&["--frames", "3"], "use --duration"),
        (&["--listen", "[::1]:0"], "IPv4"),
        (&["--nor", "1MiB"], "expected at least 8389120"),
        (&["--camera-fault", "explode"], "`fault=explode`: expected"),
        (&["--set", "open=late"], "first, after or never"),
        (&["--bootloader-version", "28"], "expected a version such as 0.0.28"),
    ] {
        let (code, out, err) = run(&[&bootloader[..], args].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(err.contains(says), "{args:?}: {err}");
    }
    let (code, _, err) = run(&["simulate", "--nor", "16MiB"]);
    assert!(code == 2 && err.contains("--bootloader"), "{err}");
    let (code, _, err) = run(&["info", "sim:nor=x", "--yes"]);
    assert!(code == 2 && err.contains("`nor=x`: expected an amount of bytes"), "{err}");
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let (code, _, err) = run(&["simulate", "--bootloader", "--discovery-port", &port, "--link-port", "0"]);
    assert!(code == 1 && err.contains(&format!("cannot listen on UDP 127.0.0.1:{port}")), "{err}");
    let (code, _, err) = run(&["simulate", "--bootloader", "--listen", "127.0.0.1:0", "--app", "/nowhere/app.dap"]);
    assert!(code == 1 && err.contains("/nowhere/app.dap"), "{err}");
}

#[test]
fn a_simulated_camera_acknowledges_settings_between_its_frames() {
    // Also while it waits for its next frame.
    for fps in ["30", "0.01"] {
        let arguments = ["simulate", "--listen", "127.0.0.1:0", "--size", "64x48", "--records", "--fps", fps];
        let mut camera = oaktap(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut said = BufReader::new(camera.stderr.take().expect("it is piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it prints UTF-8");
        let uri = line.split_whitespace().find(|word| word.starts_with("tcp://")).expect(&line);
        let (code, out, err) = run(&["control", uri, "lens=120", "wb=auto", "--timeout", "60s"]);
        let expected = "sent lens=120; the camera acknowledged it\nsent wb=auto; the camera acknowledged it\n";
        assert_eq!((code, out.as_str()), (0, expected), "{err}");
        signal(&camera, "INT");
        let mut err = String::new();
        said.read_to_string(&mut err).expect("it prints UTF-8");
        assert!(camera.wait().expect("it ends").success(), "{err}");
    }
}
