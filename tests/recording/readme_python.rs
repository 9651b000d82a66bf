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
    // Names as `oaktap record 192.168.1.50 front=...` gives them.
    let kinds = [
        ("192.168.1.50", "format=BGR888p", "'bgr8', (32, 144)"),
        ("front", "format=jpeg", "'jpeg', (32, 48, 3)"),
        ("yard", "format=NV12", "'nv12', (48, 48)"),
        ("depth", "format=RAW16", "'16UC1', (32, 96)"),
    ];
    let cameras = kinds.map(|(name, format, _)| {
        let frames = recordings::frames(&format!("size=48x32&boxes=3&records=on&{format}"), FRAMES);
        (recordings::camera(name), frames)
    });
    recordings::write(&folder.path().join("recording.mcap"), Compression::None, &cameras);

    let [numpy, rerun] = &blocks("python")[..] else { panic!("two blocks of Python") };
    let shown = external_tools::output(python.current_dir(&folder).args(["-c", numpy]));
    assert_eq!(shown.lines().count(), 2 * kinds.len() * FRAMES, "a picture and its boxes for each frame: {shown}");
    for ((name, _, shape), (_, frames)) in kinds.iter().zip(&cameras) {
        let of = |topic: &str| shown.lines().filter(|line| line.starts_with(topic)).collect::<Vec<_>>();
        let (images, boxes) = (of(&format!("/{name}/image ")), of(&format!("/{name}/detections ")));
        for ((image, boxes), frame) in images.iter().zip(&boxes).zip(frames) {
            assert!(image.contains(&frame.received.unix_ns.to_string()) && image.contains(shape), "{image}");
            assert_eq!(boxes.matches("('").count(), frame.detections.len(), "{boxes}");
        }
        assert_eq!((images.len(), boxes.len()), (FRAMES, FRAMES), "{shown}");
    }

    let mut python = external_tools::program("python").expect("it was there");
    external_tools::output(python.current_dir(&folder).args(["-c", rerun]));
    let mut stats = external_tools::program("rerun").expect("it was there");
    let printed = external_tools::output(stats.current_dir(&folder).args(["rrd", "print", "-v", "recording.rrd"]));
    assert!(printed.contains("/front/boxes") && printed.contains("Boxes2D:half_sizes"), "{printed}");
    assert!(printed.contains("DepthImage:buffer") && printed.contains("/yard"), "{printed}");
}
