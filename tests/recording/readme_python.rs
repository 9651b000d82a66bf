//! Runs the Python examples of the README.

use oaktap::recording::Compression;

use crate::external_tools;
use crate::recordings;

/// The blocks of the README in this language.
fn blocks(language: &str) -> Vec<String> {
    let readme = include_str!("../../README.md");
    let fence = format!("```{language}\n");
    let blocks = readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or(rest).to_owned());
    blocks.collect()
}

#[test]
fn the_python_examples_of_the_readme_run() {
    const FRAMES: usize = 5;
    let Some(mut python) = external_tools::program("python") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let frames = recordings::frames("size=48x32&boxes=3&records=on", FRAMES);
    let cameras = [(recordings::camera("cam"), frames.clone())];
    recordings::write(&folder.path().join("recording.mcap"), Compression::None, &cameras);

    let [numpy, rerun] = &blocks("python")[..] else { panic!("two blocks of Python") };
    let shown = external_tools::output(python.current_dir(&folder).args(["-c", numpy]));
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), FRAMES, "{shown}");
    for (line, frame) in lines.iter().zip(&frames) {
        let beginning = format!("{} (32, 48, 3) [('", frame.received.unix_ns);
        assert!(line.starts_with(&beginning), "{line}");
        assert_eq!(line.matches("[(").count(), 1 + frame.detections.len(), "{line}");
    }
    assert!(numpy.lines().count() <= 5, "five lines are promised");

    let mut python = external_tools::program("python").expect("it was there");
    external_tools::output(python.current_dir(&folder).args(["-c", rerun]));
    let mut stats = external_tools::program("rerun").expect("it was there");
    let printed = external_tools::output(stats.current_dir(&folder).args(["rrd", "print", "-v", "recording.rrd"]));
    assert!(printed.contains("/cam/boxes") && printed.contains("Boxes2D:half_sizes"), "{printed}");
}
