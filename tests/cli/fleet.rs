//! Several cameras with names of their own, on the command line and in oaktap.toml.

use serde_json::Value;

use crate::program::run;

const CONFIG: &str = "[cameras]\nyard = \"sim:?size=64x48&seed=2\"\nfront = \"sim:?size=64x48\"\n";

fn lines(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// A folder with a configuration file of two cameras, and the path of the file.
fn config() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("oaktap.toml");
    std::fs::write(&path, CONFIG).expect("it can be written to");
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}

#[test]
fn a_camera_without_a_given_name_has_one_name_live_and_in_its_recording() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let camera = oaktap::sim::Simulator::start(listener, &"size=64x48".parse().expect("a stream")).expect("a stream");
    let address = camera.local_addr().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.mcap");
    let file = file.to_str().expect("UTF-8");
    let source = format!("tcp://{address}");
    let (_, out, err) = run(&["record", &source, "-o", file, "-n", "20", "--status", "50ms", "--json"]);
    let (summaries, states): (Vec<_>, Vec<_>) = lines(&out).into_iter().partition(|line| line.get("summary").is_some());
    assert_eq!(summaries[0]["summary"]["cameras"][0]["camera"], address.as_str(), "{out}");
    assert!(!states.is_empty() && states.iter().all(|line| line["status"]["camera"] == address.as_str()), "{out}");
    assert!(err.contains(&format!("{address}: streaming")) && !err.contains(&format!("{source}: ")), "{err}");
    let (_, out, _) = run(&["inspect", file, "--json"]);
    assert_eq!(lines(&out)[0]["summary"]["files"][0]["cameras"][0]["name"], address.as_str(), "{out}");
    let (_, out, err) = run(&["detections", &source, "-n", "3", "--json"]);
    assert_eq!(lines(&out)[0]["camera"], address.as_str(), "{out}{err}");
    let (_, out, err) = run(&["bench", &source, "-n", "30", "--json"]);
    assert_eq!(lines(&out)[0]["summary"]["cameras"][0]["camera"], address.as_str(), "{out}{err}");
}

