//! `oaktap export`: output, exit codes and interruption.

use std::path::Path;
use std::process::Stdio;

use oaktap::recording::schema::RecordedIncident;
use oaktap::recording::{Compression, SegmentWriter};
use serde_json::Value;

use crate::program;
use crate::recordings;

fn export(arguments: &[&str], file: &Path) -> (i32, String, String) {
    program::run(&[&["export", file.to_str().expect("UTF-8")], arguments].concat())
}

fn recording(folder: &Path, config: &str, frames: usize) -> std::path::PathBuf {
    let path = folder.join("a.mcap");
    recordings::write(&path, Compression::None, &[(recordings::camera("front"), recordings::frames(config, frames))]);
    path
}

#[test]
fn the_summary_counts_every_frame() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64&records=on", 20);
    let out = folder.path().join("png");
    let out = out.to_str().expect("UTF-8");
    let (code, stdout, stderr) = export(&["-o", out, "--to", "png", "--every", "4", "--until", "400ms"], &file);
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert!(stderr.contains("4 of 16 frames in the time range exported, 4 files"), "no detection was drawn: {stderr}");
    assert!(stderr.contains("12 frames skipped: not selected by --every"), "{stderr}");

    let out = folder.path().join("drawn");
    let (_, _, stderr) = export(&["-o", out.to_str().unwrap(), "--to", "png", "--every", "5", "--boxes"], &file);
    assert!(stderr.contains("4 of 20 frames of the recording exported, 12 detections, 4 files"), "{stderr}");

    let out = folder.path().join("chosen.csv");
    let (_, _, stderr) = export(&["-o", out.to_str().unwrap(), "--camera", "front", "--from", "100ms"], &file);
    assert!(stderr.contains("16 of 16 frames of front in the time range exported, 48 detections"), "{stderr}");

    let out = folder.path().join("a.csv");
    let (code, stdout, _) = export(&["-o", out.to_str().unwrap(), "--to", "CSV", "--json"], &file);
    let summary: Value = serde_json::from_str(&stdout).expect("a line of JSON");
    let summary = &summary["summary"];
    assert_eq!((code, &summary["command"], &summary["format"]), (0, &Value::from("export"), &Value::from("csv")));
    assert_eq!((&summary["read"], &summary["written"], &summary["detections"]), (&20.into(), &20.into(), &60.into()));
}

#[test]
fn a_table_without_a_row_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64&boxes=0", 5);
    let empty = "0 detections: the table has only its header";
    for format in ["csv", "parquet", "jsonl"] {
        let out = folder.path().join(format!("a.{format}"));
        let (code, stdout, stderr) = export(&["-o", out.to_str().unwrap(), "--json"], &file);
        assert!(stderr.contains("5 of 5 frames of the recording exported, 0 detections, 1 file"), "{format}: {stderr}");
        // JSON has a line for each frame.
        assert_eq!((code, stderr.contains(empty), stdout.contains(empty)), (0, format != "jsonl", format != "jsonl"));
    }
    let made = recordings::frames("size=96x64", 5);
    let file = folder.path().join("b.mcap");
    recordings::write(&file, Compression::None, &[(recordings::camera("front"), made)]);
    let (_, _, stderr) = export(&["-o", folder.path().join("b.csv").to_str().unwrap()], &file);
    assert!(
        stderr.contains("5 of 5 frames of the recording exported, ") && !stderr.contains("0 detections:"),
        "{stderr}"
    );
}

/// Exports to CSV with `--json`, and returns the exit code, the summary and the text.
fn exported(files: &[&Path]) -> (i32, Value, String) {
    let out = tempfile::tempdir().expect("a folder");
    let out = out.path().join("all.csv");
    let files = files.iter().map(|file| file.to_str().expect("UTF-8"));
    let arguments: Vec<_> =
        ["export"].into_iter().chain(files).chain(["--json", "-o", out.to_str().expect("UTF-8")]).collect();
    let (code, stdout, stderr) = program::run(&arguments);
    let line: Value = serde_json::from_str(&stdout).unwrap_or_default();
    (code, line["summary"].clone(), stderr)
}

