//! Commands take folders of recordings.

use std::path::Path;

use oaktap::recording::Compression;
use serde_json::Value;

use crate::program::{oaktap, run};
use crate::recordings::{MS, arriving, camera, frames, write};

/// Two cameras with two files each, one after the other: `line-9` and `line-10`.
fn fleet() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (seed, name) in ["line-10", "line-9"].into_iter().enumerate() {
        let below = folder.path().join(name);
        std::fs::create_dir(&below).expect("a folder");
        let frames = frames(&format!("size=64x48&format=GRAY8&records=on&seed={seed}"), 20);
        for (n, part) in frames.chunks(10).enumerate() {
            let name = format!("{}.mcap", [9, 10][n]);
            write(
                &below.join(name),
                Compression::None,
                &[(camera(below.file_name().unwrap().to_str().unwrap()), part.to_vec())],
            );
        }
    }
    folder
}

/// The playback ends while it waits for the second recording, which begins a minute after the first one.
#[test]
fn a_recording_that_the_playback_does_not_reach_is_not_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "size=64x48&records=on".parse().expect("a configuration");
    let paths = [("a", 0), ("b", 60_000)].map(|(name, begins_ms)| {
        let path = folder.path().join(format!("{name}.mcap"));
        let frames = arriving(&config, 10, |n| (begins_ms + 40 * n) * MS);
        write(&path, Compression::None, &[(camera(name), frames)]);
        path
    });
    let files = [text(&paths[0]), text(&paths[1])];
    let (code, document, said) = json(&["replay", files[0], files[1], "--no-window", "--duration", "1s"]);
    assert_eq!(code, 0, "{said}");
    let cameras = &document["summary"]["cameras"];
    assert_eq!((&cameras[0]["frames"]["received"], &cameras[1]["frames"]["received"]), (&10.into(), &0.into()));
    assert!(cameras[1]["error"].is_null() && cameras[1]["findings"] == Value::Array(Vec::new()), "{cameras}");
    assert!(said.contains("b: the playback was stopped before its recording began"), "{said}");
    assert!(!said.contains("--together"), "a minute is not far: {said}");

    // A recording without frames that was played to its end is a failure.
    std::fs::remove_file(&paths[1]).expect("the file");
    write(&paths[1], Compression::None, &[(camera("b"), Vec::<std::sync::Arc<oaktap::frame::Frame>>::new())]);
    let (code, document, said) = json(&["replay", files[0], files[1], "--no-window", "--duration", "1min"]);
    assert_eq!((code, &document["summary"]["cameras"][1]["error"]), (3, &"no frame received".into()), "{said}");
}

/// On one linear time line, the recordings would be points.
#[test]
fn recordings_of_different_days_name_the_option_that_plays_them_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "size=64x48&records=on".parse().expect("a configuration");
    let paths = [("a", 0), ("b", 3 * 86_400_000 + 60_000)].map(|(name, begins_ms)| {
        let path = folder.path().join(format!("{name}.mcap"));
        write(&path, Compression::None, &[(camera(name), arriving(&config, 10, |n| (begins_ms + 40 * n) * MS))]);
        path
    });
    let words = ["replay", text(&paths[0]), text(&paths[1]), "--no-window", "--duration", "20s"];
    let (code, document, said) = json(&words);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("nothing was recorded for 3 d between the recordings: --together starts all"), "{said}");
    let started = std::time::Instant::now();
    let (code, again, said) = json(&[&words[..], &["--together"]].concat());
    assert!(code == 0 && !said.contains("nothing was recorded"), "{code}: {said}");
    for document in [document, again] {
        let received = |n: usize| &document["summary"]["cameras"][n]["frames"]["received"];
        assert_eq!((received(0), received(1)), (&10.into(), &10.into()), "{said}");
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "both have ended");
}

/// Two recordings of the camera `cam` in one folder, a minute apart.
fn monday_and_friday() -> (tempfile::TempDir, [String; 2]) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "size=64x48&records=on".parse().expect("a configuration");
    let paths = [("monday", 0), ("friday", 60_000)].map(|(name, begins_ms)| {
        let path = folder.path().join(format!("{name}.mcap"));
        write(&path, Compression::None, &[(camera("cam"), arriving(&config, 10, |n| (begins_ms + 40 * n) * MS))]);
        text(&path).to_owned()
    });
    (folder, paths)
}