#[test]
fn detections_of_several_cameras_carry_their_names() {
    let (code, out, err) = run(&["detections", "a=sim:?size=64x48", "b=sim:?size=64x48&seed=2", "-n", "3", "--json"]);
    assert_eq!(code, 0, "{err}");
    let lines = lines(&out);
    for name in ["a", "b"] {
        let frames: Vec<_> = lines.iter().filter(|line| line["camera"] == name).map(|line| &line["seq"]).collect();
        assert_eq!(frames, [0, 1, 2], "{out}");
    }
    let cameras = lines[6]["summary"]["cameras"].as_array().expect("a summary");
    assert_eq!(cameras.iter().map(|camera| &camera["camera"]).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn cameras_of_a_file_are_recorded_into_folders_and_topics_of_their_names() {
    let (folder, config) = config();
    let output = folder.path().join("all.mcap");
    let path = output.to_str().expect("UTF-8");
    let (code, _, err) = run(&["record", "--config", &config, "-o", path, "-n", "3"]);
    assert_eq!(code, 0, "{err}");
    let (code, out, err) = run(&["inspect", path, "--json"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("\"yard\"") && out.contains("\"front\""), "{out}");
    let recordings = folder.path().join("recordings");
    let (code, out, err) =
        run(&["record", "front", "--config", &config, "-o", recordings.to_str().expect("UTF-8"), "-n", "3"]);
    assert_eq!(code, 0, "{err}");
    let folders: Vec<_> = std::fs::read_dir(&recordings)
        .expect("the folder was made")
        .map(|entry| entry.expect("it can be read").file_name())
        .collect();
    assert_eq!(folders, ["front"], "{out}");

    // The name that is given to a recording of two cameras is put before theirs.
    let (code, out, err) = run(&["view", &format!("old=file:{path}?speed=max"), "--no-window", "--json"]);
    assert_eq!(code, 0, "{err}");
    let summary = &lines(&out)[0]["summary"];
    let cameras = summary["cameras"].as_array().expect("cameras");
    let mut names: Vec<_> = cameras.iter().filter_map(|camera| camera["camera"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["old-front", "old-yard"]);
}

#[test]
fn each_camera_gets_its_pictures() {
    let (folder, config) = config();
    let pictures = folder.path().join("pictures");
    let (code, out, err) =
        run(&["snapshot", "--config", &config, "-o", pictures.to_str().expect("UTF-8"), "--frames", "2"]);
    assert_eq!(code, 0, "{err}");
    for name in ["yard", "front"] {
        assert_eq!(out.lines().filter(|line| line.contains(&format!("_{name}"))).count(), 2, "{out}");
    }
    for (args, needs) in [(&["-n", "2"][..], "`--frames 2` needs a folder"), (&["sim:"], "2 cameras need a folder")] {
        let (code, _, err) = run(&[&["snapshot", "sim:", "-o", "shot.png"], args].concat());
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(needs) && err.contains("`-o shot.png` is a file"), "{err}");
    }
}

#[test]
fn a_command_without_cameras_lists_the_ways_to_give_them() {
    for command in ["view", "snapshot", "detections"] {
        let (code, _, err) = run(&[command]);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("no camera given") && err.contains("--all") && err.contains("--config"), "{err}");
    }
    for command in
        [&["info"][..], &["erase"], &["network", "show"], &["bootloader", "show"], &["flash", "--camera-only"]]
    {
        let (code, _, err) = run(command);
        assert!(code == 2 && err.contains("no camera given") && err.contains("--config"), "{command:?}: {err}");
    }
    let (code, _, err) = run(&["view", "a=sim:", "a=sim:?seed=2"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("two cameras have the name `a`"), "{err}");
}

#[test]
fn a_benchmark_reports_the_cameras_that_it_measured_although_others_failed() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let dead = format!("yard=tcp://{closed}");
    let cameras = ["bench", "front=sim:?size=64x48&fps=0", &dead, "gate=sim:?size=64x48&fps=0", "-n", "30"];
    let (code, out, err) = run(&cameras);
    assert_eq!(code, 3, "{err}");
    assert_eq!(out.lines().filter(|line| line.split_whitespace().nth(1) == Some("stream")).count(), 2, "{out}");
    assert!(
        err.contains("measuring the stream of front=sim:") && err.contains(", until it has sent 30 frames\n"),
        "{err}"
    );
    let failure = format!("error: cannot measure the stream of {dead}\n  because cannot connect");
    assert!(err.contains(&failure) && err.contains("\nexit code 3: 1 of 3 cameras not measured: yard\n"), "{err}");

    let (code, out, err) = run(&[&cameras[..], &["--json"]].concat());
    assert_eq!(code, 3, "{err}");
    let summary = &lines(&out)[0]["summary"];
    assert_eq!(summary["failed"][0]["camera"], "yard", "{out}");
    assert_eq!(summary["rows"].as_array().map(Vec::len), Some(2), "{out}");

    let (code, _, err) = run(&["bench", &dead, &format!("door=tcp://{closed}"), "-n", "30"]);
    assert!(code == 1 && err.contains("2 of 2 cameras failed: yard, door"), "{err}");
}

#[test]
fn status_lines_hold_the_counts_of_each_camera() {
    let (code, out, err) = run(&[
        "view",
        "a=sim:?size=64x48",
        "b=sim:?size=64x48&seed=2",
        "--no-window",
        "-d",
        "1s",
        "--status",
        "200ms",
        "--json",
    ]);
    // On a busy machine the simulated cameras leave out frames.
    assert!([0, 3].contains(&code), "{err}");
    let lines = lines(&out);
    for name in ["a", "b"] {
        let status: Vec<_> =
            lines.iter().map(|line| &line["status"]).filter(|status| status["camera"] == name).collect();
        assert!(!status.is_empty(), "{out}");
        assert!(status.iter().all(|status| status["balances"] == true && status["unix_ns"].is_i64()), "{out}");
        assert!(status.iter().any(|status| status["state"] == "streaming"), "{out}");
    }
    let summaries = lines.iter().filter(|line| line["summary"].is_object()).count();
    assert!(summaries == 1 && lines.last().expect("lines")["summary"]["command"] == "view", "{out}");
}

#[test]
fn status_lines_hold_the_recording_and_the_reason_for_a_lost_camera() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nothing listens on a port that was free a moment ago.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let gone = format!("gone=tcp://{gone}");
    let output = folder.path().to_str().expect("UTF-8");
    let args = ["record", "a=sim:?size=64x48", &gone, "-o", output, "-d", "2s", "--status", "100ms", "--json"];
    let (code, out, err) = run(&args);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("gone: exit code 3: cannot receive the stream of gone"), "{err}");
    let all = lines(&out);
    let of = |name: &str| {
        let status = all.iter().map(|line| &line["status"]).filter(|status| status["camera"] == name);
        status.collect::<Vec<_>>()
    };
    let counts = ["frames_written", "frames_waiting", "bytes_waiting", "missing"];
    assert!(of("a").iter().all(|status| counts.iter().all(|count| status["recording"][count].is_u64())), "{out}");
    let recording = |status: &&&serde_json::Value| status["recording"]["state"] == "recording";
    assert!(of("a").iter().filter(recording).any(|status| status["reason"].is_null()), "{out}");
    let lost: Vec<_> = of("gone").into_iter().filter(|status| status["state"] == "lost").collect();
    assert!(lost.iter().any(|status| status["reason"].as_str().is_some_and(|why| why.contains("refused"))), "{out}");
    assert!(lost.windows(2).all(|two| two[0]["since_unix_ns"] == two[1]["since_unix_ns"]), "{out}");
    let states: Vec<_> = of("gone").iter().map(|status| status["recording"]["state"].clone()).collect();
    // On a busy machine a line may follow between the end of the recording and the last line.
    let mut ended = states.iter().skip_while(|state| *state == "waiting").peekable();
    assert!(ended.peek().is_some() && ended.all(|state| state == "finished"), "{out}");
}