#[test]
fn the_frames_of_a_copy_are_exported_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64", 20);
    let file = file.as_path();
    // A file that is given twice, also below a folder.
    for given in [[file, file], [folder.path(), file]] {
        let (code, summary, stderr) = exported(&given);
        assert_eq!((code, &summary["written"]), (0, &20.into()), "{stderr}");
        assert!(stderr.contains("a.mcap is given 2 times: taken once"), "{stderr}");
    }
    let copy = folder.path().join("b.mcap");
    std::fs::copy(file, &copy).expect("a copy");
    for given in [&[file, copy.as_path()][..], &[folder.path()]] {
        let (code, summary, stderr) = exported(given);
        assert_eq!((code, &summary["written"]), (0, &20.into()), "{stderr}");
        assert!(stderr.contains("b.mcap left out: ") && stderr.contains("a.mcap has the same frames"), "{stderr}");
        assert_eq!(summary["notes"].as_array().map(Vec::len), Some(1), "{summary}");
    }
}

#[test]
fn recordings_with_some_frames_in_common_are_exported_once_or_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, cameras: &[(&str, std::ops::Range<usize>)]| {
        let path = folder.path().join(name);
        let cameras: Vec<_> = cameras
            .iter()
            .map(|(name, part)| {
                let config = if *name == "front" { "size=96x64" } else { "size=64x32" };
                (recordings::camera(name), recordings::frames(config, 30)[part.clone()].to_vec())
            })
            .collect();
        recordings::write(&path, Compression::None, &cameras);
        path
    };
    let whole = write("whole.mcap", &[("front", 0..20), ("back", 0..20)]);
    // A part of another recording, also one that begins with it.
    for (name, part) in [("middle.mcap", 5..15), ("beginning.mcap", 0..10)] {
        let part = write(name, &[("front", part)]);
        for given in [[whole.as_path(), part.as_path()], [part.as_path(), whole.as_path()]] {
            let (code, summary, stderr) = exported(&given);
            assert_eq!((code, &summary["written"]), (0, &40.into()), "{stderr}");
            assert!(stderr.contains(&format!("{name} left out: ")), "{stderr}");
        }
    }
    let later = write("later.mcap", &[("front", 10..30)]);
    let (code, _, stderr) = exported(&[&whole, &later]);
    assert!(
        code == 1 && stderr.contains("later.mcap have the same frames of front\nhelp: export one of them"),
        "{stderr}"
    );
    // Another camera at the same times, and the next frames of the same one.
    let other = write("other.mcap", &[("left", 0..20)]);
    let (code, summary, stderr) = exported(&[&whole, &other]);
    assert_eq!((code, &summary["written"]), (0, &60.into()), "{stderr}");
    let next = write("next.mcap", &[("front", 20..30)]);
    let (code, summary, stderr) = exported(&[&whole, &next]);
    assert_eq!((code, &summary["written"]), (0, &50.into()), "{stderr}");
}

#[test]
fn quality_without_effect_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64", 2);
    for format in ["png", "csv", "jsonl", "parquet", "yolo", "coco"] {
        let out = folder.path().join(format);
        let (code, _, err) = export(&["-o", out.to_str().unwrap(), "--to", format, "--quality", "50"], &file);
        assert!(code == 2 && err.contains("--quality needs --to jpeg or mp4"), "{format}: {err}");
        assert!(!out.exists());
    }
    std::fs::remove_file(file).expect("a file");
    let video = recording(folder.path(), "size=96x64&format=H264", 5);
    let out = folder.path().join("a.mp4");
    let (code, _, err) = export(&["-o", out.to_str().unwrap(), "--quality", "50"], &video);
    assert!(code == 0 && err.contains("the video of front is copied unchanged: --quality has no effect"), "{err}");
}