#[test]
fn two_recordings_of_one_camera_play_side_by_side_with_together() {
    let (_folder, [monday, friday]) = monday_and_friday();
    let words = ["replay", &monday, &friday, "--no-window", "--speed", "max"];
    let (code, document, said) = json(&[&words[..], &["--together"]].concat());
    assert_eq!(code, 0, "{said}");
    let summary = &document["summary"];
    assert_eq!(names(summary, "cameras", "camera"), ["cam-monday", "cam-friday"], "{said}");
    assert_eq!(summary["cameras"][1]["frames"]["received"], 10, "{said}");
    let (code, document, said) = json(&words);
    assert_eq!((code, names(&document["summary"], "cameras", "camera")), (0, vec!["cam".to_owned()]), "{said}");
    assert_eq!(document["summary"]["cameras"][0]["frames"]["received"], 20, "one after the other: {said}");
}

#[test]
fn a_recording_has_the_name_that_is_given_before_its_path() {
    let (folder, [monday, friday]) = monday_and_friday();
    let (before, after) = (format!("before={monday}"), format!("after={friday}"));
    let (code, document, said) = json(&["replay", &before, &after, "--together", "--no-window", "--speed", "max"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(names(&document["summary"], "cameras", "camera"), ["before", "after"], "{said}");
    // A path that exists has no name.
    let odd = folder.path().join("x=y.mcap");
    std::fs::rename(&monday, &odd).expect("the file");
    let words = ["replay", "x=y.mcap", "--no-window", "--speed", "max", "--json"];
    let output = oaktap(&words).current_dir(folder.path()).output().expect("the program starts");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(names(&document["summary"], "cameras", "camera"), ["cam"]);
    for (words, expected) in [
        (["replay", "a=gone.mcap", "--no-window"], "cannot open gone.mcap"),
        (["replay", &before, &format!("BEFORE={friday}")], "two cameras have the name `BEFORE`"),
        (["replay", &format!("a/b={friday}"), "--no-window"], "invalid name `a/b`"),
    ] {
        let (code, _, said) = run(&words);
        assert!(code != 0 && said.contains(expected), "{words:?}: {code}: {said}");
    }
    let both = folder.path().join("both.mcap");
    let few = frames("size=64x48&records=on", 2);
    write(&both, Compression::None, &[(camera("a"), few.clone()), (camera("b"), few)]);
    for command in [&["replay", "--speed", "max", "--no-window"][..], &["view", "--no-window"], &["detections"]] {
        let (code, document, said) =
            last_json(&[&[command[0], &format!("one={}", text(&both))][..], &command[1..]].concat());
        assert_eq!(
            (code, names(&document["summary"], "cameras", "camera")),
            (0, vec!["one-a".to_owned(), "one-b".to_owned()]),
            "{said}"
        );
    }
    let words = ["replay", &format!("one={}", text(&both)), "--camera", "b", "--speed", "max", "--no-window"];
    let (code, document, said) = json(&words);
    assert_eq!((code, names(&document["summary"], "cameras", "camera")), (0, vec!["one".to_owned()]), "{said}");
}

#[test]
fn a_missing_file_of_a_split_recording_is_named_with_its_frames() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = text(folder.path());
    let sim = "cam=sim:?size=64x48&format=GRAY8&fps=100";
    let (code, _, said) = run(&["record", sim, "-o", output, "--split", "30kB", "-n", "60"]);
    assert!(code == 0 || code == 3, "{said}");
    let (_, document, _) = json(&["inspect", output]);
    let mut files = names(&document["summary"], "files", "path");
    let counts: Vec<u64> = document["summary"]["files"].as_array().expect("files").iter().map(frames_in).collect();
    assert!(files.len() >= 4 && counts.iter().sum::<u64>() == 60, "{counts:?}");
    let (gone, lost) = (files.remove(1), counts[1]);
    let below = folder.path().join("cam");
    let replay = ["replay", output, "--no-window", "--speed", "max"];
    // A busy machine simulates a camera that leaves out frames.
    let (_, document, _) = json(&replay);
    let not_sent = document["summary"]["cameras"][0]["numbers"]["not_sent"].clone();
    std::fs::remove_file(below.join(&gone)).expect("the file");
    let expected = format!(
        "{} is missing between {} and {}: {lost} frames of cam",
        below.join(&gone).display(),
        files[0],
        files[1]
    );
    let table = folder.path().join("boxes.csv");
    let export = ["export", output, "-o", text(&table)];
    for words in [&["inspect", output][..], &["verify", output], &export, &replay] {
        let (code, out, said) = run(words);
        assert_eq!(code, 3, "{words:?}: {out}{said}");
        assert!((out.clone() + &said).contains(&expected), "{words:?}: {out}{said}, expected {expected}");
        assert!(not_sent != 0 || !said.contains("had no time"), "the camera has sent them: {said}");
    }
    let (_, document, said) = json(&replay);
    let camera = &document["summary"]["cameras"][0];
    assert_eq!(
        (&camera["missing_in_recording"], &camera["frames"]["received"]),
        (&lost.into(), &(60 - lost).into()),
        "{said}"
    );
    assert_eq!(camera["numbers"]["not_sent"], not_sent, "{said}");
    // Another recording of the camera in the same folder is not a part of this one.
    let (_, _, said) = run(&["record", sim, "-o", output, "-n", "5"]);
    let (_, document, _) = json(&["inspect", output]);
    assert_eq!(document["summary"]["missing_files"].as_array().map(Vec::len), Some(1), "{said}");
}

#[test]
fn a_file_whose_place_is_damaged_is_called_damaged_and_not_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = text(folder.path());
    let sim = "cam=sim:?size=64x48&format=GRAY8&fps=100";
    let (code, _, said) = run(&["record", sim, "-o", output, "--split", "30kB", "-n", "60"]);
    assert!(code == 0 || code == 3, "{said}");
    let (_, document, _) = json(&["inspect", output]);
    let path = Path::new(document["summary"]["files"][1]["path"].as_str().expect("a path"));
    let mut bytes = std::fs::read(path).expect("a recording");
    let find = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).position(|found| found == word).expect("metadata");
    let place = find(&bytes, b"oaktap.part");
    // The first letter of the text that all files of the recording have, after its length.
    let value = place + find(&bytes[place..], b"recording") + "recording".len() + 4;
    bytes[value] ^= 1;
    std::fs::write(path, bytes).expect("write");
    let table = folder.path().join("boxes.csv");
    let export = ["export", output, "-o", text(&table)];
    let replay = ["replay", output, "--no-window", "--speed", "max"];
    for words in [&["inspect", output][..], &["verify", output], &export, &replay] {
        let (code, out, said) = run(words);
        let said = out + &said;
        assert_eq!(code, 3, "{words:?}: {said}");
        assert!(!said.contains("missing between") && said.contains("metadata"), "{words:?}: {said}");
        if ["inspect", "verify"].contains(&words[0]) {
            assert!(said.contains(&format!("`oaktap recover {}` saves", path.display())), "{words:?}: {said}");
        }
    }
}