#[test]
fn quiet_prints_results_and_errors_only() {
    let (code, out, err) = run(&["detections", "sim:?size=64x48", "-n", "1", "-q"]);
    assert_eq!((code, out.lines().count(), err.as_str()), (0, 1, ""));
    let (code, _, err) = run(&["detections", "sim:", "--labels", "/nowhere/labels.txt", "-q"]);
    assert_eq!(code, 1);
    assert!(err.starts_with("error: "), "{err}");
}

#[test]
fn color_is_chosen_by_the_user() {
    let labels = ["detections", "sim:", "--labels", "/nowhere/labels.txt"];
    let (_, _, always) = run(&[&labels[..], &["--color", "always"]].concat());
    assert!(always.contains("\x1b[1;31merror:\x1b[0m "), "{always:?}");
    for args in [&[][..], &["--color", "never"], &["--color=auto"]] {
        let (_, _, err) = run(&[&labels[..], args].concat());
        assert!(!err.contains('\x1b'), "{err:?}");
    }
    let (_, out, _) = run(&["view", "--help", "--color=always"]);
    assert!(out.contains('\x1b'), "{out:?}");
    let (code, _, err) = run(&["list", "--color", "sometimes"]);
    assert!(code == 2 && err.contains("always"), "{err}");
}

#[test]
fn a_camera_that_fails_does_not_keep_the_others_from_their_turn() {
    let (code, out, err) = run(&["info", "192.0.2.1", "sim:", "--yes", "--json"]);
    assert_eq!(code, 1, "{err}");
    let lines = lines(&out);
    assert!(lines.len() == 3 && lines[..2].iter().all(|line| line["summary"]["command"] == "info"), "{out}");
    let total = r#"{"total":{"command":"info","cameras":2,"done":1,"failed":["192.0.2.1"],"not_tried":[],"same":[]}}"#;
    assert_eq!(out.lines().last(), Some(total));
    assert_eq!(lines[0]["summary"]["camera"], "192.0.2.1", "{out}");
    assert!(lines[0]["summary"]["error"].as_str().is_some_and(|text| text.starts_with("no reply")), "{out}");
    assert_eq!(lines[1]["summary"]["memories"].as_array().map(Vec::len), Some(1), "{out}");
    assert!(err.contains("error: 192.0.2.1: info failed"), "{err}");
    assert!(err.contains("error: 1 of 2 cameras failed: 192.0.2.1\n"), "{err}");
}

