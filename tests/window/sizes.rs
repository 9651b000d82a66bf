//! Pictures of all shapes, in windows of one, nine and forty cameras, at 1x and 2x, and the timeline under the mouse.

use super::*;

/// Cameras of one size that send gray pixels, and a window of them that is paused, without labels and HUD.
struct Wall {
    bench: Bench,
    size: (u32, u32),
    scale: u32,
    reels: Vec<Reel>,
    said: Vec<Value>,
}

/// A tile: its place, and that of the picture in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

fn fitted((width, height): (u32, u32), room: (u32, u32)) -> (u32, u32) {
    if room.0 * height <= room.1 * width {
        (room.0, (room.0 * height / width).max(1))
    } else {
        ((room.1 * width / height).max(1), room.1)
    }
}

/// Returns the places of pictures in a window: rows of tiles, two pixels apart, as large as possible.
pub(super) fn places(count: u32, window: (u32, u32), picture: (u32, u32)) -> Vec<Tile> {
    let area = |columns: u32| {
        let (width, height) = fitted(picture, (window.0 / columns, window.1 / count.div_ceil(columns)));
        width * height
    };
    let columns = (1..=count).max_by_key(|columns| area(*columns)).expect("a camera");
    let rows = count.div_ceil(columns);
    let part = |at: u32, of: u32, side: u32| (at * (side + 2) / of, (at + 1) * (side + 2) / of - 2);
    let place = |n: u32| {
        let (x, y) = (part(n % columns, columns, window.0), part(n / columns, rows, window.1));
        let (width, height) = fitted(picture, (x.1 - x.0, y.1 - y.0));
        Tile { left: x.0 + (x.1 - x.0 - width) / 2, top: y.0 + (y.1 - y.0 - height) / 2, width, height }
    };
    (0..count).map(place).collect()
}

impl Wall {
    fn open(count: usize, size: (u32, u32), scale: u32) -> Option<Self> {
        let config = |n: usize| {
            let (width, height) = size;
            format!("size={width}x{height}&format=GRAY8&fps=2&boxes=1&records=on&seed={}", n + 1)
        };
        let mut arguments: Vec<_> = (0..count).map(|n| format!("sim:?{}", config(n))).collect();
        arguments.extend(["--scale".to_owned(), scale.to_string()]);
        let bench = Bench::managed("1400x900", "view", &arguments)?;
        // Before the window is drawn, and without a picture.
        let empty = [[0; 3], [0x12, 0x16, 0x1b]];
        bench.until("pictures", |seen| {
            let gray = |tile: Tile| seen.get_pixel(tile.left + tile.width / 9, tile.top + tile.height / 2).0;
            places(count as u32, seen.dimensions(), size).into_iter().all(|tile| !empty.contains(&gray(tile)))
        });
        // To all overlays, and to none.
        bench.key("i");
        bench.key("i");
        bench.key("l");
        bench.key("space");
        let said = bench.snapshots(count);
        let reels =
            (0..count).map(|n| Reel::new(&config(n).parse().expect("a configuration")).expect("a reel")).collect();
        Some(Self { bench, size, scale, reels, said })
    }

    /// Returns the box of a camera and the picture that it sent with this box.
    fn sent(&self, camera: usize) -> ([f64; 4], u32, &[u8]) {
        let name = format!("sim-{}", camera + 1);
        let said = self.said.iter().find(|said| said["camera"] == name.as_str()).expect("a snapshot of each");
        let found = &said["detections"][0];
        let edges = [0, 1, 2, 3].map(|n| found["bbox"][n].as_f64().expect("a number"));
        let reel = &self.reels[camera];
        let near = |sent: f32, found: f64| (f64::from(sent) - found).abs() < 6e-5;
        let still = (0..reel.frames() as u64).map(|k| reel.still(k)).find(|still| {
            let bbox = still.detections[0].bbox;
            [bbox.xmin, bbox.ymin, bbox.xmax, bbox.ymax].into_iter().zip(edges).all(|(sent, found)| near(sent, found))
        });
        (edges, found["label"].as_u64().expect("a number") as u32, &still.expect("a picture with this box").payload)
    }