/// The file before the missing one was cut: its summary does not count its frames.
#[test]
fn frames_of_a_missing_file_after_one_that_was_cut_are_counted_and_not_blamed_on_the_camera() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = text(folder.path());
    let sim = "cam=sim:?size=64x48&format=GRAY8&fps=100";
    let (code, _, said) = run(&["record", sim, "-o", output, "--split", "30kB", "-n", "60"]);
    assert!(code == 0 || code == 3, "{said}");
    let replay = ["replay", output, "--no-window", "--speed", "max"];
    let (_, document, _) = json(&replay);
    let not_sent = document["summary"]["cameras"][0]["numbers"]["not_sent"].clone();
    let (_, document, _) = json(&["inspect", output]);
    let files = document["summary"]["files"].as_array().expect("files");
    let counts: Vec<u64> = files.iter().map(frames_in).collect();
    let path = |number: usize| Path::new(files[number]["path"].as_str().expect("a path"));
    tear(path(0), path(0));
    let (_, document, _) = json(&["inspect", output]);
    let saved = frames_in(&document["summary"]["files"][0]);
    assert!(saved > 0 && saved < counts[0], "{saved} of {counts:?}");
    // The next file continues it: the frames at its end were sent, however many they are. Frames that the simulated camera left out
    // there are not known.
    let (code, document, said) = json(&replay);
    let of_camera = &document["summary"]["cameras"][0]["numbers"]["not_sent"];
    assert!(code == 3 && of_camera.as_u64() <= not_sent.as_u64(), "{said}");
    std::fs::remove_file(path(1)).expect("the file");
    let lost = counts[0] - saved + counts[1];
    let expected = format!("{lost} frames of cam, some of them perhaps from the damaged end of ");
    let table = folder.path().join("boxes.csv");
    let export = ["export", output, "-o", text(&table)];
    for words in [&["inspect", output][..], &["verify", output], &export, &replay] {
        let (code, out, said) = run(words);
        assert_eq!(code, 3, "{words:?}: {out}{said}");
        assert!((out.clone() + &said).contains(&expected), "{words:?}: {out}{said}, expected {expected}");
    }
    let (_, document, said) = json(&replay);
    let camera = &document["summary"]["cameras"][0];
    assert_eq!((&camera["missing_in_recording"], &camera["numbers"]["not_sent"]), (&lost.into(), &not_sent), "{said}");
}

