//! Errors about files name the next command with the path, and are also on standard output with --json.

use std::path::Path;
use std::time::{Duration, Instant};

use oaktap::recording::Compression;
use serde_json::Value;

use crate::program::{oaktap, run};
use crate::recordings::{camera, frames, write};

fn text(path: &Path) -> &str {
    path.to_str().expect("a name in UTF-8")
}

/// A recording of two cameras with this path, without its last third.
fn torn(path: &Path) {
    let frames = frames("size=64x48&format=GRAY8&records=on", 20);
    write(path, Compression::None, &[(camera("door"), frames.clone()), (camera("gate"), frames)]);
    let whole = std::fs::read(path).expect("a file");
    std::fs::write(path, &whole[..whole.len() * 2 / 3]).expect("a file");
}

#[test]
fn suggested_commands_quote_the_path_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let below = folder.path().join("it's mine");
    std::fs::create_dir(&below).expect("a folder");
    let path = below.join("a b.mcap");
    torn(&path);
    let good = folder.path().join("good.mcap");
    write(&good, Compression::None, &[(camera("yard"), frames("size=64x48&format=GRAY8&records=on", 4))]);
    let quoted = format!("'{}'", text(&path).replace('\'', "'\\''"));
    let recover = format!("`oaktap recover {quoted}`");
    let table = folder.path().join("a.csv");
    let (path, good) = (text(&path), text(&good));
    for words in [
        &["verify", path][..],
        &["verify", path, good],
        &["inspect", path],
        &["export", path, good, "-o", text(&table)],
        &["replay", path, "--no-window", "--speed", "max"],
        &["replay", path, good, "--no-window", "--speed", "max"],
    ] {
        let (code, out, said) = run(words);
        // Once for both cameras.
        let printed = (out.clone() + &said).matches(&recover).count();
        assert_eq!((code, printed), (3, 1), "{words:?}: {out}{said}");
        assert!(!said.contains("FILE`") && !said.contains("FILE "), "{words:?}: {said}");
    }
    std::fs::rename(path, format!("{path}.partial")).expect("the file");
    let (_, _, said) = run(&["replay", text(&below), "--no-window"]);
    let quoted = format!("'{}'", text(&below).replace('\'', "'\\''"));
    assert!(said.contains(&format!("`oaktap recover {quoted}`")), "{said}");
}

#[test]
fn a_file_that_is_not_a_recording_is_not_to_be_recovered() {
    let folder = tempfile::tempdir().expect("a folder");
    let (notes, good) = (folder.path().join("notes.txt"), folder.path().join("good.mcap"));
    std::fs::write(&notes, "hello\n").expect("a file");
    write(&good, Compression::None, &[(camera("yard"), frames("size=64x48&format=GRAY8", 4))]);
    let (code, _, said) = run(&["verify", text(&notes), text(&good)]);
    assert!(code == 1 && said.contains("1 of 2 recordings not readable") && !said.contains("recover"), "{said}");
    let (code, _, said) = run(&["recover", text(&notes)]);
    let help = "help: nothing in it can be saved: use another copy of the recording";
    let found = "expected a recording (.mcap), found 6 bytes that do not begin like one";
    assert!(code == 1 && said.contains(found) && said.contains(help), "{said}");
    let tiny = folder.path().join("tiny.mcap");
    for (bytes, found) in [(0, "an empty file"), (100, "one that ends after 100 bytes, before any frame")] {
        std::fs::write(&tiny, &std::fs::read(&good).expect("a file")[..bytes]).expect("a file");
        let (code, _, said) = run(&["recover", text(&tiny)]);
        assert!(code == 1 && said.contains(&format!("found {found}\n")) && said.contains(help), "{said}");
        assert!(!said.contains('`'), "no command leads on: {said}");
        for command in ["verify", "inspect"] {
            let (code, _, said) = run(&[command, text(&tiny)]);
            assert!(code == 1 && !said.contains("mcap info"), "{command}: {said}");
        }
    }
}

