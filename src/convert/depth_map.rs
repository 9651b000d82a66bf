//! Depths inside of boxes.

use super::{ConvertError, Converter};
use crate::frame::{DeviceTime, Frame};

/// Largest time in microseconds between a depth picture and a later frame whose boxes are measured in it.
const AGE_MAX_US: i64 = 200_000;

/// Part of the width and of the height of a box that is measured, around its middle: its corners show the background.
const MEASURED_SHARE: f32 = 0.5;

/// The last depth picture of a camera, in which boxes of later frames are measured.
#[derive(Debug, Default)]
pub struct DepthMap {
    converter: Converter,
    /// Millimeters; 0 is not measured.
    samples: Vec<u16>,
    size: (usize, usize),
    taken: Option<DeviceTime>,
    /// The samples of one box.
    inside: Vec<u16>,
}

impl DepthMap {
    /// Takes over the depths of a RAW16 frame. Returns `false`, and keeps those that it has, if the frame has another format.
    ///
    /// # Errors
    /// As [`Converter::picture`]. It then has no depths.
    pub fn read(&mut self, frame: &Frame) -> Result<bool, ConvertError> {
        let size = self.converter.depth(frame, &mut self.samples).inspect_err(|_| self.taken = None)?;
        if let Some((width, height)) = size {
            self.size = (width as usize, height as usize);
            self.taken = Some(frame.device_time);
        }
        Ok(size.is_some())
    }

    /// Returns whether the depth picture was taken at most 0.2 s before this frame, by the camera's clock.
    #[must_use]
    pub fn precedes(&self, frame: &Frame) -> bool {
        self.taken.is_some_and(|taken| (0..=AGE_MAX_US).contains(&frame.device_time.since(taken)))
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
        let (width, height) = self.size;
        let (columns, rows) = (span(xmin, xmax, width), span(ymin, ymax, height));
        self.taken?;
        self.inside.clear();
        for row in rows {
            let row = &self.samples[row * width..][columns.clone()];
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

    #[test]
    fn only_later_frames_of_the_same_time_are_measured() {
        let mut map = DepthMap::default();
        assert!(map.read(&depths(&[7; 32], 8, 4)).expect("a depth picture"));
        let precedes = |map: &DepthMap, us| {
            let mut frame = Frame::default();
            frame.device_time = DeviceTime(us);
            map.precedes(&frame)
        };
        let found = [999_999, 1_000_000, 1_200_000, 1_200_001].map(|us| precedes(&map, us));
        assert_eq!(found, [false, true, true, false]);
        let color = Frame::with_payload(vec![0; 3]);
        assert!(!map.read(&color).expect("another format") && precedes(&map, 1_000_000), "it keeps the depths");
    }
}