#[test]
fn an_export_without_a_frame_fails_and_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64&format=H265", 5);
    let mine = folder.path().join("mine");
    std::fs::create_dir(&mine).expect("a folder");
    for (format, out) in [("png", "new"), ("jpeg", "new"), ("yolo", "new"), ("coco", "new"), ("yolo", "mine")] {
        let out = folder.path().join(out);
        let (code, stdout, stderr) = export(&["-o", out.to_str().unwrap(), "--to", format, "--json"], &file);
        assert_eq!(code, 1, "{format}: {stderr}");
        assert!(stderr.contains("0 of 5 frames of the recording exported, 0 files"), "{format}: {stderr}");
        assert!(stderr.contains("1 frame of front not exported, video cannot be decoded"), "{format}: {stderr}");
        assert!(stderr.contains("4 frames of front skipped, frames before them could not be decoded"), "{stderr}");
        assert!(stderr.contains("error: no frame could be exported\nhelp: `oaktap export "), "{format}: {stderr}");
        let summary: serde_json::Value = serde_json::from_str(stdout.trim()).expect("one line");
        assert_eq!((&summary["summary"]["written"], &summary["summary"]["files"]), (&0.into(), &0.into()));
        let left = std::fs::read_dir(&out).map(Iterator::count).ok();
        assert_eq!(left, (out == mine).then_some(0), "{format}");
    }
}

/// `verify` and `inspect` find nothing wrong in it.
#[test]
fn the_noise_of_a_simulated_camera_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.mcap");
    let info = oaktap::recording::CameraInfo {
        address: "sim:?size=96x64&fps=25&format=H265&dialect=IMG&boxes=3&seed=0&records=on".to_owned(),
        ..recordings::camera("front")
    };
    let frames = recordings::frames("size=96x64&format=H265", 5);
    recordings::write(&file, Compression::None, &[(info, frames)]);
    let out = folder.path().join("png");
    let (code, stdout, stderr) = export(&["-o", out.to_str().unwrap(), "--to", "png", "--json"], &file);
    let noise = "sends noise in the form of H265, which nothing decodes; for pictures, give it a file of video: \
                 `sim:?format=H265&images=FILE`";
    assert!(code == 1 && stderr.contains(&format!("front: this simulated camera {noise}")), "{stderr}");
    assert!(stderr.contains("error: no frame could be exported") && !stderr.contains("oaktap verify"), "{stderr}");
    assert!(stdout.contains("sends noise"), "{stdout}");
    let (_, _, stderr) = program::run(&["snapshot", file.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    assert!(stderr.contains(&format!("the recorded camera is simulated and {noise}")), "{stderr}");
    // A copy does not decode it.
    let (_, _, stderr) = export(&["-o", folder.path().join("a.mp4").to_str().unwrap()], &file);
    assert!(!stderr.contains("noise"), "{stderr}");
}

#[test]
#[cfg(unix)]
fn devices_and_other_videos_are_no_outputs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64", 2);
    let video = folder.path().join("a.avi");
    let video = video.to_str().expect("UTF-8");
    for (format, out, said) in [
        ("csv", "/dev/null", "`-o /dev/null` is a device or a pipe"),
        ("png", "/dev/null", "`-o /dev/null` is a device or a pipe"),
        ("jsonl", "-", "`-o -` is not supported"),
        ("mp4", video, "a.avi` names a file of avi: expected a name that ends with .mp4, or a folder"),
    ] {
        let (code, stdout, stderr) = export(&["--to", format, "-o", out], &file);
        assert_eq!((code, stdout.as_str()), (2, ""), "{format}, {out}: {stderr}");
        assert!(stderr.contains(said) && !stderr.contains("remove"), "{format}, {out}: {stderr}");
    }
    assert!(!Path::new(video).exists());
}

