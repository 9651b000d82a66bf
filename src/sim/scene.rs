//! The simulated scene: objects that move over a background, and their boxes.

use super::pixels::Rgb;
use super::random::Random;
use crate::frame::{BBox, Detection, Position};

/// An object that moves in a loop within its cell of the picture. Distances are in pixels.
#[derive(Clone, Debug)]
struct Object {
    label: u32,
    color: [u8; 3],
    size: (usize, usize),
    /// The smallest coordinates of its upper left corner.
    at: (usize, usize),
    /// The distances that it moves from `at`.
    reach: (usize, usize),
    /// Offset of its loop, in frames.
    phase: usize,
    /// Smallest distance from the camera in millimeters. It moves away by at most [`DEPTH_REACH_MM`].
    depth_mm: usize,
}

/// A scene that repeats after `frames` frames.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    width: usize,
    height: usize,
    frames: usize,
    objects: Vec<Object>,
}

/// Distance by which an object moves away from the camera, in millimeters.
const DEPTH_REACH_MM: usize = 1000;

/// Width of the picture at a distance of 1: that of the color camera of an OAK-D, which sees 69 degrees.
const WIDTH_AT_1: f32 = 1.37;

/// Classes of the network of the standalone page (COCO).
const CLASSES: usize = 80;

impl Scene {
    /// Creates a scene with `boxes` objects that repeats after `frames` frames.
    pub(super) fn new((width, height): (u32, u32), boxes: u32, frames: usize, seed: u64) -> Self {
        let (width, height, boxes) = (width as usize, height as usize, boxes as usize);
        let mut random = Random::new(seed);
        // A generator of its own, so that the pictures of a seed stay as they are.
        let mut depths = Random::new(!seed);
        // A grid with one cell per object, so that any number of objects fits.
        let columns = (1..).find(|columns| columns * columns >= boxes).unwrap_or(1).max(1);
        let rows = boxes.div_ceil(columns).max(1);
        // At most 1/80 of the side per frame, so that objects do not jump in short scenes.
        let step = |side: usize| (side / 80).max(1) * frames / 2;
        let objects = (0..boxes)
            .map(|i| {
                let cell = |place: usize, of: usize, side: usize| (place * side / of, (place + 1) * side / of);
                let (left, right) = cell(i % columns, columns, width);
                let (top, bottom) = cell(i / columns, rows, height);
                let mut extent = |from: usize, to: usize, side: usize| {
                    let cell = to - from;
                    let size = (cell * (45 + random.below(20)) / 100).clamp(1, side);
                    let reach = (cell.saturating_sub(size)).min(step(side));
                    let spare = cell.saturating_sub(size + reach);
                    (size, (from + random.below(spare + 1)).min(side - size), reach)
                };
                let (w, x, reach_x) = extent(left, right, width);
                let (h, y, reach_y) = extent(top, bottom, height);
                let color = [0; 3].map(|_: u8| 64 + random.below(192) as u8);
                let (label, phase) = (random.below(CLASSES) as u32, random.below(frames));
                Object {
                    label,
                    color,
                    size: (w, h),
                    at: (x, y),
                    reach: (reach_x, reach_y),
                    phase,
                    depth_mm: 600 + depths.below(3000),
                }
            })
            .collect();
        Self { width, height, frames, objects }
    }

    pub(super) fn background(&self) -> Rgb {
        let mut bytes = Vec::with_capacity(3 * self.width * self.height);
        for y in 0..self.height {
            let down = 140 * y / self.height;
            bytes.extend((0..self.width).flat_map(|x| {
                // A gradient alone would compress unrealistically well, so a fine pattern is added.
                let grain = ((x ^ y) & 7) * 2;
                let across = 90 * x / self.width;
                [(20 + across + grain) as u8, (40 + down / 2 + grain) as u8, (30 + down + grain) as u8]
            }));
        }
        Rgb { width: self.width, height: self.height, bytes }
    }

