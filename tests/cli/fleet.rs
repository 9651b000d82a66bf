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