/// Color and depth of one connection are two cameras of the files.
#[test]
fn a_missing_file_is_named_with_the_frames_of_each_stream() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = text(folder.path());
    let sim = "cam=sim:?size=64x48&format=GRAY8&depth=on&fps=0";
    let (code, _, said) = run(&["record", sim, "-o", output, "--split", "60kB", "-n", "120"]);
    assert!(code == 0 || code == 3, "{said}");
    let (_, document, _) = json(&["inspect", output]);
    let files = document["summary"]["files"].as_array().expect("files");
    assert!(files.len() >= 4, "{document}");
    let counts: Vec<(String, u64)> = files[1]["cameras"].as_array().expect("cameras").iter().map(counted).collect();
    let [(color, of_color), (depth, of_depth)] = &counts[..] else { panic!("{counts:?}") };
    assert!(color == "cam" && depth == "cam_depth" && *of_color > 1 && *of_depth > 1, "{counts:?}");
    std::fs::remove_file(files[1]["path"].as_str().expect("a path")).expect("the file");
    let (_, document, said) = json(&["inspect", output]);
    let missing = &document["summary"]["missing_files"][0]["frames"];
    assert_eq!(missing, &serde_json::json!({ "cam": of_color, "cam_depth": of_depth }), "{said}");
    let (code, document, said) = json(&["replay", output, "--no-window", "--speed", "max"]);
    assert_eq!(code, 3, "{said}");
    for camera in document["summary"]["cameras"].as_array().expect("cameras") {
        let lost = if camera["camera"] == "cam" { of_color } else { of_depth };
        assert_eq!(camera["missing_in_recording"], *lost, "{camera}");
    }
}

/// Name and number of frames of a camera of a file.
fn counted(camera: &Value) -> (String, u64) {
    (camera["name"].as_str().expect("a name").to_owned(), camera["frames"].as_u64().expect("a number"))
}

fn frames_in(file: &Value) -> u64 {
    file["cameras"][0]["frames"].as_u64().expect("a number")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name in UTF-8")
}

/// Runs a command with --json on a path: exit code, document, standard error.
fn json(arguments: &[&str]) -> (i32, Value, String) {
    let (code, out, said) = run(&[arguments, &["--json"]].concat());
    (code, serde_json::from_str(&out).unwrap_or(Value::Null), said)
}

/// Like [`json`], for a command that prints other lines before its summary.
fn last_json(arguments: &[&str]) -> (i32, Value, String) {
    let (code, out, said) = run(&[arguments, &["--json"]].concat());
    (code, serde_json::from_str(out.lines().last().unwrap_or_default()).unwrap_or(Value::Null), said)
}

fn names(document: &Value, list: &str, key: &str) -> Vec<String> {
    let all = document[list].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter()
        .map(|item| item[key].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned())
        .collect()
}