#[test]
fn settings_go_to_every_camera_and_failures_are_named() {
    let (code, _, err) = run(&["control", "a=127.0.0.1:9", "b=127.0.0.1:9", "lens=120"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("error: a: control failed"), "{err}");
    assert!(err.contains("error: b: control failed"), "{err}");
    let (code, _, err) = run(&["control", "sim:", "lens=3"]);
    assert!(code == 2 && err.contains("`sim:` is not a camera on the network"), "{err}");
}

#[test]
fn cameras_of_a_file_that_do_not_reply_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("oaktap.toml");
    let text = "[cameras]\nfront = \"127.0.0.9\"\nyard = \"oak1.invalid\"\ngate = \"1444aabbcc\"\n";
    std::fs::write(&path, text).expect("it can be written to");
    let list = ["list", "--config", path.to_str().expect("UTF-8"), "--wait", "50ms", "--udp-port", "9"];
    let (code, out, err) = run(&list);
    assert_eq!(code, 1, "{err}");
    let silent = ["127.0.0.9 (front)", "oak1.invalid (yard)", "1444aabbcc (gate)"];
    assert!(silent.iter().all(|camera| err.contains(camera)), "{err}");
    let rows: Vec<Vec<_>> = out
        .lines()
        .skip(1)
        .map(|row| row.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect())
        .collect();
    assert_eq!(rows[0], ["- (front)", "127.0.0.9", "-", "missing", "-"], "{out}");
    assert_eq!(rows[2], ["1444aabbcc (gate)", "-", "-", "missing", "-"], "{out}");
    let (code, out, err) = run(&[&list[..], &["--json"]].concat());
    assert_eq!(code, 1, "{err}");
    let cameras = lines(&out)[0]["summary"]["cameras"].as_array().expect("a list").clone();
    let fields = |camera: &Value| ["name", "given", "id", "state"].map(|key| camera[key].clone());
    let expected = [
        ["front".into(), "127.0.0.9".into(), Value::Null, "missing".into()],
        ["yard".into(), "oak1.invalid".into(), Value::Null, "missing".into()],
        ["gate".into(), "1444aabbcc".into(), "1444aabbcc".into(), "missing".into()],
    ];
    assert_eq!(cameras.iter().map(fields).collect::<Vec<_>>(), expected, "{out}");
    // The next command names the camera as it can be typed.
    let (_, _, err) = run(&[&list[..], &["front"]].concat());
    let command = format!("`oaktap doctor front --udp-port 9 --config {}` finds out why", path.display());
    let words = |text: &str| {
        let command = text.split('`').find(|part| part.starts_with("oaktap doctor ")).unwrap_or_default();
        let mut words: Vec<_> = command.split(' ').map(str::to_owned).collect();
        words.sort_unstable();
        words
    };
    assert_eq!(words(&err), words(&command), "{err}");
    // A host is listed as it is viewed.
    let (code, out, err) = run(&["list", "localhost", "--wait", "50ms", "--udp-port", "9"]);
    assert!(code == 1 && out.contains("localhost") && err.contains("no reply from a camera at localhost"), "{err}");
}

#[test]
fn the_next_command_for_a_camera_of_a_file_names_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("oaktap.toml");
    // Nothing listens on port 9.
    std::fs::write(&path, "[cameras]\nfront = \"127.0.0.1:9\"\nback = \"sim:?size=64x48\"\n")
        .expect("it can be written to");
    let config = path.to_str().expect("UTF-8");
    let (code, _, err) = run(&["detections", "--config", config, "-d", "300ms"]);
    assert!(code == 3 || code == 1, "{err}");
    let commands: Vec<_> = err.split('`').filter(|part| part.starts_with("oaktap doctor ")).collect();
    // That of the log, and that at the end.
    assert!(commands.len() >= 2, "{err}");
    for command in commands {
        assert_eq!(command, format!("oaktap doctor front --config {config}"), "{err}");
    }
}

