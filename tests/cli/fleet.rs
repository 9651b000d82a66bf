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
fn detections_of_several_cameras_carry_their_names() {
    let (code, out, err) = run(&["detections", "a=sim:?size=64x48", "b=sim:?size=64x48&seed=2", "-n", "3", "--json"]);
    assert_eq!(code, 0, "{err}");
    let lines = lines(&out);
    for name in ["a", "b"] {
        let frames: Vec<_> = lines.iter().filter(|line| line["camera"] == name).map(|line| &line["seq"]).collect();
        assert_eq!(frames, [0, 1, 2], "{out}");
    }
    let cameras = lines[6]["summary"]["cameras"].as_array().expect("a summary");
    assert_eq!(cameras.iter().map(|camera| &camera["name"]).collect::<Vec<_>>(), ["a", "b"]);
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
    let mut names: Vec<_> = cameras.iter().filter_map(|camera| camera["name"].as_str()).collect();
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
    let (code, _, err) = run(&["view", "a=sim:", "a=sim:?seed=2"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("two cameras have the name `a`"), "{err}");
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
    assert_eq!(code, 0, "{err}");
    let lines = lines(&out);
    for name in ["a", "b"] {
        let status: Vec<_> = lines.iter().map(|line| &line["status"]).filter(|status| status["name"] == name).collect();
        assert!(!status.is_empty(), "{out}");
        assert!(status.iter().all(|status| status["balances"] == true && status["unix_ns"].is_i64()), "{out}");
        assert!(status.iter().any(|status| status["state"] == "streaming"), "{out}");
    }
    let summaries = lines.iter().filter(|line| line["summary"].is_object()).count();
    assert!(summaries == 1 && lines.last().expect("lines")["summary"]["command"] == "view", "{out}");
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
    assert_eq!(lines(&out).iter().map(|line| &line["summary"]["command"]).collect::<Vec<_>>(), ["info"], "{out}");
    assert!(err.contains("error: 192.0.2.1: info failed"), "{err}");
    assert!(err.trim_end().ends_with("error: 1 of 2 cameras failed: 192.0.2.1"), "{err}");
}

#[test]
fn settings_go_to_every_camera_and_failures_are_named() {
    let (code, _, err) = run(&["control", "a=127.0.0.1:9", "b=127.0.0.1:9", "lens=120"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("error: a: not all settings were made"), "{err}");
    assert!(err.contains("error: b: not all settings were made"), "{err}");
    let (code, _, err) = run(&["control", "sim:", "lens=3"]);
    assert!(code == 2 && err.contains("`sim:` is not a camera on the network"), "{err}");
}

#[test]
fn cameras_of_a_file_that_do_not_reply_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("oaktap.toml");
    std::fs::write(&path, "[cameras]\nfront = \"127.0.0.9\"\n").expect("it can be written to");
    let (code, _, err) = run(&["list", "--config", path.to_str().expect("UTF-8"), "--wait", "50ms", "--udp-port", "9"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("no reply from a camera at 127.0.0.9 (front)"), "{err}");
}
