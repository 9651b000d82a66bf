//! What the window says about itself: help that can be read, the zoom, keys without an action, and what is recorded.

use x11rb::protocol::xproto::{ClientMessageEvent, ConnectionExt as _, EventMask};

use super::*;

/// Returns the heights of the runs of rows in which about this color is, between two columns.
fn runs(seen: &RgbImage, colour: [u8; 3], (left, right): (u32, u32)) -> Vec<usize> {
    let near = |found: [u8; 3]| found.iter().zip(&colour).all(|(a, b)| a.abs_diff(*b) < 48);
    let has = |y: &u32| (left..right).any(|x| near(seen.get_pixel(x, *y).0));
    let rows: Vec<u32> = (0..seen.height()).filter(has).collect();
    rows.chunk_by(|above, below| above + 1 == *below).map(<[u32]>::len).collect()
}

/// Waits until two looks in a row are the same, and fulfil a condition.
fn still(bench: &Bench, what: &str, condition: impl Fn(&RgbImage) -> bool) -> RgbImage {
    let mut last = None;
    wait_for(what, || {
        let now = bench.look();
        let is_still = last.as_ref() == Some(&now) && condition(&now);
        last = Some(now.clone());
        thread::park_timeout(Duration::from_millis(100));
        is_still.then_some(now)
    })
}

/// The help has the size of all text, at 1x and at 2x, also in windows that show only a part of it: pages.
#[test]
fn the_help_is_readable_in_small_windows() {
    for (scale, size, pages) in [("1", (640, 352), 2), ("2", (640, 352), 3), ("1", (320, 240), 2), ("2", (480, 270), 3)]
    {
        let arguments = ["sim:?fps=5&boxes=0", "--scale", scale].map(str::to_owned);
        let Some(bench) = Bench::managed("1400x900", "view", &arguments) else { return };
        bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
        resize(&bench, size);
        bench.hide_hud();
        bench.key("space");
        still(&bench, "a picture that stands still", |_| true);
        bench.key("h");
        let is_help = |seen: &RgbImage| count(seen, GREEN) > 60;
        let first = still(&bench, "the help", is_help);
        // `Space` with its descender.
        let tall = runs(&first, GREEN, (0, size.0 / 2)).into_iter().max().expect("a line of keys");
        let expected = if scale == "1" { 10..=20 } else { 20..=40 };
        assert!(expected.contains(&tall), "{tall} pixels at {scale}x in {size:?}");
        let mut last = first.clone();
        for page in 1..pages {
            bench.key(if page % 2 == 0 { "Down" } else { "Next" });
            last = still(&bench, "the next page", |seen| is_help(seen) && *seen != last && *seen != first);
        }
        bench.key("Home");
        // A hint beside the help may have gone meanwhile.
        bench.until("the first page", |seen| count(seen, GREEN) == count(&first, GREEN));
        bench.key("Escape");
        bench.until("no help", |seen| count(seen, GREEN) < 30);
        bench.key("q");
        let (status, said) = bench.end();
        assert!(in_order(status), "{status}: {said}");
    }
}

/// Returns the columns and rows from the first to the last in which two pictures differ.
fn difference(a: &RgbImage, b: &RgbImage) -> Option<((u32, u32), (u32, u32))> {
    assert_eq!(a.dimensions(), b.dimensions());
    let points: Vec<_> = a.enumerate_pixels().filter(|(x, y, pixel)| b.get_pixel(*x, *y) != *pixel).collect();
    let range = |values: Vec<u32>| Some((*values.iter().min()?, *values.iter().max()?));
    let (x, y) = (points.iter().map(|point| point.0), points.iter().map(|point| point.1));
    Some((range(x.collect())?, range(y.collect())?))
}

