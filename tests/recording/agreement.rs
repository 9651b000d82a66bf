//! `record`, `inspect`, `verify`, `replay` and `export` report the same damage of the same recording.

use std::path::Path;
use std::sync::Arc;

use oaktap::frame::Frame;
use oaktap::recording::Compression;
use serde_json::Value;

use crate::program::run;
use crate::recordings::{camera, write};
use crate::{frames, recordings};

fn text(path: &Path) -> &str {
    path.to_str().expect("a name in UTF-8")
}

/// Runs a command with --json: exit code, summary, standard error.
fn json(arguments: &[&str]) -> (i32, Value, String) {
    let (code, out, said) = run(&[arguments, &["--json"]].concat());
    let document: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{said}"));
    (code, document["summary"].clone(), said)
}

#[test]
fn damage_of_a_stream_has_one_count_in_all_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    let uri = "sim:?size=64x48&fps=400&fault=short:0.1&fault=cut:0.02&seed=3";
    let (code, recorded, said) = json(&["record", uri, "-o", text(&path), "--frames", "200"]);
    assert_eq!(code, 3, "{said}");
    let recording = &recorded["recordings"][0];
    assert_eq!((&recording["complete"], &recording["gaps"]), (&false.into(), &0.into()), "the disk lost nothing");
    let damage = recording["cameras"][0]["damage"].as_object().expect("counts");
    let absent: u64 = ["withdrawn", "lost"].iter().filter_map(|key| damage[*key].as_u64()).sum();
    assert!(absent > 5, "{damage:?}");

    let (code, inspected, said) = json(&["inspect", text(&path)]);
    assert_eq!(code, 0, "the file is intact: {said}");
    let camera = &inspected["files"][0]["cameras"][0];
    for (key, count) in damage {
        assert_eq!(&camera[key], count, "{key}: {damage:?}");
    }
    let gaps = camera["gaps"].as_array().expect("gaps");
    let of_gaps: u64 = gaps.iter().filter_map(|gap| gap["frames"].as_u64()).sum();
    assert_eq!((&camera["missing"], of_gaps), (&absent.into(), absent + damage["not_sent"].as_u64().expect("a count")));
    let steps = camera["timeline"]["steps"].as_array().expect("steps");
    let marked: u64 = steps.iter().filter_map(|step| step["missing"].as_u64()).sum();
    assert_eq!(marked, of_gaps, "the timeline of the window and of `serve` marks them");
    assert_eq!(run(&["verify", text(&path)]).0, 0, "the file is intact");
    let (_, shown, _) = run(&["inspect", text(&path)]);
    let words = format!("{absent} frames missing in the recording");
    assert!(shown.lines().any(|line| line.trim_start().starts_with("missing ") && line.ends_with(&words)), "{shown}");

    let (code, played, said) = json(&["replay", text(&path), "--no-window", "--speed", "max"]);
    assert_eq!((code, &played["cameras"][0]["missing_in_recording"]), (3, &absent.into()), "{said}");
    assert!(said.contains(&words), "{said}");

    let table = folder.path().join("a.csv");
    let (code, exported, said) = json(&["export", text(&path), "-o", text(&table)]);
    assert_eq!((code, &exported["not_recorded"], &exported["missing"]), (0, &absent.into(), &0.into()), "{said}");
    assert!(said.contains(&format!("{words}: damaged, lost or not written when it was made")), "{said}");
    let quiet = folder.path().join("quiet.csv");
    let (code, _, said) = run(&["export", text(&path), "-o", text(&quiet), "-q"]);
    assert_eq!((code, said.as_str()), (0, ""), "every frame of the file was exported");
    let part = folder.path().join("part.csv");
    let (_, exported, said) = json(&["export", text(&path), "-o", text(&part), "--until", "1ms"]);
    assert!(exported["not_recorded"].as_u64() < Some(absent), "of the chosen times only: {said}");
}

