//! Depths inside of boxes.

use std::time::Duration;

use super::{ConvertError, Converter};
use crate::frame::{DeviceTime, Frame};

/// Largest time in microseconds between a depth picture and a frame whose boxes are measured in it, in addition to the interval
/// of the slower one of both streams.
const APART_MAX_US: i64 = 200_000;

/// Longer intervals are pauses.
const INTERVAL_MAX_US: i64 = 10_000_000;

/// Frames far from every depth picture before that is reported.
const UNMATCHED: u32 = 20;

/// The longest recent interval of a stream, but not a single one, which is a pause. A sixteenth of it is forgotten with each
/// frame.
#[derive(Debug, Default)]
struct Interval {
    last: Option<DeviceTime>,
    before_us: Option<i64>,
    us: i64,
}

impl Interval {
    fn add(&mut self, taken: DeviceTime) {
        let since = self.last.replace(taken).map_or(0, |last| taken.since(last));
        if (1..=INTERVAL_MAX_US).contains(&since) {
            let repeated = self.before_us.replace(since).map_or(since, |before| before.min(since));
            self.us = repeated.max(self.us - self.us / 16);
        }
    }
}

/// Part of the width and of the height of a box that is measured, around its middle: its corners show the background.
const MEASURED_SHARE: f32 = 0.5;

/// One depth picture.
#[derive(Debug, Default)]
struct Depths {
    /// Millimeters; 0 is not measured.
    samples: Vec<u16>,
    size: (usize, usize),
    taken: Option<DeviceTime>,
}

impl Depths {
    /// Returns the time between both in microseconds.
    fn apart_us(&self, frame: &Frame) -> Option<i64> {
        Some(frame.device_time.since(self.taken?).saturating_abs())
    }
}

/// The last two depth pictures of a camera. Boxes of a frame are measured in the one that was taken nearest to it.
#[derive(Debug)]
pub struct DepthMap {
    converter: Converter,
    last: Depths,
    before: Depths,
    /// The nearest to the current frame is the one before the last.
    measures_before: bool,
    /// The next depth picture did not arrive in time.
    is_late: bool,
    /// The last depth picture was taken long after the one before it, or by another clock, and no frame is near to it so far.
    has_jumped: bool,
    depth_interval: Interval,
    frame_interval: Interval,
    /// Frames that were taken at another time, until one was not.
    unmatched: Option<u32>,
    /// The samples of one box.
    inside: Vec<u16>,
}

impl Default for DepthMap {
    fn default() -> Self {
        Self {
            converter: Converter::default(),
            last: Depths::default(),
            before: Depths::default(),
            measures_before: false,
            is_late: false,
            has_jumped: false,
            depth_interval: Interval::default(),
            frame_interval: Interval::default(),
            unmatched: Some(0),
            inside: Vec::new(),
        }
    }
}

impl DepthMap {
    /// Takes over the depths of a RAW16 frame. Returns `false`, and keeps those that it has, if the frame has another format.
    ///
    /// # Errors
    /// As [`Converter::picture`]. It then has no depths.
    pub fn read(&mut self, frame: &Frame) -> Result<bool, ConvertError> {
        // The older of both pictures is overwritten.
        let size = self.converter.depth(frame, &mut self.before.samples).inspect_err(|_| {
            (self.last.taken, self.before.taken) = (None, None);
        })?;
        if let Some((width, height)) = size {
            self.before.size = (width as usize, height as usize);
            self.before.taken = Some(frame.device_time);
            std::mem::swap(&mut self.last, &mut self.before);
            (self.measures_before, self.is_late) = (false, false);
            let since = self.before.taken.map_or(0, |before| frame.device_time.since(before));
            self.has_jumped = !(0..=self.reach_us()).contains(&since);
            self.depth_interval.add(frame.device_time);
        }
        Ok(size.is_some())
    }

    /// Returns whether the next depth picture may be nearer to this frame than the last one: it is expected within half an interval
    /// of the depth stream. Read it before [`Self::covers`] is asked, or call [`Self::give_up`].
    #[must_use]
    pub fn awaits_next(&self, frame: &Frame) -> bool {
        let Some(taken) = self.last.taken.filter(|_| !self.is_late) else { return false };
        let since = frame.device_time.since(taken);
        if since.saturating_abs() > self.reach_us() {
            // After a pause of the depth stream, or a restart of the camera.
            return !self.has_jumped && self.unmatched.is_none();
        }
        since > self.depth_interval.us / 2
    }

    /// Returns the largest time between a frame and the last depth picture if the next one is near to the frame.
    fn reach_us(&self) -> i64 {
        // After the first depth picture the interval is not known yet.
        let interval = if self.depth_interval.us == 0 { INTERVAL_MAX_US } else { self.depth_interval.us };
        self.apart_max_us().saturating_add(interval)
    }

    /// Returns whether there was no depth picture so far.
    #[must_use]
    pub const fn awaits_first(&self) -> bool {
        self.last.taken.is_none() && !self.is_late
    }

