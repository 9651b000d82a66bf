//! Windows of many cameras: those that are not streaming, and room for the notices and the timeline.

use super::*;

const RED: [u8; 3] = [0xff, 0x5a, 0x52];

/// Returns the pixels of about a color in the first rows.
fn at_top(seen: &RgbImage, color: [u8; 3]) -> usize {
    count(&image::imageops::crop_imm(seen, 0, 0, seen.width(), 24).to_image(), color)
}

/// Returns the source of a camera that is switched off.
fn gone(name: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("{name}={}", listener.local_addr().expect("an address"))
}

#[test]
fn cameras_that_are_not_streaming_are_named_and_shown_by_a_key() {
    let mut uris: Vec<_> = (1..=12).map(|seed| format!("sim:?fps=2&boxes=0&size=96x64&seed={seed}")).collect();
    uris[4] = gone("gate");
    uris[10] = gone("yard");
    let Some(bench) = Bench::view(&uris) else { return };
    let title = || bench.xdotool(&["getwindowname", &bench.window]).expect("a name").trim().to_owned();
    let shows = |expected: &str| wait_for(expected.to_owned(), || (title() == expected).then_some(()));
    shows("oaktap - 12 cameras, 2 not streaming");
    bench.until("no notice, because the tiles say it", |seen| at_top(seen, RED) == 0);
    bench.key("n");
    shows("oaktap - cameras 1 to 9 of 12, 2 not streaming");
    // One of them is on the next page.
    bench.until("a notice", |seen| at_top(seen, RED) > 40);
    bench.key("1");
    shows("oaktap - sim-1, 2 of 12 not streaming");
    bench.until("the notice", |seen| at_top(seen, RED) > 40);
    // Also without a HUD, over the picture.
    bench.key("i");
    bench.key("i");
    bench.until("the notice over the picture", |seen| count(seen, GREEN) < 30 && count(seen, RED) > 40);
    for name in ["gate", "yard", "gate"] {
        bench.key("o");
        shows(&format!("oaktap - {name}, 2 of 12 not streaming"));
    }
    bench.key("g");
    shows("oaktap - 12 cameras, 2 not streaming");
    bench.key("q");
    let (_, said) = bench.end();
    assert!(said.contains("frames"), "{said}");
}

/// A grid leaves room for what is drawn beside it: nothing is over its pictures.
#[test]
fn a_grid_makes_room_for_notices_and_the_timeline() {
    let made = [60, 60].map(|frames| Recording::new(&["size=480x264&format=GRAY8&boxes=0&records=on"], frames));
    let paths = made.each_ref().map(|recording| recording.path().to_str().expect("a name").to_owned());
    let Some(bench) = Bench::run("replay", &paths) else { return };
    bench.until("two pictures", |seen| seen.dimensions() == (480, 530));
    bench.key("space");
    bench.key("Home");
    // The colors of the ground, and of the bar.
    let (ground, dim) = ([0x12, 0x16, 0x1b], [0xa8, 0xb2, 0xbd]);
    let seen = bench.until("a notice above the pictures and the timeline below them", |seen| {
        let bar = |y: &u32| (0..480).filter(|x| seen.get_pixel(*x, *y).0 == dim).count() > 150;
        let rows: Vec<u32> = (0..530).filter(bar).collect();
        at_top(seen, [255; 3]) > 60 && rows.first().is_some_and(|y| *y >= 506)
    });
    // 24 pixels each, and two tiles with a gap between them: pictures of 436x240.
    let is_ground = |x: u32, y: u32| seen.get_pixel(x, y).0 == ground;
    let is_bar = |seen: &RgbImage, color: [u8; 3]| (0..24).all(|y| seen.get_pixel(460, y).0 == color);
    assert!(is_bar(&seen, [0x0b, 0x0e, 0x12]), "nothing else is in the bar");
    for (top, recording) in [(24, &made[0]), (266, &made[1])] {
        assert!((top..top + 200).all(|y| is_ground(10, y) && is_ground(470, y) && !is_ground(240, y)), "{top}");
        let payload = recording.frames[0][0].payload();
        // The mean over the picture without its status line is that of what was sent.
        let mean = |values: &mut dyn Iterator<Item = u8>| {
            let (sum, count) = values.fold((0_u64, 0_u64), |(sum, count), value| (sum + u64::from(value), count + 1));
            sum as f64 / count.max(1) as f64
        };
        let sent = mean(&mut payload[..480 * 220].iter().copied());
        let shown = mean(
            &mut (0..200).flat_map(|y| (30..450).map(move |x| (x, y))).map(|(x, y)| seen.get_pixel(x, top + y).0[1]),
        );
        assert!((sent - shown).abs() < 6.0, "{sent} and {shown}: nothing lies over the picture");
    }
    bench.key("k");
    bench.until("dark text on a light bar", |seen| is_bar(seen, [0xf4, 0xf6, 0xf8]));
    bench.key("q");
    let (status, said) = bench.end();
    assert!(status.success(), "{status}: {said}");
}