#[test]
fn the_zoom_and_keys_without_an_action_are_named() {
    let Some(bench) = Bench::view(&["sim:?fps=10&boxes=0".to_owned()]) else { return };
    bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
    bench.hide_hud();
    let (still, _) = bench.paused_and_saved(1);
    // The picture has its original size already.
    bench.key("z");
    let zoomed = bench.until("the zoom", |seen| *seen != still);
    let ((left, _), (top, bottom)) = difference(&zoomed, &still).expect("a difference");
    assert!(left > 480 && top > 36 && bottom < 90, "a notice below `paused`: {left} {top} {bottom}");
    bench.key("z");
    bench.until("the whole picture", |seen| *seen == still);
    bench.key("x");
    let explained = bench.until("a message", |seen| *seen != still);
    let ((left, right), (top, _)) = difference(&explained, &still).expect("a difference");
    assert!(top > 300 && left < 320 && right > 320, "at the bottom: {left} {right} {top}");
    bench.until("its end", |seen| *seen == still);
    bench.key("x");
    // The next key was taken, so that one was too.
    bench.key("h");
    bench.until("the help", |seen| count(seen, GREEN) > 60);
    bench.key("h");
    bench.until("no help and no second message", |seen| *seen == still);
    // The scale that holds is named, also when it is the normal one again.
    let has_note = |seen: &RgbImage| {
        difference(seen, &still).is_some_and(|((left, right), (top, _))| top > 300 && left < 320 && right > 320)
    };
    bench.key("ctrl+plus");
    bench.until("a message about the scale", |seen| *seen != still);
    bench.key("ctrl+0");
    bench.until("a message in the normal size", has_note);
    bench.until("its end", |seen| *seen == still);
    bench.key("ctrl+0");
    bench.until("a message about the same scale", has_note);
    bench.key("q");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
}

/// The key records the cameras that are shown, as snapshots do.
#[test]
fn an_enlarged_camera_is_recorded_alone() {
    let uris = [1, 2, 3].map(|seed| format!("sim:?fps=10&seed={seed}"));
    let Some(bench) = Bench::view(&uris) else { return };
    bench.until("pictures", |seen| !is_grey(seen) && seen.width() > 600);
    bench.key("2");
    bench.key("r");
    let folder = bench.folder.path().join("recordings");
    let recorded = || {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().expect("a name")).collect();
        names.sort();
        names
    };
    let file = || Some(std::fs::read_dir(folder.join("sim-2")).ok()?.next()?.ok()?.path());
    wait_for("a recording", || (file()?.metadata().ok()?.len() > 700_000).then_some(()));
    bench.key("r");
    bench.key("g");
    wait_for("its end", || file()?.extension().is_some_and(|end| end == "mcap").then_some(()));
    assert_eq!(recorded(), ["sim-2"]);
    bench.key("r");
    wait_for("all cameras", || (recorded() == ["sim-1", "sim-2", "sim-3"]).then_some(()));
    bench.key("q");
    bench.key("q");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
    assert!(said.contains("recording sim-2 to recordings") && said.contains("recording 3 cameras to"), "{said}");
}

/// Sends the message with which a window manager asks to close the window.
fn press_close_button(bench: &Bench) {
    let (connection, _) = x11rb::connect(Some(&bench.display)).expect("the X server");
    let atom =
        |name: &str| connection.intern_atom(false, name.as_bytes()).expect("sent").reply().expect("an atom").atom;
    let (window, data) = (bench.window.parse().expect("a number"), [atom("WM_DELETE_WINDOW"), 0, 0, 0, 0]);
    let message = ClientMessageEvent::new(32, window, atom("WM_PROTOCOLS"), data);
    connection.send_event(false, window, EventMask::NO_EVENT, message).expect("sent").check().expect("a window");
}

/// The close button asks like the keys that quit, also in a window without a window manager.
#[test]
fn closing_the_window_asks_before_it_ends_a_recording() {
    for managed in [true, false] {
        let Some(bench) = Bench::start("1000x700x24", managed, "view", &["sim:?fps=10&boxes=0".to_owned()]) else {
            return;
        };
        let mut bench = bench.opened().expect("a window");
        bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
        bench.hide_hud();
        bench.key("r");
        let folder = bench.folder.path().join("recordings/sim-1");
        let file = || Some(std::fs::read_dir(&folder).ok()?.next()?.ok()?.path());
        wait_for("a recording", || (file()?.metadata().ok()?.len() > 700_000).then_some(()));
        press_close_button(&bench);
        bench.until("a question", |seen| has_message(seen, 300));
        bench.key("n");
        // The answer was taken when the next key is.
        bench.key("h");
        bench.until("the help", |seen| count(seen, GREEN) > 60);
        assert!(bench.program.try_wait().expect("a child").is_none(), "it is still running");
        bench.key("h");
        bench.until("no help", |seen| count(seen, GREEN) < 30);
        press_close_button(&bench);
        press_close_button(&bench);
        let (status, said) = bench.end();
        assert!(in_order(status), "{status}: {said}");
        assert!(said.contains("frames in recordings/sim-1/"), "{said}");
    }
}