    /// Does not wait any longer for the next depth picture, until there is one.
    pub const fn give_up(&mut self) {
        self.is_late = true;
    }

    /// Waits again for depth pictures, in the next file.
    pub const fn wait_again(&mut self) {
        self.is_late = false;
    }

    /// Returns the longest time that a frame waits for the next depth picture: one that was taken 0.2 s and an interval later is
    /// confirmed after another interval.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        let interval = self.depth_interval.us.max(self.frame_interval.us);
        Duration::from_micros(u64::try_from(self.apart_max_us() + 2 * interval).unwrap_or_default())
    }

    /// Returns whether the boxes of the next frame of the other stream are measured: a depth picture was taken at most 0.2 s and
    /// one interval of the slower stream before or after it, by the camera's clock. [`Self::median`] measures in the nearest one.
    pub fn covers(&mut self, frame: &Frame) -> bool {
        self.frame_interval.add(frame.device_time);
        let Some(last) = self.last.apart_us(frame) else { return false };
        let before = self.before.apart_us(frame);
        self.measures_before = before.is_some_and(|before| before < last);
        let covers = before.map_or(last, |before| before.min(last)) <= self.apart_max_us();
        self.has_jumped &= self.measures_before || !covers;
        match &mut self.unmatched {
            _ if covers => self.unmatched = None,
            Some(unmatched) => *unmatched = unmatched.saturating_add(1),
            None => {}
        }
        covers
    }

    fn apart_max_us(&self) -> i64 {
        APART_MAX_US + self.depth_interval.us.max(self.frame_interval.us)
    }

    /// Returns a sentence, once, if no depth picture was taken near any of many frames, so that no box is measured.
    pub fn mismatch(&mut self) -> Option<String> {
        self.unmatched.take_if(|unmatched| *unmatched >= UNMATCHED)?;
        let apart = self.frame_interval.last?.since(self.last.taken?).saturating_abs() as f64 / 1e6;
        let most = self.apart_max_us() as f64 / 1e6;
        Some(format!(
            "depth pictures and boxes are {apart:.1} s apart by the camera's clock, so boxes have no depth_mm: expected at most \
             {most:.1} s; send both with the times of one clock"
        ))
    }

    /// Returns the median of the depths in the middle half of a box (half of its width and of its height), in millimeters, of
    /// the samples that were measured. The edges are left, top, right and bottom, relative to the picture. `None` if nothing was
    /// measured there.
    pub fn median(&mut self, [xmin, ymin, xmax, ymax]: [f32; 4]) -> Option<u16> {
        let span = |low: f32, high: f32, side: usize| {
            let (middle, half) = (f32::midpoint(low, high), (high - low).abs() * MEASURED_SHARE / 2.0);
            if !middle.is_finite() || !half.is_finite() {
                return 0..0;
            }
            // At least the sample in the middle. Casts clamp.
            let from = ((middle - half) * side as f32).max(0.0) as usize;
            let end = ((middle + half) * side as f32).max(0.0).ceil() as usize;
            from.min(side)..end.min(side)
        };
        let depths = if self.measures_before { &self.before } else { &self.last };
        let (width, height) = depths.size;
        let (columns, rows) = (span(xmin, xmax, width), span(ymin, ymax, height));
        depths.taken?;
        self.inside.clear();
        for row in rows {
            let row = &depths.samples[row * width..][columns.clone()];
            self.inside.extend(row.iter().filter(|sample| **sample != 0));
        }
        let middle = self.inside.len().checked_sub(1)? / 2;
        Some(*self.inside.select_nth_unstable(middle).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Geometry, PixelFormat};

    fn depths(samples: &[u16], width: u32, height: u32) -> Frame {
        let mut frame = Frame::with_payload(samples.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<_>>());
        frame.geometry = Some(Geometry::tight(PixelFormat::Raw16, width, height).expect("a geometry"));
        frame.device_time = DeviceTime(1_000_000);
        frame
    }

    #[test]
    fn the_median_is_that_of_the_middle_half_without_samples_that_were_not_measured() {
        // 8x4: 5000 around a box from column 2 to 6, whose middle half has columns 3 and 4 of rows 1 and 2.
        let mut samples = [5000; 32];
        for (at, sample) in [(11, 1200), (12, 0), (19, 1300), (20, 1250)] {
            samples[at] = sample;
        }
        let mut map = DepthMap::default();
        assert_eq!(map.median([0.0, 0.0, 1.0, 1.0]), None, "no picture yet");
        assert!(map.read(&depths(&samples, 8, 4)).expect("a depth picture"));
        assert_eq!(map.median([0.25, 0.0, 0.75, 1.0]), Some(1250));
        assert_eq!(map.median([0.75, 1.0, 0.25, 0.0]), Some(1250), "edges in another order");
        assert_eq!(map.median([0.0, 0.0, 0.25, 0.25]), Some(5000));
        assert_eq!(map.median([-3.0, -3.0, -2.0, -2.0]), None, "outside of the picture");
        assert_eq!(map.median([f32::NAN, 0.0, 1.0, 1.0]), None);
        assert_eq!(map.median([f32::NEG_INFINITY, 0.0, f32::INFINITY, 1.0]), None);
        assert!(map.read(&depths(&[0; 32], 8, 4)).expect("a depth picture"));
        assert_eq!(map.median([0.0, 0.0, 1.0, 1.0]), None, "nothing was measured");
    }

    /// Both streams have equal times, and the depth picture arrives after the frame.
    #[test]
    fn boxes_are_measured_in_the_picture_of_their_time_although_it_arrives_later() {
        let depth_at = |second: i64| {
            let mut frame = depths(&[1000 + second as u16; 32], 8, 4);
            frame.device_time = DeviceTime(second * 1_000_000);
            frame
        };
        let mut map = DepthMap::default();
        assert!(!map.awaits_next(&taken(1_000_000)), "no depth was seen");
        for second in 1..5 {
            assert!(map.read(&depth_at(second)).expect("a depth picture"));
            let frame = taken((second + 1) * 1_000_000);
            assert!(map.awaits_next(&frame), "second {second}");
            assert!(!map.awaits_next(&taken(second * 1_000_000 + 100_000)) || second == 1, "the last one is nearer");
            assert!(map.read(&depth_at(second + 1)).expect("a depth picture"));
            assert!(!map.awaits_next(&frame) && map.covers(&frame));
            assert_eq!(map.median([0.0, 0.0, 1.0, 1.0]), Some(1001 + second as u16));
            assert!(map.covers(&taken(second * 1_000_000 + 400_000)));
            assert_eq!(map.median([0.0, 0.0, 1.0, 1.0]), Some(1000 + second as u16), "the one before is nearer");
        }
        let late = taken(6_000_000);
        assert!(map.awaits_next(&late));
        map.give_up();
        assert!(!map.awaits_next(&late) && map.covers(&late));
        assert!(map.read(&depth_at(6)).expect("a depth picture") && map.awaits_next(&taken(7_000_000)));
        // A pause, or another clock: one depth picture shows it.
        let far = taken(60_000_000);
        assert!(map.awaits_next(&far) && map.read(&depth_at(64)).expect("a depth picture"));
        assert!(!map.awaits_next(&far) && !map.covers(&far));
        assert!(!map.awaits_next(&taken(61_000_000)), "the pictures that follow are not nearer");
        assert!(map.covers(&taken(64_000_000)) && map.awaits_next(&taken(60_000_000 * 2)));
    }

    fn taken(us: i64) -> Frame {
        let mut frame = Frame::default();
        frame.device_time = DeviceTime(us);
        frame
    }

    #[test]
    fn frames_of_about_the_same_time_are_measured() {
        let found = [799_999, 800_000, 1_000_000, 1_200_000, 1_200_001].map(|us| {
            let mut map = DepthMap::default();
            assert!(map.read(&depths(&[7; 32], 8, 4)).expect("a depth picture"));
            map.covers(&taken(us))
        });
        assert_eq!(found, [false, true, true, true, false]);
        let mut map = DepthMap::default();
        assert!(!map.covers(&taken(1_000_000)) && map.unmatched == Some(0), "no depth yet");
        assert!(map.read(&depths(&[7; 32], 8, 4)).expect("a depth picture"));
        let color = Frame::with_payload(vec![0; 3]);
        assert!(!map.read(&color).expect("another format") && map.covers(&taken(1_000_000)), "it keeps the depths");
    }

    /// Depth once per second: each picture is for the frames up to the next one.
    #[test]
    fn slow_streams_are_measured_without_flickering_and_a_depth_that_ends_is_not_used_on() {
        let mut map = DepthMap::default();
        for second in 1..10 {
            let mut depth = depths(&[7; 32], 8, 4);
            depth.device_time = DeviceTime(second * 1_000_000);
            assert!(map.read(&depth).expect("a depth picture"));
            let covered = (0..10).filter(|tenth| map.covers(&taken(second * 1_000_000 + tenth * 100_000))).count();
            assert_eq!(covered, if second == 1 { 4 } else { 10 }, "second {second}");
        }
        assert!(map.covers(&taken(9_900_000)) && !map.covers(&taken(10_300_000)));
        assert_eq!(map.mismatch(), None);
    }

    #[test]
    fn clocks_that_differ_are_reported_once() {
        let mut map = DepthMap::default();
        assert!(map.read(&depths(&[7; 32], 8, 4)).expect("a depth picture"));
        let said: Vec<_> = (0..60)
            .filter_map(|number| {
                assert!(!map.covers(&taken(61_000_000 + number * 40_000)));
                map.mismatch()
            })
            .collect();
        let [said] = &said[..] else { panic!("{said:?}") };
        assert!(said.starts_with("depth pictures and boxes are 60.8 s apart by the camera's clock"), "{said}");
    }
}
