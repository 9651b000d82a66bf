//! The host program of Luxonis' standalone page, run by Python, reads the simulated camera.

use std::net::TcpListener;

use oaktap::frame::{Detection, LabelMap};
use oaktap::sim::{SimConfig, Simulator, Stream};
use oaktap::wire::encode;
use sha2::{Digest, Sha256};

use crate::luxonis_page;

const PROGRAM: &str = "receive and visualize detections";

const FRAMES: usize = 100;

/// Converts planes of blue, green and red to pixels, as the program does for its window.
fn interleaved(planes: &[u8]) -> Vec<u8> {
    let third = planes.len() / 3;
    (0..third).flat_map(|at| [planes[at], planes[third + at], planes[2 * third + at]]).collect()
}

/// The text and the corners that the program draws for a box, according to its source: the text is 10 pixels right of
/// the corner and 20 below it.
fn drawn(detection: &Detection, names: &LabelMap) -> ([serde_json::Value; 2], serde_json::Value) {
    let pixel = |part: f32, side: f64| {
        // The program parses the four decimals as a 64-bit number and truncates it.
        let part: f64 = format!("{part:.4}").parse().expect("a number");
        (part * side) as i64
    };
    let bbox = detection.bbox;
    let (x, y) = (pixel(bbox.xmin, 640.0), pixel(bbox.ymin, 352.0));
    let percent: f64 = format!("{:.1}", f64::from(detection.confidence) * 100.0).parse().expect("a number");
    let name = names.name(detection.label).expect("one of the 80 classes");
    (
        [
            serde_json::json!([name, x + 10, y + 20]),
            serde_json::json!([format!("{}%", percent as i64), x + 10, y + 40]),
        ],
        serde_json::json!([x, y, pixel(bbox.xmax, 640.0), pixel(bbox.ymax, 352.0)]),
    )
}

#[test]
fn luxonis_host_program_reads_the_simulator() {
    // As fast as the program reads, and at the camera's rate: then the camera may drop frames for it.
    for text in ["fps=0&boxes=4", "fps=100&boxes=4&seed=5"] {
        let Some(program) = luxonis_page::program(PROGRAM) else { return };
        let config: SimConfig = text.parse().expect(text);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let simulator = Simulator::start(listener, &config).expect(text);
        let lines = luxonis_page::seen_by_the_host(&program, simulator.local_addr().port(), FRAMES);
        assert_eq!(simulator.stop().connections, 1);

        let names = seed_names(&program);
        let mut stream = Stream::new(&config).expect(text);
        let mut shown = 0;
        for line in &lines {
            let seen: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let truth = loop {
                let turn = stream.turn();
                let time: f64 = encode::seconds(turn.truth.device_time).parse().expect("a number");
                if seen["time"] == time {
                    break turn.truth;
                }
                assert!(
                    seen["time"].as_f64() > Some(time) && config.fps > 0.0,
                    "{text}: {time} came too early: {line}"
                );
            };
            let sha256: String =
                Sha256::digest(interleaved(&truth.payload)).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(
                (&seen["sha256"], &seen["shape"]),
                (&sha256.into(), &serde_json::json!([352, 640, 3])),
                "{text}"
            );
            let (texts, boxes): (Vec<_>, Vec<_>) = truth.detections.iter().map(|one| drawn(one, &names)).unzip();
            assert_eq!(seen["texts"], serde_json::Value::from(texts.concat()), "{text}, frame {}", truth.index);
            assert_eq!(seen["boxes"], serde_json::Value::from(boxes), "{text}, frame {}", truth.index);
            assert_eq!(truth.detections.len(), 4);
            shown += 1;
        }
        assert_eq!(shown, FRAMES, "{text}");
    }
}

/// The names in the program's own list.
fn seed_names(program: &str) -> LabelMap {
    let (_, list) = program.split_once("labels =").expect("it has a list");
    let (list, _) = list.split_once(']').expect("which ends");
    list.split('"').skip(1).step_by(2).collect()
}
