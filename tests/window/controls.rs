//! Sliders of the side panel, with a camera that takes control records.

use oaktap::sync::locked;

use super::controlled_camera::controlled_camera;
use super::*;

/// Bars of sliders whose value is not known: their left and right ends and their first row.
fn bars(seen: &RgbImage) -> Vec<(u32, u32, u32)> {
    let mut found: Vec<(u32, u32, u32)> = Vec::new();
    for (y, row) in seen.rows().enumerate() {
        let dim: Vec<u32> = (0..).zip(row).filter(|(_, pixel)| pixel.0 == [0xa8, 0xb2, 0xbd]).map(|(x, _)| x).collect();
        if let (Some(left), Some(right)) = (dim.first(), dim.last())
            && dim.len() as u32 == right - left + 1
            && dim.len() > 150
            && found.last().is_none_or(|last| y as u32 > last.2 + 10)
        {
            found.push((*left, *right, y as u32));
        }
    }
    found
}

#[test]
fn sliders_set_the_camera_and_show_what_was_sent() {
    for (scale, size) in [("1", (640, 352)), ("2", (1280, 720))] {
        let (address, received) = controlled_camera("records=on&fps=10&boxes=1");
        let arguments = [&address, "--scale", scale].map(str::to_owned);
        let Some(bench) = Bench::managed("1400x900", "view", &arguments) else { return };
        bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
        resize(&bench, size);
        bench.key("d");
        let seen = bench.until("four sliders", |seen| bars(seen).len() == 4);
        let bars = bars(&seen);
        let press = |(left, right, y): (u32, u32, u32), shares: [f64; 2]| {
            let x = |share: f64| left + (f64::from(right - left) * share).round() as u32;
            point(&bench, (x(shares[0]), y + 1));
            bench.xdotool(&["mousedown", "1"]).expect("a button");
            point(&bench, (x(shares[1]), y + 1));
            bench.xdotool(&["mouseup", "1"]).expect("a button");
        };
        // A value that the camera does not answer is sent again when the slider is moved again; one that is on its way is not.
        let until = |order: &str, set: &dyn Fn()| {
            let mut asked: Option<Instant> = None;
            wait_for(order.to_owned(), || {
                if asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(1)) {
                    set();
                    asked = Some(Instant::now());
                }
                locked(&received).last().is_some_and(|last| last == order).then_some(())
            });
        };
        until("@K lens=255", &|| press(bars[0], [0.2, 1.0]));
        until("@K exposure=7500", &|| press(bars[1], [0.3, 0.8]));
        // Its bar is filled up to the value, and that of the color is not.
        let filled = |seen: &RgbImage, (left, right, y): (u32, u32, u32)| {
            let green = (left..=right).filter(|x| seen.get_pixel(*x, y).0 == GREEN).count() as f64;
            green / f64::from(right - left + 1)
        };
        bench.until("the value on the slider", |seen| {
            (0.76..0.81).contains(&filled(seen, bars[1]))
                && filled(seen, bars[0]) > 0.97
                && filled(seen, bars[3]) < 0.01
        });
        // The refusal is reported while the next setting is made.
        until("@K iso=100", &|| press(bars[2], [0.5, 0.0]));
        // The word above the right end of the last bar.
        let rows = bars[3].2 - bars[2].2;
        until("@K wb=auto", &|| {
            point(&bench, (bars[3].1 - 10, bars[3].2 - rows / 4));
            click(&bench, "1");
        });
        assert!(locked(&received).iter().all(|order| order.starts_with("@K ")), "{received:?}");
        bench.key("q");
        let (status, said) = bench.end();
        assert!(in_order(status), "{status}: {said}");
        assert!(said.contains("the camera refused `iso="), "{said}");
        assert!(said.contains(" is not set: "), "the first value, which was not answered: {said}");
    }
}

/// A camera without these records has no sliders; `/` chooses a class while the panel is open.
#[test]
fn typing_chooses_a_class_in_the_side_panel() {
    let uri = "sim:?fps=5&boxes=4&seed=3&records=off";
    let Some(bench) = Bench::view(&[uri.to_owned()]) else { return };
    bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
    bench.hide_hud();
    let (_, said) = bench.paused_and_saved(1);
    let labels: Vec<u32> = said[0]["detections"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|found| found["label"].as_u64().expect("a number") as u32)
        .collect();
    let name = said[0]["detections"][1]["name"].as_str().expect("a name").to_owned();
    let chosen = labels[1];
    let boxes = |seen: &RgbImage, label: u32| {
        let color = rgb(class_color(label));
        // The colors in the panel are lower than the boxes.
        (0..640).any(|x| (0..352).filter(|y| seen.get_pixel(x, *y).0 == color).count() > 20)
    };
    bench.key("d");
    bench.until("all boxes beside the panel", |seen| {
        labels.iter().all(|label| boxes(seen, *label)) && bars(seen).is_empty()
    });
    let type_name = || {
        for letter in name.chars() {
            bench.key(if letter == ' ' { "space".to_owned() } else { letter.to_string() }.as_str());
        }
        bench.key("Return");
    };
    bench.key("slash");
    type_name();
    let one = |seen: &RgbImage| labels.iter().all(|label| boxes(seen, *label) == (*label == chosen));
    bench.until("one class", one);
    // The ground of the panel at the lower edge.
    let has_panel = |seen: &RgbImage| (346..352).all(|y| seen.get_pixel(636, y).0 == [0x0b, 0x0e, 0x12]);
    // The filter stays until it is cleared: also when the panel is closed and opened.
    for (key, what) in [("d", "closed"), ("d", "open"), ("Escape", "closed again"), ("d", "open again")] {
        bench.key(key);
        bench.until(what, |seen| one(seen) && has_panel(seen) == what.starts_with("open"));
    }
    bench.key("slash");
    bench.key("Return");
    bench.until("all classes", |seen| labels.iter().all(|label| boxes(seen, *label)));
    // There is no other camera to find, so that classes are found without the panel, too.
    bench.key("d");
    bench.until("all boxes without the panel", |seen| labels.iter().all(|label| boxes(seen, *label)));
    bench.key("slash");
    type_name();
    bench.until("one class again", |seen| labels.iter().all(|label| boxes(seen, *label) == (*label == chosen)));
    bench.key("q");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
}