/// It was looked up as the name of a host, for ever.
#[test]
fn a_misspelled_recording_is_not_a_host() {
    let folder = tempfile::tempdir().expect("a folder");
    let evening = folder.path().join("evening one.mcap");
    write(&evening, Compression::None, &[(camera("yard"), frames("size=64x48&format=GRAY8", 4))]);
    let meant = format!("did you mean `{}`?", text(&evening));
    for name in ["evening one.mcp", "evening one.mcaps", "evening onemcap", "evning one.mcap"] {
        let path = folder.path().join(name);
        let (code, _, said) = run(&["view", "--no-window", text(&path)]);
        let is_missing = said.contains("there is no file `") || said.contains("cannot open ");
        assert!(code != 0 && is_missing && said.contains(&meant), "{name}: {code} {said}");
    }
    for word in ["evening.mcp", "evening one"] {
        let (code, _, said) = run(&["detections", word]);
        assert!(code == 2 && said.contains(&format!("there is no file `{word}`")), "{word}: {code} {said}");
    }
    // Names of hosts are looked up.
    for word in ["127.0.0.1:1", "localhost:1", "cam.localhost", "cam.camp"] {
        let (_, _, said) = run(&["detections", word, "-d", "100ms"]);
        assert!(!said.contains("no file"), "{word}: {said}");
    }
}

#[test]
fn a_command_that_fails_prints_its_error_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (missing, notes, file) = (path("missing.mcap"), path("notes.txt"), path("a.mcap"));
    std::fs::write(&notes, "hello\n").expect("a file");
    write(Path::new(&file), Compression::None, &[(camera("door"), frames("size=64x48&format=GRAY8", 4))]);
    let below_file = format!("{notes}/x.mcap");
    for (words, error) in [
        (&["verify", &missing][..], "cannot open "),
        (&["inspect", &notes], "is neither a recording"),
        (&["recover", &missing], "cannot open "),
        (&["export", &file, "--to", "png", "-o", &below_file], "cannot write "),
        (&["export", &file, "-o", &file], "does not tell the format"),
        (&["record", "sim:", "-o", &below_file], "cannot start recording"),
        (&["replay", &missing, "--no-window"], "cannot open "),
    ] {
        let (code, out, said) = run(&[words, &["--json"]].concat());
        let lines: Vec<_> = out.lines().collect();
        assert!([1, 2].contains(&code) && lines.len() == 1, "{words:?}: {code}: {out}{said}");
        let line: Value = serde_json::from_str(lines[0]).expect("JSON");
        let found = line["summary"]["error"].as_str().expect("an error");
        assert!(found.contains(error) && line["summary"]["command"] == words[0], "{words:?}: {out}");
    }
    let (_, out, _) = run(&["verify", &missing]);
    assert_eq!(out, "", "only with --json");
}

/// JSON is text: the bytes that are not are replaced.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_are_exported_and_reported() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let name = |bytes: &[u8]| folder.path().join(std::ffi::OsStr::from_bytes(bytes));
    let file = name(b"in\xff.mcap");
    write(&file, Compression::None, &[(camera("door"), frames("size=64x48&format=GRAY8&records=on", 4))]);
    let table = name(b"bad\xff.csv");
    let export = oaktap(&["export", "--json", "-o"]).arg(&table).arg(&file).output().expect("the program starts");
    assert!(export.status.success() && table.exists(), "{export:?}");
    let line: Value = serde_json::from_slice(&export.stdout).expect("JSON");
    assert!(line["summary"]["output"].as_str().is_some_and(|name| name.ends_with("bad\u{fffd}.csv")), "{line}");
    let mut named = std::ffi::OsString::from("front=");
    named.push(&file);
    for word in [file.as_os_str(), &named] {
        let shots = tempfile::tempdir().expect("a folder");
        let shot = ["snapshot", "-o", shots.path().to_str().expect("UTF-8")];
        for command in [&["detections"][..], &["view", "--no-window"], &shot] {
            let done = oaktap(command).arg(word).output().expect("the program starts");
            assert!(done.status.success(), "{command:?} {word:?}: {done:?}");
        }
    }
    let done = oaktap(&["replay", "--no-window"]).arg(&file).output().expect("the program starts");
    assert!(done.status.success(), "{done:?}");
    let plot = name(b"plot\xff.svg");
    let done = oaktap(&["inspect"]).arg(&file).arg("--plot").arg(&plot).output().expect("the program starts");
    assert!(done.status.success() && plot.exists(), "{done:?}");
    for command in ["verify", "inspect"] {
        let done = oaktap(&[command, "--json"]).arg(folder.path()).output().expect("the program starts");
        assert!(done.status.success(), "{done:?}");
        let line: Value = serde_json::from_slice(&done.stdout).expect("JSON");
        let path = line["summary"]["files"][0]["path"].as_str().expect("a path");
        assert!(path.ends_with("in\u{fffd}.mcap"), "{line}");
    }
    std::fs::write(&file, &std::fs::read(&file).expect("a file")[..5000]).expect("a file");
    let said = oaktap(&["verify"]).arg(&file).output().expect("the program starts").stderr;
    let said = String::from_utf8(said).expect("it prints UTF-8");
    assert!(said.contains("`oaktap recover $'") && said.contains("in\\xff.mcap'`"), "{said}");
}