/// Writes a file that ends in the middle.
fn tear(from: &Path, to: &Path) {
    let whole = std::fs::read(from).expect("a file");
    std::fs::write(to, &whole[..whole.len() * 2 / 3]).expect("a file");
}

#[test]
fn the_files_of_a_camera_replay_as_one_camera() {
    let folder = fleet();
    let (code, document, said) = json(&["replay", text(folder.path()), "--no-window", "--speed", "max"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(names(&document["summary"], "cameras", "camera"), ["line-9", "line-10"], "{said}");
    for camera in document["summary"]["cameras"].as_array().expect("cameras") {
        assert_eq!((&camera["frames"]["received"], &camera["frames"]["missing"]), (&20.into(), &0.into()), "{camera}");
    }
    assert!(!said.contains("no time in common"), "{said}");
}

#[test]
fn view_plays_a_folder_as_replay_does() {
    let folder = fleet();
    let path = text(folder.path());
    let (code, document, said) = json(&["view", path, "--no-window"]);
    assert_eq!(code, 0, "{said}");
    let summary = &document["summary"];
    assert_eq!(
        (&summary["command"], names(summary, "cameras", "camera")),
        (&"view".into(), vec!["line-9".to_owned(), "line-10".to_owned()])
    );
    assert_eq!(summary["cameras"][1]["frames"]["received"], 20, "{said}");
    // Beside a camera, the recordings are cameras like others.
    let (code, document, said) = json(&["view", path, "sim:?size=64x48", "--no-window", "-d", "1s"]);
    assert_eq!((code, names(&document["summary"], "cameras", "camera").len()), (0, 3), "{said}");
}

#[test]
fn commands_that_receive_take_folders_of_recordings() {
    let folder = fleet();
    let path = text(folder.path());
    for (given, expected) in
        [(path.to_owned(), ["line-9", "line-10"]), (format!("x={path}"), ["x-line-9", "x-line-10"])]
    {
        let (code, out, said) = run(&["detections", &given]);
        assert_eq!(code, 0, "{said}");
        let cameras: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        for name in expected {
            let lines = cameras.iter().filter(|line| line["camera"] == name).count();
            assert_eq!(lines, 20, "both files of {name}: {said}");
        }
        assert_eq!(cameras.len(), 40, "{said}");
    }
    let (code, document, said) = json(&["record", path, "-o", text(&folder.path().join("copy.mcap"))]);
    assert_eq!((code, names(&document["summary"], "cameras", "camera").len()), (0, 2), "{said}");
    let empty = tempfile::tempdir().expect("a folder");
    let (code, _, said) = run(&["detections", text(empty.path())]);
    assert!(
        code == 1
            && said.contains("no recording (*.mcap) below the folder")
            && said.contains("help: `oaktap record CAMERA -o "),
        "{code}: {said}"
    );
}

#[test]
fn a_recording_that_does_not_exist_is_an_error_before_anything_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let gone = folder.path().join("gone.mcap");
    let (gone, table) = (text(&gone), text(folder.path()));
    for words in [
        &["view", gone][..],
        &["view", "sim:", gone, "--no-window"],
        &["view", &format!("front={gone}"), "--no-window"],
        &["record", gone, "-o", table],
        &["detections", gone],
        &["snapshot", gone, "-o", table],
        &["replay", gone],
    ] {
        let (code, out, said) = run(words);
        assert_eq!((code, &*out), (1, ""), "{words:?}: {said}");
        assert!(said.starts_with(&format!("error: cannot open {gone}\n")), "{words:?}: {said}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is written");
}

#[test]
fn recordings_that_cannot_be_opened_are_left_out() {
    let folder = fleet();
    std::fs::write(folder.path().join("line-9/11.mcap"), "not a recording").expect("a file");
    let (code, document, said) = json(&["replay", text(folder.path()), "--no-window", "--speed", "max"]);
    assert_eq!(code, 3, "{said}");
    assert_eq!(document["summary"]["cameras"][0]["frames"]["received"], 20, "{said}");
    assert!(said.contains("11.mcap is not a recording"), "{said}");
    let table = folder.path().join("a.csv");
    let (code, document, said) = json(&["export", text(folder.path()), "--to", "csv", "-o", text(&table)]);
    assert_eq!((code, &document["summary"]["written"]), (3, &40.into()), "{said}");
    assert!(said.contains("11.mcap is not a recording"), "{said}");
}

#[test]
fn every_file_of_a_folder_is_verified() {
    let folder = fleet();
    let (code, out, said) = run(&["verify", text(folder.path())]);
    assert_eq!(code, 0, "{said}");
    let files: Vec<_> = out.lines().map(|line| line.split(": ").next().unwrap_or_default()).collect();
    let expected = ["line-9/9.mcap", "line-9/10.mcap", "line-10/9.mcap", "line-10/10.mcap"];
    let expected = expected.map(|name| text(&folder.path().join(name)).to_owned());
    assert_eq!(files, [&expected[..], &["4 recordings, 40 intact frames; 0 bad".to_owned()]].concat(), "{out}");
    // An unreadable file and a damaged one do not end the check.
    std::fs::write(folder.path().join("line-9/9.mcap"), "not a recording").expect("a file");
    tear(&folder.path().join("line-9/10.mcap"), &folder.path().join("line-9/11.mcap.partial"));
    let (code, document, said) = json(&["verify", text(folder.path())]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("1 of 5 recordings damaged, 1 of 5 recordings not readable"), "{said}");
    assert_eq!(
        names(&document["summary"], "files", "path"),
        ["10.mcap", "11.mcap.partial", "9.mcap", "10.mcap"],
        "{said}"
    );
    assert_eq!(names(&document["summary"], "unread", "path"), ["9.mcap"], "{said}");
    let total = &document["summary"]["total"];
    let counts = ["files", "damaged", "with_bad_pictures", "unread"].map(|count| total[count].as_u64());
    assert_eq!(counts, [Some(5), Some(1), Some(0), Some(1)], "{total}");
    let frames = document["summary"]["files"].as_array().expect("a list").iter().map(|file| file["frames"].as_u64());
    assert_eq!(total["frames"].as_u64(), frames.sum::<Option<u64>>(), "{total}");
}

#[test]
fn a_folder_with_a_file_that_cannot_be_read_is_inspected() {
    let folder = fleet();
    std::fs::write(folder.path().join("line-9/8.mcap"), "not a recording").expect("a file");
    let (code, document, said) = json(&["inspect", text(folder.path())]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("8.mcap") && said.contains("1 of 5 files cannot be read"), "{said}");
    assert_eq!(names(&document["summary"], "files", "path"), ["9.mcap", "10.mcap", "9.mcap", "10.mcap"], "{said}");
}

#[test]
fn an_export_without_the_unfinished_recordings_of_a_folder_is_not_whole() {
    let folder = fleet();
    let partial = folder.path().join("line-9/11.mcap.partial");
    tear(&folder.path().join("line-9/10.mcap"), &partial);
    let table = folder.path().join("a.csv");
    let (code, document, said) = json(&["export", text(folder.path()), "--to", "csv", "-o", text(&table), "-q"]);
    assert_eq!((code, &document["summary"]["unfinished"]), (3, &serde_json::json!([text(&partial)])), "{said}");
    assert!(said.contains("1 unfinished recording (*.mcap.partial) left out"), "{said}");
    std::fs::remove_file(&partial).expect("a file");
    let table = folder.path().join("b.csv");
    let (code, document, said) = json(&["export", text(folder.path()), "--to", "csv", "-o", text(&table)]);
    assert_eq!((code, document["summary"].get("unfinished")), (0, None), "{said}");
}

#[test]
fn unfinished_recordings_of_a_folder_are_named_and_recovered() {
    let folder = fleet();
    let path = text(folder.path());
    for name in ["line-9/9.mcap", "line-9/10.mcap", "line-10/9.mcap", "line-10/10.mcap"] {
        let whole = folder.path().join(name);
        tear(&whole, &whole.with_extension("mcap.partial"));
        std::fs::remove_file(whole).expect("a file");
    }
    let (code, _, said) = run(&["replay", path]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("found 4 unfinished ones") && said.contains(&format!("oaktap recover {path}")), "{said}");
    let (code, _, said) = run(&["recover", path, "-o", text(&folder.path().join("a.mcap"))]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("a.mcap` is a file for one recording, found 4: expected `-o "), "{said}");
    // Commands that take a folder would not find it.
    let plain = text(&folder.path().join("recdir")).to_owned();
    let (code, _, said) = run(&["recover", path, "-o", &plain]);
    let expected = format!("does not end with .mcap: expected a file such as {plain}.mcap, or the folder {plain}/");
    assert!(code == 2 && said.contains(&expected) && !Path::new(&plain).exists(), "{code}: {said}");
    // In another folder, the files keep their names, and the originals stay.
    let other = tempfile::tempdir().expect("a folder");
    let (code, document, said) = json(&["recover", path, "-o", text(&other.path().join("new/"))]);
    assert_eq!(code, 3, "{said}");
    let saved = document["summary"]["files"].as_array().expect("files");
    let saved: Vec<_> = saved.iter().filter_map(|file| file["path"].as_str()).map(Path::new).collect();
    let new = other.path().join("new");
    let expected = ["line-9/9", "line-9/10", "line-10/9", "line-10/10"]
        .map(|name| new.join(name).with_extension("recovered.mcap"));
    assert_eq!(saved, expected);
    assert!(saved.iter().all(|path| path.exists()) && folder.path().join("line-9/9.mcap.partial").exists());
    let (code, document, said) = json(&["recover", path]);
    assert_eq!(code, 3, "{said}");
    let recovered = ["9.recovered.mcap", "10.recovered.mcap", "9.recovered.mcap", "10.recovered.mcap"];
    assert_eq!(names(&document["summary"], "files", "path"), recovered, "{said}");
    // Again: nothing is left to do.
    let (code, document, said) = json(&["recover", path]);
    assert_eq!((code, document["summary"]["files"].as_array().map(Vec::len)), (0, Some(0)), "{said}");
    assert!(said.contains("nothing to recover"), "{said}");
    let (code, _, said) = run(&["inspect", path]);
    assert!(code == 0 && !said.contains("unfinished"), "{code}: {said}");
    let (_, document, said) = json(&["replay", path, "--no-window", "--speed", "max"]);
    assert_eq!(names(&document["summary"], "cameras", "camera"), ["line-9", "line-10"], "{said}");
}

#[test]
fn a_folder_is_whole_after_its_damaged_recordings_are_recovered() {
    let folder = fleet();
    let path = text(folder.path());
    let [damaged, empty, busy] =
        ["line-9/10.mcap", "line-10/8.mcap.partial", "line-10/11.mcap.partial"].map(|name| folder.path().join(name));
    let mut bytes = std::fs::read(&damaged).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&damaged, &bytes).expect("a file");
    std::fs::write(&empty, &bytes[..100]).expect("a file");
    tear(&folder.path().join("line-10/10.mcap"), &busy);
    let writer = std::fs::File::open(&busy).expect("a file");
    writer.lock().expect("a lock");

    let (code, document, said) = json(&["recover", path]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("11.mcap.partial: left out, because a recorder is writing it"), "{said}");
    assert!(said.contains("1 of 2 recordings not recovered"), "{said}");
    assert_eq!(names(&document["summary"], "files", "path"), ["10.recovered.mcap"], "{said}");
    assert_eq!(names(&document["summary"], "files", "original"), ["10.mcap.original"], "{said}");
    assert!(std::fs::read(folder.path().join("line-9/10.mcap.original")).expect("the original") == bytes);
    assert!(!damaged.exists() && !empty.exists() && busy.exists());
    assert!(folder.path().join("line-10/8.mcap.partial.original").exists());

    // The damaged recording is not played beside the recovered one.
    drop(writer);
    std::fs::remove_file(busy).expect("a file");
    let (code, document, said) = json(&["replay", path, "--no-window", "--speed", "max"]);
    let received: Vec<_> = (0..2).map(|n| &document["summary"]["cameras"][n]["frames"]["received"]).collect();
    assert_eq!(received, [&serde_json::json!(19), &serde_json::json!(20)], "{code} {said}");
    assert!(!said.contains("unfinished") && !said.contains("oaktap recover"), "{said}");
}

/// The user gave a name to the copy of a damaged recording, so both are in the folder.
#[test]
fn a_recording_with_a_recovered_copy_beside_it_is_not_played_twice() {
    let folder = fleet();
    let damaged = folder.path().join("line-9/9.mcap");
    let mut bytes = std::fs::read(&damaged).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&damaged, &bytes).expect("a file");
    let copy = folder.path().join("line-9/9.recovered.mcap");
    assert_eq!(run(&["recover", text(&damaged), "-o", text(&copy)]).0, 3);
    let (_, document, said) = json(&["replay", text(folder.path()), "--no-window", "--speed", "max"]);
    assert_eq!(names(&document["summary"], "cameras", "camera"), ["line-9", "line-10"], "{said}");
    assert_eq!(document["summary"]["cameras"][0]["frames"]["received"], 19, "{said}");
    let left_out = format!("{} left out: {} has its intact frames", text(&damaged), text(&copy));
    assert!(said.contains(&left_out), "{said}");
    let (_, document, said) = json(&["inspect", text(folder.path())]);
    assert_eq!(document["summary"]["files"].as_array().map(Vec::len), Some(5), "{said}");
}