/// A folder with a configuration file of two simulated cameras with bootloaders, and the path of the file.
fn bootloaders() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("oaktap.toml");
    let text = "[cameras]\nfront = \"sim:id=14442C10D13EABCE01\"\nyard = \"sim:id=14442C10D13EABCE02\"\n";
    std::fs::write(&path, text).expect("it can be written to");
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}

#[test]
fn names_of_a_file_select_cameras_for_every_command_that_enters_bootloaders() {
    let (folder, config) = bootloaders();
    let saved = folder.path().join("saved");
    let saved = saved.to_str().expect("UTF-8");
    // A camera without an application has nothing to save.
    let text = std::fs::read_to_string(&config).expect("it was written");
    let with_applications = folder.path().join("applications.toml");
    let text = text.replace("\"\n", "&state=application&restart=10ms&wait-again=2s\"\n");
    std::fs::write(&with_applications, text).expect("it can be written to");
    let with_applications = with_applications.to_str().expect("UTF-8");
    for command in [
        &["info", "front", "yard"][..],
        &["erase", "front", "yard"],
        &["backup", "front", "yard", "-o", saved],
        &["network", "front", "yard", "show"],
        &["bootloader", "front", "yard", "show"],
        &["reset", "front", "yard", "--no-wait"],
        &["boot", "front", "yard", "--no-wait"],
        &["flash", "front", "yard", "--camera-only", "--dry-run"],
    ] {
        let config = if command[0] == "backup" { with_applications } else { &config };
        let (code, out, err) = run(&[command, &["--config", config, "--yes", "--json"]].concat());
        assert_eq!(code, 0, "{command:?}: {err}");
        let mut lines = lines(&out);
        let total = lines.pop().expect("a total")["total"].take();
        let planned = total["planned"].as_array().map_or(0, Vec::len) as u64;
        assert_eq!(planned, if command[0] == "flash" { 2 } else { 0 }, "{command:?}: {out}");
        let done = total["done"].as_u64().expect("a number") + planned;
        assert_eq!((&total["cameras"], done), (&2.into(), 2), "{command:?}: {out}");
        let named: Vec<_> =
            lines.iter().map(|line| (line["summary"]["camera"].clone(), line["summary"]["id"].clone())).collect();
        let expected = [("front", "14442C10D13EABCE01"), ("yard", "14442C10D13EABCE02")];
        assert_eq!(named, expected.map(|(name, id)| (name.into(), id.into())), "{command:?}: {out}");
        let table: Vec<_> = err.lines().skip_while(|line| !line.starts_with("camera ")).collect();
        assert_eq!(table.len(), 3, "{command:?}: {err}");
        assert!(
            table[1..].iter().all(|row| row.ends_with("  done") || row.ends_with("  planned")),
            "{command:?}: {err}"
        );
    }
    let (code, _, err) = run(&["erase", "garden", "--config", &config, "--yes"]);
    assert!(code == 2 && err.contains("names no camera `garden`") && err.contains("names front, yard"), "{err}");
    let (code, out, err) = run(&["info", "gate=sim:", "--yes", "--json"]);
    assert_eq!((code, &lines(&out)[0]["summary"]["camera"]), (0, &"gate".into()), "{err}");
}

