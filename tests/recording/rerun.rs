//! Rerun imports a recording: it accepts every channel and shows every picture.

use std::path::Path;

use oaktap::recording::Compression;

use crate::external_tools;
use crate::recordings;

const FRAMES: usize = 30;

fn rerun(arguments: &[&str], files: &[&Path]) -> Option<String> {
    let mut rerun = external_tools::program("rerun")?;
    // Rerun sends usage data by default.
    rerun.env("RERUN_ANALYTICS_ENABLED", "0").env("DO_NOT_TRACK", "1");
    Some(external_tools::output(rerun.args(arguments).args(files)))
}

#[test]
fn rerun_imports_every_picture_of_a_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    let cameras: Vec<_> = [
        ("raw", "size=64x48&records=on"),
        ("gray", "size=64x48&records=on&format=GRAY8"),
        ("mjpeg", "size=64x48&format=JPEG&dialect=IMG"),
    ]
    .into_iter()
    .map(|(name, config)| (recordings::camera(name), recordings::frames(config, FRAMES)))
    .collect();
    recordings::write(&path, Compression::None, &cameras);
    let Some(checked) = rerun(&["mcap", "check"], &[&path]) else { return };
    for (camera, _) in &cameras {
        for what in ["image", "detections", "wire"] {
            let topic = format!("/{}/{what}", camera.name);
            let line = checked.lines().find(|line| line.contains(&topic));
            let line = line.unwrap_or_else(|| panic!("no {topic}:\n{checked}"));
            assert!(line.to_lowercase().contains("ok"), "{line}");
        }
    }
    let converted = folder.path().join("a.rrd");
    let Some(_) = rerun(&["mcap", "convert", "-o", converted.to_str().expect("UTF-8")], &[&path]) else { return };
    let printed = rerun(&["rrd", "print"], &[&converted]).expect("rerun is there");
    for (camera, _) in &cameras {
        let images = image_rows(&printed, &format!("/{}/image", camera.name));
        assert_eq!(images, FRAMES, "{}:\n{printed}", camera.name);
    }
}

/// Counts the rows that hold a picture, in lines such as
/// `Chunk(..) with 29 rows (267 KiB) - /raw/image - data columns: [CoordinateFrame:frame Image:buffer Image:format]`.
fn image_rows(printed: &str, entity: &str) -> usize {
    let of_entity = printed.lines().filter(|line| line.contains(&format!(" - {entity} - data columns:")));
    let pictures = of_entity.filter(|line| line.contains(" Image:buffer ") || line.contains("EncodedImage:blob"));
    let rows = pictures.map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let rows = words.windows(3).find(|words| words[0] == "with" && words[2] == "rows").map(|words| words[1]);
        rows.and_then(|rows| rows.parse::<usize>().ok()).unwrap_or_else(|| panic!("no number of rows: {line}"))
    });
    rows.sum()
}