#[test]
fn an_original_stays_when_the_new_file_is_named_and_no_older_original_is_replaced() {
    let folder = fleet();
    let whole = folder.path().join("line-9/9.mcap");
    let torn = folder.path().join("torn.mcap.partial");
    tear(&whole, &torn);
    let bytes = std::fs::read(&torn).expect("a file");
    let (code, _, said) = run(&["recover", text(&torn), "-o", text(&folder.path().join("a.mcap"))]);
    assert!(code == 3 && torn.exists(), "{code}: {said}");
    let older = folder.path().join("torn.mcap.partial.original");
    std::fs::write(&older, "older").expect("a file");
    let (code, out, said) = run(&["recover", text(&torn)]);
    assert!(code == 3 && out.contains("renamed the original to "), "{code}: {out} {said}");
    assert_eq!(std::fs::read(older).expect("a file"), b"older");
    assert!(std::fs::read(folder.path().join("torn.mcap.partial.original-1")).expect("the original") == bytes);
}

/// A copy beside an intact recording would be read as more frames by every command that takes the folder.
#[test]
fn an_intact_recording_is_not_copied() {
    let folder = fleet();
    let whole = folder.path().join("line-9/9.mcap");
    let (code, out, said) = run(&["recover", text(&whole)]);
    assert_eq!((code, &*out), (0, ""), "{said}");
    assert!(said.contains("9.mcap: intact, left out") && said.contains("nothing to recover"), "{said}");
    assert!(whole.exists() && std::fs::read_dir(whole.parent().expect("a folder")).expect("a folder").count() == 2);
}