    /// Returns how much a tile differs from the picture that was sent, and whether its box is in its place, with lines of two
    /// pixels at 1x. `None` if notices cover the tile.
    fn check(&self, seen: &RgbImage, camera: usize, tile: Tile) -> Option<Result<(), String>> {
        let covered =
            |x: u32, y: u32| x + tile.left + 260 * self.scale >= seen.width() && y + tile.top < 90 * self.scale;
        let (edges, label, payload) = self.sent(camera);
        // In the precision of the overlay: some edges are halfway between two pixels.
        let pixel = |share: f64, side: u32| (share as f32 * side as f32).round() as u32;
        let [left, top, right, bottom] = [(0, tile.width), (1, tile.height), (2, tile.width), (3, tile.height)]
            .map(|(n, side)| pixel(edges[n], side));
        let line = 2 * self.scale;
        // Not in its middle, which the notices cover first.
        let row = bottom - line - 1;
        if covered(right, row) {
            return None;
        }
        for (x, is_edge) in (left..left + line)
            .chain(right - line..right)
            .map(|x| (x, true))
            .chain([(left + line, false), (right - line - 1, false)])
        {
            let found = seen.get_pixel(tile.left + x, tile.top + row).0;
            if (found == rgb(class_color(label))) != is_edge {
                return Some(Err(format!("camera {camera}: edge at {x}: {is_edge}, found {found:?}")));
            }
        }
        let (mut differences, mut points) = (0.0, 0.0);
        let (across, down) =
            (f64::from(self.size.0) / f64::from(tile.width), f64::from(self.size.1) / f64::from(tile.height));
        for (x, y) in (1..30).flat_map(|x| (1..30).map(move |y| (x * tile.width / 30, y * tile.height / 30))) {
            if ((left..right).contains(&x) && (top..bottom).contains(&y)) || covered(x, y) {
                continue;
            }
            // The average of the pixels that this one shows.
            let range = |at: u32, times: f64, side: u32| {
                let (from, to) = ((f64::from(at) * times) as u32, (f64::from(at + 1) * times).ceil() as u32);
                from..to.min(side).max(from + 1)
            };
            let (mut sum, mut count) = (0.0, 0.0);
            for row in range(y, down, self.size.1) {
                for column in range(x, across, self.size.0) {
                    sum += f64::from(payload[(row * self.size.0 + column) as usize]);
                    count += 1.0;
                }
            }
            let found = seen.get_pixel(tile.left + x, tile.top + y).0;
            if found[0] != found[1] || found[1] != found[2] {
                return Some(Err(format!("camera {camera}: color {found:?} at {x}, {y} of a gray picture")));
            }
            differences += (f64::from(found[0]) - sum / count).abs();
            points += 1.0;
        }
        if points < 100.0 {
            return None;
        }
        let average = differences / points;
        Some(if average < 6.0 { Ok(()) } else { Err(format!("camera {camera}: differs by {average}")) })
    }

    /// Waits until each tile that notices do not cover shows its picture and its box. Returns the number of these tiles.
    fn until_right(&self) -> usize {
        let last = std::cell::RefCell::new(Vec::new());
        let end = Instant::now() + DEADLINE;
        loop {
            let seen = self.bench.look();
            let places = places(self.reels.len() as u32, seen.dimensions(), self.size);
            let checked: Vec<_> =
                places.iter().enumerate().filter_map(|(camera, tile)| self.check(&seen, camera, *tile)).collect();
            if !checked.is_empty() && checked.iter().all(Result::is_ok) {
                return checked.len();
            }
            last.replace(checked.into_iter().filter_map(Result::err).collect());
            // A note may cover a picture for some seconds.
            assert!(Instant::now() < end, "{:?}", last.take());
        }
    }

    fn end(self) {
        self.bench.key("q");
        let (status, said) = self.bench.end();
        assert!(in_order(status), "{status}: {said}");
    }
}

#[test]
fn portrait_and_4k_pictures_fit_the_screen() {
    for scale in [1, 2] {
        for (size, window) in [((720, 1280), (470, 836)), ((3840, 2160), (1368, 769))] {
            let Some(wall) = Wall::open(1, size, scale) else { return };
            assert_eq!(wall.bench.place().1, window, "{size:?} at {scale}x, within the frame of the window");
            assert_eq!(wall.until_right(), 1);
            // Pixel by pixel: the middle of the picture fills the window.
            wall.bench.key("z");
            let (_, _, payload) = wall.sent(0);
            wall.bench.until("the original size", |seen| {
                // The middle of a pixel that is half outside is inside.
                let outside = |side: u32, shown: u32| side.saturating_sub(shown).div_ceil(2);
                let (left, top) = (outside(size.0, window.0), outside(size.1, window.1));
                let row = window.1 * 3 / 4;
                let equal = (0..window.0).filter(|x| {
                    let at = ((top + row) * size.0 + left + x) as usize;
                    seen.get_pixel(*x, row).0[0] == payload[at]
                });
                // All but those of a box.
                equal.count() as u32 >= window.0 / 4
            });
            wall.end();
        }
    }
}