#[test]
fn a_table_needs_a_name_with_an_ending_or_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64", 2);
    let plain = folder.path().join("ex1");
    let plain = plain.to_str().expect("UTF-8");
    let (code, stdout, stderr) = export(&["--to", "jsonl", "-o", plain], &file);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    let expected = format!("`-o {plain}` has no ending: expected a file such as {plain}.jsonl, or the folder {plain}/");
    assert!(stderr.contains(&expected) && !Path::new(plain).exists(), "{stderr}");
    for given in [format!("{plain}.jsonl"), format!("{plain}/")] {
        let (code, _, stderr) = export(&["--to", "jsonl", "-o", &given], &file);
        assert_eq!(code, 0, "{given}: {stderr}");
    }
    assert!(Path::new(plain).join("a.jsonl").is_file());
}

#[test]
fn missing_folders_of_the_output_are_created() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64", 2);
    for (name, format) in [("a/b/c.csv", "csv"), ("d/e.jsonl", "jsonl"), ("f/g.mp4", "mp4"), ("h/i", "png")] {
        let out = folder.path().join(name);
        let (code, _, stderr) = export(&["--to", format, "-o", out.to_str().expect("UTF-8")], &file);
        assert!(code == 0 && out.exists(), "{name}: {stderr}");
    }
    // Nothing is left of an export that fails.
    let out = folder.path().join("m/n.csv");
    let (code, _, _) = export(&["-o", out.to_str().expect("UTF-8"), "--from", "1h"], &file);
    assert!(code == 1 && !folder.path().join("m").exists());
    // A folder of the path is a file.
    let out = file.join("n.csv");
    let (code, _, stderr) = export(&["-o", out.to_str().expect("UTF-8")], &file);
    assert!(code == 1 && stderr.contains("cannot write "), "{stderr}");
}

#[test]
fn a_time_after_the_end_is_answered_with_the_time_of_the_last_frame() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    let frames = recordings::frames("size=96x64", 9);
    let last_ns = frames[8].received.unix_ns;
    let file = std::fs::File::create_new(&path).expect("a new file");
    let mut writer = SegmentWriter::new(file, Compression::None, &[recordings::camera("front")], recordings::START_NS)
        .expect("a recording");
    for frame in &frames {
        writer.frame(0, frame, frame.received.unix_ns).expect("write");
    }
    let end = RecordedIncident { kind: "disconnected".to_owned(), ..RecordedIncident::default() };
    writer.flush().expect("write");
    writer.incident(0, &end, last_ns + 5_000_000_000).expect("write");
    writer.finish(&[]).expect("write");
    let out = folder.path().join("a.csv");
    let (code, _, stderr) = export(&["--from", "1h", "-o", out.to_str().expect("UTF-8")], &path);
    assert_eq!(code, 1, "{stderr}");
    let expected = "the recordings have frames from 2026-09-21T14:13:20.000Z to 2026-09-21T14:13:20.200Z";
    assert!(stderr.contains(expected) && !out.exists(), "{stderr}");
}

#[test]
fn mosaics_of_colors_are_named_when_they_are_exported_as_gray() {
    let folder = tempfile::tempdir().expect("a folder");
    for (format, is_mosaic) in
        [("RAW8", true), ("RAW10", true), ("RAW8:GRBG", false), ("GRAY8", false), ("NV12", false)]
    {
        let below = folder.path().join(format.replace(':', "-"));
        std::fs::create_dir(&below).expect("a folder");
        let file = recording(&below, &format!("size=96x64&format={format}&records=on"), 2);
        for to in ["png", "mp4"] {
            let out = below.join(to);
            let (code, _, stderr) = export(&["-o", out.to_str().expect("UTF-8"), "--to", to], &file);
            assert_eq!(code, 0, "{stderr}");
            let note = format!(
                "the pictures of front are {format}: a mosaic of colors (Bayer) is exported as gray; `oaktap record {} --format {format}:RGGB -o COPY.mcap` makes a copy that has the order of its colors",
                file.display()
            );
            assert_eq!(stderr.matches(&note).count(), usize::from(is_mosaic), "{to}: {stderr}");
        }
    }
    // The advice of the note, for a stream that announces RAW8.
    let copy = folder.path().join("copy.mcap");
    let (file, copy_text) = (folder.path().join("RAW8").join("a.mcap"), copy.to_str().expect("UTF-8"));
    let file = file.to_str().expect("UTF-8");
    let (code, _, stderr) = program::run(&["record", file, "--format", "RAW8:RGGB", "-q", "-o", copy_text]);
    assert_eq!(code, 0, "{stderr}");
    let out = folder.path().join("colors");
    let (code, _, stderr) = export(&["-o", out.to_str().expect("UTF-8"), "--to", "png"], &copy);
    assert!(code == 0 && !stderr.contains("Bayer"), "{stderr}");
}