#[test]
fn changes_need_each_camera_named_and_one_answer_for_all() {
    let (_folder, config) = bootloaders();
    for command in [&["erase"][..], &["network", "dhcp"], &["network", "clear"]] {
        let (code, _, err) = run(&[command, &["--config", &config, "--yes"]].concat());
        assert!(code == 2 && err.contains("needs the name of each camera"), "{err}");
        assert!(err.ends_with("help: name them: front yard\n"), "{err}");
    }
    // Reading takes all cameras of the file.
    let (code, out, err) = run(&["info", "--config", &config, "--yes", "--json"]);
    assert_eq!((code, out.lines().count()), (0, 3), "{err}");
    // Standard input is not a terminal, so the one question for both cannot be answered.
    let (code, out, err) = run(&["erase", "front", "yard", "--config", &config]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("error: erasing the application: 2 cameras; standard input is not a terminal"), "{err}");
    for (command, own) in [
        (&["static", "192.168.1.60/24", "192.168.1.1"][..], "the address 192.168.1.60"),
        (&["dhcp", "--mac", "02:11:22:33:44:55"], "the Ethernet address 02:11:22:33:44:55"),
    ] {
        let (code, _, err) = run(&[&["network", "front", "yard", "--config", &config, "--yes"], command].concat());
        assert!(code == 2 && err.contains(&format!("{own} belongs to one camera, but 2 are given")), "{err}");
    }
}

#[test]
fn doctor_checks_the_host_once_for_several_named_cameras() {
    let (_folder, config) = bootloaders();
    let (code, out, err) = run(&["doctor", "front", "gate=sim:", "--config", &config, "--no-stream", "--json"]);
    assert_eq!(code, 0, "{err}");
    let lines = lines(&out);
    assert_eq!(lines.len(), 1, "{out}");
    let checks = lines[0]["summary"]["checks"].as_array().expect("a list");
    let mut seen: Vec<_> = checks.iter().map(|check| (&check["subject"], &check["check"])).collect();
    for name in ["front", "gate"] {
        assert!(seen.iter().any(|(subject, check)| **subject == name && **check == "discovery"), "{out}");
    }
    let all = seen.len();
    seen.sort_unstable_by_key(|(subject, check)| (subject.as_str(), check.as_str()));
    seen.dedup();
    assert_eq!(seen.len(), all, "a check was repeated: {out}");
}

#[test]
fn doctor_checks_the_stream_of_a_simulated_camera_of_a_file() {
    let (_folder, config) = config();
    let (code, out, err) = run(&["doctor", "--config", &config, "--measure", "200ms", "--json"]);
    assert_eq!(code, 0, "{err}{out}");
    let lines = lines(&out);
    let checks = lines[0]["summary"]["checks"].as_array().expect("a list");
    for name in ["yard", "front"] {
        let of = |check: &str| checks.iter().find(|found| found["subject"] == name && found["check"] == check);
        assert_eq!(of("stream").expect("it is checked")["level"], "PASS", "{out}");
        assert!(of("state").is_none(), "it has no bootloader: {out}");
    }
    assert!(!out.contains("oaktap flash"), "{out}");
}

#[test]
fn doctor_says_why_one_of_several_cameras_has_no_address() {
    // RFC 6761: names below `invalid` do not exist.
    let (code, out, err) = run(&["doctor", "oak1.invalid", "gate=sim:", "--no-stream"]);
    assert_eq!(code, 1, "{err}");
    assert!(
        out.contains("FAIL  discovery  invalid camera `oak1.invalid`: no id, and not the name of a host: "),
        "{out}"
    );
}

#[test]
fn the_udp_port_of_real_cameras_does_not_hide_simulated_ones() {
    let (_folder, config) = bootloaders();
    let port = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
    let port = port.to_string();
    for command in [
        &["list", "--config", &config][..],
        &["doctor", "gate=sim:", "--no-stream"],
        &["info", "--config", &config, "--yes"],
    ] {
        let (code, out, err) = run(&[command, &["--udp-port", &port]].concat());
        assert_eq!(code, 0, "{command:?}: {err}{out}");
        assert!(!out.contains("missing"), "{command:?}: {out}");
    }
}

