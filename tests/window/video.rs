//! Video of H.264 in the window: live, and sought and stepped in a recording.

use std::sync::Arc;

use oaktap::convert::Converter;
use oaktap::decode::VideoDecoder;
use oaktap::frame::{Frame, PayloadKind, Picture, Pool};

use super::sizes::timeline;
use super::*;

/// Returns the pictures of consecutive frames, which begin with a key frame.
fn decoded(frames: impl Iterator<Item = Arc<Frame>>) -> Vec<RgbImage> {
    let (mut decoder, mut converter) = (VideoDecoder::new(Pool::default()), Converter::new());
    let mut pictures = Vec::new();
    for frame in frames {
        let show = |decoded: Arc<Frame>| {
            let mut picture = Picture::default();
            converter.picture(&decoded, &mut picture).expect("a picture");
            let pixel = |x: u32, y: u32| image::Rgb(rgb(picture.words()[y as usize * picture.width + x as usize]));
            pictures.push(RgbImage::from_fn(picture.width as u32, picture.height as u32, pixel));
        };
        decoder.decode(&frame, show).expect("intact video");
    }
    pictures
}

/// Returns the mean difference of the points of a part that a condition selects.
fn difference(a: &RgbImage, b: &RgbImage, rows: std::ops::Range<u32>, selects: impl Fn(u32, u32) -> bool) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (x, y) in rows.step_by(3).flat_map(|y| (0..a.width()).step_by(3).map(move |x| (x, y))) {
        if selects(x, y) {
            let pixels = a.get_pixel(x, y).0.into_iter().zip(b.get_pixel(x, y).0);
            sum += pixels.map(|(a, b)| f64::from(a.abs_diff(b))).sum::<f64>() / 3.0;
            count += 1.0;
        }
    }
    sum / f64::max(count, 1.0)
}

/// A position between two key frames needs the frames from the key frame on: one of 30 is one.
#[test]
fn a_recording_of_video_is_sought_and_stepped_to_any_frame() {
    const FRAMES: usize = 150;
    let recording = Recording::new(&["size=640x352&format=H264&boxes=0&records=on"], FRAMES);
    let pictures = decoded(recording.frames[0].iter().cloned());
    assert_eq!(pictures.len(), FRAMES);
    let path = recording.path().to_str().expect("a name").to_owned();
    let Some(bench) = Bench::run("replay", &[path]) else { return };
    bench.until("a picture", |seen| seen.dimensions() == (640, 352));
    bench.key("space");
    // Between the notices and the timeline.
    let apart = |a: &RgbImage, b: &RgbImage| difference(a, b, 60..280, |_, _| true);
    let shows = |seen: &RgbImage, at: usize| {
        // Nearer to this picture than to those around it.
        let around = (at.saturating_sub(3)..(at + 4).min(FRAMES)).filter(|other| *other != at);
        let distance = apart(seen, &pictures[at]);
        distance < 1.0 && around.map(|other| apart(seen, &pictures[other])).all(|other| other > distance)
    };
    bench.key("Home");
    bench.until("the first picture", |seen| shows(seen, 0));
    // 5 s are 125 frames.
    bench.key("Right");
    bench.until("a picture five seconds on", |seen| shows(seen, 125));
    for at in [124, 123] {
        bench.key("comma");
        bench.until("the picture before", |seen| shows(seen, at));
    }
    for at in [124, 125, 126] {
        bench.key("period");
        bench.until("the next picture", |seen| shows(seen, at));
    }
    bench.key("Left");
    bench.until("five seconds back", |seen| shows(seen, 1));
    bench.key("End");
    bench.until("the last picture", |seen| shows(seen, FRAMES - 1));
    // Over a key frame: the one before it depends on that of frame 90.
    bench.key("Home");
    bench.key("Right");
    bench.until("a picture five seconds on", |seen| shows(seen, 125));
    for at in (119..125).rev() {
        bench.key("comma");
        bench.until("the picture before", |seen| shows(seen, at));
    }
    bench.key("q");
    let (status, said) = bench.end();
    assert!(status.success(), "{status}: {said}");
}