#[test]
fn a_path_that_does_not_exist_ends_the_export_before_it_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64", 2);
    let (none, out) = (folder.path().join("none"), folder.path().join("out.csv"));
    let (code, _, stderr) = export(&[none.to_str().expect("UTF-8"), "-o", out.to_str().expect("UTF-8")], &file);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("none\n") && stderr.contains("No such file") && !stderr.contains("recover"), "{stderr}");
    assert!(!out.exists());
}

#[test]
fn contradicting_options_are_rejected() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64&records=on", 2);
    let out = folder.path().join("out.csv");
    let out = out.to_str().unwrap();
    for wrong in [
        &["--to", "csv", "--boxes"][..],
        &["--to", "gif"],
        &["--to", "csv", "--from", "yesterday"],
        &["--to", "csv", "--every", "0"],
        &["--to", "csv", "--threshold", "60"],
    ] {
        let (code, stdout, stderr) = export(&[&["-o", out], wrong].concat(), &file);
        assert_eq!((code, stdout.as_str()), (2, ""), "{wrong:?}: {stderr}");
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
    let (code, _, stderr) = export(&["-o", out, "--to", "csv", "--camera", "back"], &file);
    assert_eq!(code, 2);
    assert!(stderr.contains("unknown camera `back`: expected one of front"), "{stderr}");
    assert!(stderr.contains("\nhelp: `oaktap inspect "), "{stderr}");
    assert!(!Path::new(out).exists());
    let (code, _, stderr) = export(&["-o", out, "--to", "csv", "--from", "2s", "--until", "1s"], &file);
    assert!(code == 2 && stderr.contains("the time range is empty"), "{stderr}");
    assert!(stderr.contains("\nhelp: give a later time with `--until`"), "{stderr}");
    std::fs::write(out, "mine").unwrap();
    let (code, _, stderr) = export(&["-o", out, "--to", "csv"], &file);
    assert_eq!(code, 1);
    assert!(stderr.contains("already exists") && stderr.contains("help: oaktap does not replace files"), "{stderr}");
    assert_eq!(std::fs::read(out).unwrap(), b"mine");
}

/// A recording whose export takes seconds.
#[test]
fn an_interrupted_export_reports_it_and_removes_partial_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=640x352&records=on", 200);
    let out = folder.path().join("out.mp4");
    let mut command = program::oaktap(&["export", "-o", out.to_str().expect("UTF-8")]);
    command.arg(&file).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let beginning = || std::fs::read_dir(folder.path()).expect("a folder").count() > 1;
    while !beginning() {
        assert!(child.try_wait().expect("it can be asked").is_none(), "the export ended before it was interrupted");
        std::thread::yield_now();
    }
    program::signal(&child, "INT");
    let ended = child.wait_with_output().expect("it ends");
    let said = String::from_utf8(ended.stderr).expect("UTF-8");
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: stopped after "), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "the recording alone");
}