/// Frames of a camera, every third of which is a JPEG without its lower half, with these bytes after the upper one.
fn cut_jpegs(end: &[u8]) -> Vec<Arc<Frame>> {
    let whole = recordings::frames("size=96x64&format=JPEG&dialect=IMG&boxes=1&seed=3", 9);
    let cut = |(number, frame): (usize, &Arc<Frame>)| {
        if number % 3 != 2 {
            return Arc::clone(frame);
        }
        let payload = [&frame.payload()[..frame.payload().len() / 2], end].concat();
        let mut cut = frames::frame(frame.id, frame.device_time.0, frame.geometry, &payload);
        (cut.kind, cut.dialect, cut.received) = (frame.kind, frame.dialect, frame.received);
        frames::set_detections(&mut cut, frame.detections.clone());
        Arc::new(cut)
    };
    whole.iter().enumerate().map(cut).collect()
}

#[test]
fn jpegs_that_end_early_are_reported_by_all_commands_and_are_not_damage_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    write(&path, Compression::None, &[(camera("cam"), cut_jpegs(&[]))]);
    let (code, out, _) = run(&["inspect", text(&path)]);
    assert!(code == 0 && out.contains("anomalies  3 frames whose JPEG ends early\n"), "{code}: {out}");
    assert!(out.contains("boxes      9: "), "their boxes are intact: {out}");

    let (code, out, said) = run(&["verify", text(&path)]);
    assert_eq!(code, 3, "{out}{said}");
    assert!(
        out.contains(", camera cam, frame 2: picture: expected a JPEG with its end, found no end marker in"),
        "{out}"
    );
    assert!(
        out.contains("a.mcap: as the camera sent it, with 3 frames whose JPEG ends early; 9 intact frames"),
        "{out}"
    );
    assert_eq!(said, "1 of 1 recording with damaged pictures as the camera sent them\n");
    let (_, verified, _) = json(&["verify", text(&path)]);
    assert_eq!((&verified["files"][0]["found"], &verified["files"][0]["bad_pictures"]), (&3.into(), &3.into()));

    // A copy would have the same pictures.
    let (code, _, said) = run(&["recover", text(&path)]);
    assert!(code == 0 && said.contains("intact, left out") && path.exists(), "{code}: {said}");

    let (code, played, said) = json(&["replay", text(&path), "--no-window"]);
    assert_eq!((code, &played["cameras"][0]["bad_pictures"]), (3, &3.into()), "{said}");
    assert!(said.contains("exit code 3: 3 frames whose JPEG ends early"), "{said}");
    let (code, _, said) = run(&["export", text(&path), "--to", "png", "-o", text(&folder.path().join("png"))]);
    assert!(
        code == 3 && said.contains("3 frames of cam not exported, JPEG ends early: no end marker in its "),
        "{said}"
    );
    let quiet = folder.path().join("quiet");
    let (code, _, said) = run(&["export", text(&path), "--to", "png", "-o", text(&quiet), "-q"]);
    assert!(code == 3 && said.contains("3 frames of cam not exported, JPEG ends early: "), "the reason: {said}");
}

/// The markers of such a file are right: only decoding its pixels shows that some are missing.
#[test]
fn verify_finds_jpegs_whose_pixels_end_before_the_end_marker() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    write(&path, Compression::None, &[(camera("cam"), cut_jpegs(&[0xff, 0xd9]))]);
    let (code, out, said) = run(&["verify", text(&path)]);
    assert_eq!(code, 3, "{out}{said}");
    let finding = ", camera cam, frame 5: picture: expected a JPEG that can be decoded, found cannot decode JPEG: ";
    assert!(out.contains(finding), "{out}");
    let (_, verified, _) = json(&["verify", text(&path)]);
    assert_eq!((&verified["files"][0]["found"], &verified["files"][0]["bad_pictures"]), (&3.into(), &3.into()));
}
