//! Paths of tracked objects over the last seconds.

use std::collections::{HashMap, VecDeque};

use super::palette::class_color;
use super::raster::Canvas;
use crate::frame::{Detection, DeviceTime, Part, Track};

/// Time that a trail covers, by the camera's clock.
const TRAIL_US: i64 = 3_000_000;

/// Most points that are kept, of all tracks: 20 tracks at 60 frames/s for 3 s. Beyond that, trails are shorter.
const POINTS_MAX: usize = 4096;

/// Tracks of the frame that is drawn, and where they were before.
#[derive(Debug, Default)]
pub(super) struct Trails {
    /// Oldest first.
    points: VecDeque<(DeviceTime, Track)>,
    /// Tracks of the frame that is drawn.
    now: Vec<Track>,
    /// Time of that frame.
    at: DeviceTime,
    /// Tracks with a box in that frame: whether the box is drawn, and its class.
    boxed: HashMap<u32, (bool, u32)>,
    /// Last point of each trail while they are drawn.
    last: HashMap<u32, (f32, f32)>,
}

impl Trails {
    /// Takes over the tracks of the next frame. A frame that is drawn again adds no points; after a step back in time, the
    /// trails start again.
    pub(super) fn follow(&mut self, at: DeviceTime, tracks: &[Track]) {
        self.now.clear();
        self.now.extend_from_slice(tracks);
        let is_same = at == self.at && !self.points.is_empty();
        if at < self.at {
            self.points.clear();
        }
        self.at = at;
        while self.points.front().is_some_and(|(then, _)| at.0.saturating_sub(then.0) > TRAIL_US) {
            self.points.pop_front();
        }
        if !is_same {
            self.points.extend(tracks.iter().map(|track| (at, *track)));
            self.points.drain(..self.points.len().saturating_sub(POINTS_MAX));
        }
    }

    /// Forgets which tracks have boxes.
    pub(super) fn forget_boxes(&mut self) {
        self.boxed.clear();
    }

    /// Returns the number of a detection's track, and notes whether its box is drawn.
    pub(super) fn join(&mut self, detection: &Detection, shown: bool) -> Option<u32> {
        let id = Track::of(&self.now, detection)?.id;
        let known = self.boxed.entry(id).or_insert((shown, detection.label));
        if shown && !known.0 {
            *known = (shown, detection.label);
        }
        Some(id)
    }

    /// Draws the trails on a canvas that shows a part of the frame, in the colors of their boxes. Omits objects whose boxes are
    /// hidden.
    pub(super) fn draw(&mut self, canvas: &mut Canvas<'_>, part: &Part, thickness: i32) {
        let size = (canvas.width(), canvas.height());
        self.last.clear();
        for (_, track) in &self.points {
            let color = match self.boxed.get(&track.id) {
                Some((false, _)) => continue,
                Some((true, label)) => class_color(*label),
                None => class_color(track.id),
            };
            let to = place(track, part, size);
            if let Some(from) = self.last.insert(track.id, to) {
                // Wider across its main direction.
                let is_flat = (to.0 - from.0).abs() >= (to.1 - from.1).abs();
                for offset in 0..thickness {
                    let aside = (offset - thickness / 2) as f32;
                    let shift = |(x, y): (f32, f32)| if is_flat { (x, y + aside) } else { (x + aside, y) };
                    canvas.line(shift(from), shift(to), color);
                }
            }
        }
    }

    /// Returns the tracks of the frame that have no box, with their places on the canvas, if they are on it.
    pub(super) fn marks(&self, part: &Part, width: i32, height: i32) -> impl Iterator<Item = (&Track, (i32, i32))> {
        let free = self.now.iter().filter(|track| !self.boxed.contains_key(&track.id));
        free.filter_map(move |track| {
            let (x, y) = place(track, part, (width, height));
            let at = (x as i32, y as i32);
            ((0..width).contains(&at.0) && (0..height).contains(&at.1)).then_some((track, at))
        })
    }
}