/// Opens windows of this many cameras, of pictures of this size, at this scale, and compares each tile.
fn compare(walls: &[(usize, (u32, u32), u32)]) {
    for (count, size, scale) in walls {
        let Some(wall) = Wall::open(*count, *size, *scale) else { return };
        let checked = wall.until_right();
        assert!(checked + 8.min(count / 2) >= *count, "{checked} of {count} of {size:?} at {scale}x are not covered");
        wall.end();
    }
}

#[test]
fn nine_cameras_show_their_pictures() {
    compare(&[(9, (640, 360), 1), (9, (640, 360), 2)]);
}

#[test]
fn four_portrait_cameras_show_their_pictures() {
    compare(&[(4, (720, 1280), 1), (4, (720, 1280), 2)]);
}

#[test]
fn four_4k_cameras_show_their_pictures() {
    compare(&[(4, (3840, 2160), 1), (4, (3840, 2160), 2)]);
}

#[test]
fn forty_cameras_show_their_pictures() {
    compare(&[(40, (320, 180), 2), (40, (180, 320), 1)]);
}

/// A typed name enlarges one of forty cameras, and Esc shows all of them again.
#[test]
fn a_typed_name_shows_one_of_forty_cameras() {
    let Some(wall) = Wall::open(40, (320, 180), 1) else { return };
    assert!(wall.until_right() + 8 >= 40);
    for key in ["slash", "2", "3", "Return"] {
        wall.bench.key(key);
    }
    wall.bench.until("camera 23 alone, with its box", |seen| {
        let alone = places(1, seen.dimensions(), wall.size)[0];
        wall.check(seen, 22, alone).is_some_and(|checked| checked.is_ok())
    });
    wall.bench.key("Escape");
    assert!(wall.until_right() + 8 >= 40);
    wall.end();
}

/// Returns the left and right end of the bar of the timeline, and a row of it: the last one with many pixels of its color.
pub(super) fn timeline(seen: &RgbImage) -> (u32, u32, u32) {
    let bar = (seen.height() * 3 / 4..seen.height()).rev().find_map(|y| {
        let dim: Vec<u32> = (0..seen.width()).filter(|x| seen.get_pixel(*x, y).0 == [0xa8, 0xb2, 0xbd]).collect();
        (dim.len() > 200).then(|| (dim[0], dim[dim.len() - 1], y))
    });
    bar.expect("a bar")
}

/// Pressing the timeline seeks, dragging follows the pointer, also beyond the ends of the bar.
#[test]
fn dragging_on_the_timeline_seeks() {
    const FRAMES: usize = 100;
    for scale in ["1", "2"] {
        let recording = Recording::new(&["size=960x528&format=GRAY8&boxes=0&records=on"], FRAMES);
        let path = recording.path().to_str().expect("a name").to_owned();
        let arguments = [path, "--scale".to_owned(), scale.to_owned()];
        let Some(bench) = Bench::managed("1400x900", "replay", &arguments) else { return };
        bench.until("a picture", |seen| seen.dimensions() == (960, 528));
        bench.key("space");
        bench.key("Home");
        let shows = |seen: &RgbImage, at: usize| {
            let payload = recording.frames[0][at].payload();
            // Between the notices and the time at the pointer.
            (90..360).step_by(3).all(|y| (0..960).all(|x| seen.get_pixel(x, y).0[0] == payload[(y * 960 + x) as usize]))
        };
        let first = bench.until("the first picture", |seen| shows(seen, 0));
        let (left, right, y) = timeline(&first);
        let at = |share: f64| (left + (f64::from(right - left) * share).round() as u32, y);
        let near = |share: f64| {
            let middle = (share * (FRAMES - 1) as f64).round() as usize;
            middle.saturating_sub(3)..(middle + 4).min(FRAMES)
        };
        point(&bench, at(0.3));
        bench.xdotool(&["mousedown", "1"]).expect("a button");
        bench.until("a picture at the pointer", |seen| near(0.3).any(|n| shows(seen, n)));
        for share in [0.5, 0.8, 0.4] {
            point(&bench, at(share));
            bench.until("a picture at the pointer", |seen| near(share).any(|n| shows(seen, n)));
        }
        // Above the timeline and beyond its end: the drag began on it.
        point(&bench, (right + 30, 100));
        bench.until("the last picture", |seen| shows(seen, FRAMES - 1));
        point(&bench, (2, 300));
        bench.until("the first picture again", |seen| shows(seen, 0));
        bench.xdotool(&["mouseup", "1"]).expect("a button");
        point(&bench, (500, 60));
        bench.key("q");
        let (status, said) = bench.end();
        assert!(status.success(), "{status}: {said}");
    }
}

