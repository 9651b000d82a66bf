//! Draws boxes and titles on a picture, borders with slices and with imageproc, and titles that are not cached yet.
//!
//! Each bench checks its result before it is timed.

use divan::{Bencher, counter::ItemsCount};
use image::Rgb;
use imageproc::drawing::draw_hollow_rect_mut;
use oaktap::frame::{BBox, Detection, Picture};
use oaktap::overlay::{Canvas, Overlay, Rect, Style, class_color};

const SIZES: [(usize, usize); 2] = [(640, 352), (1920, 1080)];
const BOXES: [u32; 3] = [5, 20, 10_000];

fn main() {
    divan::main();
}

fn picture((width, height): (usize, usize)) -> Picture {
    let mut picture = Picture::default();
    picture.resize(width, height);
    picture
}

/// Returns boxes of a fifth of the width of the picture, spread over it.
fn detections(count: u32) -> Vec<Detection> {
    let one = |n: u32| {
        let (xmin, ymin) = ((n * 37 % 80) as f32 / 100.0, (n * 53 % 70) as f32 / 100.0);
        let bbox = BBox { xmin, ymin, xmax: xmin + 0.2, ymax: ymin + 0.3 };
        Detection { label: n * 7 % 80, confidence: (n % 100) as f32 / 100.0, bbox, ..Detection::default() }
    };
    (0..count).map(one).collect()
}

fn rects(picture: &Picture, count: u32) -> Vec<Rect> {
    let (width, height) = (picture.width as i32, picture.height as i32);
    let place = |detection: &Detection| Rect::of_box(&detection.bbox, width, height).expect("the box is inside");
    detections(count).iter().map(place).collect()
}

fn draw(bencher: Bencher, size: (usize, usize), count: u32, style: Style) {
    let (mut picture, mut overlay, detections) = (picture(size), Overlay::new(style), detections(count));
    overlay.draw(&mut picture, &detections, None);
    let last = class_color(detections[count as usize - 1].label);
    assert!(picture.words().contains(&last), "the last box is missing");
    bencher.counter(ItemsCount::new(count)).bench_local(|| overlay.draw(&mut picture, &detections, None));
}

#[divan::bench_group]
mod boxes_and_titles {
    #[divan::bench(args = super::BOXES)]
    fn at_640x352(bencher: divan::Bencher, count: u32) {
        super::draw(bencher, super::SIZES[0], count, super::Style::default());
    }

    #[divan::bench(args = super::BOXES)]
    fn at_1920x1080(bencher: divan::Bencher, count: u32) {
        super::draw(bencher, super::SIZES[1], count, super::Style::default());
    }
}

#[divan::bench(args = SIZES)]
fn twenty_boxes_without_titles(bencher: Bencher, size: (usize, usize)) {
    draw(bencher, size, 20, Style { labels: false, ..Style::default() });
}

#[divan::bench(args = SIZES)]
fn twenty_uncached_titles(bencher: Bencher, size: (usize, usize)) {
    let (mut picture, detections) = (picture(size), detections(20));
    bencher
        .counter(ItemsCount::new(20u32))
        .with_inputs(Overlay::default)
        .bench_local_refs(|overlay| overlay.draw(&mut picture, &detections, None));
}

fn by_slices(picture: &mut Picture, rects: &[Rect]) {
    let mut canvas = Canvas::of(picture);
    rects.iter().for_each(|rect| canvas.outline(*rect, 2, 0x00_FF7F));
}

fn by_imageproc(picture: &mut Picture, rects: &[Rect]) {
    let mut canvas = Canvas::of(picture);
    for rect in rects {
        for inset in 0..2 {
            let (width, height) = (rect.width - 2 * inset, rect.height - 2 * inset);
            let rect = imageproc::rect::Rect::at(rect.x + inset, rect.y + inset).of_size(width as u32, height as u32);
            draw_hollow_rect_mut(&mut canvas, rect, Rgb([0, 255, 127]));
        }
    }
}

#[divan::bench(args = SIZES)]
fn twenty_borders_by_slices(bencher: Bencher, size: (usize, usize)) {
    borders(bencher, size, by_slices);
}

#[divan::bench(args = SIZES)]
fn twenty_borders_by_imageproc(bencher: Bencher, size: (usize, usize)) {
    borders(bencher, size, by_imageproc);
}

fn borders(bencher: Bencher, size: (usize, usize), draw: fn(&mut Picture, &[Rect])) {
    let (mut one, mut other) = (picture(size), picture(size));
    let rects = rects(&one, 20);
    by_slices(&mut one, &rects);
    by_imageproc(&mut other, &rects);
    assert!(one.words() == other.words(), "slices and imageproc draw different borders");
    bencher.counter(ItemsCount::new(20u32)).bench_local(|| draw(&mut one, &rects));
}

#[divan::bench(args = SIZES)]
fn gray_out(bencher: Bencher, size: (usize, usize)) {
    let mut picture = picture(size);
    let bytes = picture.words().len() * 4;
    picture.words_mut().fill(0xFF_FFFF);
    Canvas::of(&mut picture).gray_out();
    assert!(picture.words().iter().all(|word| *word == 0x7F_7F7F));
    bencher.counter(divan::counter::BytesCount::new(bytes)).bench_local(|| Canvas::of(&mut picture).gray_out());
}