    /// Draws the objects of frame `k` and returns their boxes and positions.
    pub(super) fn draw(&self, k: usize, picture: &mut Rgb) -> Vec<Detection> {
        let row = 3 * self.width;
        let place = |object: &Object| {
            let turn = (k + object.phase) % self.frames;
            let x = object.at.0 + object.reach.0 * there_and_back(turn, self.frames) / self.frames;
            // A quarter of the loop later, so that the path is not a straight line.
            let turn = (turn + self.frames / 4) % self.frames;
            let y = object.at.1 + object.reach.1 * there_and_back(turn, self.frames) / self.frames;
            let (w, h) = object.size;
            let (x, y) = (x.min(self.width - w), y.min(self.height - h));
            for dy in 0..h {
                let line = &mut picture.bytes[(y + dy) * row..][3 * x..3 * (x + w)];
                let edge = dy == 0 || dy + 1 == h;
                let shade = if edge { 255 } else { 96 + 96 * dy / h };
                let color = object.color.map(|part| (usize::from(part) * shade / 255) as u8);
                line.as_chunks_mut::<3>().0.fill(color);
            }
            let part = |at: usize, side: usize| (at as f64 / side as f64) as f32;
            let depth_mm = object.depth_mm + DEPTH_REACH_MM * there_and_back(turn, self.frames) / self.frames;
            // From the middle of the picture to the middle of the object, in pixels.
            let aside = |at: usize, size: usize, side: usize| (at as f32 + size as f32 / 2.0) - side as f32 / 2.0;
            let mm = WIDTH_AT_1 * depth_mm as f32 / self.width as f32;
            Detection {
                label: object.label,
                confidence: 0.5 + 0.5 * part(there_and_back(turn, self.frames), self.frames + 1),
                bbox: BBox {
                    xmin: part(x, self.width),
                    ymin: part(y, self.height),
                    xmax: part(x + w, self.width),
                    ymax: part(y + h, self.height),
                },
                position: Some(Position::from_mm([
                    (mm * aside(x, w, self.width)).round(),
                    (mm * -aside(y, h, self.height)).round(),
                    depth_mm as f32,
                ])),
            }
        };
        self.objects.iter().map(place).collect()
    }

    /// Draws a line that sweeps over the picture, so that all frames differ even without objects.
    pub(super) fn sweep(&self, k: usize, picture: &mut Rgb) {
        let row = 3 * self.width;
        let at = k * self.width * self.height / self.frames;
        for y in 0..self.height {
            picture.bytes[y * row + 3 * (at % self.width)..][..3].fill(255);
        }
        picture.bytes[3 * at..][..3].fill(0);
    }
}

/// A triangle wave: 0 at the beginning, `of` in the middle, 0 at the end.
fn there_and_back(turn: usize, of: usize) -> usize {
    (2 * turn).min(2 * (of - turn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_surround_their_objects() {
        let scene = Scene::new((320, 200), 4, 50, 3);
        for k in [0, 17, 49] {
            let mut picture = scene.background();
            let empty = scene.background();
            let found = scene.draw(k, &mut picture);
            assert_eq!(found.len(), 4);
            for y in 0..200 {
                for x in 0..320 {
                    let at = 3 * (y * 320 + x);
                    let inside = found.iter().any(|Detection { bbox, .. }| {
                        let within = |at: usize, side: f32, from: f32, to: f32| {
                            (at as f32 + 0.5) / side > from && (at as f32 + 0.5) / side < to
                        };
                        within(x, 320.0, bbox.xmin, bbox.xmax) && within(y, 200.0, bbox.ymin, bbox.ymax)
                    });
                    let changed = picture.bytes[at..at + 3] != empty.bytes[at..at + 3];
                    assert!(inside || !changed, "frame {k}: ({x}, {y}) is drawn outside of every box");
                }
            }
            let drawn = picture.bytes.iter().zip(&empty.bytes).filter(|(a, b)| a != b).count();
            assert!(drawn > 320 * 200 * 3 / 5, "frame {k}: objects cover {drawn} bytes");
        }
    }

    #[test]
    fn scene_is_reproducible_and_all_frames_differ() {
        for size in [(64, 48), (640, 352)] {
            let pictures = || {
                let scene = Scene::new(size, 0, 20, 1);
                (0..20).map(move |k| {
                    let mut picture = scene.background();
                    scene.sweep(k, &mut picture);
                    picture.bytes
                })
            };
            let all: Vec<_> = pictures().collect();
            assert!(all.iter().eq(pictures().collect::<Vec<_>>().iter()));
            for (i, picture) in all.iter().enumerate() {
                assert!(!all[..i].contains(picture), "frame {i}");
            }
        }
    }

    #[test]
    fn any_number_of_objects_fits_any_size() {
        for (size, boxes) in [((1, 1), 3), ((8, 2), 100), ((640, 352), 1000), ((3, 500), 7)] {
            let scene = Scene::new(size, boxes, 9, 5);
            for k in 0..9 {
                let found = scene.draw(k, &mut scene.background());
                assert_eq!(found.len(), boxes as usize);
                for Detection { bbox, .. } in found {
                    assert!(bbox.xmin < bbox.xmax && bbox.xmax <= 1.0 && bbox.ymin < bbox.ymax && bbox.ymax <= 1.0);
                }
            }
        }
    }
}