#[test]
fn choices_that_select_nothing_are_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64&records=on", 20);
    let out = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    for (choice, said) in [
        (&["--from", "1h"][..], "no frame was selected: none is between --from and --until"),
        (&["--until", "2020-01-01T00:00:00Z"], "none is between --from and --until"),
        (&["--only", "giraffe"], "20 frames have no detection selected by --only"),
        (&["--only", "piza"], "unknown label `piza`: did you mean `pizza`?"),
        (&["--only", "PERSON", "--only", "persn"], "unknown label `persn`: did you mean `person`?"),
        (&["--only", "4711"], "no detection selected by --only"),
    ] {
        for format in ["csv", "jsonl", "parquet", "png", "yolo", "mp4"] {
            let target = out(&format!("out.{format}"));
            let (code, stdout, stderr) = export(&[&["-o", &target, "--to", format], choice].concat(), &file);
            let keeps_all = format == "mp4" && !said.contains("unknown") && choice[0] == "--only";
            assert_eq!((code, stdout.as_str()), (i32::from(!keeps_all), ""), "{format} {choice:?}: {stderr}");
            assert!(
                keeps_all
                    || stderr.contains(said) && stderr.contains(&format!("help: `oaktap inspect {}`", file.display())),
                "{stderr}"
            );
            let path = Path::new(&target);
            assert_eq!(path.is_file(), keeps_all, "{format} {choice:?}");
            let _ = std::fs::remove_file(path);
            let _ = std::fs::remove_dir_all(path);
        }
    }
    let (_, _, stderr) = export(&["-o", &out("a.csv"), "--to", "csv", "--from", "1h"], &file);
    assert!(stderr.contains("frames from 2026-09-21T14:13:20.000Z to 2026-09-21T14:13:20.475Z"), "{stderr}");
}

#[test]
fn a_table_in_a_folder_gets_the_name_of_the_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64&records=on", 2);
    let existing = folder.path().to_str().expect("UTF-8").to_owned();
    for out in [existing.clone(), format!("{existing}/new/")] {
        for format in ["csv", "jsonl", "parquet"] {
            let (code, _, stderr) = export(&["-o", &out, "--to", format], &file);
            assert_eq!(code, 0, "{stderr}");
            let made = std::path::Path::new(&out).join(file.file_stem().expect("a name")).with_extension(format);
            assert!(made.is_file() && stderr.contains(made.to_str().expect("UTF-8")), "{stderr}");
        }
    }
    for (words, said) in [
        (&["-o", "a.mp4", "--to", "csv"][..], "`--to csv` contradicts `-o a.mp4`"),
        (&["-o", "pictures"], "`-o pictures` does not tell the format"),
    ] {
        let (code, _, stderr) = export(words, &file);
        assert!(code == 2 && stderr.contains(said), "{stderr}");
    }
    let out = folder.path().join("b.jsonl");
    let (code, _, stderr) = export(&["-o", out.to_str().expect("UTF-8")], &file);
    assert!(code == 0 && std::fs::read_to_string(&out).is_ok_and(|text| text.starts_with('{')), "{stderr}");
}

/// No frame is written, so that no frame reports progress.
#[test]
fn an_export_that_leaves_out_every_frame_can_be_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64&records=on", 500);
    let options = oaktap::export::ExportOptions {
        format: oaktap::export::ExportFormat::Csv,
        output: folder.path().join("out.csv"),
        choice: oaktap::export::Choice { labels: vec!["giraffe".to_owned()], ..Default::default() },
        boxes: false,
        colormap: false,
        quality: None,
        threads: std::num::NonZeroUsize::MIN,
    };
    let error = oaktap::export::export(&[file], &options, &mut |_| std::ops::ControlFlow::Break(())).unwrap_err();
    assert!(matches!(error, oaktap::export::ExportError::Stopped { written: 0, kept: 0 }), "{error}");
    assert!(!options.output.exists());
}

#[test]
fn a_recording_without_frames_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), "size=96x64", 0);
    for format in ["csv", "png", "mp4"] {
        let target = folder.path().join(format!("out.{format}"));
        let (code, stdout, stderr) = export(&["-o", target.to_str().expect("UTF-8"), "--to", format], &file);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.contains("error: the recordings have no frame to export\nhelp: "), "{stderr}");
        assert!(!target.is_file(), "{format}");
    }
}