/// The time at the pointer is over the status lines of the cameras above the timeline, as without them.
#[test]
fn the_time_at_the_pointer_is_over_the_status_lines_of_a_grid() {
    let made = [60, 60].map(|frames| Recording::new(&["size=480x264&format=GRAY8&boxes=0&records=on"], frames));
    let paths = made.each_ref().map(|recording| recording.path().to_str().expect("a name").to_owned());
    let Some(bench) = Bench::run("replay", &paths) else { return };
    bench.until("two pictures", |seen| seen.dimensions() == (480, 530));
    bench.key("space");
    bench.key("Home");
    bench.hide_hud();
    // The columns of a row of the bar, which is at the lower edge.
    let bar = |seen: &RgbImage| {
        let dim = |y: u32| (0..480).filter(|x| seen.get_pixel(*x, y).0 == [0xa8, 0xb2, 0xbd]).collect::<Vec<u32>>();
        (506..530).map(|y| (y, dim(y))).find(|(_, columns)| columns.len() > 150)
    };
    let place = wait_for("the timeline of a paused recording", || bar(&bench.look()));
    let (x, y) = (place.1[60], place.0);
    point(&bench, (x, y));
    let part = |seen: &RgbImage, x: u32, width: u32| image::imageops::crop_imm(seen, x, 484, width, 22).to_image();
    let time = |seen: &RgbImage| part(seen, x - 20, 40);
    let clear = bench.until("the time at the pointer", |seen| count(&time(seen), [255; 3]) > 20);
    bench.key("i");
    bench.until("the time over the status line", |seen| {
        part(seen, 24, 60) != part(&clear, 24, 60) && time(seen) == time(&clear)
    });
    bench.key("q");
    let (status, said) = bench.end();
    assert!(status.success(), "{status}: {said}");
}

/// A window in which nothing changes is not drawn.
#[test]
fn a_paused_recording_is_not_drawn_again() {
    let recording = Recording::new(&["size=480x264&format=GRAY8&boxes=0&records=on"], 100);
    let arguments = [recording.path().to_str().expect("a name"), "-vv"].map(str::to_owned);
    let Some(mut bench) = Bench::run("replay", &arguments) else { return };
    let said = BufReader::new(bench.program.stderr.take().expect("a pipe"));
    bench.until("a picture", |seen| seen.dimensions() == (480, 264));
    bench.key("space");
    let mut draws = said.lines().map_while(Result::ok).filter(|line| line.contains("draws in the last second"));
    assert!(draws.any(|line| line.contains(" 0 draws in the last second")), "the program has ended");
    // And is when something does.
    bench.key("period");
    assert!(draws.next().is_some_and(|line| !line.contains(" 0 draws")), "a step is drawn");
}

/// A window has one recording: its dot is on each page, and the key that starts one does not end that of other cameras
/// before the window has said so.
#[test]
fn a_recording_of_another_page_is_not_stopped_by_the_key_that_starts_one() {
    let uris: Vec<_> = (1..=12).map(|seed| format!("sim:?fps=4&boxes=0&size=96x64&seed={seed}")).collect();
    let Some(bench) = Bench::view(&uris) else { return };
    let title = || bench.xdotool(&["getwindowname", &bench.window]).expect("a name").trim().to_owned();
    let shows = |expected: &str| wait_for(expected.to_owned(), || (title() == expected).then_some(()));
    let until_dot = |where_: &str| drop(bench.until(where_, |seen| at_top(seen, RED) > 20));
    let until_no_dot = |where_: &str| drop(bench.until(where_, |seen| at_top(seen, RED) == 0));
    let recorded = || {
        let folders = std::fs::read_dir(bench.folder.path().join("recordings")).into_iter().flatten().flatten();
        folders.map(|folder| std::fs::read_dir(folder.path()).map_or(0, Iterator::count)).sum::<usize>()
    };
    shows("oaktap - 12 cameras");
    bench.key("n");
    shows("oaktap - cameras 1 to 9 of 12");
    bench.key("r");
    until_dot("the dot on the page of the recorded cameras");
    // The first file of a camera is created with its first frame.
    wait_for("nine recordings", || (recorded() == 9).then_some(()));
    bench.key("n");
    shows("oaktap - cameras 10 to 12 of 12");
    until_dot("the dot on the other page");
    bench.key("r");
    // The window has taken the key when it has taken the next one, with which another press explains again.
    bench.key("1");
    shows("oaktap - sim-10");
    bench.key("i");
    bench.key("i");
    bench.until("the dot without a HUD", |seen| count(seen, GREEN) < 30 && count(seen, RED) > 20);
    bench.key("i");
    bench.key("r");
    bench.key("g");
    bench.key("n");
    bench.key("n");
    shows("oaktap - cameras 10 to 12 of 12");
    until_dot("the dot after two explanations");
    assert_eq!(recorded(), 9);
    bench.key("r");
    bench.key("r");
    until_no_dot("no recording");
    bench.key("r");
    until_dot("the dot of the second recording");
    wait_for("three more recordings", || (recorded() == 12).then_some(()));
    bench.key("q");
    bench.key("y");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
    assert!(said.contains("stopped recording 9 cameras: "), "{said}");
    assert!(said.contains("recording 1: 9 cameras: ") && said.contains(" in 9 files, "), "{said}");
    assert!(said.contains("recording 2: 3 cameras: ") && said.contains(" in 3 files, "), "{said}");
}