/// The number of a track is at its box, and `t` draws where it was.
#[test]
fn tracked_objects_have_trails() {
    let uri = |seed: u32| format!("sim:?dialect=abcde-256&format=jpeg&boxes=2&fps=15&seed={seed}");
    let reel = |seed: u32| {
        let config: SimConfig = uri(seed).trim_start_matches("sim:?").parse().expect("a configuration");
        Reel::new(&config).expect("a reel")
    };
    // Two objects of different colors.
    let is_colorful = |seed: &u32| {
        let found = &reel(*seed).still(0).detections.clone();
        class_color(found[0].label) != class_color(found[1].label)
    };
    let seed = (1..).find(is_colorful).expect("a seed");
    let Some(bench) = Bench::view(&[uri(seed)]) else { return };
    bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
    bench.hide_hud();
    bench.key("l");
    let reel = reel(seed);
    let colors: Vec<_> = reel.still(0).detections.iter().map(|found| rgb(class_color(found.label))).collect();
    // More than two pixels of a color in a row that are not the border of a box: its longest runs are the borders.
    let drawn = |seen: &RgbImage| -> Vec<usize> {
        colors.iter().map(|color| seen.pixels().filter(|pixel| pixel.0 == *color).count()).collect()
    };
    let border = |found: &oaktap::frame::Detection| {
        let side = |low: f32, high: f32, pixels: f32| ((high - low) * pixels) as usize;
        let bbox = found.bbox;
        4 * (side(bbox.xmin, bbox.xmax, 640.0) + side(bbox.ymin, bbox.ymax, 352.0))
    };
    let borders: Vec<usize> = reel.still(0).detections.iter().map(border).collect();
    let extra = |seen: &RgbImage| -> Vec<i64> {
        drawn(seen).iter().zip(&borders).map(|(drawn, border)| *drawn as i64 - *border as i64).collect()
    };
    bench.until("boxes alone", |seen| extra(seen).iter().all(|more| more.abs() < 40));
    bench.key("t");
    bench.until("a trail of each", |seen| extra(seen).iter().all(|more| *more > 60));
    bench.key("b");
    bench.until("trails without boxes", |seen| {
        drawn(seen).iter().zip(&borders).all(|(drawn, border)| (60..*border).contains(drawn))
    });
    bench.key("t");
    bench.until("neither", |seen| drawn(seen).iter().all(|drawn| *drawn < 20));
    bench.key("q");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
}

/// The classes of `--only` are on the screen while no HUD is, until the side panel chooses another class.
#[test]
fn only_classes_are_named_as_long_as_they_hold() {
    const AMBER: [u8; 3] = [0xff, 0xb8, 0x3d];
    let arguments = ["sim:?fps=5&boxes=0", "--only", "person", "--only", "car"].map(str::to_owned);
    let Some(bench) = Bench::run("view", &arguments) else { return };
    bench.until("a picture", |seen| seen.dimensions() == (640, 352) && !is_grey(seen));
    bench.hide_hud();
    let amber = |seen: &RgbImage| count(seen, AMBER);
    let both = amber(&bench.until("the classes", |seen| amber(seen) > 60));
    bench.key("d");
    for key in ["slash", "d", "o", "g", "Return"] {
        bench.key(key);
    }
    bench.until("one other class, a shorter word", |seen| (20..both).contains(&amber(seen)));
    // An empty search ends it.
    for key in ["slash", "Return", "d"] {
        bench.key(key);
    }
    bench.until("the classes again", |seen| amber(seen) == both);
    bench.key("q");
    let (status, said) = bench.end();
    assert!(in_order(status), "{status}: {said}");
}
