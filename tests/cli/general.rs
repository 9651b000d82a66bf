//! The program `oaktap`: exit codes, output streams and termination.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, Output, Stdio};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use oaktap::sim::{SimConfig, Stream};

use crate::program::{oaktap, run, signal};

/// A simulator in its own process, which is killed on drop if it still runs.
struct Simulator {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    uri: String,
}

impl Simulator {
    fn start(args: &[&str]) -> Self {
        let mut child = oaktap(&["simulate", "--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("it prints UTF-8");
        let uri = line.strip_prefix("listening on ").expect(&line).trim_end().to_owned();
        Self { child, stderr, uri }
    }

    /// Interrupts it and returns the lines that it has printed meanwhile.
    fn interrupt(mut self) -> (i32, String, String) {
        signal(&self.child, "INT");
        let (mut out, mut err) = (String::new(), String::new());
        self.stderr.read_to_string(&mut err).expect("it prints UTF-8");
        self.child.stdout.take().expect("it is piped").read_to_string(&mut out).expect("it prints UTF-8");
        (self.child.wait().expect("it ends").code().expect("it was not killed"), out, err)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // It has already ended if the test passed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Parses the lines of JSON on standard output. Panics if there is other text.
fn lines(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn detections_of_a_simulated_camera_end_to_end() {
    let simulator = Simulator::start(&["--size", "64x48", "--fps", "100", "--seed", "5", "--json"]);
    let (code, out, err) =
        run(&["detections", &simulator.uri, "--size", "64x48", "--hash", "--frames", "20", "--json"]);
    assert_eq!(code, 0, "{err}");
    let lines = lines(&out);
    assert_eq!(lines.len(), 21, "{out}");

    // The camera drops frames that no client fetches, so the first frame may have any number.
    let config: SimConfig = "size=64x48&fps=100&seed=5".parse().unwrap();
    let mut camera = Stream::new(&config).unwrap();
    let mut sent = std::iter::from_fn(|| Some(camera.turn().truth)).take(100_000);
    for (seq, line) in lines[..20].iter().enumerate() {
        let hash = line["sha256"].as_str().unwrap();
        let truth = sent
            .find(|truth| format_hash(&truth.payload) == hash && line["device_time_us"] == truth.device_time.0)
            .unwrap_or_else(|| panic!("the camera did not send the frame of this line: {line}"));
        let place = (line["seq"].as_u64(), &line["width"], &line["height"], &line["format"], &line["bytes"]);
        assert_eq!(place, (Some(seq as u64), &64.into(), &48.into(), &"BGR888p".into(), &9216.into()));
        let detections = line["detections"].as_array().unwrap();
        assert_eq!(detections.len(), truth.detections.len());
        for (seen, sent) in detections.iter().zip(&truth.detections) {
            assert_eq!(seen["label"], sent.label);
            let confidence = seen["confidence"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&confidence) && (confidence - f64::from(sent.confidence)).abs() < 1e-6);
            assert!(seen["name"].as_str().is_some_and(|name| !name.is_empty()));
            let bbox: Vec<f64> = seen["bbox"].as_array().unwrap().iter().map(|edge| edge.as_f64().unwrap()).collect();
            let expected = [sent.bbox.xmin, sent.bbox.ymin, sent.bbox.xmax, sent.bbox.ymax].map(f64::from);
            assert!(bbox.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{bbox:?} {expected:?}");
        }
        assert!(line["arrival_unix_ns"].as_i64().unwrap() > 1_700_000_000_000_000_000);
    }

    let ledger = &lines[20]["summary"]["cameras"][0];
    assert_eq!((&ledger["balances"], &ledger["lossless"]), (&true.into(), &true.into()), "{ledger}");
    assert!(ledger["frames"]["confirmed"].as_u64().unwrap() >= 20, "{ledger}");
    assert_eq!((&ledger["lanes"][0]["name"], &ledger["lanes"][0]["dropped"]), (&"detections".into(), &0.into()));

    let (code, out, err) = simulator.interrupt();
    assert_eq!(code, 0, "{err}");
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["summary"]["command"], "simulate");
    assert!(document["summary"]["cameras"][0]["intact"].as_u64().unwrap() >= 20, "{out}");
}

fn format_hash(payload: &[u8]) -> String {
    Sha256::digest(payload).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn damage_is_exit_code_3_and_no_damaged_frame_is_printed() {
    let uri = "sim:?size=64x48&fps=200&fault=short:0.3&seed=3";
    let (code, out, err) = run(&["detections", uri, "--frames", "40", "--json"]);
    assert_eq!(code, 3, "{err}");
    let lines = lines(&out);
    let frames = &lines[40]["summary"]["cameras"][0]["frames"];
    assert!(frames["withdrawn"].as_u64().unwrap() + frames["lost"].as_u64().unwrap() > 0, "{frames}");
    assert!(lines[..40].iter().all(|line| line["bytes"] == 9216), "{out}");
}

#[test]
fn labels_select_and_name_classes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("labels.txt");
    let names: String = (0..80).map(|label| format!("thing {label}\n")).collect();
    std::fs::write(&file, names).unwrap();
    let file = file.to_str().unwrap();
    let uri = "sim:?size=64x48&fps=200&boxes=8";
    let all = lines(&run(&["detections", uri, "--frames", "3", "--labels", file]).1);
    let wanted = all[0]["detections"][0]["name"].as_str().unwrap();
    assert!(wanted.starts_with("thing "), "{wanted}");
    let some = lines(&run(&["detections", uri, "--frames", "3", "--labels", file, "--only", wanted]).1);
    for line in &some {
        let detections = line["detections"].as_array().unwrap();
        assert!(!detections.is_empty() && detections.iter().all(|seen| seen["name"] == wanted), "{line}");
    }
    let (_, _, err) = run(&["detections", uri, "--frames", "3", "--labels", file]);
    assert!(!err.contains("has no name for class"), "{err}");
    std::fs::write(file, "thing 0\n").unwrap();
    let (_, _, err) = run(&["detections", uri, "--frames", "3", "--labels", file]);
    let found = err.matches("--labels has no name for class ").count();
    assert!(found == 1 && err.contains(": the file has 1 name"), "{err}");
}

#[test]
fn a_usage_error_exits_with_2_and_advice() {
    for (args, says) in [
        (&["detections"][..], "no camera given"),
        (
            &["detections", "rtsp://camera"],
            "expected `tcp://`, `listen://`, `http://`, `https://`, `http-post://`, `mqtt://`",
        ),
        (&["detections", "sim:?fsp=40"], "expected one of size, fps"),
        (&["detections", "sim:", "--size", "640"], "WIDTHxHEIGHT"),
        (&["detections", "sim:", "--duration", "10"], "such as 10s"),
        (&["detections", "sim:", "--format", "PNG"], "BGR888p"),
        (&["simulate", "--format", "NV12", "--dialect", "ABCDE"], "use dialect IMG"),
        (&["simulate", "--fault", "shrt:0.1"], "short"),
        (&["simulate", "--listen", "127.0.0.1:65535", "--count", "2"], "ports"),
        (&["man", "nonsense"], "unknown command `nonsense`"),
        (&["nonsense"], "nonsense"),
    ] {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(err.contains(says), "{args:?}: {err}");
    }
}

#[test]
fn a_failure_exits_with_1_a_cause_and_help() {
    let (code, out, err) = run(&["detections", "sim:", "--labels", "/nowhere/labels.txt"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("/nowhere/labels.txt") && err.contains("because") && err.contains("\nhelp: "), "{err}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, out, err) = run(&["simulate", "--listen", &address]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains(&address) && err.contains("help: another program may use this port"), "{err}");

    drop(taken);
    let (code, out, err) = run(&["detections", &address, "--duration", "300ms"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("refused") && err.contains("no program listens on this port"), "{err}");
}

#[test]
fn a_view_without_any_picture_is_a_failure() {
    for (source, options, says) in [
        ("sim:?size=320x180&records=off", &["--size", "640x400"][..], "without these options it is taken as 320x180"),
        // Its slices are noise.
        ("sim:?format=H265&size=64x48", &[], "cannot decode this H.265 frame"),
    ] {
        let (code, _, err) = run(&[&["view", source, "--no-window", "--frames", "3"], options].concat());
        assert_eq!(code, 1, "{err}");
        assert!(
            err.contains("the stream of sim-1") && err.contains(" frames could be shown: ") && err.contains(says),
            "{err}"
        );
    }
}

#[test]
fn an_interrupted_program_prints_its_summary() {
    for name in ["INT", "TERM"] {
        let mut child = oaktap(&["detections", "sim:?size=64x48", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap(); // It runs, and listens for signals.
        signal(&child, name);
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        let err = String::from_utf8(stderr).unwrap();
        // On a busy machine the simulated camera leaves out frames.
        assert!([Some(0), Some(3)].contains(&status.code()), "SIG{name}: {err}");
        assert!(lines(&rest).last().unwrap()["summary"]["cameras"][0]["balances"] == true, "{rest}");
        assert!(err.contains("Mbit/s"), "{err}");
    }
}

#[test]
fn a_closed_pipe_is_not_a_failure() {
    let mut child = oaktap(&["detections", "sim:?size=64x48"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut first = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut first).unwrap();
    drop(out);
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let err = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(0), "{err}");
    assert!(!err.contains("panicked"), "{err}");
}

#[test]
fn simulate_runs_several_cameras_and_stops_after_its_duration() {
    let (code, out, err) = run(&[
        "simulate",
        "--listen",
        "127.0.0.1:0",
        "--count",
        "3",
        "--duration",
        "50ms",
        "--json",
        "--size",
        "64x48",
    ]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(err.lines().filter(|line| line.starts_with("listening on tcp://127.0.0.1:")).count(), 3, "{err}");
    assert_eq!(lines(&out)[0]["summary"]["cameras"].as_array().unwrap().len(), 3);
}

#[test]
fn completions_and_manual_pages_list_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, out, err) = run(&["completions", shell]);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.contains("detections") && out.contains("fragment"), "{shell}");
    }
    let (code, out, _) = run(&["man"]);
    assert!(code == 0 && out.starts_with(".ie") && out.contains("simulate"), "{out}");
    let (code, out, _) = run(&["man", "simulate"]);
    assert!(code == 0 && out.contains("\\-\\-fragment") && out.contains("oaktap\\-simulate"), "{out}");
}

#[test]
fn help_pages_match_their_snapshots() {
    for command in ["detections", "simulate", "view", "record", "serve", "publish", "snapshot", "flash", "export"] {
        let (code, out, err) = run(&[command, "--help"]);
        assert_eq!((code, err.as_str()), (0, ""));
        insta::assert_snapshot!(format!("help-{command}"), out);
    }
}

/// Each says what was given, what was expected, and the next command.
#[test]
fn files_that_cannot_be_used_are_named_with_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(path("folder")).unwrap();
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("picture"), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff").unwrap();
    let new = |name: &str| path(&format!("new {name}"));
    for (kind, given) in [("missing", "No such file"), ("folder", "folder"), ("empty", "empty"), ("picture", "PNG")] {
        let (file, source) = (path(kind), format!("file:{}", path(kind)));
        let (table, saved) = (new("a.csv"), new("a.mcap"));
        let recordings: [&[&str]; 7] = [
            &["inspect", &file],
            &["verify", &file],
            &["recover", &file, "-o", &saved],
            &["export", &file, "--to", "csv", "-o", &table],
            &["replay", &file, "--no-window"],
            &["view", &source, "--no-window"],
            &["detections", &source],
        ];
        let camera = "sim:?size=64x48";
        let others: [&[&str]; 3] = [
            &["flash", "sim:", "--app", &file, "--dry-run"],
            &["detections", camera, "-n", "1", "--labels", &file],
            &["detections", "-n", "1", "--config", &file],
        ];
        for command in recordings.iter().chain(&others) {
            let (code, out, err) = run(command);
            assert!(matches!(code, 1 | 2 | 4) && out.is_empty(), "{command:?}: {code} {out} {err}");
            assert!(err.contains(&file), "{command:?} does not name the file: {err}");
        }
        for command in &recordings {
            let (_, _, err) = run(command);
            let recovers = command[0] == "recover" && matches!(kind, "empty" | "picture");
            assert!(recovers || err.contains(given), "{command:?}: expected `{given}`: {err}");
            let says = ["expected", "No such file", "no recording", "no files that end in"];
            assert!(says.iter().any(|says| err.contains(says)), "{command:?} does not say what is expected: {err}");
        }
        if kind == "picture" {
            for command in &others[1..] {
                let (_, _, err) = run(command);
                assert!(err.contains("this is not a text file"), "{command:?}: {err}");
            }
        }
        if matches!(kind, "empty" | "picture") {
            let (code, _, err) = run(&["info", &file]);
            assert!(code == 2 && err.contains("is a file, not a camera; `oaktap inspect"), "{err}");
        }
        assert!(!std::path::Path::new(&table).exists() && !std::path::Path::new(&saved).exists(), "{kind}");
    }
}

/// Before a connection: no command replaces a file.
#[test]
fn existing_files_are_named_before_any_camera_is_reached() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let existing = ["a.png", "b.json", "c.json", "d.svg"].map(|name| {
        std::fs::write(path(name), "mine").expect("writable folder");
        path(name)
    });
    let [picture, beside, bundle, plot] = &existing;
    let other = path("b.png");
    for (args, file) in [
        (&["snapshot", "192.0.2.1", "-o", picture][..], picture),
        (&["snapshot", "192.0.2.1", "-o", &other], beside),
        (&["doctor", "192.0.2.1", "--bundle", bundle], bundle),
        (&["bench", "tcp://192.0.2.1", "--plot", plot], plot),
    ] {
        let start = std::time::Instant::now();
        let (code, _, err) = run(args);
        assert_eq!(code, 1, "{err}");
        let expected = format!("error: {file} already exists\nhelp: oaktap does not replace files");
        assert!(err.contains(&expected), "{err}");
        assert!(start.elapsed() < std::time::Duration::from_secs(5), "{args:?} tried the camera first");
    }
    assert!(existing.iter().all(|path| std::fs::read(path).expect("a file") == b"mine"));
}

/// Runs the program as a user without rights: the tests of a build machine run as root, whom no permission stops. `None` if
/// that user cannot run the program.
#[cfg(target_os = "linux")]
fn without_rights(words: &[&str]) -> Option<(Option<i32>, String)> {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65534;
    let mut command = oaktap(words);
    let is_root = std::fs::metadata("/proc/self").expect("this process").uid() == 0;
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let Output { status, stderr, .. } = match command.output() {
        // The build folder of this machine is closed to other users.
        Err(error) if is_root && error.kind() == std::io::ErrorKind::PermissionDenied => {
            eprintln!("skipped: {NOBODY} cannot run the program");
            return None;
        }
        output => output.expect("the program starts"),
    };
    Some((status.code(), String::from_utf8(stderr).expect("UTF-8")))
}

#[cfg(target_os = "linux")]
#[test]
fn recordings_that_cannot_be_read_are_named_by_every_command() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    std::fs::write(&path, b"\x89MCAP0\r\n").expect("a file");
    for (place, mode) in [(folder.path(), 0o755), (&*path, 0o000)] {
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(mode)).expect("our file");
    }
    let (file, table) = (path.to_str().expect("UTF-8"), folder.path().join("a.csv"));
    for words in [
        &["inspect", file][..],
        &["verify", file],
        &["recover", file],
        &["replay", file, "--no-window"],
        &["view", file, "--no-window"],
        &["export", file, "-o", table.to_str().expect("UTF-8")],
    ] {
        let Some((code, said)) = without_rights(words) else { break };
        assert_eq!(code, Some(1), "{words:?}: {said}");
        assert!(said.contains(file) && said.contains("Permission denied"), "{words:?}: {said}");
        assert!(!said.contains("oaktap recover"), "it is not damaged: {words:?}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn places_that_cannot_be_written_are_found_before_the_work() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let inside = folder.path().join("inside");
    std::fs::create_dir(&inside).expect("writable folder");
    for place in [folder.path(), &inside] {
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o555)).expect("our folder");
    }
    let path = |name: &str| inside.join(name).to_str().expect("UTF-8").to_owned();
    let (whole, new, file, picture) = (path(""), path("new"), path("a.dap"), path("a.png"));
    let (whole, report) = (whole.trim_end_matches('/').to_owned(), path("a.json"));
    let named = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    for (words, what) in [
        (named(&["backup", "192.0.2.1", "--yes", "-o", &whole]), format!("cannot write backups to {whole}")),
        (named(&["backup", "192.0.2.1", "--yes", "-o", &new]), format!("cannot write backups to {new}")),
        (named(&["build", "--camera-only", "-o", &file]), format!("cannot write {file}")),
        (named(&["snapshot", "192.0.2.1", "-o", &picture]), format!("cannot write {picture}")),
        (named(&["snapshot", "192.0.2.1", "-o", &whole]), format!("cannot write pictures to {whole}")),
        (named(&["doctor", "192.0.2.1", "--bundle", &report]), format!("cannot write {report}")),
    ] {
        let start = std::time::Instant::now();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let Some((code, said)) = without_rights(&words) else { break };
        assert_eq!(code, Some(1), "{words:?}: {said}");
        assert!(said.contains(&what) && said.contains("Permission denied"), "{words:?}: {said}");
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "{words:?} tried the camera first");
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("our folder");
    std::fs::set_permissions(&inside, std::fs::Permissions::from_mode(0o755)).expect("our folder");
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_that_cannot_be_written_is_an_error() {
    for args in [&["--version"][..], &["--help"], &["view", "--help"], &["completions", "bash"], &["bench", "--help"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let output = crate::program::oaktap(args).stdout(full).output().expect("it starts");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {err}");
        assert!(err.contains("error: cannot write to standard output"), "{args:?}: {err}");
    }
}

#[test]
fn negative_numbers_are_out_of_range_and_not_unknown_options() {
    for args in [
        &["view", "sim:", "--frames", "-3"][..],
        &["view", "sim:", "-n", "-3"],
        &["view", "sim:", "-d", "-5"],
        &["view", "sim:", "--stride", "-1"],
        &["view", "sim:", "--threshold", "-0.5"],
        &["view", "sim:", "--scale", "-1"],
        &["record", "sim:", "-o", "x", "--buffer", "-1"],
        &["snapshot", "sim:", "-n", "-1"],
        &["export", "x.mcap", "-o", "x", "--every", "-10"],
        &["export", "x.mcap", "-o", "x", "--quality", "-10"],
        &["simulate", "--fps", "-5"],
        &["simulate", "--seed", "-5"],
        &["list", "--udp-port", "-5"],
        &["flash", "sim:", "--camera-only", "--fps", "-5"],
    ] {
        let (code, _, err) = run(args);
        let first = err.lines().next().unwrap_or_default();
        assert_eq!(code, 2, "{args:?}: {err}");
        let number = args.last().expect("a number");
        assert!(first.starts_with("error: ") && first.contains(number), "{args:?}: {err}");
        assert!(!err.contains("unexpected argument") && !err.contains("invalid digit"), "{args:?}: {err}");
    }
}

#[test]
fn one_thing_is_not_called_by_its_plural() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("one.mcap");
    let file = file.to_str().expect("UTF-8");
    let output = folder.path().join("out");
    let output = output.to_str().expect("UTF-8");
    let mut all = String::new();
    for args in [
        &["record", "sim:?size=16x12&boxes=1", "-o", file, "-n", "1", "-v"][..],
        &["inspect", file],
        &["verify", file],
        &["export", file, "-o", output, "--to", "png"],
        &["view", &format!("file:{file}"), "--no-window", "-v"],
        &["snapshot", &format!("file:{file}"), "-o", output, "-v"],
    ] {
        let (_, out, err) = run(args);
        all += &format!("{}\n{out}{err}", args[0]);
    }
    let words: Vec<_> = all.split_whitespace().collect();
    let plurals = words.windows(2).filter(|two| {
        let word = two[1].trim_matches(|c: char| !c.is_ascii_alphanumeric());
        two[0].trim_start_matches('(') == "1"
            && word.len() > 2
            && word.ends_with('s')
            && !word.ends_with("ss")
            && word != "was"
    });
    assert_eq!(plurals.collect::<Vec<_>>(), Vec::<&[&str]>::new(), "{all}");
    assert!(!all.contains("0.0 MB") && all.contains("1 frame in "), "{all}");
}

#[test]
fn addresses_for_commands_that_read_files_name_the_right_command() {
    for args in [
        &["replay", "127.0.0.1"][..],
        &["replay", "tcp://cam:5001"],
        &["export", "192.168.1.50", "-o", "x.mp4"],
        &["inspect", "192.168.1.50:9876"],
        &["verify", "http://me:secret@192.168.1.50/video"],
        &["recover", "sim:"],
    ] {
        let (code, _, err) = run(args);
        assert_eq!(code, 2, "{args:?}: {err}");
        let address = args[1].replace("secret", "***");
        let expected = format!("`{address}` is the address of a camera: expected a recording");
        let help = format!("help: `oaktap view {address}` shows the camera, `oaktap record {address} -o FILE.mcap`");
        assert!(err.contains(&expected) && err.contains(&help), "{err}");
    }
    let (code, _, err) = run(&["replay", "evening"]);
    assert!(code != 0 && !err.contains("address of a camera"), "a missing file: {err}");
}

#[test]
fn a_trigger_without_quotes_is_explained() {
    let (code, _, err) = run(&["record", "sim:", "-o", "x.mcap", "--trigger", "pizza"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("such as 'pizza>0.6'; without the quotes, the shell takes `>`"), "{err}");
}