/// The recorder has the file locked.
#[cfg(target_os = "linux")]
#[test]
fn a_recording_in_progress_is_not_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    let partial = folder.path().join("a.mcap.partial");
    let mut recorder = oaktap(&["record", "door=sim:?size=64x48", "-o", text(&path), "-d", "10min", "-q"])
        .spawn()
        .expect("the program starts");
    let begun = Instant::now();
    // The first chunk takes half a second.
    while partial.metadata().map_or(0, |found| found.len()) < 50_000 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing was written");
        std::thread::sleep(Duration::from_millis(5));
    }
    let verified = run(&["verify", text(&partial)]);
    let inspected = run(&["inspect", text(&partial)]);
    let recovered = [
        run(&["recover", text(&partial)]),
        run(&["recover", text(&partial), "-o", text(&folder.path().join("copy.mcap"))]),
        run(&["recover", "--json", text(&partial)]),
    ];
    let exported = run(&["export", text(&partial), "-o", text(&folder.path().join("a.csv"))]);
    let of_folder = run(&["export", text(folder.path()), "-o", text(&folder.path().join("b.csv"))]);
    let source = format!("file:{}?speed=max", text(&partial));
    let played = [
        run(&["replay", text(&partial), "--no-window", "--speed", "max"]),
        run(&["view", &source, "--no-window"]),
        run(&["detections", &source]),
    ];
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    recorder.kill().and_then(|()| recorder.wait()).expect("it ends");
    for (code, out, said) in [verified, inspected] {
        assert!(code == 0 && out.contains("still being recorded") && said.is_empty(), "{code}: {out}{said}");
        assert!(!out.contains("no checksum"), "the index is not written yet: {out}");
    }
    for (code, _, said) in played {
        assert!(
            code == 0 && said.contains("still being recorded") && !said.contains("oaktap recover"),
            "{code}: {said}"
        );
    }
    for (code, out, said) in recovered {
        let help = format!("stop the recorder, or read the file as it is with `oaktap export {}`", text(&partial));
        assert!(code == 1 && said.contains("a recorder is writing it") && said.contains(&help), "{code}: {out}{said}");
    }
    assert_eq!(left, 2, "the recording and the first table");
    let (code, out, said) = exported;
    assert!(code == 0 && said.contains("still being recorded"), "{code}: {out}{said}");
    assert!(!said.contains("oaktap recover") && !said.contains("recovered"), "{said}");
    let (code, out, said) = of_folder;
    let expected = format!(
        "error: no finished recording (*.mcap) below the folder {}: found 1 recording (*.mcap.partial), still being recorded\n\
         help: give the file itself to read the frames written so far: {}\n",
        text(folder.path()),
        text(&partial)
    );
    assert!(code == 1 && said.contains(&expected) && !said.contains("left out"), "{code}: {out}{said}");
    assert!(!said.contains("oaktap recover"), "{said}");
    // The recorder was killed: the end is missing.
    let (code, out, said) = run(&["verify", text(&partial)]);
    assert!(code == 3 && out.contains("damaged in ") && said.contains("`oaktap recover "), "{code}: {out}{said}");
    let (code, out, _) = run(&["inspect", text(&partial)]);
    assert!(code == 3 && out.contains("unfinished: the end is missing"), "{code}: {out}");
}