/// Dragging on the timeline of a video shows the frames at the pointer, and not only key frames: one of 30 is one.
#[test]
fn dragging_on_the_timeline_seeks_in_a_video() {
    const FRAMES: usize = 150;
    let recording = Recording::new(&["size=640x352&format=H264&boxes=0&records=on"], FRAMES);
    let pictures = decoded(recording.frames[0].iter().cloned());
    let path = recording.path().to_str().expect("a name").to_owned();
    let Some(bench) = Bench::managed("1400x900", "replay", &[path]) else { return };
    bench.until("a picture", |seen| seen.dimensions() == (640, 352));
    bench.key("space");
    bench.key("Home");
    // Between the notices and the time at the pointer.
    let apart = |seen: &RgbImage, at: usize| difference(seen, &pictures[at], 60..240, |_, _| true);
    let first = bench.until("the first picture", |seen| apart(seen, 0) < 1.0);
    let (left, right, y) = timeline(&first);
    let at = |share: f64| (left + (f64::from(right - left) * share).round() as u32, y);
    let middle = |share: f64| (share * (FRAMES - 1) as f64).round() as usize;
    let until = |share: f64| {
        let near = middle(share).saturating_sub(2)..(middle(share) + 3).min(FRAMES);
        bench.until("the picture at the pointer", |seen| {
            // Nearer to one of these than to those of a sixth of a second before and after.
            let nearest = near.clone().map(|n| apart(seen, n)).fold(f64::MAX, f64::min);
            let others = [near.start.checked_sub(4), Some(near.end + 4)].into_iter().flatten();
            nearest < 1.0 && others.filter(|n| *n < FRAMES).all(|n| apart(seen, n) > nearest)
        });
    };
    point(&bench, at(0.3));
    bench.xdotool(&["mousedown", "1"]).expect("a button");
    until(0.3);
    for share in [0.55, 0.93, 0.1, 0.45] {
        // Several points on the way, as a hand makes them.
        for part in [0.25, 0.5, 0.75] {
            point(&bench, at(share - 0.05 * part));
        }
        point(&bench, at(share));
        until(share);
    }
    // The picture stays when the button is released.
    bench.xdotool(&["mouseup", "1"]).expect("a button");
    bench.key("period");
    bench.key("comma");
    until(0.45);
    bench.key("q");
    let (status, said) = bench.end();
    assert!(status.success(), "{status}: {said}");
}

/// Boxes are drawn on the decoded pictures of a live camera, each on the picture with which it was sent.
#[test]
fn live_video_is_shown_with_its_boxes() {
    let config = "format=H264&fps=10&boxes=3&seed=3&records=on";
    let Some(bench) = Bench::view(&[format!("sim:?{config}")]) else { return };
    bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
    bench.key("l");
    bench.key("i");
    bench.key("i");
    let (still, said) = bench.paused_and_saved(1);
    let reel = Reel::new(&config.parse::<SimConfig>().expect("a configuration")).expect("a reel");
    let found = said[0]["detections"].as_array().expect("a list");
    let edges = |n: usize| [0, 1, 2, 3].map(|side| found[n]["bbox"][side].as_f64().expect("a number"));
    let near = |sent: f32, found: f64| (f64::from(sent) - found).abs() < 6e-5;
    let sent = (0..reel.frames()).find(|k| {
        let sent = &reel.still(*k as u64).detections;
        sent.len() == found.len()
            && sent.iter().enumerate().all(|(n, sent)| {
                let bbox = [sent.bbox.xmin, sent.bbox.ymin, sent.bbox.xmax, sent.bbox.ymax];
                bbox.into_iter().zip(edges(n)).all(|(sent, found)| near(sent, found))
            })
    });
    let sent = sent.expect("a frame with these boxes was sent");
    let frames = (0..=sent).map(|k| {
        let mut frame = Frame::with_payload(&*reel.still(k as u64).payload);
        (frame.id, frame.kind) = (k as u64, PayloadKind::H264);
        Arc::new(frame)
    });
    let pictures = decoded(frames);
    let boxes: Vec<[u32; 4]> = (0..found.len())
        .map(|n| {
            let [left, top, right, bottom] = edges(n);
            [left * 640.0, top * 352.0, right * 640.0, bottom * 352.0].map(|edge| edge.round() as u32)
        })
        .collect();
    let is_outside = |x: u32, y: u32| {
        boxes.iter().all(|[left, top, right, bottom]| x < *left || x >= *right || y < *top || y >= *bottom)
    };
    // Below the notices.
    let apart = |at: usize| difference(&still, &pictures[at], 120..352, is_outside);
    assert!(apart(sent) < 2.0, "{}", apart(sent));
    let other = sent.saturating_sub(5);
    assert!(sent == other || apart(other) > apart(sent), "the picture of another frame differs more");
    for (n, [left, top, right, bottom]) in boxes.iter().enumerate() {
        let color = rgb(class_color(found[n]["label"].as_u64().expect("a number") as u32));
        let row = u32::midpoint(*top, *bottom);
        // Not below the notices in the upper right corner.
        for x in [*left, left + 1, right - 2, right - 1].into_iter().filter(|x| *x < 640 && (*x < 400 || row > 120)) {
            assert_eq!(still.get_pixel(x, row).0, color, "box {n} at {x}, {row}");
        }
    }
    bench.key("q");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
}