/// A folder with options is a source, also in a configuration file.
#[test]
fn a_folder_has_the_options_of_a_recording() {
    let folder = fleet();
    let below = text(folder.path()).to_owned();
    let config = folder.path().join("oaktap.toml");
    std::fs::write(&config, format!("[cameras]\nold = {:?}\n", format!("file:{below}?camera=line-9&speed=max")))
        .unwrap();
    let all = format!("file:{below}?speed=max");
    let (one, named) = (format!("{all}&camera=line-9"), format!("old={all}"));
    for (words, cameras) in [
        (vec![all.as_str()], &["line-9", "line-10"][..]),
        (vec![&one], &["line-9"]),
        (vec![&named], &["old-line-9", "old-line-10"]),
        (vec!["--config", text(&config)], &["old"]),
    ] {
        let (code, document, said) = last_json(&[&["detections"], &words[..]].concat());
        assert_eq!(
            (code, names(&document["summary"], "cameras", "camera")),
            (0, cameras.iter().map(ToString::to_string).collect()),
            "{words:?}: {said}"
        );
        let received = &document["summary"]["cameras"][0]["frames"]["received"];
        assert_eq!(received, 20, "both files of the camera: {words:?}");
    }
    for (options, expected) in [
        ("camera=gate", "the recordings have no camera `gate`"),
        ("then=b.mcap", "`then` continues a file: expected a recording before it, found the folder"),
    ] {
        let (code, _, said) = run(&["detections", &format!("file:{below}?{options}")]);
        assert!(code == 2 && said.contains(expected), "{options}: {code}: {said}");
    }
}
