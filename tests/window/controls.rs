//! Sliders of the side panel, with a camera that takes control records.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use oaktap::sim::Stream;
use oaktap::sync::locked;
use oaktap::wire::encode;

use super::*;

/// Serves each client the stream of a simulated camera, and answers control records. Refuses an ISO. Returns its address and the
/// records that it receives.
fn camera(config: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let config: SimConfig = config.parse().expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let received = Arc::new(Mutex::new(Vec::new()));
    let records = Arc::clone(&received);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, records) = (client.expect("a client"), Arc::clone(&records));
            let mut stream = Stream::new(&config).expect("a camera");
            // Ends with the connection, and paces the stream: 20 frames per second.
            thread::spawn(move || -> std::io::Result<()> {
                client.set_read_timeout(Some(Duration::from_millis(50)))?;
                let mut line = [0; 32];
                loop {
                    client.write_all(&stream.turn().bytes())?;
                    if client.read_exact(&mut line).is_err() {
                        continue;
                    }
                    let order = String::from_utf8_lossy(&line).trim_end().to_owned();
                    let text = order.trim_start_matches("@K ").to_owned();
                    let answer = if text.starts_with("iso=") { "no: this lens has no gain".to_owned() } else { text };
                    client.write_all(&encode::line(&format!("@N {answer}")).expect("a record"))?;
                    locked(&records).push(order);
                }
            });
        }
    });
    (address, received)
}

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
    for (scale, size) in [("1", "640x352"), ("2", "1280x720")] {
        let (address, received) = camera(&format!("records=on&fps=20&boxes=1&size={size}"));
        let arguments = [address, "--size".to_owned(), size.to_owned(), "--scale".to_owned(), scale.to_owned()];
        let Some(bench) = Bench::managed("1400x900", "view", &arguments) else { return };
        bench.until("a picture", |seen| !is_grey(seen));
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
        let last = |order: &str| {
            wait_for(order.to_owned(), || locked(&received).last().is_some_and(|last| last == order).then_some(()));
        };
        press(bars[0], [0.2, 1.0]);
        last("@K lens=255");
        press(bars[1], [0.3, 0.8]);
        last("@K exposure=7500");
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
        press(bars[2], [0.5, 0.0]);
        last("@K iso=100");
        // The word above the right end of the last bar.
        let rows = bars[3].2 - bars[2].2;
        point(&bench, (bars[3].1 - 10, bars[3].2 - rows / 4));
        click(&bench, "1");
        last("@K wb=auto");
        assert!(locked(&received).iter().all(|order| order.starts_with("@K ")), "{received:?}");
        bench.key("q");
        let (status, said) = bench.end();
        assert!(in_order(status), "{status}: {said}");
        assert!(said.contains("the camera refused `iso="), "{said}");
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
        // On the picture, which the panel makes smaller.
        (0..344).any(|x| (0..352).filter(|y| seen.get_pixel(x, *y).0 == color).count() > 20)
    };
    bench.key("d");
    bench.until("all boxes beside the panel", |seen| {
        labels.iter().all(|label| boxes(seen, *label)) && bars(seen).is_empty()
    });
    bench.key("slash");
    for letter in name.chars() {
        bench.key(if letter == ' ' { "space".to_owned() } else { letter.to_string() }.as_str());
    }
    bench.key("Return");
    bench.until("one class", |seen| labels.iter().all(|label| boxes(seen, *label) == (*label == chosen)));
    bench.key("slash");
    bench.key("Return");
    bench.until("all classes", |seen| labels.iter().all(|label| boxes(seen, *label)));
    bench.key("q");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
}