#[test]
fn erasing_a_camera_without_an_application_says_so() {
    let (code, out, err) = run(&["erase", "sim:", "--yes"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(": there was no application; its section table was read back and is empty"), "{out}");
    let (_, out, _) = run(&["erase", "sim:", "--yes", "--json"]);
    assert_eq!(lines(&out)[0]["summary"]["found"], Value::Array(Vec::new()), "{out}");
}

#[test]
fn a_misspelled_scheme_has_one_help() {
    for (word, intended) in [("simm:", "sim:"), ("tcp:192.0.2.1", "tcp://192.0.2.1")] {
        let (code, _, err) = run(&["view", word]);
        assert!(code == 2 && err.ends_with(&format!("help: did you mean `{intended}`?\n")), "{err}");
        assert_eq!(err.matches("help: ").count(), 1, "{err}");
    }
}

#[test]
fn list_names_the_cameras_of_the_command_line() {
    let (_folder, config) = bootloaders();
    let listed = |args: &[&str]| {
        let (code, out, err) = run(&[&["list", "--json"], args].concat());
        assert_eq!(code, 0, "{err}");
        lines(&out)[0]["summary"]["cameras"].as_array().expect("a list").clone()
    };
    let named = |cameras: &[Value], name: &str| {
        cameras.iter().find(|camera| camera["name"] == name).map(|camera| camera["id"].clone())
    };
    let cameras = listed(&["gate=sim:id=14442C10D13EABCE07"]);
    assert_eq!(named(&cameras, "gate"), Some("14442C10D13EABCE07".into()), "{cameras:?}");
    let cameras = listed(&["yard", "--config", &config]);
    assert_eq!(named(&cameras, "yard"), Some("14442C10D13EABCE02".into()), "{cameras:?}");
}

/// The rule for `-n`: a camera that sends nothing is given up after the others are done, with exit code 3.
#[test]
fn a_camera_that_is_gone_does_not_keep_a_counted_run_from_its_end() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let gone = format!("gone=tcp://{gone}");
    // Accepts connections and sends nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("silent=tcp://{}", silent.local_addr().expect("it is bound"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().to_str().expect("UTF-8");
    for command in
        [&["detections"][..], &["view", "--no-window"], &["record", "-o", output], &["snapshot", "-o", output]]
    {
        let cameras = ["a=sim:?size=64x48", &gone, &silent, "-n", "3", "--idle-timeout", "1s"];
        let (code, _, err) = run(&[command, &cameras[..]].concat());
        assert_eq!(code, 3, "{command:?}: {err}");
        for name in ["gone", "silent"] {
            let line = format!("{name}: exit code 3: cannot receive the stream of {name} (tcp://127.0.0.1:");
            assert!(err.contains(&line), "{command:?}: {err}");
        }
        assert!(!err.contains("a: exit code 3"), "{command:?}: {err}");
    }
    // Without any frame it is a failure.
    let (code, _, err) = run(&["detections", &gone, &silent, "-n", "3", "-d", "1s"]);
    assert_eq!(code, 1, "{err}");
}

/// Nothing listens at these addresses: the names are compared before the first connection.
#[test]
fn one_camera_under_two_names_is_reported_before_connecting() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("out");
    let output = output.to_str().expect("UTF-8");
    let config = folder.path().join("oaktap.toml");
    std::fs::write(&config, "[cameras]\nfront = \"127.0.0.1:7\"\n").expect("it can be written to");
    let config = config.to_str().expect("UTF-8");
    for command in
        [&["record", "-o", output][..], &["view", "--no-window"], &["detections"], &["snapshot", "-o", output]]
    {
        for (cameras, text) in [
            (&["127.0.0.1:7", "localhost:7"][..], "`127.0.0.1:7` and `localhost:7` are the same camera"),
            (
                &["a=127.0.0.1:7", "b=tcp://127.0.0.1:7"],
                "`a=127.0.0.1:7` and `b=tcp://127.0.0.1:7` are the same camera",
            ),
            (&["front", "127.0.0.1:7", "--config", config], "`front` and `127.0.0.1:7` are the same camera"),
            (&["127.0.0.1:7", "127.0.0.1:7"], "the camera `127.0.0.1:7` is given twice"),
        ] {
            let (code, _, err) = run(&[command, cameras].concat());
            assert!(code == 2 && err.contains(text), "{command:?} {cameras:?}: {code}: {err}");
            assert!(err.contains("help: give each camera once: it serves one client at a time"), "{err}");
        }
    }
    assert!(!std::path::Path::new(output).exists());
}
