//! Windows of any size, and keys that close one thing at a time.

use super::*;

const RED: [u8; 3] = [0xff, 0x5a, 0x52];

/// Esc closes the search, then the side panel, and does not end the program with the press that dismisses a message.
#[test]
fn escape_closes_one_thing_at_a_time() {
    let Some(bench) = Bench::view(&["sim:?fps=5&boxes=0".to_owned()]) else { return };
    bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
    bench.hide_hud();
    let alive = || {
        // The keys before were taken when the help is shown.
        bench.key("h");
        bench.until("the help", |seen| count(seen, GREEN) > 60);
        bench.key("h");
        bench.until("no help", |seen| count(seen, GREEN) < 30);
    };
    bench.key("d");
    let is_panel = |seen: &RgbImage| seen.get_pixel(630, 100).0 == [0x0b, 0x0e, 0x12];
    bench.until("the side panel", is_panel);
    bench.key("slash");
    bench.key("Escape");
    alive();
    assert!(is_panel(&bench.look()), "only the search was closed");
    bench.key("Escape");
    bench.until("no side panel", |seen| !is_panel(seen));
    alive();
    for key in ["slash", "q", "q", "Return"] {
        bench.key(key);
    }
    bench.until("a message that no class has this name", |seen| has_message(seen, 300));
    bench.key("Escape");
    alive();
    let (status, said) = bench.end_with_escape();
    assert!(in_order(status), "{status}: {said}");
}

/// While a recorded camera is gone, the notice says that nothing is recorded, and its dot is not red.
#[test]
fn a_recording_without_frames_says_so() {
    let config: SimConfig = "fps=10&boxes=0".parse().expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let simulator = Simulator::start(listener, &config).expect("a camera");
    let other = "sim:?fps=10&boxes=0&size=640x352".to_owned();
    let Some(bench) = Bench::view(&[simulator.local_addr().to_string(), other]) else { return };
    bench.until("pictures", |seen| seen.dimensions() == (640, 706) && !is_grey(seen));
    // Only the first one.
    bench.key("1");
    bench.key("r");
    // The bar above the picture.
    let top = |seen: &RgbImage| image::imageops::crop_imm(seen, 0, 0, seen.width(), 24).to_image();
    bench.until("a red dot", |seen| count(&top(seen), RED) > 30);
    drop(simulator);
    bench.until("a notice in amber without a red dot", |seen| {
        count(&top(seen), RED) < 10 && count(&top(seen), [0xff, 0xb8, 0x3d]) > 30
    });
    bench.key("q");
    bench.key("y");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
}

/// The question before a recording ends is whole in any window, also in one that has room for nothing else.
#[test]
fn the_question_is_in_windows_of_any_size() {
    for (scale, sizes) in [("1", [(320, 200), (160, 100), (120, 60)]), ("2", [(640, 352), (320, 200), (240, 120)])] {
        let arguments = ["sim:?fps=5&boxes=0", "--scale", scale].map(str::to_owned);
        let Some(mut bench) = Bench::view(&arguments) else { return };
        bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
        bench.key("i");
        bench.key("i");
        bench.key("space");
        bench.key("r");
        bench.until("the message about the recording", |seen| has_message(seen, 280));
        bench.until("no message", |seen| !has_message(seen, 280));
        // Below the notice of the recording, which moves when the time left on the disk has more or fewer digits.
        let changed = |a: &RgbImage, b: &RgbImage| {
            let skipped = (a.width() * (a.height() / 2)) as usize;
            a.pixels().zip(b.pixels()).skip(skipped).filter(|(a, b)| a != b).count()
        };
        let scale: usize = scale.parse().expect("a number");
        for size in sizes {
            resize(&bench, size);
            // In the smallest windows, the notice with the elapsed time reaches the lower half.
            let few = 300 * scale * scale;
            let mut last = bench.look();
            let before = wait_for("a picture of that size", || {
                let seen = bench.look();
                let is_still = changed(&seen, &last) < few && !is_grey(&seen);
                last = seen.clone();
                is_still.then_some(seen)
            });
            bench.key("q");
            let seen = bench.until("the question", |seen| changed(seen, &before) > 3 * few);
            // No letter is cut at an edge of the window.
            let (width, height) = size;
            let is_edge = |x: u32, y: u32| x == 0 || y == 0 || x + 1 == width || y + 1 == height;
            let cut = seen
                .enumerate_pixels()
                .filter(|(x, y, pixel)| is_edge(*x, *y) && pixel.0 == [255; 3] && before.get_pixel(*x, *y) != *pixel);
            assert_eq!(cut.count(), 0, "{size:?} at {scale}x");
            bench.key("n");
            bench.until("no question", |now| changed(now, &seen) > 3 * few);
            assert!(bench.program.try_wait().expect("a child").is_none(), "it is still running");
        }
        bench.key("q");
        bench.key("y");
        let (status, said) = bench.end();
        assert!(in_order(status), "{status}: {said}");
    }
}
