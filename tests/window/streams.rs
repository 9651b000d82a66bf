//! Cameras that send several streams on one connection: each has a tile, and a recording has all of them.

use super::*;

const RED: [u8; 3] = [0xff, 0x5a, 0x52];

/// Returns the title of the window.
fn title(bench: &Bench) -> String {
    bench.xdotool(&["getwindowname", &bench.window]).unwrap_or_default().trim().to_owned()
}

/// Returns the upper or lower half of a window with two tiles, without text at the edges.
fn half(seen: &RgbImage, at: u32) -> RgbImage {
    let (width, height) = (seen.width(), seen.height() / 2);
    image::imageops::crop_imm(seen, 20, at * height + 80, width - 40, height - 160).to_image()
}

/// The window grows with the second tile, and shows one of them alone.
#[test]
fn each_stream_has_a_tile() {
    for scale in ["1", "2"] {
        let arguments = ["front=sim:?depth=on&fps=10&boxes=1&size=320x176", "--scale", scale].map(str::to_owned);
        let Some(bench) = Bench::managed("1400x900", "view", &arguments) else { return };
        let both = bench.until("two pictures", |seen| {
            seen.dimensions() == (640, 708) && (0..2).all(|at| count(&half(seen, at), [0x12, 0x16, 0x1b]) < 100)
        });
        assert_ne!(half(&both, 0), half(&both, 1));
        assert_eq!(title(&bench), "oaktap - front");
        bench.key("2");
        wait_for("the title of the stream", || (title(&bench) == "oaktap - front_depth").then_some(()));
        // `r` records the camera, with the stream that is shown.
        bench.key("r");
        bench.until("a red dot", |seen| seen.pixels().filter(|pixel| pixel.0 == RED).count() > 20);
        // Both streams are in the file, whatever the machine has time for.
        let folder = bench.folder.path().join("recordings");
        wait_for("frames in a file", || {
            walk(&folder).iter().any(|file| file.metadata().is_ok_and(|file| file.len() > 2_000_000)).then_some(())
        });
        bench.key("r");
        let file = wait_for("a finished recording", || {
            let mut files = walk(&folder).into_iter();
            files.find(|file| file.extension().is_some_and(|extension| extension == "mcap"))
        });
        let (code, out, err) = program::run(&["inspect", file.to_str().expect("UTF-8"), "--json"]);
        assert!(code == 0 && out.contains("\"front\"") && out.contains("\"front_depth\""), "{out}{err}");
        bench.key("Escape");
        wait_for("both", || (title(&bench) == "oaktap - front").then_some(()));
        bench.key("q");
        let (status, said) = bench.end();
        assert!(in_order(status) && !said.contains("--stream"), "{status}: {said}");
    }
}

/// Returns the files in a folder and in those inside of it.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Counters of the camera are above the status line and the timeline, in a window of one camera and in a grid, at 1x and 2x.
#[test]
fn counters_are_not_covered() {
    const COUNTERS: [u8; 3] = [0x10, 0x18, 0x28];
    let uri = "sim:?dialect=abcde-256&format=jpeg&fps=10&boxes=0";
    for (count, scale) in [(1, 1), (1, 2), (2, 1)] {
        let mut arguments = vec![uri.to_owned(); count];
        arguments.extend(["--scale".to_owned(), scale.to_string()]);
        let Some(bench) = Bench::managed("1400x900", "view", &arguments) else { return };
        // In a grid the tiles are below each other.
        let title = 18 * scale * count as u32;
        let rows = |seen: &RgbImage| -> Vec<u32> {
            (0..seen.height()).filter(|y| seen.get_pixel(0, *y).0 == COUNTERS).collect()
        };
        let seen = bench.until("counters", |seen| rows(seen).len() as u32 == title);
        let last = *rows(&seen).last().expect("a row");
        assert!(last < seen.height() - 24 * scale, "{last} of {} rows: above the status line", seen.height());
        bench.key("i");
        bench.key("i");
        let seen = bench.until("no status line", |seen| rows(seen).last() > Some(&(last + 10 * scale)));
        assert_eq!(rows(&seen).len() as u32, title);
        bench.key("q");
        let (status, said) = bench.end();
        assert!(in_order(status), "{status}: {said}");
    }
}