/// Returns the place of a track on a canvas of this size.
fn place(track: &Track, part: &Part, (width, height): (i32, i32)) -> (f32, f32) {
    let at = |share: f32, of: usize, from: f64, len: f64, pixels: i32| {
        ((f64::from(share) * of as f64 - from) * f64::from(pixels) / len) as f32
    };
    (at(track.x, part.of.0, part.x, part.width, width), at(track.y, part.of.1, part.y, part.height, height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::BBox;

    const SIZE: usize = 100;

    /// Draws the trails after frames at these seconds, each with these tracks, and returns the columns with this track's color in
    /// row 50.
    fn columns(frames: &[(f64, &[(u32, f32)])], id: u32) -> Vec<usize> {
        let mut trails = Trails::default();
        for (seconds, tracks) in frames {
            let tracks: Vec<_> = tracks.iter().map(|(id, x)| Track { id: *id, x: *x, y: 0.5 }).collect();
            trails.follow(DeviceTime((seconds * 1e6) as i64), &tracks);
        }
        let mut words = vec![0; SIZE * SIZE];
        trails.draw(&mut Canvas::new(&mut words, SIZE, SIZE), &Part::whole(SIZE, SIZE), 1);
        (0..SIZE).filter(|x| words[50 * SIZE + x] == class_color(id)).collect()
    }

    #[test]
    fn a_trail_joins_the_places_of_its_track_for_three_seconds() {
        assert_eq!(columns(&[(1.0, &[(4, 0.1)]), (2.0, &[(4, 0.3)])], 4), (10..=30).collect::<Vec<_>>());
        let apart: &[(u32, f32)] = &[(4, 0.1), (5, 0.6)];
        assert_eq!(columns(&[(1.0, apart), (2.0, &[(5, 0.7), (4, 0.2)])], 5), (60..=70).collect::<Vec<_>>());
        assert_eq!(columns(&[(1.0, &[(4, 0.1)]), (2.0, &[]), (3.0, &[(4, 0.2)])], 4), (10..=20).collect::<Vec<_>>());
        let old: [(f64, &[(u32, f32)]); 3] = [(1.0, &[(4, 0.1)]), (2.0, &[(4, 0.3)]), (4.5, &[(4, 0.5)])];
        assert_eq!(columns(&old, 4), (30..=50).collect::<Vec<_>>(), "without the first");
        assert!(columns(&[(1.0, &[(4, 0.1)])], 4).is_empty(), "one place is not a trail");
        assert!(columns(&[(1.0, &[(4, 0.1)]), (1.0, &[(4, 0.1)])], 4).is_empty(), "the same frame again");
        assert!(columns(&[(9.0, &[(4, 0.1)]), (8.0, &[(4, 0.3)])], 4).is_empty(), "a step back");
    }

    #[test]
    fn trails_of_hidden_boxes_are_hidden_and_tracks_without_a_box_have_a_mark() {
        let mut trails = Trails::default();
        let track = |id, x| Track { id, x, y: 0.5 };
        trails.follow(DeviceTime(1), &[track(1, 0.2), track(2, 0.8)]);
        trails.follow(DeviceTime(2), &[track(1, 0.3), track(2, 0.9)]);
        let bbox = BBox { xmin: 0.2, ymin: 0.4, xmax: 0.4, ymax: 0.6 };
        assert_eq!(trails.join(&Detection { bbox, ..Detection::default() }, false), Some(1));
        let part = Part::whole(SIZE, SIZE);
        let marks: Vec<_> = trails.marks(&part, 100, 100).map(|(track, at)| (track.id, at)).collect();
        assert_eq!(marks, [(2, (90, 50))]);
        let mut words = vec![0; SIZE * SIZE];
        trails.draw(&mut Canvas::new(&mut words, SIZE, SIZE), &part, 1);
        assert!(words.contains(&class_color(2)) && !words.contains(&class_color(1)));
    }

    #[test]
    fn endless_tracks_take_bounded_memory() {
        let mut trails = Trails::default();
        for n in 0..1000_u32 {
            let tracks: Vec<_> = (0..400).map(|id| Track { id: n * 400 + id, x: f32::MAX, y: f32::NAN }).collect();
            trails.follow(DeviceTime(i64::from(n)), &tracks);
        }
        assert_eq!(trails.points.len(), POINTS_MAX);
        let mut words = vec![0; SIZE * SIZE];
        let part = Part::whole(SIZE, SIZE);
        trails.draw(&mut Canvas::new(&mut words, SIZE, SIZE), &part, 2);
        assert_eq!(trails.marks(&part, 100, 100).count(), 0);
    }
}
